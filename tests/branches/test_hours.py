"""Open, closed or unknown: by the branch's rules, on its own clock. What is not understood is never closed."""

import random
import time as stopwatch
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.branches.hour_rules import MIDNIGHT, MOST_CHARACTERS, MOST_RULES, WEEKDAYS, State, read
from events.branches.hours import HORIZON, Hours, Opening, Span, hours_of, unreadable, zone_of
from events.branches.models import Branch
from tests.conftest import branch

DEMO = "We 17:00-21:00; Sa 10:00-14:00"
WEDNESDAY = date(2026, 11, 25)


def hours(text: str, zone: str = "America/Chicago", country: str = "") -> Hours:
    found = Hours.of(text, zone, country)
    assert found is not None, text
    return found


def at(text: str, when: str, zone: str = "America/Chicago", country: str = "") -> Opening:
    """`when` on the branch's clock, or with its offset."""
    moment = datetime.fromisoformat(when)
    return hours(text, zone, country).at(moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone)))


def spans(text: str, day: date, zone: str = "America/Chicago") -> list[str]:
    """With the offset where the clock alone does not tell the moment."""
    [found] = hours(text, zone).days(day, 1)
    assert found.day == day
    return [
        f"{span.start:%H:%M%z}-{span.end:%H:%M%z} {span.state} {span.comment}".strip() for span in found.spans
    ]


# ---------------------------------------------------------------- at a moment


def test_an_open_branch_says_until_when() -> None:
    now = at(DEMO, "2026-11-25 18:00")
    assert (now.state, now.comment) == (State.OPEN, "")
    assert now.until is not None and now.until.isoformat() == "2026-11-25T21:00:00-06:00"


def test_a_closed_branch_says_when_it_opens_next() -> None:
    now = at(DEMO, "2026-11-25 21:00")
    assert now.state is State.CLOSED
    assert now.next is not None and now.until == now.next.start
    assert (now.next.start.isoformat(), now.next.end.isoformat(), now.next.state) == (
        "2026-11-28T10:00:00-06:00",
        "2026-11-28T14:00:00-06:00",
        State.OPEN,
    )


def test_the_reader_s_zone_does_not_matter() -> None:
    assert at(DEMO, "2026-11-26T02:59+00:00").state is State.OPEN
    assert at(DEMO, "2026-11-26T03:00+00:00").state is State.CLOSED


def test_it_opens_and_closes_on_the_minute() -> None:
    states = [
        at(DEMO, f"2026-11-25 {clock}").state for clock in ("16:59:59.999999", "17:00", "20:59:59", "21:00")
    ]
    assert states == [State.CLOSED, State.OPEN, State.OPEN, State.CLOSED]


def test_nothing_is_promised_beyond_two_weeks() -> None:
    far = at("Dec 25 10:00-12:00", "2026-11-25 12:00")
    assert (far.state, far.until, far.next) == (State.CLOSED, None, None)
    near = at("Dec 25 10:00-12:00", "2026-12-11 12:00")
    assert near.next is not None and near.until is not None
    assert near.until - datetime(2026, 12, 11, 12, tzinfo=ZoneInfo("America/Chicago")) < HORIZON
    assert at("24/7", "2026-11-25 12:00").until is None


# ---------------------------------------------------------------- rules


