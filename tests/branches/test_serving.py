"""Which branches serve a place by their territory, on both engines."""

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session, col, select

from events.branches import serving as module
from events.branches.exchange import import_branches
from events.branches.models import Branch, ServiceKey, Status
from events.branches.serving import Served, described, serving, territory_of, write_keys
from events.db import Database
from events.places.geo import Point, geodesic
from events.places.lookup import Gazetteer
from events.places.readings import Interpretation
from tests.conftest import NOW, branch

CHICAGO, EVANSTON, LINCOLN_PARK = Point(41.88, -87.63), Point(42.04, -87.69), Point(41.9229, -87.6483)
NORTH_SIDE = [[-87.8, 41.85], [-87.55, 41.85], [-87.55, 42.02], [-87.8, 42.02], [-87.8, 41.85]]
ZOO = [[-87.66, 41.91], [-87.62, 41.91], [-87.62, 41.93], [-87.66, 41.93], [-87.66, 41.91]]
FIJI = [[177.0, -19.0], [-178.0, -19.0], [-178.0, -16.0], [177.0, -16.0], [177.0, -19.0]]


def area(*rings: Sequence[Sequence[float]]) -> str:
    return f"area: {json.dumps({'type': 'Polygon', 'coordinates': rings})}"


@pytest.fixture
def places(small_gazetteer: Path) -> Gazetteer:
    return Gazetteer(small_gazetteer)


def add(database: Database, *branches: Branch) -> None:
    with database.writing() as session:
        session.add_all(branches)
        session.flush()
        write_keys(session, branches)


def at(point: Point, precision_km: float = 0.1, country: str | None = "US") -> Interpretation:
    return Interpretation("coordinates", str(point), country, point, precision_km)


def who(database: Database, places: Gazetteer, place: str | Interpretation) -> list[tuple[str, str, bool]]:
    """Slugs, how each territory fits, and whether surely."""
    return [(one.branch.slug, one.fit.how, one.fit.sure) for one in served(database, places, place)]


def served(database: Database, places: Gazetteer, place: str | Interpretation) -> list[Served]:
    if isinstance(place, str):
        place = places.interpretations(place, prefer=("US", "GB"))[0]
    with database.reading() as session:
        return serving(session, places, place)


def keys_of(database: Database, slug: str) -> set[str]:
    with database.reading() as session:
        query = select(ServiceKey.key).join(Branch, col(Branch.id) == ServiceKey.branch_id)
        return set(session.exec(query.where(col(Branch.slug) == slug)))


def us(slug: str, service_area: str, point: Point | None = CHICAGO, **more: Any) -> Branch:
    return branch(slug, slug.title(), point, service_area=service_area, **({"country": "US"} | more))


# ---------------------------------------------------------------- whose territory


def test_of_territories_that_overlap_the_most_closely_described_comes_first(
    database: Database, places: Gazetteer
) -> None:
    add(
        database,
        us("whole-state", "regions: Illinois"),
        us("around", "within: 10 mi", EVANSTON),
        us("drawn", area(NORTH_SIDE), EVANSTON),
        us("beginning", "codes: 606*"),
        us("exactly", "codes: 60614, 60657"),
        us("elsewhere", "codes: 60601; within: 1 km; regions: Wisconsin", Point(41.70, -87.6)),
        us("silent", "Lincoln Park and around"),
    )
    typed = replace(places.interpretations("60614", prefer=("US",))[0], precision_km=1.5)
    assert who(database, places, typed) == [
        ("exactly", "code", True),
        ("beginning", "beginning", True),
        ("drawn", "shape", True),
        ("around", "reach", True),
        ("whole-state", "region", True),
    ]


def test_of_two_that_are_described_alike_the_nearer_comes_first(
    database: Database, places: Gazetteer
) -> None:
    add(
        database,
        us("far", "codes: 60614", EVANSTON),
        us("near", "codes: 60614"),
        us("nowhere", "codes: 60614", None),
    )
    found = served(database, places, "60614")
    assert [one.branch.slug for one in found] == ["near", "far", "nowhere"]
    assert found[2].distance is None


