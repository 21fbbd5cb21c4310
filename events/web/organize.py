"""The organizer's desk: my branches, their events, and what waits."""

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..calendars import horizon, queries
from ..calendars.models import PUBLIC, Event, State
from ..errors import say
from ..people import permissions
from .endpoints import person_of
from .forms import query
from .state import language_of
from .templating import render
from .words import rule_in_words


def desk(request: Request, session: Session) -> Response:
    person = person_of(request)
    mine = permissions.branch_ids(person)
    spoken = language_of(request)

    def shown(*states: State) -> list[dict[str, object]]:
        return [_line(request, event) for event in queries.of_branches(session, mine, states)]

    return render(
        request,
        "organize/desk.html",
        branches=permissions.branches(session, person),
        drafts=shown(State.DRAFT, State.SUBMITTED),
        published=shown(*PUBLIC),
        done=_DONE.get(query(request)["done"]),
        spoken=spoken.code,
    )


_DONE = {"removed": say("The event has been removed. Calendars that follow it show it as cancelled.")}


def _line(request: Request, event: Event) -> dict[str, object]:
    spoken = language_of(request)
    rule = horizon.rule_of(event)
    return {
        "id": event.id,
        "title": event.title,
        "state": event.state,
        "when": ", ".join(
            (spoken.short_day(event.start.date()), spoken.span(event.start, event.end, event.all_day))
        ),
        "repeats": rule_in_words(spoken, rule) if rule else "",
    }
