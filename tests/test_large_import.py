"""Large imports: in turns that let others write, resumable wherever they were cut off, in flat memory."""

import io
from collections.abc import Callable
from datetime import date, timedelta
from itertools import count

import pytest
import sqlalchemy as sa
from sqlmodel import Session, col, select

from events.calendars import imports
from events.calendars.content import Publishing
from events.calendars.imports import CHUNK, import_events, in_turns
from events.calendars.models import Event
from events.calendars.reconciling import ImportReport
from events.db import Database
from tests.conftest import NOW, Cast, counted, most_memory

DAY = date(2026, 12, 1)
NUMBER = 2 * CHUNK + 10  # three transactions
once = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # its SQL is covered by others


class Killed(BaseException):
    """As kill -9: nobody catches it."""


def file(number: int, title: str = "Saw club") -> io.BytesIO:
    days = [f"{DAY + timedelta(days=each):%Y%m%d}" for each in range(number)]
    entries = (
        f"BEGIN:VEVENT\r\nUID:many-{each}\r\nDTSTART;TZID=America/Chicago:{day}T180000\r\n"
        f"DURATION:PT2H\r\nSUMMARY:{title} {each}\r\nEND:VEVENT\r\n"
        for each, day in enumerate(days)
    )
    return io.BytesIO(f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{''.join(entries)}END:VCALENDAR\r\n".encode())


def brought_in(
    database: Database,
    publishing: Publishing,
    data: io.BytesIO,
    *,
    dry_run: bool = False,
    progress: Callable[[int], object] | None = None,
) -> ImportReport:
    return import_events(
        database, data, publishing=publishing, now=NOW, branch="alder", dry_run=dry_run, progress=progress
    )


def titles(database: Database) -> list[str]:
    with database.reading() as session:
        return list(session.exec(select(Event.title).order_by(col(Event.begins_at))))


def cut_off(database: Database, publishing: Publishing, after: int) -> None:
    """In the middle of the transaction in which the event of this number would be written."""
    numbers = count(1)

    def die(*_: object) -> None:
        if next(numbers) > after:
            raise Killed

    sa.event.listen(Event, "before_insert", die)
    try:
        with pytest.raises(Killed):
            brought_in(database, publishing, file(NUMBER))
    finally:
        sa.event.remove(Event, "before_insert", die)


def test_an_import_that_was_cut_off_goes_on_and_nothing_is_lost_or_doubled(
    database: Database, cast: Cast, publishing: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "TURN_S", 3600.0)
    cut_off(database, publishing, after=CHUNK + 20)
    assert len(titles(database)) == CHUNK
    report = brought_in(database, publishing, file(NUMBER))
    assert (report.added, report.updated, report.unchanged) == (NUMBER - CHUNK, 0, CHUNK)
    assert titles(database) == [f"Saw club {each}" for each in range(NUMBER)]


@once
def test_what_is_in_already_is_passed_over_with_one_look(
    database: Database, cast: Cast, publishing: Publishing
) -> None:
    brought_in(database, publishing, file(20))
    with counted(database.engine) as statements:
        assert brought_in(database, publishing, file(20)).unchanged == 20
    assert len([one for one in statements if "BEGIN" not in one]) < 20 + 5


@once
def test_what_was_edited_here_stays_when_the_same_is_imported_again(
    database: Database, cast: Cast, publishing: Publishing
) -> None:
    brought_in(database, publishing, file(2))
    with database.writing() as session:
        session.exec(select(Event).where(Event.source_uid == "many-0")).one().title = "Ours"
    assert brought_in(database, publishing, file(2)).unchanged == 2
    assert titles(database) == ["Ours", "Saw club 1"]
    assert brought_in(database, publishing, file(2, "Glue club")).updated == 1
    assert titles(database) == ["Ours", "Glue club 1"]


@once
def test_a_turn_ends_when_its_time_is_over_so_that_others_write_in_between(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = count(step=0.15)
    monkeypatch.setattr(imports, "monotonic", lambda: next(clock))
    assert list(in_turns(database, iter(range(7)), _nothing)) == [2, 2, 2, 1]


@once
def test_a_turn_has_a_number_of_events_at_most_and_one_at_least(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "monotonic", lambda: 0.0)
    assert list(in_turns(database, iter(range(NUMBER)), _nothing)) == [CHUNK, CHUNK, 10]
    clock = count(step=60.0)
    monkeypatch.setattr(imports, "monotonic", lambda: next(clock))
    assert list(in_turns(database, iter(range(3)), _nothing)) == [1, 1, 1]


def _nothing(_session: Session, _item: int) -> None:
    """The time is the clock's."""


@once
def test_how_far_an_import_is_is_shown_turn_by_turn(
    database: Database, cast: Cast, publishing: Publishing
) -> None:
    shown: list[int] = []
    brought_in(database, publishing, file(NUMBER), progress=shown.append)
    assert sum(shown) == NUMBER and len(shown) >= 3


@once
def test_an_import_takes_no_more_memory_for_more_events(
    database: Database, cast: Cast, publishing: Publishing
) -> None:
    def needed(number: int) -> int:
        data = file(number).getvalue()

        def look() -> None:
            report = brought_in(database, publishing, io.BytesIO(data), dry_run=True)
            assert report.added == number

        return most_memory(look)

    assert needed(400) - needed(100) < 300 * 1500, "bytes for each event beyond the first ones"
