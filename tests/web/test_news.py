"""News as visitors meet them: the list, a page, feeds, the home page and the pages of branches."""

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from html import unescape
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
import sqlalchemy as sa
from sqlmodel import Session, col, select
from starlette.testclient import TestClient

from events.calendars import moves
from events.calendars.models import Picture, PictureState, Topic
from events.calendars.timezones import to_wall
from events.db import Database
from events.news import writing
from events.news.models import Notice
from tests.conftest import Cast, branch, counted, of_pages
from tests.news.test_notices import DAY, HOUR, headline, write

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

BASE = "http://localhost:8000"
ATOM = "{http://www.w3.org/2005/Atom}"
HOSTILE = "</script><script>alert(1)</script> & [link](javascript:alert(1)) ]]>"


def then() -> datetime:
    """A little ago, by the clock that pages go by."""
    return datetime.now(UTC).replace(microsecond=0) - HOUR


@pytest.fixture
def roof(database: Database, cast: Cast) -> str:
    """The page of a notice of Alder's that is about repairs."""
    with database.writing() as session:
        repair = Topic(slug="repair", name="Repair")
        session.add(repair)
        session.flush()
        return f"/news/{write(session, whose=cast.alder, at=then(), topic=repair).slug}"


def the_only(session: Session) -> Notice:
    return session.exec(select(Notice).order_by(col(Notice.id))).one()


def give_a_picture(session: Session, notice: Notice) -> None:
    session.add(
        Picture(id="a-picture", state=PictureState.READY, large=b"large", small=b"small", width=800, height=400,
                created_at=then())
    )  # fmt: skip
    writing.put_picture(notice, "a-picture", "A roof.")


def shown(page: str) -> list[str]:
    """The titles of a list, in their order."""
    return [unescape(title) for title in re.findall(r"<strong><a [^>]*><bdi>(.*?)</bdi></a>", page)]


# --- One


def test_a_notice_has_a_page_that_says_whose_it_is_when_and_what_about(ben: TestClient, roof: str) -> None:
    page = ben.get(roof).text
    assert "<h1><bdi>A new roof</bdi></h1>" in page and "It is <strong>dry</strong> now." in page
    assert '<a href="/branches/alder"><bdi>Alder Club</bdi></a>' in page
    assert '<a href="/topics/repair"><bdi>Repair</bdi></a>' in page
    day = to_wall(then(), "America/Chicago").date()
    assert f'<time datetime="{day}">' in page and 'id="share"' in page
    assert f'<link rel="canonical" href="{BASE}{roof}">' in page


def test_search_engines_and_those_who_share_it_are_told_the_same_with_its_picture(
    ben: TestClient, database: Database, roof: str
) -> None:
    assert "og:image" not in ben.get(roof).text
    with database.writing() as session:
        give_a_picture(session, the_only(session))
    page = ben.get(roof).text
    [script] = re.findall(r'<script type="application/ld\+json">(.*?)</script>', page, re.DOTALL)
    article = json.loads(script)["@graph"][0]
    assert (article["@type"], article["headline"], article["inLanguage"]) == (
        "NewsArticle", "A new roof", "en"
    )  # fmt: skip
    assert (article["author"]["name"], article["publisher"]["name"]) == ("Alder Club", "Hazel Clubs")
    assert (article["image"], article["url"]) == (f"{BASE}/pictures/a-picture.jpg", f"{BASE}{roof}")
    assert f'<meta property="og:image" content="{BASE}/pictures/a-picture.jpg">' in page
    assert '<img class="picture"' in page and 'alt="A roof."' in page


