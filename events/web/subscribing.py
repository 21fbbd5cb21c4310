"""Addresses that calendar apps follow, in the one canonical form of each selection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from starlette.requests import Request

from ..calendars.lists import FORMATS
from ..calendars.queries import Selection
from .environment import link
from .finding import snapped
from .rows import unit_of
from .state import language_of, state_of

# Name and media type by extension.
FORMS = {"ics": ("iCalendar", "text/calendar")} | {
    extension: (each.name, each.media_type.partition(";")[0]) for extension, each in FORMATS.items()
}


@dataclass(frozen=True, slots=True)
class SubscribeLinks:
    """One feed, as each app wants to be given it."""

    https: str
    webcal: str
    google: str
    outlook: str


def subscribe_links(request: Request, path: str, wanted: Mapping[str, object]) -> SubscribeLinks:
    base = state_of(request).settings.public_url
    address = base + link(language_of(request).code, path, wanted)
    webcal = "webcal:" + address.partition(":")[2]
    for_google = base + link(language_of(request).code, path, {**wanted, "client": "google"})
    google = "webcal:" + for_google.partition(":")[2]
    return SubscribeLinks(
        https=address,
        webcal=webcal,
        google=f"https://calendar.google.com/calendar/r?cid={quote(google, safe='')}",
        outlook=f"https://outlook.live.com/calendar/0/addfromweb?url={quote(address, safe='')}",
    )


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
