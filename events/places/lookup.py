"""What a visitor may have meant: coordinates, a postal code, a place. Read from one file, without a socket.

Nothing typed is logged, here or by what calls this: an `UnknownPlace` is an answer, not an incident.
"""

import math
import re
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from ..errors import BranchlineError, Message, say
from .asking import (
    cleaned,
    code_guesses,
    looks_like_code,
    name_guesses,
    name_parts,
    precision_of,
    said_country,
)
from .centres import centre
from .gazetteer import is_usable, read_only
from .geo import Point, great_circle
from .naming import ENVELOPE_LETTERS, code_key, country_name, fold, home, listed_forms, parts
from .packages import PostalRow

Kind = Literal["coordinates", "postal_code", "place", "branch"]
Reason = Literal["code", "place", "elsewhere", "no_directory"]

MOST_PLACES = 8
LONGEST_NAME = 40
SAME_TOWN_KM = 25.0
NEAR_KM = 60.0  # a code and a town that are typed together lie this close
PEOPLE_PER_KM2 = 2500  # of a town: its population tells how far from its middle an address may be
KNOWN_KM = 5.0
# A name is not a code: wanted countries weigh more, and are not simply first. Visitors of a site in the US,
# Mexico and Spain who type Madrid mean Spain's, not Iowa's. Names that a place has besides weigh less too.
WEIGHT_OF_RANK = 0.2
LEAST_WEIGHT = 0.005
WEIGHT_OF_OTHER_NAME = 0.2

CODES = """
SELECT postal.code, postal.country, latitude, longitude, place, region, precision_km, coalesce(population, 0)
FROM postal LEFT JOIN country ON country.code = postal.country WHERE key = ?
"""
PLACES = """
SELECT place.name, place.country, admin1, latitude, longitude, population, timezone, coalesce(region.name, '')
FROM alias JOIN place ON place.id = alias.place
  LEFT JOIN region ON region.country = place.country AND region.code = admin1
WHERE key = ? ORDER BY population DESC, place.id
"""
COUNTRIES = "SELECT country FROM country_key WHERE key = ?"
REGIONS = "SELECT country, code FROM region_key WHERE key = ?"


@dataclass(frozen=True, slots=True)
class Interpretation:
    """One reading of what was typed. `point` None: a code that is known, and has no place (military mail)."""

    kind: Kind
    label: str
    country: str | None  # ISO 3166-1 alpha-2
    point: Point | None
    precision_km: float  # an address meant by it is hardly farther from `point`
    timezone: str | None = None  # IANA, where the directory knows it


@dataclass(frozen=True, slots=True)
class KnownPlace:
    """What a branch knows of where it is: serves where the directory does not know a place, or is missing."""

    postal_code: str
    city: str
    region: str
    country: str
    point: Point


class UnknownPlace(BranchlineError):
    """Well formed and not known: an answer like others (status 200), with what it is `elsewhere`, if anything."""

    status = 200

    def __init__(self, typed: str, reason: Reason, elsewhere: Sequence[Interpretation] = ()) -> None:
        super().__init__(_sorry(typed, reason))
        self.typed = typed
        self.reason = reason
        self.elsewhere = tuple(elsewhere)


class Hit(NamedTuple):
    """A row that may be meant, before it is put in words."""

    kind: Kind
    names: tuple[str, ...]  # code, town, region
    country: str
    point: Point | None
    precision_km: float
    population: int  # of the place, or of the code's country
    timezone: str | None = None
    admin1: str = ""
    besides: bool = False  # the place has another name in the first place


class Gazetteer:
    """The place directory at `path`. Threads may share it; a new file at the path is noticed at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()

    @property
    def exists(self) -> bool:
        return self._connection() is not None

    def about(self) -> Mapping[str, str]:
        """`credits`, `built_at`, `sources` and counts; empty when there is no directory."""
        database = self._connection()
        return dict(database.execute("SELECT name, value FROM meta")) if database else {}

    def interpretations(
        self,
        text: str,
        *,
        country: str | None = None,
        prefer: Sequence[str] = (),
        locale: str = "en",
        known: Callable[[], Iterable[KnownPlace]] | None = None,
    ) -> list[Interpretation]:
        """What `text` may mean, the likeliest first: never empty.

        `country` was said and comes first, `prefer` is `country_order(…)`, `locale` names the countries.
        `known` is called when the directory has no answer. Raises Unreadable, InvalidCoordinates and UnknownPlace.
        """
        typed, said = cleaned(text), said_country(country)
        if Point.looks_like(typed):
            point = Point.parse(typed)
            return [Interpretation("coordinates", str(point), None, point, precision_of(typed))]
        database = self._connection()
        found, elsewhere = _search(database, typed) if database else ([], [])
        if not found and known:
            found = _among(typed, known())
        if said and not any(hit.country in parts(said) for hit in found):
            found, elsewhere = [], found or elsewhere
        order = [home(wanted) for wanted in prefer]
        if not found:
            reason: Reason = "code" if looks_like_code(typed) else "place"
            reason = "elsewhere" if elsewhere else reason if database else "no_directory"
            raise UnknownPlace(typed, reason, [_told(hit, locale) for hit in _ranked(elsewhere, None, order)])
        return [_told(hit, locale) for hit in _ranked(found, said, order)]

    def _connection(self) -> sqlite3.Connection | None:
        """This thread's connection to the file that is there now; None when there is none of our version."""
        try:
            found = self.path.stat()
            state = (found.st_ino, found.st_mtime_ns, found.st_size)
        except OSError:
            state = None
        if getattr(self._local, "state", ()) != state:
            self.close()
            self._local.database = read_only(self.path) if is_usable(self.path) else None
            self._local.state = state
        database: sqlite3.Connection | None = self._local.database
        return database

    def close(self) -> None:
        """Closes this thread's connection."""
        database = getattr(self._local, "database", None)
        if database is not None:
            database.close()
        self._local.database, self._local.state = None, ()


