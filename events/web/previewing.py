"""What an event will look like before it is saved: its dates, its page, and its entry in a calendar app."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request

from ..branches.models import Branch
from ..calendars import content, store, vevents
from ..calendars.drafts import EventDraft
from ..calendars.recurrence import next_dates
from ..errors import say
from ..language import Language
from . import translating
from .endpoints import now
from .map import Map
from .state import language_of, state_of
from .translating import Seen
from .venues import Found, in_words, map_of
from .words import access_in_words, rule_in_words

DATES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Written:
    """What a form says: the event, who holds it (the owner first), and where its place was found."""

    draft: EventDraft
    hosts: Sequence[Branch]
    place: Found


@dataclass(frozen=True, slots=True)
class Preview:
    title: str
    rule: str
    zone: str
    dates: Sequence[str]
    line: str  # the rule and the days, short
    place: content.Place
    place_note: str  # how exactly it is known
    map: Map | None
    access: str
    text: str  # Markdown
    summary: str  # of the calendar's entry, as are the next two
    location: str
    description: str
    others: Sequence[Seen]  # what is said in other languages


def preview(request: Request, written: Written) -> Preview:
    draft, spoken = written.draft, language_of(request)
    told = store.sketch(draft.model_copy(update={"translations": {}}), written.hosts, now())
    shown = content.said(told)
    [entry] = vevents.entries(told, state_of(request).publishing, spoken)
    return Preview(
        title=shown.title,
        rule=rule(spoken, draft),
        line=line(spoken, draft),
        zone="" if draft.all_day else spoken.zone(draft.timezone),
        dates=dates(spoken, draft),
        place=shown.place,
        place_note=in_words(request, written.place),
        map=map_of(request, str(shown.place), written.place),
        access=access_in_words(spoken, draft.access),
        text=shown.text,
        summary=entry.summary,
        location=entry.location,
        description=entry.description,
        others=translating.previews(request, draft, written.hosts, now()),
    )


def rule(spoken: Language, draft: EventDraft) -> str:
    """How often, in words; nothing for a single event."""
    return rule_in_words(spoken, draft.rule) if draft.rule else ""


def dates(spoken: Language, draft: EventDraft) -> list[str]:
    """The next ones."""
    return [
        spoken.capital(
            f"{spoken.day(start.date())}, {spoken.span(start, start + draft.duration, draft.all_day)}"
        )
        for start in _starts(draft)
    ]


def line(spoken: Language, draft: EventDraft) -> str:
    """The same in one line, to stand beside what is being typed; nothing for a single event."""
    if draft.rule is None:
        return ""
    days = " · ".join(spoken.short_day(start.date()) for start in _starts(draft))
    return spoken.say(say("%(rule)s: %(days)s …", rule=rule(spoken, draft), days=days))


def _starts(draft: EventDraft) -> list[datetime]:
    return list(next_dates(draft.rule, draft.start, draft.exdates, draft.start, DATES_SHOWN))
