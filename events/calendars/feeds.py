"""Feeds: assembling what is stored, and keeping finished answers.

Every VEVENT was rendered when its event was written; a feed is a header, the time zones it needs, and a join.
A finished feed stays good until the calendar revision moves or the day changes, when the window drops what is
past. Its ETag is the hash of its bytes, so it changes when, and only when, the feed does.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import sqlalchemy as sa
from sqlmodel import Session, col

from ..db import table_of
from .content import Publishing
from .ics import Feed, calendar, placeholder
from .models import CalendarRevision, Event, Occurrence, Rendered, State
from .queries import Selection

WINDOW = timedelta(days=60)  # what is past stays in feeds this long, what was deleted half as long
TOMBSTONE = timedelta(days=30)
LARGEST = 950_000  # bytes of events: Google stops at 1 MB
CACHE_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class Finished:
    """A feed as it goes out."""

    body: bytes
    etag: str
    modified_at: datetime
    revision: int
    day: date


@dataclass(frozen=True, slots=True)
class Heading:
    """What a feed says of itself, in the reader's language."""

    name: str
    description: str
    capped: str  # added to the description when not all events fit
    empty: str  # the title of the one entry of an empty feed
    url: str
    source: str
    locale: str


class FeedCache:
    """Finished feeds by their address, least recently used out first, bounded in bytes."""

    def __init__(self, most_bytes: int = CACHE_BYTES) -> None:
        self._most = most_bytes
        self._held = 0
        self._lock = threading.Lock()
        self._feeds: OrderedDict[str, Finished] = OrderedDict()

    def get(self, key: str, revision: int, day: date) -> Finished | None:
        with self._lock:
            feed = self._feeds.get(key)
            if feed is None or (feed.revision, feed.day) != (revision, day):
                return None
            self._feeds.move_to_end(key)
            return feed

    def put(self, key: str, feed: Finished) -> None:
        with self._lock:
            old = self._feeds.pop(key, None)
            self._held += len(feed.body) - (len(old.body) if old else 0)
            self._feeds[key] = feed
            while self._held > self._most and len(self._feeds) > 1:
                self._held -= len(self._feeds.popitem(last=False)[1].body)


def finished(
    session: Session,
    cache: FeedCache,
    selection: Selection,
    heading: Heading,
    publishing: Publishing,
    now: datetime,
    *,
    hide_cancelled: bool = False,
) -> Finished:
    """The feed of a selection, from the cache while nothing has moved."""
    revision, moved_at = current_revision(session)
    key = f"{heading.source} {heading.locale} {hide_cancelled}"
    if feed := cache.get(key, revision, now.date()):
        return feed
    body = assemble(session, selection, heading, publishing, now, hide_cancelled=hide_cancelled)
    feed = Finished(
        body=body,
        etag=f'"{hashlib.sha256(body).hexdigest()[:32]}"',
        modified_at=max(moved_at, datetime.combine(now.date(), datetime.min.time(), UTC)),
        revision=revision,
        day=now.date(),
    )
    cache.put(key, feed)
    return feed


def current_revision(session: Session) -> tuple[int, datetime]:
    row = session.get(CalendarRevision, 1)
    return (row.number, row.moved_at) if row else (0, datetime(2026, 1, 1, tzinfo=UTC))


def assemble(
    session: Session,
    selection: Selection,
    heading: Heading,
    publishing: Publishing,
    now: datetime,
    *,
    hide_cancelled: bool = False,
) -> bytes:
    conditions = [*_in_feeds(now), *selection.conditions(session)]
    if dates := selection.dates():
        conditions.append(col(Event.id).in_(sa.select(col(Occurrence.event_id)).where(*dates)))
    if hide_cancelled:
        conditions.append(col(Event.state) != State.CANCELLED)
    rows = _rows(session, conditions, heading.locale)
    description = heading.description
    if sum(len(row.ics) for row in rows) > LARGEST:
        rows = _nearest_dates(rows, now)
        description = f"{description} {heading.capped}".strip()
    head = Feed(
        name=heading.name,
        description=description,
        url=heading.url,
        source=heading.source,
        color="",
        language=heading.locale,
    )
    if not rows:
        return calendar(head, {}, [placeholder(heading.source, heading.empty, now.date())])
    return calendar(head, _zones(rows), [row.ics for row in rows])


def _in_feeds(now: datetime) -> list[sa.ColumnElement[bool]]:
    """Published or cancelled, and not over for longer than the window, which moves at midnight UTC."""
    midnight = datetime.combine(now.date(), datetime.min.time(), UTC)
    return [
        col(Event.state).in_((State.PUBLISHED, State.CANCELLED)),
        sa.or_(col(Event.ends_at).is_(None), col(Event.ends_at) >= midnight - WINDOW),
        sa.or_(col(Event.deleted_at).is_(None), col(Event.deleted_at) >= midnight - TOMBSTONE),
    ]


@dataclass(frozen=True, slots=True)
class _Row:
    ics: str
    timezone: str
    all_day: bool
    start: datetime
    begins_at: datetime
    is_series: bool


def _rows(session: Session, conditions: Sequence[sa.ColumnElement[bool]], locale: str) -> list[_Row]:
    event = table_of(Event).c
    query = (
        sa.select(
            col(Rendered.ics),
            event.timezone,
            event.all_day,
            event.start,
            event.begins_at,
            event.rrule != sa.literal(""),
        )
        .join(table_of(Event), event.id == col(Rendered.event_id))
        .where(col(Rendered.locale) == locale, *conditions)
        .order_by(event.begins_at, event.uid)
    )
    return [_Row(*row) for row in session.connection().execute(query)]


def _nearest_dates(rows: Sequence[_Row], now: datetime) -> list[_Row]:
    """As many as fit, those first that begin nearest to now; series that have begun count as now."""

    def distance(row: _Row) -> timedelta:
        return timedelta(0) if row.is_series and row.begins_at <= now else abs(row.begins_at - now)

    kept: list[_Row] = []
    size = 0
    for row in sorted(rows, key=distance):
        size += len(row.ics.encode())
        if size > LARGEST:
            break
        kept.append(row)
    return sorted(kept, key=rows.index)


def _zones(rows: Sequence[_Row]) -> dict[str, date]:
    """Each zone that timed events use, with the first of January before its earliest event."""
    first: dict[str, date] = {}
    for row in rows:
        if not row.all_day and row.timezone != "UTC":
            january = date(row.start.year, 1, 1)
            first[row.timezone] = min(january, first.get(row.timezone, january))
    return dict(sorted(first.items()))
