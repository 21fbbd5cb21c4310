"""Whether the tests would notice: thirty defects are put into a copy of the sources, one at a time.

Each drops an escape, a scope, a lock, a limit or the like. First the tests of the rooms that it names are run, until
one fails; where none does, all the others but those in a browser. At most three may go unnoticed.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench._load import figure

ROOT = Path(__file__).resolve().parents[1]
LEAST = 27
IN_A_BROWSER = "tests/stories"
WITHIN_S = 900
NO_TEST_FAILED = 0
LONGEST = 110  # characters of what pytest says


class Defect(NamedTuple):
    """`now` takes the place of `was`, which stands in the file once. `tests`: where it should be noticed."""

    what: str
    file: str
    was: str
    now: str
    tests: str


DEFECTS = (
    Defect(
        "forms from other sites are taken",
        "web/security.py",
        'return site in ("same-origin", "none")',
        "return True",
        "web/test_security.py",
    ),
    Defect(
        "forms that say nothing of where they come from are taken",
        "web/security.py",
        "return bool(origin) and urlsplit",
        "return not origin or urlsplit",
        "web/test_security.py",
    ),
    Defect(
        "any Host is answered",
        "web/security.py",
        "return host.lower() == self._own",
        "return True",
        "web/test_security.py",
    ),
    Defect(
        "bodies may be ten times as large",
        "web/security.py",
        "LARGEST_BODY = 2_500_000",
        "LARGEST_BODY = 25_000_000",
        "web/test_security.py",
    ),
    Defect(
        "templates escape nothing",
        "web/environment.py",
        "autoescape=select_autoescape()",
        "autoescape=False",
        "test_injection.py web",
    ),
    Defect(
        "JSON-LD may end its script",
        "branches/json_ld.py",
        'text = text.replace(sign, f"\\\\u{ord(sign):04x}")',
        "continue",
        "branches web/test_linked_data.py",
    ),
    Defect(
        "cells may be formulas",
        "branches/sheet.py",
        'return f"\'{text}" if _FORMULA',
        "return text if _FORMULA",
        "branches calendars/test_formats.py",
    ),
    Defect(
        "a line break in a text begins a line of a calendar",
        "calendars/ics.py",
        '",": "\\\\,", "\\n": "\\\\n"',
        '",": "\\\\,"',
        "calendars/test_ics.py",
    ),
    Defect(
        "signing in leads to another site",
        "web/responses.py",
        "return text if LOCAL_PATH.fullmatch(text) else default",
        "return text or default",
        "web/test_people.py web/test_security.py",
    ),
    Defect(
        "an organizer may edit every branch",
        "people/permissions.py",
        "return _ALL if person.is_admin else",
        "return _ALL if person.id else",
        "people web/test_organize.py",
    ),
    Defect(
        "a draft has a page",
        "calendars/queries.py",
        "if event is None or (event.state not in PUBLIC and None in (event.deleted_at, event.published_at)):",
        "if event is None:",
        "calendars web/test_posting.py",
    ),
    Defect(
        "a link signs in after its time",
        "people/sign_in.py",
        "if link.expires_at <= now:",
        "if False:",
        "people",
    ),
    Defect(
        "of two that use a link at once both get in",
        "people/sign_in.py",
        "if first.rowcount != 1:",
        "if False:",
        "people web/test_people.py",
    ),
    Defect(
        "a new password leaves other sessions standing",
        "people/sign_in.py",
        "    end_all(session, _id(person))\n    end_links",
        "    end_links",
        "people",
    ),
    Defect(
        "a session never ends",
        "people/sign_in.py",
        'col(SignedIn.expires_at) > sa.bindparam("now"))',
        'sa.bindparam("now").is_not(None))',
        "people",
    ),
    Defect(
        "who is unknown is answered sooner",
        "people/sign_in.py",
        "kept = person.password_hash if person and person.password_hash else _nobody()",
        "if person is None or not person.password_hash:\n        return None\n    kept = person.password_hash",
        "people web/test_people.py",
    ),
    Defect(
        "a confidential street is shown",
        "branches/models.py",
        "return () if self.confidential else tuple(",
        "return tuple(",
        "branches web",
    ),
    Defect(
        "a confidential position is exact",
        "branches/models.py",
        "return self.point.snapped(CONFIDENTIAL_GRID) if self.point and self.confidential else self.point",
        "return self.point",
        "branches",
    ),
    Defect(
        "a kept page is shown to who is signed in",
        "web/keeping.py",
        'if not found.for_programs and b"cookie" in headers and',
        "if False and",
        "web/test_answers.py",
    ),
    Defect(
        "private addresses may be fetched",
        "fetching.py",
        "return not any(ip in network for network in _NOT_PUBLIC)",
        "return True",
        "test_fetching.py",
    ),
    Defect(
        "IPv4 in IPv6 may be fetched",
        "fetching.py",
        "if isinstance(ip, ipaddress.IPv6Address) and ip not in _PUBLIC_6:",
        "if False:",
        "test_fetching.py",
    ),
    Defect(
        "what reads calendars may use any memory",
        "sandbox.py",
        "_bound(resource.RLIMIT_AS, limits.memory_bytes)",
        "pass",
        "test_sandbox.py",
    ),
    Defect(
        "what a server refused for good is sent again",
        "mail.py",
        "if not 500 <= error.code < 600 or",
        "if True or",
        "messages test_mail.py",
    ),
    Defect(
        "any header may stand in a mail",
        "mail.py",
        "if len(names) != len(set(names)) or not set(names) <= OUR_HEADERS:",
        "if False:",
        "test_mail.py messages",
    ),
    Defect(
        "messages are kept for years",
        "messages/outbox.py",
        "before = now - KEEP_MESSAGES",
        "before = now - 100 * KEEP_MESSAGES",
        "messages",
    ),
    Defect(
        "who has not confirmed gets mail",
        "subscriptions/digests.py",
        "table.c.confirmed_at.is_not(None)",
        "sa.true()",
        "subscriptions",
    ),
    Defect(
        "an IPv6 network counts as many visitors",
        "web/state.py",
        "(address, 64)",
        "(address, 128)",
        "test_deadlines.py test_limits.py",
    ),
    Defect(
        "a file replaces what another branch imported",
        "calendars/reconciling.py",
        "col(Event.source) == self._source_for(owner), col(Event.source_uid) == uid",
        "col(Event.source_uid) == uid",
        "calendars/test_reconciling.py calendars",
    ),
    Defect("an edit is not counted", "calendars/models.py", "        self.revision += 1\n", "", "calendars"),
    Defect(
        "SQLite’s writers do not begin as such",
        "turns.py",
        'connection.execute("BEGIN IMMEDIATE")',
        'connection.execute("BEGIN")',
        "test_turns.py test_processes.py",
    ),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", type=int, metavar="NUMBER", action="append", help="defects, from 1")
    parser.add_argument("--near", action="store_true", help="only the tests of the rooms that a defect names")
    parser.add_argument("--processes", default="2", help="that run tests at the same time")


def run(options: argparse.Namespace) -> bool:
    chosen = [
        (number, each) for number, each in enumerate(DEFECTS, 1) if number in (options.only or [number])
    ]
    noticed = 0
    with TemporaryDirectory(prefix="defects-") as folder:
        copy = copied(Path(folder))
        for number, defect in chosen:
            by = noticed_by(copy, defect, options)
            noticed += by is not None
            print(f"{number:2} {defect.what}\n     {by or 'NOT NOTICED'}", flush=True)
    least = LEAST if len(chosen) == len(DEFECTS) else len(chosen)
    return figure(f"noticed, of {len(chosen)}", str(noticed), f">= {least}", noticed >= least)


def copied(folder: Path) -> Path:
    """All that is tracked, and what would be if it were added now; with a history of its own, which tests look at."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    return folder


def noticed_by(copy: Path, defect: Defect, options: argparse.Namespace) -> str | None:
    """The first test that failed."""
    file = copy / "events" / defect.file
    before = file.read_text("utf-8")
    if before.count(defect.was) != 1:
        sys.exit(f"{defect.what}: {defect.file} does not say so once (any more): {defect.was}")
    file.write_text(before.replace(defect.was, defect.now), "utf-8")
    try:
        near = [f"tests/{name}" for name in defect.tests.split()]
        others = [] if options.near else [["tests", f"--ignore={IN_A_BROWSER}"]]
        by = (failed(copy, tests, options.processes) for tests in [near, *others])
        return next(filter(None, by), None)
    finally:
        file.write_text(before, "utf-8")


def failed(copy: Path, tests: list[str], processes: str) -> str | None:
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", processes, "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=WITHIN_S)
    except subprocess.TimeoutExpired:
        return None  # which a busy machine may be the reason for
    if done.returncode == NO_TEST_FAILED:
        return None
    said = [text for text in done.stdout.splitlines() if text.startswith(("FAILED", "ERROR"))]
    return said[0][:LONGEST] if said else f"pytest ended with {done.returncode}"
