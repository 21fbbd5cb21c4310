"""Who follows a branch: counted by kind of app, in memory, and nobody is known by it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import select
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events.calendars import polls, store
from events.calendars.content import Publishing
from events.calendars.models import Event, PollCount
from events.calendars.polls import Poll, PollCounter, family_of
from events.db import Database
from tests.calendars.test_feeds import weekly
from tests.conftest import NOW, Cast, Engines

APPLE = "macOS/15.1 (24B83) dataaccessd/1.0"
GOOGLE = "Google-Calendar-Importer"


@pytest.mark.parametrize(
    ("agent", "family"),
    [
        (GOOGLE, "Google"),
        (APPLE, "Apple"),
        ("iOS/18.0 (22A3354) dataaccessd/1.0", "Apple"),
        ("Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0)", "Outlook"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Thunderbird/128.0", "Thunderbird"),
        ("Mozilla/5.0 (Linux) mirall/3 (Nextcloud)", "Nextcloud"),
        ("ICSx5/2.2 (ktor; okhttp) Android/14", "ICSx5"),
        ("HomeAssistant/2026.11 httpx/0.28", "Home Assistant"),
        ("vdirsyncer/0.19.3", "khal, vdirsyncer"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/156.0 Safari/537.36", "a browser"),
        ("curl/8.5", "other"),
        ("", "other"),
    ],
)  # fmt: skip
def test_apps_are_known_by_their_kind(agent: str, family: str) -> None:
    assert family_of(agent) == family


def flush(app: Starlette, database: Database) -> None:
    app.state.branchline.polls.flush(database)


def poll(client: TestClient, agent: str, path: str = "/branches/alder.ics", tag: str = "") -> str:
    headers = {"User-Agent": agent} | ({"If-None-Match": tag} if tag else {})
    return str(client.get(path, headers=headers).headers["etag"])


def test_ana_sees_which_apps_have_the_newest(
    app: Starlette, database: Database, ben: TestClient, ana: TestClient, publishing: Publishing, cast: Cast
) -> None:
    assert "Nobody yet" in ana.get("/organize/branches/alder/subscribers").text
    with database.writing() as session:
        event = store.add(session, weekly(), [cast.alder], publishing, NOW)
    tag = poll(ben, APPLE)
    poll(ben, APPLE, tag=tag)
    poll(ben, GOOGLE)
    with database.writing() as session:
        event = session.get_one(Event, event.id)
        store.revise(session, event, weekly(title="Saw night"), [cast.alder], publishing, datetime.now(UTC))
    poll(ben, APPLE, "/es/branches/alder.ics", tag=tag)
    poll(ben, APPLE, "/branches/alder.ics?client=google", tag=tag)
    flush(app, database)
    with database.reading() as session:
        rows = {(row.family, row.polls, row.unchanged) for row in session.exec(select(PollCount))}
    assert rows == {("Apple", 2, 1), ("Apple", 2, 0), ("Google", 1, 0)}
    text = ana.get("/organize/branches/alder/subscribers").text
    apple, google = (row for row in text.split("<tr>") if "Apple" in row or "Google" in row)
    assert "50 %" in apple and "25 %" in apple, "half of the polls got the newest, a quarter had it already"
    assert "0 %" in google and "50 %" not in google
    assert ">0<" not in text, "looking at the page counts as no poll"


def test_a_poll_writes_nothing_and_what_was_counted_is_flushed_once(
    app: Starlette, database: Database, ben: TestClient, cast: Cast
) -> None:
    statements: list[str] = []
    engine = app.state.branchline.database.engine
    sa.event.listen(engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    poll(ben, APPLE)
    assert not [one for one in statements if one.startswith(("INSERT", "UPDATE", "DELETE"))]
    counter = app.state.branchline.polls
    assert (counter.flush(database), counter.flush(database)) == (1, 0)


def test_what_could_not_be_written_is_kept(database: Database, engines: Engines, cast: Cast) -> None:
    counter = PollCounter()
    counter.count(Poll(cast.alder.id or 0, NOW.date(), "Apple", "x"), unchanged=True)
    nowhere = Database(engines.blank_url("sqlite"))
    with pytest.raises(sa.exc.OperationalError):
        counter.flush(nowhere)
    nowhere.dispose()
    assert counter.flush(database) == 1


def test_many_counts_are_written_in_parts_and_what_was_written_is_not_written_again(
    database: Database, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A feed that changes each second has a row for each of its states: organizers wait for none of it."""
    monkeypatch.setattr(polls, "AT_ONCE", 2)
    counter = PollCounter()
    for number in range(5):
        counter.count(Poll(cast.alder.id or 0, NOW.date(), "Apple", f"mark-{number}"), unchanged=False)
    parts, writing = [], database.writing

    def failing_once() -> Any:
        parts.append(1)
        if len(parts) == 2:
            raise sa.exc.OperationalError("INSERT", {}, Exception("locked"))
        return writing()

    monkeypatch.setattr(database, "writing", failing_once)
    with pytest.raises(sa.exc.OperationalError):
        counter.flush(database)
    assert len(counter.counts) == 3
    assert counter.flush(database) == 3
    with database.reading() as session:
        assert [row.polls for row in session.exec(select(PollCount))] == [1] * 5


