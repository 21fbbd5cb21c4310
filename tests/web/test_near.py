"""The page of the branches for a place: how it was read, who serves it, who is near, and what to do where nobody is."""

import json
import re
import shutil
import socket
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pytest
from sqlmodel import col, select
from starlette.testclient import TestClient

from events.branches.models import Branch, LocationType, Status
from events.branches.serving import write_keys
from events.calendars import store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft
from events.config import Settings
from events.db import Database
from events.places.geo import Point

from ..conftest import Cast, branch

# How branches are found is asked of both engines in tests/branches/test_finding.py.
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

HOLE = [[2.30, 48.85], [2.36, 48.85], [2.36, 48.88], [2.30, 48.88], [2.30, 48.85]]
SQUARE = [[2.0, 48.6], [2.7, 48.6], [2.7, 49.1], [2.0, 49.1], [2.0, 48.6]]
FIJI = [[176.0, -20.0], [-178.0, -20.0], [-178.0, -15.0], [176.0, -15.0], [176.0, -20.0]]
# Every day of the week, every hour: the test does not ask what time it is.
ALWAYS, NEVER = "24/7", "off"


@pytest.fixture(autouse=True)
def gazetteer(small_gazetteer: Path, settings: Settings) -> None:
    shutil.copy(small_gazetteer, settings.gazetteer)


def add(database: Database, *branches: Branch) -> None:
    with database.writing() as session:
        for row in branches:
            row.derive_keys()
        session.add_all(branches)
        session.flush()
        write_keys(session, branches)


def area(*rings: list[list[float]]) -> str:
    return f"area: {json.dumps({'type': 'Polygon', 'coordinates': rings})}"


def text(client: TestClient, path: str, status: int = 200) -> str:
    """What is read on the page, without its marks."""
    response = client.get(path)
    assert response.status_code == status
    body = re.sub(r"(?s)<(script|style|svg|head).*?</\1>", " ", response.text)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def names(client: TestClient, path: str) -> list[str]:
    return [item["name"] for item in client.get(path).json()["items"]]


# ---------------------------------------------------------------- how it was read


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("60614", "We read “60614” as the postal code 60614 Chicago, Illinois, United States, within about"),
        ("6O614", "We do not know “6O614”. We took it for the postal code 60614 Chicago, Illinois"),
        ("chicgo", "We do not know “chicgo”. We took it for the place Chicago, Illinois, United States"),
        ("Portland, Maine", "We read “Portland, Maine” as the place Portland, Maine, United States"),
        ("Illinois", "We read “Illinois” as the region Illinois, United States"),
        ("41.92,-87.64", "We read “41.92,-87.64” as a point on the map: 41.92,-87.64, within about"),
        ("86HJW9F7+X4", "as the Plus Code 86HJW9F7+X4"),
        ("2150 N Halsted St, Chicago, IL 60614", "St, Chicago, IL 60614” we used “60614”: the postal code"),
        ("Alder Club", "We read “Alder Club” as the name of a branch."),
    ],
)
def test_the_page_says_what_it_understood_and_how_exactly(
    ben: TestClient, cast: Cast, typed: str, sentence: str
) -> None:
    assert sentence in text(ben, f"/branches?near={typed.replace('+', '%2B')}")


def test_a_reading_is_said_in_spanish_too(ben: TestClient, cast: Cast) -> None:
    assert "Hemos interpretado «60614» como el código postal 60614" in text(ben, "/es/branches?near=60614")


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("A1B2C3D4", "“A1B2C3D4” is not a postal code: one looks like"),
        ("99999", "We do not know the postal code “99999”."),
        ("zzzzzz", "We do not know a place called “zzzzzz”."),
        ("BFPO 57", "is a code of forces’ mail: it has no place on the map."),
        ("APO 09001", "is a code of forces’ mail: it has no place on the map."),
        ("W9F7%2BX4", "is a short one: type the town behind it"),
    ],
)
def test_what_is_not_understood_has_a_sentence_of_its_own_and_keeps_what_was_typed(
    ben: TestClient, cast: Cast, typed: str, sentence: str
) -> None:
    page = ben.get(f"/branches?near={typed}")
    assert sentence in text(ben, f"/branches?near={typed}")
    assert f'value="{typed.replace("%2B", "+")}"' in page.text


