"""The branches for a place that somebody typed: how it was read, who serves it, and who is near, with a map."""

from collections.abc import Callable, Iterator, Mapping, Sequence
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
from ..errors import Message, NotFound, Unreadable, say
from ..places.geo import Distance
from ..places.readings import CODE_KINDS, Interpretation
from .endpoints import now
from .environment import link
from .finding import Finding, find_place, read_access, read_language, read_within
from .forms import Form, page_number, query
from .map import Area, Here, Map, Spot, directions, draw_map
from .opening import opening_notes
from .rows import BranchRow, branch_row, distance_text, event_row, unit_of
from .state import language_of, state_of
from .templating import render
from .words import branch_access_options, language_options

SIZE = 20  # branches on a page, when a distance was given
FAR = Distance(100.0)  # nobody goes there for an evening
OPEN = {"now": say("Open now"), "week": say("Meets within seven days")}
WEEK = timedelta(days=7)
KEPT = ("near", "country", "within", "open", "language", "access")  # what a link to another page keeps


def page(request: Request, session: Session) -> Response:
    form = query(request)
    try:
        finding = find_place(request, session, form)
        found = search(request, session, form, finding)
    except Unreadable as error:  # said above the form, which keeps what was typed
        finding, found = Finding(form["near"], problem=error), Found()
    named = _named(session, finding)
    rows, place = _Rows(request, session, found, named), finding.place
    return render(
        request,
        "branches/near.html",
        status_code=finding.status,
        form=form,
        unit=unit_of(request),
        finding=finding,
        sentence=finding.sentence or _far(request, finding, found),
        read=reading_sentence(request, finding) if place else None,
        others=[other(request, form, finding, reading) for reading in finding.others],
        named=rows.of(named),
        serving=[rows.served(one) for one in found.serving],
        may_serve=any(not one.fit.sure for one in found.serving),
        nearest=[rows.near(one) for one in found.nearest],
        online=rows.of(found.online),
        resting=[rows.resting(one) for one in found.resting],
        ask=_ask(request, session, found) if place and not found.serving else None,
        map=_map(request, place, found) if place else None,
        pages=_pages(request, form, found),
        filters=filter_choices(request, session, form),
    )


def search(request: Request, session: Session, form: Form, finding: Finding) -> Found:
    """The five nearest, or a page of all within `within`; nothing for an unknown place. Raises Unreadable."""
    farthest, wish, number = (
        read_within(request, form, None),
        read_wish(request, session, form),
        page_number(form),
    )
    if finding.place is None:
        return Found()
    size = SIZE if farthest else NEAREST
    number = number if farthest else 1
    place, gazetteer = finding.place, state_of(request).gazetteer
    return around(session, gazetteer, place, farthest=farthest, page=number, size=size, wish=wish)


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
        raise NotFound(say("There is no page %(page)d of this list.", page=number))
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


# ---------------------------------------------------------------- how it was read

_KINDS: Mapping[str, Message] = {
    "postal_code": say("the postal code %(label)s"),
    "postal_area": say("the beginning of postal codes: %(label)s"),
    "place": say("the place %(label)s"),
    "region": say("the region %(label)s"),
    "country": say("the country %(label)s"),
    "branch": say("the name of a branch: %(label)s"),
    "plus_code": say("the plus code %(label)s"),
    "coordinates": say("a point on the map: %(label)s"),
}


def reading_sentence(request: Request, finding: Finding) -> Message | None:
    """What was understood, of which part, and how exactly."""
    place = finding.place
    if place is None:
        return None
    template = _KINDS[place.kind]
    what = Message(template.text, {"label": place.label})
    precision = language_of(request).distance(max(place.precision_km, 0.1), unit_of(request))
    if place.used:
        return say(
            "Of “%(typed)s” we used “%(used)s”: %(what)s, within about %(precision)s.",
            typed=finding.typed,
            used=place.used,
            what=what,
            precision=precision,
        )
    if place.mended:
        return say(
            "We do not know “%(typed)s”. We took it for %(what)s, within about %(precision)s.",
            typed=finding.typed,
            what=what,
            precision=precision,
        )
    return say(
        "We read “%(typed)s” as %(what)s, within about %(precision)s.",
        typed=finding.typed,
        what=what,
        precision=precision,
    )


def other(request: Request, form: Form, finding: Finding, place: Interpretation) -> dict[str, str]:
    """A reading that was not taken, as a link that takes it: by its country, its full name, else its point."""
    kept = {name: form[name] for name in KEPT if name not in ("near", "country", "access")}
    typed: dict[str, object] = {**kept, "access": form.all("access")}
    labels = [reading.label for reading in finding.readings]
    if place.kind in CODE_KINDS and place.country:
        typed |= {"near": form["near"], "country": place.country}
    elif labels.count(place.label) == 1 and ", " in place.label and place.kind != "plus_code":
        typed |= {"near": place.label}
    else:
        typed |= {"near": str(place.point) if place.point else place.label}
    spoken = language_of(request)
    said: Message | str = place.label
    if finding.place and finding.place.kind != place.kind:  # Madrid the region, when the town was taken
        said = Message(_KINDS[place.kind].text, {"label": place.label})
    label = said if isinstance(said, str) else spoken.say(said)
    return {"label": label, "href": link(spoken.code, "/branches", typed)}


