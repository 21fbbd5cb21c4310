"""Time zones from the installed tzdata package: wall clock to UTC, and VTIMEZONE text.

The operating system's zone files are never read: they are often years older than the package, and two
machines would publish different hours. The zones here are opened from the package itself, so nothing
depends on PYTHONTZPATH or on who called `zoneinfo` first.
"""

from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from importlib.metadata import version
from itertools import count, groupby
from zoneinfo import ZoneInfo

from ..drafts import zone_info, zone_names
from ..errors import BranchlineError, say

# The step in which offsets are compared. No zone has changed back within a week since 1970.
_STEP = timedelta(days=7)
_SCAN_FROM, _SCAN_TO = datetime(1970, 1, 1, tzinfo=UTC), datetime(2066, 1, 1, tzinfo=UTC)
# Dates and weekdays repeat after 28 years, so these show each date that a yearly rule can fall on.
# They begin where the tables of tzdata have ended and its rules for ever apply.
_RULE_YEARS = range(2038, 2066)
# Zones whose changes follow the moon (Morocco) have no rule; their onsets are listed up to here.
_LAST_LISTED = 2040
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


class UnknownZone(BranchlineError):
    """A name that is no IANA time zone."""

    def __init__(self, name: str) -> None:
        super().__init__(say("There is no time zone called %(name)s.", name=name))
        self.name = name


@cache
def rules_version() -> str:
    """Of the tzdata package: what is derived from the wall clock holds for this one."""
    return version("tzdata")


@cache
def zone(key: str) -> ZoneInfo:
    """The zone as tzdata has it, one object for each key. Raises UnknownZone."""
    if key not in zone_names():
        raise UnknownZone(key)
    return zone_info(key)


def to_utc(wall: datetime, key: str) -> datetime:
    """The moment (aware, UTC) at which the clocks of the zone show `wall`.

    Skipped by a clock change: read with the offset before it (RFC 5545 3.3.5). Shown twice: the first time.
    """
    return wall.replace(tzinfo=zone(key), fold=0).astimezone(UTC)


def to_wall(moment: datetime, key: str) -> datetime:
    """What the clocks of the zone show at an aware moment, as a naive datetime."""
    return moment.astimezone(zone(key)).replace(tzinfo=None, fold=0)


def in_clock_change(wall: datetime, key: str) -> bool:
    """Whether the zone's clocks skip `wall` or show it twice: no two calendar apps agree on such a start."""
    local = wall.replace(tzinfo=zone(key), fold=0)
    return local.utcoffset() != local.replace(fold=1).utcoffset()


@lru_cache(maxsize=64)
def clock_changes(key: str) -> tuple[tuple[datetime, datetime], ...]:
    """The spans (from, until) by the wall clock that the zone's clocks skip or show twice, 1970 to 2065."""
    spans = ((change.onset, change.onset + change.after - change.before) for change in _changes(key))
    return tuple((min(span), max(span)) for span in spans)


# ---------------------------------------------------------------- VTIMEZONE


@dataclass(frozen=True, slots=True)
class _Change:
    """One change of offset. `onset` is on the clock as it was before the change (RFC 5545 3.6.5)."""

    onset: datetime
    before: timedelta
    after: timedelta
    name: str


@dataclass(frozen=True, slots=True)
class _Rule:
    """Changes that come every year, on one weekday, within `days` of `month` (at most seven)."""

    month: int
    days: tuple[int, ...]
    weekday: int
    clock: time
    before: timedelta
    after: timedelta
    name: str

    def explains(self, change: _Change) -> bool:
        at = change.onset
        return (at.month, at.weekday(), at.time()) == (self.month, self.weekday, self.clock) and (
            at.day in self.days and (change.before, change.after) == (self.before, self.after)
        )

    def text(self) -> str:
        """BYDAY always: Outlook and others cannot read a rule without it."""
        day, last = _DAYS[self.weekday], self.days[-1]
        head = f"FREQ=YEARLY;BYMONTH={self.month};BYDAY="
        if len(self.days) == 7 and last == monthrange(2001, self.month)[1]:
            return f"{head}-1{day}"
        if len(self.days) == 7 and last % 7 == 0:
            return f"{head}{last // 7}{day}"
        return f"{head}{day};BYMONTHDAY={','.join(map(str, self.days))}"


def vtimezone(key: str, first: date) -> str:
    """A VTIMEZONE (CRLF lines) that is right from the start of `first`'s year on, and ends with its rules.

    Only the year counts, and for most zones not even that, so feeds share the text and their bytes stay.
    """
    return _vtimezone(key, first.year)


@lru_cache(maxsize=2048)
def _vtimezone(key: str, year: int) -> str:
    changes, rules = _changes(key), _rules(key)
    regular = _first_regular(changes, rules)
    needed = sum(change.onset < datetime(year, 1, 1) for change in changes) - 1
    lines = ["BEGIN:VTIMEZONE", f"TZID:{key}"]
    if needed < 0:
        lines += _initial(key, changes)
    lines += _listed(key, changes[:regular], max(needed, 0), is_final=regular == len(changes))
    lines += _ruled(changes[regular:], rules)
    return "\r\n".join([*lines, "END:VTIMEZONE", ""])


