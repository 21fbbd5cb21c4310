"""Ben asks to organize at Alder; Ana, its admin, decides; Cy organizes elsewhere and must be refused."""

import json
import re
from datetime import UTC, datetime

import pytest
from sqlmodel import col, select
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events.branches.models import Branch, Status
from events.db import Database
from events.messages.models import OutgoingMail
from events.people import joining, permissions, sign_in
from events.people.models import Membership, MembershipRequest, OneTimeLink, Person, Role
from tests.conftest import Cast, branch, browser, signed_in
from tests.web.test_people import link_in, newest_mail

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

BEN = {"name": "Ben Ortiz", "email": "ben@example.org", "branch": "alder", "note": "I fix bikes."}


@pytest.fixture
def lead(app: Starlette, database: Database, cast: Cast) -> TestClient:
    """Ana, who is admin of Alder."""
    with database.writing() as session:
        permissions.invite(session, cast.ana, cast.alder, Role.BRANCH_ADMIN)
    return signed_in(app, database, cast.ana)


def registered(ben: TestClient, database: Database, **more: str) -> str:
    """The link in Ben's mail."""
    answer = ben.post("/register", data={**BEN, **more})
    assert answer.headers["location"].endswith("/register/sent")
    return link_in(newest_mail(database))


def asked(ben: TestClient, database: Database, **more: str) -> int:
    """The number of the request that Ben's link has made."""
    assert ben.post(registered(ben, database, **more)).headers["location"].endswith("/account/requests")
    with database.reading() as session:
        return (
            session.exec(select(MembershipRequest.id).order_by(col(MembershipRequest.id).desc())).first() or 0
        )


def role_of(database: Database, email: str, slug: str = "alder") -> tuple[str, bool] | None:
    query = select(Membership).join(Person).join(Branch).where(Person.email == email, Branch.slug == slug)
    with database.reading() as session:
        found = session.exec(query).one_or_none()
        return (found.role, found.trusted) if found else None


def mails(database: Database) -> int:
    with database.reading() as session:
        return len(session.exec(select(OutgoingMail)).all())


def number_of(database: Database, email: str) -> int:
    with database.reading() as session:
        return session.exec(select(Person.id).where(Person.email == email)).one() or 0


# ---------------------------------------------------------------- registering


