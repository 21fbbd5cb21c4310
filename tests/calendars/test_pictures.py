"""Pictures of events as rows: decoded by the worker once, whatever happens to it, and told to calendars when ready."""

import threading
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from sqlmodel import Session, select
from starlette.testclient import TestClient

from events.calendars import changes, derived, pictures, store, vevents
from events.calendars.content import Publishing
from events.calendars.drafts import OverrideDraft
from events.calendars.models import Event, Picture, PictureState
from events.calendars.pictures import KEEP_UNUSED, LEASE, Work
from events.config import Settings
from events.db import Database
from events.errors import NotFound, Unreadable, say
from events.language import language
from events.people import history
from events.pictures import Prepared
from events.sandbox import Crashed, unpacked
from events.worker import Worker
from tests.calendars.test_feeds import Subscriber, weekly
from tests.conftest import NOW, Cast
from tests.test_pictures import halves, saved

PREPARED = Prepared(b"\xff\xd8large", b"\xff\xd8small", 1600, 1200)
LATER = NOW + timedelta(hours=1)
DAY = timedelta(days=1)
NOWHERE_ELSE = sa.select(sa.literal("")).where(sa.false())
once = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # its SQL is covered by others


@pytest.fixture
def tool_night(database: Database, cast: Cast, publishing: Publishing) -> int:
    with database.writing() as session:
        return store.add(session, weekly(), [cast.alder], publishing, NOW).id or 0


def give(
    database: Database, cast: Cast, publishing: Publishing, number: int, name: str = "one", at: datetime = NOW
) -> None:
    """Ana sends a picture for the event."""
    with database.writing() as session:
        event = session.get_one(Event, number)
        pictures.add(session, event.branch_id, name, b"as it was sent", at)
        with changes.recorded(session, event, "picture", cast.ana, at):
            pictures.put_on(session, event, name, "Three people at a table.", publishing, at)


def claimed(database: Database, at: datetime = NOW) -> Work | None:
    with database.writing() as session:
        return pictures.claim(session, at)


def prepare(
    database: Database, publishing: Publishing, at: datetime = NOW, answer: Prepared = PREPARED
) -> None:
    work = claimed(database, at)
    assert work is not None
    pictures.work_on(database, work, publishing, at, lambda _: answer)


def row(database: Database, name: str = "one") -> Picture:
    with database.reading() as session:
        return session.get_one(Picture, name)


def images(subscriber: Subscriber) -> list[str]:
    return [str(event["IMAGE"]) for event in subscriber.events() if "IMAGE" in event]


# --- The way of a picture


