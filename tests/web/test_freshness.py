"""Whether series still take place, as people see it: in the mail's link, on the desk, and on public pages."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from sqlmodel import select
from starlette.testclient import TestClient

from events.branches.models import Branch
from events.calendars import changes, derived, store
from events.calendars.content import Publishing
from events.calendars.models import Event
from events.db import Database
from events.desk import freshness
from events.messages.models import OutgoingMail
from events.people import permissions
from events.people.models import Person, Role
from tests.calendars.test_feeds import Subscriber, weekly
from tests.conftest import Cast

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

DAY = timedelta(days=1)


def ago(days: float) -> datetime:
    return datetime.now(UTC) - days * DAY


@pytest.fixture
def tool_night(database: Database, cast: Cast, publishing: Publishing) -> int:
    return posted(database, cast, publishing, "Tool night")


def posted(database: Database, cast: Cast, publishing: Publishing, title: str) -> int:
    """Every day at 19:00 since half a year ago."""
    start = ago(180).replace(hour=19, minute=0, second=0, microsecond=0, tzinfo=None)
    draft = weekly(title=title, start=start, end=start + timedelta(hours=2), rrule="FREQ=DAILY")
    with database.writing() as session:
        event = store.add(session, draft, [cast.alder], publishing, ago(180))
        changes.added(session, event, cast.ana, ago(180))
        return event.id or 0


def ask(database: Database, publishing: Publishing, now: datetime) -> list[str]:
    """Asks about all that is due; returns the addresses in the mail, the one for all of them last."""
    with database.reading() as session:
        plan = freshness.plan(session, now)
    with database.writing() as session:
        assert sum(freshness.ask(session, asking, publishing, now) for asking in plan.askings) == 1
        [mail] = session.exec(select(OutgoingMail))
    return re.findall(r"/sign-in/\S+", mail.body)


def end(database: Database, cast: Cast, publishing: Publishing, number: int) -> None:
    with database.writing() as session:
        session.get_one(Event, number).asked_since = ago(91)
    with database.writing() as session:
        assert freshness.stop(session, cast.alder.id or 0, publishing, ago(0)) == 1


def event_of(database: Database, number: int) -> Event:
    with database.reading() as session:
        return session.get_one(Event, number)


# --- By the link of a mail


def test_the_link_shows_a_button_and_the_button_confirms_without_signing_in(
    database: Database, publishing: Publishing, ben: TestClient, tool_night: int
) -> None:
    [link] = ask(database, publishing, ago(1))
    page = unescape(ben.get(link).text)
    assert "Does it still take place?" in page and "Tool night · Every day, " in page
    assert "Yes, it still takes place" in page
    assert f'<a href="/organize/events/{tool_night}">No: change or cancel it</a>' in page
    answer = ben.post(link)
    assert answer.headers["location"] == "/confirmed" and "set-cookie" not in answer.headers
    assert "confirmed today" in ben.get("/confirmed").text
    event = event_of(database, tool_night)
    assert event.asked_since is None and event.confirmed_at is not None and event.confirmed_at > ago(0.01)
    assert "Confirmed by the branch on" in ben.get(f"/events/{tool_night}").text


def test_a_scanner_that_opens_the_link_changes_nothing(
    database: Database, publishing: Publishing, ben: TestClient, tool_night: int
) -> None:
    [link] = ask(database, publishing, ago(1))
    before = event_of(database, tool_night)
    for _ in range(3):
        assert ben.get(link).status_code == ben.head(link).status_code == 200
    after = event_of(database, tool_night)
    assert (after.confirmed_at, after.asked_since) == (None, before.asked_since)


def test_a_link_that_was_used_says_so(
    database: Database, publishing: Publishing, ben: TestClient, tool_night: int
) -> None:
    [link] = ask(database, publishing, ago(1))
    assert ben.post(link).status_code == 303
    for answer in (ben.get(link), ben.post(link)):
        assert answer.status_code == 410 and "used already" in answer.text and "To your desk" in answer.text


def test_a_link_is_good_for_thirty_days(
    database: Database, publishing: Publishing, ben: TestClient, tool_night: int
) -> None:
    [link] = ask(database, publishing, ago(29.9))
    assert ben.get(link).status_code == 200
    with database.writing() as session:
        session.get_one(Event, tool_night).asked_at = None
        for mail in session.exec(select(OutgoingMail)):
            session.delete(mail)
        session.connection().exec_driver_sql("DELETE FROM one_time_link")
    [old] = ask(database, publishing, ago(30.1))
    assert ben.get(old).status_code == 410 and "expired" in ben.get(old).text


def test_one_link_confirms_all_of_them_but_for_what_has_gone(
    database: Database, cast: Cast, publishing: Publishing, ben: TestClient, tool_night: int
) -> None:
    others = [posted(database, cast, publishing, f"Saw night {number}") for number in range(2)]
    *_, every = ask(database, publishing, ago(1))
    with database.writing() as session:
        session.get_one(Event, others[0]).delete(ago(0.5))
        session.get_one(Event, others[1]).cancel("Snow.", ago(0.5))
    page = unescape(ben.get(every).text)
    assert "Do these still take place?" in page and "Tool night" in page and "Saw night 0" not in page
    assert ben.post(every).status_code == 303
    assert event_of(database, tool_night).confirmed_at is not None
    assert event_of(database, others[1]).confirmed_at is None


def test_a_link_is_no_good_to_whoever_may_not_act_there_any_more(
    database: Database, cast: Cast, publishing: Publishing, ben: TestClient, tool_night: int
) -> None:
    [link] = ask(database, publishing, ago(1))
    with database.writing() as session:
        session.connection().exec_driver_sql("DELETE FROM membership")
    assert ben.get(link).status_code == ben.post(link).status_code == 410
    assert event_of(database, tool_night).confirmed_at is None


def test_what_was_cancelled_meanwhile_leaves_nothing_to_confirm_and_the_link_good(
    database: Database, publishing: Publishing, ben: TestClient, tool_night: int
) -> None:
    [link] = ask(database, publishing, ago(1))
    with database.writing() as session:
        session.get_one(Event, tool_night).cancel("Snow.", ago(0.5))
    answer = ben.post(link)
    assert answer.status_code == 409 and "nothing to confirm" in answer.text
    with database.writing() as session:
        session.get_one(Event, tool_night).publish()
    assert ben.post(link).status_code == 303


# --- On the desk


def test_ana_confirms_on_the_page_and_strangers_find_nothing_there(
    database: Database, ana: TestClient, cy: TestClient, ben: TestClient, tool_night: int
) -> None:
    address = f"/organize/events/{tool_night}/confirmation"
    assert cy.post(address).status_code == 404 and ben.post(address).headers["location"] == "/sign-in"
    assert event_of(database, tool_night).confirmed_at is None
    assert ana.post(address).headers["location"] == f"/organize/events/{tool_night}?done=confirmed"
    assert event_of(database, tool_night).confirmed_at is not None
    assert ana.post(address, data={"from": "desk"}).headers["location"] == "/organize?done=confirmed"


def test_who_needs_approval_confirms_what_goes_on_and_brings_nothing_back(
    database: Database, ana: TestClient, cast: Cast, tool_night: int
) -> None:
    with database.writing() as session:
        permissions.invite(session, cast.ana, cast.alder, Role.ORGANIZER, trusted=False)
    address = f"/organize/events/{tool_night}/confirmation"
    assert ana.post(address).status_code == 303
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        with changes.recorded(session, event, "stopped", None, datetime.now(UTC)):
            event.rrule += ";UNTIL=20270101T000000"
    assert ana.post(address).status_code == 409


def test_what_does_not_go_on_cannot_be_confirmed(
    database: Database, cast: Cast, publishing: Publishing, ana: TestClient
) -> None:
    with database.writing() as session:
        single = store.add(session, weekly(rrule=""), [cast.alder], publishing, ago(1)).id
    answer = ana.post(f"/organize/events/{single}/confirmation")
    assert answer.status_code == 409 and "nothing to confirm" in answer.text


def test_what_was_ended_comes_back_by_the_same_button_with_the_same_uid(
    database: Database, cast: Cast, publishing: Publishing, ana: TestClient, ben: TestClient, tool_night: int
) -> None:
    subscriber = Subscriber(ben, f"/events/{tool_night}.ics")
    [before] = subscriber.events()
    end(database, cast, publishing, tool_night)
    assert "UNTIL" in subscriber.events()[0]["RRULE"]
    assert ana.post(f"/organize/events/{tool_night}/confirmation").status_code == 303
    [after] = subscriber.events()
    assert (after["UID"], after["RRULE"]) == (before["UID"], before["RRULE"])
    assert int(after["SEQUENCE"]) == int(before["SEQUENCE"]) + 2


# --- What visitors see


def test_thirty_days_after_the_question_its_page_and_lists_say_that_nobody_confirmed_it(
    database: Database, ben: TestClient, ana: TestClient, tool_night: int
) -> None:
    lists = ("/events", "/branches/alder")

    def warned(days: float) -> tuple[bool, bool]:
        with database.writing() as session:
            session.get_one(Event, tool_night).asked_since = ago(days)
        on_page = "ask before you go" in ben.get(f"/events/{tool_night}").text
        in_lists = {"Not confirmed since" in ben.get(path).text for path in lists}
        assert len(in_lists) == 1
        return on_page, in_lists.pop()

    assert warned(29) == (False, False)
    assert warned(31) == (True, True)
    before = ben.get("/events.ics").content
    ana.post(f"/organize/events/{tool_night}/confirmation")
    assert "Not confirmed since" not in ben.get("/events").text
    page = ben.get(f"/events/{tool_night}").text
    assert "ask before you go" not in page and "Confirmed by the branch on" in page
    assert ben.get("/events.ics").content == before


def test_what_is_cancelled_is_neither_confirmed_nor_unconfirmed(
    database: Database, publishing: Publishing, ben: TestClient, tool_night: int
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        event.asked_since, event.confirmed_at = ago(40), ago(100)
        event.cancel("Snow.", ago(1))
        derived.save(session, event, publishing, ago(1))
    for path in ("/events", f"/events/{tool_night}"):
        page = ben.get(path).text
        assert "onfirmed since" not in page and "Confirmed by" not in page


def test_a_single_event_says_nothing_of_confirmations(
    database: Database, cast: Cast, publishing: Publishing, ben: TestClient
) -> None:
    with database.writing() as session:
        single = store.add(session, weekly(rrule=""), [cast.alder], publishing, ago(1))
        single.confirmed_at = ago(1)
    assert "Confirmed by" not in ben.get(f"/events/{single.id}").text


def test_a_branch_says_when_it_was_confirmed(database: Database, ben: TestClient, cast: Cast) -> None:
    assert "Confirmed by the branch" not in ben.get("/branches/alder").text
    with database.writing() as session:
        session.get_one(Branch, cast.alder.id).verified_at = datetime(2026, 5, 3).date()
    assert "Confirmed by the branch on May 3, 2026" in ben.get("/branches/alder").text


def test_in_spanish_the_mail_leads_to_a_page_in_spanish(
    database: Database, cast: Cast, publishing: Publishing, ben: TestClient, tool_night: int
) -> None:
    with database.writing() as session:
        session.get_one(Person, cast.ana.id).language = "es"
    ask(database, publishing, ago(1))
    with database.reading() as session:
        [mail] = session.exec(select(OutgoingMail))
    [link] = re.findall(r"/es/sign-in/\S+", mail.body)
    assert (
        'lang="es"' in ben.get(link).text and f'href="/es/organize/events/{tool_night}"' in ben.get(link).text
    )
    assert ben.post(link).headers["location"] == "/es/confirmed"
