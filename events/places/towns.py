"""The towns within a window of the map, the best known first: what a map names.

The larger of two is not always the better known: Chicago has quarters that are larger than Evanston. What is known far
away has a name in many languages, which the directory lists. So a town weighs more the more people and names it has.
"""

import math
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from .geo import CELL_DEGREES, COLUMNS_OF_CELLS, Point
from .mercator import Box, latitude_of

HEAVY = 500_000  # some 6,000 towns of the earth: all of them are looked at in a third of a millisecond
# The literal conditions are what lets SQLite use these. Towns that nobody has counted weigh nothing.
INDEXES = (
    "CREATE INDEX IF NOT EXISTS place_weight ON place (weight DESC, latitude, longitude)"
    f" WHERE weight >= {HEAVY}",
    "CREATE INDEX IF NOT EXISTS place_cell ON place (cell, weight, latitude, longitude) WHERE weight > 0",
)
FEW_ROWS = 8  # of cells: in them all towns are looked at sooner than the heavy ones of the whole earth
WITHIN = "latitude BETWEEN ? AND ? AND (longitude BETWEEN ? AND ? OR longitude + 360 BETWEEN ? AND ?)"
ORDER = "ORDER BY weight DESC, id"
AMONG_HEAVY = f"SELECT id FROM place WHERE weight >= {HEAVY} AND {WITHIN} {ORDER} LIMIT ?"  # noqa: S608
AMONG_ALL = f"""
WITH span (first, last) AS (VALUES {{}})
SELECT id FROM span CROSS JOIN place ON cell BETWEEN first AND last WHERE weight > 0 AND {WITHIN} {ORDER} LIMIT ?
"""  # noqa: S608
TOWNS = f"SELECT name, latitude, longitude, population, weight FROM place WHERE id IN ({{}}) {ORDER}"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Town:
    name: str
    point: Point
    population: int
    weight: int


def weight(population: int, names: int) -> int:
    return round(population * math.pow(names, 0.75))


def towns(database: sqlite3.Connection, box: Box, most: int) -> list[Town]:
    """The best known `most` of those whose people were counted.

    Where heavy ones are rare there are few others too, so that looking at all of them in the window is quick.
    """
    west = (box.west + 180) % 360 - 180
    east = west + min(box.width, 360)
    south, north = latitude_of(box.south), latitude_of(box.north)
    within = (south, north, west, east, west, east, most)
    spans = list(_spans(south, north, west, east))
    found = database.execute(AMONG_HEAVY, within).fetchall() if len(spans) > FEW_ROWS else []
    if len(found) < most:
        values = ", ".join(f"({first}, {last})" for first, last in spans)
        found = database.execute(AMONG_ALL.format(values), within).fetchall()
    if not found:  # or SQLite would look through all places for those among none
        return []
    rows = database.execute(TOWNS.format(", ".join("?" * len(found))), [number for (number,) in found])
    return [Town(name, Point(latitude, longitude), *counts) for name, latitude, longitude, *counts in rows]


def _spans(south: float, north: float, west: float, east: float) -> Iterator[tuple[int, int]]:
    """First and last numbers of the cells in the window, row by row. A row is numbered from the meridian of Greenwich
    eastwards, so that a window across that takes two spans of it."""
    first = math.floor(west / CELL_DEGREES)
    width = min(math.floor(east / CELL_DEGREES) - first, COLUMNS_OF_CELLS - 1)
    first %= COLUMNS_OF_CELLS
    last = first + width
    for row in range(math.floor(south / CELL_DEGREES), math.floor(north / CELL_DEGREES) + 1):
        start = row * COLUMNS_OF_CELLS
        yield start + first, start + min(last, COLUMNS_OF_CELLS - 1)
        if last >= COLUMNS_OF_CELLS:
            yield start, start + last - COLUMNS_OF_CELLS
