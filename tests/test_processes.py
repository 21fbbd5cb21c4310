"""Several web processes on one PostgreSQL are one site: what one was told, the others know."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from events.calendars import store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft
from events.db import Database
from events.limits import CONTACT
from events.people import sign_in
from events.people.models import Purpose
from tests.conftest import Cast

pytestmark = pytest.mark.parametrize("database", ["postgresql"], indirect=True)

ROOT = Path(__file__).parents[1]
PROCESSES = 4
# The programme is read once and then split, which spares three starts. Ends when standard input does.
SERVERS = f"""
import os, sys, uvicorn
from dataclasses import replace
from pathlib import Path
from events.app import create_app
from events.config import Settings
from events.server import listen
settings = Settings(data_dir=Path(sys.argv[1]), database_url=sys.argv[2], secret_key="for tests only")
sockets = [listen("127.0.0.1", 0) for _ in range({PROCESSES})]
print(*(each[0].getsockname()[1] for each in sockets), flush=True)
children = []
for mine in sockets:
    child = os.fork()
    if not child:
        uvicorn.Server(uvicorn.Config(create_app(settings), log_config=None)).run(sockets=mine)
        os._exit(0)
    children.append(child)
sys.stdin.read()
for child in children:
    os.kill(child, 15)
"""
CONTACT_FORM = {"name": "Ben", "email": "ben@example.org", "message": "May I bring my saw?"}


@contextmanager
def served(folder: Path, url: str) -> Iterator[list[str]]:
    """The addresses of the processes."""
    command = [sys.executable, "-c", SERVERS, str(folder), url]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        yield [f"http://localhost:{port}" for port in parent.stdout.readline().split()]


@pytest.fixture
def addresses(database: Database, cast: Cast, tmp_path: Path) -> Iterator[list[str]]:
    with served(tmp_path, database.url) as addresses:
        yield addresses


def browser() -> httpx2.Client:
    return httpx2.Client(headers={"Sec-Fetch-Site": "same-origin"}, timeout=30)


def soon(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + 10
    while not condition() and time.monotonic() < until:
        time.sleep(0.05)
    return condition()


@pytest.fixture
def event_id(database: Database, cast: Cast, publishing: Publishing) -> int:
    now = datetime.now(UTC)
    start = (now + timedelta(days=7)).replace(tzinfo=None, microsecond=0)
    said = {"title": "Saw day", "start": start, "end": start + timedelta(hours=2), "state": "published"}
    draft = EventDraft.model_validate({**said, "timezone": "America/Chicago"})
    with database.writing() as session:
        return store.add(session, draft, [cast.alder], publishing, now).id or 0


def test_what_one_process_was_told_the_others_know(
    database: Database, cast: Cast, event_id: int, addresses: list[str]
) -> None:
    page, feed = f"/events/{event_id}", "/events.ics"
    with browser() as ana, browser() as ben:
        sign_in_at(addresses[0], ana, database, cast)
        assert {ana.get(f"{address}/organize").status_code for address in addresses} == {200}

        assert not any("Cancelled" in ben.get(each + page).text for each in addresses)
        assert not any("CANCELLED" in ben.get(each + feed).text for each in addresses)
        change = {"reason": "The hall is closed."}
        assert ana.post(f"{addresses[0]}/organize{page}/cancellation", data=change).status_code == 303
        assert soon(lambda: all("Cancelled" in ben.get(each + page).text for each in addresses))
        assert soon(lambda: all("STATUS:CANCELLED" in ben.get(each + feed).text for each in addresses))

        statuses = [send(address, ben, number) for number, address in enumerate(addresses * 2)]
        assert statuses == [303] * CONTACT.most + [429] * (2 * PROCESSES - CONTACT.most)


def sign_in_at(address: str, client: httpx2.Client, database: Database, cast: Cast) -> None:
    with database.writing() as session:
        token = sign_in.make_link(session, cast.ana, Purpose.SIGN_IN, datetime.now(UTC))
    assert client.post(f"{address}/sign-in/{token}").status_code == 303


def send(address: str, client: httpx2.Client, number: int) -> int:
    form = {**CONTACT_FORM, "key": f"{number:032}"}
    return client.post(f"{address}/branches/alder/contact", data=form).status_code
