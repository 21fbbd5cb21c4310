"""What was typed, taken apart: possible codes and names in it, and the countries to try them in. Pure."""

import re
import unicodedata
from collections.abc import Iterator, Sequence

from babel.core import get_global

from ..errors import Unreadable, say
from .naming import code_key, fold, home

LONGEST_TEXT = 200
MOST_WORDS = 12  # a postal code is looked for among so many
WORDS_OF_A_CODE = 3  # SE 111 22
LONGEST_CODE = 10
MOST_LANGUAGES = 10

_WORD = re.compile(r"\w+")
_PARTS = re.compile(r"[,;()\n]+")
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


def precision_of(pair: str) -> float:
    """Kilometres that the last decimal of typed coordinates stands for, halved."""
    decimals = max(len(fraction) for fraction in re.findall(r"\.(\d*)|$", pair))
    return round(max(55.0 * 0.1**decimals, 0.001), 3)


def code_guesses(text: str) -> Iterator[tuple[str, str]]:
    """(key, the other words) of what may be a postal code in `text`, the longest first.

    A text without a digit is one as a whole or not at all.
    """
    words = list(_WORD.finditer(text))[:MOST_WORDS]
    if not any(letter.isdigit() for letter in text):
        yield code_key(text), ""
        return
    for size in range(min(WORDS_OF_A_CODE, len(words)), 0, -1):
        for first, last in zip(words, words[size - 1 :], strict=False):
            key = code_key(text[first.start() : last.end()])
            if 2 <= len(key) <= LONGEST_CODE and any(letter.isdigit() for letter in key):
                yield key, f"{text[: first.start()]},{text[last.end() :]}"


def looks_like_code(text: str) -> bool:
    return any(letter.isdigit() for letter in text) and 2 <= len(code_key(text)) <= LONGEST_CODE


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
