"""What waits on a desk, for tests: a suggestion, a post that needs approval, and the mails that came of it."""

from datetime import datetime

from sqlmodel import Session, col, select

from events.branches.models import Branch
from events.calendars import changes
from events.calendars.content import Publishing
from events.calendars.models import Event
from events.db import Database
from events.desk import proposals
from events.messages.models import OutgoingMail
from events.people import permissions, sign_in
from events.people.models import Person, Role
from tests.calendars.test_feeds import weekly
from tests.conftest import NOW

SOON, LATER = datetime(2026, 11, 24, 19), datetime(2026, 12, 8, 19)
BEN = "ben@example.org"


def submitted(
    session: Session,
    branch: Branch,
    publishing: Publishing,
    now: datetime = NOW,
    *,
    by: Person | None = None,
    title: str = "Lantern walk",
    start: datetime = LATER,
    **more: str,
) -> Event:
    """Suggested by Ben, or posted by somebody whose posts need approval."""
    draft = weekly(title=title, start=start, end=start.replace(hour=21), rrule="", state="submitted")
    event, _ = changes.post(session, draft, [branch], by, publishing, now)
    said = {} if by else {"name": "Ben", "email": BEN, "note": "My idea."}
    proposals.add(session, event, now, person=by, **{**said, **more})
    session.flush()
    return event


def beginner(session: Session, branch: Branch) -> Person:
    """Eli organizes there, and needs approval."""
    eli = sign_in.find_or_add(session, "eli@example.org", NOW)
    permissions.invite(session, eli, branch, Role.ORGANIZER, trusted=False)
    session.flush()
    return eli


def mails(database: Database) -> list[OutgoingMail]:
    with database.reading() as session:
        return list(session.exec(select(OutgoingMail).order_by(col(OutgoingMail.id))).all())
