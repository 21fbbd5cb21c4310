"""Feeds: assembling what is stored.

Every VEVENT was rendered when its event was written; a feed is a header, the time zones it needs, and a join.
A finished feed stays good until something that it may hold moves or its time is over: the day changes, and the window
drops what is past. Its ETag is the hash of its bytes, so it changes when, and only when, the feed does.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from operator import attrgetter
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session, col

from ..db import table_of
from . import feed_rows
from .derived import TOLD_FOR, branch_scope, topic_scope
from .entries import Front
from .feed_rows import AtOnce, Found, Place, Reader, Row, Rows, RowsKept, named, read
from .ics import Feed, calendar, standing_note
from .kept import LONG_AGO, Finished, current_revision, midnight, next_midnight
from .models import CALLED_OFF, PUBLIC, Departure, Event, Occurrence, Rendered
from .moves import Reach
from .queries import Numbers, Selection
from .walking import by_bytes, few

WINDOW = timedelta(days=60)  # what is past stays in feeds this long
LARGEST = 950_000  # bytes of events: Google stops at 1 MB
SMALLEST_EVENT = 350  # bytes
MOST = LARGEST // SMALLEST_EVENT  # no feed can hold more events
SCOPE = "scope"  # of a farewell; of what is alive none, which is the first
# CSS names (RFC 7986 5.9) that can be told apart and read under white text.
_COLORS = (
    *("steelblue", "seagreen", "indianred", "slateblue", "darkgoldenrod", "teal", "mediumvioletred"),
    *("sienna", "olivedrab", "royalblue", "firebrick", "darkcyan"),
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
    session: Session,
    selection: Selection,
    heading: Heading,
    now: datetime,
    variant: Variant = PLAIN,
    known: RowsKept | None = None,
) -> Finished:
    """The feed of a selection, and how long it is good. With `known`, only what has moved is read again."""
    revision, moved_at = current_revision(session)  # first: what moves meanwhile belongs to a later one
    asked = _Asked.of(session, selection, now, variant)
    body, mark = _assembled(asked, heading, revision, known)
    changes = _changed_by_time(asked, moved_at)
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
        reach=asked.reach,
        mark=mark,
    )


def reach_of(session: Session, selection: Selection) -> Reach:
    return _reach(selection, *_scopes(selection.numbers(session)))


def _reach(selection: Selection, branches: Sequence[str], topics: Sequence[str]) -> Reach:
    return Reach(
        event_id=selection.event_id,
        branches=frozenset(branches),
        topics=frozenset(topics),
        near=selection.near,
        within=selection.within,
    )


def _scopes(numbers: Numbers) -> tuple[list[str], list[str]]:
    return list(map(branch_scope, numbers.branches)), list(map(topic_scope, numbers.topics))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a feed is made of, with branches and topics looked up once."""

    session: Session
    selection: Selection
    now: datetime
    variant: Variant
    numbers: Numbers
    conditions: Sequence[sa.ColumnElement[bool]]

    @classmethod
    def of(cls, session: Session, selection: Selection, now: datetime, variant: Variant) -> "_Asked":
        numbers = selection.numbers(session)
        return cls(session, selection, now, variant, numbers, selection.conditions(session, numbers))

    @property
    def scopes(self) -> list[Sequence[str]]:
        """Of the branches and of the topics, where the selection has such."""
        return [scopes for scopes in _scopes(self.numbers) if scopes]

    @property
    def reach(self) -> Reach:
        return _reach(self.selection, *_scopes(self.numbers))

    @property
    def today(self) -> datetime:
        return midnight(self.now)


def _changed_by_time(asked: _Asked, moved_at: datetime) -> list[datetime]:
    """The midnights at which something was last dropped from this feed because time passed, where that is later than
    `moved_at`: what was before does not count any more, and finding it takes as long as all the rest.

    So Last-Modified never goes back, and is the same from every process.
    """
    if moved_at >= asked.today:
        return []
    event, gone = table_of(Event).c, table_of(Departure).c
    mine = asked.conditions
    off = event.state.in_(CALLED_OFF)
    dropped: list[tuple[Any, timedelta, Sequence[sa.ColumnElement[bool]]]] = [
        (event.ends_at, WINDOW, mine),
        (event.withdrawn_at, TOLD_FOR, mine),
        (event.cancelled_at, TOLD_FOR, [*mine, off]),
        (event.cancelled_at, WINDOW, [*mine, off, event.ends_at.is_(None)]),
        *((gone.left_at, TOLD_FOR, [gone.scope.in_(scopes)]) for scopes in asked.scopes),
    ]
    newest = [
        sa.select(column)
        .where(column < asked.today - told_for, column >= midnight(moved_at) - told_for, *conditions)
        .order_by(column.desc())
        .limit(1)
        for column, told_for, conditions in dropped
    ]
    [found] = asked.session.connection().execute(sa.select(*(one.scalar_subquery() for one in newest)))
    return [
        midnight(last + told_for) + timedelta(days=1)
        for last, (_, told_for, _) in zip(found, dropped, strict=True)
        if last is not None
    ]


