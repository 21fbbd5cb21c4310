"""Dates that people knew and that are not the same any more: put down whenever an event is written, and told a
minute later, so that a slip which is put right at once is told to nobody.

What is put down is how the dates were. Whether and how they differ is seen when it is told, from what is true then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

import sqlalchemy as sa
from sqlmodel import Session, col, select

from ..db import insert_into, table_of
from . import content
from .content import Said, Told
from .models import DateChange, Event, Occurrence

WAIT = timedelta(seconds=60)
LEASE = timedelta(minutes=5)  # longer than telling may take; after a crash a change waits this long
MOST_DATES = 20  # that one mail can tell of
WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Known:
    """What is said of one date. `became`: its original start by now, where it is another one."""

    original_start: datetime
    start: datetime  # wall clock, as are the first and the third
    end: datetime
    starts_at: datetime  # UTC
    ends_at: datetime
    cancelled: bool
    title: str
    place: str
    became: datetime | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """A row of `occurrence`."""
        return cls(**{name: row[name] for name in (*_MOMENTS, *_WORDS)})

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Self:
        """What `told_before` wrote."""
        values: dict[str, Any] = {name: said[name] for name in _WORDS}
        moments = (name for name in (*_MOMENTS, "became") if said[name])
        values |= {name: datetime.fromisoformat(said[name]) for name in moments}
        return cls(**values)


_MOMENTS = ("original_start", "start", "end", "starts_at", "ends_at")
_WORDS = ("cancelled", "title", "place")


def told_before(date: Known) -> dict[str, Any]:
    """A date as JSON."""
    moments = {name: getattr(date, name).isoformat() for name in _MOMENTS}
    became = date.became.isoformat() if date.became else None
    return {**moments, **{name: getattr(date, name) for name in _WORDS}, "became": became}


# ---------------------------------------------------------------- putting down


def lost(
    known: Sequence[Known], wanted: Sequence[Known], now: datetime, *, same_rules: bool
) -> list[dict[str, Any]]:
    """Dates that are not over, as they were before they became others, or none at all; the soonest first.

    Not `same_rules`: another tzdata means other moments by the same wall clock, and nobody has changed anything.
    """
    after = {date.original_start: date for date in wanted}
    missing = [date.original_start for date in known if date.original_start not in after]
    added = after.keys() - {date.original_start for date in known}
    became = _counterparts(missing, added, alone=len(known) == len(wanted) == 1)
    changed = sorted(
        (
            date
            for date in known
            if date.ends_at > now
            and not is_as_known(date, after.get(date.original_start), same_rules=same_rules)
        ),
        key=lambda date: date.starts_at,
    )
    return [
        {**told_before(date), "became": at.isoformat() if (at := became.get(date.original_start)) else None}
        for date in changed[:MOST_DATES]
    ]


def is_as_known(date: Known, after: Known | None, *, same_rules: bool = True) -> bool:
    """Where a date was to be is not known of rows without a place. Of one that was off, only that it is on is news."""
    if date.cancelled:
        return after is None or after.cancelled
    if after is None or after.cancelled or (date.start, date.end) != (after.start, after.end):
        return False
    if same_rules and (date.starts_at, date.ends_at) != (after.starts_at, after.ends_at):
        return False
    return date.place in ("", after.place)


def _counterparts(
    missing: Sequence[datetime], added: set[datetime], *, alone: bool
) -> dict[datetime, datetime]:
    """Which date took the place of which: that of a single event, that of the same day, else the one that lies as
    far off as most of the others do (a series that goes from Tuesdays to Wednesdays)."""
    if alone:
        return dict(zip(missing, added, strict=True))
    days = {at.date(): at for at in added}
    found = {at: days[at.date()] for at in missing if at.date() in days}
    left, free = [at for at in missing if at not in found], added - set(found.values())
    steps = {one - at for at in left[:3] for one in free if abs(one - at) < WEEK}
    if steps:
        step = max(steps, key=lambda step: (sum(at + step in free for at in left), -abs(step)))
        found |= {at: at + step for at in left if at + step in free}
    return found


def note(session: Session, event_id: int, changed: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """Once for each event: what is there already stays as it was known, and is told when it would have been."""
    table, values = table_of(DateChange), {"event_id": event_id, "before": changed}
    adding = (
        insert_into(session, table)
        .values(**values, created_at=now, run_at=now + WAIT)
        .on_conflict_do_nothing()
    )
    statement = adding.returning(table.c.event_id)
    while changed and session.connection().execute(statement).first() is None:
        if _added(session, event_id, changed):  # else it has just been told
            return


def _added(session: Session, event_id: int, changed: Sequence[Mapping[str, Any]]) -> bool:
    """Whoever is about to tell it begins again, because what they were to tell is not true any more."""
    table = table_of(DateChange)
    query = sa.select(table.c.before).where(table.c.event_id == event_id).with_for_update()
    before = session.connection().execute(query).scalar_one_or_none()
    if before is None:
        return False
    session.connection().execute(
        sa.update(table)
        .where(table.c.event_id == event_id)
        .values(before=_merged(before, changed), leased_until=None)
    )
    return True


def _merged(before: Sequence[Mapping[str, Any]], changed: Sequence[Mapping[str, Any]]) -> list[Any]:
    """A date that had moved for a minute and moves on was never known there."""
    moved = {date["original_start"]: date["became"] for date in changed if date["became"]}
    passed = {date["became"] for date in before if date["became"]}
    same = passed | {date["original_start"] for date in before}
    kept = [
        {**date, "became": moved.get(date["became"] or date["original_start"], date["became"])}
        for date in before
    ]
    return [*kept, *(date for date in changed if date["original_start"] not in same)][:MOST_DATES]


# ---------------------------------------------------------------- taking up


@dataclass(frozen=True, slots=True)
class Work:
    """Changed dates of an event, claimed."""

    event_id: int
    before: tuple[Known, ...]
    created_at: datetime
    leased_until: datetime


def is_due(session: Session, now: datetime) -> bool:
    """Whether there is anything to claim: a look that takes no lock."""
    return session.connection().execute(_due(now).limit(1)).first() is not None


def claim(session: Session, now: datetime, most: int = 1) -> list[Work]:
    """What has waited longest comes first."""
    table = table_of(DateChange)
    some = _due(now).limit(most).with_for_update(skip_locked=True).cte("some")  # see `db.lease`
    claimed = table.c.event_id.in_(sa.select(some.c.event_id))
    leased = sa.update(table).where(claimed).values(leased_until=now + LEASE)
    rows = session.connection().execute(leased.returning(*table.c)).all()
    return [
        Work(row.event_id, tuple(map(Known.read, row.before)), row.created_at, row.leased_until)
        for row in sorted(rows, key=lambda row: (row.run_at, row.event_id))
    ]


def settle(session: Session, work: Work) -> bool:
    """Forgets it, in the transaction that tells it. False: it has changed since, and is to be told otherwise."""
    table = table_of(DateChange)
    mine = (table.c.event_id == work.event_id, table.c.leased_until == work.leased_until)
    return session.connection().execute(sa.delete(table).where(*mine)).rowcount == 1


def forget_all(session: Session) -> int:
    """Of a database that comes out of a back-up: they may have been told since."""
    return session.connection().execute(sa.delete(table_of(DateChange))).rowcount


def _due(now: datetime) -> sa.Select[tuple[int]]:
    table = table_of(DateChange)
    free = sa.or_(table.c.leased_until.is_(None), table.c.leased_until < now)
    return (
        sa.select(table.c.event_id)
        .where(table.c.run_at <= now, free)
        .order_by(table.c.run_at, table.c.event_id)
    )


# ---------------------------------------------------------------- what differs


@dataclass(frozen=True, slots=True)
class Difference:
    """A date as it was known, and as it is now; None: it is not there any more, or not public."""

    was: Known
    now: Known | None
    said: Said | None


def continuations(session: Session, event: Event, since: datetime) -> Sequence[Event]:
    """Series that took over dates of this one since then: an organizer changed “this and following”."""
    query = select(Event).where(
        col(Event.related_uid) == event.uid, col(Event.created_at) >= since.replace(microsecond=0)
    )
    return [one for one in session.exec(query.order_by(col(Event.id))) if one.is_public and one.is_series]


def differences(
    session: Session, told: Sequence[Told], before: Sequence[Known], now: datetime
) -> list[Difference]:
    """What is to be told of dates that are not over, or are to come again, the soonest first.

    `told`: the event, then its continuations.
    """
    shown = {one.event.id: one for one in told}
    query = select(Occurrence).where(col(Occurrence.event_id).in_(shown.keys()))
    rows = {(row.event_id, row.original_start): row for row in session.exec(query)}
    found = []
    for was in before:
        row = rows.get((told[0].event.id or 0, was.became or was.original_start)) or _continued(
            was, rows, told[1:]
        )
        after = Known.of(row.model_dump()) if row else None
        to_come = after is not None and not after.cancelled and after.ends_at > now
        if (was.ends_at > now or to_come) and not is_as_known(was, after):
            said = content.said_on(shown[row.event_id], row.original_start) if row else None
            found.append(Difference(was, after, said))
    return sorted(found, key=lambda one: one.was.starts_at)


def _continued(
    was: Known, rows: Mapping[tuple[int, datetime], Occurrence], told: Sequence[Told]
) -> Occurrence | None:
    """The date of a new series that lies nearest, by less than half a week."""
    ids = {one.event.id for one in told}

    def away(row: Occurrence) -> timedelta:
        return abs(row.original_start - was.original_start)

    near = (row for row in rows.values() if row.event_id in ids and away(row) < WEEK / 2)
    return min(near, key=away, default=None)
