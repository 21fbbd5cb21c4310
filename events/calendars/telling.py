"""Events with all that their texts are made of."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import load_only
from sqlmodel import Session, col, select

from ..branches.models import Branch
from .content import Told
from .models import Event, EventBranch, EventTopic, Override, Picture, PictureState, Topic

One = TypeVar("One")

# To write a statement down takes longer than to run it, and an edit asks these several times.
_SHOWN: tuple[Any, ...] = (Picture.id, Picture.width, Picture.height)
_IDS: sa.BindParameter[Any] = sa.bindparam("ids", expanding=True)
_HOSTS = (
    select(EventBranch.event_id, Branch)
    .join(Branch, col(EventBranch.branch_id) == col(Branch.id))
    .where(col(EventBranch.event_id).in_(_IDS))
)
_TOPICS = (
    select(EventTopic.event_id, Topic)
    .join(Topic, col(EventTopic.topic_id) == col(Topic.id))
    .where(col(EventTopic.event_id).in_(_IDS))
    .order_by(col(Topic.name), col(Topic.id))
)
_PICTURES = (
    select(Picture)
    .options(load_only(*_SHOWN))
    .where(col(Picture.id).in_(_IDS), col(Picture.state) == PictureState.READY)
)
_CHANGED_DATES = select(Override).where(col(Override.event_id).in_(_IDS))


def tell(session: Session, event: Event) -> Told:
    """The event with its overrides, hosts (owner first), topics and picture."""
    return tell_all(session, [event])[0]


def tell_all(session: Session, events: Sequence[Event]) -> list[Told]:
    """The same for all events of a list, in its order: a few queries, however many there are."""
    ids = {"ids": [event.id for event in events]}
    hosts = session.exec(_HOSTS, params=ids).all()
    topics = session.exec(_TOPICS, params=ids).all()
    changed = session.exec(_CHANGED_DATES, params=ids).all()
    hosts_of, topics_of = _by_event(hosts), _by_event(topics)
    overrides_of = _by_event((override.event_id, override) for override in changed)
    pictures = _pictures(session, {event.picture_id for event in events if event.picture_id})
    return [
        Told(
            event,
            overrides_of[event.id],
            _owner_first(event, hosts_of[event.id]),
            topics_of[event.id],
            pictures.get(event.picture_id),
        )
        for event in events
    ]


def _pictures(session: Session, ids: set[str]) -> Mapping[str | None, Picture]:
    """Those that are ready, without their bytes."""
    found = session.exec(_PICTURES, params={"ids": list(ids)}) if ids else ()
    return {picture.id: picture for picture in found}


def _owner_first(event: Event, hosts: Iterable[Branch]) -> list[Branch]:
    return sorted(hosts, key=lambda host: (host.id != event.branch_id, host.name, host.id))


def _by_event(rows: Iterable[tuple[int, One]]) -> Mapping[int | None, list[One]]:
    found: defaultdict[int | None, list[One]] = defaultdict(list)
    for number, one in rows:
        found[number].append(one)
    return found
