"""Where numbered pins stand on a map, so that each number can be read: at its point, or aside on a short line. Pure."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TypeAlias

Pixel: TypeAlias = tuple[float, float]

# As parts of how far the middles of two pins must be apart.
CLEAR = 0.7  # from a pin to what it must not cover
EDGE = 0.52  # from the middle of a pin to the sides of the map
ASIDE = (1.05, 1.3, 1.6, 2.0, 2.5, 3.1)
DIRECTIONS = 16


def placed(
    points: Sequence[Pixel], size: tuple[float, float], *, apart: float, clear: Sequence[Pixel] = ()
) -> list[Pixel | None]:
    """For each point, in order, the middle of its pin; None where no room is left, for a dot without a number.

    No pin covers a point in `clear`, and none that stands aside covers the point of another.
    """
    board = _Board(points, size, apart, clear)
    middle = [sum(point[axis] for point in points) / max(len(points), 1) for axis in (0, 1)]
    places: list[Pixel | None] = []
    for point in points:
        outwards = math.atan2(point[1] - middle[1], point[0] - middle[0])
        aside = (place for place in _around(point, outwards, apart) if board.has_room(place, aside=True))
        place = point if board.has_room(point, aside=False) else next(aside, None)
        if place is not None:
            board.take(place)
        places.append(place)
    return places


def _around(point: Pixel, outwards: float, apart: float) -> Iterator[Pixel]:
    """Farther and farther from the point; on the side away from the others first, so that few lines cross."""
    for radius in ASIDE:
        for number in range(DIRECTIONS):
            turn = (number + 1) // 2 * (1 if number % 2 else -1)
            angle = outwards + math.tau * turn / DIRECTIONS
            yield point[0] + radius * apart * math.cos(angle), point[1] + radius * apart * math.sin(angle)


class _Board:
    """What of the map is taken."""

    def __init__(
        self, points: Sequence[Pixel], size: tuple[float, float], apart: float, clear: Sequence[Pixel]
    ) -> None:
        self._size, self._apart = size, apart
        self._pins, self._clear, self._points = _Near(apart, ()), _Near(apart, clear), _Near(apart, points)

    def has_room(self, place: Pixel, *, aside: bool) -> bool:
        edge, covered = EDGE * self._apart, CLEAR * self._apart
        return (
            all(edge <= at <= end - edge for at, end in zip(place, self._size, strict=True))
            and not self._pins.any_within(self._apart, place)
            and not self._clear.any_within(covered, place)
            and not (aside and self._points.any_within(covered, place))
        )

    def take(self, place: Pixel) -> None:
        self._pins.add(place)


class _Near:
    """Points by cells, so that a hundred are as quickly looked at as ten."""

    def __init__(self, cell: float, points: Sequence[Pixel]) -> None:
        self._cell = cell
        self._points: defaultdict[tuple[int, int], list[Pixel]] = defaultdict(list)
        for point in points:
            self.add(point)

    def add(self, point: Pixel) -> None:
        self._points[math.floor(point[0] / self._cell), math.floor(point[1] / self._cell)].append(point)

    def any_within(self, distance: float, of: Pixel) -> bool:
        """`distance` is at most the size of a cell."""
        column, row = math.floor(of[0] / self._cell), math.floor(of[1] / self._cell)
        return any(
            math.dist(point, of) < distance
            for x in (column - 1, column, column + 1)
            for y in (row - 1, row, row + 1)
            for point in self._points.get((x, y), ())
        )
