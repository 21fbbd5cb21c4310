"""What a process counts of itself, for an operator who watches; the text in which it is told; and how one process sees
what the others of its machine have counted.

A label is the name of a route, a limit or a kind, never anything that a person typed, is called or comes from: whoever
keeps these figures keeps them for years, and in somebody else's house.

Each process counts for itself. It writes its figures down now and then, into a file of its own in DATA_DIR/run, and
holds a lock for as long as it lives: figures without a lock are of a process that has ended. Whoever takes its place
counts from nought, as Prometheus expects of a series that begins again. Where nothing can be written, a process tells
its own figures and nobody else's.
"""

import contextlib
import fcntl
import json
import logging
import os
import resource
import secrets
import sys
import threading
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .errors import BranchlineError

WRITTEN_EVERY_S = 10.0
MOST_PROCESSES = 64
BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
log = logging.getLogger("branchline.metrics")

Labels = tuple[tuple[str, str], ...]


class Sample(NamedTuple):
    family: str
    suffix: str
    labels: Labels
    value: float


class _Histogram:
    """How many took at most so long, one number for each bucket and one for what took longer."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.sum = 0.0

    def samples(self, family: str, labels: Labels) -> Iterator[Sample]:
        so_far = 0
        for number, bound in zip(self.counts, (*map(str, BUCKETS_S), "+Inf"), strict=True):
            so_far += number
            yield Sample(family, "_bucket", (*labels, ("le", bound)), so_far)
        yield Sample(family, "_sum", labels, self.sum)
        yield Sample(family, "_count", labels, so_far)


class Counts:
    """All that one process counts. Its threads may count at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: dict[tuple[str, Labels], int] = {}
        self._gauges: dict[tuple[str, Labels], float] = {}
        self._times: dict[tuple[str, Labels], _Histogram] = {}
        self._from_memory: dict[str, list[int]] = {}

    def count(self, family: str, **labels: str) -> None:
        key = family, tuple(labels.items())
        with self._lock:
            self._counters[key] = self._counters.get(key, 0) + 1

    def hold(self, family: str, value: float, **labels: str) -> None:
        with self._lock:
            self._gauges[family, tuple(labels.items())] = value

    def took(self, family: str, seconds: float, **labels: str) -> None:
        key = family, tuple(labels.items())
        with self._lock:
            found = self._times.get(key)
            if found is None:
                found = self._times[key] = _Histogram()
            found.counts[bisect_left(BUCKETS_S, seconds)] += 1
            found.sum += seconds

    def from_memory(self, route: str) -> list[int]:
        """What answers from memory are counted in, one number of `FROM_MEMORY` each: whoever answers adds 1 there.

        Such an answer takes a few microseconds; looking its counter up would be a good part of them. Only the loop
        that answers adds, so there is no lock either.
        """
        with self._lock:
            return self._from_memory.setdefault(route, [0] * len(FROM_MEMORY))

    def samples(self) -> list[Sample]:
        with self._lock:
            found = [
                Sample(family, "_total", labels, value) for (family, labels), value in self._counters.items()
            ]
            found += [Sample(family, "", labels, value) for (family, labels), value in self._gauges.items()]
            for (family, labels), times in self._times.items():
                found += times.samples(family, labels)
            for route, answered in self._from_memory.items():
                found += [
                    Sample("branchline_requests", "_total", _request(route, method, status, "memory"), number)
                    for (method, status), number in zip(FROM_MEMORY, answered, strict=True)
                    if number
                ]
        return found


FROM_MEMORY = (("GET", "200"), ("GET", "304"), ("HEAD", "200"), ("HEAD", "304"))


def _request(route: str, method: str, status: str, source: str) -> Labels:
    return ("route", route), ("method", method), ("status", status), ("source", source)


counts = Counts()  # of this process
OWN = secrets.token_hex(
    8
)  # by which a process knows its own file; numbers of processes are the same in two containers


