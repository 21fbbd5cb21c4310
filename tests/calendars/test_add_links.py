"""Links that put an event into Google's or Outlook's calendar once: its times in each zone, and never too long."""

from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from events.calendars.add_links import LONGEST, AddLinks, add_links
from events.calendars.content import Told, said, said_on
from events.calendars.models import Override, State
from tests.calendars.test_formats import ENGLISH, PAGE, shown, told, weekly


def links(one: Told, whole: bool = False) -> AddLinks:
    found = add_links(shown(one), PAGE, ENGLISH, whole)
    assert found is not None
    return found


def google(one: Told, whole: bool = False) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(links(one, whole).google).query))


def outlook(one: Told) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(links(one).outlook).query))


def test_both_are_told_when_where_what_and_where_to_read_more() -> None:
    one = told()
    asked = google(one)
    assert asked["action"] == "TEMPLATE" and asked["text"] == "Tool night"
    assert asked["dates"] == "20261124T190000/20261124T210000" and asked["ctz"] == "America/Chicago"
    assert asked["location"] == "Alder Club, 2150 N Halsted St, Chicago, IL, 60614"
    assert asked["details"] == f"Bring anything with a plug.\n\n{PAGE}" and "recur" not in asked
    wanted = outlook(one)
    assert (wanted["path"], wanted["rru"]) == ("/calendar/action/compose", "addevent")
    assert (wanted["startdt"], wanted["enddt"]) == ("2026-11-25T01:00:00Z", "2026-11-25T03:00:00Z")
    assert wanted["subject"] == "Tool night" and wanted["location"] == asked["location"]
    assert wanted["body"] == f"Bring anything with a plug.<br><br>{PAGE}"
    assert links(one).work == links(one).outlook.replace("outlook.live.com", "outlook.office.com")


@pytest.mark.parametrize(
    ("day", "start", "end"),
    [
        (datetime(2027, 3, 27), "2027-03-27T22:00:00Z", "2027-03-28T02:00:00Z"),  # the night loses an hour
        (datetime(2027, 10, 30), "2027-10-30T21:00:00Z", "2027-10-31T03:00:00Z"),  # the night gains one
    ],
)
def test_a_night_in_which_the_clocks_change_is_as_long_as_it_is(day: datetime, start: str, end: str) -> None:
    night = told(
        start=day.replace(hour=23), end=day.replace(day=day.day + 1, hour=4), timezone="Europe/Madrid"
    )
    wanted = outlook(night)
    assert (wanted["startdt"], wanted["enddt"]) == (start, end)
    written = f"{day:%Y%m%d}T230000/{day.replace(day=day.day + 1):%Y%m%d}T040000"
    assert google(night)["dates"] == written and google(night)["ctz"] == "Europe/Madrid"


def test_days_without_hours_end_on_the_day_after_and_know_no_zone() -> None:
    days = told(all_day=True, start=datetime(2026, 12, 30), end=datetime(2027, 1, 2))
    asked, wanted = google(days), outlook(days)
    assert asked["dates"] == "20261230/20270102" and "ctz" not in asked
    assert (wanted["startdt"], wanted["enddt"], wanted["allday"]) == ("2026-12-30", "2027-01-02", "true")


def test_a_series_comes_whole_where_its_rule_tells_every_date() -> None:
    assert google(weekly(), whole=True)["recur"] == "RRULE:FREQ=WEEKLY;BYDAY=TU"
    assert links(weekly(), whole=True).google_repeats and not links(weekly()).google_repeats
    assert "recur" not in google(weekly()) and "recur" not in links(weekly(), whole=True).outlook
    until = told(rrule="FREQ=WEEKLY;BYDAY=TU;UNTIL=20261208T235959")
    assert google(until, whole=True)["recur"] == "RRULE:FREQ=WEEKLY;UNTIL=20261209T055959Z;BYDAY=TU"


def test_a_series_with_exceptions_ahead_comes_as_one_date() -> None:
    off = Override(event_id=7, original_start=datetime(2026, 12, 8, 19), cancelled=True)
    for one in (weekly(off), weekly(exdates=["2026-12-08T19:00:00"])):
        assert "recur" not in google(one, whole=True) and not links(one, whole=True).google_repeats
    later = add_links(said_on(weekly(off), datetime(2026, 12, 15, 19)), PAGE, ENGLISH, whole=True)
    assert later is not None and later.google_repeats, "what is past is no exception any more"


def test_a_series_that_counts_its_dates_comes_whole_from_the_first_only() -> None:
    one = told(rrule="FREQ=WEEKLY;BYDAY=TU;COUNT=5")
    second = add_links(said_on(one, datetime(2026, 12, 1, 19)), PAGE, ENGLISH, whole=True)
    assert google(one, whole=True)["recur"].endswith("COUNT=5;BYDAY=TU")
    assert second is not None and not second.google_repeats


def test_a_date_that_was_moved_is_added_where_it_is_now() -> None:
    move = Override(event_id=7, original_start=datetime(2026, 11, 24, 19), start=datetime(2026, 11, 26, 18))
    assert google(weekly(move), whole=True)["dates"] == "20261126T180000/20261126T200000"
    assert "recur" not in google(weekly(move), whole=True)


@pytest.mark.parametrize("state", [State.CANCELLED, State.POSTPONED])
def test_what_does_not_take_place_is_not_added(state: State) -> None:
    assert add_links(said(told(state=state)), PAGE, ENGLISH, whole=True) is None


@pytest.mark.parametrize("letter", ["x", "ш", "👩‍👩‍👧‍👦 ", "é & <b> ", "&"])
def test_no_address_is_longer_than_google_takes_and_the_rest_stands_on_the_page(letter: str) -> None:
    values: dict[str, Any] = {"title": letter * 60, "description": letter * 2000}
    values |= {"venue_name": letter * 60, "venue_address": letter * 60}
    long = told(rrule="FREQ=WEEKLY;BYDAY=TU", **values)
    found = links(long, whole=True)
    assert all(len(link) <= LONGEST and link.isascii() for link in (found.google, found.outlook, found.work))
    assert len(found.google) > LONGEST - 150, "as much of the text as there is room for"
    asked, wanted = google(long, whole=True), outlook(long)
    assert asked["details"].endswith(f"…\n\n{PAGE}") and wanted["body"].endswith(f"…<br><br>{PAGE}")
    assert "<b>" not in wanted["body"], "it is read as HTML there"


def test_a_plus_sign_and_a_space_arrive_as_they_are() -> None:
    assert "text=C%2B%2B%20%26%20%C2%A1hola%21&" in links(told(title="C++ & ¡hola!")).google


def test_what_is_only_online_has_its_link_for_a_place() -> None:
    one = told(attendance="online", online_url="https://meet.example.org/x")
    assert google(one)["location"] == outlook(one)["location"] == "https://meet.example.org/x"
