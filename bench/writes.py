"""Organizers who edit while calendar apps poll: whether anything is lost, and how long a form takes to be saved.

all     edits as fast as they go, by eight organizers on four server processes: no error, and none lost
steady  50 edits a second for a minute while some 2,000 polls a second are answered

usage: ./dev bench writes [--only steady] [--database sqlite] [--edits 10000] [--seconds 60] [--workers 4]

An edit is a form as a browser sends it, by a connection of its own, and the page that is shown then, which the next
edit needs; only the form is timed, in the second part from the moment when it was due. All organizers are one thread.
Polls are made by wrk, whose connections wait between one answer and the next question. PostgreSQL is a throw-away
server that does not wait for the disk, as SQLite does at each commit. Ends with 1 when a figure misses its target.
"""

import argparse
import asyncio
import os
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, select

from bench._browser import CUT_OFF, Browser, Fields, Line, changed, fields_of, organizer
from bench._load import Run, Target, ask, engines, figure, load, site
from bench._synthetic import PUBLISHING, fill
from events import migrations
from events.branches.models import Branch
from events.calendars import changes
from events.calendars.models import Event
from events.db import Database
from events.people import history
from tests.smtp_sink import free_port

ORGANIZERS = 8
EVENTS_EACH = 20
RATE, POLLS = 50, 2000  # a second
MOST_MS, LEAST_POLLS = 50, 1900
WARM_UP = 20  # edits of each organizer
CONNECTIONS, ANSWERED_MS = 100, 1
BRANCHES = 100
PORT = free_port()
HERE = replace(PUBLISHING, base_url=f"http://localhost:{PORT}")
# Each connection rests between an answer and the next question.
REVISION = re.compile(rb'name="revision" value="([^"]*)"')
RESTING = "function delay()\n  return {pause}\nend\n"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=PARTS, action="append", help="may be said several times")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--edits", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, default=4)
    options = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory() as folder, engines(options.database, Path(folder)) as found:
        print(f"4 KB written and synced to this disk: {_sync_ms(Path(folder)):.2f} ms (median of 200)")
        for engine, empty in found.items():
            url = empty("writes")
            print(f"\n{engine}, {options.workers} processes, {os.cpu_count()} cores", flush=True)
            good &= _measured(Path(folder) / engine, url, options)
    return 0 if good else 1


def _measured(data: Path, url: str, options: argparse.Namespace) -> bool:
    data.mkdir()
    database = Database(url, size=1)
    migrations.upgrade(database)
    fill(database, branches=BRANCHES, events=BRANCHES * EVENTS_EACH, publishing=HERE)
    with site(data, url, workers=options.workers, port=PORT, BRANCHLINE_NAME=HERE.organisation) as address:
        writers = _writers(database, address)
        good = all([asyncio.run(PARTS[part](address, writers, options)) for part in options.only or PARTS])
    good &= _none_lost(database, writers)
    database.dispose()
    return good


def _sync_ms(folder: Path) -> float:
    """SQLite waits for this at each commit."""
    took = []
    with (folder / "sync").open("wb") as file:
        for _ in range(200):
            began = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


# ---------------------------------------------------------------- who edits


@dataclass(slots=True)
class Writer:
    """An organizer in a browser, the events that only they edit, and what came of it."""

    line: Line
    name: str
    events: Sequence[int]
    saved: Counter[int] = field(default_factory=Counter)
    titles: dict[int, str] = field(default_factory=dict)
    took_ms: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _forms: dict[int, Fields] = field(default_factory=dict)

    def open(self, browser: Browser) -> None:
        """Each event's page, before anything is measured."""
        for event in self.events:
            self._forms[event] = fields_of(browser.get(_path(event)).body, _path(event))

    async def edit(self, number: int, due: float | None = None) -> None:
        """The page that shows what was saved is the form for the next time. `due`: by the clock of `time.monotonic`."""
        event, title = self.events[number % len(self.events)], f"{self.name}, edit {number}"
        began = due or time.monotonic()
        try:
            answer = await self.line.post(_path(event), changed(self._forms[event], title=title))
            self.took_ms.append((time.monotonic() - began) * 1000)
            if answer.status != 303:
                self.errors.append(f"{_path(event)}: {answer.status} {answer.body[-300:]!r}")
                return
            self.saved[event] += 1
            self.titles[event] = title
            page = await self.line.get(_path(event))
        except CUT_OFF as error:
            self.errors.append(repr(error))
            return
        finally:
            self.line.close()  # the next one comes to whichever process is free
        revision = REVISION.search(page.body)
        self._forms[event] = changed(self._forms[event], revision=revision[1].decode() if revision else "")


def _path(event: int) -> str:
    return f"/organize/events/{event}"


