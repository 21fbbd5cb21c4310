"""Never wrong by an hour: 40 zones, every change of the clocks from 2020 to 2037, against an oracle.

The oracle reads the zone files of tzdata by itself and knows nothing of `zoneinfo`, on which the code rests.
"""

import re
import struct
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import NamedTuple

import pytest

from events.calendars.recurrence import parse_rule, starts
from events.calendars.timezones import clock_changes, in_clock_change, to_utc, to_wall, vtimezone
from tests.calendars.test_timezones import Reading

FIRST, END = datetime(2020, 1, 1), datetime(2038, 1, 1)
SECOND, DAY, WEEK = timedelta(seconds=1), timedelta(days=1), timedelta(days=7)
NONE = timedelta(0)

ZONES = (
    *("Europe/Madrid", "Europe/London", "Europe/Chisinau", "Atlantic/Azores"),
    *("America/New_York", "America/Edmonton"),
    *("America/St_Johns", "Asia/Kathmandu", "Pacific/Chatham", "Australia/Adelaide"),  # not by whole hours
    *("Australia/Sydney", "Pacific/Auckland", "Pacific/Norfolk"),  # summer at the turn of the year
    "Australia/Lord_Howe",  # by half an hour
    *("Antarctica/Troll", "Antarctica/Casey"),  # by two hours, by three and without a system
    "Europe/Dublin",  # winter time is the exception: "negative" daylight saving
    *("Africa/Casablanca", "Africa/El_Aaiun"),  # after the moon, for as long as that lasted
    *("Africa/Cairo", "Asia/Gaza", "Asia/Jerusalem", "Asia/Beirut"),  # midnight, or a day after a weekday
    *("America/Santiago", "Pacific/Easter"),  # at midnight, and at the same moment 22:00
    *("America/Asuncion", "America/Havana"),  # at midnight
    *("America/Nuuk", "America/Scoresbysund"),  # Greenland, with a new standard time in 2023 and 2024
    *("America/Mexico_City", "America/Ciudad_Juarez"),  # Mexico in 2022, and a town that went back on it
    *("Asia/Tehran", "Asia/Amman", "Asia/Damascus"),  # given up in 2022
    *("Pacific/Apia", "Pacific/Fiji"),  # given up in 2021
    *("Asia/Almaty", "Europe/Volgograd", "Africa/Juba"),  # once
    "Pacific/Tongatapu",  # never, and far to the east
)
each_zone = pytest.mark.parametrize("key", ZONES)


# ---------------------------------------------------------------- the oracle


class Change(NamedTuple):
    moment: datetime
    before: timedelta
    after: timedelta

    @property
    def span(self) -> tuple[datetime, datetime]:
        """From and until when, by the wall clock, hours are skipped or shown twice."""
        old, new = ((self.moment + offset).replace(tzinfo=None) for offset in (self.before, self.after))
        return min(old, new), max(old, new)


class Oracle:
    """A zone from 2019 to 2038. Moments are aware and in UTC, wall-clock times naive."""

    def __init__(self, key: str) -> None:
        data = resources.files("tzdata").joinpath("zoneinfo", *key.split("/")).read_bytes()
        initial, onsets, footer = read_tzif(data)
        last = onsets[-1][0] if onsets else datetime.min.replace(tzinfo=UTC)
        onsets += [onset for onset in by_rule(footer, range(2019, 2039)) if onset[0] > last]
        self._moments = [moment for moment, _ in onsets]
        self._offsets = [initial, *(offset for _, offset in onsets)]
        every = map(Change, self._moments, self._offsets, self._offsets[1:])
        ours = (change for change in every if FIRST <= change.moment.replace(tzinfo=None) < END)
        self.changes = [change for change in ours if change.before != change.after]

    def offset(self, moment: datetime) -> timedelta:
        return self._offsets[bisect_right(self._moments, moment)]

    def wall(self, moment: datetime) -> datetime:
        return (moment + self.offset(moment)).replace(tzinfo=None)

    def moments(self, wall: datetime) -> list[datetime]:
        """All at which the clocks show it: none when it is skipped."""
        as_utc = wall.replace(tzinfo=UTC)
        offsets = {self.offset(as_utc - DAY), self.offset(as_utc + DAY)}
        return sorted([as_utc - offset for offset in offsets if self.offset(as_utc - offset) == offset])

    def first(self, wall: datetime) -> datetime:
        """The first of them; when skipped, by the offset before the change (RFC 5545 3.3.5)."""
        if shown := self.moments(wall):
            return shown[0]
        as_utc = wall.replace(tzinfo=UTC)
        return as_utc - self.offset(as_utc - DAY)


