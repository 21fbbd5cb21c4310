"""Whether people find what they mean, and how long it takes: libraries by ZIP, by town and by postcode, misspelt
names, and a search over 17,000 branches against one over a million. And events near a place, out of a million stored.

usage: ./dev bench finding [--only branches|events] [--data FOLDER] [--places FILE] [--failures N] [--no-million]
                           [--events 10000,1000000] [--database sqlite]

The data are the outlets of US and UK public libraries (`branches/*.csv`) and GeoNames' postal files (`postal/*.txt`).
Without them names and speed are still measured, on branches made up around the postal codes of the directory of
places, on SQLite in a temporary directory (a million branches take some 500 MB there). Events are made up, on either
engine (a million take some 4 GB on each).
"""

import argparse
import csv
import random
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from shutil import copyfile
from typing import NamedTuple

import sqlalchemy as sa
from sqlmodel import Session

from bench._branches import NOW, imported, opened, us_codes, us_sites
from bench._figures import Tally, line
from bench._misspelling import Place, misspellings
from bench._near_events import measure as near_events
from bench._synthetic import fill
from events.branches import finding, queries
from events.branches.models import Branch
from events.branches.queries import Near
from events.db import Database, table_of
from events.places.asking import country_order
from events.places.centres import centre
from events.places.gazetteer import import_postal, read_only
from events.places.geo import Point, great_circle
from events.places.lookup import Gazetteer
from events.places.naming import code_key, postal_key
from events.places.packages import PostalRow
from events.places.postal_files import read_postal
from events.places.readings import Interpretation, UnknownPlace

ROOT = Path(__file__).resolve().parents[1]
LIBRARIES = 2_000
FEW, MANY = 17_000, 1_000_000
ROUNDS = 400
SHOWN = 5

US_FILE = "us_public_library_outlets_fy2017.csv"
US_COLUMNS = {"name": "LIBNAME", "address_1": "ADDRESS", "city": "CITY", "state_province": "STABR"}
US_COLUMNS |= {"postal_code": "ZIP", "latitude": "LATITUDE", "longitude": "LONGITUD"}
US_COLUMNS |= {"external_id": "FSCSKEY+FSCS_SEQ"}
UK_FILE = "uk_libraries_geocoded.csv"
UK_COLUMNS = {"name": "Library name", "address_1": "Address 1", "postal_code": "Postcode"}


# ---------------------------------------------------------------- the search under test


class Found(NamedTuple):
    """How it was read, the likeliest first, and the branches nearest to the first reading."""

    readings: Sequence[Interpretation] = ()
    near: Sequence[Near] = ()


def search(session: Session, gazetteer: Gazetteer, typed: str) -> Found:
    """What a visitor gets who says no country, of an operator who says none."""
    now = datetime.now(UTC)
    prefer = country_order(None, (), whereabouts_of(session).countries(session, now), "")
    try:
        readings = finding.read(session, gazetteer, finding.Asked(typed, prefer=prefer))
    except UnknownPlace:
        return Found()
    around = finding.around(session, gazetteer, readings[0])
    for near in around.nearest:  # a page shows it
        near.distance  # noqa: B018
    return Found(readings, around.nearest)


@cache
def whereabouts_of(session: Session) -> queries.Whereabouts:
    """As an application keeps one."""
    return queries.Whereabouts()


# ---------------------------------------------------------------- what is printed


def came(found: Found) -> str:
    if not found.readings:
        return "nothing"
    read = "; ".join(f"{place.label} [{place.point}]" for place in found.readings[:3])
    near = ", ".join(f"{near.branch.postal_code} {near.distance.km:.1f} km" for near in found.near)
    return f"{read}{' | near: ' + near if near else ''}"


# ---------------------------------------------------------------- branches that there are


class Stood(NamedTuple):
    """A branch as its file has it."""

    name: str
    city: str
    state: str
    postal_code: str
    latitude: float
    longitude: float

    @property
    def point(self) -> Point:
        return Point(self.latitude, self.longitude)


