"""Finding events. One `Selection` serves the pages and the feeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session, col, select

from ..branches.models import Branch
from ..db import table_of
from ..errors import Gone, NotFound, no_such_page, say
from ..places.geo import Distance, Point
from ..places.naming import words_of
from .listed import Listed as Listed
from .listed import listing as listing
from .listed import listing_of
from .models import PUBLIC, Attendance, Event, EventBranch, EventTopic, Occurrence, Override, Topic
from .walking import (
    Met,
    Way,
    begins_late_enough,
    begun_by,
    ends_after,
    few,
    first_midnight,
    first_of_event,
    in_order,
    is_large,
    not_over_on,
    past_all,
    searched,
    straight,
    walk,
)

PAGE = 50
LONG_AGO = datetime(1900, 1, 1, tzinfo=UTC)
NARROWED = 3  # a walk goes farther for what is of one topic, or in one language


class Numbers(NamedTuple):
    """The ids of the branches and topics that a selection names."""

    branches: list[int]
    topics: list[int]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which events: every part narrows; branches and topics are alternatives among themselves."""

    near: Point | None = None
    within: Distance | None = None
    branches: tuple[str, ...] = ()  # slugs
    topics: tuple[str, ...] = ()  # slugs
    first: date | None = None  # in the event's own zone
    last: date | None = None
    online: bool | None = None  # a hybrid event is both
    language: str = ""
    access: tuple[str, ...] = ()
    text: str = ""
    event_id: int | None = None

    def numbers(self, session: Session) -> "Numbers":
        """Raises NotFound for a topic or branch that does not exist."""
        branches = branch_ids(session, self.branches) if self.branches else []
        return Numbers(branches, topic_ids(session, self.topics) if self.topics else [])

    def conditions(
        self, session: Session, numbers: Numbers, most: int | None = None, since: datetime = LONG_AGO
    ) -> list[sa.ColumnElement[bool]]:
        """On the `event` table alone. `most`: of more events than that none is looked up (see `walking`), but what
        ends after `since` is walked past."""
        return self._met(session, numbers, most, since).of_event

    def _met(self, session: Session, numbers: Numbers, most: int | None, since: datetime) -> Met:
        found = Met()
        if self.near is not None and self.within is not None:
            narrowed = bool(self.topics) or self._has_no_index
            walked = most and most * NARROWED**narrowed
            found.near(session, self.near, self.within, walked, since)
        if self.branches:
            found.one_of(session, _held_by(numbers.branches), most)
        if self.topics:
            ids = sa.select(col(EventTopic.event_id)).where(col(EventTopic.topic_id).in_(numbers.topics))
            found.one_of(session, ids, most)
        if self.event_id is not None:
            found.look_up(col(Event.id) == self.event_id)
        if self.online is not None:
            kept = (Attendance.ONLINE if self.online else Attendance.IN_PERSON, Attendance.HYBRID)
            found.conditions.append(col(Event.attendance).in_(kept))
        if self.language:
            tag = col(Event.language)
            spoken = sa.or_(tag == self.language, tag.startswith(f"{self.language}-"))
            found.conditions.append(spoken)
        found.conditions += [("," + col(Event.access) + ",").contains(f",{word},") for word in self.access]
        found.conditions += [
            col(Event.search_key).contains(word, autoescape=True) for word in words_of(self.text)
        ]
        return found

    def way(self, session: Session, shown: int, since: datetime = LONG_AGO) -> Way:
        """To so many dates that end after `since`, first or last. Raises NotFound as `numbers`."""
        is_search = bool(words_of(self.text)) or (self._has_no_index and self.near is None)
        numbers = self.numbers(session)
        walks = bool(self.near or self.topics) or is_search
        if self.branches and not walks:
            walks = is_large(session, (*numbers.branches,), partial(_held_by, numbers.branches), shown, since)
        most = few(session, shown) if walks else None
        met = self._met(session, numbers, most, since)
        if met.looks_up or not met.of_event:
            return straight(met.of_event)
        if is_search and most is not None:
            return searched(session, met, shown, most, since)
        return past_all(session, met)

    @property
    def _has_no_index(self) -> bool:
        return bool(self.access or self.language or self.online is not None)

    def dates(self) -> list[sa.ColumnElement[bool]]:
        """On the `occurrence` table: what is on within the dates, by the event's own clock."""
        since = not_over_on(self.first) if self.first is not None else []
        return since + (begun_by(self.last) if self.last is not None else [])


