"""What browsers, telephones, search engines and finders of holes ask of any site."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from PIL import Image
from starlette.testclient import TestClient

from events.branches.models import Branch
from events.calendars.content import Publishing
from events.config import Settings
from events.db import Database
from events.web import icons
from events.web.endpoints import ANYBODY
from events.web.machines import short
from tests.conftest import Cast, browser, running
from tests.web.test_event_lists import added
from tests.web.test_routes import TABLE

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

BASE, HTTPS = "http://localhost:8000", "https://clubs.example.org"
GREEN, YELLOW, WHITE = (11, 93, 75), (255, 184, 28), (255, 255, 255)


@contextmanager
def site(settings: Settings, look: str, files: dict[str, bytes] | None = None) -> Iterator[TestClient]:
    """A site whose operator wrote this into site.toml, beside these files."""
    settings.site_dir.mkdir(exist_ok=True)
    (settings.site_dir / "site.toml").write_text(look, encoding="utf-8")
    for name, content in (files or {}).items():
        (settings.site_dir / name).write_bytes(content)
    with running(settings) as app:
        yield browser(app)


def png(side: int, colour: str = "red") -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(written, "PNG")
    return written.getvalue()


def drawn(client: TestClient, path: str) -> Image.Image:
    answer = client.get(path)
    assert answer.status_code == 200, path
    return Image.open(io.BytesIO(answer.content)).convert("RGBA")


def colour_at(picture: Image.Image, x: float, y: float) -> tuple[int, ...]:
    """Of the point that lies there on the square of 32 units of the mark."""
    found = picture.getpixel((int(x / 32 * picture.width), int(y / 32 * picture.height)))
    assert isinstance(found, tuple)
    return found[:3]


# ---------------------------------------------------------------- icons


def test_a_page_names_its_icons_and_each_answers_for_ever(ben: TestClient, cast: Cast) -> None:
    page = ben.get("/es").text
    [tab, touch] = re.findall(r'<link rel="(?:apple-touch-)?icon" href="([^"]+)"', page)
    for address, media_type in ((tab, "image/svg+xml"), (unescape(touch), "image/png")):
        answer = ben.get(address)
        assert answer.headers["content-type"] == media_type
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize(("size", "side"), icons.SIZES.items())
def test_the_mark_is_drawn_in_every_size(ben: TestClient, size: str, side: int) -> None:
    picture = drawn(ben, f"/icons/{size}.png")
    assert picture.size == (side, side)
    if size != "maskable":
        found = [colour_at(picture, *at) for at in ((4, 16), (10, 6), (22, 10), (22, 5))]
        assert found == [GREEN, WHITE, YELLOW, WHITE]
    opaque = size in ("180", "maskable")
    corner = picture.getpixel((0, 0))
    assert isinstance(corner, tuple) and (corner[3] == 255) == opaque


def test_nothing_of_the_mark_is_cut_off_a_maskable_icon(ben: TestClient) -> None:
    """https://www.w3.org/TR/appmanifest/#icon-masks: the middle circle of 40 % of the side is always seen."""
    picture = drawn(ben, "/icons/maskable.png")
    middle = picture.width / 2
    ink = [
        (x, y) for x in range(0, 512, 4) for y in range(0, 512, 4)
        if (found := picture.getpixel((x, y))) and isinstance(found, tuple) and found[:3] != GREEN
    ]  # fmt: skip
    assert ink and all((x - middle) ** 2 + (y - middle) ** 2 <= (0.4 * 512) ** 2 for x, y in ink)


def test_browsers_and_telephones_that_ask_by_habit_get_an_answer(ben: TestClient) -> None:
    answer = ben.get("/favicon.ico")
    with Image.open(io.BytesIO(answer.content)) as found:
        assert found.format == "ICO" and found.info["sizes"] == {(16, 16), (32, 32), (48, 48)}
    assert drawn(ben, "/apple-touch-icon.png").size == (180, 180)
    assert ben.get("/apple-touch-icon.png").headers["cache-control"] == "public, max-age=86400"
    assert ben.get("/icons/4096.png").status_code == 404


