"""Templates and links: one Jinja environment a language, and addresses that keep the language."""

from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlencode

from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined, select_autoescape
from jinja2.bccache import Bucket
from markupsafe import Markup

from .. import markdown
from ..config import Settings
from ..errors import Message
from ..identity import Identity
from ..language import Language, language
from .assets import Assets

PACKAGED = Path(__file__).parent.parent / "templates"
CHECKED_OUT = Path(__file__).parent.parent.parent / "templates"
MOST_SENTENCES = 4096  # more than all templates have
PARTS_KEPT = 2048  # some 1 KB each


class _CompiledOnce(BytecodeCache):
    """The code of a template is the same in each language: it is compiled once a process."""

    def __init__(self) -> None:
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self._code:
            bucket.bytecode_from_string(self._code[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key] = bucket.bytecode_to_string()


_compiled = _CompiledOnce()


class Templates:
    def __init__(self, settings: Settings, assets: Assets, identity: Identity) -> None:
        self._environments = {
            code: _environment(language(code), settings, assets, identity) for code in settings.locales
        }

    def render(self, code: str, name: str, context: Mapping[str, object]) -> str:
        return self._environments[code].get_template(name).render(context)


def prefixed(code: str, path: str) -> str:
    """The address of a page in a language: English has no prefix."""
    return path if code == "en" else f"/{code}{'' if path == '/' else path}"


def unprefixed(path: str, codes: Collection[str]) -> tuple[str, str]:
    """The language that an address is in, one of `codes`, and its path without it."""
    code, _, rest = path.removeprefix("/").partition("/")
    return (code, f"/{rest}") if code in codes and code != "en" else ("en", path)


def link(code: str, path: str, query: Mapping[str, object]) -> str:
    """An address with its query; empty values are left out, lists repeat their name."""
    if not query:
        return prefixed(code, path)
    texts = {
        name: [text for text in value if text] if isinstance(value, list | tuple) else value
        for name, value in query.items()
    }
    given = {name: value for name, value in texts.items() if value not in (None, "", [])}
    return prefixed(code, path) + (f"?{urlencode(given, doseq=True, safe=',')}" if given else "")


def _environment(spoken: Language, settings: Settings, assets: Assets, identity: Identity) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(PACKAGED if PACKAGED.is_dir() else CHECKED_OUT),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        bytecode_cache=_compiled,
        auto_reload=False,  # a page would ask the disk about each of its ten templates
        trim_blocks=True,
        lstrip_blocks=True,
    )
    vars(environment)["newstyle_gettext"] = True  # {% trans %} leaves the values to these
    environment.globals |= {
        **_sentences(spoken),
        "locale": spoken.code,
        "direction": spoken.direction,
        "site": settings,
        "identity": identity,
        "url": _linker(spoken.code),
        "static": assets.url_of,
        "kept": _keeper(),
    }
    environment.filters |= {
        "say": lambda message: spoken.say(message) if isinstance(message, Message | str) else message,
        "said": lambda messages: {name: spoken.say(message) for name, message in messages.items()},
        "day": spoken.day,
        "short_day": spoken.short_day,
        "month": spoken.month,
        "capital": spoken.capital,
        "number": spoken.number,
        "markdown": markdown.html,
        "plain": markdown.plain,
        "lines": lambda text: Markup("<br>").join(text.split("\n")),
    }
    return environment


def _sentences(spoken: Language) -> dict[str, Callable[..., Markup]]:
    """As the extension would install them, but a sentence without values is made once; a page has a hundred."""

    @lru_cache(MOST_SENTENCES)
    def plain(text: str) -> Markup:
        return Markup(spoken.gettext(text)) % {}  # noqa: S704 (the templates' own)

    def gettext(text: str, /, **values: object) -> Markup:
        return Markup(spoken.gettext(text)) % values if values else plain(text)  # noqa: S704

    def ngettext(singular: str, plural: str, num: int, /, **values: object) -> Markup:
        return Markup(spoken.ngettext(singular, plural, num)) % {"num": num, **values}  # noqa: S704

    return {"_": gettext, "gettext": gettext, "ngettext": ngettext}


def _keeper() -> Callable[..., Markup]:
    """`kept(macro, values)`: what a macro makes of the same values is made once. It knows nothing else of a page,
    because it is imported without context."""

    @lru_cache(PARTS_KEPT)
    def made(macro: Callable[..., Markup], *values: object, **named: object) -> Markup:
        return macro(*values, **named)

    def kept(macro: Callable[..., Markup], *values: object, **named: object) -> Markup:
        return made(macro, *(tuple(value) if isinstance(value, list) else value for value in values), **named)

    return kept


def _linker(code: str) -> Callable[..., str]:
    return lambda path, **query: link(code, path, query)
