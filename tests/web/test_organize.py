"""Ana posts, changes and cancels; Cy organizes elsewhere and must be refused."""

import re
from datetime import datetime

from starlette.testclient import TestClient

from events.calendars import store
from events.calendars.content import Publishing
from events.calendars.models import Event
from events.db import Database
from tests.calendars.test_feeds import Subscriber, weekly
from tests.conftest import NOW, Cast

TUESDAY = {
    "branch": "alder",
    "title": "Tool night",
    "description": "Bring **anything** with a plug.",
    "start_date": "2026-12-08",
    "start_time": "19:00",
    "end_time": "21:00",
    "repeats": "weekly",
    "interval": "2",
    "timezone": "America/Chicago",
    "attendance": "in-person",
    "language": "en",
    "new_topics": "Repair, Bikes",
    "access": "step-free",
}


def posted(ana: TestClient, **more: str) -> int:
    answer = ana.post("/organize/events/new", data={**TUESDAY, **more})
    assert answer.status_code == 303, re.findall(r'class="error"[^>]*>(.*?)</p>', answer.text)
    found = re.search(r"/organize/events/(\d+)", answer.headers["location"])
    assert found
    return int(found[1])


def edition(client: TestClient, number: int) -> str:
    """What the form carries, so that a stale one is noticed."""
    found = re.search(r'name="revision" value="([\d.]+)"', client.get(f"/organize/events/{number}").text)
    assert found
    return found[1]


def test_the_preview_says_the_rule_in_words_and_the_next_five_dates_and_saves_nothing(
    ana: TestClient, cast: Cast
) -> None:
    page = ana.post("/organize/events/preview", data=TUESDAY).text
    assert "Every second Tuesday" in page
    dates = re.findall(r"<li>(Tuesday, [^<]*)</li>", page)
    assert [date.split(", ")[1] for date in dates] == [
        "December 8", "December 22", "January 5", "January 19", "February 2",
    ]  # fmt: skip
    assert 'value="Tool night"' in page and "Nothing is saved yet" in page
    assert "Tool night" not in ana.get("/events").text


def test_ana_posts_a_series_that_appears_on_pages_and_in_the_feed(
    ana: TestClient, ben: TestClient, cast: Cast
) -> None:
    number = posted(ana)
    assert "Tool night" in ben.get("/branches/alder").text
    page = ben.get(f"/events/{number}").text
    assert "<strong>anything</strong>" in page and "Every second Tuesday" in page and "Step-free" in page
    [event] = Subscriber(ben, "/branches/alder.ics").events()
    assert event["RRULE"].to_ical() == b"FREQ=WEEKLY;INTERVAL=2;BYDAY=TU"
    assert sorted(str(topic) for topic in event["CATEGORIES"].cats) == ["Bikes", "Repair"]


def test_monthly_on_the_second_tuesday_and_the_last_one_are_kept_as_meant(
    ana: TestClient, ben: TestClient, cast: Cast
) -> None:
    second = posted(ana, repeats="monthly-weekday", interval="1")
    assert "On the second Tuesday of every month" in ben.get(f"/events/{second}").text
    last = posted(ana, repeats="monthly-weekday", interval="1", start_date="2026-12-29")
    assert "On the last Tuesday of every month" in ben.get(f"/events/{last}").text


def test_all_day_several_days_online_and_after_midnight(ana: TestClient, ben: TestClient, cast: Cast) -> None:
    once = {"repeats": ""}
    camp = posted(ana, **once, title="Camp", all_day="yes", end_date="2026-12-10", start_time="", end_time="")
    assert "Tuesday, December 8, 2026 – Thursday, December 10, 2026" in ben.get(f"/events/{camp}").text
    night = posted(ana, **once, title="Late", start_time="22:00", end_time="01:00")
    assert "10:00 PM – 1:00 AM" in ben.get(f"/events/{night}").text.replace("\u202f", " ").replace(
        "\u2009", " "
    )
    online = posted(ana, **once, title="Chat", attendance="online", online_url="https://meet.example.org/x")
    assert 'href="https://meet.example.org/x"' in ben.get(f"/events/{online}").text
    feed = ben.get(f"/events/{camp}.ics").text
    assert "DTSTART;VALUE=DATE:20261208" in feed and "DTEND;VALUE=DATE:20261211" in feed


