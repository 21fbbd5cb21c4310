"""Answers from memory: the same bytes as the whole way gives, for as long as nothing that they show has moved."""

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.testclient import TestClient

from events.calendars import moves, store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft
from events.calendars.kept import Finished
from events.calendars.models import Event
from events.calendars.moves import Move, Reach
from events.config import Settings
from events.db import Database
from events.places.geo import Distance, Point
from events.web import clock
from events.web.answers import MINUTE_S, Answers, Kept, Shared
from events.web.state import State
from tests.calendars.test_feeds import weekly
from tests.conftest import NOW, Cast, browser, running

PACKED, PLAIN = {"Accept-Encoding": "gzip"}, {"Accept-Encoding": "identity"}
TODAY = datetime.now(UTC)
KEPT = [
    *(
        "/",
        "/events",
        "/es/events?topic=repair",
        "/branches",
        "/branches/alder",
        "/calendar/2043/12",
        "/news",
    ),
    *(
        "/about",
        "/events.ics",
        "/branches/alder.ics",
        "/events.json",
        "/branches/alder.json",
        "/embed/events",
    ),
]


@pytest.fixture(autouse=True)
def in_the_middle_of_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is over, pages are made anew."""
    at = float(int(time.time()) // 60 * 60 + 30)
    monkeypatch.setattr("time.time", lambda: at)


@pytest.fixture
def tool_night(database: Database, publishing: Publishing, cast: Cast) -> int:
    return added(database, publishing, cast)


def added(database: Database, publishing: Publishing, cast: Cast, **changed: Any) -> int:
    with database.writing() as session:
        event = store.add(session, coming(**changed), [cast.alder], publishing, TODAY)
        return event.id or 0


def coming(**changed: Any) -> EventDraft:
    day = TODAY.replace(tzinfo=None, hour=19, minute=0, second=0, microsecond=0) + timedelta(days=7)
    return weekly(start=day, end=day + timedelta(hours=2), rrule="", topics=("Repair",), **changed)


def retitle(database: Database, publishing: Publishing, cast: Cast, number: int, title: str) -> None:
    with database.writing() as session:
        event = session.get_one(Event, number)
        store.revise(session, event, coming(title=title), [cast.alder], publishing, datetime.now(UTC))


@contextmanager
def made(app: Starlette, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The paths of the answers that were made, not taken from memory."""
    state: State = app.state.branchline
    seen: list[str] = []
    reading = state.database.reading

    def noted(**how: Any) -> Any:
        seen.append("read")
        return reading(**how)

    monkeypatch.setattr(state.database, "reading", noted)
    yield seen


