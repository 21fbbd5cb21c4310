"""`/metrics`: how the site is doing, for Prometheus and whatever reads its format.

Without BRANCHLINE_METRICS_TOKEN it is for programs on this machine that ask it directly; with it, for whoever has the
token. To everybody else there is no such page. A scrape answers also while the database does not.
"""

import hmac
import ipaddress
import logging
import platform
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from .. import metrics, watch
from ..calendars.timezones import rules_version
from ..config import Settings
from ..errors import NotFound
from ..messages import overview
from ..metrics import Labels, Sample
from .endpoints import in_thread, now
from .security import is_loopback_name
from .state import State, state_of

log = logging.getLogger("branchline")

# By which a proxy says for whom it asks. Where one stands there is a proxy, whoever is named in it.
FORWARDED = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
PLAIN, OPEN = (
    "text/plain; version=0.0.4; charset=utf-8",
    "application/openmetrics-text; version=1.0.0; charset=utf-8",
)


class Family(NamedTuple):
    kind: str
    help: str


COUNTER, GAUGE, HISTOGRAM, INFO = "counter", "gauge", "histogram", "info"
FAMILIES = {
    "branchline_build": Family(INFO, "What runs here."),
    "branchline_requests": Family(
        COUNTER, "Answers by route, method, status, and whether they were kept in memory."
    ),
    "branchline_request_duration_seconds": Family(
        HISTOGRAM, "How long answers took that were made, not kept."
    ),
    "branchline_event_loop_lag_seconds": Family(
        HISTOGRAM, "How late the loop that answers came to its work."
    ),
    "branchline_memory_answers_bytes": Family(GAUGE, "Answers that are kept in memory."),
    "branchline_rate_limit_refusals": Family(
        COUNTER, "Requests that were refused because there were too many."
    ),
    "branchline_sandbox_refusals": Family(
        COUNTER, "Files of strangers that could not be read, by the reason."
    ),
    "branchline_fetch_failures": Family(COUNTER, "Calendars and feeds of others that could not be fetched."),
    "branchline_fetch_forbidden_addresses": Family(
        COUNTER, "Links that led to an address which is not public."
    ),
    "branchline_worker_last_turn_timestamp_seconds": Family(
        GAUGE, "When a thread of the worker last looked for work."
    ),
    "branchline_horizon_behind": Family(
        GAUGE, "1: dates of events wait to be written, as the worker last saw."
    ),
    "branchline_database_up": Family(GAUGE, "1: the database answers."),
    "branchline_database_bytes": Family(GAUGE, "Size of the database."),
    "branchline_database_log_bytes": Family(GAUGE, "Size of the write-ahead log of SQLite."),
    "branchline_disk_free_bytes": Family(GAUGE, "Room for the data directory."),
    "branchline_places_age_seconds": Family(GAUGE, "Age of the directory of places."),
    "branchline_outbox_waiting": Family(GAUGE, "Mails that wait."),
    "branchline_outbox_failed": Family(GAUGE, "Mails of the last 30 days that could not be sent."),
    "branchline_outbox_lag_seconds": Family(GAUGE, "How long the oldest mail has been due."),
    "branchline_digests_late": Family(GAUGE, "Digests that are due."),
    "branchline_digests_lag_seconds": Family(GAUGE, "How long the oldest digest has been due."),
    "branchline_imports_going_on": Family(GAUGE, "Files that are being read or taken over."),
    "branchline_imports_lag_seconds": Family(GAUGE, "How long the oldest of them has waited."),
    "branchline_followed": Family(GAUGE, "Calendars and feeds of others that are followed."),
    "branchline_followed_failing": Family(GAUGE, "Those that did not answer well the last time."),
    "branchline_followed_held": Family(GAUGE, "Those that wait for a person, because half of them has gone."),
    "branchline_followed_oldest_seconds": Family(GAUGE, "Age of the oldest good copy."),
    "branchline_process_most_memory_bytes": Family(GAUGE, "The most memory that a process has had."),
    "process_cpu_seconds": Family(COUNTER, "CPU time of a process."),
    "process_resident_memory_bytes": Family(GAUGE, "Memory of a process."),
    "process_open_fds": Family(GAUGE, "Open files of a process."),
    "process_max_fds": Family(GAUGE, "The most files that it may open."),
}


async def scrape(request: Request) -> Response:
    state = state_of(request)
    if not _may_ask(request, state.settings):
        raise NotFound
    metrics.counts.hold("branchline_memory_answers_bytes", state.answers.held)
    found = await in_thread(state.threads, lambda: list(_samples(state, now())))
    is_open = "application/openmetrics-text" in request.headers.get("accept", "")
    headers = {"Content-Type": OPEN if is_open else PLAIN, "Vary": "Accept", "Cache-Control": "no-store"}
    return Response(text(found, is_open=is_open), headers=headers)


