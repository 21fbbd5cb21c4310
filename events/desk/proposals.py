"""Events that wait for an organizer: suggested by visitors, or posted by people whose posts need approval.

What waits is what the event itself says: one that is not submitted any more waits no more, whoever changed it and
however. A proposal is decided once, by a conditional UPDATE, and answered once, with the decision where that is made
here, else by the worker.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import Session, col, select

from ..branches.models import Branch
from ..calendars import changes, derived
from ..calendars.content import Publishing
from ..calendars.models import Event, State
from ..db import insert_into, table_of
from ..errors import Conflict, NotFound, say
from ..people import history, permissions
from ..people.models import Person
from . import answers
from .models import Proposal, TrustedProposer

URGENT_WITHIN = timedelta(hours=48)  # of its beginning: the daily mail would come too late
KEPT = timedelta(days=30)  # after the decision, as messages to branches are
MOST = 50

_DECIDED = say("This has been decided already.")


def add(
    session: Session,
    event: Event,
    now: datetime,
    *,
    person: Person | None = None,
    name: str = "",
    email: str = "",
    note: str = "",
    language: str = "en",
) -> Proposal:
    """Puts a submitted event on the desk of its branch; one that was there before is there anew."""
    proposal = session.get(Proposal, event.id) or Proposal(
        event_id=event.id or 0, branch_id=event.branch_id, created_at=now
    )
    proposal.person_id = person.id if person else None
    proposal.name, proposal.email, proposal.note, proposal.language = name, email, note, language
    proposal.branch_id, proposal.created_at = event.branch_id, now
    proposal.decided_at, proposal.accepted, proposal.answer = None, None, ""
    proposal.urgent = now <= event.begins_at <= now + URGENT_WITHIN
    session.add(proposal)
    return proposal


# ---------------------------------------------------------------- who may do what


def needs_approval(session: Session, person: Person, branch: Branch) -> bool:
    """Whether what the person posts for the branch waits until somebody else has looked at it."""
    return not permissions.is_trusted(session, person, branch)


def check_decides(session: Session, person: Person, branch: Branch) -> None:
    """Raises NotFound for who does not decide for the branch."""
    if not permissions.is_trusted(session, person, branch):
        raise NotFound


def may_change(session: Session, person: Person, event: Event) -> bool:
    """Of an event of the person's branches: who needs approval changes only their own, and only before it is public."""
    if permissions.is_trusted_at(session, person, event.branch_id):
        return True
    waiting = event.state in (State.DRAFT, State.SUBMITTED) and event.deleted_at is None
    return waiting and author_id(session, event) == person.id


def check_may_change(session: Session, person: Person, event: Event) -> None:
    """Raises Conflict."""
    if not may_change(session, person, event):
        raise Conflict(
            say(
                "What you post needs approval: you can change your own drafts and what still waits, nothing else."
            )
        )


def author_id(session: Session, event: Event) -> int | None:
    """Who posted it. None: a visitor, a calendar that came in, or somebody who has left."""
    proposal = session.get(Proposal, event.id)
    if proposal is not None:
        return proposal.person_id
    try:
        return history.version(session, changes.subject(event), 1).person_id
    except NotFound:
        return None


def deciding(person: Person) -> sa.Select[tuple[int]]:
    """A subquery of the branches for which the person decides: by a role that is trusted, there or above."""
    return permissions.branch_ids(person, trusted=True)


# ---------------------------------------------------------------- what waits


@dataclass(frozen=True, slots=True)
class Waiting:
    """`author`: the organizer who posted it; None for a visitor's suggestion."""

    proposal: Proposal
    event: Event
    branch: Branch
    author: Person | None


def waiting(session: Session, person: Person, most: int = MOST) -> list[Waiting]:
    """What the person may decide: the urgent first, then the oldest."""
    query = (
        select(Proposal, Event, Branch, Person)
        .join(Event, col(Event.id) == col(Proposal.event_id))
        .join(Branch, col(Branch.id) == col(Event.branch_id))
        .outerjoin(Person, col(Person.id) == col(Proposal.person_id))
        .where(*waits(), _may_decide(person))
        .order_by(col(Proposal.urgent).desc(), col(Proposal.created_at), col(Proposal.event_id))
    )
    return [Waiting(*row) for row in session.exec(query.limit(most)).all()]


def number(session: Session, person: Person) -> int:
    """How much that is."""
    query = select(sa.func.count(col(Proposal.event_id))).join(Event, col(Event.id) == col(Proposal.event_id))
    return session.exec(query.where(*waits(), _may_decide(person))).one()


def own(session: Session, person: Person, most: int = MOST) -> Sequence[Event]:
    """What the person has posted and others are to decide, by its first date."""
    query = (
        select(Event)
        .join(Proposal, col(Proposal.event_id) == col(Event.id))
        .where(*waits(), col(Proposal.person_id) == person.id)
    )
    return session.exec(query.order_by(col(Event.begins_at), col(Event.id)).limit(most)).all()


