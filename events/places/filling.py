"""Filling the place directory: from the rows of packages and files to places, codes, regions and their keys."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, TypeVar

from ..later import loaded_later
from .centres import areas, centre, reaches
from .geo import Distance, Point, cell, great_circle
from .naming import (
    REGION_LETTERS,
    US_TERRITORIES,
    country_keys,
    country_name,
    fold,
    home,
    is_military,
    postal_home,
    postal_key,
    shape,
)
from .packages import Packages, PostalRow
from .readings import SAME_TOWN_KM
from .spelling import SHORTEST, buckets
from .towns import INDEXES as TOWN_INDEXES
from .towns import weight

if TYPE_CHECKING:
    import tqdm
else:
    tqdm = loaded_later("tqdm")

CREDITS = "GeoNames (geonames.org), CC BY 4.0"
BUILT, IMPORTED = "packages", "import"  # postal.source; a new build keeps what was imported
SCHEMA = """
CREATE TABLE place (id INTEGER PRIMARY KEY, name TEXT NOT NULL, country TEXT NOT NULL, admin1 TEXT NOT NULL,
  latitude REAL NOT NULL, longitude REAL NOT NULL, population INTEGER NOT NULL, timezone TEXT NOT NULL,
  weight INTEGER NOT NULL, cell INTEGER);
CREATE TABLE alias (key TEXT NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (key, place)) WITHOUT ROWID;
CREATE TABLE half (bucket INTEGER NOT NULL, key TEXT NOT NULL, PRIMARY KEY (bucket, key)) WITHOUT ROWID;
CREATE TABLE postal (key TEXT NOT NULL, country TEXT NOT NULL, code TEXT NOT NULL,
  latitude REAL, longitude REAL, place TEXT NOT NULL, region TEXT NOT NULL,
  precision_km REAL NOT NULL, source TEXT NOT NULL, cell INTEGER);
