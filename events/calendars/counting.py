"""How many dates a list has, without counting further than anybody wants to know."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache

import sqlalchemy as sa
from sqlmodel import Session

from ..db import table_of
from .models import Occurrence
from .queries import Selection, since
from .walking import Way, begins_late_enough, straight


def number_up_to(
    session: Session, selection: Selection, now: datetime, most: int, way: Way | None = None
) -> int:
    """Of the dates that `queries.upcoming` lists; `most` + 1 when there are more."""
    begin, days = since(selection, now), selection.dates()
    way = way or selection.way(session, most, begin)
    query = _counted(way, days) if way.met or days else _all_counted()
    asked = {"since": begin, "most": most + 1}
    number: int = session.connection().execute(query, asked).scalar_one()
    return number


@cache
def _all_counted() -> sa.Select[int]:
    return _counted(straight())


def _counted(way: Way, days: Sequence[sa.ColumnElement[bool]] = ()) -> sa.Select[int]:
    occurrence = table_of(Occurrence)
    found = sa.select(occurrence.c.event_id).select_from(way.start)
    begin = sa.bindparam("since", type_=occurrence.c.ends_at.type)
    found = found.where(occurrence.c.ends_at > begin, *days, *way.met)
    if way.met or days:  # walked through, as the list is
        found = found.where(*begins_late_enough(way, begin)).order_by(occurrence.c.starts_at)
    capped = found.limit(sa.bindparam("most", type_=sa.Integer())).subquery()
    return sa.select(sa.func.count()).select_from(capped)
