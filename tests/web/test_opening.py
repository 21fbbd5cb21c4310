"""Opening hours as people say them, and how it is at a branch now, in English and in Spanish."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlmodel import Session
from starlette.testclient import TestClient

from events.branches.models import Branch, Status
from events.calendars import store
from events.calendars.content import Publishing
from events.calendars.models import Attendance, State
from events.calendars.queries import Listed, next_dates_of_branches
from events.db import Database
from events.language import Language, language
from events.web.opening import OpeningNote, hours_in_words, opening_note, opening_notes
from tests.calendars.test_feeds import weekly
from tests.conftest import NOW, Cast, branch

EN, ES = language("en"), language("es")
DEMO = "We 17:00-21:00; Sa 10:00-14:00"
TUESDAY, WEDNESDAY, THURSDAY = "2026-11-24", "2026-11-25", "2026-11-26"


def plain(text: str) -> str:
    """With ordinary spaces: CLDR puts narrow and thin ones around times."""
    return " ".join(text.replace("\u202f", " ").replace("\u2009", " ").split())


# ---------------------------------------------------------------- the rules


@pytest.mark.parametrize(
    ("text", "english", "spanish"),
    [
        (
            DEMO,
            ["Wednesday 5 – 9 PM", "Saturday 10 AM – 2 PM"],
            ["Miércoles 17:00–21:00", "Sábado 10:00–14:00"],
        ),
        (
            "Mo-Fr 9:30-13:00, 15:00-18:30",
            ["Monday to Friday 9:30 AM – 1:00 PM, 3:00 – 6:30 PM"],
            ["De lunes a viernes 9:30–13:00, 15:00–18:30"],
        ),
        (
            "Tu,Th 16:00-20:00; Sa-Su 10:00-15:00",
            ["Tuesday and Thursday 4 – 8 PM", "Saturday and Sunday 10 AM – 3 PM"],
            ["Martes y jueves 16:00–20:00", "Sábado y domingo 10:00–15:00"],
        ),
        (
            'Tu[1] 19:00-21:00 "meeting"',
            ["First Tuesday of the month 7 – 9 PM (meeting)"],
            ["Primer martes del mes 19:00–21:00 (reunión)"],
        ),
        (
            "Tu[1,3],Fr[-1] 19:00-21:00",
            ["First and third Tuesday of the month and last Friday of the month 7 – 9 PM"],
            ["Primer y tercer martes del mes y último viernes del mes 19:00–21:00"],
        ),
        ('"by appointment"', ["By appointment"], ["Con cita previa"]),
        ('We "By appointment"', ["Wednesday: by appointment"], ["Miércoles: con cita previa"]),
        (
            'We 17:00-21:00 || "by appointment"',
            ["Wednesday 5 – 9 PM", "Otherwise: by appointment"],
            ["Miércoles 17:00–21:00", "En otro caso: con cita previa"],
        ),
        ('"knock twice"', ["Knock twice"], ["Knock twice"]),
        ("PH off", ["Closed on public holidays"], ["Cerrado los días festivos"]),
        ("SH closed", ["Closed in the school holidays"], ["Cerrado durante las vacaciones escolares"]),
        (
            "Su,PH 10:00-12:00",
            ["Sunday and public holidays 10 AM – 12 PM"],
            ["Domingo y festivos 10:00–12:00"],
        ),
        ("Dec 25 off", ["December 25: closed"], ["25 de diciembre: cerrado"]),
        ("2026 Dec 25 off", ["December 25, 2026: closed"], ["25 de diciembre de 2026: cerrado"]),
        ("Dec 24-26 off", ["Dec 24 – 26: closed"], ["24–26 de diciembre: cerrado"]),
        ("Dec 24-Jan 6 off", ["Dec 24 – Jan 6: closed"], ["24 de diciembre – 6 de enero: cerrado"]),
        ("Feb 29 10:00-11:00", ["February 29: 10 – 11 AM"], ["29 de febrero: 10:00–11:00"]),
        (
            "Nov-Mar Mo-Fr 10:00-12:00",
            ["November to March, Monday to Friday 10 AM – 12 PM"],
            ["De noviembre a marzo, de lunes a viernes 10:00–12:00"],
        ),
        ("Fr 22:00-02:00", ["Friday 10 PM – 2 AM"], ["Viernes 22:00–2:00"]),
        ("Mo-Su 08:00-12:00", ["Every day 8 AM – 12 PM"], ["Todos los días 8:00–12:00"]),
        ("08:00-12:00", ["Every day 8 AM – 12 PM"], ["Todos los días 8:00–12:00"]),
        ("Mo-Fr", ["Monday to Friday, all day"], ["De lunes a viernes, todo el día"]),
        ("24/7", ["Always open"], ["Siempre abierto"]),
        ('off "moving house"', ["Closed (moving house)"], ["Cerrado (moving house)"]),
        ("Mo 12:00-13:00 off", ["Monday 12 – 1 PM: closed"], ["Lunes 12:00–13:00: cerrado"]),
    ],
)
def test_rules_are_said_as_people_say_them(text: str, english: list[str], spanish: list[str]) -> None:
    assert [plain(line) for line in hours_in_words(EN, text)] == english
    assert [plain(line) for line in hours_in_words(ES, text)] == spanish


def test_days_that_a_later_rule_takes_over_are_not_told_twice() -> None:
    told = [plain(line) for line in hours_in_words(EN, "Mo-Fr 10:00-12:00; We 14:00-16:00; Sa 9:00-10:00")]
    assert told == [
        "Monday, Tuesday, Thursday, and Friday 10 AM – 12 PM",
        "Wednesday 2 – 4 PM",
        "Saturday 9 – 10 AM",
    ]
    replaced = hours_in_words(EN, "Mo 10:00-12:00; Mo-Fr 14:00-16:00")
    assert [plain(line) for line in replaced] == ["Monday to Friday 2 – 4 PM"]


def test_what_is_added_to_a_day_does_not_replace_it() -> None:
    told = [
        plain(line) for line in hours_in_words(EN, "Tu 10:00-12:00, Tu[1] 19:00-21:00, Dec 29 14:00-15:00")
    ]
    assert told[1:] == ["First Tuesday of the month: also 7 – 9 PM", "December 29: also 2 – 3 PM"]
    replaced = [plain(line) for line in hours_in_words(EN, "Tu 10:00-12:00; Tu[1] 19:00-21:00")]
    assert replaced[1] == "First Tuesday of the month: only 7 – 9 PM"


@pytest.mark.parametrize(
    "text",
    [
        "week 1-53/2 We 17:00-20:00",
        "Mo[5] 10:00-12:00",
        "Mo-Fr 9am-5pm",
        "sunrise-sunset",
        "Jun 31 off",
        "Mo unknown",
        '"unfinished',
        "<b>lunes</b>",
    ],
)
def test_what_is_beyond_us_stays_as_it_was_written(text: str) -> None:
    assert hours_in_words(ES, f"{text}; PH off") == [text, "Cerrado los días festivos"]


def test_no_hours_no_words() -> None:
    assert hours_in_words(EN, "") == hours_in_words(EN, " ; ") == []


# ---------------------------------------------------------------- now


def of(hours: str, timezone: str = "America/Chicago", **more: Any) -> Branch:
    return branch("alder", "Alder Club", None, opening_hours=hours, timezone=timezone, country="US", **more)


def event(start: str, end: str, timezone: str = "America/Chicago", **more: Any) -> Listed:
    begins, ends = datetime.fromisoformat(start), datetime.fromisoformat(end)
    listed = Listed(
        event_id=1,
        title="Tool night",
        start=begins,
        end=ends,
        original_start=begins,
        starts_at=begins.replace(tzinfo=ZoneInfo(timezone)),
        cancelled=False,
        all_day=False,
        timezone=timezone,
        language="en",
        attendance=Attendance.IN_PERSON,
        rrule="",
        series_start=begins,
        cancelled_reason="",
        venue_name="",
        venue_address="",
        branch_name="Alder Club",
        branch_slug="alder",
        branch_city="Chicago",
        latitude=None,
        longitude=None,
        state=State.PUBLISHED,
        moved_from=None,
    )
    return listed._replace(**more)


EVENING = event(f"{TUESDAY}T19:00", f"{TUESDAY}T21:00")


def note(
    spoken: Language, hours: str, when: str, coming: Listed | None = None, timezone: str = "America/Chicago"
) -> OpeningNote | None:
    """`when` on the branch's clock, or with its offset."""
    moment = datetime.fromisoformat(when)
    now = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(timezone))
    found = opening_note(spoken, of(hours, timezone), now.astimezone(UTC), coming)
    return found and OpeningNote(plain(found.text), found.is_open)


