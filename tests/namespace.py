"""A network of its own for a thread, in which every address of the world is a local server.

Code that refuses all but public addresses cannot be tried on the loopback. Linux gives each thread its own network if
it asks, and there one route makes all addresses local: what is meant for 11.22.33.44 arrives here, and so would what
must never be sent to 10.0.0.1. Nothing leaves the machine. Files, Unix sockets and so the databases stay as they are.
"""

import contextlib
import ctypes
import errno
import os
import socket
import socketserver
import ssl
import struct
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.message import Message
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TypeVar

import trustme

Result = TypeVar("Result")

ADDRESS = "11.22.33.44"
CLONE_NEWNET = 0x40000000


# --- What is asked and answered


@dataclass(frozen=True)
class Asked:
    address: str  # of ours, to which the connection was made
    path: str
    headers: Message


@dataclass(frozen=True)
class Answer:
    """Bytes get a Content-Length unless `headers` has one; anything else is sent piece by piece until it ends."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Iterable[bytes] = b""


@dataclass(frozen=True)
class Wire:
    """An answer as it stands on the wire, head and all."""

    pieces: Iterable[bytes]


Response = Answer | Wire


@dataclass
class Upstream:
    """The far end, on ports 80 and 443 of all addresses. Set `answers` for paths; see what it was asked."""

    _inside: ThreadPoolExecutor
    answers: dict[str, Response | Callable[[Asked], Response]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    connections: list[str] = field(default_factory=list)  # addresses, also of those that never said a word
    is_mute: bool = False  # takes connections and never says a word, not even in a handshake
    closing: threading.Event = field(default_factory=threading.Event)

    def inside(self, function: Callable[[], Result]) -> Result:
        """What `function` returns or raises when it is called where this upstream is the world."""
        return self._inside.submit(function).result()

    def cut_off(self, address: str) -> None:
        """From now on there is no way to this IPv4 address."""
        self.inside(lambda: _add_route(socket.AF_INET, RTN_UNREACHABLE, socket.inet_aton(address)))

    def answer(self, asked: Asked) -> Response:
        self.asked.append(asked)
        answer = self.answers.get(asked.path, Answer(404))
        return answer(asked) if callable(answer) else answer

    def for_ever(self, piece: bytes, every_s: float = 0) -> Iterator[bytes]:
        """The same again and again, until the test is over or nobody listens."""
        while not self.closing.wait(every_s):
            yield piece

    def forget(self) -> None:
        """As it was at first, but for addresses that were cut off."""
        self.is_mute = False
        for seen in (self.answers, self.asked, self.connections):
            seen.clear()


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"

    def handle(self) -> None:
        while self.server.upstream.is_mute:
            if self.server.upstream.closing.wait(0.01):
                return
        super().handle()

    def do_GET(self) -> None:
        asked = Asked(_address(self.request), self.path, self.headers)
        answer = self.server.upstream.answer(asked)
        for piece in _on_the_wire(answer):
            self.wfile.write(piece)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: tests read `asked`."""


def _on_the_wire(answer: Response) -> Iterator[bytes]:
    if isinstance(answer, Wire):
        yield from answer.pieces
        return
    headers = dict(answer.headers)
    if isinstance(answer.body, bytes):
        headers.setdefault("Content-Length", str(len(answer.body)))
    lines = [f"HTTP/1.1 {answer.status} Said", *(f"{name}: {value}" for name, value in headers.items())]
    yield "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1")
    yield from [answer.body] if isinstance(answer.body, bytes) else answer.body


