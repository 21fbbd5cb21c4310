"""Events and series: wall clock and zone are the truth, everything in UTC is derived from them.

One row is a single event or a whole series. Its UID is for life; `revision` is +1 on each visible change
and becomes SEQUENCE. What is derived (occurrences, rendered VEVENTs, bounds) is written by `store`.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import NaiveDatetime
from sqlalchemy import JSON, Column, Index, UniqueConstraint
from sqlmodel import Field

from ..db import Row
from ..places.models import Located


class State(StrEnum):
    DRAFT = "draft"
    SUBMITTED = "submitted"
    PUBLISHED = "published"
    CANCELLED = "cancelled"


class Attendance(StrEnum):
    """schema.org's eventAttendanceMode, in plain words."""

    IN_PERSON = "in-person"
    ONLINE = "online"
    HYBRID = "hybrid"


class Topic(Row, table=True):
    id: int | None = Field(default=None, primary_key=True)
    slug: str = Field(unique=True)
    name: str


class EventTopic(Row, table=True):
    __tablename__ = "event_topic"

    event_id: int = Field(foreign_key="event.id", primary_key=True, ondelete="CASCADE")
    topic_id: int = Field(foreign_key="topic.id", primary_key=True, index=True)


class EventBranch(Row, table=True):
    """Which branches hold an event: the owner and its co-hosts."""

    __tablename__ = "event_branch"

    event_id: int = Field(foreign_key="event.id", primary_key=True, ondelete="CASCADE")
    branch_id: int = Field(foreign_key="branch.id", primary_key=True, index=True)


class Event(Row, Located, table=True):
    """Latitude and longitude: where it effectively happens, at the venue, else the branch; none online."""

    __table_args__ = (UniqueConstraint("source", "source_uid"),)

    id: int | None = Field(default=None, primary_key=True)
    uid: str = Field(unique=True)
    branch_id: int = Field(foreign_key="branch.id", index=True)
    source: str | None = None  # where an imported event came from; None: written here
    source_uid: str | None = None
    state: str = State.DRAFT
    cancelled_reason: str = ""
    deleted_at: datetime | None = None  # a tombstone: feeds keep it as cancelled for 30 days

    title: str
    description: str = ""  # Markdown
    language: str = "en"  # BCP 47

    start: NaiveDatetime  # wall clock in `timezone`
    end: NaiveDatetime  # exclusive; the day after the last for all-day events
    all_day: bool = False
    timezone: str
    rrule: str = ""  # RFC 5545 3.3.10, UNTIL as wall clock; empty: a single event
    exdates: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))

    attendance: str = Attendance.IN_PERSON
    venue_name: str = ""
    venue_address: str = ""  # one line; the town, code and country included
    online_url: str = ""
    registration_url: str = ""
    contact: str = ""
    cost: str = ""
    access: str = ""  # comma-separated words of drafts.ACCESS

    revision: int = 0
    created_at: datetime
    modified_at: datetime
    begins_at: datetime = Field(index=True)  # UTC, of the first occurrence
    ends_at: datetime | None = Field(default=None, index=True)  # UTC, of the last; None: goes on
    known_until: datetime | None = Field(
        default=None, index=True
    )  # occurrences are there until then; None: all
    derived_at: datetime = Field(index=True)
    search_key: str = ""  # folded words, for ?q=

    @property
    def duration(self) -> timedelta:
        """By the wall clock: a clock change in between does not show."""
        return self.end - self.start

    @property
    def is_series(self) -> bool:
        return bool(self.rrule)

    def publish(self) -> None:
        self.state, self.cancelled_reason = State.PUBLISHED, ""

    def unpublish(self, now: datetime) -> None:
        """Back to a draft; if it comes out again, calendars must see a higher SEQUENCE."""
        self.state = State.DRAFT
        self.touch(now)

    def cancel(self, reason: str) -> None:
        self.state, self.cancelled_reason = State.CANCELLED, reason

    def delete(self, now: datetime) -> None:
        self.deleted_at = now

    def touch(self, now: datetime) -> None:
        """A visible change: DTSTAMP, LAST-MODIFIED and SEQUENCE move together, and on nothing else."""
        self.revision += 1
        self.modified_at = max(now.replace(microsecond=0), self.modified_at + timedelta(seconds=1))


class Override(Row, table=True):
    """One date of a series that differs, keyed by its original start; None is as the series says."""

    __table_args__ = (UniqueConstraint("event_id", "original_start"),)

    id: int | None = Field(default=None, primary_key=True)
    event_id: int = Field(foreign_key="event.id", index=True, ondelete="CASCADE")
    original_start: NaiveDatetime
    cancelled: bool = False
    reason: str = ""
    start: NaiveDatetime | None = None
    end: NaiveDatetime | None = None
    title: str | None = None
    description: str | None = None
    venue_name: str | None = None
    venue_address: str | None = None


class Occurrence(Row, table=True):
    """One date of an event within the rolling horizon, so that "upcoming near here" is one query."""

    __table_args__ = (Index("ix_occurrence_starts_at_event_id", "starts_at", "event_id"),)

    event_id: int = Field(foreign_key="event.id", primary_key=True, ondelete="CASCADE")
    original_start: NaiveDatetime = Field(primary_key=True)
    start: NaiveDatetime
    end: NaiveDatetime
    starts_at: datetime  # UTC
    ends_at: datetime = Field(index=True)  # UTC
    cancelled: bool = False
    title: str  # the override's where it has one


class Rendered(Row, table=True):
    """An event's VEVENTs (master and overrides) as published, in one locale: a feed only joins them."""

    event_id: int = Field(foreign_key="event.id", primary_key=True, ondelete="CASCADE")
    locale: str = Field(primary_key=True)
    ics: str
    made_for: str = Field(index=True)  # what it depends on besides the event: base URL, renderer


class CalendarRevision(Row, table=True):
    """One row that moves with each visible change of any event: while it stands, all feeds stand."""

    __tablename__ = "calendar_revision"

    id: int = Field(primary_key=True)
    number: int = 0
    moved_at: datetime
