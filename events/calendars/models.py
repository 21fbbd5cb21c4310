"""Events and series: wall clock and zone are the truth, everything in UTC is derived from them.

One row is a single event or a whole series. Its UID is for life; `revision` is +1 on each visible change
and becomes SEQUENCE. What is derived (occurrences, rendered VEVENTs, bounds) is written by `store`.
"""

from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import NaiveDatetime
from sqlalchemy import JSON, Column, Index, UniqueConstraint
from sqlalchemy import false as sa_false
from sqlalchemy import text as sa_text
from sqlmodel import Field

from ..db import NO_TEXT_BEFORE, PrivateRow, Row
from ..places.models import Located

NO_TEXT: Any = Field(default="", sa_column_kwargs=NO_TEXT_BEFORE)


class State(StrEnum):
    DRAFT = "draft"
    SUBMITTED = "submitted"
    PUBLISHED = "published"
    CANCELLED = "cancelled"
    POSTPONED = "postponed"  # off its date, and no other one is known yet


PUBLIC = (State.PUBLISHED, State.CANCELLED, State.POSTPONED)
CALLED_OFF = (State.CANCELLED, State.POSTPONED)


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
    added_at: datetime | None = None  # a co-host that was asked to hold it since then


class HostingRefusal(PrivateRow, table=True):
    """A branch that does not want to be named as co-host of an event: it is not added again."""

    __tablename__ = "hosting_refusal"

    event_id: int = Field(foreign_key="event.id", primary_key=True, ondelete="CASCADE")
    branch_id: int = Field(foreign_key="branch.id", primary_key=True, index=True, ondelete="CASCADE")


class PictureState(StrEnum):
    NEW = "new"  # to be decoded
    READY = "ready"
    REFUSED = "refused"


class Picture(Row, table=True):
    """An uploaded picture. What was sent is decoded by the worker and forgotten; what is shown is ours."""

    id: str = Field(primary_key=True)  # random: it is the address, too
    branch_id: int | None = Field(
        default=None, foreign_key="branch.id", index=True
    )  # None: the organisation's
    state: str = PictureState.NEW
    original: bytes | None = None
    large: bytes | None = None  # JPEG
    small: bytes | None = None  # JPEG
    width: int = 0  # pixels, of the large one
    height: int = 0
    fault: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    created_at: datetime
    run_at: datetime | None = Field(default=None, index=True)  # next work to do
    leased_until: datetime | None = None


WITHDRAWN, CANCELLED = sa_text("withdrawn_at IS NOT NULL"), sa_text("cancelled_at IS NOT NULL")
LONG = sa_text("julianday(ends_at) - julianday(starts_at) > 2")


