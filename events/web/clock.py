"""The one clock of the web; below it, time is an argument."""

from datetime import UTC, datetime


def now() -> datetime:
    return datetime.now(UTC)
