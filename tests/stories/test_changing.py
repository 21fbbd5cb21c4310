"""Ana changes what she has posted, on her phone: one date, all that follow, a week of snow; and takes it back."""

import re

import pytest
from playwright.sync_api import expect

from events.calendars.content import Publishing
from events.db import Database
from tests.conftest import Cast
from tests.stories.conftest import Site, Watched
from tests.stories.test_main_job import enter, fetched
from tests.web.test_changing import DAY, FIRST, HOUR, Posted

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def series(database: Database, publishing: Publishing, cast: Cast) -> Posted:
    return Posted(database, publishing, cast)


def said(site: Site) -> list[tuple[str, str]]:
    """Title and state of each entry in the calendar of Alder."""
    calendar = fetched(f"{site.address}/branches/alder.ics")
    return [(str(event["SUMMARY"]), str(event["STATUS"])) for event in calendar.walk("VEVENT")]


def test_ana_changes_one_date_and_then_this_and_all_that_follow(
    window: Watched, site: Site, database: Database, cast: Cast, series: Posted
) -> None:
    page = enter(window, database, cast)
    window.visit(series.address)
    page.get_by_role("link", name=re.compile("Tuesday")).nth(1).click()
    window.is_accessible()
    page.get_by_label("Begins at").fill("18:00")
    page.get_by_label("Title", exact=True).fill("Party")
    page.get_by_role("button", name="See it first").click()
    expect(page.get_by_text("becomes 6:00")).to_be_visible()
    expect(page.get_by_text("the title is “Party”")).to_be_visible()
    window.is_accessible()
    page.get_by_role("button", name="Save this date").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert said(site) == [("Tool night", "CONFIRMED"), ("Party", "CONFIRMED")]

    page.get_by_role("link", name=re.compile("Tuesday")).nth(2).click()
    page.get_by_role("link", name="This and following").click()
    page.get_by_label("Title", exact=True).fill("Saw night")
    page.get_by_role("button", name="See it first").click()
    expect(page.get_by_text("The title becomes “Saw night”.")).to_be_visible()
    window.is_accessible()
    page.get_by_role("button", name="Save the changes").click()
    expect(page.get_by_label("Title", exact=True)).to_have_value("Saw night")
    assert said(site) == [("Tool night", "CONFIRMED"), ("Party", "CONFIRMED"), ("Saw night", "CONFIRMED")]
    page.get_by_role("link", name="Who changed what").click()
    expect(page.get_by_text("Split off from an earlier series")).to_be_visible()
    window.is_accessible()
    window.visit(f"{series.address}/history/1")
    window.is_accessible()
    window.visit("/organize/branches/alder/cancellations?from=x")
    window.is_accessible()


def test_it_snows_and_it_does_not_and_a_version_is_restored_without_scripts(
    plain_window: Watched, site: Site, database: Database, publishing: Publishing, cast: Cast, series: Posted
) -> None:
    Posted(database, publishing, cast, rrule="", title="Party", start=FIRST + DAY, end=FIRST + DAY + HOUR)
    page = enter(plain_window, database, cast)
    page.get_by_role("link", name="Cancel several at once").click()
    page.get_by_label("From").fill(f"{FIRST:%Y-%m-%d}")
    page.get_by_label("Until").fill(f"{FIRST + 6 * DAY:%Y-%m-%d}")
    page.get_by_role("button", name="Show what that is").click()
    page.get_by_role("button", name="Cancel what is ticked").click()
    expect(page.get_by_role("alert")).to_contain_text("Reason")
    page.get_by_label("Reason").fill("Snow.")
    page.get_by_role("button", name="Cancel what is ticked").click()
    expect(page.get_by_text("Cancelled", exact=True)).to_have_count(2)
    assert ("Cancelled: Party", "CANCELLED") in said(site) and ("Cancelled: Tool night", "CANCELLED") in said(
        site
    )
    page.get_by_role("button", name="Take all of it back").click()
    expect(page.get_by_text("All of it takes place after all.")).to_be_visible()
    assert {state for _, state in said(site)} == {"CONFIRMED"}
    plain_window.visit(f"{series.address}/history")
    page.get_by_role("link", name="Look at it Cancelled together with others").click()
    expect(page.get_by_text("is shown as cancelled: “Snow.”")).to_be_visible()
    page.get_by_role("button", name="Restore this version").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    assert ("Cancelled: Tool night", "CANCELLED") in said(site), "it snows after all"
