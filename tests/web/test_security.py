"""What stands before every route. Who may use which is in test_routes.py."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import count

import pytest
from starlette.testclient import TestClient

from events.config import Settings
from events.web.environment import Templates
from tests.conftest import Cast, running


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


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("events.example.org", 200),
        ("Events.Example.org", 200),
        ("events.example.org:8000", 400),
        ("events.example.org.evil.example", 400),
        ("localhost", 400),
    ],
)
def test_with_a_base_url_no_other_name_is_known(settings: Settings, host: str, status: int) -> None:
    with running(replace(settings, base_url="https://events.example.org")) as app:
        answer = TestClient(app, "https://events.example.org").get("/about", headers={"Host": host})
    assert answer.status_code == status


def test_every_answer_carries_the_security_headers(ben: TestClient, cast: Cast) -> None:
    for path in ("/", "/events.ics", "/nothing", "/branches.json"):
        headers = ben.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


def test_no_other_site_loads_our_pages_but_what_is_made_for_it(ben: TestClient, cast: Cast) -> None:
    for path in ("/", "/events.ics", "/nothing", "/account"):
        assert ben.get(path).headers["cross-origin-resource-policy"] == "same-origin"
    for path in ("/embed.js", "/embed/events", "/oembed", "/pictures/none.jpg", "/static/none.css"):
        assert ben.get(path).headers["cross-origin-resource-policy"] == "cross-origin"


def test_what_nobody_expected_is_said_in_the_reader_s_language_and_guarded_as_every_answer(
    ben: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = Templates.render, count()

    def fails_once(self: Templates, code: str, name: str, context: Mapping[str, object]) -> str:
        if next(calls) == 0:
            raise RuntimeError
        return real(self, code, name, context)

    monkeypatch.setattr(Templates, "render", fails_once)
    client = TestClient(ben.app, base_url="http://localhost", raise_server_exceptions=False)
    answer = client.get("/es/about")
    assert answer.status_code == 500 and '<html lang="es"' in answer.text
    assert 'href="/about"' in answer.text, "the way to the other language"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "DENY"


def test_a_body_that_is_too_large_is_413(ben: TestClient, cast: Cast) -> None:
    answer = ben.post("/branches/alder/contact", data={"message": "x" * 3_000_000})
    assert answer.status_code == 413


def test_headers_that_are_too_large_are_431(ben: TestClient) -> None:
    assert ben.get("/", headers={"X-Large": "x" * 100_000}).status_code == 431


def test_two_host_names_in_one_request_are_refused(ben: TestClient, cast: Cast) -> None:
    """Two servers in a row could mean different ones (RFC 9112 3.2); an answer from memory is none of that, either."""
    for headers in ([("Host", "localhost")] * 2, [("Host", "evil.example"), ("Host", "localhost")]):
        for _ in range(2):
            assert ben.get("/about").status_code == 200
            assert ben.get("/about", headers=headers).status_code == 400


def test_pages_hold_no_inline_script_or_style(ben: TestClient, cast: Cast) -> None:
    for path in ("/", "/events", "/branches/alder", "/branches/alder/contact"):
        page = ben.get(path).text
        assert " style=" not in page and "<style" not in page and "onclick" not in page
        data = page.count('<script type="application/ld+json">')  # which no browser runs
        assert page.count("<script") == page.count('<script type="module" src="/static/') + data


def test_what_a_visitor_types_is_escaped(ben: TestClient, cast: Cast) -> None:
    page = ben.get("/events", params={"q": '"><script>alert(1)</script>'}).text
    assert "<script>alert" not in page


@pytest.mark.parametrize(
    "path", ["/branches/a%00b", "/topics/%00", "/api/v1/branches/%00", "/pictures/%00.jpg"]
)
def test_a_nul_in_a_path_names_nothing(ben: TestClient, cast: Cast, path: str) -> None:
    """PostgreSQL refuses to look for it."""
    assert ben.get(path).status_code == 404


@pytest.mark.parametrize("charset", ["utf-7", "unicode_escape", "undefined", "punycode"])
def test_a_form_in_a_charset_that_makes_text_of_no_letters_is_refused(
    ben: TestClient, cast: Cast, charset: str
) -> None:
    field = b'--B\r\nContent-Disposition: form-data; name="name"\r\n\r\n+2AA- \\ud800\r\n--B--\r\n'
    for said, status in ((f"; charset={charset}", 422), ("; charset=UTF-8", 422), ("", 422)):
        kind = f"multipart/form-data{said}; boundary=B"
        answer = ben.post("/branches/alder/contact", content=field, headers={"Content-Type": kind})
        assert answer.status_code == status
        assert ("cannot be read" in answer.text) == (charset in said)
