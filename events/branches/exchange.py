"""Branches as CSV, in and out. A refused row costs only itself; an exported file comes back as it was.

An import reads and checks the whole file, finds out which branch each row is about, and only then writes,
some hundreds of rows to a transaction: others can write in between, and one that was cut off is run again.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields, replace
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
from .comparing import Cells, RowChange
from .drafts import BranchDraft, new_branch
from .formats import csv_cells
from .locating import Locator
from .matching import Directory, Entry, Known, Node, Relations, matched, related
from .models import Branch, FormerSlug
from .serving import write_keys
from .sheet import Sheet, read_sheet, written

CHUNK = 500
_NOBODY = Known(0, "", None, "", "", "", None, None)
_DISTURBED = say(
    "Somebody changed branches at the same time. Run the import again: it goes on where it ended."
)
_DISTURBED_AT_ONCE = say("Somebody changed branches at the same time, so nothing was done. Please try again.")
T = TypeVar("T")
Told = Callable[[RowChange], object]


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
    table = _Table.of(file, mapping, country)
    with database.reading() as session:
        directory = _directory(session)
    sessions = database.reading if dry_run else database.writing
    return _imported(table, directory, _Writer(sessions, Locator(gazetteer), now, dry_run), progress)


def import_within(
    session: Session,
    file: BinaryIO,
    *,
    gazetteer: Gazetteer | None,
    dry_run: bool,
    now: datetime,
    told: Told | None = None,
) -> ImportReport:
    """The same in the one transaction of `session`: when anything is raised, nothing has been written.

    `told` hears of each row that adds a branch or changes one, in the order of the file.
    """
    table = _Table.of(file)

    def same() -> AbstractContextManager[Session]:
        return contextlib.nullcontext(session)

    writer = _Writer(same, Locator(gazetteer), now, dry_run, told, _DISTURBED_AT_ONCE)
    return _imported(table, _directory(session), writer)


def rows_of(file: BinaryIO, most: int) -> int:
    """How many rows it has, counted no further than `most` and one. Raises Unreadable when it cannot be used at all."""
    return sum(1 for _ in islice(_Table.of(file).sheet.records, most + 1))


@dataclass(frozen=True, slots=True)
class _Table:
    sheet: Sheet
    reader: RowReader

    @classmethod
    def of(
        cls, file: BinaryIO, mapping: Mapping[str, str] = MappingProxyType({}), country: str = ""
    ) -> "_Table":
        sheet = read_sheet(file)
        return cls(sheet, RowReader(sheet.header, mapping, country))


def _imported(
    table: _Table,
    directory: Directory,
    writer: "_Writer",
    progress: Callable[[int], object] | None = None,
) -> ImportReport:
    report = ImportReport()
    rows = _sifted(map(table.reader.draft, table.sheet.records), report)
    matches = _sifted(matched(rows, directory), report)
    entries, relations, refusals = related(list(matches), directory)
    report.refusals = sorted([*report.refusals, *refusals], key=lambda refusal: refusal.row)
    writer.relate(relations, directory, entries)
    for chunk in _chunks(entries):
        writer.write(chunk, report)
        if progress:
            progress(len(chunk))
    writer.link()
    report.notes = [*table.sheet.notes, *table.reader.notes(), *writer.locator.notes()]
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


class _Vanished(Exception):
    """A branch that was there a moment ago."""


class _Writer:
    """Writes entries in chunks, each in a session; a dry run does the same in sessions that never commit."""

    def __init__(
        self,
        sessions: Callable[[], AbstractContextManager[Session]],
        locator: Locator,
        now: datetime,
        dry_run: bool,
        told: Told | None = None,
        disturbed: Message = _DISTURBED,
    ) -> None:
        self.locator, self._disturbed = locator, disturbed
        self._sessions, self._now, self._dry_run, self._told = sessions, now, dry_run, told
        self._relations = Relations()
        self._slugs: dict[Node, str] = {}  # as they will be, for telling
        self._ids: dict[Node, int] = {}  # of the branches that were not in the database before
        self._moved: list[Node] = []  # those with another parent or successor than before

    def relate(self, relations: Relations, directory: Directory, entries: Iterable[Entry]) -> None:
        """What the parents and successors of the entries will be."""
        self._relations = relations
        if self._told:
            self._slugs = {known.id: known.slug for known in directory.by_id.values()}
            self._slugs.update((entry.node, entry.slug) for entry in entries)

    def write(self, chunk: list[Entry], report: ImportReport) -> None:
        with self._undisturbed(), self._sessions() as session:
            ids = [entry.known.id for entry in chunk if entry.known]
            before = _branches(session, ids, locked=not self._dry_run)
            added, changes = {}, []
            for entry in chunk:
                branch = before.get(entry.node) or new_branch(entry.draft, entry.slug, self._now)
                old = self._cells(branch, entry.known) if self._told and entry.known else None
                since = branch.updated_at
                changed = self._change(branch, entry)
                if entry.known is None:
                    added[entry.node] = branch
                elif changed:
                    report.updated += 1
                    if not self._dry_run:
                        rename(session, branch, entry.slug)
                else:
                    report.unchanged += 1
                if self._told and (changed or entry.known is None):
                    changes.append(RowChange(entry.row, branch, old, since, self._cells(branch, entry)))
            report.added += len(added)
            self._save(session, before, added)
            for change in changes:
                if self._told:
                    self._told(change)

    def _save(self, session: Session, before: Mapping[int, Branch], added: Mapping[Node, Branch]) -> None:
        """A dry run lets go of what it changed instead: its session may have more to read."""
        if self._dry_run:
            for branch in before.values():
                session.expunge(branch)
            return
        session.add_all(added.values())
        session.flush()
        write_keys(session, [*before.values(), *added.values()])
        self._ids.update((node, branch.id) for node, branch in added.items() if branch.id)

    def _cells(self, branch: Branch, of: Known | Entry) -> Cells:
        """As they are, or of an entry, as they will be."""
        if isinstance(of, Known):
            related = {"parent_slug": of.parent_id, "successor_slug": of.successor_id}
        else:
            parents, successors = self._relations.parents, self._relations.successors
            related = {"parent_slug": parents.get(of.node), "successor_slug": successors.get(of.node)}
        cells = csv_cells(branch, {}) | {"slug": of.slug}
        return cells | {column: self._slugs.get(node or 0) for column, node in related.items()}

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
            with self._undisturbed(), self._sessions() as session:
                session.connection().execute(statement, values)

    @contextlib.contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """Between reading the directory and writing, somebody else may have taken a slug or removed a branch."""
        try:
            yield
        except (IntegrityError, _Vanished) as error:
            raise Conflict(self._disturbed) from error

    def _id(self, node: Node | None) -> int | None:
        return self._ids.get(node, node) if node else None

    def _change(self, branch: Branch, entry: Entry) -> bool:
        """Brings the row up to the entry; False, and an untouched `updated_at`, when it was so already."""
        old = bring_up(branch, entry.draft, self.locator)
        known = entry.known or _NOBODY
        relations = (self._relations.parents.get(entry.node), self._relations.successors.get(entry.node))
        moved = relations != (known.parent_id, known.successor_id)
        if moved:
            self._moved.append(entry.node)
        if not moved and branch.slug == entry.slug and branch.model_dump() == old:
            return False
        branch.updated_at = self._now
        return True


# ---------------------------------------------------------------- one branch


def bring_up(branch: Branch, draft: BranchDraft, locator: Locator) -> Mapping[str, object]:
    """Makes the row say what the draft says and what follows from it; returns what it said before.

    Its slug, parent and successor, its keys and `updated_at` are the caller's.
    """
    old = branch.model_dump()
    draft.write_to(branch)
    locator.complete(branch, draft, old)
    if branch.confidential or old["confidential"]:
        branch.stand_at(branch.point)  # one that has become confidential stands elsewhere in the index
    return old


def rename(session: Session, branch: Branch, slug: str) -> None:
    """The old slug keeps leading here; a slug that comes back is no longer a former one."""
    if branch.slug == slug or branch.id is None:
        return
    session.add(FormerSlug(slug=branch.slug, branch_id=branch.id))
    session.connection().execute(sa.delete(FormerSlug).where(col(FormerSlug.slug) == slug))
    branch.slug = slug


def free_slug(session: Session, draft: BranchDraft) -> str:
    """The slug of a branch that is to be new, from its name and town."""
    directory = _directory(session)
    # What has an external_id has no namesake: two branches of one name and town may be wanted.
    others = (replace(known, external_id=None) for known in directory.by_id.values())
    wanted = BranchDraft(name=draft.name, city=draft.city, external_id="new")
    [entry] = matched([(1, wanted)], Directory(others, directory.former))
    if isinstance(entry, Refusal):
        raise Conflict(entry.reason)
    return entry.slug


def _branches(session: Session, ids: list[int], *, locked: bool) -> dict[int, Branch]:
    """Raises _Vanished when one of them has gone meanwhile. `locked`: nobody else changes them until the end."""
    query = select(Branch).where(col(Branch.id).in_(ids))
    found = session.exec(query.with_for_update() if locked else query).all()
    if len(found) < len(ids):
        raise _Vanished
    return {branch.id: branch for branch in found if branch.id}


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
