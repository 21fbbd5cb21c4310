"""The worker: what must not wait on the network or a clock inside a request. Jobs call the domain.

Several may run at once, inside `serve` or beside it: what is claimed is claimed by a conditional UPDATE.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime

from sqlalchemy.exc import OperationalError
from sqlmodel import Session

from . import fetching, limits, metrics, migrations, outages
from .calendars import derived, following, moves, pictures, polls, sources
from .calendars.content import Publishing
from .config import Settings
from .db import UNEXPECTED, Database
from .desk import freshness, notices, proposals, reports, sheets
from .mail import Mail, NotNow, Undeliverable, composed, deliver, forget_files
from .messages import delivery, outbox, refusals
from .news import headlines
from .news.notices import pictures_in_use
from .people import sign_in
from .subscriptions import choices, digests, newsletters, urgent
from .subscriptions.writing import Site

log = logging.getLogger("branchline.worker")

PAUSE_S = 1.0
AT_ONCE = 4  # mails on their way
MARK_WITHIN_S = 20.0  # together with mail.SEND_WITHIN_S less than the lease of a mail
CLEAN_EVERY_S = 3600.0
EMPTY_WITHIN_S = 2.0
LOOK_EVERY_S = 15.0
ASK_EVERY_S = 86_400.0

Job = Callable[[], int]  # returns how much there was to do


class Worker:
    def __init__(self, settings: Settings, publishing: Publishing) -> None:
        self.settings = settings
        self.publishing = publishing
        self.database = Database(settings.database_url, size=1)
        self._stop = threading.Event()
        self._cleaned = self._up_to_date = float("-inf")
        self._told = self._asked = float("-inf")
        self._rests = dict[Job, float]()  # those that have failed, and until when
        self._site = Site(publishing, settings.secret_key, settings.units)

    def run(self, *jobs: Job) -> None:
        """Works until `stop`; the database being away, or not migrated yet, is waited out.

        Without `jobs`, does all but what waits on other servers, which should hold up nothing else.
        """
        everything = (
            *(self.tell_of_changes, self.prepare_pictures, self.refresh_events, self.tell_people),
            *(self.send_digests, self.send_newsletters, self.ask_about_series, self.clean),
        )
        ready = False
        while not self._stop.is_set():
            busy = 0
            self._tell_of_turn()
            try:
                ready = ready or self.is_ready()
                if ready:
                    busy = sum(map(self._done, jobs or everything))
            except OperationalError as error:
                log.warning("the database does not answer, trying again: %s", error.orig)
            self._stop.wait(0 if busy else PAUSE_S)
        self.database.dispose()

    def _tell_of_turn(self) -> None:
        name = threading.current_thread().name
        metrics.counts.hold("branchline_worker_last_turn_timestamp_seconds", time.time(), thread=name)

    def _done(self, job: Job) -> int:
        """A fault of ours in one job ends neither the others nor the thread: without it no mail would go any more."""
        if time.monotonic() < self._rests.get(job, float("-inf")):
            return 0
        try:
            return job()
        except OperationalError:
            raise
        except UNEXPECTED:
            log.exception("a job has failed, and is tried again")
            self._rests[job] = time.monotonic() + LOOK_EVERY_S
            return 0

    def stop(self) -> None:
        self._stop.set()

    def is_ready(self) -> bool:
        with self.database.reading() as session:
            if migrations.is_newest(session.connection()):
                return True
        log.warning("waiting until the database is at the newest schema: branchline migrate")
        return False

    def deliver_mails(self) -> int:
        """Sends what is due, up to AT_ONCE at the same time; returns how many mails that were.

        Each is marked as soon as it is known what became of it, however long a server is silent about another.
        """
        number, sending = 0, dict[asyncio.Task[None], int]()
        if not self._mail_is_due():
            return 0
        with asyncio.Runner() as runner:
            while self._begin(runner.get_loop(), sending):
                for done in runner.run(_finished(sending)):
                    self._mark(sending.pop(done), done)
                    number += 1
        return number

    def _begin(self, loop: asyncio.AbstractEventLoop, sending: dict[asyncio.Task[None], int]) -> bool:
        """Claims no more than can be sent at once: others would outlast their lease while a server is slow.

        Returns whether anything is being sent.
        """
        free = 0 if self._stop.is_set() else AT_ONCE - len(sending)
        if free:
            claimed = outages.ride_out(lambda: self._claim_mails(free), MARK_WITHIN_S)
            sending |= {loop.create_task(self._send(mail)): mail_id for mail_id, mail in claimed}
        return bool(sending)

    def _claim_mails(self, most: int) -> list[tuple[int, Mail]]:
        if not self._mail_is_due():
            return []
        with self.database.writing() as session:
            return [(row.id or 0, outbox.as_mail(row)) for row in outbox.claim(session, _now(), most)]

    def _mail_is_due(self) -> bool:
        with self.database.reading() as session:
            return outbox.is_due(session, _now())

    async def _send(self, mail: Mail) -> None:
        await deliver(composed(mail, self.settings.mail_from, self.settings.name), self.settings)

    def _mark(self, mail_id: int, done: asyncio.Task[None]) -> None:
        try:
            done.result()
        except NotNow as error:
            log.info("mail %s: not now", mail_id)
            self._put_back(mail_id, error)
        except Undeliverable as error:
            self._refused(mail_id, error)
        except OperationalError:
            raise
        except UNEXPECTED as error:  # a fault of ours with this mail: others go out, and an admin will see it
            log.exception("mail %s", mail_id)
            self._put_back(mail_id, NotNow(repr(error)))
        else:
            self._write(lambda session: delivery.sent(session, mail_id, _now()))

    def _put_back(self, mail_id: int, error: NotNow) -> None:
        self._write(lambda session: delivery.put_back(session, mail_id, error, self.settings, _now()))

    def _refused(self, mail_id: int, error: Undeliverable) -> None:
        log.warning("mail %s cannot be delivered", mail_id)
        self._write(lambda session: delivery.refused(session, mail_id, error, self.settings, _now()))

    def _write(self, mark: Callable[[Session], None]) -> None:
        """Waits for a database that is away: a mail that was sent and is not marked would go out once more.

        Marked twice is as if it was once, so that a lost COMMIT is no harm.
        """

        def written() -> None:
            with self.database.writing() as session:
                mark(session)

        outages.ride_out(written, MARK_WITHIN_S)

    def refresh_events(self) -> int:
        """Looks now and then only: in a large calendar the look itself takes a second."""
        if time.monotonic() - self._up_to_date < LOOK_EVERY_S:
            return 0
        with self.database.reading() as session:
            is_behind = derived.needs_refresh(session, self.publishing, _now())
            metrics.counts.hold("branchline_horizon_behind", is_behind)
            if not is_behind:
                self._up_to_date = time.monotonic()
                return 0
        with self.database.writing() as session:
            return derived.refresh(session, self.publishing, _now(), most=50)

    def tell_people(self) -> int:
        """Tells those who decide what waits for them, and those who proposed something what became of it."""
        if time.monotonic() - self._told < LOOK_EVERY_S:
            return 0
        with self.database.reading() as session:
            if not notices.due(session, _now()):
                self._told = time.monotonic()
                return 0
        with self.database.writing() as session:
            return notices.send(session, self.publishing, _now())

    def tell_of_changes(self) -> int:
        """Tells of one event's dates that have changed."""
        with self.database.reading() as session:
            if not urgent.is_due(session, _now()):
                return 0
        return urgent.send(self.database, self._site, _now())

    def send_digests(self) -> int:
        """A batch at a time, so that thousands of them hold up nothing else."""
        with self.database.reading() as session:
            if not digests.is_due(session, _now()):
                return 0
        return digests.send(self.database, self._site, _now())

    def prepare_pictures(self) -> int:
        """One at a time, so that several large ones do not hold up the mail."""
        with self.database.reading() as session:
            if not pictures.is_due(session, _now()):
                return 0
        with self.database.writing() as session:
            work = pictures.claim(session, _now())
        if work is None:
            return 0
        pictures.work_on(self.database, work, self.publishing, _now())
        return 1

    def ask_about_series(self) -> int:
        """Once a day, ends series that nobody answers for, and asks about those that nobody has looked at for long."""
        if time.monotonic() - self._asked < ASK_EVERY_S:
            return 0
        with self.database.reading() as session:
            stopping = freshness.stopping(session, _now())
        for branch_id in stopping:
            with self.database.writing() as session:
                freshness.stop(session, branch_id, self.publishing, _now())
        number = self._ask()
        self._asked = time.monotonic()
        return number

    def _ask(self) -> int:
        with self.database.reading() as session:
            plan = freshness.plan(session, _now())
        number = 0
        for asking in plan.askings:
            if self._stop.is_set():
                break
            with self.database.writing() as session:
                number += freshness.ask(session, asking, self.publishing, _now())
        if plan.unasked:
            with self.database.writing() as session:
                freshness.forget_questions(session, plan.unasked)
        return number

    def follow_calendars(self) -> int:
        """Fetches and reads what is due; returns how many calendars that were."""
        number = 0
        while not self._stop.is_set() and (work := self._claim_calendar()):
            following.work_on(self.database, work, self._fetch_calendar, self.publishing, _now())
            number += 1
        return number

    def _claim_calendar(self) -> following.Work | None:
        with self.database.reading() as session:
            if not following.is_due(session, _now()):
                return None
        with self.database.writing() as session:
            return following.claim(session, _now())

    def _fetch_calendar(self, work: following.Work) -> fetching.Fetched:
        return self._fetch(work, "text/calendar, text/plain;q=0.5, */*;q=0.1")

    def follow_headlines(self) -> int:
        """Fetches and reads what is due; returns how many feeds that were."""
        number = 0
        while not self._stop.is_set() and (work := self._claim_feed()):
            headlines.work_on(self.database, work, self._fetch_feed, _now())
            number += 1
        return number

    def _claim_feed(self) -> headlines.Work | None:
        with self.database.reading() as session:
            if not headlines.is_due(session, _now()):
                return None
        with self.database.writing() as session:
            return headlines.claim(session, _now())

    def _fetch_feed(self, work: headlines.Work) -> fetching.Fetched:
        return self._fetch(work, "application/atom+xml, application/rss+xml, application/xml, */*;q=0.1")

    def _fetch(self, work: following.Work | headlines.Work, accept: str) -> fetching.Fetched:
        return fetching.fetch(
            work.url,
            accept=accept,
            user_agent=f"Branchline (+{self.settings.public_url})",
            etag=work.etag,
            last_modified=work.last_modified,
            allow_http=self.settings.follow_http,
        )

    def send_newsletters(self) -> int:
        """Puts a batch into the outbox; 0 when there was none to put there."""
        with self.database.reading() as session:
            if not newsletters.is_due(session, _now()):
                return 0
        with self.database.writing() as session:
            return newsletters.advance(session, self._site, _now())

    def clean(self) -> int:
        """Once in an hour, removes what is over."""
        if time.monotonic() - self._cleaned < CLEAN_EVERY_S:
            if self.database.has_outgrown_stock:
                self.database.take_stock()
            return 0
        with self.database.writing() as session:
            outbox.purge(session, _now())
            refusals.forget_past(session, _now())
            sign_in.forget_past(session, _now())
            limits.forget_past(session, _now())
            proposals.forget_past(session, _now())
            reports.forget_past(session, _now())
            derived.forget_farewells(session, _now())
            sources.forget_uploads(session, _now())
            sheets.forget_past(session, _now())
            polls.forget_past(session, _now())
            choices.forget_past(session, _now())
            moves.forget_past(session)
            pictures.forget_unused(session, _now(), pictures_in_use(_now()))
        forget_files(self.settings.mail_dir, _now() - outbox.KEEP_MESSAGES)
        self.database.take_stock()
        if not self.database.empty_log(EMPTY_WITHIN_S):
            log.info("somebody reads all the while: the log of SQLite is emptied the next time")
        self._cleaned = time.monotonic()
        return 0


async def _finished(sending: Collection[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """Those whose end is known; looks no longer than PAUSE_S, because others may be due by then."""
    done, _ = await asyncio.wait(sending, timeout=PAUSE_S, return_when=asyncio.FIRST_COMPLETED)
    return done


def _now() -> datetime:
    return datetime.now(UTC)
