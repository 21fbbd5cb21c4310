"""/interests: one personal link, and everything that it opens takes the same query."""

import re
import shutil
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pytest
from sqlmodel import select
from starlette.testclient import TestClient

from events.calendars import store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft
from events.config import Settings
from events.db import Database
from events.subscriptions.models import Subscription
from tests.conftest import NOW, Cast

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
CHOSEN = "near=41.92,-87.64&within=25mi&branch=alder&topic=repair"


@pytest.fixture(autouse=True)
def gazetteer(small_gazetteer: Path, settings: Settings) -> None:
    shutil.copy(small_gazetteer, settings.gazetteer)


@pytest.fixture(autouse=True)
def tool_nights(database: Database, cast: Cast, publishing: Publishing) -> None:
    """Seven of them, one a week; and one without a topic."""
    start = datetime.now(UTC).replace(tzinfo=None, microsecond=0) + timedelta(days=1)
    values = {"start": start, "end": start + timedelta(hours=2), "timezone": "America/Chicago"}
    values |= {"state": "published"}
    series = EventDraft.model_validate(
        {**values, "title": "Tool night", "rrule": "FREQ=WEEKLY;COUNT=7", "topics": ("Repair",)}
    )
    single = EventDraft.model_validate({**values, "title": "Quiet evening"})
    with database.writing() as session:
        store.add(session, series, [cast.alder], publishing, NOW)
        store.add(session, single, [cast.alder], publishing, NOW)


def address_in(page: str) -> str:
    [found] = re.findall(r'id="link-address" value="http://localhost:8000([^"]*)"', page)
    return unescape(found)


def test_what_is_chosen_becomes_one_link_that_says_no_more_than_it_must(
    ben: TestClient, database: Database
) -> None:
    page = ben.get("/interests?near=60614&within=22mi&topic=repair&branch=alder&named=&country=")
    assert address_in(page.text) == f"/interests?{CHOSEN}", "the place on its grid, the distance rounded up"
    assert page.text.count("Tool night</") == 5 and "Quiet evening" not in page.text
    assert "set-cookie" not in page.headers
    with database.reading() as session:
        assert session.exec(select(Subscription)).all() == []


def test_the_link_opens_the_same_and_leads_to_events_calendars_and_mails(ben: TestClient) -> None:
    page = unescape(ben.get(f"/interests?{CHOSEN}").text)
    assert address_in(page) == f"/interests?{CHOSEN}"
    assert page.count("Tool night</") == 5
    for path in (f"/events?{CHOSEN}", f"/subscribe?{CHOSEN}#mail"):
        assert f'href="{path}"' in page
    for path in (f"/events?{CHOSEN}", f"/events.ics?{CHOSEN}", f"/events.atom?{CHOSEN}"):
        answer = ben.get(path)
        assert "Tool night" in answer.text and "Quiet evening" not in answer.text, path
    mails = ben.get(f"/subscribe?{CHOSEN}").text
    assert 'name="near" value="41.92,-87.64"' in mails
    assert 'name="branch" value="alder" checked' in mails and 'name="topic" value="repair" checked' in mails


def test_the_link_keeps_its_language(ben: TestClient) -> None:
    assert address_in(ben.get("/es/interests?topic=repair").text) == "/es/interests?topic=repair"


def test_a_branch_is_added_by_its_name(ben: TestClient) -> None:
    page = ben.get("/interests?branch=birch&named=alder+club").text
    assert address_in(page) == "/interests?branch=birch&branch=alder"
    assert 'name="branch" value="alder" checked' in page and 'name="named" value=""' in page
    page = ben.get("/interests?branch=birch&named=club").text
    assert "Several branches are called like that" in page and 'name="branch" value="alder">' in page


def test_nothing_chosen_makes_no_link_and_other_filters_do_not_count(ben: TestClient) -> None:
    for query in ("", "?near=&within=&topic=&named=", "?q=tool&online=yes"):
        assert "link-address" not in ben.get(f"/interests{query}").text


@pytest.mark.parametrize(
    ("query", "status", "sentence"),
    [
        ("near=nowhere-at-all", 200, "Look for a slip in it"),
        ("near=91,0", 422, "latitude"),
        ("near=60614&within=abc", 422, "25mi"),
        ("named=no+such+club", 200, "We know no branch of that name"),
        ("near=%FF", 422, "UTF-8"),
    ],
)
def test_what_is_not_understood_is_said_and_makes_no_link(
    ben: TestClient, query: str, status: int, sentence: str
) -> None:
    answer = ben.get(f"/interests?topic=repair&{query}")
    assert answer.status_code == status and sentence in answer.text
    assert "link-address" not in answer.text