@lru_cache(maxsize=64)
def _changes(key: str) -> tuple[_Change, ...]:
    """Every change of the zone's offset within the scan, in order."""
    tz, found = zone(key), []
    at = _SCAN_FROM
    while at < _SCAN_TO:
        until = at + _STEP
        if at.astimezone(tz).utcoffset() != until.astimezone(tz).utcoffset():
            found.append(_change_between(tz, at, until))
        at = until
    return tuple(found)


def _change_between(tz: ZoneInfo, early: datetime, late: datetime) -> _Change:
    """Finds the second of the one change between two UTC moments by halving."""
    before, after = _offset(tz, early), _offset(tz, late)
    while late - early > timedelta(seconds=1):
        middle = early + (late - early) // 2
        middle = middle.replace(microsecond=0)
        if _offset(tz, middle) == before:
            early = middle
        else:
            late = middle
    return _Change(late.replace(tzinfo=None) + before, before, after, late.astimezone(tz).tzname() or "")


def _offset(tz: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(tz).utcoffset() or timedelta(0)


def _rules(key: str) -> tuple[_Rule, ...]:
    """The rules the zone follows for ever, or none when it has no changes or irregular ones."""
    years: dict[tuple[timedelta, timedelta], list[_Change]] = defaultdict(list)
    for change in _changes(key):
        if change.onset.year in _RULE_YEARS:
            years[change.before, change.after].append(change)
    rules: list[_Rule] = []
    for same in years.values():
        if len(same) != len(_RULE_YEARS) or len({(c.onset.weekday(), c.onset.time()) for c in same}) > 1:
            return ()
        rules += _rules_of_months(same)
    return tuple(rules)


def _rules_of_months(same: Sequence[_Change]) -> Iterator[_Rule]:
    """One rule, or two where the seven days go over the end of a month (Cairo: 26 October to 1 November)."""
    days: dict[int, set[int]] = defaultdict(set)
    for change in same:
        days[change.onset.month].add(change.onset.day)
    one = same[0]
    for month in sorted(days):
        window = tuple(sorted(days[month]))
        yield _Rule(month, window, one.onset.weekday(), one.onset.time(), one.before, one.after, one.name)


def _first_regular(changes: Sequence[_Change], rules: Sequence[_Rule]) -> int:
    """Where in the changes the rules begin to tell everything: from here on, nothing differs or is left out.

    (Cuba's rules are old, but it does not change its clocks between March 2026 and November 2027.)
    """
    ways, irregular = {(rule.before, rule.after) for rule in rules}, len(changes)
    years = groupby(reversed(changes), key=lambda change: change.onset.year)
    for expected, (year, group) in zip(count(_SCAN_TO.year - 1, -1), years, strict=False):
        same_year = list(group)
        told = all(any(rule.explains(change) for rule in rules) for change in same_year)
        if year != expected or not told or {(c.before, c.after) for c in same_year} != ways:
            break
        irregular -= len(same_year)
    return irregular


def _initial(key: str, changes: Sequence[_Change]) -> list[str]:
    """The offset in force when the scan begins."""
    start = _SCAN_FROM.astimezone(zone(key))
    offset = start.utcoffset() or timedelta(0)
    name = start.tzname() if changes else _final_name(key)
    return _observance("STANDARD", _Change(datetime(1970, 1, 1), offset, offset, name or ""), "")


def _listed(key: str, changes: Sequence[_Change], first: int, is_final: bool) -> Iterator[str]:
    """Changes that no rule explains, one observance each (ical.js reads only the first of a list of RDATEs).

    The last one is for ever when nothing follows it: standard time then, by the name that is used today.
    """
    for number, change in enumerate(changes[first:], first + 1):
        if change.onset.year > _LAST_LISTED:
            return
        if is_final and number == len(changes):
            yield from _observance("STANDARD", replace(change, name=_final_name(key)), "")
        else:
            yield from _observance(_kind(change), change, "")


def _ruled(changes: Sequence[_Change], rules: Sequence[_Rule]) -> Iterator[str]:
    for rule in rules:
        first = next(change for change in changes if rule.explains(change))
        yield from _observance(_kind(first), replace(first, name=rule.name), rule.text())


def _kind(change: _Change) -> str:
    return "DAYLIGHT" if change.after > change.before else "STANDARD"


def _final_name(key: str) -> str:
    return _SCAN_TO.astimezone(zone(key)).tzname() or ""


def _observance(kind: str, change: _Change, rule: str) -> list[str]:
    lines = [f"BEGIN:{kind}", f"DTSTART:{change.onset:%Y%m%dT%H%M%S}"]
    if rule:
        lines.append(f"RRULE:{rule}")
    lines += [f"TZOFFSETFROM:{_written(change.before)}", f"TZOFFSETTO:{_written(change.after)}"]
    return [*lines, f"TZNAME:{change.name}", f"END:{kind}"]


def _written(offset: timedelta) -> str:
    seconds = round(abs(offset).total_seconds())
    sign = "-" if offset < timedelta(0) else "+"
    text = f"{sign}{seconds // 3600:02d}{seconds % 3600 // 60:02d}"
    return text + (f"{seconds % 60:02d}" if seconds % 60 else "")
