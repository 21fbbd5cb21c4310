"""Points on the earth and distances between them: values that carry their units."""

import math
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from ..errors import Unreadable, say
from ..language import KM_PER_MILE
from ..later import loaded_later

if TYPE_CHECKING:
    from geopy import distance as geopy
else:
    geopy = loaded_later("geopy.distance")

Unit = Literal["mi", "km"]

EARTH_RADIUS_KM = 6371.0088  # mean radius R1 of the WGS84 ellipsoid
EQUATOR_M = 6378137.0  # WGS84 semi-major axis
FLATTENING = 1 / 298.257223563  # WGS84
POLE_M = EQUATOR_M * (1 - FLATTENING)  # WGS84 semi-minor axis
VINCENTY_ROUNDS = 30
ECCENTRICITY_2 = 6.69437999014e-3  # WGS84 first eccentricity, squared
FARTHEST_KM = 20_040.0  # just beyond half the equator: nothing is farther away
KM_PER_DEGREE = 111.2
CELL_DEGREES = 0.2
LONGEST_RADIUS = 20
COLUMNS_OF_CELLS = 1800  # round the equator
RADII = (5, 10, 25, 50, 100, 250)  # feeds round a radius up to one of these

_NUMBER = r"[+\-−]?(?:\d+(?:\.\d*)?|\.\d+|nan|inf(?:inity)?)"
# Without a comma only two decimal fractions are meant as a point: "10115 20095" are two postal codes.
_PAIR = re.compile(
    rf"({_NUMBER})\s*[,;]\s*({_NUMBER})|([+\-−]?\d+\.\d+)\s+([+\-−]?\d+\.\d+)", re.IGNORECASE | re.ASCII
)
_RADIUS = re.compile(r"(?P<number>\d+(?:[.,]\d{1,2})?)\s*(?P<unit>[a-z]*)", re.IGNORECASE | re.ASCII)
_UNITS: dict[str, Unit] = {
    **dict.fromkeys(("mi", "mile", "miles", "milla", "millas"), "mi"),
    **dict.fromkeys(("km", "kms", "kilometer", "kilometers", "kilometre", "kilometres"), "km"),
    **dict.fromkeys(("kilometro", "kilometros"), "km"),
}


class InvalidCoordinates(Unreadable):
    """Two numbers that are no place on earth, or a text that is not two numbers."""


