"""Pages from templates, with what every page needs."""

import gzip
import re
from collections.abc import Iterator
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Match, Route

from . import icons
from .answers import PACKED_LATER
from .conditional import accepts_gzip
from .environment import link, prefixed
from .forms import FILTERS
from .state import language_of, state_of

# What makes a page another page, and not only the same one as somebody came to it.
PASSED_ON = (*FILTERS, "open", "date", "page")
SHOWN = {"GET", "HEAD"}
# What /oembed shows instead, where the address of such a page is pasted.
EMBEDDABLE = re.compile(
    r"/(events|branches)|/(events|branches|topics)/([^/]+)|/calendar/(\d{1,4})/(\d{1,2})", re.ASCII
)


def render(request: Request, name: str, *, status_code: int = 200, **context: object) -> HTMLResponse:
    """A page in the language of its address, for whoever asks."""
    state = state_of(request)
    spoken = language_of(request)
    person = getattr(request.state, "shown_person", None)
    shared = {
        "path": request.scope["path"],
        **_addresses(request),
        "icons": {size: icons.address(state.identity, size) for size in (icons.TOUCH, "192")},
        "query_string": request.url.query,
        "is_embeddable": EMBEDDABLE.fullmatch(request.scope["path"]) is not None,
        "person": person,
        "notice": None,
    }
    page = state.templates.render(spoken.code, name, shared | context).encode()
    age = "no-store" if person else "private, no-cache"
    headers = {"Cache-Control": age, "Vary": "Accept-Encoding, Cookie"}
    if _may_be_packed(request):
        page = gzip.compress(page, compresslevel=6, mtime=0)
        headers["Content-Encoding"] = "gzip"
    return HTMLResponse(page, status_code, headers)


def _may_be_packed(request: Request) -> bool:
    """Not a page with something of its reader's: packed together with what somebody else chose, its length would tell
    that letter by letter (BREACH).
    """
    is_anybodys = "cookie" not in request.headers and "token" not in request.path_params
    return is_anybodys and PACKED_LATER not in request.scope and accepts_gzip(request.headers)


# ---------------------------------------------------------------- where the page is


def _addresses(request: Request) -> dict[str, object]:
    """`canonical` for search engines, `passed_on` for those who are told of it: with what was chosen, so that a list,
    or one date of a series, comes out the same at the other end. `languages`: the same page in each of them.
    """
    state, code = state_of(request), language_of(request).code
    base, path = state.settings.public_url, page_path(request)
    asked = {name: request.query_params.getlist(name) for name in PASSED_ON}
    page = {"page": asked["page"][:1]}
    return {
        "canonical": base + link(code, path, page),
        "passed_on": base + link(code, path, asked),
        "languages": [
            {
                "code": each,
                "name": other.name,
                "href": prefixed(each, path) + (f"?{request.url.query}" if request.url.query else ""),
                "address": base + link(each, path, page),
                "current": each == code,
            }
            for each, other in state.languages.items()
        ],
    }


def page_path(request: Request) -> str:
    """Where a browser can ask for this page once more, without its language.

    A form is often sent to an address that shows nothing by itself: then it is that of the page with the form, else
    of the nearest page above.
    """
    # Two slashes at the beginning would lead to another host, which is called what comes next.
    path = "/" + str(request.scope["path"]).lstrip("/\\")
    if request.method in SHOWN:
        # As it is written in addresses: browsers leave a tab out, even one between two slashes.
        return quote(path, safe="/:@,+;=~")
    return _page_with_the_form(request) or next(
        (above for above in _upward(path) if _is_shown(request, above)), "/"
    )


def _page_with_the_form(request: Request) -> str | None:
    again = getattr(_declaration(request.scope.get("endpoint")), "again", None)
    if again is None:
        return None
    values = request.path_params
    for route in request.app.routes:
        if not isinstance(route, Route) or not SHOWN & (route.methods or set()):
            continue
        names = re.findall(r"{(\w+)", route.path)
        if getattr(_declaration(route.endpoint), "view", None) is again and set(names) == set(values):
            return re.sub(r"{(\w+)[^}]*}", lambda found: str(values[found[1]]), route.path)
    return None


def _declaration(endpoint: object) -> object:
    """What a route declares (`Read`, `Write`) of the method that answers for it."""
    return getattr(endpoint, "__self__", None)


def _upward(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition("/")[0]


def _is_shown(request: Request, path: str) -> bool:
    asked = {"type": "http", "method": "GET", "path": path}
    return any(route.matches(asked)[0] is Match.FULL for route in request.app.routes)
