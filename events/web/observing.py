"""What is counted and logged of a request that memory did not answer: never its path, its query or its sender."""

import asyncio
import logging
import secrets
import time
from collections.abc import Mapping
from functools import lru_cache

from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .. import logs
from ..metrics import counts
from .answers import Answers

LOOKED_EVERY_S = 1.0
SLOW_S = 2.0  # what takes longer is written into the log
NO_ROUTE = "none"  # what was refused before any route, or has none
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
OF_MACHINES = {"/healthz", "/readyz", "/metrics", "/robots.txt", "/sitemap.xml", "/.well-known/security.txt"}
STATIC = (
    "/static/",
    "/icons/",
    "/favicon",
    "/apple-touch-icon",
    "/manifest",
    "/embed.js",
    "/embed/colours.css",
)
FEEDS = (".ics", ".atom", ".json", ".csv", ".geojson", ".vcf")
log = logging.getLogger("branchline.requests")


async def observed(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    asked = Asked(scope)
    logs.request.set(asked.fields)

    async def noting(message: Message) -> None:
        if message["type"] == "http.response.start":
            asked.status = message["status"]
            if asked.has_failed:  # by which whoever runs the site finds it in the log
                message = {**message, "headers": [*message["headers"], (b"x-request-id", asked.id.encode())]}
        await send(message)

    try:
        await app(scope, receive, noting)
    finally:
        asked.note_end()


async def watch_loop(answers: Answers) -> None:
    """While the loop is late, so is everybody."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LOOKED_EVERY_S
        await asyncio.sleep(LOOKED_EVERY_S)
        counts.took("branchline_event_loop_lag_seconds", max(0.0, loop.time() - due))
        counts.hold("branchline_memory_answers_bytes", answers.held)


class Asked:
    """One request."""

    __slots__ = ("_began", "_id", "_scope", "status")

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._began = time.perf_counter()
        self._id = ""
        self.status = 0  # none was sent: the client went away

    @property
    def id(self) -> str:
        """Ours: one that came with the request could be anything."""
        self._id = self._id or secrets.token_hex(8)
        return self._id

    @property
    def has_failed(self) -> bool:
        return self.status >= 500

    @property
    def method(self) -> str:
        method: str = self._scope["method"]
        return method if method in METHODS else "other"

    def fields(self) -> Mapping[str, object]:
        status = {"status": self.status} if self.status else {}
        took = {"duration_ms": round((time.perf_counter() - self._began) * 1000, 1)}
        route = route_of(self._scope)
        return {"request": self.id, "method": self.method, "route": route, **status, **took}

    def note_end(self) -> None:
        route, took = route_of(self._scope), time.perf_counter() - self._began
        counts.count(
            "branchline_requests", route=route, method=self.method, status=str(self.status), source="made"
        )
        counts.took("branchline_request_duration_seconds", took, kind=kind_of(route))
        if self.has_failed or took > SLOW_S:
            log.warning("failed" if self.has_failed else "slow")


def route_of(scope: Scope) -> str:
    """Its template, as the table of routes has it."""
    route = scope.get("route")
    return route.path if isinstance(route, Route) else NO_ROUTE


@lru_cache(maxsize=512)
def kind_of(route: str) -> str:
    if route.startswith("/api/"):
        return "api"
    if route in OF_MACHINES or route == NO_ROUTE:
        return "other"
    if route.startswith(STATIC):
        return "static"
    return "feed" if route.endswith(FEEDS) else "page"
