"""Areas drawn on the map: holes, the date line, poles, and what is no area at all."""

import json
import math
import time
from collections.abc import Sequence

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from events.errors import Unreadable
from events.places.geo import Point, great_circle
from events.places.shapes import MOST_CORNERS, Shape, cells

Position = Sequence[float]
SQUARE = [[-88.0, 41.0], [-87.0, 41.0], [-87.0, 42.0], [-88.0, 42.0], [-88.0, 41.0]]
HOLE = [[-87.6, 41.4], [-87.4, 41.4], [-87.4, 41.6], [-87.6, 41.6], [-87.6, 41.4]]
INSIDE, IN_THE_HOLE, OUTSIDE = Point(41.2, -87.2), Point(41.5, -87.5), Point(42.5, -87.5)


def polygon(*rings: Sequence[Position]) -> str:
    return json.dumps({"type": "Polygon", "coordinates": rings})


def box(west: float, south: float, east: float, north: float) -> list[list[float]]:
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


def holds(shapes: Sequence[Shape], point: Point) -> bool:
    return any(shape.contains(point) for shape in shapes)


# ---------------------------------------------------------------- inside and outside


def test_a_place_lies_inside_or_outside_or_in_a_hole() -> None:
    [shape] = Shape.all_of(polygon(SQUARE, HOLE))
    assert shape.contains(INSIDE)
    assert not shape.contains(IN_THE_HOLE)
    assert not shape.contains(OUTSIDE)
    assert shape.box == (-88.0, 41.0, -87.0, 42.0)


@pytest.mark.parametrize("ring", [SQUARE, SQUARE[::-1], SQUARE[:-1], [[*corner, 200.0] for corner in SQUARE]])
def test_the_way_round_the_last_corner_and_heights_make_no_difference(ring: list[Position]) -> None:
    [shape] = Shape.all_of(polygon(ring))
    assert shape.contains(INSIDE)
    assert not shape.contains(OUTSIDE)


@pytest.mark.parametrize(
    "thing",
    [
        {"type": "Polygon", "coordinates": [SQUARE]},
        {"type": "MultiPolygon", "coordinates": [[SQUARE], [box(5, 5, 6, 6)]]},
        {"type": "Feature", "properties": None, "geometry": {"type": "Polygon", "coordinates": [SQUARE]}},
        {
            "type": "FeatureCollection",
            "features": [
                {
                    "type": "Feature",
                    "geometry": {
                        "type": "GeometryCollection",
                        "geometries": [{"type": "MultiPolygon", "coordinates": [[SQUARE]]}],
                    },
                }
            ],
        },
    ],
)
def test_every_form_of_geojson_that_has_an_area_is_read(thing: object) -> None:
    shapes = Shape.all_of(json.dumps(thing))
    assert holds(shapes, INSIDE)
    assert not holds(shapes, OUTSIDE)


def test_an_area_with_a_bay_holds_the_arms_and_not_the_bay() -> None:
    [shape] = Shape.all_of(polygon([[0, 0], [3, 0], [3, 3], [2, 3], [2, 1], [1, 1], [1, 3], [0, 3]]))
    assert [shape.contains(Point(2, x)) for x in (0.5, 1.5, 2.5)] == [True, False, True]


# ---------------------------------------------------------------- the date line


FIJI = (Point(-16.8, 179.95), Point(-16.8, -179.95), Point(-16.5, 180.0), Point(-16.5, -180.0))
AWAY = (Point(-16.8, 177.9), Point(-16.8, -177.9), Point(-16.8, 0.0), Point(-18.1, 180.0))


