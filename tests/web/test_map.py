"""Maps as they leave the server: what is on them, where, how large, and that nothing on them can be forged."""

import gzip
import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from xml.etree import ElementTree

import pytest

from events.branches.models import LocationType
from events.language import language
from events.places.geo import Distance, Point, Unit, geodesic
from events.places.shapes import Shape
from events.web.map import (
    APART,
    APART_OF_MANY,
    APPROXIMATE,
    ROOM_FOR_PINS,
    Area,
    Here,
    Map,
    Spot,
    directions,
    draw_map,
    round_below,
    window,
)
from events.web.pins import placed
from tests.conftest import branch
from tests.web.figure import figure, links

chance = random.Random(1)
CASES = {
    "Chicago": [(41.92, -87.65), (41.93, -87.71), (41.918, -87.678), (41.903, -87.697), (41.896, -87.677)],
    "London": [(51.547, -0.106), (51.461, -0.116), (51.526, -0.035), (51.493, -0.234), (51.376, -0.098)],
    "Madrid": [(40.42, -3.706), (40.43, -3.7), (40.39, -3.74), (40.46, -3.62), (40.33, -3.83)],
    "Fiji": [(-16.43, 179.36), (-18.14, 178.44), (-16.8, -179.99), (-17.6, 177.45), (-18.2, -178.8)],
    "Alaska": [(51.88, -176.65), (52.9, 172.9), (53.88, -166.53), (61.2, -149.9), (58.3, -134.4)],
    "Norway": [(60.39, 5.32), (63.43, 10.4), (59.91, 10.75), (69.65, 18.96), (58.97, 5.73)],
    "the north": [(78.22, 15.65), (89.9, 10.0)],
    "pole to pole": [(84.0, 0.0), (-84.0, 0.0)],
    "the world": [(chance.uniform(-38, 62), chance.uniform(-170, 175)) for _ in range(50)],
    "a crowd": [(chance.gauss(41.88, 0.05), chance.gauss(-87.66, 0.05)) for _ in range(60)],
    "one house": [(40.75, -73.98)] * 4,
    "one": [(40.42, -3.706)],
}
HERE = Here(Point(41.9, -87.63), Distance(1.5))


def spots(places: Sequence[tuple[float, float]]) -> list[Spot]:
    return [
        Spot(number, f"Club {number}", f"/branches/{number}", Point(*place))
        for number, place in enumerate(places, 1)
    ]


def drawn(
    them: Sequence[Spot], here: Here | None = None, *areas: Area, code: str = "en", unit: Unit = "mi"
) -> Map:
    shown = draw_map(language(code), unit, them, here, areas=areas)
    assert shown is not None
    return shown


def case(name: str) -> Map:
    return drawn(spots(CASES[name]))


@dataclass(frozen=True)
class Pin:
    name: str
    href: str
    kind: str
    number: str | None
    x: float  # pixels of the smallest map with pins of full size
    y: float


def svg(shown: Map) -> ElementTree.Element:
    return ElementTree.fromstring(str(shown.svg))  # noqa: S314  (our own)


def percent(element: ElementTree.Element, name: str) -> float:
    return float(element.attrib[name].removesuffix("%")) / 100


def pins(shown: Map) -> list[Pin]:
    found = []
    for link in svg(shown).iter("a"):
        [mark] = link.iter("svg")
        x, y = percent(mark, "x") * ROOM_FOR_PINS[0], percent(mark, "y") * ROOM_FOR_PINS[1]
        number = mark.findtext("text")
        found.append(Pin(link.findtext("title", ""), link.attrib["href"], link.attrib["class"], number, x, y))
    return found


def paths(shown: Map, kind: str) -> list[list[tuple[int, int]]]:
    """The first subpath of each path of a kind: its corners in the units of the picture."""
    found = []
    for path in svg(shown).iter("path"):
        if path.attrib["class"] == f"map__{kind}":
            first = path.attrib["d"].split("M")[1]
            numbers = [int(number) for number in re.findall(r"-?\d+", first)]
            x, y = numbers[:2]
            corners = [(x, y)]
            for dx, dy in zip(numbers[2::2], numbers[3::2], strict=True):
                x, y = x + dx, y + dy
                corners.append((x, y))
            found.append(corners)
    return found


def kilometres_wide(shown: Map) -> float:
    return float(svg(shown).attrib["data-width"])


# --- What is on it


