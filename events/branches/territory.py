"""What a branch serves, as its `service_area` says it, and whether a place lies in it. Pure.

`codes: 606*, 60614; within: 5 mi; regions: Illinois, WI; area: {GeoJSON}; anything else is a note for people`.
An area may be all of the earth's Texas and a postcode in Madrid: a place that fits one of them is served.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from ..errors import Unreadable, say
from ..places.geo import KM_PER_DEGREE, Distance, Point, great_circle
from ..places.naming import code_key, fold, home, listed_forms
from ..places.shapes import Shape, cells

LONGEST = 100_000
MOST_CODES = 2000
FARTHEST = Distance(500.0)
PART = 3  # letters of a code under which its finer ones are looked for
COARSE_KM = (
    100.0  # a reading less precise than this is a region, not a place: only regions can be matched with it
)
CELL_SIZES = (1.0, 10.0)  # degrees
MOST_CELLS = 100  # of the finer size, before the coarser is taken

How = Literal["code", "beginning", "shape", "reach", "region"]
# Of several branches that serve a place the one that says so most closely comes first.
CLOSENESS: Sequence[How] = ("code", "beginning", "shape", "reach", "region")

_TERM = re.compile(r"\s*(codes|within|regions|area)\s*:\s*(.*)", re.IGNORECASE | re.DOTALL)
_BEGINNING = re.compile(r"[A-Z0-9]{1,10}\*")


@dataclass(frozen=True, slots=True)
class Territory:
    codes: frozenset[str] = frozenset()  # keys
    beginnings: tuple[str, ...] = ()  # of keys
    reach: Distance | None = None  # around the branch
    regions: tuple[str, ...] = ()  # names or letters, folded
    shapes: tuple[Shape, ...] = ()
    notes: tuple[str, ...] = ()  # for people
    region_names: tuple[str, ...] = ()  # as they were written


@dataclass(frozen=True, slots=True)
class Where:
    """A place as territories see it."""

    point: Point
    precision_km: float
    codes: Mapping[
        str, tuple[str, ...]
    ]  # by country: of one code its forms, the fullest first; else those around
    regions: frozenset[tuple[str, str]]  # (country, folded name or letters); of a country the empty name
    is_code: bool  # a code was typed


@dataclass(frozen=True, slots=True)
class Fit:
    """Why a branch may serve a place. Not sure: the border of its area runs within the precision."""

    how: How
    sure: bool
    detail: str = ""  # the code, beginning or region

    @property
    def rank(self) -> tuple[bool, int]:
        return not self.sure, CLOSENESS.index(self.how)


# ---------------------------------------------------------------- reading


@lru_cache(1000)
def territory(text: str) -> Territory:
    """Raises Unreadable with what is wrong in it."""
    if text.lstrip().startswith("{"):
        return Territory(shapes=Shape.all_of(text))
    found = Territory()
    for term in _terms(text):
        match = _TERM.fullmatch(term)
        found = _with(found, match[1].lower(), match[2].strip()) if match else _noted(found, term)
    return found


def _terms(text: str) -> Iterator[str]:
    """Between semicolons, except those within GeoJSON."""
    while text.strip(" ;"):
        match = re.match(r"\s*area\s*:\s*(?={)", text, re.IGNORECASE)
        if match:
            try:
                _, end = json.JSONDecoder().raw_decode(text, match.end())
            except (ValueError, RecursionError) as error:
                raise Unreadable(
                    say("What stands behind “area:” is not GeoJSON: a bracket or quotation mark is missing.")
                ) from error
            yield text[:end]
            text = text[end:].lstrip(" ;")
        else:
            term, _, text = text.partition(";")
            if term.strip():
                yield term.strip()


def _noted(found: Territory, note: str) -> Territory:
    return replace(found, notes=(*found.notes, note))


def _with(found: Territory, kind: str, text: str) -> Territory:
    words = [word.strip() for word in text.split(",") if word.strip()]
    match kind:
        case "codes":
            return _with_codes(found, words)
        case "within":
            return replace(found, reach=_reach(text))
        case "regions":
            if not words or not all(map(fold, words)):
                raise Unreadable(say("Name the regions behind “regions:”, as in regions: Illinois, WI."))
            regions = (*found.regions, *map(fold, words))
            return replace(found, regions=regions, region_names=(*found.region_names, *words))
    return replace(found, shapes=(*found.shapes, *Shape.all_of(text)))


def _with_codes(found: Territory, words: Sequence[str]) -> Territory:
    codes, beginnings = set(found.codes), list(found.beginnings)
    for word in words:
        plain = re.sub(r"[\s-]", "", word.upper())
        if _BEGINNING.fullmatch(plain):
            beginnings.append(plain[:-1])
        elif 1 < len(code_key(word)) <= 10 and plain.isalnum():
            codes.add(code_key(word))
        else:
            raise Unreadable(
                say(
                    "“%(word)s” is neither a postal code nor the beginning of one, such as 606*.",
                    word=word[:40],
                )
            )
    if not words:
        raise Unreadable(say("Name the postal codes behind “codes:”, as in codes: 60614, 606*."))
    if len(codes) + len(beginnings) > MOST_CODES:
        raise Unreadable(
            say("More than %(most)d postal codes: use beginnings, such as 606*.", most=MOST_CODES)
        )
    return replace(found, codes=frozenset(codes), beginnings=tuple(beginnings))


def _reach(text: str) -> Distance:
    reach = Distance.parse(text)
    if reach > FARTHEST:
        raise Unreadable(
            say("“within:” goes up to %(most)d km. For more, use “regions:”.", most=int(FARTHEST.km))
        )
    return reach


# ---------------------------------------------------------------- fitting


def fits(served: Territory, country: str, own: Point | None, where: Where) -> Fit | None:
    """The closest reason why the branch serves the place, a sure one before one that may be; None without."""
    found = list(_fits(served, home(country), own, where))
    return min(found, key=lambda fit: fit.rank, default=None)


def _fits(served: Territory, country: str, own: Point | None, where: Where) -> Iterator[Fit]:
    for region in served.regions:
        if (country, region) in where.regions or _is_country(region, where):
            yield Fit("region", True, region)
    if where.precision_km > COARSE_KM:
        return
    yield from _fit_codes(served, where.codes.get(country, ()), where.is_code)
    if served.reach and own:
        inside, margin = served.reach.km - great_circle(own, where.point).km, where.precision_km
        if inside > -margin:
            yield Fit("reach", inside >= margin)
    for shape in served.shapes:
        inside_it, near = shape.contains(where.point), shape.edge_km(where.point) < where.precision_km
        if inside_it or near:
            yield Fit("shape", inside_it and not near)


def _is_country(region: str, where: Where) -> bool:
    return any(region == fold(country) and not name for country, name in where.regions)


def _fit_codes(served: Territory, codes: Sequence[str], is_code: bool) -> Iterator[Fit]:
    if not codes:
        return
    inside = [code for code in codes if code in served.codes]
    begun = {code: begin for code in codes for begin in served.beginnings if code.startswith(begin)}
    if is_code:
        if inside:
            yield Fit("code", True, inside[0])
        if begun:
            yield Fit("beginning", True, max(begun.values(), key=len))
        finer = [code for code in (*served.codes, *served.beginnings) if code.startswith(codes[-1])]
        if finer and not inside and not begun:
            yield Fit("code", False, codes[-1])
    elif inside or begun:
        how: How = "code" if inside else "beginning"
        sure = len({*inside, *begun}) == len(codes)
        yield Fit(how, sure, inside[0] if inside else max(begun.values(), key=len))


# ---------------------------------------------------------------- keys, for finding the territories that may fit


def keys(served: Territory, country: str, own: Point | None) -> frozenset[str]:
    """What the database knows a territory by: every place that it may serve asks for one of these."""
    at = home(country)
    found = {f"code:{at}:{code}" for code in served.codes}
    found |= {f"begin:{at}:{begin}" for begin in served.beginnings}
    for code in (*served.codes, *served.beginnings):
        coarser = {code[:PART], *(form for _, form in listed_forms(code))} - {code}
        found |= {f"part:{at}:{form}" for form in coarser}
    for region in served.regions:
        found |= {f"region:{at}:{region}", f"region:{region.upper()}:"}
    return frozenset(found | set(_cell_keys(_boxes(served, own))))


def keys_asked(where: Where) -> frozenset[str]:
    """The keys of all territories that may serve a place."""
    found = {f"region:{country}:{name}" for country, name in where.regions}
    if where.precision_km > COARSE_KM:
        return frozenset(found)
    for country, codes in where.codes.items():
        for code in codes:
            found |= {f"begin:{country}:{code[:end]}" for end in range(1, len(code) + 1)}
            found |= {f"code:{country}:{code}", f"part:{country}:{code}", f"part:{country}:{code[:PART]}"}
    around = _around(where.point, where.precision_km)
    return frozenset(found | {_cell_key(size, *at) for size in CELL_SIZES for at in cells([around], size)})


def _boxes(served: Territory, own: Point | None) -> list[tuple[float, float, float, float]]:
    boxes = [shape.box for shape in served.shapes]
    return [*boxes, _around(own, served.reach.km)] if served.reach and own else boxes


def _around(point: Point, km: float) -> tuple[float, float, float, float]:
    north = km / KM_PER_DEGREE
    farthest = math.radians(min(89.0, abs(point.latitude) + north))
    east = min(180.0, north / math.cos(farthest))
    return point.longitude - east, point.latitude - north, point.longitude + east, point.latitude + north


def _cell_keys(boxes: Sequence[tuple[float, float, float, float]]) -> Iterator[str]:
    """Of the finest size that does not give too many."""
    for size in CELL_SIZES:
        found = cells(boxes, size)
        if len(found) <= MOST_CELLS or size == CELL_SIZES[-1]:
            return (_cell_key(size, row, column) for row, column in found)
    return iter(())


def _cell_key(size: float, row: int, column: int) -> str:
    return f"cell:{size:g}:{row}:{column}"
