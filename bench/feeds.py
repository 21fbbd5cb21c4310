"""What it costs to answer a calendar app: joining stored VEVENTs against rendering them, and whether a feed of a
hundred events costs more out of a million than out of ten thousand.

usage: ./dev bench feeds [--events 10000,1000000] [--feed 1000]

Both sides of each ratio run in alternation in one process, on SQLite in a temporary directory (a million events
take some 1.5 GB there).
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import icalendar
import sqlalchemy as sa
from sqlmodel import Session, SQLModel

from events import migrations
from events.branches.models import Branch
from events.calendars import store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft
from events.calendars.feeds import Heading, Note, assemble, finished
from events.calendars.kept import FeedCache
from events.calendars.models import Event, EventBranch, Occurrence, Rendered
from events.calendars.queries import Selection
from events.db import Database, table_of

ROUNDS = 40
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
PUBLISHING = Publishing("https://events.example.org", "Bench", ("en", "es"))
PER_BRANCH = 100
HEADING = Heading(
    name="Bench",
    description="",
    capped="",
    empty=Note(""),
    url="https://events.example.org/events",
    source="https://events.example.org/events.ics",
    locale="en",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", default="10000,1000000", help="stored events, two numbers")
    parser.add_argument("--feed", type=int, default=1000, help="events in the feed that is rebuilt")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare_rendering(Path(folder), options.feed)
        compare_sizes(Path(folder), [int(number) for number in options.events.split(",")])


# ---------------------------------------------------------------- joining against rendering


def compare_rendering(folder: Path, number: int) -> None:
    database = opened(folder / "join.db")
    fill(database, number, per_branch=number)
    with database.reading() as session:
        body, _ = assemble(session, Selection(), HEADING, NOW)
        texts = session.connection().execute(sa.select(table_of(Rendered).c.ics)).scalars().all()
        calendar = icalendar.Calendar.from_ical(body)
        assert len(calendar.walk("VEVENT")) == number
        rebuilt, joined, rendered, polled = (list[float]() for _ in range(4))
        cache = FeedCache()
        for _ in range(ROUNDS):
            timed(rebuilt, lambda: assemble(session, Selection(), HEADING, NOW))
            timed(joined, lambda: "".join(texts).encode())
            timed(polled, lambda: finished(session, cache, Selection(), HEADING, NOW))
        for _ in range(ROUNDS // 8):
            timed(rendered, lambda: render_with_icalendar(calendar))
    database.dispose()
    rebuild, join, render, poll = (
        statistics.median(times) * 1000 for times in (rebuilt, joined, rendered, polled)
    )
    print(f"{number} events, {len(body) / 1000:.0f} KB, medians of {ROUNDS} rounds:")
    print(f"  icalendar's objects and to_ical {render:.1f} ms; our rebuild after an edit, queries included,")
    print(f"  {rebuild:.2f} ms; the join alone {join:.3f} ms; a poll that changed nothing {poll:.3f} ms")
    print(f"  ratio rendering / rebuild {render / rebuild:.0f}, rendering / join {render / join:.0f}")


def render_with_icalendar(calendar: Any) -> bytes:
    """What a site does that renders at each request: an object for each event, then its text."""
    fresh = icalendar.Calendar()
    fresh.add("PRODID", "-//x//y//EN")
    fresh.add("VERSION", "2.0")
    for event in calendar.walk("VEVENT"):
        one = icalendar.Event()
        for name in ("UID", "SUMMARY", "DESCRIPTION", "LOCATION", "URL", "STATUS", "TRANSP", "CLASS"):
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


def compare_sizes(folder: Path, sizes: Sequence[int]) -> None:
    databases = []
    for size in sizes:
        begun = time.perf_counter()
        database = opened(folder / f"{size}.db")
        fill(database, size, per_branch=PER_BRANCH)
        print(f"{size} events stored in {time.perf_counter() - begun:.0f} s")
        databases.append(database)
    times: list[list[float]] = [[] for _ in databases]
    sessions = [Session(database.engine) for database in databases]
    for round_ in range(ROUNDS):
        for session, taken, size in zip(sessions, times, sizes, strict=True):
            branch = f"b{(round_ * 37) % (size // PER_BRANCH)}"
            timed(taken, lambda: assemble(session, Selection(branches=(branch,)), HEADING, NOW))  # noqa: B023
    for session, database in zip(sessions, databases, strict=True):
        session.close()
        database.dispose()
    medians = [statistics.median(taken) * 1000 for taken in times]
    told = ", ".join(f"{median:.2f} ms out of {size}" for median, size in zip(medians, sizes, strict=True))
    print(f"feed of {PER_BRANCH} events of one branch: {told}; ratio {medians[-1] / medians[0]:.2f}")


# ---------------------------------------------------------------- pieces


def timed(times: list[float], work: Callable[[], object]) -> None:
    begun = time.perf_counter()
    work()
    times.append(time.perf_counter() - begun)


def opened(path: Path) -> Database:
    database = Database(f"sqlite:///{path}", size=2)
    migrations.upgrade(database)
    return database


def draft(number: int) -> EventDraft:
    start = datetime(2026, 11, 26, 18) + timedelta(days=number % 300, minutes=15 * (number % 8))
    return EventDraft.model_validate(
        {
            "title": f"Tool night number {number}: saws, ladders and glue",
            "description": "Bring **anything** with a plug. We look at it together, and often it goes home mended. "
            * 3,
            "start": start,
            "end": start + timedelta(hours=2),
            "timezone": "America/Chicago",
            "rrule": "" if number % 4 else "FREQ=WEEKLY;COUNT=10",
            "topics": ("Repair",),
            "cost": "Free",
            "venue": {"name": "Town hall", "address_1": "1 Main Street"},
            "state": "published",
        }
    )


def fill(database: Database, number: int, per_branch: int) -> None:
    """One branch and its events are written as the site writes them, the others are copies with keys of their own."""
    with database.writing() as session:
        first = Branch(slug="b0", name="Branch 0", timezone="America/Chicago", updated_at=NOW)
        session.add(first)
        session.flush()
        for each in range(per_branch):
            store.add(session, draft(each), [first], PUBLISHING, NOW)
    branches = number // per_branch
    for begin in range(1, branches, 500):
        with database.writing() as session:
            copy_branches(session, range(begin, min(begin + 500, branches)), per_branch)


def copy_branches(session: Session, numbers: range, per_branch: int) -> None:
    for number in numbers:
        shift, event = number * per_branch, {"event_id": f"event_id + {number * per_branch}"}
        copy(session, Branch, "id = 1", id=f"id + {number}", slug=f"'b{number}'")
        uid, branch = f"'{number:020x}' || substr(uid, 21)", f"1 + {number}"
        copy(session, Event, f"id <= {per_branch}", id=f"id + {shift}", uid=uid, branch_id=branch)
        for model, changed in (
            (Rendered, event),
            (Occurrence, event),
            (EventBranch, event | {"branch_id": branch}),
        ):
            copy(session, model, f"event_id <= {per_branch}", **changed)


def copy(session: Session, model: type[SQLModel], which: str, **changed: str) -> None:
    """Rows of a table once more, with expressions for the columns that differ."""
    table = table_of(model)
    names = [column.name for column in table.columns]
    values: list[Any] = [sa.literal_column(changed.get(name, f'"{name}"')) for name in names]
    query: Any = sa.select(*values)
    rows = query.select_from(table).where(sa.text(which))
    session.connection().execute(table.insert().from_select(names, rows))


if __name__ == "__main__":
    main()
