"""Whether all is well with an installation: a function for each check, a line for each finding.

What a check itself trips over is a finding too: whoever looks here is in trouble already, and needs the other lines.
"""

import asyncio
import ctypes
import ipaddress
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError
from sqlmodel import Session

from . import metrics, migrations, watch
from .backups.making import folder_of
from .calendars import derived
from .calendars.content import Publishing
from .calendars.timezones import rules_version
from .config import Settings
from .db import UNEXPECTED, Database
from .errors import ConfigurationError
from .identity import KEYS, read_identity
from .logs import harmless
from .mail import NotNow, greet
from .messages import overview, refusals
from .palette import Palette
from .places.lookup import Gazetteer

LOOPBACK = {"localhost", "127.0.0.1", "::1"}
GREETS_WITHIN_S = 5
LATE, STUCK = timedelta(minutes=5), timedelta(hours=1)  # of a mail that is due
PLACES_OLD = timedelta(days=400)
BACKUP_OLD = timedelta(days=8)
TURN_OLD = timedelta(minutes=10)  # of the worker: longer than anything it does at once
CLOCK_OFF = timedelta(minutes=1)
SHORTEST_KEY = 16
SIZE_OF_TIMEX, CLOCK_NOT_KEPT = 256, 5  # adjtimex(2): room enough for its struct, and TIME_ERROR
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


Check = Callable[[Settings, datetime], Iterable[Finding]]


def examine(settings: Settings, now: datetime) -> Iterator[Finding]:
    for what, check in CHECKS.items():
        try:
            yield from check(settings, now)
        except (*UNEXPECTED, sqlite3.Error) as error:
            yield Finding(ERROR, what, f"this could not be looked at: {harmless(error)}")


CHECKS: dict[str, Check] = {
    "address": lambda settings, now: [_address(settings)],
    "proxies": lambda settings, now: [_proxies(settings)],
    "metrics": lambda settings, now: [_metrics(settings)],
    "secret key": lambda settings, now: [_secret_key(settings)],
    "data directory": lambda settings, now: [_data_directory(settings)],
    "permissions": lambda settings, now: [_permissions(settings)],
    "look": lambda settings, now: [_look(settings)],
    "clock": lambda settings, now: [_clock(settings, now)],
    "database": lambda settings, now: _database(settings, now),
    "worker": lambda settings, now: [_worker(settings, now)],
    "back-ups": lambda settings, now: [_backups(settings, now)],
    "places": lambda settings, now: [_places(settings, now)],
    "time zones": lambda settings, now: [_time_zones(now)],
    "mail server": lambda settings, now: [_mail_server(settings)],
}


def _address(settings: Settings) -> Finding:
    if settings.base_url is None:
        return Finding(WARNING, "address", "BRANCHLINE_BASE_URL is not set, so only this machine is answered")
    if not settings.secure and urlsplit(settings.base_url).hostname not in LOOPBACK:
        return Finding(WARNING, "address", f"{settings.base_url} is not https: passwords travel in the open")
    return Finding(OK, "address", settings.base_url)


def _proxies(settings: Settings) -> Finding:
    """Who is trusted says which address a visitor has; the limits count by it."""
    for each in settings.trusted_proxies:
        if not _is_network(each):
            return Finding(ERROR, "proxies", f"BRANCHLINE_TRUSTED_PROXIES names {each}: write its address")
        if each == "*" or ipaddress.ip_network(each, strict=False).prefixlen == 0:
            return Finding(WARNING, "proxies", f"{each} trusts everybody, so visitors choose their addresses")
    trusted = ", ".join(settings.trusted_proxies)
    if not trusted and settings.secure:
        text = "none is trusted, so all visitors share one limit: set BRANCHLINE_TRUSTED_PROXIES"
        return Finding(WARNING, "proxies", text)
    return Finding(
        OK, "proxies", f"{trusted} may say for whom it asks" if trusted else "none stands in front"
    )


