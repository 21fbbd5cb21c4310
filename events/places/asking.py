"""What was typed, taken apart: possible codes and names in it, and the countries to try them in. Pure."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise

from babel.core import get_global

from ..errors import Unreadable, say
from .naming import FULL_FORMS, code_key, fold, home

LONGEST_TEXT = 200
MOST_WORDS = 12  # a postal code is looked for among so many, at the end: there addresses have it
WORDS_OF_A_CODE = 3  # SE 111 22
LONGEST_CODE = 10
MOST_LANGUAGES = 10
WORDS_OF_A_NAME = 4  # San Pedro Garza García
SHORTEST_NAME = 3
FULL_CODE = 5  # digits of a code that stands out among other numbers
# Words that say what follows or goes before: no names of towns here, though some town has each of them.
CODE_WORDS = frozenset(
    {
        *("zip", "zip code", "zipcode", "postcode", "post code", "postal code", "plz", "postleitzahl"),
        *("cp", "c p", "codigo postal", "code postal", "cep", "cap"),
    }
)
STREET_WORDS = frozenset(
    {
        *("street", "road", "avenue", "lane", "drive", "boulevard", "court", "place", "square", "terrace"),
        *("way", "park", "bridge", "tower", "station", "hill", "valley", "city", "town", "center", "centre"),
        *("calle", "avenida", "plaza", "paseo", "camino", "rue", "via"),
    }
)

_WORD = re.compile(r"\w+")
_PARTS = re.compile(r"[,;()\n]+")
# Between the words of one code. A dot only as Brazil has it: 01.310-100.
_WITHIN_A_CODE = re.compile(r"[\s/\-‐–—−]+|\.(?=\d{3}-)")
_INVISIBLE = str.maketrans({"º": "°", "\u00ad": None})  # NFKC would make the first a letter
_TAG = re.compile(r"([A-Za-z]{2,3})(?:-[A-Za-z]{4})?(?:-([A-Za-z]{2}))?(?:-[A-Za-z0-9]+)*")


def cleaned(text: str) -> str:
    """One line in compatible characters and our digits, whatever script they came in. Raises Unreadable."""
    plain = unicodedata.normalize("NFKC", text[: LONGEST_TEXT + 1].translate(_INVISIBLE))
    if len(text) > LONGEST_TEXT or len(plain) > LONGEST_TEXT:  # one sign may stand for a whole sentence
        raise Unreadable(
            say(
                "That is too long to be a place: type a postal code or a town, at most %(most)d characters.",
                most=LONGEST_TEXT,
            )
        )
    is_plain = plain.isascii() and plain.isprintable()
    seen = plain if is_plain else "".join(map(_seen, plain))
    if not fold(seen):
        raise Unreadable(say("Type a postal code, a town, or coordinates such as 41.92,-87.64."))
    return " ".join(seen.split())


def _seen(letter: str) -> str:
    if letter.isdecimal():
        return str(unicodedata.decimal(letter))
    return letter if letter.isprintable() else " "


def said_country(code: str | None) -> str | None:
    """Two letters of ISO 3166, in capitals; a US territory is the US. Raises Unreadable."""
    if not code:
        return None
    if not re.fullmatch("[A-Za-z]{2}", code):
        raise Unreadable(
            say("“%(typed)s” is not a country: give its two letters, such as GB.", typed=code[:40])
        )
    return _home(code)


def has_digit(text: str) -> bool:
    return any(letter.isdigit() for letter in text)


def is_full_code(key: str) -> bool:
    """Whether it stands out as a code in an address: five digits or more, or the full form of a country's."""
    if key.isdigit():
        return len(key) >= FULL_CODE
    return has_digit(key) and any(form.fullmatch(key) for _, form, _ in FULL_FORMS)


def address_parts(text: str) -> tuple[list[str], list[str]]:
    """What follows each comma, the longest first (`Chicago, IL`), and each piece between the commas."""
    pieces = [piece.strip() for piece in _PARTS.split(text) if piece.strip()]
    ends = [", ".join(pieces[first:]) for first in range(1, len(pieces) - 1)]
    return ends, pieces[::-1] if len(pieces) > 1 else []


def phrases(text: str) -> list[str]:
    """Folded runs of words that may be the name of a town in the middle of an address."""
    words = " ".join(name_parts(text)).split()[-MOST_WORDS:]
    runs = [
        " ".join(words[first : first + size])
        for size in range(min(WORDS_OF_A_NAME, len(words)), 0, -1)
        for first in range(len(words) - size + 1)
    ]
    return [run for run in dict.fromkeys(runs) if len(run) >= SHORTEST_NAME and not has_digit(run)]


def code_guesses(text: str) -> Iterator[tuple[str, str]]:
    """(key, the other words) of what may be a postal code in `text`, the longest first.

    A text without a digit is one as a whole or not at all.
    """
    words = list(_WORD.finditer(text))[-MOST_WORDS:]
    if not has_digit(text):
        yield code_key(text), ""
        return
    if spread := _spread_out(words):
        yield spread, ""
    for size in range(min(WORDS_OF_A_CODE, len(words)), 0, -1):
        for first in range(len(words) - size + 1):
            run = words[first : first + size]
            key = code_key(text[run[0].start() : run[-1].end()])
            if 2 <= len(key) <= LONGEST_CODE and has_digit(key) and _is_one(text, run):
                yield key, f"{text[: run[0].start()]},{text[run[-1].end() :]}"


def _spread_out(words: Sequence[re.Match[str]]) -> str:
    """6 0 6 1 4: the code, if all of the text is one that is written so."""
    key = code_key("".join(word[0] for word in words))
    narrow = all(len(word[0]) <= 2 for word in words)
    return key if narrow and len(words) > WORDS_OF_A_CODE and len(key) <= LONGEST_CODE else ""


def _is_one(text: str, words: Sequence[re.Match[str]]) -> bool:
    """Whether only what may stand in a code parts the words: 41.92 is none of four digits."""
    gaps = ((one.end(), other.start()) for one, other in pairwise(words))
    return all((gap := _WITHIN_A_CODE.match(text, start)) and gap.end() == end for start, end in gaps)


def looks_like_code(text: str) -> bool:
    """Whether a code was meant, known or not: digits, and hardly a word beside them."""
    words = [word for word in text.split() if word.isalpha()]
    return has_digit(text) and len(words) < 2 and not any(len(word) > WORDS_OF_A_CODE + 1 for word in words)


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
    return tuple(dict.fromkeys(_home(country) for country in wanted if country))


def _home(code: str) -> str:
    """ISO 3166 reserves UK and lists the United Kingdom as GB."""
    return "GB" if code.upper() == "UK" else home(code.upper())


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
