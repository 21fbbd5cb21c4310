"""`/metrics`: who may see it, what it tells, and that nothing of a person stands in it."""

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events import fetching, metrics, sandbox
from events.calendars.models import CalendarSource, SourceState
from events.config import Settings
from events.db import Database
from events.messages import outbox
from events.metrics import Sample
from events.news import headlines
from events.web.endpoints import declared
from events.web.metrics import text
from events.web.routes import routes
from events.worker import Worker
from tests.conftest import Cast, running
from tests.looking import AXE_PATH

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
TOKEN = "a token of thirty-two characters"
CANARY = "canary7f3a"
# A line of either format, by its grammar: a comment, or a name, labels and a number.
LINE = re.compile(
    r"# (HELP [a-z_]+ [^\n]+|TYPE [a-z_]+ (counter|gauge|histogram|info)|EOF)"
    r'|[a-z_]+({[a-z]+="([^"\\\n]|\\["\\n])*"(,[a-z]+="([^"\\\n]|\\["\\n])*")*})? -?[0-9.e+-]+'
)


def local(app: Starlette, host: str = "127.0.0.1") -> TestClient:
    """A program on this machine, which asks by address."""
    return TestClient(app, base_url="http://127.0.0.1:8000", client=(host, 50_000))


def told(client: TestClient, **headers: str) -> dict[str, float]:
    """Each series, without the number of its process, and its value."""
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200
    found = {}
    for line in answer.text.splitlines():
        assert LINE.fullmatch(line), line
        if not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            found[re.sub(r'process="\w+",?', "", series).replace("{}", "")] = float(value)
    return found


@contextmanager
def risen(client: TestClient, series: str, by: float = 1) -> Iterator[None]:
    before = told(client).get(series, 0)
    yield
    assert told(client).get(series, 0) - before == by, series


# ---------------------------------------------------------------- who may see it


@ON_SQLITE
@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "::ffff:127.0.0.1"])
def test_without_a_token_a_program_on_this_machine_sees_the_figures(app: Starlette, host: str) -> None:
    assert told(local(app, host))["branchline_database_up"] == 1


@ON_SQLITE
@pytest.mark.parametrize("host", ["198.51.100.7", "10.0.0.5", "2001:db8::1", "testclient"])
def test_without_a_token_nobody_else_does(app: Starlette, host: str) -> None:
    assert local(app, host).get("/metrics").status_code == 404


@ON_SQLITE
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Proto", "https"),
        ("Forwarded", "for=127.0.0.1"),
        ("X-Real-IP", "127.0.0.1"),
        ("Via", "1.1 proxy"),
        ("Host", "events.example.org"),
    ],
)
def test_what_comes_through_a_proxy_is_not_from_this_machine(app: Starlette, name: str, value: str) -> None:
    assert local(app).get("/metrics", headers={name: value}).status_code == 404


@ON_SQLITE
def test_with_a_token_whoever_has_it_sees_them_and_this_machine_without_it_does_not(
    settings: Settings,
) -> None:
    settings = replace(settings, base_url="https://events.example.org", metrics_token=TOKEN)
    with running(settings) as app:
        far = local(app, "198.51.100.7")
        assert told(far, authorization=f"Bearer {TOKEN}")["branchline_database_up"] == 1
        for wrong in ("", TOKEN, f"Basic {TOKEN}", "Bearer", f"Bearer {TOKEN}x", "Bearer é"):
            answer = local(app).get("/metrics", headers=[(b"Authorization", wrong.encode())])
            assert answer.status_code == 404, wrong
        assert local(app).get(f"/metrics?token={TOKEN}").status_code == 404


# ---------------------------------------------------------------- what it tells


@ON_SQLITE
def test_it_is_told_in_the_format_that_was_asked_for(app: Starlette) -> None:
    plain = local(app).get("/metrics")
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "# TYPE branchline_requests_total counter" in plain.text and "# EOF" not in plain.text
    wanted = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
    opened = local(app).get("/metrics", headers=wanted)
    assert opened.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert "# TYPE branchline_requests counter" in opened.text and opened.text.endswith("\n# EOF\n")
    assert "# TYPE branchline_build info" in opened.text and 'branchline_build_info{version="' in opened.text
    for answer in (plain, opened):
        assert answer.headers["cache-control"] == "no-store" and answer.headers["vary"] == "Accept"
        assert [line for line in answer.text.splitlines() if not LINE.fullmatch(line)] == []


