"""Days and times as people type them."""

from datetime import date, time

import pytest

from events.errors import Unreadable
from events.language import language
from events.web.typed import clock_of, day_of

TODAY = date(2026, 11, 25)
ENGLISH, SPANISH = language("en"), language("es")


@pytest.mark.parametrize(
    "text",
    ["2026-12-08", "2026-12-8", "8.12.2026", "8.12.", "8 December 2026", "December 8, 2026", "Dec 8", "8 dec. 26",
     "Tuesday, the 8th of December", "tue 8 dec", "8 de diciembre"],
)  # fmt: skip
def test_a_day_is_read_however_it_is_written(text: str) -> None:
    spoken = SPANISH if "diciembre" in text else ENGLISH
    assert day_of(text, spoken, TODAY) == date(2026, 12, 8)


@pytest.mark.parametrize("text", ["8/12/2026", "8/12", "8-12-26", "martes 8 de diciembre de 2026", "8 dic"])
def test_in_spanish_the_day_comes_first(text: str) -> None:
    assert day_of(text, SPANISH, TODAY) == date(2026, 12, 8)


def test_without_a_year_it_is_the_next_such_day() -> None:
    assert day_of("Nov 26", ENGLISH, TODAY) == date(2026, 11, 26)
    assert day_of("Jan 5", ENGLISH, TODAY) == date(2027, 1, 5)
    assert day_of("29 Feb", ENGLISH, TODAY) == date(2028, 2, 29)


def test_numbers_that_can_only_be_one_day_are_read_and_others_are_asked_about() -> None:
    assert day_of("12/31/2026", ENGLISH, TODAY) == date(2026, 12, 31)
    assert day_of("31/12/2026", ENGLISH, TODAY) == date(2026, 12, 31)
    assert day_of("5/5/2027", ENGLISH, TODAY) == date(2027, 5, 5)
    with pytest.raises(Unreadable, match="two days"):
        day_of("3/4/2026", ENGLISH, TODAY)


@pytest.mark.parametrize(
    "text", ["", "x", "2026-02-30", "31.2.2026", "december", "8 8 december 2026", "2026", "1969-01-01", "٨.١٢.2026",
             "9999999999", "8 dec 20266", "፩ december", "8 december ٢٠٢٦"],
)  # fmt: skip
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        day_of(text, ENGLISH, TODAY)


@pytest.mark.parametrize(
    ("text", "hour", "minute"),
    [("19:30", 19, 30), ("19.30", 19, 30), ("1930", 19, 30), ("19h30", 19, 30), ("19h", 19, 0), ("19", 19, 0),
     ("7pm", 19, 0), ("7:30 PM", 19, 30), ("7:30 p.m.", 19, 30), ("12 am", 0, 0), ("12pm", 12, 0), ("9:05", 9, 5),
     ("noon", 12, 0), ("mediodía", 12, 0), ("7\u202fPM", 19, 0), ("19:30:00", 19, 30), ("0:00", 0, 0)],
)  # fmt: skip
def test_a_time_is_read_however_it_is_written(text: str, hour: int, minute: int) -> None:
    assert clock_of(text) == time(hour, minute)


@pytest.mark.parametrize(
    "text", ["", "25:00", "19:60", "13pm", "0am", "seven", "7:5", "-1", "1:2:3:4", "٧", "1½"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        clock_of(text)
