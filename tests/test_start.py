"""What is loaded to serve, and what waits until somebody needs it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from events import __main__, later, migrations

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
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, text=True)
    return set(json.loads(done.stdout))


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module that nobody has loaded yet."""
    (tmp_path / "seldom_needed.py").write_text("number = 7\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "seldom_needed"
    sys.modules.pop("seldom_needed", None)


def test_who_serves_loads_nothing_that_only_few_requests_need() -> None:
    loaded = {name.partition(".")[0] for name in loaded_by("events.app", "events.worker", "events.server")}
    assert loaded & SELDOM_NEEDED == set()


def test_who_watches_over_several_processes_loads_no_page() -> None:
    loaded = loaded_by("events.__main__", "events.server")
    assert {"events.app", "events.worker", "events.web", "events.commands", "jinja2"} & loaded == set()


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


def test_every_command_has_a_function() -> None:
    parser = __main__._parser()
    typed = ["demo", "serve", "work", "migrate", "move x", "routes", "doctor", "healthcheck"]
    typed += ["places build", "places import x", "branches import x", "branches export", "events import x"]
    typed += ["events export", "events recompute", "people invite x"]
    assert all(callable(__main__._command(parser.parse_args(line.split()).run)) for line in typed)


def test_the_newest_step_is_the_one_that_alembic_comes_to_last() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations.STEPS.parent))
    assert migrations.newest() == ScriptDirectory.from_config(config).get_current_head()
