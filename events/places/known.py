"""What the branches know of where they are: serves where the directory does not know a place, or is missing. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from .asking import code_guesses, name_guesses, name_parts
from .centres import centre
from .naming import OTHER_COUNTRY_NAMES, code_key, country_name, fold, home, listed_forms
from .packages import PostalRow
from .readings import Hit, Kind, KnownPlace

KNOWN_KM = 5.0  # how far it may be from an address there


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look for among the places of branches: keys of codes, and folded names of towns."""

    keys: frozenset[str]  # of codes, as they were typed
    codes: frozenset[str]  # and all that a full one may be listed under
    names: frozenset[tuple[str, tuple[str, ...]]]  # (town, what it lies in)

    @classmethod
    def of(cls, typed: str) -> Self:
        keys = frozenset(key for key, rest in code_guesses(typed) if key and not name_parts(rest))
        codes = keys.union(form for key in keys for _, form in listed_forms(key))
        return cls(keys, codes, frozenset(name_guesses(typed)))

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
        if _shared(wanted, country, place.postal_code):
            by_code.setdefault((country,), []).append(row)
        areas = {fold(place.region), *_names_of(country)}
        if any(name == fold(place.city) and areas.issuperset(within) for name, within in wanted.names):
            by_town.setdefault((country, place.region), []).append(row)
    return [_hit_of_code(wanted, rows) for rows in by_code.values()] or [
        _hit_of("place", rows) for rows in by_town.values()
    ]


def _names_of(country: str) -> set[str]:
    names = (country_name(country), country_name(country, "es"), *OTHER_COUNTRY_NAMES.get(country, ()))
    return {fold(country), *map(fold, names)}


def _shared(wanted: Wanted, country: str, code: str) -> frozenset[str]:
    """What was typed and this code have in common: of two full ones perhaps the beginning."""
    return _forms(wanted.keys, country) & _forms([code_key(code)], country)


def _forms(keys: Iterable[str], country: str) -> frozenset[str]:
    return frozenset(keys).union(
        form for key in keys for countries, form in listed_forms(key) if country in countries
    )


def _hit_of(kind: Kind, rows: Sequence[PostalRow]) -> Hit:
    point, spread, row = centre(rows)
    return Hit(kind, (row.place, row.region), row.country, point, max(spread.km, KNOWN_KM), len(rows))


def _hit_of_code(wanted: Wanted, rows: Sequence[PostalRow]) -> Hit:
    """Called by what was typed, as far as these have it: E1, when only E1 6QL is known."""
    hit = _hit_of("postal_code", rows)
    shared = frozenset().union(*(_shared(wanted, row.country, row.code) for row in rows))
    typed = [key for key in wanted.keys if shared & _forms([key], hit.country)]
    longest, *others = sorted(shared, key=lambda key: (-len(key), key))
    written = next((row.code for row in rows if code_key(row.code) == longest), longest)
    codes = tuple(dict.fromkeys((*sorted(typed), longest, *others)))
    return hit._replace(names=(written, *hit.names), codes=codes)
