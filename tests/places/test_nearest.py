"""The nearest rows and those within a distance, against all geodesics, on every engine."""

import random
from collections.abc import Sequence

import pytest
import sqlalchemy as sa

from events.branches.models import Branch
from events.db import Database, table_of
from events.places.geo import Distance, Point, geodesic
from events.places.nearest import is_crowded, nearest, within

from ..conftest import Engines, branch

TABLE = table_of(Branch)
POLES_AND_SEAMS = [
    Point(90, 0),
    Point(-90, 77),
    Point(-17, 180),
    Point(-17, -180),
    Point(0, 0),
    Point(51.5, 0),
]


def scattered(count: int, seed: int) -> list[Point]:
    chance = random.Random(seed)
    everywhere = [Point(chance.uniform(-90, 90), chance.uniform(-180, 180)) for _ in range(count)]
    town = [Point(40.7 + chance.gauss(0, 0.1), -74 + chance.gauss(0, 0.1)) for _ in range(count)]
    top = [Point(89.95, chance.uniform(-180, 180)) for _ in range(20)]
    seam = [Point(-17 + chance.gauss(0, 1), chance.choice((-179.95, 179.95))) for _ in range(20)]
    return [*everywhere, *town, *top, *seam, *[Point(51.5, 0.0)] * 15, *POLES_AND_SEAMS]


POINTS = scattered(150, seed=1)
ASKED = [*POLES_AND_SEAMS, *random.Random(2).sample(POINTS, 30), *scattered(10, seed=3)[:10], Point(40, -40)]


def fill(database: Database) -> None:
    """Every third branch is closed, some have no position."""
    with database.writing() as session:
        for number, point in enumerate(POINTS):
            status = "closed" if number % 3 == 0 else "active"
            session.add(branch(f"b{number}", "Branch", point, status=status))
        session.add_all(branch(f"n{number}", "Nowhere", None) for number in range(5))


@pytest.fixture
def filled(database: Database) -> Database:
    fill(database)
    return database


def by_geodesic(database: Database, point: Point) -> list[tuple[float, int]]:
    """(kilometres, id) of the active ones, all computed."""
    query = sa.select(TABLE.c.id, TABLE.c.latitude, TABLE.c.longitude)
    query = query.where(TABLE.c.status == "active", TABLE.c.latitude.is_not(None))
    with database.reading() as session:
        rows = session.execute(query).all()
    return sorted((geodesic(point, Point(row[1], row[2])).km, row[0]) for row in rows)


def found(database: Database, point: Point, limit: int) -> list[int]:
    with database.reading() as session:
        query = sa.select(TABLE.c.id).where(TABLE.c.status == "active")
        return [row[0] for row in nearest(session, query, TABLE, point, limit)]


def inside(database: Database, point: Point, distance: Distance, most: int | None = None) -> set[int]:
    with database.reading() as session:
        query = sa.select(TABLE.c.id).where(TABLE.c.status == "active")
        by_index = most is None or not is_crowded(session, TABLE, point, distance, most)
        near = within(session, TABLE, point, distance, by_index=by_index)
        return set(session.execute(query.where(near)).scalars())


def assert_exact(database: Database, points: Sequence[Point]) -> None:
    for point in points:
        truth = by_geodesic(database, point)
        assert found(database, point, 10) == [number for _, number in truth[:10]], point
        for km in (5.0, 100.0, 2500.0):
            ids = inside(database, point, Distance(km))
            assert ids >= {number for away, number in truth if away < km * 0.995}, (point, km)
            assert ids <= {number for away, number in truth if away <= km * 1.005}, (point, km)


def test_the_nearest_and_the_near_are_those_of_a_search_through_all(filled: Database) -> None:
    assert_exact(filled, ASKED)


def test_without_the_cube_extension_the_answers_are_the_same(engines: Engines) -> None:
    database = Database(engines.fresh_url("postgresql"), size=1)
    with database.writing() as session:
        session.execute(sa.text("DROP EXTENSION cube CASCADE"))
    fill(database)
    assert_exact(database, ASKED[:20])
    database.dispose()


def test_who_walks_past_a_crowd_finds_the_same_without_the_index(filled: Database) -> None:
    town, distance = Point(40.7, -74), Distance(60)
    near = inside(filled, town, distance)
    assert len(near) > 50
    for most in (0, 49, 10**6):
        assert inside(filled, town, distance, most) == near
    with filled.reading() as session:
        assert [is_crowded(session, TABLE, town, distance, most) for most in (49, 10**6)] == [True, False]
        told = [str(within(session, TABLE, town, distance, by_index=by_index)) for by_index in (False, True)]
    assert ["spot" in text or "cube" in text for text in told] == [False, True]
    assert inside(filled, Point(-60, -120), Distance(1), 0) == set()


