"""Writing events: from a draft to rows. What follows from the rows is derived by `derived.save`.

A series changes as a whole (`revise`), on one date (`change_date`) or from a date on (`change_following`). Dates
that were changed or left out one by one stay so while the series still has them.
"""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlmodel import Session, col, select

from ..branches.models import Branch
from ..drafts import ACCESS
from ..errors import NotFound, say
from ..places.geo import Point
from .content import Publishing, Told
from .derived import save, tell
from .drafts import EventDraft, OverrideDraft, VenueDraft
from .horizon import rule_of
from .memory import topic_slug
from .models import Attendance, Event, Override, Topic
from .recurrence import Rule, counterpart, is_start, starts
from .relating import id_of, relate
from .timezones import to_utc, to_wall

# What the draft and the row call alike.
_SAME_NAMES = (
    *("title", "description", "language", "start", "end", "all_day", "timezone", "rrule", "attendance"),
    *("online_url", "registration_url", "contact", "cost", "state"),
)
_NO_SUCH_DATE = say("This series has no date at that time.")


def add(
    session: Session,
    draft: EventDraft,
    hosts: Sequence[Branch],
    publishing: Publishing,
    now: datetime,
    *,
    uid: str | None = None,
    source: str | None = None,
    source_uid: str | None = None,
    related_uid: str = "",
) -> Event:
    """A new event with a UID for life: random, the same in every feed, without host name or address."""
    event = _new(draft, hosts[0], now)
    event.uid = uid or event.uid
    event.source, event.source_uid, event.related_uid = source, source_uid, related_uid
    session.add(event)
    session.flush()
    relate(session, Told(event, (), (), ()), draft.topics, hosts, now)
    for change in draft.overrides:
        _override(session, event, change, now)
    save(session, event, publishing, now)
    return event


def _new(draft: EventDraft, owner: Branch, now: datetime) -> Event:
    now = now.replace(microsecond=0)
    event = Event(
        uid=uuid.uuid4().hex,
        branch_id=id_of(owner),
        title=draft.title,
        start=draft.start,
        end=draft.end,
        timezone=draft.timezone,
        created_at=now,
        modified_at=now,
        begins_at=now,
        derived_at=now,
        exdates=[],
    )
    _fill(event, draft, owner, now)
    return event


def sketch(draft: EventDraft, hosts: Sequence[Branch], now: datetime) -> Told:
    """What an event would say: rows that are in no database. Its changed dates are left out."""
    topics = [Topic(slug=topic_slug(name), name=name) for name in draft.topics]
    return Told(_new(draft, hosts[0], now), (), hosts, topics)


def revise(
    session: Session,
    event: Event,
    draft: EventDraft,
    hosts: Sequence[Branch],
    publishing: Publishing,
    now: datetime,
    *,
    told: Told | None = None,
) -> Told:
    """Makes the event say what the draft says; dates changed or left out one by one stay so while they exist.

    `told`: what it says before, where that is known. Returns what it says then.
    """
    told = told or tell(session, event)
    before = _Series(event.start, event.all_day)
    old_exdates = [datetime.fromisoformat(text) for text in event.exdates]
    related = _say(session, told, draft, hosts, now)
    _keep_dates(session, told, before, old_exdates)
    for change in draft.overrides:
        _override(session, event, change, now)
    same = not (related or told.overrides or draft.overrides)
    return save(session, event, publishing, now, told=told if same else None)


def _say(session: Session, told: Told, draft: EventDraft, hosts: Sequence[Branch], now: datetime) -> bool:
    """Whether it belongs to other branches or topics than before."""
    told.event.branch_id = id_of(hosts[0])
    _note_move(told.event, draft)
    _fill(told.event, draft, hosts[0], now)
    return relate(session, told, draft.topics, hosts, now)


def replace_with(
    session: Session,
    event: Event,
    draft: EventDraft,
    hosts: Sequence[Branch],
    publishing: Publishing,
    now: datetime,
) -> None:
    """Makes the event say what the draft says and nothing else: its changed and left out dates are the draft's."""
    told = tell(session, event)
    _say(session, told, draft, hosts, now)
    kept = {change.original_start for change in draft.overrides}
    for override in told.overrides:
        if override.original_start not in kept:
            session.delete(override)
    for change in draft.overrides:
        _override(session, event, change, now)
    save(session, event, publishing, now)


def change_date(
    session: Session, event: Event, change: OverrideDraft, publishing: Publishing, now: datetime
) -> None:
    """One date of a series differs from now on, or is as the series says again.

    NotFound when the series has no such date, or leaves it out.
    """
    change_dates(session, event, [change], publishing, now)


