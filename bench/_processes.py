"""`branchline serve` with several processes and `branchline work` beside it, to be killed and started again."""

import http.client
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlmodel import select

from bench._synthetic import fill
from events import migrations
from events.branches.models import Branch
from events.db import Database
from tests.smtp_sink import free_port

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 60.0
BROKEN = (OSError, http.client.HTTPException)


@dataclass
class Running:
    """The web processes and the worker, each group of them in a session of its own, so that it dies as a whole."""

    data: Path
    url: str
    workers: int
    port: int = field(default_factory=free_port)
    smtp_url: str = ""
    web: subprocess.Popen[bytes] | None = None
    worker: subprocess.Popen[bytes] | None = None
    ready_s: list[float] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start_web(self) -> None:
        began = time.monotonic()
        self.web = self._started("serve", "--host", "127.0.0.1", "--workers", str(self.workers))
        while status(self.port, "/readyz") != 200:
            if self.web.poll() is not None or time.monotonic() - began > PATIENCE_S:
                sys.exit(f"It did not come up again:\n{(self.data / 'serve.log').read_text()[-3000:]}")
            time.sleep(0.01)
        self.ready_s.append(time.monotonic() - began)

    def start_worker(self) -> None:
        self.worker = self._started("work")

    def _started(self, *command: str) -> subprocess.Popen[bytes]:
        environment = {
            "PATH": os.environ["PATH"],
            "PORT": str(self.port),
            "BRANCHLINE_DATA_DIR": str(self.data),
            "BRANCHLINE_DATABASE_URL": self.url,
            "BRANCHLINE_RATE_LIMITS": "off",
            "BRANCHLINE_SMTP_URL": self.smtp_url,
        }
        with (self.data / f"{command[0]}.log").open("a") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "events", *command],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def tracebacks(self, most: int = 3) -> str:
        """The last ones in the logs, each with what was said around it."""
        found = []
        for name in ("serve", "work"):
            lines = (self.data / f"{name}.log").read_text(errors="replace").splitlines()
            at = [number for number, line in enumerate(lines) if line.startswith("Traceback")]
            found += ["\n".join(lines[max(0, number - 2) : number + 80]) for number in at[-most:]]
        return "\n\n".join(found)

    def kill_all(self) -> None:
        for process in (self.web, self.worker):
            if process is not None:
                _kill_group(process)

    def kill_worker(self) -> None:
        if self.worker is not None:
            _kill_group(self.worker)

    def kill_web_process(self, chance: random.Random) -> float:
        """Returns the seconds until one of the others has answered that it is ready."""
        children = self.web_processes()
        if not children:
            return 0.0
        os.kill(chance.choice(children), signal.SIGKILL)
        began = time.monotonic()
        while status(self.port, "/readyz") != 200:
            time.sleep(0.01)
        return time.monotonic() - began

    def kill_watcher(self, within_s: float = 5.0) -> int:
        """The web processes should end with it, or nobody can start anew at their port. Returns how many stayed."""
        children = self.web_processes()
        if self.web is not None:
            self.web.kill()
            self.web.wait()
        until = time.monotonic() + within_s
        while any(map(_lives, children)) and time.monotonic() < until:
            time.sleep(0.02)
        stayed = sum(map(_lives, children))
        if self.web is not None:
            _kill_group(self.web)
        return stayed

    def web_processes(self) -> list[int]:
        """Those that answer."""
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                state, parent, _ = _read(path)
            except OSError:  # it has ended meanwhile
                continue
            if self.web is not None and parent == self.web.pid and state != "Z":
                found.append(int(path.parent.name))
        return found


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Its number is that of the session that was made for it, so nobody else is in there. All have ended afterwards:
    who is being killed may hold the port a little longer."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    while _lives_any_of(process.pid):
        time.sleep(0.005)


def _read(stat: Path) -> tuple[str, int, int]:
    """State, parent and group of a process."""
    state, parent, group = stat.read_text().rpartition(")")[2].split()[:3]
    return state, int(parent), int(group)


def _lives_any_of(group: int) -> bool:
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            state, _, of = _read(path)
            if of == group and state != "Z":
                return True
    return False


def _lives(pid: int) -> bool:
    try:
        return _read(Path(f"/proc/{pid}/stat"))[0] != "Z"
    except OSError:
        return False


def status(port: int, path: str) -> int:
    """0: nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except BROKEN:
        return 0
    finally:
        connection.close()


def fill_in(database: Database, branches: int) -> None:
    """The newest schema, and branches that have an address."""
    migrations.upgrade(database)
    fill(database, branches=branches)
    with database.writing() as session:
        for branch in session.exec(select(Branch)).all():
            branch.email = f"{branch.slug}@example.org"
            session.add(branch)
