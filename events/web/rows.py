"""What templates show of an event or a branch: words and addresses, in the reader's language."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import groupby

from starlette.requests import Request

from ..branches.models import Branch, LocationType, Status
from ..calendars.models import Attendance, State
from ..calendars.queries import Listed
from ..calendars.recurrence import parse_rule
from ..calendars.timezones import to_wall, zone
from ..desk.fading import faded
from ..errors import Message, say
from ..language import Language
from ..places.geo import Distance, Point, Unit, geodesic
from .endpoints import now
from .environment import link
from .opening import OpeningNote
from .state import language_of, state_of
from .words import rule_in_words

ROWS_KEPT = 2048  # some 2 KB each


@dataclass(frozen=True, slots=True)
class EventRow:
    title: str
    href: str
    start: datetime
    end: datetime
    all_day: bool
    written: str  # the start as RFC 3339 has it, with its offset: 2026-12-08T19:00:00+01:00; all day: the day
    timezone_label: str
    when: str
    moment: str  # the same with each day in full, for where no heading says it
    day: date
    day_label: str
    branch_name: str
    branch_href: str
    place_line: str
    online: bool
    hybrid: bool
    cancelled: bool  # it does not take place on that day
    postponed: bool  # and is to be made up for
    cancel_reason: str
    moved: str | None
    repeats: str | None
    distance: str | None
    language: str
    unconfirmed: str  # since when nobody has said that it still takes place; empty: it counts as confirmed

    def __hash__(self) -> int:
        return hash((self.href, self.moment))  # enough to tell most of them apart, and templates do so often


@dataclass(frozen=True, slots=True)
class BranchRow:
    name: str
    href: str
    contact_href: str
    city_line: str
    status_note: str | None
    distance: str | None
    next_event: EventRow | None
    number: int | None
    reason: str = ""  # why it is shown, where it is not for being near
    opening: OpeningNote | None = None
    street: str = ""
    directions: Sequence[tuple[str, str]] = ()  # labels and addresses
    successor: tuple[str, str] | None = None  # where to turn instead: a name and an address


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    label: str
    events: Sequence[EventRow]


def event_row(request: Request, listed: Listed, near: Point | None = None) -> EventRow:
    spoken = language_of(request)
    row = _event_row(spoken, listed, _unconfirmed(spoken, listed))
    if near and listed.point:
        return replace(row, distance=distance_text(request, geodesic(near, listed.point)))
    return row


@lru_cache(ROWS_KEPT)
def _event_row(spoken: Language, listed: Listed, unconfirmed: str) -> EventRow:
    """Kept, since one date stands on many pages: in lists, at its branch, at its topics, near many places."""
    title = listed.titled(spoken.code)
    href = link(
        spoken.code,
        f"/events/{listed.event_id}",
        {"date": listed.original_start.date() if listed.rrule else None},
    )
    return EventRow(
        title=title.text,
        href=href,
        start=listed.start,
        end=listed.end,
        all_day=listed.all_day,
        written=_written(listed),
        timezone_label="" if listed.all_day else spoken.zone(listed.timezone),
        when=spoken.span(listed.start, listed.end, listed.all_day),
        moment=_moment(spoken, listed),
        day=listed.start.date(),
        day_label=spoken.day(listed.start.date()),
        branch_name=listed.branch_name,
        branch_href=link(spoken.code, f"/branches/{listed.branch_slug}", {}),
        place_line=listed.place_line,
        online=listed.attendance == Attendance.ONLINE,
        hybrid=listed.attendance == Attendance.HYBRID,
        cancelled=listed.cancelled,
        postponed=listed.state == State.POSTPONED,
        cancel_reason=listed.cancelled_reason if listed.cancelled else "",
        moved=spoken.say(listed.moved) if listed.moved else None,
        repeats=repeats(spoken, listed),
        distance=None,
        language=title.language,
        unconfirmed=unconfirmed,
    )


def _moment(spoken: Language, listed: Listed) -> str:
    when = spoken.span(listed.start, listed.end, listed.all_day)
    if spoken.short_day(listed.start.date()) not in when:
        return f"{spoken.day(listed.start.date())}, {when}"
    if listed.all_day:
        return f"{spoken.day(listed.start.date())} – {spoken.day(listed.end.date() - timedelta(days=1))}"
    first, last = (f"{spoken.day(at.date())}, {spoken.time(at.time())}" for at in (listed.start, listed.end))
    return f"{first} – {last}"


def _written(listed: Listed) -> str:
    if listed.all_day:
        return listed.start.date().isoformat()
    return listed.start.replace(tzinfo=zone(listed.timezone), fold=0).isoformat()


def _unconfirmed(spoken: Language, listed: Listed) -> str:
    if listed.cancelled or listed.asked_since is None:
        return ""
    since = faded(listed.asked_since, now())
    return spoken.short_day(to_wall(since, listed.timezone).date()) if since else ""


def by_day(request: Request, rows: Iterable[Listed], near: Point | None = None) -> list[Day]:
    shown = (event_row(request, row, near) for row in rows)
    return [
        Day(day, (found := list(group))[0].day_label, found)
        for day, group in groupby(shown, lambda row: row.day)
    ]


def branch_row(
    request: Request,
    branch: Branch,
    away: Distance | None = None,
    next_event: EventRow | None = None,
    number: int | None = None,
    reason: str = "",
    opening: OpeningNote | None = None,
    directions: Sequence[tuple[str, str]] = (),
    successor: tuple[str, str] | None = None,
) -> BranchRow:
    spoken = language_of(request)
    note = STATUS_NOTES.get(branch.status)
    return BranchRow(
        name=branch.name,
        href=link(spoken.code, f"/branches/{branch.slug}", {}),
        contact_href=link(spoken.code, f"/branches/{branch.slug}/contact", {})
        if branch.status != Status.CLOSED
        else "",
        city_line=branch.city_line,
        status_note=spoken.say(note) if note else None,
        distance=distance_text(request, away) if away else None,
        next_event=next_event,
        number=number,
        reason=reason,
        opening=opening,
        street=", ".join(branch.street) if branch.location_type != LocationType.VIRTUAL else "",
        directions=directions,
        successor=successor,
    )


STATUS_NOTES: Mapping[str, Message] = {
    Status.FORMING: say("This branch is being set up."),
    Status.INACTIVE: say("This branch is not active at the moment."),
    Status.CLOSED: say("This branch has closed."),
}


def unit_of(request: Request) -> Unit:
    """mi or km: the operator's choice, else miles for English and kilometres for the rest."""
    return state_of(request).settings.units or ("mi" if language_of(request).code == "en" else "km")


def distance_text(request: Request, distance: Distance) -> str:
    return language_of(request).distance(distance.km, unit_of(request))


def repeats(spoken: Language, listed: Listed) -> str | None:
    if not listed.rrule:
        return None
    rule = parse_rule(listed.rrule, listed.series_start, listed.timezone, listed.all_day)
    return rule_in_words(spoken, rule)
