"""What stands between the network and uvicorn's protocol: whoever is slow, silent or too many is let go.

uvicorn itself ends a connection only when it has been idle after an answer. A client that never finishes its request,
or never reads its answer, would stay for ever, and with some thousands of them nobody else would get in. One timer
for all connections of a process looks once a second what each of them waits for; a request pays nothing for that.

Each process counts for itself: with `--workers N` an address may have N times as many connections.
"""

import asyncio
import socket
import struct
from collections import Counter
from typing import ClassVar, NamedTuple, cast
from weakref import WeakKeyDictionary

import httptools
from uvicorn._types import ASGI3Application
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from .web.state import address_counted

LOOK_EVERY_S = 1.0
HEAD_WITHIN_S = 10.0
BODY_WITHIN_S = TAKEN_WITHIN_S = 15.0  # or so much of it as is ENOUGH
NEXT_WITHIN_S = 5.0  # docs/operating.md says it to proxies, which must end what is idle sooner
ENOUGH = 20_000  # bytes in either direction that begin the deadline anew: a bad line is not an attack
MOST = 4000  # connections of a process
MOST_OF_ONE = 256  # connections of an address; a trusted proxy may have any number
MOST_HEAD = 64_000  # bytes of a head without end; what is too much for a finished one says `web.security`
MOST_BODY = (
    16_000_000  # bytes, more than any form may have: the rest of what was refused is not read for ever
)
MOST_AHEAD = 32  # requests sent ahead on one connection, before the first was answered

_RESET = struct.pack("ii", 1, 0)
_LINES = {
    400: b"400 Bad Request",
    431: b"431 Request Header Fields Too Large",
    503: b"503 Service Unavailable",
}
_HEAD = (
    b"HTTP/1.1 %b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n"
    b"X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
)
_TEXTS = {
    400: b"This is not HTTP as we can read it.\n",
    431: b"The request's headers are too large. Clearing this site's cookies may help.\n",
    503: b"There are too many connections at the moment. Please try again soon.\n",
}


class _Waits(NamedTuple):
    """What a connection waits for."""

    within_s: float
    about: object  # the request that is meant: the next one gets the same time again
    moved: int = 0  # bytes so far

    def goes_on_from(self, before: "_Waits | None") -> bool:
        return before is not None and before.within_s == self.within_s and before.about is self.about


class _TooManyAhead(Exception):
    """The parser ends with it."""


