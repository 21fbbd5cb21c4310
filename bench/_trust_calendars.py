"""Hostile calendars, uploaded and followed: at most 5 s and 300 MB each, visitors at most 250 ms, no page breaks.

Each file of tests/fixtures/hostile_calendars.py is read in a process as the worker reads it, whose time and memory
the system counts. Then it is brought into a running site twice, as a file and as an address (of a server in a network
namespace with a public address), and taken over where that is offered. After each, every kind of page and feed that may
show what came in is asked for, and the feed is read strictly by icalendar. A visitor asks all the while. Needs root.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from icalendar import Calendar
from sqlmodel import col, select

from bench._browser import Answer, Browser, organizer
from bench._hosts import draft
from bench._load import HOST, ROOT, figure
from bench._measured import cost
from bench._progress import progress
from bench._visitor import visiting
from events import migrations
from events.branches.models import Branch
from events.calendars import store
from events.calendars.content import Publishing
from events.calendars.models import CalendarSource, Event, SourceState
from events.db import Database
from tests.fixtures.hostile_calendars import Hostile, as_file, hostile_calendars
from tests.namespace import ADDRESS, Upstream, public_upstream
from tests.namespace import Answer as Said

PORT = 8270
MOST_S, MOST_MB, MOST_MS = 5.0, 300, 250.0
DONE_WITHIN_S = 900.0
OWN_EVENTS = 100
PUBLISHING = Publishing(f"http://localhost:{PORT}", "Branchline", ("en", "es"))
LISTS = (
    *("/", "/events", "/branches", "/branches/alder", "/embed/events", "/news", "/sitemap.xml", "/subscribe"),
    *(f"/{of}.{kind}" for of in ("events", "branches/alder") for kind in ("ics", "atom", "json")),
    *(
        "/events.csv",
        "/branches.json",
        "/api/v1/events",
        "/api/v1/occurrences",
        "/es/events",
        "/es/events.ics",
    ),
)
DESK = ("/organize", "/organize/imports", "/organize/queue", "/organize/branches/alder/subscribers")
STRICT = ("/events.ics", "/branches/alder.ics")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", default="", help="files whose name has this in it")
    parser.add_argument("--ways", choices=("both", "upload", "follow", "read"), default="both")


def run(options: argparse.Namespace) -> bool:
    day = datetime.now(UTC).date() + timedelta(days=9)
    files = [each for each in hostile_calendars(day) if options.only in each.name]
    good = measured(files)
    if options.ways == "read":
        return good
    ways = ("upload", "follow") if options.ways == "both" else (options.ways,)
    with TemporaryDirectory() as folder, public_upstream() as upstream, scene(Path(folder), upstream) as site:
        for way in ways:
            site.bring(ordinary(day), way)
        with visiting(site.address, partial(started, upstream)) as alone:
            time.sleep(10)
        with visiting(site.address, partial(started, upstream)) as seen:
            for way in ways:
                for file in progress(f"brought in by {way}", files):
                    site.bring(file, way)
            site.untouched()
    alone.say("a visitor before: median/p99/longest")
    return all((good, site.told(), seen.say("a visitor meanwhile", MOST_MS, share=1.0)))


def ordinary(day: date) -> Hostile:
    event = f"UID:ordinary\r\nDTSTART:{day:%Y%m%d}T180000Z\r\nDURATION:PT2H\r\nSUMMARY:A usual evening\r\n"
    return Hostile("ordinary", lambda: as_file(f"BEGIN:VEVENT\r\n{event}END:VEVENT\r\n"))


# ---------------------------------------------------------------- the process that reads


def measured(files: list[Hostile]) -> bool:
    found = [(cost("calendar", file.make()), file.name) for file in progress("read", files)]
    for (cpu, megabytes, wall), name in sorted(found)[:-4:-1]:
        print(f"    {name}: {cpu:.1f} s of CPU, {wall:.1f} s by the clock, {megabytes:.0f} MB")
    cpu, memory = (max(each[at] for each, _ in found) for at in range(2))
    fast = figure(
        f"{len(files)} hostile calendars, each read in",
        f"{cpu:.1f} s of CPU",
        f"<= {MOST_S:g} s",
        cpu <= MOST_S,
    )
    return figure("and in a memory of", f"{memory:.0f} MB", f"<= {MOST_MB} MB", memory <= MOST_MB) and fast


# ---------------------------------------------------------------- the site


@dataclass(slots=True)
class Site:
    address: str
    database: Database
    upstream: Upstream
    ana: Browser
    ben: Browser
    before: list[tuple[str, str]]
    faults: list[str]
    asked: int = 0
    brought: int = 0
    longest: float = 0.0

    def bring(self, file: Hostile, way: str) -> None:
        """To the end: refused, or taken over; and then everything that may show it is asked for."""
        data, known = file.make(), self.last_event()
        answer = self.inside(partial(self._brought, file.name, data, way))
        self.brought += 1
        if answer.status == 303:
            page = answer.headers["location"]
            self.settled(page, {SourceState.NEW})
            self._confirm(page)
        elif answer.status not in (413, 422):
            self.faults.append(f"{file.name} by {way}: {answer.status}")
        self.look(f"{file.name} by {way}", known)

    def _brought(self, name: str, data: bytes, way: str) -> Answer:
        if way == "upload":
            return self.ana.upload("/organize/imports", [("branch", "alder")], "file", data)
        self.upstream.answers[f"/{name}.ics"] = Said(200, {"Content-Type": "text/calendar"}, data)
        url = f"http://{ADDRESS}/{name}.ics"
        return self.ana.post("/organize/imports", [("branch", "alder"), ("url", url)])

    def _confirm(self, page: str) -> None:
        text = self.inside(partial(self.ana.get, page)).body.decode()
        if found := re.search(r'name="seen" value="(\w+)"', text):
            self.inside(partial(self.ana.post, f"{page}/confirmation", [("seen", found[1])]))
            began = time.monotonic()
            self.settled(page, {SourceState.CONFIRMED})
            self.longest = max(self.longest, time.monotonic() - began)

    def settled(self, page: str, states: set[SourceState]) -> None:
        """Until the worker has done its step, or said why it cannot."""
        number, until = int(page.rpartition("/")[2]), time.monotonic() + DONE_WITHIN_S
        while time.monotonic() < until:
            with self.database.reading() as session:
                source = session.get_one(CalendarSource, number)
                if source.state not in states or source.error:
                    return
            time.sleep(0.05)
        self.faults.append(f"{page} was not done within {DONE_WITHIN_S:g} s")

    def look(self, what: str, known: int) -> None:
        with self.database.reading() as session:
            query = select(Event.id).where(col(Event.id) > known).order_by(col(Event.id)).limit(3)
            new = list(session.exec(query))
            months = session.exec(select(Event.start).where(col(Event.id).in_(new))).all()
        own = [f"/events/{number}{more}" for number in new for more in ("", ".ics", "/poster", "/follow")]
        own += [f"/calendar/{start:%Y/%m}" for start in months[:1]]
        for path in (*LISTS, *own):
            self._ask(self.ben, path, what)
        for path in (*DESK, *(f"/organize/events/{number}" for number in new)):
            self._ask(self.ana, path, what)

    def _ask(self, who: Browser, path: str, what: str) -> None:
        answer = self.inside(partial(who.get, path))
        self.asked += 1
        if answer.status not in (200, 404, 409, 410) or (answer.status != 200 and path in (*LISTS, *DESK)):
            self.faults.append(f"after {what} {path} answers {answer.status}")
        if "html" in answer.headers.get("content-type", "") and b"<script>alert" in answer.body:
            self.faults.append(f"after {what} {path} has a script of theirs")
        if path in STRICT and answer.status == 200 and (why := not_strict(answer.body)):
            self.faults.append(f"after {what} {path} cannot be read: {why}")

    def last_event(self) -> int:
        with self.database.reading() as session:
            return session.exec(select(Event.id).order_by(col(Event.id).desc()).limit(1)).one() or 0

    def untouched(self) -> None:
        if birches(self.database) != self.before:
            self.faults.append("events of another branch are not what they were")

    def inside(self, asking: Callable[[], Answer]) -> Answer:
        return self.upstream.inside(asking)

    def told(self) -> bool:
        for line in self.faults[:20]:
            print(f"    {line}")
        figure("longest taking over", f"{self.longest:.1f} s")
        print(f"    {self.brought} calendars were brought in")
        name = f"faults in {self.asked:,} pages and feeds afterwards"
        return figure(name, str(len(self.faults)), "0", not self.faults)


def not_strict(body: bytes) -> str:
    """What icalendar has against the feed."""
    try:
        calendar = Calendar.from_ical(body)
    except ValueError as error:
        return str(error)
    entries = calendar.walk("VEVENT")
    return "" if entries else "it is empty" if not calendar.errors else str(calendar.errors[:3])


def started(upstream: Upstream, command: list[str], **more: Any) -> subprocess.Popen[Any]:
    """Where the upstream is the world: a process is where the thread is that starts it."""
    return upstream.inside(lambda: subprocess.Popen(command, **more))


@contextmanager
def scene(folder: Path, upstream: Upstream) -> Iterator[Site]:
    """`branchline serve` with its worker inside; Ana organizes at Alder, and Birch has events of its own."""
    database = Database(f"sqlite:///{folder}/site.db", size=1)
    migrations.upgrade(database)
    alder = filled(database)
    environment = {
        "PATH": os.environ["PATH"],
        "BRANCHLINE_DATA_DIR": str(folder),
        "BRANCHLINE_DATABASE_URL": database.url,
        "BRANCHLINE_RATE_LIMITS": "off",
        "BRANCHLINE_FOLLOW_HTTP": "on",
    }
    address = f"http://{HOST}:{PORT}"
    command = [sys.executable, "-m", "events", "serve", "--host", HOST, "--port", str(PORT)]
    with (folder / "log").open("w") as log:
        process = started(upstream, command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        upstream.inside(partial(wait_for, address))
        ana = upstream.inside(lambda: organizer(database, address, "ana@example.org", alder))
        yield Site(address, database, upstream, ana, Browser(address), birches(database), [])
        if said := [line for line in (folder / "log").read_text().splitlines() if "Traceback" in line]:
            print(f"    {len(said)} tracebacks in the log:\n{(folder / 'log').read_text()[-3000:]}")
    finally:
        process.terminate()
        process.wait(30)
        database.dispose()


def wait_for(address: str) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            if Browser(address).get("/readyz").status == 200:
                return
        except OSError:
            time.sleep(0.1)
    sys.exit("The site did not come up.")


def filled(database: Database) -> Branch:
    now = datetime.now(UTC)
    with database.writing() as session:
        branches = [
            Branch(slug=slug, name=slug.title(), timezone="America/Chicago", updated_at=now)
            for slug in ("alder", "birch")
        ]
        for branch in branches:
            branch.derive_keys()
            session.add(branch)
        session.flush()
        for number in range(OWN_EVENTS):
            store.add(session, draft(number, now), branches[1:], PUBLISHING, now)
        return branches[0]


def birches(database: Database) -> list[tuple[str, str]]:
    with database.reading() as session:
        query = select(Event).join(Branch, col(Branch.id) == col(Event.branch_id))
        found = session.exec(query.where(Branch.slug == "birch").order_by(col(Event.id))).all()
        return [(event.uid, event.title) for event in found]
