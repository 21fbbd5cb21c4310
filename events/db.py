"""The database: one engine, sessions that read, sessions that write. SQLite and PostgreSQL.

SQLite (trust.md): WAL, synchronous=FULL, foreign keys on, and write transactions that begin IMMEDIATE:
with the default BEGIN, a reader that turns writer fails at once with "database is locked".
"""

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from datetime import datetime
from email.errors import MessageError
from typing import TYPE_CHECKING, Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import registry
from sqlalchemy.sql.dml import Delete, Insert, Update
from sqlmodel import Field, Session, SQLModel

from . import outages, turns
from .errors import BranchlineError
from .later import loaded_later

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

    from . import postgresql as driver
else:
    postgresql = loaded_later("sqlalchemy.dialects.postgresql")
    driver = loaded_later("events.postgresql")

BUSY_TIMEOUT_MS = 10_000

SQLITE_PRAGMAS = (
    f"busy_timeout={BUSY_TIMEOUT_MS}",
    "synchronous=FULL",
    "foreign_keys=ON",
    "temp_store=MEMORY",
    "secure_delete=ON",  # what is removed is overwritten: it is nowhere in the file any more
)
WAL_PAUSE_S = 0.02
SURELY_LIVES_S = 5.0  # after it was used: to ask PostgreSQL each time takes as long as a small statement
CHECKPOINT_TRY_MS = 100
CACHE_KB = 2_000  # of pages of a file of SQLite, for each connection, at most
FEWEST_PAGES = 2_500  # 10 MB: of less, nothing is said to SQLite's planner
FEWEST_ROWS = 10_000  # of a table that it is told of
SAMPLED = 1000  # rows of each index, so that it takes as long with many as with few

# A fault of ours with one of many (a mail, an event, a calendar) must not keep the others from their turn. Whoever
# catches these lets OperationalError pass: the database is away, and so it is for all of them.
UNEXPECTED = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, OSError),
    *(RuntimeError, TypeError, ValueError, BranchlineError, MessageError, SQLAlchemyError),
)

# Alembic's batch mode and error messages need constraints with names.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

# Of a text column that came later: rows that were there before have nothing in it.
NO_TEXT_BEFORE: dict[str, Any] = {"server_default": sa.text("''")}


class Row(SQLModel):
    """The base of every table (`class Branch(Row, table=True)`), so that all constraints have names."""

    metadata = sa.MetaData(naming_convention=NAMING)


UNSEEN: dict[str, Any] = {"info": {"unseen": True}}


class PrivateRow(Row):
    """The base of a table of which no page for everybody shows anything: what changes there moves no revision.

    With `__table_args__` of its own a table says UNSEEN there.
    """

    __table_args__: ClassVar[Any] = UNSEEN


def apart() -> registry:
    """For the base of the tables that a module declares while pages are being asked for already.

    When a table has come, SQLAlchemy goes through all others of its registry, in the thread that asks for one of
    them: if another module declares one more meanwhile, "dictionary changed size during iteration".
    """
    return registry(metadata=Row.metadata)


class SiteRevision(Row, table=True):
    """One row that moves with every change that a page for everybody may show: while it stands, so do such pages.

    `Database.writing` moves it, as the last thing before it commits, so that nobody waits for the row for long.
    """

    __tablename__ = "site_revision"

    id: int = Field(primary_key=True)
    number: int = 0


_MOVE = sa.text(
    "INSERT INTO site_revision (id, number) VALUES (1, 1)"
    " ON CONFLICT (id) DO UPDATE SET number = site_revision.number + 1"
)


def table_of(model: type[SQLModel]) -> sa.Table:
    """The Core table of a model, for statements that show columns rather than make instances."""
    table = sa.inspect(model).local_table
    if not isinstance(table, sa.Table):
        raise TypeError(f"{model.__name__} is not a table")
    return table


def insert_into(session: Session, table: sa.Table) -> "postgresql.Insert | sqlite.Insert":
    """An INSERT that may say ON CONFLICT, which each engine has in a module of its own."""
    return insert_of(session.get_bind().dialect.name, table)


def insert_of(engine: str, table: sa.Table) -> "postgresql.Insert | sqlite.Insert":
    """The same for a statement that is written once for each engine."""
    return postgresql.insert(table) if engine == "postgresql" else sqlite.insert(table)


