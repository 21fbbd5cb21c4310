"""The same sentence, day and distance in English and Spanish."""

from datetime import UTC, date, datetime, time

import pytest

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
    assert EN.span(at(0), at(0, day=9), all_day=True) == "All day"
    assert ES.span(at(0), at(0, day=9), all_day=True) == ES.gettext("All day") != "All day"
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
        (4321, "2,685 mi", "4.321 km"),
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
