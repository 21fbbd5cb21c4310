"""How far a bench has come, on one line of a terminal; nothing where nobody looks."""

import sys
from collections.abc import Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def progress(what: str, items: Sequence[Item]) -> Iterator[Item]:
    shown = sys.stderr.isatty()
    for number, item in enumerate(items, 1):
        if shown:
            print(f"\r{what}: {number} of {len(items)}", end="", file=sys.stderr, flush=True)
        yield item
    print(f"\r{what}: {len(items)} done".ljust(40), file=sys.stderr, flush=True)
