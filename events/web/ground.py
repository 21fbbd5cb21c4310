"""The ground of a map as SVG: land, borders, and areas in geographical size."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from ..places.geo import Point
from ..places.mercator import Box, Track, track
from ..places.outlines import area_within, for_detail
from .pins import Pixel

# Drawn for 720 by 480 pixels, to a tenth of one. It may be shown at any width; the style sheet knows the aspect too.
UNITS = 10
WIDTH, HEIGHT = 720 * UNITS, 480 * UNITS
ASPECT = WIDTH / HEIGHT
BEYOND = 0.35  # how much more of the ground there is to be moved to, on each side, as a part of the map
HIDDEN = 0.02  # and what is drawn besides, so that no side of a cut area is seen
# In pixels: positions closer to each other are left out; more of them as long as the picture would be too large.
LEAST_DETAIL = (0.9, 1.5, 2.5)
LARGEST = 100_000  # characters: some 40 KB compressed


@dataclass(frozen=True, slots=True)
class View:
    """From degrees to the units of the picture."""

    box: Box

    @property
    def per_degree(self) -> float:
        return WIDTH / self.box.width

    @property
    def limits(self) -> tuple[float, float, float, float]:
        """x, y, width and height of what the map can be moved to."""
        beyond = self.box.grown(BEYOND)
        k = self.per_degree
        left, top = min(beyond.west - self.box.west, 0), min(self.box.north - beyond.north, 0)
        return (
            left * k,
            top * k,
            max(beyond.east - self.box.west - left, self.box.width - left) * k,
            max(self.box.north - beyond.south - top, self.box.height - top) * k,
        )

    def at(self, point: Point) -> Pixel:
        """As parts of the width and height of the map, on its side of the date line."""
        [(x, y)] = track([point])
        middle = (self.box.west + self.box.east) / 2
        x += 360 * round((middle - x) / 360)
        return (x - self.box.west) / self.box.width, (self.box.north - y) / self.box.height


def ground(
    view: View,
    *,
    areas: Sequence[Sequence[Track]],
    rings: Sequence[Track],
    precision: Sequence[Track],
    approximate: Sequence[Track],
) -> Markup:
    seen = view.box.grown(BEYOND + HIDDEN)
    layers = [
        *_outlines(view, seen),
        *(("area", _rings(view, area, seen)) for area in areas),
        ("ring", _rings(view, rings, seen)),
        ("precision", _rings(view, precision, seen)),
        *(("approximate", _rings(view, [disc], seen)) for disc in approximate),
    ]
    paths = (Markup('<path class="map__{}" d="{}"/>').format(name, path) for name, path in layers if path)
    return Markup(
        '<svg class="map__ground" viewBox="0 0 {} {}" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
    ).format(WIDTH, HEIGHT, Markup().join(paths))


def _outlines(view: View, seen: Box) -> list[tuple[str, str]]:
    outlines = for_detail(UNITS / view.per_degree)
    land = list(outlines.land.rings(seen))
    countries, states = list(outlines.countries.open_lines(seen)), list(outlines.states.open_lines(seen))
    layers: list[tuple[str, str]] = []
    for detail in LEAST_DETAIL:
        layers = [
            ("land", _path(view, land, detail, closed=True)),
            ("state", _path(view, states, detail, closed=False)),
            ("country", _path(view, countries, detail, closed=False)),
        ]
        if sum(len(path) for _, path in layers) <= LARGEST:
            break
    return layers


def _rings(view: View, rings: Iterable[Track], seen: Box) -> str:
    parts = (part for ring in rings for part in area_within(ring, seen))
    return _path(view, parts, LEAST_DETAIL[0], closed=True)


def _path(view: View, tracks: Iterable[Track], detail: float, *, closed: bool) -> str:
    """As path data: relative, in whole units, without positions closer than `detail` pixels to the one before."""
    west, _, _, north = view.box
    k = view.per_degree
    apart = (detail * UNITS) ** 2
    end = "z" if closed else ""
    parts = []
    for positions in tracks:
        steps: list[int] = []
        start_x = last_x = round((positions[0][0] - west) * k)
        start_y = last_y = round((north - positions[0][1]) * k)
        for x, y in positions:
            dx, dy = (x - west) * k - last_x, (north - y) * k - last_y
            if dx * dx + dy * dy >= apart:
                step_x, step_y = round(dx), round(dy)
                steps += (step_x, step_y)
                last_x, last_y = last_x + step_x, last_y + step_y
        if len(steps) > (2 if closed else 0):
            numbers = " ".join(map(str, steps)).replace(" -", "-")
            parts.append(f"M{start_x} {start_y}l{numbers}{end}")
    return "".join(parts)
