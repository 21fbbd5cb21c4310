"""The tasks stand here as functions: the child imports what we can import, this file too."""

import ctypes
import errno
import importlib
import json
import mmap
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import BinaryIO

import pytest

from events import sandbox
from events.errors import Message, Unreadable, say
from events.sandbox import Crashed, Json, Limits, OverLimits

MEGABYTE = 1_000_000
SOON = Limits(wall_s=1)


def run(
    task: str, data: bytes = b"", arguments: Mapping[str, Json] | None = None, limits: Limits = sandbox.USUAL
) -> bytes:
    return sandbox.run(f"{__name__}:{task}", data, arguments or {}, limits)


def children() -> list[str]:
    """Processes that we started and have not heard the end of, zombies too."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    before = children()
    yield
    assert children() == before


# --- What it is for


def backwards(stream: BinaryIO, *, times: int, between: str) -> Iterator[bytes]:
    data = stream.read()
    assert stream.seek(0) == 0
    for _ in range(times):
        yield data[::-1]
        yield between.encode()


def test_a_task_gets_its_data_and_arguments_and_its_output_comes_back() -> None:
    assert run("backwards", b"ab\ncd", {"times": 2, "between": "é"}) == "dc\nbaédc\nbaé".encode()


def test_large_data_goes_through_in_both_directions() -> None:
    data = bytes(range(256)) * 40_000
    assert run("backwards", data, {"times": 1, "between": ""}) == data[::-1]


def refuses(stream: BinaryIO) -> Iterator[bytes]:
    yield b"half of it"
    inner = say("%(count)d times", count=3)
    raise Unreadable(
        say(
            "Line %(line)d: %(what)s, %(day)s, 100%% %(why)s",
            line=7,
            what="é\ud800",
            day=date(2026, 11, 23),
            why=inner,
        )
    )


def test_an_error_that_can_be_said_is_raised_here_with_its_values() -> None:
    with pytest.raises(Unreadable) as caught:
        run("refuses")
    message = caught.value.message
    assert message.text == "Line %(line)d: %(what)s, %(day)s, 100%% %(why)s"
    assert message.values["why"] == Message("%(count)d times", {"count": 3})
    assert str(message) == "Line 7: é?, 2026-11-23, 100% 3 times"


def imports(stream: BinaryIO, *, module: str) -> Iterator[bytes]:
    yield importlib.import_module(module).__name__.encode()


def test_our_calendar_parser_fits_into_a_fifth_of_the_usual_memory() -> None:
    module = "events.calendars.parsing"
    limits = Limits(memory_bytes=sandbox.USUAL.memory_bytes // 5)
    assert run("imports", arguments={"module": module}, limits=limits) == module.encode()


def test_an_error_that_nobody_expected_is_a_crash_with_its_details() -> None:
    with pytest.raises(Crashed) as caught:
        sandbox.run("json:loads", b"", {"no_such": "argument"})
    assert "TypeError" in caught.value.details
    assert "TypeError" not in str(caught.value)


def test_a_task_that_is_not_there_is_a_crash() -> None:
    with pytest.raises(Crashed):
        sandbox.run("no.such:thing", b"", {})


# --- Limits


def loops(stream: BinaryIO) -> Iterator[bytes]:
    while True:
        stream.read()
    yield b""


def waits(stream: BinaryIO) -> Iterator[bytes]:
    signal.pause()
    yield b""


def grows(stream: BinaryIO, *, megabytes: int) -> Iterator[bytes]:
    yield str(len(bytearray(megabytes * MEGABYTE))).encode()


def shares(stream: BinaryIO, *, megabytes: int) -> Iterator[bytes]:
    with mmap.mmap(-1, megabytes * MEGABYTE) as shared:
        yield str(len(shared)).encode()


def floods(stream: BinaryIO, *, error: bool) -> Iterator[bytes]:
    while True:
        if error:
            os.write(2, b"x" * 100_000)
        else:
            yield b"x" * 100_000


def test_a_loop_without_end_is_over_its_time() -> None:
    started = time.monotonic()
    with pytest.raises(OverLimits):
        run("loops", limits=Limits(cpu_s=1))
    assert time.monotonic() - started < 10


def test_a_task_that_only_waits_is_over_its_time() -> None:
    with pytest.raises(OverLimits):
        run("waits", limits=SOON)


@pytest.mark.parametrize("task", ["grows", "shares"])
def test_memory_is_limited_of_either_kind(task: str) -> None:
    assert run("grows", arguments={"megabytes": 100}) == b"100000000"
    with pytest.raises(OverLimits):
        run(task, arguments={"megabytes": 1000})


def test_data_that_does_not_fit_into_the_memory_is_over_the_limits() -> None:
    with pytest.raises(OverLimits):
        run(
            "backwards",
            bytes(100 * MEGABYTE),
            {"times": 1, "between": ""},
            Limits(memory_bytes=100 * MEGABYTE),
        )


def test_a_flood_of_output_is_cut() -> None:
    with pytest.raises(OverLimits):
        run("floods", arguments={"error": False}, limits=Limits(output_bytes=MEGABYTE))


def test_a_flood_of_complaints_is_not_kept() -> None:
    with pytest.raises(OverLimits):
        run("floods", arguments={"error": True}, limits=SOON)


def writes(stream: BinaryIO, *, path: str) -> Iterator[bytes]:
    with open(path, "wb", buffering=0) as file:
        try:
            file.write(b"x")
        except OSError as error:
            yield errno.errorcode[error.errno or 0].encode()


def test_no_file_can_be_written(tmp_path: Path) -> None:
    assert run("writes", arguments={"path": str(tmp_path / "file")}) == b"EFBIG"
    assert (tmp_path / "file").read_bytes() == b""


def opens(stream: BinaryIO) -> Iterator[bytes]:
    pairs = []
    try:
        for _ in range(100):
            pairs.append(socket.socketpair())
    except OSError as error:
        yield errno.errorcode[error.errno or 0].encode()


def test_few_files_and_sockets_can_be_open() -> None:
    assert run("opens") == b"EMFILE"


def looks_around(stream: BinaryIO) -> Iterator[bytes]:
    limits = {name: resource.getrlimit(getattr(resource, name)) for name in ("RLIMIT_CORE", "RLIMIT_NPROC")}
    yield json.dumps(
        {
            "environment": sorted(set(os.environ) - {"LC_CTYPE"}),  # Python itself puts this one there
            "folder": os.getcwd(),
            "nice": os.nice(0),
            "session": os.getsid(0) == os.getpid(),
            "limits": limits,
            "isolated": bool(sys.flags.isolated),
        }
    ).encode()


def test_the_child_has_nothing_of_ours_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRANCHLINE_SECRET_KEY", "secret")
    assert json.loads(run("looks_around")) == {
        "environment": [],
        "folder": "/",
        "nice": min(os.nice(0) + 10, 19),
        "session": True,
        "limits": {"RLIMIT_CORE": [0, 0], "RLIMIT_NPROC": [0, 0]},
        "isolated": True,
    }


# --- What a task taken over could do


def dies(stream: BinaryIO) -> Iterator[bytes]:
    yield b"x"
    os.kill(os.getpid(), signal.SIGKILL)


def breaks(stream: BinaryIO) -> Iterator[bytes]:
    ctypes.string_at(0)
    yield b""


@pytest.mark.parametrize("task", ["dies", "breaks"])
def test_a_child_that_is_killed_is_a_crash(task: str) -> None:
    with pytest.raises(Crashed):
        run(task)


def multiplies(stream: BinaryIO, *, holds_on: bool) -> Iterator[bytes]:
    """Yields the number of a process that means to stay, or 0 where the limits allow none: root's never do."""
    try:
        number = os.fork()
    except BlockingIOError:
        number = -1
    if number == 0:
        if not holds_on:
            os.closerange(0, 3)
        while True:
            signal.pause()
    if number == -1 and holds_on:
        signal.pause()
    yield str(max(number, 0)).encode()


