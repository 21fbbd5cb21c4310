"""The Chromium that the browser tests drive: finds it, and starts it so that it calls nobody.

Run as a script it prints where it is; `./dev test` asks that way whether to bring one, before Playwright is there.
"""

from __future__ import annotations

import ctypes
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

# The first is Chromium without the windows, tabs and menus that nobody sees: the stories take half the time in it.
NAMES = (
    "chromium-headless-shell",
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
)
MACOS_APPS = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
# No look-ups, updates or pings of its own; every host but this machine is unknown to it.
ARGUMENTS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1, EXCLUDE [::1]",
)


class NoChromium(Exception):
    """None is installed, or a library that Playwright needs to drive it is not."""


def chromium_path() -> Path:
    """Raises `NoChromium`."""
    found = [path for name in NAMES if (path := shutil.which(name))]
    found += [path for path in MACOS_APPS if Path(path).exists()]
    if not found:
        raise NoChromium("There is no Chromium or Chrome on this machine.")
    if sys.platform == "linux":
        require_library("libatomic.so.1")  # Playwright's driver needs it; Debian's chromium does not bring it
    return Path(found[0])


def require_library(name: str) -> None:
    try:
        ctypes.CDLL(name)
    except OSError as error:
        raise NoChromium(f"Playwright needs {name}, which is not on this machine.") from error


def launch(playwright: Playwright, *arguments: str) -> Browser:
    """Playwright itself adds `--no-sandbox`, which root needs."""
    return playwright.chromium.launch(executable_path=chromium_path(), args=[*ARGUMENTS, *arguments])


if __name__ == "__main__":
    try:
        print(chromium_path())
    except NoChromium as error:
        sys.exit(str(error))
