"""Who computes for long lets the others go on more often meanwhile."""

import asyncio
import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Barrier, Event, Thread, current_thread
from time import monotonic
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events.calendars import lists
from events.interpreter import (
    ANSWERS_FIRST_S,
    GIVES_WAY_S,
    HEAPS,
    MANY_FIRST_S,
    NEW_OBJECTS,
    WHILE_LONG_S,
    WITH_POSTGRESQL_S,
    answering,
    computing_for_long,
    give_way_soon,
    let_answers_go_first,
    look_for_garbage_seldom,
)
from tests.conftest import Cast

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    before, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(GIVES_WAY_S)
    yield
    sys.setswitchinterval(before)
    gc.set_threshold(*thresholds)


MANY_THREADS = """
import ctypes, sys
from pathlib import Path
from threading import Barrier, Thread, current_thread
from events.interpreter import keep_memory_together
if sys.argv[2:]:
    keep_memory_together()
libc, all_are_here = ctypes.CDLL(None), Barrier(8)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
def take():
    all_are_here.wait(10)
    for _ in range(1000):
        libc.malloc(1000)
threads = [Thread(target=take) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
if hasattr(libc, "malloc_info"):  # glibc
    libc.malloc_info(0, file)
libc.fclose(file)
"""


def test_threads_share_two_heaps(tmp_path: Path) -> None:
    heaps = []
    for name in ("", "kept"):
        file = tmp_path / f"heaps{name}"
        subprocess.run([sys.executable, "-c", MANY_THREADS, file, *filter(None, [name])], check=True)
        heaps.append(file.read_text().count("<heap nr="))
    assert heaps[1] <= HEAPS < (heaps[0] or HEAPS + 1)


@pytest.mark.parametrize(("is_sqlite", "expected"), [(True, GIVES_WAY_S), (False, WITH_POSTGRESQL_S)])
def test_with_sqlite_threads_give_way_sooner(is_sqlite: bool, expected: float) -> None:
    give_way_soon(is_sqlite)
    assert interval() == expected
    assert GIVES_WAY_S < WITH_POSTGRESQL_S


def test_a_few_thousand_rows_do_not_make_python_look_through_all_that_is_old() -> None:
    def looked_through(events: int) -> list[int]:
        looks = [each["collections"] for each in gc.get_stats()]
        rows = [[number] for number in range(events)]
        assert len(rows) == events
        return [after["collections"] - before for after, before in zip(gc.get_stats(), looks, strict=True)]

    gc.collect()
    gc.set_threshold(700)
    usual = looked_through(NEW_OBJECTS)
    look_for_garbage_seldom()
    gc.collect()
    assert usual[0] > 4 and looked_through(NEW_OBJECTS - 100) == [0, 0, 0]
    assert looked_through(3 * NEW_OBJECTS)[0] > 1  # but it does look


def interval() -> float:
    return round(sys.getswitchinterval(), 6)


def test_it_lasts_until_the_last_of_several_is_done_however_they_end() -> None:
    with computing_for_long():
        with pytest.raises(ZeroDivisionError), computing_for_long():
            raise ZeroDivisionError
        assert interval() == WHILE_LONG_S
    assert interval() == GIVES_WAY_S


def test_one_that_began_later_may_end_later() -> None:
    first_is_done, second_is_on, seen = Barrier(2), Barrier(2), []

    def second() -> None:
        with computing_for_long():
            second_is_on.wait(10)
            first_is_done.wait(10)
            seen.append(interval())

    thread = Thread(target=second)
    with computing_for_long():
        thread.start()
        second_is_on.wait(10)
    first_is_done.wait(10)
    thread.join()
    assert (seen, interval()) == ([WHILE_LONG_S], GIVES_WAY_S)


def waited(most_s: float = ANSWERS_FIRST_S) -> float:
    """Seconds."""
    began = monotonic()
    let_answers_go_first(most_s)
    return monotonic() - began


def test_answers_go_first_but_nobody_waits_for_them_for_ever() -> None:
    with answering():
        with answering():
            pass
        assert waited() >= ANSWERS_FIRST_S
        assert waited(MANY_FIRST_S) >= MANY_FIRST_S > ANSWERS_FIRST_S
    with answering():
        pass
    assert waited() < ANSWERS_FIRST_S


@ON_SQLITE
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/branches/alder.atom", (GIVES_WAY_S, True, "request")),
        ("/events.csv", (WHILE_LONG_S, False, "long")),
    ],
)
def test_whoever_asks_for_a_list_goes_first_but_one_of_thousands_lets_others_go_first(
    ben: TestClient,
    cast: Cast,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    expected: tuple[float, bool, str],
) -> None:
    """While it is made: the interval, whether others would wait for it, and the thread."""
    seen, finished = [], lists.finished

    def noting(*given: Any, **named: Any) -> Any:
        name = current_thread().name.partition("_")[0]
        seen.append((interval(), waited() >= ANSWERS_FIRST_S, name))
        return finished(*given, **named)

    monkeypatch.setattr(lists, "finished", noting)
    assert ben.get(path).status_code == 200
    assert (seen, interval()) == ([expected], GIVES_WAY_S)
    assert waited() < ANSWERS_FIRST_S


@ON_SQLITE
def test_a_list_that_takes_long_holds_up_no_other(
    app: Starlette, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does a form that waits for its turn to write."""
    is_on, other_is_made, finished = Event(), Event(), lists.finished

    def waiting(session: Any, wanted: Any, *given: Any, **named: Any) -> Any:
        if wanted.name == "Atom":
            is_on.set()
            assert other_is_made.wait(10)
        else:
            other_is_made.set()
        return finished(session, wanted, *given, **named)

    monkeypatch.setattr(lists, "finished", waiting)

    async def both() -> list[int]:
        transport = httpx2.ASGITransport(app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            first = asyncio.create_task(client.get("/branches/alder.atom"))
            assert await asyncio.to_thread(is_on.wait, 10)
            return [(await client.get("/events.json")).status_code, (await first).status_code]

    assert asyncio.run(both()) == [200, 200]
