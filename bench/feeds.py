"""What it costs to answer a calendar app, against the least that can be done.

polls      unchanged (304), and whole from memory, against a bare route that answers the same; two workers against one
many       two thousand feeds polled in turn against one feed polled again and again
edit       the first answer after an edit of a feed of a thousand events, against the next
sizes      putting a feed of a hundred events together, out of a million stored against out of ten thousand
rendering  joining what is stored against making each event anew

usage: ./dev bench feeds [--only polls] [--database sqlite] [--seconds 3] [--rounds 5] [--events 10000,1000000]

Both sides of each ratio take turns in one run: A B A B …; rates are medians, ratios the medians of what each round
gave. Load is made by wrk with 16 connections, on a core of its own where there is one server process. Data are made
up, in a temporary directory and in a throw-away PostgreSQL (a million events take some 1.5 GB). Ends with 1 when a
figure misses its target.
"""

import argparse
import http.client
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import icalendar
import sqlalchemy as sa
from sqlmodel import Session

from bench._bare import against_bare
from bench._load import CONNECTIONS, Compared, Target, ask, compared, engines, figure, heading, row, site
from bench._progress import progress
from bench._synthetic import HEADING, PUBLISHING, fill
from events import migrations
from events.calendars import derived, store
from events.calendars.feeds import assemble
from events.calendars.models import Event, Rendered
from events.calendars.queries import Selection
from events.db import Database, table_of
from tests.smtp_sink import free_port

ROUNDS = 40  # of what is not measured by load
FEEDS = 2000
EVENTS = {"10 KB": 14, "100 KB": 147}  # about so many make a feed of that size
PER_BRANCH = 100
LEAST, LEAST_WORKERS, MOST_SLOWER, MOST_MS = 0.8, 1.3, 1.3, 10
MANY = 64  # connections, at which two processes are measured
VISIBLE_WITHIN_S = 5
GZIP = {"Accept-Encoding": "gzip"}
FEED = "/branches/b1.ics"
# Where the sites of this bench listen: their events name it.
PORT = free_port()
HERE = replace(PUBLISHING, base_url=f"http://localhost:{PORT}")

