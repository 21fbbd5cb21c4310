"""Digests tell what is new, changed or off since the last one, near enough, once; and nothing when there is nothing."""

import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session

from events.branches.models import Branch, Status
from events.calendars import derived, store
from events.calendars.content import Publishing
from events.calendars.drafts import OverrideDraft
from events.calendars.models import Event
from events.db import Database
from events.messages.models import RefusedAddress
from events.news.models import Notice
from events.places.geo import Distance
from events.subscriptions import choices, digests, schedule
from events.subscriptions.links import token_of
from events.subscriptions.models import Frequency, Subscription
from events.subscriptions.writing import Site
from tests.calendars.test_feeds import weekly
from tests.conftest import NOW, Cast

from .readers import CHICAGO, DAY, MADRID, empty_outbox, mail_to, mails, plain, reader

LONG_AGO, LATELY = NOW - 9 * DAY, NOW - timedelta(hours=5)
FIRST, SECOND = datetime(2026, 11, 24, 19), datetime(2026, 12, 1, 19)
HOUR, WEEK = timedelta(hours=1), timedelta(weeks=1)
SATURDAY = date(2026, 12, 5)
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

Act = Callable[[Session, Event], object]


class Town:
    """Events, readers, and what those read."""

    def __init__(self, database: Database, publishing: Publishing, cast: Cast) -> None:
        self.database, self.publishing, self.cast = database, publishing, cast
        self.site = Site(publishing, "for tests only")

    def event(self, title: str, on: date | None = None, at: datetime = LONG_AGO, **more: Any) -> int:
        """Every Tuesday, or on one day; of Alder, published long ago, if nothing else is said."""
        host = more.pop("host", self.cast.alder)
        if on is not None:
            start = datetime(on.year, on.month, on.day, 19)
            more = {"rrule": "", "start": start, "end": start + 2 * HOUR, **more}
        with self.database.writing() as session:
            draft = weekly(title=title, **more)
            return store.add(session, draft, [session.merge(host)], self.publishing, at).id or 0

    def change(self, number: int, act: Act, at: datetime = LATELY) -> None:
        with self.database.writing() as session:
            event = session.get_one(Event, number)
            act(session, event)
            derived.save(session, event, self.publishing, at)

    def change_date(self, number: int, at: datetime = LATELY, **change: Any) -> None:
        def act(session: Session, event: Event) -> None:
            store.change_date(session, event, OverrideDraft(**change), self.publishing, at)

        self.change(number, act, at)

    def reader(self, name: str = "ben", **more: Any) -> int:
        """Near Chicago, if nothing else is said."""
        with self.database.writing() as session:
            return reader(session, name, **{"near": CHICAGO, **more}).id or 0

    def send(self, now: datetime = NOW) -> None:
        """The mails before are forgotten."""
        empty_outbox(self.database)
        while digests.send(self.database, self.site, now):
            pass

    def told(self, name: str = "ben", now: datetime = NOW) -> str:
        """The text of the mail; empty when there was none."""
        self.send(now)
        mail = mail_to(self.database, name)
        return plain(mail.body) if mail else ""

    def row(self, number: int) -> Subscription:
        with self.database.reading() as session:
            return session.get_one(Subscription, number)


@pytest.fixture
def town(database: Database, publishing: Publishing, cast: Cast) -> Town:
    return Town(database, publishing, cast)


