"""What waits on an organizer's desk: suggestions, reports, tables that were brought back."""

from datetime import datetime

from sqlmodel import Field

from ..db import PrivateRow, apart


class DeskRow(PrivateRow, registry=apart()):
    pass


class Proposal(DeskRow, table=True):
    """Why an event waits for an organizer: a visitor suggested it, or somebody posted it who needs approval."""

    event_id: int = Field(foreign_key="event.id", primary_key=True, ondelete="CASCADE")
    branch_id: int = Field(foreign_key="branch.id", index=True)
    person_id: int | None = Field(default=None, foreign_key="person.id", index=True, ondelete="SET NULL")
    name: str = ""  # of a visitor
    email: str = ""  # of a visitor who wants an answer
    language: str = "en"  # to answer in
    note: str = ""  # for the organizers only
    urgent: bool = False  # it takes place so soon that the daily mail is too late
    created_at: datetime = Field(index=True)
    decided_at: datetime | None = Field(default=None, index=True)
    accepted: bool | None = None
    answer: str = ""


class TrustedProposer(DeskRow, table=True):
    """Whose suggestions to a branch are published once a link that was mailed to the address is used."""

    __tablename__ = "trusted_proposer"

    branch_id: int = Field(foreign_key="branch.id", primary_key=True, ondelete="CASCADE")
    email: str = Field(primary_key=True)  # as `sign_in.normal_email` writes it
    created_at: datetime


class Report(DeskRow, table=True):
    """A visitor says that something is wrong with an event or a branch."""

    id: int | None = Field(default=None, primary_key=True)
    key: str = Field(unique=True)  # of the form it came from: sending twice is sending once
    branch_id: int = Field(foreign_key="branch.id", index=True)
    event_id: int | None = Field(default=None, foreign_key="event.id", index=True, ondelete="CASCADE")
    kind: str
    message: str = ""
    email: str = ""
    urgent: bool = False
    created_at: datetime = Field(index=True)
    closed_at: datetime | None = Field(default=None, index=True)


class BranchSheet(DeskRow, table=True):
    """A `branches.csv` that was brought back and waits for its preview to be applied."""

    __tablename__ = "branch_sheet"

    id: str = Field(primary_key=True)  # random
    person_id: int = Field(foreign_key="person.id", index=True, ondelete="CASCADE")
    name: str
    body: bytes
    created_at: datetime = Field(index=True)
