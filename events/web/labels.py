"""Where the names of towns stand on a map: beside their dots, and over nothing else that must be read. Pure.

Words keep their size while the ground grows, with the map or as it is moved closer. So each name stands where it is
clear of everything from some width of the map on, and is shown from that width on.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import chain, takewhile
from typing import Literal, NamedTuple, TypeAlias

from ..places.towns import Town
from .ground import ASPECT

# Widths of the map in rem, and how many names may stand on it, and beside it. The style sheet knows the first of them.
# A map that was moved closer counts as so much wider; one that shows more than at first, as the narrowest.
LEVELS = {18: 10, 30: 16, 45: 24, 90: 60}
NARROWEST, FEW = 10, 6
REM = 16
SIZE, STRONG_SIZE = 0.75 * REM, 0.8125 * REM  # of the letters
LINE = 14.0
DOT = 3.0
EDGE = 3.0
APART = (5.0, 2.0)  # two names
LONGEST = 24  # letters
# A name stands out if its town weighs so many times as much as the one in the middle of the list, and the heaviest does
# not weigh so many times as much.
STRONG, ALMOST = 8, 3
# A place that lies well within the reach of a larger town is one of its quarters, and is named where that reach is as
# wide as this.
QUARTERS = 80.0
WELL_WITHIN, MUCH_LARGER = 0.75, 3
# As wide, a town is an area rather than a dot: its name may stand so far from its middle, as a part of its reach.
WANDERING, STEP = 0.45, 14.0
ONE_NAME = 16.0  # around a pin that covers several towns
FULL_PINS = 30  # rem: on narrower maps the style sheet makes them smaller
GRAIN = 3  # pixels, of what is known to be taken

Box: TypeAlias = tuple[float, float, float, float]  # left, top, right and bottom, in pixels from a point
NOTHING: Box = (0.0, 0.0, 0.0, 0.0)
Anchor = Literal["start", "middle", "end"]
Side: TypeAlias = tuple[Anchor, float, float]
BESIDE: tuple[Side, ...] = (("start", 6, 0), ("end", -6, 0), ("middle", 0, -10), ("middle", 0, 10))
# Where a mark covers the dot, and so much of what is around it.
FARTHER: tuple[Side, ...] = (
    ("start", 17, 0),
    ("end", -17, 0),
    ("middle", 0, -21),
    ("middle", 0, 21),
    ("start", 12, -14),
    ("start", 12, 14),
    ("end", -12, -14),
    ("end", -12, 14),
)
NARROW = frozenset("iljftrI1.,'’‘|()[]-/ ")
WIDE = frozenset("mwMWæœÆŒ@")


class Taken(NamedTuple):
    """So many pixels around a point, which is in parts of the map. `across`: a part of its width beyond them, too."""

    x: float
    y: float
    box: Box
    across: float = 0.0

    @classmethod
    def around(cls, at: tuple[float, float], aside: float, above: float | None = None) -> "Taken":
        above = aside if above is None else above
        return cls(*at, (-aside, -above, aside, above))


class Marks(NamedTuple):
    """What names keep clear of. Pins and marks may cover the dot of a town, but words may not."""

    pins: Sequence[tuple[float, float]]
    radii: tuple[float, float]  # of the pins, on a narrow map and on a wide one
    others: Sequence[Taken]
    words: Sequence[Taken]
    corners: Sequence[Taken] = ()  # stay where they are when the map is moved


class Placed(NamedTuple):
    """A town on a map. `reach`: how far it goes, as a part of the width of the map."""

    town: Town
    x: float
    y: float
    reach: float

    @property
    def is_inside(self) -> bool:
        return 0 <= self.x <= 1 and 0 <= self.y <= 1


class Label(NamedTuple):
    """A name beside the dot at a point, or alone."""

    name: str
    weight: int
    x: float
    y: float
    box: Box
    anchor: Anchor
    aside: tuple[float, float]  # pixels from the point to the text
    strong: bool
    dot: bool

    @property
    def is_inside(self) -> bool:
        return 0 <= self.x <= 1 and 0 <= self.y <= 1


# In rem: from which on names are shown, and from which on they are not any more.
Widths: TypeAlias = tuple[int, int | None]


def labels(towns: Sequence[Placed], marks: Marks) -> dict[Widths, list[Label]]:
    """Of the towns, the best known of which come first, those that find room.

    What is beside its dot has room at every larger width, too. What is not gets away from its town as the map grows,
    and looks for another place at the next width.
    """
    strong = _strong(towns)
    waiting = [_Candidate(town, towns, strong) for town in _well_named(towns)]
    found: dict[Widths, list[Label]] = {}
    for rem, until in zip(LEVELS, [*[*LEVELS][1:], None], strict=True):
        board = _Board(rem, marks)
        kept = [label for (_, end), same in found.items() if end is None for label in same]
        for label in kept:
            board.take(label)
        placed, waiting = _placed(board, waiting, Counter(label.is_inside for label in kept), LEVELS[rem])
        found[rem, None] = [label for label in placed if label.dot]
        found.setdefault((rem, until), []).extend(label for label in placed if not label.dot)
    return {**_narrowest(found, marks), **found}


def _placed(
    board: "_Board", waiting: Sequence["_Candidate"], counts: Counter[bool], most: int
) -> tuple[list[Label], list["_Candidate"]]:
    """Those that find room now, and who looks for it at the next width."""
    placed, left = [], []
    for one in waiting:
        label = one.placed(board) if counts[one.at.is_inside] < most else None
        if label:
            board.take(label)
            placed.append(label)
            counts[label.is_inside] += 1
        if not label or not label.dot:
            left.append(one)
    return placed, left


def _narrowest(found: dict[Widths, list[Label]], marks: Marks) -> dict[Widths, list[Label]]:
    """Takes out of what is found those that are clear on the narrowest map already."""
    board = _Board(NARROWEST, marks)
    clear: dict[Widths, list[Label]] = {}
    first = [(label, widths) for widths in found if widths[0] == min(LEVELS) for label in found[widths]]
    for label, widths in sorted(first, key=lambda one: -one[0].weight):
        if sum(map(len, clear.values())) < FEW and board.has_room(label):
            board.take(label)
            clear.setdefault((NARROWEST, widths[1]), []).append(label)
            found[widths].remove(label)
    return clear


def _strong(towns: Sequence[Placed]) -> float:
    """From what weight on a name stands out."""
    weights = [at.town.weight for at in towns if at.is_inside] or [0]
    return max(STRONG * weights[len(weights) // 2], weights[0] / ALMOST)


def _well_named(towns: Sequence[Placed]) -> Iterator[Placed]:
    """Without those that are named after a better known one: Madrid Centro is Madrid."""
    seen: set[str] = set()
    for at in towns:
        words = re.findall(r"\w+", at.town.name.casefold())
        beginnings = {" ".join(words[:count]) for count in range(1, len(words) + 1)}
        if len(at.town.name) <= LONGEST and not beginnings & seen:
            yield at
        seen.add(" ".join(words))


class _Candidate:
    """A name that looks for a place."""

    def __init__(self, at: Placed, towns: Sequence[Placed], strong: float) -> None:
        self.at, self._towns = at, towns
        self._strong = at.town.weight >= strong
        self._half = text_width(at.town.name, self._strong) / 2
        self._quarter_until = _quarter_until(at, towns)

    def placed(self, board: "_Board") -> Label | None:
        if board.width < self._quarter_until:
            return None
        places: Iterable[Label] = ()
        if not board.is_covered(self.at):
            places = self._beside if not board.is_taken(self.at) else ()
        elif self._alone * board.width > ONE_NAME:
            places = self._off(FARTHER, board.width)
        around = self._off(self._around(board.width), board.width)
        return next(filter(board.has_room, chain(places, around)), None)

    @cached_property
    def _alone(self) -> float:
        """How far the next better known town is, in widths of the map."""
        here = (self.at.x, self.at.y / ASPECT)
        others = takewhile(lambda other: other is not self.at, self._towns)
        return min((math.dist((at.x, at.y / ASPECT), here) for at in others), default=math.inf)

    @cached_property
    def _beside(self) -> list[Label]:
        """With a dot."""
        return [self._label(anchor, (x, y), dot=True) for anchor, x, y in BESIDE]

    def _off(self, sides: Iterable[Side], width: float) -> Iterator[Label]:
        """Without one. The point moves to where the name is, so that others do not come closer as the map grows."""
        for anchor, x, y in sides:
            label = self._label(anchor, (0, 0), dot=False)
            label = label._replace(x=self.at.x + x / width, y=self.at.y + y / width * ASPECT)
            if label.is_inside == self.at.is_inside:
                yield label

    def _label(self, anchor: Anchor, aside: tuple[float, float], *, dot: bool) -> Label:
        x, y = aside
        left, top = x - {"start": 0.0, "middle": 1.0, "end": 2.0}[anchor] * self._half, y - LINE / 2
        right, bottom = left + 2 * self._half, y + LINE / 2
        if dot:
            left, top, right, bottom = min(left, -DOT), min(top, -DOT), max(right, DOT), max(bottom, DOT)
        box = (left, top, right, bottom)
        return Label(
            self.at.town.name,
            self.at.town.weight,
            self.at.x,
            self.at.y,
            box,
            anchor,
            aside,
            self._strong,
            dot,
        )

    def _around(self, width: float) -> Iterator[Side]:
        """Of a town that is an area here, other places in it, the nearest to its middle first."""
        reach = self.at.reach * width
        if reach < QUARTERS or not self.at.is_inside:
            return
        for step in range(1, math.floor(reach * WANDERING / STEP) + 1):
            for turn in range(8):
                angle = math.tau * turn / 8
                yield "middle", step * STEP * math.cos(angle), step * STEP * math.sin(angle)


def _quarter_until(at: Placed, towns: Sequence[Placed]) -> float:
    """How many pixels wide the map must be for the place to be more than a part of a larger town."""
    widest = 0.0
    for other in towns:
        if other.town.population < at.town.population * MUCH_LARGER:
            continue
        x, y = other.x - at.x, (other.y - at.y) / ASPECT
        if x * x + y * y < (other.reach * WELL_WITHIN) ** 2:
            widest = max(widest, QUARTERS / other.reach)
    return widest


@lru_cache(4096)
def text_width(text: str, strong: bool = False) -> float:
    """Pixels that the text takes in any of the usual fonts, rather too many."""
    return sum(map(_letter_width, text)) * (STRONG_SIZE * 1.08 if strong else SIZE)


def _letter_width(letter: str) -> float:
    """In widths of an em."""
    if letter in NARROW:
        return 0.36
    if letter in WIDE:
        return 0.92
    if unicodedata.combining(letter):
        return 0.0
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.0
    if letter.isascii() or unicodedata.name(letter, "").startswith("LATIN"):
        return 0.7 if letter.isupper() or letter.isdigit() else 0.6
    return 0.75


Rows: TypeAlias = dict[int, int]


class _Board:
    """What is taken of a map and its surroundings: a bit for each GRAIN pixels of each row."""

    def __init__(self, rem: int, marks: Marks) -> None:
        self.width = float(rem * REM)
        self._height = self.width / ASPECT
        self._moved = rem == NARROWEST
        self._left = self.width + LONGEST * SIZE  # as far may a name reach to the left
        self._covered: Rows = {}
        radius = marks.radii[rem >= FULL_PINS]
        for x, y in marks.pins:
            self._fill(self._covered, x, y, (-radius, -radius, radius, radius))
        for mark in marks.others:
            self._fill(self._covered, *mark)
        self._rows = self._covered.copy()
        for mark in (*marks.words, *(() if self._moved else marks.corners)):
            self._fill(self._rows, *mark)

    def is_covered(self, at: Placed) -> bool:
        """Whether a pin or another mark stands on the town."""
        return not self._is_free(self._covered, at.x * self.width, at.y * self._height, NOTHING)

    def is_taken(self, at: Placed) -> bool:
        """Whether anything else does, so that a dot has no room there."""
        return not self._is_free(self._rows, at.x * self.width, at.y * self._height, NOTHING)

    def has_room(self, label: Label) -> bool:
        """Wholly on the map, or wholly beside it as its point is; a map that was moved has other sides and corners."""
        x, y, (left, top, right, bottom) = label.x * self.width, label.y * self._height, label.box
        if self._moved:
            fits = True
        elif label.is_inside:
            across = x + left >= EDGE and x + right <= self.width - EDGE
            fits = across and y + top >= EDGE and y + bottom <= self._height - EDGE
        else:
            across = x + right <= 0 or x + left >= self.width
            fits = across or y + bottom <= 0 or y + top >= self._height
        return fits and self._is_free(self._rows, x, y, label.box)

    def take(self, label: Label) -> None:
        (left, top, right, bottom), (x, y) = label.box, APART
        self._fill(self._rows, label.x, label.y, (left - x, top - y, right + x, bottom + y))

    def _is_free(self, rows: Rows, x: float, y: float, box: Box) -> bool:
        left, top, right, bottom = box
        bits = self._bits(x + left, x + right)
        return not any(
            rows.get(row, 0) & bits for row in range(int(y + top) // GRAIN, int(y + bottom) // GRAIN + 1)
        )

    def _fill(self, rows: Rows, x: float, y: float, box: Box, across: float = 0.0) -> None:
        (left, top, right, bottom), x, y = box, x * self.width, y * self._height
        bits = self._bits(x + left, x + right + across * self.width)
        for row in range(int(y + top) // GRAIN, int(y + bottom) // GRAIN + 1):
            rows[row] = rows.get(row, 0) | bits

    def _bits(self, left: float, right: float) -> int:
        """From far to the left of the map on."""
        first = max(int(left + self._left) // GRAIN, 0)
        last = max(int(right + self._left) // GRAIN, 0)
        return (1 << last - first + 1) - 1 << first
