"""Saying that a series still takes place: by a link from a mail, on its page, on the desk; and what is shown of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..calendars import derived, sources
from ..calendars.models import Event
from ..calendars.timezones import to_wall
from ..desk import freshness
from ..desk.fading import faded
from ..errors import Conflict, Gone, say
from ..people import permissions
from ..people.models import OneTimeLink, Person
from .endpoints import now, person_of
from .forms import Form
from .links import LinkPage, Words
from .mine import event_at
from .responses import see_other
from .state import language_of, state_of
from .templating import render


@dataclass(frozen=True, slots=True)
class SeriesWords(Words):
    """`series`: the numbers of the events, each with what it is."""

    series: Sequence[tuple[int, str]] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """A series on the desk that waits for an answer, or was ended for want of one."""

    id: int
    words: str
    since: str
    ended: bool


def confirm(request: Request, session: Session, form: Form) -> Response:
    event = event_at(request, session)
    freshness.confirm(session, event, person_of(request), state_of(request).publishing, now())
    going_to = "/organize" if form["from"] == "desk" else f"/organize/events/{event.id}"
    return see_other(request, going_to, done="confirmed")


def waiting(request: Request, session: Session) -> list[Waiting]:
    """For the desk: what the person who asks can answer."""
    found = freshness.waiting(session, permissions.branch_ids(person_of(request)), now())
    spoken = language_of(request)
    return [
        Waiting(
            id=told.event.id or 0,
            words=freshness.in_words(told, spoken),
            since=_day(request, told.event, told.event.asked_since),
            ended=not freshness.goes_on(told.event, now()),
        )
        for told in derived.tell_all(session, found)
    ]


@dataclass(frozen=True, slots=True)
class Freshness:
    """What pages say of a series; days as texts, empty for what is not said."""

    confirmed: str
    faded: str
    ended: bool  # for want of an answer
    can_be_confirmed: bool
    unread: str = ""  # since when the calendar that it is kept in step with could not be read


def of(request: Request, session: Session, event: Event) -> Freshness:
    if event.is_called_off:
        return Freshness("", "", False, False)
    source = sources.followed_by(session, event)
    if source is not None:  # what is kept in step is asked about there
        unread = _day(request, event, sources.unread_since(source, now()))
        return Freshness(_day(request, event, event.confirmed_at), "", False, False, unread)
    if not event.is_series:
        return Freshness("", "", False, False)
    ended = event.asked_since is not None and freshness.before_stop(session, event) is not None
    return Freshness(
        confirmed=_day(request, event, event.confirmed_at),
        faded=_day(request, event, faded(event.asked_since, now())),
        ended=ended,
        can_be_confirmed=ended or freshness.goes_on(event, now()),
    )


def _day(request: Request, event: Event, moment: datetime | None) -> str:
    return language_of(request).long_day(to_wall(moment, event.timezone).date()) if moment else ""


# ---------------------------------------------------------------- links from mails


def _words(request: Request, session: Session, one_time: OneTimeLink) -> Words:
    found, spoken = derived.tell_all(session, _series(session, one_time)), language_of(request)
    one = len(found) == 1
    return SeriesWords(
        title=say("Does it still take place?") if one else say("Do these still take place?"),
        button=say("Yes, it still takes place") if one else say("Yes, all of them still take place"),
        series=tuple((told.event.id or 0, freshness.in_words(told, spoken)) for told in found),
    )


def _use(request: Request, session: Session, form: Form, one_time: OneTimeLink) -> Response:
    """What is over, or was cancelled since the mail went out, needs no answer; the others get theirs."""
    person = session.get_one(Person, one_time.person_id)
    series = [one for one in _series(session, one_time) if freshness.can_be_confirmed(session, one, now())]
    if not series:
        raise Conflict(freshness.NOTHING_TO_CONFIRM)
    for event in series:
        freshness.confirm(session, event, person, state_of(request).publishing, now())
    return see_other(request, "/confirmed")


def _series(session: Session, one_time: OneTimeLink) -> Sequence[Event]:
    person = session.get_one(Person, one_time.person_id)
    series = freshness.theirs(session, person, one_time.detail)
    if not series:
        raise Gone(say("What this link is about is not there any more, or not for you to answer."))
    return series


def thanks(request: Request, session: Session) -> Response:
    return render(request, "organize/confirmed.html")


CONFIRMATION = LinkPage(
    _words, _use, template="organize/confirmation.html", anew=("/organize", say("To your desk"))
)
