"""Ben looks at a month by keyboard, and prints what he puts up on the wall."""

import re
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Route, expect

from events.calendars.content import Publishing
from events.db import Database
from tests.conftest import Cast
from tests.stories.conftest import Watched
from tests.web.test_event_lists import ONCE, added

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

POINTS = {"a4": "595 842", "letter": "612 792"}  # of paper, rounded


def on(day: int, **more: object) -> dict[str, object]:
    start = datetime(2043, 12, day, 19)
    return ONCE | {"start": start, "end": start + timedelta(hours=2)} | more


def test_the_keys_go_from_day_to_day_and_from_month_to_month(
    window: Watched, database: Database, publishing: Publishing, cast: Cast
) -> None:
    for each in range(4):
        added(database, publishing, cast.alder, **on(8, title=f"Saw {each}"))
    added(database, publishing, cast.alder, **on(16))
    page = window.visit("/calendar/2043/12")
    window.is_accessible()
    eighth = page.get_by_role("link", name="Tuesday, December 8, 2043, 4 events")
    assert eighth.evaluate("link => link.offsetHeight") >= 44
    expect(page.get_by_text("Saw 1")).to_be_hidden()  # a phone has dots
    expect(page.get_by_text("•••+")).to_be_visible()
    eighth.focus()
    for key, day in (
        ("ArrowDown", "15"),
        ("ArrowRight", "16"),
        ("Home", "14"),
        ("End", "20"),
        ("ArrowUp", "13"),
    ):
        page.keyboard.press(key)
        expect(page.locator(":focus")).to_have_text(re.compile(rf"^\s*{day}"))
    page.keyboard.press("PageDown")
    expect(page.get_by_role("heading", name="January 2044")).to_be_visible()
    expect(page.locator("td :focus")).to_have_text("4")  # in the second week: it is of this month in any case
    page.keyboard.press("ArrowRight")
    expect(page.locator("td :focus")).to_have_text("5")
    page.keyboard.press("PageUp")
    expect(page.get_by_role("heading", name="December 2043")).to_be_visible()
    page.route("**/calendar/2043/12", turned_round)
    window.visit("/calendar/2043/12")
    eighth.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("td :focus")).to_have_text("9")
    page.set_viewport_size({"width": 1280, "height": 800})
    named = re.compile(r"^Tuesday, December 8, 2043, 7:00\sPM, Saw 1$")
    expect(page.get_by_role("link", name=named)).to_be_visible()
    window.is_accessible()


def test_whatever_an_event_is_called_its_poster_is_one_sheet(
    window: Watched, database: Database, publishing: Publishing, cast: Cast
) -> None:
    words = {"description": "Come along. " * 90, "cost": "c" * 150, "contact": "Ana " * 30}
    for title in ("Saws", "x" * 300):
        number = added(database, publishing, cast.alder, **on(8, title=title, **words))
        for paper, points in POINTS.items():
            page = window.visit(f"/events/{number}/poster?paper={paper}")
            assert sheets(page.pdf(prefer_css_page_size=True)) == [points], (title, paper)
    window.is_accessible()
    expect(page.get_by_role("button", name="Print")).to_be_visible()
    page.emulate_media(media="print")
    code, address = page.get_by_role("img", name="QR code"), page.get_by_text("always up to date")
    expect(code).to_be_visible()
    expect(address).to_be_visible()


def test_a_month_prints_across_and_a_flyer_upright(
    window: Watched, database: Database, publishing: Publishing, cast: Cast
) -> None:
    added(database, publishing, cast.alder)
    page = window.visit("/calendar/2043/12")
    [points] = sheets(page.pdf(prefer_css_page_size=True))
    width, height = map(int, points.split())
    assert width > height
    page.emulate_media(media="print")
    expect(page.get_by_text("Tool night").first).to_be_visible()  # on a phone, too
    page = window.visit("/calendar/2043/12/flyer?paper=letter")
    window.is_accessible()
    assert sheets(page.pdf(prefer_css_page_size=True)) == [POINTS["letter"]]


def turned_round(route: Route) -> None:
    """The page as it is in a language that is written from right to left."""
    answer = route.fetch()
    route.fulfill(response=answer, body=answer.text().replace('dir="ltr"', 'dir="rtl"'))


def sheets(pdf: bytes) -> list[str]:
    """Width and height of each page."""
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    return [f"{round(float(width))} {round(float(height))}" for width, height in boxes]
