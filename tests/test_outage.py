"""PostgreSQL is away for a moment: readers wait and see no error, nothing is written twice, and threads stay free."""

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlmodel import select
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events import mail, outages
from events.app import REQUESTS
from events.calendars.content import Publishing
from events.calendars.moves import move_revision
from events.config import Settings
from events.db import Database, SiteRevision, table_of
from events.limits import RequestCount
from events.messages import outbox
from events.messages.models import ContactMessage
from events.outages import CommitLost, DatabaseAway, Outage, is_away
from events.people import tokens
from events.postgresql import Cursor
from events.web.watching import Revisions
from events.worker import MARK_WITHIN_S, Worker
from tests.conftest import NOW, Cast, Engines, browser, running
from tests.smtp_sink import Sink

POSTGRES = pytest.mark.parametrize("database", ["postgresql"], indirect=True)
CUT = (
    "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid()"
)
CONTACT = {"name": "Ben", "email": "ben@example.org", "message": "May I bring my saw?", "key": "k" * 32}
NOWHERE = "postgresql+psycopg://ana@/postgres?host=/nowhere"


# ---------------------------------------------------------------- a server that can be lost


class Line:
    """The way to the server, beside which it has one of its own."""

    def __init__(self, tests: Database) -> None:
        self._tests = tests  # what they look with themselves, which tries nothing again
        self._folder = Path(str(sa.make_url(tests.url).query["host"]))
        self._engine = sa.create_engine(tests.url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
        self._own = self._engine.connect()

    def cut(self, *_: object) -> None:
        """Ends all connections."""
        self._own.exec_driver_sql(CUT).all()
        self._tests.dispose()

    @contextmanager
    def gone(self) -> Iterator[None]:
        """And nobody can make a new one."""
        socket, hidden = self._folder / ".s.PGSQL.5432", self._folder / "hidden"
        socket.rename(hidden)
        try:
            self.cut()
            yield
        finally:
            hidden.rename(socket)

    def close(self) -> None:
        self._own.close()
        self._engine.dispose()


@pytest.fixture
def line(database: Database) -> Iterator[Line]:
    line = Line(database)
    yield line
    line.close()


@contextmanager
def at_first(
    database: Database, event: str, statement: str, act: Callable[[sa.Connection], None]
) -> Iterator[None]:
    """Acts before the first statement that begins so is sent, or before the first COMMIT of what writes."""
    waiting = [act]

    def seen(connection: sa.Connection, _cursor: object = None, asked: str = "", *_: Any) -> None:
        counts = event != "commit" or connection.get_execution_options()["write"]
        if waiting and counts and asked.startswith(statement):
            waiting.pop()(connection)

    sa.event.listen(database.engine, event, seen)
    yield
    sa.event.remove(database.engine, event, seen)
    assert not waiting


def messages(database: Database) -> int:
    with database.reading() as session:
        return len(session.exec(select(ContactMessage)).all())


@pytest.fixture
def served(app: Starlette) -> Database:
    database: Database = app.state.branchline.database
    return database


def soon(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + 10
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


@POSTGRES
def test_a_connection_that_nobody_used_for_a_while_is_asked_whether_it_lives(
    database: Database, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events.db.SURELY_LIVES_S", 0.0)
    own = Database(database.url, size=1)
    assert messages(own) == 0
    line.cut()
    assert messages(own) == 0
    own.dispose()


@POSTGRES
def test_what_has_moved_is_seen_by_a_connection_that_was_lost_meanwhile(
    database: Database, line: Line, cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    watched = Revisions(database, behind_s=0.0)
    asyncio.run(watched.look())
    before = watched.site, watched.calendar
    line.cut()
    with database.writing() as session:
        move_revision(session, NOW)
    asyncio.run(watched.look())
    assert (watched.site > before[0], watched.calendar) == (True, before[1] + 1)
    assert not caplog.records
    watched.close()


@POSTGRES
def test_what_is_asked_again_and_again_is_planned_once(database: Database, cast: Cast) -> None:
    for _ in range(12):
        messages(database)
    with database.engine.connect() as connection:  # the one that was given back last
        planned = connection.exec_driver_sql("SELECT statement FROM pg_prepared_statements").scalars().all()
    assert any("contact_message" in statement for statement in planned)


def test_what_reads_changes_nothing_whatever_it_does(database: Database, cast: Cast) -> None:
    """PostgreSQL refuses it at once; SQLite forgets it."""
    with suppress(DBAPIError), database.reading() as session:
        session.connection().execute(sa.insert(table_of(SiteRevision)).values(id=7))
    with database.reading() as session:
        assert session.connection().exec_driver_sql("SELECT id FROM site_revision WHERE id = 7").all() == []


@POSTGRES
@pytest.mark.parametrize(("locks", "says_begin"), [(False, False), (True, True)])
def test_what_reads_says_no_begin_unless_it_locks(database: Database, locks: bool, says_begin: bool) -> None:
    with database.reading(in_transaction=locks) as session:
        connection = session.connection()
        connection.exec_driver_sql("SELECT 1")
        held = connection.connection.driver_connection
        assert isinstance(held, psycopg.Connection)
        assert (held.info.transaction_status != psycopg.pq.TransactionStatus.IDLE) == says_begin


@POSTGRES
def test_columns_are_described_once_for_each_statement(
    database: Database, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    described, describe = list[bytes | None](), Cursor._described

    def noting(self: Cursor) -> Any:
        described.append(self.pgresult.fname(0) if self.pgresult else None)
        return describe(self)

    monkeypatch.setattr(Cursor, "_described", noting)
    chosen = select(table_of(SiteRevision).c.number.label("moved"), sa.literal(1).label("one"))
    for _ in range(3):
        with database.reading() as session:
            session.execute(chosen).all()
    assert described.count(b"moved") <= 1
    with database.reading() as session:
        told = session.connection().exec_driver_sql("SELECT 1 AS one, 'b' AS two").mappings().all()
    assert [dict(row) for row in told] == [{"one": 1, "two": "b"}]


# ---------------------------------------------------------------- visitors


@POSTGRES
def test_a_page_whose_connection_is_lost_half_way_is_answered(
    ben: TestClient, served: Database, cast: Cast, line: Line
) -> None:
    with at_first(served, "before_cursor_execute", "SELECT branch", lambda _: line.cut()):
        answer = ben.get("/branches/alder")
    assert answer.status_code == 200
    assert "Alder Club" in answer.text


@POSTGRES
def test_a_form_whose_connection_is_lost_before_it_commits_is_sent_once(
    ben: TestClient, served: Database, database: Database, cast: Cast, line: Line
) -> None:
    with at_first(served, "before_cursor_execute", "INSERT INTO outgoing_mail", lambda _: line.cut()):
        assert ben.post("/branches/alder/contact", data=CONTACT).status_code == 303
    assert messages(database) == 1


@POSTGRES
def test_a_form_counts_once_against_its_limits_however_often_it_is_tried(
    settings: Settings, database: Database, cast: Cast, line: Line
) -> None:
    with running(replace(settings, rate_limits=True)) as app:
        served = app.state.branchline.database
        with at_first(served, "before_cursor_execute", "INSERT INTO outgoing_mail", lambda _: line.cut()):
            assert browser(app).post("/branches/alder/contact", data=CONTACT).status_code == 303
    with database.reading() as session:
        assert set(session.exec(select(RequestCount.count)).all()) == {1}


def arrives(connection: sa.Connection) -> None:
    """COMMIT is done, and the answer to it is lost."""
    raw = connection.connection.dbapi_connection
    assert raw is not None
    raw.commit()
    raw.close()


@POSTGRES
@pytest.mark.parametrize("arrived", [False, True])
def test_when_nobody_knows_whether_a_form_was_saved_the_page_says_so_and_sending_it_again_is_safe(
    ben: TestClient, served: Database, database: Database, cast: Cast, line: Line, arrived: bool
) -> None:
    with at_first(served, "commit", "", arrives if arrived else lambda _: line.cut()):
        answer = ben.post("/branches/alder/contact", data=CONTACT)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert "may or may not be there" in answer.text
    assert messages(database) == arrived
    assert ben.post("/branches/alder/contact", data=CONTACT).status_code == 303
    assert messages(database) == 1


@POSTGRES
def test_a_program_is_told_too_whether_it_may_send_again(
    app: Starlette, served: Database, database: Database, cast: Cast, line: Line
) -> None:
    with database.writing() as session:
        token = tokens.make(session, cast.ana, "calendar", datetime.now(UTC))
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": "1"}
    event = {
        **{"title": "Saw day", "branches": ["alder"], "state": "published"},
        **{"start": "2027-03-01T10:00:00", "end": "2027-03-01T12:00:00", "timezone": "America/Chicago"},
    }
    with at_first(served, "commit", "", arrives):
        answer = browser(app).post("/api/v1/events", json=event, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert "Idempotency-Key" in answer.json()["detail"]
    assert browser(app).post("/api/v1/events", json=event, headers=headers).status_code == 200


@POSTGRES
def test_readers_wait_while_it_is_away_and_whoever_asks_for_its_state_is_told_at_once(
    app: Starlette, ben: TestClient, cast: Cast, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events.web.keeping.MINUTE_S", 10**9)  # a page stands until its minute ends
    assert ben.get("/readyz").status_code == 200
    assert ben.get("/branches/birch").status_code == 200
    with ThreadPoolExecutor(8) as pool:
        with line.gone():
            waiting = [pool.submit(browser(app).get, f"/branches/alder?_={number}") for number in range(8)]
            assert soon(lambda: app.state.branchline.outage.is_on)
            assert ben.get("/healthz").status_code == 200
            assert ben.get("/readyz").status_code == 503
            assert ben.get("/branches/birch").status_code == 200, "it is in memory"
            assert not any(one.done() for one in waiting)
        assert [one.result().status_code for one in waiting] == [200] * 8
    assert not app.state.branchline.outage.is_on


def test_whoever_asks_for_its_state_stands_behind_nobody(app: Starlette, cast: Cast) -> None:
    held = Event()
    threads = app.state.branchline.threads
    forms = [threads.submit(held.wait, 30) for _ in range(REQUESTS)]
    asked = browser(app)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(asked.get, "/readyz")
        try:
            assert answer.result(timeout=20).status_code == 200
            assert not any(form.done() for form in forms)
        finally:
            held.set()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_visitor_who_has_waited_for_long_is_told(
    settings: Settings, database: Database, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outages, "RIDE_OUT_S", 0.1)
    with running(replace(settings, database_url=NOWHERE)) as app:
        answer = browser(app).get("/es/branches/alder")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert "no podemos" in answer.text.lower()


# ---------------------------------------------------------------- how long, and who asks


@dataclass
class Clock:
    """Passes when somebody sleeps."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def doze(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def sleep(self, seconds: float) -> None:
        self.doze(seconds)
        await asyncio.sleep(0)


class Server:
    """Away for the first so many that ask."""

    def __init__(self, away_for: int, error: DBAPIError | None = None) -> None:
        self.left, self.asked = away_for, 0
        self.asking = self.most_at_once = 0
        self.error = error or refused()

    def reach(self) -> None:
        self.asked += 1
        if self.left:
            self.left -= 1
            raise self.error

    def ask(self) -> str:
        self.reach()
        return "an answer"

    async def hop(self, work: Callable[[], Any]) -> Any:
        self.asking += 1
        self.most_at_once = max(self.most_at_once, self.asking if self.left else 0)
        await asyncio.sleep(0)
        try:
            return work()
        finally:
            self.asking -= 1

    async def asked_through(self, outage: Outage, **how: bool) -> str:
        return await outage.ride_out(self.hop, self.reach, self.ask, **how)


def refused() -> OperationalError:
    """What the driver says where no server is."""
    engine = sa.create_engine(NOWHERE)
    with pytest.raises(OperationalError) as caught:
        engine.connect()
    return caught.value


def failed(url: str, statement: str) -> DBAPIError:
    engine = sa.create_engine(url)
    with pytest.raises(DBAPIError) as caught, engine.connect() as connection:
        connection.exec_driver_sql(statement)
    engine.dispose()
    return caught.value


def asked(outage: Outage, server: Server, **how: bool) -> str:
    return asyncio.run(server.asked_through(outage, **how))


def test_it_is_asked_again_ever_less_often_until_it_answers() -> None:
    clock, server = Clock(), Server(away_for=8)
    assert asked(Outage(clock.sleep, clock), server) == "an answer"
    assert clock.slept == [0.05, 0.1, 0.2, 0.4, 0.5, 0.5, 0.5, 0.5]


def test_a_restart_of_ten_seconds_is_waited_out_and_not_much_more() -> None:
    clock = Clock()
    with pytest.raises(DatabaseAway):
        asked(Outage(clock.sleep, clock), Server(away_for=100))
    assert clock.now == outages.RIDE_OUT_S
    assert 10 < outages.RIDE_OUT_S < 15


def test_while_it_is_away_one_asks_for_all_and_then_all_are_answered() -> None:
    outage, server = Outage(), Server(away_for=3)

    async def many() -> list[str]:
        first = asyncio.create_task(server.asked_through(outage))
        while not outage.is_on:
            await asyncio.sleep(0)
        return await asyncio.gather(first, *(server.asked_through(outage) for _ in range(50)))

    assert asyncio.run(many()) == ["an answer"] * 51
    assert server.most_at_once == 1
    assert server.asked == 51 + 3 + 1


def test_of_those_that_queue_for_a_thread_only_the_first_finds_out() -> None:
    """A host that went dark lets each of them hang for seconds."""
    outage, server = Outage(), Server(away_for=1)

    async def many() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.gather(*(server.asked_through(outage) for _ in range(50)))

    asyncio.run(many())
    assert server.asked == 1


def test_what_is_no_outage_is_not_waited_for(engines: Engines) -> None:
    clock, url = Clock(), engines.fresh_url("postgresql")
    faults = [
        failed("sqlite:////nowhere/at.all", "SELECT 1"),
        failed(url, "SELECT 1 / 0"),
        failed(url, "SET statement_timeout = 1; SELECT pg_sleep(1)"),
    ]
    for fault in faults:
        with pytest.raises(type(fault)):
            asked(Outage(clock.sleep, clock), Server(1, fault))
    assert clock.slept == []
    engines.give_back(url)


def test_what_may_have_been_written_is_done_again_only_where_twice_is_no_harm() -> None:
    clock, lost = Clock(), CommitLost(None)
    with pytest.raises(CommitLost):
        asked(Outage(clock.sleep, clock), Server(1, lost))
    assert asked(Outage(clock.sleep, clock), Server(1, lost), may_be_repeated=True) == "an answer"


class Said(Exception):
    def __init__(self, sqlstate: str) -> None:
        self.sqlstate = sqlstate


def test_of_two_that_waited_for_each_other_the_one_that_was_rolled_back_is_done_again() -> None:
    clock = Clock()
    outage = Outage(clock.sleep, clock)
    deadlock = OperationalError("UPDATE event", None, Said("40P01"))
    assert asked(outage, Server(1, deadlock)) == "an answer"
    assert not outage.is_on and clock.slept == [outages.FIRST_PAUSE_S], "nobody else waits"


def test_a_server_that_starts_or_is_full_is_away() -> None:
    """PostgreSQL, appendix A; the last two are a statement that was cancelled, and a deadlock."""
    for state, away in {"57P03": True, "53300": True, "08006": True, "57014": False, "40P01": False}.items():
        assert is_away(OperationalError("SELECT 1", None, Said(state))) is away, state


def test_an_operator_may_say_how_long_to_wait_for_a_host_that_went_dark() -> None:
    assert outages.patience("sqlite:///file.db") == {}
    assert outages.patience("postgresql+psycopg://host/name")["connect_timeout"] == 3
    assert "connect_timeout" not in outages.patience("postgresql+psycopg://host/name?connect_timeout=9")


# ---------------------------------------------------------------- the worker


@POSTGRES
def test_a_mail_that_was_sent_while_the_database_went_away_is_marked_and_not_sent_again(
    database: Database, settings: Settings, publishing: Publishing, line: Line
) -> None:
    sink = Sink()
    with database.writing() as session:
        for subject in ("one", "two", "three"):
            outbox.put(session, datetime.now(UTC), recipient="ana@example.org", subject=subject, body="Hello")
    worker = Worker(replace(settings, smtp_url=sink.url), publishing)
    with (
        sink.up(),
        at_first(
            worker.database, "before_cursor_execute", "UPDATE outgoing_mail SET body", lambda _: line.cut()
        ),
    ):
        assert worker.deliver_mails() == 3
    worker.database.dispose()
    assert sorted(mail["Subject"] for mail in sink.mails) == ["one", "three", "two"]
    with database.reading() as session:
        assert outbox.waiting(session)[0] == 0


def test_a_worker_waits_for_a_database_no_longer_than_it_holds_a_mail() -> None:
    assert outbox.LEASE.total_seconds() > mail.SEND_WITHIN_S + MARK_WITHIN_S + 5
    clock = Clock()
    with pytest.raises(OperationalError):
        outages.ride_out(Server(away_for=100).ask, MARK_WITHIN_S, sleep=clock.doze, clock=clock)
    assert clock.now == MARK_WITHIN_S
