"""News as a newsletter: what the mail says and who gets it, trying it out, sending it, and how far it is."""

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches.models import Branch
from ..errors import Conflict, Message, NotFound, say
from ..letters import text_of
from ..news import writing
from ..news.models import Notice
from ..people import permissions
from ..people.models import Role
from ..subscriptions import newsletters
from ..subscriptions.models import Newsletter
from ..subscriptions.writing import Site
from .endpoints import now, person_of
from .forms import Form, query
from .imports import RELOAD_S
from .mine import branch_of_notice, notice_at
from .responses import see_other
from .state import language_of, state_of
from .templating import render

_DONE = {"test": say("A test is on its way to your own address.")}


def page(request: Request, session: Session) -> Response:
    """Before it is sent: what it says, and to how many. Afterwards: how far it is."""
    notice, branch = _notice_to_send(request, session)
    newsletter = newsletters.of_notice(session, notice)
    site, spoken = _site(request), language_of(request)
    return render(
        request,
        "organize/newsletter.html",
        news=notice,
        branch=branch,
        newsletter=newsletter,
        progress=newsletters.progress(session, newsletter) if newsletter else None,
        readers=0 if newsletter else newsletters.readers(session, notice),
        why_not=_why_not(notice, newsletter),
        text=text_of(newsletters.letter(notice, branch, spoken, site)),
        ending=(newsletters.why(branch, site), newsletters.WAY_OUT),
        reload_s=RELOAD_S,
        done=_DONE.get(query(request)["done"]),
    )


def test(request: Request, session: Session, form: Form) -> Response:
    """To oneself, as often as it takes until it looks right."""
    notice, _ = _notice_to_send(request, session)
    newsletters.put_test(session, notice, person_of(request), language_of(request), _site(request), now())
    return _page_of(request, notice, "test")


def start(request: Request, session: Session, form: Form) -> Response:
    notice, _ = _notice_to_send(request, session)
    writing.hold(session, notice)
    if newsletters.of_notice(session, notice) is None and form["seen"] != str(notice.revision):
        raise Conflict(say("This news has changed since you looked at it. Please look once more."))
    newsletters.start(session, notice, person_of(request), now())
    return _page_of(request, notice)


def stop(request: Request, session: Session, form: Form) -> Response:
    notice, _ = _notice_to_send(request, session)
    newsletters.stop(session, _started(session, notice), now())
    return _page_of(request, notice)


def resume(request: Request, session: Session, form: Form) -> Response:
    notice, _ = _notice_to_send(request, session)
    newsletters.resume(session, _started(session, notice), notice, now())
    return _page_of(request, notice)


def standing(request: Request, session: Session, notice: Notice) -> dict[str, object]:
    """For the page of the news: whether it is sent, was, or can be, and whether this person may do that."""
    newsletter = newsletters.of_notice(session, notice)
    return {
        "may": _may_send(request, session, notice),
        "row": newsletter,
        "progress": newsletters.progress(session, newsletter) if newsletter else None,
        "why_not": newsletters.why_not(notice, now()),
    }


def _notice_to_send(request: Request, session: Session) -> tuple[Notice, Branch | None]:
    """Of a branch, for its admins; of the organisation, for those of everything."""
    notice = notice_at(request, session)
    if not _may_send(request, session, notice):
        raise NotFound
    return notice, branch_of_notice(session, notice)


def _may_send(request: Request, session: Session, notice: Notice) -> bool:
    person, branch = person_of(request), branch_of_notice(session, notice)
    if branch is None:
        return person.is_admin
    return permissions.may_act_for(session, person, branch, Role.BRANCH_ADMIN)


def _why_not(notice: Notice, newsletter: Newsletter | None) -> Message | None:
    if newsletter is None:
        return newsletters.why_not(notice, now())
    return newsletters.why_not_again(newsletter, notice, now())


def _site(request: Request) -> Site:
    state = state_of(request)
    return Site(state.publishing, state.settings.secret_key, state.settings.units)


def _started(session: Session, notice: Notice) -> Newsletter:
    newsletter = newsletters.of_notice(session, notice)
    if newsletter is None:
        raise Conflict(say("This has not been sent as a newsletter."))
    return newsletter


def _page_of(request: Request, notice: Notice, done: str = "") -> Response:
    return see_other(request, f"/organize/news/{notice.id}/newsletter", done=done)
