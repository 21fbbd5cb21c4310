"""Feeds: assembling what is stored, and keeping finished answers.

Every VEVENT was rendered when its event was written; a feed is a header, the time zones it needs, and a join.
A finished feed stays good until the calendar revision moves or its time is over: the day changes, and the window
drops what is past. Its ETag is the hash of its bytes, so it changes when, and only when, the feed does.
"""

import gzip
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session, col

from ..db import table_of
from .derived import TOLD_FOR, branch_scope, topic_scope
from .ics import Feed, calendar, standing_note
from .models import CALLED_OFF, PUBLIC, CalendarRevision, Departure, Event, Occurrence, Rendered
from .queries import Selection, branch_ids, topic_ids

WINDOW = timedelta(days=60)  # what is past stays in feeds this long
LARGEST = 950_000  # bytes of events: Google stops at 1 MB
SMALLEST_EVENT = 350  # bytes: no feed can hold more than LARGEST / SMALLEST_EVENT
CACHE_BYTES = 64_000_000
_CANCELLED, _CONFIRMED = "\r\nSTATUS:CANCELLED\r\n", "\r\nSTATUS:CONFIRMED\r\n"
# CSS names (RFC 7986 5.9) that can be told apart and read under white text.
_COLORS = (
    *(
        "steelblue",
        "seagreen",
        "indianred",
        "slateblue",
        "darkgoldenrod",
        "teal",
        "mediumvioletred",
        "sienna",
    ),
    *("olivedrab", "royalblue", "firebrick", "darkcyan"),
)


@dataclass(frozen=True, slots=True)
class Finished:
    """A feed as it goes out, plain and compressed; each has a strong ETag of its own."""

    body: bytes
    zipped: bytes
    etag: str
    mark: str  # of which events it has at which revisions: the same in all languages and variants
    modified_at: datetime
    revision: int
    good_until: datetime

    @property
    def zipped_etag(self) -> str:
        return f'{self.etag[:-1]}-gzip"'


@dataclass(frozen=True, slots=True)
class Note:
    """An entry of the feed's own: all day, on the first of the current month. `since`: when it became true."""

    title: str
    text: str = ""
    url: str = ""
    since: datetime = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Heading:
    """What a feed says of itself, in the reader's language.

    `capped` is added to the description when not all events fit; `empty` is the one entry of an empty feed;
    `closed` explains why the events are those of another branch.
    """

    name: str
    description: str
    capped: str
    empty: Note
    url: str
    source: str
    locale: str
    closed: Note | None = None

    @property
    def color(self) -> str:
        """The same in every language and for ever, another for another feed."""
        digest = hashlib.sha256(self.source.partition("?")[0].rpartition("/")[2].encode()).digest()
        return _COLORS[digest[0] % len(_COLORS)]


@dataclass(frozen=True, slots=True)
class Variant:
    """`?cancelled=hide` leaves out what is cancelled. `?client=google`: Google hides what has STATUS:CANCELLED,
    so that its users would see nothing; there the title alone says it."""

    hide_cancelled: bool = False
    for_google: bool = False


PLAIN = Variant()


class FeedCache:
    """Finished feeds by their address, least recently used out first, bounded in bytes."""

    def __init__(self, most_bytes: int = CACHE_BYTES) -> None:
        self._most = most_bytes
        self._held = 0
        self._lock = threading.Lock()
        self._feeds: OrderedDict[str, Finished] = OrderedDict()

    def get(self, key: str, revision: int, now: datetime) -> Finished | None:
        with self._lock:
            feed = self._feeds.get(key)
            if feed is None or feed.revision != revision or feed.good_until <= now:
                return None
            self._feeds.move_to_end(key)
            return feed

    def put(self, key: str, feed: Finished) -> None:
        with self._lock:
            old = self._feeds.pop(key, None)
            self._held += _size(feed) - (_size(old) if old else 0)
            self._feeds[key] = feed
            while self._held > self._most and len(self._feeds) > 1:
                self._held -= _size(self._feeds.popitem(last=False)[1])


def _size(feed: Finished) -> int:
    return len(feed.body) + len(feed.zipped)


def finished(
    session: Session,
    cache: FeedCache,
    selection: Selection,
    heading: Heading,
    now: datetime,
    variant: Variant = PLAIN,
) -> Finished:
    """The feed of a selection, from the cache while nothing has moved."""

    def made() -> Made:
        body, mark = assemble(session, selection, heading, now, variant)
        changed_at = _changed_by_time(session, selection, now, monthly=not mark or bool(heading.closed))
        return Made(body, changed_at, next_midnight(now), mark)

    return kept(session, cache, f"{heading.source} {heading.locale} {variant}", now, made)


