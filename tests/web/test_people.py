"""Signing in, and one's own account."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import col, select
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events import limits
from events.config import Settings
from events.db import Database
from events.limits import Limit
from events.messages.models import OutgoingMail
from events.people import permissions, sign_in
from events.people.models import OneTimeLink, Person, Purpose, Role
from events.web.people import LINKS
from tests.conftest import Cast, browser, running, signed_in

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


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


def test_on_https_the_cookie_belongs_to_this_very_host_and_travels_over_https_alone(
    settings: Settings, database: Database, cast: Cast
) -> None:
    with running(replace(settings, base_url="https://events.example.org")) as app:
        browsing = TestClient(
            app,
            "https://events.example.org",
            headers={"Sec-Fetch-Site": "same-origin"},
            follow_redirects=False,
        )
        browsing.post(
            "/sign-in", data={"email": "ana@example.org"}, headers={"X-Forwarded-Host": "evil.example"}
        )
        mail = newest_mail(database)
        assert mail is not None
        links = re.findall(r"https?://([^/]+)(/\S*)", mail.body)
        assert {host for host, _ in links} == {"events.example.org"}, "whatever a request says of itself"
        [path] = [path for _, path in links if "sign-in/" in path]
        cookie = browsing.post(path).headers["set-cookie"]
    assert re.match(r"__Host-session=[\w-]{30,};", cookie)
    parts = {part.strip().lower() for part in cookie.split(";")}
    assert {"secure", "httponly", "samesite=lax", "path=/"} <= parts
    assert not any(part.startswith("domain=") for part in parts)


def test_each_sign_in_begins_a_session_of_its_own_and_takes_none_that_was_brought(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    brought = {"Cookie": f"session={'x' * 43}"}
    begun = []
    for _ in range(2):
        ben.cookies.clear()
        ben.post("/sign-in", data={"email": "ana@example.org"}, headers=brought)
        answer = ben.post(link_in(newest_mail(database)), headers=brought)
        begun.append({"Cookie": answer.headers["set-cookie"].partition(";")[0]})
    ben.cookies.clear()
    assert begun[0] != begun[1] and brought not in begun
    assert [ben.get("/account", headers=each).status_code for each in (*begun, brought)] == [200, 200, 303]


def test_mails_speak_the_language_of_the_page(ben: TestClient, database: Database, cast: Cast) -> None:
    ben.post("/es/sign-in", data={"email": "ana@example.org"})
    mail = newest_mail(database)
    assert mail and "/es/sign-in/" in mail.body and "Open this link" not in mail.body


# ---------------------------------------------------------------- links


def link_for(database: Database, person: Person, purpose: Purpose, detail: str = "") -> str:
    with database.writing() as session:
        return f"/sign-in/{sign_in.make_link(session, person, purpose, datetime.now(UTC), detail=detail)}"


def test_every_purpose_of_a_link_has_its_page_and_a_way_to_another_link(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    for purpose in Purpose:
        long_ago = datetime.now(UTC) - timedelta(days=1)
        with database.writing() as session:
            token = sign_in.make_link(session, cast.ana, purpose, long_ago)
        answer = ben.get(f"/sign-in/{token}")
        assert answer.status_code == 410 and f'href="{LINKS[purpose].anew[0]}"' in answer.text, purpose


def test_a_link_that_is_over_leads_to_where_there_is_another(
    app: Starlette, ben: TestClient, ana: TestClient, database: Database, cast: Cast
) -> None:
    link = link_for(database, cast.cy, Purpose.RESET)
    assert ben.post(link, data={"password": "correct horse battery"}).status_code == 303
    again = browser(app).get(link)
    assert again.status_code == 410 and 'href="/password"' in again.text
    assert 'href="/account"' in ben.get(link).text, "who is signed in needs no other link"
    unknown = browser(app).get("/es/sign-in/nothing")
    assert unknown.status_code == 410 and 'href="/es/sign-in"' in unknown.text


def test_two_who_use_a_link_at_once_do_not_both_get_in(
    app: Starlette, ben: TestClient, database: Database, cast: Cast
) -> None:
    link = link_for(database, cast.ana, Purpose.SIGN_IN)
    browsers = [browser(app) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda client: client.post(link).status_code, browsers))
    assert sorted(answers) == [303, 410]


def test_who_has_no_role_lands_on_the_account(ben: TestClient, database: Database, cast: Cast) -> None:
    with database.writing() as session:
        stranger = sign_in.find_or_add(session, "x@example.org", datetime.now(UTC))
    assert ben.post(link_for(database, stranger, Purpose.SIGN_IN)).headers["location"] == "/account"


# ---------------------------------------------------------------- how often an address is mailed


@pytest.fixture
def strict(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Starlette]:
    """With limits, of which that of a recipient does not begin anew while the test runs."""
    monkeypatch.setattr(limits, "RECIPIENT", Limit("recipient", 5, 10**9))
    with running(replace(settings, rate_limits=True)) as app:
        yield app


def from_afar(app: Starlette, number: int) -> TestClient:
    """A browser at another address each time, which none of the other limits stops."""
    headers = {"Sec-Fetch-Site": "same-origin"}
    return TestClient(
        app, "http://localhost", headers=headers, client=(f"192.0.2.{number}", 1), follow_redirects=False
    )


def test_an_address_gets_five_mails_an_hour_whatever_is_asked_for_and_from_where(
    strict: Starlette, database: Database, cast: Cast
) -> None:
    asked = {"name": "Ben", "email": "ana@example.org", "branch": "birch"}
    answers = [
        from_afar(strict, number).post(path, data=asked)
        for number, path in enumerate(["/sign-in", "/password", "/register"] * 3)
    ]
    unknown = browser(strict).post("/sign-in", data={"email": "x@example.org"})
    browser(strict).post("/sign-in", data={"email": "cy@example.org"})
    assert [answer.status_code for answer in answers] == [303] * 9
    last, before = answers[-3], answers[0]
    assert last.headers["location"] == before.headers["location"] == unknown.headers["location"]
    with database.reading() as session:
        told = [mail.recipient for mail in session.exec(select(OutgoingMail)).all()]
    assert told == ["ana@example.org"] * 5 + ["cy@example.org"]


def test_what_mails_nobody_takes_no_mail_from_anybody(
    strict: Starlette, database: Database, cast: Cast
) -> None:
    """By the field that people do not see, somebody could otherwise keep Ana's links from her, unseen."""
    for _ in range(6):
        browser(strict).post("/sign-in", data={"email": "ana@example.org", "website": "x"})
    browser(strict).post("/sign-in", data={"email": "ana@example.org"})
    mail = newest_mail(database)
    assert mail and mail.recipient == "ana@example.org"


