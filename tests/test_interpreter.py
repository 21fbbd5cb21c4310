"""Who computes for long lets the others go on more often meanwhile."""

import sys
from collections.abc import Iterator
from threading import Barrier, Thread
from typing import Any

import pytest
from starlette.testclient import TestClient

from events.calendars import lists
from events.interpreter import GIVES_WAY_S, WHILE_LONG_S, computing_for_long
from tests.conftest import Cast

ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(GIVES_WAY_S)
    yield
    sys.setswitchinterval(before)


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


@ON_SQLITE
@pytest.mark.parametrize("path", ["/events.csv", "/branches/alder.atom"])
def test_a_list_of_thousands_is_such_a_thing(
    ben: TestClient, cast: Cast, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    seen, finished = [], lists.finished

    def noting(*given: Any, **named: Any) -> Any:
        seen.append(interval())
        return finished(*given, **named)

    monkeypatch.setattr(lists, "finished", noting)
    assert ben.get(path).status_code == 200
    assert (seen, interval()) == ([WHILE_LONG_S], GIVES_WAY_S)
