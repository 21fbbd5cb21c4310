"""What can be done to an event as a whole: cancelling, postponing, taking that back, publishing, copying, removing."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches.models import Branch
from ..calendars import changes, content, dates, derived, horizon, queries
from ..calendars.models import CALLED_OFF, Event, State
from ..calendars.recurrence import starts
from ..desk import proposals
from ..drafts import Draft, ShortText
from ..errors import Conflict, Message, NotFound, say
from ..people import permissions
from .endpoints import now, person_of
from .forms import EMPTY, NO_FAULTS, Form, sent_key
from .mine import event_at, event_to_change
from .responses import see_other
from .state import language_of, state_of
from .templating import render

CHANGEABLE_DATES = 12
KEEP_TEXT = "%Y-%m-%dT%H:%M"


class CancellationDraft(Draft):
    kind: Literal["cancelled", "postponed"] = "cancelled"
    reason: Annotated[ShortText, Field(min_length=1)]


def cancellation_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    event = announced(event_to_change(request, session))
    if form is EMPTY and event.state in CALLED_OFF:
        form = Form([("kind", event.state), ("reason", event.cancelled_reason)])
    return render(request, "organize/cancellation.html", event=event, form=form, faults=faults)


def cancel(request: Request, session: Session, form: Form) -> Response:
    event = announced(event_to_change(request, session))
    call_off(request, session, event, form.draft(CancellationDraft))
    return see_other(request, f"/organize/events/{event.id}", done="saved")


def call_off(request: Request, session: Session, event: Event, draft: CancellationDraft) -> None:
    """It does not take place, or not then; another reason replaces the first."""
    with changes.recorded(session, event, draft.kind, person_of(request), now()):
        if draft.kind == "postponed":
            event.postpone(draft.reason, now())
        else:
            event.cancel(draft.reason, now())
        derived.save(session, event, state_of(request).publishing, now())


def announced(event: Event) -> Event:
    """One that people may know of. To cancel a draft would publish it, without anybody's approval."""
    if not event.is_public:
        raise Conflict(say("This event is not published, so nobody has to be told. Remove it instead."))
    return event


def publish(request: Request, session: Session, form: Form) -> Response:
    event = event_to_change(request, session)
    bring_out(request, session, event)
    return see_other(request, f"/organize/events/{event.id}", done="saved")


def bring_out(request: Request, session: Session, event: Event) -> None:
    """Publishes a draft, or sends it for approval, and takes a cancellation back."""
    person, owner = person_of(request), session.get_one(Branch, event.branch_id)
    if event.is_public:
        state, action = State.PUBLISHED, "resumed"
    elif permissions.is_trusted(session, person, owner):
        state, action = State.PUBLISHED, "published"
    else:
        state, action = State.SUBMITTED, "submitted"
    was = event.state
    with changes.recorded(session, event, action, person, now()):
        event.publish()
        event.state = state
        derived.save(session, event, state_of(request).publishing, now())
    if was == State.SUBMITTED and state == State.PUBLISHED:
        proposals.settle(session, event, True, now())
    elif state == State.SUBMITTED != was:
        proposals.add(session, event, now(), person=person, language=language_of(request).code)


def copy(request: Request, session: Session, form: Form) -> Response:
    """A draft of the same on the next such weekday, to be looked at and published."""
    event, publishing = event_at(request, session), state_of(request).publishing
    made = dates.copy(session, event, person_of(request), publishing, now(), sent_key(form))
    return see_other(request, f"/organize/events/{made.id}", done="draft")


# ---------------------------------------------------------------- removing, and bringing back


def remove(request: Request, session: Session, form: Form) -> Response:
    event = event_to_change(request, session, removed=True)
    if event.deleted_at is None:
        take_away(request, session, event)
    return see_other(request, "/organize", done="removed")


def take_away(request: Request, session: Session, event: Event) -> None:
    was = event.state
    with changes.recorded(session, event, "removed", person_of(request), now()):
        event.delete(now())
        derived.save(session, event, state_of(request).publishing, now())
    if was == State.SUBMITTED:
        proposals.settle(session, event, False, now())


def bring_back(request: Request, session: Session, form: Form) -> Response:
    event = event_to_change(request, session, removed=True)
    if event.deleted_at is not None:
        if not changes.may_return(event, now()):
            raise NotFound(say("This event was removed more than 30 days ago."))
        with changes.recorded(session, event, "returned", person_of(request), now()):
            changes.bring_back(session, event, state_of(request).publishing, now())
        proposals.reopen(session, event, now())
    return see_other(request, f"/organize/events/{event.id}", done="saved")


# ---------------------------------------------------------------- the dates of a series


def changeable(request: Request, session: Session, event: Event) -> list[dict[str, object]]:
    """The next dates of a series, each with the page that changes it."""
    rule = horizon.rule_of(event)
    if rule is None:
        return []
    spoken = language_of(request)
    overrides = {
        override.original_start: override for override in queries.overrides_of(session, event.id or 0)
    }
    skipped = [datetime.fromisoformat(text) for text in event.exdates]
    since = now().replace(tzinfo=None) - timedelta(days=1)
    lines = []
    for original in starts(rule, event.start, skipped, since, None, CHANGEABLE_DATES):
        override = overrides.get(original)
        start, end = content.times(event, override) if override else (original, original + event.duration)
        lines.append(
            {
                "key": original.strftime(KEEP_TEXT),
                "text": f"{spoken.capital(spoken.day(start.date()))}, {spoken.span(start, end, event.all_day)}",
                "cancelled": bool(override and override.cancelled),
                "changed": bool(override and not override.cancelled),
            }
        )
    return lines
