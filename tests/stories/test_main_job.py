"""The main job, end to end: find a branch, follow its calendar, post an event, write to a branch."""

import re
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from icalendar import Calendar
from playwright.sync_api import Page, expect
from recurring_ical_events import of

from events.app import publishing_of
from events.db import Database
from events.people import sign_in
from events.people.models import Purpose
from events.worker import Worker
from tests.conftest import Cast
from tests.stories.conftest import Site, Watched


def fetched(address: str) -> Calendar:
    with urllib.request.urlopen(address) as answer:  # noqa: S310  (our own server)
        return Calendar.from_ical(answer.read())


def enter(window: Watched, database: Database, cast: Cast) -> Page:
    """Ana opens the link from her mail and presses the button."""
    with database.writing() as session:
        token = sign_in.make_link(session, cast.ana, Purpose.SIGN_IN, datetime.now(UTC))
    page = window.visit(f"/sign-in/{token}")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Organize")).to_be_visible()
    return page


def next_tuesday() -> datetime:
    today = datetime.now(UTC).replace(tzinfo=None)
    return today + timedelta(days=(1 - today.weekday()) % 7 + 7)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_ben_finds_the_branch_near_him_without_scripts(plain_window: Watched, cast: Cast) -> None:
    page = plain_window.visit("/")
    page.get_by_label("Postal code, town or branch name").fill("41.92,-87.65")
    page.get_by_role("button", name="Find a branch").click()
    nearest = page.get_by_role("listitem").filter(has_text="Alder Club")
    expect(nearest).to_contain_text("mi")
    nearest.get_by_role("link", name="Alder Club", exact=True).click()
    expect(page.get_by_role("heading", name="Alder Club", level=1)).to_be_visible()
    assert plain_window.page.context.cookies() == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_ben_reads_the_same_in_spanish_and_in_kilometres(plain_window: Watched, cast: Cast) -> None:
    page = plain_window.visit("/es/branches?near=41.92,-87.65")
    expect(page.get_by_role("listitem").filter(has_text="Alder Club")).to_contain_text("km")
    expect(page.get_by_role("listitem").filter(has_text="Club Abedul")).to_contain_text("km")


def test_ana_posts_a_weekly_meeting_and_it_appears_in_the_calendar_of_her_branch(
    window: Watched, site: Site, database: Database, cast: Cast
) -> None:
    page = enter(window, database, cast)
    page.get_by_role("link", name="Post an event").first.click()
    window.is_accessible()
    start = next_tuesday()
    page.get_by_label("Title", exact=True).fill("Tool night")
    page.get_by_label("Day", exact=True).fill(f"{start:%Y-%m-%d}")
    page.get_by_label("Begins at").fill("19:00")
    page.get_by_label("Ends at").fill("21:00")
    page.get_by_label("By the week", exact=True).check()
    page.get_by_role("button", name="See it first").click()
    expect(page.get_by_text("Every Tuesday")).to_be_visible()
    window.is_accessible()
    page.get_by_role("button", name="Publish").click()
    expect(page.get_by_text("Saved.")).to_be_visible()

    calendar = fetched(f"{site.address}/branches/alder.ics")
    seen = of(calendar).between(start.date(), start.date() + timedelta(days=15))
    assert [f"{one['DTSTART'].dt:%A %H:%M}" for one in seen] == ["Tuesday 19:00"] * 3

    page.get_by_role("link", name=re.compile("Tuesday")).nth(1).click()
    page.get_by_label("This date is cancelled").check()
    page.get_by_label("Reason").fill("Holidays.")
    page.get_by_role("button", name="Save this date").click()
    calendar = fetched(f"{site.address}/branches/alder.ics")
    states = [str(event["STATUS"]) for event in calendar.walk("VEVENT")]
    assert states == ["CONFIRMED", "CANCELLED"]


def test_ben_writes_to_a_branch_and_the_worker_delivers_one_mail(
    plain_window: Watched, site: Site, cast: Cast
) -> None:
    page = plain_window.visit("/branches/alder")
    page.get_by_role("link", name="Join").click()
    expect(page.get_by_label("What is it about?")).to_have_value("join")
    page.get_by_label("Your name").fill("Ben")
    page.get_by_role("button", name="Send the message").click()
    expect(page.get_by_role("alert")).to_contain_text("There is a problem")
    expect(page.get_by_label("Your name")).to_have_value("Ben")
    page.get_by_label("Your e-mail address").fill("ben@example.org")
    page.get_by_label("Message").fill("How do I join?")
    page.get_by_role("button", name="Send the message").click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    worker = Worker(site.settings, publishing_of(site.settings))
    with ThreadPoolExecutor() as beside:  # in this thread, Playwright's event loop runs
        assert beside.submit(worker.deliver_mails).result() == 1
    worker.database.dispose()
    [mail] = site.settings.mail_dir.glob("*.eml")
    assert "How do I join?" in mail.read_text()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_ana_brings_in_the_calendar_she_already_keeps(
    window: Watched, site: Site, database: Database, cast: Cast, tmp_path: Path
) -> None:
    start = next_tuesday()
    lines = ("BEGIN:VCALENDAR", "VERSION:2.0", "X-WR-CALNAME:Diary", "BEGIN:VEVENT", "UID:saw",
             f"DTSTART;TZID=America/Chicago:{start:%Y%m%d}T190000", "DURATION:PT2H", "SUMMARY:Saw club", "END:VEVENT",
             "BEGIN:VEVENT", "UID:no-start", "SUMMARY:Never", "END:VEVENT", "END:VCALENDAR", "")  # fmt: skip
    diary = tmp_path / "diary.ics"
    diary.write_text("\r\n".join(lines))
    worker = Worker(site.settings, publishing_of(site.settings))
    page = enter(window, database, cast)
    page.get_by_role("link", name="Bring in a calendar").click()
    window.is_accessible()
    page.get_by_role("button", name="Look at it first").click()
    expect(page.get_by_role("alert")).to_contain_text("Give the address of a calendar, or choose a file.")
    page.get_by_label("Or a file").set_input_files(diary)
    page.get_by_role("button", name="Look at it first").click()
    expect(page.get_by_text("We are reading the calendar.")).to_be_visible()
    with ThreadPoolExecutor() as beside:
        assert beside.submit(worker.follow_calendars).result() == 1
        page.get_by_role("link", name="Look again").click()
        expect(page.get_by_text("1 of them new")).to_be_visible()
        expect(page.get_by_text("It does not say when it begins.")).to_be_visible()
        window.is_accessible()
        page.get_by_role("button", name="Take these events over").click()
        assert beside.submit(worker.follow_calendars).result() == 1
    worker.database.dispose()
    page.get_by_role("link", name="Look again").click()
    window.is_accessible()
    titles = [str(event["SUMMARY"]) for event in fetched(f"{site.address}/branches/alder.ics").walk("VEVENT")]
    assert titles == ["Saw club"]
    window.visit("/organize/branches/alder/subscribers")
    window.is_accessible()
