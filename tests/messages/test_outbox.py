"""The outbox: what is written is sent, once, or an admin sees why not."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import Session, col, select

from events.db import Database
from events.language import language
from events.messages import contact, outbox, overview
from events.messages.contact import ContactDraft
from events.messages.models import ContactMessage, OutgoingMail
from tests.conftest import NOW, Cast


def put(database: Database, *subjects: str) -> None:
    with database.writing() as session:
        for subject in subjects:
            outbox.put(session, NOW, recipient="ana@example.org", subject=subject, body="Hello")


def claimed(database: Database, after: timedelta = timedelta(), most: int = 5) -> list[int]:
    with database.writing() as session:
        return [row.id or 0 for row in outbox.claim(session, NOW + after, most)]


def change(database: Database, done: Callable[[Session], object]) -> None:
    with database.writing() as session:
        done(session)


def only(database: Database) -> OutgoingMail:
    with database.reading() as session:
        return session.exec(select(OutgoingMail)).one()


def draft(key: str = "k" * 32) -> ContactDraft:
    return ContactDraft(key=key, name="Ben", email="ben@example.org", message="May I bring my saw?")


def write(database: Database, cast: Cast, key: str = "k" * 32) -> None:
    with database.writing() as session:
        contact.send(session, cast.alder, draft(key), language("en"), "Hazel Clubs", NOW)


def saved(database: Database) -> tuple[int, int]:
    with database.reading() as session:
        return len(session.exec(select(ContactMessage)).all()), len(session.exec(select(OutgoingMail)).all())


def test_a_message_and_its_mail_are_committed_together(database: Database, cast: Cast) -> None:
    write(database, cast)
    assert saved(database) == (1, 1)


def test_a_message_that_is_rolled_back_leaves_no_mail(database: Database, cast: Cast) -> None:
    with pytest.raises(ConnectionAbortedError), database.writing() as session:
        contact.send(session, cast.alder, draft(), language("en"), "Hazel Clubs", NOW)
        session.flush()
        raise ConnectionAbortedError
    assert saved(database) == (0, 0)


def test_the_same_form_sent_twice_at_the_same_moment_is_one_message(database: Database, cast: Cast) -> None:
    """The second waits for the first to commit, and then adds neither a message nor a mail."""
    inside, written = threading.Event(), threading.Event()

    def slowly() -> None:
        with database.writing() as session:
            contact.send(session, cast.alder, draft(), language("en"), "Hazel Clubs", NOW)
            session.flush()
            inside.set()
            written.wait(0.2)  # the other one is at it by then

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(slowly)
        assert inside.wait(5)
        second = pool.submit(write, database, cast)
        written.set()
        first.result(10)
        second.result(10)
    assert saved(database) == (1, 1)


def test_what_is_due_is_claimed_oldest_first_and_not_again_while_leased(database: Database) -> None:
    put(database, "one", "two", "three")
    first = claimed(database, most=2)
    assert first == [1, 2]
    assert claimed(database, most=2) == [3]
    assert claimed(database, outbox.LEASE) == []


def test_a_mail_whose_worker_died_is_claimed_again_after_the_lease(database: Database) -> None:
    put(database, "one")
    assert claimed(database) == [1]
    assert claimed(database, outbox.LEASE + timedelta(seconds=1)) == [1]
    assert only(database).attempts == 2


def test_two_workers_get_each_mail_once(database: Database) -> None:
    put(database, *(str(number) for number in range(60)))
    start = threading.Barrier(2)

    def work() -> list[int]:
        start.wait(10)
        got: list[int] = []
        while more := claimed(database, most=3):
            got += more
        return got

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(work) for _ in range(2)]
        got = [number for future in both for number in future.result(60)]
    assert sorted(got) == list(range(1, 61))


def test_a_look_at_the_outbox_knows_whether_anything_is_due(database: Database) -> None:
    def due(after: timedelta) -> bool:
        with database.reading() as session:
            return outbox.is_due(session, NOW + after)

    assert not due(timedelta())
    put(database, "one")
    assert due(timedelta())
    claimed(database)
    assert not due(timedelta())
    assert due(outbox.LEASE * 2)


def test_a_mail_put_back_waits_ever_longer_between_attempts(database: Database) -> None:
    put(database, "one")
    waits, at = [], timedelta()
    for _ in range(12):
        assert claimed(database, at) == [1]
        change(database, lambda session: outbox.put_back(session, 1, "451 later", NOW + at))  # noqa: B023
        waits.append(only(database).run_at - NOW - at)
        assert claimed(database, at + waits[-1] - timedelta(seconds=1)) == []
        at += waits[-1]
    assert timedelta(seconds=7) <= waits[0] <= outbox.FIRST_RETRY
    assert all(later > earlier * 0.99 for earlier, later in zip(waits[:8], waits[2:10], strict=True))
    assert outbox.LONGEST_RETRY / 2 <= waits[-1] <= outbox.LONGEST_RETRY
    assert only(database).last_error == "451 later"


def test_the_waits_of_a_crowd_are_spread() -> None:
    random.seed(7)
    assert len({outbox.backoff(4) for _ in range(50)}) == 50
    assert all(timedelta(minutes=1) <= outbox.backoff(4) <= timedelta(minutes=2) for _ in range(200))
    assert outbox.backoff(10_000) <= outbox.LONGEST_RETRY


def test_after_two_days_a_mail_is_given_up_and_the_reason_kept(database: Database) -> None:
    put(database, "one")
    at = outbox.GIVE_UP_AFTER - timedelta(minutes=1)
    assert claimed(database, at) == [1]
    change(database, lambda session: outbox.put_back(session, 1, "451 later", NOW + at))
    assert only(database).failed_at is None
    at += outbox.LONGEST_RETRY
    assert claimed(database, at) == [1]
    change(database, lambda session: outbox.put_back(session, 1, "451 still later", NOW + at))
    assert only(database).failed_at == NOW + at
    assert only(database).last_error == "451 still later"
    assert claimed(database, timedelta(days=9)) == []


def test_what_was_refused_for_good_is_not_tried_again(database: Database) -> None:
    put(database, "one")
    claimed(database)
    change(database, lambda session: outbox.mark_failed(session, 1, "550 no such user", NOW))
    assert claimed(database, timedelta(days=1)) == []
    assert only(database).last_error == "550 no such user"


def test_what_was_sent_is_not_sent_again(database: Database) -> None:
    put(database, "one")
    claimed(database)
    change(database, lambda session: outbox.mark_sent(session, 1, NOW))
    assert claimed(database, timedelta(days=1)) == []


def test_the_name_of_a_mail_stays_the_same_through_all_attempts(database: Database) -> None:
    put(database, "one", "two")
    seen = []
    for attempt in range(3):
        with database.writing() as session:
            rows = outbox.claim(session, NOW + attempt * 2 * outbox.LEASE)
            seen.append([outbox.as_mail(row).message_id for row in rows])
    assert seen[0] == seen[1] == seen[2]
    assert len(set(seen[0])) == 2


def test_how_many_wait_and_since_when(database: Database) -> None:
    with database.reading() as session:
        assert outbox.waiting(session) == (0, None)
    put(database, "one", "two", "three")
    change(database, lambda session: outbox.mark_sent(session, 1, NOW))
    change(database, lambda session: outbox.mark_failed(session, 2, "550", NOW))
    with database.reading() as session:
        assert outbox.waiting(session) == (1, NOW)


def test_messages_and_mails_are_gone_after_thirty_days_but_none_that_waits(
    database: Database, cast: Cast
) -> None:
    write(database, cast)
    put(database, "waits", "fails")
    change(database, lambda session: outbox.mark_sent(session, 1, NOW))
    change(database, lambda session: outbox.mark_failed(session, 3, "550", NOW))
    change(database, lambda session: outbox.purge(session, NOW + timedelta(days=30)))
    assert saved(database) == (1, 3)
    change(database, lambda session: outbox.purge(session, NOW + timedelta(days=30, seconds=1)))
    assert saved(database) == (0, 1)
    assert only(database).subject == "waits"


def test_what_a_visitor_wrote_is_gone_after_thirty_days_also_where_its_mail_failed_later(
    database: Database, cast: Cast
) -> None:
    write(database, cast)
    change(database, lambda session: outbox.mark_failed(session, 1, "550", NOW + timedelta(days=2)))
    change(database, lambda session: outbox.purge(session, NOW + timedelta(days=30, seconds=1)))
    assert saved(database) == (0, 0)


def put_batch(database: Database, *recipients: str, batch: str = "newsletter-7") -> None:
    with database.writing() as session:
        for recipient in recipients:
            outbox.put(
                session, NOW, recipient=recipient, subject="News", body="Hello", kind="newsletter",
                unsubscribe_url="https://events.example.org/subscriptions/x", bulk=True, batch=batch,
            )  # fmt: skip


def left(database: Database) -> list[str]:
    with database.reading() as session:
        return [mail.recipient for mail in session.exec(select(OutgoingMail).order_by("id")).all()]


def test_how_far_a_batch_has_come(database: Database) -> None:
    put_batch(database, "a@example.org", "b@example.org", "c@example.org", "d@example.org")
    put_batch(database, "e@example.org", batch="newsletter-8")
    change(database, lambda session: outbox.mark_sent(session, 1, NOW))
    change(database, lambda session: outbox.mark_failed(session, 2, "550", NOW))
    with database.reading() as session:
        assert outbox.progress(session, "newsletter-7") == (1, 2, 1)
        assert outbox.progress(session, "newsletter-9") == (0, 0, 0)


def test_a_batch_that_is_stopped_sends_only_what_was_begun(database: Database) -> None:
    put_batch(database, "sent@example.org", "begun@example.org", "b@example.org", "c@example.org")
    put_batch(database, "other@example.org", batch="newsletter-8")
    change(database, lambda session: outbox.mark_sent(session, 1, NOW))
    assert claimed(database, most=1) == [2]
    with database.writing() as session:
        assert outbox.stop(session, "newsletter-7") == 2
    assert left(database) == ["sent@example.org", "begun@example.org", "other@example.org"]


def test_somebody_who_has_unsubscribed_gets_no_digest_that_waits_but_does_get_a_sign_in_link(
    database: Database,
) -> None:
    put_batch(database, "ana@example.org", "ben@example.org")
    put_batch(database, "ana@example.org", batch="")
    put(database, "Sign in")
    with database.writing() as session:
        assert outbox.forget_waiting(session, "ana@example.org") == 2
    assert left(database) == ["ben@example.org", "ana@example.org"]


def test_what_is_being_sent_or_has_failed_is_not_tried_again_for_somebody_who_has_unsubscribed(
    database: Database,
) -> None:
    put_batch(database, "ana@example.org", "ben@example.org")
    put_batch(database, "ana@example.org", batch="another")
    with database.writing() as session:
        begun, _ = outbox.claim(session, NOW, most=2)
        failed = session.exec(select(OutgoingMail).where(col(OutgoingMail.batch) == "another")).one()
        outbox.mark_failed(session, failed.id or 0, "550 no", NOW)
    with database.writing() as session:
        assert outbox.forget_waiting(session, "ana@example.org") == 2
    with database.writing() as session:  # the worker comes back with what the server said
        assert outbox.put_back(session, begun.id or 0, "451 later", NOW) is None
        assert overview.retry_failed(session, NOW) == 0
    assert left(database) == ["ben@example.org"]


def test_no_more_are_claimed_than_were_asked_for_however_the_database_goes_about_it(
    database: Database,
) -> None:
    put(database, *map(str, range(20)))
    with database.writing() as session:
        if not database.is_sqlite:  # a subquery would be made again for each row
            for way in ("hashjoin", "mergejoin", "hashagg", "sort", "material"):
                session.connection().execute(sa.text(f"SET LOCAL enable_{way} = off"))
        assert len(outbox.claim(session, NOW, most=4)) == 4
