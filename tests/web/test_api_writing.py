"""The writing half of /api/v1: Ana's program writes for Alder, Cy's is refused there, and docs/api.md is true."""

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlmodel import col, select
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events import limits
from events.calendars import changes
from events.calendars.models import Event, HostingRefusal
from events.config import Settings
from events.db import Database
from events.desk.models import Proposal
from events.limits import Limit
from events.people import history, permissions, sign_in, tokens
from events.people.models import ApiToken, Membership, Person, Role
from events.web import clock
from events.web.api_drafts import DATE_FIELDS, FIELDS
from tests.calendars.test_feeds import Subscriber
from tests.conftest import NOW, Cast, Engines, running
from tests.web.test_api import untrue

ROOT = Path(__file__).parents[2]
on_both_engines = pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)

TUESDAYS = {
    "branches": ["alder"],
    "title": "Tool night",
    "description": "Bring **anything** with a plug.",
    "start": "2026-11-24T19:00",
    "end": "2026-11-24T21:00",
    "rrule": "FREQ=WEEKLY;BYDAY=TU",
    "venue": {"name": "The Annex", "address_1": "1 Elm St", "city": "Chicago"},
    "topics": ["Repair"],
    "access": ["step-free"],
    "state": "published",
}


@pytest.fixture(params=["sqlite"])
def database(request: pytest.FixtureRequest, engines: Engines) -> Iterator[Database]:
    """SQLite alone, but for what two do at the same moment."""
    database = Database(engines.fresh_url(request.param), size=4)
    yield database
    database.dispose()
    engines.give_back(database.url)


@pytest.fixture(autouse=True)
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is 23 November 2026, whenever the tests run."""
    monkeypatch.setattr(clock, "datetime", SimpleNamespace(now=lambda zone: NOW))


class Program:
    """Sends JSON with a token, and none of the headers that browsers send."""

    def __init__(self, app: Starlette, token: str | None) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self.client = TestClient(app, "http://localhost", headers=headers, follow_redirects=False)

    def send(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.request(method, f"/api/v1/events{path}", json=body, headers=named)

    def done(self, method: str, path: str, body: object = None, status: int = 200, **headers: str) -> Any:
        answer = self.send(method, path, body, **headers)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    def posted(self, **more: object) -> int:
        number: int = self.done("POST", "", {**TUESDAYS, **more}, 201)["id"]
        return number

    def changed(self, number: int, **fields: object) -> Any:
        return self.done("PATCH", f"/{number}", fields, if_match="*")

    def faults(self, method: str, path: str, body: object, **headers: str) -> dict[str, str]:
        answer = self.send(method, path, body, **headers)
        assert answer.status_code == 422, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"] == "Some answers need another look."
        faults: dict[str, str] = answer.json()["errors"]
        return faults


def token_of(database: Database, person: Person, now: datetime = NOW) -> str:
    with database.writing() as session:
        return tokens.make(session, person, f"Test {len(tokens.of(session, person))}", now)


@pytest.fixture
def program(app: Starlette, database: Database, cast: Cast) -> Program:
    """Ana's."""
    return Program(app, token_of(database, cast.ana))


@pytest.fixture
def cys_program(app: Starlette, database: Database, cast: Cast) -> Program:
    return Program(app, token_of(database, cast.cy))


def actions(database: Database, number: int) -> list[tuple[str, int | None]]:
    """What was done to the event, and by whom, the oldest first."""
    with database.reading() as session:
        found = history.versions(session, f"event:{number}")
        return [(version.action, version.person_id) for version in reversed(found)]


# ---------------------------------------------------------------- posting


def test_a_program_posts_an_event_that_pages_and_feeds_show(
    database: Database, program: Program, ben: TestClient, cast: Cast
) -> None:
    answer = program.send("POST", "", TUESDAYS)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["state"], made["timezone"], made["language"]) == ("published", "America/Chicago", "en")
    assert (made["start"], made["place"]) == ("2026-11-24T19:00:00-06:00", "The Annex")
    assert answer.headers["location"] == f"http://localhost:8000/api/v1/events/{made['id']}"
    assert answer.headers["etag"] == f'"{made["revision"]}"'
    seen = ben.get(f"/api/v1/events/{made['id']}").json()
    assert made == seen | {"revision": made["revision"]}
    assert program.done("GET", f"/{made['id']}") == made
    [event] = Subscriber(ben, "/branches/alder.ics").events()
    assert event["SUMMARY"] == "Tool night" and "1 Elm St" in event["LOCATION"]
    assert actions(database, made["id"]) == [("added", cast.ana.id)]


