"""Back-ups are whole, hold what was acknowledged, and come back; nothing that is not one of ours comes in."""

import io
import json
import os
import shutil
import signal
import sqlite3
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command, config
from sqlmodel import Session, col, select

from events import migrations, presence, server
from events.backups import archive, making, postgresql, restoring
from events.backups.archive import Manifest
from events.calendars import derived, store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft
from events.calendars.kept import current_revision
from events.calendars.models import DateChange, Event, Rendered
from events.config import Settings
from events.db import Database
from events.errors import BranchlineError, ConfigurationError, Conflict, Unavailable, Unreadable
from events.messages import outbox
from events.messages.models import OutgoingMail
from events.people import sign_in
from events.people.models import Person
from tests.conftest import NOW, Cast, Engines, browser, running, signed_in
from tests.test_command_line import Shell
from tests.test_move import contents, fill

LATER = NOW + timedelta(hours=3)
SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
POSTGRESQL = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


@pytest.fixture
def site(settings: Settings) -> Path:
    settings.site_dir.mkdir()
    (settings.site_dir / "about.md").write_text("Who we are")
    return settings.site_dir


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere" / "kept.tar"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def back_up(
    settings: Settings, database: Database, target: Path, now: datetime = NOW, **more: Any
) -> Manifest:
    return making.back_up(settings, database, target, **{"with_secrets": False, "now": now, **more})


def restore(settings: Settings, database: Database, path: Path, now: datetime = LATER) -> restoring.Restored:
    """As somebody does who has stopped the site first."""
    database.dispose()
    return restoring.restore(settings, path, now)


def left_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def add_person(database: Database, email: str) -> None:
    with database.writing() as session:
        sign_in.find_or_add(session, email, NOW)


def emails(database: Database) -> set[str]:
    with database.reading() as session:
        return set(session.exec(select(Person.email)).all())


def event(session: Session, cast: Cast, publishing: Publishing, title: str = "Saw day") -> Event:
    start = (NOW + timedelta(days=7)).replace(tzinfo=None)
    said = {"title": title, "start": start, "end": start + timedelta(hours=2), "state": "published"}
    draft = EventDraft.model_validate({**said, "timezone": "America/Chicago"})
    return store.add(session, draft, [cast.alder], publishing, NOW)


# ---------------------------------------------------------------- a back-up


def test_what_a_backup_holds_comes_back_whole(
    database: Database, settings: Settings, site: Path, target: Path
) -> None:
    fill(database)
    before = contents(database)
    made = back_up(settings, database, target)
    assert made.rows == {name: len(rows) for name, rows in before.items()}
    with database.writing() as session:
        session.connection().exec_driver_sql("DELETE FROM branch_sheet")
        sign_in.find_or_add(session, "cy@example.org", NOW)
    (site / "about.md").write_text("Something else")
    restored = restore(settings, database, target)
    after = contents(database)
    settled = {"calendar_move", "calendar_revision", "date_change", "event", "newsletter", "outgoing_mail"}
    settled |= {"override", "rendered", "site_revision", "subscription"}
    assert {name for name in before if after[name] != before[name]} <= settled
    assert [len(after[name]) for name in ("event", "outgoing_mail", "rendered", "subscription")] == [
        len(before[name]) for name in ("event", "outgoing_mail", "rendered", "subscription")
    ]
    assert (site / "about.md").read_text() == "Who we are"
    assert all(path.exists() for path in restored.aside)
    assert "Something else" in {
        path.read_text() for path in settings.data_dir.glob("before-restore-*/site/about.md")
    }


def test_a_backup_taken_while_people_write_opens_and_holds_all_that_was_acknowledged(
    database: Database, settings: Settings, target: Path, engines: Engines, tmp_path: Path
) -> None:
    acknowledged: list[str] = []
    done = threading.Event()

    def write(who: str) -> None:
        for number in range(1000):
            if done.is_set():
                return
            add_person(database, f"{who}{number}@example.org")
            acknowledged.append(f"{who}{number}@example.org")

    writers = [threading.Thread(target=write, args=(who,)) for who in ("ana", "cy")]
    for each in writers:
        each.start()
    try:
        while len(acknowledged) < 20:
            done.wait(0.01)
        before = set(acknowledged)
        back_up(settings, database, target)
    finally:
        done.set()
        for each in writers:
            each.join()
    url = engines.blank_url(database.engine.dialect.name)
    empty = replace(settings, data_dir=tmp_path / "empty", database_url=url)
    empty.data_dir.mkdir()
    restoring.restore(empty, target, LATER)
    there = Database(url, size=1)
    assert before <= emails(there) <= set(acknowledged)
    there.dispose()


