"""Events that were announced and are not any more: what was published of them, read back, for the draft is nobody's
business."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from io import BytesIO

import sqlalchemy as sa
from sqlmodel import Session, col, select

from ..branches.models import Branch
from ..calendars.derived import branch_scope, topic_scope
from ..calendars.ics_values import text
from ..calendars.models import Event, Rendered
from ..calendars.scanning import Component, Place, component_at
from ..db import table_of
from ..language import language
from ..places.geo import Point
from .choices import Choice
from .news_of_events import is_near


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Where it was announced, and when. `number`: of the event."""

    number: int
    point: Point | None
    scopes: frozenset[str]
    published_at: datetime
    withdrawn_at: datetime

    def fits(self, choice: Choice) -> bool:
        """As `news_of_events` selects."""
        branches, topics = map(branch_scope, choice.branches), map(topic_scope, choice.topics)
        here = choice.is_everywhere or not self.scopes.isdisjoint(branches) or is_near(self.point, choice)
        return here and (not choice.topics or not self.scopes.isdisjoint(topics))

    def concerns(self, since: datetime) -> bool:
        """Whether somebody who was told until then has heard of it, and not yet that it is off."""
        return self.published_at <= since < self.withdrawn_at


def withdrawn(session: Session, since: datetime, until: datetime, ahead: timedelta) -> Sequence[Withdrawn]:
    """Those that are not over and begin within the time ahead; the last ones first. All of them, without their texts:
    whoever takes the last hundred tells nobody of the one before."""
    event = table_of(Event).c
    query = (
        sa.select(
            event.id,
            event.latitude,
            event.longitude,
            event.listed_in,
            sa.func.coalesce(event.published_at, event.created_at).label("published_at"),
            event.withdrawn_at,
        )
        .where(
            event.withdrawn_at > since,
            event.withdrawn_at <= until,
            sa.or_(event.ends_at.is_(None), event.ends_at > until),
            event.begins_at < until + ahead,
        )
        .order_by(event.withdrawn_at.desc(), event.id)
    )
    return [
        Withdrawn(
            number=row.id,
            point=None if row.latitude is None else Point(row.latitude, row.longitude),
            scopes=frozenset(filter(None, row.listed_in.split(","))),
            published_at=row.published_at,
            withdrawn_at=row.withdrawn_at,
        )
        for row in session.connection().execute(query)
    ]


@dataclass(frozen=True, slots=True)
class Farewell:
    """`titles`: as it was published, by language of the site; `day`: of a single event."""

    titles: Mapping[str, str]
    day: date | None
    branch: Branch


def farewells(session: Session, numbers: Collection[int], locales: Sequence[str]) -> Mapping[int, Farewell]:
    """What was said of these events; one query."""
    if not numbers:
        return {}
    query = (
        select(Event.id, Branch, Rendered.locale, Rendered.ics)
        .join(Branch, col(Branch.id) == col(Event.branch_id))
        .join(Rendered, col(Rendered.event_id) == col(Event.id))
        .where(col(Rendered.locale).in_(locales), col(Event.id).in_(numbers))
        .order_by(col(Event.id), col(Rendered.locale))
    )
    found: dict[int, Farewell] = {}
    for number, branch, locale, ics in session.exec(query):
        said = component_at(BytesIO(ics.encode()), Place())
        day = None if said.get("RRULE") else datetime.strptime(said.value("DTSTART")[:8], "%Y%m%d").date()
        before = found.get(number or 0, Farewell({}, day, branch))
        found[number or 0] = replace(before, titles={**before.titles, locale: _title(said, locales)})
    return found


def _title(said: Component, locales: Sequence[str]) -> str:
    """It says in its own language that the event is off: that is taken out, and said in the reader's."""
    title = text(said.get("SUMMARY"))
    for code in locales:
        title = title.removeprefix(language(code).gettext("Cancelled: %(title)s") % {"title": ""})
    return title
