"""Load by wrk on a real server: two addresses in alternation, and a table of what came.

Run as a module, this file serves an ASGI application just as `branchline serve` serves the site:
`python -m bench._load bench._bare:empty 8000`.
"""

import http.client
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

import sqlalchemy as sa
import uvicorn
from uvicorn.importer import import_from_string

from events import logs, server
from events.config import Settings
from tests.postgres import postgres
from tests.smtp_sink import free_port

ROOT = Path(__file__).resolve().parents[1]
HOST = "127.0.0.1"
CONNECTIONS = 16
READY_WITHIN_S, END_WITHIN_S = 120, 30
SLACK = 0.05  # by how much answers may be longer or shorter than the one that was looked at
DIED = "The server did not come up."

# wrk counts a status above 399 as an error by itself. What it finds it says in words for people; this says it for us.
REPORT = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("FIGURES %d %d %d %d %d %d %d\\n", summary.requests, summary.duration, summary.bytes,
    e.status, e.connect + e.read + e.write + e.timeout, latency:percentile(50), latency:percentile(99)))
end
"""
# An address that nobody asked for before, at each request.
NEVER_TWICE = """
local number = {first}
request = function()
  number = number + 1
  return wrk.format(nil, wrk.path .. "{joint}_=" .. number)
end
"""


# ---------------------------------------------------------------- servers


@contextmanager
def site(
    data: Path,
    database_url: str,
    *,
    workers: int = 1,
    port: int = 0,
    pinned: bool = False,
    **environment: str,
) -> Iterator[str]:
    """`branchline serve` on a database that is migrated; yields its address.

    Nothing of the shell's environment reaches it; what is asked for does: `BRANCHLINE_RATE_LIMITS="on"`.
    """
    port = port or free_port()
    variables = {
        "BRANCHLINE_DATA_DIR": str(data),
        "BRANCHLINE_DATABASE_URL": database_url,
        "BRANCHLINE_RATE_LIMITS": "off",
        "PORT": str(port),
        **environment,
    }
    command = [sys.executable, "-m", "events", "serve", "--host", HOST, "--workers", str(workers)]
    with served(_kept_to(0, command, pinned), variables, port, "/readyz", workers):
        yield f"http://{HOST}:{port}"


@contextmanager
def bare(application: str, *arguments: str | Path, port: int = 0, pinned: bool = False) -> Iterator[str]:
    """What `module:function(*arguments)` returns, under uvicorn as the site has it; yields its address."""
    port = port or free_port()
    command = [sys.executable, "-m", "bench._load", application, str(port), *map(str, arguments)]
    with served(_kept_to(0, command, pinned), {}, port, "/", workers=1):
        yield f"http://{HOST}:{port}"


def _kept_to(core: Literal[0, -1], command: Sequence[str], pinned: bool) -> list[str]:
    """What is pinned has a core to itself: servers the first of this machine's, wrk the last.

    Measured with two equal servers while others used the machine: the middle half of the ratios lay between 0.86 and
    1.19, and without it between 0.66 and 1.42.
    """
    if not pinned or shutil.which("taskset") is None:
        return list(command)
    return ["taskset", "--cpu-list", str(sorted(os.sched_getaffinity(0))[core]), *command]


@contextmanager
def served(
    command: Sequence[str], variables: Mapping[str, str], port: int, path: str, workers: int
) -> Iterator[None]:
    with TemporaryDirectory() as folder:
        log = Path(folder, "log")
        with (
            log.open("w") as said,
            subprocess.Popen(
                command, cwd=ROOT, env={"PATH": os.environ["PATH"], **variables}, stdout=said, stderr=said
            ) as process,
        ):
            try:
                _wait_for(process, port, path, log, workers)
                yield
                if process.poll() is not None:
                    sys.exit(f"The server ended by itself.\n{_end_of(log)}")
            finally:
                _end(process)


def _wait_for(process: subprocess.Popen[bytes], port: int, path: str, log: Path, workers: int) -> None:
    """Until it is ready and, of several processes, all have said that they are."""
    until = time.monotonic() + READY_WITHIN_S
    while not (_answers(port, path) and _up(log) >= (workers if workers > 1 else 0)):
        if process.poll() is not None or time.monotonic() > until:
            sys.exit(f"{DIED}\n{_end_of(log)}")
        time.sleep(0.05)


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < 500
    except OSError:
        return False
    finally:
        connection.close()


def _up(log: Path) -> int:
    return log.read_text(errors="replace").count("Application startup complete")


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-3000:]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()


@contextmanager
def engines(which: str, folder: Path) -> Iterator[dict[str, Callable[[str], str]]]:
    """By its name (which: sqlite, postgresql or both) what makes an empty database of some name, and returns its URL.

    PostgreSQL is a throw-away server without fsync: good for reading, and for writing only to compare.
    """
    found: dict[str, Callable[[str], str]] = {"sqlite": lambda name: f"sqlite:///{folder}/{name}.db"}
    if which == "sqlite":
        yield found
        return
    with postgres() as url:
        found["postgresql"] = partial(_created, url)
        yield found if which == "both" else {which: found[which]}


def _created(url: str, name: str) -> str:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return url.replace("/postgres?", f"/{name}?")


# ---------------------------------------------------------------- one run


@dataclass(frozen=True, slots=True)
class Target:
    """An address, how it is asked for, and the status that all its answers must have."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    script: str = ""  # Lua for wrk: what the requests are when they are not all the same
    connections: int = CONNECTIONS
    pinned: bool = False  # wrk keeps to a core; then its servers should keep to another

    @classmethod
    def never_twice(cls, url: str, *, pinned: bool = False) -> "Target":
        """What a page costs that nobody has kept: a parameter that nobody knows is another one each time."""
        script = NEVER_TWICE.format(first=time.time_ns() // 1000, joint="&" if "?" in url else "?")
        return cls(url, script=script, pinned=pinned)


class Run(NamedTuple):
    """What came of one run: answers a second, times in milliseconds, bytes of an answer with its headers."""

    rate: float
    p50_ms: float
    p99_ms: float
    answers: int
    size: float
    errors: int


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(target: Target) -> Answer:
    """Asks once, and ends the bench when the answer has another status than it should."""
    parts = urlsplit(target.url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    try:
        connection.request("GET", target.url.partition(parts.netloc)[2] or "/", headers=dict(target.headers))
        response = connection.getresponse()
        answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()
    if answer.status != target.status:
        sys.exit(f"{target.url} answered {answer.status} rather than {target.status}: {answer.body[:500]!r}")
    return answer


def load(target: Target, seconds: float) -> Run:
    """Asks by wrk for so long. Ends the bench when the answers were not all as the first one is.

    wrk itself does not say which of the good statuses came. So one answer is looked at before, and the bytes of all
    must be those of so many of it.
    """
    first = ask(target)
    with TemporaryDirectory() as folder:
        script = Path(folder, "script.lua")
        script.write_text(target.script + REPORT)
        options = ["-t1", f"-c{target.connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s"]
        headers = [part for name, value in target.headers.items() for part in ("-H", f"{name}: {value}")]
        command = [wrk(), *options, *headers, "-s", str(script), target.url]
        done = subprocess.run(
            _kept_to(-1, command, target.pinned), capture_output=True, text=True, check=True
        )
    run = _read(done.stdout)
    least = len(first.body) * (1 - SLACK)
    most = (len(first.body) + sum(len(k) + len(v) + 4 for k, v in first.headers.items()) + 100) * (1 + SLACK)
    if run.answers and not least <= run.size <= most:
        sys.exit(f"Answers of {target.url} had {run.size:.0f} bytes on average, the first {len(first.body)}.")
    return run


def _read(said: str) -> Run:
    figures = next((line for line in said.splitlines() if line.startswith("FIGURES ")), None)
    if figures is None:
        sys.exit(f"wrk did not say what it found: {said}")
    answers, microseconds, size, bad, broken, p50, p99 = map(int, figures.split()[1:])
    return Run(
        rate=answers / (microseconds / 1e6),
        p50_ms=p50 / 1000,
        p99_ms=p99 / 1000,
        answers=answers,
        size=size / max(answers, 1),
        errors=bad + broken,
    )


def wrk() -> str:
    """The program; brought by apt for root. Anyone else is told what to type."""
    if found := shutil.which("wrk"):
        return found
    line = ["apt-get", "install", "-y", "--no-install-recommends", "wrk"]
    if shutil.which("apt-get") is None:
        sys.exit("wrk is missing, which makes the load. Install it and start again.")
    if os.geteuid() != 0:
        sys.exit(
            f"wrk is missing, which makes the load. Type this and start again:\n    sudo {shlex.join(line)}"
        )
    print("Installing wrk …", file=sys.stderr)
    for command in (["apt-get", "update"], line):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            sys.exit(f"{done.stdout}\nThis failed: {shlex.join(command)}")
    return shutil.which("wrk") or sys.exit("wrk was installed and is still missing.")


# ---------------------------------------------------------------- in alternation


def alternated(sides: Sequence[Callable[[], Run]], rounds: int) -> list[list[Run]]:
    """A B A B …: what the machine does besides slows both. The runs of each side, in order."""
    runs: list[list[Run]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, came in zip(sides, runs, strict=True):
            came.append(side())
    return runs


def median(runs: Sequence[Run]) -> Run:
    """Of each figure by itself; of errors all."""
    rate, p50, p99, answers, size, _ = map(statistics.median, zip(*runs, strict=True))
    return Run(rate, p50, p99, int(answers), size, sum(run.errors for run in runs))


class Compared(NamedTuple):
    """Medians of both, and the median of what each round gave as ours / theirs."""

    ours: Run
    theirs: Run
    ratio: float

    @property
    def errors(self) -> int:
        return self.ours.errors + self.theirs.errors


def compared(ours: Target, theirs: Target, seconds: float, rounds: int) -> Compared:
    """A short run of each first, which is not counted: it warms up what is to be warm."""
    for target in (ours, theirs):
        load(target, 1)
    runs = alternated([lambda: load(ours, seconds), lambda: load(theirs, seconds)], rounds)
    ratios = [mine.rate / other.rate for mine, other in zip(*runs, strict=True)]
    return Compared(median(runs[0]), median(runs[1]), statistics.median(ratios))


# ---------------------------------------------------------------- the table

WIDTHS = (50, 9, 9, 7, 10, 4, 6)
FIGURE, *NUMBERS = WIDTHS


def heading(ours: str = "ours/s", theirs: str = "bare/s") -> None:
    _print("", ours, theirs, "ratio", "target", "", "load")


def row(name: str, found: Compared, least: float | None) -> bool:
    """One line of the table; the load is that of the machine in the last minute. True when it is as wanted."""
    good = found.errors == 0 and (least is None or found.ratio >= least)
    wanted = "" if least is None else f">= {least:g}"
    verdict = "" if least is None and good else "ok" if good else "NOT"
    rates = f"{found.ours.rate:,.0f}", f"{found.theirs.rate:,.0f}"
    _print(name, *rates, f"{found.ratio:.2f}", wanted, verdict, f"{os.getloadavg()[0]:.1f}")
    if found.errors:
        print(f"    {found.ours.errors} errors of ours, {found.theirs.errors} of the other")
    return good


def figure(name: str, text: str, target: str = "", good: bool | None = None) -> bool:
    """A line that is no ratio of two rates, in the same columns."""
    verdict = "" if good is None else "ok" if good else "NOT"
    _print(name, text, "", "", target, verdict, f"{os.getloadavg()[0]:.1f}")
    return good is not False


def _print(name: str, *cells: str) -> None:
    padded = (f"{cell:>{width}}" for cell, width in zip(cells, NUMBERS, strict=True))
    print(f"{name:{FIGURE}}{''.join(padded)}", flush=True)


# ---------------------------------------------------------------- as a module


def main() -> None:
    named, port, *arguments = sys.argv[1:]
    settings = Settings(data_dir=Path(), database_url="", secret_key="", port=int(port))
    logs.set_up("text")
    server.end_on_signals()
    sockets = server.listen(HOST, settings.port)
    config = server.config_of(import_from_string(named)(*arguments), settings, HOST)
    uvicorn.Server(config).run(sockets=sockets)


if __name__ == "__main__":
    main()
