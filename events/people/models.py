"""People who sign in, what they may do, and the tokens that let them."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar

from sqlalchemy import BigInteger
from sqlalchemy import true as sa_true
from sqlmodel import Field

from ..db import PrivateRow, apart
from .roles import Role as Role


class PersonRow(PrivateRow, registry=apart()):
    pass


class Purpose(StrEnum):
    """What a one-time link is for."""

    SIGN_IN = "sign-in"
    CHANGE_EMAIL = "change-email"
    INVITATION = "invitation"
    REGISTRATION = "registration"
    RESET = "reset"  # of a password
    CONFIRMATION = "confirmation"  # that a series still takes place
    SUGGESTION = "suggestion"  # of a trusted proposer, to be published


class Person(PersonRow, table=True):
    id: int | None = Field(default=None, primary_key=True)
    email: str = Field(unique=True)  # as `sign_in.normal_email` writes it
    name: str = ""
    password_hash: str = ""  # argon2id; empty: signs in by link only
    is_admin: bool = False
    language: str = "en"
    created_at: datetime
    told_at: datetime | None = None  # last mail about what waits for a decision


class Membership(PersonRow, table=True):
    """A role at a branch; it holds for the branches below as well."""

    person_id: int = Field(foreign_key="person.id", primary_key=True, ondelete="CASCADE")
    branch_id: int = Field(foreign_key="branch.id", primary_key=True, index=True, ondelete="CASCADE")
    role: str = Role.ORGANIZER
    trusted: bool = Field(
        default=True, sa_column_kwargs={"server_default": sa_true()}
    )  # else what they post waits for approval


class MembershipRequest(PersonRow, table=True):
    """Somebody who registered and asks to organize at a branch; its admin decides."""

    __tablename__ = "membership_request"

    id: int | None = Field(default=None, primary_key=True)
    person_id: int = Field(foreign_key="person.id", index=True, ondelete="CASCADE")
    branch_id: int = Field(foreign_key="branch.id", index=True, ondelete="CASCADE")
    note: str = ""
    created_at: datetime
    decided_at: datetime | None = None
    accepted: bool | None = None


class SignedIn(PersonRow, table=True):
    """A session. Only the hash of its token is kept, so that a stolen database opens nothing."""

    __tablename__ = "signed_in"

    LIFETIME: ClassVar[timedelta] = timedelta(days=60)

    token_hash: str = Field(primary_key=True)
    person_id: int = Field(foreign_key="person.id", index=True, ondelete="CASCADE")
    device: str = ""  # from the User-Agent, for the list on /account
    created_at: datetime
    expires_at: datetime = Field(index=True)


class OneTimeLink(PersonRow, table=True):
    """A link sent by mail: its GET shows a button, its POST uses it up."""

    __tablename__ = "one_time_link"

    LIFETIME: ClassVar[timedelta] = timedelta(hours=1)
    INVITATION_LIFETIME: ClassVar[timedelta] = timedelta(days=7)

    token_hash: str = Field(primary_key=True)
    person_id: int = Field(foreign_key="person.id", index=True, ondelete="CASCADE")
    purpose: str
    detail: str = ""  # the new address of a change, the page to go on to, or what else its purpose needs
    expires_at: datetime = Field(index=True)
    used_at: datetime | None = None


class Passkey(PersonRow, table=True):
    """A WebAuthn credential: signs in without a password and without a mail."""

    credential_id: str = Field(primary_key=True)  # base64url
    person_id: int = Field(foreign_key="person.id", index=True, ondelete="CASCADE")
    public_key: bytes
    sign_count: int = Field(default=0, sa_type=BigInteger)  # of 32 bits, without a sign
    name: str = ""
    created_at: datetime
    used_at: datetime | None = None


class PasskeyChallenge(PersonRow, table=True):
    """What a passkey is asked to sign; good once, for some minutes."""

    __tablename__ = "passkey_challenge"

    challenge_hash: str = Field(primary_key=True)
    expires_at: datetime = Field(index=True)


class ApiToken(PersonRow, table=True):
    """Lets a program write for a person. Only its hash is kept."""

    __tablename__ = "api_token"

    LIFETIME: ClassVar[timedelta] = timedelta(days=365)

    id: int | None = Field(default=None, primary_key=True)
    token_hash: str = Field(unique=True)
    person_id: int = Field(foreign_key="person.id", index=True, ondelete="CASCADE")
    name: str = ""
    created_at: datetime
    expires_at: datetime = Field(index=True)
