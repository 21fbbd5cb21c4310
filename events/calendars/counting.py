"""How many dates a list has, without counting further than anybody wants to know."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache

import sqlalchemy as sa
from sqlmodel import Session

from ..db import table_of
from .models import Occurrence
from .queries import OF_EVENTS, Selection, since


def number_up_to(session: Session, selection: Selection, now: datetime, most: int) -> int:
    """Of the dates that `queries.upcoming` lists; `most` + 1 when there are more."""
    begin = since(selection, now)
    narrowed = [*selection.dates(), *selection.conditions(session, most, since=begin)]
    query = _counted(narrowed) if narrowed else _all_counted()
    asked = {"since": begin, "most": most + 1}
    number: int = session.connection().execute(query, asked).scalar_one()
    return number


@cache
def _all_counted() -> sa.Select[int]:
    return _counted([])


def _counted(narrowed: Sequence[sa.ColumnElement[bool]]) -> sa.Select[int]:
    occurrence = table_of(Occurrence)
    found = sa.select(occurrence.c.event_id).select_from(OF_EVENTS if narrowed else occurrence)
    begin = sa.bindparam("since", type_=occurrence.c.ends_at.type)
    found = found.where(occurrence.c.ends_at > begin, *narrowed)
    if narrowed:  # walked through, as the list is
        found = found.order_by(occurrence.c.starts_at)
    capped = found.limit(sa.bindparam("most", type_=sa.Integer())).subquery()
    return sa.select(sa.func.count()).select_from(capped)