@pytest.mark.parametrize("code", ["en", "es"])
def test_each_branch_is_a_link_with_its_number_and_name_in_the_order_of_the_list(code: str) -> None:
    shown = pins(drawn(spots(CASES["Chicago"]), HERE, code=code))
    assert [(pin.name, pin.href, pin.number) for pin in shown] == [
        (f"{number}: Club {number}", f"/branches/{number}", str(number)) for number in range(1, 6)
    ]


def test_pins_stand_where_the_branches_are() -> None:
    evanston, hyde_park, gary = pins(drawn(spots([(42.05, -87.68), (41.79, -87.59), (41.6, -87.34)])))
    assert evanston.y < hyde_park.y < gary.y
    assert evanston.x < hyde_park.x < gary.x
    east, south = gary.x - evanston.x, gary.y - evanston.y
    assert east / south == pytest.approx(0.34 * math.cos(math.radians(41.8)) / 0.45, rel=0.01)


@pytest.mark.parametrize("name", CASES)
def test_everything_fits_with_room_around_it(name: str) -> None:
    here = Here(Point(*CASES[name][0]), Distance(0.1))
    for pin in pins(drawn(spots(CASES[name]), here)):
        assert 12 < pin.x < ROOM_FOR_PINS[0] - 12
        assert 12 < pin.y < ROOM_FOR_PINS[1] - 12


def test_there_is_no_map_of_nothing() -> None:
    assert draw_map(language("en"), "mi", [], None) is None


def test_one_branch_alone_stands_in_the_middle_of_a_region() -> None:
    shown = drawn(spots(CASES["one"]), unit="km")
    [pin] = pins(shown)
    assert (pin.x, pin.y) == pytest.approx((240, 160), abs=0.1)
    assert kilometres_wide(shown) == pytest.approx(120, abs=1)


def test_a_branch_without_a_number_is_a_dot_with_its_name() -> None:
    [pin] = pins(drawn([Spot(None, "Club", "/branches/club", Point(41.9, -87.6))]))
    assert (pin.name, pin.number) == ("Club", None) and "map__pin--dot" in pin.kind


def test_names_and_addresses_cannot_break_out() -> None:
    name = """</title><script>alert("1")</script>' & "co" """
    shown = drawn([Spot(1, name, '/branches/"onload="x', Point(41.9, -87.6))])
    assert "<script" not in shown.svg and '"onload=' not in shown.svg
    [pin] = pins(shown)
    assert (pin.name, pin.href) == (f"1: {name}", '/branches/"onload="x')


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_asked_of_anybody_and_nothing_needs_inline_style(name: str) -> None:
    assert not re.search(r"https?:|style=|<script|<image|<use|\bon\w+=|url\(|nan|inf", str(case(name).svg))


# --- Where it is


def test_across_the_date_line_the_map_is_narrow_and_east_is_on_the_right() -> None:
    shown = drawn(spots(CASES["Fiji"]), unit="km")
    assert kilometres_wide(shown) < 700
    first, second, third, fourth, fifth = pins(shown)
    assert fourth.x < second.x < first.x < third.x < fifth.x


def test_what_was_typed_beyond_the_date_line_is_on_the_same_map() -> None:
    shown = drawn(spots([(-16.8, 179.9)]), Here(Point(-16.8, -179.9), Distance(1)), unit="km")
    assert kilometres_wide(shown) < 60


def test_an_area_across_the_date_line_does_not_run_around_the_earth() -> None:
    [shape] = Shape.all_of(
        '{"type":"Polygon","coordinates":[[[177,-16],[-178,-16],[-178,-20],[177,-20],[177,-16]]]}'
    )
    shown = drawn(spots([(-17, 179)]), None, Area.drawn("Fiji", [shape]), unit="km")
    assert 500 < kilometres_wide(shown) < 1000
    [corners] = paths(shown, "area")
    assert all(0 < x < 7200 for x, _ in corners)


def test_near_a_pole_the_map_ends_and_the_branch_is_still_on_it() -> None:
    svalbard, pole = pins(case("the north"))
    assert pole.y < svalbard.y
    assert pole.number == "2"


def test_from_pole_to_pole_everything_is_seen() -> None:
    assert [pin.number for pin in pins(case("pole to pole"))] == ["1", "2"]


# --- Numbers


