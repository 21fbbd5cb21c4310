"""What digests for ten thousand subscribers cost: time, memory and queries, and what becomes of them when the worker is
killed in the middle. And how long it takes to tell all of them at once that a date has changed.

usage: ./dev bench digests [--subscribers 10000] [--events 5000] [--database postgresql://…/empty]

On SQLite in a temporary directory, or in an empty database of PostgreSQL. Seeds are fixed: the same every time.
"""

import argparse
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlmodel import Session, col, select

from bench._figures import line
from events import migrations
from events.branches.models import Branch
from events.calendars import derived, store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft, OverrideDraft
from events.calendars.models import Event
from events.config import database_url
from events.db import Database, table_of
from events.messages import outbox
from events.messages.models import OutgoingMail
from events.places.geo import Point
from events.subscriptions import digests, urgent
from events.subscriptions.models import (
    Frequency,
    Subscription,
    SubscriptionBranch,
    SubscriptionEvent,
    SubscriptionTopic,
)
from events.subscriptions.writing import Site

NOW = datetime(2026, 11, 25, 12, 5, tzinfo=UTC)
LONG_AGO, YESTERDAY, TODAY = NOW - timedelta(days=40), NOW - timedelta(days=1), NOW - timedelta(hours=6)
PUBLISHING = Publishing("https://events.example.org", "Bench", ("en", "es"))
SITE = Site(PUBLISHING, "a secret for the bench")
PLACES, BRANCHES = 200, 500
TOPICS = ("Repair", "Music", "Garden", "Languages")
TARGET_MS, TARGET_QUERIES = 5.0, 3.0
KILLED_AFTER = 0.3  # of the subscribers


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--subscribers", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=5_000)
    parser.add_argument("--database", help="an empty one; without it, SQLite in a temporary directory")
    parser.add_argument(
        "--only", choices=("seed", "send"), help="what the processes are told that this one starts"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = database_url(options.database) if options.database else f"sqlite:///{folder}/digests.db"
        database = Database(url, size=1)
        match options.only:
            case "seed":
                seed(database, options.subscribers, options.events)
            case "send":
                send_all(database, NOW)
            case _:
                measure_all(database, options.subscribers, options.events)
        database.dispose()


def measure_all(database: Database, subscribers: int, events: int) -> None:
    """What is measured is not what filling the database has left in memory."""
    migrations.upgrade(database)
    with another(database, "seed", "--subscribers", str(subscribers), "--events", str(events)) as filling:
        if filling.wait():
            sys.exit(1)
    whole = measure(database, subscribers)
    restart(database, subscribers, whole)
    tell_all(database)


def another(database: Database, what: str, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "bench.digests", "--only", what, "--database", str(database.url)]
    return subprocess.Popen([*command, *options], cwd=Path(__file__).parents[1])


# ---------------------------------------------------------------- measuring


def measure(database: Database, subscribers: int) -> Counter[tuple[str, str]]:
    """Sends everything, and prints what it cost. Returns whom what was written to."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with counted(database) as queries:
        begun = time.perf_counter()
        looked_at = send_all(database, NOW)
        taken = time.perf_counter() - begun
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    mails = written(database)
    bare = compose_nothing(database, subscribers)
    each, share = 1000 * taken / looked_at, queries.number / looked_at
    print(
        f"{looked_at} subscribers on {database.engine.dialect.name}: {taken:.1f} s, {mails.total()} mails,"
        f" {memory / 1024:.0f} MB more at the peak"
    )
    line(f"a subscriber takes {each:.2f} ms", f"at most {TARGET_MS:g} ms", each <= TARGET_MS)
    line(f"queries a subscriber: {share:.2f}", f"at most {TARGET_QUERIES:g}", share <= TARGET_QUERIES)
    print(f"to read a row and to write a mail of one line takes {bare:.2f} ms; ratio {each / bare:.1f}")
    return mails


def restart(database: Database, subscribers: int, whole: Counter[tuple[str, str]]) -> None:
    """A process sends, is killed by SIGKILL in the middle, and another one goes on once the lease is over."""
    reset(database)
    with another(database, "send") as process:
        while told(database) < subscribers * KILLED_AFTER and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    before = told(database)
    later = NOW + digests.LEASE + timedelta(seconds=1)
    send_all(database, later)
    mails, left = written(database), subscribers - told(database)
    print(f"killed after {before} subscribers; the next process went on with the others:")
    twice = sum(number > 1 for number in Counter(recipient for recipient, _ in mails.elements()).values())
    line(f"{twice} were written to twice", "nobody", twice == 0)
    missing = (whole - mails).total() + left
    line(f"{missing} were left out or told otherwise", "nobody", missing == 0 and mails == whole)


def tell_all(database: Database) -> None:
    """A date of one event that everybody follows is cancelled."""
    with database.writing() as session:
        session.connection().execute(sa.delete(table_of(OutgoingMail)))
        event = session.exec(
            select(Event).where(col(Event.ends_at) > NOW, Event.state == "published")
        ).first()
        if event is None:
            raise ValueError("no event is on")
        event.cancel("The roof leaks.", NOW)
        derived.save(session, event, PUBLISHING, NOW)
        followers = sa.select(col(Subscription.id), sa.literal(event.id))
        table = table_of(SubscriptionEvent)
        session.connection().execute(table.insert().from_select(["subscription_id", "event_id"], followers))
    begun = time.perf_counter()
    while urgent.send(database, SITE, NOW + timedelta(hours=1)):
        pass
    print(f"one change told to {written(database).total()} followers in {time.perf_counter() - begun:.1f} s")


def send_all(database: Database, now: datetime) -> int:
    number = 0
    while sent := digests.send(database, SITE, now):
        number += sent
    return number


def compose_nothing(database: Database, subscribers: int) -> float:
    """Milliseconds for each: what there is to do at the least, in batches of the same size."""
    reset(database)
    begun = time.perf_counter()
    for first in range(1, subscribers + 1, digests.BATCH):
        with database.writing() as session:
            for number in range(first, min(first + digests.BATCH, subscribers + 1)):
                one = session.get_one(Subscription, number)
                outbox.put(session, NOW, recipient=one.email, subject="Nothing", body="Nothing.", bulk=True)
    return 1000 * (time.perf_counter() - begun) / subscribers


@dataclass
class Queries:
    number: int = 0


@contextmanager
def counted(database: Database) -> Iterator[Queries]:
    queries = Queries()

    def count(*arguments: object) -> None:
        queries.number += not str(arguments[2]).startswith("BEGIN")

    sa.event.listen(database.engine, "before_cursor_execute", count)
    yield queries
    sa.event.remove(database.engine, "before_cursor_execute", count)


def written(database: Database) -> Counter[tuple[str, str]]:
    with database.reading() as session:
        rows = session.connection().execute(sa.select(col(OutgoingMail.recipient), col(OutgoingMail.subject)))
        return Counter((recipient, subject) for recipient, subject in rows)


def told(database: Database) -> int:
    with database.reading() as session:
        query = select(sa.func.count(col(Subscription.id))).where(col(Subscription.run_at) > NOW)
        return session.exec(query).one()


def reset(database: Database) -> None:
    table = table_of(Subscription)
    first = table.c.id % 10 == 0
    values = {
        "told_until": sa.case((first, sa.null()), else_=sa.literal(YESTERDAY, table.c.told_until.type)),
        "run_at": NOW,
        "leased_until": None,
    }
    with database.writing() as session:
        session.connection().execute(sa.delete(table_of(OutgoingMail)))
        session.connection().execute(sa.update(table).values(values))


# ---------------------------------------------------------------- what there is


def seed(database: Database, subscribers: int, events: int) -> None:
    begun, chance = time.perf_counter(), random.Random(4)
    places = [Point(chance.uniform(30, 48), chance.uniform(-122, -75)).snapped() for _ in range(PLACES)]
    with database.writing() as session:
        branches = [branch(session, number, places[number % PLACES], chance) for number in range(BRANCHES)]
    numbers = []
    for first in range(0, events, 100):
        with database.writing() as session:
            for number in range(first, min(first + 100, events)):
                published_at = LONG_AGO if number % 33 else TODAY  # one in 33 is new
                host = branches[number % BRANCHES]
                event = store.add(session, draft(number, chance), [host], PUBLISHING, published_at)
                numbers.append(event.id or 0)
    for first in range(0, len(numbers), 100):
        with database.writing() as session:
            for number in numbers[first : first + 100]:
                happen(session, number)
    with database.writing() as session:
        session.add_all(
            subscription(number, places[number % PLACES], chance) for number in range(subscribers)
        )
        session.flush()
        link(session, chance)
    reset(database)
    print(
        f"{events} events of {BRANCHES} branches, {subscribers} subscribers: {time.perf_counter() - begun:.0f} s"
    )


def branch(session: Session, number: int, near: Point, chance: random.Random) -> Branch:
    point = Point(near.latitude + chance.gauss(0, 0.1), near.longitude + chance.gauss(0, 0.1))
    row = Branch(slug=f"b{number}", name=f"Branch {number}", timezone="America/Chicago", updated_at=LONG_AGO)
    row.city, row.address_1 = f"Town {number % PLACES}", f"{number} Main Street"
    row.stand_at(point)
    session.add(row)
    return row


def draft(number: int, chance: random.Random) -> EventDraft:
    start = datetime(2026, 11, 26, 18) + timedelta(days=chance.randrange(90), minutes=15 * (number % 8))
    return EventDraft.model_validate(
        {
            "title": f"Evening number {number}: saws, songs and soup",
            "description": "Bring **anything** with a plug. We look at it together.",
            "start": start,
            "end": start + timedelta(hours=2),
            "timezone": "America/Chicago",
            "rrule": "" if number % 4 else "FREQ=WEEKLY;COUNT=12",
            "topics": (TOPICS[number % len(TOPICS)],),
            "state": "published",
        }
    )


def happen(session: Session, number: int) -> None:
    """One in 25 is changed, one in 50 cancelled, of one in 40 a date is moved."""
    event = session.get_one(Event, number)
    if number % 50 == 7:
        event.cancel("The roof leaks.", TODAY)
    elif number % 25 == 3:
        event.description += " And there is soup."
    if number % 40 == 0 and event.is_series:
        hour = timedelta(hours=1)
        moved = OverrideDraft(
            original_start=event.start, start=event.start + hour, end=event.end + hour, title=event.title
        )
        store.change_date(session, event, moved, PUBLISHING, TODAY)
    elif event in session.dirty:
        derived.save(session, event, PUBLISHING, TODAY)


def subscription(number: int, place: Point, chance: random.Random) -> Subscription:
    """Of 20, 16 chose a place, three branches, and one everything; every fifth reads Spanish."""
    row = Subscription(
        email=f"reader{number}@example.org",
        nonce=f"nonce {number}",
        language="en" if number % 5 else "es",
        timezone=chance.choice(("America/Chicago", "America/New_York", "America/Denver")),
        frequency=Frequency.DAILY,
        created_at=LONG_AGO,
        confirmed_at=LONG_AGO,
    )
    if number % 20 < 16:
        row.latitude, row.longitude, row.place = place.latitude, place.longitude, f"Place {number % PLACES}"
        row.within_km = chance.choice((16.1, 40.2, 80.5))
    return row


def link(session: Session, chance: random.Random) -> None:
    """Every third wants two topics only."""
    table = table_of(Subscription)
    for number in session.connection().execute(sa.select(table.c.id).order_by(table.c.id)).scalars():
        at = number - 1
        if 16 <= at % 20 < 19:
            chosen = chance.sample(range(1, BRANCHES + 1), 2)
            session.add_all(SubscriptionBranch(subscription_id=number, branch_id=each) for each in chosen)
        if at % 3 == 0:
            topics = chance.sample(range(1, len(TOPICS) + 1), 2)
            session.add_all(SubscriptionTopic(subscription_id=number, topic_id=each) for each in topics)


if __name__ == "__main__":
    main()