@pytest.mark.parametrize(
    ("text", "day", "expected"),
    [
        ("Tu[1] 19:00-21:00", date(2026, 12, 1), ["19:00-21:00 open"]),
        ("Tu[1] 19:00-21:00", date(2026, 12, 8), []),
        ("Tu[1,3] 19:00-21:00", date(2026, 12, 15), ["19:00-21:00 open"]),
        ("Tu[1-2] 19:00-21:00", date(2026, 12, 8), ["19:00-21:00 open"]),
        ("Mo[5] 19:00-21:00", date(2026, 11, 30), ["19:00-21:00 open"]),
        ("Fr[-1] 19:00-21:00", date(2026, 11, 27), ["19:00-21:00 open"]),
        ("Fr[-1] 19:00-21:00", date(2026, 11, 20), []),
        ("Fr-Mo 10:00-12:00", date(2026, 11, 29), ["10:00-12:00 open"]),
        ("Mo-Fr 9:00-12:00, 13:00-17:00", WEDNESDAY, ["09:00-12:00 open", "13:00-17:00 open"]),
        ("Mo-Fr 09:00-17:00; We 12:00-13:00 off", WEDNESDAY, ["09:00-12:00 open", "13:00-17:00 open"]),
        ("Mo-Fr 09:00-17:00; We 10:00-12:00", WEDNESDAY, ["10:00-12:00 open"]),
        ("Mo-Fr 09:00-12:00, We 14:00-16:00", WEDNESDAY, ["09:00-12:00 open", "14:00-16:00 open"]),
        ("Mo-Fr 09:00-12:00; Nov 25 off", WEDNESDAY, []),
        ("Mo-Fr 09:00-12:00; Nov 24,25 off", WEDNESDAY, []),
        ("Mo-Fr 09:00-12:00; Nov 23-26 off", WEDNESDAY, []),
        ("Mo-Fr 09:00-12:00; 2027 Nov 25 off", WEDNESDAY, ["09:00-12:00 open"]),
        ("Mo-Fr 09:00-12:00; Dec 24-Jan 6 off", date(2027, 1, 6), []),
        ("Mo-Fr 09:00-12:00; 2026 Dec 24-Jan 6 off", date(2027, 1, 6), []),
        ("Mo-Fr 09:00-12:00; 2026 Dec 24-Jan 6 off", date(2027, 12, 24), ["09:00-12:00 open"]),
        ('Mo-Fr 09:00-12:00; Nov 25 off "moving"', WEDNESDAY, ["00:00-00:00 closed moving"]),
        ("Nov-Mar We 10:00-12:00", WEDNESDAY, ["10:00-12:00 open"]),
        ("Apr-Oct We 10:00-12:00", WEDNESDAY, []),
        ("week 2-52/2 We 10:00-12:00", WEDNESDAY, ["10:00-12:00 open"]),
        ("week 1-53/2 We 10:00-12:00", WEDNESDAY, []),
        ("We", WEDNESDAY, ["00:00-00:00 open"]),
        ("24/7", WEDNESDAY, ["00:00-00:00 open"]),
        ("24/7; We off", WEDNESDAY, []),
        ('We 17:00-19:00 open "kitchen"', WEDNESDAY, ["17:00-19:00 open kitchen"]),
    ],
)
def test_a_day_has_the_hours_of_its_rules(text: str, day: date, expected: list[str]) -> None:
    assert [span.replace("-0600", "") for span in spans(text, day)] == expected


@pytest.mark.parametrize(
    "text",
    [
        "we 17:00-21:00",
        "We 17:00–21:00;",
        "We  17:00 - 21:00",
        "WE: 17:00-21:00 OPEN",
        "; We 17:00-21:00",
        "We17:00-21:00",
    ],
)
def test_careless_writing_is_understood(text: str) -> None:
    assert spans(text, WEDNESDAY) == ["17:00-0600-21:00-0600 open"]


def test_a_comment_alone_is_neither_open_nor_closed() -> None:
    now = at('"by appointment"', "2026-11-25 12:00")
    assert (now.state, now.comment, now.until) == (State.UNKNOWN, "by appointment", None)
    meeting = at('Tu[1] 19:00-21:00 "meeting"', "2026-12-01 20:00")
    assert (meeting.state, meeting.comment) == (State.UNKNOWN, "meeting")


@pytest.mark.parametrize("link", [" || ", "; ", ", "])
def test_by_appointment_holds_for_the_time_outside_the_hours(link: str) -> None:
    text = f'We 17:00-21:00{link}"by appointment"'
    assert [at(text, f"2026-11-25 {clock}").state for clock in ("12:00", "18:00", "22:00")] == [
        State.UNKNOWN,
        State.OPEN,
        State.UNKNOWN,
    ]
    assert at(text, "2026-11-25 12:00").comment == "by appointment"


def test_comments_may_hold_what_would_be_a_rule() -> None:
    now = at('We 17:00-21:00 "ring; or || call, Mo-Fr off"; Sa 10:00-14:00', "2026-11-25 18:00")
    assert now.comment == "ring; or || call, Mo-Fr off"


def test_what_is_closed_for_good_says_why() -> None:
    now = at('24/7 off "renovation"', "2026-11-25 12:00")
    assert (now.state, now.comment, now.until, now.next) == (State.CLOSED, "renovation", None, None)


# ---------------------------------------------------------------- midnight