@SQLITE
def test_a_backup_is_its_owners_alone_and_has_no_secret_unless_asked(
    database: Database, settings: Settings, target: Path
) -> None:
    back_up(settings, database, target)
    assert target.stat().st_mode & 0o777 == 0o600
    assert settings.secret_key.encode() not in target.read_bytes()
    back_up(settings, database, target, with_secrets=True)
    assert target.stat().st_mode & 0o777 == 0o600
    (settings.data_dir / "secret.key").write_text("another\n")
    restore(settings, database, target)
    assert (settings.data_dir / "secret.key").read_text() == f"{settings.secret_key}\n"
    assert [path.read_text() for path in settings.data_dir.glob("before-restore-*/secret.key")] == [
        "another\n"
    ]


@SQLITE
def test_a_backup_can_go_through_a_pipe(
    database: Database, settings: Settings, site: Path, target: Path
) -> None:
    out = io.BytesIO()
    before = left_in(settings.data_dir)
    made = making.back_up_to_pipe(settings, database, out, with_secrets=True, now=NOW)
    assert left_in(settings.data_dir) == before
    assert [member.name for member in made.members] == ["database.sqlite", "site/about.md", "secret.key"]
    target.write_bytes(out.getvalue())
    assert restore(settings, database, target).manifest == made


@SQLITE
def test_there_is_never_half_a_backup_under_its_name(
    database: Database, settings: Settings, site: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(settings, database, target)
    whole = target.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for broken in ("sync_folder", "member_of", "write"):
        with monkeypatch.context() as patched:
            patched.setattr(archive, broken, full)
            with pytest.raises(Unavailable, match=r"The disk of .* is full"):
                back_up(settings, database, target, LATER)
        assert left_in(target.parent) == {"kept.tar"}
        with archive.opened(target) as (_, manifest):
            assert manifest.rows
    assert len(target.read_bytes()) == len(whole)


@SQLITE
def test_a_backup_takes_the_place_of_files_alone(
    database: Database, settings: Settings, site: Path, target: Path
) -> None:
    os.mkfifo(target)
    with pytest.raises(ConfigurationError, match="is not a file"):
        back_up(settings, database, target)
    target.unlink()
    target.symlink_to(target.parent / "far.tar")
    back_up(settings, database, target)
    assert target.is_symlink()
    assert restore(settings, database, target).manifest.rows


@SQLITE
def test_a_picture_that_is_replaced_while_it_is_read_is_one_of_the_two(
    database: Database, settings: Settings, site: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logo, copyfile = site / "logo.png", shutil.copyfile
    logo.write_bytes(b"old" * 1000)

    def written_meanwhile(source: Path, copied: Path) -> None:
        copyfile(source, copied)
        if source == logo and logo.read_bytes() != b"new" * 2000:
            copied.write_bytes(b"old" * 500 + b"new" * 1000)
            logo.write_bytes(b"new" * 2000)

    monkeypatch.setattr(shutil, "copyfile", written_meanwhile)
    back_up(settings, database, target)
    monkeypatch.undo()
    logo.unlink()
    restore(settings, database, target)
    assert logo.read_bytes() == b"new" * 2000


@SQLITE
def test_what_a_killed_backup_left_is_removed_by_the_next(
    database: Database, settings: Settings, target: Path
) -> None:
    left = target.parent / ".backup-killed"
    left.mkdir()
    (left / "database.sqlite").write_text("what nobody else should read")
    with making.workroom(target.parent) as in_use:
        back_up(settings, database, target)
        assert in_use.exists()
    assert left_in(target.parent) == {"kept.tar"}


@SQLITE
def test_a_damaged_database_makes_no_backup(settings: Settings, database: Database, target: Path) -> None:
    with database.writing() as session:
        session.connection().exec_driver_sql("PRAGMA defer_foreign_keys=ON")
    database.dispose()
    with closing(sqlite3.connect(database.engine.url.database or "")) as connection:
        connection.execute("INSERT INTO former_slug (slug, branch_id) VALUES ('x', 999)")
        connection.commit()
    with pytest.raises(Unavailable, match=r"damaged.*former_slug"):
        back_up(settings, database, target)
    assert left_in(target.parent) == set()


@POSTGRESQL
def test_a_pg_dump_that_is_missing_or_too_old_is_one_clear_line(
    database: Database, settings: Settings, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.1'\n")
    old.chmod(0o755)
    for found, said in ((None, "pg_dump is missing"), (str(old), "pg_dump is of version 9 and PostgreSQL")):
        monkeypatch.setattr(shutil, "which", lambda _, found=found: found)
        with pytest.raises(ConfigurationError, match=said):
            back_up(settings, database, target)
    assert left_in(target.parent) == set()


# ---------------------------------------------------------------- what is not restored


def damaged(path: Path, how: Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]) -> None:
    """The same archive with something changed in its entries."""
    with tarfile.open(path) as tar:
        entries = [(entry, (tar.extractfile(entry) or io.BytesIO()).read()) for entry in tar]
    how(entries)
    with tarfile.open(path, "w") as tar:
        for entry, body in entries:
            entry.size = len(body) if entry.isreg() else 0
            tar.addfile(entry, io.BytesIO(body) if entry.isreg() else None)


def _changed(
    index: int, body: Callable[[bytes], bytes]
) -> Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]:
    def change(entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        entries[index] = (entries[index][0], body(entries[index][1]))

    return change


def _said(**values: Any) -> Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]:
    return _changed(0, lambda body: json.dumps(json.loads(body) | values).encode())


def _added(name: str, kind: bytes = tarfile.REGTYPE) -> Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]:
    """Also in the manifest, as somebody would who means ill."""

    def change(entries: list[tuple[tarfile.TarInfo, bytes]]) -> None:
        said = json.loads(entries[0][1])
        empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        said["members"].append({"name": name, "size": 0, "sha256": empty})
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, "/etc/passwd"
        entries[0] = (entries[0][0], json.dumps(said).encode())
        entries.append((entry, b""))

    return change


