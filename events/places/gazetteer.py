"""Building the place directory: one SQLite file, written beside the old one and renamed over it at the end.

Sources are GeoNames (CC BY 4.0) by way of registry packages, and files of postal codes that an operator adds.
"""

import contextlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from ..errors import ConfigurationError, Refusal, say
from .centres import centre, reaches
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
)
from .packages import Packages, PostalRow, download
from .postal_files import read_postal

SCHEMA_VERSION = 1  # PRAGMA user_version: a file of another version counts as none
CREDITS = "GeoNames (geonames.org), CC BY 4.0"
BUILT, IMPORTED = "packages", "import"  # postal.source; a new build keeps what was imported
REPORTED = 20  # refused rows that are told one by one
LEFTOVER_SECONDS = 6 * 3600
CACHE_KB = 32_768

SCHEMA = """
CREATE TABLE place (id INTEGER PRIMARY KEY, name TEXT NOT NULL, country TEXT NOT NULL, admin1 TEXT NOT NULL,
  latitude REAL NOT NULL, longitude REAL NOT NULL, population INTEGER NOT NULL, timezone TEXT NOT NULL);
CREATE TABLE alias (key TEXT NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (key, place)) WITHOUT ROWID;
CREATE TABLE postal (key TEXT NOT NULL, country TEXT NOT NULL, code TEXT NOT NULL,
  latitude REAL, longitude REAL, place TEXT NOT NULL, region TEXT NOT NULL,
  precision_km REAL NOT NULL, source TEXT NOT NULL);
CREATE TABLE country (code TEXT PRIMARY KEY, population INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE country_key (key TEXT NOT NULL, country TEXT NOT NULL, PRIMARY KEY (key, country)) WITHOUT ROWID;
CREATE TABLE region (country TEXT NOT NULL, code TEXT NOT NULL, name TEXT NOT NULL,
  PRIMARY KEY (country, code)) WITHOUT ROWID;
CREATE TABLE region_key (key TEXT NOT NULL, country TEXT NOT NULL, code TEXT NOT NULL,
  PRIMARY KEY (key, country, code)) WITHOUT ROWID;
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
# Made when a build's rows are in: sorting once is quicker than keeping order.
POSTAL_INDEX = "CREATE UNIQUE INDEX IF NOT EXISTS postal_key ON postal (key, country)"
POINTS = "SELECT latitude, longitude FROM postal WHERE country = ? AND latitude IS NOT NULL"
ADD_CODE = "INSERT OR REPLACE INTO postal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"

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


@dataclass(slots=True)
class FileReport:
    """What became of one imported file; the first refusals are told, all are counted."""

    name: str
    rows: int = 0
    refused: int = 0
    refusals: list[Refusal] = field(default_factory=list)

    def accepted(self, rows: Iterable[PostalRow | Refusal]) -> Iterator[PostalRow]:
        """The rows that are good, while counting."""
        for row in rows:
            self.rows += 1
            if isinstance(row, PostalRow):
                yield row
                continue
            self.refused += 1
            if len(self.refusals) < REPORTED:
                self.refusals.append(row)


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


def build(
    target: Path,
    now: datetime,
    *,
    countries: Sequence[str] | None = None,
    min_population: int = 0,
    progress: bool = False,
) -> None:
    """Brings the packages and writes the directory to `target`, keeping the codes that were imported.

    `countries` (ISO 3166-1 alpha-2) limits it; `progress` shows a bar when standard error is a terminal.
    Raises GazetteerUnavailable, or ConfigurationError when `target` cannot be written: the old file stays.
    """
    choice = Choice.of(countries, min_population, progress)
    with (
        _rewriting(target, now) as database,
        tempfile.TemporaryDirectory(prefix="branchline-places-") as folder,
    ):
        for _ in _counted(range(1), "Bringing packages", 1, progress):
            archives = download(Path(folder))
        _fill(database, target, now, archives, choice)


def build_from(
    archives: Sequence[Path],
    target: Path,
    now: datetime,
    *,
    countries: Sequence[str] | None = None,
    min_population: int = 0,
    progress: bool = False,
) -> None:
    """As `build`, from archives that are here already."""
    with _rewriting(target, now) as database:
        _fill(database, target, now, archives, Choice.of(countries, min_population, progress))


def import_postal(
    target: Path, files: Sequence[Path], now: datetime, *, progress: bool = False
) -> list[FileReport]:
    """Adds the codes of `files`, in the place of those already there; makes the directory when there is none.

    All files go in, or none. Raises Unreadable, TooLarge, ConfigurationError.
    """
    reports = [FileReport(path.name) for path in files]
    with _rewriting(target, now, keep=True) as database:
        for path, report in zip(files, reports, strict=True):
            _stage(database, _counted(report.accepted(read_postal(path)), report.name, None, progress))
        database.execute(POSTAL_INDEX)
        _settle(database, IMPORTED, progress)
        _note(database, now, {})
    return reports


def is_usable(path: Path) -> bool:
    """Whether a directory of this version is there."""
    if not path.is_file():
        return False
    with contextlib.closing(read_only(path)) as database:
        try:
            version: int = database.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.DatabaseError:  # not SQLite at all
            return False
    return version == SCHEMA_VERSION


def read_only(path: Path) -> sqlite3.Connection:
    """Immutable, because a directory is only ever replaced as a whole: no locks are taken."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)


