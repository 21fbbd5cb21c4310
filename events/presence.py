"""Who is at work on an installation: the site, its worker, a command. Whoever restores it must be there alone.

A lock on a file in the data directory, which the operating system lets go of however a process ends. The bargain: it
tells the processes of one machine from each other; those of other machines are seen by their connections to PostgreSQL.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from .errors import Conflict, Unavailable, say

NAME = "in-use"


def stay(folder: Path) -> None:
    """Present until this process ends. Raises Unavailable while somebody restores."""
    _enter(folder, fcntl.LOCK_SH)


@contextlib.contextmanager
def present(folder: Path) -> Iterator[None]:
    """For a command. Raises Unavailable while somebody restores."""
    file = _enter(folder, fcntl.LOCK_SH)
    try:
        yield
    finally:
        _leave(file)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Raises Conflict when anybody else is present; nobody comes in meanwhile."""
    file = _enter(folder, fcntl.LOCK_EX)
    try:
        yield
    finally:
        _leave(file)


def _enter(folder: Path, kind: int) -> int | None:
    """None: the disk is full, or only to be read, or the file is another user's; then nobody is told from others."""
    try:
        file = os.open(folder / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        if kind == fcntl.LOCK_EX:
            raise
        return None
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        if kind == fcntl.LOCK_EX:
            raise Conflict(
                say(
                    "The site, its worker or another command is running here. Stop it first; nothing was changed."
                )
            ) from None
        raise Unavailable(
            say("A back-up is being restored here at this moment. Please try again when that is done.")
        ) from None
    return file


def _leave(file: int | None) -> None:
    if file is not None:
        os.close(file)
