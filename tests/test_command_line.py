"""`branchline …` as people and supervisors run it: exit statuses, one clear line, no traceback."""

import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import pytest
from sqlmodel import select

from events import migrations
from events.__main__ import main
from events.branches.models import Branch
from events.calendars.models import Event
from events.db import Database
from events.messages import outbox
from events.people import sign_in
from events.people.models import Membership
from tests.conftest import Engines
from tests.smtp_sink import free_port

ROOT = Path(__file__).parents[1]
BRANCHES = "slug,name,city,country,latitude,longitude,email\nalder,Alder Club,Chicago,US,41.9,-87.6,alder@example.org\n"
CALENDAR = (
    "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//Hazel Clubs//EN\n"
    "BEGIN:VEVENT\nUID:1@example.org\nDTSTART:20261124T190000Z\nSUMMARY:Saw club\nX-BRANCHLINE-BRANCH:{}\nEND:VEVENT\n"
    "END:VCALENDAR\n"
)


SERVERS = ("serve", "work", "demo")


class Stream(io.TextIOWrapper):
    """Standard output or error that remembers, bytes included."""

    def __init__(self) -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding="utf-8", newline="", write_through=True)

    @property
    def text(self) -> str:
        return self.bytes.getvalue().decode()


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


class Shell:
    """Somebody at a prompt, with a data directory and nothing else set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.environment = {"PATH": "/usr/bin:/bin", "BRANCHLINE_DATA_DIR": str(self.data)}

    @property
    def database_url(self) -> str:
        return self.environment.get("BRANCHLINE_DATABASE_URL", f"sqlite:///{self.data}/branchline.db")

    def _command(self, arguments: tuple[object, ...]) -> list[str]:
        return [sys.executable, "-m", "events", *map(str, arguments)]

    def run(self, *arguments: object, stdin: str = "") -> Done:
        """Runs a command to its end: in this process, which is quicker, unless it handles signals."""
        if arguments and arguments[0] in SERVERS:
            return self._run_apart(*arguments)
        out, errors = Stream(), Stream()
        with (
            patch.dict(os.environ, self.environment, clear=True),
            patch("sys.stdin", io.StringIO(stdin)),
            redirect_stdout(out),
            redirect_stderr(errors),
        ):
            try:
                status = main([str(argument) for argument in arguments])
            except SystemExit as ended:
                status = int(str(ended.code))
        return Done(status, out.text, errors.text)

    def _run_apart(self, *arguments: object) -> Done:
        done = subprocess.run(
            self._command(arguments), cwd=ROOT, env=self.environment, capture_output=True, timeout=60
        )
        assert b"Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def refused(self, *arguments: object, stdin: str = "") -> str:
        """The one line it says when it ends with 2."""
        done = self.run(*arguments, stdin=stdin)
        assert (done.returncode, done.stdout) == (2, ""), done
        [line] = done.stderr.splitlines()
        assert line.startswith("branchline: ")
        return line.removeprefix("branchline: ")

    @contextmanager
    def running(self, *arguments: object) -> Iterator["Running"]:
        with open(self.folder / "out", "w+") as out, open(self.folder / "err", "w+") as errors:
            process = subprocess.Popen(
                self._command(arguments), cwd=ROOT, env=self.environment, stdout=out, stderr=errors
            )
            try:
                yield Running(process, self.folder / "out", self.folder / "err")
            finally:
                process.kill()
                process.wait(10)

    @contextmanager
    def database(self) -> Iterator[Database]:
        database = Database(self.database_url)
        yield database
        database.dispose()

    def file(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path


class Running:
    def __init__(self, process: subprocess.Popen[bytes], out: Path, errors: Path) -> None:
        self.process = process
        self._out, self._errors = out, errors

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert self.process.poll() is None, self.errors
            assert time.monotonic() < deadline, self.errors
            time.sleep(0.05)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        status = self.process.wait(20)
        assert "Traceback" not in self.errors, self.errors
        return status


def fetched(url: str) -> tuple[int, str]:
    """Status and text; 0 while nothing answers."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  (our own server)
            return answer.status, answer.read().decode()
    except OSError:
        return 0, ""


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


