"""The same sentence, day and distance in English and Spanish, and in languages that have no catalogue yet."""

import re
from datetime import UTC, date, datetime, time
from typing import Literal

import pytest
from babel import Locale
from babel.messages.catalog import Message as Entry

from events.errors import say
from events.language import Language, closest, language

EN, ES = language("en"), language("es")
DAY = date(2026, 12, 8)


def at(hour: int, minute: int = 0, day: int = 8) -> datetime:
    return datetime(2026, 12, day, hour, minute)


def plain(text: str) -> str:
    """With ordinary spaces: CLDR puts narrow and thin ones around times."""
    return " ".join(text.replace("\u202f", " ").replace("\u2009", " ").split())


def test_a_sentence_is_said_in_spanish_with_its_values() -> None:
    sentence = say("There is no branch called “%(slug)s”.", slug="alder")
    assert EN.say(sentence) == "There is no branch called “alder”."
    assert ES.say(sentence) != EN.say(sentence)
    assert "alder" in ES.say(sentence)


def test_a_sentence_that_nobody_translated_is_said_in_english() -> None:
    assert ES.say(say("Quite unheard of: %(what)s", what=3)) == "Quite unheard of: 3"
    assert ES.say("100 % new") == "100 % new"


def test_values_that_are_sentences_or_days_are_said_too() -> None:
    inner = say("I would like to join")
    assert ES.say(say("%(a)s, %(b)s", a=inner, b=DAY)) == f"{ES.say(inner)}, martes, 8 de diciembre de 2026"
    moment = datetime(2026, 12, 8, 19, 5, tzinfo=UTC)
    assert plain(EN.say(say("%(at)s", at=moment))) == "Tuesday, December 8, 2026, 7:05 PM"


def test_a_value_is_never_taken_for_a_pattern() -> None:
    assert ES.say(say("Hello %(name)s", name="%(secret)s 100%")) == "Hello %(secret)s 100%"


def test_numbers_choose_the_form_of_a_word() -> None:
    assert EN.ngettext("%d apple", "%d apples", 1) == "%d apple"
    assert [EN.ngettext("%d apple", "%d apples", n) for n in (0, 2)] == ["%d apples"] * 2
    assert ES.ngettext("%d apple", "%d apples", 2) == "%d apples"


def test_large_numbers_in_a_sentence_have_separators() -> None:
    forms = ("%(num)d person", "%(num)d people")
    assert EN.ngettext(*forms, 999) == "%(num)d people"
    assert EN.ngettext(*forms, 12000) % {"num": 12000} == "12,000 people"
    assert ES.ngettext(*forms, 12000) % {"num": 12000} == "12.000 personas"
    assert ES.ngettext(*forms, 1200) % {"num": 1200} == "1200 personas"


@pytest.mark.parametrize(
    ("spoken", "shown"),
    [
        (EN, ["Tuesday, December 8, 2026", "Dec 8, 2026", "December 8", "December 2026", "Tuesday"]),
        (
            ES,
            ["martes, 8 de diciembre de 2026", "8 dic 2026", "8 de diciembre", "diciembre de 2026", "martes"],
        ),
    ],
    ids=["en", "es"],
)
def test_days_are_written_as_their_readers_write_them(spoken: Language, shown: list[str]) -> None:
    written = [
        spoken.day(DAY),
        spoken.short_day(DAY),
        spoken.month_day(DAY),
        spoken.month(DAY),
        spoken.weekday(1),
    ]
    assert written == shown


def test_a_day_or_month_that_begins_a_heading_has_a_capital() -> None:
    assert ES.capital(ES.month(DAY)) == "Diciembre de 2026"
    assert ES.capital(ES.day(DAY)) == "Martes, 8 de diciembre de 2026"
    assert ES.capital(ES.month_day(DAY)) == "8 de diciembre"
    assert [ES.capital(text) for text in ("ángel", "", "ǆ")] == ["Ángel", "", "ǅ"]


