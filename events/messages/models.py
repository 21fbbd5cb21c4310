"""What visitors write to branches, and the mails that wait to be sent."""

from datetime import datetime

from sqlmodel import Field

from ..db import Row


class ContactMessage(Row, table=True):
    """A visitor's message; purged after `outbox.KEEP_MESSAGES`."""

    __tablename__ = "contact_message"

    id: int | None = Field(default=None, primary_key=True)
    branch_id: int = Field(foreign_key="branch.id", index=True)
    key: str = Field(unique=True)  # of the form it came from: sending twice is sending once
    about: str = "question"  # join, question, visit or press
    name: str
    email: str
    subject: str
    message: str
    created_at: datetime = Field(index=True)


class OutgoingMail(Row, table=True):
    """A mail that waits, was sent, or could not be: claimed by a worker through `leased_until`."""

    __tablename__ = "outgoing_mail"

    id: int | None = Field(default=None, primary_key=True)
    message_id: str = Field(unique=True)  # stable: a repeat is recognisable as one
    recipient: str
    reply_to: str = ""
    subject: str
    body: str
    created_at: datetime
    run_at: datetime = Field(index=True)
    leased_until: datetime | None = None
    attempts: int = 0
    sent_at: datetime | None = None
    failed_at: datetime | None = None
    last_error: str = ""
