"""Feeds of the organisation whose headlines are shown: which are followed, and how they fare."""

from collections.abc import Mapping
from datetime import datetime

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..calendars.timezones import to_wall
from ..errors import Conflict, InvalidForm, Message, NotFound, Unreadable, say
from ..fetching import normal_url
from ..news import headlines, writing
from ..news.models import HeadlineSource
from ..sandbox import unpacked
from .endpoints import now
from .forms import EMPTY, NO_FAULTS, Form, number_at, query
from .imports import RELOAD_S
from .responses import see_other
from .state import language_of, state_of
from .templating import render

PATH = "/organize/news/headlines"
_DONE = {
    "followed": say("We are reading the feed. This takes a few seconds."),
    "removed": say("It is not followed any more, and its headlines are gone."),
}


def page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    timezone = writing.timezone_of(session, None)
    lines = [_line(request, source, number, timezone) for source, number in headlines.sources(session)]
    return render(
        request,
        "organize/headlines.html",
        form=form,
        faults=faults,
        sources=lines,
        waiting=any(line["waiting"] for line in lines),
        reload_s=RELOAD_S,
        zone=language_of(request).zone(timezone),
        done=_DONE.get(query(request)["done"]),
    )


def follow(request: Request, session: Session, form: Form) -> Response:
    """The worker fetches it, and then the page says how many headlines there are, or what is wrong."""
    try:
        if not form["url"].strip():
            raise Unreadable(say("Give the address of a feed."))
        url = normal_url(form["url"], allow_http=state_of(request).settings.follow_http)
        headlines.follow(session, url, now())
    except (Unreadable, Conflict) as error:
        raise InvalidForm({"url": error.message}) from error
    return see_other(request, PATH, done="followed")


def check(request: Request, session: Session, form: Form) -> Response:
    headlines.fetch_now(_source(request, session), now())
    return see_other(request, PATH)


def remove(request: Request, session: Session, form: Form) -> Response:
    headlines.remove(session, _source(request, session))
    return see_other(request, PATH, done="removed")


def _source(request: Request, session: Session) -> HeadlineSource:
    source = session.get(HeadlineSource, number_at(request))
    if source is None:
        raise NotFound
    return source


def _line(request: Request, source: HeadlineSource, number: int, timezone: str) -> dict[str, object]:
    spoken = language_of(request)

    def said(moment: datetime) -> str:
        wall = to_wall(moment, timezone)
        return f"{spoken.short_day(wall.date())}, {spoken.time(wall.time())}"

    return {
        "id": source.id,
        "name": source.name,
        "url": source.url,
        "number": number,
        "error": spoken.say(unpacked(source.error)) if source.error else "",
        "fails": source.failures > 0,
        "fetched": said(source.fetched_at) if source.fetched_at else "",
        "next": said(source.run_at),
        "waiting": source.run_at <= now(),
    }
