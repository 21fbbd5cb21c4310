"""Zones against `zoneinfo` on the same package; VTIMEZONEs through an interpreter of the tests' own."""

import subprocess
import sys
from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr

from events.calendars.timezones import (
    UnknownZone,
    clock_changes,
    in_clock_change,
    to_utc,
    to_wall,
    vtimezone,
    zone,
)
from events.drafts import zone_names

FIRST, LAST = datetime(2026, 1, 1), datetime(2037, 1, 1)


class Reading:
    """What a calendar app makes of a VTIMEZONE: every onset in UTC, and the offset from then on."""

    def __init__(self, text: str) -> None:
        onsets: list[tuple[datetime, timedelta]] = []
        for block in text.split("BEGIN:")[2:]:
            said = dict(line.split(":", 1) for line in block.split("\r\n")[1:-1])
            start = datetime.strptime(said["DTSTART"], "%Y%m%dT%H%M%S")
            before, after = offset(said["TZOFFSETFROM"]), offset(said["TZOFFSETTO"])
            rule = (
                rrulestr(said["RRULE"], dtstart=start).between(start, LAST, inc=True)
                if "RRULE" in said
                else []
            )
            assert start in rule or not rule, "DTSTART is the first onset of its rule"
            onsets += [(onset - before, after) for onset in (rule or [start])]
        onsets.sort()
        self.moments = [moment for moment, _ in onsets]
        self.offsets = [after for _, after in onsets]

    def at(self, moment: datetime) -> timedelta:
        return self.offsets[bisect_right(self.moments, moment) - 1]


def offset(text: str) -> timedelta:
    hours, minutes, seconds = int(text[1:3]), int(text[3:5]), int(text[5:7] or 0)
    size = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return -size if text[0] == "-" else size


def from_package(key: str) -> ZoneInfo:
    with resources.files("tzdata").joinpath("zoneinfo", *key.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file)


def real_offset(key: str, moment: datetime) -> timedelta:
    found = moment.replace(tzinfo=UTC).astimezone(zone(key)).utcoffset()
    assert found is not None
    return found


def test_every_zone_says_from_2026_to_2036_what_tzdata_says_to_the_second() -> None:
    days = [FIRST + timedelta(days=n) for n in range(0, (LAST - FIRST).days, 4)]
    aware = [day.replace(tzinfo=UTC) for day in days]
    for key in sorted(zone_names()):
        reading, tz = Reading(vtimezone(key, date(2026, 5, 1))), from_package(key)
        assert reading.moments[0] <= FIRST, key
        for day, moment in zip(days, aware, strict=True):
            assert reading.at(day) == moment.astimezone(tz).utcoffset(), (key, day)
        for onset in (onset for onset in reading.moments if onset > FIRST):
            for moment in (onset - timedelta(seconds=1), onset):
                assert reading.at(moment) == moment.replace(tzinfo=UTC).astimezone(tz).utcoffset(), (
                    key,
                    moment,
                )


@pytest.mark.parametrize("key", ["America/Chicago", "Europe/Moscow", "America/Mexico_City", "Asia/Gaza"])
@pytest.mark.parametrize("year", [1975, 1998, 2007, 2011, 2022])
def test_a_zone_is_right_for_events_of_long_ago(key: str, year: int) -> None:
    reading = Reading(vtimezone(key, date(year, 1, 1)))
    for day in (datetime(year, 1, 1) + timedelta(hours=6 * n) for n in range(4 * 365 * 12)):
        assert reading.at(day) == real_offset(key, day), day


def test_rules_carry_byday_and_nothing_is_listed_as_rdate() -> None:
    for key in sorted(zone_names()):
        lines = vtimezone(key, date(2026, 1, 1)).split("\r\n")
        assert not [line for line in lines if line.startswith("RDATE")], key
        assert all("BYDAY=" in line for line in lines if line.startswith("RRULE")), key
        assert all(len(line) <= 75 for line in lines), key
        assert "BEGIN:STANDARD" in lines, key


def test_a_year_in_which_a_rule_is_not_kept_is_told_before_the_rule() -> None:
    text = vtimezone("America/Havana", date(2026, 1, 1))
    assert text.count("DTSTART:2026") == 1, "in 2026 Cuba changes its clocks in March only"
    assert "DTSTART:20280312T000000\r\nRRULE:" in text


