"""200 ways to smuggle a header, posted into every field that reaches a mail; and bodies that are far too large.

The forms are sent through the whole application into one database. Then every mail that came of it is composed as the
worker does, and its bytes are read again as every kind of mail program reads them.
"""

import asyncio
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.errors import MessageError
from email.header import decode_header
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from email.policy import SMTP
from itertools import product
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
import sqlalchemy as sa
from sqlmodel import Session, col, select
from starlette.applications import Starlette

from events.branches.models import Branch
from events.calendars import dates_changed
from events.calendars.dates_changed import Known
from events.calendars.models import Event, State
from events.db import Database
from events.desk import proposals
from events.drafts import tidy
from events.errors import Unreadable
from events.mail import OUR_HEADERS, Refused, Undeliverable, composed
from events.messages import contact, outbox
from events.messages.models import ContactMessage, OutgoingMail
from events.news import writing
from events.news.drafts import NoticeDraft
from events.news.models import Notice
from events.news.writing import Written
from events.people.models import MembershipRequest, Person, Role
from events.people.sign_in import normal_email
from events.subscriptions import choices, digests, urgent
from events.subscriptions.choices import Choice
from events.subscriptions.models import Frequency, Subscription
from events.subscriptions.writing import Site
from events.web.endpoints import ANYBODY, declared
from events.web.routes import routes
from tests.conftest import Engines, running
from tests.mails import SENDER, SITE, World, site_settings

DAY = timedelta(days=1)

# ---------------------------------------------------------------- what is tried

BREAKS = (
    *("\r\n", "\n", "\r", "\r\n ", "\n\t", "\r\n.\r\n", "\r\n\r\n", "\x00\r\n"),
    *("\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\x00", "%0d%0a", "%0A", "\u560d\u560a"),
)
HEADERS = ("Bcc: eve@example.org", "To: eve@example.org", "Content-Type: text/html", "Subject: Eve")
CHARSETS = ("utf-8", "ISO-8859-1", "us-ascii", "utf-8*en", "unknown-8bit", "utf-7")
# In hexadecimal and in base64: a line break and a header; then a line break, an empty line and a text.
WORDS = (
    "?q?x=0d=0aBcc:_eve@example.org?=",
    "?B?eA0KQmNjOiBldmVAZXhhbXBsZS5vcmc=?=",
    "?Q?=0ACc:_eve@example.org=0a=0a<script>?=",
)
BEFORE = ("", "é ", "a" * 70 + " ")
FOLDED = (
    "=?utf-8?q?x?=\r\n =?utf-8?q?=0d=0aBcc:_eve@example.org?=",
    "=\n?utf-8?q?x=0d=0aBcc:_eve@example.org?=",
    "=\u200b?utf-8?q?x=0d=0aBcc:_eve@example.org?=",
    "=?=?utf-8?q?x=0d=0aBcc:_eve@example.org?=",
    "= ?utf-8?q?x=0d=0aBcc:_eve@example.org?=",
    "＝？utf-8？q？x=0d=0aBcc:_eve@example.org？＝",
    "=?utf-16?b?//54AA0ACgBCAGMAYwA6ACAAZQB2AGUAQABlAHgALgBvAHIAZwA=?=",
    "=?utf-8?q?=3D=3Futf-8=3Fq=3F=0d=0aBcc:_eve@example.org=3F=3D?=",
)
ADDRESSES = (
    "name@example.org\nBcc: eve@example.org",
    "name@example.org, eve@example.org",
    "name@example.org; eve@example.org",
    "name@example.org eve@example.org",
    "name@example.org,eve",
    "name@example.org>, <eve@example.org",
    "Ben <name@example.org>",
    '"Ben" <eve@example.org>, name@example.org',
    '"a b"@example.org',
    '"a\\"b\\r\\nBcc: eve"@example.org',
    "name(comment)@example.org",
    "name@example.org(eve@example.org)",
    "group: name@example.org, eve@example.org;",
    "undisclosed-recipients:;",
    "@relay.example.org:eve@example.org",
    "eve%example.org@example.org",
    "eve!example.org@example.org",
    "name@[192.0.2.1]",
    "name@münchen.example",
    "name@пример.example",
    "NAME+Tag@EXAMPLE.org",
    "o'brien&sons=?@example.org",
    "=?utf-8?q?a=0d=0aBcc=3a?=@example.org",
    "name@=?utf-8?q?example.org=0d=0aBcc=3a?=",
    "ñandú@example.org",
    "name@example..org",
    ".name.@example.org",
    "name@@example.org",
    "name@exa\u00admple.org",
    "name@example\uff0eorg",
    "name@example.org\u2028Bcc:eve@example.org",
    "a" * 64 + "@example.org",
    "a" * 65 + "@example.org",
    "name@" + ".".join(["a" * 60] * 4) + ".org",
    "name@example.org?bcc=eve@example.org",
    "name@example.org&bcc=eve@example.org",
)
ODD = (
    *(
        "x" * 5000,
        "ñ" * 2000,
        "a " * 2000,
        "👩\u200d👩\u200d👧 " * 60,
        "word" * 60 + "\r\nBcc: eve@example.org",
    ),
    *(
        "\u202egro.elpmaxe@eve :ccB",
        "\u2066x\u2069",
        "\ufeffBcc: eve@example.org",
        "שלום עולם",
        "a\u0301" * 100,
    ),
    *(
        '"',
        "'",
        "<",
        ">",
        "\">'<",
        "\\",
        "</title><script>alert(1)</script>",
        "<!--",
        "]]>",
        "&#13;&#10;Bcc: eve",
    ),
    *(
        "\ud800",
        "x\udc0a\udc0d",
        "%(name)s %d %",
        "{{ 7*7 }} {0}",
        "From eve",
        ".",
        "..",
        ":",
        ": x",
        "-- \n",
        "\t",
    ),
)
PAYLOADS = tuple(
    dict.fromkeys(
        [
            *("Hello" + one + header for one, header in product(BREAKS, HEADERS)),
            *(before + f"=?{name}{word}" for name, word, before in product(CHARSETS, WORDS, BEFORE)),
            *FOLDED,
            *ADDRESSES,
            *ODD,
        ]
    )
)


