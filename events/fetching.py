"""Fetching what an outside link names, without being led to what is not public.

Whoever types a link decides where this server connects to, and whoever owns the name behind it decides again at
each look-up. So the address is judged inside the connection, and the connection goes to that very address. What
was refused there, and why, is nobody's business: one sentence stands for all of it (a private address, an unknown
name, a closed port, silence), or the answers would draw a map of the network that we stand in.
"""

import contextlib
import ipaddress
import re
import socket
import ssl
import threading
import time
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, quote, urljoin, urlsplit

import httpcore2

from .drafts import host_in_ascii
from .errors import BranchlineError, Message, Unreadable, say
from .metrics import counts, refusals

CONNECT_WITHIN_S = 3.0  # of one address that swallows packets: the next may do better
LONGEST_URL = 2000
LONGEST_VALIDATOR = 1000
MOST_ADDRESSES = 4  # of a name; all are judged, these are tried
MOST_HEADERS = 200
MOST_REDIRECTS = 3
MOST_RETRY_AFTER_S = 86_400
PORTS = {"https": 443, "http": 80}

_PERMANENT = {301, 308}
_REDIRECTS = {301, 302, 303, 307, 308}
_GONE = {404, 410}
_FAILURES = (
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.TimeoutException,
    httpcore2.UnsupportedProtocol,
    OSError,
)
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_IN_A_PATH = "/%:@!$&'()*+,;=~-._"  # RFC 3986 3.3; what is escaped already stays as it is

# The IANA registries of special addresses (RFC 6890 and after it), whatever this Python's `ipaddress` knows of them.
# Last: by its number public, but inside Azure it is the host that hands out secrets.
_NOT_PUBLIC_4 = """
    0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24
    192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24
    203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 168.63.129.16/32
"""
# Public IPv6 is 2000::/3, without protocol assignments (Teredo, benchmarking, ORCHID), documentation, 6to4 (which
# leads to any IPv4 address) and AS112. NAT64, unique local, link- and site-local, multicast lie outside of it.
_PUBLIC_6 = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_6 = "2001::/23 2001:db8::/32 3fff::/20 2002::/16 2620:4f:8000::/48"
_NOT_PUBLIC = [ipaddress.ip_network(network) for network in f"{_NOT_PUBLIC_4} {_NOT_PUBLIC_6}".split()]


@dataclass(frozen=True, slots=True)
class Fetched:
    """`body` is empty with 304. `permanent_url`: where the link has moved for good, '' if it has not."""

    status: int
    body: bytes
    etag: str
    last_modified: str
    url: str
    permanent_url: str


