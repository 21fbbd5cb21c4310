"""Making an archive, on request and before the schema changes."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

import sqlalchemy as sa

from .. import migrations
from ..config import Settings
from ..db import Database
from ..errors import ConfigurationError, Unavailable, say
from . import archive, postgresql, sqlite
from .archive import DATABASES, SECRET, SITE, Manifest

KEPT = 3
TRIES = 5
BEFORE_UPGRADE = "before-upgrade"
_ROOM = ".backup-"


def folder_of(settings: Settings) -> Path:
    return settings.data_dir / "backups"


def back_up(
    settings: Settings, database: Database, target: Path, *, with_secrets: bool, now: datetime
) -> Manifest:
    """Raises BranchlineError; then there is no file, or the one that was there before."""
    target = target.resolve()  # what a link leads to is replaced, not the link
    if target.exists() and not target.is_file():
        raise ConfigurationError(say("%(path)s is not a file that could be replaced.", path=target))
    with _one_clear_line(target), workroom(target.parent) as room:
        manifest = _gathered(settings, database, room, with_secrets, now)
        archive.check_room(target.parent, sum(member.size for member in manifest.members))
        with archive.whole_or_nothing(target, room) as out:
            archive.write(out, manifest, room)
    return manifest


def back_up_to_pipe(
    settings: Settings, database: Database, out: BinaryIO, *, with_secrets: bool, now: datetime
) -> Manifest:
    with _one_clear_line(settings.data_dir), workroom(settings.data_dir) as room:
        manifest = _gathered(settings, database, room, with_secrets, now)
        archive.write(out, manifest, room)
    return manifest


@contextmanager
def _one_clear_line(target: Path) -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise Unavailable(say("Whoever reads the back-up has stopped reading it.")) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Unavailable(
                say("The disk of %(path)s is full: there is no back-up.", path=target)
            ) from error
        raise ConfigurationError(
            say("%(path)s cannot be written: %(why)s", path=target, why=error.strerror or error)
        ) from error


@contextmanager
def workroom(parent: Path) -> Iterator[Path]:
    """A folder that only its owner reads, on the disk of what is to come of it.

    What somebody left who was killed goes first: it holds what nobody else should read.
    """
    for left in parent.glob(f"{_ROOM}*"):
        _remove_if_left(left)
    with tempfile.TemporaryDirectory(dir=parent, prefix=_ROOM) as made, ExitStack() as leaving:
        held = os.open(made, os.O_RDONLY | os.O_DIRECTORY)
        leaving.callback(os.close, held)
        fcntl.flock(held, fcntl.LOCK_SH)
        yield Path(made)


def _remove_if_left(folder: Path) -> None:
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    except BlockingIOError:
        return
    finally:
        os.close(held)


def _gathered(
    settings: Settings, database: Database, room: Path, with_secrets: bool, now: datetime
) -> Manifest:
    """Copies of everything into `room`, where nobody changes them, and what is to be said of them.

    The moment is from before the copy: whatever was written later may be in it, whatever was written before is.
    """
    engine = "sqlite" if database.is_sqlite else "postgresql"
    copied = room / DATABASES[engine]
    if database.is_sqlite:
        rows = _copied_file(database, copied)
        schema = sqlite.schema(copied)
    else:
        with database.reading() as session:
            schema = migrations.number(session.connection())
        rows = postgresql.dump(database, copied)
    if not schema:
        raise ConfigurationError(
            say("There is nothing to back up: the database has no tables of Branchline.")
        )
    names = [DATABASES[engine], *_copied_site(settings.site_dir, room)]
    if with_secrets:
        (room / SECRET).write_text(f"{settings.secret_key}\n", encoding="utf-8")
        names.append(SECRET)
    members = tuple(archive.member_of(name, room / name) for name in names)
    return Manifest(version("branchline"), schema, engine, now, members, rows)


def _copied_file(database: Database, target: Path) -> dict[str, int]:
    path = Path(database.engine.url.database or "")
    if not path.is_file():
        raise ConfigurationError(say("There is nothing to back up: no %(path)s.", path=path))
    archive.check_room(target.parent, path.stat().st_size)
    sqlite.copy(path, target)
    if fault := sqlite.fault(target):
        raise Unavailable(
            say(
                "The database is damaged, and this would be no back-up: %(why)s.",
                why=fault,
            )
        )
    return sqlite.rows(target)


def _copied_site(site: Path, room: Path) -> Iterator[str]:
    """Links are followed; folders and files whose name begins with a dot are left out."""
    for path in sorted(site.rglob("*")):
        inside = path.relative_to(site)
        if any(part.startswith(".") for part in inside.parts) or not path.is_file():
            continue
        target = room / SITE / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            _copy_whole(path, target)
        except FileNotFoundError:  # removed at this very moment
            continue
        yield f"{SITE}{inside.as_posix()}"


def _copy_whole(path: Path, target: Path) -> None:
    """Whoever writes a file anew while it is read leaves half of each; then it is read again."""
    for _ in range(TRIES):
        before = path.stat()
        shutil.copyfile(path, target)
        after = path.stat()
        if (before.st_ino, before.st_size, before.st_mtime_ns) == (
            after.st_ino,
            after.st_size,
            after.st_mtime_ns,
        ):
            return
    raise Unavailable(say("%(path)s is being written at this moment. Please try again.", path=path))


# ---------------------------------------------------------------- before the schema changes


def upgrade(settings: Settings, database: Database, now: datetime) -> str:
    """Brings the database to the newest schema, after a back-up of one that holds anything.

    Returns a sentence about the back-up, empty when there was nothing to do. On SQLite there is no upgrade without a
    back-up. PostgreSQL is looked after by people who may have no `pg_dump` here: then it is said that there is none.
    """
    with database.engine.connect() as connection:
        old = "" if migrations.is_newest(connection) else migrations.number(connection)
        wanted = bool(old) and migrations.is_known(old) and _holds_anything(connection)
    said = _kept(settings, database, old, now) if wanted else ""
    migrations.upgrade(database)
    return said


def _holds_anything(connection: sa.Connection) -> bool:
    names = [name for name in sa.inspect(connection).get_table_names() if name != migrations.ALEMBICS]
    first = (sa.select(sa.literal(1)).select_from(sa.table(name)).limit(1) for name in names)
    return any(connection.execute(one).first() for one in first)


def _kept(settings: Settings, database: Database, old: str, now: datetime) -> str:
    folder = folder_of(settings)
    target = folder / f"{BEFORE_UPGRADE}-from-{old}-{now:%Y%m%dT%H%M%SZ}.tar"
    try:
        with _one_clear_line(folder):
            folder.mkdir(mode=0o700, exist_ok=True)
        back_up(settings, database, target, with_secrets=False, now=now)
    except postgresql.NoTool as error:
        return str(say("No back-up was made before the upgrade: %(why)s", why=error))
    except (ConfigurationError, Unavailable) as error:
        raise Unavailable(
            say(
                "The database must be brought to a newer schema, and no back-up can be made before: %(why)s"
                " Nothing was changed.",
                why=error,
            )
        ) from error
    for older in sorted(folder.glob(f"{BEFORE_UPGRADE}-*.tar"), key=_made)[:-KEPT]:
        older.unlink(missing_ok=True)
    return str(say("A back-up was made before the upgrade: %(path)s", path=target))


def _made(path: Path) -> str:
    return path.stem.rpartition("-")[2]