@pytest.mark.parametrize(
    ("hours", "when", "english", "spanish", "is_open"),
    [
        (DEMO, f"{WEDNESDAY} 18:00", "Open now, until 9:00 PM", "Abierto ahora, hasta las 21:00", True),
        (
            DEMO,
            f"{WEDNESDAY} 09:00",
            "Closed now, opens at 5:00 PM",
            "Cerrado ahora, abre a las 17:00",
            False,
        ),
        (
            DEMO,
            f"{WEDNESDAY} 22:00",
            "Closed now, opens Saturday at 10:00 AM",
            "Cerrado ahora, abre el sábado a las 10:00",
            False,
        ),
        (
            DEMO,
            f"{THURSDAY} 12:00",
            "Closed today, opens Saturday at 10:00 AM",
            "Cerrado hoy, abre el sábado a las 10:00",
            False,
        ),
        (
            "We 10:00-12:00",
            f"{WEDNESDAY} 13:00",
            "Closed now, opens Wednesday, December 2 at 10:00 AM",
            "Cerrado ahora, abre el miércoles 2 de diciembre a las 10:00",
            False,
        ),
        ("Th", f"{WEDNESDAY} 13:00", "Closed today, opens on Thursday", "Cerrado hoy, abre el jueves", False),
        ("Dec 20 10:00-12:00", f"{WEDNESDAY} 13:00", "Closed now", "Cerrado ahora", False),
        ("24/7", f"{WEDNESDAY} 13:00", "Open now", "Abierto ahora", True),
        (
            "We 17:00-01:00",
            f"{WEDNESDAY} 18:00",
            "Open now, until 1:00 AM",
            "Abierto ahora, hasta la 1:00",
            True,
        ),
        (
            "We 17:00-01:00",
            f"{THURSDAY} 00:30",
            "Open now, until 1:00 AM",
            "Abierto ahora, hasta la 1:00",
            True,
        ),
        (
            "We-Fr",
            f"{WEDNESDAY} 12:00",
            "Open now, until Saturday at 12:00 AM",
            "Abierto ahora, hasta el sábado a las 0:00",
            True,
        ),
        (
            'We 17:00-21:00 open "workshop only"',
            f"{WEDNESDAY} 18:00",
            "Open now, until 9:00 PM (workshop only)",
            "Abierto ahora, hasta las 21:00 (workshop only)",
            True,
        ),
        (
            'off "renovation"',
            f"{WEDNESDAY} 18:00",
            "Closed now (renovation)",
            "Cerrado ahora (renovation)",
            False,
        ),
        ('"by appointment"', f"{WEDNESDAY} 18:00", "By appointment", "Con cita previa", None),
        (
            'We 14:00-17:00 "by appointment"',
            f"{WEDNESDAY} 15:00",
            "By appointment, until 5:00 PM",
            "Con cita previa, hasta las 17:00",
            None,
        ),
        (
            'We 10:00-12:00; Th 14:00-17:00 "by appointment"',
            f"{WEDNESDAY} 15:00",
            "Closed now; by appointment Thursday at 2:00 PM",
            "Cerrado ahora; con cita previa el jueves a las 14:00",
            False,
        ),
        (
            'Tu[4] 19:00-21:00 "meeting"',
            f"{TUESDAY} 12:00",
            "Closed today, but meeting at 7:00 PM",
            "Cerrado hoy, pero hay reunión a las 19:00",
            False,
        ),
        (
            'Tu[4] 19:00-21:00 "meeting"',
            f"{TUESDAY} 20:00",
            "Meeting, until 9:00 PM",
            "Reunión, hasta las 21:00",
            None,
        ),
        (
            "We 17:00-21:00; PH off",
            f"{WEDNESDAY} 18:00",
            "Open now, until 9:00 PM (may differ on holidays)",
            "Abierto ahora, hasta las 21:00 (puede variar en festivos y vacaciones)",
            True,
        ),
    ],
)
def test_the_note_says_how_it_is_now(
    hours: str, when: str, english: str, spanish: str, is_open: bool | None
) -> None:
    assert note(EN, hours, when) == OpeningNote(english, is_open)
    assert note(ES, hours, when) == OpeningNote(spanish, is_open)


