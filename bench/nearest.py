"""How much the spatial index spares, and whether it is right: nearest ten out of many, against ranking every row.

usage: ./dev bench nearest [--branches N]

Both ways run in alternation in one process, on SQLite in a temporary directory. The last line is the ratio.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlmodel import Session, select

from events import migrations
from events.branches.models import Branch
from events.branches.queries import nearest_to
from events.db import Database, table_of
from events.places.geo import Point, geodesic

ROUNDS = 60
SHOWN = 10


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--branches", type=int, default=20_000)
    count = parser.parse_args().branches
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder)}/bench.db", size=1)
        migrations.upgrade(database)
        fill(database, count, random.Random(1))
        with database.reading() as session:
            compare(session, count, random.Random(2))
        database.dispose()


def fill(database: Database, count: int, chance: random.Random) -> None:
    now = datetime.now(UTC)
    with database.writing() as session:
        for number in range(count):
            branch = Branch(slug=f"b{number}", name=f"Branch {number}", updated_at=now)
            branch.stand_at(Point(chance.uniform(-60, 70), chance.uniform(-180, 180)))
            session.add(branch)


def compare(session: Session, count: int, chance: random.Random) -> None:
    indexed: list[float] = []
    ranked: list[float] = []
    same = 0
    for _ in range(ROUNDS):
        point = Point(chance.uniform(-60, 70), chance.uniform(-180, 180))
        one = timed(indexed, by_index, session, point)
        other = timed(ranked, by_ranking, session, point)
        same += one == other
        session.expunge_all()
    fast, slow = statistics.median(indexed) * 1000, statistics.median(ranked) * 1000
    print(f"{count} branches, nearest {SHOWN}, {ROUNDS} rounds: the same in {same} of {ROUNDS}")
    print(f"with the index {fast:.2f} ms, ranking every row {slow:.2f} ms (medians)")
    print(f"ratio {slow / fast:.1f}")


def timed(
    times: list[float], way: Callable[[Session, Point], list[int | None]], session: Session, point: Point
) -> list[int | None]:
    begun = time.perf_counter()
    found = way(session, point)
    times.append(time.perf_counter() - begun)
    return found


def by_index(session: Session, point: Point) -> list[int | None]:
    return [near.branch.id for near in nearest_to(session, point, limit=SHOWN)]


def by_ranking(session: Session, point: Point) -> list[int | None]:
    """Every row ranked by the chord, a few more than wanted put in order by the geodesic."""
    table = table_of(Branch)
    x, y, z = point.ecef()
    chord = (
        (table.c.x - x) * (table.c.x - x)
        + (table.c.y - y) * (table.c.y - y)
        + (table.c.z - z) * (table.c.z - z)
    )
    ids = session.connection().execute(sa.select(table.c.id).order_by(chord).limit(SHOWN + 8)).scalars().all()
    rows = session.exec(select(Branch).where(table.c.id.in_(ids))).all()
    found = [(geodesic(point, row.point).km, row.id) for row in rows if row.point]
    return [number for _, number in sorted(found, key=lambda pair: (pair[0], pair[1] or 0))][:SHOWN]


if __name__ == "__main__":
    main()
