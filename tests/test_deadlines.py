"""Connections that come in: who is slow is let go, who speaks no HTTP is told so, and nobody takes all the places.

The protocol stands on a transport that only remembers, and its clock is a number.
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import cast

import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from events import connections
from events.config import Settings
from events.connections import (
    BODY_WITHIN_S,
    ENOUGH,
    HEAD_WITHIN_S,
    MOST_AHEAD,
    MOST_BODY,
    MOST_HEAD,
    NEXT_WITHIN_S,
    TAKEN_WITHIN_S,
    Connection,
)
from events.db import Database
from events.server import TAKEN_WITHIN_MS, config_of, listen
from tests.conftest import Cast

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\n"


class Wire(asyncio.Transport):
    """Remembers what was written; a client takes nothing of it unless the test says so."""

    def __init__(self, peer: str) -> None:
        super().__init__({"peername": (peer, 50_000), "sockname": ("127.0.0.1", 8000)})
        self.written = b""
        self.unsent = 0
        self.ended = ""  # by what
        self.is_read = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert self.ended == "", "nothing is written to what is closed"
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def is_closing(self) -> bool:
        return bool(self.ended)

    def close(self) -> None:
        self.ended = self.ended or "closed"

    def abort(self) -> None:
        self.ended = "cut"

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    @property
    def statuses(self) -> list[int]:
        heads = self.written.split(b"HTTP/1.1 ")[1:]
        return [int(head[:3]) for head in heads]


@dataclass
class Server:
    """Connections to one application."""

    app: ASGIApp
    settings: Settings
    state: ServerState = field(default_factory=ServerState)

    def __post_init__(self) -> None:
        self.config = config_of(cast(Starlette, self.app), self.settings, "localhost")
        self.config.load()

    def connect(self, peer: str = "192.0.2.1") -> tuple[Connection, Wire]:
        loop, wire = asyncio.get_running_loop(), Wire(peer)
        assert self.config.http_protocol_class is Connection
        connection = Connection(self.config, self.state, {}, loop)
        connection.connection_made(wire)
        return connection, wire


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads all, and answers with how much it was."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message.get("body", b"")), message["more_body"]
    body = str(size).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def busy(scope: Scope, receive: Receive, send: Send) -> None:
    await asyncio.Event().wait()


@pytest.fixture
def server(settings: Settings) -> Server:
    return Server(echo, settings)


def played(scene: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await scene()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    asyncio.run(whole())


async def settled() -> None:
    """Whatever can go on without the client has gone on."""
    for _ in range(10):
        await asyncio.sleep(0)


def looked_at(connection: Connection, wire: Wire, within_s: float) -> None:
    """It stays until its time is over, and not longer."""
    connection.look(1000)
    connection.look(1000 + within_s)
    assert wire.ended == ""
    connection.look(1000 + within_s + 1)
    assert wire.ended == "cut"


# --- Slow clients


@pytest.mark.parametrize("sent", [b"", b"GE", b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: x"])
def test_who_does_not_finish_a_head_is_cut(server: Server, sent: bytes) -> None:
    async def scene() -> None:
        connection, wire = server.connect()
        connection.data_received(sent)
        looked_at(connection, wire, HEAD_WITHIN_S)

    played(scene)


def test_a_head_that_drips_has_no_longer_than_one_that_stands_still(server: Server) -> None:
    async def scene() -> None:
        connection, wire = server.connect()
        connection.data_received(b"GET / HTTP/1.1\r\n")
        for second in range(12):
            connection.data_received(b"X-%d: x\r\n" % second)
            connection.look(1000 + second)
        assert wire.ended == "cut"

    played(scene)


@pytest.mark.parametrize("framing", [b"Content-Length: 30000", b"Transfer-Encoding: chunked"])
def test_who_does_not_finish_a_body_is_cut_and_the_site_told(
    server: Server, framing: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        connection, wire = server.connect()
        connection.data_received(POST + framing + b"\r\n\r\n")
        await settled()
        looked_at(connection, wire, BODY_WITHIN_S)
        connection.connection_lost(None)
        await settled()
        assert not server.state.tasks, "whoever read the body does not wait for ever"

    played(scene)
    assert caplog.records == []


def test_a_body_on_a_bad_line_has_the_time_it_needs(server: Server) -> None:
    async def scene() -> None:
        connection, wire = server.connect()
        connection.data_received(POST + b"Content-Length: %d\r\n\r\n" % (5 * ENOUGH))
        for part in range(5):
            connection.look(1000 + part * BODY_WITHIN_S)
            connection.data_received(b"x" * ENOUGH)
            await settled()
        assert (wire.statuses, wire.ended) == ([200], "")

    played(scene)


def test_who_does_not_take_the_answer_is_cut_also_when_the_connection_is_closing(server: Server) -> None:
    async def scene() -> None:
        for closing in (b"", b"Connection: close\r\n"):
            connection, wire = server.connect()
            connection.data_received(GET[:-2] + closing + b"\r\n")
            await settled()
            wire.unsent = 50_000
            connection.look(1000)
            connection.look(1000 + TAKEN_WITHIN_S)
            assert wire.ended == ("closed" if closing else "")
            connection.look(1000 + TAKEN_WITHIN_S + 1)
            assert wire.ended == "cut"

    played(scene)


def test_who_takes_the_answer_slowly_may(server: Server) -> None:
    async def scene() -> None:
        connection, wire = server.connect()
        connection.data_received(GET)
        await settled()
        for part in range(10):
            wire.unsent = (10 - part) * ENOUGH
            connection.look(1000 + part * TAKEN_WITHIN_S)
        assert wire.ended == ""

    played(scene)


def test_who_has_no_further_request_is_cut(server: Server) -> None:
    async def scene() -> None:
        connection, wire = server.connect()
        connection.data_received(GET)
        await settled()
        looked_at(connection, wire, NEXT_WITHIN_S)

    played(scene)


def test_each_request_has_its_own_time(server: Server) -> None:
    async def scene() -> None:
        connection, wire = server.connect()
        for second in range(0, 60, 4):
            connection.look(1000 + second)
            connection.data_received(GET)
            await settled()
        assert (len(wire.statuses), wire.ended) == (15, "")

    played(scene)


def test_nobody_is_cut_while_the_site_is_at_work(settings: Settings) -> None:
    async def scene() -> None:
        connection, wire = Server(busy, settings).connect()
        connection.data_received(GET)
        await settled()
        for second in range(100):
            connection.look(1000 + second)
        assert wire.ended == ""

    played(scene)


def test_one_timer_looks_after_all_and_ends_with_the_last(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        loop, timers = asyncio.get_running_loop(), list[Callable[[], None]]()
        monkeypatch.setattr(loop, "call_later", lambda _, call: timers.append(call))
        here = [server.connect() for _ in range(100)]
        assert len(timers) == 1
        timers.pop()()
        assert len(timers) == 1
        for connection, _ in here:
            connection.connection_lost(None)
        timers.pop()()
        assert timers == []

    played(scene)


def test_what_the_kernel_still_has_to_send_is_given_up_as_well(database: Database) -> None:
    """A connection that was closed lives on in there until its client has taken everything."""
    (listening,) = listen("127.0.0.1", 0)
    with listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == TAKEN_WITHIN_MS


# --- Too many, too much


def test_an_address_has_so_many_connections_and_another_its_own(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST_OF_ONE", 3)

    async def scene() -> None:
        here = [server.connect(f"2001:db8:0:1::{number:x}") for number in range(4)]
        assert [wire.statuses for _, wire in here] == [[], [], [], [503]], "an IPv6 network of /64 is one"
        assert here[3][1].ended == "closed"
        assert server.connect("2001:db8:0:2::1")[1].statuses == []
        for connection, _ in here:
            connection.connection_lost(None)
        assert server.connect("2001:db8:0:1::1")[1].statuses == []

    played(scene)


def test_a_trusted_proxy_speaks_for_many_and_may_have_more(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST_OF_ONE", 3)
    server = Server(echo, replace(settings, trusted_proxies=("10.0.0.0/8",)))

    async def scene() -> None:
        assert [server.connect("10.1.2.3")[1].statuses for _ in range(5)] == [[]] * 5
        assert [server.connect("11.1.2.3")[1].statuses for _ in range(4)] == [[], [], [], [503]]

    played(scene)


def test_a_process_has_so_many_connections(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST", 3)

    async def scene() -> None:
        here = [server.connect(f"192.0.2.{number}") for number in range(4)]
        assert [wire.statuses for _, wire in here] == [[], [], [], [503]]

    played(scene)


@pytest.mark.parametrize("endless", [b"GET /", b"GET / HTTP/1.1\r\nX-", b"GET / HTTP/1.1\r\nX: "])
def test_a_head_without_end_is_431(server: Server, endless: bytes) -> None:
    async def scene() -> None:
        connection, wire = server.connect()
        connection.data_received(endless)
        for _ in range(MOST_HEAD // 1000):
            connection.data_received(b"x" * 1000)
        assert wire.ended == ""
        connection.data_received(b"x")
        assert (wire.statuses, wire.ended) == ([431], "closed")

    played(scene)


def test_a_body_that_goes_on_after_its_refusal_is_cut(settings: Settings) -> None:
    async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})

    async def scene() -> None:
        connection, wire = Server(refusing, settings).connect()
        connection.data_received(POST + b"Content-Length: 99999999999\r\n\r\n")
        await settled()
        for _ in range(MOST_BODY // 1_000_000):
            connection.data_received(b"x" * 1_000_000)
        assert (wire.statuses, wire.ended) == ([413], ""), "a browser that is still sending reads why"
        connection.data_received(b"x")
        assert wire.ended == "cut"

    played(scene)


def test_requests_sent_ahead_are_answered_in_their_order_up_to_a_number(server: Server) -> None:
    async def scene() -> None:
        connection, wire = server.connect()
        connection.data_received(GET * MOST_AHEAD)
        for _ in range(MOST_AHEAD):
            await settled()
        assert wire.statuses == [200] * MOST_AHEAD
        connection, wire = server.connect()
        connection.data_received(GET * (MOST_AHEAD + 2))
        await settled()
        assert (wire.statuses, wire.ended) == ([400], "closed")

    played(scene)


# --- What is no request, or not one alone


@pytest.mark.parametrize(
    "sent",
    [
        POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
        POST + b"Content-Length: 1, 1\r\n\r\na",
        POST + b"Content-Length: +1\r\n\r\na",
        POST + b"Content-Length: -1\r\n\r\na",
        POST + b"Content-Length : 1\r\n\r\na",
        POST + b"Transfer-Encoding: identity\r\n\r\n",
        POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\nHost: localhost\n\n",
        b"GET / HTTP/1.1\r\nHost: localhost\nX: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\rX: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: y\r\n z\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"EHLO example.org\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
    ],
)
def test_what_two_servers_could_read_differently_is_400(server: Server, sent: bytes) -> None:
    async def scene() -> None:
        connection, wire = server.connect()
        connection.data_received(sent)
        await settled()
        assert (wire.statuses, wire.ended) == ([400], "closed")

    played(scene)


@pytest.mark.parametrize(
    "chunk", [b"1\na\n0\n\n", b"-1\r\na", b"0x1\r\na", b"1;a\nb\r\na", b"1" * 17 + b"\r\n"]
)
def test_a_chunk_that_is_none_is_400(server: Server, chunk: bytes) -> None:
    async def scene() -> None:
        connection, wire = server.connect()
        connection.data_received(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        await settled()
        connection.data_received(chunk)
        await settled()
        assert (wire.statuses, wire.ended) == ([400], "closed")

    played(scene)


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c"])
def test_a_wish_for_another_protocol_is_answered_in_ours_and_nothing_is_read_after_it(
    server: Server, protocol: bytes
) -> None:
    async def scene() -> None:
        connection, wire = server.connect()
        connection.data_received(GET[:-2] + b"Connection: Upgrade\r\nUpgrade: %b\r\n\r\n" % protocol + GET)
        await settled()
        assert (wire.statuses, wire.ended) == ([200], "closed")
        assert b"connection: close" in wire.written

    played(scene)


def test_http_1_0_is_answered_and_its_connection_closed(server: Server) -> None:
    async def scene() -> None:
        connection, wire = server.connect()
        connection.data_received(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        await settled()
        assert (wire.statuses, wire.ended) == ([200], "closed")

    played(scene)


def test_a_body_is_asked_for_only_when_somebody_reads_it(server: Server, settings: Settings) -> None:
    waiting = POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n"

    async def scene() -> None:
        connection, wire = server.connect()
        connection.data_received(waiting)
        await settled()
        assert wire.statuses == [100]
        connection.data_received(b"ab")
        await settled()
        assert wire.statuses == [100, 200]

        connection, wire = Server(busy, settings).connect()
        connection.data_received(waiting)
        await settled()
        assert wire.statuses == []

    played(scene)


# --- Who is behind a proxy


async def who(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers whom it takes the client for, and by which scheme it came."""
    body = f"{scope['scheme']} {scope['client'][0]}".encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.mark.parametrize(
    ("peer", "forwarded", "taken_for"),
    [
        ("10.0.0.1", ["203.0.113.7"], "https 203.0.113.7"),
        ("10.0.0.1", ["203.0.113.7, 10.0.0.2"], "https 203.0.113.7"),  # two of ours in a row
        ("10.0.0.1", ["1.1.1.1, 203.0.113.7"], "https 203.0.113.7"),  # the first was said by the client
        ("10.0.0.1", ["1.1.1.1", "203.0.113.7, 10.0.0.2"], "https 203.0.113.7"),
        ("10.0.0.1", ["1.1.1.1, 203.0.113.7, 10.0.0.9"], "https 10.0.0.9"),  # a neighbour that is no proxy
        ("10.0.0.1", ["[2001:db8::7]:4711"], "https 2001:db8::7"),
        ("10.0.0.1", [], "https 10.0.0.1"),
        ("2001:db8:1::1", ["203.0.113.7"], "https 203.0.113.7"),
        ("10.0.0.9", ["203.0.113.7"], "http 10.0.0.9"),
        ("203.0.113.9", ["10.0.0.1"], "http 203.0.113.9"),
    ],
)
def test_what_was_forwarded_is_believed_of_our_own_proxies_alone(
    settings: Settings, peer: str, forwarded: list[str], taken_for: str
) -> None:
    server = Server(who, replace(settings, trusted_proxies=("10.0.0.1", "10.0.0.2", "2001:db8:1::/64")))

    async def scene() -> None:
        connection, wire = server.connect(peer)
        said = "".join(f"X-Forwarded-For: {one}\r\n" for one in forwarded) + "X-Forwarded-Proto: https\r\n"
        connection.data_received(GET[:-2] + said.encode() + b"Forwarded: for=1.1.1.1\r\n\r\n")
        await settled()
        assert wire.written.endswith(b"\r\n\r\n" + taken_for.encode())

    played(scene)


