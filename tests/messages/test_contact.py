"""What Ben writes becomes a message and a mail: no header of his, no answer astray, a copy for himself alone."""

import itertools
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from email import message_from_bytes, policy

import pytest
from pydantic import ValidationError
from sqlmodel import Session, col, select

from events.branches.models import Branch, Status
from events.db import Database
from events.drafts import faults
from events.errors import Gone
from events.language import language
from events.mail import OUR_HEADERS, composed
from events.messages import contact, inbox, outbox
from events.messages.contact import MOST_LINKS, ContactDraft
from events.messages.models import ContactMessage, MutedSender, OutgoingMail
from tests.conftest import NOW, Cast, branch

GOOD = {"key": "k" * 32, "name": "Ben", "email": "ben@example.org", "message": "May I bring my saw?"}
SECRET = "for tests only"
SITE = "https://events.example.org"


def draft(**more: str) -> ContactDraft:
    return ContactDraft.model_validate({**GOOD, **more})


def fault(field: str, **more: str) -> str:
    with pytest.raises(ValidationError) as refused:
        draft(**more)
    return str(faults(refused.value)[field])


def write(session: Session, branch: Branch, code: str = "en", **more: str) -> ContactMessage:
    spoken = language(code)
    message = contact.send(
        session, branch, draft(**more), spoken, "Hazel Clubs", NOW, language=code, site=SITE
    )
    assert message is not None
    return message


def mails(session: Session, kind: str = "contact") -> list[OutgoingMail]:
    query = select(OutgoingMail).where(col(OutgoingMail.kind) == kind).order_by(col(OutgoingMail.id))
    return list(session.exec(query).all())


# ---------------------------------------------------------------- what the branch gets


