"""Branches on the desk: Dee keeps what a branch says, and all branches in a table."""

import csv
import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from events.db import Database
from events.people import sign_in
from events.people.models import Purpose
from tests.conftest import Cast
from tests.stories.conftest import Watched

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def enter(window: Watched, database: Database, cast: Cast) -> Page:
    """Dee opens the link from her mail and presses the button."""
    with database.writing() as session:
        token = sign_in.make_link(session, cast.dee, Purpose.SIGN_IN, datetime.now(UTC))
    page = window.visit(f"/sign-in/{token}")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Organize")).to_be_visible()
    return page


def test_dee_changes_opening_hours_and_sees_how_they_are_understood(
    window: Watched, database: Database, cast: Cast
) -> None:
    enter(window, database, cast)
    page = window.visit("/branches/alder")
    page.get_by_role("link", name="Edit", exact=True).click()
    window.is_accessible()
    hours = page.get_by_label("Opening hours")
    hours.fill("Tuesdays at seven")
    page.get_by_role("button", name="Show how it will be").click()
    expect(page.get_by_role("alert")).to_contain_text("is not understood as opening hours")
    expect(hours).to_have_value("Tuesdays at seven")
    window.is_accessible()
    page.get_by_text("How to write opening hours").click()
    expect(page.get_by_text("A meeting on the first and third Tuesday of the month.")).to_be_visible()
    hours.fill('Tu[1],Tu[3] 19:00-21:00 "meeting"')
    hours.press("Enter")
    shown = page.get_by_role("region", name="This is how it will be")
    expect(shown).to_contain_text("First Tuesday of the month and third Tuesday of the month")
    expect(shown).to_be_focused()
    expect(shown.get_by_role("group", name="Map with 1 branch")).to_be_visible()
    window.is_accessible()
    page.get_by_role("button", name="Save the changes").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    page.get_by_role("link", name="Who changed what").click()
    expect(page.get_by_text("Changed: Opening hours")).to_be_visible()
    window.is_accessible()
    page.get_by_role("link", name="Look at it As it was found").click()
    window.is_accessible()
    page.get_by_role("button", name="Restore this version").click()
    expect(page.get_by_label("Opening hours")).to_have_value("")


def test_dee_takes_the_table_changes_a_cell_and_brings_it_back_without_scripts(
    plain_window: Watched, database: Database, cast: Cast, tmp_path: Path
) -> None:
    page = enter(plain_window, database, cast)
    page.get_by_role("link", name="Branches that you may change").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Take the table").click()
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text("utf-8"), newline="")))
    next(row for row in rows if row["slug"] == "birch")["phone"] = "+34 910 000 000"
    table = tmp_path / "changed.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    page.get_by_role("button", name="Look at it first").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose the file of the table.")
    page.get_by_label("The table").set_input_files(table)
    page.get_by_role("button", name="Look at it first").click()
    expect(page.get_by_text("1 branch changes")).to_be_visible()
    expect(page.get_by_role("term")).to_have_text(["Telephone"])
    page.get_by_role("button", name="Apply all of it").click()
    expect(page.get_by_text("The table has been applied")).to_be_visible()
    expect(plain_window.visit("/branches/birch").get_by_text("+34 910 000 000")).to_be_visible()
