"""Ben registers at phone width, without scripts; the branch's admin accepts; his first series is approved."""

from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes, policy

import pytest
from playwright.sync_api import Page, expect

from events.app import publishing_of
from events.db import Database
from events.people import permissions
from events.people.models import Role
from events.worker import Worker
from tests.conftest import Cast
from tests.stories.conftest import Site, Watched
from tests.stories.test_main_job import enter, fetched
from tests.stories.test_posting import next_tuesday

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def mail(site: Site) -> str:
    """The text of the only mail that came since the last time."""
    worker = Worker(site.settings, publishing_of(site.settings))
    with ThreadPoolExecutor() as beside:  # in this thread, Playwright's event loop runs
        assert beside.submit(worker.deliver_mails).result() == 1
    worker.database.dispose()
    [file] = site.settings.mail_dir.glob("*.eml")
    body = message_from_bytes(file.read_bytes(), policy=policy.default).get_body(("plain",))
    file.unlink()
    assert body is not None
    text: str = body.get_content()
    return text


def path_in(text: str, site: Site) -> str:
    [address] = [word for word in text.split() if word.startswith(site.address)]
    return address.removeprefix(site.address)


def fits(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_ben_registers_is_accepted_and_his_first_series_is_published(
    window: Watched, plain_window: Watched, site: Site, database: Database, cast: Cast
) -> None:
    page = plain_window.visit("/sign-in")
    page.get_by_role("link", name="Register as an organizer").click()
    page.get_by_label("Your name").fill("Ben Ortiz")
    page.get_by_label("Branch").select_option("Alder Club")
    page.get_by_label("About you").fill("I fix bikes.")
    page.get_by_role("button", name="Send me the link").click()
    expect(page.get_by_role("alert")).to_contain_text("Your e-mail address")
    expect(page.get_by_label("Branch")).to_have_value("alder")
    page.get_by_label("Your e-mail address").fill("ben@example.org")
    page.get_by_role("button", name="Send me the link").click()
    expect(page.get_by_role("heading", name="Check your e-mail")).to_be_visible()

    plain_window.visit(path_in(mail(site), site))
    page.get_by_role("button", name="Yes, send my request").click()
    expect(page.get_by_role("heading", name="Your request is on its way")).to_be_visible()
    fits(page)

    with database.writing() as session:
        permissions.invite(session, cast.ana, cast.alder, Role.BRANCH_ADMIN)
    hers = enter(window, database, cast)
    window.visit("/organize/people")
    window.is_accessible()
    fits(hers)
    hers.get_by_role("link", name="Ben Ortiz").click()
    expect(hers.get_by_text("I fix bikes.")).to_be_visible()
    window.is_accessible()
    hers.get_by_label("waits for approval").check()
    hers.get_by_role("button", name="Accept the request").click()
    expect(hers.get_by_text("The request is accepted.")).to_be_visible()
    expect(hers.get_by_text("Posts wait for approval")).to_be_visible()
    hers.get_by_role("link", name="Change Ben Ortiz").click()
    window.is_accessible()

    accepted = mail(site)
    assert "Alder Club has accepted your request" in accepted
    plain_window.visit(path_in(accepted, site))
    expect(page.get_by_role("heading", name="Organize")).to_be_visible()
    expect(page.get_by_role("link", name="Alder Club").first).to_be_visible()

    page.get_by_role("link", name="Post an event").first.click()
    page.get_by_label("Title", exact=True).fill("Bike night")
    page.get_by_label("Day", exact=True).fill(f"{next_tuesday()}")
    page.get_by_label("Begins at").fill("19:00")
    page.get_by_label("Ends at").fill("21:00")
    page.get_by_label("By the week", exact=True).check()
    page.get_by_role("button", name="Send it for approval").click()
    expect(page.get_by_text("It waits for the approval of another organizer")).to_be_visible()
    window.visit("/organize/queue")
    expect(hers.get_by_role("article")).to_contain_text("Every Tuesday")
    hers.get_by_role("button", name="Publish it").click()
    [series] = fetched(f"{site.address}/branches/alder.ics").walk("VEVENT")
    assert str(series["SUMMARY"]) == "Bike night" and "FREQ=WEEKLY" in str(series.to_ical())
