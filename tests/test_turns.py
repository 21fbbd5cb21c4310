"""Whose turn it is to write to a file of SQLite."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from events import db
from events.db import Database

WAITING_S = 0.05  # long enough to have come to the queue


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "site.db"


@pytest.fixture
def databases(file: Path) -> Iterator[list[Database]]:
    """One for each who writes, as processes have them."""
    opened = [Database(f"sqlite:///{file}", size=1) for _ in range(5)]
    with opened[0].writing() as session:
        session.connection().exec_driver_sql("CREATE TABLE written (who INTEGER)")
    yield opened
    for one in opened:
        one.dispose()


def write(database: Database, who: int) -> None:
    with database.writing() as session:
        session.connection().execute(sa.text("INSERT INTO written VALUES (:who)"), {"who": who})


def written(database: Database) -> list[int]:
    with database.reading() as session:
        return list(session.connection().execute(sa.text("SELECT who FROM written ORDER BY rowid")).scalars())


def test_those_who_want_to_write_do_so_in_the_order_in_which_they_came(databases: list[Database]) -> None:
    first, *others = databases
    with ThreadPoolExecutor(len(others)) as threads:
        with first.writing() as session:
            session.connection()  # begins
            works = []
            for number, other in enumerate(others):
                works.append(threads.submit(write, other, number))
                time.sleep(WAITING_S)
        for work in works:
            work.result()
    assert written(first) == [0, 1, 2, 3]


def test_of_many_who_read_a_number_and_write_the_next_none_is_lost(databases: list[Database]) -> None:
    """With a plain BEGIN those who have read the same number overwrite each other, or fail."""
    write(databases[0], 0)

    def count_up(database: Database) -> None:
        for _ in range(40):
            with database.writing() as session:
                connection = session.connection()
                number = connection.exec_driver_sql("SELECT who FROM written").scalar_one()
                time.sleep(0.001)
                connection.exec_driver_sql("UPDATE written SET who = ?", (number + 1,))

    with ThreadPoolExecutor(len(databases)) as threads:
        list(threads.map(count_up, databases))
    assert written(databases[0]) == [40 * len(databases)]


def test_the_next_one_writes_as_soon_as_the_first_has_done_so(databases: list[Database]) -> None:
    first, second, *_ = databases
    began = threading.Event()

    def wait_and_write() -> None:
        began.set()
        write(second, 2)

    with ThreadPoolExecutor(1) as threads:
        with first.writing() as session:
            session.connection()
            work = threads.submit(wait_and_write)
            began.wait()
            time.sleep(WAITING_S)
            assert not work.done()
        work.result()
    assert written(first) == [2]


def test_nobody_waits_for_longer_than_their_patience_however_many_stand_before_them(
    databases: list[Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "BUSY_TIMEOUT_MS", 200)
    first, *others = databases
    with ThreadPoolExecutor(len(others)) as threads, first.writing() as session:
        session.connection()
        came = time.monotonic()
        works = [threads.submit(write, other, number) for number, other in enumerate(others)]
        for work in works:
            with pytest.raises(OperationalError, match="database is locked"):
                work.result()
        assert time.monotonic() - came < 0.2 * len(others)  # not one after another
    write(others[0], 7)
    assert written(first) == [7]


def test_who_writes_and_begins_to_write_once_more_is_refused_and_waits_for_nobody_for_ever(
    databases: list[Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "BUSY_TIMEOUT_MS", 100)
    first, second, *_ = databases
    with first.writing() as session:
        session.connection()
        with pytest.raises(OperationalError, match="database is locked"):
            write(second, 2)
    write(second, 3)
    assert written(first) == [3]


def test_where_there_can_be_no_queue_writing_goes_on_without_one(
    databases: list[Database], file: Path
) -> None:
    queue = file.with_name(f"{file.name}-turn")
    queue.unlink()
    queue.mkdir()
    write(databases[0], 1)
    assert written(databases[1]) == [1]


def test_a_reader_waits_for_nobody(databases: list[Database]) -> None:
    first, second, *_ = databases
    with first.writing() as session:
        session.connection()
        assert written(second) == []
