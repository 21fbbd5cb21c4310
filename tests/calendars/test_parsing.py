"""Files of others, each fixture named for its fault: what comes in, what stays out, and why."""

import io
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from dateutil.rrule import rrulestr

from events.calendars.drafts import EventDraft, OverrideDraft, VenueDraft
from events.calendars.ics import Entry, Feed, calendar, vevent
from events.calendars.ics_events import ImportedEvent
from events.calendars.irregular import dates
from events.calendars.parsing import Window, read_calendar
from events.calendars.recurrence import starts
from events.calendars.timezones import to_utc
from events.errors import Refusal, Unreadable
from tests.conftest import most_memory

FOLDER = Path(__file__).parent / "ics"
TUESDAY = datetime(2026, 11, 10, 19, 0)
WEEK, HOUR = timedelta(weeks=1), timedelta(hours=1)
WINDOW = Window(date(2026, 9, 1), date(2027, 12, 31))


def read(name: str, default_timezone: str | None = None) -> tuple[dict[str, ImportedEvent], dict[int, str]]:
    """Events by UID, and refusals by line."""
    with (FOLDER / f"{name}.ics").open("rb") as file:
        return sorted_out(file.read(), default_timezone)


def sorted_out(
    data: bytes, default_timezone: str | None = None
) -> tuple[dict[str, ImportedEvent], dict[int, str]]:
    items = list(read_calendar(io.BytesIO(data), window=WINDOW, default_timezone=default_timezone))
    events = {item.uid: item for item in items if isinstance(item, ImportedEvent)}
    refused = {item.row: str(item.reason) for item in items if isinstance(item, Refusal)}
    assert len(events) + len(refused) == len(items)
    return events, refused


def drafts(name: str, default_timezone: str | None = None) -> dict[str, EventDraft]:
    """Of files in which nothing is refused."""
    events, refused = read(name, default_timezone)
    assert not refused
    return {uid: event.draft for uid, event in events.items()}


def span(draft: EventDraft) -> tuple[datetime, datetime, str]:
    return draft.start, draft.end, draft.timezone


def notes(event: ImportedEvent) -> list[str]:
    return [str(note) for note in event.notes]


# ---------------------------------------------------------------- series


def test_an_override_may_stand_before_its_series_and_far_from_it() -> None:
    events, refused = read("override-before-its-series")
    assert list(events) == ["good", "weekly"]
    assert not refused
    draft, line = events["weekly"].draft, events["weekly"].line
    assert (line, events["weekly"].sequence) == (17, 3)
    assert draft.rrule == "FREQ=WEEKLY;UNTIL=20261222T190000;BYDAY=TU"
    assert draft.exdates == (TUESDAY + 4 * WEEK,)
    assert draft.overrides == (
        OverrideDraft(
            original_start=TUESDAY + WEEK,
            start=datetime(2026, 11, 18, 20),
            end=datetime(2026, 11, 18, 22, 30),
            title="Repair café, on Wednesday",
        ),
        OverrideDraft(original_start=TUESDAY + 2 * WEEK, cancelled=True),
    )


def test_of_several_overrides_for_a_date_the_newest_wins_also_over_an_exdate() -> None:
    draft = drafts("newest-override-wins")["weekly"]
    assert draft.exdates == ()
    assert draft.overrides == (
        OverrideDraft(
            original_start=TUESDAY + WEEK,
            start=TUESDAY + WEEK + HOUR,
            description="Bring two",
            venue_name="Garden",
            venue_address="Back yard, 2",
        ),
        OverrideDraft(original_start=TUESDAY + 2 * WEEK, end=datetime(2026, 11, 24, 22)),
    )


def test_exdates_are_understood_in_every_form_people_write_them() -> None:
    found = drafts("exdates-in-every-form", "America/Chicago")
    timed, days = found["timed"], found["days"]
    assert timed.exdates == tuple(TUESDAY + number * WEEK for number in (1, 2, 3, 4, 5))
    assert days.exdates == (datetime(2026, 11, 17),)


def test_rules_that_look_worse_than_they_are_come_in() -> None:
    rules = {uid: draft.rrule for uid, draft in drafts("rules-that-look-worse-than-they-are").items()}
    assert rules == {
        "once": "",
        "same": "FREQ=WEEKLY;BYDAY=TU",
        "empty": "FREQ=WEEKLY;BYDAY=TU",
        "local": "FREQ=WEEKLY;UNTIL=20261124T235959;BYDAY=TU",
        "setpos": "FREQ=MONTHLY;BYDAY=2TU",
    }


