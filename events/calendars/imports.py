"""Events as iCalendar files, in and out.

An import matches by where an event came from and its UID there, so that no file can replace another branch's
events. Bad components stay out with a reason, the good ones go in, a few at a time.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import islice
from typing import BinaryIO

import sqlalchemy as sa
from pydantic import ValidationError
from sqlmodel import Session, col, select

from ..branches.models import Branch
from ..db import Database, table_of
from ..drafts import faults
from ..errors import Message, NotFound, Refusal, say
from ..language import language
from . import content, store
from .content import Publishing
from .drafts import EventDraft, VenueDraft, shifted
from .ics import Feed, calendar, vevent
from .models import Event, State
from .parsing import ImportedEvent, read_calendar

CHUNK = 50  # events a transaction
OUR_UID = re.compile(r"[0-9a-f]{32}")


@dataclass(slots=True)
class ImportReport:
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    refusals: list[Refusal] = field(default_factory=list)  # by the line of the file


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
    report = ImportReport()
    with database.reading() as session:
        owners = _branches(session)
        default_timezone = _zone_of(owners, branch)
    weeks = _weeks_to(file, shift_to, default_timezone) if shift_to else 0
    file.seek(0)
    writer = _Writer(owners, branch, publishing, now, weeks, report)
    items = read_calendar(file, default_timezone=default_timezone)
    while chunk := list(islice(items, CHUNK)):
        with database.reading() if dry_run else database.writing() as session:
            for item in chunk:
                writer.take(session, item)
        if progress:
            progress(len(chunk))
    report.refusals.sort(key=lambda refusal: refusal.row)
    return report


class _Writer:
    def __init__(
        self,
        owners: Mapping[str, Branch],
        branch: str | None,
        publishing: Publishing,
        now: datetime,
        weeks: int,
        report: ImportReport,
    ) -> None:
        self._owners, self._branch, self._publishing = owners, branch, publishing
        self._now, self._weeks, self._report = now, weeks, report

    def take(self, session: Session, item: ImportedEvent | Refusal) -> None:
        if isinstance(item, Refusal):
            self._report.refusals.append(item)
            return
        try:
            draft = shifted(item.draft, self._weeks) if self._weeks else item.draft
        except ValidationError as error:
            self._refuse(item, next(iter(faults(error).values())))
            return
        hosts = self._hosts(item)
        if isinstance(hosts, Message):
            self._refuse(item, hosts)
            return
        self._write(session, item, draft, hosts)

    def _refuse(self, item: ImportedEvent, reason: Message) -> None:
        self._report.refusals.append(Refusal(item.line, reason))

    def _hosts(self, item: ImportedEvent) -> list[Branch] | Message:
        slugs = (self._branch,) if self._branch else item.branch_slugs
        if not slugs:
            return say("It does not say which branch it belongs to (X-BRANCHLINE-BRANCH).")
        for slug in slugs:
            if slug not in self._owners:
                return say("There is no branch called “%(slug)s”.", slug=slug[:80])
        return [self._owners[slug] for slug in slugs]

    def _write(self, session: Session, item: ImportedEvent, draft: EventDraft, hosts: list[Branch]) -> None:
        source = f"file:{hosts[0].slug}"
        if draft.venue is not None and _is_at(hosts[0], draft.venue):
            draft = draft.model_copy(update={"venue": None})
        known = session.exec(
            select(Event).where(col(Event.source) == source, col(Event.source_uid) == item.uid)
        ).one_or_none()
        if known is None:
            store.add(
                session, draft, hosts, self._publishing, self._now,
                uid=_free_uid(session, item.uid), source=source, source_uid=item.uid,
            )  # fmt: skip
            self._report.added += 1
            return
        before = known.revision
        store.revise(session, known, draft, hosts, self._publishing, self._now)
        if known.revision == before:
            self._report.unchanged += 1
        else:
            self._report.updated += 1


def _is_at(branch: Branch, venue: VenueDraft) -> bool:
    """Whether the place is the branch itself: then the event moves along when the branch does."""
    named = (venue.name, store.address_line(venue))
    place = content.branch_place(branch)
    return named == (place.name, place.address)


def _free_uid(session: Session, uid: str) -> str | None:
    """A UID of our own form comes back with its event, unless it stands for another one here."""
    taken = select(Event.id).where(col(Event.uid) == uid)
    return uid if OUR_UID.fullmatch(uid) and session.exec(taken).first() is None else None


def _branches(session: Session) -> dict[str, Branch]:
    found = session.exec(select(Branch)).all()
    session.expunge_all()
    return {branch.slug: branch for branch in found}


def _zone_of(owners: Mapping[str, Branch], branch: str | None) -> str | None:
    if branch is None:
        return None
    if branch not in owners:
        raise NotFound(say("There is no branch called “%(slug)s”.", slug=branch[:80]))
    return owners[branch].timezone


def _weeks_to(file: BinaryIO, day: date, default_timezone: str | None) -> int:
    """By how many weeks the file moves so that its first event comes into the week of `day`."""
    items = read_calendar(file, default_timezone=default_timezone)
    begins = min((item.draft.start.date() for item in items if isinstance(item, ImportedEvent)), default=day)
    return (_monday(day) - _monday(begins)).days // 7


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def export_events(session: Session, publishing: Publishing, name: str) -> Iterator[bytes]:
    """Everything published as one calendar, each event with the branches that hold it."""
    states = (State.PUBLISHED, State.CANCELLED)
    shown = (col(Event.state).in_(states), col(Event.deleted_at).is_(None))
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
            told = store.tell(session, event)
            entries = content.entries(told, publishing, language("en"), for_export=True)
            yield "".join(vevent(entry) for entry in entries).encode()
        session.expunge_all()
    yield end


def _chunks(ids: Iterable[int | None]) -> Iterator[list[int | None]]:
    left = iter(ids)
    while chunk := list(islice(left, CHUNK)):
        yield chunk
