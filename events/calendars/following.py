"""Keeping in step with the calendars that events come from: what the worker does with a source.

Fetching, reading and reconciling are three steps, and only the last one writes. Nothing is taken over before a
person has seen what it would be. A calendar that does not answer, or answers nonsense, changes nothing; one of which
more than half has gone waits for a person.
"""

import hashlib
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, col

from ..branches.models import Branch
from ..db import UNEXPECTED, Database, due, lease, table_of
from ..errors import BranchlineError, say
from ..fetching import Fetched, Unreachable
from ..interpreter import computing_for_long
from ..sandbox import Crashed, packed
from .content import Publishing
from .imports import branches_by_slug, in_turns, taken_apart_within
from .models import CalendarSource, Event, SourceState, State
from .reading import Reading, checksum_lines, read
from .reconciling import ImportReport, Reconciler
from .sources import source_key

EVERY = timedelta(hours=1)
LEASE = timedelta(minutes=15)  # longer than fetching, reading and writing 2 MB takes
READ_AGAIN = timedelta(days=30)  # irregular series go on as time passes, though their calendar is the same
FIRST_RETRY, LONGEST_RETRY = timedelta(minutes=15), timedelta(days=1)
FEW = 3  # of a calendar this small, half may go without anybody being asked
LISTED = 50  # refusals and notes that are kept

log = logging.getLogger("branchline.following")

Fetch = Callable[["Work"], Fetched]


class Unexpected(BranchlineError):
    def __init__(self) -> None:
        super().__init__(
            say("Something went wrong on our side with this calendar. We have written down what happened.")
        )


@dataclass(frozen=True, slots=True)
class Work:
    """A source as it was claimed, to be worked on outside of any transaction."""

    id: int
    branch: str  # slug
    branch_id: int
    timezone: str
    language: str
    url: str
    state: str
    body: bytes | None
    etag: str
    last_modified: str
    checksum: str
    was_active: bool  # taken over before


@dataclass(frozen=True, slots=True)
class _Said:
    """What a source says this time. Not `fetched`: a file, or what was kept until a person confirmed it."""

    body: bytes
    checksum: str
    fetched: Fetched | None
    reading: Reading


def is_due(session: Session, now: datetime) -> bool:
    """Whether there is anything to claim: a look that takes no lock."""
    return session.connection().execute(due(table_of(CalendarSource), now).limit(1)).first() is not None


def claim(session: Session, now: datetime) -> Work | None:
    """Leases the source that has waited longest, by one conditional UPDATE."""
    table = table_of(CalendarSource)
    claimed = lease(table, due(table, now), now + LEASE).returning(table.c.id)
    number = session.connection().execute(claimed).scalar()
    if number is None:
        return None
    source = session.get_one(CalendarSource, number)
    branch = session.get_one(Branch, source.branch_id)
    old = source.changed_at is None or source.changed_at < now - READ_AGAIN
    unchanged = source.state in (SourceState.ACTIVE, SourceState.HELD) and not old
    return Work(
        id=number,
        branch=branch.slug,
        branch_id=source.branch_id,
        timezone=branch.timezone,
        language=(branch.language_list or ["en"])[0],
        url=source.url,
        state=source.state,
        body=source.body,
        etag=source.etag if unchanged else "",
        last_modified=source.last_modified if unchanged else "",
        checksum=source.checksum if unchanged else "",
        was_active=bool(source.checksum),
    )


def work_on(database: Database, work: Work, fetch: Fetch, publishing: Publishing, now: datetime) -> None:
    """Brings a claimed source one step on. Whatever goes wrong with it is kept with it, for a person to see."""
    began = monotonic()
    try:
        is_kept = work.state == SourceState.CONFIRMED or not work.url
        fetched = None if is_kept else fetch(work)
        body = fetched.body if fetched else work.body or b""
        checksum = _checksum(body)
        if fetched and (fetched.status == 304 or checksum == work.checksum):
            _note(database, work, now, fetched)
            return
        reading = read(
            body,
            window=taken_apart_within(now),
            default_timezone=work.timezone,
            default_language=work.language,
        )
        now += timedelta(seconds=int(monotonic() - began))
        with computing_for_long():
            _reconcile(database, work, _Said(body, checksum, fetched, reading), publishing, now)
    except BranchlineError as error:
        _note_failure(database, work, error, now)
    except OperationalError:
        raise  # the database is away: the worker waits, and the lease runs out
    except UNEXPECTED:
        log.exception("source %s", work.id)
        _note_failure(database, work, Unexpected(), now)


def _reconcile(database: Database, work: Work, said: _Said, publishing: Publishing, now: datetime) -> None:
    with database.reading() as session:
        owners = branches_by_slug(session)
        look = _reconciler(work, owners, publishing, now)
        for item in said.reading.items:
            look.take(session, item, write=False)
        gone, known = (len(look.vanished(session)), _coming(session, work, now)) if work.url else (0, 0)
        look.report.vanished = gone
    if work.state in (SourceState.NEW, SourceState.PREVIEWED):
        _write_down(database, work, said, look.report, SourceState.PREVIEWED, now)
    elif work.state != SourceState.CONFIRMED and _is_suspicious(gone, known, look.report.total):
        _write_down(database, work, said, look.report, SourceState.HELD, now)
    else:
        reconciler = _reconciler(work, owners, publishing, look.now)
        report = _take_over(database, reconciler, said.reading, followed=bool(work.url))
        state = SourceState.ACTIVE if work.url else SourceState.DONE
        _write_down(database, work, said, report, state, now)


