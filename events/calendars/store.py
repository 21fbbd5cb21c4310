"""Writing events: from a draft to rows, and from the rows to all that is derived from them.

`save` is the one way out: it renders the event, and only if what it says has changed it moves the revision.
So SEQUENCE, DTSTAMP and LAST-MODIFIED move on visible changes and on nothing else.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlmodel import Session, col, select

from ..branches.drafts import slug_for
from ..branches.models import Branch
from ..errors import NotFound, say
from ..language import language
from ..places.geo import Point
from ..places.naming import fold
from . import content
from .content import Publishing, Told
from .drafts import ACCESS, EventDraft, OverrideDraft, VenueDraft
from .ics import vevent
from .models import (
    Attendance,
    CalendarRevision,
    Event,
    EventBranch,
    EventTopic,
    Occurrence,
    Override,
    Rendered,
    State,
    Topic,
)
from .recurrence import Rule, is_start, parse_rule, starts
from .timezones import to_utc

HORIZON = timedelta(days=400)  # how far ahead occurrences are written; the worker moves it on
KEPT_PAST = timedelta(days=120)  # and how far back
RENDERER = 1  # +1 when the text of an unchanged event changes: everything is rendered again


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
) -> Event:
    """A new event with a UID for life: random, the same in every feed, without host name or address."""
    now = now.replace(microsecond=0)
    event = Event(
        uid=uid or uuid.uuid4().hex,
        branch_id=_id(hosts[0]),
        source=source,
        source_uid=source_uid,
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
    _fill(event, draft, hosts[0])
    session.add(event)
    session.flush()
    _relate(session, event, draft, hosts)
    save(session, event, publishing, now)
    return event


def revise(
    session: Session,
    event: Event,
    draft: EventDraft,
    hosts: Sequence[Branch],
    publishing: Publishing,
    now: datetime,
) -> None:
    """Makes the event say what the draft says; dates changed one by one stay so while they exist."""
    event.branch_id = _id(hosts[0])
    _fill(event, draft, hosts[0])
    _relate(session, event, draft, hosts)
    save(session, event, publishing, now)


def change_date(
    session: Session, event: Event, change: OverrideDraft, publishing: Publishing, now: datetime
) -> None:
    """One date of a series differs from now on. NotFound when the series has no such date."""
    rule = rule_of(event)
    if rule is None or not is_start(rule, event.start, change.original_start):
        raise NotFound(say("This series has no date at that time."))
    _override(session, event, change)
    save(session, event, publishing, now)


def save(session: Session, event: Event, publishing: Publishing, now: datetime) -> None:
    """Derives everything anew and moves the revision if what the event says has changed."""
    session.flush()
    told = tell(session, event)
    before = {
        row.locale: row for row in session.exec(select(Rendered).where(col(Rendered.event_id) == event.id))
    }
    if event.state in (State.PUBLISHED, State.CANCELLED):
        texts = _texts(told, publishing)
        if before and any(code not in before or before[code].ics != text for code, text in texts.items()):
            event.touch(now)
            texts = _texts(told, publishing)
    else:
        texts = {}
    session.exec(sa.delete(Rendered).where(col(Rendered.event_id) == event.id))
    for row in before.values():
        session.expunge(row)
    for code, text in texts.items():
        session.add(Rendered(event_id=_id(event), locale=code, ics=text, made_for=made_for(publishing)))
    _write_occurrences(session, told, now)
    event.derived_at = now
    move_revision(session, now)
    session.flush()


def tell(session: Session, event: Event) -> Told:
    """The event with its overrides, hosts (owner first) and topics."""
    hosts = session.exec(
        select(Branch)
        .join(EventBranch, col(EventBranch.branch_id) == col(Branch.id))
        .where(col(EventBranch.event_id) == event.id)
    ).all()
    topics = session.exec(
        select(Topic)
        .join(EventTopic, col(EventTopic.topic_id) == col(Topic.id))
        .where(col(EventTopic.event_id) == event.id)
        .order_by(col(Topic.name))
    ).all()
    overrides = session.exec(select(Override).where(col(Override.event_id) == event.id)).all()
    ordered = sorted(hosts, key=lambda host: (host.id != event.branch_id, host.name, host.id))
    return Told(event, overrides, ordered, topics)


def rule_of(event: Event) -> Rule | None:
    return parse_rule(event.rrule, event.start, event.timezone, event.all_day) if event.rrule else None


def made_for(publishing: Publishing) -> str:
    """What rendered text depends on besides its event: when this differs, it is rendered again."""
    return f"{RENDERER} {publishing.base_url}"


def refresh(session: Session, publishing: Publishing, now: datetime, most: int = 200) -> int:
    """Derives events again whose branch changed, whose texts name another address, or whose horizon nears.

    Returns how many there were (at most `most`): call again until it is 0.
    """
    events = session.exec(
        select(Event).where(_is_stale(publishing, now)).order_by(col(Event.id)).limit(most)
    ).all()
    for event in events:
        owner = session.get_one(Branch, event.branch_id)
        if not event.venue_name:
            event.stand_at(owner.public_point if event.attendance != Attendance.ONLINE else None)
        save(session, event, publishing, now)
    return len(events)


def needs_refresh(session: Session, publishing: Publishing, now: datetime) -> bool:
    """Whether `refresh` would find anything: a look that takes no lock."""
    return session.exec(select(Event.id).where(_is_stale(publishing, now)).limit(1)).first() is not None


def _is_stale(publishing: Publishing, now: datetime) -> sa.ColumnElement[bool]:
    stale_text = (
        sa.select(col(Rendered.event_id)).where(col(Rendered.made_for) != made_for(publishing)).distinct()
    )
    moved_branch = (
        sa.select(col(EventBranch.event_id))
        .join(Branch, col(Branch.id) == col(EventBranch.branch_id))
        .join(Event, col(Event.id) == col(EventBranch.event_id))
        .where(col(Branch.updated_at) > col(Event.derived_at))
    )
    near_the_end = col(Event.known_until) < now + HORIZON - timedelta(days=30)
    return sa.or_(col(Event.id).in_(stale_text), col(Event.id).in_(moved_branch), near_the_end)


def move_revision(session: Session, now: datetime) -> None:
    row = session.get(CalendarRevision, 1)
    if row is None:
        row = CalendarRevision(id=1, number=0, moved_at=now)
    row.number += 1
    row.moved_at = max(now.replace(microsecond=0), row.moved_at)
    session.add(row)


def _texts(told: Told, publishing: Publishing) -> dict[str, str]:
    return {
        code: "".join(vevent(entry) for entry in content.entries(told, publishing, language(code)))
        for code in publishing.locales
    }


def _fill(event: Event, draft: EventDraft, owner: Branch) -> None:
    event.title, event.description, event.language = draft.title, draft.description, draft.language
    event.start, event.end, event.all_day = draft.start, draft.end, draft.all_day
    event.timezone, event.rrule = draft.timezone, draft.rrule
    event.exdates = [moment.isoformat() for moment in sorted(draft.exdates)]
    event.attendance, event.online_url = draft.attendance, draft.online_url
    event.registration_url, event.contact, event.cost = draft.registration_url, draft.contact, draft.cost
    event.access = ",".join(word for word in ACCESS if word in draft.access)
    event.state, event.cancelled_reason = draft.state, draft.reason
    event.venue_name = draft.venue.name if draft.venue else ""
    event.venue_address = address_line(draft.venue) if draft.venue else ""
    event.stand_at(_point(draft, owner))
    event.search_key = fold(f"{draft.title} {event.venue_name} {draft.description}")[:2000]


def _point(draft: EventDraft, owner: Branch) -> Point | None:
    """Where it effectively happens. A venue without coordinates is taken to be in the branch's area."""
    if draft.attendance == "online":
        return None
    if draft.venue and draft.venue.latitude is not None and draft.venue.longitude is not None:
        return Point(draft.venue.latitude, draft.venue.longitude)
    return owner.public_point