def test_faults_are_said_at_their_fields_and_everything_typed_is_kept(ana: TestClient, cast: Cast) -> None:
    answer = ana.post(
        "/organize/events/new",
        data={
            **TUESDAY,
            "title": "",
            "start_time": "25:00",
            "end_date": "2026-12-01",
            "registration_url": "nonsense",
        },
    )
    assert answer.status_code == 422
    for field in ("title", "start_time", "registration_url"):
        assert f'href="#{field}"' in answer.text, field
    assert 'value="nonsense"' in answer.text and "Bring **anything** with a plug." in answer.text
    backwards = ana.post("/organize/events/new", data={**TUESDAY, "end_date": "2026-12-01"})
    assert backwards.status_code == 422 and 'href="#end_date"' in backwards.text


def test_a_rule_that_never_happens_is_refused(ana: TestClient, cast: Cast) -> None:
    answer = ana.post("/organize/events/new", data={**TUESDAY, "until": "2026-12-01"})
    assert answer.status_code == 422 and "ends before the first date" in answer.text


def test_ana_changes_one_date_and_cancels_another(ana: TestClient, ben: TestClient, cast: Cast) -> None:
    number = posted(ana)
    page = ana.get(f"/organize/events/{number}").text
    keys = re.findall(rf"/organize/events/{number}/dates/(\S+?)\"", page)
    assert keys[:2] == ["2026-12-08T19:00", "2026-12-22T19:00"]
    moved = {"start_date": "2026-12-10", "start_time": "18:00", "end_time": "20:00", "title": "Tool night"}
    assert ana.post(f"/organize/events/{number}/dates/{keys[0]}", data=moved).status_code == 303
    cancelled = {"cancelled": "yes", "reason": "Holidays."}
    assert ana.post(f"/organize/events/{number}/dates/{keys[1]}", data=cancelled).status_code == 303
    text = ben.get("/branches/alder").text
    assert "Moved from Tuesday, December 8" in text and "Holidays." in text
    series, first, second = Subscriber(ben, "/branches/alder.ics").events()
    assert first["DTSTART"].dt.replace(tzinfo=None) == datetime(2026, 12, 10, 18)
    assert str(second["STATUS"]) == "CANCELLED" and str(series["STATUS"]) == "CONFIRMED"


def test_ana_cancels_with_a_reason_and_takes_it_back(ana: TestClient, ben: TestClient, cast: Cast) -> None:
    number = posted(ana)
    without = ana.post(f"/organize/events/{number}/cancellation", data={"reason": " "})
    assert without.status_code == 422
    ana.post(f"/organize/events/{number}/cancellation", data={"reason": "The roof leaks."})
    assert "The roof leaks." in ben.get(f"/events/{number}").text
    ana.post(f"/organize/events/{number}/publication")
    assert "The roof leaks." not in ben.get(f"/events/{number}").text


def test_a_draft_waits_until_it_is_published(ana: TestClient, ben: TestClient, cast: Cast) -> None:
    number = posted(ana, keep="draft")
    assert ben.get(f"/events/{number}").status_code == 404
    assert "Tool night" in ana.get("/organize").text
    ana.post(f"/organize/events/{number}", data={**TUESDAY, "revision": edition(ana, number)})
    assert ben.get(f"/events/{number}").status_code == 200


def test_a_second_editor_sees_a_conflict_instead_of_overwriting(
    ana: TestClient, dee: TestClient, ben: TestClient, cast: Cast
) -> None:
    number = posted(ana)
    both = {**TUESDAY, "revision": edition(ana, number)}
    assert dee.post(f"/organize/events/{number}", data={**both, "title": "Dee's"}).status_code == 303
    late = ana.post(f"/organize/events/{number}", data={**both, "title": "Ana's"})
    assert late.status_code == 409
    assert "Dee&#39;s" in ben.get(f"/events/{number}").text
    assert "Ana&#39;s" in late.text and "Dee&#39;s" in late.text, "both texts are there"


def test_cy_cannot_touch_what_belongs_to_alder(
    cy: TestClient, database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        number = store.add(session, weekly(), [cast.alder], publishing, NOW).id
    base = f"/organize/events/{number}"
    for path in (base, f"{base}/cancellation", f"{base}/dates/2026-12-01T19:00"):
        assert cy.get(path).status_code == 404, path
    for path in (base, f"{base}/preview", f"{base}/cancellation", f"{base}/publication", f"{base}/removal",
                 f"{base}/dates/2026-12-01T19:00", "/organize/events/new", "/organize/events/preview"):  # fmt: skip
        assert cy.post(path, data={**TUESDAY, "reason": "x", "revision": "0"}).status_code == 404, path
    with database.reading() as session:
        event = session.get_one(Event, number)
        assert (event.title, event.state, event.deleted_at) == ("Tool night", "published", None)


def test_somebody_without_a_branch_finds_no_desk(database: Database, ana: TestClient, cast: Cast) -> None:
    ana.post("/account/removal", data={"confirm": "yes"})
    assert ana.get("/organize").status_code == 303
