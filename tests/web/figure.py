"""A page with a map on it, as templates make it, without a server."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from events.language import Language
from events.web.assets import Assets
from events.web.map import Map

ROOT = Path(__file__).parents[2]
SHOWN = '{% from "_partials/map.html" import map_figure with context %}{{ map_figure(map) }}'
LED = '{% from "_partials/map.html" import direction_links with context %}{{ direction_links(ways) }}'


def figure(spoken: Language, drawn: Map) -> str:
    return _rendered(spoken, SHOWN, map=drawn)


def links(spoken: Language, ways: list[tuple[str, str]]) -> str:
    return _rendered(spoken, LED, ways=ways)


def _rendered(spoken: Language, text: str, **context: object) -> str:
    environment = Environment(
        loader=FileSystemLoader(ROOT / "templates"),
        autoescape=select_autoescape(default_for_string=True),
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
    )
    vars(environment)["install_gettext_callables"](spoken.gettext, spoken.ngettext, newstyle=True)
    return environment.from_string(text).render(**context)


def page(spoken: Language, drawn: Map) -> str:
    assets = Assets()
    style = assets.at(assets.url_of("css/all.css"))
    assert style is not None
    return (
        f'<!doctype html><html lang="{spoken.code}"><head><title>Map</title>'
        f'<meta name="viewport" content="width=device-width"><style>{style.content.decode()}</style></head>'
        f'<body><main><div class="wrap page"><h1>Map</h1>{figure(spoken, drawn)}</div></main></body></html>'
    )
