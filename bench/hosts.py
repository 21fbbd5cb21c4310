"""Two machines, one PostgreSQL, nginx in front: what the cache saves, when edits are seen, that private pages stay
private, and what people notice of a PostgreSQL that is restarted.

usage: ./dev bench hosts [--seconds 3] [--rounds 3] [--away 8] [--only cache,edits,private,restart]

The machines are network namespaces, so this needs Linux, root, `ip` (iproute2), nginx and wrk. The configuration of
nginx is the one in docs/operating.md, word for word but for addresses, certificates and a header that says what the
cache did.
"""

import argparse
import http.client
import random
import re
import shutil
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlmodel import select

from bench._hosts import (
    BRANCH,
    DIRECTLY,
    EMAIL,
    PROXY,
    Scene,
    ask,
    everything,
    is_ready,
    post,
    wait_until,
)
from bench._load import Target, compared, figure, heading, row
from events.messages import outbox
from events.messages.models import ContactMessage
from events.people import sign_in
from events.people.models import Purpose

EDITS = 20
STALENESS_S = 3.0  # docs/operating.md
READERS, WRITERS = 6, 2
BEFORE_S, AFTER_S = 3.0, 8.0
SLOW_S = 1.0
PARTS = ("cache", "edits", "private", "restart")
FROM_CACHE = {"HIT", "STALE", "UPDATING", "REVALIDATED"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3, help="of each run of wrk")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side, in alternation")
    parser.add_argument("--away", type=float, default=8, help="seconds for which PostgreSQL is gone")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas")
    options = parser.parse_args()
    if missing := [program for program in ("ip", "nginx", "wrk") if shutil.which(program) is None]:
        sys.exit(f"Missing: {', '.join(missing)}. As root: apt-get install -y iproute2 nginx-light wrk")
    chosen = options.only.split(",")
    with everything() as scene:
        if "cache" in chosen:
            measure_cache(options.seconds, options.rounds)
        if "edits" in chosen:
            measure_edits(scene)
        if "private" in chosen:
            check_private(scene)
        for mode in ("fast", "immediate") if "restart" in chosen else ():
            restart(scene, mode, options.away)


# ---------------------------------------------------------------- the cache


def measure_cache(seconds: float, rounds: int) -> None:
    """Directly is one machine of the two, with its two processes; wrk, nginx and all else share the same cores."""
    heading("nginx/s", "direct/s")
    for path in (f"/branches/{BRANCH}", "/events", "/events.ics"):
        through = Target(f"http://{PROXY}{path}")
        directly = Target(f"http://{DIRECTLY[0]}{path}", {"Host": PROXY})
        row(f"{path} through nginx, against directly", compared(through, directly, seconds, rounds), None)


# ---------------------------------------------------------------- edits


def measure_edits(scene: Scene) -> None:
    """Each is made on a machine, and looked for through nginx, where others look at the same all the time."""
    waited: dict[str, list[float]] = {"page": [], "list": [], "feed": []}
    for number, event in enumerate(scene.events[:EDITS]):
        seen = {"page": f"/events/{event}", "list": f"/branches/{BRANCH}.ics", "feed": f"/events/{event}.ics"}
        for path in seen.values():
            ask(PROXY, path)
        time.sleep(random.uniform(0, 1))
        where = DIRECTLY[number % len(DIRECTLY)]
        told = f"Reason number {number} of this run."
        answer = post(where, f"/organize/events/{event}/cancellation", {"reason": told}, scene.cookie)
        saved = time.monotonic()
        if answer.status != 303:
            sys.exit(f"An edit was answered {answer.status}.")
        with ThreadPoolExecutor(len(seen)) as pool:
            looking = {name: pool.submit(until_seen, path, told, saved) for name, path in seen.items()}
        for name, found in looking.items():
            waited[name].append(found.result())
    for name, took in waited.items():
        figure(
            f"edits seen through nginx, {name}: median, longest",
            f"{statistics.median(took):.2f} {max(took):.2f}",
            f"<= {STALENESS_S:g} s",
            max(took) <= STALENESS_S,
        )


def until_seen(path: str, told: str, saved: float) -> float:
    """Lines of calendars are folded wherever it falls."""
    while told not in ask(PROXY, path).text.replace("\r\n ", ""):
        if time.monotonic() - saved > 60:
            sys.exit(f"{path} did not show an edit within a minute.")
        time.sleep(0.02)
    return time.monotonic() - saved


# ---------------------------------------------------------------- what is private


def check_private(scene: Scene) -> None:
    """Each is asked for twice as its reader does, then by somebody else."""
    with scene.database.writing() as session:
        person = sign_in.find_or_add(session, EMAIL, datetime.now(UTC))
        token = sign_in.make_link(session, person, Purpose.SIGN_IN, datetime.now(UTC))
    known, faults = {"Cookie": scene.cookie}, list[str]()
    asked = [(path, known) for path in ("/", "/events", "/account", "/organize", "/organize/people")]
    asked += [(f"/sign-in/{token}", {}), ("/account", {}), ("/sign-in", {}), ("/subscriptions/none", {})]
    asked += [("/api/v1/events", {"Authorization": "Bearer none"})]
    for path, headers in asked:
        answers = [ask(PROXY, path, headers) for _ in range(3)]
        if FROM_CACHE & {answer.cache for answer in answers}:
            faults.append(f"{path.replace(token, '…')} came from the cache: {answers[-1].cache}")
        if EMAIL in ask(PROXY, path).text:
            faults.append(f"{path} shows somebody else who is signed in")
    figure("private pages, asked for three times: from the cache", str(len(faults)), "0", not faults)
    for fault in faults:
        print(f"    {fault}")
    kept = {path: [ask(PROXY, path).cache for _ in range(2)][1] for path in ("/events", "/events.ics")}
    print(f"    for comparison, what the cache does with {kept}")


