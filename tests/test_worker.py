"""The worker: it sends, renders and cleans until it is told to stop, whatever the database does meanwhile."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlmodel import select

from events import mail, migrations, worker
from events.calendars import moves, telling
from events.calendars.content import Publishing
from events.calendars.models import Topic
from events.config import Settings
from events.db import Database
from events.limits import CONTACT, Limiter, RequestCount
from events.messages import outbox
from events.messages.models import OutgoingMail
from events.people import sign_in
from events.people.models import Person, SignedIn
from events.worker import Worker
from tests.conftest import NOW, Cast, Engines
from tests.smtp_sink import Sink


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "PAUSE_S", 0.02)


@contextmanager
def working(settings: Settings, publishing: Publishing) -> Iterator[threading.Thread]:
    """A worker that delivers and cleans in a thread of its own, stopped at the end of the block."""
    running = Worker(settings, publishing)
    thread = threading.Thread(target=running.run, args=(running.deliver_mails, running.clean))
    thread.start()
    try:
        yield thread
    finally:
        running.stop()
        thread.join(10)
        assert not thread.is_alive()


def soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def put(database: Database, *subjects: str) -> None:
    with database.writing() as session:
        for subject in subjects:
            outbox.put(session, datetime.now(UTC), recipient="ana@example.org", subject=subject, body="Hello")


def unsent(database: Database) -> int:
    with database.reading() as session:
        return outbox.waiting(session)[0]


def test_mails_go_out_while_it_runs(database: Database, settings: Settings, publishing: Publishing) -> None:
    with working(settings, publishing):
        put(database, "one", "two")
        assert soon(lambda: unsent(database) == 0)
    assert len(list(settings.mail_dir.glob("*.eml"))) == 2


def test_two_workers_send_each_mail_once(
    database: Database, settings: Settings, publishing: Publishing
) -> None:
    sink = Sink()
    put(database, *(str(number) for number in range(20)))
    settings = replace(settings, smtp_url=sink.url)
    with sink.up(), working(settings, publishing), working(settings, publishing):
        assert soon(lambda: unsent(database) == 0)
    assert sorted(int(mail["Subject"]) for mail in sink.mails) == list(range(20))


def test_a_mail_is_leased_for_longer_than_sending_it_can_take() -> None:
    """Otherwise a second worker would take it while the first still talks to a slow server."""
    assert outbox.LEASE.total_seconds() > mail.SEND_WITHIN_S + 10


def test_only_mails_being_sent_are_leased_while_a_server_is_slow(
    database: Database, settings: Settings, publishing: Publishing
) -> None:
    sink = Sink()
    put(database, *(str(number) for number in range(worker.AT_ONCE + 2)))
    slow = Worker(replace(settings, smtp_url=sink.url), publishing)
    with ThreadPoolExecutor(1) as pool:
        with sink.silent():
            sending = pool.submit(slow.deliver_mails)

            def leased() -> list[int | None]:
                with database.reading() as session:
                    query = select(OutgoingMail.id).where(sa.column("leased_until").is_not(None))
                    return list(session.exec(query).all())

            assert soon(lambda: leased() != [])
            assert sorted(filter(None, leased())) == [1, 2, 3, 4]
            slow.stop()
        assert sending.result(20) == worker.AT_ONCE  # the server hung up, and the others were not begun
    slow.database.dispose()
    assert unsent(database) == worker.AT_ONCE + 2


def test_a_mail_server_that_hangs_holds_up_nothing_but_mail(
    database: Database, settings: Settings, publishing: Publishing
) -> None:
    """What waits on other servers is not among the jobs of the others."""
    sink = Sink()
    put(database, "one")
    others = Worker(replace(settings, smtp_url=sink.url), publishing)
    with sink.silent():
        thread = threading.Thread(target=others.run)
        thread.start()
        time.sleep(0.2)
        others.stop()
        thread.join(5)
        assert not thread.is_alive()
    with database.reading() as session:
        assert session.get_one(OutgoingMail, 1).attempts == 0


def test_it_waits_for_the_schema_and_then_works(
    engines: Engines, settings: Settings, publishing: Publishing, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "branchline.worker"):
        for engine in ("sqlite", "postgresql"):
            caplog.clear()
            blank = Database(engines.blank_url(engine))
            with working(replace(settings, database_url=blank.url), publishing) as thread:
                assert soon(lambda: "branchline migrate" in caplog.text)
                migrations.upgrade(blank)
                put(blank, "one")
                assert soon(lambda: unsent(blank) == 0)  # noqa: B023
                assert thread.is_alive()
            blank.dispose()


def test_it_outlives_a_database_that_is_away(
    engines: Engines, settings: Settings, publishing: Publishing, caplog: pytest.LogCaptureFixture
) -> None:
    """The connections are cut, as a restart of PostgreSQL cuts them."""
    database = Database(engines.fresh_url("postgresql"))
    with (
        caplog.at_level(logging.WARNING, "branchline.worker"),
        working(replace(settings, database_url=database.url), publishing) as thread,
    ):
        put(database, "one")
        assert soon(lambda: unsent(database) == 0)
        with database.engine.connect() as connection:
            cut = sa.text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            connection.execute(cut)
        put(database, "two")
        assert soon(lambda: unsent(database) == 0)
        assert thread.is_alive()
    database.dispose()


def test_it_says_so_and_goes_on_when_the_database_does_not_answer(
    settings: Settings, publishing: Publishing, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = tmp_path / "later" / "branchline.db"
    url = f"sqlite:///{nowhere}"
    with (
        caplog.at_level(logging.WARNING, "branchline.worker"),
        working(replace(settings, database_url=url), publishing),
    ):
        assert soon(lambda: "the database does not answer" in caplog.text)
        nowhere.parent.mkdir()
        database = Database(url)
        migrations.upgrade(database)
        put(database, "one")
        assert soon(lambda: unsent(database) == 0)
        database.dispose()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_fault_of_ours_in_one_job_is_written_down_and_ends_nothing(
    database: Database, settings: Settings, publishing: Publishing, caplog: pytest.LogCaptureFixture
) -> None:
    tried = 0

    def fails() -> int:
        nonlocal tried
        tried += 1
        raise KeyError("a fault of ours")

    running = Worker(settings, publishing)
    thread = threading.Thread(target=running.run, args=(fails, running.deliver_mails))
    with caplog.at_level(logging.ERROR, "branchline.worker"):
        thread.start()
        put(database, "one")
        assert soon(lambda: unsent(database) == 0) and thread.is_alive()
        running.stop()
        thread.join(10)
    assert "a fault of ours" in caplog.text and tried == 1, "not again at once"


def test_what_is_over_is_cleaned_away_at_the_start(
    database: Database, settings: Settings, publishing: Publishing, cast: Cast
) -> None:
    past = datetime.now(UTC) - timedelta(days=100)
    put(database, "one")
    with database.writing() as session:
        outbox.mark_sent(session, 1, past)
        sign_in.begin(session, session.get_one(Person, cast.ana.id), "Firefox", past)
    Limiter(database, "secret").count(CONTACT, "192.0.2.1", past)

    def left() -> int:
        with database.reading() as session:
            return sum(len(session.exec(select(t)).all()) for t in (OutgoingMail, SignedIn, RequestCount))

    assert left() == 3
    with working(settings, publishing):
        assert soon(lambda: left() == 0)


def test_old_steps_of_the_calendars_are_forgotten_and_the_planner_of_sqlite_is_told_of_its_tables(
    database: Database, settings: Settings, publishing: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moves, "MOST", 3)
    monkeypatch.setattr("events.db.FEWEST_PAGES", 0)
    monkeypatch.setattr("events.db.FEWEST_ROWS", 3)
    with database.writing() as session:
        for _ in range(5):
            moves.move_revision(session, NOW)
    worker = Worker(settings, publishing)
    worker.clean()
    worker.database.dispose()
    with database.reading() as session:
        numbers = (
            session.connection().execute(sa.text("SELECT number FROM calendar_move ORDER BY 1")).scalars()
        )
        assert list(numbers) == [3, 4, 5]
        if database.is_sqlite:
            told = session.connection().execute(sa.text("SELECT tbl FROM sqlite_stat1")).scalars()
            assert set(told) == {"calendar_move"}, "of the others there are fewer rows"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_a_planner_was_told_of_one_topic_is_not_true_of_thousands(
    database: Database, settings: Settings, publishing: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A calendar brought in 8,000 topics, and each list of events took three seconds: for one topic it is right to go
    through all of them. How it is planned is looked at in the worker's own connection and in another one."""
    monkeypatch.setattr("events.db.FEWEST_PAGES", 0)
    with database.writing() as session:
        session.add(Topic(slug="film", name="Film"))
    worker = Worker(settings, publishing)
    worker.clean()
    question = telling._TOPICS.params(ids=[1, 2])
    for asked in (worker.database, database):
        with asked.reading() as session:
            compiled = question.compile(session.connection(), compile_kwargs={"render_postcompile": True})
            plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", (1, 2)).all()
        assert [row.detail for row in plan if row.detail.startswith("SCAN")] == []
    worker.database.dispose()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_planner_is_told_of_a_large_file_alone_and_anew_when_it_has_grown(
    database: Database, settings: Settings, publishing: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was said of a dozen rows made a list of 18,000 events take minutes. An open connection of SQLite reads what
    is said when the schema has moved."""

    def asked(what: str) -> int:
        with database.reading() as session:
            return int(session.connection().exec_driver_sql(what).scalar_one())

    tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_stat1'"
    worker, pages = Worker(settings, publishing), asked("PRAGMA page_count")
    worker.clean()
    assert asked(tables) == 0
    monkeypatch.setattr("events.db.FEWEST_PAGES", pages + 10)
    with database.writing() as session:
        session.connection().exec_driver_sql("CREATE TABLE large AS SELECT randomblob(200000) AS filling")
    versions = [asked("PRAGMA schema_version")]
    for _ in range(2):
        worker.clean()
        assert asked(tables) == 1
        versions.append(asked("PRAGMA schema_version"))
        with database.writing() as session:
            session.connection().exec_driver_sql("INSERT INTO large VALUES (randomblob(4000000))")
    assert versions == sorted(set(versions))
    worker.database.dispose()


def test_an_idle_worker_writes_nothing(
    database: Database, settings: Settings, publishing: Publishing
) -> None:
    idle = Worker(settings, publishing)
    statements: list[str] = []
    sa.event.listen(idle.database.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    idle.deliver_mails()
    idle.refresh_events()
    idle.database.dispose()
    assert statements
    assert [one for one in statements if not one.startswith("SELECT") and one != "BEGIN"] == []
