"""Who decides is told once a day at most, at once when it is urgent, and once whatever happens."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import col, select

from events.branches.models import Branch
from events.calendars import changes, derived, store
from events.calendars.content import Publishing
from events.calendars.models import EventBranch
from events.config import Settings
from events.db import Database
from events.desk import notices, proposals, reports
from events.desk.notices import SETTLED
from events.desk.reports import ReportDraft
from events.people import permissions
from events.people.models import MembershipRequest, Person, Role
from events.worker import Worker
from tests.calendars.test_feeds import weekly
from tests.conftest import NOW, Cast, branch
from tests.desk.desk import LATER, SOON, beginner, mails, submitted

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
FIRST = NOW + timedelta(minutes=1)  # of the worker's looks


def look(database: Database, publishing: Publishing, now: datetime) -> list[str]:
    """As the worker does; who got a mail by it."""
    before = len(mails(database))
    with database.reading() as session:
        is_due = notices.due(session, now)
    with database.writing() as session:
        done = notices.send(session, publishing, now)
    sent = [mail.recipient for mail in mails(database)[before:]]
    assert (is_due, done) == (bool(sent), len(sent))
    return sent


def hours(number: float) -> datetime:
    return FIRST + timedelta(hours=number)


def test_one_mail_tells_of_everything_new_and_how_much_waits_in_all(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        submitted(session, cast.alder, publishing, NOW - timedelta(days=3))
        session.get_one(Person, cast.ana.id).told_at = NOW - timedelta(days=2)
        eli = beginner(session, cast.alder)
        submitted(session, cast.alder, publishing, title="Repair café", by=eli)
        event = store.add(session, weekly(), [cast.alder], publishing, NOW)
        said = ReportDraft(key="k" * 32, kind="place", message="It has moved.")
        reports.add(session, said, cast.alder, event, NOW)
        reports.add(session, said.model_copy(update={"key": "l" * 32}), cast.alder, None, NOW)
    assert look(database, publishing, FIRST) == ["ana@example.org"]
    [mail] = mails(database)
    lines = [line for line in mail.body.splitlines() if line.startswith("- ")]
    assert lines == [
        "- Waits for approval at Alder Club: “Repair café”, Tuesday, December 8, 2026",
        "- Reported about “Tool night” of Alder Club: The place is wrong",
        "- Reported about Alder Club: The place is wrong",
    ]
    assert "In all, 4 things wait." in mail.body and "/organize/queue" in mail.body
    assert look(database, publishing, FIRST + timedelta(hours=30)) == [], "nothing is new"


@ON_SQLITE
def test_nobody_is_told_when_nothing_waits(database: Database, publishing: Publishing, cast: Cast) -> None:
    with database.writing() as session:
        store.add(session, weekly(), [cast.alder], publishing, NOW)
    assert look(database, publishing, FIRST) == []


@ON_SQLITE
def test_the_mail_speaks_the_language_of_its_reader(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        session.get_one(Person, cast.cy.id).language = "es"
        submitted(session, cast.birch, publishing)
    assert look(database, publishing, FIRST) == ["cy@example.org"]
    [mail] = mails(database)
    assert "/es/organize/queue" in mail.body and "martes, 8 de diciembre" in mail.body


def test_a_day_passes_until_the_next_mail_unless_something_is_urgent(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    def suggest(at: datetime, start: datetime = LATER) -> None:
        with database.writing() as session:
            submitted(session, cast.alder, publishing, at, start=start)

    suggest(NOW)
    assert look(database, publishing, FIRST) == ["ana@example.org"]
    suggest(hours(0.1))
    assert look(database, publishing, hours(23)) == []
    assert look(database, publishing, hours(24)) == ["ana@example.org"]
    suggest(hours(24.2), start=SOON + timedelta(days=1))
    assert look(database, publishing, hours(24.5)) == [], "one an hour, however urgent"
    assert look(database, publishing, hours(25)) == ["ana@example.org"]
    assert "urgent" in mails(database)[-1].subject
    assert look(database, publishing, hours(60)) == []


@ON_SQLITE
def test_what_was_only_just_written_is_told_the_next_time_and_not_lost(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    """A transaction that began before the look may commit after it, with a time from before it."""
    with database.writing() as session:
        submitted(session, cast.alder, publishing, NOW, title="first")
        submitted(session, cast.alder, publishing, FIRST - SETTLED / 2, title="late", start=SOON)
    assert look(database, publishing, FIRST) == ["ana@example.org"]
    assert "late" not in mails(database)[-1].body
    assert look(database, publishing, hours(1)) == ["ana@example.org"]
    assert "late" in mails(database)[-1].body and "first" not in mails(database)[-1].body


def test_of_two_workers_one_writes_the_mail(database: Database, publishing: Publishing, cast: Cast) -> None:
    with database.writing() as session:
        submitted(session, cast.alder, publishing)
        decided = submitted(session, cast.alder, publishing)
        decided.publish()
        derived.save(session, decided, publishing, NOW)

    def work(_: int) -> int:
        with database.writing() as session:
            return notices.send(session, publishing, FIRST)

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(work, range(4)))
    assert sorted(mail.recipient for mail in mails(database)) == ["ana@example.org", "ben@example.org"]


@ON_SQLITE
def test_people_of_branches_above_hear_of_it_and_admins_only_where_there_is_nobody(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        ash, elm = branch("ash", "Ash", None), branch("elm", "Elm", None)
        ash.parent_id = cast.alder.id
        session.add_all([ash, elm])
        session.flush()
        beginner(session, elm)
        submitted(session, ash, publishing)
    assert look(database, publishing, FIRST) == ["ana@example.org"]
    with database.writing() as session:
        elm = session.exec(select(Branch).where(col(Branch.slug) == "elm")).one()
        submitted(session, elm, publishing)
    assert look(database, publishing, FIRST) == ["dee@example.org"], "who needs approval does not decide"


@ON_SQLITE
def test_branch_admins_hear_who_would_like_to_organize(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        session.add(
            MembershipRequest(person_id=cast.cy.id or 0, branch_id=cast.alder.id or 0, created_at=NOW)
        )
    assert look(database, publishing, FIRST) == ["dee@example.org"], "Ana is no branch admin"
    with database.writing() as session:
        permissions.invite(session, cast.ana, cast.alder, Role.BRANCH_ADMIN)
    assert look(database, publishing, FIRST) == ["ana@example.org"]
    assert "cy@example.org would like to organize at Alder Club" in mails(database)[-1].body


@ON_SQLITE
def test_a_branch_that_was_named_as_co_host_hears_of_it_and_its_owner_does_not(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        draft = weekly(state="draft")
        event = store.add(session, draft, [cast.birch, cast.alder], publishing, NOW)
        number = event.id
    assert look(database, publishing, FIRST) == [], "nobody is asked about a draft"
    with database.writing() as session:
        event.publish()
        session.add(event)
        derived.save(session, event, publishing, NOW)
    assert look(database, publishing, FIRST) == ["ana@example.org"]
    assert "Alder Club was named as co-host of “Tool night”" in mails(database)[-1].body
    with database.writing() as session:
        session.get_one(Person, cast.ana.id).told_at = None
        session.get_one(EventBranch, (number, cast.alder.id)).added_at = NOW - timedelta(days=31)
    assert look(database, publishing, FIRST) == []


@ON_SQLITE
def test_a_look_asks_as_little_for_a_thousand_branches_as_for_one(
    database: Database, publishing: Publishing, cast: Cast, statements: Callable[[], list[str]]
) -> None:
    with database.writing() as session:
        session.add_all(branch(f"b{number}", "B", None) for number in range(300))
        submitted(session, cast.alder, publishing)
    look(database, publishing, FIRST)
    statements()
    with database.reading() as session:
        assert not notices.due(session, hours(1))
    assert len(statements()) == 2


@pytest.fixture
def statements(database: Database) -> Callable[[], list[str]]:
    """What was asked since the last time."""
    asked: list[str] = []
    sa.event.listen(database.engine, "before_cursor_execute", lambda *a: asked.append(a[2]))

    def since() -> list[str]:
        found = [one for one in asked if one.startswith("SELECT") or one.startswith("WITH")]
        asked.clear()
        return found

    return since


# ---------------------------------------------------------------- those who proposed something


@ON_SQLITE
@pytest.mark.parametrize("way", ["published", "removed"])
def test_who_suggested_what_was_decided_otherwise_is_answered_by_the_worker(
    database: Database, publishing: Publishing, cast: Cast, way: str
) -> None:
    with database.writing() as session:
        session.get_one(Person, cast.ana.id).told_at = NOW
        event = submitted(session, cast.alder, publishing)
        with changes.recorded(session, event, "changed", cast.ana, NOW):
            event.publish() if way == "published" else event.delete(NOW)
            derived.save(session, event, publishing, NOW)
    assert look(database, publishing, FIRST) == ["ben@example.org"]
    assert ("It is published now" in mails(database)[0].body) == (way == "published")
    assert look(database, publishing, FIRST) == []


@ON_SQLITE
def test_a_decision_that_the_event_form_made_is_answered(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        event = submitted(session, cast.alder, publishing)
        event.publish()
        proposals.settle(session, event, True, NOW)
        derived.save(session, event, publishing, NOW)
    assert look(database, publishing, FIRST) == ["ben@example.org"]


@ON_SQLITE
def test_who_removes_their_own_post_is_not_told_that_it_was_declined(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        eli = beginner(session, cast.alder)
        event = submitted(session, cast.alder, publishing, by=eli)
        with changes.recorded(session, event, "removed", eli, NOW):
            event.delete(NOW)
            derived.save(session, event, publishing, NOW)
        assert notices.send(session, publishing, FIRST) == 1
    assert mails(database) == []
    assert look(database, publishing, FIRST) == []


@ON_SQLITE
def test_the_worker_tells_people(
    database: Database, settings: Settings, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        submitted(session, cast.alder, publishing)
    worker = Worker(settings, publishing)
    assert worker.tell_people() == 1
    assert worker.tell_people() == 0
    worker.database.dispose()
    assert [mail.recipient for mail in mails(database)] == ["ana@example.org"]