def stood(session: Session) -> list[Stood]:
    """Those whose file told their coordinates, in a stable order."""
    table = table_of(Branch)
    columns = ("name", "city", "state_province", "postal_code", "latitude", "longitude")
    query = sa.select(*(table.c[name] for name in columns)).where(table.c.geocode_accuracy == "exact")
    return [Stood(*row) for row in session.connection().execute(query.order_by(table.c.slug))]


def at_code(found: Found, code: str, among: int = SHOWN) -> bool:
    """Whether the branch is there, or one with the same code, which is as good to who types the code."""
    return any(near.branch.postal_code == code for near in found.near[:among])


# ---------------------------------------------------------------- libraries of the US


def us_libraries(session: Session, gazetteer: Gazetteer, postal: Path, failures: int) -> None:
    everyone = stood(session)
    chosen = random.Random(1).sample(everyone, min(LIBRARIES, len(everyone)))
    first, among = Tally("US, own ZIP: first", 85), Tally("US, own ZIP: among five", 99)
    for library in chosen:
        found = search(session, gazetteer, library.postal_code)
        seen = (library.postal_code, f"{library.name} [{library.point}]", came(found))
        first.count(at_code(found, library.postal_code, 1), *seen)
        among.count(at_code(found, library.postal_code), *seen)
    first.report(failures)
    among.report(failures)
    codes = [(library.postal_code, library.postal_code) for library in chosen]
    centroids(session, postal, "US", codes)
    us_towns(session, gazetteer, chosen, middles(everyone), failures)


def middles(everyone: Iterable[Stood]) -> dict[tuple[str, str], Point]:
    """Where each town is by its libraries: the median of their positions, which owes GeoNames nothing."""
    towns: defaultdict[tuple[str, str], list[Point]] = defaultdict(list)
    for library in everyone:
        towns[library.city, library.state].append(library.point)
    return {
        town: Point(
            statistics.median(point.latitude for point in points),
            statistics.median(point.longitude for point in points),
        )
        for town, points in towns.items()
    }


def us_towns(
    session: Session,
    gazetteer: Gazetteer,
    chosen: Sequence[Stood],
    towns: Mapping[tuple[str, str], Point],
    failures: int,
) -> None:
    """Found: the first reading is a place of that state. How far off: from the middle of the town's libraries."""
    with closing(read_only(gazetteer.path)) as places:
        states = dict(places.execute("SELECT code, name FROM region WHERE country = 'US'").fetchall())
    known, off = Tally("US, “city, state”: found", 99), list[float]()
    for library in chosen:
        typed = f"{library.city}, {library.state}"
        found = search(session, gazetteer, typed)
        middle = towns[library.city, library.state]
        good = lies_in(found, {library.state, states.get(library.state, "")})
        known.count(good, typed, f"[{middle}]", came(found))
        if good and found.readings[0].point:
            off.append(great_circle(found.readings[0].point, middle).km)
    known.report(failures)
    median = statistics.median(off)
    line(f"US, “city, state”: median error {median:.2f} km", "at most 1 km", median <= 1)


def lies_in(found: Found, names: set[str]) -> bool:
    if not found.readings:
        return False
    first = found.readings[0]
    return first.kind == "place" and first.country == "US" and bool(names & set(first.label.split(", ")))


# ---------------------------------------------------------------- libraries of the UK


def uk_libraries(folder: Path, session: Session, gazetteer: Gazetteer, postal: Path, failures: int) -> None:
    everyone = stood(session)
    codes = [(outward(library.postal_code), library.postal_code) for library in everyone]
    limit = centroids(session, postal, "GB", codes)
    known, among = (
        Tally("UK, outward code: found", 99.5),
        Tally("UK, outward code: among five", min(limit, 60)),
    )
    for library in everyone:
        typed = outward(library.postal_code)
        found = search(session, gazetteer, typed)
        seen = (typed, f"{library.name}, {library.postal_code} [{library.point}]", came(found))
        known.count(bool(found.readings) and found.readings[0].country in ("GB", "GG", "IM", "JE"), *seen)
        among.count(at_code(found, library.postal_code), *seen)
    known.report(failures)
    among.report(failures)
    full_postcodes(session, supplied(folder, gazetteer, everyone), everyone, failures)


def outward(postcode: str) -> str:
    """The part before the space: the last three are the inward code."""
    return code_key(postcode)[:-3]


