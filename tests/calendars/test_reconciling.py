"""Entries of another calendar and the events that came of them: decided and carried out without any network."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from sqlmodel import Session, col, select

from events.calendars import derived, imports, reconciling, store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft, OverrideDraft
from events.calendars.ics_events import ImportedEvent
from events.calendars.models import Event
from events.calendars.reconciling import ImportReport, Reconciler
from events.db import Database
from events.errors import Refusal, say
from tests.calendars.test_feeds import weekly
from tests.conftest import NOW, Cast, counted

FEED = "feed:one"


def entry(uid: str, **more: object) -> ImportedEvent:
    related = str(more.pop("related", ""))
    return ImportedEvent(
        uid=uid, sequence=0, line=7, draft=weekly(**more), branch_slugs=(), url="", notes=(), related=related
    )


class Origin:
    """A calendar that alder follows, looked at an hour later each time."""

    def __init__(self, database: Database, publishing: Publishing, source: str | None = FEED) -> None:
        self.database, self.publishing, self.source = database, publishing, source
        self.now = NOW

    def says(self, *entries: ImportedEvent, branch: str = "alder") -> ImportReport:
        self.now += timedelta(hours=1)
        with self.database.reading() as session:
            owners = imports.branches_by_slug(session)
        reconciler = Reconciler(owners, self.publishing, self.now, branch=branch, source=self.source)
        with self.database.writing() as session:
            for one in entries:
                reconciler.take(session, one)
            if self.source:
                for event_id in reconciler.vanished(session):
                    reconciler.cancel_vanished(session, event_id)
        return reconciler.report

    def change(self, session: Session, uid: str, **more: object) -> None:
        """As a person here does."""
        event = found(session, uid)
        told = derived.tell(session, event)
        draft = EventDraft.model_validate({**dict(store.draft_of(told)), **more})
        store.revise(session, event, draft, told.hosts, self.publishing, self.now)


@pytest.fixture
def origin(database: Database, publishing: Publishing, cast: Cast) -> Origin:
    return Origin(database, publishing)


def found(session: Session, uid: str, source: str = FEED) -> Event:
    return session.exec(select(Event).where(col(Event.source_uid) == uid, col(Event.source) == source)).one()


def told(report: ImportReport) -> Sequence[int]:
    return report.added, report.moved, report.changed, report.unchanged, report.vanished


def test_each_change_there_arrives_also_the_second_one(origin: Origin) -> None:
    assert told(origin.says(entry("a"))) == (1, 0, 0, 0, 0)
    assert told(origin.says(entry("a"))) == (0, 0, 0, 1, 0)
    for title in ("Saw night", "Glue night"):
        assert told(origin.says(entry("a", title=title))) == (0, 0, 1, 0, 0)
        with origin.database.reading() as session:
            assert found(session, "a").title == title
    assert told(origin.says(entry("a", title="Glue night", end=datetime(2026, 11, 24, 22)))) == (
        0,
        1,
        0,
        0,
        0,
    )


def test_what_vanished_is_cancelled_unless_it_is_over_or_was_removed_here(origin: Origin) -> None:
    past = {"rrule": "", "start": datetime(2026, 11, 10, 19), "end": datetime(2026, 11, 10, 21)}
    origin.says(entry("stays"), entry("goes"), entry("over", **past), entry("removed"))
    with origin.database.writing() as session:
        event = found(session, "removed")
        event.delete(origin.now)
        derived.save(session, event, origin.publishing, origin.now)
    assert told(origin.says(entry("stays"))) == (0, 0, 0, 1, 1)
    assert told(origin.says(entry("stays"))) == (0, 0, 0, 1, 0), "and only once"
    with origin.database.reading() as session:
        states = {event.source_uid: event.state for event in session.exec(select(Event))}
        assert states == {
            "stays": "published",
            "goes": "cancelled",
            "over": "published",
            "removed": "published",
        }
    assert told(origin.says(entry("stays"), entry("goes"))) == (0, 0, 1, 1, 0)
    with origin.database.reading() as session:
        event = found(session, "goes")
        assert (event.state, event.cancelled_reason, event.cancelled_at) == ("published", "", None)


def test_what_was_cancelled_here_stays_so_although_it_is_there(origin: Origin) -> None:
    origin.says(entry("a"))
    with origin.database.writing() as session:
        origin.change(session, "a", state="cancelled", reason="Ill.")
    origin.says(entry("a", title="Saw night"))
    with origin.database.reading() as session:
        event = found(session, "a")
        assert (event.state, event.cancelled_reason, event.title) == ("cancelled", "Ill.", "Saw night")


def test_what_was_removed_here_neither_comes_back_nor_changes(origin: Origin) -> None:
    origin.says(entry("a"))
    with origin.database.writing() as session:
        event = found(session, "a")
        event.delete(origin.now)
        derived.save(session, event, origin.publishing, origin.now)
    assert told(origin.says(entry("a", title="Saw night"))) == (0, 0, 0, 1, 0)
    with origin.database.reading() as session:
        event = found(session, "a")
        assert event.deleted_at is not None and event.title == "Tool night"


def test_a_branch_that_has_joined_here_stays(origin: Origin, cast: Cast) -> None:
    origin.says(entry("a"))
    with origin.database.writing() as session:
        event = found(session, "a")
        store.revise(session, event, weekly(), [cast.alder, cast.birch], origin.publishing, origin.now)
    for title in ("Saw night", "Glue night"):
        origin.says(entry("a", title=title))
        with origin.database.reading() as session:
            event = found(session, "a")
            hosts = [host.slug for host in derived.tell(session, event).hosts]
            assert (hosts, event.title) == (["alder", "birch"], title)


def test_what_cannot_be_had_together_is_refused_and_stays_as_it_is(origin: Origin) -> None:
    night = OverrideDraft(original_start=datetime(2027, 3, 9, 19), start=datetime(2027, 3, 14, 2, 30),
                          end=datetime(2027, 3, 14, 4))  # fmt: skip
    origin.says(entry("a", timezone="Europe/Madrid"))
    with origin.database.writing() as session:
        origin.change(session, "a", overrides=(night,))
    report = origin.says(entry("a", timezone="America/Chicago"))  # where that hour is left out by the clocks
    [refusal] = report.refusals
    assert refusal.row == 7 and told(report) == (0, 0, 0, 0, 0)
    with origin.database.reading() as session:
        event = found(session, "a")
        assert (event.state, event.timezone) == ("published", "Europe/Madrid")


def test_an_entry_that_could_not_be_read_is_counted_and_nothing_else(origin: Origin) -> None:
    with origin.database.reading() as session:
        reconciler = Reconciler(imports.branches_by_slug(session), origin.publishing, NOW, branch="alder")
        reconciler.take(session, Refusal(3, say("No.")))
        reconciler.take(session, entry("a"), write=False)
        assert session.exec(select(Event)).all() == []
    assert (reconciler.report.total, len(reconciler.report.refusals)) == (1, 1)


def test_the_same_uid_from_elsewhere_is_another_event(origin: Origin) -> None:
    other = Origin(origin.database, origin.publishing, "feed:two")
    origin.says(entry("a"))
    other.says(entry("a", title="Saw night"))
    other.says()
    with origin.database.reading() as session:
        one, two = found(session, "a"), found(session, "a", "feed:two")
        assert one.uid != two.uid
        assert (one.title, one.state, two.title, two.state) == (
            "Tool night",
            "published",
            "Saw night",
            "cancelled",
        )


def test_what_is_brought_in_late_says_so(
    origin: Origin, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise whoever was told in the meantime what is new would never hear of it."""
    passed = 0.0
    monkeypatch.setattr(reconciling, "monotonic", lambda: passed)
    with database.reading() as session:
        owners = imports.branches_by_slug(session)
    reconciler = Reconciler(owners, origin.publishing, NOW, branch="alder", source=FEED)
    for uid in ("early", "late"):
        with database.writing() as session:
            reconciler.take(session, entry(uid))
        passed += 90
    with database.reading() as session:
        late = NOW + timedelta(seconds=90)
        assert found(session, "early").published_at == NOW and found(session, "late").published_at == late


