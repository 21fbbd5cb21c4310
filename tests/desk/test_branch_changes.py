"""A branch changes, leaves versions, and can be had back: on both engines."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import Session, col, select

from events.branches.drafts import BranchDraft
from events.branches.models import Branch, FormerSlug, ServiceKey
from events.db import Database
from events.desk import branch_changes
from events.errors import Conflict, NotFound
from events.people import history, permissions
from events.people.models import Person, Role
from events.places.lookup import Gazetteer
from tests.conftest import NOW, Cast, branch

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def nowhere(tmp_path: Path) -> Gazetteer:
    return Gazetteer(tmp_path / "none.db")


def change(session: Session, row: Branch, nowhere: Gazetteer, **said: object) -> None:
    draft = BranchDraft.model_validate({"name": row.name, **said})
    with branch_changes.recorded(session, row, "changed", None, LATER):
        branch_changes.change(session, row, draft, nowhere, None)


def test_a_change_is_written_with_all_that_follows_from_it_and_had_back(
    database: Database, cast: Cast, nowhere: Gazetteer
) -> None:
    with database.writing() as session:
        alder = session.get_one(Branch, cast.alder.id)
        before = branch_changes.snapshot(session, alder)
        said = {
            "slug": "alder-club",
            "city": "Évanston",
            "service_area": "codes: 606*",
            "latitude": 40,
            "longitude": -3,
        }
        change(session, alder, nowhere, **said)
        assert (alder.city_key, alder.geocode_accuracy, alder.updated_at) == ("evanston", "exact", LATER)
        assert session.exec(select(FormerSlug.slug)).all() == ["alder"]
        assert "begin:US:606" in session.exec(select(ServiceKey.key)).all()
        change(session, alder, nowhere)
        found, changed = reversed(history.versions(session, branch_changes.subject(alder)))
        assert (found.action, found.snapshot, changed.snapshot["city"]) == ("found", before, "Évanston")
        with branch_changes.recorded(session, alder, "restored", None, LATER):
            branch_changes.restore(session, alder, found, nowhere, by_admin=True)
        assert branch_changes.snapshot(session, alder) == before
        assert session.exec(select(ServiceKey.key)).all() == []


def test_an_address_or_reference_that_is_taken_in_the_meantime_is_a_conflict(
    database: Database, cast: Cast, nowhere: Gazetteer
) -> None:
    with database.writing() as session:
        session.get_one(Branch, cast.birch.id).external_id = "B1"
    for said in ({"slug": "birch"}, {"external_id": "B1"}):
        with pytest.raises(Conflict, match="has just taken"), database.writing() as session:
            change(session, session.get_one(Branch, cast.alder.id), nowhere, **said)
        draft = BranchDraft.model_validate({"name": "New", **said})
        with pytest.raises(Conflict, match="has just taken"), database.writing() as session:
            branch_changes.add(session, draft, nowhere, None, None, NOW, key="a key")


def test_a_branch_is_added_once_under_a_key_and_found_by_what_it_is_called(
    database: Database, cast: Cast, nowhere: Gazetteer
) -> None:
    with database.writing() as session:
        birch, draft = (
            session.get_one(Branch, cast.birch.id),
            BranchDraft(name="Alder", city="Leeds", external_id="A"),
        )
        added, first = branch_changes.add(session, draft, nowhere, birch, None, NOW, key="a key")
        again, second = branch_changes.add(session, draft, nowhere, birch, None, NOW, key="a key")
        assert (added.id, first, second) == (again.id, True, False)
        assert (added.slug, added.parent_id) == ("alder-leeds", birch.id)
        assert branch_changes.other_with(session, "A", None) is added
        assert (
            branch_changes.other_with(session, "A", added)
            is branch_changes.other_with(session, "", None)
            is None
        )
        assert branch_changes.is_below(session, added, birch) and not branch_changes.is_below(
            session, birch, added
        )


def test_who_may_change_which_branches(database: Database, cast: Cast) -> None:
    with database.writing() as session:
        ana, dee, alder = (
            session.get_one(Person, cast.ana.id),
            session.get_one(Person, cast.dee.id),
            cast.alder,
        )
        session.add_all(branch(f"b{n}", f"Below {n:02d}", None, parent_id=alder.id) for n in range(50))
        session.flush()
        assert branch_changes.listed(session, ana, "", 1) == ([], 1), "she organizes"
        assert not branch_changes.may_change(session, ana, alder)
        assert not branch_changes.may_change(session, None, alder)
        permissions.invite(session, ana, session.get_one(Branch, alder.id), Role.BRANCH_ADMIN)
        session.flush()
        first, pages = branch_changes.listed(session, ana, "", 1)
        assert (first[0].slug, len(first), pages) == ("alder", branch_changes.PAGE, 2)
        assert [one.slug for one in branch_changes.listed(session, ana, "", 2)[0]] == ["b49"]
        assert [one.slug for one in branch_changes.listed(session, ana, "BELOW 07", 1)[0]] == ["b7"]
        assert branch_changes.listed(session, ana, "abedul", 1)[0] == []
        assert len(branch_changes.administered(session, ana)) == 51
        assert branch_changes.may_change(session, ana, alder) and branch_changes.may_change(
            session, dee, cast.birch
        )
        assert not branch_changes.may_change(session, ana, cast.birch)
        with pytest.raises(NotFound):
            branch_changes.listed(session, ana, "", 3)
        assert session.exec(select(Branch.id).where(col(Branch.slug) == "b7")).one()
