"""What search engines are told of a page (schema.org, as JSON-LD): what it is about, and where it stands.

Lists say where they stand and no more: each event and branch in them has a page of its own that tells all of it, and
search engines take markup of an event from there alone.
"""

from starlette.requests import Request

from ..branches import json_ld
from ..branches.json_ld import Page, Values
from ..branches.models import Branch
from ..calendars import json_ld as events
from ..calendars.content import Said
from ..calendars.models import Picture
from ..news import json_ld as articles
from ..news.notices import Told
from . import icons
from .environment import link
from .state import language_of, state_of

Step = tuple[str, str]  # what a page is called, and its path without its language


def home(request: Request) -> str:
    """The organisation, and its site with the way to search it."""
    state, spoken = state_of(request), language_of(request)
    base, identity = state.settings.public_url, state.identity
    own = identity.logo
    logo = state.assets.url_of(f"site/{own.name}") if own else icons.address(identity, "512")
    organisation = {"@type": "Organization", "@id": f"{base}/#organization"} | json_ld.filled(
        name=state.settings.name,
        url=f"{base}/",
        logo=base + logo,
        description=identity.description.get(spoken.code),
    )
    website: Values = {
        "@type": "WebSite",
        "@id": f"{base}/#website",
        "name": state.settings.name,
        "url": _page(request, "", "/").url,
        "inLanguage": spoken.code,
        "publisher": {"@id": f"{base}/#organization"},
        "potentialAction": {
            "@type": "SearchAction",
            "target": {
                "@type": "EntryPoint",
                "urlTemplate": base + link(spoken.code, "/branches", {}) + "?near={place}",
            },
            "query-input": "required name=place",
        },
    }
    return json_ld.script(json_ld.graph(organisation, website))


def standing(request: Request, *steps: Step) -> str:
    """Of a page that says where it stands and no more: the steps from the home page down to it."""
    return json_ld.script(json_ld.graph(_trail(request, *steps)))


def of_events(request: Request, step: Step | None = None) -> str:
    """Of a list of events; `step`: of which ones."""
    return standing(request, (language_of(request).gettext("Events"), "/events"), *([step] if step else []))


def branch(request: Request, shown: Branch, parent: Branch | None) -> str:
    spoken, publishing = language_of(request), state_of(request).publishing
    above = [parent] if parent else []
    steps = [(spoken.gettext("Branches"), "/branches"), *map(_of_branch, above), _of_branch(shown)]
    part_of = Page(publishing.organisation, publishing.base_url)
    if parent:
        part_of = Page(parent.name, publishing.page_of_branch(parent, spoken))
    about = json_ld.branch_page(shown, publishing.page_of_branch(shown, spoken), part_of)
    return json_ld.script(json_ld.graph(about, _trail(request, *steps)))


def event(request: Request, said: Said, page: str) -> str:
    """Below the branch that holds it. `page` is its address, with the date that is shown."""
    spoken, publishing = language_of(request), state_of(request).publishing
    path = f"/events/{said.event.id}" + (f"?date={said.planned_day}" if "?date=" in page else "")
    trail = _trail(request, _of_branch(said.told.owner), (said.title, path))
    return events.script(said, page, publishing, spoken, trail)


def article(request: Request, told: Told, picture: Picture | None, path: str) -> str:
    spoken, publishing = language_of(request), state_of(request).publishing
    about = articles.article(told, picture, _page(request, "", path).url, publishing, spoken)
    trail = _trail(request, (spoken.gettext("News"), "/news"), (told[0].title, path))
    return json_ld.script(json_ld.graph(about, trail))


def _trail(request: Request, *steps: Step) -> Values:
    home = (state_of(request).settings.name, "/")
    return json_ld.breadcrumbs([_page(request, *step) for step in (home, *steps)])


def _of_branch(branch: Branch) -> Step:
    return branch.name, f"/branches/{branch.slug}"


def _page(request: Request, name: str, path: str) -> Page:
    return Page(name, state_of(request).settings.public_url + link(language_of(request).code, path, {}))
