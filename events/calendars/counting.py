"""How many dates a list has, without counting further than anybody wants to know."""

from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Session

from ..db import table_of
from .models import Occurrence
from .queries import OF_EVENTS, Selection, wanted


def number_up_to(session: Session, selection: Selection, now: datetime, most: int) -> int:
    """Of the dates that `queries.upcoming` lists; `most` + 1 when there are more."""
    found = sa.select(table_of(Occurrence).c.event_id).select_from(OF_EVENTS)
    capped = found.where(*wanted(session, selection, now)).limit(most + 1).subquery()
    return session.connection().execute(sa.select(sa.func.count()).select_from(capped)).scalar_one()
