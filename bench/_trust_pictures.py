"""Pictures made to hurt, or to tell where they were taken: bounded in time and memory, and nothing of theirs is shown.

Each file of tests/fixtures/hostile_pictures.py is decoded in a process as the worker decodes it, whose time and memory
the system counts. Then it is sent to a running site as the picture of an event; what is shown must be a JPEG of ours
without anything that came with the file, and what is refused must be refused with a sentence. A visitor asks all the
while.
"""

import argparse
import re
import time
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image
from sqlmodel import col, select

from bench._browser import Browser, fields_of, organizer
from bench._hosts import draft
from bench._load import figure, site
from bench._measured import cost
from bench._progress import progress
from bench._synthetic import PUBLISHING
from bench._visitor import visiting
from events import migrations, pictures
from events.branches.models import Branch
from events.calendars import store
from events.calendars.models import Picture, PictureState
from events.db import Database
from tests.fixtures.hostile_pictures import Hostile, hostile_pictures

PORT = 8272
MOST_S, MOST_MB, MOST_MS = pictures.LIMITS.cpu_s, pictures.LIMITS.memory_bytes // 1_000_000, 250.0
DONE_WITHIN_S = 120.0
THEIRS = re.compile(rb"Secret|alert|Exif|http:|GPS|<x>|<!doctype")


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", default="", help="files whose name has this in it")


def run(options: argparse.Namespace) -> bool:
    files = [each for each in hostile_pictures() if options.only in each.name]
    good = measured(files)
    with TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/site.db", size=1)
        alder, event = filled(database)
        with site(Path(folder), database.url, port=PORT) as address:
            ana = organizer(database, address, "ana@example.org", alder)
            page = f"/organize/events/{event}/picture"
            with visiting(address) as alone:
                time.sleep(10)
            with visiting(address) as seen:
                faults = [
                    f for file in progress("sent", files) if (f := sent(file, ana, page, database, address))
                ]
        database.dispose()
    for fault in faults:
        print(f"    {fault}")
    alone.say("a visitor before: median/p99/longest")
    whole = figure(f"faults in {len(files)} pictures that were sent", str(len(faults)), "0", not faults)
    return all((good, whole, seen.say("a visitor meanwhile", MOST_MS)))


def measured(files: list[Hostile]) -> bool:
    found = [(cost("picture", file.make()), file.name) for file in progress("decoded", files)]
    for (cpu, megabytes, wall), name in sorted(found)[:-4:-1]:
        print(f"    {name}: {cpu:.1f} s of CPU, {wall:.1f} s by the clock, {megabytes:.0f} MB")
    cpu, memory = (max(each[at] for each, _ in found) for at in range(2))
    fast = figure(
        f"{len(files)} pictures, each decoded in", f"{cpu:.1f} s of CPU", f"<= {MOST_S} s", cpu <= MOST_S
    )
    return figure("and in a memory of", f"{memory:.0f} MB", f"<= {MOST_MB} MB", memory <= MOST_MB) and fast


def filled(database: Database) -> tuple[Branch, int]:
    migrations.upgrade(database)
    now = datetime.now(UTC)
    with database.writing() as session:
        alder = Branch(slug="alder", name="Alder", timezone="America/Chicago", updated_at=now)
        alder.derive_keys()
        session.add(alder)
        session.flush()
        found = [store.add(session, draft(number, now), [alder], PUBLISHING, now) for number in range(50)]
        return alder, found[0].id or 0


def sent(file: Hostile, ana: Browser, page: str, database: Database, address: str) -> str:
    """What was wrong with how the site took it; nothing when all was well."""
    form = [
        (name, "What it shows." if name == "alt" else value)
        for name, value in fields_of(ana.get(page).body, page)
    ]
    before = _id(newest(database))
    answer = ana.upload(page, form, "file", file.make())
    if answer.status in (413, 422):
        return f"{file.name} was refused at once" if file.shows else ""
    if answer.status != 303:
        return f"{file.name}: {answer.status}"
    if not file.shows and _id(newest(database)) == before:
        return ""  # an empty file is none: what it shows was said anew of the picture that was there
    picture = settled(database)
    if (picture.state == PictureState.READY) != file.shows:
        return f"{file.name} is {picture.state}: {picture.fault}"
    return not_ours(file, picture.id, address) if file.shows else ""


def newest(database: Database) -> Picture | None:
    with database.reading() as session:
        return session.exec(select(Picture).order_by(col(Picture.created_at).desc())).first()


def _id(picture: Picture | None) -> str | None:
    return picture.id if picture else None


def settled(database: Database) -> Picture:
    """The newest picture, when the worker has done with it."""
    until = time.monotonic() + DONE_WITHIN_S
    while True:
        found = newest(database)
        if found is not None and (found.state != PictureState.NEW or time.monotonic() > until):
            return found
        time.sleep(0.1)


def not_ours(file: Hostile, picture_id: str, address: str) -> str:
    for name in (f"/pictures/{picture_id}.jpg", f"/pictures/{picture_id}-small.jpg"):
        answer = Browser(address).get(name)
        if answer.status != 200 or answer.headers.get("content-type") != pictures.MEDIA_TYPE:
            return f"{file.name}: {name} answers {answer.status} {answer.headers.get('content-type')}"
        if Image.open(BytesIO(answer.body)).getexif() or THEIRS.search(answer.body):
            return f"{file.name}: {name} says what it should not"
    return ""
