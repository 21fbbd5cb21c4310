"""The flat earth of maps: Mercator's projection, boxes on it, and tracks across the date line. Pure.

A position is (x, y) in degrees of longitude and in what is as long as these at the same place: x is the longitude, and
goes on beyond 180 where something crosses the date line; y is 0 at the equator and grows faster than the latitude.
Circles stay circles. The poles are infinitely far away: what lies beyond 85 degrees is drawn at 85.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self, TypeAlias

from .geo import EARTH_RADIUS_KM, KM_PER_DEGREE, Distance, Point

Position: TypeAlias = tuple[float, float]
Track: TypeAlias = list[Position]  # x goes on from each position to the next, without a jump

FARTHEST_LATITUDE = 85.0
CORNERS_OF_A_CIRCLE = 72


def y_of(latitude: float) -> float:
    within = max(-FARTHEST_LATITUDE, min(FARTHEST_LATITUDE, latitude))
    return math.degrees(math.asinh(math.tan(math.radians(within))))


def latitude_of(y: float) -> float:
    return math.degrees(math.atan(math.sinh(math.radians(y))))


FARTHEST_Y = y_of(FARTHEST_LATITUDE)


class Box(NamedTuple):
    """What lies between two values of x and two of y. `east` may be beyond 180."""

    west: float
    south: float
    east: float
    north: float

    @property
    def width(self) -> float:
        return self.east - self.west

    @property
    def height(self) -> float:
        return self.north - self.south

    @property
    def ground_width(self) -> Distance:
        """From side to side, halfway up: the scale differs from one latitude to another."""
        return Distance(self.width * _km_per_degree((self.south + self.north) / 2))

    def grown(self, part: float) -> Self:
        """By a part of its size on each side, but not beyond the poles or once more around the earth."""
        aside = min(self.width * part, max(180 - self.width / 2, 0.0))
        return type(self)(
            self.west - aside,
            max(self.south - self.height * part, -FARTHEST_Y),
            self.east + aside,
            min(self.north + self.height * part, FARTHEST_Y),
        )

    def shifted(self, x: float) -> Self:
        return type(self)(self.west + x, self.south, self.east + x, self.north)

    def holds(self, other: "Box") -> bool:
        return (
            self.west <= other.west
            and other.east <= self.east
            and self.south <= other.south
            and other.north <= self.north
        )


def track(points: Sequence[Point], *, closed: bool = False) -> Track:
    """From each point to the next the shorter way around. What is closed around a pole is closed over it."""
    going: Track = []
    for point in points:
        x = point.longitude
        if going:
            x += 360 * round((going[-1][0] - x) / 360)
        going.append((x, y_of(point.latitude)))
    if not closed or not going:
        return going
    turn = 360 * round((going[-1][0] - going[0][0]) / 360)
    if not turn:
        return going
    pole = math.copysign(FARTHEST_Y, sum(y for _, y in going))
    start = going[0]
    return [*going, (start[0] + turn, start[1]), (start[0] + turn, pole), (start[0], pole)]


def circle(centre: Point, radius: Distance) -> list[Point]:
    """Points as far from the centre as `radius`, on a sphere."""
    phi, lam = math.radians(centre.latitude), math.radians(centre.longitude)
    arc = radius.km / EARTH_RADIUS_KM
    points = []
    for corner in range(CORNERS_OF_A_CIRCLE):
        bearing = math.tau * corner / CORNERS_OF_A_CIRCLE
        sine = math.sin(phi) * math.cos(arc) + math.cos(phi) * math.sin(arc) * math.cos(bearing)
        east = math.sin(bearing) * math.sin(arc) * math.cos(phi)
        longitude = math.degrees(lam + math.atan2(east, math.cos(arc) - math.sin(phi) * sine))
        points.append(
            Point(math.degrees(math.asin(max(-1.0, min(1.0, sine)))), (longitude + 180) % 360 - 180)
        )
    return points


def smallest_box(tracks: Iterable[Track]) -> Box | None:
    """Around all tracks, leaving out the widest empty stretch of the earth; None around nothing."""
    spans, heights = [], []
    for positions in tracks:
        west, east = min(x for x, _ in positions), max(x for x, _ in positions)
        start = (west + 180) % 360 - 180
        spans.append((start, start + min(east - west, 360.0)))
        heights += [y for _, y in positions]
    if not spans:
        return None
    west = _after_widest_gap(spans)
    east = max(west + (start - west) % 360 + end - start for start, end in spans)
    return Box(west, min(heights), min(east, west + 360), max(heights))


def fitted(box: Box, *, aspect: float, margin: float, least: Distance) -> Box:
    """Widened to an aspect (width by height) and at least so wide on the ground, with a margin on each side.

    Not wider than the earth, unless its height asks for it.
    """
    x, y = ((box.west + box.east) / 2 + 180) % 360 - 180, (box.south + box.north) / 2
    from_height = box.height * (1 + 2 * margin) * aspect
    wanted = max(box.width * (1 + 2 * margin), from_height, least.km / _km_per_degree(y))
    width = min(wanted, max(360.0, from_height))
    height = width / aspect
    room = max(FARTHEST_Y - height / 2, 0.0)
    y = max(-room, min(room, y))
    return Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def _after_widest_gap(spans: Sequence[tuple[float, float]]) -> float:
    """Where, going east, something begins again after the widest stretch of nothing."""
    reach = max(end for _, end in spans) - 360
    widest, begins = -math.inf, spans[0][0]
    for start, end in sorted(spans):
        if start - reach > widest:
            widest, begins = start - reach, start
        reach = max(reach, end)
    return begins


def _km_per_degree(y: float) -> float:
    return KM_PER_DEGREE * math.cos(math.radians(latitude_of(y)))
