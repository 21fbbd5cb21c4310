"""The nearest rows to a point, exactly, out of any number: a spatial index over earth-centred coordinates.

A box of latitudes and longitudes misses at the poles and at the date line; a box of x, y and z has no seam.
SQLite: an R*Tree that triggers keep in step. PostgreSQL: a GiST index over `cube`; without that extension the
rows are ranked one by one, which is slower and as exact. The indexes are made by the first migration; a table
needs the columns id, x, y and z, and a position is shown from latitude and longitude.
"""

import math
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlmodel import Session

from .geo import EARTH_RADIUS_KM, Distance, Point, geodesic

EXTRA = 8  # more rows than asked for, because chords and geodesics may order neighbours differently
FIRST_BOX_M = 2_000.0
GROWTH = 3.0
WHOLE_EARTH_M = 13_000_000.0  # a chord is never longer than the diameter; a box reaches as far each way
_cube_known: WeakKeyDictionary[sa.Engine, bool] = WeakKeyDictionary()


def nearest(
    session: Session, statement: sa.Select[Any], table: sa.Table, point: Point, limit: int
) -> Sequence[sa.Row[Any]]:
    """The `limit` nearest of the rows that the statement selects, nearest first, ties by id.

    The statement must select from `table` and may join and filter; rows without a position are left out.
    """
    chord2 = _chord2(table, point)
    wanted = limit + EXTRA
    # Rows are chosen by chord and put in order by the geodesic, which is what people are told.
    query = statement.where(table.c.x.is_not(None)).add_columns(
        table.c.latitude, table.c.longitude, table.c.id
    )
    ranked = query.order_by(chord2, table.c.id).limit(wanted)
    rows = _by_cube(session, ranked, query, table, point, wanted)
    if rows is None:
        reach = FIRST_BOX_M
        while True:
            rows = session.execute(
                ranked.where(_in_box(session, table, point, reach), chord2 <= reach**2)
            ).all()
            if len(rows) >= wanted or reach >= WHOLE_EARTH_M:
                break
            reach *= GROWTH
    return sorted(rows, key=lambda row: _order(point, row))[:limit]


def _order(point: Point, row: Sequence[Any]) -> tuple[float, int]:
    """By the columns that `nearest` added: latitude, longitude, id."""
    latitude, longitude, number = row[-3:]
    return geodesic(point, Point(latitude, longitude)).km, number


def within(session: Session, table: sa.Table, point: Point, distance: Distance) -> sa.ColumnElement[bool]:
    """A condition: not farther than `distance`, to half a per cent. An index narrows it, a chord decides."""
    reach = _chord_m(distance)
    return sa.and_(_in_box(session, table, point, reach), _chord2(table, point) <= reach**2)


def _by_cube(
    session: Session,
    ranked: sa.Select[Any],
    query: sa.Select[Any],
    table: sa.Table,
    point: Point,
    wanted: int,
) -> Sequence[sa.Row[Any]] | None:
    """PostgreSQL's index walks outwards by itself. None where there is no such index."""
    if session.get_bind().dialect.name == "sqlite":
        return None
    if not _has_cube(session):
        return session.execute(ranked).all()
    away = _cube(table).op("<->", return_type=sa.Float)(_cube_at(point))
    return session.execute(query.order_by(away, table.c.id).limit(wanted)).all()


def _in_box(session: Session, table: sa.Table, point: Point, reach: float) -> sa.ColumnElement[bool]:
    x, y, z = point.ecef()
    if session.get_bind().dialect.name == "sqlite":
        spot = sa.table(
            f"{table.name}_spot",
            *(sa.column(name) for name in ("id", "min_x", "max_x", "min_y", "max_y", "min_z", "max_z")),
        )
        boxed = sa.select(spot.c.id).where(
            spot.c.max_x >= x - reach, spot.c.min_x <= x + reach,
            spot.c.max_y >= y - reach, spot.c.min_y <= y + reach,
            spot.c.max_z >= z - reach, spot.c.min_z <= z + reach,
        )  # fmt: skip
        return table.c.id.in_(boxed)
    if _has_cube(session):
        return _cube(table).op("<@", return_type=sa.Boolean)(
            sa.func.cube_enlarge(_cube_at(point), reach, sa.literal(3))
        )
    return sa.and_(
        table.c.x.between(x - reach, x + reach),
        table.c.y.between(y - reach, y + reach),
        table.c.z.between(z - reach, z + reach),
    )


def _chord2(table: sa.Table, point: Point) -> sa.ColumnElement[float]:
    """Metres squared, straight through the earth: in the order of distances, and without a root."""
    x, y, z = point.ecef()
    return (
        (table.c.x - x) * (table.c.x - x)
        + (table.c.y - y) * (table.c.y - y)
        + (table.c.z - z) * (table.c.z - z)
    )


def _chord_m(distance: Distance) -> float:
    """The chord under an arc along the ground."""
    angle = min(distance.km / EARTH_RADIUS_KM, math.pi)
    return 2000 * EARTH_RADIUS_KM * math.sin(angle / 2)


def _cube(table: sa.Table) -> sa.ColumnElement[Any]:
    """As the index has it, to the letter."""
    at = ", ".join(f"coalesce({table.name}.{axis}, 0)" for axis in "xyz")
    return sa.literal_column(f"cube(ARRAY[{at}])")


def _cube_at(point: Point) -> sa.ColumnElement[Any]:
    return sa.func.cube(sa.cast(list(point.ecef()), sa.ARRAY(sa.Float)))


def _has_cube(session: Session) -> bool:
    engine = session.get_bind().engine
    if engine not in _cube_known:
        found = sa.text("SELECT 1 FROM pg_extension WHERE extname = 'cube'")
        _cube_known[engine] = session.connection().execute(found).first() is not None
    return _cube_known[engine]
