"""What can be odd about one branch, as its columns say it. Each check tells what it found, or nothing."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

from ..errors import Message, say
from ..places.borders import countries_around, country_at, lies_in
from ..places.geo import Distance, Point, great_circle
from ..places.listed import Listed, Spot
from ..places.naming import home, parts
from .hours import unreadable
from .models import GUESSED, LocationType

FAR = Distance(100.0)  # beyond the precision: some codes of Alaska are as wide as England
BORDER = Distance(10.0)  # the borders of zones follow those of countries no more closely than this
COAST = Distance(30.0)
CONFIRMED_FOR = timedelta(days=365)
REMEMBERED = 20_000  # codes, and as many towns


class Stated(NamedTuple):
    """What a branch says of itself."""

    slug: str
    name: str
    location_type: str
    city: str
    state_province: str
    postal_code: str
    country: str
    latitude: float | None
    longitude: float | None
    geocode_accuracy: str
    opening_hours: str
    verified_at: date | None

    @property
    def point(self) -> Point | None:
        if self.latitude is None or self.longitude is None:
            return None
        return Point(self.latitude, self.longitude)


class Directory:
    """The directory of places, each code and town asked for once."""

    def __init__(self, database: sqlite3.Connection) -> None:
        listed = Listed(database)
        self.codes = lru_cache(REMEMBERED)(listed.codes)
        self.towns = lru_cache(REMEMBERED)(listed.towns)
        self.has_codes = lru_cache(REMEMBERED)(listed.has_codes)


@dataclass(frozen=True, slots=True)
class Known:
    directory: Directory | None
    today: date


# ---------------------------------------------------------------- coordinates


def odd_coordinates(row: Stated, known: Known) -> Message | None:
    """One cause, one finding: what is swapped lies far from its town too."""
    point = row.point
    if point is None:
        return None
    found = (look(row, point, known) for look in (_at_zero, _turned, _at_sea, _in_whole_degrees, _far))
    return next((message for message in found if message), None)


def _at_zero(row: Stated, point: Point, known: Known) -> Message | None:
    """Also for those who came in before 0,0 was refused."""
    return say("It stands at 0,0, in the sea off Africa.") if point == Point(0, 0) else None


def _turned(row: Stated, point: Point, known: Known) -> Message | None:
    """Swapped, or without a minus: only if that leads into the branch's country, and the point does not."""
    if not row.country or lies_in(point, row.country, BORDER):
        return None
    latitude, longitude = point.latitude, point.longitude
    if abs(longitude) <= 90 and lies_in(Point(longitude, latitude), row.country, BORDER):
        return say(
            "Latitude and longitude seem to be swapped: %(turned)s lies in %(country)s, %(point)s does not.",
            turned=Point(longitude, latitude),
            country=row.country,
            point=point,
        )
    for other in ((latitude, -longitude), (-latitude, longitude), (-latitude, -longitude)):
        if lies_in(Point(*other), row.country, BORDER):
            return say(
                "A minus seems to be wrong: %(turned)s lies in %(country)s, %(point)s does not.",
                turned=Point(*other),
                country=row.country,
                point=point,
            )
    return None


def _at_sea(row: Stated, point: Point, known: Known) -> Message | None:
    if country_at(point) or countries_around(point, COAST):
        return None
    return say("%(point)s lies in the sea, or where no country is.", point=point)


def _in_whole_degrees(row: Stated, point: Point, known: Known) -> Message | None:
    if not (point.latitude.is_integer() and point.longitude.is_integer()):
        return None
    return say("%(point)s has whole degrees only: that may be 50 km off.", point=point)


def _far(row: Stated, point: Point, known: Known) -> Message | None:
    """From the code as the directory knows it; a code that it does not know leaves the town."""
    if known.directory is None or not row.country or row.geocode_accuracy in GUESSED:
        return None
    codes = known.directory.codes(row.postal_code, row.country) if row.postal_code else []
    from_code = _beyond(point, codes)
    if any(spot.point for spot in codes) and from_code is None:
        return None
    towns = known.directory.towns(row.city, row.state_province, row.country) if row.city else []
    from_town = _beyond(point, towns)
    if from_code and towns and from_town is None:
        return say(
            "It stands at %(city)s, but %(distance)s from its postal code %(code)s.",
            city=row.city,
            distance=from_code,
            code=row.postal_code,
        )
    if from_code:
        return say(
            "It stands %(distance)s from its postal code %(code)s.", distance=from_code, code=row.postal_code
        )
    if from_town:
        return say("It stands %(distance)s from %(city)s.", distance=from_town, city=row.city)
    return None


def _beyond(point: Point, spots: Sequence[Spot]) -> Distance | None:
    """How far the nearest is; None when that is near enough, or when there is none."""
    away = [(great_circle(point, spot.point).km, spot.precision_km) for spot in spots if spot.point]
    if not away or any(km <= FAR.km + precision for km, precision in away):
        return None
    return Distance(min(km for km, _ in away))


# ---------------------------------------------------------------- country, position, code, hours, confirmation


def wrong_country(row: Stated, known: Known) -> Message | None:
    """The country that the point lies in, if it is near none that the branch may mean."""
    point = row.point
    if point is None or not row.country or point == Point(0, 0) or lies_in(point, row.country, BORDER):
        return None
    there = countries_around(point, COAST)
    if not there or there & parts(home(row.country)) or _turned(row, point, known):
        return None
    return say(
        "%(point)s lies in %(there)s, its country is %(country)s.",
        point=point,
        there=", ".join(sorted(there)),
        country=row.country,
    )


def no_position(row: Stated, known: Known) -> Message | None:
    if row.point is not None or row.location_type != LocationType.PHYSICAL:
        return None
    return say("No search near a place finds it.")


def unknown_code(row: Stated, known: Known) -> Message | None:
    """Of countries whose codes are listed at all."""
    if known.directory is None or not row.postal_code or not row.country:
        return None
    if not known.directory.has_codes(row.country) or known.directory.codes(row.postal_code, row.country):
        return None
    return say("“%(code)s” is not listed in %(country)s.", code=row.postal_code, country=row.country)


def unreadable_hours(row: Stated, known: Known) -> Message | None:
    return unreadable(row.opening_hours) if row.opening_hours else None


def unconfirmed(row: Stated, known: Known) -> Message | None:
    if row.verified_at is None:
        return say("Never confirmed.")
    if row.verified_at >= known.today - CONFIRMED_FOR:
        return None
    return say("Last confirmed on %(day)s.", day=row.verified_at)
