"""Slips of the keyboard: which listed names one may have meant, and which codes. Pure.

One edit leaves one half of a name as it was. So each listed name stands in two buckets, one for its first half
and one for its last, each with its length; what was typed is compared only with the names in the buckets of its
own halves: some dozens out of a million.
"""

from collections.abc import Iterable, Iterator
from itertools import product
from typing import TYPE_CHECKING
from zlib import crc32

from ..later import loaded_later

if TYPE_CHECKING:
    from rapidfuzz import distance, process
else:
    distance = loaded_later("rapidfuzz.distance")
    process = loaded_later("rapidfuzz.process")

SHORTEST = 4  # of a listed name
SHORTEST_TYPED = 5  # below that a slip is another name
TWO_EDITS_FROM = 8  # letters: one slip in a short name, two in a long one
MOST_VARIANTS = 64
LOOK_ALIKES = {
    "O": "O0",
    "0": "0O",
    "I": "I1",
    "1": "1I",
    "L": "L1",
}  # in codes; the first is the letter itself


def buckets(key: str) -> tuple[int, int]:
    """Where a listed name stands."""
    half = len(key) // 2
    return _bucket(len(key), "<", key[:half]), _bucket(len(key), ">", key[len(key) - half :])


def buckets_near(typed: str) -> set[int]:
    """Where names stand that are `edits_allowed` or fewer from `typed`, as long as one half is right."""
    found = set()
    reach = edits_allowed(typed)
    for length in range(max(SHORTEST, len(typed) - reach), len(typed) + reach + 1):
        half = length // 2
        found |= {_bucket(length, "<", typed[:half]), _bucket(length, ">", typed[len(typed) - half :])}
    return found


def swapped(typed: str) -> list[str]:
    """`typed` with its middle letters changed round: the one edit that touches both halves."""
    middle = len(typed) // 2
    return [
        typed[: at - 1] + typed[at] + typed[at - 1] + typed[at + 1 :]
        for at in (middle, middle + 1)
        if 0 < at < len(typed)
    ]


def edits_allowed(typed: str) -> int:
    if len(typed) < SHORTEST_TYPED:
        return 0
    return 1 if len(typed) < TWO_EDITS_FROM else 2


def closest(typed: str, keys: Iterable[str]) -> dict[str, int]:
    """The keys within the allowed edits (optimal string alignment), with how many edits each is away."""
    allowed = edits_allowed(typed)
    found = process.extract_iter(typed, keys, scorer=distance.OSA.distance, score_cutoff=allowed)
    return {key: int(edits) for key, edits, _ in found} if allowed else {}


def code_variants(key: str) -> Iterator[str]:
    """Other codes that look the same: O for 0, I and l for 1. The nearest to what was typed first."""
    places = sum(letter in LOOK_ALIKES for letter in key)
    if not 0 < places <= 6:
        return
    letters = (LOOK_ALIKES.get(letter, letter) for letter in key)
    readings = ("".join(reading) for reading in product(*letters))
    yield from sorted(
        (reading for reading in readings if reading != key),
        key=lambda reading: sum(a != b for a, b in zip(reading, key, strict=True)),
    )[:MOST_VARIANTS]


def _bucket(length: int, side: str, half: str) -> int:
    return crc32(f"{length}{side}{half}".encode())
