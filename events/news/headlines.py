"""Keeping in step with the organisation's own feeds, whose headlines stand among the news.

Fetching, reading and reconciling are three steps, and only the last one writes. A feed that does not answer, or
answers nonsense, changes nothing: what it said last stays, and what is wrong is kept for an admin to see.
"""

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlmodel import Session, col, select

from ..calendars.following import retry_after
from ..db import UNEXPECTED, Database, due, lease, table_of
from ..errors import BranchlineError, Conflict, Message, say
from ..fetching import Fetched
from ..sandbox import Crashed, packed
from .feed_reading import Entry, Reading, read
from .models import Headline, HeadlineSource

EVERY = timedelta(hours=1)
LEASE = timedelta(minutes=5)  # longer than fetching, reading and writing 2 MB takes
# Of what its feed does not hold any more.
KEEP = timedelta(days=90)
MOST = 200

log = logging.getLogger("branchline.headlines")

Fetch = Callable[["Work"], Fetched]


class Unexpected(BranchlineError):
    def __init__(self) -> None:
        super().__init__(
            say("Something went wrong on our side with this feed. We have written down what happened.")
        )


@dataclass(frozen=True, slots=True)
class Work:
    """A source as it was claimed, to be worked on outside of any transaction."""

    id: int
    url: str
    etag: str
    last_modified: str
    checksum: str


# ---------------------------------------------------------------- what an admin sees and decides


def sources(session: Session) -> Sequence[tuple[HeadlineSource, int]]:
    """All of them, by name, and how many headlines there are of each."""
    query = (
        select(HeadlineSource, sa.func.count(col(Headline.id)))
        .outerjoin(Headline, col(Headline.source_id) == col(HeadlineSource.id))
        .group_by(col(HeadlineSource.id))
        .order_by(col(HeadlineSource.name), col(HeadlineSource.id))
    )
    return session.exec(query).all()


def follow(session: Session, url: str, now: datetime) -> HeadlineSource:
    """`url` as `fetching.normal_url` gives it. Raises Conflict when it is followed already."""
    source = HeadlineSource(url=url, name=url, created_at=now, run_at=now)
    try:
        with session.begin_nested():
            session.add(source)
    except IntegrityError as error:
        raise Conflict(say("This feed is followed already.")) from error
    return source


def fetch_now(source: HeadlineSource, now: datetime) -> None:
    source.run_at = now


def remove(session: Session, source: HeadlineSource) -> None:
    """Its headlines go with it."""
    session.delete(source)


# ---------------------------------------------------------------- what the worker does


def is_due(session: Session, now: datetime) -> bool:
    """Whether there is anything to claim: a look that takes no lock."""
    return session.connection().execute(due(table_of(HeadlineSource), now).limit(1)).first() is not None


def claim(session: Session, now: datetime) -> Work | None:
    """Leases the source that has waited longest, by one conditional UPDATE."""
    table = table_of(HeadlineSource)
    wanted = (table.c.id, table.c.url, table.c.etag, table.c.last_modified, table.c.checksum)
    claimed = lease(table, due(table, now), now + LEASE).returning(*wanted)
    row = session.connection().execute(claimed).first()
    return Work(*row) if row else None


def work_on(database: Database, work: Work, fetch: Fetch, now: datetime) -> None:
    """Brings a claimed source up to date. Whatever goes wrong with it is kept with it, for a person to see."""
    try:
        fetched = fetch(work)
        checksum = hashlib.sha256(fetched.body).hexdigest()
        if fetched.status == 304 or checksum == work.checksum:
            _note(database, work, fetched, now)
        else:
            _take_over(database, work, fetched, read(fetched.body, fetched.url), now)
    except BranchlineError as error:
        _note_failure(database, work, error, now)
    except OperationalError:
        raise  # the database is away: the worker waits, and the lease runs out
    except UNEXPECTED:
        log.exception("feed %s", work.id)
        _note_failure(database, work, Unexpected(), now)


def _take_over(database: Database, work: Work, fetched: Fetched, reading: Reading, now: datetime) -> None:
    with database.writing() as session:
        source = session.get(HeadlineSource, work.id)
        if source is None:  # removed meanwhile
            return
        _settled(source, fetched, now)
        _reconcile(session, work.id, reading.entries, now)
        source.name = reading.name or source.name
        source.checksum = hashlib.sha256(fetched.body).hexdigest()
        source.error = packed(_missing(reading)) if reading.left_out else None


def _reconcile(session: Session, source_id: int, entries: Sequence[Entry], now: datetime) -> None:
    """Adds and changes what the feed holds; of what it has dropped, removes what is old or too much."""
    query = select(Headline).where(col(Headline.source_id) == source_id)
    known = {headline.entry_id: headline for headline in session.exec(query)}
    held = {entry.entry_id: entry for entry in reversed(entries)}  # the newest gets the highest number
    for entry in held.values():
        headline = known.get(entry.entry_id)
        if headline is None:
            headline = Headline(
                source_id=source_id,
                entry_id=entry.entry_id,
                title=entry.title,
                url=entry.url,
                published_at=now,
                seen_at=now,
            )
            session.add(headline)
        headline.title, headline.url = entry.title, entry.url
        if entry.published is not None:
            headline.published_at = min(entry.published, headline.seen_at)
    dropped = sorted(
        (headline for entry_id, headline in known.items() if entry_id not in held),
        key=lambda headline: headline.published_at,
        reverse=True,
    )
    for number, headline in enumerate(dropped, len(held)):
        if number >= MOST or headline.published_at < now - KEEP:
            session.delete(headline)


# ---------------------------------------------------------------- what is written down


def _settled(source: HeadlineSource, fetched: Fetched, now: datetime) -> None:
    unchanged = fetched.status == 304
    source.leased_until, source.failures = None, 0
    source.fetched_at, source.run_at = now, now + EVERY
    source.etag = fetched.etag or (source.etag if unchanged else "")
    source.last_modified = fetched.last_modified or (source.last_modified if unchanged else "")


def _missing(reading: Reading) -> Message:
    return say(
        "Left out: %(left_out)d of %(total)d entries. They have no title, or no link that can be opened.",
        left_out=reading.left_out,
        total=reading.total,
    )


def _note(database: Database, work: Work, fetched: Fetched, now: datetime) -> None:
    """Nothing new: what was left out the last time still is."""
    with database.writing() as session:
        source = session.get(HeadlineSource, work.id)
        if source is not None:
            source.error = None if source.failures else source.error
            _settled(source, fetched, now)


def _note_failure(database: Database, work: Work, error: BranchlineError, now: datetime) -> None:
    """The last good headlines stay. The server is asked again, ever less often."""
    if isinstance(error, Crashed):
        log.error("feed %s: %s", work.id, error.details)
    with database.writing() as session:
        source = session.get(HeadlineSource, work.id)
        if source is None:
            return
        source.failures += 1
        source.leased_until, source.error = None, packed(error.message)
        source.run_at = now + retry_after(source.failures, error)
