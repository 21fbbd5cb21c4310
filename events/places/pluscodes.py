"""Open Location Codes ("plus codes", 86HJW9XV+2Q): cells of a grid, written in twenty digits.

Ours rather than the library of that name, which comes as a source archive only and would need a compiler's
setting to be installed from a lock. Specification: Open Location Code, version 1.0 (Apache 2.0).
"""

import math
import re
from dataclasses import dataclass

from .geo import KM_PER_DEGREE, Point

DIGITS = "23456789CFGHJMPQRVWX"
PAIRS = 5  # after five pairs of digits each digit is a cell of a grid of 4 columns and 5 rows
CELLS = (20.0, 1.0, 0.05, 0.0025, 0.000125)  # degrees of each pair
COLUMNS, ROWS = 4, 5

_FULL = re.compile(
    rf"[23456789C][23456789CFGHJMPQRV](?:[{DIGITS}]{{6}}\+(?:[{DIGITS}]{{2,7}})?|"
    rf"[{DIGITS}]{{4}}00\+|[{DIGITS}]{{2}}0000\+|000000\+)"
)
_SHORT = re.compile(rf"([{DIGITS}]{{2}}|[{DIGITS}]{{4}}|[{DIGITS}]{{6}})\+[{DIGITS}]{{2,7}}")


@dataclass(frozen=True, slots=True)
class Cell:
    point: Point  # its middle
    precision_km: float


def split(text: str) -> tuple[str, str] | None:
    """(code, what stands beside it) of a text that begins or ends with a code; None for any other."""
    words = text.split(" ")
    for code, rest in ((words[0], words[1:]), (words[-1], words[:-1])):
        code = code.strip(",").upper()
        if _FULL.fullmatch(code) or _SHORT.fullmatch(code):
            return code, " ".join(rest).strip(" ,")
    return None


def is_full(code: str) -> bool:
    return _FULL.fullmatch(code) is not None


def decoded(code: str) -> Cell:
    """The cell of a full code."""
    digits = [DIGITS.index(digit) for digit in code.replace("+", "").rstrip("0")]
    south, west, height, width = -90.0, -180.0, 400.0, 400.0
    for row, column in zip(digits[: 2 * PAIRS : 2], digits[1 : 2 * PAIRS : 2], strict=True):
        height, width = height / 20, width / 20
        south, west = south + row * height, west + column * width
    for digit in digits[2 * PAIRS :]:
        height, width = height / ROWS, width / COLUMNS
        south, west = south + digit // COLUMNS * height, west + digit % COLUMNS * width
    middle = Point(min(90.0, round(south + height / 2, 6)), round(west + width / 2, 6))
    return Cell(middle, round(max(height * KM_PER_DEGREE / 2, 0.001), 3))


def recovered(code: str, near: Point) -> Cell:
    """The cell of a short code (W9XV+2Q) that lies nearest to a place it is written beside."""
    missing = 8 - code.index("+")
    step = CELLS[missing // 2 - 1]
    cell = decoded(_digits(near)[:missing] + code)
    latitude, longitude = cell.point.latitude, cell.point.longitude
    if latitude - near.latitude > step / 2 and latitude - step > -90:
        latitude -= step
    elif near.latitude - latitude > step / 2 and latitude + step < 90:
        latitude += step
    east = (longitude - near.longitude + 180) % 360 - 180  # 180 and -180 are one meridian
    if abs(east) > step / 2:
        longitude -= math.copysign(step, east)
    return Cell(Point(round(latitude, 6), round((longitude + 180) % 360 - 180, 6)), cell.precision_km)


def _digits(point: Point) -> str:
    """The first eight digits of the point's code."""
    latitude, longitude = min(point.latitude + 90, 179.999999), (point.longitude + 180) % 360
    found = ""
    for cell in CELLS[:4]:
        row, column = int(latitude // cell), int(longitude // cell)
        latitude, longitude = latitude - row * cell, longitude - column * cell
        found += DIGITS[min(row, 19)] + DIGITS[min(column, 19)]
    return found