def change_dates(
    session: Session, event: Event, changes: Sequence[OverrideDraft], publishing: Publishing, now: datetime
) -> None:
    for change in changes:
        _check_date(event, change.original_start)
        _override(session, event, change, now)
    save(session, event, publishing, now)


def following(session: Session, event: Event, original_start: datetime) -> EventDraft:
    """The series as it is from one of its dates on, to be changed and given to `change_following`.

    NotFound as in `change_date`.
    """
    rule, draft = _check_date(event, original_start), draft_of(tell(session, event))
    if rule.count:
        gone = sum(1 for _ in starts(rule, event.start, before=original_start))
        rule = replace(rule, count=rule.count - gone)
    if rule.count == 1:
        rule = replace(rule, count=None, until=original_start)
    return draft.model_copy(
        update={
            "start": original_start,
            "end": original_start + event.duration,
            "rrule": str(rule),
            "exdates": tuple(at for at in draft.exdates if at > original_start),
            "overrides": tuple(one for one in draft.overrides if one.original_start >= original_start),
        }
    )


def change_following(
    session: Session,
    event: Event,
    original_start: datetime,
    draft: EventDraft,
    hosts: Sequence[Branch],
    publishing: Publishing,
    now: datetime,
) -> Event:
    """What organizers call “this and following”: the series ends before that date, and a new one, related to it,
    begins. (RANGE=THISANDFUTURE is understood by two of five calendar engines.)

    From the first date that takes place on, that is the series itself: it is revised and returned.
    """
    rule = _check_date(event, original_start)
    kept = list(starts(rule, event.start, _excluded(event), before=original_start))
    if not kept:
        revise(session, event, draft, hosts, publishing, now)
        return event
    event.rrule = str(replace(rule, count=None, until=kept[-1]))
    event.exdates = [at.isoformat() for at in _excluded(event) if at < kept[-1]]
    for override in _overrides(session, event):
        if override.original_start >= original_start:
            session.delete(override)
    save(session, event, publishing, now)
    return add(session, draft, hosts, publishing, now, related_uid=event.uid)


def _check_date(event: Event, original_start: datetime) -> Rule:
    rule = rule_of(event)
    if rule is None or not is_start(rule, event.start, original_start) or original_start in _excluded(event):
        raise NotFound(_NO_SUCH_DATE)
    return rule


def _excluded(event: Event) -> list[datetime]:
    return [datetime.fromisoformat(text) for text in event.exdates]


def draft_of(told: Told) -> EventDraft:
    """What the rows of an event say, as a draft. Raises ValidationError when rules of time have changed against it."""
    return EventDraft.model_validate(_values(told))


def said_of(told: Told) -> dict[str, Any]:
    """The same as JSON, whether or not it would still be a draft."""
    return EventDraft.model_construct(None, **_values(told)).model_dump(mode="json", warnings=False)


def _values(told: Told) -> dict[str, Any]:
    event = told.event
    overrides = sorted(told.overrides if event.is_series else (), key=lambda one: one.original_start)
    values: dict[str, Any] = {name: getattr(event, name) for name in _SAME_NAMES}
    return values | {
        "translations": event.translations or {},
        "exdates": [datetime.fromisoformat(text) for text in event.exdates],
        "venue": _venue_of(told),
        "topics": [topic.name for topic in told.topics],
        "access": [word for word in ACCESS if word in event.access.split(",")],
        "reason": event.cancelled_reason,
        "overrides": [{name: getattr(one, name) for name in OverrideDraft.model_fields} for one in overrides],
    }


def _venue_of(told: Told) -> VenueDraft | None:
    event = told.event
    if not (event.venue_name or event.venue_address) or event.attendance == Attendance.ONLINE:
        return None
    point = event.point if event.point != told.owner.public_point else None
    return VenueDraft(
        name=event.venue_name or event.venue_address,
        address_1=event.venue_address if event.venue_name else "",
        latitude=point.latitude if point else None,
        longitude=point.longitude if point else None,
    )


# ---------------------------------------------------------------- the rows of an event


