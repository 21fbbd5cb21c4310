"""The names of towns on a map: which, where, and what they cost."""

import gzip
import random
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from babel import Locale
from starlette.testclient import TestClient

from events.config import Settings
from events.language import language
from events.places.geo import Distance, Point
from events.places.lookup import Gazetteer
from events.places.mercator import Box, latitude_of
from events.places.towns import Town, weight
from events.web.map import Here, Map, Spot, Towns, draw_map

from ..conftest import Cast
from .figure import figure
from .test_map import CASES, HERE, percent, spots, svg


def drawn(them: Sequence[Spot], towns: Towns | None, here: Here | None = None, code: str = "en") -> Map:
    shown = draw_map(language(code), "km", them, here, towns=towns)
    assert shown is not None
    return shown


def dense(box: Box, most: int) -> list[Town]:
    """A town wherever one looks, with a longish name."""
    chance = random.Random(round(box.west + box.south))
    found = []
    for number in range(most):
        x, y = chance.uniform(box.west, box.east), chance.uniform(box.south, box.north)
        people = 10**6 - number * 1000
        name = f"{chr(65 + (number + most) % 26)}olkersdorf {number}"  # another one in another window
        found.append(Town(name, Point(latitude_of(y), (x + 180) % 360 - 180), people, weight(people, 3)))
    return found


def only(*towns: Town) -> Towns:
    return lambda box, most: list(towns)


def named(shown: Map) -> dict[str, ElementTree.Element]:
    """By their names, what stands at the point of a town."""
    return {
        mark.findtext("text", ""): mark
        for group in svg(shown).iter("g")
        if group.get("class") == "map__towns"
        for mark in group.findall("svg")
    }


@pytest.mark.parametrize(
    ("case", "town"), [("Chicago", "Chicago"), ("London", "London"), ("Madrid", "Madrid")]
)
def test_a_map_of_a_city_says_which_city_it_is(small_gazetteer: Path, case: str, town: str) -> None:
    towns = Gazetteer(small_gazetteer).towns
    assert town in named(drawn(spots(CASES[case]), towns))
    assert town in named(drawn(spots(CASES[case]), towns, Here(Point(*CASES[case][0]), Distance(1))))


def test_a_name_stands_where_its_town_is() -> None:
    east = Town("Whiting", Point(41.68, -87.49), 5_000, 5_000)
    mark = named(drawn(spots([(42.05, -87.68), (41.6, -87.34)]), only(east)))["Whiting"]
    [evanston, gary] = [
        link.find("svg") for link in svg(drawn(spots([(42.05, -87.68), (41.6, -87.34)]), None)).iter("a")
    ]
    assert evanston is not None and gary is not None
    part = (percent(mark, "x") - percent(evanston, "x")) / (percent(gary, "x") - percent(evanston, "x"))
    assert part == pytest.approx(0.19 / 0.34, abs=0.01)


def test_beyond_the_date_line_a_name_stands_on_its_side_of_the_map() -> None:
    places = [Town("West", Point(-17.0, 179.2), 9, 9), Town("East", Point(-17.1, -179.2), 8, 8)]
    found = named(drawn(spots(CASES["Fiji"]), only(*places)))
    assert 0 < percent(found["West"], "x") < percent(found["East"], "x") < 1


def test_towns_around_the_map_are_there_for_when_it_is_moved() -> None:
    shown = drawn(spots(CASES["Chicago"]), dense)
    across = [percent(mark, "x") for mark in named(shown).values()]
    assert min(across) < -0.1 and max(across) > 1.1
    assert sum(0 < x < 1 for x in across) > 10


def test_of_two_alike_the_one_that_the_directory_names_first_is_shown_in_every_process() -> None:
    """Not the one that comes first in a set, whose order differs from process to process."""
    here, there = (Town("Springfield", Point(41.91, east), 9000, weight(9000, 3)) for east in (-87.66, -87.7))
    for pair in ((here, there), (there, here)):
        [mark] = named(drawn(spots(CASES["Chicago"]), only(*pair))).values()
        [alone] = named(drawn(spots(CASES["Chicago"]), only(pair[0]))).values()
        assert mark.get("x") == alone.get("x")


def test_names_are_seen_but_neither_read_out_nor_links() -> None:
    shown = drawn(spots(CASES["Chicago"]), dense)
    groups = [group for group in svg(shown).iter("g") if group.get("class") == "map__towns"]
    assert groups and all(group.get("aria-hidden") == "true" for group in groups)
    assert not any(group.findall(".//a") for group in groups)


