"""Whether what was searched for or removed is in no byte that a server leaves, and what it costs to overwrite it.

Words of its own are searched for on a real server in every way, by requests that are none, too: neither its log nor
its temporary files nor its database may have one. Messages with such words come in, are mailed, and are purged a month
later as the worker does it: then they are in no byte of SQLite's file or its log. What overwriting costs is measured
beside a database that does not do it: both do the same, in turns; the median of the ratios of the rounds is told.
"""

import argparse
import socket
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa

from bench._load import HOST, figure, served
from bench._progress import progress
from events import migrations
from events.branches.models import Branch
from events.db import Database
from events.language import language
from events.messages import contact, outbox
from events.messages.contact import ContactDraft
from events.messages.models import ContactMessage
from tests.smtp_sink import free_port

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MONTH = outbox.KEEP_MESSAGES + timedelta(days=1)
WORD = "kanari{:06}x"
MOST_SLOWER = 1.1
_END = " HTTP/1.1\nHost: localhost\nConnection: close\n"
# The last ones are no requests at all, or too large, or for a host that is not known.
SEARCHES = (
    *(f"GET {path}{_END}\n" for path in (
        *("/branches?near=WORD", "/events?q=WORD&near=WORD", "/events.ics?q=WORD", "/events.json?near=WORD"),
        *("/api/v1/places?q=WORD", "/branches?near=12.WORD,5", "/events?from=WORD&page=WORD", "/WORD"),
        *("/sign-in/WORD", "/events/WORD.ics", "/subscriptions/WORD", "/static/WORD", "/branches/WORD"),
    )),
    f"GET /events?q=x{_END}Cookie: session=WORD\nUser-Agent: WORD\nReferer: http://WORD.example.org/\n\n",
    f"GET /api/v1/events{_END}Authorization: Bearer WORD\n\n",
    f"POST /sign-in{_END}Content-Length: 4\nOrigin: http://WORD.example.org\n\nWORD",
    f"GET /events{_END.replace('localhost', 'WORD.example.org')}\n",
    f"GET /events{_END}WORD\n\n",
    "WORD /WORD WORD\n\n",
    f"GET /events{_END}X-Long: {'WORD' * 9000}\n\n",
)  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--searches", type=int, default=2000, help="on a real server")
    parser.add_argument("--messages", type=int, default=10_000, help="that are purged and searched for")
    parser.add_argument("--rounds", type=int, default=15, help="of each of the two databases")
    parser.add_argument("--writes", type=int, default=100, help="messages in a round, a transaction each")


def run(options: argparse.Namespace) -> bool:
    with TemporaryDirectory() as folder:
        found = _searched(Path(folder) / "served", options.searches)
        good = figure(
            f"words of {options.searches} searches on a server, anywhere", str(found), "0", found == 0
        )
        left = _left(Path(folder) / "purged.db", options.messages)
        good &= figure(f"words of {options.messages} purged messages left", str(left), "0", left == 0)
        slower, cleaning = _slower(Path(folder), options.rounds, options.writes)
    most = f"at most {MOST_SLOWER}"
    good &= figure("written and sent, overwriting : not", f"{slower:.2f}", most, slower <= MOST_SLOWER)
    return figure("purged, overwriting : not", f"{cleaning:.2f}") and good


def _searched(data: Path, searches: int) -> int:
    """How often a word is found in what a server says, in its temporary files, and in all that lies in its folder."""
    (data / "tmp").mkdir(parents=True)
    database = _opened(data / "branchline.db")
    database.dispose()
    port = free_port()
    variables = {"BRANCHLINE_DATA_DIR": str(data), "BRANCHLINE_RATE_LIMITS": "off", "PORT": str(port)}
    listening = f'exec "$0" -m events serve --host {HOST} >"$1" 2>&1'
    command = ["sh", "-c", listening, sys.executable, str(data / "said.txt")]
    with served(command, {**variables, "TMPDIR": str(data / "tmp")}, port, "/readyz", workers=1):
        for number in progress("searches", range(searches)):
            _search(port, number)
    content = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    return content.lower().count(b"kanari")


def _search(port: int, number: int) -> None:
    word = WORD.format(number)
    request = SEARCHES[number % len(SEARCHES)].replace("WORD", word)
    with socket.create_connection((HOST, port), timeout=30) as connection:
        connection.sendall(request.replace("\n", "\r\n").encode())
        while connection.recv(65_536):
            pass


def _opened(path: Path) -> Database:
    database = Database(f"sqlite:///{path}", size=1)
    migrations.upgrade(database)
    with database.writing() as session:
        session.add(Branch(slug="alder", name="Alder Club", email="alder@example.org", updated_at=NOW))
    return database


def _left(path: Path, messages: int) -> int:
    database = _opened(path)
    for number in progress("messages", range(messages)):
        _message(database, number)
    _purge(database)
    database.take_stock()
    if not database.empty_log(within_s=10.0):
        raise RuntimeError("somebody else reads the database of this bench")
    content = b"".join(one.read_bytes() for one in path.parent.glob(f"{path.name}*"))
    database.dispose()
    return content.lower().count(b"kanari")


def _message(database: Database, number: int) -> None:
    """Comes in and is sent, in two transactions as on the site."""
    word = WORD.format(number)
    text = f"{word} " * 40
    draft = ContactDraft(
        key=f"{number:032}", name=word, email=f"{word}@example.org", subject=word, message=text
    )
    with database.writing() as session:
        contact.send(session, session.get_one(Branch, 1), draft, language("en"), "Hazel Clubs", NOW)
    with database.writing() as session:
        for mail in outbox.claim(session, NOW):
            outbox.mark_sent(session, mail.id or 0, NOW)


def _purge(database: Database) -> None:
    with database.writing() as session:
        outbox.purge(session, NOW + MONTH)
        assert (
            session.connection().execute(sa.select(sa.func.count()).select_from(ContactMessage)).scalar_one()
            == 0
        )


def _slower(folder: Path, rounds: int, writes: int) -> tuple[float, float]:
    """The medians of the ratios, of writing and of purging."""
    databases = [_opened(folder / name) for name in ("overwriting.db", "not.db")]
    plain = databases[1]
    plain.dispose()
    sa.event.listen(plain.engine, "connect", lambda held, _: held.execute("PRAGMA secure_delete=OFF"))
    ratios: list[tuple[float, ...]] = []
    for number in progress("rounds", range(rounds + 1)):
        took = [_round(database, writes, number) for database in databases]
        if number:  # the first warms up
            ratios.append(tuple(on / off for on, off in zip(*took, strict=True)))
    for database in databases:
        database.dispose()
    return statistics.median(one[0] for one in ratios), statistics.median(one[1] for one in ratios)


def _round(database: Database, writes: int, number: int) -> tuple[float, float]:
    begun = time.perf_counter()
    for each in range(writes):
        _message(database, number * writes + each)
    written = time.perf_counter()
    _purge(database)
    return written - begun, time.perf_counter() - written