def test_what_is_removed_or_over_is_gone_and_what_has_not_begun_is_not_there(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    today = then().date()
    with database.writing() as session:
        write(session, "Over", at=then() - 5 * DAY, shown_until=today - 2 * DAY)
        write(session, "Coming", at=then(), shown_from=today + 2 * DAY)
        write(session, "Draft", at=None)
        writing.remove(write(session, "Removed", at=then()), then())
    answers = {name: ben.get(f"/news/{name}") for name in ("over", "removed", "coming", "draft", "no-such")}
    assert [answer.status_code for answer in answers.values()] == [410, 410, 404, 404, 404]
    assert "This news is over." in answers["over"].text
    assert "This news has been removed." in answers["removed"].text
    assert shown(ben.get("/news").text) == [] and "There is no news" in ben.get("/news").text


def test_what_is_written_in_another_language_says_so(ben: TestClient, database: Database, cast: Cast) -> None:
    with database.writing() as session:
        write(session, "El tejado nuevo", at=then(), language="es", text="Está **seco**.")
    page = ben.get("/news/el-tejado-nuevo").text
    assert '<h1 lang="es">' in page and 'dir="auto" lang="es">' in page
    assert 'lang="es" hreflang="es"><bdi>El tejado nuevo' in ben.get("/news").text
    spanish = ben.get("/es/news/el-tejado-nuevo").text
    assert "<h1>" in spanish and '<html lang="es"' in spanish


def test_what_somebody_writes_is_text_wherever_it_stands(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        write(session, HOSTILE, cast.alder, then(), text=HOSTILE, is_top=True)
        slug = the_only(session).slug
    for path in ("/", "/news", f"/news/{slug}", "/branches/alder"):
        page = ben.get(path).text
        assert "<script>alert" not in page and 'href="javascript' not in page
        assert "&lt;/script&gt;" in page
    feed = ElementTree.fromstring(ben.get("/news.atom").content)  # noqa: S314  (our own)
    assert feed.findtext(f"{ATOM}entry/{ATOM}title") == HOSTILE
    assert "<script" not in (feed.findtext(f"{ATOM}entry/{ATOM}content") or "")


# --- The list


def test_all_news_stand_in_one_list_page_by_page_with_headlines_that_lead_elsewhere(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        headline(session, "Elsewhere", then())
        for number in range(31):
            write(session, f"Notice {number}", cast.alder, at=then() - (number + 1) * HOUR)
    first = ben.get("/news").text
    assert shown(first) == ["Elsewhere", *(f"Notice {number}" for number in range(29))]
    assert '<a href="https://news.example.org/1" rel="noopener external"' in first
    assert "The Hazel Paper" in first and 'rel="next"' in first and 'rel="prev"' not in first
    second = ben.get("/news?page=2").text
    assert shown(second) == ["Notice 29", "Notice 30"] and 'rel="prev"' in second
    assert ben.get("/news?page=3").status_code == 404
    assert ben.get("/news?page=0").status_code == 422


def test_a_branch_and_a_topic_narrow_it_and_each_filter_can_be_taken_away(
    ben: TestClient, database: Database, cast: Cast, roof: str
) -> None:
    with database.writing() as session:
        write(session, "Of all", at=then())
        write(session, "Of Alder", cast.alder, at=then() - HOUR)
        headline(session, "Elsewhere", then())
    assert shown(ben.get("/news?branch=alder").text) == ["A new roof", "Of Alder"]
    both = ben.get("/news?branch=alder&branch=birch&topic=repair&page=1").text
    assert shown(both) == ["A new roof"] and "Alder Club, Club Abedul, Repair: news" in both
    assert 'href="/news?branch=birch&amp;topic=repair"' in both and 'href="/news"' in both
    assert 'href="/news?topic=repair"' in ben.get("/news").text
    assert 'href="/news?branch=alder&amp;topic=repair"' in ben.get("/news?branch=alder").text
    for unknown in ("branch=cedar", "topic=cedar"):
        assert ben.get(f"/news?{unknown}").status_code == 404


# --- Feeds


def atom(client: TestClient, path: str = "/news.atom") -> Element:
    answer = client.get(path)
    assert answer.headers["content-type"].startswith("application/atom+xml")
    return ElementTree.fromstring(answer.content)  # noqa: S314  (our own)


def test_notices_come_as_atom_and_as_json_with_their_text(
    ben: TestClient, database: Database, roof: str
) -> None:
    feed = atom(ben)
    [entry] = feed.findall(f"{ATOM}entry")
    [page] = entry.findall(f"{ATOM}link")
    assert (entry.findtext(f"{ATOM}title"), page.attrib["href"]) == ("A new roof", f"{BASE}{roof}")
    assert entry.findtext(f"{ATOM}content") == "<p>It is <strong>dry</strong> now.</p>"
    assert entry.findtext(f"{ATOM}author/{ATOM}name") == "Alder Club"
    [category] = entry.findall(f"{ATOM}category")
    assert (category.attrib["term"], feed.findtext(f"{ATOM}title")) == ("repair", "Hazel Clubs: news")
    answer = ben.get("/news.json")
    assert answer.headers["content-type"].startswith("application/feed+json")
    [item] = answer.json()["items"]
    assert item["id"] == entry.findtext(f"{ATOM}id") and item["tags"] == ["Repair"]
    assert (item["content_text"], item["summary"]) == ("It is dry now.", "It is dry now.")
    spanish = ben.get("/es/news.json").json()
    assert spanish["items"][0]["id"] == item["id"] and spanish["items"][0]["url"] == f"{BASE}/es{roof}"


def test_a_feed_takes_the_filters_of_its_page_and_pages_lead_to_it(
    ben: TestClient, database: Database, cast: Cast, roof: str
) -> None:
    with database.writing() as session:
        write(session, "Of all", at=then())
    assert len(ben.get("/news.json").json()["items"]) == 2
    feed = ben.get("/news.json?branch=alder&topic=repair").json()
    assert [item["title"] for item in feed["items"]] == ["A new roof"]
    assert feed["title"] == "Alder Club, Repair: news"
    assert feed["feed_url"] == f"{BASE}/news.json?branch=alder&topic=repair"
    assert ben.get("/news.atom?branch=cedar").status_code == 404
    link = f'<link rel="alternate" type="application/atom+xml" title="News (Atom)" href="{BASE}/news.atom'
    assert f'{link}">' in ben.get("/news").text
    for page in ("/news?branch=alder", "/branches/alder"):
        assert f'{link}?branch=alder">' in ben.get(page).text


def test_a_feed_in_which_nothing_moved_is_not_sent_again(
    ben: TestClient, database: Database, cast: Cast, roof: str
) -> None:
    first = ben.get("/news.atom")
    again = ben.get("/news.atom", headers={"If-None-Match": first.headers["etag"]})
    since = ben.get("/news.atom", headers={"If-Modified-Since": first.headers["last-modified"]})
    assert (again.status_code, since.status_code) == (304, 304)
    with database.writing() as session:
        write(session, "A draft", at=None)
    assert ben.get("/news.atom", headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    with database.writing() as session:
        notice = session.exec(select(Notice).where(col(Notice.slug) == "a-new-roof")).one()
        with writing.recorded(session, notice, "changed", cast.ana, datetime.now(UTC)):
            notice.title = "An old roof"
    changed = ben.get("/news.atom", headers={"If-None-Match": first.headers["etag"]})
    assert changed.status_code == 200 and "An old roof" in changed.text
    moved = [parsedate_to_datetime(answer.headers["last-modified"]) for answer in (first, changed)]
    assert moved[0] < moved[1]


def test_a_branch_with_another_name_has_it_in_the_feed(
    ben: TestClient, database: Database, cast: Cast, roof: str
) -> None:
    assert "Alder Club" in ben.get("/news.atom").text
    with database.writing() as session:
        session.merge(cast.alder).name = "Alder House"
        moves.move_revision(session, datetime.now(UTC))
    assert "Alder House" in ben.get("/news.atom").text


# --- On other pages


def test_the_home_page_shows_top_stories_and_below_them_what_else_is_new(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        give_a_picture(session, write(session, "On top", cast.birch, then() - DAY, is_top=True))
        write(session, "Of Alder", cast.alder, then())
        headline(session, "Elsewhere", then() - HOUR)
    page = ben.get("/").text
    assert page.index("Top stories") < page.index("On top") < page.index("Recent headlines")
    assert '<img class="picture" src="/pictures/a-picture-small.jpg"' in page and "It is dry now." in page
    assert shown(page) == ["Of Alder", "Elsewhere"] and 'href="/news"' in page


def test_where_there_is_no_news_no_page_speaks_of_any(ben: TestClient, cast: Cast) -> None:
    assert "Top stories" not in ben.get("/").text and "Recent headlines" not in ben.get("/").text
    assert 'id="news"' not in ben.get("/branches/alder").text


def test_the_page_of_a_branch_shows_its_three_newest(ben: TestClient, database: Database, cast: Cast) -> None:
    with database.writing() as session:
        write(session, "Of all", at=then())
        for number in range(4):
            write(session, f"Notice {number}", cast.alder, then() - number * HOUR)
    page = ben.get("/branches/alder").text
    assert shown(page) == ["Notice 0", "Notice 1", "Notice 2"] and 'href="/news?branch=alder"' in page


def test_the_sitemap_has_what_is_shown_and_nothing_else(
    ben: TestClient, database: Database, cast: Cast, roof: str
) -> None:
    with database.writing() as session:
        write(session, "Over", at=then() - 5 * DAY, shown_until=then().date() - 2 * DAY)
        write(session, "A draft", at=None)
    listed = re.findall(rf"<loc>{BASE}(/news[^<]*)</loc><lastmod>", ben.get("/sitemap.xml").text)
    assert listed == [roof] and f"<loc>{BASE}/es{roof}</loc>" in ben.get("/sitemap.xml").text


def test_pages_ask_as_often_for_much_news_as_for_little(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    paths = ("/", "/news", "/branches/alder")

    def asked() -> list[int]:
        numbers = []
        for path in paths:
            with counted(sa.Engine) as made:
                assert ben.get(f"{path}?not=kept").status_code == 200
            numbers.append(len(of_pages(made)))
        return numbers

    with database.writing() as session:
        give_a_picture(session, write(session, "On top", cast.alder, then(), is_top=True))
    asked()  # what is asked once while nothing moves
    before = asked()
    with database.writing() as session:
        for number in range(12):
            owner = cast.birch if number % 2 else cast.alder
            write(session, f"Notice {number}", owner, then() - HOUR, is_top=True)
            headline(session, f"Headline {number}", then())
    asked()
    assert asked() == before


def test_however_many_branches_are_asked_for_they_are_looked_up_at_once(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        session.add_all([branch(f"b{number}", f"B {number}", None) for number in range(60)])
    asked = "&".join(f"branch=b{number}" for number in range(60))
    with counted(sa.Engine) as made:
        page = ben.get(f"/news?{asked}&not=kept").text
    assert "B 49" in page and "B 50" not in page
    assert len(of_pages(made)) <= 4
