"""Land where there is land, water where there is water, in every window; and the file that says so."""

import importlib.util
import json
import math
from array import array
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from events.places.geo import Distance, Point
from events.places.mercator import Box, Position, Track, fitted, smallest_box, track, y_of
from events.places.outlines import STEPS, Lines, area_within, clipped, decoded, for_detail, outlines

DATA = Path(__file__).parents[2] / "data"
LAND = {
    "Chicago": (41.88, -87.70),
    "Toronto": (43.72, -79.40),
    "Detroit": (42.36, -83.12),
    "Isle Royale, an island in Lake Superior": (48.0, -88.85),
    "Manitoulin, an island in Lake Huron": (45.75, -82.2),
    "Madrid": (40.42, -3.70),
    "Melbourne": (-37.75, 145.0),
    "Chukotka, west of the date line": (67.0, 179.9),
    "Chukotka, east of it": (67.0, -179.9),
    "Taveuni in Fiji, on the line": (-16.85, 179.999),
    "Antarctica on the line": (-84.7, 180.0),
    "Antarctica": (-80.0, 20.0),
}
WATER = {
    "Lake Michigan": (42.5, -87.0),
    "Lake Ontario, Canada's half": (43.75, -78.0),
    "Georgian Bay": (45.2, -80.9),
    "Lake Erie": (42.2, -81.0),
    "the Caspian Sea": (42.0, 50.5),
    "the Atlantic": (40.0, -40.0),
    "the Pacific on the date line": (0.0, 180.0),
    "the Arctic Ocean": (84.0, 0.0),
    "the Strait of Gibraltar": (35.95, -5.5),
}


def window_around(point: Point, km: float) -> Box:
    box = smallest_box([track([point])])
    assert box is not None
    return fitted(box, aspect=1.5, margin=0, least=Distance(km))


def is_inside(rings: list[Track], at: Position) -> bool:
    """By the even-odd rule."""
    x, y = at
    crossings = 0
    for ring in rings:
        for (ax, ay), (bx, by) in pairwise([*ring, ring[0]]):
            if (ay > y) != (by > y):
                crossings += x < ax + (y - ay) / (by - ay) * (bx - ax)
    return crossings % 2 == 1


def distance(at: Position, edge: tuple[Position, Position]) -> float:
    """From a position to an edge."""
    (ax, ay), (bx, by) = edge
    dx, dy = bx - ax, by - ay
    length2 = dx * dx + dy * dy
    along = ((at[0] - ax) * dx + (at[1] - ay) * dy) / length2 if length2 else 0.0
    along = min(1.0, max(0.0, along))
    return math.dist(at, (ax + along * dx, ay + along * dy))


