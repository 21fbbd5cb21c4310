"""The event form: places, co-hosts, forms sent twice, approval, and what a preview shows."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlmodel import col, select
from starlette.testclient import TestClient

from events.branches.models import Branch
from events.calendars import venues
from events.calendars.models import Event, EventBranch, HostingRefusal
from events.config import Settings
from events.db import Database
from events.desk.models import Proposal
from events.people import permissions
from events.people.models import Role
from tests.conftest import Cast, branch
from tests.web.test_organize import TUESDAY, edition, posted

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
POSITION = "41.9,-87.6"


@pytest.fixture
def settings(settings: Settings, small_gazetteer: Path) -> Settings:
    """With a directory of places."""
    settings.data_dir.joinpath("places.db").symlink_to(small_gazetteer)
    return replace(settings)


def event_of(database: Database, number: int) -> Event:
    with database.reading() as session:
        return session.get_one(Event, number)


def hosts(database: Database, number: int) -> set[str]:
    with database.reading() as session:
        query = select(Branch.slug).join(EventBranch).where(EventBranch.event_id == number)
        return set(session.exec(query))


def faults(text: str) -> str:
    return " ".join(re.findall(r'class="error"[^>]*>(.*?)</p>', text))


# ---------------------------------------------------------------- where


def test_the_name_of_a_place_that_is_known_brings_its_address_and_its_position(
    ana: TestClient, database: Database, cast: Cast
) -> None:
    posted(ana, venue_name="Town hall", venue_address="1 Main St", position=POSITION)
    assert '<option value="Town hall">' in ana.get("/organize/events/new").text
    again = event_of(database, posted(ana, venue_name="town hall"))
    assert (again.venue_name, again.venue_address) == ("town hall", "1 Main St")
    assert str(again.point) == POSITION
    other = event_of(database, posted(ana, venue_name="Town hall", venue_address="2 Oak St"))
    assert other.venue_address == "2 Oak St" and str(other.point) != POSITION


def test_places_are_those_of_the_newest_events_and_those_used_last_come_first(
    ana: TestClient, database: Database, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All events of a branch were put in order for it: with 100,000 each form took 0.14 s longer."""
    monkeypatch.setattr(venues, "NEWEST", 3)
    numbers = [posted(ana, venue_name=name) for name in ("Old hall", "Town hall", "New hall", "Barn")]
    with database.writing() as session:
        session.get_one(Event, numbers[1]).modified_at += timedelta(hours=1)
    with database.reading() as session:
        found = venues.known_to(session, sa.select(col(Branch.id)))
    assert [venue.name for venue in found] == ["Town hall", "Barn", "New hall"]


def test_the_postal_code_of_an_address_says_where_it_is(
    ana: TestClient, database: Database, cast: Cast
) -> None:
    there = event_of(database, posted(ana, venue_address="12 High St, 10115"))
    at_branch = event_of(database, posted(ana))
    assert there.point and at_branch.point == cast.alder.point
    assert round(there.point.latitude) == 41 and round(there.point.longitude) == -74


def test_the_clock_is_that_of_the_place_unless_another_is_named(
    ana: TestClient, database: Database, cast: Cast
) -> None:
    elsewhere = {"venue_name": "Hall", "position": "40.42,-3.7", "timezone": ""}
    assert event_of(database, posted(ana, **elsewhere)).timezone == "Europe/Madrid"
    assert event_of(database, posted(ana, **elsewhere | {"timezone": "UTC"})).timezone == "UTC"
    page = ana.post("/organize/events/preview", data={**TUESDAY, **elsewhere}).text
    assert "Madrid time" in page


def test_a_preview_shows_the_place_on_a_map_and_what_a_calendar_will_show(
    ana: TestClient, cast: Cast
) -> None:
    wanted = {**TUESDAY, "venue_name": "Hall", "venue_address": "12 High St, 10115", "cost": "5 dollars"}
    page = ana.post("/organize/events/preview", data=wanted).text
    assert 'class="map"' in page and "On the map: 10115" in page
    shown = page[page.index('id="preview"') :]
    assert "<strong>anything</strong>" in shown, "on its page"
    assert "Bring anything with a plug." in shown and "Cost: 5 dollars" in shown, "in a calendar"


