"""Where an address stands in texts: of events, of branches, in the history, in files that wait to be taken over."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session
from sqlmodel.sql.sqltypes import AutoString

from ..calendars.models import CalendarSource
from ..db import Row, table_of
from ..desk.models import BranchSheet
from .kinds import KINDS, Whom

FILES = ((CalendarSource, "body"), (BranchSheet, "body"))  # what pictures hold is decoded and made anew


@dataclass(frozen=True, slots=True)
class Mention:
    """A text with the address in it: the table, the key of the row, the column."""

    table: str
    key: str
    column: str

    def __str__(self) -> str:
        return f"{self.table} {self.key}: {self.column}"


def mentions(session: Session, whom: Whom) -> Iterator[Mention]:
    """Outside of the rows that are about the person."""
    for table in Row.metadata.sorted_tables:
        yield from _in_texts(session, table, whom)
    for model, name in FILES:
        yield from _in_files(session, table_of(model), name, whom)


def _in_texts(session: Session, table: sa.Table, whom: Whom) -> Iterator[Mention]:
    columns = [column for column in table.columns if isinstance(column.type, AutoString | sa.JSON)]
    found = {column.name: _says(column, whom) for column in columns}
    if not found:
        return
    about = [kind.theirs(whom) for kind in KINDS if kind.table is table]
    query = sa.select(*_keys(table), *(there.label(f"in_{name}") for name, there in found.items()))
    query = query.where(
        sa.or_(*found.values()), *(sa.not_(sa.func.coalesce(one, sa.false())) for one in about)
    )
    for row in session.connection().execute(query).mappings():
        for name in found:
            if row[f"in_{name}"]:
                yield Mention(table.name, _key(table, row), name)


def _says(column: sa.Column[Any], whom: Whom) -> sa.ColumnElement[bool]:
    text = sa.func.lower(sa.cast(column, sa.Text))
    return reduce(sa.or_, (text.contains(spelled, autoescape=True) for spelled in whom.spellings))


def _in_files(session: Session, table: sa.Table, name: str, whom: Whom) -> Iterator[Mention]:
    query = sa.select(*_keys(table), table.c[name].label("content")).where(table.c[name].is_not(None))
    for row in session.connection().execute(query).mappings():
        content = bytes(row["content"]).lower()
        if any(spelled.encode() in content for spelled in whom.spellings):
            yield Mention(table.name, _key(table, row), name)


def _keys(table: sa.Table) -> list[sa.Label[Any]]:
    return [column.label(f"key_{column.name}") for column in table.primary_key.columns]


def _key(table: sa.Table, row: Any) -> str:
    return ", ".join(str(row[f"key_{column.name}"]) for column in table.primary_key.columns)
