"""Whether all is well with an installation: a function for each check, a line for each finding."""

import asyncio
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError
from sqlmodel import Session

from . import migrations
from .calendars.timezones import rules_version
from .config import Settings
from .db import Database
from .errors import ConfigurationError
from .identity import KEYS, read_identity
from .mail import NotNow, greet
from .messages import overview, refusals
from .palette import Palette
from .places.lookup import Gazetteer

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
GREETS_WITHIN_S = 5
LATE, STUCK = timedelta(minutes=5), timedelta(hours=1)  # of a mail that is due
PLACES_OLD = timedelta(days=400)
SHORTEST_KEY = 16
LITTLE_DISK, TOO_LITTLE_DISK = 1_000_000_000, 100_000_000  # bytes
WAL_IS_SAFE = (
    3,
    51,
    3,
)  # before, SQLite could reset its write-ahead log while another connection wrote to it


class Level(Enum):
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


OK, WARNING, ERROR = Level


class Finding(NamedTuple):
    level: Level
    what: str
    text: str

    def __str__(self) -> str:
        return f"{self.level.value:<8} {self.what}: {self.text}"


def examine(settings: Settings, now: datetime) -> Iterator[Finding]:
    yield _address(settings)
    yield _secret_key(settings)
    yield _data_directory(settings)
    yield _look(settings)
    yield from _database(settings, now)
    yield _places(settings, now)
    yield _time_zones(now)
    yield _mail_server(settings)


def _address(settings: Settings) -> Finding:
    if settings.base_url is None:
        return Finding(WARNING, "address", "BRANCHLINE_BASE_URL is not set, so only this machine is answered")
    if not settings.secure and urlsplit(settings.base_url).hostname not in LOOPBACK:
        return Finding(WARNING, "address", f"{settings.base_url} is not https: passwords travel in the open")
    return Finding(OK, "address", settings.base_url)


def _secret_key(settings: Settings) -> Finding:
    kept = settings.data_dir / "secret.key"
    if len(settings.secret_key) < SHORTEST_KEY:
        return Finding(WARNING, "secret key", f"it is shorter than {SHORTEST_KEY} characters")
    if kept.exists() and stat.S_IMODE(kept.stat().st_mode) & 0o077:
        return Finding(WARNING, "secret key", f"others on this machine can read {kept}: chmod 600")
    return Finding(OK, "secret key", "nobody else can read it")


def _data_directory(settings: Settings) -> Finding:
    folder = settings.data_dir
    try:
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        return Finding(ERROR, "data directory", f"{folder} cannot be written: {error.strerror}")
    level = ERROR if free < TOO_LITTLE_DISK else WARNING if free < LITTLE_DISK else OK
    return Finding(level, "data directory", f"{folder} can be written, {free / 1e9:.1f} GB are free")


def _look(settings: Settings) -> Finding:
    """Without somebody to tell, who finds a hole writes to the branch at the top, where organizers read it."""
    try:
        identity = read_identity(settings.site_dir)
    except ConfigurationError as error:
        return Finding(ERROR, "look", f"{settings.site_dir}: {error}")
    own = [key for key in KEYS if getattr(identity, key, None)]
    if identity.palette != Palette():
        own.insert(0, "colours")
    says = f"site.toml gives {', '.join(own)}" if own else "site.toml gives nothing: it looks as it comes"
    if not identity.security:
        return Finding(WARNING, "look", f"{says}; “security” names nobody whom to tell of a hole")
    return Finding(OK, "look", says)


def _places(settings: Settings, now: datetime) -> Finding:
    built = Gazetteer(settings.gazetteer).about().get("built_at")
    if built is None:
        return Finding(WARNING, "places", "there is no directory of places yet: branchline places build")
    age = now - datetime.fromisoformat(built)
    return Finding(WARNING if age > PLACES_OLD else OK, "places", f"built {age.days} days ago")


def _time_zones(now: datetime) -> Finding:
    """The package is called after the year of its rules, which change several times in each."""
    rules = rules_version()
    old = int(rules.split(".")[0]) < now.year - 1
    return Finding(WARNING if old else OK, "time zones", f"tzdata {rules}{', which is old' if old else ''}")


def _mail_server(settings: Settings) -> Finding:
    if settings.smtp_url is None:
        where = settings.mail_dir
        return Finding(WARNING, "mail server", f"BRANCHLINE_SMTP_URL is not set: mails are files in {where}")
    name = urlsplit(settings.smtp_url).netloc.rpartition("@")[2]  # without the password
    try:
        asyncio.run(greet(settings.smtp_url, GREETS_WITHIN_S))
    except NotNow as error:
        return Finding(ERROR, "mail server", f"{name} takes no mail from us: {error}")
    if settings.mail_from.endswith("@localhost"):
        return Finding(WARNING, "mail server", f"{name} answers, but BRANCHLINE_MAIL_FROM is not set")
    return Finding(OK, "mail server", f"{name} answers")


# ---------------------------------------------------------------- what the database knows


def _database(settings: Settings, now: datetime) -> Iterator[Finding]:
    database = Database(settings.database_url, size=1)
    path = database.engine.url.database or ""
    if database.is_sqlite and not Path(path).exists():
        yield Finding(ERROR, "database", f"there is no {path} yet: branchline serve makes it")
        return
    try:
        with database.reading() as session:
            yield _schema(session)
            yield _engine(session)
            if migrations.is_newest(session.connection()):
                yield _outbox(session, now)
                yield _refused_addresses(session)
    except DatabaseError as error:
        yield Finding(ERROR, "database", " ".join(str(error.orig).split()))
    finally:
        database.dispose()


def _schema(session: Session) -> Finding:
    if migrations.is_newest(session.connection()):
        return Finding(OK, "database", "it answers, at the newest schema")
    return Finding(ERROR, "database", "it is not at the newest schema: branchline migrate")


def _engine(session: Session) -> Finding:
    if session.get_bind().dialect.name == "postgresql":
        version = session.connection().execute(sa.text("SHOW server_version")).scalar_one()
        return Finding(OK, "database", f"PostgreSQL {version}")
    if sqlite3.sqlite_version_info < WAL_IS_SAFE:
        wanted = ".".join(map(str, WAL_IS_SAFE))
        text = f"SQLite {sqlite3.sqlite_version}, whose log has a rare fault that {wanted} mended"
        return Finding(WARNING, "database", text)
    return Finding(OK, "database", f"SQLite {sqlite3.sqlite_version}")


def _outbox(session: Session, now: datetime) -> Finding:
    standing = overview.standing(session, now)
    level = ERROR if standing.lag > STUCK else WARNING if standing.lag > LATE else OK
    text = f"{standing.waiting} wait, {standing.failed} failed in 30 days"
    if level is not OK:
        minutes = standing.lag // timedelta(minutes=1)
        text += f"; the oldest should have gone {minutes} minutes ago: does a worker run?"
    return Finding(level, "outbox", text)


def _refused_addresses(session: Session) -> Finding:
    number = refusals.number_of_branches(session)
    text = (
        f"{number} of branches refuse mail: see /organize/outbox"
        if number
        else "none of a branch refuses mail"
    )
    return Finding(WARNING if number else OK, "addresses", text)
