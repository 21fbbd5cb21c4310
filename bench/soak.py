"""Half an hour of everything at a moderate rate: whether memory stays where it is, and no answer is a wrong one.

usage: ./dev bench soak [--minutes 30] [--warm-up 5] [--rate 40] [--database sqlite]

One server process with the worker inside is asked for polls of many feeds (kept and changed), pages that are kept
and pages nobody asked for before, searches, static files; organizers edit, calendars are uploaded, visitors write
to branches and ask for links to sign in. Every ten seconds the RSS of the server is noted (Linux only; its PSS moves
with other processes of Python that come and go). After the warm-up both the trend (slope of least squares times what
was measured) and the span must be within 10 MB. Ends with 1 when they are not, or when a status came that was not
expected.
"""

import argparse
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa
from sqlmodel import Session, col, select

from bench._browser import GONE, Answer, Browser, changed, fields_of, organizer
from bench._load import engines, figure, site
from bench._synthetic import PUBLISHING, fill
from bench.start import children, memory
from events import migrations
from events.branches.models import Branch
from events.calendars.models import Event
from events.db import Database, table_of
from tests.small_gazetteer import build_small
from tests.smtp_sink import free_port

BRANCHES, EVENTS = 200, 4000
THREADS = 4
EVERY_S = 10
MOST_MB = 10
FLAT_AFTER = 3  # measures at least, to say anything
PORT = free_port()
HERE = replace(PUBLISHING, base_url=f"http://localhost:{PORT}")
CALENDAR = """BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//bench//soak//EN\r
BEGIN:VEVENT\r
UID:soak-{number}@example.org\r
DTSTAMP:20260101T000000Z\r
DTSTART:2027{month:02}12T190000Z\r
DTEND:2027{month:02}12T200000Z\r
SUMMARY:Upload {number}\r
END:VEVENT\r
END:VCALENDAR\r
"""
STATIC = re.compile(r'(?:href|src)="(/static/[^"]+)"')
FEEDS = [
    f"{of}.{kind}"
    for of in ("/events", "/topics/repair", *(f"/branches/b{number}" for number in range(1, 120)))
    for kind in ("ics", "atom", "json")
]
WORDS = ("choir", "repair", "seed", "language", "film", "tenants", "open house", "alderarbury")
PLACES = ("60614", "41.92,-87.65", "Chicago", "10115", "nowhere at all", "Madrid")
LEAVES = ("branches", "events", "news", "subscribe", "interests", "calendar", "embed", "about")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--warm-up", type=float, default=5, help="minutes that do not count")
    parser.add_argument("--rate", type=float, default=40, help="requests a second")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, engines(options.database, Path(folder)) as found:
        data = Path(folder) / "data"
        data.mkdir()
        build_small(data).rename(data / "places.db")
        url = found[options.database]("soak")
        database = Database(url, size=1)
        _fill(database)
        with site(data, url, port=PORT, BRANCHLINE_NAME=HERE.organisation) as address:
            good = _soaked(database, address, options)
        database.dispose()
    return 0 if good else 1


def _fill(database: Database) -> None:
    migrations.upgrade(database)
    fill(database, branches=BRANCHES, events=EVENTS, publishing=HERE)
    with database.writing() as session:  # so that visitors can write to them
        session.execute(sa.update(table_of(Branch)).values(email="branch@example.org"))


def _soaked(database: Database, address: str, options: argparse.Namespace) -> bool:
    ends = time.monotonic() + options.minutes * 60
    organizers = [_organizer(database, address, number) for number in range(THREADS)]
    visitors = [Visitor(address, number, each, events) for number, (each, events) in enumerate(organizers)]
    server = _server()
    for path in FEEDS:  # what is kept of them has its limit, and does not count as growing
        visitors[0].poll(path)
    with ThreadPoolExecutor(THREADS) as threads:
        works = [
            threads.submit(visitor.visit, THREADS / options.rate, ends, number * 10)
            for number, visitor in enumerate(visitors)
        ]
        measured = list(_watched(server, ends))
        for work in works:
            work.result()
    came = sum((visitor.came for visitor in visitors), Counter[str]())
    print(", ".join(f"{number} {what}" for what, number in sorted(came.items())))
    wrong = [line for visitor in visitors for line in visitor.wrong]
    for line in wrong[:10]:
        print(f"    {line}")
    good = figure("answers that were not expected", str(len(wrong)), "0", not wrong)
    return _flat(measured, options.warm_up * 60) and good


def _organizer(database: Database, address: str, number: int) -> tuple[Browser, Sequence[int]]:
    with database.reading() as session:
        branch, events = _branch_and_events(session, number)
    return organizer(database, address, f"organizer{number}@example.org", branch), events


def _branch_and_events(session: Session, number: int) -> tuple[Branch, Sequence[int]]:
    branch = session.exec(select(Branch).order_by(col(Branch.id)).offset(number).limit(1)).one()
    ids = session.exec(select(Event.id).where(col(Event.branch_id) == branch.id).order_by(col(Event.id)))
    return branch, [event or 0 for event in ids.all()]


# ---------------------------------------------------------------- memory


def _server() -> int:
    """The process that was started last by this one and is a server."""
    listed = subprocess.run(
        ["pgrep", "-P", str(os.getpid()), "-f", "events serve"], capture_output=True, text=True
    )
    return int(listed.stdout.split()[-1])


