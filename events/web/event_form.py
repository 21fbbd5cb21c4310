"""The event form: fields as people think of them (a day, a time, how often) to a draft and back."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from types import MappingProxyType
from typing import NamedTuple

from ..branches.locating import zone_at
from ..branches.models import Branch
from ..calendars.drafts import EventDraft
from ..calendars.horizon import rule_of
from ..calendars.models import Event
from ..calendars.recurrence import DAYS, Frequency, Rule, parse_rule
from ..drafts import FIRST_YEAR
from ..errors import BranchlineError, InvalidForm, Message, Unreadable, say
from ..language import SOURCE, Language, language
from ..places.geo import Point
from . import translating
from .forms import Form, checked
from .typed import clock_of, day_of

# Where a fault of the draft is shown on the form.
SHOWN_AT = {"start": "start_date", "end": "end_date", "rrule": "repeats", "venue": "venue_name"}
REPEATS = ("", "daily", "weekly", "monthly-weekday", "monthly-day", "yearly")


class Typing(NamedTuple):
    """Whose days are read: in which language they are written, and from which day on they count without a year."""

    spoken: Language
    today: date


ENGLISH = Typing(language(SOURCE), date(FIRST_YEAR, 1, 1))
LAST_ONE = 5  # the fifth Tuesday of a month is called the last one
PLAIN_FIELDS = (
    "title",
    "description",
    "language",
    "attendance",
    "online_url",
    "registration_url",
    "contact",
    "cost",
)


def draft_of(
    form: Form,
    owner: Branch,
    known: Mapping[str, object] | None = None,
    stored: Mapping[str, object] = MappingProxyType({}),
    *,
    at: Point | None = None,
    typing: Typing = ENGLISH,
) -> EventDraft:
    """The draft that the form describes. Raises InvalidForm with faults at the form's own fields.

    `stored` is what stays as it is because the fields that stand for it were not touched (`untouched`); `at` is
    where the place is. The clock is that of the place, unless the form names another.
    """
    faults: dict[str, Message] = {}
    timezone = form["timezone"].strip() or (zone_at(at) if at else owner.timezone)
    all_day = form["all_day"] == "yes"
    start = _moment(form, "start", all_day, faults, typing)
    end = _end(form, start, all_day, faults, typing)
    values: dict[str, object] = {name: form[name] for name in PLAIN_FIELDS if form[name].strip()}
    values["language"] = language_in(form, owner)
    values |= {
        "all_day": all_day,
        "timezone": timezone,
        "topics": _topics(form),
        "access": tuple(form.all("access")),
    }
    values |= known or {}
    if venue := _venue(form, at):
        values["venue"] = venue
    if start is not None and end is not None:
        values |= {"start": start, "end": end}
        if "rrule" not in stored:
            values["rrule"] = _rule(form, start, timezone, all_day, faults, typing)
    values |= stored
    if faults:
        raise InvalidForm(faults | _more_faults(values, faults))
    try:
        return checked(EventDraft, values)
    except InvalidForm as error:
        raise InvalidForm(_at_fields(error.faults)) from error


def language_in(form: Form, owner: Branch) -> str:
    """Of the event: as chosen, else the first that its branch works in."""
    return form["language"].strip() or (owner.language_list or [SOURCE])[0]


def filled(event: Event, owner: Branch) -> Form:
    """The form as it would have been filled in for this event. A position that is only the branch's is not said."""
    elsewhere = owner.public_point if event.attendance != "online" else event.point
    last = event.end - timedelta(days=1) if event.all_day else event.end
    items = [
        ("title", event.title),
        ("description", event.description),
        ("language", event.language),
        ("all_day", "yes" if event.all_day else ""),
        ("start_date", event.start.date().isoformat()),
        ("start_time", "" if event.all_day else f"{event.start:%H:%M}"),
        ("end_date", last.date().isoformat()),
        ("end_time", "" if event.all_day else f"{event.end:%H:%M}"),
        ("timezone", event.timezone),
        ("attendance", event.attendance),
        ("venue_name", event.venue_name),
        ("venue_address", event.venue_address),
        ("position", str(event.point) if event.point and event.point != elsewhere else ""),
        ("online_url", event.online_url),
        ("registration_url", event.registration_url),
        ("contact", event.contact),
        ("cost", event.cost),
    ]
    items += [("access", word) for word in event.access.split(",") if word]
    items += translating.items(event.translations)
    return Form(items + _rule_items(rule_of(event)))


# Fields that say less than what is stored: a number of dates, the last day of the month, a position on the map.
_STANDS_FOR = {
    "rrule": ("repeats", "interval", "weekdays", "last", "until", "start_date", "all_day"),
    "venue": ("attendance", "venue_name", "venue_address", "position"),
}


def untouched(form: Form, draft: EventDraft, was: Form) -> dict[str, object]:
    """What the form leaves as it is stored: it could not say all of that itself. `was`: what it was `filled` with."""
    kept = {
        name: getattr(draft, name)
        for name, fields in _STANDS_FOR.items()
        if all(_typed(form, field) == _typed(was, field) for field in fields)
    }
    rule, last = draft.rule, draft.rule and draft.rule.last_start(draft.start)
    if (
        "rrule" in kept
        and rule
        and rule.until
        and last
        and _typed(form, "start_time") != _typed(was, "start_time")
    ):
        kept["rrule"] = str(replace(rule, until=datetime.combine(last, time(23, 59, 59))))  # at whatever hour
    return kept


