"""What an address names, if the person who asks may act for it. A stranger's is not admitted to exist: NotFound."""

from sqlmodel import Session
from starlette.requests import Request

from ..branches.models import Branch
from ..calendars import changes
from ..calendars.models import Event
from ..desk import proposals
from ..errors import Conflict, NotFound, say
from ..people import permissions
from ..people.models import Role
from .endpoints import person_of
from .forms import number_at
from .security import SAFE_METHODS


def event_at(
    request: Request, session: Session, least: Role = Role.ORGANIZER, *, removed: bool = False
) -> Event:
    """The event whose number is in the path. `removed`: one that was removed, too."""
    event = session.get(Event, number_at(request))
    if event is None or (event.deleted_at is not None and not removed):
        raise NotFound
    owner = session.get_one(Branch, event.branch_id)
    permissions.branch_of(session, person_of(request), owner.slug, least)
    return event


def event_to_change(request: Request, session: Session, *, removed: bool = False) -> Event:
    """As `event_at`. Raises Conflict for what somebody whose posts need approval may look at, and not change."""
    event = event_at(request, session, removed=removed)
    if request.method not in SAFE_METHODS:  # nobody changes it between this look and what is done then
        changes.hold(session, event)
    proposals.check_may_change(session, person_of(request), event)
    return event


def deciding_at(request: Request, session: Session, slug: str) -> Branch:
    """The branch, for what publishes or cancels much at once. Raises Conflict for those whose posts need approval."""
    branch = permissions.branch_of(session, person_of(request), slug)
    if proposals.needs_approval(session, person_of(request), branch):
        raise Conflict(
            say("What you post at %(name)s needs approval, so this is not for you.", name=branch.name)
        )
    return branch


def branch_at(request: Request, session: Session, least: Role = Role.ORGANIZER) -> Branch:
    """The branch whose slug is in the path."""
    return permissions.branch_of(session, person_of(request), request.path_params["slug"], least)
