"""Finding branches."""

from events.branches import queries
from events.branches.models import Branch, Status
from events.db import Database
from events.places.geo import Point, geodesic
from tests.conftest import Cast, branch

TRUE_PLACE = Point(41.9312, -87.6478)


def test_the_nearest_comes_first_with_its_exact_distance(database: Database, cast: Cast) -> None:
    here = Point(41.92, -87.64)
    with database.reading() as session:
        found = queries.nearest_to(session, here)
    assert [near.branch.slug for near in found] == ["alder", "birch"]
    assert found[0].distance == geodesic(here, Point(41.9227, -87.6533))


def test_what_cannot_be_visited_is_not_near(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        session.add(branch("office", "The office", Point(41.92, -87.64), location_type="postal"))
        session.add(branch("web", "Online", Point(41.92, -87.64), location_type="virtual"))
        session.add(branch("gone", "Closed", Point(41.92, -87.64), status=Status.CLOSED))
    with database.reading() as session:
        assert [near.branch.slug for near in queries.nearest_to(session, Point(41.92, -87.64))] == [
            "alder",
            "birch",
        ]


def test_no_number_of_searches_tells_where_a_confidential_branch_is(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        refuge = branch("refuge", "Refuge", None, confidential=True)
        refuge.stand_at(TRUE_PLACE)
        session.add(refuge)
    with database.reading() as session:
        [other] = [near for near in queries.nearest_to(session, TRUE_PLACE) if near.branch.slug == "refuge"]
        kept = session.get_one(Branch, other.branch.id).point
    assert kept == TRUE_PLACE, "the operator's own data stays"
    assert other.distance == geodesic(TRUE_PLACE, TRUE_PLACE.snapped(0.1))


def test_a_branch_that_becomes_confidential_is_placed_by_its_area() -> None:
    row = branch("refuge", "Refuge", TRUE_PLACE)
    assert row.public_point == TRUE_PLACE
    row.confidential = True
    assert row.public_point == TRUE_PLACE.snapped(0.1) != TRUE_PLACE
