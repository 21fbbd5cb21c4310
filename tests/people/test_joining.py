"""Asking to organize, deciding, inviting, leaving."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlmodel import Session, select

from events.branches.models import Branch, FormerSlug
from events.db import Database
from events.errors import Conflict, NotFound
from events.people import joining, permissions, sign_in
from events.people.joining import called
from events.people.models import Membership, MembershipRequest, Person, Role
from tests.conftest import NOW, Cast, branch


@pytest.fixture
def ben(database: Database, cast: Cast) -> Person:
    with database.writing() as session:
        return sign_in.find_or_add(session, "ben@example.org", NOW)


def below(database: Database, slug: str, parent: Branch, **more: str) -> Branch:
    with database.writing() as session:
        row = branch(slug, slug.title(), None, **more)
        row.parent_id = parent.id
        row.derive_keys()
        session.add(row)
        return row


def lead(database: Database, person: Person, at: Branch) -> None:
    with database.writing() as session:
        permissions.invite(session, person, at, Role.BRANCH_ADMIN)


def ask(database: Database, person: Person, at: Branch) -> bool:
    with database.writing() as session:
        return joining.ask(session, person, at, "I fix bikes.", NOW)


def waiting(session: Session, person: Person) -> list[tuple[str, str]]:
    return [(asker.email, at.slug) for _, asker, at in joining.waiting(session, person)]


def roles(database: Database) -> dict[str, tuple[str, bool]]:
    """At Alder, by address."""
    query = select(Person.email, Membership.role, Membership.trusted).join(Membership)
    with database.reading() as session:
        found = session.exec(query.join(Branch).where(Branch.slug == "alder")).all()
    return {email: (role, trusted) for email, role, trusted in found}


def at_once(work: Callable[[int], object]) -> list[object]:
    start = threading.Barrier(2)

    def begun(number: int) -> object:
        start.wait(10)
        return work(number)

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(begun, range(2)))


# ---------------------------------------------------------------- asking and deciding


def test_a_request_waits_for_the_branchs_admin_for_those_above_and_for_admins(
    database: Database, cast: Cast, ben: Person
) -> None:
    ash = below(database, "ash", cast.alder)
    lead(database, cast.ana, cast.alder)
    ask(database, ben, ash)
    with database.reading() as session:
        assert waiting(session, cast.ana) == waiting(session, cast.dee) == [("ben@example.org", "ash")]
        assert waiting(session, cast.cy) == []


def test_requests_are_counted_and_the_oldest_listed(database: Database, cast: Cast) -> None:
    lead(database, cast.ana, cast.alder)
    with database.writing() as session:
        for number in range(joining.PAGE + 3):
            one = sign_in.find_or_add(session, f"p{number:02}@example.org", NOW)
            joining.ask(session, one, cast.alder, "", NOW + timedelta(minutes=number))
        joining.ask(session, one, cast.birch, "", NOW)
        joining.refuse(session, joining.waiting(session, cast.ana)[0], NOW)
    with database.reading() as session:
        listed = waiting(session, cast.ana)
        assert len(listed) == joining.PAGE and listed[0] == ("p01@example.org", "alder")
        assert len(joining.waiting(session, cast.ana, 2)) == 2
        counted = [joining.number_waiting(session, person) for person in (cast.ana, cast.dee, cast.cy)]
    assert counted == [joining.PAGE + 2, joining.PAGE + 3, 0]


def test_organizers_do_not_decide_and_nor_do_admins_of_a_branch_below(
    database: Database, cast: Cast, ben: Person
) -> None:
    ash = below(database, "ash", cast.alder)
    lead(database, cast.cy, ash)
    ask(database, ben, cast.alder)
    with database.reading() as session:
        assert waiting(session, cast.ana) == waiting(session, cast.cy) == []
        number = session.exec(select(MembershipRequest.id)).one() or 0
        for stranger in (cast.ana, cast.cy, ben):
            with pytest.raises(NotFound):
                joining.request_for(session, stranger, number)
        assert joining.request_for(session, cast.dee, number)[1].email == "ben@example.org"


def test_asking_again_while_nobody_has_answered_adds_nothing(
    database: Database, cast: Cast, ben: Person
) -> None:
    assert [ask(database, ben, cast.alder) for _ in range(2)] == [True, True]
    assert at_once(lambda _: ask(database, ben, cast.birch)) == [True, True]
    with database.reading() as session:
        assert waiting(session, cast.dee) == [("ben@example.org", "alder"), ("ben@example.org", "birch")]
        assert len(joining.asked_by(session, ben)) == 2


def test_who_may_act_there_already_has_nothing_to_ask(database: Database, cast: Cast) -> None:
    ash = below(database, "ash", cast.alder)
    assert not ask(database, cast.ana, cast.alder) and not ask(database, cast.ana, ash)
    assert not ask(database, cast.dee, cast.birch)
    with database.reading() as session:
        assert waiting(session, cast.dee) == []


def test_accepting_gives_the_role_and_refusing_gives_nothing(
    database: Database, cast: Cast, ben: Person
) -> None:
    for at in (cast.alder, cast.birch):
        ask(database, ben, at)
    with database.writing() as session:
        first, second = joining.waiting(session, cast.dee)
        assert joining.accept(session, first, Role.BRANCH_ADMIN, False, NOW)
        assert joining.refuse(session, second, NOW)
        assert waiting(session, cast.dee) == []
    assert roles(database)["ben@example.org"] == ("branch-admin", False)
    with database.reading() as session:
        assert [at.slug for at in permissions.branches(session, ben)] == ["alder"]
    assert ask(database, ben, cast.birch), "and may ask again"


def test_a_decision_made_twice_counts_once_and_the_opposite_is_a_conflict(
    database: Database, cast: Cast, ben: Person
) -> None:
    ask(database, ben, cast.alder)
    with database.writing() as session:
        [asked] = joining.waiting(session, cast.dee)
        assert joining.accept(session, asked, Role.ORGANIZER, True, NOW)
        assert not joining.accept(session, asked, Role.BRANCH_ADMIN, True, NOW)
        with pytest.raises(Conflict, match="answered already"):
            joining.refuse(session, asked, NOW)
    assert roles(database)["ben@example.org"] == ("organizer", True)


def test_accepting_lowers_nobody_who_has_more_by_now(database: Database, cast: Cast, ben: Person) -> None:
    ask(database, ben, cast.alder)
    lead(database, ben, cast.alder)
    with database.writing() as session:
        [asked] = joining.waiting(session, cast.dee)
        joining.accept(session, asked, Role.ORGANIZER, False, NOW)
    assert roles(database)["ben@example.org"] == ("branch-admin", True)


# ---------------------------------------------------------------- who is there


def test_an_invitation_answers_what_the_person_asked_for(database: Database, cast: Cast, ben: Person) -> None:
    ask(database, ben, cast.alder)
    with database.writing() as session:
        assert joining.invite(session, ben, cast.alder, Role.ORGANIZER, False, NOW)
        assert waiting(session, cast.dee) == []
        assert not joining.invite(session, ben, cast.alder, Role.BRANCH_ADMIN, True, NOW), "was there"
        assert joining.invite(session, ben, None, Role.ADMIN, True, NOW)
        assert not joining.invite(session, ben, None, Role.ADMIN, True, NOW)
    assert roles(database)["ben@example.org"] == ("branch-admin", True)


def test_the_list_holds_those_of_ones_own_branches_and_below(database: Database, cast: Cast) -> None:
    ash = below(database, "ash", cast.alder)
    lead(database, cast.cy, ash)

    def listed(person: Person, text: str = "") -> list[str]:
        with database.reading() as session:
            found, _ = joining.members(session, person, 1, text)
            return [f"{member.email.partition('@')[0]} {at.slug}" for _, member, at in found]

    assert listed(cast.ana) == [], "organizers change nobody"
    assert listed(cast.cy) == ["cy ash"]
    assert listed(cast.dee) == ["ana alder", "cy ash", "cy birch"]
    assert listed(cast.dee, "ANA@") == ["ana alder"] and listed(cast.dee, "abedul") == ["cy birch"]
    assert listed(cast.dee, "%") == listed(cast.dee, "nobody") == listed(cast.cy, "abedul") == []
    with database.reading() as session, pytest.raises(NotFound):
        joining.members(session, cast.dee, 2)


def test_only_whom_one_may_change_is_found(database: Database, cast: Cast) -> None:
    lead(database, cast.ana, cast.alder)
    ana, cy = cast.ana.id or 0, cast.cy.id or 0
    with database.reading() as session:
        assert joining.member_at(session, cast.ana, ana, "alder")[0].role == "branch-admin"
        for person, number, slug in (
            (cast.ana, cy, "birch"), (cast.ana, cy, "alder"), (cast.ana, 999, "alder"), (cast.cy, cy, "birch"),
        ):  # fmt: skip
            with pytest.raises(NotFound):
                joining.member_at(session, person, number, slug)


def test_one_leaves_a_branch_where_one_is(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        with pytest.raises(NotFound):
            joining.leave(session, cast.ana, "birch")
        joining.leave(session, cast.ana, "alder")
    assert roles(database) == {}


def test_the_last_admin_of_the_site_stays(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        dee, ana = session.get_one(Person, cast.dee.id), session.get_one(Person, cast.ana.id)
        with pytest.raises(Conflict, match="last admin"):
            joining.end_administration(session, dee)
        joining.keep_an_admin(session, ana)  # who is none may go
        permissions.invite(session, ana, None, Role.ADMIN)

    def ana_goes() -> bool:
        try:
            with database.writing() as session:
                joining.end_administration(session, session.get_one(Person, cast.ana.id))
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(1) as pool:
        with database.writing() as session:
            joining.end_administration(session, session.get_one(Person, cast.dee.id))
            session.flush()
            second = pool.submit(ana_goes)
            time.sleep(0.2)  # until it waits for this transaction
        assert second.result() is False, "of two who go at the same moment, one stays"
    with database.reading() as session:
        assert len(joining.admins(session)) == 1


# ---------------------------------------------------------------- which branch


@pytest.fixture
def libraries(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        for slug, city, status in (
            ("central", "Springfield", "active"), ("central-2", "Shelbyville", "active"),
            ("central-3", "Ogdenville", "closed"), ("north-haverbrook", "North Haverbrook", "forming"),
        ):  # fmt: skip
            row = branch(
                slug,
                "Central Library" if "central" in slug else "North Haverbrook",
                None,
                city=city,
                status=status,
            )
            row.derive_keys()
            session.add(row)
            session.flush()
            session.add(FormerSlug(slug=f"old-{slug}", branch_id=row.id or 0))


MEANT: tuple[tuple[str, list[str]], ...] = (
    ("central-2", ["central-2"]),
    ("old-central-2", ["central-2"]),
    ("https://hazel.example/es/branches/central-2?x=1", ["central-2"]),
    ("  north  HAVERBROOK ", ["north-haverbrook"]),
    ("Central Library", ["central", "central-2"]),
    ("central library, SHELBYVILLE", ["central-2"]),
    ("libra", ["central", "central-2"]),
    ("haver", ["north-haverbrook"]),
    ("Central Library, Ogdenville", []),
    ("central-3", []),
    ("li", []),
    ("%", []),
    ("", []),
    (",", []),
    ("nowhere", []),
)


def test_a_branch_is_found_by_what_people_type(database: Database, libraries: None) -> None:
    with database.reading() as session:
        for typed, meant in MEANT:
            assert sorted(found.slug for found in called(session, typed)) == meant, typed


def test_within_ones_own_branches_nothing_else_is_found(
    database: Database, cast: Cast, libraries: None
) -> None:
    with database.reading() as session:
        mine = permissions.branch_ids(cast.cy)
        assert [found.slug for found in called(session, "birch", mine)] == ["birch"]
        assert not called(session, "central-2", mine) and not called(session, "Central Library", mine)
        assert [found.slug for found in joining.few(session, mine)] == ["birch"]
        assert [found.slug for found in joining.few(session)] == [
            "alder", "central", "central-2", "birch", "north-haverbrook",
        ]  # fmt: skip


def test_many_branches_are_no_menu(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        session.add_all(branch(f"b{number}", f"Branch {number}", None) for number in range(29))
    with database.reading() as session:
        assert joining.few(session) == ()