def test_polls_of_a_branch_that_is_no_more_hold_nothing_up(database: Database, cast: Cast) -> None:
    counter = PollCounter()
    for number in (999, cast.alder.id or 0):
        counter.count(Poll(number, NOW.date(), "Apple", "x"), unchanged=True)
    counter.flush(database)
    with database.reading() as session:
        assert [row.branch_id for row in session.exec(select(PollCount))] == [cast.alder.id]


def test_counts_of_two_processes_add_up_and_old_ones_go(database: Database, cast: Cast) -> None:
    number = cast.alder.id or 0
    for _ in range(2):
        counter = PollCounter()
        counter.count(Poll(number, NOW.date(), "Apple", "x"), unchanged=False)
        counter.count(Poll(number, NOW.date() - timedelta(days=90), "Apple", "x"), unchanged=False)
        counter.flush(database)
    with database.writing() as session:
        polls.forget_past(session, NOW)
        [row] = session.exec(select(PollCount)).all()
        assert (row.day, row.polls) == (NOW.date(), 2)


@pytest.mark.parametrize(
    ("agent", "family"),
    [
        ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "Google"),
        ("Microsoft Outlook 16.0 (Mac OS X/14.5)", "Outlook"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Safari/605.1.15", "a browser"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) CriOS/130.0 Safari/604.1", "a browser"),
    ],
)
def test_who_says_several_names_is_known_by_the_most_telling_one(agent: str, family: str) -> None:
    assert family_of(agent) == family


def test_a_look_at_the_head_is_one_poll(
    app: Starlette, database: Database, ben: TestClient, cast: Cast
) -> None:
    tag = ben.head("/branches/alder.ics", headers={"User-Agent": APPLE}).headers["etag"]
    ben.head("/branches/alder.ics", headers={"User-Agent": APPLE, "If-None-Match": tag})
    flush(app, database)
    with database.reading() as session:
        [row] = session.exec(select(PollCount)).all()
        assert (row.family, row.polls, row.unchanged) == ("Apple", 2, 1)


def test_health_is_that_of_one_branch_over_seven_days_and_newest_since_yesterday(
    database: Database, cast: Cast
) -> None:
    alder, birch = cast.alder.id or 0, cast.birch.id or 0
    with database.writing() as session:
        for branch, days, family, revision, asked, unchanged in (
            (alder, 0, "Apple", "new", 2, 1),
            (alder, 1, "Apple", "old", 2, 2),
            (alder, 6, "Apple", "new", 10, 10),
            (alder, 7, "Apple", "new", 100, 0),
            (birch, 0, "Apple", "new", 50, 0),
            (alder, 3, "Google", "new", 3, 0),
        ):
            day = NOW.date() - timedelta(days=days)
            session.add(PollCount(branch_id=branch, day=day, family=family, revision=revision, polls=asked,
                                  unchanged=unchanged))  # fmt: skip
        session.flush()
        apple, google = polls.health(session, alder, "new", NOW)
    assert (apple.family, apple.a_day, apple.unchanged, apple.current) == ("Apple", 2, 13 / 14, 0.5)
    assert (google.family, google.a_day, google.current) == ("Google", 0.75, None)
    assert google.last_day == NOW.date() - timedelta(days=3)


def test_what_is_counted_is_bounded_and_what_is_known_goes_on(
    database: Database, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PollCounter, "MOST", 2)
    counter = PollCounter()
    for mark in ("a", "b", "c", "a"):
        counter.count(Poll(cast.alder.id or 0, NOW.date(), "Apple", mark), unchanged=True)
    assert counter.flush(database) == 3
    with database.reading() as session:
        rows = {(row.revision, row.polls, row.unchanged) for row in session.exec(select(PollCount))}
        assert rows == {("a", 2, 2), ("b", 1, 1)}


def test_what_could_not_be_written_is_kept_with_what_was_unchanged(
    database: Database, engines: Engines, cast: Cast
) -> None:
    counter = PollCounter()
    counter.count(Poll(cast.alder.id or 0, NOW.date(), "Apple", "x"), unchanged=True)
    nowhere = Database(engines.blank_url("sqlite"))
    with pytest.raises(sa.exc.OperationalError):
        counter.flush(nowhere)
    nowhere.dispose()
    counter.flush(database)
    with database.reading() as session:
        [row] = session.exec(select(PollCount)).all()
        assert (row.polls, row.unchanged) == (1, 1)
