"""Maps under a real pointer and keyboard, on a page that no server needs to send."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from events.language import language
from events.places.geo import Distance, Point
from events.web.map import Here, Spot, draw_map
from tests.web import figure

SCRIPT = Path(__file__).parents[2] / "events/static/js/map.js"
LAKES = [(43.66, -79.39), (43.25, -79.87), (42.98, -81.25), (42.32, -83.04), (44.23, -76.48)]
CROWD = [(43.66 + number % 7 / 50, -79.39 + number % 5 / 50) for number in range(30)]


def html(places: list[tuple[float, float]], here: Here | None = None) -> str:
    spots = [
        Spot(number, f"Club {number}", f"#{number}", Point(*place)) for number, place in enumerate(places, 1)
    ]
    shown = draw_map(language("en"), "km", spots, here)
    assert shown is not None
    return figure.page(language("en"), shown)


def opened(page: Page, content: str, script: bool = True) -> Page:
    page.set_content(content)
    if script:
        page.add_script_tag(path=SCRIPT, type="module")
        expect(page.get_by_role("button", name="Zoom in")).to_be_visible()
    return page


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    faults: list[str] = []
    page = chromium.new_page(viewport={"width": 800, "height": 600})
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    page.close()
    assert faults == []


def middle(pin: Locator) -> tuple[float, float]:
    box = pin.locator(".map__mark").bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def size(pin: Locator) -> float:
    box = pin.locator(".map__mark").bounding_box()
    assert box is not None
    return box["width"]


def view(page: Page) -> list[int]:
    return [int(number) for number in (page.locator(".map__ground").get_attribute("viewBox") or "").split()]


def picture(page: Page) -> Locator:
    return page.get_by_role("group", name="Map with 5 branches")


def drag(page: Page, start: tuple[float, float], by: tuple[float, float]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(start[0] + by[0], start[1] + by[1], steps=5)
    page.mouse.up()


@pytest.mark.parametrize("script", [False, True])
def test_axe_finds_nothing(page: Page, script: bool) -> None:
    opened(page, html(LAKES, Here(Point(43.7, -79.4), Distance(30))), script)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_without_scripts_the_pins_are_links_and_no_button_is_seen(page: Page) -> None:
    opened(page, html(LAKES), script=False)
    expect(page.get_by_role("button")).to_have_count(0)
    for number in range(1, 6):
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name=f"{number}: Club {number}", exact=True)).to_be_focused()
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#5"


@pytest.mark.parametrize("width", [360, 1100])
@pytest.mark.parametrize("places", [LAKES, CROWD], ids=["few", "many"])
def test_pins_can_be_touched_on_every_screen(
    page: Page, width: int, places: list[tuple[float, float]]
) -> None:
    page.set_viewport_size({"width": width, "height": 700})
    opened(page, html(places))
    for target in page.locator(".map__target").all():
        box = target.bounding_box()
        assert box is not None and min(box["width"], box["height"]) >= 24
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("width", [360, 1100])
def test_numbers_do_not_cover_each_other_on_any_screen(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 700})
    opened(page, html([(43.66, -79.39)] * 4 + [(43.7, -79.3)]))
    pins = page.get_by_role("link").all()
    places = [middle(pin) for pin in pins]
    apart = min(
        max(abs(x - other_x), abs(y - other_y))
        for number, (x, y) in enumerate(places)
        for other_x, other_y in places[:number]
    )
    assert apart >= size(pins[0]) / 2**0.5


def test_zooming_spreads_the_pins_and_leaves_their_size(page: Page) -> None:
    opened(page, html(LAKES))
    first, second = (page.get_by_role("link", name=f"{number}: Club {number}") for number in (1, 2))
    before, large = abs(middle(first)[0] - middle(second)[0]), size(first)
    page.get_by_role("button", name="Zoom in").click()
    assert abs(middle(first)[0] - middle(second)[0]) == pytest.approx(before * 1.6, rel=0.01)
    assert size(first) == large
    assert view(page)[2] == 4500
    page.get_by_role("button", name="Zoom out").click()
    assert view(page) == [0, 0, 7200, 4800]


def test_pins_stay_on_their_ground(page: Page) -> None:
    """Where the map is moved, a pin moves as the land does."""
    opened(page, html(LAKES))
    pin = page.get_by_role("link", name="3: Club 3")
    frame = picture(page).bounding_box()
    assert frame is not None

    def on_ground() -> tuple[float, float]:
        left, top, width, height = view(page)
        x, y = middle(pin)
        return (
            left + (x - frame["x"]) / frame["width"] * width,
            top + (y - frame["y"]) / frame["height"] * height,
        )

    before = on_ground()
    page.get_by_role("button", name="Zoom in").click()
    drag(page, (frame["x"] + 300, frame["y"] + 200), (60, -40))
    assert on_ground() == pytest.approx(before, abs=12)


def test_the_scale_follows(page: Page) -> None:
    opened(page, html(LAKES))
    said = page.locator(".map__scale text")
    expect(said).to_have_text("100 km")
    for _ in range(3):
        page.get_by_role("button", name="Zoom in").click()
    expect(said).to_have_text("20 km")
    expect(page.get_by_text("The map is about")).to_be_hidden()
    page.get_by_role("button", name="Show the whole map again").click()
    expect(said).to_have_text("100 km")
    expect(page.get_by_text("The map is about")).to_be_visible()


def test_it_is_moved_and_zoomed_by_keys(page: Page) -> None:
    opened(page, html(LAKES))
    page.keyboard.press("Tab")
    expect(picture(page)).to_be_focused()
    page.keyboard.press("+")
    left, top, width, _ = view(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    assert view(page)[0] > left and view(page)[1] < top and view(page)[2] == width
    page.keyboard.press("0")
    assert view(page) == [0, 0, 7200, 4800]


def test_a_wheel_scrolls_the_page_and_zooms_only_with_ctrl(page: Page) -> None:
    opened(page, html(LAKES) + "<div style='height: 3000px'></div>")
    page.mouse.move(400, 300)
    page.mouse.wheel(0, 100)
    page.wait_for_function("scrollY > 50")
    assert view(page) == [0, 0, 7200, 4800]
    page.keyboard.down("Control")
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    page.wait_for_function(
        "document.querySelector('.map__ground').getAttribute('viewBox') !== '0 0 7200 4800'"
    )
    assert view(page)[2] < 7200


def test_dragging_moves_the_map_and_follows_no_link(page: Page) -> None:
    opened(page, html(LAKES))
    pin = page.get_by_role("link", name="3: Club 3")
    x, y = middle(pin)
    drag(page, (x, y), (50, 30))
    assert middle(pin) == pytest.approx((x + 50, y + 30), abs=1)
    assert page.evaluate("location.hash") == ""
    pin.click()
    assert page.evaluate("location.hash") == "#3"


def test_nobody_gets_lost_outside_the_map(page: Page) -> None:
    opened(page, html(LAKES))
    page.get_by_role("button", name="Zoom out").click(click_count=5)
    farthest = view(page)
    assert 7200 < farthest[2] <= 7200 * 1.71
    picture(page).focus()
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    assert view(page)[0] == pytest.approx(-7200 * 0.35, abs=2)


def test_one_finger_scrolls_the_page_and_two_move_the_map(chromium: Browser) -> None:
    page = chromium.new_page(viewport={"width": 360, "height": 600}, has_touch=True)
    client = page.context.new_cdp_session(page)

    def touch(kind: str, *fingers: tuple[float, float]) -> None:
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(fingers)]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def pinched() -> int:
        opened(page, html(LAKES))
        touch("touchStart", (150, 200), (200, 200))
        for step in range(1, 6):
            touch("touchMove", (150 - 10 * step, 200), (200 + 10 * step, 200))
        touch("touchEnd")
        return view(page)[2]

    opened(page, html(LAKES))
    touch("touchStart", (150, 200))
    touch("touchMove", (150, 180))
    touch("touchMove", (150, 150))
    touch("touchEnd")
    assert view(page) == [0, 0, 7200, 4800]
    # Chromium ends a gesture in its middle when the page answers late, as on a busy machine.
    assert any(7200 / 3.4 < pinched() < 7200 / 2 for _ in range(3))
    page.close()
