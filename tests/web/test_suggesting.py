"""Ben suggests an event and reports a problem, without an account."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlmodel import col, select
from starlette.testclient import TestClient

from events import limits
from events.branches.models import Branch, FormerSlug, Status
from events.calendars import changes, store
from events.calendars.content import Publishing
from events.calendars.models import Event
from events.config import Settings
from events.db import Database
from events.desk import proposals
from events.desk.models import Proposal, Report
from events.limits import Limit
from events.people.models import Person
from events.places.geo import Point
from tests.calendars.test_feeds import weekly
from tests.conftest import Cast, branch, browser, running
from tests.desk.desk import mails
from tests.web.test_people import from_afar

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

DAY = date.today() + timedelta(days=14)
WALK = {
    "key": "k" * 32,
    "branch": "alder",
    "title": "Lantern walk",
    "description": "Bring a **lantern**.",
    "start_date": DAY.isoformat(),
    "start_time": "19:00",
    "end_time": "21:00",
    "venue_name": "Boat house",
    "name": "Ben",
    "email": "Ben@Example.org",
    "note": "My sister has the key.",
}


def kept(database: Database) -> list[tuple[Event, Proposal]]:
    with database.reading() as session:
        query = select(Event, Proposal).join(Proposal, col(Proposal.event_id) == col(Event.id))
        return list(session.exec(query.order_by(col(Event.id))).all())


def reported(database: Database) -> list[Report]:
    with database.reading() as session:
        return list(session.exec(select(Report)).all())


def faults_of(answer: object) -> set[str]:
    return set(re.findall(r'<li><a href="#(\w+)"', getattr(answer, "text", "")))


# ---------------------------------------------------------------- suggesting an event


def test_ben_suggests_an_event_and_reads_what_happens_next(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    page = ben.get("/suggest?branch=alder").text
    assert '<option value="alder" selected>' in page
    answer = ben.post("/es/suggest", data={**WALK, "language": "es"})
    assert answer.headers["location"] == "/es/suggest/thanks?branch=alder"
    assert "Alder Club" in ben.get("/suggest/thanks?branch=alder").text
    [(event, proposal)] = kept(database)
    assert (event.title, event.state, event.branch_id) == ("Lantern walk", "submitted", cast.alder.id)
    assert (event.start, event.timezone) == (
        datetime.combine(DAY, datetime.min.time().replace(hour=19)),
        "America/Chicago",
    )
    assert (proposal.name, proposal.email, proposal.language) == ("Ben", "ben@example.org", "es")
    assert proposal.note == "My sister has the key." and proposal.person_id is None


def test_what_was_suggested_is_nowhere_to_be_seen(ben: TestClient, database: Database, cast: Cast) -> None:
    ben.post("/suggest", data=WALK)
    [(event, _)] = kept(database)
    for path in ("/", "/events", "/events?q=lantern", "/events?near=41.92,-87.65", "/branches/alder", "/events.ics",
                 "/events.atom", "/events.json", "/events.csv", "/branches/alder.ics", "/branches/alder.atom",
                 "/branches/alder.json", "/api/v1/events", "/api/v1/occurrences", "/sitemap.xml", "/suggest",
                 f"/calendar/{DAY.year}/{DAY.month}"):  # fmt: skip
        answer = ben.get(path)
        assert answer.status_code == 200 and "antern walk" not in answer.text, path
        assert f"/events/{event.id}" not in answer.text, path
    for path in (
        f"/events/{event.id}",
        f"/events/{event.id}.ics",
        f"/api/v1/events/{event.id}",
        f"/events/{event.id}/report",
    ):
        assert ben.get(path).status_code == 404, path


def test_faults_are_listed_and_what_was_typed_is_kept(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    wrong = {"branch": "", "title": " ", "start_date": "", "email": "nonsense", "online_url": "nowhere"}
    answer = ben.post("/suggest", data={**WALK, **wrong})
    assert answer.status_code == 422
    assert faults_of(answer) == {"branch", "title", "start_date", "email", "online_url"}
    for typed in ('value="nonsense"', 'value="nowhere"', "Bring a **lantern**.", "My sister has the key.",
                  'value="Boat house"', "k" * 32):  # fmt: skip
        assert typed in answer.text, typed
    assert kept(database) == []


def test_what_is_over_cannot_be_suggested(ben: TestClient, database: Database, cast: Cast) -> None:
    answer = ben.post("/suggest", data={**WALK, "start_date": "2026-01-01"})
    assert answer.status_code == 422 and faults_of(answer) == {"start_date"}
    assert "over already" in answer.text


def test_sending_the_same_form_twice_is_suggesting_once(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    answers = [ben.post("/suggest", data=WALK) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert len(kept(database)) == 1


def test_a_program_that_fills_in_the_hidden_field_is_thanked_and_ignored(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    assert ben.post("/suggest", data={**WALK, "website": "http://spam"}).status_code == 303
    ben.post("/branches/alder/report", data={"key": "k" * 32, "kind": "closed", "website": "x"})
    assert (kept(database), reported(database)) == ([], [])


def test_a_visitor_says_nothing_that_is_the_organizers_to_say(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    more = {
        "new_topics": "Free money",
        "repeats": "weekly",
        "interval": "1",
        "contact": "x",
        "state": "published",
    }
    ben.post("/suggest", data={**WALK, **more})
    [(event, _)] = kept(database)
    assert (event.state, event.rrule, event.contact) == ("submitted", "", "")
    assert "Free money" not in ben.get("/events").text


def test_the_sixth_suggestion_within_an_hour_is_too_many(settings: Settings, cast: Cast) -> None:
    with running(replace(settings, rate_limits=True)) as strict:
        ben = browser(strict)
        said = [
            ben.post("/suggest", data={**WALK, "key": f"{number:032}"}).status_code for number in range(6)
        ]
        told = [
            ben.post("/branches/alder/report", data={"key": f"{number:032}", "kind": "time"}).status_code
            for number in range(6)
        ]
    assert said == told == [303] * 5 + [429]


def test_a_branch_that_has_closed_or_moved_or_never_was(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        session.get_one(Branch, cast.birch.id).status = Status.CLOSED
        session.add(FormerSlug(slug="old-alder", branch_id=cast.alder.id or 0))
    assert ben.get("/suggest?branch=birch").status_code == 410
    assert ben.get("/suggest?branch=nowhere").status_code == 404
    assert '<option value="alder" selected>' in ben.get("/suggest?branch=old-alder").text
    assert faults_of(ben.post("/suggest", data={**WALK, "branch": "birch"})) == {"branch"}
    assert "/suggest" not in ben.get("/branches/birch").text.replace('href="/suggest"', "")


# ---------------------------------------------------------------- for which of many branches


@pytest.fixture
def many(settings: Settings, database: Database, cast: Cast) -> Iterator[TestClient]:
    """A visitor of a site with so many branches that no menu holds them."""
    with database.writing() as session:
        session.add_all(
            branch(f"far-{number}", f"Far {number}", Point(-40.0, number / 10)) for number in range(40)
        )
        session.add_all(
            branch(f"twin-{town.lower()}", "Twin", Point(-50, 9), city=town) for town in ("Ely", "Bath")
        )
        session.flush()
        for row in session.exec(select(Branch)):
            row.derive_keys()
    with running(settings) as app:
        yield browser(app)


@pytest.mark.parametrize("typed", ["alder", "Alder Club", "ALDER", "41.92,-87.65", "60614"])
def test_a_branch_is_found_by_its_name_or_a_place_near_it(
    many: TestClient, database: Database, cast: Cast, typed: str
) -> None:
    assert '<select class="input input--m" id="branch"' not in many.get("/suggest").text
    answer = many.post("/suggest", data={**WALK, "branch": typed})
    assert answer.headers.get("location") == "/suggest/thanks?branch=alder", faults_of(answer)


def test_what_may_be_several_branches_is_chosen_from(
    many: TestClient, database: Database, cast: Cast
) -> None:
    answer = many.post("/suggest", data={**WALK, "branch": "twin"})
    assert answer.status_code == 422 and faults_of(answer) == {"choice"}
    assert 'value="twin"' in answer.text and "Twin, Ely" in answer.text and "Twin, Bath" in answer.text
    chosen = {**WALK, "branch": "twin", "meant": "twin", "choice": "twin-bath"}
    assert many.post("/suggest", data=chosen).headers["location"] == "/suggest/thanks?branch=twin-bath"
    other = {**chosen, "key": "l" * 32, "branch": "alder club"}
    assert many.post("/suggest", data=other).headers["location"] == "/suggest/thanks?branch=alder"
    assert "write more of its name" in many.post("/suggest", data={**WALK, "branch": "far"}).text


def test_what_is_no_branch_and_no_place_is_said_so(many: TestClient, database: Database, cast: Cast) -> None:
    for typed in ("Xyzzyville", "95,200", "x" * 100_000):
        answer = many.post("/suggest", data={**WALK, "branch": typed})
        assert answer.status_code == 422 and faults_of(answer) == {"branch"}, typed
        assert f'value="{typed}"' in answer.text


def test_the_page_of_a_branch_leads_to_its_form(many: TestClient, database: Database, cast: Cast) -> None:
    assert 'href="/suggest?branch=alder"' in many.get("/branches/alder").text
    page = many.get("/suggest?branch=alder").text
    assert "<bdi>Alder Club</bdi>" in page and '<input type="hidden" name="branch" value="alder">' in page


# ---------------------------------------------------------------- addresses that are trusted


def link_in(body: str) -> str:
    found = re.search(r"http://localhost\S*(/sign-in/\S+)", body)
    assert found, body
    return found[1]


@pytest.fixture
def trusted(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        proposals.trust(session, cast.alder.id or 0, "ben@example.org", datetime.now(UTC))


def test_a_trusted_address_publishes_by_the_link_that_is_mailed_to_it(
    ben: TestClient, database: Database, cast: Cast, trusted: None
) -> None:
    ben.post("/suggest", data=WALK)
    [(event, _)] = kept(database)
    assert event.state == "submitted", "anybody can type an address"
    [mail] = mails(database)
    path = link_in(mail.body)
    assert mail.recipient == "ben@example.org" and "Publish" in ben.get(path).text
    assert ben.get(f"/events/{event.id}").status_code == 404, (
        "a program that looks at links publishes nothing"
    )
    answer = ben.post(path)
    assert answer.headers["location"] == f"/events/{event.id}"
    assert "Lantern walk" in ben.get("/branches/alder").text
    assert ben.post(path).status_code == 410
    assert ben.get("/account").status_code == 303, "it signs nobody in"


def test_the_mail_with_the_link_brings_no_strangers_links_and_only_five_come_in_an_hour(
    settings: Settings, database: Database, cast: Cast, trusted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RECIPIENT", Limit("recipient", 5, 10**9))
    lure = {**WALK, "title": "WIN https://evil.example", "description": "www.evil.example"}
    with running(replace(settings, rate_limits=True)) as app:
        answers = [
            from_afar(app, number).post("/suggest", data={**lure, "key": f"{number:032}"})
            for number in range(7)
        ]
    assert {answer.headers["location"] for answer in answers} == {"/suggest/thanks?branch=alder"}
    assert len(kept(database)) == 7 and len(mails(database)) == 5
    for mail in mails(database):
        assert mail.subject == "Publish an event of Alder Club"
        assert "evil" not in mail.body and mail.body.count("WIN") == 1


def test_the_link_publishes_nothing_when_an_organizer_was_faster_or_trusts_no_more(
    ben: TestClient, database: Database, cast: Cast, trusted: None
) -> None:
    ben.post("/suggest", data=WALK)
    [(event, _)] = kept(database)
    path = link_in(mails(database)[0].body)
    with database.writing() as session:
        proposals.distrust(session, session.get_one(Branch, cast.alder.id), "ben@example.org")
    assert ben.post(path).status_code == 409
    with database.writing() as session:
        proposals.trust(session, cast.alder.id or 0, "ben@example.org", datetime.now(UTC))
        session.get_one(Event, event.id).delete(datetime.now(UTC))
    assert (ben.get(path).status_code, ben.post(path).status_code) == (410, 410)
    with database.reading() as session:
        assert session.get_one(Event, event.id).state == "submitted"


def test_the_link_shows_what_it_publishes_and_publishes_nothing_that_an_organizer_has_changed(
    ben: TestClient, database: Database, cast: Cast, trusted: None
) -> None:
    ben.post("/suggest", data=WALK)
    [(event, _)] = kept(database)
    path = link_in(mails(database)[0].body)
    page = ben.get(path).text
    assert WALK["title"] in page and "Bring a lantern." in page
    with database.writing() as session:
        event = session.get_one(Event, event.id)
        with changes.recorded(session, event, "changed", cast.ana, datetime.now(UTC)):
            event.title = "Not ready"
    assert (ben.get(path).status_code, ben.post(path).status_code) == (409, 409)
    assert ben.get(f"/events/{event.id}").status_code == 404


def test_the_page_does_not_tell_whether_an_address_is_trusted(
    ben: TestClient, database: Database, cast: Cast, trusted: None
) -> None:
    known = ben.post("/suggest", data=WALK)
    unknown = ben.post("/suggest", data={**WALK, "key": "l" * 32, "email": "eve@example.org"})
    assert known.headers["location"] == unknown.headers["location"]
    elsewhere = {**WALK, "key": "m" * 32, "branch": "birch"}
    ben.post("/suggest", data=elsewhere)
    assert len(mails(database)) == 1, "trusted by Alder alone"
    with database.reading() as session:
        assert session.exec(select(Person).where(Person.email == "eve@example.org")).one_or_none() is None


# ---------------------------------------------------------------- reporting a problem


@pytest.fixture
def event(database: Database, cast: Cast, publishing: Publishing) -> int:
    with database.writing() as session:
        return store.add(session, weekly(), [cast.alder], publishing, datetime.now(UTC)).id or 0


def test_ben_reports_what_is_wrong_and_nothing_changes_in_public(
    ben: TestClient, database: Database, cast: Cast, event: int
) -> None:
    before = ben.get(f"/events/{event}.ics").content
    assert f'href="/events/{event}/report"' in ben.get(f"/events/{event}").text
    for path in (f"/events/{event}", "/branches/alder"):
        assert "What is wrong?" in ben.get(f"{path}/report").text
        said = {
            "key": "k" * 30 + path[-2:].replace("/", "-"),
            "kind": "time",
            "message": "It is at 8.",
            "email": "ben@example.org",
        }
        for _ in range(2):
            assert ben.post(f"{path}/report", data=said).headers["location"] == f"{path}/report/thanks"
        assert ben.get(f"{path}/report/thanks").status_code == 200
    assert [(one.event_id, one.branch_id) for one in reported(database)] == [
        (event, cast.alder.id),
        (None, cast.alder.id),
    ]
    assert ben.get(f"/events/{event}.ics").content == before


def test_a_report_with_faults_keeps_what_was_typed(
    ben: TestClient, database: Database, cast: Cast, event: int
) -> None:
    answer = ben.post(f"/events/{event}/report", data={"key": "k" * 32, "kind": "other", "email": "nonsense"})
    assert answer.status_code == 422 and faults_of(answer) == {"email"}
    answer = ben.post(
        f"/events/{event}/report", data={"key": "k" * 32, "kind": "other", "email": "ben@example.org"}
    )
    assert faults_of(answer) == {"message"} and 'value="ben@example.org"' in answer.text
    assert re.search(r'value="other" checked', answer.text)
    assert faults_of(ben.post(f"/events/{event}/report", data={"key": "k" * 32})) == {"kind"}
    assert reported(database) == []


def test_what_is_not_there_cannot_be_reported(
    ben: TestClient, database: Database, cast: Cast, event: int
) -> None:
    with database.writing() as session:
        session.get_one(Event, event).delete(datetime.now(UTC))
        session.add(FormerSlug(slug="old-alder", branch_id=cast.alder.id or 0))
    assert ben.get(f"/events/{event}/report").status_code == 410
    assert ben.get("/branches/nowhere/report").status_code == 404
    assert ben.get("/branches/old-alder/report").headers["location"] == "/branches/alder/report"