class Connection(HttpToolsProtocol):
    """uvicorn's protocol with deadlines and bounds."""

    _watch: "Watch"
    _at_work: RequestResponseCycle | None = None
    _address: str | None = None  # under which it is counted
    _head = 0  # bytes of a head that did not end yet, but for its first piece
    _body = 0  # bytes
    _unsent = _taken = (
        0  # bytes that wait for the client, and those that it has taken after it was waited for
    )
    _waits: _Waits | None = None
    _since, _moved = 0.0, 0  # when the deadline began, and what had moved by then

    # --- Who comes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        self._watch = Watch.over(self.server_state, self.loop)
        address = address_counted(self.client[0]) if self.client else ""
        if self._watch.admits(address, self._is_trusted_proxy()):
            self._address = address
        else:
            self._end_with(503)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._tell_that_it_is_gone()
        if self._address is not None:
            self._watch.forget(self._address)
            self._address = None

    def _is_trusted_proxy(self) -> bool:
        app = self.app
        return bool(
            isinstance(app, ProxyHeadersMiddleware) and self.client and self.client[0] in app.trusted_hosts
        )

    # --- What comes

    def data_received(self, data: bytes) -> None:
        scope = self.scope
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self._end_with(400)
            return
        except httptools.HttpParserUpgrade:
            # Of WebSockets and HTTP/2 we know nothing (RFC 9110 7.8: then it is a request like any other), and the
            # parser knows nothing of what follows.
            self.cycle.keep_alive = False
        if self.cycle is None or self.cycle.scope is not self.scope:
            self._head = self._head + len(data) if self.scope is scope else 0
            if self._head > MOST_HEAD:
                self._end_with(431)

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= MOST_AHEAD:
            raise _TooManyAhead
        self._body = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._body += len(body)
        if self._body > MOST_BODY:
            self.cut()

    # --- What goes

    def on_response_complete(self) -> None:
        """As uvicorn does it, but for its timer: the watch looks after those who are idle."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._at_work = cycle
        super()._start_asgi_task(cycle, app)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._taken += ENOUGH  # from the high to the low mark it is more than that

    def _end_with(self, status: int) -> None:
        """Before anything else could be answered: what is at work for this client finds it gone."""
        self._tell_that_it_is_gone()
        self.pipeline.clear()
        self.transport.write(_HEAD % (_LINES[status], len(_TEXTS[status])) + _TEXTS[status])
        self.transport.close()

    def _tell_that_it_is_gone(self) -> None:
        """uvicorn tells the last request alone; one before it would write to what is closed."""
        if self._at_work is not None:
            self._at_work.disconnected = True
            self._at_work.message_event.set()

    # --- Who is let go

    def look(self, now: float) -> None:
        """Lets the client go when it has kept us waiting for too long."""
        waits = self._waiting()
        before, self._waits = self._waits, waits
        if waits is None:
            return
        if not waits.goes_on_from(before) or waits.moved - self._moved >= ENOUGH:
            self._since, self._moved = now, waits.moved
        elif now - self._since > waits.within_s:
            self.cut()

    def _waiting(self) -> _Waits | None:
        """None while it is ours to go on."""
        unsent = self.transport.get_write_buffer_size()
        self._taken += max(0, self._unsent - unsent)
        self._unsent = unsent
        cycle = self.cycle
        if unsent:
            return _Waits(TAKEN_WITHIN_S, None, self._taken)
        if self.flow.read_paused:
            return None
        if cycle is None or cycle.scope is not self.scope:
            return _Waits(HEAD_WITHIN_S, self.scope)
        if cycle.more_body:  # also the rest of what was answered already
            return _Waits(BODY_WITHIN_S, cycle, self._body)
        return _Waits(NEXT_WITHIN_S, cycle) if cycle.response_complete else None

    def cut(self) -> None:
        """At once, with what was not sent yet: closing would wait until the client has taken it."""
        if (connection := self.transport.get_extra_info("socket")) is not None and self._unsent:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()


class Watch:
    """Over all connections of one server."""

    _all: ClassVar[WeakKeyDictionary[ServerState, "Watch"]] = WeakKeyDictionary()

    def __init__(self, server: ServerState, loop: asyncio.AbstractEventLoop) -> None:
        self._connections = server.connections
        self._loop = loop
        self._of_one: Counter[str] = Counter()
        self._is_looking = False

    @classmethod
    def over(cls, server: ServerState, loop: asyncio.AbstractEventLoop) -> "Watch":
        watch = cls._all.get(server)
        if watch is None:
            watch = cls._all[server] = cls(server, loop)
        return watch

    def admits(self, address: str, is_trusted_proxy: bool) -> bool:
        """Counts one connection more, unless there are too many."""
        if len(self._connections) > MOST or (self._of_one[address] >= MOST_OF_ONE and not is_trusted_proxy):
            return False
        self._of_one[address] += 1
        if not self._is_looking:
            self._is_looking = True
            self._loop.call_later(LOOK_EVERY_S, self._look)
        return True

    def forget(self, address: str) -> None:
        self._of_one[address] -= 1
        if not self._of_one[address]:
            del self._of_one[address]

    def _look(self) -> None:
        now = self._loop.time()
        for connection in list(self._connections):
            if isinstance(connection, Connection):
                connection.look(now)
        self._is_looking = bool(self._connections)
        if self._is_looking:
            self._loop.call_later(LOOK_EVERY_S, self._look)
