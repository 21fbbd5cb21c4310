"""The home page, the operator's pages, and the files that pages are made of."""

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches import queries as branches
from ..calendars.queries import EVERYTHING, upcoming
from ..errors import NotFound
from . import linked_data, news
from .endpoints import now
from .keeping import keep_for_ever
from .rows import by_day
from .state import language_of, state_of
from .subscribing import alternates_of_events, subscribe_links
from .templating import render

EVENTS_ON_HOME = 8
STATIC_AGE_S = 31_536_000


def home(request: Request, session: Session) -> Response:
    rows, more = upcoming(session, EVERYTHING, now(), size=EVENTS_ON_HOME)
    stories = news.top_stories(request, session)
    return render(
        request,
        "pages/home.html",
        stories=stories,
        headlines=news.recent(request, session, without=stories),
        days=by_day(request, rows),
        more=more,
        branch_count=branches.count(session),
        text=operator_text(request, "home"),
        subscribe=subscribe_links(request, "/events.ics", {}),
        feeds=alternates_of_events(request, EVERYTHING),
        data=linked_data.home(request),
    )


def about(request: Request, session: Session) -> Response:
    return _text_page(request, "about")


def credits_page(request: Request, session: Session) -> Response:
    return render(request, "pages/credits.html", gazetteer=state_of(request).gazetteer.exists)


def _text_page(request: Request, name: str) -> Response:
    return render(request, f"pages/{name}.html", text=operator_text(request, name))


def operator_text(request: Request, name: str) -> str:
    """What the operator wrote in DATA_DIR/site, in the page's language where it is there."""
    folder = state_of(request).settings.site_dir
    spoken = language_of(request).code
    for path in (folder / f"{name}.{spoken}.md", folder / f"{name}.md"):
        if path.is_file():
            return path.read_text(encoding="utf-8")
    return ""


async def static(request: Request) -> Response:
    asset = state_of(request).assets.at(request.scope["path"])
    if asset is None:
        raise NotFound
    headers = {"Cache-Control": f"public, max-age={STATIC_AGE_S}, immutable", "Vary": "Accept-Encoding"}
    return keep_for_ever(request, Response(asset.content, media_type=asset.media_type, headers=headers))
