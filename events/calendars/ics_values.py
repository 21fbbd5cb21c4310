"""What the values of imported properties mean: texts, moments, lengths, time zones. Nothing is guessed."""

import quopri
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from ..drafts import Fault, tidy, time_zone, web_address, zone_names
from ..errors import BranchlineError, Message, say
from ..later import loaded_later
from .scanning import Component, Property
from .timezones import to_utc, to_wall

if TYPE_CHECKING:
    from icalendar.timezone import windows_to_olson
else:
    windows_to_olson = loaded_later("icalendar.timezone.windows_to_olson")

_MOMENT = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(?:T(\d\d):?(\d\d):?(\d\d)?(Z)?)?")
_LENGTH = re.compile(
    r"([+-]?)P(?=.)(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T(?=.)(?:(\d{1,6})H)?(?:(\d{1,7})M)?(?:(\d{1,8})S)?)?"
)
_GEO = re.compile(r"\s*([+-]?\d{1,3}(?:\.\d*)?)\s*\\?[;,]\s*([+-]?\d{1,3}(?:\.\d*)?)\s*")
MAX_ZONE_NAME = 100
_READABLE_YEARS = range(1900, 2300)


class Unusable(BranchlineError):
    """Something that cannot be taken over; the message tells an organizer why."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A day (`zone` empty, `wall` its midnight) or a time by the wall clock of an IANA zone."""

    wall: datetime
    zone: str

    @property
    def is_day(self) -> bool:
        return not self.zone

    def within(self, zone: str) -> datetime:
        """By the wall clock of another zone; a day stays that day."""
        if self.is_day or self.zone == zone:
            return self.wall
        return to_wall(to_utc(self.wall, self.zone), zone)


class Zones:
    """The time zones of one file, by the names it uses, and what its floating times are in."""

    def __init__(self, default: str | None) -> None:
        self._default = default
        self._calendars: dict[int, str] = {}
        self._names: dict[str, str] = {}

    def learn(self, component: Component) -> None:
        """From a VTIMEZONE: its own name first, else its X-LIC-LOCATION. From a calendar: X-WR-TIMEZONE."""
        if component.kind == "VCALENDAR" and (zone := iana_name(component.value("X-WR-TIMEZONE"))):
            self._calendars[component.place.calendar] = zone
        if component.kind == "VTIMEZONE":
            name = component.value("TZID")
            if zone := iana_name(name) or iana_name(component.value("X-LIC-LOCATION")):
                self._names[name] = zone

    def of_calendar(self, number: int) -> str | None:
        """The zone the calendar says it is in."""
        return self._calendars.get(number)

    def floating(self, number: int) -> str | None:
        """The zone of times that name none."""
        return self._calendars.get(number) or self._default

    def named(self, name: str) -> str:
        zone = self._names.get(name) or iana_name(name)
        if zone is None:
            raise Unusable(
                say("Its time zone “%(name)s” is not known. Use one like America/Chicago.", name=name[:80])
            )
        return zone


@cache
def _zones_in_lower_case() -> dict[str, str]:
    return {name.lower(): name for name in zone_names()}


@lru_cache(maxsize=1024)
def iana_name(name: str) -> str | None:
    """The IANA name for a name from a file: that itself, Windows', a vendor's path (/x.org/1/Europe/Rome)."""
    name = name.strip().strip('"').strip("/")
    if len(name) > MAX_ZONE_NAME:
        return None
    steps = name.split("/")
    ends = ("/".join(steps[first:]) for first in range(1, len(steps) - 1))
    spelled = (name.replace("-", "/", 1), name.replace(" ", "_"))
    for candidate in (name, windows_to_olson.WINDOWS_TO_OLSON.get(name, ""), *ends, *spelled):
        if found := _zones_in_lower_case().get(candidate.lower()):
            return time_zone(found)
    return None


# ---------------------------------------------------------------- values