@dataclass(frozen=True, slots=True)
class Point:
    """Degrees on the WGS84 ellipsoid. Raises InvalidCoordinates: a point that exists is a point on earth."""

    latitude: float
    longitude: float

    def __post_init__(self) -> None:
        if not -90 <= self.latitude <= 90:  # NaN is never within
            raise InvalidCoordinates(
                say(
                    "%(number)s is not a latitude: it must be from -90 to 90, as in 41.92,-87.64.",
                    number=_shown(self.latitude),
                )
            )
        if not -180 <= self.longitude <= 180:
            raise InvalidCoordinates(
                say(
                    "%(number)s is not a longitude: it must be from -180 to 180, as in 41.92,-87.64.",
                    number=_shown(self.longitude),
                )
            )

    @staticmethod
    def looks_like(text: str) -> bool:
        """Whether `text` is two numbers (also NaN and infinity), so that a point is meant."""
        return _PAIR.fullmatch(text.strip()) is not None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Latitude and longitude in decimal degrees, `41.92,-87.64`. Raises InvalidCoordinates."""
        pair = _PAIR.fullmatch(text.strip())
        if pair is None:
            raise InvalidCoordinates(
                say(
                    "“%(typed)s” is not a point: type latitude and longitude, as in 41.92,-87.64.",
                    typed=text.strip()[:80],
                )
            )
        latitude, longitude = (float(number.replace("−", "-")) for number in pair.groups() if number)
        return cls(latitude, longitude)

    def ecef(self) -> tuple[float, float, float]:
        """Earth-centred, earth-fixed x, y and z in metres, at height 0."""
        phi, lam = math.radians(self.latitude), math.radians(self.longitude)
        normal = EQUATOR_M / math.sqrt(1 - ECCENTRICITY_2 * math.sin(phi) ** 2)
        across = normal * math.cos(phi)
        return across * math.cos(lam), across * math.sin(lam), normal * (1 - ECCENTRICITY_2) * math.sin(phi)

    @classmethod
    def from_ecef(cls, x: float, y: float, z: float) -> Self:
        """The point on the surface with these coordinates (exact there: height 0)."""
        latitude = math.atan2(z, (1 - ECCENTRICITY_2) * math.hypot(x, y))
        return cls(math.degrees(latitude), math.degrees(math.atan2(y, x)))

    def snapped(self, step: float = 0.02) -> Self:
        """The nearest crossing of a grid of `step` degrees: many visitors share one, so it tells little."""
        return type(self)(_on_grid(self.latitude, step), _on_grid(self.longitude, step))

    def __str__(self) -> str:
        """`41.92,-87.64`: at most six decimals (11 cm), never an exponent."""
        return f"{_plain(self.latitude)},{_plain(self.longitude)}"


@dataclass(frozen=True, order=True, slots=True)
class Distance:
    """A length on the ground. Kept in kilometres, read in either unit."""

    km: float

    @property
    def mi(self) -> float:
        return self.km / KM_PER_MILE

    @property
    def metres(self) -> float:
        return self.km * 1000

    @classmethod
    def from_miles(cls, miles: float) -> Self:
        return cls(miles * KM_PER_MILE)

    @classmethod
    def of(cls, number: float, unit: Unit) -> Self:
        return cls(float(number) * (KM_PER_MILE if unit == "mi" else 1))

    @classmethod
    def parse(cls, text: str, default_unit: Unit = "km") -> Self:
        """`25mi`, `40 km`, or a bare number in `default_unit`. Raises Unreadable unless it is above 0.

        What reaches around the earth is as good as half the equator, so more than that is cut to it.
        """
        apart = unicodedata.normalize("NFKD", text)  # full-width digits, no-break spaces, kilómetros
        plain = "".join(letter for letter in apart if not unicodedata.combining(letter)).strip()
        match = _RADIUS.fullmatch(plain) if len(plain) <= LONGEST_RADIUS else None
        unit = _UNITS.get(match["unit"].lower() or default_unit) if match else None
        number = float(match["number"].replace(",", ".")) if match else 0.0
        if unit is None or number <= 0:
            raise Unreadable(
                say(
                    "“%(typed)s” is not a distance. Type a number above 0 and mi or km, as in 25mi or 40km.",
                    typed=text.strip()[:80],
                )
            )
        return cls(min(cls.of(number, unit).km, FARTHEST_KM))

    def within(self, unit: Unit) -> float:
        """The number of `unit`."""
        return self.mi if unit == "mi" else self.km

    def bucket(self, unit: Unit) -> Self:
        """Rounded up to 5, 10, 25, 50, 100 or 250 of `unit`; 250 is the widest."""
        wanted = self.within(unit) * (1 - 1e-9)  # 25 mi, turned to km and back, may have grown by a hair
        return self.of(next((radius for radius in RADII if wanted <= radius), RADII[-1]), unit)

    def written(self, unit: Unit) -> str:
        """As an address has it, `25mi`; `parse` reads it back."""
        return f"{round(self.within(unit), 2):g}{unit}"


def great_circle(a: Point, b: Point) -> Distance:
    """On a sphere (haversine): about 1 µs, wrong by at most 0.6 %. For ranking and for guesses."""
    phi_a, phi_b = math.radians(a.latitude), math.radians(b.latitude)
    rise = math.sin((phi_b - phi_a) / 2) ** 2
    turn = math.sin(math.radians(b.longitude - a.longitude) / 2) ** 2
    half = rise + math.cos(phi_a) * math.cos(phi_b) * turn
    return Distance(2 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(half))))


def geodesic(a: Point, b: Point) -> Distance:
    """On the ellipsoid, exact to a millimetre: about 5 µs. For what is shown.

    Vincenty's inverse formula (Survey Review XXIII, 1975), because a search shows five distances and geopy's,
    which is exact to nanometres, takes 70 µs each. Near the other end of the earth, where Vincenty's does not
    converge, geopy's is asked.
    """
    metres = _vincenty(a, b)
    if metres is None:
        return Distance(float(geopy.geodesic((a.latitude, a.longitude), (b.latitude, b.longitude)).km))
    return Distance(metres / 1000)


def _vincenty(a: Point, b: Point) -> float | None:
    """Metres; the letters are those of the paper. None when it does not converge."""
    u1, u2 = (math.atan((1 - FLATTENING) * math.tan(math.radians(point.latitude))) for point in (a, b))
    sin1, cos1, sin2, cos2 = math.sin(u1), math.cos(u1), math.sin(u2), math.cos(u2)
    between = lam = math.radians((b.longitude - a.longitude + 180) % 360 - 180)
    for _ in range(VINCENTY_ROUNDS):
        sin_lam, cos_lam = math.sin(lam), math.cos(lam)
        sin_sigma = math.hypot(cos2 * sin_lam, cos1 * sin2 - sin1 * cos2 * cos_lam)
        if sin_sigma == 0:
            return 0.0
        cos_sigma = sin1 * sin2 + cos1 * cos2 * cos_lam
        sigma = math.atan2(sin_sigma, cos_sigma)
        sin_alpha = cos1 * cos2 * sin_lam / sin_sigma
        cos2_alpha = 1 - sin_alpha**2
        middle = cos_sigma - 2 * sin1 * sin2 / cos2_alpha if cos2_alpha > 1e-15 else 0.0  # along the equator
        c = FLATTENING / 16 * cos2_alpha * (4 + FLATTENING * (4 - 3 * cos2_alpha))
        turn = middle + c * cos_sigma * (2 * middle**2 - 1)
        last, lam = lam, between + (1 - c) * FLATTENING * sin_alpha * (sigma + c * sin_sigma * turn)
        if abs(lam - last) < 1e-12:
            return _along(sigma, sin_sigma, cos_sigma, cos2_alpha, middle)
    return None


def _along(sigma: float, sin_sigma: float, cos_sigma: float, cos2_alpha: float, middle: float) -> float:
    """Metres along the geodesic: the end of Vincenty's formula."""
    u = cos2_alpha * (EQUATOR_M**2 - POLE_M**2) / POLE_M**2
    big_a = 1 + u / 16384 * (4096 + u * (-768 + u * (320 - 175 * u)))
    big_b = u / 1024 * (256 + u * (-128 + u * (74 - 47 * u)))
    third = middle * (4 * sin_sigma**2 - 3) * (4 * middle**2 - 3)
    turn = cos_sigma * (2 * middle**2 - 1) - big_b / 6 * third
    return POLE_M * big_a * (sigma - big_b * sin_sigma * (middle + big_b / 4 * turn))


