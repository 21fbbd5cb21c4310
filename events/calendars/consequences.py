"""What those who follow an event will see of a change, said before it is made. Pure: what is told and what would be.

Only what calendar apps show counts: a change that none of them shows has no consequence.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

from ..db import Row
from ..errors import Message, say
from ..language import SOURCE, language
from . import content, vevents
from .content import Publishing, Said, Told
from .horizon import rule_of
from .ics import Entry
from .models import CALLED_OFF, Event, State
from .recurrence import counterpart, starts
from .timezones import to_utc, to_wall

AHEAD = timedelta(days=365)  # later dates are not told one by one
MOST_DATES = 6
LONGEST_VALUE = 120  # characters of a new text that are shown

_AROUND = timedelta(days=8)  # a date is no further from its counterpart (`recurrence.counterpart`)
_NOBODY = Publishing(base_url="", organisation="", locales=(SOURCE,))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AnyRow = TypeVar("AnyRow", bound=Row)
Pair = tuple[Said | None, Said | None]


@dataclass(frozen=True, slots=True)
class Consequences:
    """Sentences, and how many more dates change that are not among them. No sentence: no app shows any difference."""

    lines: Sequence[Message]
    more: int = 0


def copied(told: Told) -> Told:
    """The same in rows of its own, so that it stays what it was whatever becomes of the event."""
    return Told(
        _copy(told.event),
        list(map(_copy, told.overrides)),
        list(map(_copy, told.hosts)),
        list(map(_copy, told.topics)),
    )


def _copy(row: AnyRow) -> AnyRow:
    return type(row)(**{name: getattr(row, name) for name in type(row).model_fields})


def differences(before: Told, after: Told, now: datetime, since: datetime | None = None) -> Consequences:
    """From what is told now to what would be told.

    `since`: an original start of `before`; from there on `after` takes its place, earlier dates are not its business.
    """
    told = _of_publication(before.event, after.event)
    if told is not None:
        return Consequences([told])
    texts = [*_of_state(before.event, after.event), *_of_texts(before, after)]
    dates = list(filter(None, (_of_date(pair, before, after) for pair in _pairs(before, after, now, since))))
    lines = [*texts, *(line for lines in dates[:MOST_DATES] for line in lines)]
    if not lines and since is None and _entries(before) != _entries(after):
        lines = [_ELSEWHERE]
    return Consequences(lines, max(0, len(dates) - MOST_DATES))


_ELSEWHERE = say(
    "Something changes that is not listed here, such as dates that are past or more than a year ahead."
)


def _entries(told: Told) -> list[Entry]:
    """What calendars get, without what only says that it has changed."""
    found = vevents.entries(told, _NOBODY, language(SOURCE))
    return [replace(entry, uid="", sequence=0, created_at=_EPOCH, modified_at=_EPOCH) for entry in found]


# ---------------------------------------------------------------- the whole


def _of_publication(before: Event, after: Event) -> Message | None:
    """What is said of an event that nobody sees before or afterwards: then nothing else matters."""
    if before.is_public and after.is_public:
        return None
    if before.is_public:
        return say("Calendars show it as cancelled for 30 days, then it disappears from them.")
    if after.is_public:
        return say("It appears in the calendars of everybody who follows its branch or its topics.")
    return say("It is not published, so nobody sees anything of this yet.")


def _of_state(before: Event, after: Event) -> Iterator[Message]:
    if before.state in CALLED_OFF and after.state not in CALLED_OFF:
        yield say("It is no longer shown as cancelled.")
    elif after.state in CALLED_OFF and before.state != after.state:
        if after.state == State.POSTPONED:
            yield say("It is shown as postponed: “%(reason)s”", reason=after.cancelled_reason)
        else:
            yield say("It is shown as cancelled: “%(reason)s”", reason=after.cancelled_reason)
    elif before.cancelled_reason != after.cancelled_reason:
        yield say("The reason becomes “%(reason)s”.", reason=after.cancelled_reason)


@dataclass(frozen=True, slots=True)
class _Field:
    """A text that all dates share: how to find it, and what is said when it changes or is not there any more."""

    of: Callable[[Told], str]
    becomes: Message
    goes: Message | None = None


_FIELDS = (
    _Field(lambda told: told.event.title, say("The title becomes “%(value)s”.")),
    _Field(
        lambda told: ", ".join(str(content.place(told)).split("\n")),
        say("The place becomes “%(value)s”."),
        say("It has no place to go to any more."),
    ),
    _Field(
        lambda told: content.said(told).online_url,
        say("The link to join online becomes %(value)s"),
        say("The link to join online goes."),
    ),
    _Field(
        lambda told: told.event.description,
        say("The description changes."),
        say("The description goes."),
    ),
    _Field(
        lambda told: json.dumps(told.event.translations or {}, sort_keys=True),
        say("What it says in other languages changes."),
    ),
    _Field(
        lambda told: told.event.registration_url,
        say("The link to register becomes %(value)s"),
        say("The link to register goes."),
    ),
    _Field(
        lambda told: told.event.cost,
        say("The cost becomes “%(value)s”."),
        say("The cost is not told any more."),
    ),
    _Field(
        lambda told: told.event.contact,
        say("The contact becomes “%(value)s”."),
        say("The contact is not told any more."),
    ),
    _Field(
        lambda told: ", ".join(topic.name for topic in told.topics),
        say("It is listed under these topics: %(value)s"),
        say("It is not listed under any topic any more."),
    ),
    _Field(
        lambda told: ", ".join(host.name for host in told.hosts),
        say("It is held by: %(value)s"),
    ),
)


def _of_texts(before: Told, after: Told) -> Iterator[Message]:
    for field in _FIELDS:
        was, will_be = field.of(before), field.of(after)
        if was == will_be:
            continue
        if not will_be and field.goes:
            yield field.goes
        elif "%(value)s" in field.becomes.text:
            yield Message(field.becomes.text, {"value": _short(will_be)})
        elif will_be:
            yield field.becomes
    if before.event.timezone != after.event.timezone and not (before.event.all_day or after.event.all_day):
        city = after.event.timezone.split("/")[-1].replace("_", " ")
        yield say("Its times are by the clocks of this place: %(city)s", city=city)


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1].rstrip()}…"


# ---------------------------------------------------------------- date by date


def _pairs(before: Told, after: Told, now: datetime, since: datetime | None) -> list[Pair]:
    """Each date as it is and as it would be, in order: those that are not over, up to a year ahead."""
    was, will_be = _dates(before, now, since), _dates(after, now, None)
    pairs: list[Pair] = []
    if not before.event.is_series and not after.event.is_series:
        pairs = list(zip(was.values(), will_be.values(), strict=True))
    else:
        rule, begins, began = rule_of(after.event), after.event.start, since or before.event.start
        taken = was.keys() & will_be.keys()
        for original, shown in was.items():
            at = original if original in taken else counterpart(rule, begins, began, original)
            if at is not None and at in will_be and (at == original or at not in taken):
                taken.add(at)
                pairs.append((shown, will_be[at]))
            else:
                pairs.append((shown, None))
        pairs += [(None, shown) for at, shown in will_be.items() if at not in taken]
    return sorted((pair for pair in pairs if _is_near(pair, now)), key=_begins)


def _dates(told: Told, now: datetime, since: datetime | None) -> Mapping[datetime, Said]:
    """By original start; a few more than are told, so that each finds its counterpart."""
    event, rule = told.event, rule_of(told.event)
    if rule is None:
        return {event.start: content.said(told)}
    skipped = [datetime.fromisoformat(text) for text in event.exdates]
    today = to_wall(now, event.timezone)
    early, late = today - event.duration - _AROUND, today + AHEAD + _AROUND
    changed = {one.original_start: one for one in told.overrides}  # one may have been moved from far away
    found = changed.keys() | set(starts(rule, event.start, skipped, early, late))
    wanted = (at for at in sorted(found) if since is None or at >= since)
    return {at: content.said(told, changed.get(at), at) for at in wanted}


def _is_near(pair: Pair, now: datetime) -> bool:
    shown = [one for one in pair if one is not None]
    return any(to_utc(one.end, one.event.timezone) > now for one in shown) and (
        not shown[0].event.is_series
        or any(to_utc(one.start, one.event.timezone) < now + AHEAD for one in shown)
    )


def _begins(pair: Pair) -> datetime:
    return min(to_utc(one.start, one.event.timezone) for one in pair if one is not None)


def _of_date(pair: Pair, before: Told, after: Told) -> list[Message]:
    """What differs on one date beyond what differs on all of them."""
    match pair:
        case (Said() as was, Said() as will_be):
            return [
                *_of_times(was, will_be),
                *_of_cancelling(was, will_be),
                *_of_words(was, will_be, before, after),
            ]
        case (Said() as was, None):
            return [say("%(date)s disappears.", date=_start(was))]
        case (None, Said() as will_be):
            return [say("%(date)s is added.", date=_start(will_be))]
    return []


def _of_times(was: Said, will_be: Said) -> Iterator[Message]:
    if will_be.event.all_day and not was.event.all_day:
        yield say("%(was)s becomes %(now)s, all day.", was=_start(was), now=_start(will_be))
        return
    if (was.start, was.event.all_day) != (will_be.start, will_be.event.all_day):
        yield say("%(was)s becomes %(now)s.", was=_start(was), now=_from_there(was, will_be))
    if was.end - was.start != will_be.end - will_be.start and was.end != will_be.end:
        yield say("%(date)s ends at %(end)s.", date=_start(will_be), end=_end(will_be))


def _from_there(was: Said, will_be: Said) -> object:
    """Within one day the hour is enough."""
    same_day = was.start.date() == will_be.start.date()
    timed = not (was.event.all_day or will_be.event.all_day)
    return will_be.start.time() if same_day and timed else _start(will_be)


def _of_cancelling(was: Said, will_be: Said) -> Iterator[Message]:
    """Of this date alone: what is off as a whole is told once."""
    if will_be.event.is_called_off:
        return
    was_off, is_off = (bool(one.override and one.override.cancelled) for one in (was, will_be))
    if is_off and not was_off:
        yield say("%(date)s is shown as cancelled: “%(reason)s”", date=_start(will_be), reason=will_be.reason)
    elif was_off and not is_off:
        yield say("%(date)s takes place after all.", date=_start(will_be))
    elif is_off and was.reason != will_be.reason:
        yield say("On %(date)s the reason is “%(reason)s”.", date=will_be.start.date(), reason=will_be.reason)


def _of_words(was: Said, will_be: Said, before: Told, after: Told) -> Iterator[Message]:
    day = will_be.start.date()
    usual, new = content.said(before), content.said(after)
    if was.title != will_be.title and (was.title, will_be.title) != (usual.title, new.title):
        yield say("On %(date)s the title is “%(title)s”.", date=day, title=_short(will_be.title))
    if was.place != will_be.place and (was.place, will_be.place) != (usual.place, new.place):
        place = ", ".join(str(will_be.place).split("\n"))
        yield say("On %(date)s the place is “%(place)s”.", date=day, place=_short(place))
    if was.text != will_be.text and (was.text, will_be.text) != (usual.text, new.text):
        yield say("On %(date)s the description is another one.", date=day)


def _start(shown: Said) -> datetime | date:
    return shown.start.date() if shown.event.all_day else shown.start


def _end(shown: Said) -> object:
    if shown.event.all_day:
        return (shown.end - timedelta(days=1)).date()
    return shown.end.time() if shown.end.date() == shown.start.date() else shown.end
