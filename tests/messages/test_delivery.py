"""From the outbox to a mail server that is up, down, slow of mind, or rude; and what kill -9 does to it."""

import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlmodel import select
from starlette.testclient import TestClient

from events import mail
from events.branches.models import Branch
from events.calendars.content import Publishing
from events.config import Settings
from events.db import Database
from events.language import language
from events.messages import contact, outbox
from events.messages.contact import ContactDraft
from events.messages.models import OutgoingMail, RefusedAddress
from events.worker import AT_ONCE, Worker
from tests.conftest import Cast
from tests.smtp_sink import Sink, free_port, plain_text

ROOT = Path(__file__).parents[2]
FORM = {"name": "Ben", "email": "ben@example.org", "message": "May I join?", "key": "k" * 32, "about": "join"}


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def worker(settings: Settings, publishing: Publishing, sink: Sink) -> Iterator[Worker]:
    worker = Worker(replace(settings, smtp_url=sink.url, mail_from="events@example.org"), publishing)
    yield worker
    worker.database.dispose()


def put(database: Database, recipient: str = "ana@example.org", body: str = "Hello") -> None:
    with database.writing() as session:
        outbox.put(
            session, datetime.now(UTC), recipient=recipient, subject="News", body=body,
            reply_to="ben@example.org",
        )  # fmt: skip


def write(database: Database, cast: Cast) -> None:
    draft = ContactDraft(key="k" * 32, name="Ben", email="ben@example.org", message="May I join?")
    with database.writing() as session:
        alder = session.get_one(Branch, cast.alder.id)
        contact.send(session, alder, draft, language("en"), "Hazel Clubs", datetime.now(UTC))


def row(database: Database) -> OutgoingMail:
    with database.reading() as session:
        return session.exec(select(OutgoingMail)).one()


def waiting(database: Database) -> int:
    with database.reading() as session:
        return outbox.waiting(session)[0]


def leased(database: Database) -> int:
    with database.reading() as session:
        mails = session.exec(select(OutgoingMail).where(sa.column("leased_until").is_not(None))).all()
        return len(mails)


def an_hour_passes(database: Database) -> None:
    with database.writing() as session:
        for one in session.exec(select(OutgoingMail)).all():
            one.run_at -= timedelta(hours=1)
            if one.leased_until:
                one.leased_until -= timedelta(hours=1)


def test_a_mail_is_handed_to_the_server_and_marked(database: Database, worker: Worker, sink: Sink) -> None:
    put(database)
    with sink.up():
        assert worker.deliver_mails() == 1
        assert worker.deliver_mails() == 0
    [(mail_from, recipients, _)], [got] = sink.envelopes, sink.mails
    assert (mail_from, recipients) == ("events@example.org", ["ana@example.org"])
    assert got["From"] == "Hazel Clubs <events@example.org>"
    assert got["Reply-To"] == "ben@example.org"
    assert got["Message-ID"] == row(database).message_id
    assert got["Auto-Submitted"] == "auto-generated"
    assert sink.bodies == ["Hello\n"]
    assert row(database).sent_at is not None


def test_a_server_that_was_away_gets_each_mail_once_when_it_is_back(
    database: Database, worker: Worker, sink: Sink
) -> None:
    put(database)
    assert worker.deliver_mails() == 1
    waiting = row(database)
    assert (waiting.sent_at, waiting.failed_at, waiting.attempts) == (None, None, 1)
    assert waiting.run_at > datetime.now(UTC)
    assert waiting.last_error
    with sink.up():
        assert worker.deliver_mails() == 0
        an_hour_passes(database)
        assert [worker.deliver_mails() for _ in range(3)] == [1, 0, 0]
    assert len(sink.mails) == 1
    assert row(database).last_error == ""


@pytest.mark.parametrize("step", ["on_sender", "on_recipient", "on_data"])
def test_a_server_that_asks_for_patience_is_asked_again(
    database: Database, worker: Worker, sink: Sink, step: str
) -> None:
    put(database)
    setattr(sink, step, "451 4.7.1 Greylisted, come back later")
    with sink.up():
        worker.deliver_mails()
        assert row(database).failed_at is None
        assert row(database).last_error.startswith("451 4.7.1 Greylisted")
        setattr(sink, step, "250 OK")
        an_hour_passes(database)
        worker.deliver_mails()
    assert len(sink.mails) == 1