@pytest.mark.parametrize(
    "near",
    [
        "lat=91",
        "91,0",
        "60614%00x",
        "%F0%9F%99%82",
        "x" * 300,
        "'%3B DROP TABLE branch%3B--",
        "90210 Germany",
    ],
)
def test_nothing_that_is_typed_breaks_the_page(ben: TestClient, cast: Cast, near: str) -> None:
    response = ben.get(f"/branches?near={near}")
    assert response.status_code in (200, 422)
    assert 'class="notice notice--warn"' in response.text


def test_other_readings_are_links_that_take_them_and_keep_the_filters(ben: TestClient, cast: Cast) -> None:
    page = ben.get("/branches?near=60614&language=en&access=step-free").text
    [german] = re.findall(r'<a href="([^"]+)"><bdi>60614 Frankfurt', page)
    assert "language=en" in german and "access=step-free" in german
    assert "60614 Frankfurt am Main, Hessen, Germany, within about" in text(ben, unescape(german))
    page = ben.get("/branches?near=Springfield").text
    for label, href in [
        (label, href) for href, label in re.findall(r'<a href="(\S+)"><bdi>(Spr[^<]+)', page)
    ]:
        assert f"as the place {label}" in text(ben, unescape(href))


# ---------------------------------------------------------------- which branch


def test_the_branch_that_serves_a_code_comes_first_and_says_why(
    database: Database, ben: TestClient, cast: Cast
) -> None:
    far = branch("far", "Far Club", Point(42.3, -88.2), country="US", service_area="North; codes: 606*")
    add(database, far)
    page = text(ben, "/branches?near=60614")
    assert re.search(r"Your branch 1 Far Club .* It serves postal codes that begin with 606\.", page)
    assert "Other branches, nearest first" in page
    assert names(ben, "/branches.json?near=60614") == ["Far Club", "Alder Club", "Club Abedul"]
    item = ben.get("/branches.json?near=60614").json()["items"][0]
    assert item["serves"] == {"certain": True, "why": "It serves postal codes that begin with 606."}


def test_of_three_that_serve_a_place_the_closest_description_comes_first(
    database: Database, ben: TestClient, cast: Cast
) -> None:
    add(
        database,
        branch("region", "Region Club", None, country="US", service_area="regions: Illinois"),
        branch("codes", "Code Club", Point(41.8, -87.9), country="US", service_area="codes: 60614"),
        branch("reach", "Reach Club", Point(41.95, -87.6), country="US", service_area="within: 120 km"),
    )
    page = text(ben, "/branches?near=60614")
    assert "These branches serve this place" in page
    assert names(ben, "/branches.json?near=60614")[:3] == ["Code Club", "Reach Club", "Region Club"]
    for sentence in ("It serves the postal code 60614.", "It serves everything around it, as far as here."):
        assert sentence in page
    assert "It serves the whole region." in page


def test_an_area_over_the_date_line_is_one_area(database: Database, ben: TestClient, cast: Cast) -> None:
    add(database, branch("fiji", "Fiji Club", Point(-18.1, 178.4), country="FJ", service_area=area(FIJI)))
    for near in ("-17,179.5", "-17,-179"):
        page = text(ben, f"/branches?near={near}")
        assert re.search(r"Your branch 1 Fiji Club .* It serves an area that includes this place", page)
    assert "Your branch" not in text(ben, "/branches?near=-17,-170")
    assert 'class="map__area"' in ben.get("/branches?near=-17,179.5").text


