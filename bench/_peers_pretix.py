"""pretix as its guides install it: gunicorn, two processes a core, with Redis beside it or without."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import icalendar

from bench._load import HOST, READY_WITHIN_S, Target, served
from bench._peers_kept import filled, programs, run
from tests.smtp_sink import free_port

WORKERS = 2 * (os.cpu_count() or 1)
PATH = "/bench/events/ical/"
# A series of as many dates as there are events. It runs in pretix's own environment, by the classes of pretix.
SCRIPT = """
import json, sys
from datetime import datetime
import django
django.setup()
from django_scopes import scopes_disabled
from pretix.base.models import Event, Organizer, SubEvent
dates = json.load(sys.stdin)
with scopes_disabled():
    organizer = Organizer.objects.create(name="Bench", slug="bench")
    series = Event.objects.create(
        organizer=organizer, name="Bench", slug="series", live=True, is_public=True, has_subevents=True,
        currency="EUR", date_from=datetime.fromisoformat(dates[0]["start"]), plugins="")
    series.settings.timezone = sys.argv[1]
    for date in dates:
        SubEvent.objects.create(
            event=series, active=True, is_public=True, name=date["name"], location=date["location"],
            date_from=datetime.fromisoformat(date["start"]), date_to=datetime.fromisoformat(date["end"]))
"""


@contextmanager
def pretix(calendar: bytes, timezone: str, redis: str = "") -> Iterator[Target]:
    """The public calendar of an organizer. With the URL of a Redis it keeps each answer for five minutes."""
    data = filled("pretix", calendar, partial(_fill, calendar, timezone))
    port = free_port()
    with TemporaryDirectory() as folder:
        environment = _environment(data, Path(folder, "pretix.cfg"), port, redis)
        command = [str(programs("pretix") / "gunicorn"), "pretix.wsgi", "--name=pretix", f"--chdir={folder}"]
        command += [f"--workers={WORKERS}", "--max-requests=1200", "--max-requests-jitter=50"]
        with served([*command, f"--bind={HOST}:{port}"], environment, port, "/bench/", workers=1):
            yield Target(f"http://{HOST}:{port}{PATH}")


def _environment(data: Path, file: Path, port: int, redis: str = "") -> dict[str, str]:
    """It answers only to the host of the URL that it is told, so the file is written for each start."""
    lines = ["[pretix]", "instance_name=Bench", f"url=http://{HOST}:{port}", f"datadir={data}"]
    lines += ["[database]", "backend=sqlite3", "[django]", "debug=off", "secret=for this bench only"]
    lines += ["[redis]", f"location={redis}", "sessions=true"] if redis else []
    file.write_text("\n".join(lines))
    return {
        "PRETIX_CONFIG_FILE": str(file),
        "DJANGO_SETTINGS_MODULE": "pretix.settings",
        "PYTHONWARNINGS": "ignore",
    }


def _fill(calendar: bytes, timezone: str, data: Path) -> None:
    """What it has a place for: title, time and venue of each. Its own text stands where the description would."""
    events: Any = icalendar.Calendar.from_ical(calendar).walk("VEVENT")
    dates = [
        {
            "name": str(event["SUMMARY"]),
            "location": str(event["LOCATION"]),
            "start": event["DTSTART"].dt.isoformat(),
            "end": event["DTEND"].dt.isoformat(),
        }
        for event in events
    ]
    environment = _environment(data, data / "pretix.cfg", free_port())
    python = programs("pretix") / "python"
    run("Making the tables of pretix", python, "-m", "pretix", "migrate", "--noinput", **environment)
    run("Filling pretix", python, "-c", SCRIPT, timezone, given=json.dumps(dates), **environment)


# ---------------------------------------------------------------- Redis


@contextmanager
def redis_server() -> Iterator[str]:
    """A Redis that keeps nothing on disk; yields its URL."""
    port = free_port()
    command = [_redis(), "--port", str(port), "--bind", HOST, "--save", "", "--appendonly", "no"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            _wait_for(process, port)
            yield f"redis://{HOST}:{port}/0"
        finally:
            process.terminate()


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + READY_WITHIN_S
    while process.poll() is None and time.monotonic() < until:
        try:
            socket.create_connection((HOST, port), timeout=10).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return
    sys.exit("Redis did not come up.")


def _redis() -> str:
    """The program; brought by apt for root. Anyone else is told what to type."""
    if found := shutil.which("redis-server"):
        return found
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        sys.exit(
            "redis-server is missing, which pretix asks for. Install it and start again, or say --no-redis."
        )
    run("Reading Debian's package lists", "apt-get", "update")
    run("Installing Redis", "apt-get", "install", "-y", "--no-install-recommends", "redis-server")
    return shutil.which("redis-server") or sys.exit("redis-server was installed and is still missing.")