@pytest.mark.parametrize("step", ["on_sender", "on_recipient", "on_data"])
def test_a_refusal_for_good_is_kept_for_an_admin_and_not_repeated(
    database: Database, worker: Worker, sink: Sink, step: str
) -> None:
    put(database)
    setattr(sink, step, "550 5.1.1 No such user here")
    with sink.up():
        worker.deliver_mails()
        an_hour_passes(database)
        assert worker.deliver_mails() == 0
    assert sink.offered == 1
    assert row(database).failed_at is not None
    assert row(database).last_error == "550 5.1.1 No such user here"


@pytest.mark.parametrize("step", ["on_sender", "on_recipient", "on_data"])
@pytest.mark.parametrize("code", ["451", "550"])
def test_what_a_server_says_may_be_no_text_at_all(
    database: Database, worker: Worker, sink: Sink, step: str, code: str
) -> None:
    """No database takes half a surrogate, PostgreSQL no NUL, and a page shows neither."""
    setattr(sink, step, f"{code} no\udcff\udcfe \x00\x1b[31m\u202e " + "x" * 300)
    put(database)
    with sink.up():
        assert worker.deliver_mails() == 1
    assert row(database).last_error.startswith(f"{code} no")
    assert not re.search(r"[\x00-\x1f\u202e\ud800-\udfff]", row(database).last_error)
    assert (row(database).failed_at is not None) == (code == "550")