def test_a_hole_in_an_area_is_not_served(database: Database, ben: TestClient, cast: Cast) -> None:
    add(
        database,
        branch("ring", "Ring Club", Point(48.7, 2.2), country="FR", service_area=area(SQUARE, HOLE)),
        branch("inner", "Inner Club", Point(48.86, 2.34), country="FR", service_area=area(HOLE)),
    )
    assert "Your branch 1 Ring Club" in text(ben, "/branches?near=48.70,2.5")
    assert "Your branch 1 Inner Club" in text(ben, "/branches?near=48.865,2.33")


def test_at_a_border_the_visitor_chooses(database: Database, ben: TestClient, cast: Cast) -> None:
    west, east = (
        [[lon, 41.8], [lon + 0.2, 41.8], [lon + 0.2, 42.1], [lon, 42.1], [lon, 41.8]]
        for lon in (-87.85, -87.65)
    )
    add(
        database,
        branch("west", "West Club", Point(41.9, -87.7), country="US", service_area=area(west)),
        branch("east", "East Club", Point(41.9, -87.6), country="US", service_area=area(east)),
    )
    page = text(ben, "/branches?near=60614")
    assert "Which of these is your branch?" in page
    assert page.count("The border of its area runs near here: it may be your branch.") == 2


def test_a_closed_branch_serves_nobody(database: Database, ben: TestClient, cast: Cast) -> None:
    gone = branch("gone", "Gone Club", Point(42.9, -88.9), country="US", service_area="codes: 60614")
    gone.status = Status.CLOSED
    add(database, gone)
    assert names(ben, "/branches.json?near=60614") == ["Alder Club", "Club Abedul"]


def test_where_no_branch_is_near_the_page_says_how_far_and_whom_to_ask(
    database: Database, ben: TestClient, cast: Cast
) -> None:
    with database.writing() as session:
        top = branch("top", "Hazel Office", None, location_type=LocationType.POSTAL)
        session.add(top)
        session.flush()
        for club in (cast.alder, cast.birch):
            session.get_one(Branch, club.id).parent_id = top.id
    page = text(ben, "/branches?near=99701")
    assert "There is no branch near there. The nearest is 2,7" in page
    assert "You can join from afar, or start one: Hazel Office helps." in page
    assert 'href="/branches/top/contact?about=start"' in ben.get("/branches?near=99701").text
    assert "I would like to start a branch" in text(ben, "/branches/top/contact?about=start")
    assert "start one" not in text(ben, "/branches?near=60614")


def test_branches_without_a_place_are_offered_everywhere(
    database: Database, ben: TestClient, cast: Cast
) -> None:
    add(database, branch("online", "Online Club", None, location_type=LocationType.VIRTUAL))
    assert "Online, wherever you are Online Club" in text(ben, "/branches?near=60614")
    assert [each["slug"] for each in ben.get("/branches.json?near=60614").json()["online"]] == ["online"]
    with database.writing() as session:
        online = session.exec(select(Branch).where(col(Branch.slug) == "online")).one()
        online.parent_id = cast.birch.id
    [told] = ben.get("/branches.json?near=60614&access=&language=").json()["online"]
    assert told["parent_slug"] == "birch"
    assert "Branches of that name Online Club" in text(ben, "/branches?near=online club")


def test_a_branch_that_is_not_active_says_so_and_points_on(
    database: Database, ben: TestClient, cast: Cast
) -> None:
    closed = branch("old", "Old Club", Point(41.9230, -87.6480), city="Chicago", country="US")
    closed.status, closed.successor_id = Status.CLOSED, cast.alder.id
    add(database, closed)
    for path in ("/branches?near=60614", "/branches?near=old club"):
        page = text(ben, path)
        assert re.search(r"Old Club .*?This branch has closed\. Turn to Alder Club \.", page)
    assert "Nearer, but not active 0.1" not in text(ben, "/branches?near=old club")
    assert "/branches/old/contact" not in ben.get("/branches?near=60614").text


