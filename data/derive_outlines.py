"""Derives outlines.json, the land that maps are drawn on, from two packages of the npm registry.

    python data/derive_outlines.py

Needs npm on the path and the standard library, nothing else. The packages are pinned by their integrity and read
out of their archives; nothing of them is installed or unpacked to disk. The same packages give the same bytes.
What is kept, in which coding, and whose it is stands in outlines.md.
"""

import base64
import hashlib
import io
import json
import math
import subprocess
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

TARGET = Path(__file__).with_name("outlines.json")
LARGEST = 400_000  # bytes
PACKAGES = {
    "world-atlas@2.0.2": (
        "sha512-IXfV0qwlKXpckz1FhwXVwKRjiIhOnWttOskm5CtxMsjgE/MXAYRHWJqgXOpM8IkcPBoXnyTU5lFHcYa5ChG0LQ=="
    ),
    "us-atlas@3.0.1": (
        "sha512-wEIZCq0ImPvGblTd8gZMqNNCPkQshugMUG/8nkSWXb02+XqNFREg9atHOKP9w6prLZTpqcLhSvdBW81MkV3/0Q=="
    ),
}

GRID = 0.0025  # degrees: some 280 m
COAST_KM = 0.55  # a coast may be simplified by so much, a border by more: nobody finds their way by it
COUNTRY_KM = 2.0
STATE_KM = 1.2
LAKE_KM = 0.3
COARSER_FROM = 58.0  # degrees of latitude: towards the poles coasts are longer and people fewer
COARSER_EVERY = 3.0
SOUTHERN_ICE = -60.0
KM_PER_DEGREE = 111.2
SYMBOLS = "".join(chr(code) for code in range(35, 127) if chr(code) != "\\")  # JSON has them as they are
LAST_DIGITS = 71  # the symbols of a last digit; the other 20 say that more follow

Position: TypeAlias = tuple[float, float]  # longitude, latitude
Line: TypeAlias = list[Position]

# Neither package has the Canadian shore of the Great Lakes (land and countries of Natural Earth go on below lakes).
# It is drawn by hand here from harbour to harbour (latitude, longitude), true to a few kilometres, because a lake
# that ends at a border would be worse. From the mouth of the Pigeon River down to the Thousand Islands.
CANADIAN_SHORE = """
48.00,-89.57 48.10,-89.45 48.26,-89.27 48.38,-89.21 48.48,-89.15 48.55,-88.95 48.45,-88.86 48.31,-88.92 48.38,-88.78
48.55,-88.66 48.70,-88.50 48.55,-88.45 48.70,-88.22 48.98,-88.26 48.90,-88.05 48.82,-87.55 48.78,-87.10 48.80,-86.90
48.76,-86.60 48.72,-86.39 48.63,-86.31 48.42,-86.20 48.28,-86.12 48.08,-86.03 47.96,-85.80 47.94,-85.40 47.95,-84.86
47.80,-84.90 47.58,-84.97 47.45,-84.78 47.24,-84.65 47.03,-84.79 46.95,-84.65 46.83,-84.48 46.76,-84.57 46.65,-84.53
46.53,-84.59 46.49,-84.45 46.51,-84.33 46.44,-84.13 46.30,-83.80 46.25,-83.55 46.21,-83.25 46.18,-82.96 46.19,-82.60
46.18,-82.34 46.12,-82.05 46.07,-81.75 45.97,-81.50 45.96,-81.15 45.93,-80.90 45.78,-80.60 45.57,-80.45 45.38,-80.20
45.30,-80.05 45.10,-80.00 44.92,-79.86 44.79,-79.74 44.76,-79.90 44.87,-80.02 44.70,-80.08 44.52,-80.03 44.50,-80.22
44.57,-80.47 44.61,-80.60 44.70,-80.75 44.58,-80.94 44.75,-80.90 44.97,-80.99 44.76,-81.12 44.98,-81.24 45.24,-81.30
45.26,-81.66 45.10,-81.48 44.95,-81.38 44.75,-81.30 44.50,-81.38 44.30,-81.58 44.18,-81.64 43.95,-81.72 43.74,-81.72
43.55,-81.71 43.32,-81.77 43.22,-82.00 43.08,-82.15 43.00,-82.41 42.80,-82.47 42.61,-82.50 42.55,-82.60 42.47,-82.42
42.33,-82.43 42.30,-82.65 42.34,-82.88 42.32,-83.05 42.23,-83.10 42.10,-83.11 42.03,-83.10 41.98,-82.92 42.03,-82.73
42.03,-82.60 41.91,-82.51 42.06,-82.45 42.20,-82.12 42.26,-81.90 42.40,-81.70 42.62,-81.35 42.66,-81.20 42.64,-80.80
42.58,-80.47 42.57,-80.20 42.55,-80.06 42.62,-80.38 42.70,-80.32 42.78,-80.19 42.80,-79.95 42.85,-79.58 42.87,-79.25
42.86,-79.05 42.90,-78.92 43.00,-79.02 43.09,-79.07 43.17,-79.06 43.26,-79.07 43.21,-79.26 43.20,-79.55 43.26,-79.76
43.29,-79.84 43.32,-79.79 43.44,-79.66 43.55,-79.57 43.63,-79.46 43.64,-79.36 43.71,-79.23 43.81,-79.08 43.86,-78.83
43.90,-78.66 43.91,-78.55 43.95,-78.28 43.96,-78.16 44.00,-77.85 43.99,-77.72 44.05,-77.62 43.95,-77.35 43.89,-77.25
43.84,-77.15 43.93,-76.87 44.05,-77.05 44.15,-76.80 44.23,-76.48 44.28,-76.30
"""
MANITOULIN = """
45.92,-83.13 45.82,-83.00 45.83,-82.75 45.72,-82.50 45.65,-82.27 45.55,-82.05 45.53,-81.92 45.65,-81.82 45.80,-81.57
45.90,-81.75 45.98,-81.92 45.90,-82.10 45.93,-82.30 45.93,-82.50 45.90,-82.70 45.96,-82.90
"""
EAST_END = (-76.33, 44.13)  # Cape Vincent, where Lake Ontario ends
WEST_END = (-89.57, 48.00)  # the mouth of the Pigeon River
CHICAGO = (-87.61, 41.89)  # between the two, the shore of the United States goes by here