def is_land(latitude: float, longitude: float, km: float, copy: int = 0) -> bool:
    window = window_around(Point(latitude, longitude), km)
    middle = ((window.west + window.east) / 2, y_of(latitude))
    return is_inside(list(outlines(copy).land.rings(window)), middle)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("derive_outlines", DATA / "derive_outlines.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("km", [30, 400, 5000])
@pytest.mark.parametrize("place", LAND)
def test_land_is_land_in_windows_of_every_size(place: str, km: float) -> None:
    assert is_land(*LAND[place], km)


@pytest.mark.parametrize("km", [30, 400, 5000])
@pytest.mark.parametrize("place", WATER)
def test_water_is_water_in_windows_of_every_size(place: str, km: float) -> None:
    assert not is_land(*WATER[place], km)


@pytest.mark.parametrize("copy", range(len(STEPS)))
def test_coarser_copies_show_the_same_continents(copy: int) -> None:
    assert is_land(40.42, -3.70, 5000, copy) and is_land(-25, 135, 5000, copy)
    assert not is_land(40.0, -40.0, 5000, copy)
    assert copy == 0 or len(outlines(copy).land) < len(outlines(copy - 1).land)


def test_a_window_in_the_middle_of_a_country_is_all_land_and_nothing_more() -> None:
    window = window_around(Point(40.42, -3.70), 50)
    [ring] = outlines(0).land.rings(window)
    corners = {(round(x, 9), round(y, 9)) for x, y in ring}
    assert corners == {(round(x, 9), round(y, 9)) for x in window[::2] for y in window[1::2]}


def test_nothing_reaches_out_of_the_window() -> None:
    window = window_around(Point(41.88, -87.63), 300)
    for ring in outlines(0).land.rings(window):
        for x, y in ring:
            assert window.west - 1e-9 <= x <= window.east + 1e-9
            assert window.south - 1e-9 <= y <= window.north + 1e-9


def test_no_coast_runs_along_the_date_line() -> None:
    for latitude in (67.0, 71.2, -16.85):
        window = window_around(Point(latitude, 180.0), 100)
        line = 180.0 if window.west > 0 else -180.0
        upright = [
            (a, b)
            for ring in outlines(0).land.rings(window)
            for a, b in pairwise(ring)
            if abs(a[0] - line) < 0.01 and abs(b[0] - line) < 0.01 and abs(a[1] - b[1]) > 0.02
        ]
        assert upright == []


def test_borders_are_seen_where_they_are() -> None:
    at_el_paso = window_around(Point(31.77, -106.5), 100)
    assert list(outlines(0).countries.open_lines(at_el_paso))
    assert list(outlines(0).states.open_lines(at_el_paso))
    at_sea = window_around(Point(40, -40), 100)
    assert not list(outlines(0).countries.open_lines(at_sea)) + list(outlines(0).states.open_lines(at_sea))


def test_wide_maps_are_drawn_from_coarser_copies() -> None:
    assert for_detail(0.0005) is outlines(0)
    assert for_detail(0.5) is outlines(len(STEPS) - 1)


rings = st.lists(
    st.tuples(st.floats(-10, 10, width=32), st.floats(-10, 10, width=32)), min_size=3, max_size=200
)
inner = st.tuples(st.floats(-2.9, 2.9), st.floats(-1.9, 1.9))


@settings(max_examples=200)
@given(ring=rings, at=inner)
def test_cutting_an_area_changes_nothing_inside_the_window(ring: Track, at: Position) -> None:
    """Whatever the ring is like, crossing itself too; long ones are cut piece by piece first."""
    window = Box(-3.01, -2.02, 3.03, 2.04)
    assume(
        all(distance(at, edge) > 1e-4 for edge in pairwise([*ring, ring[0]]))
    )  # on an edge, rounding decides
    lines = Lines([(array("f", (x for x, _ in ring)), array("f", (y for _, y in ring)))])
    assert is_inside(list(lines.rings(window)), at) == is_inside([ring], at)
    cut = clipped(ring, window)
    assert is_inside([cut] if cut else [], at) == is_inside([ring], at)


def test_an_area_is_found_on_whichever_side_of_the_date_line_the_window_lies() -> None:
    fiji = track([Point(-16, 177), Point(-16, -178), Point(-20, -178), Point(-20, 177)], closed=True)
    for window in (Box(175, -25, 185, -10), Box(-185, -25, -175, -10)):
        [part] = area_within(fiji, window)
        assert max(x for x, _ in part) - min(x for x, _ in part) == pytest.approx(5)


def test_the_file_is_compact_and_says_what_it_is_made_of(script: ModuleType) -> None:
    content = (DATA / "outlines.json").read_bytes()
    assert len(content) <= 400_000
    assert json.loads(content)["packages"] == sorted(script.PACKAGES)
    explained = (DATA / "outlines.md").read_text()
    for package in script.PACKAGES:
        assert "npm `{}` {}".format(*package.split("@")) in explained


def test_what_the_script_writes_is_read_here(script: ModuleType) -> None:
    lines = [
        [(-87.6, 41.9), (-87.5975, 41.8), (100.0, 41.8)],
        [(179.0, -16.0), (181.0, -16.0), (180.0, -17.0)],
    ]
    read = list(decoded(script.coded(lines, closed=True), script.GRID))
    assert [list(xs) for xs, _ in read] == [pytest.approx([x for x, _ in line], abs=1e-4) for line in lines]
    assert [list(ys) for _, ys in read] == [
        pytest.approx([y_of(y) for _, y in line], abs=1e-4) for line in lines
    ]


def test_the_script_puts_together_what_is_cut_at_the_date_line(script: ModuleType) -> None:
    west = [(179.0, 10.0), (180.0, 10.0), (180.0, 0.0), (179.0, 0.0)]
    east = [(-180.0, 10.0), (-179.0, 5.0), (-180.0, 0.0)]
    [island] = script.joined([west, east])
    assert sorted(x for x, _ in island) == [179, 179, 180, 180, 180, 180, 181]
    assert script.area_km2(island) == pytest.approx(script.area_km2(west) + script.area_km2(east), rel=0.02)


def test_the_script_leaves_out_nothing_that_is_farther_away_than_the_tolerance(script: ModuleType) -> None:
    line = [(x / 100, (x % 7) / 1000) for x in range(100)]
    kept = script.simplified(line, 0.3)
    assert 2 < len(kept) < len(line) and kept[0] == line[0] and kept[-1] == line[-1]
    assert script.simplified(line, 1.0) == [line[0], line[-1]]
