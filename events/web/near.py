"""The branches for a place that somebody typed: how it was read, who serves it, and who is near, with a map."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches import queries
from ..branches.finding import NEAREST, Found, Wish, around
from ..branches.hour_rules import State
from ..branches.hours import hours_of
from ..branches.models import Branch
from ..branches.paging import Filter
from ..branches.queries import Near
from ..branches.serving import Served, reason, territory_of
from ..calendars.queries import Listed, branches_meeting, branches_on, next_dates_of_branches
from ..errors import Message, Unreadable, no_such_page, say
from ..places.geo import Distance
from ..places.readings import Interpretation
from .endpoints import now
from .environment import link
from .finding import DEFAULT_WITHIN, Finding, find_place, read_access, read_language, read_within
from .forms import Form, page_number, query
from .map import Area, Here, Map, Spot, directions, draw_map
from .opening import opening_notes
from .reading import other_links, reading_sentence
from .responses import page_link
from .rows import BranchRow, branch_row, distance_text, event_row, unit_of
from .state import language_of, state_of
from .templating import render
from .words import branch_access_options, language_options

SIZE = 20  # branches on a page, when a distance was given
MOST_PAGES = 500
FAR = Distance(100.0)  # nobody goes there for an evening
OPEN = {"now": say("Open now"), "week": say("Meets within seven days")}
WEEK = timedelta(days=7)
FILTERS = ("open", "language", "access")
KEPT = ("near", "country", "within", *FILTERS)  # what a link to another page keeps


def page(request: Request, session: Session) -> Response:
    form = query(request)
    try:
        finding = find_place(request, session, form)
        found, number = search(request, session, form, finding)
    except Unreadable as error:  # said above the form, which keeps what was typed
        finding, found, number = Finding(form["near"], problem=error), Found(), 1
    named = [branch for branch in _named(session, finding) if branch not in found.branches]
    rows, place = _Rows(request, session, found, named, (number - 1) * SIZE), finding.place
    far = number == 1 and _is_far(finding, found)
    return render(
        request,
        "branches/near.html",
        status_code=finding.status,
        form=form,
        unit=unit_of(request),
        finding=finding,
        filtered=is_filtered(form),
        sentence=finding.sentence or (_none_near(request, form, found) if far else None),
        read=reading_sentence(request, finding),
        others=other_links(request, form, finding, "/branches"),
        named=rows.of(named),
        serving=[rows.served(one) for one in found.serving],
        may_serve=any(not one.fit.sure for one in found.serving),
        nearest=[rows.near(one) for one in found.nearest],
        online=rows.of(found.online),
        resting=[rows.resting(one) for one in found.resting if one.branch not in named],
        ask=_ask(request, session, found) if far and not is_filtered(form) else None,
        map=_map(request, place, found, (number - 1) * SIZE) if place else None,
        pages=_pages(request, form, found, number),
        events_within=_events_within(request, place, found) if place else None,
        filters=filter_choices(request, session, form),
    )


def search(request: Request, session: Session, form: Form, finding: Finding) -> tuple[Found, int]:
    """The five nearest, or a page of all within `within`, and its number; nothing for an unknown place.

    Raises Unreadable, and NotFound past the end.
    """
    farthest, wish = read_within(request, form, None), read_wish(request, session, form)
    number = page_number(form) if farthest else 1
    if finding.place is None:
        return Found(), 1
    if number > MOST_PAGES:
        raise no_such_page(number)
    place, gazetteer, size = finding.place, state_of(request).gazetteer, SIZE if farthest else NEAREST
    found = around(session, gazetteer, place, farthest=farthest, page=number, size=size, wish=wish)
    if number > 1 and not found.nearest:
        raise no_such_page(number)
    return found, number


# ---------------------------------------------------------------- which branches


def read_wish(request: Request, session: Session, form: Form) -> Wish:
    """`open`, `language` and `access`. Raises Unreadable."""
    language, access = read_language(form), read_access(form)
    conditions = Filter("", language, access).conditions() if language or access else []
    moment = now()
    match form["open"].strip():
        case "":
            return Wish(conditions)
        case "week":
            return Wish([*conditions, branches_meeting(moment, moment + WEEK)])
        case "now":
            return Wish(conditions, _open_at(session, moment))
    raise Unreadable(say("“open” can be now or week, not “%(text)s”.", text=form["open"].strip()[:40]))


def listed(session: Session, wish: Wish, number: int) -> tuple[Sequence[Branch], int]:
    """A page of the directory, and the number of pages; of what is open now there is one."""
    if wish.fits is None:
        return queries.directory(session, number, wish.conditions)
    if number > 1:
        raise no_such_page(number)
    return [branch for branch in queries.with_hours(session, wish.conditions) if wish.fits(branch)], 1


def _open_at(session: Session, moment: datetime) -> Callable[[Branch], bool]:
    """By its hours, or because something is on there. What is not known is not open."""
    on = branches_on(session, moment)

    def is_open(branch: Branch) -> bool:
        hours = hours_of(branch)
        return branch.id in on or (hours is not None and hours.at(moment).state is State.OPEN)

    return is_open


def filter_choices(request: Request, session: Session, form: Form) -> dict[str, Sequence[tuple[str, str]]]:
    """What the form offers: values and their labels."""
    spoken = language_of(request)
    known = state_of(request).whereabouts.languages(session, now())
    languages = language_options(spoken, [*known, form["language"].split("-")[0]])
    return {
        "open": [
            ("", spoken.gettext("At any time")),
            *((word, spoken.say(text)) for word, text in OPEN.items()),
        ],
        "language": [("", spoken.gettext("Any language")), *languages],
        "access": branch_access_options(spoken),
    }


# ---------------------------------------------------------------- where there is none


def _is_far(finding: Finding, found: Found) -> bool:
    """Whether nobody is near who fits: no farther than what was typed is exact, or than one goes for an evening."""
    if finding.place is None or found.serving:
        return False
    near = max(FAR, Distance(finding.place.precision_km))
    return not found.nearest or found.nearest[0].distance > near


def _none_near(request: Request, form: Form, found: Found) -> Message | None:
    """An answer of its own, with how far the nearest is."""
    if not found.nearest:
        return None
    away = distance_text(request, found.nearest[0].distance)
    if is_filtered(form):
        return say(
            "No branch near there fits your filters. The nearest that does is %(distance)s away.",
            distance=away,
        )
    return say("There is no branch near there. The nearest is %(distance)s away.", distance=away)


def is_filtered(form: Form) -> bool:
    return any(form[name].strip() for name in FILTERS)


def _ask(request: Request, session: Session, found: Found) -> dict[str, str] | None:
    """Whom to ask where there is no branch: the parent of the nearest, else the organisation itself."""
    whom = queries.parent_or_top(session, found.nearest[0].branch if found.nearest else None)
    if whom is None:
        return None
    spoken, path = language_of(request), f"/branches/{whom.slug}/contact"
    return {
        "name": whom.name,
        "start": link(spoken.code, path, {"about": "start"}),
        "join": link(spoken.code, path, {"about": "join"}),
    }


# ---------------------------------------------------------------- rows


class _Rows:
    """All branches on the page, numbered as on its map."""

    def __init__(
        self, request: Request, session: Session, found: Found, also: Sequence[Branch], before: int
    ) -> None:
        self.spoken = language_of(request)
        self.cards = Cards(request, session, [*found.branches, *found.online, *also])
        self._number = before

    def served(self, one: Served) -> BranchRow:
        return self.cards.of(one.branch, self._next_number(), one.distance, self.spoken.say(reason(one.fit)))

    def near(self, one: Near) -> BranchRow:
        return self.cards.of(one.branch, self._next_number(), one.distance)

    def of(self, branches: Sequence[Branch]) -> list[BranchRow]:
        return [self.cards.of(branch) for branch in branches]

    def resting(self, one: Near) -> BranchRow:
        return self.cards.of(one.branch, None, one.distance)

    def _next_number(self) -> int:
        self._number += 1
        return self._number


class Cards:
    """Of branches; what they have in common is asked once."""

    def __init__(self, request: Request, session: Session, shown: Sequence[Branch]) -> None:
        self.request, self.session, self.spoken = request, session, language_of(request)
        self.coming = next_dates_of_branches(session, [branch.id for branch in shown if branch.id], now())
        self.notes = opening_notes(self.spoken, shown, now(), self.coming)

    def of(
        self, branch: Branch, number: int | None = None, away: Distance | None = None, why: str = ""
    ) -> BranchRow:
        coming: Listed | None = self.coming.get(branch.id or 0)
        return branch_row(
            self.request,
            branch,
            away=away,
            next_event=event_row(self.request, coming) if coming else None,
            number=number,
            reason=why,
            opening=self.notes.get(branch.id or 0),
            directions=directions(self.spoken, branch) if branch.status in queries.FOUND else (),
            successor=self._successor(branch),
        )

    def _successor(self, branch: Branch) -> tuple[str, str] | None:
        """Name and address of the branch that took over, or that it belonged to, when it is not active."""
        if branch.status in queries.FOUND:
            return None
        there = queries.successor(self.session, branch)
        if there is None and branch.parent_id:
            there = self.session.get(Branch, branch.parent_id)
        return (there.name, link(self.spoken.code, f"/branches/{there.slug}", {})) if there else None


def _named(session: Session, finding: Finding) -> list[Branch]:
    """Branches that are called what was typed, also those that are not found by a place any more."""
    slugs = [reading.slug for reading in finding.readings if reading.kind == "branch"]
    return queries.at_slugs(session, slugs)


def _map(request: Request, place: Interpretation, found: Found, before: int) -> Map | None:
    """Numbered as in the list. Without branches there is nothing to show."""
    spoken = language_of(request)
    spots = [
        Spot(
            number, branch.name, link(spoken.code, f"/branches/{branch.slug}", {}), point, branch.confidential
        )
        for number, branch in enumerate(found.branches, before + 1)
        if (point := branch.public_point)
    ]
    if not spots or place.point is None:
        return None
    # A circle around the middle of a region would cover the map.
    is_point = place.kind not in ("region", "country")
    here = Here(place.point, Distance(place.precision_km if is_point else 0.0))
    served = [one.branch for one in found.serving]
    towns = state_of(request).gazetteer.towns
    return draw_map(spoken, unit_of(request), spots, here, areas=list(areas_of(served)), towns=towns)


def areas_of(branches: Sequence[Branch]) -> Iterator[Area]:
    """What they serve, as far as it can be drawn."""
    for branch in branches:
        served = territory_of(branch)
        if served.shapes:
            yield Area.drawn(branch.name, served.shapes)
        if served.reach and branch.shows_position and branch.point:
            yield Area.around(branch.name, branch.point, served.reach)


def _pages(request: Request, form: Form, found: Found, number: int) -> dict[str, str | None]:
    """The page before and the one after, of all within a distance."""
    return {
        "before": page_link(request, form, KEPT, number - 1) if number > 1 else None,
        "after": page_link(request, form, KEPT, number + 1) if found.more else None,
    }


def _events_within(request: Request, place: Interpretation, found: Found) -> str | None:
    """How far to look for events so that the nearest branch is among them; None when that is too far."""
    unit = unit_of(request)
    nearest = found.nearest[0].distance if found.nearest else Distance(0.0)
    wanted = max(Distance.of(DEFAULT_WITHIN, unit), Distance(place.precision_km), nearest)
    around = wanted.bucket(unit)
    return around.written(unit) if around >= nearest else None
