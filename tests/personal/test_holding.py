"""Everything that is held about Eli, who has done all that one can do here: told, and removed from every byte."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlmodel import Session, SQLModel, select

from events.branches.models import Branch
from events.calendars import store
from events.calendars.content import Publishing
from events.calendars.models import CalendarSource, Event, State
from events.config import Settings
from events.db import SQLITE_PRAGMAS, Database
from events.desk.models import BranchSheet, Proposal, Report, TrustedProposer
from events.errors import Conflict, Unreadable
from events.language import language
from events.messages import contact, outbox, refusals
from events.messages.contact import ContactDraft
from events.messages.models import ContactMessage, MutedSender, OutgoingMail, RefusedAddress
from events.news.models import Notice
from events.people import history, permissions, sign_in, tokens
from events.people.models import MembershipRequest, Passkey, Person, Purpose, Role
from events.personal import holding
from events.personal.kinds import KINDS
from events.places.geo import Distance, Point
from events.subscriptions import choices
from events.subscriptions.choices import Choice
from events.subscriptions.models import Frequency, Newsletter, Subscription
from events.worker import Worker
from tests.calendars.test_feeds import weekly
from tests.conftest import NOW, Cast

ELI = "eli-canary@example.org"
NAME, WORDS, AGENT = "Eli Zweifelsfrei-Canary", "Kanarienvogel 4711", "Canarybrowser/7"


def add(session: Session, *rows: SQLModel) -> None:
    session.add_all(rows)
    session.flush()


@pytest.fixture
def eli(database: Database, cast: Cast, publishing: Publishing) -> Person:
    """An account, and all that can be held about whoever has it; beside it Ben's, which must stay."""
    with database.writing() as session:
        alder = session.get_one(Branch, cast.alder.id)
        eli = sign_in.find_or_add(session, ELI, NOW)
        eli.name = NAME
        sign_in.set_password(session, eli, "a long password")
        permissions.invite(session, eli, alder, Role.ORGANIZER)
        _account(session, eli, alder)
        _visitor(session, alder)
        _work(session, eli, cast, publishing)
        _ben(session, alder)
        return eli


def _account(session: Session, eli: Person, alder: Branch) -> None:
    person, at = eli.id or 0, alder.id or 0
    sign_in.begin(session, eli, AGENT, NOW)
    sign_in.make_link(session, eli, Purpose.INVITATION, NOW)
    tokens.make(session, eli, f"{WORDS} token", NOW)
    passkey = Passkey(credential_id="canary", person_id=person, public_key=b"canary", created_at=NOW)
    passkey.name = f"{WORDS} passkey"
    request = MembershipRequest(person_id=person, branch_id=at, note=f"{WORDS} note", created_at=NOW)
    sheet = BranchSheet(
        id="a-sheet", person_id=person, name=f"{WORDS}.csv", body=ELI.encode(), created_at=NOW
    )
    add(session, passkey, request, sheet)


def _visitor(session: Session, alder: Branch) -> None:
    at = alder.id or 0
    draft = ContactDraft(key="k" * 32, name=NAME, email="Eli-Canary@Example.org", message=f"{WORDS} message")
    contact.send(session, alder, draft, language("en"), "Hazel Clubs", NOW)
    session.flush()
    choice = Choice(place=f"{WORDS} town", point=Point(41.92, -87.66), within=Distance(40.0), branches=(at,),
                    frequency=Frequency.WEEKLY, newsletter=True)  # fmt: skip
    choices.confirm(session, choices.ask(session, ELI, choice, NOW), NOW)
    choices.ask(session, ELI, Choice(place=f"{WORDS} other town", newsletter=True), NOW)
    refusals.mark(session, ELI, f"550 {WORDS}", NOW, unknown=True)
    add(
        session,
        MutedSender(branch_id=at, email=ELI, created_at=NOW),
        TrustedProposer(branch_id=at, email=ELI, created_at=NOW),
        Report(
            key="r" * 32, branch_id=at, kind="other", message=f"{WORDS} report", email=ELI, created_at=NOW
        ),
    )
    outbox.put(session, NOW, recipient=ELI, subject=f"{WORDS} mail", body="Hello")
    failed = outbox.put(
        session, NOW, recipient="dee@example.org", subject="Asks", body=f"{NAME} <{ELI}> asks."
    )
    failed.failed_at = NOW


