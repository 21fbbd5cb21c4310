"""Writing iCalendar: values in, text out, the same bytes for the same values (RFC 5545, 7986, 6868).

The text is our own rather than icalendar's, whose classes leave calendar names unescaped, fold inside
escapes, and stamp every build with the time of day. That others can read it is tested with their parsers.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from ..drafts import tidy
from .recurrence import parse_rule
from .timezones import vtimezone
from .wording import Part, Translations

MAX_OCTETS = 75
_EXPORTED = {"cost": "X-BRANCHLINE-COST", "contact": "CONTACT", "comment": "COMMENT"}
TRANSLATED = {Part.TITLE: "X-BRANCHLINE-TITLE", Part.TEXT: "X-BRANCHLINE-DESCRIPTION"}
_TEXT = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n", "\t": " "})
_PARAMETER = str.maketrans({"^": "^^", '"': "^'", "\n": "^n", "\t": " "})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """All that one VEVENT says. Times are by the wall clock of `timezone`; `end` is exclusive.

    `rrule` as it is stored. `recurrence_id`: the original start, of an override, whose rule does not count.
    `location`: a name, then lines of address. `description` is plain text. `status`: CONFIRMED, TENTATIVE or
    CANCELLED. `language`: of the summary, and of the description unless it has one of its own. `branch_slugs`,
    `access`, `cost`, `contact`, `comment` and `translations` are written for exports only.
    """

    uid: str
    sequence: int
    created_at: datetime
    modified_at: datetime
    start: datetime
    end: datetime
    all_day: bool
    timezone: str
    summary: str
    recurrence_id: datetime | None = None
    rrule: str = ""
    exdates: tuple[datetime, ...] = ()
    description: str = ""
    location: str = ""
    latitude: float | None = None
    longitude: float | None = None
    url: str = ""
    categories: tuple[str, ...] = ()
    status: str = "CONFIRMED"
    language: str = ""
    text_language: str = ""
    conference_url: str = ""
    conference_label: str = ""
    related_to: str = ""
    image_url: str = ""
    branch_slugs: tuple[str, ...] = ()
    access: tuple[str, ...] = ()
    cost: str = ""
    contact: str = ""
    comment: str = ""
    translations: Translations = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """What a calendar says of itself. `source`: where it is fetched from; `color`: a CSS name."""

    name: str
    description: str
    url: str
    source: str
    language: str
    color: str = ""
    refresh: timedelta = timedelta(hours=4)


# ---------------------------------------------------------------- lines


def fold(line: str) -> str:
    """At most 75 octets a line, folded between characters and never inside an escape (Google drops those)."""
    data, pieces, room = line.encode(), [], MAX_OCTETS
    while len(data) > room:
        cut = room
        while data[cut] & 0xC0 == 0x80:
            cut -= 1
        head = data[:cut]
        if (len(head) - len(head.rstrip(b"\\"))) % 2:
            cut -= 1
        pieces.append(data[:cut])
        data, room = data[cut:], MAX_OCTETS - 1
    return b"\r\n ".join([*pieces, data]).decode()


def escape(text: str) -> str:
    """A TEXT value (RFC 5545 3.3.11): one line, without control characters."""
    return tidy(text).translate(_TEXT)


def parameter(text: str) -> str:
    """A parameter value in quotes (RFC 6868)."""
    return f'"{tidy(text).translate(_PARAMETER)}"'


def _block(name: str, lines: Iterable[str]) -> str:
    return "".join(f"{fold(line)}\r\n" for line in (f"BEGIN:{name}", *lines, f"END:{name}"))


# ---------------------------------------------------------------- events


def vevent(entry: Entry) -> str:
    """One VEVENT with its line ends. DTSTAMP and LAST-MODIFIED are the revision's time, never the build's."""
    return _block("VEVENT", _event_lines(entry))


def _event_lines(entry: Entry) -> Iterator[str]:
    yield f"UID:{escape(entry.uid)}"
    yield f"SEQUENCE:{entry.sequence}"
    yield f"DTSTAMP:{_utc(entry.modified_at)}"
    yield f"CREATED:{_utc(entry.created_at)}"
    yield f"LAST-MODIFIED:{_utc(entry.modified_at)}"
    yield from _times(entry)
    yield f"SUMMARY{_spoken(entry.language)}:{escape(entry.summary)}"
    if entry.description:
        yield f"DESCRIPTION{_spoken(entry.text_language or entry.language)}:{escape(entry.description)}"
    yield from _place(entry)
    if entry.url:
        yield f"URL:{_uri(entry.url)}"
    if entry.categories:
        yield "CATEGORIES:" + ",".join(map(escape, entry.categories))
    yield f"STATUS:{entry.status}"
    yield "TRANSP:TRANSPARENT"
    yield "CLASS:PUBLIC"
    yield from _links(entry)
    if entry.branch_slugs:
        yield "X-BRANCHLINE-BRANCH:" + ",".join(map(escape, entry.branch_slugs))
    if entry.access:
        yield "X-BRANCHLINE-ACCESS:" + ",".join(map(escape, entry.access))
    for name in ("cost", "contact", "comment"):
        if words := getattr(entry, name):
            yield f"{_EXPORTED[name]}:{escape(words)}"
    for tag, said in sorted(entry.translations.items()):
        for part, name in TRANSLATED.items():
            if words := said.get(part):
                yield f"{name}{_spoken(tag)}:{escape(words)}"


def _spoken(tag: str) -> str:
    return f";LANGUAGE={tag}" if tag else ""


def _times(entry: Entry) -> Iterator[str]:
    if entry.recurrence_id is not None:
        yield f"RECURRENCE-ID{_when(entry, entry.recurrence_id)}"
    yield f"DTSTART{_when(entry, entry.start)}"
    yield f"DTEND{_when(entry, entry.end)}"
    if entry.recurrence_id is not None or not entry.rrule:
        return
    rule = parse_rule(entry.rrule, entry.start, entry.timezone, entry.all_day)
    if rule.count == 1:  # Office 365 refuses a whole file for such a rule
        return
    yield f"RRULE:{rule.text(entry.timezone, entry.all_day)}"
    for excluded in sorted(entry.exdates):
        yield f"EXDATE{_when(entry, excluded)}"


def _when(entry: Entry, wall: datetime) -> str:
    """Parameters and value: a DATE, a time in UTC, or a time with TZID; never floating."""
    if entry.all_day:
        return f";VALUE=DATE:{wall:%Y%m%d}"
    if entry.timezone == "UTC":
        return f":{wall:%Y%m%dT%H%M%S}Z"
    return f";TZID={entry.timezone}:{wall:%Y%m%dT%H%M%S}"


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _place(entry: Entry) -> Iterator[str]:
    """Apple Maps needs its own property beside GEO to show a place by its name."""
    if entry.location:
        yield f"LOCATION:{escape(entry.location)}"
    if entry.latitude is None or entry.longitude is None:
        return
    latitude, longitude = f"{entry.latitude:.6f}", f"{entry.longitude:.6f}"
    yield f"GEO:{latitude};{longitude}"
    name, *address = tidy(entry.location).split("\n")
    if name:
        at = f";X-ADDRESS={parameter(', '.join(address))}" if address else ""
        title = f";X-APPLE-RADIUS=70;X-TITLE={parameter(name)}"
        yield f"X-APPLE-STRUCTURED-LOCATION;VALUE=URI{at}{title}:geo:{latitude},{longitude}"


def _links(entry: Entry) -> Iterator[str]:
    if entry.conference_url:
        label = f";LABEL={parameter(entry.conference_label)}" if entry.conference_label else ""
        yield f"CONFERENCE;VALUE=URI{label}:{_uri(entry.conference_url)}"
    if entry.image_url:
        kind = ";FMTTYPE=image/jpeg" if entry.image_url.endswith(".jpg") else ""
        yield f"IMAGE;VALUE=URI;DISPLAY=BADGE{kind}:{_uri(entry.image_url)}"
    if entry.related_to:
        yield f"RELATED-TO;RELTYPE=SIBLING:{escape(entry.related_to)}"


def _uri(url: str) -> str:
    """URIs are not escaped, so nothing in them may end the line."""
    return re.sub(r"\s", "%20", tidy(url))


# ---------------------------------------------------------------- calendars


def calendar(header: Feed, zones: Mapping[str, date], events: Iterable[str]) -> bytes:
    """A whole calendar: header, time zones by name, and VEVENTs as `vevent` wrote them, in the order given.

    `zones`: every TZID the events use, with the first day it must be right on. There is no UID: vdirsyncer
    would take the calendar for one event.
    """
    head = "".join(f"{fold(line)}\r\n" for line in ("BEGIN:VCALENDAR", *_calendar_lines(header)))
    rules = (vtimezone(key, zones[key]) for key in sorted(zones))
    return "".join([head, *rules, *events, "END:VCALENDAR\r\n"]).encode()


def _calendar_lines(header: Feed) -> Iterator[str]:
    language = header.language.upper() or "EN"
    yield "VERSION:2.0"
    yield f"PRODID:-//Branchline//Branchline//{language}"
    yield "CALSCALE:GREGORIAN"
    yield "METHOD:PUBLISH"
    yield f"NAME:{escape(header.name)}"
    yield f"X-WR-CALNAME:{escape(header.name)}"
    if header.description:
        yield f"DESCRIPTION:{escape(header.description)}"
        yield f"X-WR-CALDESC:{escape(header.description)}"
    if header.url:
        yield f"URL:{_uri(header.url)}"
    if header.source:
        yield f"SOURCE;VALUE=URI:{_uri(header.source)}"
    if header.color:
        yield f"COLOR:{header.color}"
    minutes = round(header.refresh.total_seconds() / 60)
    yield f"REFRESH-INTERVAL;VALUE=DURATION:PT{minutes}M"
    yield f"X-PUBLISHED-TTL:PT{minutes}M"


def standing_note(source: str, title: str, text: str, url: str, today: date) -> str:
    """An entry of the calendar's own: all day, on the first of this month.

    A feed without events must hold one, because apps refuse it otherwise. Its UID is fixed for `source`; it moves
    once a month, and SEQUENCE and LAST-MODIFIED move with it.
    """
    month = datetime(today.year, today.month, 1)
    entry = Entry(
        uid=hashlib.sha256(f"placeholder {source}".encode()).hexdigest()[:32],
        sequence=(today.year - 2020) * 12 + today.month,
        created_at=datetime(2020, 1, 1, tzinfo=UTC),
        modified_at=month.replace(tzinfo=UTC),
        start=month,
        end=month + timedelta(days=1),
        all_day=True,
        timezone="UTC",
        summary=title,
        description=text,
        url=url,
    )
    return vevent(entry)
