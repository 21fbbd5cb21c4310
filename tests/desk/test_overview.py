"""What a desk lists, on both engines."""

from datetime import datetime, timedelta

from sqlmodel import Session

from events.branches.models import Branch
from events.calendars import store
from events.calendars.content import Publishing
from events.db import Database
from events.desk import branch_changes, overview
from events.desk.overview import Kind
from events.people.models import Person
from tests.calendars.test_feeds import weekly
from tests.conftest import NOW, Cast


def test_each_kind_of_event_is_listed_in_its_order_for_those_whose_it_is(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    def titles(session: Session, person: Person, kind: Kind, branch: Branch | None = None) -> list[str]:
        found, more = overview.events(session, person, kind, NOW, branch=branch)
        assert not more
        return [event.title for event, _ in found]

    with database.writing() as session:
        for days, title in (
            (9, "later"),
            (2, "next"),
            (-9, "long over"),
            (-2, "just over"),
            (-3, "postponed"),
        ):
            at = datetime(2026, 11, 23, 19) + timedelta(days=days)
            state = "postponed" if title == "postponed" else "published"
            once = weekly(title=title, start=at, end=at + timedelta(hours=1), rrule="", state=state)
            store.add(session, once, [cast.alder], publishing, NOW)
        for title in ("series b", "series a"):
            store.add(session, weekly(title=title), [cast.alder], publishing, NOW)
        for title in ("draft 1", "draft 2"):
            store.add(session, weekly(title=title, state="draft"), [cast.alder], publishing, NOW)
        store.add(session, weekly(title="waits", state="submitted"), [cast.alder], publishing, NOW)
        for person in (cast.ana, cast.dee):
            assert titles(session, person, Kind.DRAFTS) == ["draft 2", "draft 1"]
            assert titles(session, person, Kind.COMING) == ["postponed", "next", "later"]
            assert titles(session, person, Kind.SERIES) == ["series a", "series b"]
            assert titles(session, person, Kind.OVER) == ["just over", "long over"]
        assert titles(session, cast.dee, Kind.SERIES, cast.birch) == []
        assert [titles(session, cast.cy, kind) for kind in Kind] == [[]] * 4


def test_branches_are_listed_with_those_one_looks_after(database: Database, cast: Cast) -> None:
    with database.reading() as session:
        for person, names, administered in (
            (cast.ana, ["Alder Club"], set()),
            (cast.dee, ["Alder Club", "Club Abedul"], {cast.alder.id, cast.birch.id}),
        ):
            found, _ = overview.branches(session, person)
            assert [branch.name for branch in found] == names
            assert overview.administered(session, person, found) == administered


def test_a_name_as_long_as_a_book_finds_nothing_and_breaks_nothing(database: Database, cast: Cast) -> None:
    with database.reading() as session:
        for named in ("a" * 60_000, "zz " * 1200):
            assert overview.branches(session, cast.dee, named=named) == ([], False)
            assert list(branch_changes.listed(session, cast.dee, named, 1)[0]) == []
