"""Opening hours in the reader's words: the rules as people say them, and how it is at the branch now.

What we do not understand is shown as it was written, and nothing is concluded from it. "Today" is the branch's day,
and every time is on the branch's clock, wherever the reader and the organizer of an event are.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from babel.dates import format_interval, get_month_names

from ..branches.hour_rules import MIDNIGHT, Date, Dates, Days, Rule, State, read
from ..branches.hours import DAY, SMALL_HOURS, Hours, Opening, Span, hours_of, zone_of
from ..branches.models import Branch
from ..branches.queries import FOUND
from ..calendars.models import Attendance
from ..calendars.queries import Listed
from ..calendars.timezones import to_utc
from ..errors import Message, say
from ..language import Language
from .words import NTH

WEEK = frozenset(range(7))
LEAP_YEAR = 2004  # whose February has every day that a rule for all years may name

HOLIDAYS = {"PH": say("public holidays"), "SH": say("school holidays")}
CLOSED_ON_HOLIDAYS = {"PH": say("closed on public holidays"), "SH": say("closed in the school holidays")}
MEETING = "meeting"
# What organizers write most often; other comments stay as they are written.
COMMENTS = {
    "by appointment": say("by appointment"),
    "on appointment": say("by appointment"),
    "by appointment only": say("by appointment only"),
    "appointment only": say("by appointment only"),
    MEETING: say("meeting"),
}


# ---------------------------------------------------------------- the rules


def hours_in_words(spoken: Language, text: str) -> list[str]:
    """A line for each rule; a part that is beyond us comes as it was written."""
    parts = read(text)
    rules = [rule for part in parts for rule in part.rules]
    lines: list[str] = []
    place = 0
    for part in parts:
        said = [_line(spoken, rules, place + number) for number in range(len(part.rules))]
        place += len(said)
        understood = [line for line in said if line is not None]
        lines += [part.text] if not said or len(understood) < len(said) else filter(None, understood)
    return lines


def _line(spoken: Language, rules: Sequence[Rule], number: int) -> str | None:
    """None for what cannot be said; nothing for a rule that others replace on all its days."""
    rule = rules[number]
    remaining = _remaining(rule, rules[number + 1 :])
    days = _days_in_words(spoken, rule, remaining)
    if days is None or rule.weeks or (rule.state is State.UNKNOWN and not rule.comment):
        return None
    if not remaining:
        return ""
    dates = spoken.listed([_dates_in_words(spoken, dates) for dates in rule.dates])
    text = _sentence(spoken, rule, [part for part in (dates, spoken.listed(days)) if part], rules[:number])
    if rule.link == "||":
        text = spoken.say(say("otherwise: %(rule)s", rule=text))
    return _capital(text)


def _remaining(rule: Rule, later: Sequence[Rule]) -> frozenset[int]:
    """The weekdays that no later rule takes over: "Monday to Friday" that is not so on Wednesdays is no help."""
    if not _is_weekly(rule):
        return WEEK
    taken = [_weekdays(other) for other in later if other.link == ";" and _is_weekly(other)]
    return _weekdays(rule).difference(*taken)


def _is_weekly(rule: Rule) -> bool:
    special = rule.dates or rule.weeks or rule.holidays or any(days.nth for days in rule.days)
    return rule.state is not State.CLOSED and not special


def _weekdays(rule: Rule) -> frozenset[int]:
    if not rule.days:
        return WEEK
    return frozenset(
        (days.first + n) % 7 for days in rule.days for n in range((days.last - days.first) % 7 + 1)
    )


def _days_in_words(spoken: Language, rule: Rule, remaining: frozenset[int]) -> list[str] | None:
    """None for the fifth Tuesday and the last but one."""
    days = rule.days if _weekdays(rule) <= remaining else _runs(remaining)
    words: list[str] = []
    for each in days:
        if not set(each.nth) <= NTH.keys():
            return None
        if each.nth:
            nth = spoken.listed([spoken.say(NTH[number]) for number in each.nth])
            day = spoken.weekday(each.first)
            words.append(spoken.say(say("%(nth)s %(day)s of the month", nth=nth, day=day)))
        else:
            words += _from_to(spoken, each.first, each.last)
    return words + [spoken.say(HOLIDAYS[holiday]) for holiday in rule.holidays]


def _runs(weekdays: frozenset[int]) -> list[Days]:
    runs: list[Days] = []
    for day in sorted(weekdays):
        if runs and runs[-1].last == day - 1:
            runs[-1] = Days(runs[-1].first, day)
        else:
            runs.append(Days(day, day))
    return runs


def _from_to(spoken: Language, first: int, last: int) -> list[str]:
    count = (last - first) % 7 + 1
    if count == 7:
        return [spoken.say(say("every day"))]
    if count <= 2:
        return [spoken.weekday(day) for day in dict.fromkeys((first, last))]
    return [_to(spoken, spoken.weekday(first), spoken.weekday(last))]


def _to(spoken: Language, first: str, last: str) -> str:
    return spoken.say(say("%(first)s to %(last)s", first=first, last=last))


def _dates_in_words(spoken: Language, dates: Dates) -> str:
    first, last = dates.first, dates.last
    if not first.day:
        months = get_month_names("wide", "stand-alone", locale=spoken.locale)
        if first == last:
            return spoken.month(_day(first)) if first.year else months[first.month]
        return _to(spoken, months[first.month], months[last.month])
    if first == last:
        return spoken.long_day(_day(first)) if first.year else spoken.month_day(_day(first))
    skeleton = "yMMMMd" if first.year else "MMMMd"
    return str(format_interval(_day(first), _day(last), skeleton, locale=spoken.locale))


def _day(day: Date) -> date:
    return date(day.year or LEAP_YEAR, day.month, day.day or 1)


def _sentence(spoken: Language, rule: Rule, when: Sequence[str], before: Sequence[Rule]) -> str:
    """In small letters where the language has them: it may come to stand within another."""
    whole, times = ", ".join(when), ", ".join(_span(spoken, start, end) for start, end in rule.times)
    comment = _comment(spoken, rule.comment)
    match rule.state:
        case State.UNKNOWN if not times:
            return f"{whole}: {comment}" if whole else comment
        case State.CLOSED:
            text = _closed(spoken, rule, f"{whole} {times}".strip())
        case _:
            text = _open(spoken, rule, whole, times, before)
    return f"{text} ({comment})" if comment else text


def _closed(spoken: Language, rule: Rule, when: str) -> str:
    if not when:
        return spoken.say(say("closed"))
    if len(rule.holidays) == 1 and not (rule.days or rule.dates or rule.times):
        return spoken.say(CLOSED_ON_HOLIDAYS[rule.holidays[0]])
    return spoken.say(say("%(when)s: closed", when=when))


def _open(spoken: Language, rule: Rule, when: str, times: str, before: Sequence[Rule]) -> str:
    if not times:
        return spoken.say(say("%(when)s, all day", when=when) if when else say("always open"))
    if relation := _relation(rule, before):
        return f"{when}: {spoken.say(Message(relation.text, {'times': times}))}"
    return f"{when or spoken.say(say('every day'))}{':' if rule.dates and not rule.days else ''} {times}"


def _relation(rule: Rule, before: Sequence[Rule]) -> Message | None:
    """Of a special day to its usual hours, where these have been told and it could be taken for either."""
    is_nth = any(days.nth for days in rule.days)
    usual = [other for other in before if _is_weekly(other) and _weekdays(other) & _weekdays(rule)]
    if not usual or not (is_nth or rule.dates):
        return None
    if rule.link == ",":
        return say("also %(times)s")
    return say("only %(times)s") if is_nth and rule.link == ";" else None


def _span(spoken: Language, start: int, end: int) -> str:
    """5 – 9 PM, 5:30 – 9:00 PM; 17:00–21:00 where hours alone look odd."""
    if (start, end) == (0, MIDNIGHT):
        return spoken.say(say("all day"))
    twelve = "H" not in spoken.locale.time_formats["short"].pattern
    skeleton = ("h" if start % 60 == end % 60 == 0 else "hm") if twelve else "Hm"
    first = datetime(LEAP_YEAR, 1, 1)
    moments = (first + timedelta(minutes=start), first + timedelta(minutes=end))
    return str(format_interval(*moments, skeleton, locale=spoken.locale))


def _comment(spoken: Language, comment: str) -> str:
    known = COMMENTS.get(comment.casefold())
    return spoken.say(known) if known else comment


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


# ---------------------------------------------------------------- now


@dataclass(frozen=True, slots=True)
class OpeningNote:
    """`is_open` is None when it depends, or when the hours are not known."""

    text: str
    is_open: bool | None


@dataclass(frozen=True, slots=True)
class _Today:
    """An event that is on, or begins later on the branch's day."""

    title: str
    what: Message
    start: datetime
    end: datetime
    all_day: bool