def _is_suspicious(gone: int, known: int, total: int) -> bool:
    """More than half of what was to come has gone, or all there is."""
    return gone > 0 and (total == 0 or (2 * gone > known and gone >= FEW))


def _reconciler(work: Work, owners: dict[str, Branch], publishing: Publishing, now: datetime) -> Reconciler:
    """An uploaded file is matched as one given to `events import` is."""
    source = source_key(work.url, work.branch_id) if work.url else None
    return Reconciler(owners, publishing, now, branch=work.branch, source=source)


def _take_over(
    database: Database, reconciler: Reconciler, reading: Reading, *, followed: bool
) -> ImportReport:
    """A few events a transaction: others can write in between, and what was cut off is done again."""
    for _ in in_turns(database, iter(reading.items), reconciler.take):
        pass
    if followed:
        with database.reading() as session:
            gone = reconciler.vanished(session)
        for _ in in_turns(database, iter(gone), reconciler.cancel_vanished):
            pass
    return reconciler.report


def _coming(session: Session, work: Work, now: datetime) -> int:
    """How many events of the source are still to come, those cancelled already left out."""
    query = sa.select(sa.func.count()).where(
        col(Event.source) == source_key(work.url, work.branch_id),
        col(Event.state) == State.PUBLISHED,
        col(Event.deleted_at).is_(None),
        sa.or_(col(Event.ends_at).is_(None), col(Event.ends_at) > now),
    )
    return session.connection().execute(query).scalar_one()


def _checksum(body: bytes) -> str:
    return hashlib.sha256(checksum_lines(body)).hexdigest()


# ---------------------------------------------------------------- what is written down


def _settled(source: CalendarSource, fetched: Fetched | None, now: datetime) -> None:
    source.leased_until, source.failures, source.error = None, 0, None
    if fetched is not None:
        source.fetched_at = now
        source.etag = fetched.etag or (source.etag if fetched.status == 304 else "")
        source.last_modified = fetched.last_modified or (
            source.last_modified if fetched.status == 304 else ""
        )


def _claimed(session: Session, work: Work) -> CalendarSource | None:
    """The source, unless it was removed or decided about meanwhile: then only the lease is given back."""
    source = session.get(CalendarSource, work.id)
    if source is not None and source.state != work.state:
        source.leased_until = None
        return None
    return source


def _note(database: Database, work: Work, now: datetime, fetched: Fetched) -> None:
    """Nothing new. What was held because half had gone is here again."""
    with database.writing() as session:
        if source := _claimed(session, work):
            _settled(source, fetched, now)
            source.run_at = now + EVERY
            if source.state == SourceState.HELD and fetched.status != 304:
                source.state, source.body = SourceState.ACTIVE, None


def _note_failure(database: Database, work: Work, error: BranchlineError, now: datetime) -> None:
    """The last good copy stays. A file will not get better; a server is asked again, ever less often."""
    if isinstance(error, Crashed):
        log.error("source %s: %s", work.id, error.details)
    with database.writing() as session:
        source = _claimed(session, work)
        if source is None:
            return
        source.failures += 1
        source.leased_until, source.error = None, packed(error.message)
        source.run_at = now + retry_after(source.failures, error) if work.url else None
        if work.state == SourceState.CONFIRMED:  # so that it can be confirmed again, or is seen anew
            source.state = SourceState.HELD if work.was_active else SourceState.PREVIEWED


def retry_after(failures: int, error: BranchlineError) -> timedelta:
    """How long a server is left alone that has failed so often in a row: never shorter than it asked for."""
    wait: timedelta = min(FIRST_RETRY * 2 ** min(failures - 1, 10), LONGEST_RETRY)
    jitter = random.uniform(0.8, 1.0)  # noqa: S311  (not a secret)
    asked_s = error.retry_after if isinstance(error, Unreachable) else None
    return max(wait * jitter, timedelta(seconds=asked_s or 0))


def _write_down(
    database: Database, work: Work, said: _Said, report: ImportReport, state: SourceState, now: datetime
) -> None:
    """What came of it. What is HELD is asked for further on: it may be whole again the next time."""
    with database.writing() as session:
        source = _claimed(session, work)
        if source is None:
            return
        _settled(source, said.fetched, now)
        source.state, source.report = state, summary(report)
        source.name = said.reading.name or source.name
        source.run_at = now + EVERY if state in (SourceState.ACTIVE, SourceState.HELD) else None
        if state in (SourceState.ACTIVE, SourceState.DONE):
            source.body, source.checksum, source.changed_at = None, said.checksum, now
        else:  # for a person, and then the whole is wanted again
            source.body, source.etag, source.last_modified = said.body, "", ""


def summary(report: ImportReport) -> dict[str, object]:
    """The report as it is kept: numbers, and the first of the refusals, notes and events."""
    report.sort()
    return {
        "added": report.added,
        "moved": report.moved,
        "changed": report.changed,
        "unchanged": report.unchanged,
        "vanished": report.vanished,
        "total": report.total,
        "refused": len(report.refusals),
        "refusals": [{"line": each.row, "reason": packed(each.reason)} for each in report.refusals[:LISTED]],
        "notes": [{"line": each.row, "reason": packed(each.reason)} for each in report.notes[:LISTED]],
        "shown": [
            {
                "kind": decision.kind.value,
                "title": decision.draft.title,
                "start": decision.draft.start.isoformat(),
                "end": decision.draft.end.isoformat(),
                "all_day": decision.draft.all_day,
                "timezone": decision.draft.timezone,
                "repeats": bool(decision.draft.rrule),
            }
            for decision in report.decisions
        ],
    }
