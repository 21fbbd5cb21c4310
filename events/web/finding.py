"""`?near=` and the other filters, as they are typed, into places and selections."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date

from sqlmodel import Session
from starlette.requests import Request

from ..branches.finding import Asked, read
from ..calendars.queries import EVERYTHING, Selection
from ..drafts import ACCESS
from ..errors import BranchlineError, Message, Unreadable, say
from ..places.asking import country_order
from ..places.geo import Distance, Unit
from ..places.readings import Interpretation, UnknownPlace
from .endpoints import now
from .forms import Form, known_day
from .rows import unit_of
from .state import language_of, state_of
from .words import ACCESS_WORDS

DEFAULT_WITHIN = 25.0  # in the reader's unit
LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Finding:
    """How what was typed was read: the first reading answers, the others are offered as links."""

    typed: str
    readings: Sequence[Interpretation] = ()
    elsewhere: Sequence[Interpretation] = ()  # what it is only outside the country that was said
    problem: BranchlineError | None = None  # UnknownPlace, or what could not be read

    @property
    def place(self) -> Interpretation | None:
        """The reading that answers: the first, unless it has no place, or is one of several branches so called."""
        first = next(iter(self.readings), None)
        if first is None or first.point is None:
            return None
        called = sum(reading.kind == "branch" for reading in self.readings)
        return first if first.kind != "branch" or called == 1 else None

    @property
    def others(self) -> Sequence[Interpretation]:
        """Readings that are offered as links."""
        rest = self.readings[1:] or self.elsewhere
        return [reading for reading in rest if reading.point and reading.kind != "branch"]

    @property
    def sentence(self) -> Message | None:
        return self.problem.message if self.problem else None

    @property
    def status(self) -> int:
        return self.problem.status if self.problem else 200


def find_place(request: Request, session: Session, form: Form) -> Finding:
    """Reads `near` and `country`. Raises Unreadable for what is no place at all (latitude 91)."""
    typed = form["near"].strip()
    if not typed:
        return Finding("")
    state = state_of(request)
    country = form["country"].strip() or None
    prefer = country_order(
        country,
        state.settings.countries,
        state.whereabouts.countries(session, now()),
        request.headers.get("accept-language", ""),
    )
    asked = Asked(typed, country, prefer, language_of(request).code)
    try:
        readings = read(session, state.gazetteer, asked)
    except UnknownPlace as error:
        return Finding(typed, (), error.elsewhere, error)
    nowhere = readings[0].point is None and readings[0].kind != "branch"
    return Finding(typed, readings, (), UnknownPlace(typed, "nowhere") if nowhere else None)


def read_within(request: Request, form: Form, default: float | None) -> Distance | None:
    text = form["within"].strip()
    if not text:
        return Distance.parse(str(default), unit_of(request)) if default is not None else None
    return Distance.parse(text, unit_of(request))


def read_selection(request: Request, form: Form) -> Selection:
    """Every filter but the place. Raises Unreadable."""
    first, last = _date(form, "from"), _date(form, "to")
    if first and last and last < first:
        raise Unreadable(
            say(
                "The end (%(last)s) is before the beginning (%(first)s). Please swap them.",
                first=first,
                last=last,
            )
        )
    return Selection(
        branches=_slugs(form, "branch"),
        topics=_slugs(form, "topic"),
        first=first,
        last=last,
        online=_online(form["online"].strip()),
        language=read_language(form),
        access=read_access(form, ACCESS),
        text=form["q"].strip()[:LONGEST_TEXT],
    )


def select_near(request: Request, session: Session, form: Form) -> tuple[Selection, Finding]:
    """The whole selection. An unknown place selects nothing: look at `finding.problem`."""
    selection = read_selection(request, form)
    finding = find_place(request, session, form)
    within = read_within(request, form, DEFAULT_WITHIN)
    if finding.place is None:
        if finding.typed and finding.problem is None:  # a branch that meets nowhere
            finding = replace(finding, problem=UnknownPlace(finding.typed, "place"))
        return selection, finding
    return replace(selection, near=finding.place.point, within=within), finding


def select_kindly(request: Request, session: Session, form: Form) -> tuple[Selection, Finding]:
    """As `select_near`, for a page that says above its form what could not be read, and keeps what was typed."""
    try:
        return select_near(request, session, form)
    except Unreadable as error:
        return EVERYTHING, Finding(form["near"], problem=error)


def snapped(selection: Selection, unit: Unit) -> Selection:
    """The same for feeds: a grid cell and a round radius, so that an address says nothing about a person."""
    if selection.near is None or selection.within is None:
        return selection
    return replace(selection, near=selection.near.snapped(), within=selection.within.bucket(unit))


def _date(form: Form, name: str) -> date | None:
    text = form[name].strip()
    if not text:
        return None
    try:
        return known_day(text)
    except ValueError as error:
        raise Unreadable(
            say("“%(text)s” is not a date. Please write it as year-month-day: 2026-12-31.", text=text[:40])
        ) from error


def _slugs(form: Form, name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text.strip() for text in form.all(name) if text.strip()))[:50]


def _online(text: str) -> bool | None:
    match text:
        case "":
            return None
        case "yes" | "no":
            return text == "yes"
    raise Unreadable(say("“online” can be yes or no, not “%(text)s”.", text=text[:40]))


def read_language(form: Form) -> str:
    """Raises Unreadable."""
    text = form["language"].strip()
    if text and not (text.isascii() and text.replace("-", "").isalnum() and len(text) <= 20):
        raise Unreadable(say("“%(text)s” is not a language. One looks like en or es.", text=text[:40]))
    return text


def read_access(form: Form, known: Collection[str] = ACCESS_WORDS) -> tuple[str, ...]:
    """Raises Unreadable."""
    words = _slugs(form, "access")
    for word in words:
        if word not in known:
            raise Unreadable(
                say(
                    "“%(text)s” is not a kind of access. Known are: %(known)s.",
                    text=word[:40],
                    known=", ".join(known),
                )
            )
    return words
