"""Nobody learns from an answer, or from the work behind it, who is known. `./dev bench trust timing` takes the time."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import argon2
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from events.db import Database
from events.people import sign_in
from events.subscriptions import choices
from events.subscriptions.choices import Choice
from tests.conftest import Cast

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

ANA, NOBODY = "ana@example.org", "una@example.org"
FORMS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "by a link": ("/sign-in", {}),
    "by a password": ("/sign-in", {"password": "not at all hers"}),
    "a new password": ("/password", {}),
    "registering": ("/register", {"name": "Ben", "choice": "alder"}),
    "subscribing": ("/subscribe", {"branch": "alder", "frequency": "weekly"}),
}


@pytest.fixture
def known(database: Database, cast: Cast) -> None:
    """Ana has a password, and gets mails of what is on."""
    now = datetime.now(UTC)
    with database.writing() as session:
        ana = sign_in.find_or_add(session, ANA, now)
        sign_in.set_password(session, ana, "correct horse battery")
        choice = Choice(branches=(cast.alder.id or 0,))
        choices.confirm(session, choices.ask(session, ANA, choice, now), now)


class Work:
    """What was asked of the database, by its first word, and how often a password was checked."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()

    def note(self, *event: Any) -> None:
        self.done[re.sub(r"\W.*", "", event[2].strip(), flags=re.DOTALL)] += 1


@pytest.fixture
def work(database: Database, ben: TestClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[Work]:
    work, verify = Work(), argon2.PasswordHasher.verify

    def counted(self: argon2.PasswordHasher, *both: Any) -> bool:
        work.done["a password checked"] += 1
        return verify(self, *both)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", counted)
    sa.event.listen(sa.Engine, "before_cursor_execute", work.note)
    yield work
    sa.event.remove(sa.Engine, "before_cursor_execute", work.note)


@pytest.mark.parametrize("what", FORMS)
def test_a_known_and_an_unknown_address_get_the_same_answer_for_the_same_work(
    ben: TestClient, known: None, work: Work, what: str
) -> None:
    path, more = FORMS[what]
    ben.post(path, data={"email": "first@example.org", **more})  # what is made once is made
    seen = []
    for email in (ANA, NOBODY):
        work.done.clear()
        answer = ben.post(path, data={"email": email, **more}, follow_redirects=False)
        said = answer.text.replace(email, "ADDRESS")
        length = {"content-length": str(len(said))}
        seen.append((answer.status_code, said, {**answer.headers, **length}, +work.done))
    (*here, mine), (*there, theirs) = seen
    assert here == there
    assert mine["a password checked"] == theirs["a password checked"] == ("password" in more)
    # Somebody new is a row more, and a look at it; a transaction more would be a wait for the disk.
    different = (mine - theirs) + (theirs - mine)
    assert different.total() <= 2 and different.keys() <= {"INSERT", "SELECT", "UPDATE"}, different
    assert mine["BEGIN"] == theirs["BEGIN"] and mine["COMMIT"] == theirs["COMMIT"]
