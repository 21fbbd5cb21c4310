"""How far behind the queues are, and how the calendars that others keep are doing: for `/metrics` and for `doctor`."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from .calendars.models import CalendarSource, SourceState
from .db import table_of
from .news.models import HeadlineSource
from .subscriptions.models import Frequency, Subscription

NOTHING = timedelta()


@dataclass(frozen=True, slots=True)
class Followed:
    """`failing`: did not answer, or not with anything of use, the last time; `oldest`: age of the oldest good copy."""

    number: int
    failing: int
    held: int  # until a person has looked
    oldest: timedelta


@dataclass(frozen=True, slots=True)
class Late:
    """What is due: how many, and for how long the oldest."""

    number: int
    lag: timedelta


def calendars(session: Session, now: datetime) -> Followed:
    table = table_of(CalendarSource)
    return _followed(session, table, table.c.url != "", table.c.state == SourceState.HELD, now)


def headlines(session: Session, now: datetime) -> Followed:
    return _followed(session, table_of(HeadlineSource), sa.true(), sa.false(), now)


def _followed(
    session: Session,
    table: sa.Table,
    followed: sa.ColumnElement[bool],
    held: sa.ColumnElement[bool],
    now: datetime,
) -> Followed:
    query = sa.select(
        sa.func.count(),
        sa.func.count().filter(table.c.failures > 0),
        sa.func.count().filter(held),
        sa.func.min(table.c.fetched_at),
    ).where(followed)
    number, failing, waiting, oldest = session.connection().execute(query).one()
    return Followed(number, failing, waiting, now - oldest if oldest else NOTHING)


def imports(session: Session, now: datetime) -> Late:
    """Files that somebody brought and that are being read or taken over."""
    table = table_of(CalendarSource)
    going_on = table.c.url == "", table.c.state.in_((SourceState.NEW, SourceState.CONFIRMED))
    return _late(session, sa.select(sa.func.count(), sa.func.min(table.c.run_at)).where(*going_on), now)


def late_digests(session: Session, now: datetime) -> Late:
    table = table_of(Subscription)
    wanted = table.c.confirmed_at.is_not(None), table.c.frequency != Frequency.NEVER, table.c.run_at <= now
    return _late(session, sa.select(sa.func.count(), sa.func.min(table.c.run_at)).where(*wanted), now)


def _late(session: Session, query: sa.Select[int, Any], now: datetime) -> Late:
    number, oldest = session.connection().execute(query).one()
    return Late(number, max(now - oldest, NOTHING) if oldest else NOTHING)
