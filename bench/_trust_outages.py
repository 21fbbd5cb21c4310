"""What a site needs is taken from it while it is used: PostgreSQL, the mail server, room on the disk, time to end.

postgres    PostgreSQL restarted under traffic, two machines behind nginx (`./dev bench hosts --only restart`)
calendars   another site's calendar that is down, broken or suddenly half empty (its tests)
mail        a mail server that is down, slow, refuses for now or for good, while people send forms
full        a disk without room, and then with room again, without a restart
readonly    a disk that turns read-only under the running site, as it does after a fault
sigterm     SIGTERM in the middle of forms that are being sent, with one process and with several

`full` and `readonly` mount a small disk, which needs root; `postgres` needs what `./dev bench hosts` does.
"""

import argparse
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

from sqlmodel import select

from bench._browser import FORM, SAME_SITE, Answer, Browser
from bench._load import figure
from bench._processes import BROKEN, ROOT, Running, fill_in, status
from events.db import Database
from events.messages.models import ContactMessage, OutgoingMail
from tests.smtp_sink import Sink

AT_ONCE_MS = 250
ENDS_S = 11.0  # ten for those who have begun, and what it takes to end
CONTACT, SPANISH = "/branches/b1/contact", "/es/branches/b1/contact"
BRANCHES, FORMS_EACH = 30, 5
NOT_CHANGED = "No se ha cambiado nada"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", choices=PARTS, action="append", help="may be said several times")


def run(options: argparse.Namespace) -> bool:
    good = True
    for name in options.only or PARTS:
        print(f"\n{name}", flush=True)
        good &= PARTS[name](options)
    return good


# ---------------------------------------------------------------- what others show


def _postgres(_: argparse.Namespace) -> bool:
    return _shown_by("-m", "bench.hosts", "--only", "restart")


def _calendars(_: argparse.Namespace) -> bool:
    wanted = "upstream_that_is_down or half_gone or empty_calendar or empties_bit_by_bit"
    return _shown_by("-m", "pytest", "-q", "-n0", "tests/calendars/test_following.py", "-k", wanted)


def _shown_by(*arguments: str) -> bool:
    done = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True)
    print(done.stdout + done.stderr[-2000:])
    return done.returncode == 0 and " NOT " not in done.stdout


# ---------------------------------------------------------------- a site to use


@contextmanager
def _site(data: Path, workers: int = 1, smtp_url: str = "") -> Iterator[tuple[Running, Database]]:
    """With one process the worker is inside it."""
    url = f"sqlite:///{data}/branchline.db"
    database = Database(url, size=1)
    fill_in(database, branches=BRANCHES)
    running = Running(data, url, workers, smtp_url=smtp_url)
    try:
        running.start_web()
        yield running, database
    finally:
        running.kill_all()
        database.dispose()


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _message(running: Running, mark: str, path: str = CONTACT, long: int = 1) -> Answer:
    text = f"About {mark}. " * long
    form = {
        "name": "Ben",
        "email": "ben@example.org",
        "subject": mark,
        "message": text,
        "key": f"{mark:x>32}",
    }
    return Browser(running.address).post(path, list(form.items()))


# ---------------------------------------------------------------- mail


def _mail(_: argparse.Namespace) -> bool:
    """Each state of the server for a while; then it is well, and an hour passes in the outbox by decree."""
    sink = Sink()
    took_ms, number, refused = list[float](), 0, dict[str, int]()
    with _folder() as data, _site(data, smtp_url=sink.url) as (running, database):
        for state in ("down", "slow", "not now", "refused for good", "hangs up"):
            with _as_it_is(sink, state):
                time.sleep(2)  # the worker has begun
                for _each in range(FORMS_EACH):
                    number += 1
                    began = time.monotonic()
                    # One that was refused for good takes no more messages, so each goes to a branch of its own.
                    answer = _message(running, f"message-{number}", f"/branches/b{number}/contact")
                    took_ms.append((time.monotonic() - began) * 1000)
                    if answer.status != 303:
                        print(f"    a form was answered {answer.status} while it was {state}")
                time.sleep(6)
            refused |= _refused(database)
        with sink.up():
            _until(lambda: _later(database) == 0)
            time.sleep(1)
        good = _mail_told(database, sink, took_ms, number)
        again = _refused(database) != refused
        figure("refused for good", str(len(refused)), "some", bool(refused))
        return good & figure("    and tried again", str(again), "False", not again) & bool(refused)