def test_an_address_that_is_not_known_counts_as_near_the_branch_and_is_said_to(
    ana: TestClient, database: Database, cast: Cast
) -> None:
    page = ana.post("/organize/events/preview", data={**TUESDAY, "venue_address": "Behind the mill"}).text
    assert "as near as the branch" in page
    assert event_of(database, posted(ana, venue_address="Behind the mill")).point == cast.alder.point


@pytest.mark.parametrize("position", ["91,0", "nonsense", "here,there", "Chicago"])
def test_a_position_that_is_none_is_said_at_its_field_with_all_other_faults(
    ana: TestClient, cast: Cast, position: str
) -> None:
    wanted = {**TUESDAY, "title": "", "position": position, "venue_name": "Hall", "new_hosts": "Nowhere"}
    answer = ana.post("/organize/events/new", data=wanted)
    assert answer.status_code == 422
    for field in ("title", "position", "new_hosts"):
        assert f'href="#{field}"' in answer.text, field
    assert f'value="{position}"' in answer.text


def test_a_new_address_does_not_keep_the_position_of_the_old_one(
    ana: TestClient, database: Database, cast: Cast
) -> None:
    number = posted(ana, venue_name="Hall", venue_address="1 Main St", position=POSITION)
    kept = {**TUESDAY, "venue_name": "Hall", "venue_address": "1 Main St", "position": POSITION}
    ana.post(f"/organize/events/{number}", data={**kept, "title": "Other", "revision": edition(ana, number)})
    assert str(event_of(database, number).point) == POSITION
    moved = {**kept, "venue_address": "12 High St, 10115", "revision": edition(ana, number)}
    assert ana.post(f"/organize/events/{number}", data=moved).status_code == 303
    assert str(event_of(database, number).point) != POSITION


# ---------------------------------------------------------------- when, as it is typed


def test_days_and_times_may_be_typed_as_people_write_them(
    ana: TestClient, database: Database, cast: Cast
) -> None:
    typed = {"start_date": "Tuesday 8 December 2026", "start_time": "7pm", "end_time": "9.30 pm"}
    event = event_of(database, posted(ana, **typed))
    assert (f"{event.start:%Y-%m-%d %H:%M}", f"{event.end:%H:%M}") == ("2026-12-08 19:00", "21:30")
    spanish = ana.post("/es/organize/events/new", data={**TUESDAY, "start_date": "8 de diciembre de 2026"})
    assert spanish.status_code == 303
    unclear = ana.post("/organize/events/new", data={**TUESDAY, "start_date": "8/12/2026"})
    assert unclear.status_code == 422 and "can be read as two days" in unclear.text
    assert 'value="8/12/2026"' in unclear.text


def test_an_hour_that_the_clocks_skip_is_refused_with_the_reason(ana: TestClient, cast: Cast) -> None:
    skipped = {
        **TUESDAY,
        "repeats": "",
        "start_date": "2027-03-14",
        "start_time": "02:30",
        "end_time": "04:00",
    }
    answer = ana.post("/organize/events/new", data=skipped)
    assert answer.status_code == 422 and "the clocks of America/Chicago change" in answer.text


# ---------------------------------------------------------------- with others