# ---------------------------------------------------------------- wrong usage, wrong surroundings


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("party",),
        ("branches",),
        ("branches", "import"),
        ("branches", "import", "x.csv", "--map", "name"),
        ("events", "import", "x.ics", "--shift-to", "tomorrow"),
        ("people", "invite"),
        ("people", "invite", "ana@example.org", "--role", "king"),
        ("serve", "--port", "http"),
        ("serve", "--port", "99999"),
        ("serve", "--workers", "0"),
        ("move",),
        ("migrate", "twice"),
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(shell: Shell, arguments: tuple[str, ...]) -> None:
    done = shell.run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: branchline" in done.stderr
    assert not shell.data.exists()


def test_help_is_no_error_and_python_m_events_is_the_same_command(shell: Shell) -> None:
    command = [sys.executable, "-m", "events", "people", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert shell.run("people", "--help") == Done(0, done.stdout, "")


@pytest.mark.parametrize("command", ["serve", "demo"])
def test_a_port_in_use_is_one_clear_line(shell: Shell, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        shell.environment["PORT"] = str(port)
        said = shell.refused(command)
    assert re.fullmatch(rf"Cannot listen on \S+ port {port}: Address already in use\.", said)
    assert not list(shell.data.glob("*.db")), "nothing is begun before the port is known to be free"


def test_an_unknown_host_is_one_clear_line(shell: Shell) -> None:
    assert "Cannot listen on nowhere.invalid port" in shell.refused("serve", "--host", "nowhere.invalid")


def test_a_data_directory_that_cannot_be_made_is_one_clear_line(shell: Shell) -> None:
    """Permissions do not stop root, but a file in the way does."""
    shell.folder.joinpath("data").write_text("in the way")
    assert re.fullmatch(r"The data directory \S+ cannot be made: File exists\.", shell.refused("serve"))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("BRANCHLINE_BASE_URL", "events.example.org", "must be a scheme and a host"),
        ("BRANCHLINE_DATABASE_URL", "mysql://db/branchline", "must begin with sqlite:/// or postgresql://"),
        ("BRANCHLINE_DATABASE_URL", "postgresql://ana@db:port/x", "must look like postgresql://"),
        ("BRANCHLINE_DATABASE_URL", "postgresql://ana@127.0.0.1:1/x", "The database cannot be used"),
        ("BRANCHLINE_DATABASE_URL", "sqlite:////nowhere/at/all.db", "unable to open database file"),
        ("BRANCHLINE_DATABASE_URL", f"sqlite:///{ROOT}/pyproject.toml", "file is not a database"),
        ("BRANCHLINE_SMTP_URL", "mail.example.org", "must look like smtp://"),
        ("BRANCHLINE_LOCALES", "en,xx", "names xx"),
        ("BRANCHLINE_NAME_FILE", "/nowhere/at/all", "cannot be read"),
        ("PORT", "http", "must be a number"),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_clear_line(
    shell: Shell, name: str, value: str, said: str
) -> None:
    shell.environment[name] = value
    assert said in shell.refused("migrate")


def test_a_database_of_a_newer_version_is_one_clear_line(shell: Shell) -> None:
    assert shell.run("migrate").returncode == 0
    with shell.database() as database, database.writing() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    for command in ("migrate", "serve", "work"):
        assert "newer Branchline" in shell.refused(command)


def test_another_database_must_be_migrated_first(shell: Shell, engines: Engines) -> None:
    shell.environment["BRANCHLINE_DATABASE_URL"] = engines.blank_url("postgresql")
    assert "run branchline migrate" in shell.refused("branches", "export")
    assert shell.run("migrate").returncode == 0
    assert shell.run("migrate").returncode == 0
    assert shell.run("branches", "export").returncode == 0


def test_move_copies_into_an_empty_database_and_refuses_another(shell: Shell, engines: Engines) -> None:
    shell.run("branches", "import", shell.file("in.csv", BRANCHES))
    target = engines.blank_url("postgresql").replace("postgresql+psycopg://", "postgres://")
    done = shell.run("move", target)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"\d+ rows in \d+ tables copied and counted\.\n", done.stdout)
    assert "The target database is not empty: table branch has rows." in shell.refused("move", target)
    assert "must begin with sqlite:/// or postgresql://" in shell.refused("move", "elsewhere.db")


# ---------------------------------------------------------------- people


def invited(shell: Shell, *arguments: str, stdin: str = "") -> str:
    done = shell.run("people", "invite", *arguments, stdin=stdin)
    assert (done.returncode, done.stderr) == (0, "")
    [line] = done.stdout.splitlines()
    return line


def test_inviting_prints_a_link_that_signs_in_once(shell: Shell) -> None:
    shell.environment["BRANCHLINE_BASE_URL"] = "https://events.example.org"
    shell.run("branches", "import", shell.file("in.csv", BRANCHES))
    link = invited(shell, "Ana@Example.org", "--branch", "alder")
    assert link.startswith("https://events.example.org/sign-in/")
    with shell.database() as database, database.writing() as session:
        ana = sign_in.find(session, "ana@example.org")
        assert ana is not None
        used = sign_in.use_link(session, link.rpartition("/")[2], datetime.now(UTC))
        assert used.person_id == ana.id
        [membership] = session.exec(select(Membership)).all()
        assert (membership.person_id, membership.role) == (ana.id, "organizer")


def test_an_admin_needs_no_branch_and_may_get_a_password(shell: Shell) -> None:
    invited(shell, "dee@example.org", "--role", "admin", "--password-stdin", stdin="correct horse battery\n")
    with shell.database() as database, database.reading() as session:
        dee = sign_in.with_password(session, "dee@example.org", "correct horse battery")
        assert dee is not None and dee.is_admin


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (("ana@example.org", "--branch", "nowhere"), "", "There is no branch called “nowhere”."),
        (("ana@example.org",), "", "Please name the branch with --branch SLUG"),
        (("ana", "--role", "admin"), "", "This is not an e-mail address"),
        (("dee@example.org", "--role", "admin", "--password-stdin"), "short\n", "at least 10 characters"),
        (("dee@example.org", "--role", "admin", "--password-stdin"), "", "at least 10 characters"),
        (("dee@example.org", "--role", "admin", "--password-stdin"), "x" * 300, "at most 200 characters"),
    ],
)
def test_an_invitation_that_cannot_be_made_is_one_line_and_adds_nobody(
    shell: Shell, arguments: tuple[str, ...], stdin: str, said: str
) -> None:
    assert said in shell.refused("people", "invite", *arguments, stdin=stdin)
    shell.run("migrate")
    with shell.database() as database, database.reading() as session:
        assert [sign_in.find(session, f"{name}@example.org") for name in ("ana", "dee")] == [None, None]


