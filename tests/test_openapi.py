"""`/openapi.json` says all of `/api/v1`, and what it says is so: Schemathesis makes requests up and looks."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events.calendars.content import Publishing
from events.db import Database
from events.people import tokens
from events.web.endpoints import ANYBODY
from events.web.openapi import described, document
from events.web.routes import routes
from tests.conftest import NOW, Cast
from tests.described import try_all
from tests.web.test_event_lists import added
from tests.web.test_routes import forgetful

on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
EXAMPLES = 4


def document_of_ours() -> Mapping[str, Any]:
    return document(routes, "Hazel Clubs", "http://localhost:8000")


@dataclass(frozen=True)
class Program:
    """Ana's, with a token; and the event that it may change."""

    client: TestClient
    event: int

    @classmethod
    def of(cls, app: Starlette, token: str, event: int) -> "Program":
        headers = {"Authorization": f"Bearer {token}"}
        client = TestClient(
            app, "http://localhost", headers=headers, follow_redirects=False, raise_server_exceptions=False
        )
        return cls(client, event)

    def send(self, asked: Mapping[str, Any]) -> Any:
        """With the token that is known: with one that is made up it would end there."""
        sent = {SENT[name]: value for name, value in asked.items() if name in SENT}
        made_up = sent.get("headers") or {}
        sent["headers"] = {name: said for name, said in made_up.items() if name.lower() != "authorization"}
        return self.client.request(**sent)


SENT = {name: name for name in ("method", "url", "params", "headers", "json")} | {"data": "content"}


@pytest.fixture
def program(app: Starlette, database: Database, cast: Cast, publishing: Publishing) -> Iterator[Program]:
    event = added(database, publishing, cast.alder)
    with database.writing() as session:
        token = tokens.make(session, cast.ana, "Schemathesis", NOW)
    with forgetful(database):
        yield Program.of(app, token, event)


def test_every_route_for_programs_is_described_and_nothing_else() -> None:
    said = {
        (method.upper(), path)
        for path, operations in document_of_ours()["paths"].items()
        for method in operations
    }
    assert said == {(method, route.path) for route in described(routes) for method in route.methods}


def test_what_needs_a_token_says_so() -> None:
    paths = document_of_ours()["paths"]
    for route in described(routes):
        for method in route.methods:
            needs = paths[route.path][method.lower()]["security"]
            assert needs == ([{}, {"token": []}] if route.who is ANYBODY else [{"token": []}])


@on_sqlite
def test_it_is_kept_like_other_public_answers(ben: TestClient, cast: Cast) -> None:
    first = ben.get("/openapi.json")
    assert first.json() == document_of_ours()
    again = ben.get("/openapi.json", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert first.headers["content-type"] == "application/json"


@on_sqlite
def test_no_made_up_request_fails_and_every_answer_is_as_described(program: Program) -> None:
    known = {"id": str(program.event), "slug": "alder", "start": "2043-12-01T19:00"}
    found: Counter[str] = try_all(document_of_ours(), known, program.send, EXAMPLES)
    operations = {" ".join(label.split()[:2]) for label in found}
    assert len(operations) == sum(len(route.methods) for route in described(routes))
    good = {label for label in found if label.split()[2] in ("200", "201", "204")}
    assert len(good) >= len(operations) / 2, sorted(found.items())


@on_sqlite
@pytest.mark.parametrize(
    ("method", "path"),
    [
        (method, route.path)
        for route in described(routes)
        if route.writes
        for method in route.methods
    ],
)  # fmt: skip
def test_a_field_that_is_not_described_is_refused(program: Program, method: str, path: str) -> None:
    where = path.format(id=program.event, start="2043-12-01T19:00")
    body = {"branches": ["alder"], "reason": "Snow."} if path.endswith("/events") else {}
    answer = program.client.request(
        method, where, json={**body, "no_such_field": 1}, headers={"If-Match": "*"}
    )
    assert answer.status_code == 422
    assert "no_such_field" in answer.json()["errors"]
