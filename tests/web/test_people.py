"""Signing in, and one's own account."""

import re
from datetime import UTC, datetime, timedelta

from sqlmodel import col, select
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events.db import Database
from events.messages.models import OutgoingMail
from events.people import sign_in
from events.people.models import OneTimeLink, Person, Purpose
from tests.conftest import Cast, browser


def newest_mail(database: Database) -> OutgoingMail | None:
    with database.reading() as session:
        return session.exec(select(OutgoingMail).order_by(col(OutgoingMail.id).desc())).first()


def link_in(mail: OutgoingMail | None) -> str:
    assert mail is not None
    found = re.search(r"http://localhost:8000(/\S*sign-in/\S+)", mail.body)
    assert found
    return found[1]


def test_ana_signs_in_by_a_link_in_her_mail(ben: TestClient, database: Database, cast: Cast) -> None:
    assert ben.post("/sign-in", data={"email": " Ana@Example.org "}).headers["location"] == "/sign-in/sent"
    mail = newest_mail(database)
    assert mail and mail.recipient == "ana@example.org"
    link = link_in(mail)
    assert "Sign in to Hazel Clubs" in ben.get(link).text
    assert ben.post(link).headers["location"] == "/organize"
    assert "Alder Club" in ben.get("/organize").text


def test_opening_the_link_does_not_use_it_up_and_using_it_twice_is_refused(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    ben.post("/sign-in", data={"email": "ana@example.org"})
    link = link_in(newest_mail(database))
    assert [ben.get(link).status_code for _ in range(3)] == [200, 200, 200]
    assert ben.post(link).status_code == 303
    again = ben.post(link)
    assert again.status_code == 410 and "used already" in again.text


def test_an_expired_link_and_one_that_never_was_are_refused(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        token = sign_in.make_link(
            session,
            cast.ana,
            Purpose.SIGN_IN,
            datetime.now(UTC) - OneTimeLink.LIFETIME - timedelta(seconds=1),
        )
    expired, unknown = ben.post(f"/sign-in/{token}"), ben.post("/sign-in/nothing-of-ours")
    assert (expired.status_code, unknown.status_code) == (410, 410)
    assert "expired" in expired.text and "not one of ours" in unknown.text


def test_the_answer_is_the_same_for_an_address_that_has_no_account(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    known, unknown = (
        ben.post("/sign-in", data={"email": "ana@example.org"}),
        ben.post("/sign-in", data={"email": "x@example.org"}),
    )
    assert (known.status_code, known.headers["location"]) == (
        unknown.status_code,
        unknown.headers["location"],
    )
    mail = newest_mail(database)
    assert mail and mail.recipient == "ana@example.org"


def test_an_address_that_cannot_be_one_is_kept_and_explained(ben: TestClient, cast: Cast) -> None:
    answer = ben.post("/sign-in", data={"email": "ana at example"})
    assert answer.status_code == 422
    assert 'value="ana at example"' in answer.text and "name@example.org" in answer.text


def test_ana_sets_a_password_and_signs_in_with_it(app: Starlette, ana: TestClient, cast: Cast) -> None:
    short = ana.post("/account/password", data={"password": "short"})
    assert short.status_code == 422 and "at least 10" in short.text
    assert ana.post("/account/password", data={"password": "correct horse battery"}).status_code == 303
    assert ana.get("/account").status_code == 200, "she stays signed in"
    other = browser(app)
    wrong = other.post("/sign-in", data={"email": "ana@example.org", "password": "wrong"})
    assert wrong.status_code == 422 and "do not go together" in wrong.text
    right = other.post("/sign-in", data={"email": "ana@example.org", "password": "correct horse battery"})
    assert right.headers["location"] == "/organize"


def test_a_new_password_ends_the_other_sessions(
    app: Starlette, ana: TestClient, database: Database, cast: Cast
) -> None:
    other = browser(app)
    other.post("/sign-in", data={"email": "ana@example.org"})
    other.post(link_in(newest_mail(database)))
    assert other.get("/account").status_code == 200
    ana.post("/account/password", data={"password": "correct horse battery"})
    assert other.get("/account").status_code == 303


def test_a_new_address_counts_when_its_link_is_opened(
    ana: TestClient, database: Database, cast: Cast
) -> None:
    ana.post("/account/email", data={"email": "ana@new.example"})
    with database.reading() as session:
        assert session.get_one(Person, cast.ana.id).email == "ana@example.org"
    ana.post(link_in(newest_mail(database)))
    with database.reading() as session:
        assert session.get_one(Person, cast.ana.id).email == "ana@new.example"


def test_signing_out_ends_the_session_for_good(ana: TestClient, cast: Cast) -> None:
    token = ana.cookies["session"]
    assert ana.post("/sign-out").status_code == 303
    ana.cookies.set("session", token)
    assert ana.get("/account").status_code == 303


def test_ana_deletes_her_account_only_after_a_tick(ana: TestClient, database: Database, cast: Cast) -> None:
    assert ana.post("/account/removal").status_code == 422
    assert ana.post("/account/removal", data={"confirm": "yes"}).status_code == 303
    with database.reading() as session:
        assert session.get(Person, cast.ana.id) is None
    assert ana.get("/account").status_code == 303


def test_where_one_goes_after_signing_in_is_a_page_of_ours(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    first = ben.get("/organize/events/new?branch=alder")
    assert first.headers["location"] == "/sign-in?next=%2Forganize%2Fevents%2Fnew%3Fbranch%3Dalder"
    for going, landing in (
        ("/organize/events/new?branch=alder", "/organize/events/new?branch=alder"),
        ("//evil.example", "/organize"),
        ("/\\evil.example", "/organize"),
        ("https://evil.example", "/organize"),
    ):
        ben.post("/sign-in", data={"email": "ana@example.org", "next": going})
        assert ben.post(link_in(newest_mail(database))).headers["location"] == landing


def test_the_session_cookie_is_kept_from_scripts_and_other_sites(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    ben.post("/sign-in", data={"email": "ana@example.org"})
    cookie = ben.post(link_in(newest_mail(database))).headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie and "path=/" in cookie


def test_mails_speak_the_language_of_the_page(ben: TestClient, database: Database, cast: Cast) -> None:
    ben.post("/es/sign-in", data={"email": "ana@example.org"})
    mail = newest_mail(database)
    assert mail and "/es/sign-in/" in mail.body and "Open this link" not in mail.body
