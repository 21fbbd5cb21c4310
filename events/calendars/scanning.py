"""Reading iCalendar files one component at a time, in flat memory, however large or broken they are.

Bytes are cut into content lines, lines into components; what they mean is for `parsing`. A component that is
too large, too deep or not finished is handed out with its fault and costs nothing but itself.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from ..errors import Message, Unreadable, say

MAX_LINE = 100_000  # octets of one unfolded line; what is longer is cut off
MAX_PROPERTIES = 300  # of one component, those of its parts (alarms) included
MAX_DEPTH = 4  # VCALENDAR > VEVENT > VALARM > one more

# What is kept of each kind of component; everything else is counted and forgotten.
_KEPT = {
    "VCALENDAR": frozenset({"X-WR-TIMEZONE", "X-WR-CALNAME"}),
    "VTIMEZONE": frozenset({"TZID", "X-LIC-LOCATION"}),
    "VEVENT": frozenset(
        [
            *("UID", "SEQUENCE", "LAST-MODIFIED", "RECURRENCE-ID", "DTSTART", "DTEND", "DURATION"),
            *("RRULE", "RDATE", "EXDATE", "EXRULE", "STATUS", "CLASS", "COMMENT"),
            *("X-BRANCHLINE-BRANCH", "X-BRANCHLINE-ACCESS", "X-BRANCHLINE-COST"),
            *("X-BRANCHLINE-TITLE", "X-BRANCHLINE-DESCRIPTION"),
            *("SUMMARY", "DESCRIPTION", "LOCATION", "GEO", "CONTACT", "CATEGORIES", "URL"),
            *("CONFERENCE", "X-GOOGLE-CONFERENCE", "X-MICROSOFT-SKYPETEAMSMEETINGURL"),
        ]
    ),
}
# May be cut off; a rule may not.
_TEXTS = frozenset(
    [
        *("SUMMARY", "DESCRIPTION", "LOCATION", "CONTACT", "COMMENT", "X-BRANCHLINE-COST"),
        *("X-BRANCHLINE-TITLE", "X-BRANCHLINE-DESCRIPTION"),
    ]
)
_LINE = re.compile(
    r"""([A-Za-z0-9-]+)[ \t]*((?:;[^;:="]+=(?:"[^"]*"|[^";:,]*)(?:,(?:"[^"]*"|[^";:,]*))*)*):(.*)""",
    re.DOTALL,
)
_PARAMETER = re.compile(r""";([^;:="]+)=((?:"[^"]*"|[^";:,]*)(?:,(?:"[^"]*"|[^";:,]*))*)""")
_CARET = {"^n": "\n", "^'": '"', "^^": "^"}


class Property(NamedTuple):
    """One content line. `value` has its escapes still; parameters have lost their quotes and RFC 6868's."""

    name: str
    parameters: Mapping[str, str]
    value: str
    line: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a component begins: octets and lines (from 1) into the file, and the number of its calendar."""

    offset: int = 0
    line: int = 1
    calendar: int = 0


@dataclass(slots=True)
class Component:
    """A VEVENT, a VTIMEZONE, or (property by property) what a VCALENDAR says of itself."""

    kind: str
    place: Place
    properties: list[Property] = field(default_factory=list)
    unread_lines: list[int] = field(default_factory=list)
    fault: Message | None = None
    count: int = 0

    def get(self, name: str) -> Property | None:
        for item in self.properties:
            if item.name == name:
                return item
        return None

    def all(self, name: str) -> list[Property]:
        return [item for item in self.properties if item.name == name]

    def value(self, name: str) -> str:
        found = self.get(name)
        return found.value if found else ""


class _Line(NamedTuple):
    text: str
    number: int
    offset: int
    is_cut: bool


def components(stream: BinaryIO, place: Place | None = None) -> Iterator[Component]:
    """Every VEVENT and VTIMEZONE of a seekable file, from its beginning or from a place handed out before.

    Only the component at hand is in memory. Raises Unreadable when the file is no calendar at all.
    """
    stream.seek(place.offset if place else 0)
    scan = _Scan(place or Place())
    for line in _lines(stream, place or Place()):
        if place is None:
            _check_first(line.text)
            place = scan.place
        yield from scan.read(line)
    if place is None:
        raise Unreadable(say("The file is empty."))
    yield from scan.finish()


def component_at(stream: BinaryIO, place: Place) -> Component:
    """Reads one component again, and leaves the stream where it was."""
    here = stream.tell()
    found = next(components(stream, place))
    stream.seek(here)
    return found


def _check_first(text: str) -> None:
    if text.strip().upper() == "BEGIN:VCALENDAR":
        return
    if text.startswith("<"):
        raise Unreadable(say("This is a web page, not a calendar. Look for a link that ends in .ics."))
    if "\x00" in text[:20]:
        raise Unreadable(say("This is not a calendar file, or not one in UTF-8."))
    raise Unreadable(say("This is not a calendar file: it should begin with BEGIN:VCALENDAR."))


class _Scan:
    """The components that are open, and the one that is being gathered."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._calendar = place.calendar
        self._parts: list[str] = []  # open inside the component at hand
        self._gathered: Component | None = None

    def read(self, line: _Line) -> Iterable[Component]:
        """What the line ends. It is asked of each line, and most end nothing."""
        head, _, rest = line.text[:40].partition(":")
        word = head.strip().upper()
        if word == "BEGIN":
            return self._begin(rest.strip().upper(), line)
        if word == "END":
            return self._end(rest.strip().upper())
        if self._gathered is not None:
            _gather(self._gathered, line, inside=bool(self._parts))
        elif word.partition(";")[0] in _KEPT["VCALENDAR"]:
            said = Component("VCALENDAR", Place(line.offset, line.number, self._calendar))
            _gather(said, line, inside=False)
            return (said,)
        return ()

    def finish(self) -> Iterator[Component]:
        """What is still open when the file ends."""
        if self._gathered is not None:
            yield self._broken(say("The file ends in the middle of this entry."))

    def _begin(self, kind: str, line: _Line) -> Iterator[Component]:
        if kind == "VCALENDAR" or (self._gathered is not None and kind == self._gathered.kind):
            if self._gathered is not None:
                yield self._broken(say("This entry has no end."))
            self._calendar += kind == "VCALENDAR"
        if self._gathered is not None:
            self._parts.append(kind)
            if len(self._parts) > MAX_DEPTH - 2:
                self._gathered.fault = say("The parts of this entry are nested too deeply.")
        elif kind in _KEPT and kind != "VCALENDAR":
            self._gathered = Component(kind, Place(line.offset, line.number, self._calendar))

    def _end(self, kind: str) -> Iterator[Component]:
        """An END that was forgotten inside a component does not keep the component from ending."""
        if self._gathered is None:
            return
        if kind == self._gathered.kind:
            found, self._gathered, self._parts = self._gathered, None, []
            yield found
        elif kind == "VCALENDAR":
            yield self._broken(say("This entry has no end."))
        elif self._parts:
            self._parts.pop()

    def _broken(self, fault: Message) -> Component:
        found = self._gathered or Component("VEVENT", self.place)
        found.fault, self._gathered, self._parts = fault, None, []
        return found


def _gather(component: Component, line: _Line, *, inside: bool) -> None:
    if inside and component.kind == "VTIMEZONE":  # Thunderbird writes every change since 1847
        return
    component.count += 1
    if component.count > MAX_PROPERTIES:
        component.fault = say("This entry has more than %(most)d properties.", most=MAX_PROPERTIES)
        component.properties.clear()
        return
    if inside:
        return
    match = _LINE.match(line.text)
    if not match:
        component.unread_lines.append(line.number)
        return
    name = match[1].upper()
    if name not in _KEPT[component.kind]:
        return
    if line.is_cut and name not in _TEXTS:
        component.fault = say("Line %(line)d is longer than %(most)d bytes.", line=line.number, most=MAX_LINE)
        return
    parameters = _parameters(match[2]) if match[2] else {}
    component.properties.append(Property(name, parameters, match[3], line.number))


def _parameters(text: str) -> dict[str, str]:
    return {
        match[1].strip().upper(): re.sub(
            r"\^[n'^]", lambda caret: _CARET[caret[0]], match[2].replace('"', "")
        )
        for match in _PARAMETER.finditer(text)
    }


def _lines(stream: BinaryIO, place: Place) -> Iterator[_Line]:
    """Unfolds content lines (CRLF or LF); a line of any length is read in bounded pieces."""
    gathered, number, offset = bytearray(), place.line, place.offset
    at, physical, ended, is_cut = place.offset, place.line - 1, True, False
    for piece in iter(lambda: stream.readline(MAX_LINE), b""):
        body = piece.removesuffix(b"\n").removesuffix(b"\r") if piece.endswith(b"\n") else piece
        if ended:
            physical += 1
            if body[:1] in (b" ", b"\t") and gathered:
                body = body[1:]
            else:
                if gathered:
                    yield _Line(_decoded(bytes(gathered)), number, offset, is_cut)
                gathered, number, offset, is_cut = bytearray(), physical, at, False
        room = MAX_LINE - len(gathered)
        gathered += body[:room]
        is_cut = is_cut or len(body) > room
        ended = piece.endswith(b"\n")
        at += len(piece)
    if gathered:
        yield _Line(_decoded(bytes(gathered)), number, offset, is_cut)


def _decoded(data: bytes) -> str:
    """UTF-8; a line that is not is taken for Windows-1252, as old exports are."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