def address_line(venue: VenueDraft) -> str:
    town = " ".join(part for part in (venue.state_province, venue.postal_code) if part)
    return ", ".join(
        part for part in (venue.address_1, venue.address_2, venue.city, town, venue.country) if part
    )


def _relate(session: Session, event: Event, draft: EventDraft, hosts: Sequence[Branch]) -> None:
    """Hosts, topics and overrides as given; other overrides only while their date still exists."""
    session.exec(sa.delete(EventBranch).where(col(EventBranch.event_id) == event.id))
    session.exec(sa.delete(EventTopic).where(col(EventTopic.event_id) == event.id))
    for branch_id in dict.fromkeys(_id(host) for host in hosts):
        session.add(EventBranch(event_id=_id(event), branch_id=branch_id))
    for topic_id in dict.fromkeys(_topic(session, name) for name in draft.topics):
        session.add(EventTopic(event_id=_id(event), topic_id=topic_id))
    for change in draft.overrides:
        _override(session, event, change)
    _drop_orphans(session, event)


def _drop_orphans(session: Session, event: Event) -> None:
    session.flush()
    rule = rule_of(event)
    for override in session.exec(select(Override).where(col(Override.event_id) == event.id)).all():
        if rule is None or not is_start(rule, event.start, override.original_start):
            session.delete(override)


