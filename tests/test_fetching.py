"""The far end is a real server in a network of its own, where every address of the world, public or not, is reached."""

import ast
import gzip
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path

import pytest

from events import fetching
from events.errors import Unreadable
from events.fetching import Fetched, Unreachable, normal_url

from .namespace import ADDRESS, Answer, Asked, Upstream, Wire, public_upstream, trusted_certificates
from .test_project import calls, imported, modules

CALENDAR = b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"
HERE = f"http://{ADDRESS}"
NOTHING_USABLE = str(Unreachable())


@pytest.fixture(scope="module")
def world() -> Iterator[Upstream]:
    with public_upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(world: Upstream) -> Upstream:
    world.forget()
    return world


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Names and their addresses, in place of the DNS; each look-up takes the addresses of the name with it."""
    known: dict[str, list[str]] = {}
    really = socket.getaddrinfo

    def look_up(host: str, port: int, *args: int, **kwargs: int) -> list[object]:
        addresses = known.pop(host, [host])
        return [found for address in addresses for found in really(address, port, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


def fetch(
    upstream: Upstream,
    url: str,
    *,
    etag: str = "",
    last_modified: str = "",
    allow_http: bool = True,
    most_bytes: int = 100_000,
    within_s: float = 10.0,
) -> Fetched:
    return upstream.inside(
        lambda: fetching.fetch(
            url,
            accept="text/calendar",
            user_agent="Hazel/1",
            etag=etag,
            last_modified=last_modified,
            allow_http=allow_http,
            most_bytes=most_bytes,
            within_s=within_s,
        )
    )


def refusal(
    upstream: Upstream,
    url: str,
    *,
    allow_http: bool = True,
    most_bytes: int = 100_000,
    within_s: float = 10.0,
) -> Unreachable:
    with pytest.raises(Unreachable) as caught:
        fetch(upstream, url, allow_http=allow_http, most_bytes=most_bytes, within_s=within_s)
    return caught.value


def moved(to: str, status: int = 302) -> Answer:
    return Answer(status, {"Location": to})


# --- What a public server says


def test_what_a_public_server_says_is_fetched_with_its_validators(upstream: Upstream) -> None:
    validators = {"ETag": '"7"', "Last-Modified": "Mon, 23 Nov 2026 12:00:00 GMT"}
    upstream.answers["/c.ics"] = Answer(200, validators, CALENDAR)
    assert fetch(upstream, f"{HERE}/c.ics") == Fetched(
        200, CALENDAR, '"7"', "Mon, 23 Nov 2026 12:00:00 GMT", f"{HERE}/c.ics", ""
    )


def test_a_request_says_what_it_wants_and_nothing_about_us(upstream: Upstream) -> None:
    upstream.answers = {
        "/": Answer(302, {"Location": "/c.ics?x=1", "Set-Cookie": "a=b"}),
        "/c.ics?x=1": Answer(200, {}, CALENDAR),
    }
    fetch(upstream, f"{HERE}/#part")
    for asked in upstream.asked:
        assert dict(asked.headers) == {
            "Host": ADDRESS,
            "User-Agent": "Hazel/1",
            "Accept": "text/calendar",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
    assert len(upstream.asked) == 2


def test_a_copy_that_is_still_good_is_not_sent_again(upstream: Upstream) -> None:
    upstream.answers["/c.ics"] = Answer(304, {"ETag": '"7"'})
    fetched = fetch(upstream, f"{HERE}/c.ics", etag='"7"', last_modified="Mon, 23 Nov 2026 12:00:00 GMT")
    assert (fetched.status, fetched.body, fetched.etag) == (304, b"", '"7"')
    (asked,) = upstream.asked
    assert asked.headers["If-None-Match"] == '"7"'
    assert asked.headers["If-Modified-Since"] == "Mon, 23 Nov 2026 12:00:00 GMT"


def test_not_modified_is_no_answer_for_somebody_without_a_copy(upstream: Upstream) -> None:
    upstream.answers["/c.ics"] = Answer(304)
    assert str(refusal(upstream, f"{HERE}/c.ics")) == "The server answered 304."


@pytest.mark.parametrize("validator", ['"7"\r\nX-Evil: 1', "é", "7" * 2000])
def test_a_validator_that_is_no_header_is_not_sent(upstream: Upstream, validator: str) -> None:
    upstream.answers["/c.ics"] = Answer(200, {}, CALENDAR)
    fetch(upstream, f"{HERE}/c.ics", etag=validator)
    assert "If-None-Match" not in upstream.asked[0].headers


def test_a_page_is_passed_on_as_it_is_for_the_parser_to_judge(upstream: Upstream) -> None:
    upstream.answers["/"] = Answer(200, {"Content-Type": "text/html"}, b"<title>Sign in</title>")
    assert fetch(upstream, HERE).body == b"<title>Sign in</title>"


@pytest.mark.parametrize("scheme", ["https", "webcal", "webcals"])
def test_https_is_trusted_when_its_certificate_is(
    upstream: Upstream, scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted_certificates(tmp_path)))
    upstream.answers["/c.ics"] = Answer(200, {}, CALENDAR)
    fetched = fetch(upstream, f"{scheme}://{ADDRESS}/c.ics", allow_http=False)
    assert (fetched.body, fetched.url) == (CALENDAR, f"https://{ADDRESS}/c.ics")


def test_https_with_a_certificate_that_nobody_vouches_for_is_refused(upstream: Upstream) -> None:
    assert str(refusal(upstream, f"https://{ADDRESS}/c.ics")) == NOTHING_USABLE
    assert (upstream.connections, upstream.asked) == ([ADDRESS], [])


def test_https_with_the_certificate_of_another_name_is_refused(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted_certificates(tmp_path)))
    assert str(refusal(upstream, "https://11.22.33.45/c.ics")) == NOTHING_USABLE
    assert upstream.asked == []


def test_a_proxy_in_the_environment_is_not_asked(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://11.22.33.55")
    upstream.answers["/c.ics"] = Answer(200, {}, CALENDAR)
    fetch(upstream, f"{HERE}/c.ics")
    assert upstream.connections == [ADDRESS]


# --- Redirects


def test_three_redirects_are_followed(upstream: Upstream) -> None:
    upstream.answers = {
        "/1": moved("/2", 301),
        "/2": moved(f"{HERE}/3", 303),
        "/3": moved("//11.22.33.45/4", 307),
        "/4": Answer(200, {}, CALENDAR),
    }
    fetched = fetch(upstream, f"{HERE}/1")
    assert (fetched.body, fetched.url, fetched.permanent_url) == (CALENDAR, "http://11.22.33.45/4", "")
    assert upstream.connections == [ADDRESS, ADDRESS, ADDRESS, "11.22.33.45"]
    assert [asked.headers["Referer"] for asked in upstream.asked] == [None] * 4


def test_four_redirects_are_too_many(upstream: Upstream) -> None:
    upstream.answers["/"] = moved("/")
    assert str(refusal(upstream, HERE)) == "This link leads from one address to the next, and on and on."
    assert len(upstream.asked) == 4


def test_a_link_that_moved_for_good_says_where_to(upstream: Upstream) -> None:
    upstream.answers = {
        "/1": moved("/2", 301),
        "/2": moved("/3", 308),
        "/3": Answer(200, {}, CALENDAR),
    }
    assert fetch(upstream, f"{HERE}/1").permanent_url == f"{HERE}/3"


def test_a_redirect_to_nowhere_is_what_the_server_answered(upstream: Upstream) -> None:
    upstream.answers["/"] = Answer(302)
    assert str(refusal(upstream, HERE)) == "The server answered 302."


@pytest.mark.parametrize(
    "target",
    [
        "http://10.0.0.1/",
        "http://127.0.0.1/",
        "http://[::1]/",
        "//169.254.169.254/latest/meta-data/",
        f"http://{ADDRESS}:8080/",
        f"http://{ADDRESS}:22/",
        f"http://ana:secret@{ADDRESS}/",
        "file:///etc/passwd",
        "ftp://11.22.33.44/",
        "gopher://11.22.33.44:80/_GET",
        "http://[::1",
        "/" + "x" * 3000,
        "http://11.22.33.44\\@10.0.0.1/",
    ],
)
def test_a_redirect_to_where_nobody_may_go_is_refused(upstream: Upstream, target: str) -> None:
    upstream.answers["/"] = moved(target)
    assert str(refusal(upstream, HERE)) == NOTHING_USABLE
    assert upstream.connections == [ADDRESS]


def test_a_redirect_from_https_to_http_is_refused(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted_certificates(tmp_path)))
    upstream.answers = {"/": moved(f"{HERE}/c.ics"), "/c.ics": Answer(200, {}, CALENDAR)}
    assert str(refusal(upstream, f"https://{ADDRESS}", allow_http=False)) == NOTHING_USABLE
    assert [asked.path for asked in upstream.asked] == ["/"]
    assert fetch(upstream, f"https://{ADDRESS}", allow_http=True).body == CALENDAR


def test_a_name_that_changes_its_mind_on_the_way_is_refused(
    upstream: Upstream, names: dict[str, list[str]]
) -> None:
    def moved_meanwhile(_: Asked) -> Answer:
        names["calendar.example.org"] = ["10.0.0.1"]
        return moved("http://calendar.example.org/c.ics")

    upstream.answers = {"/": moved_meanwhile, "/c.ics": Answer(200, {}, CALENDAR)}
    names["calendar.example.org"] = [ADDRESS]
    assert str(refusal(upstream, "http://calendar.example.org/")) == NOTHING_USABLE
    assert (upstream.connections, names) == ([ADDRESS], {})


# --- What is not public

HOSTILE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.254",
    "127.0.0.1",
    "127.1",
    "127.8.8.8",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "017700000001",
    "0177.0.0.01",
    "167772161",
    "169.254.169.254",
    "168.63.129.16",
    "172.16.0.1",
    "172.31.255.254",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.1.1:443",
    "198.18.0.1",
    "198.19.255.254",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "①②⑦.0.0.1",
    "127。0。0。1",
    "localhost",
    "localhost.",
    "[::]",
    "[::1]",
    "[::127.0.0.1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::ffff:10.0.0.1]",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::8.8.8.8]",
    "[64:ff9b::10.0.0.1]",
    "[64:ff9b:1::1]",
    "[100::1]",
    "[2001::1]",
    "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
    "[2001:2::1]",
    "[2001:10::1]",
    "[2001:db8::1]",
    "[2002:7f00:1::1]",
    "[2002:808:808::1]",
    "[3fff::1]",
    "[5f00::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[fec0::1]",
    "[ff02::1]",
    "[ff0e::1]",
]


@pytest.mark.parametrize("host", HOSTILE)
def test_what_is_not_public_is_refused_and_never_contacted(upstream: Upstream, host: str) -> None:
    assert str(refusal(upstream, f"http://{host}/")) == NOTHING_USABLE
    assert upstream.connections == []


@pytest.mark.parametrize(
    ("host", "reached"),
    [
        ("8.8.8.8", "8.8.8.8"),
        ("185999660", ADDRESS),
        ("[::ffff:11.22.33.44]", ADDRESS),
        ("172.32.0.1", "172.32.0.1"),
        ("100.128.0.1", "100.128.0.1"),
    ],
)
def test_what_is_public_is_reached_however_it_is_written(upstream: Upstream, host: str, reached: str) -> None:
    upstream.answers["/"] = Answer(200, {}, CALENDAR)
    assert fetch(upstream, f"http://{host}/").body == CALENDAR
    assert upstream.connections == [reached]


def test_public_addresses_of_either_kind_are_known() -> None:
    assert fetching.is_public("2606:4700:4700::1111")
    assert fetching.is_public("2a00:1450:4001:80b::200e")
    assert fetching.is_public("1.1.1.1")


@pytest.mark.parametrize("private", ["10.0.0.1", "127.0.0.1", "::1", "::ffff:192.168.0.1", "fd00::1"])
def test_one_private_record_spoils_a_name(
    upstream: Upstream, names: dict[str, list[str]], private: str
) -> None:
    for addresses in ([ADDRESS, private], [private, ADDRESS]):
        names["calendar.example.org"] = addresses
        assert str(refusal(upstream, "http://calendar.example.org/")) == NOTHING_USABLE
    assert upstream.connections == []


def test_a_name_is_looked_up_once_so_it_cannot_change_its_mind(
    upstream: Upstream, names: dict[str, list[str]]
) -> None:
    upstream.answers["/"] = Answer(200, {}, CALENDAR)
    names["calendar.example.org"] = [ADDRESS]
    fetch(upstream, "http://calendar.example.org/")
    assert upstream.connections == [ADDRESS]
    assert upstream.asked[0].headers["Host"] == "calendar.example.org"
    assert names == {}
    with pytest.raises(socket.gaierror):
        upstream.inside(lambda: socket.getaddrinfo("calendar.example.org", 80))


def test_https_is_for_the_name_though_the_connection_is_to_its_address(
    upstream: Upstream, names: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted_certificates(tmp_path)))
    upstream.answers["/"] = Answer(200, {}, CALENDAR)
    names["calendar.example.org"] = ["8.8.4.4"]
    assert fetch(upstream, "https://calendar.example.org/", allow_http=False).body == CALENDAR
    assert upstream.connections == ["8.8.4.4"]


def test_the_next_address_is_tried_when_one_cannot_be_reached(
    upstream: Upstream, names: dict[str, list[str]]
) -> None:
    upstream.cut_off("11.22.33.97")
    upstream.answers["/"] = Answer(200, {}, CALENDAR)
    names["calendar.example.org"] = ["11.22.33.97", ADDRESS]
    assert fetch(upstream, "http://calendar.example.org/").body == CALENDAR


# --- What goes wrong on the way


def test_a_closed_door_an_unknown_name_and_silence_look_like_a_private_address(upstream: Upstream) -> None:
    upstream.cut_off("11.22.33.98")
    assert str(refusal(upstream, "http://11.22.33.98/")) == NOTHING_USABLE
    assert str(refusal(upstream, "http://unknown.invalid/")) == NOTHING_USABLE
    upstream.answers["/"] = Wire(upstream.for_ever(b"", every_s=0.01))
    assert str(refusal(upstream, HERE, within_s=0.2)) == NOTHING_USABLE


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"220 smtp.example.org ESMTP\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nBEGIN:VCALENDAR",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ],
)
def test_what_is_no_whole_answer_is_refused(upstream: Upstream, said: bytes) -> None:
    upstream.answers["/"] = Wire([said])
    assert str(refusal(upstream, HERE)) == NOTHING_USABLE


def test_a_look_up_that_hangs_ends_at_the_deadline(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    test_is_over = threading.Event()

    def look_up(*_: object, **__: object) -> list[object]:
        test_is_over.wait()
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    with in_time(0.2):
        assert str(refusal(upstream, "http://calendar.example.org/", within_s=0.2)) == NOTHING_USABLE
    test_is_over.set()


@contextmanager
def in_time(within_s: float) -> Iterator[None]:
    """Not before its deadline, and soon after it even on a busy machine."""
    started = time.monotonic()
    yield
    assert within_s <= time.monotonic() - started < within_s + 2


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
    ],
)
def test_an_answer_that_drips_ends_at_the_deadline(upstream: Upstream, head: bytes) -> None:
    upstream.answers["/"] = Wire(chain([head], upstream.for_ever(b"x", every_s=0.01)))
    with in_time(0.3):
        assert str(refusal(upstream, HERE, within_s=0.3)) == NOTHING_USABLE


def test_redirects_share_one_deadline(upstream: Upstream) -> None:
    def slowly(asked: Asked) -> Wire:
        return Wire(
            chain(
                islice(upstream.for_ever(b"", every_s=0.02), 10), [b"HTTP/1.1 302 x\r\nLocation: /\r\n\r\n"]
            )
        )

    upstream.answers["/"] = slowly
    with in_time(0.5):
        assert str(refusal(upstream, HERE, within_s=0.5)) == NOTHING_USABLE
    assert len(upstream.asked) <= 3, "with half a second each, there would have been four"


def test_https_that_never_shakes_hands_ends_at_the_deadline(upstream: Upstream) -> None:
    upstream.is_mute = True
    with in_time(0.2):
        assert str(refusal(upstream, f"https://{ADDRESS}/", within_s=0.2)) == NOTHING_USABLE


# --- Too much


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "1001"}])
def test_a_body_that_is_too_large_is_refused(upstream: Upstream, headers: dict[str, str]) -> None:
    body = b"x" * 1001
    upstream.answers["/"] = Answer(200, headers, [body])
    assert str(refusal(upstream, HERE, most_bytes=1000)) == "The server sent more than 0.001 MB."
    assert len(fetch(upstream, HERE, most_bytes=1001).body) == 1001


def test_a_body_that_is_announced_as_too_large_is_not_waited_for(upstream: Upstream) -> None:
    upstream.answers["/"] = Answer(200, {"Content-Length": "3000000"}, upstream.for_ever(b"", every_s=0.01))
    assert str(refusal(upstream, HERE, most_bytes=2_000_000)) == "The server sent more than 2 MB."


def test_a_body_without_end_is_cut(upstream: Upstream) -> None:
    upstream.answers["/"] = Answer(200, {}, upstream.for_ever(b"x" * 10_000))
    assert str(refusal(upstream, HERE)) == "The server sent more than 0.1 MB."


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n" * 201, b"\r\n"],
        [b"HTTP/1.1 200 OK\r\nX-A: ", b"b" * 200_000, b"\r\n\r\n"],
        [b"HTTP/1.1 ", b"2" * 200_000, b" OK\r\n\r\n"],
    ],
)
def test_a_bomb_of_headers_is_refused(upstream: Upstream, pieces: list[bytes]) -> None:
    upstream.answers["/"] = Wire(pieces)
    assert str(refusal(upstream, HERE)) == NOTHING_USABLE


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 9000 + b"\r\nx\r\n"),
    ],
)
def test_much_ado_about_no_body_ends(upstream: Upstream, head: bytes, piece: bytes) -> None:
    upstream.answers["/"] = Wire(chain([head], upstream.for_ever(piece)))
    assert str(refusal(upstream, HERE, within_s=60)) == NOTHING_USABLE


@pytest.mark.parametrize("encoding", ["gzip", "br", "gzip, identity", "x"])
def test_a_compressed_answer_is_refused(upstream: Upstream, encoding: str) -> None:
    upstream.answers["/"] = Answer(200, {"Content-Encoding": encoding}, gzip.compress(b"0" * 10_000))
    assert str(refusal(upstream, HERE)) == "The server sent something compressed, though it was asked not to."


def test_an_answer_that_says_it_is_not_compressed_is_taken(upstream: Upstream) -> None:
    upstream.answers["/"] = Answer(200, {"Content-Encoding": "Identity"}, CALENDAR)
    assert fetch(upstream, HERE).body == CALENDAR


# --- No


@pytest.mark.parametrize(
    ("status", "is_gone"), [(404, True), (410, True), (403, False), (500, False), (206, False)]
)
def test_a_no_is_told_and_whether_it_is_for_good(upstream: Upstream, status: int, is_gone: bool) -> None:
    upstream.answers["/"] = Answer(status, {}, b"no")
    refused = refusal(upstream, HERE)
    assert (str(refused), refused.is_gone) == (f"The server answered {status}.", is_gone)
    assert refused.retry_after is None


@pytest.mark.parametrize(
    ("headers", "retry_after"),
    [
        ({"Retry-After": "120"}, 120),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "99999999999"}, 86_400),
        ({"Retry-After": "9" * 5000}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "²"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "Mon, 23 Nov 2026 12:10:00 GMT", "Date": "Mon, 23 Nov 2026 12:00:00 GMT"}, 600),
        ({"Retry-After": "Mon, 23 Nov 2026 11:00:00 GMT", "Date": "Mon, 23 Nov 2026 12:00:00 GMT"}, 0),
        ({"Retry-After": "Tue, 23 Nov 2027 12:00:00 GMT", "Date": "Mon, 23 Nov 2026 12:00:00 GMT"}, 86_400),
        ({"Retry-After": "Mon, 23 Nov 2026 12:10:00 GMT"}, None),
        (
            {"Retry-After": "Mon, 23 Nov 99999999999 12:10:00 GMT", "Date": "Mon, 23 Nov 2026 12:00:00 GMT"},
            None,
        ),
    ],
)
def test_a_server_may_say_when_to_come_back(
    upstream: Upstream, headers: dict[str, str], retry_after: int | None
) -> None:
    for status in (429, 503):
        upstream.answers["/"] = Answer(status, headers)
        assert refusal(upstream, HERE).retry_after == retry_after


# --- Links as people type them


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("https://example.org/c.ics", "https://example.org/c.ics"),
        ("  webcal://Example.ORG/C.ics\n", "https://example.org/C.ics"),
        ("webcals://example.org", "https://example.org/"),
        ("WEBCAL://example.org:443/", "https://example.org/"),
        ("https://example.org:80/", "https://example.org:80/"),
        ("http://example.org:80/", "http://example.org/"),
        ("http://example.org:443/", "http://example.org:443/"),
        ("https://example.org./", "https://example.org/"),
        ("https://example.org/a b/é?q=ü&x=%20#part", "https://example.org/a%20b/%C3%A9?q=%C3%BC&x=%20"),
        ("https://example.org?q=1", "https://example.org/?q=1"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://BÜCHER.example/", "https://xn--bcher-kva.example/"),
        ("https://straße.example/", "https://xn--strae-oqa.example/"),
        ("https://[2A00:0::1]/", "https://[2a00::1]/"),
        ("https://my_club.example.org/", "https://my_club.example.org/"),
    ],
)
def test_a_link_has_one_form(typed: str, stored: str) -> None:
    assert normal_url(typed, allow_http=True) == stored
    assert normal_url(stored, allow_http=True) == stored


NO_LINK = "This is no link to a public server, like https://example.org/calendar.ics."
NO_SCHEME = "A link begins with https:// or webcal://."


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("", NO_SCHEME),
        ("example.org/c.ics", NO_SCHEME),
        ("ftp://example.org/", NO_SCHEME),
        ("file:///etc/passwd", NO_SCHEME),
        ("javascript:alert(1)", NO_SCHEME),
        ("https:", NO_LINK),
        ("https:///c.ics", NO_LINK),
        ("https://", NO_LINK),
        ("https://.", NO_LINK),
        ("https://a..b/", NO_LINK),
        ("https://exa mple.org/", NO_LINK),
        ("https://ex%41mple.org/", NO_LINK),
        ("https://[fe80::1%25eth0]/", NO_LINK),
        ("https://[::1", NO_LINK),
        ("https://[nonsense:]/", NO_LINK),
        ("https://example.org:99999/", NO_LINK),
        ("https://example.org:x/", NO_LINK),
        ("https://" + "a" * 64 + ".org/", NO_LINK),
        ("https://" + "a." * 130 + "org/", NO_LINK),
        ("https://ex\u2100mple.org/", NO_LINK),
        ("https://xn--ü.example/", NO_LINK),
        ("https://example.org/\ud800", NO_LINK),
        ("https://ana@example.org/", "A link with a name and a password in it cannot be used."),
        ("https://ana:secret@example.org/", "A link with a name and a password in it cannot be used."),
        ("https://example.org:8443/", "A link with a port of its own cannot be used."),
        ("https://example.org:0/", "A link with a port of its own cannot be used."),
        ("https://example.org\\@evil.example/", "A link has no line breaks and no backslashes."),
        ("https://example.org/\r\nX-Evil: 1", "A link has no line breaks and no backslashes."),
        ("https://example.org/\0", "A link has no line breaks and no backslashes."),
        ("https://example.org/" + "x" * 2000, "A link has at most 2000 characters."),
        ("https://example.org/" + "é" * 1000, "A link has at most 2000 characters."),
    ],
)
def test_what_is_no_link_is_refused_with_a_reason(typed: str, reason: str) -> None:
    with pytest.raises(Unreadable) as caught:
        normal_url(typed, allow_http=True)
    assert str(caught.value) == reason


def test_http_is_for_those_who_allow_it(upstream: Upstream) -> None:
    with pytest.raises(Unreadable, match="must begin with https://"):
        normal_url("http://example.org/", allow_http=False)
    assert str(refusal(upstream, HERE, allow_http=False)) == NOTHING_USABLE
    assert upstream.connections == []


# --- No other way out

# What can open a connection, whoever brings it. Databases are reached through SQLAlchemy.
WAYS_OUT = re.compile(
    r"(socket|ssl|http\.client|urllib\.request|ftplib|imaplib|poplib|smtplib|telnetlib|xmlrpc|socketserver"
    r"|httpx2?|httpcore2?|h11|requests|urllib3|aiohttp|aiosmtplib|websockets|anyio|trio|asyncio\.(open_connection|streams))"
    r"(\.|$)"
)
MAY_CONNECT = {
    "events/fetching.py": "what a link names, and this file is about it",
    "events/mail.py": "the operator's own mail server",
    "events/upkeep.py": "this very site, on the loopback: is it healthy?",
    "events/server.py": "nobody: it listens",
    "events/connections.py": "nobody: it lets go of who came",
}


def loaded(tree: ast.Module) -> Iterator[str]:
    """What is loaded at its first use."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("loaded_later", "import_module")):
            yield from (str(part.value) for part in node.args if isinstance(part, ast.Constant))


def test_whatever_goes_out_goes_through_here() -> None:
    """A second way would be one that nobody has thought through: redirects, addresses, time, size."""
    connecting = {
        str(path)
        for path, tree in modules().items()
        if any(WAYS_OUT.match(name) for name in chain(imported(path, tree), loaded(tree)))
    }
    assert connecting <= MAY_CONNECT.keys()
    assert {"events/fetching.py", "events/mail.py"} <= connecting


def test_what_could_connect_by_itself_is_not_asked_to() -> None:
    """asyncio can; and feedparser fetches what looks like an address, unless it is given a file."""
    connects = r"\.(open_connection|create_connection|sock_connect|create_datagram_endpoint|urlopen)$"
    asked = [call for tree in modules().values() for call in calls(tree) if re.search(connects, call)]
    assert asked == []
    parsed = [
        ast.unparse(node.args[0])
        for tree in modules().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "feedparser.parse"
    ]
    assert parsed and all(given.startswith("io.BytesIO(") or given.startswith("BytesIO(") for given in parsed)
