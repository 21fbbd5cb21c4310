"""Branches on the desk: which ones, a new one, editing all of one, its history."""

from collections.abc import Mapping

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches.drafts import BranchDraft
from ..branches.hours import unreadable, zone_of
from ..branches.models import Accuracy, Branch, LocationType, Status
from ..branches.serving import described, territory_of
from ..desk import branch_changes
from ..errors import InvalidForm, Message, NotFound, say
from ..language import Language
from ..messages import refusals
from ..people import permissions
from ..people.models import Role
from . import near
from .branch_form import (
    FIELD_WORDS,
    PLACES,
    STATUSES,
    Desk,
    country_options,
    draft_of,
    filled,
    options_of,
    seen,
    words_of,
)
from .endpoints import now, person_of
from .forms import EMPTY, NO_FAULTS, Form, form_key, page_number, query
from .map import Map, Spot, draw_map
from .mine import branch_at
from .opening import hours_in_words
from .responses import see_other
from .rows import STATUS_NOTES, distance_text, unit_of
from .state import language_of, state_of
from .templating import render
from .words import access_in_words, branch_access_options, language_name

DONE: Mapping[str, Message] = {
    "saved": say("Saved. Its page shows it at once; calendars that follow it when they next look."),
    "added": say("The branch is there. Its page can be found from now on."),
    "confirmed": say("Thank you. Its page says that everything was confirmed today."),
    "restored": say("The branch is as it was then. What it was before is in its history, too."),
    "reopened": say("The branch is open again. Events that were cancelled or handed over stay so."),
    "closed": say("The branch has closed. Its page and its calendar say so."),
    "merged": say("Everything has gone over, and the branch has closed."),
    "split": say("The new branch is there, with the events that you chose and with the same people."),
    "left": say(
        "Some events could not go over, because clocks have changed since: they stay where they were."
    ),
    "table": say("The table has been applied: all of it."),
    "forgotten": say("The table has been forgotten. Nothing was changed."),
    "address": say("Thank you. Messages go to the address of this branch again."),
}


