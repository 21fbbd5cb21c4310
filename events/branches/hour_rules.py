"""Opening hours as text: the subset of OpenStreetMap's syntax that we understand, and can say in words.

https://wiki.openstreetmap.org/wiki/Key:opening_hours/specification, without what no calendar of ours can tell (sunset,
`10:00+`, `PH Mo-Fr`) and what means nothing certain (`Jun 31`, `10:00-10:00`, `Dec 26-24`). Missing spaces, small
letters and dashes for hyphens are understood.
"""

import re
from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

MOST_CHARACTERS = 1000
MOST_RULES = 40
CACHED = 2048
MIDNIGHT = 24 * 60

WEEKDAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
HOLIDAYS = ("PH", "SH")  # public ones, and those of schools


class State(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    UNKNOWN = "unknown"  # with a comment: it depends, as in "by appointment"


@dataclass(frozen=True, slots=True, order=True)
class Date:
    """0 as a year: every year; as a day: the whole month."""

    year: int
    month: int
    day: int

    def __str__(self) -> str:
        year, day = f"{self.year} " if self.year else "", f" {self.day}" if self.day else ""
        return f"{year}{MONTHS[self.month - 1]}{day}"


@dataclass(frozen=True, slots=True)
class Dates:
    first: Date
    last: Date

    def __str__(self) -> str:
        return f"{self.first}-{self.last}" if self.last != self.first else str(self.first)


@dataclass(frozen=True, slots=True)
class Days:
    """Weekdays, 0 is Monday; with `nth` one weekday: the first of the month, the last (-1)."""

    first: int
    last: int
    nth: tuple[int, ...] = ()

    def __str__(self) -> str:
        if self.nth:
            return f"{WEEKDAYS[self.first]}[{','.join(map(str, self.nth))}]"
        return WEEKDAYS[self.first] + (f"-{WEEKDAYS[self.last]}" if self.last != self.first else "")


@dataclass(frozen=True, slots=True)
class Rule:
    """`times` in minutes after midnight, above MIDNIGHT on the day after; none of them is the whole day."""

    link: str  # `;` replaces what was said before of the same days, `,` adds to it, `||` is for when all is closed
    dates: tuple[Dates, ...]
    weeks: str
    days: tuple[Days, ...]
    holidays: tuple[str, ...]
    times: tuple[tuple[int, int], ...]
    state: State
    comment: str

    @property
    def depends_always(self) -> bool:
        """`"by appointment"` and nothing else."""
        selectors = self.dates or self.weeks or self.days or self.holidays or self.times
        return self.state is State.UNKNOWN and not selectors

    @property
    def is_exception(self) -> bool:
        """It does not say when the branch is open on an ordinary day."""
        return self.state is State.CLOSED or (bool(self.holidays) and not self.days)

    @property
    def goes_past_midnight(self) -> bool:
        return any(end > MIDNIGHT for _, end in self.times)

    def written(self, comment: str) -> str:
        """As the library reads it, until midnight; `comment` for ours: what people write stays out of native code."""
        times = ((start, min(end, MIDNIGHT)) for start, end in self.times)
        return self._written(times, self.state, comment)

    def written_past_midnight(self, comment: str) -> str:
        """What is left of its days when the next ones have begun, on the clock of those; nothing when that is nothing.

        To the library, as to the specification, a rule for Saturday ends a Friday's `17:00-01:00` at midnight. No
        branch means that, and no reader would guess it.
        """
        if self.goes_past_midnight:
            return self._written(
                ((0, end - MIDNIGHT) for _, end in self.times if end > MIDNIGHT), self.state, comment
            )
        clears = not self.times if self.state is State.CLOSED else self.link != ","
        return self._written((), State.CLOSED, "") if clears else ""

    def _written(self, times: Iterable[tuple[int, int]], state: State, comment: str) -> str:
        days = ",".join([*self.holidays, *map(str, self.days)])
        spans = ",".join(f"{_clock(start)}-{_clock(end)}" for start, end in times)
        when = " ".join(filter(None, (",".join(map(str, self.dates)), self.weeks, days, spans))) or "24/7"
        return f"{when} {state}" + (f' "{comment}"' if comment and self.comment else "")


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


# ---------------------------------------------------------------- reading


@dataclass(frozen=True, slots=True)
class Part:
    """What stands between two semicolons, as it was written; without rules where it is not understood."""

    text: str
    rules: tuple[Rule, ...]


class Puzzling(ValueError):
    """Has the form of a rule and no meaning to rely on."""


def _several(pattern: str, more: str = "") -> str:
    return f"(?:{pattern}(?: ?, ?(?:{pattern}{more}))*)"


_TIMES = r"\d{1,2}:\d\d ?[-–] ?\d{1,2}:\d\d"
_WEEKDAY = f"(?:{'|'.join(WEEKDAYS)})"
_DAYS = rf"(?:{'|'.join(HOLIDAYS)}|{_WEEKDAY}(?: ?[-–] ?{_WEEKDAY}|\[[-\d, ]{{1,20}}\])?)"
_DAY = r"\d{1,2}(?![\d:])"
_DATE = rf"(?:\d{{4}} ?)?(?:{'|'.join(MONTHS)})(?: ?{_DAY})?"
_DATES = rf"{_DATE}(?: ?[-–] ?(?:{_DATE}|{_DAY}))?"
_WEEKS = r"\d{1,2}(?:-\d{1,2}(?:/\d{1,2})?)?"
_RULE = re.compile(
    rf"(?:(?P<always>24/7)|(?P<dates>{_several(_DATES, f'|{_DAY}')})?(?::? ?week ?(?P<weeks>{_several(_WEEKS)}))?"
    rf":? ?(?P<days>{_several(_DAYS)})?:? ?(?P<times>{_several(_TIMES)})?)"
    r" ?(?P<state>open|closed|off|unknown)? ?(?:\"(?P<comment>[^\"]*)\")?",
    re.IGNORECASE | re.ASCII,
)
_LINK = re.compile(r" ?(,|\|\|) ?")
_PART = re.compile(r"(?:\"[^\"]*\"|[^;])+")
_ELEMENT = re.compile(r"(?:\[[^\]]*\]|[^,\[])+")  # between commas, but for those of `Tu[1,3]`
_SIDE = re.compile(r"(?:(?P<year>\d{4}) ?)?(?P<month>[a-z]{3})? ?(?P<day>\d{1,2})?", re.IGNORECASE | re.ASCII)


@lru_cache(maxsize=CACHED)
def read(text: str) -> tuple[Part, ...]:
    """The parts of the text, each with its rules where it is within the subset that we understand."""
    if len(text) > MOST_CHARACTERS:
        return (Part(text, ()),)
    pieces = filter(None, map(str.strip, _PART.findall(" ".join(text.split()))))
    parts: list[Part] = []
    understood: list[Rule] = []
    for piece in pieces:
        rules = _rules(piece, is_first=not parts)
        # Of a rule after a fallback nobody can say whether it would win over what stands before.
        after_fallback = bool(understood) and understood[-1].link == "||"
        if after_fallback or len(understood) + len(rules) > MOST_RULES:
            rules = ()
        parts.append(Part(piece, rules))
        understood += rules
    return tuple(parts)


def _rules(piece: str, is_first: bool) -> tuple[Rule, ...]:
    """Nothing when a part of the piece is not understood."""
    rules: list[Rule] = []
    link, place = ";", 0
    try:
        while match := _RULE.match(piece, place):
            rule = _rule(match, link)
            if rule.depends_always and (rules or not is_first):
                rule = replace(
                    rule, link="||"
                )  # who adds "by appointment" does not mean to take the hours back
            rules.append(rule)
            if match.end() == len(piece):
                return tuple(rules)
            following = _LINK.match(piece, match.end())
            if following is None or (rule.link == "||" and following[1] == ","):
                return ()
            link, place = following[1], following.end()
    except Puzzling:
        return ()
    return ()


def _rule(match: re.Match[str], link: str) -> Rule:
    said = {name: (value or "").strip().replace("–", "-") for name, value in match.groupdict().items()}
    if not any(said.values()):
        raise Puzzling
    days = [day.title() for day in _elements(said["days"])]
    comment = (match["comment"] or "").strip()
    word = said["state"].lower().replace("off", "closed")
    rule = Rule(
        link=link,
        dates=_dates(said["dates"]),
        weeks=_weeks(said["weeks"]),
        days=tuple(_days(day) for day in days if day.upper() not in HOLIDAYS),
        holidays=tuple(day.upper() for day in days if day.upper() in HOLIDAYS),
        times=tuple(_times(span) for span in _elements(said["times"])),
        # A comment alone is "it depends" in the specification; the library takes it for open.
        state=State(word or (State.UNKNOWN if comment else State.OPEN)),
        comment=comment,
    )
    if rule.state is State.CLOSED and rule.goes_past_midnight:
        raise Puzzling
    return rule


def _elements(text: str) -> list[str]:
    return [element.strip() for element in _ELEMENT.findall(text)]


def _dates(text: str) -> tuple[Dates, ...]:
    found: list[Dates] = []
    for element in _elements(text):
        first, _, last = element.partition("-")
        start = _date(first, found[-1].last if found else None)
        found.append(_until(start, _date(last, start)) if last else Dates(start, start))
    return tuple(found)


def _date(text: str, before: Date | None) -> Date:
    """A day without a month (`Dec 24-26`) is in the month of the one before."""
    match = _SIDE.fullmatch(text.strip())
    if match is None:
        raise Puzzling
    day = int(match["day"] or 0)
    if match["month"]:
        found = Date(int(match["year"] or 0), MONTHS.index(match["month"].title()) + 1, day)
    elif before is not None and before.day:
        found = replace(before, day=day)
    else:
        raise Puzzling
    longest = monthrange(found.year or 2000, found.month)[1]
    if (match["day"] and not 1 <= day <= longest) or 0 < found.year < 1900:
        raise Puzzling
    return found


def _until(start: Date, end: Date) -> Dates:
    """From day to day or from month to month; over New Year where that must be meant."""
    if start.year and not end.year:
        end = replace(end, year=start.year)
        end = end if start <= end else replace(end, year=start.year + 1)
    alike = bool(start.day) == bool(end.day) and bool(start.year) == bool(end.year)
    in_order = start <= end or (not start.year and start.month != end.month)
    if not alike or not in_order or (start.year and not start.day):
        raise Puzzling
    return Dates(start, end)


def _weeks(text: str) -> str:
    for element in _elements(text):
        first, *more = map(int, re.findall(r"\d+", element))
        last, step = (*more, *(first, 1)[len(more) :])
        if not 1 <= first <= last <= 53 or step < 1:
            raise Puzzling
    return f"week {','.join(_elements(text))}" if text else ""


def _days(text: str) -> Days:
    first = WEEKDAYS.index(text[:2])
    if "[" not in text:
        return Days(first, WEEKDAYS.index(text[-2:]))
    return Days(first, first, tuple(number for element in text[3:-1].split(",") for number in _nth(element)))


def _nth(text: str) -> tuple[int, ...]:
    """`1`, `-1` or `1-3`."""
    match = re.fullmatch(r" ?(?:([1-5])-([1-5])|(-?[1-5])) ?", text)
    if match is None or (match[1] and match[1] > match[2]):
        raise Puzzling
    return tuple(range(int(match[1]), int(match[2]) + 1)) if match[1] else (int(match[3]),)


def _times(text: str) -> tuple[int, int]:
    hour, minute, last_hour, last_minute = map(int, re.findall(r"\d+", text))
    start, end = hour * 60 + minute, last_hour * 60 + last_minute
    if end < start:
        end += MIDNIGHT
    if hour > 23 or max(minute, last_minute) > 59 or not start < end <= start + MIDNIGHT:
        raise Puzzling  # 10:00-10:00 is nothing to some, and a whole day to others
    return start, end
