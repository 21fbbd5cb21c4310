"""Each change leaves a version, and any of them can be had back."""

import ast
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier

import pytest
from sqlmodel import Session

from events.calendars import changes, dates, store
from events.calendars.content import Publishing
from events.calendars.derived import tell
from events.calendars.drafts import EventDraft, OverrideDraft
from events.calendars.horizon import rule_of
from events.calendars.models import Event
from events.calendars.recurrence import starts
from events.db import Database
from events.errors import Conflict, NotFound
from events.language import language
from events.people import history, permissions
from tests.calendars.test_feeds import weekly
from tests.conftest import NOW, Cast
from tests.test_project import ROOT

LATER = NOW + timedelta(hours=1)
TUESDAY = datetime(2026, 12, 1, 19)
WEEK = timedelta(weeks=1)
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def posted(session: Session, cast: Cast, publishing: Publishing) -> Event:
    event = store.add(session, weekly(), [cast.alder], publishing, NOW)
    changes.added(session, event, cast.ana, NOW)
    return event


def actions(session: Session, event: Event) -> list[str]:
    return [version.action for version in reversed(history.versions(session, changes.subject(event)))]


def test_a_change_is_a_version_with_who_and_when_and_no_change_is_none(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        event = posted(session, cast, publishing)
        with changes.recorded(session, event, "cancelled", cast.dee, LATER):
            event.cancel("Snow.", LATER)
        with changes.recorded(session, event, "cancelled", cast.dee, LATER):
            event.cancel("Snow.", LATER)
        assert actions(session, event) == ["added", "cancelled"]
        newest = history.versions(session, changes.subject(event))[0]
        assert (newest.person_id, newest.made_at) == (cast.dee.id, LATER)
        assert newest.snapshot["event"]["reason"] == "Snow."


def test_what_came_from_elsewhere_is_kept_before_its_first_change_here(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        event = store.add(session, weekly(), [cast.alder], publishing, NOW)
        with changes.recorded(session, event, "changed", cast.ana, LATER):
            event.title = "Another"
        assert actions(session, event) == ["found", "changed"]


def test_every_action_has_a_sentence() -> None:
    texts = [path.read_text() for path in (ROOT / "events").rglob("*.py")]
    said = {
        argument.value
        for text in texts
        if "changes." in text
        for call in ast.walk(ast.parse(text))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
        if isinstance(call.func.value, ast.Name) and call.func.value.id == "changes"
        if call.func.attr in ("recorded", "added", "post")
        for argument in (*call.args, *(keyword.value for keyword in call.keywords))
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }
    assert {"changed", "date", "removed"} <= said <= changes.ACTIONS.keys()


def test_a_restored_series_has_its_changed_dates_its_hosts_and_its_state_again(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        event = posted(session, cast, publishing)
        moved = OverrideDraft(
            original_start=TUESDAY,
            start=TUESDAY + timedelta(days=1),
            end=TUESDAY + timedelta(days=1, hours=2),
        )
        with changes.recorded(session, event, "date", cast.ana, LATER):
            store.change_date(session, event, moved, publishing, LATER)
        with changes.recorded(session, event, "changed", cast.ana, LATER):
            draft = store.draft_of(tell(session, event)).model_copy(
                update={"title": "Other", "rrule": "", "overrides": ()}
            )
            store.revise(session, event, draft, [cast.birch], publishing, LATER)
        with changes.recorded(session, event, "removed", cast.ana, LATER):
            event.delete(LATER)
        version = history.version(session, changes.subject(event), 2)
        with changes.recorded(session, event, "restored", cast.ana, LATER):
            changes.restore(session, event, version, publishing, LATER)
        told = tell(session, event)
        assert actions(session, event) == ["added", "date", "changed", "removed", "restored"]
        assert (event.title, event.deleted_at, event.is_series) == ("Tool night", None, True)
        assert [host.slug for host in told.hosts] == ["alder"]
        assert [override.start for override in told.overrides] == [moved.start]
        assert changes.snapshot(session, event) == version.snapshot


def test_of_two_who_save_at_the_same_moment_one_finds_the_other_s_change(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        number, ready = posted(session, cast, publishing).id, Barrier(2)

    def saved(title: str) -> bool:
        ready.wait()
        with database.writing() as session:
            event = session.get_one(Event, number)
            changes.hold(session, event)
            if event.title != "Tool night":
                return False
            with changes.recorded(session, event, "changed", cast.ana, LATER):
                event.title = title
            return True

    with ThreadPoolExecutor(2) as both:
        assert sorted(both.map(saved, ["Ana's", "Dee's"])) == [False, True]


# ---------------------------------------------------------------- single dates, and those that follow


Made = Callable[..., Event]


@pytest.fixture
def make(database: Database, publishing: Publishing, cast: Cast) -> object:
    with database.writing() as session:
        yield lambda **more: store.add(session, weekly(**more), [session.merge(cast.alder)], publishing, NOW)


def session_of(event: Event) -> Session:
    session = Session.object_session(event)
    assert isinstance(session, Session)
    return session


def left(event: Event) -> list[datetime]:
    skipped = [datetime.fromisoformat(text) for text in event.exdates]
    return list(starts(rule_of(event), event.start, skipped, limit=50))


@on_sqlite
def test_a_series_ends_before_a_date_and_keeps_what_was_changed_before_it(
    make: Made, publishing: Publishing
) -> None:
    event = make(rrule="FREQ=WEEKLY;COUNT=9", exdates=(TUESDAY + 2 * WEEK,))
    session = session_of(event)
    dates.cancel_dates(session, event, [TUESDAY, TUESDAY + 4 * WEEK], "Snow.", publishing, NOW)
    dates.end_before(session, event, TUESDAY + 3 * WEEK, "", publishing, NOW)
    assert left(event) == [TUESDAY - WEEK, TUESDAY, TUESDAY + WEEK]
    assert [one.original_start for one in tell(session, event).overrides] == [TUESDAY]


@on_sqlite
def test_a_reason_stays_at_the_first_date_that_does_not_take_place(
    make: Made, publishing: Publishing
) -> None:
    event = make()
    session = session_of(event)
    dates.end_before(session, event, TUESDAY + WEEK, "Ana moves away.", publishing, NOW)
    assert left(event)[-1] == TUESDAY + WEEK
    [last] = tell(session, event).overrides
    assert (last.original_start, last.cancelled, last.reason) == (TUESDAY + WEEK, True, "Ana moves away.")


@on_sqlite
def test_a_series_cannot_end_before_its_first_date_nor_at_one_that_it_has_not(
    make: Made, publishing: Publishing
) -> None:
    event = make(exdates=(TUESDAY - WEEK,))
    for at, error in ((TUESDAY, Conflict), (TUESDAY - WEEK, NotFound), (TUESDAY + timedelta(1), NotFound)):
        with pytest.raises(error):
            dates.end_before(session_of(event), event, at, "", publishing, NOW)


def test_changed_and_left_out_dates_go_along_with_the_following_series() -> None:
    party = OverrideDraft(original_start=TUESDAY, end=TUESDAY + timedelta(hours=4), title="Party")
    off = OverrideDraft(original_start=TUESDAY + WEEK, cancelled=True)
    before = weekly(overrides=(party, off), exdates=(TUESDAY + 2 * WEEK,))
    day = timedelta(days=1)
    moved = weekly(start=before.start + day, end=before.end + day, rrule="FREQ=WEEKLY;UNTIL=20261203T000000")
    carried = dates.carried(moved, before)
    [kept] = carried.overrides
    assert (kept.original_start, kept.end) == (TUESDAY + day, TUESDAY + day + timedelta(hours=4))
    assert carried.exdates == ()
    later = dates.carried(weekly(start=before.start - timedelta(hours=1), end=before.end), before)
    assert later.exdates == (TUESDAY + 2 * WEEK - timedelta(hours=1),) and len(later.overrides) == 2
    assert dates.carried(weekly(rrule=""), before).overrides == ()


def test_a_date_that_is_postponed_is_told_in_the_language_of_its_event() -> None:
    for code in ("en", "es"):
        reason = dates.reason_of("postponed", "Nieve.", language(code))
        assert reason != "Nieve."
        change = OverrideDraft(original_start=TUESDAY, cancelled=True, reason=reason)
        assert dates.kind_and_reason(change, language(code)) == ("postponed", "Nieve.")


# ---------------------------------------------------------------- another of the same


# What the event is, then when its copy begins and how often it is. Today is a Monday, 23 November 2026.
COPIES: tuple[tuple[dict[str, object], datetime, str], ...] = (
    ({}, datetime(2026, 11, 24, 19), "FREQ=WEEKLY;BYDAY=TU"),
    ({"rrule": ""}, datetime(2026, 11, 24, 19), ""),
    (
        {"rrule": "FREQ=WEEKLY;UNTIL=20240123T190000", "start": datetime(2024, 1, 9, 19)},
        datetime(2026, 11, 24, 19),
        "FREQ=WEEKLY;UNTIL=20261208T190000;BYDAY=TU",
    ),
    (
        {"rrule": "FREQ=MONTHLY;BYDAY=2TU", "start": datetime(2026, 9, 8, 19)},
        datetime(2026, 12, 8, 19),
        "FREQ=MONTHLY;BYDAY=2TU",
    ),
    ({"rrule": "", "start": datetime(2031, 1, 5, 9)}, datetime(2026, 11, 29, 9), ""),
    ({"rrule": "", "start": datetime(2026, 11, 23, 9)}, datetime(2026, 11, 30, 9), ""),
)


@on_sqlite
def test_a_copy_is_on_the_first_such_weekday_after_today(make: Made, publishing: Publishing) -> None:
    for values, start, rule in COPIES:
        first = values.get("start", datetime(2026, 11, 24, 19))
        assert isinstance(first, datetime)
        event = make(**{"end": first + timedelta(hours=2), **values})
        copy = dates.copy(session_of(event), event, None, publishing, NOW, "")
        assert (copy.start, copy.duration, copy.rrule) == (start, timedelta(hours=2), rule)
        assert copy.uid != event.uid and copy.state == "draft"


@on_sqlite
def test_a_copy_whose_hour_the_clocks_skip_is_a_week_later(make: Made, publishing: Publishing) -> None:
    event = make(rrule="", start=datetime(2026, 2, 1, 2, 30), end=datetime(2026, 2, 1, 4))
    before = datetime(2027, 3, 12, 12, tzinfo=NOW.tzinfo)
    copy = dates.copy(session_of(event), event, None, publishing, before, "")
    assert copy.start == datetime(2027, 3, 21, 2, 30)


def test_what_was_removed_is_listed_for_thirty_days_for_those_who_may_bring_it_back(
    make: Made, cast: Cast
) -> None:
    lately, long_ago, kept = make(), make(), make()
    session = session_of(kept)
    lately.delete(NOW - timedelta(days=29))
    long_ago.delete(NOW - timedelta(days=31))
    session.flush()
    for person, found in ((cast.ana, [lately]), (cast.dee, [lately]), (cast.cy, [])):
        assert changes.removed_lately(session, permissions.branch_ids(person), NOW) == found
    assert changes.may_return(lately, NOW) and not changes.may_return(long_ago, NOW)


@on_sqlite
def test_a_version_can_be_looked_at_without_restoring_it(
    make: Made, database: Database, publishing: Publishing, cast: Cast
) -> None:
    event = make()
    session = session_of(event)
    with changes.recorded(session, event, "date", cast.ana, NOW):
        dates.cancel_dates(session, event, [TUESDAY], "Snow.", publishing, NOW)
    told = changes.told_in(session, event, history.version(session, changes.subject(event), 2), NOW)
    assert [(one.original_start, one.reason) for one in told.overrides] == [(TUESDAY, "Snow.")]
    assert told.event not in session and told.event.title == event.title
    plain = EventDraft.model_validate({**dict(weekly()), "overrides": ()})
    assert (
        store.draft_of(changes.told_in(session, event, history.version(session, f"event:{event.id}", 1), NOW))
        == plain
    )
