"""Processes that are killed, disks that take nothing, clocks that are wrong, editors who are quick: nothing is lost.

What takes longer is `./dev bench trust kills`, `edits` and `outages`. A PostgreSQL that goes away is in test_outage.py,
a mail server that does in messages/test_delivery.py, another site's calendar in calendars/test_following.py.
"""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events import limits, migrations
from events import worker as working
from events.calendars import changes
from events.calendars.content import Publishing
from events.calendars.models import Event, Occurrence, Rendered
from events.config import Settings
from events.db import Database
from events.messages.models import ContactMessage, OutgoingMail
from events.people import history, sign_in
from events.people.models import Purpose
from events.web import clock
from events.worker import Worker
from tests.conftest import Cast, Engines, browser, running, signed_in
from tests.smtp_sink import free_port
from tests.web.test_organize import TUESDAY, edition, posted

ROOT = Path(__file__).parents[1]
SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
# Longer than a page of the file, so that it needs room that is not there.
LONG = {"name": "Ben", "email": "ben@example.org", "message": "May I bring my saw? " * 240, "key": "k" * 32}


# ---------------------------------------------------------------- kill -9


@contextmanager
def serving(database: Database, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "BRANCHLINE_DATA_DIR": str(folder),
        "BRANCHLINE_DATABASE_URL": database.url,
    }
    line = [sys.executable, "-m", "events", "serve", "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(line, cwd=ROOT, env=environment, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        for said in process.stderr:
            if b"startup complete" in said:
                break
        try:
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.kill()


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def sent(address: str, form: dict[str, str], cookie: str = "") -> tuple[int, str]:
    """The status, and the cookie that came with it."""
    headers = {"Sec-Fetch-Site": "same-origin", "Cookie": cookie}
    request = urllib.request.Request(address, urlencode(form).encode(), headers)  # noqa: S310
    try:
        with urllib.request.build_opener(Stay).open(request, timeout=30) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as answer:
        return answer.code, str(answer.headers.get("set-cookie", "")).partition(";")[0]


@SQLITE
def test_what_sqlite_acknowledges_is_on_the_disk_and_what_it_names_is_there(database: Database) -> None:
    """Each connection has to say so: SQLite keeps but the first of these in its file."""
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}

    def found(session: Session) -> dict[str, object]:
        connection = session.connection()
        return {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in wanted}

    with database.writing() as session:
        assert found(session) == wanted
    with database.reading() as session:
        assert found(session) == wanted
        assert session.connection().exec_driver_sql("PRAGMA busy_timeout").scalar_one() == 10_000
    with pytest.raises(IntegrityError), database.writing() as session:
        session.add(Rendered(event_id=7, locale="en", ics="", made_for=""))


@SQLITE
def test_what_was_acknowledged_is_there_whole_after_kill_9(
    database: Database, cast: Cast, tmp_path: Path
) -> None:
    with database.writing() as session:
        token = sign_in.make_link(session, cast.ana, Purpose.SIGN_IN, datetime.now(UTC))
    form = {**TUESDAY, "key": "k" * 32}
    with serving(database, tmp_path) as (process, address):
        _, cookie = sent(f"{address}/sign-in/{token}", {})
        answers = [
            sent(f"{address}/organize/events/new", form, cookie)[0],
            sent(f"{address}/branches/birch/contact", LONG)[0],
        ]
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
    assert answers == [303, 303]
    with database.reading() as session:
        event = session.exec(select(Event)).one()
        rendered = session.exec(select(Rendered)).all()
        dates = session.exec(select(Occurrence).where(col(Occurrence.event_id) == event.id)).all()
        assert event.title == "Tool night" and len(dates) > 20
        assert rendered and all("Tool night" in one.ics for one in rendered)
        assert [one.action for one in history.versions(session, changes.subject(event))] == ["added"]
        message = session.exec(select(ContactMessage)).one()
        assert session.exec(select(OutgoingMail.message_ref)).one() == message.id
        assert session.connection().exec_driver_sql("PRAGMA integrity_check").scalars().all() == ["ok"]


