"""Signing in and out, and one's own account."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..drafts import Draft, Email
from ..errors import Conflict, InvalidForm, Message, Unreadable, say
from ..messages import outbox
from ..people import sign_in
from ..people.models import OneTimeLink, Person, Purpose, SignedIn
from .endpoints import now, person_of
from .environment import link
from .forms import EMPTY, HONEYPOT, NO_FAULTS, Form, query
from .responses import local_path, see_other
from .state import SESSION_COOKIE, language_of, state_of
from .templating import render

AFTER_SIGN_IN = "/organize"
WRONG = say(
    "This e-mail address and password do not go together. You can also sign in by a link in your mail."
)


class SignInDraft(Draft):
    email: Annotated[Email, Field(min_length=1)]
    password: Annotated[str, Field(max_length=sign_in.LONGEST_PASSWORD)] = ""


def sign_in_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    return render(
        request, "people/sign_in.html", form=form, faults=faults, next=form["next"] or query(request)["next"]
    )


def start(request: Request, session: Session, form: Form) -> Response:
    """With a password: signs in. Without: sends a link, and says the same whether there is an account."""
    draft = form.draft(SignInDraft)
    email = sign_in.normal_email(draft.email)
    going_to = local_path(form["next"], AFTER_SIGN_IN)
    if draft.password:
        person = sign_in.with_password(session, email, draft.password)
        if person is None:
            raise InvalidForm({"password": WRONG})
        return _signed_in(request, session, person, going_to)
    person = sign_in.find(session, email)
    if person is not None and not form[HONEYPOT]:
        token = sign_in.make_link(session, person, Purpose.SIGN_IN, now(), detail=going_to)
        _mail_link(request, session, email, token)
    return see_other(request, "/sign-in/sent")


def link_sent(request: Request, session: Session) -> Response:
    return render(request, "people/link_sent.html")


def link_page(request: Request, session: Session) -> Response:
    """Shows a button. Mail scanners open links: only pressing the button uses the link up."""
    one_time = sign_in.look_at_link(session, request.path_params["token"], now())
    return render(request, "people/link.html", purpose=one_time.purpose, token=request.path_params["token"])


def use_link(request: Request, session: Session, form: Form) -> Response:
    one_time = sign_in.use_link(session, request.path_params["token"], now())
    person = session.get_one(Person, one_time.person_id)
    if one_time.purpose == Purpose.CHANGE_EMAIL:
        if sign_in.find(session, one_time.detail) is not None:
            raise Conflict(say("Somebody else uses this address by now."))
        person.email = one_time.detail
        session.add(person)
        return _signed_in(request, session, person, "/account")
    return _signed_in(request, session, person, local_path(one_time.detail, AFTER_SIGN_IN))


def sign_out(request: Request, session: Session, form: Form) -> Response:
    name = state_of(request).cookie(SESSION_COOKIE)
    sign_in.end(session, request.cookies.get(name, ""))
    response = see_other(request, "/")
    response.delete_cookie(
        name, path="/", secure=state_of(request).settings.secure, httponly=True, samesite="lax"
    )
    return response


# ---------------------------------------------------------------- the account


def account(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    person = person_of(request)
    current = sign_in.token_hash(request.cookies.get(state_of(request).cookie(SESSION_COOKIE), ""))
    return render(
        request,
        "people/account.html",
        form=form,
        faults=faults,
        account=person,
        sessions=sign_in.sessions(session, person.id or 0),
        current=current,
        done=_DONE.get(query(request)["done"]),
    )


_DONE = {
    "password": say("Your password has been changed. Every other device has been signed out."),
    "email": say("We have sent a link to the new address. It takes effect when you open it."),
    "sessions": say("Every other device has been signed out."),
}


def change_password(request: Request, session: Session, form: Form) -> Response:
    person = person_of(request)
    if (
        person.password_hash
        and sign_in.with_password(session, person.email, form["current_password"]) is None
    ):
        raise InvalidForm({"current_password": say("This is not your present password.")})
    try:
        sign_in.set_password(session, person, form["password"])
    except Unreadable as error:
        raise InvalidForm({"password": error.message}) from error
    return _signed_in(request, session, person, "/account", done="password")


def change_email(request: Request, session: Session, form: Form) -> Response:
    """The new address proves itself by a link; the old one stays until then."""
    person = person_of(request)
    try:
        email = sign_in.normal_email(form["email"])
    except Unreadable as error:
        raise InvalidForm({"email": error.message}) from error
    if sign_in.find(session, email) is None:
        token = sign_in.make_link(session, person, Purpose.CHANGE_EMAIL, now(), detail=email)
        _mail_link(request, session, email, token)
    return see_other(request, "/account", done="email")


def end_sessions(request: Request, session: Session, form: Form) -> Response:
    token = request.cookies.get(state_of(request).cookie(SESSION_COOKIE), "")
    sign_in.end_all(session, person_of(request).id or 0, except_token=token)
    return see_other(request, "/account", done="sessions")


def delete_account(request: Request, session: Session, form: Form) -> Response:
    if form["confirm"] != "yes":
        raise InvalidForm({"confirm": say("Please tick the box if you really want to delete your account.")})
    session.delete(session.get_one(Person, person_of(request).id))
    return see_other(request, "/")


def _signed_in(request: Request, session: Session, person: Person, going_to: str, **more: object) -> Response:
    """A new token at each sign-in, in a cookie that scripts and other sites do not get."""
    settings = state_of(request).settings
    token = sign_in.begin(session, person, request.headers.get("user-agent", ""), now())
    path, _, rest = going_to.partition("?")
    response = see_other(request, path, **more)
    if rest:
        response.headers["location"] += f"?{rest}"
    response.set_cookie(
        state_of(request).cookie(SESSION_COOKIE),
        token,
        max_age=int(SignedIn.LIFETIME.total_seconds()),
        path="/",
        secure=settings.secure,
        httponly=True,
        samesite="lax",
    )
    return response


def _mail_link(request: Request, session: Session, email: str, token: str) -> None:
    spoken, settings = language_of(request), state_of(request).settings
    address = settings.public_url + link(spoken.code, f"/sign-in/{token}", {})
    body = say(
        "Open this link and press the button to continue at %(name)s:\n\n%(address)s\n\n"
        "It works once, within %(minutes)d minutes. If you did not ask for it, do nothing.",
        name=settings.name,
        address=address,
        minutes=int(OneTimeLink.LIFETIME.total_seconds() // 60),
    )
    outbox.put(
        session,
        now(),
        recipient=email,
        subject=spoken.say(say("Your link to %(name)s", name=settings.name)),
        body=spoken.say(body),
    )