def opening_note(
    spoken: Language, branch: Branch, now: datetime, next_event: Listed | None
) -> OpeningNote | None:
    """How it is at the branch now, with its next event where that is today. None: nothing is known."""
    zone = zone_of(branch)
    if zone is None or branch.status not in FOUND:
        return None
    here, hours = now.astimezone(zone), hours_of(branch)
    event = _today(next_event, here, spoken)
    opening = hours.at(now) if hours else None
    if hours is None or opening is None or (opening.state is State.UNKNOWN and not opening.comment):
        return OpeningNote(_capital(_event_alone(spoken, here, event)), None) if event else None
    match opening.state:
        case State.OPEN:
            text = _open_now(spoken, here, opening, event)
        case State.CLOSED:
            text = _closed_now(spoken, here, opening, event, hours)
        case State.UNKNOWN:
            text = _depends_now(spoken, here, opening, event)
    if opening.may_differ:
        text = spoken.say(say("%(note)s (may differ on holidays)", note=text))
    return OpeningNote(_capital(text), {State.OPEN: True, State.CLOSED: False}.get(opening.state))


def opening_notes(
    spoken: Language, branches: Iterable[Branch], now: datetime, coming: Mapping[int, Listed]
) -> dict[int, OpeningNote]:
    """For lists: by the branch's id, where something is known; `coming` as `next_dates_of_branches` gives it."""
    notes = {
        branch.id: opening_note(spoken, branch, now, coming.get(branch.id))
        for branch in branches
        if branch.id
    }
    return {number: note for number, note in notes.items() if note}