# ---------------------------------------------------------------- a forgotten password


def test_ana_chooses_a_new_password_by_a_link_and_every_session_ends(
    app: Starlette, ben: TestClient, ana: TestClient, database: Database, cast: Cast
) -> None:
    assert 'href="/password"' in ben.get("/sign-in").text
    sent = ben.post("/password", data={"email": "Ana@example.org"})
    link = link_in(newest_mail(database))
    assert (sent.status_code, sent.headers["location"]) == (303, "/sign-in/sent")
    assert ana.get("/account").status_code == 200 and "New password" in ben.get(link).text
    short = ben.post(link, data={"password": "short"})
    assert (
        short.status_code == 422
        and "at least 10" in short.text
        and "short" not in short.text.split("<form")[1]
    )
    assert ana.get("/account").status_code == 200, "a fault has changed nothing"
    assert (
        ben.post(link, data={"password": "correct horse battery"}).headers["location"].startswith("/account")
    )
    assert ben.get("/account").status_code == 200 and ana.get("/account").status_code == 303
    assert ben.post(link, data={"password": "another password"}).status_code == 410
    other = browser(app)
    right = other.post("/sign-in", data={"email": "ana@example.org", "password": "correct horse battery"})
    assert right.headers["location"] == "/organize"


def test_a_reset_says_the_same_for_an_address_that_nobody_has(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    answer = ben.post("/password", data={"email": "x@example.org"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in/sent")
    ben.post("/password", data={"email": "ana@example.org", "website": "x"})
    assert newest_mail(database) is None
    bad = ben.post("/password", data={"email": "ana at example"})
    assert bad.status_code == 422 and 'value="ana at example"' in bad.text and 'href="#email"' in bad.text


def test_an_address_with_a_domain_that_cannot_be_is_a_fault_of_the_form(ben: TestClient, cast: Cast) -> None:
    answer = ben.post("/sign-in", data={"email": "ana@exa_mple.org"})
    assert answer.status_code == 422 and 'value="ana@exa_mple.org"' in answer.text


# ---------------------------------------------------------------- the account


def test_the_old_address_hears_of_the_new_one(ana: TestClient, database: Database, cast: Cast) -> None:
    ana.post("/account/email", data={"email": "ana@new.example"})
    ana.post(link_in(newest_mail(database)))
    told = newest_mail(database)
    assert told and told.recipient == "ana@example.org" and "ana@new.example" in told.body


def test_what_was_mailed_to_the_old_address_opens_nothing_once_there_is_a_new_one(
    app: Starlette, ana: TestClient, database: Database, cast: Cast
) -> None:
    ana.post("/account/email", data={"email": "ana@new.example"})
    moving = link_in(newest_mail(database))
    old = {purpose: link_for(database, cast.ana, purpose) for purpose in Purpose}
    assert ana.post(moving).status_code == 303
    for purpose in set(Purpose) - {Purpose.SUGGESTION, Purpose.CONFIRMATION}:
        stranger = browser(app)
        answer = stranger.post(old[purpose], data={"password": "correct horse battery"})
        assert answer.status_code == 410 and stranger.get("/account").status_code == 303, purpose
    with database.reading() as session:
        left = {link.purpose for link in session.exec(select(OneTimeLink)).all() if link.used_at is None}
    assert left == {Purpose.SUGGESTION, Purpose.CONFIRMATION}, "these sign nobody in"


def test_the_account_says_beside_the_password_what_goes_on(ana: TestClient, cast: Cast) -> None:
    form = re.search(r'action="/account/password".*?</form>', ana.get("/account").text, re.DOTALL)
    assert form and "Passkeys and tokens go on working" in form[0]


def test_an_address_that_somebody_took_meanwhile_is_a_conflict(
    ana: TestClient, database: Database, cast: Cast
) -> None:
    ana.post("/account/email", data={"email": "ana@new.example"})
    link = link_in(newest_mail(database))
    with database.writing() as session:
        sign_in.find_or_add(session, "ana@new.example", datetime.now(UTC))
    answer = ana.post(link)
    assert answer.status_code == 409 and "Somebody else uses this address" in answer.text


def test_ana_signs_out_one_other_device_and_not_cys(
    app: Starlette, ana: TestClient, cy: TestClient, database: Database, cast: Cast
) -> None:
    phone, tablet = (signed_in(app, database, cast.ana) for _ in range(2))
    page = ana.get("/account").text
    first, second = re.findall(r'action="(/account/sessions/\w+/removal)"', page)
    assert sign_in.token_hash(phone.cookies["session"]) not in page
    assert cy.post(first).status_code == 404
    assert ana.post(second).headers["location"] == "/account?done=session"
    assert sorted(one.get("/account").status_code for one in (ana, phone, tablet)) == [200, 200, 303]
    assert ana.post("/account/sessions").status_code == 303
    assert [one.get("/account").status_code for one in (ana, phone, tablet, cy)] == [200, 303, 303, 200]


def test_devices_are_called_by_browser_and_system(
    app: Starlette, ana: TestClient, database: Database, cast: Cast
) -> None:
    for agent, said in (
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1 Version/18.5 Safari/604",
            "Safari on iPhone",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64) AppleWebKit/537 Chrome/138 Safari/537 Edg/138",
            "Edge on Windows",
        ),
        ("Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0", "Firefox on Android"),
        ("w3m/0.5.3 <b>", "w3m/0.5.3 &lt;b&gt;"),
    ):
        client = browser(app)
        client.post(link_for(database, cast.ana, Purpose.SIGN_IN), headers={"User-Agent": agent})
        assert said in client.get("/account").text, said


def test_ana_makes_a_token_that_is_shown_once(ana: TestClient, cy: TestClient, cast: Cast) -> None:
    made = ana.post("/account/tokens", data={"token_name": "My script"})
    found = re.search(r'value="(bl_[\w-]+)"', made.text)
    assert made.status_code == 200 and found and made.headers["cache-control"] == "no-store"
    page = ana.get("/account").text
    assert "My script" in page and found[1] not in page and "bl_" not in page
    again = ana.post("/account/tokens", data={"token_name": "My script"})
    assert (
        again.status_code == 422
        and "of this name already" in again.text
        and 'href="#token_name"' in again.text
    )
    assert ana.post("/account/tokens", data={"token_name": " "}).status_code == 422
    removal = re.search(r'action="(/account/tokens/\d+/removal)"', page)
    assert removal and cy.post(removal[1]).status_code == 404
    assert ana.post(removal[1]).status_code == 303 and "My script" not in ana.get("/account").text
    assert ana.post("/account/tokens/99999999999/removal").status_code == 404


def test_ana_sees_her_roles_and_leaves_a_branch(ana: TestClient, cy: TestClient, cast: Cast) -> None:
    page = ana.get("/account").text
    assert "Alder Club" in page and "Organizer" in page and "Club Abedul" not in page
    assert cy.post("/account/branches/alder/removal").status_code == 404
    assert ana.post("/account/branches/alder/removal").status_code == 303
    assert ana.get("/organize").status_code == 404
    assert "You have no role" in ana.get("/account").text
    assert ana.post("/account/branches/alder/removal").status_code == 404


def test_the_last_admin_cannot_delete_the_account(dee: TestClient, database: Database, cast: Cast) -> None:
    answer = dee.post("/account/removal", data={"confirm": "yes"})
    assert answer.status_code == 422 and "last admin" in answer.text
    with database.writing() as session:
        permissions.invite(session, session.get_one(Person, cast.ana.id), None, Role.ADMIN)
    assert dee.post("/account/removal", data={"confirm": "yes"}).status_code == 303


def test_mails_go_on_in_the_language_of_the_last_sign_in(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    ben.post("/es" + link_for(database, cast.ana, Purpose.SIGN_IN))
    with database.reading() as session:
        assert session.get_one(Person, cast.ana.id).language == "es"