@contextlib.contextmanager
def refusals(family: str) -> Iterator[None]:
    """Around what refuses: counts it by the kind of refusal. Also a decorator."""
    try:
        yield
    except BranchlineError as error:
        counts.count(family, kind=type(error).__name__)
        raise


def of_process() -> Iterator[Sample]:
    """Under the names that Prometheus' own clients use. What the system does not tell is left out."""
    times = os.times()
    yield Sample("process_cpu_seconds", "_total", (), times.user + times.system)
    most_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield Sample(
        "branchline_process_most_memory_bytes", "", (), most_kb * (1 if sys.platform == "darwin" else 1024)
    )
    with contextlib.suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        yield Sample("process_resident_memory_bytes", "", (), pages * resource.getpagesize())
        yield Sample("process_open_fds", "", (), len(os.listdir("/proc/self/fd")))
    yield Sample("process_max_fds", "", (), resource.getrlimit(resource.RLIMIT_NOFILE)[0])


# ---------------------------------------------------------------- all processes of a machine


@contextlib.contextmanager
def published(folder: Path) -> Iterator[None]:
    """For as long as the block runs, what this process counts is seen by the others that use the same folder."""
    with contextlib.ExitStack() as until_the_end:
        slot = _claimed(folder, until_the_end)
        if slot is None:
            log.warning("figures of this process cannot be shared: %s takes no files", folder)
        else:
            over = threading.Event()
            thread = threading.Thread(target=_write_on, args=(slot, over), name="metrics", daemon=True)
            thread.start()
            until_the_end.callback(thread.join)
            until_the_end.callback(over.set)
        yield


def _claimed(folder: Path, until_the_end: contextlib.ExitStack) -> Path | None:
    """The first place that nobody holds."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        for number in range(MOST_PROCESSES):
            held = os.open(folder / f"{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(held)
                continue
            until_the_end.callback(os.close, held)
            slot = folder / f"{number}.json"
            slot.unlink(missing_ok=True)  # of whoever was here before
            return slot
    except OSError:
        return None
    return None


def _write_on(slot: Path, over: threading.Event) -> None:
    works, ends = True, False
    while not ends:
        try:
            _write(slot)
            works = True
        except OSError as error:
            if works:  # said once, not every ten seconds for as long as a disk is full
                log.warning("figures of this process are not shared for now: %s", error.strerror)
            works = False
        ends = over.wait(WRITTEN_EVERY_S)


def _write(slot: Path) -> None:
    """Beside it and moved there, so that nobody reads half of it."""
    aside = slot.with_suffix(".new")
    aside.write_text(
        json.dumps({"process": OWN, "samples": [*counts.samples(), *of_process()]}), encoding="utf-8"
    )
    aside.replace(slot)


def everybody(folder: Path) -> list[Sample]:
    """What all processes have counted, each under its number; this one as of now, the others as of lately."""
    own = next((slot.stem for slot, said in _said(folder) if said["process"] == OWN), "self")
    return [*others(folder), *(_numbered(each, own) for each in (*counts.samples(), *of_process()))]


def others(folder: Path) -> list[Sample]:
    return [
        _numbered(Sample(family, suffix, _labels(labels), value), slot.stem)
        for slot, said in _said(folder)
        if said["process"] != OWN
        for family, suffix, labels, value in said["samples"]
    ]


def _said(folder: Path) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """By those that live."""
    for slot in sorted(folder.glob("*.json")):
        if said := _read(slot):
            yield slot, said


def _labels(read: Sequence[Sequence[str]]) -> Labels:
    return tuple((name, value) for name, value in read)


def _numbered(sample: Sample, process: str) -> Sample:
    return sample._replace(labels=(("process", process), *sample.labels))


def _read(slot: Path) -> Mapping[str, Any]:
    """Empty when its process has ended, or is about to write it for the first time."""
    try:
        with slot.with_suffix(".lock").open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return {}
    except BlockingIOError:
        pass  # it lives
    except OSError:
        return {}
    try:
        said: Mapping[str, Any] = json.loads(slot.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said
