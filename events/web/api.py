"""The reading half of `/api/v1`. What it tells of a branch, a place, an event or a date, their `formats` decide."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ..branches import formats as branch_formats
from ..branches import paging as branch_paging
from ..branches import queries as branches
from ..branches.exchange import related_slugs
from ..branches.models import Branch
from ..branches.queries import Moved
from ..calendars import derived, formats, paging, queries
from ..calendars.content import Told
from ..calendars.paging import Ahead
from ..calendars.queries import Selection
from ..errors import Unreadable, say
from ..places import formats as place_formats
from ..places.readings import Interpretation
from .endpoints import now
from .environment import link
from .finding import Finding, find_place, read_access, read_language, select_near
from .forms import FILTERS, Form, number_at, page_number, query, whole_number
from .responses import moved, page_link
from .state import language_of, state_of

Items = Sequence[Mapping[str, object]]


# ---------------------------------------------------------------- branches and places


def branch_list(request: Request, session: Session) -> Response:
    form = query(request)
    page = page_number(form)
    found, more = branch_paging.page_of(session, _branch_filter(form), page)
    following = _page_link(request, form, ("country", "language", "access"), page + 1) if more else None
    return JSONResponse({"items": _branches(request, session, found), "next": following})


def branch(request: Request, session: Session) -> Response:
    found = branches.by_slug(session, request.path_params["slug"])
    if isinstance(found, Moved):
        return moved(request, f"/api/v1/branches/{found.slug}")
    return JSONResponse(_branches(request, session, [found])[0])


def _branch_filter(form: Form) -> branch_paging.Filter:
    return branch_paging.Filter(form["country"].strip(), read_language(form), read_access(form))


def _branches(request: Request, session: Session, found: Sequence[Branch]) -> Items:
    publishing, spoken = state_of(request).publishing, language_of(request)
    slugs = related_slugs(session, found)
    return [
        branch_formats.public(each, url=publishing.page_of_branch(each, spoken), slugs=slugs)
        for each in found
    ]


def places(request: Request, session: Session) -> Response:
    """How `q` can be read, the likeliest first; what it is outside the wanted country as `elsewhere`."""
    form = query(request)
    if not form["q"].strip():
        raise Unreadable(say("Please say which place is meant: q=60614, or q=Madrid."))
    finding = find_place(request, session, Form([("near", form["q"]), ("country", form["country"])]))
    body: dict[str, object] = {"items": interpretations(finding.readings)}
    if finding.sentence:
        body["detail"] = language_of(request).say(finding.sentence)
    if finding.elsewhere:
        body["elsewhere"] = interpretations(finding.elsewhere)
    return JSONResponse(body)


def interpretations(readings: Sequence[Interpretation]) -> Items:
    return [place_formats.record(place) for place in readings]


# ---------------------------------------------------------------- events and their dates


def events(request: Request, session: Session) -> Response:
    """One item for each event or series."""
    form = query(request)
    page = page_number(form)
    selection, finding = select_near(request, session, form)
    if _is_nowhere(finding):
        return _listed(request, finding, [], None)
    found, more = paging.events(session, selection, now(), page)
    following = _page_link(request, form, FILTERS, page + 1) if more else None
    return _listed(request, finding, event_records(request, session, found), following)


def event(request: Request, session: Session) -> Response:
    found = queries.public_event(session, number_at(request))
    return JSONResponse(event_records(request, session, [derived.tell(session, found)])[0])


def event_records(request: Request, session: Session, found: Sequence[Told]) -> Items:
    publishing, spoken = state_of(request).publishing, language_of(request)
    ahead = paging.ahead(session, [told.event.id or 0 for told in found], now())
    items = []
    for told in found:
        coming = ahead.get(told.event.id or 0, Ahead())
        item = formats.event_record(told, coming.next_start, coming.number, publishing, spoken)
        dates = address(request, "/api/v1/occurrences", {"event": told.event.id})
        items.append({**item, "occurrences_url": dates})
    return items


def occurrences(request: Request, session: Session) -> Response:
    """One item for each date; of one event's alone with `event`."""
    form = query(request)
    page = page_number(form)
    selection, finding = select_near(request, session, form)
    selection = _of_one_event(session, form, selection)
    if _is_nowhere(finding):
        return _listed(request, finding, [], None)
    found, more = paging.dates(session, selection, now(), page)
    publishing, spoken = state_of(request).publishing, language_of(request)
    following = _page_link(request, form, ("event", *FILTERS), page + 1) if more else None
    items = [formats.record(shown, publishing, spoken) for shown in found]
    return _listed(request, finding, items, following)


def _of_one_event(session: Session, form: Form, selection: Selection) -> Selection:
    """Raises Unreadable; NotFound or Gone for an event that is not there to see."""
    text = form["event"].strip()
    if not text:
        return selection
    number = whole_number(text)
    if number is None:
        raise Unreadable(say("“%(text)s” is not the number of an event.", text=text[:40]))
    return replace(selection, event_id=queries.public_event(session, number).id)


def _is_nowhere(finding: Finding) -> bool:
    """A place that is not known, or that is not on earth (military mail), never turns into everywhere."""
    return bool(finding.typed) and finding.place is None


# ---------------------------------------------------------------- lists


def _listed(request: Request, finding: Finding, items: Items, following: str | None) -> Response:
    """With how `near` was read, where it was given: the first reading is the one that counts."""
    body: dict[str, object] = {"items": items, "next": following}
    if finding.typed:
        body["interpretations"] = interpretations(finding.readings)
    if finding.sentence:
        body["detail"] = language_of(request).say(finding.sentence)
    return JSONResponse(body)


def _page_link(request: Request, form: Form, names: Sequence[str], page: int) -> str:
    return state_of(request).settings.public_url + page_link(request, form, names, page)


def address(request: Request, path: str, wanted: dict[str, object]) -> str:
    return state_of(request).settings.public_url + link(language_of(request).code, path, wanted)
