"""What moved with each step of the calendar revision, so that what has been made of other events stays good."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlmodel import Field, Session

from ..db import Row, insert_of, table_of
from ..places.geo import Distance, Point, great_circle
from .models import CalendarRevision

MOST = 1000  # steps that are looked at one by one; whoever is further behind makes everything anew
ROUNDING = 1.01  # great_circle is wrong by 0.6 % at most
_NOWHERE = "-"


class CalendarMove(Row, table=True):
    """One step. `scopes` as in Event.listed_in, before and after; `points` likewise, two numbers each; None: anywhere.

    Without an event anything may have moved.
    """

    __tablename__ = "calendar_move"

    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    event_id: int | None = None
    scopes: str = ""
    points: str | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """What one step was about: an event, the feeds of branches and topics it is or was in, where it is or was."""

    event_id: int | None = None
    scopes: frozenset[str] = frozenset()
    points: tuple[Point, ...] | None = None

    @classmethod
    def read(cls, event_id: int | None, scopes: str, points: str | None) -> "Move":
        where = None
        if points is not None:
            where = tuple(Point.parse(text) for text in points.split() if text != _NOWHERE)
        return cls(event_id, frozenset(filter(None, scopes.split(","))), where)

    def columns(self) -> dict[str, Any]:
        where = None
        if self.points is not None:
            where = " ".join(str(point) for point in self.points) or _NOWHERE
        return {"event_id": self.event_id, "scopes": ",".join(sorted(self.scopes)), "points": where}


ANYTHING = Move()


@dataclass(frozen=True, slots=True)
class Reach:
    """What a list of events can hold, as far as a move tells: each part that is there narrows."""

    event_id: int | None = None
    branches: frozenset[str] = frozenset()  # scopes
    topics: frozenset[str] = frozenset()
    near: Point | None = None
    within: Distance | None = None

    def touched_by(self, move: Move) -> bool:
        """False only when the list is surely the same after it."""
        if move.event_id is None:
            return True
        if self.event_id not in (None, move.event_id):
            return False
        for scopes in (self.branches, self.topics):
            if scopes and scopes.isdisjoint(move.scopes):
                return False
        if self.near is None or self.within is None or move.points is None:
            return True
        farthest = self.within.km * ROUNDING
        return any(great_circle(self.near, point).km <= farthest for point in move.points)


def move_revision(session: Session, now: datetime, move: Move = ANYTHING) -> None:
    """In one statement: of two transactions that read the number first, one would be lost."""
    values = {"when": now.replace(microsecond=0)}
    step = _step(session.get_bind().dialect.name)
    number = session.connection().execute(step, values).scalar_one()
    session.connection().execute(_KEEP, {"number": number, **move.columns()})


@cache
def _step(engine: str) -> sa.Executable:
    """Written once: each edit of an event passes here while all others wait for it."""
    revision = table_of(CalendarRevision)
    added = insert_of(engine, revision).values(id=1, number=1, moved_at=sa.bindparam("when"))
    newer = revision.c.moved_at < added.excluded.moved_at
    later = sa.case((newer, added.excluded.moved_at), else_=revision.c.moved_at)
    return added.on_conflict_do_update(
        index_elements=["id"], set_={"number": revision.c.number + 1, "moved_at": later}
    ).returning(revision.c.number)


_KEEP = table_of(CalendarMove).insert()


def moves_since(connection: sa.Connection, number: int, newest: int) -> Sequence[Move] | None:
    """The steps after `number`, oldest first. None: too many, or not all are kept any more."""
    if newest - number > MOST or newest < number:
        return None
    rows = connection.execute(_SINCE, {"after": number, "newest": newest}).all()
    return [Move.read(*row) for row in rows] if len(rows) == newest - number else None


_MOVE = table_of(CalendarMove).c
_SINCE = (
    sa.select(_MOVE.event_id, _MOVE.scopes, _MOVE.points)
    .where(_MOVE.number > sa.bindparam("after"), _MOVE.number <= sa.bindparam("newest"))
    .order_by(_MOVE.number)
)


def forget_past(session: Session) -> None:
    """Keeps the steps that `moves_since` looks at."""
    newest = sa.select(sa.func.max(table_of(CalendarMove).c.number)).scalar_subquery()
    session.connection().execute(
        table_of(CalendarMove).delete().where(table_of(CalendarMove).c.number <= newest - MOST)
    )
