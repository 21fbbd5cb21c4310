"""What each command does. Each takes the settings and its options and returns an exit status."""

import argparse
import contextlib
import http.client
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn

from sqlmodel import Session, col, select

from . import migrations, server
from .app import publishing_of
from .branches import exchange, queries
from .branches.models import Branch
from .calendars import derived, horizon, imports, moves, timezones
from .config import DEMO_DATABASE, Settings, database_url
from .db import Database
from .doctor import ERROR, examine
from .errors import ConfigurationError, NotFound, Refusal, RefusedRows, Unavailable, say
from .later import loaded_later
from .limits import Limit
from .migrations.move import move as move_everything
from .news import writing as news
from .people import permissions, sign_in
from .people.models import OneTimeLink, Purpose, Role
from .places import gazetteer
from .places.lookup import Gazetteer
from .places.packages import GazetteerUnavailable
from .server import opened
from .web.endpoints import Declared, declared
from .web.routes import routes as table_of_routes

if TYPE_CHECKING:
    import tqdm
else:
    tqdm = loaded_later("tqdm")

DEMO_NAME = "Riverbend Tool Libraries"
DEMO_DATA = (Path(__file__).parent / "data", Path(__file__).parent.parent / "data")
DEMO_ORGANIZER, DEMO_ADMIN = "organizer@example.org", "admin@example.org"
DEMO_BRANCH = "lincoln-park"


def migrate(settings: Settings, options: argparse.Namespace) -> int:
    with opened(settings) as database:
        migrations.upgrade(database)
    return 0


def move(settings: Settings, options: argparse.Namespace) -> int:
    target_url = database_url(options.to_url)
    with opened(settings) as source, opened(replace(settings, database_url=target_url)) as target:
        migrations.upgrade(source)
        copied = move_everything(source, target)
    print(f"{sum(copied.values())} rows in {len(copied)} tables copied and counted.")
    return 0


def doctor(settings: Settings, options: argparse.Namespace) -> int:
    """A line for each finding; 1 when one is an error."""
    status = 0
    for finding in examine(settings, _now()):
        print(finding, flush=True)
        status = 1 if finding.level is ERROR else status
    return status


def healthcheck(settings: Settings, options: argparse.Namespace) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", settings.port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return 0 if connection.getresponse().status == 200 else 1
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(say("Nothing answers on port %(port)d.", port=settings.port)) from error
    finally:
        connection.close()


