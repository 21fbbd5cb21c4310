"""From the rows of one postal code to one point, and how far from it an address may be. Pure."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from .geo import KM_PER_DEGREE, Distance, Point, great_circle
from .packages import PostalRow

CELLS_DEGREES = (0.05, 0.2, 1.0, 5.0)
ENOUGH_POINTS = 4
ALONE_KM = 50.0
FINEST_KM = 0.5


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


def areas(
    places: Iterable[tuple[str, str, float, float, int]],
) -> Iterator[tuple[str, str, float, float, float, int]]:
    """(country, region, latitude, longitude, km, people) of each country (region "") and each of its regions.

    From (country, region, latitude, longitude, people) in the order of countries and regions. The middle is
    where the people are; nine of ten of its places lie within the kilometres of it.
    """
    for country, of_country in groupby(places, itemgetter(0)):
        whole = []
        for region, of_region in groupby(of_country, itemgetter(1)):
            found = [
                (*Point(latitude, longitude).ecef(), people + 1)
                for _, _, latitude, longitude, people in of_region
            ]
            whole += found
            if region:
                yield country, region, *_middle_of_people(found)
        yield country, "", *_middle_of_people(whole)


def _middle_of_people(
    places: Sequence[tuple[float, float, float, int]],
) -> tuple[float, float, float, int]:
    people = sum(place[3] for place in places)
    middle = tuple(sum(place[axis] * place[3] for place in places) / people for axis in range(3))
    point = Point.from_ecef(*middle)
    away = sorted(math.dist(point.ecef(), place[:3]) for place in places)
    reach = away[math.ceil(0.9 * len(away)) - 1] / 1000
    return (
        round(point.latitude, 4),
        round(point.longitude, 4),
        round(max(reach, 1.0), 1),
        people - len(places),
    )


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
