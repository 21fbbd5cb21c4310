"""Newsletters: who gets one, in batches that survive anything, stopped and continued."""

import socket
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session, col, select

from events.calendars.content import Publishing
from events.config import Settings
from events.db import Database
from events.errors import Conflict
from events.language import language
from events.mail import NotNow, Refused, Undeliverable
from events.messages import delivery, outbox
from events.messages.models import OutgoingMail, RefusedAddress
from events.news.models import Notice
from events.places.geo import Point
from events.subscriptions import choices, newsletters
from events.subscriptions.links import new_nonce, token_of
from events.subscriptions.models import Newsletter, Subscription, SubscriptionBranch
from events.subscriptions.writing import Site
from events.worker import Worker
from tests.conftest import NOW, Cast

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
SECRET = "for tests only"
NEAR_ALDER = Point(41.94, -87.66)


def notice(session: Session, branch_id: int | None = None, **more: Any) -> Notice:
    values: dict[str, Any] = {
        "slug": "a-new-saw",
        "title": "A new saw",
        "text": "It is **sharp**.",
        "shown_from": NOW.date(),
        "published_at": LONG_AGO,
        "begins_at": LONG_AGO,
        "created_at": LONG_AGO,
        "modified_at": LONG_AGO,
        "branch_id": branch_id,
    }
    row = Notice(**(values | more))
    session.add(row)
    session.flush()
    return row


def subscribe(
    session: Session,
    name: str,
    *,
    newsletter: bool = True,
    confirmed: bool = True,
    at: Point | None = None,
    within_km: float | None = None,
    follows: int | None = None,
    language: str = "en",
) -> Subscription:
    row = Subscription(
        email=f"{name}@example.org",
        nonce=new_nonce(),
        language=language,
        latitude=at.latitude if at else None,
        longitude=at.longitude if at else None,
        within_km=within_km,
        newsletter=newsletter,
        created_at=NOW,
        confirmed_at=NOW if confirmed else None,
    )
    session.add(row)
    session.flush()
    if follows:
        session.add(SubscriptionBranch(subscription_id=row.id or 0, branch_id=follows))
    return row


@dataclass
class Post:
    """A notice on its way: what the worker does, what the mail server says, and who has got it."""

    database: Database
    publishing: Publishing
    settings: Settings
    cast: Cast

    def readers(self, number: int) -> None:
        with self.database.writing() as session:
            for count in range(1, number + 1):
                subscribe(session, f"reader-{count}")

    def start(self, now: datetime = NOW) -> None:
        with self.database.writing() as session:
            news = session.exec(select(Notice)).one_or_none() or notice(session)
            newsletters.start(session, news, self.cast.dee, now)

    def advance(self, now: datetime = NOW) -> int:
        with self.database.writing() as session:
            return newsletters.advance(session, Site(self.publishing, SECRET), now)

    def send(self, most: int = 1000, now: datetime = NOW) -> int:
        """The mail server takes so many, the oldest first."""
        with self.database.writing() as session:
            claimed = outbox.claim(session, now, most)
            for mail in claimed:
                delivery.sent(session, mail.id or 0, now)
            return len(claimed)

    def run(self, now: datetime = NOW) -> datetime:
        """All of it, while the mail server is quick; until when."""
        while not self.newsletter.finished_at:
            self.advance(now)
            self.send(now=now)
            now += newsletters.AGAIN_AFTER
        return now

    def stop(self, now: datetime = NOW) -> None:
        with self.database.writing() as session:
            newsletters.stop(session, session.exec(select(Newsletter)).one(), now)

    def resume(self, now: datetime = NOW) -> None:
        with self.database.writing() as session:
            news = session.exec(select(Notice)).one()
            newsletters.resume(session, session.exec(select(Newsletter)).one(), news, now)

    @property
    def newsletter(self) -> Newsletter:
        with self.database.reading() as session:
            return session.exec(select(Newsletter)).one()

    @property
    def progress(self) -> newsletters.Progress:
        with self.database.reading() as session:
            return newsletters.progress(session, session.exec(select(Newsletter)).one())

    @property
    def mails(self) -> list[OutgoingMail]:
        with self.database.reading() as session:
            return list(session.exec(select(OutgoingMail).order_by(col(OutgoingMail.id))))

    @property
    def written_to(self) -> list[int]:
        """The numbers of the readers who have a mail, once for each."""
        return sorted(int(mail.recipient.split("@")[0].removeprefix("reader-")) for mail in self.mails)


@pytest.fixture
def post(database: Database, publishing: Publishing, settings: Settings, cast: Cast) -> Post:
    return Post(database, publishing, settings, cast)


# ---------------------------------------------------------------- who, and what


