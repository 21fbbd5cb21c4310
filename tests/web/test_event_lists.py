"""Any event list in other forms; what changed is told on every page; the data for machines on an event's page."""

import csv
import io
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
import sqlalchemy as sa
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events.branches.models import Branch, FormerSlug, Status
from events.calendars import derived, lists, store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft, OverrideDraft
from events.calendars.feeds import Heading, Note
from events.calendars.kept import FeedCache, Finished
from events.calendars.models import Event
from events.calendars.queries import EVERYTHING, Selection
from events.db import Database
from tests.calendars.test_feeds import weekly
from tests.conftest import Cast

# Far enough ahead that every date below is still to come, whenever the tests run.
THEN = datetime(2043, 11, 23, 12, 0, tzinfo=UTC)
ATOM = "{http://www.w3.org/2005/Atom}"
FORMS = {
    "/events.atom": "application/atom+xml; charset=utf-8",
    "/events.json": "application/feed+json; charset=utf-8",
    "/events.csv": "text/csv; charset=utf-8",
    "/topics/repair.atom": "application/atom+xml; charset=utf-8",
    "/topics/repair.json": "application/feed+json; charset=utf-8",
    "/branches/alder.atom": "application/atom+xml; charset=utf-8",
}
ONCE = {"rrule": "", "title": "Repair day"}


def tuesdays(**more: object) -> EventDraft:
    """Every Tuesday at 19:00 from 24 November 2043, in Chicago."""
    start = datetime(2043, 11, 24, 19)
    return weekly(**{"start": start, "end": start + timedelta(hours=2), **more})


def added(database: Database, publishing: Publishing, owner: Branch, **more: object) -> int:
    with database.writing() as session:
        event = store.add(session, tuesdays(**more), [owner], publishing, THEN)
        return event.id or 0


@pytest.fixture
def tool_night(database: Database, cast: Cast, publishing: Publishing) -> int:
    return added(database, publishing, cast.alder)


def entries(client: TestClient, path: str) -> list[ElementTree.Element]:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return ElementTree.fromstring(answer.content).findall(f"{ATOM}entry")  # noqa: S314  (our own)


def items(client: TestClient, path: str) -> list[Any]:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["items"]
    return found


def rows(client: TestClient, path: str) -> list[dict[str, str]]:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


def data_of(page: str) -> Any:
    [text] = re.findall(r'<script type="application/ld\+json">\n(.*?)\n', page)
    return json.loads(text)


# ---------------------------------------------------------------- what is in a list


@pytest.mark.parametrize("path", FORMS)
def test_an_event_list_comes_in_each_form_in_english_and_spanish(
    ben: TestClient, tool_night: int, path: str
) -> None:
    english, spanish = ben.get(path), ben.get(f"/es{path}")
    assert english.headers["content-type"] == spanish.headers["content-type"] == FORMS[path]
    assert "Tool night" in english.text and "/es/events/" in spanish.text
    assert "set-cookie" not in english.headers
    assert english.headers["access-control-allow-origin"] == "*"


def test_a_series_is_one_entry_and_has_a_row_for_each_date(ben: TestClient, tool_night: int) -> None:
    assert len(entries(ben, "/events.atom")) == len(items(ben, "/events.json")) == 1
    dates = rows(ben, "/events.csv?from=2043-12-01&to=2043-12-20")
    assert [row["start"] for row in dates] == [
        "2043-12-01T19:00:00-06:00", "2043-12-08T19:00:00-06:00", "2043-12-15T19:00:00-06:00",
    ]  # fmt: skip
    assert {row["uid"] for row in dates} == {items(ben, "/events.json")[0]["_branchline"]["uid"]}


