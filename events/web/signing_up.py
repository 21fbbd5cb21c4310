"""/subscribe: the ways to follow by calendar and by mail; and following one event by mail.

What anybody types for an address changes nothing: a mail with a link goes there, and its owner decides.
"""

from collections.abc import Mapping
from dataclasses import replace

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from .. import limits
from ..calendars import content, queries
from ..calendars.models import Event, State
from ..calendars.queries import EVERYTHING, Selection
from ..errors import BranchlineError, Conflict, InvalidForm, Message, Unreadable, say
from ..messages import outbox
from ..subscriptions import choices
from ..subscriptions.choices import CONFIRM_WITHIN, Choice
from ..subscriptions.links import token_of
from . import choosing, links
from .choosing import Chosen
from .endpoints import now
from .finding import read_selection
from .forms import EMPTY, HONEYPOT, NO_FAULTS, Form, number_at, query
from .joining import noting
from .reading import other_links
from .responses import see_other
from .state import language_of, state_of
from .subscribing import alternates_of_events, canonical_query, subscribe_links
from .templating import render

OF_CALENDARS = ("from", "to", "online", "language", "access", "q")  # filters that mails do not know
FIELDS = ("email", "near", "within", "branch", "named", "topic", "frequency")  # in the order of the form


def page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    """For the selection of the query; with faults, for what was typed to be mailed."""
    asked = form if faults else query(request)
    chosen = (
        choosing.read(request, session, asked) if faults else choosing.read_to_show(request, session, asked)
    )
    selection, problem = _of_calendar(request, asked, chosen)
    return render(
        request,
        "pages/subscribe.html",
        status_code=problem.status if problem else 200,
        form=asked,
        faults=faults,
        place=chosen.place,
        problem=problem.message if problem else None,
        others=other_links(request, asked, chosen.finding, "/subscribe"),
        of_calendars=[(name, value) for name in OF_CALENDARS for value in asked.all(name)],
        subscribe=subscribe_links(request, "/events.ics", canonical_query(request, selection)),
        feeds=[] if problem else alternates_of_events(request, selection),
        **choosing.offers(request, session, chosen.branches, chosen.offered, chosen.topics),
    )


def _of_calendar(request: Request, form: Form, chosen: Chosen) -> tuple[Selection, BranchlineError | None]:
    """The selection of the addresses, and what of it was not understood: then there are none."""
    try:
        filters = read_selection(request, form)
    except Unreadable as error:
        return EVERYTHING, error
    what = chosen.selection
    whole = replace(filters, near=what.near, within=what.within, branches=what.branches, topics=what.topics)
    return whole, next(iter(chosen.problems.values()), None)


def ask(request: Request, session: Session, form: Form) -> Response:
    faults: dict[str, Message] = {}
    email = noting(faults, lambda: links.email_in(form))
    chosen = choosing.read(request, session, form)
    choice = noting(faults, lambda: choosing.choice_in(request, form, chosen))
    if email is None or choice is None:
        raise InvalidForm({name: faults[name] for name in FIELDS if name in faults})
    return _asked(request, session, form, email, choice)


def sent(request: Request, session: Session) -> Response:
    """The same whether the address is known, and whether a mail went out or had gone before."""
    return render(request, "subscriptions/sent.html", days=CONFIRM_WITHIN.days)


def follow_page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    event = _to_follow(request, session)
    called = content.title(event, None, language_of(request)).text
    return render(request, "subscriptions/follow.html", event=event, called=called, form=form, faults=faults)


def follow(request: Request, session: Session, form: Form) -> Response:
    event = _to_follow(request, session)
    choice = Choice(events=(event.id or 0,), language=language_of(request).code, adds=True)
    return _asked(request, session, form, links.email_in(form), choice)


def can_be_followed(event: Event) -> bool:
    """What was postponed is worth it: its new date is told."""
    is_over = event.ends_at is not None and event.ends_at <= now()
    return event.state == State.POSTPONED or (event.state == State.PUBLISHED and not is_over)


def _to_follow(request: Request, session: Session) -> Event:
    """Raises Conflict for an event of which nothing more is to be told."""
    event = queries.public_event(session, number_at(request))
    if not can_be_followed(event):
        raise Conflict(say("This event is over or cancelled: there is nothing more to tell of it."))
    return event


def _asked(request: Request, session: Session, form: Form, email: str, choice: Choice) -> Response:
    """One mail a day, however often the address is typed; who ended the subscription may ask anew on the same day."""
    if not form[HONEYPOT]:
        subscription, state = choices.ask(session, email, choice, now()), state_of(request)
        if state.limiter.allows(session, limits.CONFIRMATION, subscription.nonce, now()):
            _mail_link(request, session, email, token_of(subscription, state.settings.secret_key))
    return see_other(request, "/subscribe/sent")


def _mail_link(request: Request, session: Session, email: str, token: str) -> None:
    """Nothing that was typed stands in it: anybody can send it to anybody."""
    spoken, name = language_of(request), state_of(request).settings.name
    body = say(
        "Somebody, we hope it was you, has asked for e-mails from %(name)s to this address.\n\n"
        "Open this link to see what was asked for, and press the button if you want it:\n\n%(address)s\n\n"
        "The link works for %(days)d days. If it was not you, do nothing: nothing that you get changes.",
        name=name,
        address=links.whole_address(request, f"/subscriptions/{token}"),
        days=CONFIRM_WITHIN.days,
    )
    outbox.put(
        session,
        now(),
        recipient=email,
        subject=spoken.say(say("Do you want e-mails from %(name)s?", name=name)),
        body=spoken.say(body),
        kind="confirmation",
        locale=spoken.code,
    )
