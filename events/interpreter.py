"""Python's interpreter, which runs one thread of a process at a time."""

import contextlib
import sys
from collections.abc import Iterator
from threading import Lock

# A thread that computes gives way so soon: beside it, whoever makes a page needs the interpreter once for every row
# that is read, and would wait Python's 5 ms each time.
GIVES_WAY_S = 0.0005
# To do so always would cost pages a tenth to a quarter of what is made of them in a second.
WHILE_LONG_S = 0.0001

_lock = Lock()
_usual: list[float] = []  # one entry for each that computes for long at this moment


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
