"""Visitors report what is wrong; organizers deal with it."""

from datetime import datetime, timedelta

import pytest
from pydantic import ValidationError
from sqlmodel import Session, select

from events.branches.models import Branch
from events.calendars import derived, store
from events.calendars.content import Publishing
from events.calendars.drafts import OverrideDraft
from events.calendars.models import Event
from events.db import Database
from events.desk import reports
from events.desk.models import Report
from events.desk.reports import ReportDraft
from events.errors import NotFound
from events.people.models import Person
from tests.calendars.test_feeds import weekly
from tests.conftest import NOW, Cast
from tests.desk.desk import beginner

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def told(
    session: Session,
    number: int,
    branch: Branch,
    event: Event | None = None,
    now: datetime = NOW,
    **more: str,
) -> None:
    said = {"key": f"{number:032}", "kind": "time", "message": "It is at 8.", **more}
    reports.add(session, ReportDraft.model_validate(said), branch, event, now)


def listed(session: Session, person: Person) -> list[int | None]:
    found = [one.report.id for one in reports.waiting(session, person)]
    assert reports.number(session, person) == len(found)
    return found


def test_reports_wait_for_those_who_decide_for_the_branch_until_one_deals_with_them(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        event = store.add(session, weekly(), [cast.alder], publishing, NOW)
        told(session, 1, cast.alder, event)
        told(session, 2, cast.alder)
        assert listed(session, cast.ana) == listed(session, cast.dee) == [1, 2]
        assert listed(session, cast.cy) == listed(session, beginner(session, cast.alder)) == []
        for stranger in (cast.cy, beginner(session, cast.alder)):
            with pytest.raises(NotFound):
                reports.closable(session, stranger, 1)
        for later in (1, 2):
            reports.close(reports.closable(session, cast.ana, 1), NOW + timedelta(hours=later))
        session.flush()
        assert listed(session, cast.ana) == [2]
        assert session.get_one(Report, 1).closed_at == NOW + timedelta(hours=1)


def test_a_form_that_is_sent_twice_is_one_report(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        for _ in range(2):
            told(session, 1, cast.alder)
        assert len(session.exec(select(Report)).all()) == 1


@ON_SQLITE
def test_what_has_closed_is_urgent_if_people_may_be_on_their_way(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    """The series is on every Tuesday: NOW is a Monday."""
    with database.writing() as session:
        event = store.add(session, weekly(), [cast.alder], publishing, NOW)
        told(session, 1, cast.alder, event)
        told(session, 2, cast.alder, event, kind="closed")
        told(session, 3, cast.alder, kind="closed")
        told(session, 4, cast.alder, event, NOW + timedelta(days=2), kind="closed")
        cancelled = OverrideDraft(original_start=datetime(2026, 11, 24, 19), cancelled=True)
        store.change_date(session, event, cancelled, publishing, NOW)
        told(session, 5, cast.alder, event, kind="closed")
        urgent = session.exec(select(Report.id).where(Report.urgent)).all()
        assert sorted(urgent, key=str) == [2, 3]
        assert listed(session, cast.ana) == [2, 3, 1, 5, 4]


@ON_SQLITE
def test_an_event_takes_its_reports_along_to_another_branch_and_away(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        event = store.add(session, weekly(), [cast.alder], publishing, NOW)
        told(session, 1, cast.alder, event)
        store.revise(session, event, weekly(), [cast.birch], publishing, NOW)
        assert (listed(session, cast.ana), listed(session, cast.cy)) == ([], [1])
        event.delete(NOW)
        derived.save(session, event, publishing, NOW)
        assert listed(session, cast.cy) == []


@ON_SQLITE
def test_reports_are_forgotten_a_month_after_they_were_dealt_with(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        told(session, 1, cast.alder)
        told(session, 2, cast.alder)
        reports.close(session.get_one(Report, 1), NOW)
        session.flush()
        reports.forget_past(session, NOW + timedelta(days=31))
        assert listed(session, cast.ana) == [2]


def test_something_else_has_to_be_said_in_words() -> None:
    with pytest.raises(ValidationError, match="Please say what is wrong"):
        ReportDraft.model_validate({"key": "k" * 32, "kind": "other"})