def _watched(server: int, ends: float) -> Iterator[tuple[float, float]]:
    """Seconds since the beginning, and the RSS of the server in MB. What the sandbox takes is only told."""
    began = time.monotonic()
    while time.monotonic() < ends:
        time.sleep(EVERY_S)
        main, below = memory(server)[0], 0.0
        for child in children(server):
            try:
                below += memory(child)[1]
            except (FileNotFoundError, ProcessLookupError, KeyError):
                continue  # it has ended meanwhile
        yield time.monotonic() - began, main
        print(f"{time.monotonic() - began:6.0f} s  {main:6.1f} MB, sandbox {below:.1f} MB", file=sys.stderr)


def _flat(measured: Sequence[tuple[float, float]], warm_up_s: float) -> bool:
    counted = [each for each in measured if each[0] > warm_up_s]
    if len(counted) < FLAT_AFTER:
        print("Nothing was measured after the warm-up.")
        return False
    seconds, sizes = zip(*counted, strict=True)
    trend = statistics.linear_regression(seconds, sizes).slope * (seconds[-1] - seconds[0])
    span = max(sizes) - min(sizes)
    print(f"RSS of the server: {sizes[0]:.1f} MB after the warm-up, {sizes[-1]:.1f} MB at the end")
    good = figure("trend, MB", f"{trend:+.1f}", f"<= {MOST_MB}", trend <= MOST_MB)
    return figure("largest less smallest, MB", f"{span:.1f}", f"<= {MOST_MB}", span <= MOST_MB) and good


# ---------------------------------------------------------------- who comes


class Visitor:
    """One thread: now a visitor, now a calendar app, now an organizer. Counts what was done, notes what was wrong."""

    def __init__(self, address: str, number: int, organizer: Browser, events: Sequence[int]) -> None:
        self.came = Counter[str]()
        self.wrong: list[str] = []
        self._visitor = Browser(address)
        self._organizer = organizer
        self._events = events
        self._chance = random.Random(number)
        self._number = number * 1_000_000
        self._etags: dict[str, str] = {}
        self._static = STATIC.findall(self._visitor.get("/").body.decode())

    def visit(self, every: float, ends: float, offset: int) -> None:
        doings: Sequence[tuple[int, Callable[[], None]]] = (
            *((40, self._poll), (20, self._kept), (12, self._anew), (10, self._search), (8, self._file)),
            *((5, self._edit), (2, self._contact), (2, self._link), (1, self._upload)),
        )
        weights, acts = zip(*doings, strict=True)
        beat = time.monotonic()
        while time.monotonic() < ends:
            [act] = self._chance.choices(acts, weights)
            self._number += 1
            try:
                act()
            except (*GONE, TimeoutError) as error:
                self.wrong.append(f"{act.__name__}: {error!r}")
            self.came[act.__name__.removeprefix("_")] += 1
            beat = max(beat + every, time.monotonic() - 1)
            time.sleep(max(0.0, beat - time.monotonic()))

    def _expect(self, answer: Answer, path: str, *statuses: int) -> Answer:
        if answer.status not in statuses:
            self.wrong.append(f"{path}: {answer.status} {answer.body[:200]!r}")
        return answer

    def _poll(self) -> None:
        self.poll(self._chance.choice(FEEDS))

    def poll(self, path: str) -> None:
        etag = self._etags.get(path)
        answer = self._visitor.get(path, {"If-None-Match": etag} if etag else {})
        self._expect(answer, path, 200, 304)
        if "etag" in answer.headers:
            self._etags[path] = answer.headers["etag"]

    def _kept(self) -> None:
        path = self._chance.choice(("", "/es")) + "/" + self._chance.choice(LEAVES)
        if path.endswith("calendar"):
            path += time.strftime("/%Y/%m")
        self._expect(self._visitor.get(path), path, 200)

    def _anew(self) -> None:
        path = self._chance.choice(("/", "/events", "/branches", f"/branches/b{self._number % BRANCHES + 1}"))
        path += f"?_={self._number}"
        self._expect(self._visitor.get(path), path, 200)

    def _search(self) -> None:
        place, word = self._chance.choice(PLACES), self._chance.choice(WORDS)
        path = self._chance.choice((f"/branches?near={place}", f"/events?q={word}", f"/events?near={place}"))
        self._expect(self._visitor.get(path.replace(" ", "+")), path, 200)

    def _file(self) -> None:
        path = self._chance.choice(
            (*self._static, "/robots.txt", "/manifest.webmanifest", "/healthz", "/readyz")
        )
        self._expect(self._visitor.get(path), path, 200)

    def _edit(self) -> None:
        path = f"/organize/events/{self._chance.choice(self._events)}"
        form = fields_of(self._expect(self._organizer.get(path), path, 200).body, path)
        answer = self._organizer.post(path, changed(form, title=f"Edited {self._number}"))
        self._expect(answer, path, 303)

    def _contact(self) -> None:
        path = f"/branches/b{self._number % BRANCHES + 1}/contact"
        form = fields_of(self._expect(self._visitor.get(path), path, 200).body, path)
        typed = {
            "name": "Ben",
            "email": f"ben{self._number}@example.org",
            "subject": "Drill",
            "message": f"May I borrow it? {self._number}",
        }
        self._expect(self._visitor.post(path, changed(form, **typed)), path, 303)

    def _link(self) -> None:
        form = fields_of(self._expect(self._visitor.get("/sign-in"), "/sign-in", 200).body, "/sign-in")
        email = f"organizer{self._number % 9}@example.org"
        self._expect(self._visitor.post("/sign-in", changed(form, email=email)), "/sign-in", 303)

    def _upload(self) -> None:
        path = "/organize/imports"
        form = fields_of(self._expect(self._organizer.get(path), path, 200).body, path)
        file = CALENDAR.format(number=self._number, month=self._number % 12 + 1)
        self._expect(self._organizer.upload(path, form, "file", file.encode()), path, 303, 422)


if __name__ == "__main__":
    sys.exit(main())
