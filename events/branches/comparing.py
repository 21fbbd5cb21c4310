"""What has changed of a branch, cell by cell, as the columns of its table have it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from .columns import COLUMNS
from .models import Branch
from .sheet import decimal

Cell: TypeAlias = str | float | None
Cells: TypeAlias = Mapping[str, Cell]  # as `formats.csv_cells` gives them, and as JSON gives them back


@dataclass(frozen=True, slots=True)
class CellChange:
    column: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class RowChange:
    """A row of a table that changes a branch, or adds one (`before` is None). `since`: when it said that."""

    row: int
    branch: Branch
    before: Cells | None
    since: datetime
    after: Cells

    @property
    def is_new(self) -> bool:
        return self.before is None

    @property
    def cells(self) -> list[CellChange]:
        return differences(self.before or {}, self.after)


def differences(before: Cells, after: Cells) -> list[CellChange]:
    """In the order of the columns. A cell that is missing is an empty one."""
    pairs = ((column, text_of(before.get(column)), text_of(after.get(column))) for column in COLUMNS)
    return [CellChange(column, old, new) for column, old, new in pairs if old != new]


def text_of(cell: Cell) -> str:
    return decimal(cell) if isinstance(cell, float) else str(cell) if cell is not None else ""