@pytest.fixture
def cedar(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        session.add(branch("cedar", "Cedar Club", None, timezone="America/Chicago"))


def test_another_branch_that_holds_it_too_is_named_on_the_page_and_in_its_feed(
    ana: TestClient, ben: TestClient, database: Database, cast: Cast, cedar: None
) -> None:
    number = posted(ana, new_hosts="Club Abedul; /branches/cedar")
    assert hosts(database, number) == {"alder", "birch", "cedar"}
    assert "Tool night" in ben.get("/branches/birch.ics").text
    page = ana.get(f"/organize/events/{number}").text
    assert re.search(r'name="hosts" value="birch" checked', page)
    kept = {**TUESDAY, "hosts": "cedar", "revision": edition(ana, number)}
    assert ana.post(f"/organize/events/{number}", data=kept).status_code == 303
    assert hosts(database, number) == {"alder", "cedar"}


def test_a_branch_that_declined_is_not_named_again(
    ana: TestClient, database: Database, cast: Cast, cedar: None
) -> None:
    number = posted(ana)
    with database.writing() as session:
        session.add(HostingRefusal(event_id=number, branch_id=cast.birch.id or 0))
    again = {**TUESDAY, "new_hosts": "birch", "revision": edition(ana, number)}
    answer = ana.post(f"/organize/events/{number}", data=again)
    assert answer.status_code == 422 and "Club Abedul does not want to be named" in answer.text


def test_a_branch_that_declined_does_not_come_back_by_a_stale_form_or_an_old_version(
    ana: TestClient, cy: TestClient, database: Database, cast: Cast, cedar: None
) -> None:
    number = posted(ana, new_hosts="birch")
    assert cy.post(f"/organize/branches/birch/hostings/{number}/refusal").status_code == 303
    stale = {**TUESDAY, "hosts": "birch", "revision": edition(ana, number)}
    answer = ana.post(f"/organize/events/{number}", data=stale)
    assert answer.status_code == 422 and "does not want to be named" in answer.text
    assert ana.post(f"/organize/events/{number}/history/1/restoration").status_code == 303
    assert hosts(database, number) == {"alder"}


def test_a_closed_branch_is_not_named_however_the_form_says_it(
    ana: TestClient, database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        session.get_one(Branch, cast.birch.id).status = "closed"
    answer = ana.post("/organize/events/new", data={**TUESDAY, "hosts": "birch"})
    assert answer.status_code == 422 and "not active any more" in answer.text


@pytest.mark.parametrize(("name", "fault"), [("Nowhere", "no branch called"), ("club", "one of several")])
def test_a_co_host_that_is_unclear_is_asked_about(
    ana: TestClient, cast: Cast, cedar: None, database: Database, name: str, fault: str
) -> None:
    with database.writing() as session:
        session.add(branch("club-two", "Club Two", None))
        session.add(branch("club-three", "Club Three", None))
    answer = ana.post("/organize/events/new", data={**TUESDAY, "new_hosts": name})
    assert answer.status_code == 422 and fault in faults(answer.text)
    assert f'value="{name}"' in answer.text


# ---------------------------------------------------------------- once, and with approval


def test_a_form_sent_twice_posts_one_event(ana: TestClient, database: Database, cast: Cast) -> None:
    key = re.search(r'name="key" value="([\w-]+)"', ana.get("/organize/events/new").text)
    assert key
    assert posted(ana, key=key[1]) == posted(ana, key=key[1])
    with database.reading() as session:
        assert len(session.exec(select(Event)).all()) == 1


@pytest.mark.parametrize("key", ["following 1 2026-12-08 19:00:00 1.0", "x" * 9000, "short", "ñ" * 20])
def test_a_key_that_no_form_of_ours_has_is_none(
    ana: TestClient, database: Database, cast: Cast, key: str
) -> None:
    assert posted(ana, key=key) != posted(ana, key=key)
    assert event_of(database, 1).form_key is None


def test_what_strangers_suggest_is_no_place_that_is_known(
    ana: TestClient, database: Database, cast: Cast
) -> None:
    posted(ana, venue_name="Town hall", venue_address="1 Main St")
    number = posted(ana, venue_name="Town hall", venue_address="666 Evil Rd", keep="draft")
    with database.writing() as session:
        session.get_one(Event, number).state = "submitted"
    assert event_of(database, posted(ana, venue_name="Town hall")).venue_address == "1 Main St"


def test_who_is_not_trusted_sends_an_event_for_approval(
    ana: TestClient, ben: TestClient, dee: TestClient, database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        permissions.invite(session, cast.ana, cast.alder, Role.ORGANIZER, trusted=False)
    assert "Send it for approval" in ana.get("/organize/events/new").text
    number = posted(ana)
    assert ben.get(f"/events/{number}").status_code == 404
    assert event_of(database, number).state == "submitted"
    with database.reading() as session:
        assert session.get_one(Proposal, number).person_id == cast.ana.id
    again = {**TUESDAY, "title": "Better", "revision": edition(ana, number)}
    assert ana.post(f"/organize/events/{number}", data=again).status_code == 303
    assert event_of(database, number).state == "submitted"
    approved = {**TUESDAY, "revision": edition(dee, number)}
    assert dee.post(f"/organize/events/{number}", data=approved).status_code == 303
    assert ben.get(f"/events/{number}").status_code == 200
    with database.reading() as session:
        assert session.get_one(Proposal, number).accepted


def test_who_is_not_trusted_changes_nothing_that_is_published(
    ana: TestClient, dee: TestClient, database: Database, cast: Cast
) -> None:
    number = posted(dee)
    waiting = posted(dee, keep="draft")
    with database.writing() as session:
        permissions.invite(session, cast.ana, cast.alder, Role.ORGANIZER, trusted=False)
    base = f"/organize/events/{number}"
    key = "2026-12-08T19:00"
    for path in (base, f"{base}/cancellation", f"{base}/picture", f"{base}/dates/{key}"):
        assert ana.get(path).status_code == 409, path
    for path in (base, f"{base}/cancellation", f"{base}/removal", f"{base}/publication", f"{base}/picture",
                 f"{base}/picture/removal", f"{base}/dates/{key}", f"{base}/dates/{key}/following",
                 f"{base}/history/1/restoration", "/organize/branches/alder/cancellations",
                 f"/organize/events/{waiting}/publication"):  # fmt: skip
        answer = ana.post(path, data={**TUESDAY, "reason": "x", "revision": edition(dee, number)})
        assert answer.status_code == 409 and "needs approval" in answer.text, path
    calendar = ana.post("/organize/imports", data={"branch": "alder", "url": "https://example.org/x.ics"})
    assert calendar.status_code == 409
    event = event_of(database, number)
    assert (event.state, event.deleted_at, event.title) == ("published", None, "Tool night")
    desk = ana.get("/organize").text
    assert f'href="/events/{number}"' in desk and f'href="{base}"' not in desk


def test_what_is_published_does_not_move_to_where_one_needs_approval(
    ana: TestClient, database: Database, cast: Cast
) -> None:
    number = posted(ana)
    with database.writing() as session:
        permissions.invite(session, cast.ana, cast.birch, Role.ORGANIZER, trusted=False)
    moved = {**TUESDAY, "branch": "birch", "revision": edition(ana, number)}
    answer = ana.post(f"/organize/events/{number}", data=moved)
    assert answer.status_code == 422 and "Club Abedul needs approval" in answer.text


def test_where_there_are_too_many_branches_to_choose_from_ones_name_is_typed(
    dee: TestClient, database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        session.add_all(branch(f"b-{n}", f"B {n}", None) for n in range(120))
    page = dee.get("/organize/events/new?branch=alder").text
    assert re.search(r'<input[^>]*name="branch" value="alder"', page)
    number = posted(dee, branch="Alder Club")
    assert event_of(database, number).branch_id == cast.alder.id
    nowhere = dee.post("/organize/events/new", data={**TUESDAY, "branch": "Nowhere"})
    assert nowhere.status_code == 422 and 'href="#branch"' in nowhere.text


def test_who_has_several_branches_chooses_one_and_hears_of_all_other_faults_with_it(
    ana: TestClient, database: Database, cast: Cast, cedar: None
) -> None:
    with database.writing() as session:
        permissions.invite(session, cast.ana, cast.birch, Role.ORGANIZER)
    assert '<option value="" selected>' in ana.get("/organize/events/new").text
    answer = ana.post("/organize/events/new", data={**TUESDAY, "branch": "", "title": ""})
    assert answer.status_code == 422
    assert 'href="#branch"' in answer.text and 'href="#title"' in answer.text


def test_drafts_of_two_who_edit_at_once_conflict_too(ana: TestClient, dee: TestClient, cast: Cast) -> None:
    number = posted(ana, keep="draft")
    both = {**TUESDAY, "revision": edition(ana, number), "keep": "draft"}
    assert dee.post(f"/organize/events/{number}", data={**both, "title": "Dee's"}).status_code == 303
    late = ana.post(f"/organize/events/{number}", data={**both, "title": "Ana's"})
    assert late.status_code == 409
    decided = {**both, "title": "Ana's", "revision": edition(ana, number)}
    assert ana.post(f"/organize/events/{number}", data=decided).status_code == 303
