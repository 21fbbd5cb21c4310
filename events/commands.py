"""What each command does. Each takes the settings and its options and returns an exit status."""

import argparse
import contextlib
import json
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

from sqlmodel import Session, col, select

from . import migrations, server
from .app import publishing_of
from .branches import exchange, queries
from .branches.models import Branch
from .calendars import derived, horizon, imports, moves, timezones
from .config import DEMO_DATABASE, Settings
from .db import Database
from .errors import ConfigurationError, NotFound, Refusal, RefusedRows, say
from .mail import files_naming
from .news import writing as news
from .people import permissions, sign_in
from .people.models import OneTimeLink, Purpose, Role
from .personal import holding
from .personal.kinds import Whom
from .personal.searching import Mention
from .places import gazetteer
from .places.lookup import Gazetteer
from .places.packages import GazetteerUnavailable
from .server import opened
from .terminal import input_file, now, output_file, progress_bar, ready_database

DEMO_NAME = "Riverbend Tool Libraries"
DEMO_DATA = (Path(__file__).parent / "data", Path(__file__).parent.parent / "data")
DEMO_ORGANIZER, DEMO_ADMIN = "organizer@example.org", "admin@example.org"
DEMO_BRANCH = "lincoln-park"
EMPTY_WITHIN_S = 15.0


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
        gazetteer.build(settings.gazetteer, now(), progress=True)
    except GazetteerUnavailable as error:
        print(f"{error}\nServing with what the branches know.", flush=True)


def _demo_data(settings: Settings, database: Database) -> None:
    folder = next(path for path in DEMO_DATA if (path / "branches.csv").is_file())
    with (folder / "branches.csv").open("rb") as file:
        exchange.import_branches(
            database, file, gazetteer=Gazetteer(settings.gazetteer), dry_run=False, now=now()
        )
    with (folder / "events.ics").open("rb") as file:
        imports.import_events(
            database, file, publishing=publishing_of(settings), now=now(), shift_to=date.today(), branch=None
        )
    with (folder / "news.json").open("rb") as file, database.writing() as session:
        news.bring(session, file, now())


def _demo_people(settings: Settings, database: Database) -> list[tuple[str, str]]:
    with database.writing() as session:
        organizer = sign_in.find_or_add(session, DEMO_ORGANIZER, now())
        permissions.invite(session, organizer, queries.here(session, DEMO_BRANCH), Role.ORGANIZER)
        madrid = session.exec(
            select(Branch).where(col(Branch.city) == "Madrid").order_by(col(Branch.slug))
        ).first()
        permissions.invite(session, organizer, madrid, Role.ORGANIZER)
        admin = sign_in.find_or_add(session, DEMO_ADMIN, now())
        permissions.invite(session, admin, None, Role.ADMIN)
        return [
            (
                "organizer",
                _sign_in_link(settings, sign_in.make_link(session, organizer, Purpose.SIGN_IN, now())),
            ),
            ("admin", _sign_in_link(settings, sign_in.make_link(session, admin, Purpose.SIGN_IN, now()))),
        ]


# ---------------------------------------------------------------- data in and out


def places_build(settings: Settings, options: argparse.Namespace) -> int:
    gazetteer.build(
        settings.gazetteer,
        now(),
        countries=options.countries,
        min_population=options.min_population,
        progress=True,
    )
    return 0


def places_import(settings: Settings, options: argparse.Namespace) -> int:
    reports = gazetteer.import_postal(settings.gazetteer, options.files, now(), progress=True)
    for report in reports:
        for refusal in report.refusals:
            print(f"{report.name}: row {refusal.row}: {refusal.reason}", file=sys.stderr)
        print(f"{report.name}: {report.rows - report.refused} codes in, {report.refused} refused")
    return 1 if any(report.refused for report in reports) else 0


def branches_import(settings: Settings, options: argparse.Namespace) -> int:
    with (
        ready_database(settings) as database,
        input_file(options.file) as file,
        progress_bar("branches") as bar,
    ):
        report = exchange.import_branches(
            database,
            file,
            mapping=dict(options.map),
            country=options.country.upper(),
            gazetteer=Gazetteer(settings.gazetteer),
            dry_run=options.dry_run,
            now=now(),
            progress=bar.update,
        )
        if not options.dry_run:
            _refresh_events(settings, database)
            with database.writing() as session:  # feeds name their branch, and say when it has closed
                moves.move_revision(session, now())
    for note in report.notes:
        print(note)
    return _reported(report.added, report.updated, report.unchanged, report.refusals, options.dry_run)


def branches_export(settings: Settings, options: argparse.Namespace) -> int:
    with (
        ready_database(settings) as database,
        database.reading() as session,
        output_file(options.file) as out,
    ):
        out.writelines(line.encode() for line in exchange.export_lines(session))
    return 0


