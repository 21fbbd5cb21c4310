"""Looking at pages in a real browser: what is wrong with a page as it stands, in words.

A window keeps its page while its width and its colours change, because loading costs more than looking.
"""

from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket
from threading import Thread
from typing import Any

import axe_playwright_python
import starlette.requests
import uvicorn
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Route

from events.language import language

from . import pages

HEIGHTS = {320: 640, 360: 740, 1280: 900}
AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
AXE_PATH = "/axe-for-tests.js"
# Without what it would find in frames of other pages, and what it would fetch to find more.
AXE_RUN = """async (rules) => {
  const only = rules.length ? {runOnly: {type: "rule", values: rules}} : {};
  const found = await axe.run(document, {resultTypes: ["violations"], preload: false, ...only});
  return found.violations.flatMap(({id, nodes}) => nodes.map(node => `axe ${id}: ${node.target.join(" ")}`));
}"""
IN_OTHER_COLOURS = ("color-contrast", "link-in-text-block", "target-size")
# A report of the content security policy goes to the console as an error, too.
LOOK = """([language, frame]) => {
  const faults = [], wide = document.scrollingElement.scrollWidth - innerWidth;
  const name = element => element.outerHTML.slice(0, 90);
  if (wide > 0) {
    const out = [...document.body.querySelectorAll("*")].filter(one => {
      const box = one.getBoundingClientRect();
      return box.width && (box.right > innerWidth + 0.5 || box.left < -0.5);
    });
    faults.push(`${wide} px wider than the window: ${out.slice(0, 3).map(name).join(" | ")}`);
  }
  const headings = document.querySelectorAll("h1").length;
  if (headings !== 1 && !(frame && !headings)) faults.push(`${headings} headings of the first level`);
  for (const image of document.querySelectorAll("img:not([width][height])")) faults.push(`no size: ${name(image)}`);
  if (document.documentElement.lang !== language) faults.push(`in ${document.documentElement.lang}`);
  return faults;
}"""
TEXTS = """(language) => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = new Set([document.title]);
  while (walker.nextNode()) {
    const tag = walker.currentNode.parentElement.closest("[lang], script");
    if (!tag || tag.lang === language) found.add(walker.currentNode.textContent.replace(/\\s+/g, " ").trim());
  }
  for (const name of ["aria-label", "alt", "title", "placeholder"])
    for (const one of document.querySelectorAll(`[${name}]`)) found.add(one.getAttribute(name));
  return [...found];
}"""
SEND = """([action, fields]) => {
  const form = document.createElement("form");
  form.method = "post"; form.action = action;
  for (const [name, value] of Object.entries(fields)) {
    const field = document.createElement("input");
    field.type = "hidden"; field.name = name; field.value = value;
    form.append(field);
  }
  document.body.append(form);
  HTMLFormElement.prototype.submit.call(form);
}"""


@contextmanager
def serving(app: Starlette, listening: socket) -> Iterator[str]:
    """A server in a thread, and its address. It has axe as well: from there a browser compiles it only once."""
    app.router.routes.append(Route(AXE_PATH, _axe))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
    thread = Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield f"http://localhost:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


async def _axe(_: starlette.requests.Request) -> FileResponse:
    return FileResponse(AXE, headers={"Cache-Control": "max-age=86400, immutable"})


def english_sentences(code: str) -> Set[str]:
    """What must not be read in this language: sentences that are another one there."""
    catalog = language(code).catalog
    assert catalog is not None
    return {one.id for one in catalog if isinstance(one.id, str) and " " in one.id and one.string != one.id}


@dataclass(frozen=True, slots=True)
class Noted:
    """On which page, seen how, and what is wrong."""

    page: str
    how: str
    what: str

    def __str__(self) -> str:
        return f"{self.page} ({self.how}): {self.what}"