def test_the_year_asked_for_changes_nothing_where_the_rule_is_older() -> None:
    assert vtimezone("Europe/Madrid", date(1999, 1, 1)) == vtimezone("Europe/Madrid", date(2026, 12, 31))


def test_the_text_of_madrid() -> None:
    assert vtimezone("Europe/Madrid", date(2026, 1, 1)).split("\r\n") == [
        "BEGIN:VTIMEZONE",
        "TZID:Europe/Madrid",
        "BEGIN:DAYLIGHT",
        "DTSTART:19960331T020000",
        "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU",
        "TZOFFSETFROM:+0100",
        "TZOFFSETTO:+0200",
        "TZNAME:CEST",
        "END:DAYLIGHT",
        "BEGIN:STANDARD",
        "DTSTART:19961027T030000",
        "RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU",
        "TZOFFSETFROM:+0200",
        "TZOFFSETTO:+0100",
        "TZNAME:CET",
        "END:STANDARD",
        "END:VTIMEZONE",
        "",
    ]


def test_a_change_that_goes_over_the_end_of_a_month_takes_two_rules() -> None:
    text = vtimezone("Africa/Cairo", date(2026, 1, 1))
    assert "RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=FR;BYMONTHDAY=26,27,28,29,30,31\r\n" in text
    assert "RRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=FR;BYMONTHDAY=1\r\n" in text


def test_another_process_with_another_hash_seed_writes_the_same_bytes() -> None:
    code = (
        "from datetime import date; from events.calendars.timezones import vtimezone\n"
        "print([vtimezone(k, date(2026, 1, 1)) for k in ('Africa/Cairo', 'Asia/Gaza', 'America/Nuuk')])"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1]


def test_zones_come_from_the_package_whatever_the_system_offers() -> None:
    assert zone("Europe/Madrid") is zone("Europe/Madrid")
    assert zone("Europe/Madrid") is not ZoneInfo("Europe/Madrid")


@pytest.mark.parametrize(
    "name", ["Europe/Sevilla", "", "../../etc/passwd", "W. Europe Standard Time", "zones"]
)
def test_a_name_that_is_no_zone_is_refused(name: str) -> None:
    with pytest.raises(UnknownZone):
        zone(name)


def test_a_time_that_the_clocks_skip_is_read_with_the_offset_before() -> None:
    assert to_utc(datetime(2026, 3, 29, 2, 30), "Europe/Madrid") == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def test_a_time_that_the_clocks_show_twice_is_the_first_one() -> None:
    assert to_utc(datetime(2026, 10, 25, 2, 30), "Europe/Madrid") == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_wall_and_utc_go_back_and_forth() -> None:
    wall = datetime(2026, 7, 1, 19, 0)
    assert to_utc(wall, "America/Chicago") == datetime(2026, 7, 2, 0, 0, tzinfo=UTC)
    assert to_wall(to_utc(wall, "America/Chicago"), "America/Chicago") == wall


@pytest.mark.parametrize(
    ("wall", "key", "expected"),
    [
        (datetime(2026, 3, 29, 2, 0), "Europe/Madrid", True),
        (datetime(2026, 3, 29, 3, 0), "Europe/Madrid", False),
        (datetime(2026, 10, 25, 2, 59), "Europe/Madrid", True),
        (datetime(2026, 10, 25, 1, 59), "Europe/Madrid", False),
        (datetime(2026, 10, 25, 2, 59), "America/Mexico_City", False),
        (datetime(2026, 4, 5, 1, 45), "Australia/Lord_Howe", True),
        (datetime(2026, 4, 5, 1, 15), "Australia/Lord_Howe", False),
    ],
)
def test_clock_changes_are_recognised(wall: datetime, key: str, expected: bool) -> None:
    assert in_clock_change(wall, key) is expected


def test_the_spans_in_which_clocks_change_are_known() -> None:
    spans = clock_changes("Europe/London")
    assert (datetime(2026, 3, 29, 1), datetime(2026, 3, 29, 2)) in spans
    assert (datetime(2026, 10, 25, 1), datetime(2026, 10, 25, 2)) in spans
    assert all(in_clock_change(span[0], "Europe/London") for span in spans)
    assert not any(in_clock_change(span[1], "Europe/London") for span in spans)
    assert clock_changes("UTC") == ()
