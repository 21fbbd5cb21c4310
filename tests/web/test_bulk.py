"""It snows: everything of some days is cancelled at once, and taken back at once when it does not."""

import re
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from events.calendars import store
from events.calendars.content import Publishing
from events.db import Database
from events.desk.bulk import MOST
from events.people import permissions
from events.people.models import Role
from tests.calendars.test_feeds import Subscriber, weekly
from tests.conftest import Cast, branch
from tests.web.test_changing import FIRST, HOUR, NOW, WEEK, Posted, faults, fields

# The first story runs on both engines, as does all that is asked of the database in it.
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

DAYS = {"from": f"{FIRST:%Y-%m-%d}", "to": f"{FIRST + timedelta(days=6):%Y-%m-%d}"}
ADDRESS = "/organize/branches/alder/cancellations"


@pytest.fixture
def series(database: Database, publishing: Publishing, cast: Cast) -> Posted:
    return Posted(database, publishing, cast)


@pytest.fixture
def once(database: Database, publishing: Publishing, cast: Cast) -> Posted:
    return Posted(database, publishing, cast, rrule="", title="Party")


def listed(page: str) -> list[str]:
    return re.findall(r'name="dates" value="([^"]*)" checked', page)


def cancelled(ana: TestClient, **more: object) -> tuple[str, dict[str, object]]:
    """The address of the page that says what was done, and the form that did it."""
    page = ana.get(ADDRESS, params={**DAYS, "below": str(more.get("below", ""))}).text
    form = {**fields(page), "dates": listed(page), "reason": "Snow.", **more}
    answer = ana.post(ADDRESS, data=form)
    assert answer.status_code == 303, faults(answer.text)
    return answer.headers["location"], form


def test_what_begins_on_those_days_is_listed_cancelled_once_and_taken_back(
    ana: TestClient, ben: TestClient, series: Posted, once: Posted
) -> None:
    page = ana.get(ADDRESS, params=DAYS).text
    assert sorted(listed(page)) == [f"{one.id}@{FIRST:%Y-%m-%dT%H:%M}" for one in (series, once)]
    where, form = cancelled(ana)
    assert ana.post(ADDRESS, data=form).headers["location"] == where
    assert series.changed() == {FIRST: (True, "Snow.")} and once.state == "cancelled"
    assert series.actions == once.actions == ["added", "bulk"]
    assert "Nothing begins on these days" in ana.get(ADDRESS, params=DAYS).text
    page = ana.get(where).text
    assert "Tool night" in page and "Party" in page and "Take all of it back" in page
    for _ in range(2):
        assert ana.post(f"{where}/removal").headers["location"] == where
    assert series.changed() == {} and once.state == "published"
    assert series.actions == once.actions == ["added", "bulk", "bulk-undone"]
    assert "All of it takes place after all." in ana.get(where).text
    states = [str(event["STATUS"]) for event in Subscriber(ben, "/branches/alder.ics").events()]
    assert states == ["CONFIRMED"] * 2


@on_sqlite
def test_who_needs_approval_by_now_takes_nothing_back(
    ana: TestClient, series: Posted, once: Posted, database: Database, cast: Cast
) -> None:
    where, _ = cancelled(ana)
    with database.writing() as session:
        permissions.invite(session, cast.ana, cast.alder, Role.ORGANIZER, trusted=False)
    assert (ana.get(where).status_code, ana.post(f"{where}/removal").status_code) == (200, 404)
    assert once.state == "cancelled"


@on_sqlite
def test_what_was_changed_since_is_named_and_stays(ana: TestClient, series: Posted, once: Posted) -> None:
    where, _ = cancelled(ana)
    ana.post(series.date(1), data={"cancelled": "yes", "reason": "Ice."})
    page = ana.post(f"{where}/removal", follow_redirects=True).text
    assert "Changed since" in page and "Takes place" in page
    assert series.changed() == {FIRST: (True, "Snow."), FIRST + WEEK: (True, "Ice.")}
    assert once.state == "published"


@on_sqlite
def test_what_is_left_out_of_the_list_takes_place(ana: TestClient, series: Posted, once: Posted) -> None:
    cancelled(ana, dates=[f"{once.id}@{FIRST:%Y-%m-%dT%H:%M}", "999@2026-12-01T19:00", "x"])
    assert once.state == "cancelled" and series.changed() == {}