@pytest.mark.parametrize("path", KEPT)
def test_what_is_asked_for_again_comes_from_memory_the_same(
    app: Starlette, ben: TestClient, tool_night: int, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ben.get(path, headers=PLAIN)
    with made(app, monkeypatch) as reads:
        again, packed = ben.get(path, headers=PLAIN), ben.get(path, headers=PACKED)
        head = ben.head(path, headers=PLAIN)
        tags = [first.headers["etag"], packed.headers["etag"]]
        known = [ben.get(path, headers={"If-None-Match": tag, **PLAIN}) for tag in tags]
    assert reads == [], "no session, no thread"
    assert first.status_code == 200 and (again.content, dict(again.headers)) == (
        first.content,
        dict(first.headers),
    )
    assert (
        packed.content == first.content
        and packed.headers["content-encoding"] == "gzip"
        and len(set(tags)) == 2
    )
    assert (head.content, dict(head.headers)) == (b"", dict(first.headers))
    assert [(one.status_code, one.content, one.headers["etag"]) for one in known] == [(304, b"", tags[0])] * 2
    assert "content-security-policy" in again.headers and "content-security-policy" not in known[0].headers


@pytest.mark.parametrize("path", ["/", "/events", "/branches/alder", "/events.ics", "/branches/alder.json"])
def test_what_changes_is_seen_by_the_next_who_asks(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast, tool_night: int, path: str
) -> None:
    before = ben.get(path)
    assert ben.get(path, headers={"If-None-Match": before.headers["etag"]}).status_code == 304
    retitle(database, publishing, cast, tool_night, "Saw night")
    with database.writing() as session:
        session.merge(cast.alder).name = "Alder Hall"
        moves.move_revision(session, datetime.now(UTC))
    after = ben.get(path, headers={"If-None-Match": before.headers["etag"]})
    assert after.status_code == 200 and after.headers["etag"] != before.headers["etag"]
    assert re.search("Saw night|Alder Hall", after.text)


def test_what_somebody_signed_in_sees_is_never_kept_and_never_shown_to_others(
    app: Starlette, ana: TestClient, ben: TestClient, tool_night: int
) -> None:
    for path in ("/", "/events", f"/events/{tool_night}", "/branches/alder"):
        hers = ana.get(path)
        assert hers.headers["cache-control"] == "no-store"
        his = ben.get(path)
        assert "public" in his.headers["cache-control"] and his.headers["vary"] == "Accept-Encoding, Cookie"
        assert "/account" in hers.text and "/account" not in his.text
        assert "/account" in ana.get(path).text, "not even when his is in memory"


def test_what_caches_may_keep_has_no_token_and_what_has_a_key_of_its_own_is_kept_by_nobody(
    ben: TestClient, tool_night: int, cast: Cast
) -> None:
    hidden = re.compile(r'<input type="hidden" name="(\w+)" value="([\w-]{16,})"')
    for path in ("/", "/events", f"/events/{tool_night}", "/branches", "/branches/alder", "/about"):
        page = ben.get(path)
        assert "public" in page.headers["cache-control"] and not hidden.search(page.text)
    for path in ("/branches/alder/contact", "/suggest", f"/events/{tool_night}/report"):
        pages = [ben.get(path) for _ in range(2)]
        assert {page.headers["cache-control"] for page in pages} == {"private, no-cache"}
        keys = [dict(hidden.findall(page.text))["key"] for page in pages]
        assert keys[0] != keys[1]


def test_what_visitors_look_for_is_not_kept_and_no_cache_may_keep_it(
    app: Starlette, ben: TestClient, cast: Cast
) -> None:
    answers = app.state.branchline.answers
    held = answers.held
    for path in ("/events?near=41.92,-87.65", "/branches?near=Alder", "/events?q=saw", "/events?unknown=1"):
        answer = ben.get(path)
        assert answer.status_code == 200 and answer.headers["cache-control"] == "private, no-cache"
        assert "etag" not in answer.headers
    assert answers.held == held


def test_feeds_near_a_place_are_kept_by_the_languages_of_who_asks(
    ben: TestClient, tool_night: int, cast: Cast
) -> None:
    path = "/events.ics?near=41.92,-87.65&within=25mi"
    tags = {
        ben.get(path, headers={"Accept-Language": code}).headers["etag"]
        for code in ("en-US", "de-DE", "en-US")
    }
    assert len(tags) == 1
    assert "Accept-Language" in ben.get(path).headers["vary"]


def test_a_stampede_makes_one_answer(
    app: Starlette, ben: TestClient, tool_night: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask(number: int) -> list[int]:
        statuses: list[int] = []

        async def once() -> None:
            async def send(message: Any) -> None:
                if message["type"] == "http.response.start":
                    statuses.append(message["status"])

            scope = {"type": "http", "method": "GET", "path": "/events.ics", "query_string": b"", "app": app,
                     "headers": [(b"host", b"localhost")], "client": ("192.0.2.1", 1), "root_path": "",
                     "http_version": "1.1", "scheme": "http", "server": ("localhost", 80), "state": {}}  # fmt: skip
            await app(scope, receive, send)

        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        await asyncio.gather(*(once() for _ in range(number)))
        return statuses

    with made(app, monkeypatch) as reads:
        assert asyncio.run(ask(16)) == [200] * 16
    assert len(reads) == 1


def test_a_poll_of_a_branchs_feed_is_counted_also_from_memory(
    app: Starlette, ben: TestClient, tool_night: int
) -> None:
    tag = ben.get("/branches/alder.ics", headers={"User-Agent": "Thunderbird"}).headers["etag"]
    for _ in range(3):
        ben.get("/branches/alder.ics", headers={"User-Agent": "Thunderbird", "If-None-Match": tag})
    [(poll, counts)] = app.state.branchline.polls.counts.items()
    assert (poll.family, counts) == ("Thunderbird", [4, 3])


def test_another_host_gets_nothing_from_memory(ben: TestClient, tool_night: int) -> None:
    assert ben.get("/events.ics").status_code == 200
    assert ben.get("/events.ics", headers={"Host": "evil.example"}).status_code == 400


def test_pages_from_memory_draw_on_the_same_limit(
    settings: Settings, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = datetime.now(UTC)  # all within one minute, however long it takes
    monkeypatch.setattr(clock, "datetime", SimpleNamespace(now=lambda zone: at))
    with running(replace(settings, rate_limits=True)) as app:
        statuses = [browser(app).get("/about").status_code for _ in range(602)]
    assert statuses == [200] * 600 + [429] * 2, "nobody is refused too early, and each is counted once"


def test_a_file_is_kept_under_its_fingerprint_for_ever(app: Starlette, ben: TestClient, cast: Cast) -> None:
    address = app.state.branchline.assets.url_of("css/all.css")
    first, again = ben.get(address, headers=PACKED), ben.get(address, headers=PACKED)
    assert first.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert (again.content, again.headers["content-encoding"]) == (first.content, "gzip")
    assert ben.get(address, headers={"If-None-Match": first.headers["etag"]}).status_code == 304


# ---------------------------------------------------------------- what stands


EDITED = Move(7, frozenset({"branch:1", "topic:2"}), (Point(41.9, -87.6), Point(40.4, -3.7)))


@pytest.mark.parametrize(
    ("reach", "touched"),
    [
        (Reach(), True),
        (Reach(branches=frozenset({"branch:1", "branch:5"})), True),
        (Reach(branches=frozenset({"branch:5"})), False),
        (Reach(topics=frozenset({"topic:3"})), False),
        (Reach(branches=frozenset({"branch:1"}), topics=frozenset({"topic:3"})), False),
        (Reach(event_id=7), True),
        (Reach(event_id=8), False),
        (Reach(near=Point(41.92, -87.64), within=Distance(40)), True),
        (Reach(near=Point(40.42, -3.7), within=Distance(8)), True),  # it has been there, or is now
        (Reach(near=Point(48.85, 2.35), within=Distance(400)), False),
    ],
)
def test_a_list_stands_while_what_moves_is_none_of_its_events(reach: Reach, touched: bool) -> None:
    assert reach.touched_by(EDITED) is touched
    assert reach.touched_by(moves.ANYTHING), "a branch has changed, or what nobody can say"
    nowhere_known = Move(7, EDITED.scopes, None)
    assert Reach(near=Point(48.85, 2.35), within=Distance(400)).touched_by(nowhere_known)


def test_a_step_is_kept_with_what_it_was_about(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        store.revise(session, event, coming(), [cast.birch], publishing, datetime.now(UTC))
    with database.reading() as session:
        *_, last = moves.moves_since(session.connection(), 0, 2) or []
    assert last.event_id == tool_night
    assert {f"branch:{cast.alder.id}", f"branch:{cast.birch.id}"} <= last.scopes, "before and after"
    assert last.points is not None and {round(point.latitude) for point in last.points} == {42, 40}


def test_who_is_too_far_behind_or_asks_for_what_is_forgotten_is_told_so(database: Database) -> None:
    with database.writing() as session:
        for _ in range(3):
            moves.move_revision(session, NOW)
        connection = session.connection()
        assert moves.moves_since(connection, 1, 3) == [moves.ANYTHING] * 2
        assert moves.moves_since(connection, 3, 2) is None, "it went back: another database"
        assert moves.moves_since(connection, 0, moves.MOST + 1) is None
        connection.execute(sa.text("DELETE FROM calendar_move WHERE number = 2"))
        assert moves.moves_since(connection, 1, 3) is None


def test_steps_that_are_made_at_the_same_time_all_count(database: Database) -> None:
    def step(_: int) -> None:
        with database.writing() as session:
            moves.move_revision(session, NOW)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(step, range(40)))
    with database.reading() as session:
        assert len(moves.moves_since(session.connection(), 0, 40) or []) == 40


def test_the_feed_of_another_branch_stands_while_this_one_is_edited(
    app: Starlette, ben: TestClient, database: Database, publishing: Publishing, cast: Cast, tool_night: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    before = ben.get("/branches/birch.ics")
    retitle(database, publishing, cast, tool_night, "Saw night")
    with made(app, monkeypatch) as reads:
        after = ben.get("/branches/birch.ics")
        assert reads == [] and after.content == before.content
        assert "Saw night" in ben.get("/branches/alder.ics").text and len(reads) == 1
    assert after.headers["last-modified"] >= before.headers["last-modified"]


@pytest.mark.parametrize(
    ("statement", "moves_on"),
    [
        (lambda cast: sa.text("UPDATE branch SET city = 'X'"), False),  # nobody writes so but by hand
        (lambda cast: sa.update(Event).values(title="X"), True),
        (lambda cast: sa.delete(Event), True),
    ],
)
def test_the_revision_of_the_site_moves_with_what_is_written_through_the_models(
    database: Database, cast: Cast, statement: Callable[[Cast], Any], moves_on: bool
) -> None:
    before = site(database)
    with database.writing() as session:
        session.connection().execute(statement(cast))
    assert (site(database) > before) is moves_on


def test_what_no_page_shows_moves_nothing(database: Database, cast: Cast) -> None:
    before = site(database)
    with database.writing() as session:
        session.merge(cast.ana).name = "Ana A."
    assert site(database) == before
    with pytest.raises(ZeroDivisionError), database.writing() as session:
        session.merge(cast.alder).name = "Never"
        session.flush()
        raise ZeroDivisionError
    assert site(database) == before
    with database.writing() as session:
        session.merge(cast.alder).name = "Alder Hall"
    assert site(database) == before + 1


def site(database: Database) -> int:
    with database.reading() as session:
        number: int = session.connection().execute(sa.text("SELECT number FROM site_revision")).scalar_one()
        return number


def test_what_many_pages_say_alike_is_asked_once_until_something_moves() -> None:
    shared, numbers = Shared(most=2), count(1)

    def say(stamp: object, key: str) -> int:
        return shared.of(stamp, key, lambda: next(numbers))

    said = [say((1, 1), "topics"), say((1, 1), "topics"), say((1, 2), "topics"), say((2, 2), "topics")]
    assert said == [1, 1, 2, 3]
    assert say(None, "topics") == 4, "nobody has looked"
    assert [say((2, 2), key) for key in ("a", "b", "topics")] == [5, 6, 7], "no more than so many are kept"


# ---------------------------------------------------------------- what is held


def page(size: int) -> Kept:
    response = Response(b"x" * size, media_type="text/plain")
    return Kept(response, {}, site=1, good_until=float("inf"), for_programs=False)


def test_memory_holds_no_more_bytes_than_it_may_and_lets_go_of_what_is_asked_for_least() -> None:
    answers = Answers(most_bytes=40_000)
    addresses = [(name, b"", b"") for name in "abcd"]
    a, b, c, d = addresses
    for address in (a, b, a, a, b, c):
        answers.put(address, page(10_000))
    assert all(answers.get(each) for each in (b, c, a)), "what was replaced does not count"
    answers.put(d, page(10_000))
    assert [each for each in addresses if answers.get(each)] == [a, c, d]
    answers.put(b, page(1_000_000))
    assert [each for each in addresses if answers.get(each)] == [] and answers.held == 0


def test_pages_of_a_minute_that_is_over_are_let_go_of_with_the_next_page(
    app: Starlette, ben: TestClient, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = app.state.branchline.answers
    css = app.state.branchline.assets.url_of("css/all.css")
    for path in ("/about", "/news", css):
        ben.get(path)
    later = time.time() + 61
    monkeypatch.setattr("time.time", lambda: later)
    ben.get("/credits")
    there = [path for path in ("/about", "/news", css, "/credits") if answers.get((path, b"", b""))]
    assert there == [css, "/credits"]


def test_the_same_bytes_are_packed_the_same_at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    first = page(10_000)
    monkeypatch.setattr("time.time", lambda: 2_000_000_000.0)
    assert page(10_000).pack() == first.pack() and page(10_000).packed_etag == first.packed_etag


def test_a_page_stands_until_the_minute_is_over(ben: TestClient, app: Starlette, cast: Cast) -> None:
    ben.get("/events")
    state: State = app.state.branchline
    found = state.answers.get(("/events", b"", b""))
    assert found is not None and found.good_until % MINUTE_S == 0
    assert found.stands(state.revisions, found.good_until - 1) and not found.stands(
        state.revisions, found.good_until
    )


def test_a_list_stands_as_long_as_it_says(app: Starlette) -> None:
    until = NOW + timedelta(hours=1)
    finished = Finished(b"x", NOW, NOW, until, revision=0, reach=Reach())
    kept = Kept(
        Response(b"x"), {}, site=5, good_until=until.timestamp(), for_programs=True, finished=finished
    )
    revisions = app.state.branchline.revisions
    assert kept.stands(revisions, until.timestamp() - 1) and not kept.stands(revisions, until.timestamp())