def test_ben_registers_and_his_request_waits_once_he_has_opened_the_link(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    link = registered(ben, database)
    with database.reading() as session:
        assert session.exec(select(MembershipRequest)).all() == []
    assert "Ask to organize at Alder Club?" in ben.get(link).text
    assert ben.post(link).headers["location"] == "/account/requests"
    page = ben.get("/account/requests").text
    assert "Alder Club" in page and "you get an e-mail either way" in page
    assert "Alder Club" in ben.get("/account").text
    with database.reading() as session:
        [(request, person, at)] = joining.waiting(session, cast.dee)
        assert (person.name, person.email, at.slug, request.note) == (
            "Ben Ortiz", "ben@example.org", "alder", "I fix bikes.",
        )  # fmt: skip
    assert ben.get("/organize").status_code == 404, "nobody has answered yet"


def test_asking_twice_makes_one_request(ben: TestClient, database: Database, cast: Cast) -> None:
    assert asked(ben, database) == asked(ben, database, note="Again.")


def test_the_answer_is_the_same_for_an_address_that_has_an_account(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    known, unknown = (
        ben.post("/register", data={**BEN, "email": email}) for email in ("cy@example.org", "x@example.org")
    )
    assert (known.status_code, known.headers["location"]) == (
        unknown.status_code,
        unknown.headers["location"],
    )
    assert mails(database) == 2
    with database.reading() as session:
        assert session.get_one(Person, cast.cy.id).name == "", "a stranger names nobody"


def test_nothing_that_was_typed_stands_in_the_mail_but_the_branch(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    registered(ben, database, name="BUY PILLS", note="https://evil.example")
    mail = newest_mail(database)
    assert mail and "Alder Club" in mail.body and "PILLS" not in mail.body and "evil" not in mail.body


def test_who_organizes_there_already_goes_to_the_desk(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    link = registered(ben, database, email="ana@example.org")
    assert ben.post(link).headers["location"] == "/organize"
    with database.reading() as session:
        assert session.exec(select(MembershipRequest)).all() == []


def test_a_program_that_fills_in_everything_gets_the_same_page_and_no_mail(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    answer = ben.post("/register", data={**BEN, "website": "x"})
    assert answer.headers["location"] == "/register/sent" and newest_mail(database) is None
    with database.reading() as session:
        assert sign_in.find(session, "ben@example.org") is None


def test_all_faults_are_said_at_once_and_what_was_typed_stays(ben: TestClient, cast: Cast) -> None:
    answer = ben.post(
        "/register", data={"name": " ", "email": "ben at", "branch": "nowhere", "note": "Hello"}
    )
    assert answer.status_code == 422
    assert re.findall(r'<li><a href="#(\w+)">', answer.text) == ["name", "email", "branch"]
    assert 'value="ben at"' in answer.text and "Hello" in answer.text
    long = ben.post("/register", data={**BEN, "name": "x" * 101, "note": "y" * 1001})
    assert re.findall(r'<li><a href="#(\w+)">', long.text) == ["name", "note"]


def test_a_branch_that_closed_meanwhile_is_gone(ben: TestClient, database: Database, cast: Cast) -> None:
    link = registered(ben, database)
    with database.writing() as session:
        session.get_one(Branch, cast.alder.id).status = Status.CLOSED
    assert ben.get(link).status_code == 410 and ben.post(link).status_code == 410
    assert ben.post("/register", data=BEN).status_code == 422


# ---------------------------------------------------------------- choosing the branch


@pytest.fixture
def many(database: Database, cast: Cast) -> None:
    """More branches than fit into a menu, three of one name."""
    with database.writing() as session:
        for number in range(40):
            name = "Central Library" if number < 3 else f"Branch {number}"
            row = branch(f"b{number}", name, None, city=f"Town {number}")
            row.derive_keys()
            session.add(row)


def test_a_few_branches_are_a_menu_in_which_that_of_the_link_is_chosen(ben: TestClient, cast: Cast) -> None:
    page = ben.get("/register?branch=birch").text
    assert re.findall(r'<option value="(\w*)"', page) == ["", "alder", "birch"]
    assert '<option value="birch" selected>' in page
    assert ben.get("/register?branch=nowhere").status_code == 200


def test_of_several_branches_of_one_name_one_is_chosen(
    ben: TestClient, database: Database, many: None
) -> None:
    assert "<select" not in ben.get("/register").text
    several = ben.post("/register", data={**BEN, "branch": "central library"})
    assert several.status_code == 422 and 'href="#choice"' in several.text
    assert re.findall(r'type="radio" id="[\w-]+" name="choice" value="(\w+)"', several.text) == [
        "b0",
        "b1",
        "b2",
    ]
    assert "Central Library, Town 1" in several.text and 'value="central library"' in several.text
    form = {**BEN, "branch": "central library", "meant": "central library", "choice": "b1"}
    kept = ben.post("/register", data={**form, "email": ""})
    assert kept.status_code == 422 and re.search(r'value="b1" checked', kept.text)
    assert ben.post("/register", data=form).status_code == 303
    with database.reading() as session:
        detail = json.loads(session.exec(select(OneTimeLink.detail)).one())
        assert session.get_one(Branch, detail["branch"]).slug == "b1"


def test_who_types_another_name_after_a_choice_means_that(
    ben: TestClient, database: Database, many: None
) -> None:
    assert 'value="b1" checked' in ben.get("/register?branch=b1").text
    form = {**BEN, "meant": "", "choice": "b1", "branch": "Branch 7"}
    assert "Branch 7" in ben.get(registered(ben, database, **form)).text
    assert "Central Library" in ben.get(registered(ben, database, **{**form, "branch": ""})).text


def test_too_many_branches_of_one_name_ask_for_the_town(
    ben: TestClient, database: Database, many: None
) -> None:
    assert "add the town" in ben.post("/register", data={**BEN, "branch": "branch"}).text
    assert "Branch 7" in ben.get(registered(ben, database, branch="branch 7, town 7")).text


def test_a_text_that_no_branch_can_be_called_by_is_answered_like_any_other(
    ben: TestClient, lead: TestClient, database: Database, many: None
) -> None:
    long = "x" * 100_000
    answer = ben.post("/register", data={**BEN, "branch": long})
    assert answer.status_code == 422 and "no branch of that name" in answer.text and long in answer.text
    invited = lead.post("/organize/people", data={**INVITATION, "branch": long})
    assert invited.status_code == 422 and 'href="#branch"' in invited.text
    assert lead.get("/organize/people", params={"q": "x" * 60_000}).status_code == 200


# ---------------------------------------------------------------- deciding


def test_ana_accepts_and_ben_hears_of_it_in_his_language(
    ben: TestClient, lead: TestClient, database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        sign_in.find_or_add(session, "ben@example.org", datetime.now(UTC), "es")
    number = asked(ben, database)
    with database.writing() as session:
        session.get_one(Person, number_of(database, "ben@example.org")).language = "es"
    assert f'href="/organize/requests/{number}"' in lead.get("/organize/people").text
    page = lead.get(f"/organize/requests/{number}").text
    assert "Ben Ortiz" in page and "I fix bikes." in page
    before, answer = mails(database), {"role": "organizer", "trusted": "no"}
    for _ in range(2):
        accepted = lead.post(f"/organize/requests/{number}/acceptance", data=answer)
        assert accepted.headers["location"] == "/organize/people?done=accepted"
    assert mails(database) == before + 1, "sent twice, it acts once"
    mail = newest_mail(database)
    assert mail and mail.recipient == "ben@example.org"
    assert "http://localhost:8000/es/organize" in mail.body
    assert role_of(database, "ben@example.org") == ("organizer", False)
    assert ben.get("/organize").status_code == 200
    assert "was accepted" in lead.get(f"/organize/requests/{number}").text
    assert lead.post(f"/organize/requests/{number}/refusal").status_code == 409


def test_ana_declines_with_a_sentence(
    ben: TestClient, lead: TestClient, database: Database, cast: Cast
) -> None:
    number = asked(ben, database)
    long = lead.post(f"/organize/requests/{number}/refusal", data={"answer": "x" * 1001})
    assert long.status_code == 422 and "x" * 1001 in long.text
    lead.post(f"/organize/requests/{number}/refusal", data={"answer": "Come and visit us first."})
    mail = newest_mail(database)
    assert mail and "has not accepted" in mail.body and "Come and visit us first." in mail.body
    assert role_of(database, "ben@example.org") is None
    assert lead.post(f"/organize/requests/{number}/acceptance").status_code == 409


def test_of_many_requests_the_first_fifty_are_listed_and_the_others_counted(
    lead: TestClient, database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        for number in range(53):
            person = sign_in.find_or_add(session, f"p{number:02}@example.org", datetime.now(UTC))
            joining.ask(session, person, cast.alder, "", datetime.now(UTC))
    page = lead.get("/organize/people").text
    assert page.count('href="/organize/requests/') == 50 and "3 more wait" in page
    assert lead.get("/organize/queue").text.count('href="/organize/requests/') == 50
    assert "53 " in lead.get("/organize").text


def test_nobody_else_sees_or_decides_a_request(
    ben: TestClient, lead: TestClient, cy: TestClient, database: Database, cast: Cast
) -> None:
    number = asked(ben, database, branch="birch")
    with database.writing() as session:
        permissions.invite(session, cast.cy, cast.birch, Role.ORGANIZER)
    for client in (lead, cy, ben):
        assert client.get(f"/organize/requests/{number}").status_code == 404
        for verb in ("acceptance", "refusal"):
            assert client.post(f"/organize/requests/{number}/{verb}").status_code == 404
    assert "Ben Ortiz" not in lead.get("/organize/people").text
    assert cy.get("/organize/people").status_code == 404
    assert lead.get("/organize/requests/x").status_code == 404
    forged = lead.post(f"/organize/requests/{number}/acceptance", data={"role": "admin"})
    assert forged.status_code == 404


# ---------------------------------------------------------------- inviting and changing

INVITATION = {
    "email": "eve@example.org",
    "name": "Eve",
    "branch": "alder",
    "role": "organizer",
    "trusted": "no",
}


def test_ana_invites_eve_who_gets_in_by_the_link_in_her_mail(
    app: Starlette, lead: TestClient, database: Database, cast: Cast
) -> None:
    assert (
        lead.post("/organize/people", data=INVITATION).headers["location"] == "/organize/people?done=invited"
    )
    mail = newest_mail(database)
    assert mail and mail.recipient == "eve@example.org" and "ana@example.org invites you" in mail.body
    eve = browser(app)
    assert "Welcome to Hazel Clubs" in eve.get(link_in(mail)).text
    assert eve.post(link_in(mail)).headers["location"] == "/organize"
    assert role_of(database, "eve@example.org") == ("organizer", False)
    page = lead.get("/organize/people").text
    assert "Eve" in page and "Posts wait for approval" in page


def test_inviting_somebody_who_is_there_changes_the_role_and_says_so(
    lead: TestClient, database: Database, cast: Cast
) -> None:
    lead.post("/organize/people", data=INVITATION)
    before = mails(database)
    again = lead.post("/organize/people", data={**INVITATION, "role": "branch-admin", "trusted": "yes"})
    assert again.headers["location"] == "/organize/people?done=there" and mails(database) == before
    assert "They were there already" in lead.get(again.headers["location"]).text
    assert role_of(database, "eve@example.org") == ("branch-admin", True)


def test_inviting_names_nobody_who_has_an_account(lead: TestClient, database: Database, cast: Cast) -> None:
    lead.post("/organize/people", data={**INVITATION, "email": "cy@example.org", "name": "Silly"})
    assert role_of(database, "cy@example.org") == ("organizer", False)
    with database.reading() as session:
        assert session.get_one(Person, cast.cy.id).name == ""


def test_an_invitation_speaks_the_language_of_the_page(
    lead: TestClient, database: Database, cast: Cast
) -> None:
    lead.post("/es/organize/people", data=INVITATION)
    mail = newest_mail(database)
    assert mail and "/es/sign-in/" in mail.body


def test_faults_of_an_invitation_are_said_at_once(lead: TestClient, database: Database, cast: Cast) -> None:
    answer = lead.post("/organize/people", data={"email": "eve", "role": "king", "branch": "", "name": "E"})
    assert answer.status_code == 422 and 'value="eve"' in answer.text and 'value="E"' in answer.text
    assert re.findall(r'<li><a href="#(\w+)">', answer.text) == ["email", "role", "branch"]


def test_a_branch_admin_gives_no_admin_and_no_role_elsewhere(
    lead: TestClient, database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        session.get_one(Branch, cast.alder.id).parent_id = cast.birch.id
    admin = lead.post("/organize/people", data={**INVITATION, "role": "admin"})
    assert admin.status_code == 422 and 'href="#role"' in admin.text and 'value="admin"' not in admin.text
    above = lead.post("/organize/people", data={**INVITATION, "branch": "birch"})
    assert above.status_code == 422 and 'href="#branch"' in above.text
    with database.reading() as session:
        assert sign_in.find(session, "eve@example.org") is None
    dee, cy = number_of(database, "dee@example.org"), number_of(database, "cy@example.org")
    assert lead.post(f"/organize/people/{dee}/administration/removal").status_code == 404
    for path in (f"/organize/people/{cy}/branches/birch", f"/organize/people/{cy}/branches/alder",
                 f"/organize/people/{dee}/branches/alder", "/organize/people/99999999999/branches/alder"):  # fmt: skip
        assert lead.get(path).status_code == 404, path
        assert lead.post(path, data={"role": "organizer"}).status_code == 404, path
        assert lead.post(f"{path}/removal").status_code == 404, path
    assert "cy@example.org" not in lead.get("/organize/people").text
    assert role_of(database, "cy@example.org", "birch") == ("organizer", True)


def test_ana_changes_a_role_and_removes_from_the_branch(
    lead: TestClient, database: Database, cast: Cast
) -> None:
    lead.post("/organize/people", data=INVITATION)
    path = f"/organize/people/{number_of(database, 'eve@example.org')}/branches/alder"
    page = lead.get(path).text
    assert re.search(r'value="organizer" checked', page) and re.search(r'value="no" checked', page)
    wrong = lead.post(path, data={"role": "admin", "trusted": "yes"})
    assert wrong.status_code == 422 and role_of(database, "eve@example.org") == ("organizer", False)
    lead.post(path, data={"role": "branch-admin", "trusted": "yes"})
    assert role_of(database, "eve@example.org") == ("branch-admin", True)
    assert lead.post(f"{path}/removal").headers["location"] == "/organize/people?done=removed"
    assert role_of(database, "eve@example.org") is None
    assert lead.get(path).status_code == 404


def test_who_lowers_themselves_lands_where_they_still_may_be(
    lead: TestClient, database: Database, cast: Cast
) -> None:
    path = f"/organize/people/{cast.ana.id}/branches/alder"
    answer = lead.post(path, data={"role": "organizer", "trusted": "yes"})
    assert lead.get(answer.headers["location"]).status_code == 200
    assert lead.get("/organize/people").status_code == 404


def test_admins_make_admins_and_the_last_one_stays(
    app: Starlette, dee: TestClient, database: Database, cast: Cast
) -> None:
    dees = f"/organize/people/{cast.dee.id}/administration/removal"
    last = dee.post(dees)
    assert last.status_code == 409 and "last admin" in last.text
    dee.post("/organize/people", data={"email": "eve@example.org", "role": "admin", "branch": ""})
    mail = newest_mail(database)
    assert mail and "as an admin of the whole site" in mail.body
    eve = browser(app)
    eve.post(link_in(mail))
    assert eve.get("/organize/coverage").status_code == 200
    assert "eve@example.org" in dee.get("/organize/people").text
    assert dee.post(dees).headers["location"] == "/account?done=no-admin"
    assert dee.get("/organize/people").status_code == 404
    assert eve.post(dees).status_code == 404, "she is none any more"


def test_the_list_has_pages_and_is_searched(dee: TestClient, database: Database, cast: Cast) -> None:
    with database.writing() as session:
        for number in range(60):
            person = sign_in.find_or_add(session, f"p{number:02}@example.org", datetime.now(UTC))
            permissions.invite(session, person, cast.alder, Role.ORGANIZER)
    first, second = dee.get("/organize/people").text, dee.get("/organize/people?page=2").text
    assert "p10@" in first and "p55@" not in first and "p55@" in second
    assert "p55@" in dee.get("/organize/people?q=P55").text
    assert "Nobody found" in dee.get("/organize/people?q=zzz").text
    assert [dee.get(f"/organize/people?page={page}").status_code for page in ("3", "0")] == [404, 422]
