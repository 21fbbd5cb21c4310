"""Places where a branch has met before, so that nobody types an address twice."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from ..branches.models import Branch
from ..db import table_of
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
    took a tenth of a second, for each form that is opened or sent. PostgreSQL reads them before it asks anything else:
    where it had not counted yet how many events meet that, it took them to be one and searched anew for each, 36 s.
    """
    event = table_of(Event).c
    newest = sa.select(event.id).where(event.branch_id.in_(branches)).order_by(event.id.desc()).limit(NEWEST)
    read = sa.select(
        *(event.id, event.branch_id, event.venue_name, event.venue_address, event.latitude, event.longitude),
        *(event.state, event.deleted_at, event.modified_at),
    ).where(event.id.in_(newest))
    recent = read.cte("recent").prefix_with("MATERIALIZED", dialect="postgresql").c
    branch = table_of(Branch).c
    own = sa.or_(
        recent.latitude != branch.latitude,
        recent.longitude != branch.longitude,
        branch.latitude.is_(None),
    )
    known = recent.state != State.SUBMITTED  # what strangers suggest is not known yet
    return (
        sa.select(
            *(recent.venue_name, recent.venue_address),
            *(sa.case((own, column)) for column in (recent.latitude, recent.longitude)),
        )
        .join(table_of(Branch), branch.id == recent.branch_id)
        .where(recent.deleted_at.is_(None), recent.venue_name != "", known)
        .order_by(recent.modified_at.desc(), recent.id.desc())
        .limit(20 * MOST)
    )