def supplied(folder: Path, gazetteer: Gazetteer, everyone: Iterable[Stood]) -> Gazetteer:
    """The directory with a file of full postcodes that an operator had from elsewhere."""
    target, file = folder / "supplied.db", folder / "GB.csv"
    copyfile(gazetteer.path, target)
    rows = {code_key(library.postal_code): library for library in everyone}
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(("postcode", "lat", "lon"))
        writer.writerows((row.postal_code, row.latitude, row.longitude) for row in rows.values())
    import_postal(target, [file], NOW)
    return Gazetteer(target)


def full_postcodes(session: Session, gazetteer: Gazetteer, everyone: Iterable[Stood], failures: int) -> None:
    exact = Tally("UK, full postcode after an import: exact", 100)
    given = {code_key(library.postal_code): library.point for library in everyone}
    for key, point in given.items():
        found = search(session, gazetteer, key)
        read = found.readings[0].point if found.readings else None
        exact.count(read is not None and great_circle(read, point).metres < 2, key, f"[{point}]", came(found))
    exact.report(failures)
    gazetteer.close()


def centroids(session: Session, postal: Path, country: str, codes: Sequence[tuple[str, str]]) -> float:
    """What the best search could do that knows of each code only GeoNames' middle: (typed, wanted) pairs.

    Returns how many per cent are among the five.
    """
    file = postal / f"{country}.txt"
    if not file.exists():
        print(f"There is no {file.name} to tell what the middles of codes allow.")
        return 100.0
    rows: defaultdict[str, list[PostalRow]] = defaultdict(list)
    for row in read_postal(file):
        if isinstance(row, PostalRow):
            rows[postal_key(row.country, row.code)].append(row)
    first, among = (
        Tally(f"{country}, limit of the code's middle: {of}", None) for of in ("first", "among five")
    )
    for typed, wanted in codes:
        near = queries.nearest_to(session, centre(rows[typed])[0], limit=SHOWN) if typed in rows else []
        first.count(at_code(Found((), near), wanted, 1), typed, wanted, "")
        among.count(at_code(Found((), near), wanted), typed, wanted, "")
    first.report(0)
    among.report(0)
    return 100 * among.hits / max(among.of, 1)


# ---------------------------------------------------------------- misspelt names


def misspelt_names(folder: Path, gazetteer: Gazetteer, failures: int) -> None:
    """In an empty database: no branch says which country is meant."""
    database = opened(folder / "empty.db")
    with closing(read_only(gazetteer.path)) as places, database.reading() as session:
        pairs, skipped = misspellings(places, random.Random(3))
        print(f"misspelt names: {skipped} were left out that are the exact name of a place")
        right, exact = named(session, gazetteer, [(place.name, place) for _, place in pairs], "spelt right")
        wrong, taken = named(session, gazetteer, pairs, "misspelt", 95, 99)
    database.dispose()
    for tally in right + wrong:
        tally.report(failures)
    median = 1000 * statistics.median(taken)
    line(f"misspelt names: median {median:.2f} ms", "under 20 ms", median < 20)
    print(f"  slowest twentieth from {1000 * statistics.quantiles(taken, n=20)[-1]:.1f} ms")
    print(f"ratio misspelt / spelt right {statistics.median(taken) / statistics.median(exact):.1f}")


def named(
    session: Session,
    gazetteer: Gazetteer,
    pairs: Iterable[tuple[str, Place]],
    how: str,
    first_of: float | None = None,
    offered_of: float | None = None,
) -> tuple[list[Tally], list[float]]:
    """How often the place is found by what is typed, and how long each answer took."""
    first, offered = Tally(f"names {how}: first", first_of), Tally(f"names {how}: offered", offered_of)
    times: list[float] = []
    for typed, place in pairs:
        found = timed(times, lambda: search(session, gazetteer, typed))  # noqa: B023
        seen = (typed, f"{place.name}, {place.country}", came(found))
        first.count(any(map(place.is_meant_by, found.readings[:1])), *seen)
        offered.count(any(map(place.is_meant_by, found.readings)), *seen)
    return [first, offered], times


# ---------------------------------------------------------------- how long a search takes


