"""Rules: what is read, what is refused and why; and the dates, against python-dateutil."""

from datetime import datetime, timedelta
from itertools import islice
from time import perf_counter

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from events.calendars.recurrence import (
    Frequency,
    InvalidRule,
    Rule,
    first_fit,
    is_start,
    next_dates,
    parse_rule,
    starts,
)

TUESDAY = datetime(2026, 11, 10, 19, 0)  # the second Tuesday of its month
MADRID = "Europe/Madrid"


def read(text: str, start: datetime = TUESDAY, *, all_day: bool = False) -> Rule:
    return parse_rule(text, start, MADRID, all_day)


def test_every_second_tuesday_of_the_month() -> None:
    rule = read("FREQ=MONTHLY;BYDAY=2TU")
    assert rule == Rule(Frequency.MONTHLY, weekdays=(1,), nth=2)
    assert next_dates(rule, TUESDAY, [], TUESDAY, 3) == [
        datetime(2026, 11, 10, 19),
        datetime(2026, 12, 8, 19),
        datetime(2027, 1, 12, 19),
    ]


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("RRULE:FREQ=WEEKLY", "FREQ=WEEKLY;BYDAY=TU"),
        ("freq=weekly;byday=th,tu;", "FREQ=WEEKLY;BYDAY=TU,TH"),
        ("FREQ=WEEKLY;INTERVAL=1;WKST=SU;BYDAY=TU,TU", "FREQ=WEEKLY;BYDAY=TU"),
        ("FREQ=WEEKLY;INTERVAL=2;WKST=SU", "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU"),
        ("FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=SU,TU", "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU"),
        ("FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"),
        ("FREQ=MONTHLY", "FREQ=MONTHLY;BYMONTHDAY=10"),
        ("FREQ=MONTHLY;BYDAY=TU;BYSETPOS=2", "FREQ=MONTHLY;BYDAY=2TU"),
        ("FREQ=MONTHLY;BYDAY=+2TU;BYSETPOS=1", "FREQ=MONTHLY;BYDAY=2TU"),
        ("FREQ=MONTHLY;BYDAY=TU;BYSETPOS=-1", "FREQ=MONTHLY;BYDAY=-1TU"),
        ("FREQ=MONTHLY;BYDAY=TU", "FREQ=WEEKLY;BYDAY=TU"),
        ("FREQ=MONTHLY;BYMONTHDAY=-1", "FREQ=MONTHLY;BYMONTHDAY=-1"),
        ("FREQ=YEARLY", "FREQ=YEARLY;BYMONTH=11;BYMONTHDAY=10"),
        ("FREQ=YEARLY;BYMONTH=11;BYDAY=TU;BYSETPOS=2", "FREQ=YEARLY;BYMONTH=11;BYDAY=2TU"),
        ("FREQ=DAILY;BYHOUR=19;BYMINUTE=0;BYSECOND=00", "FREQ=DAILY"),
        ("RSCALE=GREGORIAN;FREQ=YEARLY;SKIP=OMIT", "FREQ=YEARLY;BYMONTH=11;BYMONTHDAY=10"),
        ("FREQ=DAILY;COUNT=5", "FREQ=DAILY;COUNT=5"),
        ("FREQ=DAILY;UNTIL=99991231T235959Z", "FREQ=DAILY"),
    ],
)
def test_rules_that_mean_the_same_become_one(text: str, same: str) -> None:
    assert str(read(text)) == same
    assert read(same) == read(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("FREQ=SECONDLY", "not more often"),
        ("FREQ=HOURLY;INTERVAL=48", "not more often"),
        ("FREQ=DAILY;INTERVAL=0", "The interval in “FREQ=DAILY;INTERVAL=0” should be between 1 and 1000."),
        ("FREQ=DAILY;INTERVAL=-1", "between 1 and 1000"),
        ("FREQ=DAILY;INTERVAL=99999999999999", "cannot be read"),
        ("FREQ=DAILY;COUNT=0", "between 1 and 100000"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20261231", "Give one of them"),
        ("FREQ=DAILY;UNTIL=20261131", "does not exist"),
        ("FREQ=DAILY;UNTIL=tomorrow", "cannot be read"),
        ("FREQ=DAILY;UNTIL=20261109T190000", "ends before the first date"),
        ("FREQ=DAILY;INTERVAL=2;BYDAY=MO", "different dates to different calendar apps"),
        ("FREQ=WEEKLY;BYDAY=2TU", "different dates"),
        ("FREQ=WEEKLY;BYMONTH=11", "different dates"),
        ("FREQ=MONTHLY;BYDAY=5TU", "different dates"),
        ("FREQ=MONTHLY;BYDAY=-2TU", "different dates"),
        ("FREQ=MONTHLY;BYDAY=1TU,3TU", "different dates"),
        ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "different dates"),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", "different dates"),
        ("FREQ=MONTHLY;BYMONTHDAY=1,15", "different dates"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "different dates"),
        ("FREQ=MONTHLY;BYMONTHDAY=-2", "different dates"),
        ("FREQ=YEARLY;BYDAY=20MO", "different dates"),
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "different dates"),
        ("FREQ=YEARLY;BYYEARDAY=100", "different dates"),
        ("FREQ=YEARLY;BYMONTH=1,6", "different dates"),
        ("FREQ=DAILY;BYHOUR=9,21", "different dates"),
        ("FREQ=YEARLY;RSCALE=HEBREW", "different dates"),
        ("FREQ=WEEKLY;BYDAY=XX", "cannot be read"),
        ("FREQ=FORTNIGHTLY", "cannot be read"),
        ("every tuesday", "cannot be read"),
        ("FREQ=DAILY;FREQ=WEEKLY", "cannot be read"),
        ("", "cannot be read"),
    ],
)
def test_a_rule_that_apps_would_not_share_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidRule) as refused:
        read(text)
    assert reason in str(refused.value)