def test_an_operator_has_the_mark_in_their_colours_under_another_address(
    ben: TestClient, settings: Settings
) -> None:
    ours = re.findall(r'href="([^"]*icon[^"]*)"', ben.get("/").text)
    with site(settings, 'brand = "#ffb81c"\naccent = "#0b5d4b"') as client:
        page = client.get("/").text
        assert not set(ours) & set(re.findall(r'href="([^"]*icon[^"]*)"', page))
        [tab] = re.findall(r'<link rel="icon" href="([^"]+)"', page)
        svg = client.get(tab).text
        assert (
            svg.count("#ffb81c") == 1
            and svg.count("#0b5d4b") == 1
            and "#000000" in svg
            and "#fff" not in svg.replace("#ffb", "")
        )
        picture = drawn(client, "/apple-touch-icon.png")
        assert [colour_at(picture, *at) for at in ((4, 16), (10, 6), (22, 10))] == [YELLOW, (0, 0, 0), GREEN]


def test_an_operators_own_icon_is_used_everywhere(settings: Settings) -> None:
    with site(settings, 'icon = "icon.png"', {"icon.png": png(300)}) as client:
        page = client.get("/").text
        [tab] = re.findall(r'<link rel="icon" href="([^"]+)" type="image/png" sizes="192x192">', page)
        for address in (unescape(tab), "/favicon.ico", "/apple-touch-icon.png", "/icons/512.png"):
            assert colour_at(drawn(client, address), 16, 16) == (255, 0, 0)
        manifest = client.get("/manifest.webmanifest").json()
        assert [icon["purpose"] for icon in manifest["icons"]] == ["any", "any"]


# ---------------------------------------------------------------- manifest


def test_the_manifest_speaks_the_language_of_the_page(settings: Settings, cast: Cast) -> None:
    with site(settings, '[description]\nen = "Clubs."\nes = "Clubes."') as client:
        for code, start, said in (("en", "/", "Clubs."), ("es", "/es", "Clubes.")):
            [address] = re.findall(r'<link rel="manifest" href="([^"]+)"', client.get(start).text)
            answer = client.get(address)
            assert answer.headers["content-type"] == "application/manifest+json"
            found = answer.json()
            assert (found["lang"], found["dir"], found["start_url"]) == (code, "ltr", start)
            assert (found["name"], found["description"]) == ("Hazel Clubs", said)
            assert found["display"] == "minimal-ui" and found["scope"] == "/"
            assert (found["theme_color"], found["background_color"]) == ("#0b5d4b", "#ffffff")
            for icon in found["icons"]:
                side = int(icon["sizes"].partition("x")[0])
                assert drawn(client, icon["src"]).size == (side, side)
            assert {icon["purpose"] for icon in found["icons"]} == {"any", "maskable"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Riverbend Tool Libraries", "Riverbend"),
        ("The Club", "The Club"),
        ("Club of Clubs", "Club of"),
        ("Werkzeugbibliotheken", "Werkzeugbibliotheken"),
    ],
)
def test_a_home_screen_has_room_for_the_first_words_of_a_name(
    database: Database, name: str, expected: str
) -> None:
    assert short(name) == expected


# ---------------------------------------------------------------- whom to tell of a hole


def told(text: str) -> dict[str, str]:
    lines = [line.partition(": ") for line in text.splitlines()]
    assert len({name for name, *_ in lines}) == len(lines)
    return {name: value for name, _, value in lines}