def cell(point: Point) -> int:
    """The number of the square of CELL_DEGREES that the point lies in."""
    return _cell(math.floor(point.latitude / CELL_DEGREES), math.floor(point.longitude / CELL_DEGREES))


def cells_around(point: Point, distance: Distance) -> list[int]:
    """The numbers of all squares that hold a point within `distance`, across the date line too."""
    north = distance.km / KM_PER_DEGREE
    highest = min(abs(point.latitude) + north, 89.0)
    east = min(north / math.cos(math.radians(highest)), 180.0)
    rows = _steps(point.latitude - north, point.latitude + north)
    columns = _steps(point.longitude - east, point.longitude + east)
    return list(dict.fromkeys(_cell(row, column) for row in rows for column in columns))


def _steps(low: float, high: float) -> range:
    return range(math.floor(low / CELL_DEGREES), math.floor(high / CELL_DEGREES) + 1)


def _cell(row: int, column: int) -> int:
    return row * COLUMNS_OF_CELLS + column % COLUMNS_OF_CELLS


def _shown(number: float) -> str:
    return _plain(number) if math.isfinite(number) and abs(number) < 1e15 else str(number)


def _plain(number: float) -> str:
    text = f"{number:.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _on_grid(degrees: float, step: float) -> float:
    return round(round(degrees / step) * step, 6) + 0.0  # + 0.0 turns -0.0 into 0.0
