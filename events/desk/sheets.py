"""Tables of branches that were brought back: what each would change, and doing just that, all of it or nothing.

A preview is an import that writes nothing (`exchange.import_within`); applying it is the same import in one
transaction. Both hear of every change, in the same order, and a seal over all of them tells whether they agree.
"""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from ..branches import exchange
from ..branches.comparing import CellChange, Cells, RowChange, differences
from ..branches.exchange import ImportReport
from ..calendars import moves
from ..db import table_of
from ..errors import Conflict, Message, NotFound, Refusal, TooLarge, no_such_page, say
from ..people.history import Version
from ..people.models import Person
from ..places.lookup import Gazetteer
from ..places.readings import Interpretation
from . import branch_changes
from .models import BranchSheet

# What can be read and written within some seconds: others wait as long. The command line has no limits.
MOST_BYTES, MOST_ROWS, MOST_LOOKUPS = 2_000_000, 20_000, 3_000
PAGE = 50
KEPT = timedelta(days=7)
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Line:
    """What a row would do to a branch, or a branch that it would add."""

    row: int
    slug: str
    name: str
    is_new: bool
    cells: Sequence[CellChange]


@dataclass(frozen=True, slots=True)
class Preview:
    """A page of what a table would do: rows that cannot be used first, then rows that change something."""

    added: int
    updated: int
    unchanged: int
    refused: int
    refusals: Sequence[Refusal]
    lines: Sequence[Line]
    notes: Sequence[Message]
    pages: int
    seal: str

    @property
    def changes(self) -> int:
        return self.added + self.updated

    @property
    def can_be_applied(self) -> bool:
        return self.changes > 0 and not self.refused


# ---------------------------------------------------------------- bringing one


def bring(session: Session, person: Person, name: str, body: bytes, key: str, now: datetime) -> BranchSheet:
    """Keeps a table until it is applied; a form that is sent twice (`key`) brings one. Raises Unreadable, TooLarge."""
    if len(body) > MOST_BYTES or exchange.rows_of(io.BytesIO(body), MOST_ROWS) > MOST_ROWS:
        raise TooLarge(
            say(
                "That is more than we can take at once: 2 MB and %(rows)d rows at most."
                " Larger tables go in with “branchline branches import”, which has no limit.",
                rows=MOST_ROWS,
            )
        )
    number = hashlib.sha256(f"{person.id} {key}".encode()).hexdigest()[:32]
    found = session.get(BranchSheet, number)
    if found is None:
        found = BranchSheet(id=number, person_id=person.id or 0, name=name[:200], body=body, created_at=now)
        session.add(found)
    return found


def sheet_of(session: Session, person: Person, number: str) -> BranchSheet:
    """One that the person brought. Raises NotFound."""
    found = session.get(BranchSheet, number)
    if found is None or found.person_id != person.id:
        raise NotFound
    return found


def forget_past(session: Session, now: datetime) -> None:
    session.exec(sa.delete(BranchSheet).where(col(BranchSheet.created_at) < now - KEPT))


# ---------------------------------------------------------------- looking


class _Patient(Gazetteer):
    """Looks up so many places, in another one, and no more. Raises TooLarge."""

    def __init__(self, other: Gazetteer) -> None:
        super().__init__(other.path)
        self._other, self._asked = other, 0

    @property
    def exists(self) -> bool:
        return self._other.exists

    def interpretations(self, text: str, **how: Any) -> list[Interpretation]:
        self._asked += 1
        if self._asked > MOST_LOOKUPS:
            raise TooLarge(
                say(
                    "More than %(most)d rows have no coordinates, and to look up so many places takes too long here."
                    " Give coordinates, or use “branchline branches import”, which has no limit.",
                    most=MOST_LOOKUPS,
                )
            )
        return self._other.interpretations(text, **how)


