"""Headlines of other sites: a real upstream on a public address, the worker, and what an admin and visitors see."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import select
from starlette.testclient import TestClient

from events.calendars.content import Publishing
from events.config import Settings
from events.db import Database
from events.news.models import HeadlineSource
from events.worker import Worker
from tests.namespace import ADDRESS, Answer, Upstream, public_upstream

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

PAGE = "/organize/news/headlines"
URL = f"http://{ADDRESS}/feed.xml"
TYPE = {"Content-Type": "application/rss+xml"}


def feed(*titles: str) -> bytes:
    items = "".join(
        f"<item><title>{title}</title><link>/{number}</link>"
        f"<pubDate>{datetime.now(UTC) - timedelta(days=number):%a, %d %b %Y %H:%M:%S GMT}</pubDate></item>"
        for number, title in enumerate(titles)
    )
    return f"<rss version='2.0'><channel><title>The office</title>{items}</channel></rss>".encode()


class Followed:
    """The office, whose feed changes, and the worker that looks at it."""

    def __init__(self, upstream: Upstream, worker: Worker, dee: TestClient) -> None:
        self.upstream, self.worker, self.dee = upstream, worker, dee

    def says(self, *titles: str, **headers: str) -> None:
        self.upstream.answers["/feed.xml"] = Answer(200, TYPE | headers, feed(*titles))

    def follow(self, url: str = URL) -> None:
        answer = self.dee.post(PAGE, data={"url": url})
        assert answer.status_code == 303, answer.text

    def check(self) -> int:
        """Dee presses the button, and the worker comes by."""
        number = re.search(PAGE + r"/(\d+)/removal", self.dee.get(PAGE).text)
        assert number and self.dee.post(f"{PAGE}/{number[1]}/check").status_code == 303
        return self.work()

    def work(self) -> int:
        return self.upstream.inside(self.worker.follow_headlines)

    @property
    def page(self) -> str:
        """Without its tags."""
        return " ".join(re.sub(r"<[^>]+>", " ", self.dee.get(PAGE).text).split())


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, follow_http=True)


@pytest.fixture
def office(settings: Settings, publishing: Publishing, dee: TestClient) -> Iterator[Followed]:
    worker = Worker(settings, publishing)
    with public_upstream() as upstream:
        yield Followed(upstream, worker, dee)
    worker.database.dispose()


def test_dee_follows_a_feed_and_its_headlines_stand_among_the_news(office: Followed, ben: TestClient) -> None:
    office.says("A new roof &amp; a dry floor", "Open on Sunday", ETag='"one"')
    assert "Nothing yet" in office.page
    office.follow()
    assert "Being read" in office.page and "data-again" in office.dee.get(PAGE).text
    assert office.work() == 1 and office.work() == 0
    assert "In step" in office.page and "Headlines 2" in office.page and "The office" in office.page
    news = ben.get("/news").text
    assert "A new roof &amp; a dry floor" in news and f'href="http://{ADDRESS}/1"' in news
    asked = office.upstream.asked[0].headers
    assert "Branchline" in asked["User-Agent"] and asked["Accept"].startswith("application/atom+xml")

    office.upstream.answers["/feed.xml"] = lambda asked: (
        Answer(304) if asked.headers["If-None-Match"] == '"one"' else Answer(500)
    )
    assert office.check() == 1
    assert "In step" in office.page


def test_what_is_wrong_with_a_feed_is_said_and_its_headlines_stay(office: Followed, ben: TestClient) -> None:
    office.says("A new roof")
    office.follow()
    office.work()
    office.upstream.answers["/feed.xml"] = Answer(503, {"Retry-After": "7200"})
    office.check()
    assert "Problem The server answered 503. The headlines that it had stay here." in office.page
    page = b"<!doctype html><title>Office</title><link rel=alternate type=application/rss+xml href=/real.xml>"
    office.upstream.answers["/feed.xml"] = Answer(200, {"Content-Type": "text/html"}, page)
    office.check()
    assert f"It names this feed: http://{ADDRESS}/real.xml" in office.page
    assert "A new roof" in ben.get("/news").text


def test_no_feed_leads_to_an_address_that_is_not_public(office: Followed) -> None:
    office.follow("http://10.0.0.1/feed.xml")
    office.work()
    assert "Nothing usable answered at this link" in office.page
    assert not office.upstream.connections


def test_a_feed_that_is_followed_no_more_takes_its_headlines_with_it(
    office: Followed, ben: TestClient, database: Database
) -> None:
    office.says("A new roof")
    office.follow()
    office.work()
    with database.reading() as session:
        source = session.exec(select(HeadlineSource)).one()
    answer = office.dee.post(f"{PAGE}/{source.id}/removal")
    assert "its headlines are gone" in office.dee.get(answer.headers["location"]).text
    assert "A new roof" not in ben.get("/news").text
    for action in ("removal", "check"):
        assert office.dee.post(f"{PAGE}/{source.id}/{action}").status_code == 404


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "Give the address of a feed."),
        ("office news", "A link begins with https://"),
        ("https://ben:secret@office.example.org/feed", "a name and a password"),
        ("https://office.example.org:8443/feed", "a port of its own"),
        (URL, "This feed is followed already."),
    ],
)
def test_an_address_that_cannot_be_followed_stays_in_the_form(
    dee: TestClient, typed: str, sentence: str
) -> None:
    dee.post(PAGE, data={"url": URL})
    answer = dee.post(PAGE, data={"url": typed})
    assert answer.status_code == 422 and sentence in answer.text
    assert 'aria-invalid="true"' in answer.text and f'value="{typed}"' in answer.text


def test_only_admins_of_the_organisation_decide_which_feeds_are_followed(ana: TestClient) -> None:
    assert ana.get(PAGE).status_code == 404
    assert ana.post(PAGE, data={"url": URL}).status_code == 404
