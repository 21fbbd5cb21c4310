"""Whether an answer, or how long it takes, tells if an address is known: to sign in, to register, to be mailed.

A known and an unknown address take turns at each form, each address once, each request from a network of its own (so
that no limit is reached, with limits on). The medians may differ by so much; the answers must be the same, byte for
byte. What is shown beside is a known address against another known one, which is what the machine itself makes of it.
"""

import argparse
import http.client
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Address
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode, urlsplit

from bench._load import engines, figure, site
from bench._progress import progress
from events import migrations
from events.branches.models import Branch
from events.db import Database
from events.people import permissions, sign_in
from events.people.models import Role
from events.subscriptions import choices
from events.subscriptions.choices import Choice

MOST_MS = 5.0
PASSWORD = "correct horse battery staple"
# By its name: where it is sent, and what beside the address.
FORMS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "sign in by a link": ("/sign-in", {}),
    "sign in by a password": ("/sign-in", {"password": "wrong, all of it"}),
    "a new password": ("/password", {}),
    "register": ("/register", {"name": "Ben", "choice": "alder", "note": "May I?"}),
    "subscribe": ("/subscribe", {"branch": "alder", "frequency": "weekly"}),
}
CHANGES = {"date"}  # headers that differ from answer to answer


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--number", type=int, default=200, help="known addresses, and as many unknown ones")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")


def run(options: argparse.Namespace) -> bool:
    good = True
    with TemporaryDirectory() as folder, engines(options.database, Path(folder)) as found:
        for engine, empty in found.items():
            print(f"\n{engine}")
            url = empty("timing")
            filled(url, 2 * options.number)
            limited = site(
                Path(folder, engine), url, BRANCHLINE_RATE_LIMITS="on", BRANCHLINE_TRUSTED_PROXIES="127.0.0.1"
            )
            with limited as address:
                asking = Asking(urlsplit(address).netloc)
                for name in FORMS:
                    good &= compared(asking, name, options.number)
    return good


def filled(url: str, number: int) -> None:
    """People with a password and what is mailed to them, but for the hash, which takes its time to make."""
    database, now = Database(url, size=1), datetime.now(UTC)
    migrations.upgrade(database)
    with database.writing() as session:
        alder = Branch(slug="alder", name="Alder", timezone="America/Chicago", updated_at=now)
        alder.derive_keys()
        session.add(alder)
        session.flush()
        first = sign_in.find_or_add(session, known(0), now)
        sign_in.set_password(session, first, PASSWORD)
        for each in range(number):
            person = sign_in.find_or_add(session, known(each), now)
            person.password_hash = first.password_hash
            permissions.invite(session, person, alder, Role.ORGANIZER)
            choice = Choice(branches=(alder.id or 0,))
            choices.confirm(session, choices.ask(session, person.email, choice, now), now)
    database.dispose()


def known(number: int) -> str:
    return f"known{number:05}@example.org"


def unknown(number: int) -> str:
    return f"other{number:05}@example.org"


def compared(asking: "Asking", name: str, number: int) -> bool:
    for each in range(5):  # what is loaded at its first use is loaded
        asking.ask(name, f"first{each}-{name.replace(' ', '-')}@example.org")
    times: tuple[list[float], ...] = ([], [], [])
    answers = set()
    for each in progress(name, range(number)):
        order: list[tuple[int, Callable[[int], str], int]]
        order = [(0, known, each), (1, unknown, each), (2, known, number + each)]
        for side, address, which in order[each % 3 :] + order[: each % 3]:
            took, answer = asking.ask(name, address(which))
            times[side].append(took)
            answers.add(answer.replace(address(which).encode(), b"ADDRESS"))
    here, there, again = map(statistics.median, times)
    figure(f"  {name}: known", f"{here:.2f} ms")
    good = figure("    unknown", f"{there:.2f} ms")
    good &= figure(
        "    difference", f"{there - here:+.2f} ms", f"<= {MOST_MS:g}", abs(there - here) <= MOST_MS
    )
    figure("    known against known", f"{again - here:+.2f} ms")
    return good & figure("    different answers", str(len(answers) - 1), "0", len(answers) == 1)


class Asking:
    """One connection that stays; each form comes from another network."""

    def __init__(self, netloc: str) -> None:
        self._netloc = netloc
        self._connection = http.client.HTTPConnection(netloc, timeout=60)
        self._from: Iterator[str] = (f"{IPv4Address('11.0.0.0') + each}" for each in count(1))

    def ask(self, name: str, email: str) -> tuple[float, bytes]:
        """Milliseconds, and all that was answered."""
        path, more = FORMS[name]
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Sec-Fetch-Site": "same-origin",
            "X-Forwarded-For": next(self._from),
        }
        body = urlencode({"email": email, **more})
        begun = time.perf_counter()
        self._connection.request("POST", path, body, headers)
        response = self._connection.getresponse()
        content = response.read()
        took = (time.perf_counter() - begun) * 1000
        if response.status not in (303, 422) or (response.status == 422) != ("password" in more):
            raise SystemExit(f"{path} answered {response.status}: {content[-2000:]!r}")
        said = sorted(
            (key.lower(), value) for key, value in response.getheaders() if key.lower() not in CHANGES
        )
        return took, repr((response.status, said)).encode() + content
