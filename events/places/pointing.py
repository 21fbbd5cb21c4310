"""Points as people type them: decimal degrees, a geo: URI, degrees with minutes and seconds. Pure."""

import re
from collections.abc import Sequence

from ..errors import say
from .geo import FARTHEST_KM, InvalidCoordinates, Point

FINEST_KM = 0.001
HALF_A_DEGREE_KM = 55.0
PARTS = (1.0, 1 / 60, 1 / 3600)  # degrees, minutes, seconds

_NUMBER = r"[+\-−]?\d{1,3}(?:\.\d+)?"
# RFC 5870; height, reference system and other parameters are passed over (all but WGS84 are unheard of). Behind
# the question mark is what Android adds: geo:0,0?q=41.92,-87.64(Alder Club).
_GEO = re.compile(
    rf"geo:\s*({_NUMBER})\s*,\s*({_NUMBER})(?:,[^;?]*)?((?:;[^;?]*)*)(?:\?(.*))?", re.IGNORECASE | re.ASCII
)
_ASKED = re.compile(rf"(?:.*&)?q=\s*({_NUMBER})\s*,\s*({_NUMBER})\b", re.IGNORECASE | re.ASCII)
_UNCERTAIN = re.compile(r";u=(\d{1,15}(?:\.\d+)?)(?:;|$)", re.IGNORECASE | re.ASCII)
_LABEL = rf"(lat|lon|lng|long|latitude?|longitude?)\s*([:=])?\s*({_NUMBER})[\s,;&]*"
_LABELLED = re.compile(rf"\??(?:{_LABEL}){{1,2}}", re.IGNORECASE | re.ASCII)
# 41,92; -87,64: the decimal comma, where a point stands elsewhere.
_COMMAS = re.compile(r"([+\-−]?\d{1,3}),(\d+)\s*[;,\s]\s*([+\-−]?\d{1,3}),(\d+)", re.ASCII)
# 41°55'21"N 87°38'54"W, N 41.92 W 87.64, 41 55 21 N 87 38 54 W: what maps and devices show.
_PART = r"(\d{{1,{0}}}(?:\.\d+)?)(?:\s*{1}|(?=[\s,;NSEWO]|$))\s*"
_ARC = _PART.format(3, "°") + f"(?:{_PART.format(2, chr(39))})?(?:{_PART.format(2, chr(34))})?"
_AFTER = re.compile(rf"{_ARC}([NS])[\s,;]*{_ARC}([EWO])", re.IGNORECASE | re.ASCII)
_BEFORE = re.compile(rf"([NS])\s*{_ARC}[\s,;]*([EWO])\s*{_ARC}", re.IGNORECASE | re.ASCII)
_QUOTES = str.maketrans({"’": "'", "′": "'", "”": '"', "″": '"'})


def coordinates(text: str) -> tuple[Point, float] | None:
    """The point that is typed as such, and its precision (km); None for a text that means none.

    Raises InvalidCoordinates for a point that is not on the earth, or is only half of one.
    """
    if text[:4].lower() == "geo:":
        return _of_uri(text)
    if _LABELLED.fullmatch(text):
        return _of_labels(text)
    bare = text.strip("()[] ")
    if commas := _COMMAS.fullmatch(bare):
        bare = "{}.{},{}.{}".format(*commas.groups())
    if Point.looks_like(bare) or Point.looks_like(bare := bare.replace("°", "")):
        return Point.parse(bare), precision_of(bare)
    return _of_arcs(text)


def precision_of(pair: str) -> float:
    """Kilometres that the last decimal of typed coordinates stands for, halved."""
    return _precision(max(len(fraction) for fraction in re.findall(r"\.(\d*)|$", pair)))


def _precision(decimals: int, part: float = 1.0) -> float:
    return round(max(HALF_A_DEGREE_KM * part * 0.1**decimals, FINEST_KM), 3)


def _of_uri(text: str) -> tuple[Point, float]:
    uri = _GEO.fullmatch(text)
    if uri is None:
        raise _no_point(text)
    asked = _ASKED.match(uri[4] or "")
    pair, uncertain = ",".join(asked.groups() if asked else uri.groups()[:2]), _UNCERTAIN.search(uri[3])
    known = min(max(float(uncertain[1]) / 1000, FINEST_KM), FARTHEST_KM) if uncertain else precision_of(pair)
    return Point.parse(pair), known


def _of_labels(text: str) -> tuple[Point, float] | None:
    """lat=41.92&lon=-87.64; what is one word and a number without a sign between them may be a place."""
    found = re.findall(_LABEL, text, re.IGNORECASE | re.ASCII)
    values = {label[:2].lower(): number for label, _, number in found}
    if len(values) == 2:
        pair = f"{values['la']},{values['lo' if 'lo' in values else 'ln']}"
        return Point.parse(pair), precision_of(pair)
    if not found[0][1]:
        return None
    number = float(found[0][2].replace("−", "-"))
    if "la" in values:
        Point(number, 0.0)  # says what is wrong with it
    raise _no_point(text)


def _of_arcs(text: str) -> tuple[Point, float] | None:
    plain = text.translate(_QUOTES).replace("''", '"')
    if after := _AFTER.fullmatch(plain):
        *arc, side = after.groups()[:4]
        *other, half = after.groups()[4:]
    elif before := _BEFORE.fullmatch(plain):
        side, *arc = before.groups()[:4]
        half, *other = before.groups()[4:]
    else:
        return None
    if any(float(part or 0) >= 60 for part in (*arc[1:], *other[1:])):
        raise _no_point(text)
    latitude, longitude = _degrees(arc), _degrees(other)
    point = Point(-latitude if side in "Ss" else latitude, -longitude if half in "WwOo" else longitude)
    return point, min(_precision_of_arc(arc), _precision_of_arc(other))


def _degrees(parts: Sequence[str | None]) -> float:
    """From degrees, minutes and seconds."""
    return round(sum(float(part or 0) * unit for part, unit in zip(parts, PARTS, strict=True)), 6)


def _precision_of_arc(parts: Sequence[str | None]) -> float:
    last, unit = [(part, unit) for part, unit in zip(parts, PARTS, strict=True) if part][-1]
    return _precision(len(last.partition(".")[2]), unit)


def _no_point(text: str) -> InvalidCoordinates:
    return InvalidCoordinates(
        say("“%(typed)s” is not a point: type latitude and longitude, as in 41.92,-87.64.", typed=text[:80])
    )
