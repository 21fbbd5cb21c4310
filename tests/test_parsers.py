"""Whatever is typed, uploaded or followed is read, or refused in a sentence: no parser fails in another way.

Texts are made of what each grammar is made of, in any order, with anything in between. Place text, territories,
recurrence rules and hours against other implementations have properties of their own beside their tests.
"""

import io
import re
from datetime import date, datetime
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from pydantic import ValidationError
from starlette.requests import Request

from events import markdown
from events.branches import hour_rules
from events.branches.columns import RowReader
from events.branches.drafts import BranchDraft
from events.branches.sheet import read_sheet
from events.branches.territory import territory
from events.calendars.irregular import Window
from events.calendars.parsing import ImportedEvent, read_calendar
from events.calendars.recurrence import Rule, parse_rule, starts
from events.drafts import Fault
from events.errors import BranchlineError, ConfigurationError, Refusal, Unreadable
from events.identity import Identity, read_identity
from events.palette import colour
from events.places.geo import Distance, Point
from events.web.api_drafts import Clock
from events.web.finding import read_access, read_language, read_selection
from events.web.forms import FILTERS, known_day, page_number, query
from tests.hostile import VALUES

# Half a surrogate pair stops where bytes become text: forms, JSON and files are decoded strictly.
WHOLE = [value[:3000] for value in VALUES if value == value.encode("utf-8", "replace").decode()]
ANYTHING = st.one_of(st.text(max_size=60), st.sampled_from(WHOLE))
EXAMPLES = settings(max_examples=60, database=None)
WINDOW = Window(date(2026, 1, 1), date(2028, 1, 1))


def made_of(*words: str, most: int = 14) -> SearchStrategy[str]:
    """These in any order and number, now and then with something else between them."""
    pieces = st.one_of(st.sampled_from(words), st.sampled_from(words), st.sampled_from(words), ANYTHING)
    return st.lists(pieces, max_size=most).map("".join)


LINES = made_of(
    *("BEGIN:VCALENDAR\r\n", "END:VCALENDAR\r\n", "BEGIN:VEVENT\r\n", "END:VEVENT\r\n", "UID:a\r\n", "SUMMARY:x\r\n"),
    *("DTSTART:20261124T190000\r\n", "DTSTART;VALUE=DATE:20261124\r\n"),
    *("DTSTART;TZID=Europe/Madrid:20261124T190000\r\n", "DTSTART;TZID=X:20261124T190000\r\n"),
    *("DTEND:20261124T210000Z\r\n", "DURATION:PT2H\r\n", "DURATION:-P1W\r\n", "RRULE:FREQ=WEEKLY;COUNT=3\r\n"),
    *("RRULE:FREQ=SECONDLY\r\n", "EXDATE:20261201T190000\r\n", "RDATE;VALUE=PERIOD:19970101T180000Z/PT5H\r\n"),
    *("RECURRENCE-ID:20261201T190000\r\n", "STATUS:CANCELLED\r\n", "GEO:91;0\r\n", "BEGIN:VTIMEZONE\r\n", "TZID:X\r\n"),
    *("END:VTIMEZONE\r\n", "BEGIN:STANDARD\r\n", "TZOFFSETFROM:+9999\r\n", " folded", "\n", ";", ":", '"', "\\", "=?"),
    most=30,
)  # fmt: skip


@EXAMPLES
@given(LINES)
def test_any_calendar_is_read_or_refused_in_a_sentence(text: str) -> None:
    whole = f"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\n{text}"
    for data in (text, whole + "END:VEVENT\r\nEND:VCALENDAR\r\n"):
        try:
            items = list(
                read_calendar(
                    io.BytesIO(data.encode("utf-8", "surrogatepass")), window=WINDOW, default_timezone="UTC"
                )
            )
        except Unreadable:
            continue
        assert all(isinstance(item, ImportedEvent | Refusal) for item in items)


