"""What forms offer to choose from: topics and languages that public events have."""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session, col

from ..db import table_of
from .models import PUBLIC, Event, EventTopic, Topic

MOST_TOPICS = 100  # that people look through; one imported calendar may bring thousands
WELL_USED = 50  # events of one topic are counted no further


class TopicName(NamedTuple):
    slug: str
    name: str


class Topics(NamedTuple):
    """In the order of their names. `more`: others are in use as well, but in fewer events."""

    names: Sequence[TopicName]
    more: bool


def topics_in_use(session: Session) -> Sequence[TopicName]:
    """All of them, in the order of their names."""
    found = session.connection().execute(_topics_in_use().order_by(col(Topic.name)))
    return [TopicName(slug, name) for slug, name in found]


def topics_offered(session: Session) -> Topics:
    """At most `MOST_TOPICS` of them."""
    found = [TopicName(slug, name) for slug, name in session.connection().execute(_most_used())]
    return Topics(sorted(found[:MOST_TOPICS], key=lambda topic: topic.name), len(found) > MOST_TOPICS)


def topics_called(session: Session, slugs: Sequence[str]) -> Sequence[TopicName]:
    """Those that there are, used or not."""
    query = sa.select(col(Topic.slug), col(Topic.name)).where(col(Topic.slug).in_(slugs))
    return [TopicName(slug, name) for slug, name in session.connection().execute(query)]


@cache
def _most_used() -> sa.Select[str, str]:
    of_topic = sa.select(sa.literal(1)).where(col(EventTopic.topic_id) == col(Topic.id)).correlate(Topic)
    uses = sa.select(sa.func.count()).select_from(of_topic.limit(WELL_USED).subquery()).scalar_subquery()
    return _topics_in_use().order_by(uses.desc(), col(Topic.name)).limit(MOST_TOPICS + 1)


@cache
def _topics_in_use() -> sa.Select[str, str]:
    """One public event of each is looked for, and not all of them."""
    used = sa.exists().where(
        col(EventTopic.topic_id) == col(Topic.id),
        col(Event.id) == col(EventTopic.event_id),
        _is_public(),
        col(Event.deleted_at).is_(None),
    )
    return sa.select(col(Topic.slug), col(Topic.name)).where(used)


def languages_in_use(session: Session) -> Sequence[str]:
    tags = session.connection().execute(_languages_in_use()).scalars()
    return sorted({tag.split("-")[0] for tag in tags})


@cache
def _languages_in_use() -> sa.Select[Any]:
    """From each language to the next one in the index, however many events there are in it."""
    language = table_of(Event).c.language
    first = sa.select(sa.func.min(language)).where(_is_public()).scalar_subquery()
    found = sa.select(first.label("language")).cte("found", recursive=True)
    following = sa.select(sa.func.min(language)).where(_is_public(), language > found.c.language)
    found = found.union_all(sa.select(following.scalar_subquery()).where(found.c.language.is_not(None)))
    return sa.select(found.c.language).where(found.c.language.is_not(None))


def _is_public() -> sa.ColumnElement[bool]:
    return sa.or_(*(col(Event.state) == state for state in PUBLIC))
