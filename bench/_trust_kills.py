"""kill -9 while people write, of one process or of all: nothing acknowledged is lost, doubled or partial.

Seven people write as browsers do: a series of events, one date, a message, a subscription, news, a table of branches,
a picture. Whoever gets no answer sends the same form again. In a random moment a web process is killed, the worker, the
one that watches over the others, or all. Ready: from the start until /readyz answers 200.
"""

import argparse
import random
import re
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from pathlib import Path

import sqlalchemy as sa
from PIL import Image
from sqlmodel import Session, SQLModel, col, select

from bench._browser import Answer, Browser, changed, fields_of, organizer
from bench._load import engines, figure
from bench._processes import BROKEN, Running, fill_in
from events.branches.models import Branch
from events.calendars.models import Event, EventBranch, Occurrence, Picture, PictureState, Rendered
from events.db import Database
from events.messages.models import ContactMessage, OutgoingMail
from events.news.models import Notice
from events.people import permissions, sign_in
from events.people.history import Version
from events.people.models import Role
from events.subscriptions.models import Subscription

WORKERS, BRANCHES, DATES = 4, 20, 8
READY_S = 2.0
CHECK_EVERY = 20  # rounds
FINISH_S = 120.0  # of the worker at the end


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--seed", type=int, default=7)


def run(options: argparse.Namespace) -> bool:
    with tempfile.TemporaryDirectory() as folder, engines(options.database, Path(folder)) as found:
        return all([_rounds(Path(folder) / name, empty("kills"), options) for name, empty in found.items()])


# ---------------------------------------------------------------- who writes


class Ended(Exception):
    """The bench is over."""


@dataclass
class Writer:
    """Somebody in a browser who sends a form until it is acknowledged, and what was."""

    browser: Browser
    stop: threading.Event
    event: int = 0  # of those who change one
    acknowledged: list[str] = field(default_factory=list)
    met: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def insist(self, work: Callable[[], Answer], *also_after_a_loss: int) -> Answer:
        """Until it is answered well. Once an answer was lost, a form may be answered that it was sent already."""
        lost = False
        while not self.stop.is_set():
            try:
                answer = work()
            except BROKEN as error:
                self.met[type(error).__name__] += 1
                lost = True
            else:
                if answer.status in (200, 303) or (lost and answer.status in also_after_a_loss):
                    return answer
                self.met[str(answer.status)] += 1
                if answer.status != 503:
                    raise RuntimeError(f"answered {answer.status}: {_said(answer)}")
            time.sleep(0.05)
        raise Ended

    def page(self, path: str) -> Answer:
        return self.insist(lambda: self.browser.get(path))

    def send(self, page: str, action: str, *also_after_a_loss: int, **values: str) -> Answer:
        fields = changed(fields_of(self.page(page).body, action), **values)
        return self.insist(lambda: self.browser.post(action, fields), *also_after_a_loss)

    def upload(self, page: str, action: str, file: bytes, **values: str) -> Answer:
        fields = changed(fields_of(self.page(page).body, action), **values)
        return self.insist(lambda: self.browser.upload(action, fields, "file", file))


def _said(answer: Answer) -> str:
    text = answer.body.decode(errors="replace").partition("<main")[2]
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())[:300]


def post_series(writer: Writer, mark: str) -> None:
    page = "/organize/events/new"
    start = date.today() + timedelta(days=7)
    until = start + timedelta(weeks=DATES - 1)
    times = {"start_date": start.isoformat(), "start_time": "10:00", "end_time": "12:00"}
    again = {"repeats": "weekly", "until": until.isoformat()}
    fields = changed(fields_of(writer.page(page).body, page), title=mark, branch="b1", **times, **again)
    answers = [writer.insist(lambda: writer.browser.post(page, fields)) for _ in range(2)]
    came = {answer.headers["location"].partition("?")[0] for answer in answers}
    if len(came) != 1:
        writer.faults.append(f"{mark}: the form that was sent twice posted {came}")


def change_date(writer: Writer, mark: str) -> None:
    event = f"/organize/events/{writer.event}"
    shown = re.findall(rf'href="({event}/dates/[^"/?]*)"', writer.page(event).body.decode())
    path = shown[len(writer.acknowledged) % len(shown)]
    writer.send(path, path, 409, title=mark)


def write_message(writer: Writer, mark: str) -> None:
    path = "/branches/b2/contact"
    writer.send(path, path, name="Ben", email="ben@example.org", subject=mark, message=f"About {mark}.")


def subscribe(writer: Writer, mark: str) -> None:
    fields = [("email", f"{mark}@example.org"), ("frequency", "weekly"), ("branch", "b3"), ("website", "")]
    writer.insist(lambda: writer.browser.post("/subscribe", fields))


def write_news(writer: Writer, mark: str) -> None:
    page = "/organize/news/new"
    answer = writer.send(page, page, title=mark, text=f"About {mark}.", branch="b1")
    notice = answer.headers["location"].partition("?")[0]
    writer.insist(lambda: writer.browser.post(f"{notice}/publication"), 409)