def test_a_label_cannot_break_out_of_its_line() -> None:
    sample = Sample("branchline_followed", "", (("kind", 'a"b\\c\nd'),), 1)
    assert 'branchline_followed{kind="a\\"b\\\\c\\nd"} 1\n' in text([sample], is_open=False)


@ON_SQLITE
def test_answers_are_counted_by_route_and_those_from_memory_apart(app: Starlette, cast: Cast) -> None:
    client = local(app)
    of_alder = 'branchline_requests_total{route="/branches/{slug}.ics",method="GET",status="%s",source="%s"}'
    client.get("/metrics")
    with risen(client, of_alder % (200, "made")), risen(client, of_alder % (200, "memory"), 2):
        *_, last = (client.get("/branches/alder.ics") for _ in range(3))
    with risen(client, of_alder % (304, "memory")):
        client.get("/es/branches/alder.ics", headers={"If-None-Match": last.headers["etag"]})
        assert (
            client.get("/branches/alder.ics", headers={"If-None-Match": last.headers["etag"]}).status_code
            == 304
        )
    with risen(client, 'branchline_requests_total{route="none",method="other",status="404",source="made"}'):
        client.request(CANARY.upper(), "/nothing", headers={"Sec-Fetch-Site": "same-origin"})
    with risen(client, 'branchline_request_duration_seconds_count{kind="page"}'):
        client.get("/sign-in")
    with risen(
        client, 'branchline_requests_total{route="/embed/events",method="GET",status="200",source="made"}'
    ):
        client.get("/embed/events")


@ON_SQLITE
def test_nothing_that_a_visitor_typed_or_is_stands_in_the_figures(app: Starlette, cast: Cast) -> None:
    client = local(app)
    for path in (f"/{CANARY}", f"/events?q={CANARY}", f"/branches?near={CANARY}", f"/branches/{CANARY}.ics"):
        client.get(path, headers={"User-Agent": CANARY, "Referer": f"http://{CANARY}.example"})
    client.request(CANARY.upper(), f"/events?{CANARY}")
    client.post(
        "/sign-in", data={"email": f"{CANARY}@example.org"}, headers={"Sec-Fetch-Site": "same-origin"}
    )
    client.get("/sign-in/" + CANARY)
    client.get("/", headers={"X-Forwarded-For": CANARY, "Cookie": f"session={CANARY}"})
    said = client.get("/metrics").text
    assert CANARY not in said.lower() and "/branches/{slug}.ics" in said
    names = {declared(route).path for route in routes} | {
        "none",
        AXE_PATH,
    }  # figures are those of the process
    assert set(re.findall(r'route="([^"]*)"', said)) <= names
    labels = {"process", "route", "method", "status", "source", "kind", "le", "limit", "thread"}
    assert set(re.findall(r'[{,](\w+)="', said)) <= labels | {"version", "python", "sqlite", "tzdata"}


def test_queues_and_what_is_followed_are_told_on_either_engine(
    app: Starlette, database: Database, cast: Cast
) -> None:
    now = datetime.now(UTC)
    with database.writing() as session:
        outbox.put(
            session, now - timedelta(hours=2), recipient="ana@example.org", subject="News", body="Hello"
        )
        headlines.follow(session, "https://news.example.org/feed", now)
        row: dict[str, Any] = {"branch_id": cast.alder.id, "name": "x", "created_at": now, "report": {}}
        old: dict[str, Any] = {"fetched_at": now - timedelta(days=3), "failures": 2}
        session.add(CalendarSource(**row, **old, url="https://example.org/a.ics", key="a"))
        held: dict[str, Any] = {"state": SourceState.HELD, "fetched_at": now}
        session.add(CalendarSource(**row, **held, url="https://example.org/b.ics", key="b"))
        session.add(CalendarSource(**row, run_at=now - timedelta(minutes=5)))
    found = told(local(app))
    assert found["branchline_outbox_waiting"] == 1
    assert 7200 <= found["branchline_outbox_lag_seconds"] < 7300
    calendars = {
        name: found[f'branchline_followed{name}{{kind="calendar"}}'] for name in ("", "_failing", "_held")
    }
    assert calendars == {"": 2, "_failing": 1, "_held": 1}
    assert 259_200 <= found['branchline_followed_oldest_seconds{kind="calendar"}'] < 259_300
    assert found['branchline_followed{kind="headlines"}'] == 1
    assert (found["branchline_imports_going_on"], found["branchline_digests_late"]) == (1, 0)
    assert found["branchline_database_bytes"] > 100_000 and found["branchline_disk_free_bytes"] > 0
    assert found["process_resident_memory_bytes"] > 10_000_000 and found["process_open_fds"] > 3


