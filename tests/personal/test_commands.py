"""`people export` and `people remove` as an operator runs them."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import pytest

from events.branches.models import Branch
from events.language import language
from events.messages import contact
from events.messages.contact import ContactDraft
from events.people import sign_in
from tests.test_command_line import BRANCHES, Done, Shell, invited
from tests.test_command_line import shell as shell

BEN = "ben@example.org"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def written(shell: Shell) -> Shell:
    """Ben has written to Alder, and his copy lies in a file because no mail server is set."""
    shell.run("branches", "import", shell.file("in.csv", BRANCHES))
    invited(shell, "dee@example.org", "--role", "admin")
    draft = ContactDraft(key="k" * 32, name="Ben", email="Ben@Example.org", message="May I bring my saw?")
    with shell.database() as database, database.writing() as session:
        alder = session.get_one(Branch, 1)
        contact.send(session, alder, draft, language("en"), "Hazel Clubs", datetime.now(UTC))
    mails = shell.data / "mail"
    mails.mkdir()
    (mails / "his.eml").write_text(f"To: {BEN}\nSubject: Copy\n\nYour message\n")
    (mails / "other.eml").write_text("To: eve@example.org\nSubject: Hello\n\nHello\n")
    return shell


def asked(shell: Shell, answer: str, *arguments: str) -> Done:
    with patch("io.StringIO", Terminal):
        return shell.run("people", "remove", *arguments, stdin=answer)


def files(shell: Shell) -> list[str]:
    return sorted(path.name for path in (shell.data / "mail").iterdir())


def test_export_prints_everything_that_is_held_about_an_address_as_json(written: Shell) -> None:
    done = written.run("people", "export", "BEN@example.org")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["address"] == BEN and found["account"] == []
    assert found["messages to branches"][0]["message"] == "May I bring my saw?"
    assert [Path(one).name for one in found["mails that are files"]] == ["his.eml"]
    assert "alder@example.org" not in done.stdout, "a branch's private address is not his"


def test_remove_asks_first_and_removes_when_it_is_told_yes(written: Shell) -> None:
    done = asked(written, "no\n", BEN)
    assert done.returncode == 0 and done.stdout.endswith("Nothing has been changed.\n")
    assert json.loads(written.run("people", "export", BEN).stdout)["messages to branches"] != []
    done = asked(written, "yes\n", BEN)
    assert "     1 messages to branches: goes\n" in done.stdout and "Backups" in done.stdout
    assert files(written) == ["other.eml"]
    assert json.loads(written.run("people", "export", BEN).stdout)["messages to branches"] == []
    content = b"".join(path.read_bytes() for path in written.data.glob("branchline.db*"))
    assert BEN.encode() not in content.lower() and b"bring my saw" not in content


def test_a_dry_run_counts_and_removes_nothing(written: Shell) -> None:
    done = written.run("people", "remove", BEN, "--dry-run")
    assert done.returncode == 0 and "     1 messages to branches: goes\n" in done.stdout
    assert files(written) == ["his.eml", "other.eml"]
    assert json.loads(written.run("people", "export", BEN).stdout)["messages to branches"] != []


def test_what_cannot_be_removed_is_one_line_and_changes_nothing(written: Shell) -> None:
    for arguments, said in (
        ((BEN,), "add --yes"),
        (("dee@example.org", "--yes"), "This is the last admin of the whole site."),
        (("dee@example.org", "--dry-run"), "This is the last admin of the whole site."),
        (("ben", "--yes"), "This is not an e-mail address"),
    ):
        assert said in written.refused("people", "remove", *arguments)
    with written.database() as database, database.reading() as session:
        assert sign_in.find(session, "dee@example.org") is not None


def test_about_whom_nothing_is_held_nothing_is_removed(written: Shell) -> None:
    done = written.run("people", "remove", "nobody@example.org", "--yes")
    assert done.returncode == 0 and done.stdout.startswith("Nothing is held about nobody@example.org")