@on_sqlite
def test_days_are_those_of_the_branch_and_a_moved_date_counts_where_it_is(
    ana: TestClient, series: Posted, database: Database, publishing: Publishing, cast: Cast
) -> None:
    late = FIRST.replace(hour=23, minute=30)  # the next day in UTC
    Posted(database, publishing, cast, start=late, end=late + HOUR, rrule="")
    day = {"from": f"{FIRST:%Y-%m-%d}", "to": f"{FIRST:%Y-%m-%d}"}
    assert len(listed(ana.get(ADDRESS, params=day).text)) == 2
    form = fields(ana.get(series.date(0)).text)
    ana.post(series.date(0), data={**form, "start_date": f"{FIRST + 2 * WEEK:%Y-%m-%d}"})
    ana.post(series.date(1), data={**fields(ana.get(series.date(1)).text), "start_date": day["from"]})
    moved = f"{series.id}@{FIRST + WEEK:%Y-%m-%dT%H:%M}"
    assert moved in listed(ana.get(ADDRESS, params=day).text)
    cancelled(ana)
    assert series.changed()[FIRST + WEEK] == (True, "Snow.") and series.changed()[FIRST] == (False, "")


@on_sqlite
def test_faults_keep_the_list_and_what_was_typed(ana: TestClient, series: Posted, once: Posted) -> None:
    page = ana.get(ADDRESS, params=DAYS).text
    answer = ana.post(ADDRESS, data={**fields(page), "dates": listed(page)[:1], "reason": " "})
    assert answer.status_code == 422 and faults(answer.text) == ["reason"]
    assert len(listed(answer.text)) == 1 and fields(answer.text)["key"] == fields(page)["key"]
    answer = ana.post(ADDRESS, data={**fields(page), "dates": [], "reason": "Snow."})
    assert answer.status_code == 422 and faults(answer.text) == ["dates"] and "Snow." in answer.text


NONSENSE = (
    ({"from": "x", "to": "2027-02-30"}, ["from", "to"]),
    ({"from": "", "to": ""}, ["from", "to"]),
    ({"from": "2027-02-02", "to": "2027-02-01"}, ["to"]),
    ({"from": "2027-01-01", "to": "2028-01-01"}, ["to"]),
)


@on_sqlite
def test_days_that_make_no_sense_are_told(ana: TestClient, cast: Cast) -> None:
    for days, at in NONSENSE:
        answer = ana.get(ADDRESS, params=days)
        assert (answer.status_code, faults(answer.text)) == (422, at)
        answer = ana.post(ADDRESS, data={**days, "reason": "Snow."})
        assert (answer.status_code, faults(answer.text)) == (422, at)


@on_sqlite
def test_branches_below_are_cancelled_only_where_that_is_ticked(
    ana: TestClient, database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        ash = branch("ash", "Ash Club", None, parent_id=cast.alder.id, timezone="America/Chicago")
        session.add(ash)
        session.flush()
        store.add(session, weekly(start=FIRST, end=FIRST + HOUR, title="Below"), [ash], publishing, NOW)
    assert listed(ana.get(ADDRESS, params=DAYS).text) == []
    where, _ = cancelled(ana, below="yes")
    assert "Below" in ana.get(where).text


@on_sqlite
def test_cy_reaches_neither_the_list_nor_what_was_done(
    ana: TestClient, cy: TestClient, dee: TestClient, series: Posted, cast: Cast
) -> None:
    where, form = cancelled(ana)
    assert cy.get(ADDRESS, params=DAYS).status_code == 404
    assert cy.post(ADDRESS, data=form).status_code == 404
    assert cy.get(where).status_code == 404 and cy.post(f"{where}/removal").status_code == 404
    assert ana.get("/organize/cancellations/%00").status_code == ana.get(f"{where}x").status_code == 404
    mine = {**form, "dates": []}
    assert cy.post("/organize/branches/birch/cancellations", data=mine).headers["location"] == where
    assert series.changed() == {FIRST: (True, "Snow.")}
    assert "Take all of it back" in dee.get(where).text


@on_sqlite
def test_more_dates_than_a_form_can_have_are_refused(
    ana: TestClient, database: Database, publishing: Publishing, cast: Cast
) -> None:
    for _ in range(MOST // 92 + 1):
        Posted(database, publishing, cast, rrule="FREQ=DAILY")
    days = {"from": DAYS["from"], "to": f"{FIRST + timedelta(days=91):%Y-%m-%d}"}
    answer = ana.get(ADDRESS, params=days)
    assert answer.status_code == 422 and faults(answer.text) == ["to"] and "fewer days" in answer.text
