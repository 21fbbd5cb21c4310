"""What there is to tell of events to somebody who was told until some moment: what is new, has changed, or is off.

One query finds the dates for one choice, as little more than their keys; what they say is asked for many choices at
once.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from itertools import groupby
from typing import Any, NamedTuple, TypeAlias

import sqlalchemy as sa
from sqlmodel import Session

from ..calendars.models import CALLED_OFF, Event, EventBranch, EventTopic, Occurrence, Override
from ..calendars.queries import Listed, listing
from ..db import table_of
from ..places.geo import Point, geodesic
from ..places.nearest import here, index_of, within_here
from .choices import Choice

WINDOW = timedelta(days=60)  # how far ahead is told
MOST = 30  # dates of one kind; of all there are it is said how many
MOST_OF_SERIES = 3  # changed dates of one series

Key: TypeAlias = tuple[int, datetime]  # the event, and the original start of one of its dates


@dataclass(frozen=True, slots=True)
class Span:
    """From when on it is to be told (None: all that there is), until when, and what time it is."""

    since: datetime | None
    until: datetime
    now: datetime


@dataclass(frozen=True, slots=True)
class Found:
    """The soonest dates, at most MOST, and how many there are."""

    keys: Sequence[Key] = ()
    total: int = 0


@dataclass(frozen=True, slots=True)
class News:
    new: Found = Found()
    changed: Found = Found()
    off: Found = Found()

    @property
    def keys(self) -> list[Key]:
        return [*self.new.keys, *self.changed.keys, *self.off.keys]


def news(session: Session, choice: Choice, span: Span) -> News:
    """One query."""
    shape = _Shape(index_of(session), _is_placed(choice), bool(choice.branches), bool(choice.topics))
    statement = _all_there_is(shape) if span.since is None else _all_that_happened(shape)
    rows = session.connection().execute(statement, _values(choice, span))
    if span.since is not None:
        return _sorted_out(map(_Row._make, rows))
    first = rows.all()
    keys = [(event_id, _moment(start)) for event_id, start, _ in first]
    return News(new=Found(keys, first[0][2] if first else 0))


def dates(session: Session, keys: Collection[Key]) -> Mapping[Key, Listed]:
    """What these dates say; one query."""
    if not keys:
        return {}
    occurrence, wanted = table_of(Occurrence).c, set(keys)
    query = listing().where(
        occurrence.event_id.in_({event_id for event_id, _ in wanted}),
        occurrence.original_start.in_({original_start for _, original_start in wanted}),
    )
    found = (Listed(*row) for row in session.connection().execute(query))
    return {key: one for one in found if (key := (one.event_id, one.original_start)) in wanted}


# ---------------------------------------------------------------- which events


class _Shape(NamedTuple):
    """What a statement depends on. Each is made once, and filled in: to make one takes longer than the search."""

    spatial: str
    placed: bool
    of_branches: bool
    of_topics: bool

    @property
    def is_narrow(self) -> bool:
        return self.placed or self.of_branches


def _is_placed(choice: Choice) -> bool:
    return choice.point is not None and choice.within is not None


def _moment_given(name: str) -> sa.BindParameter[Any]:
    return sa.bindparam(name, type_=table_of(Event).c.published_at.type)


SINCE, UNTIL, NOW = map(_moment_given, ("since", "until", "now"))
OLD_END, END = map(_moment_given, ("old_end", "end"))  # of the window, then and now
PLANNED_END = sa.bindparam("planned_end", type_=table_of(Event).c.start.type)  # by whichever clock
BRANCHES, TOPICS = (sa.bindparam(name, expanding=True, type_=sa.Integer()) for name in ("branches", "topics"))


def _values(choice: Choice, span: Span) -> dict[str, Any]:
    end, since = span.until + WINDOW, span.since or span.until
    return {
        **{"since": since, "until": span.until, "now": span.now, "old_end": since + WINDOW, "end": end},
        **{"planned_end": end.replace(tzinfo=None), "branches": choice.branches, "topics": choice.topics},
        **(here(choice.point, choice.within) if choice.point and choice.within else {}),
    }


def _selected(shape: _Shape) -> list[sa.ColumnElement[bool]]:
    """On `event`: near the place or of the branches, and of the topics."""
    event, host, topic = table_of(Event), table_of(EventBranch).c, table_of(EventTopic).c
    held = event.c.id.in_(sa.select(host.event_id).where(host.branch_id.in_(BRANCHES)))
    listed = event.c.id.in_(sa.select(topic.event_id).where(topic.topic_id.in_(TOPICS)))
    where = [
        *([within_here(shape.spatial, event)] if shape.placed else []),
        *([held] if shape.of_branches else []),
    ]
    return [*([sa.or_(*where)] if where else []), *([listed] if shape.of_topics else [])]


def is_near(point: Point | None, choice: Choice) -> bool:
    """Whether the point lies within the circle of the choice."""
    if point is None or choice.point is None or choice.within is None:
        return False
    return geodesic(point, choice.point) <= choice.within


@cache
def _all_there_is(shape: _Shape) -> sa.Select[Any]:
    """The next date that is on, of each event that has one; and how many there are."""
    event, occurrence = table_of(Event).c, table_of(Occurrence).c
    place = sa.func.row_number().over(
        partition_by=occurrence.event_id, order_by=(occurrence.starts_at, occurrence.original_start)
    )
    start = _raw(occurrence.original_start).label("original_start")
    each = (
        sa.select(occurrence.event_id, start, occurrence.starts_at, place.label("place"))
        .join(table_of(Event), event.id == occurrence.event_id)
        .where(
            occurrence.ends_at > NOW,
            occurrence.starts_at < END,
            occurrence.cancelled.is_(False),
            sa.func.coalesce(event.published_at <= UNTIL, sa.true()),
            *_selected(shape),
        )
        .subquery()
        .c
    )
    query = sa.select(each.event_id, each.original_start, sa.func.count().over()).where(each.place == 1)
    return query.order_by(each.starts_at, each.event_id).limit(MOST)


def _raw(moment: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """As the database gives it (SQLite: text), for most of the rows are looked at and left."""
    return sa.type_coerce(moment, sa.types.NullType())


def _moment(value: str | datetime) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


# ---------------------------------------------------------------- what happened to them


class _Row(NamedTuple):
    """A date of an event to which something has happened since the reader was told, or that has come near since."""

    event_id: int
    original_start: str | datetime
    starts_at: str | datetime
    cancelled: bool  # the date, or the whole event
    inside: bool  # of the window
    new: bool  # the event was published since, or none of its dates was near enough then
    off: bool  # the whole event, cancelled or postponed
    off_since: bool
    date_off_since: bool  # this date alone
    date_changed: bool  # this date alone


def _sorted_out(rows: Iterable[_Row]) -> News:
    by_event = groupby(sorted(rows, key=lambda row: (row.event_id, row.starts_at)), lambda row: row.event_id)
    new, changed, off = list[_Row](), list[_Row](), list[_Row]()
    for _, group in by_event:
        _sort_out(list(group), new, changed, off)
    return News(_soonest(new), _soonest(changed), _soonest(off))


def _sort_out(rows: Sequence[_Row], new: list[_Row], changed: list[_Row], off: list[_Row]) -> None:
    """An event is told once, but for its single dates. Who never heard of one does not hear that it is off."""
    one, on = rows[0], [row for row in rows if not row.cancelled]
    if any(row.new for row in rows):
        new += [row for row in on[:1] if row.inside]
    elif one.off:
        off += [row for row in rows[:1] if row.off_since]
    else:
        dates_off = [row for row in rows if row.date_off_since]
        dates_changed = [row for row in on if row.date_changed][:MOST_OF_SERIES]
        off += dates_off
        changed += dates_changed if dates_changed or dates_off else on[:1]


def _soonest(rows: Sequence[_Row]) -> Found:
    first = sorted(rows, key=lambda row: (row.starts_at, row.event_id))[:MOST]
    return Found([(row.event_id, _moment(row.original_start)) for row in first], len(rows))


@cache
def _all_that_happened(shape: _Shape) -> sa.Select[Any]:
    """Dates that are not over and lie in the window, or lay in it before they were moved."""
    event, occurrence, override = table_of(Event).c, table_of(Occurrence).c, table_of(Override).c
    published, modified = _since(event.published_at), _since(event.modified_at)
    planned = sa.func.coalesce(event.moved_from, occurrence.original_start) < PLANNED_END
    this_one = sa.and_(
        override.event_id == occurrence.event_id, override.original_start == occurrence.original_start
    )
    return (
        sa.select(
            occurrence.event_id,
            _raw(occurrence.original_start),
            _raw(occurrence.starts_at),
            occurrence.cancelled,
            occurrence.starts_at < END,
            sa.or_(published, _entered()),
            event.state.in_(CALLED_OFF),
            _since(event.cancelled_at),
            sa.and_(occurrence.cancelled, _since(override.cancelled_at)),
            _since(override.modified_at),
        )
        .select_from(table_of(Occurrence))
        .join(table_of(Event), event.id == occurrence.event_id)
        .outerjoin(table_of(Override), this_one)
        .where(
            occurrence.ends_at > NOW,
            sa.or_(occurrence.starts_at < END, sa.and_(modified, planned)),
            sa.or_(published, modified, _entered()) if shape.is_narrow else event.id.in_(_of_all()),
            sa.func.coalesce(event.published_at <= UNTIL, sa.true()),
            *_selected(shape),
        )
    )


def _of_all() -> sa.CompoundSelect[tuple[int]]:
    """The events to which something happened, out of all there are, each by the index that finds it. Out of a few, it
    is quicker to look at each."""
    event, occurrence = table_of(Event).c, table_of(Occurrence).c
    return sa.union(
        sa.select(event.id).where(_since(event.published_at)),
        sa.select(event.id).where(_since(event.modified_at)),
        sa.select(occurrence.event_id).where(_entered()),
    )


def _since(moment: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    return sa.and_(moment > SINCE, moment <= UNTIL)


def _entered() -> sa.ColumnElement[bool]:
    """The window has moved on and has come to this date, and then there was no other date of the event in it."""
    occurrence, earlier = table_of(Occurrence).c, table_of(Occurrence).alias("earlier").c
    known = sa.exists().where(
        earlier.event_id == occurrence.event_id, earlier.ends_at > SINCE, earlier.starts_at < OLD_END
    )
    return sa.and_(occurrence.starts_at >= OLD_END, occurrence.starts_at < END, sa.not_(known))