def test_a_picture_is_decoded_by_the_worker_and_what_was_sent_is_forgotten(
    database: Database, settings: Settings, publishing: Publishing, cast: Cast, tool_night: int
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        pictures.add(session, event.branch_id, "one", saved(halves((600, 400)), "PNG"), NOW)
        pictures.put_on(session, event, "one", "Red and blue.", publishing, NOW)
    worker = Worker(settings, publishing)
    assert (worker.prepare_pictures(), worker.prepare_pictures()) == (1, 0)
    worker.database.dispose()
    picture = row(database)
    assert (picture.state, picture.width, picture.height) == (PictureState.READY, 600, 400)
    assert picture.original is None and picture.run_at is None and picture.leased_until is None
    with database.reading() as session:
        large, small = (pictures.data(session, "one", small=small) for small in (False, True))
    assert large.startswith(b"\xff\xd8") and small.startswith(b"\xff\xd8") and len(small) < len(large)


@once
def test_calendars_hear_of_a_picture_once_it_is_ready_and_not_before(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int, ben: TestClient
) -> None:
    subscriber = Subscriber(ben, "/branches/alder.ics")
    [before] = subscriber.versions().values()
    give(database, cast, publishing, tool_night, at=LATER)
    assert images(subscriber) == [] and list(subscriber.versions().values()) == [before]
    prepare(database, publishing, LATER)
    assert images(subscriber) == [f"{publishing.base_url}/pictures/one.jpg"]
    line = "IMAGE;VALUE=URI;DISPLAY=BADGE;FMTTYPE=image/jpeg:"
    assert line in ben.get("/branches/alder.ics").text.replace("\r\n ", "")
    [after] = subscriber.versions().values()
    assert after[0] == before[0] + 1 and after[1] > before[1]


@once
def test_every_date_of_a_series_shows_the_picture_and_an_export_does_not(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int, ben: TestClient
) -> None:
    give(database, cast, publishing, tool_night)
    prepare(database, publishing)
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        one_date = OverrideDraft(original_start=datetime(2026, 12, 1, 19), title="Tool night outside")
        store.change_date(session, event, one_date, publishing, LATER)
        exported = vevents.entries_for_export(derived.tell(session, event), publishing, language("en"))
    assert len(images(Subscriber(ben, "/events.ics"))) == 2
    assert [entry.image_url for entry in exported] == ["", ""]


@once
def test_other_words_for_the_same_picture_move_no_calendar_and_leave_a_version(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int, ben: TestClient
) -> None:
    give(database, cast, publishing, tool_night)
    prepare(database, publishing)
    before = Subscriber(ben, "/events.ics").versions()
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        with changes.recorded(session, event, "picture", cast.ana, LATER):
            pictures.put_on(session, event, "one", "Four people.", publishing, LATER)
        newest = history.versions(session, changes.subject(event))[0]
    assert newest.snapshot["picture"] == ["one", "Four people."]
    assert Subscriber(ben, "/events.ics").versions() == before


@once
def test_taking_it_away_moves_the_event_and_restoring_a_version_brings_it_back(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int, ben: TestClient
) -> None:
    give(database, cast, publishing, tool_night)
    prepare(database, publishing)
    subscriber = Subscriber(ben, "/events.ics")
    [(before, _)] = subscriber.versions().values()
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        with changes.recorded(session, event, "picture-removed", cast.ana, LATER):
            pictures.put_on(session, event, None, "", publishing, LATER)
    [(after, _)] = subscriber.versions().values()
    assert images(subscriber) == [] and after == before + 1
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        [_, had] = history.versions(session, changes.subject(event), most=2)
        changes.restore(session, event, had, publishing, LATER + DAY)
    assert len(images(subscriber)) == 1


@once
def test_a_picture_that_several_events_have_is_told_with_all_of_them(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int, ben: TestClient
) -> None:
    give(database, cast, publishing, tool_night)
    with database.writing() as session:
        other = store.add(session, weekly(title="Another"), [cast.birch], publishing, NOW)
        pictures.put_on(session, other, "one", "The same.", publishing, NOW)
    prepare(database, publishing)
    assert len(images(Subscriber(ben, "/events.ics"))) == 2


@once
def test_the_same_picture_sent_twice_is_one(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int
) -> None:
    give(database, cast, publishing, tool_night)
    give(database, cast, publishing, tool_night, at=LATER)
    with database.reading() as session:
        assert session.connection().execute(sa.select(sa.func.count()).select_from(Picture)).scalar() == 1
        event = session.get_one(Event, tool_night)
        actions = [one.action for one in history.versions(session, changes.subject(event))]
    assert actions == ["picture", "found"]


# --- What goes wrong


@once
def test_what_cannot_be_decoded_is_refused_with_the_sentence_that_says_why(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int, ben: TestClient
) -> None:
    give(database, cast, publishing, tool_night)
    work = claimed(database)
    assert work is not None

    def refuse(_: bytes) -> Prepared:
        raise Unreadable(say("It is torn."))

    pictures.work_on(database, work, publishing, NOW, refuse)
    picture = row(database)
    assert picture.state == PictureState.REFUSED and str(unpacked(picture.fault)) == "It is torn."
    assert picture.original is None and claimed(database, NOW + DAY) is None
    assert images(Subscriber(ben, "/events.ics")) == []
    with database.reading() as session, pytest.raises(NotFound):
        pictures.data(session, "one")


@once
def test_a_failure_of_ours_is_logged_and_said(
    database: Database,
    publishing: Publishing,
    cast: Cast,
    tool_night: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    give(database, cast, publishing, tool_night)
    work = claimed(database)
    assert work is not None

    def fail(_: bytes) -> Prepared:
        raise Crashed("segmentation fault")

    pictures.work_on(database, work, publishing, NOW, fail)
    assert "segmentation fault" in caplog.text
    assert "could not be read" in str(unpacked(row(database).fault))


@once
def test_a_machine_that_cannot_start_a_process_now_tries_again_later(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int, caplog: pytest.LogCaptureFixture
) -> None:
    give(database, cast, publishing, tool_night)
    work = claimed(database)
    assert work is not None

    def fail(_: bytes) -> Prepared:
        raise BlockingIOError("no more processes")

    pictures.work_on(database, work, publishing, NOW, fail)
    assert row(database).state == PictureState.NEW and "no more processes" in caplog.text
    assert claimed(database, NOW + LEASE + DAY) is not None


def test_after_a_crash_between_claim_and_mark_the_picture_is_claimed_again(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int
) -> None:
    give(database, cast, publishing, tool_night)
    died = claimed(database)
    assert died is not None and claimed(database, NOW + LEASE) is None
    after = NOW + LEASE + timedelta(seconds=1)
    prepare(database, publishing, after)
    pictures.work_on(
        database, died, publishing, after, lambda _: Prepared(b"late", b"late", 1, 1)
    )  # it was only slow
    assert row(database).large == PREPARED.large


def test_two_workers_decode_each_picture_once(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int
) -> None:
    names = [f"picture-{number}" for number in range(12)]
    with database.writing() as session:
        for name in names:
            pictures.add(session, cast.alder.id or 0, name, name.encode(), NOW)
    decoded: list[bytes] = []

    def note(data: bytes) -> Prepared:
        decoded.append(data)
        return PREPARED

    def work() -> None:
        while found := claimed(database):
            pictures.work_on(database, found, publishing, NOW, note)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(decoded) == sorted(name.encode() for name in names)


@once
def test_a_look_takes_no_bytes(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int
) -> None:
    """A picture is megabytes: neither telling an event nor asking how its picture fares may fetch them."""
    give(database, cast, publishing, tool_night)
    prepare(database, publishing)
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement.replace('"', ""))

    sa.event.listen(database.engine, "before_cursor_execute", note)
    with database.reading() as session:
        told = derived.tell(session, session.get_one(Event, tool_night))
        assert told.picture is not None and told.picture.width == 1600
        assert pictures.one(session, "one") is not None
    sa.event.remove(database.engine, "before_cursor_execute", note)
    assert any("picture" in statement for statement in asked)
    assert not any(f"picture.{name}" in one for one in asked for name in ("original", "large", "small"))


# --- What nobody uses


def kept(session: Session) -> set[str]:
    return set(session.exec(select(Picture.id)))


def test_what_no_event_and_no_version_has_goes_after_thirty_days(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int
) -> None:
    with database.writing() as session:
        pictures.add(session, cast.alder.id or 0, "unused", b"", NOW)
        pictures.add(session, cast.alder.id or 0, "young", b"", NOW + DAY)
    give(database, cast, publishing, tool_night, "used")
    with database.writing() as session:
        assert pictures.forget_unused(session, NOW + KEEP_UNUSED, NOWHERE_ELSE) == 0
        assert pictures.forget_unused(session, NOW + KEEP_UNUSED + timedelta(hours=1), NOWHERE_ELSE) == 1
        assert kept(session) == {"young", "used"}


def test_what_a_version_has_stays_so_that_it_can_be_had_back_but_nothing_that_was_refused(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int
) -> None:
    for name in ("replaced", "torn", "newest"):
        give(database, cast, publishing, tool_night, name)
    with database.writing() as session:
        pictures.mark_ready(session, "replaced", PREPARED, publishing, NOW)
        pictures.mark_refused(session, "torn", Unreadable(say("It is torn.")))
        assert pictures.forget_unused(session, NOW + KEEP_UNUSED + DAY, NOWHERE_ELSE) == 1
        assert kept(session) == {"replaced", "newest"}


@once
def test_a_removed_event_keeps_its_picture_for_thirty_days(
    database: Database, publishing: Publishing, cast: Cast, tool_night: int
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        pictures.add(session, event.branch_id, "one", b"", NOW)
        pictures.put_on(session, event, "one", "Words.", publishing, NOW)
        event.delete(NOW + KEEP_UNUSED)
    with database.writing() as session:
        assert pictures.forget_unused(session, NOW + 2 * KEEP_UNUSED - DAY, NOWHERE_ELSE) == 0
        assert pictures.forget_unused(session, NOW + 2 * KEEP_UNUSED + DAY, NOWHERE_ELSE) == 1
