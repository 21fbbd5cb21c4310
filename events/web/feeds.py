"""Lists of events as calendars: for apps that ask again and again whether anything has changed."""

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches import queries as branches
from ..branches.models import Branch, Status
from ..branches.queries import Moved
from ..calendars import content, feeds, queries
from ..calendars.derived import TOLD_FOR
from ..calendars.feeds import Heading, Note, Variant
from ..calendars.kept import Finished
from ..calendars.queries import Selection
from ..errors import Message, say
from .endpoints import now
from .environment import link
from .finding import select_near, snapped
from .forms import number_at, query
from .keeping import Feed
from .responses import moved
from .rows import unit_of
from .state import language_of, state_of
from .subscribing import canonical_query

CALENDAR = "text/calendar; charset=utf-8"
# Shared caches ask again after a second, so that they are hardly behind; an app after a quarter of an hour.
FEED_AGE = "public, max-age=900, s-maxage=1, stale-while-revalidate=60, stale-if-error=86400"


def events_feed(request: Request, session: Session) -> Response:
    feed = _finished(request, session, asked_for(request, session), "/events.ics", None)
    return feed_answer(feed, CALENDAR)


def asked_for(request: Request, session: Session) -> Selection:
    """What the query selects, near a snapped place. Raises what is wrong with the place."""
    selection, finding = select_near(request, session, query(request))
    if finding.problem:
        raise finding.problem
    return snapped(selection, unit_of(request))


def branch_feed(request: Request, session: Session) -> Response:
    branch = branches.by_slug(session, request.path_params["slug"])
    if isinstance(branch, Moved):
        return moved(request, f"/branches/{branch.slug}.ics")
    path = f"/branches/{branch.slug}.ics"
    selection, closed = of_branch(request, session, branch)
    feed = _finished(request, session, selection, path, branch.name, closed)
    return feed_answer(feed, CALENDAR, branch.id)


def newest_mark(request: Request, session: Session, branch: Branch) -> str:
    """Of the branch's feed as it would be answered now."""
    path = f"/branches/{branch.slug}.ics"
    selection, closed = of_branch(request, session, branch)
    return _finished(request, session, selection, path, branch.name, closed).mark


def of_branch(request: Request, session: Session, branch: Branch) -> tuple[Selection, Note | None]:
    """Its events, and its successor's when it has closed, with a note that says so."""
    after = branches.successor(session, branch)
    slugs = (branch.slug, after.slug) if after else (branch.slug,)
    return Selection(branches=slugs), _closed(request, branch, after)


def _closed(request: Request, branch: Branch, after: Branch | None) -> Note | None:
    """Whoever still follows a branch that has closed is told so, and where its events are now."""
    if branch.status != Status.CLOSED and after is None:
        return None
    spoken, base = language_of(request), state_of(request).settings.public_url
    title = spoken.say(say("%(name)s has closed", name=branch.name))
    if after is None:
        page = base + link(spoken.code, f"/branches/{branch.slug}", {})
        return Note(title, url=page, since=branch.updated_at)
    text = spoken.say(say("You see the events of %(name)s, which took over.", name=after.name))
    return Note(title, text, base + link(spoken.code, f"/branches/{after.slug}", {}), branch.updated_at)


def topic_feed(request: Request, session: Session) -> Response:
    found = queries.topic_at(session, request.path_params["slug"])
    path = f"/topics/{found.slug}.ics"
    feed = _finished(request, session, Selection(topics=(found.slug,)), path, found.name)
    return feed_answer(feed, CALENDAR)


def event_feed(request: Request, session: Session) -> Response:
    found = queries.followed_event(session, number_at(request), now() - TOLD_FOR)
    path = f"/events/{found.id}.ics"
    title = None  # that of a draft is nobody's business
    if found.is_public or found.deleted_at:
        title = content.title(found, None, language_of(request)).text
    feed = _finished(request, session, Selection(event_id=found.id), path, title)
    return feed_answer(feed, CALENDAR)


def _finished(
    request: Request,
    session: Session,
    selection: Selection,
    path: str,
    name: str | None,
    closed: Note | None = None,
) -> Finished:
    asked = query(request)
    variant = Variant(asked["cancelled"] == "hide", asked["client"] == "google")
    heading = heading_of(request, selection, path, name, closed, variant)
    return feeds.finished(session, selection, heading, now(), variant, state_of(request).rows)


def heading_of(
    request: Request,
    selection: Selection,
    path: str,
    name: str | None,
    closed: Note | None,
    variant: Variant,
) -> Heading:
    """What the list at that path says of itself: `/events.ics`, `/branches/alder.atom`."""
    state, spoken = state_of(request), language_of(request)
    as_asked = {
        "cancelled": "hide" if variant.hide_cancelled else "",
        "client": "google" if variant.for_google else "",
    }
    organisation, stem = state.settings.name, path.rpartition(".")[0]
    wanted = canonical_query(request, selection) if stem == "/events" else {}
    page = state.settings.public_url + link(spoken.code, stem, wanted)
    return Heading(
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


def _feed_name(selection: Selection, organisation: str) -> Message:
    if selection.near is not None:
        return say("%(name)s near %(point)s", name=organisation, point=selection.near)
    return say("%(name)s: events", name=organisation)


def feed_answer(feed: Finished, media_type: str, branch_id: int | None = None) -> Feed:
    """`branch_id`: of whose feed polls are counted, by kind of client and by what it got."""
    headers = {"Cache-Control": FEED_AGE, "Access-Control-Allow-Origin": "*", "Vary": "Accept-Encoding"}
    return Feed(feed, media_type, headers, branch_id)
