"""Days and times of day as people type them, where a browser has no picker or somebody prefers the keyboard. Pure."""

import re
from datetime import date, time, timedelta
from functools import cache

from babel import Locale
from babel.dates import get_day_names, get_month_names

from ..drafts import FIRST_YEAR, LAST_YEAR
from ..errors import Unreadable, say
from ..language import SOURCE, Language
from ..places.naming import fold

_ISO = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})", re.ASCII)
_NUMBERS = re.compile(r"(\d{1,2})([./-])(\d{1,2})(?:\2(\d{4}|\d{2}))?\.?", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2})(?:[:.h ]?(\d{2}))?(?::\d{2})?(?:h|hrs|uhr)?(am?|pm?)?", re.ASCII)
_NOON = {"noon": 12, "midday": 12, "mediodia": 12, "mediodía": 12, "midnight": 0, "medianoche": 0}
_SMALL_WORDS = {"the", "of", "on", "de", "del", "el", "th", "st", "nd", "rd"}


def day_of(text: str, spoken: Language, today: date) -> date:
    """2026-12-08, 8.12.2026, 8 December, dec 8 2026, 8 de diciembre; without a year the next one from `today` on.

    Raises Unreadable: 3/4 is March to some and April to others, and nobody is asked to guess.
    """
    typed = text.strip()
    found = _in_numbers(typed, spoken, today) or _in_words(typed, spoken, today)
    if found is None or not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise Unreadable(
            say("“%(text)s” is not a date. Please write it as year-month-day: 2026-12-31.", text=typed[:40])
        )
    return found


def clock_of(text: str) -> time:
    """19:30, 19.30, 1930, 19h, 7pm, 7:30 p.m., noon. Raises Unreadable."""
    plain = re.sub(r"\s", "", text.casefold()).replace("p.m.", "pm").replace("a.m.", "am").rstrip(".")
    if plain in _NOON:
        return time(_NOON[plain])
    found = _CLOCK.fullmatch(plain)
    hour = int(found[1]) if found else 99
    minute = int(found[2] or 0) if found else 0
    if found and found[3] and 1 <= hour <= 12:
        hour = hour % 12 + (12 if found[3].startswith("p") else 0)
    elif found and found[3]:
        hour = 99
    if hour > 23 or minute > 59:
        raise Unreadable(
            say("“%(text)s” is not a time of day. Please write it like 19:30.", text=text.strip()[:40])
        )
    return time(hour, minute)


def _in_numbers(typed: str, spoken: Language, today: date) -> date | None:
    if iso := _ISO.fullmatch(typed):
        return _made(int(iso[1]), int(iso[2]), int(iso[3]))
    found = _NUMBERS.fullmatch(typed)
    if not found:
        return None
    first, separator, second, year = int(found[1]), found[2], int(found[3]), found[4]
    day_first = _made(2000, second, first)
    month_first = _made(2000, first, second)
    if separator != "." and spoken.code == SOURCE and day_first and month_first and first != second:
        raise Unreadable(
            say(
                "“%(text)s” can be read as two days. Please write it as year-month-day: 2026-12-31.",
                text=typed[:40],
            )
        )
    chosen = day_first or month_first
    return chosen and _with_year(chosen.month, chosen.day, year, today)


def _in_words(typed: str, spoken: Language, today: date) -> date | None:
    """A day, the name of a month and perhaps a year, in any order; a weekday beside them is taken as said."""
    months = _names(SOURCE) | _names(str(spoken.locale))
    month = day = year = ""
    for word in re.findall(r"[^\W\d_]+|\d+", fold(typed)):
        if word in _SMALL_WORDS or word in _weekdays(SOURCE) or word in _weekdays(str(spoken.locale)):
            continue
        if word in months and not month:
            month = str(months[word])
        elif not word.isascii():
            return None
        elif word.isdigit() and len(word) <= 2 and not day:
            day = word
        elif word.isdigit() and len(word) in (2, 4) and not year:
            year = word
        else:
            return None
    return _with_year(int(month), int(day), year, today) if month and day else None


def _with_year(month: int, day: int, year: str | None, today: date) -> date | None:
    if year:
        return _made(int(year) + (2000 if len(year) == 2 else 0), month, day)
    coming = (_made(today.year + later, month, day) for later in range(5))  # February 29 may be far
    return next((found for found in coming if found and found >= today - timedelta(days=1)), None)


def _made(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


@cache
def _names(locale: str) -> dict[str, int]:
    """Months by their folded names, whole and short."""
    return {
        fold(name).rstrip("."): number
        for width in ("wide", "abbreviated")
        for context in ("format", "stand-alone")
        for number, name in get_month_names(width, context, Locale.parse(locale)).items()
    } | ({"sept": 9} if locale == SOURCE else {})


@cache
def _weekdays(locale: str) -> frozenset[str]:
    return frozenset(
        fold(name).rstrip(".")
        for width in ("wide", "abbreviated")
        for name in get_day_names(width, "format", Locale.parse(locale)).values()
    )
