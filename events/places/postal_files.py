"""Files of postal codes that an operator brings: GeoNames dumps and CSVs, plain, gzipped or zipped.

They may be large and they may be hostile: unpacked size, ratio and line length are bounded. A bad row costs
only itself.
"""

import csv
import gzip
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, cast

from ..errors import Refusal, TooLarge, Unreadable, say
from .borders import country_at
from .geo import Point
from .naming import code_key
from .packages import PostalRow

MAX_UNPACKED = 2 * 1024**3  # bytes of one file; GeoNames' allCountries.txt has 150 MB
MAX_RATIO = 100  # unpacked to packed; codes reach about 10
RATIO_FROM = 1024**2  # a small file may be as repetitive as it likes
MAX_LINE = 64 * 1024
MAX_KEY = 10  # letters and digits of the longest postal codes
UNREADABLE_FLAGS = 0x61  # encrypted, patched, strongly encrypted (APPNOTE 4.4.4)
READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
SAMPLE = 200  # rows that tell the country of a file which does not say it

GEONAMES_COLUMNS = 12
CODE_NAMES = ("postcode", "postal_code", "postalcode", "zip", "zip_code", "zipcode", "code", "pcds", "pcd")
LATITUDE_NAMES = ("lat", "latitude")
LONGITUDE_NAMES = ("lon", "lng", "long", "longitude")
COUNTRY_NAMES = ("country", "country_code")

Numbered = tuple[int, list[str]]


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a row has what; None: nowhere."""

    code: int
    latitude: int
    longitude: int
    country: int | None = None
    place: int | None = None
    region: int | None = None
    accuracy: int | None = None

    @property
    def least(self) -> int:
        return max(self.code, self.latitude, self.longitude) + 1


GEONAMES = Columns(code=1, latitude=9, longitude=10, country=0, place=2, region=3, accuracy=11)
BARE = Columns(code=0, latitude=1, longitude=2, country=3)


def read_postal(path: Path) -> Iterator[PostalRow | Refusal]:
    """Every row of the file, or why it was refused.

    Raises Unreadable for what is no such file, TooLarge for one that unpacks beyond the limits.
    """
    try:
        with path.open("rb") as file:
            for member, stem in _members(file, path):
                yield from _rows(_lines(member, path), stem)
    except FileNotFoundError as error:
        raise Unreadable(say("There is no file %(path)s.", path=path)) from error
    except OSError as error:
        raise Unreadable(
            say("%(path)s cannot be read: %(reason)s.", path=path, reason=error.strerror or error)
        ) from error
    except (EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise Unreadable(say("%(path)s is damaged: it cannot be unpacked.", path=path)) from error


def _members(file: BinaryIO, path: Path) -> Iterator[tuple[BinaryIO, str]]:
    """(stream, name without ending) of each file of codes inside; what a file is, its first bytes say."""
    magic = file.read(4)
    file.seek(0)
    if magic.startswith(b"\x1f\x8b"):
        with gzip.open(file) as unpacked:
            yield cast(BinaryIO, unpacked), path.name.split(".")[0]
    elif magic == b"PK\x03\x04":
        with zipfile.ZipFile(file) as archive:
            for info in _tables(archive, path):
                with archive.open(info) as member:
                    yield cast(BinaryIO, member), Path(info.filename).stem
    else:
        yield file, path.stem


def _tables(archive: zipfile.ZipFile, path: Path) -> list[zipfile.ZipInfo]:
    """The text files inside, without GeoNames' readme. Raises Unreadable when there is none to read."""
    found = [info for info in archive.infolist() if info.filename.lower().endswith((".txt", ".csv"))]
    found = [info for info in found if not Path(info.filename).stem.lower().startswith("readme")]
    if not found:
        raise Unreadable(say("%(path)s holds no .txt and no .csv file.", path=path))
    if any(info.flag_bits & UNREADABLE_FLAGS or info.compress_type not in READABLE for info in found):
        raise Unreadable(
            say("%(path)s is encrypted or packed in an unusual way: unpack it first.", path=path)
        )
    return found


def _lines(file: BinaryIO, path: Path) -> Iterator[str]:
    """Lines as text (UTF-8 with or without a mark, else Windows-1252), as long as the limits hold."""
    packed, unpacked = path.stat().st_size, 0
    while line := file.readline(MAX_LINE + 1):
        unpacked += len(line)
        if unpacked > MAX_UNPACKED or unpacked > max(packed * MAX_RATIO, RATIO_FROM):
            raise TooLarge(
                say(
                    "%(path)s unpacks to more than %(limit)d times its size or 2 GB, so it was refused.",
                    path=path,
                    limit=MAX_RATIO,
                )
            )
        if len(line) > MAX_LINE:
            raise Unreadable(say("%(path)s is not a file of postal codes: it has no lines.", path=path))
        yield _text(line)