def test_news_of_the_organisation_goes_to_all_who_confirmed_that_they_want_it(post: Post) -> None:
    with post.database.writing() as session:
        news = notice(session)
        ben = subscribe(session, "ben")
        eva = subscribe(session, "eva", language="es-MX", follows=post.cast.birch.id)
        subscribe(session, "full")
        subscribe(session, "not-confirmed", confirmed=False)
        subscribe(session, "not-ticked", newsletter=False)
        subscribe(session, "unknown")
        session.add(RefusedAddress(address="unknown@example.org", refused_at=NOW))
        session.add(RefusedAddress(address="full@example.org", refused_at=NOW, unknown=False))
        session.flush()
        assert newsletters.readers(session, news) == 3
    post.start()
    assert post.progress == newsletters.Progress(sent=0, waiting=3, failed=0, error="")
    post.advance()
    first, second, third = post.mails
    assert [mail.recipient for mail in (first, second, third)] == [
        "ben@example.org", "eva@example.org", "full@example.org",
    ]  # fmt: skip
    assert {(mail.kind, mail.bulk, mail.batch) for mail in post.mails} == {
        ("newsletter", True, f"newsletter:{post.newsletter.id}")
    }
    link = f"http://localhost:8000/subscriptions/{token_of(ben, SECRET)}"
    assert first.unsubscribe_url == f"{link}/unsubscription"
    assert first.subject == "A new saw"
    assert first.body == (
        "A new saw\n---------\n\nIt is sharp.\n\nRead it on the site:\nhttp://localhost:8000/news/a-new-saw\n\n"
        "You get this because you asked for the newsletter of Hazel Clubs.\n"
        f"\nChange what you get, or stop it:\n{link}\n"
    )
    assert "<strong>sharp</strong>" in first.html and f'href="{link}"' in first.html
    assert second.unsubscribe_url.startswith(
        f"http://localhost:8000/es/subscriptions/{token_of(eva, SECRET)}"
    )
    assert "http://localhost:8000/es/news/a-new-saw" in second.body and 'lang="es"' in second.html


def test_news_of_a_branch_goes_to_those_who_follow_it_or_live_near(post: Post) -> None:
    alder, birch = post.cast.alder, post.cast.birch
    with post.database.writing() as session:
        news = notice(session, alder.id)
        subscribe(session, "follower", follows=alder.id)
        subscribe(session, "neighbour", at=NEAR_ALDER, within_km=5)
        subscribe(session, "neighbour-and-follower", at=NEAR_ALDER, within_km=5, follows=alder.id)
        subscribe(session, "just-too-far", at=NEAR_ALDER, within_km=1.9)
        subscribe(session, "same-latitude", at=Point(41.92, -80.0), within_km=100)
        subscribe(session, "of-birch", follows=birch.id, at=Point(40.42, -3.7), within_km=10)
        subscribe(session, "everywhere")
        subscribe(session, "not-ticked", newsletter=False, follows=alder.id)
        assert newsletters.readers(session, news) == 3
    post.start()
    post.run()
    assert [mail.recipient.split("@")[0] for mail in post.mails] == [
        "follower", "neighbour", "neighbour-and-follower",
    ]  # fmt: skip


def test_a_branch_that_hides_where_it_is_reaches_those_near_where_it_may_be_found(post: Post) -> None:
    with post.database.writing() as session:
        hidden = session.get_one(type(post.cast.alder), post.cast.alder.id)
        hidden.confidential = True
        hidden.stand_at(Point(41.9227, -87.6533))
        session.add(hidden)
        public = hidden.public_point
        assert public is not None
        subscribe(session, "there", at=public, within_km=0.5)
        subscribe(session, "at-its-door", at=Point(41.9227, -87.6533), within_km=0.5)
        news = notice(session, hidden.id)
        assert newsletters.readers(session, news) == 1


def test_a_title_stays_one_harmless_line(post: Post) -> None:
    with post.database.writing() as session:
        notice(session, title="Saw =?utf-8?q?x=0D=0ABcc:_all@example.org?=\r\nBcc: all@example.org")
        subscribe(session, "reader-1")
    post.start()
    post.advance()
    subject = post.mails[0].subject
    assert "=?" not in subject and "\n" not in subject and "\r" not in subject


# ---------------------------------------------------------------- starting


def test_it_is_sent_once_however_often_the_button_is_pressed(post: Post) -> None:
    post.readers(3)
    post.start()
    begun = post.newsletter
    post.start(NOW + MINUTE)
    post.run()
    post.start(NOW + DAY)
    assert post.newsletter.started_at == begun.started_at and post.newsletter.id == begun.id
    assert post.advance(NOW + DAY) == 0 and post.written_to == [1, 2, 3]


