"""/embed: the line that shows a list of ours in somebody else's page, put together in a form."""

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..errors import BranchlineError, InvalidForm, Message, Unreadable, say
from ..palette import Palette, colour
from . import choosing, near
from .choosing import NOT_A_CHOICE, Chosen, ticked
from .embedding import Look, branches_heading, events_heading, frame, read_look
from .environment import link
from .finding import read_selection
from .forms import FILTERS, Form, query
from .reading import other_links
from .security import CSP
from .state import language_of, state_of
from .templating import render

LISTS: Mapping[str, Message] = {"events": say("Events"), "branches": say("Branches")}
THEMES: Mapping[str, Message] = {
    "auto": say("As the reader’s device is set"),
    "light": say("Light"),
    "dark": say("Dark"),
}
IN_THE_FORM = ("near", "country", "within", "branch", "topic")
BESIDE_IT = tuple(name for name in dict.fromkeys((*FILTERS, *near.KEPT)) if name not in IN_THE_FORM)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A frame that can be shown: its path with its query, and what it is called."""

    path: str
    title: str


def page(request: Request, session: Session) -> Response:
    form, spoken = query(request), language_of(request)
    chosen = choosing.read_to_show(request, session, form)
    own = ticked(form, "own") or not (form["brand"] or form["accent"])
    look, faults = _look(request, form, own)
    problem = _problem(request, session, form)
    all_faults = chosen.faults | faults
    wanted = None if problem or all_faults else _wanted(request, form, chosen, look)
    response = render(
        request,
        "embed/page.html",
        status_code=problem.status if problem else InvalidForm.status if faults else chosen.status,
        form=form,
        faults=all_faults,
        problem=problem.message if problem else None,
        place=chosen.place,
        others=other_links(request, form, chosen.finding, "/embed"),
        lists=[(word, spoken.say(said)) for word, said in LISTS.items()],
        themes=[(word, spoken.say(said)) for word, said in THEMES.items()],
        own=own,
        palette=_in_the_fields(form, state_of(request).identity.palette),
        kept=[(name, value) for name in BESIDE_IT for value in form.all(name)],
        wanted=wanted,
        line=_line(request, wanted) if wanted else None,
        **choosing.offers(request, session, chosen.branches, chosen.offered, chosen.topics),
    )
    # The frame that shows how it will look is our own: nothing else may be shown here.
    response.headers["Content-Security-Policy"] = f"{CSP}; frame-src 'self'"
    return response


def _look(request: Request, form: Form, own: bool) -> tuple[Look, dict[str, Message]]:
    """With the site's own colours what the two fields hold does not count. Also what is wrong, by field."""
    faults = {} if _list(form) in LISTS else {"show": NOT_A_CHOICE}
    try:
        return read_look(request, Form([("theme", form["theme"])]) if own else form), faults
    except InvalidForm as error:
        return Look(), faults | error.faults


def _in_the_fields(form: Form, own: Palette) -> Palette:
    """What was typed, as far as a field for colours can hold it."""

    def readable(text: str, default: str) -> str:
        try:
            return colour(text)
        except ValueError:
            return default

    return Palette(readable(form["brand"], own.brand), readable(form["accent"], own.accent))


def _list(form: Form) -> str:
    return form["show"].strip() or "events"


def _problem(request: Request, session: Session, form: Form) -> BranchlineError | None:
    """What cannot be read of the filters that the form only carries on."""
    try:
        if _list(form) == "branches":
            near.read_wish(request, session, form)
        else:
            read_selection(request, form)
    except Unreadable as error:
        return error
    return None


def _wanted(request: Request, form: Form, chosen: Chosen, look: Look) -> Wanted:
    """The place with the country that it was found in: what others see must not follow from their language."""
    spoken, place = language_of(request), chosen.place
    wanted = form.only(BESIDE_IT)
    wanted |= {name: form[name].strip() for name in ("near", "within")}
    wanted["country"] = form["country"] or (place.country if place and place.kind != "branch" else None)
    if _list(form) == "branches":
        asked = {name: wanted[name] for name in near.KEPT}
        return Wanted(
            link(spoken.code, "/embed/branches", asked | look.query), branches_heading(spoken, place)
        )
    wanted["branch"] = [branch.slug for branch in chosen.branches]
    wanted["topic"] = [topic.slug for topic in chosen.topics]
    names = [*(branch.name for branch in chosen.branches), *(topic.name for topic in chosen.topics)]
    asked = {name: wanted[name] for name in FILTERS}
    return Wanted(
        link(spoken.code, "/embed/events", asked | look.query), events_heading(spoken, names, place)
    )


def _line(request: Request, wanted: Wanted) -> str:
    settings = state_of(request).settings
    title = f"{wanted.title} – {settings.name}"
    script = Markup('<script src="{}" async></script>').format(f"{settings.public_url}/embed.js")
    return frame(settings.public_url + wanted.path, title) + str(script)