def text(prop: Property | None) -> str:
    """A TEXT value (RFC 5545 3.3.11); vCalendar 1.0 wrote some in quoted-printable."""
    if prop is None:
        return ""
    value = prop.value
    if prop.parameters.get("ENCODING", "").upper() == "QUOTED-PRINTABLE":
        value = quopri.decodestring(value.encode()).decode("utf-8", "replace")
    return tidy(_unescaped(value))


def texts(properties: list[Property]) -> list[str]:
    """The values of comma-separated lists, such as CATEGORIES."""
    parts = (part for prop in properties for part in re.split(r"(?<!\\),", prop.value))
    return [found for part in parts if (found := " ".join(tidy(_unescaped(part)).split()))]


def _unescaped(value: str) -> str:
    return re.sub(r"\\(.)", lambda escape: "\n" if escape[1] in "nN" else escape[1], value, flags=re.DOTALL)


def moment(prop: Property, value: str, zones: Zones, floating: str | None) -> Moment:
    """A DATE or DATE-TIME; `floating`: the zone of a time that names none. Raises Unusable."""
    match = _MOMENT.fullmatch(value.strip().upper())
    if not match:
        raise Unusable(_no_such_moment(value))
    year, month, day, hour, minute, second = (int(number or 0) for number in match.groups()[:6])
    try:
        wall = datetime(year, month, day, hour, minute, second)
    except ValueError as error:
        raise Unusable(_no_such_moment(value)) from error
    if wall.year not in _READABLE_YEARS:
        raise Unusable(_no_such_moment(value))
    at_midnight = wall.hour == wall.minute == wall.second == 0
    if match[4] is None or (at_midnight and prop.parameters.get("VALUE", "").upper() == "DATE"):
        return Moment(wall.replace(hour=0, minute=0, second=0), "")
    if match[7]:
        return Moment(wall, "UTC")
    name = prop.parameters.get("TZID", "")
    zone = zones.named(name) if name else floating
    if zone is None:
        raise Unusable(say("Its time names no time zone, and the file names none either."))
    return Moment(wall, zone)


def moments(properties: list[Property], zones: Zones, floating: str | None) -> list[Moment]:
    """All values of properties that may hold lists, such as EXDATE."""
    values = ((prop, value) for prop in properties for value in prop.value.split(",") if value)
    return [moment(prop, value, zones, floating) for prop, value in values]


def later(start: Moment, length: str) -> datetime:
    """The wall clock after a DURATION: days by the calendar, hours as time passes. Raises Unusable."""
    match = _LENGTH.fullmatch(length.strip().upper())
    if not match or match[1] == "-":
        raise Unusable(say("Its length “%(length)s” cannot be read.", length=length[:40]))
    weeks, days, hours, minutes, seconds = (int(number or 0) for number in match.groups()[1:])
    wall = start.wall + timedelta(weeks=weeks, days=days)
    passing = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if start.is_day or not passing:
        return wall + passing
    return to_wall(to_utc(wall, start.zone) + passing, start.zone)


def position(value: str) -> tuple[float, float] | None:
    """GEO as latitude and longitude; None when it is none, or 0, 0."""
    match = _GEO.fullmatch(value)
    if not match:
        return None
    latitude, longitude = float(match[1]), float(match[2])
    inside = abs(latitude) <= 90 and abs(longitude) <= 180
    return (latitude, longitude) if inside and (latitude or longitude) else None


def link(value: str) -> str:
    """A web address, or nothing when it is none."""
    try:
        found = web_address(tidy(value))
    except Fault:
        return ""
    return found if len(found) <= 500 else ""


def utc_or(moment_: Moment, zone: str) -> Moment:
    """A time in UTC by the clocks of a zone, if they show that time once; else as it is."""
    wall = moment_.within(zone)
    if moment_.zone != "UTC" or to_utc(wall, zone) != moment_.wall.replace(tzinfo=UTC):
        return moment_
    return Moment(wall, zone)


def _no_such_moment(value: str) -> Message:
    return say("“%(value)s” is not a date or time that exists.", value=value[:40])
