"""Finding branches. A confidential branch is found by its town; its position is never shown."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlmodel import Session, col, select

from ..db import table_of
from ..errors import Gone, NotFound, say
from ..places.geo import Distance, Point, geodesic
from ..places.nearest import nearest, within
from .models import Branch, FormerSlug, LocationType, Status

PAGE = 50
FOUND = (Status.ACTIVE, Status.FORMING)


@dataclass(frozen=True, slots=True)
class Near:
    """A branch and how far it is, exactly (geodesic)."""

    branch: Branch
    distance: Distance


@dataclass(frozen=True, slots=True)
class Moved:
    """The branch answers at another slug now."""

    slug: str


def by_slug(session: Session, slug: str) -> Branch | Moved:
    """Raises NotFound; a former slug gives Moved."""
    branch = session.exec(select(Branch).where(col(Branch.slug) == slug)).one_or_none()
    if branch is not None:
        return branch
    former = select(Branch).join(FormerSlug, col(FormerSlug.branch_id) == col(Branch.id))
    moved = session.exec(former.where(col(FormerSlug.slug) == slug)).one_or_none()
    if moved is None:
        raise NotFound(say("There is no branch at this address."))
    return Moved(moved.slug)


def here(session: Session, slug: str) -> Branch:
    """The branch at exactly this slug. Raises NotFound."""
    found = by_slug(session, slug)
    if isinstance(found, Moved):
        raise NotFound(say("There is no branch at this address."))
    return found


def nearest_to(
    session: Session, point: Point, *, limit: int = 5, farthest: Distance | None = None
) -> list[Near]:
    """The nearest branches that can be visited, exact distances, nearest first, ties in a stable order."""
    query = select(Branch).where(
        col(Branch.status).in_(FOUND), col(Branch.location_type) == LocationType.PHYSICAL
    )
    if farthest is not None:
        query = query.where(within(session, table_of(Branch), point, farthest))
    rows = nearest(session, query, table_of(Branch), point, limit)
    found = [Near(row[0], geodesic(point, row[0].public_point)) for row in rows]
    return sorted(found, key=lambda near: (near.distance.km, near.branch.id))


def named_like(session: Session, key: str, limit: int = 5) -> Sequence[Branch]:
    """Branches whose folded name begins with `key`, or holds it as a word."""
    if not key:
        return []
    column = col(Branch.search_key)
    match = sa.or_(column.startswith(key, autoescape=True), column.contains(f" {key}", autoescape=True))
    query = select(Branch).where(match, col(Branch.status).in_(FOUND)).order_by(column, col(Branch.id))
    return session.exec(query.limit(limit)).all()


def directory(session: Session, page: int) -> tuple[Sequence[Branch], int]:
    """One page of all branches by country, town and name, and the number of pages. NotFound past the end."""
    listed = col(Branch.status) != Status.CLOSED
    total = session.exec(select(sa.func.count(col(Branch.id))).where(listed)).one()
    pages = max(1, -(-total // PAGE))
    if page > pages:
        raise NotFound(say("There is no page %(page)d of this list.", page=page))
    order = (
        col(Branch.country),
        col(Branch.state_province),
        col(Branch.city),
        col(Branch.name),
        col(Branch.id),
    )
    query = select(Branch).where(listed).order_by(*order).offset((page - 1) * PAGE).limit(PAGE)
    return session.exec(query).all(), pages


def countries(session: Session) -> tuple[str, ...]:
    """Where branches are, most branches first: an ambiguous code is tried there."""
    column = col(Branch.country)
    query = (
        select(column)
        .where(column != "")
        .group_by(column)
        .order_by(sa.func.count(col(Branch.id)).desc(), column)
    )
    return tuple(session.exec(query).all())


def children(session: Session, branch: Branch) -> Sequence[Branch]:
    query = select(Branch).where(col(Branch.parent_id) == branch.id, col(Branch.status).in_(FOUND))
    return session.exec(query.order_by(col(Branch.name), col(Branch.id))).all()


def successor(session: Session, branch: Branch) -> Branch | None:
    """The branch that took over, through a chain of closures; None when there is none."""
    seen = {branch.id}
    while branch.successor_id is not None and branch.successor_id not in seen:
        seen.add(branch.successor_id)
        branch = session.get_one(Branch, branch.successor_id)
    return branch if len(seen) > 1 else None


def contact_address(session: Session, branch: Branch) -> str:
    """Where a message to the branch goes: its own address, else the nearest up the tree. Gone without any."""
    seen: set[int | None] = set()
    current: Branch | None = branch
    while current is not None and current.id not in seen:
        if current.email:
            return current.email
        seen.add(current.id)
        current = session.get(Branch, current.parent_id) if current.parent_id else None
    raise Gone(say("This branch has no address that we could write to yet."))


def everywhere(session: Session) -> Sequence[Branch]:
    """Every branch that may be listed, in a stable order."""
    return session.exec(
        select(Branch).where(col(Branch.status) != Status.CLOSED).order_by(col(Branch.slug))
    ).all()


def count(session: Session) -> int:
    """How many there are to visit, write to or join."""
    return session.exec(select(sa.func.count(col(Branch.id))).where(col(Branch.status).in_(FOUND))).one()
