"""What was typed and which branches are there, on both engines."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col

from events.branches import finding
from events.branches.finding import (
    CONFIDENTIAL_PRECISION_KM,
    MOST_EXAMINED,
    MOST_ONLINE,
    MOST_SERVING,
    Asked,
    Found,
    Wish,
    around,
    known_places,
    online,
    read,
)
from events.branches.models import Branch, Status
from events.branches.serving import write_keys
from events.db import Database
from events.errors import Unreadable
from events.places.geo import Distance, InvalidCoordinates, Point, geodesic
from events.places.known import Wanted
from events.places.lookup import Gazetteer
from events.places.readings import Interpretation, UnknownPlace
from tests.conftest import branch

CHICAGO, MADRID = Point(41.88, -87.63), Point(40.42, -3.70)
HERE = Interpretation("coordinates", str(CHICAGO), "US", CHICAGO, 0.1)


@pytest.fixture
def places(small_gazetteer: Path) -> Gazetteer:
    return Gazetteer(small_gazetteer)


def add(database: Database, *branches: Branch) -> None:
    with database.writing() as session:
        for one in branches:
            one.derive_keys()
        session.add_all(branches)
        session.flush()
        write_keys(session, branches)


def us(name: str, point: Point | None = CHICAGO, **more: Any) -> Branch:
    return branch(name.lower().replace(" ", "-"), name, point, **({"country": "US"} | more))


def row_of(count: int, first: float = 0.01, **more: Any) -> list[Branch]:
    """So many branches to the north of Chicago, each a kilometre or so farther."""
    return [
        us(f"B{number}", Point(CHICAGO.latitude + first * (number + 1), CHICAGO.longitude), **more)
        for number in range(count)
    ]


def readings(database: Database, places: Gazetteer, typed: str, **more: Any) -> list[Interpretation]:
    with database.reading() as session:
        return read(session, places, Asked(typed, **({"prefer": ("US",)} | more)))


def found(database: Database, places: Gazetteer, place: Interpretation = HERE, **more: Any) -> Found:
    with database.reading() as session:
        return around(session, places, place, **more)


def slugs(branches: Sequence[Any]) -> list[str]:
    return [getattr(one, "branch", one).slug for one in branches]


# ---------------------------------------------------------------- reading


def test_a_place_is_read_in_the_countries_that_were_asked_for(database: Database, places: Gazetteer) -> None:
    assert readings(database, places, "60614")[0].label == "60614 Chicago, Illinois, United States"
    assert readings(database, places, "60614", country="DE")[0].country == "DE"
    assert readings(database, places, "60614", locale="es")[0].label.endswith("Estados Unidos")


def test_the_exact_name_of_a_branch_comes_before_the_places_of_that_name(
    database: Database, places: Gazetteer
) -> None:
    add(database, us("Springfield", MADRID, country="ES"), us("Springfield Heights"))
    branch_itself, *towns = readings(database, places, "springfield")
    assert (branch_itself.kind, branch_itself.slug, branch_itself.point) == ("branch", "springfield", MADRID)
    assert [town.kind for town in towns] == ["place"] * 3


def test_a_part_of_a_name_is_looked_for_when_no_place_is_called_so(
    database: Database, places: Gazetteer
) -> None:
    add(database, us("Alder Club", alternate_name="El Aliso"), us("Old Alder", status=Status.CLOSED))
    assert [found.slug for found in readings(database, places, "alder")] == ["alder-club", "old-alder"]
    assert [found.slug for found in readings(database, places, "ÁLDER  club")] == ["alder-club"]
    assert [found.slug for found in readings(database, places, "aliso")] == ["alder-club"]


def test_beside_a_place_that_was_only_nearly_typed_branches_of_that_name_come_first(
    database: Database, places: Gazetteer
) -> None:
    add(database, us("Chicagos Finest"))
    assert [found.kind for found in readings(database, places, "Chicagos")][:2] == ["branch", "place"]
    assert readings(database, places, "Chicago")[0].kind == "place"


def test_a_branch_that_has_closed_is_still_found_by_its_name(database: Database, places: Gazetteer) -> None:
    add(database, us("Birch", status=Status.CLOSED))
    assert [found.slug for found in readings(database, places, "Birch")] == ["birch"]


def test_a_confidential_branch_is_about_as_far_as_its_town(database: Database, places: Gazetteer) -> None:
    door = Point(41.9312, -87.6478)
    add(database, us("Refuge", door, confidential=True))
    [named] = readings(database, places, "refuge")
    assert (named.point, named.precision_km) == (door.snapped(0.1), CONFIDENTIAL_PRECISION_KM)


def test_a_branch_without_a_place_is_found_by_name(database: Database, places: Gazetteer) -> None:
    add(database, us("Online Circle", None, location_type="virtual", country=""))
    [named] = readings(database, places, "online circle")
    assert (named.point, named.country, named.slug) == (None, None, "online-circle")


@pytest.mark.parametrize("typed", ["Zzyzx Springs", "99999", "_lder", "l%r", "Alder's"])
def test_what_nobody_is_called_stays_unknown(database: Database, places: Gazetteer, typed: str) -> None:
    add(database, us("Alder Club"))
    with pytest.raises(UnknownPlace):
        readings(database, places, typed)


@pytest.mark.parametrize("typed", ["", "\x00", "🙂", "x" * 10_000, "\ud800"])
def test_what_is_no_text_for_a_place_is_refused_on_every_engine(
    database: Database, places: Gazetteer, typed: str
) -> None:
    with pytest.raises(Unreadable):
        readings(database, places, typed)


@pytest.mark.parametrize(
    "typed", ["'; DROP TABLE branch;--", "a\x00b", "\\", "100%", "K\u200cL", "ab\ud800c"]
)
def test_odd_texts_reach_no_engine_as_they_are(database: Database, places: Gazetteer, typed: str) -> None:
    try:
        assert readings(database, places, typed)
    except (UnknownPlace, Unreadable) as error:
        assert str(error)
    assert readings(database, places, "Chicago")


def test_a_point_that_is_not_on_earth_is_refused_whatever_branches_are_called(
    database: Database, places: Gazetteer
) -> None:
    add(database, us("91 0"))
    with pytest.raises(InvalidCoordinates):
        readings(database, places, "91,0")


def test_without_a_directory_the_branches_say_where_places_are(database: Database, tmp_path: Path) -> None:
    add(
        database,
        us("Alder", city="Chicago", state_province="IL", postal_code="60614"),
        us("Refuge", Point(41.7, -87.7), city="Oak Lawn", postal_code="60453", confidential=True),
        us("Gone", Point(42.0, -87.7), city="Evanston", postal_code="60201", status=Status.CLOSED),
        us("Unplaced", None, city="Skokie", postal_code=""),
    )
    nowhere = Gazetteer(tmp_path / "none.db")
    assert readings(database, nowhere, "60614")[0].point == CHICAGO
    assert readings(database, nowhere, "chicago, il")[0].point == CHICAGO
    for typed in ("60453", "Oak Lawn", "60201", "Evanston", "Skokie", "Волгодонск", "東京"):
        with pytest.raises(UnknownPlace) as caught:
            readings(database, nowhere, typed)
        assert caught.value.reason == "no_directory"


def test_only_branches_there_are_asked_where_a_place_is(database: Database) -> None:
    add(
        database,
        us("Alder", city="Chicago", postal_code="60614"),
        us("Birch", city="Chicago", postal_code="60657"),
        us("Cedar", city="Madrid", postal_code="28004"),
        us("Date", city="", postal_code=""),
    )

    def known(typed: str) -> list[str]:
        with database.reading() as session:
            return [place.postal_code for place in known_places(session, Wanted.of(typed))]

    assert known("chicago") == ["60614", "60657"]
    assert known("606") == ["60614", "60657"]
    assert known("60614-1234") == ["60614"]
    assert known("Волгодонск") == known("東京") == []


# ---------------------------------------------------------------- who is around


def test_the_five_nearest_come_even_when_none_is_near(database: Database, places: Gazetteer) -> None:
    add(database, *row_of(7))
    there = found(database, places, Interpretation("coordinates", "", "ES", MADRID, 0.1))
    assert len(there.nearest) == 5
    assert there.nearest[0].distance == geodesic(MADRID, there.nearest[0].branch.point or MADRID)
    assert not there.more
    assert found(database, places).nearest[0].branch.slug == "b0"


def test_who_serves_the_place_comes_first_and_is_not_among_the_nearest_again(
    database: Database, places: Gazetteer
) -> None:
    add(
        database,
        *row_of(7),
        us("Far", Point(42.5, -87.63), service_area="within: 100 km"),
        us("Near", Point(41.881, -87.63), service_area="regions: IL"),
    )
    there = found(database, places)
    assert [(one.branch.slug, one.fit.how) for one in there.serving] == [("far", "reach"), ("near", "region")]
    assert slugs(there.nearest) == ["b0", "b1", "b2", "b3", "b4"]


def test_at_most_five_serve_and_those_that_do_not_fit_the_wish_make_room(
    database: Database, places: Gazetteer
) -> None:
    add(database, *row_of(8, service_area="regions: IL"))
    assert len(found(database, places).serving) == MOST_SERVING
    late = Wish(fits=lambda one: one.slug in ("b6", "b7"))
    assert slugs(found(database, places, wish=late).serving) == ["b6", "b7"]


def test_pages_within_a_distance_hold_each_branch_once(database: Database, places: Gazetteer) -> None:
    add(database, *row_of(12), us("Served", Point(41.885, -87.63), service_area="within: 5 km"))
    seen: list[str] = []
    for page in (1, 2, 3):
        there = found(database, places, farthest=Distance(12.0), page=page, size=4)
        seen += slugs(there.nearest)
        assert slugs(there.serving) == (["served"] if page == 1 else [])
        assert there.more == (page < 3)
    assert seen == [f"b{number}" for number in range(10)]  # the eleventh is farther than 12 km
    assert found(database, places, farthest=Distance(12.0), page=4, size=4).nearest == []


def test_nothing_within_a_distance_is_empty_and_says_no_more(database: Database, places: Gazetteer) -> None:
    add(database, *row_of(2))
    there = found(database, places, farthest=Distance(0.5))
    assert (there.nearest, there.serving, there.more) == ([], [], False)


def test_a_wish_for_what_the_database_knows_reaches_the_nearest_that_fit(
    database: Database, places: Gazetteer
) -> None:
    add(
        database,
        *row_of(9, languages="en", service_area="regions: IL"),
        us("Abedul", MADRID, languages="es", service_area="regions: US"),
    )
    there = found(database, places, wish=Wish([col(Branch.languages) == "es"]))
    assert slugs(there.serving) == ["abedul"]
    assert there.nearest == []
    english = found(database, places, wish=Wish([col(Branch.languages) == "en"]))
    assert len({*slugs(english.serving), *slugs(english.nearest)}) == 9


def test_a_wish_that_only_a_look_can_tell_is_looked_for_farther_out(
    database: Database, places: Gazetteer, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(database, *row_of(40))
    looks: list[str] = []

    def is_far(one: Branch) -> bool:
        looks.append(one.slug)
        return int(one.slug[1:]) >= 30

    there = found(database, places, wish=Wish(fits=is_far))
    assert slugs(there.nearest) == ["b30", "b31", "b32", "b33", "b34"]
    monkeypatch.setattr(finding, "MOST_EXAMINED", 20)
    looks.clear()
    assert found(database, places, wish=Wish(fits=is_far)).nearest == []
    assert set(looks) == {f"b{number}" for number in range(20)}
    assert MOST_EXAMINED > 20


def test_what_rests_nearer_than_the_nearest_is_told_and_no_more_than_two(
    database: Database, places: Gazetteer
) -> None:
    add(
        database,
        *row_of(6, first=0.02),
        *(
            us(f"Gone {number}", Point(41.881 + number / 1000, -87.63), status=Status.CLOSED)
            for number in range(3)
        ),
        us("Resting far away", Point(41.95, -87.63), status=Status.INACTIVE),
    )
    there = found(database, places)
    assert slugs(there.nearest) == ["b0", "b1", "b2", "b3", "b4"]
    assert slugs(there.resting) == ["gone-0", "gone-1"]
    assert found(database, places, page=2, farthest=Distance(50.0)).resting == ()


def test_what_rests_is_told_although_it_crowds_out_all_that_are_open(
    database: Database, places: Gazetteer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "MOST_EXAMINED", 20)
    closed = [
        us(f"Gone {number}", Point(41.88 + number / 10_000, -87.63), status=Status.CLOSED)
        for number in range(30)
    ]
    add(database, *closed, *row_of(3))
    there = found(database, places)
    assert slugs(there.nearest) == ["b0", "b1", "b2"]
    assert slugs(there.resting) == ["gone-0", "gone-1"]


def test_nothing_rests_where_an_open_branch_is_nearer(database: Database, places: Gazetteer) -> None:
    add(
        database, us("Open", Point(41.8801, -87.63)), us("Closed", Point(41.89, -87.63), status=Status.CLOSED)
    )
    assert found(database, places).resting == []


def test_who_meets_online_comes_besides_those_of_the_country_first(
    database: Database, places: Gazetteer
) -> None:
    add(
        database,
        *row_of(2),
        us("Web B", None, location_type="virtual"),
        us("Web A", None, location_type="virtual", country="ES"),
        us("Web C", None, location_type="virtual", country=""),
        us("Web D", None, location_type="virtual", languages="es"),
        us("Web gone", None, location_type="virtual", status=Status.CLOSED),
    )
    there = found(database, places)
    assert slugs(there.nearest) == ["b0", "b1"]
    assert slugs(there.online) == ["web-b", "web-d", "web-a", "web-c"][:MOST_ONLINE]
    assert slugs(found(database, places, wish=Wish([col(Branch.languages) == "es"])).online) == ["web-d"]
    assert slugs(found(database, places, wish=Wish(fits=lambda one: one.slug == "web-c")).online) == ["web-c"]
    assert found(database, places, page=2).online == ()
    with database.reading() as session:
        assert slugs(online(session, "ES"))[0] == "web-a"
        assert slugs(online(session, None))[0] == "web-c"


def test_a_code_without_a_place_has_who_serves_it_and_who_is_online(
    database: Database, places: Gazetteer
) -> None:
    add(
        database,
        *row_of(2, country="GB"),
        us("Forces", country="GB", service_area="codes: BFPO 57"),
        us("Web", None, location_type="virtual", country="GB"),
    )
    [forces] = readings(database, places, "BFPO 57")
    there = found(database, places, forces)
    assert slugs(there.serving) == ["forces"]
    assert slugs(there.online) == ["web"]
    assert there.nearest == ()


def test_the_nearest_are_found_across_the_date_line_and_at_a_pole(
    database: Database, places: Gazetteer
) -> None:
    add(
        database,
        us("Taveuni", Point(-16.85, 179.97)),
        us("Suva", Point(-18.14, 178.44)),
        us("Oslo", Point(59.9, 10.7)),
    )

    def nearest(point: Point) -> Iterator[str]:
        yield from slugs(found(database, places, Interpretation("coordinates", "", None, point, 0.1)).nearest)

    assert list(nearest(Point(-17.0, -179.9))) == ["taveuni", "suva", "oslo"]
    assert next(nearest(Point(90, 0))) == "oslo"