def test_a_hole_in_an_area_is_not_served(database: Database, places: Gazetteer) -> None:
    add(database, us("around-the-zoo", area(NORTH_SIDE, ZOO)))
    assert who(database, places, at(LINCOLN_PARK)) == []
    assert who(database, places, at(Point(41.89, -87.70))) == [("around-the-zoo", "shape", True)]
    assert who(database, places, at(LINCOLN_PARK, 5.0)) == [("around-the-zoo", "shape", False)]


def test_an_area_across_the_date_line_serves_both_sides(database: Database, places: Gazetteer) -> None:
    add(database, us("suva", area(FIJI), Point(-18.14, 178.44), country="FJ"))
    for longitude in (177.5, 179.999, 180.0, -180.0, -179.0):
        assert who(database, places, at(Point(-17.5, longitude), country="FJ")) == [("suva", "shape", True)]
    assert who(database, places, at(Point(-17.5, 176.0), country="FJ")) == []
    assert who(database, places, at(Point(-17.5, -177.8), 30.0, "FJ")) == [("suva", "shape", False)]


def test_reach_goes_across_the_date_line(database: Database, places: Gazetteer) -> None:
    add(database, us("taveuni", "within: 50 km", Point(-16.85, 179.97), country="FJ"))
    assert who(database, places, at(Point(-16.85, -179.9), country="FJ")) == [("taveuni", "reach", True)]


def test_near_a_border_the_visitor_chooses_between_branches(database: Database, places: Gazetteer) -> None:
    west = [[-88.0, 41.5], [-87.64, 41.5], [-87.64, 42.2], [-88.0, 42.2]]
    east = [[-87.64, 41.5], [-87.3, 41.5], [-87.3, 42.2], [-87.64, 42.2]]
    add(database, us("west", area(west)), us("east", area(east)))
    assert who(database, places, at(Point(41.9, -87.80))) == [("west", "shape", True)]
    assert {(slug, sure) for slug, _, sure in who(database, places, at(Point(41.9, -87.645), 1.0))} == {
        ("west", False),
        ("east", False),
    }
    assert {slug for slug, _, sure in who(database, places, "60614") if not sure} == {"west", "east"}


def test_a_part_of_a_code_may_be_several_branches(database: Database, places: Gazetteer) -> None:
    add(database, us("north", "codes: 60614"), us("loop", "codes: 60601"), us("south", "codes: 607*"))
    assert who(database, places, "606") == [("north", "code", False), ("loop", "code", False)]


def test_what_is_sure_comes_before_what_may_be(database: Database, places: Gazetteer) -> None:
    add(database, us("perhaps", "codes: 60614-1234"), us("surely", "regions: IL"))
    assert who(database, places, "60614") == [("surely", "region", True), ("perhaps", "code", False)]


def test_a_town_may_be_served_by_those_who_have_some_of_its_codes(
    database: Database, places: Gazetteer
) -> None:
    add(database, us("north", "codes: 60614"), us("all", "codes: 606*"), us("other", "codes: 62701"))
    assert who(database, places, "Chicago") == [("all", "beginning", True), ("north", "code", False)]


def test_a_region_or_country_that_was_typed_is_served_by_those_who_name_it(
    database: Database, places: Gazetteer
) -> None:
    add(
        database,
        us("state", "regions: Illinois"),
        us("nation", "regions: United States"),
        us("near", "within: 500 km"),
        us("west-coast", "regions: CA, OR"),
    )
    assert [slug for slug, *_ in who(database, places, "Illinois")] == ["state", "nation"]
    assert [slug for slug, *_ in who(database, places, "United States")] == ["nation"]
    assert who(database, places, "Ottawa") == []  # CA is California to a branch in the US


def test_a_code_without_a_place_is_served_by_who_names_it(database: Database, places: Gazetteer) -> None:
    add(database, us("forces", "codes: BFPO 57", country="GB"), us("post", "codes: 09*"))
    assert who(database, places, "BFPO 57") == [("forces", "code", True)]
    assert who(database, places, "APO AE 09001") == [("post", "beginning", True)]
    assert served(database, places, "BFPO 57")[0].distance is None


# ---------------------------------------------------------------- which branches


