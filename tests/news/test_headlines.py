"""Headlines of other sites: feeds of all kinds and faults, and what is kept of them as they change."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest
from sqlmodel import col, select

from events.calendars.following import FIRST_RETRY, LONGEST_RETRY
from events.db import Database
from events.errors import Conflict, Unreadable
from events.fetching import Fetched, Unreachable
from events.news import feed_reading, headlines
from events.news.models import Headline, HeadlineSource
from events.sandbox import Crashed, Limits, OverLimits, unpacked
from tests.conftest import NOW

FEEDS = Path(__file__).parent / "feeds"
FEED_URL = "https://office.example.org/feeds/news.xml"
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def reading(name: str) -> feed_reading.Reading:
    """What a file of the corpus says, without the process around it."""
    stream = BytesIO((FEEDS / name).read_bytes())
    return feed_reading.reading_of(b"".join(feed_reading.as_lines(stream, FEED_URL)))


def titles(name: str) -> list[str]:
    return [entry.title for entry in reading(name).entries]


# ---------------------------------------------------------------- reading


def test_atom_and_both_kinds_of_rss_are_read_in_a_process_of_its_own() -> None:
    atom, rss, old = (
        feed_reading.read((FEEDS / name).read_bytes(), FEED_URL)
        for name in ("atom.xml", "rss.xml", "rss_1.xml")
    )
    assert (atom.name, rss.name, old.name) == (
        "Hazel Clubs: from the office", "The office & its news", "The old feed",
    )  # fmt: skip
    assert [(one.entry_id, one.title, one.url) for one in atom.entries] == [
        ("urn:uuid:1", "Glue & nails <arrived>", "https://office.example.org/glue"),
        ("urn:uuid:2", "A new saw & its teeth", "https://office.example.org/saw"),
        ("urn:uuid:3", "Two ladders < three", "https://office.example.org/ladders"),
    ]
    assert [one.published for one in atom.entries] == [
        datetime(2026, 11, 20, 8, tzinfo=UTC),
        datetime(2026, 11, 19, 9, 30, tzinfo=UTC),  # when it was changed: it does not say more
        datetime(2026, 11, 18, 9, 30, tzinfo=UTC),
    ]
    assert [(one.entry_id, one.url, one.published) for one in rss.entries] == [
        ("sunday", "https://office.example.org/sunday?from=feed&in=2026", datetime(2026, 11, 20, tzinfo=UTC)),
        ("https://office.example.org/lend", "https://office.example.org/lend", datetime(2026, 11, 18, 8, tzinfo=UTC)),
    ]  # fmt: skip
    assert old.entries[0].published == datetime(2026, 11, 17, 11, tzinfo=UTC)


def test_titles_are_plain_text_whatever_markup_they_came_in() -> None:
    assert titles("rss.xml")[1] == "Lend & borrow: free until May"
    assert titles("markup_in_titles.xml") == [
        "One two", "5 < 6, and R&D", "Harmless", "never closed", "café – open",
    ]  # fmt: skip
    assert titles("unseen_characters.xml") == ["right to left\u200f and broken lines"]
    assert titles("no_titles.xml") == [
        "We have found the key of the boat house, and whoever lost it may come to the office on any working…"
    ]
    [long] = titles("a_very_long_title.xml")
    assert len(long) == 300 and long.endswith("word…")


def test_links_are_made_whole_from_the_feed_and_must_lead_to_a_page() -> None:
    assert [entry.url for entry in reading("relative_links.xml").entries] == [
        "https://elsewhere.example.org/blog/first",
        "https://elsewhere.example.org/blog/2026/second",
        "https://elsewhere.example.org/third",
    ]
    assert [entry.url for entry in reading("relative_to_the_feed.xml").entries] == [
        "https://office.example.org/feeds/beside",
        "https://other.example.org/there",
    ]
    mixed = reading("links_that_lead_nowhere.xml")
    assert [(entry.title, entry.url) for entry in mixed.entries] == [
        ("A good one", "http://office.example.org/good")
    ]
    assert (mixed.left_out, mixed.total) == (10, 11)


def test_dates_that_are_none_are_left_to_when_the_entry_was_first_seen() -> None:
    dates = {entry.title: entry.published for entry in reading("dates_that_are_none.xml").entries}
    assert dates.pop("A good one") == datetime(2026, 11, 18, 8, tzinfo=UTC)
    assert len(dates) == 5 and set(dates.values()) == {None}
    assert titles("no_dates.xml") == ["Number 1", "Number 2", "Number 3"], "as the feed has them"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bare_ampersands.xml", ["Fish & chips & tea", "Good"]),
        ("characters_that_are_none.xml", ["Bell � and � and � and � and � stop", "Good"]),
        ("raw_control_characters.xml", ["A bell and more", "Good"]),
        ("cut_off.xml", ["First", "Second"]),
        ("same_id_everywhere.xml", ["Number 1", "Number 2", "Number 3"]),
        ("a_very_long_id.xml", ["Long"]),
        ("empty.xml", []),
        ("latin_1.xml", ["Año nuevo"]),
        ("utf_16.xml", ["Año nuevo"]),
        ("latin_1_called_utf_8.xml", ["Año nuevo"]),
        ("an_encoding_that_is_none.xml", ["Año nuevo"]),
        ("says_nothing_of_its_encoding.xml", ["Año nuevo – ☃"]),
        ("billion_laughs.xml", ["&lol9;", "Good"]),
        ("billion_laughs_on_one_line.xml", ["&lol9;", "Good"]),
        ("external_entities.xml", ["&passwords;", "&far;", "Good"]),
    ],
)
def test_a_fault_in_one_place_does_not_cost_the_feed(name: str, expected: list[str]) -> None:
    assert titles(name) == expected


def test_entries_of_one_id_are_known_by_where_they_lead() -> None:
    known_by = [entry.entry_id for entry in reading("same_id_everywhere.xml").entries]
    assert known_by == [f"https://office.example.org/{number}" for number in (1, 2, 3)]
    assert len(reading("a_very_long_id.xml").entries[0].entry_id) == 64


def test_of_a_long_feed_the_newest_fifty_are_read_wherever_they_stand() -> None:
    items = [
        f"<item><title>{number}</title><link>https://office.example.org/{number}</link>"
        f"<pubDate>{NOW + number * HOUR:%a, %d %b %Y %H:%M:%S GMT}</pubDate></item>"
        for number in range(120)
    ]
    body = f"<rss version='2.0'><channel><title>Long</title>{''.join(items)}</channel></rss>".encode()
    found = feed_reading.reading_of(b"".join(feed_reading.as_lines(BytesIO(body), FEED_URL)))
    assert [int(entry.title) for entry in found.entries] == list(range(119, 69, -1))


def test_what_is_no_feed_says_so_and_a_page_where_its_feed_is() -> None:
    with pytest.raises(Unreadable, match=r"a page, not a feed.*https://office\.example\.org/feed\.xml"):
        feed_reading.read((FEEDS / "page.html").read_bytes(), FEED_URL)
    for name in ("page_without_a_feed.html", "a_calendar.ics", "nothing.xml"):
        with pytest.raises(Unreadable, match="This is not a feed"):
            reading(name)


def test_hostile_megabytes_meet_the_limits() -> None:
    nested = b"<rss version='2.0'><channel>" + b"<a>" * 250_000
    with pytest.raises(OverLimits):
        feed_reading.read(nested, FEED_URL, Limits(cpu_s=1))
    laughter = b'<!DOCTYPE rss [\n<!ENTITY ha "%s">\n]>\n' % (b"ha" * 50_000)
    item = b"<item><title>%s</title></item>" % (b"&ha;" * 300_000)
    with pytest.raises(OverLimits):
        feed_reading.read(laughter + b"<rss version='2.0'><channel>" + item, FEED_URL)


def test_what_the_other_process_says_is_judged_as_a_strangers() -> None:
    head = b'{"name": "Office"}\n'
    for entry in (
        b"[]", b"nothing", b'{"entry_id": "1", "title": "x", "url": "javascript:alert(1)"}',
        b'{"entry_id": "1", "title": "", "url": "https://office.example.org/"}',
        b'{"entry_id": "1", "title": "x", "url": "https://office.example.org/", "published": "2026-11-20T10:00:00"}',
    ):  # fmt: skip
        assert feed_reading.reading_of(head + entry).entries == []
    for answer in (b"", b"{}", b"[" * 10_000, b'{"name": 1}'):
        with pytest.raises(Crashed):
            feed_reading.reading_of(answer)


# ---------------------------------------------------------------- following


def entry(number: int, at: datetime, title: str = "") -> str:
    link = f"https://office.example.org/{number}"
    return (
        f"<entry><title>{title or number}</title><id>urn:{number}</id><link href='{link}'/>"
        f"<published>{at.isoformat()}</published></entry>"
    )


def atom(*entries: str, name: str = "Office") -> bytes:
    return (
        f"<feed xmlns='http://www.w3.org/2005/Atom'><title>{name}</title>{''.join(entries)}</feed>".encode()
    )


def answered(answer: Fetched, work: headlines.Work) -> Fetched:
    return answer


@dataclass
class Office:
    """The site of the organisation's office as it changes, and the worker that looks at its feed."""

    database: Database
    says: Callable[[], Fetched]

    def publishes(self, *entries: str, name: str = "Office", etag: str = "") -> None:
        self.says = lambda: Fetched(200, atom(*entries, name=name), etag, "", FEED_URL, "")

    def fails(self, error: Unreachable) -> None:
        def says() -> Fetched:
            raise error

        self.says = says

    def work(self, at: datetime) -> None:
        with self.database.writing() as session:
            work = headlines.claim(session, at)
        assert work is not None
        headlines.work_on(self.database, work, lambda _: self.says(), at)

    @property
    def source(self) -> HeadlineSource:
        with self.database.reading() as session:
            return session.exec(select(HeadlineSource)).one()

    def shown(self, at: datetime) -> list[str]:
        with self.database.reading() as session:
            query = select(Headline).where(col(Headline.published_at) <= at)
            newest = query.order_by(col(Headline.published_at).desc(), col(Headline.id).desc())
            return [headline.title for headline in session.exec(newest)]


