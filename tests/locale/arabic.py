"""A language for tests, written from right to left, with six plural forms: our own sentences in Arabic letters.

It says nothing to anybody. But what is not in Arabic letters on its pages was never given to a translator, and what
stands on the wrong side was wired to languages like English.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile
from unittest.mock import patch

from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

from events.language import LOCALE_DIR, language

CODE = "ar"
FORMS = 6
LATIN = "abcdefghijklmnopqrstuvwxyz"
ARABIC = "ابصدعفغهيجكلمنوبقرستحخضكيز"
_LETTERS = str.maketrans(LATIN + LATIN.upper(), ARABIC * 2)
# What programs read: values, tags, entities, addresses.
_KEPT = re.compile(r"(%\(\w+\)[sd]|%%|<[^>]*>|&\w+;|https?://\S+|\{[^}]*\})")


def written(text: str) -> str:
    return "".join(part if _KEPT.fullmatch(part) else part.translate(_LETTERS) for part in _KEPT.split(text))


def catalogue() -> Catalog:
    """All sentences that the Spanish one has. Of the forms of a plural each is told by its number: (0) to (5)."""
    with (LOCALE_DIR / "es.po").open("rb") as file:
        spanish = read_po(file)
    found = Catalog(locale=CODE)
    for message in spanish:
        if isinstance(message.id, str) and message.id:
            found.add(message.id, written(message.id), context=message.context)
        elif message.id:
            forms = tuple(f"{written(message.id[1])} ({number})" for number in range(FORMS))
            found.add(message.id, forms, context=message.context)
    return found


@contextmanager
def known(folder: Path) -> Iterator[None]:
    """The site knows it, besides English and Spanish."""
    copyfile(LOCALE_DIR / "es.po", folder / "es.po")
    with (folder / f"{CODE}.po").open("wb") as file:
        write_po(file, catalogue())
    language.cache_clear()
    with patch("events.language.LOCALE_DIR", folder):
        yield
    language.cache_clear()
