"""How often feeds of branches are asked for, by kind of client: no addresses, no identities, counts only.

A poll must not write to the database, so counts are kept in memory and flushed by a timer.
"""

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session, col, select

from ..db import Database
from .models import PollCount

KEPT = timedelta(days=60)
SHOWN = 7  # days
AT_ONCE = 100  # rows in one transaction

# Each by what its User-Agent holds; the first that fits. Browsers last: many apps call themselves Mozilla too.
FAMILIES = (
    ("Google", re.compile(r"google-calendar|googlebot|google", re.I)),
    ("Outlook", re.compile(r"outlook|microsoft|exchange|office", re.I)),
    (
        "Apple",
        re.compile(r"dataaccessd|calendaragent|icalendar/|\bios/|macos/|mac os x/|cfnetwork|remindd", re.I),
    ),
    ("Thunderbird", re.compile(r"thunderbird|lightning", re.I)),
    ("Nextcloud", re.compile(r"nextcloud|owncloud", re.I)),
    ("ICSx5", re.compile(r"icsx5|icsdroid|davx5", re.I)),
    ("Home Assistant", re.compile(r"homeassistant|home assistant", re.I)),
    ("khal, vdirsyncer", re.compile(r"vdirsyncer|khal|aiohttp", re.I)),
    ("a browser", re.compile(r"mozilla/", re.I)),
)
OTHER = "other"


@lru_cache(maxsize=1024)  # a dozen patterns take longer than all else that a poll takes
def family_of(user_agent: str) -> str:
    return next((name for name, pattern in FAMILIES if pattern.search(user_agent)), OTHER)


@dataclass(frozen=True, slots=True)
class Poll:
    branch_id: int
    day: date
    family: str
    revision: str  # of the feed as it was answered


class PollCounter:
    """What this process has counted since the last flush. Bounded: what does not fit any more is not counted."""

    MOST = 20_000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.counts: dict[Poll, list[int]] = {}  # how many, and how many of them were unchanged

    def count(self, poll: Poll, *, unchanged: bool) -> None:
        with self._lock:
            found = self.counts.get(poll)
            if found is None:
                if len(self.counts) >= self.MOST:
                    return
                found = self.counts[poll] = [0, 0]
            found[0] += 1
            found[1] += unchanged

    def flush(self, database: Database) -> int:
        """Adds what was counted to the table; returns how many polls that were. What cannot be written is kept."""
        with self._lock:
            counts, self.counts = self.counts, {}
        left = sorted(counts, key=str)
        try:
            while (
                left
            ):  # in parts: a feed that changes each second has many rows, and organizers wait meanwhile
                rows = [
                    {**_key(poll), "polls": counts[poll][0], "unchanged": counts[poll][1]}
                    for poll in left[:AT_ONCE]
                ]
                with database.writing() as session:
                    session.connection().execute(_ADD, rows)
                del left[:AT_ONCE]
        except SQLAlchemyError:
            with self._lock:
                for poll in left:
                    found = self.counts.setdefault(poll, [0, 0])
                    found[0] += counts[poll][0]
                    found[1] += counts[poll][1]
            raise
        return sum(number for number, _ in counts.values())


_ADD = sa.text(
    "INSERT INTO poll_count (branch_id, day, family, revision, polls, unchanged)"
    " SELECT branch.id, :day, :family, :revision, :polls, :unchanged FROM branch WHERE branch.id = :branch_id"
    " ON CONFLICT (branch_id, day, family, revision) DO UPDATE SET"
    " polls = poll_count.polls + excluded.polls, unchanged = poll_count.unchanged + excluded.unchanged"
).bindparams(sa.bindparam("day", type_=sa.Date()))


def _key(poll: Poll) -> dict[str, object]:
    return {
        "branch_id": poll.branch_id,
        "day": poll.day,
        "family": poll.family,
        "revision": poll.revision,
    }


@dataclass(frozen=True, slots=True)
class Health:
    """How one kind of client keeps up. `current`: of its polls of today and yesterday, those that got `revision`."""

    family: str
    a_day: float
    unchanged: float  # share of polls that were answered "nothing new"
    current: float | None  # None: it has not asked since yesterday
    last_day: date


def health(session: Session, branch_id: int, revision: str, now: datetime) -> list[Health]:
    """The kinds of clients that asked within the last days, most polls first."""
    since = now.date() - timedelta(days=SHOWN - 1)
    query = select(PollCount).where(col(PollCount.branch_id) == branch_id, col(PollCount.day) >= since)
    rows = session.exec(query).all()
    found = [
        _health(family, [row for row in rows if row.family == family], revision, now.date())
        for family in {row.family for row in rows}
    ]
    return sorted(found, key=lambda one: (-one.a_day, one.family))


def _health(family: str, rows: Sequence[PollCount], revision: str, today: date) -> Health:
    polls = sum(row.polls for row in rows)
    recent = [row for row in rows if row.day >= today - timedelta(days=1)]
    recent_polls = sum(row.polls for row in recent)
    days = (today - min(row.day for row in rows)).days + 1
    return Health(
        family=family,
        a_day=polls / days,
        unchanged=sum(row.unchanged for row in rows) / polls,
        current=sum(row.polls for row in recent if row.revision == revision) / recent_polls
        if recent_polls
        else None,
        last_day=max(row.day for row in rows),
    )


def forget_past(session: Session, now: datetime) -> None:
    session.exec(sa.delete(PollCount).where(col(PollCount.day) < now.date() - KEPT))
