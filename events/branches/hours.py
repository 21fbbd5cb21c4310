"""Whether a branch is open, by its rules and in its zone. Unknown is not closed.

The library that evaluates the rules takes almost anything and is quietly wrong about some of it: June 31 is every
day to it, `PH Mo-Fr` every weekday, the sun sets at 19:00 everywhere. It can take seconds to find the next change
of a rare rule, and nothing stops native code. So it sees only rules that we understood and wrote again ourselves,
and is never asked further ahead than is promised. It knows the clock on the wall; which moment that is, is decided
here, by the zones of the tzdata package.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from zoneinfo import ZoneInfo

import opening_hours

from ..drafts import zone_info, zone_names
from ..errors import Message, say
from .hour_rules import CACHED, Rule, State, read
from .models import Branch

HORIZON = timedelta(days=14)
SMALL_HOURS = timedelta(hours=6)  # what ends before six still belongs to the evening before
DAY = timedelta(days=1)
EXAMPLE = "We 17:00-21:00; Sa 10:00-14:00"

# Raised for a country whose holidays the library does not have; its stubs leave it out.
_NoCalendar: type[Exception] = vars(opening_hours)["UnknownCountryError"]


def unreadable(text: str) -> Message | None:
    """What to tell whoever types hours that we cannot evaluate."""
    for part in read(text):
        if not part.rules:
            return say(
                "“%(typed)s” is not understood as opening hours. Write them like %(example)s.",
                typed=part.text[:80],
                example=EXAMPLE,
            )
    return None


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` until before `end`, aware, in the branch's zone."""

    start: datetime
    end: datetime
    state: State
    comment: str

    @property
    def depends(self) -> bool:
        return self.state is State.UNKNOWN and bool(self.comment)


@dataclass(frozen=True, slots=True)
class Opening:
    """How it is at a moment. Nothing further away than HORIZON is told: rules are changed before that."""

    state: State
    comment: str
    until: datetime | None
    next: Span | None  # the next that is not closed, nor unknown without a comment
    may_differ: bool  # on holidays: the rules speak of them, and no calendar has all of them


@dataclass(frozen=True, slots=True)
class Day:
    """A calendar day of the branch, with what is not plainly closed on it: no spans is closed all day.

    What goes on into the small hours stays with the day it began on; what is longer is cut at midnight.
    """

    day: date
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """Rules as the library has them; `later`: their days are over, this is what goes on past midnight."""

    rules: opening_hours.OpeningHours
    later: timedelta


@dataclass(frozen=True, slots=True, eq=False)
class Hours:
    """`of` gives the same one for the same text, so what is asked of it can be kept."""

    zone: ZoneInfo
    layers: tuple[Layer, ...]  # each holds where those before it are closed
    comments: tuple[str, ...]
    may_differ: bool
    _told: list[tuple[datetime, datetime, Opening]] = field(default_factory=list, repr=False)  # one, if any

    @staticmethod
    def of(text: str, timezone: str, country: str = "") -> "Hours | None":
        """None when they are not given or not understood. `country` (ISO 3166-1) brings its public holidays."""
        return _hours(text, timezone, country)

    def at(self, now: datetime) -> Opening:
        moment = now.astimezone(UTC)
        for since, until, told in self._told:
            if since <= moment < until:
                return told
        opening, is_whole = self._at(moment)
        if is_whole and opening.until:  # at every moment until then the same would be found
            self._told[:] = [(moment, opening.until.astimezone(UTC), opening)]
        return opening

    def _at(self, moment: datetime) -> tuple[Opening, bool]:
        """And whether no more would be known of it if one looked further ahead. `moment` is UTC: times in one zone are
        compared by the wall clock, which shows an hour twice.
        """
        wall = moment.astimezone(self.zone).replace(tzinfo=None, fold=0)
        # Of such an hour the first is meant: in the second, what ended in it is over.
        spans = (span for span in self._spans(wall, wall + HORIZON) if span.end > moment)
        current, horizon = next(spans), _moment(wall + HORIZON, self.zone)
        following = next((span for span in spans if span.state is State.OPEN or span.depends), None)
        opening = Opening(
            state=current.state,
            comment=current.comment,
            until=current.end if current.end < horizon else None,
            next=following,
            may_differ=self.may_differ,
        )
        return opening, following is not None and following.end < horizon

    @lru_cache(maxsize=CACHED)  # noqa: B019 (of hours that are kept themselves)
    def days(self, first: date, count: int) -> Sequence[Day]:
        found: dict[date, list[Span]] = defaultdict(list)
        midnight = datetime.combine(first, time())
        for whole in self._spans(midnight - DAY, midnight + (count + 1) * DAY):
            if whole.state is not State.CLOSED or whole.comment:
                for span in self._by_day(whole):
                    found[span.start.date()].append(span)
        days = (first + number * DAY for number in range(count))
        return tuple(Day(day, tuple(found[day])) for day in days)

    def _spans(self, start: datetime, end: datetime) -> Iterator[Span]:
        """Between two times of the wall clock, without gaps; lazily, for the first two usually suffice."""
        moments = (
            (first, last, said)
            for wall, until, *said in _on_the_wall(self.layers, start, end)
            if (first := _moment(wall, self.zone)) < (last := _moment(until, self.zone))
        )
        for (state, numbers), group in groupby(moments, itemgetter(2)):
            stretch = list(group)
            comment = ", ".join(self.comments[int(number)] for number in re.findall(r"\d+", numbers))
            first, last = stretch[0][0].astimezone(self.zone), stretch[-1][1].astimezone(self.zone)
            yield Span(first, last, State(state), comment)

    def _by_day(self, span: Span) -> Iterator[Span]:
        while True:
            next_day = datetime.combine(span.start.date() + DAY, time())
            midnight = _moment(next_day, self.zone)
            late = span.end <= _moment(next_day + SMALL_HOURS, self.zone) and span.end - span.start <= DAY
            if late or span.end <= midnight:
                yield span
                return
            yield replace(span, end=midnight.astimezone(self.zone))
            span = replace(span, start=midnight.astimezone(self.zone))


