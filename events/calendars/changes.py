"""Changing events so that it can be taken back: each change leaves a version of what the event came to say."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlmodel import Session, col, select

from ..branches.models import Branch
from ..errors import Conflict, say
from ..people import history
from ..people.history import Version
from ..people.models import Person
from . import store
from .content import Publishing
from .derived import tell
from .drafts import EventDraft
from .models import Event

Snapshot = dict[str, Any]

FOUND = "found"  # of the first version: how the event was before anybody changed it here


def subject(event: Event) -> str:
    return f"event:{event.id}"


@contextmanager
def recorded(
    session: Session, event: Event, action: str, person: Person | None, now: datetime, batch: str = ""
) -> Iterator[None]:
    """What is done to the event in the block becomes a version, unless the event says the same afterwards."""
    before = snapshot(session, event)
    if not history.last_number(session, subject(event)):
        history.write(session, subject(event), FOUND, before, None, event.modified_at)
    yield
    after = snapshot(session, event)
    if after != before:
        history.write(session, subject(event), action, after, person, now, batch)


def added(
    session: Session, event: Event, person: Person | None, now: datetime, action: str = "added"
) -> None:
    """The first version of an event that was just made."""
    history.write(session, subject(event), action, snapshot(session, event), person, now)


def snapshot(session: Session, event: Event) -> Snapshot:
    """All that people say of an event, as JSON."""
    told = tell(session, event)
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
    draft = draft_in(said)
    found = {
        branch.id: branch for branch in session.exec(select(Branch).where(col(Branch.id).in_(said["hosts"])))
    }
    hosts = [found[number] for number in said["hosts"] if number in found]
    if not hosts:
        raise Conflict(say("The branch that held it then is not there any more."))
    event.deleted_at = now if said["removed"] else None
    event.picture_id, event.picture_alt = said["picture"]
    store.replace_with(session, event, draft, hosts, publishing, now)
