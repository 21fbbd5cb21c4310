"""Calendars that events come from, as people see them: addresses that are followed, and files that were uploaded.

A source is a row, because nothing waits on the network in a request; `following` is what the worker does with it.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import Session, col, select

from ..branches.models import Branch
from ..errors import Conflict, say
from .models import CalendarSource, Event, SourceState

KEEP_UPLOADS = timedelta(days=30)


def follow(session: Session, branch: Branch, url: str, now: datetime) -> CalendarSource:
    """`url` as `fetching.normal_url` gives it. Raises Conflict when the branch follows it already."""
    same = select(CalendarSource.id).where(
        col(CalendarSource.branch_id) == branch.id, col(CalendarSource.url) == url
    )
    if session.exec(same).first() is not None:
        raise Conflict(say("%(name)s follows this calendar already.", name=branch.name))
    return _added(session, branch, now, url=url, name=url)


def upload(session: Session, branch: Branch, name: str, body: bytes, now: datetime) -> CalendarSource:
    return _added(session, branch, now, name=name[:200], body=body)


def _added(
    session: Session, branch: Branch, now: datetime, *, name: str, url: str = "", body: bytes | None = None
) -> CalendarSource:
    source = CalendarSource(
        branch_id=branch.id or 0, url=url, name=name, body=body, created_at=now, run_at=now, report={}
    )
    session.add(source)
    session.flush()
    return source


def confirm(source: CalendarSource, now: datetime) -> None:
    """Takes over what a person has seen. Raises Conflict when there is nothing to decide (any more)."""
    if source.state not in (SourceState.PREVIEWED, SourceState.HELD) or source.body is None:
        raise Conflict(say("There is nothing to confirm here any more."))
    source.state, source.run_at, source.leased_until = SourceState.CONFIRMED, now, None


def fetch_now(source: CalendarSource, now: datetime) -> None:
    if source.is_followed and source.state != SourceState.CONFIRMED:
        source.run_at = now


def remove(session: Session, source: CalendarSource) -> None:
    """Ends following it. Its events stay; if it is followed again, they are known again."""
    session.delete(source)


def of_branches(
    session: Session, branch_ids: sa.Select[tuple[int]]
) -> Sequence[tuple[CalendarSource, Branch]]:
    """Newest first."""
    query = (
        select(CalendarSource, Branch)
        .join(Branch, col(Branch.id) == col(CalendarSource.branch_id))
        .where(col(CalendarSource.branch_id).in_(branch_ids))
        .order_by(col(CalendarSource.created_at).desc(), col(CalendarSource.id).desc())
    )
    return session.exec(query.limit(200)).all()


def one_of(session: Session, source_id: int, branch_ids: sa.Select[tuple[int]]) -> CalendarSource | None:
    query = select(CalendarSource).where(
        col(CalendarSource.id) == source_id, col(CalendarSource.branch_id).in_(branch_ids)
    )
    return session.exec(query).one_or_none()


def followed_by(session: Session, event: Event) -> CalendarSource | None:
    """The followed calendar that keeps this event in step, if there is one."""
    if event.upstream is None or not (event.source or "").startswith("feed:"):
        return None
    rows = session.exec(select(CalendarSource).where(col(CalendarSource.url) != "")).all()
    return next((row for row in rows if source_key(row.url, row.branch_id) == event.source), None)


def source_key(url: str, branch_id: int) -> str:
    """Where events say they come from: the same when a calendar is followed again."""
    return f"feed:{hashlib.sha256(f'{branch_id} {url}'.encode()).hexdigest()[:32]}"


def forget_uploads(session: Session, now: datetime) -> None:
    """Files that were taken over, or that nobody decided about for a month."""
    old = sa.and_(col(CalendarSource.url) == "", col(CalendarSource.created_at) < now - KEEP_UPLOADS)
    session.exec(sa.delete(CalendarSource).where(old))
