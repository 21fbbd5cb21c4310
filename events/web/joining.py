"""Joining a branch: /register, the link that follows, and how the branch decides."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal, TypeVar

from pydantic import Field
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches.models import Branch
from ..branches.queries import FOUND
from ..drafts import Draft, LongText, ShortText
from ..errors import Gone, InvalidForm, Message, say
from ..language import Language, closest
from ..people import joining, sign_in
from ..people.joining import Asked, Ids
from ..people.models import OneTimeLink, Person, Purpose, Role
from . import links
from .endpoints import now, person_of
from .forms import EMPTY, HONEYPOT, NO_FAULTS, Form, number_at, query
from .links import AFTER_SIGN_IN, LinkPage, Words
from .responses import see_other
from .state import language_of, state_of
from .templating import render

PEOPLE = "/organize/people"
REQUESTS = "/account/requests"
REGISTER_FIELDS = ("name", "email", "branch", "choice", "note")
Value = TypeVar("Value")

ROLE_WORDS: Mapping[str, Message] = {
    Role.ORGANIZER: say("Organizer"),
    Role.BRANCH_ADMIN: say("Branch admin"),
    Role.ADMIN: say("Admin of the whole site"),
}
ROLE_MEANINGS: Mapping[str, Message] = {
    Role.ORGANIZER: say("Posts and changes events."),
    Role.BRANCH_ADMIN: say(
        "Also invites people, decides about requests and keeps what is said about the branch."
    ),
    Role.ADMIN: say("Everything, everywhere: no branch is needed."),
}
SENT = say(
    "A link is on its way to the address you gave. Your request counts once you open it, within an hour."
)
GONE = say("This branch is not there any more.")
WHICH = say("Several branches are called like that. Please choose yours.")
TOO_MANY = say(
    "Too many branches are called like that. Please add the town, as in “Central Library, Springfield”."
)
PUBLISHED_AT_ONCE = say("What you post is published at once.")
WAITS_FOR_APPROVAL = say("What you post is published once somebody there has approved it.")
NO_BRANCH = say("We know no branch of that name. Please write it as in the list of branches.")
WHICH_FIRST = say("Please say which branch you mean.")


class RegisterDraft(Draft):
    name: Annotated[ShortText, Field(min_length=1, max_length=100)]
    note: Annotated[LongText, Field(max_length=1000)] = ""


class RoleDraft(Draft):
    role: Literal["organizer", "branch-admin"] = "organizer"
    trusted: Literal["yes", "no"] = "yes"


class RefusalDraft(Draft):
    answer: Annotated[LongText, Field(max_length=1000)] = ""


# ---------------------------------------------------------------- which branch is meant


def branch_choice(session: Session, form: Form, within: Ids | None = None) -> dict[str, object]:
    """For the template: a menu of the few there are, or those that what was typed may mean, to choose from."""
    few = joining.few(session, within)
    found = () if few else _meant(session, form, within)
    return {
        "menu": [(branch.slug, branch.name) for branch in few],
        "choices": [(branch.slug, _with_town(branch)) for branch in found[: joining.MOST_CHOICES]]
        if len(found) > 1 or form["choice"]
        else [],
        "meant": form["branch"],
    }


def branch_in(session: Session, form: Form, within: Ids | None = None) -> Branch:
    """The branch that was chosen, or the only one that what was typed may mean. Raises InvalidForm."""
    found = _meant(session, form, within)
    if len(found) == 1:
        return found[0]
    if len(found) > joining.MOST_CHOICES:
        raise InvalidForm({"branch": TOO_MANY})
    if found:
        raise InvalidForm({"choice": WHICH})
    raise InvalidForm({"branch": NO_BRANCH if form["branch"].strip() else WHICH_FIRST})


def _meant(session: Session, form: Form, within: Ids | None) -> Sequence[Branch]:
    """A choice counts for the text that it was offered for: who types another name means that."""
    text = form["branch"].strip()
    if form["choice"] and text in ("", form["meant"].strip()):
        text = form["choice"]
    return joining.called(session, text, within) if text else ()


def _with_town(branch: Branch) -> str:
    return ", ".join(filter(None, (branch.name, branch.city, branch.state_province)))


def noting(faults: dict[str, Message], read: Callable[[], Value]) -> Value | None:
    """So that all the faults of a form are said at once; nothing where there were some."""
    try:
        return read()
    except InvalidForm as error:
        faults |= error.faults
        return None


# ---------------------------------------------------------------- registering


def register_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    if form is EMPTY:
        form = Form([("choice", query(request)["branch"])])
    return render(
        request, "people/register.html", form=form, faults=faults, branches=branch_choice(session, form)
    )


def register(request: Request, session: Session, form: Form) -> Response:
    """Says and does the same whether or not the address is known: whose it is, the mailed link tells."""
    faults: dict[str, Message] = {}
    draft = noting(faults, lambda: form.draft(RegisterDraft))
    email = noting(faults, lambda: links.email_in(form))
    branch = noting(faults, lambda: branch_in(session, form))
    if draft is None or email is None or branch is None:
        raise InvalidForm({name: faults[name] for name in REGISTER_FIELDS if name in faults})
    if not form[HONEYPOT]:
        person = sign_in.find_or_add(session, email, now(), language_of(request).code)
        detail = json.dumps({"branch": branch.id, "name": draft.name, "note": draft.note})
        token = sign_in.make_link(session, person, Purpose.REGISTRATION, now(), detail=detail)
        _mail_registration(request, session, email, branch, token)
    return see_other(request, "/register/sent")


def _mail_registration(request: Request, session: Session, email: str, branch: Branch, token: str) -> None:
    """Nothing that was typed stands in it: anybody can send it to anybody."""
    name = state_of(request).settings.name
    body = say(
        "You want to organize events of %(branch)s at %(name)s. Open this link and press the button to send your "
        "request:\n\n%(address)s\n\n"
        "It works once, within %(minutes)d minutes. If you did not ask for it, do nothing.",
        branch=branch.name,
        name=name,
        address=links.address_of(request, token),
        minutes=links.MINUTES,
    )
    links.mail_unproved(request, session, email, say("Your link to %(name)s", name=name), body)


def register_sent(request: Request, session: Session) -> Response:
    return render(
        request, "people/link_sent.html", sentence=SENT, again=("/register", say("Register as an organizer"))
    )


def _request_words(request: Request, session: Session, one_time: OneTimeLink) -> Words:
    branch, _ = _asked_in(session, one_time)
    return Words(
        say("Ask to organize at %(branch)s?", branch=branch.name),
        say("Yes, send my request"),
        say("Those who run the branch read your request and answer you by e-mail."),
    )


def _use_registration(request: Request, session: Session, form: Form, one_time: OneTimeLink) -> Response:
    branch, said = _asked_in(session, one_time)
    person = session.get_one(Person, one_time.person_id)
    person.name = person.name or said["name"]
    waits = joining.ask(session, person, branch, said["note"], now())
    return links.signed_in(request, session, person, REQUESTS if waits else AFTER_SIGN_IN)


def _asked_in(session: Session, one_time: OneTimeLink) -> tuple[Branch, dict[str, str]]:
    said = json.loads(one_time.detail)
    branch = session.get(Branch, said["branch"])
    if branch is None or branch.status not in FOUND:
        raise Gone(GONE)
    return branch, said


REGISTRATION = LinkPage(
    _request_words, _use_registration, anew=("/register", say("Register as an organizer"))
)


def requests_page(request: Request, session: Session) -> Response:
    """What one has asked for, and what happens next."""
    asked = joining.asked_by(session, person_of(request))
    return render(request, "people/requests.html", branches=[branch.name for _, _, branch in asked])


# ---------------------------------------------------------------- deciding


def request_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    asked, person, branch = _request_at(request, session)
    return render(
        request,
        "organize/request.html",
        asked=asked,
        asker=person,
        branch=branch,
        roles=role_options(request),
        form=form,
        faults=faults,
    )


def accept(request: Request, session: Session, form: Form) -> Response:
    asked, draft = _request_at(request, session), form.draft(RoleDraft)
    trusted = draft.trusted == "yes"
    if joining.accept(session, asked, Role(draft.role), trusted, now()):
        published = PUBLISHED_AT_ONCE if trusted else WAITS_FOR_APPROVAL
        body = say(
            "%(branch)s has accepted your request: you can post its events now. %(published)s\n\n"
            "Sign in with this address to begin:\n\n%(address)s",
            branch=asked[2].name,
            published=published,
            address=links.whole_address(request, AFTER_SIGN_IN, _their_language(request, asked)),
        )
        _answer(request, session, asked, body)
    return see_other(request, PEOPLE, done="accepted")


def refuse(request: Request, session: Session, form: Form) -> Response:
    asked, draft = _request_at(request, session), form.draft(RefusalDraft)
    if joining.refuse(session, asked, now()):
        body = say("%(branch)s has not accepted your request to organize there.", branch=asked[2].name)
        if draft.answer:
            body = say("%(sentence)s\n\nThey write:\n\n%(answer)s", sentence=body, answer=draft.answer)
        _answer(request, session, asked, body)
    return see_other(request, PEOPLE, done="refused")


def _request_at(request: Request, session: Session) -> Asked:
    return joining.request_for(session, person_of(request), number_at(request))


def _their_language(request: Request, asked: Asked) -> Language:
    return closest(asked[1].language, state_of(request).settings.locales)


def _answer(request: Request, session: Session, asked: Asked, body: Message) -> None:
    subject = say("Your request to %(branch)s", branch=asked[2].name)
    links.mail(session, _their_language(request, asked), asked[1].email, subject, body)


def role_options(request: Request, *, all_of_them: bool = False) -> list[tuple[str, str, str]]:
    """With what each means. Admins of the whole site belong to no branch: they are made elsewhere."""
    spoken = language_of(request)
    return [
        (role, spoken.say(words), spoken.say(ROLE_MEANINGS[role]))
        for role, words in ROLE_WORDS.items()
        if all_of_them or role != Role.ADMIN
    ]
