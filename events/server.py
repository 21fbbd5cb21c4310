"""Running the server and the worker, and ending them well: SIGTERM lets requests finish and exits 0.

The site itself is loaded when it is served: of several processes the first one is what the others are copies of, and
watches over them.
"""

import argparse
import asyncio
import contextlib
import logging
import multiprocessing
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing.context import ForkProcess
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import uvicorn
from uvicorn._subprocess import subprocess_started
from uvicorn.supervisors import multiprocess
from uvicorn.supervisors.multiprocess import SIGNALS, Multiprocess, Process

from . import interpreter, logs, metrics, migrations, presence
from .config import Settings
from .errors import ConfigurationError, Unavailable, say
from .later import load_functions, loaded, loaded_later, without_collecting

if TYPE_CHECKING:
    from sqlalchemy import exc
    from starlette.applications import Starlette

    from . import app as site
    from . import db
    from . import worker as working
    from .backups import making
else:
    exc = loaded_later("sqlalchemy.exc")
    db = loaded_later("events.db")
    making = loaded_later("events.backups.making")
    site = loaded_later("events.app")
    working = loaded_later("events.worker")

FINISH_WITHIN_S = 10
TAKEN_WITHIN_MS = 20_000  # what the kernel has still to send to a client that takes nothing any more
HEAD_START_S = 1.0  # of those who wait for the first page, before the worker
LOOK_AFTER_S = 0.5  # a process, whether the one that watches over it is still there
BACKLOG = 2048
MOST_FILES = 8192  # connections of a process (`connections.MOST`), and what it opens besides
log = logging.getLogger("branchline")


def serve(settings: Settings, options: argparse.Namespace) -> int:
    settings = replace(settings, port=settings.port if options.port is None else options.port)
    _on_signals(_note)  # which hits nothing half-way; libraries tell of what is raised in their midst
    check_port(options.host, settings.port)
    _migrate_embedded(settings)
    return 0 if _ended else run(settings, options.host, options.workers)


def work(settings: Settings, options: argparse.Namespace) -> int:
    """The worker alone, until SIGTERM or Ctrl+C; 1 if a part of it ends by itself."""
    _on_signals(_note)  # which is enough for what looks up once a second, and hits nothing half-way
    presence.stay(settings.data_dir)
    _migrate_embedded(settings)
    logs.set_up(settings.log_format)
    with metrics.published(settings.run_dir), _worker(settings) as threads:
        while not _ended and all(thread.is_alive() for thread in threads):
            threads[0].join(timeout=1)
    return 0 if _ended else 1


def _migrate_embedded(settings: Settings) -> None:
    url = settings.database_url
    if url.startswith(migrations.SQLITE) and not migrations.file_is_newest(url):
        with opened(settings) as database:
            if said := making.upgrade(settings, database, datetime.now(UTC)):
                print(said, file=sys.stderr, flush=True)


@contextlib.contextmanager
def opened(settings: Settings) -> "Iterator[db.Database]":
    """The database, for a command. Raises Unavailable when it cannot be used."""
    database = db.Database(settings.database_url, size=1)
    try:
        with presence.present(settings.data_dir):
            yield database
    except exc.DatabaseError as error:
        why = " ".join(str(error.orig).split())
        raise Unavailable(say("The database cannot be used: %(why)s", why=why)) from error
    finally:
        database.dispose()


def run(settings: Settings, host: str, workers: int) -> int:
    """Serves until SIGTERM or Ctrl+C. With one process the worker runs inside it."""
    presence.stay(settings.data_dir)
    logs.set_up(settings.log_format)
    interpreter.keep_memory_together()
    allow_many_files()
    if workers > 1:
        return _run_several(settings, host, workers)
    interpreter.give_way_soon(settings.is_on_sqlite)
    interpreter.look_for_garbage_seldom()
    sockets = listen(host, settings.port)
    with without_collecting():
        app = site.create_app(settings)
    with contextlib.ExitStack() as until_the_end, ThreadPoolExecutor(1, "worker") as beside:
        server = _Server(
            config_of(app, settings, host),
            lambda: beside.submit(_begin, until_the_end, settings),
        )
        server.run(sockets=sockets)
        server.check_begun()
    return 0


def _begin(until_the_end: contextlib.ExitStack, settings: Settings) -> None:
    with without_collecting():
        until_the_end.enter_context(_worker(settings))


