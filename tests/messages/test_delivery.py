"""From the outbox to a mail server that is up, down, slow of mind, or rude; and what kill -9 does to it."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlmodel import select
from starlette.testclient import TestClient

from events.calendars.content import Publishing
from events.config import Settings
from events.db import Database
from events.messages import outbox
from events.messages.models import OutgoingMail
from events.worker import Worker
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


def row(database: Database) -> OutgoingMail:
    with database.reading() as session:
        return session.exec(select(OutgoingMail)).one()


def an_hour_passes(database: Database) -> None:
    with database.writing() as session:
        for mail in session.exec(select(OutgoingMail)).all():
            mail.run_at -= timedelta(hours=1)
            if mail.leased_until:
                mail.leased_until -= timedelta(hours=1)


def test_a_mail_is_handed_to_the_server_and_marked(database: Database, worker: Worker, sink: Sink) -> None:
    put(database)
    with sink.up():
        assert worker.deliver_mails() == 1
        assert worker.deliver_mails() == 0
    [(mail_from, recipients, _)], [mail] = sink.envelopes, sink.mails
    assert (mail_from, recipients) == ("events@example.org", ["ana@example.org"])
    assert mail["From"] == "Hazel Clubs <events@example.org>"
    assert mail["Reply-To"] == "ben@example.org"
    assert mail["Message-ID"] == row(database).message_id
    assert mail["Auto-Submitted"] == "auto-generated"
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
    assert [mail["Message-ID"] for mail in sink.mails] == [name]


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
    assert all("not an address that mail can be sent to" in mail.last_error for mail in failed)


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
    assert {plain_text(mail).strip() for mail in mails} == {"¿Traigo mi sierra?", "Hello"}


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
    [(_, recipients, _)], [mail] = sink.envelopes, sink.mails
    assert recipients == ["alder@example.org"]
    assert mail["Subject"] == "[Alder Club] I would like to join"
    assert "May I join?" in sink.bodies[0]


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
    environment = {
        "PATH": os.environ["PATH"],
        "BRANCHLINE_DATA_DIR": str(tmp_path),
        "BRANCHLINE_DATABASE_URL": database.url,
        "BRANCHLINE_SMTP_URL": sink.url,
    }
    with serving(environment, port) as process:
        assert post(f"http://127.0.0.1:{port}/branches/alder/contact", FORM) == 200  # the thank-you page
        wait_for(lambda: bool(row(database).last_error))
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
    assert row(database).sent_at is None
    an_hour_passes(database)
    with sink.up(), serving(environment, port):
        wait_for(lambda: row(database).sent_at is not None)
        time.sleep(0.2)
    assert [re.sub(r".*] ", "", mail["Subject"]) for mail in sink.mails] == ["I would like to join"]


def test_a_process_killed_while_it_was_sending_leaves_a_mail_that_arrives_after_the_lease(
    database: Database, cast: Cast, sink: Sink, tmp_path: Path
) -> None:
    """The server takes the connection and says nothing; the killed sender had the lease."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "BRANCHLINE_DATA_DIR": str(tmp_path),
        "BRANCHLINE_DATABASE_URL": database.url,
        "BRANCHLINE_SMTP_URL": sink.url,
    }
    with sink.silent(), serving(environment, port) as process:
        assert post(f"http://127.0.0.1:{port}/branches/alder/contact", FORM) == 200
        wait_for(lambda: row(database).leased_until is not None)
        process.kill()
    left = row(database)
    assert (left.attempts, left.sent_at, left.last_error) == (1, None, "")
    with sink.up(), serving(environment, port):
        time.sleep(0.2)
        assert sink.mails == []  # leased: nobody may take it yet
        an_hour_passes(database)
        wait_for(lambda: row(database).sent_at is not None)
    assert [mail["Message-ID"] for mail in sink.mails] == [left.message_id]