def _override(session: Session, event: Event, change: OverrideDraft) -> None:
    query = select(Override).where(
        col(Override.event_id) == event.id, col(Override.original_start) == change.original_start
    )
    row = session.exec(query).one_or_none() or Override(
        event_id=_id(event), original_start=change.original_start
    )
    row.cancelled, row.reason = change.cancelled, change.reason
    row.start, row.end = change.start, change.end
    row.title, row.description = change.title, change.description
    row.venue_name, row.venue_address = change.venue_name, change.venue_address
    session.add(row)


def _topic(session: Session, name: str) -> int:
    slug = slug_for(name)
    topic = session.exec(select(Topic).where(col(Topic.slug) == slug)).one_or_none()
    if topic is None:
        topic = Topic(slug=slug, name=name)
        session.add(topic)
        session.flush()
    return _id(topic)


def _write_occurrences(session: Session, told: Told, now: datetime) -> None:
    """The dates within the horizon, in the event's wall clock and in UTC, and the bounds of the whole."""
    event = told.event
    session.exec(sa.delete(Occurrence).where(col(Occurrence.event_id) == event.id))
    rule = rule_of(event)
    horizon = now + HORIZON
    skipped = [datetime.fromisoformat(text) for text in event.exdates]
    overrides = {override.original_start: override for override in told.overrides}
    event.begins_at = to_utc(event.start, event.timezone)
    event.ends_at, event.known_until = to_utc(event.end, event.timezone), None
    if rule is not None:
        last = rule.last_start(event.start)
        event.ends_at = to_utc(last + event.duration, event.timezone) if last else None
        event.known_until = None if event.ends_at and event.ends_at < horizon else horizon
    if event.state not in (State.PUBLISHED, State.CANCELLED) or event.deleted_at is not None:
        return
    since = (now - KEPT_PAST).replace(tzinfo=None) if rule else event.start
    until = horizon.replace(tzinfo=None) if rule else event.start + timedelta(seconds=1)
    for original in starts(rule, event.start, skipped, since, until, 5000):
        override = overrides.get(original)
        start, end = content.times(event, override) if override else (original, original + event.duration)
        session.add(
            Occurrence(
                event_id=_id(event),
                original_start=original,
                start=start,
                end=end,
                starts_at=to_utc(start, event.timezone),
                ends_at=to_utc(end, event.timezone),
                cancelled=content.is_cancelled(event, override),
                title=content.title(event, override),
            )
        )


def _id(row: Branch | Event | Topic) -> int:
    if row.id is None:
        raise ValueError("the row has not been saved yet")
    return row.id
