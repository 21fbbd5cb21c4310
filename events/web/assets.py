"""Static files and the operator's: read once, fingerprinted, served from memory for a year."""

import hashlib
import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..identity import Identity
from .icons import coloured

STATIC = Path(__file__).parent.parent / "static"
IN_THE_DARK = "dark.css"  # the sheet with the colours of the dark, which counts where the device asks for it
ON_DARK_SCREENS = "@media screen and (prefers-color-scheme: dark)"


@dataclass(frozen=True, slots=True)
class Asset:
    content: bytes
    media_type: str


class Assets:
    """`url_of("css/all.css")` is an address that changes with the content; `at(path)` is what it answers.

    The sheets that `css/order.txt` names are joined three times: `css/all.css` follows the device, what is embedded
    elsewhere may ask for `css/all-light.css` or `css/all-dark.css`. The operator's files are `site/…`.
    """

    def __init__(self, identity: Identity | None = None, directory: Path = STATIC) -> None:
        identity = identity or Identity()
        files = {
            str(path.relative_to(directory)): path.read_bytes() for path in sorted(directory.rglob("*.*"))
        }
        order = files.pop("css/order.txt").decode().splitlines()
        sheets = [
            (layer, name, files.pop(f"css/{name}").decode())
            for layer, _, names in (line.partition(": ") for line in order if not line.startswith("#"))
            for name in names.split()
        ]
        for name, text in _joined(sheets, identity).items():
            files[f"css/{name}"] = text.encode()
        files["favicon.svg"] = coloured(files["favicon.svg"], identity.palette)
        for own in (identity.logo, identity.picture):
            if own is not None:
                files[f"site/{own.name}"] = own.content
        self._urls = {name: _fingerprinted(name, content) for name, content in files.items()}
        self._assets = {
            url: Asset(files[name], mimetypes.guess_type(name)[0] or "application/octet-stream")
            for name, url in self._urls.items()
        }

    def url_of(self, name: str) -> str:
        return self._urls[name]

    def at(self, path: str) -> Asset | None:
        return self._assets.get(path)


def _joined(sheets: Sequence[tuple[str, str, str]], identity: Identity) -> dict[str, str]:
    """Sheets as layer, name and text, joined for each scheme, with the operator's colours."""
    [dark] = (text for _, name, text in sheets if name == IN_THE_DARK)
    schemes = {
        "all.css": f"{ON_DARK_SCREENS} {{\n{dark}}}\n",
        "all-light.css": ":root { color-scheme: light; }\n",
        "all-dark.css": f"{dark}:root {{ color-scheme: dark; }}\n",
    }
    palette = identity.palette
    own = f":root{{{palette.properties()};--brand-ink:{palette.ink};--brand-ink-dark:{palette.ink_in_the_dark}}}"
    before = f"@layer {', '.join(dict.fromkeys(layer for layer, *_ in sheets))};\n@layer tokens {{ {own} }}\n"
    return {
        joined: before
        + "".join(
            f"@layer {layer} {{\n{scheme if name == IN_THE_DARK else text}}}\n"
            for layer, name, text in sheets
        )
        for joined, scheme in schemes.items()
    }


def _fingerprinted(name: str, content: bytes) -> str:
    stem, _, suffix = name.rpartition(".")
    return f"/static/{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{suffix}"