@pytest.mark.parametrize("name", [*CASES])
def test_no_number_covers_another(name: str) -> None:
    numbered = [pin for pin in pins(case(name)) if pin.number]
    apart = APART if len(CASES[name]) <= 12 else APART_OF_MANY
    for one, other in combinations(numbered, 2):
        assert math.dist((one.x, one.y), (other.x, other.y)) > apart - 0.2


def test_a_number_that_stands_aside_has_a_line_to_its_point() -> None:
    shown = drawn(spots(CASES["one house"]))
    lines = [line for line in svg(shown).iter("line") if "y2" in line.attrib and "%" in line.attrib["y2"]]
    assert len(lines) == 3
    assert {(line.attrib["x1"], line.attrib["y1"]) for line in lines} == {("50%", "50%")}
    ends = {(line.attrib["x2"], line.attrib["y2"]) for line in lines}
    marks = [mark for link in svg(shown).iter("a") for mark in link.iter("svg")]
    assert ends == {(mark.attrib["x"], mark.attrib["y"]) for mark in marks if "data-point" in mark.attrib}


def test_no_number_covers_what_was_typed() -> None:
    here = Here(Point(41.92, -87.65), Distance(0.1))
    first, *_ = pins(drawn(spots(CASES["Chicago"]), here))
    around = window(spots(CASES["Chicago"]), here)
    assert around is not None
    [plain, *_] = pins(drawn(spots(CASES["Chicago"])))
    assert math.dist((first.x, first.y), (plain.x, plain.y)) > 15


def test_most_of_a_crowd_keep_their_numbers_and_the_others_are_dots() -> None:
    shown = case("a crowd")
    numbered = sum(pin.number is not None for pin in pins(shown))
    assert numbered >= 40
    assert shown.unnumbered is (numbered < 60)


def test_pins_that_have_no_room_at_all_are_none() -> None:
    places = placed([(50.0, 50.0)] * 500, (100.0, 100.0), apart=27)
    assert places[0] == (50.0, 50.0)
    assert places.count(None) > 480


# --- What was typed, and areas


def test_the_precision_of_what_was_typed_is_a_circle_of_that_size() -> None:
    shown = drawn(spots(CASES["Chicago"]), Here(Point(41.9, -87.65), Distance(3)), unit="km")
    [corners] = paths(shown, "precision")
    across = max(x for x, _ in corners) - min(x for x, _ in corners)
    assert across / 7200 * kilometres_wide(shown) == pytest.approx(6, rel=0.02)
    assert shown.precision


def test_an_exact_point_is_a_dot_without_a_circle() -> None:
    shown = drawn(spots(CASES["Chicago"]), Here(Point(41.9, -87.65), Distance(0.05)))
    assert shown.here and not shown.precision
    assert paths(shown, "precision") == []


@pytest.mark.parametrize(("code", "unit", "labels"), [("en", "mi", "2 mi|4 mi"), ("es", "km", "5 km|10 km")])
def test_rings_say_in_the_readers_unit_how_far_things_are(code: str, unit: Unit, labels: str) -> None:
    shown = drawn(spots(CASES["London"]), Here(Point(51.5, -0.12), Distance(0.5)), code=code, unit=unit)
    said = [text.text for text in svg(shown).iter("text") if text.get("class") == "map__distance"]
    assert "|".join(filter(None, said)) == labels
    assert len(paths(shown, "ring")) == 1


def test_a_confidential_branch_is_a_disc_that_holds_its_whole_cell() -> None:
    hidden = branch("safe-house", "Safe House", Point(41.9449, -87.6551), confidential=True)
    assert hidden.public_point is not None and hidden.point is not None
    assert geodesic(hidden.public_point, hidden.point) < APPROXIMATE
    assert geodesic(Point(0.05, 0.05), Point(0, 0)) < APPROXIMATE
    shown = drawn(
        [Spot(1, hidden.name, "/branches/safe-house", hidden.public_point, approximate=True)], unit="km"
    )
    [corners] = paths(shown, "approximate")
    across = max(x for x, _ in corners) - min(x for x, _ in corners)
    assert across / 7200 * kilometres_wide(shown) == pytest.approx(2 * APPROXIMATE.km, rel=0.02)
    [pin] = pins(shown)
    assert "map__pin--approximate" in pin.kind


