"""Every form, as it is shown to visitors, organizers and admins, filled in by somebody who means harm.

`tests.hostile` says with what, and what must never come back; `./dev bench trust malformed` does it at length.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events.app import publishing_of
from events.config import Settings
from events.db import Database
from events.web.routes import routes
from tests import awkward, pages
from tests.conftest import Engines, running
from tests.hostile import MARK, WAYS, FoundForm, encoded, faults_in, filled, forms_in, lost
from tests.pages import Page
from tests.web.test_routes import forgetful

IDENTITY = re.compile(r"\d+|=[\w.:-]+")


@dataclass
class Walk:
    """Through the forms of pages in one world, in which nothing is ever written for good."""

    clients: dict[str, TestClient]
    faults: list[str] = field(default_factory=list)
    answers: dict[int, int] = field(default_factory=dict)
    sent: int = 0

    @classmethod
    def of(cls, app: Starlette, made: awkward.World) -> "Walk":
        clients = {
            who: TestClient(
                app,
                "http://localhost",
                headers={"Sec-Fetch-Site": "same-origin", "Cookie": f"session={made.cookies.get(who, '')}"},
                follow_redirects=False,
                raise_server_exceptions=False,
            )
            for who in ("", *made.cookies)
        }
        return cls(clients)

    def forms_of(self, page: Page) -> list[FoundForm]:
        answer = self.clients[page.who].get(quote(page.path, safe="/?&=%:,"))
        is_page = answer.headers.get("content-type", "").startswith("text/html")
        return forms_in(answer.text, page.path) if is_page else []

    def send(self, who: str, form: FoundForm, number: int) -> None:
        pairs = filled(form, number)
        kind, body = encoded(form, pairs, number)
        client, action = self.clients[who], form.action
        if form.method == "GET":
            joint = "&" if "?" in action else "?"
            answer = client.get(f"{action}{joint}{body.decode('latin-1')[:30_000]}")
        else:
            answer = client.request(form.method, action, content=body, headers={"Content-Type": kind})
        self.sent += 1
        self.answers[answer.status_code] = self.answers.get(answer.status_code, 0) + 1
        found = list(faults_in(answer.headers, answer.content))
        if answer.status_code >= 500:
            found.append(f"fails with {answer.status_code}")
        if number % WAYS == 1 and answer.status_code == 422 and form.method == "POST":
            found += [f"{name} is lost" for name in lost(form, pairs, answer.text)]
        self.faults += [
            f"{who or 'a visitor'}, {form.method} {action}, number {number}: {each}" for each in found
        ]


@pytest.fixture(scope="module")
def world(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Walk, list[Page]]]:
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("hostile"),
        database_url=engines.fresh_url("sqlite"),
        secret_key="for tests only",
        rate_limits=False,
    )
    database = Database(settings.database_url, size=1)
    made = awkward.build(database, settings, publishing_of(settings))
    database.dispose()
    with running(settings) as app, forgetful(app.state.branchline.database):
        yield Walk.of(app, made), pages.pages(made)


def distinct(walk: Walk, found: list[Page]) -> Iterator[tuple[str, FoundForm]]:
    """Each form once for each who sees it: those of two events are one."""
    seen = set()
    for page in found:
        if page.fields is not None or page.frame:
            continue
        for form in walk.forms_of(page):
            key = page.who, form.method, IDENTITY.sub("", form.action), tuple(form.names)
            if key not in seen:
                seen.add(key)
                yield page.who, form


def test_no_form_fails_or_gives_back_what_was_smuggled_in_or_loses_what_was_typed(
    world: tuple[Walk, list[Page]],
) -> None:
    walk, found = world
    forms = list(distinct(walk, found))
    for number, (who, form) in enumerate(forms):
        walk.send(who, form, 1)
        walk.send(who, form, number * (2 * WAYS + 1) + WAYS)
    assert walk.faults == [], "\n".join(walk.faults)
    posted = {form.action.partition("?")[0] for _, form in forms if form.method == "POST"}
    assert len(posted) > len([one for one in routes if "POST" in (getattr(one, "methods", None) or ())]) / 2
    assert walk.answers[422] > len(forms) / 4


def test_the_walk_sees_what_comes_back_as_it_was() -> None:
    html = {"content-type": "text/html; charset=utf-8"}
    escaped = MARK.replace("<", "&lt;").replace('"', "&#34;").replace("'", "&#39;").replace(">", "&gt;")
    assert list(faults_in(html, f"<p>{escaped}</p>".encode())) == []
    for bad in (MARK, escaped.replace("&#34;", '"'), escaped.replace("&#39;", "'")):
        [fault] = faults_in(html, f"<p>{bad}</p>".encode())
        assert fault.startswith("the mark comes back as it was: ")
    assert list(faults_in(html, b'<input name="key" value="byuwYHwP7eZOjTdUUlnmH-zq">')) == []
    assert list(faults_in({"content-type": "text/csv"}, b'x,"=zq(1)"\r\n')) == ["a formula comes back"]
    assert list(faults_in({"content-type": "text/calendar"}, b"SUMMARY:x\r\nZQ-LINE:1\r\n"))
    assert list(faults_in({"zq-header": "1"}, b""))
    assert list(faults_in({"location": "//evil.example.org/"}, b""))
