"""Databases full of branches: from a file, by the importer, or made up around the postal codes of the US."""

import random
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from events import migrations
from events.branches.exchange import import_branches
from events.branches.models import Branch
from events.db import Database, table_of
from events.places.gazetteer import read_only
from events.places.geo import Point
from events.places.lookup import Gazetteer
from events.places.naming import code_key, fold

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
CHUNK = 10_000


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


def made_up(path: Path, gazetteer: Gazetteer, count: int) -> Database:
    """Branches strewn around the ZIPs of the US, some at each, so that they crowd where people do."""
    database = opened(path)
    chance, codes = random.Random(7), us_codes(gazetteer)
    for begin in range(0, count, CHUNK):
        numbers = range(begin, min(begin + CHUNK, count))
        with database.writing() as session:
            rows = [made_up_row(number, *codes[number % len(codes)], chance) for number in numbers]
            session.connection().execute(table_of(Branch).insert(), rows)
    return database


def made_up_row(
    number: int, code: str, town: str, region: str, latitude: float, longitude: float, chance: random.Random
) -> dict[str, Any]:
    name = f"{town} {number}"
    point = Point(latitude + chance.gauss(0, 0.03), longitude + chance.gauss(0, 0.03))
    x, y, z = point.ecef()
    return {
        **{"slug": f"b{number}", "name": name, "search_key": fold(name), "name_key": fold(name)},
        **{"city_key": fold(town), "code_key": code_key(code)},
        **{"city": town, "state_province": region, "postal_code": code, "country": "US"},
        **{"latitude": point.latitude, "longitude": point.longitude, "x": x, "y": y, "z": z},
        **{"geocode_accuracy": "exact", "timezone": "America/Chicago", "updated_at": NOW},
    }