# ---------------------------------------------------------------- branches and events


def test_branches_go_in_and_come_out_and_in_again_unchanged(shell: Shell) -> None:
    done = shell.run("branches", "import", shell.file("in.csv", BRANCHES))
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 added, 0 updated, 0 unchanged, 0 refused" in done.stdout
    out = shell.folder / "out.csv"
    assert shell.run("branches", "export", out).returncode == 0
    assert shell.run("branches", "export").stdout.encode() == out.read_bytes()
    assert b"\r\n" in out.read_bytes()
    again = shell.run("branches", "import", out)
    assert "0 added, 0 updated, 1 unchanged, 0 refused" in again.stdout


def test_a_refused_row_costs_only_itself(shell: Shell) -> None:
    file = shell.file("in.csv", BRANCHES + "birch,Birch,Madrid,ES,91,-3.7,\n,Cedar,Leeds,GB,53.8,-1.5,\n")
    done = shell.run("branches", "import", file)
    assert done.returncode == 1
    assert re.search(r"^row 3: ", done.stderr, re.MULTILINE)
    assert "2 added, 0 updated, 0 unchanged, 1 refused" in done.stdout
    with shell.database() as database, database.reading() as session:
        assert set(session.exec(select(Branch.slug)).all()) == {"alder", "cedar"}


def test_a_dry_run_changes_nothing(shell: Shell) -> None:
    done = shell.run("branches", "import", shell.file("in.csv", BRANCHES), "--dry-run")
    assert (done.returncode, "1 would be added" in done.stdout) == (0, True)
    with shell.database() as database, database.reading() as session:
        assert session.exec(select(Branch)).all() == []