# ---------------------------------------------------------------- kill -9 in the middle of a migration

OLD = "0003"
# Dies before the statement with this number.
DYING = """
import os, signal, sys
import sqlalchemy as sa
from events import migrations
from events.db import Database
database, left = Database(sys.argv[1], size=1), int(sys.argv[2])
def count(*_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
sa.event.listen(database.engine, "before_cursor_execute", count)
migrations.upgrade(database)
"""


def an_old_one(database: Database) -> None:
    """At an early step of the schema, with a branch."""
    steps = Config()
    steps.set_main_option("script_location", str(migrations.STEPS.parent))
    with database.for_writing.begin() as connection:
        steps.attributes["connection"] = connection
        command.upgrade(steps, OLD)
        table = sa.Table("branch", sa.MetaData(), autoload_with=connection)
        values = {
            column.name: _any_value(column)
            for column in table.columns
            if not column.nullable and column.server_default is None and column.name != "id"
        }
        connection.execute(table.insert().values({**values, "slug": "alder", "name": "Alder Club"}))


def _any_value(column: sa.Column[object]) -> object:
    kind = column.type.python_type
    return {str: "", datetime: datetime(2026, 1, 1), list: [], dict: {}}.get(kind, 0)


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_migration_that_is_killed_in_the_middle_has_done_nothing_and_the_next_one_does_it_all(
    engine: str, engines: Engines
) -> None:
    database = Database(engines.blank_url(engine), size=1)
    an_old_one(database)
    dying = [sys.executable, "-c", DYING, database.url, "40"]
    assert subprocess.run(dying, cwd=ROOT, timeout=60).returncode == -signal.SIGKILL
    with database.reading() as session:
        read = session.connection().exec_driver_sql
        assert read("SELECT version_num FROM alembic_version").scalar_one() == OLD
        assert not sa.inspect(session.connection()).has_table("version")
    migrations.upgrade(database)
    with database.reading() as session:
        assert migrations.is_newest(session.connection())
        assert session.connection().exec_driver_sql("SELECT name FROM branch").scalar_one() == "Alder Club"
    database.dispose()


# ---------------------------------------------------------------- a disk that takes nothing

FULL, READ_ONLY = "PRAGMA max_page_count=1", "PRAGMA query_only=ON"
ROOM, WRITABLE = "PRAGMA max_page_count=1073741823", "PRAGMA query_only=OFF"


class Disk:
    """What SQLite finds when it writes: these pragmas make it answer as it does then."""

    def __init__(self, app: Starlette) -> None:
        self._says = ROOM
        database: Database = app.state.branchline.database
        sa.event.listen(database.engine, "checkout", lambda held, *_: held.execute(self._says))

    def now(self, says: str) -> None:
        self._says = says


@SQLITE
@pytest.mark.parametrize(("bad", "good"), [(FULL, ROOM), (READ_ONLY, WRITABLE)], ids=["full", "read-only"])
def test_a_disk_that_takes_nothing_is_said_plainly_reads_go_on_and_so_does_writing_afterwards(
    app: Starlette, ben: TestClient, database: Database, cast: Cast, bad: str, good: str
) -> None:
    disk = Disk(app)
    disk.now(bad)
    answer = ben.post("/es/branches/alder/contact", data=LONG)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert 'lang="es"' in answer.text and "No se ha cambiado nada" in answer.text
    for path in ("/branches/alder", "/events", "/events.ics", "/readyz", "/organize"):
        assert ben.get(path).status_code < 400, path
    with database.reading() as session:
        assert session.exec(select(ContactMessage)).all() == []
    disk.now(good)
    assert ben.post("/es/branches/alder/contact", data=LONG).status_code == 303