def read_tzif(data: bytes) -> tuple[timedelta, list[tuple[datetime, timedelta]], str]:
    """The offset at first, the onsets of the others, and the footer (RFC 9636 section 3, version 2 and later)."""
    header = struct.Struct(">4s c 15x 6l")
    magic, version, is_ut, is_std, leaps, times, types, chars = header.unpack_from(data)
    assert magic == b"TZif" and version >= b"2"
    second = header.size + 5 * times + 6 * types + chars + 8 * leaps + is_std + is_ut
    *_, is_ut, is_std, leaps, times, types, chars = header.unpack_from(data, second)
    at = second + header.size
    seconds, kinds = struct.unpack_from(f">{times}q {times}B", data, at), at + 9 * times
    offsets = [timedelta(seconds=struct.unpack_from(">l", data, kinds + 6 * n)[0]) for n in range(types)]
    onsets = [
        (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=passed), offsets[kind])
        for passed, kind in zip(seconds[:times], seconds[times:], strict=True)
    ]
    footer = data[kinds + 6 * types + chars + 12 * leaps + is_std + is_ut :]
    return offsets[0], onsets, footer.decode("ascii").strip("\n")


def by_rule(footer: str, years: range) -> Iterator[tuple[datetime, timedelta]]:
    """The onsets that a footer such as CET-1CEST,M3.5.0,M10.5.0/3 tells; west of Greenwich is positive in it."""
    name, hours, day = r"(?:[A-Za-z]+|<[^>]+>)", r"([-+]?[\d:]+)", r"M(\d+)\.(\d)\.(\d)"
    said = re.fullmatch(f"{name}{hours}(?:{name}{hours}?,{day}(?:/{hours})?,{day}(?:/{hours})?)?", footer)
    assert said, footer
    if said[3] is None:
        return
    standard = -length(said[1])
    summer = -length(said[2]) if said[2] else standard + timedelta(hours=1)
    for year in years:
        begin = midnight(year, int(said[3]), int(said[4]), int(said[5])) + length(said[6] or "2") - standard
        end = midnight(year, int(said[7]), int(said[8]), int(said[9])) + length(said[10] or "2") - summer
        yield from sorted([(begin, summer), (end, standard)])


def length(text: str) -> timedelta:
    hours, minutes, seconds = (*map(int, text.lstrip("+-").split(":")), 0, 0)[:3]
    size = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    return -size if text[0] == "-" else size


def midnight(year: int, month: int, week: int, weekday: int) -> datetime:
    """Weekdays count from 0, Sunday; week 5 is the last of the month, be it the fourth."""
    first = datetime(year, month, 1, tzinfo=UTC)
    found = first + timedelta(days=(weekday - first.isoweekday()) % 7, weeks=week - 1)
    return found if found.month == month else found - WEEK


@cache
def oracle(key: str) -> Oracle:
    return Oracle(key)


# ---------------------------------------------------------------- is the oracle one?


