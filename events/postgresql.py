"""What is asked of PostgreSQL's driver in another way than it does by itself."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from psycopg import Column


class Cursor(psycopg.Cursor[Any]):
    """Says what the columns of a result are when somebody looks.

    SQLAlchemy asks after each statement, also of one whose columns it knows already: for the 41 of a branch that takes
    as long as to send the statement.
    """

    @property
    def description(self) -> Any:  # the driver has a list
        result = self.pgresult
        return _Columns(self._described) if result and result.nfields else self._described()

    def _described(self) -> "list[Column] | None":
        return super().description


class _Columns(Sequence["Column"]):
    """To be looked at while the cursor is at this result."""

    def __init__(self, described: "Callable[[], list[Column] | None]") -> None:
        self._described = described

    @cached_property
    def _columns(self) -> "Sequence[Column]":
        return self._described() or ()

    def __getitem__(self, index: Any) -> Any:
        return self._columns[index]

    def __len__(self) -> int:
        return len(self._columns)
