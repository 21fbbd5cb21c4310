"""Running the server and the worker, and ending them well: SIGTERM lets requests finish and exits 0."""

import logging
import os
import signal
import socket
import sys
import threading
from types import FrameType

import uvicorn
from starlette.applications import Starlette
from uvicorn.supervisors import Multiprocess

from .app import create_app, publishing_of
from .config import Settings
from .errors import ConfigurationError, say
from .worker import Worker

FINISH_WITHIN_S = 10
log = logging.getLogger("branchline")


def run(settings: Settings, host: str, workers: int) -> int:
    """Serves until SIGTERM or Ctrl+C. With one process the worker runs inside it."""
    set_up_logging()
    if workers > 1:
        return _run_several(settings, host, workers)
    sockets = listen(host, settings.port)
    worker = Worker(settings, publishing_of(settings))
    thread = threading.Thread(target=worker.run, name="worker")
    _exit_quietly()
    thread.start()
    try:
        uvicorn.Server(_config(create_app(settings), settings, host)).run(sockets=sockets)
    finally:
        worker.stop()
        thread.join(timeout=FINISH_WITHIN_S)
    return 0


def work(settings: Settings) -> int:
    """The worker alone, until SIGTERM or Ctrl+C."""
    set_up_logging()
    worker = Worker(settings, publishing_of(settings))

    def stop(_signal: int, _frame: FrameType | None) -> None:
        worker.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    worker.run()
    return 0


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
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                listening.bind(address)
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


def set_up_logging() -> None:
    """To standard error: what happens, without query strings, names or addresses of visitors."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        force=True,
    )


def app_from_environment() -> Starlette:
    """For the processes of `--workers N`, which start afresh."""
    set_up_logging()
    return create_app(Settings.from_environment(os.environ))


def _run_several(settings: Settings, host: str, workers: int) -> int:
    check_port(host, settings.port)
    os.environ["PORT"] = str(settings.port)
    _exit_quietly()
    config = _config("events.server:app_from_environment", settings, host, workers=workers)
    Multiprocess(config, sockets=[config.bind_socket()]).run()
    return 0


def _config(app: Starlette | str, settings: Settings, host: str, workers: int = 1) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=settings.port,
        factory=isinstance(app, str),
        workers=workers,
        log_config=None,
        access_log=False,  # it would write query strings, which hold what visitors searched for
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=FINISH_WITHIN_S,
        lifespan="on",
    )


def _exit_quietly() -> None:
    """uvicorn raises the signal that ended it once more, when these handlers are back in place."""
    signal.signal(signal.SIGTERM, _noted)
    signal.signal(signal.SIGINT, _noted)


def _noted(number: int, _frame: FrameType | None) -> None:
    log.info("stopped by %s", signal.Signals(number).name)
