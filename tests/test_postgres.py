"""What the other tests stand on: the throw-away server."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from tests.postgres import find_binaries, postgres

OWNER = """
import os, signal
from tests.postgres import postgres
with postgres() as url:
    print(url, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def socket_of(url: str) -> Path:
    return Path(str(make_url(url).query["host"]))


def soon(condition: Callable[[], bool]) -> bool:
    """Whether it comes true within ten seconds."""
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


@pytest.mark.parametrize("binaries", find_binaries(), ids=str)
def test_each_postgresql_here_measures_distances_and_goes_without_a_trace(binaries: Path) -> None:
    with postgres(binaries) as url:
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text("create extension cube"))
            connection.execute(text("create extension earthdistance"))
            degree = connection.scalar(text("select earth_distance(ll_to_earth(0, 0), ll_to_earth(0, 1))"))
        engine.dispose()
        folder = socket_of(url).parent
        assert folder.exists()
    assert degree == pytest.approx(111_320, abs=1)
    assert not folder.exists()


def test_a_killed_test_run_leaves_no_server_behind() -> None:
    root = Path(__file__).parents[1]
    owner = subprocess.run([sys.executable, "-c", OWNER], cwd=root, capture_output=True, text=True)
    folder = socket_of(owner.stdout.strip()).parent
    assert soon(lambda: not folder.exists())
