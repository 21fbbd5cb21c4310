"""Series that change: what was changed or left out date by date stays with its dates."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import Session, col, select

from events.calendars import content, derived, store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft, OverrideDraft
from events.calendars.models import Departure, Event, Topic
from events.db import Database
from events.errors import NotFound
from tests.calendars.test_feeds import weekly
from tests.conftest import NOW, Cast, branch

FIRST = datetime(2026, 11, 24, 19)  # a Tuesday
WEEK, DAY, HOUR = timedelta(weeks=1), timedelta(days=1), timedelta(hours=1)


class Series:
    """A weekly series of Alder's, and what happens to it."""

    def __init__(self, session: Session, publishing: Publishing, cast: Cast, **more: object) -> None:
        self.session, self.publishing = session, publishing
        self.hosts = [session.merge(cast.alder)]
        self.event = store.add(session, weekly(**more), self.hosts, publishing, NOW)

    def change(self, at: datetime, **more: object) -> None:
        change = OverrideDraft.model_validate({"original_start": at, **more})
        store.change_date(self.session, self.event, change, self.publishing, NOW)

    def revise(self, **more: object) -> None:
        draft = EventDraft.model_validate({**dict(self.draft), "overrides": (), "exdates": (), **more})
        store.revise(self.session, self.event, draft, self.hosts, self.publishing, NOW)

    @property
    def draft(self) -> EventDraft:
        return store.draft_of(derived.tell(self.session, self.event))

    @property
    def dates(self) -> dict[datetime, OverrideDraft]:
        return {change.original_start: change for change in self.draft.overrides}

    def split(self, at: datetime, **more: object) -> Event:
        draft = store.following(self.session, self.event, at)
        draft = EventDraft.model_validate({**dict(draft), **more})
        return store.change_following(self.session, self.event, at, draft, self.hosts, self.publishing, NOW)


@pytest.fixture
def make(database: Database, publishing: Publishing, cast: Cast) -> Any:
    with database.writing() as session:
        yield lambda **more: Series(session, publishing, cast, **more)


def test_an_end_of_its_own_goes_along_when_the_series_moves(make: Any) -> None:
    series = make()
    series.change(FIRST + WEEK, end=FIRST + WEEK + 2.5 * HOUR)
    series.revise(start=FIRST + 3 * HOUR, end=FIRST + 5 * HOUR)
    [(at, change)] = series.dates.items()
    assert (at, change.end) == (FIRST + WEEK + 3 * HOUR, FIRST + WEEK + 5.5 * HOUR)


def test_hours_of_single_dates_are_dropped_when_a_series_becomes_all_day(make: Any) -> None:
    series = make()
    series.change(FIRST + WEEK, start=FIRST + WEEK + HOUR, title="Later")
    series.change(FIRST + 2 * WEEK, cancelled=True)
    midnight = FIRST.replace(hour=0)
    series.revise(start=midnight, end=midnight + DAY, all_day=True)
    later, off = series.dates.values()
    assert (later.title, later.start) == ("Later", None) and off.cancelled


def test_dates_may_move_onto_each_others_places(make: Any) -> None:
    series = make(rrule="FREQ=DAILY")
    for number in (1, 2, 3):
        series.change(FIRST + number * DAY, cancelled=True, reason=str(number))
    series.revise(start=FIRST + DAY, end=FIRST + DAY + 2 * HOUR)
    assert {at.day: change.reason for at, change in series.dates.items()} == {25: "1", 26: "2", 27: "3"}


@pytest.mark.parametrize("hour", [19, 18])
def test_of_two_changed_dates_that_become_one_that_of_the_day_stays(make: Any, hour: int) -> None:
    """From Mondays and Wednesdays to Wednesdays and Fridays: Monday would go where Wednesday is."""
    monday = datetime(2026, 11, 30, 19)
    series = make(rrule="FREQ=WEEKLY;BYDAY=MO,WE", start=monday, end=monday + 2 * HOUR)
    for at in (monday + WEEK, monday + WEEK + 2 * DAY):
        series.change(at, title=f"{at:%A}")
    start = datetime(2026, 12, 2, hour)
    series.revise(rrule="FREQ=WEEKLY;BYDAY=WE,FR", start=start, end=start + 2 * HOUR)
    assert {at: change.title for at, change in series.dates.items()} == {start + WEEK: "Wednesday"}


