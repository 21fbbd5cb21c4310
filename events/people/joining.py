"""How people come to organize at a branch, and leave it: they ask and somebody decides, or they are invited."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import Select, SelectOfScalar

from ..branches import queries as branches
from ..branches.models import Branch
from ..db import table_of
from ..errors import Conflict, NotFound, no_such_page, say
from ..places.naming import fold
from . import permissions
from .models import Membership, MembershipRequest, Person, Role
from .roles import RANK

MOST_CHOICES = 8
LONGEST_TEXT = 300  # a name with its town is no longer; SQLite cannot look for 50,000 letters
FEW_BRANCHES = 30  # so many fit into a menu
PAGE = 50
_IN_ADDRESS = re.compile(r"/branches/([^/?#\s]+)")

Asked = tuple[MembershipRequest, Person, Branch]
Member = tuple[Membership, Person, Branch]
Ids = sa.Select[tuple[int]]


# ---------------------------------------------------------------- which branch


def few(session: Session, within: Ids | None = None) -> Sequence[Branch]:
    """All branches one can join (of those `within`) by name, if they are few enough for a menu; else none."""
    found = session.exec(_to_join(within).order_by(col(Branch.name), col(Branch.id)).limit(FEW_BRANCHES + 1))
    listed = found.all()
    return listed if len(listed) <= FEW_BRANCHES else ()


def called(session: Session, text: str, within: Ids | None = None) -> Sequence[Branch]:
    """The branches that may be meant: by their address here, their name, their name and town, a part of the name.

    The first of these that finds any decides. More than MOST_CHOICES: too many to choose from. None is called by
    more than LONGEST_TEXT.
    """
    if len(text) > LONGEST_TEXT:
        return ()
    for condition in _readings(session, text.strip()):
        query = _to_join(within).where(condition).order_by(col(Branch.search_key), col(Branch.id))
        if found := session.exec(query.limit(MOST_CHOICES + 1)).all():
            return found
    return ()


def _readings(session: Session, text: str) -> Iterator[sa.ColumnElement[bool]]:
    in_address = _IN_ADDRESS.search(text)
    yield col(Branch.slug) == _present_slug(session, in_address[1] if in_address else text)
    key = fold(text)
    if key:
        yield col(Branch.name_key) == key
    name, _, town = text.rpartition(",")
    if fold(name):
        yield sa.and_(col(Branch.name_key) == fold(name), col(Branch.city_key) == fold(town))
    if len(key) >= branches.SHORTEST_PART_OF_A_NAME:
        column = col(Branch.search_key)
        yield sa.or_(column.startswith(key, autoescape=True), column.contains(f" {key}", autoescape=True))


def _present_slug(session: Session, slug: str) -> str:
    """A slug that was another one before leads to where the branch is now."""
    try:
        return branches.by_slug(session, slug).slug
    except NotFound:
        return slug


def _to_join(within: Ids | None) -> "SelectOfScalar[Branch]":
    query = select(Branch).where(col(Branch.status).in_(branches.FOUND))
    return query if within is None else query.where(col(Branch.id).in_(within))


# ---------------------------------------------------------------- asking and deciding


def ask(session: Session, person: Person, branch: Branch, note: str, now: datetime) -> bool:
    """Puts the request before whoever decides for the branch, once. False: the person may act there already."""
    # Of two at the same moment, the second waits here.
    session.get_one(Person, person.id, with_for_update=True)
    may_act = select(Branch.id).where(
        col(Branch.id) == branch.id, col(Branch.id).in_(permissions.branch_ids(person))
    )
    if session.exec(may_act).first() is not None:
        return False
    if session.exec(_undecided().where(_by(person), _at(branch))).first() is None:
        session.add(
            MembershipRequest(person_id=person.id or 0, branch_id=branch.id or 0, note=note, created_at=now)
        )
        session.flush()
    return True


def waiting(session: Session, person: Person, most: int = PAGE) -> Sequence[Asked]:
    """The undecided requests that the person may decide, with who asks and for which branch; the oldest first."""
    return session.exec(_undecided().where(_decided_by(person)).limit(most)).all()


def number_waiting(session: Session, person: Person) -> int:
    """How many there are."""
    query = select(sa.func.count(col(MembershipRequest.id)))
    return session.exec(query.where(col(MembershipRequest.decided_at).is_(None), _decided_by(person))).one()


def asked_by(session: Session, person: Person) -> Sequence[Asked]:
    """What the person has asked for and nobody has decided yet."""
    return session.exec(_undecided().where(_by(person))).all()


def request_for(session: Session, person: Person, number: int) -> Asked:
    """A request that the person may decide, decided or not. Raises NotFound."""
    query = _requests().where(col(MembershipRequest.id) == number, _decided_by(person))
    found = session.exec(query).one_or_none()
    if found is None:
        raise NotFound
    return found


def accept(session: Session, asked: Asked, role: Role, trusted: bool, now: datetime) -> bool:
    """Gives the role, unless the person has more by now. False: it was accepted before. Raises Conflict."""
    request, person, branch = asked
    if not _decide(session, request, True, now):
        return False
    there = session.get(Membership, (person.id, branch.id))
    if there is None or RANK[Role(there.role)] <= RANK[role]:
        permissions.invite(session, person, branch, role, trusted=trusted)
    return True


def refuse(session: Session, asked: Asked, now: datetime) -> bool:
    """False: it was refused before. Raises Conflict when it was accepted."""
    return _decide(session, asked[0], False, now)


def _decide(session: Session, request: MembershipRequest, accepted: bool, now: datetime) -> bool:
    """Of two who decide at the same moment, one is the first; the other hears of it, or agreed."""
    table = table_of(MembershipRequest)
    first = session.connection().execute(
        sa.update(table)
        .where(table.c.id == request.id, table.c.decided_at.is_(None))
        .values(decided_at=now, accepted=accepted)
    )
    session.refresh(request)
    if first.rowcount != 1 and request.accepted is not accepted:
        raise Conflict(say("This request has been answered already, and differently."))
    return first.rowcount == 1


def _requests() -> "Select[MembershipRequest, Person, Branch]":
    return (
        select(MembershipRequest, Person, Branch)
        .join(Person, col(Person.id) == col(MembershipRequest.person_id))
        .join(Branch, col(Branch.id) == col(MembershipRequest.branch_id))
        .order_by(col(MembershipRequest.created_at), col(MembershipRequest.id))
    )


def _undecided() -> "Select[MembershipRequest, Person, Branch]":
    return _requests().where(col(MembershipRequest.decided_at).is_(None))


def _by(person: Person) -> sa.ColumnElement[bool]:
    return col(MembershipRequest.person_id) == person.id


def _at(branch: Branch) -> sa.ColumnElement[bool]:
    return col(MembershipRequest.branch_id) == branch.id


def _decided_by(person: Person) -> sa.ColumnElement[bool]:
    return col(MembershipRequest.branch_id).in_(permissions.branch_ids(person, Role.BRANCH_ADMIN))


# ---------------------------------------------------------------- who is there


def invite(
    session: Session, person: Person, branch: Branch | None, role: Role, trusted: bool, now: datetime
) -> bool:
    """Gives the role, and answers what the person may have asked. False: they were there; the role is changed."""
    if branch is None:
        there = person.is_admin
    else:
        there = session.get(Membership, (person.id, branch.id)) is not None
        for request, *_ in session.exec(_undecided().where(_by(person), _at(branch))).all():
            _decide(session, request, True, now)
    permissions.invite(session, person, branch, role, trusted=trusted)
    session.flush()
    return not there


def members(session: Session, person: Person, page: int, text: str = "") -> tuple[Sequence[Member], int]:
    """Whom the person may change, branch by branch: one page, and the number of pages. NotFound past the end."""
    found = _members().where(_in_care_of(person), *_matching(text))
    total = session.exec(select(sa.func.count()).select_from(found.order_by(None).subquery())).one()
    pages = max(1, -(-total // PAGE))
    if page > pages:
        raise no_such_page(page)
    in_order = found.order_by(col(Branch.name), col(Branch.id), col(Person.email))
    return session.exec(in_order.offset((page - 1) * PAGE).limit(PAGE)).all(), pages


def member_at(session: Session, person: Person, number: int, slug: str) -> Member:
    """Somebody at a branch where the person may change that. Raises NotFound."""
    query = _members().where(_in_care_of(person), col(Person.id) == number, col(Branch.slug) == slug)
    found = session.exec(query).one_or_none()
    if found is None:
        raise NotFound
    return found


def memberships(session: Session, person: Person) -> Sequence[Member]:
    """The person's own roles, by branch."""
    query = _members().where(col(Membership.person_id) == person.id)
    return session.exec(query.order_by(col(Branch.name), col(Branch.id))).all()


