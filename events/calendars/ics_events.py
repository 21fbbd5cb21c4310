"""One event of a file, with the entries that change dates of it, as a draft.

What cannot be read makes the event unusable; what can be done without becomes a note. A changed date that
makes no sense is left out of its series rather than told wrongly.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from urllib.parse import urlsplit

from pydantic import ValidationError

from ..drafts import ACCESS, faults
from ..errors import Message, Refusal, say
from .drafts import MAX_TOPICS, MAX_TRANSLATIONS, EventDraft, OverrideDraft
from .ics import TRANSLATED
from .ics_values import Moment, Unusable, Zones, later, link, moment, moments, position, text, texts, utc_or
from .recurrence import Rule, dates_among, parse_rule
from .scanning import Component, Property
from .wording import Part

USUAL_LENGTH = timedelta(hours=1)  # of events that do not say when they end
TITLE, TEXT, TOPIC = 300, 20_000, 60  # the lengths that drafts allow

_MEETINGS = re.compile(
    r"(.+\.)?(zoom\.us|meet\.google\.com|teams\.microsoft\.com|teams\.live\.com|webex\.com|meet\.jit\.si|"
    r"whereby\.com|gotomeeting\.com)"
)
_CONFERENCES = ("CONFERENCE", "X-GOOGLE-CONFERENCE", "X-MICROSOFT-SKYPETEAMSMEETINGURL")
_ONLINE_WORDS = {"online", "virtual", "zoom", "webinar", "en línea", "internet", "microsoft teams meeting"}

_NO_START = say("It does not say when it begins.")
_NO_TITLE = say("It has no title.")
_MIXED = say("It begins with a day and ends with a time, or the other way round.")
PRIVATE = say("It is marked as private.")
_EXCEPTION_RULE = say("It has a rule for exceptions (EXRULE), which calendar apps ignore.")
_FROM_THEN_ON = say(
    "It changes “this and all following dates” at once. Please end the series and begin a new one."
)
_NOT_A_DATE_OF_IT = say("This changes a date that its series does not have.")
_NO_SERIES = say("This changes a date of an event that does not repeat.")
_NO_END = say("It does not say when it ends. It is shown with a length of one hour.")
_TENTATIVE = say("It is marked as tentative. It is shown like any other event.")
_CUT_OFF = say("A text was too long and has been cut off.")
_TOO_MANY_TOPICS = say("It has more than %(most)d categories. The first ones are kept.", most=MAX_TOPICS)
_BAD_POSITION = say("Its position on the map cannot be read and is left out.")


@dataclass(frozen=True, slots=True)
class ImportedEvent:
    """An event or series with its changed dates. `line`: where it begins in the file.

    `uid` is the file's own, or made of start and title when it has none; single dates of an irregular series have
    that of the whole in `related`. `url`: its page elsewhere. `notes`: what was not taken as it stood.
    """

    uid: str
    sequence: int
    line: int
    draft: EventDraft
    branch_slugs: tuple[str, ...]
    url: str
    notes: tuple[Message, ...]
    related: str = ""


@dataclass(frozen=True, slots=True)
class Times:
    """`end` is by the wall clock of the start's zone."""

    start: Moment
    end: datetime

    @property
    def length(self) -> timedelta:
        return self.end - self.start.wall


@dataclass(slots=True)
class Notes:
    """What is told beside an event, each thing once."""

    found: dict[str, Message] = field(default_factory=dict)

    def add(self, message: Message) -> None:
        self.found.setdefault(str(message), message)

    def cut(self, words: str, most: int) -> str:
        """The words if they fit, else their beginning and a note."""
        if len(words) <= most:
            return words
        self.add(_CUT_OFF)
        return words[: most - 1].rstrip() + "…"