def test_an_evening_goes_on_past_midnight() -> None:
    late = at("Fr 17:00-01:00", "2026-11-28 00:30")
    assert late.state is State.OPEN
    assert late.until is not None and late.until.isoformat() == "2026-11-28T01:00:00-06:00"
    assert spans("Fr 17:00-01:00", date(2026, 11, 27)) == ["17:00-0600-01:00-0600 open"]
    assert spans("Fr 17:00-01:00", date(2026, 11, 28)) == []


def test_a_rule_for_the_next_day_does_not_end_the_evening_before() -> None:
    text = "Th 17:00-23:00; Fr,Sa 17:00-02:00; Su 12:00-20:00; Nov 28 off"
    assert at(text, "2026-11-28 01:30").state is State.OPEN  # of Friday, though all Saturday is off
    assert at(text, "2026-11-28 18:00").state is State.CLOSED
    assert at(text, "2026-11-29 01:30").state is State.CLOSED  # of that Saturday
    assert at(text, "2026-12-06 01:30").state is State.OPEN


def test_a_day_off_has_no_evening() -> None:
    assert at("Mo-Su 17:00-02:00, Nov 28 off", "2026-11-29 01:30").state is State.CLOSED


def test_what_is_longer_than_an_evening_is_cut_at_midnight() -> None:
    week = hours("Fr 18:00-24:00; Sa,Su 00:00-24:00").days(date(2026, 11, 27), 4)
    told = [[f"{span.start:%a %H}-{span.end:%a %H}" for span in day.spans] for day in week]
    assert told == [["Fri 18-Sat 00"], ["Sat 00-Sun 00"], ["Sun 00-Mon 00"], []]


# ---------------------------------------------------------------- zones and clock changes


def test_each_branch_has_its_own_day_on_both_sides_of_the_date_line() -> None:
    now = "2026-11-25T10:30+00:00"  # Tuesday evening in Pago Pago, Thursday morning on Kiritimati
    states = {
        zone: [at(f"{day} 00:00-24:00", now, zone).state for day in ("Tu", "We", "Th")]
        for zone in ("Pacific/Pago_Pago", "Pacific/Apia", "Pacific/Kiritimati")
    }
    closed, opened = State.CLOSED, State.OPEN
    assert states == {
        "Pacific/Pago_Pago": [opened, closed, closed],
        "Pacific/Apia": [closed, opened, closed],
        "Pacific/Kiritimati": [closed, closed, opened],
    }


def test_an_hour_that_the_clocks_skip_has_no_length() -> None:
    night = date(2026, 3, 29)  # 02:00 becomes 03:00 in Madrid
    assert spans("Su 02:15-02:45", night, "Europe/Madrid") == []
    assert spans("Su 01:00-02:30", night, "Europe/Madrid") == ["01:00+0100-03:00+0200 open"]
    assert spans("Su 02:30-04:00", night, "Europe/Madrid") == ["03:00+0200-04:00+0200 open"]
    assert at("Su 01:00-02:30", "2026-03-29T01:59+01:00", "Europe/Madrid").state is State.OPEN
    assert at("Su 01:00-02:30", "2026-03-29T03:00+02:00", "Europe/Madrid").state is State.CLOSED


def test_an_hour_that_comes_twice_is_meant_once() -> None:
    night = date(2026, 10, 25)  # 03:00 becomes 02:00 in Madrid
    assert spans("Su 02:15-02:45", night, "Europe/Madrid") == ["02:15+0200-02:45+0200 open"]
    assert spans("Sa 22:00-03:00", night - timedelta(days=1), "Europe/Madrid") == [
        "22:00+0200-03:00+0100 open"
    ]
    states = [
        at("Su 02:15-02:45", f"2026-10-25T{moment}", "Europe/Madrid").state
        for moment in ("02:20+02:00", "02:50+02:00", "02:20+01:00", "02:50+01:00")
    ]
    assert states == [State.OPEN, State.CLOSED, State.CLOSED, State.CLOSED]


def test_who_opens_in_the_hour_that_comes_twice_stays_open_in_its_second() -> None:
    now = at("Su 02:30-05:00", "2026-10-25T02:10+01:00", "Europe/Madrid")
    assert now.state is State.OPEN
    assert now.until is not None and now.until.isoformat() == "2026-10-25T05:00:00+01:00"


def test_a_day_that_has_no_midnight_begins_an_hour_later() -> None:
    assert spans("Su", date(2026, 9, 6), "America/Santiago") == ["01:00-0300-00:00-0300 open"]