def test_a_confidential_branch_shows_its_town_and_no_more(
    database: Database, ben: TestClient, cast: Cast
) -> None:
    secret = branch(
        "secret",
        "Secret Club",
        Point(41.9231, -87.6489),
        address_1="7 Hidden Lane",
        city="Chicago",
        country="US",
    )
    secret.confidential = True
    secret.stand_at(secret.point)
    add(database, secret)
    for path in ("/branches?near=60614", "/branches?near=secret club", "/branches/secret"):
        page = ben.get(path).text
        assert "Secret Club" in page
        assert "Hidden Lane" not in page and "41.9231" not in page and "87.6489" not in page
    assert "geo:" not in ben.get("/branches/secret").text


# ---------------------------------------------------------------- filters


def test_open_now_is_by_the_hours_and_unknown_is_not_open(
    database: Database, ben: TestClient, cast: Cast
) -> None:
    add(
        database,
        branch("always", "Always Club", Point(41.8, -87.7), opening_hours=ALWAYS, timezone="America/Chicago"),
        branch("never", "Never Club", Point(41.9, -87.6), opening_hours=NEVER, timezone="America/Chicago"),
        branch(
            "odd", "Odd Club", Point(41.9, -87.61), opening_hours="when we like", timezone="America/Chicago"
        ),
    )
    assert names(ben, "/branches.json?near=60614&open=now") == ["Always Club"]
    assert "Open now" in text(ben, "/branches?near=60614&open=now")
    assert "Always Club" in text(ben, "/branches?open=now")
    assert "Never Club" not in text(ben, "/branches?open=now")


def test_a_branch_meets_this_week_when_something_is_on_within_seven_days(
    database: Database, ben: TestClient, cast: Cast, publishing: Publishing
) -> None:
    start = (datetime.now(UTC) + timedelta(days=2)).replace(tzinfo=None, minute=0, second=0, microsecond=0)
    draft = EventDraft.model_validate(
        {
            "title": "Tool night",
            "start": start,
            "end": start + timedelta(hours=2),
            "timezone": "UTC",
            "state": "published",
        }
    )
    with database.writing() as session:
        store.add(session, draft, [session.get_one(Branch, cast.birch.id)], publishing, datetime.now(UTC))
    assert names(ben, "/branches.json?near=60614&open=week") == ["Club Abedul"]


def test_language_and_access_narrow_the_nearest_and_the_directory(
    database: Database, ben: TestClient, cast: Cast
) -> None:
    add(
        database,
        branch("loop", "Loop Club", Point(41.8, -87.7), languages="en-US,pl", accessibility="hearing-loop"),
    )
    assert names(ben, "/branches.json?near=60614&language=es") == ["Club Abedul"]
    assert names(ben, "/branches.json?near=60614&language=en") == ["Alder Club", "Loop Club"]
    assert names(ben, "/branches.json?near=60614&access=hearing-loop") == ["Loop Club"]
    listed = text(ben, "/branches?access=hearing-loop")
    assert "Loop Club" in listed and "Alder Club" not in listed
    assert "No branch fits" in text(ben, "/branches?access=parking")


@pytest.mark.parametrize(
    ("filter", "sentence"),
    [
        ("open=later", "“open” can be now or week"),
        ("language=!!", "is not a language"),
        ("access=stairs", "is not a kind of access"),
        ("within=abc", "is not a distance"),
        ("within=-1", "is not a distance"),
    ],
)
def test_a_filter_that_cannot_be_read_is_said_and_what_was_typed_is_kept(
    ben: TestClient, cast: Cast, filter: str, sentence: str
) -> None:
    response = ben.get(f"/branches?near=60614&{filter}")
    assert response.status_code == 422
    assert sentence in unescape(response.text) and 'value="60614"' in response.text
    assert ben.get(f"/branches.json?near=60614&{filter}").status_code == 422


