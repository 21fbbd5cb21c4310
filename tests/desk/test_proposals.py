"""What waits for an organizer: who sees it, who decides, and what comes of it."""

from datetime import timedelta

import pytest
from sqlmodel import Session, select

from events.branches.models import Branch
from events.calendars import changes, store
from events.calendars.content import Publishing
from events.calendars.derived import tell
from events.calendars.models import Event
from events.db import Database
from events.desk import answers, proposals
from events.desk.models import Proposal
from events.errors import Conflict, NotFound
from events.people import history, permissions
from events.people.models import Person, Role
from tests.calendars.test_feeds import weekly
from tests.conftest import NOW, Cast, branch
from tests.desk.desk import BEN, LATER, SOON, beginner, mails, submitted

# Their SQL is that of others here, which run on both engines.
ON_SQLITE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def titles(session: Session, person: Person) -> list[str]:
    listed = [one.event.title for one in proposals.waiting(session, person)]
    assert proposals.number(session, person) == len(listed)
    return listed


def decide(
    session: Session, event: Event, person: Person, publishing: Publishing, *, answer: str | None = None
) -> bool:
    """Accepts without an answer."""
    proposal, event = proposals.decidable(session, person, event.id or 0)
    if answer is None:
        return proposals.accept(session, proposal, event, person, publishing, NOW)
    return proposals.refuse(session, proposal, event, person, answer, publishing, NOW)


