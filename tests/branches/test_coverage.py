"""What an admin is shown: what can hardly be right, and as little else as possible."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from events.branches import coverage
from events.branches.models import Branch, Status
from events.branches.serving import write_keys
from events.db import Database
from events.places.geo import Distance, Point
from events.places.lookup import Gazetteer
from tests.conftest import NOW, branch

CHICAGO = Point(41.9227, -87.6533)
MADRID = Point(40.4274, -3.6986)
TODAY = NOW.date()


def chicagoan(slug: str, at: Point | None = CHICAGO, **more: Any) -> Branch:
    address = {"city": "Chicago", "state_province": "IL", "postal_code": "60614", "country": "US"}
    return branch(slug, slug.title(), at, **{**address, "verified_at": TODAY, **more})


def found(database: Database, gazetteer: Gazetteer, *rows: Branch) -> dict[str, list[coverage.Finding]]:
    """The findings by kind, without the kinds of which there are none."""
    with database.writing() as session:
        session.add_all(rows)
    with database.reading(in_transaction=True) as session:
        checks = coverage.coverage(session, gazetteer, NOW).checks
    return {check.kind.key: check.findings for check in checks if check.total}


def told(findings: dict[str, list[coverage.Finding]]) -> dict[str, list[str]]:
    return {kind: [str(finding.message) for finding in these] for kind, these in findings.items()}


def test_branches_that_are_in_order_are_not_mentioned(database: Database, gazetteer: Gazetteer) -> None:
    madrid = chicagoan("madrid", MADRID, city="Madrid", state_province="", postal_code="28004", country="ES")
    virtual = chicagoan("web", None, location_type="virtual")
    hours = chicagoan("open", Point(41.93, -87.65), opening_hours="We 17:00-21:00")
    assert found(database, gazetteer, chicagoan("alder"), madrid, virtual, hours) == {}


def test_each_finding_names_its_branch(database: Database, gazetteer: Gazetteer) -> None:
    [finding] = found(database, gazetteer, chicagoan("alder"), chicagoan("ash", None))["nowhere"]
    assert finding.branches == [coverage.Named("ash", "Ash")]


# ---------------------------------------------------------------- coordinates


def test_swapped_coordinates_come_with_what_was_meant(database: Database, gazetteer: Gazetteer) -> None:
    swapped = chicagoan("alder", Point(CHICAGO.longitude, CHICAGO.latitude))
    assert told(found(database, gazetteer, swapped)) == {
        "coordinates": [
            "Latitude and longitude seem to be swapped: 41.9227,-87.6533 lies in US, -87.6533,41.9227 does not."
        ]
    }


@pytest.mark.parametrize(
    "typed", [Point(41.9227, 87.6533), Point(-41.9227, -87.6533), Point(-41.9227, 87.6533)]
)
def test_a_lost_minus_comes_with_what_was_meant(
    database: Database, gazetteer: Gazetteer, typed: Point
) -> None:
    assert told(found(database, gazetteer, chicagoan("alder", typed))) == {
        "coordinates": [f"A minus seems to be wrong: 41.9227,-87.6533 lies in US, {typed} does not."]
    }


def test_the_point_off_africa_and_other_seas_are_odd(database: Database, gazetteer: Gazetteer) -> None:
    rows = (
        chicagoan("zero", Point(0, 0), country="", postal_code=""),
        chicagoan("sea", Point(50, -30), country=""),
    )
    assert told(found(database, gazetteer, *rows)) == {
        "coordinates": [
            "It stands at 0,0, in the sea off Africa.",
            "50,-30 lies in the sea, or where no country is.",
        ]
    }


def test_whole_degrees_are_too_coarse_to_be_an_address(database: Database, gazetteer: Gazetteer) -> None:
    rows = chicagoan("coarse", Point(42.0, -88.0)), chicagoan("fine", Point(42.0, -88.01))
    assert told(found(database, gazetteer, *rows)) == {
        "coordinates": ["42,-88 has whole degrees only: that may be 50 km off."]
    }


def test_a_branch_far_from_its_postal_code_is_odd(database: Database, gazetteer: Gazetteer) -> None:
    """Where it stands is its town: then the code is the one to be doubted."""
    nearer, farther = chicagoan("near", Point(42.7, -87.9)), chicagoan("far", Point(38.0, -87.9))
    towns = chicagoan("town", Point(42.1, -72.6), city="Springfield", state_province="MA")
    findings = found(database, gazetteer, nearer, farther, towns)
    assert [finding.branches[0].slug for finding in findings["coordinates"]] == ["far", "town"]
    far, town = (finding.message for finding in findings["coordinates"])
    assert far.text == "It stands %(distance)s from its postal code %(code)s."
    assert isinstance(away := far.values["distance"], Distance) and 430 < away.km < 440
    assert town.text == "It stands at %(city)s, but %(distance)s from its postal code %(code)s."


def test_without_a_known_code_the_town_tells_and_the_state_says_which(
    database: Database, gazetteer: Gazetteer
) -> None:
    massachusetts = Point(42.1, -72.6)
    here = chicagoan("here", massachusetts, city="Springfield", state_province="MA", postal_code="")
    away = chicagoan("away", massachusetts, city="Springfield", state_province="IL", postal_code="")
    nowhere = chicagoan(
        "nowhere", Point(42.2, -72.6), city="Springfield", state_province="WI", postal_code=""
    )
    [finding] = found(database, gazetteer, here, away, nowhere)["coordinates"]
    assert finding.branches[0].slug == "away"
    assert finding.message.text == "It stands %(distance)s from %(city)s."


def test_a_branch_that_its_address_placed_is_not_measured_against_it(
    database: Database, gazetteer: Gazetteer
) -> None:
    guessed = chicagoan("guessed", Point(38.0, -87.9), geocode_accuracy="postal_code")
    assert found(database, gazetteer, guessed) == {}


# ---------------------------------------------------------------- countries


def test_a_branch_in_another_country_is_odd(database: Database, gazetteer: Gazetteer) -> None:
    assert told(found(database, gazetteer, chicagoan("alder", MADRID, postal_code="", city=""))) == {
        "country": ["40.4274,-3.6986 lies in ES, its country is US."]
    }


def test_nobody_is_accused_for_a_border_an_island_or_disputed_land(
    database: Database, gazetteer: Gazetteer
) -> None:
    bare = {"city": "", "state_province": "", "postal_code": "", "verified_at": TODAY}
    rows = (
        branch("kehl", "Kehl", Point(48.5743, 7.815), country="FR", **bare),
        branch("san-juan", "San Juan", Point(18.4663, -66.1057), country="US", **bare),
        branch("pago-pago", "Pago Pago", Point(-14.2781, -170.7025), country="AS", **bare),
        branch("jersey", "Jersey", Point(49.19, -2.11), country="GB", **bare),
        branch("hanoi", "Hanoi", Point(21.03, 105.85), country="VN", **bare),
        branch("pristina", "Pristina", Point(42.66, 21.16), country="XK", **bare),
        branch("unsaid", "Unsaid", MADRID, country="", **bare),
    )
    assert found(database, gazetteer, *rows) == {}


# ---------------------------------------------------------------- position, codes, hours, confirmation


def test_only_what_can_be_visited_needs_a_position(database: Database, gazetteer: Gazetteer) -> None:
    kinds = ("physical", "postal", "virtual")
    rows = [chicagoan(kind, None, location_type=kind) for kind in kinds]
    [finding] = found(database, gazetteer, *rows)["nowhere"]
    assert finding.branches[0].slug == "physical"


def test_unknown_codes_are_told_where_the_codes_of_the_country_are_listed(
    database: Database, gazetteer: Gazetteer
) -> None:
    longer = chicagoan("longer", postal_code="60614-1234")
    unknown = chicagoan("unknown", Point(41.93, -87.65), postal_code="60O14")
    france = branch(
        "paris", "Paris", Point(48.85, 2.35), country="FR", postal_code="75001", verified_at=TODAY
    )
    assert told(found(database, gazetteer, longer, unknown, france)) == {
        "codes": ["“60O14” is not listed in US."]
    }


def test_opening_hours_that_nobody_can_evaluate_are_told(database: Database, gazetteer: Gazetteer) -> None:
    findings = told(found(database, gazetteer, chicagoan("alder", opening_hours="whenever")))
    assert list(findings) == ["hours"] and "whenever" in findings["hours"][0]


def test_what_was_never_confirmed_or_not_for_a_year_is_told(database: Database, gazetteer: Gazetteer) -> None:
    rows = [
        chicagoan(slug, Point(41.9 + number / 100, -87.65), verified_at=day)
        for number, (slug, day) in enumerate(
            {"never": None, "old": date(2025, 11, 22), "year": TODAY - timedelta(days=365)}.items()
        )
    ]
    findings = found(database, gazetteer, *rows)["confirmed"]
    assert [finding.branches[0].slug for finding in findings] == ["never", "old"]
    assert [str(finding.message) for finding in findings] == [
        "Never confirmed.",
        "Last confirmed on 2025-11-22.",
    ]


# ---------------------------------------------------------------- several


def test_branches_at_one_point_are_told_together_the_most_crowded_point_first(
    database: Database, gazetteer: Gazetteer
) -> None:
    other = Point(41.93, -87.65)
    rows = [chicagoan(f"a{number}") for number in range(2)]
    rows += [chicagoan(f"b{number}", other) for number in range(12)]
    rows += [chicagoan("closed", status=Status.CLOSED), chicagoan("coded", geocode_accuracy="postal_code")]
    crowd, pair = found(database, gazetteer, *rows)["same"]
    assert [named.slug for named in crowd.branches] == [f"b{number}" for number in range(10)]
    assert crowd.others == 2 and str(crowd.message) == f"12 branches stand at {other}."
    assert [named.slug for named in pair.branches] == ["a0", "a1"] and pair.others == 0


def test_closed_branches_are_left_in_peace(database: Database, gazetteer: Gazetteer) -> None:
    assert found(database, gazetteer, chicagoan("gone", None, status=Status.CLOSED, verified_at=None)) == {}


def test_all_are_counted_and_the_first_are_kept(
    database: Database, gazetteer: Gazetteer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coverage, "SHOWN", 2)
    with database.writing() as session:
        session.add_all(chicagoan(f"b{number}", None) for number in range(3))
        session.add_all(
            chicagoan(f"p{number}", Point(41.9, -87.6 - number // 2 / 100)) for number in range(6)
        )
    with database.reading(in_transaction=True) as session:
        checks = {
            check.kind.key: check
            for check in coverage.coverage(session, gazetteer, NOW).checks
            if check.total
        }
    assert (checks["nowhere"].total, len(checks["nowhere"].findings)) == (3, 2)
    assert (checks["same"].total, len(checks["same"].findings)) == (3, 2)


def test_without_a_directory_of_places_the_rest_is_checked(database: Database, tmp_path: Path) -> None:
    with database.writing() as session:
        session.add(chicagoan("far", Point(38.0, -87.9), postal_code="60O14"))
        session.add(chicagoan("nowhere", None))
    with database.reading(in_transaction=True) as session:
        coverage_ = coverage.coverage(session, Gazetteer(tmp_path / "places.db"), NOW)
    assert not coverage_.has_directory and coverage_.branches == 2
    assert [check.kind.key for check in coverage_.checks if check.total] == ["nowhere"]


def test_postal_codes_that_several_branches_serve_are_told(database: Database, gazetteer: Gazetteer) -> None:
    served = {
        "one": "codes: 60614, 60622",
        "two": "codes: 60614",
        "three": "codes: 606*",
        "four": "codes: 10115",
    }
    rows = [chicagoan(slug, service_area=area) for slug, area in served.items()]
    rows.append(chicagoan("gone", service_area="codes: 10115", status=Status.CLOSED))
    with database.writing() as session:
        session.add_all(rows)
        session.flush()
        write_keys(session, rows)
    with database.reading(in_transaction=True) as session:
        [check] = [
            c for c in coverage.coverage(session, gazetteer, NOW).checks if c.kind.key == "shared_codes"
        ]
    assert [(str(f.message), [b.slug for b in f.branches]) for f in check.findings] == [
        ("3 branches serve the postal code 60614.", ["one", "two", "three"]),
        ("2 branches serve the postal code 60622.", ["one", "three"]),
    ]
