"""Lists of ours in pages of others: frames that anybody may show.

A frame knows nobody: `security.Guard` takes the cookies off its request, so that it is the same for everybody and may
be kept by caches. What is wrong with its address is said inside of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from ..branches import queries as branches
from ..branches.finding import Found
from ..branches.models import Branch
from ..branches.queries import Moved
from ..branches.serving import reason
from ..calendars import queries
from ..calendars.content import title
from ..calendars.queries import Listed, Selection
from ..errors import BranchlineError, InvalidForm, Message, NotFound, Unreadable, say
from ..language import Language
from ..palette import Palette, colour
from ..places.geo import Distance
from ..places.readings import Interpretation
from . import near
from .assets import ON_DARK_SCREENS
from .endpoints import now
from .environment import link
from .finding import Finding, find_place, select_near
from .forms import FILTERS, Form, page_number, query, whole_number
from .responses import page_link
from .rows import by_day
from .state import language_of, state_of
from .templating import render

AGE_S = 60  # how long anybody may keep a frame: what is cancelled should be seen to be
COLOURS_AGE_S = 604_800  # a sheet says nothing but its address
SCRIPT_AGE_S = 3600  # it has one address for ever, so that what others copied once goes on working
ITEMS, MOST_ITEMS = 10, 50
MOST_NAMES = 3  # in a heading
FRAME = Markup('<iframe src="{}" title="{}" loading="lazy" width="{}" height="{}" style="border:0"></iframe>')
HEIGHT = 600  # pixels, until the frame has told its own
SHEETS = {"auto": "css/all.css", "light": "css/all-light.css", "dark": "css/all-dark.css"}
NO_PLACE = Finding("")
LOOKS = ("theme", "brand", "accent")


# ---------------------------------------------------------------- what it looks like


@dataclass(frozen=True, slots=True)
class Look:
    """`palette`: None for the site's own colours."""

    theme: str = "auto"
    palette: Palette | None = None

    @property
    def sheet(self) -> str:
        return SHEETS[self.theme]

    @property
    def scheme(self) -> str:
        """For <meta name="color-scheme">."""
        return "light dark" if self.theme == "auto" else self.theme

    @property
    def query(self) -> dict[str, str]:
        colours = {"brand": self.palette.brand, "accent": self.palette.accent} if self.palette else {}
        written = {name: value.removeprefix("#") for name, value in colours.items()}
        return written | ({"theme": self.theme} if self.theme != "auto" else {})

    @property
    def colours(self) -> str:
        """The address of their sheet, the same in every language; nothing for the site's own."""
        return link("en", "/embed/colours.css", self.query) if self.palette else ""


def read_look(request: Request, form: Form) -> Look:
    """`theme`, `brand` and `accent`. Raises InvalidForm."""
    faults: dict[str, Message] = {}
    theme = form["theme"].strip() or "auto"
    if theme not in SHEETS:
        faults["theme"] = say("“theme” can be light, dark or auto, not “%(text)s”.", text=theme[:40])
    own, chosen = state_of(request).identity.palette, dict[str, str]()
    for name in ("brand", "accent"):
        if text := form[name].strip():
            try:
                chosen[name] = colour(text)
            except ValueError:
                faults[name] = say(
                    "“%(text)s” is not a colour. One looks like 0b5d4b: six digits from 0 to f.",
                    text=text[:40],
                )
    if faults:
        raise InvalidForm(faults)
    return Look(theme, replace(own, **chosen) if chosen else None)


async def colours(request: Request) -> Response:
    look = read_look(request, query(request))
    return Response(
        _sheet(look.palette or state_of(request).identity.palette, look.theme),
        media_type="text/css",
        headers={"Cache-Control": f"public, max-age={COLOURS_AGE_S}"},
    )


def _sheet(palette: Palette, theme: str) -> str:
    """It stands outside of every layer, so it holds whatever the joined sheet says; in the dark that is said again."""
    light, dark = (f":root{{--brand-ink:{ink}}}" for ink in (palette.ink, palette.ink_in_the_dark))
    inks = {"light": light, "dark": dark, "auto": f"{light}\n{ON_DARK_SCREENS}{{{dark}}}"}
    return f":root{{{palette.properties()}}}\n{inks[theme]}\n"


async def script(request: Request) -> Response:
    """What the page around a frame loads: it changes the height of frames of ours, and nothing else."""
    assets = state_of(request).assets
    asset = assets.at(assets.url_of("js/frame.js"))
    if asset is None:
        raise NotFound
    return Response(
        asset.content,
        media_type="text/javascript",
        headers={
            "Cache-Control": f"public, max-age={SCRIPT_AGE_S}",
            "Cross-Origin-Resource-Policy": "cross-origin",
        },
    )


# ---------------------------------------------------------------- frames


def frame(address: str, title: str, width: int | str = "100%", height: int = HEIGHT) -> str:
    """The mark-up that shows a frame, for any page: nothing in it can end what it stands in."""
    return str(FRAME.format(address, title, width, height))


def events(request: Request, session: Session) -> Response:
    return _framed(request, "embed/events.html", lambda form: _events(request, session, form))


def branch_list(request: Request, session: Session) -> Response:
    return _framed(request, "embed/branches.html", lambda form: _branches(request, session, form))


def _framed(request: Request, template: str, fill: Callable[[Form], Mapping[str, object]]) -> Response:
    """What cannot be shown is said in the frame, in its own look: a page of ours would not fit into it."""
    look = Look()
    try:
        form = query(request)
        look = read_look(request, form)
        shown = fill(form)
    except BranchlineError as error:
        faults = error.faults.values() if isinstance(error, InvalidForm) else [error.message]
        return render(
            request, "embed/error.html", status_code=error.status, look=look, sentences=list(faults)
        )
    response = render(request, template, status_code=200, look=look, **shown)
    response.headers["Cache-Control"] = f"public, max-age={AGE_S}"
    return response


