"""How names and postal codes are compared: the key of a name, the key of a code, which country is meant."""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache

from babel import Locale, UnknownLocaleError
from babel.languages import get_official_languages

MOST_WORDS = 30  # that anybody looks for
# The five inhabited territories have ZIPs and states' places in addresses: they are regions of the US here.
US_TERRITORIES = {
    "AS": "American Samoa",
    "GU": "Guam",
    "MP": "Northern Mariana Islands",
    "PR": "Puerto Rico",
    "VI": "U.S. Virgin Islands",
}
# Countries of their own in ISO 3166 whose letters are often addressed with the larger country's name.
PARTS = {
    "AU": ("CC", "CX", "NF"),
    "DK": ("FO", "GL"),
    "FI": ("AX",),
    "FR": ("BL", "GF", "GP", "MF", "MQ", "NC", "PF", "PM", "RE", "WF", "YT"),
    "GB": ("GG", "IM", "JE"),
    "NO": ("SJ",),
}
# GeoNames lists their outward codes under the United Kingdom too.
CROWN_DEPENDENCIES = {"GY": "GG", "IM": "IM", "JE": "JE"}
# Letters that stand before a postal code on envelopes: not ISO 3166 (CEPT, from the days of car plates).
ENVELOPE_LETTERS = {"A": "AT", "B": "BE", "D": "DE", "E": "ES", "F": "FR", "FL": "LI", "I": "IT", "L": "LU"}
# Codes of these countries are often listed, and often not written, with letters of their own in front.
OWN_LETTERS = {"LU": "L", **{code: code for code in ("AD", "AI", "AZ", "HT", "LT", "LV", "MD", "SI", "WS")}}
OTHER_COUNTRY_NAMES = {
    "GB": ("uk", "u k", "great britain", "gran bretaña", "britain"),
    "US": (
        "usa",
        "u s",
        "u s a",
        "america",
        "united states of america",
        "ee uu",
        "eeuu",
        "estados unidos de america",
    ),
    "NL": ("holland", "the netherlands", "holanda"),
    "CZ": ("czech republic",),
    "TR": ("turkey",),
}
# Provinces and states that are written by these letters; GeoNames knows them by number.
REGION_LETTERS = {
    "AU": {
        **{"ACT": "Australian Capital Territory", "NSW": "New South Wales", "NT": "Northern Territory"},
        **{"QLD": "Queensland", "SA": "South Australia", "TAS": "Tasmania"},
        **{"VIC": "Victoria", "WA": "Western Australia"},
    },
    "CA": {
        **{"AB": "Alberta", "BC": "British Columbia", "MB": "Manitoba", "NB": "New Brunswick"},
        **{"NL": "Newfoundland and Labrador", "NS": "Nova Scotia", "NT": "Northwest Territories"},
        **{"NU": "Nunavut", "ON": "Ontario", "PE": "Prince Edward Island", "QC": "Quebec"},
        **{"SK": "Saskatchewan", "YT": "Yukon"},
    },
}
# Where people write two letters for a region.
LETTERED = frozenset({"CH", "LU", "US", *REGION_LETTERS})
# Regions that are called as a country is.
NAMESAKES = frozenset({("US", "georgia"), ("MX", "mexico"), ("BE", "luxembourg"), ("ES", "canarias")})
# What a full code is found under where only its beginning is listed: (countries, full form, listed form).
FULL_FORMS = (
    (("US",), re.compile(r"(\d{5})\d{4}"), r"\1"),  # ZIP+4
    (("GB", "GG", "IM", "JE"), re.compile(r"([A-Z]{1,2}\d[A-Z\d]?)\d[A-Z]{2}"), r"\1"),  # outward code
    (("GB",), re.compile(r"([A-Z]{1,2}\d)[A-Z](?:\d[A-Z]{2})?"), r"\1"),  # EC1A where only EC1 is listed
    (("GB", "GG", "IM", "JE"), re.compile(r"([A-Z]{1,2}\d[A-Z\d]?)\d[A-Z]?"), r"\1"),  # sector: SW1A 1
    (("CA",), re.compile(r"([A-Z]\d[A-Z])\d(?:[A-Z]\d?)?"), r"\1"),  # forward sortation area
    (("NL",), re.compile(r"(\d{4})[A-Z]{1,2}"), r"\1"),
    (("IE",), re.compile(r"([A-Z]\d[\dW])[A-Z\d]{1,4}"), r"\1"),  # Eircode's routing key
    # Of Brazil one code for each town is listed; those of the cities end in more zeros.
    *(
        (("BR",), re.compile(rf"(\d{{{kept}}})\d{{{8 - kept}}}"), rf"\g<1>{'0' * (8 - kept)}")
        for kept in (5, 4, 3, 2)
    ),
    (("AR",), re.compile(r"[A-Z](\d{4})[A-Z]{3}"), r"\1"),
    (("MT",), re.compile(r"([A-Z]{3})\d{2,4}"), r"\1"),
)

# Written either way in names; GeoNames lists one of them.
ABBREVIATIONS = (
    ("st", "saint"),
    ("ste", "sainte"),
    ("mt", "mount"),
    ("ft", "fort"),
    ("sta", "santa"),
    ("sto", "santo"),
    ("so", "south"),
    ("twp", "township"),
    *(("s", "south"), ("n", "north"), ("e", "east"), ("w", "west")),
)
_KIND = re.compile(r" (?:township|twp)$")
_POSSESSIVE = re.compile(r"(?<=\w) s\b")

