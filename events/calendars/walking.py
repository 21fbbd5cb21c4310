"""The first of many dates: which way to them is short, whatever is stored.

Either the events that are meant are looked up and their dates put in order, which takes as long as there are such
events, however few are shown. Or all dates are walked through in their order until there are enough, which is soon
where many are meant, and never where none is.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.util import ClauseAdapter
from sqlmodel import Session, col

from ..db import table_of
from ..places.geo import Distance, Point
from ..places.nearest import is_crowded, within
from .models import Event, Occurrence

NEVER = datetime(9999, 1, 1, tzinfo=UTC)
COUNTED, SAMPLE, SURE = 2000, 500, 3  # see `_is_crowd`
REMEMBERED_S, MOST_REMEMBERED = 60.0, 1000
AHEAD, BEHIND = timedelta(hours=14), timedelta(hours=12)  # of UTC: the first zone, and the last

_LARGE = "what is large, and until when that is believed"


@dataclass(frozen=True, slots=True)
class Way:
    """How dates are found: where to start from, and what they and their events have to meet."""

    start: sa.FromClause
    met: Sequence[sa.ColumnElement[bool]] = ()


def straight(met: Sequence[sa.ColumnElement[bool]] = ()) -> Way:
    """To what meets the conditions on `event`; without any from dates alone.

    SQLite, told how tables are filled, would begin with all events and put all their dates in order.
    """
    occurrence, event = table_of(Occurrence), table_of(Event)
    return Way(occurrence.join(event, event.c.id == occurrence.c.event_id) if met else occurrence, met)


@dataclass(slots=True)
class Met:
    """What is asked of an event."""

    conditions: list[sa.ColumnElement[bool]] = field(default_factory=list)  # on its row
    among: list[sa.Select[Any]] = field(default_factory=list)  # of its id: too many ids to look them up
    looks_up: bool = False  # a condition does, and those events are then all there are to look at
    crowd: Sequence[sa.ColumnElement[bool]] = ()  # near: the distance alone, for who walks past it
    crowd_by_index: Sequence[sa.ColumnElement[bool]] = ()  # the same, for who looks through all of it

    @property
    def on_row(self) -> list[sa.ColumnElement[bool]]:
        return [*self.crowd, *self.conditions]

    @property
    def of_event(self) -> list[sa.ColumnElement[bool]]:
        return self.on_row + self._among

    @property
    def looked_through(self) -> list[sa.ColumnElement[bool]]:
        return [*self.crowd_by_index, *self.conditions, *self._among]

    @property
    def _among(self) -> list[sa.ColumnElement[bool]]:
        return [_has(ids, col(Event.id)) for ids in self.among]

    def look_up(self, condition: sa.ColumnElement[bool]) -> None:
        self.conditions.append(condition)
        self.looks_up = True

    def near(
        self, session: Session, point: Point, distance: Distance, most: int | None, since: datetime
    ) -> None:
        """Of more than `most` the distance alone is asked, when dates are walked past from `since`."""
        by_index = within(session, table_of(Event), point, distance)
        if most is None or not _is_crowd(session, point, distance, most, since):
            self.look_up(by_index)
        else:
            self.crowd = [within(session, table_of(Event), point, distance, by_index=False)]
            self.crowd_by_index = [by_index]

    def one_of(self, session: Session, ids: sa.Select[Any], most: int | None) -> None:
        """`ids` must select one column, the event's id."""
        if most is None or not _are_more(session, ids, most):
            self.look_up(col(Event.id).in_(ids))
        else:
            self.among.append(ids)


def _is_crowd(session: Session, point: Point, distance: Distance, most: int, since: datetime) -> bool:
    """Whether more than `most` events are near.

    PostgreSQL takes 3 µs to count each. Beyond COUNTED it need not where the SAMPLE next dates have SURE times as many
    that are near as they would have with `most`.
    """
    event = table_of(Event)
    count = partial(is_crowded, session, event, point, distance)
    if session.get_bind().dialect.name != "sqlite" and most > COUNTED:
        if not count(COUNTED):
            return False
        dates = _of_next_dates(since, SAMPLE)
        is_near = within(session, event, point, distance, by_index=False)
        sample = sa.select(event.c.id).where(event.c.id.in_(dates), is_near)
        expected = SAMPLE * most / (session.execute(_NEWEST).scalar() or 1)
        if _number_of(session, sample) >= SURE * expected:
            return True
    return count(most)


def _from(way: Way, since: object) -> list[sa.ColumnElement[bool]]:
    """Of dates on the way: those that end after `since`, and where a walk begins to find them."""
    return [*begins_late_enough(way, since), ends_after(since)]


def _of_next_dates(since: datetime, most: int) -> sa.Select[Any]:
    """The events of so many dates that end after `since`, one for each date."""
    dates = sa.select(col(Occurrence.event_id)).where(*_from(straight(), since))
    return dates.order_by(col(Occurrence.starts_at), col(Occurrence.event_id)).limit(most)