def test_a_fault_of_ours_with_one_mail_holds_up_no_other(
    database: Database, worker: Worker, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again as if the server had been away, and in the end an admin sees it."""

    def composed(one: mail.Mail, *more: str) -> EmailMessage:
        return (
            compose(one, *more)
            if one.recipient != "ana@example.org"
            else dict[str, EmailMessage]()["nowhere"]
        )

    compose = mail.composed
    monkeypatch.setattr("events.worker.composed", composed)
    put(database)
    put(database, "ben@example.org")
    with sink.up():
        assert worker.deliver_mails() == 2
    assert sink.recipients == ["ben@example.org"]
    with database.reading() as session:
        first = session.get_one(OutgoingMail, 1)
    assert first.run_at > datetime.now(UTC) and first.leased_until is None and "KeyError" in first.last_error


def test_a_server_that_does_not_accept_our_password_refuses_no_mail(
    database: Database, worker: Worker, sink: Sink
) -> None:
    """An operator can put that right; until then everything waits."""
    put(database)
    sink.on_sender = "530 5.7.0 Authentication required"
    with sink.up():
        worker.deliver_mails()
        assert row(database).failed_at is None
        sink.on_sender = "250 OK"
        an_hour_passes(database)
        worker.deliver_mails()
    assert len(sink.mails) == 1


def test_a_user_name_for_a_server_that_knows_none_refuses_no_mail(
    database: Database, settings: Settings, publishing: Publishing, sink: Sink
) -> None:
    put(database)
    url = sink.url.replace("smtp://", "smtp://ana:p%40ss@")
    worker = Worker(replace(settings, smtp_url=url), publishing)
    with sink.up():
        worker.deliver_mails()
    worker.database.dispose()
    assert (row(database).failed_at, row(database).sent_at) == (None, None)
    assert row(database).last_error


def test_a_connection_cut_before_the_answer_is_tried_again_under_the_same_name(
    database: Database, worker: Worker, sink: Sink
) -> None:
    put(database)
    name = row(database).message_id
    sink.hangs_up = "before"
    with sink.up():
        worker.deliver_mails()
        assert (row(database).sent_at, row(database).failed_at) == (None, None)
        sink.hangs_up = ""
        an_hour_passes(database)
        worker.deliver_mails()
    assert [got["Message-ID"] for got in sink.mails] == [name]


def test_a_server_that_hangs_up_after_it_has_taken_the_mail_gets_no_second_one(
    database: Database, worker: Worker, sink: Sink
) -> None:
    put(database)
    sink.hangs_up = "after"
    with sink.up():
        worker.deliver_mails()
        an_hour_passes(database)
        assert worker.deliver_mails() == 0
    assert len(sink.mails) == 1
    assert row(database).sent_at is not None


def test_an_address_that_cannot_be_written_fails_alone_and_the_next_mail_goes_out(
    database: Database, worker: Worker, sink: Sink
) -> None:
    for recipient in ("a,b@example.org", "ñandú@example.org", "", "ana@example.org"):
        put(database, recipient)
    with sink.up():
        assert worker.deliver_mails() == 4
    assert [recipients for _, recipients, _ in sink.envelopes] == [["ana@example.org"]]
    with database.reading() as session:
        failed = session.exec(select(OutgoingMail).where(sa.column("failed_at").is_not(None))).all()
    assert len(failed) == 3
    assert all("not an address that mail can be sent to" in one.last_error for one in failed)


@pytest.mark.parametrize("silence", ["from the start", "after the mail"])
def test_a_server_that_falls_silent_is_left_and_asked_again(
    database: Database, worker: Worker, sink: Sink, monkeypatch: pytest.MonkeyPatch, silence: str
) -> None:
    monkeypatch.setattr(mail, "STEP_WITHIN_S", 0.3)
    put(database)
    name = row(database).message_id
    sink.hangs_for = {"ana@example.org"}
    with sink.silent() if silence == "from the start" else sink.up():
        worker.deliver_mails()
    assert (row(database).sent_at, row(database).failed_at) == (None, None)
    assert "Timed out" in row(database).last_error
    sink.hangs_for = set()
    an_hour_passes(database)
    with sink.up():
        worker.deliver_mails()
    assert [one["Message-ID"] for one in sink.mails] == [name]


def test_a_server_that_is_slow_with_one_mail_holds_up_no_other(
    database: Database, worker: Worker, sink: Sink
) -> None:
    """The others are marked while it still waits, also those that came after it had begun."""
    for recipient in ("slow@example.org", *(f"{number}@example.org" for number in range(6))):
        put(database, recipient)
    sink.hangs_for = {"slow@example.org"}
    with sink.up(), ThreadPoolExecutor(1) as pool:
        sending = pool.submit(worker.deliver_mails)
        wait_for(lambda: waiting(database) == 1)
        put(database, "late@example.org")
        wait_for(lambda: waiting(database) == 1 and len(sink.mails) == 7)
        assert not sending.done()
        sink.hangs_for = set()
        assert sending.result(10) == 8
    assert (waiting(database), sink.recipients[-1]) == (0, "slow@example.org")


def test_no_more_than_four_mails_are_on_their_way_at_once(
    database: Database, worker: Worker, sink: Sink
) -> None:
    for number in range(6):
        put(database, f"{number}@example.org")
    sink.hangs_for = {f"{number}@example.org" for number in range(6)}
    with sink.up(), ThreadPoolExecutor(1) as pool:
        sending = pool.submit(worker.deliver_mails)
        wait_for(lambda: leased(database) > 0)
        assert leased(database) == 4
        worker.stop()
        sink.hangs_for = set()
        assert sending.result(10) == 4
    assert (leased(database), waiting(database)) == (0, 2)


@pytest.mark.parametrize("end", ["\n.\n", "\r\n.\r\n", "\r.\r", "\n.\r", "\r.\n"], ids=repr)
def test_no_text_ends_a_mail_early(database: Database, worker: Worker, sink: Sink, end: str) -> None:
    put(database, body=f"Hello{end}MAIL FROM:<eve@example.org>{end}bye")
    with sink.up():
        worker.deliver_mails()
    assert (len(sink.mails), sink.offered) == (1, 1)
    assert sink.bodies == ["Hello\n.\nMAIL FROM:<eve@example.org>\n.\nbye\n"]


def test_without_a_server_mails_are_files(
    database: Database, settings: Settings, publishing: Publishing
) -> None:
    put(database, body="¿Traigo mi sierra?")
    put(database)
    worker = Worker(settings, publishing)
    assert worker.deliver_mails() == 2
    worker.database.dispose()
    files = sorted(settings.mail_dir.iterdir())
    assert [file.suffix for file in files] == [".eml", ".eml"]
    mails = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in files]
    assert {plain_text(one).strip() for one in mails} == {"¿Traigo mi sierra?", "Hello"}


def test_a_directory_that_takes_no_files_is_tried_again_later(
    database: Database, settings: Settings, publishing: Publishing
) -> None:
    put(database)
    settings.mail_dir.write_text("a file where the directory should be")
    worker = Worker(settings, publishing)
    assert worker.deliver_mails() == 1
    assert (row(database).sent_at, row(database).failed_at) == (None, None)
    settings.mail_dir.unlink()
    an_hour_passes(database)
    assert worker.deliver_mails() == 1
    worker.database.dispose()
    assert row(database).sent_at is not None


def test_what_ben_writes_on_the_site_arrives(
    ben: TestClient, database: Database, cast: Cast, worker: Worker, sink: Sink
) -> None:
    assert ben.post("/branches/alder/contact", data=FORM).status_code == 303
    with sink.up():
        worker.deliver_mails()
    [(_, recipients, _)], [got] = sink.envelopes, sink.mails
    assert recipients == ["alder@example.org"]
    assert got["Subject"] == "[Alder Club] I would like to join"
    assert "May I join?" in sink.bodies[0]


# ---------------------------------------------------------------- refused for good


def test_what_ben_writes_finds_its_way_up_the_tree(
    ben: TestClient, database: Database, cast: Cast, worker: Worker, sink: Sink
) -> None:
    assert ben.post("/branches/alder/contact", data=FORM).status_code == 303
    sink.refuses = {"alder@example.org": "550 5.1.1 No such user here"}
    with sink.up():
        assert worker.deliver_mails() == 2
    assert sink.recipients == ["ana@example.org"]
    assert "This could not be delivered to Alder Club, so it comes to you." in sink.bodies[0]
    assert "> May I join?" in sink.bodies[0]
    sink.refuses = {}
    assert ben.post("/branches/alder/contact", data=FORM | {"key": "l" * 32}).status_code == 303
    with sink.up():
        worker.deliver_mails()
    assert sink.recipients == ["ana@example.org", "ana@example.org"]


@pytest.mark.parametrize(
    ("step", "answer", "marked"),
    [
        ("on_recipient", "550 5.1.1 No such user here", "unknown"),
        ("on_recipient", "550 unrouteable address", "unknown"),
        ("on_recipient", "551 5.1.6 Moved away", "unknown"),
        ("on_recipient", "552 5.2.2 Mailbox is full", "this mail"),
        ("on_recipient", "554 5.7.1 Access denied", "this mail"),
        ("on_recipient", "550 5.1.8 Sender address rejected", "nobody"),
        ("on_recipient", "554 5.7.1 <alder@example.org>: Relay access denied", "nobody"),
        ("on_recipient", "550 relay not permitted", "nobody"),
        ("on_data", "554 5.7.1 This looks like spam", "this mail"),
        ("on_data", "550 5.1.1 No such user here", "this mail"),
        ("on_sender", "550 5.1.1 No such user here", "nobody"),
        ("on_sender", "553 5.7.1 Not your address", "nobody"),
    ],
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_what_is_refused_says_what_is_marked(
    database: Database, cast: Cast, worker: Worker, sink: Sink, step: str, answer: str, marked: str
) -> None:
    """That we may not send, or not now, is nothing against an address."""
    write(database, cast)
    setattr(sink, step, answer)
    with sink.up():
        worker.deliver_mails()
    with database.reading() as session:
        mark = session.get(RefusedAddress, "alder@example.org")
        first = session.get_one(OutgoingMail, 1)
    assert (first.failed_at is not None, first.last_error) == (True, answer)
    found = "nobody" if mark is None else "unknown" if mark.unknown else "this mail"
    assert found == marked


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_address_that_cannot_be_written_is_one_that_takes_no_mail(
    database: Database, cast: Cast, worker: Worker, sink: Sink
) -> None:
    with database.writing() as session:
        session.get_one(Branch, cast.alder.id).email = "hazel club@example.org"
    write(database, cast)
    with sink.up():
        worker.deliver_mails()
    assert sink.recipients == ["ana@example.org"]
    with database.reading() as session:
        assert session.get_one(RefusedAddress, "hazel club@example.org").unknown


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_server_that_breaks_the_conversation_has_refused_nothing(
    database: Database, worker: Worker, sink: Sink
) -> None:
    """An answer that is none is no refusal: neither of the mail nor of the address."""
    put(database)
    for answer in ("nonsense", "99999 nonsense"):
        sink.on_recipient = answer
        with sink.up():
            worker.deliver_mails()
            an_hour_passes(database)
    assert (row(database).failed_at, row(database).attempts) == (None, 2)


# ---------------------------------------------------------------- kill -9


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.05)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  (our own server)
            return bool(answer.status == 200)
    except OSError:
        return False


def environment(database: Database, sink: Sink, data_dir: Path) -> Mapping[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "BRANCHLINE_DATA_DIR": str(data_dir),
        "BRANCHLINE_DATABASE_URL": database.url,
        "BRANCHLINE_SMTP_URL": sink.url,
    }


@contextmanager
def serving(environment: Mapping[str, str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "events", "serve", "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE) as process:
        try:
            wait_for(lambda: process.poll() is not None or answers(f"http://127.0.0.1:{port}/readyz"))
            yield process
        finally:
            process.kill()
            process.communicate(timeout=10)


def post(url: str, form: Mapping[str, str]) -> int:
    request = urllib.request.Request(  # noqa: S310
        url,
        data=urllib.parse.urlencode(form).encode(),
        headers={"Sec-Fetch-Site": "same-origin"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        status: int = answer.status
        return status


def test_a_message_sent_while_no_mail_server_runs_survives_kill_9_and_arrives_once(
    database: Database, cast: Cast, sink: Sink, tmp_path: Path
) -> None:
    """Ben is thanked, the first attempt fails, the process is killed, started again, and the server is back."""
    port = free_port()
    with serving(environment(database, sink, tmp_path), port) as process:
        assert post(f"http://127.0.0.1:{port}/branches/alder/contact", FORM) == 200  # the thank-you page
        wait_for(lambda: bool(row(database).last_error))
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
    assert row(database).sent_at is None
    an_hour_passes(database)
    with sink.up(), serving(environment(database, sink, tmp_path), port):
        wait_for(lambda: row(database).sent_at is not None)
        time.sleep(0.2)
    assert [re.sub(r".*] ", "", got["Subject"]) for got in sink.mails] == ["I would like to join"]


@contextmanager
def working(environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "events", "work"]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_process_killed_while_it_was_sending_leaves_a_mail_that_arrives_after_the_lease(
    database: Database, worker: Worker, sink: Sink, tmp_path: Path
) -> None:
    """The server takes the connection and says nothing; the killed sender had the lease."""
    put(database)
    with sink.silent(), working(environment(database, sink, tmp_path)):
        wait_for(lambda: row(database).leased_until is not None)
    left = row(database)
    assert (left.attempts, left.sent_at, left.last_error) == (1, None, "")
    with sink.up():
        assert worker.deliver_mails() == 0  # leased: nobody may take it yet
        an_hour_passes(database)
        assert worker.deliver_mails() == 1
    assert [got["Message-ID"] for got in sink.mails] == [left.message_id]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_processes_killed_in_the_middle_of_it_lose_no_mail_and_repeat_only_what_they_were_sending(
    database: Database, worker: Worker, sink: Sink, tmp_path: Path
) -> None:
    """`./dev bench mail` does the same fifty times."""
    rounds = 2
    for number in range(40):
        put(database, f"{number}@example.org")
    sink.takes_s = 0.05
    with sink.up():
        for _ in range(rounds):
            before = len(sink.mails)
            with working(environment(database, sink, tmp_path)):
                wait_for(lambda: len(sink.mails) > before)  # noqa: B023
                time.sleep(random.uniform(0, 0.1))
            assert waiting(database) > 0
            an_hour_passes(database)
        worker.deliver_mails()
    with database.reading() as session:
        names = {one.message_id for one in session.exec(select(OutgoingMail)).all()}
    arrived = [got["Message-ID"] for got in sink.mails]
    assert set(arrived) == names
    assert len(arrived) - len(names) <= rounds * AT_ONCE
    assert waiting(database) == 0
