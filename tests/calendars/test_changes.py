"""Each change leaves a version, and any of them can be had back."""

from datetime import datetime, timedelta

from sqlmodel import Session

from events.calendars import changes, store
from events.calendars.content import Publishing
from events.calendars.derived import tell
from events.calendars.drafts import OverrideDraft
from events.calendars.models import Event
from events.db import Database
from events.people import history
from tests.calendars.test_feeds import weekly
from tests.conftest import NOW, Cast

LATER = NOW + timedelta(hours=1)
TUESDAY = datetime(2026, 12, 1, 19)


def posted(session: Session, cast: Cast, publishing: Publishing) -> Event:
    event = store.add(session, weekly(), [cast.alder], publishing, NOW)
    changes.added(session, event, cast.ana, NOW)
    return event


def actions(session: Session, event: Event) -> list[str]:
    return [version.action for version in reversed(history.versions(session, changes.subject(event)))]


def test_a_change_is_a_version_with_who_and_when_and_no_change_is_none(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        event = posted(session, cast, publishing)
        with changes.recorded(session, event, "cancelled", cast.dee, LATER):
            event.cancel("Snow.", LATER)
        with changes.recorded(session, event, "cancelled", cast.dee, LATER):
            event.cancel("Snow.", LATER)
        assert actions(session, event) == ["added", "cancelled"]
        newest = history.versions(session, changes.subject(event))[0]
        assert (newest.person_id, newest.made_at) == (cast.dee.id, LATER)
        assert newest.snapshot["event"]["reason"] == "Snow."


def test_what_came_from_elsewhere_is_kept_before_its_first_change_here(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        event = store.add(session, weekly(), [cast.alder], publishing, NOW)
        with changes.recorded(session, event, "changed", cast.ana, LATER):
            event.title = "Another"
        assert actions(session, event) == ["found", "changed"]


def test_a_restored_series_has_its_changed_dates_its_hosts_and_its_state_again(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        event = posted(session, cast, publishing)
        moved = OverrideDraft(
            original_start=TUESDAY,
            start=TUESDAY + timedelta(days=1),
            end=TUESDAY + timedelta(days=1, hours=2),
        )
        with changes.recorded(session, event, "date", cast.ana, LATER):
            store.change_date(session, event, moved, publishing, LATER)
        with changes.recorded(session, event, "changed", cast.ana, LATER):
            draft = store.draft_of(tell(session, event)).model_copy(
                update={"title": "Other", "rrule": "", "overrides": ()}
            )
            store.revise(session, event, draft, [cast.birch], publishing, LATER)
        with changes.recorded(session, event, "removed", cast.ana, LATER):
            event.delete(LATER)
        version = history.version(session, changes.subject(event), 2)
        with changes.recorded(session, event, "restored", cast.ana, LATER):
            changes.restore(session, event, version, publishing, LATER)
        told = tell(session, event)
        assert actions(session, event) == ["added", "date", "changed", "removed", "restored"]
        assert (event.title, event.deleted_at, event.is_series) == ("Tool night", None, True)
        assert [host.slug for host in told.hosts] == ["alder"]
        assert [override.start for override in told.overrides] == [moved.start]
        assert changes.snapshot(session, event) == version.snapshot
