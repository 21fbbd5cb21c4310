"""Points and distances."""

import math

import pytest

from events.errors import Unreadable
from events.places.geo import Distance, InvalidCoordinates, Point, geodesic, great_circle

CHICAGO, MADRID = Point(41.8781, -87.6298), Point(40.4168, -3.7038)


@pytest.mark.parametrize("typed", ["41.9,-87.6", " 41.9 ; -87.6 ", "41.9 -87.6", "+41.9,−87.6"])
def test_a_pair_of_numbers_is_read_as_a_point(typed: str) -> None:
    assert Point.parse(typed) == Point(41.9, -87.6)


@pytest.mark.parametrize(
    "typed", ["91,0", "-90.01,0", "0,180.1", "0,-181", "nan,1", "1,nan", "inf,0", "0,-inf"]
)
def test_what_is_not_on_earth_is_refused_in_a_sentence(typed: str) -> None:
    with pytest.raises(InvalidCoordinates, match="must be from"):
        Point.parse(typed)


@pytest.mark.parametrize("typed", ["90,180", "-90,-180", "0,0", "51.5,0"])
def test_the_ends_of_the_earth_and_zero_are_valid(typed: str) -> None:
    assert str(Point.parse(typed)) == typed


def test_two_postal_codes_are_no_point() -> None:
    assert not Point.looks_like("10115 20095")
    with pytest.raises(InvalidCoordinates, match="is not a point"):
        Point.parse("10115 20095")


def test_earth_centred_coordinates_stand_on_the_ellipsoid() -> None:
    assert Point(0, 0).ecef() == pytest.approx((6_378_137.0, 0, 0))
    assert Point(90, 12).ecef() == pytest.approx((0, 0, 6_356_752.314), abs=0.01)
    assert Point(0, 180).ecef() == pytest.approx(Point(0, -180).ecef(), abs=1e-6)


def test_the_geodesic_is_the_length_along_the_ground() -> None:
    quarter_meridian_km = 10_001.966  # WGS84, equator to pole
    assert geodesic(Point(0, 0), Point(90, 0)).km == pytest.approx(quarter_meridian_km, abs=0.001)
    assert geodesic(Point(0, 179.5), Point(0, -179.5)).km == pytest.approx(
        math.pi * 6378.137 / 180, abs=0.001
    )


def test_the_great_circle_is_close_to_the_geodesic() -> None:
    assert great_circle(CHICAGO, MADRID).km == pytest.approx(geodesic(CHICAGO, MADRID).km, rel=0.006)
    assert great_circle(CHICAGO, CHICAGO) == Distance(0.0)


@pytest.mark.parametrize(
    ("typed", "km"), [("40 km", 40), ("25mi", 40.2336), ("5 millas", 8.04672), ("2,5km", 2.5), ("7", 7)]
)
def test_a_distance_is_read_in_either_unit(typed: str, km: float) -> None:
    assert Distance.parse(typed).km == pytest.approx(km)


def test_a_bare_number_is_in_the_readers_unit() -> None:
    assert Distance.parse("10", "mi").mi == pytest.approx(10)


@pytest.mark.parametrize("typed", ["", "abc", "0", "-5", "0mi", "5 parsecs", "nan", "1e5"])
def test_what_is_no_distance_is_refused(typed: str) -> None:
    with pytest.raises(Unreadable, match="is not a distance"):
        Distance.parse(typed)


@pytest.mark.parametrize(("miles", "rounded"), [(3, 5), (5, 5), (25, 25), (25.1, 50), (250, 250), (999, 250)])
def test_a_feeds_radius_is_rounded_up(miles: float, rounded: float) -> None:
    assert Distance.from_miles(miles).bucket("mi").mi == pytest.approx(rounded)


def test_a_written_distance_is_read_back() -> None:
    assert Distance.parse(Distance.from_miles(25).written("mi")) == Distance.from_miles(25)


def test_a_snapped_point_is_shared_by_its_neighbours() -> None:
    assert Point(41.9227, -87.6533).snapped() == Point(41.9188, -87.6661).snapped() == Point(41.92, -87.66)
