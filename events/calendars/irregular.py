"""Series that calendar apps do not read alike, taken apart into events that they do.

Extra dates (RDATE), rules of other shapes than `recurrence` knows (the last working day of a month, BYWEEKNO, …) and
several rules at once: the dates become single events, related to the first. Rules are walked day by day up to a
limit, so that one that never happens costs no more than one that does.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import groupby

from ..errors import Message, say
from .ics_events import Notes, Times, as_original, original_start, read_times
from .ics_values import Unusable, Zones, moment
from .recurrence import dates_among, parse_rule
from .rule_text import UNSHARED, Frequency, InvalidRule, RuleText
from .scanning import Component, Property

MOST_DATES = 100  # of one irregular series
_OF_THE_SERIES = {"RRULE", "RDATE", "EXDATE", "EXRULE"}
_OF_THE_DATE = {"DTSTART", "DTEND", "DURATION", "RECURRENCE-ID"}
_TAKEN_APART = say(
    "Calendar apps read this repetition differently, so each of its dates is an event of its own."
)
_TAKEN_UNTIL = say("Only the dates until %(day)s were taken over.")
_TOO_MANY = say("It has more than %(most)d extra dates. The first ones are taken over.", most=MOST_DATES)


@dataclass(frozen=True, slots=True)
class Window:
    """Days, both included. Dates before it are over, those after it are taken with a later look."""

    since: date
    until: date


@dataclass(frozen=True, slots=True)
class Part:
    """An event, or one date of a series that was taken apart (`suffix` tells it from the others)."""

    component: Component
    changes: Sequence[Component]
    suffix: str = ""
    notes: tuple[Message, ...] = ()


def parts(component: Component, changes: Sequence[Component], zones: Zones, window: Window) -> list[Part]:
    """The event as it is, or what it is taken apart into: its first date and those in the window.

    Raises Unusable or InvalidRule.
    """
    extra = [item for item in component.all("RDATE") if item.value.strip()]
    rules = list(dict.fromkeys(item.value.strip().upper() for item in component.all("RRULE")))
    if not extra and len(rules) == 1:
        try:
            _parse(rules[0], component, zones)
        except InvalidRule as error:
            if error.message.text != UNSHARED.text:
                raise
        else:
            return [Part(component, changes)]
    if not extra and not rules:
        return [Part(component, changes)]
    return _Series(component, changes, zones, window).taken_apart(rules, extra)


def _parse(rule: str, component: Component, zones: Zones) -> None:
    times = read_times(component, zones, Notes(), None)
    zone = times.start.zone or "UTC"
    parse_rule(rule, times.start.wall, zone, times.start.is_day)


class _Series:
    def __init__(
        self, component: Component, changes: Sequence[Component], zones: Zones, window: Window
    ) -> None:
        self._main, self._zones, self._window = component, zones, window
        self._times = read_times(component, zones, Notes(), None)
        start = self._times.start
        self._changes = {original_start(item, start, zones): item for item in changes}

    def taken_apart(self, rules: Sequence[str], extra: Sequence[Property]) -> list[Part]:
        start = self._times.start.wall
        skipped = set(self._dates(self._main.all("EXDATE")))
        more = sorted(set(self._dates(extra)) - skipped)
        try:
            rule = self._regular(rules)
        except InvalidRule as error:
            if error.message.text != UNSHARED.text:
                raise
            by_rules = {at for each in rules for at in self._by_rule(each)}
            return self._singles(sorted({start, *by_rules, *more} - skipped))
        if rule is None:
            return self._singles(sorted({start, *more} - skipped), at_once=True)
        own = dates_among(parse_rule(rule, start, self._zone, self._is_day), start, more)
        apart = {at for at in more if at not in own}
        singles = [self._single(at) for at in sorted(apart) if at.date() >= self._window.since][:MOST_DATES]
        changes = [item for at, item in self._changes.items() if at not in apart]
        notes = (_TOO_MANY,) if len(apart) > MOST_DATES else ()
        return [Part(_without(self._main, {"RDATE"}), changes, notes=notes), *singles]

    @property
    def _zone(self) -> str:
        return self._times.start.zone or "UTC"

    @property
    def _is_day(self) -> bool:
        return self._times.start.is_day

    def _regular(self, rules: Sequence[str]) -> str | None:
        """The one rule that all apps share, if there is one. Raises InvalidRule for others."""
        if len(rules) > 1:
            raise InvalidRule(UNSHARED)
        for rule in rules:
            parse_rule(rule, self._times.start.wall, self._zone, self._is_day)
        return rules[0] if rules else None

    def _by_rule(self, rule: str) -> list[datetime]:
        return dates(rule, self._times.start.wall, self._zone, self._is_day, self._window.until)

    def _dates(self, properties: Sequence[Property]) -> list[datetime]:
        """Of a period (RFC 5545 3.3.9) the beginning counts; its length is that of the series."""
        start = self._times.start
        values = ((item, value.partition("/")[0]) for item in properties for value in item.value.split(","))
        found = (moment(item, value, self._zones, start.zone) for item, value in values if value)
        return [as_original(at, start) for at in found]

    def _singles(self, found: Sequence[datetime], *, at_once: bool = False) -> list[Part]:
        """The first always, because the others are related to it. `at_once`: all were listed, none comes later."""
        if not found:
            raise Unusable(say("Every date of the series is left out."))
        shown = [at for at in found[1:] if at.date() >= self._window.since]
        kept = [found[0], *shown[: MOST_DATES - 1]]
        told = [_TAKEN_APART]
        if not at_once or len(shown) >= MOST_DATES:
            told.append(Message(_TAKEN_UNTIL.text, {"day": kept[-1].date()}))
        first, *others = map(self._single, kept)
        return [replace(first, suffix="", notes=tuple(told)), *others]

    def _single(self, at: datetime) -> Part:
        change = self._changes.get(at)
        own = [] if change is None else [item for item in change.properties if item.name != "RECURRENCE-ID"]
        if not any(item.name == "DTSTART" for item in own):
            own = [*(item for item in own if item.name not in _OF_THE_DATE), *self._when(self._times, at)]
        names = {item.name for item in own} | _OF_THE_SERIES | _OF_THE_DATE
        kept = [item for item in self._main.properties if item.name not in names]
        if not {"DTEND", "DURATION"} & {item.name for item in own}:
            kept += self._length(own)
        place = change.place if change else self._main.place
        return Part(Component("VEVENT", place, [*own, *kept]), (), f"{at:%Y%m%dT%H%M%S}")

    def _length(self, own: Sequence[Property]) -> list[Property]:
        """Of a changed date that does not say how long it is: as long as the others."""
        seconds = int(self._times.length.total_seconds())
        days = f"P{seconds // 86400}D" if self._is_day else f"PT{seconds}S"
        return [Property("DURATION", {}, days, item.line) for item in own if item.name == "DTSTART"]

    def _when(self, times: Times, at: datetime) -> list[Property]:
        begin = self._main.get("DTSTART")
        parameters, line = (begin.parameters, begin.line) if begin else ({}, 0)
        written = "%Y%m%d" if times.start.is_day else "%Y%m%dT%H%M%S"
        utc = "Z" if begin is not None and begin.value.strip().upper().endswith("Z") else ""
        moments = (("DTSTART", at), ("DTEND", at + times.length))
        return [Property(name, parameters, f"{when:{written}}{utc}", line) for name, when in moments]


def _without(component: Component, names: set[str]) -> Component:
    return replace(component, properties=[item for item in component.properties if item.name not in names])


# ---------------------------------------------------------------- rules of any shape, day by day


def dates(text: str, start: datetime, timezone: str, all_day: bool, until: date) -> list[datetime]:
    """The dates of any RRULE of whole days from `start` to `until`, both included (RFC 5545 3.3.10)."""
    parts_ = RuleText(text)
    frequency, interval, count = parts_.frequency(), parts_.interval(), parts_.count()
    end = parts_.until(timezone, all_day)
    parts_.drop_what_the_start_says(start)
    fits, places = _fitting(parts_, frequency, start), parts_.numbers("BYSETPOS", 366)
    period = _period(frequency, parts_.week_start())
    first = period(start.date())
    found: list[datetime] = []
    for number, group in groupby(_days(start.date(), until), key=period):
        if (number - first) % interval:
            continue
        days = [day for day in group if fits(day)]
        days = sorted({days[_index(place)] for place in places if _is_in(place, days)}) if places else days
        found += [at for day in days if (at := datetime.combine(day, start.time())) >= start]
    return [at for at in found[:count] if (end is None or at <= end) and at.date() <= until]


def _days(start: date, until: date) -> Iterator[date]:
    """From the beginning of the year, so that every period is whole, to the end of the last one."""
    day = date(start.year - 1, 12, 25)
    while day <= until + timedelta(days=366):
        yield day
        day += timedelta(days=1)


def _index(place: int) -> int:
    return place - 1 if place > 0 else place


def _is_in(place: int, days: Sequence[date]) -> bool:
    return abs(place) <= len(days)


def _period(frequency: Frequency, week_start: int) -> Callable[[date], int]:
    match frequency:
        case Frequency.DAILY:
            return date.toordinal
        case Frequency.WEEKLY:
            return lambda day: (day.toordinal() - 1 - week_start) // 7
        case Frequency.MONTHLY:
            return lambda day: day.year * 12 + day.month
    return lambda day: day.year


def _fitting(parts_: RuleText, frequency: Frequency, start: datetime) -> Callable[[date], bool]:
    """Whether a day is one that the BY parts name; where they say nothing, the start does."""
    months, month_days = parts_.numbers("BYMONTH", 12), parts_.numbers("BYMONTHDAY", 31)
    year_days, weeks = parts_.numbers("BYYEARDAY", 366), parts_.numbers("BYWEEKNO", 53)
    weekdays = parts_.weekdays()
    if not (weekdays or month_days or year_days):
        if frequency is Frequency.WEEKLY or weeks:
            weekdays = [(0, start.weekday())]
        elif frequency is not Frequency.DAILY:
            month_days = [start.day]
            months = months or ([start.month] if frequency is Frequency.YEARLY else [])
    in_month = frequency is Frequency.MONTHLY or bool(months)

    def fits(day: date) -> bool:
        return (
            (not months or day.month in months)
            and (not month_days or not {day.day, day.day - _after_month(day)}.isdisjoint(month_days))
            and (not year_days or not {_of_year(day), _of_year(day) - _length(day) - 1}.isdisjoint(year_days))
            and (not weeks or not {day.isocalendar().week, _week_from_end(day)}.isdisjoint(weeks))
            and (not weekdays or any(_is_nth(day, nth, weekday, in_month) for nth, weekday in weekdays))
        )

    return fits


def _after_month(day: date) -> int:
    """One more than the days of its month, so that the last day becomes -1."""
    following = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    return (following - date(day.year, day.month, 1)).days + 1


def _of_year(day: date) -> int:
    return day.timetuple().tm_yday


def _length(day: date) -> int:
    return (date(day.year + 1, 1, 1) - date(day.year, 1, 1)).days


def _week_from_end(day: date) -> int:
    return day.isocalendar().week - date(day.isocalendar().year, 12, 28).isocalendar().week - 1


def _is_nth(day: date, nth: int, weekday: int, in_month: bool) -> bool:
    """The nth such weekday of its month, or of its year; 0 for any."""
    if day.weekday() != weekday or nth == 0:
        return day.weekday() == weekday
    place, size = (day.day, _after_month(day) - 1) if in_month else (_of_year(day), _length(day))
    return nth == ((place - 1) // 7 + 1 if nth > 0 else -((size - place) // 7 + 1))
