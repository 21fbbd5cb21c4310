"""What stands before every route, and who may use which."""

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from events.web.endpoints import ADMIN, ANYBODY, ORGANIZER, SIGNED_IN, Read, Who, Write
from events.web.routes import routes
from tests.conftest import Cast

PUBLIC_FUNCTIONS = {"static", "healthz", "robots", "change_password_address"}


def declared() -> list[tuple[str, str, Who]]:
    """(path, method, who) of each route; a route that does not say who may use it fails here."""
    found = []
    for route in routes:
        assert isinstance(route, Route)
        owner = getattr(route.endpoint, "__self__", None)
        if owner is None:
            assert route.endpoint.__name__ in PUBLIC_FUNCTIONS, route.path
            continue
        assert isinstance(owner, Read | Write)
        found.append((route.path, "POST" if isinstance(owner, Write) else "GET", owner.who))
    return found


def test_every_route_declares_who_may_use_it_and_private_paths_are_private() -> None:
    for path, _, who in declared():
        if path.startswith("/organize"):
            assert who in (ORGANIZER, ADMIN), path
        elif path.startswith("/account"):
            assert who is SIGNED_IN, path
        else:
            assert who is ANYBODY, path


def test_a_visitor_is_asked_to_sign_in_and_one_without_a_role_finds_nothing(
    ben: TestClient, cast: Cast
) -> None:
    for path, method, who in declared():
        if who is not ANYBODY:
            answer = ben.request(method, path.replace("{id}", "1").replace("{start}", "2026-12-01T19:00"))
            assert answer.status_code == 303 and "/sign-in" in answer.headers["location"], path


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "", "Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "", "Origin": "null"},
        {"Sec-Fetch-Site": ""},
    ],
)
def test_a_form_from_elsewhere_is_refused(ana: TestClient, cast: Cast, headers: dict[str, str]) -> None:
    answer = ana.post("/sign-out", headers=headers)
    assert answer.status_code == 403
    assert ana.get("/account").status_code == 200


def test_an_old_browser_without_fetch_metadata_passes_by_its_origin(ana: TestClient, cast: Cast) -> None:
    assert (
        ana.post("/sign-out", headers={"Sec-Fetch-Site": "", "Origin": "http://localhost"}).status_code == 303
    )


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "[::2]", "", "a b"])
def test_an_unknown_host_is_refused(ben: TestClient, host: str) -> None:
    assert ben.get("/", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:80", "[::1]:8000"])
def test_loopback_names_are_known_without_a_base_url(ben: TestClient, host: str) -> None:
    assert ben.get("/about", headers={"Host": host}).status_code == 200


def test_every_answer_carries_the_security_headers(ben: TestClient, cast: Cast) -> None:
    for path in ("/", "/events.ics", "/nothing", "/branches.json"):
        headers = ben.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


def test_a_body_that_is_too_large_is_413(ben: TestClient, cast: Cast) -> None:
    answer = ben.post("/branches/alder/contact", data={"message": "x" * 3_000_000})
    assert answer.status_code == 413


def test_headers_that_are_too_large_are_431(ben: TestClient) -> None:
    assert ben.get("/", headers={"X-Large": "x" * 100_000}).status_code == 431


def test_pages_hold_no_inline_script_or_style(ben: TestClient, cast: Cast) -> None:
    for path in ("/", "/events", "/branches/alder", "/branches/alder/contact"):
        page = ben.get(path).text
        assert " style=" not in page and "<style" not in page and "onclick" not in page
        data = page.count('<script type="application/ld+json">')  # which no browser runs
        assert page.count("<script") == page.count('<script type="module" src="/static/') + data


def test_what_a_visitor_types_is_escaped(ben: TestClient, cast: Cast) -> None:
    page = ben.get("/events", params={"q": '"><script>alert(1)</script>'}).text
    assert "<script>alert" not in page
