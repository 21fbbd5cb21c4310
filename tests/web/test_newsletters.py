"""News as a newsletter: who may send it, what they see before, while and after it is sent."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from sqlmodel import col, select
from starlette.testclient import TestClient

from events.calendars.content import Publishing
from events.config import Settings
from events.db import Database
from events.mail import NotNow
from events.messages import delivery, outbox
from events.messages.models import OutgoingMail
from events.news.models import Notice
from events.people import permissions
from events.people.models import Role
from events.subscriptions.models import Subscription
from events.worker import Worker
from tests.conftest import Cast, running, signed_in
from tests.subscriptions.test_newsletters import notice, subscribe

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Post:
    """News of Alder, and Ana, who now administers it."""

    database: Database
    ana: TestClient
    worker: Worker
    id: int

    @property
    def address(self) -> str:
        return f"/organize/news/{self.id}/newsletter"

    @property
    def page(self) -> str:
        """Without its tags."""
        return " ".join(re.sub(r"<[^>]+>", " ", self.ana.get(self.address).text).split())

    def press(self, action: str = "", **fields: str) -> int:
        return self.ana.post(f"{self.address}{action}", data={"seen": "0"} | fields).status_code

    def deliver(self, most: int = 100) -> None:
        with self.database.writing() as session:
            for mail in outbox.claim(session, now(), most):
                delivery.sent(session, mail.id or 0, now())

    @property
    def mails(self) -> list[OutgoingMail]:
        with self.database.reading() as session:
            return list(session.exec(select(OutgoingMail).order_by(col(OutgoingMail.id))))


@pytest.fixture
def worker(settings: Settings, publishing: Publishing) -> Iterator[Worker]:
    worker = Worker(settings, publishing)
    yield worker
    worker.database.dispose()


@pytest.fixture
def post(database: Database, ana: TestClient, cast: Cast, worker: Worker) -> Post:
    with database.writing() as session:
        permissions.invite(session, cast.ana, cast.alder, Role.BRANCH_ADMIN)
        news = notice(session, cast.alder.id, text="It is **sharp**.\n\n- and _new_")
        for number in range(1, 4):
            subscribe(session, f"reader-{number}", follows=cast.alder.id)
        subscribe(session, "far-away")
        return Post(database, ana, worker, news.id or 0)


def test_ana_sees_what_the_mail_says_tries_it_out_and_sends_it(post: Post) -> None:
    edit = post.ana.get(f"/organize/news/{post.id}").text
    assert f'href="{post.address}">Send it as a newsletter' in edit
    shown = post.ana.get(post.address).text
    assert "<strong>sharp</strong>" in shown and "<em>new</em>" in shown, "with formatting"
    assert "A new saw<br>---------<br><br>It is sharp.<br><br>- and new" in shown, "and without"
    assert "Read it on the site:<br>http://localhost:8000/news/a-new-saw" in shown
    assert "To 3 people" in post.page and "cannot be called back" in post.page

    answer = post.ana.post(f"{post.address}/test")
    assert "on its way to your own address" in post.ana.get(answer.headers["location"]).text
    [test] = post.mails
    assert (test.recipient, test.subject) == ("ana@example.org", "[Test] A new saw")

    assert post.press() == 303
    assert "It is being sent" in post.page and "Sent 0 Waiting 3" in post.page
    assert 'data-again="3"' in post.ana.get(post.address).text
    assert post.press() == 303, "pressed twice"
    post.worker.send_newsletters()
    assert [mail.recipient.split("@")[0] for mail in post.mails[1:]] == ["reader-1", "reader-2", "reader-3"]
    assert (
        "Whoever has not got it yet will get what you save here"
        in post.ana.get(f"/organize/news/{post.id}").text
    )
    post.deliver()
    post.worker.send_newsletters()
    assert "It has been sent" in post.page and "Sent 3" in post.page
    assert "data-again" not in post.ana.get(post.address).text
    assert "It was sent as a newsletter to 3 people." in post.ana.get(f"/organize/news/{post.id}").text
    assert post.press("/stop") == 409


def test_stopping_says_how_many_have_gone_and_it_can_go_on(post: Post) -> None:
    assert post.press("/stop") == 409, "it has not begun"
    post.press()
    post.worker.send_newsletters()
    post.deliver(most=1)
    assert [post.press("/stop"), post.press("/stop")] == [303, 303]
    assert "It was stopped" in post.page and "Sent 1 In all 3" in post.page
    assert len(post.mails) == 1
    assert [post.press("/continuation"), post.press("/continuation")] == [303, 303]
    post.worker.send_newsletters()
    post.deliver()
    post.worker.send_newsletters()
    assert "Sent 3" in post.page
    assert sorted(mail.recipient for mail in post.mails) == [
        f"reader-{number}@example.org" for number in (1, 2, 3)
    ]


def test_a_mail_server_that_is_down_is_named_and_nothing_is_lost(post: Post, dee: TestClient) -> None:
    post.press()
    post.worker.send_newsletters()
    with post.database.writing() as session:
        for mail in outbox.claim(session, now(), 3):
            refused = NotNow(f"450 {mail.recipient} is busy")
            delivery.put_back(session, mail.id or 0, refused, post.worker.settings, now())
    assert "Sent 0 Waiting 3" in post.page
    assert "The mail server does not take all of it" in post.page
    assert "tried again, for two days" in post.page
    for_admins = dee.get(post.address).text
    assert "It said:" in for_admins and "450 reader-3@example.org is busy" in for_admins
    assert "reader-3@" not in post.page, "who reads it is nobody else's business"
    assert post.press("/stop") == 303 and not post.mails


def test_what_was_changed_after_the_look_is_looked_at_once_more(post: Post) -> None:
    with post.database.writing() as session:
        session.get_one(Notice, post.id).revision += 1
    assert post.press() == 409 and post.press(seen="") == 409
    assert post.press(seen="1") == 303


def test_what_cannot_be_sent_says_why(post: Post) -> None:
    with post.database.writing() as session:
        for subscription in session.exec(select(Subscription)):
            subscription.newsletter = False
    assert "Nobody to send it to yet" in post.page and post.press() == 409
    with post.database.writing() as session:
        news = session.get_one(Notice, post.id)
        news.published_at = news.begins_at = None
    assert "This is a draft. Publish it first" in post.page and post.press() == 409
    assert post.press("/continuation") == 409 and post.press("/test") == 303


def test_it_is_for_the_admins_of_the_branch_and_of_the_organisation(
    post: Post, cy: TestClient, dee: TestClient, cast: Cast, database: Database
) -> None:
    with database.writing() as session:
        permissions.invite(session, cast.cy, cast.birch, Role.BRANCH_ADMIN)
        of_all = f"/organize/news/{notice(session, slug='of-all').id}/newsletter"
    assert dee.get(post.address).status_code == 200 and "To 4 people" in dee.get(of_all).text
    for stranger, address in ((cy, post.address), (cy, of_all), (post.ana, of_all)):
        assert stranger.get(address).status_code == 404
        for action in ("", "/test", "/stop", "/continuation"):
            assert stranger.post(address + action, data={"seen": "0"}).status_code == 404
    assert not post.mails
    with database.writing() as session:
        permissions.invite(session, cast.ana, cast.alder, Role.ORGANIZER)
    assert post.ana.get(post.address).status_code == 404
    assert "newsletter" not in post.ana.get(f"/organize/news/{post.id}").text.lower()


def test_so_many_tests_an_hour_and_no_more(post: Post, settings: Settings, cast: Cast) -> None:
    with running(replace(settings, rate_limits=True)) as app:
        post.ana = signed_in(app, post.database, cast.ana)
        assert [post.press("/test") for _ in range(11)] == [303] * 10 + [429]
    assert len(post.mails) == 10
