"""Lists of events as calendars: for apps that ask again and again whether anything has changed."""

from email.utils import format_datetime

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches import queries as branches
from ..branches.models import Branch, Status
from ..branches.queries import Moved
from ..calendars import feeds, queries
from ..calendars.derived import TOLD_FOR
from ..calendars.feeds import Finished, Heading, Note, Variant
from ..calendars.queries import Selection
from ..errors import Message, say
from .calendars import event_id_of
from .conditional import accepts_gzip, fresh_answer
from .endpoints import now
from .environment import link
from .finding import select_near, snapped
from .forms import query
from .responses import moved
from .rows import unit_of
from .state import language_of, state_of
from .subscribing import canonical_query


def events_feed(request: Request, session: Session) -> Response:
    form = query(request)
    selection, finding = select_near(request, session, form)
    if finding.problem:
        raise finding.problem
    return _feed(request, session, snapped(selection, unit_of(request)), "/events.ics", None)


def branch_feed(request: Request, session: Session) -> Response:
    branch = branches.by_slug(session, request.path_params["slug"])
    if isinstance(branch, Moved):
        return moved(request, f"/branches/{branch.slug}.ics")
    after = branches.successor(session, branch)
    slugs = (branch.slug, after.slug) if after else (branch.slug,)
    path = f"/branches/{branch.slug}.ics"
    return _feed(
        request, session, Selection(branches=slugs), path, branch.name, _closed(request, branch, after)
    )


def _closed(request: Request, branch: Branch, after: Branch | None) -> Note | None:
    """Whoever still follows a branch that has closed is told so, and where its events are now."""
    if branch.status != Status.CLOSED and after is None:
        return None
    spoken, base = language_of(request), state_of(request).settings.public_url
    title = spoken.say(say("%(name)s has closed", name=branch.name))
    if after is None:
        return Note(title, url=base + link(spoken.code, f"/branches/{branch.slug}", {}))
    text = spoken.say(say("You see the events of %(name)s, which took over.", name=after.name))
    return Note(title, text, base + link(spoken.code, f"/branches/{after.slug}", {}))


def topic_feed(request: Request, session: Session) -> Response:
    found = queries.topic_at(session, request.path_params["slug"])
    return _feed(request, session, Selection(topics=(found.slug,)), f"/topics/{found.slug}.ics", found.name)


def event_feed(request: Request, session: Session) -> Response:
    found = queries.followed_event(session, event_id_of(request), now() - TOLD_FOR)
    return _feed(request, session, Selection(event_id=found.id), f"/events/{found.id}.ics", found.title)


def _feed(
    request: Request,
    session: Session,
    selection: Selection,
    path: str,
    name: str | None,
    closed: Note | None = None,
) -> Response:
    state, spoken, asked = state_of(request), language_of(request), query(request)
    variant = Variant(asked["cancelled"] == "hide", asked["client"] == "google")
    wanted = canonical_query(request, selection) if path == "/events.ics" else {}
    as_asked = {
        "cancelled": "hide" if variant.hide_cancelled else "",
        "client": "google" if variant.for_google else "",
    }
    organisation = state.settings.name
    page = state.settings.public_url + link(spoken.code, path.removesuffix(".ics"), wanted)
    heading = Heading(
        name=f"{organisation}: {name}" if name else spoken.say(_feed_name(selection, organisation)),
        description=spoken.say(
            say("Events of %(name)s. Changes and cancellations appear by themselves.", name=organisation)
        ),
        capped=spoken.gettext(
            "Only the nearest dates are in this calendar, because apps refuse larger ones."
        ),
        empty=Note(spoken.gettext("You are subscribed. The next event is not announced yet."), url=page),
        closed=closed,
        url=page,
        source=state.settings.public_url + link(spoken.code, path, wanted | as_asked),
        locale=spoken.code,
    )
    return _calendar_answer(request, feeds.finished(session, state.feeds, selection, heading, now(), variant))


def _feed_name(selection: Selection, organisation: str) -> Message:
    if selection.near is not None:
        return say("%(name)s near %(point)s", name=organisation, point=selection.near)
    return say("%(name)s: events", name=organisation)


def _calendar_answer(request: Request, feed: Finished) -> Response:
    """Compressed for those who ask; the two forms have ETags of their own, and either is known again."""
    zipped = accepts_gzip(request.headers)
    headers = {
        "ETag": feed.zipped_etag if zipped else feed.etag,
        "Last-Modified": format_datetime(feed.modified_at, usegmt=True),
        "Cache-Control": "public, max-age=900, stale-while-revalidate=3600",
        "Access-Control-Allow-Origin": "*",
        "Vary": "Accept-Encoding",
    }
    if fresh_answer(request.headers, (feed.etag, feed.zipped_etag), feed.modified_at):
        return Response(status_code=304, headers=headers)
    if zipped:
        headers["Content-Encoding"] = "gzip"
    body = feed.zipped if zipped else feed.body
    return Response(body, media_type="text/calendar; charset=utf-8", headers=headers)
