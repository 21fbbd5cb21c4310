"""Ana adds a passkey, signs out, and signs in with it: in a Chromium that has a device for them."""

import pytest
from playwright.sync_api import Page, expect

from events.db import Database
from tests.conftest import Cast
from tests.stories.conftest import Watched
from tests.stories.test_main_job import enter

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

DEVICE = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
          "isUserVerified": True, "automaticPresenceSimulation": True}  # fmt: skip


def with_device(page: Page) -> None:
    tools = page.context.new_cdp_session(page)
    tools.send("WebAuthn.enable")
    tools.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})


def test_ana_adds_a_passkey_and_signs_in_with_it(window: Watched, database: Database, cast: Cast) -> None:
    page = enter(window, database, cast)
    with_device(page)
    window.visit("/account")
    window.is_accessible()
    page.get_by_label("What to call it").fill("My phone")
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_text("The passkey has been added.")).to_be_visible()
    expect(page.get_by_role("button", name="Remove My phone")).to_be_visible()
    page.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_text("This device has a passkey for your account already.")).to_be_visible()

    page.get_by_role("button", name="Sign out", exact=True).click()
    page.get_by_role("link", name="Sign in").click()
    window.is_accessible()
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("heading", name="Organize")).to_be_visible()

    window.visit("/account")
    page.get_by_role("button", name="Remove My phone").click()
    expect(page.get_by_text("The passkey has been removed.")).to_be_visible()
    page.get_by_role("button", name="Sign out", exact=True).click()
    page.get_by_role("link", name="Sign in").click()
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("We do not know this passkey.")
    window.is_accessible()
