"""A real server and a real Chromium."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Playwright,
    Route,
    sync_playwright,
)

from events.config import Settings
from events.server import listen
from tests.chromium import launch
from tests.conftest import running


class Site:
    """A running site: its address, and where its mails are written."""

    def __init__(self, address: str, settings: Settings) -> None:
        self.address = address
        self.settings = settings


@pytest.fixture
def site(settings: Settings) -> Iterator[Site]:
    [listening, *others] = listen("127.0.0.1", 0)
    assert others == []
    port = listening.getsockname()[1]
    settings = replace(settings, port=port)
    with running(settings) as app:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield Site(f"http://localhost:{port}", settings)
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Ended after the stories of a file: it runs an event loop in this thread, so that nothing else could."""
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    browser = launch(playwright)
    yield browser
    browser.close()


class Watched:
    """A browser window in which nothing may go wrong unnoticed."""

    def __init__(self, context: BrowserContext, site: Site) -> None:
        self.faults: list[str] = []
        self._site = site
        context.route("**/*", self._own_origin_only)
        self.page: Page = context.new_page()
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))

    def _note(self, said: ConsoleMessage) -> None:
        """A form with faults is answered with a status of 422, which the console calls an error: it is not."""
        if said.type == "error" and "the server responded with a status of 4" not in said.text:
            self.faults.append(said.text)

    def _own_origin_only(self, route: Route) -> None:
        if not route.request.url.startswith(self._site.address + "/"):
            self.faults.append(f"asked another origin: {route.request.url}")
        route.continue_()

    def visit(self, path: str) -> Page:
        self.page.goto(self._site.address + path)
        return self.page

    def is_accessible(self) -> None:
        """axe finds nothing (WCAG 2.2 AA and best practices)."""
        found = Axe().run(self.page)
        assert found.violations_count == 0, found.generate_report()

    def screenshot(self, path: Path) -> None:
        self.page.screenshot(path=path, full_page=True)


@pytest.fixture
def window(chromium: Browser, site: Site) -> Iterator[Watched]:
    """A phone."""
    yield from _window(chromium, site, java_script_enabled=True)


@pytest.fixture
def plain_window(chromium: Browser, site: Site) -> Iterator[Watched]:
    """A phone without JavaScript."""
    yield from _window(chromium, site, java_script_enabled=False)


def _window(chromium: Browser, site: Site, java_script_enabled: bool) -> Iterator[Watched]:
    context = chromium.new_context(
        viewport={"width": 360, "height": 740}, locale="en-US", java_script_enabled=java_script_enabled
    )
    watched = Watched(context, site)
    yield watched
    context.close()
    assert watched.faults == []
