"""What the directory lists, without kindness for slips."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from events.places.gazetteer import read_only
from events.places.listed import Listed


@pytest.fixture
def listed(small_gazetteer: Path) -> Iterator[Listed]:
    with closing(read_only(small_gazetteer)) as database:
        yield Listed(database)


def places(listed: Listed, code: str, country: str) -> list[str]:
    return [str(spot.point) for spot in listed.codes(code, country)]


def test_a_code_is_listed_in_its_country_only(listed: Listed) -> None:
    assert places(listed, "60614", "US") == ["41.9229,-87.6483"]
    assert places(listed, "60614", "DE") == ["50.1013,8.6404"]
    assert places(listed, "60614", "ES") == []


def test_a_full_code_is_found_under_its_listed_form(listed: Listed) -> None:
    assert places(listed, "60614-1234", "US") == places(listed, "60614", "US")
    assert places(listed, "sw1a 1aa", "GB") == places(listed, "SW1A", "GB") != []


def test_a_territory_counts_as_its_country(listed: Listed) -> None:
    assert places(listed, "00901", "PR") == places(listed, "00901", "US") != []


def test_a_slip_and_a_part_of_a_code_are_not_listed(listed: Listed) -> None:
    assert places(listed, "6O614", "US") == places(listed, "606", "US") == []


def test_a_code_of_military_mail_is_listed_without_a_point(listed: Listed) -> None:
    assert [spot.point for spot in listed.codes("09001", "US")] == [None]


def test_towns_are_those_of_the_state_if_one_is_given(listed: Listed) -> None:
    assert len(listed.towns("Springfield", "", "US")) == 3
    [spot] = listed.towns("Springfield", "IL", "US")
    assert str(spot.point) == "39.80172,-89.64371"
    assert listed.towns("Springfield", "ME", "US") == []


def test_it_is_known_whose_codes_are_listed(listed: Listed) -> None:
    assert listed.has_codes("PR") and listed.has_codes("GB") and not listed.has_codes("CH")