def _are_more(session: Session, ids: sa.Select[Any], most: int) -> bool:
    """Whether `ids` selects more than `most`, counted no further."""
    return _number_of(session, ids.limit(most + 1)) > most


def _number_of(session: Session, rows: sa.Select[Any]) -> int:
    number: int = session.execute(sa.select(sa.func.count()).select_from(rows.subquery())).scalar_one()
    return number


def is_large(
    session: Session,
    key: tuple[object, ...],
    selecting: Callable[[], sa.Select[Any]],
    shown: int,
    since: datetime,
) -> bool:
    """Whether SQLite should walk from `since` past the ids that are selected: they are many, and enough of them soon.

    For what is asked for each page of a branch: the connection remembers the answer under `key` for REMEMBERED_S. One
    that is out of date costs time, and shows the same. PostgreSQL sees by itself which way is short.
    """
    if session.get_bind().dialect.name != "sqlite":
        return False
    known: dict[object, tuple[float, bool]] = session.connection().info.setdefault(_LARGE, {})
    key = (*key, shown, since.date())
    until, large = known.get(key, (0.0, False))
    if time.monotonic() >= until:
        most, ids = few(session, shown), selecting()
        large = _are_more(session, ids, most) and _are_soon(session, Met(among=[ids]), shown, most, since)
        if len(known) >= MOST_REMEMBERED:
            known.clear()
        known[key] = time.monotonic() + REMEMBERED_S, large
    return large


def _has(ids: sa.Select[Any], number: Any) -> sa.ColumnElement[bool]:
    """A condition: `ids` has that number, which is asked for each event or date that is walked past."""
    (column,) = ids.selected_columns
    return sa.exists(ids.where(column == number).correlate(number.table))


def past_all(session: Session, met: Met) -> Way:
    """To what very many events meet. PostgreSQL walks by itself, and asks what is cheap of them first."""
    return walk(met) if session.get_bind().dialect.name == "sqlite" else straight(met.of_event)


def walk(met: Met) -> Way:
    """From date to date, whatever the planner was told: each is asked whether its event meets the conditions.

    First what an index knows of the event's number, because to read what events say takes three times as long.
    """
    occurrence = table_of(Occurrence)
    return Way(occurrence, _asked(met, occurrence.c.event_id))


def _asked(met: Met, date: sa.ColumnElement[Any]) -> list[sa.ColumnElement[bool]]:
    """The same of each number of an event in the column `date`."""
    asked = [_has(ids, date) for ids in met.among]
    if met.on_row:
        event = sa.exists().where(col(Event.id) == date, *met.on_row)
        asked.append(event.correlate(date.table))
    return asked


def few(session: Session, shown: int) -> int:
    """So many events are worth looking up for so many dates; where more are meant, their dates are walked to.

    To look up n takes n, and to walk to what is shown takes what is stored / n for each: where both are the same,
    neither takes long.
    """
    newest: int | None = session.execute(_NEWEST).scalar()
    return math.isqrt(shown * (newest or 0))


_NEWEST = sa.select(sa.func.max(col(Event.id)))  # a key, so about how many there are, and found at once


def searched(session: Session, met: Met, shown: int, most: int, since: datetime) -> Way:
    """To so many dates of what meets the conditions, which may be everywhere or nowhere, as words and a language are.

    Where the next `most` dates have enough, these are walked to. Where not, events are looked through once, which
    takes a tenth of a second for a hundred thousand, and not each of their dates: for the few that end after `since`.
    """
    if _are_soon(session, met, shown, most, since):
        return walk(met)
    event = table_of(Event).c
    # Hidden from the planner, or it would take the index of the end and read the events in no order.
    goes_on = sa.func.coalesce(event.ends_at, sa.literal(NEVER, event.ends_at.type)) > since
    found = sa.select(event.id).where(goes_on, *met.looked_through).limit(most + 1)
    ids = session.execute(found).scalars().all()
    return straight([event.id.in_(ids)]) if len(ids) <= most else walk(met)


def _are_soon(session: Session, met: Met, shown: int, most: int, since: datetime) -> bool:
    """Whether a walk from `since` finds so many among its first `most` dates, however many begin at one moment."""
    date = _of_next_dates(since, most).subquery().c.event_id
    return _number_of(session, sa.select(date).where(*_asked(met, date)).limit(shown)) >= shown


def _said_as(function: type[sa.sql.functions.GenericFunction[Any]], usual: str, to_sqlite: str) -> None:
    """How a function of ours is written in SQL, around what it is given."""

    def writer(form: str) -> Callable[..., str]:
        def written(called: Any, compiler: SQLCompiler, **named: Any) -> str:
            return form.format(*(compiler.process(each, **named) for each in called.clauses))

        return written

    compiles(function)(writer(usual))
    compiles(function, "sqlite")(writer(to_sqlite))


