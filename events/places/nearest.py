"""The nearest rows to a point, exactly, out of any number: a spatial index over earth-centred coordinates.

A box of latitudes and longitudes misses at the poles and at the date line; a box of x, y and z has no seam.
SQLite: an R*Tree that triggers keep in step. PostgreSQL: a GiST index over `cube`; without that extension the
rows are ranked one by one, which is slower and as exact. The indexes are made by the first migration; a table
needs the columns id, x, y and z (metres), latitude and longitude (degrees).

Rows are ranked by the chord, straight through the earth, which SQL can compute. People are told the geodesic,
along the ground, which orders all but near ties alike: these are put right here.
"""

import math
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlmodel import Session

from .geo import EARTH_RADIUS_KM, FARTHEST_KM, Distance, Point, geodesic

EXTRA = 4  # more rows than asked for, so that the last place is rarely in doubt
MOST_ROWS = 500  # fetched to settle who is last among rows that are all as far away as each other
FIRST_REACH_M = 50_000.0
FINEST_REACH_M = 50.0
CROWDED = 20  # spots in the box for each row wanted: a smaller box is quicker
ZOOM = 4.0
WHOLE_EARTH_M = 13_000_000.0  # a chord is never longer than the diameter
# The earth is curved nowhere more and nowhere less than a sphere of these radii (WGS84: a(1-e²) and a²/b).
TIGHTEST_M, WIDEST_M = 6_335_439.0, 6_399_594.0

# How many spots lie in a box, counted no further than it matters.
COUNT_SPOTS = """
SELECT count(*) FROM (SELECT 1 FROM {table}_spot WHERE max_x >= ? AND min_x <= ? AND max_y >= ? AND min_y <= ?
  AND max_z >= ? AND min_z <= ? LIMIT ?)
"""
SPOT_COLUMNS = ("id", "min_x", "max_x", "min_y", "max_y", "min_z", "max_z")

_cube_known: WeakKeyDictionary[sa.Engine, bool] = WeakKeyDictionary()


def nearest(
    session: Session, statement: sa.Select[Any], table: sa.Table, point: Point, limit: int
) -> Sequence[sa.Row[Any]]:
    """The `limit` nearest of the rows that the statement selects, nearest first, ties by id.

    The statement must select from `table`, each row once, and may join and filter; rows without a position are
    left out. Four columns are added behind its own: the chord's square, latitude, longitude and id.
    """
    chord2 = _chord2(table, point)
    query = statement.where(table.c.x.is_not(None)).add_columns(
        chord2.label("chord2"), table.c.latitude, table.c.longitude, table.c.id
    )
    wanted = limit + EXTRA
    while True:
        if _is_sqlite(session):
            rows = _by_boxes(session, query.order_by(chord2, table.c.id), table, point, wanted)
        else:
            rows = _by_distance(session, query, table, point, wanted)
        if len(rows) < wanted or wanted >= MOST_ROWS or _is_settled(rows, limit):
            return _in_order(rows, point, limit)
        wanted *= 4


def within(session: Session, table: sa.Table, point: Point, distance: Distance) -> sa.ColumnElement[bool]:
    """A condition: not farther than `distance`, to half a per cent. An index narrows it, a chord decides."""
    reach = _chord_m(distance)
    near = _chord2(table, point) <= reach**2
    return sa.and_(_in_box(session, table, point, reach), near) if reach < WHOLE_EARTH_M / 2 else near


def _by_boxes(
    session: Session, ranked: sa.Select[Any], table: sa.Table, point: Point, wanted: int
) -> Sequence[sa.Row[Any]]:
    """Rows of a box that is widened until everything nearer than the last row lies inside."""
    reach = _first_reach(session, table, point, wanted)
    while True:
        boxed = ranked if reach >= WHOLE_EARTH_M else ranked.where(_in_box(session, table, point, reach))
        rows = session.execute(boxed.limit(wanted)).all()
        farthest = _chord(rows[-1]) if len(rows) == wanted else math.inf
        if farthest <= reach or reach >= WHOLE_EARTH_M:
            return rows
        reach = min(reach * ZOOM, farthest * 1.0001)


def _first_reach(session: Session, table: sa.Table, point: Point, wanted: int) -> float:
    """Half the side of a box that holds enough spots, and not a whole city of them. Counting takes microseconds."""
    count, most = COUNT_SPOTS.format(table=table.name), wanted * CROWDED
    connection, at = session.connection(), point.ecef()
    reach, too_small = FIRST_REACH_M, 0.0
    while reach < WHOLE_EARTH_M:
        bounds = tuple(bound for middle in at for bound in (middle - reach, middle + reach))
        found = connection.exec_driver_sql(count, (*bounds, most)).scalar_one()
        if found >= most and reach / ZOOM > max(too_small, FINEST_REACH_M):
            reach /= ZOOM
        elif found >= 2 * wanted:
            return reach
        else:
            too_small = reach
            reach *= ZOOM
    return reach


