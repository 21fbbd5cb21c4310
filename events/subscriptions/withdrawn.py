"""Events that were announced and are not any more: what was published of them, read back, for the draft is nobody's
business."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from io import BytesIO

import sqlalchemy as sa
from sqlmodel import Session, col, select

from ..branches.models import Branch
from ..calendars.derived import branch_scope, topic_scope
from ..calendars.ics_values import text
from ..calendars.models import Event, Rendered
from ..calendars.scanning import Place, component_at
from ..language import language
from ..places.geo import Point
from .choices import Choice
from .news_of_events import is_near

MOST = 100


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """`title`: as it was published; `day`: of a single event."""

    title: str
    day: date | None
    branch: Branch
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


def withdrawn(
    session: Session, since: datetime, until: datetime, ahead: timedelta, locales: Sequence[str]
) -> Sequence[Withdrawn]:
    """Those that are not over and begin within the time ahead; the last ones first."""
    query = (
        select(Event, Branch, Rendered.ics)
        .join(Branch, col(Branch.id) == col(Event.branch_id))
        .join(Rendered, col(Rendered.event_id) == col(Event.id))
        .where(
            col(Rendered.locale) == locales[0],
            col(Event.withdrawn_at) > since,
            col(Event.withdrawn_at) <= until,
            sa.or_(col(Event.ends_at).is_(None), col(Event.ends_at) > until),
            col(Event.begins_at) < until + ahead,
        )
        .order_by(col(Event.withdrawn_at).desc(), col(Event.id))
        .limit(MOST)
    )
    return [_read_back(event, branch, ics, locales) for event, branch, ics in session.exec(query)]


def _read_back(event: Event, branch: Branch, ics: str, locales: Sequence[str]) -> Withdrawn:
    """Its title says in the event's own language that it is off: that is taken out, and said in the reader's."""
    said = component_at(BytesIO(ics.encode()), Place())
    day = None if said.get("RRULE") else datetime.strptime(said.value("DTSTART")[:8], "%Y%m%d").date()
    title = text(said.get("SUMMARY"))
    for code in locales:
        title = title.removeprefix(language(code).gettext("Cancelled: %(title)s") % {"title": ""})
    return Withdrawn(
        title=title,
        day=day,
        branch=branch,
        point=event.point,
        scopes=frozenset(filter(None, event.listed_in.split(","))),
        published_at=event.published_at or event.created_at,
        withdrawn_at=event.withdrawn_at or event.modified_at,
    )
