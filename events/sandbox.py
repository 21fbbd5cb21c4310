"""Running one function of ours on bytes of strangers, in a process of its own with limits.

A parser can be made to loop, to eat memory, or (where it is written in C) to do as it is told. So it works in a
process that can only compute: little time, little memory, no file to write, no other process, nothing of ours in
its environment. What comes back is bytes, or one sentence as JSON, and is judged as a stranger's: never unpickled.
"""

import contextlib
import errno
import importlib
import io
import json
import math
import os
import re
import resource
import select
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import IO, NoReturn, TypeAlias

from .errors import BranchlineError, Message, Unreadable, say
from .metrics import refusals

Json: TypeAlias = "str | int | float | bool | Sequence[Json] | Mapping[str, Json] | None"


@dataclass(frozen=True, slots=True)
class Limits:
    """`memory_bytes` is address space: Python and a calendar parser alone take 50 MB. macOS has no such limit."""

    cpu_s: int = 4
    memory_bytes: int = 300_000_000
    wall_s: float = 15.0
    output_bytes: int = 20_000_000


USUAL = Limits()

OPEN_FILES = 16
NICENESS = 10
LONGEST_VALUE = 500  # characters of a value in a sentence
_LONGEST_COMPLAINT = 20_000  # bytes
_PART = 65_536

# How the child ends when it ends by itself.
_DONE, _REFUSED, _OUT_OF_MEMORY = 0, 3, 4
_ENDED_BY_A_LIMIT = {_OUT_OF_MEMORY, -signal.SIGXCPU, -signal.SIGALRM}

# Isolated (-I), so that neither the working directory nor the environment chooses what is imported: only the
# folders from which we came ourselves, however we were installed.
_START = "import sys; sys.path[:] = sys.argv[1:]; from events.sandbox import serve; serve()"


class OverLimits(BranchlineError):
    """It took more than it was given."""

    def __init__(self) -> None:
        super().__init__(say("This file takes too long or too much memory to read."))


class Crashed(BranchlineError):
    """The task failed in a way it should not. `details`, for a log: what it last said, perhaps parts of the file."""

    def __init__(self, details: str) -> None:
        super().__init__(say("This file could not be read: reading it failed in an unexpected way."))
        self.details = details


