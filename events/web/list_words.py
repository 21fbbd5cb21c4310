"""What a list of events says of itself: what it is, how long it is, and which lists lie beside it."""

from collections.abc import Sequence
from datetime import date, timedelta

from sqlmodel import Session
from starlette.requests import Request

from ..branches import queries as branches
from ..branches.locating import zone_at
from ..calendars import queries
from ..calendars.counting import number_up_to
from ..calendars.queries import PAGE, Listed, Selection
from ..calendars.timezones import to_wall
from ..calendars.walking import Way
from ..errors import Message, say
from ..language import Language
from ..places.geo import Distance
from .endpoints import now
from .environment import link
from .finding import Finding
from .forms import FILTERS, Form
from .rows import distance_text, unit_of
from .state import language_of, shared, state_of

MOST_COUNTED = 500
WIDER = (5, 10, 25, 50, 100, 250)  # in the reader's unit, as feeds round distances
SATURDAY = 5


def heading(session: Session, selection: Selection) -> Message:
    """Of one branch or of one topic, if that alone was chosen. A place is said by the page, which knows its name."""
    match selection.branches, selection.topics:
        case (slug,), ():
            return say("Events of %(name)s", name=branches.here(session, slug).name)
        case (), (slug,):
            return say("%(name)s: events", name=queries.topic_at(session, slug).name)
    return say("Events")


def way_to_words(session: Session, selection: Selection) -> Way | None:
    """To as many dates as are counted, and so to those of a page: words need not be looked for once for each."""
    return selection.way(session, MOST_COUNTED, queries.since(selection, now())) if selection.text else None


def length(
    request: Request,
    session: Session,
    selection: Selection,
    rows: Sequence[Listed],
    page: int,
    more: bool,
    way: Way | None = None,
) -> str:
    """How many there are, or which of how many these are; nothing when there are none."""
    spoken = language_of(request)
    before = (page - 1) * PAGE
    if page == 1 and not more:
        return _all(spoken, len(rows), selection) if rows else ""
    number = _counted(request, session, selection, way) if more else before + len(rows)
    values = {"first": before + 1, "last": before + len(rows), "num": min(number, MOST_COUNTED)}
    if number <= MOST_COUNTED:
        return spoken.gettext("Events %(first)d to %(last)d of %(num)d") % values
    if values["last"] >= MOST_COUNTED:
        return spoken.gettext("Events %(first)d to %(last)d, and more after them") % values
    return spoken.gettext("Events %(first)d to %(last)d of more than %(num)d") % values


def _counted(request: Request, session: Session, selection: Selection, way: Way | None) -> int:
    def count() -> int:
        return number_up_to(session, selection, now(), MOST_COUNTED, way)

    is_personal = selection.near is not None or selection.text
    return count() if is_personal else shared(request, ("number", selection), count)


def _all(spoken: Language, number: int, selection: Selection) -> str:
    if selection.first:
        words = spoken.ngettext("%(num)d event", "%(num)d events", number)
    else:
        words = spoken.ngettext("%(num)d event from today", "%(num)d events from today", number)
    return words % {"num": number}


def place_chips(
    request: Request, form: Form, finding: Finding, selection: Selection, path: str = "/events"
) -> list[tuple[str, str]]:
    """The place and the distance that was chosen, as `chips` has the other filters."""
    if finding.place is None or selection.within is None:
        return []
    spoken, kept = language_of(request), form.only(FILTERS)
    anywhere = link(spoken.code, path, {**kept, "near": "", "country": "", "within": ""})
    found = [(spoken.say(say("Near %(place)s", place=finding.place.label)), anywhere)]
    if form["within"].strip():
        words = say("Within %(distance)s", distance=distance_text(request, selection.within))
        found.append((spoken.say(words), link(spoken.code, path, {**kept, "within": ""})))
    return found


def today_there(request: Request, session: Session, finding: Finding, selection: Selection) -> date:
    """By the clock of the place that was typed, or of the one branch that was chosen, else of the organisation.

    Filters name days of the events' own zones. By a clock of ours, an evening in America would be tomorrow already.
    """
    if finding.place is not None and finding.place.point is not None:
        timezone = zone_at(finding.place.point)
    elif len(selection.branches) == 1:
        timezone = branches.here(session, selection.branches[0]).timezone
    else:
        timezone = state_of(request).whereabouts.timezone(session, now())
    return to_wall(now(), timezone).date()


def days_to_choose(request: Request, form: Form, today: date) -> list[tuple[str, str, bool]]:
    """Any day, today, the weekend, a week: label, address, and whether it is chosen. Addresses name days, so that
    they can be kept."""
    spoken, kept = language_of(request), form.only(FILTERS)
    saturday = today + timedelta(days=SATURDAY - today.weekday())
    spans: list[tuple[Message, date | None, date | None]] = [
        (say("Any day"), None, None),
        (say("Today"), today, today),
        (say("This weekend"), max(today, saturday), saturday + timedelta(days=1)),
        (say("Next 7 days"), today, today + timedelta(days=6)),
    ]
    typed = form["from"].strip(), form["to"].strip()
    return [
        (
            spoken.say(label),
            link(spoken.code, "/events", {**kept, "from": first, "to": last}),
            typed == (str(first or ""), str(last or "")),
        )
        for label, first, last in spans
    ]


def wider(request: Request, form: Form, selection: Selection) -> tuple[str, str] | None:
    """The same list within the next larger distance, for when it is empty: label and address."""
    if selection.near is None or selection.within is None:
        return None
    spoken, unit = language_of(request), unit_of(request)
    amount = selection.within.mi if unit == "mi" else selection.within.km
    larger = next((step for step in WIDER if step >= amount * 2), None)
    if larger is None:
        return None
    distance = distance_text(request, Distance.parse(str(larger), unit))
    address = link(spoken.code, "/events", {**form.only(FILTERS), "within": f"{larger}{unit}"})
    return spoken.say(say("Look within %(distance)s", distance=distance)), address
