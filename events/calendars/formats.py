"""Lists of events as Atom (RFC 4287), JSON Feed 1.1 and CSV: what `content` says, written down.

Atom and JSON Feed have one entry for each event, with the date that comes next: a weekly meeting is one piece of
news, not fifty-two. CSV has a row for each date.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TypedDict

from ..branches.sheet import written
from ..drafts import tidy
from ..language import Language
from . import content, entries
from .content import Publishing, Said, Told
from .entries import Item, urn, utc
from .feeds import Heading, Note
from .horizon import rule_of
from .timezones import zone

DIGITS = 6  # of degrees: 10 cm
MOST_BYTES = 150_000  # of what the entries of a list say: programs take the whole list at each poll
COLUMNS = (
    *("uid", "title", "start", "end", "timezone", "all_day", "status", "reason", "place", "address"),
    *("latitude", "longitude", "branches", "topics", "online_url", "url"),
)


# ---------------------------------------------------------------- one date, or one event, for programs


class Named(TypedDict):
    slug: str
    name: str


class Facts(TypedDict):
    """What is told of a date and of an event alike. `/openapi.json` is made of these."""

    id: int | None
    uid: str
    title: str
    start: str
    end: str
    timezone: str
    all_day: bool
    status: str
    reason: str
    moved_from: str | None
    attendance: str
    place: str
    address: str
    latitude: float | None
    longitude: float | None
    branches: list[Named]
    topics: list[Named]
    online_url: str
    registration_url: str
    cost: str
    access: list[str]
    language: str
    updated: str


class DateRecord(Facts):
    original_start: str
    url: str


class EventRecord(Facts):
    state: str
    description: str
    translations: dict[str, dict[str, str]]
    rrule: str
    exdates: list[str]
    next_start: str | None
    dates_to_come: int
    url: str


def record(shown: Said, publishing: Publishing, spoken: Language) -> DateRecord:
    """The one plain form of a date. Times have the offset of their zone; all-day events have first and last day.

    Of one event no two dates have the same `original_start`; it stays when the date is moved.
    """
    planned = shown.override.original_start if shown.override else shown.start
    return {
        **_facts(shown, spoken),
        "original_start": written_start(shown, planned),
        "url": publishing.page_of(shown.event, spoken, shown.planned_day),
    }


def event_record(
    told: Told, next_start: datetime | None, dates_to_come: int, publishing: Publishing, spoken: Language
) -> EventRecord:
    """The one plain form of an event: its first date, and by which rule and exceptions it has others.

    `next_start`: by the wall clock; `dates_to_come`: how many take place, as far ahead as dates are written out.
    """
    event, shown = told.event, content.said(told)
    rule = rule_of(event)
    return {
        **_facts(shown, spoken),
        "state": event.state,
        "description": event.description,
        "translations": event.translations or {},
        "rrule": rule.text(event.timezone, event.all_day) if rule else "",
        "exdates": [written_start(shown, datetime.fromisoformat(text)) for text in event.exdates],
        "next_start": written_start(shown, next_start) if next_start else None,
        "dates_to_come": dates_to_come,
        "url": publishing.page_of(event, spoken),
    }


def _facts(shown: Said, spoken: Language) -> Facts:
    event, told = shown.event, shown.told
    changed_at = shown.override and shown.override.modified_at
    return {
        "id": event.id,
        "uid": event.uid,
        "title": shown.title,
        "start": written_start(shown, shown.start),
        "end": written_end(shown),
        "timezone": event.timezone,
        "all_day": event.all_day,
        "status": shown.status,
        "reason": spoken.say(shown.reason) if shown.is_called_off and shown.reason else "",
        "moved_from": written_start(shown, shown.moved_from) if shown.moved and shown.moved_from else None,
        "attendance": event.attendance,
        "place": shown.place.name,
        "address": shown.place.address,
        "latitude": _rounded(shown.latitude),
        "longitude": _rounded(shown.longitude),
        "branches": [{"slug": host.slug, "name": host.name} for host in told.hosts],
        "topics": [{"slug": topic.slug, "name": topic.name} for topic in told.topics],
        "online_url": shown.online_url,
        "registration_url": event.registration_url,
        "cost": event.cost,
        "access": [word for word in event.access.split(",") if word],
        "language": shown.title_language,
        "updated": utc(changed_at or event.modified_at),
    }


def written_start(shown: Said, wall: datetime) -> str:
    """A time of the event's clock with its offset (RFC 3339), or a date."""
    if shown.event.all_day:
        return wall.date().isoformat()
    return wall.replace(tzinfo=zone(shown.event.timezone), fold=0).isoformat()


