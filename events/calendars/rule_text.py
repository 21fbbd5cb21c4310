"""The text of an RRULE value, taken apart: every reading of a part either succeeds or says what is wrong.

What the parts mean together is for `recurrence` to say.
"""

import re
from datetime import UTC, datetime, time
from enum import StrEnum

from ..drafts import LAST_YEAR
from ..errors import BranchlineError, Message, say
from .timezones import to_wall

DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
MAX_INTERVAL = 1000
MAX_COUNT = 100_000

UNREADABLE = say("The repetition rule “%(rule)s” cannot be read.")
UNSHARED = say(
    "The repetition rule “%(rule)s” means different dates to different calendar apps. "
    "Repeat on weekdays, on one day of the month or on one weekday of the month; for more, make two series."
)
_TOO_OFTEN = say("Events can repeat by the day, week, month or year, not more often.")
_NO_SUCH_END = say("The last date of the repetition rule “%(rule)s” does not exist.")
_OUT_OF_RANGE = {
    "INTERVAL": say("The interval in “%(rule)s” should be between 1 and 1000."),
    "COUNT": say("The number of dates in “%(rule)s” should be between 1 and 100000."),
}
_KNOWN = {
    *("FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS", "WKST"),
    *("BYHOUR", "BYMINUTE", "BYSECOND", "BYYEARDAY", "BYWEEKNO", "RSCALE", "SKIP"),
}


class InvalidRule(BranchlineError):
    """A recurrence rule that cannot be read, or that calendar apps would show on different dates."""


class Frequency(StrEnum):
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    YEARLY = "yearly"


class RuleText:
    """The parts of an RRULE value by name; what cannot be read raises InvalidRule."""

    def __init__(self, text: str) -> None:
        self._text = text.strip().upper().removeprefix("RRULE:")
        self._parts: dict[str, str] = {}
        for part in filter(None, self._text.split(";")):
            name, _, value = part.partition("=")
            if name in self._parts or not value:
                raise self.wrong(UNREADABLE)
            self._parts[name] = value
        if not self._parts.keys() <= _KNOWN:
            raise self.wrong(UNSHARED)

    def wrong(self, message: Message) -> InvalidRule:
        return InvalidRule(Message(message.text, {"rule": self._text[:100]}))

    def has(self, *names: str) -> bool:
        return any(name in self._parts for name in names)

    def allow(self, *names: str) -> None:
        if self.has(*(_KNOWN - {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", *names})):
            raise self.wrong(UNSHARED)

    def frequency(self) -> Frequency:
        word = self._parts.get("FREQ", "")
        if word in ("HOURLY", "MINUTELY", "SECONDLY"):
            raise self.wrong(_TOO_OFTEN)
        if word.lower() not in set(Frequency):
            raise self.wrong(UNREADABLE)
        return Frequency(word.lower())

    def interval(self) -> int:
        return self.number("INTERVAL", 1, MAX_INTERVAL) or 1

    def count(self) -> int | None:
        return self.number("COUNT", 1, MAX_COUNT)

    def number(self, name: str, least: int, most: int) -> int | None:
        """One whole number, never 0; None when the part is missing."""
        value = self._parts.get(name)
        if value is None:
            return None
        if not re.fullmatch(r"[+-]?[0-9]{1,9}", value):
            raise self.wrong(UNSHARED if "," in value else UNREADABLE)
        if not least <= int(value) <= most or int(value) == 0:
            raise self.wrong(_OUT_OF_RANGE.get(name, UNSHARED))
        return int(value)

    def numbers(self, name: str, most: int) -> list[int]:
        """A list of whole numbers from -most to most, without 0; empty when the part is missing."""
        found = []
        for item in filter(None, self._parts.get(name, "").split(",")):
            if not re.fullmatch(r"[+-]?[0-9]{1,3}", item) or not 0 < abs(int(item)) <= most:
                raise self.wrong(UNREADABLE)
            found.append(int(item))
        return found

    def weekdays(self) -> list[tuple[int, int]]:
        """(nth or 0, weekday) of BYDAY."""
        found = []
        for item in filter(None, self._parts.get("BYDAY", "").split(",")):
            match = re.fullmatch(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)", item)
            if not match:
                raise self.wrong(UNREADABLE)
            found.append((int(match[1] or 0), DAYS.index(match[2])))
        return found

    def week_start(self) -> int:
        day = self._parts.get("WKST", "MO")
        if day not in DAYS:
            raise self.wrong(UNREADABLE)
        return DAYS.index(day)

    def until(self, timezone: str, all_day: bool) -> datetime | None:
        """UNTIL by the wall clock. A date alone includes that whole day; a time in UTC is taken to the zone.

        Ends that no one lives to see (99991231 is a favourite) are no ends.
        """
        value = self._parts.get("UNTIL")
        if value is None:
            return None
        match = re.fullmatch(r"([0-9]{8})(?:T([0-9]{6})(Z?))?", value)
        if match is None:
            raise self.wrong(UNREADABLE)
        try:
            at = datetime.strptime(f"{match[1]}{match[2] or '000000'}", "%Y%m%d%H%M%S")
        except ValueError as error:
            raise self.wrong(_NO_SUCH_END) from error
        if at.year > LAST_YEAR:
            return None
        if all_day or not match[2]:
            return datetime.combine(at, time(23, 59, 59))
        return to_wall(at.replace(tzinfo=UTC), timezone) if match[3] and at.year > 1 else at

    def drop_what_the_start_says(self, start: datetime) -> None:
        """BYHOUR and the like may repeat the start's time, RSCALE and SKIP the default: no more."""
        expected = {
            "BYHOUR": str(start.hour),
            "BYMINUTE": str(start.minute),
            "BYSECOND": str(start.second),
            "RSCALE": "GREGORIAN",
            "SKIP": "OMIT",
        }
        for name, value in expected.items():
            said = self._parts.pop(name, value)
            if said.lstrip("0") != value.lstrip("0"):
                raise self.wrong(UNSHARED)
