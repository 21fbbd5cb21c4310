"""Faults in what pages tell search engines: by schema.org's own list of types and properties, and by what Google asks
of an event.

The vocabulary is that of the package `schema_org`, as data: to build its models takes fifteen seconds.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time
from typing import Any

from schema_org import registry
from schema_org.base import PropertyMetadata

SCRIPT = re.compile(r'<script type="application/ld\+json">\n(.*?)\n\s*</script>', re.DOTALL)
ADDRESS = re.compile(r"https?://[^\s<>]+")
DURATION = re.compile(r"P(?=\d|T\d)(\d+[YMWD])*(T(\d+[HMS])+)?")
KEYWORDS = {"@context", "@type", "@id"}


class Faulty(ValueError):
    pass


def nodes_of(page: str) -> list[dict[str, Any]]:
    """The things that a page speaks of; none where it has no script."""
    found = [json.loads(text) for text in SCRIPT.findall(page)]
    assert len(found) <= 1 and page.count("application/ld+json") == len(found)
    for each in found:
        assert each.pop("@context") == "https://schema.org"
    return [node for each in found for node in each.get("@graph", [each])]


def fault_of(node: Mapping[str, Any]) -> str | None:
    """What schema.org does not know of it, or knows otherwise."""
    try:
        _check(node, ("Thing",))
    except Faulty as error:
        return f"{node.get('@type')}: {error}"
    return None


def missing_in(event: Mapping[str, Any]) -> Iterator[str]:
    """https://developers.google.com/search/docs/appearance/structured-data/event, required properties."""
    yield from (name for name in ("name", "startDate", "location") if not event.get(name))
    places = event.get("location", [])
    for place in places if isinstance(places, list) else [places]:
        wanted = "url" if place["@type"] == "VirtualLocation" else "address"
        if not place.get(wanted):
            yield f"location.{wanted}"


def _check(node: Mapping[str, Any], ranges: tuple[str, ...]) -> None:
    if set(node) == {"@id"}:
        return  # what is described elsewhere
    kind = str(node.get("@type"))
    if kind not in registry.CLASS_METADATA:
        raise Faulty(f"{kind} is no type")
    kinds = (kind, *registry.ancestry(kind))
    if not set(ranges) & set(kinds):
        raise Faulty(f"{kind} is none of {', '.join(ranges)}")
    known = {name for each in kinds for name in registry.CLASS_METADATA[each].properties}
    for name, value in node.items():
        # https://schema.org/docs/actions.html: inputs of an action are annotations, not properties.
        if name in KEYWORDS or (name.endswith("-input") and "Action" in kinds):
            continue
        if name not in known or registry.PROPERTY_BY_SCHEMA[name].superseded_by:
            raise Faulty(f"{kind} has no {name}")
        for each in value if isinstance(value, list) else [value]:
            _check_value(each, registry.PROPERTY_BY_SCHEMA[name])
    if not node.keys() - KEYWORDS and "@id" not in node:
        raise Faulty(f"{kind} says nothing")


def _check_value(value: object, known: PropertyMetadata) -> None:
    ranges = set(known.ranges)
    match value:
        case dict():
            return _check(value, known.ranges)
        case bool():
            fits = "Boolean" in ranges
        case int():
            fits = bool(ranges & {"Integer", "Number"})
        case float():
            fits = "Number" in ranges
        case str() if value.strip():
            fits = any(_is_text_of(value, each) for each in ranges)
        case _:
            fits = False
    if not fits:
        raise Faulty(f"{known.schema_name} cannot be {value!r}")


def _is_text_of(text: str, kind: str) -> bool:
    """Whether a text can be of that type: JSON has no dates and no names."""
    match kind:
        case "Text":
            return True
        case "URL":
            return ADDRESS.fullmatch(text) is not None
        case "Duration":
            return DURATION.fullmatch(text) is not None
        case "Date" | "DateTime" | "Time":
            return _is_read_by({"Date": date, "DateTime": datetime, "Time": time}[kind], text)
    return text.removeprefix("https://schema.org/") in registry.ENUM_MEMBERS.get(kind, ())


def _is_read_by(kind: type[date] | type[time], text: str) -> bool:
    try:
        kind.fromisoformat(text)
    except ValueError:
        return False
    return True
