"""One's own account: password, address, passkeys, tokens, sessions, branches; and its end."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..drafts import Draft, ShortText
from ..errors import Conflict, InvalidForm, Message, Unreadable, say
from ..people import joining, passkeys, sign_in, tokens
from ..people.models import OneTimeLink, Person, Purpose
from . import links
from .endpoints import now, person_of
from .forms import EMPTY, NO_FAULTS, Form, number_at, query
from .joining import ROLE_WORDS
from .links import ACCOUNT, LinkPage, Words
from .responses import see_other
from .state import SESSION_COOKIE, language_of, state_of
from .templating import render

_DONE = {
    "password": say("Your password has been changed. Every other device has been signed out."),
    "name": say("Your name has been saved."),
    "email": say("We have sent a link to the new address. It takes effect when you open it."),
    "new-email": say("From now on you sign in with the new address."),
    "session": say("That device has been signed out."),
    "sessions": say("Every other device has been signed out."),
    "passkey": say("The passkey has been added. You can sign in with it from now on."),
    "passkey-removed": say("The passkey has been removed. It opens nothing any more."),
    "token-removed": say("The token has been removed. Whatever used it is turned away from now on."),
    "changed": say("Your role has been changed."),
    "there": say("Your role has been changed."),
    "no-admin": say("You are no admin of the whole site any more."),
    "removed": say("You have left the branch."),
    "left": say("You have left the branch."),
}


class NameDraft(Draft):
    name: Annotated[ShortText, Field(max_length=100)] = ""


class TokenDraft(Draft):
    token_name: Annotated[ShortText, Field(min_length=1, max_length=60)]


def account(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    person = person_of(request)
    return render(
        request,
        "people/account.html",
        form=form,
        faults=faults,
        account=person,
        branches=[
            {"name": branch.name, "slug": branch.slug, "role": ROLE_WORDS[membership.role]}
            for membership, _, branch in joining.memberships(session, person)
        ],
        asked=[branch.name for _, _, branch in joining.asked_by(session, person)],
        passkeys=[
            {"label": sign_in.label(one.credential_id), "passkey": one}
            for one in passkeys.of(session, person)
        ],
        tokens=tokens.of(session, person),
        sessions=_sessions(request, session, person),
        done=_DONE.get(query(request)["done"]),
    )


def _sessions(request: Request, session: Session, person: Person) -> list[dict[str, object]]:
    current = sign_in.token_hash(_token(request))
    return [
        {
            "label": sign_in.label(one.token_hash),
            "current": one.token_hash == current,
            "since": one.created_at.date(),
            "device": _device_in_words(one.device),
        }
        for one in sign_in.sessions(session, person.id or 0)
    ]


def _device_in_words(user_agent: str) -> Message | str:
    """Firefox on Android; what a browser says of itself where we know neither. Most name others besides themselves."""
    found = [
        next((name for mark, name in names if mark in user_agent), "") for names in (_BROWSERS, _SYSTEMS)
    ]
    if not all(found):
        return user_agent
    return say("%(browser)s on %(system)s", browser=found[0], system=found[1])


# The first that is found counts.
_BROWSERS = (
    *(("Edg", "Edge"), ("OPR/", "Opera"), ("Vivaldi", "Vivaldi"), ("SamsungBrowser", "Samsung Internet")),
    *(
        ("Firefox", "Firefox"),
        ("FxiOS", "Firefox"),
        ("Chrome", "Chrome"),
        ("CriOS", "Chrome"),
        ("Safari", "Safari"),
    ),
)
_SYSTEMS = (
    *(("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows")),
    *(("Mac OS X", "Mac"), ("CrOS", "ChromeOS"), ("Linux", "Linux")),
)


def _token(request: Request) -> str:
    return request.cookies.get(state_of(request).cookie(SESSION_COOKIE), "")


# ---------------------------------------------------------------- password, name and address


def change_password(request: Request, session: Session, form: Form) -> Response:
    person = person_of(request)
    if (
        person.password_hash
        and sign_in.with_password(session, person.email, form["current_password"]) is None
    ):
        raise InvalidForm({"current_password": say("This is not your current password.")})
    try:
        sign_in.set_password(session, person, form["password"])
    except Unreadable as error:
        raise InvalidForm({"password": error.message}) from error
    return links.signed_in(request, session, person, ACCOUNT, done="password")


def change_name(request: Request, session: Session, form: Form) -> Response:
    person = session.get_one(Person, person_of(request).id)
    person.name = form.draft(NameDraft).name
    session.add(person)
    return see_other(request, ACCOUNT, done="name")


def change_email(request: Request, session: Session, form: Form) -> Response:
    """The new address proves itself by a link; the old one stays until then."""
    person, email = person_of(request), links.email_in(form)
    if sign_in.find(session, email) is None:
        token = sign_in.make_link(session, person, Purpose.CHANGE_EMAIL, now(), detail=email)
        links.mail_link(request, session, email, token, Purpose.CHANGE_EMAIL)
    else:
        links.mail_no_link(request, session, email)
    return see_other(request, ACCOUNT, done="email")


def _new_address_words(request: Request, session: Session, one_time: OneTimeLink) -> Words:
    return Words(say("Use this address from now on?"), say("Yes, use this address"))


def _use_new_address(request: Request, session: Session, form: Form, one_time: OneTimeLink) -> Response:
    """The old address hears of it: whoever has stolen a session cannot move the account away unseen.

    What was mailed there before opens nothing any more: it may be a mailbox that somebody else reads now.
    """
    person = session.get_one(Person, one_time.person_id)
    old, person.email = person.email, one_time.detail
    session.add(person)
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict(say("Somebody else uses this address by now.")) from error
    sign_in.end_links(session, person)
    name = state_of(request).settings.name
    body = say(
        "From now on you sign in to %(name)s with another address than this one: %(email)s\n\n"
        "If you did not want that, please write to those who run the site at once:\n%(address)s",
        name=name,
        email=person.email,
        address=links.whole_address(request, "/about"),
    )
    links.mail(session, language_of(request), old, say("Your address at %(name)s", name=name), body)
    return links.signed_in(request, session, person, ACCOUNT, done="new-email")


CHANGE_EMAIL = LinkPage(_new_address_words, _use_new_address, anew=(ACCOUNT, say("To your account")))


# ---------------------------------------------------------------- sessions


def end_session(request: Request, session: Session, form: Form) -> Response:
    sign_in.end_one(session, person_of(request).id or 0, request.path_params["label"])
    return see_other(request, ACCOUNT, done="session")


def end_sessions(request: Request, session: Session, form: Form) -> Response:
    sign_in.end_all(session, person_of(request).id or 0, except_token=_token(request))
    return see_other(request, ACCOUNT, done="sessions")


# ---------------------------------------------------------------- tokens for programs


def make_token(request: Request, session: Session, form: Form) -> Response:
    """The page that shows it is the answer itself: there is no address at which it could be seen again."""
    name = form.draft(TokenDraft).token_name
    try:
        token = tokens.make(session, person_of(request), name, now())
    except Conflict as error:
        raise InvalidForm({"token_name": error.message}) from error
    return render(request, "people/token.html", token=token, called=name)


def remove_token(request: Request, session: Session, form: Form) -> Response:
    tokens.remove(session, person_of(request), number_at(request))
    return see_other(request, ACCOUNT, done="token-removed")


# ---------------------------------------------------------------- leaving


def leave_branch(request: Request, session: Session, form: Form) -> Response:
    joining.leave(session, person_of(request), request.path_params["slug"])
    return see_other(request, ACCOUNT, done="left")


def delete_account(request: Request, session: Session, form: Form) -> Response:
    person = person_of(request)
    if form["confirm"] != "yes":
        raise InvalidForm({"confirm": say("Please tick the box if you really want to delete your account.")})
    try:
        joining.keep_an_admin(session, person)
    except Conflict as error:
        raise InvalidForm({"confirm": error.message}) from error
    session.delete(session.get_one(Person, person.id))
    return see_other(request, "/")
