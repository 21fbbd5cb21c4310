"""What an admin sees of the outbox, and does there. What a mail says is never shown: it may sign somebody in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session, col

from ..db import table_of
from ..errors import Conflict, NotFound, no_such_page, say
from . import outbox
from .models import OutgoingMail

PAGE = 20
TRIED_AGAIN = timedelta(hours=48)  # what failed lately is worth trying again, all at once


class Kind(StrEnum):
    WAITING = "waiting"  # what goes next first
    FAILED = "failed"  # the last first


class Line(NamedTuple):
    id: int
    kind: str
    recipient: str
    subject: str
    message_ref: int | None
    created_at: datetime
    run_at: datetime
    leased_until: datetime | None
    attempts: int
    failed_at: datetime | None
    last_error: str


@dataclass(frozen=True, slots=True)
class Standing:
    waiting: int
    oldest: datetime | None  # since when it waits
    failed: int
    last_sent: datetime | None
    lag: timedelta


def standing(session: Session, now: datetime) -> Standing:
    table = table_of(OutgoingMail)
    waiting, oldest = outbox.waiting(session)
    failed = sa.select(sa.func.count()).select_from(table).where(table.c.failed_at.is_not(None))
    last = sa.select(sa.func.max(table.c.sent_at))
    run = session.connection().execute
    return Standing(
        waiting, oldest, run(failed).scalar_one(), run(last).scalar_one(), outbox.lag(session, now)
    )


def listed(session: Session, kind: Kind, page: int) -> tuple[Sequence[Line], int]:
    """One page, and the number of pages. NotFound past the end."""
    table = table_of(OutgoingMail)
    conditions: list[sa.ColumnElement[bool]] = [table.c.sent_at.is_(None), table.c.failed_at.is_(None)]
    order: Sequence[sa.ColumnElement[Any]] = (table.c.bulk, table.c.run_at, table.c.id)
    if kind is Kind.FAILED:
        conditions, order = [table.c.failed_at.is_not(None)], (table.c.failed_at.desc(), table.c.id.desc())
    total = sa.select(sa.func.count()).select_from(table).where(*conditions)
    pages = max(1, -(-session.connection().execute(total).scalar_one() // PAGE))
    if page > pages:
        raise no_such_page(page)
    query = sa.select(*(table.c[name] for name in Line._fields)).where(*conditions).order_by(*order)
    found = session.connection().execute(query.offset((page - 1) * PAGE).limit(PAGE))
    return [Line(*row) for row in found], pages


def retry(session: Session, mail_id: int, now: datetime) -> bool:
    """It is due at once. False: there is nothing to do, because it is on its way or has been sent. Raises NotFound."""
    if _due_at_once(session, now, col(OutgoingMail.id) == mail_id):
        return True
    if session.get(OutgoingMail, mail_id) is None:
        raise NotFound
    return False


def retry_failed(session: Session, now: datetime) -> int:
    """Of all that failed lately; returns how many that were."""
    return _due_at_once(session, now, col(OutgoingMail.failed_at) >= now - TRIED_AGAIN)


def _due_at_once(session: Session, now: datetime, *conditions: sa.ColumnElement[bool]) -> int:
    table = table_of(OutgoingMail)
    waits = sa.update(table).where(table.c.sent_at.is_(None), _is_free(now), *conditions)
    return session.connection().execute(waits.values(failed_at=None, run_at=now)).rowcount


def remove(session: Session, mail_id: int, now: datetime) -> None:
    """Takes it out of the outbox; a message to a branch stays in its inbox. Twice is once. Raises Conflict."""
    table = table_of(OutgoingMail)
    removed = sa.delete(table).where(table.c.id == mail_id, table.c.sent_at.is_(None), _is_free(now))
    if not session.connection().execute(removed).rowcount and session.get(OutgoingMail, mail_id) is not None:
        raise Conflict(say("This e-mail has been sent, or is on its way at this moment."))


def _is_free(now: datetime) -> sa.ColumnElement[bool]:
    leased_until = table_of(OutgoingMail).c.leased_until
    return sa.or_(leased_until.is_(None), leased_until < now)