@settings(max_examples=60)
@given(
    st.sampled_from(
        ["Europe/Madrid", "America/Santiago", "Australia/Lord_Howe", "Africa/Cairo", "America/Havana"]
    ),
    st.integers(0, 366 * 24 * 12),
)
def test_a_moment_is_in_the_span_that_its_day_tells(zone: str, fives: int) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=5 * fives)
    told = hours("22:00-02:30,08:00-12:00", zone)
    today = now.astimezone(told.zone).date()
    days = told.days(today - timedelta(days=1), 2)
    open_now = any(
        span.start.astimezone(UTC) <= now < span.end.astimezone(UTC) for day in days for span in day.spans
    )
    assert told.at(now).state is (State.OPEN if open_now else State.CLOSED)


# ---------------------------------------------------------------- unknown is not closed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        ";",
        '""',
        "2080",
        "Mon-Fri 9am-5pm",
        "lu-vi 10:00-12:00",
        "Mo-Fr 9-17",
        "sunrise-sunset",
        "Mo 10:00+",
        "Mo 10:00-12:00+",
        "Mo 10:00-12:00/30",
        "PH Mo-Fr 10:00-12:00",
        "Feb 30 10:00-12:00",
        "Mo-Fr 10:00-12:00; Jun 31 off",
        "2027 Feb 29 10:00-12:00",
        "Dec 26-24 off",
        "Mo 10:00-10:00",
        "Mo 24:00-26:00",
        "Mo 10:60-12:00",
        "Mo[6] 10:00-12:00",
        "Mo[0] 10:00-12:00",
        "week 54 Mo 10:00-12:00",
        "easter 10:00-12:00",
        "Mo[1] +1 day 10:00-12:00",
        "Mo 22:00-02:00 off",
        "Mo 10:00-12:00 Tu 10:00-12:00",
        'Mo 10:00-12:00 || "ask"; Tu 10:00-12:00',
        f"{DEMO}; and sometimes later",
        'We 17:00-21:00 "unfinished',
    ],
)
def test_what_cannot_be_relied_on_is_unknown(text: str) -> None:
    assert Hours.of(text, "America/Chicago") is None


def test_a_zone_that_does_not_exist_is_unknown() -> None:
    assert Hours.of(DEMO, "America/Springfield") is None
    assert Hours.of(DEMO, "") is None


def test_who_tells_only_exceptions_has_not_told_the_rest() -> None:
    text = "Dec 25 off"
    assert at(text, "2026-12-25 12:00").state is State.CLOSED
    assert (at(text, "2026-12-24 12:00").state, at(text, "2026-12-24 12:00").next) == (State.UNKNOWN, None)
    assert at("Mo off", "2026-11-24 12:00").state is State.UNKNOWN
    assert at("closed", "2026-11-24 12:00").state is State.CLOSED


# ---------------------------------------------------------------- holidays


def test_holidays_that_nobody_knows_leave_ordinary_days_alone_and_are_mentioned() -> None:
    for text in ("We 17:00-21:00; PH off", "We,PH 17:00-21:00", "We 17:00-21:00; SH 10:00-12:00"):
        now = at(text, "2026-11-25 18:00")
        assert (now.state, now.may_differ) == (State.OPEN, True)
    assert not at(DEMO, "2026-11-25 18:00").may_differ
    for text in ("PH off", "SH off", "PH 10:00-12:00"):
        assert (at(text, "2026-11-25 11:00").state, at(text, "2026-11-25 11:00").next) == (
            State.UNKNOWN,
            None,
        )


def test_with_its_country_public_holidays_are_known() -> None:
    text = "Th 17:00-21:00; PH off"
    thanksgiving = "2026-11-26 18:00"
    states = [at(text, thanksgiving, country=country).state for country in ("US", "", "GB", "AQ", "??")]
    assert states == [State.CLOSED, State.OPEN, State.OPEN, State.OPEN, State.OPEN]
    assert at(text, thanksgiving, country="US").may_differ  # no calendar has the regional ones


# ---------------------------------------------------------------- branches


def of_branch(text: str, timezone: str) -> Branch:
    return branch("alder", "Alder Club", None, opening_hours=text, timezone=timezone, country="US")


