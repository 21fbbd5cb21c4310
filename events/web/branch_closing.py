"""Closing a branch and opening it again, merging it into another, making a second one out of it."""

from collections.abc import Mapping
from datetime import UTC, date

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches.drafts import BranchDraft
from ..branches.hours import zone_of
from ..branches.models import Branch, Status
from ..calendars.horizon import rule_of
from ..calendars.models import Event
from ..desk import branch_changes, reorganizing
from ..desk.reorganizing import Act, Belongings
from ..errors import Conflict, InvalidForm, Message, NotFound, say
from ..messages import inbox
from ..news import writing
from ..people import permissions
from ..people.models import Role
from ..subscriptions import choices
from .branch_form import COLUMN_WORDS, country_options, words_of
from .endpoints import now, person_of
from .forms import EMPTY, NO_FAULTS, Form, checked, form_key, known_day, query
from .hosting import named
from .mine import branch_at
from .responses import see_other
from .state import language_of, state_of
from .templating import render
from .words import rule_in_words

HAND_OVER, CANCEL = "hand-over", "cancel"
LONGEST_REASON = 300
ADDRESS = ("name", "address_1", "address_2", "postal_code", "city", "state_province", "country")


def closing_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    branch = branch_at(request, session, Role.BRANCH_ADMIN)
    _check_open(branch)
    if form is EMPTY:
        form = Form([("day", _today(branch).isoformat())])
    stakes = reorganizing.belongings(session, branch, now())
    return render(
        request, "organize/branch_closing.html", branch=branch, stakes=stakes, form=form, faults=faults
    )


def close(request: Request, session: Session, form: Form) -> Response:
    branch = branch_at(request, session, Role.BRANCH_ADMIN)
    branch_changes.lock(session, branch)
    faults: dict[str, Message] = {}
    day, successor = _day(branch, form, faults), _other(request, session, branch, form, "successor", faults)
    after = successor.id if successor else None
    if branch.status == Status.CLOSED and (branch.end_date, branch.successor_id) == (day, after):
        return see_other(request, f"/organize/branches/{branch.slug}", done="closed")
    _check_open(branch)
    stakes = reorganizing.belongings(session, branch, now())
    _check_choice(request, session, form, stakes, successor, faults)
    if faults or day is None:
        raise InvalidForm(faults)
    left = reorganizing.close(
        session,
        branch,
        day=day,
        successor=successor,
        hand_over=form["events"] == HAND_OVER,
        reason=form["reason"].strip(),
        act=_act(request),
    )
    if successor is not None and form["events"] == HAND_OVER:
        choices.follow_on(session, branch, successor)
    return _done(request, branch, "closed", left)


def reopen(request: Request, session: Session, form: Form) -> Response:
    branch = branch_at(request, session, Role.BRANCH_ADMIN)
    branch_changes.lock(session, branch)
    if branch.status == Status.CLOSED:
        reorganizing.reopen(session, branch, person_of(request), now())
    return see_other(request, f"/organize/branches/{branch.slug}", done="reopened")


def _check_open(branch: Branch) -> None:
    if branch.status == Status.CLOSED:
        raise Conflict(say("%(name)s has closed already.", name=branch.name))


def _today(branch: Branch) -> date:
    return now().astimezone(zone_of(branch) or UTC).date()


def _act(request: Request, batch: str = "") -> Act:
    return reorganizing.act(person_of(request), state_of(request).publishing, now(), batch)


def _done(request: Request, branch: Branch, done: str, left: int) -> Response:
    words = [done, "left"] if left else [done]
    return see_other(request, f"/organize/branches/{branch.slug}", done=words)


def _day(branch: Branch, form: Form, faults: dict[str, Message]) -> date | None:
    """The last day on which it was open: closing is nothing that happens by itself later."""
    text = form["day"].strip()
    try:
        day = known_day(text)
    except ValueError:
        faults["day"] = (
            say("“%(text)s” is not a date. Please write it as year-month-day: 2026-12-31.", text=text[:40])
            if text
            else say("Please say on which day.")
        )
        return None
    if day > _today(branch):
        faults["day"] = say("That day is still to come: please close the branch on it, and not before.")
    return day


def _other(
    request: Request, session: Session, branch: Branch, form: Form, field: str, faults: dict[str, Message]
) -> Branch | None:
    """The branch that takes its place."""
    if not form[field].strip():
        return None
    try:
        other = named(session, form[field].strip(), language_of(request), field)
    except InvalidForm as error:
        faults.update(error.faults)
        return None
    if why_not := reorganizing.unfit(session, branch, other):
        faults[field] = why_not
    return other


