"""Somebody else's site shows events of ours: nobody is known there, and nothing else is asked for."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, BrowserContext, Request, expect

from events.calendars.content import Publishing
from events.db import Database
from tests.conftest import Cast
from tests.stories.conftest import Site, Watched
from tests.web.test_event_lists import added

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


class Host:
    """A site at another address, with one page that says what it is given."""

    def __init__(self) -> None:
        host = self
        self.page = ""

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if self.path == "/" else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.end_headers()
                self.wfile.write(host.page.encode() if self.path == "/" else b"")

            def log_message(self, format: str, *args: object) -> None:
                """Nobody reads it."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"

    def shows(self, line: str) -> None:
        self.page = (
            '<!doctype html><html lang="en"><title>Theirs</title><link rel="icon" href="data:,">'
            f"<h1>Theirs</h1>{line}<p>Below</p>"
        )


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    thread = threading.Thread(target=host.server.serve_forever)
    thread.start()
    yield host
    host.server.shutdown()
    thread.join()
    host.server.server_close()


@pytest.fixture
def context(chromium: Browser, site: Site) -> Iterator[BrowserContext]:
    """Somebody who is signed in here, on a phone."""
    context = chromium.new_context(viewport={"width": 360, "height": 740}, locale="en-US")
    context.add_cookies([{"name": "session", "value": "ana", "url": site.address, "sameSite": "Lax"}])
    yield context
    context.close()


def test_a_page_of_others_shows_our_events_as_high_as_they_are(
    context: BrowserContext, host: Host, site: Site, database: Database, cast: Cast, publishing: Publishing
) -> None:
    added(database, publishing, cast.alder)
    host.shows(
        f'<iframe src="{site.address}/embed/events?branch=alder&amp;items=1" title="Events" loading="lazy"'
        ' width="100%" height="600" style="border:0"></iframe>'
        f'<script src="{site.address}/embed.js" async></script>'
    )
    asked: list[Request] = []
    page, said = context.new_page(), list[str]()
    page.on("request", lambda request: asked.append(request))
    page.on("console", lambda message: said.append(message.text))
    page.goto(host.address)
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="Alder Club: events")).to_be_visible()
    page.wait_for_function("document.querySelector('iframe').offsetHeight != 600")
    short = page.evaluate("document.querySelector('iframe').offsetHeight")
    [content] = [each for each in page.frames if each.url.startswith(site.address)]
    assert content.evaluate("document.documentElement.scrollHeight") == short < 600

    page.set_viewport_size({"width": 250, "height": 740})  # what is narrower is higher
    page.wait_for_function(f"document.querySelector('iframe').offsetHeight > {short}")

    frame.get_by_role("link", name="Later").click()
    expect(frame.get_by_text("December 1, 2043").first).to_be_visible()
    assert page.url == f"{host.address}/"  # another page of the list stays in the frame

    assert {request.url.split("/")[2] for request in asked} == {
        address.removeprefix("http://") for address in (host.address, site.address)
    }
    assert [request.url for request in asked if "cookie" in request.all_headers()] == []
    assert [cookie["value"] for cookie in context.cookies() if "value" in cookie] == ["ana"]
    assert said == []

    frame.get_by_role("link", name="See all events").click()
    page.wait_for_url(f"{site.address}/events?branch=alder")


def test_a_page_that_tells_another_height_is_not_believed(
    context: BrowserContext, host: Host, site: Site, cast: Cast
) -> None:
    host.shows(
        f'<iframe src="{site.address}/embed/events" title="Events" width="100%" height="600"></iframe>'
        f'<script src="{site.address}/embed.js"></script>'
    )
    page = context.new_page()
    page.goto(host.address)
    page.wait_for_function("document.querySelector('iframe').height != 600")
    height = page.evaluate("document.querySelector('iframe').height")
    page.evaluate("postMessage(5000, '*')")
    page.evaluate("() => new Promise(done => setTimeout(done, 50))")
    assert page.evaluate("document.querySelector('iframe').height") == height


def test_the_line_is_put_together_without_scripts_too(
    plain_window: Watched, database: Database, cast: Cast, publishing: Publishing
) -> None:
    added(database, publishing, cast.alder)
    page = plain_window.visit("/branches/alder")
    page.get_by_text("Tell a friend").click()
    page.get_by_role("link", name="Put it on your website").click()
    page.get_by_label("Dark", exact=True).check()
    page.get_by_label("Use this site’s own colours").uncheck()
    page.get_by_role("button", name="Show me the line").click()
    line = page.get_by_label("Paste it where you want the list on your page").input_value()
    assert "/embed/events?branch=alder&amp;brand=0b5d4b&amp;accent=ffb81c&amp;theme=dark" in line
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("link", name="Tool night").first).to_be_visible()
    assert plain_window.page.context.cookies() == []
