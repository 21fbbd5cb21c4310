"""Every page, in a pairwise choice of language, JavaScript, width and colours.

Loading is what takes time, so each page is loaded once and looked at twice: in the other width with the other colours.
Language, JavaScript and which colours go with which width change from page to page, so that any two of the four things
meet on some forty pages. Where a page has several states, every other one is without JavaScript; the others are shown
to axe. `./dev bench face` looks at each page in all sixteen ways.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest
from playwright.sync_api import Browser, Playwright

from events.app import publishing_of
from events.config import Settings
from events.db import Database
from events.server import listen
from tests import awkward, looking, pages
from tests.chromium import launch
from tests.conftest import Engines
from tests.locale import arabic
from tests.looking import Window
from tests.pages import Page

LANGUAGES = ("en", "es")
UNTRANSLATED = looking.english_sentences("es")
IN_ONE_PLACE = ("--disable-threaded-compositing", "--in-process-gpu", "--disable-site-isolation-trials")
PARTS = 4  # so that two processes share the work


@dataclass(frozen=True, slots=True)
class Place:
    """Where the pages are served, which there are, and who reads them."""

    address: str
    world: awkward.World
    found: Sequence[Page]

    @property
    def kinds(self) -> Counter[str]:
        return Counter(page.kind for page in self.found)


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """One that draws in as few threads and processes as it can, which takes a quarter less time."""
    browser = launch(playwright, *IN_ONE_PLACE)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def place(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """In three languages; the third is for one test."""
    [listening] = listen("127.0.0.1", 0)
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("awkward"),
        database_url=engines.fresh_url("sqlite"),
        secret_key="for tests only",
        name="Hazel Clubs",
        rate_limits=False,
        port=listening.getsockname()[1],
        locales=(*LANGUAGES, arabic.CODE),
    )
    database = Database(settings.database_url, size=1)
    world = awkward.build(database, settings, replace(publishing_of(settings), locales=LANGUAGES))
    database.dispose()
    with (
        arabic.known(tmp_path_factory.mktemp("locale")),
        awkward.running_with_one_limit(settings) as app,
        looking.serving(app, listening) as address,
    ):
        yield Place(address, world, pages.pages(world))


def test_no_page_is_forgotten(place: Place) -> None:
    assert pages.missing(place.found) == []


@pytest.mark.parametrize("part", range(PARTS))
def test_every_page_can_be_used_by_everybody(browser: Browser, place: Place, part: int) -> None:
    with ExitStack() as stack:
        windows = {
            (language, scripts): stack.enter_context(
                looking.window(browser, place.address, language, scripts, place.world.cookies)
            )
            for language in LANGUAGES
            for scripts in (True, False)
        }
        for number, page in enumerate(place.found):
            if number * PARTS // len(place.found) == part:
                scripts = number % 2 == 0 or place.kinds[page.kind] == 1
                look(
                    windows[LANGUAGES[number // 2 % 2], scripts], page, narrow_and_light=number // 4 % 2 == 0
                )
        faults = [str(fault) for window in windows.values() for fault in window.faults]
        assert not faults, "\n".join(faults)


def look(window: Window, page: Page, narrow_and_light: bool) -> None:
    first, then = (360, "light"), (1280, "dark")
    if not narrow_and_light:
        first, then = (360, "dark"), (1280, "light")
    window.turn(*first)
    window.open(page)
    window.look()
    if window.scripts:
        window.run_axe()
    if window.language == "es":
        window.look_for(UNTRANSLATED)
    window.turn(*then)
    window.look()


def test_from_right_to_left_nothing_is_pushed_out_of_the_window(browser: Browser, place: Place) -> None:
    shown = {"home", "results", "branch", "event, series", "events", "month", "subscribe", "post an event"}
    with looking.window(browser, place.address, arabic.CODE, True, place.world.cookies) as window:
        for page in place.found:
            if page.name in shown:
                look(window, page, narrow_and_light=True)
                assert window.page.evaluate("getComputedStyle(document.body).direction") == "rtl"
        assert not window.faults, "\n".join(map(str, window.faults))