def bring_table(writer: Writer, mark: str) -> None:
    rows = "".join(f"{mark}-{number},{mark} {number},Chicago,US\n" for number in range(3))
    table = f"slug,name,city,country\n{rows}".encode()
    answer = writer.upload("/organize/branches", "/organize/branches.csv", table)
    sheet = answer.headers["location"]
    writer.send(sheet, f"{sheet}/application", 404)


def send_picture(writer: Writer, mark: str) -> None:
    path = f"/organize/events/{writer.event}/picture"
    colour = random.Random(mark).randbytes(3)
    file = BytesIO()
    Image.new("RGB", (640, 400), (colour[0], colour[1], colour[2])).save(file, "JPEG")
    while not fields_of(writer.page(path).body, path):  # the last one is being prepared
        time.sleep(0.1)
    writer.upload(path, path, file.getvalue(), alt=mark)


KINDS: Mapping[str, Callable[[Writer, str], None]] = {
    "series": post_series,
    "date": change_date,
    "message": write_message,
    "subscription": subscribe,
    "notice": write_news,
    "table": bring_table,
    "picture": send_picture,
}


def _write(kind: str, writer: Writer) -> None:
    number = 0
    while not writer.stop.is_set():
        number += 1
        mark = f"{kind}-{number}-{random.randrange(16**6):06x}"
        try:
            KINDS[kind](writer, mark)
        except Ended:
            return
        except (RuntimeError, IndexError, KeyError) as error:
            writer.faults.append(f"{mark}: {error!r}")
        else:
            writer.acknowledged.append(mark)


@contextmanager
def traffic(running: Running, database: Database) -> Iterator[dict[str, Writer]]:
    with database.reading() as session:
        branch = session.exec(select(Branch).where(col(Branch.slug) == "b1")).one()
    writers, stop = dict[str, Writer](), threading.Event()
    for kind in KINDS:
        email = f"{kind}@example.org"
        writers[kind] = Writer(organizer(database, running.address, email, branch), stop)
        with database.writing() as session:
            person = sign_in.find_or_add(session, email, datetime.now(UTC))
            permissions.invite(session, person, None, Role.ADMIN)
    for kind in ("date", "picture"):
        post_series(writers[kind], f"of {kind}")
        with database.reading() as session:
            writers[kind].event = session.exec(select(Event.id).where(Event.title == f"of {kind}")).one() or 0
    threads = [threading.Thread(target=_write, args=each) for each in writers.items()]
    for thread in threads:
        thread.start()
    try:
        yield writers
    finally:
        stop.set()
        for thread in threads:
            thread.join()


# ---------------------------------------------------------------- what must be there


def _count(session: Session, model: type[SQLModel], *conditions: sa.ColumnElement[bool]) -> int:
    return session.exec(select(sa.func.count()).select_from(model).where(*conditions)).one()


def _of_series(session: Session, mark: str) -> object:
    numbers = session.exec(select(Event.id).where(Event.title == mark)).all()
    return [
        (
            _count(session, Occurrence, col(Occurrence.event_id) == number),
            _count(session, Rendered, col(Rendered.event_id) == number, col(Rendered.ics).contains(mark)),
            _count(session, EventBranch, col(EventBranch.event_id) == number),
            _count(session, Version, col(Version.subject) == f"event:{number}"),
        )
        for number in numbers
    ] or "nothing"


def _of_message(session: Session, mark: str) -> object:
    return (
        _count(session, ContactMessage, col(ContactMessage.subject) == mark),
        _count(session, OutgoingMail, col(OutgoingMail.subject).contains(mark)),
    )


def _of_subscription(session: Session, mark: str) -> object:
    email = f"{mark}@example.org"
    return (
        _count(session, Subscription, col(Subscription.email) == email),
        min(1, _count(session, OutgoingMail, col(OutgoingMail.recipient) == email)),
    )


def _of_notice(session: Session, mark: str) -> object:
    return (
        _count(session, Notice, col(Notice.title) == mark),
        _count(session, Notice, col(Notice.title) == mark, col(Notice.published_at).is_not(None)),
    )


def _of_table(session: Session, mark: str) -> object:
    return _count(session, Branch, col(Branch.slug).startswith(f"{mark}-"))


def _of_version(session: Session, mark: str) -> object:
    return min(1, _count(session, Version, sa.cast(Version.snapshot, sa.Text).contains(mark)))


# How to look for what was acknowledged, and what must be found.
WANTED: Mapping[str, tuple[Callable[[Session, str], object], object]] = {
    "series": (_of_series, [(DATES, 2, 1, 1)]),
    "date": (_of_version, 1),
    "message": (_of_message, (1, 1)),
    "subscription": (_of_subscription, (1, 1)),
    "notice": (_of_notice, (1, 1)),
    "table": (_of_table, 3),
    "picture": (_of_version, 1),
}


