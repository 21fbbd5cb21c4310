"""When a digest is due: at seven in the morning where its reader is, whatever the clocks there do."""

from datetime import UTC, datetime

import pytest

from events.subscriptions import schedule
from events.subscriptions.models import Frequency, Subscription
from tests.conftest import NOW


def due(frequency: Frequency, timezone: str, now: datetime) -> str:
    run_at = schedule.next_run(frequency, timezone, now)
    return f"{run_at:%Y-%m-%d %H:%M}" if run_at else "never"


def test_it_is_due_at_seven_by_the_clocks_of_its_reader() -> None:
    assert due(Frequency.DAILY, "America/Chicago", NOW) == "2026-11-23 13:00", "it is six there"
    assert due(Frequency.DAILY, "Europe/Madrid", NOW) == "2026-11-24 06:00", (
        "it is one there, and too late today"
    )
    assert due(Frequency.DAILY, "Pacific/Kiritimati", NOW) == "2026-11-23 17:00"


@pytest.mark.parametrize(
    ("frequency", "expected"),
    [
        (Frequency.DAILY, "2026-11-25 13:00"),
        (Frequency.WEEKLY, "2026-11-30 13:00"),
        (Frequency.MONTHLY, "2026-12-01 13:00"),
        (Frequency.NEVER, "never"),
    ],
)
def test_it_comes_every_day_on_mondays_or_on_the_first(frequency: Frequency, expected: str) -> None:
    assert due(frequency, "America/Chicago", datetime(2026, 11, 24, 13, tzinfo=UTC)) == expected


def test_it_comes_at_seven_on_both_sides_of_a_clock_change() -> None:
    before = datetime(2026, 10, 31, 13, tzinfo=UTC)  # the day before clocks go back in Chicago
    assert due(Frequency.DAILY, "America/Chicago", before) == "2026-11-01 13:00"
    assert (
        due(Frequency.DAILY, "America/Chicago", datetime(2026, 10, 31, 11, tzinfo=UTC)) == "2026-10-31 12:00"
    )


def test_one_that_came_late_is_followed_by_the_next_in_time() -> None:
    """The worker was away for three days: nobody gets three digests at once."""
    late = datetime(2026, 11, 26, 12, 59, 59, tzinfo=UTC)
    assert due(Frequency.DAILY, "America/Chicago", late) == "2026-11-26 13:00"


def test_who_confirms_is_told_all_there_is_on_the_next_morning_also_of_a_month() -> None:
    one = Subscription(email="ben@example.org", nonce="n", timezone="America/Chicago", created_at=NOW)
    one.frequency, one.told_until, one.leased_until = Frequency.MONTHLY, NOW, NOW
    schedule.start(one, NOW)
    assert one.run_at == datetime(2026, 11, 23, 13, tzinfo=UTC)
    assert not one.told_until and not one.leased_until
    one.frequency = Frequency.NEVER
    schedule.start(one, NOW)
    assert one.run_at is None