@SQLITE
def test_who_reads_much_is_counted_without_a_disk_that_takes_it_and_is_still_stopped(
    settings: Settings, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = limits.STEP + 5
    monkeypatch.setattr(limits, "PAGES", limits.Limit("pages", most, 10**9))
    with running(replace(settings, rate_limits=True)) as app:
        Disk(app).now(READ_ONLY)
        ben = browser(app)
        statuses = [ben.get("/api/v1/branches").status_code for _ in range(most + 1)]
    assert statuses == [200] * most + [429]


# ---------------------------------------------------------------- a clock that is wrong

CLOCKS = (
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2038, 1, 19, 4, tzinfo=UTC),
    datetime(2107, 2, 7, tzinfo=UTC),
)
PAGES = (
    *("/", "/es", "/branches", "/branches?near=41.92,-87.65&open=now", "/branches/alder", "/branches.json"),
    *(
        "/branches/alder.ics",
        "/branches/alder.vcf",
        "/branches/alder/contact",
        "/events",
        "/events?near=41.9,-87.6",
    ),
    *(
        "/events.ics",
        "/events.atom",
        "/events.json",
        "/events.csv",
        "/calendar/2026/11",
        "/news",
        "/news.atom",
    ),
    *("/subscribe", "/interests", "/suggest", "/register", "/sign-in", "/embed/events", "/api/v1/events"),
    *(
        "/api/v1/occurrences",
        "/readyz",
        "/healthz",
        "/sitemap.xml",
        "/robots.txt",
    ),
)


@SQLITE
@pytest.mark.parametrize("wrong", CLOCKS, ids=lambda wrong: str(wrong.year))
def test_a_clock_that_is_wrong_breaks_no_page_no_form_and_no_job_and_all_is_well_when_it_is_right(
    app: Starlette,
    ana: TestClient,
    ben: TestClient,
    cast: Cast,
    settings: Settings,
    publishing: Publishing,
    monkeypatch: pytest.MonkeyPatch,
    wrong: datetime,
) -> None:
    number = posted(ana)
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(clock, "datetime", SimpleNamespace(now=lambda _: wrong))
        meanwhile.setattr(working, "_now", lambda: wrong)
        for path in (*PAGES, f"/events/{number}", f"/events/{number}.ics", f"/organize/events/{number}"):
            assert ben.get(path).status_code < 400, path
            assert ana.get(path).status_code < 400, path
        assert ben.post("/branches/alder/contact", data=LONG).status_code == 303
        assert ana.post("/organize/events/new", data={**TUESDAY, "key": "x" * 32}).status_code in (303, 422)
        work(settings, publishing)
    work(settings, publishing)
    assert "Tool night" in ben.get("/branches/alder").text
    assert "DTSTART;TZID=America/Chicago:20261208T190000" in ben.get(f"/events/{number}.ics").text


def work(settings: Settings, publishing: Publishing) -> None:
    """Each job once."""
    worker = Worker(settings, publishing)
    for job in (
        *(worker.deliver_mails, worker.tell_of_changes, worker.prepare_pictures, worker.refresh_events),
        *(worker.tell_people, worker.send_digests, worker.send_newsletters, worker.ask_about_series),
        *(worker.clean, worker.follow_calendars, worker.follow_headlines),
    ):
        job()
    worker.database.dispose()


# ---------------------------------------------------------------- editors who are quick


def test_of_many_who_save_the_same_version_at_once_one_does_and_the_others_see_both_texts(
    app: Starlette, database: Database, cast: Cast
) -> None:
    editors = [signed_in(app, database, cast.ana) for _ in range(6)]
    number = posted(editors[0])
    seen = {**TUESDAY, "revision": edition(editors[0], number)}

    def save(place: int) -> tuple[int, str]:
        answer = editors[place].post(f"/organize/events/{number}", data={**seen, "title": f"Text {place}."})
        return answer.status_code, answer.text

    with ThreadPoolExecutor(len(editors)) as pool:
        answers = list(pool.map(save, range(len(editors))))
    assert sorted(status for status, _ in answers) == [303] + [409] * (len(editors) - 1)
    [winner] = [place for place, (status, _) in enumerate(answers) if status == 303]
    for place, (status, page) in enumerate(answers):
        assert status == 303 or (f"Text {winner}." in page and f"Text {place}." in page)
    with database.reading() as session:
        event = session.get_one(Event, number)
        assert event.title == f"Text {winner}."
        assert history.last_number(session, changes.subject(event)) == 2
