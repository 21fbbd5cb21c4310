"""A mail in blocks, written as plain text and as small HTML alike: neither says anything that the other does not.

The HTML fetches nothing, counts nobody and runs nothing: no picture, no script, no style sheet. What somebody typed
is escaped, and becomes no link.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from markupsafe import Markup, escape

from . import markdown
from .language import Language


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: str
    small: bool = False


@dataclass(frozen=True, slots=True)
class Heading:
    text: str


@dataclass(frozen=True, slots=True)
class Bullets:
    """What a line holds after a line break, stands below its beginning: an address of ours, say."""

    lines: Sequence[str]


@dataclass(frozen=True, slots=True)
class Link:
    """An address of ours; `label` says what it leads to, and stands alone in HTML."""

    url: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Quote:
    """What somebody typed, set off from what we say."""

    text: str


@dataclass(frozen=True, slots=True)
class Prose:
    """Markdown of an organizer."""

    text: str


@dataclass(frozen=True, slots=True)
class Item:
    """An event or a notice in a list: `mark` is one word about it ("Cancelled"), `links` are label and address."""

    title: str
    url: str
    lines: Sequence[str] = ()
    mark: str = ""
    links: Sequence[Link] = ()


Block: TypeAlias = Paragraph | Heading | Bullets | Link | Quote | Prose | Item
Letter: TypeAlias = Sequence[Block]

_ADDRESS = re.compile(r"https?://\S+")
_DOCUMENT = Markup(
    '<!doctype html>\n<html lang="{lang}" dir="{direction}">\n<head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
    "<title>{subject}</title></head>\n"
    '<body style="margin:0;padding:1rem"><div style="max-width:36rem;margin:0 auto;overflow-wrap:anywhere;'
    "font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif\">\n{blocks}\n</div></body>\n</html>\n"
)
_SMALL = Markup(' style="font-size:.875rem;opacity:.8"')


def letter_of(text: str) -> Letter:
    """The blocks of a plain text: paragraphs, lists with hyphens, and addresses that stand alone."""
    return [_block(part) for part in text.strip().split("\n\n") if part.strip()]


def _block(text: str) -> Block:
    lines = text.strip("\n").split("\n")
    if lines[0].startswith("- ") and all(line[:2] in ("- ", "  ") for line in lines):
        return Bullets([item.replace("\n  ", "\n") for item in "\n".join(lines)[2:].split("\n- ")])
    return Link(lines[0]) if len(lines) == 1 and _ADDRESS.fullmatch(lines[0]) else Paragraph(text.strip("\n"))


# ---------------------------------------------------------------- plain text


def text_of(letter: Letter) -> str:
    return "\n\n".join(map(_text, letter)) + "\n"


def _text(block: Block) -> str:
    match block:
        case Paragraph(text):
            return text
        case Heading(text):
            return f"{text}\n{'-' * min(len(text), 60)}"
        case Bullets(lines):
            return "\n".join("- " + line.replace("\n", "\n  ") for line in lines)
        case Link(url, label):
            return f"{label}:\n{url}" if label else url
        case Quote(text):
            return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))
        case Prose(text):
            return markdown.plain(text)
        case Item(title, url, lines, mark, links):
            head = f"{mark}: {title}" if mark else title
            return "\n".join([head, *lines, url, *(f"{link.label}: {link.url}" for link in links)])


# ---------------------------------------------------------------- HTML


def html_of(letter: Letter, subject: str, spoken: Language) -> str:
    """A whole document; what cannot be UTF-8 was taken out by the drafts before."""
    blocks = Markup("\n").join(map(_html, letter))
    return str(_DOCUMENT.format(lang=spoken.code, direction=spoken.direction, subject=subject, blocks=blocks))


def _html(block: Block) -> Markup:
    match block:
        case Paragraph(text, small):
            return Markup('<p dir="auto"{}>{}</p>').format(_SMALL if small else "", _lines(text))
        case Heading(text):
            return Markup('<h2 dir="auto" style="font-size:1.25rem;margin:1.5rem 0 .5rem">{}</h2>').format(
                text
            )
        case Bullets(lines):
            items = Markup("").join(Markup('<li dir="auto">{}</li>').format(_lines(line)) for line in lines)
            return Markup('<ul style="padding-inline-start:1.25rem">{}</ul>').format(items)
        case Link(url, label):
            return Markup("<p>{}</p>").format(_anchor(url, label or url))
        case Quote(text):
            return Markup(
                '<blockquote dir="auto" style="margin:1rem 0;padding-inline-start:1rem;'
                'border-inline-start:3px solid #888">{}</blockquote>'
            ).format(Markup("<br>\n").join(map(escape, text.split("\n"))))
        case Prose(text):
            return Markup('<div dir="auto">{}</div>').format(markdown.html(text))
        case Item():
            return _html_item(block)


def _html_item(item: Item) -> Markup:
    mark = Markup("<strong>{}</strong> · ").format(item.mark) if item.mark else Markup("")
    head = Markup("{}<strong>{}</strong>").format(mark, _anchor(item.url, item.title))
    links = Markup(" · ").join(_anchor(link.url, link.label) for link in item.links)
    rows = [head, *(escape(line) for line in item.lines), *([links] if item.links else [])]
    return Markup('<p dir="auto" style="margin:1rem 0">{}</p>').format(Markup("<br>\n").join(rows))


def _lines(text: str) -> Markup:
    """With a link where an address has a line of its own: ours do, in what we say."""
    lines = (_anchor(line, line) if _ADDRESS.fullmatch(line) else escape(line) for line in text.split("\n"))
    return Markup("<br>\n").join(lines)


def _anchor(url: str, label: str) -> Markup:
    return Markup('<a href="{}">{}</a>').format(url, label)
