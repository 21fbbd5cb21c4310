"""Where names of towns stand: readable at every width, over nothing that must be read."""

import math
import random
from collections.abc import Iterator, Sequence
from itertools import combinations

import pytest

from events.places.geo import Point
from events.places.towns import Town
from events.web.ground import ASPECT
from events.web.labels import (
    BESIDE,
    LEVELS,
    LONGEST,
    NARROWEST,
    REM,
    Label,
    Marks,
    Placed,
    Taken,
    Widths,
    labels,
    text_width,
)

Sides = tuple[float, float, float, float]
NOTHING = Marks([], (12, 15), [], [])
WIDTHS = [10, 14, 18, 20, 24, 30, 36, 44.9, 45, 60, 90, 200]


def town(name: str, x: float, y: float, people: int, reach: float = 0.001) -> Placed:
    return Placed(Town(name, Point(0, 0), people, people), x, y, reach)


def crowded(seed: int) -> tuple[list[Placed], Marks]:
    """Towns around and on a map with pins, a line, and words in it."""
    chance = random.Random(seed)

    def anywhere(beyond: float) -> tuple[float, float]:
        return chance.uniform(-beyond, 1 + beyond), chance.uniform(-beyond, 1 + beyond)

    pins = [anywhere(-0.05) for _ in range(8)]
    near = [(x + chance.gauss(0, 0.01), y + chance.gauss(0, 0.01)) for x, y in pins]
    found = [
        town(
            chr(65 + number % 26) * chance.randint(3, 14) + str(number),
            *at,
            10**6 - number,
            chance.choice([0.001, 0.3]),
        )
        for number, at in enumerate([*near, *(anywhere(0.35) for _ in range(60))])
    ]
    words = [
        Taken.around(anywhere(-0.05), 20, 8),
        Taken(0, 1, (0, -36, 40, 0), 0.2),
        Taken(1, 0, (-56, 0, 0, 130)),
    ]
    return found, Marks(pins, (12, 15), [Taken.around(anywhere(-0.05), 9)], words)


def shown(found: dict[Widths, list[Label]], rem: float) -> list[Label]:
    return [
        label
        for (since, until), same in found.items()
        if since <= rem < (until or math.inf)
        for label in same
    ]


def sides(at: Label | Taken, rem: float) -> Sides:
    width = rem * REM
    x, y, (left, top, right, bottom) = at.x * width, at.y * width / ASPECT, at.box
    across = at.across * width if isinstance(at, Taken) else 0
    return x + left, y + top, x + right + across, y + bottom


def meet(one: Sides, other: Sides) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def taken(marks: Marks, rem: float) -> Iterator[Taken]:
    yield from (Taken.around(pin, marks.radii[rem >= 30]) for pin in marks.pins)
    yield from marks.others
    yield from marks.words


def names(found: Sequence[Label]) -> list[str]:
    return [label.name for label in found]


def alone(name: str, x: float = 0.5, y: float = 0.5, marks: Marks = NOTHING, rem: float = 20) -> Label | None:
    return next(iter(shown(labels([town(name, x, y, 1000)], marks), rem)), None)


def test_a_name_stands_beside_its_dot() -> None:
    label = alone("Oak Park")
    assert label is not None and label.dot
    assert (label.x, label.y, label.anchor, *label.aside) == (0.5, 0.5, *BESIDE[0])


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("rem", WIDTHS)
def test_no_name_covers_anything_at_any_width(seed: int, rem: float) -> None:
    found, marks = crowded(seed)
    there = shown(labels(found, marks), rem)
    assert len(there) >= (2 if rem < 18 else 5)
    for one, other in combinations(there, 2):
        assert not meet(sides(one, rem), sides(other, rem)), (one.name, other.name)
    for label in there:
        for mark in taken(marks, rem):
            assert not meet(sides(label, rem), sides(mark, rem)), (label.name, mark)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("rem", WIDTHS[2:])
def test_no_name_is_cut_off_by_a_side_of_the_map(seed: int, rem: float) -> None:
    width, height = rem * REM, rem * REM / ASPECT
    for label in shown(labels(*crowded(seed)), rem):
        left, top, right, bottom = sides(label, rem)
        inside = left >= 0 and top >= 0 and right <= width and bottom <= height
        assert inside or not meet((left, top, right, bottom), (0, 0, width, height)), label.name


@pytest.mark.parametrize("seed", range(3))
def test_more_names_are_shown_on_wider_maps_and_none_twice(seed: int) -> None:
    found = labels(*crowded(seed))
    there = [names(shown(found, rem)) for rem in WIDTHS]
    assert all(len(set(same)) == len(same) for same in there)
    assert len(there[0]) < len(there[2]) < len(there[5]) < len(there[-2])


def test_a_phone_shows_about_a_dozen_names_on_the_map() -> None:
    grid = [town(f"T{x}{y}", 0.1 + x / 10, 0.1 + y / 10, 10**6 - x - y) for x in range(9) for y in range(9)]
    found = labels(grid, NOTHING)
    assert [len(shown(found, rem)) for rem in (18, 30, 45)] == [LEVELS[18], LEVELS[30], LEVELS[45]]
    assert LEVELS[18] <= 12


