"""A month as a table: what stands on which day, what is said of it, and what a day leads to."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape
from zoneinfo import ZoneInfo

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events.calendars import derived
from events.calendars.content import Publishing
from events.calendars.models import Event
from events.db import Database
from events.web import list_words, month
from tests.conftest import Cast, counted
from tests.web.test_event_lists import ONCE, THEN, added

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

TAGS = re.compile(r"<[^>]+>")
DECEMBER = "/calendar/2043/12"


def words(html: str) -> str:
    """As it is read aloud: without tags, with ordinary spaces."""
    return " ".join(unescape(TAGS.sub("", html)).replace("\u202f", " ").replace("\u2009", " ").split())


def cell(page: str, day: str) -> str:
    """The cell of a day, as HTML."""
    [found] = [one for one in re.findall(r"<td.*?</td>", page, re.DOTALL) if f'datetime="{day}"' in one]
    return str(found)


def names(page: str, day: str) -> list[str]:
    """What a screen reader calls the links of a day: what is hidden from it left out."""
    shown = re.sub(r'<span[^>]*aria-hidden="true">[^<]*</span>', "", cell(page, day))
    return [words(link) for link in re.findall(r"<a .*?</a>", shown, re.DOTALL)]


def at(day: int, hour: int = 19, hours: float = 2) -> dict[str, object]:
    start = datetime(2043, 12, day, hour)
    return ONCE | {"start": start, "end": start + timedelta(hours=hours)}


def test_an_event_stands_on_its_day_and_is_called_by_day_time_and_title(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    added(database, publishing, cast.alder, **at(8))
    page = ben.get(DECEMBER).text
    assert names(page, "2043-12-08") == [
        "Tuesday, December 8, 2043, 1 event",
        "Tuesday, December 8, 2043, 7:00 PM, Repair day",
    ]
    assert "<a" not in cell(page, "2043-12-09") and words(cell(page, "2043-12-09")) == "9"
    assert "/events?from=2043-12-08&amp;to=2043-12-08" in cell(page, "2043-12-08")


def test_in_spanish_the_clock_has_24_hours(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    added(database, publishing, cast.alder, **at(8))
    page = ben.get(f"/es{DECEMBER}").text
    assert names(page, "2043-12-08")[1] == "martes, 8 de diciembre de 2043, 19:00, Repair day"
    assert ">Diciembre de 2043</h1>" in page
    header = re.findall(r'<th scope="col">(.*?)</th>', page)
    assert [words(one) for one in header][:2] == [
        "lunlunes",
        "marmartes",
    ]  # the first is hidden when read aloud


def test_what_takes_several_days_stands_on_each_of_them(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    added(database, publishing, cast.alder, **at(17, 10, hours=79))  # until Sunday, 17:00
    three_years = {"start": datetime(2042, 6, 1), "end": datetime(2045, 6, 1), "all_day": True}
    added(database, publishing, cast.alder, **ONCE | {"title": "Exhibition"} | three_years)
    page = ben.get(DECEMBER).text
    assert page.count("Exhibition") == 35  # five weeks
    assert names(page, "2043-12-17")[1:] == [
        "Thursday, December 17, 2043, goes on: Exhibition",
        "Thursday, December 17, 2043, 10:00 AM, Repair day",
    ]
    assert names(page, "2043-12-20")[2] == "Sunday, December 20, 2043, goes on: Repair day"
    assert "Repair day" not in cell(page, "2043-12-21")


def test_a_long_evening_and_a_whole_day_belong_to_the_day_on_which_they_begin(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    added(database, publishing, cast.alder, **at(10, 20, hours=7))
    added(database, publishing, cast.alder, **at(14, 0, hours=24) | {"all_day": True})
    page = ben.get(DECEMBER).text
    assert "Repair day" not in cell(page, "2043-12-11") + cell(page, "2043-12-15")
    assert names(page, "2043-12-14")[1] == "Monday, December 14, 2043, Repair day"


def test_what_is_cancelled_is_struck_through_and_says_so(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    number = added(database, publishing, cast.alder, **at(8))
    with database.writing() as session:
        event = session.get_one(Event, number)
        event.cancel("Snow.", THEN)
        derived.save(session, event, publishing, THEN)
    page = ben.get(DECEMBER).text
    assert names(page, "2043-12-08")[1] == "Cancelled: Tuesday, December 8, 2043, 7:00 PM, Repair day"
    assert 'class="month__off"' in cell(page, "2043-12-08")


def test_a_full_day_shows_five_and_leads_to_the_rest_with_the_filters(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    for number in range(12):
        added(database, publishing, cast.alder, **at(8, 8 + number) | {"title": f"Workshop {number}"})
    page = ben.get(f"{DECEMBER}?branch=alder").text
    found = names(page, "2043-12-08")
    assert found[0] == "Tuesday, December 8, 2043, 12 events"
    assert len(found) == 7 and found[-1] == "7 more – Tuesday, December 8, 2043"
    assert "•••+" in cell(page, "2043-12-08")
    hrefs = [unescape(href) for href in re.findall(r'href="(/events\?[^"]*)"', cell(page, "2043-12-08"))]
    assert hrefs == ["/events?branch=alder&from=2043-12-08&to=2043-12-08"] * 2
    assert "Workshop 11" in ben.get(hrefs[0]).text


def test_each_filter_can_be_taken_away_and_every_way_on_keeps_the_others(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    added(database, publishing, cast.alder, **at(8))
    added(database, publishing, cast.birch, **at(8) | {"title": "Noche"})
    filters = "near=41.92%2C-87.65&topic=repair&access="
    page = ben.get(f"{DECEMBER}?{filters}&from=2043-12-20").text
    assert "Repair day" in page and "Noche" not in page
    chips = re.findall(r'<a class="chip" href="([^"]*)">(.*?)</a>', page, re.DOTALL)
    assert [words(text) for _, text in chips] == ["Remove filter: Near 41.92,-87.65", "Remove filter: Repair"]
    assert [unescape(href) for href, _ in chips] == [
        f"{DECEMBER}?topic=repair",
        f"{DECEMBER}?near=41.92,-87.65",
    ]
    assert "Noche" in ben.get(chips[0][0]).text
    assert "Within 10 mi" in ben.get(f"{DECEMBER}?{filters}&within=10").text, "as on the list"
    kept = "near=41.92,-87.65&amp;topic=repair"
    for path in (
        f"/events?{kept}&amp;from=2043-12-01&amp;to=2043-12-31",
        f"/subscribe?{kept}",
        f"{DECEMBER}/flyer?{kept}",
        f"/calendar/2043/11?{kept}",
        f"/calendar/2044/1?{kept}",
    ):
        assert f'href="{path}"' in page, path
        assert ben.get(unescape(path)).status_code == 200


def test_today_is_marked_and_another_month_leads_to_it(ben: TestClient, cast: Cast) -> None:
    today = datetime.now(ZoneInfo(cast.alder.timezone))
    here = f"/calendar/{today.year}/{today.month}"
    page = ben.get(here).text
    assert 'aria-current="date"' in cell(page, f"{today:%Y-%m-%d}")
    assert page.count('aria-current="date"') == 1 and ">Today</a>" not in page
    assert f'href="{here}?q=saw">Today</a>' in ben.get(f"{DECEMBER}?q=saw").text


def test_an_evening_in_chicago_is_not_tomorrow_yet(
    ben: TestClient, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_words, "now", lambda: datetime(2043, 12, 1, 2, 0, tzinfo=UTC))
    page = ben.get("/calendar/2043/11").text
    assert 'aria-current="date"' in cell(page, "2043-11-30") and ">Today</a>" not in page
    assert 'href="/events?from=2043-11-30&amp;to=2043-11-30">Today</a>' in ben.get("/events").text
    assert "/calendar/2043/11" in ben.get("/events").text
    for of_madrid in ("branch=birch", "near=40.42,-3.70"):
        assert "from=2043-12-01&amp;to=2043-12-01" in ben.get(f"/events?{of_madrid}").text, of_madrid
        assert 'aria-current="date"' in cell(ben.get(f"{DECEMBER}?{of_madrid}").text, "2043-12-01")


def test_an_empty_month_says_what_to_do(ben: TestClient, cast: Cast) -> None:
    page = ben.get(DECEMBER)
    assert page.status_code == 200 and "No events found" in page.text and "<table" in page.text


def test_a_filter_that_cannot_be_read_is_said_above_a_table_without_events(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    added(database, publishing, cast.alder, **at(8))
    answer = ben.get(f"{DECEMBER}?online=maybe")
    assert answer.status_code == 422 and "can be yes or no" in answer.text
    assert "Repair day" not in answer.text and "No events found" not in answer.text


def test_more_dates_than_are_counted_are_said_and_their_days_can_be_opened(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(month, "MOST_DATES", 3)
    for day in (1, 2, 8, 8, 20):
        added(database, publishing, cast.alder, **at(day))
    page = ben.get(DECEMBER).text
    assert "There are more than 3 dates in this month." in page
    assert names(page, "2043-12-01")[0] == "Tuesday, December 1, 2043, 1 event"
    for number, label in (("08", "Tuesday, December 8, 2043"), ("20", "Sunday, December 20, 2043")):
        found = names(page, f"2043-12-{number}")
        assert found[0] == label and found[-1] == f"See the whole day – {label}"


def test_titles_of_any_kind_stay_in_their_cell(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    for title, language in (("<b>" + "x" * 297, "en"), ("🎉🎉", "en"), ("ليلة الأدوات", "ar")):
        added(database, publishing, cast.alder, **at(8) | {"title": title, "language": language})
    found = cell(ben.get(DECEMBER).text, "2043-12-08")
    assert "<bdi>&lt;b&gt;xxx" in found and '<bdi lang="ar">ليلة الأدوات</bdi>' in found


def test_a_full_month_takes_as_many_queries_as_an_empty_one(
    database: Database, app: Starlette, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    ben.get(DECEMBER)  # after which it is known for a minute by which clock the organisation lives
    taken = []
    for number in (0, 10):
        for each in range(number):
            added(database, publishing, cast.alder, **at(8, 8 + each))
        with counted(app.state.branchline.database.engine) as statements:
            ben.get(f"{DECEMBER}?not=kept")
        taken.append(len(statements))
    assert taken[0] == taken[1] <= 6