# ---------------------------------------------------------------- PostgreSQL goes away


@dataclass
class Traffic:
    """What readers and writers met, each with the moment at which they asked."""

    stop: threading.Event = field(default_factory=threading.Event)
    reads: list[tuple[float, float]] = field(default_factory=list)  # when, and how long it took
    read_errors: Counter[str] = field(default_factory=Counter)
    writes: list[tuple[float, float]] = field(default_factory=list)
    write_answers: Counter[str] = field(default_factory=Counter)
    acknowledged: list[str] = field(default_factory=list)

    def read(self, number: int) -> None:
        """By turns through nginx what it may keep, and a page that nobody has kept, from a machine."""
        count = 0
        while not self.stop.is_set():
            count += 1
            fresh = f"?_={number}.{count}"
            where, path = (
                (PROXY, "/events"),
                (DIRECTLY[count % 2], f"/branches/{BRANCH}{fresh}"),
                (PROXY, f"/events.ics{fresh}"),
            )[count % 3]
            begun = time.monotonic()
            found = attempt(lambda: ask(where, path).status)  # noqa: B023
            self.reads.append((begun, time.monotonic() - begun))
            if found != "200":
                self.read_errors[found] += 1
            time.sleep(0.02)

    def write(self, number: int) -> None:
        """Sends each form until it is acknowledged, as somebody does who was asked to."""
        count = 0
        while not self.stop.is_set():
            count += 1
            key = f"{number}-{count}-{time.monotonic_ns()}"
            form = {"name": "Ben", "email": "ben@example.org", "message": key, "key": key}
            found, begun = "", time.monotonic()
            while found != "303" and not self.stop.is_set():
                found = attempt(lambda: post(PROXY, f"/branches/{BRANCH}/contact", form).status)  # noqa: B023
                self.write_answers[found] += 1
            self.writes.append((begun, time.monotonic() - begun))
            if found == "303":
                self.acknowledged.append(key)
            time.sleep(0.05)


def unsent(scene: Scene) -> int:
    with scene.database.reading() as session:
        return outbox.waiting(session)[0]


def message_ids(scene: Scene) -> Iterator[str]:
    """Without a mail server each machine writes its mails into files."""
    for path in scene.folder.glob("*/mail/*.eml"):
        found = re.search(rb"^Message-ID: (.*)$", path.read_bytes(), re.MULTILINE | re.IGNORECASE)
        yield found[1].decode() if found else path.name


def attempt(work: Callable[[], int]) -> str:
    """The status, or what broke."""
    try:
        return str(work())
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__


def restart(scene: Scene, mode: str, away: float) -> None:
    traffic = Traffic()
    with ThreadPoolExecutor(READERS + WRITERS) as pool:
        for number in range(READERS):
            pool.submit(traffic.read, number)
        for number in range(WRITERS):
            pool.submit(traffic.write, number)
        time.sleep(BEFORE_S)
        began = time.monotonic()
        scene.postgres.stop(mode)
        time.sleep(max(0.0, away - (time.monotonic() - began)))
        scene.postgres.start()
        back = time.monotonic()
        time.sleep(AFTER_S)
        traffic.stop.set()
    wait_until(lambda: is_ready(PROXY))
    print(f"\nPostgreSQL gone ({mode}) for {back - began:.1f} s")
    report(scene, traffic, began, back)


def report(scene: Scene, traffic: Traffic, began: float, back: float) -> None:
    with scene.database.reading() as session:
        kept = Counter(session.exec(select(ContactMessage.message)).all())
    lost = [key for key in traffic.acknowledged if key not in kept]
    asked_again = sum(traffic.write_answers.values()) - traffic.write_answers["303"]
    slow = max(SLOW_S, *(took for begun, took in traffic.reads + traffic.writes if begun + took < began))
    late = [begun + took - back for begun, took in traffic.reads + traffic.writes if took > slow]
    print(f"{len(traffic.reads)} reads, {len(traffic.acknowledged)} acknowledged writes:")
    errors = sum(traffic.read_errors.values())
    figure("errors that readers saw", str(errors), "0", errors == 0)
    figure("acknowledged writes lost", str(len(lost)), "0", not lost)
    twice = sum(count - 1 for count in kept.values())
    figure("writes that are there twice", str(twice), "0", twice == 0)
    wait_until(lambda: unsent(scene) == 0)
    mails = Counter(message_ids(scene))
    figure("mails that went out twice, of all", f"{sum(mails.values()) - len(mails)} of {len(mails)}")
    figure("forms that had to be sent again", str(asked_again))
    figure("longest wait of a reader", f"{max(took for _, took in traffic.reads):.2f} s")
    figure(f"the last that took longer than {slow:.1f} s, after the start", f"{max(late, default=0.0):.2f} s")
    for error, number in (traffic.read_errors + traffic.write_answers).items():
        if error not in ("200", "303"):
            print(f"    {number} × {error}")


if __name__ == "__main__":
    main()