def _is_network(text: str) -> bool:
    try:
        return text == "*" or bool(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return False


def _metrics(settings: Settings) -> Finding:
    if not settings.metrics_token:
        return Finding(OK, "metrics", "/metrics answers programs on this machine alone")
    if len(settings.metrics_token) < SHORTEST_KEY:
        text = f"BRANCHLINE_METRICS_TOKEN is shorter than {SHORTEST_KEY} characters"
        return Finding(WARNING, "metrics", text)
    return Finding(OK, "metrics", "/metrics answers whoever has the token")


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


def _permissions(settings: Settings) -> Finding:
    """Of the data directory: what people wrote to branches is in it."""
    if stat.S_IMODE(settings.data_dir.stat().st_mode) & 0o007:
        return Finding(
            WARNING,
            "permissions",
            f"others on this machine can look into {settings.data_dir}: chmod 700",
        )
    return Finding(OK, "permissions", f"nobody else can look into {settings.data_dir}")


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


def _clock(settings: Settings, now: datetime) -> Finding:
    """Links run out, dates pass and mails are due by it. What is asked lies on this machine: no server of others."""
    newest = max(
        (path.stat().st_mtime for path in settings.data_dir.iterdir() if path.is_file()), default=0.0
    )
    ahead = newest - now.timestamp()
    if ahead > CLOCK_OFF.total_seconds():
        text = (
            f"a file in {settings.data_dir} is from {ahead / 60:.0f} minutes ahead: was the clock set back?"
        )
        return Finding(WARNING, "clock", text)
    if is_kept_right() is False:
        return Finding(WARNING, "clock", "nothing keeps it right: run chrony or systemd-timesyncd")
    return Finding(OK, "clock", f"{now:%Y-%m-%d %H:%M:%S} UTC")


def is_kept_right() -> bool | None:
    """Whether the system's clock follows a better one, as the kernel knows it. None: it does not say."""
    ask = getattr(ctypes.CDLL(None), "adjtimex", None)
    state = ask(ctypes.create_string_buffer(SIZE_OF_TIMEX)) if ask else -1  # zeros change nothing
    return None if state < 0 else state != CLOCK_NOT_KEPT


def _worker(settings: Settings, now: datetime) -> Finding:
    """Each of its threads notes when it last looked for work; only processes that live are asked."""
    turns = {
        dict(sample.labels)["thread"]: now.timestamp() - sample.value
        for sample in metrics.others(settings.run_dir)
        if sample.family == "branchline_worker_last_turn_timestamp_seconds"
    }
    if not turns:
        text = "none runs with this data directory, so no mail goes: branchline serve, or branchline work"
        return Finding(WARNING, "worker", text)
    slowest = max(turns, key=turns.__getitem__)
    if turns[slowest] > TURN_OLD.total_seconds():
        minutes = turns[slowest] // 60
        text = f"it has been at one thing for {minutes:.0f} minutes ({slowest}): restart it if that goes on"
        return Finding(WARNING, "worker", text)
    return Finding(OK, "worker", "it runs")


def _backups(settings: Settings, now: datetime) -> Finding:
    folder = folder_of(settings)
    files = [path for path in folder.glob("*") if path.is_file()] if folder.is_dir() else []
    if not files:
        text = f"there is none in {folder}: make one with branchline backup, and keep a copy elsewhere"
        return Finding(WARNING, "back-ups", text)
    age = now - datetime.fromtimestamp(max(path.stat().st_mtime for path in files), UTC)
    text = f"the newest in {folder} is {max(age.days, 0)} days old"
    return Finding(WARNING if age > BACKUP_OLD else OK, "back-ups", text)


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
            yield from _server_clock(session, now)
            if migrations.is_newest(session.connection()):
                yield _outbox(session, now)
                yield _refused_addresses(session)
                yield _followed("calendars", "/organize/imports", watch.calendars(session, now))
                yield _followed("headlines", "/organize/news/headlines", watch.headlines(session, now))
                yield _horizon(settings, session, now)
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


def _server_clock(session: Session, now: datetime) -> Iterator[Finding]:
    """PostgreSQL is often on another machine, whose clock is another one."""
    if session.get_bind().dialect.name == "postgresql":
        there = session.connection().execute(sa.text("SELECT clock_timestamp()")).scalar_one()
        apart = abs(there - now)
        text = f"that of the database server is {apart.total_seconds():.0f} s apart from this one"
        yield Finding(WARNING if apart > CLOCK_OFF else OK, "clock", text)


def _followed(what: str, where: str, found: watch.Followed) -> Finding:
    text = f"{found.number} are followed"
    if found.failing:
        text += f", {found.failing} did not answer well; the oldest good copy is {found.oldest.days} days old"
    if found.held:
        text += f", {found.held} wait for a person because half of them has gone"
    if found.failing or found.held:
        return Finding(WARNING, what, f"{text}: see {where}")
    return Finding(OK, what, text)


def _horizon(settings: Settings, session: Session, now: datetime) -> Finding:
    publishing = Publishing(settings.public_url, settings.name, settings.locales)
    if derived.needs_refresh(session, publishing, now):
        return Finding(WARNING, "dates", "some wait to be written; a worker does that within minutes")
    return Finding(OK, "dates", "all are written, as far ahead as is shown")
