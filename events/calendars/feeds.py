"""Feeds: assembling what is stored.

Every VEVENT was rendered when its event was written; a feed is a header, the time zones it needs, and a join.
A finished feed stays good until something that it may hold moves or its time is over: the day changes, and the window
drops what is past. Its ETag is the hash of its bytes, so it changes when, and only when, the feed does.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session, col

from ..db import table_of
from .derived import TOLD_FOR, branch_scope, topic_scope
from .entries import Front
from .ics import Feed, calendar, standing_note
from .kept import LONG_AGO, Finished, current_revision, midnight, next_midnight
from .models import CALLED_OFF, PUBLIC, Departure, Event, Occurrence, Rendered
from .moves import Reach
from .queries import Selection, branch_ids, topic_ids

WINDOW = timedelta(days=60)  # what is past stays in feeds this long
LARGEST = 950_000  # bytes of events: Google stops at 1 MB
SMALLEST_EVENT = 350  # bytes: no feed can hold more than LARGEST / SMALLEST_EVENT
_BEGINS, _LONGEST_ZONE = "\nDTSTART;TZID=", 80
_CANCELLED, _CONFIRMED = "\r\nSTATUS:CANCELLED\r\n", "\r\nSTATUS:CONFIRMED\r\n"
# CSS names (RFC 7986 5.9) that can be told apart and read under white text.
_COLORS = (
    *(
        "steelblue",
        "seagreen",
        "indianred",
        "slateblue",
        "darkgoldenrod",
        "teal",
        "mediumvioletred",
        "sienna",
    ),
    *("olivedrab", "royalblue", "firebrick", "darkcyan"),
)


@dataclass(frozen=True, slots=True)
class Note:
    """An entry of the feed's own: all day, on the first of the current month. `since`: when it became true."""

    title: str
    text: str = ""
    url: str = ""
    since: datetime = LONG_AGO


@dataclass(frozen=True, slots=True)
class Heading(Front):
    """What a calendar says of itself.

    `capped` is added to the description when not all events fit; `empty` is the one entry of an empty feed;
    `closed` explains why the events are those of another branch.
    """

    capped: str
    empty: Note
    closed: Note | None = None

    @property
    def color(self) -> str:
        """The same in every language and for ever, another for another feed."""
        digest = hashlib.sha256(self.source.partition("?")[0].rpartition("/")[2].encode()).digest()
        return _COLORS[digest[0] % len(_COLORS)]


@dataclass(frozen=True, slots=True)
class Variant:
    """`?cancelled=hide` leaves out what is cancelled. `?client=google`: Google hides what has STATUS:CANCELLED,
    so that its users would see nothing; there the title alone says it."""

    hide_cancelled: bool = False
    for_google: bool = False


PLAIN = Variant()


def finished(
    session: Session, selection: Selection, heading: Heading, now: datetime, variant: Variant = PLAIN
) -> Finished:
    """The feed of a selection, and how long it is good."""
    revision, moved_at = current_revision(session)  # first: what moves meanwhile belongs to a later one
    body, mark = assemble(session, selection, heading, now, variant)
    changes = _changed_by_time(session, selection, now)
    if not mark or heading.closed:
        changes.append(midnight(now).replace(day=1))
    if heading.closed:
        changes.append(heading.closed.since)
    if len(body) > LARGEST * 0.8:  # perhaps not all that fits: then each day may choose others
        changes.append(midnight(now))
    return Finished(
        body=body,
        moved_at=moved_at,
        changed_at=max(changes, default=LONG_AGO),
        good_until=next_midnight(now),
        revision=revision,
        reach=reach_of(session, selection),
        mark=mark,
    )


def reach_of(session: Session, selection: Selection) -> Reach:
    return Reach(
        event_id=selection.event_id,
        branches=frozenset(map(branch_scope, branch_ids(session, selection.branches))),
        topics=frozenset(map(topic_scope, topic_ids(session, selection.topics))),
        near=selection.near,
        within=selection.within,
    )


def _changed_by_time(session: Session, selection: Selection, now: datetime) -> list[datetime]:
    """The midnights at which something was last dropped from this feed because time passed.

    So Last-Modified never goes back, and is the same from every process.
    """
    event, gone = table_of(Event).c, table_of(Departure).c
    mine = selection.conditions(session)
    off = event.state.in_(CALLED_OFF)
    dropped: list[tuple[Any, timedelta, list[Any]]] = [
        (event.ends_at, WINDOW, mine),
        (event.withdrawn_at, TOLD_FOR, mine),
        (event.cancelled_at, TOLD_FOR, [*mine, off]),
        (event.cancelled_at, WINDOW, [*mine, off, event.ends_at.is_(None)]),
        *((gone.left_at, TOLD_FOR, [gone.scope.in_(scopes)]) for scopes in _scopes(session, selection)),
    ]
    newest = [
        sa.select(column)
        .where(column < midnight(now) - told_for, *conditions)
        .order_by(column.desc())
        .limit(1)
        for column, told_for, conditions in dropped
    ]
    [found] = session.connection().execute(sa.select(*(one.scalar_subquery() for one in newest)))
    return [
        midnight(last + told_for) + timedelta(days=1)
        for last, (_, told_for, _) in zip(found, dropped, strict=True)
        if last is not None
    ]