def part(body: str, heading: str) -> str:
    """What stands below a heading."""
    pattern = rf"^{heading}\n-+\n\n(.*?)(?=\n\n[^\n]+\n---|\n\nAll (?:news|events):)"
    found = re.search(pattern, body, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def titles(body: str, heading: str) -> list[str]:
    return [item.split("\n")[0] for item in part(body, heading).split("\n\n") if item]


# ---------------------------------------------------------------- what is told


def test_the_first_tells_all_that_is_on_in_the_next_sixty_days_each_event_once(town: Town) -> None:
    town.event("Tool night")
    town.event("Swap day", SATURDAY, venue={"name": "Town hall", "address_1": "1 Main Street"})
    town.event("Far away", host=town.cast.birch)
    town.event("Next year", date(2027, 2, 5))
    town.event("Off", SATURDAY, state="cancelled")
    town.reader(told_until=None)
    body = town.told()
    assert part(body, "Coming up") == (
        "Tool night\n"
        "Tuesday, November 24, 2026, 7:00 – 9:00 PM\n"
        "Alder Club · Chicago · 0.7 mi\n"
        "Every Tuesday\n"
        "http://localhost:8000/events/1?date=2026-11-24\n"
        "Calendar file: http://localhost:8000/events/1.ics\n\n"
        "Swap day\n"
        "Saturday, December 5, 2026, 7:00 – 9:00 PM\n"
        "Alder Club · Town hall, 1 Main Street · 0.7 mi\n"
        "http://localhost:8000/events/2\n"
        "Calendar file: http://localhost:8000/events/2.ics"
    )
    [mail] = mails(town.database)
    assert (mail.kind, mail.bulk, mail.subject) == ("digest", True, "Near Chicago: 2 events")
    assert body.startswith("Events near Chicago, Illinois (25 mi)\n\n")


def test_without_anything_to_tell_there_is_no_mail_and_the_next_morning_comes(town: Town) -> None:
    town.event("Tool night")
    number = town.reader()
    assert town.told() == ""
    row = town.row(number)
    assert row.told_until == NOW - digests.SETTLED and row.leased_until is None
    assert row.run_at == schedule.next_run(Frequency.DAILY, "America/Chicago", NOW)


@on_sqlite
def test_a_place_without_any_branch_gets_no_mail(town: Town) -> None:
    with town.database.writing() as session:
        reader(session, "ben", CHICAGO, within=Distance(10), latitude=-60.0, told_until=None)
    town.event("Tool night")
    assert town.told() == ""


@on_sqlite
def test_what_was_published_since_is_new_and_is_told_once(town: Town) -> None:
    town.event("Tool night")
    town.event("Quiz", SATURDAY, at=LATELY)
    town.reader()
    body = town.told()
    assert titles(body, "New events") == ["Quiz"] and "Tool night" not in body
    assert mails(town.database)[0].subject == "Near Chicago: 1 new event"
    assert town.told(now=NOW + DAY) == ""


def test_what_comes_near_enough_is_new_then(town: Town) -> None:
    """A date in 60 days and a bit; one of a series that was told before is none of that."""
    town.event("Far ahead", (NOW + 60 * DAY).date(), at=LATELY)
    town.event("Tool night", rrule="FREQ=DAILY")
    town.reader()
    assert town.told() == ""
    assert titles(town.told(now=NOW + DAY), "New events") == ["Far ahead"]
    assert town.told(now=NOW + 2 * DAY) == ""


@on_sqlite
def test_what_has_changed_is_told_with_its_next_date(town: Town) -> None:
    number = town.event("Tool night")
    town.reader()
    town.change(number, lambda _, event: setattr(event, "description", "Bring a saw."))
    body = town.told()
    assert part(body, "Changed events").startswith("Tool night\nTuesday, November 24, 2026, 7:00 – 9:00 PM\n")
    assert mails(town.database)[0].subject == "Near Chicago: 1 changed"


@on_sqlite
def test_a_date_that_was_moved_says_from_when_to_when(town: Town) -> None:
    number = town.event("Tool night")
    town.reader()
    town.change_date(number, original_start=SECOND, start=SECOND + HOUR, end=SECOND + 3 * HOUR)
    text = part(town.told(), "Changed events")
    assert text.startswith("Tool night\nTuesday, December 1, 2026, 8:00 – 10:00 PM\n")
    assert "Moved from Tuesday, December 1, 2026, 7:00 PM to 8:00 PM." in text
    assert "http://localhost:8000/events/1?date=2026-12-01" in text


@on_sqlite
def test_what_was_moved_far_ahead_is_told_all_the_same(town: Town) -> None:
    number = town.event("Swap day", SATURDAY)
    town.reader()
    late = datetime(2027, 5, 1, 19)
    draft = weekly(title="Swap day", rrule="", start=late, end=late + HOUR)
    town.change(
        number, lambda s, event: store.revise(s, event, draft, [town.cast.alder], town.publishing, LATELY)
    )
    assert "Moved from Saturday, December 5, 2026" in part(town.told(), "Changed events")


def test_what_is_cancelled_or_postponed_says_why_once(town: Town) -> None:
    off, later, series = (
        town.event("Swap day", SATURDAY),
        town.event("Quiz", SATURDAY),
        town.event("Tool night"),
    )
    town.reader()
    town.change(off, lambda _, event: event.cancel("Nobody has time.", LATELY))
    town.change(later, lambda _, event: event.postpone("A new day is looked for.", LATELY))
    town.change_date(series, original_start=SECOND, cancelled=True, reason="Burst pipe.")
    body = town.told()
    items = part(body, "Cancelled or postponed").split("\n\n")
    assert [item.split("\n")[0] for item in items] == [
        "Cancelled: Tool night",
        "Cancelled: Swap day",
        "Postponed: Quiz",
    ]
    for item, reason in zip(
        items, ("Burst pipe.", "Nobody has time.", "A new day is looked for."), strict=True
    ):
        assert f"\n{reason}\n" in item and ".ics" not in item
    assert part(body, "Changed events") == "" == part(body, "New events")
    assert mails(town.database)[0].subject == "Near Chicago: 2 cancelled and 1 postponed"
    for number in (off, later, series):
        town.change(number, lambda _, event: setattr(event, "description", "Something else."), NOW + HOUR)
    body = town.told(now=NOW + DAY)
    assert part(body, "Cancelled or postponed") == "", "that was told before"
    assert titles(body, "Changed events") == ["Tool night"]


@on_sqlite
def test_what_was_postponed_and_then_cancelled_is_told_twice(town: Town) -> None:
    one, other = town.event("Swap day", SATURDAY), town.event("Quiz", SATURDAY)
    town.reader()
    for number in (one, other):
        town.change(number, lambda _, event: event.postpone("A new day is looked for.", LATELY))
    assert "Postponed: Swap day\n" in town.told()
    town.change(one, lambda _, event: event.cancel("None was found.", NOW + HOUR), NOW + HOUR)
    with town.database.writing() as session:
        event = session.get_one(Event, other)
        draft = store.draft_of(derived.tell(session, event)).model_copy(update={"state": "cancelled"})
        alder = session.merge(town.cast.alder)
        store.revise(session, event, draft, [alder], town.publishing, NOW + HOUR)
    body = town.told(now=NOW + DAY)
    assert "Cancelled: Swap day\n" in body and "Cancelled: Quiz\n" in body


@on_sqlite
def test_who_never_heard_of_an_event_does_not_hear_that_it_is_off(town: Town) -> None:
    cancelled, removed = (town.event("Quiz", SATURDAY, at=LATELY - HOUR) for _ in range(2))
    town.reader()
    town.change(cancelled, lambda _, event: event.cancel("A mistake.", LATELY))
    town.change(removed, lambda _, event: event.delete(LATELY))
    assert town.told() == ""


@on_sqlite
def test_that_something_is_off_is_not_told_when_it_would_be_over(town: Town) -> None:
    number = town.event("Swap day", (NOW - DAY).date())
    town.reader(told_until=NOW - 3 * DAY)
    town.change(number, lambda _, event: event.cancel("Snow.", NOW - 2 * DAY), NOW - 2 * DAY)
    assert town.told() == ""


@pytest.mark.parametrize("how", ["a draft again", "removed"])
def test_an_event_that_is_not_announced_any_more_is_told_in_the_words_that_were_public(
    town: Town, how: str
) -> None:
    number = town.event("Swap day", SATURDAY)
    town.event("Elsewhere", SATURDAY, host=town.cast.birch)
    town.reader()
    town.reader("cy", near=MADRID)
    town.reader("dee", told_until=NOW - HOUR)
    town.change(number, lambda _, event: event.delete(LATELY) if how == "removed" else event.unpublish())
    if how != "removed":
        town.change(number, lambda _, event: setattr(event, "title", "Secret plans"), LATELY + HOUR)
    body = town.told()
    assert part(body, "Cancelled or postponed") == (
        "Cancelled: Swap day\n"
        "Saturday, December 5, 2026\n"
        "Alder Club\n"
        "This event is no longer announced.\n"
        "http://localhost:8000/branches/alder"
    )
    assert mails(town.database)[0].subject == "Near Chicago: 1 cancelled" and len(mails(town.database)) == 1
    assert town.told(now=NOW + DAY) == ""


@on_sqlite
def test_among_very_many_that_are_not_announced_any_more_each_reader_finds_theirs(town: Town) -> None:
    mine = town.event("Swap day", SATURDAY)
    town.reader()
    town.change(mine, lambda _, event: event.unpublish())
    with town.database.writing() as session:
        birch, later = session.merge(town.cast.birch), LATELY + HOUR
        for number in range(101):
            other = store.add(
                session, weekly(title=f"Elsewhere {number}"), [birch], town.publishing, LONG_AGO
            )
            other.unpublish()
            derived.save(session, other, town.publishing, later)
    assert "Cancelled: Swap day\n" in town.told()


def test_what_changes_in_the_last_minute_is_told_the_next_time_and_once(town: Town) -> None:
    """A transaction that is still open may bring something older than what can be seen."""
    town.event("Quiz", SATURDAY, at=NOW - timedelta(seconds=30))
    number = town.event("Tool night")
    town.change(
        number,
        lambda _, event: setattr(event, "description", "A saw."),
        NOW - timedelta(seconds=30),
    )
    town.reader()
    town.reader("dee", told_until=None)
    assert town.told() == ""
    assert titles(plain(mails(town.database)[0].body), "Coming up") == ["Tool night"]
    body = town.told(now=NOW + DAY)
    assert (titles(body, "New events"), titles(body, "Changed events")) == (["Quiz"], ["Tool night"])
    assert town.told(now=NOW + 2 * DAY) == ""


# ---------------------------------------------------------------- for whom


def test_branches_and_a_place_add_up_and_topics_narrow(town: Town) -> None:
    alder, birch = town.cast.alder, town.cast.birch
    town.event("Here", at=LATELY)
    town.event("There", at=LATELY, host=birch)
    town.event("There sung", at=LATELY, host=birch, topics=("Music",))
    everything = ["Here", "There", "There sung"]
    expected: dict[str, tuple[dict[str, Any], list[str]]] = {
        "near": ({"near": CHICAGO}, ["Here"]),
        "of-branch": ({"near": None, "branches": [birch]}, ["There", "There sung"]),
        "both": ({"near": CHICAGO, "branches": [birch]}, everything),
        "of-topic": ({"near": MADRID, "topics": ["music"]}, ["There sung"]),
        "all": ({"near": None}, everything),
        "all-of-topic": ({"near": None, "topics": ["repair"]}, ["Here", "There"]),
        "of-branch-and-topic": (
            {"near": None, "branches": [alder, birch], "topics": ["music"]},
            ["There sung"],
        ),
    }
    for name, (choice, _) in expected.items():
        town.reader(name, **choice)
    town.send()
    for name, (_, wanted) in expected.items():
        mail = mail_to(town.database, name)
        assert mail is not None and titles(plain(mail.body), "New events") == wanted, name
    of = {mail.recipient.split("@")[0]: mail for mail in mails(town.database)}
    assert of["of-branch"].subject == "Club Abedul: 2 new events"
    assert of["of-branch-and-topic"].subject == "Your branches: 1 new event"
    assert of["all"].subject == "Hazel Clubs: 3 new events"
    assert "\nOnly about: Music\n" in of["of-topic"].body
    assert "/events?near=40.42,-3.7&within=25mi&topic=music\n" in of["of-topic"].body
    assert "/events?branch=alder&branch=birch&topic=music\n" in of["of-branch-and-topic"].body


def test_who_chose_a_branch_that_has_closed_hears_of_the_one_that_took_over(town: Town) -> None:
    with town.database.writing() as session:
        closed = Branch(slug="old", name="Old Club", status=Status.CLOSED, updated_at=NOW)
        closed.successor_id = town.cast.birch.id
        session.add(closed)
        session.flush()
    town.event("There", at=LATELY, host=town.cast.birch)
    town.reader(near=None, branches=[closed])
    assert titles(town.told(), "New events") == ["There"]


@on_sqlite
def test_of_very_many_events_the_soonest_are_told_and_how_many_more_there_are(town: Town) -> None:
    for number in range(33):
        town.event(f"Quiz {number}", SATURDAY + timedelta(days=number), at=LATELY)
    town.reader()
    town.reader("dee", told_until=None)
    body = town.told()
    assert titles(body, "New events")[:30] == [f"Quiz {number}" for number in range(30)]
    assert "And 3 more events:\nhttp://localhost:8000/events?near=41.92,-87.64&within=25mi\n" in body
    first = mail_to(town.database, "dee")
    assert first is not None and first.subject == "Near Chicago: 33 events"
    assert "And 3 more events:" in first.body


@on_sqlite
def test_only_confirmed_subscriptions_that_want_it_and_are_due_are_written_to(town: Town) -> None:
    town.event("Quiz", at=LATELY)
    town.reader("unconfirmed", confirmed_at=None)
    town.reader("never", frequency=Frequency.NEVER)
    town.reader("later", run_at=NOW + HOUR)
    town.reader("leased", leased_until=NOW + HOUR)
    town.reader("ben")
    town.send()
    assert [mail.recipient for mail in mails(town.database)] == ["ben@example.org"]


def test_an_address_that_does_not_exist_is_passed_over_and_one_that_refused_a_mail_is_not(town: Town) -> None:
    town.event("Quiz", at=LATELY)
    numbers = [town.reader(name) for name in ("nobody", "picky")]
    with town.database.writing() as session:
        for name in ("nobody", "picky"):
            address = f"{name}@example.org"
            session.add(RefusedAddress(address=address, refused_at=NOW, unknown=name == "nobody"))
    town.send()
    assert [mail.recipient for mail in mails(town.database)] == ["picky@example.org"]
    assert all((town.row(number).run_at or NOW) > NOW for number in numbers)


@on_sqlite
def test_it_speaks_the_language_of_its_reader_and_says_whose_clocks_are_meant(town: Town) -> None:
    town.event("Tool night", at=LATELY)
    town.reader("ben", language="es", timezone="Europe/Madrid")
    town.reader("dee", language="fr", timezone="America/Menominee")
    town.send()
    spanish, english = mail_to(town.database, "ben"), mail_to(town.database, "dee")
    assert spanish is not None and english is not None
    assert "Martes, 24 de noviembre de 2026, 19:00–21:00, hora de Chicago\n" in plain(spanish.body)
    assert "· 1,1 km\nCada martes\nhttp://localhost:8000/es/events/1?date=2026-11-24\n" in spanish.body
    assert "7:00 – 9:00 PM\n" in plain(english.body), "the same time there"


@on_sqlite
def test_the_operator_may_say_in_what_distances_are_told(town: Town) -> None:
    town.event("Tool night", at=LATELY)
    town.reader()
    town.site = replace(town.site, units="km")
    body = town.told()
    assert "near Chicago, Illinois (40 km)" in body and "· 1.1 km\n" in body


@on_sqlite
def test_it_can_be_ended_by_one_click_and_changed_without_an_account(town: Town) -> None:
    town.event("Quiz", at=LATELY)
    row = town.row(town.reader())
    body = town.told()
    [mail] = mails(town.database)
    address = f"http://localhost:8000/subscriptions/{token_of(row, 'for tests only')}"
    assert mail.unsubscribe_url == f"{address}/unsubscription"
    assert body.endswith(f"Change what you get, or stop it:\n{address}\n")


# ---------------------------------------------------------------- news


def notice(town: Town, title: str, begins_at: datetime = LATELY, **more: Any) -> None:
    with town.database.writing() as session:
        values = {
            "slug": title.lower(),
            "text": "It **is** so.",
            "shown_from": NOW.date(),
            "begins_at": begins_at,
        }
        times = {"published_at": begins_at, "created_at": LONG_AGO, "modified_at": LONG_AGO}
        session.add(Notice(title=title, **{**values, **times, **more}))


def test_news_of_the_organisation_and_of_branches_near_or_chosen_is_told(town: Town) -> None:
    notice(town, "Everybody")
    notice(town, "Chicago", branch_id=town.cast.alder.id)
    notice(town, "Madrid", branch_id=town.cast.birch.id)
    notice(town, "Old", begins_at=LONG_AGO)
    notice(town, "Ahead", begins_at=NOW + DAY)
    town.reader("ben")
    town.reader("cy", near=None, branches=[town.cast.birch])
    town.reader("dee", near=None)
    town.send()
    found = {mail.recipient[:3]: plain(mail.body) for mail in mails(town.database)}
    assert titles(found["ben"], "News") == ["Chicago", "Everybody"]
    assert titles(found["cy@"], "News") == ["Madrid", "Everybody"]
    assert titles(found["dee"], "News") == ["Madrid", "Chicago", "Everybody"]
    assert "Madrid\nClub Abedul\nIt is so.\nhttp://localhost:8000/news/madrid" in found["cy@"]
    assert "All news:\nhttp://localhost:8000/news\n" in found["cy@"]
    assert mails(town.database)[0].subject == "Near Chicago: 2 pieces of news"


# ---------------------------------------------------------------- once


@on_sqlite
def test_few_queries_are_asked_for_each_reader(town: Town) -> None:
    for number in range(8):
        town.event(f"Quiz {number}", at=LATELY)
    for number in range(60):
        more = {"near": None, "branches": [town.cast.alder]} if number % 3 == 0 else {}
        within = Distance(20 + number)  # each asks something else
        told_until = None if number % 5 == 0 else NOW - DAY
        town.reader(f"reader{number}", within=within, told_until=told_until, **more)
    statements: list[str] = []
    sa.event.listen(town.database.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    number = 0
    while sent := digests.send(town.database, town.site, NOW):
        number += sent
    assert number == 60 == len(mails(town.database))
    asked = [one for one in statements if not one.startswith("BEGIN")]
    assert len(asked) / number <= 3
    assert sum(one.startswith("SELECT") for one in asked) / number < 1.6


def test_what_is_cut_off_is_done_again_and_nobody_is_told_twice_or_left_out(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker dies with a batch composed, and with a batch half written."""
    town.event("Quiz", at=LATELY)
    for number in range(12):
        town.reader(f"reader{number}")
    monkeypatch.setattr(digests, "BATCH", 5)
    digests.send(town.database, town.site, NOW)

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as dying, pytest.raises(Killed):
        dying.setattr(digests.Mail, "put", die)
        digests.send(town.database, town.site, NOW)
    assert len(mails(town.database)) == 5
    again = NOW + digests.LEASE + timedelta(seconds=1)
    while digests.send(town.database, town.site, again):
        pass
    recipients = [mail.recipient for mail in mails(town.database)]
    assert sorted(recipients) == sorted(f"reader{number}@example.org" for number in range(12))


@on_sqlite
def test_a_fault_of_ours_with_one_digest_keeps_no_other_back(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    town.event("Quiz", at=LATELY)
    town.reader("ben")
    town.reader("dee")
    of = digests.Mail.of

    def fails(digest: Any, site: Site) -> digests.Mail:
        if digest.subscription.email.startswith("ben"):
            raise KeyError("a fault of ours")
        return of(digest, site)

    with monkeypatch.context() as patched:
        patched.setattr(digests.Mail, "of", fails)
        town.send()
    assert [mail.recipient for mail in mails(town.database)] == ["dee@example.org"]
    town.send(NOW + digests.LEASE + timedelta(seconds=1))
    assert [mail.recipient for mail in mails(town.database)] == ["ben@example.org"]


def test_two_workers_write_to_each_reader_once(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.event("Quiz", at=LATELY)
    with town.database.writing() as session:
        for number in range(40):
            reader(session, f"reader{number}", CHICAGO)
    monkeypatch.setattr(digests, "BATCH", 3)
    start = threading.Barrier(2)

    def work() -> int:
        start.wait(10)
        number = 0
        while sent := digests.send(town.database, town.site, NOW):
            number += sent
        return number

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(work) for _ in range(2)]
        assert sum(future.result(60) for future in both) == 40
    assert len({mail.recipient for mail in mails(town.database)}) == 40 == len(mails(town.database))


@on_sqlite
@pytest.mark.parametrize("how", ["ended", "changed"])
def test_who_ends_or_changes_it_while_it_is_written_does_not_get_it(
    town: Town, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    town.event("Quiz", at=LATELY)
    number, other = town.reader("ben"), town.reader("dee")
    moved_on = digests._moved_on

    def meanwhile(*arguments: Any) -> frozenset[int]:
        session = arguments[0]
        one = session.get_one(Subscription, number)
        if how == "ended":
            choices.end(session, one)
        else:
            schedule.start(one, NOW)
            session.flush()
        return moved_on(*arguments)

    monkeypatch.setattr(digests, "_moved_on", meanwhile)
    town.send()
    assert [mail.recipient for mail in mails(town.database)] == ["dee@example.org"]
    assert town.row(other).told_until is not None
    if how == "changed":
        assert town.row(number).told_until is None, "the next morning tells all"


@on_sqlite
def test_an_idle_look_claims_nothing(town: Town) -> None:
    with town.database.reading() as session:
        assert not digests.is_due(session, NOW)
    town.reader()
    with town.database.reading() as session:
        assert digests.is_due(session, NOW)
        assert not digests.is_due(session, datetime(2026, 11, 23, 11, tzinfo=UTC))
