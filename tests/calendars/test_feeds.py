"""Feeds over a database: what subscribers get, and what moves when something changes."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from icalendar import Calendar
from starlette.testclient import TestClient

from events.calendars import derived, store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft, OverrideDraft
from events.calendars.models import Event
from events.db import Database
from tests.conftest import NOW, Cast


def weekly(**more: object) -> EventDraft:
    """Every Tuesday at 19:00 from 24 November 2026, in Chicago."""
    values: dict[str, object] = {
        "title": "Tool night",
        "start": datetime(2026, 11, 24, 19),
        "end": datetime(2026, 11, 24, 21),
        "timezone": "America/Chicago",
        "rrule": "FREQ=WEEKLY;BYDAY=TU",
        "state": "published",
        "topics": ("Repair",),
    }
    return EventDraft.model_validate({**values, **more})


@pytest.fixture
def tool_night(database: Database, cast: Cast, publishing: Publishing) -> int:
    with database.writing() as session:
        event = store.add(session, weekly(), [cast.alder], publishing, NOW)
        assert event.id is not None
        return event.id


class Subscriber:
    """Somebody's calendar app: fetches a feed and knows what it had before."""

    def __init__(self, client: TestClient, path: str) -> None:
        self.client, self.path = client, path

    def events(self) -> list[Any]:
        answer = self.client.get(self.path)
        assert answer.status_code == 200, answer.text
        return Calendar.from_ical(answer.content).walk("VEVENT")

    def versions(self) -> dict[str, tuple[int, datetime]]:
        """SEQUENCE and LAST-MODIFIED by original date (empty for the series itself)."""
        return {
            str((event.get("RECURRENCE-ID") and event["RECURRENCE-ID"].dt.date()) or ""): (
                int(event["SEQUENCE"]),
                event["LAST-MODIFIED"].dt,
            )
            for event in self.events()
        }


@pytest.fixture
def subscriber(ben: TestClient, tool_night: int) -> Subscriber:
    return Subscriber(ben, "/branches/alder.ics")


def change(database: Database, number: int, publishing: Publishing, override: OverrideDraft) -> None:
    with database.writing() as session:
        store.change_date(
            session, session.get_one(Event, number), override, publishing, NOW + timedelta(hours=1)
        )


def test_a_branch_a_topic_an_event_and_everything_have_a_feed_with_the_same_uid(
    ben: TestClient, tool_night: int
) -> None:
    paths = ("/events.ics", "/branches/alder.ics", "/topics/repair.ics", f"/events/{tool_night}.ics",
             "/events.ics?near=41.92,-87.64&within=25mi", "/es/events.ics")  # fmt: skip
    uids = {path: [str(event["UID"]) for event in Subscriber(ben, path).events()] for path in paths}
    assert len({tuple(found) for found in uids.values()}) == 1, uids


def test_another_branch_far_away_has_an_empty_feed_with_one_placeholder(
    ben: TestClient, tool_night: int
) -> None:
    for path in ("/branches/birch.ics", "/events.ics?near=40.42,-3.70"):
        [only] = Subscriber(ben, path).events()
        assert "subscribed" in str(only["SUMMARY"])


def test_nothing_moves_while_nothing_changes(
    database: Database, subscriber: Subscriber, publishing: Publishing, tool_night: int
) -> None:
    before = subscriber.versions()
    with database.writing() as session:
        derived.save(session, session.get_one(Event, tool_night), publishing, NOW + timedelta(days=1))
    assert subscriber.versions() == before


