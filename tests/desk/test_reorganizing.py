"""Closing, merging and splitting branches: what goes along, what feeds say, what is written down."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session, col, select
from starlette.testclient import TestClient

from events.branches.drafts import BranchDraft
from events.branches.models import Branch, Status
from events.calendars import changes, derived, sources, store
from events.calendars.content import Publishing
from events.calendars.models import CalendarSource, Departure, Event, HostingRefusal
from events.db import Database
from events.desk import branch_changes, proposals, reorganizing
from events.desk.models import TrustedProposer
from events.desk.reorganizing import Act
from events.errors import Conflict
from events.people import history, permissions
from events.people.models import Membership, Person, Role
from events.places.geo import Point
from events.places.lookup import Gazetteer
from tests.calendars.test_feeds import Subscriber, weekly
from tests.conftest import NOW, Cast, branch

SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # whose SQL other tests try on both
DAY = date(2026, 11, 23)
LATER = NOW + timedelta(hours=1)
PAST = {"start": datetime(2026, 11, 3, 19), "end": datetime(2026, 11, 3, 21), "rrule": ""}
URL = "https://calendar.example.org/club.ics"


class Town:
    """Alder, and Cedar around the corner, that may take it over."""

    def __init__(self, session: Session, cast: Cast, publishing: Publishing) -> None:
        self.session, self.publishing = session, publishing
        self.alder, self.birch = (session.get_one(Branch, one.id) for one in (cast.alder, cast.birch))
        cedar = select(Branch).where(col(Branch.slug) == "cedar")
        self.cedar = session.exec(cedar).first() or self._cedar()
        self.ana, self.dee = (session.get_one(Person, one.id) for one in (cast.ana, cast.dee))

    def _cedar(self) -> Branch:
        cedar = branch("cedar", "Cedar Club", Point(41.93, -87.66), timezone="America/Chicago", country="US")
        self.session.add(cedar)
        self.session.flush()
        return cedar

    def post(self, *hosts: Branch, **more: Any) -> Event:
        event = store.add(self.session, weekly(**more), hosts or [self.alder], self.publishing, NOW)
        return event

    def follow(self, at: Branch, *events: Event) -> CalendarSource:
        source = sources.follow(self.session, at, URL, NOW)
        for number, event in enumerate(events):
            event.source, event.source_uid = source.key, f"uid-{number}"
        self.session.flush()
        return source

    @property
    def act(self) -> Act:
        return reorganizing.act(self.dee, self.publishing, LATER, "one-batch")

    def close(self, successor: Branch | None = None, hand_over: bool = False) -> int:
        return reorganizing.close(
            self.session,
            self.alder,
            day=DAY,
            successor=successor,
            hand_over=hand_over,
            reason="It has closed.",
            act=self.act,
        )

    def merge(self) -> int:
        return reorganizing.merge(self.session, self.alder, self.cedar, day=DAY, act=self.act)

    def hosts(self, event: Event) -> list[str]:
        return [host.slug for host in derived.tell(self.session, event).hosts]

    def slug(self, number: int) -> str:
        return self.session.get_one(Branch, number).slug

    def actions(self, of: Branch | Event) -> list[str]:
        """The oldest first, those of this batch alone."""
        subject = branch_changes.subject(of) if isinstance(of, Branch) else changes.subject(of)
        found = history.versions(self.session, subject)
        return [version.action for version in reversed(found) if version.batch == "one-batch"]


def titles(client: TestClient, path: str) -> dict[str, str]:
    """Of a feed's entries, with their STATUS."""
    return {
        str(event["SUMMARY"]): str(event.get("STATUS", "")) for event in Subscriber(client, path).events()
    }


# ---------------------------------------------------------------- closing


