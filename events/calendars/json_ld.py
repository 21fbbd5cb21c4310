"""An event as schema.org knows it, for search engines: only what is true, and what its page shows too."""

from datetime import timedelta

from ..branches import json_ld
from ..branches.json_ld import SCHEMA, WEEKDAYS, Values, filled
from ..branches.models import Branch
from ..language import Language
from ..markdown import plain
from ..places.geo import Point
from . import content
from .content import Publishing, Said
from .formats import written_end, written_start
from .horizon import rule_of
from .models import Attendance
from .recurrence import DAYS, Frequency, Rule

MODES = {
    Attendance.IN_PERSON: "OfflineEventAttendanceMode",
    Attendance.ONLINE: "OnlineEventAttendanceMode",
    Attendance.HYBRID: "MixedEventAttendanceMode",
}
UNITS = {Frequency.DAILY: "D", Frequency.WEEKLY: "W", Frequency.MONTHLY: "M", Frequency.YEARLY: "Y"}


def script(shown: Said, page: str, publishing: Publishing, spoken: Language, *more: Values) -> str:
    """The text of a script element on that page; `more` is what else the page says."""
    return json_ld.script(json_ld.graph(event(shown, page, publishing, spoken), *more))


def event(shown: Said, page: str, publishing: Publishing, spoken: Language) -> Values:
    row = shown.event
    hosts = [_organization(host, publishing, spoken) for host in shown.told.hosts]
    moved_from = shown.moved_from if shown.moved else None
    return {"@type": "Event"} | filled(
        name=shown.title,
        startDate=written_start(shown, shown.start),
        endDate=written_end(shown),
        eventStatus=f"{SCHEMA}/{_status(shown)}",
        previousStartDate=written_start(shown, moved_from) if moved_from else None,
        eventAttendanceMode=f"{SCHEMA}/{MODES[Attendance(row.attendance)]}",
        location=_one_or_all([_place(shown), _meeting(shown, page)]),
        organizer=_one_or_all(hosts),
        description=plain(shown.text),
        url=page,
        image=publishing.address_of(shown.told.picture),
        inLanguage=row.language,
        isAccessibleForFree="free" in row.access.split(",") or None,
        superEvent=_series(shown, publishing, spoken),
    )


def _status(shown: Said) -> str:
    match shown.status:
        case "cancelled":
            return "EventCancelled"
        case "postponed":
            return "EventPostponed"
    return "EventRescheduled" if shown.moved else "EventScheduled"


# ---------------------------------------------------------------- where and by whom


def _place(shown: Said) -> Values | None:
    """A venue has one line of address; a branch has its parts, as far as they may be shown."""
    place, owner = shown.place, shown.told.owner
    if not (place.name or place.address):
        return None
    at_branch = place == content.branch_place(owner)
    address = json_ld.postal_address(owner) if at_branch else place.address
    return {"@type": "Place"} | filled(name=place.name, address=address, geo=_geo(shown))


def _geo(shown: Said) -> Values | None:
    if shown.latitude is None or shown.longitude is None:
        return None
    return json_ld.coordinates(Point(shown.latitude, shown.longitude))


def _meeting(shown: Said, page: str) -> Values | None:
    """What is only online, at an address that is told to whoever asks, begins at the page that says so."""
    only_online = shown.event.attendance == Attendance.ONLINE
    address = shown.online_url or (page if only_online else "")
    return {"@type": "VirtualLocation", "url": address} if address else None


def _organization(branch: Branch, publishing: Publishing, spoken: Language) -> Values:
    return {
        "@type": "Organization",
        "name": branch.name,
        "url": publishing.page_of_branch(branch, spoken),
    }


# ---------------------------------------------------------------- how often


def _series(shown: Said, publishing: Publishing, spoken: Language) -> Values | None:
    """What the date belongs to. The schedule stands there: an event with a start of its own should have none."""
    row, rule = shown.event, rule_of(shown.event)
    if rule is None or row.is_called_off:
        return None
    name = content.title(row, None, spoken).text
    found = filled(name=name, url=publishing.page_of(row, spoken), eventSchedule=_schedule(shown, rule))
    return {"@type": "EventSeries"} | found


def _schedule(shown: Said, rule: Rule) -> Values | None:
    """None for the last day of a month, which schema.org cannot say. Dates that are off or moved are exceptions."""
    row = shown.event
    if rule.month_day < 0:
        return None
    skipped = [text[:10] for text in row.exdates]
    skipped += [
        one.original_start.date().isoformat() for one in shown.told.overrides if one.cancelled or one.start
    ]
    minutes = row.duration // timedelta(minutes=1)
    return {"@type": "Schedule"} | filled(
        repeatFrequency=f"P{rule.interval}{UNITS[rule.frequency]}",
        byDay=_one_or_all([_weekday(rule, day) for day in rule.weekdays]),
        byMonthDay=rule.month_day,
        byMonth=rule.month,
        repeatCount=rule.count,
        startTime="" if row.all_day else f"{row.start:%H:%M:%S}",
        duration=f"P{row.duration.days}D" if row.all_day else f"PT{minutes}M",
        startDate=row.start.date().isoformat(),
        endDate=rule.until.date().isoformat() if rule.until else None,
        scheduleTimezone=row.timezone,
        exceptDate=sorted(skipped),
    )


def _weekday(rule: Rule, day: int) -> str:
    """A weekday by its name, the second one of a month as iCalendar writes it: 2TU."""
    return f"{rule.nth}{DAYS[day]}" if rule.nth else f"{SCHEMA}/{WEEKDAYS[day]}"


def _one_or_all(values: list[str] | list[Values] | list[Values | None]) -> object:
    found = [value for value in values if value]
    return found[0] if len(found) == 1 else found
