"""An admin of a branch edits all of it; who administers another branch finds nothing there."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from sqlmodel import col, select
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events.branches.models import Branch, FormerSlug, ServiceKey
from events.calendars import store
from events.calendars.content import Publishing
from events.calendars.models import CalendarRevision, Event
from events.db import Database
from events.desk import branch_changes
from events.messages.models import ContactMessage
from events.news.models import Notice
from events.people import history, permissions, sign_in
from events.people.history import Version
from events.people.models import Role
from events.places.geo import Point
from events.subscriptions import choices
from events.subscriptions.choices import Choice
from events.subscriptions.models import SubscriptionBranch
from tests.calendars.test_feeds import weekly
from tests.conftest import NOW, Cast, branch, signed_in
from tests.news.test_notices import write as write_news

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

HERE = "/organize/branches/alder"
FOLLOWED = select(SubscriptionBranch.branch_id)
Fields = Mapping[str, str | list[str]]


@pytest.fixture
def eve(app: Starlette, database: Database, cast: Cast) -> TestClient:
    """Eve is branch admin of Alder."""
    return admin_of(app, database, cast.alder, "eve")


@pytest.fixture
def cy(app: Starlette, database: Database, cast: Cast) -> TestClient:
    """Cy is branch admin of Birch."""
    return admin_of(app, database, cast.birch, "cy")


def admin_of(app: Starlette, database: Database, at: Branch, name: str) -> TestClient:
    with database.writing() as session:
        person = sign_in.find_or_add(session, f"{name}@example.org", NOW)
        session.flush()
        permissions.invite(session, person, at, Role.BRANCH_ADMIN)
    return signed_in(app, database, person)


class Fields_(HTMLParser):
    """What a browser would send of the form with this action."""

    def __init__(self, page: str, action: str) -> None:
        super().__init__()
        self.sent: dict[str, list[str]] = {}
        self._action, self._inside = action, False
        self._select = self._text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        at = dict(attrs)
        name, value = at.get("name") or "", at.get("value") or ""
        if tag == "form":
            self._inside = at.get("action") == self._action
        elif not self._inside:
            return
        elif tag == "input" and (at.get("type") not in ("radio", "checkbox") or "checked" in at):
            self.sent.setdefault(name, []).append(value)
        elif tag == "select":
            self._select = name
        elif tag == "option" and "selected" in at:
            self.sent.setdefault(self._select, []).append(value)
        elif tag == "textarea":
            self._text = name
            self.sent[name] = [""]

    def handle_data(self, data: str) -> None:
        if self._text:
            self.sent[self._text][0] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self.sent[self._text] = [self.sent[self._text][0].removeprefix("\n")]
            self._text = ""


def filled(client: TestClient, path: str = HERE, **more: str | list[str]) -> dict[str, str | list[str]]:
    """The form as its page has it, with some fields typed anew."""
    page = client.get(path)
    assert page.status_code == 200
    return {**Fields_(page.text, path.partition("?")[0]).sent, **more}


def at(database: Database, slug: str) -> Branch:
    with database.reading() as session:
        return session.exec(select(Branch).where(col(Branch.slug) == slug)).one()


def versions(database: Database, of: Branch) -> list[Version]:
    """The oldest first."""
    with database.reading() as session:
        return [*reversed(history.versions(session, branch_changes.subject(of)))]


def faults(page: str) -> dict[str, str]:
    summary = page.partition('id="faults-title"')[2].partition("</div>")[0]
    return dict(re.findall(r'<a href="#(\w+)">(?:[^:<]*: )?(.*?)</a>', summary))


# ---------------------------------------------------------------- editing


def test_eve_changes_what_her_branch_says_and_everybody_sees_it(
    eve: TestClient, ben: TestClient, database: Database, cast: Cast
) -> None:
    typed = filled(
        eve,
        description="Tools for **everybody**.",
        phone="+1 312 555 0100",
        opening_hours="Tu[1] 19:00-21:00; Sa 10:00-14:00",
        service_area="codes: 606*; within: 5 mi; Lincoln Park",
        languages="English, Spanish",
        accessibility=["step-free", "parking"],
        accessibility_other="Ramp in the yard",
        links="https://example.org/a\nhttps://example.org/b",
    )
    answer = eve.post(HERE, data=typed)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{HERE}?done=saved")
    page = ben.get("/branches/alder").text
    for words in (
        *("<strong>everybody</strong>", "First Tuesday of the month", "English and Spanish", "606…"),
        *("Everything within 5 mi", "Lincoln Park", "Step-free, parking", "ramp in the yard"),
    ):
        assert words in page, words
    alder = at(database, "alder")
    assert (alder.languages, alder.accessibility) == ("en,es", "step-free,parking,Ramp in the yard")
    assert alder.link_list == ["https://example.org/a", "https://example.org/b"]
    assert alder.updated_at > NOW
    with database.reading() as session:
        assert "begin:US:606" in session.exec(select(ServiceKey.key)).all()


def test_a_form_that_is_sent_as_it_came_changes_nothing(
    eve: TestClient, database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        alder = session.get_one(Branch, cast.alder.id)
        alder.stand_at(Point(41.92271234567, -87.65331234567))
        alder.languages, alder.accessibility = "en,es-MX", "step-free,Ramp"
        alder.opening_hours, alder.service_area = "when the light is on", "codes: 60614"
        alder.verified_at, alder.opened_on = NOW.date(), NOW.date()
    before = at(database, "alder").model_dump()
    assert eve.post(HERE, data=filled(eve)).status_code == 303
    assert at(database, "alder").model_dump() == before
    assert [version.action for version in versions(database, cast.alder)] == ["found"]


def test_each_change_is_a_version_with_who_made_it(eve: TestClient, database: Database, cast: Cast) -> None:
    eve.post(HERE, data=filled(eve, phone="112"))
    eve.post(HERE, data=filled(eve, city="Evanston"))
    found, first, second = versions(database, cast.alder)
    assert [version.action for version in (found, first, second)] == ["found", "changed", "changed"]
    assert [version.snapshot["phone"] for version in (found, first, second)] == ["", "112", "112"]
    assert (first.snapshot["city"], second.snapshot["city"]) == ("Chicago", "Evanston")
    assert found.person_id is None and first.person_id == second.person_id is not None


def test_the_preview_shows_the_page_and_saves_nothing(
    eve: TestClient, database: Database, cast: Cast
) -> None:
    typed = filled(eve, name="Alder Tool Club", opening_hours="Mo-Fr 10:00-18:00", service_area="regions: WI")
    page = eve.post(f"{HERE}/preview", data=typed)
    assert page.status_code == 200
    shown = page.text.partition('id="preview"')[2]
    for words in (
        "Alder Tool Club",
        "Monday to Friday",
        "Regions: WI",
        "Its position is 41.9227,-87.6533.",
        "Chicago time",
        "<svg",
    ):
        assert words in shown, words
    assert 'value="Mo-Fr 10:00-18:00"' in page.text
    assert at(database, "alder").name == "Alder Club" and versions(database, cast.alder) == []


def test_faults_are_said_at_their_fields_and_everything_typed_is_kept(
    eve: TestClient, database: Database, cast: Cast
) -> None:
    wrong = {
        **{"name": "", "opening_hours": "Mo-Fr 25:00", "service_area": "codes: !", "position": "Madrid"},
        **{"timezone": "Mars", "languages": "Nonsensish", "url": "nonsense", "email": "nobody"},
        **{"country": "XX", "status": "closed", "slug": "near", "opened_on": "3/4/26"},
        "description": "Kept as it was typed.",
    }
    for path in (HERE, f"{HERE}/preview"):
        answer = eve.post(path, data=filled(eve, **wrong))
        assert answer.status_code == 422
        assert faults(answer.text).keys() == wrong.keys() - {"description"}
        assert "Kept as it was typed." in answer.text and 'value="Mo-Fr 25:00"' in answer.text
        assert "slug" not in re.sub(r"<[^>]*>", "", answer.text), "people know no such word"
    assert at(database, "alder").name == "Alder Club"


def test_hours_that_came_by_import_may_stay_though_they_are_not_understood(
    eve: TestClient, database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        session.get_one(Branch, cast.alder.id).opening_hours = "when the light is on"
    page = eve.post(f"{HERE}/preview", data=filled(eve, phone="112"))
    assert page.status_code == 200 and "is not understood as opening hours" in page.text
    assert eve.post(HERE, data=filled(eve, phone="112")).status_code == 303
    assert at(database, "alder").opening_hours == "when the light is on"


def test_a_new_address_keeps_the_old_one_alive(
    eve: TestClient, ben: TestClient, database: Database, cast: Cast
) -> None:
    answer = eve.post(HERE, data=filled(eve, slug="/branches/alder-club"))
    assert answer.headers["location"] == "/organize/branches/alder-club?done=saved"
    assert ben.get("/branches/alder").headers["location"] == "/branches/alder-club"
    with database.reading() as session:
        assert session.exec(select(FormerSlug.slug)).all() == ["alder"]
    taken = eve.post(
        "/organize/branches/alder-club", data=filled(eve, "/organize/branches/alder-club", slug="birch")
    )
    assert taken.status_code == 422 and "Club Abedul" in faults(taken.text)["slug"]
    odd = eve.post(
        "/organize/branches/alder-club", data=filled(eve, "/organize/branches/alder-club", slug="Año 1!")
    )
    assert "such as ano-1" in faults(odd.text)["slug"]


def test_a_position_is_typed_as_coordinates_or_as_a_plus_code_and_else_follows_the_address(
    eve: TestClient, database: Database, cast: Cast
) -> None:
    eve.post(HERE, data=filled(eve, position="40.42, -3.70", country="ES"))
    assert at(database, "alder").point == Point(40.42, -3.70)
    assert at(database, "alder").timezone == "Europe/Madrid", "the time zone follows, as none was said"
    eve.post(HERE, data=filled(eve, position="8CGRC78W+QQ"))
    madrid = at(database, "alder").point
    assert madrid is not None and round(madrid.latitude, 1) == 40.4
    page = eve.post(f"{HERE}/preview", data=filled(eve, position=""))
    assert "Nothing was found for this address" in page.text
    eve.post(HERE, data=filled(eve, position=""))
    gone = at(database, "alder")
    assert (gone.point, gone.x, gone.geocode_accuracy) == (None, None, "")


def test_a_time_zone_that_was_said_stays_where_the_branch_moves(
    eve: TestClient, database: Database, cast: Cast
) -> None:
    eve.post(HERE, data=filled(eve, timezone="America/Denver"))
    assert 'value="America/Denver"' in eve.get(HERE).text
    eve.post(HERE, data=filled(eve, position="40.42, -3.70"))
    assert at(database, "alder").timezone == "America/Denver"


def test_a_confidential_branch_shows_nobody_where_it_is(
    eve: TestClient, ben: TestClient, database: Database, cast: Cast
) -> None:
    typed = filled(eve, confidential="yes", email="secret@example.org")
    shown = eve.post(f"{HERE}/preview", data=typed).text.partition('id="preview"')[2]
    assert "only in person" in shown and "2150 N Halsted" not in shown and "secret@" not in shown
    eve.post(HERE, data=typed)
    page = ben.get("/branches/alder").text
    assert "2150 N Halsted" not in page and "secret@" not in page and "60614" not in page
    alder = at(database, "alder")
    assert alder.email == "secret@example.org"
    assert alder.x == branch("x", "x", Point(41.9, -87.7)).x, "in the index it stands on the grid"


def test_the_second_editor_sees_both_texts_and_overwrites_nothing(
    eve: TestClient, dee: TestClient, database: Database, cast: Cast
) -> None:
    mine, theirs = filled(eve, phone="111"), filled(dee, phone="222")
    assert dee.post(HERE, data=theirs).status_code == 303
    late = eve.post(HERE, data=mine)
    assert late.status_code == 409
    assert 'value="111"' in late.text and "<bdi>222</bdi>" in late.text
    assert at(database, "alder").phone == "222"
    decided = Fields_(late.text, HERE).sent
    assert eve.post(HERE, data=decided).status_code == 303
    assert at(database, "alder").phone == "111"


def test_a_form_that_is_sent_twice_changes_once(eve: TestClient, database: Database, cast: Cast) -> None:
    typed = filled(eve, phone="111", slug="alder-club")
    assert eve.post(HERE, data=typed).status_code == 303
    again = eve.post("/organize/branches/alder-club", data=typed)
    assert (again.status_code, again.headers["location"]) == (303, "/organize/branches/alder-club?done=saved")
    assert [version.action for version in versions(database, cast.alder)] == ["found", "changed"]


def test_feeds_and_events_follow_a_branch_that_has_changed(
    eve: TestClient, ben: TestClient, database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        store.add(session, weekly(), [session.get_one(Branch, cast.alder.id)], publishing, NOW)
    before = ben.get("/branches/alder.ics")
    with database.reading() as session:
        number = session.get_one(CalendarRevision, 1).number
    eve.post(HERE, data=filled(eve, name="Alder Tool Club"))
    after = ben.get("/branches/alder.ics")
    assert "Alder Tool Club" in after.text and after.headers["etag"] != before.headers["etag"]
    with database.reading() as session:
        assert session.get_one(CalendarRevision, 1).number > number
        event = session.exec(select(Event)).one()
        assert session.get_one(Branch, cast.alder.id).updated_at > event.derived_at, "the worker renders it"


def test_everything_is_confirmed_with_one_button_by_the_clock_of_the_branch(
    eve: TestClient, ben: TestClient, database: Database, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("events.web.branch_desk.now", lambda: datetime(2026, 11, 24, 3, 0, tzinfo=UTC))
    answer = eve.post(f"{HERE}/confirmation")
    assert answer.headers["location"] == f"{HERE}?done=confirmed"
    assert str(at(database, "alder").verified_at) == "2026-11-23", "it is still Monday in Chicago"
    eve.post(f"{HERE}/confirmation")
    assert [version.action for version in versions(database, cast.alder)] == ["found", "confirmed"]
    assert "Nov 23, 2026" in eve.get(HERE).text


# ---------------------------------------------------------------- history


def test_an_earlier_version_is_seen_beside_what_is_now_and_had_back(
    eve: TestClient, ben: TestClient, database: Database, cast: Cast
) -> None:
    eve.post(HERE, data=filled(eve, phone="111", slug="alder-club"))
    here = "/organize/branches/alder-club"
    eve.post(here, data=filled(eve, here, phone="222", country="ES"))
    eve.post(f"{here}/confirmation")
    listed = eve.get(f"{here}/history").text
    assert re.findall(r"<strong>(.*?)</strong>", listed) == [
        "Everything confirmed",
        "Changed",
        "Changed",
        "As it was found",
    ]
    assert "Changed: Address of its page and Telephone" in listed and "eve@example.org" in listed
    then = re.sub(r"<[^>]*>", " ", eve.get(f"{here}/history/1").text)
    for words in ("/branches/alder-club", "222", "Spain", "United States"):
        assert words in then, words
    confirmed = at(database, "alder-club").verified_at
    assert eve.post(f"{here}/history/1/restoration").headers["location"] == f"{HERE}?done=restored"
    alder = at(database, "alder")
    assert (alder.phone, alder.country, alder.verified_at) == ("", "US", confirmed)
    assert ben.get("/branches/alder-club").headers["location"] == "/branches/alder"
    assert versions(database, cast.alder)[-1].action == "restored"


def test_what_cannot_be_had_back_any_more_is_said(
    eve: TestClient, dee: TestClient, database: Database, cast: Cast
) -> None:
    eve.post(HERE, data=filled(eve, slug="alder-club"))
    here = "/organize/branches/alder-club"
    with database.writing() as session:
        session.exec(select(FormerSlug)).one().branch_id = cast.birch.id or 0
    taken = eve.post(f"{here}/history/1/restoration")
    assert taken.status_code == 409 and "leads to “Club Abedul” now" in taken.text
    with database.writing() as session:
        row = session.exec(select(Version).where(col(Version.number) == 1)).one()
        row.snapshot = {**row.snapshot, "slug": "alder-club", "timezone": "Mars/Olympus"}
    odd = eve.post(f"{here}/history/1/restoration")
    assert odd.status_code == 409 and "cannot be restored" in odd.text
    assert eve.get(f"{here}/history/99").status_code == 404
    assert eve.post(f"{here}/history/x/restoration").status_code == 404


def test_no_version_brings_back_what_is_an_admins_to_say(
    eve: TestClient, dee: TestClient, database: Database, cast: Cast
) -> None:
    dee.post(HERE, data=filled(dee, parent="/branches/birch", external_id="A1"))
    assert (at(database, "alder").parent_id, at(database, "alder").external_id) == (cast.birch.id, "A1")
    eve.post(f"{HERE}/history/1/restoration")
    assert (at(database, "alder").parent_id, at(database, "alder").external_id) == (cast.birch.id, "A1")
    dee.post(f"{HERE}/history/1/restoration")
    assert (at(database, "alder").parent_id, at(database, "alder").external_id) == (None, None)


# ---------------------------------------------------------------- parents, new branches


def test_an_admin_says_what_a_branch_is_part_of_and_nobody_else(
    eve: TestClient, dee: TestClient, database: Database, cast: Cast
) -> None:
    eve.post(HERE, data=filled(eve, parent="/branches/birch", external_id="A1"))
    assert (at(database, "alder").parent_id, at(database, "alder").external_id) == (None, None)
    for typed in ("Club Abedul", "/branches/birch", "https://example.org/branches/birch"):
        dee.post(HERE, data=filled(dee, parent=typed))
        assert at(database, "alder").parent_id == cast.birch.id, typed
        dee.post(HERE, data=filled(dee, parent=""))
        assert at(database, "alder").parent_id is None
    dee.post(HERE, data=filled(dee, parent="birch"))
    circle = dee.post(
        "/organize/branches/birch", data=filled(dee, "/organize/branches/birch", parent="alder")
    )
    assert "parent" in faults(circle.text)
    assert "parent" in faults(dee.post(HERE, data=filled(dee, parent="nowhere")).text)
    twice = dee.post(
        "/organize/branches/birch", data=filled(dee, "/organize/branches/birch", external_id="A1")
    )
    assert twice.status_code == 303
    assert "external_id" in faults(dee.post(HERE, data=filled(dee, external_id="A1")).text)


def test_dee_adds_a_branch_once_however_often_the_form_is_sent(
    dee: TestClient, ben: TestClient, database: Database, cast: Cast
) -> None:
    new = "/organize/branches/new"
    typed = filled(dee, new, name="Alder Club", city="Chicago", country="US", position="41.9,-87.6")
    shown = dee.post(f"{new}/preview", data=typed)
    assert shown.status_code == 200 and "Nothing is saved yet" in shown.text
    first, again = (dee.post(new, data=typed).headers["location"] for _ in range(2))
    assert first == again == "/organize/branches/alder-club?done=added"
    added = at(database, "alder-club")
    assert (added.timezone, added.status, added.geocode_accuracy) == ("America/Chicago", "active", "exact")
    assert [version.action for version in versions(database, added)] == ["added"]
    assert "Alder Club" in ben.get("/branches?near=41.9,-87.6").text
    other = dee.post(new, data=filled(dee, new, name="Alder Club", city="Chicago", country="US"))
    assert other.headers["location"] == "/organize/branches/alder-club-chicago?done=added", (
        "no namesake is it"
    )
    assert faults(dee.post(new, data=filled(dee, new)).text).keys() == {"name"}


def test_a_branch_admin_adds_branches_below_her_own_and_nowhere_else(
    eve: TestClient, database: Database, cast: Cast
) -> None:
    new = "/organize/branches/new"
    assert "Alder Club" in eve.get(new).text and "Abedul" not in eve.get(new).text
    answer = eve.post(new, data=filled(eve, new, name="Alder West", parent="/branches/alder"))
    assert answer.headers["location"] == "/organize/branches/alder-west?done=added"
    assert at(database, "alder-west").parent_id == cast.alder.id
    assert eve.get("/organize/branches/alder-west").status_code == 200
    for parent in ("/branches/birch", "", "nowhere"):
        refused = eve.post(new, data=filled(eve, new, name="West", parent=parent))
        assert (refused.status_code, [*faults(refused.text)]) == (422, ["parent"]), parent


# ---------------------------------------------------------------- who may


def test_whoever_administers_another_branch_finds_nothing_here(
    cy: TestClient, ana: TestClient, eve: TestClient, database: Database, cast: Cast
) -> None:
    eve.post(HERE, data=filled(eve, phone="111"))
    before = at(database, "alder").model_dump()
    for somebody in (cy, ana):  # Ana organizes here, and that is not enough
        for path in ("", "/history", "/history/1", "/closing", "/merger", "/split"):
            assert somebody.get(f"{HERE}{path}").status_code == 404, path
        for path in (
            "",
            "/preview",
            "/confirmation",
            "/history/1/restoration",
            "/closing",
            "/reopening",
            "/merger",
            "/split",
        ):
            data = {"name": "Mine", "seen": "", "day": "2026-11-01", "into": "birch"}
            assert somebody.post(f"{HERE}{path}", data=data).status_code == 404, path
    for path in ("/merger", "/split"):  # an admin's
        assert eve.get(f"{HERE}{path}").status_code == eve.post(f"{HERE}{path}").status_code == 404
    assert at(database, "alder").model_dump() == before


def test_the_page_of_a_branch_leads_those_who_may_to_its_form(
    eve: TestClient, cy: TestClient, ben: TestClient, dee: TestClient, cast: Cast
) -> None:
    link = f'href="{HERE}"'
    assert [link in somebody.get("/branches/alder").text for somebody in (eve, dee, cy, ben)] == [
        True,
        True,
        False,
        False,
    ]


def test_the_list_holds_the_branches_that_one_may_change(
    eve: TestClient, dee: TestClient, database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        session.add_all(branch(f"b{number}", f"Branch {number:03d}", None) for number in range(60))
    mine = eve.get("/organize/branches").text
    assert HERE in mine and "/organize/branches/birch" not in mine and "branches.csv" not in mine
    first, second = (dee.get(f"/organize/branches?page={page}").text for page in (1, 2))
    assert "Alder Club" in first and "Branch 059" in second and "branches.csv" in first
    assert dee.get("/organize/branches?page=3").status_code == 404
    found = dee.get("/organize/branches?q=branch+01").text
    assert "Branch 010" in found and "Branch 020" not in found and 'value="branch 01"' in found
    assert "No branch is called so" in dee.get("/organize/branches?q=zzz").text


# ---------------------------------------------------------------- closing, merging, splitting


@pytest.fixture
def night(database: Database, publishing: Publishing, cast: Cast) -> int:
    """The weekly tool night at Alder."""
    with database.writing() as session:
        event = store.add(session, weekly(), [session.get_one(Branch, cast.alder.id)], publishing, NOW)
        return event.id or 0


@pytest.fixture
def cedar(database: Database, cast: Cast) -> Branch:
    with database.writing() as session:
        cedar = branch("cedar", "Cedar Club", Point(41.93, -87.66), country="US", timezone="America/Chicago")
        session.add(cedar)
    return cedar


def owner(database: Database, event: int) -> str:
    with database.reading() as session:
        return session.get_one(Branch, session.get_one(Event, event).branch_id).slug


def test_eve_is_told_what_closing_means_and_cancels_what_was_to_come(
    eve: TestClient, ben: TestClient, database: Database, cast: Cast, night: int
) -> None:
    page = eve.get(f"{HERE}/closing").text
    for words in ("Its page stays.", "1 event of its own is still to come", "2 people organize there"):
        assert words in page, words
    typed = filled(eve, f"{HERE}/closing", events="cancel")
    assert faults(eve.post(f"{HERE}/closing", data=typed).text).keys() == {"reason"}
    typed |= {"reason": "The lease has ended.", "day": "2025-11-01"}
    answer = eve.post(f"{HERE}/closing", data=typed)
    assert answer.headers["location"] == f"{HERE}?done=closed"
    assert eve.post(f"{HERE}/closing", data=typed).headers["location"] == f"{HERE}?done=closed", "sent twice"
    assert eve.get(f"{HERE}/closing").status_code == 409
    assert eve.post(f"{HERE}/closing", data={**typed, "day": "2025-11-02"}).status_code == 409
    assert "This branch has closed." in ben.get("/branches/alder").text
    assert "The lease has ended." in ben.get(f"/events/{night}").text
    assert 'name="status"' not in eve.get(HERE).text
    assert eve.post(HERE, data=filled(eve, phone="111", status="active")).status_code == 303
    assert (at(database, "alder").status, at(database, "alder").phone) == ("closed", "111")
    eve.post(f"{HERE}/history/1/restoration")
    assert at(database, "alder").status == "closed", "no version opens it again"
    assert eve.post(f"{HERE}/reopening").headers["location"] == f"{HERE}?done=reopened"
    assert (at(database, "alder").status, at(database, "alder").end_date) == ("active", None)


def test_events_go_to_a_successor_only_if_one_may_post_there(
    eve: TestClient,
    dee: TestClient,
    ben: TestClient,
    database: Database,
    cedar: Branch,
    cast: Cast,
    night: int,
) -> None:
    typed = {
        **filled(eve, f"{HERE}/closing"),
        "day": "2025-11-01",
        "events": "hand-over",
        "successor": "Cedar Club",
    }
    assert "only be cancelled" in faults(eve.post(f"{HERE}/closing", data=typed).text)["events"]
    wrong = {
        "successor": [("alder", "own place"), ("nowhere", "no branch called")],
        "day": [("2199-01-01", "still to come"), ("soon", "is not a date")],
        "events": [("", "Please choose")],
    }
    for field, cases in wrong.items():
        for value, words in cases:
            answer = dee.post(f"{HERE}/closing", data={**typed, field: value})
            assert answer.status_code == 422 and words in faults(answer.text)[field], (field, value)
    unnamed = dee.post(f"{HERE}/closing", data={**typed, "successor": ""})
    assert "takes the events over" in faults(unnamed.text)["successor"]
    left_behind(database, cast.alder)
    assert dee.post(f"{HERE}/closing", data=typed).headers["location"] == f"{HERE}?done=closed"
    assert owner(database, night) == "cedar"
    with database.reading() as session:
        followed = {session.get_one(Branch, number).slug for number in session.exec(FOLLOWED)}
    assert followed == {"alder", "cedar"}
    assert 'href="/branches/cedar"' in ben.get("/branches/alder").text


def left_behind(database: Database, at: Branch) -> None:
    """A message and news of the branch; and it is followed by mail."""
    with database.writing() as session:
        message = ContactMessage(branch_id=at.id or 0, key="k", name="Ben", email="ben@example.org",
                                 subject="", message="May I?", created_at=NOW)  # fmt: skip
        session.add_all([message, write_news(session, whose=at)])
        subscription = choices.ask(session, "ben@example.org", Choice(branches=(at.id or 0,)), NOW)
        choices.confirm(session, subscription, NOW)


def test_dee_sees_how_much_moves_and_merges_two_branches_once(
    dee: TestClient, database: Database, cedar: Branch, cast: Cast, night: int
) -> None:
    page = dee.get(f"{HERE}/merger").text
    for words in ("1 event of its own", "1 person who organizes there"):
        assert words in page, words
    assert "0 calendars" not in page
    assert "no branch called" in faults(dee.get(f"{HERE}/merger?into=nowhere").text)["into"]
    assert "into" in faults(dee.post(f"{HERE}/merger", data={"into": ""}).text)
    assert "into" in faults(dee.post(f"{HERE}/merger", data={"into": "alder"}).text)
    left_behind(database, cast.alder)
    asked = dee.get(f"{HERE}/merger?into=Cedar+Club").text
    assert "into <bdi>Cedar Club</bdi>?" in asked
    typed = Fields_(asked, f"{HERE}/merger").sent
    for _ in range(2):
        assert dee.post(f"{HERE}/merger", data=typed).headers["location"] == f"{HERE}?done=merged"
    assert owner(database, night) == "cedar"
    with database.reading() as session:
        for model in (ContactMessage, Notice):
            assert set(session.exec(select(model.branch_id))) == {cedar.id}, "where its people are"
        assert set(session.exec(FOLLOWED)) == {cast.alder.id, cedar.id}
    assert [version.action for version in versions(database, cast.alder)] == ["found", "merged"]
    assert [version.action for version in versions(database, cedar)] == ["found", "took-over"]


def test_dee_makes_a_second_branch_out_of_one_once(
    dee: TestClient, ana: TestClient, database: Database, cast: Cast, night: int
) -> None:
    there = f"{HERE}/split"
    typed = filled(dee, there)
    assert typed["country"] == ["US"] and "events" not in typed
    assert faults(dee.post(there, data=typed).text).keys() == {"name"}
    typed |= {"name": "Alder West", "city": "Oak Park", "events": [str(night), "999"]}
    for _ in range(2):
        assert dee.post(there, data=typed).headers["location"] == "/organize/branches/alder-west?done=split"
    assert owner(database, night) == "alder-west"
    west = at(database, "alder-west")
    assert (west.city, west.timezone, west.email) == ("Oak Park", "America/Chicago", "alder@example.org")
    assert "Alder West" in ana.get("/organize").text, "its people are the same"
    assert [version.action for version in versions(database, cast.alder)] == ["found", "split"]