def routes(settings: Settings, options: argparse.Namespace) -> int:
    """Every address of the site, in the order in which they are tried, with who may use it and how often."""
    heading = ("METHOD", "PATH", "DOES", "WHO", "LIMITS")
    lines = [heading, *(_cells(declared(route)) for route in table_of_routes)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    with _output(None) as out:
        for line in lines:
            padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
            out.write(f"{'  '.join(padded).rstrip()}\n".encode())
    return 0


def _cells(route: Declared) -> tuple[str, ...]:
    does = "writes" if route.writes else "reads"
    limits = ", ".join(f"{_often(limit)} per {each}" for limit, each in route.counted)
    return " ".join(route.methods), route.path, does, route.who.value, limits


def _often(limit: Limit) -> str:
    return f"{limit.most} {_WINDOWS[limit.seconds]}"


_WINDOWS = {60: "a minute", 3600: "an hour", 86_400: "a day"}


# ---------------------------------------------------------------- the demo


def demo(settings: Settings, options: argparse.Namespace) -> int:
    """Always a database of its own, made anew; whatever else is configured is not touched."""
    path = settings.data_dir / DEMO_DATABASE
    server.end_on_signals()
    server.check_port("localhost", settings.port)
    for leftover in settings.data_dir.glob(f"{DEMO_DATABASE}*"):
        leftover.unlink()
    settings = replace(
        settings, database_url=f"sqlite:///{path}", base_url=None, smtp_url=None, name=DEMO_NAME
    )
    _demo_places(settings)
    with opened(settings) as database:
        migrations.upgrade(database)
        _demo_data(settings, database)
        links = _demo_people(settings, database)
    print(f"\n  {DEMO_NAME}: {settings.public_url}\n")
    for role, link in links:
        print(f"  sign in as {role}: {link}")
    print("\n  Mails are written to", settings.mail_dir, "\n  Stop with Ctrl+C.", flush=True)
    return server.run(settings, "localhost", workers=1)


def _demo_places(settings: Settings) -> None:
    if Gazetteer(settings.gazetteer).exists:
        return
    print("Building the directory of places (once, about a minute) …", flush=True)
    try:
        gazetteer.build(settings.gazetteer, _now(), progress=True)
    except GazetteerUnavailable as error:
        print(f"{error}\nServing with what the branches know.", flush=True)


def _demo_data(settings: Settings, database: Database) -> None:
    folder = next(path for path in DEMO_DATA if (path / "branches.csv").is_file())
    with (folder / "branches.csv").open("rb") as file:
        exchange.import_branches(
            database, file, gazetteer=Gazetteer(settings.gazetteer), dry_run=False, now=_now()
        )
    with (folder / "events.ics").open("rb") as file:
        imports.import_events(
            database, file, publishing=publishing_of(settings), now=_now(), shift_to=date.today(), branch=None
        )
    with (folder / "news.json").open("rb") as file, database.writing() as session:
        news.bring(session, file, _now())


def _demo_people(settings: Settings, database: Database) -> list[tuple[str, str]]:
    with database.writing() as session:
        organizer = sign_in.find_or_add(session, DEMO_ORGANIZER, _now())
        permissions.invite(session, organizer, queries.here(session, DEMO_BRANCH), Role.ORGANIZER)
        madrid = session.exec(
            select(Branch).where(col(Branch.city) == "Madrid").order_by(col(Branch.slug))
        ).first()
        permissions.invite(session, organizer, madrid, Role.ORGANIZER)
        admin = sign_in.find_or_add(session, DEMO_ADMIN, _now())
        permissions.invite(session, admin, None, Role.ADMIN)
        return [
            (
                "organizer",
                _sign_in_link(settings, sign_in.make_link(session, organizer, Purpose.SIGN_IN, _now())),
            ),
            ("admin", _sign_in_link(settings, sign_in.make_link(session, admin, Purpose.SIGN_IN, _now()))),
        ]


# ---------------------------------------------------------------- data in and out


def places_build(settings: Settings, options: argparse.Namespace) -> int:
    gazetteer.build(
        settings.gazetteer,
        _now(),
        countries=options.countries,
        min_population=options.min_population,
        progress=True,
    )
    return 0


def places_import(settings: Settings, options: argparse.Namespace) -> int:
    reports = gazetteer.import_postal(settings.gazetteer, options.files, _now(), progress=True)
    for report in reports:
        for refusal in report.refusals:
            print(f"{report.name}: row {refusal.row}: {refusal.reason}", file=sys.stderr)
        print(f"{report.name}: {report.rows - report.refused} codes in, {report.refused} refused")
    return 1 if any(report.refused for report in reports) else 0


def branches_import(settings: Settings, options: argparse.Namespace) -> int:
    with _ready_database(settings) as database, _input(options.file) as file, _bar("branches") as bar:
        report = exchange.import_branches(
            database,
            file,
            mapping=dict(options.map),
            country=options.country.upper(),
            gazetteer=Gazetteer(settings.gazetteer),
            dry_run=options.dry_run,
            now=_now(),
            progress=bar.update,
        )
        if not options.dry_run:
            _refresh_events(settings, database)
            with database.writing() as session:  # feeds name their branch, and say when it has closed
                moves.move_revision(session, _now())
    for note in report.notes:
        print(note)
    return _reported(report.added, report.updated, report.unchanged, report.refusals, options.dry_run)


def branches_export(settings: Settings, options: argparse.Namespace) -> int:
    with _ready_database(settings) as database, database.reading() as session, _output(options.file) as out:
        out.writelines(line.encode() for line in exchange.export_lines(session))
    return 0


def events_import(settings: Settings, options: argparse.Namespace) -> int:
    with _ready_database(settings) as database, _input(options.file) as file, _bar("events") as bar:
        report = imports.import_events(
            database,
            file,
            publishing=publishing_of(settings),
            now=_now(),
            shift_to=options.shift_to,
            branch=options.branch,
            dry_run=options.dry_run,
            progress=bar.update,
        )
    return _reported(report.added, report.updated, report.unchanged, report.refusals, options.dry_run)


def events_export(settings: Settings, options: argparse.Namespace) -> int:
    with _ready_database(settings) as database, database.reading() as session:
        body = imports.export_events(session, publishing_of(settings), settings.name)
        with _output(options.file) as out:
            out.writelines(body)
    return 0


def events_recompute(settings: Settings, options: argparse.Namespace) -> int:
    """The worker does the same by itself; this says beforehand what would change."""
    number = 0
    with _ready_database(settings) as database:
        with database.reading() as session:
            for found in horizon.differences(session):
                number += 1
                print(
                    f"{found.title} (event {found.event_id}), {found.start:%Y-%m-%d %H:%M} {found.timezone}: "
                    f"{found.was:%Y-%m-%d %H:%M} UTC becomes {found.becomes:%Y-%m-%d %H:%M} UTC"
                )
        if not options.dry_run:
            _refresh_events(settings, database)
    print(
        f"{number} dates {'would move' if options.dry_run else 'moved'} by tzdata {timezones.rules_version()}"
    )
    return 0


def people_invite(settings: Settings, options: argparse.Namespace) -> int:
    role = Role(options.role)
    email = sign_in.normal_email(options.email)
    password = sys.stdin.readline().rstrip("\r\n") if options.password_stdin else None
    with _ready_database(settings) as database, database.writing() as session:
        branch = _branch(session, options.branch) if options.branch else None
        if branch is None and role is not Role.ADMIN:
            raise ConfigurationError(say("Please name the branch with --branch SLUG (or give --role admin)."))
        person = sign_in.find_or_add(session, email, _now())
        permissions.invite(session, person, branch, role)
        if password is not None:
            sign_in.set_password(session, person, password)
        token = sign_in.make_link(
            session, person, Purpose.SIGN_IN, _now(), lifetime=OneTimeLink.INVITATION_LIFETIME
        )
    print(_sign_in_link(settings, token))
    return 0


def _branch(session: Session, slug: str) -> Branch:
    try:
        return queries.here(session, slug)
    except NotFound as error:
        raise NotFound(say("There is no branch called “%(slug)s”.", slug=slug[:80])) from error


def _reported(added: int, updated: int, unchanged: int, refusals: list[Refusal], dry_run: bool) -> int:
    would = "would be " if dry_run else ""
    print(f"{added} {would}added, {updated} {would}updated, {unchanged} unchanged, {len(refusals)} refused")
    if refusals:
        raise RefusedRows(refusals)
    return 0


def _refresh_events(settings: Settings, database: Database) -> None:
    """Events say where their branch is: those of changed branches are rendered again."""
    more = 1
    while more:
        with database.writing() as session:
            more = derived.refresh(session, publishing_of(settings), _now())


# ---------------------------------------------------------------- pieces


def _sign_in_link(settings: Settings, token: str) -> str:
    return f"{settings.public_url}/sign-in/{token}"


@contextlib.contextmanager
def _ready_database(settings: Settings) -> Iterator[Database]:
    """An embedded database is brought to the newest schema; another must be there already."""
    with opened(settings) as database:
        if database.is_sqlite:
            migrations.upgrade(database)
        with database.reading() as session:
            if not migrations.is_newest(session.connection()):
                raise ConfigurationError(
                    say("The database is not at the newest schema: run branchline migrate.")
                )
        yield database


@contextlib.contextmanager
def _input(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConfigurationError(
            say("%(path)s cannot be read: %(why)s", path=path, why=error.strerror)
        ) from error
    with file:
        yield file


@contextlib.contextmanager
def _output(path: Path | None) -> Iterator[BinaryIO]:
    """The file, else standard output; that a reader such as `head` has seen enough is no error."""
    try:
        if path is None:
            yield sys.stdout.buffer
            sys.stdout.flush()
            return
        with path.open("wb") as file:
            yield file
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        raise ConfigurationError(
            say("%(path)s cannot be written: %(why)s", path=path or "standard output", why=error.strerror)
        ) from error


def _bar(what: str) -> "tqdm.tqdm[NoReturn]":
    """A progress bar on a terminal; silence otherwise."""
    return tqdm.tqdm(unit=f" {what}", disable=None, leave=False)


def _now() -> datetime:
    return datetime.now(UTC)
