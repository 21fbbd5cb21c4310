"""Any event list in other forms; what changed is told on every page; the data for machines on an event's page."""

import csv
import io
import json
import re
import shutil
from datetime import UTC, date, datetime, timedelta
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events.branches.models import Branch, FormerSlug, Status
from events.calendars import derived, lists, store
from events.calendars.content import Publishing
from events.calendars.counting import number_up_to
from events.calendars.drafts import EventDraft, OverrideDraft
from events.calendars.feeds import Heading, Note
from events.calendars.kept import Finished
from events.calendars.models import Event
from events.calendars.queries import EVERYTHING, Selection
from events.config import Settings
from events.db import Database
from events.interpreter import MANY_FIRST_S
from tests.calendars.test_feeds import weekly
from tests.conftest import Cast, counted

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
    """What search engines are told that the page is about; where it stands comes after it."""
    [text] = re.findall(r'<script type="application/ld\+json">\n(.*?)\n', page)
    return json.loads(text)["@graph"][0]


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


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
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


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
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


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
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


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
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


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_does_not_exist_is_404_in_the_form_that_was_asked_for(ben: TestClient, cast: Cast) -> None:
    for path in ("/topics/nope.atom", "/topics/nope.json", "/branches/nope.atom", "/events.csv?branch=nope"):
        answer = ben.get(path)
        kind = "application/problem+json" if path.endswith(".json") else "text/plain"
        assert answer.status_code == 404 and answer.headers["content-type"].startswith(kind), path


HEADING = Heading("All", "", "https://x.example/events", "https://x.example/events.json", "en", "", Note(""))