@dataclass(frozen=True, slots=True)
class Made:
    """Bytes to be kept: when they last changed by time alone, and when they will again."""

    body: bytes
    changed_at: datetime
    good_until: datetime
    mark: str = ""


def kept(session: Session, cache: FeedCache, key: str, now: datetime, make: Callable[[], Made]) -> Finished:
    """What is in the cache under the key while it is good, else what `make` makes."""
    revision, moved_at = current_revision(session)
    if feed := cache.get(key, revision, now):
        return feed
    made = make()
    feed = Finished(
        body=made.body,
        zipped=gzip.compress(made.body, 6, mtime=0),
        etag=f'"{hashlib.sha256(made.body).hexdigest()[:32]}"',
        mark=made.mark,
        modified_at=max(moved_at, made.changed_at),
        revision=revision,
        good_until=made.good_until,
    )
    cache.put(key, feed)
    return feed


def current_revision(session: Session) -> tuple[int, datetime]:
    row = session.get(CalendarRevision, 1)
    return (row.number, row.moved_at) if row else (0, datetime(2026, 1, 1, tzinfo=UTC))


def _changed_by_time(session: Session, selection: Selection, now: datetime, *, monthly: bool) -> datetime:
    """When this feed last changed because time passed: the month of its own entry began, or a midnight at which
    something was dropped. So Last-Modified never goes back, and is the same from every process."""
    midnight = _midnight(now)
    changed = [midnight.replace(day=1)] if monthly else []
    for column, kept in ((col(Event.ends_at), WINDOW), (col(Event.withdrawn_at), TOLD_FOR)):
        dropped = sa.select(column).where(column < midnight - kept, *selection.conditions(session))
        last = session.connection().execute(dropped.order_by(column.desc()).limit(1)).scalar()
        if last is not None:
            changed.append(_midnight(last + kept) + timedelta(days=1))
    return max(changed, default=datetime(2026, 1, 1, tzinfo=UTC))


def assemble(
    session: Session, selection: Selection, heading: Heading, now: datetime, variant: Variant = PLAIN
) -> tuple[bytes, str]:
    """The calendar, and the mark of its events; none when it has no event but its own note."""
    rows = _rows(session, selection, heading.locale, now, variant)
    body = _written(rows, heading, heading.description, now)
    if len(body) > LARGEST:
        rows = _nearest_dates(rows, now)
        body = _written(rows, heading, f"{heading.description} {heading.capped}".strip(), now)
    return body, _mark(rows)


def _written(rows: Sequence["_Row"], heading: Heading, description: str, now: datetime) -> bytes:
    head = Feed(
        name=heading.name,
        description=description,
        url=heading.url,
        source=heading.source,
        color=heading.color,
        language=heading.locale,
    )
    notes = [heading.closed] if heading.closed else [] if rows else [heading.empty]
    texts = [standing_note(heading.source, note.title, note.text, note.url, now.date()) for note in notes]
    return calendar(head, _zones(rows), [*texts, *(row.ics for row in rows)])


def _mark(rows: Sequence["_Row"]) -> str:
    events = " ".join(f"{row.event_id}.{row.revision}" for row in rows)
    return hashlib.sha256(events.encode()).hexdigest()[:8] if rows else ""


# ---------------------------------------------------------------- what is in a feed


class _Row(NamedTuple):
    """Moments stay as the database gives them (SQLite: text), because making datetimes of them costs more than the
    whole join; in order they are all the same."""

    event_id: int
    uid: str
    revision: int
    ics: str
    timezone: str
    all_day: bool
    start: str | datetime
    begins_at: str | datetime
    ends_at: str | datetime | None

    def distance(self, day: datetime) -> timedelta:
        """From that day; nothing for what is on or goes on."""
        begins_at = _moment(self.begins_at)
        if begins_at > day:
            return begins_at - day
        return max(day - _moment(self.ends_at), timedelta(0)) if self.ends_at else timedelta(0)


def _moment(value: str | datetime) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _rows(session: Session, selection: Selection, locale: str, now: datetime, variant: Variant) -> list[_Row]:
    """In a stable order, that of their first dates. What is alive here wins over a farewell to here."""
    conditions = selection.conditions(session)
    if dates := selection.dates():
        conditions.append(col(Event.id).in_(sa.select(col(Occurrence.event_id)).where(*dates)))
    query = _stored(locale, variant).where(*conditions)
    event, today = table_of(Event).c, _midnight(now)
    coming = sa.or_(event.ends_at.is_(None), event.ends_at >= today)
    recent = sa.and_(event.ends_at < today, event.ends_at >= today - WINDOW)
    most = LARGEST // SMALLEST_EVENT
    wanted = [
        query.where(*_public(now), coming).order_by(event.begins_at, event.uid).limit(most),
        query.where(*_public(now), recent).order_by(event.ends_at.desc(), event.uid).limit(most),
    ]
    if not variant.hide_cancelled:
        wanted += [query.where(_just_off(now)), *_farewells(session, selection, locale, now)]
    found: dict[int, _Row] = {}
    for statement in wanted:
        for row in session.connection().execute(statement):
            found.setdefault(row[0], _Row._make(row))
    rows = sorted((row for row in found.values() if row.ics), key=lambda row: (row.begins_at, row.uid))
    return [_for_google(row) for row in rows] if variant.for_google else rows