CREATE TABLE country (code TEXT PRIMARY KEY, population INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE country_key (key TEXT NOT NULL, country TEXT NOT NULL, PRIMARY KEY (key, country)) WITHOUT ROWID;
CREATE TABLE region (country TEXT NOT NULL, code TEXT NOT NULL, name TEXT NOT NULL,
  PRIMARY KEY (country, code)) WITHOUT ROWID;
CREATE TABLE region_key (key TEXT NOT NULL, country TEXT NOT NULL, code TEXT NOT NULL,
  PRIMARY KEY (key, country, code)) WITHOUT ROWID;
CREATE TABLE area (country TEXT NOT NULL, code TEXT NOT NULL, latitude REAL NOT NULL, longitude REAL NOT NULL,
  precision_km REAL NOT NULL, population INTEGER NOT NULL, PRIMARY KEY (country, code)) WITHOUT ROWID;
CREATE TABLE shape (shape TEXT NOT NULL, country TEXT NOT NULL, example TEXT NOT NULL, codes INTEGER NOT NULL,
  PRIMARY KEY (shape, country)) WITHOUT ROWID;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
# Made when a build's rows are in: sorting once is quicker than keeping order.
POSTAL_INDEXES = (
    "CREATE UNIQUE INDEX IF NOT EXISTS postal_key ON postal (key, country)",
    "CREATE INDEX IF NOT EXISTS postal_cell ON postal (cell)",
)
POINTS = "SELECT latitude, longitude FROM postal WHERE country = ? AND latitude IS NOT NULL"
ADD_AREA = "INSERT INTO area VALUES (?, ?, ?, ?, ?, ?)"
KEYS = "SELECT DISTINCT key FROM alias WHERE length(key) >= ?"
PLACES_BY_AREA = "SELECT country, admin1, latitude, longitude, population FROM place ORDER BY country, admin1"
# The forms of each country's codes, with a real one of each: a typed code of no such form is none.
SHAPES = """
INSERT OR REPLACE INTO shape
SELECT shape(key), country, max(code), count(*) FROM postal GROUP BY shape(key), country
"""
POSTAL_TOWNS = """
SELECT country, code, latitude, longitude, place, region FROM postal
WHERE latitude IS NOT NULL AND place <> '' AND place NOT GLOB '*[0-9]*' ORDER BY country, region, place
"""
PLACES_CALLED = """
SELECT latitude, longitude FROM alias JOIN place ON place.id = alias.place WHERE key = ? AND country = ?
"""
ADD_TOWN = "INSERT INTO place VALUES (NULL, ?, ?, ?, ?, ?, 0, '', 0, NULL)"
SAME_TOWN = Distance(SAME_TOWN_KM)
ADD_CODE = "INSERT OR REPLACE INTO postal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
STAGING = """
CREATE TEMP TABLE staged (country, key, code, latitude, longitude, place, region, accuracy);
CREATE TEMP TABLE staged_alias (key, place);
CREATE TEMP TABLE named (name, country, admin1, latitude, longitude);
CREATE INDEX temp.named_name ON named (name, country);
"""
# A region is called what most postal rows say of the places that GeoNames puts into it.
REGION_NAMES = """
INSERT OR IGNORE INTO region
SELECT country, admin1, region FROM (
  SELECT named.country, admin1, region,
    row_number() OVER (PARTITION BY named.country, admin1 ORDER BY count(*) DESC, region) AS rank
  FROM postal CROSS JOIN named ON named.name = postal.place AND named.country = postal.country
  WHERE region <> '' AND admin1 <> ''
    AND abs(named.latitude - postal.latitude) < 0.3 AND abs(named.longitude - postal.longitude) < 0.5
  GROUP BY named.country, admin1, region)
WHERE rank = 1
"""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Choice:
    """What of the packages goes in. `countries` (ISO 3166-1 alpha-2): None is all of them."""

    countries: frozenset[str] | None
    min_population: int
    progress: bool

    @classmethod
    def of(cls, countries: Sequence[str] | None, min_population: int, progress: bool) -> "Choice":
        wanted = frozenset(home(country.upper()) for country in countries) if countries else None
        return cls(wanted, min_population, progress)

    def holds(self, country: str) -> bool:
        return self.countries is None or home(country) in self.countries


def create(database: sqlite3.Connection) -> None:
    database.executescript(SCHEMA)
    database.executemany("INSERT OR IGNORE INTO country_key VALUES (?, ?)", country_keys())
    for code, name in US_TERRITORIES.items():
        database.execute("INSERT INTO region VALUES ('US', ?, ?)", (code, name))
        keys = {fold(code), fold(name), *(fold(country_name(code, locale)) for locale in ("en", "es"))}
        database.executemany("INSERT INTO region_key VALUES (?, 'US', ?)", [(key, code) for key in keys])


def fill(database: sqlite3.Connection, packages: Packages, choice: Choice) -> None:
    states = packages.us_states()
    database.executemany("INSERT INTO country VALUES (?, ?)", packages.populations().items())
    database.executemany("INSERT INTO region VALUES ('US', ?, ?)", states.items())
    _add_places(database, packages, choice)
    _add_codes(database, packages, states, choice)
    settle(database, BUILT, choice.progress)
    index_codes(database)
    _name_regions(database)
    if not choice.min_population:  # nobody has counted who lives there
        _add_postal_towns(database, choice.progress)
    halves = ((bucket, key) for (key,) in database.execute(KEYS, (SHORTEST,)) for bucket in buckets(key))
    database.executemany("INSERT INTO half VALUES (?, ?)", sorted(halves))
    database.executemany(ADD_AREA, areas(database.execute(PLACES_BY_AREA)))


def _add_places(database: sqlite3.Connection, packages: Packages, choice: Choice) -> None:
    for place in counted(packages.places(), "Places", 235_000, choice.progress):
        if not choice.holds(place.country) or place.population < choice.min_population:
            continue
        country = home(place.country)
        admin1 = place.admin1 if country == place.country else place.country
        keys = {fold(name) for name in (place.name, *place.other_names) if len(name) > 1} - {""}
        seen = weight(place.population, len(keys)), cell(Point(place.latitude, place.longitude))
        database.execute(
            "INSERT INTO place VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (place.id, place.name, country, admin1, *place[4:8], *seen),
        )
        database.executemany("INSERT INTO staged_alias VALUES (?, ?)", [(key, place.id) for key in keys])
    database.execute("INSERT INTO alias SELECT DISTINCT key, place FROM staged_alias ORDER BY key, place")
    for statement in TOWN_INDEXES:
        database.execute(statement)


def _add_codes(
    database: sqlite3.Connection, packages: Packages, states: dict[str, str], choice: Choice
) -> None:
    """GeoNames' codes, then those of the US that only the other list has. Military ones lose their place."""
    regions = {**states, **US_TERRITORIES, "AA": "", "AE": "", "AP": ""}  # the last three are military
    zips = {row.code: row for row in packages.zips() if row.region in regions}
    nowhere = {code for code, row in zips.items() if is_military(row.place)}
    seen = set()

    def rows() -> Iterator[PostalRow]:
        for row in counted(packages.postal_rows(), "Postal codes", 1_827_000, choice.progress):
            if choice.holds(row.country):
                if home(row.country) == "US":
                    seen.add(row.code)
                yield zips[row.code] if row.country == "US" and row.code in nowhere else row

    stage(database, rows())
    if choice.holds("US"):
        missing = (row for row in zips.values() if row.code not in seen)
        stage(database, (row._replace(region=regions[row.region]) for row in missing))


def stage(database: sqlite3.Connection, rows: Iterable[PostalRow]) -> None:
    database.executemany("INSERT INTO staged VALUES (?, ?, ?, ?, ?, ?, ?, ?)", map(_staged, rows))


def _staged(row: PostalRow) -> tuple[object, ...]:
    key, point = postal_key(row.country, row.code), (row.latitude, row.longitude)
    country, region = postal_home(row.country, key), US_TERRITORIES.get(row.country, row.region)
    if country == "US" and is_military(row.place):
        point, region = (None, None), ""
    return country, key, row.code, *point, row.place, region, row.accuracy


def settle(database: sqlite3.Connection, source: str, progress: bool) -> None:
    """From staged rows to one row for each code, one country at a time."""
    staged = database.execute("SELECT * FROM staged ORDER BY country, key, latitude, longitude, place")
    for country, rows in counted(groupby(staged, itemgetter(0)), "Countries", None, progress):
        groups = groupby(rows, itemgetter(1))
        codes = {key: [PostalRow(country, *row[2:]) for row in same] for key, same in groups}
        others = database.execute(POINTS, (country,)).fetchall() if source == IMPORTED else []
        database.executemany(ADD_CODE, _settled(codes, source, others))


def _add_postal_towns(database: sqlite3.Connection, progress: bool) -> None:
    """Villages that only the postal codes name."""
    regions = {(country, name): code for country, code, name in database.execute("SELECT * FROM region")}
    rows = [PostalRow(*row) for row in database.execute(POSTAL_TOWNS)]
    towns = groupby(rows, lambda row: (row.country, row.region, row.place))
    for (country, region, name), same in counted(towns, "Towns by their codes", None, progress):
        key = fold(name)
        point, _, _ = centre(list(same))
        known = database.execute(PLACES_CALLED, (key, country))
        if len(key) < 2 or any(great_circle(point, Point(*at)) < SAME_TOWN for at in known):
            continue
        place = (name, country, regions.get((country, region), ""), point.latitude, point.longitude)
        number = database.execute(ADD_TOWN, place).lastrowid
        database.execute("INSERT INTO alias VALUES (?, ?)", (key, number))


def index_codes(database: sqlite3.Connection) -> None:
    for statement in POSTAL_INDEXES:
        database.execute(statement)


def note_shapes(database: sqlite3.Connection) -> None:
    database.create_function("shape", 1, shape, deterministic=True)
    database.execute(SHAPES)


def _settled(
    codes: dict[str, list[PostalRow]], source: str, others: Iterable[tuple[float, float]]
) -> Iterator[tuple[object, ...]]:
    centres = {}
    for key, rows in codes.items():
        if located := [row for row in rows if row.latitude is not None]:
            centres[key] = centre(located)
        else:
            row = rows[0]
            yield key, row.country, row.code, None, None, row.place, row.region, 0.0, source, None
    widths = reaches([point for point, _, _ in centres.values()], others)
    for (key, (point, spread, named)), reach in zip(centres.items(), widths, strict=True):
        precision = round(max(spread, reach).km, 1)
        at = (point.latitude, point.longitude)
        yield key, named.country, named.code, *at, named.place, named.region, precision, source, cell(point)


def _name_regions(database: sqlite3.Connection) -> None:
    database.execute("INSERT INTO named SELECT name, country, admin1, latitude, longitude FROM place")
    database.execute(REGION_NAMES)
    letters = {
        (country, fold(name)): fold(letter)
        for country, regions in REGION_LETTERS.items()
        for letter, name in regions.items()
    }
    for country, code, name in database.execute("SELECT country, code, name FROM region").fetchall():
        keys = {fold(name), fold(code) if code.isalpha() else "", letters.get((country, fold(name)), "")}
        rows = [(key, country, code) for key in keys - {""}]
        database.executemany("INSERT OR IGNORE INTO region_key VALUES (?, ?, ?)", rows)


def note(database: sqlite3.Connection, now: datetime, facts: dict[str, str]) -> None:
    """What `doctor` and the credits page tell."""
    counts = {
        "places": "SELECT count(*) FROM place",
        "names": "SELECT count(*) FROM alias",
        "codes": "SELECT count(*) FROM postal",
        "imported": "SELECT count(*) FROM postal WHERE source = :imported",
    }
    found = {
        name: str(database.execute(count, {"imported": IMPORTED}).fetchone()[0])
        for name, count in counts.items()
    }
    built = now.astimezone(UTC).isoformat(timespec="seconds")
    rows = {"credits": CREDITS, "built_at": built, **found, **facts}
    database.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows.items())


def counted(rows: Iterable[T], what: str, total: int | None, progress: bool) -> Iterator[T]:
    """The rows, with a bar on a terminal."""
    hidden = None if progress else True  # None: tqdm looks whether standard error is a terminal
    bar = tqdm.tqdm(rows, desc=what, total=total, unit="", unit_scale=True, disable=hidden, leave=False)
    return iter(bar)
