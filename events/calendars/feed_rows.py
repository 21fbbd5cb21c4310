"""The rows a feed is joined from, kept so that after an edit only those are read that it was about."""

import hashlib
import json
import sys
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from threading import Lock
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session

from .moves import Reach, moves_since

FEWEST = 100  # rows: fewer are read again as quickly
MOST_BYTES = 32_000_000  # of texts, in each process
MOST_MOVED = 50  # events: more are read quicker all together
ONE_IN = 8  # of those that are kept may have moved, where that is more
_BESIDE_TEXT = 400  # bytes of a row in memory, roughly
_BEGINS, _LONGEST_ZONE = "\nDTSTART;TZID=", 80

_CANCELLED, _CONFIRMED = "\r\nSTATUS:CANCELLED\r\n", "\r\nSTATUS:CONFIRMED\r\n"


class Row(NamedTuple):
    """Moments stay as the database gives them (SQLite: text), because making datetimes of them costs more than the
    whole join; in order they are all the same."""

    event_id: int
    uid: str
    revision: int
    ics: str
    start: str | datetime
    begins_at: str | datetime
    ends_at: str | datetime | None
    zone: tuple[str, int] | None  # that its text names, and the year from which on it must be right

    @classmethod
    def of(cls, stored: Sequence[Any]) -> "Row":
        """Of the other columns, in their order, whatever stands behind them."""
        return cls._make((*stored[:7], _zone(stored[3], stored[4])))

    def for_google(self) -> "Row":
        """No text of anybody can hold such a line: in texts line breaks are escaped."""
        return self._replace(ics=self.ics.replace(_CANCELLED, _CONFIRMED))

    def is_over(self, day: datetime) -> bool:
        return self.ends_at is not None and _moment(self.ends_at) < day

    def place(self, day: datetime) -> "Place":
        """From that day; nothing for what is on or goes on."""
        begins_at = _moment(self.begins_at)
        if begins_at > day:
            return begins_at - day, self.uid
        return max(day - _moment(self.ends_at), _NOTHING) if self.ends_at else _NOTHING, self.uid


# Who comes first where there is no room for all: how far from the day, then the UID.
Place = tuple[timedelta, str]
_NOTHING = timedelta(0)


def _zone(ics: str, start: str | datetime) -> tuple[str, int] | None:
    at = ics.find(_BEGINS) + len(_BEGINS)  # a pattern takes ten times as long
    if at < len(_BEGINS):
        return None
    key, _, begins = ics[at : at + _LONGEST_ZONE].partition(":")
    stored = int(start[:4]) if isinstance(start, str) else start.year
    return key, min(stored, int(begins[:4]))


def _moment(value: str | datetime) -> datetime:
    """SQLite's have no zone, and to add it afterwards takes longer."""
    return datetime.fromisoformat(f"{value}+00:00") if isinstance(value, str) else value


Rows = Mapping[int, Row]
ReadSome = Callable[[Session, Collection[int]], Rows]  # of those events


