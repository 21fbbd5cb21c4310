"""What a form, an import or the API says about an event, before it becomes rows.

Times are by the wall clock of `timezone`. A draft that exists can be published: its rule is one that all
calendar apps share, its first date is one of the rule's, and no date begins while the clocks change.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from ..drafts import (
    Access,
    BlankIsNone,
    Draft,
    Fault,
    HttpUrl,
    LanguageTag,
    Latitude,
    Line,
    Longitude,
    LongText,
    ShortText,
    TimeZone,
    Title,
    WallTime,
)
from ..errors import Message, say
from ..places.naming import fold
from .recurrence import InvalidRule, Rule, dates_among, first_fit, parse_rule, starts
from .timezones import clock_changes, in_clock_change
from .wording import is_same

Attendance = Literal["in-person", "online", "hybrid"]
State = Literal["draft", "submitted", "published", "cancelled", "postponed"]

LONGEST = timedelta(days=3 * 366)
MAX_TOPICS = 20
LONGEST_ADDRESS = 300  # characters, as one line: it comes back as the first line of a draft
MAX_TRANSLATIONS = 10
SEARCHED = 2000  # characters of an event, in each of its languages, that are searched

TopicName = Annotated[str, Field(min_length=1, max_length=60), Line]

_BACKWARDS = say("The end must be after the start.")
_TOO_LONG = say("An event can last three years at most. Does it repeat instead?")
_NOT_MIDNIGHT = say("All-day events begin and end at midnight.")
_NEVER = say("This rule never happens.")
_NO_SERIES = say("Single dates can be changed in a series only; this event does not repeat.")
_NO_SUCH_DATE = say("The series has no date at that time.")
_TWICE = say("This date is changed twice.")


class VenueDraft(Draft):
    name: Title
    address_1: ShortText = ""
    address_2: ShortText = ""
    city: ShortText = ""
    state_province: ShortText = ""
    postal_code: Annotated[str, Field(max_length=20), Line] = ""
    country: Annotated[str, Field(max_length=2), Line] = ""
    latitude: Annotated[Latitude | None, BlankIsNone] = None
    longitude: Annotated[Longitude | None, BlankIsNone] = None

    @property
    def address_line(self) -> str:
        """As it is kept: one line with the town, the code and the country."""
        town = " ".join(part for part in (self.state_province, self.postal_code) if part)
        parts = (self.address_1, self.address_2, self.city, town, self.country)
        return ", ".join(part for part in parts if part)

    def contradictions(self) -> Iterator[tuple[str, Message]]:
        if len(self.address_line) > LONGEST_ADDRESS:
            yield (
                "address_1",
                say("An address has %(most)d characters at most, with its town.", most=LONGEST_ADDRESS),
            )
        if (self.latitude is None) != (self.longitude is None):
            missing = "latitude" if self.latitude is None else "longitude"
            yield missing, say("Latitude and longitude belong together: give both or neither.")
        if self.latitude == 0 and self.longitude == 0:
            yield "latitude", say("0, 0 lies in the Atlantic. Leave both empty when the position is unknown.")


class OverrideDraft(Draft):
    """One date of a series that differs, by its original start. None: as the series says."""

    original_start: WallTime
    cancelled: bool = False
    reason: ShortText = ""
    start: Annotated[WallTime | None, BlankIsNone] = None
    end: Annotated[WallTime | None, BlankIsNone] = None
    title: Title | None = None
    description: LongText | None = None
    venue_name: ShortText | None = None
    venue_address: ShortText | None = None


class TranslationDraft(Draft):
    """What is said in another language than the event's own; readers get what is empty as the event has it."""

    title: ShortText = ""
    description: LongText = ""  # Markdown


Translated = Annotated[dict[LanguageTag, TranslationDraft], Field(max_length=MAX_TRANSLATIONS)]


