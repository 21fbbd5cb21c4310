"""A branch as the world may see it: what is told, and what never is."""

import csv
import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
import vobject
from hypothesis import given
from hypothesis import strategies as st

from events.branches.columns import COLUMNS
from events.branches.formats import PUBLIC_COLUMNS, geojson, public, public_csv, vcard
from events.branches.models import Branch
from events.places.geo import Distance, Point

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
PAGE = "https://clubs.example.org/branches/alder"


CHICAGO = Point(41.9227, -87.6533)


def alder(at: Point | None = CHICAGO, **more: Any) -> Branch:
    values: dict[str, Any] = {
        "id": 1,
        "slug": "alder",
        "name": "Alder Club",
        "address_1": "2150 N Halsted St",
        "address_2": "Floor 3",
        "city": "Chicago",
        "state_province": "IL",
        "postal_code": "60614",
        "country": "US",
        "geocode_accuracy": "exact",
        "email": "alder@example.org",
        "languages": "en,es",
        "updated_at": NOW,
    }
    branch = Branch(**(values | more))
    branch.stand_at(at)
    return branch


def every_form(branch: Branch) -> dict[str, str]:
    """The branch in each public form, as the text that leaves the service."""
    return {
        "json": json.dumps(public(branch, url=PAGE, distance=Distance(1.2345))),
        "geojson": json.dumps(geojson([branch])),
        "csv": "".join(public_csv([branch])),
        "vcard": vcard(branch, PAGE).decode().replace("\r\n ", ""),
    }


FORMS = ("json", "geojson", "csv", "vcard")
SECRETS = ("Halsted", "Floor 3", "60614", "41.92", "-87.65")


@pytest.mark.parametrize("form", FORMS)
def test_every_form_tells_where_an_ordinary_branch_is(form: str) -> None:
    text = every_form(alder())[form]
    assert "Alder Club" in text
    assert [secret for secret in SECRETS if secret not in text] == []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("confidential", [False, True])
def test_no_form_tells_the_email_address(form: str, confidential: bool) -> None:
    assert "alder@example.org" not in every_form(alder(confidential=confidential))[form]


@pytest.mark.parametrize("form", FORMS)
def test_a_confidential_branch_is_told_by_its_city_only(form: str) -> None:
    text = every_form(alder(confidential=True))[form]
    assert "Chicago" in text
    assert [secret for secret in SECRETS if secret in text] == []


def test_a_distance_is_told_in_ten_metres_when_near_and_a_hundred_when_far() -> None:
    near = public(alder(), url=PAGE, distance=Distance(1.2345))
    far = public(alder(), url=PAGE, distance=Distance(12.345))
    assert (near["distance_km"], far["distance_km"]) == (1.23, 12.3)


def test_no_distance_to_a_confidential_branch_is_told() -> None:
    hidden = public(alder(confidential=True), url=PAGE, distance=Distance(1.2))
    assert "distance_km" not in hidden


def test_json_has_lists_and_the_slugs_of_relatives_when_they_are_known() -> None:
    branch = alder(parent_id=7)
    told = public(branch, url=PAGE, slugs={7: "illinois"})
    assert (told["parent_slug"], told["successor_slug"]) == ("illinois", None)
    assert told["languages"] == ["en", "es"]
    assert "parent_slug" not in public(branch, url=PAGE)


def test_public_csv_has_every_column_but_the_email() -> None:
    header, row = csv.reader(public_csv([alder(parent_id=7)], {7: "illinois"}))
    assert tuple(header) == PUBLIC_COLUMNS == tuple(name for name in COLUMNS if name != "email")
    assert dict(zip(header, row, strict=True))["parent_slug"] == "illinois"


def test_geojson_puts_longitude_first_and_keeps_a_longitude_of_0() -> None:
    (feature,) = json.loads(json.dumps(geojson([alder(Point(51.48, 0.0))])))["features"]
    assert feature["geometry"] == {"type": "Point", "coordinates": [0.0, 51.48]}


def test_geojson_without_a_position_has_no_geometry() -> None:
    (feature,) = json.loads(json.dumps(geojson([alder(None)], lambda branch: PAGE)))["features"]
    assert feature["geometry"] is None
    assert feature["properties"]["website"] == PAGE


