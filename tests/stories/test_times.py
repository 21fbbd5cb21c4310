"""Times for somebody whose clock is not the event's, and a title that nobody can break."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from events.calendars import store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft
from events.db import Database
from tests.conftest import NOW, Cast
from tests.stories.conftest import Site, Watched

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def abroad(chromium: Browser, site: Site) -> Iterator[Watched]:
    """A phone in Madrid."""
    context = chromium.new_context(
        viewport={"width": 360, "height": 740}, locale="en-US", timezone_id="Europe/Madrid"
    )
    watched = Watched(context, site)
    yield watched
    context.close()
    assert watched.faults == []


def add(database: Database, publishing: Publishing, cast: Cast, **more: Any) -> int:
    with database.writing() as session:
        draft = EventDraft.model_validate({"state": "published", "timezone": "America/Chicago"} | more)
        return store.add(session, draft, [cast.alder], publishing, NOW).id or 0


def test_ben_in_madrid_reads_when_it_is_there_and_in_chicago_nothing_is_added(
    abroad: Watched, plain_window: Watched, database: Database, publishing: Publishing, cast: Cast
) -> None:
    tuesday = datetime(2026, 12, 8)
    while tuesday.date() < datetime.now(UTC).date():
        tuesday += timedelta(days=364)
    online = {"attendance": "online", "online_url": "https://meet.example.org/x"}
    times = {"start": tuesday.replace(hour=12), "end": tuesday.replace(hour=13)}
    noon = add(database, publishing, cast, title="Noon talk", **online, **times)
    late = {"start": tuesday.replace(hour=19), "end": tuesday.replace(hour=21)}
    night = add(database, publishing, cast, title="Late talk", **online, **late)
    add(database, publishing, cast, title="Bench", **late)
    madrid = add(database, publishing, cast, title="Tertulia", timezone="Europe/Madrid", **online, **late)

    page = abroad.visit("/events")
    expect(page.get_by_role("listitem").filter(has_text="Noon talk")).to_contain_text(
        "7:00\u202fPM where you are (Madrid)"
    )
    expect(page.get_by_role("listitem").filter(has_text="Late talk")).to_contain_text(
        "at 2:00\u202fAM where you are"
    )
    for here in ("Bench", "Tertulia"):
        expect(page.get_by_role("listitem").filter(has_text=here)).not_to_contain_text("where you are")
    abroad.is_accessible()
    moment = abroad.visit(f"/events/{noon}").locator(".moment")
    expect(moment).to_contain_text("Chicago time; 7:00\u202fPM where you are (Madrid)")
    moment = abroad.visit(f"/events/{night}").locator(".moment")
    expect(moment).to_contain_text(
        f"; Wednesday, {tuesday + timedelta(days=1):%B %-d, %Y} at 2:00\u202fAM where"
    )
    abroad.is_accessible()
    expect(abroad.visit(f"/es/events/{noon}").locator(".moment")).to_contain_text("19:00 ")
    expect(abroad.visit(f"/events/{madrid}").locator(".moment")).not_to_contain_text("where you are")
    expect(plain_window.visit(f"/events/{noon}").locator(".moment")).not_to_contain_text("where you are")


def test_nothing_is_pushed_off_a_phone_by_what_people_write(
    window: Watched, database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        session.merge(cast.alder).name = "🌲🌲🏳️‍🌈"
    start = datetime.now(UTC).replace(tzinfo=None, hour=12, minute=0, second=0, microsecond=0) + timedelta(
        days=3
    )
    times = {"start": start, "end": start + timedelta(hours=2)}
    long = add(database, publishing, cast, title="Donaudampfschiff" * 18, **times)
    arabic = "ورشة إصلاح الدراجات (19:00) – Café"
    add(database, publishing, cast, title=arabic, language="ar", **times)
    for path in ("/", "/events", "/branches/alder", f"/events/{long}", "/subscribe"):
        page = window.visit(path)
        page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") == 360, path
    title = window.visit("/events").get_by_role("link", name=arabic).locator("bdi")
    assert title.evaluate("(title) => getComputedStyle(title).direction") == "rtl"
    window.is_accessible()
