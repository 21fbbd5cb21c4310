"""What is loaded to serve, and what waits until somebody needs it."""

import contextlib
import gc
import json
import sqlite3
import subprocess
import sys
import weakref
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import uvicorn
from alembic.config import Config
from alembic.script import ScriptDirectory
from jinja2 import Environment

from events import __main__, later, migrations, server
from events.config import Settings
from events.identity import Identity
from events.language import LOCALE_DIR, language
from events.migrations.tables import TABLE_MODULES, metadata
from events.web import environment
from events.web.assets import Assets
from events.web.routes import routes

ROOT = Path(__file__).parents[1]
# Certificates, strangers' feeds and calendars, pictures, mail servers, steps of the schema, misspelt names.
SELDOM_NEEDED = {
    *(
        "webauthn",
        "cryptography",
        "OpenSSL",
        "feedparser",
        "icalendar",
        "PIL",
        "aiosmtplib",
        "argon2",
        "alembic",
    ),
    *("segno", "geopy", "rapidfuzz", "markdown_it", "tqdm"),
}


def loaded_by(*modules: str) -> set[str]:
    code = f"import {', '.join(modules)}, json, sys; print(json.dumps(list(sys.modules)))"
    return set(json.loads(printed_by(code)))


def printed_by(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, text=True)
    return done.stdout


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module that nobody has loaded yet."""
    (tmp_path / "seldom_needed.py").write_text("number = 7\n\n\ndef twice(one):\n    return 2 * one\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "seldom_needed"
    sys.modules.pop("seldom_needed", None)


# ---------------------------------------------------------------- what is loaded


def test_who_serves_loads_nothing_that_only_few_requests_need() -> None:
    views = [f"events.web.{path.stem}" for path in (ROOT / "events/web").glob("*.py")]
    loaded = {name.partition(".")[0] for name in loaded_by("events.app", "events.worker", *views)}
    assert loaded & SELDOM_NEEDED == set()


def test_the_home_page_loads_no_desk_no_mail_and_no_other_database() -> None:
    loaded = loaded_by("events.server", "events.app", "events.web.pages")
    others = {
        "events.desk.models",
        "events.messages.models",
        "events.people.models",
        "events.subscriptions.models",
        "events.web.organize",
    }
    assert (others | {"events.worker", "sqlalchemy.dialects.postgresql", "httpcore2"}) & loaded == set()


def test_no_table_joins_the_registry_of_others_while_pages_are_asked_for() -> None:
    """Seldom a first page was a 500: one thread declared the tables of another page while SQLAlchemy went through all
    tables of their registry in this one (`list(managers)` of a dictionary that grows raises)."""
    code = f"""
import gc, importlib
import events.app
from sqlalchemy.orm import registry
def sizes():
    return {{one: len(list(one.mappers)) for one in gc.get_objects() if isinstance(one, registry)}}
for name in {[module.__name__ for module in TABLE_MODULES]}:
    before = sizes()
    importlib.import_module(name)
    assert before.items() <= sizes().items(), name
print(sum(sizes().values()), len(sizes()))
"""
    assert printed_by(code).split() == [str(len(metadata.tables)), "7"]


def test_until_it_serves_no_page_and_no_table_is_loaded() -> None:
    loaded = {*loaded_by("events.__main__", "events.server")}
    pages = {"events.app", "events.worker", "events.web", "events.commands", "jinja2", "starlette"}
    assert (pages | {"sqlalchemy", "sqlmodel", "pydantic", "events.branches"}) & loaded == set()


COPIES = """
import json, os, sys, threading
from events import server

def noted(several):
    several.processes.append(None)
    pages = sorted(name for name in sys.modules if name.startswith("events.web."))
    print(json.dumps([pages, threading.active_count(), len(os.listdir("/dev/fd"))]))

server._Several._add = noted
sys.platform = "linux"  # other systems make no copies
before = len(os.listdir("/dev/fd"))
several = server._Several(server.uvicorn.Config("none:none", workers=3), [])
server._load_for_copies()
several.init_processes()
print(before)
"""


def test_the_first_of_several_processes_waits_for_no_page_and_the_others_have_them_all() -> None:
    """To be copied a process may have no thread, and should have no file open that is not for all of them."""
    *made, before = map(json.loads, printed_by(COPIES).splitlines())
    pages = {f"events.web.{path.stem}" for path in (ROOT / "events/web").glob("*.py")} - {
        "events.web.__init__"
    }
    first, second, third = (set(loaded) for loaded, _, _ in made)
    assert "events.web.routes" in first
    assert "events.web.organize" not in first
    assert (second, third) == (pages, pages)
    assert {tuple(rest) for _, *rest in made} == {(1, before)}


def test_a_table_is_loaded_with_all_that_its_rows_refer_to() -> None:
    """Else SQLAlchemy would miss some of them when it writes: which are loaded depends on who has asked for what."""
    code = f"""
