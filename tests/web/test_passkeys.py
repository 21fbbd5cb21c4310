"""Passkeys over the web: added on /account, used on /sign-in."""

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events.config import Settings
from events.db import Database
from events.people import sign_in
from events.people.models import Purpose
from tests.conftest import Cast, browser, running
from tests.people.authenticator import Device

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
TO_ADD, TO_SIGN_IN = "/account/passkeys/challenge.json", "/sign-in/passkey/challenge.json"


def added(client: TestClient, name: str = "My phone") -> Device:
    device = Device()
    form = {"credential": device.made(client.post(TO_ADD).text), "passkey_name": name}
    assert client.post("/account/passkeys", data=form).headers["location"] == "/account?done=passkey"
    return device


def used(client: TestClient, device: Device, **more: str) -> int:
    form = {"credential": device.used(client.post(TO_SIGN_IN).text), **more}
    return client.post("/sign-in/passkey", data=form).status_code


def test_ana_adds_a_passkey_and_signs_in_with_it(app: Starlette, ana: TestClient, cast: Cast) -> None:
    device = added(ana)
    assert "My phone" in ana.get("/account").text
    other = browser(app)
    form = {"credential": device.used(other.post(TO_SIGN_IN).text), "next": "/organize/imports"}
    answer = other.post("/sign-in/passkey", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/organize/imports")
    assert "httponly" in answer.headers["set-cookie"].lower()
    assert "ana@example.org" in other.get("/account").text and "last used" in other.get("/account").text
    again = browser(app)
    assert used(again, device, next="//evil.example") == 303
    assert again.get("/organize").status_code == 200


def test_the_button_is_made_by_the_script_that_only_these_pages_load(
    ana: TestClient, ben: TestClient, cast: Cast
) -> None:
    for client, path in ((ben, "/sign-in"), (ana, "/account")):
        page = client.get(path).text
        form = re.search(r"<form[^>]*data-passkey=.*?</form>", page, re.DOTALL)
        assert form and " hidden " in form[0] and "<button" not in form[0]
        assert "js/passkey." in page
    assert "js/passkey." not in ben.get("/register").text + ben.get("/").text


def test_a_challenge_is_kept_by_nobody_and_made_by_no_get(ben: TestClient, cast: Cast) -> None:
    made = ben.post(TO_SIGN_IN)
    assert made.headers["content-type"] == "application/json" and made.headers["cache-control"] == "no-store"
    assert "set-cookie" not in made.headers
    assert ben.get(TO_SIGN_IN).status_code == 405
    assert ben.post(TO_SIGN_IN, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert ben.post(TO_ADD).headers["location"] == "/sign-in"


def test_a_refused_answer_is_said_on_the_page_and_cannot_be_tried_again(
    app: Starlette, ana: TestClient, ben: TestClient, cast: Cast
) -> None:
    device = added(ana)
    options = ben.post(TO_SIGN_IN).text
    broken = ben.post(
        "/sign-in/passkey", data={"credential": device.used(options, signature="AAAA"), "next": "/x"}
    )
    assert broken.status_code == 422 and "could not be checked" in broken.text and 'value="/x"' in broken.text
    late = ben.post("/sign-in/passkey", data={"credential": device.used(options)})
    assert late.status_code == 422 and "done already" in late.text
    unknown = ben.post("/sign-in/passkey", data={"credential": Device().used(ben.post(TO_SIGN_IN).text)})
    assert unknown.status_code == 422 and "do not know this passkey" in unknown.text
    assert ben.get("/account").status_code == 303
    strangers = ana.post("/account/passkeys", data={"credential": Device().made(_somebody_elses(app, ana))})
    assert strangers.status_code == 422 and 'href="#passkey_name"' in strangers.text


def _somebody_elses(app: Starlette, ana: TestClient) -> str:
    """A challenge to add a passkey, asked for by Ana, spent by her already."""
    options = ana.post(TO_ADD).text
    ana.post("/account/passkeys", data={"credential": Device().made(options)})
    return options


def test_nonsense_is_never_a_fault_of_ours(ana: TestClient, cast: Cast) -> None:
    for credential in ("", "{", "[" * 5000, "null", "x" * 300_000, "\x00", '{"response": {}}'):
        for path in ("/account/passkeys", "/sign-in/passkey"):
            answer = ana.post(path, data={"credential": credential})
            assert answer.status_code == 422 and "could not be read" in answer.text, (path, credential[:20])
    long = ana.post("/account/passkeys", data={"credential": "{}", "passkey_name": "x" * 61})
    assert long.status_code == 422 and 'href="#passkey_name"' in long.text


def test_cy_does_not_remove_anas_passkey(app: Starlette, ana: TestClient, cy: TestClient, cast: Cast) -> None:
    device = added(ana, "")
    page = ana.get("/account").text
    removal = re.search(r'action="(/account/passkeys/\w+/removal)"', page)
    assert removal and "<bdi>Passkey</bdi>" in page
    assert cy.post(removal[1]).status_code == 404
    assert ana.post(removal[1]).headers["location"] == "/account?done=passkey-removed"
    assert used(browser(app), device) == 422


def test_passkeys_belong_to_the_host_of_the_base_url(
    settings: Settings, database: Database, cast: Cast
) -> None:
    """However it is written: browsers write a host in lower case."""
    with running(replace(settings, base_url="https://Events.example.org")) as app:
        ana = TestClient(app, "https://events.example.org", headers=SAME_ORIGIN, follow_redirects=False)
        with database.writing() as session:
            token = sign_in.make_link(session, cast.ana, Purpose.SIGN_IN, datetime.now(UTC))
        assert ana.post(f"/sign-in/{token}").status_code == 303
        device = Device("events.example.org", "https://events.example.org")
        options = ana.post(TO_ADD).text
        assert '"id": "events.example.org"' in options
        answer = ana.post("/account/passkeys", data={"credential": device.made(options)})
        assert answer.headers["location"] == "/account?done=passkey"
        wrong = Device("events.example.org", "http://events.example.org").made(ana.post(TO_ADD).text)
        assert ana.post("/account/passkeys", data={"credential": wrong}).status_code == 422


def test_challenges_are_counted_like_other_ways_to_sign_in(
    settings: Settings, database: Database, cast: Cast
) -> None:
    with running(replace(settings, rate_limits=True)) as app:
        statuses = [browser(app).post(TO_SIGN_IN).status_code for _ in range(11)]
        refused = browser(app).post(TO_SIGN_IN)
    assert statuses == [200] * 10 + [429]
    assert refused.json()["detail"].startswith("Too many requests in a short time")


def test_answers_to_challenges_are_counted_too(settings: Settings, database: Database, cast: Cast) -> None:
    with running(replace(settings, rate_limits=True)) as app:
        statuses = [
            browser(app).post("/sign-in/passkey", data={"credential": "{}"}).status_code for _ in range(11)
        ]
    assert statuses == [422] * 10 + [429]
