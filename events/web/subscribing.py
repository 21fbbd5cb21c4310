"""Addresses that calendar apps follow, in the one canonical form of each selection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from starlette.requests import Request

from ..calendars.lists import FORMATS
from ..calendars.queries import Selection
from .environment import link
from .finding import snapped
from .rows import unit_of
from .sharing import LONGEST_PATH
from .state import language_of, state_of

# Name and media type by extension.
FORMS = {"ics": ("iCalendar", "text/calendar")} | {
    extension: (each.name, each.media_type.partition(";")[0]) for extension, each in FORMATS.items()
}


@dataclass(frozen=True, slots=True)
class SubscribeLinks:
    """One feed, as each app wants to be given it.

    `outlook` is for personal accounts, `work` for those of a firm or a school. `page`: a path of this site that
    offers the same on another device, for a QR code; empty when it is too long for one.
    """

    https: str
    webcal: str
    google: str
    outlook: str
    work: str
    page: str


def subscribe_links(request: Request, path: str, wanted: Mapping[str, object]) -> SubscribeLinks:
    state, code = state_of(request), language_of(request).code
    base = state.settings.public_url
    address = base + link(code, path, wanted)
    for_google = _webcal(base + link(code, path, {**wanted, "client": "google"}))
    for_outlook = urlencode({"url": address, "name": state.settings.name}, quote_via=quote, safe="")
    return SubscribeLinks(
        https=address,
        webcal=_webcal(address),
        google=f"https://calendar.google.com/calendar/r?cid={quote(for_google, safe='')}",
        outlook=f"https://outlook.live.com/calendar/0/addfromweb?{for_outlook}",
        work=f"https://outlook.office.com/calendar/0/addfromweb?{for_outlook}",
        page=_page(code, path, wanted),
    )


def _webcal(address: str) -> str:
    return "webcal:" + address.partition(":")[2]


def _page(code: str, path: str, wanted: Mapping[str, object]) -> str:
    """A page and no webcal: address: telephones with Android do not know those, and people see what they scan."""
    offered = "/subscribe" if path == "/events.ics" else path.removesuffix(".ics")
    page = link(code, offered, wanted)
    return page if len(page) <= LONGEST_PATH else ""


@dataclass(frozen=True, slots=True)
class Alternate:
    """The same list in another form, for <link rel="alternate">."""

    href: str
    type: str
    title: str


def alternates(
    request: Request, stem: str, wanted: Mapping[str, object], title: str, extensions: Sequence[str]
) -> list[Alternate]:
    """A link for each extension of an address: `/events` with ics, atom, json, csv."""
    base, code = state_of(request).settings.public_url, language_of(request).code
    return [
        Alternate(base + link(code, f"{stem}.{extension}", wanted), media_type, f"{title} ({name})")
        for extension in extensions
        for name, media_type in [FORMS[extension]]
    ]


def alternates_of_events(request: Request, selection: Selection) -> list[Alternate]:
    """For a page that shows what `/events` shows with this selection."""
    title = language_of(request).gettext("Events")
    return alternates(request, "/events", canonical_query(request, selection), title, tuple(FORMS))


def canonical_query(request: Request, selection: Selection) -> dict[str, object]:
    """The query of the feed: `near=41.92,-87.64&within=25mi`, the rest in a fixed order."""
    unit = unit_of(request)
    chosen = snapped(selection, unit)
    near = f"{chosen.near.latitude:g},{chosen.near.longitude:g}" if chosen.near else ""
    within = (
        f"{round(chosen.within.mi if unit == 'mi' else chosen.within.km):d}{unit}" if chosen.within else ""
    )
    return {
        "near": near,
        "within": within,
        "branch": list(chosen.branches),
        "topic": list(chosen.topics),
        "from": chosen.first,
        "to": chosen.last,
        "online": {True: "yes", False: "no", None: ""}[chosen.online],
        "language": chosen.language,
        "access": list(chosen.access),
        "q": chosen.text,
    }