def test_a_uid_of_our_form_is_kept_unless_it_stands_for_another_event(origin: Origin) -> None:
    ours, theirs = "a" * 32, "abc@example.org"
    file = Origin(origin.database, origin.publishing, None)
    file.says(entry(ours), entry(theirs))
    origin.says(entry(ours))
    with origin.database.reading() as session:
        uids = {
            event.source_uid: event.uid
            for event in session.exec(select(Event).where(col(Event.source) != FEED))
        }
        assert uids[ours] == ours and uids[theirs] != theirs
        assert found(session, ours).uid not in (ours, uids[theirs])


def test_parts_of_a_series_that_was_taken_apart_are_related_to_its_first_event(origin: Origin) -> None:
    once = {"rrule": ""}
    origin.says(
        entry("odd", **once), entry("odd#2", related="odd", **once), entry("lost", related="nowhere", **once)
    )
    with origin.database.reading() as session:
        assert found(session, "odd#2").related_uid == found(session, "odd").uid
        assert found(session, "odd").related_uid == found(session, "lost").related_uid == ""


@pytest.mark.parametrize("state", ["postponed", "cancelled"])
def test_what_was_called_off_here_and_vanishes_there_stays_as_it_was_said_here(
    origin: Origin, state: str
) -> None:
    origin.says(entry("a"), entry("b"))
    with origin.database.writing() as session:
        origin.change(session, "a", state=state, reason="The hall is flooded.")
    assert told(origin.says(entry("b"))) == (0, 0, 0, 1, 0)
    with origin.database.reading() as session:
        event = found(session, "a")
        assert (event.state, event.cancelled_reason) == (state, "The hall is flooded.")


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_answers_go_first_however_many_have_vanished_and_nobody_reads_what_those_said(
    origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five thousand were read whole at once after each look, and nothing was answered for a third of a second."""
    origin.says(*(entry(f"{number}") for number in range(5)))
    gave_way = list[bool]()
    monkeypatch.setattr(reconciling, "AT_ONCE", 2)
    monkeypatch.setattr(reconciling, "let_answers_go_first", lambda: gave_way.append(True))
    reconciler = Reconciler({}, origin.publishing, origin.now, branch="alder", source=FEED)
    with origin.database.reading() as session, counted(origin.database.engine) as statements:
        gone = reconciler.vanished(session)
    asked = [one for one in statements if one.startswith("SELECT")]
    assert (len(gone), len(gave_way), len(asked)) == (5, 3, 4)
    assert not [one for one in asked if "event.description" in one]
    with origin.database.writing() as session:
        reconciler.cancel_vanished(session, gone[0])
    assert len(gave_way) == 4