def test_geojson_has_the_tags_of_all_the_places_and_none_that_is_empty() -> None:
    branch = alder(
        alternate_name="El Aliso",
        phone="+1 312 555 0100",
        opening_hours="Mo-Fr 09:00-17:00",
        opened_on=date(2011, 1, 10),
        links="https://www.facebook.com/alder,https://m.facebook.com/old,https://x.com/alder,https://a.example/b",
    )
    (feature,) = json.loads(json.dumps(geojson([branch], lambda _: PAGE, "Hazel Clubs")))["features"]
    assert feature["properties"] == {
        "ref": "alder",
        "name": "Alder Club",
        "branch": "Alder Club",
        "operator": "Hazel Clubs",
        "alt_name": "El Aliso",
        "addr:street_address": "2150 N Halsted St, Floor 3",
        "addr:city": "Chicago",
        "addr:state": "IL",
        "addr:postcode": "60614",
        "addr:country": "US",
        "phone": "+1 312 555 0100",
        "website": PAGE,
        "opening_hours": "Mo-Fr 09:00-17:00",
        "start_date": "2011-01-10",
        "geocode_accuracy": "exact",
        "contact:facebook": "https://www.facebook.com/alder",
        "contact:twitter": "https://x.com/alder",
    }


def test_geojson_of_a_confidential_branch_says_the_city_and_not_even_how_it_was_placed() -> None:
    (feature,) = json.loads(json.dumps(geojson([alder(confidential=True)], lambda _: PAGE)))["features"]
    assert feature["geometry"] is None
    assert feature["properties"] == {
        "ref": "alder",
        "name": "Alder Club",
        "branch": "Alder Club",
        "addr:city": "Chicago",
        "addr:state": "IL",
        "addr:country": "US",
        "website": PAGE,
    }


def test_the_website_in_geojson_is_the_branchs_own_where_it_has_one() -> None:
    (feature,) = json.loads(json.dumps(geojson([alder(url="https://alder.example/")], lambda _: PAGE)))[
        "features"
    ]
    assert feature["properties"]["website"] == "https://alder.example/"


def test_a_vcard_escapes_what_separates() -> None:
    card = vcard(alder(name="A; B, C \\ D", description="one\ntwo\rthree"), PAGE).decode()
    assert "\r\nFN:A\\; B\\, C \\\\ D\r\n" in card
    assert "\r\nNOTE:one\\ntwo\\nthree\r\n" in card


def test_a_vcard_line_has_at_most_75_octets_and_is_not_folded_within_a_character() -> None:
    name = "Año Nuevo 東京 🛠 " * 9 + "end"
    card = vcard(alder(name=name), PAGE)
    assert max(map(len, card.split(b"\r\n"))) <= 75
    for line in card.split(b"\r\n"):
        line.decode()
    assert f"FN:{name}\r\n" in card.decode().replace("\r\n ", "")


@given(st.text(min_size=1), st.text(), st.text())
def test_no_text_breaks_out_of_its_vcard_line(name: str, street: str, city: str) -> None:
    """Lone surrogates never reach a row: neither a file nor a form can be decoded to them."""
    name, street, city = (text.encode("utf-8", "ignore").decode() for text in (name, street, city))
    card = vcard(alder(name=name, address_1=street, city=city), PAGE)
    assert max(map(len, card.split(b"\r\n"))) <= 75
    lines = card.decode().replace("\r\n ", "").split("\r\n")
    names = [line.partition(":")[0].partition(";")[0] for line in lines]
    expected = [
        "BEGIN",
        "VERSION",
        "PRODID",
        "UID",
        "FN",
        "N",
        "ORG",
        "X-ABSHOWAS",
        "ADR",
        "URL",
        "GEO",
        "SOURCE",
        "REV",
        "END",
    ]
    assert names == [*expected, ""]


def test_an_address_book_reads_the_card_back() -> None:
    card = vobject.readOne(vcard(alder(name="Alder, Oak & Co; Ltd"), PAGE).decode())
    assert card.fn.value == "Alder, Oak & Co; Ltd"
    assert card.adr.value.city == "Chicago"
    assert card.adr.value.code == "60614"