@pytest.mark.parametrize(
    ("key", "moment", "before", "after"),
    [
        ("Europe/Madrid", "2024-03-31T01:00Z", "1", "2"),
        ("Europe/London", "2025-10-26T01:00Z", "1", "0"),
        ("Europe/Dublin", "2024-03-31T01:00Z", "0", "1"),
        ("America/New_York", "2025-03-09T07:00Z", "-5", "-4"),
        ("Australia/Lord_Howe", "2024-10-05T15:30Z", "10:30", "11"),
        ("Antarctica/Troll", "2024-03-31T01:00Z", "0", "2"),
        ("Africa/Casablanca", "2024-03-10T02:00Z", "1", "0"),
        ("Africa/Cairo", "2023-04-27T22:00Z", "2", "3"),
        ("Africa/Juba", "2021-01-31T21:00Z", "3", "2"),
        ("America/Nuuk", "2023-03-26T01:00Z", "-3", "-2"),
        ("America/Mexico_City", "2022-10-30T07:00Z", "-5", "-6"),
        ("Asia/Tehran", "2022-09-21T19:30Z", "4:30", "3:30"),
        ("Asia/Almaty", "2024-02-29T18:00Z", "6", "5"),
        ("Europe/Volgograd", "2020-12-26T22:00Z", "4", "3"),
        ("Pacific/Apia", "2021-04-03T14:00Z", "14", "13"),
    ],
)
def test_the_oracle_knows_what_the_newspapers_said(key: str, moment: str, before: str, after: str) -> None:
    change = Change(datetime.fromisoformat(moment), length(before), length(after))
    assert change in oracle(key).changes


def test_the_oracle_has_forty_zones_and_hundreds_of_changes_to_tell() -> None:
    assert len(set(ZONES)) == 40
    assert sum(len(oracle(key).changes) for key in ZONES) > 350
    begins = [(key, change.span[0]) for key in ZONES for change in oracle(key).changes]
    assert {len(oracle(key).moments(begin)) for key, begin in begins} == {0, 2}


# ---------------------------------------------------------------- one moment


@each_zone
def test_the_seconds_around_every_change_are_told_rightly_in_both_directions(key: str) -> None:
    truth = oracle(key)
    for change in truth.changes:
        for moment in (change.moment - SECOND, change.moment, change.moment + SECOND):
            assert to_wall(moment, key) == truth.wall(moment), moment
            assert to_utc(truth.wall(moment), key) == truth.first(truth.wall(moment)), moment
        for edge in change.span:
            for wall in (edge - SECOND, edge, edge + SECOND):
                assert to_utc(wall, key) == truth.first(wall), wall


@each_zone
def test_a_time_that_is_skipped_is_read_with_the_offset_before_and_so_comes_later(key: str) -> None:
    for change in (change for change in oracle(key).changes if change.after > change.before):
        for wall in within(change):
            moment = to_utc(wall, key)
            assert moment == wall.replace(tzinfo=UTC) - change.before, wall
            assert to_wall(moment, key) == wall + (change.after - change.before), wall


@each_zone
def test_a_time_that_is_shown_twice_is_the_first_one(key: str) -> None:
    for change in (change for change in oracle(key).changes if change.after < change.before):
        for wall in within(change):
            moment = to_utc(wall, key)
            assert moment == wall.replace(tzinfo=UTC) - change.before, wall
            assert to_wall(moment, key) == wall, wall
            assert to_wall(moment + (change.before - change.after), key) == wall, wall


@each_zone
def test_the_spans_that_are_skipped_or_shown_twice_are_named_and_no_others(key: str) -> None:
    spans = [change.span for change in oracle(key).changes]
    assert [span for span in clock_changes(key) if FIRST <= span[0] < END] == spans
    for change in oracle(key).changes:
        begin, until = change.span
        assert all(in_clock_change(wall, key) for wall in within(change)), change
        assert not in_clock_change(begin - SECOND, key) and not in_clock_change(until, key), change
    hour = risky_start(key).time()
    days = [datetime.combine(FIRST + n * DAY, hour) for n in range((END - FIRST).days)]
    hit = {at for span in spans for day in span if span[0] <= (at := datetime.combine(day, hour)) < span[1]}
    assert {day for day in days if in_clock_change(day, key)} == hit