def _work(session: Session, eli: Person, cast: Cast, publishing: Publishing) -> None:
    alder = session.get_one(Branch, cast.alder.id)
    event = store.add(session, weekly(title="Saw club", state=State.SUBMITTED), [alder], publishing, NOW)
    proposal = Proposal(event_id=event.id or 0, branch_id=alder.id or 0, person_id=eli.id, name=NAME, email=ELI,
                        note=f"{WORDS} beside it", created_at=NOW)  # fmt: skip
    notice = Notice(slug="n", title="News", shown_from=NOW.date(), created_at=NOW, modified_at=NOW)
    add(session, proposal, notice)
    history.write(session, f"event:{event.id}", "added", {"title": "Saw club"}, eli, NOW)
    history.write(session, "branch:9", "changed", {"name": "Cedar", "email": ELI.upper()}, None, NOW)
    answered = ContactMessage(branch_id=alder.id or 0, key="b" * 32, name="Ben", email="ben@example.org",
                              subject="", message="May I come?", created_at=NOW, answered_by_id=eli.id)  # fmt: skip
    add(session, answered, Newsletter(notice_id=notice.id or 0, person_id=eli.id, started_at=NOW))
    session.get_one(Branch, cast.birch.id).email = ELI


def _ben(session: Session, alder: Branch) -> None:
    choices.ask(session, "ben@example.org", Choice(newsletter=True), NOW)
    outbox.put(session, NOW, recipient="ben@example.org", subject="Hello", body="Hello")


def test_everything_that_is_held_about_a_person_is_told_and_no_secret(
    database: Database, cast: Cast, eli: Person
) -> None:
    with database.reading() as session:
        found = holding.held(session, holding.whom(session, " Eli-Canary@EXAMPLE.org "))
    told = json.dumps(found, default=str)
    assert [kind.name for kind in KINDS if not found[kind.name]] == [
        "topics they hear about",
        "events they follow",
    ]
    assert found["account"][0]["password_hash"] == found["sessions"][0]["token_hash"] == "held, not shown"
    for text in (
        NAME,
        AGENT,
        *(f"{WORDS} {what}" for what in ("token", "passkey", "note", "message", "town")),
    ):
        assert text in told, text
    assert {one["body"] for one in found["mails to them"]} == {"held, not shown"}, "its links may sign in"
    assert "argon2" not in told and "May I come?" not in told, "neither a secret nor what others wrote"
    assert found["changes in the history"][0]["subject"].startswith("event:")
    assert [one for one in found["named in"] if one.startswith("version")] != []


def test_what_is_held_is_found_without_an_account_and_in_every_spelling(
    database: Database, cast: Cast
) -> None:
    report = Report(key="r" * 32, branch_id=cast.alder.id or 0, kind="other", created_at=NOW)
    report.email = "Ñ.jane@münchen.example".replace("Ñ.", "")
    with database.writing() as session:
        session.add(report)
    with database.reading() as session:
        for typed in ("Jane@MÜNCHEN.example", "jane@xn--mnchen-3ya.example"):
            assert len(holding.held(session, holding.whom(session, typed))["problems reported"]) == 1
        nobody = holding.held(session, holding.whom(session, "nobody@example.org"))
        assert not any(found for name, found in nobody.items() if name != "address")
        with pytest.raises(Unreadable):
            holding.whom(session, "eli")


def test_a_person_is_removed_and_what_they_made_for_others_stays_without_them(
    database: Database, cast: Cast, eli: Person
) -> None:
    with database.writing() as session:
        about = holding.whom(session, ELI)
        removed = {one.kind: one for one in holding.remove(session, about)}
    assert removed["account"].number == 1 and not removed["account"].stay
    assert removed["subscriptions by mail"].number == 1 and removed["changes in the history"].stay
    with database.reading() as session:
        again = holding.held(session, holding.whom(session, ELI))
        assert not any(found for name, found in again.items() if name != "address"), again
        assert [event.title for event in session.exec(select(Event))] == ["Saw club"]
        assert [proposal.note for proposal in session.exec(select(Proposal))] == [""]
        made = session.exec(select(history.Version).order_by("id")).all()
        assert [(one.person_id, one.snapshot) for one in made] == [
            (None, {"title": "Saw club"}),
            (None, {"name": "Cedar", "email": ""}),
        ]
        assert [one.message for one in session.exec(select(ContactMessage))] == ["May I come?"]
        assert [one.email for one in session.exec(select(Subscription))] == ["ben@example.org"]
        assert {one.recipient for one in session.exec(select(OutgoingMail))} == {"ben@example.org"}
        assert session.exec(select(RefusedAddress)).all() == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_removed_are_in_no_byte_of_the_database(database: Database, cast: Cast, eli: Person) -> None:
    """Neither in its file nor in its log, while others hold connections."""
    canaries = [text.encode() for text in (ELI, NAME, WORDS, AGENT)]
    assert all(bytes_of(database, canaries)), "they were there"
    with database.writing() as session:
        holding.remove(session, holding.whom(session, ELI))
    database.take_stock()
    assert database.empty_log(within_s=5.0)
    assert not any(bytes_of(database, canaries))


