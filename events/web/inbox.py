"""The inbox of the organizers: what visitors wrote to their branches, and what becomes of it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from urllib.parse import quote

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches.hours import zone_of
from ..branches.models import Branch
from ..desk import overview
from ..errors import Conflict, Gone, InvalidForm, Message, NotFound, say
from ..language import Language, closest
from ..messages import contact, inbox
from ..messages.contact import PRESETS
from ..messages.inbox import Found, Kind
from ..messages.models import ContactMessage
from ..people import joining
from ..people.models import Person
from .endpoints import now, person_of
from .forms import EMPTY, NO_FAULTS, Form, number_at, page_number, query
from .joining import branch_choice, branch_in
from .responses import page_link, see_other
from .state import language_of, state_of
from .templating import render
from .words import language_name

INBOX = "/organize/inbox"
FILTERS = ("show", "branch")
FIRST_WORDS = 160  # letters of a message, in the list

_KINDS: Mapping[str, Message] = {
    "": say("All"),
    Kind.UNANSWERED: say("Not answered"),
    Kind.ANSWERED: say("Answered"),
    Kind.MUTED: say("Muted"),
}
_DONE = {
    "answered": say("The message is marked as answered."),
    "reopened": say("The message waits for an answer again."),
    "forwarded": say("The message has been passed on."),
    "muted": say("The sender is muted for this branch. You find the messages under “Muted”."),
    "listening": say("The branch hears this sender again. The messages are back in the inbox."),
}


def page(request: Request, session: Session) -> Response:
    form, person = query(request), person_of(request)
    kind, number = _kind(form), page_number(form)
    branch = inbox.branch_at(session, person, form["branch"]) if form["branch"] else None
    found, more = inbox.listed(session, person, kind=kind, branch=branch, page=number)
    menu = inbox.branches(session, person)
    return render(
        request,
        "organize/inbox.html",
        kind=kind,
        branch=branch,
        menu=[(one.slug, one.name) for one in menu],
        kinds=_links(request, form),
        groups=_groups(request, kind, found),
        senders=inbox.muted_senders(session, person, branch) if kind is Kind.MUTED and number == 1 else (),
        most_senders=inbox.MOST_SENDERS,
        refusing=_refusing(
            request, session, [*menu, *(one for _, one in found), *([branch] if branch else [])]
        ),
        may_read=bool(found) or inbox.reads_any(session, person),
        previous=page_link(request, form, FILTERS, number - 1) if number > 1 else None,
        following=page_link(request, form, FILTERS, number + 1) if more else None,
        done=_DONE.get(form["done"]),
    )


def _kind(form: Form) -> Kind | None:
    if not form["show"]:
        return None
    if form["show"] not in list(Kind):
        raise NotFound
    return Kind(form["show"])


def _links(request: Request, form: Form) -> list[tuple[str, str, bool]]:
    spoken, branch = language_of(request), form["branch"]
    return [
        (
            spoken.say(words),
            page_link(request, Form([("show", show), ("branch", branch)]), FILTERS, 1),
            show == form["show"],
        )
        for show, words in _KINDS.items()
    ]


def _groups(request: Request, kind: Kind | None, found: Sequence[Found]) -> list[dict[str, object]]:
    def group(one: Found) -> str:
        return kind or (Kind.ANSWERED if one[0].is_answered else Kind.UNANSWERED)

    return [
        {"name": name, "title": _KINDS[name], "lines": [_line(request, *one) for one in lines]}
        for name, lines in groupby(found, key=group)
    ]


def _line(request: Request, message: ContactMessage, branch: Branch) -> dict[str, object]:
    spoken = language_of(request)
    return {
        "message": message,
        "branch": branch,
        "subject": contact.subject_of(message, spoken),
        "about": PRESETS[message.about],
        "words": _first_words(message.message),
        "when": _when(spoken, branch, message.created_at),
        "deleted": inbox.deleted_at(message).date(),
    }


def _first_words(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= FIRST_WORDS else flat[: FIRST_WORDS - 1] + "…"


def _when(spoken: Language, branch: Branch, moment: datetime) -> str:
    """As the clock of the branch showed it."""
    local = moment.astimezone(zone_of(branch) or UTC)
    return f"{spoken.short_day(local.date())}, {spoken.time(local.time())}"


def _refusing(request: Request, session: Session, branches: Iterable[Branch]) -> list[dict[str, object]]:
    found = inbox.refusing(session, branches)
    mine = overview.administered(session, person_of(request), [one.branch for one in found])
    return [{"one": one, "may_change": one.branch.id in mine} for one in found]


# ---------------------------------------------------------------- one message


def message_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    message, branch = inbox.message_at(session, person_of(request), number_at(request))
    spoken = language_of(request)
    by = session.get(Person, message.answered_by_id) if message.answered_by_id else None
    return render(
        request,
        "organize/message.html",
        line=_line(request, message, branch),
        language=language_name(spoken, message.language),
        reply=_reply(request, message),
        answered_at=message.answered_at and _when(spoken, branch, message.answered_at),
        answered_by=by and (by.name or by.email),
        forwarded_from=session.get(Branch, message.forwarded_from_id) if message.forwarded_from_id else None,
        forwarded_at=message.forwarded_at and _when(spoken, branch, message.forwarded_at),
        refusing=_refusing(request, session, [branch]),
        branches=_elsewhere(session, branch, form),
        form=form,
        faults=faults,
        done=_DONE.get(query(request)["done"]),
    )


def _reply(request: Request, message: ContactMessage) -> str:
    """RFC 6068; in the language of the visitor. What they wrote stays here: it may be long for an address."""
    spoken = closest(message.language, state_of(request).settings.locales)
    subject = f"Re: {contact.subject_of(message, spoken)}"
    return f"mailto:{quote(message.email, safe='@')}?subject={quote(subject, safe='')}"


def _elsewhere(session: Session, branch: Branch, form: Form) -> dict[str, object]:
    """What `branch_choice` says; a menu without the branch that has the message."""
    others = [(one.slug, one.name) for one in joining.few(session) if one.id != branch.id]
    return branch_choice(session, form) | {"menu": others}


def answer(request: Request, session: Session, form: Form) -> Response:
    message, _ = _to_change(request, session)
    inbox.mark_answered(message, person_of(request), now())
    return see_other(request, INBOX, done="answered")


def reopen(request: Request, session: Session, form: Form) -> Response:
    message, _ = _to_change(request, session)
    inbox.reopen(message)
    return see_other(request, f"/organize/messages/{message.id}", done="reopened")


def forward(request: Request, session: Session, form: Form) -> Response:
    try:
        message, branch = _to_change(request, session)
    except NotFound:
        if not inbox.has_left(session, person_of(request), number_at(request)):
            raise
        return see_other(request, INBOX, done="forwarded")  # the button was pressed twice
    target, settings = branch_in(session, form), state_of(request).settings
    if target.id == branch.id and _has_moved(form, branch):  # the same form once more
        return see_other(request, INBOX, done="forwarded")
    _check_still_there(form, branch)
    if target.id == branch.id:
        raise InvalidForm({"branch": say("It is in the inbox of %(name)s already.", name=branch.name)})
    spoken = contact.language_read_at(target, settings.locales)
    try:
        inbox.forward(session, message, target, spoken, settings.name, now(), settings.public_url)
    except Gone as error:
        raise InvalidForm({"branch": error.message}) from error
    return see_other(request, INBOX, done="forwarded")


def mute(request: Request, session: Session, form: Form) -> Response:
    message, branch = _to_change(request, session)
    _check_still_there(form, branch)
    inbox.mute(session, branch, message.email, now())
    return see_other(request, INBOX, done="muted")


def listen_again(request: Request, session: Session, form: Form) -> Response:
    branch = inbox.branch_at(session, person_of(request), request.path_params["slug"])
    inbox.listen_again(session, branch, form["email"])
    return see_other(request, INBOX, done="listening")


def _to_change(request: Request, session: Session) -> Found:
    return inbox.message_at(session, person_of(request), number_at(request), to_change=True)


def _has_moved(form: Form, branch: Branch) -> bool:
    """Since the page was made, to the branch that has it now."""
    return form["at"] not in ("", branch.slug)


def _check_still_there(form: Form, branch: Branch) -> None:
    if _has_moved(form, branch):
        raise Conflict(
            say(
                "Somebody has passed this message on to %(name)s meanwhile. Please look at it again.",
                name=branch.name,
            )
        )