@pytest.mark.parametrize(
    "content", [None, b"", b"slug,city\nalder,Chicago\n", b"\x00\x01\x02\xff" * 50], ids=["missing", "empty",
    "without a name", "no text"]
)  # fmt: skip
def test_a_file_of_branches_that_cannot_be_read_is_one_line(shell: Shell, content: bytes | None) -> None:
    file = shell.folder / "nowhere.csv" if content is None else shell.file("in.csv", content)
    assert shell.refused("branches", "import", file)


def test_a_place_that_cannot_be_written_is_one_line(shell: Shell) -> None:
    for command in ("branches", "events"):
        assert "cannot be written" in shell.refused(command, "export", shell.folder / "nowhere" / "out")


def test_a_reader_that_has_seen_enough_is_no_error(shell: Shell) -> None:
    rows = "".join(f"b{number},Branch {number} {'x' * 300},Chicago,US,,,\n" for number in range(500))
    shell.run("branches", "import", shell.file("in.csv", BRANCHES + rows))
    command = f"{sys.executable} -m events branches export | head -c 10"
    done = subprocess.run(  # noqa: S602
        command, shell=True, cwd=ROOT, env=shell.environment, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ('"external_', "")


def test_events_go_in_and_come_out_and_in_again_unchanged(shell: Shell) -> None:
    shell.run("branches", "import", shell.file("in.csv", BRANCHES))
    done = shell.run("events", "import", shell.file("in.ics", CALENDAR.format("alder")))
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 added" in done.stdout
    out = shell.folder / "out.ics"
    assert shell.run("events", "export", out).returncode == 0
    assert b"SUMMARY;LANGUAGE=en:Saw club\r\n" in out.read_bytes()
    assert b"X-BRANCHLINE-BRANCH:alder\r\n" in out.read_bytes()


def test_the_week_of_a_file_can_be_chosen(shell: Shell) -> None:
    shell.run("branches", "import", shell.file("in.csv", BRANCHES))
    file = shell.file("in.ics", CALENDAR.format("alder"))
    assert shell.run("events", "import", file, "--shift-to", "2027-02-06").returncode == 0
    with shell.database() as database, database.reading() as session:
        assert session.exec(select(Event.start)).one().isoformat() == "2027-02-02T19:00:00"  # a Tuesday still


def test_an_event_of_an_unknown_branch_is_refused_by_its_line(shell: Shell) -> None:
    shell.run("branches", "import", shell.file("in.csv", BRANCHES))
    done = shell.run("events", "import", shell.file("in.ics", CALENDAR.format("nowhere")))
    assert done.returncode == 1
    assert "row 4: There is no branch called “nowhere”." in done.stderr


@pytest.mark.parametrize(
    "content", [None, b"", b"<!doctype html><title>Sign in</title>", b"\x00\xff" * 50],
    ids=["missing", "empty", "a web page", "no text"],
)  # fmt: skip
def test_a_calendar_that_cannot_be_read_is_one_line(shell: Shell, content: bytes | None) -> None:
    shell.run("branches", "import", shell.file("in.csv", BRANCHES))
    file = shell.folder / "nowhere.ics" if content is None else shell.file("in.ics", content)
    assert shell.refused("events", "import", file, "--branch", "alder")


def test_events_for_an_unknown_branch_are_one_line(shell: Shell) -> None:
    file = shell.file("in.ics", CALENDAR.format("alder"))
    assert "There is no branch called “nowhere”." in shell.refused(
        "events", "import", file, "--branch", "nowhere"
    )


# ---------------------------------------------------------------- serving


@pytest.mark.parametrize("workers", [1, 2])
def test_serve_answers_and_sigterm_ends_it_with_0(shell: Shell, workers: int) -> None:
    port = free_port()
    shell.environment["PORT"] = str(port)
    with shell.running("serve", "--workers", workers) as server:
        server.until(lambda: fetched(f"http://127.0.0.1:{port}/readyz")[0] == 200)
        assert shell.run("healthcheck").returncode == 0
        assert fetched(f"http://127.0.0.1:{port}/?near=secret")[0] == 200
        assert server.end() == 0
        assert "secret" not in server.errors
    assert fetched(f"http://127.0.0.1:{port}/readyz")[0] == 0
    assert f"Nothing answers on port {port}." in shell.refused("healthcheck")


def test_the_port_of_the_command_line_comes_before_that_of_the_environment(shell: Shell) -> None:
    port = free_port()
    shell.environment["PORT_FILE"] = str(shell.file("port", "1\n"))
    with shell.running("serve", "--port", port) as server:
        server.until(lambda: fetched(f"http://127.0.0.1:{port}/readyz")[0] == 200)
        assert server.end(signal.SIGINT) == 0


def test_a_request_in_flight_is_finished_before_the_server_ends(shell: Shell) -> None:
    port = free_port()
    with shell.running("serve", "--port", port) as server:
        server.until(lambda: fetched(f"http://127.0.0.1:{port}/readyz")[0] == 200)
        with socket.create_connection(("127.0.0.1", port), timeout=20) as half:
            form = b"email=ana%40example.org"
            half.sendall(
                b"POST /sign-in HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\n"
                b"Content-Type: application/x-www-form-urlencoded\r\nConnection: close\r\n"
                b"Content-Length: %d\r\n\r\n" % len(form)
            )
            time.sleep(0.2)  # it has begun
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            half.sendall(form)
            assert half.recv(100).startswith(b"HTTP/1.1 303 ")
        assert server.process.wait(20) == 0


def test_no_process_outlives_the_one_that_watches_over_it(shell: Shell) -> None:
    """It would keep the port from those that are started in its place."""
    port = free_port()
    with shell.running("serve", "--workers", 2, "--port", port) as server:
        server.until(lambda: fetched(f"http://127.0.0.1:{port}/readyz")[0] == 200)
        server.process.kill()
        server.process.wait(20)
        until = time.monotonic() + 20
        while fetched(f"http://127.0.0.1:{port}/readyz")[0] and time.monotonic() < until:
            time.sleep(0.1)
        assert fetched(f"http://127.0.0.1:{port}/readyz")[0] == 0


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("delay", [0.3, 0.6, 0.9, 1.2])
def test_sigterm_is_heard_while_the_server_starts(shell: Shell, delay: float, workers: int) -> None:
    """Whenever it comes: before our handlers it kills at once, after that the status is 0."""
    with shell.running("serve", "--workers", workers, "--port", free_port()) as server:
        deadline = time.monotonic() + delay
        while time.monotonic() < deadline:
            time.sleep(0.05)
        assert server.end() in (0, -signal.SIGTERM)


def test_something_else_on_the_port_is_not_healthy(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as odd:
        shell.environment["PORT"] = str(odd.getsockname()[1])
        with subprocess.Popen(
            [sys.executable, "-m", "events", "healthcheck"], cwd=ROOT, env=shell.environment,
            stderr=subprocess.PIPE, text=True,
        ) as check:  # fmt: skip
            connection, _ = odd.accept()
            connection.sendall(b"220 mail.example.org ready\r\n")
            connection.close()
            _, errors = check.communicate(timeout=20)
    assert (check.returncode, errors.count("\n"), "Traceback" in errors) == (2, 1, False)


def test_work_sends_what_waits_and_sigterm_ends_it_with_0(shell: Shell) -> None:
    shell.run("migrate")
    with shell.database() as database:
        with database.writing() as session:
            outbox.put(session, datetime.now(UTC), recipient="ana@example.org", subject="News", body="Hello")
        with shell.running("work") as worker:
            worker.until(lambda: bool(list(shell.data.glob("mail/*.eml"))))
            assert worker.end() == 0


def test_work_on_a_fresh_embedded_database_begins_by_making_it(shell: Shell) -> None:
    def is_there() -> bool:
        if not (shell.data / "branchline.db").exists():
            return False
        with shell.database() as database, database.reading() as session:
            return migrations.is_newest(session.connection())

    with shell.running("work") as worker:
        worker.until(is_there)
        assert worker.end() == 0


IN_A_LIBRARY = """
import os, signal, sys
from sqlalchemy.engine.default import DefaultDialect
from events.__main__ import main

def closed(self, connection):
    print("now", file=sys.stderr)
    os.kill(os.getpid(), signal.SIGTERM)
    connection.close()

DefaultDialect.do_close = closed
sys.exit(main(["serve", "--workers", sys.argv[1], "--port", sys.argv[2]]))
"""

AFTER_THE_DATABASE = """
import os, signal, sys
from events import server
from events.__main__ import main

def allowed():
    print("now", file=sys.stderr)
    os.kill(os.getpid(), signal.SIGTERM)

server.allow_many_files = allowed
sys.exit(main(["serve", "--workers", sys.argv[1], "--port", sys.argv[2]]))
"""


@pytest.mark.parametrize("moment", [IN_A_LIBRARY, AFTER_THE_DATABASE], ids=["library", "after"])
@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_ends_a_server_that_starts_without_a_traceback(
    shell: Shell, workers: int, moment: str
) -> None:
    """SQLAlchemy logs what is raised while it closes a connection, also when that is only the end of the program."""
    done = subprocess.run(
        [sys.executable, "-c", moment, str(workers), str(free_port())],
        env=shell.environment,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
    )
    assert done.stderr.startswith("now\n")
    assert "Traceback" not in done.stderr
    assert done.returncode == 0


IN_A_CALLBACK = """
import argparse, os, signal, sys, weakref
from events import server
from events.config import Settings

class Thing:
    pass

server.end_on_signals()
thing = Thing()
kept = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGTERM))
del thing
print("dropped", file=sys.stderr)
sys.exit(server.work(Settings.from_environment(os.environ), argparse.Namespace()))
"""


def test_sigterm_is_heard_also_in_a_callback_where_python_drops_what_is_raised(shell: Shell) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_A_CALLBACK],
        env=shell.environment,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
    )
    assert done.stderr.startswith("dropped\n"), "it was raised where nobody dropped it, or somebody was told"
    assert done.returncode == 0