def test_times_have_twelve_hours_in_english_and_twenty_four_in_spanish() -> None:
    assert plain(EN.time(time(19, 5))) == "7:05 PM"
    assert ES.time(time(19, 5)) == "19:05"


def test_hours_of_one_day_are_joined() -> None:
    assert plain(EN.span(at(18), at(20, 30))) == "6:00 – 8:30 PM"
    assert plain(ES.span(at(18), at(20, 30))) == "18:00–20:30"


def test_a_party_that_ends_after_midnight_still_shows_its_hours() -> None:
    shown = plain(EN.span(at(22), at(2, day=9)))
    assert "10:00 PM" in shown and "2:00 AM" in shown


def test_several_days_show_both_dates() -> None:
    assert plain(EN.span(at(18), at(10, day=10))) == "Dec 8, 2026, 6:00 PM – Dec 10, 2026, 10:00 AM"


def test_all_day_events_show_their_last_day_not_the_one_after() -> None:
    assert EN.span(at(0), at(0, day=9), all_day=True) == "all day"
    assert ES.span(at(0), at(0, day=9), all_day=True) == "todo el día"
    assert EN.span(at(0), at(0, day=10), all_day=True) == "Dec 8, 2026 – Dec 9, 2026"


@pytest.mark.parametrize(
    ("km", "miles", "kilometres"),
    [
        (0, "0.1 mi", "0,1 km"),
        (0.04, "0.1 mi", "0,1 km"),
        (1.609344, "1 mi", "1,6 km"),
        (9.94, "6.2 mi", "9,9 km"),
        (9.96, "6.2 mi", "10 km"),
        (16.05, "10 mi", "16 km"),
        (4321, "2,685 mi", "4321 km"),
        (16093.44, "10,000 mi", "16.093 km"),
    ],
)
def test_distances_are_as_exact_as_an_address_can_be_known(km: float, miles: str, kilometres: str) -> None:
    assert EN.distance(km, "mi") == miles
    assert ES.distance(km, "km") == kilometres


def test_lists_end_with_a_word() -> None:
    assert EN.listed(["Ana", "Ben", "Cy"]) == "Ana, Ben, and Cy"
    assert ES.listed(["Ana", "Ben", "Cy"]) == "Ana, Ben y Cy"
    assert EN.listed(["Ana", "Ben"], style="or") == "Ana or Ben"


@pytest.mark.parametrize(
    ("parts", "style", "shown"),
    [
        (["español", "inglés"], "standard", "español e inglés"),
        (["Ana", "Ben", "Íñigo"], "standard", "Ana, Ben e Íñigo"),
        (["sierras", "hilos"], "standard", "sierras e hilos"),
        (["agua", "hielo"], "standard", "agua y hielo"),
        (["italiano"], "standard", "italiano"),
        (["siete", "ocho"], "or", "siete u ocho"),
        (["un", "hotel"], "or", "un u hotel"),
        (["10", "11"], "or", "10 u 11"),
        (["10", "110"], "or", "10 o 110"),
    ],
)
def test_the_word_before_the_last_of_a_spanish_list_minds_its_sound(
    parts: list[str], style: Literal["standard", "or"], shown: str
) -> None:
    assert ES.listed(parts, style) == shown


