"""Lists of entries as Atom (RFC 4287) and JSON Feed 1.1, whatever the entries are: events, or news."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from ..drafts import tidy
from .content import Publishing

ATOM = "http://www.w3.org/2005/Atom"
JSON_FEED = "https://jsonfeed.org/version/1.1"
NOTHING_YET = datetime(2026, 1, 1, tzinfo=UTC)  # when a list without entries was last updated


@dataclass(frozen=True, slots=True)
class Front:
    """What a list says of itself, in the reader's language. `url`: its page; `source`: its own address."""

    name: str
    description: str
    url: str
    source: str
    locale: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An entry. `id` is a URI, stable for life; `tags` are slugs with names, `authors` names with pages.

    `language`: of the title. `text` and `record` are for JSON Feed; Atom says the words as HTML alone.
    """

    id: str
    url: str
    title: str
    language: str
    summary: str
    html: str
    published_at: datetime
    updated_at: datetime
    text: str = ""
    tags: Sequence[tuple[str, str]] = ()
    authors: Sequence[tuple[str, str]] = ()
    record: Mapping[str, object] = field(default_factory=dict)


def urn(uid: str) -> str:
    """Our UIDs are UUIDs; one from elsewhere becomes one that is always the same."""
    try:
        return uuid.UUID(hex=uid).urn
    except ValueError:
        return uuid.uuid5(uuid.NAMESPACE_OID, uid).urn


def utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


# ---------------------------------------------------------------- JSON Feed


def json_feed(front: Front, items: Sequence[Item], publishing: Publishing) -> bytes:
    """https://jsonfeed.org/version/1.1; what an item has for programs besides is its `_branchline`."""
    feed = {
        "version": JSON_FEED,
        "title": front.name,
        "home_page_url": front.url,
        "feed_url": front.source,
        "description": front.description,
        "language": front.locale,
        "authors": [{"name": publishing.organisation, "url": publishing.base_url}],
        "items": [_json_item(each) for each in items],
    }
    return json.dumps(feed, ensure_ascii=False).encode()


def _json_item(item: Item) -> dict[str, object]:
    values: dict[str, object] = {
        "id": item.id,
        "url": item.url,
        "title": tidy(item.title),
        "summary": tidy(item.summary),
        "content_html": tidy(item.html),
        "content_text": tidy(item.text),
        "date_published": utc(item.published_at),
        "date_modified": utc(item.updated_at),
        "language": item.language,
        "tags": [name for _, name in item.tags],
        "authors": [{"name": name, "url": url} for name, url in item.authors],
        "_branchline": item.record,
    }
    return {name: value for name, value in values.items() if value}


# ---------------------------------------------------------------- Atom


def atom(front: Front, items: Sequence[Item], publishing: Publishing) -> bytes:
    """RFC 4287, serialised by a serialiser; what XML cannot hold was taken out before."""
    feed = Element("feed", {"xmlns": ATOM, "xml:lang": front.locale})
    _text(feed, "id", front.source)
    _text(feed, "title", front.name)
    _text(feed, "subtitle", front.description)
    _text(feed, "updated", utc(max((each.updated_at for each in items), default=NOTHING_YET)))
    _link(feed, "self", front.source, "application/atom+xml")
    _link(feed, "alternate", front.url, "text/html")
    _author(feed, publishing.organisation, publishing.base_url)
    for each in items:
        _entry(feed, each)
    written: bytes = ElementTree.tostring(feed, encoding="utf-8", xml_declaration=True)
    return written


def _entry(feed: Element, item: Item) -> None:
    entry = SubElement(feed, "entry")
    _text(entry, "id", item.id)
    _text(entry, "title", item.title, {"xml:lang": item.language})
    _text(entry, "published", utc(item.published_at))
    _text(entry, "updated", utc(item.updated_at))
    _link(entry, "alternate", item.url, "text/html")
    for name, url in item.authors:
        _author(entry, name, url)
    for slug, name in item.tags:
        SubElement(entry, "category", {"term": slug, "label": tidy(name)})
    if item.summary:
        _text(entry, "summary", item.summary)
    if item.html:
        _text(entry, "content", item.html, {"type": "html"})


def _author(parent: Element, name: str, url: str) -> None:
    author = SubElement(parent, "author")
    _text(author, "name", name)
    _text(author, "uri", url)


def _link(parent: Element, relation: str, url: str, media_type: str) -> None:
    SubElement(parent, "link", {"rel": relation, "type": media_type, "href": tidy(url)})


def _text(parent: Element, tag: str, text: str, attributes: dict[str, str] | None = None) -> None:
    SubElement(parent, tag, attributes or {}).text = tidy(text)