@pytest.mark.parametrize(
    ("hours", "when", "coming", "english", "spanish"),
    [
        (
            DEMO,
            f"{TUESDAY} 12:00",
            EVENING,
            "Closed today, but meeting at 7:00 PM: Tool night",
            "Cerrado hoy, pero hay reunión a las 19:00: Tool night",
        ),
        (
            "Tu 09:00-11:00",
            f"{TUESDAY} 12:00",
            EVENING,
            "Closed now, but meeting at 7:00 PM: Tool night",
            "Cerrado ahora, pero hay reunión a las 19:00: Tool night",
        ),
        (
            DEMO,
            f"{TUESDAY} 20:00",
            EVENING,
            "Closed today, but meeting now, until 9:00 PM: Tool night",
            "Cerrado hoy, pero hay reunión ahora, hasta las 21:00: Tool night",
        ),
        (
            'Tu 19:00-21:00 "meeting"',
            f"{TUESDAY} 12:00",
            EVENING,
            "Closed today, but meeting at 7:00 PM: Tool night",
            "Cerrado hoy, pero hay reunión a las 19:00: Tool night",
        ),
        (
            'Tu 19:00-21:00 "meeting"',
            f"{TUESDAY} 20:00",
            EVENING,
            "Meeting now, until 9:00 PM: Tool night",
            "Reunión ahora, hasta las 21:00: Tool night",
        ),
        (
            "Tu 17:00-21:00",
            f"{TUESDAY} 12:00",
            EVENING,
            "Closed now, opens at 5:00 PM",
            "Cerrado ahora, abre a las 17:00",
        ),
        (
            "Tu 17:00-21:00",
            f"{TUESDAY} 18:00",
            EVENING,
            "Open now, until 9:00 PM",
            "Abierto ahora, hasta las 21:00",
        ),
        (
            "Tu 16:00-19:00",
            f"{TUESDAY} 18:00",
            EVENING,
            "Open now, until 7:00 PM; then meeting at 7:00 PM: Tool night",
            "Abierto ahora, hasta las 19:00; después, reunión a las 19:00: Tool night",
        ),
        (
            "Tu 17:00-21:00",
            f"{TUESDAY} 20:00",
            event(f"{TUESDAY}T19:00", f"{TUESDAY}T20:30"),
            "Open now, until 9:00 PM; meeting now, until 8:30 PM: Tool night",
            "Abierto ahora, hasta las 21:00; reunión ahora, hasta las 20:30: Tool night",
        ),
        (
            DEMO,
            f"{TUESDAY} 12:00",
            event(f"{TUESDAY}T00:00", f"{WEDNESDAY}T00:00", all_day=True),
            "Closed today, but meeting all day: Tool night",
            "Cerrado hoy, pero hay reunión todo el día: Tool night",
        ),
        (
            "Tu 17:00-21:00",
            f"{TUESDAY} 12:00",
            event(f"{TUESDAY}T00:00", f"{WEDNESDAY}T00:00", all_day=True),
            "Closed now, opens at 5:00 PM",
            "Cerrado ahora, abre a las 17:00",
        ),
        (
            DEMO,
            f"{TUESDAY} 12:00",
            event("2026-11-22T09:00", "2026-11-29T11:00", title="Camp"),
            "Closed today, but meeting now, until Sunday at 11:00 AM: Camp",
            "Cerrado hoy, pero hay reunión ahora, hasta el domingo a las 11:00: Camp",
        ),
        (
            DEMO,
            f"{TUESDAY} 12:00",
            event("2026-08-18T19:00", "2029-05-14T19:00", title="Exhibition"),
            "Closed today, but meeting now, until Monday, May 14, 2029 at 7:00 PM: Exhibition",
            "Cerrado hoy, pero hay reunión ahora, hasta el lunes, 14 de mayo de 2029 a las 19:00: Exhibition",
        ),
        (
            DEMO,
            f"{TUESDAY} 12:00",
            EVENING._replace(attendance=Attendance.ONLINE),
            "Closed today, but online meeting at 7:00 PM: Tool night",
            "Cerrado hoy, pero hay reunión en línea a las 19:00: Tool night",
        ),
        (
            '"by appointment"',
            f"{TUESDAY} 12:00",
            EVENING,
            "By appointment; meeting at 7:00 PM: Tool night",
            "Con cita previa; reunión a las 19:00: Tool night",
        ),
        (
            DEMO,
            f"{TUESDAY} 12:00",
            EVENING._replace(cancelled=True),
            "Closed today, opens Wednesday at 5:00 PM",
            None,
        ),
        (DEMO, "2026-11-23 12:00", EVENING, "Closed today, opens Wednesday at 5:00 PM", None),
        (DEMO, f"{TUESDAY} 21:00", EVENING, "Closed today, opens Wednesday at 5:00 PM", None),
    ],
)
def test_the_note_takes_today_s_event_in(
    hours: str, when: str, coming: Listed, english: str, spanish: str | None
) -> None:
    found = note(EN, hours, when, coming)
    assert found is not None and found.text == english
    if spanish is not None:
        assert note(ES, hours, when, coming) == OpeningNote(spanish, found.is_open)


