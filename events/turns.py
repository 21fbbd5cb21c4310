"""Whose turn it is to write to a file of SQLite, among all threads and processes.

SQLite lets one write and tells the others to ask again; it does so for them after pauses that grow to a tenth of a
second, and whoever asks at the right moment goes first. So they stand in a queue here, which the operating system
keeps: only the first in it asks SQLite, often, and makes room for the next as soon as it may write. The queue is for
order alone: what is correct is up to SQLite, and without a queue all goes on as well, only less evenly.

Nobody stands in it while writing, so nobody waits there for somebody who waits for them.
"""

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator

PAUSE_S = 0.0005  # of the one who asks


def begin(connection: sqlite3.Connection, path: str, patience_s: float) -> None:
    """Begins a transaction that writes, when it is its turn; none, when something else than others is in the way, or
    others were for as long as its patience. To be called with a busy_timeout of 0.

    Who stands behind came later, so nobody waits for more than their own patience.
    """
    until = time.monotonic() + patience_s
    with _queued(path):
        while _others_write(connection) and time.monotonic() < until:
            time.sleep(PAUSE_S)


def _others_write(connection: sqlite3.Connection) -> bool:
    """Begins, unless they do."""
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
    return False


@contextlib.contextmanager
def _queued(path: str) -> Iterator[None]:
    """The queue is a lock on a file beside the database. One on the database itself could cost SQLite its own."""
    with contextlib.ExitStack() as left:
        # The disk is full, or only to be read, or the file is another user's: then there is no queue.
        with contextlib.suppress(OSError):
            file = os.open(f"{path}-turn", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            left.callback(os.close, file)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