def test_a_changed_date_that_makes_no_sense_is_left_out_of_its_series_and_told() -> None:
    events, refused = read("overrides-that-make-no-sense")
    assert refused == {
        11: "This changes a date that its series does not have.",
        17: "The end must be after the start.",
        24: "It begins with a day and ends with a time, or the other way round.",
        30: "Its time zone “Nowhere/Land” is not known. Use one like America/Chicago.",
        42: "This changes a date of an event that does not repeat.",
        48: "Which of its dates the entry on line 55 changes cannot be read.",
    }
    assert events["weekly"].draft.exdates == tuple(TUESDAY + number * WEEK for number in (1, 2, 3))
    assert events["single"].draft.start == TUESDAY


# ---------------------------------------------------------------- times and zones


def test_zone_names_of_windows_and_of_vendors_are_understood() -> None:
    zones = {uid: draft.timezone for uid, draft in drafts("windows-and-vendor-time-zones").items()}
    assert zones == {
        "windows": "Europe/Berlin",
        "quoted": "America/Chicago",
        "lic": "America/New_York",
        "path": "Europe/Vienna",
        "old": "US/Eastern",
        "case": "Europe/Lisbon",
    }


def test_floating_times_are_in_the_zone_that_was_given_and_refused_without_one() -> None:
    assert drafts("floating-times", "Europe/Madrid")["floating"].timezone == "Europe/Madrid"
    assert read("floating-times")[1] == {4: "Its time names no time zone, and the file names none either."}


def test_single_times_in_utc_are_shown_by_the_calendars_own_clock() -> None:
    found = drafts("utc-in-a-calendar-with-a-zone")
    assert span(found["single"]) == (TUESDAY, TUESDAY + 2 * HOUR, "America/Chicago")
    assert span(found["floating"])[::2] == (TUESDAY, "America/Chicago")
    assert span(found["series"]) == (TUESDAY, TUESDAY + HOUR, "UTC")
    assert found["twice"].timezone == "UTC", "01:30 in Chicago is shown twice that night"


def test_lengths_are_what_the_file_says() -> None:
    events, refused = read("lengths")
    day = datetime(2026, 11, 10)
    spans = {uid: (event.draft.start, event.draft.end) for uid, event in events.items()}
    assert spans == {
        "hours": (TUESDAY, TUESDAY + timedelta(minutes=90)),
        "days": (day, day + timedelta(days=2)),
        "nominal": (datetime(2027, 3, 27, 12), datetime(2027, 3, 28, 13)),
        "exact": (datetime(2027, 3, 27, 22), datetime(2027, 3, 28, 7)),
        "none": (TUESDAY, TUESDAY + HOUR),
        "zero": (TUESDAY, TUESDAY + HOUR),
        "day": (day, day + timedelta(days=1)),
        "sameday": (day, day + timedelta(days=1)),
        "bare": (day, day + timedelta(days=2)),
        "otherzone": (TUESDAY, TUESDAY + 3 * HOUR),
    }
    noted = "It does not say when it ends. It is shown with a length of one hour."
    assert [uid for uid, event in events.items() if noted in notes(event)] == ["none", "zero"]
    assert list(refused.values()) == [
        "Its length “-PT1H” cannot be read.",
        "Its length “P999999999999W” cannot be read.",
    ]


# ---------------------------------------------------------------- what stays out


@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        (
            "unknown-time-zone",
            ["Its time zone “Customized Time Zone” is not known. Use one like America/Chicago."],
        ),
        ("end-before-start", ["The end must be after the start."]),
        ("day-and-time-mixed", ["It begins with a day and ends with a time, or the other way round."] * 2),
        (
            "impossible-dates",
            [
                "“20261131T190000Z” is not a date or time that exists.",
                "“20261110T250000Z” is not a date or time that exists.",
                "“soon” is not a date or time that exists.",
                "“16040229T000000Z” is not a date or time that exists.",
                "“00010101T000000Z” is not a date or time that exists.",
            ],
        ),
        ("override-without-its-series", ["This is a changed date of a series that is not in the file."]),
        (
            "this-and-following",
            ["It changes “this and all following dates” at once. Please end the series and begin a new one."],
        ),
        ("private-events", ["It is marked as private."] * 2),
        ("cut-off", ["The file ends in the middle of this entry."]),
    ],
)
def test_one_bad_entry_stays_out_and_the_good_one_comes_in(name: str, reasons: list[str]) -> None:
    events, refused = read(name)
    assert list(events) == ["good"]
    assert list(refused.values()) == reasons