def read_event(
    component: Component, changes: Sequence[Component], zones: Zones, default_language: str
) -> tuple[ImportedEvent, list[Refusal]]:
    """The event, and a refusal for each of its changed dates that stays out. Raises Unusable or InvalidRule.

    `changes`: oldest revision first. UID and SEQUENCE are left to the caller.
    """
    if component.value("CLASS").strip().upper() in ("PRIVATE", "CONFIDENTIAL"):
        raise Unusable(PRIVATE)
    notes = Notes()
    times = read_times(component, zones, notes, None)
    home = zones.of_calendar(component.place.calendar)
    if home and not component.get("RRULE"):
        times = _at_home(times, home)
    timezone = times.start.zone or zones.floating(component.place.calendar) or "UTC"
    rule = _rule(component, times, timezone)
    series = _Series(component, times, rule, zones, notes)
    series.change(changes)
    page = link(component.value("URL"))
    page = "" if _is_meeting(page) else page
    known = {"timezone": timezone, "registration_url": page}
    draft = series.draft(_words(component, notes, default_language) | known)
    for line in component.unread_lines:
        notes.add(say("Line %(line)d cannot be read and is left out.", line=line))
    event = ImportedEvent(
        uid="",
        sequence=0,
        line=component.place.line,
        draft=draft,
        branch_slugs=tuple(texts(component.all("X-BRANCHLINE-BRANCH"))),
        url=page,
        notes=tuple(notes.found.values()),
    )
    return event, series.refusals


# ---------------------------------------------------------------- times


def read_times(component: Component, zones: Zones, notes: Notes, usual: Times | None) -> Times:
    """When it takes place; `usual`: of its series, for an override that does not say how long it is."""
    begin = component.get("DTSTART")
    if begin is None:
        raise Unusable(_NO_START)
    floating = usual.start.zone if usual else zones.floating(component.place.calendar)
    start = moment(begin, begin.value, zones, floating)
    return Times(start, _end(component, start, zones) or _usual_end(start, usual, notes))


def _end(component: Component, start: Moment, zones: Zones) -> datetime | None:
    """None when it does not say, or says that it ends when it begins."""
    if ending := component.get("DTEND"):
        end = moment(ending, ending.value, zones, start.zone)
        if end.is_day != start.is_day and (end.is_day or end.wall.time() != time(0)):
            raise Unusable(_MIXED)
        found = end.within(start.zone or end.zone)
    elif length := component.value("DURATION"):
        found = later(start, length)
    else:
        return None
    return None if found == start.wall else found


def _usual_end(start: Moment, usual: Times | None, notes: Notes) -> datetime:
    if usual is not None:
        return start.wall + usual.length
    if start.is_day:
        return start.wall + timedelta(days=1)
    notes.add(_NO_END)
    return start.wall + USUAL_LENGTH


def _at_home(times: Times, zone: str) -> Times:
    """Times in UTC by the clocks of the calendar's own zone, unless those are being changed."""
    start, end = utc_or(times.start, zone), utc_or(Moment(times.end, times.start.zone), zone)
    return Times(start, end.wall) if start.zone == end.zone else times


def _rule(component: Component, times: Times, timezone: str) -> Rule | None:
    if component.get("EXRULE"):
        raise Unusable(_EXCEPTION_RULE)
    said = component.value("RRULE")
    if not said:
        return None
    rule = parse_rule(said, times.start.wall, timezone, times.start.is_day)
    return None if rule.count == 1 else rule


# ---------------------------------------------------------------- a series and its changed dates


def original_start(change: Component, start: Moment, zones: Zones) -> datetime:
    """Which date of a series that begins at `start` is changed. Raises Unusable.

    If that cannot be read, no date of the series can be relied on.
    """
    said, line = change.get("RECURRENCE-ID"), change.place.line
    if said is None or "RANGE" in said.parameters:
        raise Unusable(_FROM_THEN_ON)
    try:
        return as_original(moment(said, said.value, zones, start.zone), start)
    except Unusable as error:
        message = say("Which of its dates the entry on line %(line)d changes cannot be read.", line=line)
        raise Unusable(message) from error


def as_original(at: Moment, start: Moment) -> datetime:
    """By the series' own clock and form: a day means the date of that day, and the other way round."""
    if start.is_day or at.is_day:
        return datetime.combine(at.wall.date(), start.wall.time())
    return at.within(start.zone)


