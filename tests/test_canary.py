"""Words that nobody else would use, typed into every field of every form and every search: where are they read again?

The forms are those that pages really show, to a visitor, to Ana and to Dee; they are sent as a browser would send them.
Then everything is looked at that could have kept a word: what the server wrote down, its temporary files, every page,
feed and answer for programs, as it comes to those whom it does not concern.
"""

import asyncio
import logging
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import httpx2
import pytest
from httpx2 import Response
from sqlmodel import col, select
from starlette.applications import Starlette

from events.app import publishing_of
from events.branches.models import Branch
from events.config import Settings
from events.db import Database
from events.people import permissions, sign_in
from events.people.models import Role
from events.web.endpoints import declared
from events.web.forms import FILTERS, HONEYPOT
from events.web.routes import routes
from events.worker import Worker
from tests import awkward, pages
from tests.conftest import Engines, running

NO_WORDS = {"hidden", "radio", "checkbox", "submit", "button", "file"}
CANARY = re.compile(r"kanari\d{5}x", re.IGNORECASE)
# Where a position was typed; nobody lives there, and no branch of the world is near.
LATITUDE, LONGITUDE = "-47.183629", "165.937411"
POSITION = {"near": f"{LATITUDE},{LONGITUDE}", "within": "3km"}
SEARCHED = (
    *FILTERS,
    "page",
    "date",
    "show",
    "name",
    "text",
    "done",
    "about",
    "theme",
    "next",
    "size",
    "open",
)
LISTS = (
    *(
        "/",
        "/branches",
        "/events",
        "/calendar/2043/12",
        "/subscribe",
        "/interests",
        "/embed",
        "/news",
        "/suggest",
    ),
    *("/embed/events", "/embed/branches", "/branches/alder", "/topics/repair", "/register", "/sign-in"),
    *("/branches.json", "/branches.csv", "/branches.geojson", "/events.ics", "/events.atom", "/events.json"),
    *("/events.csv", "/api/v1/branches/near", "/api/v1/events", "/api/v1/occurrences", "/oembed"),
    *("/api/v1/places?q=", "/nothing-here"),
)
FEEDS = (
    *("/branches.json", "/branches.csv", "/branches.geojson", "/events.ics", "/events.atom", "/events.json"),
    *(
        "/events.csv",
        "/news.atom",
        "/news.json",
        "/topics/repair.ics",
        "/topics/repair.atom",
        "/api/v1/branches",
    ),
    *("/api/v1/events", "/api/v1/occurrences", "/api/v1/branches/near?near=41.92,-87.65", "/sitemap.xml"),
    *("/readyz", "/healthz", "/metrics", "/openapi.json"),
    *(f"/branches/{slug}.{kind}" for slug in ("alder", "refuge") for kind in ("vcf", "ics", "atom", "json")),
    *(f"/api/v1/branches/{slug}" for slug in ("alder", "refuge")),
)
# Who may read what was typed into a form that is not for everybody: whom it was written to, and at which addresses.
BELONGS = {
    r"/branches/\w+/contact": r"/organize/(inbox|messages/)",
    r"/(branches/\w+|events/…)/report": r"/organize/queue",
    r"/suggest": r"/organize/(queue|events/)",
    r"/organize/branches/\w+": r"/organize/branches/",
    r"/account/tokens": r"/account",
    r"/account/name": r"/(account|organize)",
}
# What is typed there is made to be read by everybody; of a branch, not where mails to it go.
PUBLISHED = re.compile(r"/organize/(events|news|branches|imports)(/|$)")
PRIVATE_OF_A_BRANCH = {"email"}
# For a field that takes no word at all.
SENSIBLE = {
    "branch": "alder", "successor": "emoji", "country": "US", "near": "41.92,-87.65", "within": "25mi",
    "position": "41.92,-87.65", "opening_hours": "Mo 10:00-12:00", "phone": "+1 773 555 0100", "languages": "en",
    "kind": "other", "timezone": "America/Chicago", "start_date": "2043-12-01", "start_time": "19:00",
    "end_time": "21:00", "url": "", "external_id": "", "slug": "",
}  # fmt: skip


# ---------------------------------------------------------------- forms, as pages show them


@dataclass(slots=True)
class ShownForm:
    action: str
    method: str
    fields: list[tuple[str, str, str]] = field(default_factory=list)  # kind, name, value

    @property
    def words(self) -> list[str]:
        """The names of the fields that one types into."""
        return [name for kind, name, _ in self.fields if kind not in NO_WORDS and name != HONEYPOT]


