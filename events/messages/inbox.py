"""The inbox of a branch: what visitors wrote, whether somebody has answered, and whom the branch does not want to hear.

Only those read it whose role at the branch is one that is trusted: it has the words and addresses of visitors.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped
from sqlmodel import Session, col, select

from ..branches.models import Branch
from ..db import insert_into, table_of
from ..errors import NotFound, no_such_page, say
from ..language import Language
from ..people import permissions
from ..people.models import Person
from ..people.sign_in import normal_email
from . import contact, outbox
from .models import ContactMessage, MutedSender, RefusedAddress
from .refusals import destination

PAGE = 50
MOST_BRANCHES = 200  # in a menu
MOST_SENDERS = 100

Found = tuple[ContactMessage, Branch]


class Kind(StrEnum):
    UNANSWERED = "unanswered"  # the oldest first
    ANSWERED = "answered"  # the last first
    MUTED = "muted"


def listed(
    session: Session,
    person: Person,
    *,
    kind: Kind | None = None,
    branch: Branch | None = None,
    page: int = 1,
) -> tuple[Sequence[Found], bool]:
    """A page of messages, and whether there are more: what is not answered first. NotFound past the end.

    Without a kind all but those of muted senders.
    """
    created, answered = col(ContactMessage.created_at), col(ContactMessage.answered_at)
    theirs = [col(ContactMessage.branch_id) == branch.id] if branch else _mine(person)
    query = (
        select(ContactMessage, Branch)
        .join(Branch, col(Branch.id) == col(ContactMessage.branch_id))
        .where(*theirs, *_of_kind(kind))
        .order_by(
            sa.case((answered.is_(None), 0), else_=1),
            sa.case((answered.is_(None), created)),
            answered.desc(),
            col(ContactMessage.id),
        )
    )
    found = session.exec(query.offset((page - 1) * PAGE).limit(PAGE + 1)).all()
    if page > 1 and not found:
        raise no_such_page(page)
    return found[:PAGE], len(found) > PAGE


def number(session: Session, person: Person) -> int:
    """How many wait for an answer."""
    query = select(sa.func.count(col(ContactMessage.id)))
    return session.exec(query.where(*_mine(person), *_of_kind(Kind.UNANSWERED))).one()


def branches(session: Session, person: Person) -> Sequence[Branch]:
    """Those that have messages, by name; none where they are too many for a menu."""
    having = sa.select(table_of(ContactMessage).c.branch_id).where(*_mine(person))
    query = select(Branch).where(col(Branch.id).in_(having)).order_by(col(Branch.name), col(Branch.id))
    found = session.exec(query.limit(MOST_BRANCHES + 1)).all()
    return found if len(found) <= MOST_BRANCHES else ()


def branch_at(session: Session, person: Person, slug: str) -> Branch:
    """A branch whose inbox the person reads. Raises NotFound."""
    branch = permissions.branch_of(session, person, slug)
    if not permissions.is_trusted(session, person, branch):
        raise NotFound
    return branch


def reads_any(session: Session, person: Person) -> bool:
    mine = permissions.branch_ids(person, trusted=True).limit(1)
    return session.connection().execute(mine).first() is not None


def message_at(session: Session, person: Person, number: int, *, to_change: bool = False) -> Found:
    """A message that the person may read. Raises NotFound.

    `to_change`: of two who act on it at the same moment, the second waits, and finds what the first has made of it.
    """
    query = select(ContactMessage).where(col(ContactMessage.id) == number, *_mine(person))
    message = session.exec(query.with_for_update() if to_change else query).one_or_none()
    if message is None:
        raise NotFound
    return message, session.get_one(Branch, message.branch_id)


def _mine(person: Person) -> list[sa.ColumnElement[bool]]:
    """An admin's are all: nothing to compare with."""
    column: Mapped[Any] = col(ContactMessage.branch_id)
    return [] if person.is_admin else [column.in_(permissions.branch_ids(person, trusted=True))]


def _of_kind(kind: Kind | None) -> list[sa.ColumnElement[bool]]:
    muted, answered = col(ContactMessage.muted), col(ContactMessage.answered_at)
    match kind:
        case Kind.UNANSWERED:
            return [muted.is_(False), answered.is_(None)]
        case Kind.ANSWERED:
            return [muted.is_(False), answered.is_not(None)]
        case Kind.MUTED:
            return [muted.is_(True)]
    return [muted.is_(False)]


# ---------------------------------------------------------------- what becomes of a message


def mark_answered(message: ContactMessage, person: Person, now: datetime) -> None:
    """Who said so first stays the one who did."""
    if not message.is_answered:
        message.answered_at, message.answered_by_id = now, person.id


def reopen(message: ContactMessage) -> None:
    message.answered_at = message.answered_by_id = None


