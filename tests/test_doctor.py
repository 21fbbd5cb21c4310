"""`branchline doctor`: what is well, what should be looked at, and what is wrong."""

import argparse
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from events import doctor, metrics, upkeep
from events.calendars.content import Publishing
from events.calendars.models import CalendarSource, SourceState
from events.config import Settings
from events.db import Database
from events.doctor import ERROR, OK, WARNING, Finding, Level, examine
from events.messages import outbox, refusals
from tests.conftest import NOW, Cast
from tests.smtp_sink import Sink, free_port
from tests.web.test_event_lists import added

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def well(settings: Settings, small_gazetteer: Path, tmp_path: Path) -> Settings:
    """Nothing to complain of, but for the library of this machine and a mail server."""
    (tmp_path / "places.db").symlink_to(small_gazetteer)
    look(tmp_path, 'security = "mailto:security@example.org"')
    return replace(
        settings,
        base_url="https://events.example.org",
        trusted_proxies=("127.0.0.1",),
        secret_key="x" * 32,
        mail_from="events@example.org",
        smtp_url=f"smtp://ana:secret@127.0.0.1:{free_port()}",
    )


def look(folder: Path, text: str) -> None:
    (folder / "site").mkdir(exist_ok=True)
    (folder / "site" / "site.toml").write_text(text)


def found(settings: Settings, what: str, now: datetime = NOW) -> Sequence[Finding]:
    return [finding for finding in examine(settings, now) if finding.what == what]


def level(settings: Settings, what: str, now: datetime = NOW) -> Level:
    [finding] = found(settings, what, now)
    return finding.level


@contextmanager
def working(settings: Settings, monkeypatch: pytest.MonkeyPatch, turn: datetime) -> Iterator[None]:
    """While another process has a worker, which last looked for work then."""
    family = "branchline_worker_last_turn_timestamp_seconds"
    with monkeypatch.context() as patch:
        patch.setattr(metrics, "OWN", "another")
        patch.setattr(metrics, "counts", metrics.Counts())
        metrics.counts.hold(family, turn.timestamp(), thread="mailer")
        with metrics.published(settings.run_dir):
            while not (settings.run_dir / "0.json").exists():
                time.sleep(0.001)
            patch.setattr(metrics, "OWN", "the doctor")
            yield


def put(database: Database, ago: timedelta) -> None:
    with database.writing() as session:
        outbox.put(session, NOW - ago, recipient="ana@example.org", subject="News", body="Hello")


def test_all_is_well_on_either_engine(
    database: Database, well: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 3))
    monkeypatch.setattr(doctor, "is_kept_right", lambda: True)
    (well.data_dir / "backups").mkdir()
    (well.data_dir / "backups" / "today.tar").touch()
    sink, now = Sink(), datetime.now(UTC)
    with sink.up(), working(well, monkeypatch, now):
        findings = list(examine(replace(well, smtp_url=sink.url), now))
    assert [str(one) for one in findings if one.level is not OK] == []
    of_server = ["clock"] if not database.is_sqlite else []
    assert [one.what for one in findings] == [
        "address", "proxies", "metrics", "secret key", "data directory", "permissions", "look", "clock", "database",
        "database", *of_server, "outbox", "addresses", "calendars", "headlines", "dates", "worker", "back-ups",
        "places", "time zones", "mail server",
    ]  # fmt: skip


@ON_SQLITE
def test_one_error_is_enough_to_end_with_1_and_a_warning_is_not(
    well: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert upkeep.doctor(well, argparse.Namespace()) == 1
    assert "error    mail server: 127.0.0.1:" in capsys.readouterr().out
    assert upkeep.doctor(replace(well, smtp_url=None), argparse.Namespace()) == 0
    assert "warning  mail server: BRANCHLINE_SMTP_URL is not set" in capsys.readouterr().out


@ON_SQLITE
def test_no_password_is_printed(well: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    upkeep.doctor(well, argparse.Namespace())
    upkeep.doctor(
        replace(well, database_url="postgresql+psycopg://ana:secret@127.0.0.1:1/x"), argparse.Namespace()
    )
    assert "secret@" not in capsys.readouterr().out


@ON_SQLITE
@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("https://events.example.org", OK),
        ("http://localhost:8000", OK),
        ("http://events.example.org", WARNING),
        (None, WARNING),
    ],
)
def test_an_address_should_be_https(well: Settings, base_url: str | None, expected: Level) -> None:
    assert level(replace(well, base_url=base_url), "address") is expected


@ON_SQLITE
def test_a_secret_key_should_be_long_and_nobody_elses(well: Settings) -> None:
    assert level(replace(well, secret_key="short"), "secret key") is WARNING
    kept = well.data_dir / "secret.key"
    kept.write_text("x" * 32)
    kept.chmod(0o644)
    assert level(well, "secret key") is WARNING
    kept.chmod(0o600)
    assert level(well, "secret key") is OK


