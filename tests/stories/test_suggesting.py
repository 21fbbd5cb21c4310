"""Ben suggests an event on his phone; Ana looks at it, and then everybody can come."""

import re
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect
from sqlmodel import select

from events.app import publishing_of
from events.db import Database
from events.desk.models import Proposal
from events.people import permissions, sign_in
from events.people.models import Person, Purpose, Role
from events.worker import Worker
from tests.conftest import Cast
from tests.stories.conftest import Site, Watched

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def work(site: Site) -> list[str]:
    """What the worker sends by and by."""
    worker = Worker(site.settings, publishing_of(site.settings))
    with ThreadPoolExecutor() as beside:  # in this thread, Playwright's event loop runs
        beside.submit(worker.tell_people).result()
        beside.submit(worker.deliver_mails).result()
    worker.database.dispose()
    return [path.read_text() for path in sorted(site.settings.mail_dir.glob("*.eml"))]


def test_ben_suggests_a_walk_without_scripts_and_ana_brings_it_to_everybody(
    plain_window: Watched, window: Watched, site: Site, database: Database, cast: Cast
) -> None:
    page = plain_window.visit("/branches/alder")
    page.get_by_role("link", name="Suggest an event").first.click()
    page.get_by_label("Title").fill("Lantern walk")
    page.get_by_label("Day", exact=True).fill(f"{datetime.now(UTC) + timedelta(days=14):%Y-%m-%d}")
    page.get_by_label("Begins at").fill("19:00")
    page.get_by_role("button", name="Send it to the organizers").click()
    expect(page.get_by_role("alert")).to_contain_text("Please say at what time.")
    expect(page.get_by_label("Title")).to_have_value("Lantern walk")
    page.get_by_label("Ends at").fill("21:00")
    page.get_by_label("Your e-mail address").fill("ben@example.org")
    page.get_by_role("button", name="Send it to the organizers").click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    expect(page.get_by_text("An organizer of Alder Club looks at it.")).to_be_visible()

    with database.writing() as session:  # the mail waits some seconds for what is still being written
        session.exec(select(Proposal)).one().created_at -= timedelta(minutes=1)
        token = sign_in.make_link(session, cast.ana, Purpose.SIGN_IN, datetime.now(UTC))
    [told] = work(site)
    assert "ana@example.org" in told and "Lantern walk" in told and "/organize/queue" in told
    desk = window.visit(f"/sign-in/{token}")
    desk.get_by_role("button", name="Sign in").click()
    window.is_accessible()
    desk.get_by_role("link", name="Look at what waits").click()
    expect(desk.get_by_role("article")).to_contain_text("ben@example.org")
    window.is_accessible()
    desk.get_by_role("button", name="Publish it").click()
    expect(desk.get_by_role("status")).to_contain_text("It is published.")
    window.is_accessible()

    answers = [mail for mail in work(site) if "ben@example.org" in mail]
    assert len(answers) == 1 and "It is published now" in answers[0]
    page = plain_window.visit("/branches/alder")
    page.get_by_role("link", name=re.compile("Lantern walk")).click()
    expect(page.get_by_role("heading", name="Lantern walk")).to_be_visible()
    with urllib.request.urlopen(f"{site.address}/branches/alder.ics") as answer:  # noqa: S310  (our own server)
        assert b"Lantern walk" in answer.read()
    assert plain_window.page.context.cookies() == []


def test_a_report_leads_to_the_event_and_off_the_list(
    window: Watched, database: Database, cast: Cast
) -> None:
    page = window.visit("/branches/alder/report")
    window.is_accessible()
    page.get_by_role("button", name="Send the report").click()
    window.is_accessible()
    page.get_by_label("Something else").check()
    page.get_by_label("Details").fill("The bell does not ring.")
    page.get_by_role("button", name="Send the report").click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    window.is_accessible()
    with database.writing() as session:
        permissions.invite(session, session.get_one(Person, cast.ana.id), cast.alder, Role.BRANCH_ADMIN)
        token = sign_in.make_link(session, cast.ana, Purpose.SIGN_IN, datetime.now(UTC))
    window.visit(f"/sign-in/{token}").get_by_role("button", name="Sign in").click()
    page.get_by_role("link", name="What waits for you").click()
    expect(page.get_by_role("article")).to_contain_text("The bell does not ring.")
    page.get_by_role("button", name="Done").click()
    expect(page.get_by_text("Nothing waits for you")).to_be_visible()
