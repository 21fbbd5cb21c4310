"""Reading the feeds of strangers (Atom, RSS): parsed in a process with limits, and judged once more when it is back.

One bad entry never costs the others: what has no title, or leads nowhere, is left out and counted.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from html.parser import HTMLParser
from io import BytesIO
from time import struct_time
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

from pydantic import AfterValidator, AwareDatetime, Field, ValidationError

from ..drafts import FIRST_YEAR, LAST_YEAR, Draft, Line, ShortText, Title, tidy, web_address
from ..errors import Unreadable, say
from ..later import loaded_later
from ..sandbox import Crashed, Limits, run

if TYPE_CHECKING:
    import feedparser
else:
    feedparser = loaded_later("feedparser")

MOST_ENTRIES = 50
LONGEST_ID = 300
LONGEST_TITLE = 300
LONGEST_URL = 2000
LIMITS = Limits(output_bytes=2_000_000)
_TASK = f"{__name__}:as_lines"
_BEGINNING = 100  # characters of a text that stand for its title, where it has none
_LOOKED_AT = 20_000  # characters of a title or a text that are read at all

_APART = frozenset(("br", "div", "h1", "h2", "h3", "h4", "li", "p", "td", "tr"))
_FEEDS = ("application/atom+xml", "application/rss+xml")
_NUMBERED = re.compile(rb"&#(?:x([0-9a-f]+)|([0-9]+));", re.IGNORECASE)
# A parser that guesses its way through anything fails in any way when it has guessed wrong.
_BROKEN = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    RecursionError,
)


class Entry(Draft):
    """One headline, as its feed has it."""

    entry_id: Annotated[str, Field(min_length=1, max_length=LONGEST_ID)]
    title: Title
    url: Annotated[str, Field(min_length=1, max_length=LONGEST_URL), Line, AfterValidator(web_address)]
    published: AwareDatetime | None = None


class _Head(Draft):
    name: ShortText


@dataclass(frozen=True, slots=True)
class Reading:
    """`entries`: the newest first. `left_out` of `total` have no title, or lead nowhere."""

    name: str
    entries: list[Entry]
    left_out: int
    total: int


def read(data: bytes, address: str, limits: Limits = LIMITS) -> Reading:
    """`address`: where it was fetched. Raises Unreadable, OverLimits and Crashed. Blocks for seconds at most."""
    return reading_of(run(_TASK, data, {"address": address}, limits))


def reading_of(output: bytes) -> Reading:
    """What the task wrote. Raises Crashed."""
    head, *lines = output.splitlines() or [b""]
    try:
        name = _Head.model_validate_json(head).name
    except ValidationError as error:
        raise Crashed(str(error)) from error
    found = [_entry(line) for line in lines[:MOST_ENTRIES]]
    entries = [entry for entry in found if entry]
    return Reading(name, entries, len(found) - len(entries), len(found))


def _entry(line: bytes) -> Entry | None:
    try:
        return Entry.model_validate_json(line)
    except ValidationError:
        return None


# ---------------------------------------------------------------- in the child


def as_lines(stream: BinaryIO, address: str) -> Iterator[bytes]:
    """The task: a line with the name, then one of JSON for each entry, the newest first."""
    feed = _parsed(stream.read(), address)
    version = str(feed.get("version") or "")
    if not version:
        raise _no_feed(feed)
    yield _line({"name": _words(feed.feed, "title", version)[:LONGEST_TITLE]})
    said = [_said(entry, version) for entry in feed.entries]
    newest = sorted(said, key=lambda entry: entry.get("published", ""), reverse=True)[:MOST_ENTRIES]
    for entry in _told_apart(newest):
        yield _line(entry)


def _parsed(data: bytes, address: str) -> Any:
    """A stream: a text that is an address, or the name of a file, would be fetched or opened.

    The media type makes UTF-8 of what says nothing else about itself (RFC 7303 3.2). Nothing needs to be made
    harmless, for no markup is kept.
    """
    try:
        return feedparser.parse(
            BytesIO(_NUMBERED.sub(_repaired, data)),
            response_headers={"content-type": "application/xml", "content-location": address},
            resolve_relative_uris=False,
            sanitize_html=False,
        )
    except _BROKEN as error:
        raise Unreadable(say("This feed is broken in a way that we cannot read past.")) from error


def _repaired(match: re.Match[bytes]) -> bytes:
    """A number that stands for no character (XML 1.0, 2.2) would cost the whole feed."""
    digits, base = (match[1], 16) if match[1] else (match[2], 10)
    number = int(digits, base) if len(digits) <= 10 else 0
    is_character = number in (9, 10, 13) or 32 <= number < 0xD800 or 0xE000 <= number < 0x110000
    return match[0] if is_character and number not in (0xFFFE, 0xFFFF) else b"&#65533;"


def _no_feed(feed: Any) -> Unreadable:
    """A page often names its feed."""
    links = [link for link in feed.feed.get("links", ()) if link.get("type") in _FEEDS and link.get("href")]
    if links:
        return Unreadable(
            say("This is a page, not a feed. It names this feed: %(address)s", address=links[0]["href"])
        )
    return Unreadable(
        say(
            "This is not a feed (Atom or RSS). The address of a feed often ends in /feed, .xml, .atom or .rss"
        )
    )


def _said(entry: Any, version: str) -> dict[str, str]:
    url = _clean(str(entry.get("link") or ""))
    title = _words(entry, "title", version) or _shortened(_words(entry, "summary", version), _BEGINNING)
    said = {
        "entry_id": _clean(str(entry.get("id") or "")) or url,
        "title": _shortened(title, LONGEST_TITLE),
        "url": url,
    }
    return said | _published(entry)


def _published(entry: Any) -> dict[str, str]:
    """When it was published, else when it was changed; nothing where no calendar of ours knows the year."""
    for name in ("published_parsed", "updated_parsed"):
        moment = dict.get(entry, name)  # feedparser's own `get` answers with the other one
        if isinstance(moment, struct_time) and FIRST_YEAR <= moment.tm_year <= LAST_YEAR:
            return {"published": datetime(*moment[:5], min(moment.tm_sec, 59), tzinfo=UTC).isoformat()}
    return {}


def _told_apart(entries: Sequence[dict[str, str]]) -> Iterator[dict[str, str]]:
    """Some feeds give many entries one id: those are known by where they lead. What is there twice is said once."""
    number = Counter(entry["entry_id"] for entry in entries)
    seen: set[str] = set()
    for entry in entries:
        known_by = entry["entry_id"] if number[entry["entry_id"]] == 1 else entry["url"]
        if known_by not in seen:
            yield entry | {"entry_id": _short(known_by)}
        seen.add(known_by)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_ID else sha256(text.encode()).hexdigest()


def _line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


# ---------------------------------------------------------------- words without markup


def _words(of: Any, name: str, version: str) -> str:
    """In Atom plain text is that (RFC 4287 3.1.1.1); anything else may be HTML, whatever it is called."""
    text = str(of.get(name) or "")[:_LOOKED_AT]
    kind = (of.get(f"{name}_detail") or {}).get("type")
    return _clean(text if version.startswith("atom") and kind == "text/plain" else _without_markup(text))


def _clean(text: str) -> str:
    """One line, and half a surrogate pair is a question mark: it could not be stored."""
    return " ".join(tidy(text.encode("utf-8", "replace").decode()).split())


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def _without_markup(text: str) -> str:
    reader = _Words()
    reader.feed(text)
    reader.close()
    return "".join(reader.words)


class _Words(HTMLParser):
    """Collects what a reader sees."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _APART:
            self.words.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self.handle_starttag(tag, [])

    def handle_data(self, data: str) -> None:
        if self.cdata_elem is None:  # not of a script or a style
            self.words.append(data)
