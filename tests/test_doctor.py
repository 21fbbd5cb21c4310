"""`branchline doctor`: what is well, what should be looked at, and what is wrong."""

import argparse
import shutil
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from events import doctor, upkeep
from events.config import Settings
from events.db import Database
from events.doctor import ERROR, OK, WARNING, Finding, Level, examine
from events.messages import outbox, refusals
from tests.conftest import NOW, Cast
from tests.smtp_sink import Sink, free_port

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def well(settings: Settings, small_gazetteer: Path, tmp_path: Path) -> Settings:
    """Nothing to complain of, but for the library of this machine and a mail server."""
    (tmp_path / "places.db").symlink_to(small_gazetteer)
    look(tmp_path, 'security = "mailto:security@example.org"')
    return replace(
        settings,
        base_url="https://events.example.org",
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


def put(database: Database, ago: timedelta) -> None:
    with database.writing() as session:
        outbox.put(session, NOW - ago, recipient="ana@example.org", subject="News", body="Hello")


def test_all_is_well_on_either_engine(
    database: Database, well: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 51, 3))
    sink = Sink()
    with sink.up():
        findings = list(examine(replace(well, smtp_url=sink.url), datetime.now(UTC)))
    assert [str(one) for one in findings if one.level is not OK] == []
    assert [one.what for one in findings] == [
        "address", "secret key", "data directory", "look", "database", "database", "outbox", "addresses", "places",
        "time zones", "mail server",
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
