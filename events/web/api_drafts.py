"""What a program writes about an event, read into the drafts that a form makes too. Each fault has its path."""

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from ..branches import queries
from ..branches.models import Branch
from ..calendars import store
from ..calendars.content import Told
from ..calendars.drafts import EventDraft, OverrideDraft
from ..calendars.models import Event, HostingRefusal
from ..calendars.timezones import zone
from ..drafts import FIRST_YEAR, LAST_YEAR, Fault, zone_names
from ..errors import InvalidForm, Message, NotFound, say
from ..people import permissions
from ..people.models import Person
from .endpoints import JsonObject
from .forms import NO_FAULTS, checked
from .hosting import MOST_HOSTS

# Its state changes by addresses of their own, and the reason belongs to a cancellation.
FIELDS = EventDraft.model_fields.keys() - {"state", "reason"}
DATE_FIELDS = OverrideDraft.model_fields.keys() - {"original_start"}
_MOMENTS = ("original_start", "start", "end")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)

_NO_SUCH_FIELD = say("There is no such field here.")
_NO_SUCH_DATE = say("This series has no date at that time.")
_NOT_A_MOMENT = say("This is not a date and time that exist. Write them like 2026-11-24T19:00")
_NOT_A_DAY = say(
    "All-day events have days without hours, and end on their last day. Write a day like 2026-11-24"
)
_NOT_TRUE_OR_FALSE = say("This should be true or false.")
_NO_BRANCHES = say('List the branches that hold it, the one that it belongs to first, like ["lincoln-park"]')


@dataclass(frozen=True, slots=True)
class Clock:
    """How the times of an event are written: by the wall clock of its zone, or as days."""

    timezone: str
    all_day: bool

    def read(self, text: object, *, is_end: bool = False) -> datetime:
        """`end` of an all-day event is written as its last day and becomes the day after. Raises Fault."""
        try:
            if not isinstance(text, str) or not (DAY if self.all_day else MOMENT).fullmatch(text):
                raise ValueError("not written like that")
            moment = datetime.fromisoformat(text)
            if not FIRST_YEAR <= moment.year <= LAST_YEAR:
                raise ValueError("a year that is not known")
            wall = moment.replace(tzinfo=None) + timedelta(days=1 if self.all_day and is_end else 0)
        except (ValueError, OverflowError) as error:
            raise Fault(_NOT_A_DAY if self.all_day else _NOT_A_MOMENT) from error
        if moment.tzinfo is not None:
            self._check_offset(moment)
        return wall

    def _check_offset(self, moment: datetime) -> None:
        """An offset that the zone does not have then is a slip in one of the two, and nobody can tell in which."""
        if self.timezone not in zone_names():
            return  # which the draft says itself
        clocks = [moment.replace(tzinfo=zone(self.timezone), fold=fold) for fold in (0, 1)]
        if moment.utcoffset() not in [clock.utcoffset() for clock in clocks]:
            message = say(
                "The clocks of %(timezone)s show another time at that offset. Leave the offset out, or give "
                "that of the zone: %(right)s",
                timezone=self.timezone,
                right=clocks[0].isoformat(),
            )
            raise Fault(message)


# ---------------------------------------------------------------- events


def event_draft(
    body: JsonObject,
    stored: Mapping[str, Any],
    known: Mapping[str, Any],
    found: Mapping[str, Message] = NO_FAULTS,
) -> EventDraft:
    """The event as it is stored (of a new one, what goes without saying), with what was sent in its place.

    `known` is not the program's to say; `found` is what was wrong already. Raises InvalidForm with all faults.
    """
    faults = {**found, **{name: _NO_SUCH_FIELD for name in body.keys() - FIELDS}}
    sent = {name: value for name, value in body.items() if name in FIELDS}
    if not isinstance(sent.get("all_day", False), bool):
        faults["all_day"] = _NOT_TRUE_OR_FALSE
        del sent["all_day"]
    whole = {**stored, **sent}
    clock = Clock(str(whole.get("timezone")), whole.get("all_day", False))
    sent |= _times(sent, clock, faults)
    if "end" not in body and isinstance(sent.get("start"), datetime) and "end" in stored:
        sent["end"] = sent["start"] + _length(stored)
    return _agreed({**stored, **sent, **known}, faults)


def _agreed(values: Mapping[str, Any], faults: Mapping[str, Message]) -> EventDraft:
    """Everything that is wrong at once: what was found before says more than what is missing because of it."""
    try:
        draft = checked(EventDraft, {name: value for name, value in values.items() if name not in faults})
    except InvalidForm as error:
        raise InvalidForm({**error.faults, **faults}) from error
    if faults:
        raise InvalidForm(faults)
    return draft


def _length(stored: Mapping[str, Any]) -> timedelta:
    start, end = (datetime.fromisoformat(stored[name]) for name in ("start", "end"))
    return end - start


