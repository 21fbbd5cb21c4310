"""The schema: whether a database has the newest one, and the steps that bring it there (Alembic).

What the tables are is in `tables`, which is loaded by who needs all of them: a start only asks for the number.
"""

import contextlib
import sqlite3
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..errors import ConfigurationError, say
from ..later import loaded_later

if TYPE_CHECKING:
    import sqlalchemy as sa
    from alembic import command, config, util

    from ..db import Database
else:
    sa = loaded_later("sqlalchemy")
    command = loaded_later("alembic.command")
    config = loaded_later("alembic.config")
    util = loaded_later("alembic.util")

STEPS = Path(__file__).parent / "versions"
SQLITE = "sqlite:///"

# Where Alembic keeps the number of the last step, in a table of its own.
ALEMBICS = "alembic_version"
_READ_NUMBER = f"SELECT version_num FROM {ALEMBICS}"  # noqa: S608 (a name of our own)

# A key for pg_advisory_xact_lock: of several processes that start together, one migrates and the others wait.
MIGRATION_LOCK = 0x6272616E


def upgrade(database: "Database") -> None:
    """Brings the database to the newest schema in one transaction: all of it, or nothing.

    Raises ConfigurationError when the database is newer than this program.
    """
    with database.for_writing.begin() as connection:
        upgrade_within(connection)


def upgrade_within(connection: "sa.Connection") -> None:
    """The same in a transaction that others begin and end."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
    if is_newest(connection):  # at nearly every start: Alembic need not be loaded for that
        return
    steps = config.Config()
    steps.set_main_option("script_location", str(STEPS.parent))
    steps.attributes["connection"] = connection
    try:
        command.upgrade(steps, "head")
    except util.CommandError as error:
        raise ConfigurationError(
            say("The database was made by a newer Branchline than this one, which cannot use it.")
        ) from error


def is_newest(connection: "sa.Connection") -> bool:
    """Whether the schema is the one this code was written for."""
    return number(connection) == newest()


def number(connection: "sa.Connection") -> str:
    """Of the last step that was made; empty where none was."""
    if not sa.inspect(connection).has_table(ALEMBICS):
        return ""
    return str(connection.exec_driver_sql(_READ_NUMBER).scalar() or "")


def file_is_newest(url: str) -> bool:
    """The same of SQLite's file, at nearly every start: SQLAlchemy need not be loaded for that.

    False as well when it cannot be told like this: whoever then opens the file says what is wrong with it.
    """
    path = url.removeprefix(SQLITE)
    if path == url or "?" in path:
        return False
    try:
        with contextlib.closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True)) as connection:
            return connection.execute(_READ_NUMBER).fetchall() == [(newest(),)]
    except sqlite3.Error:
        return False


def newest() -> str:
    """Steps are one after the other."""
    return max(_numbers())


def is_known(number: str) -> bool:
    """Whether there is a way from there to the newest schema."""
    return number in _numbers()


@cache
def _numbers() -> frozenset[str]:
    """The names of the files of steps begin with their numbers."""
    return frozenset(path.name.partition("_")[0] for path in STEPS.glob("[0-9]*.py"))