@pytest.fixture
def office(database: Database) -> Office:
    with database.writing() as session:
        headlines.follow(session, FEED_URL, NOW)
    return Office(database, lambda: Fetched(200, atom(), "", "", FEED_URL, ""))


def test_new_headlines_come_changed_ones_change_and_dropped_ones_stay_a_while(office: Office) -> None:
    office.publishes(entry(1, NOW - 3 * DAY), entry(2, NOW - 80 * DAY), entry(3, NOW - DAY))
    office.work(NOW)
    assert office.shown(NOW) == ["3", "1", "2"]
    source = office.source
    assert (source.name, source.fetched_at, source.error) == ("Office", NOW, None)
    assert source.run_at == NOW + HOUR

    later = NOW + 5 * DAY
    office.publishes(entry(3, NOW - DAY, "Three, corrected"), entry(4, later - HOUR), name="The new office")
    office.work(later)
    assert office.shown(later) == ["4", "Three, corrected", "1", "2"], (
        "what the feed dropped is news for a while"
    )
    assert office.source.name == "The new office"

    much_later = NOW + 15 * DAY
    office.publishes(entry(4, later - HOUR), entry(5, NOW - 400 * DAY, "Old, but there"))
    office.work(much_later)
    assert office.shown(much_later) == ["4", "Three, corrected", "1", "Old, but there"], (
        "90 days, if it is dropped"
    )


