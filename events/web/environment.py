"""Templates and links: one Jinja environment a language, and addresses that keep the language."""

import contextlib
import hmac
import tempfile
from collections.abc import Callable, Collection, Mapping, MutableMapping
from functools import lru_cache
from hashlib import sha256
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import jinja2
from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined, nodes, select_autoescape
from jinja2.bccache import Bucket
from jinja2.visitor import NodeTransformer
from markupsafe import Markup

from .. import markdown
from ..config import Settings
from ..errors import Message
from ..identity import Identity
from ..language import Language, as_written, language
from .assets import Assets

PACKAGED = Path(__file__).parent.parent / "templates"
CHECKED_OUT = Path(__file__).parent.parent.parent / "templates"
MOST_SENTENCES = 4096  # more than all templates have
PARTS_KEPT = 2048  # some 1 KB each


class _CompiledOnce(BytecodeCache):
    """A template is compiled once a process for each language, and kept beside the data.

    Nine templates of the first page take longer to compile than all else it needs. What is kept runs as code, so it is
    signed: whoever may write into the folder, but cannot read the secret key, gets nothing run. The signature also
    covers all that the code depends on, so that nothing is trusted across versions; Jinja sees to it by itself that
    the template is the same. Where nothing can be kept each process compiles for itself.
    """

    def __init__(self, settings: Settings, spoken: Language) -> None:
        self._folder = settings.data_dir / "cache" / "templates"
        self._secret = settings.secret_key.encode()
        self._language = spoken.code
        self._depends_on = _DEPENDS_ON + sha256(as_written(spoken)).digest()

    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        return f"{self._language}-{super().get_cache_key(name, filename)}"

    def load_bytecode(self, bucket: Bucket) -> None:
        code = _compiled.get(bucket.key) or self._read(bucket.key)
        if code:
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        _compiled[bucket.key] = code = bucket.bytecode_to_string()
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._keep(bucket.key, code)

    def _read(self, key: str) -> bytes | None:
        """None where nothing is kept, or nothing that we have written just so."""
        try:
            kept = (self._folder / key).read_bytes()
        except OSError:
            return None
        mark, code = kept[:MARK_BYTES], kept[MARK_BYTES:]
        return code if hmac.compare_digest(mark, self._mark(key, code)) else None

    def _keep(self, key: str, code: bytes) -> None:
        """Written aside and moved, so that another process never reads half of it."""
        number, aside = tempfile.mkstemp(dir=self._folder, prefix=".new.")
        try:
            with open(number, "wb") as file:
                file.write(self._mark(key, code) + code)
            Path(aside).replace(self._folder / key)
        except OSError:
            Path(aside).unlink(missing_ok=True)
            raise

    def _mark(self, key: str, code: bytes) -> bytes:
        return hmac.digest(self._secret, b"\0".join((self._depends_on, key.encode(), code)), "sha256")


MARK_BYTES = 32
# Jinja's version, Python's, and what this module tells Jinja of how to compile.
_DEPENDS_ON = b"\0".join((jinja2.__version__.encode(), MAGIC_NUMBER, Path(__file__).read_bytes()))
_compiled: dict[str, bytes] = {}


class Templates:
    """An environment for each language, made when something is first said in it: its sentences are read for that."""

    def __init__(self, settings: Settings, assets: Assets, identity: Identity) -> None:
        self._environments: dict[str, Environment] = {}
        self._given = settings, assets, identity

    def render(self, code: str, name: str, context: Mapping[str, object]) -> str:
        environment = self._environments.get(code)
        if environment is None:  # of two threads that make it at once one wins, and nothing is lost
            environment = self._environments.setdefault(code, _environment(language(code), *self._given))
        return environment.get_template(name).render(context)


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
    given: list[tuple[str, object]] = []
    for name, value in query.items():
        if isinstance(value, list | tuple):
            given += [(name, text) for text in value if text]
        elif value not in (None, ""):
            given.append((name, value))
    return prefixed(code, path) + (f"?{urlencode(given, safe=',')}" if given else "")


class _Settled(Environment):
    """One whose globals are all there before its first template, so that each template may have them as a dictionary:
    Jinja's ChainMap is asked in Python for every name, which took a tenth of a page."""

    def make_globals(self, d: MutableMapping[str, Any] | None) -> MutableMapping[str, Any]:
        return {**self.globals, **(d or {})}

    def _generate(self, source: nodes.Template, *given: Any, **options: Any) -> str:
        """A hook of Jinja's."""
        return super()._generate(_Written(self).visit(source), *given, **options)


class _Written(NodeTransformer):
    """Writes into a template what is the same on all pages in its language: sentences without values, and addresses
    without a query. A page has fifty of them; to call for each took a twentieth of it or more."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def visit_Call(self, call: nodes.Call) -> nodes.Node:
        self.generic_visit(call)
        match call:
            case nodes.Call(
                node=nodes.Name(name="_" | "gettext" | "url" as name),
                args=[nodes.Const(value=str(text))],
                kwargs=[],
                dyn_args=None,
                dyn_kwargs=None,
            ):
                said = cast("Callable[[str], str]", self._environment.globals[name])(text)
                return nodes.Const(said, lineno=call.lineno, environment=self._environment)
        return call


def _environment(spoken: Language, settings: Settings, assets: Assets, identity: Identity) -> Environment:
    environment = _Settled(
        loader=FileSystemLoader(PACKAGED if PACKAGED.is_dir() else CHECKED_OUT),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        bytecode_cache=_CompiledOnce(settings, spoken),
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
        "kept": _keeper(),
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
    """`macro|kept(values)`: what a macro makes of the same values is made once. It knows nothing else of a page, as
    it is imported without context. A filter, with tuples for lists, since each is asked for fifty times."""
    return lru_cache(PARTS_KEPT)(lambda macro, *values, **named: macro(*values, **named))


def _linker(code: str) -> Callable[..., str]:
    return lambda path, **query: link(code, path, query)