def forward(
    session: Session,
    message: ContactMessage,
    target: Branch,
    spoken: Language,
    organisation: str,
    now: datetime,
    site: str,
) -> None:
    """Into the inbox of another branch, and by mail to it, unless the sender is muted there. `spoken` is what it reads.

    Raises Gone where nobody could read it. It is deleted when it would have been: that was promised to its writer.
    """
    to, source = contact.reached_at(session, target), session.get_one(Branch, message.branch_id)
    first = message.forwarded_from_id or source.id
    message.forwarded_from_id = first if first != target.id else None  # it is back where it was written to
    message.branch_id, message.forwarded_at = target.id or 0, now
    message.muted = contact.is_muted(session, target, message.email)
    reopen(message)
    session.flush()
    if not message.muted:
        note = say("%(branch)s passes this message on to you.", branch=source.name)
        contact.mail_on(session, message, target, to, spoken, organisation, now, note, site=site)


def has_left(session: Session, person: Person, number: int) -> bool:
    """Whether a message was written to a branch of the person's, who reads it no more since it was passed on."""
    there = col(ContactMessage.forwarded_from_id).in_(permissions.branch_ids(person, trusted=True))
    query = select(ContactMessage.id).where(col(ContactMessage.id) == number, there)
    return session.exec(query).first() is not None


def take_over(session: Session, branch: Branch, into: Branch, now: datetime) -> None:
    """What a branch has in its inbox, and whom it does not hear, goes to the one into which it is merged.

    Its people go there as well: nobody else would read it.
    """
    messages, muted = table_of(ContactMessage), table_of(MutedSender)
    written_to = sa.func.coalesce(messages.c.forwarded_from_id, branch.id)
    known = sa.select(muted.c.email).where(muted.c.branch_id == into.id)
    for statement in (
        sa.update(messages)
        .where(messages.c.branch_id == branch.id)
        .values(branch_id=into.id, forwarded_from_id=sa.func.nullif(written_to, into.id), forwarded_at=now),
        sa.delete(muted).where(muted.c.branch_id == branch.id, muted.c.email.in_(known)),
        sa.update(muted).where(muted.c.branch_id == branch.id).values(branch_id=into.id),
    ):
        session.connection().execute(statement)


# ---------------------------------------------------------------- whom a branch does not want to hear


def mute(session: Session, branch: Branch, email: str, now: datetime) -> None:
    """From now on; and what the branch has of the sender is put aside as well."""
    table = table_of(MutedSender)
    values = MutedSender(branch_id=branch.id or 0, email=normal_email(email), created_at=now).model_dump()
    session.connection().execute(insert_into(session, table).values(values).on_conflict_do_nothing())
    _put_aside(session, branch, normal_email(email), True)


def listen_again(session: Session, branch: Branch, email: str) -> None:
    """What came meanwhile is among the others again. `email` as it was muted."""
    sender = session.get(MutedSender, (branch.id, email))
    if sender is not None:
        session.delete(sender)
        _put_aside(session, branch, email, False)


def _put_aside(session: Session, branch: Branch, email: str, muted: bool) -> None:
    table = table_of(ContactMessage)
    theirs = (table.c.branch_id == branch.id, sa.func.lower(table.c.email) == email)
    session.flush()
    session.connection().execute(sa.update(table).where(*theirs).values(muted=muted))


def muted_senders(
    session: Session, person: Person, branch: Branch | None = None
) -> Sequence[tuple[MutedSender, Branch]]:
    """At the person's branches or one of them, the last first; MOST_SENDERS of them."""
    at: Mapped[Any] = col(MutedSender.branch_id)
    query = select(MutedSender, Branch).join(Branch, col(Branch.id) == at)
    if branch is not None:
        query = query.where(at == branch.id)
    elif not person.is_admin:
        query = query.where(at.in_(permissions.branch_ids(person, trusted=True)))
    in_order = query.order_by(col(MutedSender.created_at).desc(), at, col(MutedSender.email))
    return session.exec(in_order.limit(MOST_SENDERS)).all()


# ---------------------------------------------------------------- addresses that refuse mail


@dataclass(frozen=True, slots=True)
class Refusing:
    """A branch whose address refuses mail. `instead`: the branch that gets it; None: those who organize, or nobody."""

    branch: Branch
    since: datetime
    is_read: bool
    instead: Branch | None


def refusing(session: Session, found: Iterable[Branch]) -> Sequence[Refusing]:
    """Of these branches those whose own address refuses mail."""
    by_address: dict[str, list[Branch]] = {}
    for branch in {branch.id: branch for branch in found if branch.email}.values():
        by_address.setdefault(branch.email.lower(), []).append(branch)
    query = select(RefusedAddress).where(
        col(RefusedAddress.address).in_(by_address), col(RefusedAddress.unknown).is_(True)
    )
    refused = session.exec(query.order_by(col(RefusedAddress.address))).all() if by_address else ()
    return [_refusing(session, branch, one) for one in refused for branch in by_address[one.address]]


def _refusing(session: Session, branch: Branch, refused: RefusedAddress) -> Refusing:
    """Who gets the mail is called by name: the address of a branch is not for the eyes of another."""
    to = destination(session, branch)
    instead = next((one for one in contact.above(session, branch) if one.email == to), None)
    return Refusing(branch, refused.refused_at, to is not None, instead)


def deleted_at(message: ContactMessage) -> datetime:
    return message.created_at + outbox.KEEP_MESSAGES