def _text(line: bytes) -> str:
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError:
        return line.decode("cp1252", errors="replace")


def _rows(lines: Iterator[str], stem: str) -> Iterator[PostalRow | Refusal]:
    first = next(lines, "")
    if first.count("\t") >= GEONAMES_COLUMNS - 2:
        columns, delimiter, named = GEONAMES, "\t", False
    else:
        delimiter = max(",;\t", key=first.count)
        header = _cells(first, delimiter)
        found = _columns(header)
        columns, named = found or _bare(header), found is not None
    body = enumerate(lines if named else chain((first,), lines), 2 if named else 1)
    numbered = ((row, _cells(line, delimiter)) for row, line in body if line.strip())
    country, rows = _default_country(numbered, columns, stem)
    for row, cells in rows:
        yield _row(row, cells, columns, country)


def _cells(line: str, delimiter: str) -> list[str]:
    """Each line by itself, so that a quote which never closes costs one row. GeoNames does not quote."""
    line = line.rstrip("\r\n")
    if delimiter == "\t" or '"' not in line:
        return [cell.strip() for cell in line.split(delimiter)]
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]


def _columns(header: Sequence[str]) -> Columns | None:
    """By the names in the header; None when the first line is not one."""
    places = {name.lower().strip('"'): number for number, name in reversed(list(enumerate(header)))}

    def find(names: Iterable[str]) -> int | None:
        return next((places[name] for name in names if name in places), None)

    code, latitude, longitude = find(CODE_NAMES), find(LATITUDE_NAMES), find(LONGITUDE_NAMES)
    if code is None or latitude is None or longitude is None:
        return None
    return Columns(code, latitude, longitude, find(COUNTRY_NAMES))


def _bare(first: Sequence[str]) -> Columns:
    """`postcode,lat,lon[,country]` without a header. Raises Unreadable."""
    if len(first) >= BARE.least and Point.looks_like(f"{first[BARE.latitude]},{first[BARE.longitude]}"):
        return BARE
    raise Unreadable(
        say(
            "This is neither a GeoNames postal file nor a CSV with the columns postcode, lat and lon: "
            "it begins with “%(first)s”.",
            first="".join(letter for letter in ", ".join(first) if letter.isprintable())[:80],
        )
    )


def _default_country(
    numbered: Iterator[Numbered], columns: Columns, stem: str
) -> tuple[str, Iterator[Numbered]]:
    """The country of rows that do not say theirs: of the file name (`GB.csv`), else where most rows lie."""
    if columns.country is not None and columns is not BARE:
        return "", numbered
    if re.fullmatch("[A-Z]{2}", stem):
        return stem, numbered
    sample = list(islice(numbered, SAMPLE))
    found = Counter(_country_at(cells, columns) for _, cells in sample)
    found.pop("", None)
    return (found.most_common(1)[0][0] if found else ""), chain(sample, numbered)


def _country_at(cells: Sequence[str], columns: Columns) -> str:
    try:
        point = Point.parse(f"{cells[columns.latitude]},{cells[columns.longitude]}")
    except (Unreadable, IndexError):
        return ""
    return country_at(point)


def _row(row: int, cells: Sequence[str], columns: Columns, country: str) -> PostalRow | Refusal:
    if len(cells) < columns.least:
        return Refusal(
            row, say("It has %(count)d columns, %(least)d are needed.", count=len(cells), least=columns.least)
        )
    code = cells[columns.code]
    if not 2 <= len(code_key(code)) <= MAX_KEY:
        return Refusal(row, say("“%(code)s” is not a postal code.", code=code[:40]))
    said = (_cell(cells, columns.country) or country).upper()
    if not re.fullmatch("[A-Z]{2}", said):
        return Refusal(
            row, say("“%(country)s” is not a country’s two letters, such as GB.", country=said[:40])
        )
    try:
        point = Point.parse(f"{cells[columns.latitude]},{cells[columns.longitude]}")
    except Unreadable as error:
        return Refusal(row, error.message)
    if point.latitude == point.longitude == 0:
        return Refusal(row, say("0,0 lies in the sea: the coordinates are missing."))
    place, region = _cell(cells, columns.place), _cell(cells, columns.region)
    accuracy = _cell(cells, columns.accuracy)
    sure = int(accuracy) if re.fullmatch("[1-6]", accuracy) else 0
    return PostalRow(said, code, point.latitude, point.longitude, place, region, sure)


def _cell(cells: Sequence[str], column: int | None) -> str:
    return cells[column] if column is not None and column < len(cells) else ""