def _typed(form: Form, field: str) -> list[str]:
    return [value.strip() for value in form.all(field) if value.strip()]


def repeat_choice(form: Form) -> str:
    return form["repeats"] if form["repeats"] in REPEATS else ""


def _more_faults(values: Mapping[str, object], found: Mapping[str, Message]) -> dict[str, Message]:
    """What else is wrong, so that everything is said at once: the rest of the draft with a sound date."""
    sound = {"start": datetime(2026, 1, 1, 9), "end": datetime(2026, 1, 1, 10), "rrule": ""}
    try:
        checked(EventDraft, {**values, **sound, "all_day": False})
    except InvalidForm as error:
        return {name: fault for name, fault in _at_fields(error.faults).items() if name not in found}
    return {}


def _at_fields(faults: Mapping[str, Message]) -> dict[str, Message]:
    return {_field_of(path): fault for path, fault in faults.items()}


def _field_of(path: str) -> str:
    match path.split("."):
        case ["translations", tag, part]:
            return translating.field(part, tag)
        case [name, *_]:
            return SHOWN_AT.get(name, name)
    return path


def _moment(
    form: Form, name: str, all_day: bool, faults: dict[str, Message], typing: Typing
) -> datetime | None:
    day = _day(form, f"{name}_date", faults, typing)
    at = time(0) if all_day else _time(form, f"{name}_time", faults)
    return datetime.combine(day, at) if day is not None and at is not None else None


def _end(
    form: Form, start: datetime | None, all_day: bool, faults: dict[str, Message], typing: Typing
) -> datetime | None:
    """Without a last day, the first one; a time before the start's is then after midnight."""
    last = _day(form, "end_date", faults, typing) if form["end_date"].strip() else None
    if all_day:
        day = last if form["end_date"].strip() else start.date() if start else None
        return datetime.combine(day, time(0)) + timedelta(days=1) if day else None
    at = _time(form, "end_time", faults)
    if form["end_date"].strip():
        return datetime.combine(last, at) if last is not None and at is not None else None
    if start is None or at is None:
        return None
    end = datetime.combine(start.date(), at)
    return end if end > start else end + timedelta(days=1)


def _day(form: Form, name: str, faults: dict[str, Message], typing: Typing) -> date | None:
    if not form[name].strip():
        faults[name] = say("Please say on which day.")
        return None
    try:
        return day_of(form[name], typing.spoken, typing.today)
    except Unreadable as error:
        faults[name] = error.message
        return None


def _time(form: Form, name: str, faults: dict[str, Message]) -> time | None:
    if not form[name].strip():
        faults[name] = say("Please say at what time.")
        return None
    try:
        return clock_of(form[name])
    except Unreadable as error:
        faults[name] = error.message
        return None


def _venue(form: Form, at: Point | None) -> dict[str, object] | None:
    name, address = form["venue_name"].strip(), form["venue_address"].strip()
    if form["attendance"] == "online" or not (name or address):
        return None
    position = {"latitude": at.latitude, "longitude": at.longitude} if at else {}
    return {"name": name or address, "address_1": address if name else "", **position}


def _topics(form: Form) -> tuple[str, ...]:
    new = [text.strip() for text in form["new_topics"].split(",")]
    return tuple(dict.fromkeys(text for text in (*form.all("topics"), *new) if text))


def _rule(
    form: Form, start: datetime, timezone: str, all_day: bool, faults: dict[str, Message], typing: Typing
) -> str:
    parts = _rule_parts(form, start)
    if not parts:
        return ""
    try:
        interval = int(form.get("interval", "1") or "1")
        until = _day(form, "until", faults, typing) if form["until"].strip() else None
        ends = f";UNTIL={until:%Y%m%d}" if until else ""
        return str(parse_rule(f"{parts};INTERVAL={interval}{ends}", start, timezone, all_day))
    except ValueError:
        faults["interval"] = say("“%(text)s” is not a whole number.", text=form["interval"][:20])
    except BranchlineError as error:
        faults["repeats"] = error.message
    return ""


def _rule_parts(form: Form, start: datetime) -> str:
    weekday = DAYS[start.weekday()]
    match form["repeats"]:
        case "daily":
            return "FREQ=DAILY"
        case "weekly":
            chosen = [day for day in form.all("weekdays") if day in DAYS]
            return f"FREQ=WEEKLY;BYDAY={','.join(chosen or [weekday])}"
        case "monthly-weekday":
            place = (start.day - 1) // 7 + 1
            return (
                f"FREQ=MONTHLY;BYDAY={-1 if place == LAST_ONE or form['last'] == 'yes' else place}{weekday}"
            )
        case "monthly-day":
            return f"FREQ=MONTHLY;BYMONTHDAY={start.day}"
        case "yearly":
            return f"FREQ=YEARLY;BYMONTH={start.month};BYMONTHDAY={start.day}"
    return ""


def _rule_items(rule: Rule | None) -> list[tuple[str, str]]:
    if rule is None:
        return [("repeats", "")]
    kind = str(rule.frequency)
    if rule.frequency is Frequency.MONTHLY:
        kind = "monthly-weekday" if rule.nth else "monthly-day"
    items = [("repeats", kind), ("interval", str(rule.interval))]
    items += [("weekdays", DAYS[day]) for day in rule.weekdays]
    items += [("last", "yes")] if rule.nth == -1 else []
    return items + ([("until", rule.until.date().isoformat())] if rule.until else [])
