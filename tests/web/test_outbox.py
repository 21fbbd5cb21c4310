"""The outbox as an admin sees it: what waits, what failed and why; and addresses that refuse mail."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import select
from starlette.testclient import TestClient

from events.branches.models import Branch
from events.config import Settings
from events.db import Database
from events.messages import outbox, overview, refusals
from events.messages.models import ContactMessage, OutgoingMail, RefusedAddress
from events.people import permissions
from events.people.models import Person, Role
from events.web.outbox import KINDS
from tests.conftest import Cast, running, signed_in

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
SECRET_LINK = "https://events.example.org/sign-in/abcdef"


def put(
    database: Database,
    recipient: str = "ben@example.org",
    *,
    failed: str = "",
    kind: str = "contact",
    message_ref: int | None = None,
) -> int:
    made, tried = (datetime.now(UTC) - timedelta(hours=hours) for hours in (3, 2))
    with database.writing() as session:
        mail = outbox.put(
            session, made, recipient=recipient, subject="May I bring my saw?", body=SECRET_LINK, kind=kind,
            message_ref=message_ref,
        )  # fmt: skip
        session.flush()
        if failed:
            mail.attempts = 1
            outbox.mark_failed(session, mail.id or 0, failed, tried)
        return mail.id or 0


def mail(database: Database, number: int = 1) -> OutgoingMail | None:
    with database.reading() as session:
        return session.get(OutgoingMail, number)


def message(database: Database, cast: Cast) -> int:
    with database.writing() as session:
        row = ContactMessage(
            branch_id=cast.alder.id or 0, key="k" * 32, name="Ben", email="ben@example.org", subject="",
            message="May I bring my saw?", created_at=datetime.now(UTC),
        )  # fmt: skip
        session.add(row)
        session.flush()
        return row.id or 0


def refused(database: Database) -> set[str]:
    with database.reading() as session:
        return set(session.exec(select(RefusedAddress.address)).all())


def text(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_an_admin_sees_what_waits_and_what_failed_with_the_answer_of_the_server(
    dee: TestClient, database: Database
) -> None:
    put(database, "waits@example.org")
    put(database, "fails@example.org", failed="550 5.1.1 No such user <here> & nowhere")
    page = text(dee.get("/organize/outbox").text)
    assert "waits@example.org" in page
    assert "Made 3 hours ago · is next" in page
    assert "fails@example.org" in page
    assert "1 attempt · failed 2 hours ago" in page
    assert "550 5.1.1 No such user &lt;here&gt; &amp; nowhere" in page
    assert "Waiting 1, the oldest made 3 hours ago" in page
    assert "Failed in 30 days 1" in page


def test_what_a_mail_says_is_not_shown_even_to_an_admin(dee: TestClient, database: Database) -> None:
    """It may be a link that signs somebody in."""
    put(database, failed="550")
    put(database)
    assert SECRET_LINK not in dee.get("/organize/outbox").text
    assert SECRET_LINK not in dee.get("/organize/outbox?list=failed").text


def test_nobody_but_an_admin_sees_it(ana: TestClient, ben: TestClient) -> None:
    assert ana.get("/organize/outbox").status_code == 404
    assert ana.post("/organize/outbox/1/retry").status_code == 404
    assert ben.get("/organize/outbox").headers["location"].startswith("/sign-in")


def test_every_kind_of_mail_has_a_name(dee: TestClient, database: Database) -> None:
    assert set(KINDS) == set(outbox.KINDS)
    for kind in KINDS:
        put(database, kind=kind)
    page = dee.get("/es/organize/outbox").text
    assert page.count('class="badge') == len(KINDS)


def test_a_mail_that_failed_is_tried_again_at_once(dee: TestClient, database: Database) -> None:
    put(database, failed="451 for two days")
    for _ in range(2):  # twice is once
        answer = dee.post("/organize/outbox/1/retry")
        assert answer.headers["location"] == "/organize/outbox?done=retried"
    row = mail(database)
    assert row is not None
    assert (row.failed_at, row.last_error) == (None, "451 for two days")
    with database.reading() as session:
        assert outbox.is_due(session, datetime.now(UTC))
    assert "The e-mail is tried again at once." in dee.get("/organize/outbox?done=retried").text


def test_all_that_failed_lately_is_tried_again_by_one_button(dee: TestClient, database: Database) -> None:
    put(database, failed="451 for two days")
    put(database, failed="550")
    put(database, failed="550 long ago")
    with database.writing() as session:
        session.get_one(OutgoingMail, 3).failed_at = datetime.now(UTC) - timedelta(hours=49)
    assert dee.post("/organize/outbox/retry").headers["location"] == "/organize/outbox?done=all"
    rows = [mail(database, number) for number in (1, 2, 3)]
    assert [bool(row and row.failed_at) for row in rows] == [False, False, True]


def test_a_mail_that_has_been_sent_is_not_sent_again(dee: TestClient, database: Database) -> None:
    put(database)
    with database.writing() as session:
        outbox.mark_sent(session, 1, datetime.now(UTC))
    assert dee.post("/organize/outbox/1/retry").headers["location"] == "/organize/outbox?done=sent"
    refusal = dee.post("/organize/outbox/1/removal")
    assert refusal.status_code == 409
    assert "This e-mail has been sent" in refusal.text
    row = mail(database)
    assert row is not None
    assert row.sent_at is not None


def test_a_mail_on_its_way_has_no_buttons_and_cannot_be_removed(dee: TestClient, database: Database) -> None:
    put(database)
    with database.writing() as session:
        outbox.claim(session, datetime.now(UTC))
    page = dee.get("/organize/outbox").text
    assert "on its way at this moment" in page
    assert "/organize/outbox/1/" not in page
    assert dee.post("/organize/outbox/1/removal").status_code == 409
    assert dee.post("/organize/outbox/1/retry").headers["location"] == "/organize/outbox?done=sent"


def test_a_mail_can_be_removed_and_its_message_stays_in_the_inbox(
    dee: TestClient, database: Database, cast: Cast
) -> None:
    put(database, message_ref=message(database, cast))
    page = dee.get("/organize/outbox").text
    assert "The message stays in the inbox of the branch" in page
    assert "/organize/messages/1" in page
    for _ in range(2):  # twice is once
        assert dee.post("/organize/outbox/1/removal").headers["location"] == "/organize/outbox?done=removed"
    assert mail(database) is None
    with database.reading() as session:
        assert session.get(ContactMessage, 1) is not None


def test_a_number_that_is_none_is_not_there(dee: TestClient) -> None:
    for number in ("7", "0", "x", "99999999999999999999", "-1"):
        assert dee.post(f"/organize/outbox/{number}/retry").status_code == 404
    assert dee.get("/organize/outbox?list=sent").status_code == 404
    assert dee.get("/organize/outbox?list=failed&page=2").status_code == 404
    assert dee.get("/organize/outbox?list=failed&page=x").status_code == 422


def test_long_lists_have_pages(dee: TestClient, database: Database) -> None:
    for number in range(overview.PAGE + 1):
        put(database, f"{number}@example.org", failed="550")
    assert 'href="/organize/outbox?list=failed"' in dee.get("/organize/outbox").text
    second = dee.get("/organize/outbox?list=failed&page=2").text
    assert second.count("/retry") == 2  # of all, and of the one that is left
    assert "0@example.org" in second


def test_it_says_where_mails_go_and_keeps_the_password_to_itself(
    settings: Settings, database: Database, cast: Cast, dee: TestClient
) -> None:
    assert f"into files on this machine: {settings.mail_dir}" in dee.get("/organize/outbox").text
    with running(replace(settings, smtp_url="smtp://events:p%40ss@mail.example.org:587")) as app:
        page = signed_in(app, database, cast.dee).get("/organize/outbox").text
    assert "mail.example.org:587" in page
    assert "p%40ss" not in page
    assert "events:" not in page


def test_it_says_that_mails_leave_late_when_nothing_takes_them(dee: TestClient, database: Database) -> None:
    assert "E-mails leave later than they should" not in dee.get("/organize/outbox").text
    put(database)
    assert "E-mails leave later than they should" in dee.get("/organize/outbox").text


def test_the_desk_of_an_admin_leads_there(dee: TestClient, ana: TestClient) -> None:
    assert "/organize/outbox" in dee.get("/organize").text
    assert "/organize/outbox" not in ana.get("/organize").text


# ---------------------------------------------------------------- addresses that refuse mail


@pytest.fixture
def marked(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        refusals.mark(session, "alder@example.org", "550 No such user", datetime.now(UTC), unknown=True)
        refusals.mark(session, "o'neil+x@example.org", "550", datetime.now(UTC), unknown=False)


def test_addresses_that_refuse_mail_are_listed_with_their_branch_and_can_be_taken_off(
    dee: TestClient, database: Database, marked: None
) -> None:
    page = text(dee.get("/organize/outbox").text)
    assert "alder@example.org · Alder Club Gets nothing" in page
    assert "o&#39;neil+x@example.org Refused one e-mail, and gets others" in page
    for _ in range(2):  # twice is once
        answer = dee.post("/organize/outbox/refused/removal", data={"address": "Alder@example.org"})
        assert answer.headers["location"] == "/organize/outbox?done=forgotten"
    assert refused(database) == {"o'neil+x@example.org"}


def test_those_of_a_branch_are_warned_and_say_that_it_takes_mail_again(
    ana: TestClient, database: Database, cast: Cast, marked: None
) -> None:
    assert ana.post("/organize/branches/alder/address/confirmation").status_code == 404  # an organizer
    with database.writing() as session:
        person, alder = session.get_one(Person, cast.ana.id), session.get_one(Branch, cast.alder.id)
        permissions.invite(session, person, alder, Role.BRANCH_ADMIN)
    page = ana.get("/organize/branches/alder").text
    assert "The address of this branch refuses mail" in page
    assert "550 No such user" in page
    answer = ana.post("/organize/branches/alder/address/confirmation")
    assert answer.headers["location"] == "/organize/branches/alder?done=address"
    assert "alder@example.org" not in refused(database)
    after = ana.get(answer.headers["location"]).text
    assert "Messages go to the address of this branch again." in after
    assert "refuses mail" not in after


def test_nobody_else_says_it_for_a_branch(
    cy: TestClient, database: Database, cast: Cast, marked: None
) -> None:
    with database.writing() as session:
        person, birch = session.get_one(Person, cast.cy.id), session.get_one(Branch, cast.birch.id)
        permissions.invite(session, person, birch, Role.BRANCH_ADMIN)
    assert cy.post("/organize/branches/alder/address/confirmation").status_code == 404
    assert "alder@example.org" in refused(database)
    assert "refuses mail" not in cy.get("/organize/branches/birch").text