class Unreachable(BranchlineError):
    """Nothing came of it. `retry_after` in seconds, if the server named a time; `is_gone` after 404 or 410."""

    def __init__(
        self, message: Message | None = None, *, retry_after: int | None = None, is_gone: bool = False
    ) -> None:
        super().__init__(
            message
            or say("Nothing usable answered at this link. Is it spelled right, and open to everybody?")
        )
        self.retry_after = retry_after
        self.is_gone = is_gone


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the caller asked for."""

    accept: str
    user_agent: str
    etag: str
    last_modified: str
    allow_http: bool
    most_bytes: int

    def headers(self, host: str) -> list[tuple[str, str]]:
        wanted = {
            "Host": host,
            "User-Agent": self.user_agent,
            "Accept": self.accept,
            "Accept-Encoding": "identity",  # what unpacks to gigabytes is not even sent
            "Connection": "close",
            "If-None-Match": _validator(self.etag),
            "If-Modified-Since": _validator(self.last_modified),
        }
        return [(name, value) for name, value in wanted.items() if value]


@refusals("branchline_fetch_failures")
def fetch(
    url: str,
    *,
    accept: str,
    user_agent: str,
    etag: str = "",
    last_modified: str = "",
    allow_http: bool = False,
    most_bytes: int = 2_000_000,
    within_s: float = 10.0,
) -> Fetched:
    """What a public server says at `url`, now. Raises Unreachable, and nothing else that a link could cause.

    `etag` and `last_modified` are those of the copy at hand; if it is still good, `status` is 304. Blocks for at
    most `within_s`, from the look-up of the name to the last byte. The body is what the server sent: whether it is
    what was hoped for is for a parser to say.
    """
    wanted = _Wanted(accept, user_agent, etag, last_modified, allow_http, most_bytes)
    backend = _PublicOnly(_Allowance(time.monotonic() + within_s, 2 * most_bytes + 1_000_000))
    try:
        with httpcore2.ConnectionPool(
            ssl_context=ssl.create_default_context(), max_keepalive_connections=0, network_backend=backend
        ) as pool:
            return _follow(pool, url, wanted)
    except (Unreadable, *_FAILURES) as error:
        raise Unreachable() from error


def _follow(pool: httpcore2.ConnectionPool, url: str, wanted: _Wanted) -> Fetched:
    statuses: list[int] = []
    while len(statuses) <= MOST_REDIRECTS:
        url = normal_url(url, allow_http=wanted.allow_http)
        with pool.stream("GET", url, headers=wanted.headers(urlsplit(url).netloc)) as response:
            answer = _Answer(response)
            if not answer.is_redirect:
                return answer.read(wanted, url, url if statuses and _PERMANENT.issuperset(statuses) else "")
            url = answer.target(url)
        statuses.append(response.status)
    raise Unreachable(say("This link leads from one address to the next, and on and on."))


class _Answer:
    """A response whose head is here and whose body is not."""

    def __init__(self, response: httpcore2.Response) -> None:
        if len(response.headers) > MOST_HEADERS:  # their size is bounded by httpcore2, at 100 KB
            raise Unreachable()
        self._response = response
        self._headers = {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers
        }

    @property
    def is_redirect(self) -> bool:
        return self._response.status in _REDIRECTS and "location" in self._headers

    def target(self, url: str) -> str:
        """Where it sends us, as it says so; nothing is judged yet."""
        try:
            return urljoin(url, self._headers["location"])
        except ValueError as error:
            raise Unreachable() from error

    def read(self, wanted: _Wanted, url: str, permanent_url: str) -> Fetched:
        status, is_conditional = self._response.status, bool(wanted.etag or wanted.last_modified)
        if status != 200 and not (status == 304 and is_conditional):
            raise Unreachable(
                say("The server answered %(status)d.", status=status),
                retry_after=self._retry_after(),
                is_gone=status in _GONE,
            )
        return Fetched(
            status=status,
            body=self._body(wanted.most_bytes) if status == 200 else b"",
            etag=_validator(self._headers.get("etag", "")),
            last_modified=_validator(self._headers.get("last-modified", "")),
            url=url,
            permanent_url=permanent_url,
        )

    def _body(self, most_bytes: int) -> bytes:
        if self._headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise Unreachable(say("The server sent something compressed, though it was asked not to."))
        # httpcore2 has seen to it that this is a number, and that no more than it is read.
        announced = int(self._headers.get("content-length", "0"))
        body = bytearray()
        for chunk in self._response.iter_stream() if announced <= most_bytes else ():
            body += chunk
            if len(body) > most_bytes:
                break
        if max(announced, len(body)) > most_bytes:
            raise Unreachable(
                say("The server sent more than %(megabytes)s MB.", megabytes=f"{most_bytes / 1_000_000:g}")
            )
        return bytes(body)

    def _retry_after(self) -> int | None:
        """RFC 9110 10.2.3: seconds or a date. A date counts from the server's own Date, whatever its clock says."""
        text = self._headers.get("retry-after", "").strip()
        try:
            if re.fullmatch(r"[0-9]{1,12}", text):
                seconds = int(text)
            else:
                then, now = (parsedate_to_datetime(date) for date in (text, self._headers.get("date", "")))
                seconds = int(then.timestamp() - now.timestamp())
        except (ValueError, OverflowError):
            return None
        return min(max(seconds, 0), MOST_RETRY_AFTER_S)


def _validator(text: str) -> str:
    """Goes out as it came in, or not at all."""
    return text if text.isascii() and text.isprintable() and len(text) <= LONGEST_VALIDATOR else ""


# --- Links


def normal_url(text: str, *, allow_http: bool) -> str:
    """The one form of a link that a person typed: what is stored, compared and fetched. Raises Unreadable.

    https always, also for webcal; http only if allowed and typed. Its name is in ASCII (IDNA 2008), its path
    escaped, its fragment gone.
    """
    text = text.strip()
    if "\\" in text or any(unicodedata.category(character) == "Cc" for character in text):
        raise Unreadable(say("A link has no line breaks and no backslashes."))
    try:
        parts = urlsplit(text[: LONGEST_URL + 1])
        scheme = _scheme(parts.scheme, allow_http)
        server = _server(parts, scheme)
        path, query = (quote(part, safe=_IN_A_PATH + "?") for part in (parts.path or "/", parts.query))
    except ValueError as error:
        raise _no_link() from error
    url = f"{scheme}://{server}{path}{'?' if query else ''}{query}"
    if max(len(text), len(url)) > LONGEST_URL:
        raise Unreadable(say("A link has at most %(most)d characters.", most=LONGEST_URL))
    return url