class Event(Row, Located, table=True):
    """Latitude and longitude: where it effectively happens, at the venue, else the branch; none online."""

    __table_args__ = (
        UniqueConstraint("source", "source_uid"),
        # Of the few that were: a planner must not take it for those that were not.
        Index("ix_event_withdrawn_at", "withdrawn_at", sqlite_where=WITHDRAWN),
        Index("ix_event_begins_at_ends_at", "begins_at", "ends_at"),
        Index("ix_event_language_state", "language", "state"),
        Index("ix_event_cancelled_at", "cancelled_at", sqlite_where=CANCELLED),
    )

    id: int | None = Field(default=None, primary_key=True)
    uid: str = Field(unique=True)
    branch_id: int = Field(foreign_key="branch.id", index=True)
    source: str | None = None  # where an imported event came from; None: written here
    source_uid: str | None = None
    upstream: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    state: str = State.DRAFT
    cancelled_reason: str = ""
    cancelled_at: datetime | None = None
    deleted_at: datetime | None = None
    withdrawn_at: datetime | None = None  # not public any more; feeds say so 30 days

    title: str
    description: str = ""  # Markdown
    language: str = "en"  # BCP 47
    # By language: `title` and `description`, or one of them.
    translations: dict[str, dict[str, str]] | None = Field(
        default=None, sa_column=Column(JSON(none_as_null=True))
    )

    start: NaiveDatetime  # wall clock in `timezone`
    end: NaiveDatetime  # exclusive; the day after the last for all-day events
    all_day: bool = False
    timezone: str
    rrule: str = ""  # RFC 5545 3.3.10, UNTIL as wall clock; empty: a single event
    exdates: list[str] = Field(default_factory=list, sa_column=Column(JSON, nullable=False))
    moved_from: NaiveDatetime | None = None  # the start that was published, of a single event that was moved
    related_uid: str = NO_TEXT  # of the series that it was a part of
    form_key: str | None = Field(default=None, index=True, unique=True)  # a form sent twice posts one event
    picture_id: str | None = None
    picture_alt: str = NO_TEXT

    confirmed_at: datetime | None = None  # somebody said that it still takes place
    asked_at: datetime | None = None  # somebody was last asked whether it does
    asked_since: datetime | None = None  # and has not answered since

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
    published_at: datetime | None = Field(default=None, index=True)  # first of all
    modified_at: datetime = Field(index=True)
    begins_at: datetime  # UTC, of the first occurrence
    ends_at: datetime | None = Field(default=None, index=True)  # UTC, of the last; None: goes on
    known_until: datetime | None = Field(
        default=None, index=True
    )  # occurrences are there until then; None: all
    derived_at: datetime = Field(index=True)
    search_key: str = ""  # folded words, for ?q=
    fingerprint: str = NO_TEXT  # of what it says and which dates it changes; see `rendering`
    listed_in: str = NO_TEXT  # comma-separated scopes (`branch:7`, `topic:3`): whose feeds hold it

    @property
    def is_public(self) -> bool:
        return self.state in PUBLIC and self.deleted_at is None

    @property
    def is_called_off(self) -> bool:
        """Whether subscribers are told that it does not take place (as it stands)."""
        return self.state in CALLED_OFF or self.withdrawn_at is not None

    @property
    def duration(self) -> timedelta:
        """By the wall clock: a clock change in between does not show."""
        return self.end - self.start

    @property
    def is_series(self) -> bool:
        return bool(self.rrule)

    def publish(self) -> None:
        """Brings a draft out, and takes a cancellation or a postponement back."""
        self.state, self.cancelled_reason, self.cancelled_at = State.PUBLISHED, "", None

    def unpublish(self) -> None:
        """Back to a draft; whoever has it in a calendar is told that it does not take place."""
        self.state = State.DRAFT

    def cancel(self, reason: str, now: datetime) -> None:
        self._call_off(State.CANCELLED, reason, now)

    def postpone(self, reason: str, now: datetime) -> None:
        """It does not take place when it should have, and the new date is not known yet."""
        self._call_off(State.POSTPONED, reason, now)

    def _call_off(self, state: State, reason: str, now: datetime) -> None:
        self.cancelled_at = self.off_since(state, now)
        self.state, self.cancelled_reason = state, reason

    def off_since(self, state: str, now: datetime) -> datetime | None:
        """Once it is in this state. What was postponed and is then cancelled is news once more."""
        if state not in CALLED_OFF:
            return None
        return (self.cancelled_at if self.state == state else None) or now

    def delete(self, now: datetime) -> None:
        self.deleted_at = now

    def touch(self, now: datetime) -> None:
        """A visible change: DTSTAMP, LAST-MODIFIED and SEQUENCE move together, and on nothing else."""
        self.revision += 1
        self.modified_at = max(now.replace(microsecond=0), self.modified_at + timedelta(seconds=1))


class Override(Row, table=True):
    """One date of a series that differs, keyed by its original start; None is as the series says.

    It has a SEQUENCE of its own. That must never be below its master's (iTIP would call it outdated), and must
    not rise while the date says the same, so it begins HEADROOM above.
    """

    HEADROOM: ClassVar[int] = 100

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
    cancelled_at: datetime | None = None
    left_out: bool = Field(
        default=False, sa_column_kwargs={"server_default": sa_false()}
    )  # told as EXDATE now
    revision: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    created_at: datetime | None = None
    modified_at: datetime | None = None
    fingerprint: str = NO_TEXT

    def touch(self, event: Event) -> None:
        """A visible change, of the date itself or of what it takes from its series."""
        if not self.revision:
            self.created_at = event.modified_at
            self.revision = event.revision + self.HEADROOM
        else:
            self.revision = max(self.revision, event.revision) + 1
        self.modified_at = event.modified_at

    def keep_above(self, event: Event) -> None:
        """It says the same as before, but its series has caught up with its number."""
        if self.revision < event.revision:
            self.revision, self.modified_at = event.revision + self.HEADROOM, event.modified_at

    @property
    def differs(self) -> bool:
        changes = (self.start, self.end, self.title, self.description, self.venue_name, self.venue_address)
        return self.cancelled or any(value is not None for value in changes)