def test_the_filters_are_those_of_the_page_and_the_place_is_snapped(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    added(database, publishing, cast.birch, title="Madrid chat", timezone="Europe/Madrid", topics=("Talk",))
    for query, title in (("topic=talk", "Madrid chat"), ("branch=alder", "Tool night"), ("q=madrid", "Madrid chat"),
                         ("near=41.92271,-87.65337&within=7mi", "Tool night")):  # fmt: skip
        [item] = items(ben, f"/events.json?{query}")
        assert item["title"].startswith(title), query
        assert {row["title"] for row in rows(ben, f"/events.csv?{query}")} == {title}
    feed = ben.get("/events.json?near=41.92271,-87.65337&within=7mi").json()
    assert feed["feed_url"].endswith("/events.json?near=41.92,-87.66&within=10mi")
    assert "41.92271" not in feed["home_page_url"]


def test_the_soonest_come_first_and_there_are_a_hundred_at_most(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        for day in range(105, 0, -1):
            start = datetime(2044, 1, 1, 19) + timedelta(days=day)
            draft = tuesdays(**ONCE, start=start, end=start + timedelta(hours=1))
            store.add(session, draft, [cast.alder], publishing, THEN)
    starts = [item["_branchline"]["start"] for item in items(ben, "/events.json")]
    assert len(starts) == 100 and starts == sorted(starts) and starts[0].startswith("2044-01-02")


def test_what_is_cancelled_is_told_until_its_day_unless_the_reader_hides_it(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        event.cancel("Too few people.", THEN)
        derived.save(session, event, publishing, THEN + timedelta(hours=1))
    [item] = items(ben, "/events.json")
    assert item["title"].startswith("Cancelled: Tool night") and "Too few people." in item["content_text"]
    assert item["_branchline"]["status"] == "cancelled"
    assert items(ben, "/events.json?cancelled=hide") == rows(ben, "/events.csv?cancelled=hide") == []


def test_an_entry_keeps_its_id_for_life_and_is_updated_when_a_date_changes(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int
) -> None:
    [before] = items(ben, "/events.json")
    moved = OverrideDraft(original_start=datetime(2043, 12, 1, 19), start=datetime(2043, 12, 3, 18))
    with database.writing() as session:
        store.change_date(
            session, session.get_one(Event, tool_night), moved, publishing, THEN + timedelta(hours=1)
        )
    [after] = items(ben, "/events.json")
    assert after["id"] == before["id"] and after["date_modified"] > before["date_modified"]
    assert "Moved from Tuesday, December 1, 2043" in after["content_html"]


def test_a_hostile_title_comes_out_of_every_form_as_it_went_in(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    title = '=HYPERLINK("http://x")]]></script><script>alert(1)</script>'
    number = added(database, publishing, cast.alder, title=title)
    [entry] = entries(ben, "/events.atom")
    assert (entry.findtext(f"{ATOM}title") or "").startswith(title)
    assert items(ben, "/events.json")[0]["_branchline"]["title"] == title
    assert rows(ben, "/events.csv?to=2043-12-01")[0]["title"] == f"'{title}"
    page = ben.get(f"/events/{number}").text
    assert data_of(page)["name"] == title and "<script>alert" not in page


def test_a_branch_that_closed_tells_the_events_of_its_successor_and_why(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    with database.writing() as session:
        birch = session.merge(cast.birch)
        birch.status, birch.successor_id = Status.CLOSED, cast.alder.id
        session.add(FormerSlug(slug="beech", branch_id=cast.alder.id or 0))
    note, event = entries(ben, "/branches/birch.atom")
    assert note.findtext(f"{ATOM}title") == "Club Abedul has closed"
    assert (event.findtext(f"{ATOM}title") or "").startswith("Tool night")
    old = ben.get("/es/branches/beech.atom?cancelled=hide")
    assert (old.status_code, old.headers["location"]) == (301, "/es/branches/alder.atom?cancelled=hide")


def test_a_confidential_branch_shows_its_town_only_in_every_form(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    with database.writing() as session:
        alder = session.merge(cast.alder)
        alder.confidential, alder.updated_at = True, THEN + timedelta(days=1)
        session.flush()
        derived.refresh(session, publishing, THEN + timedelta(days=1))
    for path in (*FORMS, f"/events/{tool_night}"):
        text = ben.get(path).text
        assert "Chicago, IL" in text, path
        assert not any(hidden in text for hidden in ("Halsted", "60614", "41.9", "87.6")), path


# ---------------------------------------------------------------- how it is answered


@pytest.mark.parametrize("path", FORMS)
def test_a_poll_that_found_nothing_new_is_a_304_and_a_head_has_no_body(
    ben: TestClient, tool_night: int, path: str
) -> None:
    plain = {"Accept-Encoding": "identity"}
    first = ben.get(path, headers=plain)
    tag, modified = first.headers["etag"], first.headers["last-modified"]
    assert first.headers["cache-control"].startswith("public, max-age=900")
    for headers in ({"If-None-Match": tag}, {"If-Modified-Since": modified}):
        again = ben.get(path, headers=plain | headers)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    head = ben.head(path, headers=plain)
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", tag)
    zipped = ben.get(path, headers={"Accept-Encoding": "gzip"})
    assert zipped.headers["content-encoding"] == "gzip" and zipped.headers["etag"] != tag
    assert zipped.content == first.content


@pytest.mark.parametrize(
    ("near", "status"),
    [("91,0", 422), ("nowhere-at-all", 200), ("0,0&within=abc", 422), ("0,0&page=x", None)],
)
def test_a_place_that_is_not_understood_never_turns_into_everything(
    ben: TestClient, tool_night: int, near: str, status: int | None
) -> None:
    page = ben.get(f"/events?near={near}")
    for path in ("/events.atom", "/events.json", "/events.csv"):
        answer = ben.get(f"{path}?near={near}")
        assert "Tool night" not in answer.text, path
        if status is None:
            continue
        assert answer.status_code == page.status_code == status
        kind = "application/problem+json" if path.endswith("json") else "text/plain"
        assert answer.headers["content-type"].startswith(kind)


def test_what_does_not_exist_is_404_in_the_form_that_was_asked_for(ben: TestClient, cast: Cast) -> None:
    for path in ("/topics/nope.atom", "/topics/nope.json", "/branches/nope.atom", "/events.csv?branch=nope"):
        answer = ben.get(path)
        kind = "application/problem+json" if path.endswith(".json") else "text/plain"
        assert answer.status_code == 404 and answer.headers["content-type"].startswith(kind), path


HEADING = Heading("All", "", "https://x.example/events", "https://x.example/events.json", "en", "", Note(""))


def test_a_list_is_kept_until_its_next_date_is_over_and_then_says_since_when(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    start = datetime(2043, 11, 23, 12)
    for title, hours in (("First", 1), ("Second", 3)):
        added(database, publishing, cast.alder, **ONCE | {"title": title}, start=start,
              end=start + timedelta(hours=hours), timezone="UTC")  # fmt: skip
    cache = FeedCache()

    def at(now: datetime) -> Finished:
        with database.reading() as session:
            return lists.finished(session, cache, lists.FORMATS["json"], EVERYTHING, HEADING, publishing, now)

    noon = datetime(2043, 11, 23, 12, 30, tzinfo=UTC)
    first = at(noon)
    assert at(noon + timedelta(minutes=29)) is first
    later = at(noon + timedelta(minutes=31))
    assert b"First" in first.body and b"First" not in later.body and b"Second" in later.body
    assert later.etag != first.etag and later.modified_at == datetime(2043, 11, 23, 13, tzinfo=UTC)
    assert b"Second" not in at(noon + timedelta(hours=4)).body


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    sa.event.listen(database.engine, "before_cursor_execute", note)
    yield statements
    sa.event.remove(database.engine, "before_cursor_execute", note)


def test_fifty_events_take_as_many_queries_as_five(
    database: Database, app: Starlette, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    served: Database = app.state.branchline.database
    taken: dict[int, dict[str, int]] = {}
    for total in (5, 50):
        while len(items(ben, "/events.json")) < total:
            added(database, publishing, cast.alder)
        taken[total] = {}
        for path in FORMS:
            with counted(served) as statements:
                ben.get(f"{path}?q=tool" if path.startswith("/events") else path)
            taken[total][path] = len(statements)
    assert taken[5] == taken[50] and min(taken[5].values()) > 4, taken


# ---------------------------------------------------------------- pages


LISTS = {
    "/": ("ics", "atom", "json", "csv"),
    "/events?topic=repair": ("ics", "atom", "json", "csv"),
    "/calendar/2043/12?topic=repair": ("ics", "atom", "json", "csv"),
    "/subscribe": ("ics", "atom", "json", "csv"),
    "/topics/repair": ("ics", "atom", "json"),
    "/branches/alder": ("ics", "atom"),
}


@pytest.mark.parametrize("path", LISTS)
def test_every_list_names_its_other_forms_and_they_answer(
    ben: TestClient, tool_night: int, path: str
) -> None:
    found = re.findall(
        r'<link rel="alternate" type="([^"]+)" title="[^"]+" href="((?!\S*/news\.)[^"]+)"', ben.get(path).text
    )
    assert len(found) == len(LISTS[path])
    for (media_type, href), extension in zip(found, LISTS[path], strict=True):
        assert href.partition("?")[0].endswith(f".{extension}"), href
        answer = ben.get(href.replace("&amp;", "&"))
        assert answer.status_code == 200 and answer.headers["content-type"].startswith(media_type)
        assert "Tool night" in answer.text


@pytest.mark.parametrize("path", ["/events", "/calendar/2043/12", "/subscribe"])
def test_a_place_that_was_not_understood_has_no_other_forms(ben: TestClient, cast: Cast, path: str) -> None:
    assert 'rel="alternate" type=' not in ben.get(f"{path}?near=nowhere-at-all").text


def test_a_postponed_event_says_so_wherever_it_is_listed(
    database: Database, ben: TestClient, ana: TestClient, publishing: Publishing, cast: Cast
) -> None:
    number = added(database, publishing, cast.alder, **ONCE)
    with database.writing() as session:
        event = session.get_one(Event, number)
        event.postpone("The hall is flooded.", THEN)
        derived.save(session, event, publishing, THEN + timedelta(hours=1))
    for path in ("/", "/events", "/branches/alder", "/calendar/2043/11"):
        page = ben.get(path).text
        assert "Postponed" in page and "Cancelled" not in page, path
    page = ben.get(f"/events/{number}").text
    assert "This is postponed" in page and "The hall is flooded." in page and "webcal:" in page
    assert data_of(page)["eventStatus"] == "https://schema.org/EventPostponed"
    assert "Postponed" in ana.get("/organize").text
    desk = ana.get(f"/organize/events/{number}").text
    assert "Postponed" in desk and "It takes place after all" in desk


def test_a_single_event_that_was_moved_says_from_when_on_lists_and_on_its_page(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    number = added(database, publishing, cast.alder, **ONCE)
    with database.writing() as session:
        later = tuesdays(**ONCE, start=datetime(2043, 11, 26, 19), end=datetime(2043, 11, 26, 21))
        store.revise(session, session.get_one(Event, number), later, [cast.alder], publishing, THEN)
    for path in ("/events", "/branches/alder", f"/events/{number}"):
        assert "Moved from Tuesday, November 24, 2043" in ben.get(path).text, path
    found = data_of(ben.get(f"/events/{number}").text)
    assert found["eventStatus"] == "https://schema.org/EventRescheduled"
    assert found["previousStartDate"] == "2043-11-24T19:00:00-06:00"


def test_the_page_of_a_date_says_what_that_date_says(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int
) -> None:
    special = OverrideDraft(
        original_start=datetime(2043, 12, 1, 19), title="In the park", description="Bring a lamp.",
        venue_name="Park", venue_address="1 Green Lane",
    )  # fmt: skip
    with database.writing() as session:
        store.change_date(session, session.get_one(Event, tool_night), special, publishing, THEN)
    page = ben.get(f"/events/{tool_night}?date=2043-12-01").text
    assert all(words in page for words in ("In the park", "Bring a lamp.", "1 Green Lane"))
    found = data_of(page)
    assert found["name"] == "In the park" and found["location"]["address"] == "1 Green Lane"
    assert found["superEvent"]["name"] == "Tool night"
    assert found["url"].endswith(f"/events/{tool_night}?date=2043-12-01")
    usual = data_of(ben.get(f"/es/events/{tool_night}").text)
    assert usual["location"]["name"] == "Alder Club" and usual["name"] == "Tool night"


def test_a_list_that_hides_what_is_cancelled_is_kept_for_itself(
    database: Database, publishing: Publishing, tool_night: int
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        event.cancel("Too few people.", THEN)
        derived.save(session, event, publishing, THEN)
    cache = FeedCache()

    def size(hide: bool) -> int:
        with database.reading() as session:
            feed = lists.finished(session, cache, lists.FORMATS["json"], EVERYTHING, HEADING, publishing, THEN,
                                  hide_cancelled=hide)  # fmt: skip
            return len(json.loads(feed.body)["items"])

    assert [size(False), size(True), size(False)] == [1, 0, 1]


def test_a_list_since_a_day_that_is_past_changes_with_its_events_alone(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    added(database, publishing, cast.alder, **ONCE)
    since = Selection(first=date(2043, 11, 20))
    moments = set()
    for hours in (0, 24, 48):  # the event is over on the second day
        now = THEN + timedelta(hours=hours)
        with database.reading() as session:
            feed = lists.finished(
                session, FeedCache(), lists.FORMATS["json"], since, HEADING, publishing, now
            )
        assert len(json.loads(feed.body)["items"]) == 1
        moments.add(feed.modified_at)
    assert moments == {THEN}
