"""All that is derived from an event's rows: its VEVENTs as published, its occurrences, the revision.

`save` is the one way out: it renders the event, and only if what it says has changed its SEQUENCE, DTSTAMP and
LAST-MODIFIED move, and those of a changed date only if that date changed. An event that stops being public, or
leaves the feed of a branch or topic, leaves a text behind that says so for 30 days.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import product

import sqlalchemy as sa
from sqlmodel import Session, col, select

from ..branches.models import Branch
from ..db import table_of
from ..errors import Message, say
from ..language import language
from ..places.geo import Point
from . import content, vevents
from .content import Publishing, Told
from .horizon import HORIZON, write_occurrences
from .ics import Entry, vevent
from .models import Attendance, Departure, Event, EventBranch, Override, Rendered
from .moves import Move, move_revision
from .telling import tell as tell
from .telling import tell_all as tell_all
from .timezones import rules_version, to_utc

TOLD_FOR = timedelta(days=30)  # how long feeds say that something was cancelled, withdrawn or moved elsewhere
RENDERER = 3  # +1 when what is derived of an unchanged event changes: everything is derived again

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_GEO = re.compile(r"^GEO:([-0-9.]+);([-0-9.]+)\r?$", re.MULTILINE)
_RENDERED = select(Rendered).where(col(Rendered.event_id) == sa.bindparam("event"))


def save(
    session: Session, event: Event, publishing: Publishing, now: datetime, *, told: Told | None = None
) -> Told:
    """Derives everything anew, and moves on what has changed for those who see it. Returns what the event says.

    `told`: the same, if nothing but the event's own row has changed since it was read.
    """
    if told is None:
        session.flush()
        told = tell(session, event)
    listed_before = event.listed_in
    with session.no_autoflush:  # the event is written once, with all that is derived
        found = session.exec(_RENDERED, params={"event": event.id}).all()
    before = {row.locale: row for row in found}
    stood = {_place_said(row.ics) for row in before.values()}
    same_rules = all(row.made_for.split()[1:2] == [rules_version()] for row in before.values())
    if event.is_public:
        event.published_at = event.published_at or now
        changed = _publish(session, told, before, publishing, now)
    elif before and event.withdrawn_at is None:
        changed = _withdraw(session, told, before, publishing, now)
    else:
        changed = False
        for row in before.values():  # the words that said goodbye stay as they were
            row.made_for = made_for(publishing)
    changed = write_occurrences(session, told, now, same_rules=same_rules) or changed
    event.derived_at = now
    session.flush()
    if changed:  # last of all: with PostgreSQL others wait for its row until the transaction ends
        move_revision(session, now, _move(event, listed_before, stood))
    return told


def _move(event: Event, listed_before: str, stood: Set[Point | None]) -> Move:
    """`stood`: where it was, as far as what was said of it tells; said without a place, it may have been anywhere."""
    scopes = frozenset(filter(None, f"{listed_before},{event.listed_in}".split(",")))
    points = tuple(point for point in stood | {event.point} if point)
    return Move(event.id, scopes, None if None in stood else points)


def _place_said(ics: str) -> Point | None:
    found = _GEO.search(ics.partition("END:VEVENT")[0])
    return Point(float(found[1]), float(found[2])) if found else None


# ---------------------------------------------------------------- texts


@dataclass(frozen=True, slots=True)
class _Texts:
    """The VEVENTs of an event in one locale: the master, and its changed dates by original start."""

    entries: Sequence[Entry]

    @property
    def ics(self) -> str:
        return "".join(map(vevent, self.entries))

    @property
    def without_cancelled(self) -> str | None:
        kept = vevents.entries_without_cancelled(self.entries)
        return None if len(kept) == len(self.entries) else "".join(map(vevent, kept))

    def bare(self) -> dict[datetime | None, str]:
        """What each says, by original start (None: the master), without what moves when it changes."""
        return {
            entry.recurrence_id: vevent(replace(entry, sequence=0, created_at=_EPOCH, modified_at=_EPOCH))
            for entry in self.entries
        }


def _texts(told: Told, publishing: Publishing) -> dict[str, _Texts]:
    return {code: _Texts(vevents.entries(told, publishing, language(code))) for code in publishing.locales}


def _publish(
    session: Session, told: Told, before: Mapping[str, Rendered], publishing: Publishing, now: datetime
) -> bool:
    event = told.event
    _leave_out_old_cancellations(told, now)
    listed = _scopes(told)
    before_ = set(filter(None, event.listed_in.split(",")))
    gone = before_ - set(listed)
    returned = event.withdrawn_at is not None
    event.withdrawn_at, event.listed_in = None, ",".join(listed)
    moved = _touch(
        told, _texts(told, publishing), now, forced=bool(gone) or returned or _is_old(event, before)
    )
    if before_ != set(listed):
        _say_goodbye(session, told, gone, listed, publishing, now)
    return _write_texts(session, told, before, publishing) or moved


def _withdraw(
    session: Session, told: Told, before: Mapping[str, Rendered], publishing: Publishing, now: datetime
) -> bool:
    """Removed, or a draft again: its feeds say for a while that it is off, in words that stay."""
    told.event.withdrawn_at = now
    farewell = replace(told, overrides=())
    _touch(farewell, _texts(farewell, publishing), now, forced=True)
    return _write_texts(session, farewell, before, publishing)


def _is_old(event: Event, before: Mapping[str, Rendered]) -> bool:
    """Published before fingerprints were kept."""
    return bool(before) and not event.fingerprint


def _touch(told: Told, texts: Mapping[str, _Texts], now: datetime, *, forced: bool) -> bool:
    """Moves the event and those of its dates on that say something else than before.

    A series moves with its changed dates too: ICSx5 looks at nothing else.
    """
    event = told.event
    bare = {code: text.bare() for code, text in texts.items()}
    prints = {at: _print(*(said[at] for said in bare.values())) for at in next(iter(bare.values()))}
    dates = [override for override in told.overrides if override.original_start in prints]
    changed = [date for date in dates if date.fingerprint != prints[date.original_start]]
    whole = _print(prints[None], *sorted(str(at) for at in prints if at))
    was_public, event.fingerprint = event.fingerprint or forced, whole
    moved = bool(was_public and (forced or changed or was_public != whole))
    if moved:
        event.touch(now)
    for date in changed:
        date.touch(event)
        date.fingerprint = prints[date.original_start]
    for date in dates:
        date.keep_above(event)
    return moved


def _print(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:32]


def _write_texts(
    session: Session, told: Told, before: Mapping[str, Rendered], publishing: Publishing
) -> bool:
    """Whether any text is another than before."""
    texts, mark = _texts(told, publishing), made_for(publishing)
    changed = before.keys() != texts.keys()
    for code in before.keys() - texts.keys():
        session.delete(before[code])
    for code, text in texts.items():
        row = before.get(code) or Rendered(event_id=told.event.id or 0, locale=code, ics="", made_for=mark)
        changed = changed or row.ics != text.ics
        row.ics, row.without_cancelled, row.made_for = text.ics, text.without_cancelled, mark
        session.add(row)
    return changed


def _leave_out_old_cancellations(told: Told, now: datetime) -> None:
    """A cancelled date is told as such until it is past and for 30 days; then it is one that is left out."""
    for override in told.overrides:
        _, end = content.times(told.event, override)
        past = to_utc(end, told.event.timezone) < now
        since = override.cancelled_at or told.event.modified_at
        override.left_out = override.cancelled and past and since < now - TOLD_FOR


# ---------------------------------------------------------------- leaving the feed of a branch or topic


def branch_scope(branch_id: int | None) -> str:
    return f"branch:{branch_id}"


def topic_scope(topic_id: int | None) -> str:
    return f"topic:{topic_id}"


def _scopes(told: Told) -> list[str]:
    return [
        *sorted(branch_scope(host.id) for host in told.hosts),
        *sorted(topic_scope(topic.id) for topic in told.topics),
    ]


def _say_goodbye(
    session: Session,
    told: Told,
    gone: set[str],
    listed: Sequence[str],
    publishing: Publishing,
    now: datetime,
) -> None:
    """To the scopes it has left now, and anew to those it left before: it may have gone on from where it went."""
    event = told.event
    open_ = session.exec(select(Departure).where(col(Departure.event_id) == event.id)).all()
    left = {row.scope: row.left_at for row in open_ if row.scope not in listed} | dict.fromkeys(gone, now)
    for row in open_:
        session.delete(row)
    session.flush()
    for scope, code in product(sorted(left), publishing.locales):
        entry = vevents.entry_of_departure(told, publishing, language(code), _whereto(told, scope, code))
        session.add(
            Departure(
                event_id=event.id or 0,
                scope=scope,
                locale=code,
                ics=vevent(entry),
                timezone=event.timezone,
                all_day=event.all_day,
                start=event.start,
                left_at=left[scope],
            )
        )


def _whereto(told: Told, scope: str, code: str) -> Message:
    if scope.startswith("branch:"):
        names = language(code).listed([host.name for host in told.hosts])
        return say("This event has moved to %(names)s.", names=names)
    if not told.topics:
        return say("This event is no longer listed under this topic.")
    names = language(code).listed([topic.name for topic in told.topics])
    return say("This event is listed under %(names)s now.", names=names)


# ---------------------------------------------------------------- keeping up


def made_for(publishing: Publishing) -> str:
    """What the derived depends on besides its event: when this differs, it is derived again."""
    return f"{RENDERER} {rules_version()} {publishing.base_url}"


def refresh(session: Session, publishing: Publishing, now: datetime, most: int = 200) -> int:
    """Derives events again whose branch or rules of time changed, whose horizon nears, or whose cancelled dates
    are long over.

    Returns how many there were (at most `most`): call again until it is 0.
    """
    query = select(Event).where(_is_stale(publishing, now)).order_by(col(Event.id)).limit(most)
    events = session.exec(query).all()
    for event in events:
        owner = session.get_one(Branch, event.branch_id)
        if not event.venue_name:
            event.stand_at(owner.public_point if event.attendance != Attendance.ONLINE else None)
        save(session, event, publishing, now)
    return len(events)


def needs_refresh(session: Session, publishing: Publishing, now: datetime) -> bool:
    """Whether `refresh` would find anything: a look that takes no lock."""
    return session.exec(select(Event.id).where(_is_stale(publishing, now)).limit(1)).first() is not None


def forget_farewells(session: Session, now: datetime) -> int:
    """Removes the texts of what left feeds over 60 days ago (they have not shown it for 30)."""
    before = now - 2 * TOLD_FOR
    withdrawn = sa.select(col(Event.id)).where(col(Event.withdrawn_at) < before)
    gone = session.exec(sa.delete(Rendered).where(col(Rendered.event_id).in_(withdrawn))).rowcount
    gone += session.exec(sa.delete(Departure).where(col(Departure.left_at) < before)).rowcount
    if gone:
        move_revision(session, now)
    return gone


def outnumber(session: Session, steps: int, now: datetime) -> None:
    """After an older state came back: calendars may know later numbers of its events, and would ignore all that is
    said with lower ones (RFC 5546 2.1.4). So each event and each changed date is `steps` ahead of where it was, and
    is derived again."""
    moment = now.replace(microsecond=0)
    event, override, rendered = table_of(Event), table_of(Override), table_of(Rendered)
    for table, moved in ((event, event.c.published_at.is_not(None)), (override, override.c.revision > 0)):
        ahead = {"revision": table.c.revision + steps, "modified_at": moment}
        session.connection().execute(sa.update(table).where(moved).values(ahead))
    session.connection().execute(sa.update(rendered).values(made_for=""))
    move_revision(session, now)


def _is_stale(publishing: Publishing, now: datetime) -> sa.ColumnElement[bool]:
    mark = made_for(publishing)  # two ranges, because no index answers "not equal"
    stale_text = sa.select(col(Rendered.event_id)).where(
        sa.or_(col(Rendered.made_for) < mark, col(Rendered.made_for) > mark)
    )
    moved_branch = (
        sa.select(col(EventBranch.event_id))
        .join(Branch, col(Branch.id) == col(EventBranch.branch_id))
        .join(Event, col(Event.id) == col(EventBranch.event_id))
        .where(col(Branch.updated_at) > col(Event.derived_at))
    )
    some_days_ago = (now - timedelta(days=5)).replace(tzinfo=None)
    long_cancelled = sa.select(col(Override.event_id)).where(
        col(Override.cancelled),
        col(Override.left_out).is_(False),
        col(Override.cancelled_at) < now - TOLD_FOR,
        sa.func.coalesce(col(Override.end), col(Override.original_start)) < some_days_ago,
    )
    near_the_end = col(Event.known_until) < now + HORIZON - timedelta(days=30)
    return sa.or_(
        col(Event.id).in_(stale_text),
        col(Event.id).in_(moved_branch),
        sa.and_(col(Event.id).in_(long_cancelled), col(Event.derived_at) < now - timedelta(days=1)),
        near_the_end,
    )