def test_within_a_distance_all_are_listed_page_by_page(
    database: Database, ben: TestClient, cast: Cast
) -> None:
    add(database, *(branch(f"b{n}", f"Club {n:02}", Point(41.9, -87.6 + n / 500)) for n in range(25)))
    first, second = (text(ben, f"/branches?near=60614&within=50mi&page={page}") for page in (1, 2))
    assert first.count("Contact Club") == 19 and "Farther" in first and "Nearer" not in first
    assert second.count("Contact Club") == 6 and "Nearer" in second and "Farther" not in second
    assert len(names(ben, "/branches.json?near=60614")) == 5


def test_a_page_past_the_end_is_not_there_and_one_that_is_none_keeps_what_was_typed(
    ben: TestClient, cast: Cast
) -> None:
    near = "near=60614&within=50mi"
    assert ben.get(f"/branches?{near}&page=2").status_code == 404
    assert ben.get(f"/branches.json?{near}&page=99999999").status_code == 404
    for page in ("0", "٢", "x"):
        response = ben.get(f"/branches?{near}&page={page}")
        assert (response.status_code, 'value="60614"' in response.text) == (422, True)
    assert ben.get("/branches?open=week&page=0").text.count('<option value="week" selected>') == 1
    assert ben.get("/branches?page=").status_code == 200


def test_what_no_branch_near_fits_is_said_of_the_filters_and_not_of_the_place(
    database: Database, ben: TestClient, cast: Cast
) -> None:
    page = text(ben, "/branches?near=60614&language=es")
    assert "No branch near there fits your filters. The nearest that does is 4,1" in page
    assert "There is no branch near there" not in page and "start one" not in page
    assert "No branch fits Fewer filters may find more." in text(ben, "/branches?near=60614&language=zz")


def test_a_country_is_not_far_from_the_branches_in_it(ben: TestClient, cast: Cast) -> None:
    assert "There is no branch near there" not in text(ben, "/branches?near=Spain")
    assert "There is no branch near there" not in text(ben, "/branches?near=Illinois")


def test_a_country_that_a_link_chose_is_not_kept_for_the_next_search(ben: TestClient, cast: Cast) -> None:
    page = ben.get("/branches?near=60614&country=DE").text
    assert 'name="country"' not in page
    [back] = re.findall(r'<a href="([^"]+)"><bdi>60614 Chicago', page)
    assert "near=60614%2C+United+States" in back.replace("%20", "+").replace("60614,", "60614%2C")


def test_programs_get_the_same_filters_and_the_next_page(
    database: Database, ben: TestClient, cast: Cast
) -> None:
    assert names(ben, "/branches.json?language=es") == ["Club Abedul"]
    assert ben.get("/branches.geojson?open=bad").status_code == 422
    add(database, *(branch(f"b{n}", f"Club {n:02}", Point(41.9, -87.6 + n / 500)) for n in range(25)))
    answer = ben.get("/branches.json?near=60614&within=50mi").json()
    assert answer["next"] == "http://localhost:8000/branches.json?near=60614&within=50mi&page=2"
    assert len(answer["items"]) == 20
    spanish = ben.get("/es/branches.json?near=60614").json()["items"][0]
    assert spanish["page_url"] == "http://localhost:8000/es/branches/alder"


def test_several_branches_of_one_name_are_all_shown_and_none_is_taken_for_the_place(
    database: Database, ben: TestClient, cast: Cast
) -> None:
    add(database, *(branch(f"o{n}", "Otter Club", Point(41.9, -87.6 + n)) for n in range(2)))
    page = text(ben, "/branches?near=otter club")
    assert page.count("Contact Otter Club") == 2 and "Branches near" not in page


def test_an_event_list_offers_the_other_readings_too(ben: TestClient, cast: Cast) -> None:
    page = ben.get("/events?near=Springfield&q=saw").text
    [href] = re.findall(r'<a href="(\S+)"><bdi>Springfield, Oregon', page)
    assert href.startswith("/events?") and "q=saw" in href
    assert "Events near Springfield, Oregon" in text(ben, unescape(href))


