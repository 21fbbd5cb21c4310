"""Changed dates are told at once: to those who follow the event, and to those near who asked for the next 48 hours."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import icalendar
import pytest
import sqlalchemy as sa
from sqlmodel import Session, select

from events import worker
from events.branches.models import Branch, Status
from events.calendars import dates_changed, derived, store
from events.calendars.content import Publishing
from events.calendars.dates_changed import WAIT
from events.calendars.drafts import OverrideDraft
from events.calendars.models import DateChange, Event
from events.config import Settings
from events.db import Database
from events.mail import composed
from events.messages import outbox
from events.messages.models import RefusedAddress
from events.places.geo import Distance
from events.subscriptions import choices, urgent
from events.subscriptions.models import Frequency, Subscription, SubscriptionEvent
from events.subscriptions.writing import Site
from tests.calendars.test_feeds import weekly
from tests.conftest import NOW, Cast

from .readers import CHICAGO, DAY, MADRID, mail_to, mails, plain, reader

LATER = NOW + timedelta(minutes=30)
TOLD = LATER + WAIT
TOMORROW, NEXT = datetime(2026, 11, 24, 19), datetime(2026, 12, 1, 19)
HOUR, WEEK = timedelta(hours=1), timedelta(weeks=1)
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


class Club:
    """Tool night, each Tuesday at Alder, and those who hear of it."""

    def __init__(self, database: Database, publishing: Publishing, cast: Cast) -> None:
        self.database, self.publishing, self.cast = database, publishing, cast
        self.site = Site(publishing, "for tests only")
        self.number = self.add(weekly())

    def add(self, draft: Any) -> int:
        with self.database.writing() as session:
            return store.add(session, draft, [self.cast.alder], self.publishing, NOW - 9 * DAY).id or 0

    def change(self, act: Callable[[Session, Event], object], number: int = 0) -> None:
        with self.database.writing() as session:
            event = session.get_one(Event, number or self.number)
            act(session, event)
            derived.save(session, event, self.publishing, LATER)

    def change_date(self, at: datetime, number: int = 0, **more: Any) -> None:
        change = OverrideDraft(original_start=at, **more)
        self.change(lambda s, event: store.change_date(s, event, change, self.publishing, LATER), number)

    def cancel(self, at: datetime = TOMORROW) -> None:
        self.change_date(at, cancelled=True, reason="Burst pipe.")

    def reader(self, name: str = "ben", **more: Any) -> None:
        """Who wants nothing but the urgent lane, and chose nothing else, unless it is said."""
        with self.database.writing() as session:
            reader(session, name, **{"frequency": Frequency.NEVER, "urgent": True, "run_at": None, **more})

    def follower(self, name: str = "ben", number: int = 0, **more: Any) -> None:
        with self.database.reading() as session:
            event = session.get_one(Event, number or self.number)
        self.reader(name, **{"follows": [event], "urgent": False, "near": MADRID, **more})

    def send(self, now: datetime = TOLD) -> int:
        """How many events were looked at."""
        number = 0
        while looked_at := urgent.send(self.database, self.site, now):
            number += looked_at
        return number

    def told(self, name: str = "ben", now: datetime = TOLD) -> str:
        self.send(now)
        mail = mail_to(self.database, name)
        return plain(f"{mail.subject}\n\n{mail.body}") if mail else ""

    def to(self) -> list[str]:
        return sorted(mail.recipient.partition("@")[0] for mail in mails(self.database))


@pytest.fixture
def club(database: Database, publishing: Publishing, cast: Cast) -> Club:
    return Club(database, publishing, cast)


# ---------------------------------------------------------------- what is told


def test_who_follows_an_event_is_told_that_a_date_is_cancelled_and_why(club: Club) -> None:
    club.follower()
    club.cancel(NEXT)
    assert club.told(now=LATER) == "", "within the minute it may be taken back"
    text = club.told()
    assert text.startswith(
        "Cancelled: Tool night, Tuesday, December 1, 2026\n\n"
        "Alder Club has changed an event that you follow.\n\n"
        "Cancelled: Tool night\n"
        "Tuesday, December 1, 2026, 7:00 – 9:00 PM, Chicago time\n"
        "Burst pipe.\n"
        "http://localhost:8000/events/1?date=2026-12-01\n\n"
        "The attached file brings your calendar up to date.\n\n"
        "You get this because you follow this event.\n\n"
        "Change what you get, or stop it:\nhttp://localhost:8000/subscriptions/"
    )
    assert club.send() == 0 and len(mails(club.database)) == 1, "once"


@on_sqlite
def test_a_date_that_was_moved_says_from_when_to_when_and_where(club: Club) -> None:
    club.follower()
    club.change_date(NEXT, start=NEXT + HOUR, end=NEXT + 3 * HOUR, venue_name="Town hall")
    text = club.told()
    assert text.startswith("Moved: Tool night, now Tuesday, December 1, 2026, 8:00 PM\n")
    assert (
        "Moved: Tool night\n"
        "Moved from Tuesday, December 1, 2026, 7:00 PM to 8:00 PM.\n"
        "Tuesday, December 1, 2026, 8:00 – 10:00 PM, Chicago time\n"
        "Now at: Town hall\n"
        "http://localhost:8000/events/1?date=2026-12-01\n"
    ) in text


@on_sqlite
def test_another_place_another_end_and_a_date_that_is_on_after_all_say_so(club: Club) -> None:
    club.cancel(NEXT + 2 * WEEK)
    club.send()
    club.follower()
    club.change_date(NEXT, venue_name="Town hall", venue_address="1 Main Street")
    club.change_date(NEXT + WEEK, end=NEXT + WEEK + 4 * HOUR)
    club.change_date(NEXT + 2 * WEEK)
    text = club.told()
    assert text.startswith("Changed: Tool night, 3 dates\n")
    assert "New place: Tool night\nTuesday, December 1, 2026, 7:00 – 9:00 PM, Chicago time\n" in text
    assert "\nNow at: Town hall, 1 Main Street\n" in text
    assert "Changed: Tool night\nTuesday, December 8, 2026, 7:00 – 11:00 PM, Chicago time\n" in text
    assert "On after all: Tool night\nIt takes place after all.\nTuesday, December 15, 2026" in text


@on_sqlite
@pytest.mark.parametrize("how", ["cancelled", "postponed", "a draft again", "removed"])
def test_a_series_that_is_off_as_a_whole_is_told_once_and_not_date_by_date(club: Club, how: str) -> None:
    club.follower()

    def act(_: Session, event: Event) -> None:
        match how:
            case "cancelled":
                event.cancel("Nobody has time.", LATER)
            case "postponed":
                event.postpone("Nobody has time.", LATER)
            case "a draft again":
                event.unpublish()
            case _:
                event.delete(LATER)

    club.change(act)
    if how == "a draft again":
        club.change(lambda _, event: setattr(event, "title", "Secret plans"))
    text, mark = club.told(), "Postponed" if how == "postponed" else "Cancelled"
    gone = how in ("a draft again", "removed")
    reason = "This event is no longer announced." if gone else "Nobody has time."
    page = "branches/alder" if gone else "events/1"
    assert text.startswith(f"{mark}: Tool night, all dates\n")
    assert (
        f"{mark}: Tool night\nFrom Tuesday, November 24, 2026 on, none of its dates takes place.\n{reason}\n"
        f"http://localhost:8000/{page}\n"
    ) in text
    assert "Secret" not in text + mails(club.database)[0].event_file


@on_sqlite
def test_a_date_left_out_does_not_take_place(club: Club) -> None:
    club.follower()
    draft = weekly(exdates=(NEXT,))
    club.change(lambda s, event: store.revise(s, event, draft, [club.cast.alder], club.publishing, LATER))
    text = club.told()
    assert text.startswith("Cancelled: Tool night, Tuesday, December 1, 2026\n")
    assert "\nIt does not take place on this day.\nhttp://localhost:8000/events/1\n" in text


@on_sqlite
def test_of_many_dates_the_soonest_are_told_and_how_many_more(club: Club) -> None:
    club.follower()
    start = TOMORROW + HOUR
    draft = weekly(start=start, end=start + 2 * HOUR)
    club.change(lambda s, event: store.revise(s, event, draft, [club.cast.alder], club.publishing, LATER))
    text = club.told()
    assert text.startswith("Moved: Tool night, 20 dates\n") and text.count("\nMoved: Tool night\n") == 5
    assert "And 15 more dates:\nhttp://localhost:8000/events/1\n" in text


@on_sqlite
def test_what_lasts_all_day_is_told_by_its_days(club: Club) -> None:
    number = club.add(
        weekly(title="Fair", rrule="", all_day=True, start=datetime(2026, 12, 5), end=datetime(2026, 12, 6))
    )
    club.follower(number=number)
    later = weekly(
        title="Fair", rrule="", all_day=True, start=datetime(2026, 12, 12), end=datetime(2026, 12, 14)
    )
    club.change(
        lambda s, event: store.revise(s, event, later, [club.cast.alder], club.publishing, LATER), number
    )
    text = club.told()
    assert text.startswith("Moved: Fair, now Saturday, December 12, 2026\n")
    assert "Moved from Saturday, December 5, 2026 to Saturday, December 12, 2026.\n" in text
    assert "PM" not in text and "AM" not in text.partition("\n")[2].replace("AMP", "")


@on_sqlite
def test_what_is_put_right_within_the_minute_is_told_to_nobody(club: Club) -> None:
    club.follower()
    club.cancel(NEXT)
    club.change_date(NEXT)
    assert club.send() == 1 and mails(club.database) == []
    with club.database.reading() as session:
        assert session.exec(select(DateChange)).all() == []


@on_sqlite
def test_what_an_import_changes_far_ahead_is_put_aside_at_once_when_nobody_follows_it(club: Club) -> None:
    """Otherwise a cancellation would wait for thousands of looks."""
    club.reader(near=CHICAGO)
    day = datetime(2027, 3, 1, 19)
    numbers = [club.add(weekly(title="Far", rrule="", start=day, end=day + HOUR)) for _ in range(8)]
    for number in numbers:
        club.change(lambda _, event: event.cancel("No.", LATER), number)
    statements: list[str] = []
    sa.event.listen(club.database.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    assert urgent.send(club.database, club.site, TOLD) == 8
    asked = [one.partition(" ")[0] for one in statements if not one.startswith("BEGIN")]
    assert asked.count("WITH") == 1 and asked.count("SELECT") == 1 and asked.count("DELETE") == 8
    assert mails(club.database) == [] and club.send() == 0


# ---------------------------------------------------------------- who is told


def test_who_asked_for_the_next_two_days_hears_of_these_alone(club: Club) -> None:
    club.reader(near=CHICAGO)
    club.cancel(NEXT)
    assert club.told() == "", "that is next week"
    club.cancel(TOMORROW)
    text = club.told()
    assert "Alder Club has changed something at short notice.\n" in text
    assert (
        "You get this because you asked to be told at once of what changes within the next 48 hours." in text
    )
    assert "December 1" not in text


@on_sqlite
def test_what_moves_into_the_next_two_days_is_told_too(club: Club) -> None:
    club.reader(near=CHICAGO)
    soon = datetime(2026, 11, 25, 6)
    club.change_date(NEXT, start=soon, end=soon + HOUR)
    assert club.told().startswith("Moved: Tool night, now Wednesday, November 25, 2026, 6:00 AM\n")


def test_only_those_near_or_of_the_branch_or_who_want_everything_are_told(club: Club) -> None:
    alder, birch = club.cast.alder, club.cast.birch
    with club.database.writing() as session:
        old = Branch(slug="old", name="Old", status=Status.CLOSED, successor_id=alder.id, updated_at=NOW)
        session.add(old)
        session.flush()
    club.add(weekly(title="Songs", topics=("Music",)))
    club.reader("near", near=CHICAGO)
    club.reader("far", near=MADRID)
    club.reader("just-too-far", near=CHICAGO, within=Distance(1.0))
    club.reader("of-branch", branches=[alder])
    club.reader("of-successor", branches=[old])
    club.reader("of-other", branches=[birch])
    club.reader("far-but-of-branch", near=MADRID, branches=[alder])
    club.reader("all")
    club.reader("all-repair", topics=["repair"])
    club.reader("all-music", topics=["music"])
    club.reader("not-urgent", near=CHICAGO, urgent=False)
    club.reader("unconfirmed", near=CHICAGO, confirmed_at=None)
    club.reader("refused", near=CHICAGO)
    club.follower("follower")
    club.follower("both", urgent=True, near=CHICAGO)
    club.follower("unconfirmed-follower", confirmed_at=None)
    with club.database.writing() as session:
        session.add(RefusedAddress(address="refused@example.org", refused_at=NOW))
    club.cancel()
    club.send()
    assert club.to() == [
        *("all", "all-repair", "both", "far-but-of-branch", "follower", "near", "of-branch", "of-successor"),
    ]


@on_sqlite
def test_who_follows_a_series_follows_what_goes_on_from_it(club: Club) -> None:
    club.follower()
    with club.database.writing() as session:
        event = session.get_one(Event, club.number)
        later = store.following(session, event, NEXT).model_copy(
            update={"start": NEXT + HOUR, "end": NEXT + 3 * HOUR, "overrides": ()}
        )
        store.change_following(session, event, NEXT, later, [club.cast.alder], club.publishing, LATER)
    text = club.told()
    assert text.startswith("Moved: Tool night, 20 dates\n") and "/events/2?date=2026-12-01" in text
    with club.database.reading() as session:
        followed = {link.event_id for link in session.exec(select(SubscriptionEvent))}
    assert followed == {1, 2}


@on_sqlite
def test_it_speaks_the_language_of_its_reader(club: Club) -> None:
    club.follower("ben", language="es")
    club.follower("dee")
    club.cancel()
    club.send()
    spanish, english = mail_to(club.database, "ben"), mail_to(club.database, "dee")
    assert spanish is not None and english is not None
    assert spanish.subject.startswith("Cancelado: Tool night, martes, 24 de noviembre de 2026")
    assert "/es/events/1?date=2026-11-24\n" in spanish.body and "X-BRANCHLINE//ES" not in english.event_file
    assert "PRODID:-//Branchline//Branchline//ES" in spanish.event_file


# ---------------------------------------------------------------- the mail


@on_sqlite
def test_the_calendar_of_the_event_is_attached_and_it_can_be_ended_by_one_click(club: Club) -> None:
    club.follower()
    club.cancel()
    club.send()
    [mail] = mails(club.database)
    assert (mail.kind, mail.bulk) == ("urgent", False)
    assert mail.unsubscribe_url.startswith("http://localhost:8000/subscriptions/1-")
    assert mail.unsubscribe_url.endswith("/unsubscription")
    calendar: Any = icalendar.Calendar.from_ical(mail.event_file)
    assert calendar["METHOD"] == "PUBLISH"
    [series, date_off] = calendar.walk("VEVENT")
    assert (series["STATUS"], date_off["STATUS"]) == ("CONFIRMED", "CANCELLED")
    assert date_off["RECURRENCE-ID"].dt.replace(tzinfo=None) == TOMORROW
    message = composed(outbox.as_mail(mail), "events@example.org", "Hazel Clubs")
    [attached] = message.iter_attachments()
    assert attached.get_content_type() == "text/calendar"
    assert b"X-WR-CALNAME:Hazel Clubs: Tool night\r\n" in attached.get_payload(decode=True)


@on_sqlite
def test_a_long_title_leaves_room_for_the_day(club: Club) -> None:
    number = club.add(weekly(title="Saws " * 30, rrule=""))
    club.follower(number=number)
    club.change(lambda _, event: event.cancel("No.", LATER), number)
    assert club.told().startswith(f"Cancelled: {'Saws ' * 11}Saws…, Tuesday, November 24, 2026\n")


@on_sqlite
def test_a_title_cannot_write_headers(club: Club) -> None:
    title = "Tools\u2028Bcc: eve@example.org =?utf-8?q?=0ABcc=3A?="
    number = club.add(weekly(title="Saws", rrule=""))
    club.follower(number=number)
    club.change(lambda _, event: setattr(event, "title", title), number)
    club.change(lambda _, event: event.cancel("No.", LATER), number)
    club.send()
    [mail] = mails(club.database)
    message = composed(outbox.as_mail(mail), "events@example.org", "Hazel Clubs")
    assert "Bcc" not in message and message["To"] == "ben@example.org"


# ---------------------------------------------------------------- once


def test_a_worker_that_dies_tells_nothing_and_the_next_one_tells_all(
    club: Club, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        club.follower(f"reader{number}")
    club.cancel()
    put, number = outbox.put, 0

    class Killed(BaseException):
        pass

    def dying(*arguments: Any, **more: Any) -> object:
        nonlocal number
        number += 1
        if number == 3:
            raise Killed
        return put(*arguments, **more)

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(outbox, "put", dying)
        club.send()
    assert mails(club.database) == [] and club.send() == 0, "leased"
    assert club.send(TOLD + dates_changed.LEASE + timedelta(seconds=1)) == 1
    assert club.to() == [f"reader{number}" for number in range(4)]


def test_two_workers_tell_each_change_once(club: Club, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urgent, "BATCH", 1)
    numbers = [club.add(weekly(title=f"Quiz {number}", rrule="")) for number in range(6)]
    with club.database.writing() as session:
        events = [session.get_one(Event, number) for number in numbers]
        reader(session, "ben", follows=events)
        for event in events:
            event.cancel("Snow.", LATER)
            derived.save(session, event, club.publishing, LATER)
    start = threading.Barrier(2)

    def work() -> int:
        start.wait(10)
        return club.send()

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(work) for _ in range(2)]
        assert sum(future.result(60) for future in both) == 6
    assert len({mail.subject for mail in mails(club.database)}) == 6 == len(mails(club.database))


def test_what_changes_while_it_is_told_is_told_from_what_is_true_then(
    club: Club, monkeypatch: pytest.MonkeyPatch
) -> None:
    club.follower()
    club.cancel()
    telling = urgent._telling

    def slowly(*arguments: Any) -> Any:
        """An organizer changes their mind after the worker has looked."""
        monkeypatch.setattr(urgent, "_telling", telling)
        found = telling(*arguments)
        with ThreadPoolExecutor(1) as organizer:
            organizer.submit(club.change_date, TOMORROW, **MOVED).result(20)
        return found

    monkeypatch.setattr(urgent, "_telling", slowly)
    assert club.told().startswith("Moved: Tool night, now Tuesday, November 24, 2026, 9:00 PM\n")
    assert len(mails(club.database)) == 1


@on_sqlite
def test_a_fault_of_ours_with_one_event_keeps_no_other_from_being_told(
    club: Club, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiz = club.add(weekly(title="Quiz"))
    club.follower("ben")
    club.follower("cleo", quiz)
    club.cancel()
    club.change_date(TOMORROW, quiz, cancelled=True)
    tell = urgent._tell

    def fails(database: Database, work: dates_changed.Work, *more: Any) -> None:
        if work.event_id == club.number:
            raise KeyError("a fault of ours")
        tell(database, work, *more)

    monkeypatch.setattr(urgent, "_tell", fails)
    club.send()
    assert club.to() == ["cleo"]
    monkeypatch.undo()
    club.send(TOLD + dates_changed.LEASE + timedelta(seconds=1))
    assert club.to() == ["ben", "cleo"]


@on_sqlite
def test_what_was_put_off_at_the_last_moment_is_told_when_the_old_date_would_be_over(club: Club) -> None:
    """The worker was away."""
    club.follower()
    club.change_date(TOMORROW, start=TOMORROW + 3 * DAY, end=TOMORROW + 3 * DAY + 2 * HOUR)
    assert club.told(now=NOW + 2 * DAY).startswith("Moved: Tool night, now Friday, November 27, 2026")


def test_who_ends_it_or_wants_it_no_more_while_the_mails_are_composed_gets_none(
    club: Club, monkeypatch: pytest.MonkeyPatch
) -> None:
    club.follower("ben")
    club.follower("cleo")
    club.reader("dora", near=CHICAGO)
    club.reader("emil", near=CHICAGO)
    club.cancel()
    telling = urgent._telling

    def slowly(*arguments: Any) -> Any:
        found = telling(*arguments)
        with club.database.writing() as session:
            named = {one.email.partition("@")[0]: one for one in session.exec(select(Subscription))}
            choices.end(session, named["ben"])
            named["dora"].urgent = False
        return found

    monkeypatch.setattr(urgent, "_telling", slowly)
    club.send()
    assert club.to() == ["cleo", "emil"]


MOVED: dict[str, Any] = {"start": TOMORROW + 2 * HOUR, "end": TOMORROW + 4 * HOUR}


@on_sqlite
def test_the_worker_tells_changes_and_sends_digests_and_writes_nothing_when_there_are_none(
    club: Club, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_now", lambda: TOLD)
    working = worker.Worker(settings, club.publishing)
    statements: list[str] = []
    sa.event.listen(working.database.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    jobs = (working.tell_of_changes, working.send_digests)
    assert [job() for job in jobs] == [0, 0]
    assert [one for one in statements if not one.startswith("SELECT") and one != "BEGIN"] == []
    club.follower(frequency=Frequency.DAILY, near=CHICAGO, run_at=NOW, told_until=None)
    club.cancel()
    assert [job() for job in jobs] == [1, 1] and [job() for job in jobs] == [0, 0]
    assert [mail.kind for mail in mails(club.database)] == ["urgent", "digest"]
    working.database.dispose()
