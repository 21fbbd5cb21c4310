"""What lists say of a date: columns of several tables, read at once."""

from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from ..branches.models import Branch
from ..db import table_of
from ..errors import Message
from ..places.geo import Point
from .content import moved
from .models import Attendance, Event, Occurrence, Override
from .wording import Part, Translations, Words, worded


class Listed(NamedTuple):
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
    translations: Translations | None = None
    has_own_title: bool = False  # that of the date, which nobody has translated

    def __hash__(self) -> int:
        """Lists are made of what is kept of each date; a dictionary in it has no hash."""
        return hash((self.event_id, self.starts_at, self.title))

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


@cache
def listing() -> sa.Select[Any]:
    """Of dates, what `Listed` has of each: the columns in its order."""
    return listing_of(table_of(Occurrence))


def listing_of(dates: sa.FromClause) -> sa.Select[Any]:
    """Of some rows of `occurrence`, with all its columns."""
    event, occurrence, branch = table_of(Event).c, dates.c, table_of(Branch).c
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
        .select_from(dates)
        .join(table_of(Event), event.id == occurrence.event_id)
        .join(table_of(Branch), branch.id == event.branch_id)
        .outerjoin(
            table_of(Override),
            sa.and_(
                override.event_id == occurrence.event_id, override.original_start == occurrence.original_start
            ),
        )
    )