def test_a_list_is_good_until_its_next_date_is_over_and_then_says_since_when(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    start = datetime(2043, 11, 23, 12)
    for title, hours in (("First", 1), ("Second", 3)):
        added(database, publishing, cast.alder, **ONCE | {"title": title}, start=start,
              end=start + timedelta(hours=hours), timezone="UTC")  # fmt: skip

    def at(now: datetime) -> Finished:
        with database.reading() as session:
            return lists.finished(session, lists.FORMATS["json"], EVERYTHING, HEADING, publishing, now)

    noon = datetime(2043, 11, 23, 12, 30, tzinfo=UTC)
    first = at(noon)
    assert first.good_until == datetime(2043, 11, 23, 13, tzinfo=UTC)
    later = at(noon + timedelta(minutes=31))
    assert b"First" in first.body and b"First" not in later.body and b"Second" in later.body
    assert later.etag != first.etag and later.modified_at == datetime(2043, 11, 23, 13, tzinfo=UTC)
    assert b"Second" not in at(noon + timedelta(hours=4)).body


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_many_dates_are_read_some_at_once_and_others_go_first_in_between(
    ben: TestClient, tool_night: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, gave_way = rows(ben, "/events.csv?to=2043-12-20"), list[float]()
    monkeypatch.setattr(lists, "AT_ONCE", 2)
    monkeypatch.setattr(lists, "let_answers_go_first", gave_way.append)
    assert rows(ben, "/events.csv?to=2043-12-20&_=again") == together
    assert (len(together), gave_way) == (4, [MANY_FIRST_S])


def test_fifty_events_take_as_many_queries_as_five(
    database: Database, app: Starlette, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    """Or one less: the words are soon found among the next dates of fifty, which are not looked through then."""
    served: Database = app.state.branchline.database
    taken: dict[int, dict[str, int]] = {}
    for total in (5, 50):
        for _ in range(total - len(items(ben, "/events.json"))):
            added(database, publishing, cast.alder)
        taken[total] = {}
        ben.get("/branches/alder.atom?_=1")  # a connection remembers whether the branch has very many
        for path in FORMS:
            with counted(served.engine) as statements:
                ben.get(f"{path}?q=tool" if path.startswith("/events") else path)
            taken[total][path] = len(statements)
    few, many = (taken[total].pop("/events.csv") for total in (5, 50))
    assert min(taken[5].values()) > 4
    assert {taken[5][path] - taken[50][path] for path in taken[5]} <= {0, 1}, taken
    assert many - few == 4 * (lists.MOST_DATES // lists.AT_ONCE - 3)  # 20 turns, and 3 for some 300 dates


# ---------------------------------------------------------------- pages


def test_words_are_looked_for_once_for_a_page_and_for_how_many_there_are(
    database: Database, app: Starlette, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    """Each time all events were looked through: 18 of 55 ms where there are 14,000."""
    for _ in range(3):
        added(database, publishing, cast.alder)
    served: Database = app.state.branchline.database
    with counted(served.engine) as statements:
        page = ben.get("/events?q=tool").text
    assert re.search(r"Events 1 to 50 of \d+", page)
    # Whether they are soon, and as they are not, where they are.
    assert sum("search_key LIKE" in one for one in statements) == 2


LISTS = {
    "/": ("ics", "atom", "json", "csv"),
    "/events?topic=repair": ("ics", "atom", "json", "csv"),
    "/calendar/2043/12?topic=repair": ("ics", "atom", "json", "csv"),
    "/subscribe": ("ics", "atom", "json", "csv"),
    "/topics/repair": ("ics", "atom", "json"),
    "/branches/alder": ("ics", "atom"),
}


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("path", LISTS)
def test_every_list_names_its_other_forms_and_they_answer(
    ben: TestClient, tool_night: int, path: str
) -> None:
    found = re.findall(
        r'<link rel="alternate" type="([^"]+)" title="[^"]+" href="((?!\S*(?:/news\.|/oembed))[^"]+)"',
        ben.get(path).text,
    )
    assert len(found) == len(LISTS[path])
    for (media_type, href), extension in zip(found, LISTS[path], strict=True):
        assert href.partition("?")[0].endswith(f".{extension}"), href
        answer = ben.get(href.replace("&amp;", "&"))
        assert answer.status_code == 200 and answer.headers["content-type"].startswith(media_type)
        assert "Tool night" in answer.text


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("path", ["/events", "/calendar/2043/12", "/subscribe"])
def test_a_place_that_was_not_understood_has_no_other_forms(ben: TestClient, cast: Cast, path: str) -> None:
    assert 'rel="alternate" type=' not in ben.get(f"{path}?near=nowhere-at-all").text


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
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

    def size(hide: bool) -> int:
        with database.reading() as session:
            feed = lists.finished(session, lists.FORMATS["json"], EVERYTHING, HEADING, publishing, THEN,
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
            feed = lists.finished(session, lists.FORMATS["json"], since, HEADING, publishing, now)
        assert len(json.loads(feed.body)["items"]) == 1
        moments.add(feed.modified_at)
    assert moments == {THEN}


# ---------------------------------------------------------------- what the page of a list says


class Controls(HTMLParser):
    """What the first form of a page would send as it stands."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sent: list[tuple[str, str]] = []
        self._select, self._is_past = "", False
        self.feed(page.partition('action="/events"')[2])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if self._is_past:
            return
        if tag == "select":
            self._select = values["name"]
        elif tag == "option" and "selected" in values:
            self.sent.append((self._select, values["value"]))
        elif tag == "input" and (values["type"] not in ("checkbox", "radio") or "checked" in values):
            self.sent.append((values["name"], values.get("value", "")))

    def handle_endtag(self, tag: str) -> None:
        self._is_past = self._is_past or tag == "form"


def chips(page: str, label: str) -> dict[str, str]:
    """Names and addresses of the chips in a list of them."""
    _, _, after = page.partition(f'aria-label="{label}"')
    row, link = after.partition("</ul>")[0], r'<a class="chip" href="([^"]*)"[^>]*>(.*?)</a>'
    found = re.findall(link, row, re.DOTALL)
    return {re.sub(r"<[^>]*>|Remove filter: ", "", text).strip(): unescape(href) for href, text in found}


def status(page: str) -> str:
    [found] = re.findall(r'<p class="soft" role="status">([^<]*)</p>', page)
    return str(found)


def test_a_list_says_how_many_there_are_and_which_of_them_it_shows(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    added(database, publishing, cast.alder, **ONCE)
    assert status(ben.get("/events").text) == "1 event from today"
    assert status(ben.get("/events?from=2043-11-01").text) == "1 event"
    added(database, publishing, cast.alder, rrule="FREQ=WEEKLY;BYDAY=TU;COUNT=52")
    assert status(ben.get("/topics/repair").text) == "Events 1 to 50 of 53"
    assert status(ben.get("/events?page=2").text) == "Events 51 to 53 of 53"
    with database.reading() as session:
        numbers = [number_up_to(session, EVERYTHING, THEN, most) for most in (52, 53, 500)]
    assert numbers == [53, 53, 53], "one more than it counts to says that there are more"
    assert '<p class="soft" role="status">' not in ben.get("/events?q=nothing").text


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_more_than_anybody_counts_is_said_so(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    daily = {"rrule": "FREQ=DAILY", "start": datetime(2043, 11, 24, 19), "end": datetime(2043, 11, 24, 21)}
    for _ in range(2):
        added(database, publishing, cast.alder, **daily)
    assert status(ben.get("/events").text) == "Events 1 to 50 of more than 500"
    assert status(ben.get("/events?page=10").text) == "Events 451 to 500, and more after them"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_heading_says_what_the_list_is(
    ben: TestClient, tool_night: int, cast: Cast, settings: Settings, small_gazetteer: Path
) -> None:
    shutil.copy(small_gazetteer, settings.gazetteer)
    headings = {
        "branch=alder": "Events of Alder Club",
        "topic=repair": "Repair: events",
        "branch=alder&topic=repair": "Events",
        "near=60614": "Events near 60614 Chicago, Illinois",
    }
    for query, heading in headings.items():
        page = ben.get(f"/events?{query}").text
        [found] = re.findall(r"<h1[^>]*>(.*?)</h1>", page)
        assert re.sub(r"</?bdi>", "", found).startswith(heading) and f"<title>{heading}" in page, query


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_each_filter_has_a_chip_that_takes_it_away(
    ben: TestClient, tool_night: int, settings: Settings, small_gazetteer: Path
) -> None:
    shutil.copy(small_gazetteer, settings.gazetteer)
    query = "near=60614&country=US&within=40&topic=repair&from=2043-12-01&q=tool"
    shown = chips(ben.get(f"/events?{query}").text, "Filters in use")
    left = {name: urlsplit(href).query for name, href in shown.items()}
    place = next(name for name in left if name.startswith("Near 60614"))
    assert left[place] == "topic=repair&from=2043-12-01&q=tool", "a distance from nowhere would be left"
    assert left["Within 40 mi"] == "near=60614&country=US&topic=repair&from=2043-12-01&q=tool"
    assert left["Repair"] == "near=60614&country=US&within=40&from=2043-12-01&q=tool"
    assert len(left) == 5 and list(chips(ben.get("/events").text, "Filters in use")) == []
    near_only = chips(ben.get("/events?near=60614").text, "Filters in use")
    assert len(near_only) == 1, "a distance that nobody typed is no filter"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_whatever_the_form_takes_stands_in_the_address_and_comes_back_from_it(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    added(database, publishing, cast.birch, language="es", topics=("Charla",))
    query = (
        "near=41.92%2C-87.65&within=30+km&q=b%C3%BCcher&from=2043-12-01&to=2043-12-31&topic=charla&topic=repair"
        "&online=no&language=es&access=step-free&access=childcare&branch=alder&branch=birch"
    )
    assert sorted(Controls(ben.get(f"/events?{query}").text).sent) == sorted(parse_qsl(query))
    blank = {name for name, value in Controls(ben.get("/events").text).sent if not value}
    assert blank == {"near", "within", "q", "from", "to", "online", "language"}
    switch = f'href="/es/events?{query.replace("&", "&amp;")}"'
    assert switch in ben.get(f"/events?{query}").text, "the language changes, the filters do not"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_days_are_chosen_by_one_link_that_keeps_the_other_filters(ben: TestClient, tool_night: int) -> None:
    today = datetime.now(ZoneInfo("America/Chicago")).date()
    days = chips(ben.get("/events?q=tool&from=2043-12-01").text, "Days")
    assert list(days) == ["Any day", "Today", "This weekend", "Next 7 days"]
    assert days["Any day"] == "/events?q=tool"
    assert days["Next 7 days"] == f"/events?from={today}&to={today + timedelta(days=6)}&q=tool"
    first, last = (date.fromisoformat(day) for _, day in parse_qsl(urlsplit(days["This weekend"]).query)[:2])
    assert last.weekday() == 6 and first >= today and last - first <= timedelta(days=1)
    _, _, chosen = ben.get(days["Next 7 days"]).text.partition('aria-label="Days"')
    assert re.findall(r'aria-current="true">([^<]*)<', chosen)[0] == "Next 7 days"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_empty_list_says_what_to_do_next(
    ben: TestClient, tool_night: int, settings: Settings, small_gazetteer: Path
) -> None:
    shutil.copy(small_gazetteer, settings.gazetteer)
    page = ben.get("/events?near=60614&within=10&q=nothing").text
    [steps] = re.findall(r'<div class="empty">.*?</div>', page, re.DOTALL)
    links = {text: unescape(href) for href, text in re.findall(r'href="([^"]*)">([^<]*)<', steps)}
    assert links["Look within 25 mi"] == "/events?near=60614&within=25mi&q=nothing"
    assert links["Show all events"] == "/events"
    assert links["Get this list by e-mail"] == "/subscribe?near=60614&within=10&q=nothing#mail"
    assert links["Keep this list in your calendar"] == "#feed-title" and 'id="feed-title"' in page
    mail = ben.get(links["Get this list by e-mail"]).text.partition('id="mail"')[2]
    assert 'value="60614"' in mail and "Look within" not in ben.get("/events?q=nothing").text


# ---------------------------------------------------------------- times that cannot be misread


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_time_says_its_offset_its_zone_and_its_whole_day(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    night = {"start": datetime(2043, 7, 7, 19), "end": datetime(2043, 7, 7, 21), "timezone": "Europe/Madrid"}
    summer = added(database, publishing, cast.birch, **ONCE | {"title": "Online"}, **night, attendance="online",
                   online_url="https://meet.example.org/x")  # fmt: skip
    page = ben.get("/events").text
    assert 'datetime="2043-11-24T19:00:00-06:00">' in page and "Chicago time" in page
    assert "Tuesday, November 24, 2043, 7:00" in page, "the link's name says the day for those who hear it"
    assert page.count("data-here=") == 1, "what is only in Chicago is for those who come to Chicago"
    here = 'data-here=" · {time} where you are ({city})"'
    assert f'<time datetime="2043-07-07T19:00:00+02:00" {here}></time>' in page
    alone = ben.get(f"/events/{summer}").text
    assert 'Madrid time<time datetime="2043-07-07T19:00:00+02:00" data-here="; {time}' in alone
    assert "Tuesday, July 7, 2043" in alone


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_several_days_say_each_of_their_days_in_full_and_whole_days_have_no_hour_elsewhere(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    long = added(database, publishing, cast.alder, **ONCE, start=datetime(2043, 11, 27, 18),
                 end=datetime(2043, 11, 29, 12))  # fmt: skip
    whole = added(database, publishing, cast.alder, **ONCE, start=datetime(2043, 11, 27),
                  end=datetime(2043, 11, 29), all_day=True)  # fmt: skip
    pages = [ben.get(f"/events/{number}").text.replace("\u202f", " ") for number in (long, whole)]
    assert "Friday, November 27, 2043, 6:00 PM – Sunday, November 29, 2043, 12:00 PM" in pages[0]
    assert "Friday, November 27, 2043 – Saturday, November 28, 2043" in pages[1]
    assert 'datetime="2043-11-27"' in pages[1] and not any("data-here" in page for page in pages)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_is_not_online_any_more_has_no_link_to_join_anywhere(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    """A form keeps the link, so that it is there again when people meet online once more."""
    link = "https://meet.example/tools"
    paths = [f"/events/{{}}{form}" for form in ("", ".ics", "/poster")] + ["/events.json", "/events.atom"]
    for attendance, told in (("in-person", 0), ("hybrid", 4)):
        number = added(database, publishing, cast.alder, attendance=attendance, online_url=link)
        told_of = [path for path in paths if "meet.example" in ben.get(path.format(number)).text]
        assert len(told_of) == told, told_of


@pytest.mark.parametrize("words", ["\ufdfa" * 200, " ".join(map(chr, range(0x4E00, 0x4E64)))])
def test_more_words_than_a_database_can_compare_at_once_are_looked_for_all_the_same(
    ben: TestClient, cast: Cast, words: str
) -> None:
    """The first is a letter that is four words when it is folded."""
    for path in ("/events", "/events.ics", "/events.atom", "/api/v1/events", "/interests"):
        assert ben.get(path, params={"q": words}).status_code == 200, path