def test_a_branch_closes_and_its_successor_holds_what_was_to_come(
    database: Database, publishing: Publishing, cast: Cast, ben: TestClient
) -> None:
    with database.writing() as session:
        town = Town(session, cast, publishing)
        coming, over = town.post(), town.post(title="Past", **PAST)
        draft, joint = town.post(title="Plan", state="draft"), town.post(town.birch, town.alder, title="Fair")
        town.follow(town.alder, coming)
        assert town.close(town.cedar, hand_over=True) == 0
        assert (town.alder.status, town.alder.end_date, town.alder.successor_id) == (
            Status.CLOSED,
            DAY,
            town.cedar.id,
        )
        assert [town.hosts(event) for event in (coming, draft, over)] == [["cedar"], ["cedar"], ["alder"]]
        assert town.hosts(joint) == ["birch", "cedar"]
        assert coming.point == town.cedar.point, "it was at the branch, and is there now"
        [source] = session.exec(select(CalendarSource)).all()
        assert (source.branch_id, source.key, coming.source) == (
            town.cedar.id,
            *[sources.source_key(URL, town.cedar.id or 0)] * 2,
        )
        assert town.actions(town.alder) == ["closed"] and town.actions(coming) == ["handed-over"]
        assert town.actions(over) == []
    assert titles(ben, "/branches/cedar.ics")["Tool night"] == "CONFIRMED"
    feed = titles(ben, "/branches/alder.ics")
    assert "Alder Club has closed" in feed and feed["Tool night"] == "CONFIRMED", "the live one wins"
    assert "Its place has been taken by" in ben.get("/branches/alder").text


@SQLITE
def test_a_branch_closes_without_anybody_and_what_was_to_come_is_cancelled(
    database: Database, publishing: Publishing, cast: Cast, ben: TestClient
) -> None:
    with database.writing() as session:
        town = Town(session, cast, publishing)
        coming, draft = town.post(), town.post(title="Plan", state="draft")
        over, joint = town.post(title="Past", **PAST), town.post(town.birch, town.alder, title="Fair")
        town.follow(town.alder, coming)
        assert town.close() == 0
        assert [event.state for event in (coming, over, draft, joint)] == [
            "cancelled",
            "published",
            "draft",
            "published",
        ]
        assert coming.cancelled_reason == "It has closed."
        assert session.exec(select(CalendarSource)).all() == [], "what comes in would go on coming in"
        assert town.actions(coming) == ["cancelled"] and town.actions(joint) == []
    feed = titles(ben, "/branches/alder.ics")
    assert "Alder Club has closed" in feed and feed["Cancelled: Tool night"] == "CANCELLED"