def test_what_is_not_known_is_not_closed() -> None:
    for hours in ("", "sometimes", "Mo-Fr 9am-5pm", "PH off", "Dec 25 off", "sunrise-sunset"):
        assert note(EN, hours, f"{TUESDAY} 12:00") is None


def test_an_event_is_told_though_the_hours_are_not_known() -> None:
    for hours in ("", "sometimes", "PH off"):
        assert note(EN, hours, f"{TUESDAY} 12:00", EVENING) == OpeningNote(
            "Meeting today at 7:00 PM: Tool night", None
        )
    assert note(ES, "", f"{TUESDAY} 12:00", EVENING) == OpeningNote(
        "Reunión hoy a las 19:00: Tool night", None
    )
    assert note(EN, "", f"{TUESDAY} 20:00", EVENING) == OpeningNote(
        "Meeting now, until 9:00 PM: Tool night", None
    )
    fair = event(f"{TUESDAY}T00:00", f"{WEDNESDAY}T00:00", all_day=True)
    assert note(EN, "", f"{TUESDAY} 20:00", fair) == OpeningNote("Meeting all day today: Tool night", None)
    assert note(EN, "", "2026-11-23 12:00", EVENING) is None


def test_a_title_is_never_taken_for_a_pattern() -> None:
    found = note(EN, "", f"{TUESDAY} 12:00", EVENING._replace(title="100% %(what)s <b>"))
    assert found is not None and found.text.endswith(": 100% %(what)s <b>")


