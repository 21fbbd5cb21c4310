"""How often an address may do something. One table, so that all processes count together.

Forms count every request in the table, in a transaction of their own. Pages and feeds must not write to the
database on each request: a process counts in memory and draws `STEP` requests at a time from the shared
count, so an address that stays below STEP a minute causes no more than one write a minute.
"""

import hashlib
import threading
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlmodel import Field, Session

from .db import Database, Row
from .errors import TooOften

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
PAGES = Limit("pages", 600, 60)


class RequestCount(Row, table=True):
    """`key` is a keyed hash: the table says nothing about who asked."""

    __tablename__ = "request_count"

    key: str = Field(primary_key=True)
    ends_at: int = Field(primary_key=True, index=True)  # of its window, seconds since 1970
    count: int


_COUNT = sa.text(
    "INSERT INTO request_count (key, ends_at, count) VALUES (:key, :ends_at, :amount)"
    " ON CONFLICT (key, ends_at) DO UPDATE SET count = request_count.count + excluded.count RETURNING count"
)


class Limiter:
    def __init__(self, database: Database, secret: str, enabled: bool = True) -> None:
        self._database = database
        self._secret = hashlib.sha256(secret.encode()).digest()
        self._enabled = enabled
        self._lock = threading.Lock()
        self._window_end = 0
        self._used: dict[str, int] = {}
        self._granted: dict[str, int] = {}

    def count(self, limit: Limit, who: str, now: datetime, amount: int = 1) -> None:
        """Counts `amount` requests; raises TooOften once the limit is passed. Writes to the database."""
        if not self._enabled:
            return
        ends_at = limit.window_end(now)
        values = {"key": self._key(limit, who), "ends_at": ends_at, "amount": amount}
        with self._database.writing() as session:
            total = session.connection().execute(_COUNT, values).scalar_one()
        if total > limit.most:
            raise TooOften(retry_after=max(1, ends_at - int(now.timestamp())))

    def passes(self, limit: Limit, who: str, now: datetime) -> bool:
        """Counts a page in memory. False: the caller must `draw` from the shared count before it answers."""
        if not self._enabled:
            return True
        ends_at = limit.window_end(now)
        with self._lock:
            if ends_at != self._window_end:
                self._window_end, self._used, self._granted = ends_at, {}, {}
            self._used[who] = used = self._used.get(who, 0) + 1
            return used <= self._granted.get(who, STEP - 1)

    def draw(self, limit: Limit, who: str, now: datetime) -> None:
        """Takes another STEP from the shared count; raises TooOften when it is used up."""
        self.count(limit, who, now, amount=STEP)
        with self._lock:
            self._granted[who] = self._granted.get(who, STEP - 1) + STEP

    def _key(self, limit: Limit, who: str) -> str:
        return hashlib.blake2b(f"{limit.name} {who}".encode(), key=self._secret, digest_size=16).hexdigest()


def forget_past(session: Session, now: datetime) -> None:
    """Removes the counts of windows that are over."""
    session.connection().execute(
        sa.text("DELETE FROM request_count WHERE ends_at < :now"), {"now": int(now.timestamp())}
    )
