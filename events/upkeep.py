"""The commands of whoever keeps an installation running. Each takes the settings and its options and returns an exit
status."""

import argparse
import http.client
import sys
from dataclasses import replace
from pathlib import Path

from .backups import making, restoring
from .config import Settings, database_url
from .doctor import ERROR, examine
from .errors import Unavailable, say
from .limits import Limit
from .migrations.move import move as move_everything
from .server import opened
from .terminal import now, output_file
from .web.endpoints import Declared, declared
from .web.routes import routes as table_of_routes

STANDARD_OUTPUT = "-"


def migrate(settings: Settings, options: argparse.Namespace) -> int:
    with opened(settings) as database:
        _say(making.upgrade(settings, database, now()))
    return 0


def move(settings: Settings, options: argparse.Namespace) -> int:
    target_url = database_url(options.to_url)
    with opened(settings) as source, opened(replace(settings, database_url=target_url)) as target:
        _say(making.upgrade(settings, source, now()))
        copied = move_everything(source, target)
    print(f"{sum(copied.values())} rows in {len(copied)} tables copied and counted.")
    return 0


def backup(settings: Settings, options: argparse.Namespace) -> int:
    asked = {"with_secrets": options.with_secrets, "now": now()}
    with opened(settings) as database:
        if options.file == STANDARD_OUTPUT:
            made = making.back_up_to_pipe(settings, database, sys.stdout.buffer, **asked)
        else:
            made = making.back_up(settings, database, Path(options.file), **asked)
    _say(f"{sum(made.rows.values())} rows and {sum(one.size for one in made.members):,} bytes backed up.")
    return 0


def restore(settings: Settings, options: argparse.Namespace) -> int:
    for sentence in restoring.told(restoring.restore(settings, options.file, now())):
        print(sentence)
    return 0


def _say(text: str) -> None:
    """Beside what goes to standard output."""
    if text:
        print(text, file=sys.stderr)


def doctor(settings: Settings, options: argparse.Namespace) -> int:
    """A line for each finding; 1 when one is an error."""
    status = 0
    for finding in examine(settings, now()):
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
    with output_file(None) as out:
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
