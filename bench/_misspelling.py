"""Names of the largest places, each with one edit."""

import random
import sqlite3
import string
from itertools import islice
from typing import NamedTuple

from events.places.geo import Point, great_circle
from events.places.naming import fold
from events.places.readings import Interpretation

PLACES, MISSPELT = 2_000, 500
LETTERS = 6  # a name of fewer is too often another name after one edit
SAME_KM = 25.0  # the same name within this is the place meant


class Place(NamedTuple):
    """One of the directory's largest."""

    number: int
    name: str
    country: str
    latitude: float
    longitude: float

    def is_meant_by(self, reading: Interpretation) -> bool:
        """A place of the same name, and there."""
        if reading.kind != "place" or reading.point is None:
            return False
        same = fold(reading.label.split(", ")[0]) == fold(self.name)
        return same and great_circle(Point(self.latitude, self.longitude), reading.point).km < SAME_KM


def misspellings(places: sqlite3.Connection, chance: random.Random) -> tuple[list[tuple[str, Place]], int]:
    """Names with one edit, and how many were left out because a place is called exactly that."""
    rows = places.execute(
        "SELECT id, name, country, latitude, longitude FROM place ORDER BY population DESC, id"
    )
    long = (place for place in map(Place._make, rows) if sum(map(str.isalpha, place.name)) >= LETTERS)
    pairs, skipped = [], 0
    for place in chance.sample(list(islice(long, PLACES)), PLACES):
        typed = misspelt(place.name, chance)
        if places.execute("SELECT 1 FROM alias WHERE key = ? LIMIT 1", (fold(typed),)).fetchone():
            skipped += 1
            continue
        pairs.append((typed, place))
        if len(pairs) == MISSPELT:
            break
    return pairs, skipped


def misspelt(name: str, chance: random.Random) -> str:
    """With one edit of a letter that makes a difference: accents and case make none."""
    edit = chance.choice((inserted, left_out, replaced, swapped))
    while fold(typed := edit(name, chance)) == fold(name):
        pass
    return typed


def inserted(name: str, chance: random.Random) -> str:
    at = chance.randrange(len(name) + 1)
    return name[:at] + chance.choice(string.ascii_lowercase) + name[at:]


def left_out(name: str, chance: random.Random) -> str:
    at = some_letter(name, chance)
    return name[:at] + name[at + 1 :]


def replaced(name: str, chance: random.Random) -> str:
    at = some_letter(name, chance)
    return name[:at] + chance.choice(string.ascii_lowercase) + name[at + 1 :]


def swapped(name: str, chance: random.Random) -> str:
    """With its neighbour, if that is a letter too."""
    at = some_letter(name, chance)
    pair = name[at : at + 2]
    return name[:at] + pair[::-1] + name[at + 2 :] if pair.isalpha() else name


def some_letter(name: str, chance: random.Random) -> int:
    return chance.choice([at for at, letter in enumerate(name) if letter.isalpha()])