def test_no_date_is_left_out_and_changed_at_once(make: Any) -> None:
    series = make(rrule="FREQ=WEEKLY;BYDAY=TU,WE", exdates=(FIRST + WEEK,))
    with pytest.raises(NotFound):
        series.change(FIRST + WEEK, cancelled=True)
    series.change(FIRST + WEEK + DAY, title="Wednesday")
    series.revise(start=FIRST + DAY, end=FIRST + DAY + 2 * HOUR, rrule="FREQ=WEEKLY;BYDAY=WE")
    assert series.draft.exdates == (FIRST + WEEK + DAY,) and series.dates == {}


def test_this_and_following_keeps_each_side_as_it_was(make: Any) -> None:
    series = make(rrule="FREQ=WEEKLY;COUNT=10", exdates=(FIRST + WEEK, FIRST + 6 * WEEK))
    series.change(FIRST, cancelled=True)
    series.change(FIRST + 3 * WEEK, title="Third")
    series.change(FIRST + 5 * WEEK, title="Fifth")
    later = series.split(FIRST + 4 * WEEK, title="Upstairs")
    before, after = series.draft, store.draft_of(derived.tell(series.session, later))
    assert before.rrule == "FREQ=WEEKLY;UNTIL=20261215T190000;BYDAY=TU" and before.exdates == (FIRST + WEEK,)
    assert [(one.original_start, one.cancelled) for one in before.overrides] == [
        (FIRST, True),
        (FIRST + 3 * WEEK, False),
    ]
    assert "COUNT=6" in after.rrule and after.exdates == (FIRST + 6 * WEEK,) and after.title == "Upstairs"
    assert [one.title for one in after.overrides] == ["Fifth"]
    assert later.related_uid == series.event.uid != later.uid


def test_a_split_after_the_first_date_revives_nothing(make: Any) -> None:
    cancelled = make()
    cancelled.change(FIRST, cancelled=True)
    cancelled.split(FIRST + WEEK)
    assert cancelled.dates[FIRST].cancelled
    excluded = make(exdates=(FIRST,))
    assert excluded.split(FIRST + WEEK).id == excluded.event.id, (
        "nothing is left before it: it is the series itself"
    )
    with pytest.raises(NotFound):
        make(exdates=(FIRST + WEEK,)).split(FIRST + WEEK)


def test_a_venue_without_a_position_has_no_pin_and_another_place_not_the_old_address(make: Any) -> None:
    series = make(venue={"name": "Town Hall", "address_1": "5 Far Road"})
    series.change(FIRST + WEEK, venue_name="Library")
    told = derived.tell(series.session, series.event)
    usual, changed = content.said(told), content.said(told, told.overrides[0])
    assert (usual.latitude, str(usual.place)) == (None, "Town Hall\n5 Far Road")
    assert (changed.latitude, str(changed.place)) == (None, "Library")


def test_topics_in_other_letters_are_told_apart(make: Any) -> None:
    series = make(topics=("修理", "子供", "Branch"))
    topics = series.session.exec(select(Topic).order_by(col(Topic.slug))).all()
    assert {topic.name for topic in topics} == {"修理", "子供", "Branch"} and len(
        {topic.slug for topic in topics}
    ) == 3
    assert series.draft.topics == tuple(sorted(("修理", "子供", "Branch")))


def test_what_went_on_from_where_it_went_says_so_everywhere(make: Any, cast: Cast) -> None:
    series = make()
    cedar = branch("cedar", "Cedar", None)
    series.session.add(cedar)
    for host in (series.session.merge(cast.birch), cedar):
        series.hosts = [host]
        series.revise()
    in_english = select(Departure).where(col(Departure.locale) == "en")
    said = [row.ics.replace("\r\n ", "") for row in series.session.exec(in_english)]
    assert len(said) == 2 and all("This event has moved to Cedar." in text for text in said)
