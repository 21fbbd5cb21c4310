"""Calendars that come in: a real upstream on a public address, the worker, and what people then see."""

import importlib
import io
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, col, select
from starlette.testclient import TestClient

from events.calendars import derived, following, memory, reading, reconciling, sources, store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft, OverrideDraft
from events.calendars.ics_events import ImportedEvent
from events.calendars.models import CalendarSource, Event
from events.calendars.parsing import Window
from events.config import Settings
from events.db import Database
from events.errors import Unreadable
from events.interpreter import WHILE_LONG_S
from events.language import language
from events.sandbox import OverLimits
from events.web.posting import form_of
from events.worker import Worker
from tests.calendars.test_feeds import Subscriber, weekly
from tests.conftest import Cast, running, signed_in
from tests.namespace import ADDRESS, Answer, Asked, Upstream, public_upstream

URL = f"http://{ADDRESS}/club.ics"
MONDAY = datetime.now(UTC).replace(hour=18, minute=0, second=0, microsecond=0, tzinfo=None) + timedelta(
    days=20
)
CALENDAR = {"Content-Type": "text/calendar"}


def vevent(uid: str, title: str = "Saw club", days: float = 0, *more: str) -> str:
    start = MONDAY + timedelta(days=days)
    return "\r\n".join(
        (
            *("BEGIN:VEVENT", f"UID:{uid}", f"DTSTAMP:{datetime.now(UTC):%Y%m%dT%H%M%SZ}"),
            f"DTSTART;TZID=America/Chicago:{start:%Y%m%dT%H%M%S}",
            *("DURATION:PT2H", f"SUMMARY:{title}", *more, "END:VEVENT\r\n"),
        )
    )


def calendar(*events: str) -> bytes:
    head = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\nX-WR-CALNAME:Club\\, diary\r\n"
    return (head + "".join(events) + "END:VCALENDAR\r\n").encode()


WEEKLY = vevent("weekly", "Repair", 1, "RRULE:FREQ=WEEKLY;COUNT=8")
FOUR = (WEEKLY, vevent("a"), vevent("b", "Glue club", 2), vevent("c", "Ladder day", 3))


class Followed:
    """An upstream whose calendar changes, and the worker that looks at it."""

    def __init__(self, upstream: Upstream, worker: Worker, database: Database, ana: TestClient) -> None:
        self.upstream, self.worker, self.database, self.ana = upstream, worker, database, ana

    def says(self, *events: str, **headers: str) -> None:
        self.upstream.answers["/club.ics"] = Answer(200, CALENDAR | headers, calendar(*events))

    def work(self) -> int:
        """As an hour later."""
        with self.database.writing() as session:
            for source in session.exec(select(CalendarSource).where(col(CalendarSource.run_at).is_not(None))):
                source.run_at = datetime.now(UTC)
        return self.upstream.inside(self.worker.follow_calendars)

    def confirm(self, page: str) -> None:
        """Ana has read the page and presses its button."""
        seen = re.search(r'name="seen" value="(\w+)"', self.ana.get(page).text)
        answer = self.ana.post(f"{page}/confirmation", data={"seen": seen[1] if seen else ""})
        assert answer.status_code == 303, answer.text

    def start(self, *events: str) -> str:
        """Follows the calendar and takes it over; returns the page of the source."""
        self.says(*events)
        page = posted(self.ana, url=URL)
        self.work()
        self.confirm(page)
        self.work()
        return page

    def waits(self, page: str) -> bool:
        return 'name="seen"' in self.ana.get(page).text

    def source(self) -> CalendarSource:
        with self.database.reading() as session:
            return session.exec(select(CalendarSource)).one()

    def event(self, session: Session, uid: str) -> Event:
        return session.exec(select(Event).where(col(Event.source_uid) == uid)).one()

    def states(self) -> dict[str, str]:
        with self.database.reading() as session:
            return {event.source_uid or "": event.state for event in session.exec(select(Event)).all()}


def at_once(task: str, data: bytes, arguments: Mapping[str, object], _limits: object) -> bytes:
    """As `sandbox.run`, in this process, which takes a tenth of the time."""
    module, _, name = task.partition(":")
    return b"".join(getattr(importlib.import_module(module), name)(io.BytesIO(data), **arguments))


IN_A_PROCESS = pytest.mark.parametrize("read_at_once", [False], indirect=True)


