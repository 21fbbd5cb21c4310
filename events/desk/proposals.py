"""Events that wait for an organizer: suggested by visitors, or posted by people whose posts need approval."""

from datetime import datetime, timedelta

from sqlmodel import Session

from ..calendars.models import Event
from ..people.models import Person
from .models import Proposal

URGENT_WITHIN = timedelta(hours=48)  # of its beginning: the daily mail would come too late


def add(
    session: Session,
    event: Event,
    now: datetime,
    *,
    person: Person | None = None,
    name: str = "",
    email: str = "",
    note: str = "",
    language: str = "en",
) -> Proposal:
    """Puts a submitted event on the desk of its branch; one that was there before is there anew."""
    proposal = session.get(Proposal, event.id) or Proposal(
        event_id=event.id or 0, branch_id=event.branch_id, created_at=now
    )
    proposal.person_id = person.id if person else None
    proposal.name, proposal.email, proposal.note, proposal.language = name, email, note, language
    proposal.branch_id, proposal.created_at = event.branch_id, now
    proposal.decided_at, proposal.accepted, proposal.answer = None, None, ""
    proposal.urgent = now <= event.begins_at <= now + URGENT_WITHIN
    session.add(proposal)
    return proposal