class _Series:
    """The dates of an event: those left out, those changed, and those whose change makes no sense."""

    def __init__(self, main: Component, times: Times, rule: Rule | None, zones: Zones, notes: Notes) -> None:
        self._main, self._times, self._rule, self._zones, self._notes = main, times, rule, zones, notes
        self._changed: dict[datetime, tuple[int, OverrideDraft]] = {}
        skipped = moments(main.all("EXDATE"), zones, times.start.zone) if rule else []
        self._excluded = {as_original(at, times.start) for at in skipped}
        self.refusals: list[Refusal] = []

    def change(self, changes: Sequence[Component]) -> None:
        """Takes the entries with RECURRENCE-ID; of several for one date, the last one given."""
        originals = [original_start(change, self._times.start, self._zones) for change in changes]
        dates = dates_among(self._rule, self._times.start.wall, originals)
        for change, original in zip(changes, originals, strict=True):
            line = change.place.line
            if self._rule is None or original not in dates:
                reason = _NOT_A_DATE_OF_IT if self._rule else _NO_SERIES
                self.refusals.append(Refusal(line, reason))
                continue
            try:
                self._changed[original] = line, self._override(change, original)
            except Unusable as error:
                self._leave_out(original, line, error.message)
        self._changed = dict(sorted(self._changed.items()))

    def draft(self, values: dict[str, object]) -> EventDraft:
        """The whole as a draft; changed dates that make no sense in it are left out. Raises Unusable."""
        try:
            return self._drafted(values)
        except ValidationError as error:
            found = faults(error)
        changed = list(self._changed.items())
        for path, message in found.items():
            head, _, rest = path.partition(".")
            if head != "overrides" or not rest:  # not of one of the changes: of the event, or of their number
                raise Unusable(message)
            original, (line, _) = changed[int(rest.partition(".")[0])]
            self._leave_out(original, line, message)
        try:
            return self._drafted(values)
        except ValidationError as error:
            raise Unusable(next(iter(faults(error).values()))) from error

    def _drafted(self, values: dict[str, object]) -> EventDraft:
        start = self._times.start
        return EventDraft.model_validate(
            {
                **values,
                "start": start.wall,
                "end": self._times.end,
                "all_day": start.is_day,
                "rrule": str(self._rule or ""),
                "exdates": tuple(self._excluded - self._changed.keys()),
                "overrides": tuple(override for _, override in self._changed.values()),
            }
        )

    def _leave_out(self, original: datetime, line: int, reason: Message) -> None:
        """Told once, however many faults the change has."""
        if self._changed.pop(original, None) or original not in self._excluded:
            self.refusals.append(Refusal(line, reason))
        self._excluded.add(original)

    def _override(self, change: Component, original: datetime) -> OverrideDraft:
        if change.value("STATUS").strip().upper() == "CANCELLED":
            reason = self._notes.cut(text(change.get("COMMENT")), TITLE)
            return OverrideDraft(original_start=original, cancelled=True, reason=reason)
        times = read_times(change, self._zones, self._notes, self._times)
        if times.start.is_day != self._times.start.is_day:
            raise Unusable(_MIXED)
        start = times.start.within(self._times.start.zone)
        end = Moment(times.end, times.start.zone).within(self._times.start.zone)
        values: dict[str, object] = {
            "original_start": original,
            "start": start if start != original else None,
            "end": end if end != start + self._times.length else None,
            "title": self._if_changed(change, "SUMMARY", TITLE),
            "description": self._if_changed(change, "DESCRIPTION", TEXT),
        }
        lines = _location(change)
        if change.get("LOCATION") and lines != _location(self._main) and not _is_online(lines):
            values["venue_name"] = self._notes.cut(lines[0], TITLE) if lines else ""
            values["venue_address"] = self._notes.cut(", ".join(lines[1:]), TITLE)
        try:
            return OverrideDraft.model_validate(values)
        except ValidationError as error:
            raise Unusable(next(iter(faults(error).values()))) from error

    def _if_changed(self, change: Component, name: str, most: int) -> str | None:
        words = text(change.get(name))
        if not words or words == text(self._main.get(name)):
            return None
        return self._notes.cut(words, most)