@pytest.mark.parametrize(
    "text",
    [
        polygon(box(179, -17, 181, -16)),  # beyond 180
        polygon(box(-181, -17, -179, -16)),
        polygon([[179, -17], [-179, -17], [-179, -16], [179, -16], [179, -17]]),  # a jump
        polygon([[-179, -16], [179, -16], [179, -17], [-179, -17]]),
        polygon(box(179, -17, 181, -16)[::-1]),
        json.dumps(  # cut at the line, as RFC 7946 3.1.9 has it
            {"type": "MultiPolygon", "coordinates": [[box(179, -17, 180, -16)], [box(-180, -17, -179, -16)]]}
        ),
    ],
)
def test_an_area_across_the_date_line_is_read_however_it_is_written(text: str) -> None:
    shapes = Shape.all_of(text)
    assert [holds(shapes, point) for point in FIJI[:2]] == [True, True]
    assert not any(holds(shapes, point) for point in AWAY)
    near = [any(shape.is_near(point, 10) for shape in shapes) for point in (Point(-16.05, 179.5), *AWAY)]
    assert near == [True, False, False, False, False]


@pytest.mark.parametrize("text", [polygon(box(179, -17, 181, -16)), polygon(box(-181, -17, -179, -16))])
def test_the_line_itself_lies_inside_on_both_its_names(text: str) -> None:
    assert all(holds(Shape.all_of(text), point) for point in FIJI)


@pytest.mark.parametrize(
    "hole",
    [
        box(180.4, -16.6, 180.6, -16.4),
        box(-179.6, -16.6, -179.4, -16.4),
        [[-179.6, -16.6], [180.6, -16.6], [-179.4, -16.4], [180.4, -16.4]],
    ],
)
def test_a_hole_is_found_on_whichever_turn_of_the_earth_it_was_written(hole: list[Position]) -> None:
    [shape] = Shape.all_of(polygon(box(179, -17, 181, -16), hole))
    assert not shape.contains(Point(-16.5, -179.5))
    assert shape.contains(Point(-16.5, 179.5))
    assert shape.is_near(Point(-16.5, -179.5), 20)
    assert not shape.is_near(Point(-16.5, -179.5), 5)


def test_an_area_written_a_turn_too_far_is_the_same_area() -> None:
    [shape] = Shape.all_of(polygon(box(370, 40, 372, 42)))
    assert shape.contains(Point(41, 11))
    assert not shape.contains(Point(41, -11))


@pytest.mark.parametrize(
    "ring",
    [box(-180, -90, 180, 90), box(-180, -85, 180, 85), box(0, -90, 360, 90), box(-180, -90, 180, 90)[::-1]],
)
def test_the_whole_earth_is_an_area_too(ring: list[Position]) -> None:
    [shape] = Shape.all_of(polygon(ring))
    assert all(shape.contains(Point(y, x)) for y in (-60, 0, 60) for x in (-179, -1, 1, 120, 179))


def test_an_area_that_goes_on_beyond_what_may_be_written_is_there_as_well() -> None:
    [shape] = Shape.all_of(polygon([[530, 0], [-170, 0], [-170, 5], [530, 5]]))
    assert shape.contains(Point(2, -175))
    assert shape.contains(Point(2, 175))
    assert not shape.contains(Point(2, -165))


def test_antarctica_along_the_lower_edge_of_the_map_is_an_area() -> None:
    coast = [[-180, -84], [-90, -72], [0, -70], [90, -66], [180, -84], [180, -90], [-180, -90], [-180, -84]]
    [shape] = Shape.all_of(polygon(coast))
    assert all(shape.contains(Point(-88, x)) for x in (-179, -60, 0, 60, 179))
    assert not any(shape.contains(Point(-60, x)) for x in (-179, -60, 0, 60, 179))


@pytest.mark.parametrize(
    "ring",
    [
        [[0, 80], [90, 80], [180, 80], [-90, 80], [0, 80]],
        [[0, -80], [-90, -80], [180, -80], [90, -80]],
        [[0, 80], [120, 80], [-120, 80]],
    ],
)
def test_an_outline_around_a_pole_is_refused_with_what_to_do(ring: list[Position]) -> None:
    with pytest.raises(Unreadable, match="Cut it in two at a meridian"):
        Shape.all_of(polygon(ring))


# ---------------------------------------------------------------- how near the edge is


