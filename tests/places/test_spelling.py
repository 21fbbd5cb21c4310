"""Slips of the keyboard: what is found in spite of them, and what is not."""

import string

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import OSA

from events.places.naming import code_key
from events.places.spelling import (
    LOOK_ALIKES,
    MOST_VARIANTS,
    SHORTEST,
    SHORTEST_TYPED,
    buckets,
    buckets_near,
    closest,
    code_variants,
    edits_allowed,
    swapped,
)

LETTERS = st.sampled_from([*string.ascii_lowercase, " ", "ł", "京", "м"])
NAMES = st.text(LETTERS, min_size=SHORTEST, max_size=24)


@st.composite
def slips(draw: st.DrawFn) -> tuple[str, str]:
    """A name, and the same with one slip."""
    name = draw(NAMES)
    at = draw(st.integers(0, len(name) - 1))
    letter = draw(LETTERS)
    ways = {
        "left out": name[:at] + name[at + 1 :],
        "added": name[:at] + letter + name[at:],
        "replaced": name[:at] + letter + name[at + 1 :],
        "swapped": name[:at] + name[at : at + 2][::-1] + name[at + 2 :],
    }
    typed = ways[draw(st.sampled_from(sorted(ways)))]
    assume(typed != name and len(typed) >= SHORTEST_TYPED)
    return name, typed


@settings(max_examples=500)
@given(slips())
def test_whatever_one_slip_does_the_name_is_looked_at_and_recognised(pair: tuple[str, str]) -> None:
    name, typed = pair
    is_looked_at = bool(set(buckets(name)) & buckets_near(typed))
    assert is_looked_at or name in swapped(typed)
    assert closest(typed, [name]) == {name: 1}


@settings(max_examples=200)
@given(NAMES)
def test_a_name_stands_where_its_own_spelling_is_looked_for(name: str) -> None:
    assert set(buckets(name)) <= buckets_near(name)
    assert closest(name, [name]) in ({name: 0}, {})


@pytest.mark.parametrize(
    ("typed", "names"),
    [
        ("chcago", {"chicago": 1}),
        ("philadelhpia", {"philadelphia": 1}),
        ("albequerque", {"albuquerque": 1}),
        ("minneapolos", {"minneapolis": 1}),
        ("sankt peterburk", {"sankt peterburg": 1}),
        ("londno", {"london": 1}),
    ],
)
def test_a_slip_is_counted_as_people_make_it(typed: str, names: dict[str, int]) -> None:
    assert closest(typed, [*names, "somewhere else"]) == names


@pytest.mark.parametrize(("length", "edits"), [(0, 0), (1, 0), (4, 0), (5, 1), (7, 1), (8, 2), (60, 2)])
def test_a_short_name_with_a_slip_is_another_name(length: int, edits: int) -> None:
    assert edits_allowed("x" * length) == edits
    assert (closest("x" * length, ["x" * length]) == {}) == (edits == 0)


@settings(max_examples=200)
@given(st.text(LETTERS, max_size=30), st.lists(NAMES, max_size=20))
def test_nothing_farther_than_allowed_is_offered(typed: str, names: list[str]) -> None:
    for name, edits in closest(typed, names).items():
        assert edits == OSA.distance(typed, name) <= edits_allowed(typed)


def test_letters_in_the_middle_are_changed_round_whether_there_is_one_middle_or_two() -> None:
    assert "chicago" in swapped("chiacgo")
    assert "berlin" in swapped("belrin")
    assert swapped("") == []
    assert swapped("a") == []


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("6O614", "60614"),
        ("606I4", "60614"),
        ("6O6I4", "60614"),
        ("606l4", "60614"),
        ("SWIA1AA", "SW1A1AA"),
        ("EI6AN", "E16AN"),
        ("KIA OB6", "K1A0B6"),
    ],
)
def test_a_code_is_tried_with_what_looks_the_same(typed: str, meant: str) -> None:
    assert meant in list(code_variants(code_key(typed)))


def test_of_codes_that_look_the_same_the_one_with_the_fewest_changes_is_tried_first() -> None:
    changes = [sum(a != b for a, b in zip("0O1I", code, strict=True)) for code in code_variants("0O1I")]
    assert changes == sorted(changes)
    assert changes[0] == 1


@settings(max_examples=200)
@given(st.text(st.sampled_from("OI0123L9AZ"), max_size=12))
def test_variants_are_few_and_look_the_same(key: str) -> None:
    found = list(code_variants(key))
    assert len(found) <= MOST_VARIANTS
    assert key not in found
    for variant in found:
        assert all(b in LOOK_ALIKES.get(a, a) for a, b in zip(key, variant, strict=True))


@pytest.mark.parametrize("key", ["", "28234", "KZW", "0" * 40])
def test_a_code_with_nothing_or_too_much_to_mistake_has_no_variants(key: str) -> None:
    assert list(code_variants(key)) == []
