"""Branches: the directory, the nearest, one branch, and the same for programs."""

from collections.abc import Sequence

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from ..branches import formats, queries
from ..branches.exchange import related_slugs
from ..branches.models import Branch
from ..branches.queries import Moved, Near
from ..calendars.queries import Selection, next_dates_of_branches, upcoming
from ..errors import Unreadable
from ..places.geo import Distance
from ..places.lookup import Interpretation
from .endpoints import now
from .environment import link
from .finding import Finding, find_place, read_within
from .forms import Form, page_number, query
from .responses import moved
from .rows import STATUS_NOTES, branch_row, by_day, near_rows, unit_of
from .state import language_of, state_of
from .subscribing import alternates, subscribe_links
from .templating import render
from .words import access_in_words, language_name

NEAREST = 5
MOST_WITHIN = 100
EVENTS_SHOWN = 8


def directory(request: Request, session: Session) -> Response:
    form = query(request)
    if form["near"].strip():
        return _near(request, session, form)
    page = page_number(form)
    found, pages = queries.directory(session, page)
    return render(
        request,
        "branches/directory.html",
        branches=[branch_row(request, branch) for branch in found],
        page=page,
        pages=pages,
        form=form,
    )


def _near(request: Request, session: Session, form: Form) -> Response:
    try:
        finding = find_place(request, session, form)
        found = nearest(request, session, form, finding)
    except Unreadable as error:  # said above the form, which keeps what was typed
        finding, found = Finding(form["near"], problem=error), []
    coming = next_dates_of_branches(session, [near.branch.id for near in found if near.branch.id], now())
    return render(
        request,
        "branches/near.html",
        unit=unit_of(request),
        status_code=finding.status,
        form=form,
        finding=finding,
        sentence=finding.sentence,
        others=[_other(request, form, place) for place in finding.others if place.point],
        branches=near_rows(request, found, coming),
        precision=language_of(request).distance(max(finding.place.precision_km, 0.1), unit_of(request))
        if finding.place
        else "",
    )


def nearest(request: Request, session: Session, form: Form, finding: Finding) -> list[Near]:
    """The five nearest, or all within `within`; nothing for an unknown place."""
    within = read_within(request, form, None)
    if finding.place is None or finding.place.point is None:
        return []
    limit = MOST_WITHIN if within else NEAREST
    return queries.nearest_to(session, finding.place.point, limit=limit, farthest=within)


def _other(request: Request, form: Form, place: Interpretation) -> dict[str, str]:
    """A reading that was not taken, as a link that takes it."""
    typed = {"near": form["near"], "country": place.country, "within": form["within"]}
    if place.point and (place.kind == "place" or place.country is None):
        typed |= {"near": str(place.point), "country": None}
    return {"label": place.label, "href": link(language_of(request).code, "/branches", typed)}


def page(request: Request, session: Session) -> Response:
    branch = queries.by_slug(session, request.path_params["slug"])
    if isinstance(branch, Moved):
        return moved(request, f"/branches/{branch.slug}")
    events, more = upcoming(session, Selection(branches=(branch.slug,)), now(), size=EVENTS_SHOWN)
    parent = session.get(Branch, branch.parent_id) if branch.parent_id else None
    spoken = language_of(request)
    return render(
        request,
        "branches/page.html",
        branch=branch,
        status_note=STATUS_NOTES.get(branch.status),
        parent=parent,
        successor=queries.successor(session, branch),
        children=[branch_row(request, child) for child in queries.children(session, branch)],
        days=by_day(request, events),
        more=more,
        languages_spoken=spoken.listed([language_name(spoken, tag) for tag in branch.language_list]),
        accessibility=access_in_words(spoken, branch.accessibility_list),
        subscribe=subscribe_links(request, f"/branches/{branch.slug}.ics", {}),
        feeds=alternates(request, f"/branches/{branch.slug}", {}, branch.name, ("ics", "atom")),
    )


def vcard(request: Request, session: Session) -> Response:
    branch = queries.by_slug(session, request.path_params["slug"])
    if isinstance(branch, Moved):
        return moved(request, f"/branches/{branch.slug}.vcf")
    body = formats.vcard(branch, _page_url(request, branch))
    return Response(
        body,
        media_type="text/vcard; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{branch.slug}.vcf"'},
    )


def as_json(request: Request, session: Session) -> Response:
    branch = queries.by_slug(session, request.path_params["slug"])
    if isinstance(branch, Moved):
        return moved(request, f"/branches/{branch.slug}.json")
    slugs = related_slugs(session, [branch])
    return JSONResponse(formats.public(branch, url=_page_url(request, branch), slugs=slugs))


def list_json(request: Request, session: Session) -> Response:
    """`/branches.json` and `/api/v1/branches/near`: how the place was read, and what was found."""
    form = query(request)
    finding = find_place(request, session, form)
    found: list[tuple[Branch, Distance | None]]
    if finding.typed:
        found = [(near.branch, near.distance) for near in nearest(request, session, form, finding)]
    else:
        found = [(branch, None) for branch in queries.everywhere(session)]
    slugs = related_slugs(session, [branch for branch, _ in found])
    items = [
        formats.public(branch, distance=away, url=_page_url(request, branch), slugs=slugs)
        for branch, away in found
    ]
    places = [finding.place, *finding.others] if finding.place else []
    body: dict[str, object] = {
        "interpretations": [_interpretation(place) for place in places],
        "items": items,
    }
    if finding.sentence:
        body["detail"] = language_of(request).say(finding.sentence)
    return JSONResponse(body)


def list_csv(request: Request, session: Session) -> Response:
    found = _listed(request, session)
    lines = formats.public_csv(found, related_slugs(session, found))
    return PlainTextResponse("".join(lines), media_type="text/csv; charset=utf-8")


def list_geojson(request: Request, session: Session) -> Response:
    return JSONResponse(formats.geojson(_listed(request, session)), media_type="application/geo+json")


def _listed(request: Request, session: Session) -> Sequence[Branch]:
    form = query(request)
    finding = find_place(request, session, form)
    if finding.typed:
        return [near.branch for near in nearest(request, session, form, finding)]
    return queries.everywhere(session)


def _interpretation(place: Interpretation) -> dict[str, object]:
    return {
        "kind": place.kind,
        "label": place.label,
        "country": place.country,
        "latitude": place.point.latitude if place.point else None,
        "longitude": place.point.longitude if place.point else None,
        "precision_km": place.precision_km,
    }


def _page_url(request: Request, branch: Branch) -> str:
    return f"{state_of(request).settings.public_url}/branches/{branch.slug}"
