"""Land, and borders of countries and states, as far as a map shows them. From data/outlines.json; no socket.

The file is read at the first map, in about a fifth of a second, and kept in flat arrays: 150,000 positions that add
5 MB to a process, 6 MB with the coarser copies for wide maps. data/outlines.md says where they come from and how they
are coded.
"""

import json
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TypeAlias

from .mercator import Box, Track, y_of

DATA = (Path(__file__).parent.parent / "data", Path(__file__).parent.parent.parent / "data")
SYMBOLS = "".join(chr(code) for code in range(35, 127) if chr(code) != "\\")
DIGITS = bytes(max(SYMBOLS.find(chr(code)), 0) for code in range(256))
LAST_DIGITS = 71  # of the symbols end a number; the others say that more follow

# Coarser copies for wider maps: neighbouring positions of one are at least so many degrees apart.
STEPS = (0.0, 0.03, 0.1, 0.35)
FINER_THAN_SEEN = 0.8  # of the smallest detail that a map can show
PIECE = 32  # positions that are looked at, or passed over, together
TURNS = (-360, 0, 360)  # a window may lie on the date line

Flat: TypeAlias = "array[float]"


@dataclass(frozen=True, slots=True)
class Outlines:
    land: "Lines"  # rings, lakes and islands in them too: to be filled by the even-odd rule
    countries: "Lines"
    states: "Lines"


@lru_cache
def outlines(copy: int) -> Outlines:
    """Copy 0 is the finest."""
    if copy:
        finer = outlines(copy - 1)
        kinds = (finer.land, finer.countries, finer.states)
        return Outlines(*(lines.thinned(STEPS[copy], lines is finer.land) for lines in kinds))
    folder = next(path for path in DATA if (path / "outlines.json").is_file())
    document = json.loads((folder / "outlines.json").read_bytes())
    grid = float(document["grid"])
    return Outlines(*(Lines(decoded(document[name], grid)) for name in ("land", "countries", "states")))


def for_detail(degrees: float) -> Outlines:
    """The coarsest copy that is fine enough where so many degrees are the smallest that can be seen."""
    return outlines(max(copy for copy, step in enumerate(STEPS) if step <= degrees * FINER_THAN_SEEN))


class Boxes:
    """Many boxes, and quickly those that meet another."""

    __slots__ = ("_east", "_north", "_south", "_west")

    def __init__(self) -> None:
        self._west, self._south = array("f"), array("f")
        self._east, self._north = array("f"), array("f")

    def add(self, xs: Flat, ys: Flat) -> None:
        self._west.append(min(xs))
        self._south.append(min(ys))
        self._east.append(max(xs))
        self._north.append(max(ys))

    def meeting(self, box: Box, first: int = 0, end: int | None = None) -> Iterator[int]:
        """The numbers from `first` to before `end` of those that meet the box."""
        west, south, east, north = box
        sides = (self._west[first:end], self._south[first:end], self._east[first:end], self._north[first:end])
        for number, (w, s, e, n) in enumerate(zip(*sides, strict=True), first):
            if w <= east and e >= west and s <= north and n >= south:
                yield number

    def __getitem__(self, number: int) -> Box:
        return Box(self._west[number], self._south[number], self._east[number], self._north[number])


class Lines:
    """Rings or open lines, one after the other in two arrays, with the box of each and of each piece of it."""

    __slots__ = ("_boxes", "_first_piece", "_pieces", "_starts", "_x", "_y")

    def __init__(self, lines: Iterable[tuple[Flat, Flat]]) -> None:
        self._x, self._y = array("f"), array("f")
        self._starts, self._first_piece = array("I", [0]), array("I")
        self._boxes, self._pieces = Boxes(), Boxes()
        pieces = 0
        for xs, ys in lines:
            self._boxes.add(xs, ys)
            self._first_piece.append(pieces)
            for at in range(0, len(xs), PIECE):
                self._pieces.add(xs[at : at + PIECE], ys[at : at + PIECE])
                pieces += 1
            self._x += xs
            self._y += ys
            self._starts.append(len(self._x))
        self._first_piece.append(pieces)

    def __len__(self) -> int:
        return len(self._starts) - 1

    def rings(self, window: Box) -> Iterator[Track]:
        """The area that lies in the window, cut at its sides. Nothing but land is drawn as land."""
        for number, turn in self._near(window):
            turned = window.shifted(-turn)
            ring = self._reduced(number, turned)
            if not turned.holds(self._boxes[number]):
                ring = clipped(ring, turned)
            if ring:
                yield _turned(ring, turn)

    def open_lines(self, window: Box) -> Iterator[Track]:
        """What of the lines may be seen in the window. Steps across its sides are left whole."""
        for number, turn in self._near(window):
            for run in seen_runs(self._reduced(number, window.shifted(-turn)), window.shifted(-turn)):
                yield _turned(run, turn)

    def thinned(self, step: float, closed: bool) -> "Lines":
        """Without positions that are closer than `step` degrees to the one before, and without what is smaller."""
        thin = (thinned(*self._line(number), step) for number in range(len(self)))
        return Lines((xs, ys) for xs, ys in thin if len(xs) > (2 if closed else 1))

    def _line(self, number: int) -> tuple[Flat, Flat]:
        there = slice(self._starts[number], self._starts[number + 1])
        return self._x[there], self._y[there]

    def _near(self, window: Box) -> Iterator[tuple[int, int]]:
        """Lines that meet the window, and how many degrees they must be turned to do so."""
        for turn in TURNS:
            for number in self._boxes.meeting(window.shifted(-turn)):
                if not turn or self._boxes[number].width < 360:  # Antarctica lies there twice already
                    yield number, turn

    def _reduced(self, number: int, window: Box) -> Track:
        """A piece that lies beyond one side of the window becomes the step from its first to its last position,
        which lies beyond that side too: inside the window nothing changes."""
        start, end = self._starts[number], self._starts[number + 1]
        first_piece = self._first_piece[number]
        seen = set(self._pieces.meeting(window, first_piece, self._first_piece[number + 1]))
        positions: Track = []
        for piece, first in enumerate(range(start, end, PIECE), first_piece):
            last = min(first + PIECE, end)
            if piece in seen:
                positions += zip(self._x[first:last], self._y[first:last], strict=True)
            else:
                positions += ((self._x[at], self._y[at]) for at in (first, last - 1))
        return positions


