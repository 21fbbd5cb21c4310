"""Series are asked about once a month, fade without an answer, end, and come back."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import Session, col, select
from starlette.testclient import TestClient

from events.calendars import changes, sources, store
from events.calendars.content import Publishing
from events.calendars.drafts import OverrideDraft
from events.calendars.horizon import rule_of
from events.calendars.models import Event, SourceState
from events.config import Settings
from events.db import Database
from events.desk import freshness
from events.desk.fading import faded
from events.desk.freshness import Asking
from events.errors import Conflict
from events.messages.models import OutgoingMail
from events.people import history, permissions, sign_in
from events.people.models import OneTimeLink, Person, Purpose, Role
from events.worker import Worker
from tests.calendars.test_feeds import Subscriber, weekly
from tests.conftest import NOW, Cast, branch

DAY = timedelta(days=1)
START = NOW + 3 * DAY  # when the first date is over
once = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # its SQL is covered by others


@pytest.fixture
def tool_night(database: Database, cast: Cast, publishing: Publishing) -> int:
    """Every Tuesday since 24 November, posted by Ana."""
    with database.writing() as session:
        event = store.add(session, weekly(), [cast.alder], publishing, NOW)
        changes.added(session, event, cast.ana, NOW)
        return event.id or 0


def look(database: Database, publishing: Publishing, now: datetime) -> int:
    """What the worker does once a day; returns how many questions went out."""
    with database.reading() as session:
        stopping = freshness.stopping(session, now)
    for number in stopping:
        with database.writing() as session:
            freshness.stop(session, number, publishing, now)
    with database.reading() as session:
        plan = freshness.plan(session, now)
    with database.writing() as session:
        freshness.forget_questions(session, plan.unasked)
        return sum(freshness.ask(session, asking, publishing, now) for asking in plan.askings)


def days_pass(database: Database, publishing: Publishing, since: int, until: int, step: int = 1) -> None:
    """A look every so many days, from one day after START to another."""
    for day in range(since, until + 1, step):
        look(database, publishing, START + day * DAY)


def mails(database: Database) -> list[OutgoingMail]:
    with database.reading() as session:
        return list(session.exec(select(OutgoingMail).order_by(col(OutgoingMail.id))))


def event_of(database: Database, number: int) -> Event:
    with database.reading() as session:
        return session.get_one(Event, number)


def confirm(database: Database, cast: Cast, publishing: Publishing, number: int, now: datetime) -> None:
    with database.writing() as session:
        freshness.confirm(session, session.get_one(Event, number), cast.ana, publishing, now)


def actions(session: Session, number: int) -> list[str]:
    return [one.action for one in reversed(history.versions(session, f"event:{number}"))]


# --- Asking


def test_after_a_month_without_a_word_its_people_are_asked_in_words_with_a_link(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int
) -> None:
    assert look(database, publishing, NOW + 30 * DAY - timedelta(minutes=1)) == 0
    asked = NOW + 30 * DAY
    assert look(database, publishing, asked) == 1
    [mail] = mails(database)
    assert mail.recipient == "ana@example.org" and mail.subject == "Hazel Clubs: does it still take place?"
    said = "Tool night · Every Tuesday, 7:00\u2009–\u20099:00\u202fPM, at Alder Club. Still so?"
    assert said in mail.body.replace("\xa0", " "), mail.body
    assert (
        len(re.findall(rf"{publishing.base_url}/sign-in/\S+", mail.body)) == 1
    )  # no “all of them”: it is one
    with database.reading() as session:
        [link] = session.exec(select(OneTimeLink))
        assert (link.purpose, link.person_id, link.detail) == (
            Purpose.CONFIRMATION,
            cast.ana.id,
            str(tool_night),
        )
        assert link.expires_at == asked + freshness.ASK_EVERY
    event = event_of(database, tool_night)
    assert (event.asked_at, event.asked_since, event.revision) == (asked, asked, 0)


@once
def test_one_mail_a_month_however_often_the_worker_looks_and_however_many_series(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int
) -> None:
    with database.writing() as session:
        for number in range(1, 4):  # each becomes due on another day
            store.add(
                session, weekly(title=f"Saw night {number}"), [cast.alder], publishing, NOW + number * DAY
            )
    days_pass(database, publishing, 0, 70)
    told = [mail for mail in mails(database) if mail.recipient == "ana@example.org"]
    assert [(mail.created_at - NOW).days for mail in told] == [30, 60]
    assert told[0].body.count("Still so?") == 1 and told[1].body.count("Still so?") == 4
    assert "All of them still take place:" in told[1].body
    with database.reading() as session:
        details = set(session.exec(select(OneTimeLink.detail)).all())
    assert ",".join(str(number) for number in range(tool_night, tool_night + 4)) in details


def test_everybody_who_may_act_there_is_asked_and_each_once_and_nobody_else(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int
) -> None:
    with database.writing() as session:
        twig = branch("twig", "Alder Twig", None, timezone="America/Chicago", parent_id=cast.alder.id)
        session.add(twig)
        session.flush()
        eve = sign_in.find_or_add(session, "eve@example.org", NOW, "es")
        permissions.invite(session, eve, twig, Role.BRANCH_ADMIN)
        store.add(session, weekly(title="Twig night"), [twig], publishing, NOW)
    assert look(database, publishing, NOW + 31 * DAY) == 2
    of_ana, of_eve = mails(database)
    assert of_ana.recipient == "ana@example.org" and of_ana.body.count("Still so?") == 2
    assert of_eve.recipient == "eve@example.org" and of_eve.body.count("/es/sign-in/") == 1


def test_two_workers_ask_once(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int
) -> None:
    later = NOW + 31 * DAY
    both_have_planned = threading.Barrier(2)

    def work() -> int:
        with database.reading() as session:
            [asking] = freshness.plan(session, later).askings
        both_have_planned.wait(10)
        with database.writing() as session:
            return freshness.ask(session, asking, publishing, later)

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(work) for _ in range(2)]
        assert sorted(one.result() for one in asked) == [0, 1]
    assert len(mails(database)) == 1


def test_what_another_worker_has_claimed_is_not_asked_again(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int
) -> None:
    later = NOW + 31 * DAY
    asking = Asking([tool_night], {cast.ana.id or 0: [tool_night]})
    with database.writing() as session:
        assert [freshness.ask(session, asking, publishing, later) for _ in range(2)] == [1, 0]


@once
@pytest.mark.parametrize(
    "more",
    [
        {"rrule": ""},
        {"state": "draft"},
        {"state": "cancelled", "reason": "Snow."},
        {"rrule": "FREQ=WEEKLY;COUNT=3"},
        {"start": datetime(2027, 6, 1, 19), "end": datetime(2027, 6, 1, 21)},  # has not begun
    ],
)
def test_what_does_not_go_on_is_not_asked_about(
    database: Database, publishing: Publishing, cast: Cast, more: dict[str, object]
) -> None:
    with database.writing() as session:
        store.add(session, weekly(**more), [cast.alder], publishing, NOW)
    assert look(database, publishing, NOW + 40 * DAY) == 0


def test_what_a_followed_calendar_keeps_in_step_is_not_asked_about_and_an_upload_is(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        followed = sources.follow(session, cast.alder, "https://example.org/club.ics", NOW)
        followed.state = SourceState.ACTIVE
        for source in (followed.key, "file"):
            store.add(
                session,
                weekly(title=str(source)),
                [cast.alder],
                publishing,
                NOW,
                source=source,
                source_uid="x",
            )
    assert look(database, publishing, NOW + 31 * DAY) == 1
    assert (
        mails(database)[0].body.count("Still so?") == 1 and "file · Every Tuesday" in mails(database)[0].body
    )


@once
def test_what_is_followed_meanwhile_waits_for_no_answer(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int
) -> None:
    look(database, publishing, NOW + 31 * DAY)
    with database.writing() as session:
        followed = sources.follow(session, cast.alder, "https://example.org/club.ics", NOW)
        session.get_one(Event, tool_night).source = followed.key
    look(database, publishing, NOW + 32 * DAY)
    assert event_of(database, tool_night).asked_since is None


@once
def test_many_people_are_asked_in_several_transactions_each_person_once(
    database: Database, publishing: Publishing, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "MOST_MAILS", 2)
    with database.writing() as session:
        permissions.invite(session, session.get_one(Person, cast.ana.id), cast.birch, Role.ORGANIZER)
        for number in range(5):
            club = branch(f"club-{number}", f"Club {number}", None, parent_id=cast.birch.id)
            session.add(club)
            session.flush()
            person = sign_in.find_or_add(session, f"p{number}@example.org", NOW)
            permissions.invite(session, person, club, Role.ORGANIZER)
            store.add(session, weekly(title=f"Night {number}"), [club], publishing, NOW)
    with database.reading() as session:
        assert len(freshness.plan(session, NOW + 31 * DAY).askings) > 1
    assert look(database, publishing, NOW + 31 * DAY) == 7  # Ana, Cy and five others
    told = {mail.recipient: mail.body.count("Still so?") for mail in mails(database)}
    assert (told["ana@example.org"], told["cy@example.org"], told["p3@example.org"]) == (5, 5, 1)


@once
def test_a_long_list_is_cut_and_the_last_link_stands_for_all(
    database: Database, publishing: Publishing, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "MOST_LISTED", 2)
    with database.writing() as session:
        for number in range(4):
            store.add(session, weekly(title=f"Night {number}"), [cast.alder], publishing, NOW)
    look(database, publishing, NOW + 31 * DAY)
    [mail] = mails(database)
    assert mail.body.count("Still so?") == 2 and "- and 2 more" in mail.body
    with database.reading() as session:
        details = session.exec(select(OneTimeLink.detail)).all()
    assert sorted(len(detail.split(",")) for detail in details) == [1, 1, 4]


# --- Where nobody can answer


def test_where_there_is_nobody_to_ask_nothing_is_asked_and_nothing_fades_or_ends(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int
) -> None:
    look(database, publishing, NOW + 31 * DAY)
    with database.writing() as session:  # Ana and Dee leave; nobody is left at Alder
        for person in (cast.ana, cast.dee):
            session.delete(session.get_one(Person, person.id))
    before = event_of(database, tool_night)
    assert before.asked_since is not None
    days_pass(database, publishing, 40, 160, step=15)
    after = event_of(database, tool_night)
    assert after.asked_since is None and (after.rrule, after.revision) == (before.rrule, before.revision)
    assert len(mails(database)) == 1


@once
def test_admins_are_asked_where_there_is_nobody_else(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int
) -> None:
    with database.writing() as session:
        session.delete(session.get_one(Person, cast.ana.id))
    assert look(database, publishing, NOW + 31 * DAY) == 1
    assert mails(database)[0].recipient == "dee@example.org"


# --- Fading and ending


def test_thirty_days_after_the_first_question_it_fades(now: datetime = NOW) -> None:
    assert faded(None, now) is None and faded(now - 30 * DAY + timedelta(seconds=1), now) is None
    assert faded(now - 30 * DAY, now) == now - 30 * DAY


def test_ninety_days_after_the_first_question_it_ends_before_its_next_date_and_its_people_are_told(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int, ben: TestClient
) -> None:
    subscriber = Subscriber(ben, "/branches/alder.ics")
    days_pass(database, publishing, 27, 116, step=10)  # asked on the first of these
    look(database, publishing, START + 116 * DAY)
    asked = event_of(database, tool_night)
    assert asked.asked_since == START + 27 * DAY and rule_of(asked) == rule_of(event_of(database, tool_night))
    assert asked.rrule == "FREQ=WEEKLY;BYDAY=TU"
    [(before, _)] = subscriber.versions().values()
    end = START + 117 * DAY
    look(database, publishing, end)
    ended = event_of(database, tool_night)
    assert (
        ended.rrule == "FREQ=WEEKLY;UNTIL=20270316T190000;BYDAY=TU" and end.date().isoformat() == "2027-03-23"
    )
    [(after, _)] = subscriber.versions().values()
    assert after == before + 1
    with database.reading() as session:
        newest = history.versions(session, f"event:{tool_night}")[0]
        assert (newest.action, newest.person_id) == ("stopped", None)
    *questions, told = mails(database)
    assert len(questions) == 3 and told.subject == "Hazel Clubs: ended, because nobody confirmed it"
    assert f"{publishing.base_url}/organize/events/{tool_night}" in told.body
    days_pass(database, publishing, 118, 160, step=7)
    assert len(mails(database)) == 4  # what has ended is not asked about


def test_two_workers_end_it_once(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int
) -> None:
    look(database, publishing, NOW + 31 * DAY)
    end = NOW + 130 * DAY
    with database.reading() as session:
        one, other = (freshness.stopping(session, end) for _ in range(2))
    assert one == other == [cast.alder.id]
    for number in (*one, *other):
        with database.writing() as session:
            freshness.stop(session, number, publishing, end)
    with database.reading() as session:
        assert actions(session, tool_night) == ["added", "stopped"]
    assert len(mails(database)) == 2


# --- Answering


@once
def test_a_confirmation_moves_no_calendar_and_the_next_question_comes_a_month_later(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int, ben: TestClient
) -> None:
    subscriber = Subscriber(ben, "/branches/alder.ics")
    look(database, publishing, NOW + 31 * DAY)
    before = subscriber.client.get(subscriber.path).content
    confirm(database, cast, publishing, tool_night, NOW + 40 * DAY)
    event = event_of(database, tool_night)
    assert (event.confirmed_at, event.asked_since) == (NOW + 40 * DAY, None)
    assert subscriber.client.get(subscriber.path).content == before
    assert look(database, publishing, NOW + 69 * DAY) == 0
    assert look(database, publishing, NOW + 70 * DAY) == 1


@once
@pytest.mark.parametrize("by_a_person", [True, False])
def test_a_change_by_a_person_is_an_answer_and_one_by_nobody_is_none(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int, by_a_person: bool
) -> None:
    look(database, publishing, NOW + 31 * DAY)
    changed = NOW + 33 * DAY
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        with changes.recorded(session, event, "changed", cast.ana if by_a_person else None, changed):
            event.cost = "5"
    found = event_of(database, tool_night)
    assert (found.asked_since is None, found.confirmed_at == changed) == (by_a_person, by_a_person)


@once
def test_what_was_ended_goes_on_as_it_was_when_somebody_confirms_it(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int, ben: TestClient
) -> None:
    """Also what was changed without leaving a version, as an import does."""
    moved = datetime(2027, 5, 4, 19)
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        store.change_date(
            session, event, OverrideDraft(original_start=moved, title="Tool night outside"), publishing, NOW
        )
    subscriber = Subscriber(ben, f"/events/{tool_night}.ics")
    before = next(event for event in subscriber.events() if "RECURRENCE-ID" not in event)
    look(database, publishing, NOW + 31 * DAY)
    look(database, publishing, NOW + 125 * DAY)
    assert "UNTIL" in event_of(database, tool_night).rrule and len(subscriber.events()) == 1
    confirm(database, cast, publishing, tool_night, NOW + 140 * DAY)
    series, override = subscriber.events()
    assert str(series["UID"]) == str(before["UID"]) == str(override["UID"])
    assert series["RRULE"] == before["RRULE"] and override["RECURRENCE-ID"].dt.replace(tzinfo=None) == moved
    assert int(series["SEQUENCE"]) == int(before["SEQUENCE"]) + 2 <= int(override["SEQUENCE"])
    event = event_of(database, tool_night)
    assert (event.confirmed_at, event.asked_since) == (NOW + 140 * DAY, None)
    with database.reading() as session:
        assert actions(session, tool_night) == ["added", "found", "stopped", "restored"]
    assert look(database, publishing, NOW + 141 * DAY) == 0


@once
def test_a_co_host_that_declines_confirms_nothing_and_does_not_hide_the_end(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int
) -> None:
    look(database, publishing, NOW + 31 * DAY)
    for days in (80, 126):
        with database.writing() as session:
            event = session.get_one(Event, tool_night)
            with changes.recorded(
                session, event, "hosting-declined", cast.cy, NOW + days * DAY, confirms=False
            ):
                event.contact = f"changed after {days} days"
        event = event_of(database, tool_night)
        assert event.confirmed_at is None and event.asked_since is not None
        look(database, publishing, NOW + 125 * DAY)
    assert "UNTIL" in event_of(database, tool_night).rrule
    confirm(database, cast, publishing, tool_night, NOW + 140 * DAY)
    assert "UNTIL" not in event_of(database, tool_night).rrule


@once
def test_what_a_person_did_after_the_end_is_not_undone_by_a_confirmation(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int
) -> None:
    look(database, publishing, NOW + 31 * DAY)
    look(database, publishing, NOW + 125 * DAY)
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        with changes.recorded(session, event, "changed", cast.ana, NOW + 126 * DAY):
            event.title = "Another"
    with pytest.raises(Conflict, match="nothing to confirm"):
        confirm(database, cast, publishing, tool_night, NOW + 127 * DAY)


def test_the_desk_lists_what_waits_for_an_answer_and_what_was_ended(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int
) -> None:
    def listed(person: Person, now: datetime) -> list[int | None]:
        with database.reading() as session:
            return [one.id for one in freshness.waiting(session, permissions.branch_ids(person), now)]

    assert listed(cast.ana, NOW + 30 * DAY) == []
    look(database, publishing, NOW + 31 * DAY)
    assert listed(cast.ana, NOW + 32 * DAY) == [tool_night] and listed(cast.cy, NOW + 32 * DAY) == []
    look(database, publishing, NOW + 125 * DAY)
    assert listed(cast.ana, NOW + 200 * DAY) == [tool_night]
    confirm(database, cast, publishing, tool_night, NOW + 200 * DAY)
    assert listed(cast.ana, NOW + 200 * DAY) == []


@once
def test_the_worker_looks_once_a_day(
    database: Database, settings: Settings, publishing: Publishing, cast: Cast
) -> None:
    begun = datetime.now(UTC) - 60 * DAY
    start = begun.replace(hour=19, minute=0, second=0, microsecond=0, tzinfo=None) + DAY
    draft = weekly(start=start, end=start + timedelta(hours=2), rrule="FREQ=DAILY;INTERVAL=2")
    with database.writing() as session:
        store.add(session, draft, [cast.alder], publishing, begun)
    worker = Worker(settings, publishing)
    assert (worker.ask_about_series(), worker.ask_about_series()) == (1, 0)
    worker.database.dispose()
    assert len(mails(database)) == 1