def wrong(database: Database, writers: Mapping[str, Writer], since: Counter[str]) -> list[str]:
    """What was acknowledged after so many and is not as it must be. `since` is moved on."""
    faults = []
    for kind, writer in writers.items():
        look, wanted = WANTED[kind]
        new = writer.acknowledged[since[kind] :]
        since[kind] += len(new)
        with database.reading() as session:
            found = {mark: look(session, mark) for mark in new}
        faults += [f"{mark}: {came}, not {wanted}" for mark, came in found.items() if came != wanted]
    return faults + _unsound(database)


def _unsound(database: Database) -> list[str]:
    if not database.is_sqlite:
        return []
    with database.reading() as session:
        said = session.connection().exec_driver_sql("PRAGMA integrity_check").scalars().all()
        loose = session.connection().exec_driver_sql("PRAGMA foreign_key_check").all()
    return [f"integrity_check: {line}" for line in said if line != "ok"] + [str(row) for row in loose]


def twice(database: Database, writers: Mapping[str, Writer]) -> list[str]:
    """Events that say more changes than were acknowledged, and what nobody was told of but half of it."""
    faults = []
    with database.reading() as session:
        for kind, action in (("date", "date"), ("picture", "picture")):
            subject, mine = f"event:{writers[kind].event}", writers[kind].acknowledged
            made = _count(session, Version, col(Version.subject) == subject, col(Version.action) == action)
            if not len(mine) <= made <= len(mine) + 1:  # the last one may be under way when the bench ends
                faults.append(f"{kind}: {len(mine)} acknowledged, {made} made")
        for picture in session.exec(select(Picture)).all():
            if picture.state == PictureState.READY and not (picture.large and picture.small):
                faults.append(f"picture {picture.id} is not whole")
        for title in session.exec(select(Event.title)).all():
            if title.startswith("series-") and (came := _of_series(session, title)) != [(DATES, 2, 1, 1)]:
                faults.append(f"{title}: {came}")
    return faults


# ---------------------------------------------------------------- the rounds


def _rounds(data: Path, url: str, options: argparse.Namespace) -> bool:
    data.mkdir()
    database, chance = Database(url, size=2), random.Random(options.seed)
    fill_in(database, branches=BRANCHES)
    running = Running(data, url, options.workers)
    others_s, stayed, faults, since = list[float](), 0, list[str](), Counter[str]()
    print(
        f"\n{'SQLite' if database.is_sqlite else 'PostgreSQL'}, {options.workers} web processes and a worker"
    )
    try:
        running.start_web()
        running.start_worker()
        with traffic(running, database) as writers:
            for number in range(1, options.rounds + 1):
                time.sleep(chance.uniform(0.05, 1.0))
                stayed += _one_round(running, chance, others_s)
                if number % CHECK_EVERY == 0:
                    faults += wrong(database, writers, since)
            time.sleep(2)
        faults += wrong(database, writers, since) + twice(database, writers)
        late = _mails_missing(database)
    finally:
        running.kill_all()
    faults += [fault for writer in writers.values() for fault in writer.faults]
    good = _told(running, writers, others_s, faults, options.rounds)
    good &= figure("web processes that outlived who watches over them", str(stayed), "0", stayed == 0)
    good &= figure("mails that wait at the end", str(late), "0", late == 0)
    database.dispose()
    return good


def _one_round(running: Running, chance: random.Random, others_s: list[float]) -> int:
    stayed = 0
    match chance.choices(("all", "web", "worker", "watcher"), (5, 3, 1, 1))[0]:
        case "all":
            running.kill_all()
            running.start_web()
            running.start_worker()
        case "web":
            others_s.append(running.kill_web_process(chance))
        case "worker":
            running.kill_worker()
            running.start_worker()
        case _:
            stayed = running.kill_watcher()
            running.start_web()
    return stayed


def _mails_missing(database: Database) -> int:
    """What a killed worker was sending is sent again when its lease is over."""
    until = time.monotonic() + FINISH_S
    while True:
        with database.reading() as session:
            late = _count(session, OutgoingMail, col(OutgoingMail.sent_at).is_(None))
        if not late or time.monotonic() > until:
            return late
        time.sleep(0.5)


def _told(
    running: Running, writers: Mapping[str, Writer], others_s: list[float], faults: list[str], rounds: int
) -> bool:
    told = ", ".join(f"{len(writer.acknowledged)} {kind}" for kind, writer in writers.items())
    print(f"{rounds} rounds, {len(running.ready_s)} starts; acknowledged: {told}")
    met = sum((writer.met for writer in writers.values()), Counter[str]())
    print(f"    met on the way: {', '.join(f'{count} × {what}' for what, count in met.items())}")
    good = figure("acknowledged writes lost, doubled or partial", str(len(faults)), "0", not faults)
    for fault in faults[:10]:
        print(f"    {fault}")
    if faults:
        print(running.tracebacks())
    longest = max(running.ready_s)
    figure("ready again, seconds: median", f"{statistics.median(running.ready_s):.2f}")
    good &= figure("    longest", f"{longest:.2f}", f"<= {READY_S:g}", longest <= READY_S)
    if waited := max(others_s, default=0.0):
        good &= figure(
            "another process answers, longest", f"{waited:.2f}", f"<= {READY_S:g}", waited <= READY_S
        )
    return good