DAMAGE = {
    "a byte of the database": _changed(1, lambda body: body[:5000] + bytes([body[5000] ^ 1]) + body[5001:]),
    "no database": lambda entries: entries.pop(1),
    "a file too many": lambda entries: entries.append((tarfile.TarInfo("site/more.md"), b"")),
    "twice": lambda entries: entries.append(entries[1]),
    "no manifest": lambda entries: entries.pop(0),
    "a manifest that is none": _changed(0, lambda body: b"[" * 100_000),
    "another product": _said(product="something else"),
    "other rows": _said(rows={"person": 5}),
    "rows of no table": _said(rows={"person; DROP TABLE person": 5}),
    "no time": _said(made_at="2026-11-23T12:00:00"),
    "a way out": _added("site/../../out.md"),
    "a way out from the root": _added("/tmp/out.md"),
    "a way out of another system": _added("site/..\\out.md"),
    "a link": _added("site/link.md", tarfile.SYMTYPE),
    "a second name": _added("site/link.md", tarfile.LNKTYPE),
    "a device": _added("site/device", tarfile.CHRTYPE),
    "a pipe": _added("site/pipe", tarfile.FIFOTYPE),
    "something of its own": _added("branchline.db"),
}


@SQLITE
@pytest.mark.parametrize("how", DAMAGE)
def test_restore_checks_everything_before_it_replaces_anything(
    database: Database, settings: Settings, site: Path, target: Path, how: str
) -> None:
    add_person(database, "ana@example.org")
    back_up(settings, database, target)
    damaged(target, DAMAGE[how])
    add_person(database, "cy@example.org")
    before = left_in(settings.data_dir) | {"in-use"}
    with pytest.raises(Unreadable, match="damaged"):
        restore(settings, database, target)
    assert emails(database) == {"ana@example.org", "cy@example.org"}
    assert left_in(settings.data_dir) == before


@SQLITE
@pytest.mark.parametrize("size", [0, 100, 3000, 20_000, -5000])
def test_a_backup_that_was_cut_off_is_not_restored(
    database: Database, settings: Settings, target: Path, size: int
) -> None:
    back_up(settings, database, target)
    content = target.read_bytes()
    target.write_bytes(content[: size if size >= 0 else len(content) - 20_000 + size])
    with pytest.raises(Unreadable, match="damaged"):
        restore(settings, database, target)