class Forms(HTMLParser):
    """The forms of a page, with what stands in them."""

    def __init__(self, page: str, path: str) -> None:
        super().__init__()
        self.found: list[ShownForm] = []
        self._path, self._select = path, ""
        self._form: ShownForm | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        at = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = ShownForm(at.get("action") or self._path, at.get("method", "get").lower())
            self.found.append(self._form)
        elif self._form is None:
            return
        elif tag == "select":
            self._select = at.get("name", "")
        elif tag == "option" and self._select and ("selected" in at or not self._has(self._select)):
            self._put("radio", self._select, at.get("value", ""))
        elif tag == "textarea":
            self._put("textarea", at.get("name", ""), "")
        elif tag in ("input", "button") and at.get("name"):
            kind, name = at.get("type", "text"), at["name"]
            if kind != "checkbox" and ("checked" in at or kind != "radio" or not self._has(name)):
                self._put(kind, name, at.get("value", ""))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "select":
            self._select = ""

    def _has(self, name: str) -> bool:
        return self._form is not None and any(one[1] == name for one in self._form.fields)

    def _put(self, kind: str, name: str, value: str) -> None:
        if self._form is not None:
            if kind == "radio":
                self._form.fields = [one for one in self._form.fields if one[1] != name]
            self._form.fields.append((kind, name, value))


@dataclass(frozen=True, slots=True)
class Typed:
    """Where a word was typed: by whom, into which form and field. `path` without numbers and tokens."""

    who: str
    path: str
    name: str

    @property
    def is_published(self) -> bool:
        return bool(PUBLISHED.match(self.path)) and self.name not in PRIVATE_OF_A_BRANCH


@dataclass
class Bird:
    """Types canaries and remembers where. `as_` gives the browser of somebody who has just signed in."""

    as_: "Callable[[str], Browser]"
    typed: dict[str, Typed] = field(default_factory=dict)
    sent: set[tuple[str, ...]] = field(default_factory=set)
    searched: set[str] = field(default_factory=set)
    statuses: dict[str, int] = field(default_factory=dict)

    def word(self, who: str, path: str, name: str) -> str:
        canary = f"kanari{len(self.typed):05}x"
        self.typed[canary] = Typed(who, path, name)
        return canary

    def send_forms(self, who: str, page: Response) -> None:
        for form in Forms(page.text, urlsplit(str(page.url)).path).found:
            action = re.sub(r"/(\d+|[\w-]{30,})(?=/|$)", "/…", urlsplit(form.action).path)
            key = (who, form.method, action, *form.words)
            if form.words and key not in self.sent:
                self.sent.add(key)
                self._send(who, form, action)

    def _send(self, who: str, form: ShownForm, action: str) -> None:
        filled = [(name, self._filled(who, action, kind, name, value)) for kind, name, value in form.fields]
        if form.method == "get":
            self.searched |= set(CANARY.findall(urlencode(filled)))
            self.as_(who).get(f"{form.action.partition('?')[0]}?{urlencode(filled)}")
            return
        answer = self.as_(who).post(form.action, data=_body(filled))
        if answer.status_code == 422:  # what must be of a kind is typed anew, as people would
            wrong = set(re.findall(r'<a href="#([\w-]+)"', answer.text))
            before = {name: value for _, name, value in form.fields}
            filled = [
                (name, SENSIBLE.get(name, before[name]) if name in wrong else value) for name, value in filled
            ]
            answer = self.as_(who).post(form.action, data=_body(filled))
        self.statuses[f"{who} {action}"] = answer.status_code

    def _filled(self, who: str, action: str, kind: str, name: str, value: str) -> str:
        if kind in NO_WORDS or name == HONEYPOT:
            return value
        if kind in ("date", "time", "number"):
            return value or {"date": "2043-12-01", "time": "19:00"}.get(kind, "1")
        canary = self.word(who, action, name)
        if kind == "email":
            return f"{canary}@example.org"
        return f"https://{canary}.example.org/" if kind == "url" else f"{canary} {canary}"

    def search(self, path: str) -> None:
        """All parameters at once, the two that hold the most alone, and a position."""
        words = {name: self.word("", path, name) for name in SEARCHED}
        self.searched |= set(words.values())
        for query in (words, {"near": words["near"]}, {"q": words["q"]}, POSITION):
            self.as_("").get(f"{path}{'&' if '?' in path else '?'}{urlencode(query)}")


