"""/interests: topics, branches and a place, kept in one personal link and nowhere else."""

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..calendars import queries
from ..calendars.queries import EVERYTHING
from . import choosing
from .choosing import Chosen
from .endpoints import now
from .environment import link
from .forms import query
from .reading import other_links, reading_sentence
from .rows import event_row
from .state import language_of, state_of
from .subscribing import alternates_of_events, canonical_query, subscribe_links
from .templating import render

EVENTS_SHOWN = 5


def page(request: Request, session: Session) -> Response:
    form = query(request)
    chosen = choosing.read_to_show(request, session, form)
    is_chosen = chosen.selection != EVERYTHING and not chosen.problems
    return render(
        request,
        "pages/interests.html",
        status_code=chosen.status,
        form=form,
        faults=chosen.faults,
        read=reading_sentence(request, chosen.finding),
        others=other_links(request, form, chosen.finding, "/interests"),
        place=chosen.place,
        opens=_opens(request, session, chosen) if is_chosen else None,
        feeds=alternates_of_events(request, chosen.selection) if is_chosen else [],
        **choosing.offers(request, session, chosen.branches, chosen.offered, chosen.topics),
    )


def _opens(request: Request, session: Session, chosen: Chosen) -> dict[str, object]:
    """The personal link, and what it leads to: each takes the same query."""
    wanted, code = canonical_query(request, chosen.selection), language_of(request).code
    rows, _ = queries.upcoming(session, chosen.selection, now(), size=EVENTS_SHOWN)
    return {
        "address": state_of(request).settings.public_url + link(code, "/interests", wanted),
        "events": [event_row(request, row, chosen.selection.near) for row in rows],
        "all_events": link(code, "/events", wanted),
        "mail": f"{link(code, '/subscribe', wanted)}#mail",
        "calendar": subscribe_links(request, "/events.ics", wanted),
    }
