"""Finished lists: bytes, and how long they stand."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlmodel import Session

from ..db import table_of
from .models import CalendarRevision
from .moves import Reach

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Finished:
    """A list as it goes out, and until when it is good.

    `changed_at`: when it last changed by time alone. `revision`: of the calendars when it was made; without a `reach`
    it depends on more than these tell. `mark`: of which events it has at which revisions, the same in all languages
    and variants.
    """

    body: bytes
    moved_at: datetime
    changed_at: datetime
    good_until: datetime
    revision: int
    reach: Reach | None = None
    mark: str = ""

    @property
    def etag(self) -> str:
        return etag_of(self.body)

    @property
    def modified_at(self) -> datetime:
        """Moves on with every step of the revision, so that it never goes back, whichever process answers."""
        return max(self.moved_at, self.changed_at)


def etag_of(body: bytes) -> str:
    """Strong (RFC 9110 8.8.3): the same for the same bytes alone."""
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


_NOW = sa.select(table_of(CalendarRevision).c.number, table_of(CalendarRevision).c.moved_at)


def current_revision(session: Session) -> tuple[int, datetime]:
    row = session.connection().execute(_NOW).first()
    return (row.number, row.moved_at) if row else (0, LONG_AGO)


def next_midnight(moment: datetime) -> datetime:
    return midnight(moment) + timedelta(days=1)


def midnight(moment: datetime) -> datetime:
    return datetime.combine(moment.astimezone(UTC).date(), datetime.min.time(), UTC)
