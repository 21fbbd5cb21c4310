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
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlmodel import Session

from ..later import loaded_later
from .geo import EARTH_RADIUS_KM, FARTHEST_KM, Distance, Point, geodesic

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql
else:
    postgresql = loaded_later("sqlalchemy.dialects.postgresql")

EXTRA = 4  # more rows than asked for, so that the last place is rarely in doubt
MOST_ROWS = 500  # fetched to settle who is last among rows that are all as far away as each other
FIRST_REACH_M = 50_000.0
FINEST_REACH_M = 50.0
CROWDED = 20  # spots in the box for each row wanted: a smaller box is quicker
ZOOM = 4.0
WHOLE_EARTH_M = 13_000_000.0  # a chord is never longer than the diameter
# The earth is curved nowhere more and nowhere less than a sphere of these radii (WGS84: a(1-e²) and a²/b).
TIGHTEST_M, WIDEST_M = 6_335_439.0, 6_399_594.0

SQLITE, CUBE, PLAIN = "sqlite", "cube", "plain"  # which index there is
SPOT_COLUMNS = ("id", "min_x", "max_x", "min_y", "max_y", "min_z", "max_z")
# How many spots lie in a box, counted no further than it matters.
COUNT_SPOTS = """
SELECT count(*) FROM (SELECT 1 FROM {table}_spot WHERE max_x >= ? AND min_x <= ? AND max_y >= ? AND min_y <= ?
  AND max_z >= ? AND min_z <= ? LIMIT ?)
"""
_usual_reach: WeakKeyDictionary[sa.Engine, dict[str, float]] = WeakKeyDictionary()  # by table
_cube_known: WeakKeyDictionary[sa.Engine, bool] = WeakKeyDictionary()


class Spot(NamedTuple):
    """Where, and how far around it, as SQL: metres."""

    x: sa.BindParameter[float]
    y: sa.BindParameter[float]
    z: sa.BindParameter[float]
    reach: sa.BindParameter[float]


# Expressions over it are made once and filled in when executed: making one takes longer than the search.
WANTED = sa.bindparam("here_wanted", type_=sa.Integer())
HERE = Spot(*(sa.bindparam(f"here_{name}", type_=sa.Float()) for name in Spot._fields))


def nearest(
    session: Session, statement: sa.Select[Any], table: sa.Table, point: Point, limit: int
) -> list[sa.Row[Any]]:
    """The `limit` nearest of the rows that the statement selects, nearest first, ties by id.

    The statement must select from `table`, each row once, and may join and filter; rows without a position are
    left out. Five columns are added behind its own: the chord's square, x, y, z and id. Only x, y and z place a
    row: a branch whose address is confidential has those of its area, whatever its coordinates are.
    """
    by = _by_boxes if index_of(session) == SQLITE else _by_distance
    wanted = limit + EXTRA
    while True:
        rows = by(session, statement, table, point, wanted)
        if len(rows) < wanted or wanted >= MOST_ROWS or _is_settled(rows, limit):
            return _in_order(rows, point, limit)
        wanted *= 4


def within(
    session: Session, table: sa.Table, point: Point, distance: Distance, *, by_index: bool = True
) -> sa.ColumnElement[bool]:
    """A condition: not farther than `distance`, to half a per cent. An index narrows it, a chord decides.

    Without the index the chord alone, for who is in a crowd (`is_crowded`) and takes the first of it in an order of
    their own: those are found sooner by that order than by looking at all that are near.
    """
    reach, index = _chord_m(distance), index_of(session)
    spot = Spot(*(sa.literal(metres, sa.Float()) for metres in (*point.ecef(), reach)))
    near = _chord2(table, spot) <= reach**2
    return sa.and_(_in_box(index, table, spot), near) if by_index and reach < WHOLE_EARTH_M / 2 else near


def is_crowded(session: Session, table: sa.Table, point: Point, distance: Distance, most: int) -> bool:
    """Whether more than `most` are so near, looked at no further. Without an index nobody knows that soon."""
    reach, index = _chord_m(distance), index_of(session)
    if index == PLAIN or reach >= WHOLE_EARTH_M / 2:
        return True
    if index == SQLITE:
        return _spots(session, table, point, reach, most + 1) > most
    here = {**_here(point, reach), WANTED.key: most + 1}
    number: int = session.execute(_counted_in_box(table), here).scalar_one()
    return number > most


