"""Atom, JSON Feed, CSV and JSON-LD: each writes what the event says, and only that."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import pytest

from events.branches.models import Branch
from events.calendars import content, formats, json_ld, vevents
from events.calendars.content import Publishing, Said, Told
from events.calendars.entries import ATOM, urn
from events.calendars.feeds import Heading, Note
from events.calendars.ics import vevent
from events.calendars.models import Event, Override, State, Topic
from events.language import language
from events.places.geo import Point
from tests.conftest import branch

ENGLISH, SPANISH = language("en"), language("es")
PUBLISHING = Publishing("https://clubs.example.org", "Hazel Clubs", ("en", "es"))
MADE, CHANGED = datetime(2026, 11, 1, 9, tzinfo=UTC), datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
PAGE = "https://clubs.example.org/events/7?date=2026-11-24"
UID = "0f8fad5bd9cb469fa16570867728950e"
HOSTILE = (
    "</script><script>alert(1)</script>",
    "]]>",
    "a\x00b\x0bc\x1f\ufffe",
    '=HYPERLINK("http://x")',
    "<b>&amp;",
)
HEADING = Heading(
    name="Hazel Clubs: events",
    description="All of it",
    capped="",
    empty=Note("Nothing yet"),
    url="https://clubs.example.org/events",
    source="https://clubs.example.org/events.atom",
    locale="en",
)


def alder(**more: Any) -> Branch:
    values = {"address_1": "2150 N Halsted St", "city": "Chicago", "state_province": "IL", "postal_code": "60614",
              "country": "US", "timezone": "America/Chicago"}  # fmt: skip
    return branch("alder", "Alder Club", Point(41.9227, -87.6533), **values | more)


def told(owner: Branch | None = None, overrides: Sequence[Override] = (), **more: Any) -> Told:
    """Tool night, on Tuesday 24 November 2026 at seven in Chicago."""
    owner = owner or alder()
    values: dict[str, Any] = {
        "id": 7,
        "uid": UID,
        "branch_id": 1,
        "state": State.PUBLISHED,
        "title": "Tool night",
        "description": "Bring **anything** with a plug.",
        "start": datetime(2026, 11, 24, 19),
        "end": datetime(2026, 11, 24, 21),
        "timezone": "America/Chicago",
        "exdates": [],
        "created_at": MADE,
        "modified_at": CHANGED,
        "begins_at": MADE,
        "derived_at": MADE,
    }
    event = Event(**values | more)
    event.stand_at(owner.public_point if event.attendance != "online" else None)
    return Told(event, overrides, [owner], [Topic(id=1, slug="repair", name="Repair")])


def weekly(*overrides: Override, **more: Any) -> Told:
    return told(overrides=overrides, rrule="FREQ=WEEKLY;BYDAY=TU", **more)


def shown(one: Told) -> Said:
    return content.said_on(one, one.event.start)


def atom(*events: Said, heading: Heading = HEADING, spoken: Any = ENGLISH) -> ElementTree.Element:
    return ElementTree.fromstring(formats.atom(heading, events, PUBLISHING, spoken))  # noqa: S314  (our own)


def json_feed(*events: Said, spoken: Any = ENGLISH) -> Any:
    return json.loads(formats.json_feed(HEADING, events, PUBLISHING, spoken))


def rows(*dates: Said, spoken: Any = ENGLISH) -> list[dict[str, str]]:
    return list(
        csv.DictReader(io.StringIO(formats.csv(HEADING, dates, PUBLISHING, spoken).decode(), newline=""))
    )


def data(one: Said, spoken: Any = ENGLISH) -> Any:
    return json.loads(json_ld.script(one, PAGE, PUBLISHING, spoken))


def of(element: ElementTree.Element, path: str) -> str:
    """The text of the one element at the path."""
    [found] = element.findall("/".join(f"{{{ATOM}}}{tag}" for tag in path.split("/")))
    return found.text or ""


def links(element: ElementTree.Element) -> dict[str, str]:
    return {link.attrib["rel"]: link.attrib["href"] for link in element.findall(f"{{{ATOM}}}link")}


ENTRY = f"{{{ATOM}}}entry"


# ---------------------------------------------------------------- Atom


def test_an_atom_feed_has_what_rfc_4287_requires() -> None:
    feed = atom(shown(weekly()))
    assert feed.tag == f"{{{ATOM}}}feed"
    assert (of(feed, "id"), of(feed, "title")) == (HEADING.source, "Hazel Clubs: events")
    assert (of(feed, "updated"), of(feed, "author/name")) == ("2026-11-20T09:30:00Z", "Hazel Clubs")
    assert links(feed) == {"self": HEADING.source, "alternate": HEADING.url}
    [entry] = feed.findall(ENTRY)
    assert of(entry, "id") == "urn:uuid:0f8fad5b-d9cb-469f-a165-70867728950e"
    assert (of(entry, "published"), of(entry, "updated")) == ("2026-11-01T09:00:00Z", "2026-11-20T09:30:00Z")
    assert links(entry) == {"alternate": "https://clubs.example.org/events/7"}


def test_an_entry_says_when_where_what_by_whom_and_about_what() -> None:
    [entry] = atom(shown(weekly())).findall(ENTRY)
    assert of(entry, "title") == "Tool night – Tuesday, November 24, 2026"
    summary = of(entry, "summary").replace("\u202f", " ").replace("\u2009", " ")
    assert summary == (
        "Tuesday, November 24, 2026, 7:00 – 9:00 PM, Chicago time\nAlder Club\n2150 N Halsted St, Chicago, IL, 60614"
    )
    assert "<strong>anything</strong>" in of(entry, "content")
    assert (of(entry, "author/name"), of(entry, "author/uri")) == (
        "Alder Club",
        "https://clubs.example.org/branches/alder",
    )
    [category] = entry.findall(f"{{{ATOM}}}category")
    assert category.attrib == {"term": "repair", "label": "Repair"}


def test_a_feed_without_events_is_valid_too() -> None:
    feed = atom()
    assert feed.findall(ENTRY) == [] and of(feed, "updated") == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize("text", ["word " * 4000, "слово " * 1800])
def test_a_list_has_no_more_entries_than_there_is_room_for_and_the_soonest_first(text: str) -> None:
    """A hundred with very long texts were 3 MB at each poll; in letters of two bytes still 2 MB."""
    many = [shown(told(id=number, uid=f"{number:032}", description=text)) for number in range(60)]
    items = json_feed(*many)["items"]
    assert 2 < len(items) < 6
    assert [item["id"] for item in items] == [urn(f"{number:032}") for number in range(len(items))]
    entries = [of(entry, "id") for entry in atom(*many).findall(f"{{{ATOM}}}entry")]
    assert 5 < len(entries) < 10 and entries[: len(items)] == [item["id"] for item in items]


def test_the_first_has_room_however_much_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MOST_BYTES", 10)
    assert len(json_feed(*[shown(told(id=number)) for number in range(2)])["items"]) == 1


def test_a_closed_branch_explains_itself_in_an_entry_of_its_own() -> None:
    note = Note("Cedar has closed", "You see the events of Alder Club.", "https://clubs.example.org/x", MADE)
    heading = replace(HEADING, closed=note)
    first, second = atom(shown(told()), heading=heading).findall(ENTRY)
    assert (of(first, "title"), of(first, "updated")) == ("Cedar has closed", "2026-11-01T09:00:00Z")
    assert of(first, "id") != of(second, "id")


@pytest.mark.parametrize("title", HOSTILE)
def test_whatever_a_title_holds_the_feeds_stay_whole(title: str) -> None:
    hostile = shown(told(title=title, description=title, venue_name=title, cost=title))
    [entry] = atom(hostile).findall(ENTRY)
    kept = "".join(sign for sign in title if sign >= " " and sign != "\ufffe").replace("bc", "b\nc")
    assert of(entry, "title").startswith(kept)
    [item] = json_feed(hostile)["items"]
    for html in (of(entry, "content"), item["content_html"]):
        assert "<script" not in html and "<b>" not in html
    script = json_ld.script(hostile, PAGE, PUBLISHING, ENGLISH)
    assert not {"<", ">", "&"} & set(script) and json.loads(script)["name"] == title
    [row] = rows(hostile)
    assert row["title"] == (f"'{kept}" if kept.startswith("=") else kept)


def test_a_link_in_the_facts_can_be_followed_and_one_that_is_none_is_text() -> None:
    one = told(online_url="https://meet.example.org/x?a=1&b=2", attendance="hybrid", contact="javascript:x")
    html = content.in_html(shown(one), ENGLISH)
    assert '<a href="https://meet.example.org/x?a=1&amp;b=2">' in html and 'href="javascript' not in html


# ---------------------------------------------------------------- JSON Feed


def test_a_json_feed_has_what_version_1_1_asks_for() -> None:
    feed = json_feed(shown(weekly()))
    assert feed["version"] == "https://jsonfeed.org/version/1.1" and feed["language"] == "en"
    assert (feed["feed_url"], feed["home_page_url"]) == (HEADING.source, HEADING.url)
    [item] = feed["items"]
    assert item["id"].startswith("urn:uuid:") and item["url"] == "https://clubs.example.org/events/7"
    assert item["tags"] == ["Repair"] and item["date_modified"] == "2026-11-20T09:30:00Z"
    assert item["authors"] == [{"name": "Alder Club", "url": "https://clubs.example.org/branches/alder"}]
    assert "Bring anything with a plug." in item["content_text"]


def test_a_json_item_has_its_date_for_programs() -> None:
    record = json_feed(shown(weekly()))["items"][0]["_branchline"]
    assert (record["uid"], record["status"], record["timezone"]) == (UID, "confirmed", "America/Chicago")
    assert (record["start"], record["end"]) == ("2026-11-24T19:00:00-06:00", "2026-11-24T21:00:00-06:00")
    assert record["branches"] == [{"slug": "alder", "name": "Alder Club"}]
    assert (record["latitude"], record["longitude"]) == (41.9227, -87.6533)


# ---------------------------------------------------------------- what changed


def test_a_cancelled_date_says_so_with_its_day_and_its_reason() -> None:
    off = Override(
        event_id=7, original_start=datetime(2026, 11, 24, 19), cancelled=True, reason="No heating."
    )
    date = shown(weekly(off))
    [entry], [item] = atom(date).findall(ENTRY), json_feed(date)["items"]
    assert of(entry, "title") == item["title"] == "Cancelled: Tool night – Tuesday, November 24, 2026"
    assert "No heating." in of(entry, "content") and "No heating." in item["content_text"]
    [row] = rows(date)
    assert (row["title"], row["status"], row["reason"]) == ("Tool night", "cancelled", "No heating.")
    assert data(date)["eventStatus"] == "https://schema.org/EventCancelled"


def test_a_moved_date_says_from_when() -> None:
    move = Override(event_id=7, original_start=datetime(2026, 11, 24, 19), start=datetime(2026, 11, 26, 18))
    date = shown(weekly(move))
    assert "Moved from Tuesday, November 24, 2026" in of(atom(date), "entry/content")
    [row] = rows(date)
    assert (row["start"], row["end"]) == ("2026-11-26T18:00:00-06:00", "2026-11-26T20:00:00-06:00")
    assert row["url"] == "https://clubs.example.org/events/7?date=2026-11-24"
    found = data(date)
    assert found["eventStatus"] == "https://schema.org/EventRescheduled"
    assert found["previousStartDate"] == "2026-11-24T19:00:00-06:00"


def test_a_single_event_that_was_moved_says_so_too() -> None:
    date = shown(told(moved_from=datetime(2026, 11, 23, 19)))
    assert "Moved from Monday, November 23, 2026" in json_feed(date)["items"][0]["content_text"]
    assert data(date)["previousStartDate"] == "2026-11-23T19:00:00-06:00"


def test_a_postponed_event_is_neither_on_nor_cancelled() -> None:
    date = shown(told(state=State.POSTPONED, cancelled_reason="The hall is flooded."))
    item = json_feed(date)["items"][0]
    assert item["title"].startswith("Postponed: Tool night") and item["_branchline"]["status"] == "postponed"
    assert "The hall is flooded." in item["content_html"]
    found = data(date)
    assert found["eventStatus"] == "https://schema.org/EventPostponed"
    assert found["startDate"] == "2026-11-24T19:00:00-06:00" and "previousStartDate" not in found


def test_later_dates_that_are_off_or_moved_are_told_with_the_next_one() -> None:
    off = Override(event_id=7, original_start=datetime(2026, 12, 1, 19), cancelled=True, reason="No heating.")
    move = Override(event_id=7, original_start=datetime(2026, 12, 8, 19), start=datetime(2026, 12, 9, 19))
    past = Override(event_id=7, original_start=datetime(2026, 11, 17, 19), cancelled=True, reason="Long ago.")
    one = weekly(off, move, past, start=datetime(2026, 11, 17, 19), end=datetime(2026, 11, 17, 21))
    text = json_feed(content.said_on(one, datetime(2026, 11, 24, 19)))["items"][0]["content_text"]
    assert "Cancelled: Tuesday, December 1, 2026 No heating." in text
    assert "Moved from Tuesday, December 8, 2026" in text and "Long ago." not in text


# ---------------------------------------------------------------- kinds of events


def test_an_all_day_event_has_days_and_its_end_is_the_last_of_them() -> None:
    camp = shown(told(start=datetime(2026, 12, 8), end=datetime(2026, 12, 11), all_day=True))
    for found in (rows(camp)[0], json_feed(camp)["items"][0]["_branchline"]):
        assert (found["start"], found["end"]) == ("2026-12-08", "2026-12-10")
    assert (data(camp)["startDate"], data(camp)["endDate"]) == ("2026-12-08", "2026-12-10")
    assert content.when(camp, ENGLISH) == "Dec 8, 2026 – Dec 10, 2026"
    day = shown(told(start=datetime(2026, 12, 8), end=datetime(2026, 12, 9), all_day=True))
    assert (data(day)["startDate"], data(day)["endDate"]) == ("2026-12-08", "2026-12-08")
    assert content.when(day, ENGLISH) == "Tuesday, December 8, 2026"


def test_an_online_event_has_no_place_but_a_link() -> None:
    online = shown(told(attendance="online", online_url="https://meet.example.org/x"))
    [row] = rows(online)
    assert (row["place"], row["address"], row["latitude"]) == ("", "", "")
    assert row["online_url"] == "https://meet.example.org/x"
    found = data(online)
    assert found["eventAttendanceMode"] == "https://schema.org/OnlineEventAttendanceMode"
    assert found["location"] == {"@type": "VirtualLocation", "url": "https://meet.example.org/x"}


def test_json_ld_says_where_a_branch_is_by_its_parts_and_a_venue_by_its_line() -> None:
    place = data(shown(told()))["location"]
    assert place["name"] == "Alder Club" and place["geo"]["latitude"] == 41.9227
    assert place["address"] == {"@type": "PostalAddress", "streetAddress": "2150 N Halsted St",
                                "addressLocality": "Chicago", "addressRegion": "IL", "postalCode": "60614",
                                "addressCountry": "US"}  # fmt: skip
    both = data(shown(told(attendance="hybrid", online_url="https://meet.example.org/x", venue_name="Hall 7",
                           venue_address="1 Long Street, Chicago")))  # fmt: skip
    assert [where["@type"] for where in both["location"]] == ["Place", "VirtualLocation"]
    assert both["location"][0]["address"] == "1 Long Street, Chicago"
    assert both["eventAttendanceMode"] == "https://schema.org/MixedEventAttendanceMode"


def test_json_ld_names_who_holds_it_and_whether_it_is_free() -> None:
    found = data(shown(told(access="step-free,free")))
    assert found["organizer"] == {
        "@type": "Organization",
        "name": "Alder Club",
        "url": "https://clubs.example.org/branches/alder",
    }
    assert found["isAccessibleForFree"] is True and found["inLanguage"] == "en"
    assert found["description"] == "Bring anything with a plug."
    assert "isAccessibleForFree" not in data(shown(told())), "not said is not known"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=DAILY;INTERVAL=3;COUNT=20", {"repeatFrequency": "P3D", "repeatCount": 20}),
        (
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU",
            {"repeatFrequency": "P2W", "byDay": "https://schema.org/Tuesday"},
        ),
        ("FREQ=MONTHLY;BYDAY=4TU", {"repeatFrequency": "P1M", "byDay": "4TU"}),
        ("FREQ=MONTHLY;BYMONTHDAY=24", {"repeatFrequency": "P1M", "byMonthDay": 24}),
        (
            "FREQ=YEARLY;BYMONTH=11;BYMONTHDAY=24;UNTIL=20301124T190000",
            {"repeatFrequency": "P1Y", "byMonth": 11, "byMonthDay": 24, "endDate": "2030-11-24"},
        ),
    ],
)
def test_a_date_of_a_series_says_what_it_belongs_to(rule: str, expected: dict[str, object]) -> None:
    found = data(shown(told(rrule=rule, exdates=["2026-12-01T19:00:00"])))
    assert found["url"] == PAGE
    assert found["superEvent"]["@type"] == "EventSeries"
    assert found["superEvent"]["url"] == "https://clubs.example.org/events/7"
    assert found["superEvent"]["eventSchedule"] == {
        "@type": "Schedule",
        "startDate": "2026-11-24",
        "startTime": "19:00:00",
        "duration": "PT120M",
        "scheduleTimezone": "America/Chicago",
        "exceptDate": ["2026-12-01"],
        **expected,
    }


def test_the_last_day_of_a_month_is_a_series_without_a_schedule() -> None:
    start, end = datetime(2026, 11, 30, 19), datetime(2026, 11, 30, 21)
    series = data(shown(told(rrule="FREQ=MONTHLY;BYMONTHDAY=-1", start=start, end=end)))["superEvent"]
    assert series["name"] == "Tool night" and "eventSchedule" not in series


def test_our_own_words_come_in_spanish_and_the_organizers_stay_as_they_are() -> None:
    move = Override(event_id=7, original_start=datetime(2026, 11, 24, 19), start=datetime(2026, 11, 26, 18))
    date = shown(weekly(move))
    item = json_feed(date, spoken=SPANISH)["items"][0]
    assert "jueves, 26 de noviembre de 2026" in item["title"] and item["title"].startswith("Tool night")
    assert item["url"] == "https://clubs.example.org/es/events/7"
    assert "Moved from" not in item["content_text"] and "Bring anything" in item["content_text"]
    assert data(date, SPANISH)["organizer"]["url"] == "https://clubs.example.org/es/branches/alder"


def test_of_a_confidential_branch_nothing_but_the_town_is_in_any_form() -> None:
    secret = shown(told(alder(confidential=True)))
    forms = (
        formats.atom(HEADING, [secret], PUBLISHING, ENGLISH).decode(),
        formats.json_feed(HEADING, [secret], PUBLISHING, ENGLISH).decode(),
        formats.csv(HEADING, [secret], PUBLISHING, ENGLISH).decode(),
        json_ld.script(secret, PAGE, PUBLISHING, ENGLISH),
    )
    for text in forms:
        assert "Chicago" in text
        for hidden in ("Halsted", "60614", "41.9", "87.6"):
            assert hidden not in text


def test_a_uid_from_elsewhere_becomes_a_urn_that_stays() -> None:
    assert urn("abc@example.org") == urn("abc@example.org") != urn("abd@example.org")
    assert urn("abc@example.org").startswith("urn:uuid:")


# ---------------------------------------------------------------- as VEVENTs


def entries(one: Told, spoken: Any = ENGLISH) -> list[Any]:
    return vevents.entries(one, PUBLISHING, spoken)


def test_a_date_at_another_place_has_no_coordinates_of_the_usual_one() -> None:
    places: tuple[dict[str, Any], ...] = (
        {"venue_name": "Park"},
        {"venue_name": "", "venue_address": "1 Green Lane"},
    )
    for elsewhere in places:
        park = Override(event_id=7, original_start=datetime(2026, 12, 1, 19), **elsewhere)
        usual, there = entries(weekly(park))
        assert (usual.location.split("\n")[0], usual.latitude) == ("Alder Club", 41.9227)
        assert (there.location, there.latitude, there.longitude) == (
            str(content.place(weekly(park), park)),
            None,
            None,
        )
        assert "geo" not in data(content.said_on(weekly(park), park.original_start))["location"]


def test_a_date_that_was_off_before_the_whole_was_keeps_its_own_reason() -> None:
    off = Override(event_id=7, original_start=datetime(2026, 12, 1, 19), cancelled=True, reason="No heating.")
    one = weekly(off, state=State.CANCELLED, cancelled_reason="We have no room any more.")
    whole, date = (entry.description.split("\n")[0] for entry in entries(one))
    assert (whole, date) == ("We have no room any more.", "No heating.")


def test_what_is_off_has_not_moved() -> None:
    off = Override(
        event_id=7, original_start=datetime(2026, 12, 1, 19), start=datetime(2026, 12, 2, 19), cancelled=True
    )
    _, date = entries(weekly(off))
    assert "Moved" not in date.description and date.status == "CANCELLED"
    shown_off = content.said_on(weekly(off), off.original_start)
    assert "previousStartDate" not in data(shown_off) and rows(shown_off)[0]["status"] == "cancelled"


def test_a_changed_date_has_the_stamps_of_its_own_changes() -> None:
    own = Override(event_id=7, original_start=datetime(2026, 12, 1, 19), title="In the park", revision=101,
                   created_at=MADE, modified_at=MADE)  # fmt: skip
    whole, date = entries(weekly(own, revision=3))
    assert (whole.sequence, whole.modified_at) == (3, CHANGED)
    assert (date.sequence, date.modified_at) == (101, MADE)


def test_a_part_of_a_series_is_related_to_the_series() -> None:
    [entry] = entries(told(related_uid="a" * 32))
    assert entry.related_to == "a" * 32
    assert "RELATED-TO" in vevent(entry) and "a" * 32 in vevent(entry)


def test_hidden_dates_become_exclusions_and_a_series_that_is_off_nothing() -> None:
    off = Override(event_id=7, original_start=datetime(2026, 12, 1, 19), cancelled=True)
    move = Override(event_id=7, original_start=datetime(2026, 12, 8, 19), start=datetime(2026, 12, 9, 19))
    one = weekly(off, move, exdates=["2026-12-15T19:00:00"])
    whole, date = vevents.entries_without_cancelled(entries(one))
    assert whole.exdates == (datetime(2026, 12, 15, 19), off.original_start)
    assert date.recurrence_id == move.original_start
    for state in (State.CANCELLED, State.POSTPONED):
        assert vevents.entries_without_cancelled(entries(weekly(off, state=state))) == []


def test_a_title_says_that_it_is_off_in_the_language_of_the_event() -> None:
    [entry] = entries(told(state=State.CANCELLED, language="es"))
    assert entry.summary == "Cancelado: Tool night"
    [entry] = entries(told(state=State.CANCELLED, language="xx"), SPANISH)
    assert entry.summary == "Cancelled: Tool night"


def test_an_event_in_person_has_no_link_to_join() -> None:
    one = told(attendance="in-person", online_url="https://meet.example.org/x")
    [entry] = entries(one)
    assert entry.conference_url == "" and rows(shown(one))[0]["online_url"] == ""


# ---------------------------------------------------------------- small print


def test_a_feed_was_updated_when_its_newest_entry_was() -> None:
    older = told(id=8, uid="1" * 32, modified_at=MADE)
    for events in ((shown(older), shown(told())), (shown(told()), shown(older))):
        assert of(atom(*events), "updated") == "2026-11-20T09:30:00Z"


def test_the_note_of_a_closed_branch_is_one_entry_in_all_its_words() -> None:
    def id_of(title: str, source: str) -> str:
        return of(atom(heading=replace(HEADING, source=source, closed=Note(title, url=PAGE))), "entry/id")

    source = "https://clubs.example.org/branches/cedar.atom"
    assert id_of("Cedar has closed", source) == id_of("Cedar Club has closed", source)
    assert id_of("Cedar has closed", source) != id_of("Cedar has closed", source.replace("cedar", "elm"))


def test_an_hour_that_comes_twice_is_the_first_one() -> None:
    night = shown(told(start=datetime(2026, 11, 1, 1, 30), end=datetime(2026, 11, 1, 3)))
    [row] = rows(night)
    assert (row["start"], row["end"]) == ("2026-11-01T01:30:00-05:00", "2026-11-01T03:00:00-06:00")


def test_all_who_hold_an_event_are_named() -> None:
    one = told()
    both = replace(one, hosts=[one.owner, branch("birch", "Club Abedul", None)])
    [entry] = atom(shown(both)).findall(ENTRY)
    assert [name.text for name in entry.iter(f"{{{ATOM}}}name")] == ["Alder Club", "Club Abedul"]
    assert [host["name"] for host in data(shown(both))["organizer"]] == ["Alder Club", "Club Abedul"]
    assert rows(shown(both))[0]["branches"] == "Alder Club; Club Abedul"


def test_a_record_says_from_when_a_date_was_moved() -> None:
    move = Override(event_id=7, original_start=datetime(2026, 11, 24, 19), start=datetime(2026, 11, 26, 18))
    assert (
        json_feed(shown(weekly(move)))["items"][0]["_branchline"]["moved_from"] == "2026-11-24T19:00:00-06:00"
    )
    assert json_feed(shown(weekly()))["items"][0]["_branchline"]["moved_from"] is None


def test_a_schedule_leaves_out_the_dates_that_are_off_or_moved() -> None:
    off = Override(event_id=7, original_start=datetime(2026, 12, 8, 19), cancelled=True)
    move = Override(event_id=7, original_start=datetime(2026, 12, 15, 19), start=datetime(2026, 12, 16, 19))
    other = Override(event_id=7, original_start=datetime(2026, 12, 22, 19), title="In the park")
    one = weekly(move, off, other, exdates=["2026-12-29T19:00:00"])
    schedule = data(shown(one))["superEvent"]["eventSchedule"]
    assert schedule["exceptDate"] == ["2026-12-08", "2026-12-15", "2026-12-29"]


def test_a_series_that_is_off_has_no_schedule() -> None:
    assert "superEvent" not in data(shown(weekly(state=State.CANCELLED)))


def test_the_schedule_of_an_all_day_series_has_days_and_no_hours() -> None:
    camp = weekly(start=datetime(2026, 11, 24), end=datetime(2026, 11, 26), all_day=True)
    schedule = data(shown(camp))["superEvent"]["eventSchedule"]
    assert schedule["duration"] == "P2D" and "startTime" not in schedule


def test_line_ends_of_javascript_are_escaped_in_a_script() -> None:
    script = json_ld.script(shown(told(title="a\u2028b\u2029c")), PAGE, PUBLISHING, ENGLISH)
    assert not {"\u2028", "\u2029"} & set(script) and json.loads(script)["name"] == "a\u2028b\u2029c"
