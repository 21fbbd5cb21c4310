"""Feeds over a database: what subscribers get, and what moves when something changes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from icalendar import Calendar
from sqlmodel import col, select
from starlette.testclient import TestClient

from events.branches.models import Status
from events.calendars import derived, moves, store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft, OverrideDraft
from events.calendars.feeds import PLAIN, Heading, Note, Variant, assemble, finished
from events.calendars.kept import Finished, current_revision
from events.calendars.models import Departure, Event, Occurrence, Rendered
from events.calendars.queries import Selection
from events.db import Database
from events.places.geo import Point
from tests.conftest import NOW, Cast, branch


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


# ---------------------------------------------------------------- leaving a feed


def revise(database: Database, number: int, publishing: Publishing, hosts: list[Any], **more: object) -> None:
    with database.writing() as session:
        event = session.get_one(Event, number)
        later = max(datetime.now(NOW.tzinfo), event.modified_at)
        store.revise(session, event, weekly(**more), hosts, publishing, later)


def test_an_event_that_moves_to_another_branch_says_so_in_the_old_feed(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    [before] = Subscriber(ben, "/branches/alder.ics").events()
    revise(database, tool_night, publishing, [cast.birch])
    [left] = Subscriber(ben, "/branches/alder.ics").events()
    [there] = Subscriber(ben, "/branches/birch.ics").events()
    assert (str(left["STATUS"]), str(there["STATUS"])) == ("CANCELLED", "CONFIRMED")
    assert str(left["SUMMARY"]) == "Moved: Tool night"
    assert str(left["DESCRIPTION"]).startswith("This event has moved to Club Abedul.")
    assert str(left["UID"]) == str(there["UID"]) and int(left["SEQUENCE"]) > int(before["SEQUENCE"])
    [whole] = Subscriber(ben, "/events.ics").events()
    [both] = Subscriber(ben, "/events.ics?branch=alder&branch=birch").events()
    assert str(whole["STATUS"]) == str(both["STATUS"]) == "CONFIRMED", "the live one wins"
    assert "subscribed" in ben.get("/branches/alder.ics?cancelled=hide").text


def test_an_event_that_comes_back_is_alive_again_with_a_higher_number(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    revise(database, tool_night, publishing, [cast.birch])
    [left] = Subscriber(ben, "/branches/alder.ics").events()
    revise(database, tool_night, publishing, [cast.alder])
    [back] = Subscriber(ben, "/branches/alder.ics").events()
    assert str(back["STATUS"]) == "CONFIRMED" and int(back["SEQUENCE"]) > int(left["SEQUENCE"])


def test_an_event_that_leaves_a_topic_says_so_there(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    revise(database, tool_night, publishing, [cast.alder], topics=("Garden",))
    [left] = Subscriber(ben, "/topics/repair.ics").events()
    assert str(left["DESCRIPTION"]).startswith("This event is listed under Garden now.")
    [there] = Subscriber(ben, "/topics/garden.ics").events()
    assert str(there["STATUS"]) == "CONFIRMED"


def test_a_near_feed_lets_go_of_what_moves_away_and_says_that_it_changed(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    path = "/events.ics?near=41.92,-87.64"
    before = ben.get(path).headers["last-modified"]
    revise(database, tool_night, publishing, [cast.birch])
    answer = ben.get(path)
    assert "Tool night" not in answer.text and answer.headers["last-modified"] != before


def test_a_draft_again_is_told_as_off_and_what_is_drafted_is_not_told(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    revise(database, tool_night, publishing, [cast.alder], state="draft")
    revise(database, tool_night, publishing, [cast.alder], state="draft", title="Secret plans")
    assert ben.get(f"/events/{tool_night}").status_code == 404
    for path in ("/events.ics", "/branches/alder.ics", f"/events/{tool_night}.ics"):
        [off] = Subscriber(ben, path).events()
        assert (str(off["STATUS"]), str(off["SUMMARY"])) == ("CANCELLED", "Cancelled: Tool night")
        assert "no longer announced" in str(off["DESCRIPTION"])
    revise(database, tool_night, publishing, [cast.alder], title="Tool night again")
    [on] = Subscriber(ben, "/events.ics").events()
    assert (str(on["STATUS"]), str(on["SUMMARY"])) == ("CONFIRMED", "Tool night again")
    assert int(on["SEQUENCE"]) > int(off["SEQUENCE"])


def test_what_becomes_of_a_draft_touches_no_text_that_was_published(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    """Another zone, topic, branch and title in the draft: its farewell keeps its own, in its own feeds."""
    revise(database, tool_night, publishing, [cast.alder], state="draft")
    revise(database, tool_night, publishing, [cast.birch], state="draft", title="Secret", topics=("Plans",),
           timezone="Asia/Tokyo")  # fmt: skip
    for path in ("/events.ics", "/branches/alder.ics", "/topics/repair.ics", f"/events/{tool_night}.ics"):
        text = ben.get(path).text
        assert "TZID:America/Chicago" in text and "Tokyo" not in text and "Secret" not in text, path
        assert "Cancelled: Tool night" in text, path
    for path in ("/branches/birch.ics", "/topics/plans.ics"):
        assert "Tool night" not in ben.get(path).text, path


def test_a_branch_that_closed_into_another_answers_with_its_events_and_says_why(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    with database.writing() as session:
        birch = session.merge(cast.birch)
        birch.status, birch.successor_id = Status.CLOSED, cast.alder.id
        birch.updated_at = later = datetime.now(UTC).replace(microsecond=0)
        moves.move_revision(session, later)
    texts = {str(event["SUMMARY"]): event for event in Subscriber(ben, "/branches/birch.ics").events()}
    said = ben.get("/branches/birch.ics").headers["last-modified"]
    assert said == format_datetime(later, usegmt=True), "whoever asks by date hears of it too"
    assert set(texts) == {"Club Abedul has closed", "Tool night"}
    assert "You see the events of Alder Club" in str(texts["Club Abedul has closed"]["DESCRIPTION"])
    assert "Club Abedul ha cerrado" in ben.get("/es/branches/birch.ics").text


def test_a_branch_that_closed_for_good_is_no_404(database: Database, ben: TestClient, cast: Cast) -> None:
    with database.writing() as session:
        session.merge(cast.birch).status = Status.CLOSED
    [only] = Subscriber(ben, "/branches/birch.ics").events()
    assert str(only["SUMMARY"]) == "Club Abedul has closed"


# ---------------------------------------------------------------- time passes


def assembled(database: Database, now: datetime, variant: Variant = PLAIN) -> list[Any]:
    with database.reading() as session:
        body, _ = assemble(session, Selection(), HEADING, now, variant)
    return Calendar.from_ical(body).walk("VEVENT")


def statuses(database: Database, now: datetime) -> dict[str, str]:
    return {str(event["SUMMARY"]): str(event["STATUS"]) for event in assembled(database, now)}


HEADING = Heading(
    name="x",
    description="",
    capped="Only the nearest.",
    empty=Note("Nothing yet"),
    url="https://example.org/",
    source="https://example.org/x.ics",
    locale="en",
)


def test_what_is_over_stays_for_60_days(database: Database, publishing: Publishing, cast: Cast) -> None:
    with database.writing() as session:
        store.add(session, weekly(rrule=""), [cast.alder], publishing, NOW)
    over = datetime(2026, 11, 25, 3, tzinfo=UTC)  # 21:00 in Chicago
    assert "Tool night" in statuses(database, over + timedelta(days=60))
    assert statuses(database, over + timedelta(days=61)) == {"Nothing yet": "CONFIRMED"}


def test_what_was_cancelled_after_it_was_over_is_still_told_for_30_days(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    late = datetime(2027, 1, 20, tzinfo=UTC)
    with database.writing() as session:
        event = store.add(session, weekly(rrule=""), [cast.alder], publishing, NOW)
        event.cancel("It did not take place.", late)
        derived.save(session, event, publishing, late)
    assert statuses(database, late + timedelta(days=29)) == {"Cancelled: Tool night": "CANCELLED"}
    assert statuses(database, late + timedelta(days=31)) == {"Nothing yet": "CONFIRMED"}


def test_an_endless_series_that_was_cancelled_goes_after_60_days(
    database: Database, publishing: Publishing, tool_night: int
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        event.cancel("Over.", NOW)
        derived.save(session, event, publishing, NOW)
    assert "Cancelled: Tool night" in statuses(database, NOW + timedelta(days=59))
    assert statuses(database, NOW + timedelta(days=62)) == {"Nothing yet": "CONFIRMED"}


def test_a_withdrawn_event_is_told_for_30_days_and_then_forgotten(
    database: Database, publishing: Publishing, tool_night: int
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        event.delete(NOW)
        derived.save(session, event, publishing, NOW)
    assert statuses(database, NOW + timedelta(days=30)) == {"Cancelled: Tool night": "CANCELLED"}
    assert statuses(database, NOW + timedelta(days=31)) == {"Nothing yet": "CONFIRMED"}
    with database.writing() as session:
        assert derived.forget_farewells(session, NOW + timedelta(days=59)) == 0
        assert derived.forget_farewells(session, NOW + timedelta(days=61)) == 2
        assert session.exec(select(Rendered)).all() == []


def test_a_cancelled_date_is_told_until_it_is_past_and_for_30_days_then_left_out(
    database: Database, publishing: Publishing, tool_night: int
) -> None:
    change(
        database,
        tool_night,
        publishing,
        OverrideDraft(original_start=datetime(2026, 12, 8, 19), cancelled=True),
    )
    for days, told in ((25, True), (29, True), (40, False)):
        now = NOW + timedelta(days=days)
        with database.writing() as session:
            derived.refresh(session, publishing, now)
        series, *others = assembled(database, now)
        assert (len(others), "EXDATE" in series) == ((1, False) if told else (0, True)), days
    with database.reading() as session:
        dates = session.exec(select(Occurrence).where(col(Occurrence.cancelled))).all()
        assert [date.original_start for date in dates] == [datetime(2026, 12, 8, 19)], "pages still know it"


def test_last_modified_does_not_move_while_only_days_pass_and_does_when_something_drops(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        store.add(session, weekly(rrule=""), [cast.alder], publishing, NOW)
        store.add(session, weekly(title="Later", rrule="", start=datetime(2027, 3, 2, 19),
                                  end=datetime(2027, 3, 2, 21)), [cast.alder], publishing, NOW)  # fmt: skip

    def moved(days: int) -> datetime:
        with database.reading() as session:
            return finished(session, Selection(), HEADING, NOW + timedelta(days=days)).modified_at

    assert moved(0) == moved(1) == moved(62)
    assert moved(63) == moved(70) == datetime(2027, 1, 25, tzinfo=UTC)


def test_last_modified_moves_when_a_farewell_or_a_late_cancellation_ends(
    database: Database, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        store.revise(session, event, weekly(), [session.merge(cast.birch)], publishing, NOW)
        series = store.add(session, weekly(topics=()), [session.merge(cast.birch)], publishing, NOW)
        series.cancel("Over.", NOW)
        derived.save(session, series, publishing, NOW)

    def seen(slug: str, days: int) -> tuple[bytes, datetime]:
        with database.reading() as session:
            now = NOW + timedelta(days=days)
            feed = finished(session, Selection(branches=(slug,)), HEADING, now)
            return feed.body, feed.modified_at

    for slug, days in (("alder", 31), ("birch", 61)):
        (before, earlier), (after, later) = seen(slug, days - 1), seen(slug, days)
        assert before != after and later > earlier, slug
        assert later == datetime.combine((NOW + timedelta(days=days)).date(), datetime.min.time(), UTC)


def test_the_mark_of_a_feed_is_the_same_in_every_variant(
    database: Database, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    with database.writing() as session:
        event = store.add(session, weekly(title="Off"), [session.merge(cast.alder)], publishing, NOW)
        event.cancel("Over.", NOW)
        derived.save(session, event, publishing, NOW)
    with database.reading() as session:
        variants = (PLAIN, Variant(hide_cancelled=True), Variant(for_google=True))
        marks = {assemble(session, Selection(), HEADING, NOW, variant)[1] for variant in variants}
    assert len(marks) == 1


# ---------------------------------------------------------------- size and form


def test_a_feed_stays_under_a_megabyte_with_the_nearest_dates_and_says_so(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    text = "Ñandú 🪚 " * 400
    with database.writing() as session:
        for number in range(320):
            start = datetime(2026, 11, 1, 19) + timedelta(days=number)
            store.add(session, weekly(title=f"Day {number}", rrule="", start=start, end=start + timedelta(hours=1),
                                      description=text), [cast.alder], publishing, NOW)  # fmt: skip
    with database.reading() as session:
        body, _ = assemble(session, Selection(), HEADING, NOW)
    assert 900_000 < len(body) < 1_000_000 and b"Only the nearest." in body
    days = {int(str(event["SUMMARY"]).split()[1]) for event in Calendar.from_ical(body).walk("VEVENT")}
    assert days == set(range(max(days) + 1)) and 100 < max(days) < 319, (
        "from the window's past into the future"
    )


def test_a_feed_is_compressed_for_those_who_ask_and_both_forms_are_known_again(
    ben: TestClient, tool_night: int
) -> None:
    plain = ben.get("/events.ics", headers={"Accept-Encoding": "identity"})
    zipped = ben.get("/events.ics", headers={"Accept-Encoding": "br, gzip;q=0.8"})
    assert "content-encoding" not in plain.headers and zipped.headers["content-encoding"] == "gzip"
    assert plain.content == zipped.content, "the client has unpacked it"
    assert plain.headers["etag"] != zipped.headers["etag"], "two forms, two strong tags"
    assert plain.headers["vary"] == zipped.headers["vary"] == "Accept-Encoding"
    for tag in (plain.headers["etag"], zipped.headers["etag"]):
        assert ben.get("/events.ics", headers={"If-None-Match": tag}).status_code == 304
    refused = ben.get("/events.ics", headers={"Accept-Encoding": "gzip;q=0, deflate"})
    assert "content-encoding" not in refused.headers


def test_each_feed_has_a_colour_of_its_own_that_stays(ben: TestClient, tool_night: int, cast: Cast) -> None:
    def color(path: str) -> str:
        return next(line for line in ben.get(path).text.splitlines() if line.startswith("COLOR:"))

    assert (
        color("/branches/alder.ics")
        == color("/es/branches/alder.ics")
        == color("/branches/alder.ics?cancelled=hide")
    )
    assert color("/branches/alder.ics") != color("/branches/birch.ics")


# ---------------------------------------------------------------- what the life of a feed forgets easily


def fetched(ben: TestClient, path: str = "/branches/alder.ics") -> list[Any]:
    return Subscriber(ben, path).events()


def test_a_cancelled_date_is_told_for_its_30_days_whatever_else_changes_meanwhile(
    database: Database, publishing: Publishing, tool_night: int
) -> None:
    for day in (datetime(2026, 12, 1, 19), datetime(2027, 3, 2, 19)):
        change(database, tool_night, publishing, OverrideDraft(original_start=day, cancelled=True))
    for days, told in ((20, ["2026-12-01", "2027-03-02"]), (40, ["2027-03-02"])):
        now = NOW + timedelta(days=days)
        with database.writing() as session:
            derived.save(session, session.get_one(Event, tool_night), publishing, now)
        _, *dates = assembled(database, now)
        assert [str(date["RECURRENCE-ID"].dt.date()) for date in dates] == told, days


def test_the_worker_leaves_out_long_cancelled_dates_of_a_series_that_ends(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        event = store.add(session, weekly(rrule="FREQ=WEEKLY;COUNT=20"), [cast.alder], publishing, NOW)
        number = event.id or 0
    change(
        database, number, publishing, OverrideDraft(original_start=datetime(2026, 12, 1, 19), cancelled=True)
    )
    with database.writing() as session:
        assert derived.refresh(session, publishing, NOW + timedelta(days=29)) == 0
        assert derived.refresh(session, publishing, NOW + timedelta(days=31)) == 1
        assert derived.refresh(session, publishing, NOW + timedelta(days=33)) == 0


def test_a_left_out_date_is_not_alive_again(
    database: Database, publishing: Publishing, tool_night: int
) -> None:
    change(
        database,
        tool_night,
        publishing,
        OverrideDraft(original_start=datetime(2026, 12, 8, 19), cancelled=True),
    )
    now = NOW + timedelta(days=40)
    with database.writing() as session:
        derived.refresh(session, publishing, now)
    [series] = assembled(database, now)
    assert b"20261208T190000" in series["EXDATE"].to_ical()


def test_a_removed_series_is_told_as_one_that_is_off_without_its_changed_dates(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int
) -> None:
    change(database, tool_night, publishing, OverrideDraft(
        original_start=datetime(2026, 12, 1, 19), start=datetime(2026, 12, 3, 18),
    ))  # fmt: skip
    assert len(fetched(ben)) == 2
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        event.delete(datetime.now(UTC))
        derived.save(session, event, publishing, datetime.now(UTC))
    [only] = fetched(ben)
    assert str(only["STATUS"]) == "CANCELLED", "and no answer of before is given again"
    with database.reading() as session:
        assert session.exec(select(Occurrence)).all() == []


def test_an_event_that_came_back_leaves_no_farewell_behind(
    database: Database, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    revise(database, tool_night, publishing, [cast.birch], topics=("Garden",))
    with database.reading() as session:
        scopes = {row.scope.partition(":")[0] for row in session.exec(select(Departure))}
        assert scopes == {"branch", "topic"}
    revise(database, tool_night, publishing, [cast.alder], topics=("Repair", "Garden"))
    with database.reading() as session:
        assert {row.scope for row in session.exec(select(Departure))} == {f"branch:{cast.birch.id}"}


def test_farewells_to_a_branch_are_shown_for_30_days_and_removed_after_60(
    database: Database, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    with database.writing() as session:
        store.revise(session, session.get_one(Event, tool_night), weekly(), [cast.birch], publishing, NOW)
    alder = Selection(branches=("alder",))
    for days, told in ((30, "CANCELLED"), (31, "CONFIRMED")):
        with database.reading() as session:
            body, _ = assemble(session, alder, HEADING, NOW + timedelta(days=days))
        [only] = Calendar.from_ical(body).walk("VEVENT")
        assert str(only["STATUS"]) == told, days
    with database.writing() as session:
        assert derived.forget_farewells(session, NOW + timedelta(days=59)) == 0
        assert derived.forget_farewells(session, NOW + timedelta(days=61)) == 2
        assert session.exec(select(Departure)).all() == []


def test_a_farewell_has_a_higher_number_even_when_the_event_says_the_same(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    venue = {"name": "Hall 7", "address_1": "1 Long Street", "latitude": 41.9, "longitude": -87.7}
    with database.writing() as session:
        number = store.add(session, weekly(venue=venue), [cast.alder], publishing, NOW).id or 0
    [before] = fetched(ben)
    revise(database, number, publishing, [cast.birch], venue=venue)
    [left], [there] = fetched(ben), fetched(ben, "/branches/birch.ics")
    assert str(left["STATUS"]) == "CANCELLED"
    assert int(left["SEQUENCE"]) == int(there["SEQUENCE"]) > int(before["SEQUENCE"])


def test_a_farewell_is_for_the_feed_it_left_and_speaks_the_language_of_the_event(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    revise(database, tool_night, publishing, [cast.birch])
    [left] = fetched(ben, "/es/branches/alder.ics")
    assert str(left["SUMMARY"]) == "Moved: Tool night" and "Club Abedul" in str(left["DESCRIPTION"])
    assert "This event has moved" not in str(left["DESCRIPTION"]), "our own words are the reader's"
    for path in ("/events.ics?branch=alder&topic=repair", "/events.ics?branch=alder&near=41.92,-87.64"):
        [only] = fetched(ben, path)
        assert "subscribed" in str(only["SUMMARY"]), path


def test_what_was_published_before_fingerprints_moves_on_once(
    database: Database, publishing: Publishing, tool_night: int
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        event.fingerprint = ""
        for hours in (1, 2):
            derived.save(session, event, publishing, NOW + timedelta(hours=hours))
            assert event.revision == 1


def test_the_revision_never_says_that_it_moved_earlier_than_before(database: Database) -> None:
    later = NOW + timedelta(hours=1)
    with database.writing() as session:
        for now in (later, NOW):
            moves.move_revision(session, now)
            session.flush()
        assert current_revision(session) == (2, later)


def test_a_farewell_stays_in_its_words_when_everything_is_rendered_again(
    database: Database, publishing: Publishing, tool_night: int
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        event.delete(NOW)
        derived.save(session, event, publishing, NOW)
        said = {row.locale: row.ics for row in session.exec(select(Rendered))}
        for row in session.exec(select(Rendered)):
            row.made_for = "an older version"
        session.flush()
        assert derived.refresh(session, publishing, NOW) == 1
        assert not derived.needs_refresh(session, publishing, NOW), "or the worker would never rest"
        assert {row.locale: row.ics for row in session.exec(select(Rendered))} == said


@pytest.mark.parametrize(("venue", "there"), [(None, True), ({"name": "Hall 7"}, False)])
def test_an_event_is_found_where_its_branch_is_now_unless_it_has_a_place_of_its_own(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast, venue: Any, there: bool
) -> None:
    if venue:
        venue = venue | {"latitude": 41.9, "longitude": -87.7}
    with database.writing() as session:
        store.add(session, weekly(venue=venue), [cast.alder], publishing, NOW)
        alder = session.merge(cast.alder)
        alder.stand_at(Point(40.42, -3.7))
        alder.updated_at = NOW + timedelta(days=1)
        session.flush()
        derived.refresh(session, publishing, NOW + timedelta(days=1))
    assert ("Tool night" in ben.get("/events.ics?near=40.42,-3.70").text) == there
    assert ("Tool night" in ben.get("/events.ics?near=41.92,-87.64").text) != there


def test_other_rules_of_time_or_another_address_make_everything_anew(
    database: Database, publishing: Publishing, tool_night: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = replace(publishing, base_url="https://clubs.example.net", locales=("en",))
    with database.writing() as session:
        assert derived.needs_refresh(session, moved, NOW)
        assert derived.refresh(session, moved, NOW) == 1
        [only] = session.exec(select(Rendered)).all()
        assert only.locale == "en" and "https://clubs.example.net/events/" in only.ics.replace("\r\n ", "")
        assert not derived.needs_refresh(session, moved, NOW)
        monkeypatch.setattr(derived, "rules_version", lambda: "2099z")
        assert derived.needs_refresh(session, moved, NOW)


# ---------------------------------------------------------------- what is kept, and what it says of itself


def feed_at(
    database: Database, now: datetime = NOW, variant: Variant = PLAIN, locale: str = "en"
) -> Finished:
    with database.reading() as session:
        return finished(session, Selection(), replace(HEADING, locale=locale), now, variant)


def test_each_variant_and_language_is_kept_for_itself(
    database: Database, publishing: Publishing, tool_night: int
) -> None:
    change(
        database,
        tool_night,
        publishing,
        OverrideDraft(original_start=datetime(2026, 12, 8, 19), cancelled=True),
    )
    wanted = [(variant, locale) for locale in ("en", "es")
              for variant in (PLAIN, Variant(hide_cancelled=True), Variant(for_google=True))]  # fmt: skip
    first = [feed_at(database, NOW, *each) for each in wanted]
    assert len({feed.etag for feed in first}) == 6
    assert [feed_at(database, NOW, *each) for each in wanted] == first


def test_a_feed_is_good_until_the_day_is_over_and_says_when_it_changed(
    database: Database, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    first = feed_at(database)
    assert first.good_until == datetime(2026, 11, 24, tzinfo=UTC)
    next_day = feed_at(database, datetime(2026, 11, 24, tzinfo=UTC))
    assert next_day.good_until > first.good_until and next_day.etag == first.etag
    later = NOW + timedelta(hours=1)
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        store.revise(session, event, weekly(title="Saw night"), [cast.alder], publishing, later)
    changed = feed_at(database)
    assert b"Saw night" in changed.body and changed.etag != first.etag
    assert changed.revision > first.revision
    assert (first.modified_at, changed.modified_at) == (NOW, later), "Last-Modified is when it changed"


def test_saving_what_is_the_same_leaves_every_kept_feed_good(
    database: Database, publishing: Publishing, tool_night: int
) -> None:
    with database.writing() as session:
        before = current_revision(session)
        derived.save(session, session.get_one(Event, tool_night), publishing, NOW + timedelta(minutes=1))
        assert current_revision(session) == before


def test_every_zone_of_a_feed_is_defined(database: Database, publishing: Publishing, cast: Cast) -> None:
    with database.writing() as session:
        store.add(session, weekly(), [cast.alder], publishing, NOW)
        store.add(session, weekly(timezone="Europe/Madrid"), [cast.birch], publishing, NOW)
        body, _ = assemble(session, Selection(), HEADING, NOW)
    zones = {str(zone["TZID"]) for zone in Calendar.from_ical(body).walk("VTIMEZONE")}
    assert zones == {"America/Chicago", "Europe/Madrid"}


def test_for_google_only_the_status_is_another_not_what_people_wrote(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    words = "The line STATUS:CANCELLED hides it."
    with database.writing() as session:
        event = store.add(session, weekly(description=words), [cast.alder], publishing, NOW)
        event.cancel("Ill.", NOW)
        derived.save(session, event, publishing, NOW)
    [event] = assembled(database, NOW, Variant(for_google=True))
    assert str(event["STATUS"]) == "CONFIRMED" and words in str(event["DESCRIPTION"])


def test_a_capped_feed_is_the_same_all_day_and_counts_bytes(
    database: Database, publishing: Publishing, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events.calendars.feeds.LARGEST", 7000)
    with database.writing() as session:
        for title, start, end in (("Until yesterday", datetime(2026, 11, 10, 20), datetime(2026, 11, 22, 20)),
                                  ("Tomorrow", datetime(2026, 11, 24, 6), datetime(2026, 11, 24, 7)),
                                  ("Next week", datetime(2026, 12, 1, 6), datetime(2026, 12, 1, 7))):  # fmt: skip
            draft = weekly(
                title=title, description="Ñ🪚" * 600, rrule="", timezone="UTC", start=start, end=end
            )
            store.add(session, draft, [cast.alder], publishing, NOW)
    midnight = datetime(2026, 11, 23, tzinfo=UTC)
    bodies = {feed_at(database, midnight + timedelta(minutes=minutes)).body for minutes in (1, 720, 1439)}
    [body] = bodies
    assert [str(event["SUMMARY"]) for event in Calendar.from_ical(body).walk("VEVENT")] == ["Until yesterday"]


def test_last_modified_moves_when_a_farewell_ends_and_with_the_month_of_the_note(
    database: Database, publishing: Publishing, tool_night: int
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        event.delete(NOW)
        derived.save(session, event, publishing, NOW)
    days = {days: feed_at(database, NOW + timedelta(days=days)).modified_at for days in (30, 31, 39, 80)}
    assert days == {
        30: NOW,
        31: datetime(2026, 12, 24, tzinfo=UTC),
        39: datetime(2027, 1, 1, tzinfo=UTC),
        80: datetime(2027, 2, 1, tzinfo=UTC),
    }


def test_the_window_ends_at_a_midnight_so_that_a_day_has_one_feed(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        store.add(session, weekly(rrule=""), [cast.alder], publishing, NOW)
    day = datetime(2027, 1, 24, tzinfo=UTC)  # 60 days after 03:00 on 25 November
    assert len({feed_at(database, day + timedelta(hours=hours)).etag for hours in (0, 2, 4, 23)}) == 1
    assert "Tool night" in statuses(database, day)
    assert statuses(database, day + timedelta(days=1)) == {"Nothing yet": "CONFIRMED"}


def test_a_feed_of_some_days_has_what_is_on_then(ben: TestClient, tool_night: int) -> None:
    assert "Tool night" in ben.get("/events.ics?from=2026-12-01&to=2026-12-01").text
    assert "Tool night" not in ben.get("/events.ics?from=2026-12-02&to=2026-12-07").text


def test_what_was_postponed_and_then_removed_is_told_as_cancelled(
    database: Database, publishing: Publishing, tool_night: int
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        event.postpone("The hall is flooded.", NOW)
        derived.save(session, event, publishing, NOW)
        event.delete(NOW)
        derived.save(session, event, publishing, NOW)
    assert statuses(database, NOW) == {"Cancelled: Tool night": "CANCELLED"}


def test_a_feed_for_google_or_without_what_is_cancelled_has_an_address_of_its_own(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int
) -> None:
    change(
        database,
        tool_night,
        publishing,
        OverrideDraft(original_start=datetime(2026, 12, 8, 19), cancelled=True),
    )
    for path in ("/events.ics", "/es/branches/alder.ics"):
        for query, told in (("", ["CONFIRMED", "CANCELLED"]), ("?client=google", ["CONFIRMED"] * 2),
                            ("?cancelled=hide", ["CONFIRMED"])):  # fmt: skip
            text = ben.get(path + query).text.replace("\r\n ", "")
            [source] = [line for line in text.splitlines() if line.startswith("SOURCE")]
            assert source.endswith(f"{path}{query}")
            assert [str(event["STATUS"]) for event in Calendar.from_ical(text).walk("VEVENT")] == told


def test_an_event_is_where_its_owner_is_whoever_helps(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        store.add(session, weekly(), [cast.birch, cast.alder], publishing, NOW)
    [event] = fetched(ben)
    assert str(event["LOCATION"]).startswith("Club Abedul\n")
    assert "Held by Club Abedul and Alder Club" in str(event["DESCRIPTION"])


def test_an_event_that_goes_on_and_on_is_told_for_30_days_since_it_left(
    database: Database, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    cedar = branch("cedar", "Cedar", None)
    with database.writing() as session:
        session.add(cedar)
        session.flush()
        event = session.get_one(Event, tool_night)
        for days, host in ((0, session.merge(cast.birch)), (20, cedar)):
            store.revise(session, event, weekly(), [host], publishing, NOW + timedelta(days=days))

    def told(slug: str, days: int) -> str:
        with database.reading() as session:
            now = NOW + timedelta(days=days)
            body, _ = assemble(session, Selection(branches=(slug,)), HEADING, now)
        [only] = Calendar.from_ical(body).walk("VEVENT")
        return str(only["SUMMARY"])

    assert [told("alder", days) for days in (20, 30, 31)] == ["Moved: Tool night"] * 2 + ["Nothing yet"]
    assert [told("birch", days) for days in (31, 50, 51)] == ["Moved: Tool night"] * 2 + ["Nothing yet"]


def test_last_modified_moves_with_what_was_cancelled_late_and_daily_while_not_all_fits(
    database: Database, publishing: Publishing, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = datetime(2027, 1, 28, 8, tzinfo=UTC)
    with database.writing() as session:
        event = store.add(session, weekly(rrule=""), [cast.alder], publishing, NOW)
        event.cancel("It did not take place.", late)
        derived.save(session, event, publishing, late)
        for week in range(10):
            start = datetime(2027, 6, 1, 19) + timedelta(weeks=week)
            draft = weekly(rrule="", description="x" * 1000, start=start, end=start + timedelta(hours=2))
            store.add(session, draft, [cast.alder], publishing, NOW)

    def moved(days: int) -> datetime:
        return feed_at(database, late + timedelta(days=days)).modified_at

    assert [moved(days) for days in (0, 30)] == [late, late]
    assert moved(31) == moved(40) == datetime(2027, 2, 28, tzinfo=UTC)
    monkeypatch.setattr("events.calendars.feeds.LARGEST", 9000)
    assert [moved(days).date().isoformat() for days in (40, 41)] == ["2027-03-09", "2027-03-10"]
