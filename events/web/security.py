"""What stands before every route: known hosts, sizes, requests forged elsewhere, headers, languages."""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..config import Settings
from ..errors import BranchlineError, Forbidden, NotFound, TooLarge, say
from .environment import unprefixed
from .responses import Unauthorized, answer_to

LARGEST_BODY = 2_500_000  # bytes: a calendar of 2 MB and its form
LARGEST_PICTURE_BODY = 12_000_000  # bytes: a picture of 10 MB and its form
TAKES_PICTURES = re.compile(r"/organize/(events|news)/[^/]+/picture")
LARGEST_HEADER = 32_000  # bytes, all of them together
LOOPBACK_NAMES = {"localhost", "127.0.0.1", "::1"}
NOT_MODIFIED = 304
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
FOR_ANY_HOST = {"/healthz", "/readyz", "/metrics"}  # which are asked by address
UNSUBSCRIBING = re.compile(r"/subscriptions/[^/]+/unsubscription")
API = "/api/"
FRAMED = {"/embed/events", "/embed/branches"}  # what any site may show in a page of its own
FOR_OTHER_SITES = {
    *FRAMED,
    "/embed/colours.css",
    "/embed.js",
    "/oembed",
}  # and what belongs to it: nobody's page
SHOWN_ELSEWHERE = ("/pictures/", "/static/")  # in feed readers, and with what they keep of a page
NOT_FRAMED = "frame-ancestors 'none'"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; "
    f"connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; {NOT_FRAMED}"
)
SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # no-referrer would send Origin: null with every form
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(self)",
}


def security_headers(settings: Settings) -> dict[str, str]:
    found = dict(SECURITY_HEADERS)
    if settings.secure:
        found["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    return found


def headers_at(path: str, settings: Settings) -> dict[str, str]:
    """What every answer at the path carries."""
    found = security_headers(settings)
    if path in FRAMED:
        found["Content-Security-Policy"] = CSP.replace(NOT_FRAMED, "frame-ancestors *")
        del found["X-Frame-Options"]  # which cannot say that anybody may
    if path in FOR_OTHER_SITES or path.startswith(SHOWN_ELSEWHERE):
        found["Cross-Origin-Resource-Policy"] = "cross-origin"
    return found


class Hosts:
    """The names that the site answers to."""

    def __init__(self, settings: Settings) -> None:
        self._own = urlsplit(settings.base_url).netloc.lower() if settings.base_url else None

    def know(self, host: str) -> bool:
        if self._own is not None:
            return host.lower() == self._own
        return is_loopback_name(host)


def is_loopback_name(host: str) -> bool:
    return _name(host) in LOOPBACK_NAMES


class UnknownHost(BranchlineError):
    status = 400


class HeadersTooLarge(BranchlineError):
    status = 431


class Language:
    """Takes `/es` off the path and remembers it, so that every route answers in every language."""

    def __init__(self, app: ASGIApp, codes: Sequence[str]) -> None:
        self.app = app
        self.codes = codes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            # In the scope itself: the page of an unexpected error is made outside of all this.
            scope["branchline.language"], scope["path"] = unprefixed(scope["path"], self.codes)
        await self.app(scope, receive, send)


class Guard:
    """Refuses what no view should see, and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.hosts = Hosts(settings)
        self.origin = settings.base_url
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["path"] in FOR_OTHER_SITES:
            _leave_out_cookies(scope)
        guarded = self._with_headers(send, headers_at(scope["path"], self.settings))
        try:
            self._check(scope)
            await self.app(scope, _limited(receive, scope), guarded)
        except (UnknownHost, HeadersTooLarge, Forbidden, NotFound, Unauthorized, TooLarge) as error:
            await answer_to(Request(scope), error)(scope, receive, guarded)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if "\x00" in scope["path"]:  # which PostgreSQL would not even look for
            raise NotFound
        if sum(len(name) + len(value) for name, value in scope["headers"]) > LARGEST_HEADER:
            raise HeadersTooLarge(
                say("The request’s headers are too large. Clearing this site’s cookies may help.")
            )
        if len(headers.getlist("host")) > 1:
            raise UnknownHost(say("This site does not answer to that host name."))
        if scope["path"] not in FOR_ANY_HOST and not self.hosts.know(headers.get("host", "")):
            raise UnknownHost(say("This site does not answer to that host name."))
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > _largest(scope):
            raise _too_large(scope)
        if scope["method"] not in SAFE_METHODS and bearer_token(scope) is None and not _is_one_click(scope):
            self._check_origin(scope, headers)

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        if self._same_origin(headers):
            return
        if is_api(scope):
            raise Unauthorized
        raise Forbidden(
            say("This form was not sent from our own page. Please open the page again and resend it.")
        )

    def _same_origin(self, headers: Headers) -> bool:
        """Fetch Metadata where a browser sends it, else Origin; with neither, no."""
        if site := headers.get("sec-fetch-site"):
            return site in ("same-origin", "none")
        origin = headers.get("origin", "")
        if self.origin is not None:
            return origin == self.origin
        return bool(origin) and urlsplit(origin).netloc.lower() == headers.get("host", "").lower()

    def _with_headers(self, send: Send, added: Mapping[str, str]) -> Send:
        async def guarded(message: Message) -> None:
            # "Nothing new" says nothing of what the client has already (RFC 9110 15.4.5).
            if message["type"] == "http.response.start" and message["status"] != NOT_MODIFIED:
                headers = MutableHeaders(scope=message)
                for name, value in added.items():
                    headers.setdefault(name, value)
            await send(message)

        return guarded


def _leave_out_cookies(scope: Scope) -> None:
    """Nobody is known where the answer is for everybody, may be kept by caches and shown around by any site."""
    scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"cookie"]


def _is_one_click(scope: Scope) -> bool:
    """RFC 8058: the mail program's provider unsubscribes by itself, from anywhere. The token is the authority."""
    return scope["method"] == "POST" and UNSUBSCRIBING.fullmatch(scope["path"]) is not None


def is_api(scope: Scope) -> bool:
    path: str = scope["path"]
    return path.startswith(API)


def bearer_token(scope: Scope) -> str | None:
    """The token of a program (RFC 6750), which counts in the API and nowhere else.

    Such a request is not asked where it comes from: no browser sends this header by itself, and no session
    counts beside it.
    """
    if not is_api(scope):
        return None
    scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _largest(scope: Scope) -> int:
    """How many bytes the body of a request may have."""
    return LARGEST_PICTURE_BODY if TAKES_PICTURES.fullmatch(scope["path"]) else LARGEST_BODY


def _too_large(scope: Scope) -> TooLarge:
    if _largest(scope) == LARGEST_PICTURE_BODY:
        return TooLarge(say("That is more than we can take at once: 10 MB at most."))
    return TooLarge(say("That is more than we can take at once: 2 MB at most."))


def _limited(receive: Receive, scope: Scope) -> Receive:
    """A body without Content-Length is counted as it comes."""
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > _largest(scope):
            raise _too_large(scope)
        return message

    return counted


def _name(host: str) -> str:
    """The host without its port; an IPv6 address without its brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()