def _times(sent: JsonObject, clock: Clock, faults: dict[str, Message]) -> JsonObject:
    """Those of the event, of the dates it leaves out, and of those that it changes."""
    found = _moments(sent, clock, faults, "")
    if isinstance(moments := sent.get("exdates"), list):
        paths = [f"exdates.{number}" for number in range(len(moments))]
        found["exdates"] = [_moment(*pair, clock, faults) for pair in zip(moments, paths, strict=True)]
        found["exdates"] = [moment for moment in found["exdates"] if moment is not None]
    if isinstance(changes := sent.get("overrides"), list):
        found["overrides"] = [
            {**change, **_moments(change, clock, faults, f"overrides.{number}.")}
            if isinstance(change, dict)
            else change
            for number, change in enumerate(changes)
        ]
    return found


def _moments(sent: JsonObject, clock: Clock, faults: dict[str, Message], path: str) -> JsonObject:
    named = [name for name in _MOMENTS if sent.get(name) is not None]
    return {name: _moment(sent[name], path + name, clock, faults) for name in named}


def _moment(text: object, path: str, clock: Clock, faults: dict[str, Message]) -> datetime | None:
    try:
        return clock.read(text, is_end=path.endswith("end"))
    except Fault as error:
        faults[path] = error.message
        return None


# ---------------------------------------------------------------- one date of a series


def date_draft(body: JsonObject, original: datetime, told: Told) -> OverrideDraft:
    """What differs on that date; all else is as the series says. Raises InvalidForm, and NotFound for no date of it."""
    faults = {name: _NO_SUCH_FIELD for name in body.keys() - DATE_FIELDS}
    sent = {name: value for name, value in body.items() if name in DATE_FIELDS}
    if not isinstance(sent.get("cancelled", False), bool):
        faults["cancelled"] = _NOT_TRUE_OR_FALSE
        del sent["cancelled"]
    clock = Clock(told.event.timezone, told.event.all_day)
    change = {**sent, **_moments(sent, clock, faults, ""), "original_start": original}
    found = _among_the_others(change, told)
    if "original_start" in found:
        raise NotFound(_NO_SUCH_DATE)
    if found or faults:
        raise InvalidForm({**found, **faults})
    return checked(OverrideDraft, change)


def _among_the_others(change: JsonObject, told: Told) -> dict[str, Message]:
    """What the series as a whole has against it. What else is wrong with the series is not this date's fault."""
    path = "overrides.0."
    try:
        checked(EventDraft, store.said_of(told) | {"overrides": [change]})
    except InvalidForm as error:
        return {
            name.removeprefix(path): fault for name, fault in error.faults.items() if name.startswith(path)
        }
    return {}


def original_start(text: str, event: Event) -> datetime:
    """As it stands in an address: by the wall clock, with or without its offset. Raises NotFound."""
    try:
        return Clock(event.timezone, event.all_day).read(text)
    except Fault as error:
        raise NotFound(_NO_SUCH_DATE) from error


# ---------------------------------------------------------------- branches


def hosts_of(
    session: Session, person: Person, slugs: object, told: Told | None
) -> tuple[Sequence[Branch], dict[str, Message]]:
    """The owner first, which must be the person's (else NotFound), then co-hosts; and what is wrong with these.

    `told`: the event so far. Who holds it already may stay, whatever has become of them. Raises InvalidForm when
    there is no owner.
    """
    if not isinstance(slugs, list) or not slugs or not all(isinstance(slug, str) for slug in slugs):
        raise InvalidForm({"branches": _NO_BRANCHES})
    if len(slugs) > MOST_HOSTS:
        message = say("At most %(most)d branches can hold one event.", most=MOST_HOSTS)
        raise InvalidForm({"branches": message})
    readable = [slug for slug in slugs if slug.isprintable()]  # PostgreSQL cannot even look for a NUL
    found = {branch.slug: branch for branch in queries.at_slugs(session, readable)}
    owner = permissions.branch_of(session, person, slugs[0] if slugs[0] in found else "")
    stay = {owner.id, *(host.id for host in (told.hosts if told else ()))}
    faults = {
        f"branches.{number}": fault
        for number, slug in enumerate(slugs)
        if (fault := _against_naming(session, slug, found.get(slug), told, stay))
    }
    named = [owner, *(found[slug] for slug in slugs if slug in found)]
    return list({branch.id: branch for branch in named}.values()), faults


def _against_naming(
    session: Session, slug: str, branch: Branch | None, told: Told | None, stay: Container[int | None]
) -> Message | None:
    if branch is not None and branch.id in stay:
        return None
    if branch is None or branch.status not in queries.FOUND:
        return say("There is no branch called “%(slug)s”.", slug=slug[:80])
    if told is not None and session.get(HostingRefusal, (told.event.id, branch.id)) is not None:
        return say("%(name)s does not want to be named for this event.", name=branch.name)
    return None