def within(change: Change) -> tuple[datetime, datetime, datetime]:
    """The first, the middle and the last second of its span."""
    begin, until = change.span
    return begin, begin + (until - begin) // 2, until - SECOND


def risky_start(key: str) -> datetime:
    """On the first day, at an hour of the day that the zone's changes skip or show twice."""
    changes = oracle(key).changes
    return datetime.combine(FIRST, within(changes[0])[1].time() if changes else time(2, 30))


# ---------------------------------------------------------------- series


TWO_HOURS, EIGHT_HOURS = timedelta(hours=2), timedelta(hours=8)


def series(key: str, rule: str, first: datetime) -> list[datetime]:
    return list(starts(parse_rule(rule, first, key, all_day=False), first, before=END))


@each_zone
def test_a_weekly_series_keeps_its_hour_and_its_length_by_the_wall_clock(key: str) -> None:
    sunday_evening = datetime(2020, 1, 5, 19)
    dates = series(key, "FREQ=WEEKLY", sunday_evening)
    assert_steady(dates, sunday_evening, WEEK)
    assert_two_hours_each(key, dates)


@each_zone
def test_a_daily_series_at_the_hour_of_the_changes_keeps_its_hour_and_its_length(key: str) -> None:
    dates = series(key, "FREQ=DAILY", risky_start(key))
    assert_steady(dates, risky_start(key), DAY)
    assert_two_hours_each(key, dates)


def assert_steady(dates: list[datetime], first: datetime, step: timedelta) -> None:
    """By the wall clock, from the first to the end of 2037."""
    assert dates[0] == first and dates[-1] < END <= dates[-1] + step
    assert {later - earlier for earlier, later in pairwise(dates)} == {step}


def assert_two_hours_each(key: str, dates: list[datetime]) -> None:
    """Start and end are where the oracle has them, and the clocks show them unless they skip them."""
    truth = oracle(key)
    for wall in (at + passed for at in dates for passed in (NONE, TWO_HOURS)):
        moment = to_utc(wall, key)
        assert moment == truth.first(wall), wall
        assert to_wall(moment, key) == wall or not truth.moments(wall), wall


@each_zone
def test_a_night_from_22_to_6_is_shorter_or_longer_by_the_change_that_falls_into_it(key: str) -> None:
    """A change falls into the night whose start is read with the offset before it, and whose end with that after.

    So 7 or 9 real hours, 7½ or 8½ on Lord Howe, 6 or 10 at Troll, and 8 in every other night.
    """
    expected = {}
    for change in oracle(key).changes:
        _, until = change.span
        for evening in (datetime.combine(until - days * DAY, time(22)) for days in (0, 1)):
            if evening < until <= evening + EIGHT_HOURS:
                expected[evening] = EIGHT_HOURS - (change.after - change.before)
    nights = series(key, "FREQ=DAILY", datetime(2020, 1, 1, 22))
    real = {night: to_utc(night + EIGHT_HOURS, key) - to_utc(night, key) for night in nights}
    assert {night: passed for night, passed in real.items() if passed != EIGHT_HOURS} == expected


# ---------------------------------------------------------------- VTIMEZONE


@each_zone
def test_a_calendar_app_learns_every_change_from_the_vtimezone_and_no_others(
    key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.calendars.test_timezones.LAST", END)  # to where Reading follows rules
    reading, truth = Reading(vtimezone(key, date(2020, 1, 1))), oracle(key)
    told = [
        Change(moment.replace(tzinfo=UTC), reading.at(moment - SECOND), reading.at(moment))
        for moment in reading.moments
        if FIRST <= moment < END
    ]
    assert told == truth.changes
    for moment in (FIRST + n * DAY for n in range(0, (END - FIRST).days, 10)):
        assert reading.at(moment) == truth.offset(moment.replace(tzinfo=UTC)), moment