@SQLITE
def test_a_branch_that_opens_again_is_found_and_names_no_successor(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        town = Town(session, cast, publishing)
        town.close(town.cedar)
        reorganizing.reopen(session, town.alder, town.dee, LATER)
        assert (town.alder.status, town.alder.end_date, town.alder.successor_id) == ("active", None, None)
        found = history.versions(session, branch_changes.subject(town.alder))
        assert [version.action for version in found] == ["reopened", "closed", "found"]


@SQLITE
def test_who_can_take_the_place_of_a_branch(database: Database, publishing: Publishing, cast: Cast) -> None:
    with database.writing() as session:
        town = Town(session, cast, publishing)
        assert reorganizing.unfit(session, town.alder, town.cedar) is None
        assert reorganizing.unfit(session, town.alder, town.alder) is not None
        town.cedar.successor_id = town.birch.id
        town.birch.successor_id = town.alder.id
        assert "this very branch" in str(reorganizing.unfit(session, town.alder, town.cedar))
        town.birch.status = Status.CLOSED
        assert "has closed" in str(reorganizing.unfit(session, town.alder, town.birch))


@SQLITE
def test_a_calendar_that_is_being_read_is_waited_for(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        town = Town(session, cast, publishing)
        town.follow(town.alder).leased_until = LATER + timedelta(minutes=1)
        with pytest.raises(Conflict, match="being read right now"):
            town.close(town.cedar, hand_over=True)


# ---------------------------------------------------------------- merging


def test_all_that_is_at_a_branch_goes_over_when_it_is_merged(
    database: Database, publishing: Publishing, cast: Cast, ben: TestClient
) -> None:
    with database.writing() as session:
        town = Town(session, cast, publishing)
        events = town.post(), town.post(title="Past", **PAST), town.post(title="Plan", state="submitted")
        joint, both = town.post(town.birch, town.alder), town.post(town.cedar, town.alder, title="Fair")
        proposal = proposals.add(session, events[2], NOW, person=town.ana)
        session.add(TrustedProposer(branch_id=town.alder.id or 0, email="ben@example.org", created_at=NOW))
        child = branch("leaf", "Leaf", None, parent_id=town.alder.id)
        session.add(child)
        permissions.invite(session, town.dee, town.alder, Role.BRANCH_ADMIN)
        permissions.invite(session, town.dee, town.cedar, Role.ORGANIZER, trusted=False)
        events[0].source, events[0].source_uid = f"file:{town.alder.id}", "a"
        session.flush()
        stakes = reorganizing.belongings(session, town.alder, NOW)
        assert (stakes.events, stakes.coming, stakes.hosted, stakes.children, stakes.people) == (
            3,
            2,
            2,
            1,
            2,
        )
        assert town.merge() == 0
        assert [town.hosts(event) for event in events] == [["cedar"]] * 3
        assert (town.hosts(joint), town.hosts(both)) == (["birch", "cedar"], ["cedar"])
        assert events[0].source == f"file:{town.cedar.id}", "the same file brought again finds it"
        assert proposal.branch_id == child.parent_id == town.cedar.id
        roles = {
            (one.person_id, town.slug(one.branch_id)): (one.role, one.trusted)
            for one in session.exec(select(Membership))
        }
        assert roles[town.ana.id or 0, "cedar"] == ("organizer", True)
        assert roles[town.dee.id or 0, "cedar"] == ("branch-admin", True), "the greater of both"
        assert not [key for key in roles if key[1] == "alder"]
        assert session.exec(select(TrustedProposer.branch_id)).all() == [town.cedar.id]
        assert (town.alder.status, town.alder.successor_id) == ("closed", town.cedar.id)
        assert [town.actions(one) for one in (town.alder, town.cedar, child)] == [
            ["merged"],
            ["took-over"],
            ["moved"],
        ]
        assert {tuple(town.actions(event)) for event in (events[0], events[2], joint, both)} == {
            ("handed-over",)
        }
    assert titles(ben, "/branches/alder.ics")["Tool night"] == "CONFIRMED"


def test_what_is_over_goes_over_too_and_the_worker_says_it_anew(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        town = Town(session, cast, publishing)
        own, joint = town.post(**PAST), town.post(town.birch, town.alder, **PAST)
        both, unwanted = town.post(town.alder, town.cedar, **PAST), town.post(town.birch, town.alder, **PAST)
        session.add(HostingRefusal(event_id=unwanted.id or 0, branch_id=town.cedar.id or 0))
        removed = town.post(**PAST)
        removed.delete(NOW)
        derived.save(session, removed, publishing, NOW)
        town.merge()
        found = [town.hosts(event) for event in (own, joint, both, unwanted, removed)]
        assert found == [["cedar"], ["birch", "cedar"], ["cedar"], ["birch"], ["alder"]]
        assert own.point == town.alder.point and town.actions(own) == []
        while derived.refresh(session, publishing, LATER + timedelta(minutes=1)):
            pass
        assert (own.point, own.listed_in) == (town.cedar.point, f"branch:{town.cedar.id},topic:1")
        [gone] = {
            row.scope for row in session.exec(select(Departure).where(col(Departure.event_id) == own.id))
        }
        assert gone == f"branch:{town.alder.id}"


@SQLITE
def test_a_branch_may_be_merged_into_one_below_it(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        town = Town(session, cast, publishing)
        town.alder.parent_id = town.birch.id
        middle = branch("middle", "Middle", None, parent_id=town.alder.id)
        session.add(middle)
        session.flush()
        town.cedar.parent_id = middle.id
        session.flush()
        town.merge()
        assert (town.cedar.parent_id, middle.parent_id) == (town.birch.id, town.cedar.id)


def test_what_both_branches_had_from_the_same_calendar_is_there_once(
    database: Database, publishing: Publishing, cast: Cast, ben: TestClient
) -> None:
    with database.writing() as session:
        town = Town(session, cast, publishing)
        ours = town.post(title="Ours"), town.post(title="Ours alone")
        theirs = town.post(town.cedar, title="Theirs")
        town.follow(town.alder, *ours)
        kept = town.follow(town.cedar, theirs)
        town.merge()
        assert [source.id for source in session.exec(select(CalendarSource))] == [kept.id]
        assert (ours[0].deleted_at, ours[1].deleted_at, theirs.deleted_at) == (LATER, None, None)
        assert ours[1].source == theirs.source == kept.key
        assert town.actions(ours[0])[-1] == "removed"
    feed = titles(ben, "/branches/cedar.ics")
    assert (feed["Theirs"], feed["Ours alone"], feed["Cancelled: Ours"]) == (
        "CONFIRMED",
        "CONFIRMED",
        "CANCELLED",
    )


@SQLITE
def test_an_event_that_did_not_want_the_other_branch_loses_the_first(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        town = Town(session, cast, publishing)
        joint = town.post(town.birch, town.alder)
        session.add(HostingRefusal(event_id=joint.id or 0, branch_id=town.cedar.id or 0))
        session.flush()
        town.merge()
        assert town.hosts(joint) == ["birch"]


@SQLITE
def test_an_event_that_cannot_be_said_again_stays_and_is_still_followed(
    database: Database, publishing: Publishing, cast: Cast, ben: TestClient
) -> None:
    with database.writing() as session:
        town = Town(session, cast, publishing)
        odd = town.post(rrule="", title="Spring")
        odd.start, odd.end = datetime(2027, 3, 14, 2, 30), datetime(2027, 3, 14, 4)  # the clocks skip it
        session.flush()
        assert town.merge() == 1
        assert town.hosts(odd) == ["alder"]
    assert "Spring" in titles(ben, "/branches/alder.ics")


# ---------------------------------------------------------------- splitting


@SQLITE
def test_a_second_branch_has_the_same_people_and_the_events_that_were_chosen(
    database: Database, publishing: Publishing, cast: Cast, ben: TestClient, tmp_path: Path
) -> None:
    nowhere = Gazetteer(tmp_path / "none.db")
    with database.writing() as session:
        town = Town(session, cast, publishing)
        town.alder.parent_id = town.birch.id
        goes, stays = town.post(title="Goes"), town.post(title="Stays")
        draft = BranchDraft.model_validate({"name": "Alder West", "city": "Oak Park", "country": "US"})
        new = reorganizing.split(session, town.alder, draft, [goes], nowhere, town.act)
        again = reorganizing.split(session, town.alder, draft, [goes], nowhere, town.act)
        assert new.id == again.id and new.slug == "alder-west"
        assert (new.parent_id, new.timezone, new.status) == (town.birch.id, "America/Chicago", "active")
        assert (town.hosts(goes), town.hosts(stays)) == (["alder-west"], ["alder"])
        memberships = session.exec(select(Membership).where(col(Membership.person_id) == town.ana.id))
        assert {town.slug(one.branch_id) for one in memberships} == {"alder", "alder-west"}
        assert (town.actions(town.alder), town.actions(new)) == (["split"], ["split-off"])
        assert town.actions(goes) == ["handed-over"]
    left = titles(ben, "/branches/alder.ics")
    assert left.pop("Stays") == "CONFIRMED" and [*left.values()] == ["CANCELLED"]
    assert "moved to Alder West" in ben.get("/branches/alder.ics").text.replace("\r\n ", "")
    assert titles(ben, "/branches/alder-west.ics") == {"Goes": "CONFIRMED"}
