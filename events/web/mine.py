"""What an address names, if the person who asks may act for it. A stranger's is not admitted to exist: NotFound."""

from sqlmodel import Session
from starlette.requests import Request

from ..branches.models import Branch
from ..calendars.models import Event
from ..errors import NotFound
from ..people import permissions
from ..people.models import Role
from .endpoints import person_of
from .forms import number_at


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


def branch_at(request: Request, session: Session, least: Role = Role.ORGANIZER) -> Branch:
    """The branch whose slug is in the path."""
    return permissions.branch_of(session, person_of(request), request.path_params["slug"], least)