class EventDraft(Draft):
    """An event or a series. `end` is exclusive; all-day events begin and end at midnights."""

    title: Title
    description: LongText = ""  # Markdown
    language: LanguageTag = "en"
    translations: Translated = Field(default_factory=dict)
    start: WallTime
    end: WallTime
    all_day: bool = False
    timezone: TimeZone
    rrule: Annotated[str, Field(max_length=500), Line] = ""  # becomes str(Rule); a single event's is empty
    exdates: Annotated[tuple[WallTime, ...], Field(max_length=1000)] = ()
    attendance: Attendance = "in-person"
    venue: VenueDraft | None = None  # None: at the branch
    online_url: HttpUrl = ""
    registration_url: HttpUrl = ""
    contact: ShortText = ""
    cost: ShortText = ""
    topics: Annotated[tuple[TopicName, ...], Field(max_length=MAX_TOPICS)] = ()
    access: tuple[Access, ...] = ()
    state: State = "draft"
    reason: ShortText = ""
    overrides: Annotated[tuple[OverrideDraft, ...], Field(max_length=1000)] = ()

    @property
    def duration(self) -> timedelta:
        """By the wall clock."""
        return self.end - self.start

    @property
    def rule(self) -> Rule | None:
        return parse_rule(self.rrule, self.start, self.timezone, self.all_day) if self.rrule else None

    @property
    def search_key(self) -> str:
        """Folded words. A long text leaves room for what is said in other languages."""
        texts = [f"{self.title} {self.venue.name if self.venue else ''} {self.description}"]
        texts += [f"{said.title} {said.description}" for said in self.translations.values()]
        return " ".join(fold(text)[:SEARCHED] for text in texts)

    @property
    def worded(self) -> dict[str, dict[str, str]]:
        """The translations as they are kept: without what is empty."""
        said = {tag: words.model_dump(exclude_defaults=True) for tag, words in self.translations.items()}
        return {tag: said[tag] for tag in sorted(said)}

    @field_validator("translations")
    @classmethod
    def _into_other_languages(
        cls, translations: dict[str, TranslationDraft], info: ValidationInfo
    ) -> dict[str, TranslationDraft]:
        """What is empty, and what would be said twice in the event's own language, is none."""
        own = info.data.get("language", "")
        given = {
            tag: words for tag, words in sorted(translations.items()) if words.title or words.description
        }
        return {tag: words for tag, words in given.items() if not (own and is_same(tag, own))}

    @field_validator("rrule")
    @classmethod
    def _one_of_the_shared_shapes(cls, text: str, info: ValidationInfo) -> str:
        """COUNT=1 is a single event. What cannot be judged because another field is wrong stays as it is."""
        if not text or not info.data.keys() >= {"start", "timezone", "all_day"}:
            return text
        try:
            rule = parse_rule(text, info.data["start"], info.data["timezone"], info.data["all_day"])
        except InvalidRule as error:
            raise Fault(error.message) from error
        return "" if rule.count == 1 else str(rule)

    @field_validator("topics", "access")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple({name.casefold(): name for name in reversed(names)}.values())[::-1]

    @field_validator("exdates")
    @classmethod
    def _only_dates_of_the_series(
        cls, moments: tuple[datetime, ...], info: ValidationInfo
    ) -> tuple[datetime, ...]:
        """In order. Leaving out what is no date (any more) means nothing, and apps complain about it."""
        if not moments or not info.data.keys() >= {"start", "timezone", "all_day", "rrule"}:
            return moments
        text, start = info.data["rrule"], info.data["start"]
        rule = parse_rule(text, start, info.data["timezone"], info.data["all_day"]) if text else None
        return tuple(sorted(dates_among(rule, start, moments))) if rule else ()

    def contradictions(self) -> Iterator[tuple[str, Message]]:
        if self.end <= self.start:
            yield "end", _BACKWARDS
        elif self.duration > LONGEST:
            yield "end", _TOO_LONG
        if self.all_day:
            yield from ((name, _NOT_MIDNIGHT) for name in ("start", "end") if _has_hours(getattr(self, name)))
        if self.attendance == "online" and self.venue is not None:
            yield "venue", say("An online event has no place to go to. Choose “both” when people also meet.")
        rule = self.rule
        if rule is not None:
            yield from self._about_the_rule(rule)
        yield from self._about_clock_changes(rule)
        yield from self._about_overrides(rule)

    def _about_the_rule(self, rule: Rule) -> Iterator[tuple[str, Message]]:
        first = first_fit(rule, self.start)
        if first is None:
            yield "rrule", _NEVER
        elif first != self.start:
            yield (
                "start",
                say(
                    "The repetition does not include this date. The first that fits is %(first)s.",
                    first=first,
                ),
            )
        elif next(starts(rule, self.start, self.exdates, limit=1), None) is None:
            yield "exdates", say("Every date of the series is left out.")

    def _about_clock_changes(self, rule: Rule | None) -> Iterator[tuple[str, Message]]:
        if self.all_day:
            return
        spans = clock_changes(self.timezone)
        ahead = spans[bisect_right(spans, self.start, key=lambda span: span[1]) :]
        if rule is None:  # it can be in no other
            ahead = ahead[:1]
        suspects = {
            at
            for begin, end in ahead
            for day in (begin, end)
            if begin <= (at := datetime.combine(day, self.start.time())) < end
        }
        for at in sorted(dates_among(rule, self.start, suspects).difference(self.exdates))[:1]:
            yield "start", _clock_change(at, self.timezone)

    def _about_overrides(self, rule: Rule | None) -> Iterator[tuple[str, Message]]:
        dates = dates_among(rule, self.start, [override.original_start for override in self.overrides])
        seen = set(self.exdates)
        for number, override in enumerate(self.overrides):
            original = override.original_start
            for field, message in self._about_override(override):
                yield f"overrides.{number}.{field}", message
            if rule is None:
                yield f"overrides.{number}.original_start", _NO_SERIES
            elif original not in dates:
                yield f"overrides.{number}.original_start", _NO_SUCH_DATE
            elif original in seen:
                yield f"overrides.{number}.original_start", _TWICE
            seen.add(original)

    def _about_override(self, override: OverrideDraft) -> Iterator[tuple[str, Message]]:
        start, end = self.times_of(override)
        if end <= start:
            yield "end", _BACKWARDS
        elif end - start > LONGEST:
            yield "end", _TOO_LONG
        if self.all_day and (_has_hours(start) or _has_hours(end)):
            yield "start", _NOT_MIDNIGHT
        if not self.all_day and in_clock_change(start, self.timezone):
            yield "start", _clock_change(start, self.timezone)

    def times_of(self, override: OverrideDraft) -> tuple[datetime, datetime]:
        """Start and end of a changed date: its own, else as the series says."""
        start = override.start or override.original_start
        return start, override.end or start + self.duration


