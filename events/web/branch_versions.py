"""What a branch said before: who changed what and when, how it differs from now, and having it back."""

from collections.abc import Mapping

from pydantic import ValidationError
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches import comparing
from ..branches.models import Branch
from ..calendars.timezones import to_wall
from ..desk import branch_changes
from ..drafts import faults
from ..errors import Conflict, Message, say
from ..language import Language
from ..people import history
from ..people.history import Version
from ..people.models import Role
from .branch_form import COLUMN_WORDS, cell_in_words
from .endpoints import now, person_of
from .forms import Form, number_at
from .mine import branch_at
from .responses import see_other
from .state import language_of, state_of
from .templating import render

ACTIONS: Mapping[str, Message] = {
    branch_changes.FOUND: say("As it was found"),
    "added": say("Added"),
    "changed": say("Changed"),
    "confirmed": say("Everything confirmed"),
    "closed": say("Closed"),
    "reopened": say("Opened again"),
    "merged": say("Merged into another branch"),
    "took-over": say("Took over from another branch"),
    "moved": say("Part of another branch now"),
    "split": say("A second branch was made out of it"),
    "split-off": say("Made out of another branch"),
    "restored": say("An earlier version restored"),
    "table": say("Changed by a table"),
}


def history_page(request: Request, session: Session) -> Response:
    branch, spoken = branch_at(request, session, Role.BRANCH_ADMIN), language_of(request)
    found = history.versions(session, branch_changes.subject(branch))
    names = history.names(session, found)
    current = branch_changes.snapshot(session, branch)
    before = [*(version.snapshot for version in found[1:]), None]
    lines = [
        {
            **_line(spoken, branch, version, names),
            "what": _what(spoken, older, version),
            "is_now": not comparing.differences(version.snapshot, current),
        }
        for version, older in zip(found, before, strict=True)
    ]
    address = f"/organize/branches/{branch.slug}"
    return render(request, "organize/history.html", address=address, title=branch.name, lines=lines)


def version_page(request: Request, session: Session) -> Response:
    """An earlier version beside what is now."""
    branch, version = _version_at(request, session)
    spoken, current = language_of(request), branch_changes.snapshot(session, branch)
    return render(
        request,
        "organize/branch_version.html",
        branch=branch,
        line=_line(spoken, branch, version, history.names(session, [version])),
        differences=[
            (
                spoken.say(COLUMN_WORDS[cell.column]),
                cell_in_words(spoken, cell.column, cell.old),
                cell_in_words(spoken, cell.column, cell.new),
            )
            for cell in comparing.differences(version.snapshot, current)
        ],
    )


def restore(request: Request, session: Session, form: Form) -> Response:
    """A change like any other: what was there until now is a version, too."""
    branch, version = _version_at(request, session)
    branch_changes.lock(session, branch)
    person, gazetteer = person_of(request), state_of(request).gazetteer
    try:
        with branch_changes.recorded(session, branch, "restored", person, now()):
            branch_changes.restore(session, branch, version, gazetteer, by_admin=person.is_admin)
    except ValidationError as error:
        why = next(iter(faults(error).values()))
        raise Conflict(say("This version cannot be restored. %(why)s", why=why)) from error
    return see_other(request, f"/organize/branches/{branch.slug}", done="restored")


def _version_at(request: Request, session: Session) -> tuple[Branch, Version]:
    branch = branch_at(request, session, Role.BRANCH_ADMIN)
    return branch, history.version(session, branch_changes.subject(branch), number_at(request, "number"))


def _line(spoken: Language, branch: Branch, version: Version, names: Mapping[int, str]) -> dict[str, object]:
    at = to_wall(version.made_at, branch.timezone)
    who = names.get(version.person_id or 0) or spoken.say(say("somebody who has left"))
    return {
        "number": version.number,
        "action": spoken.say(ACTIONS.get(version.action, ACTIONS["changed"])),
        "who": "" if version.action == branch_changes.FOUND else who,
        "when": f"{spoken.short_day(at.date())}, {spoken.time(at.time())}",
    }


def _what(spoken: Language, older: comparing.Cells | None, version: Version) -> str:
    """Which cells this version changed."""
    if older is None:
        return ""
    changed = comparing.differences(older, version.snapshot)
    return spoken.listed([spoken.say(COLUMN_WORDS[cell.column]) for cell in changed]) if changed else ""