@SQLITE
@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"schema": "9999", "version": "7.0"}, "made by Branchline 7.0, which is newer"),
        ({"format": 2}, "a newer Branchline"),
    ],
)
def test_a_backup_of_a_newer_version_is_refused_with_a_sentence(
    database: Database, settings: Settings, target: Path, values: dict[str, Any], said: str
) -> None:
    back_up(settings, database, target)
    damaged(target, _said(**values))
    with pytest.raises(BranchlineError, match=said):
        restore(settings, database, target)


def test_a_backup_of_the_other_engine_is_refused_with_what_to_do(
    database: Database, settings: Settings, target: Path, engines: Engines
) -> None:
    back_up(settings, database, target)
    other = engines.blank_url("postgresql" if database.is_sqlite else "sqlite")
    with pytest.raises(ConfigurationError, match="branchline move"):
        restore(replace(settings, database_url=other), database, target)


def test_restore_refuses_while_anybody_is_at_work(
    database: Database, settings: Settings, target: Path
) -> None:
    add_person(database, "ana@example.org")
    back_up(settings, database, target)
    with presence.present(settings.data_dir), pytest.raises(Conflict, match="Stop it first"):
        restore(settings, database, target)
    database.dispose()
    with database.engine.connect() as connection:  # of another machine, or by another program
        connection.exec_driver_sql("SELECT count(*) FROM person")
        with pytest.raises(ConfigurationError, match="nothing was changed"):
            restoring.restore(settings, target, LATER)
    with presence.alone(settings.data_dir), pytest.raises(Unavailable, match="is being restored"):
        presence.stay(settings.data_dir)
    assert restore(settings, database, target).manifest.rows["person"] == 1


# ---------------------------------------------------------------- in the middle of it


@SQLITE
@pytest.mark.parametrize(
    ("where", "then"),
    [
        ("_replace_files", {"ana@example.org", "cy@example.org"}),
        ("_replace_database", {"ana@example.org", "cy@example.org"}),
        ("told", {"ana@example.org"}),
    ],
)
def test_a_restore_that_is_killed_leaves_the_old_or_the_new_and_can_be_repeated(
    database: Database, settings: Settings, site: Path, target: Path, where: str, then: set[str]
) -> None:
    add_person(database, "ana@example.org")
    back_up(settings, database, target)
    add_person(database, "cy@example.org")
    database.dispose()
    child = os.fork()
    if not child:

        def die(*_: object) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(restoring, where, die)
        restoring.told(restoring.restore(settings, target, LATER))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    assert emails(database) == then
    restore(settings, database, target, LATER + timedelta(seconds=1))
    assert emails(database) == {"ana@example.org"}
    assert (site / "about.md").read_text() == "Who we are"


