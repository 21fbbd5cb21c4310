"""A visitor who asks for one page after the other all the while, and how long each answer took.

Run as a module, in a process of its own so that what a bench does meanwhile holds nothing up:
`python -m bench._visitor ADDRESS`. It ends when its standard input does, and then says what it saw; of the slowest
answers also what the machine took of them (`Machine`), in brackets.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bench._browser import GONE, Browser
from bench._load import ROOT, figure

EVERY_S = 0.05
LOOKS_EVERY_S = 0.005
PROCESSORS = Path("/proc/stat")  # its eighth figure is what other machines were given meanwhile
PATHS = (
    *("/", "/events", "/branches", "/branches/alder", "/events.ics", "/events.json", "/branches/alder.ics"),
    *("/events?q=tool", "/embed/events", "/events.atom", "/subscribe", "/healthz"),
)
STAMP = "_"  # a parameter that nobody knows, so that every other page is made anew


class Took(NamedTuple):
    """What an answer took, and what of that the machine (`Machine`): milliseconds."""

    ms: float
    path: str
    stolen: float
    late: float


@dataclass(slots=True)
class Seen:
    """What a visitor saw: milliseconds of every answer, and of those that were no good what they were."""

    times: list[float] = field(default_factory=list)
    slowest: list[Took] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        ordered = sorted(self.times) or [0.0]
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def say(self, name: str, most_ms: float | None = None, share: float = 0.99) -> bool:
        """A line of the table. `share`: of the answers that must come within `most_ms`."""
        times = "/".join(f"{self.percentile(each):.0f}" for each in (0.5, 0.99, 1)) + " ms"
        target = f"<= {most_ms:g} ms" if most_ms else ""
        good = (self.percentile(share) <= most_ms if most_ms else True) and not self.wrong
        for line in self.wrong[:5]:
            print(f"    {line}")
        figure(name, times, target, good)
        slow = ", ".join(f"{one.path} {one.ms:.0f} ({one.stolen:.0f}/{one.late:.0f})" for one in self.slowest)
        print(f"    of {len(self.times):,} answers the slowest: {slow}")
        return good


@contextmanager
def visiting(address: str, start: Any = subprocess.Popen) -> Iterator[Seen]:
    """Somebody visits while the block runs; what was seen is there after it. `start`: as Popen, where it is to run."""
    seen = Seen()
    process = start(
        [sys.executable, "-m", "bench._visitor", address],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield seen
    finally:
        said, _ = process.communicate()
        found = json.loads(said or "{}")
        seen.times += found.get("times", [])
        seen.slowest += [Took(*one) for one in found.get("slowest", [])]
        seen.wrong += found.get("wrong", ["the visitor said nothing"])


class Machine:
    """What a machine that is shared with others took of an answer's time, which no program on it can help (ms).

    `stolen`: of both its processors, by what Linux says, in steps of 10; `late`: how late at most a thread woke that
    does nothing else, which is said where the whole machine stood still and nobody counted it as stolen.
    """

    def __init__(self) -> None:
        self._stolen, self._late = 0.0, 0.0

    def watch(self, over: threading.Event) -> None:
        while not over.is_set():
            began = time.perf_counter()
            time.sleep(LOOKS_EVERY_S)
            self._late = max(self._late, time.perf_counter() - began - LOOKS_EVERY_S)

    def begin(self) -> None:
        self._stolen, self._late = stolen_ms(), 0.0

    def took(self) -> tuple[float, float]:
        return round(stolen_ms() - self._stolen), round(self._late * 1000)


def stolen_ms() -> float:
    """0 where nobody says it."""
    if not PROCESSORS.exists():
        return 0.0
    first, *_ = PROCESSORS.read_text().splitlines()
    return int(first.split()[8]) * 1000 / os.sysconf("SC_CLK_TCK")


def main() -> None:
    over = threading.Event()
    threading.Thread(target=_wait, args=(over,), daemon=True).start()
    machine = Machine()
    threading.Thread(target=machine.watch, args=(over,), daemon=True).start()
    browser, seen, number = Browser(sys.argv[1]), Seen(), 0
    found: list[Took] = []
    while not over.wait(EVERY_S):
        path = PATHS[number % len(PATHS)]
        number += 1
        asked = path if number % 2 else f"{path}{'&' if '?' in path else '?'}{STAMP}={number}"
        machine.begin()
        began = time.perf_counter()
        try:
            answer = browser.get(asked)
        except (*GONE, TimeoutError) as error:
            seen.wrong.append(f"{asked}: {error!r}")
            continue
        found.append(Took((time.perf_counter() - began) * 1000, asked, *machine.took()))
        if answer.status != 200:
            seen.wrong.append(f"{asked}: {answer.status}")
    times = [round(one.ms, 1) for one in found]
    print(json.dumps({"times": times, "slowest": sorted(found)[:-6:-1], "wrong": seen.wrong[:50]}))


def _wait(over: threading.Event) -> None:
    sys.stdin.read()
    over.set()


if __name__ == "__main__":
    main()