def test_a_draft_is_what_a_program_posts_unless_it_says_otherwise(
    program: Program, cys_program: Program, ben: TestClient
) -> None:
    made = program.done(
        "POST", "", {name: TUESDAYS[name] for name in ("branches", "title", "start", "end")}, 201
    )
    assert (made["state"], made["rrule"]) == ("draft", "")
    path = f"/{made['id']}"
    assert program.done("GET", path)["title"] == "Tool night"
    assert cys_program.send("GET", path).status_code == 404
    assert ben.get(f"/api/v1/events{path}").status_code == 404


def test_a_stranger_reads_what_is_public_and_learns_no_revision_of_it(
    program: Program, cys_program: Program
) -> None:
    answer = cys_program.send("GET", f"/{program.posted()}")
    assert answer.status_code == 200
    assert "revision" not in answer.json() and "etag" not in answer.headers


def test_co_hosts_are_named_after_the_branch_that_the_event_belongs_to(
    program: Program, ben: TestClient
) -> None:
    number = program.posted(branches=["alder", "birch", "birch", "alder"])
    held = ben.get(f"/api/v1/events/{number}").json()["branches"]
    assert [branch["slug"] for branch in held] == ["alder", "birch"]


def test_the_zone_and_the_language_are_the_branch_s_unless_said(cys_program: Program) -> None:
    made = cys_program.done("POST", "", {**TUESDAYS, "branches": ["birch"]}, 201)
    assert (made["timezone"], made["language"]) == ("Europe/Madrid", "es")
    other = cys_program.done("POST", "", {**TUESDAYS, "branches": ["birch"], "timezone": "UTC",
                                          "language": "en"}, 201)  # fmt: skip
    assert (other["start"], other["language"]) == ("2026-11-24T19:00:00+00:00", "en")


# ---------------------------------------------------------------- who may


def writings(number: int) -> list[tuple[str, str, object]]:
    """Every way to write, each of which would do something."""
    return [
        ("POST", "", TUESDAYS),
        ("PATCH", f"/{number}", {"title": "Another"}),
        ("POST", f"/{number}/cancellation", {"reason": "Snow."}),
        ("POST", f"/{number}/publication", None),
        ("PUT", f"/{number}/dates/2026-12-01T19:00", {"title": "Another"}),
        ("DELETE", f"/{number}/dates/2026-12-01T19:00", None),
        ("DELETE", f"/{number}", None),
    ]


def everything(database: Database) -> list[object]:
    with database.reading() as session:
        events = session.exec(select(Event).order_by(col(Event.id))).all()
        return [changes.snapshot(session, event) for event in events]


def test_without_a_token_that_is_good_nothing_is_written(
    app: Starlette, database: Database, program: Program, ana: TestClient, cast: Cast
) -> None:
    number = program.posted()
    expired = token_of(database, cast.ana, NOW - ApiToken.LIFETIME)
    before = everything(database)
    for token in (None, "", "bl_made-up", expired):
        for method, path, body in writings(number):
            answer = Program(app, token).send(method, path, body, if_match="*")
            assert answer.status_code == 401, (token, method, path)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.headers["content-type"] == "application/problem+json"
    for method, path, body in writings(number):  # signed in, from our own page
        assert ana.request(method, f"/api/v1/events{path}", json=body).status_code == 401, path
    assert ana.post("/api/v1/events", content=b"{").status_code == 401
    assert Program(app, expired).send("GET", f"/{number}").status_code == 401
    assert everything(database) == before


def test_of_another_branch_nothing_is_there_to_be_written(
    app: Starlette, database: Database, program: Program, cys_program: Program
) -> None:
    number, own = program.posted(), cys_program.posted(branches=["birch"])
    with database.writing() as session:
        nobody = sign_in.find_or_add(session, "eve@example.org", NOW)
    eves_program, before = Program(app, token_of(database, nobody)), everything(database)
    for method, path, body in writings(number):
        for stranger in (cys_program, eves_program):
            answer = stranger.send(method, path, body, if_match="*")
            assert answer.status_code == 404, (method, path)
            assert answer.json()["detail"] == "There is nothing at this address."
    assert cys_program.send("PATCH", f"/{own}", {"branches": ["alder"]}, if_match="*").status_code == 404
    assert everything(database) == before


