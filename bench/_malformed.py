"""Requests that no client would send: a good one for some route, with some things that go wrong with it."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

from events.web.endpoints import declared
from events.web.forms import FILTERS
from events.web.routes import routes
from tests.hostile import FORMULA, HEADER, LINE, MARK, VALUES
from tests.web.test_routes import parameters

TABLE = [(method, one) for one in map(declared, routes) for method in one.methods]
# These would end the sessions and people that the others are tried with.
ENDING = ("/sign-out", "/account/", "/organize/people/", "/organize/requests/")
METHODS = (
    "HEAD",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "PUT",
    "DELETE",
    "get",
    "GET\x00",
    "G T",
    "",
    "A" * 5000,
    "PROPFIND",
)
VERSIONS = (
    "HTTP/1.0",
    "HTTP/0.9",
    "HTTP/2.0",
    "HTTP/9.9",
    "http/1.1",
    "HTTP/1.1 x",
    "",
    "ICY",
    "HTTP/1.1\x00",
)
NAMES = (
    *FILTERS,
    "page",
    "event",
    "open",
    "date",
    "next",
    "to",
    "url",
    "items",
    "theme",
    "brand",
    "accent",
    "client",
)
FIELDS = (
    *(
        "branch",
        "title",
        "description",
        "start_date",
        "start_time",
        "end_time",
        "repeats",
        "interval",
        "timezone",
    ),
    *(
        "name",
        "email",
        "subject",
        "message",
        "password",
        "key",
        "revision",
        "near",
        "within",
        "topic",
        "reason",
    ),
    *(
        "latitude",
        "longitude",
        "position",
        "opening_hours",
        "service_area",
        "links",
        "rrule",
        "until",
        "frequency",
    ),
    *(
        "language",
        "translation",
        "text",
        "shown_from",
        "shown_until",
        "file",
        "alt",
        "note",
        "role",
        "next",
        "q",
    ),
)
JSONS = (
    "[" * 30_000,
    '{"a":' * 10_000,
    '{"title": NaN}',
    '{"title": 1e999, "latitude": -1e999}',
    '{"title": "\\ud800", "branches": ["\\u0000"]}',
    '{"branches": {"a": 1}, "title": [], "start": {}, "end": 1}',
    json.dumps({"branches": ["alder"], "title": MARK, "start": "2026-11-24T19:00", "end": "9999-12-31T23:59"}),
    json.dumps({"branches": ["alder"] * 5000, "rrule": "FREQ=SECONDLY", "exdates": [MARK] * 2000}),
    '"text"', "null", "1" * 5000, "\xff\xfe", "{" + '"a":1,' * 20_000 + '"b":2}',
)  # fmt: skip
ODD_HEADERS: Sequence[tuple[str, str]] = (
    *(
        ("Host", value)
        for value in ("", "evil.example.org", MARK, "localhost:99999", "[::1", "a" * 8000, "localhost\x00")
    ),
    *(
        ("Cookie", value)
        for value in ("session=", f"session={MARK}", "; ; =; a", "session=" + "x" * 20_000, "\xff=\xfe")
    ),
    *(
        ("Accept-Language", value)
        for value in (MARK, "es;q=NaN", "x" * 9000, "en;q=1e999," * 500, "*;q=-1", "\xe9")
    ),
    *(("If-None-Match", value) for value in ("*", '"' * 5000, MARK, "W/", '"a", ' * 2000)),
    *(("If-Modified-Since", value) for value in ("x", "Thu, 99 Foo 9999 99:99:99 GMT", "0", "9" * 400)),
    *(
        ("Range", value)
        for value in ("bytes=0-", "bytes=-1", "bytes=9999999999999999999-", "bytes=1-0,2-1,-", MARK)
    ),
    *(
        ("Content-Length", value)
        for value in ("-1", "1e3", "99999999999999999999", "0, 5", "+5", "\xb2", "5", "3000000")
    ),
    *(("Transfer-Encoding", value) for value in ("chunked", "gzip, chunked", "x", "chunked, identity")),
    *(
        ("Content-Type", value)
        for value in (
            "application/json",
            "application/x-www-form-urlencoded; charset=utf-16",
            "multipart/form-data",
            "multipart/form-data; boundary=" + "b" * 300,
            "multipart/form-data; boundary=zq",
            "text/html;charset=" + MARK,
            "/",
        )
    ),
    *(("Accept-Encoding", value) for value in ("gzip;q=NaN", "*", "x" * 4000, "gzip;q=0.0.0")),
    *(
        ("Authorization", value)
        for value in ("Bearer", "Bearer " + MARK, "Basic Og==", "Bearer " + "x" * 9000, "\xff")
    ),
    *(("X-Forwarded-For", value) for value in ("::ffff:127.0.0.1", MARK, "1.1.1.1, " * 900, "unknown")),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "evil.example.org"),
    ("Forwarded", f"for={MARK}"),
    ("Sec-Fetch-Site", "cross-site"),
    ("Sec-Fetch-Site", MARK),
    ("Origin", "null"),
    ("Origin", "http://localhost:0"),
    ("Referer", MARK),
    ("User-Agent", MARK),
    ("User-Agent", "\x01"),
    ("Expect", "100-continue"),
    ("Expect", "x"),
    ("Upgrade", "websocket"),
    ("Upgrade", "h2c"),
    ("Connection", "Upgrade, HTTP2-Settings"),
    ("TE", "trailers"),
    ("X\x00Y", "1"),
    ("X Y", "1"),
    ("", "1"),
    (" folded", "1"),
    ("X" * 9000, "1"),
    ("X-Big", "x" * 60_000),
    ("X-HTTP-Method-Override", "DELETE"),
    ("If-Match", '"' + MARK),
    ("Idempotency-Key", MARK * 40),
    ("Date", MARK),
)


WAITED_FOR = {"content-length", "transfer-encoding", "expect", "upgrade", "connection "}


@dataclass
class Request:
    """Parts of a request, to be spoilt, and then the bytes."""

    number: int
    chance: random.Random
    route: str
    method: str
    path: str
    version: str = "HTTP/1.1"
    query: list[tuple[str, str]] = field(default_factory=list)
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    target: str = ""
    raw: bytes = b""

    @property
    def is_whole(self) -> bool:
        """Not so that the server waits for the rest of it."""
        return not {name.lower() for name, _ in self.headers} & WAITED_FOR

    @property
    def is_head(self) -> bool:
        return self.method == "HEAD"

    def value(self) -> str:
        return self.chance.choice(VALUES)

    def say(self) -> bytes:
        query = "&".join(f"{name}={value}" for name, value in self.query)
        target = self.target or self.path + (f"?{query}" if query else "")
        given = {name.lower() for name, _ in self.headers}
        headers = list(self.headers)
        if self.body and not given & {"content-length", "transfer-encoding"}:
            headers.append(("Content-Length", str(len(self.body))))
        lines = [f"{self.method} {target} {self.version}", *(f"{name}: {value}" for name, value in headers)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + self.body


def request(number: int, known: Mapping[str, str], cookies: Mapping[str, str], host: str) -> Request:
    """That of this number: the same in every run."""
    chance = random.Random(number)
    method, route = TABLE[number % len(TABLE)]
    made = Request(number, chance, f"{method} {route.path}", method, "")
    made.path = _filled(made, route.path, known)
    who = chance.choice(["", *cookies])
    if not route.path.startswith(ENDING) and who:
        made.headers.append(("Cookie", f"session={cookies[who]}"))
    made.headers += [("Host", host), ("Connection", "close")]
    if method != "GET":
        made.headers.append(("Sec-Fetch-Site", "same-origin"))
        _form(made)
    for spoil in chance.sample(SPOILERS, chance.choice((1, 1, 2, 3))):
        spoil(made)
    made.raw = made.say()
    return made


def _filled(made: Request, path: str, known: Mapping[str, str]) -> str:
    """With what is there, or with anything."""
    segments = path.split("/")
    names = iter(parameters(path))
    for place, segment in enumerate(segments):
        if "{" in segment:
            good = known.get(next(names), "1")
            value = good if made.chance.random() < 0.6 else made.value()[:2000]
            before, _, rest = segment.partition("{")
            segments[place] = before + _quoted(value) + rest.partition("}")[2]
    return "/".join(segments)


def _quoted(text: str, *, form: bool = False) -> str:
    return (quote_plus if form else quote)(text, errors="surrogatepass")


# ---------------------------------------------------------------- what goes wrong


def _form(made: Request) -> None:
    pairs = [(name, made.value()) for name in made.chance.choices(FIELDS, k=made.chance.randrange(1, 9))]
    made.headers.append(("Content-Type", "application/x-www-form-urlencoded"))
    made.body = "&".join(f"{name}={_quoted(value, form=True)}" for name, value in pairs).encode(
        "latin-1", "replace"
    )


def _path(made: Request) -> None:
    more = (
        "/",
        "//",
        "/..",
        "/%2e%2e/%2e%2e/etc/passwd",
        "%00",
        "%ff",
        ";x=1",
        "/" + "a" * 7000,
        "%",
        "%zz",
        "\\",
        "/.",
        "?",
        "#x",
    )
    if made.chance.random() < 0.4:
        made.path = (
            made.chance.choice(("/es", "/xx", "/en", "//", "/es/es", "/%65s", "/.", "\xe9")) + made.path
        )
    else:
        made.path += made.chance.choice(more)


def _query(made: Request) -> None:
    for name in made.chance.choices(NAMES, k=made.chance.randrange(1, 6)):
        made.query.append((name, _quoted(made.value(), form=True)[:30_000]))


def _broken_query(made: Request) -> None:
    made.query += made.chance.choice((
        [("q", "%ff%fe")], [("near", "%e9")], [("q", "%zz%")], [("", "")] * 50, [("page", "1")] * 400, [("q", "\xff")],
        [("[]", _quoted(MARK))], [(_quoted(MARK), _quoted(MARK))], [("from", "9999-12-31"), ("to", "0001-01-01")],
        [("near", "NaN,NaN"), ("within", "1e999")], [("next", _quoted("//evil.example.org/"))], [("q", "a" * 60_000)],
    ))  # fmt: skip


def _header(made: Request) -> None:
    for name, value in made.chance.choices(ODD_HEADERS, k=made.chance.randrange(1, 4)):
        if made.chance.random() < 0.7:
            made.headers = [one for one in made.headers if one[0].lower() != name.lower()]
        made.headers.append((name, value))


def _method(made: Request) -> None:
    made.method = made.chance.choice((*METHODS, "POST", "GET"))


def _request_line(made: Request) -> None:
    if made.chance.random() < 0.5:
        made.version = made.chance.choice(VERSIONS)
    else:
        made.target = made.chance.choice(
            (
                "*",
                "http://evil.example.org/",
                f"http://localhost{made.path}",
                "",
                "evil:80",
                MARK,
                "\x00",
                "/ /",
                "/" * 9000,
            )
        )


def _json(made: Request) -> None:
    made.headers = [one for one in made.headers if one[0] != "Content-Type"]
    made.headers.append(("Content-Type", "application/json"))
    made.body = made.chance.choice(JSONS).encode("latin-1")


def _multipart(made: Request) -> None:
    made.headers = [one for one in made.headers if one[0] != "Content-Type"]
    made.headers.append(("Content-Type", "multipart/form-data; boundary=zq"))
    part = f'--zq\r\nContent-Disposition: form-data; name="{made.chance.choice(FIELDS)}"'
    made.body = made.chance.choice((
        f"{part}\r\n\r\n{MARK}\r\n--zq--\r\n", f'{part}; filename="{MARK}"\r\n\r\nBEGIN:VCALENDAR\r\n--zq--\r\n',
        f"{part}\r\n\r\n" * 400 + "--zq--", f"{part}\r\nContent-Transfer-Encoding: base64\r\n\r\n%%%\r\n--zq--\r\n",
        f"{part}", "--zq", "--zq\r\n\r\n\r\n--zq--\r\n", f"{part}\r\n" + "X: y\r\n" * 3000 + "\r\n\r\n--zq--\r\n",
        f"{part}; filename*=utf-8''%ff%00\r\nContent-Type: image/svg+xml\r\n\r\n<svg>{MARK}</svg>\r\n--zq--\r\n",
    )).encode()  # fmt: skip


def _bytes(made: Request) -> None:
    made.body = made.chance.choice(
        (
            made.chance.randbytes(300),
            b"&" * 5000,
            b"%" * 5000,
            b"a=" + b"x" * 2_600_000,
            b"\x00" * 900,
            b"=&=&[]=1",
        )
    )


def _smuggled(made: Request) -> None:
    made.query.append(
        ("q", made.chance.choice((f"x%0d%0a{HEADER}:%201", f"x%0a{LINE}:1", _quoted(FORMULA), "%E2%80%A8")))
    )


SPOILERS: Sequence[Callable[[Request], None]] = (
    _path, _query, _query, _broken_query, _header, _header, _method, _request_line, _json, _multipart, _bytes, _smuggled
)  # fmt: skip
