"""What is kept about people, and for how long, as the code does it and as this installation is set up."""

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..calendars import polls
from ..desk import proposals, reports
from ..messages import outbox, refusals
from ..people import sign_in
from ..people.models import SignedIn
from ..subscriptions import choices
from .pages import operator_text
from .state import SESSION_COOKIE, state_of
from .templating import render

# How long each kind is kept, from where it is removed: the page cannot say anything else than what is done.
KEPT = {
    "messages": outbox.KEEP_MESSAGES,
    "proposals": proposals.KEPT,
    "reports": reports.KEPT,
    "unconfirmed": choices.CONFIRM_WITHIN,
    "refused": refusals.KEEP,
    "strangers": sign_in.KEPT,
    "requests": sign_in.DECISIONS_KEPT,
    "signed_in": SignedIn.LIFETIME,
    "polls": polls.KEPT,
}


def page(request: Request, session: Session) -> Response:
    """What the operator says comes first; what follows is as this installation is set up, and as the code keeps it."""
    settings = state_of(request).settings
    return render(
        request,
        "pages/privacy.html",
        text=operator_text(request, "privacy"),
        days={name: kept.days for name, kept in KEPT.items()},
        cookie=state_of(request).cookie(SESSION_COOKIE),
        sends_mail=settings.smtp_url is not None,
        proxies=bool(settings.trusted_proxies),
        watched=bool(settings.metrics_token),
    )
