"""What is put up on walls: a poster of one event, a flyer of a month. Each is a page that prints as a sheet."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import groupby
from unicodedata import east_asian_width

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..calendars import content, derived, queries
from ..calendars.queries import Listed
from ..errors import Message, Unreadable, say
from . import pictures
from .calendars import chosen_date
from .endpoints import now
from .environment import link
from .finding import select_kindly
from .forms import Form, number_at, query
from .month import KEPT, chips_of_month, dates_between, following_month, month_at
from .rows import Day, event_row, repeats
from .sharing import LONGEST_PATH
from .state import language_of, state_of
from .templating import render
from .words import access_in_words

SIZES = {"a4": say("A4 paper"), "letter": say("Letter paper")}
# Up to so many letters a title is set in the first size, the second, and so on: a long one must fit on its sheet, too.
TITLE_BANDS = (14, 40, 100, 180, 280)
LETTERS_OF_TEXT = 420
MOST_ROWS = 300


@dataclass(frozen=True, slots=True)
class Sheet:
    """The paper (a4 or letter), and the page that is printed on it as a code and in words."""

    paper: str
    papers: Sequence[tuple[str, str, bool]]  # to choose from: label, address, whether it is chosen
    page: str
    code: str  # the page again; empty when its path is too long for a camera to read
    address: str


def poster(request: Request, session: Session) -> Response:
    """One event, or one date of a series: the one that `?date=` names, else the next."""
    form, spoken = query(request), language_of(request)
    paper = _paper(form)
    found = queries.public_event(session, number_at(request))
    told = derived.tell(session, found)
    dates = queries.dates_of(session, found.id or 0, now(), most=1)
    chosen = chosen_date(session, found.id or 0, form["date"], dates)
    said = (
        content.said_on(told, chosen.original_start, spoken) if chosen else content.said(told, spoken=spoken)
    )
    page = link(spoken.code, f"/events/{found.id}", {"date": said.planned_day if form["date"] else None})
    return render(
        request,
        "paper/poster.html",
        event=found,
        said=said,
        title_size=_title_size(said.title),
        when=spoken.capital(content.when(said, spoken)),
        off=_off(said.status),
        repeats=repeats(spoken, chosen) if chosen else None,
        hosts=spoken.listed([host.name for host in told.hosts]),
        access=access_in_words(spoken, [word for word in found.access.split(",") if word]),
        picture=pictures.shown(told.picture),
        most_letters=LETTERS_OF_TEXT,
        sheet=_sheet(request, form, paper, page),
    )


def flyer(request: Request, session: Session) -> Response:
    """What is on in a month, with the filters of the list."""
    first, form, spoken = month_at(request), query(request), language_of(request)
    paper = _paper(form)
    selection, finding = select_kindly(request, session, form)
    selection = replace(selection, first=None, last=None)
    last = following_month(first) - timedelta(days=1)
    rows: list[Listed] = []
    more = False
    if finding.problem is None:
        rows, more = dates_between(session, selection, first, last, MOST_ROWS)
    filters = form.only(KEPT)
    return render(
        request,
        "paper/flyer.html",
        status_code=finding.status,
        sentence=finding.sentence,
        month=first,
        heading=spoken.capital(spoken.month(first)),
        of=[label for label, _ in chips_of_month(request, session, form, selection, finding)],
        days=_days(request, rows, first),
        most=MOST_ROWS if more else None,
        back=link(spoken.code, f"/calendar/{first.year}/{first.month}", filters),
        sheet=_sheet(
            request, form, paper, link(spoken.code, "/events", filters | {"from": first, "to": last})
        ),
    )


def _paper(form: Form) -> str:
    """Raises Unreadable."""
    name = form["paper"].strip().lower() or "a4"
    if name not in SIZES:
        raise Unreadable(
            say("“%(text)s” is no size of paper that we know. It can be a4 or letter.", text=name[:40])
        )
    return name


def _sheet(request: Request, form: Form, paper: str, page: str) -> Sheet:
    spoken = language_of(request)
    path: str = request.scope["path"]
    kept: dict[str, object] = {name: form.all(name) for name, _ in form.items() if name != "paper"}
    return Sheet(
        paper=paper,
        papers=[
            (spoken.say(label), link(spoken.code, path, kept | {"paper": name}), name == paper)
            for name, label in SIZES.items()
        ],
        page=page,
        code=page if len(page) <= LONGEST_PATH else "",
        address=state_of(request).settings.public_url + page,
    )


def _title_size(title: str) -> int:
    """From 0, the largest. Letters of Chinese or Japanese, and emoji, are twice as wide."""
    width = sum(2 if east_asian_width(letter) in "WF" else 1 for letter in title)
    return sum(width > most for most in TITLE_BANDS)


def _off(status: str) -> Message | None:
    return {"cancelled": say("Cancelled"), "postponed": say("Postponed")}.get(status)


def _days(request: Request, rows: Sequence[Listed], first: date) -> list[Day]:
    """Each on the day on which it begins; what has begun before the month stands on its first day."""
    spoken = language_of(request)
    ordered = sorted(rows, key=lambda one: max(one.start.date(), first))
    return [
        Day(day, spoken.capital(spoken.weekday_and_day(day)), [event_row(request, one) for one in group])
        for day, group in groupby(ordered, key=lambda one: max(one.start.date(), first))
    ]