def test_the_mail_says_who_wrote_what_about_what_and_where_it_is_marked_as_answered(
    database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        message = write(session, cast.birch, "es", about="join", message="First line\n<b>second</b>")
        session.flush()
        [mail] = mails(session)
    assert (mail.recipient, mail.reply_to, mail.message_ref) == (
        "birch@example.org",
        "ben@example.org",
        message.id,
    )
    assert mail.subject == f"[Club Abedul] {language('es').say(contact.PRESETS['join'])}"
    assert "Ben" in mail.body and "Club Abedul" in mail.body and "Hazel Clubs" in mail.body
    assert "> First line\n> <b>second</b>\n" in mail.body and "ben@example.org" in mail.body
    assert mail.subject.removeprefix("[Club Abedul] ") in mail.body
    address = f"{SITE}/es/organize/messages/{message.id}"
    assert address in mail.body and f'href="{address}"' in mail.html
    assert "<blockquote" in mail.html and "&lt;b&gt;second&lt;/b&gt;" in mail.html


def test_a_subject_that_was_typed_is_the_subject_and_the_preset_is_said_all_the_same(
    database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        write(session, cast.alder, about="press", subject="Your fair")
        session.flush()
        [mail] = mails(session)
    assert mail.subject == "[Alder Club] Your fair"
    assert "Press enquiry" in mail.body


def test_a_mail_that_goes_to_others_than_the_branch_says_why(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        alder = session.get_one(Branch, cast.alder.id)
        alder.email, alder.parent_id = "", cast.birch.id
        write(session, alder)
        session.flush()
        [mail] = mails(session)
    assert mail.recipient == "birch@example.org"
    assert mail.body.startswith("No mail reaches Alder Club, so this comes to you.")


def test_what_a_muted_sender_writes_is_kept_and_sends_no_mail(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        for email in ("ben+x@example.org", "ben@xn--mller-kva.de"):
            session.add(MutedSender(branch_id=cast.alder.id or 0, email=email, created_at=NOW))
        session.flush()
        written = [
            write(session, cast.alder, key=f"{number:032}", email=email).muted
            for number, email in enumerate(("Ben+X@Example.org", "BEN@Müller.de", "ben@example.org"))
        ]
        elsewhere = write(session, cast.birch, key="e" * 32, email="ben+x@example.org")
        session.flush()
        to = [mail.recipient for mail in mails(session)]
    assert written == [True, True, False] and not elsewhere.muted
    assert to == ["alder@example.org", "birch@example.org"]


def test_a_branch_that_has_closed_or_that_nobody_reads_takes_no_message(
    database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        closed = session.get_one(Branch, cast.birch.id)
        closed.status = Status.CLOSED
        with pytest.raises(Gone, match="closed"):
            write(session, closed)
        assert session.exec(select(ContactMessage)).all() == []


def test_who_else_helps_is_the_nearest_above_that_takes_messages(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        alder, birch = (session.get_one(Branch, one.id) for one in (cast.alder, cast.birch))
        assert contact.who_else(session, alder) is None
        county = Branch(slug="county", name="County", email="county@example.org", updated_at=NOW)
        session.add(county)
        session.flush()
        alder.parent_id, birch.parent_id = birch.id, county.id
        session.flush()
        assert contact.who_else(session, alder) == birch
        birch.status = Status.CLOSED
        session.flush()
        assert contact.who_else(session, alder) == county


# ---------------------------------------------------------------- links


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("https://example.org/a and HTTP://EXAMPLE.ORG", 2),
        ("https://www.example.org/page?of=it#all", 1),
        ("www.example.org, (www.example.com)", 2),
        ("example.org/offer or shop.example.co.uk:8080/x", 2),
        ("http://a.example,http://b.example;http://c.example", 3),
        ("and/or, 1.5/2, e.g. and etc., 9/11/2026, he/she", 0),
        ("Mine is ben@example.org, and example.org is what we call it", 0),
        ("münchen.example/überall", 1),
    ],
)
def test_links_are_counted_as_mail_programs_see_them(text: str, number: int) -> None:
    found = [MOST_LINKS + 1 - number, MOST_LINKS - number]
    too_many, enough = (f"{text} {'http://x.example ' * more}" for more in found)
    assert draft(message=enough).message
    assert "at most 3" in fault("message", message=too_many)


def test_links_of_the_subject_count_as_well() -> None:
    assert "links" in fault("message", subject="www.a.example", message="www.b.example " * 3, email="x")
    assert draft(subject="www.a.example", message="www.b.example " * 2).subject


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Ben.Moss@Example.ORG", "Ben.Moss@example.org"),
        ("ben+events@example.org", "ben+events@example.org"),
        ("o'neill@example.org", "o'neill@example.org"),
        ("ben@müller.de", "ben@xn--mller-kva.de"),
        ("ben@straße.de", "ben@xn--strae-oqa.de"),
        (" ben@例え.jp ", "ben@xn--r8jz45g.jp"),
        ("!#$%&'*+/?=^_`{|}~-@example.org", "!#$%&'*+/?=^_`{|}~-@example.org"),
    ],
)
def test_an_address_that_is_taken_gets_the_answer(
    database: Database, cast: Cast, typed: str, kept: str
) -> None:
    with database.writing() as session:
        write(session, cast.alder, email=typed)
        session.flush()
        raw = composed(outbox.as_mail(mails(session)[0]), "events@example.org", "Hazel Clubs").as_bytes()
    read = message_from_bytes(raw, policy=policy.default)
    assert str(read["Reply-To"]) == kept
    assert b"Reply-To: " + kept.encode() in raw


@pytest.mark.parametrize(
    "typed",
    ['"ben moss"@example.org', '"ben"@example.org', "Ben <ben@example.org>", "ben@example", "bén@example.org",
     "ben@exa_mple.org", "ben@-example.org", "ben@example..org", "ben@i❤.example", "a@b.org,c@d.org", "ben@[::1]",
     "=?utf-8?q?ben?=@example.org", "b..n@example.org", "b" * 65 + "@example.org", "ben@exa＠mple.org"],
)  # fmt: skip
def test_an_address_that_no_answer_could_be_sent_to_is_told_in_a_sentence(typed: str) -> None:
    assert re.search(r"address|@", fault("email", email=typed))


# ---------------------------------------------------------------- headers


def payloads() -> Iterator[str]:
    """Line breaks of every kind, as they are, escaped and as encoded words, before what a header would be."""
    breaks = [
        *(
            "\r\n",
            "\n",
            "\r",
            "\v",
            "\f",
            "\x85",
            "\u2028",
            "\u2029",
            "\x00",
            "\x1b",
            "\r\n\t",
            "\n\n",
            "\u202e",
        ),
        *("%0d%0a", "\\r\\n", "&#13;&#10;", "=0D=0A", "\ufeff\n", "=?utf-8?q?=0D=0A?=", "=?utf-8?b?DQo=?="),
    ]
    headers = [
        *("Bcc: all@example.com", "To: <all@example.com>", "Reply-To: me@example.com", "X-Mailer: spam"),
        *(
            "Content-Type: text/html; charset=utf-8\r\n\r\n<h1>Hello</h1>",
            "From: you@example.com, me@example.com",
        ),
        "=?utf-8?q?=0D=0ABcc=3A_all=40example.com?=",
        *(
            "=?utf-8?b?DQpCY2M6IGFsbEBleGFtcGxlLmNvbQ==?=",
            ".\r\nMAIL FROM:<me@example.com>",
            "Subject: other",
        ),
    ]
    return (f"Hello{line}{header}" for line, header in itertools.product(breaks, headers))


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_nothing_that_ben_types_becomes_a_header(database: Database, cast: Cast) -> None:
    typed = list(payloads())
    assert len(typed) == 200
    with database.writing() as session:
        for number, text in enumerate(typed):
            write(session, cast.alder, key=f"{number:032}", name=text[:100], subject=text, message=text)
        session.flush()
        found = [outbox.as_mail(mail) for mail in mails(session)]
    assert len(found) == len(typed)
    for mail in found:
        raw = composed(mail, "events@example.org", "Hazel Clubs").as_bytes()
        head = raw.split(b"\r\n\r\n", 1)[0]
        names = [
            line.split(b":", 1)[0].decode().lower() for line in head.split(b"\r\n") if line[:1] not in b" \t"
        ]
        assert len(set(names)) == len(names) and set(names) <= OUR_HEADERS
        # A program may read it, decode what is encoded, and write it again.
        for reading in (policy.default, policy.compat32):
            again = message_from_bytes(message_from_bytes(raw, policy=reading).as_bytes(), policy=reading)
            assert [name.lower() for name in again.keys()] == names  # noqa: SIM118  (no dictionary)
            assert str(again["To"]) == "alder@example.org" and str(again["Reply-To"]) == "ben@example.org"


@pytest.mark.parametrize("field", ["email", "about", "key"])
def test_what_becomes_an_address_or_a_word_of_ours_is_that_or_refused(field: str) -> None:
    for text in payloads():
        assert fault(field, **{field: text})


# ---------------------------------------------------------------- a copy


def test_the_copy_goes_to_whoever_wrote_the_message_and_says_what_they_wrote(
    database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        message = write(session, cast.alder, subject="Saws", about="visit", email="Ben@example.org")
        contact.send_copy(session, message, language("en"), "Hazel Clubs", NOW)
        session.flush()
        [mail] = mails(session, "copy")
    assert (mail.recipient.lower(), mail.reply_to) == ("ben@example.org", "")
    assert mail.subject == "Your message to Alder Club"
    assert (
        "Saws" in mail.body and "I would like to visit" in mail.body and "> May I bring my saw?" in mail.body
    )
    assert "alder@example.org" not in mail.body


def test_of_two_who_press_the_button_at_once_one_gets_the_copy_sent(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        token = contact.copy_token(write(session, cast.alder), SECRET)

    def press() -> None:
        with database.writing() as session:
            message = contact.message_at(session, token, SECRET)
            contact.send_copy(session, message, language("en"), "Hazel Clubs", NOW)

    with ThreadPoolExecutor(3) as pool:
        for pressed in [pool.submit(press) for _ in range(3)]:
            pressed.result(20)
    with database.reading() as session:
        assert len(mails(session, "copy")) == 1


def test_the_link_to_a_copy_opens_one_message_and_goes_with_it(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        first, second = (write(session, cast.alder, key=key * 32) for key in "ab")
        token = contact.copy_token(first, SECRET)
        assert contact.message_at(session, token, SECRET) == first
        number, _, mark = token.partition("-")
        for wrong in (
            f"{second.id}-{mark}",
            f"{number}-{'0' * 48}",
            f"3000000000-{mark}",
            token[:-1],
            token.upper(),
            "0-",
            "",
            f" {token}",
        ):
            with pytest.raises(Gone):
                contact.message_at(session, wrong, SECRET)
        with pytest.raises(Gone):
            contact.message_at(session, token, "another secret")
        outbox.purge(session, NOW + outbox.KEEP_MESSAGES + timedelta(seconds=1))
        session.expire_all()
        with pytest.raises(Gone, match="30 days"):
            contact.message_at(session, token, SECRET)


def test_a_copy_of_a_message_that_was_passed_on_names_the_branch_it_was_written_to(
    database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        message = write(session, cast.alder)
        inbox.forward(session, message, cast.birch, language("es"), "Hazel Clubs", NOW, SITE)
        contact.send_copy(session, message, language("en"), "Hazel Clubs", NOW)
        session.flush()
        assert mails(session, "copy")[0].subject == "Your message to Alder Club"


def test_a_copy_of_a_message_that_was_passed_on_twice_names_the_branch_it_was_written_to(
    database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        cedar = branch("cedar", "Cedar Club", None, email="cedar@example.org")
        session.add(cedar)
        session.flush()
        message = write(session, cast.alder)
        for target in (cast.birch, cedar):
            inbox.forward(session, message, target, language("es"), "Hazel Clubs", NOW, SITE)
        assert contact.written_to(session, message).name == "Alder Club"
        session.flush()
        assert "Alder Club" in mails(session)[-1].body
        inbox.forward(session, message, cast.alder, language("en"), "Hazel Clubs", NOW, SITE)
        assert (message.branch_id, message.forwarded_from_id) == (cast.alder.id, None)


def test_what_is_sent_anew_from_the_same_form_is_another_message_unless_it_says_the_same(
    database: Database, cast: Cast
) -> None:
    """Who goes back in the browser and writes something else sends the same key."""
    with database.writing() as session:
        write(session, cast.alder)
        again = contact.send(session, cast.alder, draft(), language("en"), "Hazel Clubs", NOW)
        assert again is None
        write(session, cast.alder, message="And my axe?")
        write(session, cast.birch)
        session.flush()
        assert [mail.recipient.partition("@")[0] for mail in mails(session)] == ["alder", "alder", "birch"]


def test_a_copy_knows_its_message_so_that_it_can_go_with_it(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        message = write(session, cast.alder)
        contact.send_copy(session, message, language("en"), "Hazel Clubs", NOW)
        session.flush()
        assert [mail.message_ref for mail in mails(session, "copy")] == [message.id]