def main() -> None:
    world, states = sources()
    land = land_of(world, states)
    layers = {
        "land": sorted(unrolled(ring) for ring in land),
        "countries": [world.line(arc, COUNTRY_KM) for arc in world.shared("countries")],
        "states": [states.line(arc, STATE_KM) for arc in states.shared("states")],
    }
    document = {
        "about": "Land, borders of countries and of US states. See outlines.md for the sources and the coding.",
        "packages": sorted(PACKAGES),
        "grid": GRID,
        **{name: coded(lines, closed=name == "land") for name, lines in layers.items()},
    }
    text = json.dumps(document, indent=0) + "\n"
    if len(text) > LARGEST:
        raise SystemExit(f"outlines.json would have {len(text)} bytes, more than {LARGEST}.")
    TARGET.write_text(text, encoding="ascii")
    print(f"{TARGET}: {len(text)} bytes, {sum(map(len, land))} points of {len(land)} pieces of land")


class Topology:
    """A TopoJSON file: arcs that neighbours share, and objects that are made of them."""

    def __init__(self, content: bytes) -> None:
        document: dict[str, Any] = json.loads(content)
        self._objects: dict[str, Any] = document["objects"]
        scale, shift = document["transform"]["scale"], document["transform"]["translate"]
        self.arcs = [_absolute(arc, scale, shift) for arc in document["arcs"]]

    def polygons(self, name: str) -> Iterator[tuple[int, list[list[int]]]]:
        """Each polygon of an object as the number of its geometry and its rings of arcs; ~arc is backwards."""
        for number, geometry in enumerate(self._objects[name]["geometries"]):
            several = geometry["type"] == "MultiPolygon"
            for polygon in geometry["arcs"] if several else [geometry["arcs"]]:
                yield number, polygon

    def shared(self, name: str) -> list[int]:
        """The arcs between two neighbours."""
        uses = Counter(arc_number(arc) for _, rings in self.polygons(name) for ring in rings for arc in ring)
        return sorted(arc for arc, count in uses.items() if count > 1)

    def line(self, arc: int, tolerance_km: float) -> Line:
        return continuous(simplified(self.arcs[arc], tolerance_km))

    def ring(self, arcs: Sequence[int], tolerance_km: float) -> Line:
        """The arcs in a row, without the last position, which is the first. Arcs are simplified one by one, so
        that the places stay where three of them meet."""
        joined: Line = []
        for arc in arcs:
            line = simplified(self.arcs[arc_number(arc)], tolerance_km)
            joined += (line if arc >= 0 else line[::-1])[:-1]
        return continuous(joined)