def due(table: sa.Table, now: datetime, *conditions: sa.ColumnElement[bool]) -> sa.Select[tuple[Any]]:
    """The ids of work whose `run_at` has come and that nobody has a lease of, what waited longest first."""
    free = sa.or_(table.c.leased_until.is_(None), table.c.leased_until < now)
    return (
        sa.select(table.c.id)
        .where(*conditions, table.c.run_at <= now, free)
        .order_by(table.c.run_at, table.c.id)
    )


def lease(table: sa.Table, found: sa.Select[tuple[Any]], until: datetime, most: int = 1) -> sa.Update:
    """Claims what was `due`, in one statement: of several workers one has it.

    The look stands in a WITH: PostgreSQL may make a subquery again for each row, and claim more than `most`.
    """
    claimed = found.limit(most).with_for_update(skip_locked=True).cte("claimed")
    return sa.update(table).where(table.c.id.in_(sa.select(claimed.c.id))).values(leased_until=until)


class Database:
    """`size` connections at most, one for each thread that may ask at the same time. `cache_kb`: of SQLite, each.

    `engine` only reads, of PostgreSQL each statement for itself; `for_writing` has transactions that may write.
    """

    def __init__(self, url: str, size: int = 2, cache_kb: int = CACHE_KB) -> None:
        self.url = url
        self.engine = sa.create_engine(
            url,
            pool_size=size,
            max_overflow=0,
            pool_use_lifo=True,  # so that few connections know what is asked often
            connect_args=outages.patience(url),
            hide_parameters=True,  # an error is written into the log, and must not tell there what somebody typed
            **{} if _is_sqlite(url) else _WITHOUT_TRANSACTIONS,
        )
        if _is_sqlite(url):
            sa.event.listen(self.engine, "connect", lambda held, _: _prepare_sqlite(held, cache_kb))
            sa.event.listen(self.engine, "begin", _begin_sqlite)
        else:
            sa.event.listen(self.engine, "connect", _prepare_postgresql)
            sa.event.listen(self.engine, "checkin", _note_use)
            sa.event.listen(
                self.engine, "checkout", lambda *held: _see_that_it_lives(self.engine.dialect, *held)
            )
        self._lockers = self.engine.execution_options(**{} if _is_sqlite(url) else _IN_TRANSACTIONS)
        self.for_writing = self._lockers.execution_options(write=True)
        sa.event.listen(self.for_writing, "begin", _forget_seen)
        sa.event.listen(self.for_writing, "before_execute", _note_seen)
        self._stock_pages = 0
        self.commits = 0  # through this object, tried ones too

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    def reach(self) -> None:
        """Raises OperationalError when nobody answers there."""
        with self.engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")

    @contextlib.contextmanager
    def reading(self, *, in_transaction: bool = False) -> Iterator[Session]:
        """A session that can never change anything, whatever a view does. What was read can be looked at afterwards.

        PostgreSQL is not told BEGIN and COMMIT, two messages less to wait for: each statement sees what is committed by
        then, there as in a transaction. `in_transaction`: for rows that are locked or fetched a few at a time.
        """
        with Session(self._lockers if in_transaction else self.engine, autoflush=False) as session:
            yield session  # closing rolls back, and lets go of what was read before that

    @contextlib.contextmanager
    def writing(self) -> Iterator[Session]:
        """One transaction: leaving commits, raising rolls back.

        Raises CommitLost when it may have done either: the connection broke off in the middle of it.
        """
        try:
            with Session(self.for_writing, expire_on_commit=False) as session, session.begin():
                yield session
                session.flush()
                connection = session.connection()
                if _SEEN in connection.info:
                    connection.execute(_MOVE)
                with outages.committing():
                    session.commit()
        finally:
            self.commits += 1

    def take_stock(self) -> None:
        """Tells SQLite's planner anew how its tables are filled, from samples; PostgreSQL looks by itself.

        Nothing of a small file and nothing of a small table, which may grow: planned for a dozen events, a list of
        18,000 took minutes; planned for one topic, 8,000 were gone through for each of their events. The table of
        statistics is made anew because other connections read it only when the schema has moved.
        """
        if self.is_sqlite:
            pages = self._pages()
            is_large = pages >= FEWEST_PAGES
            self._stock_pages = pages if is_large else 0
            with self.for_writing.begin() as connection:
                connection.exec_driver_sql("DROP TABLE IF EXISTS sqlite_stat1")
                if is_large:
                    connection.exec_driver_sql(f"PRAGMA analysis_limit={SAMPLED}")
                    connection.exec_driver_sql("ANALYZE")
                    connection.exec_driver_sql(
                        "DELETE FROM sqlite_stat1 WHERE CAST(stat AS INTEGER) < ?", (FEWEST_ROWS,)
                    )
                    connection.exec_driver_sql("ANALYZE sqlite_schema")  # what is left is read here, too

    @property
    def has_outgrown_stock(self) -> bool:
        """Whether there is twice as much as when stock was taken."""
        return self.is_sqlite and self._pages() >= max(FEWEST_PAGES, 2 * self._stock_pages)

    def _pages(self) -> int:
        with self.engine.connect() as connection:
            pages: int = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            return pages

    def empty_log(self, within_s: float) -> bool:
        """Brings the write-ahead log of SQLite into its file and cuts it off: what was removed stands in it until then.

        False: somebody was reading all the while. In short tries, because writers wait behind each.
        """
        if not self.is_sqlite:
            return True
        until = time.monotonic() + within_s
        with contextlib.closing(self.engine.raw_connection()) as held:
            while True:
                held.cursor().execute(f"PRAGMA busy_timeout={CHECKPOINT_TRY_MS}")
                [busy, *_] = held.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                held.cursor().execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
                if not busy or time.monotonic() > until:
                    return not busy
                time.sleep(CHECKPOINT_TRY_MS / 1000)

    def dispose(self) -> None:
        self.engine.dispose()


