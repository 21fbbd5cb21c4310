"""Readings of what was typed: what they are, which is likelier, and how each is called. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Literal, NamedTuple

from ..errors import BranchlineError, Message, say
from .geo import Point, great_circle
from .naming import country_name, parts

Kind = Literal[
    "coordinates", "plus_code", "postal_code", "postal_area", "place", "region", "country", "branch"
]
Reason = Literal["not_a_code", "code", "place", "nowhere", "short_plus_code", "elsewhere", "no_directory"]

CODE_KINDS = ("postal_code", "postal_area")
MOST_READINGS = 8
COARSE_KM = 100.0  # a reading less precise than this is a region, not a place
LONGEST_NAME = 40
SAME_TOWN_KM = 25.0
UNCOUNTED_KM = 3.0
PEOPLE_PER_KM2 = 2500  # of a town: its population tells how far from its middle an address may be
# A name is not a code: wanted countries weigh more, and are not simply first. Visitors of a site in the US,
# Mexico and Spain who type Madrid mean Spain's, not Iowa's. Names that a place has besides weigh less too, a
# region or country less than the town of that name, and much less what was only nearly typed.
WEIGHT_OF_RANK = 0.2
LEAST_WEIGHT = 0.005
LEAST_SCORE = 0.0001
WEIGHT_OF_OTHER_NAME = 0.2
WEIGHT_OF_AREA = 0.03
WEIGHT_OF_EDIT = 0.02
# Beside a place that has exactly the name that was typed, a much larger one with nearly that name is offered.
LARGE, MUCH_LARGER = 100_000, 20


@dataclass(frozen=True, slots=True)
class Interpretation:
    """One reading of what was typed. `point` None: a code that is known, and has no place (military mail)."""

    kind: Kind
    label: str
    country: str | None  # ISO 3166-1 alpha-2
    point: Point | None
    precision_km: float  # an address meant by it is hardly farther from `point`
    timezone: str | None = None  # IANA, where the directory knows it
    score: float = 1.0  # above 0; of several readings the first has the highest
    used: str = ""  # the part of a longer text (an address) that was read; empty: all of it
    codes: tuple[str, ...] = ()  # keys of the postal code, the fullest first
    region: str = ""  # the directory's code of the region within the country
    mended: bool = False  # something like it was typed
    slug: str = ""  # of a branch


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

    def __init__(
        self,
        typed: str,
        reason: Reason,
        elsewhere: Sequence[Interpretation] = (),
        example: str = "60614",
    ) -> None:
        super().__init__(_sorry(typed, reason, example))
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
    region: str = ""
    besides: bool = False  # the place has another name in the first place
    edits: int = 0  # letters that were typed otherwise
    used: str = ""
    codes: tuple[str, ...] = ()

    @property
    def is_code(self) -> bool:
        return self.kind in CODE_KINDS


def town_km(population: int) -> float:
    """Of a town that nobody has counted, what most of them have."""
    if not population:
        return UNCOUNTED_KM
    return round(max(1.0, math.sqrt(population / PEOPLE_PER_KM2 / math.pi)), 1)


def readings(
    hits: Sequence[Hit], said: str | None, prefer: Sequence[str], locale: str
) -> list[Interpretation]:
    """The hits in words, the likeliest first, each town once."""
    ranks = {country: rank for rank, country in reversed(list(enumerate(prefer)))}
    named = any(not (hit.is_code or hit.besides or hit.edits) for hit in hits)
    meant = [hit for hit in hits if not (named and hit.besides and hit.population < LARGE)]
    weighed = sorted(((_weight(hit, ranks), hit) for hit in meant), key=itemgetter(0), reverse=True)
    if said:
        weighed = _said_first(weighed, parts(said))
    kept: list[tuple[float, Hit]] = []
    for weight, hit in weighed:
        if not any(_same_town(hit, better) for _, better in kept):
            kept.append((weight, hit))
    kept = [item for number, item in enumerate(kept) if item[1].is_code or number < MOST_READINGS]
    best = max((weight for weight, _ in kept), default=1.0)
    found = [told(hit, locale, max(round(weight / best, 4), LEAST_SCORE)) for weight, hit in kept]
    return [one for number, one in enumerate(found) if not _is_called_so(one, found[:number])]


def _said_first(weighed: Sequence[tuple[float, Hit]], first: frozenset[str]) -> list[tuple[float, Hit]]:
    """Those in the country that was said, and none from elsewhere heavier than these."""
    there = [weight for weight, hit in weighed if hit.country in first]
    elsewhere = [weight for weight, hit in weighed if hit.country not in first]
    factor = min(1.0, min(there) / max(elsewhere)) if there and elsewhere else 1.0
    lighter = [(weight if hit.country in first else weight * factor, hit) for weight, hit in weighed]
    return sorted(lighter, key=lambda item: item[1].country not in first)


def _weight(hit: Hit, ranks: dict[str, int]) -> float:
    """Codes in the order of countries, then by people there; names by people, weighted by country."""
    rank = ranks.get(hit.country)
    if hit.is_code:
        tried = len(ranks) if rank is None else rank
        people = min(hit.population, 2_000_000_000) / 4e9  # of two countries at one rank the larger
        return (0.5 ** min(tried, 60)) * (0.7 + 0.3 * people) * (0.8 if hit.point is None else 1.0)
    weight = LEAST_WEIGHT if rank is None else max(WEIGHT_OF_RANK**rank, LEAST_WEIGHT)
    weight *= WEIGHT_OF_OTHER_NAME if hit.besides else 1
    weight *= WEIGHT_OF_AREA if hit.kind in ("region", "country") else 1
    return weight * WEIGHT_OF_EDIT**hit.edits * max(hit.population, 1)


def is_offered(hit: Hit, largest: int) -> bool:
    """Whether a place with nearly the name is offered beside those with that name, of which the largest is given."""
    return hit.population >= LARGE and hit.population >= MUCH_LARGER * largest


def _same_town(hit: Hit, other: Hit) -> bool:
    """The City of London is called London too; misspelt, a town may be found by several of its names."""
    if hit.kind != "place" or other.kind != "place" or not (hit.besides or hit.edits):
        return False
    if hit.country != other.country or hit.point is None or other.point is None:
        return False
    return great_circle(hit.point, other.point).km < SAME_TOWN_KM


def _is_called_so(one: Interpretation, better: Sequence[Interpretation]) -> bool:
    """Luxembourg is a town, a district and a country: as one reading, because they would be called alike."""
    return one.kind in ("region", "country") and any(other.label == one.label for other in better)


def told(hit: Hit, locale: str, score: float = 1.0) -> Interpretation:
    """`60614 Chicago, Illinois, United States`; a name that comes twice is said once."""
    code, names = (hit.names[0], hit.names[1:]) if hit.is_code else ("", hit.names)
    said = (*(_short(name) for name in names), country_name(hit.country, locale))
    words = ", ".join(dict.fromkeys(name for name in said if name))
    label = f"{code}{' ' if any(names) else ', '}{words}" if code else words
    return Interpretation(
        kind=hit.kind,
        label=label,
        country=hit.country,
        point=hit.point,
        precision_km=hit.precision_km,
        timezone=hit.timezone,
        score=score,
        used=hit.used,
        codes=hit.codes,
        region=hit.region,
        mended=hit.edits > 0,
    )


def _short(name: str) -> str:
    """Without the long lists that GeoNames has in brackets behind Canadian codes."""
    return name if len(name) <= LONGEST_NAME else name.partition(" (")[0]


def _sorry(typed: str, reason: Reason, example: str) -> Message:
    match reason:
        case "not_a_code":
            return say(
                "“%(typed)s” is not a postal code: one looks like %(example)s. Type the whole code, or a town.",
                typed=typed,
                example=example,
            )
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
        case "short_plus_code":
            return say(
                "The Plus Code “%(typed)s” is a short one: type the town behind it, as in 8FRC+X4 Springfield.",
                typed=typed,
            )
        case "nowhere":
            return say(
                "“%(typed)s” is a code of forces’ mail: it has no place on the map. "
                "Type the town where you are instead.",
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
