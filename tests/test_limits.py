"""How often an address may do something, counted by all processes together."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import select

from events import limits
from events.db import Database
from events.errors import TooOften
from events.limits import CONTACT, PAGES, RECIPIENT, SIGN_IN, STEP, Limiter, RequestCount
from tests.conftest import NOW

SECRET = "for tests only"
HOME, OFFICE = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def limiter(database: Database) -> Limiter:
    return Limiter(database, SECRET)


@pytest.fixture
def other(database: Database) -> Iterator[Limiter]:
    """That of another process: it shares nothing but the database."""
    beside = Database(database.url, size=2)
    yield Limiter(beside, SECRET)
    beside.dispose()


@pytest.fixture
def written(database: Database) -> list[str]:
    """The statements that write, from now on."""
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if re.match(r"\s*(INSERT|UPDATE|DELETE)", statement):
            statements.append(statement)

    sa.event.listen(database.engine, "before_cursor_execute", note)
    return statements


def opens(limiter: Limiter, pages: int, who: str = HOME, after: timedelta = timedelta()) -> int:
    """How many of so many pages are answered."""
    answered = 0
    for _ in range(pages):
        try:
            if not limiter.passes(PAGES, who, NOW + after):
                limiter.draw(PAGES, who, NOW + after)
        except TooOften:
            continue
        answered += 1
    return answered


def test_the_fifth_message_passes_and_the_sixth_is_too_many(limiter: Limiter) -> None:
    for _ in range(5):
        limiter.count(CONTACT, HOME, NOW)
    with pytest.raises(TooOften) as refused:
        limiter.count(CONTACT, HOME, NOW + timedelta(minutes=20))
    assert refused.value.retry_after == 40 * 60


def test_two_processes_count_together(limiter: Limiter, other: Limiter) -> None:
    for number in range(5):
        (other if number % 2 else limiter).count(CONTACT, HOME, NOW)
    for either in (limiter, other):
        with pytest.raises(TooOften):
            either.count(CONTACT, HOME, NOW)


def test_of_many_at_the_same_time_exactly_five_pass(limiter: Limiter, other: Limiter) -> None:
    def passes(number: int) -> bool:
        try:
            (other if number % 2 else limiter).count(CONTACT, HOME, NOW)
        except TooOften:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(passes, range(20))) == 5


def test_each_address_and_each_purpose_is_counted_for_itself(limiter: Limiter) -> None:
    for _ in range(5):
        limiter.count(CONTACT, HOME, NOW)
    limiter.count(CONTACT, OFFICE, NOW)
    limiter.count(SIGN_IN, HOME, NOW)
    with pytest.raises(TooOften):
        limiter.count(CONTACT, HOME, NOW)


def test_when_the_hour_is_over_it_starts_anew(limiter: Limiter) -> None:
    for _ in range(5):
        limiter.count(CONTACT, HOME, NOW + timedelta(minutes=59))
    limiter.count(CONTACT, HOME, NOW + timedelta(hours=1))


def test_what_is_counted_with_its_cause_counts_with_it_or_not_at_all(
    database: Database, limiter: Limiter
) -> None:
    """In the transaction that is open: a transaction of its own would wait for it, and it for that."""
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), database.writing() as session:
            assert limiter.allows(session, RECIPIENT, HOME, NOW)
            raise ZeroDivisionError
    with database.writing() as session:
        assert [limiter.allows(session, RECIPIENT, HOME, NOW) for _ in range(3)] == [True] * 3
    with database.writing() as session:
        assert [limiter.allows(session, RECIPIENT, HOME, NOW) for _ in range(3)] == [True, True, False]
        assert limiter.allows(session, RECIPIENT, OFFICE, NOW)


def test_of_many_causes_at_the_same_time_exactly_five_are_allowed(
    database: Database, limiter: Limiter, other: Limiter
) -> None:
    def allowed(number: int) -> bool:
        with database.writing() as session:
            return (other if number % 2 else limiter).allows(session, RECIPIENT, HOME, NOW)

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(allowed, range(20))) == 5


def test_the_table_does_not_say_who_asked(database: Database, limiter: Limiter) -> None:
    limiter.count(CONTACT, HOME, NOW)
    Limiter(database, "another secret").count(CONTACT, HOME, NOW)
    with database.reading() as session:
        keys = session.exec(select(RequestCount.key)).all()
    assert len(set(keys)) == 2  # without the secret nobody finds an address by trying all there are
    assert all(re.fullmatch(r"[0-9a-f]{32}", key) for key in keys)


def test_switched_off_nothing_is_refused_or_written(database: Database, written: list[str]) -> None:
    off = Limiter(database, SECRET, enabled=False)
    for _ in range(50):
        off.count(CONTACT, HOME, NOW)
    with database.writing() as session:
        assert all(off.allows(session, RECIPIENT, HOME, NOW) for _ in range(50))
    assert opens(off, 1000) == 1000
    assert written == []


def test_an_address_that_opens_few_pages_causes_no_write(limiter: Limiter, written: list[str]) -> None:
    assert opens(limiter, STEP - 1) == STEP - 1
    assert opens(limiter, STEP - 1, OFFICE) == STEP - 1
    assert opens(limiter, STEP - 1, after=timedelta(minutes=1)) == STEP - 1
    assert written == []


def test_six_hundred_pages_a_minute_pass_and_no_more(limiter: Limiter) -> None:
    assert opens(limiter, 600) == 600
    assert opens(limiter, 400) == 0
    assert opens(limiter, 10, OFFICE) == 10
    assert opens(limiter, 10, after=timedelta(minutes=1)) == 10


def test_many_pages_cost_one_write_in_a_hundred_and_refused_ones_none(
    limiter: Limiter, written: list[str]
) -> None:
    opens(limiter, 600)
    assert len(written) == 6
    opens(limiter, 1000)
    assert len(written) == 7


def test_two_processes_share_the_pages_of_a_minute(limiter: Limiter, other: Limiter) -> None:
    """Nobody is refused before the six hundredth; what each has not told yet may pass beyond."""
    answered = sum(opens(limiter, 1) + opens(other, 1) for _ in range(600))
    assert 600 <= answered <= 600 + STEP


def test_a_refused_page_says_when_to_come_back(limiter: Limiter) -> None:
    opens(limiter, 600)
    late = NOW + timedelta(seconds=45)
    assert not limiter.passes(PAGES, HOME, late)
    with pytest.raises(TooOften) as refused:
        limiter.draw(PAGES, HOME, late)
    assert refused.value.retry_after == 15


def test_counts_of_the_past_are_forgotten(database: Database, limiter: Limiter) -> None:
    limiter.count(CONTACT, HOME, NOW)
    limiter.count(CONTACT, HOME, NOW + timedelta(hours=1))
    with database.writing() as session:
        limits.forget_past(session, NOW + timedelta(hours=1, minutes=1))
    with database.reading() as session:
        assert len(session.exec(select(RequestCount)).all()) == 1
