"""Signing in and out, and the page of every link that was sent by mail."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..drafts import Draft
from ..errors import InvalidForm, Message, Unreadable, say
from ..people import sign_in
from ..people.models import OneTimeLink, Person, Purpose
from ..people.sign_in import LinkOver
from . import account, freshness, joining, links, membership, suggesting
from .endpoints import now
from .environment import link
from .forms import EMPTY, HONEYPOT, NO_FAULTS, Form, query
from .links import ACCOUNT, AFTER_SIGN_IN, LinkPage, Words
from .responses import TITLES, local_path, see_other
from .state import SESSION_COOKIE, language_of, state_of
from .templating import render

WRONG = say(
    "This e-mail address and password do not go together. You can also sign in by a link that we e-mail you."
)


class PasswordDraft(Draft):
    password: Annotated[str, Field(max_length=sign_in.LONGEST_PASSWORD)] = ""


def sign_in_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    return render(
        request, "people/sign_in.html", form=form, faults=faults, next=form["next"] or query(request)["next"]
    )


def start(request: Request, session: Session, form: Form) -> Response:
    """With a password: signs in. Without: sends a link, and says the same whether there is an account."""
    email, password = links.email_in(form), form.draft(PasswordDraft).password
    going_to = local_path(form["next"], AFTER_SIGN_IN)
    if password:
        person = sign_in.with_password(session, email, password)
        if person is None:
            raise InvalidForm({"password": WRONG})
        return links.signed_in(request, session, person, going_to)
    _send(request, session, form, email, Purpose.SIGN_IN, going_to)
    return see_other(request, "/sign-in/sent")


def _send(
    request: Request, session: Session, form: Form, email: str, purpose: Purpose, detail: str = ""
) -> None:
    person = sign_in.find(session, email)
    if person is None or form[HONEYPOT]:
        links.mail_no_link(request, session, email)
        return
    token = sign_in.make_link(session, person, purpose, now(), detail=detail)
    links.mail_link(request, session, email, token, purpose)


def link_sent(request: Request, session: Session) -> Response:
    sentence = say(
        "If there is an account for this address, a link is on its way. It works once, within an hour."
    )
    return render(request, "people/link_sent.html", sentence=sentence, again=("/sign-in", say("Sign in")))


def sign_out(request: Request, session: Session, form: Form) -> Response:
    name = state_of(request).cookie(SESSION_COOKIE)
    sign_in.end(session, request.cookies.get(name, ""))
    response = see_other(request, "/")
    response.delete_cookie(
        name, path="/", secure=state_of(request).settings.secure, httponly=True, samesite="lax"
    )
    return response


# ---------------------------------------------------------------- a forgotten password


def password_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    return render(request, "people/password.html", form=form, faults=faults)


def ask_for_reset(request: Request, session: Session, form: Form) -> Response:
    """Says the same whether or not there is an account."""
    _send(request, session, form, links.email_in(form), Purpose.RESET)
    return see_other(request, "/sign-in/sent")


def _reset(request: Request, session: Session, form: Form, one_time: OneTimeLink) -> Response:
    """A password that cannot be one leaves the link good."""
    person = session.get_one(Person, one_time.person_id)
    try:
        sign_in.set_password(session, person, form["password"])
    except Unreadable as error:
        raise InvalidForm({"password": error.message}) from error
    return links.signed_in(request, session, person, ACCOUNT, done="password")


# ---------------------------------------------------------------- links from mails


def link_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    token = request.path_params["token"]
    try:
        one_time = sign_in.look_at_link(session, token, now())
    except LinkOver as over:
        return _over(request, over)
    page = LINKS[Purpose(one_time.purpose)]
    words = page.words(request, session, one_time)
    return render(request, page.template, words=words, token=token, form=form, faults=faults)


def use_link(request: Request, session: Session, form: Form) -> Response:
    try:
        one_time = sign_in.use_link(session, request.path_params["token"], now())
    except LinkOver as over:
        return _over(request, over)
    return LINKS[Purpose(one_time.purpose)].use(request, session, form, one_time)


def _over(request: Request, over: LinkOver) -> Response:
    """Why it does not work, and the way to a new one; to their pages for those who are signed in already."""
    spoken = language_of(request)
    page = LINKS[Purpose(over.purpose or Purpose.SIGN_IN)]
    ways = [page.anew]
    if request.state.person is not None:
        ways.insert(0, (ACCOUNT, say("You are signed in: to your account")))
    return render(
        request,
        "errors/error.html",
        status_code=over.status,
        status=over.status,
        title=spoken.say(TITLES[over.status]),
        sentence=spoken.say(over.message),
        links=[(spoken.say(label), link(spoken.code, path, {})) for path, label in ways],
    )


def _sign_in_words(request: Request, session: Session, one_time: OneTimeLink) -> Words:
    return Words(say("Sign in to %(name)s", name=state_of(request).settings.name), say("Sign in"))


def _reset_words(request: Request, session: Session, one_time: OneTimeLink) -> Words:
    return Words(say("Choose a new password"), say("Save the password and sign in"))


def _sign_in(request: Request, session: Session, form: Form, one_time: OneTimeLink) -> Response:
    person = session.get_one(Person, one_time.person_id)
    return links.signed_in(request, session, person, local_path(one_time.detail, AFTER_SIGN_IN))


# What the links of each purpose show and do. A purpose of another module: its LinkPage (see links.py) is named here.
LINKS: Mapping[Purpose, LinkPage] = {
    Purpose.SIGN_IN: LinkPage(_sign_in_words, _sign_in),
    Purpose.RESET: LinkPage(
        _reset_words, _reset, "people/reset.html", ("/password", say("I have forgotten my password"))
    ),
    Purpose.CHANGE_EMAIL: account.CHANGE_EMAIL,
    Purpose.REGISTRATION: joining.REGISTRATION,
    Purpose.INVITATION: membership.INVITATION,
    Purpose.SUGGESTION: suggesting.PUBLICATION,
    Purpose.CONFIRMATION: freshness.CONFIRMATION,
}