@contextmanager
def _as_it_is(sink: Sink, state: str) -> Iterator[None]:
    sink.takes_s = 3.0 if state == "slow" else 0.0
    sink.on_recipient = {"not now": "451 Later, please", "refused for good": "550 Never"}.get(state, "250 OK")
    sink.hangs_up = "after" if state == "hangs up" else ""
    with ExitStack() as stack:
        if state != "down":
            stack.enter_context(sink.up())
        yield
    sink.takes_s, sink.on_recipient, sink.hangs_up = 0.0, "250 OK", ""


def _later(database: Database) -> int:
    """Mails that still wait, each of which is due from now on."""
    with database.writing() as session:
        waiting = [
            one for one in session.exec(select(OutgoingMail)).all() if not (one.sent_at or one.failed_at)
        ]
        for one in waiting:
            one.run_at -= timedelta(hours=1)
    return len(waiting)


def _refused(database: Database) -> dict[str, int]:
    """How often each of them was tried."""
    with database.reading() as session:
        rows = session.exec(select(OutgoingMail)).all()
    return {one.message_id: one.attempts for one in rows if one.failed_at}


def _mail_told(database: Database, sink: Sink, took_ms: list[float], number: int) -> bool:
    names = [str(mail["Message-ID"]) for mail in sink.mails]
    with database.reading() as session:
        messages = len(session.exec(select(ContactMessage)).all())
        mails = session.exec(select(OutgoingMail)).all()
    sent = {one.message_id for one in mails if one.sent_at}
    lost = sent - set(names)
    slowest = max(took_ms)
    return all(
        [
            figure("forms, of all, that are a message", f"{messages} of {number}", "all", messages == number),
            figure("the slowest form, ms", f"{slowest:.0f}", f"<= {AT_ONCE_MS}", slowest <= AT_ONCE_MS),
            figure("mails that were sent and are not there", str(len(lost)), "0", not lost),
            figure(
                "mails under a name that is not theirs", str(len(set(names) - sent)), "0", set(names) <= sent
            ),
            figure(
                "mails that went out twice", str(len(names) - len(set(names))), "0", len(names) == len(sent)
            ),
        ]
    )


def _until(condition: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.5)


# ---------------------------------------------------------------- the disk


def _full(_: argparse.Namespace) -> bool:
    disk = ("-t", "tmpfs", "-o", "size=16m", "tmpfs")
    with _folder() as folder, _mounted(folder, *disk) as data, _site(data) as (running, database):
        good = _acknowledged(running, "with room")
        filling = data / "filling"
        with filling.open("wb") as file:
            _fill_up(file.fileno())
        good &= _goes_on(running, "no room")
        filling.unlink()
        good &= _acknowledged(running, "with room again, and no restart")
        return good & _whole(database)


def _fill_up(file: int) -> None:
    for size in (1 << 20, 1 << 12, 1):
        try:
            while os.write(file, bytes(size)):
                pass
        except OSError:
            continue


