"""Who may do what where."""

from collections.abc import Sequence

import pytest
from sqlmodel import Session, select

from events.branches.models import Branch
from events.db import Database
from events.errors import NotFound
from events.people import permissions, sign_in
from events.people.models import Membership, Person, Role
from tests.conftest import NOW, Cast, branch


@pytest.fixture
def tree(database: Database, cast: Cast) -> None:
    """Alder has Aspen below it, Aspen has Ash; Birch has Beech."""
    with database.writing() as session:
        above = {"aspen": "alder", "ash": "aspen", "beech": "birch"}
        for slug, parent in above.items():
            row = branch(slug, slug.title(), None)
            row.parent_id = session.exec(select(Branch.id).where(Branch.slug == parent)).one()
            session.add(row)
            session.flush()


def slugs(branches: Sequence[Branch]) -> list[str]:
    return sorted(branch.slug for branch in branches)


def may_act_for(session: Session, person: Person, least: Role = Role.ORGANIZER) -> list[str]:
    """Tried branch by branch, as a page would."""
    found = []
    for slug in session.exec(select(Branch.slug)).all():
        try:
            found.append(permissions.branch_of(session, person, slug, least).slug)
        except NotFound:
            continue
    return sorted(found)


def test_a_role_at_a_branch_holds_for_everything_below_it(database: Database, cast: Cast, tree: None) -> None:
    with database.reading() as session:
        assert may_act_for(session, cast.ana) == ["alder", "ash", "aspen"]
        assert may_act_for(session, cast.cy) == ["beech", "birch"]
        assert slugs(permissions.branches(session, cast.ana)) == ["alder", "ash", "aspen"]
        assert slugs(permissions.branches(session, cast.cy)) == ["beech", "birch"]


def test_a_role_below_does_not_reach_up(database: Database, cast: Cast, tree: None) -> None:
    with database.writing() as session:
        ben = sign_in.find_or_add(session, "ben@example.org", NOW)
        aspen = session.exec(select(Branch).where(Branch.slug == "aspen")).one()
        permissions.invite(session, ben, aspen, Role.BRANCH_ADMIN)
        session.flush()
        assert may_act_for(session, ben) == ["ash", "aspen"]


def test_a_strangers_branch_is_not_admitted_to_exist(database: Database, cast: Cast) -> None:
    with database.reading() as session:
        with pytest.raises(NotFound) as strangers:
            permissions.branch_of(session, cast.cy, "alder")
        with pytest.raises(NotFound) as nowhere:
            permissions.branch_of(session, cast.cy, "nowhere")
    assert str(strangers.value) == str(nowhere.value)


def test_an_admin_may_act_everywhere(database: Database, cast: Cast, tree: None) -> None:
    everywhere = ["alder", "ash", "aspen", "beech", "birch"]
    with database.reading() as session:
        assert may_act_for(session, cast.dee, Role.ADMIN) == everywhere
        assert slugs(permissions.branches(session, cast.dee)) == everywhere


def test_somebody_without_a_role_may_act_nowhere(database: Database, cast: Cast, tree: None) -> None:
    with database.writing() as session:
        ben = sign_in.find_or_add(session, "ben@example.org", NOW)
        assert may_act_for(session, ben) == []
        assert permissions.branches(session, ben) == []
        assert permissions.highest_role(session, ben) is None


def test_organizers_and_admins_have_a_desk(database: Database, cast: Cast) -> None:
    with database.reading() as session:
        roles = [permissions.highest_role(session, one) for one in (cast.ana, cast.cy, cast.dee)]
    assert roles == [Role.ORGANIZER, Role.ORGANIZER, Role.ADMIN]


def test_what_needs_a_higher_role_is_refused_to_a_lower(database: Database, cast: Cast, tree: None) -> None:
    with database.writing() as session:
        alder = session.get_one(Branch, cast.alder.id)
        assert may_act_for(session, cast.ana, Role.BRANCH_ADMIN) == []
        permissions.invite(session, cast.ana, alder, Role.BRANCH_ADMIN)
        session.flush()
        assert may_act_for(session, cast.ana, Role.BRANCH_ADMIN) == ["alder", "ash", "aspen"]
        assert may_act_for(session, cast.ana, Role.ADMIN) == []


def test_a_higher_role_below_a_lower_one_counts_where_it_was_given(
    database: Database, cast: Cast, tree: None
) -> None:
    with database.writing() as session:
        aspen = session.exec(select(Branch).where(Branch.slug == "aspen")).one()
        permissions.invite(session, cast.ana, aspen, Role.BRANCH_ADMIN)
        session.flush()
        assert may_act_for(session, cast.ana) == ["alder", "ash", "aspen"]
        assert may_act_for(session, cast.ana, Role.BRANCH_ADMIN) == ["ash", "aspen"]


def test_inviting_again_changes_the_role_and_adds_no_second(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        permissions.invite(session, cast.ana, session.get_one(Branch, cast.alder.id), Role.BRANCH_ADMIN)
    with database.reading() as session:
        found = session.exec(select(Membership).where(Membership.person_id == cast.ana.id)).all()
    assert [membership.role for membership in found] == ["branch-admin"]


def test_an_organizer_of_no_branch_is_a_mistake(database: Database, cast: Cast) -> None:
    with pytest.raises(ValueError, match="belongs to a branch"), database.writing() as session:
        permissions.invite(session, cast.ana, None, Role.ORGANIZER)


def test_branches_that_are_each_others_parents_end_the_search(database: Database, cast: Cast) -> None:
    """No form lets that happen; a hand in the database might."""
    with database.writing() as session:
        session.get_one(Branch, cast.alder.id).parent_id = cast.birch.id
        session.get_one(Branch, cast.birch.id).parent_id = cast.alder.id
    with database.reading() as session:
        assert may_act_for(session, cast.ana) == ["alder", "birch"]


def test_the_people_of_a_branch_are_those_with_a_role_there_or_above(
    database: Database, cast: Cast, tree: None
) -> None:
    def emails(session: Session, slug: str, least: Role) -> list[str]:
        found = session.exec(select(Branch).where(Branch.slug == slug)).one()
        return [person.email for person in permissions.people_of(session, found, least)]

    with database.reading() as session:
        assert emails(session, "ash", Role.ORGANIZER) == ["ana@example.org"]
        assert emails(session, "ash", Role.BRANCH_ADMIN) == ["dee@example.org"], "an admin where nobody is"


def test_who_is_not_trusted_at_a_branch_is_not_below_it_either(
    database: Database, cast: Cast, tree: None
) -> None:
    with database.writing() as session:
        ash, aspen = (
            session.exec(select(Branch).where(Branch.slug == slug)).one() for slug in ("ash", "aspen")
        )
        permissions.invite(session, cast.ana, cast.alder, Role.ORGANIZER, trusted=False)
        session.flush()
        assert not permissions.is_trusted(session, cast.ana, ash)
        permissions.invite(session, cast.ana, aspen, Role.ORGANIZER)
        session.flush()
        assert permissions.is_trusted(session, cast.ana, ash)
        assert not permissions.is_trusted(session, cast.ana, cast.alder)
        assert permissions.is_trusted(session, cast.dee, ash) and not permissions.is_trusted(
            session, cast.cy, ash
        )
