"""What followers will see of a change is said before it is made, in sentences, and never more than they will see."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlmodel import Session, select

from events.calendars import changes, derived, store
from events.calendars.consequences import MOST_DATES, Consequences, copied, differences
from events.calendars.content import Publishing, Told
from events.calendars.drafts import EventDraft, OverrideDraft
from events.calendars.models import Event, Override, Rendered
from events.db import Database
from events.language import language
from events.people import history
from tests.calendars.test_feeds import weekly
from tests.conftest import NOW, Cast, branch

TUESDAY = datetime(2026, 12, 8, 19)
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(weeks=1)
ALDER = branch("alder", "Alder Club", None, city="Chicago", timezone="America/Chicago")


def told(*changed: Override, **more: object) -> Told:
    """Tool night, every Tuesday at 19:00 from 24 November on."""
    ALDER.id = 1
    made = store.sketch(weekly(**more), [ALDER], NOW)
    made.event.id = 1
    return replace(made, overrides=changed)


def single(**more: object) -> Told:
    return told(**{"rrule": "", "start": TUESDAY, "end": TUESDAY + 2 * HOUR, **more})


def on(original_start: datetime, **more: Any) -> Override:
    return Override(event_id=1, original_start=original_start, **more)


def lines(found: Consequences, spoken: str = "en") -> list[str]:
    return [language(spoken).say(line).replace("\u202f", " ") for line in found.lines]


def seen(before: Told, after: Told, since: datetime | None = None) -> list[str]:
    return lines(differences(before, after, NOW, since))


def test_a_date_that_moves_is_told_from_when_to_when() -> None:
    moved = on(TUESDAY, start=TUESDAY + 2 * DAY - HOUR, end=TUESDAY + 2 * DAY + HOUR)
    assert seen(told(), told(moved)) == [
        "Tuesday, December 8, 2026, 7:00 PM becomes Thursday, December 10, 2026, 6:00 PM."
    ]
    later = on(TUESDAY, start=TUESDAY + HOUR, end=TUESDAY + 4 * HOUR)
    assert seen(told(), told(later)) == [
        "Tuesday, December 8, 2026, 7:00 PM becomes 8:00 PM.",
        "Tuesday, December 8, 2026, 8:00 PM ends at 11:00 PM.",
    ]

    longer = on(TUESDAY, start=TUESDAY - HOUR, end=TUESDAY + 2 * HOUR)
    assert seen(told(), told(longer)) == ["Tuesday, December 8, 2026, 7:00 PM becomes 6:00 PM."]


def test_one_date_is_cancelled_gets_another_reason_and_takes_place_after_all() -> None:
    snow, ice = (on(TUESDAY, cancelled=True, reason=reason) for reason in ("Snow.", "Ice."))
    assert seen(told(), told(snow)) == ["Tuesday, December 8, 2026, 7:00 PM is shown as cancelled: “Snow.”"]
    assert seen(told(snow), told(ice)) == ["On Tuesday, December 8, 2026 the reason is “Ice.”."]
    assert seen(told(snow), told()) == ["Tuesday, December 8, 2026, 7:00 PM takes place after all."]


def test_words_and_the_place_of_one_date_are_told_with_their_day() -> None:
    party = on(TUESDAY, title="Party", description="Cake.", venue_name="Hall", venue_address="1 Long Street")
    assert seen(told(), told(party)) == [
        "On Tuesday, December 8, 2026 the title is “Party”.",
        "On Tuesday, December 8, 2026 the place is “Hall, 1 Long Street”.",
        "On Tuesday, December 8, 2026 the description is another one.",
    ]


def test_what_changes_on_all_dates_is_told_once() -> None:
    after = told(title="Saw night", description="Bring saws.", online_url="https://meet.example.org/x",
                 attendance="online", cost="5 €", topics=())  # fmt: skip
    assert seen(told(), after) == [
        "The title becomes “Saw night”.",
        "It has no place to go to any more.",
        "The link to join online becomes https://meet.example.org/x",
        "The description changes.",
        "The cost becomes “5 €”.",
        "It is not listed under any topic any more.",
    ]


def test_a_series_at_another_hour_moves_its_dates_and_the_rest_is_counted() -> None:
    found = differences(told(), told(start=datetime(2026, 11, 24, 18), end=datetime(2026, 11, 24, 20)), NOW)
    assert lines(found)[0] == "Tuesday, November 24, 2026, 7:00 PM becomes 6:00 PM."
    assert (len(found.lines), found.more) == (MOST_DATES, 52 - MOST_DATES)


def test_a_series_on_another_weekday_moves_its_dates_with_those_changed_before() -> None:
    wednesdays = {"start": datetime(2026, 11, 25, 19), "end": datetime(2026, 11, 25, 21)}
    after = told(on(TUESDAY + DAY, cancelled=True), **wednesdays, rrule="FREQ=WEEKLY;BYDAY=WE")
    first, _, third, *_ = seen(told(on(TUESDAY, cancelled=True)), after)
    assert first == "Tuesday, November 24, 2026, 7:00 PM becomes Wednesday, November 25, 2026, 7:00 PM."
    assert third == "Tuesday, December 8, 2026, 7:00 PM becomes Wednesday, December 9, 2026, 7:00 PM."


def test_dates_are_added_and_disappear() -> None:
    fortnightly = told(rrule="FREQ=WEEKLY;INTERVAL=2;BYDAY=TU")
    assert seen(told(), fortnightly)[0] == "Tuesday, December 1, 2026, 7:00 PM disappears."
    assert seen(fortnightly, told())[0] == "Tuesday, December 1, 2026, 7:00 PM is added."
    assert seen(told(), told(exdates=(TUESDAY,))) == ["Tuesday, December 8, 2026, 7:00 PM disappears."]


def test_a_single_event_moves_however_far_and_becomes_all_day() -> None:
    next_year = TUESDAY + 60 * WEEK
    assert seen(single(), single(start=next_year, end=next_year + 2 * HOUR)) == [
        "Tuesday, December 8, 2026, 7:00 PM becomes Tuesday, February 1, 2028, 7:00 PM."
    ]
    midnight = TUESDAY.replace(hour=0)
    assert seen(single(), single(start=midnight, end=midnight + DAY, all_day=True)) == [
        "Tuesday, December 8, 2026, 7:00 PM becomes Tuesday, December 8, 2026, all day."
    ]


def test_cancelling_postponing_and_taking_it_back_are_told_once_for_the_whole() -> None:
    off, later = told(state="cancelled", reason="Roof."), told(state="postponed", reason="Roof.")
    assert seen(told(), off) == ["It is shown as cancelled: “Roof.”"]
    assert seen(off, later) == ["It is shown as postponed: “Roof.”"]
    assert seen(later, told()) == ["It is no longer shown as cancelled."]
    assert seen(off, told(state="cancelled", reason="Rain.")) == ["The reason becomes “Rain.”."]


def test_what_is_not_published_shows_nowhere_whatever_changes() -> None:
    draft = told(state="draft")
    assert seen(draft, told(state="draft", title="X")) == [
        "It is not published, so nobody sees anything of this yet."
    ]
    assert seen(draft, told()) == [
        "It appears in the calendars of everybody who follows its branch or its topics."
    ]
    gone = told()
    gone.event.delete(NOW)
    assert seen(told(), gone) == ["Calendars show it as cancelled for 30 days, then it disappears from them."]


def test_no_app_shows_what_changes_nothing_that_is_shown() -> None:
    assert differences(told(), told(), NOW) == Consequences([])
    assert seen(told(), told(access=("step-free",))) == [], "an app has no place for it"


def test_past_dates_and_those_of_the_year_after_next_are_admitted_without_a_list() -> None:
    past = NOW.replace(tzinfo=None, hour=19) - 20 * WEEK
    old = {"start": past, "end": past + HOUR, "rrule": "FREQ=WEEKLY"}
    [line] = seen(told(**old), told(on(past + WEEK, cancelled=True, reason="Snow."), **old))
    assert line.startswith("Something changes that is not listed here")
    [line] = seen(told(), told(rrule="FREQ=WEEKLY;UNTIL=20301231T000000"))
    assert line.startswith("Something changes that is not listed here")


def test_the_following_dates_are_compared_with_the_series_that_takes_their_place() -> None:
    new = told(start=TUESDAY + DAY, end=TUESDAY + DAY + 2 * HOUR, rrule="FREQ=WEEKLY;BYDAY=WE", title="Saws")
    first, second, *_ = seen(told(), new, TUESDAY)
    assert first == "The title becomes “Saws”."
    assert second == "Tuesday, December 8, 2026, 7:00 PM becomes Wednesday, December 9, 2026, 7:00 PM."


def test_another_zone_and_another_branch_are_told() -> None:
    birch = branch("birch", "Club Abedul", None, city="Madrid")
    after = replace(told(timezone="Europe/Madrid"), hosts=[birch])
    assert seen(told(), after) == [
        "The place becomes “Club Abedul, Madrid”.",
        "It is held by: Club Abedul",
        "Its times are by the clocks of this place: Madrid",
    ]


@pytest.fixture
def event(database: Database, publishing: Publishing, cast: Cast) -> int:
    with database.writing() as session:
        return store.add(session, weekly(), [cast.alder], publishing, NOW).id or 0


def _everything(session: Session, event: Event) -> object:
    texts = [row.ics for row in session.exec(select(Rendered)).all()]
    return changes.snapshot(session, event), texts, history.versions(session, changes.subject(event))


def test_a_change_that_was_tried_leaves_no_trace(
    database: Database, publishing: Publishing, cast: Cast, event: int
) -> None:
    with database.writing() as session:
        row = session.get_one(Event, event)
        before = _everything(session, row)

        def made() -> Event:
            draft = EventDraft.model_validate({**dict(weekly()), "title": "Other", "topics": ("New",)})
            store.revise(session, row, draft, [cast.birch], publishing, NOW)
            store.change_date(
                session, row, OverrideDraft(original_start=TUESDAY, cancelled=True), publishing, NOW
            )
            return row

        found = changes.consequences_of(session, row, made, NOW)
        assert "The title becomes “Other”." in lines(found) and "It is held by: Club Abedul" in lines(found)
        assert _everything(session, row) == before
    with database.reading() as session:
        assert _everything(session, session.get_one(Event, event)) == before


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_copy_stays_what_it_was(database: Database, event: int) -> None:
    with database.writing() as session:
        row = session.get_one(Event, event)
        kept = copied(derived.tell(session, row))
        row.title = "Other"
        assert kept.event.title == "Tool night"
