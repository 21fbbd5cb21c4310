"""What an organizer's desk lists: events and branches, a page at a time, for one branch or for ten thousand."""

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped
from sqlmodel import Session, col, select

from ..branches.models import Branch
from ..calendars.models import PUBLIC, Event, State
from ..errors import no_such_page
from ..people import permissions
from ..people.models import Person, Role
from ..places.naming import words_of
from . import proposals

PAGE = 50
LONGEST_NAME = 200  # of a branch, as far as it is searched for


class Kind(StrEnum):
    """Series are apart: which of their dates is next is asked for those that are shown, not for all to sort them."""

    DRAFTS = "drafts"  # the newest first
    COMING = "coming"  # single events, the next first
    SERIES = "series"  # those that go on, by title
    OVER = "over"  # the last first


def events(
    session: Session,
    person: Person,
    kind: Kind,
    now: datetime,
    *,
    branch: Branch | None = None,
    page: int = 1,
    size: int = PAGE,
) -> tuple[Sequence[tuple[Event, Branch]], bool]:
    """Of the person's branches, or of one of them; and whether there are more. NotFound past the end."""
    theirs = [col(Event.branch_id) == branch.id] if branch else _mine(person, col(Event.branch_id))
    conditions, order = _of_kind(kind, now)
    query = select(Event, Branch).join(Branch, col(Branch.id) == col(Event.branch_id))
    query = query.where(*theirs, *conditions, col(Event.deleted_at).is_(None)).order_by(*order)
    found = session.exec(query.offset((page - 1) * size).limit(size + 1)).all()
    if page > 1 and not found:
        raise no_such_page(page)
    return found[:size], len(found) > size


def _of_kind(kind: Kind, now: datetime) -> tuple[list[sa.ColumnElement[bool]], Sequence[Any]]:
    """Conditions and order."""
    id, ends_at, is_public = col(Event.id), col(Event.ends_at), col(Event.state).in_(PUBLIC)
    goes_on = sa.or_(ends_at.is_(None), ends_at > now, col(Event.state) == State.POSTPONED)
    match kind:
        case Kind.DRAFTS:
            return [col(Event.state) == State.DRAFT], [id.desc()]
        case Kind.COMING:
            return [is_public, goes_on, col(Event.rrule) == ""], [col(Event.begins_at), id]
        case Kind.SERIES:
            return [is_public, goes_on, col(Event.rrule) != ""], [col(Event.title), id]
        case Kind.OVER:
            return [is_public, sa.not_(goes_on)], [ends_at.desc(), id.desc()]


def branches(
    session: Session, person: Person, *, named: str = "", page: int = 1, size: int = PAGE
) -> tuple[Sequence[Branch], bool]:
    """Where the person may post, by name, and whether there are more. `named`: words of the name."""
    words = [
        col(Branch.search_key).contains(word, autoescape=True) for word in words_of(named[:LONGEST_NAME])
    ]
    query = select(Branch).where(*_mine(person, col(Branch.id)), *words)
    query = query.order_by(col(Branch.name), col(Branch.id)).offset((page - 1) * size).limit(size + 1)
    found = session.exec(query).all()
    if page > 1 and not found:
        raise no_such_page(page)
    return found[:size], len(found) > size


def administered(session: Session, person: Person, found: Sequence[Branch]) -> frozenset[int | None]:
    """Of these branches those whose data and people the person looks after."""
    ids = [branch.id for branch in found]
    mine = permissions.branch_ids(person, Role.BRANCH_ADMIN)
    return frozenset(session.exec(select(Branch.id).where(col(Branch.id).in_(ids), col(Branch.id).in_(mine))))


def deciding(session: Session, person: Person, branches: Collection[int]) -> frozenset[int | None]:
    """Of these branches those where what the person does needs nobody's approval."""
    if person.is_admin:
        return frozenset(branches)
    mine = proposals.deciding(person)
    return frozenset(
        session.exec(select(Branch.id).where(col(Branch.id).in_(branches), col(Branch.id).in_(mine)))
    )


def _mine(person: Person, column: Mapped[Any]) -> list[sa.ColumnElement[bool]]:
    """An admin's are all: nothing to compare with."""
    return [] if person.is_admin else [column.in_(permissions.branch_ids(person))]