_NO_COUNTRIES = frozenset({"EU", "EZ", "QO", "UN", "XA", "XB", "ZZ", *US_TERRITORIES})
_SEPARATORS = re.compile(r"[\W_]+")
_NOT_IN_CODES = re.compile(r"[^A-Z0-9]+")
_CEDEX = re.compile(r"\s+CEDEX\b.*")
_FORCES = re.compile(r"\bBFPO\s*(\d{1,4})\b|\bBF1\s*\d[A-Z]{2}\b", re.IGNORECASE)
_MILITARY = re.compile(r"\b[AFD]PO\b")


def fold(text: str) -> str:
    """The key of a name: no case, no accents, no punctuation; words parted by one space."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    kept = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return _SEPARATORS.sub(" ", kept).strip()


def words_of(text: str) -> list[str]:
    """What is looked for in keys: each word once. No more than a database can compare at once: folded, a letter may be
    four words."""
    return list(dict.fromkeys(fold(text).split()))[:MOST_WORDS]


def code_key(text: str) -> str:
    """The key of a postal code: ASCII letters and digits in capitals, no spaces or hyphens."""
    return _NOT_IN_CODES.sub("", unicodedata.normalize("NFKC", text).upper())


def postal_key(country: str, code: str) -> str:
    """The key that a country's code is listed under: without CEDEX and without the country's own letters."""
    key = code_key(_CEDEX.sub("", code.upper()))
    number = key.removeprefix(OWN_LETTERS.get(country, ""))
    return number if number.isdigit() else key


def postal_home(country: str, key: str) -> str:
    """The country that a code with this key is listed under."""
    return CROWN_DEPENDENCIES.get(key[:2], country) if country == "GB" else home(country)


def listed_forms(key: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """(countries, key) under which a full code may be listed by its beginning."""
    for countries, form, listed in FULL_FORMS:
        if match := form.fullmatch(key):
            yield countries, match.expand(listed)


def is_military(place: str) -> bool:
    """US military mail (APO, FPO, DPO) has codes and no place: it is handed over, wherever the unit is."""
    return _MILITARY.search(place.upper()) is not None


def forces_mail(text: str) -> str:
    """The British forces' code in `text`, which is no place either: `BFPO 57`; empty without one."""
    found = _FORCES.search(text)
    if found is None:
        return ""
    return f"BFPO {found[1]}" if found[1] else found[0].upper()


def shape(key: str) -> str:
    """The form of a code's key: SW1A gives AA9A."""
    return "".join("9" if letter.isdigit() else "A" for letter in key)


def abbreviations(name: str) -> Iterator[str]:
    """The folded name, then as it is also written: st louis, saint louis; swan s island, swans island."""
    yield name
    if _KIND.search(name):
        yield _KIND.sub("", name)
    if _POSSESSIVE.search(name):
        yield _POSSESSIVE.sub("s", name)
    words = name.split()
    for short, long in ABBREVIATIONS:
        for one, other in ((short, long), (long, short)):
            if one in words and len(words) > 1:
                yield " ".join(other if word == one else word for word in words)


def home(country: str) -> str:
    """The country that an ISO 3166 code counts as: a US territory counts as US."""
    return "US" if country in US_TERRITORIES else country


def parts(country: str) -> frozenset[str]:
    """The country and those that may be meant by its name."""
    return frozenset((country, *PARTS.get(country, ())))


def country_name(country: str, locale: str = "en") -> str:
    """`country` as readers of `locale` call it; the code itself where CLDR has no name."""
    return str(Locale.parse(locale).territories.get(country, country))


def country_keys() -> Iterator[tuple[str, str]]:
    """(key, country): the ISO code, the name in English, Spanish and the country's own languages."""
    for country in map(str, Locale("en").territories):
        if not re.fullmatch("[A-Z]{2}", country) or country in _NO_COUNTRIES:
            continue
        yield fold(country), country
        for name in OTHER_COUNTRY_NAMES.get(country, ()):
            yield fold(name), country
        for locale in ("en", "es", *_own_locales(country)):
            yield fold(country_name(country, locale)), country


@cache
def _countries_by_name() -> dict[str, str]:
    """By the folded names in English and Spanish, and by their letters."""
    found: dict[str, str] = {}
    for country in map(str, Locale("en").territories):
        if re.fullmatch("[A-Z]{2}", country) and country not in _NO_COUNTRIES:
            names = (country_name(country, locale) for locale in ("en", "es"))
            others = OTHER_COUNTRY_NAMES.get(country, ())
            found |= dict.fromkeys(map(fold, (country, *names, *others)), country)
    return found


def country_named(name: str, own: str) -> str:
    """The country with this folded name or letters; empty for none, and for a region of one's own country."""
    return "" if (own, name) in NAMESAKES else _countries_by_name().get(name, "")


@cache
def own_letters(country: str) -> tuple[str, ...]:
    """What may stand before the numbers of its codes, the longest first; nothing where letters belong to codes."""
    found = {letters for letters, code in ENVELOPE_LETTERS.items() if code == country}
    found |= {OWN_LETTERS[country]} if country in OWN_LETTERS else set()
    return tuple(sorted({*found, country} if found else (), key=len, reverse=True))


def _own_locales(country: str) -> Iterator[str]:
    for language in get_official_languages(country, de_facto=True):
        try:
            yield str(Locale.parse(language))
        except (UnknownLocaleError, ValueError):  # an official language that CLDR has no data for
            continue
