"""People who sign in, what they may do, and the tokens that let them."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar

from sqlmodel import Field

from ..db import Row


class Role(StrEnum):
    """What a person may do for a branch and everything below it in the tree."""

    ORGANIZER = "organizer"  # posts events
    BRANCH_ADMIN = "branch-admin"  # and people, branch data, the queue
    ADMIN = "admin"  # everything, everywhere


class Purpose(StrEnum):
    """What a one-time link is for."""

    SIGN_IN = "sign-in"
    CHANGE_EMAIL = "change-email"


class Person(Row, table=True):
    id: int | None = Field(default=None, primary_key=True)
    email: str = Field(unique=True)  # as `sign_in.normal_email` writes it
    name: str = ""
    password_hash: str = ""  # argon2id; empty: signs in by link only
    is_admin: bool = False
    language: str = "en"
    created_at: datetime


class Membership(Row, table=True):
    """A role at a branch; it holds for the branches below as well."""

    person_id: int = Field(foreign_key="person.id", primary_key=True, ondelete="CASCADE")
    branch_id: int = Field(foreign_key="branch.id", primary_key=True, index=True, ondelete="CASCADE")
    role: str = Role.ORGANIZER


class SignedIn(Row, table=True):
    """A session. Only the hash of its token is kept, so that a stolen database opens nothing."""

    __tablename__ = "signed_in"

    LIFETIME: ClassVar[timedelta] = timedelta(days=60)

    token_hash: str = Field(primary_key=True)
    person_id: int = Field(foreign_key="person.id", index=True, ondelete="CASCADE")
    device: str = ""  # from the User-Agent, for the list on /account
    created_at: datetime
    expires_at: datetime = Field(index=True)


class OneTimeLink(Row, table=True):
    """A link sent by mail: its GET shows a button, its POST uses it up."""

    __tablename__ = "one_time_link"

    LIFETIME: ClassVar[timedelta] = timedelta(hours=1)
    INVITATION_LIFETIME: ClassVar[timedelta] = timedelta(days=7)

    token_hash: str = Field(primary_key=True)
    person_id: int = Field(foreign_key="person.id", index=True, ondelete="CASCADE")
    purpose: str
    detail: str = ""  # the new address of a change, or the page to go on to
    expires_at: datetime = Field(index=True)
    used_at: datetime | None = None