def test_two_who_press_at_the_same_time_start_one(post: Post) -> None:
    post.readers(2)
    with post.database.writing() as session:
        notice(session)
    together = threading.Barrier(2)

    def press(_: int) -> None:
        together.wait()
        post.start()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(press, range(2)))
    assert post.newsletter.total == 2


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"published_at": None, "begins_at": None}, "a draft"),
        ({"begins_at": NOW + DAY}, "not on the site now"),
        ({"ends_at": NOW - MINUTE}, "not on the site now"),
        ({"removed_at": NOW - MINUTE}, "not on the site now"),
        ({"branch_id": "birch"}, "Nobody who would get this"),
    ],
)
def test_what_nobody_could_read_is_not_sent(post: Post, more: dict[str, Any], why: str) -> None:
    with post.database.writing() as session:
        subscribe(session, "reader-1")
        more = {name: post.cast.birch.id if value == "birch" else value for name, value in more.items()}
        notice(session, **more)
    with pytest.raises(Conflict, match=why):
        post.start()
    assert not post.mails


# ---------------------------------------------------------------- batches


def test_batches_wait_until_the_mail_server_has_taken_most_of_the_last(post: Post) -> None:
    post.readers(450)
    post.start()
    assert [post.advance(), post.advance()] == [1, 1]
    assert post.written_to == list(range(1, 201))
    assert post.advance() == 0 and len(post.mails) == 200, "a server that is down does not fill the table"
    assert not post.newsletter.finished_at
    later = NOW + newsletters.AGAIN_AFTER
    assert post.advance(later) == 0
    assert post.progress == newsletters.Progress(sent=0, waiting=450, failed=0, error="")
    post.send(50)
    later += newsletters.AGAIN_AFTER
    assert post.advance(later) == 1 and len(post.mails) == 300
    assert post.progress == newsletters.Progress(sent=50, waiting=400, failed=0, error="")
    end = post.run(later)
    assert post.written_to == list(range(1, 451))
    assert post.progress == newsletters.Progress(sent=450, waiting=0, failed=0, error="")
    with post.database.writing() as session:
        outbox.purge(session, end + outbox.KEEP_MESSAGES + DAY)
    assert not post.mails and post.progress.sent == 450, "also when the outbox has forgotten them"


def test_what_is_cut_off_in_the_middle_of_a_batch_is_done_again_and_nobody_is_written_to_twice(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.readers(150)
    post.start()
    real, left = outbox.put, Counter(left=137)

    def put(session: Session, now: datetime, **more: Any) -> OutgoingMail:
        left["left"] -= 1
        if left["left"] < 0:
            raise KeyboardInterrupt
        return real(session, now, **more)

    monkeypatch.setattr(outbox, "put", put)
    assert post.advance() == 1
    with pytest.raises(KeyboardInterrupt):
        post.advance()
    assert post.written_to == list(range(1, 101)) and post.newsletter.queued == 100
    monkeypatch.undo()
    post.run()
    assert post.written_to == list(range(1, 151)) and post.newsletter.queued == 150


def test_two_workers_share_the_work_and_write_to_everybody_once(post: Post) -> None:
    post.readers(350)
    post.start()
    together = threading.Barrier(2)

    def work(_: int) -> None:
        together.wait()
        for _ in range(12):
            post.advance()
            post.send()

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(work, range(2)))
    post.run()
    assert post.written_to == list(range(1, 351)) and post.newsletter.queued == 350


def test_of_many_who_live_elsewhere_only_some_are_looked_at_in_one_transaction(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newsletters, "LOOKED_AT", 10)
    with post.database.writing() as session:
        notice(session, post.cast.alder.id)
        for count in range(1, 36):
            near = count in (1, 2, 25, 34)
            subscribe(session, f"reader-{count}", at=NEAR_ALDER if near else Point(41.94, 10), within_km=9)
    post.start()
    assert post.newsletter.total == 4
    seen = []
    for _ in range(5):
        post.advance()
        seen.append(len(post.mails))
    assert seen == [2, 2, 3, 4, 4] and post.newsletter.run_at is None


def test_the_worker_does_it_and_somebody_who_waits_comes_first(post: Post) -> None:
    post.readers(120)
    now = datetime.now(UTC)
    post.start(now)
    worker = Worker(post.settings, post.publishing)
    assert worker.send_newsletters() == 1 and len(post.mails) == 100
    with post.database.writing() as session:
        outbox.put(session, now, recipient="ana@example.org", subject="Your link", body="Here", kind="link")
    with post.database.writing() as session:
        assert [mail.kind for mail in outbox.claim(session, now + MINUTE, 1)] == ["link"]
    worker.send_newsletters()
    assert worker.send_newsletters() == 0 and len(post.mails) == 121
    worker.database.dispose()


# ---------------------------------------------------------------- while it runs


