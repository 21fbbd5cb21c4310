"""Event drafts: what may be said, what contradicts itself, and moving a draft by weeks."""

from datetime import datetime, timedelta

import pytest
from pydantic import ValidationError

from events.calendars.drafts import EventDraft, OverrideDraft, VenueDraft, shifted
from events.calendars.recurrence import starts
from events.drafts import ACCESS, faults

TUESDAY = datetime(2026, 11, 10, 19, 0)  # the second one of its month
WEEK = timedelta(weeks=1)


def draft(**values: object) -> EventDraft:
    start = values.get("start", TUESDAY)
    assert isinstance(start, datetime)
    given = {
        "title": "Repair café",
        "start": start,
        "end": start + timedelta(hours=2),
        "timezone": "Europe/Madrid",
    }
    return EventDraft.model_validate(given | values)


def wrong(**values: object) -> dict[str, str]:
    with pytest.raises(ValidationError) as refused:
        draft(**values)
    return {field: str(message) for field, message in faults(refused.value).items()}


def override(original_start: datetime, **values: object) -> OverrideDraft:
    return OverrideDraft.model_validate({"original_start": original_start, **values})


def dates(series: EventDraft, limit: int | None = None) -> list[datetime]:
    return list(starts(series.rule, series.start, series.exdates, limit=limit))


def test_a_weekly_meeting_needs_little() -> None:
    event = draft(rrule="FREQ=WEEKLY")
    assert event.rrule == "FREQ=WEEKLY;BYDAY=TU"
    assert (event.state, event.attendance, event.venue) == ("draft", "in-person", None)
    assert event.duration == timedelta(hours=2)


def test_a_form_sends_nothing_but_text() -> None:
    event = draft(
        end="2026-11-10T21:30", all_day="false", topics=["Repair", "repair ", "Bikes"], access=list(ACCESS)
    )
    assert event.end == datetime(2026, 11, 10, 21, 30)
    assert event.topics == ("Repair", "Bikes")
    assert event.access == ACCESS


def test_a_rule_of_one_date_is_no_series() -> None:
    assert draft(rrule="FREQ=WEEKLY;COUNT=1").rrule == ""


def test_a_refused_rule_says_why_at_its_field() -> None:
    assert "more often" in wrong(rrule="FREQ=HOURLY")["rrule"]


def test_a_rule_is_not_judged_while_the_start_is_unknown() -> None:
    found = wrong(start=datetime(1950, 1, 1), end=TUESDAY, rrule="FREQ=WEEKLY;UNTIL=20260101")
    assert list(found) == ["start"]


@pytest.mark.parametrize("hours", [0, -2])
def test_an_end_before_the_start_is_refused(hours: int) -> None:
    assert wrong(end=TUESDAY + timedelta(hours=hours)) == {"end": "The end must be after the start."}


def test_an_event_of_four_years_is_refused() -> None:
    assert "three years" in wrong(end=datetime(2030, 11, 10))["end"]


def test_a_start_outside_its_rule_is_told_the_first_date_that_fits() -> None:
    assert wrong(rrule="FREQ=MONTHLY;BYDAY=1MO") == {
        "start": "The repetition does not include this date. The first that fits is 2026-12-07 19:00:00."
    }


def test_a_rule_that_never_happens_is_refused() -> None:
    assert wrong(rrule="FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30") == {"rrule": "This rule never happens."}


def test_leaving_out_every_date_is_refused() -> None:
    assert "exdates" in wrong(rrule="FREQ=WEEKLY;COUNT=2", exdates=[TUESDAY, TUESDAY + WEEK])


def test_leaving_out_what_is_no_date_means_nothing() -> None:
    given = [TUESDAY + 2 * WEEK, TUESDAY + WEEK, TUESDAY + WEEK, TUESDAY + timedelta(days=1), TUESDAY - WEEK]
    assert draft(rrule="FREQ=WEEKLY", exdates=given).exdates == (TUESDAY + WEEK, TUESDAY + 2 * WEEK)
    assert draft(exdates=given).exdates == ()


def test_all_day_events_begin_and_end_at_midnight() -> None:
    assert list(wrong(all_day=True)) == ["start", "end"]
    event = draft(
        all_day=True,
        start=datetime(2026, 11, 10),
        end=datetime(2026, 11, 11),
        rrule="FREQ=DAILY;UNTIL=20261112",
    )
    assert dates(event) == [datetime(2026, 11, day) for day in (10, 11, 12)]


@pytest.mark.parametrize("start", [datetime(2026, 3, 29, 2, 30), datetime(2026, 10, 25, 2, 30)])
def test_an_event_cannot_begin_while_the_clocks_change(start: datetime) -> None:
    assert "Europe/Madrid change at that hour" in wrong(start=start)["start"]
    assert draft(start=start, timezone="America/Mexico_City").start == start


def test_no_date_of_a_series_may_begin_while_the_clocks_change() -> None:
    sunday = datetime(2026, 11, 1, 2, 30)
    assert "On 2027-03-28 " in wrong(start=sunday, rrule="FREQ=WEEKLY")["start"]
    assert draft(start=sunday, rrule="FREQ=WEEKLY;COUNT=20")
    skipped = [datetime(2027, 3, 28, 2, 30)]
    assert draft(start=sunday, rrule="FREQ=WEEKLY;COUNT=22", exdates=skipped).exdates == tuple(skipped)


def test_midnight_of_an_all_day_event_may_be_skipped_by_the_clocks() -> None:
    assert draft(
        start=datetime(2026, 4, 24), end=datetime(2026, 4, 25), all_day=True, timezone="Africa/Cairo"
    )


