"""Radicale and Xandikos, each by the server that comes with it, filled as an app fills them: by PUT."""

import http.client
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench._load import HOST, Target, served
from bench._peers_kept import KEPT, filled, programs
from bench._progress import progress
from tests.smtp_sink import free_port

CALENDAR = {"Content-Type": "text/calendar"}
# The rights of a calendar that everybody may read by its address; to fill it, all that there are.
RIGHTS = "[all]\nuser: .*\ncollection: .*\npermissions: RrWwi\n"
QUIET = {"PYTHONWARNINGS": "ignore"}


# ---------------------------------------------------------------- Radicale


@contextmanager
def radicale(calendar: bytes) -> Iterator[Target]:
    """The whole calendar as it is offered to apps that subscribe to an address."""
    data = filled("radicale", calendar, partial(_fill_radicale, calendar))
    with _radicale(data) as port:
        yield Target(f"http://{HOST}:{port}/bench/events/")


@contextmanager
def _radicale(data: Path) -> Iterator[int]:
    port = free_port()
    with TemporaryDirectory() as folder:
        rights = Path(folder, "rights")
        rights.write_text(RIGHTS)
        # Without a line in its log for each request: what is measured is not writing them.
        options = {
            "server-hosts": f"{HOST}:{port}",
            "auth-type": "none",
            "rights-type": "from_file",
            "rights-file": rights,
            "storage-filesystem-folder": data,
            "logging-level": "warning",
        }
        command = [str(programs("radicale") / "radicale"), "--config", ""]
        command += [f"--{name}={value}" for name, value in options.items()]
        with served(command, QUIET, port, "/.web/", workers=1):
            yield port


def _fill_radicale(calendar: bytes, data: Path) -> None:
    with _radicale(data) as port:
        _send(port, [("MKCOL", "/bench/", b""), ("PUT", "/bench/events/", calendar)])


# ---------------------------------------------------------------- Xandikos


@contextmanager
def xandikos(calendar: bytes) -> Iterator[Target]:
    """The whole calendar, as its address with `?export` gives it."""
    data = filled("xandikos", calendar, partial(_fill_xandikos, calendar))
    with _xandikos(data) as port:
        yield Target(f"http://{HOST}:{port}/user/calendars/calendar/?export")


@contextmanager
def _xandikos(data: Path) -> Iterator[int]:
    port = free_port()
    command = [str(programs("xandikos") / "xandikos"), "serve", "--defaults", f"--directory={data}"]
    command += [f"--state-dir={KEPT}/xandikos/state", f"--listen-address={HOST}", f"--port={port}"]
    with served(command, QUIET, port, "/", workers=1):
        yield port


def _fill_xandikos(calendar: bytes, data: Path) -> None:
    """An event at a time, because it keeps a file for each; it also makes a commit of each, which takes minutes."""
    with _xandikos(data) as port:
        put = [("PUT", f"/user/calendars/calendar/{uid}.ics", one) for uid, one in _one_by_one(calendar)]
        _send(port, progress("Filling Xandikos", put))


def _one_by_one(calendar: bytes) -> Iterator[tuple[str, bytes]]:
    """Each event with its UID, as a calendar of its own with all time zones."""
    head, *events = re.split(rb"(?=BEGIN:VEVENT\r\n)", calendar.removesuffix(b"END:VCALENDAR\r\n"))
    for event in events:
        found = re.search(rb"^UID:(\S+)\r$", event, re.MULTILINE)
        if found is None:
            sys.exit("An event has no UID.")
        yield found[1].decode(), head + event + b"END:VCALENDAR\r\n"


# ---------------------------------------------------------------- pieces


def _send(port: int, requests: Iterable[tuple[str, str, bytes]]) -> None:
    with closing(http.client.HTTPConnection(HOST, port, timeout=600)) as connection:
        for method, path, body in requests:
            connection.request(method, path, body, CALENDAR)
            answer = connection.getresponse()
            said = answer.read()
            if answer.status != http.client.CREATED:
                sys.exit(f"{method} {path} was answered {answer.status}: {said[:500]!r}")