def _check_choice(
    request: Request,
    session: Session,
    form: Form,
    stakes: Belongings,
    successor: Branch | None,
    faults: dict[str, Message],
) -> None:
    """What is to become of its events; nobody puts events on a branch where they may not post."""
    if not (stakes.coming or stakes.hosted or stakes.calendars):
        return
    if form["events"] not in (HAND_OVER, CANCEL):
        faults["events"] = say("Please choose what becomes of the events.")
    elif form["events"] == CANCEL and stakes.to_cancel and not form["reason"].strip():
        faults["reason"] = say("Please fill this in.")
    elif len(form["reason"].strip()) > LONGEST_REASON:
        faults["reason"] = say(
            "This is too long: at most %(max_length)d characters fit.", max_length=LONGEST_REASON
        )
    elif form["events"] == HAND_OVER and successor is None:
        faults.setdefault("successor", say("Name the branch that takes the events over."))
    elif form["events"] == HAND_OVER and successor is not None:
        try:
            permissions.branch_of(session, person_of(request), successor.slug)
        except NotFound:
            faults["events"] = say(
                "You do not organize at %(name)s, so its people would have to take the events over."
                " Here they can only be cancelled.",
                name=successor.name,
            )


# ---------------------------------------------------------------- merging


def merger_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    """First into which one, then how much that moves, then it is done."""
    branch, found = branch_at(request, session), dict(faults)
    typed = query(request) if form is EMPTY else form
    into = _other(request, session, branch, typed, "into", found)
    if into is None and "into" in typed:
        found.setdefault("into", say("Please fill this in."))
    return render(
        request,
        "organize/branch_merger.html",
        status_code=422 if found else 200,
        branch=branch,
        into=None if found else into,
        stakes=reorganizing.belongings(session, branch, now()),
        form=typed,
        faults=found,
    )


def merge(request: Request, session: Session, form: Form) -> Response:
    branch = branch_at(request, session)
    branch_changes.lock(session, branch)
    faults: dict[str, Message] = {}
    into = _other(request, session, branch, form, "into", faults)
    if into is not None and branch.status == Status.CLOSED and branch.successor_id == into.id:
        return _done(request, branch, "merged", 0)
    if faults or into is None:
        raise InvalidForm(faults or {"into": say("Please fill this in.")})
    branch_changes.lock(session, into)
    left = reorganizing.merge(session, branch, into, day=_today(branch), act=_act(request))
    inbox.take_over(session, branch, into, now())
    writing.take_over(session, branch, into, person_of(request), now())
    choices.follow_on(session, branch, into)
    return _done(request, branch, "merged", left)


# ---------------------------------------------------------------- splitting


def split_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    branch, spoken = branch_at(request, session), language_of(request)
    _check_open(branch)
    if form is EMPTY:
        kept = ("city", "state_province", "country")
        form = Form([(name, getattr(branch, name)) for name in kept])
    return render(
        request,
        "organize/branch_split.html",
        branch=branch,
        form=form,
        faults=faults,
        key=form_key(form),
        labels=words_of(spoken, {name: COLUMN_WORDS[name] for name in ADDRESS}),
        countries=country_options(spoken.code),
        events=[
            (event.id, _event_line(request, event)) for event in reorganizing.coming(session, branch, now())
        ],
    )


def _event_line(request: Request, event: Event) -> str:
    spoken, rule = language_of(request), rule_of(event)
    when = f"{spoken.short_day(event.start.date())}, {spoken.span(event.start, event.end, event.all_day)}"
    return f"{event.title}: {when}" + (f" · {rule_in_words(spoken, rule)}" if rule else "")


def split(request: Request, session: Session, form: Form) -> Response:
    branch, gazetteer = branch_at(request, session), state_of(request).gazetteer
    branch_changes.lock(session, branch)
    _check_open(branch)
    values = {name: form[name] for name in ADDRESS}
    inherited = {
        name: getattr(branch, name) for name in ("email", "languages", "location_type", "confidential")
    }
    draft = checked(BranchDraft, values | inherited)
    there = {str(event.id): event for event in reorganizing.coming(session, branch, now())}
    chosen = [there[number] for number in dict.fromkeys(form.all("events")) if number in there]
    new = reorganizing.split(session, branch, draft, chosen, gazetteer, _act(request, form_key(form)))
    return see_other(request, f"/organize/branches/{new.slug}", done="split")