def events_import(settings: Settings, options: argparse.Namespace) -> int:
    with (
        ready_database(settings) as database,
        input_file(options.file) as file,
        progress_bar("events") as bar,
    ):
        report = imports.import_events(
            database,
            file,
            publishing=publishing_of(settings),
            now=now(),
            shift_to=options.shift_to,
            branch=options.branch,
            dry_run=options.dry_run,
            progress=bar.update,
        )
    return _reported(report.added, report.updated, report.unchanged, report.refusals, options.dry_run)


def events_export(settings: Settings, options: argparse.Namespace) -> int:
    with ready_database(settings) as database, database.reading() as session:
        body = imports.export_events(session, publishing_of(settings), settings.name)
        with output_file(options.file) as out:
            out.writelines(body)
    return 0


def events_recompute(settings: Settings, options: argparse.Namespace) -> int:
    """The worker does the same by itself; this says beforehand what would change."""
    number = 0
    with ready_database(settings) as database:
        with database.reading(in_transaction=True) as session:
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
    with ready_database(settings) as database, database.writing() as session:
        branch = _branch(session, options.branch) if options.branch else None
        if branch is None and role is not Role.ADMIN:
            raise ConfigurationError(say("Please name the branch with --branch SLUG (or give --role admin)."))
        person = sign_in.find_or_add(session, email, now())
        permissions.invite(session, person, branch, role)
        if password is not None:
            sign_in.set_password(session, person, password)
        token = sign_in.make_link(
            session, person, Purpose.SIGN_IN, now(), lifetime=OneTimeLink.INVITATION_LIFETIME
        )
    print(_sign_in_link(settings, token))
    return 0


def people_export(settings: Settings, options: argparse.Namespace) -> int:
    with ready_database(settings) as database, database.reading() as session:
        about = holding.whom(session, options.email)
        found = holding.held(session, about)
    found["mails that are files"] = [str(path) for path in files_naming(settings.mail_dir, about.spellings)]
    with output_file(None) as out:
        out.write(json.dumps(found, indent=2, ensure_ascii=False, default=str).encode() + b"\n")
    return 0


def people_remove(settings: Settings, options: argparse.Namespace) -> int:
    """Counts first, and asks; `--dry-run` does no more than count."""
    if not (options.yes or options.dry_run or sys.stdin.isatty()):
        raise ConfigurationError(say("Nothing has been removed: add --yes to remove it without being asked."))
    with ready_database(settings) as database:
        about, would, files = _to_be_removed(settings, database, options.email)
        _print_removed(would, len(files))
        if options.dry_run or ((would or files) and not _confirmed(options, about.email)):
            print("Nothing has been changed.")
            return 0
        with database.writing() as session:
            holding.remove(session, about)
        for path in files:
            path.unlink(missing_ok=True)
        _leave_no_trace(database)
        with database.reading() as session:
            _print_left(about, holding.left(session, about))
    return 0


def _to_be_removed(
    settings: Settings, database: Database, email: str
) -> tuple[Whom, list[holding.Removed], list[Path]]:
    """Tried in a transaction that is taken back: what is counted is what would happen."""
    with database.reading() as session:
        about = holding.whom(session, email)
    would: list[holding.Removed] = []
    with contextlib.suppress(_TakenBack), database.writing() as session:
        would = holding.remove(session, about)
        raise _TakenBack
    return about, would, list(files_naming(settings.mail_dir, about.spellings))


class _TakenBack(Exception):
    """Leaves a transaction without keeping what it did."""


def _confirmed(options: argparse.Namespace, email: str) -> bool:
    """Nobody removes a person by a slip."""
    if options.yes:
        return True
    print(f"Remove all that is held about {email}? Type yes: ", end="", flush=True)
    return sys.stdin.readline().strip().lower() == "yes"


def _print_removed(removed: list[holding.Removed], files: int) -> None:
    for one in removed:
        print(f"{one.number:6} {one.kind}: {'stays for others, without the person' if one.stay else 'goes'}")
    if files:
        print(f"{files:6} mails that are files: goes")


def _leave_no_trace(database: Database) -> None:
    """Bytes of removed rows lie about in a log and in statistics until somebody clears them away."""
    database.take_stock()
    if not database.is_sqlite:
        print("PostgreSQL keeps removed rows in its files until the next VACUUM, and in its logs for longer.")
    elif not database.empty_log(EMPTY_WITHIN_S):
        print("Somebody is reading: SQLite's log still has it, until the worker empties it within the hour.")


def _print_left(about: Whom, left: list[Mention]) -> None:
    print(f"Nothing is held about {about.email} any more.")
    if left:
        print("Others have written the address into these texts; change them where they are edited:")
    for mention in left:
        print(f"  {mention}")
    print("Backups that were made before still have it: let them run out, or make a new one and remove them.")


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
            more = derived.refresh(session, publishing_of(settings), now())


def _sign_in_link(settings: Settings, token: str) -> str:
    return f"{settings.public_url}/sign-in/{token}"