def written_end(shown: Said) -> str:
    """The end likewise; of all-day events the last day."""
    return written_start(shown, shown.end - timedelta(days=1) if shown.event.all_day else shown.end)


def _rounded(degrees: float | None) -> float | None:
    return None if degrees is None else round(degrees, DIGITS)


# ---------------------------------------------------------------- CSV


def csv(heading: Heading, dates: Iterable[Said], publishing: Publishing, spoken: Language) -> bytes:
    """A row for each date; formulas are defused."""
    rows = (_cells(record(shown, publishing, spoken)) for shown in dates)
    return "".join([written(COLUMNS), *map(written, rows)]).encode()


def _cells(values: Mapping[str, object]) -> list[str | float | None]:
    return [_cell(values[column]) for column in COLUMNS]


def _cell(value: object) -> str | float | None:
    match value:
        case str():
            return tidy(value)
        case bool():
            return "true" if value else "false"
        case float() | None:
            return value
        case list():
            return "; ".join(each["name"] for each in value)
    return tidy(str(value))


# ---------------------------------------------------------------- entries


def item(shown: Said, publishing: Publishing, spoken: Language, *, in_full: bool = False) -> Item:
    """An event by the date that comes next, and what is off or moved later on. `in_full`: for JSON Feed."""
    event, told = shown.event, shown.told
    summary = "\n".join(part for part in (content.when(shown, spoken), str(shown.place)) if part)
    later = content.other_news(shown, spoken)
    html = content.in_paragraphs([summary]) + content.in_html(shown, spoken) + content.in_paragraphs(later)
    plain = (summary, content.in_words(shown, spoken), *later) if in_full else ()
    return Item(
        id=urn(event.uid),
        url=publishing.page_of(event, spoken),
        title=content.dated_headline(shown, publishing, spoken),
        language=shown.title_language,
        summary=summary,
        html=html,
        text="\n\n".join(part for part in plain if part),
        published_at=event.created_at,
        updated_at=event.modified_at,
        tags=[(topic.slug, topic.name) for topic in told.topics],
        authors=[(host.name, publishing.page_of_branch(host, spoken)) for host in told.hosts],
        record=record(shown, publishing, spoken) if in_full else {},
    )


def _note(note: Note, heading: Heading) -> Item:
    return Item(
        id=urn(f"note {heading.source}"),
        url=note.url,
        title=note.title,
        language=heading.locale,
        summary=note.text,
        html=content.in_paragraphs([note.text]),
        text=note.text,
        published_at=note.since,
        updated_at=note.since,
    )


def _with_note(heading: Heading, items: Iterable[Item]) -> list[Item]:
    """As many as there is room for: programs take the whole list each time that something has moved."""
    found = [_note(heading.closed, heading)] if heading.closed else []
    size = 0
    for number, one in enumerate(items):
        size += len(f"{one.html}{one.text}".encode())
        if number and size > MOST_BYTES:
            break
        found.append(one)
    return found


# ---------------------------------------------------------------- Atom and JSON Feed


def json_feed(heading: Heading, events: Iterable[Said], publishing: Publishing, spoken: Language) -> bytes:
    """Each item has its date in `_branchline`, as `record` makes it."""
    items = (item(shown, publishing, spoken, in_full=True) for shown in events)
    return entries.json_feed(heading, _with_note(heading, items), publishing)


def atom(heading: Heading, events: Iterable[Said], publishing: Publishing, spoken: Language) -> bytes:
    items = (item(shown, publishing, spoken) for shown in events)
    return entries.atom(heading, _with_note(heading, items), publishing)
