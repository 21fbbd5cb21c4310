"""Cancelling everything of some days at once (snow, a strike, the holidays), and taking all of it back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby

import sqlalchemy as sa
from sqlmodel import Session, col

from ..branches import queries
from ..branches.models import Branch
from ..calendars import changes, dates
from ..calendars.content import Publishing
from ..calendars.derived import save
from ..calendars.models import Event, Occurrence
from ..calendars.timezones import to_utc
from ..db import table_of
from ..people import history
from ..people.history import Version
from ..people.models import Person

MOST = 200  # dates at once: as many as a form can have, and a transaction can write within seconds
ACTION, UNDONE = "bulk", "bulk-undone"


@dataclass(frozen=True, slots=True)
class Days:
    """Whole days by the clock of a branch, both included."""

    first: date
    last: date
    timezone: str

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        """In UTC; the end is exclusive."""
        first, after = (
            datetime.combine(day, datetime.min.time()) for day in (self.first, self.last + timedelta(days=1))
        )
        return to_utc(first, self.timezone), to_utc(after, self.timezone)


@dataclass(frozen=True, slots=True)
class Planned:
    """One date that would be cancelled; of a single event, the whole event."""

    event_id: int
    original_start: datetime
    start: datetime
    end: datetime
    all_day: bool
    timezone: str
    title: str
    is_series: bool
    branch_name: str

    @property
    def key(self) -> str:
        return f"{self.event_id}@{self.original_start:%Y-%m-%dT%H:%M}"


def planned(
    session: Session, branch: Branch, days: Days, mine: sa.Select[tuple[int]], now: datetime, *, below: bool
) -> list[Planned]:
    """What begins on those days and is not over, of the branch (and all below it in the tree) and of `mine`: at most
    one more than MOST. What is cancelled already is not among it.
    """
    event, occurrence, table = table_of(Event).c, table_of(Occurrence).c, table_of(Branch).c
    since, until = days.bounds
    of_branches = sa.select(table.id).where(table.id == branch.id)
    if below:
        of_branches = queries.below(of_branches)
    query = (
        sa.select(
            occurrence.event_id,
            occurrence.original_start,
            occurrence.start,
            occurrence.end,
            event.all_day,
            event.timezone,
            occurrence.title,
            (event.rrule != "").label("is_series"),
            table.name,
        )
        .join(table_of(Event), event.id == occurrence.event_id)
        .join(table_of(Branch), table.id == event.branch_id)
        .where(event.branch_id.in_(of_branches), event.branch_id.in_(mine))
        .where(occurrence.starts_at >= since, occurrence.starts_at < until, occurrence.ends_at > now)
        .where(occurrence.cancelled.is_(False), event.deleted_at.is_(None))
        .order_by(occurrence.starts_at, occurrence.event_id)
        .limit(MOST + 1)
    )
    return [Planned(*row) for row in session.connection().execute(query)]


def cancel(
    session: Session,
    chosen: Sequence[Planned],
    reason: str,
    person: Person,
    publishing: Publishing,
    now: datetime,
    batch: str,
) -> None:
    """All of it with one reason, so that it can be taken back together."""
    in_order = sorted(chosen, key=lambda one: (one.event_id, one.original_start))
    for event_id, of_event in groupby(in_order, key=lambda one: one.event_id):
        event = session.get_one(Event, event_id)
        with changes.recorded(session, event, ACTION, person, now, batch):
            if event.is_series:
                starts = [one.original_start for one in of_event]
                dates.cancel_dates(session, event, starts, reason, publishing, now)
            else:
                event.cancel(reason, now)
                save(session, event, publishing, now)


# ---------------------------------------------------------------- afterwards


@dataclass(frozen=True, slots=True)
class Done:
    """What was cancelled of one event, and whether it is still so. `dates`: original starts; none: the whole event."""

    event: Event
    version: Version
    before: Version
    dates: Sequence[datetime]
    state: str  # cancelled, undone, changed (by somebody, since), or stuck: it cannot be as before any more


def done(session: Session, batch: str, mine: sa.Select[tuple[int]]) -> list[Done]:
    """By event, those of `mine`; what was removed since is not among it."""
    return [one for version in history.of_batch(session, batch) for one in _done(session, version, mine)]


def _done(session: Session, version: Version, mine: sa.Select[tuple[int]]) -> Iterator[Done]:
    kind, _, number = version.subject.partition(":")
    event = session.get(Event, int(number)) if kind == "event" and version.action == ACTION else None
    if event is None or event.deleted_at is not None or not _is_of(session, event, mine):
        return
    before = history.version(session, version.subject, version.number - 1)
    state = _state(session, event, changes.snapshot(session, event), before, version)
    yield Done(event, version, before, _newly_off(before, version), state)


def _state(session: Session, event: Event, current: changes.Snapshot, before: Version, after: Version) -> str:
    """By what the event says, not by who wrote last: a followed calendar changes events without a version."""
    if current == before.snapshot:
        return "undone"
    if current != after.snapshot:
        return "changed"
    return "cancelled" if changes.obstacle(session, event, before) is None else "stuck"


def _is_of(session: Session, event: Event, mine: sa.Select[tuple[int]]) -> bool:
    query = sa.select(col(Branch.id)).where(col(Branch.id) == event.branch_id, col(Branch.id).in_(mine))
    return session.connection().execute(query).first() is not None


def _newly_off(before: Version, after: Version) -> list[datetime]:
    was, is_off = (
        {one["original_start"] for one in version.snapshot["event"]["overrides"] if one["cancelled"]}
        for version in (before, after)
    )
    return [datetime.fromisoformat(at) for at in sorted(is_off - was)]


def undo(
    session: Session, all_of_it: Sequence[Done], person: Person, publishing: Publishing, now: datetime
) -> None:
    """Each event that nobody has changed since is as it was before; the others stay, whatever they say by now."""
    for one in all_of_it:
        if one.state == "cancelled":
            with changes.recorded(session, one.event, UNDONE, person, now):
                changes.restore(session, one.event, one.before, publishing, now)