def _has_hours(moment: datetime) -> bool:
    return moment.time() != time(0)


def _clock_change(at: datetime, timezone: str) -> Message:
    return say(
        "On %(day)s the clocks of %(timezone)s change at that hour, and calendar apps would show different "
        "times. Please begin earlier or later.",
        day=at.date(),
        timezone=timezone,
    )


# ---------------------------------------------------------------- moving a draft by weeks


def shifted(draft: EventDraft, weeks: int) -> EventDraft:
    """The same event `weeks` later (or earlier), weekdays and times kept.

    A series of second Tuesdays may have none on the date it comes to: then it begins on the next one after.
    It keeps its number of dates, and each exclusion and changed date stays with its date by ordinal number.
    Raises ValidationError where a draft would, such as when a date comes into a clock change.
    """
    rule, move = draft.rule, timedelta(weeks=weeks)
    if rule is None:
        return _with(draft, start=draft.start + move, end=draft.end + move)
    endless = replace(rule, until=None, count=None)
    start = first_fit(endless, draft.start + move) or draft.start + move
    last = rule.last_start(draft.start) if rule.until else None
    known = [
        *draft.exdates,
        *(override.original_start for override in draft.overrides),
        *([last] if last else []),
    ]
    before = max(known, default=draft.start) + timedelta(seconds=1)
    old = list(starts(endless, draft.start, before=before))
    new = dict(zip(old, starts(endless, start, limit=len(old)), strict=True))
    if last and rule.until:
        rule = replace(rule, until=rule.until - last + new[last])
    return _with(
        draft,
        start=start,
        end=start + draft.duration,
        rrule=str(rule),
        exdates=tuple(new[at] for at in draft.exdates if at in new),
        overrides=tuple(_moved(override, new[override.original_start]) for override in draft.overrides),
    )


def _moved(override: OverrideDraft, original_start: datetime) -> OverrideDraft:
    move = original_start - override.original_start
    return override.model_copy(
        update={
            "original_start": original_start,
            "start": override.start + move if override.start else None,
            "end": override.end + move if override.end else None,
        }
    )


def _with(draft: EventDraft, **changes: object) -> EventDraft:
    """A copy that is validated again, as model_copy's would not be."""
    return EventDraft.model_validate({**dict(draft), **changes})