class _Server(uvicorn.Server):
    """The worker is loaded when the site is up, and not at once: each would wait for the other."""

    def __init__(self, config: uvicorn.Config, then: Callable[[], Future[None]]) -> None:
        super().__init__(config)
        self._then = then
        self._begun: Future[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.should_exit |= bool(_ended)
        if self.started:
            asyncio.get_running_loop().call_later(HEAD_START_S, self._begin)

    def _begin(self) -> None:
        self._begun = self._then()
        self._begun.add_done_callback(self._end_without)

    def _end_without(self, begun: Future[None]) -> None:
        """A site whose worker cannot be had sends no mail: better that somebody notices."""
        if begun.exception() is not None:
            self.should_exit = True

    def check_begun(self) -> None:
        """Raises what kept the worker from beginning."""
        if self._begun is not None:
            self._begun.result()


@contextlib.contextmanager
def _worker(settings: Settings) -> Iterator[list[threading.Thread]]:
    """The worker in threads of its own, for as long as the block runs: one waits for the mail server, one for
    servers of strangers.

    What it still sends after FINISH_WITHIN_S ends with the process; the outbox will claim it again.
    """
    publishing = site.publishing_of(settings)
    worker, mailer, follower = workers = [working.Worker(settings, publishing) for _ in range(3)]
    threads = [
        threading.Thread(target=worker.run, name="worker", daemon=True),
        threading.Thread(target=mailer.run, args=(mailer.deliver_mails,), name="mailer", daemon=True),
        threading.Thread(
            target=follower.run,
            args=(follower.follow_calendars, follower.follow_headlines),
            name="follower",
            daemon=True,
        ),
    ]
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        for one in workers:
            one.stop()
        until = time.monotonic() + FINISH_WITHIN_S
        for thread in threads:
            thread.join(timeout=max(0.0, until - time.monotonic()))


def check_port(host: str, port: int) -> None:
    """Raises ConfigurationError when the port is in use, before anything else is done."""
    for listening in listen(host, port):
        listening.close()


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets on every address of the host (localhost is often two). Raises ConfigurationError."""
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in dict.fromkeys(found):
            listening = socket.socket(family, kind, protocol)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if sys.platform == "linux":  # connections inherit it
                listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TAKEN_WITHIN_MS)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                listening.bind(address)
                listening.listen(BACKLOG)  # two sockets may be bound to one port, but not listen on it
            except OSError as error:
                listening.close()
                if family == socket.AF_INET6 and sockets:
                    log.info("not listening on %s: %s", address[0], error.strerror)
                    continue
                raise
            sockets.append(listening)
    except OSError as error:
        raise ConfigurationError(
            say("Cannot listen on %(host)s port %(port)d: %(why)s.", host=host, port=port, why=error.strerror)
        ) from error
    return sockets


def allow_many_files() -> None:
    """Each connection is one, and many systems allow a process a thousand unless it asks for more."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if most == resource.RLIM_INFINITY else min(most, MOST_FILES)
    if allowed != resource.RLIM_INFINITY and allowed < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def app_from_environment() -> "Starlette":
    """For each process of `--workers N`."""
    settings = Settings.from_environment(os.environ)
    presence.stay(settings.data_dir)  # also when the process is killed that watches over this one
    logs.set_up(settings.log_format)
    interpreter.give_way_soon(settings.is_on_sqlite)
    interpreter.look_for_garbage_seldom()
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    with without_collecting():
        return site.create_app(settings)


def _end_with_parent() -> None:
    """Who watches over this process may be killed, and cannot say so. What outlived it would keep the port from those
    that are started in its place.
    """
    parent = multiprocessing.parent_process()
    while parent is not None:
        if os.getppid() != parent.pid:
            os.kill(os.getpid(), signal.SIGTERM)
            return
        time.sleep(LOOK_AFTER_S)


class _Copy(ForkProcess):
    """Of the first process, which has loaded the site, and opened nothing of it: no thread, no database.

    What the first one does on a signal is nothing for its copies, at no moment: a signal that comes meanwhile waits.
    """

    def start(self) -> None:
        held = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def run(self) -> None:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        super().run()


def _copied(
    config: uvicorn.Config, target: Callable[..., None], sockets: list[socket.socket]
) -> multiprocessing.process.BaseProcess:
    told = {"config": config, "target": target, "sockets": sockets, "stdin_fileno": None}
    return _Copy(target=subprocess_started, kwargs=told)


class _Several(Multiprocess):
    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)  # from here on it hears signals itself
        self.signal_queue += _ended

    def init_processes(self) -> None:
        """The first answers while the pages are loaded of which the others are copies, and so is who replaces one."""
        if not self.signal_queue:
            self._add()
        if sys.platform == "linux":
            load_functions()
        while len(self.processes) < self.processes_num and not self.signal_queue:
            self._add()

    def _add(self) -> None:
        process = Process(self.config, self.sockets)
        process.start()
        self.processes.append(process)


def _load_for_copies() -> None:
    """What each of them needs before it can answer."""
    loaded("events.app")


def _run_several(settings: Settings, host: str, workers: int) -> int:
    if sys.platform == "linux":  # libraries of other systems may not bear to be copied
        vars(multiprocess).update(get_subprocess=_copied)  # for which uvicorn has no setting
        _load_for_copies()
    sockets = listen(host, settings.port)
    os.environ["PORT"] = str(settings.port)
    os.environ.pop("PORT_FILE", None)
    config = config_of("events.server:app_from_environment", settings, host, workers=workers)
    _Several(config, sockets=sockets).run()
    return 0


def config_of(app: "Starlette | str", settings: Settings, host: str, workers: int = 1) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=settings.port,
        factory=isinstance(app, str),
        workers=workers,
        http="events.connections:Connection",
        ws="none",
        log_config=None,
        access_log=False,  # it would write query strings, which hold what visitors searched for
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=FINISH_WITHIN_S,
        timeout_worker_healthcheck=30,  # a busy machine needs more than 5 s to start a process
        lifespan="on",
    )


def end_on_signals() -> None:
    """From now on SIGTERM and Ctrl+C end the process with status 0, after whatever must still be closed.

    While uvicorn runs it has handlers of its own; it raises the signal that ended it once more afterwards.
    """
    _on_signals(_end)
    sys.unraisablehook = _tell_unless_ended


def _tell_unless_ended(dropped: "sys.UnraisableHookArgs") -> None:
    """What Python drops is printed, but for an end that is written down."""
    if not (_ended and isinstance(dropped.exc_value, SystemExit)):
        sys.__unraisablehook__(dropped)


def _on_signals(handler: Callable[[int, FrameType | None], None]) -> None:
    signal.signal(signal.SIGTERM, handler)
    signal.signal(signal.SIGINT, handler)


_ended: list[int] = []  # by which signals


def _note(number: int, _frame: FrameType | None) -> None:
    _ended.append(number)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    """What is raised in a callback of the garbage collector gets lost, so it is also written down."""
    _note(number, frame)
    raise SystemExit(0)
