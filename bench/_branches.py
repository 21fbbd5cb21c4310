"""Databases full of branches from a file, by the importer, and where branches are made up: at postal codes."""

import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from bench._synthetic import Site
from events import migrations
from events.branches.exchange import import_branches
from events.db import Database
from events.places.gazetteer import read_only
from events.places.geo import Point
from events.places.lookup import Gazetteer

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def imported(
    folder: Path, file: Path, columns: Mapping[str, str], country: str, places: Gazetteer
) -> Database:
    """By the importer, as an operator does it."""
    database = opened(folder / f"{country}.db")
    begun = time.perf_counter()
    with file.open("rb") as stream:
        report = import_branches(
            database, stream, mapping=columns, country=country, gazetteer=places, dry_run=False, now=NOW
        )
    taken = time.perf_counter() - begun
    print(f"{file.name}: {report.added} branches in {taken:.0f} s, {len(report.refusals)} rows refused")
    return database


def opened(path: Path) -> Database:
    database = Database(f"sqlite:///{path}", size=1)
    migrations.upgrade(database)
    return database


def us_codes(gazetteer: Gazetteer) -> list[tuple[str, str, str, float, float]]:
    with closing(read_only(gazetteer.path)) as places:
        query = "SELECT code, place, region, latitude, longitude FROM postal WHERE country = 'US'"
        return places.execute(f"{query} AND latitude IS NOT NULL AND region <> '' ORDER BY key").fetchall()


def us_sites(gazetteer: Gazetteer) -> list[Site]:
    """Where branches are made up around the postal codes of the US, as many at each, so that they crowd where people
    do."""
    return [
        Site(town, region, code, "US", "America/Chicago", Point(latitude, longitude))
        for code, town, region, latitude, longitude in us_codes(gazetteer)
    ]