# Each feed by its path, and the ETag that is known of it.
IN_TURN = """
local feeds = {{ {feeds} }}
local number = 0
init = function(args)
  for each, feed in ipairs(feeds) do
    feeds[each] = wrk.format(nil, feed[1], {{ ["Host"] = wrk.headers["Host"], ["If-None-Match"] = feed[2] }})
  end
end
request = function()
  number = number % #feeds + 1
  return feeds[number]
end
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=PARTS, action="append", help="may be said several times")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--seconds", type=float, default=3, help="of each run of wrk")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each side")
    parser.add_argument("--events", default="10000,1000000", help="stored events, two numbers")
    parser.add_argument(
        "--feed", type=int, default=1000, help="events in the feed that is edited or rendered"
    )
    options = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory() as folder, engines(options.database, Path(folder)) as found:
        for engine, empty in found.items():
            print(f"\n{engine}, {os.cpu_count()} cores", flush=True)
            ground = Ground(Path(folder), empty, options)
            for part in options.only or PARTS:
                good &= PARTS[part](ground)
    return 0 if good else 1


@dataclass(frozen=True, slots=True)
class Ground:
    """An engine, what was asked for, and which databases there are already."""

    folder: Path
    empty: Callable[[str], str]
    options: argparse.Namespace
    stored: dict[str, str] = field(default_factory=dict)

    def filled(self, branches: int, events: int) -> str:
        """The URL of a database of that many."""
        name = f"events_{branches}_{events}"
        if name not in self.stored:
            begun, url = time.perf_counter(), self.empty(name)
            with opened(url) as database:
                fill(database, branches=branches, events=events, publishing=HERE)
            self.stored[name] = url
            print(f"{events} events stored in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
        return self.stored[name]

    def feeds(self, size: str) -> str:
        branches = FEEDS if size == "10 KB" else 20
        return self.filled(branches, branches * EVENTS[size])

    def site(self, url: str, workers: int = 1, pinned: bool = True) -> AbstractContextManager[str]:
        """One process has the port that the events name; several have no worker inside, which would mind."""
        port, name = PORT if workers == 1 else 0, HERE.organisation
        data = self.folder / "data"
        return site(data, url, workers=workers, port=port, pinned=pinned, BRANCHLINE_NAME=name)

    def compared(self, ours: Target, theirs: Target) -> Compared:
        return compared(ours, theirs, self.options.seconds, self.options.rounds)

    def against_bare(self, name: str, ours: Target) -> bool:
        return against_bare(name, ours, LEAST, self.options.seconds, self.options.rounds)


# ---------------------------------------------------------------- polls


def polls(ground: Ground) -> bool:
    heading()
    good = [poll(ground, size) for size in EVENTS]
    return two_workers(ground) and all(good)


def poll(ground: Ground, size: str) -> bool:
    good = True
    with ground.site(ground.feeds(size)) as address:
        whole = Target(address + FEED, pinned=True)
        for named, target in ((size, whole), (f"{size}, gzip", replace(whole, headers=GZIP))):
            good &= ground.against_bare(f"feed of {named} ({len(ask(target).body):,} bytes)", target)
        if size == "10 KB":
            good &= ground.against_bare("feed, unchanged (304)", unchanged(whole))
    return good


def unchanged(target: Target) -> Target:
    """The same asked again by who has it already."""
    return replace(target, headers={"If-None-Match": ask(target).headers["etag"]}, status=304)


def two_workers(ground: Ground) -> bool:
    """Not pinned: wrk takes what the servers leave it, so on two cores two of them cannot reach twice as much.

    With 16 connections each wake finds one or two answers, and wrk takes half of the machine (21 µs a request, 12 with
    one server process): such rows are shown and held to nothing. Two processes are for many connections.
    """
    heading("two/s", "one/s")
    url, good = ground.feeds("10 KB"), True
    with ground.site(url, 2, pinned=False) as two, ground.site(url, pinned=False) as one:
        for connections, least in ((MANY, LEAST_WORKERS), (CONNECTIONS, None)):
            both = [Target(address + FEED, connections=connections) for address in (two, one)]
            for name, sides in (("unchanged (304)", [unchanged(side) for side in both]), ("10 KB", both)):
                good &= row(
                    f"two processes against one, {name}, c={connections}", ground.compared(*sides), least
                )
    return good


def many(ground: Ground) -> bool:
    """Both by the same script, which costs wrk something."""
    heading("many/s", "one/s")
    with ground.site(ground.feeds("10 KB")) as address:
        feeds = [f"/branches/b{number}.ics" for number in range(1, FEEDS + 1)]
        tags = [ask(Target(address + feed)).headers["etag"] for feed in progress("feeds put together", feeds)]
        pairs = list(zip(feeds, tags, strict=True))
        sides = [in_turn(address, some) for some in (pairs, pairs[:1])]
        return row(f"{FEEDS} feeds in turn against one (304)", ground.compared(*sides), None)


def in_turn(address: str, feeds: Sequence[tuple[str, str]]) -> Target:
    """Conditional requests for these, by path and ETag."""
    path, tag = feeds[0]
    script = IN_TURN.format(feeds=",\n".join(f"{{ '{path}', '{tag}' }}" for path, tag in feeds))
    return Target(address + path, {"If-None-Match": tag}, 304, script, pinned=True)


# ---------------------------------------------------------------- after an edit


def edit(ground: Ground) -> bool:
    """As an organizer does it, by another connection; the one that asks is kept alive."""
    events = ground.options.feed
    first, next_, seen = list[float](), list[float](), list[float]()
    with (
        ground.site(url := ground.filled(1, events)) as address,
        opened(url) as database,
        closing(http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)) as connection,
    ):
        fetched(connection, [])
        for number in range(ROUNDS):
            change(database, f"Changed {number:03}")
            visible = time.perf_counter()
            while f"Changed {number:03}".encode() not in fetched(connection, first):
                first.pop()
                if time.perf_counter() - visible > VISIBLE_WITHIN_S:
                    sys.exit(f"An edit was not to be seen for {VISIBLE_WITHIN_S} s.")
                time.sleep(0.002)
            seen.append(time.perf_counter() - visible)
            fetched(connection, next_)
    return say_edits(events, first, next_, seen)


def fetched(connection: http.client.HTTPConnection, times: list[float]) -> bytes:
    """The feed, plain. How long it took is the last of the times."""
    begun = time.perf_counter()
    connection.request("GET", FEED)
    body = connection.getresponse().read()
    times.append(time.perf_counter() - begun)
    return body


def change(database: Database, title: str) -> None:
    now = datetime.now(UTC)
    with database.writing() as session:
        event = session.get_one(Event, 1)
        told = derived.tell(session, event)
        draft = store.draft_of(told).model_copy(update={"title": title})
        store.revise(session, event, draft, told.hosts, HERE, now)


def say_edits(events: int, first: Sequence[float], next_: Sequence[float], seen: Sequence[float]) -> bool:
    after, cached, visible = (1000 * statistics.median(times) for times in (first, next_, seen))
    figure(f"feed of {events} events, from memory", f"{cached:.2f} ms")
    figure("  the first answer after an edit", f"{after:.2f} ms")
    figure("  from the edit until it was answered: median", f"{visible:.0f} ms")
    figure("  from the edit until it was answered: longest", f"{1000 * max(seen):.0f} ms")
    more = after - cached
    return figure("  first answer after an edit: more", f"{more:.2f} ms", f"<= {MOST_MS} ms", more <= MOST_MS)


# ---------------------------------------------------------------- joining against rendering


def rendering(ground: Ground) -> bool:
    number = ground.options.feed
    with opened(ground.filled(1, number)) as database, database.reading() as session:
        body, _ = assemble(session, Selection(), HEADING, datetime.now(UTC))
        texts = session.connection().execute(sa.select(table_of(Rendered).c.ics)).scalars().all()
        calendar = icalendar.Calendar.from_ical(body)
        rebuilt, joined, rendered = (list[float]() for _ in range(3))
        for round_ in range(ROUNDS):
            timed(rebuilt, lambda: assemble(session, Selection(), HEADING, datetime.now(UTC)))
            timed(joined, lambda: "".join(texts).encode())
            if round_ % 8 == 0:
                timed(rendered, lambda: render_with_icalendar(calendar))
    rebuild, join, render = (statistics.median(times) * 1000 for times in (rebuilt, joined, rendered))
    print(f"{len(calendar.walk('VEVENT'))} events, {len(body) / 1000:.0f} KB, medians of {ROUNDS} rounds:")
    figure("  icalendar's objects and to_ical", f"{render:.1f} ms")
    figure("  our feed after an edit, queries included", f"{rebuild:.2f} ms")
    figure("  joining the texts alone", f"{join:.3f} ms")
    print(
        f"  ratio rendering / after an edit {render / rebuild:.0f}, rendering / joining {render / join:.0f}"
    )
    return True


def render_with_icalendar(calendar: Any) -> bytes:
    """What a site does that renders at each request: an object for each event, then its text."""
    fresh = icalendar.Calendar()
    fresh.add("PRODID", "-//x//y//EN")
    fresh.add("VERSION", "2.0")
    for event in calendar.walk("VEVENT"):
        one = icalendar.Event()
        for name in ("UID", "SUMMARY", "DESCRIPTION", "LOCATION", "URL", "STATUS", "TRANSP", "CLASS"):
            if name in event:
                one.add(name, str(event[name]))
        for name in ("DTSTART", "DTEND", "DTSTAMP", "LAST-MODIFIED", "CREATED"):
            one.add(name, event[name].dt)
        one.add("SEQUENCE", int(event["SEQUENCE"]))
        one.add("CATEGORIES", [str(topic) for topic in event["CATEGORIES"].cats])
        if rule := event.get("RRULE"):
            one.add("RRULE", dict(rule))
        fresh.add_component(one)
    return bytes(fresh.to_ical())


# ---------------------------------------------------------------- out of ten thousand, out of a million


def sizes(ground: Ground) -> bool:
    """In this process, without HTTP: another branch's feed each time."""
    numbers = [int(number) for number in ground.options.events.split(",")]
    urls = [ground.filled(number // PER_BRANCH, number) for number in numbers]
    times: list[list[float]] = [[] for _ in urls]
    with ExitStack() as stack:
        sessions = [stack.enter_context(stack.enter_context(opened(url)).reading()) for url in urls]
        for round_ in range(ROUNDS):
            for session, taken, number in zip(sessions, times, numbers, strict=True):
                branch = f"b{(round_ * 37) % (number // PER_BRANCH) + 1}"
                timed(taken, partial(put_together, session, branch))
    medians = [statistics.median(taken) * 1000 for taken in times]
    for median, number in zip(medians, numbers, strict=True):
        figure(f"feed of {PER_BRANCH} events out of {number:,}", f"{median:.2f} ms")
    ratio = statistics.median(last / first for first, last in zip(times[0], times[-1], strict=True))
    return figure("  the last / the first", f"{ratio:.2f}", f"<= {MOST_SLOWER}", ratio <= MOST_SLOWER)


def put_together(session: Session, branch: str) -> None:
    assemble(session, Selection(branches=(branch,)), HEADING, datetime.now(UTC))


# ---------------------------------------------------------------- pieces


def timed(times: list[float], work: Callable[[], object]) -> None:
    begun = time.perf_counter()
    work()
    times.append(time.perf_counter() - begun)


@contextmanager
def opened(url: str) -> Iterator[Database]:
    database = Database(url, size=1)
    migrations.upgrade(database)
    yield database
    database.dispose()


PARTS: dict[str, Callable[[Ground], bool]] = {
    "polls": polls,
    "many": many,
    "edit": edit,
    "sizes": sizes,
    "rendering": rendering,
}

if __name__ == "__main__":
    sys.exit(main())
