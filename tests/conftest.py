"""What the tests stand on: each test that takes `database` runs on SQLite and on a real PostgreSQL."""

import gc
import shutil
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import sqlalchemy as sa
from anyio.from_thread import start_blocking_portal
from sqlalchemy.engine.default import DefaultDialect
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events import interpreter, migrations
from events.app import create_app, publishing_of
from events.branches.models import Branch
from events.calendars.content import Publishing
from events.config import Settings
from events.db import Database
from events.identity import Identity
from events.people import permissions, sign_in
from events.people.models import Person, Purpose, Role
from events.places.geo import Point
from events.web.assets import Assets

from .postgres import postgres
from .small_gazetteer import build_small

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
# How long an example takes says how busy the machine is, and nothing about what is tried.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")
# All that has a name, and what tables are made of.
SCHEMA = """
SELECT md5(coalesce(string_agg(relname || relkind::text || relnatts, ',' ORDER BY relname), ''))
FROM pg_class WHERE relnamespace = 'public'::regnamespace
"""
EMPTYING = """
SET LOCAL lock_timeout = '2s';
SET LOCAL session_replication_role = replica;
DO $$
DECLARE each record;
BEGIN
  FOR each IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
    EXECUTE 'DELETE FROM public.' || quote_ident(each.tablename);
  END LOOP;
  FOR each IN SELECT sequencename, start_value FROM pg_sequences
      WHERE schemaname = 'public' AND last_value IS NOT NULL LOOP
    PERFORM setval(('public.' || quote_ident(each.sequencename))::regclass, each.start_value, false);
  END LOOP;
END $$
"""


@pytest.fixture(scope="session", autouse=True)
def compiled_once() -> Iterator[None]:
    """Statements are compiled once for each kind of database, and not for each of thousands that are made and go:
    a sixth of the time that all tests take."""
    compiled: dict[Any, Any] = {}
    make = sa.create_engine

    def create_engine(*arguments: Any, **options: Any) -> sa.Engine:
        return make(*arguments, execution_options={"compiled_cache": compiled}, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sa, "create_engine", create_engine)
        patch.setattr(DefaultDialect, "__hash__", lambda self: hash(self.name))
        patch.setattr(DefaultDialect, "__eq__", lambda self, other: self.name == getattr(other, "name", None))
        yield


@pytest.fixture(scope="session", autouse=True)
def collected_seldom() -> Iterator[None]:
    """What all tests were read into stays until the end: it is not looked through for garbage time and again."""
    gc.collect()
    gc.freeze()
    interpreter.look_for_garbage_seldom()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def one_loop() -> Iterator[None]:
    """Requests are answered in one event loop, as by a server, and not each in a thread and a loop of its own."""
    with pytest.MonkeyPatch.context() as patch, start_blocking_portal() as portal:
        patch.setattr(TestClient, "_portal_factory", lambda _: nullcontext(portal))
        yield


@pytest.fixture(scope="session", autouse=True)
def read_once() -> Iterator[None]:
    """Static files, which are the same for every application that has no colours or pictures of its own."""
    usual = Assets()

    def assets(identity: Identity) -> Assets:
        return usual if identity == Identity() else Assets(identity)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("events.app.Assets", assets)
        yield


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with postgres() as url:
        yield url


