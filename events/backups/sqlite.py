"""The copy of a database of SQLite that goes into an archive, and whether a file is one that can be trusted."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from ..errors import ConfigurationError, Unavailable, say
from ..migrations import ALEMBICS

PATIENCE_S = 10.0
PAGES = 2000  # at a time; between them others may be served


@contextmanager
def _connected(path: Path, mode: str) -> Iterator[sqlite3.Connection]:
    address = f"file:{quote(str(path.absolute()))}?mode={mode}"
    with closing(sqlite3.connect(address, uri=True, timeout=PATIENCE_S, isolation_level=None)) as connection:
        yield connection


def copy(path: Path, target: Path) -> None:
    """As it is at this moment, while others go on writing.

    A transaction that reads is open all the while: without it SQLite begins again each time that another process has
    written, and comes to no end where people write. In WAL nobody waits for who reads.
    """
    try:
        with _connected(path, "rw") as source, _connected(target, "rwc") as copied:
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()
            source.backup(copied, pages=PAGES)
            source.execute("ROLLBACK")
            copied.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
    except sqlite3.Error as error:
        raise Unavailable(say("The database cannot be copied: %(why)s.", why=error)) from error


def rows(path: Path) -> dict[str, int]:
    """How many each table has, but for those of the spatial index."""
    with _connected(path, "ro") as connection:
        listed = connection.execute(_TABLES).fetchall()
        return {
            name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608
            for (name,) in listed
        }


_TABLES = """
SELECT name FROM sqlite_master WHERE type = 'table'
AND name NOT LIKE 'sqlite%' AND name NOT LIKE '%!_spot%' ESCAPE '!' AND name <> 'alembic_version'
"""


def fault(path: Path) -> str:
    """What is wrong with a database that nobody uses; nothing, when it is whole."""
    try:
        with _connected(path, "ro") as connection:
            (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if said != "ok":
                return str(said)
            orphan = connection.execute("PRAGMA foreign_key_check").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return f"a row of {orphan[0]} belongs to one of {orphan[2]} that is not there" if orphan else ""


def schema(path: Path) -> str:
    """The number of the last step; empty when there is no schema of ours."""
    try:
        with _connected(path, "ro") as connection:
            return str(connection.execute(f"SELECT version_num FROM {ALEMBICS}").fetchone()[0])  # noqa: S608
    except (sqlite3.Error, TypeError):
        return ""


def take_out_of_use(path: Path) -> None:
    """Brings all into the one file, without a log beside it. Raises ConfigurationError while others have it open.

    One that is damaged is left as it is, with its log: it is about to be put aside.
    """
    try:
        with _connected(path, "ro") as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        with _connected(path, "rw") as connection:
            connection.execute("PRAGMA busy_timeout=1000")
            connection.execute("PRAGMA journal_mode=DELETE")
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise ConfigurationError(
                say(
                    "Somebody has the database %(path)s open. Stop them first; nothing was changed.",
                    path=path,
                )
            ) from error
