"""Event lists as Atom, JSON Feed and CSV: what is in them, with four queries for each 100 dates, kept while it is good.

Unlike calendars they hold no past: a date leaves when it is over, so an answer is good until its next date ends.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.orm import defer
from sqlmodel import Session, col, select

from ..interpreter import MANY_FIRST_S, let_answers_go_first
from ..language import Language, language
from . import formats
from .content import Publishing, Said, said_on
from .derived import tell_all
from .feeds import Heading, reach_of
from .kept import Finished, current_revision, next_midnight
from .models import Event
from .queries import DateKey, Selection, coming_dates, coming_events, last_over

MOST_ENTRIES = 100
MOST_DATES = 2000
AT_ONCE = 100  # some 12 ms of the processor
# No list says these, and of thousands of events it takes a third of the time to read them.
_UNSAID: tuple[Any, ...] = (
    *(Event.upstream, Event.search_key, Event.form_key, Event.fingerprint, Event.listed_in),
    *(Event.known_until, Event.derived_at, Event.confirmed_at, Event.asked_at, Event.published_at),
)
_WHAT_IS_SAID = [defer(column, raiseload=True) for column in _UNSAID]
_LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Format:
    """How one kind of list is chosen and written."""

    name: str
    media_type: str
    most: int
    choose: Callable[[Session, Selection, datetime, int, bool], list[DateKey]]
    write: Callable[[Heading, Iterable[Said], Publishing, Language], bytes]


FORMATS: Mapping[str, Format] = {
    "atom": Format("Atom", "application/atom+xml; charset=utf-8", MOST_ENTRIES, coming_events, formats.atom),
    "json": Format(
        "JSON Feed", "application/feed+json; charset=utf-8", MOST_ENTRIES, coming_events, formats.json_feed
    ),
    "csv": Format("CSV", "text/csv; charset=utf-8", MOST_DATES, coming_dates, formats.csv),
}


def finished(
    session: Session,
    wanted: Format,
    selection: Selection,
    heading: Heading,
    publishing: Publishing,
    now: datetime,
    *,
    hide_cancelled: bool = False,
) -> Finished:
    """The list in that format, soonest dates first, and how long it is good."""
    revision, moved_at = current_revision(session)  # first: what moves meanwhile belongs to a later one
    keys = wanted.choose(session, selection, now, wanted.most, hide_cancelled)
    spoken = language(heading.locale)
    next_end = min((key.ends_at for key in keys if key.ends_at > now), default=next_midnight(now))
    return Finished(
        body=wanted.write(heading, _said_in_turns(session, keys, spoken), publishing, spoken),
        moved_at=moved_at,
        changed_at=_changed_by_time(session, selection, now),
        good_until=min(next_end, next_midnight(now)),
        revision=revision,
        reach=reach_of(session, selection),
    )


def _said_in_turns(session: Session, keys: Sequence[DateKey], spoken: Language) -> Iterator[Said]:
    """Some at once, so that thousands take no more memory, and others go first in between."""
    for begin in range(0, len(keys), AT_ONCE):
        if begin:
            let_answers_go_first(MANY_FIRST_S)
        yield from say_all(session, keys[begin : begin + AT_ONCE], spoken)


def say_all(session: Session, keys: Sequence[DateKey], spoken: Language | None = None) -> list[Said]:
    """What those dates say, in their order and in words as in `content.said`: four queries."""
    ids = {key.event_id for key in keys}
    events = session.exec(select(Event).where(col(Event.id).in_(ids)).options(*_WHAT_IS_SAID)).all()
    told = {one.event.id: one for one in tell_all(session, events)}
    return [said_on(told[key.event_id], key.original_start, spoken) for key in keys]


def _changed_by_time(session: Session, selection: Selection, now: datetime) -> datetime:
    """When a date last left because it was over; a list with a first day keeps all its dates from the next day on."""
    if selection.first and selection.first < now.date():
        return datetime.combine(selection.first, datetime.min.time(), UTC) + timedelta(days=1)
    return last_over(session, selection, now) or _LONG_AGO
