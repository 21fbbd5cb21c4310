"""The ways into a calendar: what keeps updating in each app, what is added once, and one main button a page."""

import re
import shutil
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from icalendar import Calendar
from starlette.testclient import TestClient

from events.calendars import derived, store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft
from events.calendars.models import Event
from events.config import Settings
from events.db import Database
from tests.conftest import Cast

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
SITE = "http://localhost:8000"
# A Tuesday, far enough ahead whenever the tests run.
START, THEN = datetime(2044, 1, 12, 19), datetime(2043, 12, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def gazetteer(small_gazetteer: Path, settings: Settings) -> None:
    shutil.copy(small_gazetteer, settings.gazetteer)


def added(database: Database, publishing: Publishing, cast: Cast, **more: Any) -> int:
    values = {"title": "Tool night", "start": START, "end": START + timedelta(hours=2), "topics": ("Repair",)}
    values |= {"timezone": "America/Chicago", "state": "published"}
    with database.writing() as session:
        draft = EventDraft.model_validate(values | more)
        return store.add(session, draft, [cast.alder], publishing, THEN).id or 0


@pytest.fixture
def tool_night(database: Database, publishing: Publishing, cast: Cast) -> int:
    return added(database, publishing, cast)


@pytest.fixture
def tool_nights(database: Database, publishing: Publishing, cast: Cast) -> int:
    return added(database, publishing, cast, rrule="FREQ=WEEKLY;BYDAY=TU")


def panel(page: str) -> str:
    [found] = re.findall(r'<section class="panel subscribe".*?</section>', page, re.DOTALL)
    return str(found)


def links(text: str) -> list[str]:
    return [unescape(href) for href in re.findall(r'(?:href|src)="([^"]*)"', text)]


def query_of(text: str, address: str) -> dict[str, str]:
    [found] = [href for href in links(text) if href.startswith(address)]
    return dict(parse_qsl(urlsplit(found).query))


def test_a_list_is_followed_in_each_app_by_the_address_that_it_takes(
    ben: TestClient, tool_night: int
) -> None:
    shown = panel(ben.get("/events?near=60614&within=22mi&topic=repair").text)
    feed = "localhost:8000/events.ics?near=41.92,-87.64&within=25mi&topic=repair"
    assert f"webcal://{feed}" in links(shown) and f'value="http://{feed.replace("&", "&amp;")}"' in shown
    for outlook in ("https://outlook.live.com/", "https://outlook.office.com/"):
        assert query_of(shown, outlook) == {"url": f"http://{feed}", "name": "Hazel Clubs"}
    google = query_of(shown, "https://calendar.google.com/")["cid"]
    assert google == f"webcal://{feed}&client=google"
    assert ben.get(google.removeprefix("webcal://localhost:8000")).text.startswith("BEGIN:VCALENDAR")
    assert "Keeps updating:" in shown and "Once:" in shown and "Can take a day" in shown


def test_a_code_opens_the_same_choices_on_another_device(ben: TestClient, tool_night: int) -> None:
    near = "?near=41.92,-87.64&within=25mi&topic=repair"
    codes = {
        "/": "/subscribe",
        "/es/subscribe?topic=repair": "/es/subscribe?topic=repair",
        "/events?near=60614&topic=repair": f"/subscribe{near}",
        "/branches/alder": "/branches/alder",
        "/topics/repair": "/topics/repair",
        f"/events/{tool_night}": f"/events/{tool_night}",
    }
    for path, opens in codes.items():
        [code] = [href for href in links(panel(ben.get(path).text)) if href.startswith("/qr.svg?to=")]
        assert unquote(code.removeprefix("/qr.svg?to=")) == opens
        assert ben.get(code).headers["content-type"] == "image/svg+xml"
        assert "webcal:" in ben.get(opens).text, path


def test_what_is_too_long_for_a_code_has_none(ben: TestClient, tool_night: int) -> None:
    page = ben.get(f"/events?q={'ñ' * 60}")
    assert page.status_code == 200 and "/qr.svg" not in panel(page.text)


def test_a_page_has_one_main_button(ben: TestClient, tool_night: int) -> None:
    buttons = {
        "/": "Find a branch",
        "/branches/alder": "Write to this branch",
        "/events": "Show events",
        "/subscribe": "Send me the link",
        "/topics/repair": "Apple Calendar",
        f"/events/{tool_night}": "Add to my calendar",
        "/interests": "Make my link",
        "/interests?topic=repair": "Apple Calendar",
    }
    for path, main in buttons.items():
        page = ben.get(path).text
        assert re.findall(r'class="button(?: button--signal)?"[^>]*>([^<]*)<', page) == [main], path


def test_one_event_is_added_once_or_followed(ben: TestClient, tool_night: int) -> None:
    shown = panel(ben.get(f"/events/{tool_night}").text)
    asked = query_of(shown, "https://calendar.google.com/calendar/render")
    assert asked["dates"] == "20440112T190000/20440112T210000" and asked["ctz"] == "America/Chicago"
    assert asked["details"] == f"{SITE}/events/{tool_night}"
    for outlook in ("https://outlook.live.com/", "https://outlook.office.com/"):
        assert query_of(shown, f"{outlook}calendar/0/deeplink")["startdt"] == "2044-01-13T01:00:00Z"
    assert f"webcal://localhost:8000/events/{tool_night}.ics" in links(shown)
    [event] = Calendar.from_ical(ben.get(f"/events/{tool_night}.ics").content).walk("VEVENT")
    assert event["DTSTART"].to_ical() == b"20440112T190000"
    assert "all dates" not in shown and "this date" not in shown


def test_a_series_says_what_each_way_adds(ben: TestClient, tool_nights: int) -> None:
    whole = panel(ben.get(f"/events/{tool_nights}").text)
    assert (
        query_of(whole, "https://calendar.google.com/calendar/render")["recur"]
        == "RRULE:FREQ=WEEKLY;BYDAY=TU"
    )
    assert "(all dates)" in whole and "(this date)" in whole
    date = panel(ben.get(f"/events/{tool_nights}?date=2044-01-19").text)
    asked = query_of(date, "https://calendar.google.com/calendar/render")
    assert asked["dates"].startswith("20440119T190000") and "recur" not in asked
    assert asked["details"].endswith("?date=2044-01-19") and "(all dates)" not in date


def test_what_is_postponed_can_be_followed_only_and_what_is_cancelled_neither(
    database: Database, publishing: Publishing, ben: TestClient, tool_night: int
) -> None:
    for end in (Event.postpone, Event.cancel):
        with database.writing() as session:
            event = session.get_one(Event, tool_night)
            end(event, "No heating.", THEN)
            derived.save(session, event, publishing, THEN + timedelta(hours=1))
        page = ben.get(f"/events/{tool_night}").text
        assert "deeplink" not in page and "action=TEMPLATE" not in page
        assert ("webcal:" in page) is (end is Event.postpone)


def test_what_is_over_is_put_into_no_calendar(
    database: Database, publishing: Publishing, ben: TestClient, cast: Cast
) -> None:
    past = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=2)
    number = added(database, publishing, cast, start=past, end=past + timedelta(hours=1))
    page = ben.get(f"/events/{number}")
    assert page.status_code == 200 and "subscribe__apps" not in page.text
