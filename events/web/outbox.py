"""The outbox: what waits, what failed and why, and addresses that refuse mail. Never what a mail says."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from babel.dates import format_timedelta
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches.models import Branch
from ..errors import Message, NotFound, say
from ..language import Language
from ..messages import outbox, overview, refusals
from ..messages.models import RefusedAddress
from ..messages.overview import Kind, Line
from ..people.models import Role
from .endpoints import now
from .forms import Form, number_at, page_number, query
from .mine import branch_at
from .responses import page_link, see_other
from .state import language_of, state_of
from .templating import render

OUTBOX = "/organize/outbox"
MOST_REFUSED = 50
LATE = timedelta(minutes=5)

KINDS: Mapping[str, Message] = {
    "link": say("Link to sign in or to confirm"),
    "contact": say("Message to a branch"),
    "copy": say("Copy of a message, for its writer"),
    "notice": say("Note to people who organize"),
    "answer": say("Answer to a request"),
    "confirmation": say("Confirmation of a subscription"),
    "urgent": say("Urgent news of an event"),
    "digest": say("Regular e-mail with events"),
    "newsletter": say("Newsletter"),
}
_TITLES = {Kind.WAITING: say("E-mails that wait"), Kind.FAILED: say("E-mails that failed")}
_DONE = {
    "retried": say("The e-mail is tried again at once."),
    "sent": say("This e-mail is on its way, or has been sent by now."),
    "all": say("What failed in the last 48 hours is tried again at once."),
    "removed": say("The e-mail has been removed. It is not sent."),
    "forgotten": say("Mail to this address is tried again from now on."),
}


def page(request: Request, session: Session) -> Response:
    """With `list`, a page of one of the two lists."""
    asked = query(request)
    kind = _kind(asked)
    standing = overview.standing(session, now())
    return render(
        request,
        "organize/outbox.html",
        kind=kind,
        facts=_facts(request, standing),
        is_late=standing.lag > LATE,
        failed=standing.failed,
        lists=[_list(request, session, one, asked) for one in ([kind] if kind else Kind)],
        refused=[] if kind else [_refused(request, *one) for one in refusals.listed(session, MOST_REFUSED)],
        most_refused=MOST_REFUSED,
        done=_DONE.get(asked["done"]),
    )


def _kind(form: Form) -> Kind | None:
    if not form["list"]:
        return None
    if form["list"] not in list(Kind):
        raise NotFound
    return Kind(form["list"])


def _facts(request: Request, standing: overview.Standing) -> list[tuple[str, str]]:
    spoken, settings = language_of(request), state_of(request).settings
    waiting = spoken.number(standing.waiting)
    if standing.oldest:
        waiting = spoken.say(
            say("%(number)s, the oldest made %(when)s", number=waiting, when=_when(spoken, standing.oldest))
        )
    where = spoken.say(say("into files on this machine: %(folder)s", folder=settings.mail_dir))
    if settings.smtp_url:
        where = spoken.say(say("to the mail server %(server)s", server=_server(settings.smtp_url)))
    last = _when(spoken, standing.last_sent) if standing.last_sent else spoken.say(say("none in 30 days"))
    return [
        (spoken.say(say("Waiting")), waiting),
        (spoken.say(say("Failed in 30 days")), spoken.number(standing.failed)),
        (spoken.say(say("Last one sent")), last),
        (spoken.say(say("E-mails go")), where),
    ]


def _server(smtp_url: str) -> str:
    """Without the name and password that the address may have."""
    return urlsplit(smtp_url).netloc.rpartition("@")[2]


def _when(spoken: Language, moment: datetime) -> str:
    """From now: 3 minutes ago, in 2 hours. Whoever looks after a site may live by another clock than its branches."""
    return format_timedelta(moment - now(), add_direction=True, threshold=1.5, locale=spoken.locale)


def _list(request: Request, session: Session, kind: Kind, asked: Form) -> dict[str, object]:
    number = page_number(asked) if asked["list"] == kind else 1
    found, pages = overview.listed(session, kind, number)
    return {
        "kind": kind,
        "title": _TITLES[kind],
        "lines": [_line(request, one) for one in found],
        "page": number,
        "pages": pages,
        "url_for_page": lambda page: page_link(request, asked, ["list"], page),
    }


def _line(request: Request, one: Line) -> dict[str, object]:
    spoken, moment = language_of(request), now()
    on_its_way = one.leased_until is not None and one.leased_until >= moment
    return {
        "mail": one,
        "answer": spoken.say(outbox.HELD) if one.last_error == str(outbox.HELD) else one.last_error,
        "what": KINDS.get(one.kind, KINDS["notice"]),
        "made": _when(spoken, one.created_at),
        "failed": one.failed_at and _when(spoken, one.failed_at),
        "on_its_way": on_its_way,
        "next": "" if one.failed_at or one.run_at <= moment else _when(spoken, one.run_at),
    }


def _refused(request: Request, one: RefusedAddress, branch: Branch | None) -> dict[str, object]:
    return {"one": one, "branch": branch, "when": _when(language_of(request), one.refused_at)}


def retry(request: Request, session: Session, form: Form) -> Response:
    done = "retried" if overview.retry(session, number_at(request), now()) else "sent"
    return see_other(request, OUTBOX, done=done)


def retry_failed(request: Request, session: Session, form: Form) -> Response:
    overview.retry_failed(session, now())
    return see_other(request, OUTBOX, done="all")


def remove(request: Request, session: Session, form: Form) -> Response:
    overview.remove(session, number_at(request), now())
    return see_other(request, OUTBOX, done="removed")


def forget_refusal(request: Request, session: Session, form: Form) -> Response:
    refusals.forget(session, form["address"].strip())
    return see_other(request, OUTBOX, done="forgotten")


def confirm_address(request: Request, session: Session, form: Form) -> Response:
    """Those of a branch say that its own address takes mail again."""
    branch = branch_at(request, session, Role.BRANCH_ADMIN)
    refusals.forget(session, branch.email)
    return see_other(request, f"/organize/branches/{branch.slug}", done="address")