class Occurrence(Row, table=True):
    """One date of an event within the rolling horizon, so that "upcoming near here" is one query."""

    # With when it ends: each list walks past the dates that are over, and must not read their rows for that.
    __table_args__ = (
        Index("ix_occurrence_starts_at_event_id_ends_at", "starts_at", "event_id", "ends_at"),
        Index("ix_occurrence_long", "ends_at", "starts_at", sqlite_where=LONG),
    )

    event_id: int = Field(foreign_key="event.id", primary_key=True, ondelete="CASCADE")
    original_start: NaiveDatetime = Field(primary_key=True)
    start: NaiveDatetime
    end: NaiveDatetime
    starts_at: datetime  # UTC
    ends_at: datetime = Field(index=True)  # UTC
    cancelled: bool = False
    title: str  # the override's where it has one
    place: str = NO_TEXT  # in one line, with the link to take part


class Rendered(Row, table=True):
    """An event's VEVENTs (master and overrides) as published, in one locale: a feed only joins them."""

    event_id: int = Field(foreign_key="event.id", primary_key=True, ondelete="CASCADE")
    locale: str = Field(primary_key=True)
    ics: str
    without_cancelled: str | None = None  # for ?cancelled=hide; None: the same
    made_for: str = Field(index=True)  # what it depends on besides the event: base URL, renderer, tzdata


class Departure(Row, table=True):
    """An event that left the feeds of a branch or topic and lives on elsewhere: they say so for 30 days."""

    __table_args__ = (Index("ix_departure_scope_left_at", "scope", "left_at"),)

    event_id: int = Field(foreign_key="event.id", primary_key=True, ondelete="CASCADE")
    scope: str = Field(primary_key=True)  # as in Event.listed_in
    locale: str = Field(primary_key=True)
    ics: str
    timezone: str  # of the text, as are the next two: the event itself may have changed since
    all_day: bool
    start: NaiveDatetime
    left_at: datetime


class DateChange(PrivateRow, table=True):
    """Dates of an event that people knew and that are not the same any more; the worker tells those who follow it.

    `before` has what was said of each (see `dates_changed.told_before`). A change that is taken back before `run_at`,
    when the worker looks, is told to nobody.
    """

    __tablename__ = "date_change"

    event_id: int = Field(primary_key=True, foreign_key="event.id", ondelete="CASCADE")
    before: list[dict[str, Any]] = Field(sa_column=Column(JSON, nullable=False))
    created_at: datetime
    run_at: datetime = Field(index=True)
    leased_until: datetime | None = None


class CalendarRevision(Row, table=True):
    """One row that moves with each visible change of any event: while it stands, all feeds stand."""

    __tablename__ = "calendar_revision"

    id: int = Field(primary_key=True)
    number: int = 0
    moved_at: datetime


class SourceState(StrEnum):
    """Where a calendar stands on its way in. A person decides at PREVIEWED and HELD."""

    NEW = "new"  # to be fetched and read
    PREVIEWED = "previewed"  # read; nothing is taken over yet
    CONFIRMED = "confirmed"  # to be taken over
    ACTIVE = "active"  # a followed calendar, kept in step
    HELD = "held"  # more than half of it has gone: nothing is taken over until a person says so
    DONE = "done"  # an uploaded file, taken over


class CalendarSource(Row, table=True):
    """A calendar that events come from: a followed address, or a file that was uploaded (`url` empty)."""

    __tablename__ = "calendar_source"

    id: int | None = Field(default=None, primary_key=True)
    branch_id: int = Field(foreign_key="branch.id", index=True)
    url: str = ""
    key: str | None = Field(default=None, unique=True)  # of a followed one; events have it as their `source`
    name: str  # of the file, or what the calendar calls itself
    state: str = SourceState.NEW
    body: bytes | None = None  # what waits to be taken over
    etag: str = ""
    last_modified: str = ""
    checksum: str = ""  # of what was taken over last, without the lines that change by themselves
    report: dict[str, Any] = Field(default_factory=dict, sa_column=Column(JSON, nullable=False))
    error: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    failures: int = 0  # in a row
    created_at: datetime
    fetched_at: datetime | None = None  # last heard from, changed or not
    changed_at: datetime | None = None  # last taken over
    run_at: datetime | None = Field(default=None, index=True)  # next work to do; None: a person is to decide
    leased_until: datetime | None = None

    @property
    def is_followed(self) -> bool:
        return bool(self.url)


class PollCount(PrivateRow, table=True):
    """How often a branch's feed was asked for in a day, by kind of client and by the revision it then had."""

    __tablename__ = "poll_count"

    branch_id: int = Field(foreign_key="branch.id", primary_key=True, ondelete="CASCADE")
    day: date = Field(primary_key=True, index=True)
    family: str = Field(primary_key=True)
    revision: str = Field(primary_key=True)
    polls: int
    unchanged: int  # of these, answered 304
