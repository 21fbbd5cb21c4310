"""The names of towns on a map in a real browser, whose letters are as wide as they are."""

from collections.abc import Iterator
from itertools import combinations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from events.language import language
from events.places.geo import Distance, Point
from events.places.towns import Town, weight
from events.web.map import Here, Spot, draw_map
from tests.stories.test_map import CROWD, LAKES, opened
from tests.web import figure

Sides = tuple[float, float, float, float]
SIDES = """all => all.map(one => {
  const {left, top, right, bottom} = one.getBoundingClientRect();
  return one.checkVisibility({visibilityProperty: true}) ? [left, top, right, bottom] : [0, 0, 0, 0];
})"""
# name, latitude, longitude, people
TOWNS: list[tuple[str, float, float, int]] = [
    ("Toronto", 43.7, -79.42, 2_800_000),
    ("Mississauga", 43.58, -79.66, 720_000),
    ("Hamilton", 43.25, -79.85, 540_000),
    ("London", 42.98, -81.23, 380_000),
    ("Windsor", 42.30, -83.02, 230_000),
    ("Detroit", 42.33, -83.05, 640_000),
    ("Kingston", 44.23, -76.48, 114_000),
    ("Buffalo", 42.89, -78.88, 256_000),
    ("Ottawa", 45.41, -75.70, 812_000),
    ("القاهرة", 43.9, -78.2, 300_000),
    ("תל אביב", 43.3, -82.3, 290_000),
    ("Мадрид", 44.1, -81.0, 280_000),
    ("Αθήνα", 42.2, -80.9, 270_000),
    ("Kawartha MMMWWW", 44.4, -78.7, 75_000),
    *(
        (f"Illyville {number}", 42.4 + number % 7 * 0.3, -83.4 + number % 11 * 0.65, 20_000)
        for number in range(40)
    ),
    *(
        (f"Quarter {number}", 43.6 + number % 5 * 0.05, -79.6 + number % 7 * 0.08, 3_000)
        for number in range(30)
    ),
]


def html(
    places: list[tuple[float, float]],
    here: Here | None = None,
    towns: list[tuple[str, float, float, int]] = TOWNS,
) -> str:
    spots = [
        Spot(number, f"Club {number}", f"#{number}", Point(*place)) for number, place in enumerate(places, 1)
    ]
    found = [Town(name, Point(y, x), people, weight(people, 1)) for name, y, x, people in towns]
    shown = draw_map(language("en"), "km", spots, here, towns=lambda box, most: found)
    assert shown is not None
    return figure.page(language("en"), shown)


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    page = chromium.new_page(viewport={"width": 800, "height": 700})
    yield page
    page.close()


def sides(there: Locator) -> Sides:
    box = there.bounding_box()
    assert box is not None
    return box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]


def names(page: Page) -> list[Locator]:
    """Those that are seen on the map."""
    frame, towns = sides(page.locator(".map__frame")), page.locator(".map__town")
    found = enumerate(all_sides(towns))
    return [towns.nth(number) for number, box in found if box[0] < box[2] and meet(box, frame)]


def all_sides(those: Locator) -> list[Sides]:
    """Asked for at once, which is many times as quick. What is not shown has no width."""
    boxes: list[Sides] = those.evaluate_all(SIDES)
    return boxes


def meet(one: Sides, other: Sides) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def letters(name: Locator) -> Sides:
    """A line of text is higher than its letters, and they have a halo."""
    left, top, right, bottom = sides(name)
    middle = (top + bottom) / 2
    return left + 3, middle - 5, right - 3, middle + 5


