"""Static files: read once, fingerprinted, served from memory for a year."""

import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

STATIC = Path(__file__).parent.parent / "static"
ALL_CSS = "all.css"


@dataclass(frozen=True, slots=True)
class Asset:
    content: bytes
    media_type: str


class Assets:
    """`url_of("css/all.css")` is an address that changes with the content; `at(path)` is what it answers."""

    def __init__(self, directory: Path = STATIC) -> None:
        files = {
            str(path.relative_to(directory)): path.read_bytes() for path in sorted(directory.rglob("*.*"))
        }
        lines = files.pop("css/order.txt").decode().splitlines()
        order = [line for line in lines if not line.startswith("#")]
        files[f"css/{ALL_CSS}"] = b"\n".join(files[f"css/{name}"] for name in order)
        self._urls = {name: _fingerprinted(name, content) for name, content in files.items()}
        self._assets = {
            url: Asset(files[name], mimetypes.guess_type(name)[0] or "application/octet-stream")
            for name, url in self._urls.items()
        }

    def url_of(self, name: str) -> str:
        return self._urls[name]

    def at(self, path: str) -> Asset | None:
        return self._assets.get(path)


def _fingerprinted(name: str, content: bytes) -> str:
    stem, _, suffix = name.rpartition(".")
    return f"/static/{stem}.{hashlib.sha256(content).hexdigest()[:12]}.{suffix}"