def test_a_branch_without_a_zone_of_its_own_has_no_today() -> None:
    assert zone_of(of_branch(DEMO, "UTC")) is None
    assert hours_of(of_branch(DEMO, "UTC")) is None
    assert hours_of(of_branch("", "America/Chicago")) is None
    assert hours_of(of_branch(DEMO, "America/Chicago")) is hours_of(of_branch(DEMO, "America/Chicago"))


def test_who_types_hours_is_told_what_is_not_understood() -> None:
    assert unreadable("") is unreadable(DEMO) is unreadable('"by appointment"') is None
    told = str(unreadable(f"{DEMO}; Su 10am-noon"))
    assert "“Su 10am-noon”" in told and "We 17:00-21:00" in told
    assert len(str(unreadable("x" * 5000))) < 300


# ---------------------------------------------------------------- hostile input


def hostile() -> Iterator[str]:
    yield from ("Mo," * 400, "Fr;" * 400, "a;" * 500, '"' * 1000, '"a' * 500, "Mo[1" + ",1" * 480 + "]")
    yield from ("Dec 24," + "25," * 330, "week " + "1," * 450 + "1 Mo", "(" * 1000, "-" * 1000, " " * 1000)
    yield from ("||".join(["Mo off"] * 110), ";".join(["Feb 29 Mo[5] 0:00-0:01"] * 40), "9999 Dec 31 " * 80)
    yield from (
        "Mo " + ",".join(f"{n // 30}:{n % 30 * 2:02}-{n // 30}:{n % 30 * 2 + 1:02}" for n in range(80)),
    )
    yield from ("\0\ud800\u202e" * 300, "٣" * 1000, "x" * 1_000_000)
    choice = random.Random(7).choice
    pieces = [
        *WEEKDAYS,
        "PH",
        "Dec ",
        "29",
        "2026 ",
        "-",
        ",",
        ", ",
        "; ",
        " || ",
        "[1]",
        "[-1]",
        '"',
        '"x"',
        "off",
    ]
    pieces += [
        "10:00-12:00",
        "22:00-02:00",
        "0:00-24:00",
        "week 1-53/2 ",
        "24/7",
        "easter",
        "sunset",
        "+",
        "é",
        ":",
    ]
    for length in range(2, 300):
        yield "".join(choice(pieces) for _ in range(length))[:1000]


def test_hostile_hours_answer_within_milliseconds_and_raise_nothing() -> None:
    now = datetime(2026, 11, 25, 12, tzinfo=UTC)
    slowest = 0.0
    for text in hostile():
        begun = stopwatch.process_time()
        unreadable(text)
        if (found := Hours.of(text, "Europe/Madrid", "ES")) is not None:
            found.at(now)
            found.days(WEDNESDAY, 7)
        slowest = max(slowest, stopwatch.process_time() - begun)
    assert slowest < 1  # some 20 ms, on a machine that has nothing else to do


def test_long_texts_and_many_rules_are_not_evaluated() -> None:
    assert Hours.of("We 17:00-21:00;" + " " * MOST_CHARACTERS, "America/Chicago") is None
    assert Hours.of("; ".join(["We 17:00-21:00"] * MOST_RULES), "America/Chicago") is not None
    assert Hours.of("; ".join(["We 17:00-21:00"] * (MOST_RULES + 1)), "America/Chicago") is None


def test_only_rules_of_our_own_writing_reach_the_library() -> None:
    [part] = read('we 9:00–11:00 "\x00 anything; at || all"')
    [rule] = part.rules
    assert rule.written("0") == 'We 09:00-11:00 unknown "0"'


def test_threads_may_share_what_is_cached() -> None:
    told = hours("Mo-Su 10:00-12:00,14:00-18:00; We 12:00-20:00")
    moments = [datetime(2026, 11, 23, tzinfo=UTC) + timedelta(minutes=7 * n) for n in range(2000)]
    expected = [told.at(moment) for moment in moments]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(told.at, moments)) == expected


@pytest.mark.parametrize(
    "text", [DEMO, "22:00-02:30,08:00-12:00", "Mo-Su 00:00-24:00", "Jan-Mar 10:00-12:00"]
)
@pytest.mark.parametrize(
    ("zone", "first"),
    [("Europe/Madrid", "2026-10-24T20:00+00:00"), ("America/Chicago", "2026-03-01T00:00+00:00")],
)
def test_what_was_found_before_is_what_would_be_found_again(text: str, zone: str, first: str) -> None:
    told, now = hours(text, zone), datetime.fromisoformat(first)
    for minutes in (*range(0, 1200, 5), *range(1200, 60 * 24 * 40, 431), 0, 70):
        moment = (now + timedelta(minutes=minutes)).astimezone(told.zone if minutes % 2 else UTC)
        assert told.at(moment) == replace(told, _told=[]).at(moment), moment