def test_a_new_title_keeps_the_uid_and_moves_sequence_and_last_modified(
    database: Database, subscriber: Subscriber, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    [before] = subscriber.events()
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        store.revise(
            session, event, weekly(title="Tool evening"), [cast.alder], publishing, NOW + timedelta(hours=1)
        )
    [after] = subscriber.events()
    assert str(after["UID"]) == str(before["UID"]) and str(after["SUMMARY"]) == "Tool evening"
    assert int(after["SEQUENCE"]) == int(before["SEQUENCE"]) + 1
    assert after["LAST-MODIFIED"].dt == after["DTSTAMP"].dt > before["LAST-MODIFIED"].dt


def test_moving_one_date_adds_an_override_by_its_original_start_and_moves_the_series(
    database: Database, subscriber: Subscriber, publishing: Publishing, tool_night: int
) -> None:
    before = subscriber.versions()
    change(database, tool_night, publishing, OverrideDraft(
        original_start=datetime(2026, 12, 1, 19), start=datetime(2026, 12, 3, 18), end=datetime(2026, 12, 3, 20),
    ))  # fmt: skip
    series, override = subscriber.events()
    assert override["RECURRENCE-ID"].dt.replace(tzinfo=None) == datetime(2026, 12, 1, 19)
    assert override["DTSTART"].dt.replace(tzinfo=None) == datetime(2026, 12, 3, 18)
    assert "Moved from Tuesday, December 1" in str(override["DESCRIPTION"])
    assert int(series["SEQUENCE"]) == before[""][0] + 1 <= int(override["SEQUENCE"])


def test_cancelling_one_date_says_so_with_the_reason_first(
    database: Database, subscriber: Subscriber, publishing: Publishing, tool_night: int
) -> None:
    change(database, tool_night, publishing, OverrideDraft(
        original_start=datetime(2026, 12, 8, 19), cancelled=True, reason="The boiler is broken.",
    ))  # fmt: skip
    series, override = subscriber.events()
    assert (str(series["STATUS"]), str(override["STATUS"])) == ("CONFIRMED", "CANCELLED")
    assert str(override["SUMMARY"]) == "Cancelled: Tool night"
    assert str(override["DESCRIPTION"]).startswith("The boiler is broken.")


def test_a_cancelled_event_stays_in_the_feed_unless_the_reader_hides_it(
    database: Database, ben: TestClient, subscriber: Subscriber, publishing: Publishing, tool_night: int
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        event.cancel("Too few people.", NOW)
        derived.save(session, event, publishing, NOW + timedelta(hours=1))
    [only] = subscriber.events()
    assert str(only["STATUS"]) == "CANCELLED"
    [hidden] = Subscriber(ben, "/branches/alder.ics?cancelled=hide").events()
    assert "subscribed" in str(hidden["SUMMARY"])


def test_a_removed_event_is_told_as_cancelled_and_its_page_is_gone(
    database: Database, ben: TestClient, subscriber: Subscriber, publishing: Publishing, tool_night: int
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        event.delete(datetime.now(NOW.tzinfo))
        derived.save(session, event, publishing, datetime.now(NOW.tzinfo))
    [only] = subscriber.events()
    assert str(only["STATUS"]) == "CANCELLED"
    assert ben.get(f"/events/{tool_night}").status_code == 410
    assert Subscriber(ben, f"/events/{tool_night}.ics").events()


def test_a_draft_is_in_no_feed_and_on_no_page(
    database: Database, ben: TestClient, cast: Cast, publishing: Publishing
) -> None:
    with database.writing() as session:
        event = store.add(session, weekly(state="draft", title="Secret"), [cast.alder], publishing, NOW)
        number = event.id
    assert ben.get(f"/events/{number}").status_code == 404
    for path in ("/events.ics", "/events", "/branches/alder"):
        assert "Secret" not in ben.get(path).text


def test_an_event_says_where_its_branch_is_and_moves_with_it(
    database: Database, subscriber: Subscriber, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    [before] = subscriber.events()
    assert str(before["LOCATION"]).startswith("Alder Club\n2150 N Halsted St")
    with database.writing() as session:
        alder = session.merge(cast.alder)
        alder.address_1, alder.updated_at = "1 New Street", NOW + timedelta(days=1)
        session.flush()
        assert derived.refresh(session, publishing, NOW + timedelta(days=1)) == 1
        assert derived.refresh(session, publishing, NOW + timedelta(days=1, seconds=1)) == 0
    [after] = subscriber.events()
    assert "1 New Street" in str(after["LOCATION"]) and int(after["SEQUENCE"]) == int(before["SEQUENCE"]) + 1


def test_a_confidential_branch_shows_its_town_only(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    with database.writing() as session:
        alder = session.merge(cast.alder)
        alder.confidential, alder.updated_at = True, NOW + timedelta(days=1)
        session.flush()
        derived.refresh(session, publishing, NOW + timedelta(days=1))
    for path in (
        "/events.ics",
        f"/events/{tool_night}",
        "/branches/alder",
        "/branches/alder.json",
        "/branches.geojson",
    ):
        text = ben.get(path).text.replace("\r\n ", "")
        assert "Halsted" not in text and "60614" not in text and "87.65" not in text, path
        assert "GEO:" not in text


def test_a_poll_that_found_nothing_new_is_a_304_with_the_validators(ben: TestClient, tool_night: int) -> None:
    first = ben.get("/events.ics")
    tag, modified = first.headers["etag"], first.headers["last-modified"]
    for headers in (
        {"If-None-Match": tag},
        {"If-None-Match": f'"other", W/{tag}'},
        {"If-None-Match": "*"},
        {"If-Modified-Since": modified},
    ):
        again = ben.get("/events.ics", headers=headers)
        assert (again.status_code, again.content) == (304, b""), headers
        assert (again.headers["etag"], again.headers["last-modified"]) == (tag, modified)
    changed = ben.get("/events.ics", headers={"If-None-Match": '"other"', "If-Modified-Since": modified})
    assert changed.status_code == 200, "If-None-Match wins"
    assert ben.head("/events.ics").headers["etag"] == tag
    assert "set-cookie" not in first.headers


def test_the_tag_moves_when_and_only_when_the_feed_does(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    alder, birch = (ben.get(f"/branches/{slug}.ics").headers["etag"] for slug in ("alder", "birch"))
    change(
        database,
        tool_night,
        publishing,
        OverrideDraft(original_start=datetime(2026, 12, 8, 19), cancelled=True),
    )
    assert ben.get("/branches/alder.ics").headers["etag"] != alder
    assert ben.get("/branches/birch.ics").headers["etag"] == birch


def test_near_is_snapped_so_that_the_address_of_a_feed_tells_nothing(
    ben: TestClient, tool_night: int
) -> None:
    body = ben.get("/events.ics?near=41.92271,-87.65337&within=7mi").text.replace("\r\n ", "")
    assert "near=41.92,-87.66&within=10mi" in body and "41.9227" not in body.split("BEGIN:VEVENT")[0]
