"""Areas drawn on the map, as GeoJSON (RFC 7946) has them: whether a point lies in one, and how near its edge. Pure.

Of our own, because the one library for it brings a compiled geometry engine and still knows no date line: here
a ring goes on beyond 180 degrees, and a point is looked for on every turn of the earth.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from ..errors import Unreadable, say
from .geo import KM_PER_DEGREE, Point

MOST_CORNERS = 5000
TURNS = (-360.0, 0.0, 360.0)

Ring = tuple[tuple[float, float], ...]  # (longitude, latitude), closed, without a jump at the date line
_NOT_AN_AREA = say("An area is a GeoJSON Polygon or MultiPolygon (RFC 7946), such as from geojson.io.")


@dataclass(frozen=True, slots=True)
class Shape:
    """One polygon: its outer ring, then its holes."""

    rings: tuple[Ring, ...]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(west, south, east, north); east may be beyond 180."""
        longitudes, latitudes = zip(*self.rings[0], strict=True)
        return min(longitudes), min(latitudes), max(longitudes), max(latitudes)

    def contains(self, point: Point) -> bool:
        """By the number of edges west of the point: odd inside, even outside or in a hole."""
        return any(self._contains(point.longitude + turn, point.latitude) for turn in TURNS)

    def edge_km(self, point: Point) -> float:
        """How far the nearest edge is, to a per cent within 100 km."""
        return min(
            _km_to(one, other, point.longitude + turn, point.latitude)
            for turn in TURNS
            for ring in self.rings
            for one, other in pairwise(ring)
        )

    def _contains(self, x: float, y: float) -> bool:
        west, south, east, north = self.box
        if not (west <= x <= east and south <= y <= north):
            return False
        inside = False
        for ring in self.rings:
            for (ax, ay), (bx, by) in pairwise(ring):
                if (ay > y) != (by > y) and x < ax + (y - ay) / (by - ay) * (bx - ax):
                    inside = not inside
        return inside

    @classmethod
    def all_of(cls, text: str) -> tuple[Self, ...]:
        """The polygons of a GeoJSON text. Raises Unreadable."""
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise Unreadable(_NOT_AN_AREA) from error
        shapes = tuple(cls(rings) for rings in _polygons(found))
        if not shapes:
            raise Unreadable(_NOT_AN_AREA)
        if sum(len(ring) for shape in shapes for ring in shape.rings) > MOST_CORNERS:
            raise Unreadable(
                say("The area has more than %(most)d corners: simplify its outline.", most=MOST_CORNERS)
            )
        return shapes


def _polygons(thing: object) -> Iterator[tuple[Ring, ...]]:
    match thing:
        case {"type": "FeatureCollection", "features": list(things)}:
            for each in things:
                yield from _polygons(each)
        case {"type": "GeometryCollection", "geometries": list(things)}:
            for each in things:
                yield from _polygons(each)
        case {"type": "Feature", "geometry": geometry}:
            yield from _polygons(geometry)
        case {"type": "MultiPolygon", "coordinates": list(polygons)}:
            for polygon in polygons:
                yield from _polygons({"type": "Polygon", "coordinates": polygon})
        case {"type": "Polygon", "coordinates": [_, *_] as rings}:
            yield tuple(_ring(ring) for ring in rings)
        case Mapping():
            raise Unreadable(_NOT_AN_AREA)
        case _:
            raise Unreadable(_NOT_AN_AREA)


def _ring(positions: object) -> Ring:
    """Closed, and with steps of less than half the earth: a step from 179 to -179 goes on to 181."""
    if not isinstance(positions, list) or len(positions) < 3:
        raise Unreadable(_NOT_AN_AREA)
    corners = [_position(position) for position in positions]
    if corners[0] != corners[-1]:
        corners.append(corners[0])
    if len(corners) < 4:
        raise Unreadable(_NOT_AN_AREA)
    ring = [corners[0]]
    for x, y in corners[1:]:
        last = ring[-1][0]
        ring.append((x - 360 * round((x - last) / 360), y))
    if abs(ring[-1][0] - ring[0][0]) > 1e-9:
        raise Unreadable(
            say("The area goes around a pole, which a flat outline cannot say. Cut it in two at a meridian.")
        )
    return tuple(ring)


def _position(position: object) -> tuple[float, float]:
    match position:
        case [int() | float() as x, int() | float() as y, *_]:
            if -540 <= x <= 540 and -90 <= y <= 90:
                return float(x), float(y)
    raise Unreadable(say("A corner of the area is not on earth: GeoJSON has longitude first, then latitude."))


def _km_to(one: tuple[float, float], other: tuple[float, float], x: float, y: float) -> float:
    """From a point to a segment, on the plane that touches the earth there."""
    stretch = max(math.cos(math.radians(y)), 0.01)
    ax, ay = (one[0] - x) * stretch, one[1] - y
    bx, by = (other[0] - x) * stretch, other[1] - y
    dx, dy = bx - ax, by - ay
    length = dx * dx + dy * dy
    along = 0.0 if length == 0 else min(1.0, max(0.0, -(ax * dx + ay * dy) / length))
    return math.hypot(ax + along * dx, ay + along * dy) * KM_PER_DEGREE


def cells(boxes: Sequence[tuple[float, float, float, float]], size: float) -> set[tuple[int, int]]:
    """The squares of `size` degrees, by row and column, that boxes (west, south, east, north) touch."""
    columns = round(360 / size)
    return {
        (row, column % columns)
        for west, south, east, north in boxes
        for row in range(math.floor(south / size), math.floor(north / size) + 1)
        for column in range(math.floor(west / size), math.floor(east / size) + 1)
    }
