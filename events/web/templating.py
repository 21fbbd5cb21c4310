"""Pages from templates: one Jinja environment a language, with what every page needs."""

from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import HTMLResponse

from .. import markdown
from ..config import Settings
from ..errors import Message
from ..language import Language, language
from .assets import Assets
from .state import language_of, state_of

PACKAGED = Path(__file__).parent.parent / "templates"
CHECKED_OUT = Path(__file__).parent.parent.parent / "templates"


class Templates:
    def __init__(self, settings: Settings, assets: Assets) -> None:
        self._environments = {
            code: _environment(language(code), settings, assets) for code in settings.locales
        }

    def render(self, code: str, name: str, context: Mapping[str, object]) -> str:
        return self._environments[code].get_template(name).render(context)


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


def prefixed(code: str, path: str) -> str:
    """The address of a page in a language: English has no prefix."""
    return path if code == "en" else f"/{code}{'' if path == '/' else path}"


def link(code: str, path: str, query: Mapping[str, object]) -> str:
    """An address with its query; empty values are left out, lists repeat their name."""
    given = {name: value for name, value in query.items() if value not in (None, "", [], ())}
    return prefixed(code, path) + (f"?{urlencode(given, doseq=True)}" if given else "")


def _environment(spoken: Language, settings: Settings, assets: Assets) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(PACKAGED if PACKAGED.is_dir() else CHECKED_OUT),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # The extension adds its methods to the environment at run time.
    vars(environment)["install_gettext_callables"](spoken.gettext, spoken.ngettext, newstyle=True)
    environment.globals |= {
        "locale": spoken.code,
        "direction": spoken.direction,
        "site": settings,
        "url": _linker(spoken.code),
        "static": assets.url_of,
    }
    environment.filters |= {
        "say": lambda message: spoken.say(message) if isinstance(message, Message | str) else message,
        "said": lambda messages: {name: spoken.say(message) for name, message in messages.items()},
        "day": spoken.day,
        "short_day": spoken.short_day,
        "month": spoken.month,
        "number": spoken.number,
        "markdown": markdown.html,
        "plain": markdown.plain,
    }
    return environment


def _linker(code: str) -> Callable[..., str]:
    return lambda path, **query: link(code, path, query)
