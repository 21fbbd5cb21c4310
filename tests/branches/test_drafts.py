"""What may be said about a branch, and what is answered to the rest."""

from datetime import date

import pytest
from pydantic import ValidationError

from events.branches.columns import COLUMNS
from events.branches.drafts import BranchDraft, slug_for
from events.drafts import faults


def draft(**values: object) -> BranchDraft:
    return BranchDraft.model_validate({"name": "Alder Club", **values})


def fault(**values: object) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        draft(**values)
    return {field: str(message) for field, message in faults(caught.value).items()}


def test_a_draft_has_the_columns_of_the_contract() -> None:
    assert tuple(BranchDraft.model_fields) == COLUMNS


def test_every_column_is_read_from_text() -> None:
    given = draft(
        latitude="41.9227",
        longitude="-87.6533",
        timezone="America/Chicago",
        opened_on="2019-05-01",
        confidential="yes",
        languages="en; es|pt-br",
        accessibility="step-free | hearing-loop",
        links="https://a.example.org/x,y; http://b.example.org",
        status="FORMING",
        country="uk",
        email="Alder@Example.org",
    )
    assert (given.latitude, given.longitude) == (41.9227, -87.6533)
    assert given.timezone == "America/Chicago"
    assert given.opened_on == date(2019, 5, 1)
    assert given.confidential
    assert given.languages == "en,es,pt-BR"
    assert given.accessibility == "step-free,hearing-loop"
    assert given.links == "https://a.example.org/x%2Cy,http://b.example.org"
    assert (given.status, given.country) == ("forming", "GB")
    assert given.email == "Alder@example.org"


def test_blank_fields_are_as_good_as_none() -> None:
    given = draft(**dict.fromkeys(set(COLUMNS) - {"name"}, "  "))
    assert (given.status, given.location_type, given.confidential) == ("active", "physical", False)
    assert (given.external_id, given.slug, given.timezone, given.point) == (None, "", None, None)
    assert given.opened_on is None


def test_longitude_0_is_a_place_like_others() -> None:
    greenwich = draft(latitude="51.48", longitude="0").point
    assert greenwich is not None
    assert (greenwich.latitude, greenwich.longitude) == (51.48, 0.0)


def test_0_0_is_refused_as_suspicious() -> None:
    assert "sea off Africa" in fault(latitude="0", longitude="-0.0")["latitude"]


@pytest.mark.parametrize(
    ("typed", "number"),
    [("41,92", 41.92), ("−33.9", -33.9), ("4.15E+01", 41.5), ("+5", 5.0), (".5", 0.5), ("-0", 0.0)],
)
def test_numbers_are_read_as_spreadsheets_write_them(typed: str, number: float) -> None:
    latitude = draft(latitude=typed, longitude="9").latitude
    assert latitude == number
    assert str(latitude) != "-0.0"


@pytest.mark.parametrize("typed", ["NaN", "inf", "1_0", "0x10", "41°", "41.9.2", "1e", "north"])
def test_what_is_no_number_is_no_latitude(typed: str) -> None:
    assert "decimal degrees" in fault(latitude=typed, longitude="9")["latitude"]


@pytest.mark.parametrize(
    ("column", "typed", "word"),
    [
        ("latitude", "91", "-90 to 90"),
        ("latitude", "1e999", "-90 to 90"),
        ("longitude", "-180.5", "-180 to 180"),
        ("name", " ", "fill this in"),
        ("name", "x" * 201, "at most 200"),
        ("slug", "Alder Club", "alder-club"),
        ("slug", "x" * 81, "at most 80"),
        ("slug", "near", "the service itself needs"),
        ("parent_slug", "no/slash", "small letters"),
        ("country", "Spain", "two letters"),
        ("country", "ZZ", "two letters"),
        ("timezone", "Mars/Olympus", "America/Chicago"),
        ("status", "open", "active, forming, inactive, closed"),
        ("location_type", "boat", "physical, postal, virtual"),
        ("geocode_accuracy", "rooftop", "exact, postal_code, place"),
        ("opened_on", "03/04/2026", "2026-11-24"),
        ("opened_on", "2026-02-30", "date that exists"),
        ("opened_on", "0000-01-01", "date that exists"),
        ("opened_on", "1700000000", "2026-11-24"),
        ("confidential", "perhaps", "yes or no"),
        ("email", "alder at example.org", "name@example.org"),
        ("url", "www.example.org", "https://example.org/page"),
        ("url", "javascript:alert(1)", "https://example.org/page"),
        ("links", "https://a.example.org, ftp://b.example.org", "ftp://b.example.org"),
        ("languages", "English", "“English”"),
        ("postal_code", "1" * 21, "at most 20"),
        ("description", "x" * 20_001, "at most 20000"),
    ],
)
def test_a_value_that_cannot_be_right_is_explained(column: str, typed: str, word: str) -> None:
    values = {"latitude": "5", "longitude": "5"} if column in ("latitude", "longitude") else {}
    assert word in fault(**(values | {column: typed}))[column]


def test_a_latitude_alone_is_half_a_place() -> None:
    assert "come together" in fault(latitude="41.9")["longitude"]
    assert "come together" in fault(latitude="", longitude="4")["latitude"]


def test_a_branch_does_not_end_before_it_opens() -> None:
    assert "before the opening" in fault(opened_on="2020-01-01", end_date="2019-12-31")["end_date"]


def test_a_branch_is_not_its_own_parent_nor_successor() -> None:
    assert "own parent" in fault(slug="alder", parent_slug="alder")["parent_slug"]
    assert "own successor" in fault(slug="alder", successor_slug="alder")["successor_slug"]


def test_an_unknown_field_is_refused() -> None:
    assert "updated_at" in fault(updated_at="2026-01-01")


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Año Nuevo, St. Mary's", "ano-nuevo-st-marys"),
        ("  Łódź — Straße & Ærø  ", "lodz-strasse-aero"),
        ("東京図書館", "branch"),
        ("東京 Library 2", "library-2"),
        ("---", "branch"),
        ("x" * 90, "x" * 80),
    ],
)
def test_a_slug_is_made_from_the_name(name: str, slug: str) -> None:
    assert slug_for(name) == slug


def test_a_long_name_is_cut_between_words() -> None:
    slug = slug_for("club de lectura y herramientas " * 5)
    assert len(slug) <= 80
    assert slug.endswith(("club", "lectura", "herramientas", "de", "y"))