def _open_now(spoken: Language, here: datetime, opening: Opening, event: _Today | None) -> str:
    text = spoken.say(say("open now"))
    if opening.until:
        text = spoken.say(say("open now, %(until)s", until=_until(spoken, here, opening.until)))
    text = _with_comment(spoken, text, opening)
    if event and not event.all_day and event.start <= here.astimezone(UTC):
        return f"{text}; {_event(spoken, here, event)}"
    if event and not event.all_day and opening.until and event.start >= opening.until.astimezone(UTC):
        return spoken.say(say("%(open)s; then %(event)s", open=text, event=_event(spoken, here, event)))
    return text


def _closed_now(
    spoken: Language, here: datetime, opening: Opening, event: _Today | None, hours: Hours
) -> str:
    coming = opening.next
    [today] = hours.days(here.date(), 1)
    all_day = (event or coming) and not any(span.state is State.OPEN for span in today.spans)
    text = _with_comment(spoken, spoken.say(say("closed today") if all_day else say("closed now")), opening)
    but = _event(spoken, here, event) if event and _comes_first(event, coming, here) else ""
    if coming and not but:
        when = _when(spoken, here, coming.start)
        if coming.state is State.OPEN:
            return spoken.say(say("%(closed)s, opens %(when)s", closed=text, when=when))
        what = f"{_comment(spoken, coming.comment)} {when}"
        if coming.comment.casefold() != MEETING or coming.start.date() != here.date():
            return f"{text}; {what}"
        but = what
    return spoken.say(say("%(closed)s, but %(event)s", closed=text, event=but)) if but else text


def _comes_first(event: _Today, coming: Span | None, here: datetime) -> bool:
    """An event tells more than the meeting of the hours that it is."""
    if coming is None or (event.all_day and coming.start.date() > here.date()):
        return True
    start = coming.start.astimezone(UTC)
    return not event.all_day and (event.start < start or (event.start == start and coming.depends))


