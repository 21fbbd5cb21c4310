"""Ben looks for the branch near him, in a real browser: by his position, by keyboard, at a border."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Geolocation

from events.branches.models import Branch
from events.branches.serving import write_keys
from events.config import Settings
from events.db import Database

from ..conftest import Cast
from .conftest import Watched

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

CHICAGO: Geolocation = {"latitude": 41.922734, "longitude": -87.653321}


@pytest.fixture(autouse=True)
def places(small_gazetteer: Path, settings: Settings, database: Database, cast: Cast) -> None:
    shutil.copy(small_gazetteer, settings.gazetteer)
    with database.writing() as session:
        alder = session.get_one(Branch, cast.alder.id)
        alder.service_area, alder.opening_hours = "Lincoln Park; codes: 60614", "24/7"
        write_keys(session, [alder])


def test_ben_finds_who_serves_his_postcode_and_sees_it_on_the_map(window: Watched) -> None:
    page = window.visit("/")
    page.get_by_label("Postal code, town or branch name").fill("6o614")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Your branch", exact=True).wait_for()
    assert page.get_by_text("It serves the postal code 60614.").is_visible()
    assert page.locator(".opening", has_text="Open now").is_visible()
    window.is_accessible()
    pin = page.get_by_role("link", name="1: Alder Club")
    pin.focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Alder Club", level=1).wait_for()
    window.is_accessible()


def test_ben_lets_his_device_say_where_he_is_and_it_says_no_more_than_a_kilometre(window: Watched) -> None:
    window.page.context.grant_permissions(["geolocation"])
    window.page.context.set_geolocation(CHICAGO)
    page = window.visit("/branches?near=zzzz")
    page.get_by_role("button", name="Use my position").click()
    page.get_by_role("heading", name="Branches near 41.92,-87.65").wait_for()
    assert "41.92273" not in page.url and "near=41.92%2C-87.65" in page.url
    assert page.get_by_text("Alder Club").first.is_visible()


def test_ben_refuses_his_position_and_types_instead(window: Watched) -> None:
    window.page.context.clear_permissions()
    page = window.visit("/es/branches")
    page.get_by_role("button", name="Usar mi ubicación").click()
    page.get_by_text("Su dispositivo no comparte su ubicación").wait_for()
    assert page.get_by_role("button", name="Usar mi ubicación").is_enabled()
    page.get_by_label("Código postal").fill("60614")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Su sede", exact=True).wait_for()


def test_without_scripts_the_map_and_the_filters_work(plain_window: Watched) -> None:
    page = plain_window.visit("/branches?near=60614")
    assert page.get_by_role("button", name="Use my position").count() == 0
    page.get_by_text("More filters").click()
    page.get_by_label("Language", exact=True).select_option("es")
    page.get_by_role("button", name="Find a branch").click()
    assert page.get_by_role("link", name="1: Club Abedul").is_visible()
    assert page.get_by_role("heading", name="Alder Club").count() == 0
