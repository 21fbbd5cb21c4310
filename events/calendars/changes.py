"""Changing events so that it can be taken back: each change leaves a version of what the event came to say."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from ..branches.models import Branch
from ..drafts import faults
from ..errors import Conflict, Message, say
from ..people import history
from ..people.history import Version
from ..people.models import Person
from . import store
from .consequences import Consequences, copied, differences
from .content import Publishing, Told
from .derived import TOLD_FOR, save, tell
from .drafts import EventDraft
from .models import Event, HostingRefusal, Override

Snapshot = dict[str, Any]

# The word that a version has for what was done, and how it is told.
ACTIONS: Mapping[str, Message] = {
    "found": say("As it was found"),
    "added": say("Posted"),
    "copied": say("Copied from another event"),
    "continued": say("Split off from an earlier series"),
    "suggested": say("Suggested by a visitor"),
    "approved": say("Approved"),
    "declined": say("Declined"),
    "hosting-declined": say("A branch does not want to be named"),
    "handed-over": say("Handed over to another branch"),
    "changed": say("Changed"),
    "date": say("One date changed"),
    "following": say("A series of its own took over from one of its dates"),
    "ended": say("Ended before one of its dates"),
    "cancelled": say("Cancelled"),
    "postponed": say("Postponed"),
    "resumed": say("Takes place after all"),
    "bulk": say("Cancelled together with others"),
    "bulk-undone": say("Takes place after all, together with others"),
    "published": say("Published"),
    "submitted": say("Sent for approval"),
    "removed": say("Removed"),
    "returned": say("Brought back"),
    "restored": say("An earlier version restored"),
    "picture": say("The picture changed"),
    "picture-removed": say("The picture removed"),
    "stopped": say("Ended, because nobody confirmed that it still takes place"),
}
BY_NOBODY = ("found", "suggested", "stopped")  # who signs in
RETURNS_FOR = TOLD_FOR  # how long what was removed can be brought back

FOUND = "found"  # of the first version: how the event was before anybody changed it here


def subject(event: Event) -> str:
    return f"event:{event.id}"


def hold(session: Session, event: Event) -> None:
    """Nobody else changes the event until the transaction ends: two editors who both find it unchanged would
    overwrite each other. (On SQLite there is one writer anyway, who has read nothing before its turn.)
    """
    if session.get_bind().dialect.name == "postgresql":
        session.refresh(event, with_for_update=True)


@dataclass(slots=True)
class Recording:
    """`after`: what the event says at the end of the block, where that is known already."""

    after: Told | None = None


@contextmanager
def recorded(
    session: Session,
    event: Event,
    action: str,
    person: Person | None,
    now: datetime,
    batch: str = "",
    *,
    confirms: bool = True,
    told: Told | None = None,
) -> Iterator[Recording]:
    """What is done to the event in the block becomes a version, unless the event says the same afterwards.

    A person who changes an event knows that it takes place, unless it `confirms` nothing. `told`: what the event
    says, where that was read since it is held.
    """
    if told is None:
        hold(session, event)
    before, recording = snapshot(session, event, told), Recording()
    if not history.last_number(session, subject(event)):
        history.write(session, subject(event), FOUND, before, None, event.modified_at)
    yield recording
    after = snapshot(session, event, recording.after)
    if after != before:
        if person is not None and confirms:
            event.confirmed_at, event.asked_since = now, None
        history.write(session, subject(event), action, after, person, now, batch)


def post(
    session: Session,
    draft: EventDraft,
    hosts: Sequence[Branch],
    person: Person | None,
    publishing: Publishing,
    now: datetime,
    *,
    key: str = "",
    action: str = "added",
    like: Event | None = None,
) -> tuple[Event, bool]:
    """A new event with its first version; True. What was posted under this key before: that event; False."""
    if key and (before := posted_with(session, key)) is not None:
        return before, False
    try:
        with session.begin_nested():
            event = store.add(session, draft, hosts, publishing, now)
            event.form_key = key or None
            session.flush()
            if like is not None:
                inherit(session, event, like, publishing, now)
    except IntegrityError:  # the same form, sent twice at the same moment
        first = posted_with(session, key)
        if first is None:
            raise
        return first, False
    added(session, event, person, now, action)
    return event, True


def inherit(session: Session, event: Event, of: Event, publishing: Publishing, now: datetime) -> None:
    """What an event has besides what its form says: its picture, and who does not want to be named for it."""
    event.picture_id, event.picture_alt = of.picture_id, of.picture_alt
    for refusal in session.exec(select(HostingRefusal).where(col(HostingRefusal.event_id) == of.id)).all():
        session.add(HostingRefusal(event_id=event.id or 0, branch_id=refusal.branch_id))
    save(session, event, publishing, now)


def posted_with(session: Session, key: str) -> Event | None:
    """What came of a form that was sent before."""
    return session.exec(select(Event).where(col(Event.form_key) == key)).one_or_none()


def added(
    session: Session, event: Event, person: Person | None, now: datetime, action: str = "added"
) -> None:
    """The first version of an event that was just made."""
    history.write(session, subject(event), action, snapshot(session, event), person, now)


def snapshot(session: Session, event: Event, told: Told | None = None) -> Snapshot:
    """All that people say of an event, as JSON. `told`: where it is known."""
    told = told or tell(session, event)
    return {
        "event": store.said_of(told),
        "hosts": [host.id for host in told.hosts],
        "picture": [event.picture_id, event.picture_alt],
        "removed": event.deleted_at is not None,
    }


def draft_in(snapshot: Mapping[str, Any]) -> EventDraft:
    """The event as it was. Raises ValidationError where it cannot be so any more (clocks have changed since)."""
    return EventDraft.model_validate(snapshot["event"])


def restore(session: Session, event: Event, version: Version, publishing: Publishing, now: datetime) -> None:
    """Makes the event say what it said then; an event that was removed comes back. To be called in `recorded`.

    Raises ValidationError as `draft_in` does, and Conflict when the branch that held it is not there any more.
    """
    said = version.snapshot
    draft, hosts = draft_in(said), _hosts_in(session, event, said)
    event.deleted_at = now if said["removed"] else None
    event.picture_id, event.picture_alt = said["picture"]
    store.replace_with(session, event, draft, hosts, publishing, now)


def obstacle(session: Session, event: Event, version: Version) -> Message | None:
    """Why this version cannot be restored; None: it can."""
    if version.snapshot["removed"]:
        return say("The event was removed then.")
    try:
        draft_in(version.snapshot)
        _hosts_in(session, event, version.snapshot)
    except ValidationError as error:
        return next(iter(faults(error).values()))
    except Conflict as error:
        return error.message
    return None


def told_in(session: Session, event: Event, version: Version, now: datetime) -> Told:
    """What the event would say if it was restored, in rows that are in no database. Raises as `restore` does."""
    draft = draft_in(version.snapshot)
    told = store.sketch(draft, _hosts_in(session, event, version.snapshot), now)
    if version.snapshot["removed"]:
        told.event.delete(now)
    return replace(
        told, overrides=[Override(event_id=event.id or 0, **dict(change)) for change in draft.overrides]
    )


def _hosts_in(session: Session, event: Event, snapshot: Mapping[str, Any]) -> list[Branch]:
    """Those that are still there and have not declined since, the owner first. Raises Conflict when there is none."""
    query = select(Branch).where(col(Branch.id).in_(snapshot["hosts"]))
    found = {branch.id: branch for branch in session.exec(query)}
    declined = select(HostingRefusal.branch_id).where(col(HostingRefusal.event_id) == event.id)
    gone = set(session.exec(declined)) - set(snapshot["hosts"][:1])
    hosts = [found[number] for number in snapshot["hosts"] if number in found and number not in gone]
    if not hosts:
        raise Conflict(say("The branch that held it then is not there any more."))
    return hosts


def successors(session: Session, event: Event) -> Sequence[Event]:
    """Series that split off from this one and are there: restoring it does not undo them."""
    query = select(Event).where(col(Event.related_uid) == event.uid, col(Event.deleted_at).is_(None))
    return session.exec(query.order_by(col(Event.begins_at), col(Event.id))).all()


def host_names(session: Session, snapshots: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """The names of the branches that hold the event in these."""
    ids = {number for one in snapshots for number in one["hosts"]}
    found = session.exec(select(Branch.id, Branch.name).where(col(Branch.id).in_(ids))).all()
    return {number: name for number, name in found if number is not None}


def consequences_of(
    session: Session,
    event: Event,
    change: Callable[[], Event],
    now: datetime,
    since: datetime | None = None,
) -> Consequences:
    """What those who follow the event would see: the change is made, looked at and undone, so the session must write.

    `change` returns the event to look at afterwards: the same, or from `since` on the one that takes its place.
    """
    before = copied(tell(session, event))
    with session.begin_nested() as trial:
        after = copied(tell(session, change()))
        trial.rollback()
    return differences(before, after, now, since)


# ---------------------------------------------------------------- bringing back


def removed_lately(session: Session, branch_ids: sa.Select[tuple[int]], now: datetime) -> Sequence[Event]:
    """What these branches removed and may still bring back, the newest first."""
    query = select(Event).where(
        col(Event.branch_id).in_(branch_ids), col(Event.deleted_at) > now - RETURNS_FOR
    )
    return session.exec(query.order_by(col(Event.deleted_at).desc(), col(Event.id)).limit(200)).all()


def may_return(event: Event, now: datetime) -> bool:
    return event.deleted_at is not None and event.deleted_at > now - RETURNS_FOR


def bring_back(session: Session, event: Event, publishing: Publishing, now: datetime) -> None:
    """Its calendars show it again, as the same entry."""
    event.deleted_at = None
    save(session, event, publishing, now)
