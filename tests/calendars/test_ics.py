"""What is written, read again by recurring-ical-events, vobject and Home Assistant's ical."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import ical.calendar_stream
import icalendar
import pytest
import recurring_ical_events
import vobject
from hypothesis import given
from hypothesis import strategies as st

from events.calendars.ics import Entry, Feed, calendar, escape, fold, parameter, standing_note, vevent

NOW = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)
TUESDAY = datetime(2026, 11, 10, 19, 0)
WEEK, HOUR = timedelta(weeks=1), timedelta(hours=1)
MADRID = {"Europe/Madrid": date(2026, 11, 10)}
FEED = Feed(
    name="Riverbend, Tool; Libraries",
    description="All branches",
    url="https://example.org/events",
    source="https://example.org/events.ics",
    language="en",
)
REPAIR = Entry(
    uid="7d1f0c",
    sequence=2,
    created_at=NOW - WEEK,
    modified_at=NOW,
    start=TUESDAY,
    end=TUESDAY + 2 * HOUR,
    all_day=False,
    timezone="Europe/Madrid",
    summary="Repair café",
)
SERIES = replace(REPAIR, rrule="FREQ=WEEKLY;BYDAY=TU", exdates=(TUESDAY + WEEK,))


def lines(text: str) -> list[str]:
    return text.replace("\r\n ", "").split("\r\n")


def published(*entries: Entry, header: Feed = FEED) -> bytes:
    zones = MADRID if any(entry.timezone == "Europe/Madrid" for entry in entries) else {}
    return calendar(header, zones, [vevent(entry) for entry in entries])


def by_icalendar(data: bytes) -> list[tuple[datetime, datetime, str, str]]:
    found = recurring_ical_events.of(icalendar.Calendar.from_ical(data)).between((2026, 11, 1), (2027, 6, 1))
    return sorted(
        (event.start.astimezone(UTC), event.end.astimezone(UTC), str(event["SUMMARY"]), str(event["STATUS"]))
        for event in found
    )


def by_home_assistant(data: bytes) -> list[tuple[datetime, datetime, str, str]]:
    stream = ical.calendar_stream.IcsCalendarStream.calendar_from_ics(data.decode())
    found = stream.timeline.included(datetime(2026, 11, 1, tzinfo=UTC), datetime(2027, 6, 1, tzinfo=UTC))
    return sorted(_row(event) for event in found)


def _row(event: ical.event.Event) -> tuple[datetime, datetime, str, str]:
    start, end = event.dtstart, event.dtend
    assert isinstance(start, datetime)
    assert isinstance(end, datetime)
    return (
        start.astimezone(UTC),
        end.astimezone(UTC),
        event.summary or "",
        event.status.value if event.status else "",
    )


# ---------------------------------------------------------------- bytes


def test_an_event_says_these_lines() -> None:
    entry = replace(
        SERIES,
        description="Bring it.\nWe mend it; mostly, at least.",
        location="Tool Library\n12 Main St\nChicago",
        latitude=41.925,
        longitude=-87.65,
        url="https://example.org/events/7",
        categories=("Repair, reuse", "Bikes"),
        language="es",
        conference_url="https://meet.example.org/a?b=1,2;c",
        conference_label='Room "A"',
        related_to="9c",
        image_url="https://example.org/7.png",
        branch_slugs=("north", "south"),
    )
    assert lines(vevent(entry)) == [
        "BEGIN:VEVENT",
        "UID:7d1f0c",
        "SEQUENCE:2",
        "DTSTAMP:20261102T100000Z",
        "CREATED:20261026T100000Z",
        "LAST-MODIFIED:20261102T100000Z",
        "DTSTART;TZID=Europe/Madrid:20261110T190000",
        "DTEND;TZID=Europe/Madrid:20261110T210000",
        "RRULE:FREQ=WEEKLY;BYDAY=TU",
        "EXDATE;TZID=Europe/Madrid:20261117T190000",
        "SUMMARY;LANGUAGE=es:Repair café",
        r"DESCRIPTION;LANGUAGE=es:Bring it.\nWe mend it\; mostly\, at least.",
        r"LOCATION:Tool Library\n12 Main St\nChicago",
        "GEO:41.925000;-87.650000",
        'X-APPLE-STRUCTURED-LOCATION;VALUE=URI;X-ADDRESS="12 Main St, Chicago";X-APPLE-RADIUS=70;'
        'X-TITLE="Tool Library":geo:41.925000,-87.650000',
        "URL:https://example.org/events/7",
        r"CATEGORIES:Repair\, reuse,Bikes",
        "STATUS:CONFIRMED",
        "TRANSP:TRANSPARENT",
        "CLASS:PUBLIC",
        """CONFERENCE;VALUE=URI;LABEL="Room ^'A^'":https://meet.example.org/a?b=1,2;c""",
        "IMAGE;VALUE=URI;DISPLAY=BADGE:https://example.org/7.png",
        "RELATED-TO;RELTYPE=SIBLING:9c",
        "X-BRANCHLINE-BRANCH:north,south",
        "END:VEVENT",
        "",
    ]