class _Seal:
    """The same for two imports that do the same. Counts what can be seen: an import may mend keys besides."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.added = self.updated = 0

    def add(self, change: RowChange) -> Sequence[CellChange]:
        """The cells that the row changes; a new branch may have none."""
        cells = change.cells
        if cells or change.is_new:
            said = (change.row, change.is_new, [(cell.column, cell.old, cell.new) for cell in cells])
            self._hash.update(repr(said).encode())
            self.added += change.is_new
            self.updated += not change.is_new
        return cells

    def of(self, report: ImportReport) -> str:
        refused = [refusal.row for refusal in report.refusals]
        return hashlib.sha256(f"{self._hash.hexdigest()} {refused}".encode()).hexdigest()[:32]


def preview(session: Session, sheet: BranchSheet, gazetteer: Gazetteer, page: int, now: datetime) -> Preview:
    """Raises NotFound past the end, and TooLarge. `session` must never commit."""
    seal, most, lines = _Seal(), page * PAGE, list[Line]()

    def told(change: RowChange) -> None:
        cells = seal.add(change)
        if (cells or change.is_new) and len(lines) < most:  # no later one can be on this page
            slug = str((change.before or change.after)["slug"])
            lines.append(Line(change.row, slug, str(change.after["name"]), change.is_new, cells))

    report = exchange.import_within(
        session, io.BytesIO(sheet.body), gazetteer=_Patient(gazetteer), dry_run=True, now=now, told=told
    )
    refused = len(report.refusals)
    pages = max(1, -(-(refused + seal.added + seal.updated) // PAGE))
    if page > pages:
        raise no_such_page(page)
    first = (page - 1) * PAGE
    return Preview(
        added=seal.added,
        updated=seal.updated,
        unchanged=report.unchanged + report.updated - seal.updated,
        refused=refused,
        refusals=report.refusals[first : first + PAGE],
        lines=lines[max(first - refused, 0) : max(first + PAGE - refused, 0)],
        notes=report.notes,
        pages=pages,
        seal=seal.of(report),
    )


# ---------------------------------------------------------------- applying


def apply(
    session: Session, sheet: BranchSheet, seen: str, gazetteer: Gazetteer, person: Person, now: datetime
) -> ImportReport:
    """Does what the preview with the seal `seen` said. What it did before it does not do again.

    Raises Conflict, so that nothing is done, when it would not be that any more, or some rows cannot be used.
    """
    seal, versions = _Seal(), _Versions(session, person, now, sheet.id)

    def told(change: RowChange) -> None:
        if seal.add(change) or change.is_new:
            versions.add(change)

    report = exchange.import_within(
        session, io.BytesIO(sheet.body), gazetteer=_Patient(gazetteer), dry_run=False, now=now, told=told
    )
    if report.refusals:
        raise Conflict(say("Some rows cannot be used, so nothing was done. They are listed below."))
    if not (seal.added or seal.updated):
        return report
    if seal.of(report) != seen:
        raise Conflict(
            say(
                "Branches have changed since you looked at this, so nothing was done yet."
                " This is what the table would do now."
            )
        )
    versions.write()
    moves.move_revision(session, now)
    return report


class _Versions:
    """Writes the versions of many branches, some hundreds at once: one by one they would take a minute."""

    def __init__(self, session: Session, person: Person, now: datetime, batch: str) -> None:
        self._session, self._person, self._now, self._batch = session, person, now, batch
        self._changes: dict[str, RowChange] = {}

    def add(self, change: RowChange) -> None:
        self._changes[branch_changes.subject(change.branch)] = change
        if len(self._changes) >= CHUNK:
            self.write()

    def write(self) -> None:
        newest = self._newest()
        rows: list[dict[str, Any]] = []
        for subject, change in self._changes.items():
            last, said = newest.get(subject, (0, {}))
            if change.before is not None and (not last or differences(said, change.before)):
                last += 1
                rows.append(self._row(subject, last, branch_changes.FOUND, change.before, change.since))
            row = self._row(subject, last + 1, "added" if change.is_new else "table", change.after, self._now)
            rows.append(row | {"person_id": self._person.id, "batch": self._batch})
        if rows:
            self._session.connection().execute(sa.insert(table_of(Version)), rows)
        self._changes = {}

    def _newest(self) -> dict[str, tuple[int, Cells]]:
        """Number and cells of the newest version of each."""
        version = table_of(Version).c
        mine = sa.select(version.subject, sa.func.max(version.number)).where(
            version.subject.in_(self._changes)
        )
        query = sa.select(version.subject, version.number, version.snapshot).where(
            sa.tuple_(version.subject, version.number).in_(mine.group_by(version.subject))
        )
        rows = self._session.connection().execute(query)
        return {subject: (number, snapshot) for subject, number, snapshot in rows}

    def _row(
        self, subject: str, number: int, action: str, snapshot: Any, made_at: datetime
    ) -> dict[str, Any]:
        return {
            "subject": subject,
            "number": number,
            "action": action,
            "person_id": None,
            "made_at": made_at,
            "batch": "",
            "snapshot": dict(snapshot),
        }
