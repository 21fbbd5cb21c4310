"""Ben tells a friend of a page, and nobody else hears of it."""

import re
from html import unescape
from urllib.parse import parse_qs, quote, urlsplit
from xml.etree import ElementTree

import pytest
import segno
from starlette.testclient import TestClient

from events.calendars import store
from events.calendars.content import Publishing
from events.calendars.models import Event
from events.db import Database
from events.web.sharing import LONGEST_PATH
from tests.conftest import Cast
from tests.web.test_event_lists import THEN, tuesdays

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

HERE = "http://localhost:8000"


@pytest.fixture
def tool_night(database: Database, cast: Cast, publishing: Publishing) -> Event:
    draft = tuesdays(title="Saws & “blades” + 100 %", venue={"name": "Boat house", "address_1": "1 Quay"})
    with database.writing() as session:
        return store.add(session, draft, [cast.alder], publishing, THEN)


def mail_of(page: str) -> tuple[str, list[str]]:
    """Subject and lines of the draft that the page's link opens, to nobody yet."""
    [address] = re.findall(r'href="(mailto:[^"]*)"', page)
    parts = urlsplit(unescape(address))
    assert parts.path == ""
    said = parse_qs(parts.query, strict_parsing=True)
    return said["subject"][0], said["body"][0].split("\r\n")


def dark_modules(svg: str) -> set[tuple[int, int]]:
    """Where the code is dark, by column and row, read from what is drawn."""
    [path] = [one for one in ElementTree.fromstring(svg) if one.get("stroke")]  # noqa: S314  (our own)
    found, x, y = set[tuple[int, int]](), 0, 0.0
    for how, right, down, length in re.findall(r"([Mm])(-?\d+) (-?[\d.]+)h(\d+)", path.get("d", "")):
        x, y = (int(right), float(down)) if how == "M" else (x + int(right), y + float(down))
        found |= {(column, int(y)) for column in range(x, x + int(length))}
        x += int(length)
    return found


# ---------------------------------------------------------------- the panel


def test_a_mail_to_a_friend_says_what_when_and_where_with_the_address(
    ben: TestClient, tool_night: Event
) -> None:
    subject, lines = mail_of(ben.get(f"/events/{tool_night.id}").text)
    assert subject == lines[0] == "Saws & “blades” + 100 %"
    assert re.fullmatch(r"Tuesday, November 24, 2043, 7:00.*PM Chicago time, Boat house, 1 Quay", lines[1])
    assert lines[2:] == [f"{HERE}/events/{tool_night.id}"]


def test_who_looks_at_one_date_tells_of_that_date(ben: TestClient, tool_night: Event) -> None:
    _, lines = mail_of(ben.get(f"/es/events/{tool_night.id}?date=2043-12-01").text)
    assert "martes, 1 de diciembre de 2043" in lines[1]
    assert lines[2] == f"{HERE}/es/events/{tool_night.id}?date=2043-12-01"


@pytest.mark.parametrize("path", ["/branches/alder", "/topics/repair", "/es/branches/alder"])
def test_branches_and_topics_are_told_of_too(ben: TestClient, tool_night: Event, path: str) -> None:
    page = ben.get(path).text
    _, lines = mail_of(page)
    assert lines[-1] == HERE + path
    assert f'value="{HERE}{path}" readonly' in page
    assert f'src="/qr.svg?to={path}"' in page


def test_a_branch_is_told_of_with_its_town(ben: TestClient, cast: Cast) -> None:
    _, lines = mail_of(ben.get("/branches/alder").text)
    assert lines[:2] == ["Alder Club", "Chicago, IL"]


# ---------------------------------------------------------------- the code


@pytest.mark.parametrize("path", ["/events/7", "/es/branches/alder", "/events/7?date=2043-12-01&x=%C3%B1"])
def test_a_code_leads_to_our_own_page(ben: TestClient, path: str) -> None:
    answer = ben.get("/qr.svg", params={"to": path})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
    wanted = segno.make_qr(HERE + path, error="m").matrix_iter(border=4)
    assert dark_modules(answer.text) == {
        (x, y) for y, row in enumerate(wanted) for x, dark in enumerate(row) if dark
    }
    assert "max-age=604800" in answer.headers["cache-control"] and "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "path",
    ["", "events/7", "//evil.example", "/\\evil.example", "https://evil.example", "/a b", "/a\r\nb", "/ñ", "/<b>",
     "/" + "a" * LONGEST_PATH],
)  # fmt: skip
def test_there_is_no_code_for_anything_else(ben: TestClient, path: str) -> None:
    answer = ben.get(f"/qr.svg?to={quote(path)}")
    assert answer.status_code == 422 and "for a page of this site" in answer.text


def test_the_longest_path_still_has_a_code(ben: TestClient) -> None:
    assert ben.get("/qr.svg", params={"to": "/" + "a" * (LONGEST_PATH - 1)}).status_code == 200
