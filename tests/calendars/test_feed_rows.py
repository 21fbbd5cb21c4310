"""After an edit only those events are read that it was about."""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import Session, select
from starlette.testclient import TestClient

from events.calendars import derived, feeds, store
from events.calendars.content import Publishing
from events.calendars.feed_rows import MOST_MOVED, AtOnce, Found, Place, Reader, Row, Rows, RowsKept
from events.calendars.kept import current_revision
from events.calendars.models import Event
from events.calendars.moves import ANYTHING, Move, Reach, move_revision
from events.calendars.queries import EVERYTHING
from events.db import Database, table_of
from tests.calendars.life import readings
from tests.calendars.test_feeds import HEADING, weekly
from tests.conftest import NOW, Cast, counted

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

TODAY = datetime(2026, 11, 26, tzinfo=UTC)
HERE = Reach(branches=frozenset({"branch:1"}))
MOST = 1000


class Stored:
    """What is stored, and for which events it was read. None: for all."""

    def __init__(self, number: int) -> None:
        self.texts = {each: f"text {each}" for each in range(1, number + 1)}
        self.asked: list[Collection[int] | None] = []

    def __call__(self, events: Collection[int] | None) -> Rows:
        self.asked.append(events)
        chosen = self.texts if events is None else [each for each in events if each in self.texts]
        return {each: Row(each, str(each), 1, self.texts[each], "", "", None, None) for each in chosen}


class Asking:
    def __init__(self, session: Session, kept: RowsKept, stored: Stored) -> None:
        self.session, self.kept, self.stored = session, kept, stored
        self.reaches: Place | None = (timedelta(days=9), "uid")
        self.whole_until: Place | None = None

    def rows(self, day: datetime = TODAY, most: int = MOST, key: str = "here", anew: bool = False) -> Rows:
        revision, _ = current_revision(self.session)
        reader = Reader(
            lambda: Found(self.stored(None), self.reaches),
            lambda: lambda _, events: self.stored(events),
        )
        found = self.kept.rows(self.session, key, HERE, revision, day, most, reader, anew)
        self.whole_until = found.whole_until
        return found.rows

    def move(self, move: Move) -> None:
        move_revision(self.session, TODAY, move)

    @property
    def last_asked(self) -> Collection[int] | None:
        return self.stored.asked[-1]


@pytest.fixture
def asking(database: Database) -> Iterator[Asking]:
    with database.writing() as session:
        move_revision(session, TODAY)
        yield Asking(session, RowsKept(fewest=1), Stored(5))


def here(event_id: int) -> Move:
    return Move(event_id, frozenset({"branch:1"}), ())


def test_only_what_was_edited_is_read_again(asking: Asking) -> None:
    assert [*asking.rows()] == [1, 2, 3, 4, 5]
    asking.stored.texts[3] = "changed"
    asking.move(here(3))
    assert asking.rows()[3].ics == "changed"
    assert asking.stored.asked == [None, {3}]


def test_what_has_left_goes_and_what_has_come_is_there(asking: Asking) -> None:
    asking.rows()
    del asking.stored.texts[2]
    asking.stored.texts[9] = "new"
    asking.move(here(2))
    asking.move(here(9))
    assert sorted(asking.rows()) == [1, 3, 4, 5, 9]
    assert asking.last_asked == {2, 9}


def test_what_moves_elsewhere_is_not_read(asking: Asking) -> None:
    asking.rows()
    asking.move(Move(77, frozenset({"branch:2"}), ()))
    asking.rows()
    assert asking.stored.asked == [None]


def test_what_goes_elsewhere_leaves(asking: Asking) -> None:
    """Though nothing says that it was here, it is known to have been."""
    asking.rows()
    del asking.stored.texts[4]
    asking.move(Move(4, frozenset({"branch:2"}), ()))
    assert 4 not in asking.rows()