@ON_SQLITE
def test_a_data_directory_must_take_files_and_have_room(
    well: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert level(replace(well, data_dir=tmp_path / "nowhere"), "data directory") is ERROR
    for room, expected in ((10**8 - 1, ERROR), (10**9 - 1, WARNING), (10**9, OK)):
        usage = shutil.disk_usage(tmp_path)._replace(free=room)
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "disk_usage", lambda _: usage)  # noqa: B023
            assert level(well, "data directory") is expected


@ON_SQLITE
def test_a_site_of_ones_own_is_told_and_should_say_whom_to_tell_of_a_hole(well: Settings) -> None:
    look(
        well.data_dir,
        'brand = "#7a1f2b"\nsecurity = "https://example.org/security"\n[description]\nen = "Us"',
    )
    [finding] = found(well, "look")
    assert (finding.level, finding.text) == (OK, "site.toml gives colours, security, description")
    look(well.data_dir, "")
    assert level(well, "look") is WARNING
    look(well.data_dir, 'brand = "red"')
    [broken] = found(well, "look")
    assert broken.level is ERROR and "brand must be a colour like #0b5d4b, not red" in broken.text


@ON_SQLITE
def test_a_database_must_be_there_and_at_the_newest_schema(
    well: Settings, database: Database, tmp_path: Path
) -> None:
    nowhere = tmp_path / "nowhere.db"
    [missing] = found(replace(well, database_url=f"sqlite:///{nowhere}"), "database")
    assert (missing.level, nowhere.exists()) == (ERROR, False)
    [away] = found(replace(well, database_url="postgresql+psycopg://ana@127.0.0.1:1/x"), "database")
    assert away.level is ERROR
    with database.writing() as session:
        session.connection().execute(sa.text("UPDATE alembic_version SET version_num = '0001'"))
    old, _ = found(well, "database")
    assert (old.level, "branchline migrate" in old.text) == (ERROR, True)
    assert found(well, "outbox") == []