def test_no_headline_is_from_the_future_and_what_has_no_date_is_as_old_as_it_is_known(office: Office) -> None:
    body = (FEEDS / "from_the_future.xml").read_bytes()
    office.says = lambda: Fetched(200, body, "", "", FEED_URL, "")
    office.work(NOW)
    body = (FEEDS / "no_dates.xml").read_bytes()
    office.work(NOW + HOUR)
    assert office.shown(NOW + HOUR) == ["Number 1", "Number 2", "Number 3", "Written tomorrow"]
    with office.database.reading() as session:
        found = session.exec(select(Headline)).all()
    assert all(headline.published_at == headline.seen_at for headline in found)
    office.says = lambda: Fetched(200, body + b" ", "", "", FEED_URL, "")
    office.work(NOW + 5 * HOUR)
    assert office.shown(NOW + HOUR)[0] == "Number 1", "seen once, first seen for ever"


def test_of_one_feed_two_hundred_headlines_are_kept(office: Office) -> None:
    number = office.source.id or 0
    with office.database.writing() as session:
        for age in range(230):
            session.add(
                Headline(source_id=number, entry_id=f"old {age}", title=f"old {age}", url=FEED_URL,
                         published_at=NOW - age * HOUR, seen_at=NOW)
            )  # fmt: skip
    office.publishes(entry(1, NOW - 30 * DAY), entry(2, NOW - 40 * DAY))
    office.work(NOW)
    assert office.shown(NOW) == [*(f"old {age}" for age in range(198)), "1", "2"]


