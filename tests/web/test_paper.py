"""What is put up on walls: the poster of an event and the flyer of a month."""

import re
from datetime import datetime, timedelta
from html import unescape

import pytest
from starlette.testclient import TestClient

from events.calendars import derived, store
from events.calendars.content import Publishing
from events.calendars.drafts import OverrideDraft
from events.calendars.models import Event, Picture, PictureState
from events.db import Database
from events.web import paper
from events.web.sharing import LONGEST_PATH
from tests.conftest import Cast
from tests.web.test_event_lists import ONCE, THEN, added
from tests.web.test_month import at, words

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

HERE = "http://localhost:8000"
FLYER = "/calendar/2043/12/flyer"


def sheet(client: TestClient, path: str) -> str:
    """What is printed, as HTML."""
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    [found] = re.findall(r"<article.*?</article>", answer.text, re.DOTALL)
    return str(found)


# ---------------------------------------------------------------- the poster


def test_a_poster_says_what_when_where_and_how_with_a_code_to_the_page(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    number = added(
        database, publishing, cast.alder, **at(8), description="Bring **saws**.", cost="Free", contact="Ana",
        access=("step-free",), registration_url="https://example.org/come",
        venue={"name": "Boat house", "address_1": "1 Quay"},
    )  # fmt: skip
    shown = words(sheet(ben, f"/events/{number}/poster"))
    for said in ("Hazel Clubs", "Repair day", "Tuesday, December 8, 2043, 7:00 – 9:00 PM, Chicago time", "Boat house",
                 "1 Quay", "Bring saws.", "Free", "Ana", "Step-free", "https://example.org/come", "Alder Club",
                 "always up to date", f"{HERE}/events/{number}"):  # fmt: skip
        assert said in shown, said
    page = ben.get(f"/events/{number}/poster").text
    assert f'src="/qr.svg?to=/events/{number}"' in page and 'content="noindex"' in page
    assert "data-print" in page and f'href="/events/{number}">Back to the event' in page
    assert f'href="/events/{number}/poster"' in ben.get(f"/events/{number}").text


def test_the_poster_of_one_date_says_that_date_and_its_code_leads_to_it(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    number = added(database, publishing, cast.alder)
    special = OverrideDraft(original_start=datetime(2043, 12, 1, 19), title="In the park", venue_name="Park")
    with database.writing() as session:
        store.change_date(session, session.get_one(Event, number), special, publishing, THEN)
    shown = sheet(ben, f"/es/events/{number}/poster?date=2043-12-01")
    assert "Martes, 1 de diciembre de 2043" in shown and "In the park" in shown and "Park" in shown
    assert f"{HERE}/es/events/{number}?date=2043-12-01" in shown
    assert f"to=/es/events/{number}%3Fdate%3D2043-12-01" in shown
    usual = sheet(ben, f"/events/{number}/poster")
    assert "Every Tuesday" in words(usual) and f"{HERE}/events/{number}<" in usual


def test_what_is_called_off_says_so_in_large_letters_and_why(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    numbers = [added(database, publishing, cast.alder, **at(day)) for day in (8, 9)]
    with database.writing() as session:
        cancelled, postponed = (session.get_one(Event, number) for number in numbers)
        cancelled.cancel("Snow.", THEN)
        postponed.postpone("Storm.", THEN)
        derived.save(session, cancelled, publishing, THEN)
        derived.save(session, postponed, publishing, THEN)
    for number, word, reason in zip(numbers, ("Cancelled", "Postponed"), ("Snow.", "Storm."), strict=True):
        shown = sheet(ben, f"/events/{number}/poster")
        assert re.search(rf'<p class="sheet__off big[^>]*>{word}</p>', shown) and reason in shown


def test_a_picture_is_on_the_poster_and_leaves_less_room_for_words(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    number = added(database, publishing, cast.alder, **at(8), description="word " * 200)
    before = sheet(ben, f"/events/{number}/poster").count("word ")
    with database.writing() as session:
        session.add(Picture(id="saw", branch_id=cast.alder.id, state=PictureState.READY, created_at=THEN,
                            large=b"", small=b"", width=800, height=400))  # fmt: skip
        session.flush()
        event = session.get_one(Event, number)
        event.picture_id, event.picture_alt = "saw", "A saw"
        derived.save(session, event, publishing, THEN)
    shown = sheet(ben, f"/events/{number}/poster")
    assert 'src="/pictures/saw.jpg"' in shown and 'alt="A saw"' in shown
    assert 20 < shown.count("word ") < before < 100 and "word …" in shown


@pytest.mark.parametrize(
    ("title", "size"), [("Saws", 0), ("x" * 41, 2), ("x" * 300, 5), ("🎉" * 8, 1), ("夜" * 150, 5)]
)
def test_the_longer_a_title_the_smaller_its_letters(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast, title: str, size: int
) -> None:
    number = added(database, publishing, cast.alder, **at(8) | {"title": title})
    assert f'<h1 class="big big--{size}"' in sheet(ben, f"/events/{number}/poster")


def test_the_paper_is_chosen_and_an_unknown_one_is_said(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    number = added(database, publishing, cast.alder)
    for path in (f"/events/{number}/poster?date=2043-12-01&", f"{FLYER}?topic=repair&"):
        usual, letter = ben.get(path[:-1]).text, ben.get(f"{path}paper=letter").text
        assert "sheet--a4" in usual and "sheet--letter" in letter
        assert f'href="{path.replace("&", "&amp;")}paper=letter"' in usual
        refused = ben.get(f"{path}paper=a9")
        assert refused.status_code == 422 and "It can be a4 or letter." in refused.text


@pytest.mark.parametrize(
    ("path", "status"),
    [("/events/999/poster", 404), ("/events/x/poster", 404), ("/events/{}/poster?date=2043-12-02", 404),
     ("/events/{}/poster?date=soon", 422), ("/calendar/2043/13/flyer", 422), (f"{FLYER}?topic=nope", 404)],
)  # fmt: skip
def test_there_is_no_sheet_of_what_does_not_exist(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast, path: str, status: int
) -> None:
    assert ben.get(path.format(added(database, publishing, cast.alder))).status_code == status


# ---------------------------------------------------------------- the flyer


def test_a_flyer_has_the_month_by_day_with_a_code_to_the_list(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    added(database, publishing, cast.alder)
    added(database, publishing, cast.birch, **at(8) | {"title": "Noche"})
    ended = added(database, publishing, cast.alder, **at(9) | {"title": "Walk"})
    with database.writing() as session:
        event = session.get_one(Event, ended)
        event.cancel("Snow.", THEN)
        derived.save(session, event, publishing, THEN)
    shown = sheet(ben, f"{FLYER}?branch=alder")
    assert re.findall(r"<h2><time[^>]*>(.*?)</time>", shown) == [
        "Tue, Dec 1", "Tue, Dec 8", "Wed, Dec 9", "Tue, Dec 15", "Tue, Dec 22", "Tue, Dec 29",
    ]  # fmt: skip
    assert "Noche" not in shown and "Alder Club" in words(re.findall(r"</h1>(.*?)<div", shown, re.DOTALL)[0])
    assert re.search(r"<s>[^/]*<strong><bdi>Walk</bdi></strong></s> Cancelled", shown)
    there = "/events?branch=alder&from=2043-12-01&to=2043-12-31"
    assert HERE + there in unescape(shown)
    [code] = re.findall(r'src="(/qr[^"]*)"', shown)
    assert ben.get(unescape(code)).status_code == 200 and ben.get(there).text.count("Tool night") >= 5
    assert 'content="noindex"' in ben.get(FLYER).text


def test_a_flyer_is_for_the_whole_month_in_which_it_is_printed(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    start = datetime(2020, 2, 4, 19)
    past = {"start": start, "end": start + timedelta(hours=2), "title": "Long ago"}
    added(database, publishing, cast.alder, **ONCE | past)
    fair = {"start": datetime(2019, 12, 1), "end": datetime(2020, 3, 1), "all_day": True, "title": "Fair"}
    added(database, publishing, cast.alder, **ONCE | fair)
    shown = sheet(ben, "/calendar/2020/2/flyer")
    assert re.findall(r"<h2><time[^>]*>(.*?)</time>", shown) == ["Sat, Feb 1", "Tue, Feb 4"]
    assert "Dec 1, 2019" in shown and "Long ago" in shown


def test_what_is_online_says_by_which_clock(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    online = {"attendance": "online", "online_url": "https://meet.example.org/saws"}
    added(database, publishing, cast.alder, **at(8) | online)
    assert "Repair day: Alder Club, Online, Chicago time" in words(sheet(ben, FLYER))


def test_a_flyer_that_cannot_hold_all_says_so(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paper, "MOST_ROWS", 2)
    added(database, publishing, cast.alder)
    shown = words(sheet(ben, FLYER))
    assert shown.count("Tool night") == 2 and "These are the first 2 dates of the month." in shown


def test_an_empty_month_and_a_filter_that_cannot_be_read_say_so(ben: TestClient, cast: Cast) -> None:
    assert "Nothing is announced for this month yet." in sheet(ben, FLYER)
    refused = ben.get(f"{FLYER}?online=maybe")
    assert refused.status_code == 422 and "can be yes or no" in refused.text


def test_where_an_address_is_too_long_for_a_code_it_stands_in_words_alone(
    ben: TestClient, cast: Cast
) -> None:
    shown = sheet(ben, f"{FLYER}?q={'s' * LONGEST_PATH}")
    assert "/qr.svg" not in shown and "s" * LONGEST_PATH in shown
