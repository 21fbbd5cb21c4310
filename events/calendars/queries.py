"""Finding events. One `Selection` serves the pages and the feeds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from ..branches.models import Branch
from ..db import table_of
from ..errors import Gone, Message, NotFound, no_such_page, say
from ..places.geo import Distance, Point
from ..places.naming import fold
from ..places.nearest import within
from .content import moved
from .models import PUBLIC, Attendance, Event, EventBranch, EventTopic, Occurrence, Override, Topic
from .wording import Part, Translations, Words, worded

PAGE = 50


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

    def conditions(self, session: Session) -> list[sa.ColumnElement[bool]]:
        """On the `event` table alone. Raises NotFound for a topic or branch that does not exist."""
        found: list[sa.ColumnElement[bool]] = []
        if self.near is not None and self.within is not None:
            found.append(within(session, table_of(Event), self.near, self.within))
        if self.branches:
            ids = sa.select(col(EventBranch.event_id)).where(
                col(EventBranch.branch_id).in_(branch_ids(session, self.branches))
            )
            found.append(col(Event.id).in_(ids))
        if self.topics:
            wanted = topic_ids(session, self.topics)
            ids = sa.select(col(EventTopic.event_id)).where(col(EventTopic.topic_id).in_(wanted))
            found.append(col(Event.id).in_(ids))
        if self.online is not None:
            kept = (Attendance.ONLINE if self.online else Attendance.IN_PERSON, Attendance.HYBRID)
            found.append(col(Event.attendance).in_(kept))
        if self.language:
            found.append(
                sa.or_(
                    col(Event.language) == self.language, col(Event.language).startswith(f"{self.language}-")
                )
            )
        found += [("," + col(Event.access) + ",").contains(f",{word},") for word in self.access]
        found += [col(Event.search_key).contains(word, autoescape=True) for word in fold(self.text).split()]
        if self.event_id is not None:
            found.append(col(Event.id) == self.event_id)
        return found

    def dates(self) -> list[sa.ColumnElement[bool]]:
        """On the `occurrence` table: what is on within the dates, by the event's own clock."""
        found: list[sa.ColumnElement[bool]] = []
        if self.first is not None:
            found.append(col(Occurrence.end) > datetime.combine(self.first, datetime.min.time()))
        if self.last is not None:
            after = datetime.combine(self.last, datetime.min.time()) + timedelta(days=1)
            found.append(col(Occurrence.start) < after)
        return found


EVERYTHING = Selection()
OF_EVENTS = sa.join(table_of(Occurrence), table_of(Event), col(Event.id) == col(Occurrence.event_id))


@dataclass(frozen=True, slots=True)
class Listed:
    """One date in a list: columns, not instances of the tables, which cost five times as much to make."""

    event_id: int
    title: str
    start: datetime
    end: datetime
    original_start: datetime
    starts_at: datetime
    cancelled: bool
    all_day: bool
    timezone: str
    language: str
    attendance: str
    rrule: str
    series_start: datetime
    cancelled_reason: str
    venue_name: str
    venue_address: str
    branch_name: str
    branch_slug: str
    branch_city: str
    latitude: float | None
    longitude: float | None
    state: str
    moved_from: datetime | None  # of a single event
    asked_since: datetime | None = None  # whether it still takes place, without an answer
    translations: Translations | None = field(default=None, hash=False)
    has_own_title: bool = False  # that of the date, which nobody has translated

    def titled(self, code: str) -> Words:
        """For readers of that language."""
        own = Words(self.title, self.language)
        return own if self.has_own_title else worded(own, Part.TITLE, self.translations, code)

    @property
    def point(self) -> Point | None:
        if self.latitude is None or self.longitude is None:
            return None
        return Point(self.latitude, self.longitude)

    @property
    def place_line(self) -> str:
        """The venue, else the town of the branch; nothing for what is only online."""
        if self.venue_name or self.venue_address:
            return ", ".join(part for part in (self.venue_name, self.venue_address) if part)
        return "" if self.attendance == Attendance.ONLINE else self.branch_city

    @property
    def moved(self) -> Message | None:
        """From when to when; nothing for what does not take place anyway."""
        first = self.original_start if self.rrule else self.moved_from
        if self.cancelled or first is None or first == self.start:
            return None
        return moved(first, self.start, self.all_day)


