"""How often an address may do something. One table, so that all processes count together.

Forms count every request in the table, in a transaction of their own. Pages and feeds must not write to the
database on each request: a process counts in memory and adds `STEP` requests at a time to the shared count, so
an address that stays below STEP a minute causes no write at all, nor does one that was refused already. Nobody
is refused too early; with several processes at most STEP requests more than the limit pass in each.
"""

import hashlib
import threading
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError
from sqlmodel import Field, Session

from .db import Database, PrivateRow
from .errors import TooOften
from .metrics import counts
from .outages import is_away, is_deadlock

STEP = 100


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` requests in each window of `seconds`, counted under `name`."""

    name: str
    most: int
    seconds: int

    def window_end(self, now: datetime) -> int:
        return (int(now.timestamp()) // self.seconds + 1) * self.seconds


CONTACT = Limit("contact", 5, 3600)
CONTACT_BRANCH = Limit("contact-branch", 60, 3600)
SIGN_IN = Limit("sign-in", 10, 3600)
SUBSCRIBE = Limit("subscribe", 10, 3600)
API = Limit("api", 60, 60)
SUGGEST = Limit("suggest", 5, 3600)
REPORT = Limit("report", 5, 3600)
RECIPIENT = Limit("recipient", 5, 3600)  # mails to one address that visitors cause
CONFIRMATION = Limit("confirmation", 1, 86_400)  # mails that ask whether a subscription is wanted
NEWSLETTER_TEST = Limit("newsletter-test", 10, 3600)
PAGES = Limit("pages", 600, 60)


class RequestCount(PrivateRow, table=True):
    """`key` is a keyed hash: the table says nothing about who asked."""

    __tablename__ = "request_count"

    key: str = Field(primary_key=True)
    ends_at: int = Field(primary_key=True, index=True)  # of its window, seconds since 1970
    count: int


_COUNT = sa.text(
    "INSERT INTO request_count (key, ends_at, count) VALUES (:key, :ends_at, :amount)"
    " ON CONFLICT (key, ends_at) DO UPDATE SET count = request_count.count + excluded.count RETURNING count"
)


@dataclass(slots=True)
class _Pages:
    """What this process knows of one address in this window."""

    used: int = 0
    told: int = 0  # of these, how many the shared count has
    draw_at: int = STEP
    refused: bool = False


class Limiter:
    def __init__(self, database: Database, secret: str, enabled: bool = True) -> None:
        self._database = database
        self._secret = hashlib.sha256(secret.encode()).digest()
        self._enabled = enabled
        self._lock = threading.Lock()
        self._window_end = 0
        self._pages: dict[str, _Pages] = {}

    def count(self, limit: Limit, who: str, now: datetime, amount: int = 1) -> None:
        """Counts `amount` requests; raises TooOften once the limit is passed. Writes to the database."""
        if self._enabled and self._add(limit, who, now, amount) > limit.most:
            raise _too_often(limit, now)

    def allows(self, session: Session, limit: Limit, who: str, now: datetime) -> bool:
        """Counts one in the transaction of what it counts. For what is left undone without a word, not refused.

        `count` would wait in vain for this transaction to end: SQLite has one writer.
        """
        return not self._enabled or self._add_in(session, limit, who, now, 1) <= limit.most

    def passes(self, limit: Limit, who: str, now: datetime) -> bool:
        """Counts a page in memory. False: the caller must `draw` from the shared count before it answers."""
        if not self._enabled:
            return True
        ends_at = limit.window_end(now)
        with self._lock:
            if ends_at != self._window_end:
                self._window_end, self._pages = ends_at, {}
            pages = self._pages.setdefault(who, _Pages())
            pages.used += 1
            return pages.used < pages.draw_at

    def draw(self, limit: Limit, who: str, now: datetime) -> None:
        """Adds what was used since the last time to the shared count; raises TooOften when it is used up.

        While that cannot be written (a full disk), this process counts alone: pages are to be read all the same.
        """
        with self._lock:
            pages = self._pages.setdefault(who, _Pages())
            if pages.refused:
                raise _too_often(limit, now)
            used = pages.used
            amount, pages.told = used - pages.told, used
        try:
            left = limit.most - self._add(limit, who, now, amount)
        except OperationalError as error:
            with self._lock:
                pages.told -= amount
            if is_away(error) or is_deadlock(error):
                raise
            left = limit.most - used
        with self._lock:
            pages.draw_at = max(pages.draw_at, used + min(max(left + 1, 1), STEP))
            pages.refused = left < 0
        if pages.refused:
            raise _too_often(limit, now)

    def _add(self, limit: Limit, who: str, now: datetime, amount: int) -> int:
        """Adds to the shared count; returns what it is then."""
        with self._database.writing() as session:
            return self._add_in(session, limit, who, now, amount)

    def _add_in(self, session: Session, limit: Limit, who: str, now: datetime, amount: int) -> int:
        values = {"key": self._key(limit, who), "ends_at": limit.window_end(now), "amount": amount}
        total: int = session.connection().execute(_COUNT, values).scalar_one()
        return total

    def _key(self, limit: Limit, who: str) -> str:
        return hashlib.blake2b(f"{limit.name} {who}".encode(), key=self._secret, digest_size=16).hexdigest()


def _too_often(limit: Limit, now: datetime) -> TooOften:
    counts.count("branchline_rate_limit_refusals", limit=limit.name)
    return TooOften(retry_after=max(1, limit.window_end(now) - int(now.timestamp())))


def forget_past(session: Session, now: datetime) -> None:
    """Removes the counts of windows that are over."""
    session.connection().execute(
        sa.text("DELETE FROM request_count WHERE ends_at < :now"), {"now": int(now.timestamp())}
    )
