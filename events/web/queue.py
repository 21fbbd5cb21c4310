"""The queue: what waits for a decision of whoever looks at it, and deciding."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..calendars import changes, content, derived, horizon
from ..calendars.models import Event
from ..desk import cohosting, overview, proposals, reports
from ..desk.cohosting import Named
from ..desk.models import Proposal
from ..desk.proposals import Waiting
from ..desk.reports import Open
from ..drafts import Draft, LongText
from ..errors import Conflict, InvalidForm, Message, say
from ..people import joining
from ..people.models import Person
from .endpoints import now, person_of
from .forms import EMPTY, NO_FAULTS, Form, number_at, query
from .mine import branch_at
from .posting import edition
from .responses import see_other
from .state import language_of, state_of
from .templating import render
from .words import rule_in_words

QUEUE = "/organize/queue"
SHOWN = 30


class RefusalDraft(Draft):
    answer: Annotated[LongText, Field(max_length=2000)] = ""


@dataclass(frozen=True, slots=True)
class Item:
    """Something that waits; `kind` says which template shows the rest."""

    kind: str
    urgent: bool
    since: datetime
    shown: Mapping[str, object]


def page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    """The urgent first, then the oldest, whatever it is."""
    person = person_of(request)
    reported = reports.waiting(session, person, SHOWN)
    editable = overview.administered(session, person, [one.branch for one in reported])
    items = [
        *(_proposal(request, session, one) for one in proposals.waiting(session, person, SHOWN)),
        *(_report(request, one, one.branch.id in editable) for one in reported),
        *(_naming(request, session, one) for one in cohosting.waiting(session, person, now(), SHOWN)),
    ]
    return render(
        request,
        "organize/queue.html",
        items=sorted(items, key=lambda item: (not item.urgent, item.since))[:SHOWN],
        total=sum(waiting(request, session).values()),
        requests=joining.waiting(session, person),
        own=[
            {"event": event, "when": _when(request, session, event)}
            for event in proposals.own(session, person)
        ],
        trusted=proposals.trusted_addresses(session, person),
        form=form,
        faults=faults,
        done=_DONE.get(query(request)["done"]),
    )


def waiting(request: Request, session: Session) -> dict[str, int]:
    """How much waits for whoever asks, by kind, as the queue lists it."""
    person = person_of(request)
    return {
        "proposals": proposals.number(session, person),
        "reports": reports.number(session, person),
        "namings": cohosting.number(session, person, now()),
    }


_DONE = {
    "approved": say("It is published."),
    "declined": say("It was declined."),
    "closed": say("Done: the report is off the list."),
    "agreed": say("Your branch stays named as co-host."),
    "not-held": say("Your branch is not named there any more."),
    "distrusted": say("What comes from this address waits for an organizer again."),
}


# ---------------------------------------------------------------- what waits


def _proposal(request: Request, session: Session, one: Waiting) -> Item:
    told, spoken = derived.tell(session, one.event), language_of(request)
    rule = horizon.rule_of(one.event)
    shown = {
        "proposal": one.proposal,
        "event": one.event,
        "branch": one.branch,
        "author": one.author and (one.author.name or one.author.email),
        "when": _when(request, session, one.event),
        "over": one.event.ends_at is not None and one.event.ends_at <= now(),
        "repeats": rule_in_words(spoken, rule) if rule else "",
        "place": content.place(told),
        "hosts": [host.name for host in told.hosts[1:]],
        "edition": edition(session, one.event),
    }
    return Item("proposal", one.proposal.urgent, one.proposal.created_at, shown)


def _report(request: Request, one: Open, may_edit: bool) -> Item:
    shown = {
        "report": one.report,
        "branch": one.branch,
        "event": one.event,
        "what": reports.KINDS[one.report.kind],
        "may_edit": may_edit,
    }
    return Item("report", one.report.urgent, one.report.created_at, shown)


def _naming(request: Request, session: Session, one: Named) -> Item:
    shown = {
        "event": one.event,
        "host": one.host,
        "owner": one.owner,
        "when": _when(request, session, one.event),
    }
    return Item("naming", False, one.hosting.added_at or one.event.created_at, shown)


def _when(request: Request, session: Session, event: Event) -> str:
    return content.when(content.said(derived.tell(session, event)), language_of(request))


# ---------------------------------------------------------------- deciding


def accept(request: Request, session: Session, form: Form) -> Response:
    """Publishes what was seen: if it is not that any more, it has to be looked at again."""
    person, moment = person_of(request), now()
    proposal, event = _held(request, session, person)
    if proposal.decided_at is None and form["edition"] not in ("", edition(session, event)):
        raise Conflict(
            say("Somebody changed this event after you had opened the page. Please look at it again.")
        )
    branch_id, address = event.branch_id, proposal.email
    is_first = proposals.accept(session, proposal, event, person, state_of(request).publishing, moment)
    if is_first and form["trust"] == "yes" and address:
        proposals.trust(session, branch_id, address, moment)
    return see_other(request, QUEUE, done="approved")


def refuse(request: Request, session: Session, form: Form) -> Response:
    person = person_of(request)
    proposal, event = _held(request, session, person)
    try:
        answer = form.draft(RefusalDraft).answer
    except InvalidForm as error:  # each answer on the page has a field of its own
        raise InvalidForm({f"answer-{event.id}": error.faults["answer"]}) from error
    proposals.refuse(session, proposal, event, person, answer, state_of(request).publishing, now())
    return see_other(request, QUEUE, done="declined")


def _held(request: Request, session: Session, person: Person) -> tuple[Proposal, Event]:
    """The event first, as everywhere: of two who decide and change at once, the second waits here."""
    proposal, event = proposals.decidable(session, person, number_at(request))
    changes.hold(session, event)
    session.refresh(proposal)
    return proposal, event


def close_report(request: Request, session: Session, form: Form) -> Response:
    reports.close(reports.closable(session, person_of(request), number_at(request)), now())
    return see_other(request, QUEUE, done="closed")


def agree_to_host(request: Request, session: Session, form: Form) -> Response:
    named = cohosting.named(session, person_of(request), branch_at(request, session), number_at(request))
    if named is None:
        raise Conflict(say("The branch is not named there any more."))
    cohosting.agree(named)
    return see_other(request, QUEUE, done="agreed")


def decline_to_host(request: Request, session: Session, form: Form) -> Response:
    person = person_of(request)
    named = cohosting.named(session, person, branch_at(request, session), number_at(request))
    if named is not None:
        cohosting.decline(session, named, person, state_of(request).publishing, now())
    return see_other(request, QUEUE, done="not-held")


def distrust(request: Request, session: Session, form: Form) -> Response:
    branch = branch_at(request, session)
    proposals.check_decides(session, person_of(request), branch)
    proposals.distrust(session, branch, form["email"])
    return see_other(request, QUEUE, done="distrusted")
