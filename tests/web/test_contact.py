"""Ben writes to a branch."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import col, select
from starlette.testclient import TestClient

from events.branches.models import Branch, Status
from events.config import Settings
from events.db import Database
from events.messages import outbox
from events.messages.models import ContactMessage, MutedSender, OutgoingMail
from tests.conftest import NOW, Cast, browser, running

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

GOOD = {"name": "Ben", "email": "ben@example.org", "message": "May I bring my saw?", "key": "k" * 32}


def sent(database: Database) -> tuple[list[ContactMessage], list[OutgoingMail]]:
    with database.reading() as session:
        return list(session.exec(select(ContactMessage)).all()), list(
            session.exec(select(OutgoingMail).order_by(col(OutgoingMail.id))).all()
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
    assert f"/organize/messages/{message.id}\n" in mail.body


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


def test_more_than_three_links_are_too_many_and_what_was_typed_is_kept(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    typed = {**GOOD, "subject": "See www.a.example", "message": "http://b.example " * 3, "copy": "yes"}
    answer = ben.post("/branches/alder/contact", data=typed)
    assert answer.status_code == 422
    assert "There are too many links in it: at most 3 can be sent." in answer.text
    assert 'value="See www.a.example"' in answer.text and "http://b.example http://b.example" in answer.text
    assert re.search(r'name="copy" value="yes" checked', answer.text)
    assert sent(database) == ([], [])


def test_an_address_in_quotes_is_told_in_a_sentence(ben: TestClient, cast: Cast) -> None:
    answer = ben.post("/branches/alder/contact", data={**GOOD, "email": '"ben moss"@example.org'})
    assert answer.status_code == 422
    assert "This is not an e-mail address. One looks like name@example.org" in answer.text
    assert 'value="&#34;ben moss&#34;@example.org"' in answer.text


def test_ten_megabytes_are_refused_with_a_page(ben: TestClient, cast: Cast) -> None:
    answer = ben.post("/branches/alder/contact", data={**GOOD, "message": "x" * 10_000_000})
    assert answer.status_code == 413
    assert "<main" in answer.text and "2 MB at most" in answer.text


def test_nobody_begins_to_write_where_nobody_reads_it(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        session.get_one(Branch, cast.alder.id).status = Status.CLOSED
    assert ben.get("/branches/alder/contact").status_code == 410
    assert ben.post("/branches/alder/contact", data=GOOD).status_code == 410
    assert sent(database) == ([], [])


def test_the_page_of_thanks_says_what_happens_next(ben: TestClient, database: Database, cast: Cast) -> None:
    page = ben.get("/branches/alder/contact/thanks").text
    assert "What happens next" in page and "30 days" in page and "alder@example.org" not in page
    assert 'href="/events?branch=alder"' in page and 'href="/branches/alder"' in page
    assert "open the link" not in page and "after a week" not in page
    with database.writing() as session:
        session.get_one(Branch, cast.alder.id).parent_id = cast.birch.id
    page = ben.get("/branches/alder/contact/thanks?copy=yes").text
    assert "open the link" in page and 'href="/branches/birch/contact"' in page


def test_a_muted_sender_sees_the_same_and_nobody_gets_a_mail(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        session.add(MutedSender(branch_id=cast.alder.id or 0, email="ben@example.org", created_at=NOW))
    answer = ben.post("/branches/alder/contact", data={**GOOD, "email": "BEN@example.org", "copy": "yes"})
    assert answer.headers["location"] == "/branches/alder/contact/thanks?copy=yes"
    [message], mails = sent(database)
    assert message.muted
    assert [mail.kind for mail in mails] == ["link"]  # to the copy, as everybody gets it


# ---------------------------------------------------------------- a copy


def link_in(mail: OutgoingMail) -> str:
    found = re.search(r"http://localhost:\d+(\S*/contact-copies/\S+)", mail.body)
    assert found
    return found[1]


def test_a_copy_comes_once_ben_has_opened_the_link_in_his_mail_and_pressed_the_button(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    ben.post("/es/branches/alder/contact", data={**GOOD, "copy": "yes", "about": "join"})
    [message], [_, mail] = sent(database)
    assert (message.language, mail.recipient, mail.kind) == ("es", "ben@example.org", "link")
    assert "Alder Club" in mail.subject
    for typed in ("saw", "Ben "):
        assert typed not in mail.subject + mail.body
    path = link_in(mail)
    assert path.startswith("/es/contact-copies/")
    for _ in range(2):  # a program may open the link first
        page = ben.get(path)
        assert page.status_code == 200 and f'action="{path}"' in page.text and "saw" not in page.text
    assert len(sent(database)[1]) == 2
    answers = [ben.post(path) for _ in range(2)]
    assert [(answer.status_code, answer.headers["location"]) for answer in answers] == [(303, path)] * 2
    assert "<form" not in ben.get(path).text.partition("<main")[2]
    [*_, copy] = sent(database)[1]
    assert (len(sent(database)[1]), copy.kind, copy.recipient) == (3, "copy", "ben@example.org")
    assert 'lang="es"' in copy.html and "> May I bring my saw?" in copy.body


def test_after_thirty_days_the_link_says_that_the_message_is_gone(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    ben.post("/branches/alder/contact", data={**GOOD, "copy": "yes"})
    path = link_in(sent(database)[1][1])
    with database.writing() as session:
        outbox.purge(session, datetime.now(UTC) + outbox.KEEP_MESSAGES + timedelta(minutes=1))
    for answer in (ben.get(path), ben.post(path), ben.get(path[:-1]), ben.get("/contact-copies/nonsense")):
        assert answer.status_code == 410 and "This message has been deleted" in answer.text


def test_a_form_sent_twice_asks_for_one_copy_and_one_with_the_trap_filled_for_none(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    where = {
        ben.post("/branches/alder/contact", data={**GOOD, "copy": "yes"}).headers["location"] for _ in "12"
    }
    assert [mail.kind for mail in sent(database)[1]] == ["contact", "link"]
    trapped = {**GOOD, "copy": "yes", "website": "http://spam", "key": "t" * 32}
    where.add(ben.post("/branches/alder/contact", data=trapped).headers["location"])
    assert len(where) == 1 and len(sent(database)[1]) == 2


def test_one_address_gets_few_links_in_an_hour_however_it_is_spelt(settings: Settings, cast: Cast) -> None:
    with running(replace(settings, rate_limits=True)) as strict:
        limited = strict.state.branchline
        for number, email in enumerate(["ben@example.org", "BEN@example.org"] * 4):
            visitor = TestClient(
                strict,
                base_url="http://localhost",
                headers={"Sec-Fetch-Site": "same-origin"},
                follow_redirects=False,
                client=(f"192.0.2.{number}", 50000),
            )
            answer = visitor.post(
                "/branches/alder/contact",
                data={**GOOD, "email": email, "copy": "yes", "key": f"{number:032}"},
            )
            assert answer.status_code == 303
        _, mails = sent(limited.database)
    assert [mail.kind for mail in mails].count("link") == 5
    assert [mail.kind for mail in mails].count("contact") == 8
