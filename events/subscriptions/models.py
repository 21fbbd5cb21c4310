"""Who wants to hear of what by mail, without an account; and newsletters."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Column
from sqlmodel import Field

from ..db import PrivateRow, apart


class SubscriptionRow(PrivateRow, registry=apart()):
    pass


class Frequency(StrEnum):
    """How often "Events near you" comes."""

    NEVER = "never"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


class Subscription(SubscriptionRow, table=True):
    """What one address chose. Nothing is sent before it was confirmed by a link; ending it removes the row.

    A choice that is typed for an address waits in `pending` until its owner confirms it, and changes nothing before.
    """

    id: int | None = Field(default=None, primary_key=True)
    email: str = Field(unique=True)  # as `people.sign_in.normal_email` writes it
    nonce: str  # random; its links are made of it and of the secret key
    language: str = "en"
    timezone: str = "UTC"  # IANA: mails come in the morning there
    latitude: float | None = None  # of the place, on the grid of 0.02 degrees
    longitude: float | None = None
    place: str = ""  # what it is called
    within_km: float | None = None
    frequency: str = Frequency.NEVER
    urgent: bool = False  # changes and cancellations within 48 h at once
    newsletter: bool = False
    pending: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON(none_as_null=True)))
    asked_at: datetime | None = Field(default=None, index=True)  # when `pending` came
    created_at: datetime
    confirmed_at: datetime | None = None
    told_until: datetime | None = (
        None  # the last digest told what there was until then; None: the next tells all
    )
    run_at: datetime | None = Field(default=None, index=True)  # of the next digest; None: none is wanted
    leased_until: datetime | None = None


class SubscriptionBranch(SubscriptionRow, table=True):
    __tablename__ = "subscription_branch"

    subscription_id: int = Field(foreign_key="subscription.id", primary_key=True, ondelete="CASCADE")
    branch_id: int = Field(foreign_key="branch.id", primary_key=True, index=True, ondelete="CASCADE")


class SubscriptionTopic(SubscriptionRow, table=True):
    __tablename__ = "subscription_topic"

    subscription_id: int = Field(foreign_key="subscription.id", primary_key=True, ondelete="CASCADE")
    topic_id: int = Field(foreign_key="topic.id", primary_key=True, index=True, ondelete="CASCADE")


class SubscriptionEvent(SubscriptionRow, table=True):
    """An event that is followed: whatever becomes of its dates is told at once."""

    __tablename__ = "subscription_event"

    subscription_id: int = Field(foreign_key="subscription.id", primary_key=True, ondelete="CASCADE")
    event_id: int = Field(foreign_key="event.id", primary_key=True, index=True, ondelete="CASCADE")


class Newsletter(SubscriptionRow, table=True):
    """A notice on its way to those who ticked the newsletter: of its branch, or all for one of the organisation.

    It advances in batches by the number of the subscription; what was taken up is in the outbox with `batch`.
    """

    id: int | None = Field(default=None, primary_key=True)
    notice_id: int = Field(foreign_key="notice.id", index=True, unique=True)
    person_id: int | None = Field(default=None, foreign_key="person.id", index=True, ondelete="SET NULL")
    started_at: datetime
    total: int = 0  # how many there were to write to at the start
    cursor: int = 0  # the last subscription that was taken up
    queued: int = 0
    run_at: datetime | None = Field(
        default=None, index=True
    )  # None: all are in the outbox, or it was stopped
    leased_until: datetime | None = None
    stopped_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def batch(self) -> str:
        return f"newsletter:{self.id}"
