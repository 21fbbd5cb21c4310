"""Visitors say that something is wrong with an event or a branch. A report changes nothing that is public."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

import sqlalchemy as sa
from pydantic import Field
from sqlmodel import Session, col, select

from ..branches.models import Branch
from ..calendars import queries
from ..calendars.models import Event
from ..db import insert_into, table_of
from ..drafts import Draft, Email, LongText
from ..errors import Message, NotFound, say
from ..people.models import Person
from .models import Report
from .proposals import URGENT_WITHIN, deciding

Kind = Literal["closed", "time", "place", "other"]

KINDS: dict[str, Message] = {
    "closed": say("It has closed or does not take place"),
    "time": say("The time or day is wrong"),
    "place": say("The place is wrong"),
    "other": say("Something else"),
}
KEPT = timedelta(days=30)  # after it was closed
MOST = 50


class ReportDraft(Draft):
    key: Annotated[str, Field(min_length=16, max_length=64, pattern=r"^[\w-]+$")]
    kind: Kind
    message: Annotated[LongText, Field(max_length=2000)] = ""
    email: Email = ""

    def contradictions(self) -> Iterator[tuple[str, Message]]:
        if self.kind == "other" and not self.message:
            yield "message", say("Please say what is wrong.")


def add(session: Session, draft: ReportDraft, branch: Branch, event: Event | None, now: datetime) -> None:
    """A form that is sent twice is one report. `branch`: it, or the owner of the event."""
    table = table_of(Report)
    values = {
        "key": draft.key,
        "branch_id": branch.id,
        "event_id": event.id if event else None,
        "kind": draft.kind,
        "message": draft.message,
        "email": draft.email,
        "urgent": draft.kind == "closed" and (event is None or _is_soon(session, event, now)),
        "created_at": now,
    }
    session.connection().execute(
        insert_into(session, table).values(values).on_conflict_do_nothing(index_elements=[table.c.key])
    )


def _is_soon(session: Session, event: Event, now: datetime) -> bool:
    """Its next date is so near that people may be on their way before the daily mail."""
    coming = queries.dates_of(session, event.id or 0, now)
    return any(date.starts_at <= now + URGENT_WITHIN and not date.cancelled for date in coming)


@dataclass(frozen=True, slots=True)
class Open:
    """`event` None: about the branch itself."""

    report: Report
    branch: Branch
    event: Event | None


def waiting(session: Session, person: Person, most: int = MOST) -> list[Open]:
    """What the person may deal with: the urgent first, then the oldest."""
    query = (
        select(Report, Branch, Event)
        .join(Branch, col(Branch.id) == col(Report.branch_id))
        .outerjoin(Event, col(Event.id) == col(Report.event_id))
        .where(*waits(), _may_close(person))
        .order_by(col(Report.urgent).desc(), col(Report.created_at), col(Report.id))
    )
    return [Open(*row) for row in session.exec(query.limit(most)).all()]


def number(session: Session, person: Person) -> int:
    """How many that are."""
    query = select(sa.func.count(col(Report.id))).outerjoin(Event, col(Event.id) == col(Report.event_id))
    return session.exec(query.where(*waits(), _may_close(person))).one()


def waits() -> list[sa.ColumnElement[bool]]:
    """On `report` and, joined from outside, `event`: what is said of an event that was removed needs nobody."""
    return [col(Report.closed_at).is_(None), col(Event.deleted_at).is_(None)]


def _may_close(person: Person) -> sa.ColumnElement[bool]:
    """An event may have gone to another branch since."""
    return sa.func.coalesce(col(Event.branch_id), col(Report.branch_id)).in_(deciding(person))


def closable(session: Session, person: Person, report_id: int) -> Report:
    """NotFound for what is others'."""
    query = select(Report).outerjoin(Event, col(Event.id) == col(Report.event_id))
    found = session.exec(query.where(col(Report.id) == report_id, _may_close(person))).one_or_none()
    if found is None:
        raise NotFound
    return found


def close(report: Report, now: datetime) -> None:
    """Somebody has dealt with it; twice is once."""
    report.closed_at = report.closed_at or now


def forget_past(session: Session, now: datetime) -> None:
    session.exec(sa.delete(Report).where(col(Report.closed_at) < now - KEPT))
