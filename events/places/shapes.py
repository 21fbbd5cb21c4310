"""Areas drawn on the map, as GeoJSON (RFC 7946) has them: whether a point lies in one, and how near its edge. Pure.

Of our own, because the one library for it brings a compiled geometry engine and still knows no date line: here
a ring goes on beyond 180 degrees, and a point is looked for on every turn of the earth.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

from ..errors import Unreadable, say
from .geo import KM_PER_DEGREE, Point

MOST_CORNERS = 5000
DEEPEST = 8  # collections within collections
TURNS = (-360.0, 0.0, 360.0)

Ring = tuple[tuple[float, float], ...]  # (longitude, latitude), closed, without a jump at the date line
Box = tuple[float, float, float, float]  # west, south, east, north; east may be beyond 180
_NOT_AN_AREA = say("An area is a GeoJSON Polygon or MultiPolygon (RFC 7946), such as from geojson.io.")


@dataclass(frozen=True, slots=True)
class Shape:
    """One polygon: its outer ring, then its holes."""

    rings: tuple[Ring, ...]
    box: Box = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        longitudes, latitudes = zip(*self.rings[0], strict=True)
        box = min(longitudes), min(latitudes), max(longitudes), max(latitudes)
        object.__setattr__(self, "box", box)

    def contains(self, point: Point) -> bool:
        """By the number of edges west of the point: odd inside, even outside or in a hole."""
        return any(self._contains(x, point.latitude) for x in self._turns(point, 0.0))

    def is_near(self, point: Point, km: float) -> bool:
        """Whether an edge is nearer, to a per cent within 100 km."""
        return any(
            _km_to(one, other, x, point.latitude) < km
            for x in self._turns(point, km)
            for ring in self.rings
            for one, other in pairwise(ring)
        )

    def _turns(self, point: Point, km: float) -> Iterator[float]:
        """The longitude on each turn of the earth that brings it within some distance of the box."""
        west, south, east, north = self.box
        tall = km / KM_PER_DEGREE
        wide = tall / _stretch(point.latitude)
        if south - tall <= point.latitude <= north + tall:
            turned = (point.longitude + turn for turn in TURNS)
            yield from (x for x in turned if west - wide <= x <= east + wide)

    def _contains(self, x: float, y: float) -> bool:
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


def _polygons(thing: object, deep: int = 0) -> Iterator[tuple[Ring, ...]]:
    if deep > DEEPEST:
        raise Unreadable(_NOT_AN_AREA)
    match thing:
        case {"type": "FeatureCollection", "features": list(things)}:
            for each in things:
                yield from _polygons(each, deep + 1)
        case {"type": "GeometryCollection", "geometries": list(things)}:
            for each in things:
                yield from _polygons(each, deep + 1)
        case {"type": "Feature", "geometry": geometry}:
            yield from _polygons(geometry, deep + 1)
        case {"type": "MultiPolygon", "coordinates": list(polygons)}:
            for polygon in polygons:
                yield from _polygons({"type": "Polygon", "coordinates": polygon}, deep + 1)
        case {"type": "Polygon", "coordinates": [_, *_] as rings}:
            outer, *holes = map(_ring, rings)
            yield (outer, *(_turned_to(outer, hole) for hole in holes))
        case _:
            raise Unreadable(_NOT_AN_AREA)


def _ring(positions: object) -> Ring:
    """Closed, and with steps of less than half the earth: a step from 179 to -179 goes on to 181.

    Outlines of the whole earth and of Antarctica are flat ones (RFC 7946 3.1.1): they go along the edges of the map.
    """
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
    is_closed = ring[0] == ring[-1]
    if not is_closed and all(abs(y) < 90 for _, y in corners):
        raise Unreadable(
            say("The area goes around a pole, which a flat outline cannot say. Cut it in two at a meridian.")
        )
    if not is_closed or _width(ring) == 0:
        ring = corners
    if _width(ring) > 360:
        raise Unreadable(_NOT_AN_AREA)
    return _turned(ring, -360 * round(ring[0][0] / 360))


def _width(ring: Sequence[tuple[float, float]]) -> float:
    return max(x for x, _ in ring) - min(x for x, _ in ring)


def _turned(ring: Sequence[tuple[float, float]], degrees: float) -> Ring:
    return tuple((x + degrees, y) for x, y in ring)


def _turned_to(outer: Ring, hole: Ring) -> Ring:
    """On the same turn of the earth."""
    away = min(x for x, _ in outer) + _width(outer) / 2 - min(x for x, _ in hole) - _width(hole) / 2
    return _turned(hole, 360 * round(away / 360))


def _position(position: object) -> tuple[float, float]:
    match position:
        case [int() | float() as x, int() | float() as y, *_] if bool not in (type(x), type(y)):
            if -540 <= x <= 540 and -90 <= y <= 90:  # neither NaN nor infinity is, which Python's JSON knows
                return float(x), float(y)
    raise Unreadable(say("A corner of the area is not on earth: GeoJSON has longitude first, then latitude."))


def _stretch(latitude: float) -> float:
    """How much shorter a degree of longitude is than one of latitude."""
    return max(math.cos(math.radians(latitude)), 0.01)


def _km_to(one: tuple[float, float], other: tuple[float, float], x: float, y: float) -> float:
    """From a point to a segment, on the plane that touches the earth there."""
    stretch = _stretch(y)
    ax, ay = (one[0] - x) * stretch, one[1] - y
    bx, by = (other[0] - x) * stretch, other[1] - y
    dx, dy = bx - ax, by - ay
    length = dx * dx + dy * dy
    along = 0.0 if length == 0 else min(1.0, max(0.0, -(ax * dx + ay * dy) / length))
    return math.hypot(ax + along * dx, ay + along * dy) * KM_PER_DEGREE


def cells(boxes: Sequence[Box], size: float) -> set[tuple[int, int]]:
    """The squares of `size` degrees, by row and column, that the boxes touch."""
    columns = round(360 / size)
    return {
        (row, column % columns)
        for west, south, east, north in boxes
        for row in range(math.floor(south / size), math.floor(north / size) + 1)
        for column in range(math.floor(west / size), math.floor(east / size) + 1)
    }
