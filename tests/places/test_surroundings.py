"""What a reading lies in: the codes and the regions that territories may be given by."""

import math
from collections.abc import Iterable
from pathlib import Path

import pytest

from events.places.gazetteer import import_postal
from events.places.geo import Point
from events.places.lookup import Gazetteer
from events.places.readings import Interpretation
from events.places.surroundings import MOST_CODES, Surroundings

from ..small_gazetteer import BUILT_AT, build_small

CHICAGO, BETWEEN = Point(41.9229, -87.6483), Point(41.9, -87.64)  # a code's middle, and half way to another's


@pytest.fixture
def places(small_gazetteer: Path) -> Gazetteer:
    return Gazetteer(small_gazetteer)


def first(places: Gazetteer, typed: str, *prefer: str) -> Interpretation:
    return places.interpretations(typed, prefer=prefer or ("US",))[0]


def around(places: Gazetteer, typed: str, *prefer: str) -> Surroundings:
    return places.surroundings(first(places, typed, *prefer))


def at(point: Point, precision_km: float, country: str | None = "US") -> Interpretation:
    return Interpretation("coordinates", str(point), country, point, precision_km)


def with_codes(folder: Path, rows: Iterable[tuple[str, str, str, float, float]]) -> Gazetteer:
    """The small directory with more codes: country, code, region, latitude, longitude."""
    target, file = build_small(folder), folder / "more.txt"
    lines = (f"{c}\t{code}\tTown\t{region}\t\t\t\t\t\t{y}\t{x}\t4\n" for c, code, region, y, x in rows)
    file.write_text("".join(lines), encoding="utf-8")
    import_postal(target, [file], BUILT_AT)
    return Gazetteer(target)


def test_a_code_lies_in_itself_its_region_and_its_country(places: Gazetteer) -> None:
    found = around(places, "60614-1234")
    assert found.codes == {"US": ("606141234", "60614")}
    assert found.regions == {("US", ""): True, ("US", "illinois"): True, ("US", "il"): True}


def test_the_beginning_of_codes_is_itself_and_lies_in_the_region_of_all_of_them(places: Gazetteer) -> None:
    found = around(places, "606")
    assert found.codes == {"US": ("606",)}
    assert found.regions == {("US", ""): True, ("US", "illinois"): True, ("US", "il"): True}


def test_a_town_holds_the_codes_within_it_and_lies_in_its_region(places: Gazetteer) -> None:
    found = around(places, "Chicago")
    assert set(found.codes["US"]) == {"60614", "60690"}
    assert found.regions == {("US", ""): True, ("US", "illinois"): True, ("US", "il"): True}


def test_a_town_without_a_code_in_it_has_the_nearest(places: Gazetteer) -> None:
    assert around(places, "Waupun").codes == {}  # the nearest is more than an hour away
    assert around(places, "Paris", "FR").codes == {"FR": ("75001",)}


def test_a_region_and_a_country_are_only_themselves(places: Gazetteer) -> None:
    assert around(places, "Illinois") == Surroundings(
        {}, {("US", ""): True, ("US", "illinois"): True, ("US", "il"): True}
    )
    assert around(places, "Germany") == Surroundings({}, {("DE", ""): True})


def test_a_code_without_a_place_lies_in_its_country(places: Gazetteer) -> None:
    assert around(places, "BFPO 57") == Surroundings({"GB": ("BFPO57",)}, {("GB", ""): True})
    assert around(places, "09001").codes == {"US": ("09001",)}


def test_a_point_has_the_code_whose_middle_is_nearest(places: Gazetteer) -> None:
    found = places.surroundings(at(CHICAGO, 0.1))
    assert found.codes == {"US": ("60614",)}
    assert found.regions[("US", "il")]


def test_a_point_that_may_belong_to_either_code_has_both(places: Gazetteer) -> None:
    assert places.surroundings(at(BETWEEN, 0.01)).codes == {"US": ("60690",)}
    assert set(places.surroundings(at(BETWEEN, 0.55)).codes["US"]) == {"60614", "60690"}
    assert set(places.surroundings(at(CHICAGO, 6.0)).codes["US"]) == {"60614", "60690"}


