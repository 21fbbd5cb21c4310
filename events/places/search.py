"""Questions to the place directory: which codes, towns and regions a text may mean."""

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from .asking import (
    SHORTEST_NAME,
    address_parts,
    code_guesses,
    has_digit,
    is_full_code,
    name_guesses,
    name_parts,
    phrases,
)
from .centres import centre
from .geo import Distance, Point, cells_around, great_circle
from .naming import (
    ENVELOPE_LETTERS,
    abbreviations,
    code_key,
    fold,
    forces_mail,
    home,
    listed_forms,
    parts,
    shape,
)
from .packages import PostalRow
from .readings import LARGE, Hit, Kind, is_offered, town_km
from .spelling import buckets_near, closest, code_variants, swapped

NEAR_KM = 60.0  # a code and a town that are typed together lie this close
LONGEST_WITHOUT_DIGIT = 4  # letters that may be meant as a code: SWIA
SHORTEST_PART = 3  # letters and digits that are read as the beginning of codes
MOST_OF_A_PART = 2500  # codes that begin alike, before they say too little
MOST_MISSPELT = 4  # names of one text that are looked for in spite of slips

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
REGION_KEYS = "SELECT key FROM region_key WHERE country = ? AND code = ?"
AREA = """
SELECT coalesce(region.name, ''), latitude, longitude, precision_km, population
FROM area LEFT JOIN region USING (country, code) WHERE area.country = ? AND area.code = ?
"""
HALVES = "SELECT key FROM half WHERE bucket IN ({})"
SHAPES = "SELECT country, example FROM shape WHERE shape = ?"
SHAPE_OF = "SELECT example FROM shape WHERE country = ? ORDER BY codes DESC LIMIT 1"
AROUND = "SELECT country, key, latitude, longitude, region FROM postal WHERE cell IN ({})"


class Nearby(NamedTuple):
    """A listed code near a point."""

    country: str
    key: str
    km: float
    region: str


