"""Reading iCalendar files into drafts; for what stays out, a reason that an organizer understands.

A file is read twice: once to learn its time zones and which entries belong together (an override may stand
anywhere), once to read event by event. One bad entry never costs the others.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from ..errors import Message, Refusal, say
from . import irregular
from .ics_events import PRIVATE, ImportedEvent, read_event
from .ics_values import Unusable, Zones, text
from .irregular import Part, Window
from .recurrence import InvalidRule
from .scanning import Component, Place, component_at, components

__all__ = ["NO_UID", "ImportedEvent", "Window", "read_calendar"]

MAX_UID = 255
NO_UID = "no-uid-"  # begins what stands for a UID where there is none, or one too long
_ORPHAN = say("This is a changed date of a series that is not in the file.")


def read_calendar(
    stream: BinaryIO, *, window: Window, default_timezone: str | None = None, default_language: str = "en"
) -> Iterator[ImportedEvent | Refusal]:
    """Every event of a seekable file, and a refusal (with the line it stands on) for each that stays out.

    `default_timezone`: of times that name none in a file that names none. `window`: the days between which irregular
    series are taken apart into single events. Raises Unreadable when the file is no calendar. Memory is flat but for
    some 300 bytes for each UID.
    """
    index = _survey(stream, default_timezone)
    for component in components(stream):
        if component.kind != "VEVENT":
            continue
        if reason := index.reason_against(component):
            yield Refusal(component.place.line, reason, index.missed(component))
        elif not component.get("RECURRENCE-ID"):
            yield from _read(stream, component, index, default_language, window)


def _read(
    stream: BinaryIO, component: Component, index: "_Index", default_language: str, window: Window
) -> Iterator[ImportedEvent | Refusal]:
    uid = _uid(component)
    changes = sorted((component_at(stream, place) for place in index.series[uid].changes), key=_rank)
    try:
        found = irregular.parts(component, changes, index.zones, window)
    except (Unusable, InvalidRule) as error:
        yield Refusal(component.place.line, error.message, _missed(uid, error.message))
        return
    for part in found:
        try:
            event, refusals = read_event(part.component, part.changes, index.zones, default_language)
        except (Unusable, InvalidRule) as error:
            yield Refusal(part.component.place.line, error.message, _missed(uid, error.message))
            continue
        yield _named(event, uid, part, _rank(component)[0])
        yield from refusals


def _missed(uid: str, reason: Message) -> str:
    """What has become private there is not to be kept here."""
    return "" if reason == PRIVATE else uid


def _named(event: ImportedEvent, uid: str, part: Part, sequence: int) -> ImportedEvent:
    """A single date of a series that was taken apart is known by the UID of the whole and its original start."""
    notes = (*part.notes, *event.notes)
    if not part.suffix:
        return replace(event, uid=uid, sequence=sequence, notes=notes)
    return replace(event, uid=_short(f"{uid}#{part.suffix}"), sequence=sequence, notes=notes, related=uid)


# ---------------------------------------------------------------- what belongs together


@dataclass(slots=True)
class _Series:
    """Where the entries of one UID stand; of several without RECURRENCE-ID, the newest."""

    main: Place | None = None
    rank: tuple[int, str] = (-1, "")
    changes: list[Place] = field(default_factory=list)


@dataclass(slots=True)
class _Index:
    zones: Zones
    series: dict[str, _Series] = field(default_factory=dict)

    def add(self, component: Component) -> None:
        series = self.series.setdefault(_uid(component), _Series())
        if component.get("RECURRENCE-ID"):
            series.changes.append(component.place)
        elif (rank := _rank(component)) >= series.rank:
            series.main, series.rank = component.place, rank

    def reason_against(self, component: Component) -> Message | None:
        if component.fault:
            return component.fault
        main = self.series[_uid(component)].main
        if component.get("RECURRENCE-ID"):
            return None if main else _ORPHAN
        if main and main != component.place:
            return say("The entry on line %(line)d has the same UID and replaces this one.", line=main.line)
        return None

    def missed(self, component: Component) -> str | None:
        """Which event is not read because of the component: none if another entry stands for it."""
        if component.fault and not component.get("UID"):
            return None
        uid = _uid(component)
        main = self.series[uid].main if uid in self.series else None
        return uid if main is None or component.fault else ""


def _survey(stream: BinaryIO, default_timezone: str | None) -> _Index:
    index = _Index(Zones(default_timezone))
    for component in components(stream):
        if component.kind != "VEVENT":
            index.zones.learn(component)
        elif not component.fault:
            index.add(component)
    return index


def _uid(component: Component) -> str:
    if uid := text(component.get("UID")):
        return _short(uid)
    return _digest(" ".join(component.value(name) for name in ("DTSTART", "SUMMARY", "LOCATION")))


def _short(uid: str) -> str:
    return uid if len(uid) <= MAX_UID else _digest(uid)


def _digest(known: str) -> str:
    return f"{NO_UID}{hashlib.sha256(known.encode('utf-8', 'replace')).hexdigest()[:32]}"


def _rank(component: Component) -> tuple[int, str]:
    """SEQUENCE, then LAST-MODIFIED: the higher, the newer."""
    digits = component.value("SEQUENCE").strip()
    sequence = int(digits) if re.fullmatch("[0-9]{1,9}", digits) else 0
    return sequence, component.value("LAST-MODIFIED")[:20]