def _far(request: Request, finding: Finding, found: Found) -> Message | None:
    """No branch near it: an answer of its own, with how far the nearest is."""
    if finding.place is None or found.serving:
        return None
    if not found.nearest:
        return None
    nearest = found.nearest[0]
    if nearest.distance < FAR or nearest.branch.confidential:
        return None
    return say(
        "There is no branch near there. The nearest is %(distance)s away.",
        distance=distance_text(request, nearest.distance),
    )


# ---------------------------------------------------------------- rows


class _Rows:
    """Cards of all branches on the page; what they have in common is asked once."""

    def __init__(self, request: Request, session: Session, found: Found, also: Sequence[Branch]) -> None:
        self.request, self.spoken = request, language_of(request)
        listed = [*found.branches, *found.online, *also]
        self.coming = next_dates_of_branches(session, [branch.id for branch in listed if branch.id], now())
        self.notes = opening_notes(self.spoken, listed, now(), self.coming)
        self._number = 0

    def served(self, one: Served) -> BranchRow:
        return self._row(one.branch, self._next_number(), one.distance, self.spoken.say(reason(one.fit)))

    def near(self, one: Near) -> BranchRow:
        return self._row(one.branch, self._next_number(), one.distance)

    def of(self, branches: Sequence[Branch]) -> list[BranchRow]:
        return [self._row(branch) for branch in branches]

    def resting(self, one: Near) -> BranchRow:
        return self._row(one.branch, None, one.distance)

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _row(
        self, branch: Branch, number: int | None = None, away: Distance | None = None, reason: str = ""
    ) -> BranchRow:
        coming: Listed | None = self.coming.get(branch.id or 0)
        return branch_row(
            self.request,
            branch,
            away=away,
            next_event=event_row(self.request, coming) if coming else None,
            number=number,
            reason=reason,
            opening=self.notes.get(branch.id or 0),
            directions=directions(self.spoken, branch),
        )


def _named(session: Session, finding: Finding) -> list[Branch]:
    """Branches that are called what was typed, also those that are not found by a place any more."""
    slugs = [reading.slug for reading in finding.readings if reading.kind == "branch"]
    return queries.at_slugs(session, slugs)


def _ask(request: Request, session: Session, found: Found) -> dict[str, str] | None:
    """Whom to ask where there is no branch: the parent of the nearest, else the organisation itself."""
    if found.nearest and found.nearest[0].distance < FAR:
        return None
    near = found.nearest[0].branch if found.nearest else None
    whom = queries.parent_or_top(session, near)
    if whom is None:
        return None
    spoken, path = language_of(request), f"/branches/{whom.slug}/contact"
    return {
        "name": whom.name,
        "start": link(spoken.code, path, {"about": "start"}),
        "join": link(spoken.code, path, {"about": "join"}),
    }


def _map(request: Request, place: Interpretation, found: Found) -> Map | None:
    """Numbered as in the list. Without branches there is nothing to show."""
    spoken = language_of(request)
    spots = [
        Spot(
            number, branch.name, link(spoken.code, f"/branches/{branch.slug}", {}), point, branch.confidential
        )
        for number, branch in enumerate(found.branches, 1)
        if (point := branch.public_point)
    ]
    if not spots or place.point is None:
        return None
    here = Here(place.point, Distance(place.precision_km))
    served = [one.branch for one in found.serving]
    return draw_map(spoken, unit_of(request), spots, here, areas=list(areas_of(served)))


def areas_of(branches: Sequence[Branch]) -> Iterator[Area]:
    """What they serve, as far as it can be drawn."""
    for branch in branches:
        served = territory_of(branch)
        if served.shapes:
            yield Area.drawn(branch.name, served.shapes)
        if served.reach and branch.shows_position and branch.point:
            yield Area.around(branch.name, branch.point, served.reach)


def _pages(request: Request, form: Form, found: Found) -> dict[str, str | None]:
    """The page before and the one after, of all within a distance."""
    number = page_number(form) if form["within"].strip() and form["page"].isdecimal() else 1
    kept: dict[str, object] = {name: form.all(name) for name in KEPT}

    def to(other: int) -> str:
        return link(language_of(request).code, "/branches", {**kept, "page": other if other > 1 else None})

    return {
        "before": to(number - 1) if number > 1 else None,
        "after": to(number + 1) if found.more else None,
    }