class _Hidden(sa.sql.functions.GenericFunction[Any]):
    """A column as it is, but SQLite's planner does not take an index of it. PostgreSQL finds its own way."""

    name = "hidden"
    inherit_cache = True


_said_as(_Hidden, "{}", "+{}")


def ends_after(moment: object) -> sa.ColumnElement[bool]:
    """Of a date. SQLite, told how tables are filled, would take the index of the ends to find the first ten, and put
    all that are to come in order."""
    ends_at = table_of(Occurrence).c.ends_at
    return sa.type_coerce(_Hidden(ends_at), ends_at.type) > moment


class _ByBytes(sa.sql.functions.GenericFunction[str]):
    """A text in the order that SQLite and Python have, whatever the language is that PostgreSQL was set up in."""

    name = "by_bytes"
    inherit_cache = True


_said_as(_ByBytes, '{} COLLATE "C"', "{}")


def by_bytes(text: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """To order by."""
    return _ByBytes(text)


class _DaysBefore(sa.sql.functions.GenericFunction[datetime]):
    """Two days before a moment, or a little more."""

    name = "days_before"
    inherit_cache = True


_said_as(_DaysBefore, "({} - interval '2 days')", "date({}, '-2 days')")


class _IsLong(sa.sql.functions.GenericFunction[bool]):
    """Of an end and a start: as the condition of the index ix_occurrence_long is written, or it is not taken."""

    name = "is_long"
    inherit_cache = True


_said_as(_IsLong, "{} - {} > interval '2 days'", "julianday({}) - julianday({}) > 2")


def begins_late_enough(way: Way, since: object) -> list[sa.ColumnElement[bool]]:
    """Of a walk through all dates: where it begins, before which all are over at `since`. Nothing of another way.

    That is two days before, or with the first of the long dates that are on or to come: so what a list costs does not
    grow with the past.
    """
    occurrence = table_of(Occurrence)
    if way.start is not occurrence:
        return []
    moment = occurrence.c.ends_at.type
    begin = sa.literal(since, moment) if isinstance(since, datetime) else since
    long = occurrence.alias("long").c
    # Not of the column itself, or both planners look through all dates for the first that is long.
    first = sa.func.min(sa.func.coalesce(long.starts_at, long.starts_at))
    ways = sa.union_all(
        sa.select(sa.type_coerce(_DaysBefore(begin), moment).label("begins_at")),
        sa.select(first).where(_IsLong(long.ends_at, long.starts_at), long.ends_at > begin),
    ).subquery()
    return [occurrence.c.starts_at >= sa.select(sa.func.min(ways.c.begins_at)).scalar_subquery()]


def in_order(
    way: Way, since: object, days: Sequence[sa.ColumnElement[bool]] = ()
) -> sa.Select[tuple[Any, ...]]:
    """The dates there that end after `since` and meet the conditions `days`, the soonest first."""
    occurrence = table_of(Occurrence)
    found = sa.select(occurrence).select_from(way.start)
    found = found.where(*_from(way, since), *days, *way.met)
    return found.order_by(occurrence.c.starts_at, occurrence.c.event_id)


def first_of_event(on: Sequence[sa.ColumnElement[bool]]) -> sa.ScalarSelect[datetime]:
    """Of the event that a date is of, the original start of the first of its dates that meet the conditions.

    It is asked for each date that is walked past, and not of all events before the first is shown.
    """
    its = table_of(Occurrence).alias("its")
    meets = [ClauseAdapter(its).traverse(condition) for condition in on]
    query = sa.select(its.c.original_start).where(its.c.event_id == col(Occurrence.event_id), *meets)
    first = query.order_by(its.c.starts_at, its.c.original_start).limit(1)
    return first.correlate(table_of(Occurrence)).scalar_subquery()


def not_over_on(day: date) -> list[sa.ColumnElement[bool]]:
    """Dates that go on into that day or after it, by their own clock.

    The wall clock decides. The moment, which is earlier than any zone's midnight, is what there is an index of.
    """
    begin = datetime.combine(day, datetime.min.time())
    return [col(Occurrence.end) > begin, ends_after(first_midnight(day))]


def first_midnight(day: date) -> datetime:
    """When that day begins on earth."""
    return datetime.combine(day, datetime.min.time(), UTC) - AHEAD


def begun_by(day: date) -> list[sa.ColumnElement[bool]]:
    """Dates that begin on that day or before it, by their own clock. A walk ends with the last zone's midnight."""
    after = datetime.combine(day, datetime.min.time()) + timedelta(days=1)
    return [col(Occurrence.start) < after, col(Occurrence.starts_at) < after.replace(tzinfo=UTC) + BEHIND]
