"""Every page in all sixteen ways, and what people need who see, point or read otherwise."""

import itertools
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser

from bench._progress import progress
from tests import looking
from tests.awkward import World
from tests.looking import IN_OTHER_COLOURS, Noted, Window
from tests.pages import Page

LANGUAGES, WIDTHS, THEMES = ("en", "es"), (360, 1280), ("light", "dark")
MOST_STOPS = 400  # that Tab makes on a page

# WCAG 2.2, 1.4.12: what people may set who read better so.
SPACING = """() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`* { line-height: 1.5 !important; letter-spacing: 0.12em !important;
    word-spacing: 0.16em !important; } p { margin-block-end: 2em !important; }`);
  document.adoptedStyleSheets = [sheet];
}"""
NO_SPACING = "() => { document.adoptedStyleSheets = []; }"
MOVING = "() => document.getAnimations().map(one => `moves: ${one.effect?.target?.outerHTML.slice(0, 90)}`)"
# Links and buttons that Tab must come to, in their order; they are numbered for STOP.
STOPS = """() => {
  const all = [...document.querySelectorAll("a[href], button, summary, input, select, textarea, iframe, [tabindex]")];
  all.forEach((one, number) => { one.dataset.stop = number; });
  document.body.tabIndex = -1;
  document.body.focus();
  return all.filter(one => one.matches("a[href], button, summary") && one.tabIndex >= 0 && !one.disabled
    && one.checkVisibility({visibilityProperty: true}))
    .map(one => [Number(one.dataset.stop), one.outerHTML.slice(0, 90)]);
}"""
STOP = """() => {
  const one = document.activeElement, style = getComputedStyle(one);
  if (!one || one === document.body || one === document.documentElement) return null;
  const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== "none";
  const box = one.getBoundingClientRect();
  return [Number(one.dataset.stop ?? -1), seen, box.width > 0 && box.bottom > 0 && box.top < innerHeight,
    one.outerHTML.slice(0, 90)];
}"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the pages are served, in which world, and which there are."""

    address: str
    world: World
    found: Sequence[Page]


def look_at_all(browser: Browser, place: Place) -> tuple[int, int]:
    """Prints what is wrong. Returns how much that is, and how often was looked."""
    faults = looks = 0
    for language, scripts in itertools.product(LANGUAGES, (True, False)):
        untranslated = looking.english_sentences(language) if language != "en" else frozenset()
        with looking.window(browser, place.address, language, scripts, place.world.cookies) as window:
            for page in progress(f"{language}{'' if scripts else ', no scripts'}", place.found):
                window.open(page)
                window.look_for(untranslated)
                for width, theme in itertools.product(WIDTHS, THEMES):
                    _look(window, width, theme)
                if scripts:
                    _look_otherwise(window, by_keyboard=language == "en")
        tell(window.faults)
        faults += len(window.faults)
        looks += window.looks
    return faults, looks


def tell(faults: Sequence[Noted]) -> None:
    """Each once, with how many ways there are to see it."""
    ways: dict[tuple[str, str], list[str]] = defaultdict(list)
    for fault in faults:
        ways[fault.page, re.sub(r"^\d+ px wider", "wider", fault.what)].append(fault.how)
    for (page, what), how in ways.items():
        print(f"    {page}: {what} ({len(how)}×: {how[0]})")
    sys.stdout.flush()


def _look(window: Window, width: int, theme: str) -> None:
    window.turn(width, theme)
    window.look()
    if window.scripts:
        window.run_axe(*(() if theme == "light" else IN_OTHER_COLOURS))


def _look_otherwise(window: Window, *, by_keyboard: bool) -> None:
    """320 px are 1280 at 400 %."""
    page = window.page
    window.turn(320, "light")
    window.look()
    page.evaluate(SPACING)
    with window.called("more room between letters"):
        window.look()
    page.evaluate(NO_SPACING)
    window.turn(360, "light")
    page.emulate_media(forced_colors="active", reduced_motion="reduce")
    with window.called("colours of the system, nothing moves"):
        window.look()
        for fault in page.evaluate(MOVING):
            window.note(fault)
    page.emulate_media(forced_colors="none", reduced_motion="no-preference")
    if by_keyboard:
        window.turn(1280, "light")
        with window.called("by keyboard"):
            _tab_through(window)


def _tab_through(window: Window) -> None:
    page = window.page
    wanted = {number: name for number, name in page.evaluate(STOPS)}
    reached: list[int] = []
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        stop = page.evaluate(STOP)
        if stop is None or (reached and stop[0] == reached[0]):
            break
        number, outlined, in_sight, name = stop
        if not outlined and number not in reached and not _changes_the_picture(window):
            window.note(f"the focus is not seen on {name}")
        if not in_sight:
            window.note(f"the focus is out of sight on {name}")
        reached.append(number)
    window.looks += 1
    for number in sorted(wanted.keys() - set(reached)):
        window.note(f"Tab does not come to {wanted[number]}")
    if reached != sorted(reached):
        window.note(f"Tab does not go in order: {reached}")


def _changes_the_picture(window: Window) -> bool:
    """Whether the page looks otherwise while this has the focus: a mark on a map has no outline, it grows."""
    page = window.page
    focused = page.screenshot()
    page.evaluate("() => { window.had = document.activeElement; window.had.blur(); }")
    without = page.screenshot()
    page.evaluate("() => window.had.focus({focusVisible: true, preventScroll: true})")
    return focused != without


def save_all(browser: Browser, place: Place, folder: Path) -> int:
    """What the server answered, a file for each page and language. Returns how many."""
    folder.mkdir()
    for language in LANGUAGES:
        with looking.window(browser, place.address, language, False, place.world.cookies) as window:
            for number, page in enumerate(progress(f"HTML in {language}", place.found)):
                window.open(page)
                name = f"{number:03} {page.name}.{language}.html".replace("/", " ")
                folder.joinpath(name).write_bytes(window.body())
    return len(LANGUAGES) * len(place.found)
