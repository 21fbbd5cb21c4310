"""Dates that people knew and that are not the same any more are put down once, and told as things stand by then."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import Session, col, select

from events.calendars import dates_changed, derived, store
from events.calendars.content import Publishing
from events.calendars.dates_changed import WAIT, Difference
from events.calendars.derived import tell_all
from events.calendars.drafts import EventDraft, OverrideDraft
from events.calendars.models import DateChange, Event, Occurrence, Rendered
from events.db import Database, table_of
from tests.calendars.test_feeds import weekly
from tests.conftest import NOW, Cast

LATER = NOW + timedelta(hours=1)
TOLD = LATER + WAIT
FIRST = datetime(2026, 11, 24, 19)
SECOND = datetime(2026, 12, 1, 19)
HOUR, WEEK = timedelta(hours=1), timedelta(weeks=1)
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def tool_night(database: Database, cast: Cast, publishing: Publishing) -> int:
    with database.writing() as session:
        return store.add(session, weekly(), [cast.alder], publishing, NOW).id or 0


def single(**more: object) -> EventDraft:
    return weekly(title="Swap day", rrule="", **more)


def put_down(session: Session) -> DateChange | None:
    return session.exec(select(DateChange)).one_or_none()


def moved(at: datetime, to: datetime) -> OverrideDraft:
    return OverrideDraft(original_start=at, start=to, end=to + 2 * HOUR)


def to_tell(session: Session, now: datetime = TOLD) -> list[Difference]:
    """As the worker would find it."""
    [work] = dates_changed.claim(session, now)
    event = session.get_one(Event, work.event_id)
    told = [event, *dates_changed.continuations(session, event, work.created_at)]
    return dates_changed.differences(session, tell_all(session, told), work.before, now)


def starts(found: list[Difference]) -> list[tuple[datetime, datetime | None]]:
    return [(one.was.start, one.now.start if one.now else None) for one in found]


# ---------------------------------------------------------------- what is put down


@on_sqlite
def test_a_date_that_is_moved_is_put_down_as_it_was_and_told_a_minute_later(
    database: Database, publishing: Publishing, tool_night: int
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        store.change_date(session, event, moved(SECOND, SECOND + HOUR), publishing, LATER)
        change = put_down(session)
        assert change is not None and change.run_at == LATER + timedelta(seconds=60)
        assert [date["start"] for date in change.before] == ["2026-12-01T19:00:00"]
        assert not dates_changed.is_due(session, LATER) and dates_changed.claim(session, LATER) == []
        assert dates_changed.is_due(session, TOLD)
        [one] = to_tell(session)
        assert (one.was.start, one.now and one.now.start) == (SECOND, SECOND + HOUR)
        assert one.was.place == "2150 N Halsted St, Chicago, IL, 60614"


@on_sqlite
def test_what_is_new_or_a_draft_or_says_otherwise_what_it_is_about_is_not_put_down(
    database: Database, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    with database.writing() as session:
        draft = store.add(session, single(state="draft"), [cast.alder], publishing, NOW)
        store.revise(session, draft, single(start=SECOND, end=SECOND + HOUR), [cast.alder], publishing, LATER)
        event = session.get_one(Event, tool_night)
        store.revise(
            session, event, weekly(title="Tools", description="All."), [cast.alder], publishing, LATER
        )
        assert put_down(session) is None


@on_sqlite
def test_only_dates_that_are_not_over_are_put_down_the_soonest_twenty(
    database: Database, publishing: Publishing, tool_night: int
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        event.cancel("No tools.", LATER + WEEK)
        derived.save(session, event, publishing, LATER + WEEK)
        change = put_down(session)
        assert change is not None
        known = [datetime.fromisoformat(date["start"]) for date in change.before]
        assert known == [SECOND + number * WEEK for number in range(20)]


@on_sqlite
@pytest.mark.parametrize("how", ["cancelled", "postponed", "a draft again", "removed"])
def test_an_event_that_does_not_take_place_is_put_down_with_its_dates(
    database: Database, publishing: Publishing, cast: Cast, how: str
) -> None:
    with database.writing() as session:
        event = store.add(session, single(), [cast.alder], publishing, NOW)
        match how:
            case "cancelled":
                event.cancel("Snow.", LATER)
            case "postponed":
                event.postpone("Snow.", LATER)
            case "a draft again":
                event.unpublish()
            case _:
                event.delete(LATER)
        derived.save(session, event, publishing, LATER)
        [one] = to_tell(session)
        assert one.was.start == FIRST and one.was.title == "Swap day"
        assert one.now.cancelled if how in ("cancelled", "postponed") and one.now else one.now is None


@on_sqlite
def test_another_place_and_another_link_are_put_down_and_another_name_of_the_branch_is_not(
    database: Database, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        alder = session.merge(cast.alder)
        alder.name = "Alder Tool Club"
        derived.save(session, event, publishing, LATER)
        assert put_down(session) is None
        alder.address_1 = "9 Oak Street"
        derived.save(session, event, publishing, LATER)
        found = to_tell(session)
        assert {one.now.place for one in found if one.now} == {"9 Oak Street, Chicago, IL, 60614"}
        online = store.add(
            session, single(attendance="online", online_url="https://a.example.org"), [alder], publishing, NOW
        )
        online.online_url = "https://b.example.org"
        derived.save(session, online, publishing, LATER)
        [one] = to_tell(session)
        assert (one.was.place, one.now and one.now.place) == (
            "https://a.example.org",
            "https://b.example.org",
        )


@on_sqlite
def test_a_row_from_before_gets_its_place_and_nobody_hears_of_it(
    database: Database, publishing: Publishing, tool_night: int
) -> None:
    """Nor does any calendar app: the revision of the calendar stands."""
    with database.writing() as session:
        session.connection().execute(sa.update(table_of(Occurrence)).values(place=""))
        for row in session.exec(select(Rendered)):
            row.made_for = "2" + row.made_for[1:]
        session.flush()
        before = session.connection().execute(sa.text("SELECT number FROM calendar_revision")).scalar_one()
        assert derived.refresh(session, publishing, LATER) == 1
        assert {row.place for row in session.exec(select(Occurrence))} == {
            "2150 N Halsted St, Chicago, IL, 60614"
        }
        after = session.connection().execute(sa.text("SELECT number FROM calendar_revision")).scalar_one()
        assert (put_down(session), after) == (None, before)


@on_sqlite
def test_moments_that_another_tzdata_moves_are_not_put_down_and_a_zone_put_right_is(
    database: Database, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    with database.writing() as session:
        table = table_of(Occurrence)
        for row in session.connection().execute(sa.select(table)).all():
            key = table.c.original_start == row.original_start
            values = {name: getattr(row, name) - HOUR for name in ("starts_at", "ends_at")}
            session.connection().execute(sa.update(table).where(key).values(values))
        for rendered in session.exec(select(Rendered)):
            rendered.made_for = rendered.made_for.replace(" ", " 2019.1 ", 1)
        session.flush()
        session.expire_all()
        assert derived.refresh(session, publishing, LATER) == 1
        assert put_down(session) is None
        event = session.get_one(Event, tool_night)
        store.revise(session, event, weekly(timezone="America/Denver"), [cast.alder], publishing, LATER)
        one = to_tell(session)[0]
        assert one.now and (one.was.start, one.now.starts_at - one.was.starts_at) == (one.now.start, HOUR)


@on_sqlite
def test_it_is_published_since_it_was_first_seen(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        event = store.add(session, single(state="draft"), [cast.alder], publishing, NOW)
        assert event.published_at is None
        acts: list[Callable[[], None]] = [event.publish, event.unpublish, event.publish]
        for number, act in enumerate(acts):
            act()
            derived.save(session, event, publishing, LATER + number * HOUR)
        assert event.published_at == LATER


@on_sqlite
def test_an_import_that_changes_many_events_writes_one_row_for_each(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    statements: list[str] = []
    with database.writing() as session:
        events = [store.add(session, single(), [cast.alder], publishing, NOW) for _ in range(5)]
        sa.event.listen(database.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
        for event in events:
            store.revise(session, event, single(end=FIRST + 3 * HOUR), [cast.alder], publishing, LATER)
    about = [one for one in statements if "date_change" in one]
    assert len(about) == 5 and all(one.startswith("INSERT") for one in about)


# ---------------------------------------------------------------- changed again


@on_sqlite
def test_what_is_taken_back_within_the_minute_is_told_to_nobody(
    database: Database, publishing: Publishing, tool_night: int
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        event.cancel("Wrong one.", LATER)
        derived.save(session, event, publishing, LATER)
        event.publish()
        derived.save(session, event, publishing, LATER)
        assert to_tell(session) == []


def test_dates_that_change_again_are_told_as_they_were_first_and_when_they_would_have_been(
    database: Database, publishing: Publishing, tool_night: int
) -> None:
    soon = timedelta(seconds=30)
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        store.change_date(session, event, moved(SECOND, SECOND + HOUR), publishing, LATER)
        store.change_date(session, event, moved(SECOND, SECOND + 2 * HOUR), publishing, LATER + soon)
        store.change_date(session, event, moved(SECOND + WEEK, SECOND + 8 * HOUR), publishing, LATER + soon)
        assert starts(to_tell(session)) == [
            (SECOND, SECOND + 2 * HOUR),
            (SECOND + WEEK, SECOND + 8 * HOUR),
        ]


@on_sqlite
def test_a_single_event_that_moves_twice_has_moved_once(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        event = store.add(session, single(), [cast.alder], publishing, NOW)
        for days in (3, 40):
            start = FIRST + timedelta(days=days)
            store.revise(
                session, event, single(start=start, end=start + HOUR), [cast.alder], publishing, LATER
            )
        event.cancel("No.", LATER)
        derived.save(session, event, publishing, LATER)
        [one] = to_tell(session)
        assert one.was.start == FIRST and one.now
        assert (one.now.start, one.now.cancelled) == (FIRST + timedelta(days=40), True)


@on_sqlite
def test_a_single_event_that_comes_back_to_its_day_has_not_moved(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        event = store.add(session, single(), [cast.alder], publishing, NOW)
        for start in (FIRST + WEEK, FIRST):
            store.revise(
                session, event, single(start=start, end=start + 2 * HOUR), [cast.alder], publishing, LATER
            )
        assert to_tell(session) == []


@on_sqlite
@pytest.mark.parametrize("days", [0, 1, 3])
def test_each_date_of_a_series_that_moves_as_a_whole_moves(
    database: Database, publishing: Publishing, tool_night: int, cast: Cast, days: int
) -> None:
    """To another hour, or to another weekday; and once more before it is told."""
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        for hours in (1, 2):
            start = FIRST + timedelta(days=days, hours=hours)
            rule = f"FREQ=WEEKLY;BYDAY={('MO', 'TU', 'WE', 'TH', 'FR', 'SA', 'SU')[start.weekday()]}"
            draft = weekly(start=start, end=start + 2 * HOUR, rrule=rule)
            store.revise(session, event, draft, [cast.alder], publishing, LATER)
        step, found = timedelta(days=days, hours=2), starts(to_tell(session))
        assert found == [(at, at + step) for at in (FIRST + number * WEEK for number in range(20))]


@on_sqlite
def test_a_date_left_out_is_gone_and_does_not_pass_for_a_neighbour(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        often = weekly(rrule="FREQ=WEEKLY;BYDAY=TU,TH,SA")
        event = store.add(session, often, [cast.alder], publishing, NOW)
        thursday = FIRST + timedelta(days=2)
        store.revise(
            session, event, often.model_copy(update={"exdates": (thursday,)}), [cast.alder], publishing, LATER
        )
        assert starts(to_tell(session)) == [(thursday, None)]


@on_sqlite
def test_this_and_following_tells_what_differs_and_not_that_the_rest_is_gone(
    database: Database, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        following = store.following(session, event, SECOND)
        later = following.model_copy(
            update={"start": SECOND + HOUR, "end": SECOND + 3 * HOUR, "overrides": ()}
        )
        store.change_following(session, event, SECOND, later, [cast.alder], publishing, LATER)
        found = to_tell(session)
        assert starts(found)[:2] == [(SECOND, SECOND + HOUR), (SECOND + WEEK, SECOND + WEEK + HOUR)]
        assert all(one.said is not None and one.said.event.id != tool_night for one in found)


@on_sqlite
def test_this_and_following_with_another_title_tells_nothing(
    database: Database, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        renamed = store.following(session, event, SECOND).model_copy(update={"title": "Saw night"})
        store.change_following(session, event, SECOND, renamed, [cast.alder], publishing, LATER)
        assert to_tell(session) == []


# ---------------------------------------------------------------- taking up


def test_what_is_claimed_is_not_claimed_again_before_the_lease_is_over(
    database: Database, publishing: Publishing, tool_night: int
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        store.change_date(session, event, moved(SECOND, SECOND + HOUR), publishing, LATER)
        [first] = dates_changed.claim(session, TOLD)
        assert dates_changed.claim(session, TOLD) == []
        [second] = dates_changed.claim(session, TOLD + dates_changed.LEASE + timedelta(seconds=1))
        assert not dates_changed.settle(session, first), "it is the other's by now"
        assert dates_changed.settle(session, second)
        assert put_down(session) is None


def test_no_more_are_claimed_than_were_asked_for_however_the_database_goes_about_it(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        for number in range(12):
            event = store.add(
                session, weekly(title=f"Quiz {number}", rrule=""), [cast.alder], publishing, NOW
            )
            event.cancel("Snow.", LATER)
            derived.save(session, event, publishing, LATER)
        if not database.is_sqlite:  # a subquery would be made again for each row
            for way in ("hashjoin", "mergejoin", "hashagg", "sort", "material"):
                session.connection().execute(sa.text(f"SET LOCAL enable_{way} = off"))
        assert len(dates_changed.claim(session, TOLD, most=4)) == 4


def test_what_changes_while_it_is_being_told_is_told_anew(
    database: Database, publishing: Publishing, tool_night: int
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        store.change_date(session, event, moved(SECOND, SECOND + HOUR), publishing, LATER)
        [work] = dates_changed.claim(session, TOLD)
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        store.change_date(session, event, moved(SECOND, SECOND + 2 * HOUR), publishing, TOLD)
        assert not dates_changed.settle(session, work)
    with database.writing() as session:
        assert starts(to_tell(session)) == [(SECOND, SECOND + 2 * HOUR)]


@on_sqlite
def test_a_change_goes_with_its_event(database: Database, publishing: Publishing, tool_night: int) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        store.change_date(session, event, moved(SECOND, SECOND + HOUR), publishing, LATER)
        for model in ("event_branch", "event_topic"):
            session.connection().execute(sa.text(f"DELETE FROM {model}"))  # noqa: S608
        session.connection().execute(sa.delete(table_of(Event)).where(col(Event.id) == tool_night))
        assert put_down(session) is None


@on_sqlite
def test_what_is_not_over_when_it_changes_and_is_when_it_is_told_is_left(
    database: Database, publishing: Publishing, tool_night: int
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        store.change_date(session, event, moved(FIRST, FIRST + HOUR), publishing, LATER)
        assert to_tell(session, datetime(2026, 11, 25, 4, tzinfo=UTC)) == []