def test_what_goes_wrong_on_the_way_is_told(post: Post) -> None:
    post.readers(3)
    post.start()
    post.advance()
    with post.database.writing() as session:
        first, second, third = outbox.claim(session, NOW, 3)
        delivery.put_back(session, first.id or 0, NotNow("451 try later"), post.settings, NOW)
        gone = Undeliverable("550 no such user", Refused.ADDRESS)
        delivery.refused(session, second.id or 0, gone, post.settings, NOW)
        delivery.sent(session, third.id or 0, NOW)
    assert post.progress == newsletters.Progress(sent=1, waiting=1, failed=1, error="451 try later")
    post.run(NOW + DAY)
    assert post.progress == newsletters.Progress(sent=2, waiting=0, failed=1, error="")


def test_while_the_mail_server_is_down_all_of_it_waits_and_then_all_of_it_goes(post: Post) -> None:
    post.readers(3)
    now = datetime.now(UTC)
    post.start(now)
    post.advance(now)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        down = f"smtp://127.0.0.1:{free.getsockname()[1]}"
        worker = Worker(replace(post.settings, smtp_url=down), post.publishing)
        assert worker.deliver_mails() == 3
        worker.database.dispose()
    assert post.progress.waiting == 3 and "connect" in post.progress.error.lower()
    assert not post.newsletter.finished_at
    later = now + DAY
    assert post.send(now=later) == 3
    post.advance(later)
    assert post.progress == newsletters.Progress(sent=3, waiting=0, failed=0, error="")
    assert post.newsletter.finished_at == later


def test_who_ends_it_meanwhile_gets_nothing_more(post: Post) -> None:
    post.readers(3)
    post.start()
    post.advance()
    with post.database.writing() as session:
        ended = session.exec(
            select(Subscription).where(col(Subscription.email) == "reader-2@example.org")
        ).one()
        choices.end(session, ended)
    post.run()
    assert post.written_to == [1, 3]
    assert post.progress == newsletters.Progress(sent=2, waiting=0, failed=0, error="")


def test_who_unticks_it_in_the_moment_in_which_they_are_taken_up_gets_none(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL lets others write between the look and the lock."""
    post.readers(3)
    post.start()
    look = newsletters._look

    def and_then(session: Session, *more: Any) -> Any:
        found = look(session, *more)
        session.exec(sa.update(Subscription).where(col(Subscription.id) == 2).values(newsletter=False))
        return found

    monkeypatch.setattr(newsletters, "_look", and_then)
    post.run()
    assert post.written_to == [1, 3]


def test_stopping_takes_back_what_has_not_gone_and_going_on_writes_to_exactly_those(post: Post) -> None:
    post.readers(250)
    post.start()
    post.advance()
    post.advance()
    post.send(120)
    with post.database.writing() as session:
        away, retried = outbox.claim(
            session, NOW, 2
        )  # number 121 is on its way, number 122 is to be tried later
        delivery.put_back(session, retried.id or 0, NotNow("450 busy"), post.settings, NOW)
    post.stop()
    post.stop()
    assert post.written_to == list(range(1, 122))
    assert post.advance(NOW + DAY) == 0, "it stands still"
    with post.database.writing() as session:
        delivery.sent(session, away.id or 0, NOW)
    assert post.progress == newsletters.Progress(sent=121, waiting=0, failed=0, error="")
    with post.database.writing() as session:
        subscribe(session, "reader-251")  # somebody new
    post.resume(NOW + DAY)
    post.resume(NOW + DAY)
    post.run(NOW + DAY)
    assert post.written_to == list(range(1, 252))
    assert post.progress.sent == 251
    with pytest.raises(Conflict, match="all of it has been sent"):
        post.stop()


def test_what_is_removed_from_the_site_is_sent_no_further(post: Post) -> None:
    post.readers(150)
    post.start()
    post.advance()
    post.send(10)
    with post.database.writing() as session:
        session.exec(select(Notice)).one().removed_at = NOW
    assert post.advance() == 0
    assert post.newsletter.stopped_at == NOW and post.progress.total == 10
    with pytest.raises(Conflict, match="not on the site"):
        post.resume()


def test_what_was_stopped_long_ago_does_not_go_on(post: Post) -> None:
    post.readers(2)
    post.start()
    post.stop()
    with pytest.raises(Conflict, match="so long ago"):
        post.resume(NOW + newsletters.CONTINUE_WITHIN + MINUTE)


def test_a_test_goes_to_one_person_and_before_everybody_else(post: Post) -> None:
    with post.database.writing() as session:
        news = notice(session, post.cast.alder.id, published_at=None, begins_at=None)
        newsletters.put_test(session, news, post.cast.ana, language("en"), Site(post.publishing, SECRET), NOW)
    [mail] = post.mails
    assert (mail.recipient, mail.subject, mail.bulk) == ("ana@example.org", "[Test] A new saw", False)
    assert mail.unsubscribe_url == "" and "/subscriptions/" not in mail.body
    assert "follow Alder Club or chose a place near it.\n\nEach reader finds a link here" in mail.body