def overview(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    person, asked = person_of(request), query(request)
    number = page_number(asked)
    typed = asked["q"].strip()[:200]
    found, pages = branch_changes.listed(session, person, typed, number)
    return render(
        request,
        "organize/branches.html",
        branches=found,
        statuses=words_of(language_of(request), STATUSES),
        q=typed,
        page=number,
        pages=pages,
        form=form,
        faults=faults,
        key=form_key(form),
        done=DONE.get(asked["done"]),
    )


# ---------------------------------------------------------------- a new one


def new_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    if form is EMPTY:
        form = Form([("parent", query(request)["parent"])])
    return _form_page(request, session, None, form, faults)


def preview_new(request: Request, session: Session, form: Form) -> Response:
    return _form_page(request, session, None, form, NO_FAULTS, _read(request, session, None, form))


def add(request: Request, session: Session, form: Form) -> Response:
    draft, parent = _read(request, session, None, form)
    gazetteer, key = state_of(request).gazetteer, form_key(form)
    branch, _ = branch_changes.add(session, draft, gazetteer, parent, person_of(request), now(), key=key)
    return see_other(request, f"/organize/branches/{branch.slug}", done="added")


def _desk(request: Request, session: Session, branch: Branch | None) -> Desk:
    by_admin = person_of(request).is_admin
    return Desk(session, language_of(request), state_of(request).gazetteer, branch, by_admin)


def _read(
    request: Request, session: Session, branch: Branch | None, form: Form
) -> tuple[BranchDraft, Branch | None]:
    """Raises InvalidForm. Whoever is no admin puts a new branch below one of theirs."""
    desk = _desk(request, session, branch)
    draft, parent = draft_of(desk, form)
    if branch is None and not desk.by_admin:
        try:
            slug = parent.slug if parent else ""
            permissions.branch_of(session, person_of(request), slug, Role.BRANCH_ADMIN)
        except NotFound as error:
            raise InvalidForm({"parent": say("Choose the branch of yours that it is part of.")}) from error
    return draft, parent


# ---------------------------------------------------------------- editing one


def branch_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    branch = branch_at(request, session, Role.BRANCH_ADMIN)
    if form is EMPTY:
        form = filled(_desk(request, session, branch), branch)
    return _form_page(request, session, branch, form, faults)


def preview(request: Request, session: Session, form: Form) -> Response:
    branch = branch_at(request, session, Role.BRANCH_ADMIN)
    return _form_page(request, session, branch, form, NO_FAULTS, _read(request, session, branch, form))


def change(request: Request, session: Session, form: Form) -> Response:
    branch, gazetteer = branch_at(request, session, Role.BRANCH_ADMIN), state_of(request).gazetteer
    branch_changes.lock(session, branch)
    draft, parent = _read(request, session, branch, form)
    if form["seen"] != seen(branch) and branch_changes.would_change(branch, draft, gazetteer, parent, now()):
        return _conflict(request, session, branch, form)
    with branch_changes.recorded(session, branch, "changed", person_of(request), now()):
        branch_changes.change(session, branch, draft, gazetteer, parent)
    return see_other(request, f"/organize/branches/{branch.slug}", done="saved")


def _conflict(request: Request, session: Session, branch: Branch, form: Form) -> Response:
    """Somebody saved after this page was opened: theirs beside what was typed, and nothing is overwritten.

    The form now knows what is saved, so that saving again is a decision.
    """
    theirs = filled(_desk(request, session, branch), branch)
    mine = Form([*(item for item in form.items() if item[0] != "seen"), ("seen", seen(branch))])
    response = _form_page(request, session, branch, mine, NO_FAULTS, theirs=theirs)
    response.status_code = 409
    return response


def confirm(request: Request, session: Session, form: Form) -> Response:
    branch = branch_at(request, session, Role.BRANCH_ADMIN)
    with branch_changes.recorded(session, branch, "confirmed", person_of(request), now()):
        branch_changes.confirm(branch, now())
    return see_other(request, f"/organize/branches/{branch.slug}", done="confirmed")


def _form_page(
    request: Request,
    session: Session,
    branch: Branch | None,
    form: Form,
    faults: Mapping[str, Message],
    read: tuple[BranchDraft, Branch | None] | None = None,
    theirs: Form | None = None,
) -> Response:
    spoken, person, asked = language_of(request), person_of(request), query(request)
    mine = () if person.is_admin or branch else branch_changes.administered(session, person)
    return render(
        request,
        "organize/branch.html",
        branch=branch,
        form=form,
        faults=faults,
        labels=words_of(spoken, FIELD_WORDS),
        theirs=theirs,
        refused=refusals.of_branch(session, branch) if branch else None,
        preview=_preview(request, session, branch, *read) if read else None,
        key=form_key(form),
        parents=[(f"/branches/{one.slug}", one.name) for one in mine],
        places=options_of(spoken, PLACES),
        statuses=[(word, label) for word, label in options_of(spoken, STATUSES) if word != Status.CLOSED],
        countries=country_options(spoken.code),
        access_options=branch_access_options(spoken),
        done=[DONE[word] for word in asked.all("done") if word in DONE],
    )


# ---------------------------------------------------------------- how it would be


def _preview(
    request: Request, session: Session, branch: Branch | None, draft: BranchDraft, parent: Branch | None
) -> dict[str, object]:
    """What the page of the branch would say of it, and what was found for its address."""
    spoken, gazetteer = language_of(request), state_of(request).gazetteer
    shown = branch_changes.sketch(branch, draft, gazetteer, now())
    served = territory_of(shown)
    reach = distance_text(request, served.reach) if served.reach else ""
    return {
        "branch": shown,
        "status_note": STATUS_NOTES.get(shown.status),
        "hours": hours_in_words(spoken, shown.opening_hours),
        "hours_zone": spoken.zone(shown.timezone) if zone_of(shown) else "",
        "unreadable": unreadable(shown.opening_hours) if shown.opening_hours else None,
        "accessibility": access_in_words(spoken, shown.accessibility_list),
        "languages_spoken": spoken.listed([language_name(spoken, tag) for tag in shown.language_list]),
        "area": [
            spoken.say(text) if isinstance(text, Message) else text for text in described(served, reach)
        ],
        "parent": parent,
        "found": [spoken.say(message) for message in _found(spoken, shown)],
        "moved": f"/branches/{draft.slug}" if branch and draft.slug else "",
        "map": _map(request, shown),
    }


def _found(spoken: Language, branch: Branch) -> list[Message]:
    """How its position and its clocks are known."""
    if branch.location_type == LocationType.VIRTUAL:
        return []
    zone = say("Its time zone is not known. Type one, such as Europe/Madrid.")
    if zone_of(branch):
        zone = say("Its hours and events are in %(zone)s.", zone=spoken.zone(branch.timezone))
    if branch.point is None:
        nowhere = say(
            "Nothing was found for this address, so that no search near a place finds the branch. Look at its"
            " country, postal code and town, or type its coordinates."
        )
        return [nowhere, zone]
    match branch.geocode_accuracy:
        case Accuracy.POSTAL_CODE:
            how = say(
                "Its position was found by its postal code, %(code)s: %(point)s. That may be some streets away;"
                " type its coordinates to be exact.",
                code=branch.postal_code,
                point=branch.point,
            )
        case Accuracy.PLACE:
            how = say(
                "Its position was found by its town, %(city)s: %(point)s. That may be far from its door; type its"
                " coordinates to be exact.",
                city=branch.city,
                point=branch.point,
            )
        case _:
            how = say("Its position is %(point)s.", point=branch.point)
    return [how, zone]


def _map(request: Request, branch: Branch) -> Map | None:
    """As on its page: of a confidential branch not exactly."""
    if branch.public_point is None or branch.location_type == LocationType.VIRTUAL:
        return None
    spot = Spot(None, branch.name, "", branch.public_point, branch.confidential)
    areas, towns = list(near.areas_of([branch])), state_of(request).gazetteer.towns
    return draw_map(language_of(request), unit_of(request), [spot], None, areas=areas, towns=towns)
