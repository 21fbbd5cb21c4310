"""What an event says, decided in one place; the formats only write it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ..branches.models import Branch
from ..errors import Message, say
from ..language import Language, closest
from ..markdown import plain
from .ics import Entry
from .models import Attendance, Event, Override, State, Topic


@dataclass(frozen=True, slots=True)
class Publishing:
    """What calendars say besides the events themselves."""

    base_url: str
    organisation: str
    locales: tuple[str, ...]

    def page_of(self, event: Event, spoken: Language) -> str:
        prefix = "" if spoken.code == "en" else f"/{spoken.code}"
        return f"{self.base_url}{prefix}/events/{event.id}"


@dataclass(frozen=True, slots=True)
class Told:
    """An event with all that its text is made of. `hosts`: the owner first, then the co-hosts."""

    event: Event
    overrides: Sequence[Override]
    hosts: Sequence[Branch]
    topics: Sequence[Topic]

    @property
    def owner(self) -> Branch:
        return self.hosts[0]


@dataclass(frozen=True, slots=True)
class Place:
    """Where to go: a name and one line of address, either may be empty."""

    name: str
    address: str

    def __str__(self) -> str:
        return "\n".join(part for part in (self.name, self.address) if part)


def place(told: Told, override: Override | None = None) -> Place:
    """The venue's where there is one, else the branch's; nothing for what is only online."""
    event = told.event
    name, address = event.venue_name, event.venue_address
    if override is not None:
        name = name if override.venue_name is None else override.venue_name
        address = address if override.venue_address is None else override.venue_address
    if name or address:
        return Place(name, address)
    if event.attendance == Attendance.ONLINE:
        return Place("", "")
    return branch_place(told.owner)


def branch_place(branch: Branch) -> Place:
    """Name and address of a branch as they may be shown: the town alone for a confidential one."""
    code = "" if branch.confidential else branch.postal_code
    return Place(branch.name, ", ".join(part for part in (*branch.street, branch.city_line, code) if part))


def entries(told: Told, publishing: Publishing, spoken: Language, *, for_export: bool = False) -> list[Entry]:
    """The VEVENTs of an event: the master, then its overrides by original start.

    An export holds the organizers' own words alone, and what our `events import` needs to restore the event.
    """
    event = told.event
    changed = sorted(told.overrides if event.is_series else (), key=lambda override: override.original_start)
    found = [_entry(told, override, publishing, spoken) for override in (None, *changed)]
    if not for_export:
        return found
    return [
        _as_entered(entry, told, override) for entry, override in zip(found, (None, *changed), strict=True)
    ]


def _as_entered(entry: Entry, told: Told, override: Override | None) -> Entry:
    event = told.event
    text = event.description if override is None or override.description is None else override.description
    return replace(
        entry,
        summary=title(event, override),
        description=text,
        url=event.registration_url,
        branch_slugs=tuple(host.slug for host in told.hosts),
        access=tuple(word for word in event.access.split(",") if word),
        cost=event.cost,
        contact=event.contact,
        comment=reason_of(event, override) if is_cancelled(event, override) else "",
    )


def _entry(told: Told, override: Override | None, publishing: Publishing, spoken: Language) -> Entry:
    event = told.event
    start, end = times(event, override)
    called_off = is_cancelled(event, override)
    where = place(told, override)
    online = event.attendance != Attendance.IN_PERSON and event.online_url
    shows_point = event.point is not None and (bool(event.venue_name) or told.owner.shows_position)
    same_venue = override is None or override.venue_address is None
    return Entry(
        uid=event.uid,
        sequence=event.revision,
        created_at=event.created_at,
        modified_at=event.modified_at,
        recurrence_id=override.original_start if override else None,
        start=start,
        end=end,
        all_day=event.all_day,
        timezone=event.timezone,
        rrule="" if override else event.rrule,
        exdates=() if override else tuple(datetime.fromisoformat(text) for text in event.exdates),
        summary=_summary(event, override, called_off, publishing),
        description=_description(told, override, called_off, publishing, spoken),
        location=str(where),
        latitude=event.latitude if shows_point and same_venue else None,
        longitude=event.longitude if shows_point and same_venue else None,
        url=publishing.page_of(event, spoken),
        categories=tuple(topic.name for topic in told.topics),
        status="CANCELLED" if called_off else "CONFIRMED",
        language=event.language,
        conference_url=event.online_url if online else "",
        conference_label=spoken.gettext("Join online") if online else "",
    )


def times(event: Event, override: Override | None) -> tuple[datetime, datetime]:
    """Start and end by the wall clock, of the series' first date or of an override."""
    if override is None:
        return event.start, event.end
    start = override.start or override.original_start
    return start, override.end or start + event.duration


def is_cancelled(event: Event, override: Override | None) -> bool:
    whole = event.state == State.CANCELLED or event.deleted_at is not None
    return whole or (override is not None and override.cancelled)


def title(event: Event, override: Override | None) -> str:
    return event.title if override is None or override.title is None else override.title


def _summary(event: Event, override: Override | None, called_off: bool, publishing: Publishing) -> str:
    """A cancelled event says so in its title too, in its own language: some apps do not show STATUS."""
    if not called_off:
        return title(event, override)
    own = closest(event.language, publishing.locales)
    return own.say(say("Cancelled: %(title)s", title=title(event, override)))


def _description(
    told: Told, override: Override | None, called_off: bool, publishing: Publishing, spoken: Language
) -> str:
    """Why it is cancelled or when it was meant to be, then the organizers' words, then how to take part."""
    event = told.event
    text = event.description if override is None or override.description is None else override.description
    parts = []
    if called_off and (reason := reason_of(event, override)):
        parts.append(reason)
    if (
        override is not None
        and override.start
        and override.start != override.original_start
        and not called_off
    ):
        parts.append(spoken.say(moved_from(event, override)))
    parts.append(plain(text))
    facts = [
        (say("Join online: %(value)s"), event.online_url),
        (say("Register: %(value)s"), event.registration_url),
        (say("Cost: %(value)s"), event.cost),
        (say("Contact: %(value)s"), event.contact),
    ]
    parts.append("\n".join(spoken.gettext(fact.text) % {"value": value} for fact, value in facts if value))
    if len(told.hosts) > 1:
        names = spoken.listed([host.name for host in told.hosts])
        parts.append(spoken.say(say("Held by %(names)s", names=names)))
    return "\n\n".join(part for part in parts if part)


def reason_of(event: Event, override: Override | None) -> str:
    return (override.reason if override is not None and override.cancelled else "") or event.cancelled_reason


def moved_from(event: Event, override: Override) -> Message:
    was = override.original_start
    return say("Moved from %(was)s", was=was.date() if event.all_day else was)
