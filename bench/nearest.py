"""Whether the nearest ten of a million branches cost as much as of 20,000, and whether they are the right ones.

usage: ./dev bench nearest [--branches 20000,1000000] [--points 1000] [--database sqlite]

Every search is made in both databases, in alternation, on either engine, in one process. The truth is found without
any of ours: all branches ranked on a sphere, and those that could be among the ten measured by geopy's geodesic.
Points are hard ones (poles, the date line, open sea, the middle of a crowd, the very place of a branch) and such as
people search from. Ends with 1 when a figure misses its target.
"""

import argparse
import math
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa
from geopy.distance import geodesic as geopy_geodesic
from sqlmodel import Session

from bench._load import engines, figure
from bench._progress import progress
from bench._synthetic import fill, towns
from events import migrations
from events.branches.models import Branch
from events.branches.queries import nearest_to
from events.db import Database, table_of
from events.places.geo import Point

SHOWN = 10
MOST_TIMES = 2.0
SAME_KM = 1e-6  # a millimetre: so exact are the distances that are shown
# A great circle on the mean sphere is off by less than 0.6 per cent, so what is farther than this on the sphere than
# the tenth nearest there cannot be nearer than it on the ground: 1.006 for its way, 1.006 for the other's.
SPHERE_OFF = 1.006**2
POLES_AND_SEAMS = (
    *(Point(90, 0), Point(-90, 0), Point(89.9999, 135), Point(0, 0), Point(0, 180), Point(0, -180)),
    *(Point(-17, 179.9999), Point(52, -180), Point(-48.9, -123.4), Point(30, -40), Point(-33, 96)),
)

Nearest = list[tuple[float, int]]  # kilometres and id


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--branches", default="20000,1000000", help="stored branches, two numbers")
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    options = parser.parse_args()
    sizes = [int(number) for number in options.branches.split(",")]
    good: list[bool] = []
    with tempfile.TemporaryDirectory() as name:
        truth = None
        with engines(options.database, Path(name)) as made:
            for engine, new in made.items():
                databases = [filled(new(f"nearest_{size}"), size) for size in sizes]
                truth = truth or Truth(databases[-1], options.points)
                good += measure(engine, databases, sizes, truth)
                for database in databases:
                    database.dispose()
    return 0 if all(good) else 1


def filled(url: str, size: int) -> Database:
    database = Database(url, size=1)
    migrations.upgrade(database)
    begun = time.perf_counter()
    fill(database, branches=size)
    print(f"{size} branches stored in {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    return database


def measure(
    engine: str, databases: Sequence[Database], sizes: Sequence[int], truth: "Truth"
) -> Iterator[bool]:
    times: list[list[float]] = [[] for _ in databases]
    right, wrong = 0, list[str]()
    sessions = [Session(database.engine) for database in databases]
    for point, wanted in truth.nearest.items():
        for session, taken in zip(sessions, times, strict=True):
            begun = time.perf_counter()
            near = nearest_to(session, point, limit=SHOWN)
            taken.append(time.perf_counter() - begun)
            found = [(one.distance.km, one.branch.id or 0) for one in near]
            session.expunge_all()
        if is_same(found, wanted):  # of the last database, which is the one that the truth is about
            right += 1
        else:
            wrong.append(f"    at {point}: {found}, wanted {wanted}")
    for session in sessions:
        session.close()
    few, many = (1000 * statistics.median(taken) for taken in times)
    told = f"{few:.2f} ms of {sizes[0]}, {many:.2f} ms of {sizes[-1]}, ratio {many / few:.2f}"
    yield figure(f"nearest {SHOWN}, {engine}", told, f"<= {MOST_TIMES:g}", many <= MOST_TIMES * few)
    exact = f"{right} of {len(truth.nearest)}"
    yield figure(f"exact against geodesic, {engine}", exact, "all", not wrong)
    print("\n".join(wrong[:5]), end="\n" if wrong else "")


def is_same(found: Nearest, wanted: Nearest) -> bool:
    """As far, one by one: of branches that are equally far, down to the millimetre, either may be the last."""
    apart = (abs(mine[0] - theirs[0]) > SAME_KM for mine, theirs in zip(found, wanted, strict=True))
    return not any(apart) and len({number for _, number in found}) == len(wanted)


class Truth:
    """The nearest of each point, by ranking all branches of a database."""

    def __init__(self, database: Database, points: int) -> None:
        table = table_of(Branch)
        columns = (table.c.id, table.c.latitude, table.c.longitude)
        with database.reading() as session:
            rows = [(int(id), Point(lat, lon)) for id, lat, lon in session.execute(sa.select(*columns))]
        self.nearest: Mapping[Point, Nearest] = self._ranked(rows, asked(rows, points))

    def _ranked(self, rows: Sequence[tuple[int, Point]], points: Sequence[Point]) -> dict[Point, Nearest]:
        """In a table without any index, in a database of its own."""
        with closing(sqlite3.connect(":memory:")) as sphere:
            sphere.execute(
                "CREATE TABLE spot (id INTEGER, latitude REAL, longitude REAL, u REAL, v REAL, w REAL)"
            )
            spots = ((id, point.latitude, point.longitude, *unit(point)) for id, point in rows)
            sphere.executemany("INSERT INTO spot VALUES (?, ?, ?, ?, ?, ?)", spots)
            return {point: truly(sphere, point) for point in progress("ranking all for a point", points)}


def asked(rows: Sequence[tuple[int, Point]], number: int) -> list[Point]:
    """Hard ones, middles of crowds, places of branches; then half near somebody and half anywhere."""
    chance = random.Random(11)
    crowds = [town.point for town in towns()[:20]]
    found = [*POLES_AND_SEAMS, *crowds, *(point for _, point in chance.sample(rows, 50))]
    while len(found) < number:
        if len(found) % 2:
            found.append(Point(math.degrees(math.asin(chance.uniform(-1, 1))), chance.uniform(-180, 180)))
        else:
            _, near = chance.choice(rows)
            found.append(Point(near.latitude + chance.gauss(0, 0.1), near.longitude + chance.gauss(0, 0.1)))
    return list(dict.fromkeys(found))[:number]


def unit(point: Point) -> tuple[float, float, float]:
    """On the unit sphere."""
    phi, lam = math.radians(point.latitude), math.radians(point.longitude)
    return math.cos(phi) * math.cos(lam), math.cos(phi) * math.sin(lam), math.sin(phi)


def truly(sphere: sqlite3.Connection, point: Point) -> Nearest:
    """By geopy's geodesic, of all that may be among them; ties by id."""
    away = "(u - ?) * (u - ?) + (v - ?) * (v - ?) + (w - ?) * (w - ?)"
    at = [axis for axis in unit(point) for _ in range(2)]
    most = SHOWN * 4
    while True:
        query = f"SELECT id, latitude, longitude, {away} AS chord2 FROM spot ORDER BY chord2, id LIMIT {most}"  # noqa: S608
        rows = sphere.execute(query, at).fetchall()
        if len(rows) < most or angle(rows[-1][3]) > angle(rows[SHOWN - 1][3]) * SPHERE_OFF + 1e-12:
            break
        most *= 8
    here = (point.latitude, point.longitude)
    exact = ((float(geopy_geodesic(here, (lat, lon)).km), int(id)) for id, lat, lon, _ in rows)
    return sorted(exact)[:SHOWN]


def angle(chord2: float) -> float:
    """Between two points of the unit sphere, from the square of the chord."""
    return 2 * math.asin(min(1.0, math.sqrt(chord2) / 2))


if __name__ == "__main__":
    sys.exit(main())