def area_within(ring: Track, window: Box) -> Iterator[Track]:
    """The parts of any area that lie in the window, on whichever side of the date line it was drawn."""
    for turn in TURNS:
        if inside := clipped(ring, window.shifted(-turn)):
            yield _turned(inside, turn)


def clipped(ring: Track, window: Box) -> Track:
    """The part of an area that lies in the window (Sutherland and Hodgman): one ring, which may run along its sides."""
    sides = ((0, window.west, 1), (0, window.east, -1), (1, window.south, 1), (1, window.north, -1))
    for axis, limit, sign in sides:
        if not ring:
            break
        inside: Track = []
        before = ring[-1]
        depth_before = (before[axis] - limit) * sign
        for at in ring:
            depth = (at[axis] - limit) * sign
            if (depth < 0) != (depth_before < 0):
                part = depth_before / (depth_before - depth)
                inside.append(
                    (before[0] + part * (at[0] - before[0]), before[1] + part * (at[1] - before[1]))
                )
            if depth >= 0:
                inside.append(at)
            before, depth_before = at, depth
        ring = inside
    return ring


def seen_runs(line: Track, window: Box) -> Iterator[Track]:
    """The line without the steps that lie beyond one side of the window."""
    west, south, east, north = window
    run: Track = []
    for at, to in pairwise(line):
        (ax, ay), (bx, by) = at, to
        beside = (ax < west and bx < west) or (ax > east and bx > east)
        if beside or (ay < south and by < south) or (ay > north and by > north):
            if run:
                yield run
            run = []
        else:
            run += (to,) if run else (at, to)
    if run:
        yield run


def thinned(xs: Flat, ys: Flat, step: float) -> tuple[Flat, Flat]:
    """Without positions closer than `step` to the last one that was kept. The end of what is larger stays."""
    kept_x, kept_y = xs[:1], ys[:1]
    at_x, at_y = xs[0], ys[0]
    step2 = step * step
    last = len(xs) - 1
    for number, (x, y) in enumerate(zip(xs, ys, strict=True)):
        far = (x - at_x) * (x - at_x) + (y - at_y) * (y - at_y) >= step2
        if far or (number == last and len(kept_x) > 1):
            kept_x.append(x)
            kept_y.append(y)
            at_x, at_y = x, y
    return kept_x, kept_y


def _turned(line: Track, turn: int) -> Track:
    return [(x + turn, y) for x, y in line] if turn else line


def decoded(text: str, grid: float) -> Iterator[tuple[Flat, Flat]]:
    """Each line in `text`: x and y of its positions."""
    longitude = latitude = 0
    for word in text.split():
        steps = _numbers(word)
        longitudes = list(accumulate(steps[::2], initial=longitude))[1:]
        latitudes = list(accumulate(steps[1::2], initial=latitude))[1:]
        longitude, latitude = longitudes[-1], latitudes[-1]
        yield array("f", [x * grid for x in longitudes]), array("f", [y_of(y * grid) for y in latitudes])


def _numbers(word: str) -> list[int]:
    numbers = []
    value, unit = 0, 1
    for digit in word.encode("ascii").translate(DIGITS):
        if digit < LAST_DIGITS:
            value += digit * unit
            numbers.append(-(value + 1) // 2 if value % 2 else value // 2)
            value, unit = 0, 1
        else:
            value += (digit - LAST_DIGITS) * unit
            unit *= len(SYMBOLS) - LAST_DIGITS
    return numbers
