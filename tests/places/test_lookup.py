"""What a visitor may have meant."""

import logging
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.errors import BranchlineError, Unreadable
from events.places import rows
from events.places.asking import LONGEST_TEXT, country_order
from events.places.geo import InvalidCoordinates, Point
from events.places.known import Wanted
from events.places.lookup import Gazetteer
from events.places.readings import Interpretation, KnownPlace, UnknownPlace

from .. import small_gazetteer as small
from ..small_gazetteer import build_small

ALDER = KnownPlace("60614", "Chicago", "IL", "US", Point(41.9227, -87.6533))
# Beside the small directory's: names that are often misspelt, and a village whose name is nearly a city's.
MORE_PLACES: list[tuple[str, str, str, float, float, int, str, list[str]]] = [
    ("Manchester", "GB", "ENG", 53.48095, -2.23743, 395_515, "Europe/London", []),
    ("Albuquerque", "US", "NM", 35.08449, -106.65114, 559_121, "America/Denver", []),
    (
        *("Saint Petersburg", "RU", "66", 59.93863, 30.31413, 5_028_000, "Europe/Moscow"),
        ["Sankt Petersburg", "Санкт-Петербург"],
    ),
    ("Tokyo", "JP", "40", 35.6895, 139.69171, 8_336_599, "Asia/Tokyo", ["東京"]),
    ("Parish", "US", "NY", 43.4059, -76.1294, 450, "America/New_York", []),
    ("Street", "GB", "ENG", 51.12455, -2.74034, 11_700, "Europe/London", []),
    ("Linden", "US", "NY", 40.7, -74.1, 43_000, "America/New_York", []),
    ("Paris", "US", "TX", 33.66094, -95.55551, 25_000, "America/Chicago", []),
    ("Illinois", "US", "OH", 39.17750, -84.61301, 3_272, "America/New_York", []),
]
MORE_CODES: list[tuple[str, str, str, str, float, float]] = [
    ("US", "12345", "Schenectady", "New York", 42.8142, -73.9396),
    ("NL", "1012", "Amsterdam", "North Holland", 52.3731, 4.8932),
    ("IE", "D02", "Dublin 2", "Leinster", 53.3389, -6.2595),
    ("BR", "01000-000", "São Paulo", "Sao Paulo", -23.5475, -46.6361),
    ("IS", "606", "Akureyri", "", 65.68, -18.1),
]


@pytest.fixture
def places(small_gazetteer: Path) -> Gazetteer:
    return Gazetteer(small_gazetteer)


