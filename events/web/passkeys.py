"""Passkeys in the browser: challenges as JSON, answers as ordinary forms."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..drafts import Draft, ShortText
from ..errors import say
from ..people import passkeys
from ..people.passkeys import PasskeyRefused, Site
from . import links
from .account import account
from .endpoints import now, person_of
from .forms import Form
from .links import ACCOUNT, AFTER_SIGN_IN
from .people import sign_in_page
from .responses import local_path, see_other
from .state import language_of, state_of

USUAL_PORTS = {"http": 80, "https": 443}


class PasskeyDraft(Draft):
    passkey_name: Annotated[ShortText, Field(max_length=60)] = ""


def challenge_to_add(request: Request, session: Session, form: Form) -> Response:
    person = person_of(request)
    handle = passkeys.handle(state_of(request).settings.secret_key, person)
    return _json(passkeys.options_to_add(session, person, _site(request), handle, now()))


def add(request: Request, session: Session, form: Form) -> Response:
    name = form.draft(PasskeyDraft).passkey_name or language_of(request).say(say("Passkey"))
    try:
        passkeys.add(session, person_of(request), _site(request), form["credential"], name, now())
    except PasskeyRefused as error:
        # Answered, not raised: the challenge stays used up.
        return _refused(account(request, session, form, {"passkey_name": error.message}), error)
    return see_other(request, ACCOUNT, done="passkey")


def remove(request: Request, session: Session, form: Form) -> Response:
    passkeys.remove(session, person_of(request), request.path_params["label"])
    return see_other(request, ACCOUNT, done="passkey-removed")


def challenge_to_sign_in(request: Request, session: Session, form: Form) -> Response:
    return _json(passkeys.options_to_sign_in(session, _site(request), now()))


def sign_in(request: Request, session: Session, form: Form) -> Response:
    try:
        person = passkeys.person_of(session, _site(request), form["credential"], now())
    except PasskeyRefused as error:
        return _refused(sign_in_page(request, session, form, {"email": error.message}), error)
    return links.signed_in(request, session, person, local_path(form["next"], AFTER_SIGN_IN))


def _site(request: Request) -> Site:
    """By the base URL; without one, by the host that was asked, which is one of this machine's own names.

    Browsers write an origin in lower case and leave out the usual port.
    """
    settings = state_of(request).settings
    url = urlsplit(settings.base_url or f"{request.url.scheme}://{request.url.netloc}")
    host = url.hostname or ""
    port = "" if url.port in (None, USUAL_PORTS.get(url.scheme)) else f":{url.port}"
    return Site(host, f"{url.scheme}://{host}{port}", settings.name or host)


def _json(text: str) -> Response:
    return Response(text, media_type="application/json", headers={"Cache-Control": "no-store"})


def _refused(page: Response, error: PasskeyRefused) -> Response:
    page.status_code = error.status
    return page
