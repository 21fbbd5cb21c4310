"""The dates of events, written out for a rolling horizon so that "upcoming near here" is one query.

The wall clock is the truth. What is in UTC follows from it and from tzdata: when that changes, the worker writes
the dates again, and `differences` tells beforehand which would move.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlmodel import Session

from ..db import table_of
from . import content, dates_changed
from .content import Told
from .dates_changed import Known, lost
from .models import Event, Occurrence, Override
from .recurrence import Rule, parse_rule, starts
from .timezones import to_utc

HORIZON = timedelta(days=400)  # how far ahead occurrences are written; the worker moves it on
KEPT_PAST = timedelta(days=120)  # and how far back
MOST_OCCURRENCES = 5000


def rule_of(event: Event) -> Rule | None:
    return parse_rule(event.rrule, event.start, event.timezone, event.all_day) if event.rrule else None


def write_occurrences(session: Session, told: Told, now: datetime, *, same_rules: bool = True) -> bool:
    """The dates within the horizon, in wall clock and in UTC, and the bounds of the whole. Whether they changed.

    Those that people knew and that are not the same any more are put down to be told. Not `same_rules`: the dates
    were derived by another tzdata, so that the moments may differ although nobody has changed anything.
    """
    event, rule = told.event, rule_of(told.event)
    horizon = now + HORIZON
    _set_bounds(told, rule, horizon)
    wanted = _occurrences(told, rule, now, horizon) if event.is_public else []
    connection = session.connection()
    known = [dict(row) for row in connection.execute(_KNOWN, {"event": event.id}).mappings()]
    if known == wanted:
        return False
    before, after = list(map(Known.of, known)), list(map(Known.of, wanted))
    dates_changed.note(session, event.id or 0, lost(before, after, now, same_rules=same_rules), now)
    _write(connection, known, wanted)
    return [replace(one, place="") for one in before] != [replace(one, place="") for one in after]


_TABLE = table_of(Occurrence)
_KNOWN = (
    sa.select(_TABLE)
    .where(_TABLE.c.event_id == sa.bindparam("event"))
    .order_by(_TABLE.c.event_id, _TABLE.c.original_start)
)
_NO_KEYS = [column.name for column in _TABLE.c if not column.primary_key]
_OF_DATE = (
    _TABLE.c.event_id == sa.bindparam("of_event"),
    _TABLE.c.original_start == sa.bindparam("of_start"),
)


def _write(
    connection: sa.Connection, known: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]
) -> None:
    """Only what differs, and of that only the columns that do: another title must touch no index."""
    before = {row["original_start"]: row for row in known}
    after = {row["original_start"]: row for row in wanted}
    gone = [_key(before[at]) for at in before.keys() - after.keys()]
    added = [row for at, row in after.items() if at not in before]
    moved = [(row, before[at]) for at, row in after.items() if at in before and row != before[at]]
    changed = tuple(name for name in _NO_KEYS if any(new[name] != old[name] for new, old in moved))
    if gone:
        connection.execute(_DELETE, gone)
    if moved:
        rows = [_key(new) | {name: new[name] for name in changed} for new, _ in moved]
        connection.execute(_update(changed), rows)
    if added:
        connection.execute(_INSERT, added)


def _key(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"of_event": row["event_id"], "of_start": row["original_start"]}


_INSERT, _DELETE = _TABLE.insert(), _TABLE.delete().where(*_OF_DATE)


@cache
def _update(columns: tuple[str, ...]) -> sa.Update:
    return _TABLE.update().where(*_OF_DATE).values({name: sa.bindparam(name) for name in columns})


def _set_bounds(told: Told, rule: Rule | None, horizon: datetime) -> None:
    """Of all dates, moved ones included: what is past the last of them is over."""
    event = told.event
    moved = [content.times(event, override) for override in told.overrides] if rule else []
    event.begins_at = min(to_utc(start, event.timezone) for start, _ in [(event.start, event.end), *moved])
    ends = [event.end, *(end for _, end in moved)]
    event.known_until = None
    if rule is not None:
        last = rule.last_start(event.start)
        if last is None:
            event.ends_at, event.known_until = None, horizon
            return
        ends.append(last + event.duration)
        event.known_until = horizon if to_utc(last, event.timezone) >= horizon else None
    event.ends_at = max(to_utc(end, event.timezone) for end in ends)


def _occurrences(told: Told, rule: Rule | None, now: datetime, horizon: datetime) -> list[dict[str, object]]:
    event = told.event
    overrides = {override.original_start: override for override in told.overrides} if rule else {}
    since = _wall(now - KEPT_PAST) if rule else event.start
    until = _wall(horizon) if rule else event.start + timedelta(seconds=1)
    skipped = [datetime.fromisoformat(text) for text in event.exdates]
    usual = _whereabouts(told)
    return [
        _occurrence(event, original, overrides.get(original))
        | {"place": _whereabouts(told, overrides[original]) if original in overrides else usual}
        for original in starts(rule, event.start, skipped, since, until, MOST_OCCURRENCES)
    ]


def _occurrence(event: Event, original: datetime, override: Override | None) -> dict[str, object]:
    start, end = content.times(event, override) if override else (original, original + event.duration)
    return {
        "event_id": event.id,
        "original_start": original,
        "start": start,
        "end": end,
        "starts_at": to_utc(start, event.timezone),
        "ends_at": to_utc(end, event.timezone),
        "cancelled": content.is_cancelled(event, override),
        "title": content.title(event, override).text,
    }


def _whereabouts(told: Told, override: Override | None = None) -> str:
    """In one line, with the link to take part. Of a branch its address is enough: by another name it has not moved."""
    shown = content.place(told, override)
    name = "" if shown == content.branch_place(told.owner) and shown.address else shown.name
    link = content.said(told).online_url
    return ", ".join(part for part in (name, shown.address, link) if part)


def _wall(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None)


# ---------------------------------------------------------------- when the rules of time change


@dataclass(frozen=True, slots=True)
class Difference:
    """A date whose moment in UTC is another one by the tzdata that is installed now."""

    event_id: int
    title: str
    start: datetime  # wall clock
    timezone: str
    was: datetime  # UTC
    becomes: datetime  # UTC


def differences(session: Session) -> Iterator[Difference]:
    """Dates that were derived by other rules than those of today, by zone; a look that changes nothing."""
    event, occurrence = table_of(Event).c, table_of(Occurrence).c
    query = (
        sa.select(
            occurrence.event_id,
            occurrence.title,
            occurrence.start,
            event.timezone,
            occurrence.starts_at,
            occurrence.end,
            occurrence.ends_at,
        )
        .join(table_of(Event), event.id == occurrence.event_id)
        .order_by(event.timezone, occurrence.starts_at, occurrence.event_id)
    )
    for row in session.connection().execute(query, execution_options={"yield_per": 1000}):
        now = to_utc(row.start, row.timezone)
        if now != row.starts_at or to_utc(row.end, row.timezone) != row.ends_at:
            yield Difference(row.event_id, row.title, row.start, row.timezone, row.starts_at, now)