def _fill(event: Event, draft: EventDraft, owner: Branch, now: datetime) -> None:
    event.title, event.description, event.language = draft.title, draft.description, draft.language
    event.translations = draft.worded or None
    event.start, event.end, event.all_day = draft.start, draft.end, draft.all_day
    event.timezone, event.rrule = draft.timezone, draft.rrule
    event.exdates = [moment.isoformat() for moment in sorted(draft.exdates)]
    event.attendance, event.online_url = draft.attendance, draft.online_url
    event.registration_url, event.contact, event.cost = draft.registration_url, draft.contact, draft.cost
    event.access = ",".join(word for word in ACCESS if word in draft.access)
    event.cancelled_at = event.off_since(draft.state, now)
    event.state, event.cancelled_reason = draft.state, draft.reason
    event.venue_name = draft.venue.name if draft.venue else ""
    event.venue_address = draft.venue.address_line if draft.venue else ""
    event.stand_at(_point(draft, owner))
    event.search_key = draft.search_key


def _note_move(event: Event, draft: EventDraft) -> None:
    """A single event that was published and begins at another time now says when it was to be at first."""
    if event.is_series or draft.rrule or not event.is_public or draft.all_day != event.all_day:
        event.moved_from = None
        return
    was = event.moved_from or event.start
    if not event.all_day and draft.timezone != event.timezone:
        was = to_wall(to_utc(was, event.timezone), draft.timezone)
    event.moved_from = was if was != draft.start else None


def _point(draft: EventDraft, owner: Branch) -> Point | None:
    """Where it effectively happens. A venue without coordinates is taken to be in the branch's area."""
    if draft.attendance == "online":
        return None
    if draft.venue and draft.venue.latitude is not None and draft.venue.longitude is not None:
        return Point(draft.venue.latitude, draft.venue.longitude)
    return owner.public_point


# ---------------------------------------------------------------- single dates of a series


class _Series(NamedTuple):
    """What a series was before it changed."""

    start: datetime
    all_day: bool


def _keep_dates(session: Session, told: Told, before: "_Series", old_exdates: Sequence[datetime]) -> None:
    """After a change of the series: the dates that take the place of those changed or left out before.

    Another original start is another RECURRENCE-ID, so to subscribers another entry.
    """
    event = told.event
    rule = rule_of(event)
    skipped = {counterpart(rule, event.start, before.start, at) for at in old_exdates} - {None}
    event.exdates = sorted({*event.exdates, *(at.isoformat() for at in skipped if at)})
    taken, moved = set(map(datetime.fromisoformat, event.exdates)), []
    found = [
        (override, counterpart(rule, event.start, before.start, override.original_start))
        for override in told.overrides
    ]
    if not found:
        return
    for override, at in sorted(found, key=_those_that_stay_first):
        if before.all_day != event.all_day:
            override.start = override.end = None
        if at == override.original_start and at not in taken:
            taken.add(at)
            continue
        session.delete(override)
        if at is not None and at not in taken:
            taken.add(at)
            moved.append(_carried(override, at))
    session.flush()  # what stood at these dates has to be gone first
    session.add_all(override for override in moved if override.differs)
    session.flush()


def _those_that_stay_first(pair: tuple[Override, datetime | None]) -> tuple[bool, datetime]:
    """Of two changed dates that become one, that of the day stays."""
    override, at = pair
    return at is None or at.date() != override.original_start.date(), override.original_start


def _carried(override: Override, original_start: datetime) -> Override:
    """The same change on another date: hours of its own stay, an end alone goes along."""
    kept = override.model_dump(exclude={"id", "original_start", "revision", "fingerprint"})
    if override.start is None and override.end is not None:
        kept["end"] = override.end + (original_start - override.original_start)
    return Override(original_start=original_start, **kept)


def _override(session: Session, event: Event, change: OverrideDraft, now: datetime) -> None:
    """Writes what differs on a date, or removes the row when nothing does."""
    query = select(Override).where(
        col(Override.event_id) == event.id, col(Override.original_start) == change.original_start
    )
    found = session.exec(query).one_or_none()
    row = found or Override(event_id=id_of(event), original_start=change.original_start)
    row.cancelled, row.reason = change.cancelled, change.reason
    row.cancelled_at = (row.cancelled_at or now) if change.cancelled else None
    row.start = change.start if change.start != change.original_start else None
    start = row.start or change.original_start
    row.end = change.end if change.end != start + event.duration else None
    row.title = change.title if change.title != event.title else None
    row.description = change.description if change.description != event.description else None
    row.venue_name, row.venue_address = change.venue_name, change.venue_address
    if row.differs:
        session.add(row)
    elif found is not None:
        session.delete(found)


def _overrides(session: Session, event: Event) -> Sequence[Override]:
    session.flush()
    return session.exec(select(Override).where(col(Override.event_id) == event.id)).all()
