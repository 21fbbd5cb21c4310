"""Occurrences in UTC follow from the wall clock and tzdata: written out, moved on, and again when tzdata changes."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import select

from events.__main__ import main
from events.calendars import derived, horizon, store
from events.calendars.content import Publishing
from events.calendars.drafts import OverrideDraft
from events.calendars.models import Event, Occurrence, Rendered
from events.db import Database, table_of
from tests.calendars.test_feeds import weekly
from tests.conftest import NOW, Cast


@pytest.fixture
def tool_night(database: Database, cast: Cast, publishing: Publishing) -> int:
    with database.writing() as session:
        event = store.add(session, weekly(), [cast.alder], publishing, NOW)
        assert event.id is not None
        return event.id


def spoil(database: Database) -> None:
    """As if all had been derived by an older tzdata, for which Chicago was an hour off in summer."""
    table = table_of(Occurrence)
    with database.writing() as session:
        summer = sa.and_(table.c.start > datetime(2027, 3, 15), table.c.start < datetime(2027, 11, 1))
        connection = session.connection()
        for row in connection.execute(sa.select(table).where(summer)).all():
            wrong = {name: getattr(row, name) - timedelta(hours=1) for name in ("starts_at", "ends_at")}
            key = sa.and_(table.c.event_id == row.event_id, table.c.original_start == row.original_start)
            connection.execute(sa.update(table).where(key).values(wrong))
        for rendered in session.exec(select(Rendered)):
            rendered.made_for = rendered.made_for.replace(" ", " 2019.1 ", 1)


def test_what_another_tzdata_derived_is_found_told_and_put_right(
    database: Database, publishing: Publishing, tool_night: int
) -> None:
    with database.reading(in_transaction=True) as session:
        assert list(horizon.differences(session)) == []
        assert not derived.needs_refresh(session, publishing, NOW)
    spoil(database)
    with database.reading(in_transaction=True) as session:
        found = list(horizon.differences(session))
        assert len(found) == 33, "the Tuesdays of summer time"
        assert found[0].becomes - found[0].was == timedelta(hours=1)
        assert derived.needs_refresh(session, publishing, NOW)
    with database.writing() as session:
        assert derived.refresh(session, publishing, NOW) == 1
        assert session.get_one(Event, tool_night).revision == 0, "calendar apps see nothing of it"
        assert list(horizon.differences(session)) == []


def test_the_command_says_what_would_move_and_moves_it(
    database: Database, tool_night: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    monkeypatch.setenv("BRANCHLINE_DATA_DIR", str(tmp_path_factory.mktemp("data")))
    monkeypatch.setenv("BRANCHLINE_DATABASE_URL", database.url)
    spoil(database)
    assert main(["events", "recompute", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "Tool night (event 1), 2027-03-16 19:00 America/Chicago: 2027-03-16 23:00 UTC becomes" in said
    assert "33 dates would move by tzdata" in said
    assert main(["events", "recompute"]) == 0
    capsys.readouterr()
    assert main(["events", "recompute", "--dry-run"]) == 0
    assert "0 dates would move" in capsys.readouterr().out


def test_the_worker_moves_the_horizon_on(database: Database, publishing: Publishing, tool_night: int) -> None:
    def last() -> datetime:
        with database.reading() as session:
            return max(row.start for row in session.exec(select(Occurrence)))

    before = last()
    later = NOW + timedelta(days=45)
    with database.writing() as session:
        assert derived.refresh(session, publishing, NOW + timedelta(days=20)) == 0, "not yet"
        assert derived.refresh(session, publishing, later) == 1
    assert last() - before == timedelta(weeks=7)
    assert last() + timedelta(weeks=1) > (later + horizon.HORIZON).replace(tzinfo=None)


def test_a_date_moved_beyond_the_end_of_its_series_keeps_the_series_in_sight(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    last = datetime(2026, 12, 8, 19)
    late = datetime(2027, 5, 1, 19)
    with database.writing() as session:
        draft = weekly(rrule="FREQ=WEEKLY;COUNT=3")
        event = store.add(session, draft, [cast.alder], publishing, NOW)
        change = OverrideDraft(original_start=last, start=late, end=late + timedelta(hours=2))
        store.change_date(session, event, change, publishing, NOW)
        assert event.ends_at == datetime(2027, 5, 2, 2, tzinfo=UTC)


def test_a_night_over_a_clock_change_is_as_long_as_the_wall_clock_says(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    """22:00 to 06:00 in Chicago: 7 hours in the night of 13 March 2027, 9 in that of 6 November."""
    with database.writing() as session:
        night = weekly(
            start=datetime(2026, 11, 28, 22), end=datetime(2026, 11, 29, 6), rrule="FREQ=WEEKLY;BYDAY=SA"
        )
        store.add(session, night, [cast.alder], publishing, NOW)
    with database.reading() as session:
        rows = session.exec(select(Occurrence)).all()
        assert {row.end - row.start for row in rows} == {timedelta(hours=8)}
        odd = {f"{row.start:%m-%d}": row.ends_at - row.starts_at for row in rows
               if row.ends_at - row.starts_at != timedelta(hours=8)}  # fmt: skip
        assert odd == {"03-13": timedelta(hours=7), "11-06": timedelta(hours=9)}


def test_a_series_begins_with_the_earliest_of_its_dates_also_one_that_was_moved(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    early = datetime(2026, 11, 20, 19)
    with database.writing() as session:
        event = store.add(session, weekly(), [cast.alder], publishing, NOW)
        change = OverrideDraft(
            original_start=datetime(2026, 11, 24, 19), start=early, end=early + timedelta(hours=2)
        )
        store.change_date(session, event, change, publishing, NOW)
        assert event.begins_at == datetime(2026, 11, 21, 1, tzinfo=UTC)


def test_a_date_that_is_left_out_is_none_and_a_withdrawn_event_has_none(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        left_out = datetime(2026, 12, 1, 19)
        event = store.add(session, weekly(exdates=(left_out,)), [cast.alder], publishing, NOW)
        starts = {row.original_start for row in session.exec(select(Occurrence))}
        assert left_out not in starts and left_out + timedelta(weeks=1) in starts
        event.unpublish()
        derived.save(session, event, publishing, NOW)
        assert session.exec(select(Occurrence)).all() == []


def test_a_date_of_which_only_the_end_moves_is_found_too(
    database: Database, publishing: Publishing, tool_night: int
) -> None:
    table = table_of(Occurrence)
    with database.writing() as session:
        first = session.exec(select(Occurrence).order_by("starts_at")).first()
        assert first is not None
        wrong = {"ends_at": first.ends_at + timedelta(hours=1)}
        key = table.c.original_start == first.original_start
        session.connection().execute(sa.update(table).where(key).values(wrong))
    with database.reading(in_transaction=True) as session:
        [found] = horizon.differences(session)
        assert (found.start, found.was, found.becomes) == (first.start, first.starts_at, first.starts_at)