def assemble(
    session: Session, selection: Selection, heading: Heading, now: datetime, variant: Variant = PLAIN
) -> tuple[bytes, str]:
    """The calendar, and the mark of its events; none when it has no event but its own note."""
    found = _rows(session, selection, heading.locale, now, variant)
    mark, rows = _mark(found), [row for row in found if row.ics]
    body = _written(rows, heading, heading.description, now)
    if len(body) > LARGEST:
        rows = _nearest_dates(rows, now)
        body = _written(rows, heading, f"{heading.description} {heading.capped}".strip(), now)
    return body, mark if rows else ""


def _written(rows: Sequence["_Row"], heading: Heading, description: str, now: datetime) -> bytes:
    head = Feed(
        name=heading.name,
        description=description,
        url=heading.url,
        source=heading.source,
        color=heading.color,
        language=heading.locale,
    )
    notes = [heading.closed] if heading.closed else [] if rows else [heading.empty]
    texts = [standing_note(heading.source, note.title, note.text, note.url, now.date()) for note in notes]
    return calendar(head, _zones(rows), [*texts, *(row.ics for row in rows)])


def _mark(rows: Sequence["_Row"]) -> str:
    events = " ".join(f"{row.event_id}.{row.revision}" for row in rows)
    return hashlib.sha256(events.encode()).hexdigest()[:8] if rows else ""


# ---------------------------------------------------------------- what is in a feed


class _Row(NamedTuple):
    """Moments stay as the database gives them (SQLite: text), because making datetimes of them costs more than the
    whole join; in order they are all the same."""

    event_id: int
    uid: str
    revision: int
    ics: str
    timezone: str
    all_day: bool
    start: str | datetime
    begins_at: str | datetime
    ends_at: str | datetime | None

    def distance(self, day: datetime) -> timedelta:
        """From that day; nothing for what is on or goes on."""
        begins_at = _moment(self.begins_at)
        if begins_at > day:
            return begins_at - day
        return max(day - _moment(self.ends_at), timedelta(0)) if self.ends_at else timedelta(0)


def _moment(value: str | datetime) -> datetime:
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _rows(session: Session, selection: Selection, locale: str, now: datetime, variant: Variant) -> list[_Row]:
    """In a stable order, that of their first dates. What is alive here wins over a farewell to here."""
    chosen = sa.union_all(*_chosen(session, selection, now, variant))
    wanted = [_stored(locale, variant).where(table_of(Event).c.id.in_(chosen))]
    if not variant.hide_cancelled:
        wanted += _farewells(session, selection, locale, now)
    found: dict[int, _Row] = {}
    for statement in wanted:
        for row in session.connection().execute(statement).all():
            found.setdefault(row[0], _Row._make(row))
    rows = sorted(found.values(), key=lambda row: (row.begins_at, row.uid))
    return [_for_google(row) for row in rows] if variant.for_google else rows


def _chosen(
    session: Session, selection: Selection, now: datetime, variant: Variant
) -> Iterable[sa.Select[tuple[int]]]:
    """The ids of the events, before any text is read: a planner might read all there are."""
    conditions = selection.conditions(session)
    event, today = table_of(Event).c, midnight(now)
    if dates := selection.dates():
        conditions.append(sa.exists().where(col(Occurrence.event_id) == event.id, *dates))
    ids = sa.select(event.id).where(*conditions)
    coming = sa.or_(event.ends_at.is_(None), event.ends_at >= today)
    recent = sa.and_(event.ends_at < today, event.ends_at >= today - WINDOW)
    most = LARGEST // SMALLEST_EVENT
    for some in (
        ids.where(*_public(now), coming).order_by(event.begins_at, event.uid),
        ids.where(*_public(now), recent).order_by(event.ends_at.desc(), event.uid),
    ):
        yield sa.select(some.limit(most).subquery().c.id)
    yield ids.where(_just_off(now))
    if not variant.hide_cancelled:
        yield ids.where(event.deleted_at.is_not(None), event.withdrawn_at >= today - TOLD_FOR)
        yield from _drafts_again(session, selection, now)


