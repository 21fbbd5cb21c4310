"""What was typed, taken apart: possible codes and names in it, and the countries to try them in. Pure."""

import re
import unicodedata
from collections.abc import Iterator, Sequence

from babel.core import get_global

from ..errors import Unreadable, say
from .geo import Point
from .naming import FULL_FORMS, code_key, fold, home

LONGEST_TEXT = 200
MOST_WORDS = 12  # a postal code is looked for among so many
WORDS_OF_A_CODE = 3  # SE 111 22
LONGEST_CODE = 10
MOST_LANGUAGES = 10
WORDS_OF_A_NAME = 4  # San Pedro Garza García
SHORTEST_NAME = 3
PRECISION_OF_ARC_KM = 0.1
FULL_CODE = 5  # digits of a code that stands out among other numbers

_WORD = re.compile(r"\w+")
_PARTS = re.compile(r"[,;()\n]+")
# RFC 5870; height, reference system and other parameters are passed over (all but WGS84 are unheard of).
_GEO_URI = re.compile(
    r"geo:(-?\d+(?:\.\d+)?),(-?\d+(?:\.\d+)?)(?:,-?\d+(?:\.\d+)?)?((?:;[\w.=-]+)*)", re.IGNORECASE
)
_UNCERTAIN = re.compile(r";u=(\d{1,7}(?:\.\d+)?)(?:;|$)", re.IGNORECASE)
# 41°55'21"N 87°38'54"W, N 41.92 W 87.64: what maps show besides decimal degrees.
_ARC = r"(\d{1,3}(?:\.\d+)?)\s*°?\s*(?:(\d{1,2}(?:\.\d+)?)\s*'\s*)?(?:(\d{1,2}(?:\.\d+)?)\s*\"\s*)?"
_AFTER = re.compile(rf"{_ARC}([NS])[\s,;]*{_ARC}([EWO])", re.IGNORECASE | re.ASCII)
_BEFORE = re.compile(rf"([NS])\s*{_ARC}[\s,;]*([EWO])\s*{_ARC}", re.IGNORECASE | re.ASCII)
_QUOTES = str.maketrans({"’": "'", "′": "'", "”": '"', "″": '"', "º": "°"})
_TAG = re.compile(r"([A-Za-z]{2,3})(?:-[A-Za-z]{4})?(?:-([A-Za-z]{2}))?(?:-[A-Za-z0-9]+)*")


def cleaned(text: str) -> str:
    """One line in compatible characters (full-width digits become digits). Raises Unreadable."""
    if len(text) > LONGEST_TEXT:
        raise Unreadable(
            say(
                "That is too long to be a place: type a postal code or a town, at most %(most)d characters.",
                most=LONGEST_TEXT,
            )
        )
    plain = unicodedata.normalize("NFKC", text)
    seen = "".join(letter if letter.isprintable() else " " for letter in plain)
    if not fold(seen):
        raise Unreadable(say("Type a postal code, a town, or coordinates such as 41.92,-87.64."))
    return " ".join(seen.split())


def said_country(code: str | None) -> str | None:
    """Two letters of ISO 3166, in capitals; a US territory is the US. Raises Unreadable."""
    if not code:
        return None
    if not re.fullmatch("[A-Za-z]{2}", code):
        raise Unreadable(
            say("“%(typed)s” is not a country: give its two letters, such as GB.", typed=code[:40])
        )
    return home(code.upper())


def coordinates(text: str) -> tuple[Point, float] | None:
    """The point that is typed as such, and its precision (km): decimal degrees, a geo: URI, or degrees.

    Raises InvalidCoordinates for a point that is not on the earth.
    """
    if Point.looks_like(text):
        return Point.parse(text), precision_of(text)
    if uri := _GEO_URI.fullmatch(text):
        pair, uncertain = f"{uri[1]},{uri[2]}", _UNCERTAIN.search(uri[3])
        return Point.parse(pair), float(uncertain[1]) / 1000 if uncertain else precision_of(pair)
    plain = text.translate(_QUOTES).replace("''", '"')
    if after := _AFTER.fullmatch(plain):
        *arc, side = after.groups()[:4]
        *other, half = after.groups()[4:]
    elif before := _BEFORE.fullmatch(plain):
        side, *arc = before.groups()[:4]
        half, *other = before.groups()[4:]
    else:
        return None
    latitude, longitude = _degrees(arc), _degrees(other)
    point = Point(-latitude if side in "Ss" else latitude, -longitude if half in "WwOo" else longitude)
    return point, PRECISION_OF_ARC_KM