@pytest.fixture(scope="module")
def more(tmp_path_factory: pytest.TempPathFactory) -> Gazetteer:
    """The small directory with a few more rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small, "PLACES", small.PLACES + MORE_PLACES)
        patch.setattr(small, "CODES", small.CODES + MORE_CODES)
        patch.setattr(small, "US_STATES", small.US_STATES | {"NM": "New Mexico", "TX": "Texas"})
        return Gazetteer(build_small(tmp_path_factory.mktemp("more")))


def first(places: Gazetteer, typed: str, *prefer: str) -> Interpretation:
    return places.interpretations(typed, prefer=prefer or ("US", "GB", "ES", "MX"))[0]


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
    assert country_order("uk", ["UK"], ["GB"], "en-UK") == ("GB",)
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
    assert places.about()["built_at"]
    (tmp_path / "places.db").write_bytes(b"not a database")
    assert not places.exists
    assert places.about() == {}
    (tmp_path / "places.db").unlink()
    assert places.about() == {}


def test_threads_share_a_directory(places: Gazetteer) -> None:
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: labels(places, "28013", "ES")[0], range(200)))
    assert set(found) == {"28013 Madrid, Spain"}


# ---------------------------------------------------------------- codes, whole and in part


@pytest.mark.parametrize(
    "typed",
    [
        *(
            "60614",
            " 60614 ",
            "60-614",
            "606 14",
            "6 0 6 1 4",
            "60614-1234",
            "606141234",
            "60614–1234",
            "#60614",
        ),
        *("60614.", "US 60614", "US-60614", "60614 usa", "IL 60614", "Chicago IL 60614", "60614 Chicago"),
        *("ZIP 60614", "zip code: 60614", "60614 🙂", "🇺🇸 60614", "６０６１４", "٦٠٦١٤", "६०६१४"),
    ],
)
def test_a_zip_is_read_however_it_is_written(places: Gazetteer, typed: str) -> None:
    found = first(places, typed)
    assert found.label == "60614 Chicago, Illinois, United States"
    assert (found.kind, found.mended, found.used) == ("postal_code", False, "")
    assert found.codes[-1] == "60614"


@pytest.mark.parametrize(
    ("typed", "label"),
    [
        ("SW1A 1AA", "SW1A Westminster, England, United Kingdom"),
        ("sw1a1aa", "SW1A Westminster, England, United Kingdom"),
        ("SW1A-1AA", "SW1A Westminster, England, United Kingdom"),
        ("s w 1 a 1 a a", "SW1A Westminster, England, United Kingdom"),
        ("SW1A 1A", "SW1A Westminster, England, United Kingdom"),
        ("SW1A 1", "SW1A Westminster, England, United Kingdom"),
        ("GB E1", "E1 Whitechapel, England, United Kingdom"),
        ("E1 6", "E1 Whitechapel, England, United Kingdom"),
        ("K1A 0", "K1A Ottawa, Ontario, Canada"),
        ("k1a0b", "K1A Ottawa, Ontario, Canada"),
        ("1012 lg", "1012 Amsterdam, North Holland, Netherlands"),
        ("1012 L", "1012 Amsterdam, North Holland, Netherlands"),
        ("D02 X285", "D02 Dublin 2, Leinster, Ireland"),
        ("D02 X2", "D02 Dublin 2, Leinster, Ireland"),
        ("01310-100", "01000-000 São Paulo, Sao Paulo, Brazil"),
        ("01.310-100", "01000-000 São Paulo, Sao Paulo, Brazil"),
        ("PLZ 10115 Berlin", "10115 Berlin, Land Berlin, Germany"),
        ("C.P. 28004", "28004 Madrid, Spain"),
    ],
)
def test_codes_of_other_countries_are_read_whole_and_in_part(more: Gazetteer, typed: str, label: str) -> None:
    assert first(more, typed).label == label


def test_a_full_code_keeps_its_full_form_before_the_listed_one(places: Gazetteer) -> None:
    assert first(places, "SW1A 1AA").codes == ("SW1A1AA", "SW1A")
    assert first(places, "60614-1234").codes == ("606141234", "60614")
    assert first(places, "FR-75001").codes == ("75001",)


@pytest.mark.parametrize(
    ("typed", "label"),
    [
        ("6O614", "60614 Chicago, Illinois, United States"),
        ("606I4", "60614 Chicago, Illinois, United States"),
        ("6o6l4", "60614 Chicago, Illinois, United States"),
        ("6O614-I234", "60614 Chicago, Illinois, United States"),
        ("SWIA 1AA", "SW1A Westminster, England, United Kingdom"),
        ("SWIA", "SW1A Westminster, England, United Kingdom"),
        ("EI 6AN", "E1 Whitechapel, England, United Kingdom"),
        ("KIA OB6", "K1A Ottawa, Ontario, Canada"),
    ],
)
def test_o_for_0_and_i_for_1_are_seen_through_and_said(places: Gazetteer, typed: str, label: str) -> None:
    found = first(places, typed)
    assert (found.label, found.mended) == (label, True)


def test_the_beginning_of_codes_is_the_area_that_they_cover(places: Gazetteer) -> None:
    found = first(places, "606")
    assert (found.kind, found.label, found.codes) == (
        *("postal_area", "606… Chicago, Illinois, United States"),
        ("606",),
    )
    assert found.point is not None
    assert 41.87 < found.point.latitude < 41.93
    assert found.precision_km > 1
    assert first(places, "280", "ES").label == "280… Madrid, Spain"


def test_what_too_many_codes_begin_with_says_nothing(
    places: Gazetteer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "MOST_OF_A_PART", 2)
    with pytest.raises(UnknownPlace):
        first(places, "606", "US")


def test_a_short_code_of_elsewhere_comes_after_what_it_begins_here(more: Gazetteer) -> None:
    assert labels(more, "606", "US") == ["606… Chicago, Illinois, United States", "606 Akureyri, Iceland"]
    assert labels(more, "606", "IS") == ["606 Akureyri, Iceland"]


def test_single_letters_begin_codes_where_the_operator_is_british(places: Gazetteer) -> None:
    assert first(places, "SW", "GB").label.startswith("SW… Westminster")
    with pytest.raises(UnknownPlace):
        first(places, "SW", "US")


@pytest.mark.parametrize(
    ("typed", "label"),
    [
        ("BFPO 57", "BFPO 57, United Kingdom"),
        ("bfpo57", "BFPO 57, United Kingdom"),
        ("BF1 3AA", "BF1 3AA, United Kingdom"),
        ("HQ, BFPO 57", "BFPO 57, United Kingdom"),
        ("09001", "09001 APO, United States"),
        ("APO AE 09001", "09001 APO, United States"),
        ("PSC 3, APO AE 09001", "09001 APO, United States"),
    ],
)
def test_mail_of_the_forces_is_known_and_has_no_place(places: Gazetteer, typed: str, label: str) -> None:
    found = first(places, typed)
    assert (found.kind, found.label, found.point) == ("postal_code", label, None)
    assert found.codes


def test_figures_are_one_code_only_across_what_may_stand_in_a_code(places: Gazetteer) -> None:
    for typed in ("606 14", "606-14", "606/14"):
        assert first(places, typed).label == "60614 Chicago, Illinois, United States"
    for typed in ("606.14", "606°14", "606=14"):
        with pytest.raises(UnknownPlace):
            first(places, typed)


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("typed", "label"),
    [
        ("manchster", "Manchester, United Kingdom"),
        ("Manchester, UK", "Manchester, United Kingdom"),
        ("manchster, uk", "Manchester, United Kingdom"),
        ("albequerque", "Albuquerque, New Mexico, United States"),
        ("albequerque nm", "Albuquerque, New Mexico, United States"),
        ("Sankt Petersburg", "Saint Petersburg, Russia"),
        ("Санкт-Петербург", "Saint Petersburg, Russia"),
        ("st petersburg", "Saint Petersburg, Russia"),
        ("東京", "Tokyo, Japan"),
        ("ciudad de mexico", "Ciudad de México, Mexico"),
        ("CIUDAD DE MÉXICO", "Ciudad de México, Mexico"),
        ("Mexico City", "Ciudad de México, Mexico"),
        ("Köln", "Köln, Germany"),
        ("Cologne", "Köln, Germany"),
        ("koln, deutschland", "Köln, Germany"),
        ("NEW  YORK", "New York City, New York, United States"),
        ("Chicgao", "Chicago, Illinois, United States"),
        ("Springfield, Ilinois", "Springfield, Illinois, United States"),
        ("Springfield Misouri", "Springfield, Missouri, United States"),
        ("Madrid, Spian", "Madrid, Spain"),
        ("Springfeild, Ilinois", "Springfield, Illinois, United States"),
        ("Chicgao, Illinois", "Chicago, Illinois, United States"),
        ("Albequerque Nwe Mexico", "Albuquerque, New Mexico, United States"),
        ("Chicago, IL, USA", "Chicago, Illinois, United States"),
    ],
)
def test_names_are_found_through_slips_accents_scripts_and_languages(
    more: Gazetteer, typed: str, label: str
) -> None:
    assert first(more, typed).label == label


@pytest.mark.parametrize("typed", ["manchster", "Chicgao", "Springfield, Ilinois", "Ilinois"])
def test_a_name_that_was_only_nearly_typed_says_so(more: Gazetteer, typed: str) -> None:
    assert all(found.mended for found in more.interpretations(typed, prefer=("US",)))
    assert not first(more, "Manchester").mended


def test_a_much_larger_town_of_nearly_the_name_is_offered_beside_it(more: Gazetteer) -> None:
    exact, *others = more.interpretations("Parish", prefer=("US",))
    assert (exact.label, exact.mended) == ("Parish, New York, United States", False)
    assert [(other.label, other.mended) for other in others] == [("Paris, France", True)]
    assert exact.score == 1.0 > others[0].score > 0


def test_a_large_town_is_not_taken_for_a_slip(more: Gazetteer) -> None:
    assert not any(found.mended for found in more.interpretations("Paris", prefer=("US",)))


@pytest.mark.parametrize(
    ("typed", "kind", "label"),
    [
        ("Illinois", "region", "Illinois, United States"),
        ("Ilinois", "region", "Illinois, United States"),
        ("IL", "region", "Illinois, United States"),
        ("or", "region", "Oregon, United States"),
        ("Illinois, USA", "region", "Illinois, United States"),
        ("Germany", "country", "Germany"),
        ("Deutschland", "country", "Germany"),
        ("Alemania", "country", "Germany"),
        ("UK", "country", "United Kingdom"),
        ("Puerto Rico", "region", "Puerto Rico, United States"),
    ],
)
def test_regions_and_countries_are_readings_too(more: Gazetteer, typed: str, kind: str, label: str) -> None:
    found = first(more, typed)
    assert (found.kind, found.label) == (kind, label)
    assert found.point is not None
    assert found.precision_km >= 1


def test_a_town_comes_before_the_region_of_its_name(more: Gazetteer) -> None:
    kinds = [found.kind for found in more.interpretations("New York", prefer=("US",))]
    assert kinds == ["place", "region"]


@pytest.mark.parametrize("typed", ["London, Germany", "Chicago, Spain", "Portland, Illinois"])
def test_a_town_that_is_not_in_the_country_or_region_is_offered_where_it_is(
    more: Gazetteer, typed: str
) -> None:
    with pytest.raises(UnknownPlace, match="only outside the country") as caught:
        first(more, typed)
    assert caught.value.reason == "elsewhere"
    assert caught.value.elsewhere[0].label.startswith(typed.split(",")[0])


# ---------------------------------------------------------------- scores


@pytest.mark.parametrize(
    "typed",
    ["60614", "606", "Springfield", "London", "Madrid", "Parish", "manchster", "New York", "28013", "IL"],
)
def test_readings_come_by_score_and_the_first_has_1(more: Gazetteer, typed: str) -> None:
    found = more.interpretations(typed, prefer=("US", "GB"))
    scores = [reading.score for reading in found]
    assert scores[0] == 1.0
    assert scores == sorted(scores, reverse=True)
    assert all(score > 0 for score in scores)
    assert len({reading.label for reading in found}) == len(found)


def test_a_town_and_a_region_that_would_be_called_alike_are_one_reading(places: Gazetteer) -> None:
    kinds = [found.kind for found in places.interpretations("Madrid", country="ES")]
    assert kinds[0] == "place"
    assert "region" not in kinds


def test_the_country_that_was_said_comes_before_what_the_operator_prefers(more: Gazetteer) -> None:
    found = more.interpretations("28013", country="IT", prefer=("ES", "US"))
    assert [reading.country for reading in found] == ["IT", "ES"]
    assert [reading.country for reading in more.interpretations("28013", prefer=("ES", "US"))] == ["ES", "IT"]
    assert more.interpretations("E1", country="uk")[0].country == "GB"


# ---------------------------------------------------------------- addresses


@pytest.mark.parametrize(
    ("typed", "used", "label"),
    [
        ("2150 N Halsted St, Chicago, IL 60614", "60614", "60614 Chicago, Illinois, United States"),
        ("2150 N Halsted St, Chicago, IL 60614-4321, USA", "60614", "60614 Chicago, Illinois, United States"),
        ("2150 N Halsted St Chicago IL", "Chicago", "Chicago, Illinois, United States"),
        ("123 Main St, Springfield, MO", "Springfield", "Springfield, Missouri, United States"),
        ("12345 Main St, Portland, OR 97201", "97201", "97201 Portland, Oregon, United States"),
        ("12345 Main St, Portland, OR", "Portland", "Portland, Oregon, United States"),
        ("60614 Main St, Portland, OR 97201", "97201", "97201 Portland, Oregon, United States"),
        ("10 Downing Street, London SW1A 2AA, UK", "SW1A", "SW1A Westminster, England, United Kingdom"),
        ("Flat 3, 9 Brick Lane, London E1", "E1", "E1 Whitechapel, England, United Kingdom"),
        ("10 Downing Street, London", "London", "London, United Kingdom"),
        ("Calle del Pez 10, 28004 Madrid", "28004", "28004 Madrid, Spain"),
        ("Calle de Alcalá, 50, 28013 Madrid, España", "28013", "28013 Madrid, Spain"),
        ("Unter den Linden 77, 10115 Berlin", "10115", "10115 Berlin, Land Berlin, Germany"),
        ("Hauptstr. 5, Köln", "Köln", "Köln, Germany"),
        ("742 Evergreen Terrace 60614", "60614", "60614 Chicago, Illinois, United States"),
        ("60614 Evergreen Terrace", "60614", "60614 Chicago, Illinois, United States"),
        ("downtown Chicago", "Chicago", "Chicago, Illinois, United States"),
        ("Munich House, Berlin, Bavaria", "Berlin", "Berlin, Land Berlin, Germany"),
        ("Madrid, Comunidad Autónoma", "Madrid", "Madrid, Spain"),
        ("Köln, Parish", "Köln", "Köln, Germany"),
        ("60601 N Long St, Chicago 60614", "60614", "60614 Chicago, Illinois, United States"),
        ("2150 N Halsted St, Chcago, IL", "Chicago", "Chicago, Illinois, United States"),
        ("2150 N Halsted St, Chcago", "Chicago", "Chicago, Illinois, United States"),
        ("Chcago, Germany", "Chicago", "Chicago, Illinois, United States"),
        ("2150 N Halsted St, Sprngfield, Misouri", "Springfield", "Springfield, Missouri, United States"),
        (
            "Flat 4, The Old Mill House, 12 Some Long Street Name There, Little Lonely Village, Chicago 60614",
            *("60614", "60614 Chicago, Illinois, United States"),
        ),
    ],
)
def test_of_an_address_the_code_or_the_town_is_used_and_said(
    more: Gazetteer, typed: str, used: str, label: str
) -> None:
    found = first(more, typed)
    assert (found.used, found.label) == (used, label)


@pytest.mark.parametrize(
    "typed", ["Halsted Street", "5 Long Street", "2150 N Halsted", "Main Street, Street"]
)
def test_a_kind_of_street_is_not_taken_for_a_town(more: Gazetteer, typed: str) -> None:
    if typed.endswith(", Street"):
        assert first(more, typed).label == "Street, United Kingdom"
        return
    with pytest.raises(UnknownPlace):
        first(more, typed)


def test_what_was_typed_as_a_whole_is_not_said_again(more: Gazetteer) -> None:
    for typed in ("60614", "Chicago, IL", "manchster", "606", "Illinois", "41.92,-87.64"):
        assert first(more, typed).used == ""


# ---------------------------------------------------------------- coordinates and plus codes


def test_coordinates_are_in_the_country_of_the_nearest_code(places: Gazetteer) -> None:
    found = first(places, "geo:41.92,-87.64;u=350")
    assert (found.kind, found.label, found.country) == ("coordinates", "41.92,-87.64", "US")
    assert found.precision_km == 0.35
    assert first(places, "0,0").country is None
    assert first(places, "90,0").country is None


def test_a_full_plus_code_is_a_place_by_itself(places: Gazetteer) -> None:
    found = first(places, "86HJW9F2+22")
    assert (found.kind, found.label, found.country, found.precision_km) == (
        "plus_code",
        "86HJW9F2+22",
        "US",
        0.007,
    )


@pytest.mark.parametrize(
    "typed", ["W9F2+22 Chicago", "w9f2+22, Chicago, IL", "Chicago W9F2+22", "W9F2+22 60614"]
)
def test_a_short_plus_code_lies_near_the_town_beside_it(places: Gazetteer, typed: str) -> None:
    found = first(places, typed)
    assert found.kind == "plus_code"
    assert found.label.startswith("W9F2+22 ")
    assert found.point == first(places, "86HJW9F2+22").point
    assert (found.codes, found.region) == ((), "")


@pytest.mark.parametrize("typed", ["W9F2+22", "W9F2+22 Illinois", "W9F2+22, US"])
def test_a_short_plus_code_alone_or_in_a_whole_region_asks_for_the_town(more: Gazetteer, typed: str) -> None:
    with pytest.raises(UnknownPlace, match="type the town behind it") as caught:
        first(more, typed)
    assert caught.value.reason == "short_plus_code"


# ---------------------------------------------------------------- sentences


def test_not_a_code_and_a_code_we_do_not_know_are_two_sentences(places: Gazetteer) -> None:
    said = {}
    for typed in ("12", "99999", "Zzyzx Springs"):
        with pytest.raises(UnknownPlace) as caught:
            first(places, typed)
        said[caught.value.reason] = str(caught.value)
    assert "is not a postal code: one looks like 99701" in said["not_a_code"]
    assert "do not know the postal code “99999”. Look for a slip in it" in said["code"]
    assert "do not know a place called “Zzyzx Springs”. Look for a slip in it" in said["place"]


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("A1B2C3D4", "not_a_code"),
        ("123456789012", "not_a_code"),
        ("0", "not_a_code"),
        ("Z9 9ZZ", "code"),
        ("X9", "code"),
        ("00000", "code"),
        ("'; DROP TABLE place;--", "place"),
        ("' OR 1=1 --", "not_a_code"),
        ("<script>alert(1)</script>", "not_a_code"),
        ("alder@example.org", "place"),
        ("../../etc/passwd", "place"),
        ("undefined", "place"),
        ("%s%n%d", "place"),
    ],
)
def test_every_odd_text_is_answered_with_a_reason(places: Gazetteer, typed: str, reason: str) -> None:
    with pytest.raises(UnknownPlace) as caught:
        first(places, typed)
    assert (caught.value.reason, caught.value.status) == (reason, 200)
    assert typed in str(caught.value)


def test_a_sign_that_stands_for_a_whole_sentence_is_too_long_as_well(places: Gazetteer) -> None:
    with pytest.raises(Unreadable, match="at most 200 characters"):
        first(places, "\ufdfa" * 100)
    with pytest.raises(Unreadable, match="at most 200 characters"):
        first(places, "x" * 10_000)


def test_the_branches_are_asked_only_when_the_directory_does_not_know(places: Gazetteer) -> None:
    asked: list[Wanted] = []

    def known(wanted: Wanted) -> list[KnownPlace]:
        asked.append(wanted)
        return []

    for typed in ("60614", "Chicago", "Chicgao"):
        places.interpretations(typed, prefer=("US",), known=known)
    assert [wanted.towns for wanted in asked] == [{"chicgao"}]


def test_a_branch_without_a_code_is_not_what_another_script_means(places: Gazetteer) -> None:
    nameless = KnownPlace("", "", "", "US", Point(41.9, -87.6))
    with pytest.raises(UnknownPlace):
        places.interpretations("Волгодонск", known=lambda _: [nameless])


def test_a_code_that_only_branches_know_is_called_by_what_was_typed(tmp_path: Path) -> None:
    places = Gazetteer(tmp_path / "none.db")
    whitechapel = KnownPlace("E1 6QL", "London", "", "GB", Point(51.52, -0.07))
    for typed, label, codes in (
        ("E1", "E1 London, United Kingdom", ("E1",)),
        ("E1 6QL", "E1 6QL London, United Kingdom", ("E16QL", "E1")),
        ("E1 7AA", "E1 London, United Kingdom", ("E17AA", "E1")),
    ):
        (found,) = places.interpretations(typed, known=lambda _: [whitechapel])
        assert (found.label, found.codes) == (label, codes)


# ---------------------------------------------------------------- promises

EVERYTHING = [
    *("60614", "6O614", "60614-1234", "606", "SW1A 1AA", "sw1a1", "GB E1", "75001 France", "90210 Germany"),
    *("Chicago", "Chicago, IL", "manchster", "Köln", "Москва", "東京", "Illinois", "Germany", "BFPO 57"),
    *("2150 N Halsted St, Chicago, IL 60614", "10 Downing Street, London", "41.92,-87.64", "lat=91", "91,0"),
    *("geo:41.92,-87.64;u=35", "41°55'21\"N 87°38'54\"W", "86HJW9F2+22", "W9F2+22 Chicago", "W9F2+22"),
    *("", "x" * 10_000, "\x00", "🙂", "'; DROP TABLE place;--", "99999", "12", "Zzyzx Springs", "09001"),
]


def search_everything(places: Gazetteer) -> int:
    """How many of them gave readings, the surroundings of each looked at."""
    found = 0
    for typed in EVERYTHING:
        for country in (None, "GB", "XX"):
            try:
                readings = places.interpretations(
                    typed, country=country, prefer=("US", "GB"), known=lambda _: [ALDER]
                )
            except BranchlineError as error:
                assert str(error)
                continue
            found += 1
            for reading in readings:
                places.surroundings(reading)
    return found


def test_no_search_needs_a_socket(more: Gazetteer, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a search opened a socket")

    for name in ("socket", "create_connection", "getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, refused)
    assert search_everything(Gazetteer(more.path)) > 30


def test_nothing_that_was_typed_is_logged_or_printed(
    more: Gazetteer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.NOTSET):
        for name in list(logging.root.manager.loggerDict):
            caplog.set_level(logging.NOTSET, logger=name)
        assert search_everything(Gazetteer(more.path)) > 30
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")


TOKENS = st.sampled_from(
    [
        *(
            "60614",
            "SW1A",
            "1AA",
            "E1",
            "K1A",
            "0B6",
            "606",
            "1",
            "0",
            "O",
            "I",
            "GB",
            "US",
            "IL",
            "Ilinois",
            "Germany",
        ),
        *(
            "Chicago",
            "chcago",
            "London",
            "Köln",
            "Madrid",
            "New York",
            "Москва",
            "東京",
            "St",
            "Saint",
            "Main Street",
        ),
        *(
            ",",
            ";",
            "-",
            ".",
            "/",
            "+",
            "°",
            "'",
            '"',
            "N",
            "W",
            "geo:",
            "lat=",
            "41.92",
            "-87.64",
            "86HJW9F2+22",
        ),
        *(
            "BFPO 57",
            "APO",
            "\x00",
            "\ud800",
            "\u200f",
            "🙂",
            "½",
            "º",
            "\ufdfa",
            "%",
            "_",
            "*",
            "\\",
            "(",
            ")",
        ),
    ]
)
TEXTS = st.one_of(
    st.text(max_size=300),
    st.lists(TOKENS, max_size=40).map(" ".join),
    st.lists(TOKENS, max_size=60).map("".join),
    st.text(st.characters(categories=["Nd", "Nl", "No", "Zs", "Pd", "Sk"]), max_size=300),
).map(lambda text: text[:300])


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS, st.sampled_from([None, "US", "gb", "XX"]), st.sampled_from([(), ("US",), ("GB", "DE")]))
def test_any_text_is_read_or_answered_within_a_second(
    more: Gazetteer, typed: str, country: str | None, prefer: tuple[str, ...]
) -> None:
    begun = time.perf_counter()
    try:
        found = more.interpretations(typed, country=country, prefer=prefer, known=lambda _: [ALDER])
        around = [more.surroundings(reading) for reading in found]
    except (Unreadable, UnknownPlace) as error:
        assert str(error)
        assert isinstance(error, UnknownPlace) or len(typed) > LONGEST_TEXT or error.status == 422
    else:
        assert found
        assert found[0].score == max(reading.score for reading in found)
        for reading, there in zip(found, around, strict=True):
            assert reading.label
            assert reading.point or reading.kind == "postal_code"
            assert reading.precision_km >= 0
            assert all(there.codes.values())
    assert time.perf_counter() - begun < 1


@pytest.mark.parametrize(
    ("typed", "label"),
    [
        ("1060 W Addison St Chicago", "Chicago, Illinois, United States"),
        ("2245 N Halsted Street Chicago Illinois USA", "Chicago, Illinois, United States"),
        ("5 Main St Springfield Illinois", "Springfield, Illinois, United States"),
        ("350 5th Ave New York", "New York City, New York, United States"),
    ],
)
def test_an_address_without_commas_ends_in_its_town(places: Gazetteer, typed: str, label: str) -> None:
    assert labels(places, typed, "US")[0] == label


def test_two_words_and_a_number_are_no_postal_code(places: Gazetteer) -> None:
    with pytest.raises(UnknownPlace) as caught:
        places.interpretations("12 Main St", prefer=["US"])
    assert caught.value.reason == "place"


def test_a_name_that_a_small_town_has_besides_is_not_offered_where_a_town_is_called_so(
    places: Gazetteer,
) -> None:
    assert not any("Waupun" in label for label in labels(places, "Madrid", "US"))