def _writers(database: Database, address: str) -> list[Writer]:
    writers = []
    for number in range(ORGANIZERS):
        with database.reading() as session:
            branch = session.exec(select(Branch).order_by(col(Branch.id)).offset(number).limit(1)).one()
            ids = session.exec(
                select(Event.id).where(col(Event.branch_id) == branch.id).order_by(col(Event.id))
            )
            events = [event or 0 for event in ids.all()]
        browser = organizer(database, address, f"writer{number}@example.org", branch)
        writers.append(Writer(Line(browser), f"Writer {number}", events))
        writers[-1].open(browser)
    return writers


def _none_lost(database: Database, writers: Sequence[Writer]) -> bool:
    """Each edit that was answered well has its version in the history, and the last one is what stands there."""
    with database.reading() as session:
        wrong = [
            f"event {event}: {count} saved, {_versions(session, event)}; wanted {writer.titles[event]!r}"
            for writer in writers
            for event, count in writer.saved.items()
            if _versions(session, event) != (count, writer.titles[event])
        ]
    for line in wrong[:5]:
        print(f"    {line}")
    return figure("events whose history or text does not fit", str(len(wrong)), "0", not wrong)


def _versions(session: Session, event_id: int) -> tuple[int, str]:
    """How many changes are recorded. The first version is what was there before the first change."""
    event = session.get_one(Event, event_id)
    return history.last_number(session, changes.subject(event)) - 1, event.title


# ---------------------------------------------------------------- the parts


async def _all(address: str, writers: Sequence[Writer], options: argparse.Namespace) -> bool:
    began = time.perf_counter()
    each = options.edits // len(writers)

    async def work(writer: Writer) -> None:
        for number in range(each):
            await writer.edit(number)

    await asyncio.gather(*map(work, writers))
    rate = each * len(writers) / (time.perf_counter() - began)
    return _told(f"edits as fast as they go, {rate:.0f} a second", writers, None)


async def _steady(address: str, writers: Sequence[Writer], options: argparse.Namespace) -> bool:
    each, every = int(options.seconds * RATE / len(writers)), len(writers) / RATE
    for number in range(-WARM_UP, 0):  # a process loads what an edit needs with its first one
        await asyncio.gather(*(writer.edit(number) for writer in writers))
    for writer in writers:
        writer.took_ms.clear()
    polling = _polling(address)
    polled = asyncio.create_task(asyncio.to_thread(load, polling, options.seconds))
    began = time.monotonic() + 0.5
    works = (
        _paced(writer, began + place * every / len(writers), every, each)
        for place, writer in enumerate(writers)
    )
    late = max(await asyncio.gather(*works))
    good = _told(f"edits, {RATE} a second, {late:.1f} s late at the end", writers, MOST_MS)
    return _polls_told(await polled) and good


async def _paced(writer: Writer, began: float, every: float, number: int) -> float:
    """One edit at each beat of the clock; returns by how many seconds the last one was late."""
    late = 0.0
    for each in range(number):
        due = began + each * every
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        late = time.monotonic() - due
        await writer.edit(each, due)
    return late


def _polling(address: str) -> Target:
    """A feed of a branch that nobody edits, by who has it already: unchanged, though others change all the time."""
    url = f"{address}/branches/b{BRANCHES}.ics"
    return Target(
        url,
        headers={"If-None-Match": ask(Target(url)).headers["etag"]},
        status=304,
        script=RESTING.format(pause=CONNECTIONS * 1000 // POLLS - ANSWERED_MS),
        connections=CONNECTIONS,
    )


def _polls_told(run: Run) -> bool:
    good = run.errors == 0 and run.rate >= LEAST_POLLS
    said = f"{run.rate:,.0f}/s"
    print(f"polls meanwhile: p50 {run.p50_ms:.1f} ms, p99 {run.p99_ms:.1f} ms, {run.errors} errors")
    return figure("    answered", said, f">= {LEAST_POLLS}", good)


def _told(what: str, writers: Sequence[Writer], most_ms: float | None) -> bool:
    took = sorted(ms for writer in writers for ms in writer.took_ms)
    errors = [error for writer in writers for error in writer.errors]
    p50, p99 = (took[min(len(took) - 1, int(len(took) * share))] for share in (0.5, 0.99))
    print(f"{what}: {len(took)} saved, {len(errors)} errors, p50 {p50:.1f} ms, longest {took[-1]:.0f} ms")
    for error in errors[:5]:
        print(f"    {error}")
    good = not errors and (most_ms is None or p99 <= most_ms)
    figure("    p99, ms", f"{p99:.1f}", "" if most_ms is None else f"<= {most_ms:g}", good)
    for writer in writers:
        writer.took_ms.clear()
    return good


PARTS: dict[str, Callable[[str, Sequence[Writer], argparse.Namespace], Coroutine[Any, Any, bool]]] = {
    "all": _all,
    "steady": _steady,
}


if __name__ == "__main__":
    sys.exit(main())
