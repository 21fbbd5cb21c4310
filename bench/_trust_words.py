"""Words in `q` among many events, in pages, feeds and the API: also those that occur nowhere are soon looked for.

Each address is asked in turn with words that are in no event, in every one, in a few, and in the past alone; medians of
--rounds. In this process, so without a server's loop, and with the whole way of a request.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from starlette.testclient import TestClient

from bench._figures import line
from bench._load import engines
from bench._synthetic import PUBLISHING, fill
from events import migrations
from events.config import Settings
from events.db import Database
from tests.conftest import running

MOST_S = 0.5
WORDS = {
    "nowhere": "zzzzz",
    "one of two nowhere": "choir zzzzz",
    "everywhere": "ground floor",
    "a kind": "seed swap",
    "a town": "choir alder",
}
PATHS = (
    *("/events?q={}", "/events?topic=music&q={}", "/events?near=40.7,-74&q={}", "/events.json?q={}"),
    *("/events.ics?q={}", "/api/v1/events?q={}", "/api/v1/occurrences?q={}", "/calendar/{{}}?q={}"),
)
# A calendar of a megabyte costs what it costs, with words or without: `./dev bench feeds` has that.
WHOLE_FEEDS = {("/events.ics?q={}", "everywhere")}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--branches", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")


def run(options: argparse.Namespace) -> bool:
    good = True
    with tempfile.TemporaryDirectory() as folder, engines(options.database, Path(folder)) as made:
        for engine, new in made.items():
            url = new("words")
            database = Database(url, size=1)
            migrations.upgrade(database)
            fill(database, branches=options.branches, events=options.events)
            database.dispose()
            good &= asked(engine, Path(folder), url, options)
    return good


def asked(engine: str, folder: Path, url: str, options: argparse.Namespace) -> bool:
    settings = Settings(data_dir=folder, database_url=url, secret_key="bench", rate_limits=False)
    settings = replace(settings, base_url=PUBLISHING.base_url)
    month = time.strftime("%Y/%m")
    taken: dict[tuple[str, str], list[float]] = defaultdict(list)
    with running(settings) as app:
        client = TestClient(app, PUBLISHING.base_url)
        for number in range(options.rounds + 1):
            for path in PATHS:
                for name, words in WORDS.items():
                    if (path, name) in WHOLE_FEEDS:
                        continue
                    address = path.format(words).replace("{}", month)
                    begun = time.perf_counter()
                    client.get(f"{address}&_={number}").raise_for_status()
                    if number:  # the first is for what is loaded once
                        taken[path, name].append(time.perf_counter() - begun)
    good = True
    for (path, name), times in taken.items():
        middle = statistics.median(times)
        good &= middle <= MOST_S
        told = f"{engine}, {options.events} events, {path.replace('{}', '…')}, {name}: {middle:.3f} s"
        line(f"{told}, load {os.getloadavg()[0]:.1f}", f"<= {MOST_S:g} s", middle <= MOST_S)
    return good
