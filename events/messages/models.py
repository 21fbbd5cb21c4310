"""What visitors write to branches, and the mails that wait to be sent."""

from datetime import datetime

from sqlalchemy import Index, text
from sqlalchemy import false as sa_false
from sqlmodel import Field

from ..db import NO_TEXT_BEFORE, UNSEEN, PrivateRow, apart

WAITS = text("sent_at IS NULL AND failed_at IS NULL")
UNKNOWN_LANGUAGE = {"server_default": text("'en'")}


class MessageRow(PrivateRow, registry=apart()):
    pass


class ContactMessage(MessageRow, table=True):
    """A visitor's message, in the inbox of its branch; purged after `outbox.KEEP_MESSAGES`."""

    __tablename__ = "contact_message"

    id: int | None = Field(default=None, primary_key=True)
    branch_id: int = Field(foreign_key="branch.id", index=True)  # whose inbox it is in now
    key: str = Field(unique=True)  # of the form it came from: sending twice is sending once
    about: str = "question"  # one of `contact.PRESETS`
    name: str
    email: str
    subject: str
    message: str
    language: str = Field(default="en", sa_column_kwargs=UNKNOWN_LANGUAGE)  # of the page it was written on
    created_at: datetime = Field(index=True)
    forwarded_from_id: int | None = Field(default=None, foreign_key="branch.id", index=True)
    forwarded_at: datetime | None = None
    answered_at: datetime | None = None  # somebody of the branch said so
    answered_by_id: int | None = Field(default=None, foreign_key="person.id", index=True, ondelete="SET NULL")
    muted: bool = Field(
        default=False, sa_column_kwargs={"server_default": sa_false()}
    )  # of a muted sender: no mail
    copied_at: datetime | None = None  # its writer asked for a copy, and proved to be the one

    @property
    def is_answered(self) -> bool:
        return self.answered_at is not None


class MutedSender(MessageRow, table=True):
    """An address whose messages a branch does not want to get by mail, nor to see among the others."""

    __tablename__ = "muted_sender"

    branch_id: int = Field(foreign_key="branch.id", primary_key=True, ondelete="CASCADE")
    email: str = Field(primary_key=True)  # as `people.sign_in.normal_email` writes it
    created_at: datetime


class RefusedAddress(MessageRow, table=True):
    """An address for which a mail server refused a mail for good. A mail that arrives there takes it back."""

    __tablename__ = "refused_address"

    address: str = Field(primary_key=True)  # lower case
    refused_at: datetime
    reason: str = ""
    unknown: bool = True  # refused whatever the mail says; else it was this mail that was not wanted


class OutgoingMail(MessageRow, table=True):
    """A mail that waits, was sent, or could not be: claimed by a worker through `leased_until`.

    What it says is forgotten once it was sent: links that sign somebody in should not lie about.
    """

    __tablename__ = "outgoing_mail"
    __table_args__ = (
        # Of the few that wait among the many that were sent.
        Index("ix_outgoing_mail_waits", "bulk", "run_at", "id", sqlite_where=WAITS),
        UNSEEN,
    )

    id: int | None = Field(default=None, primary_key=True)
    message_id: str = Field(unique=True)  # stable: a repeat is recognisable as one
    kind: str = Field(
        default="notice", sa_column_kwargs={"server_default": text("'notice'")}
    )  # of outbox.KINDS
    recipient: str = Field(index=True)
    reply_to: str = ""
    subject: str
    body: str
    html: str = Field(default="", sa_column_kwargs=NO_TEXT_BEFORE)
    event_file: str = Field(default="", sa_column_kwargs=NO_TEXT_BEFORE)  # iCalendar, attached as event.ics
    unsubscribe_url: str = Field(default="", sa_column_kwargs=NO_TEXT_BEFORE)  # RFC 8058
    bulk: bool = Field(default=False, sa_column_kwargs={"server_default": sa_false()})  # after all others
    batch: str = Field(default="", index=True, sa_column_kwargs=NO_TEXT_BEFORE)  # what it is one of many of
    message_ref: int | None = Field(
        default=None, foreign_key="contact_message.id", index=True, ondelete="SET NULL"
    )
    created_at: datetime
    run_at: datetime
    leased_until: datetime | None = None
    attempts: int = 0
    sent_at: datetime | None = None
    failed_at: datetime | None = None
    last_error: str = ""
