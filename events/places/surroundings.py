"""What the directory lists around a reading, for territories that are given by postal codes or by regions."""

import math
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from .geo import KM_PER_DEGREE, Distance, Point, cells_around, great_circle
from .naming import fold
from .readings import COARSE_KM, CODE_KINDS, Interpretation

# Around a point the nearest code is looked for in these steps: a city may have a hundred thousand codes. Farther
# from all of them lies the sea, or nobody lives there.
STEPS = (Distance(2.0), Distance(10.0), Distance(60.0))
MOST_CODES = 1000  # of more around a town only the beginnings are told
BEGINNING = 3  # letters and digits

_IN_BOX = "FROM postal WHERE cell IN ({}) AND latitude BETWEEN ? AND ?"
_BETWEEN = " AND longitude BETWEEN ? AND ?"
CODES = f"SELECT country, key, latitude, longitude, region {_IN_BOX}"
BEGINNINGS = f"SELECT DISTINCT country, substr(key, 1, {BEGINNING}) || '*', region {_IN_BOX}"
REGIONS = "SELECT DISTINCT region FROM postal WHERE country = ? AND key >= ? AND key <= ?"
REGION_KEYS = "SELECT key FROM region_key WHERE country = ? AND code = ?"
REGION_CODES = "SELECT code FROM region_key WHERE key = ? AND country = ?"

Region = tuple[str, str]  # country, and a folded name or letters; of the country itself the empty name


@dataclass(frozen=True, slots=True)
class Surroundings:
    # By country: keys of the code that was typed, else of those around, or their beginnings: SW1A, E1*.
    codes: Mapping[str, tuple[str, ...]]
    regions: Mapping[Region, bool]  # those it may lie in; True: it does


class Nearby(NamedTuple):
    """A listed code near a point, or the beginning of several (with an asterisk)."""

    country: str
    key: str
    km: float
    region: str


def surroundings(database: sqlite3.Connection | None, place: Interpretation) -> Surroundings:
    """Of a code itself and its region; of a town the codes in it; of a point those it may belong to."""
    if database is None or not place.country:
        return Surroundings(_typed(place), {(place.country, ""): True} if place.country else {})
    if place.kind in CODE_KINDS:
        return Surroundings(_typed(place), _regions(database, _regions_of_code(database, place)))
    if place.kind == "country" or place.point is None or place.precision_km > COARSE_KM:
        return Surroundings({}, _regions(database, [(place.country, place.region)]))
    if place.kind in ("region", "place"):
        around = codes_in(database, place.point, Distance(place.precision_km))
        around = around or nearest(database, place.point)[:1]
        inside = [near for near in around if near.country == place.country and near.region]
        named = [(place.country, place.region)] if place.region else _named(inside)
        return Surroundings(_by_country(around), _regions(database, named or [(place.country, "")]))
    around = around_point(database, place.point, place.precision_km)
    return Surroundings(_by_country(around), _regions(database, _named(around)))


def _typed(place: Interpretation) -> dict[str, tuple[str, ...]]:
    return {place.country: place.codes} if place.country and place.codes else {}


def _by_country(around: Iterable[Nearby]) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {}
    for near in around:
        found.setdefault(near.country, {})[near.key] = None
    return {country: tuple(keys) for country, keys in found.items()}


# ---------------------------------------------------------------- regions


def _named(around: Iterable[Nearby]) -> list[Region]:
    return list(dict.fromkeys((near.country, near.region) for near in around))


def _regions_of_code(database: sqlite3.Connection, place: Interpretation) -> list[Region]:
    country = place.country or ""
    for key in place.codes:
        last = f"{key}\uffff" if place.kind == "postal_area" else key
        if found := database.execute(REGIONS, (country, key, last)).fetchall():
            return [(country, region) for (region,) in found]
    return [(country, "")]


def _regions(database: sqlite3.Connection, named: Iterable[Region]) -> dict[Region, bool]:
    """All names of these, which are given by code or by name. Of several it is sure of none."""
    distinct = set(named)
    one_country = len({country for country, _ in distinct}) == 1
    one_region = one_country and len({region for _, region in distinct if region}) == 1
    found = {(country, ""): one_country for country, _ in distinct}
    return found | {
        (country, key): one_region
        for country, region in distinct
        for key in _names(database, country, region)
    }


def _names(database: sqlite3.Connection, country: str, region: str) -> frozenset[str]:
    """The folded names and letters of a region that is given by its code or its name."""
    if not region:
        return frozenset()
    codes = {region, *(code for (code,) in database.execute(REGION_CODES, (fold(region), country)))}
    return frozenset(key for code in codes for (key,) in database.execute(REGION_KEYS, (country, code)))


# ---------------------------------------------------------------- codes


def around_point(database: sqlite3.Connection, point: Point, precision_km: float) -> list[Nearby]:
    """The codes that the point may belong to, if a place belongs to the code whose middle is nearest: within the
    precision of it another one may be."""
    found = nearest(database, point)
    if not found:
        return []
    reach = max(precision_km, found[0].km + 2 * precision_km)
    if reach > found[-1].km:
        found = codes_in(database, point, Distance(reach))
    return _told([near for near in found if near.km <= reach])


def nearest(database: sqlite3.Connection, point: Point) -> list[Nearby]:
    """Those of the first step that has any, the nearest first."""
    steps = (_near(point, _rows(database, CODES, point, reach), reach) for reach in STEPS)
    return next(filter(None, steps), [])


def codes_in(database: sqlite3.Connection, point: Point, reach: Distance) -> list[Nearby]:
    """All within `reach`, the nearest first; where they are too many, their beginnings."""
    rows = _rows(database, CODES, point, reach, MOST_CODES + 1)
    if len(rows) <= MOST_CODES:
        return _near(point, rows, reach)
    return [
        Nearby(country, key, 0.0, region)
        for country, key, region in _rows(database, BEGINNINGS, point, reach)
    ]


def _told(found: list[Nearby]) -> list[Nearby]:
    if len(found) <= MOST_CODES:
        return found
    return [near._replace(key=f"{near.key[:BEGINNING]}*") for near in found]


def _rows(
    database: sqlite3.Connection, query: str, point: Point, reach: Distance, most: int = -1
) -> list[Any]:
    """Of a box around the circle: across the date line and near the poles one of latitudes only."""
    cells, tall = cells_around(point, reach), 1.001 * reach.km / KM_PER_DEGREE
    wide = tall / math.cos(math.radians(min(abs(point.latitude) + tall, 89.0)))
    bounds = [point.latitude - tall, point.latitude + tall]
    if abs(point.longitude) + wide <= 180 and abs(point.latitude) + tall < 89:
        query += _BETWEEN
        bounds += [point.longitude - wide, point.longitude + wide]
    query = query.format(", ".join("?" * len(cells)))
    return database.execute(f"{query} LIMIT ?", (*cells, *bounds, most)).fetchall()


def _near(point: Point, rows: Iterable[Any], reach: Distance) -> list[Nearby]:
    found = (
        Nearby(country, key, great_circle(point, Point(latitude, longitude)).km, region)
        for country, key, latitude, longitude, region in rows
    )
    return sorted((near for near in found if near.km <= reach.km), key=lambda near: near.km)