def _stored(locale: str, variant: Variant) -> sa.Select[Any]:
    event, rendered = table_of(Event).c, table_of(Rendered).c
    text = (
        sa.func.coalesce(rendered.without_cancelled, rendered.ics) if variant.hide_cancelled else rendered.ics
    )
    columns = (event.id, event.uid, event.revision, text, event.timezone, event.all_day)
    return (
        sa.select(*columns, _raw(event.start), _raw(event.begins_at), _raw(event.ends_at))
        .join(table_of(Rendered), rendered.event_id == event.id)
        .where(rendered.locale == locale)
    )


def _raw(moment: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.type_coerce(moment, sa.types.NullType())


def _public(now: datetime) -> tuple[sa.ColumnElement[bool], ...]:
    """What is cancelled as a whole and never ends stays as long as what has ended."""
    event = table_of(Event).c
    endless = sa.and_(event.ends_at.is_(None), event.state.in_(CALLED_OFF))
    over = sa.and_(endless, event.cancelled_at < midnight(now) - WINDOW)
    return event.state.in_(PUBLIC), event.withdrawn_at.is_(None), sa.not_(sa.func.coalesce(over, sa.false()))


def _just_off(now: datetime) -> sa.ColumnElement[bool]:
    """Cancelled within the last days, however long it is over."""
    event, since = table_of(Event).c, midnight(now) - TOLD_FOR
    return sa.and_(event.state.in_(CALLED_OFF), event.withdrawn_at.is_(None), event.cancelled_at >= since)


def _drafts_again(session: Session, selection: Selection, now: datetime) -> list[sa.Select[tuple[int]]]:
    """What was public and is a draft again: known by what was published, for the draft is nobody's business.

    Feeds that select by more than branches or topics let go of it without a word.
    """
    event = table_of(Event).c
    listed = sa.literal(",") + event.listed_in + sa.literal(",")
    only = Selection(branches=selection.branches, topics=selection.topics, event_id=selection.event_id)
    if selection != only:
        return []
    held = [
        sa.or_(*(listed.contains(f",{scope},") for scope in scopes)) for scopes in _scopes(session, selection)
    ]
    if selection.event_id is not None:
        held.append(event.id == selection.event_id)
    off = (event.deleted_at.is_(None), event.withdrawn_at >= midnight(now) - TOLD_FOR)
    return [sa.select(event.id).where(*off, *held)]


def _scopes(session: Session, selection: Selection) -> list[list[str]]:
    """Of the branches and of the topics, where the selection has such."""
    branches = [branch_scope(number) for number in branch_ids(session, selection.branches)]
    topics = [topic_scope(number) for number in topic_ids(session, selection.topics)]
    return [scopes for scopes in (branches, topics) if scopes]


def _farewells(session: Session, selection: Selection, locale: str, now: datetime) -> list[sa.Select[Any]]:
    """What the feeds of branches or of topics say of the events that left them; other feeds say nothing."""
    scopes = _scopes(session, selection)
    if len(scopes) != 1 or selection not in (
        Selection(branches=selection.branches),
        Selection(topics=selection.topics),
    ):
        return []
    event, gone = table_of(Event).c, table_of(Departure).c
    times = (_raw(gone.start), _raw(event.begins_at), _raw(event.ends_at))
    columns = (event.id, event.uid, event.revision, gone.ics, gone.timezone, gone.all_day)
    return [
        sa.select(*columns, *times)
        .join(table_of(Departure), gone.event_id == event.id)
        .where(gone.scope.in_(scopes[0]), gone.locale == locale, gone.left_at >= midnight(now) - TOLD_FOR)
        .order_by(gone.scope)
    ]


def _for_google(row: _Row) -> _Row:
    """No text of anybody can hold such a line: in texts line breaks are escaped."""
    return row._replace(ics=row.ics.replace(_CANCELLED, _CONFIRMED))


def _nearest_dates(rows: Sequence[_Row], now: datetime) -> list[_Row]:
    """As many as fit, those first that are nearest to today (not to this moment: the bytes stand for a day)."""
    kept: set[int] = set()
    size = 0
    for row in sorted(rows, key=lambda row: (row.distance(midnight(now)), row.uid)):
        size += len(row.ics.encode())
        if size > LARGEST:
            break
        kept.add(row.event_id)
    return [row for row in rows if row.event_id in kept]


def _zones(rows: Iterable[_Row]) -> dict[str, date]:
    """Each zone that the texts name, with the first of January before its earliest event."""
    years: dict[str, int] = {}
    for row in rows:
        at = row.ics.find(_BEGINS)  # a pattern takes ten times as long, and there are a thousand rows
        if at >= 0:
            key, _, begins = row.ics[at + len(_BEGINS) : at + _LONGEST_ZONE].partition(":")
            year = int(str(row.start)[:4])
            years[key] = min(year, int(begins[:4]), years.get(key, year))
    return {key: date(years[key], 1, 1) for key in sorted(years)}
