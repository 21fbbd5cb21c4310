"""Which towns a map would name: the best known in a window, whichever way the window lies."""

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from events.places.filling import create
from events.places.geo import Distance, Point, cell
from events.places.lookup import Gazetteer
from events.places.mercator import Box, fitted, latitude_of, smallest_box, track
from events.places.towns import HEAVY, INDEXES, towns, weight

chance = random.Random(7)
# Dense and sparse, of all sizes, around the date line, Greenwich, the equator and towards the poles.
MADE = [
    (
        chance.gauss(latitude, 4),
        (chance.gauss(longitude, 6) + 180) % 360 - 180,
        round(10 ** chance.uniform(2, 6.5)),
    )
    for latitude, longitude in [(52, 1), (-17, 179.5), (0, 0), (41, -87), (78, 20), (-45, 170)]
    for _ in range(400)
]


@pytest.fixture
def made() -> Iterator[sqlite3.Connection]:
    database = sqlite3.connect(":memory:")
    create(database)
    for number, (latitude, longitude, people) in enumerate(MADE, 1):
        place = (
            number,
            f"Town {number}",
            latitude,
            longitude,
            people,
            weight(people, 1),
            cell(Point(latitude, longitude)),
        )
        database.execute("INSERT INTO place VALUES (?, ?, 'XX', '', ?, ?, ?, '', ?, ?)", place)
    for statement in INDEXES:
        database.execute(statement)
    yield database
    database.close()


def around(latitude: float, longitude: float, km: float) -> Box:
    box = smallest_box([track([Point(latitude, longitude)])])
    assert box is not None
    return fitted(box, aspect=1.5, margin=0.0, least=Distance(km))


def names(database: Gazetteer, box: Box, most: int = 10) -> list[str]:
    return [town.name for town in database.towns(box, most)]


def test_the_best_known_towns_of_a_window_come_first(small_gazetteer: Path) -> None:
    directory = Gazetteer(small_gazetteer)
    assert names(directory, around(41.9, -87.6, 40)) == ["Chicago"]
    assert names(directory, around(41, -88, 900)) == ["Chicago", "Springfield", "Waupun", "London"]
    assert names(directory, around(41, -88, 900), 2) == ["Chicago", "Springfield"]
    [chicago] = directory.towns(around(41.9, -87.6, 40), 10)
    assert (chicago.point, chicago.population) == (Point(41.85003, -87.65005), 2_720_546)


def test_the_whole_earth_is_a_window_too(small_gazetteer: Path) -> None:
    world = fitted(Box(-180, -60, 180, 80), aspect=1.5, margin=0.1, least=Distance(1))
    assert names(Gazetteer(small_gazetteer), world, 3) == ["Ciudad de México", "London", "New York City"]


def test_a_town_with_a_name_in_many_languages_comes_before_a_larger_one() -> None:
    evanston, west_town = weight(75_000, 47), weight(86_000, 2)
    assert evanston > west_town
    assert weight(2_700_000, 58) > evanston


def test_places_whose_people_nobody_counted_are_not_named(small_gazetteer: Path) -> None:
    """Addison, Texas, is known by its postal code alone."""
    directory = Gazetteer(small_gazetteer)
    assert directory.interpretations("Addison")[0].label.startswith("Addison")
    assert names(directory, around(32.96, -96.84, 100)) == []


def test_without_a_directory_there_are_no_towns(tmp_path: Path) -> None:
    assert Gazetteer(tmp_path / "none.db").towns(around(41.9, -87.6, 40), 10) == []


def test_a_directory_of_another_version_counts_as_none(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 1")
    assert Gazetteer(path).towns(around(41.9, -87.6, 40), 10) == []


@pytest.mark.parametrize("km", [5, 40, 120, 500, 2000, 8000, 40000])
def test_every_window_has_the_towns_that_lie_in_it(made: sqlite3.Connection, km: float) -> None:
    for latitude, longitude in [
        (52, 0.05),
        (-17, 179.95),
        (-17, -179.95),
        (0, 0),
        (41, -87),
        (78, 20),
        (-45, 170),
    ]:
        box = around(latitude, longitude, km).grown(0.35)
        found = [town.name for town in towns(made, box, 25)]
        assert found == [f"Town {number}" for number in largest_within(box)[:25]]


def largest_within(box: Box) -> list[int]:
    """As one looks at a map: all of them, one by one."""
    inside = [
        number
        for number, (latitude, longitude, _) in enumerate(MADE, 1)
        if latitude_of(box.south) <= latitude <= latitude_of(box.north)
        and any(box.west <= longitude + turn <= box.east for turn in (-360, 0, 360))
    ]
    return sorted(inside, key=lambda number: (-MADE[number - 1][2], number))


def test_a_window_across_the_date_line_has_both_sides(made: sqlite3.Connection) -> None:
    found = towns(made, around(-17, 180, 1500), 100)
    assert {town.point.longitude > 0 for town in found} == {True, False}


@pytest.mark.parametrize(("km", "index"), [(40, "place_cell"), (40000, "place_weight")])
def test_no_window_is_found_by_looking_at_all_places(made: sqlite3.Connection, km: float, index: str) -> None:
    asked: list[str] = []
    made.set_trace_callback(asked.append)
    towns(made, around(52, 0, km), 5)
    towns(made, around(30, -140, 40), 5)  # sea
    made.set_trace_callback(None)
    plans = [" ".join(row[3] for row in made.execute(f"EXPLAIN QUERY PLAN {query}")) for query in asked]
    assert f"USING COVERING INDEX {index}" in plans[0]
    assert not any("SCAN place" in plan for plan in plans)


def test_most_of_the_earth_is_looked_at_by_few_towns() -> None:
    heavy = [people for *_, people in MADE if weight(people, 1) >= HEAVY]
    assert 0 < len(heavy) < len(MADE) / 4
