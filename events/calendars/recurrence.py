"""Recurrence in the shapes that every calendar app reads alike, by the wall clock.

Daily; weekly on given weekdays; monthly on one day or one weekday of the month (also the last); yearly in one
month, likewise. `parse_rule` brings what means the same into one of these shapes and refuses the rest in a
sentence; `starts` walks through the dates and always ends, at the latest with `LAST_YEAR`.

Text of a rule is stored with UNTIL by the wall clock (a new version of tzdata must not cut off a last date)
and published with UNTIL as RFC 5545 wants it: `str(rule)` and `rule.text(timezone, all_day)`.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import count as counting
from itertools import islice, takewhile

from ..drafts import LAST_YEAR
from ..errors import say
from .rule_text import DAYS, UNSHARED, Frequency, InvalidRule, RuleText
from .timezones import to_utc

__all__ = [
    "DAYS",
    "Frequency",
    "InvalidRule",
    "Rule",
    "counterpart",
    "dates_among",
    "first_fit",
    "is_start",
    "next_dates",
    "parse_rule",
    "starts",
]

_DAYS_OF = {Frequency.DAILY: 1, Frequency.WEEKLY: 7, Frequency.MONTHLY: 31, Frequency.YEARLY: 366}


@dataclass(frozen=True, slots=True)
class Rule:
    """A recurrence as `parse_rule` makes it. Weekdays count from 0, Monday.

    `weekdays`: all of a weekly rule's, or the one of which `nth` (1 to 4, -1 the last) is meant in a month.
    `month_day`: 1 to 31, -1 the last; 0 for rules that go by weekdays. `month`: of a yearly rule, else 0.
    `until`: by the wall clock, inclusive. `week_start`: where the weeks of every other week begin.
    """

    frequency: Frequency
    interval: int = 1
    weekdays: tuple[int, ...] = ()
    nth: int = 0
    month_day: int = 0
    month: int = 0
    until: datetime | None = None
    count: int | None = None
    week_start: int = 0

    def __str__(self) -> str:
        """As it is stored: UNTIL by the wall clock."""
        return self._written(f"{self.until:%Y%m%dT%H%M%S}" if self.until else "")

    def text(self, timezone: str, all_day: bool) -> str:
        """As it is published: UNTIL is a DATE for all-day events, else in UTC (RFC 5545 3.3.10)."""
        if self.until is None:
            return self._written("")
        if all_day:
            return self._written(f"{self.until:%Y%m%d}")
        return self._written(f"{to_utc(self.until, timezone):%Y%m%dT%H%M%SZ}")

    def last_start(self, start: datetime) -> datetime | None:
        """The last date of a series that begins at `start`, exclusions aside; None when it goes on."""
        if self.until is None:
            last = _last_counted(self, start.date())
            return datetime.combine(last, start.time()) if last and last.year <= LAST_YEAR else None
        found: list[datetime] = []
        period = timedelta(days=_DAYS_OF[self.frequency] * self.interval)
        since = self.until
        while not found and since >= start:
            since, period = since - period, period * 2
            found = list(starts(self, start, after=max(since, start)))
        return found[-1] if found else start

    def _written(self, until: str) -> str:
        parts = [f"FREQ={self.frequency.upper()}"]
        if until:
            parts.append(f"UNTIL={until}")
        if self.count:
            parts.append(f"COUNT={self.count}")
        if self.interval > 1:
            parts.append(f"INTERVAL={self.interval}")
        if self.month:
            parts.append(f"BYMONTH={self.month}")
        if self.weekdays:
            parts.append("BYDAY=" + ",".join(f"{self.nth or ''}{DAYS[day]}" for day in self.weekdays))
        if self.month_day:
            parts.append(f"BYMONTHDAY={self.month_day}")
        if self.week_start:
            parts.append(f"WKST={DAYS[self.week_start]}")
        return ";".join(parts)


# ---------------------------------------------------------------- walking through the dates


def starts(
    rule: Rule | None,
    start: datetime,
    exdates: Collection[datetime] = (),
    after: datetime | None = None,
    before: datetime | None = None,
    limit: int | None = None,
) -> Iterator[datetime]:
    """Wall-clock starts of a series (or of a single event, `rule` None) with after <= start < before.

    COUNT counts excluded dates too, as RFC 5545 says. At most `limit` dates.
    """
    excluded = frozenset(exdates)
    found = _all_starts(rule, start, after)
    if before is not None:
        found = takewhile(lambda at: at < before, found)
    return islice((at for at in found if at not in excluded and (after is None or at >= after)), limit)


def next_dates(
    rule: Rule | None, start: datetime, exdates: Collection[datetime], after: datetime, n: int
) -> list[datetime]:
    """The next `n` starts from `after` on."""
    return list(starts(rule, start, exdates, after=after, limit=n))


def dates_among(rule: Rule | None, start: datetime, moments: Collection[datetime]) -> frozenset[datetime]:
    """Those of the wall-clock times at which the series has a date (excluded or not)."""
    return frozenset(at for at in moments if next(starts(rule, start, after=at, limit=1), None) == at)


def is_start(rule: Rule | None, start: datetime, at: datetime) -> bool:
    """Whether the series has a date at exactly this wall-clock time (excluded or not)."""
    return bool(dates_among(rule, start, [at]))


def counterpart(
    rule: Rule | None, start: datetime, old_start: datetime, original: datetime
) -> datetime | None:
    """The date of a changed series that takes the place of one it had when it began at `old_start`.

    The same day at the new hour, else as far along as the first date went (from Tuesdays to Wednesdays).
    """
    candidates = [datetime.combine(original.date(), start.time())]
    if abs(start - old_start) < timedelta(days=7):
        candidates.append(original + (start - old_start))
    return next((at for at in candidates if rule is not None and is_start(rule, start, at)), None)


def first_fit(rule: Rule, start: datetime) -> datetime | None:
    """The first date of the rule from `start` on: `start` itself when it fits; None when none ever comes."""
    return next(starts(replace(rule, count=None), start, limit=1), None)


def _all_starts(rule: Rule | None, start: datetime, after: datetime | None) -> Iterator[datetime]:
    """In order; leaves out the days before `after`, without walking through them."""
    if rule is None:
        yield start
        return
    last = _last_counted(rule, start.date()) or date.max
    since = start.date() if after is None else max(start.date(), after.date())
    for day in _days(rule, start.date(), since):
        at = datetime.combine(day, start.time())
        if day > last or (rule.until is not None and at > rule.until):
            return
        yield at


def _last_counted(rule: Rule, first: date) -> date | None:
    """The day of the last of COUNT dates; None when nothing is counted."""
    if rule.count is None:
        return None
    beyond = date(LAST_YEAR + 1, 1, 1)
    if rule.frequency is Frequency.DAILY:
        days = (rule.count - 1) * rule.interval
    elif rule.frequency is Frequency.WEEKLY:
        in_order, today = _places_in_week(rule), (first.weekday() - rule.week_start) % 7
        weeks, place = divmod(sum(day < today for day in in_order) + rule.count - 1, len(in_order))
        days = weeks * rule.interval * 7 + in_order[place] - today
    else:
        return next(islice(_days(rule, first, first), rule.count - 1, None), beyond)
    return first + timedelta(days=min(days, (beyond - first).days))


def _days(rule: Rule, first: date, since: date) -> Iterator[date]:
    """The rule's days from `since` (not before `first`) to the end of LAST_YEAR; beginning near `since`."""
    match rule.frequency:
        case Frequency.DAILY:
            days = _daily(rule, first, since)
        case Frequency.WEEKLY:
            days = _weekly(rule, first, since)
        case _:
            days = _monthly(rule, first, since)
    for day in days:
        if day.year > LAST_YEAR:
            return
        if day >= since:
            yield day


