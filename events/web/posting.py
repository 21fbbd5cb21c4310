"""The event form: posting an event, and changing one as a whole."""

from collections.abc import Mapping

from pydantic import ValidationError
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches.models import Branch
from ..calendars import derived, memory, queries, sources, store
from ..calendars.drafts import EventDraft
from ..calendars.models import Event, State
from ..calendars.recurrence import DAYS, next_dates, parse_rule
from ..errors import Message, NotFound, say
from ..people import permissions
from . import changing
from .endpoints import now, person_of
from .event_form import draft_of, filled, repeat_choice, untouched
from .forms import EMPTY, NO_FAULTS, Form, query
from .mine import event_at
from .responses import see_other
from .state import language_of, state_of
from .templating import render
from .words import EDITED_WORDS, access_options, language_options, rule_in_words

DATES_SHOWN = 5


def new_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    mine = permissions.branches(session, person_of(request))
    if not mine:
        raise NotFound(say("You are not an organizer of any branch yet."))
    slug = form["branch"] or query(request)["branch"]
    owner = next((branch for branch in mine if branch.slug == slug), mine[0])
    if form is EMPTY:
        form = Form([("branch", owner.slug), ("language", (owner.language_list or ["en"])[0])])
    return _form_page(request, session, form, faults, None, None)


def preview(request: Request, session: Session, form: Form) -> Response:
    """The rule in words and the next five dates; nothing is saved."""
    owner = _owner(request, session, form)
    return _form_page(request, session, form, NO_FAULTS, None, draft_of(form, owner))


def add(request: Request, session: Session, form: Form) -> Response:
    owner = _owner(request, session, form)
    draft = draft_of(form, owner, {"state": _state(form)})
    event = store.add(session, draft, [owner], state_of(request).publishing, now())
    return see_other(request, f"/organize/events/{event.id}", done="saved")


def _owner(request: Request, session: Session, form: Form) -> Branch:
    return permissions.branch_of(session, person_of(request), form["branch"])


def _state(form: Form) -> str:
    return State.DRAFT if form["keep"] == "draft" else State.PUBLISHED


def _form_page(
    request: Request,
    session: Session,
    form: Form,
    faults: Mapping[str, Message],
    event: Event | None,
    draft: EventDraft | None,
    theirs: Form | None = None,
) -> Response:
    spoken = language_of(request)
    return render(
        request,
        "organize/event.html",
        form=form,
        faults=faults,
        event=event,
        branch_options=[(b.slug, b.name) for b in permissions.branches(session, person_of(request))],
        preview=_preview(request, draft) if draft else None,
        theirs=theirs,
        repeats=repeat_choice(form),
        topic_options=[(topic.name, topic.name) for topic in queries.topics_in_use(session)],
        chosen_topics=form.all("topics"),
        access_options=access_options(spoken),
        language_options=language_options(spoken, [form["language"], *state_of(request).settings.locales]),
        weekdays=[(code, spoken.weekday(number)) for number, code in enumerate(DAYS)],
        dates=changing.changeable(request, session, event) if event else [],
        origin=_origin(request, session, event) if event else None,
        saved=query(request)["done"] == "saved",
    )


def _preview(request: Request, draft: EventDraft) -> dict[str, object]:
    spoken = language_of(request)
    rule = parse_rule(draft.rrule, draft.start, draft.timezone, draft.all_day) if draft.rrule else None
    dates = next_dates(rule, draft.start, draft.exdates, draft.start, DATES_SHOWN)
    length = draft.end - draft.start
    return {
        "rule": rule_in_words(spoken, rule) if rule else "",
        "zone": "" if draft.all_day else spoken.zone(draft.timezone),
        "dates": [
            f"{spoken.day(start.date())}, {spoken.span(start, start + length, draft.all_day)}"
            for start in dates
        ],
    }


def _origin(request: Request, session: Session, event: Event) -> dict[str, object] | None:
    """The followed calendar that keeps the event in step, and what was edited here and stays."""
    source = sources.followed_by(session, event)
    if source is None:
        return None
    spoken = language_of(request)
    try:
        groups = memory.edited(store.draft_of(derived.tell(session, event)), event.upstream)
    except (
        ValidationError
    ):  # its dates have come into a clock change since, or the like: its form will say so
        groups = []
    names = [spoken.say(EDITED_WORDS[group]) for group in groups]
    return {"id": source.id, "name": source.name, "edited": spoken.listed(names) if names else ""}


# ---------------------------------------------------------------- changing


def event_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    event = event_at(request, session)
    if form is EMPTY:
        form = _filled(session, event)
    return _form_page(request, session, form, faults, event, None)


def preview_change(request: Request, session: Session, form: Form) -> Response:
    event = event_at(request, session)
    draft = draft_of(form, _owner(request, session, form), stored=_stored(session, event, form))
    return _form_page(request, session, form, NO_FAULTS, event, draft)


def change(request: Request, session: Session, form: Form) -> Response:
    event = event_at(request, session)
    owner = _owner(request, session, form)
    if form["revision"] != str(event.revision):
        return _conflict(request, session, event, form)
    kept = {"state": event.state, "reason": event.cancelled_reason}
    if event.state == State.DRAFT:
        kept["state"] = _state(form)
    hosts = [owner, *(host for host in derived.tell(session, event).hosts[1:] if host.id != owner.id)]
    draft = draft_of(form, owner, kept, _stored(session, event, form))
    store.revise(session, event, draft, hosts, state_of(request).publishing, now())
    return see_other(request, f"/organize/events/{event.id}", done="saved")


def _stored(session: Session, event: Event, form: Form) -> dict[str, object]:
    try:
        return untouched(form, store.draft_of(derived.tell(session, event)), event)
    except ValidationError:  # what is stored cannot be kept as it is any more
        return {}


def _conflict(request: Request, session: Session, event: Event, form: Form) -> Response:
    """Somebody saved after this page was opened: their text beside what was typed, and nothing is overwritten.

    The form now carries the newest revision, so that saving again is a decision.
    """
    theirs = _filled(session, event)
    mine = Form(
        [*(item for item in form.items() if item[0] != "revision"), ("revision", str(event.revision))]
    )
    response = _form_page(request, session, mine, NO_FAULTS, event, None, theirs=theirs)
    response.status_code = 409
    return response


def _filled(session: Session, event: Event) -> Form:
    form = filled(event)
    told = derived.tell(session, event)
    return form.with_items([("branch", told.owner.slug), *(("topics", topic.name) for topic in told.topics)])
