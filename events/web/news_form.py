"""The form of a notice: what it says, and the page around it, with how the notice looks."""

from collections.abc import Mapping
from datetime import date

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches.models import Branch
from ..calendars import pictures as kept_pictures
from ..calendars import queries
from ..calendars.memory import topic_slug
from ..calendars.models import Topic
from ..calendars.timezones import to_wall
from ..errors import InvalidForm, Message, NotFound, Unreadable, say
from ..language import SOURCE, Language
from ..news import writing
from ..news.drafts import NoticeDraft
from ..news.models import Notice
from ..news.notices import stage_of
from ..news.writing import Written
from ..people import history, permissions
from . import newsletters, pictures
from .endpoints import now, person_of
from .forms import NO_FAULTS, Form, form_key, query
from .mine import branch_of_notice, may_publish
from .posting import MOST_TO_CHOOSE_FROM, owner_of
from .state import language_of, state_of
from .templating import render
from .typed import day_of
from .words import language_name, language_options, topic_options

ACTIONS = {
    "added": say("Written"),
    "changed": say("Changed"),
    "published": say("Published"),
    "removed": say("Removed"),
    "returned": say("Brought back"),
    pictures.CHANGED: say("The picture changed"),
    pictures.REMOVED: say("The picture removed"),
}
_COMPARED = ("title", "text", "topic", "shown_from", "shown_until", "language", "is_top")
DONE = {
    "draft": say("Kept as a draft: only you and your fellow organizers see it."),
    "saved": say("Saved."),
    "published": say("Saved. It is published."),
    "returned": say("It is back, as it was."),
}


TYPE_ITS_NAME = say("The name of a topic that events have.")


# ---------------------------------------------------------------- reading it


def read(request: Request, session: Session, form: Form, notice: Notice | None = None) -> Written:
    """What the form says; everything that is wrong with it at once. Raises InvalidForm."""
    faults: dict[str, Message] = {}
    branch = _owner(request, session, form, notice, faults)
    topic = _topic(session, form, faults)
    spoken, today = language_of(request), writing.today(session, branch, now())
    days = {
        "shown_from": _day(form, "shown_from", spoken, today, faults) or today,
        "shown_until": _day(form, "shown_until", spoken, today, faults),
    }
    try:
        draft = form.draft(NoticeDraft, **days, is_top=_is_top(request, form, notice))
    except InvalidForm as error:
        raise InvalidForm(error.faults | faults) from error
    if faults:
        raise InvalidForm(faults)
    return Written(draft, branch, topic)


def _owner(
    request: Request, session: Session, form: Form, notice: Notice | None, faults: dict[str, Message]
) -> Branch | None:
    """Whose news it is; None: the organisation's. What is published stays whose it was: its readers were told."""
    if notice is not None and not notice.is_draft:
        return branch_of_notice(session, notice)
    if form["whole"] == "yes" and person_of(request).is_admin:
        return None
    try:
        return owner_of(request, session, form)
    except InvalidForm as error:
        faults |= error.faults
        return None


def _topic(session: Session, form: Form, faults: dict[str, Message]) -> Topic | None:
    if not form["topic"].strip():
        return None
    try:
        return queries.topic_at(session, topic_slug(form["topic"].strip()))
    except NotFound as error:
        faults["topic"] = error.message
        return None


def _day(form: Form, name: str, spoken: Language, today: date, faults: dict[str, Message]) -> date | None:
    if not form[name].strip():
        return None
    try:
        return day_of(form[name], spoken, today)
    except Unreadable as error:
        faults[name] = error.message
        return None


def _is_top(request: Request, form: Form, notice: Notice | None) -> bool:
    """Admins decide; what others send for it does not count."""
    if person_of(request).is_admin:
        return form["is_top"] == "yes"
    return notice is not None and notice.is_top