def _readonly(_: argparse.Namespace) -> bool:
    """As after a fault of the disk: the file system gives up on itself, and what is open stays open."""
    with _folder() as folder:
        image = folder / "disk"
        with image.open("wb") as file:
            file.truncate(64 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
        with _mounted(folder, "-o", "loop", str(image)) as data, _site(data) as (running, _database):
            good = _acknowledged(running, "writable")
            subprocess.run(["mount", "-o", "remount,abort", data], check=False, capture_output=True)
            good &= _goes_on(running, "read-only")
        with _mounted(folder, "-o", "loop", str(image)) as data:
            database = Database(f"sqlite:///{data}/branchline.db", size=1)
            good &= _whole(database)
            database.dispose()
    return good


@contextmanager
def _mounted(folder: Path, *how: str) -> Iterator[Path]:
    data = folder / "data"
    data.mkdir(exist_ok=True)
    subprocess.run(["mount", *how, data], check=True)
    try:
        yield data
    finally:
        subprocess.run(["umount", data], check=True)


def _acknowledged(running: Running, when: str) -> bool:
    came = _message(running, f"{when}-{time.monotonic_ns()}".replace(" ", "-").replace(",", "")).status
    return figure(f"a form, {when}", str(came), "303", came == 303)


def _goes_on(running: Running, when: str) -> bool:
    """Reading, and saying plainly in the language of the page that nothing can be written."""
    writes = [_message(running, f"{when}-{number}".replace(" ", "-"), SPANISH, 200) for number in range(5)]
    told = [one.status == 503 and NOT_CHANGED in one.body.decode() for one in writes]
    asked = [f"/branches/b2?_={number}" for number in range(20)] + ["/events.ics", "/readyz", "/es/branches"]
    reads = [status(running.port, path) for path in asked]
    statuses = sorted({one.status for one in writes})
    return all(
        [
            figure(f"forms, {when}", f"{statuses}", "503", all(told)),
            figure(
                f"pages, {when}: not answered well",
                f"{sum(one != 200 for one in reads)}",
                "0",
                set(reads) == {200},
            ),
        ]
    )


def _whole(database: Database) -> bool:
    with database.reading() as session:
        said = session.connection().exec_driver_sql("PRAGMA integrity_check").scalars().all()
        messages = session.exec(select(ContactMessage.subject)).all()
        mails = len(session.exec(select(OutgoingMail)).all())
    whole = said == ["ok"] and len(messages) == mails
    return figure(
        "messages, each with its mail, in a sound file", f"{len(messages)}, {mails}", "equal", whole
    )


# ---------------------------------------------------------------- SIGTERM


def _sigterm(_: argparse.Namespace) -> bool:
    return all([_ended(workers, lets_go) for workers in (1, 4) for lets_go in (True, False)])


def _ended(workers: int, lets_go: bool) -> bool:
    """Twenty have sent the first half of a form when it comes. `lets_go`: they send the other half, else never."""
    with _folder() as data, _site(data, workers) as (running, _), ExitStack() as stack:
        time.sleep(3)  # all processes are up
        halves = [_half_sent(running, stack, number) for number in range(20)]
        time.sleep(0.5)
        assert running.web is not None
        began = time.monotonic()
        running.web.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        statuses = [_other_half(*each) for each in halves] if lets_go else []
        ended = running.web.wait(30)
        took = time.monotonic() - began
    finished = sum(came == 303 for came in statuses)
    name = f"{workers} processes, forms {'go on' if lets_go else 'never end'}"
    good = figure(f"{name}: exit status", str(ended), "0", ended == 0)
    good &= figure("    seconds", f"{took:.1f}", f"<= {ENDS_S:g}", took <= ENDS_S)
    return good & (not lets_go or figure("    forms answered 303", f"{finished} of 20", "20", finished == 20))


def _half_sent(running: Running, stack: ExitStack, number: int) -> tuple[socket.socket, bytes]:
    form = {"name": "Ben", "email": "ben@example.org", "message": "Hello", "key": f"{number:032}"}
    body = urlencode(form).encode()
    line = stack.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=30))
    headers = {"Host": "localhost", "Content-Type": FORM, "Content-Length": str(len(body)), **SAME_SITE}
    said = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    line.sendall(f"POST {CONTACT} HTTP/1.1\r\n{said}Connection: close\r\n\r\n".encode() + body[:9])
    return line, body[9:]


def _other_half(line: socket.socket, rest: bytes) -> int:
    try:
        line.sendall(rest)
        answer = http.client.HTTPResponse(line)
        answer.begin()
    except BROKEN:
        return 0
    return answer.status


PARTS: Mapping[str, Callable[[argparse.Namespace], bool]] = {
    "postgres": _postgres,
    "calendars": _calendars,
    "mail": _mail,
    "full": _full,
    "readonly": _readonly,
    "sigterm": _sigterm,
}