@cache
def _counted_in_box(table: sa.Table) -> sa.Select[int]:
    """For PostgreSQL, up to WANTED."""
    boxed = sa.select(table.c.id).where(_in_box(CUBE, table, HERE)).limit(WANTED)
    return sa.select(sa.func.count()).select_from(boxed.subquery())


def _spots(session: Session, table: sa.Table, point: Point, reach: float, most: int) -> int:
    """How many are in the box, counted up to `most`: SQLite's index knows without the table."""
    bounds = (bound for middle in point.ecef() for bound in (middle - reach, middle + reach))
    count = COUNT_SPOTS.format(table=table.name)
    number = session.connection().exec_driver_sql(count, (*bounds, most)).scalar_one()
    return int(number)


@cache
def within_here(index: str, table: sa.Table) -> sa.ColumnElement[bool]:
    """As `within`, for a statement that is made once (for what `index_of` says) and filled in with `here`."""
    return sa.and_(_in_box(index, table, HERE), _chord2(table, HERE) <= HERE.reach * HERE.reach)


def here(point: Point, distance: Distance) -> dict[str, float]:
    """The values of HERE for what lies within the distance."""
    return _here(point, _chord_m(distance))


@lru_cache(64)
def _placed(statement: sa.Select[Any], table: sa.Table) -> sa.Select[Any]:
    """With what ranks its rows. Kept for statements that are: to make one takes as long as the search."""
    return statement.where(table.c.x.is_not(None)).add_columns(*_added(table))


@lru_cache(64)
def _boxed(statement: sa.Select[Any], table: sa.Table) -> tuple[sa.Select[Any], sa.Select[Any]]:
    """As SQLite is asked for the first rows of the whole earth, and for those of a box."""
    ranked = _placed(statement, table).order_by(_added(table)[0], table.c.id).limit(WANTED)
    return ranked, ranked.where(_in_box_here(table))


def _by_boxes(
    session: Session, statement: sa.Select[Any], table: sa.Table, point: Point, wanted: int
) -> Sequence[sa.Row[Any]]:
    """Rows of a box that is widened until everything nearer than the last row lies inside."""
    ranked, boxed = _boxed(statement, table)
    reach = _first_reach(session, table, point, wanted)
    while True:
        here = {**_here(point, reach), WANTED.key: wanted}
        rows = session.execute(boxed if reach < WHOLE_EARTH_M else ranked, here).all()
        farthest = _chord(rows[-1]) if len(rows) == wanted else math.inf
        if farthest <= reach or reach >= WHOLE_EARTH_M:
            return rows
        reach = min(reach * ZOOM, farthest * 1.0001)


def _first_reach(session: Session, table: sa.Table, point: Point, wanted: int) -> float:
    """Half the side of a box with enough spots, but not a whole city of them: counting takes microseconds.

    Begins with what was right the last time, goes by a factor of ZOOM until it was too small once and crowded
    once, then bisects by the ratio: the middle of 1 m and 10 km is 100 m.
    """
    most = wanted * CROWDED
    usual = _usual_reach.setdefault(session.get_bind().engine, {})
    reach, too_small, crowded = usual.get(table.name, FIRST_REACH_M), FINEST_REACH_M, WHOLE_EARTH_M
    while crowded > 1.05 * too_small:
        found = _spots(session, table, point, reach, most)
        if found >= most:
            crowded = reach
        elif found >= 2 * wanted:
            usual[table.name] = reach
            return reach
        else:
            too_small = reach
        reach = min(max(math.sqrt(too_small * crowded), crowded / ZOOM), too_small * ZOOM)
    return crowded


def _by_distance(
    session: Session, statement: sa.Select[Any], table: sa.Table, point: Point, wanted: int
) -> Sequence[sa.Row[Any]]:
    """PostgreSQL's index walks outwards by itself, if it is asked for one order only; so all ties come."""
    query = _placed(statement, table)
    away = _cube_away(table) if index_of(session) == CUBE else _added(table)[0]
    rows = session.execute(query.order_by(away).fetch(wanted, with_ties=True), _here(point, 0.0)).all()
    return sorted(rows, key=lambda row: (_chord(row), _id(row)))[:wanted]