# ---------------------------------------------------------------- words and places


def _words(component: Component, notes: Notes, default_language: str) -> dict[str, object]:
    title = " ".join(text(component.get("SUMMARY")).split())
    if not title:
        raise Unusable(_NO_TITLE)
    status = component.value("STATUS").strip().upper()
    if status == "TENTATIVE":
        notes.add(_TENTATIVE)
    topics = [notes.cut(name, TOPIC) for name in dict.fromkeys(texts(component.all("CATEGORIES")))]
    if len(topics) > MAX_TOPICS:
        notes.add(_TOO_MANY_TOPICS)
    return {
        "title": notes.cut(title, TITLE),
        "description": notes.cut(text(component.get("DESCRIPTION")), TEXT),
        "language": _language(component) or default_language,
        "translations": _translations(component, notes),
        "topics": tuple(topics[:MAX_TOPICS]),
        "contact": notes.cut(text(component.get("CONTACT")), TITLE),
        "state": "cancelled" if status == "CANCELLED" else "published",
        "reason": notes.cut(text(component.get("COMMENT")), TITLE) if status == "CANCELLED" else "",
        "cost": notes.cut(text(component.get("X-BRANCHLINE-COST")), TITLE),
        "access": tuple(word for word in texts(component.all("X-BRANCHLINE-ACCESS")) if word in ACCESS),
        **_whereabouts(component, notes),
    }


def _language(component: Component) -> str:
    summary = component.get("SUMMARY")
    return _tag(summary) if summary else ""


def _tag(prop: Property) -> str:
    said = prop.parameters.get("LANGUAGE", "")
    return said if re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}", said) else ""


def _translations(component: Component, notes: Notes) -> dict[str, dict[str, str]]:
    """What our own exports say in other languages."""
    found: dict[str, dict[str, str]] = {}
    for part, name in TRANSLATED.items():
        for prop in component.all(name):
            words = text(prop) if part is Part.TEXT else " ".join(text(prop).split())
            tag, most = _tag(prop), TEXT if part is Part.TEXT else TITLE
            if tag and words and (tag in found or len(found) < MAX_TRANSLATIONS):
                found.setdefault(tag, {})[part] = notes.cut(words, most)
    return found


def _whereabouts(component: Component, notes: Notes) -> dict[str, object]:
    """A venue, a link to join online, or both."""
    lines, online_url = _location(component), _online_url(component)
    if not lines or _is_online(lines):
        is_online = bool(online_url or lines)
        return {"attendance": "online" if is_online else "in-person", "online_url": online_url}
    venue: dict[str, object] = {"name": notes.cut(lines[0], TITLE)}
    if lines[1:]:
        whole = notes.cut(", ".join(lines[1:]), TITLE)  # is kept as one line
        venue["address_1"], _, venue["address_2"] = whole.partition(", ") if lines[2:] else (whole, "", "")
    if said := component.value("GEO"):
        if found := position(said):
            venue["latitude"], venue["longitude"] = found
        else:
            notes.add(_BAD_POSITION)
    return {"attendance": "hybrid" if online_url else "in-person", "online_url": online_url, "venue": venue}


def _location(component: Component) -> list[str]:
    lines = text(component.get("LOCATION")).split("\n")
    return [found for line in lines if (found := " ".join(line.split()))]


def _is_online(lines: Sequence[str]) -> bool:
    """Whether a location is none: a link, or a word for being online."""
    return len(lines) == 1 and (bool(link(lines[0])) or lines[0].casefold() in _ONLINE_WORDS)


def _online_url(component: Component) -> str:
    for name in _CONFERENCES:
        if found := link(component.value(name)):
            return found
    if _is_meeting(page := link(component.value("URL"))):
        return page
    lines = _location(component)
    return link(lines[0]) if len(lines) == 1 else ""


def _is_meeting(page: str) -> bool:
    return bool(_MEETINGS.fullmatch(urlsplit(page).hostname or ""))