def test_distances_are_read_as_they_are_pasted(ben: TestClient, cast: Cast) -> None:
    for within in ("40\u00a0km", "25 kilómetros", "２５km"):
        assert ben.get("/branches", params={"near": "60614", "within": within}).status_code == 200
    assert ben.get("/branches", params={"near": "60614", "within": "1" * 500}).status_code == 422


# ---------------------------------------------------------------- what else is there


def test_the_map_numbers_the_branches_as_the_list_does(ben: TestClient, cast: Cast) -> None:
    page = ben.get("/branches?near=60614").text
    assert "<title>1: Alder Club</title>" in page and "<title>2: Club Abedul</title>" in page
    assert 'src="/static/js/map.' in page
    assert "data-map" not in ben.get("/branches?near=zzzzzz").text


def test_around_a_region_no_circle_is_drawn(ben: TestClient, cast: Cast) -> None:
    assert "map__precision" in ben.get("/branches?near=60614&language=en&within=100km").text
    assert "map__precision" not in ben.get("/branches?near=Illinois&within=500km").text


def test_directions_are_plain_links(ben: TestClient, cast: Cast) -> None:
    page = ben.get("/branches/alder").text
    assert 'href="geo:41.9227,-87.6533"' in page
    assert re.search(
        r'href="https://www.openstreetmap.org/directions\?to=[^"]+" rel="noopener noreferrer', page
    )


def test_the_device_is_asked_only_on_a_click(ben: TestClient, cast: Cast) -> None:
    for path in ("/", "/branches", "/branches?near=60614"):
        assert re.search(r"<p [^>]*\bhidden\b[^>]*\bdata-position\b", ben.get(path).text)


def test_geojson_and_csv_list_the_same_branches_and_lead_to_their_pages(ben: TestClient, cast: Cast) -> None:
    found = ben.get("/branches.geojson?near=60614").json()["features"]
    assert [feature["id"] for feature in found] == ["alder", "birch"]
    assert found[0]["properties"]["website"] == "http://localhost:8000/branches/alder"
    assert ben.get("/branches.csv?near=60614").text.count("\r\n") == 3


def test_the_branch_page_tells_search_engines_what_it_is(ben: TestClient, cast: Cast) -> None:
    page = ben.get("/es/branches/alder").text
    [data] = re.findall(r'(?s)<script type="application/ld\+json">(.*?)</script>', page)
    told = json.loads(data)
    assert "LocalBusiness" in json.dumps(told) and "60614" in data and "Sedes" in data


def test_a_branch_page_says_in_words_what_it_serves_and_draws_the_rest(
    database: Database, ben: TestClient, cast: Cast
) -> None:
    area_served = f"Lakeside; codes: 606*, 60614; within: 40 km; regions: Iowa; {area(SQUARE)}"
    add(database, branch("lake", "Lake Club", Point(41.9, -87.6), country="US", service_area=area_served))
    page = text(ben, "/es/branches/lake")
    for line in ("Lakeside", "Códigos postales 606…, 60614", "Todo en un radio de 40 km", "Regiones: Iowa"):
        assert line in page
    source = ben.get("/branches/lake").text
    [data] = re.findall(r'(?s)<script type="application/ld\+json">(.*?)</script>', source)
    assert "coordinates" not in source and 'class="map__area"' in source
    assert '"Lakeside"' in data and '"Iowa"' in data


def test_where_a_visitor_looks_is_asked_of_nobody_else(
    ben: TestClient, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not known here is not known."""

    def no(*asked: object, **_: object) -> None:
        raise AssertionError(asked)

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, no)
    monkeypatch.setattr(socket, "getaddrinfo", no)
    for path in (
        "/branches",
        "/branches.geojson",
        "/events",
        "/events.ics",
        "/subscribe",
        "/api/v1/branches",
    ):
        for place, known in (("60614", True), ("Chicgo", True), ("Nowhere upon Nothing", False)):
            status = ben.get(path, params={"near": place}).status_code
            assert status in ((200, 300) if known else (200, 404, 422)), (path, place, status)
