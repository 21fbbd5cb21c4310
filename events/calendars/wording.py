"""What organizers say of an event in other languages than its own. Pure.

Readers get the title and the text each in their language where it was given, else as the event has it. Dates that
are changed one by one are changed in the event's own language alone.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

Translations = Mapping[str, Mapping[str, str]]  # by BCP 47 tag: title and description, or one of them


class Part(StrEnum):
    TITLE = "title"
    TEXT = "description"


class Words(NamedTuple):
    """A text, and the language that it is in (BCP 47)."""

    text: str
    language: str


def worded(own: Words, part: Part, translations: Translations | None, reader: str) -> Words:
    """A part of an event for who reads in the language `reader`."""
    return _given(translations, reader).get(part, own) if translations else own


def _given(translations: Translations, reader: str) -> dict[str, Words]:
    """What there is for them by part: in exactly their language, else more or less precisely (es for es-MX)."""
    found: dict[str, Words] = {}
    for tag in sorted(translations, key=lambda tag: tag == reader):
        if is_same(tag, reader):
            found |= {part: Words(text, tag) for part, text in translations[tag].items()}
    return found


def is_same(tag: str, other: str) -> bool:
    """Whether one of them says the other more precisely: es and es-MX, but not es-MX and es-ES."""
    shorter, longer = sorted((f"{tag}-".lower(), f"{other}-".lower()), key=len)
    return longer.startswith(shorter)


class Missing(StrEnum):
    ALL = "all"
    TITLE = "title"
    TEXT = "text"


def missing(
    language: str,
    has_text: bool,
    translations: Translations | None,
    site: Iterable[str],
    branch: Iterable[str],
) -> dict[str, Missing]:
    """What an event in `language` does not say in the other languages of the site.

    Nobody is asked for a language that the branch does not work in, unless a beginning was made: a branch of one
    language never hears of the others.
    """
    works_in = {_primary(tag) for tag in branch}
    found = {}
    for tag in site:
        given = _given(translations or {}, tag)
        if is_same(tag, language):
            continue
        if not given and _primary(tag) in works_in:
            found[tag] = Missing.ALL
        elif given and not given.get(Part.TITLE):
            found[tag] = Missing.TITLE
        elif given and has_text and not given.get(Part.TEXT):
            found[tag] = Missing.TEXT
    return found


def _primary(tag: str) -> str:
    return tag.split("-")[0].lower()
