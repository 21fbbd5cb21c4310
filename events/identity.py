"""How an operator makes the site their own: DATA_DIR/site/site.toml and the files that it names.

    brand = "#7a1f2b"              # bands and buttons
    accent = "#ffd166"             # the one thing to see first
    logo = "logo.svg"              # beside site.toml; SVG, PNG, JPEG or WebP
    icon = "icon.png"              # in tabs and on home screens; PNG, JPEG or WebP, square, best 512 x 512
    picture = "share.png"          # what is shown when a page is passed on; PNG, JPEG or WebP, best 1200 x 630
    security = "mailto:security@example.org"   # whom to tell of a hole (RFC 9116): an address, a page or a number

    [description]                  # one sentence on who this is
    en = "Tools to borrow, everywhere."
    es = "Herramientas prestadas, en todas partes."

All of it may be left out. It is read once, at start.
"""

import io
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import ConfigurationError, say
from .later import loaded_later
from .palette import Palette, colour

if TYPE_CHECKING:
    from PIL import Image
else:
    Image = loaded_later("PIL.Image")

LARGEST = 3_000_000  # bytes of a file that site.toml names
SMALLEST_ICON = 192  # pixels: what Android asks for
KEYS = ("brand", "accent", "logo", "icon", "picture", "security", "description")
DRAWN = {".png", ".jpg", ".jpeg", ".webp"}
NO_PICTURE = (OSError, SyntaxError)  # raised for what is none, besides DecompressionBombError
FILE_NAME = re.compile(r"[\w.-]{1,80}")
CONTACT = re.compile(r"(mailto:[^\s@]+@|https://|tel:\+?\d)\S+")


@dataclass(frozen=True, slots=True)
class SiteFile:
    """`width` and `height` in pixels; 0 for SVG, which has none."""

    name: str
    content: bytes
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class Identity:
    palette: Palette = field(default_factory=Palette)
    logo: SiteFile | None = None
    icon: SiteFile | None = None
    picture: SiteFile | None = None
    security: str = ""
    description: Mapping[str, str] = field(default_factory=dict)  # by language


def read_identity(folder: Path) -> Identity:
    """What `folder` (DATA_DIR/site) says. Raises ConfigurationError with one clear line."""
    path = folder / "site.toml"
    try:
        if not (path.exists() or path.is_symlink()):  # what is there and leads nowhere is a mistake
            return Identity()
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(say("site.toml cannot be read: %(why)s.", why=str(error))) from error
    if unknown := sorted(said.keys() - set(KEYS)):
        raise ConfigurationError(
            say("site.toml has %(key)s, but knows only: %(keys)s.", key=unknown[0], keys=", ".join(KEYS))
        )
    return Identity(
        palette=Palette(_colour(said, "brand", Palette().brand), _colour(said, "accent", Palette().accent)),
        logo=_file(folder, said, "logo", {*DRAWN, ".svg"}),
        icon=_icon(folder, said),
        picture=_file(folder, said, "picture", DRAWN),
        security=_contact(said),
        description=_descriptions(said),
    )


def _colour(said: Mapping[str, object], key: str, default: str) -> str:
    if key not in said:
        return default
    try:
        return colour(str(said[key]))
    except ValueError as error:
        raise ConfigurationError(
            say("site.toml: %(key)s must be a colour like #0b5d4b, not %(text)s.", key=key, text=said[key])
        ) from error


def _file(folder: Path, said: Mapping[str, object], key: str, suffixes: set[str]) -> SiteFile | None:
    if key not in said:
        return None
    name = str(said[key])
    path = folder / name
    # Only what lies beside site.toml: its name becomes part of an address.
    if not FILE_NAME.fullmatch(name) or path.suffix.lower() not in suffixes or not path.is_file():
        raise ConfigurationError(
            say(
                "site.toml: %(key)s must name a file beside it that ends in %(suffixes)s, not %(text)s.",
                key=key,
                suffixes=", ".join(sorted(suffixes)),
                text=name,
            )
        )
    content = _content(path)
    if path.suffix.lower() == ".svg":
        return SiteFile(name, content)
    try:
        with Image.open(io.BytesIO(content)) as picture:
            return SiteFile(name, content, *picture.size)
    except (*NO_PICTURE, Image.DecompressionBombError) as error:
        raise ConfigurationError(say("site.toml: %(text)s is no picture.", text=name)) from error


def _content(path: Path) -> bytes:
    """Its size is asked first: a video under the name of a picture would fill the memory."""
    try:
        if path.stat().st_size > LARGEST:
            raise ConfigurationError(say("site.toml: %(text)s is larger than 3 MB.", text=path.name))
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            say("site.toml: %(text)s cannot be read: %(why)s.", text=path.name, why=str(error))
        ) from error


def _icon(folder: Path, said: Mapping[str, object]) -> SiteFile | None:
    """Read to its end: it is drawn in other sizes later, when nobody could say that half of it is missing."""
    found = _file(folder, said, "icon", DRAWN)
    if found is None:
        return None
    if found.width != found.height or found.width < SMALLEST_ICON:
        raise ConfigurationError(
            say(
                "site.toml: %(text)s must be as wide as it is high, and at least %(least)d pixels.",
                text=found.name,
                least=SMALLEST_ICON,
            )
        )
    try:
        with Image.open(io.BytesIO(found.content)) as picture:
            picture.load()
    except (*NO_PICTURE, Image.DecompressionBombError) as error:
        raise ConfigurationError(say("site.toml: %(text)s is no picture.", text=found.name)) from error
    return found


def _contact(said: Mapping[str, object]) -> str:
    text = str(said.get("security", ""))
    if text and not CONTACT.fullmatch(text):
        raise ConfigurationError(
            say("site.toml: security must begin with mailto:, https:// or tel:, not %(text)s.", text=text)
        )
    return text


def _descriptions(said: Mapping[str, object]) -> Mapping[str, str]:
    found = said.get("description", {})
    if not isinstance(found, dict) or not all(isinstance(text, str) for text in found.values()):
        raise ConfigurationError(
            say('site.toml: description must be a table of sentences by language, such as en = "…".')
        )
    return {str(code): " ".join(str(text).split()) for code, text in found.items()}