class AtOnce:
    """A statement whose rows SQLite hands over as one; PostgreSQL does so by itself.

    Python lets go of the interpreter for every row that SQLite is asked for, and gets it back when another thread gives
    way: 2,700 rows took 40 ms alone, 90 to 900 beside a thread that computes, and as one row 40 to 60. What is long,
    the texts, comes as it is beside the rest, which is JSON: to read 50 MB of that holds up all threads for 0.2 s.
    """

    def __init__(self, statement: sa.Select[Any] | sa.CompoundSelect[Any]) -> None:
        """Its columns are those of a `Row`, and what may stand behind them; all with names, none of bytes."""
        self.statement, columns = statement, list(statement.subquery().c)
        self._readable = [(at, column.type) for at, column in enumerate(columns) if at != _TEXT]
        values = [_as_json(column) for column in columns]
        text = sa.type_coerce(columns[_TEXT], sa.Text())
        values[_TEXT] = sa.func.length(sa.cast(text, sa.LargeBinary()))
        rows = sa.func.json_group_array(sa.func.json_array(*values), type_=sa.Text())
        self._as_one = sa.select(rows, sa.cast(sa.func.group_concat(text, ""), sa.LargeBinary()))

    def rows(self, session: Session, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        connection = session.connection()
        if connection.dialect.name != "sqlite":
            return connection.execute(self.statement, parameters).all()
        rows, texts = connection.execute(self._as_one, parameters).one()
        found: list[list[Any]] = json.loads(rows)
        for at, kind in self._readable:
            if read := _reader(kind, connection.dialect):
                for row in found:
                    row[at] = read(row[at])
        begin = 0
        for row in found:
            end = begin + row[_TEXT]
            row[_TEXT], begin = texts[begin:end].decode(), end
        return found


_TEXT = Row._fields.index("ics")


def _reader(kind: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> Callable[[Any], Any] | None:
    if isinstance(kind, sa.Float):
        return lambda text: None if text is None else float(text)
    return kind.dialect_impl(dialect).result_processor(dialect, None)


def _as_json(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """As the database has it; JSON would round a fraction."""
    raw = sa.type_coerce(column, sa.types.NullType())
    if not isinstance(column.type, sa.Float):
        return raw
    return sa.case((raw.is_(None), None), else_=sa.func.printf("%!.17g", raw))


class Found(NamedTuple):
    """`whole_until`: all rows up to that place are there (`Row.place`), of others some. None: all are.

    A distance would not do: of thousands that begin at one moment some have no room.
    """

    rows: Rows
    whole_until: Place | None = None

    def may_lack(self, left_out: Place | None) -> bool:
        """Others that come before the first that is left out. None: all that is here has room."""
        return self.whole_until is not None and (left_out is None or left_out > self.whole_until)

    @property
    def is_whole_nowhere(self) -> bool:
        """What is on comes first, in no order."""
        return self.whole_until is not None and not self.whole_until[0]


class Reader(NamedTuple):
    """How the rows of a feed are read. `some`: what makes a way to read some of them, good for a day; to make it takes
    longer than to read with it."""

    everything: Callable[[], Found]
    some: Callable[[], ReadSome]


def read(statements: Sequence[AtOnce], session: Session, events: Collection[int] = ()) -> Rows:
    """`events`: which `named` stands for. What an earlier statement finds wins over what a later one does."""
    parameters = {"named": list(events)} if events else {}
    found: dict[int, Row] = {}
    for statement in statements:
        for row in map(Row.of, statement.rows(session, parameters)):
            found.setdefault(row.event_id, row)
    return found


def named(event_id: sa.ColumnElement[int]) -> sa.ColumnElement[bool]:
    return event_id.in_(sa.bindparam("named", expanding=True))


@dataclass(frozen=True, slots=True)
class _Known:
    revision: int  # of the calendars
    day: datetime
    found: Found
    size: int
    some: ReadSome | None  # once it was needed


class RowsKept:
    """Of the feeds that were asked for last, by what they select. What is kept is bounded in bytes.

    The bargain is that of `moves`: whatever changes a text or which events a feed has says which event it was, or
    that it may have been any.
    """

    def __init__(self, most_bytes: int = MOST_BYTES, fewest: int = FEWEST) -> None:
        self._most, self._fewest = most_bytes, fewest
        self._lock = Lock()
        self._known: OrderedDict[Hashable, _Known] = OrderedDict()
        self.size = 0

    def rows(
        self,
        session: Session,
        key: Hashable,
        reach: Reach,
        revision: int,
        day: datetime,
        most: int,
        reader: Reader,
        anew: bool = False,
    ) -> Found:
        """What the reader gives for everything, at that revision on that day. Of what was just read nothing is missing.

        Of more than `most` rows some are not shown: what is to come, what was lately, and what was called off lately
        have so many each, and more are not kept. `anew`: what is kept does not do.
        """
        with self._lock:
            known = None if anew else self._known.get(key)
        if known and known.day != day:
            known = None
        moved = _moved(session, known, reach, revision) if known else None
        some = known.some if known else None
        if known is None or moved is None:
            found = reader.everything()
            size, answer = _size(found.rows.values()), Found(found.rows)
        else:
            rows, size = {**known.found.rows}, known.size
            size -= _size(row for number in moved if (row := rows.pop(number, None)))
            if moved:
                some = some or reader.some()
                newer = some(session, moved)
                rows |= newer
                size += _size(newer.values())
            found = answer = Found(rows, known.found.whole_until)
        is_worth_it = self._fewest <= len(found.rows) <= 3 * most and not found.is_whole_nowhere
        self._put(key, _Known(revision, day, found, size, some) if is_worth_it else None)
        return answer

    def _put(self, key: Hashable, known: _Known | None) -> None:
        with self._lock:
            before = self._known.pop(key, None)
            self.size -= before.size if before else 0
            if known is None or known.size > self._most:
                return
            self._known[key] = known
            self.size += known.size
            while self.size > self._most:
                self.size -= self._known.popitem(last=False)[1].size


def _moved(session: Session, known: _Known, reach: Reach, revision: int) -> set[int] | None:
    """Which events may be otherwise than they are known. None: any."""
    moves = moves_since(session.connection(), known.revision, revision)
    if moves is None:
        return None
    rows = known.found.rows
    moved = {move.event_id for move in moves if move.event_id in rows or reach.touched_by(move)}
    numbers = {number for number in moved if number is not None}
    return numbers if len(numbers) == len(moved) <= max(MOST_MOVED, len(rows) // ONE_IN) else None


def _size(rows: Iterable[Row]) -> int:
    return sum(sys.getsizeof(row.ics) + _BESIDE_TEXT for row in rows)


def nearest(rows: Sequence[Row], day: datetime, most_bytes: int) -> tuple[list[Row], Place | None]:
    """As many as fit, those first that are nearest to the day, and the place of the first that does not fit.

    Of the day and not of this moment, because the bytes stand for a day.
    """
    kept, size = set[int](), 0
    left_out = None
    for place, row in sorted((row.place(day), row) for row in rows):
        size += len(row.ics.encode())
        if size > most_bytes:
            left_out = place
            break
        kept.add(row.event_id)
    return [row for row in rows if row.event_id in kept], left_out


def mark(rows: Iterable[Row]) -> str:
    """Of which events these are, and in which revision."""
    events = " ".join(f"{row.event_id}.{row.revision}" for row in rows)
    return hashlib.sha256(events.encode()).hexdigest()[:8]


def zones(rows: Iterable[Row]) -> dict[str, date]:
    """Each zone that the texts name, with the first of January before its earliest event."""
    years: dict[str, int] = {}
    for key, year in filter(None, {row.zone for row in rows}):
        years[key] = min(year, years.get(key, year))
    return {key: date(years[key], 1, 1) for key in sorted(years)}