def test_a_suggestion_waits_for_those_who_decide_for_its_branch(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        below = branch("ash", "Ash", None)
        below.parent_id = cast.alder.id
        session.add(below)
        session.flush()
        submitted(session, below, publishing)
        eli = beginner(session, cast.alder)
        for person, seen in (
            (cast.ana, ["Lantern walk"]),
            (cast.dee, ["Lantern walk"]),
            (cast.cy, []),
            (eli, []),
        ):
            assert titles(session, person) == seen, person.email


def test_the_urgent_come_first_then_the_oldest(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        submitted(session, cast.alder, publishing, NOW, title="newer")
        submitted(session, cast.alder, publishing, NOW - timedelta(days=1), title="older")
        submitted(session, cast.alder, publishing, NOW, title="tomorrow", start=SOON)
        assert titles(session, cast.ana) == ["tomorrow", "older", "newer"]


def test_what_is_accepted_is_published_and_its_proposer_is_told(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        event = submitted(session, cast.alder, publishing, language="es")
        assert decide(session, event, cast.ana, publishing)
        assert event.is_public and titles(session, cast.ana) == []
        newest = history.versions(session, changes.subject(event))[0]
        assert (newest.action, newest.person_id) == ("approved", cast.ana.id)
        proposal = session.get_one(Proposal, event.id)
        assert proposal.accepted and proposal.email == "", "the address has served"
    [mail] = mails(database)
    assert mail.recipient == BEN and f"/es/events/{event.id}" in mail.body


@ON_SQLITE
def test_what_is_declined_goes_and_its_proposer_reads_why(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        event = submitted(session, cast.alder, publishing)
        assert decide(session, event, cast.ana, publishing, answer="The hall is closed then.")
        assert event.deleted_at == NOW and titles(session, cast.ana) == []
        assert history.versions(session, changes.subject(event))[0].action == "declined"
    [mail] = mails(database)
    assert "The hall is closed then." in mail.body and "not taken up" in mail.body


LURE = "FREE PRIZE https://evil.example/x www.evil.example at Ann\u2019s evil．example (me@evil.example)"


@ON_SQLITE
@pytest.mark.parametrize(
    ("answer", "is_named"), [(None, True), ("Not in the snow, sorry.", True), ("", False)]
)
def test_by_the_address_of_a_suggestion_nobody_is_written_to_in_words_of_a_stranger(
    database: Database, publishing: Publishing, cast: Cast, answer: str | None, is_named: bool
) -> None:
    with database.writing() as session:
        event = submitted(session, cast.alder, publishing, title=LURE)
        decide(session, event, cast.ana, publishing, answer=answer)
    [mail] = mails(database)
    assert mail.subject == "Your suggestion to Alder Club"
    assert ("“FREE PRIZE … … at Ann’s … …”" in mail.body) is is_named
    assert mail.body.count("PRIZE") == int(is_named) and "evil" not in mail.body


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("Repair café, 7.30 p.m.", "Repair café, 7.30 p.m."),
        ("Vortrag: z. B. „Wald“ …", "Vortrag: z. B. „Wald“ …"),
        ("Go to //evil.example now", "Go to … now"),
        ("evil\u200d.\u200dexample", "…"),
        ("x" * 300, "x" * 79 + "…"),
        ("two\nlines", "two lines"),
    ],
)
def test_a_title_in_a_mail_is_one_short_line_without_links(title: str, said: str) -> None:
    assert answers.defused(title) == said


@ON_SQLITE
def test_a_post_that_needed_approval_is_answered_to_whoever_posted_it(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        event = submitted(session, cast.alder, publishing, by=beginner(session, cast.alder))
        decide(session, event, cast.ana, publishing)
    [mail] = mails(database)
    assert mail.recipient == "eli@example.org" and "It is published now" in mail.body
    assert mail.subject == "Your event: Lantern walk"


@ON_SQLITE
def test_a_declined_post_is_a_draft_of_its_author_again_so_that_nothing_is_lost(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        eli = beginner(session, cast.alder)
        event = submitted(session, cast.alder, publishing, by=eli)
        assert decide(session, event, cast.ana, publishing, answer="On which day?")
        assert (event.state, event.deleted_at) == ("draft", None)
        assert proposals.may_change(session, eli, event) and titles(session, cast.ana) == []
    [mail] = mails(database)
    assert "a draft of yours again" in mail.body and "On which day?" in mail.body


@ON_SQLITE
def test_who_left_no_address_gets_no_mail(database: Database, publishing: Publishing, cast: Cast) -> None:
    with database.writing() as session:
        event = submitted(session, cast.alder, publishing, email="")
        decide(session, event, cast.ana, publishing)
    assert mails(database) == []


def test_deciding_twice_is_deciding_once_and_the_other_way_is_a_conflict(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        event = submitted(session, cast.alder, publishing)
        assert decide(session, event, cast.ana, publishing)
        assert not decide(session, event, cast.dee, publishing)
        with pytest.raises(Conflict, match="decided already"):
            decide(session, event, cast.dee, publishing, answer="")
        other = submitted(session, cast.alder, publishing)
        assert decide(session, other, cast.ana, publishing, answer="")
        assert not decide(session, other, cast.dee, publishing, answer="")
        with pytest.raises(Conflict):
            decide(session, other, cast.dee, publishing)
    assert len(mails(database)) == 2


@ON_SQLITE
def test_nobody_decides_for_a_strangers_branch_without_trust_or_about_their_own(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        eli = beginner(session, cast.alder)
        suggestion = submitted(session, cast.alder, publishing)
        own = submitted(session, cast.alder, publishing, by=eli)
        for person, event in ((cast.cy, suggestion), (eli, suggestion), (eli, own)):
            with pytest.raises(NotFound):
                proposals.decidable(session, person, event.id or 0)
        permissions.invite(session, eli, session.get_one(Branch, cast.alder.id), Role.BRANCH_ADMIN)
        session.flush()
        assert titles(session, eli) == ["Lantern walk"], "the suggestion, by now, and not the own"
        assert [event.id for event in proposals.own(session, eli)] == [own.id]


@ON_SQLITE
@pytest.mark.parametrize("way", ["published", "removed", "drafted"])
def test_what_changed_otherwise_waits_no_more(
    database: Database, publishing: Publishing, cast: Cast, way: str
) -> None:
    with database.writing() as session:
        event = submitted(session, cast.alder, publishing)
        {"published": event.publish, "removed": lambda: event.delete(NOW), "drafted": event.unpublish}[way]()
        session.flush()
        assert titles(session, cast.ana) == []
        with pytest.raises(Conflict):
            decide(session, event, cast.ana, publishing)


@ON_SQLITE
def test_settling_counts_once(database: Database, publishing: Publishing, cast: Cast) -> None:
    with database.writing() as session:
        event = submitted(session, cast.alder, publishing)
        assert proposals.settle(session, event, True, NOW)
        assert not proposals.settle(session, event, False, NOW)
        assert session.get_one(Proposal, event.id).accepted
        never_suggested = store.add(session, weekly(), [cast.alder], publishing, NOW)
        assert not proposals.settle(session, never_suggested, True, NOW)


@ON_SQLITE
def test_what_was_declined_and_is_had_back_waits_again(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        event = submitted(session, cast.alder, publishing)
        decide(session, event, cast.ana, publishing, answer="")
        event.deleted_at = None
        proposals.reopen(session, event, NOW)
        session.flush()
        assert titles(session, cast.ana) == ["Lantern walk"]
        decide(session, event, cast.ana, publishing)
    assert len(mails(database)) == 1, "there is no address any more"


@ON_SQLITE
def test_who_needs_approval_changes_only_what_is_theirs_and_not_public_yet(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        eli = beginner(session, cast.alder)
        assert proposals.needs_approval(session, eli, cast.alder)
        assert not proposals.needs_approval(session, cast.ana, cast.alder)
        own = submitted(session, cast.alder, publishing, by=eli)
        draft, _ = changes.post(session, weekly(state="draft"), [cast.alder], eli, publishing, NOW)
        others, _ = changes.post(session, weekly(state="draft"), [cast.alder], cast.ana, publishing, NOW)
        came_in = store.add(session, weekly(state="draft"), [cast.alder], publishing, NOW)
        suggestion = submitted(session, cast.alder, publishing)
        every = (own, draft, others, came_in, suggestion)
        assert [proposals.may_change(session, eli, event) for event in every] == [
            True,
            True,
            False,
            False,
            False,
        ]
        assert all(proposals.may_change(session, cast.ana, event) for event in every)
        decide(session, own, cast.ana, publishing)
        assert not proposals.may_change(session, eli, own)


def test_an_address_is_trusted_by_one_branch_until_it_is_not(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    alder, birch = cast.alder.id or 0, cast.birch.id or 0
    with database.writing() as session:
        for _ in range(2):
            proposals.trust(session, alder, BEN, NOW)
        assert proposals.is_trusted_address(session, alder, BEN)
        assert not proposals.is_trusted_address(session, birch, BEN)
        listed = {
            person.email: len(proposals.trusted_addresses(session, person)) for person in (cast.ana, cast.cy)
        }
        assert listed == {"ana@example.org": 1, "cy@example.org": 0}
        proposals.distrust(session, cast.birch, BEN)
        assert proposals.is_trusted_address(session, alder, BEN)
        proposals.distrust(session, cast.alder, BEN)
        assert not proposals.is_trusted_address(session, alder, BEN)


@ON_SQLITE
def test_who_suggested_something_is_forgotten_a_month_after_the_decision(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        decided = submitted(session, cast.alder, publishing)
        decide(session, decided, cast.ana, publishing)
        submitted(session, cast.alder, publishing)
        proposals.forget_past(session, NOW + timedelta(days=29))
        assert len(session.exec(select(Proposal)).all()) == 2
        proposals.forget_past(session, NOW + timedelta(days=31))
        assert [one.decided_at for one in session.exec(select(Proposal))] == [None]
        assert tell(session, decided).event.is_public


@ON_SQLITE
def test_proposing_again_asks_anew(database: Database, publishing: Publishing, cast: Cast) -> None:
    with database.writing() as session:
        eli = beginner(session, cast.alder)
        event = submitted(session, cast.alder, publishing, by=eli, start=LATER)
        proposals.settle(session, event, False, NOW)
        proposals.add(session, event, NOW, person=eli)
        session.flush()
        assert titles(session, cast.ana) == ["Lantern walk"]
