"""Ana cancels, postpones, copies and changes single dates, or one and all that follow; nothing is lost on the way."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from sqlmodel import Session, col, select
from starlette.testclient import TestClient

from events.calendars import changes, store
from events.calendars.content import Publishing
from events.calendars.derived import tell
from events.calendars.models import Event, State
from events.db import Database
from events.desk.models import Proposal
from events.people import history, permissions
from events.people.models import Role
from tests.calendars.test_feeds import Subscriber, weekly
from tests.conftest import Cast

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
NOW = datetime.now(UTC).replace(microsecond=0)
TODAY = NOW.replace(tzinfo=None, hour=0, minute=0, second=0)
FIRST = TODAY + timedelta(
    days=(1 - TODAY.weekday()) % 7 + 7, hours=19
)  # a Tuesday of next week, or the one after


class Posted:
    """An event of Alder's, as Ana sees it and as it is."""

    def __init__(self, database: Database, publishing: Publishing, cast: Cast, **more: object) -> None:
        values = {"start": FIRST, "end": FIRST + 2 * HOUR, **more}
        self.database = database
        with database.writing() as session:
            event = store.add(session, weekly(**values), [cast.alder], publishing, NOW)
            changes.added(session, event, cast.ana, NOW)
            self.id = event.id or 0
        self.address = f"/organize/events/{self.id}"

    def date(self, weeks: int) -> str:
        return f"{self.address}/dates/{FIRST + weeks * WEEK:%Y-%m-%dT%H:%M}"

    def event(self, session: Session) -> Event:
        return session.get_one(Event, self.id)

    @property
    def actions(self) -> list[str]:
        with self.database.reading() as session:
            found = history.versions(session, changes.subject(self.event(session)))
            return [version.action for version in reversed(found)]

    @property
    def state(self) -> str:
        with self.database.reading() as session:
            return self.event(session).state

    def changed(self) -> dict[datetime, tuple[bool, str]]:
        with self.database.reading() as session:
            overrides = tell(session, self.event(session)).overrides
            return {one.original_start: (one.cancelled, one.reason) for one in overrides}


@pytest.fixture
def series(database: Database, publishing: Publishing, cast: Cast) -> Posted:
    return Posted(database, publishing, cast)


def fields(page: str) -> dict[str, str]:
    """What a browser would send from a form as it is shown, unticked boxes and buttons aside."""
    inputs = re.findall(r"<input[^>]*>", page.replace("\n", " "))
    found = {}
    for one in inputs:
        name, value, kind = (
            (re.search(rf'{attribute}="([^"]*)"', one) or [None, ""])[1]
            for attribute in ("name", "value", "type")
        )
        if name and (kind not in ("checkbox", "radio") or " checked" in one):
            found[name] = unescape(value or "")
    return found


def faults(page: str) -> list[str]:
    return re.findall(r'<a href="#(\w+)">', page)


# ---------------------------------------------------------------- the whole


def test_cancelled_and_postponed_with_a_reason_and_back(
    ana: TestClient, ben: TestClient, series: Posted
) -> None:
    page = f"{series.address}/cancellation"
    assert faults(ana.post(page, data={"kind": "postponed", "reason": " "}).text) == ["reason"]
    assert ana.post(page, data={"kind": "nonsense", "reason": "x"}).status_code == 422
    ana.post(page, data={"kind": "postponed", "reason": "The roof leaks."})
    assert "Postponed" in ben.get(f"/events/{series.id}").text
    shown = ana.get(page).text
    assert 'value="The roof leaks."' in shown and re.search(r'value="postponed" checked', shown)
    ana.post(page, data={"kind": "cancelled", "reason": "It fell in."})
    ana.post(f"{series.address}/publication")
    assert (
        series.actions == ["added", "postponed", "cancelled", "resumed"] and series.state == State.PUBLISHED
    )


def test_a_draft_is_not_cancelled_into_the_open_nor_split(
    ana: TestClient, ben: TestClient, database: Database, publishing: Publishing, cast: Cast
) -> None:
    draft = Posted(database, publishing, cast, state="draft")
    assert ana.get(f"{draft.address}/cancellation").status_code == 409
    answer = ana.post(f"{draft.address}/cancellation", data={"reason": "x"})
    assert answer.status_code == 409 and "not published" in answer.text
    assert ben.get(f"/events/{draft.id}").status_code == 404
    assert ana.get(f"{draft.date(1)}/following").status_code == 409
    assert "This and following" not in ana.get(draft.date(1)).text


