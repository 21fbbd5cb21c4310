"""What the program writes to standard error: a line for each thing that happened, as text or as JSON.

Logs are read by more people and kept for longer than a database, so nothing of a visitor stands in them: no query
string, no address, no name. What is said of a request is its method, its route (never its path, which may hold a
token), its status and how long it took. What an exception says is cut where it repeats values.
"""

import json
import logging
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal

Format = Literal["text", "json"]

# What is known of the request that is being answered: its fields. None: there is no request.
request: ContextVar[Callable[[], Mapping[str, object]] | None] = ContextVar("request", default=None)

# All that moves a cursor, ends a line or turns the writing around: a line that somebody typed must not look like ours.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# Whatever stands in quotes, but for the names of our own constraints and columns.
_QUOTED = re.compile(
    r"""'[^']*'|(?<!constraint )(?<!column )(?<!relation )"[^"]*"|“[^”]*”|\([^()]*\)=\([^()]*\)"""
)
LONGEST_SAID = 500  # characters of what an exception says


def set_up(format_: Format) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if format_ == "json" else TextLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


class TextLines(logging.Formatter):
    """A line for each record; a traceback below it, set in, so that none of its lines looks like a record."""

    def format(self, record: logging.LogRecord) -> str:
        head = f"{_time(record)} {record.levelname} {record.name} {escaped(record.getMessage())}"
        about = "".join(f" {name}={escaped(str(value))}" for name, value in _fields(record).items())
        return "\n    ".join([head + about, *map(escaped, _trace(record).splitlines())])


class JsonLines(logging.Formatter):
    """An object in a line. Everything beyond ASCII is escaped, so that nothing in it ends a line."""

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": escaped(record.getMessage()),
            **_fields(record),
        }
        if trace := _trace(record):
            said["traceback"] = "\n".join(map(escaped, trace.splitlines()))
        return json.dumps(said, default=str)


def escaped(text: str) -> str:
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def harmless(error: BaseException) -> str:
    """What an exception is and says, without the values that it repeats.

    A database names the row that stood in the way, below its first line; others put what they were given in quotes.
    """
    first = _QUOTED.sub("'…'", (str(error).splitlines() or [""])[0])[:LONGEST_SAID]
    return f"{type(error).__qualname__}: {first}" if first else type(error).__qualname__


def _time(record: logging.LogRecord) -> str:
    return (
        datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    """Those of the request during which this was said, unless it names its own."""
    own: Mapping[str, object] | None = getattr(record, "request", None)
    if own is not None:
        return own
    asked = request.get()
    return asked() if asked else {}


def _trace(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    return "\n".join(_told(error, set())) if error else ""


def _told(error: BaseException, seen: set[int]) -> Iterator[str]:
    """The innermost first, as Python writes it."""
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen:
        yield from _told(before, seen)
        yield "then:"
    yield "Traceback (most recent call last):"
    for part in traceback.format_tb(error.__traceback__):
        yield from part.rstrip("\n").splitlines()
    yield harmless(error)