def _depends_now(spoken: Language, here: datetime, opening: Opening, event: _Today | None) -> str:
    """By appointment; or a regular meeting of the hours, for which an event tells more."""
    text = _comment(spoken, opening.comment)
    if opening.until and opening.until.date() == here.date():
        if event and not event.all_day and event.start <= here.astimezone(UTC):
            return _event_alone(spoken, here, event)
        text = f"{text}, {_until(spoken, here, opening.until)}"
    return f"{text}; {_event(spoken, here, event)}" if event else text


def _with_comment(spoken: Language, text: str, opening: Opening) -> str:
    return f"{text} ({_comment(spoken, opening.comment)})" if opening.comment else text


# ---------------------------------------------------------------- events


def _today(listed: Listed | None, here: datetime, spoken: Language) -> _Today | None:
    """An all-day event has days and no zone; any other has its moments, whatever zone it was announced in."""
    if listed is None or listed.cancelled:
        return None
    title = listed.titled(spoken.code).text
    what = say("online meeting") if listed.attendance == Attendance.ONLINE else say("meeting")
    if listed.all_day:
        first, last = listed.start.date(), max(listed.start.date(), listed.end.date() - DAY)
        on = first <= here.date() <= last
        return _Today(title, what, here.astimezone(UTC), here.astimezone(UTC), True) if on else None
    start, end = to_utc(listed.start, listed.timezone), to_utc(listed.end, listed.timezone)
    on = end > here.astimezone(UTC) and start.astimezone(here.tzinfo).date() <= here.date()
    return _Today(title, what, start, end, False) if on else None


def _event(spoken: Language, here: datetime, event: _Today) -> str:
    if event.all_day:
        return spoken.say(say("%(what)s all day: %(title)s", what=event.what, title=event.title))
    if event.start <= here.astimezone(UTC):
        until = _until(spoken, here, event.end.astimezone(here.tzinfo))
        return spoken.say(
            say("%(what)s now, %(until)s: %(title)s", what=event.what, until=until, title=event.title)
        )
    at = _clock(spoken, event.start.astimezone(here.tzinfo))
    return spoken.say(say("%(what)s %(at)s: %(title)s", what=event.what, at=at, title=event.title))


def _event_alone(spoken: Language, here: datetime, event: _Today) -> str:
    """Where nothing else has said that this is about today."""
    if event.all_day:
        return spoken.say(say("%(what)s all day today: %(title)s", what=event.what, title=event.title))
    if event.start <= here.astimezone(UTC):
        return _event(spoken, here, event)
    at = _clock(spoken, event.start.astimezone(here.tzinfo))
    return spoken.say(say("%(what)s today %(at)s: %(title)s", what=event.what, at=at, title=event.title))


# ---------------------------------------------------------------- times


def _clock(spoken: Language, at: datetime) -> str:
    """Its forms are those of the hour: a la 1:00, a las 2:00."""
    return spoken.ngettext("at %(time)s", "at %(time)s", at.hour) % {"time": spoken.time(at.time())}


def _until(spoken: Language, here: datetime, at: datetime) -> str:
    midnight = datetime.combine(here.date() + DAY, time())
    if at.replace(tzinfo=None) <= midnight + SMALL_HOURS:
        return spoken.ngettext("until %(time)s", "until %(time)s", at.hour) % {"time": spoken.time(at.time())}
    return spoken.say(say("until %(when)s", when=_day_at(spoken, here, at)))


def _when(spoken: Language, here: datetime, at: datetime) -> str:
    """The time today; another day with its time, or the day alone when it is that from its beginning."""
    if at.date() == here.date():
        return _clock(spoken, at)
    if at.time() == time():
        return spoken.say(say("on %(day)s", day=_day_name(spoken, here, at)))
    return _day_at(spoken, here, at)


def _day_at(spoken: Language, here: datetime, at: datetime) -> str:
    return spoken.say(say("%(day)s %(at)s", day=_day_name(spoken, here, at), at=_clock(spoken, at)))


def _day_name(spoken: Language, here: datetime, at: datetime) -> str:
    """A weekday within a week, a day without its year within eleven months: beyond, either could be an earlier one."""
    weekday, days = spoken.weekday(at.weekday()), (at.date() - here.date()).days
    if days < 7:
        return weekday
    if days > 330:
        return spoken.day(at.date())
    return spoken.say(say("%(weekday)s, %(day)s", weekday=weekday, day=spoken.month_day(at.date())))