def upcoming(
    session: Session, selection: Selection, now: datetime, *, page: int = 1, size: int = PAGE
) -> tuple[list[Listed], bool]:
    """Dates that are not over, soonest first, and whether there are more. NotFound past the end.

    With `selection.first` in the past, dates since then.
    """
    query = (
        listing()
        .where(*wanted(session, selection, now))
        .order_by(col(Occurrence.starts_at), col(Occurrence.event_id))
        .offset((page - 1) * size)
        .limit(size + 1)
    )
    rows = [Listed(*row) for row in session.connection().execute(query)]
    if page > 1 and not rows:
        raise no_such_page(page)
    return rows[:size], len(rows) > size


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
    occurrence = table_of(Occurrence).c
    query = (
        _dates(session, selection, now, hide_cancelled)
        .order_by(occurrence.starts_at, occurrence.event_id)
        .limit(most)
    )
    return [DateKey(*row) for row in session.connection().execute(query)]


def coming_events(
    session: Session, selection: Selection, now: datetime, most: int, hide_cancelled: bool
) -> list[DateKey]:
    """Each event once, with the first of its dates in the list."""
    occurrence = table_of(Occurrence).c
    place = sa.func.row_number().over(
        partition_by=occurrence.event_id, order_by=(occurrence.starts_at, occurrence.original_start)
    )
    dates = _dates(session, selection, now, hide_cancelled)
    each = dates.add_columns(occurrence.starts_at, place.label("place")).subquery().c
    query = sa.select(each.event_id, each.original_start, each.ends_at).where(each.place == 1)
    query = query.order_by(each.starts_at, each.event_id).limit(most)
    return [DateKey(*row) for row in session.connection().execute(query)]


def last_over(session: Session, selection: Selection, now: datetime) -> datetime | None:
    """When a date last left the list because it was over."""
    occurrence = table_of(Occurrence).c
    over = [*selection.dates(), *selection.conditions(session), occurrence.ends_at <= now]
    query = sa.select(occurrence.ends_at).select_from(OF_EVENTS).where(*over)
    found: datetime | None = (
        session.connection().execute(query.order_by(occurrence.ends_at.desc()).limit(1)).scalar()
    )
    return found


def _dates(session: Session, selection: Selection, now: datetime, hide_cancelled: bool) -> sa.Select[Any]:
    occurrence = table_of(Occurrence).c
    shown = [occurrence.cancelled.is_(False)] if hide_cancelled else []
    columns = (occurrence.event_id, occurrence.original_start, occurrence.ends_at)
    return sa.select(*columns).select_from(OF_EVENTS).where(*wanted(session, selection, now), *shown)


def wanted(session: Session, selection: Selection, now: datetime) -> list[sa.ColumnElement[bool]]:
    """On `occurrence` and `event`: what is not over, or all since `selection.first` when that is past."""
    since = [] if selection.first and selection.first < now.date() else [col(Occurrence.ends_at) > now]
    return [*since, *selection.dates(), *selection.conditions(session)]


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
    host = table_of(EventBranch).c
    first = (
        listing()
        .add_columns(
            host.branch_id,
            sa.func.row_number()
            .over(partition_by=host.branch_id, order_by=(table_of(Occurrence).c.starts_at, host.event_id))
            .label("place"),
        )
        .join(table_of(EventBranch), host.event_id == table_of(Occurrence).c.event_id)
        .where(
            host.branch_id.in_(branch_ids),
            col(Occurrence.ends_at) > now,
            col(Occurrence.cancelled).is_(False),
        )
        .subquery()
    )
    rows = session.connection().execute(sa.select(first).where(first.c.place == 1))
    return {row.branch_id: Listed(*row[:-2]) for row in rows}