class Engines:
    """Makes a migrated, empty database in a moment, by copying one that was migrated once."""

    def __init__(self, folder: Path, postgres_url: str) -> None:
        self._folder = folder
        self._postgres_url = postgres_url
        self._number = 0
        self._ready: set[str] = set()
        self._spare: list[str] = []
        self._schema = ""

    def fresh_url(self, engine: str) -> str:
        """The URL of an empty database at the newest schema."""
        self._number += 1
        if engine == "sqlite":
            return self._copied_file(self._folder / f"{self._number}.db")
        if self._spare:
            return self._spare.pop()
        return self._copied_database(f"test_{self._number}")

    def blank_url(self, engine: str) -> str:
        """The URL of a database without any table."""
        self._number += 1
        if engine == "sqlite":
            return f"sqlite:///{self._folder}/{self._number}.db"
        return self._created_database(f"test_{self._number}", "template1")

    def give_back(self, url: str) -> None:
        """A database of PostgreSQL is emptied for the next test, which takes a tenth of the time of making one."""
        if not url.startswith("postgresql"):
            return
        try:
            emptied = self._empty(url)
        except sa.exc.OperationalError:  # something of the test still holds a lock
            emptied = False
        if emptied:
            self._spare.append(url)
        else:
            self._drop(url)

    def _empty(self, url: str) -> bool:
        """False when the test has changed the schema."""
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        try:
            with engine.begin() as connection:
                if connection.exec_driver_sql(SCHEMA).scalar_one() != self._schema:
                    return False
                connection.exec_driver_sql(EMPTYING)
        finally:
            engine.dispose()
        return True

    def _drop(self, url: str) -> None:
        name = sa.make_url(url).database
        engine = sa.create_engine(self._postgres_url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        engine.dispose()

    def _copied_file(self, path: Path) -> str:
        template = self._folder / "template.db"
        if "sqlite" not in self._ready:
            _migrate(f"sqlite:///{template}")
            self._ready.add("sqlite")
        shutil.copy(template, path)
        return f"sqlite:///{path}"

    def _copied_database(self, name: str) -> str:
        if "postgresql" not in self._ready:
            migrated = self._created_database("migrated", "template1")
            _migrate(migrated)
            self._ready.add("postgresql")
            engine = sa.create_engine(migrated, poolclass=sa.NullPool)
            with engine.connect() as connection:
                self._schema = connection.exec_driver_sql(SCHEMA).scalar_one()
            engine.dispose()
        return self._created_database(name, "migrated")

    def _created_database(self, name: str, template: str) -> str:
        engine = sa.create_engine(self._postgres_url, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        engine.dispose()
        return self._postgres_url.replace("/postgres?", f"/{name}?")


def _migrate(url: str) -> None:
    database = Database(url, size=1)
    migrations.upgrade(database)
    database.dispose()


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Engines:
    return Engines(tmp_path_factory.mktemp("databases"), postgres_url)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, engines: Engines) -> Iterator[Database]:
    database = Database(engines.fresh_url(request.param), size=4)
    yield database
    database.dispose()
    engines.give_back(database.url)


@pytest.fixture
def settings(database: Database, tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path,
        database_url=database.url,
        secret_key="for tests only",
        name="Hazel Clubs",
        rate_limits=False,
    )


@pytest.fixture
def publishing(settings: Settings) -> Publishing:
    return publishing_of(settings)


@dataclass(frozen=True)
class Cast:
    """Ana organizes at Alder, Cy at Birch (in Madrid), Dee is admin; Ben only visits."""

    ana: Person
    cy: Person
    dee: Person
    alder: Branch
    birch: Branch


def branch(slug: str, name: str, at: Point | None, **more: Any) -> Branch:
    row = Branch(slug=slug, name=name, updated_at=NOW, **more)
    row.derive_keys()
    row.stand_at(at)
    return row


@pytest.fixture
def cast(database: Database) -> Cast:
    with database.writing() as session:
        alder = branch(
            "alder",
            "Alder Club",
            Point(41.9227, -87.6533),
            address_1="2150 N Halsted St",
            city="Chicago",
            state_province="IL",
            postal_code="60614",
            country="US",
            timezone="America/Chicago",
            email="alder@example.org",
            languages="en",
        )
        birch = branch(
            "birch",
            "Club Abedul",
            Point(40.4203, -3.7058),
            address_1="Calle del Pez 10",
            city="Madrid",
            postal_code="28004",
            country="ES",
            timezone="Europe/Madrid",
            email="birch@example.org",
            languages="es",
        )
        people = {
            name: Person(email=f"{name}@example.org", created_at=NOW, is_admin=name == "dee")
            for name in ("ana", "cy", "dee")
        }
        session.add_all([alder, birch, *people.values()])
        session.flush()
        permissions.invite(session, people["ana"], alder, Role.ORGANIZER)
        permissions.invite(session, people["cy"], birch, Role.ORGANIZER)
    return Cast(**people, alder=alder, birch=birch)


@pytest.fixture
def app(settings: Settings) -> Iterator[Starlette]:
    with running(settings) as app:
        yield app


@contextmanager
def running(settings: Settings) -> Iterator[Starlette]:
    """An application whose threads and connections end with the block. It sees at once what tests write."""
    app = create_app(settings)
    app.state.branchline.revisions.behind_s = 0.0
    yield app
    app.state.branchline.close()


def most_memory(work: Callable[[], object]) -> int:
    """Bytes that Python holds at a time for it. The least of three: what a process does once, as when a cache grows,
    it does not do three times."""

    def most() -> int:
        tracemalloc.start()
        work()
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    return min(most() for _ in range(3))


@contextmanager
def counted(engine: Any) -> Iterator[list[str]]:
    """The statements that are made in the block, on an engine, or on any (`sa.Engine`)."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    sa.event.listen(engine, "before_cursor_execute", note)
    yield statements
    sa.event.remove(engine, "before_cursor_execute", note)


def of_pages(statements: Iterable[str]) -> list[str]:
    """Without whether anything has moved, which is asked whatever is shown."""
    return [one for one in statements if one != "BEGIN" and "_revision" not in one]


def browser(app: Starlette) -> TestClient:
    """A browser of its own: with cookies, and with the header that browsers send from our own pages."""
    return TestClient(
        app,
        base_url="http://localhost",
        headers={"Sec-Fetch-Site": "same-origin"},
        follow_redirects=False,
        raise_server_exceptions=True,
    )


@pytest.fixture
def ben(app: Starlette) -> TestClient:
    """A visitor."""
    return browser(app)


def signed_in(app: Starlette, database: Database, person: Person) -> TestClient:
    """A browser in which the person has signed in, by a link as everybody does."""
    now = datetime.now(UTC)
    with database.writing() as session:
        token = sign_in.make_link(session, person, Purpose.SIGN_IN, now)
    client = browser(app)
    assert client.post(f"/sign-in/{token}").status_code == 303
    return client


@pytest.fixture
def ana(app: Starlette, database: Database, cast: Cast) -> TestClient:
    return signed_in(app, database, cast.ana)


@pytest.fixture
def cy(app: Starlette, database: Database, cast: Cast) -> TestClient:
    return signed_in(app, database, cast.cy)


@pytest.fixture
def dee(app: Starlette, database: Database, cast: Cast) -> TestClient:
    return signed_in(app, database, cast.dee)


@pytest.fixture(scope="session")
def small_gazetteer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place directory of a few dozen places and codes; read it, do not write to it."""
    return build_small(tmp_path_factory.mktemp("places"))
