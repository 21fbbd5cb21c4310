"""Finding branches. A confidential branch is found by its town; its position is never shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, cached_property

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from ..db import table_of
from ..errors import NotFound, no_such_page, say
from ..places.geo import Distance, Point, geodesic
from ..places.nearest import nearest, within
from .models import Branch, FormerSlug, LocationType, Status

PAGE = 50
MOST_WITH_HOURS = 500
SHORTEST_PART_OF_A_NAME = 3
WHEREABOUTS_KEPT = timedelta(minutes=1)
FOUND = (Status.ACTIVE, Status.FORMING)


@dataclass(frozen=True)
class Near:
    """A branch that lies near a point."""

    branch: Branch
    point: Point

    @cached_property
    def distance(self) -> Distance:
        """Exactly (geodesic), and only for those that are shown: it takes as long as a small query."""
        return geodesic(self.point, self.branch.public_point or self.point)


@dataclass(frozen=True, slots=True)
class Moved:
    """The branch answers at another slug now."""

    slug: str


def by_slug(session: Session, slug: str) -> Branch | Moved:
    """Raises NotFound; a former slug gives Moved."""
    branch = session.exec(_AT_SLUG, params={"slug": slug}).one_or_none()
    if branch is not None:
        return branch
    former = select(Branch).join(FormerSlug, col(FormerSlug.branch_id) == col(Branch.id))
    moved = session.exec(former.where(col(FormerSlug.slug) == slug)).one_or_none()
    if moved is None:
        raise NotFound(say("There is no branch at this address."))
    return Moved(moved.slug)


_AT_SLUG = select(Branch).where(col(Branch.slug) == sa.bindparam("slug"))


def here(session: Session, slug: str) -> Branch:
    """The branch at exactly this slug. Raises NotFound."""
    found = by_slug(session, slug)
    if isinstance(found, Moved):
        raise NotFound(say("There is no branch at this address."))
    return found


def nearest_to(
    session: Session,
    point: Point,
    *,
    limit: int = 5,
    farthest: Distance | None = None,
    statuses: Sequence[str] = FOUND,
    also: Sequence[sa.ColumnElement[bool]] = (),
) -> list[Near]:
    """The nearest branches that can be visited, nearest first, ties in a stable order."""
    query = _to_visit(tuple(statuses))
    if also:
        query = query.where(*also)
    if farthest is not None:
        query = query.where(within(session, table_of(Branch), point, farthest))
    rows = nearest(session, query, table_of(Branch), point, limit)
    return [Near(row[0], point) for row in rows]


@cache
def _to_visit(statuses: Sequence[str]) -> SelectOfScalar[Branch]:
    """Made once, without an IN, which is written anew each time: that takes as long as to execute it."""
    status = sa.or_(*(col(Branch.status) == status for status in statuses))
    return select(Branch).where(status, col(Branch.location_type) == LocationType.PHYSICAL)


def named_so(session: Session, key: str, limit: int = 5) -> Sequence[Branch]:
    """Branches with exactly this folded name, whatever has become of them."""
    return session.exec(_NAMED_SO, params={"named": key}).all()[:limit] if key else []


def named_like(session: Session, key: str, limit: int = 5) -> Sequence[Branch]:
    """Branches whose folded name begins with `key`, or holds it as a word, whatever has become of them."""
    if len(key) < SHORTEST_PART_OF_A_NAME:
        return []
    column = col(Branch.search_key)
    match = sa.or_(column.startswith(key, autoescape=True), column.contains(f" {key}", autoescape=True))
    resting = sa.case((col(Branch.status).in_(FOUND), 0), else_=1)
    query = select(Branch).where(match).order_by(resting, column, col(Branch.id))
    return session.exec(query.limit(limit)).all()


def directory(
    session: Session, page: int, conditions: Sequence[sa.ColumnElement[bool]] = ()
) -> tuple[Sequence[Branch], int]:
    """One page of all branches by country, town and name, and the number of pages. NotFound past the end."""
    listed = sa.and_(col(Branch.status) != Status.CLOSED, *conditions)
    total = session.exec(select(sa.func.count(col(Branch.id))).where(listed)).one()
    pages = max(1, -(-total // PAGE))
    if page > pages:
        raise no_such_page(page)
    query = select(Branch).where(listed).order_by(*_IN_ORDER).offset((page - 1) * PAGE).limit(PAGE)
    return session.exec(query).all(), pages


def with_hours(session: Session, conditions: Sequence[sa.ColumnElement[bool]]) -> Sequence[Branch]:
    """The first of the directory that may be open: more than anybody reads through."""
    query = select(Branch).where(col(Branch.status).in_(FOUND), *conditions).order_by(*_IN_ORDER)
    return session.exec(query.limit(MOST_WITH_HOURS)).all()


_IN_ORDER = (
    col(Branch.country),
    col(Branch.state_province),
    col(Branch.city),
    col(Branch.name),
    col(Branch.id),
)


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


_NAMED_SO = (
    select(Branch).where(col(Branch.name_key) == sa.bindparam("named")).order_by(col(Branch.id)).limit(50)
)


def languages(session: Session) -> tuple[str, ...]:
    """What is spoken at branches: primary subtags of BCP 47, in their order."""
    listed = session.exec(select(Branch.languages).where(col(Branch.languages) != "").distinct())
    return tuple(sorted({tag.split("-")[0] for text in listed for tag in text.split(",")}))


def at_slugs(session: Session, slugs: Sequence[str]) -> list[Branch]:
    """In the order of the slugs; those that are not there are left out."""
    if not slugs:
        return []
    found = {
        branch.slug: branch for branch in session.exec(select(Branch).where(col(Branch.slug).in_(slugs)))
    }
    return [found[slug] for slug in slugs if slug in found]


def parent_or_top(session: Session, branch: Branch | None) -> Branch | None:
    """Whom to ask where there is no branch: the parent of the nearest, else one that has branches below it."""
    if branch is not None and branch.parent_id:
        return session.get(Branch, branch.parent_id)
    # First whether there is a tree at all, or each of a million would be asked whether it has branches.
    if not session.connection().execute(_any_below()).scalar():
        return None
    return session.exec(_top()).first()


@cache
def _any_below() -> sa.Select[bool]:
    return sa.select(sa.exists().where(col(Branch.parent_id).is_not(None)))


@cache
def _top() -> SelectOfScalar[Branch]:
    below = aliased(Branch)
    query = select(Branch).where(
        col(Branch.parent_id).is_(None),
        col(Branch.status) == Status.ACTIVE,
        sa.exists().where(col(below.parent_id) == col(Branch.id)),
    )
    return query.order_by(col(Branch.id)).limit(1)


def oldest(session: Session) -> Branch | None:
    """The first that is there, for an organisation of one branch or of many equal ones."""
    query = select(Branch).where(col(Branch.status) == Status.ACTIVE)
    return session.exec(query.order_by(col(Branch.id)).limit(1)).first()


class Whereabouts:
    """Countries and languages of the branches, and by which clock their organisation lives, asked at most once a
    minute: to count a million branches takes longer than any search."""

    def __init__(self) -> None:
        self._countries: tuple[str, ...] = ()
        self._languages: tuple[str, ...] = ()
        self._timezone = "UTC"
        self._until: datetime | None = None

    def countries(self, session: Session, now: datetime) -> tuple[str, ...]:
        self._ask(session, now)
        return self._countries

    def languages(self, session: Session, now: datetime) -> tuple[str, ...]:
        self._ask(session, now)
        return self._languages

    def timezone(self, session: Session, now: datetime) -> str:
        """Of the branch at the top, or of the first one where there is no tree."""
        self._ask(session, now)
        return self._timezone

    def _ask(self, session: Session, now: datetime) -> None:
        if self._until is None or now >= self._until or not self._countries:
            self._countries, self._languages = countries(session), languages(session)
            top = parent_or_top(session, None) or oldest(session)
            self._timezone = top.timezone if top else "UTC"
            self._until = now + WHEREABOUTS_KEPT


def below(start: sa.Select[tuple[int]]) -> sa.Select[tuple[int]]:
    """The ids of the branches that `start` selects (as `id`) and of everything below them in the tree."""
    table = table_of(Branch)
    top = start.cte(recursive=True)
    whole = top.union(sa.select(table.c.id).join(top, table.c.parent_id == top.c.id))
    return sa.select(whole.c.id)


def children(session: Session, branch: Branch) -> Sequence[Branch]:
    return session.exec(_BELOW, params={"parent": branch.id}).all()


def with_children(session: Session) -> frozenset[int | None]:
    """The ids of all branches that have one below them."""
    return frozenset(session.exec(_WITH_CHILDREN))


_IS_FOUND = sa.or_(*(col(Branch.status) == each for each in FOUND))
_WITH_CHILDREN = select(Branch.parent_id).where(col(Branch.parent_id).is_not(None), _IS_FOUND).distinct()
_BELOW = (
    select(Branch)
    .where(col(Branch.parent_id) == sa.bindparam("parent"), _IS_FOUND)
    # Not the column itself, or SQLite may go through all branches by their names.
    .order_by(col(Branch.name).concat(""), col(Branch.id))
)


def successor(session: Session, branch: Branch) -> Branch | None:
    """The branch that took over, through a chain of closures; None when there is none."""
    seen = {branch.id}
    while branch.successor_id is not None and branch.successor_id not in seen:
        seen.add(branch.successor_id)
        branch = session.get_one(Branch, branch.successor_id)
    return branch if len(seen) > 1 else None


def everywhere(session: Session, conditions: Sequence[sa.ColumnElement[bool]] = ()) -> Sequence[Branch]:
    """Every branch that may be listed, in a stable order."""
    listed = select(Branch).where(col(Branch.status) != Status.CLOSED, *conditions)
    return session.exec(listed.order_by(col(Branch.slug))).all()


def count(session: Session) -> int:
    """How many there are to visit, write to or join."""
    return session.exec(_COUNT).one()


_COUNT = select(sa.func.count(col(Branch.id))).where(_IS_FOUND)