def waits() -> list[sa.ColumnElement[bool]]:
    """On `proposal` and `event`."""
    return [
        col(Proposal.decided_at).is_(None),
        col(Event.state) == State.SUBMITTED,
        col(Event.deleted_at).is_(None),
    ]


def _may_decide(person: Person) -> sa.ColumnElement[bool]:
    """Nobody approves their own."""
    by_others = sa.or_(col(Proposal.person_id).is_(None), col(Proposal.person_id) != person.id)
    return sa.and_(col(Event.branch_id).in_(deciding(person)), by_others)


def decidable(session: Session, person: Person, event_id: int) -> tuple[Proposal, Event]:
    """What the person may decide, or might have. NotFound for what is others' to decide, and for their own."""
    query = (
        select(Proposal, Event)
        .join(Event, col(Event.id) == col(Proposal.event_id))
        .where(col(Proposal.event_id) == event_id, _may_decide(person))
    )
    found = session.exec(query).one_or_none()
    if found is None:
        raise NotFound
    return found


# ---------------------------------------------------------------- deciding


def accept(
    session: Session, proposal: Proposal, event: Event, person: Person, publishing: Publishing, now: datetime
) -> bool:
    """Publishes the event. False: it was accepted before. Raises Conflict: it was declined, or is gone."""
    if not _is_first(session, proposal, event, True, now):
        return False
    with changes.recorded(session, event, "approved", person, now):
        event.publish()
        derived.save(session, event, publishing, now)
    answers.answer(session, proposal, event, publishing, now)
    return True


def refuse(
    session: Session,
    proposal: Proposal,
    event: Event,
    person: Person,
    answer: str,
    publishing: Publishing,
    now: datetime,
) -> bool:
    """Removes a suggestion; what an organizer posted is a draft of theirs again, so that nothing is lost.

    False: it was declined before. Raises Conflict: it was accepted, or is gone.
    """
    if not _is_first(session, proposal, event, False, now, answer):
        return False
    with changes.recorded(session, event, "declined", person, now):
        if proposal.person_id is None:
            event.delete(now)
        else:
            event.unpublish()
        derived.save(session, event, publishing, now)
    answers.answer(session, proposal, event, publishing, now)
    return True


def settle(session: Session, event: Event, accepted: bool, now: datetime, answer: str = "") -> bool:
    """Counts the proposal of an event as decided, if there is one and it was not. The worker answers it.

    To be called where an event that waits is published or removed; what is forgotten, the worker settles itself.
    """
    table = table_of(Proposal)
    decision = (
        sa.update(table)
        .where(table.c.event_id == event.id, table.c.decided_at.is_(None))
        .values(decided_at=now, accepted=accepted, answer=answer)
    )
    session.flush()
    first = session.connection().execute(decision).rowcount == 1
    if proposal := session.get(Proposal, event.id):
        session.refresh(proposal)
    return first


def _is_first(
    session: Session, proposal: Proposal, event: Event, accepted: bool, now: datetime, answer: str = ""
) -> bool:
    still = event.state == State.SUBMITTED and event.deleted_at is None
    if still and settle(session, event, accepted, now, answer):
        return True
    if proposal.accepted is not accepted:
        raise Conflict(_DECIDED)
    return False


def reopen(session: Session, event: Event, now: datetime) -> None:
    """An event that was declined and is had back waits again. Who has had an answer gets no second one."""
    if event.state == State.SUBMITTED and event.deleted_at is None:
        proposal = session.get(Proposal, event.id) or add(session, event, now, language="")
        proposal.decided_at, proposal.accepted, proposal.created_at = None, None, now


def forget_past(session: Session, now: datetime) -> None:
    """Who suggested something, and what they wrote beside it, is not kept for long."""
    session.exec(sa.delete(Proposal).where(col(Proposal.decided_at) < now - KEPT))


# ---------------------------------------------------------------- addresses that are trusted


def trust(session: Session, branch_id: int, email: str, now: datetime) -> None:
    """What comes from this address is published once a link that was mailed to it is used."""
    values = {"branch_id": branch_id, "email": email, "created_at": now}
    session.connection().execute(
        insert_into(session, table_of(TrustedProposer)).values(values).on_conflict_do_nothing()
    )


def is_trusted_address(session: Session, branch_id: int, email: str) -> bool:
    return session.get(TrustedProposer, (branch_id, email)) is not None


def distrust(session: Session, branch: Branch, email: str) -> None:
    found = sa.and_(col(TrustedProposer.branch_id) == branch.id, col(TrustedProposer.email) == email)
    session.exec(sa.delete(TrustedProposer).where(found))


def trusted_addresses(
    session: Session, person: Person, most: int = MOST
) -> Sequence[tuple[TrustedProposer, Branch]]:
    """At the branches for which the person decides, the newest first."""
    query = (
        select(TrustedProposer, Branch)
        .join(Branch, col(Branch.id) == col(TrustedProposer.branch_id))
        .where(col(TrustedProposer.branch_id).in_(deciding(person)))
        .order_by(col(TrustedProposer.created_at).desc(), col(TrustedProposer.email))
    )
    return session.exec(query.limit(most)).all()