def test_until_is_kept_by_the_wall_clock_and_published_in_utc() -> None:
    rule = read("FREQ=WEEKLY;UNTIL=20270601T170000Z")
    assert rule.until == datetime(2027, 6, 1, 19, 0)
    assert str(rule) == "FREQ=WEEKLY;UNTIL=20270601T190000;BYDAY=TU"
    assert rule.text(MADRID, all_day=False) == "FREQ=WEEKLY;UNTIL=20270601T170000Z;BYDAY=TU"


def test_until_of_an_all_day_series_is_published_as_a_date() -> None:
    rule = read("FREQ=WEEKLY;UNTIL=20270601", datetime(2026, 11, 10), all_day=True)
    assert rule.text(MADRID, all_day=True) == "FREQ=WEEKLY;UNTIL=20270601;BYDAY=TU"
    assert rule.last_start(datetime(2026, 11, 10)) == datetime(2027, 6, 1)


def test_until_given_as_a_date_includes_that_evening() -> None:
    assert read("FREQ=WEEKLY;UNTIL=20261117").last_start(TUESDAY) == datetime(2026, 11, 17, 19)


def test_a_series_that_goes_on_has_no_last_start() -> None:
    assert read("FREQ=WEEKLY").last_start(TUESDAY) is None


def test_excluded_dates_are_left_out_and_still_count() -> None:
    found = list(starts(read("FREQ=WEEKLY;COUNT=3"), TUESDAY, [datetime(2026, 11, 17, 19)]))
    assert found == [datetime(2026, 11, 10, 19), datetime(2026, 11, 24, 19)]


def test_after_is_inclusive_and_before_is_not() -> None:
    week = timedelta(weeks=1)
    assert list(starts(read("FREQ=WEEKLY"), TUESDAY, (), TUESDAY + week, TUESDAY + 3 * week)) == [
        TUESDAY + week,
        TUESDAY + 2 * week,
    ]


def test_a_single_event_has_one_start() -> None:
    assert list(starts(None, TUESDAY)) == [TUESDAY]
    assert list(starts(None, TUESDAY, after=TUESDAY + timedelta(days=1))) == []