def form_of(session: Session, notice: Notice) -> Form:
    """The form as it would have been filled in."""
    branch = branch_of_notice(session, notice)
    topic = session.get(Topic, notice.topic_id) if notice.topic_id is not None else None
    return Form(
        [
            ("branch", branch.slug if branch else ""),
            ("whole", "" if branch else "yes"),
            ("title", notice.title),
            ("text", notice.text),
            ("language", notice.language),
            ("topic", topic.slug if topic else ""),
            ("shown_from", notice.shown_from.isoformat()),
            ("shown_until", notice.shown_until.isoformat() if notice.shown_until else ""),
            ("is_top", "yes" if notice.is_top else ""),
            ("revision", str(notice.revision)),
        ]
    )


# ---------------------------------------------------------------- the page


def page(
    request: Request,
    session: Session,
    notice: Notice | None,
    form: Form,
    faults: Mapping[str, Message] = NO_FAULTS,
    theirs: Form | None = None,
) -> Response:
    """The form, filled in; of a notice that is there also how it looks. `theirs`: what somebody saved meanwhile."""
    mine = permissions.branches(session, person_of(request), MOST_TO_CHOOSE_FROM + 1)
    chosen = next((one for one in mine if one.slug == form["branch"] or len(mine) == 1), None)
    topics, others_in_use = topic_options(request, session, [form["topic"]], TYPE_ITS_NAME)
    return render(
        request,
        "organize/news_form.html",
        form=form,
        faults=faults,
        theirs=_differences(request, theirs, form) if theirs else [],
        key=form_key(form),
        branch_options=[(one.slug, one.name) for one in mine] if len(mine) <= MOST_TO_CHOOSE_FROM else [],
        topic_options=topics,
        topic_hint=others_in_use,
        language_options=_languages(request, form, chosen),
        today=writing.today(session, chosen, now()).isoformat(),
        news=notice,
        done=DONE.get(query(request)["done"]),
        about=_about(request, session, notice) if notice else None,
    )


def _about(request: Request, session: Session, notice: Notice) -> dict[str, object]:
    """What the page says of a notice besides its form."""
    ready = kept_pictures.ready(session, [notice.picture_id] if notice.picture_id else [])
    return {
        "branch": branch_of_notice(session, notice),
        "may_publish": may_publish(request, session, notice),
        "stage": stage_of(notice, now()),
        "picture": pictures.shown(next(iter(ready.values()), None)),
        "versions": _versions(request, session, notice),
        "newsletter": newsletters.standing(request, session, notice),
    }


def _languages(request: Request, form: Form, chosen: Branch | None) -> list[tuple[str, str]]:
    """What it may be written in, the likeliest first."""
    own = chosen.language_list if chosen else []
    tags = [form["language"], *own, language_of(request).code, *state_of(request).settings.locales, SOURCE]
    return language_options(language_of(request), tags)


def _differences(request: Request, theirs: Form, form: Form) -> list[tuple[str, str]]:
    """What is saved where something else was typed: fields, and what they say in words."""
    spoken = language_of(request)
    asked = _COMPARED if person_of(request).is_admin else _COMPARED[:-1]
    found = [(name, theirs[name]) for name in asked if theirs[name].strip() != form[name].strip()]
    words = {"language": language_name(spoken, theirs["language"]), "is_top": spoken.gettext("Yes")}
    return [(name, words.get(name, text) if text else "") for name, text in found]


def _versions(request: Request, session: Session, notice: Notice) -> list[dict[str, str]]:
    """Who changed it and when, the newest first."""
    spoken, found = language_of(request), history.versions(session, writing.subject(notice))
    names, gone = history.names(session, found), spoken.say(say("somebody who has left"))
    lines = []
    for version in found:
        at = to_wall(version.made_at, notice.timezone)
        lines.append(
            {
                "action": spoken.say(ACTIONS.get(version.action, ACTIONS["changed"])),
                "who": names.get(version.person_id or 0, gone),
                "when": f"{spoken.short_day(at.date())}, {spoken.time(at.time())}",
            }
        )
    return lines
