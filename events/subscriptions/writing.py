"""What the mails to subscribers have in common: addresses in the reader's language, times and places in words."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from urllib.parse import urlencode

from ..calendars.content import Publishing
from ..calendars.queries import Listed
from ..calendars.recurrence import parse_rule
from ..calendars.rule_words import rule_in_words
from ..calendars.timezones import to_wall
from ..errors import Message, say
from ..language import Language, closest, language
from ..letters import Link
from ..places.geo import Unit
from .links import token_of
from .models import Subscription


@dataclass(frozen=True, slots=True)
class Site:
    """The site that writes. `units`: the operator's choice of mi or km, if there is one."""

    publishing: Publishing
    secret: str
    units: Unit | None = None

    def language_of(self, subscription: Subscription) -> Language:
        return closest(subscription.language, self.publishing.locales)

    def unit_of(self, spoken: Language) -> Unit:
        """As on the pages: miles for English and kilometres for the rest, unless the operator says otherwise."""
        return self.units or ("mi" if spoken.code == "en" else "km")

    def address(self, path: str, spoken: Language, *wanted: tuple[str, object]) -> str:
        prefix = "" if spoken.code == "en" else f"/{spoken.code}"
        query = urlencode([(name, value) for name, value in wanted if value], safe=",")
        return f"{self.publishing.base_url}{prefix}{path}" + (f"?{query}" if query else "")

    def address_of_choice(self, subscription: Subscription, spoken: Language) -> str:
        """Where its reader changes or ends it."""
        return self.address(f"/subscriptions/{token_of(subscription, self.secret)}", spoken)

    def unsubscribing(self, subscription: Subscription, spoken: Language) -> str:
        """What mail programs post to by themselves (RFC 8058)."""
        return f"{self.address_of_choice(subscription, spoken)}/unsubscription"


def way_out(address: str, spoken: Language) -> Link:
    return Link(address, spoken.say(_CHANGE_OR_STOP))


_CHANGE_OR_STOP = say("Change what you get, or stop it")


def when(spoken: Language, start: datetime, end: datetime, all_day: bool, timezone: str = "") -> str:
    """Tuesday, December 8, 2026, 7:00 – 9:00 PM; with `timezone` whose clocks are meant."""
    span, day = spoken.span(start, end, all_day), spoken.day(start.date())
    if spoken.short_day(start.date()) not in span:
        span = day if all_day else f"{day}, {span}"
    return spoken.capital(span if all_day or not timezone else f"{span}, {spoken.zone(timezone)}")


@lru_cache(4096)
def facts(listed: Listed, code: str, timezone: str) -> tuple[str, ...]:
    """Lines about a date for a reader whose clocks are those of `timezone`: when, what has become of it, how often.

    Kept, because a date is told to many; where it is, depends on who reads it.
    """
    spoken = language(code)
    same_clock = to_wall(listed.starts_at, timezone) == listed.start
    zone = "" if same_clock else listed.timezone
    news: list[Message | str] = [part for part in (listed.moved, _reason(listed)) if part]
    return (
        when(spoken, listed.start, listed.end, listed.all_day, zone),
        *map(spoken.say, news),
        *([_how_often(listed, spoken)] if listed.rrule and not listed.cancelled else []),
    )


def _reason(listed: Listed) -> str:
    return listed.cancelled_reason if listed.cancelled else ""


def _how_often(listed: Listed, spoken: Language) -> str:
    rule = parse_rule(listed.rrule, listed.series_start, listed.timezone, listed.all_day)
    return rule_in_words(spoken, rule)
