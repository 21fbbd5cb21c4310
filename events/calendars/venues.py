"""Places where a branch has met before, so that nobody types an address twice."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col

from ..branches.models import Branch
from ..places.geo import Point
from .models import Event, State

MOST = 30
NEWEST = 3000  # of the events of these branches, whose places are looked at


@dataclass(frozen=True, slots=True)
class Venue:
    """`point` None: nobody said where it is, so it counts as near the branch."""

    name: str
    address: str
    point: Point | None


def known_to(session: Session, branches: sa.Select[tuple[int]]) -> list[Venue]:
    """Named places of events of these branches, those used last first, each name once."""
    found: dict[str, Venue] = {}
    for name, address, latitude, longitude in session.connection().execute(_used_at(branches)):
        point = Point(latitude, longitude) if latitude is not None and longitude is not None else None
        found.setdefault(name.casefold(), Venue(name, address, point))
    return list(found.values())[:MOST]


@lru_cache(maxsize=200)
def _used_at(branches: sa.Select[tuple[int]]) -> sa.Select[tuple[Any, ...]]:
    """Written once for each person, whose branches are the same object each time.

    Which events are the newest is found in an index: to put a hundred thousand in the order in which they were changed
    took a tenth of a second, for each form that is opened or sent.
    """
    newest = sa.select(col(Event.id)).where(col(Event.branch_id).in_(branches))
    newest = newest.order_by(col(Event.id).desc()).limit(NEWEST)
    named = (col(Event.venue_name), col(Event.venue_address))
    at = (col(Event.latitude), col(Event.longitude))
    own = sa.or_(
        col(Event.latitude) != col(Branch.latitude),
        col(Event.longitude) != col(Branch.longitude),
        col(Branch.latitude).is_(None),
    )
    known = col(Event.state) != State.SUBMITTED  # what strangers suggest is not known yet
    return (
        sa.select(*named, *(sa.case((own, column)) for column in at))
        .join(Branch, col(Branch.id) == col(Event.branch_id))
        .where(col(Event.id).in_(newest), col(Event.deleted_at).is_(None), named[0] != "", known)
        .order_by(col(Event.modified_at).desc(), col(Event.id).desc())
        .limit(20 * MOST)
    )
