"""Branches: the directory, the nearest, one branch, and the same for programs."""

from collections.abc import Sequence
from functools import lru_cache

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from ..branches import formats, queries
from ..branches.exchange import related_slugs
from ..branches.finding import ANY, Found
from ..branches.hour_rules import CACHED
from ..branches.hours import zone_of
from ..branches.models import Branch, LocationType
from ..branches.queries import Moved
from ..branches.serving import described, reason, territory_of
from ..branches.territory import Fit
from ..calendars.queries import upcoming_at
from ..desk import branch_changes
from ..errors import Unreadable
from ..language import Language
from ..places.geo import Distance, Unit
from ..places.lookup import Gazetteer
from . import linked_data, near, news
from .api import interpretations
from .endpoints import now
from .finding import Finding, find_place
from .forms import Form, page_number, query
from .map import Area, Map, Spot, directions, draw_map
from .opening import hours_in_words, opening_note
from .responses import moved, page_link
from .rows import STATUS_NOTES, BranchRow, branch_row, by_day, distance_text, unit_of
from .state import language_of, shared, state_of
from .subscribing import alternates, subscribe_links
from .templating import render
from .words import access_in_words, language_name

EVENTS_SHOWN = 8
MAPS_KEPT = 256  # some 15 KB each
_hours = lru_cache(CACHED)(hours_in_words)


def directory(request: Request, session: Session) -> Response:
    form = query(request)
    if form["near"].strip():
        return near.page(request, session)
    wish, problem, number = ANY, None, 1
    try:
        wish, number = near.read_wish(request, session, form), page_number(form)
    except Unreadable as error:  # said above the form, which keeps what was chosen
        problem = error
    found, pages = near.listed(session, wish, number)
    return render(
        request,
        "branches/directory.html",
        status_code=problem.status if problem else 200,
        sentence=problem.message if problem else None,
        branches=[branch_row(request, branch) for branch in found],
        page=number,
        pages=pages,
        form=form,
        kept=form.only(("open", "language", "access")),
        filters=near.filter_choices(request, session, form),
        data=linked_data.standing(request, (language_of(request).gettext("Branches"), "/branches")),
    )


def page(request: Request, session: Session) -> Response:
    branch = queries.by_slug(session, request.path_params["slug"])
    if isinstance(branch, Moved):
        return moved(request, f"/branches/{branch.slug}")
    moment = now()
    events, more = upcoming_at(session, branch.id or 0, moment, EVENTS_SHOWN)
    next_event = next((event for event in events if not event.cancelled), None)
    parent = session.get(Branch, branch.parent_id) if branch.parent_id else None
    spoken = language_of(request)
    return render(
        request,
        "branches/page.html",
        branch=branch,
        status_note=STATUS_NOTES.get(branch.status),
        opening=opening_note(spoken, branch, moment, next_event),
        hours=_hours(spoken, branch.opening_hours),
        hours_zone=spoken.zone(branch.timezone) if zone_of(branch) else "",
        parent=parent,
        successor=queries.successor(session, branch),
        area=_area(request, branch),
        directions=directions(spoken, branch),
        map=_map(request, branch),
        data=linked_data.branch(request, branch, parent),
        children=_children(request, session, branch),
        days=by_day(request, events),
        more=more,
        languages_spoken=spoken.listed([language_name(spoken, tag) for tag in branch.language_list]),
        accessibility=access_in_words(spoken, branch.accessibility_list),
        subscribe=subscribe_links(request, f"/branches/{branch.slug}.ics", {}),
        news=news.of_branch(request, session, branch),
        feeds=[
            *alternates(request, f"/branches/{branch.slug}", {}, branch.name, ("ics", "atom")),
            *news.news_feeds(request, {"branch": branch.slug}),
        ],
        may_edit=branch_changes.may_change(session, request.state.person, branch),
    )


