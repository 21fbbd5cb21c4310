"""What strangers type to break things, forms as they stand in pages, and what an answer must never do with it."""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import quote, urlencode, urlsplit

from events.web.forms import HONEYPOT

MARK = "zq<\"'>qz"  # comes back escaped or not at all
FORMULA, LINE, HEADER = "=zq(1)", "ZQ-LINE", "zq-header"
MARKUP = (
    MARK,
    f"{MARK}<script>alert(1)</script>",
    f"</textarea></title></script>{MARK}",
    f'" autofocus onfocus="alert(1)" x="{MARK}',
    f"javascript:alert({MARK})",
    f"[x](javascript:alert(1)) ![]({MARK}) <b>{MARK}</b>",
    f"{{{{ 7*7 }}}} {{% x %}} ${{7*7}} %(name)s %s {{0}} {MARK}",
)
TEXTS = (
    *MARKUP,
    FORMULA,
    f"+{FORMULA}",
    f"x\r\n{LINE}:1\r\n{HEADER}: 1\r\n\r\n{MARK}",
    f"x\u2028{LINE}:1\x85{HEADER}: 1\x0b",
    "",
    " \t\n ",
    "\x00",
    f"a\x00{MARK}",
    "\ud800",
    f"\udfff{MARK}\ud83d",
    "\u202egnp.exe\u2066\u200f\ufeff",
    "ﷺ" * 300,
    "a\u0301" * 400,
    "👩\u200d👩\u200d👧" * 60,
    "x" * 400,
    "x" * 70_000,
    "a " * 3_000,
    "[" * 3_000,
    "*_`" * 2_000,
    "../../../../etc/passwd",
    "..%2f..%2f%00",
    "file:///etc/passwd",
    "http://127.0.0.1:8000/",
    "//evil.example.org/x",
    "/\\evil.example.org",
    "' OR 1=1; DROP TABLE event; --",
    "%ff%fe%c0%ae",
)
NUMBERS = (
    *("0", "-1", "1e999", "-1e999", "NaN", "inf", "1" + "0" * 400, "0x10", "1_000", "²", "١٢٣", "1,5", "+1", "-0"),
    *("9223372036854775808", "2147483648", "999999999", "1e-400", "91,181", "-90,-180", "0,0", "nan,nan"),
)  # fmt: skip
DATES = (
    *("0000-00-00", "0001-01-01", "9999-12-31", "2026-02-30", "2026-13-01", "10000-01-01", "1969-12-31"),
    *("2201-01-01", "2026-11-24T25:00", "2026-11-24T19:00Z", "24:00", "12:60", "-1:00", "2026-W48-2"),
)
VALUES = (*TEXTS, *NUMBERS, *DATES)
KEPT = "text", "search", "email", "url", "tel", "textarea"

_LINKED_DATA = re.compile(rb'<script type="application/ld\+json">(.*?)</script>', re.DOTALL)
# A quotation mark that ends an attribute would stand between the two halves of the mark as it is. The key of a form is
# made by chance, and one in four thousand ends as the mark begins.
_UNESCAPED = re.compile(rb"""zq<|(?<![\w-]{22})zq["']|zq&lt;["']|zq&lt;(?:&#34;|&quot;)'""")


def faults_in(headers: Mapping[str, str], body: bytes) -> Iterator[str]:
    """What has come back as something else than text. Names of headers are in small letters."""
    kind = headers.get("content-type", "").partition(";")[0]
    if HEADER in headers:
        yield "a header was smuggled in"
    if any("zq" in value and re.search('[<>"]', value) for value in headers.values()):
        yield "a header repeats the mark"
    match kind:
        case "text/html":
            for said in _LINKED_DATA.findall(body):
                json.loads(said)
                if b"<" in said:
                    yield "the mark ends JSON-LD"
            if found := _UNESCAPED.search(rest := _LINKED_DATA.sub(b"", body)):
                around = rest[max(0, found.start() - 200) : found.end() + 40]
                yield f"the mark comes back as it was: {around!r}"
        case "application/atom+xml" | "application/xml" | "image/svg+xml":
            if b"zq<" in body:
                yield "the mark comes back as it was"
        case "text/css" | "text/javascript":
            if b"zq" in body:
                yield "the mark comes back"
        case "text/calendar" | "text/vcard" | "text/plain":
            if re.search(rb"^(?:ZQ-LINE|zq-header)", body, re.MULTILINE) and kind != "text/plain":
                yield "a line was smuggled in"
        case "text/csv":
            cells = [cell for row in csv.reader(body.decode().splitlines()) for cell in row]
            if any(re.match(r"[=+\-@\t\r].*zq", cell) for cell in cells):
                yield "a formula comes back"
        case _ if kind.endswith("json"):
            json.loads(body)
    to = headers.get("location", "")
    if to.startswith(("//", "/\\", "javascript")) or "evil" in urlsplit(to).netloc:
        yield f"leads elsewhere: {to}"


