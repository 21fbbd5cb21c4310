"""What peers are made of, below the ignored data/: a virtual environment for each, and what each was filled with.

Nothing of theirs comes into our own environment or into the repository.
"""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ROOT / "bench/peers"
KEPT = ROOT / "data/peers"


def programs(name: str) -> Path:
    """The folder of the peer's programs: installed as its lock says, anew only when that has changed."""
    lock, folder = LOCKS / f"{name}.txt", KEPT / name
    venv, stamp = folder / "venv", folder / "venv.sha256"
    digest = _digest(
        lock.read_bytes() + str(venv).encode()
    )  # programs in it name the folder they were made in
    if not _says(stamp, digest):
        folder.mkdir(parents=True, exist_ok=True)
        run(f"Making an environment for {name}", sys.executable, "-m", "venv", "--clear", venv)
        pip = (venv / "bin/python", "-m", "pip", "install", "--disable-pip-version-check")
        run(f"Installing {name}", *pip, "--require-hashes", f"--requirement={lock}")
        stamp.write_text(digest)
    return venv / "bin"


def filled(name: str, calendar: bytes, fill: Callable[[Path], None]) -> Path:
    """The folder of the peer's data: filled with this calendar, anew only when that or the peer has changed."""
    folder = KEPT / name / "data"
    stamp = KEPT / name / "data.sha256"
    digest = _digest(calendar + LOCKS.joinpath(f"{name}.txt").read_bytes())
    if not _says(stamp, digest):
        stamp.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        fill(folder)
        stamp.write_text(digest)
    return folder


def version(name: str) -> str:
    found = re.search(rf"^{name}==(\S+)", LOCKS.joinpath(f"{name}.txt").read_text(), re.MULTILINE)
    return found[1] if found else sys.exit(f"bench/peers/{name}.txt does not pin {name}.")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _says(stamp: Path, digest: str) -> bool:
    return stamp.exists() and stamp.read_text() == digest


def run(doing: str, *command: str | Path, given: str = "", **environment: str) -> None:
    """Runs a program, with that as its input, and shows what it said only if it failed."""
    print(f"{doing} …", file=sys.stderr, flush=True)
    done = subprocess.run(
        command,
        env={**os.environ, **environment},
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{done.stdout[-3000:]}\nThis failed: {shlex.join(map(str, command))}")