def test_an_area_lies_beneath_the_pins_and_is_shown_whole_around_a_single_branch() -> None:
    area = Area.around("Cook County", Point(41.9, -87.7), Distance(50))
    shown = drawn(spots(CASES["Chicago"][:1]), None, area, unit="km")
    [corners] = paths(shown, "area")
    assert all(0 <= x <= 7200 and 0 <= y <= 4800 for x, y in corners)
    assert shown.svg.index("map__area") < shown.svg.index("map__pin")


def test_among_several_branches_a_large_area_does_not_make_the_map_smaller() -> None:
    area = Area.around("Illinois", Point(41.9, -87.7), Distance(500))
    assert drawn(spots(CASES["Chicago"]), HERE, area).width == drawn(spots(CASES["Chicago"]), HERE).width


def test_each_area_is_a_path_of_its_own_so_that_none_makes_a_hole_in_another() -> None:
    areas = [Area.around("A", Point(41.9, -87.7), Distance(radius)) for radius in (10, 20)]
    assert len(paths(drawn(spots(CASES["Chicago"]), None, *areas), "area")) == 2


# --- Scale and size


def test_the_scale_bar_is_as_long_as_it_says() -> None:
    for unit in ("mi", "km"):
        shown = drawn(spots(CASES["Chicago"]), unit=unit)
        [scale] = [part for part in svg(shown).iter("svg") if part.get("class") == "map__scale"]
        said = scale.findtext("text", "")
        assert said.endswith(f" {unit}")
        assert percent(scale.findall("line")[0], "x2") * kilometres_wide(shown) == pytest.approx(
            float(said.split()[0]), rel=0.01
        )


def test_a_map_of_the_world_has_no_scale_because_it_would_be_wrong() -> None:
    assert "map__scale" not in case("the world").svg
    assert svg(case("the world")).attrib["data-width"] == ""


@pytest.mark.parametrize(("limit", "number"), [(7.3, 5), (5, 5), (4.99, 2), (1, 1), (0.7, 0.5), (430, 200)])
def test_lengths_are_round(limit: float, number: float) -> None:
    assert round_below(limit) == pytest.approx(number)


@pytest.mark.parametrize("name", CASES)
def test_a_map_takes_at_most_40_kilobytes_on_the_wire(name: str) -> None:
    assert len(gzip.compress(str(case(name).svg).encode(), 6)) < 40_000


@pytest.mark.parametrize("name", CASES)
def test_the_same_branches_make_the_same_map(name: str) -> None:
    assert case(name) == case(name)


# --- Around it


@pytest.mark.parametrize("code", ["en", "es"])
def test_the_figure_says_whose_the_outlines_are_and_how_wide_it_is(code: str) -> None:
    spoken = language(code)
    shown = drawn(spots(CASES["Chicago"]), HERE, code=code, unit="km")
    html = figure(spoken, shown)
    assert spoken.gettext("Outlines: Natural Earth") in html
    assert shown.width == "40 km" and "40 km" in html
    assert html.count("<button") == html.count(" hidden>") == 3


def test_the_caption_explains_only_what_is_on_the_map() -> None:
    plain = figure(language("en"), drawn(spots(CASES["Chicago"])))
    assert "searched" not in plain and "area" not in plain and "in person" not in plain
    area = Area.around("A", Point(41.9, -87.7), Distance(10))
    [first, *others] = spots(CASES["Chicago"])
    vague = Spot(1, first.name, first.href, first.point, approximate=True)
    full = figure(language("en"), drawn([vague, *others], HERE, area))
    assert "searched" in full and "area" in full and "in person" in full


# --- Directions


def test_directions_are_plain_addresses() -> None:
    alder = branch("alder", "Alder Club", Point(41.9227, -87.6533))
    assert [href for _, href in directions(language("en"), alder)] == [
        "geo:41.9227,-87.6533",
        "https://www.openstreetmap.org/directions?to=41.9227,-87.6533",
    ]


def test_directions_are_links_that_tell_the_other_site_nothing() -> None:
    alder = branch("alder", "Alder Club", Point(41.9227, -87.6533))
    html = links(language("en"), directions(language("en"), alder))
    assert html.count("<a ") == html.count('rel="noopener noreferrer external"') == 2


def test_nobody_is_led_to_a_place_that_is_confidential_or_nowhere() -> None:
    at = Point(41.9227, -87.6533)
    for hidden in (
        branch("a", "A", at, confidential=True),
        branch("b", "B", at, location_type=LocationType.VIRTUAL),
        branch("c", "C", None),
    ):
        assert directions(language("en"), hidden) == []