# ---------------------------------------------------------------- days and zones


def test_an_event_of_another_zone_is_told_on_the_branch_s_clock() -> None:
    coming = event(
        f"{WEDNESDAY}T09:00", f"{WEDNESDAY}T11:00", "Pacific/Auckland", attendance=Attendance.ONLINE
    )
    told = note(
        EN, DEMO, f"{TUESDAY} 12:00", coming
    )  # Wednesday for its organizer, 14:00 on Tuesday in Chicago
    assert told is not None and told.text == "Closed today, but online meeting at 2:00 PM: Tool night"


def test_today_is_the_branch_s_day() -> None:
    now = f"{WEDNESDAY}T10:30+00:00"  # Tuesday evening in Pago Pago, Thursday morning on Kiritimati
    [pago, kiri] = "Pacific/Pago_Pago", "Pacific/Kiritimati"
    coming = event(f"{THURSDAY}T19:00", f"{THURSDAY}T21:00", kiri)
    here, there = note(EN, "We 10:00-12:00", now, coming, kiri), note(EN, "We 10:00-12:00", now, coming, pago)
    assert here is not None and here.text == "Closed today, but meeting at 7:00 PM: Tool night"
    assert there is not None and there.text == "Closed today, opens Wednesday at 10:00 AM"


def test_nights_in_which_the_clocks_change_are_told_by_the_clock() -> None:
    spring = note(EN, "Sa 20:00-02:30", "2026-03-29T00:30+01:00", timezone="Europe/Madrid")
    assert spring is not None and spring.text == "Open now, until 3:00 AM"  # 02:30 is skipped
    autumn = note(EN, "Su 02:30-05:00", "2026-10-25T02:10+01:00", timezone="Europe/Madrid")
    assert autumn is not None and autumn.text == "Open now, until 5:00 AM"


