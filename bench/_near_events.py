"""Events near a place, out of a million stored against out of ten thousand: in a crowd, in a town that has as many as
the crowd of the small database, and where there are none. What takes more than MOST_TIMES as long must show as many
times more. Part of `./dev bench finding`."""

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from sqlmodel import Session

from bench._load import engines, figure
from bench._synthetic import HEADING, fill, towns
from events import migrations
from events.calendars.counting import number_up_to
from events.calendars.feeds import assemble
from events.calendars.models import Event
from events.calendars.queries import Selection, upcoming
from events.calendars.spans import said, spans
from events.db import Database, table_of
from events.places.geo import Distance, Point
from events.places.nearest import within
from events.web.list_words import MOST_COUNTED
from events.web.month import MOST_DATES, MOST_OF_A_DAY

PER_BRANCH = 100
ROUNDS, ENOUGH_S = 15, 6.0  # of a row: as many, or as long
MOST_TIMES = 3.0
MOST_SHOWN = 31 * MOST_OF_A_DAY  # in a month
WITHIN = Distance.from_miles(25)
TOWNS, AT_SEA = towns(), Point(30, -40)


class Case(NamedTuple):
    """What is asked of the small and of the large database, and how; `way` returns how many are shown."""

    name: str
    few: Selection
    many: Selection
    way: Callable[[Session, Selection, datetime], int]


def measure(folder: Path, sizes: Sequence[int], which: str) -> Iterator[bool]:
    """Whether each figure is as wanted."""
    now = datetime.now(UTC)
    with engines(which, folder) as made:
        for engine, new in made.items():
            databases = [_filled(new(f"near_{size}"), size) for size in sizes]
            for case in _cases(now.date(), _alike(*databases)):
                yield _row(engine, case, databases, sizes, now)
            for database in databases:
                database.dispose()


def _filled(url: str, size: int) -> Database:
    database = Database(url, size=1)
    migrations.upgrade(database)
    begun = time.perf_counter()
    fill(database, branches=max(size // PER_BRANCH, 1), events=size)
    print(f"{size} events stored in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    return database


def _alike(small: Database, large: Database) -> Point:
    """The town that has about as many events near in the large database as the first has in the small one."""
    wanted = _stored_near(small, TOWNS[0].point)
    return min(TOWNS, key=lambda town: abs(_stored_near(large, town.point) - wanted)).point


def _stored_near(database: Database, point: Point) -> int:
    event = table_of(Event)
    with database.reading() as session:
        near = within(session, event, point, WITHIN)
        return int(session.execute(sa.select(sa.func.count()).select_from(event).where(near)).scalar_one())


def _cases(today: date, alike: Point) -> Iterator[Case]:
    first = TOWNS[0].point
    places = {"as many": (first, alike), "crowd": (first, first), "nothing": (AT_SEA, AT_SEA)}
    for name, points in places.items():
        few, many = (Selection(near=point, within=WITHIN) for point in points)
        for how, narrowed in _filters(today).items():
            yield Case(f"{name}: page{how}", narrowed(few), narrowed(many), _page)
        yield Case(f"{name}: number", few, many, _number)
        yield Case(f"{name}: month", few, many, _month)
        yield Case(f"{name}: calendar", few, many, _calendar)


def _filters(today: date) -> Mapping[str, Callable[[Selection], Selection]]:
    first, last = today + timedelta(days=40), today + timedelta(days=47)
    return {
        "": lambda any_: any_,
        ", from and to": lambda any_: replace(any_, first=first, last=last),
        ", topic": lambda any_: replace(any_, topics=("film",)),
        ", words": lambda any_: replace(any_, text="choir"),
    }


def _page(session: Session, selection: Selection, now: datetime) -> int:
    return len(upcoming(session, selection, now)[0])


def _number(session: Session, selection: Selection, now: datetime) -> int:
    return number_up_to(session, selection, now, MOST_COUNTED)


def _month(session: Session, selection: Selection, now: datetime) -> int:
    first = (now.date().replace(day=1) + timedelta(days=31)).replace(day=1)
    between = replace(selection, first=first, last=first + timedelta(days=30))
    since = datetime.combine(first, datetime.min.time(), UTC) - timedelta(days=2)
    found, _ = spans(session, between, since, MOST_DATES)
    said(session, [one.key for one in found[:MOST_SHOWN]])
    return len(found)


def _calendar(session: Session, selection: Selection, now: datetime) -> int:
    return assemble(session, selection, HEADING, now)[0].count(b"BEGIN:VEVENT")


def _row(engine: str, case: Case, databases: Sequence[Database], sizes: Sequence[int], now: datetime) -> bool:
    times: list[list[float]] = [[] for _ in databases]
    shown = [0 for _ in databases]
    until = time.perf_counter() + ENOUGH_S
    with ExitStack() as stack:
        sessions = [stack.enter_context(database.reading()) for database in databases]
        for round_ in range(ROUNDS + 1):
            if round_ > 2 and time.perf_counter() > until:
                break
            for which, (session, selection) in enumerate(zip(sessions, (case.few, case.many), strict=True)):
                begun = time.perf_counter()
                shown[which] = case.way(session, selection, now)
                times[which].append(time.perf_counter() - begun)
                session.expunge_all()
    few, many = (1000 * statistics.median(taken[1:]) for taken in times)  # the first finds nothing in memory
    most = MOST_TIMES * max(shown[1] / max(shown[0], 1), 1)
    told = f"{few:.1f} ms for {shown[0]} of {sizes[0]}, {many:.1f} ms for {shown[1]} of {sizes[-1]}"
    return figure(
        f"{engine}, {case.name}", f"{told}, ratio {many / few:.1f}", f"<= {most:.3g}", many <= most * few
    )