def _children(request: Request, session: Session, branch: Branch) -> list[BranchRow]:
    if branch.id not in shared(request, "branches with children", lambda: queries.with_children(session)):
        return []
    return [branch_row(request, child) for child in queries.children(session, branch)]


def _area(request: Request, branch: Branch) -> list[str]:
    """What it serves, in words."""
    spoken, served = language_of(request), territory_of(branch)
    reach = distance_text(request, served.reach) if served.reach else ""
    return [text if isinstance(text, str) else spoken.say(text) for text in described(served, reach)]


def _map(request: Request, branch: Branch) -> Map | None:
    """Where it is, and the area it serves."""
    if branch.public_point is None or branch.location_type == LocationType.VIRTUAL:
        return None
    spot = Spot(None, branch.name, "", branch.public_point, branch.confidential)
    areas, gazetteer = tuple(near.areas_of([branch])), state_of(request).gazetteer
    built_at = gazetteer.about().get("built_at", "")
    return _drawn(language_of(request), unit_of(request), spot, areas, gazetteer, built_at)


@lru_cache(MAPS_KEPT)
def _drawn(
    spoken: Language, unit: Unit, spot: Spot, areas: Sequence[Area], gazetteer: Gazetteer, _built_at: str
) -> Map | None:
    """Drawing takes longer than all the rest of the page, and nothing moves but with the branch, or when the
    directory of places is built anew."""
    return draw_map(spoken, unit, [spot], None, areas=areas, towns=gazetteer.towns)


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
    found, number = near.search(request, session, form, finding)
    rows = _rows(request, session, form, finding, found)
    slugs = related_slugs(session, [*(branch for branch, *_ in rows), *found.online])
    publishing, spoken = state_of(request).publishing, language_of(request)

    def told(branch: Branch, away: Distance | None = None) -> dict[str, object]:
        page = publishing.page_of_branch(branch, spoken)
        return formats.public(branch, distance=away, url=page, slugs=slugs)

    items = []
    for branch, away, fit in rows:
        why = {"serves": {"certain": fit.sure, "why": spoken.say(reason(fit))}} if fit else {}
        items.append(told(branch, away) | why)
    body: dict[str, object] = {"interpretations": interpretations(finding.readings), "items": items}
    if finding.typed:
        body["online"] = [told(branch) for branch in found.online]
        following = page_link(request, form, near.KEPT, number + 1) if found.more else None
        body["next"] = f"{publishing.base_url}{following}" if following else None
    if finding.sentence:
        body["detail"] = spoken.say(finding.sentence)
    return JSONResponse(body)


def _rows(
    request: Request, session: Session, form: Form, finding: Finding, found: Found
) -> list[tuple[Branch, Distance | None, Fit | None]]:
    """Those that serve the place first, then the nearest; without a place all that fit the filters."""
    if not finding.typed:
        wish = near.read_wish(request, session, form)
        return [
            (branch, None, None)
            for branch in queries.everywhere(session, wish.conditions)
            if wish.is_met_by(branch)
        ]
    served = [(one.branch, one.distance, one.fit) for one in found.serving]
    return [*served, *((one.branch, one.distance, None) for one in found.nearest)]


def list_csv(request: Request, session: Session) -> Response:
    found = _listed(request, session)
    lines = formats.public_csv(found, related_slugs(session, found))
    return PlainTextResponse("".join(lines), media_type="text/csv; charset=utf-8")


def list_geojson(request: Request, session: Session) -> Response:
    collection = formats.geojson(
        _listed(request, session),
        lambda branch: _page_url(request, branch),
        state_of(request).settings.name,
    )
    return JSONResponse(collection, media_type="application/geo+json")


def _listed(request: Request, session: Session) -> Sequence[Branch]:
    form = query(request)
    finding = find_place(request, session, form)
    found, _ = near.search(request, session, form, finding)
    return [branch for branch, *_ in _rows(request, session, form, finding, found)]


def _page_url(request: Request, branch: Branch) -> str:
    return f"{state_of(request).settings.public_url}/branches/{branch.slug}"
