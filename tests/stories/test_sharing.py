"""Ben tells a friend of a branch from his phone."""

import re

import pytest
from playwright.sync_api import expect

from tests.conftest import Cast
from tests.stories.conftest import Site, Watched

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

# Stands in for what a phone has and a desktop's browser has not.
SHEET = "navigator.share = async (told) => { window.told = told; throw new DOMException('', 'AbortError'); };"
CODE = "img => img.decode().then(() => img.naturalWidth > 0)"


def test_the_code_comes_when_it_is_asked_for_and_the_sheet_is_told_the_address(
    window: Watched, site: Site, cast: Cast
) -> None:
    window.page.add_init_script(SHEET)
    asked: list[str] = []
    window.page.on("request", lambda request: asked.append(request.url))
    page = window.visit("/branches/alder")
    page.wait_for_load_state("networkidle")
    assert not [url for url in asked if "/qr.svg" in url]
    page.get_by_text("Tell a friend").click()
    assert page.get_by_role("img", name="QR code that opens “Alder Club”").evaluate(CODE)
    page.get_by_role("button", name="Share with an app").click()
    told = page.evaluate("window.told")
    assert told == {"title": "Alder Club", "url": page.get_by_label("The address of this page").input_value()}
    assert told["url"].endswith("/branches/alder")
    window.is_accessible()


def test_without_scripts_the_mail_the_address_and_the_code_are_there(
    plain_window: Watched, cast: Cast
) -> None:
    page = plain_window.visit("/branches/alder")
    page.get_by_text("Tell a friend").click()
    assert page.get_by_role("img", name="QR code").evaluate(CODE)
    panel = page.locator("#share")
    expect(panel.get_by_role("button")).to_have_count(0)
    expect(panel.get_by_role("link", name="Write an e-mail")).to_have_attribute(
        "href", re.compile("^mailto:")
    )
    expect(page.get_by_label("The address of this page")).to_be_visible()