def test_who_finds_a_hole_is_told_whom_to_tell(settings: Settings) -> None:
    settings = replace(settings, base_url=HTTPS)
    with site(settings, 'security = "mailto:security@example.org"') as client:
        answer = client.get(f"{HTTPS}/.well-known/security.txt")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    found = told(answer.text)
    expires = datetime.strptime(found.pop("Expires"), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert timedelta(days=90) < expires - datetime.now(UTC) < timedelta(days=365)
    assert found == {
        "Contact": "mailto:security@example.org",
        "Preferred-Languages": "en, es",
        "Canonical": f"{HTTPS}/.well-known/security.txt",
    }


def test_without_a_contact_it_is_the_form_of_the_branch_at_the_top(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    assert ben.get("/.well-known/security.txt").status_code == 404
    with database.writing() as session:
        session.get_one(Branch, cast.birch.id).parent_id = cast.alder.id
    found = told(ben.get("/.well-known/security.txt").text)
    assert found["Contact"] == f"{BASE}/branches/alder/contact" and "Canonical" not in found
    assert ben.get(found["Contact"]).status_code == 200


# ---------------------------------------------------------------- robots


def test_robots_are_kept_out_of_what_is_private_in_every_language(ben: TestClient) -> None:
    closed = [
        line.removeprefix("Disallow: ")
        for line in ben.get("/robots.txt").text.splitlines()
        if "Disallow" in line
    ]
    private = [
        route.path for method, route in TABLE
        if method == "GET" and route.who is not ANYBODY and not route.path.startswith("/api/")
    ]  # fmt: skip
    assert private
    for path in private:
        assert path.startswith(tuple(closed)) and f"/es{path}".startswith(tuple(closed)), path


def test_robots_may_see_every_page_of_the_sitemap(ben: TestClient, cast: Cast) -> None:
    closed = tuple(re.findall(r"Disallow: (.+)", ben.get("/robots.txt").text))
    for path in re.findall(rf"<loc>{BASE}([^<]*)</loc>", ben.get("/sitemap.xml").text):
        assert not path.startswith(closed), path


# ---------------------------------------------------------------- what is passed on


def og(page: str) -> dict[str, str]:
    found = re.findall(r'<meta property="og:(\w+(?::\w+)?)" content="([^"]*)">', page)
    assert len(dict(found)) == len(found)
    return {name: unescape(value) for name, value in found}


def test_a_page_that_is_passed_on_says_what_it_is_in_its_language(
    database: Database, settings: Settings, cast: Cast, publishing: Publishing
) -> None:
    number = added(database, publishing, cast.alder, title="Saws & “blades”")
    with site(settings, 'picture = "share.png"', {"share.png": png(600)}) as client:
        found = og(client.get(f"/es/events/{number}").text)
        shown = client.get(found["image"])
    assert (found["title"], found["type"], found["locale"]) == ("Saws & “blades”", "website", "es")
    assert (found["site_name"], found["url"]) == ("Hazel Clubs", f"{BASE}/es/events/{number}")
    assert shown.headers["content-type"] == "image/png" and found["image:width"] == "600"


def test_without_a_picture_none_is_promised(ben: TestClient, cast: Cast) -> None:
    assert "image" not in og(ben.get("/branches/alder").text)


@pytest.mark.parametrize(
    ("asked", "passed_on", "canonical"),
    [
        ("/events/{}?date=2043-12-01", "/events/{}?date=2043-12-01", "/events/{}"),
        ("/events?topic=repair&topic=x-1&utm_source=x&q=", "/events?topic=repair&topic=x-1", "/events"),
        ("/events?q=caf%C3%A9+%26+tea", "/events?q=caf%C3%A9+%26+tea", "/events"),
        ("/es/branches?page=1&fbclid=7", "/es/branches?page=1", "/es/branches?page=1"),
        ("/calendar/2043/12?topic=repair", "/calendar/2043/12?topic=repair", "/calendar/2043/12"),
    ],
)
def test_what_was_chosen_is_passed_on_and_what_others_added_is_not(
    database: Database,
    ben: TestClient,
    publishing: Publishing,
    cast: Cast,
    asked: str,
    passed_on: str,
    canonical: str,
) -> None:
    """Who is told of one date of a series, or of a filtered list, gets that; search engines know each page once."""
    number = added(database, publishing, cast.alder, topics=("Repair", "x 1"))
    page = ben.get(asked.format(number)).text
    assert og(page)["url"] == BASE + passed_on.format(number)
    assert f'<link rel="canonical" href="{BASE}{canonical.format(number)}">' in page


def test_no_link_of_a_page_that_is_not_there_leads_to_another_host(ben: TestClient, cast: Cast) -> None:
    for path in (
        *("/es//evil.example/x", "//evil.example/x", "/es/%5Cevil.example", "/es///evil.example"),
        *("/%09/evil.example", "/es/%0A/evil.example", "/%0d%5cevil.example"),
    ):
        page = ben.get(f"http://localhost{path}").text
        read = re.sub(r"[\t\n\r]", "", page)  # which browsers leave out of addresses
        assert re.findall(r'href="(?:[/\\]{2}|https?:)[^"]*evil', read) == [], path