def test_the_best_known_town_comes_first_where_there_is_room_for_one() -> None:
    found = labels([town("Evanston", 0.5, 0.5, 900), town("Skokie", 0.5, 0.52, 800)], NOTHING)
    assert names(shown(found, 20)) == ["Evanston"]
    assert sorted(names(shown(found, 200))) == ["Evanston", "Skokie"]


def test_where_a_pin_covers_the_dot_the_name_stands_beside_the_pin_without_one() -> None:
    marks = Marks([(0.5, 0.5)], (12, 15), [], [])
    label = alone("Aurora", marks=marks)
    assert label is not None and not label.dot
    assert not meet(sides(label, 20), sides(Taken.around((0.5, 0.5), 12), 20))
    assert math.dist((label.x, label.y), (0.5, 0.5)) * 20 * REM < 40


def test_a_pin_that_covers_several_towns_tells_the_best_known() -> None:
    marks = Marks([(0.5, 0.5)], (12, 15), [], [])
    found = labels([town("Suva", 0.5, 0.5, 900), town("Nasinu", 0.51, 0.5, 800)], marks)
    assert names(shown(found, 20)) == ["Suva"]


def test_a_name_beside_a_pin_keeps_near_its_town_as_the_map_grows() -> None:
    marks = Marks([(0.5, 0.5)], (12, 15), [], [])
    found = labels([town("Aurora", 0.5, 0.5, 1000)], marks)
    for rem in WIDTHS[2:10]:
        [label] = shown(found, rem)
        assert math.hypot((label.x - 0.5) * rem * REM, (label.y - 0.5) * rem * REM / ASPECT) < 40


def test_quarters_are_named_only_where_their_town_is_large_on_the_map() -> None:
    near, far = 0.05, 0.25
    latina, leganes = town("Latina", 0.5 + near, 0.6, 250_000), town("Leganés", 0.5 + far, 0.6, 180_000)
    for reach, expected in ((0.15, ["Leganés", "Madrid"]), (0.5, ["Latina", "Leganés", "Madrid"])):
        found = labels([town("Madrid", 0.5, 0.5, 3_000_000, reach), latina, leganes], NOTHING)
        assert sorted(names(shown(found, 20))) == expected


def test_a_town_that_fills_the_map_is_named_beside_what_covers_its_middle() -> None:
    words = [Taken.around((0.5, 0.5), 40, 30)]
    marks = Marks([], (12, 15), [], words)
    assert shown(labels([town("Madrid", 0.5, 0.5, 3_000_000, reach=0.001)], marks), 20) == []
    [label] = shown(labels([town("Madrid", 0.5, 0.5, 3_000_000, reach=0.5)], marks), 20)
    assert not label.dot
    assert math.dist((label.x, label.y), (0.5, 0.5)) < 0.25


@pytest.mark.parametrize(
    ("second", "told"),
    [("Madrid Centro", False), ("Madrid", False), ("Madridejos", True), ("Nuevo Madrid", True)],
)
def test_what_is_named_after_a_better_known_town_is_left_out(second: str, told: bool) -> None:
    found = labels([town("Madrid", 0.2, 0.2, 900), town(second, 0.2, 0.8, 800)], NOTHING)
    assert (second in names(shown(found, 20))[1:]) is told


def test_a_name_that_is_too_long_for_a_map_is_left_out() -> None:
    assert alone("X" * (LONGEST + 1)) is None
    assert alone("Llanfairpwllgwyngyll") is not None


def test_a_town_that_outweighs_the_others_stands_out() -> None:
    suburbs = [town(f"S{number}", 0.1 + number / 5, 0.2, 80_000) for number in range(4)]
    found = shown(labels([town("Chicago", 0.5, 0.6, 2_700_000), *suburbs], NOTHING), 20)
    assert [label.name for label in found if label.strong] == ["Chicago"]
    assert not any(label.strong for label in shown(labels(suburbs, NOTHING), 20))


def test_a_town_beside_the_map_is_named_beside_it_for_when_the_map_is_moved() -> None:
    found = labels([town("Gary", 1.1, 0.5, 900), town("Hammond", 1.02, 0.6, 800)], NOTHING)
    gary, hammond = shown(found, 20)
    assert sides(gary, 20)[0] >= 20 * REM and sides(hammond, 20)[0] >= 20 * REM


def test_zoomed_out_only_names_that_are_still_clear_are_left() -> None:
    apart = [town("West", 0.2, 0.5, 900), town("East", 0.7, 0.5, 800), town("Eastern", 0.7, 0.61, 700)]
    found = labels(apart, NOTHING)
    assert names(shown(found, NARROWEST)) == ["West", "East"]
    assert sorted(names(shown(found, 20))) == ["East", "Eastern", "West"]


def test_letters_are_as_wide_as_they_look() -> None:
    assert text_width("ill") < text_width("mmm")
    assert text_width("東京都") > text_width("abc")
    assert text_width("Kāz̧emābād") == text_width("Kazemabad")
    assert text_width("Oak Park", strong=True) > text_width("Oak Park")
