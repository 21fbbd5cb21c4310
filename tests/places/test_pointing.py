"""Points as people type them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.errors import Unreadable
from events.places.asking import cleaned
from events.places.geo import FARTHEST_KM, InvalidCoordinates, Point
from events.places.pointing import coordinates

CHICAGO = Point(41.92, -87.64)
EXACTLY = Point(41.9225, -87.648333)


def read(typed: str) -> tuple[Point, float] | None:
    return coordinates(cleaned(typed))


@pytest.mark.parametrize(
    "typed",
    [
        *(
            "41.92,-87.64",
            "41.92, -87.64",
            "41.92 -87.64",
            "41.92;-87.64",
            "+41.92,−87.64",
            "(41.92, -87.64)",
        ),
        *(
            "[41.92,-87.64]",
            "41,92; -87,64",
            "41,92 -87,64",
            "41,92, -87,64",
            "41.92°, -87.64°",
            "41.92° -87.64°",
        ),
        *(
            "４１．９２，－８７．６４",
            "٤١.٩٢,-٨٧.٦٤",
            "geo:41.92,-87.64",
            "GEO:41.92,-87.64",
            "geo:41.92, -87.64",
        ),
        *(
            "geo:41.92,-87.64,180",
            "geo:41.92,-87.64;crs=wgs84",
            "geo:41.92,-87.64?z=15",
            "geo:41.92,-87.64?q=x",
        ),
        *("geo:0,0?q=41.92,-87.64(Alder Club)", "geo:0,0?z=3&q=41.92,-87.64", "lat=41.92&lon=-87.64"),
        *("lat: 41.92 lon: -87.64", "latitude 41.92, longitude -87.64", "lon=-87.64, lat=41.92"),
        *("?lat=41.92&lng=-87.64", "latitud: 41.92; longitud: -87.64", "41.92 N, 87.64 W", "N 41.92 W 87.64"),
        *("41.92N87.64W", "41.92° N 87.64° O"),
    ],
)
def test_a_point_is_read_as_maps_and_devices_write_it(typed: str) -> None:
    assert read(typed) == (CHICAGO, 0.55)


@pytest.mark.parametrize(
    ("typed", "km"),
    [
        ("41°55'21\"N 87°38'54\"W", 0.015),
        ("41° 55′ 21″ N, 87° 38′ 54″ W", 0.015),
        ("41º55’21” N 87º38’54” W", 0.015),
        ("41 55 21 N 87 38 54 W", 0.015),
        ("N 41°55'21'' W 87°38'54''", 0.015),
        ("N41°55.350 W87°38.900", 0.001),
    ],
)
def test_degrees_with_minutes_and_seconds_are_as_exact_as_their_last_figure(typed: str, km: float) -> None:
    assert read(typed) == (EXACTLY, km)


@pytest.mark.parametrize(
    ("typed", "km"),
    [
        ("41,-87", 55.0),
        ("41.9,-87.6", 5.5),
        ("41.92,-87.6", 0.55),
        ("41.92270,-87.65330", 0.001),
        ("41 N 87 W", 55.0),
        ("41°55'N 87°38'W", 0.917),
        ("geo:41.9,-87.6;u=350", 0.35),
        ("geo:41.9,-87.6;crs=wgs84;u=35.5", 0.0355),
        ("geo:41.9,-87.6;u=0", 0.001),
        ("geo:41.9,-87.6;u=99999999999", FARTHEST_KM),
    ],
)
def test_a_point_tells_how_exact_it_is(typed: str, km: float) -> None:
    found = read(typed)
    assert found is not None
    assert found[1] == pytest.approx(km, abs=0.0005)


@pytest.mark.parametrize(
    ("typed", "point"),
    [
        ("0,0", Point(0, 0)),
        ("90,180", Point(90, 180)),
        ("-90,-180", Point(-90, -180)),
        ("33.9 S, 151.2 E", Point(-33.9, 151.2)),
        ("S 33.9 E 151.2", Point(-33.9, 151.2)),
    ],
)
def test_the_other_halves_and_the_ends_of_the_earth_are_places(typed: str, point: Point) -> None:
    found = read(typed)
    assert found is not None
    assert found[0] == point


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("91,0", "91 is not a latitude: it must be from -90 to 90"),
        ("-90.01,0", "is not a latitude"),
        ("0,181", "181 is not a longitude: it must be from -180 to 180"),
        ("nan,nan", "nan is not a latitude"),
        ("inf,0", "inf is not a latitude"),
        ("lat=91", "91 is not a latitude"),
        ("lat=91, lon=0", "91 is not a latitude"),
        ("lat=41.92", "“lat=41.92” is not a point: type latitude and longitude"),
        ("lon=5", "is not a point"),
        ("geo:91,0", "91 is not a latitude"),
        ("geo:41.92", "“geo:41.92” is not a point"),
        ("geo:", "is not a point"),
        ("geo:nan,1", "is not a point"),
        ("91°0'0\"N 0°0'0\"E", "91 is not a latitude"),
        ("41°75'0\"N 87°0'0\"W", "is not a point"),
        ("41°0'61\"N 87°0'0\"W", "is not a point"),
        ("41°0'0\"N 187°0'0\"W", "-187 is not a longitude"),
    ],
)
def test_what_is_not_on_earth_is_refused_in_a_sentence(typed: str, sentence: str) -> None:
    with pytest.raises(InvalidCoordinates, match=sentence):
        read(typed)


@pytest.mark.parametrize(
    "typed",
    [
        *(
            "60614",
            "60614-1234",
            "10115 20095",
            "41.92",
            "41.92,",
            ",41",
            "lat 5",
            "Lat",
            "long 12",
            "latitude",
        ),
        *(
            "Chicago, IL",
            "1,2,3",
            "41 87",
            "12 N",
            "SE 111 22",
            "1012 N 34 W",
            "5 N Main St, 6 W",
            "geography",
        ),
        *("415521 N 873854 W", "C/ Mayor 3º B", "41°", "N W", "1e5,1e5"),
    ],
)
def test_what_is_no_point_is_left_to_others(typed: str) -> None:
    assert read(typed) is None


@settings(max_examples=300)
@given(st.text(st.sampled_from("0123456789.,;-+°'\"NSEWOlatongeu:=?&q( )\u2212\u2032\u00ba"), max_size=60))
def test_any_such_text_is_a_point_on_earth_or_none_or_a_sentence(typed: str) -> None:
    try:
        found = read(typed)
    except Unreadable as error:
        assert str(error)
    else:
        assert found is None or (0 < found[1] <= FARTHEST_KM and isinstance(found[0], Point))


@settings(max_examples=200)
@given(st.floats(-90, 90), st.floats(-180, 180))
def test_what_a_point_says_of_itself_is_read_back(latitude: float, longitude: float) -> None:
    point = Point(latitude, longitude)
    for text in (str(point), f"geo:{point}", f"({point})"):
        found = read(text)
        assert found is not None
        assert found[0].latitude == pytest.approx(latitude, abs=1e-6)
        assert found[0].longitude == pytest.approx(longitude, abs=1e-6)