@pytest.mark.parametrize("width", [320, 500, 800, 1100])
@pytest.mark.parametrize("places", [LAKES, CROWD], ids=["few", "many"])
@pytest.mark.parametrize("script", [False, True])
def test_names_are_readable_on_every_screen(
    page: Page, width: int, places: list[tuple[float, float]], script: bool
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    opened(page, html(places, Here(Point(*places[0]), Distance(3))), script)
    left, top, right, bottom = sides(page.locator(".map__frame"))
    found = {name.text_content() or "": letters(name) for name in names(page)}
    assert 2 <= len(found) <= 26
    others = page.locator(
        ".map__mark, .map__here:not(.map__key *), .map__scale text, .map__distance, [data-zoom]:visible"
    )
    marks = all_sides(others)
    for one, other in combinations(found, 2):
        assert not meet(found[one], found[other]), (one, other)
    for name, box in found.items():
        assert left <= box[0] and box[2] <= right and top <= box[1] and box[3] <= bottom, name
        assert not any(meet(box, mark) for mark in marks), name


def test_wide_maps_show_more_names_than_phones(page: Page) -> None:
    counts = []
    for width in (250, 360, 560, 900):
        page.set_viewport_size({"width": width, "height": 900})
        page.set_content(html(LAKES))
        counts.append(len(names(page)))
    assert counts == sorted(set(counts))
    assert 5 <= counts[1] <= 12


def test_names_in_any_script_stand_beside_their_dots(page: Page) -> None:
    opened(page, html(LAKES))
    for name in ("القاهرة", "תל אביב", "Мадрид", "Αθήνα"):
        text = page.locator(".map__town", has_text=name)
        expect(text).to_be_visible()
        dot, box = sides(page.locator(".map__towns > svg", has=text).locator("circle")), sides(text)
        assert -4 < max(box[0] - dot[2], dot[0] - box[2], dot[1] - box[3], box[1] - dot[3]) < 4


def test_closer_names_keep_their_size_and_their_places_and_more_come(page: Page) -> None:
    opened(page, html(LAKES))
    buffalo = page.locator(".map__town", has_text="Buffalo")
    size = buffalo.bounding_box()
    before = {name.text_content() for name in names(page)}
    assert size is not None
    page.get_by_role("button", name="Zoom in").click()
    closer = buffalo.bounding_box()
    assert closer is not None and (closer["width"], closer["height"]) == (size["width"], size["height"])
    for _ in range(3):
        page.get_by_role("button", name="Zoom in").click()
        boxes = [letters(name) for name in names(page)]
        assert not any(meet(one, other) for one, other in combinations(boxes, 2))
    assert {name.text_content() for name in names(page)} - before
    page.get_by_role("button", name="Show the whole map again").click()
    assert {name.text_content() for name in names(page)} == before


def test_farther_only_few_names_are_left_so_that_none_covers_another(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    opened(page, html(LAKES))
    before = len(names(page))
    page.get_by_role("button", name="Zoom out").click(click_count=3)
    there = [letters(name) for name in names(page)]
    assert 0 < len(there) < before
    assert not any(meet(one, other) for one, other in combinations(there, 2))


def test_a_map_that_becomes_wider_shows_more_names(page: Page) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    opened(page, html(LAKES))
    before = len(names(page))
    page.set_viewport_size({"width": 900, "height": 900})
    page.wait_for_function("document.querySelector('[data-from=\"45\"]').style.display === 'inline'")
    assert len(names(page)) > before


def test_names_move_with_their_ground(page: Page) -> None:
    opened(page, html([(43.66, -79.39), (43.25, -79.87)], towns=[("Here", 43.5, -79.6, 9000)]))
    pin, name = page.get_by_role("link").first.locator(".map__mark"), page.locator(".map__towns circle")
    before = sides(name)[0] - sides(pin)[0]
    page.get_by_role("button", name="Zoom in").click()
    page.locator(".map__picture").press("ArrowRight")
    middle = sides(pin)[2] - sides(pin)[0]
    assert sides(name)[0] - sides(pin)[0] == pytest.approx((before - middle / 2) * 1.6 + middle / 2, abs=2)


def test_names_are_not_in_the_way_of_a_pointer(page: Page) -> None:
    opened(page, html(LAKES))
    left, top, right, bottom = sides(names(page)[0])
    hit = page.evaluate(
        "([x, y]) => document.elementFromPoint(x, y).closest('.map__towns')",
        [(left + right) / 2, (top + bottom) / 2],
    )
    assert hit is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(chromium: Browser, scheme: str) -> None:
    page = chromium.new_page(color_scheme="dark" if scheme == "dark" else "light")
    opened(page, html(LAKES))
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.close()


def test_with_forced_colours_names_have_the_readers_colour(page: Page) -> None:
    page.emulate_media(forced_colors="active")
    opened(page, html(LAKES))
    colours = page.evaluate(
        """() => {
          const probe = document.body.appendChild(document.createElement("i"));
          probe.style.color = "CanvasText";
          const fills = [...document.querySelectorAll(".map__town")].map((name) => getComputedStyle(name).fill);
          return [getComputedStyle(probe).color, ...fills];
        }"""
    )
    assert len(colours) > 5 and len(set(colours)) == 1


def test_names_are_printed(page: Page) -> None:
    page.emulate_media(media="print")
    page.set_content(html(LAKES))
    assert len(names(page)) > 5
