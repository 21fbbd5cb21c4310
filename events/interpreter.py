"""Python's interpreter, which runs one thread of a process at a time, and the memory that it takes."""

import contextlib
import ctypes
import gc
import sys
from collections.abc import Iterator
from threading import Lock
from time import monotonic, sleep

# A thread that computes gives way so soon: beside it, whoever makes a page needs the interpreter once for every row
# that is read from SQLite, and would wait Python's 5 ms each time. PostgreSQL hands its rows over at once, and of two
# threads that make pages beside each other each takes longer the more often they change.
GIVES_WAY_S, WITH_POSTGRESQL_S = 0.0005, 0.001
# To do so always would cost pages a tenth to a quarter of what is made of them in a second.
WHILE_LONG_S = 0.0001

# What nobody waits for, such as a large import, lets answers go first between two of its parts, for as long at most: so
# it goes on whatever is asked, and who saves an event waits no longer for a transaction of it. A list of thousands may
# be overtaken by several, because it holds nothing.
ANSWERS_FIRST_S, MANY_FIRST_S, LOOKS_AGAIN_S = 0.01, 0.1, 0.001

# So many more objects than before, and Python looks for garbage in the new ones, which takes 2 ms. It usually does so
# at 700, as many as a few dozen events have: then what a long list still needs soon counts as old, and all that is old
# is looked through every few seconds, for 25 to 60 ms in which nothing is answered.
NEW_OBJECTS = 5000

# Of <malloc.h>: how many heaps threads make of their own, what is taken from the system and given back by itself, and
# how much may lie free at the end of a heap (bytes).
M_ARENA_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -8, -3, -1
HEAPS, LARGE, FREE = 2, 131_072, 131_072

_lock = Lock()
_usual: list[float] = []  # one entry for each that computes for long at this moment
_answers: set[object] = set()  # that are being made


def give_way_soon(is_sqlite: bool) -> None:
    """Once, by a process that serves."""
    sys.setswitchinterval(GIVES_WAY_S if is_sqlite else WITH_POSTGRESQL_S)


@contextlib.contextmanager
def computing_for_long() -> Iterator[None]:
    """For what takes half a second of the processor, such as a table of 2,000 dates: others hardly wait meanwhile."""
    with _lock:
        _usual.append(sys.getswitchinterval() if not _usual else _usual[0])
        sys.setswitchinterval(min(WHILE_LONG_S, _usual[0]))
    try:
        yield
    finally:
        with _lock:
            before = _usual.pop()
            if not _usual:
                sys.setswitchinterval(before)


@contextlib.contextmanager
def answering() -> Iterator[None]:
    """While a thread makes an answer, or it waits for one that does."""
    this = object()
    _answers.add(this)
    try:
        yield
    finally:
        _answers.discard(this)


def let_answers_go_first(most_s: float = ANSWERS_FIRST_S) -> None:
    """By a thread of this process that makes none, and will be long. Returns when none is being made, or soon.

    Longer than usual only where nothing is held that others wait for.
    """
    until = monotonic() + most_s
    while _answers and monotonic() < until:
        sleep(LOOKS_AGAIN_S)


def look_for_garbage_seldom() -> None:
    """Once, by a process that serves."""
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])


def keep_memory_together() -> None:
    """Before there are threads. By itself glibc makes a heap for each of the first few, learns from large pieces to
    keep larger and larger ones, and gives little back: a process swells and shrinks by 20 MB. Others do not need it.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        for parameter, value in ((M_ARENA_MAX, HEAPS), (M_MMAP_THRESHOLD, LARGE), (M_TRIM_THRESHOLD, FREE)):
            libc.mallopt(parameter, value)
