"""Whether nobody has confirmed a series for long: pages with events ask that, and need nothing else of the desk."""

from datetime import datetime, timedelta

FADES_AFTER = timedelta(days=30)  # of the first mail without an answer


def faded(asked_since: datetime | None, now: datetime) -> datetime | None:
    """Since when visitors are warned that nobody has confirmed it; None: they are not."""
    return asked_since if asked_since is not None and asked_since <= now - FADES_AFTER else None