def _search(database: sqlite3.Connection, typed: str) -> tuple[list[Hit], list[Hit]]:
    """What is meant, and what the same code or name is where it was said not to be."""
    search = _Search(database)
    if any(letter.isdigit() for letter in typed):
        found, elsewhere = search.codes(typed)
        return (found, elsewhere) if found or elsewhere else search.places(typed)
    found, elsewhere = search.places(typed)
    return (found, elsewhere) if found or elsewhere else search.codes(typed)


class _Search:
    """The questions to the file. A country or region that is typed limits what is found."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database

    def codes(self, typed: str) -> tuple[list[Hit], list[Hit]]:
        elsewhere: list[Hit] = []
        for key, rest in code_guesses(typed):
            hits = list(self._codes_of(key))
            meant = self._limit(hits, rest) if hits else None
            if meant:
                return meant, []
            if meant is not None:
                elsewhere = elsewhere or hits
        return [], elsewhere

    def places(self, typed: str) -> tuple[list[Hit], list[Hit]]:
        for name, within in name_guesses(typed):
            hits = self._places_of(name)
            for part in within:
                countries, regions = self._areas(part)
                hits = [at for at in hits if at.country in countries or (at.country, at.admin1) in regions]
            if hits:
                return hits, []
        first, *others = name_parts(typed)
        return [], self._places_of(first) if others else []

    def _codes_of(self, key: str) -> Iterator[Hit]:
        """Of each country the code itself, else the listed form of the full one, else what FR-75001 means."""
        found = set()
        letters = re.fullmatch(r"([A-Z]{1,2})(\d\w+)", key)
        forms: list[tuple[frozenset[str] | None, str]] = [(None, key)]
        forms += [(frozenset(countries), listed) for countries, listed in listed_forms(key)]
        if letters:
            forms.append((self._envelope(letters[1]), letters[2]))
        for countries, form in forms:
            for code, country, latitude, longitude, place, region, precision, people in self.database.execute(
                CODES, (form,)
            ):
                if country in found or (countries is not None and country not in countries):
                    continue
                found.add(country)
                point = None if latitude is None else Point(latitude, longitude)
                yield Hit("postal_code", (code, place, region), country, point, precision, people)

    def _envelope(self, letters: str) -> frozenset[str]:
        """The countries meant by letters before a code."""
        if letters in ENVELOPE_LETTERS:
            return frozenset((ENVELOPE_LETTERS[letters],))
        return self._areas(letters.lower())[0]

    def _limit(self, hits: list[Hit], rest: str) -> list[Hit] | None:
        """The hits that agree with the other words; None when those words mean nothing to us."""
        words = name_parts(rest)
        if not words:
            return hits
        if any(re.search(r"\b[afd]po\b", word) for word in words):
            return [hit for hit in hits if hit.country == "US"]
        areas = [self._areas(word) for word in words]
        if all(countries or regions for countries, regions in areas):
            named = [countries | {country for country, _ in regions} for countries, regions in areas]
            return [hit for hit in hits if all(hit.country in countries for countries in named)]
        towns = [place.point for place in self.places(rest)[0] if place.point]
        if not towns:
            return None
        return [
            hit
            for hit in hits
            if hit.point and any(great_circle(hit.point, town).km < NEAR_KM for town in towns)
        ]

    def _places_of(self, key: str) -> list[Hit]:
        return [_place(key, *row) for row in self.database.execute(PLACES, (key,))]

    def _areas(self, key: str) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
        """Countries and (country, region) of that name or letters; D.C. is folded to two letters."""
        keys = {key, key.replace(" ", "")}
        countries = {home(country) for one in keys for (country,) in self.database.execute(COUNTRIES, (one,))}
        regions = {row for one in keys for row in self.database.execute(REGIONS, (one,))}
        return frozenset().union(*map(parts, countries)), frozenset(regions)


def _among(typed: str, known: Iterable[KnownPlace]) -> list[Hit]:
    """What the branches know: those with the code, else those in the town, as one hit for each area."""
    codes = {form for key, rest in code_guesses(typed) if not name_parts(rest) for form in _forms(key)}
    names = {(name, within) for name, within in name_guesses(typed)}
    by_code: dict[tuple[str, ...], list[PostalRow]] = {}
    by_town: dict[tuple[str, ...], list[PostalRow]] = {}
    for place in known:
        country, at = home(place.country), (place.point.latitude, place.point.longitude)
        row = PostalRow(country, place.postal_code, *at, place.city, place.region)
        if codes & _forms(code_key(place.postal_code)):
            by_code.setdefault((country,), []).append(row)
        areas = {fold(place.region), fold(country), fold(country_name(country))}
        if any(name == fold(place.city) and areas.issuperset(within) for name, within in names):
            by_town.setdefault((country, place.region), []).append(row)
    return [_hit_of("postal_code", rows) for rows in by_code.values()] or [
        _hit_of("place", rows) for rows in by_town.values()
    ]


def _forms(key: str) -> set[str]:
    return {key, *(listed for _, listed in listed_forms(key))}


def _hit_of(kind: Kind, rows: Sequence[PostalRow]) -> Hit:
    point, spread, row = centre(rows)
    names = (row.code, row.place, row.region) if kind == "postal_code" else (row.place, row.region)
    return Hit(kind, names, row.country, point, max(spread.km, KNOWN_KM), len(rows))


def _place(
    key: str,
    name: str,
    country: str,
    admin1: str,
    latitude: float,
    longitude: float,
    people: int,
    timezone: str,
    region: str,
) -> Hit:
    """From a row of PLACES."""
    besides = name.casefold() != key and fold(name) != key
    point, reach = Point(latitude, longitude), _town_km(people)
    return Hit("place", (name, region), country, point, reach, people, timezone, admin1, besides)


def _town_km(population: int) -> float:
    return round(max(1.0, math.sqrt(population / PEOPLE_PER_KM2 / math.pi)), 1)


def _ranked(hits: Sequence[Hit], said: str | None, prefer: Sequence[str]) -> list[Hit]:
    """Codes in the order of countries, then by people there; places by people, weighted by country."""
    ranks = {country: rank for rank, country in reversed(list(enumerate(prefer)))}
    first = parts(said) if said else frozenset()

    def order(hit: Hit) -> tuple[float, ...]:
        rank = ranks.get(hit.country)
        if hit.kind == "postal_code":
            tried = len(prefer) if rank is None else rank
            return hit.country not in first, tried, hit.point is None, -hit.population
        weight = LEAST_WEIGHT if rank is None else max(WEIGHT_OF_RANK**rank, LEAST_WEIGHT)
        weight *= WEIGHT_OF_OTHER_NAME if hit.besides else 1
        return hit.country not in first, -weight * max(hit.population, 1)

    kept: list[Hit] = []
    for hit in sorted(hits, key=order):
        if hit.kind == "place" and len(kept) == MOST_PLACES:
            break
        if not (hit.besides and any(_same_town(hit, better) for better in kept)):
            kept.append(hit)
    return kept


def _same_town(hit: Hit, other: Hit) -> bool:
    """The City of London is called London too."""
    if hit.country != other.country or hit.point is None or other.point is None:
        return False
    return great_circle(hit.point, other.point).km < SAME_TOWN_KM


def _told(hit: Hit, locale: str) -> Interpretation:
    """`60614 Chicago, Illinois, United States`; a name that comes twice is said once."""
    code, names = ("", hit.names) if hit.kind == "place" else (hit.names[0], hit.names[1:])
    said = (*(_short(name) for name in names), country_name(hit.country, locale))
    words = ", ".join(dict.fromkeys(name for name in said if name))
    label = f"{code}{' ' if any(names) else ', '}{words}" if code else words
    return Interpretation(hit.kind, label, hit.country, hit.point, hit.precision_km, hit.timezone)


def _short(name: str) -> str:
    """Without the long lists that GeoNames has in brackets behind Canadian codes."""
    return name if len(name) <= LONGEST_NAME else name.partition(" (")[0]


def _sorry(typed: str, reason: Reason) -> Message:
    match reason:
        case "code":
            return say(
                "We do not know the postal code “%(typed)s”. Look for a slip in it, or type a town.",
                typed=typed,
            )
        case "place":
            return say(
                "We do not know a place called “%(typed)s”. Look for a slip in it, or type a postal code.",
                typed=typed,
            )
        case "elsewhere":
            return say("We know “%(typed)s” only outside the country or region that you named.", typed=typed)
        case "no_directory":
            return say(
                "This site has no directory of places yet, so it cannot find “%(typed)s”. "
                "Type coordinates, such as 41.92,-87.64, or look through the list of branches.",
                typed=typed,
            )
