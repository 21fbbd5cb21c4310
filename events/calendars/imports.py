"""Events as iCalendar files, in and out.

Bad components stay out with a reason, the good ones go in, a few at a time.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from itertools import islice
from time import monotonic
from typing import BinaryIO, TypeVar

import sqlalchemy as sa
from sqlmodel import Session, col, select

from ..branches.models import Branch
from ..db import Database, table_of
from ..errors import NotFound, Refusal, say
from ..language import language
from . import derived, vevents
from .content import Publishing
from .horizon import HORIZON, KEPT_PAST
from .ics import Feed, calendar, vevent
from .models import PUBLIC, Event
from .parsing import ImportedEvent, Window, read_calendar
from .reconciling import ImportReport, Reconciler

CHUNK = 50  # events a transaction, at most
TURN_S = 0.2  # after which a transaction ends: an organizer who saves meanwhile waits no longer

Item = TypeVar("Item")


def import_events(
    database: Database,
    file: BinaryIO,
    *,
    publishing: Publishing,
    now: datetime,
    branch: str | None,
    shift_to: date | None = None,
    dry_run: bool = False,
    progress: Callable[[int], object] | None = None,
) -> ImportReport:
    """Adds and updates events of a seekable file. Raises Unreadable, and NotFound for an unknown `branch`.

    Without `branch` each event names its hosts in X-BRANCHLINE-BRANCH, the owner first. With `shift_to` the
    whole file moves by whole weeks so that its first event is in that week.
    """
    with database.reading() as session:
        owners = branches_by_slug(session)
        default_timezone = _zone_of(owners, branch)
    window = taken_apart_within(now)
    weeks = _weeks_to(file, shift_to, default_timezone, window) if shift_to else 0
    file.seek(0)
    reconciler = Reconciler(owners, publishing, now, branch=branch, weeks=weeks)
    items = read_calendar(file, window=window, default_timezone=default_timezone)
    turns = _looked_at(database, items, reconciler) if dry_run else in_turns(database, items, reconciler.take)
    for number in turns:
        if progress:
            progress(number)
    reconciler.report.sort()
    return reconciler.report


def in_turns(
    database: Database, items: Iterator[Item], write: Callable[[Session, Item], None]
) -> Iterator[int]:
    """Writes a few at a time, and says how many after each: others can write in between, and what was cut off goes
    on where it was when all is done again."""
    while chunk := list(islice(items, CHUNK)):
        while chunk:
            ends, done = monotonic() + TURN_S, 0
            with database.writing() as session:
                while done < len(chunk) and (not done or monotonic() < ends):
                    write(session, chunk[done])
                    done += 1
            del chunk[:done]
            yield done


def _looked_at(
    database: Database, items: Iterator[ImportedEvent | Refusal], reconciler: Reconciler
) -> Iterator[int]:
    while chunk := list(islice(items, CHUNK)):
        with database.reading() as session:
            for item in chunk:
                reconciler.take(session, item, write=False)
        yield len(chunk)


def taken_apart_within(now: datetime) -> Window:
    """Between which days irregular series become single events: as far as occurrences are written."""
    return Window((now - KEPT_PAST).date(), (now + HORIZON).date())


def branches_by_slug(session: Session) -> dict[str, Branch]:
    """All of them, to be looked at outside of the session."""
    found = session.exec(select(Branch)).all()
    session.expunge_all()
    return {branch.slug: branch for branch in found}


def _zone_of(owners: Mapping[str, Branch], branch: str | None) -> str | None:
    if branch is None:
        return None
    if branch not in owners:
        raise NotFound(say("There is no branch called “%(slug)s”.", slug=branch[:80]))
    return owners[branch].timezone


def _weeks_to(file: BinaryIO, day: date, default_timezone: str | None, window: Window) -> int:
    """By how many weeks the file moves so that its first event comes into the week of `day`."""
    items = read_calendar(file, window=window, default_timezone=default_timezone)
    begins = min((item.draft.start.date() for item in items if isinstance(item, ImportedEvent)), default=day)
    return (_monday(day) - _monday(begins)).days // 7


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def export_events(session: Session, publishing: Publishing, name: str) -> Iterator[bytes]:
    """Everything published as one calendar, each event with the branches that hold it."""
    shown = (col(Event.state).in_(PUBLIC), col(Event.deleted_at).is_(None))
    head = Feed(name=name, description="", url=publishing.base_url, source="", language="en")
    table = table_of(Event)
    zones = session.connection().execute(
        sa.select(table.c.timezone, sa.func.min(table.c.start))
        .where(*shown, table.c.all_day.is_(False), table.c.timezone != "UTC")
        .group_by(table.c.timezone)
    )
    first = {key: date(start.year, 1, 1) for key, start in zones}
    end = b"END:VCALENDAR\r\n"
    yield calendar(head, first, ()).removesuffix(end)
    ids = session.exec(select(Event.id).where(*shown).order_by(col(Event.begins_at), col(Event.uid))).all()
    for chunk in _chunks(ids):
        for event in session.exec(select(Event).where(col(Event.id).in_(chunk))).all():
            told = derived.tell(session, event)
            entries = vevents.entries_for_export(told, publishing, language("en"))
            yield "".join(vevent(entry) for entry in entries).encode()
        session.expunge_all()
    yield end


def _chunks(ids: Iterable[int | None]) -> Iterator[list[int | None]]:
    left = iter(ids)
    while chunk := list(islice(left, CHUNK)):
        yield chunk
