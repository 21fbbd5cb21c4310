"""Contact sheets: a picture for each kind of page, each state in both languages, widths and themes side by side."""

import io
import itertools
from collections import defaultdict
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Browser, FloatRect

from bench._face_looks import LANGUAGES, THEMES, WIDTHS, Place
from bench._progress import progress
from tests import looking

SHOWN = {360: 270, 1280: 640}  # pixels on the sheet
TALLEST = 1600  # pixels of a page, at its own width
GAP, CAPTION = 12, 22


def make(browser: Browser, place: Place, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[Image.Image]] = defaultdict(list)
    for language in LANGUAGES:
        with looking.window(browser, place.address, language, True, place.world.cookies) as window:
            for page in progress(f"pictures in {language}", place.found):
                window.open(page)
                rows[page.kind].append(_row(window, f"{page.name}, {language}"))
    for kind, pictures in rows.items():
        sheet = _below(pictures)
        sheet.save(folder / f"{kind.replace(' ', '-')}.jpg", quality=80)
    print(f"{len(rows)} sheets in {folder}")


def _row(window: looking.Window, caption: str) -> Image.Image:
    shots = []
    for width, theme in itertools.product(WIDTHS, THEMES):
        window.turn(width, theme)
        tall = min(TALLEST, int(window.page.evaluate("document.documentElement.scrollHeight")))
        clip: FloatRect = {"x": 0, "y": 0, "width": width, "height": tall}
        data = window.page.screenshot(full_page=True, clip=clip, type="jpeg", quality=85)
        shot = Image.open(io.BytesIO(data))
        shots.append(shot.resize((SHOWN[width], round(shot.height * SHOWN[width] / width))))
    return _captioned(shots, caption)


def _captioned(shots: list[Image.Image], caption: str) -> Image.Image:
    width = sum(shot.width + GAP for shot in shots)
    row = Image.new("RGB", (width, max(shot.height for shot in shots) + CAPTION + GAP), "#888")
    ImageDraw.Draw(row).text((GAP, 4), caption, fill="white", font=ImageFont.load_default(14))
    at = GAP // 2
    for shot in shots:
        row.paste(shot, (at, CAPTION))
        at += shot.width + GAP
    return row


def _below(rows: list[Image.Image]) -> Image.Image:
    sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), "#888")
    at = 0
    for row in rows:
        sheet.paste(row, (0, at))
        at += row.height
    return sheet
