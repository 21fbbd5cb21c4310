"""A month as a table of days, as people know it from their calendars."""

import calendar
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..calendars import queries
from ..calendars.queries import Listed, Selection
from ..calendars.spans import Span, said, spans
from ..errors import Unreadable, say
from ..language import Language
from . import linked_data
from .calendars import chips
from .environment import link
from .finding import Finding, select_kindly
from .forms import FILTERS, Form, query
from .list_words import place_chips, today_there
from .rows import EventRow, event_row
from .state import language_of
from .subscribing import alternates_of_events
from .templating import render

MOST_DATES = 2000  # what is beyond is said, and its days lead to their lists
MOST_OF_A_DAY = 5
KEPT = tuple(name for name in FILTERS if name not in ("from", "to"))


@dataclass(frozen=True, slots=True)
class Line:
    """What a day says of one event: `when` is empty for what has no hour of that day."""

    row: EventRow
    when: str
    goes_on: bool


@dataclass(frozen=True, slots=True)
class DayOfMonth:
    """`number`: how many events there are; None: more than were counted."""

    day: date
    href: str
    number: int | None
    lines: Sequence[Line]

    @property
    def more(self) -> int:
        return (self.number or len(self.lines)) - len(self.lines)


def month(request: Request, session: Session) -> Response:
    first, form, spoken = month_at(request), query(request), language_of(request)
    selection, finding = select_kindly(request, session, form)
    selection = replace(selection, first=None, last=None)
    days = calendar.Calendar(spoken.locale.first_week_day).monthdatescalendar(first.year, first.month)
    found: list[Span] = []
    more = False
    if finding.problem is None:
        between = replace(selection, first=days[0][0], last=days[-1][-1])
        found, more = spans(session, between, _before(days[0][0]), MOST_DATES)
    filters = form.only(KEPT)
    today = today_there(request, session, finding, selection)
    is_now = first == today.replace(day=1)
    shown = _days(request, session, found, [day for week in days for day in week], filters, more)
    return render(
        request,
        "calendars/month.html",
        status_code=finding.status,
        finding=finding,
        sentence=finding.sentence,
        month=first,
        heading=spoken.capital(spoken.month(first)),
        weeks=[shown[at : at + 7] for at in range(0, len(shown), 7)],
        weekdays=[(spoken.short_weekday(day.weekday()), spoken.weekday(day.weekday())) for day in days[0]],
        most=MOST_DATES if more else None,
        is_empty=finding.problem is None and not found,
        today=today,
        chips=chips_of_month(request, session, form, selection, finding),
        feeds=[] if finding.problem else alternates_of_events(request, selection),
        data=linked_data.of_events(request, (spoken.month(first), f"/calendar/{first.year}/{first.month}")),
        filters=filters,
        since=today if is_now else first,
        until=following_month(first) - timedelta(days=1),
        this_month=None if is_now else _address(spoken, today, filters),
        turns=[
            (key, rel, day, spoken.capital(spoken.month_name(day)), _address(spoken, day, filters))
            for key, rel, day in (
                ("PageUp", "prev", first - timedelta(days=1)),
                ("PageDown", "next", following_month(first)),
            )
        ],
    )


def month_at(request: Request) -> date:
    """The first day of the month in the path. Raises Unreadable."""
    return first_day(request.path_params["year"], request.path_params["month"])


def first_day(year: str, number: str) -> date:
    """Of a month in digits. Raises Unreadable."""
    known = all(re.fullmatch(r"\d{1,4}", text, re.ASCII) for text in (year, number))
    if not (known and 1970 <= int(year) <= 2199 and 1 <= int(number) <= 12):
        raise Unreadable(
            say("There is no month %(month)s of the year %(year)s here.", month=number[:6], year=year[:6])
        )
    return date(int(year), int(number), 1)


def dates_between(
    session: Session, selection: Selection, first: date, last: date, most: int
) -> tuple[list[Listed], bool]:
    """What is on from the first to the last day, over or not, and whether there is more of it."""
    between = replace(selection, first=first, last=last)
    return queries.upcoming(session, between, _before(first), size=most)


def _before(day: date) -> datetime:
    """Two days earlier than any zone's midnight: what is over by now belongs to its day all the same."""
    return datetime.combine(day, time(), UTC) - timedelta(days=2)


def chips_of_month(
    request: Request, session: Session, form: Form, selection: Selection, finding: Finding
) -> list[tuple[str, str]]:
    """Each filter in use with the same page without it, the place too: this page has no form that shows it."""
    if finding.problem:
        return []
    path: str = request.scope["path"]
    kept = Form((name, typed) for name in KEPT for typed in form.all(name))
    return [
        *place_chips(request, kept, finding, selection, path),
        *chips(request, session, kept, selection, path),
    ]


def _days(
    request: Request,
    session: Session,
    found: Sequence[Span],
    days: Sequence[date],
    filters: Mapping[str, object],
    more: bool,
) -> list[DayOfMonth]:
    """Each day with the first few of its events. With `more`, those from the last one on are not complete."""
    on: dict[date, list[Span]] = {day: [] for day in days}
    for one in found:
        begun, over = max(one.start.date(), days[0]), min(one.last_day, days[-1])
        for number in range((over - begun).days + 1):
            on[begun + timedelta(days=number)].append(one)
    # One day less: where it is already the next day, the last one is not the last of its day.
    counted_until = found[-1].start.date() - timedelta(days=1) if more else days[-1] + timedelta(days=1)
    spoken = language_of(request)
    shown = {day: _in_order(there, day)[:MOST_OF_A_DAY] for day, there in on.items()}
    listed = said(session, {one.key for there in shown.values() for one in there})
    rows = {key: event_row(request, one) for key, one in listed.items()}
    return [
        DayOfMonth(
            day,
            link(spoken.code, "/events", {**filters, "from": day, "to": day}),
            len(on[day]) if day < counted_until else None,
            [_line(spoken, rows[one.key], one, day) for one in there if one.key in rows],
        )
        for day, there in shown.items()
    ]


def _in_order(found: Sequence[Span], day: date) -> list[Span]:
    """What lasts the whole day first, then by the hour."""
    return sorted(found, key=lambda one: one.start if _begins(one, day) else datetime.min)


def _begins(one: Span, day: date) -> bool:
    return not one.all_day and one.start.date() == day


def _line(spoken: Language, row: EventRow, one: Span, day: date) -> Line:
    return Line(row, spoken.time(one.start.time()) if _begins(one, day) else "", one.start.date() < day)


def following_month(first: date) -> date:
    return (first + timedelta(days=31)).replace(day=1)


def _address(spoken: Language, day: date, filters: Mapping[str, object]) -> str:
    return link(spoken.code, f"/calendar/{day.year}/{day.month}", filters)
