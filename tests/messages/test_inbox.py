"""The inbox: Ana reads what was written to Alder, answers, passes on, mutes; nobody else does."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import Session, col, select

from events.branches.models import Branch
from events.db import Database
from events.errors import Gone, NotFound
from events.messages import contact, inbox, outbox
from events.messages.inbox import PAGE, Kind
from events.messages.models import ContactMessage, MutedSender, OutgoingMail, RefusedAddress
from events.people import permissions
from events.people.models import Person, Role
from tests.conftest import NOW, Cast

SITE = "https://events.example.org"


def hours(number: int) -> datetime:
    return NOW + timedelta(hours=number)


def message(branch: Branch, key: str, **more: object) -> ContactMessage:
    values: dict[str, object] = {
        "branch_id": branch.id,
        "key": key,
        "name": "Ben",
        "email": "ben@example.org",
        "subject": key,
        "message": "May I?",
        "created_at": NOW,
    }
    return ContactMessage.model_validate(values | more)


def add(database: Database, *messages: ContactMessage) -> list[int]:
    with database.writing() as session:
        session.add_all(messages)
        session.flush()
        return [one.id or 0 for one in messages]


def keys(
    session: Session, person: Person, kind: Kind | None = None, branch: Branch | None = None
) -> list[str]:
    return [found.key for found, _ in inbox.listed(session, person, kind=kind, branch=branch)[0]]


def mails(session: Session) -> Sequence[OutgoingMail]:
    return session.exec(select(OutgoingMail).order_by(col(OutgoingMail.id))).all()


# ---------------------------------------------------------------- who reads what


def test_what_is_not_answered_comes_first_and_the_oldest_of_it_then_what_was_answered_last(
    database: Database, cast: Cast
) -> None:
    add(
        database,
        message(cast.alder, "new", created_at=hours(5)),
        message(cast.alder, "answered first", created_at=hours(4), answered_at=hours(6)),
        message(cast.alder, "answered last", created_at=hours(1), answered_at=hours(7)),
        message(cast.alder, "old", created_at=hours(2)),
        message(cast.alder, "muted", created_at=hours(3), muted=True),
        message(cast.birch, "elsewhere"),
    )
    with database.reading() as session:
        assert keys(session, cast.ana) == ["old", "new", "answered last", "answered first"]
        assert keys(session, cast.ana, Kind.UNANSWERED) == ["old", "new"]
        assert keys(session, cast.ana, Kind.ANSWERED) == ["answered last", "answered first"]
        assert keys(session, cast.ana, Kind.MUTED) == ["muted"]
        assert (inbox.number(session, cast.ana), inbox.number(session, cast.dee)) == (2, 3)


def test_organizers_read_what_came_to_their_branches_and_to_those_below(
    database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        session.get_one(Branch, cast.birch.id).parent_id = cast.alder.id
    add(database, message(cast.alder, "alder"), message(cast.birch, "birch", created_at=hours(1)))
    with database.reading() as session:
        assert keys(session, cast.ana) == keys(session, cast.dee) == ["alder", "birch"]
        assert keys(session, cast.dee, branch=cast.birch) == ["birch"]
        assert keys(session, cast.cy) == ["birch"]
        assert [one.slug for one in inbox.branches(session, cast.ana)] == ["alder", "birch"]
        assert [one.slug for one in inbox.branches(session, cast.cy)] == ["birch"]


def test_whose_posts_need_approval_reads_no_messages(database: Database, cast: Cast) -> None:
    [number] = add(database, message(cast.alder, "alder"))
    with database.writing() as session:
        permissions.invite(session, cast.ana, cast.alder, Role.BRANCH_ADMIN, trusted=False)
    with database.reading() as session:
        assert keys(session, cast.ana) == [] and inbox.number(session, cast.ana) == 0
        assert not inbox.reads_any(session, cast.ana) and inbox.reads_any(session, cast.cy)
        with pytest.raises(NotFound):
            inbox.message_at(session, cast.ana, number)
        with pytest.raises(NotFound):
            inbox.branch_at(session, cast.ana, "alder")


def test_the_message_of_a_stranger_is_not_there(database: Database, cast: Cast) -> None:
    [number] = add(database, message(cast.alder, "alder"))
    with database.writing() as session:
        for to_change in (False, True):
            with pytest.raises(NotFound):
                inbox.message_at(session, cast.cy, number, to_change=to_change)
            found, branch = inbox.message_at(session, cast.ana, number, to_change=to_change)
            assert (found.key, branch.slug) == ("alder", "alder")


def test_a_page_has_fifty_and_there_is_none_past_the_end(database: Database, cast: Cast) -> None:
    add(database, *(message(cast.alder, f"{one:02}", created_at=hours(one)) for one in range(PAGE + 1)))
    with database.reading() as session:
        first, more = inbox.listed(session, cast.ana)
        second, no_more = inbox.listed(session, cast.ana, page=2)
        assert (len(first), more, [one.key for one, _ in second], no_more) == (PAGE, True, ["50"], False)
        with pytest.raises(NotFound):
            inbox.listed(session, cast.ana, page=3)


# ---------------------------------------------------------------- answering


def test_who_first_said_that_it_is_answered_stays_until_it_is_opened_again(
    database: Database, cast: Cast
) -> None:
    [number] = add(database, message(cast.alder, "alder"))
    with database.writing() as session:
        found, _ = inbox.message_at(session, cast.ana, number, to_change=True)
        inbox.mark_answered(found, cast.ana, hours(1))
        inbox.mark_answered(found, cast.dee, hours(2))
        assert (found.answered_by_id, found.answered_at) == (cast.ana.id, hours(1))
        inbox.reopen(found)
        inbox.mark_answered(found, cast.dee, hours(3))
    with database.reading() as session:
        found, _ = inbox.message_at(session, cast.ana, number)
        assert (found.answered_by_id, found.answered_at) == (cast.dee.id, hours(3))


def test_a_message_outlives_whoever_answered_it(database: Database, cast: Cast) -> None:
    [number] = add(database, message(cast.alder, "alder", answered_at=NOW, answered_by_id=cast.cy.id))
    with database.writing() as session:
        session.connection().execute(sa.delete(Person).where(col(Person.id) == cast.cy.id))
    with database.reading() as session:
        found, _ = inbox.message_at(session, cast.ana, number)
        assert (found.answered_at, found.answered_by_id) == (NOW, None)


# ---------------------------------------------------------------- passing on


def forward(session: Session, found: ContactMessage, target: Branch) -> None:
    spoken = contact.language_read_at(target, ("en", "es"))
    inbox.forward(session, found, target, spoken, "Hazel Clubs", hours(1), SITE)


def test_a_message_that_is_passed_on_moves_with_a_mail_that_says_who_did_it(
    database: Database, cast: Cast
) -> None:
    [number] = add(database, message(cast.alder, "Saws", answered_at=NOW, answered_by_id=cast.ana.id))
    with database.writing() as session:
        forward(session, inbox.message_at(session, cast.ana, number, to_change=True)[0], cast.birch)
    with database.reading() as session:
        assert keys(session, cast.ana) == []
        found, branch = inbox.message_at(session, cast.cy, number)
        assert (branch.slug, found.forwarded_from_id, found.forwarded_at) == (
            "birch",
            cast.alder.id,
            hours(1),
        )
        assert not found.is_answered and found.answered_by_id is None
        assert inbox.deleted_at(found) == NOW + outbox.KEEP_MESSAGES
        [mail] = mails(session)
    assert (mail.recipient, mail.reply_to, mail.subject) == (
        "birch@example.org", "ben@example.org", "[Club Abedul] Saws",
    )  # fmt: skip
    assert mail.body.index("Alder Club") < mail.body.index("Ben") < mail.body.index("> May I?")
    assert f"{SITE}/es/organize/messages/{number}" in mail.body


def test_a_message_passed_on_to_a_branch_that_muted_its_sender_comes_quietly_and_out_of_there_loudly(
    database: Database, cast: Cast
) -> None:
    [number] = add(database, message(cast.alder, "alder", email="Ben@example.org"))
    with database.writing() as session:
        inbox.mute(session, cast.birch, "ben@example.org", NOW)
        found, _ = inbox.message_at(session, cast.ana, number, to_change=True)
        forward(session, found, cast.birch)
        session.flush()
        assert found.muted and mails(session) == []
        forward(session, found, cast.alder)
        session.flush()
        assert not found.muted and [mail.recipient for mail in mails(session)] == ["alder@example.org"]


def test_a_branch_that_nobody_reads_gets_nothing_passed_on(database: Database, cast: Cast) -> None:
    [number] = add(database, message(cast.alder, "alder"))
    with database.writing() as session:
        birch = session.get_one(Branch, cast.birch.id)
        birch.status = "closed"
        found, _ = inbox.message_at(session, cast.ana, number, to_change=True)
        with pytest.raises(Gone):
            forward(session, found, birch)
        assert found.branch_id == cast.alder.id


def test_the_inbox_of_a_branch_goes_over_with_whom_it_does_not_hear_when_it_is_merged(
    database: Database, cast: Cast
) -> None:
    """What was passed on by the branch that takes it over is back there."""
    own, passed_on, back = add(
        database,
        message(cast.alder, "own"),
        message(cast.alder, "passed-on", forwarded_from_id=cast.alder.id),
        message(cast.alder, "back", forwarded_from_id=cast.birch.id),
    )
    with database.writing() as session:
        for branch, emails in ((cast.alder, "ab"), (cast.birch, "bc")):
            for email in emails:
                inbox.mute(session, branch, f"{email}@example.org", NOW)
        inbox.take_over(session, cast.alder, cast.birch, hours(1))
    with database.reading() as session:
        assert keys(session, cast.ana) == [] and keys(session, cast.cy) == ["own", "passed-on", "back"]
        found = [session.get_one(ContactMessage, number) for number in (own, passed_on, back)]
        assert [one.forwarded_from_id for one in found] == [cast.alder.id, cast.alder.id, None]
        muted = [(one.email, one.branch_id) for one, _ in inbox.muted_senders(session, cast.dee)]
    assert sorted(muted) == [(f"{name}@example.org", cast.birch.id) for name in "abc"]


def test_of_two_who_pass_it_on_at_once_the_second_finds_where_it_is(database: Database, cast: Cast) -> None:
    [number] = add(database, message(cast.alder, "alder"))
    looked, waiting = threading.Event(), threading.Event()

    def slowly() -> None:
        with database.writing() as session:
            found, _ = inbox.message_at(session, cast.ana, number, to_change=True)
            looked.set()
            waiting.wait(0.2)  # the other one is at it by then
            forward(session, found, cast.birch)

    def at_once() -> str:
        with database.writing() as session:
            return inbox.message_at(session, cast.dee, number, to_change=True)[1].slug

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(slowly)
        assert looked.wait(5)
        second = pool.submit(at_once)
        first.result(10)
        assert second.result(10) == "birch"


# ---------------------------------------------------------------- muting


def test_muting_puts_aside_what_the_branch_has_of_the_sender_until_it_listens_again(
    database: Database, cast: Cast
) -> None:
    add(
        database,
        message(cast.alder, "one", email="Ben+X@example.org"),
        message(cast.alder, "two", email="ben+x@example.org", created_at=hours(1)),
        message(cast.alder, "of somebody else", created_at=hours(2)),
        message(cast.birch, "elsewhere", email="ben+x@example.org"),
    )
    with database.writing() as session:
        inbox.mute(session, cast.alder, "BEN+X@example.org", NOW)
        inbox.mute(session, cast.alder, "ben+x@example.org", hours(1))
    with database.reading() as session:
        assert keys(session, cast.ana) == ["of somebody else"]
        assert keys(session, cast.ana, Kind.MUTED) == ["one", "two"]
        assert keys(session, cast.cy) == ["elsewhere"]
        assert [(one.email, at.slug) for one, at in inbox.muted_senders(session, cast.ana)] == [
            ("ben+x@example.org", "alder")
        ]
        assert inbox.muted_senders(session, cast.cy) == []
        assert len(inbox.muted_senders(session, cast.dee)) == 1
        assert inbox.muted_senders(session, cast.dee, cast.birch) == []
    with database.writing() as session:
        inbox.listen_again(session, cast.alder, "ben+x@example.org")
        inbox.listen_again(session, cast.alder, "ben+x@example.org")
    with database.reading() as session:
        assert session.exec(select(MutedSender)).all() == []
        assert keys(session, cast.ana) == ["one", "two", "of somebody else"]


# ---------------------------------------------------------------- addresses that refuse mail


def refusing(session: Session, *branches: Branch) -> list[tuple[str, bool, str | None]]:
    return [
        (one.branch.slug, one.is_read, one.instead.slug if one.instead else None)
        for one in inbox.refusing(session, branches)
    ]


def test_who_gets_the_mail_of_a_branch_whose_address_refuses_it(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        session.add(RefusedAddress(address="alder@example.org", refused_at=NOW))
        session.add(RefusedAddress(address="birch@example.org", refused_at=NOW, unknown=False))
        alder = session.get_one(Branch, cast.alder.id)
        alder.email = "Alder@example.org"
        session.flush()
        assert refusing(session, alder, cast.birch) == [("alder", True, None)]  # Ana gets it
        alder.parent_id = cast.birch.id
        session.flush()
        assert refusing(session, alder, alder) == [("alder", True, "birch")]
        for address in ("birch@example.org", "ana@example.org", "cy@example.org"):
            session.merge(RefusedAddress(address=address, refused_at=NOW))
        session.flush()
        assert refusing(session, alder) == [("alder", False, None)]
        assert refusing(session) == []
