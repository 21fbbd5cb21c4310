"""What a row left open: where the branch stands, as well as its address tells, and its time zone."""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache

from babel.core import get_global
from tzfpy import get_tz

from ..drafts import zone_names
from ..errors import Message, Unreadable, say
from ..places.geo import Point
from ..places.lookup import Gazetteer
from ..places.naming import REGION_LETTERS, home, parts
from ..places.readings import Interpretation, Kind, UnknownPlace
from .drafts import BranchDraft
from .models import GUESSED, Accuracy, Branch, LocationType

UNKNOWN_ZONE = "UTC"
ADDRESS = ("location_type", "city", "state_province", "postal_code", "country")
# Where a branch's zone is looked for when its point lies in the sea: some 10, then 30 km around it.
AROUND_DEGREES = (0.1, 0.3)
# Here the gazetteer knows all states and their letters: a town that it knows only in another state is not meant.
STATES_ARE_KNOWN = frozenset({"US", *REGION_LETTERS})


class Locator:
    """Looks positions up without a network, each address once, and counts what it found."""

    def __init__(self, gazetteer: Gazetteer | None) -> None:
        self._gazetteer = gazetteer if gazetteer and gazetteer.exists else None
        self._found: dict[tuple[Kind, str, str], list[Interpretation]] = {}
        self._counts: Counter[str] = Counter()

    def complete(self, branch: Branch, draft: BranchDraft, before: Mapping[str, object]) -> None:
        """Fills in position and zone where `draft` left them open; `before` is the branch as it was.

        A position that was guessed from an address follows the address.
        """
        found = None
        if branch.location_type != LocationType.VIRTUAL and self._is_open(branch, draft, before):
            found = self._look_up(branch)
            branch.stand_at(found.point if found else None)
            branch.geocode_accuracy = _accuracy(found) if found else ""
            self._counts[branch.geocode_accuracy or "nowhere"] += 1
        if draft.timezone is None and (draft.gives("timezone") or branch.timezone == UNKNOWN_ZONE):
            branch.timezone = self._zone(branch, found)
            self._counts["no zone"] += branch.timezone == UNKNOWN_ZONE

    def notes(self) -> Iterator[Message]:
        if count := self._counts[Accuracy.POSTAL_CODE]:
            yield say("%(count)d branches were placed by their postal code.", count=count)
        if count := self._counts[Accuracy.PLACE]:
            yield say("%(count)d branches were placed by their town.", count=count)
        if count := self._counts["nowhere"]:
            yield say(
                "%(count)d branches have no position, so no search near a place finds them.", count=count
            )
        if count := self._counts["no zone"]:
            yield say("%(count)d branches have no known time zone; UTC was taken.", count=count)

    def _is_open(self, branch: Branch, draft: BranchDraft, before: Mapping[str, object]) -> bool:
        if branch.point is None:
            return True
        guessed = branch.geocode_accuracy in GUESSED
        moved = any(getattr(branch, column) != before[column] for column in ADDRESS)
        return guessed and moved and draft.point is None and self._gazetteer is not None

    def _look_up(self, branch: Branch) -> Interpretation | None:
        """By postal code in its country, else by town; a name that several towns have needs its state."""
        if not branch.country:
            return None
        if branch.postal_code and (
            found := self._readings("postal_code", branch.postal_code, branch.country)
        ):
            return found[0]
        if not branch.city:
            return None
        towns = self._readings("place", branch.city, branch.country)
        if not branch.state_province or not towns:
            return towns[0] if towns else None
        in_state = self._readings("place", f"{branch.city}, {branch.state_province}", branch.country)
        if in_state:
            return in_state[0]
        return towns[0] if len(towns) == 1 and home(branch.country) not in STATES_ARE_KNOWN else None

    def _readings(self, kind: Kind, text: str, country: str) -> list[Interpretation]:
        """What exactly this text means in that country, and as that kind of thing; an odd text means nothing."""
        if self._gazetteer is None:
            return []
        if (kind, text, country) not in self._found:
            try:
                readings = self._gazetteer.interpretations(text, country=country)
            except (UnknownPlace, Unreadable):
                readings = []
            there = parts(home(country))
            self._found[kind, text, country] = [
                place
                for place in readings
                if place.kind == kind and place.point and place.country in there
                and not (place.mended or place.used)
            ]  # fmt: skip
        return self._found[kind, text, country]

    def _zone(self, branch: Branch, found: Interpretation | None) -> str:
        """By the position, else as the gazetteer has it, else the country's if it has only one."""
        if branch.point:
            return zone_at(branch.point)
        if found and found.timezone in zone_names():
            return found.timezone
        return _zones_of_countries().get(branch.country, UNKNOWN_ZONE)


def zone_at(point: Point) -> str:
    """The IANA zone at a point; just off a coast the zone of the coast, on the high seas an Etc/GMT±n."""
    zone = _zone_of(point.longitude, point.latitude)
    for step in AROUND_DEGREES:
        if not zone.startswith("Etc/"):
            break
        around = ((dx * step, dy * step) for dx in (-1, 0, 1) for dy in (-1, 0, 1))
        near = (_zone_of(point.longitude + dx, point.latitude + dy) for dx, dy in around)
        zone = next((other for other in near if not other.startswith("Etc/")), zone)
    return zone if zone in zone_names() else UNKNOWN_ZONE


def _zone_of(longitude: float, latitude: float) -> str:
    east = (longitude + 180) % 360 - 180  # across the date line
    return get_tz(east, max(-90.0, min(90.0, latitude)))


@cache
def _zones_of_countries() -> dict[str, str]:
    """The zone of each country that has only one (CLDR)."""
    zones = {
        zone: country for zone, country in get_global("zone_territories").items() if zone in zone_names()
    }
    counts = Counter(zones.values())
    return {country: zone for zone, country in zones.items() if counts[country] == 1}


def _accuracy(found: Interpretation) -> Accuracy:
    return Accuracy.PLACE if found.kind == "place" else Accuracy.POSTAL_CODE