def test_branches_at_one_place_come_in_the_order_of_their_ids(filled: Database) -> None:
    same = found(filled, Point(51.5, 0), 8)
    assert same == sorted(same)
    assert len(set(same)) == 8


def test_fewer_than_asked_for_are_all_found_and_those_without_a_position_are_not(filled: Database) -> None:
    assert found(filled, Point(10, 10), 5000) == [number for _, number in by_geodesic(filled, Point(10, 10))]


def test_an_empty_directory_has_nothing_near(database: Database) -> None:
    assert found(database, Point(0, 0), 5) == []
    assert inside(database, Point(0, 0), Distance(20_000)) == set()


def test_a_branch_that_moves_or_goes_is_found_where_it_is_now(database: Database) -> None:
    with database.writing() as session:
        row = branch("alder", "Alder", Point(41.9, -87.6))
        session.add(row)
    with database.writing() as session:
        session.get_one(Branch, row.id).stand_at(Point(-33.9, 151.2))
    assert inside(database, Point(41.9, -87.6), Distance(50)) == set()
    assert inside(database, Point(-33.9, 151.2), Distance(50)) == {row.id}
    with database.writing() as session:
        session.get_one(Branch, row.id).stand_at(None)
    assert found(database, Point(-33.9, 151.2), 5) == []
    with database.writing() as session:
        session.delete(session.get_one(Branch, row.id))
    assert found(database, Point(-33.9, 151.2), 5) == []


def test_postgresql_answers_both_from_its_index(engines: Engines) -> None:
    database = Database(engines.fresh_url("postgresql"), size=1)
    fill(database)
    asked: list[tuple[str, dict[str, object]]] = []

    def note(_c: object, _cursor: object, statement: str, values: dict[str, object], *_: object) -> None:
        if "FROM branch" in statement:
            asked.append((statement, values))

    with database.writing() as session:
        session.execute(sa.text("ANALYZE branch"))
        session.execute(sa.text("SET LOCAL enable_seqscan = off"))  # the table is too small to need an index
        sa.event.listen(database.engine, "before_cursor_execute", note)
        nearest(session, sa.select(TABLE.c.id), TABLE, Point(40.7, -74), 5)
        session.execute(
            sa.select(TABLE.c.id).where(within(session, TABLE, Point(40.7, -74), Distance(3)))
        ).all()
        sa.event.remove(database.engine, "before_cursor_execute", note)
        plans = [
            " ".join(session.connection().exec_driver_sql(f"EXPLAIN {statement}", values).scalars())
            for statement, values in asked
        ]
    database.dispose()
    assert len(plans) == 2
    assert all("ix_branch_spot" in plan for plan in plans)


def test_on_the_other_side_of_the_earth_the_order_is_still_that_of_the_ground(database: Database) -> None:
    """There chords hardly differ, and the flattening decides."""
    chance = random.Random(4)
    points = [Point(-40 + chance.gauss(0, 1), 176 + chance.gauss(0, 1)) for _ in range(100)]
    with database.writing() as session:
        session.add_all(branch(f"b{number}", "Branch", point) for number, point in enumerate(points))
    for asked in (Point(40, -4), Point(40.2, -3.7)):
        assert found(database, asked, 5) == [number for _, number in by_geodesic(database, asked)[:5]]


def test_more_branches_at_one_place_than_are_asked_for_come_by_id(database: Database) -> None:
    with database.writing() as session:
        for number in reversed(range(1, 61)):
            session.add(branch(f"b{number}", "Branch", Point(0, 179.99), id=number))
            session.flush()
    assert found(database, Point(0, -179.99), 5) == [1, 2, 3, 4, 5]


def test_what_a_filter_leaves_is_found_however_far_it_is(database: Database) -> None:
    """A crowd that is left out stands around the point."""
    chance = random.Random(5)
    with database.writing() as session:
        for number in range(300):
            crowd = Point(41.9 + chance.gauss(0, 0.05), -87.6 + chance.gauss(0, 0.05))
            session.add(branch(f"c{number}", "Closed", crowd, status="closed"))
        for number in range(30):
            far = Point(chance.uniform(-60, 60), chance.uniform(60, 170))
            session.add(branch(f"b{number}", "Branch", far))
    assert_exact(database, [Point(41.9, -87.6)])
