"""Which branches serve a place by their territory: a few keys find them, the territory itself decides."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlmodel import Session, col, select

from ..db import table_of
from ..errors import Message, Unreadable, say
from ..places.geo import Distance, Point, geodesic
from ..places.lookup import Gazetteer
from ..places.readings import CODE_KINDS, Interpretation
from .models import Branch, LocationType, ServiceKey
from .queries import FOUND
from .territory import Fit, Territory, Where, fits, keys, keys_asked, territory

MOST_CANDIDATES = 1000  # with one of the codes, and as many of the others


@dataclass(frozen=True, slots=True)
class Served:
    """A branch that serves the place, or may serve it (`fit.sure`), and how far it is, where it can be visited."""

    branch: Branch
    fit: Fit
    distance: Distance | None


def serving(
    session: Session,
    gazetteer: Gazetteer,
    place: Interpretation,
    also: Sequence[sa.ColumnElement[bool]] = (),
) -> list[Served]:
    """Those that serve the place, the most closely described territory first, then those that may.

    `also`: conditions on the table of branches. A code that has no place belongs to who names it.
    """
    if place.kind == "branch" or not _are_there_any(session):
        return []
    around = gazetteer.surroundings(place)
    where = Where(place.point, place.precision_km, around.codes, around.regions, place.kind in CODE_KINDS)
    found = [
        Served(branch, fit, _way(place.point, branch))
        for branch in _candidates(session, where, also)
        if (fit := fits(territory_of(branch), branch.country, branch.public_point, where))
    ]
    found.sort(key=lambda one: (one.fit.rank, one.distance or Distance(1e9), one.branch.id))
    return found


def _candidates(session: Session, where: Where, also: Sequence[sa.ColumnElement[bool]]) -> Iterator[Branch]:
    """First those with one of the codes: of the others there may be more than can be looked at."""
    wanted, seen = keys_asked(where), set[int | None]()
    named = {key for key in wanted if key.startswith(("code:", "begin:"))}
    for some in (named, wanted - named):
        asked = sa.select(col(ServiceKey.branch_id)).where(col(ServiceKey.key).in_(some))
        query = select(Branch).where(col(Branch.id).in_(asked), col(Branch.status).in_(FOUND), *also)
        for branch in session.exec(query.order_by(col(Branch.id)).limit(MOST_CANDIDATES)):
            if branch.id not in seen:
                seen.add(branch.id)
                yield branch


def _way(point: Point | None, branch: Branch) -> Distance | None:
    """How far it is to a branch that can be visited."""
    there = branch.public_point if branch.location_type == LocationType.PHYSICAL else None
    return geodesic(point, there) if point and there else None


def _are_there_any(session: Session) -> bool:
    return session.exec(_ANY_KEY).first() is not None


_ANY_KEY = select(ServiceKey.branch_id).limit(1)


def territory_of(branch: Branch) -> Territory:
    """What can be understood of it: a text from before it was checked is a note."""
    try:
        return territory(branch.service_area)
    except Unreadable:
        return Territory(notes=(branch.service_area,))


def write_keys(session: Session, branches: Iterable[Branch]) -> None:
    """Brings the keys of these branches, which have ids, up to what their service areas say now."""
    wanted = {branch.id: _keys(branch) for branch in branches if branch.id}
    rows = session.exec(select(ServiceKey).where(col(ServiceKey.branch_id).in_(wanted)))
    there: dict[int, set[str]] = {}
    for row in rows:
        there.setdefault(row.branch_id, set()).add(row.key)
    table = table_of(ServiceKey)
    for id, new in wanted.items():
        old = there.get(id, set())
        if gone := old - new:
            session.connection().execute(
                sa.delete(table).where(table.c.branch_id == id, table.c.key.in_(gone))
            )
        if come := new - old:
            rows_in = [{"key": key, "branch_id": id} for key in sorted(come)]
            session.connection().execute(sa.insert(table), rows_in)


def _keys(branch: Branch) -> frozenset[str]:
    return keys(territory_of(branch), branch.country, branch.public_point)


# ---------------------------------------------------------------- in words


def reason(fit: Fit) -> Message:
    """Why this branch, in a sentence."""
    match fit.how, fit.sure:
        case "code", True:
            return say("It serves the postal code %(code)s.", code=fit.detail)
        case "beginning", True:
            return say("It serves postal codes that begin with %(code)s.", code=fit.detail)
        case "shape", True:
            return say("It serves an area that includes this place: see the map.")
        case "reach", True:
            return say("It serves everything around it, as far as here.")
        case "region", True:
            return say("It serves the whole region.")
        case "code" | "beginning", False:
            return say("It serves a part of what you typed: a full postal code will tell.")
    return say("The border of its area runs near here: it may be your branch.")


def described(served: Territory, reach: str) -> Sequence[Message | str]:
    """What a branch serves, for its page: notes as they were written, the rest in words; `reach` as readers say it."""
    found: list[Message | str] = list(served.notes)
    if served.codes or served.beginnings:
        codes = [*(f"{begin}…" for begin in served.beginnings), *sorted(served.codes)]
        shown = ", ".join(codes[:20]) + (" …" if len(codes) > 20 else "")
        found.append(say("Postal codes %(codes)s", codes=shown))
    if served.reach:
        found.append(say("Everything within %(distance)s", distance=reach))
    if served.regions:
        found.append(say("Regions: %(regions)s", regions=", ".join(served.region_names)))
    if served.shapes:
        found.append(say("An area drawn on the map"))
    return found
