"""Dates and events in pages, with as many queries for a hundred as for one: for programs and for search engines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session, col, select

from ..db import table_of
from ..errors import no_such_page
from .content import Said, Told
from .derived import tell_all
from .lists import say_all
from .models import PUBLIC, Event, Occurrence
from .queries import DateKey, Selection, dates_of_all, firsts_of_all

PAGE = 100


def dates(session: Session, selection: Selection, now: datetime, page: int) -> tuple[list[Said], bool]:
    """As `queries.upcoming` lists them, soonest first, and whether there are more. NotFound past the end."""
    rows, more = _page(session, dates_of_all(session, selection, now, page * PAGE), page)
    return say_all(session, [DateKey(*row) for row in rows]), more


def events(session: Session, selection: Selection, now: datetime, page: int) -> tuple[list[Told], bool]:
    """Each event that has such a date once, by the first of them."""
    rows, more = _page(session, firsts_of_all(session, selection, now, page * PAGE), page)
    ids = [row.event_id for row in rows]
    found = {event.id: event for event in session.exec(select(Event).where(col(Event.id).in_(ids)))}
    return tell_all(session, [found[number] for number in ids]), more


def _page(session: Session, query: sa.Select[Any], page: int) -> tuple[Sequence[Any], bool]:
    rows = session.connection().execute(query.offset((page - 1) * PAGE).limit(PAGE + 1)).all()
    if page > 1 and not rows:
        raise no_such_page(page)
    return rows[:PAGE], len(rows) > PAGE


@dataclass(frozen=True, slots=True)
class Ahead:
    """What is still to come of an event: how many dates that take place, and the start of the next (wall clock)."""

    number: int = 0
    next_start: datetime | None = None


def ahead(session: Session, event_ids: Sequence[int], now: datetime) -> Mapping[int, Ahead]:
    """Of each event that has any, within the horizon of dates that are written out."""
    occurrence = table_of(Occurrence).c
    query = (
        sa.select(occurrence.event_id, sa.func.count(), sa.func.min(occurrence.start))
        .where(occurrence.event_id.in_(event_ids), occurrence.ends_at > now, occurrence.cancelled.is_(False))
        .group_by(occurrence.event_id)
    )
    return {number: Ahead(*rest) for number, *rest in session.connection().execute(query)}


# ---------------------------------------------------------------- for search engines


def number_of_pages(session: Session, now: datetime) -> int:
    """How many events have a page and are not over."""
    query = sa.select(sa.func.count()).select_from(table_of(Event)).where(*_not_over(now))
    return session.connection().execute(query).scalar_one()


def ids_of_pages(session: Session, now: datetime, skip: int, most: int) -> Sequence[tuple[int, datetime]]:
    """Of those events, with the time of their last visible change."""
    event = table_of(Event).c
    query = sa.select(event.id, event.modified_at).where(*_not_over(now)).order_by(event.id)
    return [(id, at) for id, at in session.connection().execute(query.offset(skip).limit(most))]


def _not_over(now: datetime) -> list[sa.ColumnElement[bool]]:
    event = table_of(Event).c
    return [
        event.state.in_(PUBLIC),
        event.deleted_at.is_(None),
        sa.or_(event.ends_at.is_(None), event.ends_at > now),
    ]