# ---------------------------------------------------------------- into which fields


class Attacked:
    """A site to which many forms are sent, each as a browser would send it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.eli = world.person("eli@example.org", Role.ORGANIZER, trusted=False)
        self.posted = world.suggested("", by=self.eli)
        self.announced = world.event(world.now + 10 * DAY, world.branch).id or 0
        self.notice = self._notice()
        self.reader = self._reader()
        people = {"ana": world.ana, "dee": world.dee, "eli": self.eli}
        self._cookies = {"ben": ""} | {
            name: "; ".join(f"{key}={value}" for key, value in world.signed_in(person).cookies.items())
            for name, person in people.items()
        }

    def _notice(self) -> int:
        said = NoticeDraft(title="News", text="News", language="en", shown_from=self.world.now.date() - DAY)
        with self.world.database.writing() as session:
            proposals.trust(session, self.world.branch.id or 0, "trusted@example.org", self.world.now)
            notice, _ = writing.add(session, Written(said, None), None, self.world.now)
            writing.publish(notice, self.world.now)
            return notice.id or 0

    def _reader(self) -> int:
        """Of a daily digest of Alder, who follows the event that is announced."""
        branch_ids, events = (self.world.branch.id or 0,), (self.announced,)
        choice = Choice(branches=branch_ids, events=events, frequency=Frequency.DAILY)
        with self.world.database.writing() as session:
            reader = choices.ask(session, "reader@example.org", choice, self.world.now)
            choices.confirm(session, reader, self.world.now)
            return reader.id or 0

    async def post(self, path: str, fields: Mapping[str, str], by: str = "ben") -> int:
        """The status. Half a surrogate pair goes out as the three bytes that it would be."""
        body = urlencode(fields, errors="surrogatepass").encode()
        headers = {
            "host": urlsplit(SITE).netloc,
            "sec-fetch-site": "same-origin",
            "content-type": "application/x-www-form-urlencoded",
            "content-length": str(len(body)),
            "cookie": self._cookies[by],
        }
        status, _ = await asked(self.world.app, "POST", path, headers, [body])
        return status


async def asked(
    app: Starlette, method: str, path: str, headers: Mapping[str, str], body: Iterable[bytes] = ()
) -> tuple[int, str]:
    """One request, straight to the application: a client would take longer than the answer. Status and text."""
    chunks, status, text = iter(body), [0], [b""]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("192.0.2.1", 1),
        "server": ("tools.example.org", 443),
    }

    async def receive() -> dict[str, Any]:
        chunk = next(chunks, b"")
        return {"type": "http.request", "body": chunk, "more_body": chunk != b""}

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])
        else:
            text.append(message.get("body", b""))

    await app(scope, receive, send)
    return status[-1], b"".join(text).decode()


PART = 6  # every sixth payload


@dataclass(frozen=True, slots=True)
class Tried:
    """A form that causes a mail.

    `path` says where the form of a payload goes, once whatever it needs is there. `texts`: fields that take any
    text, with what they hold at most, because a form that is refused reaches nothing. `email`: the one that takes an
    address. `choices`: fields that take one of few words, or the name of a place; what is typed there is refused, so a
    part is enough. A form without any fields is a button. `every`: a third payload is enough where what the mail says
    came by another form, or the very lines that read another form's fields read these.
    """

    path: Callable[[Attacked, int], str]
    good: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, int] = field(default_factory=dict)
    email: str = ""
    choices: tuple[str, ...] = ()
    by: str = "ben"
    every: int = 1

    def numbers(self, kind: str) -> range:
        return range(0, len(PAYLOADS), PART if kind == "choice" else self.every)

    def typed(self, kind: str, payload: str) -> dict[str, str] | None:
        """All texts together, because they do not depend on each other; an address alone, because most are refused."""
        match kind:
            case "text" if self.texts:
                return {name: "x" + payload[: longest - 1] for name, longest in self.texts.items()}
            case "email" if self.email:
                return {self.email: payload}
            case "choice" if self.choices:
                return dict.fromkeys(self.choices, payload)
            case "button" if not (self.texts or self.email or self.choices):
                return {}
        return None


def to(path: str) -> Callable[[Attacked, int], str]:
    return lambda site, number: path


def cleaned(number: int, longest: int = 100) -> str:
    """The payload as a draft leaves it."""
    text = "x" + PAYLOADS[number].encode("utf-8", "ignore").decode()
    return " ".join(tidy(text).split())[:longest].strip()


def branch_called(site: Attacked, number: int) -> str:
    with site.world.database.writing() as session:
        session.get_one(Branch, site.world.branch.id).name = cleaned(number)
    return "/branches/alder/contact"


def inviter_called(site: Attacked, number: int) -> str:
    with site.world.database.writing() as session:
        session.get_one(Person, site.world.ana.id).name = cleaned(number)
    return "/organize/people"


def request_to_refuse(site: Attacked, number: int) -> str:
    with site.world.database.writing() as session:
        asked = MembershipRequest(
            person_id=site.eli.id or 0,
            branch_id=site.world.branch.id or 0,
            note="",
            created_at=site.world.now,
        )
        session.add(asked)
        session.flush()
        return f"/organize/requests/{asked.id}/refusal"


def post_to_decline(site: Attacked, number: int) -> str:
    """Of an organizer whose posts wait for approval: the title stands in the subject of the answer."""
    with site.world.database.writing() as session:
        event = session.get_one(Event, site.posted)
        event.title, event.state = cleaned(number, 300), State.SUBMITTED
        proposals.add(session, event, site.world.now, person=site.eli)
    return f"/organize/proposals/{site.posted}/refusal"


def message(session: Session, number: int) -> ContactMessage:
    """That the payload was written in."""
    key = f"contact-text-{number:012}"
    return session.exec(select(ContactMessage).where(col(ContactMessage.key) == key)).one()


def message_to_copy(site: Attacked, number: int) -> str:
    """Whoever wrote it opens the link that was mailed to them."""
    with site.world.database.reading() as session:
        token = contact.copy_token(message(session, number), site.world.settings.secret_key)
    return f"/contact-copies/{token}"


def message_to_forward(site: Attacked, number: int) -> str:
    with site.world.database.reading() as session:
        return f"/organize/messages/{message(session, number).id}/forwarding"


def event_to_follow(site: Attacked, number: int) -> str:
    return f"/events/{site.announced}/follow"


def notice_called(site: Attacked, number: int) -> str:
    with site.world.database.writing() as session:
        notice = session.get_one(Notice, site.notice)
        notice.title = notice.text = cleaned(number, 300)
    return f"/organize/news/{site.notice}/newsletter/test"


SOON = f"{datetime.now(UTC) + 14 * DAY:%Y-%m-%d}"
WALK = {"branch": "alder", "title": "Walk", "start_date": SOON, "start_time": "19:00", "end_time": "21:00"}
FORMS: Mapping[str, Tried] = {
    "contact": Tried(
        branch_called,
        {"name": "Ben", "email": "ben@example.org", "message": "Hello", "copy": "yes"},
        {"name": 100, "subject": 150, "message": 5000},
        "email",
        ("about",),
    ),
    "copy": Tried(message_to_copy, every=3),
    "forwarding": Tried(message_to_forward, {"branch": "birch", "at": "alder"}, every=3, by="dee"),
    "register": Tried(
        to("/register"),
        {"name": "Ben", "email": "ben@example.org", "branch": "alder"},
        {"name": 100, "note": 1000},
        "email",
    ),
    "subscription": Tried(
        to("/subscribe"),
        {"email": "reader@example.org", "frequency": "daily", "branch": "alder"},
        email="email",
        every=3,
        choices=("near", "within", "named", "branch", "topic", "frequency", "country"),
    ),
    "following": Tried(event_to_follow, email="email", every=3),
    "newsletter": Tried(notice_called, by="dee"),
    "sign-in": Tried(to("/sign-in"), email="email"),
    "password": Tried(to("/password"), email="email"),
    "new-address": Tried(to("/account/email"), email="email", by="eli", every=3),
    "suggest": Tried(
        to("/suggest"),
        {**WALK, "email": "trusted@example.org"},
        {
            "title": 300,
            "description": 2000,
            "venue_name": 300,
            "venue_address": 300,
            "name": 100,
            "note": 2000,
        },
        "email",
    ),
    "report": Tried(
        to("/branches/alder/report"), {"kind": "other", "message": "x"}, {"message": 2000}, "email"
    ),
    "invitation": Tried(
        inviter_called,
        {"email": "p%d@example.org", "branch": "alder"},
        {"name": 100},
        "email",
        by="ana",
        every=3,
    ),
    "request": Tried(request_to_refuse, texts={"answer": 1000}, by="ana", every=3),
    "post": Tried(post_to_decline, texts={"answer": 1000}, by="ana"),
}


async def attack(site: Attacked) -> dict[tuple[str, str], list[int]]:
    """All of them into all fields; the statuses by form and kind of field."""
    statuses: dict[tuple[str, str], list[int]] = defaultdict(list)
    kinds = ("email", "choice", "text", "button")
    for (form, tried), kind in product(FORMS.items(), kinds):
        for number in tried.numbers(kind):
            typed = tried.typed(kind, PAYLOADS[number])
            if typed is None:
                break
            good = {name: value.replace("%d", str(number)) for name, value in tried.good.items()}
            fields = {**good, **typed, "key": f"{form}-{kind}-{number:012}"}
            statuses[form, kind].append(await site.post(tried.path(site, number), fields, tried.by))
    return statuses


def tell_readers(site: Attacked, number: int, now: datetime) -> None:
    """By the worker: a digest, whose subject has the branch's name, and at once, with the event's title."""
    database, announced = site.world.database, site.announced
    writer = Site(site.world.publishing, site.world.settings.secret_key)
    with database.writing() as session:
        session.get_one(Branch, site.world.branch.id).name = cleaned(number)
        reader, event = session.get_one(Subscription, site.reader), session.get_one(Event, announced)
        reader.run_at, reader.told_until = now, now - DAY
        event.published_at = now - DAY / 2
        was = Known(
            original_start=event.start,
            start=event.start - DAY,
            end=event.end - DAY,
            starts_at=event.begins_at - DAY,
            ends_at=event.begins_at,
            cancelled=False,
            title=cleaned(number, 300),
            place=cleaned(number, 300),
            became=event.start,
        )
        dates_changed.note(session, announced, [dates_changed.told_before(was)], now - DAY)
    assert digests.send(database, writer, now)
    assert urgent.send(database, writer, now)


# ---------------------------------------------------------------- what became of it


AT_EASE = (
    "PRAGMA synchronous=OFF"  # nothing of this has to outlive a power cut, and it takes a third of the time
)


@dataclass(frozen=True, slots=True)
class Aftermath:
    statuses: Mapping[tuple[str, str], Sequence[int]]
    mails: Sequence[OutgoingMail]


@pytest.fixture(scope="module")
def aftermath(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> Aftermath:
    folder = tmp_path_factory.mktemp("attacked")
    settings = replace(site_settings(engines.fresh_url("sqlite"), folder, "en"), locales=("en",))
    with running(settings) as app:
        database: Database = app.state.branchline.database
        sa.event.listen(database.engine, "connect", lambda connection, _: connection.execute(AT_EASE))
        world = World(app, "en")
        site = Attacked(world)
        statuses = asyncio.run(attack(site))
        for number in range(0, len(PAYLOADS), PART):
            tell_readers(site, number, datetime.now(UTC))
        with world.database.reading() as session:
            return Aftermath(statuses, session.exec(select(OutgoingMail).order_by("id")).all())


def reachable() -> set[str]:
    """Whom mails may go to: who is known, and whoever's whole address was typed."""
    known = {
        f"{name}@example.org" for name in ("alder", "birch", "ana", "dee", "eli", "ben", "trusted", "reader")
    }
    typed = set[str]()
    for number, payload in enumerate(PAYLOADS):
        known.add(f"p{number}@example.org")
        with suppress(Unreadable):
            typed.add(normal_email(payload))
    return known | typed