def test_an_unchanged_feed_is_not_read_again(office: Office) -> None:
    office.publishes(entry(1, NOW - DAY), "<entry><title>Leads nowhere</title></entry>", etag='"one"')
    office.work(NOW)
    note = str(unpacked(office.source.error))
    assert note.startswith("Left out: 1 of 2 entries.") and office.source.failures == 0
    assert office.shown(NOW) == ["1"], "the other one is there all the same"
    with office.database.writing() as session:
        headline = session.exec(select(Headline)).one()
        headline.title = "Would be written anew"
    for answer in (office.says, lambda: Fetched(304, b"", "", "", FEED_URL, "")):
        office.says = answer
        office.work(NOW + 2 * HOUR)
        source = office.source
        assert (source.fetched_at, source.run_at) == (NOW + 2 * HOUR, NOW + 3 * HOUR)
        assert (source.etag, str(unpacked(source.error))) == ('"one"', note)
        with office.database.writing() as session:
            headlines.fetch_now(session.get_one(HeadlineSource, source.id), NOW)
    assert office.shown(NOW) == ["Would be written anew"]


def test_what_a_broken_feed_said_last_stays_and_it_is_asked_ever_less_often(office: Office) -> None:
    office.publishes(entry(1, NOW - DAY))
    office.work(NOW)
    at, waits = NOW + HOUR, []
    office.says = lambda: Fetched(200, (FEEDS / "page.html").read_bytes(), "", "", FEED_URL, "")
    office.work(at)
    assert "a page, not a feed" in str(unpacked(office.source.error))
    office.fails(Unreachable())
    for _ in range(9):
        at = office.source.run_at
        office.work(at)
        waits.append(office.source.run_at - at)
    assert waits[:6] == sorted(waits[:6]) and FIRST_RETRY < waits[0] <= 2 * FIRST_RETRY
    assert LONGEST_RETRY * 0.8 <= waits[-1] <= LONGEST_RETRY
    assert office.shown(at) == ["1"] and office.source.failures == 10
    assert str(unpacked(office.source.error)).startswith("Nothing usable answered")
    office.fails(Unreachable(retry_after=86_400))
    office.work(office.source.run_at)
    assert office.source.run_at >= at + DAY, "as it asked for"
    office.publishes(entry(2, NOW))
    office.work(office.source.run_at)
    assert office.shown(at) == ["2", "1"] and office.source.error is None


def test_of_two_workers_one_has_a_feed_and_one_that_was_removed_is_left(office: Office) -> None:
    with office.database.writing() as session:
        work = headlines.claim(session, NOW)
        assert work is not None and headlines.claim(session, NOW) is None
        headlines.remove(session, session.get_one(HeadlineSource, work.id))
    office.publishes(entry(1, NOW))
    for answer in (office.says(), Fetched(304, b"", "", "", FEED_URL, "")):
        headlines.work_on(office.database, work, partial(answered, answer), NOW)
    assert office.shown(NOW) == []


def test_a_feed_is_followed_once_and_takes_its_headlines_with_it(office: Office) -> None:
    office.publishes(entry(1, NOW))
    office.work(NOW)
    with office.database.writing() as session:
        with pytest.raises(Conflict, match="followed already"):
            headlines.follow(session, FEED_URL, NOW)
        [(source, number)] = headlines.sources(session)
        assert number == 1
        headlines.remove(session, source)
    with office.database.reading() as session:
        assert not headlines.sources(session) and not session.exec(select(Headline)).all()