def _no_link() -> Unreadable:
    return Unreadable(say("This is no link to a public server, like https://example.org/calendar.ics."))


def _scheme(typed: str, allow_http: bool) -> str:
    if typed in ("https", "webcal", "webcals"):
        return "https"
    if typed == "http" and allow_http:
        return typed
    if typed == "http":
        raise Unreadable(
            say("A link must begin with https://, so that nobody can change what comes on the way.")
        )
    raise Unreadable(say("A link begins with https:// or webcal://."))


def _server(parts: SplitResult, scheme: str) -> str:
    """The name and, if it is not the usual one, the port. Raises ValueError for what names no server."""
    if "@" in parts.netloc:
        raise Unreadable(say("A link with a name and a password in it cannot be used."))
    if parts.port not in (None, *PORTS.values()):
        raise Unreadable(say("A link with a port of its own cannot be used."))
    host = _host(parts.hostname or "")
    return host if parts.port in (None, PORTS[scheme]) else f"{host}:{parts.port}"


def _host(name: str) -> str:
    if ":" in name:
        address = ipaddress.IPv6Address(name)
        if address.scope_id is not None:
            raise _no_link()
        return f"[{address.compressed}]"
    name = host_in_ascii(name).removesuffix(".")
    if not _HOST.fullmatch(name):
        raise _no_link()
    return name


# --- Connections


def is_public(address: str) -> bool:
    """Whether everybody can reach this address, so that reaching it gives nothing away."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip
    if isinstance(ip, ipaddress.IPv6Address) and ip not in _PUBLIC_6:
        return False
    return not any(ip in network for network in _NOT_PUBLIC)


class _Lookup(threading.Thread):
    """`getaddrinfo` knows no deadline, so it runs in a thread that can be left behind."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(name="lookup", daemon=True)
        self.addresses: list[str] = []
        self._wanted = host, port

    def run(self) -> None:
        with contextlib.suppress(OSError, UnicodeError):
            found = socket.getaddrinfo(*self._wanted, type=socket.SOCK_STREAM)
            self.addresses = [str(where[0]) for *_, where in found]


@dataclass(slots=True)
class _Allowance:
    """What one fetch may use up, over all its redirects: time, and bytes as they come from the network."""

    ends_at: float
    bytes_left: int

    def seconds(self) -> float:
        left = self.ends_at - time.monotonic()
        if left <= 0:
            raise httpcore2.ReadTimeout("the deadline has passed")
        return left

    def count(self, data: bytes) -> bytes:
        """Bodies have a limit of their own; this one is for what never becomes a body, like 1xx without end."""
        self.bytes_left -= len(data)
        if self.bytes_left < 0:
            raise httpcore2.ReadError("more came than any answer needs")
        return data


class _PublicOnly(httpcore2.NetworkBackend):
    """Connects to public addresses only. The address that was judged is the one that is connected to."""

    def __init__(self, allowance: _Allowance) -> None:
        self._allowance = allowance
        self._network = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        for address in self._addresses(host, port)[:MOST_ADDRESSES]:
            within = min(CONNECT_WITHIN_S, self._allowance.seconds())
            with contextlib.suppress(httpcore2.ConnectError, httpcore2.ConnectTimeout):
                stream = self._network.connect_tcp(address, port, within, local_address, socket_options)
                return _Stream(stream, self._allowance)
        raise httpcore2.ConnectError("no address of this name answered")

    def _addresses(self, host: str, port: int) -> list[str]:
        """All of them public: one that is not spoils the name, or a second record would be the way in."""
        lookup = _Lookup(host, port)
        lookup.start()
        lookup.join(self._allowance.seconds())
        addresses = lookup.addresses
        if port not in PORTS.values() or not all(is_public(address) for address in addresses):
            counts.count("branchline_fetch_forbidden_addresses")
            raise httpcore2.ConnectError("not public")
        return addresses


class _Stream(httpcore2.NetworkStream):
    """A connection that ends with the allowance, however slowly or plentifully the other side speaks."""

    def __init__(self, stream: httpcore2.NetworkStream, allowance: _Allowance) -> None:
        self._stream = stream
        self._allowance = allowance

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._allowance.count(self._stream.read(max_bytes, self._allowance.seconds()))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._allowance.seconds())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._allowance.seconds())
        return _Stream(stream, self._allowance)

    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)