@contextlib.contextmanager
def _rewriting(target: Path, now: datetime, *, keep: bool = False) -> Iterator[sqlite3.Connection]:
    """A new directory (with `keep` a copy of the old one) that takes the target's place if nothing raises."""
    with _writable(target):
        draft = _draft_beside(target, now)
    try:
        with _writable(target):
            if keep and is_usable(target):
                shutil.copyfile(target, draft)
        with contextlib.closing(sqlite3.connect(draft, isolation_level=None)) as database:
            # A draft that is not finished is thrown away, so it needs neither journal nor care.
            for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KB}"):
                database.execute(f"PRAGMA {pragma}")
            if not draft.stat().st_size:
                _create(database)
            database.executescript(STAGING)
            database.execute("BEGIN")
            with _writable(target):
                yield database
                database.execute("COMMIT")
        with _writable(target):
            _put_in_place(draft, target)
    finally:
        draft.unlink(missing_ok=True)


@contextlib.contextmanager
def _writable(target: Path) -> Iterator[None]:
    """A full or read-only disk in a sentence."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR):
            raise
        reason = str(error)
    else:
        return
    raise ConfigurationError(say("%(path)s cannot be written: %(reason)s.", path=target, reason=reason))


def _draft_beside(target: Path, now: datetime) -> Path:
    """An empty file in the target's folder, without what builds that were killed left there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for old in target.parent.glob(f".{target.name}-*"):
        if old.stat().st_mtime < now.timestamp() - LEFTOVER_SECONDS:
            old.unlink(missing_ok=True)
    number, path = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
    os.close(number)
    return Path(path)


def _put_in_place(draft: Path, target: Path) -> None:
    draft.chmod(0o644)
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(target)


def _create(database: sqlite3.Connection) -> None:
    database.executescript(f"{SCHEMA}; PRAGMA user_version = {SCHEMA_VERSION};")
    database.executemany("INSERT OR IGNORE INTO country_key VALUES (?, ?)", country_keys())
    for code, name in US_TERRITORIES.items():
        database.execute("INSERT INTO region VALUES ('US', ?, ?)", (code, name))
        keys = {fold(code), fold(name), *(fold(country_name(code, locale)) for locale in ("en", "es"))}
        database.executemany("INSERT INTO region_key VALUES (?, 'US', ?)", [(key, code) for key in keys])


def _fill(
    database: sqlite3.Connection, target: Path, now: datetime, archives: Sequence[Path], choice: Choice
) -> None:
    packages = Packages(archives)
    states = packages.us_states()
    database.executemany("INSERT INTO country VALUES (?, ?)", packages.populations().items())
    database.executemany("INSERT INTO region VALUES ('US', ?, ?)", states.items())
    _add_places(database, packages, choice)
    _add_codes(database, packages, states, choice)
    _settle(database, BUILT, choice.progress)
    database.execute(POSTAL_INDEX)
    _name_regions(database)
    _keep_imported(database, target)
    _note(database, now, {"sources": ", ".join(path.name for path in archives)})


