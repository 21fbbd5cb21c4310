"""Cancelling everything of some days at once: the days, then the list, then one button; and one to take it back."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta

import sqlalchemy as sa
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches.models import Branch
from ..calendars.timezones import to_wall
from ..desk import bulk, proposals
from ..desk.bulk import MOST, Days, Done, Planned
from ..errors import InvalidForm, Message, NotFound, Unreadable, say
from ..language import Language
from ..people import history, permissions
from .changing import CancellationDraft
from .endpoints import now, person_of
from .forms import EMPTY, NO_FAULTS, Form, checked, form_key, query
from .mine import deciding_at
from .responses import see_other
from .state import language_of, state_of
from .templating import render
from .typed import day_of

LONGEST = timedelta(days=92)


def page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    """The days that are asked for, and with them the list of what would be cancelled."""
    branch = deciding_at(request, session, request.path_params["slug"])
    form = query(request) if form is EMPTY else form
    found: Sequence[Planned] | None = None
    if "from" in form:
        try:
            found = _planned(request, session, branch, form)
        except InvalidForm as error:
            faults = {**faults, **error.faults}
    else:
        form = _this_week(branch)
    spoken = language_of(request)
    response = render(
        request,
        "organize/bulk.html",
        branch=branch,
        form=form,
        faults=faults,
        key=form_key(form),
        options=None if found is None else [(one.key, _line(spoken, branch, one)) for one in found],
        chosen=form.all("dates") if "key" in form else [one.key for one in found or ()],
    )
    response.status_code = 422 if faults else 200
    return response


def cancel(request: Request, session: Session, form: Form) -> Response:
    """What is ticked and still there to be cancelled, once, however often the form is sent."""
    branch = deciding_at(request, session, request.path_params["slug"])
    batch = form_key(form)
    if not history.of_batch(session, batch):
        chosen, reason = _chosen(request, session, branch, form)
        publishing = state_of(request).publishing
        bulk.cancel(session, chosen, reason, person_of(request), publishing, now(), batch)
    return see_other(request, f"/organize/cancellations/{batch}")


def done_page(request: Request, session: Session) -> Response:
    found = _done(request, session, permissions.branch_ids(person_of(request)))
    spoken = language_of(request)
    lines = [
        {
            "id": one.event.id,
            "title": one.event.title,
            "dates": [spoken.day(at.date()) for at in one.dates] or [spoken.day(one.event.start.date())],
            "state": one.state,
        }
        for one in found
    ]
    return render(
        request,
        "organize/bulk_done.html",
        batch=request.path_params["batch"],
        lines=lines,
        still=sum(one.state == "cancelled" for one in found),
        changed=[line for line in lines if line["state"] in ("changed", "stuck")],
    )


def undo(request: Request, session: Session, form: Form) -> Response:
    """All of it takes place after all, but for what somebody has changed since."""
    found = _done(request, session, proposals.deciding(person_of(request)))
    bulk.undo(session, found, person_of(request), state_of(request).publishing, now())
    return see_other(request, f"/organize/cancellations/{request.path_params['batch']}")


# ---------------------------------------------------------------- what was asked for


def _is_key(text: str) -> bool:
    return re.fullmatch(r"[\w-]{1,64}", text, re.ASCII) is not None


def _planned(request: Request, session: Session, branch: Branch, form: Form) -> list[Planned]:
    """Raises InvalidForm."""
    days, mine = _days(request, branch, form), proposals.deciding(person_of(request))
    found = bulk.planned(session, branch, days, mine, now(), below=form["below"] == "yes")
    if len(found) > MOST:
        message = say("These are more than %(most)d dates. Please choose fewer days.", most=MOST)
        raise InvalidForm({"to": message})
    return found


def _days(request: Request, branch: Branch, form: Form) -> Days:
    """Raises InvalidForm."""
    today, faults, found = to_wall(now(), branch.timezone).date(), {}, {}
    for name in ("from", "to"):
        try:
            found[name] = day_of(form[name], language_of(request), today)
        except Unreadable as error:
            faults[name] = error.message if form[name].strip() else say("Please say on which day.")
    if not faults and found["to"] < found["from"]:
        faults["to"] = say("The last day is before the first.")
    elif not faults and found["to"] - found["from"] > LONGEST:
        faults["to"] = say("At most %(most)d days are possible at once.", most=LONGEST.days)
    if faults:
        raise InvalidForm(faults)
    return Days(found["from"], found["to"], branch.timezone)


def _chosen(request: Request, session: Session, branch: Branch, form: Form) -> tuple[list[Planned], str]:
    """Raises InvalidForm."""
    ticked = set(form.all("dates"))
    chosen = [one for one in _planned(request, session, branch, form) if one.key in ticked]
    faults: dict[str, Message] = {}
    if not chosen:
        faults["dates"] = say("Please choose at least one.")
    try:
        reason = checked(CancellationDraft, {"reason": form["reason"]}).reason
    except InvalidForm as error:
        raise InvalidForm(faults | error.faults) from error
    if faults:
        raise InvalidForm(faults)
    return chosen, reason


def _this_week(branch: Branch) -> Form:
    today = to_wall(now(), branch.timezone).date()
    return Form([("from", today.isoformat()), ("to", (today + timedelta(days=6)).isoformat())])


def _done(request: Request, session: Session, mine: sa.Select[tuple[int]]) -> list[Done]:
    """Raises NotFound for what others did."""
    batch = request.path_params["batch"]
    found = bulk.done(session, batch, mine) if _is_key(batch) else []
    if not found:
        raise NotFound
    return found


def _line(spoken: Language, branch: Branch, one: Planned) -> str:
    parts = [spoken.capital(spoken.day(one.start.date())), spoken.span(one.start, one.end, one.all_day)]
    parts += [] if one.all_day or one.timezone == branch.timezone else [spoken.zone(one.timezone)]
    return " · ".join((", ".join(parts), one.title, one.branch_name))
