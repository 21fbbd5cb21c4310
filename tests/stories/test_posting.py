"""Ana posts from her phone: few steps, and nothing lost."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from events.db import Database
from tests.conftest import Cast
from tests.stories.conftest import Site, Watched
from tests.stories.test_main_job import enter, fetched

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def next_tuesday() -> date:
    today = datetime.now(UTC).date()
    return today + timedelta(days=(1 - today.weekday()) % 7 + 7)


class Counted:
    """Each thing that Ana does, as she would tell it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.steps: list[str] = []
        self.pages = {page.url}

    def click(self, name: str, role: Literal["button", "link"] = "button") -> None:
        self.page.get_by_role(role, name=name, exact=True).first.click()
        self.steps.append(f"press “{name}”")
        self.pages.add(self.page.url)

    def fill(self, label: str, text: str) -> None:
        self.page.get_by_label(label, exact=True).fill(text)
        self.steps.append(f"fill in “{label}”")

    def choose(self, label: str) -> None:
        self.page.get_by_label(label, exact=True).check()
        self.steps.append(f"choose “{label}”")


def test_a_weekly_meeting_takes_at_most_twelve_steps_on_two_pages(
    plain_window: Watched, site: Site, database: Database, cast: Cast
) -> None:
    ana = Counted(enter(plain_window, database, cast))
    ana.click("Post an event", "link")
    ana.fill("Title", "Tool night")
    ana.fill("Day", f"{next_tuesday()}")
    ana.fill("Begins at", "19:00")
    ana.fill("Ends at", "21:00")
    ana.choose("By the week")
    assert len(ana.pages) == 2
    ana.click("Publish")
    expect(ana.page.get_by_text("Saved.")).to_be_visible()
    assert len(ana.steps) <= 12, ana.steps
    assert "Tool night" in str(fetched(f"{site.address}/branches/alder.ics").walk("VEVENT")[0]["SUMMARY"])
    ana.click("See its page", "link")
    expect(ana.page.get_by_text("Every Tuesday")).to_be_visible()


def test_the_dates_follow_what_is_typed_and_what_was_typed_survives_an_accident(
    window: Watched, database: Database, cast: Cast
) -> None:
    page = enter(window, database, cast)
    page.get_by_role("link", name="Post an event").first.click()
    page.get_by_label("Title", exact=True).fill("Tool night")
    page.get_by_label("Day", exact=True).fill(f"{next_tuesday()}")
    page.get_by_label("Begins at").fill("19:00")
    page.get_by_label("Ends at").fill("21:00")
    page.get_by_label("By the week", exact=True).check()
    expect(page.locator("#dates-line")).to_contain_text("Every Tuesday:")
    page.get_by_label("Friday").check()
    expect(page.locator("#dates-line")).to_contain_text("The repetition does not include this date.")
    page.get_by_label("Tuesday").check()
    expect(page.locator("#dates-line")).to_contain_text("Every Tuesday and Friday:")
    window.is_accessible()
    window.visit("/organize/events/new")
    page.get_by_role("button", name="Fill it in again").click()
    expect(page.get_by_label("Title", exact=True)).to_have_value("Tool night")
    expect(page.get_by_label("Friday")).to_be_checked()
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    page.wait_for_load_state()  # its script forgets what was typed
    window.visit("/organize/events/new")
    expect(page.get_by_role("button", name="Fill it in again")).to_have_count(0)


def test_a_tap_on_the_map_says_where_the_place_is(window: Watched, database: Database, cast: Cast) -> None:
    page = enter(window, database, cast)
    page.get_by_role("link", name="Post an event").first.click()
    page.get_by_label("Title", exact=True).fill("Tool night")
    page.get_by_label("Day", exact=True).fill(f"{next_tuesday()}")
    page.get_by_label("Begins at").fill("19:00")
    page.get_by_label("Ends at").fill("21:00")
    page.locator("#venue_name").fill("Mill")
    page.get_by_text("Put it on the map exactly").click()
    page.locator("#position").fill("41.9,-87.6")
    picture = page.locator("#preview .map__picture")
    expect(picture).to_be_visible()
    frame = picture.bounding_box()
    assert frame
    page.wait_for_function("document.querySelector('#preview [data-zoom]').hidden === false")
    picture.click(position={"x": frame["width"] * 0.25, "y": frame["height"] * 0.5})
    expect(page.locator("#position")).not_to_have_value("41.9,-87.6")
    latitude, longitude = map(float, page.locator("#position").input_value().split(","))
    assert abs(latitude - 41.9) < 0.1 and -88.2 < longitude < -87.65
    window.is_accessible()


def test_the_second_of_two_who_save_sees_both_texts(
    plain_window: Watched, site: Site, database: Database, cast: Cast
) -> None:
    page = enter(plain_window, database, cast)
    page.get_by_role("link", name="Post an event").first.click()
    page.get_by_label("Title", exact=True).fill("Tool night")
    page.get_by_label("Day", exact=True).fill(f"{next_tuesday()}")
    page.get_by_label("Begins at").fill("19:00")
    page.get_by_label("Ends at").fill("21:00")
    page.get_by_role("button", name="Publish").click()
    other = plain_window.page.context.new_page()
    other.goto(re.sub(r"\?.*", "", page.url))
    other.get_by_label("Title", exact=True).fill("Repair night")
    other.get_by_role("button", name="Save the changes").click()
    expect(other.get_by_text("Saved.")).to_be_visible()
    page.get_by_label("Title", exact=True).fill("Saw night")
    page.get_by_role("button", name="Save the changes").click()
    expect(page.get_by_text("Somebody was faster")).to_be_visible()
    expect(page.get_by_text("Repair night")).to_be_visible()
    expect(page.get_by_label("Title", exact=True)).to_have_value("Saw night")
    page.get_by_role("button", name="Save the changes").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    expect(page.get_by_label("Title", exact=True)).to_have_value("Saw night")
