"""What the branches know of where they are: serves where the directory does not know a place, or is missing. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from .asking import code_guesses, name_guesses, name_parts
from .centres import centre
from .naming import code_key, country_name, fold, home, listed_forms
from .packages import PostalRow
from .readings import Hit, Kind, KnownPlace

KNOWN_KM = 5.0  # how far it may be from an address there


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look for among the places of branches: keys of codes, and folded names of towns."""

    codes: frozenset[str]
    names: frozenset[tuple[str, tuple[str, ...]]]  # (town, what it lies in)

    @classmethod
    def of(cls, typed: str) -> Self:
        keys = [key for key, rest in code_guesses(typed) if not name_parts(rest)]
        return cls(frozenset(form for key in keys for form in _forms(key)), frozenset(name_guesses(typed)))

    @property
    def towns(self) -> frozenset[str]:
        return frozenset(name for name, _ in self.names)


def among(wanted: Wanted, known: Iterable[KnownPlace]) -> list[Hit]:
    """Those with the code, else those in the town, as one hit for each area."""
    by_code: dict[tuple[str, ...], list[PostalRow]] = {}
    by_town: dict[tuple[str, ...], list[PostalRow]] = {}
    for place in known:
        country, at = home(place.country), (place.point.latitude, place.point.longitude)
        row = PostalRow(country, place.postal_code, *at, place.city, place.region)
        if wanted.codes & _forms(code_key(place.postal_code)):
            by_code.setdefault((country,), []).append(row)
        areas = {fold(place.region), fold(country), fold(country_name(country))}
        if any(name == fold(place.city) and areas.issuperset(within) for name, within in wanted.names):
            by_town.setdefault((country, place.region), []).append(row)
    return [_hit_of("postal_code", rows) for rows in by_code.values()] or [
        _hit_of("place", rows) for rows in by_town.values()
    ]


def _forms(key: str) -> set[str]:
    return {key, *(listed for _, listed in listed_forms(key))}


def _hit_of(kind: Kind, rows: Sequence[PostalRow]) -> Hit:
    point, spread, row = centre(rows)
    is_code = kind == "postal_code"
    names = (row.code, row.place, row.region) if is_code else (row.place, row.region)
    codes = (code_key(row.code),) if is_code else ()
    return Hit(kind, names, row.country, point, max(spread.km, KNOWN_KM), len(rows), codes=codes)