def _degrees(parts: Sequence[str | None]) -> float:
    """From degrees, minutes and seconds."""
    return round(
        sum(float(part or 0) * unit for part, unit in zip(parts, (1, 1 / 60, 1 / 3600), strict=True)), 6
    )


def has_digit(text: str) -> bool:
    return any(letter.isdigit() for letter in text)


def is_full_code(key: str) -> bool:
    """Whether it stands out as a code in an address: five digits or more, or the full form of a country's."""
    if key.isdigit():
        return len(key) >= FULL_CODE
    return has_digit(key) and any(form.fullmatch(key) for _, form, _ in FULL_FORMS)


def address_parts(text: str) -> list[str]:
    """What follows each comma of an address, the longest first: `Chicago, IL` before `IL`."""
    pieces = [piece.strip() for piece in _PARTS.split(text) if piece.strip()]
    return [", ".join(pieces[first:]) for first in range(1, len(pieces))] + pieces[:1] * (len(pieces) > 1)


def phrases(text: str) -> list[str]:
    """Folded runs of words that may be the name of a town in the middle of an address."""
    words = " ".join(name_parts(text)).split()[:MOST_WORDS]
    runs = [
        " ".join(words[first : first + size])
        for size in range(min(WORDS_OF_A_NAME, len(words)), 0, -1)
        for first in range(len(words) - size + 1)
    ]
    return [run for run in dict.fromkeys(runs) if len(run) >= SHORTEST_NAME and not has_digit(run)]


def precision_of(pair: str) -> float:
    """Kilometres that the last decimal of typed coordinates stands for, halved."""
    decimals = max(len(fraction) for fraction in re.findall(r"\.(\d*)|$", pair))
    return round(max(55.0 * 0.1**decimals, 0.001), 3)


def code_guesses(text: str) -> Iterator[tuple[str, str]]:
    """(key, the other words) of what may be a postal code in `text`, the longest first.

    A text without a digit is one as a whole or not at all.
    """
    words = list(_WORD.finditer(text))[:MOST_WORDS]
    if not has_digit(text):
        yield code_key(text), ""
        return
    for size in range(min(WORDS_OF_A_CODE, len(words)), 0, -1):
        for first, last in zip(words, words[size - 1 :], strict=False):
            key = code_key(text[first.start() : last.end()])
            if 2 <= len(key) <= LONGEST_CODE and has_digit(key):
                yield key, f"{text[: first.start()]},{text[last.end() :]}"


def looks_like_code(text: str) -> bool:
    """Whether a code was meant, known or not: digits, and hardly a word beside them."""
    return has_digit(text) and not any(
        len(word) > WORDS_OF_A_CODE + 1 and word.isalpha() for word in text.split()
    )


def name_parts(text: str) -> list[str]:
    """The folded parts between commas."""
    return [part for part in map(fold, _PARTS.split(text)) if part]


def name_guesses(text: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(name, what it lies in) by folded keys: Portland, OR; Portland Maine; Portland OR USA."""
    between = name_parts(text)
    words = " ".join(between).split()
    yield " ".join(words), ()
    if len(between) > 1:
        yield between[0], tuple(between[1:])
    for count in range(1, min(4, len(words))):
        yield " ".join(words[:-count]), (" ".join(words[-count:]),)
    if len(words) > 2:
        yield " ".join(words[:-2]), tuple(words[-2:])


def country_order(
    said: str | None, operator: Sequence[str], branches: Sequence[str], accept_language: str
) -> tuple[str, ...]:
    """In which countries an ambiguous code is tried: said, the operator's, where branches are, the reader's.

    `branches` comes with the most branches first; a language without a region counts for where most speak it.
    """
    wanted = [said or "", *operator, *branches, *_countries_of(accept_language)]
    return tuple(dict.fromkeys(home(country.upper()) for country in wanted if country))


def _countries_of(accept_language: str) -> Iterator[str]:
    """RFC 9110 12.5.4, the most wanted first; what is no language is left out."""
    wanted = []
    for item in accept_language.split(",")[:MOST_LANGUAGES]:
        tag, _, quality = item.strip().partition(";q=")
        match = _TAG.fullmatch(tag.strip())
        if match and (country := match[2] or _likely_country(match[1].lower())):
            wanted.append((_quality(quality), country))
    return (country for quality, country in sorted(wanted, key=lambda pair: -pair[0]) if quality > 0)


def _quality(text: str) -> float:
    return float(text) if re.fullmatch(r"[01](?:\.\d{0,3})?", text) else float(not text)


def _likely_country(language: str) -> str:
    """CLDR's likely subtags: de_Latn_DE."""
    *_, country = str(get_global("likely_subtags").get(language, "")).split("_")
    return country if re.fullmatch("[A-Z]{2}", country) else ""
