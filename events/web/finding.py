"""`?near=` and the other filters, as they are typed, into places and selections."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

from sqlmodel import Session
from starlette.requests import Request

from ..branches import queries as branches
from ..calendars.drafts import ACCESS
from ..calendars.queries import EVERYTHING, Selection
from ..errors import BranchlineError, Message, Unreadable, say
from ..places.asking import country_order
from ..places.geo import Distance, Unit
from ..places.lookup import Interpretation, KnownPlace, UnknownPlace
from ..places.naming import fold
from .forms import Form, known_day
from .rows import unit_of
from .state import language_of, state_of

DEFAULT_WITHIN = 25.0  # in the reader's unit
LONGEST_TEXT = 200
BRANCH_PRECISION_KM = 0.1


@dataclass(frozen=True, slots=True)
class Finding:
    """How what was typed was read: the first reading answers, the others are offered as links."""

    typed: str
    place: Interpretation | None = None
    others: Sequence[Interpretation] = ()
    problem: BranchlineError | None = None  # UnknownPlace, or what could not be read

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
    country = form["country"].strip() or None
    prefer = country_order(
        country,
        state_of(request).settings.countries,
        branches.countries(session),
        request.headers.get("accept-language", ""),
    )
    try:
        readings = state_of(request).gazetteer.interpretations(
            typed,
            country=country,
            prefer=prefer,
            locale=language_of(request).code,
            known=lambda: known_places(session),
        )
    except UnknownPlace as error:
        named = _branches_named(session, typed)
        if not named:
            return Finding(typed, None, error.elsewhere, error)
        readings = named
    return Finding(typed, readings[0], readings[1:])


def known_places(session: Session) -> Iterator[KnownPlace]:
    """Where the branches are: serves where the directory of places does not know a place, or is missing."""
    for branch in branches.everywhere(session):
        if branch.point is not None and not branch.confidential:
            yield KnownPlace(
                branch.postal_code, branch.city, branch.state_province, branch.country, branch.point
            )


def _branches_named(session: Session, typed: str) -> list[Interpretation]:
    """The name of a branch is a place too."""
    return [
        Interpretation("branch", branch.name, branch.country or None, branch.point, BRANCH_PRECISION_KM)
        for branch in branches.named_like(session, fold(typed))
        if branch.shows_position
    ]


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
        language=_language(form["language"].strip()),
        access=_access(form),
        text=form["q"].strip()[:LONGEST_TEXT],
    )


def select_near(request: Request, session: Session, form: Form) -> tuple[Selection, Finding]:
    """The whole selection. An unknown place selects nothing: look at `finding.problem`."""
    selection = read_selection(request, form)
    finding = find_place(request, session, form)
    within = read_within(request, form, DEFAULT_WITHIN)
    if finding.place is None or finding.place.point is None:
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


def _language(text: str) -> str:
    if text and not (text.isascii() and text.replace("-", "").isalnum() and len(text) <= 20):
        raise Unreadable(say("“%(text)s” is not a language. One looks like en or es.", text=text[:40]))
    return text


def _access(form: Form) -> tuple[str, ...]:
    words = _slugs(form, "access")
    for word in words:
        if word not in ACCESS:
            raise Unreadable(
                say(
                    "“%(text)s” is not a kind of access. Known are: %(known)s.",
                    text=word[:40],
                    known=", ".join(ACCESS),
                )
            )
    return words
