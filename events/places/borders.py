"""In which country a point lies: time zones have the borders of countries, and the time zone database names them."""

import math
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources

from tzfpy import get_tz

from .geo import KM_PER_DEGREE, Distance, Point
from .naming import home, parts

# Zones that are other countries' too: shared or disputed land, which is not for us to judge.
OTHER_COUNTRIES = {
    "Africa/El_Aaiun": ("MA",),
    "Asia/Bangkok": ("VN",),
    "Asia/Hebron": ("IL",),
    "Asia/Jerusalem": ("PS", "SY"),
    "Asia/Karachi": ("IN",),
    "Asia/Kolkata": ("PK",),
    "Asia/Nicosia": ("GB",),
    "Asia/Shanghai": ("IN", "VN"),
    "Europe/Belgrade": ("XK",),
    "Europe/Simferopol": ("RU",),
}
DIRECTIONS = 8
STEPS = (1.0, 0.4)  # of the way to the farthest points that are tried


def country_at(point: Point) -> str:
    """ISO 3166-1 alpha-2, a US territory by its own letters; empty on the high seas (22 km from the coasts)."""
    return _countries_by_zone().get(get_tz(point.longitude, point.latitude), "")


def lies_in(point: Point, country: str, tolerance: Distance) -> bool:
    """Whether the point is in the country or in what counts as it, or within `tolerance` of either."""
    meant = parts(home(country))
    return bool(_countries_at(point) & meant) or bool(countries_around(point, tolerance) & meant)


def countries_around(point: Point, reach: Distance) -> frozenset[str]:
    """The countries within about `reach`; a US territory is the US, and disputed land is of all who claim it."""
    found = (_countries_at(near) for near in (point, *_around(point, reach)))
    return frozenset().union(*found)


def _countries_at(point: Point) -> frozenset[str]:
    zone = get_tz(point.longitude, point.latitude)
    country = _countries_by_zone().get(zone)
    return frozenset((home(country), *OTHER_COUNTRIES.get(zone, ()))) if country else frozenset()


def _around(point: Point, reach: Distance) -> Iterator[Point]:
    narrow = max(math.cos(math.radians(point.latitude)), 0.01)
    for step in STEPS:
        degrees = step * reach.km / KM_PER_DEGREE
        for number in range(DIRECTIONS):
            angle = 2 * math.pi * number / DIRECTIONS
            latitude = point.latitude + degrees * math.sin(angle)
            longitude = point.longitude + degrees * math.cos(angle) / narrow
            yield Point(max(-90.0, min(90.0, latitude)), (longitude + 180) % 360 - 180)


@cache
def _countries_by_zone() -> Mapping[str, str]:
    """The country of each IANA zone, by the time zone database's own table."""
    table = (resources.files("tzdata") / "zoneinfo" / "zone.tab").read_text("utf-8")
    rows = (line.split("\t") for line in table.splitlines() if not line.startswith("#"))
    return {zone: country for country, _, zone, *_ in rows}
