"""Copying everything from one database into an empty one of the other engine."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from ..db import Database
from ..errors import BranchlineError, Conflict, say
from . import upgrade
from .tables import metadata

CHUNK = 1000  # rows
LARGE_CHUNK = 20  # of tables whose rows hold whole files


class CountsDiffer(BranchlineError):
    """After copying, a table did not have as many rows as it should: nothing was committed."""

    status = 500


def move(source: Database, target: Database) -> dict[str, int]:
    """Rows copied, by table. Raises Conflict unless the target is empty; after an error it stays empty."""
    upgrade(target)
    copied: dict[str, int] = {}
    with (
        _at_one_moment(source) as reading,
        target.for_writing.begin() as writing,
    ):
        _check_empty(writing)
        if target.is_sqlite:
            writing.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        for table in metadata.sorted_tables:
            copied[table.name] = _copy(table, reading, writing, later=_own_references(table))
        if not target.is_sqlite:
            _advance_sequences(writing)
        for table in metadata.sorted_tables:
            found = writing.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            if found != copied[table.name]:
                raise CountsDiffer(
                    say(
                        "Table %(table)s has %(found)d rows instead of %(wanted)d: nothing was kept.",
                        table=table.name,
                        found=found,
                        wanted=copied[table.name],
                    )
                )
    return copied


def _at_one_moment(database: Database) -> sa.Connection:
    """A connection that sees the database as it was at its first query, whatever is written meanwhile."""
    if database.is_sqlite:
        return database.engine.connect()
    return database.engine.execution_options(isolation_level="REPEATABLE READ").connect()


def _check_empty(connection: sa.Connection) -> None:
    for table in metadata.sorted_tables:
        if connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first():
            raise Conflict(
                say("The target database is not empty: table %(table)s has rows.", table=table.name)
            )


def _own_references(table: sa.Table) -> list[str]:
    """Columns that point into the same table: filled in when all its rows are there."""
    return [key.parent.name for key in table.foreign_keys if key.column.table is table]


def _copy(table: sa.Table, reading: sa.Connection, writing: sa.Connection, later: list[str]) -> int:
    number = 0
    for rows in _chunks(reading, table):
        writing.execute(table.insert(), [row | dict.fromkeys(later) for row in rows])
        number += len(rows)
    for name in later:
        key = next(iter(table.primary_key.columns))
        point = (
            sa.update(table).where(key == sa.bindparam("its_key")).values({name: sa.bindparam("points_to")})
        )
        for rows in _chunks(reading, table):
            pairs = [
                {"its_key": row[key.name], "points_to": row[name]} for row in rows if row[name] is not None
            ]
            if pairs:
                writing.execute(point, pairs)
    return number


def _chunks(reading: sa.Connection, table: sa.Table) -> Iterator[list[dict[str, Any]]]:
    size = LARGE_CHUNK if any(isinstance(column.type, sa.LargeBinary) for column in table.columns) else CHUNK
    result = reading.execution_options(yield_per=size).execute(sa.select(table))
    for rows in result.mappings().partitions(size):
        yield [dict(row) for row in rows]


def _advance_sequences(connection: sa.Connection) -> None:
    """PostgreSQL does not notice keys that were given: the next one must come after them."""
    for table in metadata.sorted_tables:
        column = table.autoincrement_column
        if column is None or connection.execute(_sequence(table, column)).scalar() is None:
            continue
        highest = sa.select(sa.func.max(column)).scalar_subquery()
        connection.execute(
            sa.select(sa.func.setval(_sequence_name(table, column), sa.func.coalesce(highest, 1)))
        )


def _sequence_name(table: sa.Table, column: sa.Column[Any]) -> sa.Function[Any]:
    return sa.func.pg_get_serial_sequence(table.name, column.name)


def _sequence(table: sa.Table, column: sa.Column[Any]) -> sa.Select[Any]:
    return sa.select(_sequence_name(table, column))