@ON_SQLITE
def test_an_old_sqlite_is_named(well: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for version, expected in (
        ((3, 40, 1), WARNING),
        ((3, 51, 2), WARNING),
        ((3, 51, 3), OK),
        ((4, 0, 0), OK),
    ):
        monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
        assert found(well, "database")[1].level is expected


@ON_SQLITE
def test_places_should_be_there_and_not_too_old(well: Settings) -> None:
    assert level(well, "places", datetime.now(UTC) + timedelta(days=3 * 365)) is WARNING
    assert level(replace(well, data_dir=well.data_dir / "nowhere"), "places") is WARNING


@ON_SQLITE
def test_rules_of_time_should_not_be_years_old(well: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for rules, expected in (("2024.2", WARNING), ("2025.1", OK), ("2026.3", OK)):
        monkeypatch.setattr(doctor, "rules_version", lambda: rules)  # noqa: B023
        assert level(well, "time zones") is expected


@ON_SQLITE
def test_a_mail_that_should_have_gone_tells_that_no_worker_runs(well: Settings, database: Database) -> None:
    put(database, timedelta(minutes=4))
    assert level(well, "outbox") is OK
    put(database, timedelta(minutes=6))
    assert level(well, "outbox") is WARNING
    put(database, timedelta(minutes=61))
    [stuck] = found(well, "outbox")
    assert (stuck.level, stuck.text) == (
        ERROR,
        "3 wait, 0 failed in 30 days; the oldest should have gone 61 minutes ago: does a worker run?",
    )


@ON_SQLITE
def test_a_mail_that_waits_for_its_next_attempt_is_not_late(well: Settings, database: Database) -> None:
    put(database, timedelta(hours=5))
    with database.writing() as session:
        outbox.put_back(session, 1, "451", NOW)
    assert level(well, "outbox") is OK


@ON_SQLITE
def test_branches_whose_address_refuses_mail_are_counted(
    well: Settings, database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        refusals.mark(session, "alder@example.org", "550", NOW, unknown=True)
        refusals.mark(session, "subscriber@example.org", "550", NOW, unknown=True)
    [finding] = found(well, "addresses")
    assert (finding.level, finding.text[:2]) == (WARNING, "1 ")


@ON_SQLITE
def test_a_mail_server_that_is_silent_is_not_waited_for(
    well: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "GREETS_WITHIN_S", 0.2)
    sink = Sink()
    with sink.silent():
        began = time.monotonic()
        assert level(replace(well, smtp_url=sink.url), "mail server") is ERROR
    assert time.monotonic() - began < 3


@ON_SQLITE
def test_a_mail_server_that_does_not_let_us_in_is_an_error_and_no_sender_a_warning(well: Settings) -> None:
    sink = Sink()
    with sink.up():
        with_password = replace(well, smtp_url=sink.url.replace("smtp://", "smtp://ana:secret@"))
        assert level(with_password, "mail server") is ERROR
        nobody = replace(well, smtp_url=sink.url, mail_from="branchline@localhost")
        assert level(nobody, "mail server") is WARNING


@ON_SQLITE
def test_a_check_that_fails_itself_is_an_error_and_the_others_go_on(
    well: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "rules_version", lambda: "of yesterday")
    assert upkeep.doctor(well, argparse.Namespace()) == 1
    said = capsys.readouterr().out.splitlines()
    [zones] = [line for line in said if "time zones" in line]
    assert zones.startswith("error    time zones: this could not be looked at: ValueError")
    assert any("mail server:" in line for line in said) and "Traceback" not in "".join(said)


@ON_SQLITE
@pytest.mark.parametrize(
    ("trusted", "base_url", "expected"),
    [
        (("127.0.0.1", "10.0.0.0/8", "fd00::/8"), "https://events.example.org", OK),
        ((), "http://localhost:8000", OK),
        ((), "https://events.example.org", WARNING),
        (("*",), "https://events.example.org", WARNING),
        (("0.0.0.0/0",), "https://events.example.org", WARNING),
        (("proxy.example.org",), "https://events.example.org", ERROR),
    ],
)
def test_proxies_that_are_trusted_should_be_a_few_addresses(
    well: Settings, trusted: tuple[str, ...], base_url: str, expected: Level
) -> None:
    assert level(replace(well, trusted_proxies=trusted, base_url=base_url), "proxies") is expected


@ON_SQLITE
def test_a_token_for_the_figures_should_be_long(well: Settings) -> None:
    for token, expected in (("", OK), ("short", WARNING), ("x" * 16, OK)):
        assert level(replace(well, metrics_token=token), "metrics") is expected


@ON_SQLITE
def test_others_should_not_look_into_the_data_directory(well: Settings) -> None:
    for mode, expected in ((0o755, WARNING), (0o701, WARNING), (0o750, OK), (0o700, OK)):
        well.data_dir.chmod(mode)
        assert level(well, "permissions") is expected


@ON_SQLITE
def test_a_clock_that_was_set_back_or_that_nothing_keeps_is_named(
    well: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    for kept, expected in ((True, OK), (None, OK), (False, WARNING)):
        monkeypatch.setattr(doctor, "is_kept_right", lambda: kept)  # noqa: B023
        assert level(well, "clock", now) is expected
    monkeypatch.setattr(doctor, "is_kept_right", lambda: True)
    [behind] = found(well, "clock", now - timedelta(hours=2))
    assert behind.level is WARNING and "ahead: was the clock set back?" in behind.text


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_the_clock_is_compared_with_that_of_the_database_server(
    well: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "is_kept_right", lambda: True)
    now = datetime.now(UTC)
    assert [one.level for one in found(well, "clock", now)] == [OK, OK]
    assert [one.level for one in found(well, "clock", now + timedelta(minutes=2))] == [OK, WARNING]


@ON_SQLITE
def test_a_worker_should_run_and_take_its_turns(well: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    [none] = found(well, "worker")
    assert none.level is WARNING and "no mail goes" in none.text
    for ago, expected in ((timedelta(minutes=9), OK), (timedelta(minutes=11), WARNING)):
        with working(well, monkeypatch, NOW - ago):
            [finding] = found(well, "worker")
            assert finding.level is expected
    assert "(mailer)" in finding.text
    assert level(well, "worker") is WARNING  # it has ended


@ON_SQLITE
def test_back_ups_should_be_there_and_new(well: Settings) -> None:
    assert level(well, "back-ups") is WARNING
    file = well.data_dir / "backups" / "branchline.tar"
    file.parent.mkdir()
    file.touch()
    for ago, expected in ((timedelta(days=7), OK), (timedelta(days=9), WARNING)):
        os.utime(file, times=((NOW - ago).timestamp(),) * 2)
        assert level(well, "back-ups") is expected


def test_calendars_that_do_not_answer_are_counted(well: Settings, database: Database, cast: Cast) -> None:
    assert level(well, "calendars") is OK
    row: dict[str, Any] = {"branch_id": cast.alder.id, "name": "x", "created_at": NOW, "report": {}}
    with database.writing() as session:
        session.add(CalendarSource(**row, url="https://example.org/a.ics", key="a", fetched_at=NOW))
        session.add(
            CalendarSource(
                **row,
                url="https://example.org/b.ics",
                key="b",
                failures=3,
                fetched_at=NOW - timedelta(days=4),
            )
        )
        session.add(CalendarSource(**row, url="https://example.org/c.ics", key="c", state=SourceState.HELD))
        session.add(CalendarSource(**row, failures=1))  # a file: nobody follows it
    [finding] = found(well, "calendars")
    assert (finding.level, finding.text) == (
        WARNING,
        "3 are followed, 1 did not answer well; the oldest good copy is 4 days old, "
        "1 wait for a person because half of them has gone: see /organize/imports",
    )


@ON_SQLITE
def test_dates_that_wait_to_be_written_are_named(
    well: Settings, database: Database, cast: Cast, publishing: Publishing
) -> None:
    ours = replace(well, base_url=None)
    added(database, publishing, cast.alder)
    assert level(ours, "dates") is OK
    assert level(well, "dates") is WARNING  # they name an address that the site has no more
