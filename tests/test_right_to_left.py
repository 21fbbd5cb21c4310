"""A third language, from right to left, with six plural forms: nothing is wired to two languages or one direction."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from sqlmodel import select
from starlette.testclient import TestClient

from events.calendars import store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft
from events.config import Settings
from events.db import Database
from events.language import language
from events.messages.models import OutgoingMail
from tests.conftest import Cast
from tests.locale import arabic

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

PATHS = (
    *(
        "/",
        "/about",
        "/privacy",
        "/credits",
        "/branches",
        "/branches?near=41.92,-87.65",
        "/branches?near=nowhere",
    ),
    *("/branches/alder", "/branches/alder/contact", "/branches/alder/report", "/events", "/events?from=x"),
    *(
        "/events?q=nothing",
        "/events/1",
        "/events/1/follow",
        "/calendar/2026/12",
        "/topics/x",
        "/news",
        "/subscribe",
    ),
    *(
        "/subscribe/sent",
        "/interests",
        "/suggest",
        "/register",
        "/password",
        "/sign-in",
        "/sign-in/sent",
        "/embed",
    ),
)
# What people typed, names of other things, and what is typed in the same way in every language.
TYPED = "|".join(
    (
        r"Hazel Clubs|Alder Club|Club Abedul|\d* ?N Halsted St|Calle del Pez( \d+)?|Chicago|Madrid|IL\b|Tool night",
        r"x\b|nowhere|nothing|\d+ ?(km|mi)\b|English|español|https?://\S+|webcal://\S+|\S+@\S+\.\w+|/\S*",
        r"\w+\.(ics|csv|json|atom|vcf)|GeoNames|Natural Earth|CC BY 4\.0|Google|Apple|Outlook|Android|iPhone",
        r"OpenStreetMap|iCalendar|RSS|Atom|CSV|JSON( Feed)?|QR|API|GeoJSON|Thunderbird|DAVx⁵|Branchline|HTML",
    )
)


@pytest.fixture(scope="module", autouse=True)
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with arabic.known(tmp_path_factory.mktemp("locale")):
        yield


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, locales=("en", "es", arabic.CODE))


@pytest.fixture
def series(database: Database, publishing: Publishing, cast: Cast) -> None:
    start = (datetime.now(UTC).replace(tzinfo=None) + timedelta(days=2)).replace(
        hour=19, minute=0, second=0, microsecond=0
    )
    draft = EventDraft(title="Tool night", start=start, end=start + timedelta(hours=2), timezone="America/Chicago",
                       rrule="FREQ=WEEKLY", state="published")  # fmt: skip
    with database.writing() as session:
        store.add(session, draft, [session.merge(cast.alder)], publishing, datetime.now(UTC))


def test_a_page_has_three_languages_and_its_own_direction(ben: TestClient, cast: Cast) -> None:
    page = ben.get("/ar/events?online=yes").text
    assert '<html lang="ar" dir="rtl">' in page
    for code, path in (("en", "/events"), ("es", "/es/events"), ("ar", "/ar/events")):
        assert f'href="{path}?online=yes" lang="{code}" hreflang="{code}"' in page
        others = re.findall(
            r'<link rel="alternate" hreflang="([\w-]+)" href="https?://[^/]*(/[^"]*)"', ben.get(path).text
        )
        assert sorted(others) == sorted(
            [("ar", "/ar/events"), ("en", "/events"), ("es", "/es/events"), ("x-default", "/events")]
        )


@pytest.mark.usefixtures("series")
def test_no_sentence_is_kept_from_translators(ben: TestClient, cast: Cast) -> None:
    left = {text: path for path in PATHS for text in in_latin(ben.get(f"/ar{path}".removesuffix("/")).text)}
    assert not left, "\n".join(f"{path}: {text}" for text, path in left.items())


def in_latin(page: str) -> Sequence[str]:
    reader = Reader()
    reader.feed(page)
    return [text for text in reader.texts if re.search("[A-Za-z]{2}", re.sub(TYPED, "", text))]


class Reader(HTMLParser):
    """What is read out of a page, but for what is marked as another language."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._others: list[str] = []  # elements of another language that are open, and what they hold

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        other = given.get("lang", arabic.CODE) != arabic.CODE or tag in (
            "script",
            "style",
            "code",
            "option",
            "textarea",
        )
        if tag not in ("img", "input", "meta", "link", "br", "hr", "path", "circle") and (
            self._others or other
        ):
            self._others.append(tag)
        elif not self._others:
            self.texts += [
                given[name] or "" for name in ("aria-label", "alt", "title", "placeholder") if name in given
            ]

    def handle_endtag(self, tag: str) -> None:
        if self._others and tag in self._others:
            while self._others.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if not self._others and data.strip():
            self.texts.append(" ".join(data.split()))


def test_each_number_has_its_own_of_six_forms(settings: Settings) -> None:
    spoken = language(arabic.CODE)
    singular, plural = next(one.id for one in arabic.catalogue() if isinstance(one.id, tuple))
    said = [spoken.ngettext(singular, plural, number) for number in (0, 1, 2, 3, 100, 11)]
    assert [text[-3:] for text in said] == [f"({number})" for number in range(arabic.FORMS)]


@pytest.mark.usefixtures("series")
def test_feeds_say_our_own_words_in_it(ben: TestClient, cast: Cast) -> None:
    calendar, atom = ben.get("/ar/events.ics").text, ben.get("/ar/events.atom").text
    assert re.search("X-WR-CALNAME.*[\u0600-\u06ff]", calendar)
    assert 'xml:lang="ar"' in atom and "Tool night" in atom


def test_mails_are_written_in_it_from_right_to_left(ben: TestClient, database: Database, cast: Cast) -> None:
    assert (
        ben.post("/ar/subscribe", data={"email": "ben@example.org", "newsletter": "yes"}).status_code == 303
    )
    with database.reading() as session:
        mail = session.exec(select(OutgoingMail)).one()
    assert re.search("[\u0600-\u06ff]", mail.subject) and not re.search(
        "[a-z]{4}", mail.subject.replace("Hazel Clubs", "")
    )
    assert "/ar/subscriptions/" in mail.body
    assert '<html lang="ar" dir="rtl">' in mail.html or not mail.html