def bytes_of(database: Database, canaries: list[bytes]) -> list[bool]:
    path = Path(str(database.engine.url.database))
    content = path.read_bytes() + path.with_name(f"{path.name}-wal").read_bytes()
    return [canary in content for canary in canaries]


def test_what_others_wrote_about_a_person_is_named_and_not_touched(
    database: Database, cast: Cast, publishing: Publishing
) -> None:
    with database.writing() as session:
        draft = weekly(description=f"Ask {ELI.upper()}", contact=f"{ELI} or at the desk")
        event = store.add(session, draft, [session.get_one(Branch, cast.alder.id)], publishing, NOW)
        calendar = CalendarSource(branch_id=cast.alder.id or 0, name="x", created_at=NOW, body=ELI.encode())
        add(session, calendar)
        about = holding.whom(session, ELI)
        assert holding.remove(session, about) == []
        named = {str(one) for one in holding.left(session, about)}
    assert {
        f"event {event.id}: description",
        f"event {event.id}: contact",
        f"calendar_source {calendar.id}: body",
    } <= named


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_last_admin_stays(database: Database, cast: Cast) -> None:
    with pytest.raises(Conflict, match="last admin"), database.writing() as session:
        holding.remove(session, holding.whom(session, "dee@example.org"))
    with database.reading() as session:
        assert sign_in.find(session, "dee@example.org") is not None


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_purged_messages_are_in_no_byte_of_the_database(
    database: Database, settings: Settings, publishing: Publishing, cast: Cast
) -> None:
    """Thirty days after they came, without anybody doing anything."""
    long_ago = datetime.now(UTC) - timedelta(days=31)
    draft = ContactDraft(
        key="k" * 32, name=NAME, email=ELI, subject=f"{WORDS} subject", message=f"{WORDS} message"
    )
    with database.writing() as session:
        alder = session.get_one(Branch, cast.alder.id)
        contact.send(session, alder, draft, language("en"), "Hazel Clubs", long_ago)
        add(session, Report(key="r" * 32, branch_id=alder.id or 0, kind="other", message=WORDS, email=ELI,
                            created_at=long_ago, closed_at=long_ago))  # fmt: skip
        sign_in.make_link(
            session, session.get_one(Person, cast.ana.id), Purpose.CHANGE_EMAIL, long_ago, detail=ELI
        )
    settings.mail_dir.mkdir()
    old, new = (settings.mail_dir / name for name in ("old.eml", "new.eml"))
    for path in (old, new):
        path.write_text(f"To: {ELI}\n\n{WORDS}\n")
    os.utime(old, (long_ago.timestamp(), long_ago.timestamp()))
    worker = Worker(settings, publishing)
    worker.clean()
    worker.database.dispose()
    with database.reading() as session:
        assert session.exec(select(ContactMessage)).all() == []
        assert session.exec(select(OutgoingMail)).all() == []
    assert (old.exists(), new.exists()) == (False, True)
    assert not any(bytes_of(database, [text.encode() for text in (ELI, NAME, WORDS)]))


def test_what_was_typed_is_in_no_error_of_the_database(database: Database, cast: Cast) -> None:
    """It goes into the log of the server."""
    with pytest.raises(sa.exc.StatementError) as caught, database.reading() as session:
        session.connection().execute(sa.text("SELECT :typed FROM nowhere"), {"typed": WORDS})
    assert WORDS not in str(caught.value)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_sqlite_overwrites_what_is_removed(database: Database) -> None:
    with database.reading() as session:
        assert session.connection().exec_driver_sql("PRAGMA secure_delete").scalar_one() == 1
    assert "secure_delete=ON" in SQLITE_PRAGMAS, "not every SQLite does so unasked"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_whoever_reads_for_long_keeps_the_log_from_being_emptied_and_nobody_from_writing(
    database: Database, cast: Cast
) -> None:
    with database.reading() as session:
        session.exec(select(Person)).all()
        with database.writing() as other:
            sign_in.find_or_add(other, ELI, NOW)
        assert not database.empty_log(within_s=0.0)
    assert database.empty_log(within_s=5.0)