def assemble(
    session: Session, selection: Selection, heading: Heading, now: datetime, variant: Variant = PLAIN
) -> tuple[bytes, str]:
    """The calendar, and the mark of its events; none when it has no event but its own note."""
    return _assembled(_Asked.of(session, selection, now, variant), heading)


def _assembled(
    asked: _Asked, heading: Heading, revision: int = 0, known: RowsKept | None = None
) -> tuple[bytes, str]:
    found = _found(asked, heading.locale, revision, known)
    body, rows, left_out = _joined(asked, heading, found.rows)
    if found.may_lack(left_out):
        found = _found(asked, heading.locale, revision, known, anew=True)
        body, rows, _ = _joined(asked, heading, found.rows)
    return body, feed_rows.mark(rows) if any(row.ics for row in rows) else ""


def _joined(asked: _Asked, heading: Heading, found: Rows) -> tuple[bytes, Sequence[Row], Place | None]:
    """The calendar, what it is made of in the order of their first dates, and the place of the first left out."""
    ordered = sorted(found.values(), key=attrgetter("begins_at", "uid"))
    if asked.variant.for_google:
        ordered = [row.for_google() for row in ordered]
    rows = [row for row in ordered if row.ics]
    if sum(len(row.ics) for row in rows) <= LARGEST:  # else it need not be written to know
        body = _written(rows, heading, heading.description, asked.now)
        if len(body) <= LARGEST:
            return body, ordered, None
    rows, left_out = feed_rows.nearest(rows, asked.today, LARGEST)
    description = f"{heading.description} {heading.capped}".strip()
    return _written(rows, heading, description, asked.now), rows, left_out


def _written(rows: Sequence[Row], heading: Heading, description: str, now: datetime) -> bytes:
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
    return calendar(head, feed_rows.zones(rows), [*texts, *(row.ics for row in rows)])


# ---------------------------------------------------------------- what is in a feed


def _found(asked: _Asked, locale: str, revision: int, known: RowsKept | None, *, anew: bool = False) -> Found:
    if known is None:
        return Found(_all(asked, locale).rows)
    reader = Reader(partial(_all, asked, locale), lambda: partial(read, _some(asked, locale)))
    key = (asked.selection, *map(tuple, asked.numbers), locale, asked.variant.hide_cancelled)
    return known.rows(asked.session, key, asked.reach, revision, asked.today, MOST, reader, anew)


def _all(asked: _Asked, locale: str) -> Found:
    """Of very many events the first are walked to."""
    most = few(asked.session, MOST) if asked.scopes or asked.selection.near else None
    met = asked.selection.conditions(asked.session, asked.numbers, most, asked.now)
    asked = replace(asked, conditions=met)
    rows = read(_everything(asked, locale), asked.session)
    return Found(rows, _whole_until(asked, rows.values()) if len(rows) >= MOST else None)


def _whole_until(asked: _Asked, rows: Iterable[Row]) -> Place | None:
    """Up to where none is missing of the ways that may have had too many: to the last that they took, which a feed has
    no room for. Not so where those may be many that have no text, because they are hidden.

    What other ways took besides can only make it less.
    """
    if asked.variant.hide_cancelled:
        return timedelta(0), ""
    day, coming, over = asked.today, list[Place](), list[Place]()
    for row in rows:
        (over if row.is_over(day) else coming).append(row.place(day))
    return min((sorted(places)[MOST - 1] for places in (coming, over) if len(places) >= MOST), default=None)


def _everything(asked: _Asked, locale: str) -> list[AtOnce]:
    """What is alive here wins over a farewell to here."""
    alive = _stored(locale, asked.variant).where(table_of(Event).c.id.in_(_chosen(asked)))
    return [AtOnce(each) for each in (alive, *(gone.order_by(SCOPE) for gone in _farewells(asked, locale)))]


