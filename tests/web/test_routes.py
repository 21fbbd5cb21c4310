"""Every route of the table, tried by everybody: it says who may use it, and nobody else gets in.

What belongs to others is not there (404), whoever asks and however. A new route is tried by itself; a new kind
of object in a path needs an example in `examples`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import TypeVar

import httpx2
import pytest
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from events.__main__ import main
from events.app import publishing_of
from events.branches.models import Branch
from events.calendars import changes, derived, sources, store
from events.calendars.content import Publishing
from events.calendars.models import Event, Picture, PictureState, State
from events.config import Settings
from events.db import Database, Row
from events.desk import branch_changes, bulk, proposals
from events.desk.models import BranchSheet, Report
from events.messages import contact, outbox
from events.messages.models import ContactMessage, OutgoingMail
from events.news import headlines, writing
from events.news.drafts import NoticeDraft
from events.news.writing import Written
from events.people import permissions, sign_in, tokens
from events.people.models import MembershipRequest, Passkey, Person, Purpose, Role
from events.places.geo import Point
from events.subscriptions import choices
from events.subscriptions.links import token_of
from events.web.endpoints import ADMIN, ANYBODY, BRANCH_ADMIN, ORGANIZER, SIGNED_IN, Declared, declared
from events.web.routes import routes
from tests.calendars.test_feeds import weekly
from tests.conftest import Engines, branch, counted, running

AnyRow = TypeVar("AnyRow", bound=Row)

TABLE = [(method, declared(route)) for route in routes for method in declared(route).methods]
RANK = {who: rank for rank, who in enumerate((ANYBODY, SIGNED_IN, ORGANIZER, BRANCH_ADMIN, ADMIN))}

# The most that each may use. To the strangers, and to whoever only signed in, all examples belong to others.
ROLES = {
    "visitor": ANYBODY,
    "signed in": SIGNED_IN,
    "organizer": ORGANIZER,
    "stranger": ORGANIZER,
    "strange branch admin": BRANCH_ADMIN,
    "branch admin": BRANCH_ADMIN,
    "admin": ADMIN,
}
OUR_PAGE = "http%3A%2F%2Flocalhost%3A8000%2Fevents"
# Of what answers nothing without one.
QUERIES = {"/api/v1/places": "?q=alder", "/qr.svg": "?to=/", "/oembed": f"?url={OUR_PAGE}"}
SECRET = "for tests only"
FIELDS = {"branch": "alder"}  # of every form; the rest of it stays empty


STRANGERS = ("signed in", "stranger", "strange branch admin")


def expected(role: str, method: str, route: Declared) -> str:
    if route.path == "/metrics":
        return "is not there"  # for people; test_metrics.py has the programs that it is for
    if route.who is ANYBODY:
        return "answers" if method == "GET" else "does not fail"
    if role == "visitor":
        return "asks to sign in"
    if RANK[ROLES[role]] < RANK[route.who] or (parameters(route.path) and role in STRANGERS):
        return "is not there"
    if route.who is SIGNED_IN and parameters(route.path) and role != "organizer":
        return "does not fail"  # it may be theirs or not
    if method == "GET":
        return "answers"
    return "is there" if parameters(route.path) else "does not fail"


def parameters(path: str) -> list[str]:
    """Each with the part of the path that stands before it: `branches/{slug}`."""
    return [
        f"{before}/{{{name}}}"
        for before, segment in pairwise(path.split("/"))
        for name in re.findall(r"{(\w+)", segment)
    ]


@dataclass(frozen=True)
class World:
    database: Database
    client: TestClient
    examples: Mapping[str, str]
    sessions: Mapping[str, str]
    tokens: Mapping[str, str]

    def ask(self, role: str, method: str, path: str) -> set[str]:
        """What the answer does, in the words of `expected`; all that are true."""
        answer = self._answer(role, method, path)
        status, to = answer.status_code, answer.headers.get("location", "")
        if status >= 500:
            return {f"FAILS with {status}"}
        if status == 401 or (status == 303 and re.match(r"/sign-in(\?|$)", to)):
            return {"asks to sign in", "does not fail"}
        if status == 404:
            return {"is not there", "does not fail"}
        words = {"is there", "does not fail", "answers" if status < 400 else f"refuses with {status}"}
        return words

    def status(self, role: str, method: str, path: str) -> int:
        """As it is; 303 for whoever is asked to sign in."""
        status: int = self._answer(role, method, path).status_code
        return status

    def _answer(self, role: str, method: str, path: str) -> httpx2.Response:
        self.client.cookies.clear()
        is_api = path.startswith("/api/")
        headers = {}
        if role in self.sessions:
            headers = {"Cookie": f"session={self.sessions[role]}"}
        if role in self.tokens and is_api:
            headers = {"Authorization": f"Bearer {self.tokens[role]}"}
        return self.client.request(
            method,
            self.filled(path) + QUERIES.get(path, ""),
            headers=headers,
            data=None if is_api or method == "GET" else FIELDS,
            json={} if is_api and method != "GET" else None,
        )

    def filled(self, path: str) -> str:
        segments = path.split("/")
        return "/".join([segments[0], *(self._filled(path, *pair) for pair in pairwise(segments))])

    def _filled(self, path: str, before: str, segment: str) -> str:
        """With the example of the whole path, where it has one of its own."""
        names = re.findall(r"{(\w+)", segment)
        values = [self.examples.get(path) or self.examples[f"{before}/{{{name}}}"] for name in names]
        return re.sub(r"{[^}]*}", lambda _: values.pop(0), segment)


# ---------------------------------------------------------------- the tests


def test_every_route_says_who_may_use_it() -> None:
    wrong = [
        f"{method} {route.path} is for {route.who.value}"
        for method, route in TABLE
        if (route.path.startswith("/organize") and RANK[route.who] < RANK[ORGANIZER])
        or (route.path.startswith("/account") and route.who is ANYBODY)
        or (route.path.startswith("/api/") and route.writes and RANK[route.who] < RANK[ORGANIZER])
    ]
    assert not wrong, "\n".join(wrong)


def test_a_route_that_does_not_say_it_breaks_the_build() -> None:
    async def view(request: Request) -> Response:
        return PlainTextResponse("")

    with pytest.raises(TypeError, match="does not say who may use it"):
        declared(Route("/undeclared", view))


def test_the_command_prints_the_table_in_its_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["routes"]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == ["METHOD", "PATH", "DOES", "WHO", "LIMITS"]
    assert [tuple(line.split()[:2]) for line in lines] == [(method, route.path) for method, route in TABLE]
    assert (
        len({line.index(" reads ") if " reads " in line else line.index(" writes ") for line in lines}) == 1
    )
    [sending] = [line for line in lines if line.startswith("POST    /branches/{slug}/contact ")]
    limits = "5 an hour per address, 60 an hour per path, 600 a minute per address"
    assert re.split(r"  +", sending)[2:] == ["writes", "anybody", limits]
    assert any(re.fullmatch(r"GET +/healthz +reads +anybody", line) for line in lines)


def test_every_parameter_of_a_path_has_an_example(world: World) -> None:
    """Or the tests below would try nothing there: add one that belongs to Alder or its people to `examples`."""
    missing = {
        f"{name} in {route.path}" for _, route in TABLE for name in parameters(route.path)
        if name not in world.examples
    }  # fmt: skip
    assert not missing, "no example of " + ", nor of ".join(sorted(missing))


@pytest.mark.parametrize("role", ROLES)
def test_each_route_answers_those_it_is_for_and_nobody_else(world: World, role: str) -> None:
    wrong = []
    for method, route in TABLE:
        if set(parameters(route.path)) <= world.examples.keys():
            found, wanted = world.ask(role, method, route.path), expected(role, method, route)
            if wanted not in found:
                wrong.append(f"{method} {route.path} to {role}: {wanted}? It {', '.join(sorted(found))}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "path", ["/organize/events/new", "/organize/events/preview", "/organize/imports", "/organize/news/new"]
)
def test_a_form_that_names_the_branch_of_others_finds_nothing(world: World, path: str) -> None:
    assert "is not there" not in world.ask("organizer", "POST", path)
    for stranger in ("stranger", "strange branch admin"):
        assert "is not there" in world.ask(stranger, "POST", path)


def test_no_get_changes_anything(world: World) -> None:
    """Robots, caches and what looks ahead may ask for anything at any time."""
    wrong = []
    with counted(world.database.for_writing) as statements:
        for role in ("visitor", "admin"):
            for method, route in TABLE:
                if method == "GET":
                    world.ask(role, method, route.path)
                    wrong += [f"GET {route.path} by {role}: {one}" for one in changing(statements)]
                    statements.clear()
        world.ask("organizer", "POST", "/organize/events/{id}/removal")
        assert changing(statements), "it would have been seen"
    assert not wrong, "\n".join(wrong)


def changing(statements: Sequence[str]) -> list[str]:
    return [
        one for one in statements if re.match(r"\s*(insert|update|delete|replace|with)\b", one, re.IGNORECASE)
    ]


# ---------------------------------------------------------------- what they are tried with


@pytest.fixture(scope="module")
def world(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    (folder / "site").mkdir()
    (folder / "site" / "site.toml").write_text('security = "mailto:security@example.org"')
    url = engines.fresh_url("sqlite")
    settings = Settings(data_dir=folder, database_url=url, secret_key=SECRET, rate_limits=False)
    with running(settings) as app:
        database, now = app.state.branchline.database, datetime.now(UTC)
        with database.writing() as session:
            alder, birch, people = staff(session, now)
            maker = Maker(session, alder, birch, people, publishing_of(settings), now)
            examples = maker.examples()
            sessions = {role: sign_in.begin(session, person, "", now) for role, person in people.items()}
            keys = {role: tokens.make(session, person, "For tests", now) for role, person in people.items()}
        examples["static/{path}"] = app.state.branchline.assets.url_of("css/all.css").removeprefix("/static/")
        examples["/organize/people/{id}/administration/removal"] = str(people["admin"].id)
        client = TestClient(
            app,
            base_url="http://localhost",
            headers={"Sec-Fetch-Site": "same-origin"},
            follow_redirects=False,
            raise_server_exceptions=False,
        )
        with forgetful(database):
            yield World(database, client, examples, sessions, keys)


@contextmanager
def forgetful(database: Database) -> Iterator[None]:
    """What is written in the block is written in full and then rolled back: one database serves all tries."""

    @contextmanager
    def writing() -> Iterator[Session]:
        with Session(database.for_writing, expire_on_commit=False) as session:
            yield session
            session.flush()
            session.rollback()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "writing", writing)
        yield


def staff(session: Session, now: datetime) -> tuple[Branch, Branch, dict[str, Person]]:
    alder = branch("alder", "Alder Club", Point(41.9227, -87.6533), city="Chicago", country="US",
                   timezone="America/Chicago", email="alder@example.org", languages="en")  # fmt: skip
    birch = branch("birch", "Club Abedul", Point(40.4203, -3.7058), city="Madrid", country="ES",
                   timezone="Europe/Madrid", email="birch@example.org", languages="es")  # fmt: skip
    session.add_all([alder, birch])
    people = {
        role: sign_in.find_or_add(session, f"{role.replace(' ', '-')}@example.org", now)
        for role in ROLES
        if role != "visitor"
    }
    session.flush()
    permissions.invite(session, people["organizer"], alder, Role.ORGANIZER)
    permissions.invite(session, people["branch admin"], alder, Role.BRANCH_ADMIN)
    permissions.invite(session, people["stranger"], birch, Role.ORGANIZER)
    permissions.invite(session, people["strange branch admin"], birch, Role.BRANCH_ADMIN)
    permissions.invite(session, people["admin"], None, Role.ADMIN)
    return alder, birch, people


@dataclass(frozen=True)
class Maker:
    """Makes one example of each kind: of the branch Alder, of Ana, or of what they have before them."""

    session: Session
    alder: Branch
    birch: Branch
    people: Mapping[str, Person]
    publishing: Publishing
    now: datetime

    def examples(self) -> dict[str, str]:
        return {
            "branches/{slug}": "alder",
            "icons/{size}": "192",
            "calendar/{year}": "2043",
            "{year}/{month}": "12",
            "dates/{start}": "2043-12-01T19:00",
            "history/{number}": "1",
            "topics/{slug}": "repair",
            **self.of_events(),
            **self.of_people(),
            **self.of_branches(),
            **self.of_news(),
        }

    def of_events(self) -> dict[str, str]:
        event, cancelled = self.event(), self.event()
        self.event().picture_id = self.added(
            Picture(id="a-picture", branch_id=_id(self.alder), state=PictureState.READY, created_at=self.now,
                    large=b"large", small=b"small", width=800, height=400)
        ).id  # fmt: skip
        with changes.recorded(self.session, cancelled, bulk.ACTION, self.ana, self.now, "a-batch"):
            cancelled.cancel("Snow.", self.now)
            derived.save(self.session, cancelled, self.publishing, self.now)
        suggested = self.event(state=State.SUBMITTED)
        proposals.add(self.session, suggested, self.now, email="ben@example.org")
        held = self.event([self.birch, self.alder])
        source = sources.upload(self.session, self.alder, "calendar.ics", b"BEGIN:VCALENDAR", self.now)
        return {
            "events/{id}": str(event.id),
            "cancellations/{batch}": "a-batch",
            "hostings/{id}": str(held.id),
            "imports/{id}": str(source.id),
            "pictures/{id}": "a-picture",
            "proposals/{id}": str(suggested.id),
        }

    def of_people(self) -> dict[str, str]:
        passkey = self.added(
            Passkey(credential_id="YS1rZXk", person_id=_id(self.ana), public_key=b"", created_at=self.now)
        )
        request = self.added(
            MembershipRequest(
                person_id=_id(self.people["signed in"]), branch_id=_id(self.alder), created_at=self.now
            )
        )
        tokens.make(self.session, self.ana, "Another", self.now)
        session = sign_in.begin(self.session, self.ana, "", self.now)
        return {
            "passkeys/{label}": sign_in.label(passkey.credential_id),
            "people/{id}": str(self.ana.id),
            "requests/{id}": str(request.id),
            "sessions/{label}": sign_in.label(sign_in.token_hash(session)),
            "sign-in/{token}": sign_in.make_link(self.session, self.ana, Purpose.SIGN_IN, self.now),
            "subscriptions/{token}": token_of(
                choices.ask(self.session, "ben@example.org", choices.Choice(newsletter=True), self.now),
                SECRET,
            ),
            "tokens/{id}": str(tokens.of(self.session, self.ana)[0].id),
        }

    def of_branches(self) -> dict[str, str]:
        with branch_changes.recorded(self.session, self.alder, "changed", self.ana, self.now):
            self.alder.phone = "+1 773 555 0100"
        report = self.added(Report(key="a-key", branch_id=_id(self.alder), kind="other", created_at=self.now))
        sheet = self.added(
            BranchSheet(id="a-sheet", person_id=_id(self.people["admin"]), name="branches.csv",
                        body=b"slug,name\nalder,Alder\n", created_at=self.now)
        )  # fmt: skip
        message = self.added(
            ContactMessage(branch_id=_id(self.alder), key="a-key", name="Ben", email="ben@example.org",
                           subject="", message="May I join?", created_at=self.now)
        )  # fmt: skip
        return {
            "contact-copies/{token}": contact.copy_token(message, SECRET),
            "messages/{id}": str(message.id),
            "outbox/{id}": str(self.mail().id),
            "reports/{id}": str(report.id),
            "sheets/{id}": sheet.id,
        }

    def of_news(self) -> dict[str, str]:
        draft = NoticeDraft(title="A new roof", text="It is dry.", language="en", shown_from=date(2026, 1, 1))
        notice, _ = writing.add(self.session, Written(draft, self.alder), self.ana, self.now)
        writing.publish(notice, self.now)
        source = headlines.follow(self.session, "https://office.example.org/feed.xml", self.now)
        return {"news/{id}": str(notice.id), "news/{slug}": notice.slug, "headlines/{id}": str(source.id)}

    @property
    def ana(self) -> Person:
        return self.people["organizer"]

    def event(self, hosts: Sequence[Branch] = (), **more: object) -> Event:
        draft = weekly(start=datetime(2043, 11, 24, 19), end=datetime(2043, 11, 24, 21), **more)
        event = store.add(self.session, draft, hosts or [self.alder], self.publishing, self.now)
        changes.added(self.session, event, self.ana, self.now)
        return event

    def mail(self) -> OutgoingMail:
        to = "alder@example.org"
        return self.added(outbox.put(self.session, self.now, recipient=to, subject="News", body="Hello"))

    def added(self, row: AnyRow) -> AnyRow:
        self.session.add(row)
        self.session.flush()
        return row


def _id(row: Branch | Person) -> int:
    assert row.id is not None
    return row.id
