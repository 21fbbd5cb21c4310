"""Who may do what where. A role at a branch holds for everything below it in the tree."""

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from ..branches.models import Branch
from ..branches.queries import below as branches_below
from ..db import table_of
from ..errors import NotFound
from .models import Membership, Person, Role
from .roles import RANK


def invite(
    session: Session, person: Person, branch: Branch | None, role: Role, *, trusted: bool = True
) -> None:
    """Gives the role: at a branch, or everywhere for an admin. Who is not trusted needs approval for what they post."""
    if role is Role.ADMIN:
        person.is_admin = True
        session.add(person)
        return
    if branch is None or branch.id is None or person.id is None:
        raise ValueError("an organizer belongs to a branch")
    membership = session.get(Membership, (person.id, branch.id))
    if membership is None:
        membership = Membership(person_id=person.id, branch_id=branch.id)
    membership.role, membership.trusted = role, trusted
    session.add(membership)


def branch_ids(
    person: Person, least: Role = Role.ORGANIZER, *, trusted: bool = False
) -> sa.Select[tuple[int]]:
    """A subquery of the branches where the person has at least this role (one that is trusted), through the tree."""
    return _ALL if person.is_admin else _known_reach(person.id, least, trusted)


def _reach(person_id: Any, least: Role, trusted: bool) -> sa.Select[tuple[int]]:
    table = table_of(Membership).c
    enough = [role for role, rank in RANK.items() if rank >= RANK[least]]
    own = sa.select(table.branch_id.label("id")).where(table.person_id == person_id, table.role.in_(enough))
    return branches_below(own.where(table.trusted) if trusted else own)


# To write a statement down takes several times as long as to run it, so those of each request are written once.
_known_reach = lru_cache(maxsize=1000)(_reach)
_ALL = sa.select(table_of(Branch).c.id)
_PERSON: sa.BindParameter[Any] = sa.bindparam("person")


def branches(session: Session, person: Person, most: int | None = None) -> Sequence[Branch]:
    """Where the person may post, by name; the first `most` of them."""
    return session.exec(_by_name(branch_ids(person), most)).all()


@lru_cache(maxsize=1000)
def _by_name(branches: sa.Select[tuple[int]], most: int | None) -> SelectOfScalar[Branch]:
    query = select(Branch).where(col(Branch.id).in_(branches))
    return query.order_by(col(Branch.name), col(Branch.id)).limit(most)


def highest_role(session: Session, person: Person) -> Role | None:
    """The most that the person may do anywhere; None: nothing."""
    if person.is_admin:
        return Role.ADMIN
    roles = session.exec(_ROLES, params={"person": person.id}).all()
    return max(map(Role, roles), key=lambda role: RANK[role], default=None)


_ROLES = select(Membership.role).where(col(Membership.person_id) == _PERSON)


def is_trusted(session: Session, person: Person, branch: Branch) -> bool:
    """Whether what the person posts at the branch is published at once: one role that is trusted is enough."""
    return is_trusted_at(session, person, branch.id)


def is_trusted_at(session: Session, person: Person, branch_id: int | None) -> bool:
    if person.is_admin:
        return True
    values = {"person": person.id, "branch": branch_id}
    return session.connection().execute(_TRUSTED, values).first() is not None


def people_of(session: Session, branch: Branch, least: Role = Role.ORGANIZER) -> Sequence[Person]:
    """Who may act for the branch by a role there or above it; admins only where there is nobody else."""
    above = _above(branch.id)
    enough = [role for role, rank in RANK.items() if rank >= RANK[least]]
    query = (
        select(Person)
        .join(Membership, col(Membership.person_id) == col(Person.id))
        .where(col(Membership.branch_id).in_(sa.select(above.c.id)), col(Membership.role).in_(enough))
        .distinct()
        .order_by(col(Person.id))
    )
    found = session.exec(query).all()
    return found or session.exec(select(Person).where(col(Person.is_admin)).order_by(col(Person.id))).all()


def _above(branch_id: Any) -> sa.CTE:
    """The branch and everything above it in the tree."""
    table = table_of(Branch)
    start = (
        sa.select(table.c.id, table.c.parent_id).where(table.c.id == branch_id).cte("above", recursive=True)
    )
    return start.union(sa.select(table.c.id, table.c.parent_id).join(start, table.c.id == start.c.parent_id))


def _trusted() -> sa.Select[tuple[Any]]:
    above, table = _above(sa.bindparam("branch")), table_of(Membership).c
    query = sa.select(table.person_id).where(table.person_id == _PERSON, table.trusted)
    return query.where(table.branch_id.in_(sa.select(above.c.id))).limit(1)


_TRUSTED = _trusted()


def may_act_for(session: Session, person: Person, branch: Branch, least: Role = Role.ORGANIZER) -> bool:
    query = select(Branch.id).where(
        col(Branch.id) == branch.id, col(Branch.id).in_(branch_ids(person, least))
    )
    return session.exec(query).first() is not None


def branch_of(session: Session, person: Person, slug: str, least: Role = Role.ORGANIZER) -> Branch:
    """The branch, if the person may act for it. A stranger's branch is not admitted to exist: NotFound."""
    return _found(session, _AT_SLUG, person, least, slug=slug)


def branch_with(session: Session, person: Person, branch_id: int, least: Role = Role.ORGANIZER) -> Branch:
    """The same by its number."""
    return _found(session, _WITH_ID, person, least, id=branch_id)


_AT_SLUG = select(Branch).where(col(Branch.slug) == sa.bindparam("slug"))
_WITH_ID = select(Branch).where(col(Branch.id) == sa.bindparam("id"))


def _found(
    session: Session, query: SelectOfScalar[Branch], person: Person, least: Role, **named: object
) -> Branch:
    wanted = query if person.is_admin else _of_theirs(query, least)
    branch = session.exec(wanted, params={**named, "person": person.id}).one_or_none()
    if branch is None:
        raise NotFound
    return branch


@cache
def _of_theirs(query: SelectOfScalar[Branch], least: Role) -> SelectOfScalar[Branch]:
    return query.where(col(Branch.id).in_(_reach(_PERSON, least, False)))
