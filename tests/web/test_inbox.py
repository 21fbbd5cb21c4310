"""Ana's inbox on the site; what Cy must not see; what two do at once."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from sqlmodel import select
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events.branches.models import Branch
from events.db import Database
from events.messages.models import ContactMessage, MutedSender, OutgoingMail, RefusedAddress
from events.people import permissions
from events.people.models import Role
from tests.conftest import Cast, signed_in

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def add(database: Database, branch: Branch, key: str = "k", **more: object) -> int:
    values: dict[str, object] = {
        "branch_id": branch.id,
        "key": key,
        "about": "visit",
        "name": "Ben",
        "email": "Ben+x@example.org",
        "subject": "A & B?",
        "message": "May I bring\nmy saw?",
        "created_at": datetime.now(UTC),
    }
    with database.writing() as session:
        row = ContactMessage.model_validate(values | more)
        session.add(row)
        session.flush()
        return row.id or 0


def row(database: Database, number: int) -> ContactMessage:
    with database.reading() as session:
        return session.get_one(ContactMessage, number)


def mails(database: Database) -> list[OutgoingMail]:
    with database.reading() as session:
        return [mail for mail in session.exec(select(OutgoingMail)).all() if mail.kind == "contact"]


def main(client: TestClient, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.text.partition("<main")[2]


# ---------------------------------------------------------------- reading


def test_the_inbox_lists_each_message_with_who_wrote_what_and_until_when_it_is_kept(
    ana: TestClient, database: Database, cast: Cast
) -> None:
    number = add(database, cast.alder, created_at=datetime(2026, 11, 2, 3, 30, tzinfo=UTC))
    add(database, cast.birch, "elsewhere", subject="Not Ana's")
    page = main(ana, "/organize/inbox")
    assert f'href="/organize/messages/{number}"' in page and "A &amp; B?" in page
    for said in (
        "I would like to visit",
        "Ben",
        "Alder Club",
        "May I bring my saw?",
        "Nov 1, 2026",
        "Dec 2, 2026",
    ):
        assert said in page
    assert "Not Ana" not in page


def test_the_inbox_is_asked_by_what_became_of_messages_and_by_branch(
    dee: TestClient, database: Database, cast: Cast
) -> None:
    add(database, cast.alder, "a", subject="Waits")
    add(database, cast.birch, "b", subject="Waits too")
    add(database, cast.alder, "c", subject="Is done", answered_at=datetime.now(UTC))
    add(database, cast.alder, "d", subject="Is quiet", muted=True)

    def found(query: str) -> list[str]:
        return re.findall(r'<h3><a href="[^"]*"><bdi>([^<]*)', main(dee, f"/organize/inbox{query}"))

    assert found("") == ["Waits", "Waits too", "Is done"]
    assert found("?show=unanswered&branch=alder") == ["Waits"]
    assert found("?show=answered") == ["Is done"]
    assert found("?show=muted") == ["Is quiet"]
    assert '<option value="birch" selected>' in main(dee, "/organize/inbox?branch=birch")
    for wrong, status in (("?show=all", 404), ("?branch=oak", 404), ("?page=2", 404), ("?page=0", 422)):
        assert dee.get(f"/organize/inbox{wrong}").status_code == status


def test_a_long_inbox_has_pages_that_keep_what_was_asked(
    ana: TestClient, database: Database, cast: Cast
) -> None:
    for number in range(51):
        add(database, cast.alder, str(number), created_at=datetime.now(UTC) - timedelta(hours=number))
    page = unescape(main(ana, "/organize/inbox?show=unanswered&branch=alder"))
    assert page.count("<h3>") == 50
    assert 'href="/organize/inbox?show=unanswered&branch=alder&page=2" rel="next"' in page
    page = unescape(main(ana, "/organize/inbox?show=unanswered&branch=alder&page=2"))
    assert page.count("<h3>") == 1
    assert 'href="/organize/inbox?show=unanswered&branch=alder" rel="prev"' in page


def test_an_empty_inbox_says_what_comes_here_and_to_whom_nothing_does(
    ana: TestClient, database: Database, cast: Cast
) -> None:
    assert "When somebody writes to one of your branches" in main(ana, "/organize/inbox")
    number = add(database, cast.alder)
    with database.writing() as session:
        permissions.invite(session, cast.ana, cast.alder, Role.ORGANIZER, trusted=False)
    page = main(ana, "/organize/inbox")
    assert "waits for approval" in page and "A &amp; B?" not in page
    assert ana.get(f"/organize/messages/{number}").status_code == 404


def test_the_desk_counts_what_is_not_answered(ana: TestClient, database: Database, cast: Cast) -> None:
    assert "not answered" not in main(ana, "/organize")
    add(database, cast.alder, "a")
    add(database, cast.alder, "b", answered_at=datetime.now(UTC))
    add(database, cast.alder, "c", muted=True)
    add(database, cast.birch, "d")
    page = main(ana, "/organize")
    assert '<a href="/organize/inbox">1 message not answered</a>' in page
    assert "Look at what waits" not in page


def test_a_message_shows_everything_and_opens_the_answer_in_the_mail_program(
    ana: TestClient, database: Database, cast: Cast
) -> None:
    page = main(ana, f"/organize/messages/{add(database, cast.alder, language='es')}")
    for said in (
        "Ben+x@example.org",
        "May I bring<br>my saw?",
        "I would like to visit",
        "Spanish",
        "Not answered",
    ):
        assert said in page
    found = re.search(r'href="(mailto:[^"]*)"', page)
    assert found
    link = urlsplit(unescape(found[1]))
    assert unquote(link.path) == "Ben+x@example.org"
    assert parse_qs(link.query) == {"subject": ["Re: A & B?"]}


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", "/answer"), ("POST", "/reopening"), ("POST", "/forwarding"), ("POST", "/muting")],
)
def test_to_cy_the_message_is_not_there(
    cy: TestClient, database: Database, cast: Cast, method: str, path: str
) -> None:
    number = add(database, cast.alder)
    before = row(database, number)
    data = {"branch": "birch"} if method == "POST" else None
    assert cy.request(method, f"/organize/messages/{number}{path}", data=data).status_code == 404
    assert row(database, number) == before and mails(database) == []


# ---------------------------------------------------------------- what becomes of it


def test_ana_marks_a_message_as_answered_and_takes_that_back(
    ana: TestClient, dee: TestClient, database: Database, cast: Cast
) -> None:
    number = add(database, cast.alder)
    here = f"/organize/messages/{number}"
    for client in (ana, dee):  # both at once is fine
        assert client.post(f"{here}/answer").headers["location"] == "/organize/inbox?done=answered"
    assert "<bdi>ana@example.org</bdi> marked it as answered" in main(ana, here)
    assert ana.post(f"{here}/reopening").headers["location"] == f"{here}?done=reopened"
    assert "Not answered" in main(ana, here)


def test_ana_passes_a_message_on_and_it_is_hers_no_more(
    ana: TestClient, cy: TestClient, database: Database, cast: Cast
) -> None:
    number = add(database, cast.alder)
    here = f"/organize/messages/{number}"
    page = main(ana, here)
    assert '<option value="birch"' in page and '<option value="alder"' not in page
    answer = ana.post(f"{here}/forwarding", data={"branch": "Club Abedul", "at": "alder"})
    assert answer.headers["location"] == "/organize/inbox?done=forwarded"
    assert "Alder Club" in main(cy, here) and [mail.recipient for mail in mails(database)] == [
        "birch@example.org"
    ]
    assert ana.get(here).status_code == ana.post(f"{here}/answer").status_code == 404
    again = ana.post(f"{here}/forwarding", data={"branch": "Club Abedul", "at": "alder"})
    assert again.headers["location"] == answer.headers["location"], "a button that was pressed twice"
    assert len(mails(database)) == 1
    elsewhere = add(database, cast.birch, "elsewhere")
    refused = ana.post(f"/organize/messages/{elsewhere}/forwarding", data={"branch": "alder", "at": "birch"})
    assert refused.status_code == 404


def test_a_message_that_moved_meanwhile_is_looked_at_again(
    dee: TestClient, database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        session.add(
            Branch(slug="oak", name="Oak Club", email="oak@example.org", updated_at=datetime.now(UTC))
        )
    here = f"/organize/messages/{add(database, cast.alder)}"
    passed_on = [dee.post(f"{here}/forwarding", data={"branch": "birch", "at": "alder"}) for _ in range(2)]
    assert [answer.status_code for answer in passed_on] == [303, 303]
    for path, data in (("/forwarding", {"branch": "oak", "at": "alder"}), ("/muting", {"at": "alder"})):
        answer = dee.post(f"{here}{path}", data=data)
        assert answer.status_code == 409 and "Club Abedul" in answer.text
    assert len(mails(database)) == 1


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("Alder Club", "in the inbox of Alder Club already"),
        ("", "say which branch"),
        ("Nowhere", "no branch of that"),
    ],
)
def test_passing_on_to_the_same_branch_or_to_none_says_so_and_moves_nothing(
    ana: TestClient, database: Database, cast: Cast, typed: str, sentence: str
) -> None:
    number = add(database, cast.alder)
    answer = ana.post(f"/organize/messages/{number}/forwarding", data={"branch": typed, "at": "alder"})
    assert answer.status_code == 422 and sentence in answer.text and 'href="#branch"' in answer.text
    assert row(database, number).branch_id == cast.alder.id and mails(database) == []


def test_a_sender_is_muted_and_heard_again(ana: TestClient, database: Database, cast: Cast) -> None:
    number = add(database, cast.alder)
    here = f"/organize/messages/{number}"
    assert "The sender is not told" in main(ana, here)
    assert (
        ana.post(f"{here}/muting", data={"at": "alder"}).headers["location"] == "/organize/inbox?done=muted"
    )
    assert row(database, number).muted
    page = main(ana, "/organize/inbox?show=muted")
    assert 'action="/organize/branches/alder/muted/removal"' in page and 'value="ben+x@example.org"' in page
    assert 'value="ben+x@example.org"' in main(ana, here)
    for _ in range(2):
        answer = ana.post("/organize/branches/alder/muted/removal", data={"email": "ben+x@example.org"})
        assert answer.headers["location"] == "/organize/inbox?done=listening"
    assert not row(database, number).muted


def test_only_who_reads_the_inbox_of_a_branch_lets_it_hear_somebody_again(
    app: Starlette, database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        session.add(
            MutedSender(branch_id=cast.alder.id or 0, email="spam@example.org", created_at=datetime.now(UTC))
        )
        permissions.invite(session, cast.ana, cast.alder, Role.ORGANIZER, trusted=False)
    for person in (cast.ana, cast.cy):
        client = signed_in(app, database, person)
        answer = client.post("/organize/branches/alder/muted/removal", data={"email": "spam@example.org"})
        assert answer.status_code == 404
    with database.reading() as session:
        assert len(session.exec(select(MutedSender)).all()) == 1


def test_an_address_that_refuses_mail_is_told_with_who_gets_it_instead(
    ana: TestClient, database: Database, cast: Cast
) -> None:
    number = add(database, cast.alder)
    with database.writing() as session:
        session.add(
            RefusedAddress(address="alder@example.org", refused_at=datetime(2026, 11, 20, tzinfo=UTC))
        )
        session.get_one(Branch, cast.alder.id).parent_id = cast.birch.id
    for path in (
        "/organize/inbox",
        "/organize/inbox?branch=alder&show=muted",
        f"/organize/messages/{number}",
    ):
        page = main(ana, path)
        assert "alder@example.org" in page and "since Nov 20, 2026" in page and "Club Abedul" in page
        assert "birch@example.org" not in page
        assert "ask those who may edit the branch" in page and "/organize/branches/alder#" not in page
    with database.writing() as session:
        permissions.invite(session, cast.ana, cast.alder, Role.BRANCH_ADMIN)
    assert 'href="/organize/branches/alder#email"' in main(ana, "/organize/inbox")