def test_the_first_date_that_fits_is_found() -> None:
    assert first_fit(read("FREQ=MONTHLY;BYDAY=1MO"), TUESDAY) == datetime(2026, 12, 7, 19)
    assert first_fit(read("FREQ=MONTHLY;BYDAY=2TU"), TUESDAY) == TUESDAY


def test_a_rule_that_never_happens_has_no_first_date() -> None:
    assert first_fit(read("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"), TUESDAY) is None


def test_whether_a_time_is_one_of_the_starts_is_known_far_ahead() -> None:
    rule = read("FREQ=MONTHLY;BYDAY=2TU")
    assert is_start(rule, TUESDAY, datetime(2096, 11, 13, 19))
    assert not is_start(rule, TUESDAY, datetime(2096, 11, 13, 19, 1))
    assert not is_start(rule, TUESDAY, datetime(2096, 11, 6, 19))


def test_no_rule_stalls() -> None:
    begun = perf_counter()
    assert read("FREQ=DAILY;COUNT=60000").last_start(TUESDAY) == TUESDAY + timedelta(days=59_999)
    assert read("FREQ=DAILY;COUNT=100000").last_start(TUESDAY) is None, "it outlasts 2200"
    assert read("FREQ=DAILY;UNTIL=21991231").last_start(TUESDAY) == datetime(2199, 12, 31, 19)
    for text in (
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=MONTHLY;INTERVAL=12;BYMONTHDAY=31",
        "FREQ=DAILY",
    ):
        assert len(list(starts(read(text), TUESDAY))) < 100_000
    assert perf_counter() - begun < 2
    far = datetime(2199, 1, 1, 19)
    assert is_start(read("FREQ=DAILY;COUNT=100000"), TUESDAY, far)


WEEKDAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
FREQUENCIES = st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"])
DAYS = st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=4, unique=True).map(",".join)
NTHS = st.tuples(st.sampled_from(["1", "2", "3", "4", "-1"]), st.sampled_from(WEEKDAYS))


@st.composite
def rules(draw: st.DrawFn) -> str:
    frequency = draw(FREQUENCIES)
    parts = [f"FREQ={frequency}", f"INTERVAL={draw(st.integers(1, 7))}"]
    if frequency == "WEEKLY":
        parts += [f"BYDAY={draw(DAYS)}", f"WKST={draw(st.sampled_from(['MO', 'SU', 'WE']))}"]
    if frequency == "YEARLY":
        parts.append(f"BYMONTH={draw(st.integers(1, 12))}")
    if frequency in ("MONTHLY", "YEARLY"):
        by_day = "BYDAY=" + "".join(draw(NTHS))
        parts.append(
            draw(st.sampled_from([by_day, f"BYMONTHDAY={draw(st.integers(1, 31))}", "BYMONTHDAY=-1"]))
        )
    parts += draw(st.sampled_from([[], [f"COUNT={draw(st.integers(1, 40))}"], ["UNTIL=20300315T120000"]]))
    return ";".join(parts)


@settings(max_examples=250)
@given(
    text=rules(),
    start=st.datetimes(datetime(1999, 1, 1), datetime(2029, 12, 31)).map(
        lambda at: at.replace(microsecond=0)
    ),
    wait=st.integers(0, 4000),
)
def test_the_dates_are_those_of_dateutil(text: str, start: datetime, wait: int) -> None:
    rule, after = read(text, start), start + timedelta(days=wait)
    expected = [at for at in islice(rrulestr(text, dtstart=start), 300) if at.year < 2100]
    assert list(starts(rule, start, before=datetime(2100, 1, 1), limit=300)) == expected
    later = list(starts(rule, start, after=after, limit=3))
    assert later == list(rrulestr(text, dtstart=start).xafter(after, 3, inc=True))[: len(later)]
    assert read(str(rule), start) == rule
    if "COUNT" in text or "UNTIL" in text:
        last = (list(rrulestr(text, dtstart=start)) or [start])[-1]
        assert rule.last_start(start) == (last if last.year <= 2200 else None)
