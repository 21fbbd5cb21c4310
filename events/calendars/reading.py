"""Reading the calendars of strangers: parsed in a process with limits, and checked once more when it comes back."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import takewhile
from typing import Any, BinaryIO

from pydantic import ValidationError

from ..errors import Refusal, Unreadable, say
from ..interpreter import let_answers_go_first
from ..sandbox import USUAL, Crashed, Limits, packed, run, unpacked
from .drafts import EventDraft
from .ics_values import text
from .parsing import ImportedEvent, Window, read_calendar
from .recurrence import starts
from .scanning import components

MOST_BYTES = 2_000_000
MOST_EVENTS = 5000
# Of all its series together, as far ahead as dates are written out: 190 that repeat daily.
MOST_DATES = 100_000
AT_ONCE = 20  # are checked, some 3 ms of the processor, before answers to visitors go first
_TASK = f"{__name__}:as_lines"
_WRITTEN_ANEW = re.compile(rb"^(?:DTSTAMP|X-PUBLISHED-TTL)[^\n]*\n?", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a calendar says. `name`: what it calls itself."""

    name: str
    items: list[ImportedEvent | Refusal]


def read(
    data: bytes, *, window: Window, default_timezone: str, default_language: str, limits: Limits = USUAL
) -> Reading:
    """Raises Unreadable, OverLimits and Crashed. Blocks for seconds at most."""
    if len(data) > MOST_BYTES:
        raise Unreadable(say("The calendar is larger than 2 MB."))
    days = {"since": window.since.isoformat(), "until": window.until.isoformat()}
    options = {**days, "timezone": default_timezone, "language": default_language}
    head, *lines = run(_TASK, data, options, limits).splitlines() or [b"{}"]
    try:
        return Reading(str(json.loads(head)["name"])[:300], list(_items(lines)))
    except (ValueError, KeyError, TypeError, ValidationError) as error:
        raise Crashed(str(error)) from error


def as_lines(stream: BinaryIO, since: str, until: str, timezone: str, language: str) -> Iterator[bytes]:
    """The task: a line with the name, then one of JSON for each event and refusal."""
    yield _line({"name": _name(stream)})
    window = Window(date.fromisoformat(since), date.fromisoformat(until))
    items = read_calendar(stream, window=window, default_timezone=timezone, default_language=language)
    dates = 0
    for number, item in enumerate(items):
        if number >= MOST_EVENTS:
            raise Unreadable(say("The calendar has more than %(most)d entries.", most=MOST_EVENTS))
        if isinstance(item, Refusal):
            yield _line(_refused(item))
            continue
        dates += _number_of_dates(item.draft, window, MOST_DATES - dates + 1)
        if dates > MOST_DATES:
            raise Unreadable(say("The calendar has more than %(most)d dates within a year.", most=MOST_DATES))
        yield _line(_said(item))


def _number_of_dates(draft: EventDraft, window: Window, most: int) -> int:
    """Each will be a row of the database: a few bytes of a file must not become millions."""
    if draft.rule is None:
        return 1
    after, before = (datetime.combine(day, time(0)) for day in (window.since, window.until))
    return sum(1 for _ in starts(draft.rule, draft.start, after=after, before=before, limit=most))


def _name(stream: BinaryIO) -> str:
    """It stands before the first event, or the whole file would be gone through for it."""
    head = takewhile(lambda each: each.kind != "VEVENT", components(stream))
    found = (each.get("X-WR-CALNAME") for each in head if each.kind == "VCALENDAR")
    return next((" ".join(text(name).split()) for name in found if name), "")


def _line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _refused(refusal: Refusal) -> dict[str, object]:
    return {"line": refusal.row, "reason": packed(refusal.reason), "uid": refusal.uid}


def _said(event: ImportedEvent) -> dict[str, object]:
    return {
        "uid": event.uid,
        "sequence": event.sequence,
        "line": event.line,
        "draft": event.draft.model_dump(mode="json"),
        "branch_slugs": event.branch_slugs,
        "url": event.url,
        "notes": [packed(note) for note in event.notes],
        "related": event.related,
    }


def _items(lines: Sequence[bytes]) -> Iterator[ImportedEvent | Refusal]:
    for number, line in enumerate(lines):
        if number % AT_ONCE == 0:
            let_answers_go_first()
        yield _item(json.loads(line))


def _item(value: Mapping[str, Any]) -> ImportedEvent | Refusal:
    """Raises ValueError, KeyError, TypeError or ValidationError for what we did not write."""
    if "reason" in value:
        uid = value["uid"]
        return Refusal(int(value["line"]), unpacked(value["reason"]), None if uid is None else str(uid))
    return ImportedEvent(
        uid=str(value["uid"])[:255],
        sequence=int(value["sequence"]),
        line=int(value["line"]),
        draft=EventDraft.model_validate(value["draft"]),
        branch_slugs=tuple(map(str, value["branch_slugs"])),
        url=str(value["url"]),
        notes=tuple(unpacked(note) for note in value["notes"]),
        related=str(value["related"]),
    )


def checksum_lines(data: bytes) -> bytes:
    """The calendar without the lines that generators write anew at each request.

    At once, and not line by line: two megabytes of empty lines took 0.8 s, in which hardly a page was made.
    """
    return _WRITTEN_ANEW.sub(b"", data)
