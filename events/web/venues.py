"""Where an event takes place, as organizers type it: a place that is known, or an address found offline."""

from dataclasses import dataclass

from sqlmodel import Session
from starlette.requests import Request

from ..branches.models import Branch
from ..calendars import venues
from ..calendars.venues import Venue
from ..errors import InvalidForm, Unreadable, say
from ..people import permissions
from ..places.geo import Distance, Point, geodesic
from ..places.readings import CODE_KINDS, Interpretation
from .endpoints import person_of
from .finding import find_place
from .forms import Form
from .map import Here, Map, Spot, draw_map
from .rows import distance_text, unit_of
from .state import language_of, state_of

EXACT = ("coordinates", "plus_code")
IN_TOWN = Distance(15.0)  # a town so near the branch says less of a place than that it is near the branch
_AS_NEAR = say("Searches find it as near as the branch. If it is elsewhere, put it on the map exactly.")
FIELDS = ("venue_name", "venue_address", "position")


@dataclass(frozen=True, slots=True)
class Found:
    """Where the place of an event is, as far as that is known; `reading` None: as near as the branch."""

    point: Point | None = None
    reading: Interpretation | None = None
    address: str = ""  # that was looked up


def known(request: Request, session: Session) -> list[Venue]:
    return venues.known_to(session, permissions.branch_ids(person_of(request)))


def completed(form: Form, choices: list[Venue]) -> Form:
    """The name alone of a place that is known says its address and position, too."""
    name, address, position = (form[field].strip() for field in FIELDS)
    venue = next((one for one in choices if one.name.casefold() == name.casefold()), None)
    if venue is None or position or (address and address != venue.address):
        return form
    said = [item for item in form.items() if item[0] not in ("venue_address", "position")]
    return Form([*said, ("venue_address", venue.address), ("position", str(venue.point or ""))], form.files)


def found(request: Request, session: Session, form: Form, owner: Branch, was: Form) -> Found:
    """The position that was typed, else the address looked up. `was`: the form before, of an event that exists.

    A position that stayed while the address changed belongs to the old address. Raises InvalidForm.
    """
    if form["attendance"] == "online":
        return Found()
    position, address = form["position"].strip(), form["venue_address"].strip()
    left_over = position == was["position"] and address != was["venue_address"]
    if position and not left_over:
        return _at(request, session, position, owner)
    return _looked_up(request, session, address, owner) if address else Found()


def _at(request: Request, session: Session, position: str, owner: Branch) -> Found:
    try:
        reading = _reading(request, session, position, owner)
    except Unreadable as error:
        raise InvalidForm({"position": error.message}) from error
    if reading is None or reading.kind not in EXACT:
        raise InvalidForm(
            {
                "position": say(
                    "“%(text)s” is not a position. One looks like 41.9227, -87.6533 or is a whole Plus Code.",
                    text=position[:40],
                )
            }
        )
    return Found(reading.point, reading)


def _looked_up(request: Request, session: Session, address: str, owner: Branch) -> Found:
    """A postal code or a town in the address: what is hardly more exact than the branch itself does not count."""
    try:
        reading = _reading(request, session, address, owner)
    except Unreadable:
        return Found(address=address)  # an address may be anything; only a position must be one
    if reading is None or reading.point is None:
        return Found(address=address)
    here = owner.public_point
    elsewhere = here is None or geodesic(here, reading.point) > IN_TOWN
    if reading.kind in (*EXACT, *CODE_KINDS) or (reading.kind == "place" and elsewhere):
        return Found(reading.point, reading, address)
    return Found(address=address)


def _reading(request: Request, session: Session, text: str, owner: Branch) -> Interpretation | None:
    finding = find_place(request, session, Form([("near", text), ("country", owner.country)]))
    return next((one for one in finding.readings if one.point and one.kind != "branch"), None)


def in_words(request: Request, place: Found) -> str:
    """How exactly the place is known, where there is more to say than that it is at the branch."""
    if place.reading is None:
        return language_of(request).say(_AS_NEAR) if place.address else ""
    if place.reading.kind in EXACT:
        return ""
    within = distance_text(request, Distance(place.reading.precision_km))
    return language_of(request).say(
        say("On the map: %(label)s, exact to about %(within)s.", label=place.reading.label, within=within)
    )


def map_of(request: Request, name: str, place: Found) -> Map | None:
    """Where people will be sent."""
    if place.point is None:
        return None
    towns = state_of(request).gazetteer.towns
    precision = Distance(place.reading.precision_km if place.reading else 0.0)
    here = Here(place.point, precision) if place.reading and place.reading.kind not in EXACT else None
    spot = Spot(None, name, "", place.point)
    return draw_map(language_of(request), unit_of(request), [spot], here, towns=towns)