def test_a_token_counts_in_the_api_alone_and_no_cookie_counts_there(
    app: Starlette, database: Database, program: Program, ana: TestClient, ben: TestClient, cast: Cast
) -> None:
    draft = program.posted(state="draft")
    assert ana.get(f"/api/v1/events/{draft}").status_code == 404
    cys = {"Authorization": f"bearer {token_of(database, cast.cy)}"}
    assert ana.patch(f"/api/v1/events/{draft}", json={"title": "Mine"}, headers=cys).status_code == 404
    header = {"Authorization": f"Bearer {token_of(database, cast.ana)}", "Sec-Fetch-Site": "cross-site"}
    assert ben.get("/account", headers=header).status_code == 303
    assert ana.post("/account/sessions", headers=header).status_code == 403
    assert ana.post("/es/account/sessions", headers=header).status_code == 403
    assert ben.patch(f"/es/api/v1/events/{draft}", json={"title": "Mío", "revision": "1.0"},
                     headers=header).status_code == 200  # fmt: skip
    for scheme in ("Basic", "Token", ""):
        other = {"Authorization": header["Authorization"].replace("Bearer", scheme)}
        assert ana.patch(f"/api/v1/events/{draft}", json={}, headers=header | other).status_code == 401


def test_a_token_may_ask_sixty_times_a_minute(
    settings: Settings, database: Database, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (limits.API.most, limits.API.seconds) == (60, 60)
    monkeypatch.setattr(limits, "API", Limit("api", 3, 10**9))
    with running(replace(settings, rate_limits=True)) as app:
        anas, cys = (Program(app, token_of(database, person)) for person in (cast.ana, cast.cy))
        assert [anas.send("GET", "").status_code for _ in range(3)] == [200, 200, 200]
        answer = anas.send("POST", "", TUESDAYS)
        assert answer.status_code == 429 and int(answer.headers["retry-after"]) > 0
        assert cys.send("GET", "").status_code == 200
        before = counts(database)
        assert Program(app, "bl_made-up").send("GET", "").status_code == 401
        assert counts(database) == before


def counts(database: Database) -> list[int]:
    with database.reading() as session:
        return sorted(session.exec(select(limits.RequestCount.count)))


# ---------------------------------------------------------------- approval


@pytest.fixture
def untrusted(app: Starlette, database: Database, cast: Cast) -> Program:
    """Fay organizes at Alder too, and what she posts needs approval."""
    with database.writing() as session:
        fay = sign_in.find_or_add(session, "fay@example.org", NOW)
        permissions.invite(session, fay, cast.alder, Role.ORGANIZER, trusted=False)
    return Program(app, token_of(database, fay))


def test_what_needs_approval_is_submitted_and_says_so(
    database: Database, untrusted: Program, program: Program, ben: TestClient
) -> None:
    made = untrusted.done("POST", "", TUESDAYS, 201)
    draft = untrusted.done("POST", "", {**TUESDAYS, "state": "draft"}, 201)
    assert (made["state"], draft["state"]) == ("submitted", "draft")
    assert ben.get(f"/api/v1/events/{made['id']}").status_code == 404
    assert untrusted.done("POST", f"/{draft['id']}/publication")["state"] == "submitted"
    with database.reading() as session:
        waiting = session.exec(select(Proposal.event_id).where(col(Proposal.decided_at).is_(None))).all()
    assert sorted(waiting) == [made["id"], draft["id"]]
    assert untrusted.changed(made["id"], title="Better")["state"] == "submitted"
    assert program.done("POST", f"/{made['id']}/publication")["state"] == "published"
    with database.reading() as session:
        assert session.get_one(Proposal, made["id"]).accepted is True


def test_who_needs_approval_changes_nothing_that_is_public(
    database: Database, untrusted: Program, program: Program
) -> None:
    number = program.posted()
    before = everything(database)
    for method, path, body in writings(number)[1:]:
        assert untrusted.send(method, path, body, if_match="*").status_code == 409, path
    assert everything(database) == before


def test_what_is_public_does_not_go_to_a_branch_where_one_needs_approval(
    database: Database, program: Program, cast: Cast
) -> None:
    number = program.posted()
    with database.writing() as session:
        permissions.invite(session, cast.ana, cast.birch, Role.ORGANIZER, trusted=False)
    answer = program.send("PATCH", f"/{number}", {"branches": ["birch"]}, if_match="*")
    assert answer.status_code == 422 and "needs approval" in answer.json()["errors"]["branches"]


# ---------------------------------------------------------------- what is sent


def test_every_fault_is_named_by_its_path(program: Program) -> None:
    body = {
        **TUESDAYS,
        "title": " ",
        "start": "2026-11-24",
        "venue": {"name": "", "latitude": 91},
        "topics": ["Repair", 3],
        "exdates": ["tomorrow"],
        "overrides": [{"original_start": "2026-12-01T19:00", "start": "soon", "nonsense": 1}],
        "state": "cancelled",
        "reason": "Snow.",
        "nonsense": [],
    }
    faults = program.faults("POST", "", body)
    assert faults.keys() == {
        *("title", "start", "venue.name", "venue.latitude", "topics.1", "exdates.0", "overrides.0.start"),
        *("overrides.0.nonsense", "state", "reason", "nonsense"),
    }
    assert faults["nonsense"] == "There is no such field here."
    assert "2026-11-24T19:00" in faults["start"] and "-90" not in faults["title"]


def test_contradictions_stand_at_the_field_to_look_at(program: Program) -> None:
    assert program.faults("POST", "", {**TUESDAYS, "end": "2026-11-24T18:00"}).keys() == {"end"}
    assert program.faults("POST", "", {**TUESDAYS, "start": "2026-11-23T19:00"}).keys() == {"start"}
    assert program.faults("POST", "", {**TUESDAYS, "attendance": "online"}).keys() == {"venue"}
    assert program.faults("POST", "", {"branches": ["alder"]}).keys() == {"title", "start", "end"}


def test_branches_are_a_list_of_those_that_are_there(program: Program) -> None:
    for branches, paths in (
        (None, {"branches"}),
        ([], {"branches"}),
        ("alder", {"branches"}),
        (["alder", 7], {"branches"}),
        (["alder"] * 21, {"branches"}),
        (["alder", "birch", "nope", "no\x00pe"], {"branches.2", "branches.3"}),
    ):
        assert program.faults("POST", "", {**TUESDAYS, "branches": branches}).keys() == paths


def test_a_program_learns_in_its_language_what_is_wrong(program: Program) -> None:
    answer = program.client.post("/es/api/v1/events", json={"branches": ["alder"]})
    assert answer.json()["errors"]["title"] == "Este campo es obligatorio."


def test_what_is_no_json_object_is_refused(program: Program) -> None:
    for raw, kind, status in (
        (b"title=Tool+night", "application/x-www-form-urlencoded", 415),
        (b"{}", "", 415),
        (b"{}", "text/json", 415),
        (b"{", "application/json", 400),
        (b'{"title": NaN}', "application/json", 400),
        (b'{"title": "\xff"}', "application/json", 400),
        (b'{"title": "\\ud83d"}', "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"1" * 10_000, "application/json", 400),
        (b"[]", "application/json", 422),
        (b"null", "application/json", 422),
        (b"", "application/json", 422),
        (b'\xef\xbb\xbf{"title": ""}', "application/json; charset=utf-8", 422),
    ):
        answer = program.client.post("/api/v1/events", content=raw, headers={"Content-Type": kind})
        assert answer.status_code == answer.json()["status"] == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json" and answer.json()["detail"]


def test_what_is_too_large_is_413(program: Program) -> None:
    for length in (300_000, 3_000_000):
        answer = program.send("POST", "", {**TUESDAYS, "description": "x" * length})
        assert answer.status_code == answer.json()["status"] == 413


# ---------------------------------------------------------------- times


def test_times_are_by_the_wall_clock_and_an_offset_has_to_agree_with_it(program: Program) -> None:
    for start, said in (
        ("2026-11-24T19:00", "2026-11-24T19:00:00-06:00"),
        ("2026-11-24T19:00:00.000", "2026-11-24T19:00:00-06:00"),
        ("2026-11-24T19:00:00-06:00", "2026-11-24T19:00:00-06:00"),
        ("2026-11-24T19:00-05:00", None),
        ("2026-11-25T01:00Z", None),
        ("2026-11-24", None),
        ("2026-11-31T19:00", None),
        ("24.11.2026 19:00", None),
        (2332346400, None),
        (None, None),
        ("9999-12-31T19:00", None),
        ("0001-01-01T00:00+14:00", None),
    ):
        body = {**TUESDAYS, "rrule": "", "start": start}
        if said is None:
            assert "start" in program.faults("POST", "", body)
        else:
            assert program.done("POST", "", body, 201)["start"] == said


def test_an_offset_that_is_not_the_zone_s_is_explained(program: Program) -> None:
    fault = program.faults("POST", "", {**TUESDAYS, "start": "2026-11-24T19:00Z"})["start"]
    assert "America/Chicago" in fault and "2026-11-24T19:00:00-06:00" in fault


def test_all_day_events_are_written_as_they_are_told(program: Program) -> None:
    days = {"all_day": True, "rrule": "", "start": "2026-12-04", "end": "2026-12-06"}
    made = program.done("POST", "", {**TUESDAYS, **days}, 201)
    assert (made["start"], made["end"]) == ("2026-12-04", "2026-12-06")
    moved = program.changed(made["id"], start="2026-12-11")
    assert (moved["start"], moved["end"]) == ("2026-12-11", "2026-12-13")
    assert program.faults("POST", "", {**TUESDAYS, **days, "start": "2026-12-04T00:00"}).keys() == {"start"}
    assert program.faults("POST", "", {**TUESDAYS, **days, "end": "9999-12-31"}).keys() == {"end"}
    assert program.faults("POST", "", {**TUESDAYS, "all_day": "yes"}).keys() == {"all_day"}


def test_what_was_told_of_an_event_can_be_sent_back(program: Program) -> None:
    made = program.done("POST", "", {**TUESDAYS, "rrule": "FREQ=WEEKLY;BYDAY=TU;UNTIL=20270201T190000",
                                     "exdates": ["2026-12-01T19:00"]}, 201)  # fmt: skip
    same = {name: made[name] for name in ("title", "start", "end", "timezone", "rrule", "exdates", "cost",
                                          "access", "language", "attendance")}  # fmt: skip
    again = program.changed(made["id"], **same)
    assert made == again and made["exdates"] == ["2026-12-01T19:00:00-06:00"]


# ---------------------------------------------------------------- once


def test_the_same_key_again_is_the_same_event(program: Program, cys_program: Program) -> None:
    first = program.done("POST", "", TUESDAYS, 201, idempotency_key="24")
    again = program.send("POST", "", {**TUESDAYS, "title": "Another"}, idempotency_key='"24"')
    assert (again.status_code, again.json()) == (200, first)
    assert program.done("POST", "", {**TUESDAYS, "key": "24"}) == first
    others = cys_program.done("POST", "", {**TUESDAYS, "branches": ["birch"], "key": "24"}, 201)
    assert others["id"] != first["id"] != program.posted(key="25")
    assert program.faults("POST", "", {**TUESDAYS, "key": "x" * 201}).keys() == {"key"}
    assert program.faults("POST", "", {**TUESDAYS, "key": 24}).keys() == {"key"}


def test_a_key_does_not_bring_back_what_was_removed_or_went_to_another_branch(
    database: Database, program: Program, cast: Cast
) -> None:
    gone, moved = program.posted(key="gone"), program.posted(key="moved")
    program.done("DELETE", f"/{gone}", status=204)
    with database.writing() as session:
        session.get_one(Event, moved).branch_id = cast.birch.id or 0
    assert program.send("POST", "", {**TUESDAYS, "key": "gone"}).status_code == 410
    assert program.send("POST", "", {**TUESDAYS, "key": "moved"}).status_code == 404


def both(*sends: Callable[[], Any]) -> list[int]:
    with ThreadPoolExecutor(len(sends)) as threads:
        return sorted(answer.status_code for answer in threads.map(lambda send: send(), sends))


@on_both_engines
def test_a_key_that_comes_twice_at_the_same_moment_makes_one_event(
    app: Starlette, database: Database, cast: Cast
) -> None:
    programs = [Program(app, token_of(database, cast.ana)) for _ in range(2)]
    body = {**TUESDAYS, "key": "24"}
    assert both(*(lambda one=one: one.send("POST", "", body) for one in programs)) == [200, 201]
    assert len(everything(database)) == 1


@on_both_engines
def test_of_two_that_change_the_same_edition_one_is_told_to_look_again(
    app: Starlette, database: Database, cast: Cast
) -> None:
    programs = [Program(app, token_of(database, cast.ana)) for _ in range(2)]
    number = programs[0].posted()
    seen = programs[0].send("GET", f"/{number}").headers["etag"]
    for turn in range(3):
        assert both(*(rename(one, number, f"{turn} {at}", seen) for at, one in enumerate(programs))) == [
            200,
            412,
        ]
        seen = programs[0].send("GET", f"/{number}").headers["etag"]


def rename(program: Program, number: int, title: str, seen: str) -> Callable[[], Any]:
    return lambda: program.send("PATCH", f"/{number}", {"title": title}, if_match=seen)


# ---------------------------------------------------------------- changing


def test_what_is_sent_takes_the_place_of_what_was_and_the_rest_stays(
    database: Database, program: Program, cast: Cast
) -> None:
    number = program.posted()
    was = program.done("GET", f"/{number}")
    is_now = program.changed(number, title="Repair night", topics=["Bikes"], online_url="", cost="$5")
    assert (is_now["title"], is_now["cost"]) == ("Repair night", "$5")
    assert [topic["slug"] for topic in is_now["topics"]] == ["bikes"]
    moves = {"title", "cost", "topics", "updated", "revision"}
    assert {name: was[name] for name in was.keys() - moves} == {
        name: is_now[name] for name in is_now.keys() - moves
    }
    assert actions(database, number) == [("added", cast.ana.id), ("changed", cast.ana.id)]


def test_a_start_alone_moves_the_event_and_its_changed_dates_along(program: Program) -> None:
    number = program.posted(exdates=["2026-12-08T19:00"])
    program.done("PUT", f"/{number}/dates/2026-12-01T19:00", {"title": "With cake"})
    moved = program.changed(number, start="2026-11-24T18:30")
    assert (moved["start"], moved["end"]) == ("2026-11-24T18:30:00-06:00", "2026-11-24T20:30:00-06:00")
    assert moved["exdates"] == ["2026-12-08T18:30:00-06:00"]
    dates = program.client.get(moved["occurrences_url"]).json()["items"]
    assert [date["title"] for date in dates[:3]] == ["Tool night", "With cake", "Tool night"]


def test_dates_that_are_sent_are_all_there_are(program: Program) -> None:
    number = program.posted(exdates=["2026-12-08T19:00"])
    program.done("PUT", f"/{number}/dates/2026-12-01T19:00", {"title": "With cake"})
    assert program.changed(number, exdates=["2026-12-15T19:00"])["exdates"] == ["2026-12-15T19:00:00-06:00"]
    dates = program.client.get(f"/api/v1/occurrences?event={number}").json()["items"]
    assert [date["title"] for date in dates[:3]] == ["Tool night", "With cake", "Tool night"]
    changed = [{"original_start": "2026-12-08T19:00", "start": "2026-12-09T19:00-06:00"}]
    program.changed(number, overrides=changed)
    dates = program.client.get(f"/api/v1/occurrences?event={number}").json()["items"]
    assert [date["title"] for date in dates[:3]] == ["Tool night"] * 3
    assert dates[2]["start"] == "2026-12-09T19:00:00-06:00"


def test_an_edition_that_is_not_the_newest_is_not_overwritten(
    program: Program, ana: TestClient, database: Database
) -> None:
    number = program.posted()
    old = program.send("GET", f"/{number}")
    tag, revision = old.headers["etag"], old.json()["revision"]
    assert (
        program.done("PATCH", f"/{number}", {"title": "Second"}, if_match=f'"x", {tag}')["title"] == "Second"
    )
    for headers, more, status in (
        ({"if_match": tag}, {}, 412),
        ({"if_match": f"W/{program.send('GET', f'/{number}').headers['etag']}"}, {}, 412),
        ({"if_match": "nonsense"}, {}, 412),
        ({}, {"revision": revision}, 409),
        ({}, {"revision": 7}, 409),
        ({}, {}, 428),
    ):
        answer = program.send("PATCH", f"/{number}", {"title": "Third", **more}, **headers)
        assert answer.status_code == answer.json()["status"] == status, (headers, more)
    newest = program.done("GET", f"/{number}")
    assert newest["title"] == "Second"
    assert program.done("PATCH", f"/{number}", {"cost": "$5", "revision": newest["revision"]})["cost"] == "$5"
    assert program.send("DELETE", f"/{number}", if_match=tag).status_code == 412
    assert (
        program.send("POST", f"/{number}/cancellation", {"reason": "Snow.", "revision": revision}).status_code
        == 409
    )


def test_a_form_that_was_open_meanwhile_is_told_so(program: Program, ana: TestClient) -> None:
    number = program.posted(rrule="")
    page = ana.get(f"/organize/events/{number}").text
    program.changed(number, title="From the program")
    found = re.search(r'name="revision" value="([^"]+)"', page)
    form = {"branch": "alder", "title": "From the form", "revision": found[1] if found else ""}
    assert ana.post(f"/organize/events/{number}", data=form).status_code == 409


def test_an_event_goes_to_another_branch_of_the_same_person(
    app: Starlette, database: Database, program: Program, cast: Cast
) -> None:
    number = program.posted(branches=["alder", "birch"])
    with database.writing() as session:
        session.add(HostingRefusal(event_id=number, branch_id=cast.birch.id or 0))
        session.add(Membership(person_id=cast.ana.id or 0, branch_id=cast.birch.id or 0))
    assert program.changed(number, branches=["alder", "birch"])["branches"][1]["slug"] == "birch"
    assert [one["slug"] for one in program.changed(number, branches=["alder"])["branches"]] == ["alder"]
    refused = program.faults("PATCH", f"/{number}", {"branches": ["alder", "birch"]}, if_match="*")
    assert "does not want to be named" in refused["branches.1"]
    assert [one["slug"] for one in program.changed(number, branches=["birch"])["branches"]] == ["birch"]


def test_faults_of_a_change_have_their_paths_too_and_change_nothing(
    database: Database, program: Program
) -> None:
    number, before = program.posted(), everything(database)
    for body, path in (
        ({"title": ""}, "title"),
        ({"venue": {"city": "Chicago"}}, "venue.name"),
        ({"start": "2026-11-23T19:00"}, "start"),
        ({"start": "soon"}, "start"),
        ({"end": "2026-11-24T18:00"}, "end"),
        ({"timezone": "Nowhere/Else"}, "timezone"),
        ({"state": "draft"}, "state"),
        ({"key": "24"}, "key"),
        ({"id": 7}, "id"),
        ({"overrides": [{"original_start": "2026-12-02T19:00"}]}, "overrides.0.original_start"),
        ({"overrides": "none"}, "overrides"),
    ):
        assert program.faults("PATCH", f"/{number}", body, if_match="*").keys() == {path}
    assert everything(database)[0] == before[0]


# ---------------------------------------------------------------- its state


def test_an_event_is_cancelled_with_a_reason_and_the_cancellation_taken_back(
    database: Database, program: Program, ben: TestClient
) -> None:
    number = program.posted()
    off = program.done("POST", f"/{number}/cancellation", {"reason": "Snow."})
    assert (off["state"], off["status"], off["reason"]) == ("cancelled", "cancelled", "Snow.")
    assert program.done("POST", f"/{number}/cancellation", {"reason": "Snow."}) == off
    [event] = Subscriber(ben, "/branches/alder.ics").events()
    assert event["STATUS"] == "CANCELLED"
    later = program.done("POST", f"/{number}/cancellation", {"reason": "Too few.", "kind": "postponed"})
    assert (later["state"], later["reason"]) == ("postponed", "Too few.")
    on = program.done("POST", f"/{number}/publication")
    assert (on["state"], on["reason"]) == ("published", "")
    assert [action for action, _ in actions(database, number)] == [
        "added",
        "cancelled",
        "postponed",
        "resumed",
    ]
    assert program.faults("POST", f"/{number}/cancellation", {"reason": " "}).keys() == {"reason"}
    assert program.faults("POST", f"/{number}/cancellation", {"why": "Snow."}).keys() == {"reason", "why"}
    assert program.faults("POST", f"/{number}/publication", {"why": 1}).keys() == {"why"}


def test_a_draft_is_published_and_cannot_be_cancelled_before(
    database: Database, program: Program, ben: TestClient
) -> None:
    number = program.posted(state="draft")
    assert program.send("POST", f"/{number}/cancellation", {"reason": "Snow."}).status_code == 409
    assert program.done("POST", f"/{number}/publication")["state"] == "published"
    assert ben.get(f"/events/{number}").status_code == 200
    assert [action for action, _ in actions(database, number)] == ["added", "published"]


def test_what_is_removed_is_gone(database: Database, program: Program, ben: TestClient, cast: Cast) -> None:
    number = program.posted()
    assert program.done("DELETE", f"/{number}", status=204) is None
    for method, path, body in writings(number)[1:]:
        assert program.send(method, path, body, if_match="*").status_code == 410, path
    assert program.send("GET", f"/{number}").status_code == 410
    [event] = Subscriber(ben, "/branches/alder.ics").events()
    assert event["STATUS"] == "CANCELLED"
    assert actions(database, number) == [("added", cast.ana.id), ("removed", cast.ana.id)]


# ---------------------------------------------------------------- one date of a series


def test_one_date_is_moved_changed_cancelled_and_as_the_series_again(
    database: Database, program: Program, ben: TestClient, cast: Cast
) -> None:
    number = program.posted()
    path = f"/{number}/dates/2026-12-01T19:00:00-06:00"
    body = {"start": "2026-12-02T18:00", "title": "With cake", "venue_name": "The Loft"}
    answer = program.send("PUT", path, body)
    moved = answer.json()
    assert answer.status_code == 200 and answer.headers["etag"] == f'"{moved["revision"]}"'
    assert (moved["start"], moved["end"]) == ("2026-12-02T18:00:00-06:00", "2026-12-02T20:00:00-06:00")
    assert (moved["title"], moved["place"]) == ("With cake", "The Loft")
    assert moved["original_start"] == moved["moved_from"] == "2026-12-01T19:00:00-06:00"
    listed = ben.get(f"/api/v1/occurrences?event={number}").json()["items"][1]
    assert moved == listed | {"revision": moved["revision"]}

    off = program.done("PUT", f"/{number}/dates/2026-12-01T19:00", {"cancelled": True, "reason": "Snow."})
    assert (off["status"], off["reason"], off["title"]) == ("cancelled", "Snow.", "Tool night")
    again = program.done("DELETE", path)
    assert (again["status"], again["start"]) == ("confirmed", "2026-12-01T19:00:00-06:00")
    assert program.done("DELETE", path) == again
    assert actions(database, number)[1:] == [("date", cast.ana.id)] * 3


def test_what_is_wrong_with_a_date_is_said_and_changes_nothing(database: Database, program: Program) -> None:
    number, before = program.posted(), everything(database)
    for body, paths in (
        ({"end": "2026-12-01T18:00"}, {"end"}),
        ({"start": "2026-12-01", "nonsense": 1}, {"start", "nonsense"}),
        ({"start": "2026-12-01T19:00+00:00"}, {"start"}),
        ({"title": ""}, {"title"}),
        ({"cancelled": "yes", "original_start": "2026-12-01T19:00"}, {"cancelled", "original_start"}),
    ):
        assert program.faults("PUT", f"/{number}/dates/2026-12-01T19:00", body).keys() == paths
    for text in ("2026-12-02T19:00", "2026-12-01", "2026-12-01T19:00Z", "soon"):
        answer = program.send("PUT", f"/{number}/dates/{text}", {"title": "With cake"})
        assert (answer.status_code, "no date" in answer.json()["detail"]) == (404, True), text
        assert program.send("DELETE", f"/{number}/dates/{text}").status_code == 404
    assert everything(database) == before


def test_dates_of_all_day_series_and_of_single_events(program: Program) -> None:
    days = {"all_day": True, "rrule": "FREQ=WEEKLY;BYDAY=FR", "start": "2026-12-04", "end": "2026-12-05"}
    camp, once = program.posted(**days), program.posted(rrule="")
    moved = program.done("PUT", f"/{camp}/dates/2026-12-11", {"start": "2026-12-12", "end": "2026-12-14"})
    assert (moved["start"], moved["end"]) == ("2026-12-12", "2026-12-14")
    assert moved["original_start"] == "2026-12-11"
    assert program.send("PUT", f"/{once}/dates/2026-11-24T19:00", {"title": "With cake"}).status_code == 404


# ---------------------------------------------------------------- docs/api.md


DOCS = (ROOT / "docs/api.md").read_text(encoding="utf-8")
CURLS = re.findall(r"^```sh\n(curl .*?)\n```\n(?:\n```json\n(.*?)\n```)?", DOCS, re.MULTILINE | re.DOTALL)


def sent(program: Program, command: str, variables: Mapping[str, str]) -> Any:
    """What curl would do."""
    for name, value in variables.items():
        command = command.replace(f"${name}", value)
    words = shlex.split(command.replace("\\\n", " "))[1:]
    method, data, headers, address = "GET", None, {}, ""
    while words:
        match words.pop(0):
            case "-X":
                method = words.pop(0)
            case "-H":
                name, _, value = words.pop(0).partition(": ")
                headers[name] = value
            case "--json":
                data = words.pop(0).encode()
                headers["Content-Type"] = "application/json"
                method = "POST" if method == "GET" else method
            case word:
                address = word
    path = address.removeprefix("http://localhost:8000")
    return program.client.request(method, path, content=data, headers=headers)


def test_the_commands_in_the_documentation_do_what_it_says(
    app: Starlette, database: Database, cast: Cast
) -> None:
    variables = {"TOKEN": token_of(database, cast.ana)}
    nobody = Program(app, None)
    for command, text in CURLS:
        answer = sent(nobody, command, variables)
        assert answer.status_code < 300 or "errors" in text, (command, answer.text)
        if text:
            assert untrue(json.loads(text), answer.json()) == [], command
    assert len(CURLS) >= 6


def test_the_documentation_names_every_field() -> None:
    fields = {*FIELDS, *DATE_FIELDS, "branches", "state", "revision", "kind"}
    assert {name for name in fields if f"`{name}`" not in DOCS and f'"{name}"' not in DOCS} == set()