@POSTGRESQL
def test_a_restore_into_postgresql_that_breaks_off_changes_nothing(
    database: Database, settings: Settings, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_person(database, "ana@example.org")
    back_up(settings, database, target)
    add_person(database, "cy@example.org")

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(restoring, "_settle", fail)
    with pytest.raises(KeyboardInterrupt):
        restore(settings, database, target)
    assert emails(database) == {"ana@example.org", "cy@example.org"}
    monkeypatch.undo()
    damaged(target, _said(rows={"person": 5}))
    with pytest.raises(postgresql.Unequal, match="person"):
        restore(settings, database, target)
    assert emails(database) == {"ana@example.org", "cy@example.org"}


@SQLITE
def test_a_database_that_cannot_be_read_any_more_is_put_aside_with_its_log(
    database: Database, settings: Settings, target: Path
) -> None:
    add_person(database, "ana@example.org")
    back_up(settings, database, target)
    database.dispose()
    path = Path(database.engine.url.database or "")
    path.write_bytes(b"rubbish" * 1000)
    path.with_name(f"{path.name}-wal").write_bytes(b"its log")
    aside = restore(settings, database, target).aside[0]
    assert emails(database) == {"ana@example.org"}
    assert aside.read_bytes().startswith(b"rubbish")
    assert aside.with_name(f"{path.name}-wal").read_bytes() == b"its log"


# ---------------------------------------------------------------- what a restored database says


def test_after_a_restore_no_number_goes_back(
    database: Database, settings: Settings, cast: Cast, publishing: Publishing, target: Path
) -> None:
    with database.writing() as session:
        saw_day = event(session, cast, publishing)
    back_up(settings, database, target)
    for title in ("Saw night", "Saw morning"):
        with database.writing() as session:
            again = session.get_one(Event, saw_day.id)
            again.title = title
            derived.save(session, again, publishing, NOW + timedelta(hours=1))
    with database.reading() as session:
        edited, number = session.get_one(Event, saw_day.id), current_revision(session)[0]
    restore(settings, database, target)
    with database.writing() as session:
        assert derived.refresh(session, publishing, LATER) == 1
    with database.reading() as session:
        restored, (now_number, moved_at) = session.get_one(Event, saw_day.id), current_revision(session)
        [text] = session.exec(select(Rendered.ics).where(col(Rendered.locale) == "en")).all()
    assert restored.title == "Saw day"
    assert restored.revision > edited.revision
    assert restored.modified_at > edited.modified_at
    assert now_number > number
    assert moved_at == LATER
    assert f"SEQUENCE:{restored.revision}\r\n" in text


@SQLITE
def test_an_app_that_knows_something_newer_gets_what_was_restored(
    database: Database, settings: Settings, cast: Cast, publishing: Publishing, target: Path
) -> None:
    with database.writing() as session:
        saw_day = event(session, cast, publishing)
    back_up(settings, database, target)
    with database.writing() as session:
        again = session.get_one(Event, saw_day.id)
        again.title = "Saw night"
        derived.save(session, again, publishing, NOW + timedelta(hours=1))
    with running(settings) as app:
        known = browser(app).get("/events.ics")
    assert "Saw night" in known.text
    restore(settings, database, target)
    with running(settings) as app:
        asked = (
            {"If-None-Match": known.headers["etag"]},
            {"If-Modified-Since": known.headers["last-modified"]},
        )
        answers = [browser(app).get("/events.ics", headers=headers) for headers in asked]
    assert [(answer.status_code, "Saw day" in answer.text) for answer in answers] == [(200, True)] * 2


def test_mails_that_may_have_been_sent_since_wait_for_somebody_to_decide(
    database: Database, settings: Settings, cast: Cast, target: Path
) -> None:
    with database.writing() as session:
        outbox.put(session, NOW, recipient="ben@example.org", subject="News", body="Hello")
        outbox.put(session, NOW, recipient="eve@example.org", subject="Old news", body="Hello")
        outbox.mark_sent(session, 2, NOW)
    back_up(settings, database, target)
    restored = restore(settings, database, target)
    assert restored.mails == 1
    assert any("/organize/outbox" in str(sentence) for sentence in restoring.told(restored))
    with database.reading() as session:
        assert not outbox.is_due(session, LATER + timedelta(days=30))
        held = session.exec(select(OutgoingMail.recipient).where(col(OutgoingMail.failed_at).is_not(None)))
        assert held.all() == ["ben@example.org"]
    with running(settings) as app:
        page = signed_in(app, database, cast.dee).get("/organize/outbox")
    assert "Held back when a back-up was restored" in page.text


def test_neither_digests_nor_newsletters_nor_changes_are_told_twice(
    database: Database, settings: Settings, target: Path
) -> None:
    fill(database)
    with database.writing() as session:
        run = session.connection().exec_driver_sql
        run("UPDATE subscription SET frequency = 'weekly', confirmed_at = created_at, run_at = created_at")
    back_up(settings, database, target)
    restored = restore(settings, database, target)
    assert (restored.newsletters, restored.digests, restored.changes) == (1, 1, 1)
    with database.reading() as session:
        query = "SELECT count(*) FROM newsletter WHERE run_at IS NOT NULL"
        assert session.connection().exec_driver_sql(query).scalar_one() == 0
        assert session.exec(select(DateChange)).all() == []


# ---------------------------------------------------------------- before the schema changes


@pytest.fixture(params=["sqlite", "postgresql"])
def old(request: pytest.FixtureRequest, engines: Engines) -> Iterator[Database]:
    """A database of the version before, with somebody in it."""
    database = Database(engines.blank_url(request.param), size=1)
    steps = config.Config()
    steps.set_main_option("script_location", str(migrations.STEPS.parent))
    with database.for_writing.begin() as connection:
        steps.attributes["connection"] = connection
        command.upgrade(steps, "0006")
        connection.execute(sa.text("INSERT INTO topic (slug, name) VALUES ('wood', 'Wood')"))
    yield database
    database.dispose()


def _settings(database: Database, tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, database_url=database.url, secret_key="for tests only")


def test_before_a_database_changes_its_schema_a_backup_is_made_that_comes_back_and_is_migrated(
    old: Database, tmp_path: Path
) -> None:
    settings = _settings(old, tmp_path)
    assert "A back-up was made" in making.upgrade(settings, old, NOW)
    [kept] = (tmp_path / "backups").iterdir()
    assert kept.name == "before-upgrade-from-0006-20261123T120000Z.tar"
    assert making.upgrade(settings, old, LATER) == ""
    with old.writing() as session:
        session.connection().exec_driver_sql("DELETE FROM topic")
    assert restore(settings, old, kept).manifest.schema == "0006"
    with old.reading() as session:
        assert migrations.is_newest(session.connection())
        assert session.connection().exec_driver_sql("SELECT name FROM topic").scalars().all() == ["Wood"]


@pytest.mark.parametrize("old", ["sqlite"], indirect=True)
@pytest.mark.parametrize("how", ["migrate", "branches export", "move", "serve"])
def test_whatever_changes_the_schema_makes_one(
    old: Database, shell: Shell, engines: Engines, how: str, capfd: pytest.CaptureFixture[str]
) -> None:
    shell.environment["BRANCHLINE_DATABASE_URL"] = old.url
    old.dispose()
    if how == "serve":
        shell.data.mkdir()
        server._migrate_embedded(_settings(old, shell.data))
        said = capfd.readouterr().err
    else:
        other = [engines.blank_url("sqlite")] if how == "move" else []
        done = shell.run(*how.split(), *other)
        assert done.returncode == 0
        said = done.stderr
    assert said.startswith("A back-up was made before the upgrade: ")
    assert len(left_in(shell.data / "backups")) == 1


def test_the_newest_three_of_these_are_kept(old: Database, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    for day in (1, 2, 3, 4):
        (folder / f"before-upgrade-from-0005-2026110{day}T120000Z.tar").touch()
    (folder / "of mine.tar").touch()
    making.upgrade(_settings(old, tmp_path), old, NOW)
    days = {name.rpartition("-")[2][:8] for name in left_in(folder) - {"of mine.tar"}}
    assert days == {"20261103", "20261104", "20261123"}
    assert "of mine.tar" in left_in(folder)


def test_without_room_for_a_backup_the_schema_stays_as_it_is(
    old: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(Unavailable, match=r"has 1 MB free, .* Nothing was changed\."):
        making.upgrade(_settings(old, tmp_path), old, NOW)
    with old.reading() as session:
        assert migrations.number(session.connection()) == "0006"


@pytest.mark.parametrize("old", ["postgresql"], indirect=True)
def test_without_pg_dump_postgresql_is_migrated_and_that_is_said(
    old: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert making.upgrade(_settings(old, tmp_path), old, NOW).startswith("No back-up was made")
    with old.reading() as session:
        assert migrations.is_newest(session.connection())


# ---------------------------------------------------------------- at a prompt


def test_backup_and_restore_at_a_prompt(shell: Shell, tmp_path: Path) -> None:
    assert shell.refused("backup", tmp_path / "x.tar").startswith("There is nothing to back up")
    assert shell.run("people", "invite", "ana@example.org", "--role", "admin").returncode == 0
    done = shell.run("backup", tmp_path / "x.tar")
    assert (done.returncode, done.stdout) == (0, "")
    assert "backed up" in done.stderr
    assert shell.run("people", "invite", "cy@example.org", "--role", "admin").returncode == 0
    done = shell.run("restore", tmp_path / "x.tar")
    assert (done.returncode, done.stderr) == (0, "")
    assert "What was here before is now" in done.stdout
    with shell.database() as database:
        assert emails(database) == {"ana@example.org"}
    assert "cannot be read" in shell.refused("restore", tmp_path / "nothing.tar")
    assert "cannot be written" in shell.refused("backup", tmp_path / "nowhere" / "x.tar")
    assert "damaged, or no back-up" in shell.refused("restore", shell.file("rubbish", b"rubbish" * 1000))
