"""Who changed what, and when: each change leaves what it came to, so that any of it can be had back.

A subject is anything with a name such as `event:12`; what a snapshot holds is the subject's own business.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import JSON, Column, UniqueConstraint
from sqlmodel import Field, Session, col, select

from ..db import UNSEEN, Row, apart
from ..errors import NotFound
from .models import Person


class VersionRow(Row, registry=apart()):
    pass


class Version(VersionRow, table=True):
    """What a subject said after a change. Number 1 is the oldest that is known."""

    __table_args__ = (UniqueConstraint("subject", "number"), UNSEEN)

    id: int | None = Field(default=None, primary_key=True)
    subject: str
    number: int
    action: str  # a word that pages have a sentence for
    person_id: int | None = Field(default=None, foreign_key="person.id", index=True, ondelete="SET NULL")
    made_at: datetime
    batch: str = Field(default="", index=True)  # of changes that were made together
    snapshot: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))


def write(
    session: Session,
    subject: str,
    action: str,
    snapshot: dict[str, Any],
    person: Person | None,
    now: datetime,
    batch: str = "",
) -> Version:
    """The next version of the subject. `person`: None when it was nobody who signs in."""
    version = Version(
        subject=subject,
        number=last_number(session, subject) + 1,
        action=action,
        person_id=person.id if person else None,
        made_at=now,
        batch=batch,
        snapshot=snapshot,
    )
    session.add(version)
    session.flush()
    return version


def last_number(session: Session, subject: str) -> int:
    """0: nothing is known of it."""
    return session.exec(_LAST, params={"subject": subject}).one() or 0


_LAST = select(sa.func.max(col(Version.number))).where(col(Version.subject) == sa.bindparam("subject"))


def versions(session: Session, subject: str, most: int = 200) -> Sequence[Version]:
    """The newest first."""
    query = select(Version).where(col(Version.subject) == subject)
    return session.exec(query.order_by(col(Version.number).desc()).limit(most)).all()


def version(session: Session, subject: str, number: int) -> Version:
    """Raises NotFound."""
    query = select(Version).where(col(Version.subject) == subject, col(Version.number) == number)
    found = session.exec(query).one_or_none()
    if found is None:
        raise NotFound
    return found


def of_batch(session: Session, batch: str) -> Sequence[Version]:
    """In the order in which they were made."""
    if not batch:
        return []
    query = select(Version).where(col(Version.batch) == batch)
    return session.exec(query.order_by(col(Version.id))).all()


def names(session: Session, found: Sequence[Version]) -> dict[int, str]:
    """How to call the people who made these versions, by their id; who has left is not among them."""
    ids = {version.person_id for version in found if version.person_id is not None}
    people = session.exec(select(Person).where(col(Person.id).in_(ids))).all()
    return {person.id: person.name or person.email for person in people if person.id is not None}