def _places_in_week(rule: Rule) -> list[int]:
    """The rule's weekdays, counted from where its weeks begin."""
    return sorted((day - rule.week_start) % 7 for day in rule.weekdays)


def _daily(rule: Rule, first: date, since: date) -> Iterator[date]:
    skipped = (since - first).days // rule.interval
    for number in counting(skipped):
        yield first + timedelta(days=number * rule.interval)


def _weekly(rule: Rule, first: date, since: date) -> Iterator[date]:
    week = first - timedelta(days=(first.weekday() - rule.week_start) % 7)
    in_order = _places_in_week(rule)
    skipped = (since - week).days // (7 * rule.interval)
    for number in counting(skipped):
        begin = week + timedelta(weeks=number * rule.interval)
        yield from (begin + timedelta(days=place) for place in in_order)


def _monthly(rule: Rule, first: date, since: date) -> Iterator[date]:
    """Monthly, and yearly as every twelfth month; months without such a day are left out."""
    step = rule.interval * (12 if rule.frequency is Frequency.YEARLY else 1)
    origin = first.year * 12 + (rule.month or first.month) - 1
    skipped = max(0, (since.year * 12 + since.month - 1 - origin) // step)
    for month in range(origin + skipped * step, (LAST_YEAR + 1) * 12, step):
        day = _day_of_month(rule, month // 12, month % 12 + 1)
        if day is not None:
            yield day


def _day_of_month(rule: Rule, year: int, month: int) -> date | None:
    last = date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
    if rule.nth == -1:
        return last - timedelta(days=(last.weekday() - rule.weekdays[0]) % 7)
    if rule.nth:
        first = date(year, month, 1)
        return first + timedelta(days=(rule.weekdays[0] - first.weekday()) % 7 + 7 * (rule.nth - 1))
    if rule.month_day == -1:
        return last
    return date(year, month, rule.month_day) if rule.month_day <= last.day else None


# ---------------------------------------------------------------- reading


def parse_rule(text: str, start: datetime, timezone: str, all_day: bool) -> Rule:
    """Reads an RRULE value, stored or from a file, for a series that begins at `start` (wall clock).

    What means the same becomes one rule: BYSETPOS=2;BYDAY=TU is BYDAY=2TU, a missing weekday or day of the
    month is the start's. Raises InvalidRule. Whether `start` is one of its dates is for `first_fit` to say.
    """
    parts = RuleText(text)
    rule = Rule(
        frequency=parts.frequency(),
        interval=parts.interval(),
        until=parts.until(timezone, all_day),
        count=parts.count(),
    )
    if parts.has("UNTIL") and parts.has("COUNT"):
        raise parts.wrong(say("The repetition has a number of dates and a last date. Give one of them."))
    if rule.until is not None and rule.until < start:
        raise parts.wrong(say("The repetition ends before the first date."))
    parts.drop_what_the_start_says(start)
    match rule.frequency:
        case Frequency.DAILY:
            return _read_daily(rule, parts)
        case Frequency.WEEKLY:
            return _read_weekly(rule, parts, start)
        case Frequency.MONTHLY:
            return _read_monthly(rule, parts, start)
        case _:
            return _read_yearly(rule, parts, start)


def _read_daily(rule: Rule, parts: RuleText) -> Rule:
    """Every day on given weekdays is weekly."""
    parts.allow("BYDAY")
    days = parts.weekdays()
    if not days:
        return rule
    if rule.interval > 1 or any(nth for nth, _ in days):
        raise parts.wrong(UNSHARED)
    return replace(rule, frequency=Frequency.WEEKLY, weekdays=_in_order(days))


def _read_weekly(rule: Rule, parts: RuleText, start: datetime) -> Rule:
    parts.allow("BYDAY", "WKST")
    days = parts.weekdays() or [(0, start.weekday())]
    if any(nth for nth, _ in days):
        raise parts.wrong(UNSHARED)
    weekdays = _in_order(days)
    matters = rule.interval > 1 and weekdays != (start.weekday(),)
    return replace(rule, weekdays=weekdays, week_start=parts.week_start() if matters else 0)


def _read_monthly(rule: Rule, parts: RuleText, start: datetime) -> Rule:
    parts.allow("BYDAY", "BYMONTHDAY", "BYSETPOS", "WKST")
    days = parts.weekdays()
    plain = days and not any(nth for nth, _ in days) and not parts.has("BYMONTHDAY", "BYSETPOS")
    if plain and rule.interval == 1:
        return replace(rule, frequency=Frequency.WEEKLY, weekdays=_in_order(days))
    return _in_month(rule, parts, start)


def _read_yearly(rule: Rule, parts: RuleText, start: datetime) -> Rule:
    """Without BYMONTH, BYMONTHDAY would mean every month of the year, which is hardly ever meant."""
    parts.allow("BYMONTH", "BYDAY", "BYMONTHDAY", "BYSETPOS", "WKST")
    if not parts.has("BYMONTH") and parts.has("BYDAY", "BYMONTHDAY"):
        raise parts.wrong(UNSHARED)
    month = parts.number("BYMONTH", 1, 12) or start.month
    return _in_month(replace(rule, month=month), parts, start)


def _in_month(rule: Rule, parts: RuleText, start: datetime) -> Rule:
    """One day of the month, or one weekday of it."""
    days, place = parts.weekdays(), parts.number("BYSETPOS", -1, 4)
    if not days:
        if place not in (None, 1, -1):
            raise parts.wrong(UNSHARED)
        return replace(rule, month_day=parts.number("BYMONTHDAY", -1, 31) or start.day)
    if len(days) > 1 or parts.has("BYMONTHDAY"):
        raise parts.wrong(UNSHARED)
    [(nth, weekday)] = days
    if nth and place not in (None, 1, -1):
        raise parts.wrong(UNSHARED)
    nth = nth or place or 0
    if nth not in (1, 2, 3, 4, -1):
        raise parts.wrong(UNSHARED)
    return replace(rule, nth=nth, weekdays=(weekday,))


def _in_order(days: list[tuple[int, int]]) -> tuple[int, ...]:
    return tuple(sorted({weekday for _, weekday in days}))