def leave(session: Session, person: Person, slug: str) -> None:
    """Raises NotFound where the person has no role."""
    found = [membership for membership, _, branch in memberships(session, person) if branch.slug == slug]
    if not found:
        raise NotFound
    session.delete(found[0])


def _members() -> "Select[Membership, Person, Branch]":
    return (
        select(Membership, Person, Branch)
        .join(Person, col(Person.id) == col(Membership.person_id))
        .join(Branch, col(Branch.id) == col(Membership.branch_id))
    )


def _in_care_of(person: Person) -> sa.ColumnElement[bool]:
    return col(Membership.branch_id).in_(permissions.branch_ids(person, Role.BRANCH_ADMIN))


def _matching(text: str) -> Iterator[sa.ColumnElement[bool]]:
    typed = text.strip().lower()[:LONGEST_TEXT]
    if typed:
        yield sa.or_(
            col(Person.email).contains(typed, autoescape=True),
            sa.func.lower(col(Person.name)).contains(typed, autoescape=True),
            col(Branch.search_key).contains(fold(typed) or typed, autoescape=True),
        )


# ---------------------------------------------------------------- admins of the whole site


def admins(session: Session) -> Sequence[Person]:
    return session.exec(select(Person).where(col(Person.is_admin)).order_by(col(Person.email))).all()


def end_administration(session: Session, person: Person) -> None:
    """Raises Conflict for the last admin."""
    keep_an_admin(session, person)
    person.is_admin = False
    session.add(person)


def keep_an_admin(session: Session, person: Person) -> None:
    """To be asked before an admin goes: nobody could let them in again. Raises Conflict for the last one.

    The rows are locked: of two who go at the same moment, one stays.
    """
    query = select(Person.id).where(col(Person.is_admin)).order_by(col(Person.id)).with_for_update()
    if list(session.exec(query).all()) == [person.id]:
        raise Conflict(say("This is the last admin of the whole site. Make somebody else an admin first."))