@pytest.mark.parametrize(
    ("timezone", "english", "spanish"),
    [
        ("Europe/Madrid", "Madrid time", "hora de Madrid"),
        ("America/New_York", "New York time", "hora de Nueva York"),
        ("US/Pacific", "Los Angeles time", "hora de Los Ángeles"),
        ("America/Argentina/Cordoba", "Cordoba time", "hora de Córdoba"),
        ("America/Kentucky/Louisville", "Louisville time", "hora de Louisville"),
        ("Asia/Kolkata", "Kolkata time", "hora de Calcuta"),
        ("Etc/UTC", "UTC", "UTC"),
        ("GMT", "GMT", "GMT"),
        ("Etc/GMT+5", "GMT-05:00", "GMT-05:00"),
    ],
)
def test_a_time_zone_is_called_by_its_town_alone(timezone: str, english: str, spanish: str) -> None:
    assert (EN.zone(timezone), ES.zone(timezone)) == (english, spanish)


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("en-GB", ["Tuesday, 8 December 2026", "18:00–20:30", "4,321 km", "A, B and C"]),
        ("fr", ["mardi 8 décembre 2026", "18:00 – 20:30", "4 321 km", "A, B et C"]),
        ("de", ["Dienstag, 8. Dezember 2026", "18:00–20:30 Uhr", "4.321 km", "A, B und C"]),
        ("ar", ["الثلاثاء، 8 ديسمبر 2026", "6:00–8:30 م", "4,321 كم", "A وB وC"]),
    ],
)
def test_a_language_without_sentences_yet_has_its_own_days_times_and_distances(
    code: str, shown: list[str]
) -> None:
    spoken = Language(code, Locale.parse(code, sep="-"), None)
    written = [
        spoken.day(DAY),
        spoken.span(at(18), at(20, 30)),
        spoken.distance(4321, "km"),
        spoken.listed("ABC"),
    ]
    assert [plain(text) for text in written] == shown
    assert spoken.direction == ("rtl" if code == "ar" else "ltr")


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("es", "es"),
        ("es-MX", "es"),
        ("ES", "es"),
        ("en-GB", "en"),
        ("de", "en"),
        ("", "en"),
        ("zh-Hant", "en"),
    ],
)
def test_the_closest_language_of_ours_is_found(tag: str, code: str) -> None:
    assert closest(tag, ("en", "es")).code == code


def test_each_language_is_called_by_its_own_name() -> None:
    assert [(spoken.name, spoken.direction) for spoken in (EN, ES)] == [
        ("English", "ltr"),
        ("español", "ltr"),
    ]


def test_a_language_without_a_catalogue_is_not_made_up() -> None:
    with pytest.raises(FileNotFoundError):
        language("fr")


# Words that are said to friends only; "Tu" is also how OpenStreetMap writes a Tuesday.
TO_FRIENDS = re.compile(
    r"\b([Tt]ú|[Tt]us?(?!, We\b)|ti|[Tt]e|contigo|[Tt]uy[oa]s?|[Vv]osotr[oa]s|[Vv]uestr[oa]s?|os|[Ee]res|[Ee]stás|"
    r"[Tt]ienes|[Pp]uedes|[Qq]uieres|[Dd]ebes|[Ss]abes|[Hh]as|[Hh]az|[Ii]nténtalo|[Ss]uscríbete|[Rr]egístrate|"
    r"\w+(?:áis|éis))\b"
)
PLACEHOLDERS = re.compile(r"%\([a-z_]+\)[a-z]")


def sentences() -> list[tuple[str, str]]:
    """Each form of each translated sentence with its English."""
    assert ES.catalog is not None
    return [pair for entry in ES.catalog if entry.id for pair in _forms(entry)]


def _forms(entry: Entry) -> list[tuple[str, str]]:
    if isinstance(entry.id, tuple) and isinstance(entry.string, tuple):
        return [(entry.id[min(number, 1)], form) for number, form in enumerate(entry.string)]
    return [(str(entry.id), str(entry.string))]


def test_every_sentence_keeps_its_placeholders() -> None:
    astray = [
        english
        for english, spanish in sentences()
        if sorted(PLACEHOLDERS.findall(english)) != sorted(PLACEHOLDERS.findall(spanish))
    ]
    assert astray == []


def test_spanish_sentences_say_usted() -> None:
    assert TO_FRIENDS.search("Aquí puedes elegir tus temas")
    assert [spanish for _, spanish in sentences() if TO_FRIENDS.search(spanish)] == []


def test_spanish_sentences_begin_their_questions_and_exclamations() -> None:
    astray = [
        spanish
        for _, spanish in sentences()
        if (spanish.count("?"), spanish.count("!")) != (spanish.count("¿"), spanish.count("¡"))
    ]
    assert astray == []
