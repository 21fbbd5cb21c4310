"""What the place directory lists, to the letter: for checks, where a slip is what one looks for."""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from .geo import Point
from .naming import home, listed_forms, parts, postal_key
from .search import Search

CODES = "SELECT latitude, longitude, precision_km FROM postal WHERE key = ? AND country = ?"
ANY_CODE = "SELECT 1 FROM shape WHERE country = ? LIMIT 1"


class Spot(NamedTuple):
    """Where a code or a town is, and how far an address there may be from it; a code of military mail has no point."""

    point: Point | None
    precision_km: float


class Listed:
    """Questions to one file. A country stands for what counts as it, too (`naming.parts`)."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._search = Search(database)

    def codes(self, code: str, country: str) -> list[Spot]:
        """The code itself, else the listed form of a full one."""
        for form in _forms(code, country):
            rows = [
                row
                for one in sorted(parts(home(country)))
                for row in self._database.execute(CODES, (form, one))
            ]
            if rows:
                return [Spot(None if at is None else Point(at, on), km) for at, on, km in rows]
        return []

    def towns(self, city: str, state: str, country: str) -> list[Spot]:
        """Of that name, in the state if one is given."""
        hits, _ = self._search.places(f"{city}, {state}" if state else city)
        meant = parts(home(country))
        return [Spot(hit.point, hit.precision_km) for hit in hits if hit.country in meant]

    def has_codes(self, country: str) -> bool:
        """Whether codes of the country are listed at all."""
        return self._database.execute(ANY_CODE, (home(country),)).fetchone() is not None


def _forms(code: str, country: str) -> Sequence[str]:
    key, meant = postal_key(country, code), parts(home(country))
    return (key, *(listed for countries, listed in listed_forms(key) if meant.intersection(countries)))
