"""Who changed what, an earlier version beside what is now, and having it back."""

import pytest
from sqlmodel import col, select
from starlette.testclient import TestClient

from events.branches.models import Branch
from events.calendars import changes, store
from events.calendars.content import Publishing
from events.calendars.derived import tell
from events.calendars.models import State
from events.db import Database
from events.people import history, permissions
from events.people.models import Person, Role
from tests.conftest import Cast
from tests.web.test_changing import FIRST, HOUR, NOW, WEEK, Posted, fields

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def series(database: Database, publishing: Publishing, cast: Cast) -> Posted:
    return Posted(database, publishing, cast)


def changed(series: Posted, publishing: Publishing, person: Person, **more: object) -> None:
    """A change of the whole by this person, as the event form makes it."""
    with series.database.writing() as session:
        event = series.event(session)
        draft = store.draft_of(tell(session, event)).model_copy(update=more)
        with changes.recorded(session, event, "changed", person, NOW):
            store.revise(session, event, draft, tell(session, event).hosts, publishing, NOW)


def test_the_history_says_who_did_what_when_and_what_it_was_about(
    ana: TestClient, series: Posted, publishing: Publishing, cast: Cast
) -> None:
    changed(series, publishing, cast.dee, title="Saw night", cost="5 €")
    ana.post(series.date(1), data={"cancelled": "yes", "reason": "Snow."})
    page = ana.get(f"{series.address}/history").text
    assert page.index("One date changed") < page.index("<strong>Changed</strong>") < page.index("Posted")
    assert "Changed: title and cost" in page and "Changed: single dates" in page
    assert "dee@example.org" in page and "ana@example.org" in page
    assert page.count("This is how it is now") == 1
    with series.database.writing() as session:
        session.delete(session.get_one(Person, cast.dee.id))
    assert "somebody who has left" in ana.get(f"{series.address}/history").text


def test_a_version_shows_only_what_differs_and_what_calendars_will_show(
    ana: TestClient, series: Posted, publishing: Publishing, cast: Cast
) -> None:
    changed(series, publishing, cast.ana, title="Saw night", start=FIRST - HOUR, end=FIRST + HOUR)
    ana.post(
        f"{series.address}/dates/{FIRST + WEEK - HOUR:%Y-%m-%dT%H:%M}",
        data={"cancelled": "yes", "reason": "Snow."},
    )
    page = ana.get(f"{series.address}/history/1").text.replace("\u202f", " ")
    assert "<bdi>Tool night</bdi>" in page and "<bdi>Saw night</bdi>" in page and "Snow." in page
    assert "Cost" not in page and "Topics" not in page
    assert "The title becomes “Tool night”." in page and "6:00 PM becomes 7:00 PM." in page
    assert series.actions == ["added", "changed", "date"], "looking changes nothing"


def test_a_restored_version_is_a_change_like_any_other_and_one_that_never_was_is_not_found(
    ana: TestClient, ben: TestClient, series: Posted, publishing: Publishing, cast: Cast
) -> None:
    ana.post(series.date(1), data={"cancelled": "yes", "reason": "Snow."})
    changed(series, publishing, cast.ana, title="Saw night", rrule="", overrides=(), exdates=())
    for _ in range(2):
        assert ana.post(f"{series.address}/history/2/restoration").status_code == 303
    assert series.actions == ["added", "date", "changed", "restored"]
    assert series.changed() == {FIRST + WEEK: (True, "Snow.")}
    assert "Tool night" in ben.get(f"/events/{series.id}").text
    assert "This is how it is now, too." in ana.get(f"{series.address}/history/2").text
    ana.post(f"{series.address}/history/3/restoration")
    assert "Saw night" in ben.get(f"/events/{series.id}").text
    for number in ("9", "0", "x", "-1", "99999999999"):
        assert ana.get(f"{series.address}/history/{number}").status_code == 404, number
        assert ana.post(f"{series.address}/history/{number}/restoration").status_code == 404, number


def test_a_version_that_would_be_on_twice_with_a_later_series_says_so(
    ana: TestClient, series: Posted
) -> None:
    address = f"{series.date(2)}/following"
    form = fields(ana.get(address).text) | {
        "attendance": "in-person",
        "repeats": "weekly",
        "title": "Saw night",
    }
    later = ana.post(address, data=form).headers["location"].partition("?")[0]
    page = ana.get(f"{series.address}/history/1").text
    assert "something is on twice" in page and f'href="{later}"' in page
    ana.post(f"{later}/removal")
    assert "something is on twice" not in ana.get(f"{series.address}/history/1").text