def _body(filled: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    return {name: [each for one, each in filled if one == name] for name, _ in filled}


# ---------------------------------------------------------------- one world, into which all is typed


@dataclass(frozen=True)
class Aftermath:
    bird: Bird
    log: str
    temporary: Sequence[Path]
    data: Path
    database: Path
    seen: Mapping[str, Mapping[str, Response]]  # by who looks, the answers by address
    secrets: Mapping[str, str]

    @property
    def kept(self) -> bytes:
        """All that the database holds, in lower case."""
        files = self.database.parent.glob(f"{self.database.name}*")
        return b"".join(path.read_bytes() for path in files).lower()

    def read(self, *who: str) -> Iterator[tuple[str, str, str]]:
        """Who reads at which address which canary."""
        for one in who:
            for path, answer in self.seen[one].items():
                for canary in sorted(set(map(str.lower, CANARY.findall(answer.text)))):
                    yield one, path, canary


@pytest.fixture(scope="module")
def aftermath(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    folder, temporary = tmp_path_factory.mktemp("canary"), tmp_path_factory.mktemp("temporary")
    settings = Settings(data_dir=folder, database_url=engines.fresh_url("sqlite"), secret_key="for tests only",
                        rate_limits=False)  # fmt: skip
    database = Database(settings.database_url, size=1)
    world = awkward.build(database, settings, publishing_of(settings))
    secrets = _private(database, world)
    with (
        pytest.MonkeyPatch.context() as patch,
        running(settings) as app,
        Written() as log,
        asyncio.Runner() as runner,
    ):
        patch.setattr(tempfile, "tempdir", str(temporary))
        bird = Bird(lambda who: Browser(app, runner, _signed_in(database, who)))
        shown = [
            page for page in pages.pages(world) if page.fields is None and page.who in ("", "ana", "dee")
        ]
        for page in shown:
            bird.send_forms(page.who, bird.as_(page.who).get(page.path))
        for path in LISTS:
            bird.search(path)
        _work(settings)
        paths = {who: [page.path for page in shown if page.who == who] for who in ("", "ana", "dee")}
        paths[""] += _for_programs(world)
        paths["cy"] = paths["ana"]
        seen = {who: _answers(bird.as_(who), paths[who]) for who in paths}
        left = [path for path in temporary.rglob("*") if path.is_file()]
        yield Aftermath(bird, log.text, left, folder, Path(str(database.engine.url.database)), seen, secrets)
    database.dispose()


class Written(logging.Handler):
    """Everything that is written down while the block runs, to the last detail; not by the client of the tests."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))

    def __enter__(self) -> "Written":
        root = logging.getLogger()
        self._level = root.level
        root.addHandler(self)
        root.setLevel(logging.DEBUG)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)
        logging.getLogger().setLevel(self._level)

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(("httpx", "httpcore")):
            self.lines.append(self.format(record))

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def _private(database: Database, world: awkward.World) -> Mapping[str, str]:
    """What nobody may read: the address of a branch's mailbox, and where a confidential one is. Cy is a stranger."""
    secrets = {"mailbox": "kanarimailbox@example.org", "street": "Kanaristreet 7", "code": "KANARI77"}
    with database.writing() as session:
        alder = session.exec(select(Branch).where(col(Branch.slug) == "alder")).one()
        refuge = session.exec(select(Branch).where(col(Branch.slug) == "refuge")).one()
        assert refuge.confidential
        alder.email = refuge.email = secrets["mailbox"]
        refuge.address_1, refuge.postal_code = secrets["street"], secrets["code"]
        refuge.derive_keys()
        cy = sign_in.find_or_add(session, "cy@example.org", world.now)
        far = session.exec(select(Branch).where(col(Branch.slug) == "hebrew")).one()
        permissions.invite(session, cy, far, Role.BRANCH_ADMIN)
    return secrets


class Browser:
    """On this machine, so that it may see the metrics. One loop for all requests: each of its own would take longer."""

    def __init__(self, app: Starlette, runner: asyncio.Runner, session: str) -> None:
        headers = {"Sec-Fetch-Site": "same-origin"} | ({"Cookie": f"session={session}"} if session else {})
        transport = httpx2.ASGITransport(app, client=("127.0.0.1", 50_000))
        self._client = httpx2.AsyncClient(transport=transport, base_url="http://localhost", headers=headers)
        self._runner = runner

    def get(self, path: str) -> Response:
        return self._runner.run(self._client.get(path))

    def post(self, path: str, data: Mapping[str, Sequence[str]]) -> Response:
        return self._runner.run(self._client.post(path, data=data))


def _signed_in(database: Database, who: str) -> str:
    """Anew each time: what others have sent may have ended a session."""
    with database.writing() as session:
        person = sign_in.find(session, f"{who}@example.org") if who else None
        return sign_in.begin(session, person, "", datetime.now(UTC)) if person else ""


def _work(settings: Settings) -> None:
    """Everything that the worker does of itself; mails become files."""
    worker = Worker(settings, publishing_of(settings))
    for job in (
        worker.tell_people,
        worker.refresh_events,
        worker.send_digests,
        worker.deliver_mails,
        worker.clean,
    ):
        job()
    worker.database.dispose()


def _for_programs(world: awkward.World) -> list[str]:
    fixed = [
        path
        for path in (declared(route).path for route in routes if not declared(route).writes)
        if "{" not in path and path != "/qr.svg"
    ]
    return [*dict.fromkeys((*fixed, *FEEDS)), f"/events/{world.at['series']}.ics"]


def _answers(client: Browser, paths: Sequence[str]) -> dict[str, Response]:
    return {path: client.get(path) for path in paths}


# ---------------------------------------------------------------- what is promised


def test_every_form_was_filled_in(aftermath: Aftermath) -> None:
    forms = {(one.who, one.path) for one in aftermath.bird.typed.values()}
    assert len(aftermath.bird.sent) > 45 and len(forms) > 45
    for path in (
        "/branches/alder/contact",
        "/subscribe",
        "/suggest",
        "/register",
        "/sign-in",
        "/events/…/report",
    ):
        assert ("", path) in forms, path
    came = list(aftermath.bird.statuses.values())
    assert max(came) < 500 and came.count(303) > 0.75 * len(came), aftermath.bird.statuses


def test_nothing_that_was_typed_is_written_into_the_log(aftermath: Aftermath) -> None:
    assert not CANARY.findall(aftermath.log)
    assert LATITUDE not in aftermath.log and LONGITUDE not in aftermath.log
    assert "kanari" not in aftermath.log.lower()


def test_nothing_that_was_typed_lies_in_a_temporary_file(aftermath: Aftermath) -> None:
    assert aftermath.temporary == []
    strays = [path for path in aftermath.data.rglob("*") if path.is_file() and path.suffix != ".eml"]
    assert not [path for path in strays if b"kanari" in path.read_bytes().lower()]


def test_what_somebody_searched_for_is_nowhere(aftermath: Aftermath) -> None:
    """Neither for others nor in the database."""
    read = [found for found in aftermath.read("", "ana", "dee", "cy") if found[2] in aftermath.bird.searched]
    assert read == []
    kept = aftermath.kept
    assert not [word for word in aftermath.bird.searched if word.encode() in kept]
    for text in (LATITUDE, LONGITUDE, LATITUDE[:7], LONGITUDE[:7]):
        assert text.encode() not in kept
        assert not [
            path for answers in aftermath.seen.values() for path, page in answers.items() if text in page.text
        ]


def test_what_is_not_for_everybody_is_read_by_those_it_was_written_to_alone(aftermath: Aftermath) -> None:
    """Kept answers included: the people concerned looked at their pages first."""
    typed = aftermath.bird.typed
    strangers = [
        (path, typed[word]) for _, path, word in aftermath.read("", "cy") if not typed[word].is_published
    ]
    assert strangers == []
    astray = [
        (who, path, typed[word])
        for who, path, word in aftermath.read("ana", "dee")
        if not typed[word].is_published and not _belongs(typed[word], path)
    ]
    assert astray == []
    read = {typed[word].path for *_, word in aftermath.read("ana", "dee")}
    assert {"/branches/alder/contact", "/suggest", "/events/…/report"} <= read, (
        "those it was written to read it"
    )


def _belongs(typed: Typed, path: str) -> bool:
    return any(re.fullmatch(form, typed.path) and re.match(at, path) for form, at in BELONGS.items())


def test_a_contact_message_goes_to_the_mailbox_of_its_branch_alone(aftermath: Aftermath) -> None:
    to = set()
    for path in (aftermath.data / "mail").glob("*.eml"):
        mail = message_from_bytes(path.read_bytes(), policy=policy.SMTP)
        parts = " ".join(
            str(part.get_content()) for part in mail.walk() if part.get_content_maintype() == "text"
        )
        words = CANARY.findall(f"{parts} {' '.join(map(str, mail.values()))}")
        if any(aftermath.bird.typed[word.lower()].path.endswith("/contact") for word in words):
            to.add(str(mail["To"]))
    assert to == {aftermath.secrets["mailbox"]}


def test_the_mailbox_of_a_branch_and_a_confidential_place_are_in_no_answer(aftermath: Aftermath) -> None:
    told = [
        (path, name)
        for who in ("", "cy")
        for path, answer in aftermath.seen[who].items()
        for name, secret in aftermath.secrets.items()
        if secret.lower() in answer.text.lower()
    ]
    assert told == []


def test_no_password_is_in_any_byte_of_the_database(aftermath: Aftermath) -> None:
    typed = {word for word, one in aftermath.bird.typed.items() if "password" in one.name}
    assert len(typed) > 3 and not [word for word in typed if word.encode() in aftermath.kept]


def test_no_answer_sets_a_cookie_before_somebody_signs_in(aftermath: Aftermath) -> None:
    answers = aftermath.seen[""]
    assert len(answers) > 100
    assert [path for path, answer in answers.items() if "set-cookie" in answer.headers] == []


def test_the_metrics_name_nobody_and_nothing_that_was_typed(aftermath: Aftermath) -> None:
    metrics = aftermath.seen[""]["/metrics"]
    assert metrics.status_code == 200 and "branchline_" in metrics.text
    assert "kanari" not in metrics.text.lower() and "@" not in metrics.text
