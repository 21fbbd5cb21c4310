"""A message that an address does not take goes on to the next one up the tree, and none is lost."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import col, select

from events.branches.models import Branch, Status
from events.config import Settings
from events.db import Database
from events.language import language
from events.mail import NotNow, Refused, Undeliverable
from events.messages import contact, delivery, outbox, refusals
from events.messages.contact import ContactDraft
from events.messages.models import ContactMessage, OutgoingMail, RefusedAddress
from events.people import permissions
from events.people.models import Person, Role
from events.places.geo import Point
from tests.conftest import NOW, Cast, branch

NO_SUCH_USER = Undeliverable("550 5.1.1 No such user here", Refused.ADDRESS)
NOT_THIS_ONE = Undeliverable("550 5.7.1 This looks like spam", Refused.MAIL)
NOT_US = Undeliverable("553 5.7.1 Sender address rejected", Refused.OURS)


@pytest.fixture
def oak(database: Database, cast: Cast) -> Branch:
    """A branch below Alder, where Spanish is read."""
    with database.writing() as session:
        oak = branch(
            "oak", "Club Roble", Point(41.8, -87.6), parent_id=cast.alder.id, languages="es,en",
            email="Oak@example.org",
        )  # fmt: skip
        session.add(oak)
    return oak


def write(database: Database, to: Branch, key: str = "k" * 32) -> None:
    draft = ContactDraft(key=key, name="Ben", email="ben@example.org", message="May I bring my saw?")
    with database.writing() as session:
        contact.send(session, session.get_one(Branch, to.id), draft, language("es"), "Hazel Clubs", NOW)


def refuse(database: Database, settings: Settings, why: Undeliverable, mail_id: int | None = None) -> None:
    """The newest mail, unless said."""
    with database.writing() as session:
        number = (
            mail_id or session.exec(select(OutgoingMail.id).order_by(col(OutgoingMail.id).desc())).first()
        )
        delivery.refused(session, number or 0, why, settings, NOW)


def mails(database: Database) -> Sequence[OutgoingMail]:
    with database.reading() as session:
        return session.exec(select(OutgoingMail).order_by("id")).all()


def recipients(database: Database) -> list[str]:
    return [mail.recipient for mail in mails(database)]


def refused(database: Database) -> list[tuple[str, bool]]:
    with database.reading() as session:
        found = session.exec(select(RefusedAddress).order_by("address")).all()
        return [(one.address, one.unknown) for one in found]


def put(database: Database, recipient: str, kind: str = "notice", unsubscribe_url: str = "") -> None:
    with database.writing() as session:
        outbox.put(
            session, NOW, recipient=recipient, subject="News", body="Hello", kind=kind,
            unsubscribe_url=unsubscribe_url,
        )  # fmt: skip


def test_a_message_that_its_branch_does_not_take_goes_to_the_one_above(
    database: Database, settings: Settings, oak: Branch
) -> None:
    write(database, oak)
    refuse(database, settings, NO_SUCH_USER)
    failed, on_its_way = mails(database)
    assert (failed.recipient, failed.failed_at, failed.last_error) == (
        "Oak@example.org", NOW, "550 5.1.1 No such user here",
    )  # fmt: skip
    assert (on_its_way.recipient, on_its_way.failed_at) == ("alder@example.org", None)
    assert (on_its_way.reply_to, on_its_way.message_ref) == ("ben@example.org", failed.message_ref)
    assert on_its_way.body.index("Club Roble") < on_its_way.body.index("> May I bring my saw?")
    assert "Oak@example.org" not in on_its_way.body  # nobody is told the address of the branch
    assert refused(database) == [("oak@example.org", True)]


def test_the_next_message_goes_to_the_one_above_at_once(
    database: Database, settings: Settings, oak: Branch
) -> None:
    write(database, oak)
    refuse(database, settings, NO_SUCH_USER)
    write(database, oak, "l" * 32)
    assert recipients(database) == ["Oak@example.org", "alder@example.org", "alder@example.org"]


def test_after_the_branches_come_those_who_act_for_them(
    database: Database, settings: Settings, oak: Branch
) -> None:
    write(database, oak)
    refuse(database, settings, NO_SUCH_USER)
    refuse(database, settings, NO_SUCH_USER)
    assert recipients(database) == ["Oak@example.org", "alder@example.org", "ana@example.org"]


def test_where_nobody_takes_it_the_message_stays_and_each_failure_can_be_seen(
    database: Database, settings: Settings, oak: Branch
) -> None:
    write(database, oak)
    for _ in range(3):
        refuse(database, settings, NO_SUCH_USER)
    assert len(mails(database)) == 3
    assert all(mail.failed_at for mail in mails(database))
    with database.reading() as session:
        assert session.exec(select(ContactMessage)).one().branch_id == oak.id


def test_a_mail_that_was_refused_for_what_it_says_marks_the_branch_and_does_not_silence_it(
    database: Database, settings: Settings, oak: Branch
) -> None:
    write(database, oak)
    refuse(database, settings, NOT_THIS_ONE)
    assert refused(database) == [("oak@example.org", False)]
    write(database, oak, "l" * 32)
    assert recipients(database) == ["Oak@example.org", "alder@example.org", "Oak@example.org"]


def test_a_mail_that_arrives_takes_the_mark_away(database: Database, settings: Settings, oak: Branch) -> None:
    write(database, oak)
    refuse(database, settings, NO_SUCH_USER)
    put(database, "OAK@example.org")
    with database.writing() as session:
        delivery.sent(session, 3, NOW)
    assert refused(database) == []
    write(database, oak, "l" * 32)
    assert recipients(database)[-1] == "Oak@example.org"


def test_a_second_refusal_of_an_address_counts_instead_of_the_first(
    database: Database, settings: Settings, oak: Branch
) -> None:
    for key, why in (("k" * 32, NOT_THIS_ONE), ("l" * 32, NO_SUCH_USER)):
        write(database, oak, key)
        refuse(database, settings, why)
    assert refused(database) == [("oak@example.org", True)]


def test_when_it_is_us_who_were_refused_nobody_is_marked_and_nothing_goes_elsewhere(
    database: Database, settings: Settings, oak: Branch
) -> None:
    """An admin mends it and sends it again: it is still meant for the branch."""
    write(database, oak)
    refuse(database, settings, NOT_US)
    assert (recipients(database), refused(database)) == (["Oak@example.org"], [])
    assert mails(database)[0].failed_at == NOW


def test_after_two_days_of_not_now_the_message_goes_on_and_the_address_is_not_marked(
    database: Database, settings: Settings, oak: Branch
) -> None:
    write(database, oak)
    for hours in (47, 49):
        with database.writing() as session:
            delivery.put_back(session, 1, NotNow("451 later"), settings, NOW + timedelta(hours=hours))
    assert recipients(database) == ["Oak@example.org", "alder@example.org"]
    assert refused(database) == []


def test_a_message_goes_on_once_however_often_its_mail_is_tried_again(
    database: Database, settings: Settings, oak: Branch
) -> None:
    write(database, oak)
    for _ in range(3):
        refuse(database, settings, NO_SUCH_USER, mail_id=1)
    assert recipients(database) == ["Oak@example.org", "alder@example.org"]


def test_a_message_that_somebody_has_answered_goes_nowhere(
    database: Database, settings: Settings, oak: Branch
) -> None:
    write(database, oak)
    with database.writing() as session:
        session.exec(select(ContactMessage)).one().answered_at = NOW
    refuse(database, settings, NO_SUCH_USER)
    assert recipients(database) == ["Oak@example.org"]
    assert refused(database) == [("oak@example.org", True)]


def test_marking_and_sending_on_are_there_together_or_neither(
    database: Database, settings: Settings, oak: Branch
) -> None:
    write(database, oak)
    with pytest.raises(ConnectionAbortedError), database.writing() as session:
        delivery.refused(session, 1, NO_SUCH_USER, settings, NOW)
        session.flush()
        raise ConnectionAbortedError
    assert (recipients(database), refused(database)) == (["Oak@example.org"], [])
    assert mails(database)[0].failed_at is None


def test_a_copy_for_its_writer_that_bounces_goes_to_nobody_else(
    database: Database, settings: Settings, oak: Branch
) -> None:
    write(database, oak)
    with database.writing() as session:
        outbox.put(
            session, NOW, recipient="ben@example.org", subject="Your message", body="Hello", kind="copy",
            message_ref=1,
        )  # fmt: skip
    refuse(database, settings, NO_SUCH_USER)
    assert (recipients(database), refused(database)) == (["Oak@example.org", "ben@example.org"], [])


def test_a_subscriber_is_marked_when_the_address_is_unknown_and_not_for_what_a_digest_says(
    database: Database, settings: Settings
) -> None:
    for recipient, why in (("a@example.org", NO_SUCH_USER), ("b@example.org", NOT_THIS_ONE)):
        put(database, recipient, kind="digest", unsubscribe_url="https://events.example.org/x")
        refuse(database, settings, why)
    put(database, "c@example.org", kind="link")
    refuse(database, settings, NO_SUCH_USER)
    assert refused(database) == [("a@example.org", True)]


def test_a_mail_that_was_taken_out_while_it_was_sent_is_no_trouble(
    database: Database, settings: Settings
) -> None:
    with database.writing() as session:
        delivery.sent(session, 7, NOW)
        delivery.put_back(session, 7, NotNow("451"), settings, NOW)
        delivery.refused(session, 7, NO_SUCH_USER, settings, NOW)
    assert (mails(database), refused(database)) == ([], [])


def test_what_another_worker_has_sent_meanwhile_has_not_failed(
    database: Database, settings: Settings, oak: Branch
) -> None:
    """The first was so slow that its lease was over."""
    write(database, oak)
    with database.writing() as session:
        delivery.sent(session, 1, NOW)
    refuse(database, settings, NO_SUCH_USER)
    [mail] = mails(database)
    assert (mail.sent_at, mail.failed_at) == (NOW, None)
    assert refused(database) == []


def test_marks_of_addresses_that_no_branch_has_are_forgotten_after_thirty_days(
    database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        for address in ("alder@example.org", "somebody@example.org"):
            refusals.mark(session, address, "550", NOW, unknown=True)
        refusals.forget_past(session, NOW + refusals.KEEP)
    assert len(refused(database)) == 2
    with database.writing() as session:
        refusals.forget_past(session, NOW + refusals.KEEP + timedelta(seconds=1))
    assert refused(database) == [("alder@example.org", True)]


def test_branches_with_a_mark_are_counted_and_listed_before_other_addresses(
    database: Database, cast: Cast, oak: Branch
) -> None:
    with database.writing() as session:
        for minute, address in enumerate(("oak@example.org", "somebody@example.org", "ALDER@example.org")):
            refusals.mark(session, address, "550", NOW + timedelta(minutes=minute), unknown=True)
    with database.reading() as session:
        assert refusals.number_of_branches(session) == 2
        listed = [(one.address, branch and branch.slug) for one, branch in refusals.listed(session, 9)]
        assert listed == [
            ("alder@example.org", "alder"),
            ("oak@example.org", "oak"),
            ("somebody@example.org", None),
        ]
        assert refusals.of_branch(session, session.get_one(Branch, oak.id)) is not None
        assert refusals.of_branch(session, session.get_one(Branch, cast.birch.id)) is None


def test_the_order_is_the_branch_then_up_the_tree_then_whoever_acts_for_it(
    database: Database, cast: Cast, oak: Branch
) -> None:
    with database.writing() as session:
        cy = session.get_one(Person, cast.cy.id)
        permissions.invite(session, cy, session.get_one(Branch, oak.id), Role.ORGANIZER)
    tried: list[str] = []
    with database.reading() as session:
        while to := refusals.destination(session, session.get_one(Branch, oak.id), besides=tried):
            tried.append(to.lower())
    assert tried == ["oak@example.org", "alder@example.org", "ana@example.org", "cy@example.org"]


def test_a_branch_above_that_has_closed_gets_nothing_of_those_below(
    database: Database, cast: Cast, oak: Branch
) -> None:
    with database.writing() as session:
        session.get_one(Branch, cast.alder.id).status = Status.CLOSED
        below = session.get_one(Branch, oak.id)
        assert refusals.destination(session, below, besides={"oak@example.org"}) == "ana@example.org"


def test_whose_posts_need_approval_gets_no_message_by_mail_either(
    database: Database, cast: Cast, oak: Branch
) -> None:
    with database.writing() as session:
        ana = session.get_one(Person, cast.ana.id)
        permissions.invite(
            session, ana, session.get_one(Branch, cast.alder.id), Role.ORGANIZER, trusted=False
        )
        tried = {"oak@example.org", "alder@example.org"}
        to = refusals.destination(session, session.get_one(Branch, oak.id), besides=tried)
    assert to == "dee@example.org", "an admin, as nobody else may read it"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_list_does_not_go_through_all_branches_for_each_address(database: Database, cast: Cast) -> None:
    asked: list[str] = []
    sa.event.listen(database.engine, "before_cursor_execute", lambda *a: asked.append(a[2]))
    with database.reading() as session:
        refusals.listed(session, 9)
        connection = session.connection()
        plans = [
            [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {one}", (9,) * one.count("?"))]
            for one in asked
            if one.startswith("SELECT")
        ]
    assert plans
    for plan in plans:
        all_of = {step.split()[1] for step in plan if step.startswith("SCAN")}
        assert not {"refused_address", "branch"} <= all_of or any("LIST SUBQUERY" in step for step in plan)