def test_what_is_inactive_or_closed_serves_nobody(database: Database, places: Gazetteer) -> None:
    add(database, *(us(status, "codes: 60614", status=status) for status in Status))
    assert {slug for slug, *_ in who(database, places, "60614")} == {"active", "forming"}


def test_a_branch_that_cannot_be_visited_serves_and_has_no_distance(
    database: Database, places: Gazetteer
) -> None:
    add(
        database,
        us("office", "codes: 60614", location_type="postal"),
        us("web", "regions: IL", location_type="virtual"),
        us("club", "within: 50 km"),
    )
    found = {one.branch.slug: one.distance for one in served(database, places, "60614")}
    assert found["office"] is found["web"] is None
    assert found["club"] == geodesic(LINCOLN_PARK, CHICAGO)


def test_a_confidential_branch_serves_around_its_area_and_not_around_its_door(
    database: Database, places: Gazetteer
) -> None:
    door = Point(41.9312, -87.6478)
    add(database, us("refuge", "within: 2 km", door, confidential=True))
    assert who(database, places, at(door)) == []
    [found] = served(database, places, at(door.snapped(0.1)))
    assert found.distance is not None
    assert found.distance.km == 0
    assert not any("41.93" in key for key in keys_of(database, "refuge"))


def test_who_was_found_by_name_needs_no_territory(database: Database, places: Gazetteer) -> None:
    add(database, us("alder", "codes: 60614"))
    named = Interpretation("branch", "Alder", "US", LINCOLN_PARK, 0.1, slug="alder")
    assert who(database, places, named) == []


def test_more_conditions_narrow_it(database: Database, places: Gazetteer) -> None:
    add(database, us("en", "codes: 60614", languages="en"), us("es", "codes: 60614", languages="es"))
    place = places.interpretations("60614", prefer=("US",))[0]
    with database.reading() as session:
        found = serving(session, places, place, [col(Branch.languages) == "es"])
    assert [one.branch.slug for one in found] == ["es"]