@pytest.mark.parametrize(
    ("point", "km"),
    [
        (Point(41.5, -86.5), 41.6),  # half a degree east of the square
        (Point(42.5, -87.9), 55.6),  # and north
        (Point(41.5, -87.3), 8.33),  # between the hole and the outer edge
        (Point(42.3, -86.7), 41.5),  # off a corner
    ],
)
def test_the_edge_is_as_near_as_it_is(point: Point, km: float) -> None:
    [shape] = Shape.all_of(polygon(SQUARE, HOLE))
    assert shape.is_near(point, km * 1.02)
    assert not shape.is_near(point, km * 0.98)


@settings(max_examples=150)
@given(
    st.floats(-60, 60), st.floats(-180, 180), st.floats(0.05, 1), st.floats(0.05, 1),
    st.floats(0, 360), st.floats(0, 90), st.floats(5, 100),
)  # fmt: skip
def test_near_and_far_agree_with_the_great_circle(
    latitude: float, longitude: float, tall: float, wide: float, bearing: float, away: float, km: float
) -> None:
    """A box, a point some kilometres off, and the nearest of many points on its edge."""
    [shape] = Shape.all_of(polygon(box(longitude, latitude, longitude + wide, latitude + tall)))
    up, right = away * math.cos(math.radians(bearing)) / 111.2, away * math.sin(math.radians(bearing))
    y = min(max(latitude + up, -89.0), 89.0)
    x = longitude + right / 111.2 / math.cos(math.radians(y))
    point = Point(y, (x + 180) % 360 - 180)
    steps = [step / 200 for step in range(201)]
    edge = [(latitude + tall * step, longitude + side * wide) for step in steps for side in (0, 1)]
    edge += [(latitude + side * tall, longitude + wide * step) for step in steps for side in (0, 1)]
    nearest = min(great_circle(point, Point(a, (b + 180) % 360 - 180)).km for a, b in edge)
    assume(not 0.9 < nearest / km < 1.1)
    assert shape.is_near(point, km) == (nearest < km)


# ---------------------------------------------------------------- what is no area


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "{",
            "null",
            "1",
            '"Polygon"',
            "[]",
            "{}",
            "nonsense",
            "\x00",
            '{"type": "Polygon"}',
            "[" * 100_000,
        ),
        *('{"type": "Point", "coordinates": [1, 2]}', '{"type": "Polygon", "coordinates": []}'),
        *('{"type": "Polygon", "coordinates": [[]]}', '{"type": "Polygon", "coordinates": "[[1,2]]"}'),
        *('{"type": "Polygon", "coordinates": {"0": 1}}', '{"type": "FeatureCollection", "features": []}'),
        *('{"type": "Feature", "geometry": null}', '{"type": "GeometryCollection", "geometries": [null]}'),
        *('{"type": "MultiPolygon", "coordinates": []}', '{"type": "MultiPolygon", "coordinates": [[]]}'),
        *('{"type": "Topology", "coordinates": [[[1, 2], [3, 4], [5, 6]]]}', '{"type": ["Polygon"]}'),
        polygon([[1, 2], [3, 4]]),
        polygon([[1, 2], [3, 4], [1, 2]]),
        '{"type": "Feature", "geometry": ' * 900 + "null" + "}" * 900,
        '{"type": "GeometryCollection", "geometries": [' * 400 + "]}" * 400,
        '{"type": "FeatureCollection", "features": [' * 20 + polygon(SQUARE) + "]}" * 20,
        '{"type": "MultiPolygon", "coordinates": ' + "[" * 50 + "]" * 50 + "}",
        '{"type": "Polygon", "coordinates": [[[' + "9" * 5000 + ", 1], [2, 2], [3, 3]]]}",
    ],
)
def test_what_is_no_area_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(Unreadable, match=r"(An|The|the) area"):
        Shape.all_of(text)