def speed(folder: Path, gazetteer: Gazetteer, few: Database, million: bool) -> None:
    """The same searches in both, in alternation: ZIPs and towns that branches stand at."""
    databases = [few]
    if million:
        begun = time.perf_counter()
        databases.append(opened(folder / "million.db"))
        fill(databases[-1], branches=MANY, sites=us_sites(gazetteer))
        print(f"{MANY} branches stored in {time.perf_counter() - begun:.0f} s")
    typed = list(asked(gazetteer, random.Random(5)))
    times: list[list[float]] = [[] for _ in databases]
    sessions = [Session(database.engine) for database in databases]
    for text in typed:
        for session, taken in zip(sessions, times, strict=True):
            timed(taken, lambda: search(session, gazetteer, text))  # noqa: B023
            session.expunge_all()
    sizes = [queries.count(session) for session in sessions]
    for session in sessions:
        session.close()
    report_speed(sizes, [1000 * statistics.median(taken) for taken in times])


def report_speed(sizes: Sequence[int], medians: Sequence[float]) -> None:
    few, *many = medians
    line(f"search over {sizes[0]} branches: median {few:.2f} ms", "at most 1.5 ms", few <= 1.5)
    if many:
        figure = f"search over {sizes[-1]} branches: median {many[-1]:.2f} ms"
        line(figure, "at most twice that", many[-1] <= 2 * few)
        print(f"ratio search over {sizes[-1]} / over {sizes[0]} branches {many[-1] / few:.2f}")


def asked(gazetteer: Gazetteer, chance: random.Random) -> Iterator[str]:
    """Half of them ZIPs, half of them towns with their state."""
    for number, (code, town, region, *_) in enumerate(chance.sample(us_codes(gazetteer), ROUNDS)):
        yield code if number % 2 else f"{town}, {region}"


def timed(times: list[float], work: Callable[[], Found]) -> Found:
    begun = time.perf_counter()
    found = work()
    times.append(time.perf_counter() - begun)
    return found


# ---------------------------------------------------------------- all of it


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    shared = ROOT.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=shared, help="folder of branches/ and postal/")
    parser.add_argument(
        "--places", type=Path, default=ROOT / "data" / "places.db", help="directory of places"
    )
    parser.add_argument("--failures", type=int, default=0, help="how many of each kind are shown")
    parser.add_argument("--million", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--only", choices=("branches", "events"))
    parser.add_argument("--events", default="10000,1000000", help="stored events, two numbers")
    parser.add_argument(
        "--database", choices=("sqlite", "postgresql", "both"), default="both", help="of events"
    )
    options = parser.parse_args()
    gazetteer = Gazetteer(options.places)
    with tempfile.TemporaryDirectory() as folder:
        if options.only != "events":
            if not gazetteer.exists:
                sys.exit(
                    f"There is no directory of places at {options.places}: type branchline places build."
                )
            run(Path(folder), gazetteer, options)
        if options.only != "branches":
            sizes = [int(number) for number in options.events.split(",")]
            for _ in near_events(Path(folder), sizes, options.database):
                pass


def run(folder: Path, gazetteer: Gazetteer, options: argparse.Namespace) -> None:
    branches, postal = options.data / "branches", options.data / "postal"
    us, uk = branches / US_FILE, branches / UK_FILE
    few = imported(folder, us, US_COLUMNS, "US", gazetteer) if us.exists() else None
    if few:
        with few.reading() as session:
            us_libraries(session, gazetteer, postal, options.failures)
    else:
        print(f"There is no {us.name} in {branches}: speed is measured on branches that are made up.")
    if uk.exists():
        database = imported(folder, uk, UK_COLUMNS, "GB", gazetteer)
        with database.reading() as session:
            uk_libraries(folder, session, gazetteer, postal, options.failures)
        database.dispose()
    else:
        print(f"There is no {uk.name} in {branches}: no postcode of the UK is looked up.")
    misspelt_names(folder, gazetteer, options.failures)
    if few is None:
        few = opened(folder / "few.db")
        fill(few, branches=FEW, sites=us_sites(gazetteer))
    speed(folder, gazetteer, few, options.million)
    few.dispose()


if __name__ == "__main__":
    main()
