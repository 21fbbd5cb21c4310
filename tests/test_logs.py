"""What is written to standard error: one line for each thing, in either format, and nothing of a visitor in it."""

import io
import json
import logging
import re
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events import logs
from events.db import Database
from events.logs import Format, JsonLines, TextLines
from events.people import sign_in
from events.people.models import Person
from events.web import observing
from events.web.environment import Templates
from tests.conftest import NOW, browser

CANARY = "canary7f3a"
INJECTED = f"{CANARY}\n2026-11-26 ERROR root all is lost\r\x1b[2J\x00\u2028\u202e"
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
FORMATTERS = {"text": TextLines(), "json": JsonLines()}


def record(message: str, *values: object, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("branchline.x", logging.WARNING, "x.py", 1, message, values, info)


@pytest.fixture
def lines(request: pytest.FixtureRequest) -> Any:
    """What was written while the test ran, in the format that it names, line for line."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(FORMATTERS[getattr(request, "param", "json")])
    root = logging.getLogger()
    root.addHandler(handler)
    yield lambda: written.getvalue().splitlines()
    root.removeHandler(handler)


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    try:
        raise error from cause
    except Exception as caught:
        return caught


# ---------------------------------------------------------------- the two formats


def test_a_line_of_json_is_one_object() -> None:
    said = json.loads(FORMATTERS["json"].format(record("mail %s: not now", 7)))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said.pop("time"))
    assert said == {"level": "warning", "logger": "branchline.x", "message": "mail 7: not now"}


def test_a_line_of_text_says_the_same() -> None:
    said = FORMATTERS["text"].format(record("mail %s: not now", 7))
    assert re.fullmatch(r"\S+Z WARNING branchline\.x mail 7: not now", said)


@pytest.mark.parametrize("format_", FORMATTERS)
def test_what_somebody_typed_can_neither_begin_a_line_nor_move_the_cursor(format_: str) -> None:
    error = raised(ValueError(INJECTED), raised(KeyError(INJECTED)))
    for said in (record("%s", INJECTED), record(INJECTED), record("failed", error=error)):
        written = FORMATTERS[format_].format(said)
        first, *more = written.splitlines()
        assert all(line.startswith("    ") for line in more)
        assert re.search(r"[\x00-\x09\x0b-\x1f\u2028\u202e]", written) is None
        assert "all is lost" not in first or "\\u000a2026" in first or "\\\\u000a2026" in first


@pytest.mark.parametrize("format_", FORMATTERS)
def test_a_traceback_says_where_and_what_but_not_the_values(format_: str) -> None:
    said = FORMATTERS[format_].format(
        record("failed", error=raised(ValueError(f"invalid literal: '{CANARY}'"), raised(KeyError(CANARY))))
    )
    assert CANARY not in said
    assert "KeyError: '\\u2026'" in said or "KeyError: '…'" in said
    assert "ValueError: invalid literal: '" in said and "in raised" in said and "then:" in said


def test_a_database_error_hides_what_it_was_given(database: Database) -> None:
    with database.writing() as session:
        sign_in.find_or_add(session, f"{CANARY}@example.org", NOW)
    with pytest.raises(IntegrityError) as raised_, database.writing() as session:
        session.add(Person(email=f"{CANARY}@example.org", created_at=NOW))
        session.flush()
    said = FORMATTERS["json"].format(record("failed", error=raised_.value))
    assert "IntegrityError" in said and CANARY not in said
    assert "person" in said


def test_the_format_is_chosen_by_the_operator(capsys: pytest.CaptureFixture[str]) -> None:
    before, level = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        chosen: tuple[Format, ...] = ("json", "text")
        for each in chosen:
            logs.set_up(each)
            logging.getLogger("branchline").info("hello")
    finally:
        for handler in logging.getLogger().handlers:
            handler.flush()
        logging.basicConfig(handlers=before, level=level, force=True)
    as_json, as_text = capsys.readouterr().err.splitlines()
    assert json.loads(as_json)["message"] == "hello" and as_text.endswith("INFO branchline hello")


# ---------------------------------------------------------------- what is said of a request


@ON_SQLITE
def test_a_request_that_failed_is_told_by_its_route_and_found_again_by_its_number(
    app: Starlette, lines: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_once(monkeypatch)
    client = TestClient(app, base_url="http://localhost", raise_server_exceptions=False)
    answer = client.get(f"/sign-in/{CANARY}?q={CANARY}", headers={"User-Agent": CANARY, "Referer": CANARY})
    assert answer.status_code == 500
    said = [json.loads(line) for line in lines() if "httpx" not in line]
    assert [(each["logger"], each["message"]) for each in said] == [
        ("branchline", "unexpected error at /sign-in"),
        ("branchline.requests", "failed"),
    ]
    for each in said:
        assert (each["method"], each["route"]) == ("GET", "/sign-in/{token}")
        assert each["request"] == answer.headers["x-request-id"]
    assert said[1]["status"] == 500 and said[1]["duration_ms"] > 0
    assert "RuntimeError" in said[0]["traceback"] and CANARY not in str(said)


@ON_SQLITE
def test_what_is_said_in_a_thread_names_the_request_too(
    app: Starlette, lines: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(*_: object) -> None:
        logging.getLogger("branchline.x").warning("looked")

    monkeypatch.setattr(sign_in, "who", said)
    browser(app).get("/account", headers={"Cookie": "session=x"})
    [found] = [json.loads(line) for line in lines() if '"branchline.x"' in line]
    assert (found["route"], found["method"]) == ("/account", "GET")


@ON_SQLITE
def test_a_slow_request_is_told_and_a_usual_one_is_not(
    app: Starlette, lines: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = browser(app)
    client.get(f"/events?q={CANARY}")
    client.get(f"/{CANARY}")
    assert [line for line in lines() if "branchline" in line] == []
    monkeypatch.setattr(observing, "SLOW_S", 0.0)
    client.get(f"/events?q={CANARY}")
    [said] = [json.loads(line) for line in lines() if "branchline" in line]
    assert (said["message"], said["route"], said["status"]) == ("slow", "/events", 200)
    assert CANARY not in str(said)


@ON_SQLITE
@pytest.mark.parametrize("lines", ["text"], indirect=True)
def test_text_says_of_a_request_what_json_does(
    app: Starlette, lines: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observing, "SLOW_S", 0.0)
    browser(app).get("/events/1")
    [said] = [line for line in lines() if "branchline.requests" in line]
    about = r"request=\w{16} method=GET route=/events/{id} status=404 duration_ms=\S+"
    assert re.fullmatch(rf"\S+ WARNING branchline.requests slow {about}", said)


def fail_once(monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = Templates.render, count()

    def fails_once(self: Templates, code: str, name: str, context: Mapping[str, object]) -> str:
        if next(calls) == 0:
            raise RuntimeError(f"'{CANARY}'")
        return real(self, code, name, context)

    monkeypatch.setattr(Templates, "render", fails_once)
