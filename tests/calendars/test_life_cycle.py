"""A calendar of 300 events and everything that happens to events: what subscribers are told at each step.

Each step's feed is compared with the one before, as a calendar app would, and read by three parsers that nobody here
wrote: icalendar (with recurring-ical-events), vobject, and Home Assistant's ical.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import ical.calendar_stream
import icalendar
import pytest
import recurring_ical_events
import vobject
from starlette.applications import Starlette

from events.calendars import feeds
from events.calendars.content import Publishing
from events.calendars.feeds import Variant
from events.calendars.queries import Selection
from events.db import Database
from events.people import permissions, sign_in
from events.people.models import Role
from tests.calendars.life import STEPS, World, lived, populate, readings
from tests.conftest import signed_in

VOLATILE = {"DTSTAMP", "LAST-MODIFIED", "SEQUENCE", "CREATED"}
Key = tuple[str, str]  # UID, and RECURRENCE-ID where there is one


@pytest.fixture
def world(app: Starlette, database: Database, publishing: Publishing) -> World:
    with database.writing() as session:
        dee = sign_in.find_or_add(session, "dee@example.org", datetime.now(UTC))
        permissions.invite(session, dee, None, Role.ADMIN)
    return World(database, publishing, signed_in(app, database, dee), datetime.now(UTC))


class Seen:
    """What a calendar app keeps of a feed."""

    def __init__(self, data: bytes) -> None:
        self.calendar = icalendar.Calendar.from_ical(data)
        self.events: dict[Key, Any] = {key_of(event): event for event in self.calendar.walk("VEVENT")}

    def said(self, key: Key) -> list[tuple[str, str]]:
        items = self.events[key].property_items(recursive=False, sorted=True)
        said = (
            (name, str(value.params.to_ical()) + str(value.to_ical()))
            for name, value in items
            if hasattr(value, "params")
        )
        return sorted(item for item in said if item[0] not in VOLATILE)

    def sequence(self, key: Key) -> int:
        return int(self.events[key]["SEQUENCE"])

    def stamps(self, key: Key) -> tuple[datetime, datetime]:
        event = self.events[key]
        return event["DTSTAMP"].dt, event["LAST-MODIFIED"].dt

    def is_cancelled(self, key: Key) -> bool:
        return str(self.events[key]["STATUS"]) == "CANCELLED"

    def dates_of(self, uid: str) -> set[tuple[Key, str]]:
        """The changed and left out dates of a series."""
        exdates = self.events.get((uid, ""), {}).get("EXDATE", [])
        listed = exdates if isinstance(exdates, list) else [exdates]
        return {(key, "") for key in self.events if key[0] == uid} | {
            ((uid, ""), str(d.to_ical())) for d in listed
        }


def key_of(event: Any) -> Key:
    recurrence = event.get("RECURRENCE-ID")
    return str(event["UID"]), recurrence.to_ical().decode() if recurrence else ""


def check_change(before: Seen, after: Seen, now: datetime) -> None:
    """What `iclint --previous` checks, and what an app relies on."""
    rose: set[str] = set()
    for key in before.events.keys() & after.events.keys():
        moved = after.sequence(key) - before.sequence(key)
        changed = before.said(key) != after.said(key)
        stamp_before, stamp_after = before.stamps(key), after.stamps(key)
        assert stamp_after[0] == stamp_after[1], "DTSTAMP and LAST-MODIFIED are one"
        assert (moved > 0) == (stamp_after > stamp_before), (key, "the three move together")
        assert moved >= 0 and (moved > 0 or not changed), (key, "a change moves them")
        if moved and not changed:
            assert key[1] == "", (key, "a changed date that says the same stays as it is")
            rose.add(key[0])
    for uid in {key[0] for key in after.events}:
        changed_dates = before.dates_of(uid) != after.dates_of(uid) or any(
            before.said(key) != after.said(key)
            for key in before.events.keys() & after.events.keys()
            if key[0] == uid and key[1]
        )
        if (uid, "") in before.events and changed_dates:
            assert after.sequence((uid, "")) > before.sequence((uid, "")), (
                uid,
                "ICSx5 looks at the series only",
            )
        assert uid not in rose or changed_dates, (uid, "nothing moves unless something changed")
    for key in after.events:
        if key[1]:
            assert after.sequence(key) >= after.sequence((key[0], "")), (key, "iTIP would call it outdated")
    for key in before.events.keys() - after.events.keys():
        over = utc(before.events[key]["DTEND"].dt) < now - timedelta(days=58)
        assert key[1] or over or before.is_cancelled(key), (key, "vanished without a word")


Found = list[tuple[str, datetime, str]]
AROUND = timedelta(days=2)  # each parser has its own mind of where a day begins, and of what overlaps it


def occurrences(data: bytes, first: date, last: date) -> Found:
    calendar = recurring_ical_events.of(icalendar.Calendar.from_ical(data))
    found = calendar.between(first - AROUND, last + AROUND)
    return begun([(str(e["UID"]), utc(e["DTSTART"].dt), str(e["STATUS"])) for e in found], first, last)


def occurrences_by_ical(data: bytes, first: date, last: date) -> Found:
    stream = ical.calendar_stream.IcsCalendarStream.calendar_from_ics(data.decode())
    found = stream.timeline_tz(UTC).overlapping(utc(first) - AROUND, utc(last) + AROUND)
    named = [(e.uid or "", utc(e.start), e.status.value if e.status else "") for e in found]
    return begun(named, first, last)


def utc(moment: date) -> datetime:
    if isinstance(moment, datetime):
        return moment.astimezone(UTC)
    return datetime.combine(moment, datetime.min.time(), UTC)


def begun(found: Found, first: date, last: date) -> Found:
    return sorted(one for one in found if utc(first) <= one[1] < utc(last))


def check_three_parsers(data: bytes, now: datetime) -> None:
    first, last = now.date() + timedelta(days=1), now.date() + timedelta(days=150)
    by_icalendar = occurrences(data, first, last)
    assert by_icalendar == occurrences_by_ical(data, first, last) != []
    by_vobject = vobject.readOne(data.decode())
    keys = {(event.uid.value, str(event.contents.get("recurrence-id", [""])[0] and event.recurrence_id.value))
            for event in by_vobject.vevent_list}  # fmt: skip
    assert len(keys) == len(by_vobject.vevent_list) == len(Seen(data).events)


def test_every_change_is_told_once_and_truly(world: World) -> None:
    """On PostgreSQL with fewer events: most of the time is spent in reading what both engines say alike."""
    number_of_events = 60 if world.database.engine.dialect.name == "sqlite" else 24
    populate(world, number_of_events)
    feeds = {
        "everything": Selection(),
        "a branch": Selection(branches=("cedar",)),
        "a topic": Selection(topics=("repair",)),
    }
    before = {name: Seen(world.feed(selection)) for name, selection in feeds.items()}
    check_three_parsers(world.feed(), world.now)
    uids = {key[0] for key in before["everything"].events}
    assert len(uids) == number_of_events
    for number, (step, happens) in enumerate(STEPS):
        happens(world)
        for name, selection in feeds.items():
            data = world.feed(selection)
            after = Seen(data)
            try:
                check_change(before[name], after, world.now)
            except AssertionError as error:
                raise AssertionError(f"{step}, {name}: {error}") from error
            before[name] = after
        if number % 6 == 0:
            check_three_parsers(world.feed(), world.now)
    check_three_parsers(world.feed(), world.now)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_is_hidden_is_left_out_and_never_alive_again(world: World) -> None:
    for _ in steps(world, "one date cancelled for good"):
        plain, hidden = world.feed(), world.feed(variant=Variant(hide_cancelled=True))
    first, last = world.now.date(), world.now.date() + timedelta(days=120)
    alive = [found for found in occurrences(plain, first, last) if found[2] != "CANCELLED"]
    assert occurrences(hidden, first, last) == alive
    assert b"STATUS:CANCELLED" in plain and b"STATUS:CANCELLED" not in hidden


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_for_google_what_is_cancelled_is_shown_with_its_title_saying_so(world: World) -> None:
    for _ in steps(world, "cancelled by the form"):
        plain, google = world.feed(), world.feed(variant=Variant(for_google=True))
    cancelled = [key for key in Seen(plain).events if Seen(plain).is_cancelled(key)]
    assert len(cancelled) >= 3
    for key in cancelled:
        event = Seen(google).events[key]
        assert str(event["STATUS"]) == "CONFIRMED" and str(event["SUMMARY"]).startswith(
            ("Cancelled: ", "Cancelado: ")
        )
    assert google == plain.replace(b"STATUS:CANCELLED", b"STATUS:CONFIRMED")


def steps(world: World, last: str) -> Iterator[str]:
    populate(world, 24)
    for name, happens in STEPS:
        happens(world)
        if name == last:
            yield name
            return


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_feed_that_has_no_room_for_all_is_made_of_what_is_known_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`World.feed` compares it with one that is made anew. Its 2,700 events were read again after each edit."""
    room, read = 30_000, readings(monkeypatch)
    monkeypatch.setattr(feeds, "LARGEST", room)
    monkeypatch.setattr(feeds, "MOST", room // feeds.SMALLEST_EVENT)
    steps = [world.feed() for _ in lived(world, 120)]
    assert len(set(steps)) > 10 and max(map(len, steps)) < 1.2 * room
    assert len(read) < 1.5 * len(steps)  # one each by the feed that knows nothing
