"""/subscriptions/{token}: whoever has the link from a mail confirms, changes and ends what comes by mail.

A GET changes nothing, because mail scanners open links. The pages are kept nowhere: their address is a key.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Concatenate, ParamSpec

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..calendars.timezones import to_wall
from ..errors import Gone, InvalidForm, Message, say
from ..language import closest
from ..subscriptions import choices
from ..subscriptions.choices import Choice
from ..subscriptions.links import subscription_at
from ..subscriptions.models import Subscription
from . import choosing
from .endpoints import now
from .environment import link
from .forms import EMPTY, NO_FAULTS, Form, number_at, query
from .responses import TITLES, see_other
from .rows import unit_of
from .state import language_of, state_of
from .templating import render
from .words import language_options

P = ParamSpec("P")
View = Callable[Concatenate[Request, P], Response]

DONE: Mapping[str, Message] = {
    "confirmed": say("Thank you. From now on you get what stands below."),
    "changed": say("Your choice is saved."),
    "refused": say("We have forgotten the request. Nothing has changed."),
    "unfollowed": say("You do not follow this event any more."),
}
CHANGED_MEANWHILE = say(
    "Something else was asked for with your address since you opened this page. Please look at it once more."
)


def kindly(view: View[P]) -> View[P]:
    """A link that opens nothing any more is answered with the way to sign up anew."""

    @wraps(view)
    def answered(request: Request, /, *rest: P.args, **named: P.kwargs) -> Response:
        try:
            return view(request, *rest, **named)
        except Gone as over:
            return _over(request, over)

    return answered


@kindly
def page(
    request: Request, session: Session, form: Form = EMPTY, faults: Mapping[str, Message] = NO_FAULTS
) -> Response:
    """What waits to be confirmed, if anything does; and what holds, to be changed."""
    found = _found(request, session)
    asked = choices.to_hold(session, found)
    return _private(
        request,
        "subscriptions/page.html",
        here=_here(request),
        email=found.email,
        asked=choosing.in_words(request, session, asked) if asked else None,
        replaces=found.confirmed_at is not None and not choices.is_added(found),
        mark=choices.mark(found),
        held=_to_change(request, session, found, form) if found.confirmed_at else None,
        faults=faults,
        done=DONE.get(query(request)["done"]),
    )


@kindly
def confirm(request: Request, session: Session, form: Form) -> Response:
    found = _found(request, session, hold=True)
    if found.pending is not None and form["seen"] != choices.mark(found):
        raise InvalidForm({"asked": CHANGED_MEANWHILE})
    choices.confirm(session, found, now())
    return _back(request, "confirmed")


@kindly
def refuse(request: Request, session: Session, form: Form) -> Response:
    """What was asked for is forgotten; what was confirmed before stays as it is."""
    stays = choices.refuse(session, _found(request, session, hold=True))
    return _back(request, "refused") if stays else _ended(request)


@kindly
def change(request: Request, session: Session, form: Form) -> Response:
    found = _found(request, session, hold=True)
    kept = choices.choice_of(session, found)
    spoken = closest(form["language"] or found.language, state_of(request).settings.locales)
    chosen = choosing.read(request, session, form)
    choice = choosing.choice_in(request, form, chosen, kept, language=spoken.code)
    choices.change(session, found, choice, now())
    return _back(request, "changed")


@kindly
def unfollow(request: Request, session: Session, form: Form) -> Response:
    stays = choices.unfollow(session, _found(request, session, hold=True), number_at(request))
    return _back(request, "unfollowed") if stays else _ended(request)


@kindly
def stop_page(request: Request, session: Session) -> Response:
    found = _found(request, session)
    return _private(request, "subscriptions/stop.html", here=_here(request), email=found.email)


@kindly
def stop(request: Request, session: Session, form: Form) -> Response:
    """Also for the mail programs that send this by themselves (RFC 8058), and follow no redirect."""
    choices.end(session, _found(request, session, hold=True))
    return _ended(request)


# ---------------------------------------------------------------- the parts


def _found(request: Request, session: Session, *, hold: bool = False) -> Subscription:
    """Raises Gone."""
    secret = state_of(request).settings.secret_key
    return subscription_at(session, request.path_params["token"], secret, hold=hold)


def _here(request: Request) -> str:
    return f"/subscriptions/{request.path_params['token']}"


def _to_change(request: Request, session: Session, found: Subscription, form: Form) -> dict[str, object]:
    """The whole form, with what holds or with what was typed; and what is followed."""
    held, spoken = choices.choice_of(session, found), language_of(request)
    branches, topics = choices.branches_of(session, held), choices.topics_of(session, held)
    if "frequency" in form:
        chosen = choosing.read(request, session, form)
        offered = choosing.offers(
            request, session, chosen.branches, [*branches, *chosen.offered], [*topics, *chosen.topics]
        )
    else:
        form = _as_form(request, held, [topic.slug for topic in topics])
        offered = choosing.offers(request, session, branches, topics=topics)
    return {
        "form": form,
        "followed": [
            (event.id, choosing.title_of(event, spoken)) for event in choices.events_of(session, held)
        ],
        "next": to_wall(found.run_at, found.timezone).date() if found.run_at else None,
        "languages": language_options(spoken, state_of(request).settings.locales),
        **offered,
    }


def _as_form(request: Request, held: Choice, topics: Sequence[str]) -> Form:
    """Without its branches, which `offers` has."""
    within = held.within.written(unit_of(request)) if held.within else ""
    texts = [
        ("near", held.place),
        ("within", within),
        ("frequency", held.frequency),
        ("language", held.language),
    ]
    ticks = [(name, "yes") for name in ("urgent", "newsletter") if getattr(held, name)]
    return Form([*texts, *ticks, *(("topic", slug) for slug in topics)])


def _back(request: Request, done: str) -> Response:
    return see_other(request, _here(request), done=done)


def _ended(request: Request) -> Response:
    return _private(request, "subscriptions/ended.html")


def _over(request: Request, over: Gone) -> Response:
    spoken = language_of(request)
    anew = (spoken.gettext("Choose again what you hear about"), link(spoken.code, "/subscribe", {}))
    return _private(
        request,
        "errors/error.html",
        status_code=over.status,
        status=over.status,
        title=spoken.say(TITLES[over.status]),
        sentence=spoken.say(over.message),
        links=[anew],
    )


def _private(request: Request, template: str, *, status_code: int = 200, **context: object) -> Response:
    response = render(request, template, status_code=status_code, **context)
    response.headers["Cache-Control"] = "no-store"
    return response
