"""/sitemap.xml and /robots.txt: which pages search engines are led to, in each language, in files they take."""

from dataclasses import replace
from datetime import datetime, timedelta
from threading import current_thread
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from starlette.testclient import TestClient

from events.branches.drafts import SLUG_LENGTH
from events.branches.models import Status
from events.calendars import derived
from events.calendars.content import Publishing
from events.calendars.models import Event
from events.config import Settings
from events.db import Database
from events.interpreter import MANY_FIRST_S
from events.web import sitemap
from tests.conftest import NOW, Cast, branch, browser, running
from tests.web.test_event_lists import ONCE, THEN, added

MAPS = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
LINK = "{http://www.w3.org/1999/xhtml}link"
BASE = "http://localhost:8000"


@pytest.fixture
def tool_night(database: Database, cast: Cast, publishing: Publishing) -> int:
    return added(database, publishing, cast.alder)


def read(client: TestClient, path: str = "/sitemap.xml") -> Element:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/xml"
    return ElementTree.fromstring(answer.content)  # noqa: S314  (our own)


def urls(client: TestClient, path: str = "/sitemap.xml") -> dict[str, Element]:
    """The entries of a file by their address."""
    found = read(client, path)
    assert found.tag == f"{MAPS}urlset"
    by_address = {entry.findtext(f"{MAPS}loc") or "": entry for entry in found}
    assert len(by_address) == len(found), "an address comes twice"
    return by_address


def test_robots_are_told_where_the_sitemap_is(ben: TestClient) -> None:
    lines = ben.get("/robots.txt").text.splitlines()
    assert lines[0] == "User-agent: *" and "Disallow: /organize" in lines
    assert f"Sitemap: {BASE}/sitemap.xml" in lines


def test_every_page_is_listed_in_each_language_with_all_its_languages(
    ben: TestClient, tool_night: int
) -> None:
    found = urls(ben)
    for path in ("/branches/alder", f"/events/{tool_night}", "/topics/repair", "/events", "/privacy"):
        for address in (f"{BASE}{path}", f"{BASE}/es{path}"):
            links = {link.attrib["hreflang"]: link.attrib["href"] for link in found[address].findall(LINK)}
            assert links == {
                "en": f"{BASE}{path}", "es": f"{BASE}/es{path}", "x-default": f"{BASE}{path}",
            }  # fmt: skip
    assert f"{BASE}/" in found and f"{BASE}/es" in found


def test_every_address_answers_and_calls_itself_so(ben: TestClient, tool_night: int) -> None:
    for address in urls(ben):
        page = ben.get(address)
        assert page.status_code == 200, address
        assert f'<link rel="canonical" href="{address}">' in page.text