def test_there_are_two_hundred_ways_to_try_it() -> None:
    assert len(PAYLOADS) == len(set(PAYLOADS)) >= 200


def test_no_form_is_beyond_an_answer_and_every_text_reached_its_mail(aftermath: Aftermath) -> None:
    for (form, kind), statuses in aftermath.statuses.items():
        numbers = FORMS[form].numbers(kind)
        assert len(statuses) == len(numbers)
        assert max(statuses) < 500, form
        if kind in ("text", "button"):
            tried = zip(numbers, statuses, strict=True)
            assert [PAYLOADS[number] for number, status in tried if status != 303] == [], form


def test_no_mail_has_a_header_that_is_not_ours(aftermath: Aftermath) -> None:
    expected, seen = reachable(), set[bytes]()
    for row in aftermath.mails:
        assert row.recipient in expected
        assert not re.search(r"<script|javascript:", row.html), row
        try:
            content = composed(outbox.as_mail(row), SENDER, "Hazel Clubs").as_bytes()
        except Undeliverable as error:  # nothing goes out, and an admin sees why
            assert error.refused is Refused.ADDRESS, row
            continue
        assert_has_our_parts(content, row)
        head = content.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        if (alike := OF_ITS_OWN.sub(b"", head)) not in seen:
            assert_is_ours(head, row)
            seen.add(alike)


