"""Back-ups taken while people write, each restored into an empty place: intact, with every write acknowledged before.

Visitors write to branches by HTTP, as fast as they are answered, to `branchline serve` with several processes. Every
form that was answered well is a message and a mail. Meanwhile one back-up after the other is taken, by what `branchline
backup` does, and restored, by what `branchline restore` does. Also printed: how long a form took while a back-up was
being taken, and how long in between, in turns.
"""

import argparse
import shutil
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlmodel import Session, col, select

from bench._browser import GONE, Browser
from bench._load import engines, figure, site
from bench._progress import progress
from bench._synthetic import fill
from events import migrations
from events.backups import making, restoring
from events.branches.models import Branch
from events.calendars.models import Event
from events.config import Settings
from events.db import Database
from events.messages.models import ContactMessage, OutgoingMail

WORKERS, WRITERS, BRANCHES, EVENTS = 4, 4, 50, 2000


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--backups", type=int, default=100)
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--workers", type=int, default=WORKERS)


def run(options: argparse.Namespace) -> bool:
    with tempfile.TemporaryDirectory() as folder, engines(options.database, Path(folder)) as found:
        return all([_measured(Path(folder) / name, name, empty, options) for name, empty in found.items()])


def _measured(data: Path, engine: str, empty: Callable[[str], str], options: argparse.Namespace) -> bool:
    data.mkdir()
    url = empty("written")
    database = Database(url, size=2)
    migrations.upgrade(database)
    fill(database, branches=BRANCHES, events=EVENTS)
    settings = Settings(data_dir=data, database_url=url, secret_key="of the bench")
    settings.site_dir.mkdir()
    (settings.site_dir / "about.md").write_text("Who we are")
    with database.writing() as session:
        session.connection().execute(sa.update(Branch).values(email="branch@example.org"))
        slugs = session.exec(select(Branch.slug).order_by(col(Branch.id)).limit(WRITERS)).all()
    with site(data, url, workers=options.workers) as address, _written(address, slugs) as written:
        trials = [
            _trial(settings, database, empty, written, number)
            for number in progress(f"{engine}: back-ups", range(options.backups))
        ]
    database.dispose()
    return _told(engine, trials, written)


# ---------------------------------------------------------------- who writes


@dataclass
class Written:
    """What was answered well, and how long each form took, by when it was sent."""

    subjects: list[str] = field(default_factory=list)
    took: list[tuple[float, float]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


@contextmanager
def _written(address: str, slugs: Sequence[str]) -> Iterator[Written]:
    written, done = Written(), threading.Event()
    writers = [threading.Thread(target=_write, args=(address, slug, written, done)) for slug in slugs]
    for each in writers:
        each.start()
    while len(written.subjects) < 2 * len(slugs) and not written.errors:
        time.sleep(0.01)
    try:
        yield written
    finally:
        done.set()
        for each in writers:
            each.join()


def _write(address: str, slug: str, written: Written, done: threading.Event) -> None:
    browser, number = Browser(address), 0
    while not done.is_set():
        number += 1
        subject = f"{slug} {number}"
        form = {
            "name": "Ben",
            "email": "ben@example.org",
            "subject": subject,
            "message": "May I bring my saw?",
        }
        began = time.monotonic()
        try:
            answer = browser.post(f"/branches/{slug}/contact", [*form.items(), ("key", uuid.uuid4().hex)])
        except GONE as error:
            written.errors.append(repr(error))
            continue
        written.took.append((began, time.monotonic() - began))
        if answer.status == 303:
            written.subjects.append(subject)
        else:
            written.errors.append(f"{answer.status}: {answer.body[-300:]!r}")


# ---------------------------------------------------------------- one back-up


@dataclass
class Trial:
    began: float
    ended: float
    size: int
    acknowledged: int
    faults: list[str]


def _trial(
    settings: Settings, database: Database, empty: Callable[[str], str], written: Written, number: int
) -> Trial:
    acknowledged = set(written.subjects)
    file = settings.data_dir / "kept.tar"
    began = time.monotonic()
    making.back_up(settings, database, file, with_secrets=False, now=datetime.now(UTC))
    ended = time.monotonic()
    there = Settings(
        data_dir=settings.data_dir / "empty", database_url=empty(f"restored_{number}"), secret_key="another"
    )
    there.data_dir.mkdir()
    restoring.restore(there, file, datetime.now(UTC))
    restored = Database(there.database_url, size=1)
    with restored.reading() as session:
        faults = list(_faults(session, acknowledged))
    restored.dispose()
    if not (there.site_dir / "about.md").is_file():
        faults.append("site/ is not there")
    _remove(there, database)
    return Trial(began, ended, file.stat().st_size, len(acknowledged), faults)


def _faults(session: Session, acknowledged: set[str]) -> Iterator[str]:
    messages = set(session.exec(select(ContactMessage.subject)).all())
    if lost := acknowledged - messages:
        yield f"{len(lost)} acknowledged messages are not in it, such as {min(lost)}"
    mails = select(sa.func.count(sa.distinct(col(OutgoingMail.message_ref))))
    if session.exec(mails).one() != len(messages):
        yield "messages without their mails, or mails without their messages"
    if session.exec(select(sa.func.count(col(Event.id)))).one() != EVENTS:
        yield "not all events are in it"
    if not migrations.is_newest(session.connection()):
        yield "it is not at the newest schema"


def _remove(there: Settings, database: Database) -> None:
    """Each is some megabytes, and there are a hundred."""
    shutil.rmtree(there.data_dir)
    url = sa.make_url(there.database_url)
    if database.is_sqlite:
        Path(url.database or "").unlink()
        return
    engine = sa.create_engine(database.url, isolation_level="AUTOCOMMIT")  # ours only reads
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {url.database} WITH (FORCE)")
    engine.dispose()


def _told(engine: str, trials: list[Trial], written: Written) -> bool:
    seconds = [trial.ended - trial.began for trial in trials]
    sizes = statistics.median(trial.size for trial in trials) / 1e6
    print(
        f"\n{engine}: {len(trials)} back-ups of {sizes:.1f} MB, {statistics.median(seconds):.2f} s each (median)"
    )
    meanwhile, between = _split(trials, written)
    for what, took in (("while a back-up is taken", meanwhile), ("in between", between)):
        print(f"    a form {what}: {len(took)}, median {_ms(took, 0.5):.0f} ms, p99 {_ms(took, 0.99):.0f} ms")
    for line in [fault for trial in trials for fault in trial.faults][:5] + written.errors[:5]:
        print(f"    {line}")
    broken = sum(bool(trial.faults) for trial in trials)
    last = trials[-1].acknowledged
    good = figure(
        f"back-ups without a fault ({last} writes acknowledged)",
        str(len(trials) - broken),
        str(len(trials)),
        not broken,
    )
    return (
        figure("forms that were answered badly", str(len(written.errors)), "0", not written.errors) and good
    )


def _split(trials: list[Trial], written: Written) -> tuple[list[float], list[float]]:
    meanwhile: list[float] = []
    between: list[float] = []
    for began, took in written.took:
        busy = any(trial.began - took <= began <= trial.ended for trial in trials)
        (meanwhile if busy else between).append(took)
    return meanwhile, between


def _ms(took: list[float], share: float) -> float:
    return sorted(took)[min(len(took) - 1, int(len(took) * share))] * 1000 if took else 0.0