def _may_ask(request: Request, settings: Settings) -> bool:
    if settings.metrics_token:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        same = hmac.compare_digest(token.strip().encode(), settings.metrics_token.encode())
        return same and scheme.lower() == "bearer"
    is_direct = not any(name in request.headers for name in FORWARDED)
    # A page of another site may have its own name lead to this machine, and a browser here would ask for it.
    is_by_name = is_loopback_name(request.headers.get("host", ""))
    return is_direct and is_by_name and _is_loopback(request.client.host if request.client else "")


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


# ---------------------------------------------------------------- what is told


def _samples(state: State, now: datetime) -> Iterator[Sample]:
    settings = state.settings
    yield from metrics.everybody(settings.run_dir)
    yield _gauge("branchline_build", 1, *_build())
    yield _gauge("branchline_disk_free_bytes", shutil.disk_usage(settings.data_dir).free)
    built = state.gazetteer.about().get("built_at")
    if built is not None:
        yield _gauge("branchline_places_age_seconds", (now - datetime.fromisoformat(built)).total_seconds())
    yield from _of_database(state, now)


def _build() -> Labels:
    return (
        ("version", version("branchline")),
        ("python", platform.python_version()),
        ("sqlite", sqlite3.sqlite_version),
        ("tzdata", rules_version()),
    )


def _gauge(family: str, value: float, *labels: tuple[str, str]) -> Sample:
    return Sample(family, "_info" if FAMILIES[family].kind is INFO else "", labels, value)


def _of_database(state: State, now: datetime) -> Iterator[Sample]:
    """While it is away nobody waits for it here: this thread is needed for what needs no database."""
    found: list[Sample] = []
    if not state.outage.is_on:
        try:
            with state.database.reading() as session:
                found = [*_sizes(state, session), *_queues(session, now), *_followed(session, now)]
        except SQLAlchemyError as error:
            log.warning("figures of the database cannot be had: %s", error)
    yield _gauge("branchline_database_up", 1 if found else 0)
    yield from found


def _sizes(state: State, session: Session) -> Iterator[Sample]:
    if not state.database.is_sqlite:
        size = (
            session.connection().execute(sa.text("SELECT pg_database_size(current_database())")).scalar_one()
        )
        yield _gauge("branchline_database_bytes", size)
        return
    path = Path(state.database.engine.url.database or "")
    wal = path.with_name(f"{path.name}-wal")
    yield _gauge("branchline_database_bytes", path.stat().st_size)
    yield _gauge("branchline_database_log_bytes", wal.stat().st_size if wal.exists() else 0)


def _queues(session: Session, now: datetime) -> Iterator[Sample]:
    outbox = overview.standing(session, now)
    yield _gauge("branchline_outbox_waiting", outbox.waiting)
    yield _gauge("branchline_outbox_failed", outbox.failed)
    yield _gauge("branchline_outbox_lag_seconds", outbox.lag.total_seconds())
    digests, imports = watch.late_digests(session, now), watch.imports(session, now)
    yield _gauge("branchline_digests_late", digests.number)
    yield _gauge("branchline_digests_lag_seconds", digests.lag.total_seconds())
    yield _gauge("branchline_imports_going_on", imports.number)
    yield _gauge("branchline_imports_lag_seconds", imports.lag.total_seconds())


def _followed(session: Session, now: datetime) -> Iterator[Sample]:
    for kind, found in (
        ("calendar", watch.calendars(session, now)),
        ("headlines", watch.headlines(session, now)),
    ):
        yield _gauge("branchline_followed", found.number, ("kind", kind))
        yield _gauge("branchline_followed_failing", found.failing, ("kind", kind))
        yield _gauge("branchline_followed_held", found.held, ("kind", kind))
        yield _gauge("branchline_followed_oldest_seconds", found.oldest.total_seconds(), ("kind", kind))


# ---------------------------------------------------------------- the text


def text(samples: Iterable[Sample], *, is_open: bool) -> str:
    """OpenMetrics names a family without the ending of its samples, and says where all ends."""
    by_family: dict[str, list[Sample]] = {}
    for sample in samples:
        by_family.setdefault(sample.family, []).append(sample)
    lines: list[str] = []
    for name, family in FAMILIES.items():
        if name in by_family:
            lines += _head(name, family, is_open=is_open)
            lines += [
                f"{name}{each.suffix}{_said(each.labels)} {_number(each.value)}" for each in by_family[name]
            ]
    return "\n".join([*lines, *(["# EOF"] if is_open else []), ""])


def _head(name: str, family: Family, *, is_open: bool) -> list[str]:
    kind = family.kind
    if not is_open:
        name += {COUNTER: "_total", INFO: "_info"}.get(kind, "")
        kind = GAUGE if kind is INFO else kind
    return [f"# HELP {name} {family.help}", f"# TYPE {name} {kind}"]


def _said(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}" if labels else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
