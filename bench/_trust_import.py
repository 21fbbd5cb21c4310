"""A large import beside a serving site: memory flat, visitors and organizers in time, resumable after kill -9.

For each engine: `branchline events import` of a file made for it, killed without warning on its way, and begun again;
then once more, when there is nothing left to do. Then a file of as many events as the upload form takes is brought in
by it; the server is killed in the middle of that and started again (its lease of the work, a quarter of an hour, is
ended by hand). All the while a visitor asks for pages and feeds, and an organizer saves an event. Every event of the
files must be there in the end, once. PostgreSQL is a throw-away server without fsync. With `--among` so
many are there before, and a few `--events` show in minutes how long visitors wait when very many are stored.
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa
from sqlmodel import col, select

from bench._browser import GONE, Browser, changed, fields_of, organizer
from bench._load import HOST, ROOT, engines, figure
from bench._synthetic import fill
from bench._visitor import visiting
from bench.start import children
from events import migrations
from events.app import publishing_of
from events.branches.models import Branch
from events.calendars.models import CalendarSource, Event, SourceState
from events.config import Settings
from events.db import Database, table_of

PORT = 8271
EVENTS = 100_000
OF_A_FORM = 4900
BRANCHES = 100  # of the events that are there before
MOST_MB, MOST_MS, SAVED_WITHIN_MS = 150.0, 250.0, 1000.0
KILLED_AT = 0.4  # of the events
WATCH_EVERY_S = 0.2
DONE_WITHIN_S = 6 * 3600
HEAD, END = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//bench//import//EN\r\n", "END:VCALENDAR\r\n"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--among", type=int, default=0, help="made-up events that are there before")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--ways", choices=("command", "form", "both"), default="both")


def run(options: argparse.Namespace) -> bool:
    good = True
    with TemporaryDirectory() as folder, engines(options.database, Path(folder)) as found:
        for name, url_of in found.items():
            place = Path(folder, name)
            place.mkdir()
            scene = Scene(place, url_of("import"), options.among)
            print(f"\n{name}")
            with scene.served():
                scene.sign_in()
                if options.ways != "form":
                    good = by_command(scene, options.events) and good
            if options.ways != "command":
                good = by_form(scene) and good
            scene.database.dispose()
    return good


# ---------------------------------------------------------------- by the command


def by_command(scene: "Scene", number: int) -> bool:
    file = scene.folder / "events.ics"
    written(file, number, "command")
    small = scene.folder / "small.ics"
    written(small, 50, "small")
    idle = scene.imported(small).most_mb  # what the command takes by itself
    with visiting(scene.address) as before:
        time.sleep(10)
    before.say("a visitor before: median/p99/longest")
    server = Watched(scene.server)
    with visiting(scene.address) as seen, saving(scene) as saves, server.watching():
        scene.imported(file, kill_at=int(KILLED_AT * number))
        left = scene.number("command")
        again = scene.imported(file)
        once_more = scene.imported(file)
    figure("killed with so many of them there", f"{left:,} of {number:,}")
    figure("begun again", f"{again.seconds:.0f} s", f"{again.said}")
    rate = number / once_more.seconds
    figure("once more, with nothing to do", f"{once_more.seconds:.0f} s", f"{rate:,.0f} a second")
    most = max(again.most_mb, once_more.most_mb) - idle
    return all(
        (
            scene.is_whole("command", number),
            figure(
                "memory of the command above idle", f"{most:.0f} MB", f"<= {MOST_MB:g} MB", most <= MOST_MB
            ),
            server.say("memory of the server above idle"),
            seen.say("a visitor meanwhile", MOST_MS),
            saves.say("an organizer saves meanwhile", SAVED_WITHIN_MS, share=1.0),
        )
    )


def written(path: Path, number: int, name: str) -> None:
    """Three in a hundred are series; there are fifty places and a dozen topics."""
    begin = datetime.now(UTC).replace(hour=18, minute=0, second=0, microsecond=0, tzinfo=None)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(HEAD)
        for each in range(number):
            start = begin + timedelta(days=1 + each % 300)
            lines = [
                *(
                    "BEGIN:VEVENT",
                    f"UID:{name}-{each}",
                    f"DTSTART;TZID=America/Chicago:{start:%Y%m%dT%H%M%S}",
                ),
                *("DURATION:PT2H", f"SUMMARY:{name.title()} number {each}", f"CATEGORIES:Topic {each % 12}"),
                *(f"LOCATION:Hall {each % 50}", f"DESCRIPTION:{'Bring a plug. ' * 10}"),
                *(["RRULE:FREQ=WEEKLY;COUNT=8"] if each % 33 == 0 else []),
            ]
            file.write("".join(f"{line}\r\n" for line in [*lines, "END:VEVENT"]))
        file.write(END)


# ---------------------------------------------------------------- by the form


def by_form(scene: "Scene") -> bool:
    file = scene.folder / "form.ics"
    written(file, OF_A_FORM, "form")
    with scene.served():
        scene.ana.get("/organize/imports")  # the server is another one than she has spoken to
        answer = scene.ana.upload("/organize/imports", [("branch", "alder")], "file", file.read_bytes())
        page = answer.headers["location"]
        scene.settled(page, SourceState.NEW)
        seen_by_her = fields_of(scene.ana.get(page).body, f"{page}/confirmation")
        scene.ana.post(f"{page}/confirmation", seen_by_her)
        scene.wait_for("form", int(KILLED_AT * OF_A_FORM))
        os.kill(scene.server, signal.SIGKILL)
    left = scene.number("form")
    with scene.database.writing() as session:  # as a quarter of an hour later
        session.execute(sa.update(table_of(CalendarSource)).values(leased_until=None))
    with scene.served():
        server = Watched(scene.server)
        with visiting(scene.address) as seen, saving(scene) as saves, server.watching():
            began = time.monotonic()
            scene.settled(page, SourceState.CONFIRMED)
        seconds = time.monotonic() - began
    figure("by the form: killed with so many there", f"{left:,} of {OF_A_FORM:,}")
    figure("the rest, after the start", f"{seconds:.0f} s")
    return all(
        (
            scene.is_whole("form", OF_A_FORM),
            server.say("memory of the server above idle"),
            seen.say("a visitor meanwhile", MOST_MS),
            saves.say("an organizer saves meanwhile", SAVED_WITHIN_MS, share=1.0),
        )
    )


# ---------------------------------------------------------------- the site


@dataclass(frozen=True, slots=True)
class Imported:
    seconds: float
    most_mb: float
    said: str


@dataclass(slots=True)
class Scene:
    folder: Path
    url: str
    among: int = 0
    database: Database = field(init=False)
    ana: Browser = field(init=False)
    event: int = 0
    server: int = 0
    alder: Branch = field(init=False)

    def __post_init__(self) -> None:
        self.database = Database(self.url, size=1)
        migrations.upgrade(self.database)
        if self.among:
            publishing = publishing_of(Settings.from_environment(self.environment))
            fill(self.database, branches=BRANCHES, events=self.among, publishing=publishing)
        with self.database.writing() as session:
            self.alder = Branch(
                slug="alder", name="Alder", timezone="America/Chicago", updated_at=datetime.now(UTC)
            )
            self.alder.derive_keys()
            session.add(self.alder)

    @property
    def address(self) -> str:
        return f"http://{HOST}:{PORT}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "BRANCHLINE_DATA_DIR": str(self.folder),
            "BRANCHLINE_DATABASE_URL": self.url,
            "BRANCHLINE_RATE_LIMITS": "off",
            "PORT": str(PORT),  # of the command too: the address stands in what it writes
        }

    @contextmanager
    def served(self) -> Iterator[None]:
        """`branchline serve` with the worker inside, which may be killed before the block ends."""
        command = [sys.executable, "-m", "events", "serve", "--host", HOST]
        with (self.folder / "log").open("a") as log:
            process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)
        self.server = process.pid
        try:
            self._wait_until_ready()
            yield
        finally:
            process.terminate()
            process.wait(30)

    def _wait_until_ready(self) -> None:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                if Browser(self.address).get("/readyz").status == 200:
                    return
            except OSError:
                time.sleep(0.1)
        sys.exit(f"The site did not come up.\n{(self.folder / 'log').read_text()[-2000:]}")

    def sign_in(self) -> None:
        """Ana, and the event that she will change all the while."""
        self.ana = organizer(self.database, self.address, "ana@example.org", self.alder)
        first = self.folder / "first.ics"
        written(first, 1, "first")
        self.imported(first)
        with self.database.reading() as session:
            self.event = session.exec(select(Event.id).where(col(Event.source_uid) == "first-0")).one() or 0

    def imported(self, file: Path, kill_at: int = 0) -> Imported:
        """By the command; with `kill_at`, until so many events of the file are there."""
        command = [sys.executable, "-m", "events", "events", "import", str(file), "--branch", "alder"]
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if kill_at:
            self.wait_for(file.stem.replace("events", "command"), kill_at)
            process.kill()
        watched = Watched(process.pid)
        with watched.watching():
            said, _ = process.communicate()
        if process.returncode and not kill_at:
            print(f"    {said[-2000:]}")
        return Imported(time.monotonic() - began, watched.most_mb, said.strip().rpartition("\n")[2])

    def wait_for(self, name: str, number: int) -> None:
        until = time.monotonic() + DONE_WITHIN_S
        while self.number(name) < number and time.monotonic() < until:
            time.sleep(0.1)

    def number(self, name: str) -> int:
        query = select(sa.func.count()).where(col(Event.source_uid).startswith(f"{name}-"))
        with self.database.reading() as session:
            return session.exec(query).one()

    def settled(self, page: str, state: SourceState) -> None:
        until = time.monotonic() + DONE_WITHIN_S
        while time.monotonic() < until:
            with self.database.reading() as session:
                source = session.get_one(CalendarSource, int(page.rpartition("/")[2]))
                if source.state != state or source.error:
                    return
            time.sleep(0.2)

    def is_whole(self, name: str, number: int) -> bool:
        """Every event once, with its texts."""
        own = col(Event.source_uid).startswith(f"{name}-")
        with self.database.reading() as session:
            there = session.exec(select(sa.func.count()).where(own)).one()
            different = session.exec(
                select(sa.func.count(sa.distinct(col(Event.source_uid)))).where(own)
            ).one()
            bare = session.exec(select(sa.func.count()).where(own, col(Event.listed_in) == "")).one()
        lost, doubled = number - different, there - different
        text = f"{lost} / {doubled} / {bare}"
        return figure(
            "lost / doubled / partial events", text, "0 / 0 / 0", (lost, doubled, bare) == (0, 0, 0)
        )


@dataclass(slots=True)
class Watched:
    """The most memory of a process and those below it (PSS) while it is watched, and what it was at first."""

    pid: int
    idle_mb: float = 0.0
    most_mb: float = 0.0

    @contextmanager
    def watching(self) -> Iterator[None]:
        over = threading.Event()
        self.idle_mb = self._megabytes()
        watch = threading.Thread(target=self._watch, args=(over,))
        watch.start()
        try:
            yield
        finally:
            over.set()
            watch.join()

    def say(self, name: str) -> bool:
        more = self.most_mb - self.idle_mb
        return figure(
            f"{name} of {self.idle_mb:.0f} MB", f"{more:.0f} MB", f"<= {MOST_MB:g} MB", more <= MOST_MB
        )

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(WATCH_EVERY_S):
            self.most_mb = max(self.most_mb, self._megabytes())

    def _megabytes(self) -> float:
        try:
            return sum(map(_private, [self.pid, *children(self.pid)]))
        except OSError:  # it has ended
            return 0.0


def _private(pid: int) -> float:
    lines = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    return next((int(words[1]) / 1024 for words in lines if words[0] == "Pss:"), 0.0)


# ---------------------------------------------------------------- an organizer


@dataclass(slots=True)
class Saves:
    times: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def say(self, name: str, most_ms: float, share: float) -> bool:
        ordered = sorted(self.times) or [0.0]
        worst, middle = ordered[min(len(ordered) - 1, int(share * len(ordered)))], ordered[len(ordered) // 2]
        for line in self.wrong[:5]:
            print(f"    {line}")
        good = worst <= most_ms and not self.wrong and bool(self.times)
        text = f"{middle:.0f}/{worst:.0f} ms"
        return figure(f"{name}: median/longest of {len(ordered):,}", text, f"<= {most_ms:g} ms", good)


@contextmanager
def saving(scene: Scene) -> Iterator[Saves]:
    """Ana saves her event every half second."""
    over, saves = threading.Event(), Saves()
    thread = threading.Thread(target=_save, args=(scene, over, saves))
    thread.start()
    try:
        yield saves
    finally:
        over.set()
        thread.join()


def _save(scene: Scene, over: threading.Event, saves: Saves) -> None:
    path, number = f"/organize/events/{scene.event}", 0
    while not over.wait(0.5):
        number += 1
        try:
            form = changed(fields_of(scene.ana.get(path).body, path), title=f"Saved {number} times")
            began = time.perf_counter()
            answer = scene.ana.post(path, form)
        except (*GONE, TimeoutError) as error:
            saves.wrong.append(repr(error))
            continue
        saves.times.append((time.perf_counter() - began) * 1000)
        if answer.status != 303:
            saves.wrong.append(f"{path}: {answer.status}")