def test_rules_that_apps_do_not_share_are_refused_with_their_reason() -> None:
    events, refused = read("rules-that-are-refused")
    assert list(events) == ["good"]
    beginnings = [reason[:44] for reason in refused.values()]
    assert beginnings == [
        "Events can repeat by the day, week, month or",
        "The interval in “FREQ=DAILY;INTERVAL=0” shou",
        "It has a rule for exceptions (EXRULE), which",
        "The repetition does not include this date. T",
        "The repetition rule “FREQ=WEEKLY;COUNT=1;COU",
    ]


def test_extra_dates_become_single_events_related_to_the_first_with_their_own_changes() -> None:
    events, refused = read("series-taken-apart")
    assert not refused
    listed = {uid: event for uid, event in events.items() if uid.startswith("listed")}
    assert [(uid, event.related, event.draft.start, event.draft.title) for uid, event in listed.items()] == [
        ("listed", "", TUESDAY, "Choir"),
        ("listed#20261203T200000", "listed", datetime(2026, 12, 4, 21), "Choir in the church"),
        ("listed#20261215T190000", "listed", datetime(2026, 12, 15, 19), "Choir"),
    ]
    assert {event.draft.rrule for event in listed.values()} == {""}
    assert notes(listed["listed"])[0].startswith("Calendar apps read this repetition differently")


def test_a_changed_date_of_an_irregular_series_takes_from_it_what_it_does_not_say() -> None:
    def change(*lines: str) -> bytes:
        return entry(*lines, uid="odd").replace(
            b"DTSTART:20261110T190000Z\r\nDTEND:20261110T200000Z\r\n", b""
        )

    events, refused = sorted_out(
        in_calendar(
            entry("RDATE:20261117T190000Z,20261124T190000Z,20261201T190000Z", uid="odd"),
            change("RECURRENCE-ID:20261117T190000Z", "DESCRIPTION:Only a text"),
            change("RECURRENCE-ID:20261124T190000Z", "DTSTART:20261125T210000Z"),
            change("RECURRENCE-ID:20261201T190000Z", "DTSTART:20261202T210000Z", "DURATION:PT3H"),
        )
    )
    assert not refused
    _, text, later, longer = (event.draft for event in events.values())
    assert (text.start, text.duration, text.description) == (datetime(2026, 11, 17, 19), HOUR, "Only a text")
    assert (later.start, later.duration) == (datetime(2026, 11, 25, 21), HOUR)
    assert (longer.start, longer.duration) == (datetime(2026, 12, 2, 21), 3 * HOUR)


def test_this_and_all_following_is_refused_in_an_irregular_series_too() -> None:
    all_following = entry("RECURRENCE-ID;RANGE=THISANDFUTURE:20261117T190000Z", uid="odd")
    unreadable = entry("RECURRENCE-ID:2026", uid="torn")
    events, refused = sorted_out(
        in_calendar(
            *(entry("RDATE:20261117T190000Z,20261124T190000Z", uid=uid) for uid in ("odd", "torn")),
            *(all_following, unreadable, GOOD),
        )
    )
    assert list(events) == ["good"]
    odd, torn = refused.values()
    assert odd.startswith("It changes “this and all following dates” at once.")
    assert torn == "Which of its dates the entry on line 24 changes cannot be read."


def test_a_series_keeps_its_rule_when_only_some_dates_are_extra() -> None:
    events, _ = read("series-taken-apart")
    series, single = (events[f"weekly-and-one-more{suffix}"] for suffix in ("", "#20261112T000000"))
    assert series.draft.rrule == "FREQ=WEEKLY;COUNT=3;BYDAY=TU"
    assert (single.draft.start, single.draft.all_day) == (datetime(2026, 11, 12), True)
    assert "weekly-and-one-more#20261117T000000" not in events, "the series has that date already"


def test_a_rule_that_apps_read_differently_becomes_its_dates() -> None:
    events, _ = read("series-taken-apart")
    accounts = [event.draft.start for uid, event in events.items() if uid.startswith("last-working-day")]
    assert accounts == [datetime(2026, 11, 30, 19), datetime(2027, 1, 29, 19), datetime(2027, 2, 26, 19)]