def test_what_cannot_be_restored_says_why_and_stays(
    ana: TestClient, series: Posted, publishing: Publishing, cast: Cast
) -> None:
    changed(series, publishing, cast.ana, title="Saw night")
    with series.database.writing() as session:
        first = history.version(session, f"event:{series.id}", 1)
        said = {**first.snapshot["event"], "end": first.snapshot["event"]["start"]}
        first.snapshot = {**first.snapshot, "event": said}
    page = ana.get(f"{series.address}/history/1").text
    assert "The end must be after the start." in page and "Restore this version" not in page
    answer = ana.post(f"{series.address}/history/1/restoration")
    assert answer.status_code == 409 and "The end must be after the start." in answer.text
    assert series.actions == ["added", "changed"]


def test_a_version_does_not_bring_an_event_where_its_editor_may_not_post(
    cy: TestClient, series: Posted, publishing: Publishing, cast: Cast
) -> None:
    with series.database.writing() as session:
        event = series.event(session)
        birch = session.exec(select(Branch).where(col(Branch.slug) == "birch")).one()
        draft = store.draft_of(tell(session, event))
        with changes.recorded(session, event, "changed", cast.dee, NOW):
            store.revise(session, event, draft, [birch], publishing, NOW)
    assert "Club Abedul" in cy.get(f"{series.address}/history/1").text
    answer = cy.post(f"{series.address}/history/1/restoration")
    assert answer.status_code == 409 and "no organizer of the branch" in answer.text


def test_whoever_needs_approval_does_not_publish_by_restoring(
    ana: TestClient, series: Posted, publishing: Publishing, cast: Cast
) -> None:
    changed(series, publishing, cast.dee, state="draft")
    with series.database.writing() as session:
        permissions.invite(session, cast.ana, cast.alder, Role.ORGANIZER, trusted=False)
    answer = ana.post(f"{series.address}/history/1/restoration")
    assert answer.status_code == 409 and "needs approval" in answer.text
    assert series.state == State.DRAFT


def test_a_version_does_not_publish_at_a_branch_where_its_editor_needs_approval_by_now(
    ana: TestClient, series: Posted, publishing: Publishing, cast: Cast
) -> None:
    with series.database.writing() as session:
        event = series.event(session)
        birch = session.exec(select(Branch).where(col(Branch.slug) == "birch")).one()
        permissions.invite(session, cast.ana, birch, Role.ORGANIZER, trusted=False)
        for hosts in ([birch], [cast.alder]):
            draft = store.draft_of(tell(session, event))
            with changes.recorded(session, event, "changed", cast.dee, NOW):
                store.revise(session, event, draft, hosts, publishing, NOW)
    assert ana.post(f"{series.address}/history/1/restoration").status_code == 303, "it is hers already"
    answer = ana.post(f"{series.address}/history/2/restoration")
    assert answer.status_code == 409 and "needs approval" in answer.text


def test_removed_events_are_listed_and_come_back(ana: TestClient, cy: TestClient, series: Posted) -> None:
    ana.post(f"{series.address}/removal")
    page = ana.get("/organize/removed").text
    assert "Tool night" in page and "Bring it back" in page
    assert "Tool night" not in cy.get("/organize/removed").text
    ana.post(f"{series.address}/return")
    assert "Nothing was removed lately" in ana.get("/organize/removed").text
    assert ana.get(series.address).status_code == 200


def test_pages_of_versions_speak_spanish_and_know_all_day_events(
    ana: TestClient, database: Database, publishing: Publishing, cast: Cast
) -> None:
    midnight = FIRST.replace(hour=0)
    camp = Posted(database, publishing, cast, start=midnight, end=midnight + 24 * HOUR, all_day=True)
    online = {"venue": None, "attendance": "online", "online_url": "https://example.org/x"}
    changed(camp, publishing, cast.ana, exdates=(midnight + WEEK,), **online)
    for prefix in ("", "/es"):
        page = ana.get(f"{prefix}{camp.address}/history/1").text
        assert "https://example.org/x" in page, prefix
    assert "is left out" in ana.get(f"{camp.address}/history/1").text