@pytest.mark.parametrize(
    "corner",
    [
        *("[NaN, 1]", "[1, NaN]", "[Infinity, 1]", "[1, -Infinity]", "[true, 1]", "[1, false]", '["1", "2"]'),
        *("[1]", "[]", "null", "1", '"1,2"', "{}", "[[1, 2], 3]", "[1, 90.1]", "[541, 1]", "[1e999, 1]"),
        *("[1, null]", "[-88, -541]", "[41.5, -188]"),
    ],
)
def test_a_corner_that_is_not_on_earth_is_refused_in_a_sentence(corner: str) -> None:
    text = f'{{"type": "Polygon", "coordinates": [[[0, 0], [1, 0], {corner}, [0, 0]]]}}'
    with pytest.raises(Unreadable, match="longitude first, then latitude"):
        Shape.all_of(text)


def test_latitude_and_longitude_the_wrong_way_round_are_noticed_where_they_can_be() -> None:
    with pytest.raises(Unreadable, match="longitude first"):
        Shape.all_of(polygon([[x, y] for y, x in [(-122.4, 37.7), (-122.5, 37.7), (-122.5, 37.8)]]))


def circle(corners: int) -> str:
    turns = (2 * math.pi * number / corners for number in range(corners))
    return polygon([[round(math.cos(turn), 5), round(math.sin(turn), 5)] for turn in turns])


def test_an_outline_may_have_many_corners_and_not_any_number() -> None:
    [shape] = Shape.all_of(circle(MOST_CORNERS - 1))
    begun = time.perf_counter()
    assert shape.contains(Point(0.5, 0.5))
    assert not shape.is_near(Point(0.5, 0.5), 10)
    assert time.perf_counter() - begun < 0.5
    with pytest.raises(Unreadable, match="more than 5000 corners"):
        Shape.all_of(circle(MOST_CORNERS + 1))
    with pytest.raises(Unreadable, match="more than 5000 corners"):
        Shape.all_of(json.dumps({"type": "MultiPolygon", "coordinates": [[SQUARE]] * 1001}))


def test_an_outline_that_winds_around_the_earth_again_and_again_is_refused() -> None:
    there = [[(170 * step + 180) % 360 - 180, step / 100] for step in range(1000)]
    with pytest.raises(Unreadable):
        Shape.all_of(polygon([*there, *[[x, y - 1] for x, y in there[::-1]]]))


@settings(max_examples=150)
@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.floats(), st.integers(-600, 600), st.text(max_size=5)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=5),
            st.fixed_dictionaries(
                {"type": st.sampled_from(["Polygon", "MultiPolygon", "Feature", "FeatureCollection"])},
                optional={"coordinates": inner, "geometry": inner, "features": inner},
            ),
        ),
        max_leaves=30,
    )
)
def test_any_json_is_an_area_or_a_sentence(thing: object) -> None:
    try:
        shapes = Shape.all_of(json.dumps(thing))
    except Unreadable as error:
        assert str(error)
    else:
        assert shapes
        shapes[0].contains(Point(0, 0))


# ---------------------------------------------------------------- squares for finding it


def test_squares_are_numbered_alike_on_both_sides_of_the_date_line() -> None:
    assert cells([(179.5, 0.5, 180.5, 0.5)], 1.0) == {(0, 179), (0, 180)}
    assert cells([(-180.5, 0.5, -179.5, 0.5)], 1.0) == {(0, 179), (0, 180)}
    assert cells([(-0.5, -0.5, 0.5, 0.5)], 1.0) == {(-1, 359), (-1, 0), (0, 359), (0, 0)}


@settings(max_examples=200)
@given(st.floats(-89, 89), st.floats(-180, 180), st.floats(0, 5), st.sampled_from([0.2, 1.0, 10.0]))
def test_a_point_is_in_a_square_of_every_box_around_it(
    latitude: float, longitude: float, reach: float, size: float
) -> None:
    around = (longitude - reach, latitude - reach, longitude + reach, latitude + reach)
    at = (longitude, latitude, longitude, latitude)
    turned = (longitude + 360, latitude, longitude + 360, latitude)
    assert cells([at], size) <= cells([around], size)
    assert (
        cells([turned], size) == cells([at], size) or abs(longitude / size - round(longitude / size)) < 1e-9
    )
