"""The two ways to the first dates, by looking up and by walking, find the same."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session

from events.branches.models import Branch
from events.calendars import feeds, paging, queries, store, venues, walking
from events.calendars.content import Publishing
from events.calendars.counting import number_up_to
from events.calendars.drafts import EventDraft, VenueDraft
from events.calendars.queries import Selection
from events.calendars.spans import said, spans
from events.db import Database
from events.people import permissions
from events.places.geo import Distance, Point

from ..conftest import NOW, Cast, branch, counted
from .test_feeds import HEADING

CHICAGO, MADRID, AT_SEA = Point(41.9, -87.65), Point(40.4, -3.7), Point(30, -40)
NEAR = Selection(near=CHICAGO, within=Distance.from_miles(25))
SELECTIONS = [
    NEAR,
    replace(NEAR, topics=("film",)),
    replace(NEAR, topics=("film",), first=date(2026, 12, 1), last=date(2026, 12, 8)),
    replace(NEAR, first=date(2026, 11, 10), last=date(2026, 11, 30)),
    replace(NEAR, text="meeting"),
    Selection(text="meeting"),
    Selection(text="meeting 1", online=False),
    Selection(text="meeting", topics=("film",), last=date(2026, 12, 1)),
    Selection(text="nowhere"),
    replace(NEAR, online=False),
    replace(NEAR, near=AT_SEA),
    Selection(topics=("film", "repair")),
    Selection(first=date(2026, 12, 1)),
    Selection(last=date(2026, 12, 1)),
    Selection(language="es"),
    Selection(language="xx"),
    Selection(online=False, access=("hearing-loop",)),
]
FED = [
    Selection(branches=("alder",)),
    Selection(branches=("birch", "alder"), topics=("film",)),
    Selection(topics=("repair",)),
    NEAR,
]
OF_MANY = (
    queries.EVERYTHING,
    Selection(language="en"),
    Selection(online=False),
    Selection(first=date(2026, 12, 1), last=date(2026, 12, 31)),
    NEAR,
    Selection(topics=("film", "repair")),
)
SOON = re.compile(r"count\(\*\).*LIMIT.*WHERE EXISTS.*LIMIT", re.DOTALL)
LOOKED_THROUGH = re.compile(r"SELECT event\.id\s+FROM event\s")
Way = Callable[[Session, Selection], object]
WAYS: list[Way] = [
    lambda session, selection: queries.upcoming(session, selection, NOW, size=5),
    lambda session, selection: queries.upcoming(session, selection, NOW - timedelta(days=20), size=100),
    lambda session, selection: number_up_to(session, selection, NOW, 7),
    lambda session, selection: queries.coming_dates(session, selection, NOW, 6, True),
    lambda session, selection: queries.coming_events(session, selection, NOW, 4, True),
    lambda session, selection: queries.last_over(session, selection, NOW),
    lambda session, selection: paging.dates(session, selection, NOW, 1),
    lambda session, selection: [told.event.id for told in paging.events(session, selection, NOW, 1)[0]],
    lambda session, selection: spans(session, selection, NOW, 9),
]
# What ANALYZE says of 20,000 events of `bench/_synthetic.py`.
OF_20_000_EVENTS = [
    ("occurrence", "ix_occurrence_starts_at_event_id_ends_at", "49590 34 1 1"),
    ("occurrence", "ix_occurrence_ends_at", "44352 34"),
    ("occurrence", "sqlite_autoindex_occurrence_1", "45320 3 1"),
    ("event", "ix_event_language_state", "20160 1001 501"),
    ("event", "ix_event_ends_at", "30303 44"),
    ("event", "ix_event_begins_at_ends_at", "9951 34 1"),
    ("event", "sqlite_autoindex_event_1", "20188 1001 1001"),
    ("branch", "sqlite_autoindex_branch_1", "1392 1001"),
]


@pytest.fixture
def filled(database: Database, cast: Cast, publishing: Publishing) -> Database:
    """Near Chicago and in Madrid; past, on, and to come; series, and one of two topics each."""
    with database.writing() as session:
        alder, birch = (session.get_one(Branch, one.id) for one in (cast.alder, cast.birch))
        for number in range(16):
            at = alder if number % 3 else birch
            store.add(session, draft(number, at), [at], publishing, NOW)
    return database


def draft(number: int, at: Branch) -> EventDraft:
    start = datetime(2026, 11, 14, 18) + timedelta(days=2 * number, hours=number % 4)
    return EventDraft(
        title=f"Meeting {number}",
        start=start,
        end=start + timedelta(days=9 if number == 2 else 0, hours=2),
        timezone=at.timezone,
        rrule="FREQ=WEEKLY;COUNT=6" if number % 5 == 1 else "",
        topics=("Film",) if number % 2 else ("Repair",),
        state="cancelled" if number == 7 else "published",
        language="en" if number % 4 else "es",
        access=("hearing-loop",) if number % 3 == 2 else (),
    )


def with_values(database: Database) -> list[tuple[str, Any]]:
    """The statements that are made from now on, each with its values."""
    asked: list[tuple[str, Any]] = []
    sa.event.listen(database.engine, "before_cursor_execute", lambda *told: asked.append((told[2], told[3])))
    return asked


def answers(database: Database) -> list[object]:
    with database.reading() as session:
        return [way(session, selection) for selection in SELECTIONS for way in WAYS]


def test_looking_up_and_walking_find_the_same(filled: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for few in (0, 10**6):
        monkeypatch.setattr(queries, "few", lambda _session, _shown, few=few: few)
        found.append(answers(filled))
    assert found[0] == found[1]
    assert all(answer for answer in found[0][: len(WAYS)])


def test_a_feed_of_very_many_events_is_walked_to_and_the_same(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a branch with 70,000 events each of them was looked at, in each of the ways into its feed."""
    bodies, walks = [], []
    for few in (0, 10**6):
        monkeypatch.setattr(feeds, "few", lambda _session, _shown, few=few: few)
        with filled.reading() as session, counted(filled.engine) as statements:
            bodies.append([feeds.assemble(session, each, HEADING, NOW) for each in FED])
        walks.append([one for one in statements if re.search(r"EXISTS \(SELECT event_branch", one)])
    assert bodies[0] == bodies[1]
    assert len({body for body, _ in bodies[0]}) == len(FED) - 1  # what is near is Alder
    assert (len(walks[0]), len(walks[1])) == (2, 0)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_which_of_many_at_one_moment_have_room_does_not_depend_on_the_language_of_the_server(
    filled: Database,
) -> None:
    with filled.reading() as session, counted(filled.engine) as statements:
        feeds.assemble(session, NEAR, HEADING, NOW)
    first = r'ORDER BY event\.(begins_at|ends_at DESC), event\.uid COLLATE "C"\s+LIMIT'
    assert [len(re.findall(first, one)) for one in statements if "LIMIT" in one and "uid" in one] == [3]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_feed_of_very_many_events_leaves_out_in_the_index_what_is_over(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It read 128,000 events that were over to find a thousand that are not: 0.3 of 0.7 s."""
    monkeypatch.setattr(feeds, "few", lambda _session, _shown: 0)
    asked = with_values(filled)
    with filled.reading() as session:
        feeds.assemble(session, NEAR, HEADING, NOW)
        [(statement, values)] = [one for one in asked if "ORDER BY event.begins_at" in one[0]]
        plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    assert "SCAN event USING INDEX ix_event_begins_at_ends_at" in [row.detail for row in plan]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_dates_of_a_branch_with_very_many_events_are_walked_to_where_some_are_soon(
    filled: Database, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page of a branch with 100,000 events put all of their dates in order: 0.4 s."""
    told, walks, lengths = [], [], []
    for few, moment in ((5, NOW), (1000, NOW), (5, NOW + timedelta(days=300))):
        monkeypatch.setattr(walking, "few", lambda _session, _shown, few=few: few)
        filled.engine.dispose()  # a connection remembers what is large
        for _ in range(2):
            with filled.reading() as session, counted(filled.engine) as statements:
                at = queries.upcoming_at(session, cast.alder.id or 0, moment, 2)
                told.append((at, queries.upcoming(session, Selection(branches=("alder",)), moment, size=2)))
            lists = [one for one in statements if "LEFT OUTER JOIN override" in one]
            walks.append(sum("EXISTS (SELECT event_branch" in one for one in lists))
            lengths.append(len(statements))
    assert told[0] == told[1] == told[2] == told[3] and len(told[0][0][0]) == 2 and told[4][0] == ([], False)
    assert walks == [2, 2, 0, 0, 0, 0]
    assert all(again < first for first, again in zip(lengths[::2], lengths[1::2], strict=True))


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_very_many_dates_at_one_moment_are_soon(
    database: Database, cast: Cast, publishing: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page of a branch with 4,991 series that begin together took 2.6 s."""
    monkeypatch.setattr(walking, "few", lambda _session, _shown: 5)
    with database.writing() as session:
        alder = session.get_one(Branch, cast.alder.id)
        for _ in range(8):
            store.add(session, draft(6, alder), [alder], publishing, NOW)
    with database.reading() as session, counted(database.engine) as statements:
        listed, more = queries.upcoming_at(session, alder.id or 0, NOW, 2)
    assert (len(listed), more) == (2, True)
    assert "EXISTS (SELECT event_branch" in statements[-1]


def test_each_event_comes_once_with_the_first_of_its_dates_that_is_listed(filled: Database) -> None:
    with filled.reading() as session:
        dates = queries.coming_dates(session, NEAR, NOW, 1000, False)
        events = queries.coming_events(session, NEAR, NOW, 1000, False)
    firsts = {key.event_id: key for key in reversed(dates)}
    assert len(dates) > len(events)
    assert events == sorted(firsts.values(), key=dates.index)


def test_the_more_is_stored_the_more_is_worth_looking_up(filled: Database) -> None:
    with filled.reading() as session:
        assert walking.few(session, 25) == 20  # of 16


@pytest.mark.parametrize("words", ["nowhere at all", "meeting 0"])
def test_words_that_are_nowhere_are_looked_for_once_in_each_event_and_not_in_its_dates(
    filled: Database, words: str
) -> None:
    """The first of all meetings is over: what only the past has is nowhere, too."""
    later = NOW + timedelta(days=200)
    with filled.reading() as session, counted(filled.engine) as statements:
        assert queries.upcoming(session, Selection(text=words), later) == ([], False)
        assert queries.coming_events(session, Selection(text=words), later, 10, False) == []
        assert number_up_to(session, Selection(text=words), later, 10) == 0
    walks = [one for one in statements if "occurrence" in one and not SOON.search(one)]
    assert len(walks) == 3
    assert not [walk for walk in walks if "LIKE" in walk]


@pytest.mark.parametrize(("words", "is_soon"), [("meeting", True), ("meeting 14", False)])
def test_words_that_are_soon_are_walked_to_and_no_event_is_looked_through(
    filled: Database, monkeypatch: pytest.MonkeyPatch, words: str, is_soon: bool
) -> None:
    """Of a million events 128,000 near a town were looked through for a page of what every eighth of them says."""
    monkeypatch.setattr(queries, "few", lambda _session, _shown: 5)
    with filled.reading() as session, counted(filled.engine) as statements:
        [found], _ = queries.upcoming(session, replace(NEAR, text=words), NOW, size=1)
    assert found.title == ("Meeting 2" if is_soon else "Meeting 14")
    looked_through = [one for one in statements if LOOKED_THROUGH.search(one)]
    assert len(looked_through) == (not is_soon)


@pytest.mark.parametrize(("number", "is_soon"), [(23, True), (27, False)])
def test_of_many_dates_at_one_moment_only_so_many_are_asked_whether_they_have_the_words(
    database: Database,
    cast: Cast,
    publishing: Publishing,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    is_soon: bool,
) -> None:
    """For words of a few events all of the thousands were asked that begin when the next five hundred do."""
    monkeypatch.setattr(queries, "few", lambda _session, _shown: 5)
    with database.writing() as session:
        alder = session.get_one(Branch, cast.alder.id)
        at_one_moment = {field: getattr(draft(8, alder), field) for field in ("start", "end", "rrule")}
        for each in range(20, 28):
            each_draft = draft(each, alder).model_copy(update=at_one_moment)
            store.add(session, each_draft, [alder], publishing, NOW)
    with database.reading() as session, counted(database.engine) as statements:
        [found], _ = queries.upcoming(session, Selection(text=f"meeting {number}"), NOW, size=1)
    assert found.title == f"Meeting {number}"
    looked_through = [one for one in statements if LOOKED_THROUGH.search(one)]
    assert len(looked_through) == (not is_soon)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_postgresql_finds_words_in_an_index(filled: Database) -> None:
    """Of 100,000 events a search read each: up to 0.8 s beside an import."""
    asked = with_values(filled)
    with filled.reading() as session:
        queries.upcoming(session, Selection(text="tool library"), NOW, size=25)
        [(statement, values)] = [one for one in asked if LOOKED_THROUGH.search(one[0])]
        connection = session.connection()
        connection.exec_driver_sql("SET enable_seqscan = off")  # or it would read all sixteen
        plan = connection.exec_driver_sql(f"EXPLAIN {statement}", values).scalars().all()
    assert "Bitmap Index Scan on ix_event_words" in "\n".join(plan)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_places_that_were_used_are_looked_for_once_whatever_the_planner_believes(
    database: Database, cast: Cast, publishing: Publishing
) -> None:
    """While many events were imported, whose number it did not know yet, a form that was sent took up to 36 s."""
    with database.writing() as session:
        alder = session.get_one(Branch, cast.alder.id)
        for number in range(30):
            at = {"venue": VenueDraft(name=f"Hall {number}")}
            store.add(session, draft(number, alder).model_copy(update=at), [alder], publishing, NOW)
    asked = with_values(database)
    with database.reading() as session:
        assert len(venues.known_to(session, permissions.branch_ids(cast.ana))) == 30
        [(statement, values)] = [one for one in asked if "venue_name" in one[0]]
        query = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
        plan = session.connection().exec_driver_sql(query, values).scalar_one()
    assert {node["Actual Loops"] for node in nodes(plan[0]["Plan"]) if node["Node Type"] == "Limit"} == {1}


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """That of a plan and all below it."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_all_may_meet_is_walked_to_whatever_the_planner_was_told(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the statistics of 20,000 events SQLite began with all of these, and put all their dates in order; for the
    ten of the home page and those of a month it took the index of the ends, and put all that are to come in order."""
    with filled.writing() as session:
        connection = session.connection()
        connection.exec_driver_sql("ANALYZE")
        connection.exec_driver_sql("DELETE FROM sqlite_stat1")
        connection.exec_driver_sql("INSERT INTO sqlite_stat1 VALUES (?, ?, ?)", OF_20_000_EVENTS)
    filled.engine.dispose()  # statistics are read when a connection is opened
    monkeypatch.setattr(queries, "few", lambda _session, _shown: 0)
    asked = with_values(filled)
    with filled.reading() as session:
        for selection in OF_MANY:
            for way in WAYS:
                way(session, selection)
        lists = [one for one in asked if re.search(r"occurrence\.ends_at > \?", one[0])]
        lists = [one for one in lists if "ends_at DESC" not in one[0]]  # of what is over the last
        searches = sum(bool(SOON.search(statement)) for statement, _ in lists)
        plans = [
            session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
            for statement, values in lists
        ]
    begin = [
        next(row.detail for row in plan if "event" in row.detail or "occurrence" in row.detail)
        for plan in plans
    ]
    assert searches == 2 * len(WAYS)  # the two that have no index
    assert len(begin) == len(OF_MANY) * (len(WAYS) - 1) + searches
    assert [one for one in begin if "occurrence" not in one] == []
    by_their_ends = [one for one in begin if "ix_occurrence_ends_at" in one]
    assert len(by_their_ends) == 1  # of the number of all, which need no order
    late_enough = [one for one in begin if "(starts_at>?" in one]
    assert len(late_enough) == len(begin) - 1
    details = [row.detail for plan in plans for row in plan if "long" in row.detail]
    assert set(details) == {"SEARCH long USING COVERING INDEX ix_occurrence_long (ends_at>?)"}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_dates_say_is_read_of_their_events_alone(filled: Database) -> None:
    """A month of a hundred dates looked through all that are stored: a million took 0.4 s."""
    with filled.reading() as session:
        found, _ = spans(session, NEAR, NOW, 9)
        keys = [one.key for one in found]
        asked = with_values(filled)
        assert said(session, keys).keys() == set(keys)
        [(statement, values)] = asked
        plan = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
    assert len(keys) == 9
    assert [row.detail for row in plan if row.detail.startswith("SCAN") and "ROWS" not in row.detail] == []


def test_a_list_from_a_day_on_begins_with_that_day(filled: Database) -> None:
    """It walked past all dates between now and then."""
    then = replace(NEAR, first=date(2026, 12, 1))
    assert queries.since(then, NOW) == datetime(2026, 11, 30, 10, tzinfo=UTC)  # the first zone's midnight
    assert queries.since(replace(then, first=NOW.date()), NOW) == NOW
    assert queries.since(replace(then, first=date(2026, 1, 1)), NOW) == queries.LONG_AGO
    with filled.reading() as session:
        later, _ = queries.upcoming(session, then, NOW)
        everything, _ = queries.upcoming(session, NEAR, NOW)
    assert later == [one for one in everything if one.end > datetime(2026, 12, 1)]
    assert 0 < len(later) < len(everything)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("point", "counts", "is_walked"), [(CHICAGO, 1, True), (MADRID, 2, False), (AT_SEA, 1, False)]
)
def test_a_crowd_that_the_next_dates_show_is_not_counted(
    filled: Database, monkeypatch: pytest.MonkeyPatch, point: Point, counts: int, is_walked: bool
) -> None:
    """To count 44,000 of 128,000 took 0.15 s, and the month itself as long again."""
    monkeypatch.setattr(queries, "few", lambda _session, _shown: 6)
    for name, value in {"COUNTED": 2, "SAMPLE": 10, "SURE": 1}.items():
        monkeypatch.setattr(walking, name, value)
    with filled.reading() as session, counted(filled.engine) as statements:
        queries.upcoming(session, replace(NEAR, near=point), NOW)
    counting = [one for one in statements if re.search(r"count\(\*\).*cube_enlarge", one, re.DOTALL)]
    assert len(counting) == counts
    sampling = [
        one for one in statements if re.search(r"count\(\*\).*IN \(SELECT occurrence", one, re.DOTALL)
    ]
    assert len(sampling) == (point != AT_SEA)
    assert ("cube_enlarge" not in statements[-1]) == is_walked


@pytest.mark.parametrize("days", [1, 2, 3, 400])
def test_a_walk_begins_late_enough_and_misses_nothing_that_is_on(
    database: Database, cast: Cast, publishing: Publishing, days: int
) -> None:
    """It lasts so many days and an hour, and is looked for an hour before it ends."""
    start = datetime(2026, 3, 8, 1)
    with database.writing() as session:
        told = {"timezone": "America/Chicago", "state": "published"}
        for title, length in (("Short", 0), ("Exhibition", days)):
            event = EventDraft.model_validate(
                {**told, "title": title, "start": start, "end": start + timedelta(days=length, hours=2)}
            )
            store.add(session, event, [cast.alder], publishing, NOW)
    then = datetime(2026, 3, 8, 8, tzinfo=UTC) + timedelta(days=days, hours=-1)
    with database.reading() as session:
        assert [one.title for one in queries.upcoming(session, queries.EVERYTHING, then)[0]] == ["Exhibition"]
        assert len(queries.coming_dates(session, queries.EVERYTHING, then, 9, False)) == 1
        assert len(spans(session, queries.EVERYTHING, then, 9)[0]) == 1


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_the_first_long_date_is_looked_for_among_the_long_ones(filled: Database) -> None:
    """PostgreSQL went through all dates in their order until one was long: 45,000, and none was."""
    asked = with_values(filled)
    with filled.reading(in_transaction=True) as session:
        queries.upcoming(session, queries.EVERYTHING, NOW)
        statement, values = next(one for one in asked if "interval" in one[0])
        connection = session.connection()
        connection.exec_driver_sql("SET enable_seqscan = off")
        plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {statement}", values).scalars())
    assert "ix_occurrence_long" in plan
    assert "starts_at IS NOT NULL" not in plan


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_nothing_is_stored_and_nothing_is_found(database: Database) -> None:
    with database.reading() as session:
        assert queries.upcoming(session, NEAR, NOW) == ([], False)


@pytest.mark.parametrize(
    ("zone", "start"),
    [("Pacific/Kiritimati", datetime(2026, 12, 1)), ("Etc/GMT+12", datetime(2026, 12, 1, 23))],
)
def test_a_day_is_that_of_the_first_and_of_the_last_zone_of_the_earth(
    database: Database, publishing: Publishing, zone: str, start: datetime
) -> None:
    with database.writing() as session:
        host = branch("isle", "Isle", CHICAGO, timezone=zone)
        session.add(host)
        session.flush()
        told = EventDraft(
            title="Tea", start=start, end=start + timedelta(minutes=30), timezone=zone, state="published"
        )
        store.add(session, told, [host], publishing, NOW)
    day = date(2026, 12, 1)
    with database.reading() as session:
        rows, _ = queries.upcoming(session, replace(NEAR, first=day, last=day), NOW)
        before, _ = queries.upcoming(session, replace(NEAR, last=day - timedelta(days=1)), NOW)
    assert [row.title for row in rows] == ["Tea"]
    assert before == []
