"""What people do to single dates of a series, to those that follow one, and to an event of which they want another."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from pydantic import ValidationError
from sqlmodel import Session

from ..drafts import faults
from ..errors import Conflict, say
from ..language import Language
from ..people.models import Person
from . import changes, store
from .content import Publishing
from .derived import tell
from .drafts import EventDraft, OverrideDraft, shifted
from .horizon import rule_of
from .models import Event, State
from .recurrence import counterpart, is_start, starts
from .timezones import to_wall

POSTPONED = say("It takes place later; the new date is not known yet.")

# ---------------------------------------------------------------- one date


def is_date(event: Event, original_start: datetime) -> bool:
    """Whether the series has such a date and does not leave it out."""
    rule = rule_of(event)
    return (
        rule is not None
        and is_start(rule, event.start, original_start)
        and original_start.isoformat() not in event.exdates
    )


def date_of(session: Session, event: Event, original_start: datetime) -> OverrideDraft:
    """How the date differs from its series by now; not at all, when it is not changed."""
    known = _changed_dates(session, event)
    return known.get(original_start, OverrideDraft(original_start=original_start))


def _changed_dates(session: Session, event: Event) -> Mapping[datetime, OverrideDraft]:
    return {
        row.original_start: OverrideDraft.model_construct(
            **{name: getattr(row, name) for name in OverrideDraft.model_fields}
        )
        for row in tell(session, event).overrides
    }


def reason_of(kind: str, reason: str, spoken: Language) -> str:
    """What is told of a date that is off. The calendars' own format knows no postponed dates, so words say it."""
    return f"{spoken.say(POSTPONED)} {reason}" if kind == State.POSTPONED else reason


def kind_and_reason(change: OverrideDraft, spoken: Language) -> tuple[str, str]:
    """The other way round."""
    postponed = spoken.say(POSTPONED)
    if change.reason.startswith(postponed):
        return State.POSTPONED, change.reason.removeprefix(postponed).strip()
    return State.CANCELLED, change.reason


def cancel_dates(
    session: Session,
    event: Event,
    original_starts: Sequence[datetime],
    reason: str,
    publishing: Publishing,
    now: datetime,
) -> None:
    """What else was changed on a date stays: it is off where and when people expect it. NotFound: no such date."""
    known = _changed_dates(session, event)
    off = [
        known.get(at, OverrideDraft(original_start=at)).model_copy(
            update={"cancelled": True, "reason": reason}
        )
        for at in original_starts
    ]
    store.change_dates(session, event, off, publishing, now)


def resume_date(
    session: Session, event: Event, original_start: datetime, publishing: Publishing, now: datetime
) -> None:
    """A cancelled date takes place after all: as the series says, but for what else was changed. As `cancel_dates`."""
    change = date_of(session, event, original_start).model_copy(update={"cancelled": False, "reason": ""})
    store.change_date(session, event, change, publishing, now)


# ---------------------------------------------------------------- those that follow


def end_before(
    session: Session,
    event: Event,
    original_start: datetime,
    reason: str,
    publishing: Publishing,
    now: datetime,
) -> None:
    """The series ends before that date. With a reason, that date stays as a cancelled one, which says why.

    NotFound when there is no such date, Conflict when no date would be left.
    """
    following(session, event, original_start)  # whether there is such a date
    whole = _draft(session, event)
    left = list(starts(whole.rule, event.start, whole.exdates, before=original_start))
    if not left or whole.rule is None:
        raise Conflict(
            say("No date would be left. Cancel the whole event instead, so that people hear of it.")
        )
    changed = [one for one in whole.overrides if one.original_start < original_start]
    if reason:
        off = date_of(session, event, original_start).model_copy(update={"cancelled": True, "reason": reason})
        changed.append(off)
    last = original_start if reason else left[-1]
    ended = whole.model_copy(
        update={
            "rrule": str(replace(whole.rule, count=None, until=last)),
            "exdates": tuple(at for at in whole.exdates if at < last),
            "overrides": tuple(changed),
        }
    )
    store.replace_with(session, event, ended, tell(session, event).hosts, publishing, now)


def carried(draft: EventDraft, before: EventDraft) -> EventDraft:
    """The draft with those changed and left out dates of `before` that it still has, as `store.revise` keeps them."""

    def at(original: datetime) -> datetime | None:
        return counterpart(draft.rule, draft.start, before.start, original)

    exdates = {found for original in before.exdates if (found := at(original))}
    taken, kept = set(exdates), []
    for change in sorted(before.overrides, key=lambda one: at(one.original_start) != one.original_start):
        original = at(change.original_start)
        if original is not None and original not in taken:
            taken.add(original)
            kept.append(_carried(change, original, draft.all_day == before.all_day))
    return draft.model_copy(update={"exdates": tuple(sorted(exdates)), "overrides": tuple(kept)})


def _carried(change: OverrideDraft, original_start: datetime, keeps_hours: bool) -> OverrideDraft:
    """The same change on another date: hours of its own stay, an end alone goes along."""
    move = original_start - change.original_start
    start, end = (change.start, change.end) if keeps_hours else (None, None)
    if start is None and end is not None:
        end += move
    return change.model_copy(update={"original_start": original_start, "start": start, "end": end})


def following(session: Session, event: Event, original_start: datetime) -> EventDraft:
    """`store.following`; Conflict when clocks have changed since, so that the series has to be changed first."""
    try:
        return store.following(session, event, original_start)
    except ValidationError as error:
        raise _unsound(error) from error


def _draft(session: Session, event: Event) -> EventDraft:
    try:
        return store.draft_of(tell(session, event))
    except ValidationError as error:
        raise _unsound(error) from error


def _unsound(error: ValidationError) -> Conflict:
    why = next(iter(faults(error).values()))
    return Conflict(say("This event has to be changed as a whole first: %(why)s", why=why))


# ---------------------------------------------------------------- another of the same


def copy(
    session: Session, event: Event, person: Person | None, publishing: Publishing, now: datetime, key: str
) -> Event:
    """A draft of the same, on the first such weekday after today; single dates are as the series says.

    The same event again for the same key. Conflict as in `following`.
    """
    told = tell(session, event)
    plain = store.said_of(told) | {"state": State.DRAFT, "reason": "", "exdates": (), "overrides": ()}
    try:
        draft = _on_a_next_date(EventDraft.model_validate(plain), now)
    except ValidationError as error:
        raise _unsound(error) from error
    made, _ = changes.post(
        session, draft, told.hosts, person, publishing, now, key=key, action="copied", like=event
    )
    return made


def _on_a_next_date(draft: EventDraft, now: datetime) -> EventDraft:
    """The week after, where the clocks change at that hour. Raises ValidationError."""
    today = to_wall(now, draft.timezone).date()
    weeks = (today - draft.start.date()).days // 7 + 1
    try:
        return shifted(draft, weeks)
    except ValidationError:
        return shifted(draft, weeks + 1)