@pytest.mark.parametrize("moves", [[ANYTHING], [here(number) for number in range(1, MOST_MOVED + 2)]])
def test_all_is_read_when_anything_or_much_may_have_moved(asking: Asking, moves: list[Move]) -> None:
    asking.rows()
    for move in moves:
        asking.move(move)
    asking.rows()
    assert asking.stored.asked == [None, None]


def test_all_is_read_on_another_day(asking: Asking) -> None:
    asking.rows()
    asking.rows(TODAY + timedelta(days=1))
    assert asking.stored.asked == [None, None]


def test_up_to_where_all_are_there_is_told_of_what_was_not_just_read(asking: Asking) -> None:
    """With as many as fit, there may be more."""
    asking.rows()
    assert asking.whole_until is None
    asking.move(here(5))
    asking.rows()
    assert asking.whole_until == asking.reaches
    asking.rows(anew=True)
    assert (asking.whole_until, asking.stored.asked) == (None, [None, {5}, None])


def test_what_reaches_nowhere_is_not_kept(asking: Asking) -> None:
    asking.reaches = (timedelta(0), "uid")
    asking.rows()
    asking.rows()
    assert (asking.whole_until, asking.stored.asked) == (None, [None, None])


def test_far_more_than_fit_are_not_kept(asking: Asking) -> None:
    asking.rows(most=2)
    for number in (6, 7):
        asking.stored.texts[number] = "one more"
        asking.move(here(number))
        asking.rows(most=2)
    asking.rows(most=2)
    assert asking.stored.asked == [None, {6}, {7}, None]


def test_what_is_kept_is_bounded_and_the_oldest_goes_first(asking: Asking) -> None:
    asking.rows()
    one = asking.kept.size
    asking.kept = RowsKept(most_bytes=2 * one, fewest=1)
    for key in ("a", "b", "c", "c", "b"):
        asking.rows(key=key)
    assert asking.stored.asked == [None] * 4
    assert asking.kept.size == 2 * one
    asking.rows(key="a")
    assert asking.stored.asked == [None] * 5


def test_few_rows_are_not_kept(asking: Asking) -> None:
    asking.kept = RowsKept(fewest=6)
    asking.rows()
    asking.rows()
    assert (asking.stored.asked, asking.kept.size) == ([None, None], 0)


def test_rows_that_come_as_one_are_what_they_were(database: Database) -> None:
    values: dict[str, sa.ColumnElement[Any]] = {
        "number": sa.literal(2**53 + 1),
        "third": sa.literal(1 / 3, sa.Float()),
        "no_fraction": sa.literal(None, sa.Float()),
        "ics": sa.literal("“Tool”\r\n night\t\\\N{WHITE SMILING FACE} [1]"),
        "title": sa.literal("“Más”\r\n\t\\\N{WHITE SMILING FACE} [1]"),
        "empty": sa.null(),
        "no": sa.false(),
        "moment": sa.literal(TODAY, table_of(Event).c.created_at.type),
        "wall": sa.literal(datetime(2026, 11, 26, 19, 30, 0, 1), table_of(Event).c.start.type),
        "words": sa.literal({"es": {"title": "Más"}}, table_of(Event).c.translations.type),
    }
    one: sa.Select[Any] = sa.select(*(value.label(name) for name, value in values.items()))
    with database.reading() as session:
        usual = session.connection().execute(one).all()
        assert AtOnce(one).rows(session, {}) == [[*usual[0]]]


def test_each_of_many_rows_has_its_own_text(database: Database) -> None:
    texts = ["ß", "", "a\r\nb", "\N{WHITE SMILING FACE}" * 1000, '","', "é"]
    numbers = [sa.literal(each).label(name) for each, name in enumerate("abc")]
    really = sa.bindparam("really", type_=sa.Boolean())
    some: sa.CompoundSelect[Any] = sa.union_all(
        *(sa.select(*numbers, sa.literal(text).label("ics")).where(really) for text in texts)
    )
    with database.reading() as session:
        assert [row[3] for row in AtOnce(some).rows(session, {"really": True})] == texts
        assert AtOnce(some).rows(session, {"really": False}) == []