def _some(asked: _Asked, locale: str) -> list[AtOnce]:
    """The same of the events that are named, in one statement."""
    ways = sa.or_(*(way.condition for way in _ways(asked)))
    own = sa.or_(sa.and_(*_mine(asked), ways), *_drafts_again(asked))
    wanted = (_stored(locale, asked.variant).where(own), *_farewells(asked, locale))
    some = (each.where(named(table_of(Event).c.id)) for each in wanted)
    return [AtOnce(sa.union_all(*some).order_by(SCOPE))]


def _chosen(asked: _Asked) -> sa.CompoundSelect[int]:
    """The ids of the events, before any text is read: a planner might read all there are."""
    event, mine = table_of(Event).c, _mine(asked)
    chosen = []
    for way in _ways(asked):
        ids = sa.select(event.id).where(*mine, way.condition)
        if way.first:
            ids = sa.select(ids.order_by(*way.first, by_bytes(event.uid)).limit(MOST).subquery().c.id)
        chosen.append(ids)
    return sa.union_all(*chosen, *(sa.select(event.id).where(again) for again in _drafts_again(asked)))


def _mine(asked: _Asked) -> list[sa.ColumnElement[bool]]:
    """What the selection asks for, with its dates."""
    dates = asked.selection.dates()
    on = [sa.exists().where(col(Occurrence.event_id) == table_of(Event).c.id, *dates)] if dates else []
    return [*asked.conditions, *on]


class _Way(NamedTuple):
    """One of those in which an event of the selection gets into its feed. `first`: which come first, of those that
    may be too many."""

    condition: sa.ColumnElement[bool]
    first: Sequence[sa.ColumnElement[Any]] = ()


def _ways(asked: _Asked) -> Iterator[_Way]:
    event, now, today = table_of(Event).c, asked.now, asked.today
    coming = sa.or_(event.ends_at.is_(None), event.ends_at >= today)
    recent = sa.and_(event.ends_at < today, event.ends_at >= today - WINDOW)
    yield _Way(sa.and_(*_public(now), coming), [event.begins_at])
    yield _Way(sa.and_(*_public(now), recent), [event.ends_at.desc()])
    gone = sa.and_(_just_off(now), event.ends_at < today - WINDOW)  # what is not over so long came in above
    yield _Way(gone, [event.ends_at.desc()])
    if not asked.variant.hide_cancelled:
        yield _Way(sa.and_(event.deleted_at.is_not(None), event.withdrawn_at >= today - TOLD_FOR))


def _stored(locale: str, variant: Variant) -> sa.Select[Any]:
    event, rendered = table_of(Event).c, table_of(Rendered).c
    text = (
        sa.func.coalesce(rendered.without_cancelled, rendered.ics) if variant.hide_cancelled else rendered.ics
    )
    columns = (event.id, event.uid, event.revision, text)
    times = (_raw(event.start), _raw(event.begins_at), _raw(event.ends_at))
    return (
        sa.select(*columns, *times, sa.literal("").label(SCOPE))
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


def _drafts_again(asked: _Asked) -> list[sa.ColumnElement[bool]]:
    """What was public and is a draft again: known by what was published, for the draft is nobody's business.

    Feeds that select by more than branches or topics let go of it without a word.
    """
    event, selection = table_of(Event).c, asked.selection
    listed = sa.literal(",") + event.listed_in + sa.literal(",")
    only = Selection(branches=selection.branches, topics=selection.topics, event_id=selection.event_id)
    if selection != only or asked.variant.hide_cancelled:
        return []
    held = [sa.or_(*(listed.contains(f",{scope},") for scope in scopes)) for scopes in asked.scopes]
    if selection.event_id is not None:
        held.append(event.id == selection.event_id)
    off = (event.deleted_at.is_(None), event.withdrawn_at >= asked.today - TOLD_FOR)
    return [sa.and_(*off, *held)]


def _farewells(asked: _Asked, locale: str) -> list[sa.Select[Any]]:
    """What the feeds of branches or of topics say of the events that left them; other feeds say nothing."""
    scopes, selection = asked.scopes, asked.selection
    only = Selection(branches=selection.branches), Selection(topics=selection.topics)
    if len(scopes) != 1 or selection not in only or asked.variant.hide_cancelled:
        return []
    event, gone = table_of(Event).c, table_of(Departure).c
    times = (_raw(gone.start), _raw(event.begins_at), _raw(event.ends_at))
    columns = (event.id, event.uid, event.revision, gone.ics)
    return [
        sa.select(*columns, *times, gone.scope.label(SCOPE))
        .join(table_of(Departure), gone.event_id == event.id)
        .where(gone.scope.in_(scopes[0]), gone.locale == locale, gone.left_at >= asked.today - TOLD_FOR)
    ]
