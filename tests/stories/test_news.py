"""Ana tells what is new from her phone, and Ben reads it where he looks."""

import pytest
from playwright.sync_api import expect

from events.db import Database
from tests.conftest import Cast
from tests.stories.conftest import Watched
from tests.stories.test_main_job import enter

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def test_ana_writes_news_looks_at_it_publishes_it_and_everybody_reads_it(
    window: Watched, database: Database, cast: Cast
) -> None:
    page = enter(window, database, cast)
    page.get_by_role("link", name="News", exact=True).first.click()
    page.get_by_role("link", name="Write news").click()
    window.is_accessible()
    page.get_by_label("Title").fill("We have a new roof")
    page.get_by_role("button", name="Save, and see how it looks").click()
    expect(page.get_by_role("alert")).to_contain_text("Text: Please fill this in.")
    window.is_accessible()
    page.get_by_label("Text", exact=True).fill("It is **dry** now.")
    page.get_by_role("button", name="Save, and see how it looks").click()
    expect(page.get_by_role("heading", name="This is how it looks")).to_be_visible()
    window.is_accessible()
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_text("Saved. It is published.")).to_be_visible()
    page.get_by_role("link", name="See its page").click()
    expect(page.get_by_role("heading", name="We have a new roof", level=1)).to_be_visible()
    window.is_accessible()
    for path in ("/", "/news", "/branches/alder"):
        page = window.visit(path)
        page.get_by_role("link", name="We have a new roof").click()
        expect(page.get_by_text("It is dry now.")).to_be_visible()
