"""Two processes that bring an old database to the newest schema are killed in the middle: nothing is lost or half done.

The old database holds what a new one does, as far as it knows it. Afterwards `branchline migrate` must succeed, and
each table must have the rows that it had.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from bench._load import engines, figure
from bench._processes import ROOT
from bench._synthetic import fill
from events import migrations
from events.db import Database

OLD = "0003"  # the step of the schema that is migrated from


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=20, help="on each engine")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")


def run(options: argparse.Namespace) -> bool:
    with tempfile.TemporaryDirectory() as folder, engines(options.database, Path(folder)) as found:
        return all([_killed(Path(folder) / name, empty, options.rounds) for name, empty in found.items()])


def _killed(data: Path, empty: Callable[[str], str], rounds: int) -> bool:
    data.mkdir()
    newest = Database(empty("newest"), size=1)
    migrations.upgrade(newest)
    fill(newest, branches=200, events=2000)
    lost, half, failed, done_already = 0, 0, 0, 0
    whole_s = _undisturbed(data, newest, empty("whole"))
    for number in range(rounds):
        old = Database(empty(f"old{number}"), size=1)
        before = _copied(newest, old)
        _kill_two(data, old.url, random.uniform(0.3, 1.1) * whole_s)
        done_already += _is_newest(old)
        half += not (_step(old) == OLD or _is_newest(old))
        done = _migrating(data, old.url)
        failed += done.wait(120) != 0 or not _is_newest(old)
        lost += _rows(old, before) != before
        old.dispose()
    newest.dispose()
    name = newest.engine.dialect.name
    print(f"{name}: {whole_s:.1f} s undisturbed; of {rounds} that were killed, {done_already} were through")
    return all(
        [
            figure(f"{name}: schemas between two steps, of {rounds}", str(half), "0", not half),
            figure(f"{name}: migrations that failed afterwards", str(failed), "0", not failed),
            figure(f"{name}: databases that lost a row", str(lost), "0", not lost),
        ]
    )


def _undisturbed(data: Path, newest: Database, url: str) -> float:
    """How long it takes, so that it is killed in the middle."""
    old = Database(url, size=1)
    _copied(newest, old)
    old.dispose()
    began = time.monotonic()
    _migrating(data, url).wait()
    return time.monotonic() - began


def _kill_two(data: Path, url: str, after_s: float) -> None:
    both = [_migrating(data, url) for _ in range(2)]
    time.sleep(after_s)
    for one in both:
        one.kill()
        one.wait()


def _migrating(data: Path, url: str) -> subprocess.Popen[bytes]:
    environment = {
        "BRANCHLINE_DATA_DIR": str(data),
        "BRANCHLINE_DATABASE_URL": url,
        "PATH": os.environ["PATH"],
    }
    with (data / "migrate.log").open("a") as log:
        line = [sys.executable, "-m", "events", "migrate"]
        return subprocess.Popen(line, cwd=ROOT, env=environment, stdout=log, stderr=log)


def _copied(newest: Database, old: Database) -> Mapping[str, int]:
    """An old database with what the new one holds as far as it knows it; how many rows each table has."""
    steps = Config()
    steps.set_main_option("script_location", str(migrations.STEPS.parent))
    with old.for_writing.begin() as connection, newest.engine.connect() as reading:
        steps.attributes["connection"] = connection
        command.upgrade(steps, OLD)
        there, known = sa.MetaData(), sa.MetaData()
        known.reflect(reading)
        there.reflect(connection, only=lambda name, _: name in known.tables and "_spot" not in name)
        for table in there.sorted_tables:
            if table.name != migrations.ALEMBICS:
                _copy(table, known.tables[table.name], reading, connection)
        names = [table.name for table in there.sorted_tables if table.name != migrations.ALEMBICS]
    return _rows(old, names)


def _copy(table: sa.Table, source: sa.Table, reading: sa.Connection, writing: sa.Connection) -> None:
    missing = {
        column.name: {str: "", datetime: datetime(2026, 1, 1)}.get(column.type.python_type, 0)
        for column in table.columns
        if column.name not in source.columns and not column.nullable and column.server_default is None
    }
    both = [source.columns[column.name] for column in table.columns if column.name in source.columns]
    rows = [{**row._mapping, **missing} for row in reading.execute(sa.select(*both))]
    if rows:
        writing.execute(table.insert(), rows)


def _rows(database: Database, names: Iterable[str]) -> Mapping[str, int]:
    with database.reading() as session:
        count = session.connection().exec_driver_sql
        return {name: count(f'SELECT count(*) FROM "{name}"').scalar_one() for name in names}  # noqa: S608


def _step(database: Database) -> str:
    with database.reading() as session:
        found: str = (
            session.connection().exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()
        )
        return found


def _is_newest(database: Database) -> bool:
    with database.reading() as session:
        return migrations.is_newest(session.connection())
