"""What the place directory has under a key: codes, towns, regions and countries, and what is nearly spelt so."""

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from .asking import code_guesses, name_parts
from .centres import centre
from .geo import Point
from .naming import ENVELOPE_LETTERS, code_key, fold, home, listed_forms, parts, shape
from .packages import PostalRow
from .readings import Hit, Kind, town_km
from .spelling import SHORTEST, buckets_near, closest, edits_allowed, swapped

MOST_OF_A_PART = 2500  # codes that begin alike, before they say too little

SHORTEST_FULL = 5  # letters and digits of a code that ends in what no list has
CODES = """
SELECT postal.code, postal.country, latitude, longitude, place, region, precision_km, coalesce(population, 0)
FROM postal LEFT JOIN country ON country.code = postal.country WHERE key = ?
"""
PART_OF_CODES = """
SELECT postal.country, postal.code, latitude, longitude, place, region, precision_km, coalesce(population, 0)
FROM postal LEFT JOIN country ON country.code = postal.country
WHERE key > ? AND key < ? AND latitude IS NOT NULL {} ORDER BY postal.country, key LIMIT ?
"""
PLACES = """
SELECT place.name, place.country, admin1, latitude, longitude, population, timezone, coalesce(region.name, '')
FROM alias JOIN place ON place.id = alias.place
  LEFT JOIN region ON region.country = place.country AND region.code = admin1
WHERE key = ? ORDER BY population DESC, place.id
"""
COUNTRIES = "SELECT country FROM country_key WHERE key = ?"
REGIONS = "SELECT country, code FROM region_key WHERE key = ?"
AREA = """
SELECT coalesce(region.name, ''), latitude, longitude, precision_km, population
FROM area LEFT JOIN region USING (country, code) WHERE area.country = ? AND area.code = ?
"""
HALVES = "SELECT key FROM half WHERE bucket IN ({})"
SHAPES = "SELECT country, example FROM shape WHERE shape = ?"
SHAPE_OF = "SELECT example FROM shape WHERE country = ? ORDER BY codes DESC LIMIT 1"
AREA_KEYS = """
SELECT key FROM region_key WHERE length(key) BETWEEN :least AND :most
UNION ALL SELECT key FROM country_key WHERE length(key) BETWEEN :least AND :most
"""


class Rows:
    """The rows of one file as hits."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database

    # ---------------------------------------------------------------- codes

    def codes_of(self, key: str) -> Iterator[Hit]:
        """Of each country the code itself, else the listed form of the full one, else what FR-75001 means."""
        found: set[str] = set()
        letters = re.fullmatch(r"([A-Z]{1,2})(\d\w+)", key)
        forms: list[tuple[frozenset[str] | None, str]] = [(None, key)]
        forms += [(frozenset(countries), listed) for countries, listed in listed_forms(key)]
        if letters:
            forms.append((self._envelope(letters[1]), letters[2]))
        for countries, form in forms:
            if found and countries is not None and len(key) < SHORTEST_FULL:
                break  # M5V is Toronto's, and hardly Salford's M5 cut short
            for code, country, latitude, longitude, place, region, precision, people in self.database.execute(
                CODES, (form,)
            ):
                if country in found or (countries is not None and country not in countries):
                    continue
                found.add(country)
                point = None if latitude is None else Point(latitude, longitude)
                keys = (form,) if letters and form == letters[2] else tuple(dict.fromkeys((key, form)))
                yield Hit("postal_code", (code, place, region), country, point, precision, people, codes=keys)

    def _envelope(self, letters: str) -> frozenset[str]:
        """The countries meant by letters before a code."""
        if letters in ENVELOPE_LETTERS:
            return frozenset((ENVELOPE_LETTERS[letters],))
        return self.areas(letters.lower())[0]

    def beginning(self, key: str, countries: Sequence[str]) -> Iterator[Hit]:
        """In each of these countries, or anywhere, if few enough codes begin so."""
        for country in countries:
            yield from self._area_of(key, PART_OF_CODES.format("AND postal.country = ?"), country)
        if not countries:
            yield from self._area_of(key, PART_OF_CODES.format(""))

    def _area_of(self, key: str, query: str, *country: str) -> Iterator[Hit]:
        bounds = (key, f"{key}\uffff", *country, MOST_OF_A_PART)
        rows = self.database.execute(query, bounds).fetchall()
        if len(rows) == MOST_OF_A_PART:
            return
        for of, group in groupby(rows, itemgetter(0)):
            same = list(group)
            middle, spread, named = centre([PostalRow(*row[:6]) for row in same])
            reach = round(max(spread.km, *(row[6] for row in same)), 1)
            names = (f"{key}…", named.place, named.region)
            yield Hit("postal_area", names, of, middle, reach, same[0][7], codes=(key,))

    def example_instead(self, typed: str, countries: Iterable[str]) -> str | None:
        """A real code when `typed` has the form of none; None when it has the form of one."""
        keys = [key for key, rest in code_guesses(typed) if not name_parts(rest)] or [code_key(typed)]
        forms = [key for one in keys for key in (one, *(listed for _, listed in listed_forms(one)))]
        if any(self.database.execute(SHAPES, (shape(form),)).fetchone() for form in forms):
            return None
        found = (self.database.execute(SHAPE_OF, (country,)).fetchone() for country in countries)
        return next((row[0] for row in found if row), "60614")

    # ---------------------------------------------------------------- names

    def places_of(self, key: str) -> list[Hit]:
        """A number is no name, though some places have one besides (the third arrondissement)."""
        if key.isdigit():
            return []
        return [_place(key, *row) for row in self.database.execute(PLACES, (key,))]

    def areas(self, key: str) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
        """Countries and (country, region) of that name or letters; D.C. is folded to two letters."""
        keys = {key, key.replace(" ", "")}
        countries = {home(country) for one in keys for (country,) in self.database.execute(COUNTRIES, (one,))}
        regions = {row for one in keys for row in self.database.execute(REGIONS, (one,))}
        return frozenset().union(*map(parts, countries)), frozenset(regions)

    def nearly(self, name: str) -> dict[str, int]:
        """Listed names that one may have meant, with the number of edits."""
        if not edits_allowed(name):
            return {}
        buckets = buckets_near(name)
        marks = ", ".join("?" * len(buckets))
        keys = {key for (key,) in self.database.execute(HALVES.format(marks), tuple(buckets))}
        found = {key: edits for key, edits in closest(name, keys).items() if edits}
        return found | {key: 1 for key in swapped(name) if key != name}

    def area(self, country: str, code: str) -> Iterator[Hit]:
        for name, latitude, longitude, precision, people in self.database.execute(AREA, (country, code)):
            kind: Kind = "region" if code else "country"
            point = Point(latitude, longitude)
            yield Hit(kind, (name,) if code else (), country, point, precision, people, region=code)

    def areas_nearly(self, part: str) -> dict[str, int]:
        """Names of regions and countries that one may have meant, the nearest first, with the number of edits."""
        reach = edits_allowed(part)
        lengths = {"least": max(len(part) - reach, SHORTEST), "most": len(part) + reach}
        found = closest(part, (key for (key,) in self.database.execute(AREA_KEYS, lengths)))
        return dict(sorted(found.items(), key=lambda item: (item[1], item[0])))


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
    point, reach = Point(latitude, longitude), town_km(people)
    return Hit("place", (name, region), country, point, reach, people, timezone, admin1, besides)
