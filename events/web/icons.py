"""The mark of the site as browsers and telephones want it: in tabs, in lists of bookmarks, on home screens.

An operator's `icon` where site.toml names one, else the mark of static/favicon.svg in the operator's colours, which
is drawn here a second time because telephones take no SVG. Drawn when it is first asked for, and kept.
"""

import hashlib
import io
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from ..identity import Identity, SiteFile
from ..later import loaded_later
from ..palette import ACCENT, BRAND, WHITE, Palette

if TYPE_CHECKING:
    from PIL import Image, ImageDraw
else:
    Image = loaded_later("PIL.Image")
    ImageDraw = loaded_later("PIL.ImageDraw")

SIZES = {"180": 180, "192": 192, "512": 512, "maskable": 512}  # what /icons/{size}.png answers, in pixels
TOUCH = "180"  # Apple's
OF_A_TAB = (16, 32, 48)  # what favicon.ico holds
GRID = 32  # the side of the mark's square in static/favicon.svg, in units
FINE = 32  # pixels of a unit while drawing: 1024 in all, twice the largest icon
ROUND = 6  # units; telephones round by themselves, and want the whole square
# Within 40 % of the side around the middle nothing is cut off, whatever shape a telephone makes of a maskable icon.
MIDDLE_OF_THE_MARK, SHRUNK = (17.9, 16.0), 0.8
DABS = 120

Spot = tuple[float, float]


def version_of(identity: Identity) -> str:
    """Changes with what icons are made of, and goes into their addresses."""
    return _version(identity.palette, identity.icon)


@lru_cache(maxsize=4)
def _version(palette: Palette, icon: SiteFile | None) -> str:
    made_of = repr((palette, icon and hashlib.sha256(icon.content).hexdigest()))
    return hashlib.sha256(made_of.encode()).hexdigest()[:12]


def address(identity: Identity, size: str) -> str:
    return f"/icons/{size}.png?v={version_of(identity)}"


def coloured(svg: bytes, palette: Palette) -> bytes:
    """The mark of static/favicon.svg in the operator's colours."""
    own = {BRAND: palette.brand, ACCENT: palette.accent, "#fff": palette.on_brand}
    return re.sub(r"#\w+", lambda found: own[found[0]], svg.decode()).encode()


@lru_cache(maxsize=16)
def png(palette: Palette, icon: SiteFile | None, size: str) -> bytes:
    """One of SIZES."""
    pixels = SIZES[size]
    if icon is not None:
        picture = _resized(_opened(icon), pixels)
        # A transparent ground is black on some home screens.
        drawn = _on_white(picture) if size in (TOUCH, "maskable") else picture
    elif size == "maskable":
        drawn = _resized(_mark(palette, 0, SHRUNK), pixels)
    else:
        drawn = _resized(_mark(palette, 0 if size == TOUCH else ROUND), pixels)
    return _written(drawn, "PNG", optimize=True)


@lru_cache(maxsize=2)
def ico(palette: Palette, icon: SiteFile | None) -> bytes:
    """For browsers that know no SVG, and for whatever asks by habit."""
    largest = _resized(_opened(icon) if icon else _mark(palette, ROUND), OF_A_TAB[-1])
    return _written(largest, "ICO", sizes=[(side, side) for side in OF_A_TAB])


# ---------------------------------------------------------------- drawing


def _mark(palette: Palette, corner: float, scale: float = 1.0) -> "Image.Image":
    """`corner`: the radius that the square's corners have; `scale` shrinks the mark around its middle."""
    side = GRID * FINE
    image = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle((0, 0, side - 1, side - 1), corner * FINE, fill=palette.brand)

    middle = MIDDLE_OF_THE_MARK if scale < 1 else (GRID / 2, GRID / 2)

    def box(left: float, top: float, right: float, bottom: float) -> tuple[float, ...]:
        """In pixels; its last row and column count in."""
        edges = zip((left, top, right, bottom), (*middle, *middle), (0, 0, 1, 1), strict=True)
        return tuple((GRID / 2 + (edge - centre) * scale) * FINE - last for edge, centre, last in edges)

    def disc(x: float, y: float, radius: float, colour: str) -> None:
        pen.ellipse(box(x - radius, y - radius, x + radius, y + radius), fill=colour)

    pen.rectangle(box(8, 4, 12, 28), fill=palette.on_brand)
    for x, y in _branch_line():
        disc(x, y, 2, palette.on_brand)
    disc(22, 10, 5.75, palette.on_brand)
    disc(22, 10, 3.25, palette.accent)
    return image


def _branch_line() -> Iterator[Spot]:
    """Points of the curve `M10 23c0-7 12-4 12-11`, close enough for dabs of the pen to run together."""
    corners = ((10.0, 23.0), (10.0, 16.0), (22.0, 19.0), (22.0, 12.0))
    for step in range(DABS + 1):
        t = step / DABS
        weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
        yield (
            sum(weight * x for weight, (x, _) in zip(weights, corners, strict=True)),
            sum(weight * y for weight, (_, y) in zip(weights, corners, strict=True)),
        )


def _opened(icon: SiteFile) -> "Image.Image":
    with Image.open(io.BytesIO(icon.content)) as picture:
        return picture.convert("RGBA")


def _resized(picture: "Image.Image", pixels: int) -> "Image.Image":
    return picture.resize((pixels, pixels), Image.Resampling.LANCZOS)


def _on_white(picture: "Image.Image") -> "Image.Image":
    ground = Image.new("RGBA", picture.size, WHITE)
    ground.alpha_composite(picture)
    return ground.convert("RGB")


def _written(picture: "Image.Image", form: str, **options: object) -> bytes:
    written = io.BytesIO()
    picture.save(written, form, **options)
    return written.getvalue()