def dates_of(session: Session, event_id: int, now: datetime, most: int = 10) -> list[Listed]:
    return upcoming(session, Selection(event_id=event_id), now, size=most)[0]


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
    if event is None or (event.state not in PUBLIC and event.deleted_at is None):
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
    topic = session.exec(select(Topic).where(col(Topic.slug) == slug)).one_or_none()
    if topic is None:
        raise NotFound(say("There is no topic called “%(slug)s”.", slug=slug[:80]))
    return topic


def topics_in_use(session: Session) -> Sequence[Topic]:
    """Of events that are public."""
    shown = sa.and_(col(Event.state).in_(PUBLIC), col(Event.deleted_at).is_(None))
    used = (
        sa.select(col(EventTopic.topic_id))
        .join(Event, col(Event.id) == col(EventTopic.event_id))
        .where(shown)
    )
    return session.exec(select(Topic).where(col(Topic.id).in_(used)).order_by(col(Topic.name))).all()


def languages_in_use(session: Session) -> Sequence[str]:
    query = select(Event.language).where(col(Event.state).in_(PUBLIC)).distinct()
    return sorted({tag.split("-")[0] for tag in session.exec(query)})


def overrides_of(session: Session, event_id: int) -> Sequence[Override]:
    query = select(Override).where(col(Override.event_id) == event_id)
    return session.exec(query.order_by(col(Override.original_start))).all()


def branch_ids(session: Session, slugs: Sequence[str]) -> list[int]:
    """Raises NotFound for a slug that is none."""
    rows = dict(session.exec(select(Branch.slug, Branch.id).where(col(Branch.slug).in_(slugs))).all())
    for slug in slugs:
        if slug not in rows:
            raise NotFound(say("There is no branch called “%(slug)s”.", slug=slug[:80]))
    return [number for number in rows.values() if number is not None]


def topic_ids(session: Session, slugs: Sequence[str]) -> list[int]:
    return [topic.id for slug in slugs if (topic := topic_at(session, slug)).id is not None]


def listing() -> sa.Select[Any]:
    """Of dates, what `Listed` has of each: the columns in its order."""
    event, occurrence, branch = table_of(Event).c, table_of(Occurrence).c, table_of(Branch).c
    override = table_of(Override).c
    return (
        sa.select(
            occurrence.event_id,
            occurrence.title,
            occurrence.start,
            occurrence.end,
            occurrence.original_start,
            occurrence.starts_at,
            occurrence.cancelled,
            event.all_day,
            event.timezone,
            event.language,
            event.attendance,
            event.rrule,
            event.start.label("series_start"),
            sa.func.coalesce(sa.func.nullif(override.reason, ""), event.cancelled_reason).label(
                "cancelled_reason"
            ),
            sa.func.coalesce(override.venue_name, event.venue_name).label("venue_name"),
            sa.case(
                (override.venue_name.is_not(None), sa.func.coalesce(override.venue_address, "")),
                else_=sa.func.coalesce(override.venue_address, event.venue_address),
            ).label("venue_address"),
            branch.name.label("branch_name"),
            branch.slug.label("branch_slug"),
            branch.city.label("branch_city"),
            event.latitude,
            event.longitude,
            event.state,
            event.moved_from,
            event.asked_since,
            event.translations,
            override.title.is_not(None).label("has_own_title"),
        )
        .select_from(table_of(Occurrence))
        .join(table_of(Event), event.id == occurrence.event_id)
        .join(table_of(Branch), branch.id == event.branch_id)
        .outerjoin(
            table_of(Override),
            sa.and_(
                override.event_id == occurrence.event_id, override.original_start == occurrence.original_start
            ),
        )
    )