def _stored(locale: str, variant: Variant) -> sa.Select[Any]:
    event, rendered = table_of(Event).c, table_of(Rendered).c
    text = (
        sa.func.coalesce(rendered.without_cancelled, rendered.ics) if variant.hide_cancelled else rendered.ics
    )
    columns = (event.id, event.uid, event.revision, text, event.timezone, event.all_day)
    return (
        sa.select(*columns, _raw(event.start), _raw(event.begins_at), _raw(event.ends_at))
        .join(table_of(Rendered), rendered.event_id == event.id)
        .where(rendered.locale == locale)
    )


def _raw(moment: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.type_coerce(moment, sa.types.NullType())


def _public(now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    """What is cancelled as a whole and never ends stays as long as what has ended."""
    event = table_of(Event).c
    endless = sa.and_(event.ends_at.is_(None), event.state.in_(CALLED_OFF))
    over = sa.and_(endless, event.cancelled_at < _midnight(now) - WINDOW)
    return event.state.in_(PUBLIC), event.withdrawn_at.is_(None), sa.not_(sa.func.coalesce(over, sa.false()))


def _just_off(now: datetime) -> sa.ColumnElement[bool]:
    """Withdrawn, or cancelled (however long it is over), within the last days."""
    event, since = table_of(Event).c, _midnight(now) - TOLD_FOR
    cancelled = sa.and_(
        event.state.in_(CALLED_OFF), event.withdrawn_at.is_(None), event.cancelled_at >= since
    )
    return sa.or_(event.withdrawn_at >= since, cancelled)


def _farewells(session: Session, selection: Selection, locale: str, now: datetime) -> list[sa.Select[Any]]:
    """What the feeds of a branch or topic say of the events that left them; other feeds say nothing."""
    if selection != Selection(branches=selection.branches) and selection != Selection(
        topics=selection.topics
    ):
        return []
    scopes = [branch_scope(number) for number in branch_ids(session, selection.branches)]
    scopes += [topic_scope(number) for number in topic_ids(session, selection.topics)]
    if not scopes:
        return []
    event, gone = table_of(Event).c, table_of(Departure).c
    query = (
        sa.select(
            event.id,
            event.uid,
            event.revision,
            gone.ics,
            gone.timezone,
            gone.all_day,
            _raw(gone.start),
            _raw(event.begins_at),
            _raw(event.ends_at),
        )
        .join(table_of(Departure), gone.event_id == event.id)
        .where(gone.scope.in_(scopes), gone.locale == locale, gone.left_at >= _midnight(now) - TOLD_FOR)
        .order_by(gone.scope)
    )
    return [query]


def _for_google(row: _Row) -> _Row:
    """No text of anybody can hold such a line: in texts line breaks are escaped."""
    return row._replace(ics=row.ics.replace(_CANCELLED, _CONFIRMED))


def _nearest_dates(rows: Sequence[_Row], now: datetime) -> list[_Row]:
    """As many as fit, those first that are nearest to today (not to this moment: the bytes stand for a day)."""
    kept: set[int] = set()
    size = 0
    for row in sorted(rows, key=lambda row: (row.distance(_midnight(now)), row.uid)):
        size += len(row.ics.encode())
        if size > LARGEST:
            break
        kept.add(row.event_id)
    return [row for row in rows if row.event_id in kept]


def _zones(rows: Iterable[_Row]) -> dict[str, date]:
    """Each zone that timed events use, with the first of January before its earliest event."""
    years: dict[str, int] = {}
    for row in rows:
        if not row.all_day and row.timezone != "UTC":
            year = int(str(row.start)[:4])
            years[row.timezone] = min(year, years.get(row.timezone, year))
    return {key: date(years[key], 1, 1) for key in sorted(years)}


def next_midnight(moment: datetime) -> datetime:
    return _midnight(moment) + timedelta(days=1)


def _midnight(moment: datetime) -> datetime:
    return datetime.combine(moment.astimezone(UTC).date(), datetime.min.time(), UTC)
