"""Ben hears by mail of what is on near Alder, changes his mind and stops it, all without an account."""

import email
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.policy import default

import pytest
from playwright.sync_api import expect

from events.app import publishing_of
from events.calendars import store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft
from events.db import Database
from events.worker import Worker
from tests.conftest import NOW, Cast
from tests.stories.conftest import Site, Watched

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def tool_night(database: Database, cast: Cast, publishing: Publishing) -> int:
    soon = datetime.now(UTC).replace(tzinfo=None, microsecond=0) + timedelta(days=3)
    draft = EventDraft(
        title="Tool night",
        start=soon,
        end=soon + timedelta(hours=2),
        timezone="America/Chicago",
        state="published",
        topics=("Repair",),
    )
    with database.writing() as session:
        return store.add(session, draft, [cast.alder], publishing, NOW).id or 0


def link_in_mail(site: Site) -> str:
    """The path in the only mail that the worker sends."""
    worker = Worker(site.settings, publishing_of(site.settings))
    with ThreadPoolExecutor() as beside:  # in this thread, Playwright's event loop runs
        beside.submit(worker.deliver_mails).result()
    worker.database.dispose()
    [mail] = [
        email.message_from_bytes(path.read_bytes(), policy=default)
        for path in site.settings.mail_dir.glob("*.eml")
    ]
    body = mail.get_body(("plain",))
    assert mail["To"] == "ben@example.org" and body is not None
    [link] = re.findall(rf"{site.address}(/subscriptions/\S+)", body.get_content())
    return str(link)


def test_ben_signs_up_confirms_changes_and_stops_without_scripts(
    plain_window: Watched, site: Site, tool_night: int
) -> None:
    page = plain_window.visit("/subscribe")
    mail = page.get_by_role("region", name="By e-mail")
    mail.get_by_label("Near which place?").fill("41.92,-87.64")
    mail.get_by_text("Branches and topics").click()
    mail.get_by_label("Repair").check()
    mail.get_by_label("Every day").check()
    mail.get_by_role("button", name="Send me the link").click()
    expect(page.get_by_role("alert")).to_contain_text("Your e-mail address: Please fill this in.")
    expect(mail.get_by_label("Near which place?")).to_have_value("41.92,-87.64")
    expect(mail.get_by_label("Repair")).to_be_checked()
    mail.get_by_label("Your e-mail address").fill("Ben@example.org")
    mail.get_by_role("button", name="Send me the link").click()
    expect(page.get_by_role("heading", name="Check your e-mail")).to_be_visible()

    page = plain_window.visit(link_in_mail(site))
    asked = page.get_by_role("region", name="What you would get")
    expect(asked).to_contain_text("Every day an e-mail")
    expect(asked).to_contain_text("Near 41.92,-87.64, within 25 mi")
    asked.get_by_role("button", name="Yes, send me this").click()
    expect(page.get_by_role("status")).to_contain_text("From now on you get what stands below")
    expect(page.get_by_text("The next e-mail comes on")).to_be_visible()

    page.get_by_label("Every week").check()
    page.get_by_role("button", name="Save my choice").click()
    expect(page.get_by_role("status")).to_contain_text("Your choice is saved")
    expect(page.get_by_label("Every week")).to_be_checked()
    page.get_by_role("button", name="Stop all e-mails").click()
    expect(page.get_by_role("heading", name="You get no more e-mails from us")).to_be_visible()
    page.go_back()
    page.reload()
    expect(page.get_by_text("This subscription has ended")).to_be_visible()
    assert plain_window.page.context.cookies() == []


def test_whoever_follows_an_event_confirms_by_the_link_in_the_mail(
    window: Watched, site: Site, tool_night: int
) -> None:
    page = window.visit(f"/events/{tool_night}")
    page.get_by_role("link", name="Follow by e-mail").click()
    page.get_by_label("Your e-mail address").fill("ben@example.org")
    page.get_by_role("button", name="Send me the link").click()
    page = window.visit(link_in_mail(site))
    page.get_by_role("button", name="Yes, send me this").click()
    expect(page.get_by_role("button", name="Stop following Tool night")).to_be_visible()