@refusals("branchline_sandbox_refusals")
def run(task: str, data: bytes, arguments: Mapping[str, Json], limits: Limits = USUAL) -> bytes:
    """What `task`, "package.module:function" of ours, yields for `data`, joined.

    In the child it is called as `function(stream: BinaryIO, **arguments) -> Iterator[bytes]`; the stream is
    seekable. A BranchlineError of the task is raised here as Unreadable with the same sentence; besides that raises
    OverLimits and Crashed. Blocks for at most `wall_s`; a start takes a tenth of a second and the task's imports.
    """
    order = json.dumps({"task": task, "arguments": arguments, "limits": asdict(limits)})
    conversation = _Conversation(order.encode() + b"\n" + data, limits)
    with subprocess.Popen(
        [sys.executable, "-I", "-B", "-X", "utf8", "-c", _START, *_import_path()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        cwd="/",
        env={},
        start_new_session=True,
    ) as process:
        try:
            conversation.hold(process)
        finally:
            _kill(process)
    _judge(process.returncode, bytes(conversation.complaint))
    return bytes(conversation.output)


def _import_path() -> list[str]:
    ours = str(Path(__file__).resolve().parents[1])
    return [*(path for path in sys.path if os.path.isabs(path)), ours]


def _kill(process: subprocess.Popen[bytes]) -> None:
    """All of its session, and before it is waited for: its number is not given to somebody else until then.

    One that has just ended by itself keeps the status with which it ended. macOS says "not permitted" of those.
    """
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


class _Conversation:
    """Feeds the child and listens to it at the same time, so that neither waits for the other for ever."""

    def __init__(self, data: bytes, limits: Limits) -> None:
        self.output = bytearray()
        self.complaint = bytearray()
        self._unsent = memoryview(data)
        self._most = limits.output_bytes
        self._ends_at = time.monotonic() + limits.wall_s

    def hold(self, process: subprocess.Popen[bytes]) -> None:
        """Until the child has said all. Raises OverLimits."""
        with selectors.DefaultSelector() as selector:
            for pipe, event, pass_on in (
                (process.stdin, selectors.EVENT_WRITE, self._feed),
                (process.stdout, selectors.EVENT_READ, self._listen),
                (process.stderr, selectors.EVENT_READ, self._overhear),
            ):
                if pipe is not None:  # none is: all three are pipes
                    selector.register(pipe, event, (pipe, pass_on))
            while selector.get_map():
                self._turn(selector)

    def _turn(self, selector: selectors.BaseSelector) -> None:
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise OverLimits()
        for key, _ in selector.select(left):
            pipe: IO[bytes]
            pass_on: Callable[[int], bool]
            pipe, pass_on = key.data
            if not pass_on(key.fd):
                selector.unregister(pipe)
                pipe.close()

    def _feed(self, pipe: int) -> bool:
        """Whether there is more to send. A child that does not want it all may have its reasons."""
        try:
            sent = os.write(
                pipe, self._unsent[: select.PIPE_BUF]
            )  # what a writable pipe takes without blocking
        except BrokenPipeError:
            return False
        self._unsent = self._unsent[sent:]
        return bool(self._unsent)

    def _listen(self, pipe: int) -> bool:
        part = os.read(pipe, _PART)
        self.output += part
        if len(self.output) > self._most:
            raise OverLimits()
        return bool(part)

    def _overhear(self, pipe: int) -> bool:
        """The end of it is what matters."""
        part = os.read(pipe, _PART)
        self.complaint += part
        del self.complaint[:-_LONGEST_COMPLAINT]
        return bool(part)


def _judge(status: int, complaint: bytes) -> None:
    if status in _ENDED_BY_A_LIMIT:
        raise OverLimits()
    details = complaint.decode("utf-8", "replace")
    if status == _REFUSED:
        raise Unreadable(_sentence(details))
    if status != _DONE:
        raise Crashed(f"status {status}\n{details}")


# --- Sentences across the border, and into the database

# A width in a format, like %(x)999999999d, would be paid with *our* memory.
_PLACEHOLDER = re.compile(r"%%|%\(\w+\)[sd]")


def packed(message: Message) -> dict[str, Json]:
    """A sentence as JSON: its text and values, dates included."""
    return {"text": message.text, "values": {name: _packed(each) for name, each in message.values.items()}}


def unpacked(packed_: object) -> Message:
    """The sentence again. Raises ValueError for what is none, whoever wrote it."""
    match packed_:
        case {"text": str(text), "values": dict(values)} if _is_sayable(text, values):
            return Message(text, {name: _unpacked(value) for name, value in values.items()})
    raise ValueError("not a sentence")


def _sentence(complaint: str) -> Message:
    """The last line, if it is a sentence that can be said. Raises Crashed."""
    try:
        message = unpacked(json.loads(complaint.rstrip("\n").rpartition("\n")[2]))
        str(message).encode()
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise Crashed(complaint) from error
    return message


def _is_sayable(text: str, values: Mapping[str, object]) -> bool:
    return not values or "%" not in _PLACEHOLDER.sub("", text)


def _packed(value: object) -> Json:
    match value:
        case Message():
            return packed(value)
        case int() | float():
            return value
        case date():  # datetime too
            return {"date": value.isoformat()}
    return str(value)[:LONGEST_VALUE].encode("utf-8", "replace").decode()


def _unpacked(packed_: object) -> object:
    match packed_:
        case str() | int() | float():
            return packed_
        case {"date": str(text)}:
            return datetime.fromisoformat(text) if "T" in text else date.fromisoformat(text)
    return unpacked(packed_)


# --- In the child


def serve() -> NoReturn:
    """What the child does instead of anything else."""
    order = json.loads(sys.stdin.buffer.readline())
    _confine(Limits(**order["limits"]))
    status = _work(order["task"], order["arguments"])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # there may be no memory left for a farewell


def _confine(limits: Limits) -> None:
    os.nice(NICENESS)
    signal.alarm(math.ceil(limits.wall_s) + 1)  # for the case that nobody is left to kill it
    _bound(resource.RLIMIT_CORE, 0)
    _bound(resource.RLIMIT_FSIZE, 0)
    _bound(resource.RLIMIT_NOFILE, OPEN_FILES)
    _bound(resource.RLIMIT_NPROC, 0)  # root may fork all the same; the parent kills the whole session
    _bound(resource.RLIMIT_CPU, limits.cpu_s)
    # Not RLIMIT_DATA, which leaves out shared memory. macOS refuses any RLIMIT_AS with "invalid argument".
    if sys.platform != "darwin":
        _bound(resource.RLIMIT_AS, limits.memory_bytes)


def _bound(kind: int, most: int) -> None:
    """For good. Never above what the system allows already: raising that is for root, and fails for others."""
    _, allowed = resource.getrlimit(kind)
    if allowed != resource.RLIM_INFINITY:
        most = min(most, allowed)
    # The soft limit on time sends SIGXCPU, which tells us why it ended; the hard one kills without a word.
    hard = most + 1 if kind == resource.RLIMIT_CPU else most
    resource.setrlimit(kind, (most, hard))


def _work(task: str, arguments: Mapping[str, object]) -> int:
    """Returns the status to end with; an error that nobody expected goes up and ends in a traceback."""
    module, _, name = task.partition(":")
    try:
        function: Callable[..., Iterator[bytes]] = getattr(importlib.import_module(module), name)
        for part in function(io.BytesIO(sys.stdin.buffer.read()), **arguments):
            sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()
    except BranchlineError as error:
        print(json.dumps(packed(error.message)), file=sys.stderr)
        return _REFUSED
    except MemoryError:
        return _OUT_OF_MEMORY
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        return _OUT_OF_MEMORY
    return _DONE
