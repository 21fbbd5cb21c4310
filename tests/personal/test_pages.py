"""What people are told about what is kept of them, and the name they give themselves."""

from dataclasses import replace
from html import unescape

import pytest
from starlette.testclient import TestClient

from events.config import Settings
from events.db import Database
from events.people.models import Person
from events.web.privacy import KEPT
from tests.conftest import Cast, browser, running

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def told(settings: Settings, path: str = "/privacy") -> str:
    with running(settings) as app:
        answer = browser(app).get(path)
    assert answer.status_code == 200
    return unescape(answer.text)


def test_the_privacy_page_says_how_long_each_kind_is_kept(settings: Settings, cast: Cast) -> None:
    page = told(settings)
    for days in {kept.days for kept in KEPT.values()}:
        assert f"{days} days" in page, days
    assert "<code>session</code>" in page


def test_the_privacy_page_says_what_the_operator_has_set(settings: Settings, cast: Cast) -> None:
    plain = told(settings)
    assert "does not send e-mails at present" in plain and "through a mail server" not in plain
    assert "Another server stands before this one" not in plain and "on another computer" not in plain
    served = replace(
        settings,
        smtp_url="smtp://user:password@mail.internal.example.org",
        trusted_proxies=("10.0.0.1",),
        metrics_token="let me in",
        base_url="https://events.example.org",
    )
    with running(served) as app:
        page = unescape(browser(app).get("/privacy", headers={"Host": "events.example.org"}).text)
    assert "does not send e-mails at present" not in page and "through a mail server" in page
    assert "Another server stands before this one" in page and "on another computer" in page
    assert "<code>__Host-session</code>" in page
    for secret in ("mail.internal", "password@", "10.0.0.1", "let me in"):
        assert secret not in page, secret


def test_what_the_operator_says_about_privacy_comes_first_in_each_language(
    settings: Settings, cast: Cast
) -> None:
    settings.site_dir.mkdir()
    (settings.site_dir / "privacy.md").write_text("The **Hazel office** keeps backups for 60 days.")
    (settings.site_dir / "privacy.es.md").write_text("La oficina guarda copias 60 días.")
    english, spanish = told(settings), told(settings, "/es/privacy")
    assert english.index("<strong>Hazel office</strong>") < english.index("When you look around")
    assert spanish.index("La oficina guarda copias") < spanish.index("<h2>")


def test_ana_says_how_to_call_her(ana: TestClient, database: Database, cast: Cast) -> None:
    assert ana.post("/account/name", data={"name": " Ana  <b> "}).headers["location"] == "/account?done=name"
    with database.reading() as session:
        assert session.get_one(Person, cast.ana.id).name == "Ana <b>"
    assert 'value="Ana &lt;b&gt;"' in ana.get("/account?done=name").text
    refused = ana.post("/account/name", data={"name": "x" * 101})
    assert refused.status_code == 422 and "x" * 101 in refused.text
    assert ana.post("/account/name", data={"name": ""}).status_code == 303
    with database.reading() as session:
        assert session.get_one(Person, cast.ana.id).name == ""
