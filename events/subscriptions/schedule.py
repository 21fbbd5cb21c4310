"""When the next digest is due: in the morning where its reader is."""

from datetime import date, datetime, time, timedelta

from ..calendars.timezones import to_utc, zone
from .models import Frequency, Subscription

HOUR = time(7)  # by the reader's clock
MONDAY = 0


def next_run(frequency: str, timezone: str, now: datetime) -> datetime | None:
    """The first such morning after `now`, in UTC: any day, a Monday, or the first of a month. None: never."""
    if frequency == Frequency.NEVER:
        return None
    today = now.astimezone(zone(timezone)).date()
    days = (today + timedelta(days=number) for number in range(64))
    mornings = (to_utc(datetime.combine(day, HOUR), timezone) for day in days if _fits(frequency, day))
    return next(morning for morning in mornings if morning > now)


def start(subscription: Subscription, now: datetime) -> None:
    """To be called when a choice was confirmed or changed: the next morning brings all that it holds."""
    subscription.told_until, subscription.leased_until = None, None
    wanted = subscription.frequency != Frequency.NEVER
    subscription.run_at = next_run(Frequency.DAILY, subscription.timezone, now) if wanted else None


def _fits(frequency: str, day: date) -> bool:
    match frequency:
        case Frequency.WEEKLY:
            return day.weekday() == MONDAY
        case Frequency.MONTHLY:
            return day.day == 1
    return True
