"""What reading one file of a stranger takes: the sandbox's child alone, as the system counts it.

Run as a module, in a process that has done nothing else (a child begins as large as whoever starts it):
`python -m bench._measured calendar FILE`, or `picture FILE`. Prints seconds of CPU, megabytes, seconds by the clock.
"""

import contextlib
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple

from bench._load import ROOT
from events import pictures
from events.calendars import reading
from events.calendars.imports import taken_apart_within
from events.errors import BranchlineError

Kind = Literal["calendar", "picture"]


class Cost(NamedTuple):
    cpu_s: float
    megabytes: float
    wall_s: float


def cost(kind: Kind, data: bytes) -> Cost:
    with TemporaryDirectory() as folder:
        file = Path(folder, "file")
        file.write_bytes(data)
        command = [sys.executable, "-m", "bench._measured", kind, str(file)]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return Cost(*map(float, done.stdout.split()))


def main() -> None:
    kind, path = sys.argv[1:]
    data, began = Path(path).read_bytes(), time.monotonic()
    with contextlib.suppress(BranchlineError):  # that it is refused is for the site to show
        (_calendar if kind == "calendar" else _picture)(data)
    wall = time.monotonic() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, wall)


def _calendar(data: bytes) -> None:
    window = taken_apart_within(datetime.now(UTC))
    reading.read(data, window=window, default_timezone="America/Chicago", default_language="en")


def _picture(data: bytes) -> None:
    pictures.check(data)
    pictures.prepare(data)


if __name__ == "__main__":
    main()