def test_names_lie_on_the_ground_and_beneath_everything_else() -> None:
    picture = drawn(spots(CASES["Chicago"]), dense, HERE).svg
    assert picture.index("map__ground") < picture.index("map__towns")
    for other in ("map__distance", "map__scale", "map__here", "map__pin"):
        assert picture.rindex("map__towns") < picture.index(other)


def test_a_name_cannot_break_out() -> None:
    name = """</text><script>'&"X"""
    shown = drawn(spots(CASES["Chicago"]), only(Town(name, Point(41.88, -87.75), 9, 9)))
    assert "<script" not in shown.svg
    assert name in named(shown)


WIDTH, HEIGHT = 18 * 16, 12 * 16  # pixels of a map on a phone


def on_a_phone(shown: Map) -> list[tuple[float, float]]:
    """Where the points of names are, in pixels, that lie on the map."""
    groups = (group for group in svg(shown).iter("g") if int(group.get("data-from", 99)) <= 18)
    found = [place(mark) for group in groups for mark in group.findall("svg")]
    return [(x, y) for x, y in found if 0 < x < WIDTH and 0 < y < HEIGHT]


def place(mark: ElementTree.Element) -> tuple[float, float]:
    return percent(mark, "x") * WIDTH, percent(mark, "y") * HEIGHT


def test_names_keep_clear_of_what_was_typed_its_distances_and_the_scale() -> None:
    shown = drawn(spots(CASES["Chicago"]), dense, HERE)
    typed = [mark for mark in svg(shown).iter("svg") if mark.find("circle[@class='map__here']") is not None]
    rings = [text for text in svg(shown).iter("text") if text.get("class") == "map__distance"]
    assert len(typed) == 1 and len(rings) == 2
    found = on_a_phone(shown)
    assert len(found) > 4
    for x, y in found:
        assert all(abs(x - there) > 9 or abs(y - above) > 9 for there, above in map(place, [*typed, *rings]))
        assert not (x < 80 and y > HEIGHT - 36)


def test_names_keep_clear_of_the_buttons_on_whichever_side_they_are() -> None:
    english = language("en")
    hebrew = replace(english, locale=Locale("he"))
    for spoken, side in ((english, WIDTH), (hebrew, 0)):
        shown = draw_map(spoken, "km", spots(CASES["one"]), None, towns=dense)
        assert shown is not None
        found = on_a_phone(shown)
        assert len(found) > 4
        assert not any(abs(x - side) < 56 and y < 130 for x, y in found)


def test_without_a_directory_a_map_is_as_it_was(tmp_path: Path) -> None:
    nothing = Gazetteer(tmp_path / "none.db").towns
    assert drawn(spots(CASES["Chicago"]), nothing) == drawn(spots(CASES["Chicago"]), None)


@pytest.mark.parametrize("code", ["en", "es"])
def test_the_caption_says_whose_the_names_are_only_if_there_are_any(code: str) -> None:
    spoken, credit = language(code), language(code).gettext("Names of towns: GeoNames")
    assert credit in figure(spoken, drawn(spots(CASES["Chicago"]), dense, code=code))
    assert credit not in figure(spoken, drawn(spots(CASES["Chicago"]), None, code=code))


@pytest.mark.parametrize("name", CASES)
def test_with_names_too_a_map_takes_at_most_40_kilobytes_on_the_wire(name: str) -> None:
    shown = drawn(spots(CASES[name]), dense)
    assert len(named(shown)) > 10 or name == "the world"
    assert len(gzip.compress(str(shown.svg).encode(), 6)) < 40_000


@pytest.mark.parametrize("name", ["Chicago", "Fiji", "the world"])
def test_the_same_towns_make_the_same_map(name: str) -> None:
    assert drawn(spots(CASES[name]), dense) == drawn(spots(CASES[name]), dense)


@pytest.mark.parametrize("path", ["/branches?near=60614", "/branches/alder?"])
def test_the_pages_with_maps_have_the_names_of_the_directory(
    small_gazetteer: Path, settings: Settings, ben: TestClient, cast: Cast, path: str
) -> None:
    assert "map__towns" not in ben.get(path).text
    shutil.copy(small_gazetteer, settings.gazetteer)
    later = ben.get(f"{path}&later=1")  # what is in memory stands until the minute is over
    assert "Chicago</text>" in later.text