@pytest.fixture(autouse=True)
def read_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is tried here is what comes of a calendar; reading apart from us is tried with IN_A_PROCESS."""
    if getattr(request, "param", True):
        monkeypatch.setattr(reading, "run", at_once)


# What asks the database in ways of its own runs on both engines; the rest is the same on either.
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def club(
    database: Database, settings: Settings, publishing: Publishing, ana: TestClient, cast: Cast
) -> Iterator[Followed]:
    worker = Worker(replace(settings, follow_http=True), publishing)
    with public_upstream() as upstream:
        yield Followed(upstream, worker, database, ana)
    worker.database.dispose()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, follow_http=True)


def posted(ana: TestClient, **fields: str) -> str:
    answer = ana.post("/organize/imports", data={"branch": "alder", **fields})
    assert answer.status_code == 303, re.findall(r'class="error"[^>]*>(.*?)</p>', answer.text, re.DOTALL)
    return str(answer.headers["location"])


def uploaded(ana: TestClient, body: bytes, name: str = "diary.ics") -> str:
    answer = ana.post("/organize/imports", data={"branch": "alder"}, files={"file": (name, body)})
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


# ---------------------------------------------------------------- looking first


@ON_SQLITE
def test_nothing_is_taken_over_before_ana_has_seen_what_is_in_it(club: Followed, ben: TestClient) -> None:
    club.says(*FOUR, vevent("bad", "No end", 1, "RRULE:FREQ=SECONDLY"))
    page = posted(club.ana, url=f"webcal://{ADDRESS}/club.ics".replace("webcal", "http"))
    assert "We are reading the calendar" in club.ana.get(page).text
    assert club.work() == 1
    shown = club.ana.get(page).text
    assert "Club, diary" in shown and "4 events" in shown and "4 of them new" in shown
    assert "1 entry could not be read" in shown and "Line " in shown
    assert "not more often" in shown, "why"
    assert "Saw club" in shown and "Saw club" not in ben.get("/events").text
    club.confirm(page)
    assert club.work() == 1
    assert "In step" in club.ana.get("/organize/imports").text
    events = Subscriber(ben, "/branches/alder.ics").events()
    assert {str(event["SUMMARY"]) for event in events} == {"Repair", "Saw club", "Glue club", "Ladder day"}


@IN_A_PROCESS
def test_visitors_hardly_wait_while_events_are_taken_over(
    club: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, reconcile = [], following._reconcile

    def noting(*given: Any) -> None:
        seen.append(round(sys.getswitchinterval(), 6))
        reconcile(*given)

    gave_way = list[None]()
    monkeypatch.setattr(following, "_reconcile", noting)
    monkeypatch.setattr(reconciling, "let_answers_go_first", lambda: gave_way.append(None))
    club.start(vevent("1"), vevent("2"))
    assert set(seen) == {WHILE_LONG_S}
    assert len(gave_way) == 2 * 3  # before each is looked at, looked at again, and written


def test_visitors_hardly_wait_while_what_was_read_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    gave_way = list[None]()
    monkeypatch.setattr(reading, "let_answers_go_first", lambda: gave_way.append(None))
    entries = (vevent(str(number)) for number in range(2 * reading.AT_ONCE + 1))
    found = reading.read(
        calendar(*entries),
        window=Window(MONDAY.date(), MONDAY.date() + timedelta(days=365)),
        default_timezone="Europe/Madrid",
        default_language="en",
    )
    assert (len(found.items), len(gave_way)) == (2 * reading.AT_ONCE + 1, 3)


def test_an_uploaded_file_is_read_shown_and_taken_over_once(club: Followed, ben: TestClient) -> None:
    page = uploaded(club.ana, calendar(*FOUR))
    club.work()
    assert "4 of them new" in club.ana.get(page).text
    club.confirm(page)
    club.work()
    assert "Taken over" in club.ana.get("/organize/imports").text
    assert club.work() == 0 and len(Subscriber(ben, "/branches/alder.ics").events()) == 4
    again = uploaded(club.ana, calendar(*FOUR))
    club.work()
    assert "of them new" not in club.ana.get(again).text, "the same file a second time brings nothing new"


@ON_SQLITE
def test_a_file_over_2_mb_is_refused_at_once(ana: TestClient) -> None:
    body = calendar(vevent("x", "Long", 0, "DESCRIPTION:" + "x" * 2_100_000))
    answer = ana.post("/organize/imports", data={"branch": "alder"}, files={"file": ("big.ics", body)})
    assert answer.status_code == 413 and "2 MB" in answer.text


@ON_SQLITE
@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "Give the address of a calendar, or choose a file."),
        ("ftp://example.org/x.ics", "A link begins with https://"),
        ("https://ana:secret@example.org/x.ics", "name and a password"),
        ("just words", "A link begins with https://"),
    ],
)
def test_what_is_no_address_is_said_at_the_field_and_kept(ana: TestClient, typed: str, sentence: str) -> None:
    answer = ana.post("/organize/imports", data={"branch": "alder", "url": typed})
    assert answer.status_code == 422 and sentence in answer.text
    assert typed in answer.text


@ON_SQLITE
def test_plain_http_is_for_operators_who_allow_it(settings: Settings, database: Database, cast: Cast) -> None:
    with running(replace(settings, follow_http=False)) as app:
        answer = signed_in(app, database, cast.ana).post(
            "/organize/imports", data={"branch": "alder", "url": URL}
        )
    assert answer.status_code == 422 and "must begin with https://" in answer.text


@ON_SQLITE
def test_one_calendar_is_followed_once_for_a_branch(club: Followed) -> None:
    club.start(*FOUR)
    answer = club.ana.post("/organize/imports", data={"branch": "alder", "url": URL})
    assert answer.status_code == 422 and "follows this calendar already" in answer.text


@IN_A_PROCESS
@ON_SQLITE
@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (Answer(200, {}, b"<!doctype html><title>Sign in</title>"), "This is a web page, not a calendar."),
        (Answer(404, {}, b"no"), "The server answered 404."),
        (Answer(200, CALENDAR, b""), "The file is empty."),
        (
            Answer(302, {"Location": "http://127.0.0.1/club.ics"}, b""),
            "Nothing usable answered at this link.",
        ),
        (
            Answer(302, {"Location": "http://192.168.1.1/club.ics"}, b""),
            "Nothing usable answered at this link.",
        ),
        (Answer(200, CALENDAR, b"BEGIN:VCALENDAR\r\n" + b"X:" + b"y" * 3_000_000), "more than 2 MB"),
    ],
)
def test_what_cannot_be_read_says_why_and_is_tried_again(
    club: Followed, answer: Answer, sentence: str
) -> None:
    club.upstream.answers["/club.ics"] = answer
    page = posted(club.ana, url=URL)
    club.work()
    shown = club.ana.get(page).text
    assert sentence in shown and "We try again on" in shown
    club.says(*FOUR)
    club.work()
    assert "4 of them new" in club.ana.get(page).text


# ---------------------------------------------------------------- keeping in step


def test_a_moved_a_new_and_a_vanished_event_arrive_with_the_next_look(
    club: Followed, ben: TestClient
) -> None:
    page = club.start(*FOUR)
    before = {str(event["UID"]): event for event in Subscriber(ben, "/branches/alder.ics").events()}
    club.says(WEEKLY, vevent("a", "Saw club", 5), vevent("b", "Glue club", 2), vevent("d", "Plane day", 4))
    club.work()
    after = {str(event["SUMMARY"]): event for event in Subscriber(ben, "/branches/alder.ics").events()}
    assert set(after) == {"Repair", "Saw club", "Glue club", "Plane day", "Cancelled: Ladder day"}
    assert str(after["Cancelled: Ladder day"]["STATUS"]) == "CANCELLED"
    assert "no longer in the calendar" in str(after["Cancelled: Ladder day"]["DESCRIPTION"])
    moved = after["Saw club"]
    assert str(moved["UID"]) in before and int(moved["SEQUENCE"]) == 1
    assert str(moved["DESCRIPTION"]).startswith("Moved from ")
    shown = club.ana.get(page).text
    assert "1 of them new" in shown and "1 at another time" in shown and "1 gone, cancelled here" in shown
    club.says(*FOUR)
    club.work()
    assert "Cancelled: Ladder day" not in ben.get("/branches/alder.ics").text, "it came back"


@ON_SQLITE
def test_an_unchanged_calendar_is_asked_for_with_its_validators_and_touches_nothing(
    club: Followed, ben: TestClient
) -> None:
    club.says(*FOUR, ETag='"one"')
    page = club.start(*FOUR)
    tag = ben.get("/branches/alder.ics").headers["etag"]
    club.says(*FOUR, ETag='"two"')  # DTSTAMP is another one, as with Google
    club.work()
    assert club.source().failures == 0 and club.source().etag == '"two"'
    club.upstream.answers["/club.ics"] = Answer(304, {}, b"")
    club.work()
    assert club.upstream.asked[-1].headers["If-None-Match"] == '"two"'
    assert ben.get("/branches/alder.ics").headers["etag"] == tag
    assert "In step" in club.ana.get("/organize/imports").text and club.ana.get(page).status_code == 200


@ON_SQLITE
def test_an_upstream_that_is_down_or_talks_nonsense_changes_nothing_and_is_asked_less_often(
    club: Followed, ben: TestClient
) -> None:
    page = club.start(*FOUR)
    tag = ben.get("/branches/alder.ics").headers["etag"]
    waits: list[timedelta] = []
    for answer in (
        Answer(503, {"Retry-After": "7200"}, b""),
        Answer(200, {}, b"<html>"),
        Answer(200, {}, b""),
    ):
        club.upstream.answers["/club.ics"] = answer
        club.work()
        source = club.source()
        assert source.run_at is not None
        waits.append(source.run_at - datetime.now(UTC))
    assert club.source().failures == 3
    assert timedelta(minutes=119) < waits[0] < timedelta(minutes=121), "as the server asked"
    assert timedelta(minutes=47) < waits[2] < timedelta(minutes=61)
    assert ben.get("/branches/alder.ics").headers["etag"] == tag
    assert "What was taken over before stays as it is" in club.ana.get(page).text
    club.says(*FOUR)
    club.work()
    assert club.source().failures == 0 and club.source().error is None


@ON_SQLITE
def test_who_looks_at_an_event_is_told_since_when_its_calendar_could_not_be_read(
    club: Followed, ben: TestClient
) -> None:
    club.start(*FOUR)
    club.upstream.answers["/club.ics"] = Answer(503, {}, b"")
    club.work()
    with club.database.reading() as session:
        addresses = [f"/events/{club.event(session, uid).id}" for uid in ("weekly", "a")]
    assert not any("another calendar" in ben.get(address).text for address in addresses), "an hour is nothing"
    read = datetime.now(UTC).replace(hour=18) - timedelta(days=3)
    with club.database.writing() as session:
        session.merge(club.source()).fetched_at = read
    for address in addresses:
        day = language("en").long_day(read.date())
        assert f"which could last be read on {day}: ask before you go" in ben.get(address).text
        assert "otro calendario, que se pudo leer por última vez el" in ben.get(f"/es{address}").text
    club.says(*FOUR)
    club.work()
    assert not any("another calendar" in ben.get(address).text for address in addresses)


@ON_SQLITE
def test_a_calendar_more_than_half_gone_waits_for_a_person(club: Followed, ben: TestClient) -> None:
    page = club.start(*FOUR)
    club.says(WEEKLY)
    club.work()
    assert "Cancelled" not in ben.get("/branches/alder.ics").text
    shown = club.ana.get(page).text
    assert "More than half of the events" in shown and "3 gone" in shown
    club.says(*FOUR)
    club.work()
    assert "More than half" not in club.ana.get(page).text, "it was a mistake there"
    club.says(WEEKLY)
    club.work()
    club.confirm(page)
    club.work()
    assert ben.get("/branches/alder.ics").text.count("STATUS:CANCELLED") == 3
    assert "In step" in club.ana.get("/organize/imports").text


@ON_SQLITE
def test_looking_again_before_deciding_takes_nothing_over(club: Followed) -> None:
    club.says(*FOUR)
    page = posted(club.ana, url=URL)
    club.work()
    assert club.ana.post(f"{page}/refresh").status_code == 303
    club.work()
    assert club.source().state == "previewed" and club.states() == {}


@ON_SQLITE
def test_a_calendar_that_empties_bit_by_bit_waits_at_the_end(club: Followed) -> None:
    club.start(*FOUR)
    club.says(*FOUR[:2])
    club.work()
    club.says()
    club.work()
    assert club.source().state == "held" and list(club.states().values()).count("published") == 2


@ON_SQLITE
def test_what_changed_since_ana_looked_is_not_confirmed_unseen(club: Followed) -> None:
    page = club.start(*FOUR)
    club.says(WEEKLY)
    club.work()
    seen = re.search(r'name="seen" value="(\w+)"', club.ana.get(page).text)
    club.says()
    club.work()
    late = club.ana.post(f"{page}/confirmation", data={"seen": seen[1] if seen else ""})
    assert late.status_code == 409 and "has changed since you looked at it" in late.text


@ON_SQLITE
def test_an_answer_that_comes_while_the_worker_looks_is_not_lost(
    club: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = club.start(*FOUR)
    club.says(WEEKLY)
    club.work()

    def meanwhile(asked: Asked) -> Answer:
        club.confirm(page)
        return Answer(200, CALENDAR, calendar(WEEKLY, vevent("z", "New day", 9)))

    club.upstream.answers["/club.ics"] = meanwhile
    club.work()
    assert club.source().state == "active" and list(club.states().values()).count("cancelled") == 3


@ON_SQLITE
def test_a_reading_that_fails_after_the_answer_can_be_confirmed_again(
    club: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = uploaded(club.ana, calendar(*FOUR))
    club.work()
    club.confirm(page)
    with monkeypatch.context() as patched:
        patched.setattr(following, "read", refuse)
        club.work()
    assert club.source().state == "previewed"
    club.confirm(page)
    club.work()
    assert len(club.states()) == 4


def refuse(*_: object, **__: object) -> None:
    raise OverLimits()


@ON_SQLITE
def test_an_empty_calendar_waits_for_a_person_however_small_it_was(club: Followed) -> None:
    club.start(vevent("a"))
    club.says()
    club.work()
    assert club.source().state == "held" and club.states() == {"a": "published"}


@ON_SQLITE
def test_what_is_there_but_cannot_be_read_is_not_taken_for_gone(club: Followed, ben: TestClient) -> None:
    page = club.start(*FOUR)
    broken = FOUR[1].replace("DTSTART;TZID=America/Chicago", "DTSTART;TZID=Mars/Base")
    secret = FOUR[2].replace("SUMMARY", "CLASS:PRIVATE\r\nSUMMARY")
    club.says(FOUR[0], broken, secret, FOUR[3])
    club.work()
    assert club.states() == {"weekly": "published", "a": "published", "b": "cancelled", "c": "published"}
    assert "Mars/Base" in club.ana.get(page).text and "marked as private" in club.ana.get(page).text
    huge = "BEGIN:VEVENT\r\n" + "COMMENT:x\r\n" * 400 + FOUR[3].removeprefix("BEGIN:VEVENT\r\n")
    club.says(FOUR[0], FOUR[1], huge)
    club.work()
    assert club.states()["c"] == "published", "what is too large to be read may be this"
    club.says(FOUR[0], FOUR[1], "BEGIN:VEVENT\r\nSUMMARY:No UID\r\nDTSTART:2026\r\nEND:VEVENT\r\n")
    club.work()
    assert club.states()["c"] == "cancelled"


@ON_SQLITE
def test_the_threshold_counts_what_still_takes_place(club: Followed) -> None:
    club.start(*(vevent(f"e{number}", days=number) for number in range(12)))
    club.says(*(vevent(f"e{number}", days=number) for number in range(6)))
    club.work()
    assert list(club.states().values()).count("cancelled") == 6, "half is not more than half"
    club.says(*(vevent(f"e{number}", days=number) for number in range(2)))
    club.work()
    assert club.source().state == "held", "four of the six that were left"


def test_a_fault_of_ours_with_one_calendar_holds_up_no_other(
    club: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = club.start(*FOUR)

    def fails(*_: object) -> None:
        raise KeyError("ours")

    club.says(*FOUR[:3])
    with monkeypatch.context() as patched:
        patched.setattr(following, "_reconcile", fails)
        assert club.work() == 1
    assert "Something went wrong on our side with this calendar." in club.ana.get(page).text
    club.work()
    assert club.source().error is None


def test_dates_of_a_series_changed_there_change_here_and_come_back(club: Followed, ben: TestClient) -> None:
    club.start(*FOUR)
    start = MONDAY + timedelta(days=8)
    changed = (
        f"BEGIN:VEVENT\r\nUID:weekly\r\nRECURRENCE-ID;TZID=America/Chicago:{start:%Y%m%dT%H%M%S}\r\n"
        f"DTSTART;TZID=America/Chicago:{start + timedelta(hours=1):%Y%m%dT%H%M%S}\r\nDURATION:PT2H\r\n"
        "SUMMARY:Repair\r\nEND:VEVENT\r\n"
    )
    club.says(*FOUR, changed)
    club.work()
    assert "RECURRENCE-ID" in ben.get("/branches/alder.ics").text
    club.says(*FOUR)
    club.work()
    assert "RECURRENCE-ID" not in ben.get("/branches/alder.ics").text


# ---------------------------------------------------------------- what was edited here


@ON_SQLITE
def test_what_ana_edited_here_is_never_overwritten_and_the_rest_keeps_in_step(
    club: Followed, publishing: Publishing
) -> None:
    club.start(*FOUR)
    now = datetime.now(UTC)
    with club.database.writing() as session:
        event = club.event(session, "a")
        told = derived.tell(session, event)
        draft = EventDraft.model_validate({**dict(store.draft_of(told)), "title": "Saws!", "cost": "2 €"})
        store.revise(session, event, draft, told.hosts, publishing, now)
        weekly = club.event(session, "weekly")
        second = weekly.start + timedelta(weeks=1)
        off = OverrideDraft(original_start=second, cancelled=True, reason="Snow.")
        store.change_date(session, weekly, off, publishing, now)
        number = event.id
    club.says(
        vevent("weekly", "Repairs", 1, "RRULE:FREQ=WEEKLY;COUNT=8"),
        vevent("a", "Saw club again", 6, "DESCRIPTION:New text"),
        *FOUR[2:],
    )
    club.work()
    with club.database.reading() as session:
        event, weekly = club.event(session, "a"), club.event(session, "weekly")
        assert (event.title, event.cost) == ("Saws!", "2 €")
        assert (event.start, event.description) == (MONDAY + timedelta(days=6), "New text")
        assert weekly.title == "Repairs"
        [kept] = derived.tell(session, weekly).overrides
        assert (kept.original_start, kept.cancelled, kept.reason) == (second, True, "Snow.")
        edited = memory.edited(store.draft_of(derived.tell(session, event)), event.upstream)
        assert edited == ["title", "cost"]
    shown = club.ana.get(f"/organize/events/{number}").text
    assert "Changed here: title and cost" in shown and "Club, diary" in shown


@ON_SQLITE
def test_a_date_that_ana_cancelled_stays_cancelled_when_the_series_shifts_there(
    club: Followed, publishing: Publishing
) -> None:
    club.start(*FOUR)
    with club.database.writing() as session:
        weekly = club.event(session, "weekly")
        second = weekly.start + timedelta(weeks=1)
        off = OverrideDraft(original_start=second, cancelled=True, reason="Ana is ill.")
        store.change_date(session, weekly, off, publishing, datetime.now(UTC))
    club.says(vevent("weekly", "Repair", 1 + 1 / 48, "RRULE:FREQ=WEEKLY;COUNT=8"), *FOUR[1:])
    club.work()
    with club.database.reading() as session:
        weekly = club.event(session, "weekly")
        [kept] = derived.tell(session, weekly).overrides
        assert weekly.start == MONDAY + timedelta(days=1, minutes=30)
        assert (kept.original_start, kept.reason) == (second + timedelta(minutes=30), "Ana is ill.")


@ON_SQLITE
def test_the_event_form_changes_only_what_was_touched(club: Followed) -> None:
    place = ("LOCATION:Hall\\n5 Far Road", "GEO:41.5;-87.5")
    club.start(vevent("weekly", "Repair", 1, "RRULE:FREQ=WEEKLY;COUNT=8", *place), *FOUR[1:])
    with club.database.reading() as session:
        weekly = club.event(session, "weekly")
        form = form_of(session, weekly)
    data = {name: list(form.all(name)) for name, _ in form.items()} | {"title": "Repairs!"}
    assert club.ana.post(f"/organize/events/{weekly.id}", data=data).status_code == 303
    with club.database.reading() as session:
        weekly = club.event(session, "weekly")
        assert (weekly.title, weekly.latitude) == ("Repairs!", 41.5) and "COUNT=8" in weekly.rrule
        assert memory.edited(store.draft_of(derived.tell(session, weekly)), weekly.upstream) == ["title"]


@ON_SQLITE
def test_an_event_that_went_to_another_branch_is_out_of_reach_of_the_old_one(
    club: Followed, publishing: Publishing, cast: Cast
) -> None:
    club.start(*FOUR)
    with club.database.writing() as session:
        event = club.event(session, "a")
        draft = store.draft_of(derived.tell(session, event))
        store.revise(session, event, draft, [session.merge(cast.birch)], publishing, datetime.now(UTC))
    club.says(WEEKLY, vevent("a", "Taken back", 1), *FOUR[2:])
    club.work()
    with club.database.reading() as session:
        event = club.event(session, "a")
        assert (event.title, event.branch_id) == ("Saw club", cast.birch.id)


@ON_SQLITE
def test_an_event_that_ana_removed_here_does_not_come_back(club: Followed) -> None:
    club.start(*FOUR)
    with club.database.reading() as session:
        number = club.event(session, "a").id
    club.ana.post(f"/organize/events/{number}/removal")
    club.says(WEEKLY, vevent("a", "Saw club, new", 1), *FOUR[2:])
    club.work()
    with club.database.reading() as session:
        assert club.event(session, "a").deleted_at is not None


@ON_SQLITE
def test_a_calendar_that_is_followed_again_finds_its_events_again(club: Followed) -> None:
    page = club.start(*FOUR)
    assert club.ana.post(f"{page}/removal").status_code == 303
    assert club.states() == dict.fromkeys(("weekly", "a", "b", "c"), "published")
    club.start(*FOUR)
    assert len(club.states()) == 4


@ON_SQLITE
def test_an_irregular_series_stays_together_and_goes_on_as_time_passes(club: Followed) -> None:
    odd = vevent("odd", "Choir", 0, "RRULE:FREQ=MONTHLY;BYDAY=1TU,3TU")
    club.start(odd)
    with club.database.reading() as session:
        first = club.event(session, "odd")
        others = session.exec(select(Event).where(col(Event.source_uid).startswith("odd#"))).all()
        assert len(others) > 20 and {event.related_uid for event in others} == {first.uid}


# ---------------------------------------------------------------- who may


@ON_SQLITE
def test_cy_sees_nothing_of_what_alder_follows(club: Followed, cy: TestClient) -> None:
    page = club.start(*FOUR)
    assert cy.get(page).status_code == 404
    for verb in ("confirmation", "refresh", "removal"):
        assert cy.post(f"{page}/{verb}").status_code == 404
    assert cy.post("/organize/imports", data={"branch": "alder", "url": URL}).status_code == 404
    assert "Club, diary" not in cy.get("/organize/imports").text
    assert cy.get("/organize/branches/alder/subscribers").status_code == 404


def test_two_workers_work_on_a_source_once(
    club: Followed, settings: Settings, publishing: Publishing
) -> None:
    club.says(*FOUR)
    posted(club.ana, url=URL)
    with club.database.writing() as session:
        assert following.claim(session, datetime.now(UTC)) is not None
        assert following.claim(session, datetime.now(UTC)) is None
    with club.database.writing() as session:
        later = datetime.now(UTC) + following.LEASE + timedelta(seconds=1)
        assert following.claim(session, later) is not None, "the first one died"


def test_a_worker_that_was_killed_between_looking_and_taking_over_goes_on(
    club: Followed, publishing: Publishing
) -> None:
    club.says(*FOUR)
    page = posted(club.ana, url=URL)
    club.work()
    club.confirm(page)
    now = datetime.now(UTC)
    with club.database.writing() as session:
        assert following.claim(session, now)  # and then nothing more was heard of it
    assert club.work() == 0
    with club.database.writing() as session:
        session.exec(select(CalendarSource)).one().leased_until = now - timedelta(seconds=1)
    club.work()
    assert len(club.states()) == 4


@ON_SQLITE
def test_the_upstream_is_told_who_asks_and_gets_no_cookie(club: Followed) -> None:
    club.start(*FOUR)
    asked: Asked = club.upstream.asked[-1]
    assert asked.headers["User-Agent"].startswith("Branchline (+http") and asked.headers["Cookie"] is None


HOSTILE = Path(__file__).parent / "ics"


@ON_SQLITE
def test_no_file_of_the_corpus_breaks_a_page_or_a_feed(club: Followed, ben: TestClient) -> None:
    for path in sorted(HOSTILE.glob("*.ics")):
        body = path.read_bytes()
        if not body:
            continue
        page = uploaded(club.ana, body, path.name)
        club.work()
        assert club.ana.get(page).status_code == 200, path.name
        if club.waits(page):
            club.confirm(page)
        club.work()
        assert club.ana.get(page).status_code == 200, path.name
    assert ben.get("/events").status_code == 200
    assert ben.get("/es/branches/alder").status_code == 200
    assert len(Subscriber(ben, "/branches/alder.ics").events()) > 20


# ---------------------------------------------------------------- what is easily forgotten


@ON_SQLITE
def test_half_of_a_calendar_may_go_and_what_is_over_does_not_count(club: Followed) -> None:
    over = [vevent(f"over{number}", "Long ago", -40 - number) for number in range(6)]
    others = (FOUR[3], vevent("d", "Plane day", 4), vevent("e", "Oil day", 5))
    club.start(*FOUR[:3], *others, *over)
    club.says(*others)
    club.work()
    wanted = dict.fromkeys(("weekly", "a", "b"), "cancelled") | dict.fromkeys(("c", "d", "e"), "published")
    assert club.states() == wanted | dict.fromkeys((f"over{number}" for number in range(6)), "published")


@ON_SQLITE
def test_what_is_over_hides_nothing_of_what_has_gone(club: Followed) -> None:
    over = [vevent(f"over{number}", "Long ago", -40 - number) for number in range(6)]
    club.start(*FOUR, *over)
    club.says(WEEKLY, *over)
    club.work()
    assert club.source().state == "held", "three of the four to come"


@ON_SQLITE
def test_a_calendar_is_asked_for_with_the_day_that_it_named_and_a_new_one_without(club: Followed) -> None:
    named = {"ETag": '"one"', "Last-Modified": "Mon, 23 Nov 2026 12:00:00 GMT"}
    club.says(*FOUR, **named)
    page = posted(club.ana, url=URL)
    club.work()
    club.confirm(page)
    club.work()
    for _ in range(2):
        club.work()
    validators = [
        (asked.headers["If-None-Match"], asked.headers["If-Modified-Since"]) for asked in club.upstream.asked
    ]
    assert validators == [(None, None), (None, None), ('"one"', "Mon, 23 Nov 2026 12:00:00 GMT")]


@ON_SQLITE
def test_nothing_is_taken_over_again_after_a_failure_or_when_only_stamps_differ(club: Followed) -> None:
    club.start(*FOUR)
    before = club.source()
    assert before.body is None, "what was taken over is kept in the events alone"
    club.upstream.answers["/club.ics"] = Answer(503, {}, b"")
    club.work()
    stamped = [event.replace("DTSTAMP:20", "DTSTAMP:19") for event in FOUR]
    body = calendar(*stamped).replace(b"VERSION", b"X-PUBLISHED-TTL:PT1H\r\nVERSION")
    club.upstream.answers["/club.ics"] = Answer(200, CALENDAR, body)
    club.work()
    after = club.source()
    assert (after.changed_at, after.checksum, after.failures) == (before.changed_at, before.checksum, 0)


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b"A\r\nDTSTAMP:1\r\nB\r\n", b"A\r\nB\r\n"),
        (b"dtstamp;X=1:1\nB", b"B"),
        (b"A\nx-published-ttl:PT1H", b"A\n"),
        (b"DTSTAMP:1\nDTSTAMP:2\n\n", b"\n"),
        (b"SUMMARY:DTSTAMP\rDTSTAMP:1\n DTSTAMP\n", b"SUMMARY:DTSTAMP\rDTSTAMP:1\n DTSTAMP\n"),
        (b"", b""),
    ],
)
def test_a_checksum_is_of_all_lines_but_those_that_are_written_anew(body: bytes, kept: bytes) -> None:
    assert reading.checksum_lines(body) == kept


@ON_SQLITE
def test_what_is_taken_over_is_what_ana_has_seen(club: Followed) -> None:
    club.says(*FOUR)
    page = posted(club.ana, url=URL)
    club.work()
    club.says(vevent("other", "Something else"))
    club.confirm(page)
    club.work()
    assert set(club.states()) == {"weekly", "a", "b", "c"}


@ON_SQLITE
def test_a_file_takes_nothing_away(club: Followed, publishing: Publishing, cast: Cast) -> None:
    club.start(*FOUR)
    with club.database.writing() as session:
        store.add(session, weekly(), [cast.alder], publishing, datetime.now(UTC))
    for events in (FOUR[:3], FOUR[:1]):
        page = uploaded(club.ana, calendar(*events))
        club.work()
        club.confirm(page)
        club.work()
    with club.database.reading() as session:
        assert {event.state for event in session.exec(select(Event))} == {"published"}
        assert len(session.exec(select(Event)).all()) == 8, (
            "four followed, three from files, one written here"
        )


def test_two_branches_follow_one_calendar_each_for_itself(club: Followed, cy: TestClient) -> None:
    club.start(*FOUR)
    page = str(cy.post("/organize/imports", data={"branch": "birch", "url": URL}).headers["location"])
    club.work()
    seen = re.search(r'name="seen" value="(\w+)"', cy.get(page).text)
    cy.post(f"{page}/confirmation", data={"seen": seen[1] if seen else ""})
    club.work()
    with club.database.reading() as session:
        events = session.exec(select(Event).where(col(Event.source_uid) == "a")).all()
        assert len({(event.branch_id, event.source, event.uid) for event in events}) == 2
        for event in events:
            source = sources.followed_by(session, event)
            assert source is not None and source.branch_id == event.branch_id


@ON_SQLITE
def test_there_is_nothing_to_confirm_twice(club: Followed) -> None:
    page = club.start(*FOUR)
    assert club.ana.post(f"{page}/confirmation").status_code == 409
    assert club.source().state == "active"


def test_uploads_are_forgotten_after_a_month_and_followed_calendars_are_not(
    database: Database, cast: Cast
) -> None:
    now = datetime.now(UTC)
    with database.writing() as session:
        sources.follow(session, cast.alder, "https://example.org/x.ics", now - timedelta(days=100))
        for days in (31, 29):
            sources.upload(session, cast.alder, f"{days}.ics", b"x", now - timedelta(days=days))
        sources.forget_uploads(session, now)
        names = {source.name for source in session.exec(select(CalendarSource))}
        assert names == {"https://example.org/x.ics", "29.ics"}


@IN_A_PROCESS
def test_what_a_reader_hands_back_is_all_that_was_read_and_no_more_than_2_mb() -> None:
    odd = vevent("odd", "Choir", 0, "RRULE:FREQ=MONTHLY;BYDAY=1TU,3TU")
    window = Window(MONDAY.date(), (MONDAY + timedelta(days=100)).date())
    data = calendar(odd)
    found = reading.read(data, window=window, default_timezone="UTC", default_language="en")
    first, *others = [item for item in found.items if isinstance(item, ImportedEvent)]
    assert found.name == "Club, diary" and first.notes
    assert {item.related for item in others} == {"odd"}
    with pytest.raises(Unreadable, match="larger than 2 MB"):
        reading.read(data + b" " * 2_000_000, window=window, default_timezone="UTC", default_language="en")


def test_the_name_of_a_calendar_is_looked_for_before_its_events() -> None:
    """A file of 2 MB is gone through twice, and not once more for a name that it does not have."""
    window = Window(MONDAY.date(), (MONDAY + timedelta(days=100)).date())
    for place, name in (("BEGIN:VEVENT", "Club"), ("END:VCALENDAR", "")):
        data = calendar(*FOUR).replace(b"X-WR-CALNAME:Club\\, diary\r\n", b"")
        data = data.replace(place.encode(), f"X-WR-CALNAME:Club\r\n{place}".encode(), 1)
        found = reading.read(data, window=window, default_timezone="UTC", default_language="en")
        assert (found.name, len(found.items)) == (name, 4)


@ON_SQLITE
@pytest.mark.parametrize(
    "path", ["/organize/imports/٣", "/organize/imports/99999999999999999999", "/organize/imports/x"]
)
def test_an_address_that_is_no_number_is_no_calendar(ana: TestClient, path: str) -> None:
    assert ana.get(path).status_code == 404