@dataclass(frozen=True, slots=True)
class _Subject:
    """Which events, what they are called, and where on the site all of them are."""

    selection: Selection
    heading: str
    all_of_it: str
    subscribe: str | None = None
    finding: Finding = NO_PLACE


def _events(request: Request, session: Session, form: Form) -> dict[str, object]:
    page, size = page_number(form), _items(form)
    subject = (_one_event if form["event"].strip() else _event_list)(request, session, form)
    rows: list[Listed] = []
    more = False
    if subject.finding.problem is None:
        rows, more = queries.upcoming(session, subject.selection, now(), page=page, size=size)
    kept = (*FILTERS, "event", "items", *LOOKS)
    return {
        "subject": subject,
        "heading": subject.heading,
        "days": by_day(request, rows, subject.selection.near),
        "previous": page_link(request, form, kept, page - 1) if page > 1 else None,
        "following": page_link(request, form, kept, page + 1) if more else None,
    }


def _event_list(request: Request, session: Session, form: Form) -> _Subject:
    selection, finding = select_near(request, session, form)
    hosts = [present(session, slug) for slug in selection.branches]
    selection = replace(selection, branches=tuple(host.slug for host in hosts))
    names = [host.name for host in hosts]
    names += [queries.topic_at(session, slug).name for slug in selection.topics]
    kept = form.only(FILTERS) | {"branch": selection.branches}
    spoken = language_of(request)
    return _Subject(
        selection,
        events_heading(spoken, names, finding.place),
        link(spoken.code, "/events", kept),
        link(spoken.code, "/subscribe", kept),
        finding,
    )


def _one_event(request: Request, session: Session, form: Form) -> _Subject:
    """An event of which only this one is shown, with its dates: the other filters say nothing then."""
    text = form["event"].strip()
    number = whole_number(text)
    if number is None:
        raise Unreadable(
            say("“event” is the number of an event, as in its address, not “%(text)s”.", text=text[:40])
        )
    found = queries.public_event(session, number)
    spoken = language_of(request)
    page = link(spoken.code, f"/events/{found.id}", {})
    return _Subject(Selection(event_id=found.id), title(found, None, spoken).text, page)


def present(session: Session, slug: str) -> Branch:
    """Also at a former address: what others copied years ago goes on working. Raises NotFound."""
    found = branches.by_slug(session, slug)
    return branches.here(session, found.slug) if isinstance(found, Moved) else found


def events_heading(spoken: Language, names: Sequence[str], place: Interpretation | None) -> str:
    """`names`: of the branches and topics that were chosen."""
    if 0 < len(names) <= MOST_NAMES:
        return spoken.say(say("%(name)s: events", name=spoken.listed(names)))
    if place is not None:
        return spoken.say(say("Events near %(place)s", place=place.label))
    return spoken.gettext("Events")


def branches_heading(spoken: Language, place: Interpretation | None) -> str:
    return (
        spoken.say(say("Branches near %(place)s", place=place.label)) if place else spoken.gettext("Branches")
    )


def _items(form: Form) -> int:
    text = form["items"].strip() or str(ITEMS)
    number = whole_number(text)
    if number is None or not 1 <= number <= MOST_ITEMS:
        raise Unreadable(
            say(
                "“items” can be a number from 1 to %(most)d, not “%(text)s”.", most=MOST_ITEMS, text=text[:40]
            )
        )
    return number


# ---------------------------------------------------------------- branches


def _branches(request: Request, session: Session, form: Form) -> dict[str, object]:
    """Those that serve the place, then the nearest; without a place a page of the directory."""
    finding, number, more = find_place(request, session, form), page_number(form), False
    ranked: list[tuple[Branch, Distance | None, str]] = []
    others: Sequence[Branch] = ()
    if finding.typed:
        found, number = near.search(request, session, form, finding)
        ranked, more = _ranked(request, found), found.more
        others = [*_called(session, finding), *found.online]
    else:
        others, pages = near.listed(session, near.read_wish(request, session, form), number)
        more = number < pages
    cards = near.Cards(request, session, [*(branch for branch, *_ in ranked), *others])
    spoken, kept = language_of(request), (*near.KEPT, *LOOKS)
    return {
        "heading": branches_heading(spoken, finding.place),
        "sentence": finding.sentence,
        "ranked": [
            cards.of(branch, (number - 1) * near.SIZE + place, away, why)
            for place, (branch, away, why) in enumerate(ranked, 1)
        ],
        "others": [cards.of(branch) for branch in others],
        "all_of_it": link(spoken.code, "/branches", form.only(near.KEPT)),
        "previous": page_link(request, form, kept, number - 1) if number > 1 else None,
        "following": page_link(request, form, kept, number + 1) if more else None,
    }


def _ranked(request: Request, found: Found) -> list[tuple[Branch, Distance | None, str]]:
    """With how far they are, and why they are there if not for being near."""
    spoken = language_of(request)
    served = [(one.branch, one.distance, spoken.say(reason(one.fit))) for one in found.serving]
    return [*served, *((one.branch, one.distance, "") for one in found.nearest)]


def _called(session: Session, finding: Finding) -> list[Branch]:
    """Those of the name that was typed, where several have it, or where the one meets nowhere."""
    if finding.place is not None:
        return []
    return branches.at_slugs(session, [one.slug for one in finding.readings if one.kind == "branch"])