def sources() -> tuple[Topology, Topology]:
    """The world and the United States. Stops unless the archives are the ones that were pinned."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", "--pack-destination", folder]
        subprocess.run([*command, *PACKAGES], check=True, stdout=subprocess.DEVNULL)
        archives = {path.stem.rpartition("-")[0]: path.read_bytes() for path in Path(folder).glob("*.tgz")}
    for package, integrity in PACKAGES.items():
        digest = hashlib.sha512(archives[package.partition("@")[0]]).digest()
        if f"sha512-{base64.b64encode(digest).decode()}" != integrity:
            raise SystemExit(f"{package} is not the package that was pinned.")
    return (
        Topology(_member(archives["world-atlas"], "package/countries-10m.json")),
        Topology(_member(archives["us-atlas"], "package/states-10m.json")),
    )


def land_of(world: Topology, states: Topology) -> list[Line]:
    """Rings of land, of lakes within it, and of islands within these: to be filled by the even-odd rule."""
    largest: dict[int, tuple[float, int]] = {}
    for country, polygon in world.polygons("countries"):
        area = area_km2(world.ring(polygon[0], 0))
        largest[country] = max(largest.get(country, (0.0, 0)), (area, arc_number(polygon[0][0])))
    needed = {arc for _, arc in largest.values()}  # of each country, however small, something is to be seen
    rings = []
    for _, polygon in world.polygons("land"):
        for arcs in polygon:
            ring = world.ring(arcs, COAST_KM)
            if len(ring) > 2 and (worth_keeping(ring) or needed & {arc_number(arc) for arc in arcs}):
                rings.append(ring)
    lakes = great_lakes(states)
    return [*joined(rings), lakes, *islands_within(lakes, states)]


def joined(rings: Iterable[Line]) -> list[Line]:
    """Land is cut at the date line in the source: the parts are put together, or the cut would look like a coast."""
    whole: list[Line] = []
    western: list[Line] = []
    eastern: list[Line] = []
    for ring in rings:
        opened = opened_at_the_date_line(ring)
        if opened is None:
            whole.append(ring)
        else:
            middle = sum(longitude for longitude, _ in opened) / len(opened)
            (western if middle < 180 else eastern).append(opened)
    for ring in western:
        other = min(eastern, key=lambda part: abs(part[0][1] - ring[-1][1]))
        eastern.remove(other)
        whole.append(ring + other)
    return whole + eastern


def opened_at_the_date_line(ring: Line) -> Line | None:
    """The ring from one end of its longest edge along the line to the other; None if it has no such edge."""
    edges = [
        (abs(b[1] - a[1]), after)
        for after, (a, b) in enumerate(zip(ring, [*ring[1:], ring[0]], strict=True), 1)
        if on_the_date_line(a) and on_the_date_line(b)
    ]
    if not edges:
        return None
    _, start = max(edges)
    turned = ring[start:] + ring[:start]
    shift = 180 - turned[0][0]
    return [(longitude + shift, latitude) for longitude, latitude in turned]


def on_the_date_line(at: Position) -> bool:
    return abs(at[0] % 360 - 180) < 1e-6


def great_lakes(states: Topology) -> Line:
    """From Superior to Ontario as one ring: the shore of the United States, and back along Canada's."""
    mainland = max((states.ring(rings[0], LAKE_KM) for _, rings in states.polygons("nation")), key=len)
    start = nearest(mainland, EAST_END)
    turned = mainland[start:] + mainland[:start]
    end, by_the_way = nearest(turned, WEST_END), nearest(turned, CHICAGO)
    shore = turned[: end + 1] if by_the_way < end else [turned[0], *turned[:end:-1], turned[end]]
    return shore + _by_hand(CANADIAN_SHORE)


def islands_within(lakes: Line, states: Topology) -> list[Line]:
    islands = [states.ring(rings[0], LAKE_KM) for _, rings in states.polygons("nation")]
    found = [island for island in islands if inside(lakes, island[0]) and worth_keeping(island)]
    return [*found, _by_hand(MANITOULIN)]


def simplified(line: Line, tolerance_km: float) -> Line:
    """Douglas and Peucker: whatever is left out lies within the tolerance of what is kept.

    What lies on the date line is kept, or the parts on its two sides would not fit together.
    """
    across = KM_PER_DEGREE * math.cos(math.radians(sum(latitude for _, latitude in line) / len(line)))
    flat = [(longitude * across, latitude * KM_PER_DEGREE) for longitude, latitude in line]
    allowed = [(tolerance_km * coarseness(latitude)) ** 2 for _, latitude in line]
    ends = [0, *(at for at, position in enumerate(line) if on_the_date_line(position)), len(line) - 1]
    kept = set(ends)
    open_spans = list(pairwise(ends))
    while open_spans:
        first, last = open_spans.pop()
        excess, farthest = max(
            (
                (_distance2(flat[at], flat[first], flat[last]) - allowed[at], at)
                for at in range(first + 1, last)
            ),
            default=(0.0, 0),
        )
        if excess > 0:
            kept.add(farthest)
            open_spans += [(first, farthest), (farthest, last)]
    return [line[at] for at in sorted(kept)]


