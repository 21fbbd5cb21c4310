"""Ben writes to a branch."""

import re
from dataclasses import replace

from sqlmodel import select
from starlette.testclient import TestClient

from events.branches.models import Branch
from events.config import Settings
from events.db import Database
from events.messages.models import ContactMessage, OutgoingMail
from tests.conftest import Cast, browser, running

GOOD = {"name": "Ben", "email": "ben@example.org", "message": "May I bring my saw?", "key": "k" * 32}


def sent(database: Database) -> tuple[list[ContactMessage], list[OutgoingMail]]:
    with database.reading() as session:
        return list(session.exec(select(ContactMessage)).all()), list(
            session.exec(select(OutgoingMail)).all()
        )


def test_a_message_and_its_mail_are_saved_together_and_ben_is_thanked(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    answer = ben.post("/branches/alder/contact", data=GOOD)
    assert answer.headers["location"] == "/branches/alder/contact/thanks"
    [message], [mail] = sent(database)
    assert (message.name, message.message) == ("Ben", "May I bring my saw?")
    assert (mail.recipient, mail.reply_to) == ("alder@example.org", "ben@example.org")
    assert "May I bring my saw?" in mail.body
    assert ben.get("/branches/alder/contact/thanks").status_code == 200


def test_sending_the_same_form_twice_is_sending_it_once(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    assert [ben.post("/branches/alder/contact", data=GOOD).status_code for _ in range(2)] == [303, 303]
    messages, mails = sent(database)
    assert (len(messages), len(mails)) == (1, 1)


def test_the_preset_to_join_is_chosen_by_the_address(ben: TestClient, database: Database, cast: Cast) -> None:
    page = ben.get("/branches/alder/contact?about=join").text
    assert re.search(r'<option value="join" selected>', page)
    ben.post("/branches/alder/contact", data={**GOOD, "about": "join"})
    assert "I would like to join" in sent(database)[1][0].subject


def test_faults_are_listed_and_what_was_typed_is_kept(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    answer = ben.post("/branches/alder/contact", data={**GOOD, "email": "nonsense", "message": " "})
    assert answer.status_code == 422
    assert 'value="Ben"' in answer.text and 'value="nonsense"' in answer.text
    assert 'href="#email"' in answer.text and 'href="#message"' in answer.text
    assert sent(database) == ([], [])


def test_a_program_that_fills_in_the_hidden_field_is_thanked_and_ignored(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    assert ben.post("/branches/alder/contact", data={**GOOD, "website": "http://spam"}).status_code == 303
    assert sent(database) == ([], [])


def test_no_page_shows_the_address_of_a_branch(ben: TestClient, cast: Cast) -> None:
    for path in ("/branches/alder", "/branches/alder/contact", "/branches/alder.json", "/branches/alder.vcf",
                 "/branches.csv", "/branches.geojson", "/branches.json"):  # fmt: skip
        assert "alder@example.org" not in ben.get(path).text, path


def test_a_branch_without_an_address_is_reached_through_its_parent(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        alder = session.get_one(Branch, cast.alder.id)
        alder.email, alder.parent_id = "", cast.birch.id
    ben.post("/branches/alder/contact", data=GOOD)
    assert sent(database)[1][0].recipient == "birch@example.org"


def test_the_sixth_message_within_an_hour_is_too_many(settings: Settings, cast: Cast) -> None:
    with running(replace(settings, rate_limits=True)) as strict:
        ben = browser(strict)
        answers = [
            ben.post("/branches/alder/contact", data={**GOOD, "key": f"{number:032}"}) for number in range(6)
        ]
    assert [answer.status_code for answer in answers] == [303] * 5 + [429]
    assert 0 < int(answers[-1].headers["retry-after"]) <= 3600


def test_breaking_lines_in_a_name_makes_no_header(ben: TestClient, database: Database, cast: Cast) -> None:
    ben.post("/branches/alder/contact", data={**GOOD, "subject": "Hi\r\nBcc: all@example.org"})
    assert "\n" not in sent(database)[1][0].subject