def _by_distance(
    session: Session, query: sa.Select[Any], table: sa.Table, point: Point, wanted: int
) -> Sequence[sa.Row[Any]]:
    """PostgreSQL's index walks outwards by itself, if it is asked for one order only; ties come all."""
    away = _chord2(table, point)
    if _has_cube(session):
        away = _cube(table).op("<->", return_type=sa.Float())(_cube_at(point))
    rows = session.execute(query.order_by(away).fetch(wanted, with_ties=True)).all()
    return sorted(rows, key=lambda row: (row[-4], row[-1]))[:wanted]


def _is_settled(rows: Sequence[sa.Row[Any]], limit: int) -> bool:
    """Whether no row beyond these could be among the first `limit`."""
    last, beyond = rows[limit - 1], rows[-1]
    return last[-4] == beyond[-4] or _shortest_m(_chord(beyond)) > _longest_m(_chord(last))


def _in_order(rows: Sequence[sa.Row[Any]], point: Point, limit: int) -> list[sa.Row[Any]]:
    """By the geodesic, then id. It is computed only where chords leave the order open: it takes 100 µs."""
    ordered: list[sa.Row[Any]] = []
    for run in _runs(rows):
        if len(ordered) >= limit:
            break
        if len(run) > 1:
            exact = cache(lambda latitude, longitude: geodesic(point, Point(latitude, longitude)).km)
            run.sort(key=lambda row: (exact(row[-3], row[-2]), row[-1]))
        ordered += run
    return ordered[:limit]


def _runs(rows: Sequence[sa.Row[Any]]) -> Iterator[list[sa.Row[Any]]]:
    """Rows in the order of chords, parted where the next is farther away for certain."""
    run: list[sa.Row[Any]] = []
    for row in rows:
        if run and _shortest_m(_chord(row)) > _longest_m(_chord(run[-1])):
            yield run
            run = []
        run.append(row)
    if run:
        yield run


def _chord(row: sa.Row[Any]) -> float:
    return math.sqrt(row[-4])


def _shortest_m(chord: float) -> float:
    return 2 * WIDEST_M * math.asin(min(1.0, chord / 2 / WIDEST_M))


def _longest_m(chord: float) -> float:
    """Near the other end of the earth a chord says little of the way along the ground."""
    half = chord / 2 / TIGHTEST_M
    return 2 * TIGHTEST_M * math.asin(half) if half < 0.99 else FARTHEST_KM * 1000


def _chord_m(distance: Distance) -> float:
    """The chord under an arc along the ground."""
    angle = min(distance.km / EARTH_RADIUS_KM, math.pi)
    return 2000 * EARTH_RADIUS_KM * math.sin(angle / 2)


def _chord2(table: sa.Table, point: Point) -> sa.ColumnElement[float]:
    """Metres squared: in the order of distances, and without a root."""
    x, y, z = (sa.literal(metres, sa.Float()) for metres in point.ecef())
    east, north, up = table.c.x - x, table.c.y - y, table.c.z - z
    return east * east + north * north + up * up


def _in_box(session: Session, table: sa.Table, point: Point, reach: float) -> sa.ColumnElement[bool]:
    x, y, z = point.ecef()
    if _is_sqlite(session):
        spot = sa.table(f"{table.name}_spot", *map(sa.column, SPOT_COLUMNS))
        boxed = sa.select(spot.c.id).where(
            spot.c.max_x >= x - reach, spot.c.min_x <= x + reach,
            spot.c.max_y >= y - reach, spot.c.min_y <= y + reach,
            spot.c.max_z >= z - reach, spot.c.min_z <= z + reach,
        )  # fmt: skip
        return table.c.id.in_(boxed)
    if _has_cube(session):
        around = sa.func.cube_enlarge(_cube_at(point), reach, sa.literal(3))
        return _cube(table).op("<@", return_type=sa.Boolean())(around)
    return sa.and_(
        table.c.x.between(x - reach, x + reach),
        table.c.y.between(y - reach, y + reach),
        table.c.z.between(z - reach, z + reach),
    )


def _cube(table: sa.Table) -> sa.ColumnElement[Any]:
    """As the index has it, to the letter."""
    at = ", ".join(f"coalesce({table.name}.{axis}, 0)" for axis in "xyz")
    return sa.literal_column(f"cube(ARRAY[{at}])")


def _cube_at(point: Point) -> sa.ColumnElement[Any]:
    return sa.func.cube(sa.cast(list(point.ecef()), sa.ARRAY(sa.Float)))


def _is_sqlite(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"


def _has_cube(session: Session) -> bool:
    engine = session.get_bind().engine
    if engine not in _cube_known:
        found = sa.text("SELECT 1 FROM pg_extension WHERE extname = 'cube'")
        _cube_known[engine] = session.connection().execute(found).first() is not None
    return _cube_known[engine]