def test_whoever_is_not_trusted_sends_a_draft_for_approval_and_cannot_approve_it(
    ana: TestClient, database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        permissions.invite(session, cast.ana, cast.alder, Role.ORGANIZER, trusted=False)
    draft = Posted(database, publishing, cast, state="draft")
    for _ in range(2):
        ana.post(f"{draft.address}/publication")
        assert draft.state == State.SUBMITTED
    with database.reading() as session:
        assert session.get_one(Proposal, draft.id).person_id == cast.ana.id
    assert draft.actions == ["added", "submitted"]


def test_a_copy_is_a_draft_on_the_next_such_weekday_without_single_dates(
    ana: TestClient, ben: TestClient, series: Posted
) -> None:
    ana.post(series.date(1), data={"cancelled": "yes", "reason": "Snow."})
    page = ana.get(series.address).text
    key = fields(page)["key"]
    answers = [ana.post(f"{series.address}/copy", data={"key": key}) for _ in range(2)]
    [where] = {answer.headers["location"] for answer in answers}
    assert "Kept as a draft" in ana.get(where).text
    with series.database.reading() as session:
        copy = session.exec(select(Event).where(col(Event.id) != series.id)).one()
        assert (copy.title, copy.state, copy.rrule) == ("Tool night", "draft", "FREQ=WEEKLY;BYDAY=TU")
        assert copy.start.weekday() == 1 and TODAY - DAY < copy.start < TODAY + 9 * DAY
        assert not tell(session, copy).overrides
        assert history.versions(session, changes.subject(copy))[0].action == "copied"
    assert ana.post(f"{series.address}/copy", data={"key": "another"}).headers["location"] != where


def test_what_was_removed_comes_back_as_the_same_entry_for_thirty_days(
    ana: TestClient, ben: TestClient, series: Posted
) -> None:
    subscriber = Subscriber(ben, "/branches/alder.ics")
    [before] = subscriber.events()
    for _ in range(2):
        assert ana.post(f"{series.address}/removal").headers["location"] == "/organize?done=removed"
    [gone] = subscriber.events()
    assert str(gone["STATUS"]) == "CANCELLED"
    for _ in range(2):
        assert ana.post(f"{series.address}/return").status_code == 303
    [back] = subscriber.events()
    assert (back["UID"], str(back["STATUS"])) == (before["UID"], "CONFIRMED")
    assert int(back["SEQUENCE"]) > int(gone["SEQUENCE"]) > int(before["SEQUENCE"])
    assert series.actions == ["added", "removed", "returned"]
    with series.database.writing() as session:
        series.event(session).delete(NOW - 31 * DAY)
    assert ana.post(f"{series.address}/return").status_code == 404
    assert ana.get("/organize/removed").text.count("Bring it back") == 0


# ---------------------------------------------------------------- one date


def test_the_page_of_a_date_offers_how_much_to_change_and_shows_first_what_subscribers_will_see(
    ana: TestClient, series: Posted
) -> None:
    page = ana.get(series.date(1)).text
    found = re.findall(r'<a class="chip" href="([^"]*)"( aria-current="true")?>([^<]*)</a>', page)
    assert found == [
        (series.date(1), ' aria-current="true"', "This date"),
        (f"{series.date(1)}/following", "", "This and following"),
        (series.address, "", "All dates"),
    ]
    following = ana.get(f"{series.date(1)}/following").text
    assert re.search(r'following" aria-current="true">This and following', following)
    form = fields(ana.get(series.date(1)).text)
    same = ana.post(f"{series.date(1)}/preview", data=form).text
    assert "No calendar app shows any difference." in same
    moved = ana.post(f"{series.date(1)}/preview", data={**form, "start_time": "18:00", "title": "Party"}).text
    assert "becomes 6:00" in moved.replace("\u202f", " ") and "the title is “Party”" in moved
    assert 'value="Party"' in moved and "Nothing is saved yet." in moved
    assert series.changed() == {} and series.actions == ["added"]


def test_a_date_is_cancelled_or_postponed_and_taken_back_and_what_else_was_changed_stays(
    ana: TestClient, ben: TestClient, series: Posted
) -> None:
    at = FIRST + WEEK
    form = fields(ana.get(series.date(1)).text)
    ana.post(series.date(1), data={**form, "start_time": "20:00", "end_time": "22:00"})
    form = fields(ana.get(series.date(1)).text)
    assert faults(ana.post(series.date(1), data={**form, "cancelled": "yes"}).text) == ["reason"]
    ana.post(series.date(1), data={**form, "cancelled": "yes", "reason": "Snow."})
    assert series.changed() == {at: (True, "Snow.")}
    assert "It takes place after all" in ana.get(series.date(1)).text
    _, date = Subscriber(ben, "/branches/alder.ics").events()
    assert (date["DTSTART"].dt.hour, str(date["STATUS"])) == (20, "CANCELLED")
    ana.post(f"{series.date(1)}/publication")
    _, date = Subscriber(ben, "/branches/alder.ics").events()
    assert (date["DTSTART"].dt.hour, str(date["STATUS"])) == (20, "CONFIRMED")
    ana.post(series.date(2), data={"cancelled": "yes", "reason": "Snow."})
    ana.post(f"{series.date(2)}/publication")
    assert list(series.changed()) == [at]
    ana.post(series.date(3), data={"cancelled": "yes", "kind": "postponed", "reason": "The hall is flooded."})
    said = "It takes place later; the new date is not known yet. The hall is flooded."
    assert said in ben.get(f"/events/{series.id}").text
    page = ana.get(series.date(3)).text
    assert 'value="The hall is flooded."' in page and re.search(r'value="postponed" checked', page)


def test_what_the_form_of_a_date_does_not_touch_stays_as_does_its_length(
    ana: TestClient, series: Posted, database: Database, publishing: Publishing, cast: Cast
) -> None:
    text = {"description": "Bring **cake**.", "title": "Party"}
    form = fields(ana.get(series.date(1)).text)
    ana.post(series.date(1), data={**form, **text})
    page = ana.get(series.date(1)).text
    assert "Bring **cake**." in page
    ana.post(series.date(1), data={**fields(page), "description": "Bring **cake**.", "start_time": "18:00"})
    with series.database.reading() as session:
        [date] = tell(session, series.event(session)).overrides
        assert (date.title, date.description) == ("Party", "Bring **cake**.")
        assert date.start is not None and date.start.hour == 18
    camp = Posted(database, publishing, cast, end=FIRST + 2 * DAY)
    form = fields(ana.get(camp.date(1)).text)
    assert form["end_date"] == f"{FIRST + WEEK + 2 * DAY:%Y-%m-%d}"
    ana.post(camp.date(1), data={**form, "title": "Camp"})
    with database.reading() as session:
        [date] = tell(session, camp.event(session)).overrides
        assert (date.title, date.end) == ("Camp", None)
    early = {**fields(ana.get(camp.date(1)).text), "end_date": f"{FIRST:%Y-%m-%d}"}
    assert faults(ana.post(camp.date(1), data=early).text) == ["end_date"]


def test_an_hour_that_the_clocks_skip_and_dates_that_are_none_are_refused(
    ana: TestClient, series: Posted
) -> None:
    form = fields(ana.get(series.date(1)).text)
    skipped = {**form, "start_date": "2027-03-14", "start_time": "02:30", "end_time": "04:00"}
    answer = ana.post(series.date(1), data=skipped)
    assert answer.status_code == 422 and "clocks of America/Chicago change" in answer.text
    assert 'value="02:30"' in answer.text
    answer = ana.post(series.date(1), data={**form, "start_date": "2027-02-30", "end_time": "x"})
    assert faults(answer.text) == ["start_date", "end_time"]
    for none in (f"{FIRST + DAY:%Y-%m-%dT%H:%M}", f"{FIRST - WEEK:%Y-%m-%dT%H:%M}", "2027-02-30T19:00", "x"):
        for path in (none, f"{none}/following"):
            assert ana.get(f"{series.address}/dates/{path}").status_code == 404, path


def test_the_second_editor_of_a_date_or_the_following_sees_both_texts_and_overwrites_nothing(
    ana: TestClient, dee: TestClient, series: Posted
) -> None:
    mine, theirs = (fields(client.get(series.date(1)).text) for client in (ana, dee))
    dee.post(series.date(1), data={**theirs, "title": "Dee's"})
    late = ana.post(series.date(1), data={**mine, "title": "Ana's"})
    assert late.status_code == 409
    assert "Dee&#39;s" in late.text and "Ana&#39;s" in late.text
    assert "Dee&#39;s" in ana.get(series.date(1)).text
    assert ana.post(series.date(1), data=fields(late.text)).status_code == 303, "saving again is a decision"
    assert "Ana&#39;s" in ana.get(series.date(1)).text
    address = f"{series.date(2)}/following"
    form = _texts(ana.get(address).text)
    dee.post(series.date(5), data={"cancelled": "yes", "reason": "Snow."})
    late = ana.post(address, data={**form, "title": "Saw night"})
    assert late.status_code == 409 and 'value="Saw night"' in late.text
    assert "following" not in series.actions


# ---------------------------------------------------------------- this and following


def _texts(page: str) -> dict[str, str]:
    return {**fields(page), "attendance": "in-person", "repeats": "weekly", "language": "en"}


def test_this_and_following_become_a_series_of_their_own_that_keeps_single_dates(
    ana: TestClient, ben: TestClient, series: Posted
) -> None:
    ana.post(series.date(3), data={"cancelled": "yes", "reason": "Holidays."})
    address = f"{series.date(2)}/following"
    form = _texts(ana.get(address).text)
    assert form["start_date"] == f"{FIRST + 2 * WEEK:%Y-%m-%d}"
    form |= {"title": "Saw night", "start_time": "18:00", "end_time": "20:00"}
    shown = ana.post(f"{address}/preview", data=form).text.replace("\u202f", " ")
    assert "The title becomes “Saw night”." in shown and "7:00 PM becomes 6:00 PM." in shown
    answers = [ana.post(address, data=form) for _ in range(2)]
    [where] = {answer.headers["location"] for answer in answers}
    number = int(re.findall(r"\d+", where)[0])
    assert number != series.id and "Saw night" in ana.get(where).text
    with series.database.reading() as session:
        old, new = series.event(session), session.get_one(Event, number)
        assert new.related_uid == old.uid and new.start == FIRST + 2 * WEEK - HOUR
        [off] = tell(session, new).overrides
        assert (off.original_start, off.reason) == (FIRST + 3 * WEEK - HOUR, "Holidays.")
        assert [one.action for one in history.versions(session, changes.subject(new))] == ["continued"]
    assert series.actions == ["added", "date", "following"]
    old_series, *_ = Subscriber(ben, f"/events/{series.id}.ics").events()
    assert f"UNTIL={FIRST + WEEK + 5 * HOUR:%Y%m%d}" in old_series["RRULE"].to_ical().decode()


def test_following_dates_that_make_no_sense_are_refused_and_kept(ana: TestClient, series: Posted) -> None:
    address = f"{series.date(2)}/following"
    form = _texts(ana.get(address).text)
    backwards = {**form, "end_date": f"{FIRST:%Y-%m-%d}", "title": "Saw night"}
    answer = ana.post(address, data=backwards)
    assert answer.status_code == 422 and "end_date" in faults(answer.text) and "Saw night" in answer.text
    none_left = {**form, "until": f"{FIRST:%Y-%m-%d}"}
    answer = ana.post(address, data=none_left)
    assert answer.status_code == 422 and "ends before the first date" in answer.text


def test_none_of_the_following_dates_takes_place(ana: TestClient, ben: TestClient, series: Posted) -> None:
    assert "None of them takes place" in ana.get(f"{series.date(2)}/following").text
    ana.post(f"{series.date(2)}/ending", data={"reason": "Ana moves away."})
    page = ben.get(f"/events/{series.id}").text
    assert "Ana moves away." in page
    whole, last = Subscriber(ben, "/branches/alder.ics").events()
    assert str(whole["STATUS"]) == "CONFIRMED" and str(last["STATUS"]) == "CANCELLED"
    assert last["RECURRENCE-ID"].dt.replace(tzinfo=None) == FIRST + 2 * WEEK
    assert ana.get(series.date(3)).status_code == 404, "there is no such date any more"
    ana.post(f"{series.date(1)}/ending", data={"reason": ""})
    assert len(Subscriber(ben, "/branches/alder.ics").events()) == 1
    answer = ana.post(f"{series.date(0)}/ending", data={"reason": ""})
    assert answer.status_code == 409 and "Cancel the whole event instead" in answer.text
    assert series.actions == ["added", "ended", "ended"]


def test_cy_finds_none_of_these_addresses(cy: TestClient, series: Posted) -> None:
    date, form = series.date(1), {"reason": "x", "title": "x", "key": "x"}
    for path in (date, f"{date}/following", f"{series.address}/cancellation", f"{series.address}/history",
                 f"{series.address}/history/1"):  # fmt: skip
        assert cy.get(path).status_code == 404, path
    for path in (date, f"{date}/preview", f"{date}/publication", f"{date}/following", f"{date}/following/preview",
                 f"{date}/ending", *(f"{series.address}/{verb}" for verb in
                 ("cancellation", "publication", "removal", "return", "copy", "history/1/restoration"))):  # fmt: skip
        assert cy.post(path, data=form).status_code == 404, path
    assert series.actions == ["added"]