def test_a_calendar_says_these_lines_and_has_no_uid() -> None:
    said = lines(calendar(replace(FEED, color="teal"), {}, []).decode())
    assert said == [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Branchline//Branchline//EN",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        r"NAME:Riverbend\, Tool\; Libraries",
        r"X-WR-CALNAME:Riverbend\, Tool\; Libraries",
        "DESCRIPTION:All branches",
        "X-WR-CALDESC:All branches",
        "URL:https://example.org/events",
        "SOURCE;VALUE=URI:https://example.org/events.ics",
        "COLOR:teal",
        "REFRESH-INTERVAL;VALUE=DURATION:PT240M",
        "X-PUBLISHED-TTL:PT240M",
        "END:VCALENDAR",
        "",
    ]


@given(st.text(st.characters(codec="utf-8"), max_size=300))
def test_whatever_is_written_is_folded_between_characters_and_escapes(text: str) -> None:
    line = "SUMMARY:" + escape(text)
    pieces = fold(line).split("\r\n")
    assert all(len(piece.encode()) <= 75 for piece in pieces)
    assert all(piece.startswith(" ") for piece in pieces[1:])
    assert pieces[0] + "".join(piece[1:] for piece in pieces[1:]) == line
    assert not any(re.search(r"(?<!\\)(\\\\)*\\$", piece) for piece in pieces)
    assert not re.search("[\x00-\x1f\x7f\x85\u2028\u2029]", line)


@given(st.text(st.characters(codec="utf-8"), max_size=100))
def test_no_text_can_end_its_line_or_its_quotes(text: str) -> None:
    assert not re.search('[\x00-\x1f\x7f"]', parameter(text)[1:-1])
    plain = replace(REPAIR, summary="x", location="x", latitude=1.0, longitude=1.0)
    hostile = replace(plain, summary=f"x{text}", location=f"x{text}")
    assert names_of(published(hostile)) == names_of(published(plain))


def names_of(data: bytes) -> list[str]:
    return [name for name, _ in icalendar.Calendar.from_ical(data).property_items()]


def test_a_newline_in_a_name_injects_nothing() -> None:
    said = lines(
        calendar(replace(FEED, name="Evil\r\nMETHOD:REQUEST", url="https://e.org/\r\nX:1"), {}, []).decode()
    )
    assert r"NAME:Evil\nMETHOD:REQUEST" in said
    assert "METHOD:REQUEST" not in said
    assert "X:1" not in said


def test_every_line_ends_with_crlf_and_there_is_no_byte_order_mark() -> None:
    data = published(SERIES, replace(REPAIR, uid="2", summary="ñ🎉" * 80, description="a\u2028b\x85c\x00"))
    assert data.startswith(b"BEGIN:VCALENDAR\r\n")
    assert data.endswith(b"END:VCALENDAR\r\n")
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", data)


def test_coordinates_have_six_digits_and_no_exponent() -> None:
    assert "GEO:-0.000000;180.000000" in lines(vevent(replace(REPAIR, latitude=-1e-9, longitude=180.0)))


def test_the_same_values_give_the_same_bytes() -> None:
    assert published(SERIES) == published(replace(SERIES))


# ---------------------------------------------------------------- times


def test_an_all_day_event_is_written_in_dates() -> None:
    day = datetime(2026, 11, 10)
    entry = replace(SERIES, all_day=True, start=day, end=day + 3 * timedelta(days=1), exdates=(day + WEEK,))
    said = lines(vevent(replace(entry, rrule="FREQ=WEEKLY;UNTIL=20261231T235959")))
    assert "DTSTART;VALUE=DATE:20261110" in said
    assert "DTEND;VALUE=DATE:20261113" in said
    assert "EXDATE;VALUE=DATE:20261117" in said
    assert "RRULE:FREQ=WEEKLY;UNTIL=20261231;BYDAY=TU" in said


def test_utc_is_written_as_such() -> None:
    assert "DTSTART:20261110T190000Z" in lines(vevent(replace(REPAIR, timezone="UTC")))


def test_until_goes_out_in_utc() -> None:
    said = lines(vevent(replace(SERIES, rrule="FREQ=WEEKLY;UNTIL=20270601T190000;BYDAY=TU")))
    assert "RRULE:FREQ=WEEKLY;UNTIL=20270601T170000Z;BYDAY=TU" in said


def test_a_rule_of_one_date_is_left_out() -> None:
    assert "RRULE" not in vevent(replace(SERIES, rrule="FREQ=WEEKLY;COUNT=1"))