# A rollback would make the driver forget the statements that it has prepared.
_WITHOUT_TRANSACTIONS: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "skip_autocommit_rollback": True}
_IN_TRANSACTIONS: dict[str, Any] = {"isolation_level": "READ COMMITTED", "postgresql_readonly": False}
_USED = "when it was last used"
_SEEN = "something that pages show has changed"


def _forget_seen(connection: sa.Connection) -> None:
    connection.info.pop(_SEEN, None)


def _note_seen(connection: sa.Connection, statement: Any, *_: Any) -> None:
    if isinstance(statement, Insert | Update | Delete):
        table = statement.table
        if not (isinstance(table, sa.Table) and table.info.get("unseen")):
            connection.info[_SEEN] = True


def _note_use(_: object, record: Any) -> None:
    record.info[_USED] = time.monotonic()


def _see_that_it_lives(dialect: sa.Dialect, held: Any, record: Any, _: object) -> None:
    """Of a connection that nobody used for a while. Who finds another one broken tries again (`outages`)."""
    if time.monotonic() - record.info.get(_USED, float("inf")) < SURELY_LIVES_S:
        return
    try:
        dialect.do_ping(held)
    except dialect.loaded_dbapi.Error as error:
        if not dialect.is_disconnect(error, held, None):
            raise
        raise sa.exc.InvalidatePoolError from error


def _is_sqlite(url: str) -> bool:
    return url.startswith("sqlite:")


def _prepare_postgresql(connection: Any, _: object) -> None:
    """Only a transaction that says so can change anything; all but `reading` do."""
    connection.cursor_factory = driver.Cursor
    connection.execute("SET default_transaction_read_only = on")
    connection.commit()


def _prepare_sqlite(connection: sqlite3.Connection, cache_kb: int) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves
    connection.execute(f"PRAGMA cache_size={-cache_kb}")
    for pragma in SQLITE_PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    _turn_to_wal(connection)


def _turn_to_wal(connection: sqlite3.Connection) -> None:
    """Of several that open a new file at once SQLite refuses all but one, and does not wait for its busy_timeout."""
    until = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(WAL_PAUSE_S)
        else:
            return


def _begin_sqlite(connection: sa.Connection) -> None:
    if not connection.get_execution_options().get("write", False):
        connection.exec_driver_sql("BEGIN")
        return
    held = connection.connection.driver_connection
    if not isinstance(held, sqlite3.Connection):
        raise TypeError("SQLite is spoken to in another way")
    held.execute("PRAGMA busy_timeout=0")
    try:
        turns.begin(held, str(connection.engine.url.database), BUSY_TIMEOUT_MS / 1000)
        if not held.in_transaction:
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # says what is in the way
    finally:
        held.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
