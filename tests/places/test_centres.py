"""From the rows of one postal code to one point, and how far it reaches."""

import pytest

from events.places.centres import centre, reaches
from events.places.geo import Point, great_circle
from events.places.packages import PostalRow


def row(latitude: float, longitude: float, place: str = "", accuracy: int = 0) -> PostalRow:
    return PostalRow("XX", "1000", latitude, longitude, place, "", accuracy)


def test_one_row_in_another_province_does_not_move_the_middle() -> None:
    rows = [row(50.0 + step / 100, 10.0) for step in range(10)] + [row(41.0, 2.0)]
    point, spread, _ = centre(rows)
    assert great_circle(point, Point(50.05, 10.0)).km < 2
    assert spread.km < 10


def test_rows_on_both_sides_of_the_date_line_have_their_middle_there() -> None:
    point, spread, _ = centre([row(-17.0, 179.9), row(-17.0, -179.9), row(-17.0, -179.8)])
    assert point == Point(-17.0, -179.9)
    assert spread.km < 25


def test_a_code_is_named_by_its_surest_row_and_then_by_the_one_in_the_middle() -> None:
    rows = [row(50.0, 10.0, "Hamlet", 3), row(50.1, 10.0, "Town", 4), row(50.4, 10.0, "Edge", 4)]
    assert centre(rows)[2].place == "Town"


def test_codes_that_stand_close_together_reach_less_far() -> None:
    town = [Point(50.001 + step / 1000, 10.001) for step in range(40)]
    village = Point(60.0, 10.0)
    *close, lone = reaches([*town, village])
    assert max(close).km < 1
    assert lone.km == pytest.approx(50)


def test_a_single_new_code_is_judged_by_those_already_there() -> None:
    there = [(50.001 + step / 1000, 10.001) for step in range(40)]
    (alone,) = reaches([Point(50.0205, 10.0015)])
    (among,) = reaches([Point(50.0205, 10.0015)], there)
    assert among.km < 1 < alone.km
