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
from ..places.naming import LETTERED, code_key, country_named, fold, home, listed_forms, own_letters
from ..places.readings import COARSE_KM
from ..places.shapes import Box, Shape, cells

LONGEST = 100_000
MOST_CODES = 2000
LONGEST_REGION = 100  # letters: an index of PostgreSQL takes no long ones
FARTHEST = Distance(500.0)
PART = 3  # letters of a code, at most, under which its finer ones are looked for
INWARD = 3  # letters and digits of a British postcode behind the space
CELL_SIZES = (0.2, 1.0, 10.0)  # degrees
MOST_TRIED = 20_000  # squares of a hostile area
MOST_CELLS = 100  # of the finer size, before the coarser is taken

How = Literal["code", "beginning", "shape", "reach", "region"]
# Of several branches that serve a place the one that says so most closely comes first.
CLOSENESS: Sequence[How] = ("code", "beginning", "shape", "reach", "region")

_TERM = re.compile(r"\s*(code|within|region|area)s?\s*:\s*(.*)", re.IGNORECASE | re.DOTALL)
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

    point: Point | None  # None: a code that has no place
    precision_km: float
    # By country: of the code that was typed its forms, the fullest first; else the codes around, or beginnings of
    # them, with an asterisk.
    codes: Mapping[str, tuple[str, ...]]
    # By country and folded name or letters (of a country none): whether it lies there for certain.
    regions: Mapping[tuple[str, str], bool]
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
        match = re.match(r"\s*areas?\s*:\s*(?={)", text, re.IGNORECASE)
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
        case "code":
            return _with_codes(found, words)
        case "within":
            return replace(found, reach=_reach(text))
        case "region":
            if not words or not all(0 < len(fold(word)) <= LONGEST_REGION for word in words):
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
        meant = _country_meant(region, country)
        asked = ((country, region), *([(meant, "")] if meant else []))
        if sure := [where.regions[key] for key in asked if key in where.regions]:
            yield Fit("region", any(sure), region)
    if where.precision_km > COARSE_KM:
        return
    yield from _fit_codes(_in_country(served, country), where.codes.get(country, ()), where)
    if where.point is None:
        return
    if served.reach and own:
        inside, margin = served.reach.km - great_circle(own, where.point).km, where.precision_km
        if inside > -margin:
            yield Fit("reach", inside >= margin)
    for shape in served.shapes:
        inside_it, near = shape.contains(where.point), shape.is_near(where.point, where.precision_km)
        if inside_it or near:
            yield Fit("shape", inside_it and not near)


def _country_meant(region: str, own: str) -> str:
    """The country that a region's name is; empty for none.

    IL is Israel, and in the US Illinois: of two letters, those of its own regions are meant, where there are any.
    """
    if len(region) == 2 and own in LETTERED and region.upper() != own:
        return ""
    return country_named(region, own)


def _in_country(served: Territory, country: str) -> Territory:
    """With its codes as they are listed: D-10115 is 10115 in Germany."""
    letters = own_letters(country)
    if not letters:
        return served

    def plain(code: str) -> str:
        number = next((code.removeprefix(one) for one in letters if code.startswith(one)), code)
        return number if number.isdigit() else code

    return replace(
        served,
        codes=frozenset(map(plain, served.codes)),
        beginnings=tuple(map(plain, served.beginnings)),
    )


def _fit_codes(served: Territory, codes: Sequence[str], where: Where) -> Iterator[Fit]:
    """A code that was typed lies in the territory or not; of codes around a place some may, or a part of one."""
    inside = [code for code in codes if code in served.codes]
    begun = [code for code in codes if code.startswith(served.beginnings)]
    closest = inside[0] if inside else _longest(served.beginnings, begun[0]) if begun else ""
    how: How = "code" if inside else "beginning"
    if where.is_code and closest:
        yield Fit(how, True, closest)
    elif closest:
        only = len({*inside, *begun}) == len(codes) and len(where.codes) == 1
        yield Fit(how, only, closest)
    elif part := _finer(served, codes[:1] if where.is_code else codes):
        yield Fit("code", False, part)


