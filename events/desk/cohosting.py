"""Branches that were named as co-hosts of an event by somebody else: they are told, and may decline."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import sqlalchemy as sa
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import Select

from ..branches.models import Branch
from ..calendars import changes, derived
from ..calendars.content import Publishing
from ..calendars.models import PUBLIC, Event, EventBranch, HostingRefusal
from ..errors import NotFound
from ..people.models import Person
from .proposals import check_decides, deciding

ASKED_FOR = timedelta(days=30)  # who says nothing for so long holds it
MOST = 50


@dataclass(frozen=True, slots=True)
class Named:
    """`host` was named by the `owner` of the event."""

    hosting: EventBranch
    event: Event
    host: Branch
    owner: Branch


@cache
def _named() -> "Select[EventBranch, Event, Branch, Branch]":
    """Made at its first use: an alias has SQLAlchemy put all models in order, while a start waits."""
    host, owner = aliased(Branch), aliased(Branch)
    return (
        select(EventBranch, Event, host, owner)
        .join(Event, col(Event.id) == col(EventBranch.event_id))
        .join(host, col(host.id) == col(EventBranch.branch_id))
        .join(owner, col(owner.id) == col(Event.branch_id))
    )


def waiting(session: Session, person: Person, now: datetime, most: int = MOST) -> list[Named]:
    """Those at the person's branches, by somebody else's event; the oldest first."""
    if person.is_admin:  # every owner is theirs; to find that out takes a look at every co-host there is
        return []
    query = _named().where(*waits(now), _by_others(person))
    query = query.order_by(col(EventBranch.added_at), col(EventBranch.event_id), col(EventBranch.branch_id))
    return [Named(*row) for row in session.exec(query.limit(most)).all()]


def number(session: Session, person: Person, now: datetime) -> int:
    """How many that are."""
    if person.is_admin:
        return 0
    query = select(sa.func.count(col(EventBranch.event_id))).join(
        Event, col(Event.id) == col(EventBranch.event_id)
    )
    return session.exec(query.where(*waits(now), _by_others(person))).one()


def waits(now: datetime) -> list[sa.ColumnElement[bool]]:
    """On `event_branch` and `event`: nobody is asked about what nobody sees yet."""
    return [
        col(EventBranch.added_at) > now - ASKED_FOR,
        col(EventBranch.branch_id) != col(Event.branch_id),
        col(Event.state).in_(PUBLIC),
        col(Event.deleted_at).is_(None),
    ]


def _by_others(person: Person) -> sa.ColumnElement[bool]:
    """A branch of the person's. Whoever decides for the owner too has named it, or could have."""
    mine = deciding(person)
    return sa.and_(col(EventBranch.branch_id).in_(mine), col(Event.branch_id).not_in(mine))


def named(session: Session, person: Person, branch: Branch, event_id: int) -> Named | None:
    """That the branch was named for that event; None: it was declined before. NotFound where it is others'."""
    check_decides(session, person, branch)
    this = (col(EventBranch.event_id) == event_id, col(EventBranch.branch_id) == branch.id)
    found = session.exec(_named().where(*this, col(Event.branch_id) != branch.id)).one_or_none()
    if found is not None:
        return Named(*found)
    if session.get(HostingRefusal, (event_id, branch.id)) is None:
        raise NotFound
    return None


def agree(named: Named) -> None:
    named.hosting.added_at = None


def decline(session: Session, named: Named, person: Person, publishing: Publishing, now: datetime) -> None:
    """The event goes on without the branch, which is not named again."""
    with changes.recorded(session, named.event, "hosting-declined", person, now, confirms=False):
        session.merge(HostingRefusal(event_id=named.hosting.event_id, branch_id=named.hosting.branch_id))
        session.delete(named.hosting)
        derived.save(session, named.event, publishing, now)
