"""In which country a point lies."""

import pytest

from events.places.borders import countries_around, country_at, lies_in
from events.places.geo import Distance, Point

KEHL = Point(48.5743, 7.815)  # on the German side of the Rhine


@pytest.mark.parametrize(
    ("point", "country"),
    [
        (Point(41.9, -87.6), "US"),
        (Point(47.141, 9.521), "LI"),
        (Point(18.4663, -66.1057), "PR"),
        (Point(49.19, -2.11), "JE"),
        (Point(50.0, -30.0), ""),
    ],
)
def test_a_point_lies_in_a_country_or_on_the_high_seas(point: Point, country: str) -> None:
    assert country_at(point) == country


def test_a_border_is_judged_with_tolerance() -> None:
    assert not lies_in(KEHL, "FR", Distance(0.1))
    assert lies_in(KEHL, "FR", Distance(10))
    assert not lies_in(Point(52.5, 13.4), "FR", Distance(10))


def test_what_counts_as_a_country_lies_in_it() -> None:
    assert lies_in(Point(18.4663, -66.1057), "US", Distance(1))
    assert lies_in(Point(-14.2781, -170.7025), "AS", Distance(1))
    assert lies_in(Point(49.19, -2.11), "GB", Distance(1))


def test_disputed_land_is_of_all_who_claim_it() -> None:
    assert {"UA", "RU"} <= countries_around(Point(45.0, 34.1), Distance(1))


def test_the_countries_around_a_point_are_found_across_the_date_line_and_at_the_poles() -> None:
    assert countries_around(Point(-16.8, 179.999), Distance(5)) == {"FJ"}
    assert countries_around(Point(90.0, 0.0), Distance(50)) == frozenset()
