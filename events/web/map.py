"""Maps: drawn here as SVG, with no tiles and nobody else's server.

The ground is one picture that is stretched over the map. Pins, numbers and the scale stand on it at percentages of its
size and are as large as the style sheet says, so that they can be read and touched on every screen. js/map.js moves
both.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from markupsafe import Markup, escape

from ..branches.models import CONFIDENTIAL_GRID, Branch, LocationType
from ..errors import say
from ..language import Language
from ..places.geo import KM_PER_DEGREE, Distance, Point, Unit
from ..places.mercator import Box, Track, circle, fitted, smallest_box, track
from ..places.readings import town_km
from ..places.shapes import Shape
from ..places.towns import Town
from .ground import ASPECT, BEYOND, View, ground
from .labels import Label, Marks, Placed, Taken, Widths, labels, text_width
from .pins import Pixel, placed

# In pixels. On maps that are smaller the style sheet makes pins smaller.
ROOM_FOR_PINS = (480.0, 480.0 / ASPECT)
APART, APART_OF_MANY = 27.0, 21.0  # the middles of two pins
PIN_RADII, PIN_RADII_OF_MANY = (12.0, 15.0), (8.0, 12.5)  # on narrow maps and wide ones, with some air
DOT = 9.0  # from the middle of a mark without a number to what must not cover it
MANY = 12  # are drawn smaller, so that most of them keep their number
MARGIN = 0.15  # around what must be seen, as a part of the map
LEAST_WIDTH = Distance(40.0)
LEAST_WIDTH_ALONE = Distance(120.0)  # of one branch with nothing near it: there is more to see from higher up
APPROXIMATE = Distance(KM_PER_DEGREE * CONFIDENTIAL_GRID * 0.71)  # from the middle of a cell to its corners
SMALLEST_CIRCLE = 0.03  # of the width of the map, or a dot says as much
UNEVEN = 1.6  # how much larger the scale may be at one side than at the other for a bar to be true
LONGEST_BAR, FIRST_RING = 0.26, 0.2  # of the width of the map
TOWNS, TOWNS_BEYOND = 50, 30  # that are asked for: in the map, and with what it can be moved to
ROUND = [digit * 10.0**power for power in range(5, -4, -1) for digit in (5, 2, 1)]


@dataclass(frozen=True, slots=True)
class Spot:
    """A branch. `approximate`: it is known to lie near there, and that is all that may be shown."""

    number: int | None  # as in the list beside the map
    name: str
    href: str
    point: Point
    approximate: bool = False


@dataclass(frozen=True, slots=True)
class Here:
    """What a visitor typed, and how far from there an address meant by it may be."""

    point: Point
    precision: Distance


@dataclass(frozen=True, slots=True)
class Area:
    """Where a branch is at home: rings, those of holes among them, or a circle."""

    name: str
    rings: Sequence[Sequence[Point]]

    @classmethod
    def around(cls, name: str, centre: Point, radius: Distance) -> "Area":
        return cls(name, (tuple(circle(centre, radius)),))

    @classmethod
    def drawn(cls, name: str, shapes: Sequence[Shape]) -> "Area":
        rings = (ring for shape in shapes for ring in shape.rings)
        return cls(name, tuple(tuple(Point(y, (x + 180) % 360 - 180) for x, y in ring) for ring in rings))

    def tracks(self) -> list[Track]:
        return [track(ring, closed=True) for ring in self.rings if ring]


@dataclass(frozen=True, slots=True)
class Map:
    """What `_partials/map.html` shows: the picture, and what its caption must explain."""

    svg: Markup
    width: str  # on the ground, in words
    here: bool
    precision: bool  # a circle says how exactly that is known
    approximate: bool
    unnumbered: bool  # some pins found no room for their number
    areas: bool
    towns: bool
    box: Box  # what it shows


@dataclass(frozen=True, slots=True)
class RingLabel:
    svg: Markup
    taken: Taken


Towns: TypeAlias = Callable[[Box, int], Sequence[Town]]  # of a window the best known, so many


def draw_map(
    spoken: Language,
    unit: Unit,
    spots: Sequence[Spot],
    here: Here | None,
    *,
    areas: Sequence[Area] = (),
    towns: Towns | None = None,
) -> Map | None:
    """None when there is nothing to show. Areas lie beneath; they are shown whole only around a single branch."""
    box = window(spots, here, areas)
    if box is None:
        return None
    view = View(box)
    rings = _rings(box, here, unit) if here and scale_is_even(box) else []
    precise = here is None or here.precision.km * 2 < box.ground_width.km * SMALLEST_CIRCLE
    places = _places(view, spots, here)
    picture = ground(
        view,
        areas=[area.tracks() for area in areas],
        rings=[_circle(here.point, radius) for radius in rings if here],
        precision=[_circle(here.point, here.precision)] if here and not precise else [],
        approximate=[_disc(spot) for spot in spots if spot.approximate],
    )
    distances = _ring_labels(view, here, rings, places, spoken, unit) if here else []
    marks = _marks(view, spots, places, here)._replace(
        words=[label.taken for label in distances], corners=_corners(spoken, box, unit)
    )
    named = labels(_towns(view, towns), marks) if towns else {}
    over = [
        _names(named),
        *(label.svg for label in distances),
        _scale_bar(box, spoken, unit),
        _here(view, here) if here else Markup(),
        *(_line(view, spot, place) for spot, place in zip(spots, places, strict=True)),
        *(_pin(view, spot, place) for spot, place in zip(spots, places, strict=True)),
    ]
    return Map(
        svg=_svg(spoken, unit, view, len(spots), picture + Markup().join(over)),
        width=spoken.distance(box.ground_width.km, unit),
        here=here is not None,
        precision=not precise,
        approximate=any(spot.approximate for spot in spots),
        unnumbered=any(spot.number and not place for spot, place in zip(spots, places, strict=True)),
        areas=bool(areas),
        towns=any(named.values()),
        box=box,
    )


def window(spots: Sequence[Spot], here: Here | None, areas: Sequence[Area] = ()) -> Box | None:
    """What a map shows: every spot and what was typed, with a margin."""
    seen = [_disc(spot) if spot.approximate else track([spot.point]) for spot in spots]
    alone = len(spots) + (here is not None) < 2
    if here:
        seen.append(track([here.point]))
    if alone:
        seen += [ring for area in areas for ring in area.tracks()]
        seen += [_circle(here.point, here.precision)] if here else []
    around = smallest_box(seen)
    if around is None:
        return None
    least = LEAST_WIDTH_ALONE if alone and not areas else LEAST_WIDTH
    return fitted(around, aspect=ASPECT, margin=MARGIN, least=least)


def scale_is_even(box: Box) -> bool:
    """Whether a length on the map is about the same on the ground everywhere: on a map of the world it is not."""
    widths = [
        Box(box.west, y, box.east, y).ground_width.km
        for y in (box.south, (box.south + box.north) / 2, box.north)
    ]
    return max(widths) < min(widths) * UNEVEN


def directions(spoken: Language, branch: Branch) -> list[tuple[str, str]]:
    """Ways to get there, as labels and addresses: the map app of the device (RFC 5870), and a site. Only links."""
    if branch.point is None or not branch.shows_position or branch.location_type == LocationType.VIRTUAL:
        return []
    return [
        (spoken.say(say("Open in a map app")), f"geo:{branch.point}"),
        (
            spoken.say(say("Directions on OpenStreetMap")),
            f"https://www.openstreetmap.org/directions?to={branch.point}",
        ),
    ]


def round_below(limit: float) -> float:
    """The largest of 1, 2, 5, 10, 20, 50 … that is not above the limit."""
    return next((number for number in ROUND if number <= limit), ROUND[-1])


def _svg(spoken: Language, unit: Unit, view: View, count: int, content: Markup) -> Markup:
    label = spoken.ngettext("Map with %(num)d branch", "Map with %(num)d branches", count) % {"num": count}
    return Markup(
        '<svg class="map__picture{}" role="group" aria-label="{}" data-limits="{}" data-width="{}" data-unit="{}">'
        "{}</svg>"
    ).format(
        " map__picture--many" if count > MANY else "",
        label,
        " ".join(f"{value:.0f}" for value in view.limits),
        f"{view.box.ground_width.within(unit):.4g}" if scale_is_even(view.box) else "",
        unit,
        content,
    )


def _places(view: View, spots: Sequence[Spot], here: Here | None) -> list[Pixel | None]:
    """Where the numbers stand, as parts of the map; None: a dot at the point, without a number."""
    width, height = ROOM_FOR_PINS
    points = [view.at(spot.point) for spot in spots]
    places = placed(
        [(x * width, y * height) for x, y in points],
        ROOM_FOR_PINS,
        apart=APART_OF_MANY if len(spots) > MANY else APART,
        clear=[(x * width, y * height) for x, y in [view.at(here.point)]] if here else [],
    )
    numbered = [place if spot.number else None for spot, place in zip(spots, places, strict=True)]
    return [place and (place[0] / width, place[1] / height) for place in numbered]


def _line(view: View, spot: Spot, place: Pixel | None) -> Markup:
    """From the point to a pin that stands aside. All lines lie beneath all pins."""
    point = view.at(spot.point)
    if place is None or _percent(*place) == _percent(*point):
        return Markup()
    return Markup(
        '<g class="map__aside" aria-hidden="true"><line x1="{0}" y1="{1}" x2="{2}" y2="{3}"/>'
        '<circle cx="{0}" cy="{1}" r="3"/></g>'
    ).format(*_percent(*point), *_percent(*place))


def _pin(view: View, spot: Spot, place: Pixel | None) -> Markup:
    """A link: a number, or a dot."""
    kinds = {" map__pin--dot": place is None, " map__pin--approximate": spot.approximate}
    point = view.at(spot.point)
    aside = place is not None and _percent(*place) != _percent(*point)
    return Markup(
        '<a class="map__pin{}" href="{}"><title>{}</title><svg x="{}" y="{}"{} aria-hidden="true">'
        '<circle class="map__target" r="13"/><circle class="map__mark"/>{}</svg></a>'
    ).format(
        "".join(kind for kind, applies in kinds.items() if applies),
        spot.href,
        spot.name if spot.number is None else f"{spot.number}: {spot.name}",
        *_percent(*(place or point)),
        Markup(' data-point="{} {}"').format(*_percent(*point)) if aside else "",
        Markup("<text>{}</text>").format(spot.number) if place else "",
    )


def _towns(view: View, towns: Towns) -> list[Placed]:
    """The best known first: of those that are seen, and of those that the map can be moved to."""
    ground_width = view.box.ground_width.km
    seen = [*towns(view.box, TOWNS), *towns(view.box.grown(BEYOND), TOWNS_BEYOND)]
    found = sorted(dict.fromkeys(seen), key=lambda town: (-town.weight, town.name))
    return [Placed(town, *view.at(town.point), town_km(town.population) / ground_width) for town in found]


def _marks(view: View, spots: Sequence[Spot], places: Sequence[Pixel | None], here: Here | None) -> Marks:
    """What names keep clear of: pins, their points and lines, what was typed."""
    others = [Taken.around(view.at(here.point), DOT)] if here else []
    for spot, place in zip(spots, places, strict=True):
        x, y = point = view.at(spot.point)
        if place != point:
            others.append(Taken.around(point, DOT))
            if place:
                others.append(Taken.around(((x + place[0]) / 2, (y + place[1]) / 2), 2))
    radii = PIN_RADII_OF_MANY if len(spots) > MANY else PIN_RADII
    return Marks([place for place in places if place], radii, others, [])


def _corners(spoken: Language, box: Box, unit: Unit) -> list[Taken]:
    """The scale at the bottom, and the buttons at the top, on the side where lines end."""
    tools = Taken(1, 0, (-56, 0, 0, 130)) if spoken.direction == "ltr" else Taken(0, 0, (0, 0, 56, 130))
    return [tools, Taken(0, 1, (0, -36, 40, 0), _scale(box, unit)[1])] if scale_is_even(box) else [tools]


def _names(named: Mapping[Widths, Sequence[Label]]) -> Markup:
    """Dots and names, grouped by the widths of the map at which they are shown."""
    group = Markup('<g class="map__towns" data-from="{}"{} aria-hidden="true">{}</g>')
    return Markup().join(
        group.format(
            since, Markup(' data-to="{}"').format(until) if until else "", Markup().join(map(_name, found))
        )
        for (since, until), found in named.items()
        if found
    )


def _name(label: Label) -> Markup:
    x, y = label.aside
    return Markup(  # noqa: S704  (of what is put in, only the name is not ours)
        '<svg x="{}" y="{}">{}<text class="map__town map__town--{}{}" x="{}" y="{}">{}</text></svg>'.format(
            *_percent(label.x, label.y),
            '<circle r="2"/>' if label.dot else "",
            label.anchor,
            " map__town--strong" if label.strong else "",
            x,
            y,
            escape(label.name),
        )
    )


def _here(view: View, here: Here) -> Markup:
    return Markup('<svg x="{}" y="{}" aria-hidden="true"><circle class="map__here" r="6"/></svg>').format(
        *_percent(*view.at(here.point))
    )


def _rings(box: Box, here: Here, unit: Unit) -> list[Distance]:
    """Around what was typed: how far things are, also where there is no coast to go by."""
    step = round_below(box.ground_width.within(unit) * FIRST_RING)
    found = [Distance.of(step * times, unit) for times in (1, 2)]
    return [radius for radius in found if radius.km > here.precision.km * 1.3]


def _ring_labels(
    view: View,
    here: Here,
    rings: Sequence[Distance],
    places: Sequence[Pixel | None],
    spoken: Language,
    unit: Unit,
) -> list[RingLabel]:
    """How far each ring is, where it crosses neither a pin nor a side of the map: at its top, if there is room."""
    pins = [place for place in places if place]
    found = []
    for radius in rings:
        corners = circle(here.point, radius)
        sides = (view.at(corners[turn * len(corners) // 8]) for turn in (0, 4, 2, 6, 1, 7, 3, 5))
        free = ((x, y) for x, y in sides if _is_free(x, y, pins))
        if place := next(free, None):
            text = spoken.distance(radius.km, unit)
            label = Markup('<text class="map__distance" aria-hidden="true" x="{}" y="{}">{}</text>')
            taken = Taken.around(place, text_width(text, strong=True) / 2, 9)
            found.append(RingLabel(label.format(*_percent(*place), text), taken))
    return found


def _is_free(x: float, y: float, taken: Sequence[Pixel]) -> bool:
    on_map = 0.06 < x < 0.94 and 0.05 < y < 0.9
    return on_map and not any(
        abs(x - other_x) < 0.12 and abs(y - other_y) < 0.08 for other_x, other_y in taken
    )


def _scale_bar(box: Box, spoken: Language, unit: Unit) -> Markup:
    if not scale_is_even(box):
        return Markup()
    length, part = _scale(box, unit)
    return Markup(
        '<svg class="map__scale" x="12" y="100%" aria-hidden="true"><line x2="{0}" y1="-10" y2="-10"/>'
        '<line y1="-14" y2="-6"/><line x1="{0}" x2="{0}" y1="-14" y2="-6"/><text x="{1}" y="-16">{2}</text></svg>'
    ).format(*_percent(part, part / 2), spoken.distance(length.km, unit))


def _scale(box: Box, unit: Unit) -> tuple[Distance, float]:
    """How long the bar is, and as a part of the width of the map."""
    width = box.ground_width.within(unit)
    length = round_below(width * LONGEST_BAR)
    return Distance.of(length, unit), length / width


def _circle(centre: Point, radius: Distance) -> Track:
    return track(circle(centre, radius), closed=True)


def _disc(spot: Spot) -> Track:
    return _circle(spot.point, APPROXIMATE)


def _percent(*parts: float) -> list[str]:
    return [f"{round(part * 100, 2):g}%" for part in parts]
