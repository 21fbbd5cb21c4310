"""The same 1,000 events, served by others and by us: full answers a second, for 16 apps that ask at the same time.

Radicale   its own server; a public calendar by its address
Xandikos   its own server; a calendar with ?export
pretix     gunicorn with two processes a core, on SQLite; the public calendar of an organizer: made anew, as it is
           without Redis (and with it, whenever the address is another), and kept, as it is with the Redis that its
           guides ask for: for five minutes, whatever changes meanwhile

usage: ./dev bench peers [--only PEER] [--seconds 40] [--rounds 3] [--no-redis]

Each has a virtual environment of its own below data/peers, made of bench/peers/*.txt, and is filled with our
calendar once; Xandikos and pretix take minutes for that. All run at the same time and are asked in turn, in one go:
ours, the first, the second …, ours, the first …, one round to warm up and then those that are counted; rates are
medians, ratios the medians of what each round gave. Before the next is asked, a server finishes what it was still
making. What was not finished when a run ended is not counted, so short runs wrong those that are slow. Ours is one
process. Ends with 1 when a figure misses its target.
"""

import argparse
import math
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from bench._load import Compared, Run, Target, alternated, ask, figure, heading, load, median, row, site
from bench._peers_dav import radicale, xandikos
from bench._peers_kept import version
from bench._peers_pretix import pretix, redis_server
from events import migrations
from events.branches.models import Branch
from events.calendars import store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft
from events.db import Database

PEERS = ("radicale", "xandikos", "pretix")
EVENTS, LEAST = 1000, 400
OUR_SECONDS = 5
CALM, CALM_WITHIN_S = 1.5, 60
TIMEZONE = "America/Chicago"
# Fixed, and so far away that nothing becomes past: what the others were filled with is good on another day too.
WRITTEN, FIRST = datetime(2026, 11, 25, 12, tzinfo=UTC), datetime(2036, 1, 7, 18)
PUBLISHING = Publishing("http://events.example.org", "Bench", ("en", "es"))
HOST = {"Host": "events.example.org"}
TEXT = (
    "Bring anything with a plug. We look at it together, and often it goes home mended. Whoever is new is welcome: "
    "somebody at the door shows where things are, and nobody needs to know how. There are tea and tools for all, and "
    "whoever needs help on the way calls us the day before. Children come with somebody who minds them."
)


@dataclass(slots=True)
class Side:
    """Who is asked, and for how long at a time. `alone`: how long an answer takes when nobody else asks."""

    name: str
    target: Target
    seconds: float
    least: float | None = LEAST
    alone: float = math.inf

    def run(self) -> Run:
        """Until it answers as fast as before: what it still makes for a run that has ended would slow the next."""
        self.alone = min(self.alone, taken(self.target))
        came = load(self.target, self.seconds)
        if not came.answers:
            sys.exit(f"{self.name} finished no answer in {self.seconds:g} s: say more --seconds.")
        until = time.monotonic() + CALM_WITHIN_S
        while taken(self.target) > CALM * self.alone and time.monotonic() < until:
            time.sleep(0.1)
        return came


def main() -> int:
    options = _options()
    with TemporaryDirectory() as folder, our_site(Path(folder)) as target, ExitStack() as running:
        ours = Side("Branchline", target, OUR_SECONDS)
        calendar = served(ours)
        others = peers(running, calendar, options)
        for other in others:
            served(other)
        return compare(ours, others, options.rounds)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=PEERS, action="append", help="may be said several times")
    parser.add_argument("--seconds", type=float, default=40, help="of each run of a peer")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each")
    parser.add_argument("--no-redis", action="store_true", help="without pretix as it keeps answers")
    return parser.parse_args()


def taken(target: Target) -> float:
    begun = time.perf_counter()
    ask(target)
    return time.perf_counter() - begun


def served(side: Side) -> bytes:
    """Ends the bench when it does not serve all events."""
    body = ask(side.target).body
    number = body.count(b"BEGIN:VEVENT\r\n")
    if number != EVENTS:
        sys.exit(f"{side.name} serves {number} events rather than {EVENTS}.")
    print(f"{side.name} serves {number} events in {len(body):,} bytes.")
    return body


