"""A browser that is nothing but its cookie and one connection: pages are read for their forms, and forms are sent."""

import asyncio
import http.client
import re
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from events.branches.models import Branch
from events.db import Database
from events.people import permissions, sign_in
from events.people.models import Purpose, Role

PATIENCE_S = 60
IDLE_S = 3  # after that the server may be about to close the connection
GONE = (http.client.HTTPException, ConnectionError)
CUT_OFF = (ConnectionError, EOFError, TimeoutError)  # of a `Line`
FORM = "application/x-www-form-urlencoded"
SAME_SITE = {"Sec-Fetch-Site": "same-origin"}  # what browsers say of a form on a page of the same site

Fields = list[tuple[str, str]]


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class Browser:
    """For one thread. What was lost on the way is asked for again, but a form is never sent twice."""

    def __init__(self, address: str, cookie: str = "") -> None:
        self.address = address
        self._connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE_S)
        self._cookie = cookie
        self._used = 0.0

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        try:
            return self._ask("GET", path, None, headers or {})
        except GONE:
            return self._ask("GET", path, None, headers or {})

    def post(self, path: str, fields: Sequence[tuple[str, str]] = ()) -> Answer:
        body = urlencode(list(fields)).encode()
        return self._ask("POST", path, body, {"Content-Type": FORM})

    def upload(self, path: str, fields: Sequence[tuple[str, str]], name: str, file: bytes) -> Answer:
        edge = "between-the-parts"
        parts = [f'--{edge}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields]
        head = f'--{edge}\r\nContent-Disposition: form-data; name="{name}"; filename="bench.ics"\r\n'
        body = "".join([*parts, head, "Content-Type: text/calendar\r\n\r\n"]).encode() + file
        body += f"\r\n--{edge}--\r\n".encode()
        return self._ask("POST", path, body, {"Content-Type": f"multipart/form-data; boundary={edge}"})

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        own = {**self.cookies, **(SAME_SITE if method == "POST" else {})}
        if time.monotonic() - self._used > IDLE_S:
            self._connection.close()
        try:
            self._connection.request(method, path, body, {**own, **headers})
            response = self._connection.getresponse()
            answer = Answer(
                response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
            )
        except BaseException:
            self._connection.close()
            raise
        self._used = time.monotonic()
        if "set-cookie" in answer.headers:
            self._cookie = answer.headers["set-cookie"].partition(";")[0]
        return answer

    @property
    def cookies(self) -> Mapping[str, str]:
        return {"Cookie": self._cookie} if self._cookie else {}


class Line:
    """A connection of its own for somebody who has signed in, to be used with many others in one thread. It does no
    more than it must: what it costs is taken from the server that is measured.
    """

    def __init__(self, browser: Browser) -> None:
        self._host = urlsplit(browser.address).netloc
        self._headers = {"Host": self._host, **browser.cookies}
        self._ends: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._used = 0.0

    async def get(self, path: str) -> Answer:
        return await self._ask("GET", path, b"", {})

    async def post(self, path: str, fields: Sequence[tuple[str, str]]) -> Answer:
        body = urlencode(list(fields)).encode()
        length = {"Content-Type": FORM, "Content-Length": str(len(body))}
        return await self._ask("POST", path, body, SAME_SITE | length)

    async def _ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await self._connected()
            said = "".join(f"{name}: {value}\r\n" for name, value in {**self._headers, **headers}.items())
            writer.write(f"{method} {path} HTTP/1.1\r\n{said}\r\n".encode() + body)
            try:
                first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
                came = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                text = await reader.readexactly(int(came.get("content-length", "0")))
            except CUT_OFF:
                self.close()
                raise
        self._used = time.monotonic()
        return Answer(int(first.split()[1]), came, text)

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._ends is not None and time.monotonic() - self._used > IDLE_S:
            self.close()
        if self._ends is None:
            host, _, port = self._host.partition(":")
            self._ends = await asyncio.open_connection(host, int(port))
        return self._ends

    def close(self) -> None:
        if self._ends is not None:
            self._ends[1].close()
        self._ends = None


def organizer(database: Database, address: str, email: str, branch: Branch) -> Browser:
    """A browser in which this organizer of the branch has signed in, by a link as everybody does."""
    now = datetime.now(UTC)
    with database.writing() as session:
        person = sign_in.find_or_add(session, email, now)
        permissions.invite(session, person, branch, Role.ORGANIZER)
        token = sign_in.make_link(session, person, Purpose.SIGN_IN, now)
    browser = Browser(address)
    answer = browser.post(f"/sign-in/{token}")
    if answer.status != 303:
        raise RuntimeError(f"Nobody could sign in: {answer.status} {answer.body[:500]!r}")
    return browser


def fields_of(page: bytes, action: str) -> Fields:
    """What a browser would send of the form with this action, if nobody changed anything in it."""
    reader = _Forms(action)
    reader.feed(page.decode())
    return reader.fields


class _Forms(HTMLParser):
    def __init__(self, action: str) -> None:
        super().__init__()
        self.fields: Fields = []
        self._action, self._inside = action, False
        self._select = self._textarea = ""
        self._options: list[tuple[str, bool]] = []
        self._text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = said.get("action") == self._action
        elif self._inside and tag == "input" and "name" in said and "disabled" not in said:
            kind = said.get("type", "text")
            if kind not in ("submit", "button", "file") and (
                kind not in ("checkbox", "radio") or "checked" in said
            ):
                self.fields.append((said["name"], said.get("value", "on" if kind == "checkbox" else "")))
        elif self._inside and tag == "select":
            self._select, self._options = said.get("name", ""), []
        elif self._inside and tag == "option":
            self._options.append((said.get("value", ""), "selected" in said))
        elif self._inside and tag == "textarea":
            self._textarea, self._text = said.get("name", ""), []

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag == "select" and self._select:
            chosen = [value for value, selected in self._options if selected]
            first = [value for value, _ in self._options[:1]]
            self.fields += [(self._select, value) for value in (chosen or first)]
            self._select = ""
        elif tag == "textarea" and self._textarea:
            text = re.sub(
                r"\A\r?\n", "", "".join(self._text)
            )  # the first line break is the writer's of the page
            self.fields.append((self._textarea, text))
            self._textarea = ""

    def handle_data(self, data: str) -> None:
        if self._textarea:
            self._text.append(data)


def changed(fields: Fields, **values: str) -> Fields:
    return [(name, values.get(name, value)) for name, value in fields]
