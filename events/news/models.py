"""Short notices by a branch or the organisation, and headlines from the organisation's own feeds."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, Column, UniqueConstraint
from sqlmodel import Field

from ..db import Row, apart


class NewsRow(Row, registry=apart()):
    pass


class Notice(NewsRow, table=True):
    """A piece of news. It is shown from `begins_at` to `ends_at`, which follow from its days and its zone."""

    id: int | None = Field(default=None, primary_key=True)
    slug: str = Field(unique=True)
    branch_id: int | None = Field(
        default=None, foreign_key="branch.id", index=True
    )  # None: the organisation's
    topic_id: int | None = Field(default=None, foreign_key="topic.id", index=True)
    form_key: str | None = Field(default=None, unique=True)  # a form sent twice makes one
    title: str
    text: str = ""  # Markdown
    language: str = "en"  # BCP 47
    picture_id: str | None = None
    picture_alt: str = ""
    is_top: bool = False  # among the top stories of the home page
    shown_from: date
    shown_until: date | None = None  # the last day; None: goes on
    timezone: str = "UTC"  # IANA
    published_at: datetime | None = None  # None: a draft
    begins_at: datetime | None = Field(default=None, index=True)  # UTC; None: a draft
    ends_at: datetime | None = None  # UTC, exclusive
    removed_at: datetime | None = None
    revision: int = 0  # +1 on each change: of two editors the second is told
    created_at: datetime
    modified_at: datetime

    @property
    def is_draft(self) -> bool:
        return self.published_at is None

    def is_shown(self, now: datetime) -> bool:
        if self.begins_at is None or self.removed_at is not None or self.begins_at > now:
            return False
        return self.ends_at is None or now < self.ends_at


class HeadlineSource(NewsRow, table=True):
    """A feed (Atom or RSS) of the organisation whose headlines are shown; fetched like a followed calendar."""

    __tablename__ = "headline_source"

    id: int | None = Field(default=None, primary_key=True)
    url: str = Field(unique=True)
    name: str = ""  # what the feed calls itself
    etag: str = ""
    last_modified: str = ""
    checksum: str = ""
    error: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    failures: int = 0  # in a row
    created_at: datetime
    fetched_at: datetime | None = None  # last heard from, changed or not
    run_at: datetime = Field(index=True)
    leased_until: datetime | None = None


class Headline(NewsRow, table=True):
    """One entry of such a feed."""

    __table_args__ = (UniqueConstraint("source_id", "entry_id"),)

    id: int | None = Field(default=None, primary_key=True)
    source_id: int = Field(foreign_key="headline_source.id", index=True, ondelete="CASCADE")
    entry_id: str
    title: str
    url: str
    published_at: datetime = Field(index=True)  # as the feed says, never after it was first seen
    seen_at: datetime