def _address(connection: socket.socket) -> str:
    return str(connection.getsockname()[0]).removeprefix("::ffff:")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 50

    def __init__(self, upstream: Upstream, port: int) -> None:
        self.upstream = upstream
        dual = socket.has_dualstack_ipv6()
        self.address_family = socket.AF_INET6 if dual else socket.AF_INET
        super().__init__(("::" if dual else "0.0.0.0", port), _Handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def get_request(self) -> tuple[socket.socket, object]:
        connection, peer = super().get_request()
        self.upstream.connections.append(_address(connection))
        return connection, peer

    def handle_error(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """Clients that hang up are what the tests are about."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


# --- The network


@contextlib.contextmanager
def public_upstream() -> Iterator[Upstream]:
    """Raises RuntimeError, with what to do, where there can be no such network."""
    with ThreadPoolExecutor(max_workers=1) as inside:
        inside.submit(_leave_the_world).result()
        upstream = Upstream(inside)
        with contextlib.ExitStack() as stack:
            for port in (80, 443):
                server = stack.enter_context(upstream.inside(partial(_Server, upstream, port)))
                if port == 443:
                    server.socket = _secured(server.socket)
                # A thread is where its starter is, so the server is started from inside.
                upstream.inside(threading.Thread(target=server.serve_forever, args=(0.02,)).start)
                stack.callback(server.shutdown)
            stack.callback(upstream.closing.set)
            yield upstream


def _leave_the_world() -> None:
    """Gives this thread, and those it starts, a network with nothing but a loopback that is all the world."""
    if sys.platform != "linux":
        raise RuntimeError("These tests need Linux, where a thread can have a network of its own.")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        if ctypes.get_errno() == errno.EPERM:
            raise RuntimeError(
                "These tests make a network of their own, which needs root (in a container: with SYS_ADMIN), "
                "or type: unshare --user --map-current-user --keep-caps ./dev test"
            )
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    _ask(RTM_NEWLINK, struct.pack("=BxHiII", socket.AF_UNSPEC, 0, LOOPBACK, IFF_UP, IFF_UP))
    _add_route(socket.AF_INET, RTN_LOCAL)
    with contextlib.suppress(OSError):  # a kernel without IPv6 has no address there that could be reached
        _add_route(socket.AF_INET6, RTN_LOCAL)


# rtnetlink(7); the numbers are from linux/rtnetlink.h and linux/netlink.h.
LOOPBACK = 1  # the first interface of every network
IFF_UP = 1
RTM_NEWLINK, RTM_NEWROUTE = 16, 24
REQUEST_CREATE_ACK = 0x1 | 0x400 | 0x4
RT_TABLE_LOCAL, RTPROT_BOOT, RT_SCOPE_HOST = 255, 3, 254
RTN_LOCAL, RTN_UNREACHABLE = 2, 7
RTA_DST, RTA_OIF = 1, 4


def _add_route(family: int, kind: int, address: bytes = b"") -> None:
    """`ip route add local default dev lo`, or to one IPv4 address."""
    head = (family, 8 * len(address), 0, 0, RT_TABLE_LOCAL, RTPROT_BOOT, RT_SCOPE_HOST, kind, 0)
    where = struct.pack("=HH", 8, RTA_DST) + address if address else struct.pack("=HHI", 8, RTA_OIF, LOOPBACK)
    _ask(RTM_NEWROUTE, struct.pack("=8BI", *head) + where)


def _ask(kind: int, body: bytes) -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.send(struct.pack("=IHHII", 16 + len(body), kind, REQUEST_CREATE_ACK, 1, 0) + body)
        (failure,) = struct.unpack_from("=i", kernel.recv(4096), 16)
    if failure:
        raise OSError(-failure, os.strerror(-failure))


# --- https

# Made anew for each run.
AUTHORITY = trustme.CA()
CERTIFICATE = AUTHORITY.issue_cert(ADDRESS, "calendar.example.org")


def trusted_certificates(folder: Path) -> Path:
    """A file for SSL_CERT_FILE with which https to this upstream is trusted."""
    path = folder / "trusted.pem"
    AUTHORITY.cert_pem.write_to_path(str(path))
    return path


def _secured(listening: socket.socket) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CERTIFICATE.configure_cert(context)
    # The handshake is left to the thread of each connection.
    return context.wrap_socket(listening, server_side=True, do_handshake_on_connect=False)
