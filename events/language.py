"""Languages: our own sentences, and how dates, times and distances are written in each.

English is the source; every other language is a `.po` file under `locale/`, read at start: no compiled files to
forget. Dates follow CLDR through Babel. A narrow no-break space stands between time and PM: leave it there.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache, lru_cache, partial
from gettext import c2py
from pathlib import Path
from typing import Concatenate, Literal, ParamSpec, TypeVar, cast
from zoneinfo import ZoneInfo

from babel import Locale
from babel.core import get_global
from babel.dates import (
    format_date,
    format_interval,
    format_skeleton,
    format_time,
    get_day_names,
    get_timezone_gmt,
    get_timezone_location,
)
from babel.lists import format_list
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from babel.numbers import format_decimal
from babel.units import format_unit

from .errors import Message

LOCALE_DIR = Path(__file__).parent / "locale"
SOURCE = "en"
KM_PER_MILE = 1.609344
UNITS = {"mi": "length-mile", "km": "length-kilometer"}
# CLDR's minimumGroupingDigits is 2 in these, which Babel does not read: 1234, but 12.345.
FOUR_DIGITS_TOGETHER = frozenset({"bg", "es", "it", "pl", "pt_PT"})
# "y" and "o" before the same sound are "e" and "u" in Spanish, as CLDR's lists have it and Babel's do not.
Y_IS_E = re.compile(r"[ií]|h[ií](?![ae])", re.IGNORECASE)
O_IS_U = re.compile(r"[oó]|h[oó]|8|11(?!\d)", re.IGNORECASE)

P = ParamSpec("P")
Said = TypeVar("Said")
MOST_KEPT = 2048  # of each kind: some months of days, some days of times


def kept(
    said: Callable[Concatenate["Language", P], Said],
) -> Callable[Concatenate["Language", P], Said]:
    """The same is said of the same values: Babel takes 50 µs to write a day, and a page says two hundred.

    Values are told apart by equality, and two moments in different zones may be equal: give wall clocks and days.
    """
    return cast("Callable[Concatenate[Language, P], Said]", lru_cache(MOST_KEPT)(said))


@dataclass(frozen=True, slots=True, eq=False)
class Language:
    """There is one of each, and it is itself: what is `kept` looks it up by its identity."""

    code: str
    locale: Locale
    read: Callable[[], Catalog] | None  # None: the source language

    @property
    def catalog(self) -> Catalog | None:
        """Read when something is first said: every page names the other languages, and that needs none of it."""
        return self.read() if self.read else None

    @property
    def name(self) -> str:
        """As its speakers write it: English, español."""
        return self.locale.get_display_name(self.locale) or self.code

    @property
    def direction(self) -> str:
        return self.locale.character_order.replace("left-to-right", "ltr").replace("right-to-left", "rtl")

    @kept
    def gettext(self, text: str) -> str:
        found = self.catalog.get(text) if self.catalog else None
        return str(found.string) if found and found.string and not found.fuzzy else text

    @kept
    def ngettext(self, singular: str, plural: str, number: int) -> str:
        """The form for a number; its %(num)d is filled in here when it needs separators (12,000 people)."""
        found = self.catalog.get(singular) if self.catalog else None
        text = singular if number == 1 else plural
        if self.catalog and found and isinstance(found.string, tuple) and not found.fuzzy:
            text = found.string[c2py(self.catalog.plural_expr)(number)] or plural
        return text.replace("%(num)d", self.number(number)) if number >= 1000 else text

    def say(self, message: Message | str) -> str:
        """The sentence in this language; values that are sentences themselves are said too."""
        if isinstance(message, str):
            return self.gettext(message)
        values = {name: self._value(value) for name, value in message.values.items()}
        text = self.gettext(message.text)
        return text % values if values else text

    def _value(self, value: object) -> object:
        match value:
            case Message():
                return self.say(value)
            case time():
                return self.time(value)
            case datetime():
                return f"{self.day(value.date())}, {self.time(value.time())}"
            case date():
                return self.day(value)
        return value

    @kept
    def day(self, day: date) -> str:
        """Tuesday, December 8, 2026; martes, 8 de diciembre de 2026."""
        return format_date(day, "full", locale=self.locale)

    def long_day(self, day: date) -> str:
        """Without its weekday: December 8, 2026; 8 de diciembre de 2026."""
        return format_date(day, "long", locale=self.locale)

    @kept
    def short_day(self, day: date) -> str:
        return format_date(day, "medium", locale=self.locale)

    @kept
    def month_day(self, day: date) -> str:
        """December 8; 8 de diciembre."""
        return format_skeleton("MMMMd", day, locale=self.locale)

    def weekday_and_day(self, day: date) -> str:
        """For lists of one month: Tue, Dec 8; mar, 8 dic."""
        return format_skeleton("MMMEd", day, locale=self.locale)

    @kept
    def month(self, day: date) -> str:
        """December 2026; diciembre de 2026."""
        return format_skeleton("yMMMM", day, locale=self.locale)

    @kept
    def month_name(self, day: date) -> str:
        """December; diciembre."""
        return format_date(day, "LLLL", locale=self.locale)

    @kept
    def weekday(self, number: int) -> str:
        """0 is Monday."""
        return str(get_day_names("wide", locale=self.locale)[number])

    @kept
    def short_weekday(self, number: int) -> str:
        """Tue; mar."""
        return str(get_day_names("abbreviated", locale=self.locale)[number])

    @kept
    def time(self, at: time) -> str:
        return format_time(at, "short", locale=self.locale)

    @kept
    def span(self, start: datetime, end: datetime, all_day: bool = False) -> str:
        """Within one day the hours; over several days both dates. `end` is exclusive for all-day events."""
        if all_day:
            last = end.date() - timedelta(days=1)
            if last <= start.date():
                return self.gettext("all day")
            return f"{self.short_day(start.date())} – {self.short_day(last)}"
        if end.date() == start.date() or end - start < timedelta(hours=14):
            skeleton = "Hm" if "H" in self.locale.time_formats["short"].pattern else "hm"
            return str(format_interval(start, end, skeleton, locale=self.locale))
        return (
            f"{self.short_day(start.date())}, {self.time(start.time())} – "
            f"{self.short_day(end.date())}, {self.time(end.time())}"
        )

    @kept
    def zone(self, timezone: str) -> str:
        """Madrid time, as people say it; for a zone without a place its offset."""
        canonical = _canonical(timezone)
        if canonical in ("Etc/UTC", "Etc/GMT"):
            return canonical.removeprefix("Etc/")
        if canonical.startswith("Etc/"):  # the sign of Etc/GMT+5 is the wrong way round for a reader
            return get_timezone_gmt(datetime(2000, 1, 1, tzinfo=ZoneInfo(canonical)), locale=self.locale)
        return self.gettext("%(city)s time") % {"city": self._city(canonical)}

    def _city(self, canonical: str) -> str:
        """CLDR still has its names under older identifiers of some zones, which Babel does not look up."""
        for name in (canonical, *_older_names(canonical)):
            if city := self.locale.time_zones.get(name, {}).get("city"):
                return str(city)
        return get_timezone_location(canonical, locale=self.locale, return_city=True).rpartition("/")[2]

    def listed(self, parts: Iterable[str], style: Literal["standard", "or"] = "standard") -> str:
        listed = list(parts)
        text = format_list(listed, style=style, locale=self.locale)
        if self.locale.language != "es" or len(listed) < 2:
            return text
        last = listed[-1]
        if style == "or":
            return f"{text.removesuffix(f' o {last}')} u {last}" if O_IS_U.match(last) else text
        return f"{text.removesuffix(f' y {last}')} e {last}" if Y_IS_E.match(last) else text

    def capital(self, text: str) -> str:
        """With a capital, for where it begins a line, a heading or a sentence: Diciembre de 2026."""
        # A Georgian word or a digraph begins in title case, which is not its upper case.
        return text[:1].title() + text[1:]

    def number(self, value: float) -> str:
        together = abs(value) < 10_000 and str(self.locale) in FOUR_DIGITS_TOGETHER
        return format_decimal(value, locale=self.locale, group_separator=not together)

    def distance(self, km: float, unit: str) -> str:
        """One decimal below ten, whole numbers above: as exactly as an address can be known."""
        amount = km / KM_PER_MILE if unit == "mi" else km
        rounded = max(round(amount, 1), 0.1) if amount < 9.95 else round(amount)
        named = format_unit(rounded, UNITS[unit], "short", locale=self.locale)
        return named.replace(format_decimal(rounded, locale=self.locale), self.number(rounded))


def _canonical(timezone: str) -> str:
    return str(get_global("zone_aliases").get(timezone, timezone))


@lru_cache
def _older_names(canonical: str) -> tuple[str, ...]:
    return tuple(name for name, now in get_global("zone_aliases").items() if now == canonical)


@lru_cache
def language(code: str) -> Language:
    """Raises FileNotFoundError when there is no catalogue for the language."""
    locale = Locale.parse(code, sep="-" if "-" in code else "_")
    if code == SOURCE:
        return Language(code, locale, None)
    path = LOCALE_DIR / f"{code}.po"
    path.stat()
    return Language(code, locale, cache(partial(_read, path, locale)))


def as_written(spoken: Language) -> bytes:
    """All its sentences, for whoever keeps something that is made of them; of the source language nothing."""
    return b"" if spoken.code == SOURCE else (LOCALE_DIR / f"{spoken.code}.po").read_bytes()


def _read(path: Path, locale: Locale) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=locale)


def closest(tag: str, codes: Iterable[str]) -> Language:
    """The language of ours that comes nearest to a BCP 47 tag: es for es-MX, English when there is none."""
    known = set(codes)
    primary = tag.lower().split("-")[0]
    return language(tag if tag in known else primary if primary in known else SOURCE)
