"""A series changes as a whole, on one date, or from a date on: what stays with it, and what it says."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import Session, select

from events.calendars import derived, store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft, OverrideDraft
from events.calendars.models import Event, Occurrence, Override
from events.db import Database
from events.errors import NotFound
from tests.calendars.test_feeds import weekly
from tests.conftest import NOW, Cast

HOUR = timedelta(hours=1)


def tuesday(month: int, day: int, hour: int = 19) -> datetime:
    return datetime(2026, month, day, hour)


def added(
    database: Database, publishing: Publishing, cast: Cast, *changes: OverrideDraft, **more: object
) -> int:
    with database.writing() as session:
        draft = weekly(overrides=changes, **more)
        return store.add(session, draft, [cast.alder], publishing, NOW).id or 0


def revised(
    database: Database,
    number: int,
    publishing: Publishing,
    cast: Cast,
    *,
    now: datetime = NOW + HOUR,
    **more: object,
) -> None:
    with database.writing() as session:
        store.revise(session, session.get_one(Event, number), weekly(**more), [cast.alder], publishing, now)


def dates_of(session: Session, event: Event) -> dict[datetime, Override]:
    return {one.original_start: one for one in derived.tell(session, event).overrides}


OFF = OverrideDraft(original_start=tuesday(12, 8), cancelled=True, reason="No heating.")
MOVED = OverrideDraft(
    original_start=tuesday(12, 15),
    start=datetime(2026, 12, 17, 18),
    end=datetime(2026, 12, 17, 21),
    title="In the park",
)


# ---------------------------------------------------------------- as a whole


@pytest.mark.parametrize(
    ("start", "rule"),
    [
        (datetime(2026, 11, 24, 18), "FREQ=WEEKLY;BYDAY=TU"),  # another hour
        (datetime(2026, 11, 25, 19), "FREQ=WEEKLY;BYDAY=WE"),  # another weekday
        (datetime(2026, 11, 25, 18), "FREQ=WEEKLY;BYDAY=WE"),  # both
    ],
)
def test_dates_changed_or_left_out_stay_so_when_the_series_moves(
    database: Database, publishing: Publishing, cast: Cast, start: datetime, rule: str
) -> None:
    number = added(database, publishing, cast, OFF, MOVED, exdates=(tuesday(12, 1),))
    revised(database, number, publishing, cast, start=start, end=start + 2 * HOUR, rrule=rule)
    with database.reading() as session:
        event = session.get_one(Event, number)
        move = start - tuesday(11, 24)
        assert event.exdates == [(tuesday(12, 1) + move).isoformat()]
        dates = dates_of(session, event)
        assert set(dates) == {tuesday(12, 8) + move, tuesday(12, 15) + move}
        off, moved = dates[tuesday(12, 8) + move], dates[tuesday(12, 15) + move]
        assert (off.cancelled, off.reason) == (True, "No heating.")
        assert (moved.start, moved.end, moved.title) == (MOVED.start, MOVED.end, "In the park")


def test_a_series_that_begins_weeks_later_does_not_take_its_changed_dates_along(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    first = OverrideDraft(original_start=tuesday(11, 24), cancelled=True)
    number = added(database, publishing, cast, first, OFF)
    revised(database, number, publishing, cast, start=tuesday(12, 1), end=tuesday(12, 1, 21))
    with database.reading() as session:
        assert set(dates_of(session, session.get_one(Event, number))) == {tuesday(12, 8)}


@pytest.mark.parametrize("hour", [19, 18])
def test_of_two_changed_dates_that_become_one_that_of_the_day_stays(
    database: Database, publishing: Publishing, cast: Cast, hour: int
) -> None:
    """From Mondays and Wednesdays to Wednesdays and Fridays: Monday would go where Wednesday is."""
    monday, wednesday = (datetime(2026, 12, day, 19) for day in (7, 9))
    changes = [OverrideDraft(original_start=at, title=f"{at:%A}") for at in (monday, wednesday)]
    first = datetime(2026, 11, 30, 19)
    number = added(
        database,
        publishing,
        cast,
        *changes,
        rrule="FREQ=WEEKLY;BYDAY=MO,WE",
        start=first,
        end=first + 2 * HOUR,
    )
    start = datetime(2026, 12, 2, hour)
    revised(
        database, number, publishing, cast, rrule="FREQ=WEEKLY;BYDAY=WE,FR", start=start, end=start + 2 * HOUR
    )
    with database.reading() as session:
        dates = dates_of(session, session.get_one(Event, number))
        assert {at: date.title for at, date in dates.items()} == {datetime(2026, 12, 9, hour): "Wednesday"}


def test_since_when_it_is_cancelled_is_kept_until_it_is_on_again(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    number = added(database, publishing, cast, OFF, state="cancelled", reason="Ill.")
    later = NOW + timedelta(days=20)
    again = OFF.model_copy(update={"reason": "The boiler is broken."})
    revised(
        database,
        number,
        publishing,
        cast,
        now=later,
        state="cancelled",
        reason="Very ill.",
        overrides=(again,),
    )
    with database.reading() as session:
        event = session.get_one(Event, number)
        assert event.cancelled_at == dates_of(session, event)[tuesday(12, 8)].cancelled_at == NOW
    revised(database, number, publishing, cast, now=later)
    with database.reading() as session:
        assert session.get_one(Event, number).cancelled_at is None


# ---------------------------------------------------------------- one date


def test_a_date_that_is_as_the_series_says_again_is_no_changed_date(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    number = added(database, publishing, cast, OFF, MOVED)
    with database.writing() as session:
        event = session.get_one(Event, number)
        for original in (tuesday(12, 8), tuesday(12, 15)):
            store.change_date(session, event, OverrideDraft(original_start=original), publishing, NOW + HOUR)
        assert dates_of(session, event) == {}


def test_only_a_date_of_the_series_can_be_changed(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    number = added(database, publishing, cast)
    wednesday = OverrideDraft(original_start=datetime(2026, 12, 9, 19), cancelled=True)
    with database.writing() as session:
        event = session.get_one(Event, number)
        with pytest.raises(NotFound):
            store.change_date(session, event, wednesday, publishing, NOW)
        with pytest.raises(NotFound):
            store.following(session, event, wednesday.original_start)


def test_a_changed_date_stays_above_its_series_however_often_that_changes(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    own = OverrideDraft(original_start=tuesday(12, 8), title="In the park", description="Bring a lamp.")
    number = added(database, publishing, cast, own)
    for step in (1, 2):
        with database.writing() as session:
            session.get_one(Event, number).revision += Override.HEADROOM + 5  # as after so many changes
        revised(database, number, publishing, cast, now=NOW + step * HOUR, title=f"Tool night {step}")
        with database.reading() as session:
            event = session.get_one(Event, number)
            date = dates_of(session, event)[tuesday(12, 8)]
            assert date.revision > event.revision and date.modified_at == event.modified_at


# ---------------------------------------------------------------- this and following


def test_a_split_gives_each_part_its_dates_once_with_all_that_was_changed(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    before = OverrideDraft(original_start=tuesday(12, 1), title="Early")
    exdates = (tuesday(12, 8), tuesday(12, 29))
    number = added(
        database, publishing, cast, before, MOVED, OverrideDraft(original_start=tuesday(12, 22), cancelled=True),
        rrule="FREQ=WEEKLY;COUNT=8", exdates=exdates,
    )  # fmt: skip
    with database.writing() as session:
        event = session.get_one(Event, number)
        wanted = EventDraft.model_validate(dict(store.following(session, event, tuesday(12, 15))))
        later = store.change_following(
            session, event, tuesday(12, 15), wanted, [cast.alder], publishing, NOW + HOUR
        )
        assert (event.rrule, later.rrule) == (
            "FREQ=WEEKLY;UNTIL=20261201T190000;BYDAY=TU",
            "FREQ=WEEKLY;COUNT=5;BYDAY=TU",
        )
        assert later.related_uid == event.uid != later.uid
        assert (event.exdates, later.exdates) == ([], [tuesday(12, 29).isoformat()])
        assert list(dates_of(session, event)) == [tuesday(12, 1)]
        assert set(dates_of(session, later)) == {tuesday(12, 15), tuesday(12, 22)}
        starts = [row.original_start for row in session.exec(select(Occurrence))]
    weeks = {tuesday(11, 24) + timedelta(weeks=week) for week in range(8)}
    assert sorted(starts) == sorted(weeks - set(exdates))


def test_a_split_at_the_first_date_is_a_change_of_the_series(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    number = added(database, publishing, cast)
    with database.writing() as session:
        event, wanted = session.get_one(Event, number), weekly(title="Saw night")
        same = store.change_following(session, event, tuesday(11, 24), wanted, [cast.alder], publishing, NOW)
        assert (same.id, same.title) == (number, "Saw night")


def test_a_split_may_leave_one_date_on_either_side(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    number = added(database, publishing, cast, rrule="FREQ=WEEKLY;COUNT=2")
    with database.writing() as session:
        event = session.get_one(Event, number)
        wanted = EventDraft.model_validate(dict(store.following(session, event, tuesday(12, 1))))
        later = store.change_following(
            session, event, tuesday(12, 1), wanted, [cast.alder], publishing, NOW + HOUR
        )
        assert event.rrule == "FREQ=WEEKLY;UNTIL=20261124T190000;BYDAY=TU"
        assert later.rrule == "FREQ=WEEKLY;UNTIL=20261201T190000;BYDAY=TU"


# ---------------------------------------------------------------- a single event that moves


def moved_from(database: Database, number: int) -> datetime | None:
    with database.reading() as session:
        return session.get_one(Event, number).moved_from


def test_a_single_event_says_when_it_was_to_be_at_first_until_it_is_back_there(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    number = added(database, publishing, cast, rrule="")
    for day in (26, 27):
        start = tuesday(11, day)
        revised(database, number, publishing, cast, rrule="", start=start, end=start + 2 * HOUR)
        assert moved_from(database, number) == tuesday(11, 24)
    revised(database, number, publishing, cast, rrule="")
    assert moved_from(database, number) is None


def test_a_draft_that_is_given_another_date_has_not_moved(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    number = added(database, publishing, cast, rrule="", state="draft")
    revised(database, number, publishing, cast, rrule="", start=tuesday(11, 26), end=tuesday(11, 26, 21))
    assert moved_from(database, number) is None


def test_the_same_moment_by_another_clock_is_no_move(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    number = added(database, publishing, cast, rrule="")
    start = datetime(2026, 11, 25, 2)  # seven in the evening in Chicago
    revised(
        database,
        number,
        publishing,
        cast,
        rrule="",
        timezone="Europe/Madrid",
        start=start,
        end=start + 2 * HOUR,
    )
    assert moved_from(database, number) is None
    revised(
        database,
        number,
        publishing,
        cast,
        rrule="",
        timezone="Europe/Madrid",
        start=start + HOUR,
        end=start + 2 * HOUR,
    )
    assert moved_from(database, number) == start


def test_an_event_keeps_its_uid_whatever_changes(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    number = added(database, publishing, cast, OFF)
    uids: set[str] = set()
    changes: tuple[dict[str, Any], ...] = (
        {},
        {"rrule": ""},
        {"state": "draft"},
        {"timezone": "Europe/Madrid"},
    )
    for more in changes:
        revised(database, number, publishing, cast, **more)
        with database.reading() as session:
            uids.add(session.get_one(Event, number).uid)
    assert len(uids) == 1


def test_a_date_that_lasts_longer_keeps_its_own_end(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    long = OverrideDraft(original_start=tuesday(12, 8), end=datetime(2026, 12, 8, 23))
    number = added(database, publishing, cast, long)
    with database.reading() as session:
        event = session.get_one(Event, number)
        assert dates_of(session, event)[tuesday(12, 8)].end == datetime(2026, 12, 8, 23)
        ends = {row.original_start: row.ends_at for row in session.exec(select(Occurrence))}
        assert ends[tuesday(12, 8)] == datetime(2026, 12, 9, 5, tzinfo=UTC)
