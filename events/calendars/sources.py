"""Calendars that events come from, as people see them: addresses that are followed, and files that were uploaded.

A source is a row, because nothing waits on the network in a request; `following` is what the worker does with it.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import defer
from sqlmodel import Session, col, select

from ..branches.models import Branch
from ..errors import Conflict, say
from .models import CalendarSource, Event, SourceState

KEEP_UPLOADS = timedelta(days=30)
OUT_OF_TOUCH = timedelta(days=1)  # after which visitors are told since when
_BODY: Any = CalendarSource.body  # 2 MB each


def follow(session: Session, branch: Branch, url: str, now: datetime) -> CalendarSource:
    """`url` as `fetching.normal_url` gives it. Raises Conflict when the branch follows it already."""
    try:
        with session.begin_nested():
            return _added(session, branch, now, url=url, key=source_key(url, branch.id or 0), name=url)
    except IntegrityError as error:
        raise Conflict(say("%(name)s follows this calendar already.", name=branch.name)) from error


def upload(session: Session, branch: Branch, name: str, body: bytes, now: datetime) -> CalendarSource:
    return _added(session, branch, now, name=name[:200], body=body)


def _added(session: Session, branch: Branch, now: datetime, **more: Any) -> CalendarSource:
    source = CalendarSource(branch_id=branch.id or 0, created_at=now, run_at=now, report={}, **more)
    session.add(source)
    session.flush()
    return source


def confirm(source: CalendarSource, seen: str, now: datetime) -> None:
    """Takes over what a person has seen (`seen`: its `seal`). Raises Conflict when it is not that any more."""
    if source.state not in (SourceState.PREVIEWED, SourceState.HELD) or source.body is None:
        raise Conflict(say("There is nothing to confirm here any more."))
    if seen != seal(source.body):
        raise Conflict(say("The calendar has changed since you looked at it. Please look once more."))
    source.state, source.run_at = SourceState.CONFIRMED, now


def seal(body: bytes | None) -> str:
    """By which a form says what was seen."""
    return hashlib.sha256(body).hexdigest()[:32] if body else ""


def fetch_now(source: CalendarSource, now: datetime) -> None:
    if source.is_followed and source.state != SourceState.CONFIRMED:
        source.run_at = now


def remove(session: Session, source: CalendarSource) -> None:
    """Ends following it. Its events stay; if it is followed again, they are known again."""
    session.delete(source)


def of_branches(
    session: Session, branch_ids: sa.Select[tuple[int]]
) -> Sequence[tuple[CalendarSource, Branch]]:
    """Newest first, without what waits to be taken over."""
    query = (
        select(CalendarSource, Branch)
        .options(defer(_BODY))
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
    query = select(CalendarSource).options(defer(_BODY)).where(col(CalendarSource.key) == event.source)
    return session.exec(query).one_or_none() if event.source else None


def unread_since(source: CalendarSource, now: datetime) -> datetime | None:
    """When a followed calendar could last be read, if that is too long ago to rely on what was taken from it."""
    read = source.fetched_at
    return read if read is not None and read < now - OUT_OF_TOUCH else None


def source_key(url: str, branch_id: int) -> str:
    """Where events say they come from: the same when a calendar is followed again."""
    return f"feed:{hashlib.sha256(f'{branch_id} {url}'.encode()).hexdigest()[:32]}"


def forget_uploads(session: Session, now: datetime) -> None:
    """Files that were taken over, or that nobody decided about for a month."""
    old = sa.and_(col(CalendarSource.url) == "", col(CalendarSource.created_at) < now - KEEP_UPLOADS)
    session.exec(sa.delete(CalendarSource).where(old))