# ---------------------------------------------------------------- the demo


def test_the_demo_serves_without_the_internet_and_says_so(shell: Shell) -> None:
    """No registry can be reached, so that branches and events are all there is; and nothing else is touched."""
    port = free_port()
    elsewhere = shell.folder / "elsewhere.db"
    shell.environment |= {
        "PORT": str(port),
        "BRANCHLINE_DATABASE_URL": f"sqlite:///{elsewhere}",
        "BRANCHLINE_BASE_URL": "https://events.example.org",
        "PIP_INDEX_URL": "http://127.0.0.1:9/",
        "PIP_NO_INDEX": "1",
        "PIP_RETRIES": "0",
        "PIP_CONFIG_FILE": "/dev/null",
    }
    shell.data.mkdir()
    (shell.data / "demo.db").write_text("left over from the last time")
    site = f"http://localhost:{port}"
    with shell.running("demo") as demo:
        demo.until(lambda: fetched(f"{site}/readyz")[0] == 200)
        assert "Serving with what the branches know." in demo.out
        assert f"Riverbend Tool Libraries: {site}" in demo.out
        links = re.findall(rf"sign in as (organizer|admin): ({site}/sign-in/\S+)", demo.out)
        assert [role for role, _ in links] == ["organizer", "admin"]
        for path in ("/", "/branches", "/branches?near=60614", "/events", "/es/events", "/events.ics"):
            assert fetched(site + path)[0] == 200, path
        assert "BEGIN:VEVENT" in fetched(f"{site}/events.ics")[1]
        assert fetched(links[0][1])[0] == 200
        assert demo.end() == 0
    assert not elsewhere.exists()
    with_database = Database(f"sqlite:///{shell.data}/demo.db")
    with with_database.reading() as session:
        assert len(session.exec(select(Branch)).all()) >= 60
        assert len(session.exec(select(Event)).all()) >= 200
    with_database.dispose()


@pytest.mark.parametrize(
    ("command", "gives_way"), [("events export", [10]), ("events recompute --dry-run", [10]), ("routes", [])]
)
def test_what_takes_its_time_gives_way_to_a_site_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, gives_way: list[int]
) -> None:
    nicer: list[int] = []
    monkeypatch.setattr(os, "nice", nicer.append)
    monkeypatch.setattr(sys, "argv", ["branchline", *command.split()])
    monkeypatch.setenv("BRANCHLINE_DATA_DIR", str(tmp_path))
    with redirect_stdout(Stream()):
        assert main() == 0
    assert nicer == gives_way