EVERYTHING = Selection()


def upcoming(
    session: Session,
    selection: Selection,
    now: datetime,
    *,
    page: int = 1,
    size: int = PAGE,
    way: Way | None = None,
) -> tuple[list[Listed], bool]:
    """Dates that are not over, soonest first, and whether there are more. NotFound past the end.

    With `selection.first` in the past, dates since then. `way`: that of the selection, if it is known.
    """
    begin, days = since(selection, now), selection.dates()
    way = way or selection.way(session, page * size, begin)
    query = _soonest_of(way, days) if way.met or days else _soonest()
    found = _listed(session, query, size, since=begin, skip=(page - 1) * size)
    if page > 1 and not found[0]:
        raise no_such_page(page)
    return found


def upcoming_at(session: Session, branch_id: int, now: datetime, size: int) -> tuple[list[Listed], bool]:
    """As `upcoming`, what one branch holds."""
    large = is_large(session, (branch_id,), partial(_held_by, [branch_id]), size, now)
    query = _soonest_past() if large else _soonest_at()
    return _listed(session, query, size, since=now, branch=branch_id)


def dates_of(session: Session, event_id: int, now: datetime, most: int = 10) -> list[Listed]:
    return _listed(session, _soonest_dates(), most, since=now, event=event_id)[0]


def _listed(
    session: Session, query: sa.Select[Any], size: int, *, skip: int = 0, **asked: object
) -> tuple[list[Listed], bool]:
    found = session.connection().execute(query, {**asked, "skip": skip, "most": size + 1})
    rows = [Listed._make(row) for row in found.all()]  # one by one they take twice as long
    return rows[:size], len(rows) > size


@cache
def _soonest() -> sa.Select[Any]:
    """Of all dates, made once: `since`, `skip` and `most` are said when it is executed."""
    return _soonest_of(straight())


@cache
def _soonest_at() -> sa.Select[Any]:
    return _soonest_of(straight([col(Event.id).in_(_held())]))


@cache
def _soonest_past() -> sa.Select[Any]:
    """The same for a branch that holds very many events."""
    return _soonest_of(walk(Met(among=[_held()])))


def _held() -> sa.Select[Any]:
    return sa.select(col(EventBranch.event_id)).where(col(EventBranch.branch_id) == sa.bindparam("branch"))


def _held_by(branch_ids: Sequence[int]) -> sa.Select[Any]:
    return sa.select(col(EventBranch.event_id)).where(col(EventBranch.branch_id).in_(branch_ids))


@cache
def _soonest_dates() -> sa.Select[Any]:
    return _soonest_of(straight([col(Event.id) == sa.bindparam("event")]))


def _soonest_of(way: Way, days: Sequence[sa.ColumnElement[bool]] = ()) -> sa.Select[Any]:
    """Which dates these are is found in an index first, and what they say is read of those alone: a planner that saw
    both at once would sort all that is stored, or begin with the branches."""
    begin = sa.bindparam("since", type_=table_of(Occurrence).c.ends_at.type)
    skip, most = (sa.bindparam(name, type_=sa.Integer(), literal_execute=True) for name in ("skip", "most"))
    dates = in_order(way, begin, days).offset(skip).limit(most).subquery()
    return listing_of(dates).order_by(dates.c.starts_at, dates.c.event_id)


@dataclass(frozen=True, slots=True)
class DateKey:
    """Which date of which event, and when it is over."""

    event_id: int
    original_start: datetime
    ends_at: datetime