def test_an_old_irregular_series_is_taken_apart_where_people_look_for_it() -> None:
    text = entry("RRULE:FREQ=MONTHLY;BYDAY=1TU,3TU", uid="old").replace(b"2026", b"2009")
    events, refused = sorted_out(in_calendar(text))
    starts_ = [event.draft.start.date() for event in events.values()]
    assert not refused and starts_[0].year == 2009
    assert starts_[1] == date(2026, 9, 1) and starts_[-1] == date(2027, 12, 21)
    assert len(starts_) == 33


ODD_RULES = (
    "FREQ=MONTHLY;BYDAY=1TU,3TU",
    "FREQ=MONTHLY;BYMONTHDAY=1,15,-1",
    "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1,2",
    "FREQ=MONTHLY;INTERVAL=5;BYDAY=FR;BYMONTHDAY=13",
    "FREQ=YEARLY;BYWEEKNO=20,-1;BYDAY=MO",
    "FREQ=YEARLY;BYYEARDAY=1,100,-10",
    "FREQ=YEARLY;BYDAY=20MO,-1TU",
    "FREQ=YEARLY;BYMONTH=3,9;BYDAY=-1SU,2WE",
    "FREQ=YEARLY;BYMONTH=1,6",
    "FREQ=YEARLY;BYMONTHDAY=31",
    "FREQ=YEARLY;INTERVAL=2;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
    "FREQ=WEEKLY;INTERVAL=3;BYDAY=SU,TU;BYMONTH=1,2,3",
    "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,TU;WKST=SU",
    "FREQ=DAILY;INTERVAL=4;BYMONTH=1,7;COUNT=9",
    "FREQ=DAILY;BYMONTHDAY=30;BYMONTH=2",
    "FREQ=MONTHLY;BYDAY=1TU,3TU;UNTIL=20270401T000000",
    "FREQ=MONTHLY;BYDAY=FR;BYSETPOS=5",
    "FREQ=MONTHLY;BYDAY=FR;BYSETPOS=-5,1",
)  # fmt: skip


@pytest.mark.parametrize("rule", ODD_RULES)
@pytest.mark.parametrize("start", [TUESDAY, datetime(2024, 2, 29, 9), datetime(2019, 12, 30, 23, 30)])
def test_dates_of_odd_rules_are_those_of_dateutil(rule: str, start: datetime) -> None:
    last = datetime(2030, 12, 31, 23, 59)
    bounded = rule if "UNTIL" in rule or "COUNT" in rule else f"{rule};UNTIL=20301231T235959"
    wanted = (
        [] if "BYMONTH=2" in rule else list(rrulestr(bounded, dtstart=start).between(start, last, inc=True))
    )
    assert dates(rule, start, "Europe/Madrid", False, last.date()) == wanted


def test_a_start_during_a_clock_change_is_refused() -> None:
    events, refused = read("clock-change")
    assert list(events) == ["good"]
    assert refused[4].startswith("On 2027-03-28 the clocks of Europe/Madrid change at that hour")


def test_of_two_entries_with_one_uid_the_newer_counts() -> None:
    events, refused = read("same-uid-twice")
    assert {uid: event.draft.title for uid, event in events.items()} == {"one": "Newer", "two": "Last"}
    assert refused == {
        11: "The entry on line 4 has the same UID and replaces this one.",
        18: "The entry on line 24 has the same UID and replaces this one.",
    }


def test_a_forgotten_end_costs_one_entry_at_most() -> None:
    events, refused = read("end-forgotten")
    assert sorted(events) == ["alarm", "good"]
    assert refused == {4: "This entry has no end."}


