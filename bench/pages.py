"""What pages cost that anybody may read, against the least that can be done.

uncached  made anew at each request, against a plain `def` route that renders fifty rows from memory
cached    from memory (whole, compressed, unchanged), against a bare route that answers the same; a static file too
queries   how many each page asks the database

usage: ./dev bench pages [--only uncached] [--database sqlite] [--seconds 3] [--rounds 5] [--branches N] [--events N]

Both sides of each ratio take turns in one run: A B A B …; rates are medians, ratios the medians of what each round
gave. Load is made by wrk with 16 connections and one server process; what is cached is asked for from a core of its
own. Pages are made anew because a parameter that nobody knows is another one each time. Data are made up, in a
temporary directory and in a throw-away PostgreSQL. Ends with 1 when a figure misses its target.
"""

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlmodel import select
from starlette.testclient import TestClient

from bench._bare import against_bare, fifty_rows_rendered
from bench._load import Target, ask, compared, engines, figure, heading, row, site
from bench._synthetic import PUBLISHING, fill
from events import migrations
from events.app import create_app
from events.branches.models import Branch
from events.config import Settings
from events.db import Database
from tests.small_gazetteer import build_small
from tests.smtp_sink import free_port

UNCACHED, CACHED = 0.3, 0.7
MEASURED = ("branch", "events")  # these have targets
GZIP = {"Accept-Encoding": "gzip"}
NO_MARK = "none"
STYLES = re.compile(r'href="(/static/css/[^"]+)"')
# Where the sites of this bench listen: their events name it.
PORT = free_port()
HERE = replace(PUBLISHING, base_url=f"http://localhost:{PORT}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=PARTS, action="append", help="may be said several times")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--seconds", type=float, default=3, help="of each run of wrk")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each side")
    parser.add_argument("--branches", type=int, default=1000)
    parser.add_argument("--events", type=int, default=20_000)
    options = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory() as folder, engines(options.database, Path(folder)) as found:
        for engine, empty in found.items():
            print(f"\n{engine}, {options.branches} branches, {options.events} events, {os.cpu_count()} cores")
            ground = prepared(Path(folder) / engine, empty("pages"), options)
            for part in options.only or PARTS:
                good &= PARTS[part](ground)
    return 0 if good else 1


@dataclass(frozen=True, slots=True)
class Ground:
    """A database that is filled, a data directory with a small directory of places, and pages by name."""

    data: Path
    url: str
    pages: Mapping[str, str]
    seconds: float
    rounds: int


def prepared(data: Path, url: str, options: argparse.Namespace) -> Ground:
    data.mkdir()
    build_small(data).rename(data / "places.db")
    database = Database(url, size=1)
    migrations.upgrade(database)
    fill(database, branches=options.branches, events=options.events, publishing=HERE)
    with database.reading() as session:
        branch = session.exec(select(Branch).limit(1)).one()
    database.dispose()
    pages = {
        "branch": f"/branches/{branch.slug}",
        "events": "/events",
        "home": "/",
        "month": f"/calendar/{datetime.now(UTC):%Y/%m}",
        "event": "/events/1",
        "results": "/branches?near=60614",
        "branches": "/branches",
    }
    return Ground(data, url, pages, options.seconds, options.rounds)


def served(ground: Ground, pinned: bool) -> AbstractContextManager[str]:
    return site(ground.data, ground.url, port=PORT, pinned=pinned, BRANCHLINE_NAME=HERE.organisation)


# ---------------------------------------------------------------- made anew


def uncached(ground: Ground) -> bool:
    heading("anew/s", "def/s")
    good = True
    with served(ground, pinned=False) as address, fifty_rows_rendered() as theirs:
        for name, path in ground.pages.items():
            found = compared(Target.never_twice(address + path), theirs, ground.seconds, ground.rounds)
            good &= row(f"{name}, made anew", found, UNCACHED if name in MEASURED else None)
    return good


# ---------------------------------------------------------------- from memory


def cached(ground: Ground) -> bool:
    heading()
    good = True
    with served(ground, pinned=True) as address:
        for name, path in ground.pages.items():
            target = Target(address + path, pinned=True)
            if name not in MEASURED:
                good &= from_memory(ground, name, target, None)
                continue
            for way, asked in ways_to_ask(target).items():
                good &= from_memory(ground, f"{name}{way}", asked, CACHED)
        good &= static(ground, address)
    return good


def from_memory(ground: Ground, name: str, target: Target, least: float | None) -> bool:
    if target.status == 304 and target.headers["If-None-Match"] == NO_MARK:
        return figure(name, "no ETag", f">= {CACHED:g}", False)
    said = f"{name} ({len(ask(target).body):,} bytes)" if target.status == 200 else name
    return against_bare(said, target, least, ground.seconds, ground.rounds)


def ways_to_ask(target: Target) -> dict[str, Target]:
    """Whole, compressed, and by who has it already."""
    known = ask(target).headers.get("etag", NO_MARK)
    return {
        "": target,
        ", gzip": replace(target, headers=GZIP),
        ", unchanged (304)": replace(target, headers={"If-None-Match": known}, status=304),
    }


def static(ground: Ground, address: str) -> bool:
    """The sheet of styles that all pages name."""
    found = STYLES.search(ask(Target(address + "/")).body.decode())
    assert found is not None
    good = True
    file = Target(address + found[1], pinned=True)
    for way, target in {"": file, ", gzip": replace(file, headers=GZIP)}.items():
        good &= from_memory(ground, f"static file{way}", target, CACHED)
    return good


# ---------------------------------------------------------------- what is asked of the database


def queries(ground: Ground) -> bool:
    """In this process: what an application asks for a page that it has answered before, and answers anew."""
    settings = Settings(
        data_dir=ground.data, database_url=ground.url, secret_key="bench", name=HERE.organisation, port=PORT
    )
    app = create_app(replace(settings, rate_limits=False))
    with TestClient(app, base_url=HERE.base_url) as client:
        for name, path in ground.pages.items():
            joint = "&" if "?" in path else "?"
            client.get(path)
            with counted(app.state.branchline.database.engine) as asked:
                size = len(client.get(f"{path}{joint}_=1").raise_for_status().content)
            figure(f"queries of {name} ({size:,} bytes)", str(len(asked)))
    return True


@contextmanager
def counted(engine: sa.Engine) -> Iterator[list[str]]:
    """The statements that are executed meanwhile, BEGIN not among them."""
    asked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        if not statement.startswith("BEGIN"):
            asked.append(statement)

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


PARTS: dict[str, Callable[[Ground], bool]] = {"uncached": uncached, "cached": cached, "queries": queries}

if __name__ == "__main__":
    sys.exit(main())