def test_without_proxies_nothing_that_was_forwarded_is_believed(settings: Settings) -> None:
    async def scene() -> None:
        connection, wire = Server(who, settings).connect("127.0.0.1")
        said = b"X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Real-IP: 203.0.113.7\r\n\r\n"
        connection.data_received(GET[:-2] + said)
        await settled()
        assert wire.written.endswith(b"http 127.0.0.1")

    played(scene)


# --- The site behind it


async def answered(app: Starlette, settings: Settings, *pieces: bytes) -> Wire:
    connection, wire = Server(app, settings).connect()
    for piece in pieces:
        connection.data_received(piece)
        await settled()
    while not wire.statuses or wire.statuses == [100]:
        await asyncio.sleep(0.005)
    return wire


FORM = (
    b"POST /branches/alder/contact HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n"
)


def test_a_body_is_413_before_any_of_it_is_sent(app: Starlette, settings: Settings, cast: Cast) -> None:
    async def scene() -> None:
        head = FORM + b"Expect: 100-continue\r\nContent-Length: 3000000\r\n\r\n"
        assert (await answered(app, settings, head)).statuses == [413]

    played(scene)


def test_a_body_in_chunks_is_413_when_it_has_become_too_large(
    app: Starlette, settings: Settings, cast: Cast
) -> None:
    async def scene() -> None:
        chunk = b"f4240\r\n" + b"x" * 1_000_000 + b"\r\n"
        head = FORM + b"Transfer-Encoding: chunked\r\n\r\n"
        assert (await answered(app, settings, head, *[chunk] * 3)).statuses == [413]

    played(scene)


def test_a_form_that_breaks_off_is_no_fault_of_ours(
    app: Starlette, settings: Settings, cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        server = Server(app, settings)
        connection, _ = server.connect()
        connection.data_received(FORM + b"Content-Length: 10\r\n\r\nname")
        await settled()
        connection.connection_lost(None)
        while server.state.tasks:
            await asyncio.sleep(0.005)

    played(scene)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