def has_ended(number: int) -> bool:
    try:
        process = os.pidfd_open(number)
    except ProcessLookupError:
        return True
    with open(process):
        return bool(select.select([process], [], [], 5)[0])


def test_what_a_child_starts_ends_with_it() -> None:
    number = int(run("multiplies", arguments={"holds_on": False}))
    assert number == 0 or has_ended(number)


def test_what_a_child_starts_cannot_make_us_wait() -> None:
    with pytest.raises(OverLimits):
        run("multiplies", arguments={"holds_on": True}, limits=SOON)


def lies(stream: BinaryIO, *, complaint: str, status: int) -> Iterator[bytes]:
    os.write(2, complaint.encode())
    os._exit(status)
    yield b""


def sentence(text: object, values: object) -> str:
    return json.dumps({"text": text, "values": values})


@pytest.mark.parametrize(
    "complaint",
    [
        "",
        "null",
        "[]",
        "{}",
        "[" * 15_000,
        '"text"',
        sentence(7, {}),
        sentence("No.", []),
        sentence("%(x)999999999d", {"x": 1}),
        sentence("%(x).999999999f", {"x": 1}),
        sentence("%(x)*d", {"x": 1}),
        sentence("%(x)r", {"x": 1}),
        sentence("%(x)d", {"x": "one"}),
        sentence("%(x)d", {"x": 1e999}),
        sentence("%(x)d", {"x": [1]}),
        sentence("%(x)s", {"x": None}),
        sentence("%(x)s", {"y": 1}),
        sentence("%(x)s", {"x": {"text": "%(y)99d", "values": {"y": 1}}}),
        sentence("%s", {"x": 1}),
        sentence("%", {"x": 1}),
        sentence("\ud800", {}),
        '{"text": "%(x)d", "values": {"x": ' + "9" * 5000 + "}}",
    ],
)
def test_a_sentence_that_cannot_be_said_is_a_crash(complaint: str) -> None:
    with pytest.raises(Crashed):
        sandbox._judge(3, complaint.encode())


def test_a_sentence_comes_last_whatever_was_complained_before() -> None:
    complaint = "DeprecationWarning: old\n" + sentence("100% no.", {})
    with pytest.raises(Unreadable, match="100% no"):
        run("lies", arguments={"complaint": complaint, "status": 3})


def test_a_child_that_reads_nothing_is_no_obstacle() -> None:
    with pytest.raises(Crashed):
        sandbox.run("no.such:thing", bytes(2 * MEGABYTE), {})


def test_a_child_that_never_reads_and_never_ends_is_over_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stuck_at_import.py").write_text("import signal\nsignal.pause()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(OverLimits):
        sandbox.run("stuck_at_import:task", bytes(2 * MEGABYTE), {}, SOON)
