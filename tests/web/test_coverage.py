"""The page that tells admins which branches to look at."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from events.config import Settings
from events.db import Database
from events.places.geo import Point
from tests.conftest import NOW, Cast, branch, running, signed_in


@pytest.fixture
def dee_with_places(
    database: Database, settings: Settings, cast: Cast, small_gazetteer: Path
) -> Iterator[TestClient]:
    """Dee, where there is a directory of places."""
    shutil.copy(small_gazetteer, settings.data_dir / "places.db")
    with running(settings) as app:
        yield signed_in(app, database, cast.dee)


def test_an_admin_sees_what_is_odd_with_its_branch(dee_with_places: TestClient, database: Database) -> None:
    with database.writing() as session:
        session.add(branch("ash", "Ash <Club>", None))
        oak = branch("oak", "Oak Club", Point(38.0, -87.9), country="US", postal_code="60614")
        session.add(oak)
    page = dee_with_places.get("/organize/coverage").text
    assert '<a href="/branches/ash"><bdi>Ash &lt;Club&gt;</bdi></a>' in page
    assert "4 branches were checked" in page and "No search near a place finds it." in page
    assert "It stands 271 mi from its postal code 60614." in page
    assert "There is no directory of places here" not in page and 'class="notice' not in page


def test_distances_are_in_the_readers_unit(dee_with_places: TestClient, database: Database) -> None:
    with database.writing() as session:
        session.add(branch("oak", "Oak Club", Point(38.0, -87.9), country="US", postal_code="60614"))
    assert "437 km" in dee_with_places.get("/es/organize/coverage").text


def test_without_a_directory_of_places_the_page_says_what_was_not_checked(
    dee: TestClient, cast: Cast
) -> None:
    assert "There is no directory of places here" in dee.get("/organize/coverage").text


def test_a_long_list_says_how_long_it_is(dee: TestClient, cast: Cast, database: Database) -> None:
    with database.writing() as session:
        session.add_all(
            branch(f"b{number}", f"Club {number}", None, verified_at=NOW.date()) for number in range(101)
        )
    page = dee.get("/organize/coverage").text
    assert "The first 100 of 101 are shown." in page and "Club 99<" in page and "Club 100<" not in page


def test_an_organizer_finds_nothing_there_and_a_visitor_is_asked_to_sign_in(
    ana: TestClient, ben: TestClient, cast: Cast
) -> None:
    assert ana.get("/organize/coverage").status_code == 404
    answer = ben.get("/organize/coverage")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=%2Forganize%2Fcoverage"


def test_the_desk_of_an_admin_leads_there(dee: TestClient, ana: TestClient, cast: Cast) -> None:
    assert "/organize/coverage" in dee.get("/organize").text
    assert "/organize/coverage" not in ana.get("/organize").text