def test_rules_are_evaluated_once_until_they_say_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    told, asked, evaluate = replace(hours(DEMO), _told=[]), list[datetime](), Hours._spans

    def noting(self: Hours, start: datetime, end: datetime) -> Iterator[Span]:
        asked.append(start)
        return evaluate(self, start, end)

    monkeypatch.setattr(Hours, "_spans", noting)
    for time in ("17:00", "18:00", "20:59", "21:00", "17:30"):
        told.at(datetime.fromisoformat(f"2026-11-25 {time}-06:00"))
    assert [f"{start:%H:%M}" for start in asked] == ["17:00", "21:00", "17:30"]


# ---------------------------------------------------------------- against an evaluation of our own


@dataclass(frozen=True)
class Simple:
    """A rule as the oracle has it: minutes, and a test of the day."""

    text: str
    link: str
    days: frozenset[int]
    nth: int  # 0: every week
    times: tuple[tuple[int, int], ...]
    state: State

    def holds(self, day: date) -> bool:
        return day.weekday() in self.days and self.nth in (0, (day.day - 1) // 7 + 1)


@st.composite
def simple_rules(draw: st.DrawFn) -> Simple:
    nth = draw(st.sampled_from([0, 0, 0, 1, 2, 3, 4]))
    days = frozenset(draw(st.sets(st.integers(0, 6), min_size=1, max_size=1 if nth else 7)))
    state = draw(st.sampled_from([State.OPEN, State.OPEN, State.CLOSED, State.UNKNOWN]))
    latest = 95 if state is State.CLOSED else 143
    edges = sorted(draw(st.sets(st.integers(0, latest), min_size=0, max_size=4)))
    pairs = [(15 * start, 15 * end) for start, end in zip(edges[::2], edges[1::2], strict=False)]
    times = tuple((start, end) for start, end in pairs if start < MIDNIGHT and end <= start + MIDNIGHT)
    if state is State.OPEN and not times:
        times = ((0, MIDNIGHT),)  # `Mo, Tu off` would be a list of days
    names = ",".join(WEEKDAYS[day] + (f"[{nth}]" if nth else "") for day in sorted(days))
    clock = ",".join(f"{s // 60:02}:{s % 60:02}-{e // 60:02}:{e % 60:02}" for s, e in times)
    word = {State.OPEN: "", State.CLOSED: " off", State.UNKNOWN: ' "ask"'}[state]
    link = draw(st.sampled_from(["; ", "; ", ", "]))
    return Simple(f"{names} {clock}".strip() + word, link, days, nth, times, state)


def told_of(rules: Sequence[Simple], day: date) -> list[tuple[int, int, State]]:
    """What the rules say of a day, the last word last."""
    told: list[tuple[int, int, State]] = []
    for rule in rules:
        if rule.holds(day):
            if (rule.link == "; " and rule.state is not State.CLOSED) or not rule.times:
                told = told if rule.link == ", " and rule.state is not State.CLOSED else []
            told += [(start, end, rule.state) for start, end in rule.times or ((0, MIDNIGHT),)]
    return told


def state_at(rules: Sequence[Simple], wall: datetime) -> State:
    minute = wall.hour * 60 + wall.minute
    for day, clock in ((wall.date(), minute), (wall.date() - timedelta(days=1), minute + MIDNIGHT)):
        said = [state for start, end, state in told_of(rules, day) if start <= clock < end]
        if said and said[-1] is not State.CLOSED:
            return said[-1]
    return State.CLOSED


@settings(max_examples=150)
@given(st.lists(simple_rules(), min_size=1, max_size=5), st.integers(0, 60 * 96 - 1))
def test_another_evaluation_says_the_same(rules: list[Simple], quarter: int) -> None:
    text = rules[0].text + "".join(rule.link + rule.text for rule in rules[1:])
    if all(rule.state is State.CLOSED for rule in rules):
        return  # tells exceptions only, see above
    wall = datetime(2026, 11, 1) + timedelta(minutes=15 * quarter)
    told = at(text, f"{wall}", "America/Phoenix")
    assert told.state is state_at(rules, wall), text
