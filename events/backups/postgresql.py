"""The dump of a database of PostgreSQL that goes into an archive, and bringing one back in one transaction.

`pg_dump` and `pg_restore` do what they are for. What `pg_restore` writes is sent to the server by a connection of our
own, so that all that belongs to it, a newer schema too, is one transaction: all of it, or nothing.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psycopg
import sqlalchemy as sa
from psycopg import conninfo

from ..db import Database
from ..errors import BranchlineError, ConfigurationError, Unavailable, say
from ..migrations import ALEMBICS

PATIENCE_S = 10
_COPIES = re.compile(rb"COPY [^;]+ FROM stdin;\n")
_END = b"\\.\n"


class NoTool(ConfigurationError):
    """`pg_dump` is not there, or older than the server."""


def dump(database: Database, target: Path) -> dict[str, int]:
    """Returns how many rows each table has, in the very state that the dump holds."""
    tool = _tool("pg_dump")
    with database.engine.execution_options(isolation_level="REPEATABLE READ").connect() as connection:
        _check_version(tool, connection)
        snapshot = connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()
        with _address(database, target.with_name("password")) as address:
            options = ("--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}")
            _run(tool, *options, f"--file={target}", f"--dbname={address}")
        names = sa.inspect(connection).get_table_names()
        return {name: _count(connection, name) for name in names if name != ALEMBICS}


def _count(connection: sa.Connection, table: str) -> int:
    number: int = connection.execute(sa.select(sa.func.count()).select_from(sa.table(table))).scalar_one()
    return number


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise NoTool(say("%(tool)s is missing. Debian has it in the package postgresql-client.", tool=name))
    return found


def _check_version(tool: str, connection: sa.Connection) -> None:
    said = re.search(r"\d+", _run(tool, "--version"))
    server = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one()) // 10_000
    if said is not None and int(said[0]) < server:
        numbers = {"version": int(said[0]), "server": server}
        raise NoTool(
            say(
                "pg_dump is of version %(version)d and PostgreSQL of version %(server)d:"
                " a pg_dump of that version or a newer one is needed.",
                **numbers,
            )
        )


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
    if done.returncode:
        raise _failed(command[0], done.stderr)
    return done.stdout


def _failed(tool: str, said: str) -> Unavailable:
    lines = [line for line in said.splitlines() if line.strip()] or ["?"]
    return Unavailable(say("%(tool)s has failed: %(why)s", tool=Path(tool).name, why=lines[0].strip()[:500]))


@contextmanager
def _address(database: Database, file: Path) -> Iterator[str]:
    """For the tools: the password in a file, because everybody on the machine sees how a program was called."""
    url = database.engine.url
    known = url.translate_connect_args(database="dbname", username="user") | dict(url.query)
    password = known.pop("password", None)
    if password is not None:
        escaped = re.sub(r"([\\:])", r"\\\1", str(password))
        file.touch(0o600)
        file.write_text(f"*:*:*:*:{escaped}\n")
        known["passfile"] = str(file)
    try:
        yield conninfo.make_conninfo(**known)
    finally:
        file.unlink(missing_ok=True)


# ---------------------------------------------------------------- bringing it back


def check_readable(dump_file: Path) -> None:
    _run(_tool("pg_restore"), "--list", str(dump_file))


def check_unused(database: Database) -> None:
    """Raises ConfigurationError when anybody else is connected, from whichever machine."""
    with database.engine.connect() as connection:
        others = connection.exec_driver_sql(_OTHERS).scalar_one()
    if others:
        raise ConfigurationError(
            say(
                "Others are connected to the database (%(number)d). Stop the site and its workers on all machines"
                " first; nothing was changed.",
                number=others,
            )
        )


_OTHERS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


def is_empty(database: Database) -> bool:
    with database.engine.connect() as connection:
        return not sa.inspect(connection).has_table(ALEMBICS)


def bring_back(connection: sa.Connection, dump_file: Path, rows: Mapping[str, int], others: set[str]) -> None:
    """In the transaction of `connection`: the tables of the dump, and the `others` of ours, go, and its own come."""
    held = connection.connection.driver_connection
    if not isinstance(held, psycopg.Connection):
        raise TypeError("PostgreSQL is spoken to in another way")
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{PATIENCE_S}s'")
    for name in sorted({ALEMBICS, *rows, *others}):
        connection.exec_driver_sql(f'DROP TABLE IF EXISTS "{name}" CASCADE')
    options = ("--no-owner", "--no-privileges", "--no-comments", "--file=-")
    command = [_tool("pg_restore"), *options, str(dump_file)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as tool:
        if tool.stdout is None or tool.stderr is None:
            raise TypeError("there is no way to read what it writes")
        try:
            with held.cursor() as cursor:
                _play(tool.stdout, cursor)
        except psycopg.Error as error:
            tool.kill()
            why = " ".join(str(error).split())
            raise Unavailable(
                say("PostgreSQL does not take this back-up: %(why)s. Nothing was changed.", why=why)
            ) from error
        said = tool.stderr.read().decode(errors="replace")
    if tool.returncode:
        raise _failed(command[0], said)
    connection.exec_driver_sql("RESET ALL")
    for name, number in rows.items():
        if _count(connection, name) != number:
            raise Unequal(
                say("Table %(table)s has not as many rows as it should: nothing was kept.", table=name)
            )


class Unequal(BranchlineError):
    """What came back is not what the archive says of itself."""

    status = 500


def _play(script: IO[bytes], cursor: psycopg.Cursor[tuple[object, ...]]) -> None:
    """Statements as they come, and the rows of a table after its COPY. Lines of psql's own are not for the server."""
    statements: list[bytes] = []
    for line in script:
        if _COPIES.fullmatch(line):
            _execute(cursor, statements)
            with cursor.copy(line) as rows:
                while (row := script.readline()) != _END:
                    if not row:
                        raise Unavailable(say("The dump ends in the middle of a table: nothing was changed."))
                    rows.write(row)
        elif not line.startswith(b"\\"):
            statements.append(line)
    _execute(cursor, statements)


def _execute(cursor: psycopg.Cursor[tuple[object, ...]], statements: list[bytes]) -> None:
    cursor.execute(b"".join(statements))
    statements.clear()