def _add_places(database: sqlite3.Connection, packages: Packages, choice: Choice) -> None:
    for place in _counted(packages.places(), "Places", 235_000, choice.progress):
        if not choice.holds(place.country) or place.population < choice.min_population:
            continue
        country = home(place.country)
        admin1 = place.admin1 if country == place.country else place.country
        database.execute(
            "INSERT INTO place VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (place.id, place.name, country, admin1, *place[4:8]),
        )
        keys = {fold(name) for name in (place.name, *place.other_names) if len(name) > 1} - {""}
        database.executemany("INSERT INTO staged_alias VALUES (?, ?)", [(key, place.id) for key in keys])
    database.execute("INSERT INTO alias SELECT DISTINCT key, place FROM staged_alias ORDER BY key, place")


def _add_codes(
    database: sqlite3.Connection, packages: Packages, states: dict[str, str], choice: Choice
) -> None:
    """GeoNames' codes, then those of the US that only the other list has. Military ones lose their place."""
    regions = {**states, **US_TERRITORIES, "AA": "", "AE": "", "AP": ""}  # the last three are military
    zips = {row.code: row for row in packages.zips() if row.region in regions}
    nowhere = {code for code, row in zips.items() if is_military(row.place)}
    seen = set()

    def rows() -> Iterator[PostalRow]:
        for row in _counted(packages.postal_rows(), "Postal codes", 1_827_000, choice.progress):
            if choice.holds(row.country):
                if home(row.country) == "US":
                    seen.add(row.code)
                yield zips[row.code] if row.country == "US" and row.code in nowhere else row

    _stage(database, rows())
    if choice.holds("US"):
        missing = (row for row in zips.values() if row.code not in seen)
        _stage(database, (row._replace(region=regions[row.region]) for row in missing))


def _stage(database: sqlite3.Connection, rows: Iterable[PostalRow]) -> None:
    database.executemany("INSERT INTO staged VALUES (?, ?, ?, ?, ?, ?, ?, ?)", map(_staged, rows))


def _staged(row: PostalRow) -> tuple[object, ...]:
    key, point = postal_key(row.country, row.code), (row.latitude, row.longitude)
    country, region = postal_home(row.country, key), US_TERRITORIES.get(row.country, row.region)
    if country == "US" and is_military(row.place):
        point, region = (None, None), ""
    return country, key, row.code, *point, row.place, region, row.accuracy


def _settle(database: sqlite3.Connection, source: str, progress: bool) -> None:
    """From staged rows to one row for each code, one country at a time."""
    staged = database.execute("SELECT * FROM staged ORDER BY country, key, latitude, longitude, place")
    for country, rows in _counted(groupby(staged, itemgetter(0)), "Countries", None, progress):
        groups = groupby(rows, itemgetter(1))
        codes = {key: [PostalRow(country, *row[2:]) for row in same] for key, same in groups}
        others = database.execute(POINTS, (country,)).fetchall() if source == IMPORTED else []
        database.executemany(ADD_CODE, _settled(codes, source, others))


def _settled(
    codes: dict[str, list[PostalRow]], source: str, others: Iterable[tuple[float, float]]
) -> Iterator[tuple[object, ...]]:
    centres = {}
    for key, rows in codes.items():
        if located := [row for row in rows if row.latitude is not None]:
            centres[key] = centre(located)
        else:
            row = rows[0]
            yield key, row.country, row.code, None, None, row.place, row.region, 0.0, source
    widths = reaches([point for point, _, _ in centres.values()], others)
    for (key, (point, spread, named)), reach in zip(centres.items(), widths, strict=True):
        precision = round(max(spread, reach).km, 1)
        at = (point.latitude, point.longitude)
        yield key, named.country, named.code, *at, named.place, named.region, precision, source


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


def _keep_imported(database: sqlite3.Connection, target: Path) -> None:
    """What an operator added to the old file comes before what the packages say."""
    if not is_usable(target):
        return
    with contextlib.closing(read_only(target)) as old:
        database.executemany(ADD_CODE, old.execute("SELECT * FROM postal WHERE source = ?", (IMPORTED,)))


def _note(database: sqlite3.Connection, now: datetime, facts: dict[str, str]) -> None:
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


def _counted(rows: Iterable[T], what: str, total: int | None, progress: bool) -> Iterator[T]:
    """The rows, with a bar on a terminal."""
    hidden = None if progress else True  # None: tqdm looks whether standard error is a terminal
    return iter(tqdm(rows, desc=what, total=total, unit="", unit_scale=True, disable=hidden, leave=False))