# ---------------------------------------------------------------- who serves


def peers(running: ExitStack, calendar: bytes, options: argparse.Namespace) -> list[Side]:
    chosen, sides = options.only or PEERS, list[Side]()
    if "radicale" in chosen:
        target = running.enter_context(radicale(calendar))
        sides.append(Side(f"Radicale {version('radicale')}", target, options.seconds))
    if "xandikos" in chosen:
        target = running.enter_context(xandikos(calendar))
        sides.append(Side(f"Xandikos {version('xandikos')}", target, options.seconds))
    if "pretix" in chosen:
        target = running.enter_context(pretix(calendar, TIMEZONE))
        sides.append(Side(f"pretix {version('pretix')}, made anew", target, options.seconds))
    if "pretix" in chosen and not options.no_redis:
        target = running.enter_context(pretix(calendar, TIMEZONE, running.enter_context(redis_server())))
        # Not what the target speaks of, but it is what a reader who knows pretix would ask for.
        kept = Side(f"pretix {version('pretix')}, kept for 5 minutes", target, OUR_SECONDS, least=None)
        sides.append(kept)
    return sides


@contextmanager
def our_site(folder: Path) -> Iterator[Target]:
    """`branchline serve --workers 1` on SQLite: all events as one calendar."""
    database = Database(f"sqlite:///{folder}/peers.db", size=1)
    migrations.upgrade(database)
    with database.writing() as session:
        branch = Branch(slug="alder", name="Alder", timezone=TIMEZONE, updated_at=WRITTEN)
        session.add(branch)
        session.flush()
        for number in range(EVENTS):
            store.add(session, draft(number), [branch], PUBLISHING, WRITTEN, uid=f"{number:032x}")
    database.dispose()
    with site(
        folder,
        f"sqlite:///{folder}/peers.db",
        BRANCHLINE_BASE_URL=PUBLISHING.base_url,
        BRANCHLINE_NAME="Bench",
    ) as address:
        yield Target(f"{address}/events.ics", HOST)


def draft(number: int) -> EventDraft:
    """Each a single date, because pretix knows no rules."""
    start = FIRST + timedelta(days=number % 300, minutes=15 * (number // 300))
    return EventDraft.model_validate(
        {
            "title": f"Tool night number {number}: saws, ladders and glue",
            "description": TEXT,
            "start": start,
            "end": start + timedelta(hours=2),
            "timezone": TIMEZONE,
            "topics": ("Repair",),
            "venue": {"name": "Town hall", "address_1": "1 Main Street"},
            "state": "published",
        }
    )


# ---------------------------------------------------------------- figures


def compare(ours: Side, others: Sequence[Side], rounds: int) -> int:
    forms = [other_form(ours, "compressed", {"Accept-Encoding": "gzip"})]
    forms.append(other_form(ours, "unchanged", {"If-None-Match": ask(ours.target).headers["etag"]}, 304))
    sides = [ours, *others, *forms]
    # The first round warms up: each process of theirs takes seconds for its first answer.
    came = [runs[1:] for runs in alternated([side.run for side in sides], rounds + 1)]
    runs = dict(zip([side.name for side in sides], came, strict=True))
    mine = runs[ours.name]
    heading(theirs="theirs/s")
    good = True
    for other in others:
        theirs = runs[other.name]
        ratio = statistics.median(one.rate / two.rate for one, two in zip(mine, theirs, strict=True))
        good &= row(other.name, Compared(median(mine), median(theirs), ratio), other.least)
    for side in sides:
        figure(f"{side.name}, a second", f"{median(runs[side.name]).rate:,.1f}")
        figure("    half of them within, ms", f"{median(runs[side.name]).p50_ms:,.1f}")
    return 0 if good else 1


def other_form(ours: Side, how: str, headers: dict[str, str], status: int = 200) -> Side:
    asked = replace(ours.target, headers={**ours.target.headers, **headers}, status=status)
    return Side(f"{ours.name}, {how}", asked, ours.seconds)


if __name__ == "__main__":
    sys.exit(main())