def test_branches_and_events_say_when_they_last_changed(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        event.cancel("Too few people.", THEN)
        derived.save(session, event, publishing, THEN + timedelta(hours=1))
    found = urls(ben)
    assert found[f"{BASE}/branches/alder"].findtext(f"{MAPS}lastmod") == f"{NOW:%Y-%m-%dT%H:%M:%SZ}"
    assert found[f"{BASE}/es/events/{tool_night}"].findtext(f"{MAPS}lastmod") == "2043-11-23T13:00:00Z"
    assert found[f"{BASE}/privacy"].find(f"{MAPS}lastmod") is None


def test_nobody_is_led_to_what_has_closed_is_over_or_is_not_public(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    long_ago = datetime(2021, 5, 4, 19)
    shown = added(database, publishing, cast.alder, **ONCE)
    added(database, publishing, cast.alder, **ONCE, start=long_ago, end=long_ago + timedelta(hours=2))
    added(database, publishing, cast.alder, **ONCE, state="draft")
    removed = added(database, publishing, cast.alder, **ONCE)
    with database.writing() as session:
        session.add(branch("gone", "Gone", None, status=Status.CLOSED))
        session.add(branch("refuge", "Refuge", None, city="Chicago", confidential=True))
        session.add(branch("new", "New", None, status=Status.FORMING))
        event = session.get_one(Event, removed)
        event.delete(THEN)
        derived.save(session, event, publishing, THEN)
    found = [address.removeprefix(BASE) for address in urls(ben) if not address.startswith(f"{BASE}/es")]
    assert [path for path in found if path.startswith("/branches/")] == [
        "/branches/alder", "/branches/birch", "/branches/new", "/branches/refuge",
    ]  # fmt: skip
    assert [path for path in found if path.startswith("/events/")] == [f"/events/{shown}"]


def test_more_addresses_than_a_file_may_hold_make_an_index_of_files(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        added(database, publishing, cast.alder, **ONCE)
    whole = urls(ben)
    assert len(whole) % 2 == 0 and list(urls(ben, "/sitemap.xml?page=1")) == list(whole)
    monkeypatch.setattr(sitemap, "MOST_URLS", len(whole))
    assert list(urls(ben)) == list(whole)
    for most in (6, 7, len(whole) - 1):
        monkeypatch.setattr(sitemap, "MOST_URLS", most)
        index = read(ben)
        assert index.tag == f"{MAPS}sitemapindex"
        files = [entry.findtext(f"{MAPS}loc") or "" for entry in index]
        assert files == [f"{BASE}/sitemap.xml?page={number}" for number in range(1, len(files) + 1)]
        parts = [list(urls(ben, file)) for file in files]
        assert [address for part in parts for address in part] == list(whole)
        assert max(map(len, parts)) <= most
        assert ben.get(f"/sitemap.xml?page={len(files) + 1}").status_code == 404


def test_it_is_written_beside_the_loop_in_which_others_are_answered_and_they_go_first(
    ben: TestClient, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, threads, gave_way, write = list(urls(ben)), set[str](), list[float](), sitemap.urls

    def noting(*given: Any) -> str:
        threads.add(current_thread().name.partition("_")[0])
        return write(*given)

    monkeypatch.setattr(sitemap, "AT_ONCE", 5)
    monkeypatch.setattr(sitemap, "urls", noting)
    monkeypatch.setattr(sitemap, "let_answers_go_first", gave_way.append)
    assert list(urls(ben)) == whole
    assert (threads, set(gave_way)) == ({"long"}, {MANY_FIRST_S})
    assert len(gave_way) == -(-len(whole) // 2 // 5)


@pytest.mark.parametrize("languages", [1, 2, 5, 8, 30])
@pytest.mark.parametrize("base", ["https://x.example", f"https://{'long.' * 20}example"])
def test_no_file_is_larger_than_search_engines_take(languages: int, base: str) -> None:
    codes = ["en", *(f"x{number:02}" for number in range(1, languages))]
    longest = sitemap.Entry(f"/branches/{'s' * SLUG_LENGTH}", NOW)
    pages = sitemap.pages_of_a_file(base, codes)
    assert pages * languages <= 50_000 and pages > 100
    assert pages * len(sitemap.urls(base, codes, longest)) < 52_428_800


@pytest.mark.parametrize(("query", "status"), [("page=0", 422), ("page=x", 422), ("page=2", 404)])
def test_a_page_that_is_none_is_refused(ben: TestClient, cast: Cast, query: str, status: int) -> None:
    assert ben.get(f"/sitemap.xml?{query}").status_code == status


def test_with_one_language_there_is_nothing_to_switch_to(settings: Settings, cast: Cast) -> None:
    with running(replace(settings, locales=("en",), base_url="https://clubs.example.org")) as app:
        client = browser(app)
        found = urls(client, "https://clubs.example.org/sitemap.xml")
        assert (
            "Sitemap: https://clubs.example.org/sitemap.xml"
            in client.get("https://clubs.example.org/robots.txt").text
        )
    assert "https://clubs.example.org/branches/alder" in found
    assert [entry for entry in found.values() if entry.find(LINK) is not None] == []
