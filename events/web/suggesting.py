"""What visitors say without an account: that something takes place, or that something is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated

from pydantic import Field
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches import queries as branches
from ..branches.models import Branch
from ..branches.queries import FOUND, Moved
from ..calendars import changes, content, derived, queries
from ..calendars.drafts import EventDraft
from ..calendars.models import Event, State
from ..calendars.timezones import to_utc
from ..desk import answers, proposals, reports
from ..desk.models import Proposal
from ..desk.reports import ReportDraft
from ..drafts import Draft, LongText, ShortText
from ..errors import Conflict, Gone, InvalidForm, Message, Unreadable, say
from ..markdown import plain
from ..people import joining, sign_in
from ..people.models import OneTimeLink, Person, Purpose
from . import links, near
from .endpoints import now
from .event_form import Typing, draft_of
from .finding import Finding, find_place
from .forms import EMPTY, HONEYPOT, NO_FAULTS, Form, form_key, number_at, query
from .joining import noting
from .links import LinkPage, Words
from .posting import edition
from .responses import moved, see_other
from .state import language_of, state_of
from .templating import render
from .words import language_options

# What the form shares with the organizers'. Anything else of theirs, such as topics, is not a visitor's to say.
EVENT_FIELDS = (
    *("title", "description", "start_date", "start_time", "end_time", "all_day", "timezone"),
    *("attendance", "venue_name", "venue_address", "online_url", "language"),
)
IN_ORDER = ("branch", "choice", *EVENT_FIELDS, "name", "email", "note", "key")  # of the list of faults
READINGS = 5  # of what may be several places


class VisitorDraft(Draft):
    """Who suggests it, and what only the organizers read."""

    key: Annotated[str, Field(min_length=16, max_length=64, pattern=r"^[\w-]+$")]
    name: Annotated[ShortText, Field(max_length=100)] = ""
    note: Annotated[LongText, Field(max_length=2000)] = ""


# ---------------------------------------------------------------- suggesting an event


def page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    spoken, few = language_of(request), joining.few(session)
    if form is EMPTY:
        slug = _asked(session, query(request)["branch"])
        form = Form([("branch", slug), ("language", spoken.code)])
    offered = [] if few else _offered(request, session, form)
    return render(
        request,
        "suggest/event.html",
        form=form,
        faults=faults,
        key=form_key(form),
        menu=[(branch.slug, branch.name) for branch in few],
        chosen=offered[0] if len(offered) == 1 and offered[0].slug == form["branch"] else None,
        choices=[(branch.slug, _with_town(branch)) for branch in offered] if len(offered) > 1 else [],
        language_options=language_options(spoken, [form["language"], *state_of(request).settings.locales]),
    )


def send(request: Request, session: Session, form: Form) -> Response:
    """Whatever is wrong is said at once. A form that is sent twice is one suggestion."""
    faults: dict[str, Message] = {}
    branch = noting(faults, lambda: _branch(request, session, form))
    draft = noting(faults, lambda: _event(request, form, branch or _nowhere()))
    visitor = noting(faults, lambda: form.draft(VisitorDraft))
    email = noting(faults, lambda: links.email_in(form) if form["email"].strip() else "")
    if branch is None or draft is None or visitor is None or email is None:
        raise InvalidForm({name: faults[name] for name in sorted(faults, key=_place_of)})
    if not form[HONEYPOT]:
        _suggest(request, session, draft, branch, visitor, email)
    return see_other(request, "/suggest/thanks", branch=branch.slug)


def thanks(request: Request, session: Session) -> Response:
    """The same whether or not the address is one that is trusted: anybody can type it."""
    found = branches.at_slugs(session, [query(request)["branch"]])
    return render(request, "suggest/thanks.html", branch=found[0] if found else None)


def _place_of(name: str) -> int:
    return IN_ORDER.index(name) if name in IN_ORDER else len(IN_ORDER)


def _event(request: Request, form: Form, branch: Branch) -> EventDraft:
    said = Form(item for item in form.items() if item[0] in EVENT_FIELDS)
    moment = now()
    typing = Typing(language_of(request), moment.date())
    draft = draft_of(said, branch, {"state": State.SUBMITTED}, typing=typing)
    if to_utc(draft.end, draft.timezone) <= moment:
        raise InvalidForm({"start_date": say("That is over already. Which day do you mean?")})
    return draft


def _nowhere() -> Branch:
    """While it is not known which branch it is, so that everything else that is wrong can be said."""
    return Branch(slug="", name="", updated_at=now())


def _suggest(
    request: Request, session: Session, draft: EventDraft, branch: Branch, visitor: VisitorDraft, email: str
) -> None:
    moment, publishing, spoken = now(), state_of(request).publishing, language_of(request)
    event, is_new = changes.post(
        session, draft, [branch], None, publishing, moment, key=visitor.key, action="suggested"
    )
    if not is_new:
        return
    proposals.add(
        session, event, moment, name=visitor.name, email=email, note=visitor.note, language=spoken.code
    )
    if email and proposals.is_trusted_address(session, event.branch_id, email):
        _mail_link(request, session, event, branch, email, moment)


# ---------------------------------------------------------------- for which branch


def _asked(session: Session, slug: str) -> str:
    """The branch whose page led here, at its present address. Raises NotFound, or Gone for one that has closed."""
    if not slug:
        return ""
    found = branches.by_slug(session, slug)
    branch = branches.here(session, found.slug) if isinstance(found, Moved) else found
    if branch.status not in FOUND:
        raise Gone(say("This branch takes no suggestions at the moment."))
    return branch.slug


def _branch(request: Request, session: Session, form: Form) -> Branch:
    """The one that was chosen, or that what was typed means. Raises InvalidForm."""
    typed = _typed(form)
    if not typed:
        raise InvalidForm({"branch": say("Please say which branch it is for.")})
    found = joining.called(session, typed) or _near(request, session, typed)
    if len(found) > 1:
        raise InvalidForm(
            {"choice": say("That may be several branches. Please choose one, or write more of its name.")}
        )
    return found[0]


def _offered(request: Request, session: Session, form: Form) -> list[Branch]:
    typed = form["branch"].strip()
    if not typed:
        return []
    try:
        found = joining.called(session, typed) or _near(request, session, typed)
    except InvalidForm:
        return []
    return list(found[: joining.MOST_CHOICES])


def _typed(form: Form) -> str:
    """A choice counts for the text that it was offered for: who types something else means that."""
    text = form["branch"].strip()
    return form["choice"] if form["choice"] and text == form["meant"] else text


def _near(request: Request, session: Session, typed: str) -> list[Branch]:
    """For each place that may be meant the branch that serves it, else the nearest. Raises InvalidForm."""
    try:
        finding = find_place(request, session, Form([("near", typed)]))
    except Unreadable as error:
        raise InvalidForm({"branch": error.message}) from error
    if finding.problem is not None:
        raise InvalidForm({"branch": finding.problem.message})
    readings = [one for one in finding.readings if one.point is not None][:READINGS]
    best = [_best(request, session, replace(finding, readings=[one])) for one in readings]
    found = {branch.id: branch for branch in best if branch is not None}
    if not found:
        raise InvalidForm({"branch": say("There is no branch near “%(place)s”.", place=typed[:80])})
    return list(found.values())


def _best(request: Request, session: Session, finding: Finding) -> Branch | None:
    found, _ = near.search(request, session, EMPTY, finding)
    return next(iter([*found.branches, *found.online]), None)


def _with_town(branch: Branch) -> str:
    return ", ".join(part for part in (branch.name, branch.city_line) if part)


# ---------------------------------------------------------------- addresses that are trusted


def _mail_link(
    request: Request, session: Session, event: Event, branch: Branch, email: str, moment: datetime
) -> None:
    """Anybody can type an address: only who reads its mail publishes."""
    spoken, lifetime = language_of(request), OneTimeLink.INVITATION_LIFETIME
    person = sign_in.find_or_add(session, email, moment, spoken.code)
    token = sign_in.make_link(
        session, person, Purpose.SUGGESTION, moment, lifetime, detail=f"{event.id} {edition(session, event)}"
    )
    body = say(
        "“%(title)s” was suggested to %(branch)s with this address, which is trusted there.\n\n"
        "Open this link and press the button to publish it:\n\n%(address)s\n\n"
        "It works once, within %(days)d days. If it was not you, do nothing: then an organizer looks at it.",
        title=answers.defused(event.title),
        branch=branch.name,
        address=links.address_of(request, token),
        days=lifetime.days,
    )
    subject = say("Publish an event of %(branch)s", branch=branch.name)
    links.mail_unproved(request, session, email, subject, body)


def _suggestion(session: Session, one_time: OneTimeLink) -> tuple[Proposal, Event]:
    """Raises Conflict when it is not what was suggested any more: whoever changed it may not have finished."""
    number, _, seen = one_time.detail.partition(" ")
    event, proposal = session.get(Event, int(number)), session.get(Proposal, int(number))
    if event is None or proposal is None or event.deleted_at is not None:
        raise Gone(say("This suggestion is not there any more."))
    if proposal.decided_at is None and seen != edition(session, event):
        raise Conflict(say("An organizer has changed this event since, and looks after it now."))
    return proposal, event


def _words(request: Request, session: Session, one_time: OneTimeLink) -> Words:
    _, event = _suggestion(session, one_time)
    said, spoken = content.said(derived.tell(session, event)), language_of(request)
    shown = [content.when(said, spoken), str(said.place).replace("\n", ", "), plain(said.text)]
    return Words(
        title=say("Publish “%(title)s”?", title=event.title),
        button=say("Publish it"),
        text=say(
            "%(what)s\n\nEverybody sees it then, on this site and in the calendars that follow it.",
            what="\n\n".join(part for part in shown if part),
        ),
    )


def _publish(request: Request, session: Session, form: Form, one_time: OneTimeLink) -> Response:
    _, event = _suggestion(session, one_time)
    changes.hold(session, event)
    proposal, event = _suggestion(session, one_time)
    person = session.get_one(Person, one_time.person_id)
    if not proposals.is_trusted_address(session, event.branch_id, person.email):
        raise Conflict(say("An organizer looks at it first. You hear of it by e-mail."))
    proposals.accept(session, proposal, event, person, state_of(request).publishing, now())
    return see_other(request, f"/events/{event.id}")


PUBLICATION = LinkPage(_words, _publish, anew=("/suggest", say("Suggest an event")))


# ---------------------------------------------------------------- reporting a problem


@dataclass(frozen=True, slots=True)
class About:
    """What something is wrong with: an event, or (`event` None) a branch."""

    path: str
    name: str
    branch: Branch
    event: Event | None = None


def report_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    about = _about(request, session)
    if isinstance(about, Moved):
        return moved(request, f"/branches/{about.slug}/report")
    kinds = [(kind, language_of(request).say(sentence)) for kind, sentence in reports.KINDS.items()]
    return render(
        request,
        "suggest/report.html",
        about=about,
        form=form,
        faults=faults,
        kinds=kinds,
        key=form_key(form),
    )


def report(request: Request, session: Session, form: Form) -> Response:
    """It changes nothing that is public."""
    about = _here(request, session)
    draft = form.draft(ReportDraft)
    if not form[HONEYPOT]:
        reports.add(session, draft, about.branch, about.event, now())
    return see_other(request, f"{about.path}/report/thanks")


def report_thanks(request: Request, session: Session) -> Response:
    return render(request, "suggest/report_thanks.html", about=_here(request, session))


def _about(request: Request, session: Session) -> About | Moved:
    """What the path names. Raises NotFound, and Gone for an event that was removed."""
    if "id" in request.path_params:
        event = queries.public_event(session, number_at(request))
        branch = session.get_one(Branch, event.branch_id)
        return About(f"/events/{event.id}", event.title, branch, event)
    found = branches.by_slug(session, request.path_params["slug"])
    return found if isinstance(found, Moved) else About(f"/branches/{found.slug}", found.name, found)


def _here(request: Request, session: Session) -> About:
    about = _about(request, session)
    if isinstance(about, Moved):
        branch = branches.here(session, about.slug)
        return About(f"/branches/{branch.slug}", branch.name, branch)
    return about
