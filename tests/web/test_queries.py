"""What a page asks the database does not grow with what it shows."""

import shutil
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events.branches.models import Branch
from events.calendars import store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft
from events.config import Settings
from events.db import Database
from events.places.geo import Point
from tests.conftest import Cast, branch, counted, of_pages
from tests.news.test_notices import HOUR, headline, write

# What the statements find is asked of both engines where they are made.
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

FEW, MANY, MORE_THAN_A_PAGE = 3, 40, 60
THEN = datetime(
    2043, 11, 23, 12, tzinfo=UTC
)  # soon enough before the events for their dates to be written out
# How many statements a page takes: BEGIN is none, and whether anything has moved is asked whatever is shown.
STATEMENTS = {
    "/": 4,
    "/events": 3,
    "/events?branch=alder": 7,
    "/events?topic=repair": 8,
    "/events?topic=repair&topic=topic-0&topic=topic-1&topic=topic-2": 7,
    "/events?near=60614": 6,
    "/calendar/2043/12": 2,
    "/topics/repair": 9,
    "/branches/alder": 6,
    "/branches": 2,
    "/events/1": 5,
    "/events/1?date=2043-12-08": 6,
    "/news": 2,
    "/news?branch=alder": 3,
    "/news/notice-0": 1,
}
# Where there are more than stand on a page, how many there are is asked as well.
OF_LONG_LISTS = {
    "/events": 4,
    "/events?page=2": 3,
    "/events?branch=alder": 9,
    "/events?topic=repair": 12,
    "/topics/repair": 13,
}
NEAR = "/branches?near=60614"
MOST_NEAR = 15  # how far to look is found by looking: the fewer there are, the longer
_another = count()


@pytest.fixture
def served(app: Starlette, settings: Settings, small_gazetteer: Path) -> Database:
    shutil.copy(small_gazetteer, settings.gazetteer)
    app.state.branchline.shared.most = 0  # so that each page asks what it shares with others
    database: Database = app.state.branchline.database
    return database


def taken(database: Database, visitor: TestClient, paths: Iterable[str]) -> dict[str, int]:
    """By page, as it is made anew: an address with a parameter that nobody knows is another one each time."""
    numbers = {}
    for path in paths:
        with counted(database.engine) as statements:
            page = visitor.get(f"{path}{'&' if '?' in path else '?'}_={next(_another)}")
        assert page.status_code == 200, path
        numbers[path] = len(of_pages(statements))
    return numbers


def test_a_branch_with_nothing_below_it_and_no_news_takes_two(
    database: Database, app: Starlette, served: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    fill(database, publishing, cast, range(FEW))
    app.state.branchline.shared.most = 500
    taken(
        served, ben, ["/branches/alder", "/branches/birch"]
    )  # who has what is asked once while nothing moves
    assert taken(served, ben, ["/branches/birch", "/branches/alder"]) == {
        "/branches/birch": 2,
        "/branches/alder": 4,
    }


def fill(database: Database, publishing: Publishing, cast: Cast, numbers: range) -> None:
    """Events, branches near and below Alder, notices and headlines: one of each for every number."""
    with database.writing() as session:
        alder = session.get_one(Branch, cast.alder.id)
        for number in numbers:
            there = branch(f"b{number}", f"B {number}", Point(41.9 + number / 1000, -87.65), **IN_CHICAGO)
            there.parent_id = alder.id
            session.add(there)
            store.add(session, tool_night(number), [alder], publishing, THEN)
            write(session, f"Notice {number}", alder, datetime.now(UTC) - HOUR, is_top=number < 3)
            headline(session, f"Headline {number}", datetime.now(UTC) - HOUR)


IN_CHICAGO = {
    "timezone": "America/Chicago",
    "country": "US",
    "city": "Chicago",
    "opening_hours": "Mo-Fr 10:00-18:00",
}


def tool_night(number: int) -> EventDraft:
    start = datetime(2043, 12, 8, 18) + timedelta(minutes=number)
    return EventDraft.model_validate(
        {
            "title": f"Tool night {number}",
            "start": start,
            "end": start + timedelta(hours=2),
            "timezone": "America/Chicago",
            "rrule": "FREQ=WEEKLY;COUNT=2" if number % 10 == 0 else "",
            "topics": ("Repair", f"Topic {number}"),
            "state": "published",
        }
    )


def test_pages_with_much_on_them_take_as_many_statements_as_pages_with_little(
    database: Database, served: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    fill(database, publishing, cast, range(FEW))
    taken(served, ben, STATEMENTS)  # what is asked once a minute
    assert taken(served, ben, STATEMENTS) == STATEMENTS
    assert taken(served, ben, [NEAR])[NEAR] <= MOST_NEAR
    fill(database, publishing, cast, range(FEW, MANY))
    assert taken(served, ben, STATEMENTS) == STATEMENTS
    assert taken(served, ben, [NEAR])[NEAR] <= MOST_NEAR
    fill(database, publishing, cast, range(MANY, MORE_THAN_A_PAGE))
    taken(served, ben, OF_LONG_LISTS)
    assert taken(served, ben, OF_LONG_LISTS) == OF_LONG_LISTS
