"""A database server that is away for a moment: restarted, moved to another machine, cut off.

That is PostgreSQL; SQLite is a file and never away. What reads is tried again until RIDE_OUT_S are over, and what
writes as well, as long as COMMIT was not sent. From then on nobody here can know what became of it: CommitLost.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError

from .errors import Unavailable, say

RIDE_OUT_S = 12.0  # a restart of ten seconds, and what it takes until the first answer after it
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.05, 0.5
# Of a host that went dark nothing is heard at all, and TCP by itself believes in it for a quarter of an hour.
IF_THE_HOST_GOES_DARK = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 5_000,
}
# PostgreSQL, appendix A: shut down by an admin, by a crash, not up yet, idle for too long; too many clients.
_AWAY = {"57P01", "57P02", "57P03", "57P05", "53300"}
_CONNECTION_EXCEPTION = "08"
_DEADLOCK = "40P01"

log = logging.getLogger("branchline")
Result = TypeVar("Result")
Hop = Callable[[Callable[[], Any]], Awaitable[Any]]


class DatabaseAway(Unavailable):
    """For longer than anybody waits. Nothing was changed."""

    def __init__(self) -> None:
        super().__init__(
            say("We cannot reach our records at the moment. Nothing was changed; please try again.")
        )


class CommitLost(OperationalError):
    """The connection broke off while COMMIT was on its way: it may have arrived or not.

    To whoever waits out that a database is away (the worker), it is the same.
    """

    def __init__(self, orig: BaseException | None) -> None:
        super().__init__("COMMIT", None, orig or ConnectionError(), connection_invalidated=True)


class _Later(Exception):
    """Nothing was asked, because the database is known to be away by now."""


def is_away(error: DBAPIError) -> bool:
    """Whether it says that the server is not there now, and nothing about what it was asked."""
    if error.connection_invalidated:
        return True
    # psycopg has a state for whatever a server said, and None where none said anything; SQLite has no such thing.
    state = getattr(error.orig, "sqlstate", "")
    if state is None:
        return isinstance(error, OperationalError)
    return state in _AWAY or str(state).startswith(_CONNECTION_EXCEPTION)


def is_deadlock(error: DBAPIError) -> bool:
    """Two waited for each other, and this one was rolled back as a whole, so that the other could go on."""
    return getattr(error.orig, "sqlstate", "") == _DEADLOCK


def patience(url: str) -> dict[str, Any]:
    """What to tell the driver, unless the address of the database says it already."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "postgresql":
        return {}
    return {name: value for name, value in IF_THE_HOST_GOES_DARK.items() if name not in parsed.query}


@contextlib.contextmanager
def committing() -> Iterator[None]:
    """Around COMMIT alone. Raises CommitLost."""
    try:
        yield
    except DBAPIError as error:
        if is_away(error):
            raise CommitLost(error.orig) from error
        raise


def pauses() -> Iterator[float]:
    pause = FIRST_PAUSE_S
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE_S)


def ride_out(
    work: Callable[[], Result],
    within_s: float = RIDE_OUT_S,
    *,
    sleep: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Result:
    """For a thread that may wait, and work that may be done twice. Raises what it raised last."""
    until = clock() + within_s
    for pause in pauses():
        try:
            return work()
        except DBAPIError as error:
            left = until - clock()
            if not is_away(error) or left <= 0:
                raise
            log.warning("the database does not answer, trying again: %s", error.orig)
        sleep(min(pause, left))
    raise AssertionError("pauses never end")


class Outage:
    """What the requests of a process know of a database that is away.

    They wait in the event loop, where waiting holds no thread: one of the few would be lost to everybody for ten
    seconds. And while it is away one of them at a time asks, for all of them, so that a thread is free for what
    needs no database, however many wait and however long a host that went dark lets its callers hang.
    """

    def __init__(
        self,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sleep = sleep
        self._clock = clock
        self._since: float | None = None
        self._one_asks = False
        self._ask_from = float("-inf")

    @property
    def is_on(self) -> bool:
        return self._since is not None

    async def ride_out(
        self,
        hop: Hop,
        probe: Callable[[], None],
        work: Callable[[], Result],
        *,
        may_be_repeated: bool = False,
    ) -> Result:
        """What `work` returns or raises, in the thread that `hop` takes it to. `probe` only reaches the database.

        Raises DatabaseAway when it was away for too long. Raises CommitLost at once, unless the work
        `may_be_repeated` although it may have been done.
        """
        until: float | None = None
        for pause in pauses():
            if not self.is_on or await self._is_back(hop, probe):
                try:
                    result: Result = await hop(lambda: self._unless_it_began(work))
                    return result
                except _Later:
                    pass
                except DBAPIError as error:
                    if isinstance(error, CommitLost) and not may_be_repeated:
                        raise
                    if is_away(error):
                        self._begins(error)
                    elif not is_deadlock(error):
                        raise
            until = (
                until or self._clock() + RIDE_OUT_S
            )  # from when it was found away: until then it was only slow
            left = until - self._clock()
            if left <= 0:
                raise DatabaseAway
            await self._sleep(min(pause, left))
        raise AssertionError("pauses never end")

    async def _is_back(self, hop: Hop, probe: Callable[[], None]) -> bool:
        if self._one_asks or self._clock() < self._ask_from:
            return False
        self._one_asks = True
        try:
            await hop(probe)
        except DBAPIError as error:
            if is_away(error):
                return False
        finally:
            self._one_asks = False
            self._ask_from = self._clock() + FIRST_PAUSE_S
        self._ends()
        return True

    def _unless_it_began(self, work: Callable[[], Result]) -> Result:
        """In the thread: of many that queue for it, only the first finds out."""
        if self.is_on:
            raise _Later
        return work()

    def _begins(self, error: DBAPIError) -> None:
        if self._since is None:
            self._since = self._clock()
            log.warning("the database does not answer, waiting for it: %s", error.orig)

    def _ends(self) -> None:
        if self._since is not None:
            log.warning("the database answers again, after %.1f s", self._clock() - self._since)
            self._since = None