OF_ITS_OWN = re.compile(rb"^(?:Date|Message-ID|List-Unsubscribe): .*| boundary=.*", re.MULTILINE)


def assert_has_our_parts(content: bytes, row: OutgoingMail) -> None:
    """As the parts' own headers say: nothing that was typed has become a part."""
    kinds = ["multipart/alternative", "text/plain", "text/html"]
    kinds = ["multipart/mixed", *kinds, "text/calendar"] if row.event_file else kinds
    parts = message_from_bytes(content, policy=policy.compat32).walk()
    assert [part.get_content_type() for part in parts] == kinds, row


def assert_is_ours(head: bytes, row: OutgoingMail) -> None:
    """As old programs and as new ones read it, and what they write when they pass it on."""
    new = BytesHeaderParser(policy=policy.default).parsebytes(head)
    old = BytesHeaderParser(policy=policy.compat32).parsebytes(head)
    again = BytesHeaderParser(policy=policy.default).parsebytes(new.as_bytes())
    for read in (new, old, again):
        names = [name.lower() for name in read]
        assert len(names) == len(set(names)) and set(names) <= OUR_HEADERS, row
    assert [str(one) for one in new["To"].addresses] == [row.recipient], row
    assert all(len(new[name].addresses) == 1 for name in ("From", "Reply-To") if name in new), row
    for value in old.values():
        assert not re.search(r"[\r\n\0\x85\u2028\u2029]", decoded(decoded(value))), row


