"""Dates of a month: where each lies, and what those say that are shown."""

from collections.abc import Collection, Mapping
from datetime import date, datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa
from sqlmodel import Session

from ..db import table_of
from .listed import Listed, listing
from .models import Event, Occurrence
from .queries import Selection
from .walking import in_order

Key = tuple[int, datetime]
OVERNIGHT = timedelta(hours=14)


class Span(NamedTuple):
    """A date without what it says, of which a month may have thousands."""

    event_id: int
    original_start: datetime
    start: datetime
    end: datetime
    all_day: bool

    @property
    def key(self) -> Key:
        return self.event_id, self.original_start

    @property
    def last_day(self) -> date:
        """On which it still goes on; `end` is exclusive.

        What is shorter than OVERNIGHT belongs to the evening on which it began, which is how its times are written.
        """
        if not self.all_day and self.end - self.start < OVERNIGHT:
            return self.start.date()
        return max((self.end - timedelta(microseconds=1)).date(), self.start.date())


def spans(session: Session, selection: Selection, since: datetime, most: int) -> tuple[list[Span], bool]:
    """The dates of the selection that end after `since`, soonest first, and whether there are more."""
    event = table_of(Event).c
    way = selection.way(session, most, since)
    dates = in_order(way, since, selection.dates()).limit(most + 1).subquery()
    told = (dates.c.event_id, dates.c.original_start, dates.c.start, dates.c.end, event.all_day)
    query = sa.select(*told).join(table_of(Event), event.id == dates.c.event_id)
    query = query.order_by(dates.c.starts_at, dates.c.event_id)
    rows = [Span._make(row) for row in session.connection().execute(query).all()]
    return rows[:most], len(rows) > most


def said(session: Session, keys: Collection[Key]) -> Mapping[Key, Listed]:
    """What those dates say. For the pairs alone SQLite would look through all dates that are stored."""
    occurrence = table_of(Occurrence).c
    query = listing().where(
        occurrence.event_id.in_({event for event, _ in keys}),
        sa.tuple_(occurrence.event_id, occurrence.original_start).in_(keys),
    )
    found = [Listed._make(row) for row in session.connection().execute(query).all()]
    return {(one.event_id, one.original_start): one for one in found}
