"""Questions to the place directory: which codes, towns and regions a text may mean."""

import re
import sqlite3
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from .asking import (
    CODE_WORDS,
    SHORTEST_NAME,
    STREET_WORDS,
    address_parts,
    code_guesses,
    has_digit,
    is_full_code,
    name_guesses,
    name_parts,
    phrases,
)
from .geo import great_circle
from .naming import abbreviations, code_key, fold, forces_mail
from .readings import LARGE, Hit, is_offered
from .rows import Rows
from .spelling import code_variants

NEAR_KM = 60.0  # a code and a town that are typed together lie this close
LONGEST_WITHOUT_DIGIT = 4  # letters that may be meant as a code: SWIA
SHORTEST_AREA = 2  # letters of a state: IL
SHORTEST_PART = 3  # letters and digits that are read as the beginning of codes
WORDS_OF_AN_END = 5  # Rancho Cucamonga California United States
WORDS_OF_AN_ADDRESS = 4
MOST_MISSPELT = 4  # parts of one address that are looked for in spite of slips
MUCH_SMALLER = 20  # a town beside which another one that is named in the text was not meant


class Guess(NamedTuple):
    """A possible code in a longer text, with what it may be."""

    key: str
    rest: str
    hits: list[Hit]

    @property
    def opens(self) -> bool:
        """Whether the text begins with it, as with the number of a house."""
        return self.rest.startswith(",")

    @property
    def stands_out(self) -> bool:
        return len(self.key) > 2 or not self.key.isdigit()