def test_who_owns_the_code_is_found_however_many_others_are_around(
    database: Database, places: Gazetteer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_CANDIDATES", 3)
    add(
        database,
        *(us(f"b{number}", "within: 100 km; regions: IL") for number in range(9)),
        us("owner", "codes: 606*"),
    )
    found = who(database, places, "60614")
    assert found[0] == ("owner", "beginning", True)
    assert len(found) == 4


def test_without_any_territory_the_directory_is_not_asked(database: Database, tmp_path: Path) -> None:
    class Silent(Gazetteer):
        def surroundings(self, place: Interpretation) -> Any:
            raise AssertionError("asked")

    add(database, us("alder", "Everybody is welcome"))
    with database.reading() as session:
        assert serving(session, Silent(tmp_path / "none.db"), at(CHICAGO)) == []


def test_without_a_directory_codes_and_areas_still_serve(database: Database, tmp_path: Path) -> None:
    add(database, us("drawn", area(NORTH_SIDE)), us("coded", "codes: 60614"))
    nowhere = Gazetteer(tmp_path / "none.db")
    typed = Interpretation("postal_code", "60614", "US", LINCOLN_PARK, 1.0, codes=("60614",))
    assert who(database, nowhere, typed) == [("coded", "code", True), ("drawn", "shape", True)]


def test_a_text_from_before_it_was_checked_is_a_note(database: Database, places: Gazetteer) -> None:
    old = us("old", "within: the old town")
    add(database, old)
    assert described(territory_of(old), "") == ["within: the old town"]
    assert keys_of(database, "old") == set()
    assert who(database, places, "60614") == []


# ---------------------------------------------------------------- keys follow


def imported(database: Database, text: str) -> int:
    """How many rows were refused."""
    file = io.BytesIO(text.encode())
    report = import_branches(database, file, country="", gazetteer=None, dry_run=False, now=NOW)
    return len(report.refusals)


HEAD = "slug,name,country,latitude,longitude,confidential,service_area\n"


def test_keys_follow_an_imported_service_area_when_it_changes_and_when_it_is_emptied(
    database: Database, places: Gazetteer
) -> None:
    assert imported(database, HEAD + 'alder,Alder,US,41.9,-87.6,,"codes: 60614, 606*"\n') == 0
    assert {"code:US:60614", "begin:US:606"} <= keys_of(database, "alder")
    assert who(database, places, "60614") == [("alder", "code", True)]

    imported(database, HEAD + "alder,Alder,US,41.9,-87.6,,codes: 60615\n")
    assert who(database, places, "60614") == []
    assert not any("60614" in key for key in keys_of(database, "alder"))

    imported(database, HEAD + "alder,Alder,US,41.9,-87.6,,\n")
    assert keys_of(database, "alder") == set()


def test_keys_follow_the_country_the_place_and_what_is_confidential(
    database: Database, places: Gazetteer
) -> None:
    row = "alder,Alder,{},{},-87.6,{},within: 5 km; codes: 60614\n"
    imported(database, HEAD + row.format("US", 41.9, ""))
    here = keys_of(database, "alder")
    imported(database, HEAD + row.format("DE", 41.9, ""))
    assert "code:DE:60614" in keys_of(database, "alder")
    assert "code:US:60614" not in keys_of(database, "alder")
    imported(database, HEAD + row.format("US", 45.9, ""))
    assert who(database, places, at(Point(45.9, -87.6))) == [("alder", "reach", True)]
    imported(database, HEAD + row.format("US", 41.94, "yes"))
    assert who(database, places, at(Point(41.9, -87.6))) == [("alder", "reach", True)]
    imported(database, HEAD + row.format("US", 41.9, ""))
    assert keys_of(database, "alder") == here


def test_a_column_that_is_not_in_the_file_leaves_the_territory(database: Database, places: Gazetteer) -> None:
    imported(database, HEAD + "alder,Alder,US,41.9,-87.6,,codes: 60614\n")
    imported(database, "slug,name\nalder,Alder Club\n")
    assert who(database, places, "60614") == [("alder", "code", True)]


def test_a_service_area_that_cannot_be_read_costs_its_row(database: Database, places: Gazetteer) -> None:
    text = HEAD + "alder,Alder,US,41.9,-87.6,,codes: 60614\nbirch,Birch,US,41.9,-87.6,,within: far\n"
    assert imported(database, text) == 1
    assert who(database, places, "60614") == [("alder", "code", True)]


def test_the_largest_territory_that_may_be_said_is_kept_on_every_engine(
    database: Database, places: Gazetteer
) -> None:
    codes = ", ".join(str(number) for number in range(60_000, 61_999))
    regions = ", ".join(f"{'é' * 99}{number}" for number in range(9))
    assert (
        imported(database, HEAD + f'alder,Alder,US,41.9,-87.6,,"codes: {codes}, 7*; regions: {regions}"\n')
        == 0
    )
    assert who(database, places, "60614") == [("alder", "code", True)]


def test_a_dry_run_writes_no_keys(database: Database) -> None:
    file = io.BytesIO((HEAD + "alder,Alder,US,41.9,-87.6,,codes: 60614\n").encode())
    import_branches(database, file, gazetteer=None, dry_run=True, now=NOW)
    with database.reading() as session:
        assert session.exec(select(ServiceKey)).all() == []


def test_keys_go_with_their_branch(database: Database) -> None:
    alder = us("alder", "codes: 60614")
    add(database, alder)
    with database.writing() as session:
        session.connection().execute(sa.delete(Branch).where(col(Branch.id) == alder.id))
    with database.reading() as session:
        assert session.exec(select(ServiceKey)).all() == []


def test_writing_keys_again_changes_no_row(database: Database) -> None:
    alder = us("alder", "codes: 60614; within: 5 km")
    add(database, alder)

    def written(session: Session) -> list[str]:
        statements: list[str] = []
        sa.event.listen(
            session.connection(), "before_cursor_execute", lambda *given: statements.append(given[2])
        )
        write_keys(session, [alder])
        return [text for text in statements if not text.lstrip().startswith("SELECT")]

    with database.writing() as session:
        assert written(session) == []
        alder.service_area = "codes: 60615; within: 5 km"
        assert len(written(session)) == 2  # one that deletes and one that inserts
