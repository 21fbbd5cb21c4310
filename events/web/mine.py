"""What an address names, if the person who asks may act for it. A stranger's is not admitted to exist: NotFound."""

from typing import TYPE_CHECKING

from sqlmodel import Session
from starlette.requests import Request

from ..branches.models import Branch
from ..calendars.models import Event
from ..errors import Conflict, NotFound, say
from ..later import loaded_later
from ..news.models import Notice
from ..people.roles import Role
from .endpoints import person_of
from .forms import number_at
from .security import SAFE_METHODS

if TYPE_CHECKING:  # pages for everybody come by here, and need nothing of these
    from ..calendars import changes
    from ..desk import proposals
    from ..news import writing
    from ..people import permissions
else:
    changes = loaded_later("events.calendars.changes")
    permissions = loaded_later("events.people.permissions")
    proposals = loaded_later("events.desk.proposals")
    writing = loaded_later("events.news.writing")


def event_at(
    request: Request, session: Session, least: Role = Role.ORGANIZER, *, removed: bool = False
) -> Event:
    """The event whose number is in the path. `removed`: one that was removed, too."""
    event = session.get(Event, number_at(request))
    if event is None or (event.deleted_at is not None and not removed):
        raise NotFound
    permissions.branch_with(session, person_of(request), event.branch_id, least)
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


def notice_at(request: Request, session: Session, *, removed: bool = False) -> Notice:
    """The notice whose number is in the path; the organisation's are the admins'. `removed`: one that was, too."""
    notice = session.get(Notice, number_at(request))
    if notice is None or (notice.removed_at is not None and not removed):
        raise NotFound
    branch = branch_of_notice(session, notice)
    if branch is not None:
        permissions.branch_of(session, person_of(request), branch.slug)
    elif not person_of(request).is_admin:
        raise NotFound
    return notice


def notice_to_change(request: Request, session: Session, *, removed: bool = False) -> Notice:
    """As `notice_at`. Raises Conflict for what is published, where the person may not publish."""
    writing.hold(session, notice_at(request, session, removed=removed))
    notice = notice_at(request, session, removed=removed)  # moved or removed while this waited?
    if not notice.is_draft and not may_publish(request, session, notice):
        raise Conflict(say("It is published: only somebody who may publish for your branch can change it."))
    return notice


def may_publish(request: Request, session: Session, notice: Notice) -> bool:
    branch = branch_of_notice(session, notice)
    return branch is None or permissions.is_trusted(session, person_of(request), branch)


def branch_of_notice(session: Session, notice: Notice) -> Branch | None:
    """None: it is the organisation's."""
    return session.get_one(Branch, notice.branch_id) if notice.branch_id is not None else None
