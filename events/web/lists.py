"""Lists of events as Atom, JSON Feed and CSV; the path says which."""

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches import queries as branches
from ..branches.queries import Moved
from ..calendars import lists, queries
from ..calendars.feeds import Note, Variant
from ..calendars.queries import Selection
from .endpoints import now
from .feeds import asked_for, feed_answer, heading_of, of_branch
from .forms import query
from .responses import moved
from .state import state_of


def events(request: Request, session: Session) -> Response:
    return _answer(request, session, asked_for(request, session), None)


def topic(request: Request, session: Session) -> Response:
    found = queries.topic_at(session, request.path_params["slug"])
    return _answer(request, session, Selection(topics=(found.slug,)), found.name)


def branch(request: Request, session: Session) -> Response:
    found = branches.by_slug(session, request.path_params["slug"])
    if isinstance(found, Moved):
        return moved(request, f"/branches/{found.slug}.{_extension(request)}")
    selection, closed = of_branch(request, session, found)
    return _answer(request, session, selection, found.name, closed)


def _answer(
    request: Request, session: Session, selection: Selection, name: str | None, closed: Note | None = None
) -> Response:
    state, wanted = state_of(request), lists.FORMATS[_extension(request)]
    variant = Variant(hide_cancelled=query(request)["cancelled"] == "hide")
    heading = heading_of(request, selection, request.scope["path"], name, closed, variant)
    feed = lists.finished(
        session,
        wanted,
        selection,
        heading,
        state.publishing,
        now(),
        hide_cancelled=variant.hide_cancelled,
    )
    return feed_answer(feed, wanted.media_type)


def _extension(request: Request) -> str:
    path: str = request.scope["path"]
    return path.rpartition(".")[2]
