"""Links that were sent by mail: what each purpose shows and does, and what they share.

Every link leads to /sign-in/{token}. Its GET shows a page with a button, because mail scanners open links; only
its POST uses the link up. The table `LINKS` in `people.py` says for each `Purpose` which `LinkPage` it has: a
module adds its own by naming one there.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from .. import limits
from ..errors import InvalidForm, Message, Unreadable, say
from ..language import Language
from ..messages import outbox
from ..people import permissions, sign_in
from ..people.models import OneTimeLink, Person, Purpose, SignedIn
from .endpoints import now
from .environment import link
from .forms import Form
from .responses import see_other
from .state import SESSION_COOKIE, language_of, state_of

AFTER_SIGN_IN = "/organize"
ACCOUNT = "/account"
MINUTES = int(OneTimeLink.LIFETIME.total_seconds() // 60)


@dataclass(frozen=True, slots=True)
class Words:
    """What the page of a link says before its button is pressed."""

    title: Message
    button: Message
    text: Message | None = None


@dataclass(frozen=True, slots=True)
class LinkPage:
    """`use` runs in the transaction that uses the link up: when it raises, the link stays good.

    It may raise InvalidForm: the page is shown again, with the faults and what was typed. A template of its own
    extends people/link.html and fills its block `fields`. `anew` is where another link can be had, and what the
    way there is called, for when this one has expired or was used.
    """

    words: Callable[[Request, Session, OneTimeLink], Words]
    use: Callable[[Request, Session, Form, OneTimeLink], Response]
    template: str = "people/link.html"
    anew: tuple[str, Message] = ("/sign-in", say("Sign in"))


def address_of(request: Request, token: str, spoken: Language | None = None) -> str:
    """The whole address to be put into a mail, in the language of the page that asked for it unless said."""
    return whole_address(request, f"/sign-in/{token}", spoken)


def whole_address(request: Request, path: str, spoken: Language | None = None) -> str:
    code = (spoken or language_of(request)).code
    return state_of(request).settings.public_url + link(code, path, {})


def mail(session: Session, spoken: Language, recipient: str, subject: Message, body: Message) -> None:
    outbox.put(
        session,
        now(),
        recipient=recipient,
        subject=spoken.say(subject),
        body=spoken.say(body),
        kind="link",
        locale=spoken.code,
    )


def mail_unproved(
    request: Request, session: Session, recipient: str, subject: Message, body: Message
) -> None:
    """To an address that anybody may have typed: some an hour, then no more, and the page says the same.

    Nothing that was typed belongs into the subject, and no link but ours into the body: anybody could write to
    anybody by it, in our name.
    """
    if state_of(request).limiter.allows(session, limits.RECIPIENT, recipient, now()):
        mail(session, language_of(request), recipient, subject, body)


def mail_no_link(request: Request, session: Session, email: str) -> None:
    """Where there is nobody to be mailed: as much work as `mail_link`. It uses up nothing of a real address."""
    sign_in.make_no_link(session, now())
    state_of(request).limiter.allows(session, limits.RECIPIENT, f"nobody {email}", now())


_SUBJECTS = {
    Purpose.SIGN_IN: say("Your link to sign in to %(name)s"),
    Purpose.RESET: say("A new password for %(name)s"),
    Purpose.CHANGE_EMAIL: say("Your new address at %(name)s"),
}


def mail_link(request: Request, session: Session, recipient: str, token: str, purpose: Purpose) -> None:
    """The link alone, for whoever asked for it a moment ago."""
    name = state_of(request).settings.name
    body = say(
        "Open this link and press the button to continue at %(name)s:\n\n%(address)s\n\n"
        "It works once, within %(minutes)d minutes. If you did not ask for it, do nothing.",
        name=name,
        address=address_of(request, token),
        minutes=MINUTES,
    )
    subject = Message(_SUBJECTS[purpose].text, {"name": name})
    mail_unproved(request, session, recipient, subject, body)


def signed_in(request: Request, session: Session, person: Person, going_to: str, **more: object) -> Response:
    """A new token at each sign-in, in a cookie that scripts and other sites do not get.

    Mails speak the language in which a person signed in last.
    """
    settings, spoken = state_of(request).settings, language_of(request)
    if person.language != spoken.code:
        person.language = spoken.code
        session.add(person)
    token = sign_in.begin(session, person, request.headers.get("user-agent", ""), now())
    path, _, rest = _landing(session, person, going_to).partition("?")
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


def _landing(session: Session, person: Person, going_to: str) -> str:
    """Who has no role yet finds no desk: their account instead."""
    if going_to.startswith(AFTER_SIGN_IN) and permissions.highest_role(session, person) is None:
        return ACCOUNT
    return going_to


def email_in(form: Form) -> str:
    """The address that was typed, as it is kept. Raises InvalidForm."""
    if not form["email"].strip():
        raise InvalidForm({"email": say("Please fill this in.")})
    try:
        return sign_in.normal_email(form["email"])
    except Unreadable as error:
        raise InvalidForm({"email": error.message}) from error
