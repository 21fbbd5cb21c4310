"""Pages from templates, with what every page needs."""

from starlette.requests import Request
from starlette.responses import HTMLResponse

from .environment import prefixed
from .state import language_of, state_of


def render(request: Request, name: str, *, status_code: int = 200, **context: object) -> HTMLResponse:
    """A page in the language of its address, for whoever asks."""
    state = state_of(request)
    spoken = language_of(request)
    path: str = request.scope["path"]
    person = getattr(request.state, "shown_person", None)
    shared = {
        "path": path,
        "canonical": state.settings.public_url + prefixed(spoken.code, path),
        "query_string": request.url.query,
        "languages": [
            {
                "code": code,
                "name": other.name,
                "href": prefixed(code, path) + (f"?{request.url.query}" if request.url.query else ""),
                "current": code == spoken.code,
            }
            for code, other in state.languages.items()
        ],
        "person": person,
        "notice": None,
    }
    response = HTMLResponse(state.templates.render(spoken.code, name, shared | context), status_code)
    response.headers["Cache-Control"] = "no-store" if person else "no-cache"
    return response
