"""Which branches hold an event and what it is about: rows that are written only where they differ."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col, select

from ..branches.models import Branch
from .content import Told
from .memory import topic_slug
from .models import Event, EventBranch, EventTopic, Topic

_AT_SLUGS = select(Topic).where(col(Topic.slug).in_(sa.bindparam("slugs", expanding=True)))


def relate(
    session: Session, told: Told, topics: Iterable[str], hosts: Sequence[Branch], now: datetime
) -> bool:
    """`told`: the event as it was; the branch that it is of now is the event's own. Whether anything differs."""
    moved = _hold(session, told, list(dict.fromkeys(id_of(host) for host in hosts)), now)
    known = {topic.slug: topic for topic in told.topics}
    wanted = dict.fromkeys(_topics(session, known, topics))
    before = [id_of(topic) for topic in told.topics]
    gone = [number for number in before if number not in wanted]
    if gone:
        held = (col(EventTopic.event_id) == told.event.id, col(EventTopic.topic_id).in_(gone))
        session.exec(sa.delete(EventTopic).where(*held))
    added = [number for number in wanted if number not in before]
    session.add_all(EventTopic(event_id=id_of(told.event), topic_id=number) for number in added)
    return moved or bool(gone or added)


def _hold(session: Session, told: Told, wanted: Sequence[int], now: datetime) -> bool:
    """The owner comes first; that it is another one of them is a difference, too."""
    event, before = told.event, [id_of(host) for host in told.hosts]
    if gone := [number for number in before if number not in wanted]:
        held = (col(EventBranch.event_id) == event.id, col(EventBranch.branch_id).in_(gone))
        session.exec(sa.delete(EventBranch).where(*held))
    for number in wanted:
        if number not in before:
            asked_at = now if number != event.branch_id else None
            session.add(EventBranch(event_id=id_of(event), branch_id=number, added_at=asked_at))
    return before[:1] != wanted[:1] or set(before) != set(wanted)


def _topics(session: Session, known: Mapping[str, Topic], names: Iterable[str]) -> list[int]:
    """Their numbers; those that nobody has used yet are new."""
    called: dict[str, str] = {}
    for name in names:
        called.setdefault(topic_slug(name), name)
    found = dict(known)
    if called.keys() - known.keys():
        found |= {topic.slug: topic for topic in session.exec(_AT_SLUGS, params={"slugs": list(called)})}
    return [id_of(found.get(slug) or _added(session, slug, name)) for slug, name in called.items()]


def _added(session: Session, slug: str, name: str) -> Topic:
    try:
        with session.begin_nested():
            topic = Topic(slug=slug, name=name)
            session.add(topic)
    except IntegrityError:  # somebody else has just added it
        return session.exec(select(Topic).where(col(Topic.slug) == slug)).one()
    return topic


def id_of(row: Branch | Event | Topic) -> int:
    if row.id is None:
        raise ValueError("the row has not been saved yet")
    return row.id
