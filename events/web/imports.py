"""Calendars that come in: uploading one, following one, deciding, and how they and their subscribers fare."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches.models import Branch
from ..calendars import polls, sources
from ..calendars.models import CalendarSource, SourceState
from ..calendars.reading import MOST_BYTES
from ..calendars.timezones import to_wall
from ..desk import proposals
from ..errors import Conflict, InvalidForm, Message, NotFound, TooLarge, Unreadable, say
from ..fetching import normal_url
from ..language import Language
from ..people import permissions
from ..sandbox import unpacked
from .endpoints import now, person_of
from .feeds import newest_mark
from .forms import EMPTY, NO_FAULTS, Form, number_at, query
from .mine import deciding_at
from .responses import see_other
from .state import language_of, state_of
from .templating import render

RELOAD_S = 3  # a page that waits for the worker asks again

_STATES = {
    SourceState.NEW: say("Being read"),
    SourceState.PREVIEWED: say("Waits for you"),
    SourceState.CONFIRMED: say("Being taken over"),
    SourceState.ACTIVE: say("In step"),
    SourceState.HELD: say("Waits for you"),
    SourceState.DONE: say("Taken over"),
}
_KINDS = {"new": say("New"), "moved": say("Other time"), "changed": say("Changed")}


def overview(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    person = person_of(request)
    mine = permissions.branches(session, person)
    if form is EMPTY:
        form = Form([("branch", query(request)["branch"])])
    return render(
        request,
        "organize/imports.html",
        form=form,
        faults=faults,
        branch_options=[(branch.slug, branch.name) for branch in mine],
        sources=[
            _line(request, source, branch)
            for source, branch in sources.of_branches(session, permissions.branch_ids(person))
        ],
        done=query(request)["done"],
    )


def bring(request: Request, session: Session, form: Form) -> Response:
    """Takes an address to follow, or a file; the worker reads it, and then the page shows what it holds."""
    branch = deciding_at(request, session, form["branch"])
    body = form.files.get("file", b"")
    try:
        if form["url"].strip():
            url = normal_url(form["url"], allow_http=state_of(request).settings.follow_http)
            source = sources.follow(session, branch, url, now())
        elif body:
            source = sources.upload(session, branch, _file_name(request, form), _checked(body), now())
        else:
            raise InvalidForm({"url": say("Give the address of a calendar, or choose a file.")})
    except (Unreadable, Conflict) as error:
        raise InvalidForm({"url": error.message}) from error
    return see_other(request, f"/organize/imports/{source.id}")


def _file_name(request: Request, form: Form) -> str:
    name = " ".join(form["file_name"].replace("\\", "/").rpartition("/")[2].split())
    return name or language_of(request).gettext("A file")


def _checked(body: bytes) -> bytes:
    if len(body) > MOST_BYTES:
        raise TooLarge(say("That is more than we can take at once: 2 MB at most."))
    return body


def page(request: Request, session: Session) -> Response:
    source = _mine(request, session)
    branch = session.get_one(Branch, source.branch_id)
    spoken = language_of(request)
    waiting = source.run_at is not None and source.state in (SourceState.NEW, SourceState.CONFIRMED)
    report = source.report
    return render(
        request,
        "organize/import.html",
        source=_line(request, source, branch),
        states=SourceState,
        seen=sources.seal(source.body),
        waiting=waiting and not source.error,
        reload_s=RELOAD_S,
        report=report,
        shown=[_shown(spoken, event) for event in report.get("shown", [])],
        refusals=_said(spoken, report.get("refusals", [])),
        notes=_said(spoken, report.get("notes", [])),
    )


def confirm(request: Request, session: Session, form: Form) -> Response:
    source = _mine(request, session)
    sources.confirm(source, form["seen"], now())
    return see_other(request, f"/organize/imports/{source.id}")


def refresh(request: Request, session: Session, form: Form) -> Response:
    source = _mine(request, session)
    sources.fetch_now(source, now())
    return see_other(request, f"/organize/imports/{source.id}")


def remove(request: Request, session: Session, form: Form) -> Response:
    sources.remove(session, _mine(request, session))
    return see_other(request, "/organize/imports", done="removed")


def _mine(request: Request, session: Session) -> CalendarSource:
    """A stranger's is not admitted to exist."""
    found = sources.one_of(session, number_at(request), proposals.deciding(person_of(request)))
    if found is None:
        raise NotFound
    return found


def _line(request: Request, source: CalendarSource, branch: Branch) -> dict[str, object]:
    spoken = language_of(request)

    def said(moment: datetime | None) -> str:
        if moment is None:
            return ""
        wall = to_wall(moment, branch.timezone)
        return f"{spoken.short_day(wall.date())}, {spoken.time(wall.time())}"

    return {
        "id": source.id,
        "name": source.name,
        "url": source.url,
        "branch": branch.name,
        "zone": spoken.zone(branch.timezone),
        "state": source.state,
        "state_label": spoken.say(_STATES[SourceState(source.state)]),
        "error": spoken.say(unpacked(source.error)) if source.error else "",
        "failures": source.failures,
        "fetched": said(source.fetched_at),
        "changed": said(source.changed_at),
        "next": said(source.run_at),
        "report": source.report,
    }


def _shown(spoken: Language, event: Mapping[str, Any]) -> dict[str, object]:
    start, end = (datetime.fromisoformat(event[name]) for name in ("start", "end"))
    span, kind = spoken.span(start, end, event["all_day"]), _KINDS[event["kind"]]
    return {
        "kind": spoken.say(kind),
        "title": event["title"],
        "when": span if spoken.short_day(start.date()) in span else f"{spoken.day(start.date())}, {span}",
        "zone": "" if event["all_day"] else spoken.zone(event["timezone"]),
        "repeats": event["repeats"],
    }


def _said(spoken: Language, lines: Sequence[Mapping[str, Any]]) -> list[tuple[int, str]]:
    return [(each["line"], spoken.say(unpacked(each["reason"]))) for each in lines]


# ---------------------------------------------------------------- who follows a branch


def subscribers(request: Request, session: Session) -> Response:
    """Which kinds of apps ask for the calendar of a branch, how often, and whether they have the newest."""
    slug: str = request.path_params["slug"]
    branch = permissions.branch_of(session, person_of(request), slug)
    newest = newest_mark(request, session, branch)
    return render(
        request,
        "organize/subscribers.html",
        branch=branch,
        health=polls.health(session, branch.id or 0, newest, now()),
        days=polls.SHOWN,
    )
