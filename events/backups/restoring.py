"""Bringing an archive back. Everything is checked and made ready beside what is there before anything is replaced.

On SQLite the new database takes the place of the old one by one rename; on PostgreSQL all of it is one transaction.
`site/` and the key come before it. Whoever is killed in between has the old database, or the new one, and may simply
restore again. What was there is put aside and never deleted.

What a restored database must not do is say less than what it said before. So the numbers of events and of revisions go
on from where they may have been, and no mail that may have been sent goes out by itself (see `_settle`).
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from .. import migrations, presence
from ..calendars import dates_changed, derived
from ..calendars.models import CalendarRevision
from ..config import Settings
from ..db import Database, SiteRevision, table_of
from ..errors import ConfigurationError, Message, Unavailable, Unreadable, say
from ..messages import outbox
from ..migrations.tables import metadata
from ..subscriptions import digests, newsletters
from . import archive, making, postgresql, sqlite
from .archive import SECRET, Manifest

# No event is changed more often than once a minute for all the time since the back-up, and some more.
AT_LEAST, EACH = 100, timedelta(minutes=1)


@dataclass(slots=True)
class Restored:
    manifest: Manifest
    aside: list[Path] = field(default_factory=list)
    mails: int = 0  # held
    digests: int = 0  # left out this time
    newsletters: int = 0  # stopped
    changes: int = 0  # of dates, told to nobody


@contextmanager
def _said_plainly(path: Path) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        why = " ".join(str(error.orig).split())
        raise Unavailable(say("The database cannot be used: %(why)s", why=why)) from error
    except OSError as error:
        raise Unavailable(
            say(
                "%(path)s could not be restored: %(why)s. The database is as it was before.",
                path=path,
                why=error.strerror or error,
            )
        ) from error


def restore(settings: Settings, path: Path, now: datetime) -> Restored:
    """Raises BranchlineError; then the database is as it was."""
    with (
        _said_plainly(path),
        presence.alone(settings.data_dir),
        archive.opened(path) as (tar, manifest),
        ExitStack() as leaving,
    ):
        database = Database(settings.database_url, size=1)
        leaving.callback(database.dispose)
        _check_fits(manifest, database)
        beside = Path(database.engine.url.database or "").parent if database.is_sqlite else settings.data_dir
        archive.check_room(beside, sum(member.size for member in manifest.members))
        room = leaving.enter_context(making.workroom(beside))
        other = leaving.enter_context(making.workroom(settings.data_dir))
        archive.unpack(path, tar, manifest, {manifest.database: room, "site": other, SECRET: other})
        _hand_over(settings, room, other)
        restored = Restored(manifest)
        if database.is_sqlite:
            _restore_file(settings, database, path, room, other, restored, now)
        else:
            _restore_dump(settings, database, room, other, restored, now)
    return restored


def _check_fits(manifest: Manifest, database: Database) -> None:
    if not migrations.is_known(manifest.schema):
        raise ConfigurationError(
            say(
                "This back-up was made by Branchline %(version)s, which is newer than this one.",
                version=manifest.version,
            )
        )
    if (manifest.engine == "sqlite") != database.is_sqlite:
        raise ConfigurationError(_OTHER_ENGINE[manifest.engine])


_OTHER_ENGINE = {
    "sqlite": say(
        "This is a back-up of SQLite, and the database here is PostgreSQL. Restore it with"
        " BRANCHLINE_DATABASE_URL=sqlite:///restored.db, then run branchline move with the address of PostgreSQL."
    ),
    "postgresql": say(
        "This is a back-up of PostgreSQL, and the database here is SQLite. Restore it into an empty database of"
        " PostgreSQL, then run branchline move with the address of SQLite."
    ),
}


# ---------------------------------------------------------------- SQLite


def _restore_file(
    settings: Settings,
    database: Database,
    path: Path,
    room: Path,
    other: Path,
    restored: Restored,
    now: datetime,
) -> None:
    manifest, new = restored.manifest, room / restored.manifest.database
    if fault := sqlite.fault(new):
        raise Unreadable(
            say("The database in %(path)s is damaged: %(why)s. Nothing was changed.", path=path, why=fault)
        )
    if sqlite.schema(new) != manifest.schema or sqlite.rows(new) != manifest.rows:
        raise archive.damaged(path)
    prepared = Database(f"sqlite:///{new}", size=1)
    try:
        migrations.upgrade(prepared)
        with prepared.writing() as session:
            _settle(session, restored, now)
    finally:
        prepared.dispose()
    sqlite.take_out_of_use(new)
    _sync(new)
    old = Path(database.engine.url.database or "")
    if old.exists():
        sqlite.take_out_of_use(old)
    aside = _aside(old.parent, now)
    _replace_files(settings, other, restored, now)
    _replace_database(old, new, aside, restored)


def _replace_database(old: Path, new: Path, aside: Path, restored: Restored) -> None:
    """There is a database under its name at every moment: the old one gets a second name, then the new one its place.

    A log beside it, of a database that is damaged, would be taken for the new one's.
    """
    if old.exists():
        aside.mkdir(mode=0o700, exist_ok=True)
        try:
            os.link(old, aside / old.name)
        except OSError:  # a file system without second names
            shutil.copyfile(old, aside / old.name)
            _sync(aside / old.name)
        restored.aside.append(aside / old.name)
        archive.sync_folder(aside)
    for log in (old.with_name(f"{old.name}-wal"), old.with_name(f"{old.name}-shm")):
        if log.exists():
            aside.mkdir(mode=0o700, exist_ok=True)
            os.rename(log, aside / log.name)
    os.replace(new, old)
    archive.sync_folder(old.parent)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


# ---------------------------------------------------------------- PostgreSQL


def _restore_dump(
    settings: Settings, database: Database, room: Path, other: Path, restored: Restored, now: datetime
) -> None:
    """What was there is put aside as an archive: a database has no second place on a server."""
    manifest, dump = restored.manifest, room / restored.manifest.database
    postgresql.check_readable(dump)
    postgresql.check_unused(database)
    if not postgresql.is_empty(database):
        folder = making.folder_of(settings)
        folder.mkdir(mode=0o700, exist_ok=True)
        kept = folder / f"before-restore-{now:%Y%m%d-%H%M%S-%f}.tar"
        making.back_up(settings, database, kept, with_secrets=False, now=now)
        restored.aside.append(kept)
    with database.for_writing.begin() as connection:
        postgresql.bring_back(connection, dump, manifest.rows, set(metadata.tables))
        if migrations.number(connection) != manifest.schema:
            raise Unreadable(
                say("The database in the back-up has another schema than it says: nothing was changed.")
            )
        migrations.upgrade_within(connection)
        with Session(connection) as session:
            _settle(session, restored, now)
            session.flush()
        _replace_files(settings, other, restored, now)


# ---------------------------------------------------------------- the files, and what was there


def _hand_over(settings: Settings, *rooms: Path) -> None:
    """What root restores is used by whom the data directory belongs to."""
    owner = settings.data_dir.stat()
    if os.geteuid() == 0:
        for path in (path for room in rooms for path in room.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)


def _aside(folder: Path, now: datetime) -> Path:
    return folder / f"before-restore-{now:%Y%m%d-%H%M%S-%f}"


def _replace_files(settings: Settings, other: Path, restored: Restored, now: datetime) -> None:
    aside = _aside(settings.data_dir, now)
    site, new = settings.site_dir, other / "site"
    if site.exists() or site.is_symlink():
        aside.mkdir(mode=0o700, exist_ok=True)
        os.rename(site, aside / site.name)
        restored.aside.append(aside / site.name)
    if new.exists():
        os.rename(new, site)
    if restored.manifest.has_secret:
        key = settings.data_dir / SECRET
        if key.exists():
            aside.mkdir(mode=0o700, exist_ok=True)
            shutil.copy2(key, aside / SECRET)
            restored.aside.append(aside / SECRET)
        os.replace(other / SECRET, key)
    archive.sync_folder(settings.data_dir)


# ---------------------------------------------------------------- after an older state came back


def _settle(session: Session, restored: Restored, now: datetime) -> None:
    """Nobody is told twice, and nobody takes what is restored for older than what they have."""
    restored.newsletters = newsletters.stop_all(session, now)
    restored.mails = outbox.hold(session, now)
    restored.digests = digests.skip(session, now)
    restored.changes = dates_changed.forget_all(session)
    steps = AT_LEAST + max(0, (now - restored.manifest.made_at) // EACH)
    for model in (SiteRevision, CalendarRevision):
        table = table_of(model)
        session.connection().execute(sa.update(table).values(number=table.c.number + steps))
    derived.outnumber(session, steps, now)


def told(restored: Restored) -> list[Message]:
    """What whoever restored should know, a sentence each."""
    made_at = f"{restored.manifest.made_at:%Y-%m-%d %H:%M} UTC"
    rows = sum(restored.manifest.rows.values())
    said = [
        say(
            "Restored: %(rows)d rows as they were at %(when)s, and the files of site/.",
            rows=rows,
            when=made_at,
        )
    ]
    said += [say("What was here before is now %(path)s.", path=path) for path in restored.aside]
    if restored.mails:
        said.append(
            say(
                "E-mails that are held back because they may have been sent since: %(number)d. Look at"
                " /organize/outbox, where each can be tried again or removed.",
                number=restored.mails,
            )
        )
    if restored.newsletters:
        said.append(
            say(
                "Newsletters that were on their way and are stopped: %(number)d.", number=restored.newsletters
            )
        )
    if restored.digests or restored.changes:
        said.append(
            say(
                "Left out because they may have been sent since: regular e-mails (%(digests)d) and news of changed"
                " dates (%(changes)d).",
                digests=restored.digests,
                changes=restored.changes,
            )
        )
    if not restored.manifest.has_secret:
        said.append(
            say(
                "The secret key was not in it. Unless the key here is still the same, links in e-mails that were sent"
                " before do not work any more."
            )
        )
    return said
