"""Finished answers, kept while nothing has moved: what calendar apps ask for again and again."""

import gzip
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlmodel import Session

from .models import CalendarRevision

CACHE_BYTES = 64_000_000
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


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
class Made:
    """Bytes to be kept: when they last changed by time alone, and when they will again."""

    body: bytes
    changed_at: datetime
    good_until: datetime
    mark: str = ""


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
    return (row.number, row.moved_at) if row else (0, LONG_AGO)


def next_midnight(moment: datetime) -> datetime:
    return midnight(moment) + timedelta(days=1)


def midnight(moment: datetime) -> datetime:
    return datetime.combine(moment.astimezone(UTC).date(), datetime.min.time(), UTC)
