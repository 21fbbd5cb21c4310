"""Branches as CSV, in and out. A refused row costs only itself; an exported file comes back as it was.

An import reads and checks the whole file, finds out which branch each row is about, and only then writes,
some hundreds of rows to a transaction: others can write in between, and one that was cut off is run again.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from datetime import datetime
from itertools import islice
from types import MappingProxyType
from typing import BinaryIO, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from ..db import Database
from ..errors import Conflict, Message, Refusal, say
from ..places.lookup import Gazetteer
from .columns import COLUMNS, RowReader
from .drafts import new_branch
from .formats import csv_cells
from .locating import Locator
from .matching import Directory, Entry, Known, Node, Relations, matched, related
from .models import Branch, FormerSlug
from .serving import write_keys
from .sheet import read_sheet, written

CHUNK = 500
_NOBODY = Known(0, "", None, "", "", "", None, None)
_DISTURBED = say(
    "Somebody changed branches at the same time. Run the import again: it goes on where it ended."
)
T = TypeVar("T")


@dataclass(slots=True)
class ImportReport:
    """What an import did, or would do: how many rows came to what, the refusals by row, what to know."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    notes: list[Message] = field(default_factory=list)


def import_branches(
    database: Database,
    file: BinaryIO,
    *,
    mapping: Mapping[str, str] = MappingProxyType({}),
    country: str = "",
    gazetteer: Gazetteer | None,
    dry_run: bool,
    now: datetime,
    progress: Callable[[int], object] | None = None,
) -> ImportReport:
    """Adds and updates branches. Raises Unreadable when the file cannot be used, Conflict when disturbed.

    `mapping` gives our column for theirs (`A+B`: two of theirs, joined by a hyphen); `country` stands in
    where a row names none; `progress` is told how many rows were done since it was told last. A dry run
    writes nothing.
    """
    sheet = read_sheet(file)
    reader = RowReader(sheet.header, mapping, country)
    report = ImportReport()
    with database.reading() as session:
        directory = _directory(session)
    rows = _sifted(map(reader.draft, sheet.records), report)
    matches = _sifted(matched(rows, directory), report)
    entries, relations, refusals = related(list(matches), directory)
    report.refusals = sorted([*report.refusals, *refusals], key=lambda refusal: refusal.row)
    writer = _Writer(database, relations, Locator(gazetteer), now, dry_run)
    for chunk in _chunks(entries):
        writer.write(chunk, report)
        if progress:
            progress(len(chunk))
    writer.link()
    report.notes = [*sheet.notes, *reader.notes(), *writer.locator.notes()]
    return report


def _sifted(items: Iterable[T | Refusal], report: ImportReport) -> Iterator[T]:
    for item in items:
        if isinstance(item, Refusal):
            report.refusals.append(item)
        else:
            yield item