class Search:
    """The questions to one file. A country or region that is typed limits what is found."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.rows = Rows(database)

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
            self.misspelt_inside,
            self.town_in_address,
            self.code_that_opens,
            self.end_of_address,
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
            hits = list(self.rows.codes_of(key))
            meant = self._limit(hits, rest) if hits else None
            if meant and _is_all(rest) and len(key) >= SHORTEST_PART and not _in(meant, wanted):
                meant += self.rows.beginning(key, wanted)
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
                hits = [hit._replace(edits=1) for hit in self.rows.codes_of(variant)]
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
            hits = [*self.rows.beginning(key, wanted)] or [*self.rows.beginning(key, ())]
            if meant := self._limit(hits, rest) if hits else None:
                return meant
        return []

    def _limit(self, hits: list[Hit], rest: str) -> list[Hit] | None:
        """The hits that agree with the other words; None when those words mean nothing to us."""
        words = [word for word in name_parts(rest) if word not in CODE_WORDS]
        if not words:
            return hits
        if any(re.search(r"\b[afd]po\b", word) for word in words):
            return [hit for hit in hits if hit.country == "US"]
        areas = [self.rows.areas(word) for word in words]
        if all(countries or regions for countries, regions in areas):
            named = [countries | {country for country, _ in regions} for countries, regions in areas]
            return [hit for hit in hits if all(hit.country in countries for countries in named)]
        if towns := self.places(", ".join(words))[0]:
            return [hit for hit in hits if _people_near(hit, towns)]
        return None

    def code_in_address(self, typed: str) -> list[Hit]:
        """Of a text that says more (street, house): the code by the largest town that is named, else one in full form.

        What opens the text is rather the number of a house: `code_that_opens`.
        """
        guesses = self._codes_in(typed)
        if not guesses:
            return []
        end = self.town_at_end(typed)
        towns = end or [place for phrase in phrases(typed) for place in self.rows.places_of(phrase)]
        people = [
            (_people_near(hit, towns), hit) for guess in guesses if guess.stands_out for hit in guess.hits
        ]
        if most := max((size for size, _ in people), default=0):
            agreed = {hit.country: hit for size, hit in reversed(people) if size * MUCH_SMALLER > most}
            return list(agreed.values())
        if end:
            return _using(end)
        full = (guess.hits for guess in guesses if is_full_code(guess.key) and not guess.opens)
        return next(full, [])

    def code_that_opens(self, typed: str) -> list[Hit]:
        """Of a text in which no town is named."""
        return next((guess.hits for guess in self._codes_in(typed) if is_full_code(guess.key)), [])

    def _codes_in(self, typed: str) -> list[Guess]:
        """The likeliest first: what does not open the text, the longest, the last."""
        guesses = [
            Guess(key, rest, [hit._replace(used=hit.names[0]) for hit in self.rows.codes_of(key)])
            for key, rest in reversed(list(code_guesses(typed)))
        ]
        return sorted(
            (guess for guess in guesses if guess.hits), key=lambda guess: (guess.opens, -len(guess.key))
        )

    def town_at_end(self, typed: str) -> list[Hit]:
        """An address ends in its town, and perhaps what that lies in: the longest end that is one."""
        words = [word for word in " ".join(name_parts(typed)).split() if not has_digit(word)]
        for first in range(max(0, len(words) - WORDS_OF_AN_END), len(words)):
            end = " ".join(words[first:])
            if len(end) >= SHORTEST_NAME and end not in STREET_WORDS and (found := self.places(end)[0]):
                return found
        return []

    def end_of_address(self, typed: str) -> list[Hit]:
        """Of a text so long, or with a number, that it is hardly a misspelt name."""
        is_address = has_digit(typed) or len(typed.split()) >= WORDS_OF_AN_ADDRESS
        return _using(self.town_at_end(typed)) if is_address else []

    def town_in_address(self, typed: str) -> list[Hit]:
        """What stands between the commas: the town with what it lies in, else the largest town that is named."""
        ends, pieces = address_parts(typed)
        for part in ends:
            if len(part) >= SHORTEST_NAME and (found := self.places(part)[0]):
                return _using(found)
        named = (self.places(piece)[0] for piece in pieces if len(piece) >= SHORTEST_NAME)
        return _using(max(named, key=_people, default=[]))

    def town_in_text(self, typed: str) -> list[Hit]:
        """The largest town that any words of the text name."""
        named = (self.rows.places_of(phrase) for phrase in phrases(typed) if phrase not in STREET_WORDS)
        called = ([hit for hit in hits if not hit.besides] for hits in named)
        return _using(max(called, key=_people, default=[]))

    # ---------------------------------------------------------------- names

    def names(self, typed: str) -> tuple[list[Hit], list[Hit]]:
        """Towns, regions and countries of that name, and towns that are much larger and nearly called so."""
        found, elsewhere = self.places(typed)
        found = [*found, *self._regions_named(typed)]
        largest = _people(found)
        if largest < LARGE and not has_digit(typed) and self.rows.places_of(fold(typed)):
            found += [hit for hit in self.misspelt(typed) if is_offered(hit, largest)]
        return found, elsewhere

    def places(self, typed: str) -> tuple[list[Hit], list[Hit]]:
        for name, within in name_guesses(typed):
            for spelt in abbreviations(name):
                if hits := self._inside(self.rows.places_of(spelt), within):
                    return hits, []
        first, *others = name_parts(typed) or [""]
        known = others and all(any(self.rows.areas(part)) for part in others)
        return [], self.rows.places_of(first) if known else []

    def misspelt_inside(self, typed: str) -> list[Hit]:
        """Where the place, what it lies in, or both were nearly typed: Springfield, Ilinois."""
        guesses = [(name, within) for name, within in name_guesses(typed) if within and not has_digit(name)]
        meant = {(name, tuple(map(self._area_meant, within))): within for name, within in guesses}
        meant = {guess: within for guess, within in meant.items() if all(guess[1])}
        for (name, areas), within in meant.items():
            if hits := self._inside(self.rows.places_of(name), areas):
                return [hit._replace(edits=1) for hit in hits] if areas != within else hits
        for name, areas in meant:
            if hits := self._inside(self._nearly(name), areas):
                return hits
        return []

    def _area_meant(self, part: str) -> str:
        return part if any(self.rows.areas(part)) else next(iter(self.rows.areas_nearly(part)), "")

    def _nearly(self, name: str) -> list[Hit]:
        """The places that are nearest in spelling, with the number of edits."""
        return [
            hit._replace(edits=edits)
            for key, edits in self.rows.nearly(name).items()
            for hit in self.rows.places_of(key)
        ]

    def misspelt(self, typed: str) -> list[Hit]:
        """Places, regions and countries of nearly that name, else of nearly the name that a part of an address has."""
        whole = fold(typed)
        if not has_digit(whole):
            areas = self.rows.areas_nearly(whole).items()
            near = [hit._replace(edits=edits) for key, edits in areas for hit in self._regions_named(key)]
            if hits := [*self._nearly(whole), *near]:
                return hits
        ends, pieces = address_parts(typed)
        names = [name for name in map(fold, pieces) if not (has_digit(name) or any(self.rows.areas(name)))]
        inside = map(self.misspelt_inside, ends[:MOST_MISSPELT])
        found = chain(inside, map(self._nearly, names[:MOST_MISSPELT]))
        return _using(next(filter(None, found), []))

    def _regions_named(self, typed: str) -> list[Hit]:
        for name, within in name_guesses(typed):
            if len(name) < SHORTEST_AREA:
                continue
            countries, regions = self.rows.areas(name.removesuffix(" state"))
            wanted = [(country, "") for country in sorted(countries)] + sorted(regions)
            hits = [hit for country, code in wanted for hit in self.rows.area(country, code)]
            if hits := self._inside(hits, within):
                return hits
        return []

    def _inside(self, hits: list[Hit], within: Sequence[str]) -> list[Hit]:
        for part in within:
            countries, regions = self.rows.areas(part)
            hits = [at for at in hits if at.country in countries or (at.country, at.region) in regions]
        return hits


# ---------------------------------------------------------------- rows


def _people_near(hit: Hit, towns: Iterable[Hit]) -> int:
    """How many people live in the largest of the towns that lie near the code, at least one; 0: near none."""
    if hit.point is None:
        return 0
    near = [town for town in towns if town.point and great_circle(hit.point, town.point).km < NEAR_KM]
    return max((town.population for town in near), default=-1) + 1


def _is_all(rest: str) -> bool:
    return not name_parts(rest)


def _in(hits: Iterable[Hit], countries: Sequence[str]) -> list[Hit]:
    return [hit for hit in hits if hit.country in countries]


def _using(hits: Sequence[Hit]) -> list[Hit]:
    """Towns that a part of the text names."""
    return [hit._replace(used=hit.names[0]) for hit in hits]


def _people(hits: Sequence[Hit]) -> int:
    return max((hit.population for hit in hits), default=0)