# ---------------------------------------------------------------- forms


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    kind: str  # of an input; else textarea or select
    value: str = ""


@dataclass(slots=True)
class FoundForm:
    method: str
    action: str
    is_multipart: bool
    fields: list[Field] = field(default_factory=list)

    @property
    def names(self) -> Sequence[str]:
        return [one.name for one in self.fields]


def forms_in(html: str, path: str) -> list[FoundForm]:
    """Those of a page; a button that sends its form elsewhere makes another one of it."""
    reader = _Reader(path)
    reader.feed(html)
    return reader.found


class _Reader(HTMLParser):
    def __init__(self, path: str) -> None:
        super().__init__()
        self.path, self.found = path, list[FoundForm]()
        self._form: FoundForm | None = None
        self._text: tuple[str, list[str]] | None = None
        self._elsewhere: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag == "form":
            method, action = given.get("method", "get").upper(), given.get("action") or self.path
            self._form = FoundForm(method, action, "multipart" in given.get("enctype", ""))
            self._elsewhere = []
        if self._form is None:
            return
        if "formaction" in given:
            self._elsewhere.append(given["formaction"])
        if tag == "textarea":
            self._text = given.get("name", ""), []
        elif tag in ("input", "select", "button") and given.get("name"):
            kind = given.get("type", "text") if tag == "input" else tag
            self._form.fields.append(Field(given["name"], kind, given.get("value", "")))

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text[1].append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea" and self._text is not None and self._form is not None:
            name, parts = self._text
            self._form.fields.append(Field(name, "textarea", "".join(parts).removeprefix("\n")))
            self._text = None
        if tag == "form" and self._form is not None:
            form, self._form = self._form, None
            self.found.append(form)
            self.found += [
                FoundForm(form.method, to, form.is_multipart, form.fields) for to in self._elsewhere
            ]


# ---------------------------------------------------------------- how they are filled in

WAYS = 8
NOT_TYPED = ("select", "radio", "checkbox", "button", "submit", "hidden", "file")


def filled(form: FoundForm, number: int) -> list[tuple[str, str]]:
    """In the way of that number. Nobody sees the field that only programs fill in: it would end the try at once."""
    way, pairs = number % WAYS, list[tuple[str, str]]()
    for place, one in enumerate(form.fields):
        value = VALUES[(number // WAYS + 7 * place) % len(VALUES)]
        if one.name == HONEYPOT or (one.kind in NOT_TYPED and (number + place) % 3):
            value = one.value
        match way:
            case 1:  # all of them marked, which is what must come back escaped
                value = MARK if one.kind in KEPT and one.name != HONEYPOT else one.value
            case 2:
                pairs.append((one.name, MARK))
            case 3 if place % 2:
                continue
            case 4:
                pairs.append((f"{one.name}[]", value))
                pairs.append((f"{one.name}[0][x]", MARK))
        pairs.append((one.name, value))
    return [] if way == 5 else pairs


def encoded(form: FoundForm, pairs: Sequence[tuple[str, str]], number: int) -> tuple[str, bytes]:
    """Content type and body. Half a surrogate pair goes out as the three bytes that it would be."""
    body = urlencode(pairs, errors="surrogatepass").encode()
    match number % WAYS:
        case 6:
            return "application/x-www-form-urlencoded; charset=utf-7", body + b"&%zz=%&=%ff&\xff\xfe=%e9"
        case 7:
            kinds = ("application/json", "text/plain", "", "multipart/form-data", "application/xml")
            return kinds[number // WAYS % len(kinds)], body
    if not form.is_multipart:
        return "application/x-www-form-urlencoded", body
    parts = [
        b'--zq\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
        % (
            quote(name, safe="[]_-").encode(),
            b'; filename="../%s"' % MARK.replace('"', "%22").encode() if _is_file(form, name) else b"",
            value.encode("utf-8", "surrogatepass"),
        )
        for name, value in pairs
    ]
    return "multipart/form-data; boundary=zq", b"".join(parts) + b"--zq--\r\n"


def _is_file(form: FoundForm, name: str) -> bool:
    return any(one.kind == "file" and one.name == name for one in form.fields)


def lost(form: FoundForm, pairs: Sequence[tuple[str, str]], html: str) -> list[str]:
    """Fields of a form that is shown again that do not hold what was typed there."""
    typed, path = dict(pairs), form.action
    again = [one for one in forms_in(html, path) if set(form.names) <= set(one.names) | {"key"}]
    if not again:
        return ["the form"]
    held = {one.name: one.value for one in again[0].fields}
    return [
        one.name
        for one in form.fields
        if one.kind in KEPT and one.name != HONEYPOT and typed.get(one.name) == MARK != held.get(one.name)
    ]