def coming_dates(
    session: Session, selection: Selection, now: datetime, most: int, hide_cancelled: bool
) -> list[DateKey]:
    """The dates that `upcoming` lists, without what they say."""
    query = dates_of_all(session, selection, now, most, hide_cancelled).limit(most)
    return [DateKey(*row) for row in session.connection().execute(query).all()]


def coming_events(
    session: Session, selection: Selection, now: datetime, most: int, hide_cancelled: bool
) -> list[DateKey]:
    """Each event once, with the first of its dates in the list."""
    query = firsts_of_all(session, selection, now, most, hide_cancelled).limit(most)
    return [DateKey(*row) for row in session.connection().execute(query).all()]


def firsts_of_all(
    session: Session, selection: Selection, now: datetime, shown: int, hide_cancelled: bool = False
) -> sa.Select[Any]:
    """As `dates_of_all`, of each event the first alone."""
    query = dates_of_all(session, selection, now, shown, hide_cancelled)
    return query.where(col(Occurrence.original_start) == first_of_event(_on(selection, now, hide_cancelled)))


def dates_of_all(
    session: Session, selection: Selection, now: datetime, shown: int, hide_cancelled: bool = False
) -> sa.Select[Any]:
    """What a `DateKey` is made of, soonest first; `shown` of the rows are wanted."""
    occurrence = table_of(Occurrence).c
    begin = since(selection, now)
    way = selection.way(session, shown, begin)
    query = sa.select(occurrence.event_id, occurrence.original_start, occurrence.ends_at)
    query = query.select_from(way.start).where(
        *begins_late_enough(way, begin), *_on(selection, now, hide_cancelled), *way.met
    )
    return query.order_by(occurrence.starts_at, occurrence.event_id, occurrence.original_start)


def last_over(session: Session, selection: Selection, now: datetime) -> datetime | None:
    """When a date last left the list because it was over."""
    occurrence = table_of(Occurrence).c
    way = selection.way(session, 1)
    over = (*selection.dates(), *way.met, occurrence.ends_at <= now)
    query = sa.select(occurrence.ends_at).select_from(way.start).where(*over)
    found: datetime | None = (
        session.connection().execute(query.order_by(occurrence.ends_at.desc()).limit(1)).scalar()
    )
    return found


def _on(selection: Selection, now: datetime, hide_cancelled: bool = False) -> list[sa.ColumnElement[bool]]:
    """On `occurrence`: what is not over, or all since `selection.first` when that is past."""
    shown = [col(Occurrence.cancelled).is_(False)] if hide_cancelled else []
    return [ends_after(since(selection, now)), *selection.dates(), *shown]


def since(selection: Selection, now: datetime) -> datetime:
    """What ended before is not listed: it is over, or it was before the first day that is asked for."""
    if selection.first is None:
        return now
    return LONG_AGO if selection.first < now.date() else max(now, first_midnight(selection.first))


def branches_meeting(since: datetime, until: datetime) -> sa.ColumnElement[bool]:
    """A condition on branches: something takes place there between the two."""
    return col(Branch.id).in_(_hosts(since, until))


def branches_on(session: Session, now: datetime) -> frozenset[int]:
    """The branches where something is on now, and not only online."""
    query = _hosts(now, now + timedelta(seconds=1)).join(
        table_of(Event), table_of(Event).c.id == table_of(EventBranch).c.event_id
    )
    rows = session.connection().execute(query.where(table_of(Event).c.attendance != Attendance.ONLINE))
    return frozenset(number for (number,) in rows)


def _hosts(since: datetime, until: datetime) -> sa.Select[Any]:
    host, occurrence = table_of(EventBranch).c, table_of(Occurrence).c
    return (
        sa.select(host.branch_id)
        .join(table_of(Occurrence), occurrence.event_id == host.event_id)
        .where(occurrence.ends_at > since, occurrence.starts_at < until, occurrence.cancelled.is_(False))
    )