def test_a_feed_takes_one_row_from_sqlite_however_long_it_is(cast: Cast, ben: TestClient) -> None:
    """For each it would wait until a thread that computes gives way."""
    with counted(sa.Engine) as statements:
        assert ben.get("/branches/alder.ics").status_code == 200
    of_texts = [each for each in statements if "rendered" in each]
    assert of_texts
    assert all(each.startswith("SELECT json_group_array(") and "group_concat(" in each for each in of_texts)


@pytest.mark.parametrize("direction", [1, 0, -1])
def test_a_feed_without_room_for_all_goes_on_with_what_was_beyond_what_is_known(
    database: Database, publishing: Publishing, cast: Cast, monkeypatch: pytest.MonkeyPatch, direction: int
) -> None:
    """To come, all at one moment, and over: as events are put off until next year, those that come next are shown.

    Of thousands at one moment none was known to be there, so all were read again after each edit, twice.
    """
    kept, read = RowsKept(fewest=1), readings(monkeypatch)
    with database.writing() as session:
        for day in range(30):
            start = datetime(2026, 11, 24, 19) + direction * timedelta(days=day)
            draft = weekly(rrule="", start=start, end=start + timedelta(hours=2))
            store.add(session, draft, [cast.alder], publishing, NOW)
    with database.reading() as session:
        size = len(feeds.assemble(session, EVERYTHING, HEADING, NOW)[0]) // 30
        nearest_first = session.exec(select(Event.id).order_by("id" if direction else "uid")).all()
    monkeypatch.setattr(feeds, "LARGEST", 10 * size)
    monkeypatch.setattr(feeds, "MOST", 13)
    shown, marks = [], set()
    for number in nearest_first:
        with database.writing() as session:
            late = session.get_one(Event, number)
            late.start, late.end = late.start + timedelta(days=400), late.end + timedelta(days=400)
            derived.save(session, late, publishing, NOW)
        with database.reading() as session:
            body, mark = feeds.assemble(session, EVERYTHING, HEADING, NOW)
            known = feeds.finished(session, EVERYTHING, HEADING, NOW, known=kept)
        assert (known.body, known.mark) == (body, mark)
        shown.append(body.count(b"BEGIN:VEVENT"))
        marks.add(mark)
    again = len(read) - 31  # without those that know nothing
    assert min(shown[:20]) > 5 and len(marks) == 30 and 5 < again < 20


def test_a_feed_of_which_very_many_events_were_just_called_off_is_known_too(
    database: Database, publishing: Publishing, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them were read however far off they were, and so many were not kept: 0.5 s after each edit of one."""
    kept, read = RowsKept(fewest=1), readings(monkeypatch)
    with database.writing() as session:
        for day in range(-300, 300, 10):
            start = datetime(2026, 11, 24, 19) + timedelta(days=day)
            state = "cancelled" if abs(day) > 30 else "published"
            draft = weekly(rrule="", start=start, end=start + timedelta(hours=2), state=state)
            store.add(session, draft, [cast.alder], publishing, NOW)
    with database.reading() as session:
        size = len(feeds.assemble(session, EVERYTHING, HEADING, NOW)[0]) // 60
    monkeypatch.setattr(feeds, "LARGEST", 7 * size)
    monkeypatch.setattr(feeds, "MOST", 10)
    before = len(read)
    for number in (30, 1, 59, 31):
        with database.writing() as session:
            derived.save(session, session.get_one(Event, number), publishing, NOW)
        with database.reading() as session:
            known = feeds.finished(session, EVERYTHING, HEADING, NOW, known=kept)
    with database.reading() as session:
        assert known.body == feeds.assemble(session, EVERYTHING, HEADING, NOW)[0]
    assert len(read) - before == 2  # the first, and that which knows nothing
