"""What a visitor may have meant."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from events.errors import Unreadable
from events.places.asking import country_order
from events.places.geo import InvalidCoordinates, Point
from events.places.lookup import Gazetteer
from events.places.readings import KnownPlace, UnknownPlace

from ..small_gazetteer import build_small

ALDER = KnownPlace("60614", "Chicago", "IL", "US", Point(41.9227, -87.6533))


@pytest.fixture
def places(small_gazetteer: Path) -> Gazetteer:
    return Gazetteer(small_gazetteer)


def labels(places: Gazetteer, typed: str, *prefer: str, country: str | None = None) -> list[str]:
    return [found.label for found in places.interpretations(typed, country=country, prefer=prefer)]


def test_an_ambiguous_code_is_read_in_the_wanted_country_first(places: Gazetteer) -> None:
    assert labels(places, "60614", "US") == [
        "60614 Chicago, Illinois, United States",
        "60614 Frankfurt am Main, Hessen, Germany",
        "60-614 Poznań, Greater Poland, Poland",
    ]
    assert labels(places, "60614", "DE", "US")[0] == "60614 Frankfurt am Main, Hessen, Germany"
    assert labels(places, "60614", "US", country="pl")[0] == "60-614 Poznań, Greater Poland, Poland"


@pytest.mark.parametrize(
    ("typed", "label"),
    [
        ("75001 France", "75001 Paris 01, Île-de-France, France"),
        ("FR-75001", "75001 Paris 01, Île-de-France, France"),
        ("D-10115", "10115 Berlin, Land Berlin, Germany"),
        ("60614-1234", "60614 Chicago, Illinois, United States"),
        ("Chicago, IL 60614", "60614 Chicago, Illinois, United States"),
        ("28004 Madrid", "28004 Madrid, Spain"),
        ("２８００４", "28004 Madrid, Spain"),
        ("e1", "E1 Whitechapel, England, United Kingdom"),
        ("SW1A 1AA", "SW1A Westminster, England, United Kingdom"),
        ("K1A 0B6", "K1A Ottawa, Ontario, Canada"),
        ("00901", "00901 San Juan, Puerto Rico, United States"),
        ("96799", "96799 Pago Pago, American Samoa, United States"),
        ("Portland, OR", "Portland, Oregon, United States"),
        ("Portland, Maine", "Portland, Maine, United States"),
        ("portland or usa", "Portland, Oregon, United States"),
        ("Washington, D.C.", "Washington, District of Columbia, United States"),
        ("koln", "Köln, Germany"),
        ("МАДРИД", "Madrid, Spain"),
        ("San Juan, PR", "San Juan, Puerto Rico, United States"),
    ],
)
def test_codes_and_towns_are_found_as_people_write_them(places: Gazetteer, typed: str, label: str) -> None:
    assert labels(places, typed, "US")[0] == label


def test_towns_of_one_name_come_largest_first(places: Gazetteer) -> None:
    found = labels(places, "Springfield", "US")
    assert [label.split(", ")[1] for label in found] == ["Missouri", "Illinois", "Oregon"]


def test_a_town_that_bears_a_name_only_besides_is_not_the_first(places: Gazetteer) -> None:
    assert labels(places, "Madrid", "US")[0].startswith("Madrid, ")


def test_a_part_of_a_town_is_not_offered_beside_it(places: Gazetteer) -> None:
    assert not any("City of London" in label for label in labels(places, "London", "GB"))


def test_military_mail_is_known_and_has_no_place(places: Gazetteer) -> None:
    (found,) = places.interpretations("APO 09001", prefer=("US",))
    assert (found.country, found.point) == ("US", None)


def test_coordinates_are_themselves(places: Gazetteer) -> None:
    (found,) = places.interpretations("0,0")
    assert (found.kind, found.point) == ("coordinates", Point(0, 0))


def test_a_label_is_in_the_readers_language(places: Gazetteer) -> None:
    found = places.interpretations("60614", prefer=("US",), locale="es")
    assert found[0].label == "60614 Chicago, Illinois, Estados Unidos"


@pytest.mark.parametrize("typed", ["91,0", "nan,1", "0,181"])
def test_coordinates_off_the_earth_are_refused(places: Gazetteer, typed: str) -> None:
    with pytest.raises(InvalidCoordinates):
        places.interpretations(typed)


@pytest.mark.parametrize("typed", ["", "   ", "🙂", "\x00", "x" * 201])
def test_what_is_no_text_for_a_place_is_refused(places: Gazetteer, typed: str) -> None:
    with pytest.raises(Unreadable):
        places.interpretations(typed)


@pytest.mark.parametrize(("typed", "reason"), [("zzzz", "place"), ("%FF", "place"), ("99999", "code")])
def test_the_unknown_is_an_answer_with_a_sentence(places: Gazetteer, typed: str, reason: str) -> None:
    with pytest.raises(UnknownPlace, match="We do not know") as caught:
        places.interpretations(typed, prefer=("US",))
    assert (caught.value.status, caught.value.reason, caught.value.elsewhere) == (200, reason, ())


def test_what_is_known_only_elsewhere_is_offered_there(places: Gazetteer) -> None:
    with pytest.raises(UnknownPlace) as caught:
        places.interpretations("99701", country="ES")
    assert [found.label for found in caught.value.elsewhere] == ["99701 Fairbanks, Alaska, United States"]


@pytest.mark.parametrize("country", ["U", "USA", "1A", "é"])
def test_a_country_that_is_none_is_refused(places: Gazetteer, country: str) -> None:
    with pytest.raises(Unreadable, match="is not a country"):
        places.interpretations("60614", country=country)


def test_without_a_directory_the_branches_say_where_they_are(tmp_path: Path) -> None:
    places = Gazetteer(tmp_path / "none.db")
    assert not places.exists
    found = places.interpretations("60614", known=lambda _: [ALDER])
    assert found[0].point == ALDER.point
    with pytest.raises(UnknownPlace) as caught:
        places.interpretations("10115", known=lambda _: [ALDER])
    assert caught.value.reason == "no_directory"


def test_countries_are_tried_as_said_then_the_operators_then_branches_then_the_readers() -> None:
    assert country_order("gb", ["US"], ["MX", "US"], "es;q=0.8, de-AT, en-PR;q=0") == (
        *("GB", "US", "MX"),
        *("AT", "ES"),
    )
    assert country_order("PR", [], [], "") == ("US",)
    assert country_order(None, [], [], "*, ;q=, xx-, " + "x" * 500) == ()


def test_a_code_that_is_not_in_the_country_typed_with_it_is_offered_where_it_is(places: Gazetteer) -> None:
    with pytest.raises(UnknownPlace, match="only outside the country") as caught:
        places.interpretations("99701 Germany")
    assert [found.label for found in caught.value.elsewhere] == ["99701 Fairbanks, Alaska, United States"]


def test_a_full_postcode_of_a_branch_is_found_by_its_outward_code_and_by_a_neighbours(tmp_path: Path) -> None:
    whitechapel = KnownPlace("E1 6QL", "London", "", "GB", Point(51.52, -0.07))
    places = Gazetteer(tmp_path / "none.db")
    for typed in ("E1", "e1 7aa", "London", "London, United Kingdom"):
        (found,) = places.interpretations(typed, known=lambda _: [whitechapel])
        assert found.point == whitechapel.point
    with pytest.raises(UnknownPlace):
        places.interpretations("London, France", known=lambda _: [whitechapel])


def test_a_directory_that_is_replaced_is_noticed_at_once(tmp_path: Path) -> None:
    places = Gazetteer(tmp_path / "places.db")
    assert not places.exists
    build_small(tmp_path)
    assert labels(places, "99701") == ["99701 Fairbanks, Alaska, United States"]
    (tmp_path / "places.db").write_bytes(b"not a database")
    assert not places.exists
    (tmp_path / "places.db").unlink()
    assert places.about() == {}


def test_threads_share_a_directory(places: Gazetteer) -> None:
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: labels(places, "28013", "ES")[0], range(200)))
    assert set(found) == {"28013 Madrid, Spain"}