class Search:
    """The questions to one file. A country or region that is typed limits what is found."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.database = database

    def exactly(self, typed: str, wanted: Sequence[str]) -> tuple[list[Hit], list[Hit]]:
        """What is meant, and what the same code or name is where it was said not to be."""
        if has_digit(typed):
            found, elsewhere = self.codes(typed, wanted)
            return (found, elsewhere) if found or elsewhere else self.names(typed)
        found, elsewhere = self.names(typed)
        return (found, elsewhere) if found or elsewhere else self.codes(typed)

    def kindly(self, typed: str, wanted: Sequence[str]) -> list[Hit]:
        """What is meant in spite of slips, by a part of a code, or by a part of an address."""
        tried = (
            self.mended_code,
            lambda text: self.part_of_code(text, wanted),
            self.code_in_address,
            self.town_in_address,
            self.misspelt,
            self.town_in_text,
        )
        return next((found for way in tried if (found := way(typed))), [])

    # ---------------------------------------------------------------- codes

    def codes(self, typed: str, wanted: Sequence[str] = ()) -> tuple[list[Hit], list[Hit]]:
        """A short code that no wanted country has may be the beginning of one there: 606 is Iceland's too."""
        elsewhere: list[Hit] = []
        if forces := forces_mail(typed):
            return [Hit("postal_code", (forces, "", ""), "GB", None, 0.0, 0, codes=(code_key(forces),))], []
        for key, rest in code_guesses(typed):
            hits = list(self._codes_of(key))
            meant = self._limit(hits, rest) if hits else None
            if meant and _is_all(rest) and len(key) >= SHORTEST_PART and not _in(meant, wanted):
                meant += self._beginning(key, wanted)
            if meant:
                return meant, []
            if meant is not None:
                elsewhere = elsewhere or hits
        return [], elsewhere

    def mended_code(self, typed: str) -> list[Hit]:
        """With O for 0 and I for 1."""
        for key, rest in code_guesses(typed):
            if not has_digit(key) and len(key) > LONGEST_WITHOUT_DIGIT:
                continue
            for variant in code_variants(key):
                hits = [hit._replace(edits=1) for hit in self._codes_of(variant)]
                if meant := self._limit(hits, rest) if hits else None:
                    return meant
        return []

    def part_of_code(self, typed: str, wanted: Sequence[str]) -> list[Hit]:
        """The beginning of codes, as one hit for each country: 606 is Chicago, SW1 a part of London."""
        british = "GB" in wanted[:1]
        for key, rest in code_guesses(typed):
            if len(key) < (1 if british and key.isalpha() else SHORTEST_PART) or not (
                has_digit(key) or british
            ):
                continue
            hits = [*self._beginning(key, wanted)] or [*self._beginning(key, ())]
            if meant := self._limit(hits, rest) if hits else None:
                return meant
        return []

    def _beginning(self, key: str, countries: Sequence[str]) -> Iterator[Hit]:
        """In these countries, or anywhere if few enough codes begin so."""
        marks = ", ".join("?" * len(countries))
        query = PART_OF_CODES.format(f"AND postal.country IN ({marks})" if countries else "")
        bounds = (key, key + "\uffff", *countries, MOST_OF_A_PART)
        rows = self.database.execute(query, bounds).fetchall()
        if len(rows) == MOST_OF_A_PART:
            return
        for country in dict.fromkeys(row[0] for row in rows):
            same = [row for row in rows if row[0] == country]
            middle, spread, named = centre([PostalRow(*row[:6]) for row in same])
            reach = round(max(spread.km, *(row[6] for row in same)), 1)
            names = (f"{key}…", named.place, named.region)
            yield Hit("postal_area", names, country, middle, reach, same[0][7], codes=(key,))

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
                keys = (form,) if letters and form == letters[2] else tuple(dict.fromkeys((key, form)))
                yield Hit("postal_code", (code, place, region), country, point, precision, people, codes=keys)

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
        if towns := self.places(rest)[0]:
            return _near(hits, towns)
        return None

    def code_in_address(self, typed: str) -> list[Hit]:
        """Of a text that says more (street, house): the code that agrees with a town, else one in full form."""
        for key, rest in code_guesses(typed):
            hits = [hit._replace(used=hit.names[0]) for hit in self._codes_of(key)]
            towns = [place for phrase in phrases(rest) for place in self._places_of(phrase)] if hits else []
            if (agreed := _near(hits, towns)) and len(key) > 2:
                return agreed
        for key, _ in reversed(list(code_guesses(typed))):
            if is_full_code(key) and (
                hits := [hit._replace(used=hit.names[0]) for hit in self._codes_of(key)]
            ):
                return hits
        return []

    def town_in_address(self, typed: str) -> list[Hit]:
        """What stands between the commas."""
        for part in address_parts(typed):
            if len(part) >= SHORTEST_NAME and (found := self.places(part)[0]):
                return _using(found)
        return []

    def town_in_text(self, typed: str) -> list[Hit]:
        """The largest town that any words of the text name."""
        named = (self._places_of(phrase) for phrase in phrases(typed))
        called = ([hit for hit in hits if not hit.besides] for hits in named)
        return _using(max(called, key=_people, default=[]))

    # ---------------------------------------------------------------- names

    def names(self, typed: str) -> tuple[list[Hit], list[Hit]]:
        """Towns, regions and countries of that name, and towns that are much larger and nearly called so."""
        found, elsewhere = self.places(typed)
        found = [*found, *self._regions_named(typed)]
        largest = _people(found)
        if largest < LARGE and not has_digit(typed) and self._places_of(fold(typed)):
            found += [hit for hit in self.misspelt(typed) if is_offered(hit, largest)]
        return found, elsewhere

    def places(self, typed: str) -> tuple[list[Hit], list[Hit]]:
        for name, within in name_guesses(typed):
            for spelt in abbreviations(name):
                if hits := self._inside(self._places_of(spelt), within):
                    return hits, []
        first, *others = name_parts(typed) or [""]
        return [], self._places_of(first) if others else []

    def misspelt(self, typed: str) -> list[Hit]:
        """Places with nearly that name; the places that are nearest in spelling stand first."""
        guesses = [(name, within) for name, within in name_guesses(typed) if not has_digit(name)]
        guesses += [(part, ()) for part in map(fold, address_parts(typed)) if not has_digit(part)]
        whole = fold(typed)
        for name, within in list(dict.fromkeys(guesses))[:MOST_MISSPELT]:
            hits = [
                hit._replace(edits=edits)
                for key, edits in self._nearly(name).items()
                for hit in self._places_of(key)
            ]
            if hits := self._inside(hits, within):
                return hits if within or name == whole else _using(hits)
        return []

    def _nearly(self, name: str) -> dict[str, int]:
        """Listed names that one may have meant, with the number of edits."""
        buckets = buckets_near(name)
        marks = ", ".join("?" * len(buckets))
        keys = {key for (key,) in self.database.execute(HALVES.format(marks), tuple(buckets))}
        found = {key: edits for key, edits in closest(name, keys).items() if edits}
        return found | {key: 1 for key in swapped(name) if key != name}

    def _regions_named(self, typed: str) -> list[Hit]:
        for name, within in name_guesses(typed):
            countries, regions = self._areas(name)
            wanted = [(country, "") for country in sorted(countries)] + sorted(regions)
            hits = [hit for country, code in wanted for hit in self._area(country, code, name)]
            if hits := self._inside(hits, within):
                return hits
        return []

    def _area(self, country: str, code: str, key: str) -> Iterator[Hit]:
        for name, latitude, longitude, precision, people in self.database.execute(AREA, (country, code)):
            kind: Kind = "region" if code else "country"
            if len(key) > 2 or not code:  # "or" and "me" are words before they are states
                point = Point(latitude, longitude)
                yield Hit(kind, (name,) if code else (), country, point, precision, people, region=code)

    def _inside(self, hits: list[Hit], within: Sequence[str]) -> list[Hit]:
        for part in within:
            countries, regions = self._areas(part)
            hits = [at for at in hits if at.country in countries or (at.country, at.region) in regions]
        return hits

    def _places_of(self, key: str) -> list[Hit]:
        """A number is no name, though some places have one besides (the third arrondissement)."""
        if key.isdigit():
            return []
        return [_place(key, *row) for row in self.database.execute(PLACES, (key,))]

    def _areas(self, key: str) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
        """Countries and (country, region) of that name or letters; D.C. is folded to two letters."""
        keys = {key, key.replace(" ", "")}
        countries = {home(country) for one in keys for (country,) in self.database.execute(COUNTRIES, (one,))}
        regions = {row for one in keys for row in self.database.execute(REGIONS, (one,))}
        return frozenset().union(*map(parts, countries)), frozenset(regions)

    # ---------------------------------------------------------------- what is around

    def codes_around(self, point: Point, reach: Distance) -> list[Nearby]:
        """The listed codes whose middle lies within `reach`, the nearest first."""
        cells = cells_around(point, reach)
        rows = self.database.execute(AROUND.format(", ".join("?" * len(cells))), cells)
        found = (
            Nearby(country, key, great_circle(point, Point(latitude, longitude)).km, region)
            for country, key, latitude, longitude, region in rows
        )
        return sorted((near for near in found if near.km <= reach.km), key=lambda near: near.km)

    def region_keys(self, country: str, region: str) -> frozenset[str]:
        """The folded names and letters of a region, given by its code or its name."""
        codes = {region} | {code for at, code in self._areas(fold(region))[1] if at == country}
        return frozenset(
            key for code in codes for (key,) in self.database.execute(REGION_KEYS, (country, code))
        )

    def example_instead(self, typed: str, countries: Iterable[str]) -> str | None:
        """A real code when `typed` has the form of none; None when it has the form of one."""
        keys = [key for key, rest in code_guesses(typed) if not name_parts(rest)] or [code_key(typed)]
        forms = [key for one in keys for key in (one, *(listed for _, listed in listed_forms(one)))]
        if any(self.database.execute(SHAPES, (shape(form),)).fetchone() for form in forms):
            return None
        found = (self.database.execute(SHAPE_OF, (country,)).fetchone() for country in countries)
        return next((row[0] for row in found if row), "60614")


# ---------------------------------------------------------------- rows


def _near(hits: Sequence[Hit], towns: Sequence[Hit]) -> list[Hit]:
    points = [town.point for town in towns if town.point]
    return [
        hit
        for hit in hits
        if hit.point and any(great_circle(hit.point, point).km < NEAR_KM for point in points)
    ]


def _is_all(rest: str) -> bool:
    return not name_parts(rest)


def _in(hits: Iterable[Hit], countries: Sequence[str]) -> list[Hit]:
    return [hit for hit in hits if hit.country in countries]


def _using(hits: Sequence[Hit]) -> list[Hit]:
    """Towns that a part of the text names."""
    return [hit._replace(used=hit.names[0]) for hit in hits]


def _people(hits: Sequence[Hit]) -> int:
    return max((hit.population for hit in hits), default=0)


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
