"""How soon the first answer comes after a start, and how much memory is taken by who waits for visitors.

usage: ./dev bench start [--rounds 15] [--branches 200] [--events 1000]

Compared with an empty application (Starlette, SQLModel, one table, the same server; bench/_empty.py), in turn:
A B A B …, each time a new process. From starting the process to the first 200, asked for every two milliseconds; the
ratio is the median of what each round gave. Beside it the time of the processors that all its processes took until
then, which a busy machine changes less. Modules are compiled, as an installation has them, and so are the templates,
by an earlier start; the database is at the newest schema. Memory is that of idle processes after the home page and a
feed were answered once: RSS as the kernel counts it, PSS with shared pages shared out (Linux only). Ends with 1 when
a figure misses its target.
"""

import argparse
import compileall
import http.client
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from bench._load import figure
from bench._progress import progress
from bench._synthetic import PUBLISHING, fill
from events import migrations
from events.db import Database
from tests.smtp_sink import free_port

ROOT = Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"
MOST = 1.75  # times the empty application
LOOK_EVERY_S = 0.002
GIVE_UP_S, END_WITHIN_S = 60, 30
WARM_UP = ("/", "/events.ics")  # before memory is measured
SETTLED_S = 3.0


class Side(NamedTuple):
    """What is started, given a port and a number of processes, and in which environment."""

    command: Callable[[int, int], Sequence[str]]
    variables: Mapping[str, str]


class Took(NamedTuple):
    """Seconds: by the clock on the wall, and of the processors."""

    waited: float
    worked: float


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--branches", type=int, default=200)
    parser.add_argument("--events", type=int, default=1000)
    options = parser.parse_args()
    for package in ("events", "bench"):
        compileall.compile_dir(ROOT / package, quiet=1)
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        ours, theirs = _ours(Path(folder), port, options), Side(_empty_command, {})
        good = True
        for workers in (1, 2):
            for path in ("/healthz", "/"):
                good &= _compare(ours, theirs, port, workers, path, options.rounds)
        _memory(ours, theirs, port)
    return 0 if good else 1


def _ours(folder: Path, port: int, options: argparse.Namespace) -> Side:
    url = f"sqlite:///{folder}/bench.db"
    database = Database(url, size=1)
    migrations.upgrade(database)
    here = replace(PUBLISHING, base_url=f"http://localhost:{port}")
    fill(database, branches=options.branches, events=options.events, publishing=here)
    database.dispose()
    variables = {
        "BRANCHLINE_DATA_DIR": str(folder),
        "BRANCHLINE_DATABASE_URL": url,
        "BRANCHLINE_NAME": here.organisation,
    }
    return Side(_our_command, variables)


def _our_command(port: int, workers: int) -> Sequence[str]:
    return ("-m", "events", "serve", "--host", HOST, "--port", str(port), "--workers", str(workers))


def _empty_command(port: int, workers: int) -> Sequence[str]:
    """With the settings of events/server.py."""
    options = "--factory --no-access-log --no-server-header --no-proxy-headers --lifespan on"
    waits = "--timeout-graceful-shutdown 10 --timeout-worker-healthcheck 30"
    where = f"--host {HOST} --port {port} --workers {workers}"
    return ("-m", "uvicorn", "bench._empty:create_app", *f"{options} {waits} {where}".split())


@contextmanager
def _started(side: Side, port: int, workers: int) -> Iterator[int]:
    """Yields the number of the process, which answers nothing yet."""
    environment = {"PATH": os.environ["PATH"], "PORT": str(port), **side.variables}
    command = [sys.executable, *side.command(port, workers)]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(END_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()


# ---------------------------------------------------------------- time


def _compare(ours: Side, theirs: Side, port: int, workers: int, path: str, rounds: int) -> bool:
    for side in (ours, theirs):  # files are read from the disk once
        _first_answer(side, port, workers, path)
    what = f"{path}, {workers} process{'es' if workers > 1 else ''}"
    took = [
        [_first_answer(side, port, workers, path) for side in (ours, theirs)]
        for _ in progress(what, range(rounds))
    ]
    ratio = statistics.median(mine.waited / other.waited for mine, other in took)
    worked = statistics.median(mine.worked / other.worked for mine, other in took)
    mine, other = (Took(*map(statistics.median, zip(*side, strict=True))) for side in zip(*took, strict=True))
    print(f"start to the first {what}: {mine.waited:.3f} s, of the empty application {other.waited:.3f} s")
    print(f"    processors: {mine.worked:.2f} s and {other.worked:.2f} s, ratio {worked:.2f}")
    return figure("    ratio", f"{ratio:.2f}", f"<= {MOST}", ratio <= MOST)


def _first_answer(side: Side, port: int, workers: int, path: str) -> Took:
    began = time.perf_counter()
    with _started(side, port, workers) as pid:
        while not _answers(port, path):
            if time.perf_counter() - began > GIVE_UP_S:
                sys.exit(f"Nothing answers at {path} after {GIVE_UP_S} s.")
            time.sleep(LOOK_EVERY_S)
        waited = time.perf_counter() - began
        return Took(waited, sum(map(worked, (pid, *children(pid)))))


def worked(pid: int) -> float:
    """Seconds of the processors that a process has had, the system's for it included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _answers(port: int, path: str) -> bool:
    """A port that is bound but not served yet holds the question until it is."""
    connection = http.client.HTTPConnection(HOST, port, timeout=GIVE_UP_S)
    try:
        connection.request("GET", path, headers={"Host": f"localhost:{port}"})
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


# ---------------------------------------------------------------- memory


def _memory(ours: Side, theirs: Side, port: int) -> None:
    """Of each process of its own, and of all of them together."""
    print()
    for name, side, workers in (
        ("the site, its worker inside", ours, 1),
        ("the site with two processes, no worker", ours, 2),
        ("the empty application", theirs, 1),
        ("the empty application with two processes", theirs, 2),
    ):
        with _started(side, port, workers) as pid:
            paths = WARM_UP if side is ours else WARM_UP[:1]
            while not _answers(port, paths[0]):
                time.sleep(LOOK_EVERY_S)
            for path in paths * 20:  # so that each of several processes has answered
                _answers(port, path)
            time.sleep(SETTLED_S)
            each = [memory(one) for one in (pid, *children(pid))]
        shown = "; ".join(f"RSS {rss:.0f} PSS {pss:.0f}" for rss, pss in each)
        print(f"{name}, MB: {shown}")


def children(pid: int) -> list[int]:
    """All processes below this one, but those that only watch over what Python shares between processes."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    below = [each for child in map(int, found) for each in (child, *children(child))]
    return [each for each in below if b"resource_tracker" not in Path(f"/proc/{each}/cmdline").read_bytes()]


def memory(pid: int) -> tuple[float, float]:
    """RSS and PSS, in MB."""
    lines = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    kilobytes = {name: int(value) for name, value, *_ in lines}
    return kilobytes["Rss:"] / 1024, kilobytes["Pss:"] / 1024


if __name__ == "__main__":
    sys.exit(main())