def _is_settled(rows: Sequence[sa.Row[Any]], limit: int) -> bool:
    """Whether no row beyond these could be among the first `limit`."""
    last, beyond = _chord(rows[limit - 1]), _chord(rows[-1])
    return last == beyond or _shortest_m(beyond) > _longest_m(last)


def _in_order(rows: Sequence[sa.Row[Any]], point: Point, limit: int) -> list[sa.Row[Any]]:
    """By the geodesic, then id. It is computed only where chords leave the order open: it takes 100 µs."""
    ordered: list[sa.Row[Any]] = []
    for run in _runs(rows):
        if len(ordered) >= limit:
            break
        if len(run) > 1:
            exact = cache(lambda x, y, z: geodesic(point, Point.from_ecef(x, y, z)).km)
            run.sort(key=lambda row: (exact(*row[-4:-1]), _id(row)))
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
    """Metres, from what `_added` put behind the row's own columns."""
    chord2, *_ = row[-5:]
    return math.sqrt(chord2)


def _id(row: sa.Row[Any]) -> int:
    *_, number = row[-1:]
    return int(number)


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


def _here(point: Point, reach: float) -> dict[str, float]:
    """The values of HERE."""
    return dict(zip((value.key for value in HERE), (*point.ecef(), reach), strict=True))


@cache
def _added(table: sa.Table) -> tuple[sa.ColumnElement[Any], ...]:
    return _chord2(table, HERE).label("chord2"), table.c.x, table.c.y, table.c.z, table.c.id


def _chord2(table: sa.Table, at: Spot) -> sa.ColumnElement[float]:
    """Metres squared: in the order of distances, and without a root."""
    dx, dy, dz = table.c.x - at.x, table.c.y - at.y, table.c.z - at.z
    return dx * dx + dy * dy + dz * dz


@cache
def _in_box_here(table: sa.Table) -> sa.ColumnElement[bool]:
    return _in_box(SQLITE, table, HERE)


def _in_box(index: str, table: sa.Table, at: Spot) -> sa.ColumnElement[bool]:
    x, y, z, reach = at
    if index == SQLITE:
        spot = sa.table(f"{table.name}_spot", *map(sa.column, SPOT_COLUMNS))
        boxed = sa.select(spot.c.id).where(
            spot.c.max_x >= x - reach, spot.c.min_x <= x + reach,
            spot.c.max_y >= y - reach, spot.c.min_y <= y + reach,
            spot.c.max_z >= z - reach, spot.c.min_z <= z + reach,
        )  # fmt: skip
        return table.c.id.in_(boxed)
    if index == CUBE:
        around = sa.func.cube_enlarge(sa.func.cube(postgresql.array((x, y, z))), reach, sa.literal(3))
        return _cube(table).op("<@", return_type=sa.Boolean())(around)
    return sa.and_(
        table.c.x.between(x - reach, x + reach),
        table.c.y.between(y - reach, y + reach),
        table.c.z.between(z - reach, z + reach),
    )


@cache
def _cube_away(table: sa.Table) -> sa.ColumnElement[float]:
    here = sa.func.cube(postgresql.array(HERE[:3]))
    return _cube(table).op("<->", return_type=sa.Float())(here)


def _cube(table: sa.Table) -> sa.ColumnElement[Any]:
    """As the index has it, to the letter."""
    at = ", ".join(f"coalesce({table.name}.{axis}, 0)" for axis in "xyz")
    return sa.literal_column(f"cube(ARRAY[{at}])")


def index_of(session: Session) -> str:
    """Which index there is. An extension that is added while we run is noticed at the next start."""
    if session.get_bind().dialect.name == "sqlite":
        return SQLITE
    engine = session.get_bind().engine
    if engine not in _cube_known:
        found = sa.text("SELECT 1 FROM pg_extension WHERE extname = 'cube'")
        _cube_known[engine] = session.connection().execute(found).first() is not None
    return CUBE if _cube_known[engine] else PLAIN
