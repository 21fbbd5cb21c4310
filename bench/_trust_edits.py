"""Editors who save the same few events at once, on several processes: no update is lost, and none finds it locked.

Each opens the form and saves it with a title that says which title they saw. Of those who saw the same one, the first
is accepted; each of the others gets the page of the conflict, with both texts. At the end the history of each event is
read: as many versions as edits were accepted, and each was made by somebody who saw the one before.
"""

import argparse
import asyncio
import os
import re
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path

from sqlmodel import Session, col, select

from bench._browser import CUT_OFF, Line, changed, fields_of, organizer
from bench._load import engines, figure, site
from bench._synthetic import fill
from events import migrations
from events.branches.models import Branch
from events.calendars import changes
from events.calendars.models import Event
from events.db import Database
from events.people import history

EDITORS, EVENTS = 16, 4
SAVED = re.compile(r"(e\d+-\d+) after (\S+?)\.")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--number", type=int, default=10_000, help="of edits, on each engine")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--workers", type=int, default=4)


def run(options: argparse.Namespace) -> bool:
    with tempfile.TemporaryDirectory() as folder, engines(options.database, Path(folder)) as found:
        return all([_edited(Path(folder) / name, empty("edits"), options) for name, empty in found.items()])


@dataclass(slots=True)
class Editor:
    """Somebody who opens one of the events, thinks, and saves. `accepted`: what they wrote, by the event."""

    name: str
    line: Line
    events: Sequence[int]
    accepted: dict[int, list[str]] = field(default_factory=dict)
    conflicts: int = 0
    faults: list[str] = field(default_factory=list)

    async def edit(self, number: int) -> None:
        """A connection for each, so that it comes to whichever process is free."""
        event = self.events[number % len(self.events)]
        path = f"/organize/events/{event}"
        try:
            fields = fields_of((await self.line.get(path)).body, path)
            seen = dict(fields)["title"]
            title = f"{self.name}-{number} after {_name_of(seen)}."
            answer = await self.line.post(path, changed(fields, title=title))
        except CUT_OFF as error:
            self.faults.append(repr(error))
            return
        finally:
            self.line.close()
        if answer.status == 303:
            self.accepted.setdefault(event, []).append(title)
        elif answer.status == 409 and _shows_both(answer.body, title, seen):
            self.conflicts += 1
        else:
            self.faults.append(f"{answer.status}: {answer.body[-300:]!r}")


def _name_of(title: str) -> str:
    found = SAVED.match(title)
    return found[1] if found else "first"


def _shows_both(page: bytes, mine: str, seen: str) -> bool:
    """What was typed, and what somebody else has saved since."""
    titles = {found[0] for found in SAVED.finditer(unescape(page.decode()))}
    return mine in titles and bool(titles - {mine, seen})


def _edited(data: Path, url: str, options: argparse.Namespace) -> bool:
    data.mkdir()
    database = Database(url, size=1)
    migrations.upgrade(database)
    fill(database, branches=1, events=EVENTS)
    with site(data, url, workers=options.workers) as address:
        editors = _editors(database, address)
        began = time.perf_counter()
        asyncio.run(_all(editors, options.number // len(editors)))
        took = time.perf_counter() - began
    print(f"\n{database.engine.dialect.name}, {options.workers} processes, {os.cpu_count()} cores")
    return _told(database, editors, took)


async def _all(editors: Sequence[Editor], each: int) -> None:
    async def work(editor: Editor) -> None:
        for number in range(each):
            await editor.edit(number)

    await asyncio.gather(*map(work, editors))


def _editors(database: Database, address: str) -> list[Editor]:
    with database.reading() as session:
        branch = session.exec(select(Branch)).one()
        events = [number or 0 for number in session.exec(select(Event.id).order_by(col(Event.id))).all()]
    names = [f"e{number}" for number in range(EDITORS)]
    browsers = [organizer(database, address, f"{name}@example.org", branch) for name in names]
    return [Editor(name, Line(one), events) for name, one in zip(names, browsers, strict=True)]


def _told(database: Database, editors: Sequence[Editor], took: float) -> bool:
    accepted = Counter[int]()
    for editor in editors:
        accepted.update({event: len(titles) for event, titles in editor.accepted.items()})
    conflicts = sum(editor.conflicts for editor in editors)
    faults = [fault for editor in editors for fault in editor.faults]
    number = accepted.total() + conflicts + len(faults)
    print(f"{number} edits in {took:.0f} s: {accepted.total()} accepted, {conflicts} pages with both texts")
    with database.reading() as session:
        lost = [fault for event in editors[0].events for fault in _lost(session, event, accepted[event])]
    database.dispose()
    for fault in (lost + faults)[:5]:
        print(f"    {fault}")
    locked = sum("locked" in fault for fault in faults)
    return all(
        [
            figure("updates that are lost, or overwrote another", str(len(lost)), "0", not lost),
            figure("answers that it is locked", str(locked), "0", not locked),
            figure("all other errors", str(len(faults) - locked), "0", len(faults) == locked),
        ]
    )


def _lost(session: Session, event_id: int, accepted: int) -> list[str]:
    subject = changes.subject(session.get_one(Event, event_id))
    versions = history.versions(session, subject, accepted + 10)[::-1]
    faults = []
    if len(versions) != accepted + 1:
        faults.append(f"event {event_id}: {accepted} accepted, {len(versions) - 1} versions")
    before = "first"
    for version in versions[1:]:
        found = SAVED.match(changes.draft_in(version.snapshot).title)
        if found is None or found[2] != before:
            faults.append(
                f"event {event_id}, version {version.number} came after {before}: {found and found[0]}"
            )
        before = found[1] if found else ""
    return faults