import importlib
from events.db import Row
for name in {[module.__name__ for module in TABLE_MODULES]}:
    importlib.import_module(name)
    for table in Row.metadata.tables.values():
        for key in table.foreign_keys:
            key.column  # raises where it leads to nothing
print(len(Row.metadata.tables))
"""
    assert int(printed_by(code)) == len(metadata.tables)


# ---------------------------------------------------------------- what waits


def test_a_module_is_loaded_when_something_is_asked_of_it_and_not_before(module: str) -> None:
    stand_in = later.loaded_later(module)
    assert module not in sys.modules
    assert stand_in.number == 7
    stand_in.number = 8
    assert sys.modules[module].number == 8


def test_a_module_that_is_missing_is_missed_when_it_is_used() -> None:
    stand_in = later.loaded_later("no_such_library")
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        _ = stand_in.anything


def test_a_function_is_called_in_a_module_that_is_loaded_for_it(module: str) -> None:
    functions = later.functions_later("events", "none")["none"]
    assert functions.page is functions.page  # as in a module: routes are compared by it
    stand_in = later._Functions(module)
    assert module not in sys.modules
    assert stand_in.twice(21) == 42


def test_what_was_loaded_is_not_looked_through_for_garbage_and_what_was_garbage_before_is_gone(
    module: str,
) -> None:
    class Ring(list["Ring"]):
        pass

    ring = Ring()
    ring.append(ring)
    gone = weakref.ref(ring)
    del ring
    frozen = gc.get_freeze_count()
    try:
        assert later.loaded_later(module).number == 7 and gc.isenabled()
        assert gone() is None
        assert gc.get_freeze_count() > frozen
        assert not any(each is sys.modules[module] for each in gc.get_objects())
    finally:
        gc.unfreeze()


def test_whoever_loads_as_part_of_a_larger_whole_leaves_that_to_it(module: str) -> None:
    try:
        with later.without_collecting():
            frozen = gc.get_freeze_count()
            assert later.loaded_later(module).number == 7
            assert (gc.isenabled(), gc.get_freeze_count()) == (False, frozen)
    finally:
        gc.unfreeze()


def test_every_address_has_a_function() -> None:
    owners = [vars(route)["endpoint"].__self__ for route in routes]
    views = [each for owner in owners for each in (owner.view, getattr(owner, "again", None)) if each]
    assert len(views) > len(routes)
    assert all(callable(view.found()) for view in views)


def test_every_command_has_a_function() -> None:
    parser = __main__._parser()
    typed = ["demo", "serve", "work", "migrate", "move x", "routes", "doctor", "healthcheck"]
    typed += ["places build", "places import x", "branches import x", "branches export", "events import x"]
    typed += ["events export", "events recompute", "people invite x"]
    assert all(callable(__main__._command(parser.parse_args(line.split()).run)) for line in typed)


# ---------------------------------------------------------------- the schema, before anything is loaded


def test_the_newest_step_is_the_one_that_alembic_comes_to_last() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations.STEPS.parent))
    assert migrations.newest() == ScriptDirectory.from_config(config).get_current_head()


def test_a_file_says_by_itself_that_it_is_at_the_newest_schema(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/50% of it.db"
    assert not migrations.file_is_newest(url)  # and makes no file
    assert list(tmp_path.iterdir()) == []
    with contextlib.closing(sqlite3.connect(tmp_path / "50% of it.db")) as connection:
        assert not migrations.file_is_newest(url)
        connection.execute("CREATE TABLE alembic_version (version_num)")
        connection.execute("INSERT INTO alembic_version VALUES ('0001')")
        connection.commit()
        assert not migrations.file_is_newest(url)
        connection.execute("UPDATE alembic_version SET version_num = ?", [migrations.newest()])
        connection.commit()
    assert migrations.file_is_newest(url)


def test_what_is_no_file_of_sqlite_is_opened_to_see(tmp_path: Path) -> None:
    (tmp_path / "letter.db").write_text("Dear Ana, ")
    assert not migrations.file_is_newest(f"sqlite:///{tmp_path}/letter.db")
    assert not migrations.file_is_newest("postgresql+psycopg://localhost/branchline")


# ---------------------------------------------------------------- the worker


def test_a_site_whose_worker_cannot_begin_ends_and_says_why() -> None:
    failed: Future[None] = Future()
    failed.set_exception(ModuleNotFoundError("aiosmtplib"))
    serving = server._Server(uvicorn.Config("nowhere:app"), lambda: failed)
    serving.check_begun()  # nothing to say before it has tried
    serving._begin()
    assert serving.should_exit
    with pytest.raises(ModuleNotFoundError, match="aiosmtplib"):
        serving.check_begun()


# ---------------------------------------------------------------- templates


class Compiling(NamedTuple):
    settings: Settings
    compiled: list[str]

    def said(self, *codes: str) -> str:
        """By a process that has just begun."""
        environment._compiled.clear()
        templates = environment.Templates(self.settings, Assets(), Identity())
        return " ".join(templates.render(code, "hello.html", {"name": "Ana"}) for code in codes or ("en",))

    def kept(self) -> list[Path]:
        return sorted((self.settings.data_dir / "cache" / "templates").iterdir())


@pytest.fixture
def compiling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compiling:
    compiled: list[str] = []
    compile_it = Environment.compile

    def counted(self: Environment, source: Any, name: str, *rest: Any) -> Any:
        compiled.append(name)
        return compile_it(self, source, name, *rest)

    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "hello.html").write_text("Hello, {{ name }}!")
    monkeypatch.setattr(environment, "PACKAGED", tmp_path / "pages")
    monkeypatch.setattr(environment, "_compiled", {})
    monkeypatch.setattr(Environment, "compile", counted)
    data = tmp_path / "data"
    data.mkdir()
    url = f"sqlite:///{tmp_path}/none.db"
    return Compiling(Settings(data_dir=data, database_url=url, secret_key="for tests only"), compiled)


def test_a_template_is_compiled_once_for_all_processes(compiling: Compiling) -> None:
    assert [compiling.said(), compiling.said()] == ["Hello, Ana!"] * 2
    assert compiling.compiled == ["hello.html"]


def test_what_all_pages_of_a_language_say_alike_is_written_into_their_templates(compiling: Compiling) -> None:
    (environment.PACKAGED / "hello.html").write_text('{{ _("News") }}: {{ url("/news") }}')
    assert compiling.said("en", "es", "en") == "News: /news Noticias: /es/news News: /news"
    assert compiling.compiled == ["hello.html"] * 2
    for said in environment._compiled.values():
        assert b"news" in said and b"url" not in said
    assert compiling.said("es", "en") == "Noticias: /es/news News: /news"
    assert len(compiling.compiled) == 2


def test_what_is_said_with_values_is_not() -> None:
    written = environment._environment(
        language("es"), Settings(data_dir=Path(), database_url="", secret_key="x"), Assets(), Identity()
    ).compile(
        '{{ _("%(day)s", day=day) }} {{ url("/events", page=2) }} {{ url(here) }} {{ day("/x") }}', raw=True
    )
    assert written.count("context.call(") == 4


def test_a_template_whose_sentences_have_changed_is_compiled_again(
    compiling: Compiling, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (environment.PACKAGED / "hello.html").write_text('{{ _("News") }}')
    assert compiling.said("es") == "Noticias"
    changed = (LOCALE_DIR / "es.po").read_text().replace('msgstr "Noticias"', 'msgstr "Novedades"')
    (tmp_path / "es.po").write_text(changed)
    monkeypatch.setattr("events.language.LOCALE_DIR", tmp_path)
    language.cache_clear()
    try:
        assert compiling.said("es") == "Novedades"
    finally:
        language.cache_clear()


def test_a_template_that_has_changed_is_compiled_again(compiling: Compiling) -> None:
    compiling.said()
    (environment.PACKAGED / "hello.html").write_text("Good morning, {{ name }}!")
    assert compiling.said() == "Good morning, Ana!"
    assert len(compiling.kept()) == 1


@pytest.mark.parametrize("change", ["its code", "its mark", "all"])
def test_what_somebody_else_wrote_among_compiled_templates_is_never_run(
    compiling: Compiling, change: str
) -> None:
    compiling.said()
    (path,) = compiling.kept()
    kept = path.read_bytes()
    path.write_bytes({"its code": kept[:-1] + b"?", "its mark": b"?" + kept[1:], "all": b""}[change])
    assert compiling.said() == "Hello, Ana!"
    assert len(compiling.compiled) == 2
    assert path.read_bytes() == kept  # and put right


def test_what_another_version_has_compiled_is_compiled_again(
    compiling: Compiling, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiling.said()
    monkeypatch.setattr(environment, "_DEPENDS_ON", b"the next one")
    assert compiling.said() == "Hello, Ana!"
    assert len(compiling.compiled) == 2


def test_where_nothing_can_be_kept_pages_are_shown_all_the_same(compiling: Compiling) -> None:
    (compiling.settings.data_dir / "cache").write_text("in the way")
    assert compiling.said() == "Hello, Ana!"
