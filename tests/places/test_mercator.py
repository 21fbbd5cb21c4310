"""The flat earth of maps, and its two edges: the date line and the poles."""

import pytest

from events.places.geo import Distance, Point, geodesic
from events.places.mercator import (
    FARTHEST_Y,
    Box,
    Track,
    circle,
    fitted,
    latitude_of,
    smallest_box,
    track,
    y_of,
)

ANYTHING = Distance(1.0)


def box_around(*points: Point) -> Box:
    box = smallest_box([track([point]) for point in points])
    assert box is not None
    return box


def test_a_latitude_comes_back_from_the_map() -> None:
    assert [latitude_of(y_of(latitude)) for latitude in (-60, 0, 41.9)] == pytest.approx([-60, 0, 41.9])


def test_what_lies_beyond_85_degrees_is_drawn_at_85() -> None:
    assert y_of(90) == y_of(85) == FARTHEST_Y
    assert y_of(-90) == -FARTHEST_Y


def test_the_smallest_box_holds_everything() -> None:
    box = box_around(Point(10, -20), Point(40, 30), Point(-5, 0))
    assert (box.west, box.east) == pytest.approx((-20, 30))
    assert (latitude_of(box.south), latitude_of(box.north)) == pytest.approx((-5, 40))


def test_across_the_date_line_the_box_is_narrow() -> None:
    box = box_around(Point(0, 179), Point(0, -179))
    assert (box.west, box.width) == pytest.approx((179, 2))


@pytest.mark.parametrize("turned", [0, 45, 90, 170, 180, -135])
def test_the_widest_gap_is_left_out_wherever_it_is(turned: float) -> None:
    points = [Point(0, (longitude + turned + 180) % 360 - 180) for longitude in (0, 100, 150, 210)]
    assert box_around(*points).width == pytest.approx(210)


def test_a_wide_area_across_the_date_line_is_not_torn() -> None:
    russia = track(
        [Point(55, 27), Point(70, 100), Point(66, 179), Point(65, -170), Point(43, 132)], closed=True
    )
    box = smallest_box([russia, track([Point(60, -175)])])
    assert box is not None
    assert (box.west, box.east) == pytest.approx((27, 190))


def test_a_point_within_an_area_that_goes_around_the_date_line_adds_nothing() -> None:
    area: Track = [(170.0, 0.0), (200.0, 0.0), (185.0, 10.0)]
    box = smallest_box([area, [(-170.0, 5.0)], [(-165.0, 5.0)]])
    assert box is not None
    assert (box.west, box.east) == pytest.approx((170, 200))


def test_points_all_around_the_earth_make_a_box_of_the_whole_earth() -> None:
    around: list[Track] = [[(longitude, 0.0), (longitude + 90, 0.0)] for longitude in (-180.0, -90, 0, 90)]
    box = smallest_box(around)
    assert box is not None
    assert box.width == 360


def test_nothing_has_no_box() -> None:
    assert smallest_box([]) is None


def test_a_fitted_box_has_the_aspect_and_a_margin_and_holds_what_it_must() -> None:
    inner = box_around(Point(41, -88), Point(42, -87.5))
    box = fitted(inner, aspect=1.5, margin=0.1, least=ANYTHING)
    assert box.width / box.height == pytest.approx(1.5)
    assert box.height == pytest.approx(inner.height * 1.2)
    assert box.holds(inner)


def test_a_single_point_becomes_a_box_as_wide_as_wanted_on_the_ground() -> None:
    box = fitted(box_around(Point(60, 10)), aspect=1.5, margin=0.1, least=Distance(40))
    west, east = Point(60, box.west), Point(60, box.east)
    assert geodesic(west, east).km == pytest.approx(40, rel=0.005)
    assert box.ground_width.km == pytest.approx(40)


@pytest.mark.parametrize("latitude", [90, 89, -90, 84.9])
def test_near_a_pole_the_box_stays_on_the_map(latitude: float) -> None:
    box = fitted(box_around(Point(latitude, 10)), aspect=1.5, margin=0.1, least=Distance(40))
    assert box.south + 1e-9 >= -FARTHEST_Y and box.north <= FARTHEST_Y + 1e-9
    assert 0 < box.width < 10


def test_the_map_of_the_world_is_as_wide_as_the_world() -> None:
    around = box_around(Point(60, -150), Point(-40, -50), Point(0, 50), Point(0, 150))
    assert fitted(around, aspect=1.5, margin=0.2, least=ANYTHING).width == 360


def test_a_circle_is_as_far_away_everywhere() -> None:
    for centre in (Point(41.9, -87.6), Point(-17, 179.9), Point(89.5, 0)):
        away = [geodesic(centre, point).km for point in circle(centre, Distance(100))]
        assert away == pytest.approx([100] * len(away), rel=0.006)


def test_a_circle_across_the_date_line_has_no_jump() -> None:
    positions = track(circle(Point(-17, 179.9), Distance(50)), closed=True)
    longitudes = [x for x, _ in positions]
    assert max(longitudes) - min(longitudes) < 1


def test_a_circle_around_a_pole_is_closed_over_it() -> None:
    positions = track(circle(Point(89, 0), Distance(1000)), closed=True)
    assert max(y for _, y in positions) == FARTHEST_Y
    longitudes = [x for x, _ in positions]
    assert max(longitudes) - min(longitudes) == pytest.approx(360)
