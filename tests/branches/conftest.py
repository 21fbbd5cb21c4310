"""A place directory of a few towns and codes, built as the large one is."""

import bz2
import gzip
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from events.db import Database
from events.places import packages
from events.places.gazetteer import build_from
from events.places.lookup import Gazetteer
from tests.conftest import Engines

TOWNS = (
    # name, country, admin1, latitude, longitude, population, zone
    ("Chicago", "US", "IL", 41.85003, -87.65005, 2_696_555, "America/Chicago"),
    ("Springfield", "US", "IL", 39.80172, -89.64371, 114_394, "America/Chicago"),
    ("Springfield", "US", "MA", 42.10148, -72.58981, 155_929, "America/New_York"),
    ("Madrid", "ES", "29", 40.4165, -3.70256, 3_255_944, "Europe/Madrid"),
)
CODES = (
    ("US", "60614", 41.9227, -87.6533, "Chicago", "Illinois"),
    ("US", "01101", 42.106, -72.5977, "Springfield", "Massachusetts"),
    ("DE", "60614", 50.1, 8.7, "Frankfurt", "Hessen"),
    ("ES", "28004", 40.4274, -3.6986, "Madrid", "Madrid"),
)


def _towns() -> dict[str, dict[str, object]]:
    columns = ("name", "countrycode", "admin1code", "latitude", "longitude", "population", "timezone")
    return {
        str(number): {"geonameid": number, "alternatenames": [], **dict(zip(columns, town, strict=True))}
        for number, town in enumerate(TOWNS, 1)
    }


def _codes() -> bytes:
    columns = ("country_code", "postal_code", "latitude", "longitude", "city", "state")
    rows = ({**dict(zip(columns, code, strict=True)), "accuracy": "4"} for code in CODES)
    return gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())


@pytest.fixture(scope="session")
def gazetteer(tmp_path_factory: pytest.TempPathFactory) -> Gazetteer:
    folder: Path = tmp_path_factory.mktemp("places")
    with zipfile.ZipFile(folder / "packages.zip", "w") as archive:
        archive.writestr(packages.CITIES, json.dumps(_towns()))
        archive.writestr(
            packages.STATES, json.dumps({"IL": {"name": "Illinois"}, "MA": {"name": "Massachusetts"}})
        )
        archive.writestr(packages.COUNTRIES, json.dumps({"US": {"population": 327167434}}))
        archive.writestr(packages.POSTAL, _codes())
        archive.writestr(packages.ZIPS, bz2.compress(b"[]"))
    build_from([folder / "packages.zip"], folder / "places.db", now=datetime(2026, 11, 23, tzinfo=UTC))
    return Gazetteer(folder / "places.db")


@pytest.fixture(params=["sqlite", "postgresql"])
def engines_pair(request: pytest.FixtureRequest, engines: Engines) -> Iterator[tuple[Database, Database]]:
    """Two empty databases of the same engine."""
    here, there = (Database(engines.fresh_url(request.param), size=2) for _ in range(2))
    yield here, there
    for database in (here, there):
        database.dispose()
        engines.give_back(database.url)
