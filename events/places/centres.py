"""From the rows of one postal code to one point, and how far from it an address may be. Pure."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence

from .geo import Distance, Point, great_circle
from .packages import PostalRow

CELLS_DEGREES = (0.05, 0.2, 1.0, 5.0)
ENOUGH_POINTS = 4
ALONE_KM = 50.0
FINEST_KM = 0.5
KM_PER_DEGREE = 111.2


def centre(rows: Sequence[PostalRow]) -> tuple[Point, Distance, PostalRow]:
    """The middle of rows with coordinates, how far nine of ten lie at most, and the row to name it by.

    The middle is the median, because single rows of GeoNames lie in another province.
    """
    if len(rows) == 1:
        return _point(rows[0]), Distance(0.0), rows[0]
    latitudes, longitudes = zip(*((row.latitude or 0.0, row.longitude or 0.0) for row in rows), strict=True)
    middle = Point(round(statistics.median(latitudes), 5), round(_middle_longitude(longitudes), 5))
    distances = [great_circle(middle, _point(row)).km for row in rows]
    spread = sorted(distances)[math.ceil(0.9 * len(rows)) - 1]
    _, _, name = min(
        (-row.accuracy, distance, number)
        for number, (row, distance) in enumerate(zip(rows, distances, strict=True))
    )
    return middle, Distance(spread), rows[name]


def reaches(points: Sequence[Point], others: Iterable[tuple[float, float]] = ()) -> list[Distance]:
    """How far each code of one country reaches, guessed from how closely its neighbours stand.

    `others` are points (latitude, longitude) of the same country that stand there already.

    The radius of each one's share, if the points of the smallest grid cell that holds enough of them shared
    it evenly. A single row says nothing of its size, and most codes have one. Of 17,429 US and 4,087 UK
    libraries nine of ten lie within what `centre` and this say of their codes.
    """
    distinct = {(point.latitude, point.longitude) for point in points}.union(others)
    grids = [(size, Counter(_cell(at, size) for at in distinct)) for size in CELLS_DEGREES]
    return [_reach((point.latitude, point.longitude), grids) for point in points]


def _reach(at: tuple[float, float], grids: Iterable[tuple[float, Counter[tuple[int, int]]]]) -> Distance:
    for size, grid in grids:
        count = grid[_cell(at, size)]
        if count >= ENOUGH_POINTS:
            area = (size * KM_PER_DEGREE) ** 2 * max(math.cos(math.radians(at[0])), 0.01)
            return Distance(max(math.sqrt(area / count / math.pi), FINEST_KM))
    return Distance(ALONE_KM)


def _cell(at: tuple[float, float], size: float) -> tuple[int, int]:
    return math.floor(at[0] / size), math.floor(at[1] / size)


def _point(row: PostalRow) -> Point:
    return Point(row.latitude or 0.0, row.longitude or 0.0)


def _middle_longitude(longitudes: Sequence[float]) -> float:
    """The median, also of points on both sides of the date line."""
    if max(longitudes) - min(longitudes) <= 180:
        return statistics.median(longitudes)
    middle = statistics.median(longitude % 360 for longitude in longitudes)
    return middle - 360 if middle > 180 else middle
