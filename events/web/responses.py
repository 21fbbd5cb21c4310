"""Answers that are not pages: redirects, problems, texts; and the one mapping from errors to answers."""

import logging
import re
from collections.abc import Iterable
from http import HTTPStatus

from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Match

from ..errors import BranchlineError, InvalidForm, Message, NotFound, TooOften, Unavailable, Unreadable, say
from ..outages import CommitLost, DatabaseAway
from .environment import link
from .forms import Form
from .state import language_of
from .templating import render

log = logging.getLogger("branchline")

# What may follow ?next= : a path of this site, never another host (`//evil`, `/\evil`) or scheme.
LOCAL_PATH = re.compile(r"/(?![/\\])[\w\-./~%?=&,+@:]*", re.ASCII)


TITLES = {
    400: say("We do not know this address"),
    403: say("That did not come from our page"),
    404: say("Page not found"),
    405: say("That is not possible here"),
    409: say("That has changed meanwhile"),
    410: say("No longer here"),
    413: say("Too large"),
    422: say("We could not read that"),
    429: say("Too many requests"),
    431: say("Too large"),
    500: say("Something went wrong"),
    503: say("We will be back in a moment"),
}


class Unauthorized(BranchlineError):
    """A program did not say for whom it acts, or with a token that is not known (any more)."""

    status = 401

    def __init__(self) -> None:
        super().__init__(say("This needs a token that is known and has not expired: Authorization: Bearer …"))


class Problem(JSONResponse):
    media_type = "application/problem+json"


def see_other(request: Request, path: str, **query: object) -> RedirectResponse:
    """After a change: the page that shows it, in the same language."""
    return RedirectResponse(link(language_of(request).code, path, query), 303)


def moved(request: Request, path: str, status: int = 301) -> RedirectResponse:
    """A redirect that keeps the language and the query; permanent, unless said otherwise."""
    target = link(language_of(request).code, path, {})
    return RedirectResponse(f"{target}?{request.url.query}" if request.url.query else target, status)


def page_link(request: Request, form: Form, names: Iterable[str], page: int) -> str:
    """Another page of the list that was asked for, with these of its filters."""
    path: str = request.scope["path"]
    return link(language_of(request).code, path, {**form.only(names), "page": page if page > 1 else None})


def local_path(text: str, default: str) -> str:
    return text if LOCAL_PATH.fullmatch(text) else default


def sign_in_first(request: Request) -> Response:
    if request.method != "GET":
        return see_other(request, "/sign-in")
    path = request.scope["path"] + (f"?{request.url.query}" if request.url.query else "")
    return see_other(request, "/sign-in", next=local_path(path, "/account"))


def answer_to(request: Request, error: BranchlineError) -> Response:
    """The error as a page, as a line of text for feeds, or as a problem for programs (RFC 9457)."""
    sentence = language_of(request).say(error.message)
    path: str = request.scope["path"]
    if path.endswith(".json") or path.startswith("/api/") or path == "/oembed":
        body = {"type": "about:blank", "title": HTTPStatus(error.status).phrase, "status": error.status}
        body["detail"] = sentence
        if isinstance(error, InvalidForm):
            body["errors"] = {name: language_of(request).say(fault) for name, fault in error.faults.items()}
        response: Response = Problem(body, error.status)
    elif re.search(r"\.(ics|atom|csv|geojson|vcf)$", path):
        response = PlainTextResponse(sentence + "\n", error.status)
    else:
        response = render(
            request,
            "embed/error.html" if path.startswith("/embed/") else "errors/error.html",
            status_code=error.status,
            status=error.status,
            title=language_of(request).say(TITLES.get(error.status, TITLES[422])),
            sentence=sentence,
        )
    if isinstance(error, TooOften | Unavailable):
        response.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthorized):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def on_error(request: Request, error: Exception) -> Response:
    """For Starlette's table of exception handlers."""
    match error:
        case BranchlineError():
            return answer_to(request, error)
        case HTTPException(status_code=405):
            response = answer_to(
                request, _MethodNotAllowed(say("This address does not take that kind of request."))
            )
            response.headers.update(error.headers or {})
            return response
        case HTTPException(status_code=404):
            return _without_slash(request) or answer_to(request, NotFound())
        case HTTPException():
            return answer_to(request, Unreadable(say("The request cannot be read.")))
        case ClientDisconnect():  # it hung up, or was let go because it was too slow
            return Response(status_code=400)
        case CommitLost():
            log.error("database, while it was told to commit: %s", error.orig)
            return answer_to(request, Unavailable(_perhaps_saved(request)))
        case OperationalError():
            log.error("database: %s", error.orig)
            return answer_to(request, DatabaseAway())
    # A path may hold a sign-in token: its first part tells enough.
    log.exception("unexpected error at /%s", request.scope["path"].split("/")[1], exc_info=error)
    return answer_to(
        request, _Unexpected(say("Something went wrong on our side. We have written down what happened."))
    )


def _perhaps_saved(request: Request) -> Message:
    """Forms carry a key, or say what they were made of; programs may send a key."""
    if request.scope["path"].startswith("/api/"):
        return say(
            "The connection to our records broke off while this was being saved, so it may or may not be there."
            " With the same Idempotency-Key it is safe to send it again."
        )
    return say(
        "The connection to our records broke off while this was being saved, so it may or may not be there."
        " It is safe to send the same form again: it counts once."
    )


def _without_slash(request: Request) -> Response | None:
    """To the address without the slash at its end, if there is one. Starlette's own redirect, which is switched off,
    would lose the language."""
    path: str = request.scope["path"]
    asked = {**request.scope, "path": path.rstrip("/")}
    is_there = path.endswith("/") and any(
        route.matches(asked)[0] is not Match.NONE for route in request.app.routes
    )
    return moved(request, asked["path"], 307) if is_there else None


class _MethodNotAllowed(BranchlineError):
    status = 405


class _Unexpected(BranchlineError):
    status = 500