@lru_cache(maxsize=CACHED)
def _hours(text: str, timezone: str, country: str) -> Hours | None:
    parts = read(text)
    if not parts or not all(part.rules for part in parts) or timezone not in zone_names():
        return None
    rules = [rule for part in parts for rule in part.rules]
    try:
        layers = tuple(_layers(rules, country if re.fullmatch("[A-Z]{2}", country) else None))
    except _NoCalendar:
        layers = tuple(_layers(rules, None))
    comments = tuple(rule.comment for rule in rules)
    return Hours(zone_info(timezone), layers, comments, any(rule.holidays for rule in rules))


def _layers(rules: Sequence[Rule], country: str | None) -> Iterator[Layer]:
    """The library applies a fallback only on days of which nothing else is said: here each is a layer of its own.

    Who tells nothing but exceptions has not told what they are exceptions from.
    """
    groups: list[list[tuple[str, Rule]]] = [[]]
    for number, rule in enumerate(rules):
        if rule.link == "||":
            groups.append([])
        groups[-1].append((str(number), rule))
    before = "24/7 unknown" if all(rule.is_exception for rule in rules) else ""
    for group in groups:
        yield _layer(
            before, [(rule.link, rule.written(number)) for number, rule in group], country, later=0 * DAY
        )
        if any(rule.goes_past_midnight for _, rule in group):
            night = [(rule.link, rule.written_past_midnight(number)) for number, rule in group]
            yield _layer("", [(link, text) for link, text in night if text], country, later=DAY)
        before = ""


def _layer(before: str, rules: Sequence[tuple[str, str]], country: str | None, later: timedelta) -> Layer:
    text = before
    for link, rule in rules:
        text += f"{link} {rule}" if text else rule
    evaluator = opening_hours.OpeningHours(text, country=country, auto_country=False, auto_timezone=False)
    return Layer(evaluator, later)


def _on_the_wall(
    layers: Sequence[Layer], start: datetime, end: datetime
) -> Iterator[tuple[datetime, datetime, str, str]]:
    later = layers[0].later
    for first, last, state, comment in layers[0].rules.intervals(start - later, end - later):
        if len(layers) > 1 and str(state) == State.CLOSED:
            yield from _on_the_wall(layers[1:], first + later, last + later)
        else:
            yield first + later, last + later, str(state), comment


# ---------------------------------------------------------------- zones


def zone_of(branch: Branch) -> ZoneInfo | None:
    """UTC stands in the row when nobody knows where it is: no branch lives by it, so there is no "today" then."""
    known = branch.timezone != "UTC" and branch.timezone in zone_names()
    return zone_info(branch.timezone) if known else None


def hours_of(branch: Branch) -> Hours | None:
    return Hours.of(branch.opening_hours, branch.timezone, branch.country) if zone_of(branch) else None


def _moment(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first moment (UTC) at which the clocks show `wall`, or something later where they skip it."""
    late = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if late.astimezone(zone).replace(tzinfo=None) == wall:
        return late
    early = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    while late - early > timedelta(seconds=1):  # the clocks change between the two
        middle = early + (late - early) // 2
        early, late = (
            (middle, late) if middle.astimezone(zone).replace(tzinfo=None) < wall else (early, middle)
        )
    return late