@EXAMPLES
@given(st.one_of(st.binary(max_size=200), made_of(
    "slug,name,city\n", "name;city\n", "name\tlatitude\tlongitude\n", ",", ";", '"', '""', "\r", "\n", "'=1", "\ufeff",
    "91,181", "NaN", "alder", "60614", "mailto:", "opening_hours", "2026-02-30", most=30,
).map(lambda text: text.encode("utf-8", "surrogatepass"))))  # fmt: skip
def test_any_sheet_of_branches_is_read_or_refused_row_by_row(data: bytes) -> None:
    try:
        sheet = read_sheet(io.BytesIO(data))
        reader = RowReader(sheet.header, {}, "US")
    except Unreadable:
        return
    for record in sheet.records:
        found = reader.draft(record)
        assert isinstance(found, Refusal) or isinstance(found[1], BranchDraft)
    assert all(map(str, reader.notes()))


def test_a_text_with_very_many_brackets_has_no_links_and_loses_nothing() -> None:
    """Each may begin one, and the rest was looked through for its end: a page took 0.4 s."""
    link, many = "[Tools](https://example.org)", "[" * markdown.MOST_BRACKETS
    assert "<a " in markdown.html(link + many[:-1])
    shown = markdown.html(link + many)
    assert "<a " not in shown and link in shown and many in shown
    assert markdown.plain(link + many) == link + many