@dataclass
class Window:  # without slots: Playwright keeps something on whoever listens
    """Of somebody who reads in one language, with or without JavaScript. `faults` has all that was noticed."""

    page: Page
    address: str
    language: str
    scripts: bool
    cookies: Mapping[str, str]
    faults: list[Noted] = field(default_factory=list)
    shown: pages.Page | None = None
    looks: int = 0
    _width: int = 0
    _theme: str = ""
    _who: str = ""
    _how: str = ""
    _has_axe: bool = False
    _answer: Response | None = None

    def open(self, shown: pages.Page) -> None:
        """Goes there, or sends the form whose answer the page is."""
        self.shown, self._has_axe = shown, False
        if shown.who != self._who:
            self._sign_in(shown.who)
        where = self.address + shown.at(self.language)
        if shown.fields is None:
            self._answer = self.page.goto(where)
        else:
            if not self.page.url.startswith(self.address):  # a form is taken from our own pages alone
                self.page.goto(f"{self.address}/about")
            with self.page.expect_navigation() as navigation:
                self.page.evaluate(SEND, [where, dict(shown.fields)])
            self._answer = navigation.value
        status = self._answer.status if self._answer else 0
        if status != shown.status:
            self.note(f"answered with {status}, not {shown.status}")

    def _sign_in(self, who: str) -> None:
        self.page.context.clear_cookies()
        if who:
            cookie: Any = {"name": "session", "value": self.cookies[who], "url": self.address}
            self.page.context.add_cookies([cookie])
        self._who = who

    def turn(self, width: int, theme: str) -> None:
        if width != self._width:
            self.page.set_viewport_size({"width": width, "height": HEIGHTS[width]})
        if theme != self._theme:
            self.page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        self._width, self._theme = width, theme

    def look(self) -> None:
        self.looks += 1
        for fault in self.page.evaluate(LOOK, [self.language, bool(self.shown and self.shown.frame)]):
            self.note(fault)

    def run_axe(self, *rules: str) -> None:
        """All of its rules, or these. It needs JavaScript."""
        if not self._has_axe:
            self.page.add_script_tag(url=AXE_PATH)
            self._has_axe = True
        self.looks += 1
        for fault in self.page.evaluate(AXE_RUN, list(rules)):
            self.note(fault)

    def look_for(self, untranslated: Set[str]) -> None:
        """Sentences of ours that stand there in another language."""
        for text in untranslated & set(self.page.evaluate(TEXTS, self.language)):
            self.note(f"not translated: {text}")

    def body(self) -> bytes:
        """What the server answered."""
        return self._answer.body() if self._answer else b""

    @contextmanager
    def called(self, how: str) -> Iterator[None]:
        """What is noted in the block is said to be so."""
        self._how = f", {how}"
        yield
        self._how = ""

    def note(self, fault: str) -> None:
        scripts = "" if self.scripts else " without JavaScript"
        how = f"{self.language}, {self._width} px, {self._theme}{scripts}{self._how}"
        self.faults.append(Noted(self.shown.name if self.shown else "nothing", how, " ".join(fault.split())))

    # ---------------------------------------------------------------- what the browser says by itself

    def on_console(self, said: ConsoleMessage) -> None:
        """That the status of a page is 4xx is no fault; of what it loads it is, and `on_response` says so."""
        if said.type == "error" and "the server responded with a status of 4" not in said.text:
            self.note(said.text)

    def on_request(self, request: Request) -> None:
        if not request.url.startswith(self.address + "/"):
            self.note(f"asked another origin: {request.url}")

    def on_response(self, response: Response) -> None:
        if response.status >= 400 and not response.request.is_navigation_request():
            self.note(f"{response.status} for {response.url}")


@contextmanager
def window(
    browser: Browser, address: str, language: str, scripts: bool, cookies: Mapping[str, str], **more: Any
) -> Iterator[Window]:
    context = browser.new_context(java_script_enabled=scripts, locale=language, **more)
    opened = Window(context.new_page(), address, language, scripts, cookies)
    opened.page.on("console", opened.on_console)
    opened.page.on("pageerror", lambda error: opened.note(str(error)))
    opened.page.on("request", opened.on_request)
    opened.page.on("response", opened.on_response)
    opened.turn(360, "light")
    yield opened
    context.close()
