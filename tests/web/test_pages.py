"""Every page answers; bad input gets a sentence; nobody is watched."""

from datetime import UTC, datetime, timedelta

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events.branches.models import Branch
from events.calendars import store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft
from events.db import Database
from tests.calendars.test_feeds import weekly
from tests.conftest import NOW, Cast

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

PAGES = [
    "/",
    "/branches",
    "/events",
    "/subscribe",
    "/about",
    "/privacy",
    "/credits",
    "/sign-in",
    "/calendar/2026/12",
]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_answers_in_english_and_spanish_without_a_cookie(
    ben: TestClient, cast: Cast, path: str
) -> None:
    english, spanish = ben.get(path), ben.get("/es" + path.removesuffix("/"))
    assert (english.status_code, spanish.status_code) == (200, 200)
    assert '<html lang="en" dir="ltr">' in english.text and '<html lang="es" dir="ltr">' in spanish.text
    assert "set-cookie" not in english.headers


def test_the_language_switch_keeps_the_page_and_its_query(ben: TestClient, cast: Cast) -> None:
    page = ben.get("/events?q=saw&online=no").text
    assert 'href="/es/events?q=saw&amp;online=no"' in page


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/branches?near=91,0", "latitude"),
        ("/branches?near=nan,0", "latitude"),
        ("/branches?near=0,181", "longitude"),
        ("/branches?near=0,0&within=abc", "distance"),
        ("/branches?near=0,0&within=0", "distance"),
        ("/branches?near=60614&country=USA", "country"),
        ("/branches?page=0", "page number"),
        ("/branches?near=%FF", "UTF-8"),
        ("/events?from=2026-12-31&to=2026-01-01", "swap"),
        ("/events?from=tomorrow", "year-month-day"),
        ("/events?online=maybe", "yes or no"),
        ("/events?access=wings", "step-free"),
        ("/events?page=x", "page number"),
        ("/events?q=%FF", "UTF-8"),
        ("/calendar/2026/13", "month"),
        ("/calendar/2026/12?online=maybe", "yes or no"),
        ("/subscribe?near=91,0", "latitude"),
        ("/calendar/0/1", "month"),
        ("/calendar/a/b", "month"),
    ],
)
def test_what_cannot_be_read_is_said_in_a_sentence(
    ben: TestClient, cast: Cast, path: str, sentence: str
) -> None:
    answer = ben.get(path)
    assert answer.status_code == 422
    assert sentence in answer.text and "Traceback" not in answer.text


@pytest.mark.parametrize("path", ["/branches?near=91,0", "/events?near=91,0", "/subscribe?near=91,0"])
def test_what_was_typed_is_kept(ben: TestClient, cast: Cast, path: str) -> None:
    assert 'value="91,0"' in ben.get(path).text


@pytest.mark.parametrize("near", ["91,0", "nowhere-at-all"])
def test_a_place_that_is_not_understood_never_turns_into_everything(
    ben: TestClient, database: Database, publishing: Publishing, cast: Cast, near: str
) -> None:
    now = datetime.now(UTC)
    start = datetime(now.year, now.month, 15, 12)
    draft = {"title": "Tool night", "start": start, "end": start + timedelta(hours=1), "rrule": "FREQ=DAILY"}
    with database.writing() as session:
        event = EventDraft.model_validate({**draft, "timezone": "UTC", "state": "published"})
        store.add(session, event, [cast.alder], publishing, now)
    month = f"/calendar/{now.year}/{now.month}"
    for path in (month, "/events", "/subscribe"):
        page = ben.get(f"{path}?near={near}").text
        assert "Tool night" not in page and "webcal:" not in page, path
    assert "Tool night" in ben.get(month).text and "webcal:" in ben.get("/subscribe").text


def test_the_same_sentence_comes_in_spanish(ben: TestClient, cast: Cast) -> None:
    english, spanish = ben.get("/events?online=maybe").text, ben.get("/es/events?online=maybe").text
    assert "can be yes or no" in english and "can be yes or no" not in spanish