def test_a_branch_whose_zone_nobody_knows_has_no_note() -> None:
    assert opening_note(EN, of("24/7", "UTC"), NOW, EVENING) is None
    assert opening_note(EN, of("24/7", "Nowhere/Land"), NOW, EVENING) is None


def test_a_branch_that_is_no_more_is_neither_open_nor_closed_today() -> None:
    for status in (Status.INACTIVE, Status.CLOSED):
        assert opening_note(EN, of("24/7", status=status), NOW, None) is None
    assert opening_note(EN, of("24/7", status=Status.FORMING), NOW, None) is not None


# ---------------------------------------------------------------- lists and pages


def test_a_list_has_the_notes_of_the_branches_of_which_something_is_known(
    database: Database, cast: Cast, publishing: Publishing
) -> None:
    now = datetime(2026, 11, 24, 18, tzinfo=UTC)
    with database.writing() as session:
        store.add(session, weekly(), [cast.alder], publishing, NOW)
        alder, birch = (_with_hours(session, found, DEMO) for found in (cast.alder, cast.birch))
        _with_hours(session, birch, "")
        coming = next_dates_of_branches(session, [alder.id or 0, birch.id or 0], now)
        notes = opening_notes(EN, [alder, birch], now, coming)
    assert {number: plain(found.text) for number, found in notes.items()} == {
        alder.id: "Closed today, but meeting at 7:00 PM: Tool night"
    }


def _with_hours(session: Session, found: Branch, hours: str) -> Branch:
    row = session.get_one(Branch, found.id)
    row.opening_hours = hours
    return row


def test_the_page_says_how_it_is_and_the_hours_in_words(
    database: Database, cast: Cast, ben: TestClient
) -> None:
    with database.writing() as session:
        _with_hours(session, cast.alder, "24/7; Dec 25 08:00-24:00; week 60 Mo")
    assert "opening--" not in ben.get("/branches/alder").text  # the last part is not understood
    assert "<bdi>week 60 Mo</bdi>" in ben.get("/branches/alder").text
    with database.writing() as session:
        _with_hours(session, cast.alder, "24/7")
    english, spanish = ben.get("/branches/alder").text, ben.get("/es/branches/alder").text
    assert 'class="opening opening--open"' in english
    assert '<span class="visually-hidden">Opening hours: </span>Open now</span>' in english
    assert "<bdi>Always open</bdi>" in english and "Chicago time" in english
    assert '<span class="visually-hidden">Horario: </span>Abierto ahora</span>' in spanish
    assert "<bdi>Siempre abierto</bdi>" in spanish


def test_the_page_of_a_branch_without_hours_says_nothing_of_them(cast: Cast, ben: TestClient) -> None:
    page = ben.get("/branches/alder").text
    assert 'class="opening' not in page and "Opening hours" not in page