def _longest(beginnings: Sequence[str], code: str) -> str:
    return max((begin for begin in beginnings if code.startswith(begin)), key=len)


def _finer(served: Territory, codes: Sequence[str]) -> str:
    """Of these codes one that has a part in the territory; empty without one."""
    wanted = set(codes)
    for code in (*served.codes, *served.beginnings):
        for begin in _beginnings(code):
            if f"{begin}*" in wanted or (begin in wanted and begin != code and _is_part(code, begin)):
                return begin
    return ""


def _is_part(code: str, begin: str) -> bool:
    """E1 6AN is a part of E1, E10 is none."""
    if code.isdigit() or not (begin[-1].isdigit() and code[len(begin)].isdigit()):
        return True
    return len(code) - len(begin) >= INWARD and begin in {form for _, form in listed_forms(code)}


def _beginnings(code: str) -> Iterator[str]:
    return (code[:end] for end in range(1, len(code) + 1))


# ---------------------------------------------------------------- keys, for finding the territories that may fit


def keys(served: Territory, country: str, own: Point | None) -> frozenset[str]:
    """What the database knows a territory by: every place that it may serve asks for one of these."""
    at = home(country)
    local = _in_country(served, at)
    found = {f"code:{at}:{code}" for code in local.codes}
    found |= {f"begin:{at}:{begin}" for begin in local.beginnings}
    for code in (*local.codes, *local.beginnings):
        found |= {f"part:{at}:{begin}" for begin in _beginnings(code[:PART]) if begin != code}
    for region in served.regions:
        found.add(f"region:{at}:{region}")
        if meant := _country_meant(region, at):
            found.add(f"region:{meant}:")
    return frozenset(found | set(_cell_keys(_boxes(served, own))))


def keys_asked(where: Where) -> frozenset[str]:
    """The keys of all territories that may serve a place."""
    found = {f"region:{country}:{name}" for country, name in where.regions}
    if where.precision_km > COARSE_KM:
        return frozenset(found)
    for country, codes in where.codes.items():
        for code in (one.rstrip("*") for one in codes):
            found |= {f"begin:{country}:{begin}" for begin in _beginnings(code)}
            found |= {f"code:{country}:{code}", f"part:{country}:{code[:PART]}"}
    if where.point:
        around = _around(where.point, where.precision_km)
        found |= {_cell_key(size, *at) for size in CELL_SIZES for at in cells([around], size)}
    return frozenset(found)


def _boxes(served: Territory, own: Point | None) -> list[Box]:
    boxes = [shape.box for shape in served.shapes]
    return [*boxes, _around(own, served.reach.km)] if served.reach and own else boxes


def _around(point: Point, km: float) -> Box:
    """Of everything within some kilometres, and a hair more."""
    north = 1.001 * km / KM_PER_DEGREE
    farthest = abs(point.latitude) + north
    east = min(north / math.cos(math.radians(farthest)), 180.0) if farthest < 89 else 180.0
    return point.longitude - east, point.latitude - north, point.longitude + east, point.latitude + north


def _cell_keys(boxes: Sequence[Box]) -> Iterator[str]:
    """Of the finest size that does not give too many."""
    *finer, coarsest = CELL_SIZES
    for size in finer:
        tried = sum(((e - w) / size + 2) * ((n - s) / size + 2) for w, s, e, n in boxes)
        if tried <= MOST_TRIED and len(found := cells(boxes, size)) <= MOST_CELLS:
            return (_cell_key(size, *at) for at in found)
    return (_cell_key(coarsest, *at) for at in cells(boxes, coarsest))


def _cell_key(size: float, row: int, column: int) -> str:
    return f"cell:{size:g}:{row}:{column}"
