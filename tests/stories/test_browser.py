"""The browser that the stories are told with."""

import pytest
from playwright.sync_api import Browser, Error


def test_this_chromium_reaches_nothing_but_this_machine(chromium: Browser) -> None:
    """Any other address, even one that would answer, is unknown to it before a packet leaves."""
    page = chromium.new_page()
    with pytest.raises(Error, match="ERR_NAME_NOT_RESOLVED"):
        page.goto("http://127.0.0.2:5353/")
    page.close()