def test_zero_zero_is_a_place(ben: TestClient, cast: Cast) -> None:
    answer = ben.get("/branches?near=0,0")
    assert answer.status_code == 200
    assert "Alder Club" in answer.text


@pytest.mark.parametrize(
    "path", ["/branches/nowhere", "/events/999", "/events/x", "/topics/nope", "/nothing", "/branches?page=99"]
)
def test_what_does_not_exist_is_404(ben: TestClient, cast: Cast, path: str) -> None:
    assert ben.get(path).status_code == 404


def test_an_unknown_topic_or_branch_is_404_for_people_and_for_calendars(ben: TestClient, cast: Cast) -> None:
    assert ben.get("/events?topic=nope").status_code == 404
    answer = ben.get("/events.ics?branch=nope")
    assert answer.status_code == 404 and answer.headers["content-type"].startswith("text/plain")


def test_programs_get_a_problem(ben: TestClient, cast: Cast) -> None:
    answer = ben.get("/branches.json?near=91,0")
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 422 and "latitude" in answer.json()["detail"]


def test_unknown_parameters_are_ignored(ben: TestClient, cast: Cast) -> None:
    assert ben.get("/events?utm_source=x").status_code == 200


def test_a_wrong_method_is_405(ben: TestClient, cast: Cast) -> None:
    assert ben.delete("/events").status_code == 405


def test_the_site_is_alive_and_ready_under_any_name(ben: TestClient) -> None:
    assert ben.get("/healthz", headers={"Host": "10.0.0.7"}).status_code == 200
    ready = ben.get("/readyz", headers={"Host": "10.0.0.7"})
    assert ready.status_code == 200 and ready.json()["status"] == "ready"


def test_no_page_names_another_origin_for_the_browser_to_ask(ben: TestClient, cast: Cast) -> None:
    for path in PAGES:
        page = ben.get(path).text
        for line in page.splitlines():
            if "<script" in line or '<link rel="stylesheet"' in line or "<img" in line:
                assert "//" not in line.replace("http://localhost", ""), line


def test_a_read_view_cannot_write(database: Database, ben: TestClient, cast: Cast) -> None:
    with database.reading() as session:
        session.get_one(Branch, cast.alder.id).name = "Changed"
        session.flush()
    assert "Changed" not in ben.get("/branches/alder").text


@pytest.mark.parametrize(
    "path",
    ["/events?to=9999-12-31", "/events?from=0001-01-01", "/events.ics?to=9999-12-31", "/events.atom?to=9999-12-31",
     "/events.csv?from=9999-12-31", "/calendar/2026/12?to=9999-12-31", "/subscribe?from=20261231"],
)  # fmt: skip
def test_days_beyond_what_calendars_know_are_said_to_be_none(ben: TestClient, cast: Cast, path: str) -> None:
    answer = ben.get(path)
    assert answer.status_code == 422 and "is not a date" in answer.text


def test_a_date_of_an_event_that_nobody_can_mean(
    ben: TestClient, ana: TestClient, database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        number = store.add(session, weekly(), [cast.alder], publishing, NOW).id
    assert ben.get(f"/events/{number}?date=9999-12-31").status_code == 422
    assert ana.get(f"/organize/events/{number}/dates/9999-12-31T23:59").status_code == 404
    typed = {
        "branch": "alder",
        "title": "x",
        "start_date": "9999-12-31",
        "start_time": "19:00Z",
        "end_time": "21:00",
    }
    answer = ana.post("/organize/events/new", data=typed)
    assert answer.status_code == 422 and 'value="9999-12-31"' in answer.text


def test_what_all_templates_have_is_looked_up_in_a_dictionary(
    app: Starlette, ben: TestClient, cast: Cast
) -> None:
    """In Jinja's chain of them it took a tenth of a page."""
    assert ben.get("/").status_code == 200
    environment = app.state.branchline.templates._environments["en"]
    found = environment.get_template("base.html").globals
    assert type(found) is dict
    assert found == environment.globals