@EXAMPLES
@given(made_of(
    "#", "*", "**", "_", "`", "```\n", "[x](", "](", ")", "javascript:alert(1)", "<script>", "</p>", "<!--", "&lt;",
    "\n\n",
    "- ", "1. ", "> ", "![", "https://example.org/", "<https://x>", "|", "---\n", "&#106;", "data:text/html,",
    " onload=",
    most=30,
))  # fmt: skip
def test_any_markdown_becomes_html_of_a_few_elements_and_no_script(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    shown = markdown.html(text)
    assert isinstance(markdown.plain(text), str)
    for element, attributes in re.findall(r"<(\w+)((?:\s[^>]*)?)>", shown):
        assert element not in ("script", "style", "iframe", "img", "svg", "form", "input", "object")
        names = re.findall(r'\s([\w-]+)="', attributes)
        assert set(names) <= {"href", "rel"}
        assert all(
            address.startswith(("http:", "https:", "mailto:", "tel:"))
            or not re.match(r"\s*[a-z][\w+.-]*:", address, re.IGNORECASE)
            for address in re.findall(r'href="([^"]*)"', attributes)
        )


def test_a_text_is_parsed_once_for_both_and_is_the_same_when_it_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text, reader = "# What to bring\n\nA *drill*.", markdown._reader()
    parse = Mock(side_effect=reader.parse)
    monkeypatch.setattr(reader, "parse", parse)
    for _ in range(2):
        assert markdown.html.__wrapped__(text) == "<h2>What to bring</h2>\n<p>A <em>drill</em>.</p>\n"
        assert markdown.plain.__wrapped__(text) == "What to bring\n\nA drill."
    parse.assert_called_once_with(text)


@EXAMPLES
@given(made_of(
    "FREQ=", "WEEKLY", "MONTHLY", "SECONDLY", ";", "INTERVAL=", "COUNT=", "UNTIL=", "20271124T190000Z", "BYDAY=",
    "2TU",
    "-1FR", ",", "BYMONTHDAY=", "31", "-31", "BYSETPOS=", "BYMONTH=2", "0", "1", "99999999999", "WKST=MO", "RRULE:",
    "X=",
))  # fmt: skip
def test_any_rule_is_read_or_refused_and_its_dates_end(text: str) -> None:
    start = datetime(2026, 11, 24, 19)
    try:
        rule = parse_rule(text, start, "America/Chicago", False)
    except BranchlineError:
        return
    assert isinstance(rule, Rule)
    assert len(list(starts(rule, start, limit=5))) <= 5


@EXAMPLES
@given(made_of(
    "Mo", "Tu-Fr", "Mo,We", " ", "10:00-12:00", "22:00-02:00", "24:00", "26:00+", ";", ",", "||", "off", '"by call"',
    "PH",
    "Dec 25", "2026", "week 1-53/2", "Mo[1]", "easter", "sunrise-sunset", "24/7", "unknown", "[", "]", "-", "/",
))  # fmt: skip
def test_any_opening_hours_are_parts_of_the_text(text: str) -> None:
    parts = hour_rules.read(text)
    assert all(part.text in " ".join(text.split()) or part.text == text for part in parts)


@EXAMPLES
@given(
    made_of(
        "US:60614",
        "US:606*",
        "US",
        "ES:28",
        "radius:",
        "25mi",
        "40 km",
        ";",
        ",",
        ":",
        "*",
        "-",
        "NaN",
        "\n",
        "IL",
        "1e999",
    )
)
def test_any_territory_is_read_or_refused(text: str) -> None:
    try:
        assert str(territory(text))
    except (Fault, BranchlineError) as error:
        assert str(error.message)


def asked(name: str, value: str) -> Request:
    raw = f"{name}={value}".encode("utf-8", "surrogatepass")
    return Request({"type": "http", "method": "GET", "path": "/events", "headers": [], "query_string": raw})


@EXAMPLES
@given(st.sampled_from([*FILTERS, "page", "open"]), ANYTHING)
def test_any_filter_is_read_or_refused_in_a_sentence(name: str, value: str) -> None:
    request = asked(name, value)
    for read in (lambda form: read_selection(request, form), page_number, read_language, read_access):
        try:
            read(query(request))
        except Unreadable as error:
            assert str(error.message)


@EXAMPLES
@given(
    made_of("2026-11-24", "T", "19:00", ":", "-", "Z", "+01:00", "24:00", "1970", "2201", "٢", "W48", " "),
    st.booleans(),
)
def test_any_date_is_one_within_the_years_that_calendars_know_or_refused(text: str, all_day: bool) -> None:
    try:
        assert 1970 <= Clock("Europe/Madrid", all_day).read(text, is_end=True).year <= 2201
    except Fault as error:
        assert str(error.message)
    try:
        assert 1970 <= known_day(text).year <= 2200
    except ValueError as error:
        assert str(error)


@EXAMPLES
@given(
    made_of(
        "41.92",
        ",",
        " ",
        "-",
        "−",
        "NaN",
        "inf",
        "1e999",
        "°",
        "N",
        "25",
        "mi",
        "km",
        "kilómetros",
        "．",
        "１",
    )
)
def test_any_point_and_any_distance_are_on_earth_or_refused(text: str) -> None:
    try:
        point = Point.parse(text)
        assert -90 <= point.latitude <= 90 and -180 <= point.longitude <= 180
    except BranchlineError as error:
        assert str(error.message)
    try:
        assert 0 < Distance.parse(text).km < 25_000
    except BranchlineError as error:
        assert str(error.message)


@EXAMPLES
@given(text=made_of(
    "brand", "accent", "logo", "security", "description", " = ", '"#0b5d4b"', '"url(x)"', "'''", "\n", "[", "]",
    "{", "}",
    '"../x.svg"', '"mailto:a@b.c"', "1", "nan", "1979-05-27", ".es", "#", '"red;}body{x:y"',
))  # fmt: skip
def test_any_site_toml_is_read_or_refused_and_no_colour_is_more_than_one(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder: Path = tmp_path_factory.getbasetemp()
    (folder / "site.toml").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        found = read_identity(folder)
    except ConfigurationError as error:
        assert str(error.message)
        return
    assert isinstance(found, Identity)
    assert all(re.fullmatch("#[0-9a-f]{6}", one) for one in (found.palette.brand, found.palette.accent))


@EXAMPLES
@given(made_of("#", "0b5d4b", "abc", ";", "}", "url(", "red", "\n", "٣", most=4))
def test_any_colour_is_one_of_six_digits_or_refused(text: str) -> None:
    try:
        assert re.fullmatch("#[0-9a-f]{6}", colour(text))
    except ValueError as error:
        assert isinstance(error, ValueError)


@EXAMPLES
@given(st.dictionaries(st.sampled_from(sorted(BranchDraft.model_fields)), ANYTHING))
def test_any_cells_of_a_branch_are_a_draft_or_refused(cells: dict[str, str]) -> None:
    try:
        BranchDraft.model_validate({"name": "Alder", **cells})
    except ValidationError as error:
        assert error.error_count() > 0