def test_an_override_names_its_original_start_and_has_no_rule() -> None:
    moved = replace(SERIES, recurrence_id=TUESDAY, start=TUESDAY + HOUR, end=TUESDAY + 2 * HOUR)
    said = lines(vevent(moved))
    assert "RECURRENCE-ID;TZID=Europe/Madrid:20261110T190000" in said
    assert "DTSTART;TZID=Europe/Madrid:20261110T200000" in said
    assert not [line for line in said if line.startswith(("RRULE", "EXDATE"))]


# ---------------------------------------------------------------- independent readers

SCENES = {
    "a single evening": [REPAIR],
    "a series across the spring change": [SERIES],
    "a moved and a cancelled date": [
        SERIES,
        replace(
            SERIES,
            recurrence_id=TUESDAY + 2 * WEEK,
            start=TUESDAY + 2 * WEEK + timedelta(days=1),
            end=TUESDAY + 2 * WEEK + timedelta(days=1, hours=3),
            summary="Repair café, on Wednesday",
        ),
        replace(
            SERIES,
            recurrence_id=TUESDAY + 3 * WEEK,
            start=TUESDAY + 3 * WEEK,
            end=TUESDAY + 3 * WEEK + 2 * HOUR,
            status="CANCELLED",
        ),
    ],
    "second Tuesdays": [replace(SERIES, rrule="FREQ=MONTHLY;BYDAY=2TU", exdates=())],
    "last days of the month": [
        replace(
            SERIES,
            start=TUESDAY.replace(day=30),
            end=TUESDAY.replace(day=30) + HOUR,
            rrule="FREQ=MONTHLY;BYMONTHDAY=-1",
        )
    ],
    "every other week from Sunday": [
        replace(
            SERIES,
            start=datetime(2026, 11, 8, 11),
            end=datetime(2026, 11, 8, 12),
            rrule="FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU",
            exdates=(),
        )
    ],
    "a night": [replace(REPAIR, start=datetime(2026, 12, 31, 22), end=datetime(2027, 1, 1, 4))],
    "a night of the clock change": [
        replace(REPAIR, start=datetime(2027, 3, 27, 22), end=datetime(2027, 3, 28, 6))
    ],
    "an ended series in UTC": [
        replace(SERIES, timezone="UTC", rrule="FREQ=WEEKLY;UNTIL=20261208T190000", exdates=())
    ],
    "an awkward text": [replace(REPAIR, summary="a\\; b, c", description='"x";\\\n\n🎉' * 40)],
}


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES.keys())
def test_two_readers_that_know_nothing_of_each_other_see_the_same(scene: list[Entry]) -> None:
    data = published(*scene)
    seen = by_icalendar(data)
    assert seen == by_home_assistant(data)
    assert seen, "something takes place"


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES.keys())
def test_vobject_finds_nothing_to_complain_about(scene: list[Entry]) -> None:
    [read] = vobject.readComponents(published(*scene).decode())
    assert read.validate(raiseException=True)


def test_the_moved_and_the_cancelled_date_are_seen_in_their_places() -> None:
    seen = by_icalendar(published(*SCENES["a moved and a cancelled date"]))[:4]
    assert [(start, status) for start, _, _, status in seen] == [
        (datetime(2026, 11, 10, 18, tzinfo=UTC), "CONFIRMED"),
        (datetime(2026, 11, 25, 18, tzinfo=UTC), "CONFIRMED"),
        (datetime(2026, 12, 1, 18, tzinfo=UTC), "CANCELLED"),
        (datetime(2026, 12, 8, 18, tzinfo=UTC), "CONFIRMED"),
    ]
    assert seen[1][2] == "Repair café, on Wednesday"


def test_in_summer_the_same_wall_clock_is_another_time_in_utc() -> None:
    starts = {start.strftime("%H:%M") for start, _, _, _ in by_icalendar(published(SERIES))}
    assert starts == {"18:00", "17:00"}


# ---------------------------------------------------------------- the empty feed


def months() -> Iterator[date]:
    return iter((date(2026, 11, 3), date(2026, 11, 30), date(2026, 12, 1), date(2027, 1, 1)))


def test_an_empty_feed_has_one_all_day_entry_that_moves_with_the_month() -> None:
    first, same, second, third = (
        standing_note(FEED.source, "Not announced yet", "", "", day) for day in months()
    )
    assert first == same
    assert "DTSTART;VALUE=DATE:20261101" in lines(first)
    assert "DTSTART;VALUE=DATE:20261201" in lines(second)
    uids = {line for text in (first, second, third) for line in lines(text) if line.startswith("UID:")}
    assert len(uids) == 1
    numbers = [
        int(line[9:])
        for text in (first, second, third)
        for line in lines(text)
        if line.startswith("SEQUENCE:")
    ]
    assert numbers == sorted(set(numbers))
    assert "example.org" not in first, "a UID names no host"
    assert (
        standing_note("https://example.org/other.ics", "Not announced yet", "", "", date(2026, 11, 3))
        != first
    )