def next_dates_of_branches(session: Session, branch_ids: Sequence[int], now: datetime) -> dict[int, Listed]:
    """The next date that is on, for each of the branches that has one: one query for all."""
    rows = session.connection().execute(_next_at(), {"branches": branch_ids, "since": now})
    return {row.branch_id: Listed(*row[:-2]) for row in rows.all()}


@cache
def _next_at() -> sa.Select[Any]:
    host, occurrence = table_of(EventBranch).c, table_of(Occurrence).c
    place = sa.func.row_number().over(
        partition_by=host.branch_id, order_by=(occurrence.starts_at, host.event_id)
    )
    first = (
        listing()
        .add_columns(host.branch_id, place.label("place"))
        .join(table_of(EventBranch), host.event_id == occurrence.event_id)
        .where(
            host.branch_id.in_(sa.bindparam("branches", expanding=True)),
            occurrence.ends_at > sa.bindparam("since", type_=occurrence.ends_at.type),
            occurrence.cancelled.is_(False),
        )
        .subquery()
    )
    return sa.select(first).where(first.c.place == 1)


def date_of(session: Session, event_id: int, day: date) -> Listed:
    """The date of an event that was planned for that day. Raises NotFound."""
    midnight = datetime.combine(day, datetime.min.time())
    planned = col(Occurrence.original_start)
    query = listing().where(
        col(Occurrence.event_id) == event_id, planned >= midnight, planned < midnight + timedelta(days=1)
    )
    row = session.connection().execute(query.order_by(planned)).first()
    if row is None:
        raise NotFound(say("This event is not on at that date."))
    return Listed(*row)


def public_event(session: Session, event_id: int) -> Event:
    """Raises NotFound for what is not public, Gone for what was removed."""
    event = session.get(Event, event_id)
    if event is None or (event.state not in PUBLIC and None in (event.deleted_at, event.published_at)):
        raise NotFound(say("There is no event at this address."))
    if event.deleted_at is not None:
        raise Gone(say("This event has been removed."))
    return event


def followed_event(session: Session, event_id: int, since: datetime) -> Event:
    """As `public_event`, for its feed: one that was withdrawn after `since` is still told as cancelled."""
    event = session.get(Event, event_id)
    if event is not None and event.withdrawn_at is not None and event.withdrawn_at >= since:
        return event
    return public_event(session, event_id)


def topic_at(session: Session, slug: str) -> Topic:
    topic = session.exec(_TOPIC, params={"slug": slug}).one_or_none()
    if topic is None:
        raise NotFound(say("There is no topic called “%(slug)s”.", slug=slug[:80]))
    return topic


def overrides_of(session: Session, event_id: int) -> Sequence[Override]:
    query = select(Override).where(col(Override.event_id) == event_id)
    return session.exec(query.order_by(col(Override.original_start))).all()


_TOPIC = select(Topic).where(col(Topic.slug) == sa.bindparam("slug"))
_IDS = sa.select(col(Branch.slug), col(Branch.id)).where(col(Branch.slug).in_(sa.bindparam("slugs")))


def branch_ids(session: Session, slugs: Sequence[str]) -> list[int]:
    """Raises NotFound for a slug that is none."""
    found = {row.slug: row.id for row in session.connection().execute(_IDS, {"slugs": [*slugs]})}
    if missing := [slug for slug in slugs if slug not in found]:
        raise NotFound(say("There is no branch called “%(slug)s”.", slug=missing[0][:80]))
    return list(found.values())


def topics_at(session: Session, slugs: Sequence[str]) -> list[Topic]:
    """In the order of the slugs. Raises NotFound for one that is none."""
    if len(slugs) < 2:
        return [topic_at(session, slug) for slug in slugs]
    found = {topic.slug: topic for topic in session.exec(select(Topic).where(col(Topic.slug).in_(slugs)))}
    return [found[slug] if slug in found else topic_at(session, slug) for slug in slugs]


def topic_ids(session: Session, slugs: Sequence[str]) -> list[int]:
    return [topic.id for topic in topics_at(session, slugs) if topic.id is not None]