def test_an_address_with_its_town_fits_into_the_one_line_that_is_kept_of_it() -> None:
    long = {"name": "Hall", "address_1": "x" * 200, "city": "y" * 120}
    assert "300 characters at most" in wrong(venue=long)["venue.address_1"]
    kept = draft(venue={**long, "city": "y" * 90}).venue
    assert kept is not None and draft(venue={"name": "Hall", "address_1": kept.address_line})


def test_an_online_event_has_no_venue() -> None:
    assert "no place to go to" in wrong(attendance="online", venue={"name": "Hall"})["venue"]
    assert draft(attendance="hybrid", venue={"name": "Hall"}, online_url="https://meet.example.org/x")


def test_a_position_is_whole_and_not_in_the_atlantic() -> None:
    assert VenueDraft(name="Hall", latitude=0, longitude=12).latitude == 0
    assert list(wrong(venue={"name": "Hall", "latitude": 41.9})) == ["venue.longitude"]
    assert list(wrong(venue={"name": "Hall", "latitude": "0", "longitude": "0"})) == ["venue.latitude"]
    assert draft(venue={"name": "Hall", "latitude": "", "longitude": ""}).venue == VenueDraft(name="Hall")


def test_one_date_moves_and_another_is_cancelled() -> None:
    moved = override(TUESDAY + WEEK, start=TUESDAY + WEEK + timedelta(days=1))
    gone = override(TUESDAY + 2 * WEEK, cancelled=True, reason="Snow")
    event = draft(rrule="FREQ=WEEKLY", overrides=[moved, gone])
    assert event.times_of(moved) == (datetime(2026, 11, 18, 19), datetime(2026, 11, 18, 21))
    assert event.times_of(gone) == (datetime(2026, 11, 24, 19), datetime(2026, 11, 24, 21))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (override(TUESDAY + timedelta(days=1)), "original_start"),
        (override(TUESDAY + 3 * WEEK), "original_start"),
        (override(TUESDAY, end=TUESDAY), "end"),
        (override(TUESDAY, end=datetime(2036, 1, 1)), "end"),
        (override(TUESDAY, start=datetime(2027, 3, 28, 2, 30)), "start"),
    ],
)
def test_a_changed_date_must_make_sense(change: OverrideDraft, field: str) -> None:
    skipped = [TUESDAY + 3 * WEEK]
    assert list(wrong(rrule="FREQ=WEEKLY", exdates=skipped, overrides=[change])) == [f"overrides.0.{field}"]


def test_a_date_is_changed_once_only_and_in_series_only() -> None:
    assert list(wrong(rrule="FREQ=WEEKLY", overrides=[override(TUESDAY)] * 2)) == [
        "overrides.1.original_start"
    ]
    assert "does not repeat" in wrong(overrides=[override(TUESDAY)])["overrides.0.original_start"]


def test_a_thousand_changed_dates_of_a_long_series_are_checked_in_one_walk() -> None:
    far = [override(TUESDAY + timedelta(days=60_000 - number)) for number in range(1000)]
    assert len(draft(rrule="FREQ=DAILY;COUNT=70000", overrides=far).overrides) == 1000


# ---------------------------------------------------------------- shifting


def test_a_single_event_moves_by_weeks() -> None:
    later = shifted(draft(), 5)
    assert (later.start, later.end) == (TUESDAY + 5 * WEEK, TUESDAY + 5 * WEEK + timedelta(hours=2))


def test_a_weekly_series_moves_with_its_end_its_gaps_and_its_changes() -> None:
    moved = override(TUESDAY + WEEK, start=TUESDAY + WEEK + timedelta(days=1))
    before = draft(rrule="FREQ=WEEKLY;UNTIL=20261215T190000", exdates=[TUESDAY + 2 * WEEK], overrides=[moved])
    after = shifted(before, 10)
    assert dates(after) == [date + 10 * WEEK for date in dates(before)]
    assert after.rrule == "FREQ=WEEKLY;UNTIL=20270223T190000;BYDAY=TU"
    assert after.overrides == (override(TUESDAY + 11 * WEEK, start=TUESDAY + 11 * WEEK + timedelta(days=1)),)
    assert shifted(after, -10) == before


def test_second_tuesdays_stay_second_tuesdays_and_changes_stay_with_their_ordinal_number() -> None:
    second_of_january = datetime(2027, 1, 12, 19)
    before = draft(
        rrule="FREQ=MONTHLY;BYDAY=2TU;UNTIL=20270731",
        exdates=[datetime(2026, 12, 8, 19)],
        overrides=[override(second_of_january, start=second_of_january + timedelta(hours=1))],
    )
    after = shifted(before, 2)
    assert after.start == datetime(2026, 12, 8, 19), "24 November is the fourth Tuesday"
    assert after.exdates == (datetime(2027, 1, 12, 19),)
    assert after.overrides == (override(datetime(2027, 2, 9, 19), start=datetime(2027, 2, 9, 20)),)
    assert len(dates(after)) == len(dates(before))


def test_a_series_by_count_keeps_its_count() -> None:
    after = shifted(draft(rrule="FREQ=MONTHLY;BYMONTHDAY=10;COUNT=4"), 1)
    assert dates(after) == [
        datetime(2026, 12, 10, 19),
        *(datetime(2027, month, 10, 19) for month in (1, 2, 3)),
    ]


def test_a_date_that_comes_into_a_clock_change_is_refused() -> None:
    with pytest.raises(ValidationError):
        shifted(draft(start=datetime(2026, 3, 22, 2, 30)), 1)