def test_a_point_near_the_border_of_regions_is_surely_in_neither(tmp_path: Path) -> None:
    rows = [("US", "60099", "Illinois", 42.45, -87.83), ("US", "53158", "Wisconsin", 42.54, -87.83)]
    places = with_codes(tmp_path, rows)
    border = places.surroundings(at(Point(42.496, -87.83), 0.55))
    assert border.regions == {
        **{("US", ""): True, ("US", "illinois"): False, ("US", "il"): False},
        **{("US", "wisconsin"): False, ("US", "wi"): False},
    }
    inland = places.surroundings(at(Point(42.45, -87.83), 0.55))
    assert inland.regions == {("US", ""): True, ("US", "illinois"): True, ("US", "il"): True}


def test_a_point_near_the_border_of_countries_is_surely_in_neither(tmp_path: Path) -> None:
    places = with_codes(
        tmp_path, [("FR", "67000", "Alsace", 48.573, 7.752), ("DE", "77694", "Baden", 48.575, 7.82)]
    )
    found = places.surroundings(at(Point(48.574, 7.787), 0.55, "FR"))
    assert found.codes == {"FR": ("67000",), "DE": ("77694",)}
    assert found.regions[("FR", "")] is False
    assert found.regions[("DE", "")] is False


def test_a_region_is_not_sure_when_the_country_is_not(tmp_path: Path) -> None:
    rows = [("US", "60099", "Illinois", 42.45, -87.83), ("CA", "M5V", "", 42.46, -87.83)]
    found = with_codes(tmp_path, rows).surroundings(at(Point(42.455, -87.83), 0.55))
    assert found.regions[("US", "illinois")] is False
    assert found.regions[("CA", "")] is False


def test_on_the_high_seas_there_is_nothing(places: Gazetteer) -> None:
    assert places.surroundings(first(places, "0,0")) == Surroundings({}, {})


@pytest.mark.parametrize("longitude", [179.99, -179.99, 180.0, -180.0])
def test_codes_are_found_across_the_date_line(tmp_path: Path, longitude: float) -> None:
    places = with_codes(tmp_path, [("FJ", "1001", "", -16.8, 179.98), ("FJ", "1002", "", -16.8, -179.98)])
    found = places.surroundings(at(Point(-16.8, longitude), 5.0, "FJ"))
    assert set(found.codes["FJ"]) == {"1001", "1002"}
    assert first(places, f"-16.8,{longitude}").country == "FJ"


def test_a_point_that_is_very_inexact_is_only_somewhere(places: Gazetteer) -> None:
    assert places.surroundings(at(CHICAGO, 500.0)).codes == {}


def test_of_a_city_with_too_many_codes_their_beginnings_are_told(tmp_path: Path) -> None:
    turns = (2 * math.pi * number / 50 for number in range(2 * MOST_CODES))
    rows = [
        (
            "SG",
            f"{238000 + number}",
            "",
            1.3 + number / 1e5 * math.sin(turn),
            103.8 + number / 1e5 * math.cos(turn),
        )
        for number, turn in enumerate(turns)
    ]
    places = with_codes(tmp_path, rows)
    town = Interpretation("place", "Singapore", "SG", Point(1.3, 103.8), 25.0)
    assert set(places.surroundings(town).codes["SG"]) == {"238*", "239*"}
    point = at(Point(1.3, 103.8), 10.0, "SG")
    assert set(places.surroundings(point).codes["SG"]) == {"238*", "239*"}
    assert set(places.surroundings(at(Point(1.3, 103.8), 0.9, "SG")).codes["SG"]) == {"238*", "239*"}
    exact = places.surroundings(at(Point(1.31, 103.8), 0.01, "SG")).codes["SG"]
    assert 0 < len(exact) < 50
    assert all(len(code) == 6 for code in exact)


def test_without_a_directory_only_what_was_typed_is_known(tmp_path: Path) -> None:
    places = Gazetteer(tmp_path / "none.db")
    code = Interpretation("postal_code", "E1", "GB", Point(51.5, -0.07), 5.0, codes=("E16AN", "E1"))
    assert places.surroundings(code) == Surroundings({"GB": ("E16AN", "E1")}, {("GB", ""): True})
    assert places.surroundings(at(CHICAGO, 0.1, None)) == Surroundings({}, {})
