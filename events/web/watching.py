"""Whether anything has moved: asked before each answer from memory, so it may cost microseconds only.

SQLite says by `PRAGMA data_version` whether another connection has committed since; only then rows are read. With
PostgreSQL the rows are read at most once a second by each process: an answer from memory may be that much behind.
"""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ..calendars import moves
from ..calendars.kept import LONG_AGO
from ..calendars.models import CalendarRevision
from ..calendars.moves import Move
from ..db import Database, SiteRevision, table_of
from ..outages import is_away

BEHIND_S = 1.0  # at most, with PostgreSQL
PATIENCE_S = 0.25  # how long an answer waits for a database that does not answer; then what is known stands
log = logging.getLogger("branchline")


# Written once, and one statement: every process asks after each edit, whoever makes it.
_NOW = sa.select(
    *(
        sa.select(column).scalar_subquery()
        for column in (
            table_of(SiteRevision).c.number,
            table_of(CalendarRevision).c.number,
            table_of(CalendarRevision).c.moved_at,
        )
    )
)


class Revisions:
    """What is known of how far everything has moved. `look` before trusting it.

    `site` moves with all that pages for everybody show, `calendar` (at `moved_at`) with all that feeds show.
    """

    def __init__(self, database: Database, behind_s: float = BEHIND_S) -> None:
        self.site, self.calendar, self.moved_at = 0, 0, LONG_AGO
        self.behind_s = behind_s
        self._requests = database
        self._own = Database(database.url, size=1)
        self._is_sqlite = self._own.is_sqlite
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="revisions")
        self._connection: sa.Connection | None = None
        self._held: sqlite3.Connection | None = None  # the same, as the driver knows it
        self._version = -1
        self._turn: asyncio.AbstractEventLoop | None = None  # whose turn it is that has looked already
        self._looked_at, self._commits = -BEHIND_S, -1
        self._moves: list[Move] = []  # those up to `calendar`, the last one last

    def close(self) -> None:
        self._thread.shutdown()
        if self._connection is not None:
            self._connection.close()
        self._own.dispose()

    async def look(self) -> bool:
        """False when the database cannot be asked and no answer from memory may be given for that."""
        if self._is_sqlite:
            # All requests that one turn of the loop answers had come before it began: one look is new enough for them.
            loop = asyncio.get_running_loop()
            if self._turn is loop:
                return True
            if not self._look_at_file():
                return False
            self._turn = loop
            loop.call_soon(self._end_turn)
            return True
        now = time.monotonic()
        if now - self._looked_at < self.behind_s and self._commits == self._requests.commits:
            return True
        self._looked_at, self._commits = now, self._requests.commits
        reading = asyncio.get_running_loop().run_in_executor(self._thread, self._look_at_server)
        await asyncio.wait([reading], timeout=PATIENCE_S)
        return True

    def moves_after(self, number: int) -> Sequence[Move] | None:
        """The steps of `calendar` after that number. None: they are not known any more, anything may have moved."""
        steps = self.calendar - number
        if not 0 <= steps <= len(self._moves):
            return None
        return self._moves[len(self._moves) - steps :]

    def _end_turn(self) -> None:
        self._turn = None

    def _look_at_file(self) -> bool:
        try:
            held = self._held or self._open()
            (version,) = held.execute("PRAGMA data_version").fetchone()
            if version != self._version and self._connection is not None:
                self._read(self._connection)
                self._version = version
        except (sqlite3.Error, SQLAlchemyError) as error:
            log.warning("cannot see whether anything has moved: %s", error)
            return False
        return True

    def _open(self) -> sqlite3.Connection:
        self._connection = self._own.engine.connect()
        held = self._connection.connection.driver_connection
        if not isinstance(held, sqlite3.Connection):
            raise TypeError("SQLite is spoken to in another way")
        self._held = held
        return held

    def _look_at_server(self) -> None:
        """What was known stands while the server is away: old is better than nothing."""
        try:
            try:
                self._read(self._open_to_server())
            except DBAPIError as error:
                if not is_away(error):
                    raise
                self._close_to_server()  # perhaps it was away, and is not any more
                self._read(self._open_to_server())
        except SQLAlchemyError as error:
            self._close_to_server()
            log.warning("cannot see whether anything has moved: %s", error)

    def _open_to_server(self) -> sa.Connection:
        """Held open, and without transactions: one statement is one question and one answer."""
        if self._connection is None:
            self._connection = self._own.engine.connect()
        return self._connection

    def _close_to_server(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _read(self, connection: sa.Connection) -> None:
        of_site, number, moved_at = connection.execute(_NOW).one()
        if (number or 0) != self.calendar:
            self._follow(connection, number or 0, moved_at or LONG_AGO)
        self.site = of_site or 0
        connection.rollback()

    def _follow(self, connection: sa.Connection, number: int, moved_at: datetime) -> None:
        since = moves.moves_since(connection, self.calendar, number) if self.calendar else None
        self._moves = [] if since is None else [*self._moves, *since][-moves.MOST :]
        self.calendar, self.moved_at = number, moved_at