def _chunks(items: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(items)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def _directory(session: Session) -> Directory:
    query = sa.select(*(getattr(Branch, column.name) for column in fields(Known)))
    known = (Known(*row) for row in session.connection().execute(query))
    former = session.exec(select(FormerSlug.slug, FormerSlug.branch_id))
    return Directory(known, dict(former.all()))


class _Writer:
    """Writes entries in chunks, each a transaction; a dry run does the same in sessions that never commit."""

    def __init__(
        self, database: Database, relations: Relations, locator: Locator, now: datetime, dry_run: bool
    ) -> None:
        self.locator = locator
        self._database, self._relations, self._now, self._dry_run = database, relations, now, dry_run
        self._ids: dict[Node, int] = {}  # of the branches that were not in the database before
        self._moved: list[Node] = []  # those with another parent or successor than before

    def write(self, chunk: list[Entry], report: ImportReport) -> None:
        with _undisturbed(), self._session() as session:
            before = _branches(session, [entry.known.id for entry in chunk if entry.known])
            added = {}
            for entry in chunk:
                branch = before.get(entry.node) or new_branch(entry.draft, entry.slug, self._now)
                changed = self._change(branch, entry)
                if entry.known is None:
                    added[entry.node] = branch
                elif changed:
                    report.updated += 1
                    self._rename(session, branch, entry.slug)
                else:
                    report.unchanged += 1
            report.added += len(added)
            if not self._dry_run:
                session.add_all(added.values())
                session.flush()
                write_keys(session, [*before.values(), *added.values()])
                self._ids.update((node, branch.id) for node, branch in added.items() if branch.id)

    def link(self) -> None:
        """Parents and successors, once every branch has an id: a file may name them in any order."""
        statement = (
            sa.update(Branch)
            .where(col(Branch.id) == sa.bindparam("node"))
            .values(parent_id=sa.bindparam("parent"), successor_id=sa.bindparam("successor"))
        )
        for nodes in _chunks([] if self._dry_run else self._moved):
            values = [
                {
                    "node": self._id(node),
                    "parent": self._id(self._relations.parents.get(node)),
                    "successor": self._id(self._relations.successors.get(node)),
                }
                for node in nodes
            ]
            with _undisturbed(), self._database.writing() as session:
                session.connection().execute(statement, values)

    def _session(self) -> AbstractContextManager[Session]:
        return self._database.reading() if self._dry_run else self._database.writing()

    def _id(self, node: Node | None) -> int | None:
        return self._ids.get(node, node) if node else None

    def _change(self, branch: Branch, entry: Entry) -> bool:
        """Brings the row up to the entry; False, and an untouched `updated_at`, when it was so already."""
        old = branch.model_dump()
        entry.draft.write_to(branch)
        self.locator.complete(branch, entry.draft, old)
        branch.stand_at(branch.point)  # a branch that has become confidential stands elsewhere in the index
        known = entry.known or _NOBODY
        relations = (self._relations.parents.get(entry.node), self._relations.successors.get(entry.node))
        moved = relations != (known.parent_id, known.successor_id)
        if moved:
            self._moved.append(entry.node)
        if not moved and branch.slug == entry.slug and branch.model_dump() == old:
            return False
        branch.updated_at = self._now
        return True

    def _rename(self, session: Session, branch: Branch, slug: str) -> None:
        """The old slug keeps leading here; a slug that comes back is no longer a former one."""
        if branch.slug == slug or branch.id is None or self._dry_run:
            return
        session.add(FormerSlug(slug=branch.slug, branch_id=branch.id))
        session.connection().execute(sa.delete(FormerSlug).where(col(FormerSlug.slug) == slug))
        branch.slug = slug


def _branches(session: Session, ids: list[int]) -> dict[int, Branch]:
    """Raises Conflict when one of them has gone meanwhile."""
    found = session.exec(select(Branch).where(col(Branch.id).in_(ids))).all()
    if len(found) < len(ids):
        raise Conflict(_DISTURBED)
    return {branch.id: branch for branch in found if branch.id}


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Between reading the directory and writing, somebody else may have taken a slug or removed a branch."""
    try:
        yield
    except IntegrityError as error:
        raise Conflict(_DISTURBED) from error


# ---------------------------------------------------------------- out


def export_lines(session: Session) -> Iterator[str]:
    """All columns of all branches as lines of CSV, private ones too, by slug.

    By slug, because that order is the same whatever ids another database gives the branches and however it
    collates text: exported, imported and exported again, the bytes are the same. (Parents need not come
    first: an import takes rows in any order.)
    """
    yield written(COLUMNS)
    order = sorted(session.exec(select(Branch.slug, Branch.id)).all())
    for chunk in _chunks(order):
        branches = session.exec(select(Branch).where(col(Branch.id).in_([id for _, id in chunk]))).all()
        slugs = related_slugs(session, branches)
        for branch in sorted(branches, key=lambda branch: branch.slug):
            yield written(csv_cells(branch, slugs).values())


def related_slugs(session: Session, branches: Iterable[Branch]) -> dict[int, str]:
    """The slugs of the parents and successors of these branches, by id."""
    ids = {id for branch in branches for id in (branch.parent_id, branch.successor_id) if id is not None}
    slugs: dict[int, str] = {}
    for chunk in _chunks(sorted(ids)):
        found = session.exec(select(Branch.id, Branch.slug).where(col(Branch.id).in_(chunk)))
        slugs.update((id, slug) for id, slug in found if id is not None)
    return slugs
