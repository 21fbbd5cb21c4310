"""Who may do what where. A role at a branch holds for everything below it in the tree."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlmodel import Session, col, select

from ..branches.models import Branch
from ..branches.queries import below as branches_below
from ..db import table_of
from ..errors import NotFound
from .models import Membership, Person, Role

RANK = {Role.ORGANIZER: 1, Role.BRANCH_ADMIN: 2, Role.ADMIN: 3}


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
    if person.is_admin:
        return sa.select(table_of(Branch).c.id)
    table = table_of(Membership).c
    enough = [role for role, rank in RANK.items() if rank >= RANK[least]]
    own = sa.select(table.branch_id.label("id")).where(table.person_id == person.id, table.role.in_(enough))
    return branches_below(own.where(table.trusted) if trusted else own)


def branches(session: Session, person: Person, most: int | None = None) -> Sequence[Branch]:
    """Where the person may post, by name; the first `most` of them."""
    query = select(Branch).where(col(Branch.id).in_(branch_ids(person)))
    return session.exec(query.order_by(col(Branch.name), col(Branch.id)).limit(most)).all()


def highest_role(session: Session, person: Person) -> Role | None:
    """The most that the person may do anywhere; None: nothing."""
    if person.is_admin:
        return Role.ADMIN
    roles = session.exec(select(Membership.role).where(col(Membership.person_id) == person.id)).all()
    return max(map(Role, roles), key=lambda role: RANK[role], default=None)


def is_trusted(session: Session, person: Person, branch: Branch) -> bool:
    """Whether what the person posts at the branch is published at once: one role that is trusted is enough."""
    if person.is_admin:
        return True
    above, table = _above(branch), table_of(Membership)
    query = sa.select(table.c.person_id).where(
        table.c.person_id == person.id, table.c.trusted, table.c.branch_id.in_(sa.select(above.c.id))
    )
    return session.connection().execute(query.limit(1)).first() is not None


def people_of(session: Session, branch: Branch, least: Role = Role.ORGANIZER) -> Sequence[Person]:
    """Who may act for the branch by a role there or above it; admins only where there is nobody else."""
    above = _above(branch)
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


def _above(branch: Branch) -> sa.CTE:
    """The branch and everything above it in the tree."""
    table = table_of(Branch)
    start = (
        sa.select(table.c.id, table.c.parent_id).where(table.c.id == branch.id).cte("above", recursive=True)
    )
    return start.union(sa.select(table.c.id, table.c.parent_id).join(start, table.c.id == start.c.parent_id))


def may_act_for(session: Session, person: Person, branch: Branch, least: Role = Role.ORGANIZER) -> bool:
    query = select(Branch.id).where(
        col(Branch.id) == branch.id, col(Branch.id).in_(branch_ids(person, least))
    )
    return session.exec(query).first() is not None


def branch_of(session: Session, person: Person, slug: str, least: Role = Role.ORGANIZER) -> Branch:
    """The branch, if the person may act for it. A stranger's branch is not admitted to exist: NotFound."""
    query = select(Branch).where(col(Branch.slug) == slug, col(Branch.id).in_(branch_ids(person, least)))
    branch = session.exec(query).one_or_none()
    if branch is None:
        raise NotFound
    return branch
