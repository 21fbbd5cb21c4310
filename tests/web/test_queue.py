"""Ana decides about what waits; Cy organizes elsewhere and must be refused."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import Session, select
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events.calendars import changes, derived, store
from events.calendars.content import Publishing
from events.calendars.models import Event, EventBranch, HostingRefusal
from events.db import Database
from events.desk import proposals, reports
from events.desk.models import Proposal, Report, TrustedProposer
from events.desk.reports import ReportDraft
from events.people import permissions
from events.people.models import MembershipRequest, Person, Role
from tests.calendars.test_feeds import weekly
from tests.conftest import Cast, branch, signed_in
from tests.desk.desk import BEN, beginner, mails, submitted

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

NOW = datetime.now(UTC)
START = (datetime.now() + timedelta(days=20)).replace(hour=19, minute=0, second=0, microsecond=0)


@pytest.fixture
def suggestion(database: Database, publishing: Publishing, cast: Cast) -> int:
    with database.writing() as session:
        return submitted(session, cast.alder, publishing, NOW, start=START).id or 0


@pytest.fixture
def report(database: Database, cast: Cast) -> int:
    with database.writing() as session:
        said = ReportDraft(key="k" * 32, kind="closed", message="The shutters\nare down.")
        reports.add(session, said, cast.alder, None, NOW)
        return session.exec(select(Report.id)).one() or 0


@pytest.fixture
def named(database: Database, publishing: Publishing, cast: Cast) -> int:
    """An event of Birch that names Alder as co-host."""
    with database.writing() as session:
        draft = weekly(start=START, end=START + timedelta(hours=2), rrule="")
        return store.add(session, draft, [cast.birch, cast.alder], publishing, NOW).id or 0


def state_of(database: Database, number: int) -> tuple[str, bool]:
    with database.reading() as session:
        event = session.get_one(Event, number)
        return event.state, event.deleted_at is not None


# ---------------------------------------------------------------- deciding


def test_ana_sees_a_suggestion_as_it_would_be_and_publishes_it(
    ana: TestClient, ben: TestClient, database: Database, cast: Cast, suggestion: int
) -> None:
    page = ana.get("/organize/queue").text
    for shown in ("Lantern walk", "2150 N Halsted St", "My idea.", "mailto:ben@example.org", "7:00"):
        assert shown in page, shown
    assert "1 event to be approved" in ana.get("/organize").text
    answer = ana.post(f"/organize/proposals/{suggestion}/acceptance")
    assert answer.headers["location"] == "/organize/queue?done=approved"
    assert ben.get(f"/events/{suggestion}").status_code == 200
    assert "Lantern walk" in ben.get("/branches/alder.ics").text
    assert "Lantern walk" not in ana.get("/organize/queue").text
    [mail] = mails(database)
    assert mail.recipient == BEN and f"/events/{suggestion}" in mail.body


def test_ana_declines_with_an_answer(
    ana: TestClient, ben: TestClient, database: Database, cast: Cast, suggestion: int
) -> None:
    said = {"answer": "Not in the snow, sorry."}
    assert ana.post(f"/organize/proposals/{suggestion}/refusal", data=said).status_code == 303
    assert state_of(database, suggestion) == ("submitted", True)
    assert "Not in the snow, sorry." in mails(database)[0].body
    assert ben.get(f"/events/{suggestion}").status_code == 404


def test_an_answer_that_is_too_long_is_kept_at_its_suggestion(
    ana: TestClient, database: Database, cast: Cast, suggestion: int
) -> None:
    answer = ana.post(f"/organize/proposals/{suggestion}/refusal", data={"answer": "no " * 1000})
    assert answer.status_code == 422 and f'href="#answer-{suggestion}"' in answer.text
    assert answer.text.count("no no no") and state_of(database, suggestion) == ("submitted", False)


def test_pressing_twice_decides_once_and_the_other_button_then_says_why_not(
    ana: TestClient, database: Database, cast: Cast, suggestion: int
) -> None:
    here = f"/organize/proposals/{suggestion}"
    assert [ana.post(f"{here}/acceptance").status_code for _ in range(2)] == [303, 303]
    late = ana.post(f"{here}/refusal", data={"answer": "x"})
    assert late.status_code == 409 and "decided already" in late.text
    assert state_of(database, suggestion) == ("published", False) and len(mails(database)) == 1


def test_what_was_changed_since_the_page_was_opened_is_looked_at_again(
    ana: TestClient, database: Database, publishing: Publishing, cast: Cast
) -> None:
    """Who needs approval could otherwise put something else in the place of what was seen."""
    with database.writing() as session:
        eli = beginner(session, cast.alder)
        number = submitted(session, cast.alder, publishing, NOW, start=START, by=eli).id
    seen = re.search(r'name="edition" value="([^"]+)"', ana.get("/organize/queue").text)
    assert seen
    with database.writing() as session:
        event = session.get_one(Event, number)
        with changes.recorded(session, event, "changed", eli, NOW):
            event.title = "Something else"
            derived.save(session, event, publishing, NOW)
    here = f"/organize/proposals/{number}/acceptance"
    assert ana.post(here, data={"edition": seen[1]}).status_code == 409
    assert state_of(database, number or 0) == ("submitted", False)
    again = re.search(r'name="edition" value="([^"]+)"', ana.get("/organize/queue").text)
    assert again and ana.post(here, data={"edition": again[1]}).status_code == 303


def test_ana_trusts_an_address_and_does_not_any_more(
    ana: TestClient, database: Database, cast: Cast, suggestion: int
) -> None:
    ana.post(f"/organize/proposals/{suggestion}/acceptance", data={"trust": "yes"})
    with database.reading() as session:
        [found] = session.exec(select(TrustedProposer)).all()
        assert (found.branch_id, found.email) == (cast.alder.id, BEN)
    assert BEN in ana.get("/organize/queue").text
    ana.post("/organize/branches/alder/trusted/removal", data={"email": BEN})
    assert BEN not in ana.get("/organize/queue").text


def test_who_needs_approval_sees_their_own_and_decides_nothing(
    app: Starlette, database: Database, publishing: Publishing, cast: Cast, suggestion: int, report: int
) -> None:
    with database.writing() as session:
        eli = beginner(session, cast.alder)
        own = submitted(session, cast.alder, publishing, NOW, start=START, by=eli, title="Repair café").id
    client = signed_in(app, database, eli)
    page = client.get("/organize/queue").text
    assert "Yours, waiting for others" in page and "Repair café" in page and "Lantern walk" not in page
    for path in (f"proposals/{suggestion}/acceptance", f"proposals/{own}/acceptance", f"reports/{report}/closing",
                 "branches/alder/trusted/removal"):  # fmt: skip
        assert client.post(f"/organize/{path}").status_code == 404, path


def test_cy_finds_nothing_of_this(
    cy: TestClient, database: Database, cast: Cast, suggestion: int, report: int, named: int
) -> None:
    with database.writing() as session:
        proposals.trust(session, cast.alder.id or 0, BEN, NOW)
    page = cy.get("/organize/queue").text
    assert "Nothing waits for you" in page and BEN not in page
    for path in (f"proposals/{suggestion}/acceptance", f"proposals/{suggestion}/refusal", "proposals/99/acceptance",
                 f"reports/{report}/closing", "reports/99/closing", f"branches/alder/hostings/{named}/refusal",
                 f"branches/alder/hostings/{named}/confirmation", "branches/alder/trusted/removal"):  # fmt: skip
        answer = cy.post(f"/organize/{path}", data={"email": BEN, "answer": "x"})
        assert answer.status_code == 404, path
    with database.reading() as session:
        assert session.get_one(Proposal, suggestion).decided_at is None
        assert session.get_one(Report, report).closed_at is None
        assert session.get(TrustedProposer, (cast.alder.id, BEN)) is not None
        assert session.get(EventBranch, (named, cast.alder.id)) is not None


def test_visitors_are_asked_to_sign_in(ben: TestClient, cast: Cast, suggestion: int) -> None:
    assert ben.get("/organize/queue").headers["location"].startswith("/sign-in")
    assert ben.post(f"/organize/proposals/{suggestion}/acceptance").status_code == 303


# ---------------------------------------------------------------- reports, co-hosts, who would like to organize


def test_ana_deals_with_a_report(ana: TestClient, database: Database, cast: Cast, report: int) -> None:
    page = ana.get("/organize/queue").text
    assert "It has closed or does not take place" in page and "The shutters<br>are down." in page
    assert "Urgent" in page
    for _ in range(2):
        assert ana.post(f"/organize/reports/{report}/closing").status_code == 303
    assert "The shutters" not in ana.get("/organize/queue").text


def test_a_branch_that_does_not_hold_an_event_is_not_named_there_any_more(
    ana: TestClient, ben: TestClient, database: Database, cast: Cast, named: int
) -> None:
    assert "We do not hold it" in ana.get("/organize/queue").text
    assert "Tool night" in ben.get("/branches/alder.ics").text
    for _ in range(2):
        assert ana.post(f"/organize/branches/alder/hostings/{named}/refusal").status_code == 303
    assert "Alder Club" not in ben.get(f"/events/{named}").text.partition("Held by")[2].partition("</dl>")[0]
    assert "STATUS:CANCELLED" in ben.get("/branches/alder.ics").text, "its subscribers are told"
    assert "STATUS:CONFIRMED" in ben.get("/branches/birch.ics").text
    with database.reading() as session:
        assert session.get(HostingRefusal, (named, cast.alder.id)) is not None
        assert state_of(database, named) == ("published", False)
    assert ana.post(f"/organize/branches/alder/hostings/{named}/confirmation").status_code == 409


def test_a_branch_that_does_hold_it_is_not_asked_again(
    ana: TestClient, ben: TestClient, cast: Cast, named: int
) -> None:
    for _ in range(2):
        assert ana.post(f"/organize/branches/alder/hostings/{named}/confirmation").status_code == 303
    assert "We do not hold it" not in ana.get("/organize/queue").text
    assert "Tool night" in ben.get("/branches/alder.ics").text


def test_an_events_own_branch_cannot_decline_it(
    cy: TestClient, dee: TestClient, cast: Cast, named: int
) -> None:
    for client in (cy, dee):
        assert client.post(f"/organize/branches/birch/hostings/{named}/refusal").status_code == 404
        assert "We do not hold it" not in client.get("/organize/queue").text


def test_branch_admins_are_led_to_who_would_like_to_organize(
    ana: TestClient, database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        asked = MembershipRequest(person_id=cast.cy.id or 0, branch_id=cast.alder.id or 0, created_at=NOW)
        session.add(asked)
        session.flush()
        number = asked.id
    address = f'href="/organize/requests/{number}"'
    assert address not in ana.get("/organize/queue").text
    with database.writing() as session:
        permissions.invite(session, session.get_one(Person, cast.ana.id), cast.alder, Role.BRANCH_ADMIN)
    assert address in ana.get("/organize/queue").text
    assert "1 person who would like to organize" in ana.get("/organize").text


def test_the_urgent_come_first_whatever_they_are_then_the_oldest(
    ana: TestClient, database: Database, publishing: Publishing, cast: Cast, report: int, named: int
) -> None:
    with database.writing() as session:
        submitted(session, cast.alder, publishing, NOW - timedelta(days=9), title="Old walk", start=START)
    page = ana.get("/organize/queue").text
    kinds = re.findall(r'aria-labelledby="(report|proposal|naming)-', page)
    assert kinds == ["report", "proposal", "naming"]


# ---------------------------------------------------------------- the desk


def test_a_new_organizer_reads_in_three_lines_what_to_do(ana: TestClient, cast: Cast) -> None:
    page = ana.get("/organize").text
    first_steps = page.partition("How to begin")[2].partition("</ol>")[0]
    assert first_steps.count("<li>") == 3 and "What waits" not in page.partition("How to begin")[0]


def fill(session: Session, cast: Cast, publishing: Publishing) -> None:
    """At Alder a draft, an event, a series and one that is over; at Ash, below it, 60 events."""
    ash = branch("ash", "Ash Street", None)
    ash.parent_id = cast.alder.id
    session.add(ash)
    session.flush()
    series = {"start": datetime(2026, 1, 6, 19), "end": datetime(2026, 1, 6, 21), "title": "Weekly"}
    once = {"rrule": "", "start": START, "end": START + timedelta(hours=2)}
    past = {"rrule": "", "start": datetime(2026, 1, 6, 19), "end": datetime(2026, 1, 6, 21)}
    for draft in (weekly(**once, title="Plan", state="draft"), weekly(**once, title="Coming soon"),
                  weekly(**series), weekly(**past, title="Long ago")):  # fmt: skip
        store.add(session, draft, [cast.alder], publishing, NOW)
    for day in range(60):
        at = START + timedelta(days=day)
        draft = weekly(rrule="", start=at, end=at + timedelta(hours=1), title=f"Evening {day}")
        store.add(session, draft, [ash], publishing, NOW)


def listed(page: str) -> list[str]:
    return re.findall(r'event__title"><a href="/organize/events/\d+"><bdi>([^<]*)', page)


def test_the_desk_lists_a_little_of_everything_and_the_rest_in_pages(
    ana: TestClient, cy: TestClient, database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        fill(session, cast, publishing)
    desk = listed(ana.get("/organize").text)
    assert desk[:3] == ["Plan", "Coming soon", "Evening 0"] and desk[-1] == "Weekly" and len(desk) == 17
    coming = [listed(ana.get(f"/organize?list=coming&page={page}").text) for page in (1, 2)]
    assert [len(page) for page in coming] == [50, 11] and coming[1][-1] == "Evening 59"
    assert ana.get("/organize?list=coming&page=3").status_code == 404
    assert listed(ana.get("/organize?list=over").text) == ["Long ago"]
    assert listed(ana.get("/organize?branch=alder").text) == ["Plan", "Coming soon", "Weekly"]
    assert len(listed(ana.get("/organize?list=coming&branch=ash&page=2").text)) == 10
    assert ana.get("/organize?list=nothing").status_code == 404
    assert ana.get("/organize?branch=birch").status_code == 404
    assert listed(cy.get("/organize").text) == []


def test_of_many_branches_the_first_are_on_the_desk_and_all_on_a_page_of_theirs(
    ana: TestClient, dee: TestClient, database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        for number in range(120):
            row = branch(f"b{number}", f"Branch {number:03}", None)
            row.parent_id = cast.alder.id
            row.derive_keys()
            session.add(row)
    for client in (ana, dee):
        assert client.get("/organize").text.count("Who follows it") == 8
        assert client.get("/organize/my-branches").text.count("Who follows it") == 50
        assert 'href="/organize/branches/alder"' in dee.get("/organize").text
    found = ana.get("/organize/my-branches?q=branch+019").text
    assert found.count("Who follows it") == 1 and "Branch 019" in found
    assert "called like that" in ana.get("/organize/my-branches?q=abedul").text
    assert "Club Abedul" in dee.get("/organize/my-branches?q=abedul").text
    assert ana.get("/organize/my-branches?page=4").status_code == 404


def test_the_desk_leads_where_the_role_allows(ana: TestClient, dee: TestClient, cast: Cast) -> None:
    ana_s, dee_s = ana.get("/organize").text, dee.get("/organize").text
    for path in (
        "/organize/queue",
        "/organize/removed",
        "/organize/imports",
        "/organize/branches/alder/cancellations",
    ):
        assert f'href="{path}"' in ana_s and f'href="{path}"' in dee_s, path
    for path in (
        "/organize/people",
        "/organize/branches#table",
        "/organize/coverage",
        "/organize/branches/alder",
    ):
        assert f'href="{path}"' not in ana_s and f'href="{path}"' in dee_s, path
