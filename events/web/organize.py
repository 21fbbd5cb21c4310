"""The organizer's desk: what waits, the events of my branches, and my branches."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches.models import Branch
from ..calendars import horizon, paging
from ..calendars.models import Event
from ..calendars.paging import Ahead
from ..desk import overview, proposals
from ..desk.overview import Kind
from ..errors import NotFound, say
from ..messages import inbox
from ..people import joining, permissions
from . import freshness, queue, translating
from .endpoints import now, person_of
from .forms import Form, page_number, query
from .responses import page_link
from .state import language_of
from .templating import render
from .words import rule_in_words

BRANCHES_SHOWN = 8
SHOWN = {Kind.DRAFTS: 5, Kind.COMING: 15, Kind.SERIES: 15}  # before there is a page of their own

TITLES = {
    Kind.DRAFTS: say("Drafts"),
    Kind.COMING: say("Coming events"),
    Kind.SERIES: say("Series"),
    Kind.OVER: say("Events that are over"),
}


def desk(request: Request, session: Session) -> Response:
    """With `list`, a page of one kind of events; with `branch`, of that branch alone."""
    form, person = query(request), person_of(request)
    branch = permissions.branch_of(session, person, form["branch"]) if form["branch"] else None
    kind = _kind(form)
    branches, more = overview.branches(session, person, size=BRANCHES_SHOWN)
    return render(
        request,
        "organize/desk.html",
        branch=branch,
        branches=_branches(request, session, branches),
        more_branches=more,
        kind=kind,
        lists=[_list(request, session, one, branch, form) for one in ([kind] if kind else SHOWN)],
        waiting=queue.waiting(request, session),
        requests=joining.number_waiting(session, person),
        own=len(proposals.own(session, person)),
        messages=inbox.number(session, person),
        unconfirmed=[] if kind else freshness.waiting(request, session),
        done=_DONE.get(form["done"]),
    )


_DONE = {
    "removed": say(
        "The event has been removed. Calendars that follow it show it as cancelled. For 30 days you can bring it back."
    ),
    "confirmed": say("Thank you. Its page says that it still takes place."),
}


def my_branches(request: Request, session: Session) -> Response:
    form = query(request)
    page = page_number(form)
    found, more = overview.branches(session, person_of(request), named=form["q"], page=page)
    return render(
        request,
        "organize/my_branches.html",
        form=form,
        branches=_branches(request, session, found),
        previous=page_link(request, form, ("q",), page - 1) if page > 1 else None,
        following=page_link(request, form, ("q",), page + 1) if more else None,
    )


def _kind(form: Form) -> Kind | None:
    if not form["list"]:
        return None
    if form["list"] not in list(Kind):
        raise NotFound
    return Kind(form["list"])


def _branches(request: Request, session: Session, found: Sequence[Branch]) -> list[dict[str, object]]:
    administered = overview.administered(session, person_of(request), found)
    return [{"branch": branch, "is_admin": branch.id in administered} for branch in found]


def _list(
    request: Request, session: Session, kind: Kind, branch: Branch | None, form: Form
) -> dict[str, object]:
    alone, moment = form["list"] == kind, now()
    page, size = (page_number(form), overview.PAGE) if alone else (1, SHOWN[kind])
    found, more = overview.events(
        session, person_of(request), kind, moment, branch=branch, page=page, size=size
    )
    deciding = overview.deciding(session, person_of(request), {event.branch_id for event, _ in found})
    ahead = paging.ahead(session, [event.id or 0 for event, _ in found if event.is_series], moment)
    return {
        "kind": kind,
        "title": TITLES[kind],
        "more": more,
        "lines": [_line(request, event, owner, ahead, event.branch_id in deciding) for event, owner in found],
        "previous": page_link(request, form, ("list", "branch"), page - 1) if page > 1 else None,
        "following": page_link(request, form, ("list", "branch"), page + 1) if more and alone else None,
    }


def _line(
    request: Request, event: Event, owner: Branch, ahead: Mapping[int, Ahead], decides: bool
) -> dict[str, object]:
    """Who may not change what is published is led to its page."""
    spoken = language_of(request)
    rule = horizon.rule_of(event)
    start: datetime | None = event.start
    if rule is not None:
        start = ahead.get(event.id or 0, Ahead()).next_start
    when = say("No date to come") if start is None else _moment(request, event, start)
    return {
        "href": f"/organize/events/{event.id}" if decides or not event.is_public else f"/events/{event.id}",
        "title": event.title,
        "state": event.state,
        "gaps": translating.gaps(request, event, owner, now()),
        "branch": owner.name,
        "when": when,
        "repeats": rule_in_words(spoken, rule) if rule else "",
    }


def _moment(request: Request, event: Event, start: datetime) -> str:
    spoken = language_of(request)
    span = spoken.span(start, start + event.duration, event.all_day)
    day = spoken.short_day(start.date())
    return span if day in span else f"{day}, {span}"
