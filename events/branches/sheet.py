"""CSV as spreadsheets write and read it: encodings, delimiters, quotation marks, cells like formulas."""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import BinaryIO

from ..errors import Message, Refusal, Unreadable, say

# The longer mark first: UTF-32's begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NAMES = {"cp1252": "Windows-1252", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx and .ods are zip files, .xls is an OLE file
_DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True)
class Record:
    """One row as a spreadsheet counts: the header is row 1, a cell of several lines is still one row."""

    row: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Sheet:
    """`records` may be read once; a row that cannot be read comes as a Refusal in its place."""

    header: list[str]
    records: Iterator[Record | Refusal]
    notes: list[Message]


def read_sheet(file: BinaryIO) -> Sheet:
    """UTF-8, UTF-16 or Windows-1252, with commas, semicolons or tabs. Raises Unreadable.

    The bytes are held in memory, the records are not.
    """
    data = file.read()
    encoding = _encoding(data)
    text = io.TextIOWrapper(io.BytesIO(data), encoding=encoding, newline="")
    delimiter = _delimiter(text.readline())
    text.seek(0)
    records = _records(text, delimiter)
    header = next(records, None)
    if header is None:
        raise Unreadable(say("The file is empty. Its first row should name the columns."))
    if isinstance(header, Refusal):
        raise Unreadable(header.reason)
    return Sheet([cell.strip() for cell in header.cells], records, _encoding_notes(encoding))


def _encoding(data: bytes) -> str:
    if data.startswith(_WORKBOOKS):
        raise Unreadable(say("This is a workbook, not a CSV file. Save it as “CSV UTF-8” and try again."))
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    for encoding in (marked,) if marked else (*_unmarked_utf16(data), "utf-8", "cp1252"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            raise Unreadable(say("This is not a text file. A CSV file is needed."))
        return encoding
    raise Unreadable(say("The text is neither UTF-8, UTF-16 nor Windows-1252. Save the file as “CSV UTF-8”."))


def _unmarked_utf16(data: bytes) -> tuple[str, ...]:
    """In Western text every second byte of UTF-16 is zero, and the header row is Western text."""
    zeros = data[:100].count(0)
    if zeros * 3 < len(data[:100]) or not zeros:
        return ()
    return ("utf-16-be",) if data[0] == 0 else ("utf-16-le",)


def _encoding_notes(encoding: str) -> list[Message]:
    if encoding in ("utf-8", "utf-8-sig"):
        return []
    name = _NAMES.get(encoding, encoding.upper())
    return [say("The file is not UTF-8; it was read as %(encoding)s.", encoding=name)]


def _delimiter(header: str) -> str:
    """The one that stands most often between the names of the columns; a comma when none does."""
    bare = re.sub(r'"[^"]*"', "", header)
    return max(_DELIMITERS, key=bare.count)


def _records(text: Iterable[str], delimiter: str) -> Iterator[Record | Refusal]:
    """Empty rows are left out, but counted. A row that breaks the quoting costs only itself."""
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    row = 0
    while True:
        row, first = row + 1, reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            yield Refusal(row, _mismatch(first, reader.line_num))
            continue
        if any(cell and not cell.isspace() for cell in cells):
            yield Record(row, cells)


def _mismatch(first: int, last: int) -> Message:
    """An unclosed quotation mark swallows the lines below it: they are named, so that nothing goes unseen."""
    if first == last:
        return say("The quotation marks in line %(first)d of the file do not match.", first=first)
    return say(
        "The quotation marks do not match: lines %(first)d to %(last)d of the file were read as one row.",
        first=first,
        last=last,
    )


# ---------------------------------------------------------------- cells and formulas

_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")
_HARMLESS = re.compile(r"[+-]?\d+([.,]\d+)?|\+\(?\d[\d ().\-/]*( ?(ext\.?|x) ?\d+)?", re.IGNORECASE)


def defused(text: str) -> str:
    """Text that no spreadsheet takes for a formula: one ' in front, except of numbers and telephone numbers.

    What already has a ' before such a sign gets another, so that `plain` gives back exactly what went in.
    """
    return f"'{text}" if _FORMULA.match(text) and not _HARMLESS.fullmatch(text) else text


def plain(cell: str) -> str:
    """Takes away the ' that `defused` put there."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def written(cells: Iterable[str | float | None]) -> str:
    """One line of CSV (RFC 4180): numbers bare, text in quotation marks."""
    return ",".join(map(_cell, cells)) + "\r\n"


def _cell(value: str | float | None) -> str:
    if isinstance(value, float):
        return decimal(value)
    return '"' + defused(value or "").replace('"', '""') + '"'


def decimal(value: float) -> str:
    """The shortest digits that give the same number again, never with an exponent."""
    return f"{Decimal(repr(value)):f}"
