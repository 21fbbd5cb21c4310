"""Looks at every page in every way: two languages, with and without JavaScript, two widths, light and dark. Then
whether it can be used by keyboard, at 400 %, with more room between letters and in the colours of the system; whether
its HTML is valid (the Nu Html Checker); and what Lighthouse thinks of five pages of the demo, on a phone.

usage: ./dev bench face [--only looks|html|lighthouse] [--page WORDS] [--sheet FOLDER] [--places FILE]

`--page` takes those whose name has these words. `--sheet` makes contact sheets instead: a picture for each kind of
page, to be looked at. Exit status 1 for any fault.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from bench import _face_html, _face_lighthouse, _face_looks, _face_sheet
from bench._face_looks import Place
from bench._figures import line
from events import migrations
from events.app import publishing_of
from events.config import Settings
from events.db import Database
from events.server import listen
from tests import awkward, looking, pages
from tests.chromium import launch
from tests.small_gazetteer import build_small

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("looks", "html", "lighthouse")


def main() -> None:
    options = _options()
    parts = [options.only] if options.only else PARTS
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        if options.sheet or parts != ["lighthouse"]:
            with site(Path(folder), options.page) as (browser, place):
                if options.sheet:
                    _face_sheet.make(browser, place, options.sheet)
                    return
                if "looks" in parts:
                    faults += report("looks", *_face_looks.look_at_all(browser, place))
                if "html" in parts:
                    saved = _face_looks.save_all(browser, place, Path(folder, "html"))
                    invalid = _face_html.faults(Path(folder, "html"))
                    print("\n".join(f"    {fault}" for fault in invalid))
                    faults += report("HTML files", len(invalid), saved)
        if "lighthouse" in parts:
            faults += _face_lighthouse.measure(Path(folder), options.places, options.page)
    sys.exit(faults > 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--page", default="", help="those whose name has these words")
    parser.add_argument("--sheet", type=Path, help="a folder for contact sheets")
    parser.add_argument("--places", type=Path, default=ROOT / "data/places.db", help="a directory of places")
    return parser.parse_args()


def report(what: str, faults: int, of: int) -> int:
    line(f"faults {faults} of {of} {what}", "none", not faults)
    return faults


@contextmanager
def site(folder: Path, words: str) -> Iterator[tuple[Browser, Place]]:
    """The awkward world of the tests, served, and a browser."""
    [listening] = listen("127.0.0.1", 0)
    build_small(folder).rename(folder / "places.db")
    settings = Settings(
        data_dir=folder,
        database_url=f"sqlite:///{folder}/face.db",
        secret_key="for this bench only",
        name="Hazel Clubs",
        rate_limits=False,
        port=listening.getsockname()[1],
    )
    database = Database(settings.database_url, size=1)
    migrations.upgrade(database)
    world = awkward.build(database, settings, publishing_of(settings))
    database.dispose()
    found = [page for page in pages.pages(world) if words in page.name]
    with (
        awkward.running_with_one_limit(settings) as app,
        looking.serving(app, listening) as address,
        sync_playwright() as playwright,
    ):
        browser = launch(playwright)
        yield browser, Place(address, world, found)
        browser.close()


if __name__ == "__main__":
    main()