def decoded(value: str) -> str:
    """As a mail program shows it; folded lines are one (RFC 5322 2.2.3)."""
    unfolded = re.sub(r"\r?\n(?=[ \t])", "", value)
    parts = decode_header(unfolded)
    return "".join(
        part
        if isinstance(part, str)
        else part.decode("latin-1" if name in (None, "unknown-8bit") else name, "replace")
        for part, name in parts
    )


# ---------------------------------------------------------------- far too much


PUBLIC = [
    declared(route).path
    for route in routes
    if (of := declared(route)).writes and of.who is ANYBODY and "POST" in of.methods
]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_ten_megabytes_are_too_much_for_every_form_that_anybody_may_send(
    app: Starlette, database: Database
) -> None:
    """Said with its length it is not even read; else as far as it may be. The page says how much can be sent."""
    assert {"/branches/{slug}/contact", "/subscribe", "/suggest", "/register", "/sign-in/{token}"} <= set(
        PUBLIC
    )
    mail = {
        "host": "localhost",
        "sec-fetch-site": "same-origin",
        "content-type": "application/x-www-form-urlencoded",
    }
    for path in PUBLIC:
        here = re.sub(r"\{\w+\}", "1", path)
        for more, body in (({"content-length": "10000000"}, iter(())), ({}, unending())):
            status, page = asyncio.run(asked(app, "POST", here, {**mail, **more}, body))
            assert status == 413, path
            assert "<h1>Too large</h1>" in page or path.endswith(".json"), path
            assert "That is more than we can take at once: 2 MB at most." in page, path
            assert more or sum(map(len, body)) > 7_000_000, path  # were left where they came from


def unending() -> Iterator[bytes]:
    """Ten megabytes, of which nobody has said before how many they are."""
    for _ in range(100):
        yield b"message=" + b"x" * 100_000 + b"&"


# ---------------------------------------------------------------- why it is done


def test_what_we_guard_against_is_there() -> None:
    """Of an encoded word that somebody typed Python 3.11.2 makes a line break and 3.11.7 a header; later ones refuse to
    write such a mail at all."""
    naive = EmailMessage(policy=SMTP)
    naive["Subject"] = typed = "=?utf-8?q?x=0d=0aBcc:_eve@example.org?="
    naive.set_content("Hello")
    with suppress(MessageError):
        assert message_from_bytes(naive.as_bytes(), policy=SMTP)["Subject"] != typed
