"""Plus codes: cells of a grid, whole ones and short ones beside a town.

The vectors are Open Location Code's own (test data of version 1.0, Apache 2.0).
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.places.geo import Point
from events.places.pluscodes import CELLS, DIGITS, decoded, is_full, recovered, split

# code, south, west, north, east
DECODING = [
    ("7FG49Q00+", 20.35, 2.75, 20.4, 2.8),
    ("7FG49QCJ+2V", 20.37, 2.782125, 20.370125, 2.78225),
    ("7FG49QCJ+2VX", 20.3701, 2.78221875, 20.370125, 2.78225),
    ("7FG49QCJ+2VXGJ", 20.370113, 2.782234375, 20.370114, 2.78223632813),
    ("8FVC2222+22", 47.0, 8.0, 47.000125, 8.000125),
    ("4VCPPQGP+Q9", -41.273125, 174.785875, -41.273, 174.786),
    ("62G20000+", 0.0, -180.0, 1, -179),
    ("22220000+", -90, -180, -89, -179),
    ("22222222+22", -90.0, -180.0, -89.999875, -179.999875),
    ("6VGX0000+", 0, 179, 1, 180),
    ("6FH32222+222", 1, 1, 1.000025, 1.00003125),
    ("CFX30000+", 89, 1, 90, 2),
    ("CFX3X2X2+X2", 89.9998750, 1, 90, 1.0001250),
    ("84000000+", 30, -140, 50, -120),
    ("849VGJQF+VX7QR3J", 37.5396691200, -122.3750698242, 37.5396691600, -122.3750697021),
    ("55CJG366+PP", -21.48825, -107.93825, -21.488125, -107.938125),
    ("4VXPHWHV+", -30.4225, 174.9425, -30.42, 174.945),
]
# full code, latitude and longitude of the place beside it, short code
SHORT = [
    ("9C3W9QCJ+2VX", 51.3708675, -1.217765625, "CJ+2VX"),
    ("9C3W9QCJ+2VX", 51.3693575, -1.217765625, "CJ+2VX"),
    ("9C3W9QCJ+2VX", 51.3701125, -1.218520625, "CJ+2VX"),
    ("9C3W9QCJ+2VX", 51.3701125, -1.217010625, "CJ+2VX"),
    ("9C3W9QCJ+2VX", 51.3852125, -1.217765625, "9QCJ+2VX"),
    ("9C3W9QCJ+2VX", 51.3550125, -1.217765625, "9QCJ+2VX"),
    ("9C3W9QCJ+2VX", 51.3701125, -1.232865625, "9QCJ+2VX"),
    ("9C3W9QCJ+2VX", 51.3701125, -1.202665625, "9QCJ+2VX"),
    ("8FVC2GGG+GG", 46.976, 8.526, "2GGG+GG"),
    ("8FRCXGGG+GG", 47.026, 8.526, "XGGG+GG"),
    ("8FR9GXGG+GG", 46.526, 8.026, "GXGG+GG"),
    ("8FRCG2GG+GG", 46.526, 7.976, "G2GG+GG"),
    ("CFX22222+22", 89.6, 0.0, "2222+22"),
    ("2CXXXXXX+XX", -81.0, 0.0, "XXXXXX+XX"),
]
PARTS = 8_000  # of a degree, to a cell of ten digits


def full_code(point: Point) -> str:
    """Ten digits, reckoned in whole numbers."""
    north = min(int((point.latitude + 90) * PARTS), 180 * PARTS - 1)
    east = int((point.longitude + 180) * PARTS) % (360 * PARTS)
    pairs = ""
    for _ in CELLS:
        pairs = DIGITS[north % 20] + DIGITS[east % 20] + pairs
        north, east = north // 20, east // 20
    return f"{pairs[:8]}+{pairs[8:]}"


def points(farthest: float = 90.0) -> st.SearchStrategy[Point]:
    return st.builds(Point, st.floats(-farthest, farthest), st.floats(-180, 180))


@pytest.mark.parametrize(("code", "south", "west", "north", "east"), DECODING)
def test_a_code_is_the_middle_of_its_cell(
    code: str, south: float, west: float, north: float, east: float
) -> None:
    cell = decoded(code)
    assert cell.point.latitude == pytest.approx((south + north) / 2, abs=1e-6)
    assert cell.point.longitude == pytest.approx((west + east) / 2, abs=1e-6)
    assert cell.precision_km == pytest.approx(max((north - south) * 111.2 / 2, 0.001), abs=0.001)


@pytest.mark.parametrize(("full", "latitude", "longitude", "short"), SHORT)
def test_a_short_code_is_the_nearest_cell_of_that_name(
    full: str, latitude: float, longitude: float, short: str
) -> None:
    found = recovered(short, Point(latitude, longitude))
    assert found.point.latitude == pytest.approx(decoded(full).point.latitude, abs=2e-6)
    assert found.point.longitude == pytest.approx(decoded(full).point.longitude, abs=2e-6)


@settings(max_examples=300)
@given(points())
def test_every_point_lies_in_the_cell_of_its_code(point: Point) -> None:
    code = full_code(point)
    assert is_full(code)
    cell = decoded(code)
    assert abs(cell.point.latitude - point.latitude) <= 0.5 / PARTS + 2e-6
    assert abs((cell.point.longitude - point.longitude + 180) % 360 - 180) <= 0.5 / PARTS + 2e-6


@settings(max_examples=300)
@given(points(88.0), st.sampled_from([2, 4, 6]), st.floats(-0.45, 0.45), st.floats(-0.45, 0.45))
def test_a_code_that_is_shortened_near_a_place_is_read_there_again(
    point: Point, missing: int, up: float, right: float
) -> None:
    """Across the date line too."""
    code, step = full_code(point), CELLS[missing // 2 - 1]
    if missing == 2:
        up, right = up / 4, right / 4  # a step of 20 degrees may cross the pole
    middle = decoded(code).point
    east = (middle.longitude + right * step + 180) % 360 - 180
    near = Point(max(-90.0, min(90.0, middle.latitude + up * step)), east)
    found = recovered(code[missing:], near).point
    assert found.latitude == pytest.approx(middle.latitude, abs=3e-6)
    assert abs((found.longitude - middle.longitude + 180) % 360 - 180) < 3e-6


@pytest.mark.parametrize("longitude", [179.9999, -179.9999, 180.0, -180.0])
def test_a_short_code_beside_a_place_on_the_date_line_stays_on_earth(longitude: float) -> None:
    for code in ("2222+22", "XXXX+XX", "22XX+X2"):
        found = recovered(code, Point(-16.85, longitude)).point
        assert abs((found.longitude - longitude + 180) % 360 - 180) <= 0.5001


@pytest.mark.parametrize("latitude", [90.0, -90.0, 89.9999, -89.9999])
def test_a_short_code_beside_a_pole_stays_on_earth(latitude: float) -> None:
    for code in ("2222+22", "XXXX+XX", "22+22", "222222+22", "XXXXXX+XX"):
        recovered(code, Point(latitude, 12.0))


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        ("86HJW9F7+X4", ("86HJW9F7+X4", "")),
        ("86hjw9f7+x4", ("86HJW9F7+X4", "")),
        ("86HJW9F7+", ("86HJW9F7+", "")),
        ("86HJ0000+", ("86HJ0000+", "")),
        ("86HJW9F7+X4V2345", ("86HJW9F7+X4V2345", "")),
        ("W9F7+X4 Chicago", ("W9F7+X4", "Chicago")),
        ("w9f7+x4, Chicago, IL", ("W9F7+X4", "Chicago, IL")),
        ("Chicago W9F7+X4", ("W9F7+X4", "Chicago")),
        ("F7+X4 Lincoln Park", ("F7+X4", "Lincoln Park")),
        ("W9F7+X4", ("W9F7+X4", "")),
    ],
)
def test_a_code_is_seen_before_or_behind_a_town(typed: str, parts: tuple[str, str]) -> None:
    assert split(typed) == parts


@pytest.mark.parametrize(
    "typed",
    [
        *("", "+", "C++", "F+F", "5+5", "W9F7", "86HJW9F7X4", "86HJW9F7+X", "W9F+X4", "60614", "60614-1234"),
        *("86HJW9F7+X4V23456", "FFFFFFFF+FF", "8WHJW9F7+X4", "00000000+", "86HJ00F7+", "86HJ0000+22"),
        *("A9F7+X4", "W9F7+XI", "+1 312 555 0100", "2+2 Chicago", "Chicago W9F7+X4 Illinois"),
    ],
)
def test_what_only_looks_like_a_code_is_none(typed: str) -> None:
    assert split(typed) is None