def test_title_and_start_are_needed_and_a_uid_is_made_when_there_is_none() -> None:
    events, refused = read("no-title-no-start-no-uid")
    assert list(refused.values()) == ["It has no title.", "It does not say when it begins."]
    [uid] = events
    assert uid.startswith("no-uid-")
    assert list(read("no-title-no-start-no-uid")[0]) == [uid], "the same one every time"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a-web-page", "This is a web page, not a calendar"),
        ("utf-16", "not one in UTF-8"),
        ("empty", "The file is empty"),
    ],
)
def test_what_is_no_calendar_is_refused_as_a_whole(name: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read(name)


# ---------------------------------------------------------------- words


def test_places_are_taken_apart_and_links_make_events_online() -> None:
    events, refused = read("places")
    assert not refused
    found = {uid: event.draft for uid, event in events.items()}
    assert found["full"].venue == VenueDraft(
        name="Tool Library, North",
        address_1="12 Main St",
        address_2="Back door, Chicago",
        latitude=41.925,
        longitude=-87.65,
    )
    assert found["plain"].venue == VenueDraft(name="Tool Library, 12 Main St")
    assert notes(events["plain"]) == ["Its position on the map cannot be read and is left out."]
    assert found["escaped"].venue == VenueDraft(name="Hall", latitude=-33.86, longitude=151.2)
    assert {uid: (draft.attendance, draft.online_url) for uid, draft in found.items() if not draft.venue} == {
        "online": ("online", "https://meet.example.org/a"),
        "link": ("online", "https://zoom.us/j/1"),
        "word": ("online", "https://us02web.zoom.us/j/2"),
        "script": ("in-person", ""),
    }
    assert (found["hybrid"].attendance, found["hybrid"].online_url) == (
        "hybrid",
        "https://meet.google.com/abc",
    )
    assert {uid: event.url for uid, event in events.items() if event.url} == {
        "online": "https://example.org/events/1"
    }


def test_texts_topics_language_state_and_branches_are_read() -> None:
    events, refused = read("what-else-it-says")
    assert not refused
    said, event = events["all"].draft, events["all"]
    assert (said.title, said.description) == ("Taller, nivel I; \\o/", "Uno\nDos")
    assert (said.language, said.topics, said.contact) == ("es-MX", ("Repair, reuse", "Bikes"), "Ana, desk 1")
    assert (event.branch_slugs, event.sequence) == (("north", "south"), 7)
    assert notes(event) == ["It is marked as tentative. It is shown like any other event."]
    assert (events["off"].draft.state, events["off"].sequence) == ("cancelled", 0)


def test_texts_that_are_too_long_are_cut_off_and_told() -> None:
    event = read("what-else-it-says")[0]["many"]
    assert event.draft.title == "x" * 299 + "…"
    assert len(event.draft.description) <= 20_000
    assert len(event.draft.topics) == 20
    assert notes(event) == [
        "It has more than 20 categories. The first ones are kept.",
        "A text was too long and has been cut off.",
    ]


def test_lines_that_are_not_folded_are_told_and_left_out() -> None:
    events, refused = read("description-not-folded")
    assert not refused
    assert (events["raw"].draft.title, events["raw"].draft.description) == ("Still here", "First line")
    assert notes(events["raw"]) == ["Line 9 cannot be read and is left out."]


def test_encodings_of_the_past_are_read() -> None:
    assert drafts("windows-1252")["w"].title == "Café – größer"
    assert drafts("quoted-printable")["qp"].title == "Café"
    folded = drafts("byte-order-mark-and-crlf")["bom"]
    assert (folded.title, folded.description) == ("Folded in the middle of ñ", "abc")


# ---------------------------------------------------------------- hostile files


def entry(*lines: str, uid: str = "x") -> bytes:
    body = ["BEGIN:VEVENT", f"UID:{uid}", "DTSTART:20261110T190000Z", "DTEND:20261110T200000Z", "SUMMARY:x"]
    return "".join(f"{line}\r\n" for line in (*body, *lines, "END:VEVENT")).encode()


def in_calendar(*entries: bytes) -> bytes:
    return b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n" + b"".join(entries) + b"END:VCALENDAR\r\n"


GOOD = entry(uid="good")


@pytest.mark.parametrize(
    ("hostile", "reason"),
    [
        (entry(*["RRULE:FREQ=DAILY"] * 10_000), "This entry has more than 300 properties."),
        (entry(*["BEGIN:VALARM"] * 10_000), "The parts of this entry are nested too deeply."),
        (entry("RRULE:" + "FREQ=DAILY;" * 20_000), "Line 8 is longer than 100000 bytes."),
        (entry("EXDATE:" + "x," * 20_000, "RRULE:FREQ=DAILY"), "“x” is not a date or time that exists."),
        (entry("RRULE:FREQ=DAILY;INTERVAL=" + "9" * 5000), "cannot be read."),
        (entry("DURATION:PT" + "9" * 5000 + "H").replace(b"DTEND", b"X-END"), "cannot be read."),
    ],
)
def test_an_entry_made_to_hurt_costs_nothing_but_itself(hostile: bytes, reason: str) -> None:
    events, refused = sorted_out(in_calendar(hostile, GOOD))
    assert list(events) == ["good"]
    assert list(refused) == [3]
    assert refused[3].endswith(reason)


@pytest.mark.parametrize(
    "harmless",
    [
        entry("DESCRIPTION:" + "a" * 3_000_000),
        entry("DESCRIPTION:a", *[" b"] * 200_000),
        entry("X-QUOTES;A=" + '"' * 50_000, 'ATTACH;X="' + "a:" * 100_000),
        entry("SUMMARY;A=b" + ",c" * 20_000 + ":y"),
        entry("DESCRIPTION:\x00\x1b[31m\u202e"),
        b"BEGIN:VTIMEZONE\r\nTZID:X\r\n"
        + b"BEGIN:STANDARD\r\nEND:STANDARD\r\n" * 20_000
        + b"END:VTIMEZONE\r\n"
        + entry(),
        b"\r\n" * 100_000 + entry(),
    ],
)
def test_what_is_only_long_comes_in(harmless: bytes) -> None:
    events, refused = sorted_out(in_calendar(harmless, GOOD))
    assert list(events) == ["x", "good"]
    assert not refused
    assert len(events["x"].draft.description) <= 20_000
    assert "\x1b" not in events["x"].draft.description


def test_memory_stays_flat_however_many_events_there_are() -> None:
    def needed(number: int) -> int:
        text = "DESCRIPTION:" + "word " * 200
        data = in_calendar(*(entry(text, uid=f"uid-{n}") for n in range(number)))

        def look() -> None:
            found = read_calendar(io.BytesIO(data), window=WINDOW)
            assert sum(isinstance(item, ImportedEvent) for item in found) == number

        return most_memory(look)

    assert needed(1500) - needed(300) < 1200 * 700, "bytes for each event beyond the first ones"


# ---------------------------------------------------------------- what we write, read again


def test_what_is_written_is_read_back() -> None:
    now = datetime(2026, 11, 2, tzinfo=UTC)
    master = Entry(
        uid="7d1f0c",
        sequence=4,
        created_at=now,
        modified_at=now,
        start=TUESDAY,
        end=TUESDAY + 2 * HOUR,
        all_day=False,
        timezone="Europe/Madrid",
        summary='Taller, nivel "I"; \\o/ 🎉' * 5,
        description="Uno\n\n- dos; tres, \\n cuatro",
        rrule="FREQ=MONTHLY;UNTIL=20270630T235959;BYDAY=2TU",
        exdates=(datetime(2026, 12, 8, 19),),
        location="Sala “Ñ”, 2\nCalle Mayor 1\nMadrid",
        latitude=40.4168,
        longitude=-3.7038,
        categories=("Repair, reuse", "Bikes"),
        language="es",
        conference_url="https://meet.example.org/a?b=1,2;c=3",
        branch_slugs=("madrid", "centro"),
    )
    second_of_january = datetime(2027, 1, 12, 19)
    moved = replace(
        master,
        recurrence_id=second_of_january,
        start=second_of_january + HOUR,
        end=second_of_january + 3 * HOUR,
        summary="Later",
    )
    header = Feed(name="x", description="", url="", source="", language="es")
    data = calendar(header, {"Europe/Madrid": date(2026, 1, 1)}, [vevent(moved), vevent(master)])
    events, refused = sorted_out(data)
    assert not refused
    event = events["7d1f0c"]
    assert (event.sequence, event.branch_slugs, event.notes) == (4, ("madrid", "centro"), ())
    assert event.draft == EventDraft(
        title=master.summary,
        description=master.description,
        language="es",
        start=TUESDAY,
        end=TUESDAY + 2 * HOUR,
        timezone="Europe/Madrid",
        rrule=master.rrule,
        exdates=master.exdates,
        attendance="hybrid",
        venue=VenueDraft(
            name="Sala “Ñ”, 2",
            address_1="Calle Mayor 1",
            address_2="Madrid",
            latitude=40.4168,
            longitude=-3.7038,
        ),
        online_url="https://meet.example.org/a?b=1,2;c=3",
        topics=("Repair, reuse", "Bikes"),
        state="published",
        overrides=(
            OverrideDraft(original_start=second_of_january, start=second_of_january + HOUR, title="Later"),
        ),
    )
    dates = list(starts(event.draft.rule, event.draft.start, event.draft.exdates))
    assert dates[-1] == datetime(2027, 6, 8, 19)


# ---------------------------------------------------------------- series that are taken apart


def taken_apart(*lines: str) -> tuple[dict[str, ImportedEvent], dict[int, str]]:
    """Of a weekly meeting on Tuesdays at seven in Madrid, with these lines."""
    start = () if lines[0].startswith("DTSTART") else ("DTSTART;TZID=Europe/Madrid:20261110T190000",)
    return sorted_out("\r\n".join((
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//x//y//EN", "BEGIN:VEVENT", "UID:odd", *start, "DURATION:PT2H",
        "SUMMARY:Choir", *lines, "END:VEVENT", "END:VCALENDAR", "",
    )).encode())  # fmt: skip


WEEKLY = "RRULE:FREQ=WEEKLY;COUNT=4"


def test_an_extra_date_that_is_named_twice_or_left_out_again_is_there_once_or_not_at_all() -> None:
    events, refused = taken_apart(
        WEEKLY,
        "RDATE;TZID=Europe/Madrid:20261112T190000,20261112T190000,20261113T190000",
        "EXDATE;TZID=Europe/Madrid:20261113T190000",
    )
    assert list(events) == ["odd", "odd#20261112T190000"] and not refused


def test_of_too_many_extra_dates_the_first_hundred_come_in_and_it_is_told() -> None:
    days = (TUESDAY + timedelta(days=day, hours=1) for day in range(120))
    events, _ = taken_apart(
        WEEKLY, "RDATE;TZID=Europe/Madrid:" + ",".join(f"{day:%Y%m%dT%H%M%S}" for day in days)
    )
    assert len(events) == 101
    assert notes(events["odd"]) == ["It has more than 100 extra dates. The first ones are taken over."]


def test_extra_dates_in_utc_are_at_that_moment() -> None:
    events, _ = taken_apart("DTSTART:20261110T180000Z", "RDATE:20270610T180000Z,20270611T180000Z")
    starts = {to_utc(event.draft.start, event.draft.timezone).isoformat() for event in events.values()}
    assert starts == {f"{day}T18:00:00+00:00" for day in ("2026-11-10", "2027-06-10", "2027-06-11")}


def test_changes_of_regular_dates_stay_with_the_series_and_those_of_extra_dates_with_these() -> None:
    change = ("END:VEVENT", "BEGIN:VEVENT", "UID:odd", "DURATION:PT1H")
    events, _ = taken_apart(
        WEEKLY, "RDATE;TZID=Europe/Madrid:20261112T190000",
        *change, "RECURRENCE-ID;TZID=Europe/Madrid:20261117T190000", "DTSTART;TZID=Europe/Madrid:20261118T200000",
        "SUMMARY:On Wednesday",
        *change, "RECURRENCE-ID;TZID=Europe/Madrid:20261112T190000", "DTSTART;TZID=Europe/Madrid:20261112T210000",
        "SUMMARY:Late",
    )  # fmt: skip
    [regular] = events["odd"].draft.overrides
    assert (regular.original_start, regular.title) == (datetime(2026, 11, 17, 19), "On Wednesday")
    extra = events["odd#20261112T190000"].draft
    assert (extra.start, extra.title, extra.overrides) == (datetime(2026, 11, 12, 21), "Late", ())


def test_of_too_many_dates_of_a_rule_the_first_hundred_come_in_and_it_is_told_until_when() -> None:
    events, _ = taken_apart("RRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR;BYMONTH=1,2,3,4,5,6,11,12")
    assert len(events) == 100
    last = max(event.draft.start for event in events.values())
    assert notes(events["odd"])[1] == f"Only the dates until {last:%Y-%m-%d} were taken over."


def test_several_rules_are_all_followed() -> None:
    events, _ = taken_apart(
        "RRULE:FREQ=WEEKLY;COUNT=2;BYDAY=TU",
        "RRULE:FREQ=WEEKLY;COUNT=2;BYDAY=TH",
        "EXDATE;TZID=Europe/Madrid:20261117T190000",
    )
    days = sorted(event.draft.start.day for event in events.values())
    assert days == [10, 12, 19]