@ON_SQLITE
def test_while_the_database_is_away_the_figures_say_so(
    app: Starlette, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(self: Database) -> Iterator[None]:
        raise OperationalError("SELECT 1", {}, Exception("gone"))

    monkeypatch.setattr(Database, "reading", away)
    found = told(local(app))
    assert found["branchline_database_up"] == 0 and "branchline_outbox_waiting" not in found
    app.state.branchline.outage._since = 1.0
    assert told(local(app))["branchline_database_up"] == 0


@ON_SQLITE
def test_refusals_are_counted_by_their_kind(
    app: Starlette, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = local(app)
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("10.0.0.1", 443))])
    with (
        risen(client, 'branchline_fetch_failures_total{kind="Unreachable"}'),
        risen(client, "branchline_fetch_forbidden_addresses_total"),
        pytest.raises(fetching.Unreachable),
    ):
        fetching.fetch("https://example.org/a.ics", accept="*/*", user_agent="x")
    with risen(client, 'branchline_sandbox_refusals_total{kind="Crashed"}'), pytest.raises(sandbox.Crashed):
        sandbox.run("events.errors:nothing", b"", {})
    with running(replace(settings, rate_limits=True)) as limited:
        strict = local(limited)
        form, ours = {"email": "x"}, {"Sec-Fetch-Site": "same-origin"}
        with risen(strict, 'branchline_rate_limit_refusals_total{limit="sign-in"}'):
            statuses = [strict.post("/sign-in", data=form, headers=ours).status_code for _ in range(11)]
    assert statuses.count(429) == 1


@ON_SQLITE
def test_the_worker_tells_of_each_turn_and_whether_dates_wait(app: Starlette, settings: Settings) -> None:
    worker = Worker(settings, app.state.branchline.publishing)

    def once() -> int:
        worker.stop()
        return worker.refresh_events()

    thread = threading.Thread(target=worker.run, args=(once,), name="worker")
    thread.start()
    thread.join()
    found = told(local(app))
    turn = found['branchline_worker_last_turn_timestamp_seconds{thread="worker"}']
    assert 0 <= datetime.now(UTC).timestamp() - turn < 60
    assert found["branchline_horizon_behind"] == 0


# ---------------------------------------------------------------- several processes


@ON_SQLITE
def test_one_process_sees_what_the_others_have_counted_for_as_long_as_they_live(
    app: Starlette, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one is this one under another name."""
    folder = settings.run_dir
    with ExitStack() as other:
        with monkeypatch.context() as patch:
            patch.setattr(metrics, "OWN", "another")
            other.enter_context(metrics.published(folder))
            wait_for(folder / "0.json")
        with metrics.published(folder):
            wait_for(folder / "1.json")
            said = local(app).get("/metrics").text
            assert set(re.findall(r'process_open_fds{process="(\w+)"}', said)) == {"0", "1"}
        other.close()
        said = local(app).get("/metrics").text
        assert set(re.findall(r'process_open_fds{process="(\w+)"}', said)) == {"self"}
        with metrics.published(folder):
            assert not (folder / "2.lock").exists()  # who comes next takes the first place that is free


@ON_SQLITE
def test_where_no_file_can_be_written_a_process_tells_its_own(
    settings: Settings, app: Starlette, caplog: pytest.LogCaptureFixture
) -> None:
    settings.run_dir.write_text("in the way")
    with metrics.published(settings.run_dir):
        assert told(local(app))["branchline_database_up"] == 1
    assert "cannot be shared" in caplog.text


def wait_for(path: Path) -> None:
    """It is written by a thread, at once."""
    while not path.exists():
        pass