def coarseness(latitude: float) -> float:
    ice = 3.0 if latitude < SOUTHERN_ICE else 1.0
    return ice * max(1.0, 1 + (abs(latitude) - COARSER_FROM) / COARSER_EVERY)


def worth_keeping(ring: Line) -> bool:
    return area_km2(ring) > 8 * (COAST_KM * coarseness(ring[0][1])) ** 2


def continuous(line: Line) -> Line:
    """Longitudes that go on beyond 180 where the line crosses the date line."""
    result = line[:1]
    for longitude, latitude in line[1:]:
        before = result[-1][0]
        result.append((longitude + 360 * round((before - longitude) / 360), latitude))
    return result


def unrolled(ring: Line) -> Line:
    """A ring around the pole (Antarctica) becomes an area below a coast that goes twice around the earth, so that
    no window has a seam in it."""
    turn = round((ring[-1][0] - ring[0][0]) / 360) * 360
    if not turn:
        return ring
    coast = ring if turn > 0 else ring[::-1]
    start = min(range(len(coast)), key=lambda at: abs(coast[at][0]))
    once = coast[start:] + [(longitude + 360, latitude) for longitude, latitude in coast[:start]]
    twice = [(longitude + shift, latitude) for shift in (-360, 0) for longitude, latitude in once]
    return [*twice, (twice[-1][0], -89.0), (twice[0][0], -89.0)]


def area_km2(ring: Line) -> float:
    across = math.cos(math.radians(ring[0][1])) * KM_PER_DEGREE**2
    pairs = zip(ring, [*ring[1:], ring[0]], strict=True)
    return abs(sum(a * d - c * b for (a, b), (c, d) in pairs)) / 2 * across


def inside(ring: Line, at: Position) -> bool:
    crossings = 0
    for (a, b), (c, d) in zip(ring, [*ring[1:], ring[0]], strict=True):
        if (b > at[1]) != (d > at[1]):
            crossings += at[0] < a + (at[1] - b) / (d - b) * (c - a)
    return crossings % 2 == 1


def nearest(line: Line, to: Position) -> int:
    return min(range(len(line)), key=lambda at: math.dist(line[at], to))


def arc_number(arc: int) -> int:
    return arc if arc >= 0 else ~arc


def coded(lines: Iterable[Line], *, closed: bool) -> str:
    """Lines separated by spaces: each position as its steps in longitude and latitude from the one before, the
    first from the last of the line before."""
    words = []
    before = (0, 0)
    for line in lines:
        on_grid = [(round(longitude / GRID), round(latitude / GRID)) for longitude, latitude in line]
        distinct = [at for at, last in zip(on_grid, [None, *on_grid], strict=False) if at != last]
        if len(distinct) < (3 if closed else 2):
            continue
        word = ""
        for at in distinct:
            word += _number(at[0] - before[0]) + _number(at[1] - before[1])
            before = at
        words.append(word)
    return " ".join(words)


def _number(value: int) -> str:
    """0, -1, 1, -2 … as 0, 1, 2, 3 …: digits of base 20 while more than one of base 71 is left, smallest first."""
    rest = value * 2 if value >= 0 else -value * 2 - 1
    word = ""
    while rest >= LAST_DIGITS:
        rest, digit = divmod(rest, len(SYMBOLS) - LAST_DIGITS)
        word += SYMBOLS[LAST_DIGITS + digit]
    return word + SYMBOLS[rest]


def _absolute(arc: Sequence[Sequence[int]], scale: Sequence[float], shift: Sequence[float]) -> Line:
    x = y = 0
    line = []
    for step_x, step_y in arc:
        x, y = x + step_x, y + step_y
        line.append((x * scale[0] + shift[0], y * scale[1] + shift[1]))
    return line


def _distance2(at: Position, start: Position, end: Position) -> float:
    """The square of the distance from a position to the piece of line between two others."""
    x, y, dx, dy = at[0] - start[0], at[1] - start[1], end[0] - start[0], end[1] - start[1]
    length2 = dx * dx + dy * dy
    along = min(1.0, max(0.0, (x * dx + y * dy) / length2)) if length2 else 0.0
    return float((x - along * dx) ** 2 + (y - along * dy) ** 2)


def _by_hand(pairs: str) -> Line:
    return [
        (float(longitude), float(latitude)) for latitude, longitude in (p.split(",") for p in pairs.split())
    ]


def _member(archive: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        file = opened.extractfile(name)
        if file is None:
            raise SystemExit(f"The package has no {name}.")
        return file.read()


if __name__ == "__main__":
    main()
