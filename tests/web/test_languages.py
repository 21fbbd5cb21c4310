"""Every page in each language: one link from the one to the other, and search engines are told of both."""

import re
from html import unescape

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from events.web.endpoints import ADMIN, BRANCH_ADMIN, Declared
from tests.conftest import Cast
from tests.web.test_routes import FIELDS, QUERIES, TABLE, World, parameters
from tests.web.test_routes import world as world

BASE = "http://localhost:8000"
ADDED = "q=a%20b&from_a_friend=%C3%A9"  # what a page must keep, whether it knows it or not
TO_SPANISH, TO_ENGLISH = (
    re.compile(rf'<a href="([^"]*)" lang="{code}" hreflang="{code}">') for code in ("es", "en")
)
ALTERNATE = re.compile(r'<link rel="alternate" hreflang="([^"]+)" href="([^"]+)">')
CANONICAL = re.compile(r'<link rel="canonical" href="([^"]+)">')


def asked(world: World, route: Declared, method: str, address: str) -> Response:
    role = "admin" if route.who in (ADMIN, BRANCH_ADMIN) else "organizer"
    world.client.cookies.clear()
    cookie = {"Cookie": f"session={world.sessions[role]}"}
    return world.client.request(method, address, headers=cookie, data=FIELDS if method == "POST" else None)


def with_examples(world: World, method: str) -> list[Declared]:
    return [
        route for each, route in TABLE
        if each == method and set(parameters(route.path)) <= world.examples.keys()
        and not route.path.startswith(("/api/", "/embed/"))
    ]  # fmt: skip


def is_page(answer: Response) -> bool:
    """One of ours, with its frame: what is printed or stands in other sites has no links to languages."""
    html = answer.headers.get("content-type", "").startswith("text/html")
    return html and bool(TO_SPANISH.search(answer.text) or TO_ENGLISH.search(answer.text))


def test_the_language_switch_keeps_every_page_and_its_query(world: World) -> None:
    tried, wrong = 0, []
    for route in with_examples(world, "GET"):
        address = world.filled(route.path) + QUERIES.get(route.path, "")
        address += f"{'&' if '?' in address else '?'}{ADDED}"
        english = asked(world, route, "GET", address)
        if english.status_code != 200 or not is_page(english):
            continue
        tried += 1
        there = unescape(TO_SPANISH.findall(english.text)[0])
        spanish = asked(world, route, "GET", there)
        back = unescape(TO_ENGLISH.findall(spanish.text)[0]) if is_page(spanish) else ""
        if (spanish.status_code, back) != (200, address) or '<html lang="es"' not in spanish.text:
            wrong.append(f"{address} leads to {there}, which leads to {back}")
        named = ALTERNATE.findall(english.text)
        if named != ALTERNATE.findall(spanish.text):
            wrong.append(f"{address}: each language names others")
        if named and [CANONICAL.findall(page.text)[0] for page in (english, spanish)] != [
            dict(named)[code] for code in ("en", "es")
        ]:
            wrong.append(f"{address}: is not among the languages it names")
    assert not wrong, "\n".join(wrong)
    assert tried > 60


def test_after_a_form_the_language_leads_to_a_page_that_answers(world: World) -> None:
    tried, wrong = 0, []
    for route in with_examples(world, "POST"):
        answer = asked(world, route, "POST", world.filled(route.path))
        if answer.status_code == 404 or not is_page(answer):
            continue
        tried += 1
        there = unescape(TO_SPANISH.findall(answer.text)[0])
        status = asked(world, route, "GET", there).status_code
        if status != 200:
            wrong.append(f"POST {route.path} ({answer.status_code}) leads to {there}: {status}")
    assert not wrong, "\n".join(wrong)
    assert tried > 30


@pytest.mark.parametrize(
    ("sent_to", "shown_at"),
    [
        ("/organize/events/preview", "/organize/events/new"),
        ("/organize/branches/alder/preview", "/organize/branches/alder"),
        ("/account/password", "/account"),
        ("/organize/branches.csv", "/organize/branches"),
    ],
)
def test_a_form_is_shown_again_in_another_language_where_it_was(
    world: World, sent_to: str, shown_at: str
) -> None:
    [route] = [route for method, route in TABLE if method == "POST" and world.filled(route.path) == sent_to]
    page = asked(world, route, "POST", f"{sent_to}?about=x").text
    assert TO_SPANISH.findall(page)[0] == f"/es{shown_at}?about=x"


def test_what_is_printed_or_stands_in_other_sites_is_in_no_list_of_search_results(world: World) -> None:
    tried = 0
    for method, route in TABLE:
        if method == "GET" and re.search(r"/(poster|flyer)$|^/embed/(events|branches)$", route.path):
            tried += 1
            page = asked(world, route, "GET", world.filled(route.path)).text
            assert '<meta name="robots" content="noindex">' in page and 'rel="canonical"' not in page, (
                route.path
            )
    assert tried >= 4


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("path", ["/", "/branches/alder", "/events?page=1"])
def test_addresses_for_search_engines_are_whole_and_have_a_default(
    ben: TestClient, cast: Cast, path: str
) -> None:
    spanish = f"/es{path}".removesuffix("/")
    expected = [("en", BASE + path), ("es", BASE + spanish), ("x-default", BASE + path)]
    assert [(code, unescape(href)) for code, href in ALTERNATE.findall(ben.get(spanish).text)] == expected


def test_a_slash_too_many_does_not_change_the_language(ben: TestClient, cast: Cast) -> None:
    for path, whereto in [
        ("/es/events/?q=a", "/es/events?q=a"),
        ("/events/", "/events"),
        ("/es/branches/alder//", "/es/branches/alder"),
    ]:
        answer = ben.get(path, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (307, whereto), path
    assert ben.get("/es/nothing/", follow_redirects=False).status_code == 404
