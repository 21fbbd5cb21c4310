"""Languages: our own sentences, and how dates, times and distances are written in each.

English is the source; every other language is a `.po` file under `locale/`, read at start: no compiled files to
forget. Dates follow CLDR through Babel. A narrow no-break space stands between time and PM: leave it there.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from gettext import c2py
from pathlib import Path
from typing import Literal

from babel import Locale
from babel.dates import (
    format_date,
    format_interval,
    format_skeleton,
    format_time,
    get_day_names,
    get_timezone_location,
)
from babel.lists import format_list
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

from .errors import Message

LOCALE_DIR = Path(__file__).parent / "locale"
SOURCE = "en"
KM_PER_MILE = 1.609344


@dataclass(frozen=True, slots=True)
class Language:
    code: str
    locale: Locale
    catalog: Catalog | None  # None: the source language

    @property
    def name(self) -> str:
        """As its speakers write it: English, español."""
        return self.locale.get_display_name(self.locale) or self.code

    @property
    def direction(self) -> str:
        return self.locale.character_order.replace("left-to-right", "ltr").replace("right-to-left", "rtl")

    def gettext(self, text: str) -> str:
        found = self.catalog.get(text) if self.catalog else None
        return str(found.string) if found and found.string and not found.fuzzy else text

    def ngettext(self, singular: str, plural: str, number: int) -> str:
        found = self.catalog.get(singular) if self.catalog else None
        if self.catalog is None or found is None or not isinstance(found.string, tuple) or found.fuzzy:
            return singular if number == 1 else plural
        return found.string[c2py(self.catalog.plural_expr)(number)] or plural

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

    def day(self, day: date) -> str:
        """Tuesday, December 8, 2026; martes, 8 de diciembre de 2026."""
        return format_date(day, "full", locale=self.locale)

    def long_day(self, day: date) -> str:
        """Without its weekday: December 8, 2026; 8 de diciembre de 2026."""
        return format_date(day, "long", locale=self.locale)

    def short_day(self, day: date) -> str:
        return format_date(day, "medium", locale=self.locale)

    def month_day(self, day: date) -> str:
        """December 8; 8 de diciembre."""
        return format_skeleton("MMMMd", day, locale=self.locale)

    def month(self, day: date) -> str:
        """December 2026; diciembre de 2026."""
        return format_skeleton("yMMMM", day, locale=self.locale)

    def weekday(self, number: int) -> str:
        """0 is Monday."""
        return str(get_day_names("wide", locale=self.locale)[number])

    def time(self, at: time) -> str:
        return format_time(at, "short", locale=self.locale)

    def span(self, start: datetime, end: datetime, all_day: bool = False) -> str:
        """Within one day the hours; over several days both dates. `end` is exclusive for all-day events."""
        if all_day:
            last = end.date() - timedelta(days=1)
            if last <= start.date():
                return self.gettext("All day")
            return f"{self.short_day(start.date())} – {self.short_day(last)}"
        if end.date() == start.date() or end - start < timedelta(hours=14):
            skeleton = "Hm" if "H" in self.locale.time_formats["short"].pattern else "hm"
            return str(format_interval(start, end, skeleton, locale=self.locale))
        return (
            f"{self.short_day(start.date())}, {self.time(start.time())} – "
            f"{self.short_day(end.date())}, {self.time(end.time())}"
        )

    def zone(self, timezone: str) -> str:
        """Madrid time, as people say it."""
        if timezone == "UTC":
            return timezone
        city = get_timezone_location(timezone, locale=self.locale, return_city=True)
        return self.gettext("%(city)s time") % {"city": city}

    def listed(self, parts: Iterable[str], style: Literal["standard", "or"] = "standard") -> str:
        return format_list(list(parts), style=style, locale=self.locale)

    def number(self, value: float) -> str:
        return format_decimal(value, locale=self.locale)

    def distance(self, km: float, unit: str) -> str:
        """One decimal below ten, whole numbers above: as exactly as an address can be known."""
        amount = km / KM_PER_MILE if unit == "mi" else km
        rounded = max(round(amount, 1), 0.1) if amount < 9.95 else round(amount)
        return f"{format_decimal(rounded, locale=self.locale)} {unit}"


@lru_cache
def language(code: str) -> Language:
    """Raises FileNotFoundError when there is no catalogue for the language."""
    locale = Locale.parse(code, sep="-" if "-" in code else "_")
    if code == SOURCE:
        return Language(code, locale, None)
    with (LOCALE_DIR / f"{code}.po").open("rb") as file:
        return Language(code, locale, read_po(file, locale=locale))


def closest(tag: str, codes: Iterable[str]) -> Language:
    """The language of ours that comes nearest to a BCP 47 tag: es for es-MX, English when there is none."""
    known = set(codes)
    primary = tag.lower().split("-")[0]
    return language(tag if tag in known else primary if primary in known else SOURCE)
