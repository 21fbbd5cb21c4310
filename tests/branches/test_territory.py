"""What a branch serves, as its service area says it, and which places lie in it."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from events.branches.drafts import BranchDraft
from events.branches.serving import described, reason
from events.branches.territory import (
    CELL_SIZES,
    CLOSENESS,
    LONGEST,
    MOST_CELLS,
    Fit,
    Territory,
    Where,
    fits,
    keys,
    keys_asked,
    territory,
)
from events.drafts import faults
from events.errors import Message, Unreadable
from events.places.geo import Distance, Point
from events.places.shapes import Shape

CHICAGO, EVANSTON, MADRID = Point(41.88, -87.63), Point(42.04, -87.69), Point(40.42, -3.70)
SQUARE = [[-88.0, 41.0], [-87.0, 41.0], [-87.0, 42.0], [-88.0, 42.0], [-88.0, 41.0]]
HOLE = [[-87.7, 41.8], [-87.5, 41.8], [-87.5, 41.95], [-87.7, 41.95], [-87.7, 41.8]]
FIJI = [[177.0, -19.0], [-178.0, -19.0], [-178.0, -16.0], [177.0, -16.0], [177.0, -19.0]]


def geojson(*rings: list[list[float]]) -> str:
    return json.dumps({"type": "Polygon", "coordinates": rings})


def code(*forms: str, country: str = "US", regions: tuple[tuple[str, str], ...] = ()) -> Where:
    """A code that was typed, the fullest form first."""
    there = {(country, ""): True, **dict.fromkeys(regions, True)}
    return Where(CHICAGO, 1.0, {country: forms}, there, is_code=True)


def place(
    point: Point,
    km: float,
    codes: dict[str, tuple[str, ...]] | None = None,
    regions: dict[tuple[str, str], bool] | None = None,
) -> Where:
    return Where(point, km, codes or {}, regions or {}, is_code=False)


def fit(text: str, where: Where, country: str = "US", own: Point | None = CHICAGO) -> tuple[str, bool] | None:
    """How it fits and whether surely; that the database would find it is checked as well."""
    served = territory(text)
    found = fits(served, country, own, where)
    if found is None:
        return None
    assert keys(served, country, own) & keys_asked(where)
    return found.how, found.sure


# ---------------------------------------------------------------- reading


def test_each_term_is_read_and_the_rest_is_a_note() -> None:
    found = territory(
        f"Codes: 606*, 60614, e1 6an; within: 5 mi; Regions: Illinois, wi; area: {geojson(SQUARE)}; By appointment"
    )
    assert found.codes == {"60614", "E16AN"}
    assert found.beginnings == ("606",)
    assert found.reach == Distance.from_miles(5)
    assert found.regions == ("illinois", "wi")
    assert found.region_names == ("Illinois", "wi")
    assert [shape.contains(Point(41.5, -87.5)) for shape in found.shapes] == [True]
    assert found.notes == ("By appointment",)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", Territory()),
        ("   ", Territory()),
        (" ; ;; ", Territory()),
        ("Lincoln Park, Old Town, Lakeview", Territory(notes=("Lincoln Park, Old Town, Lakeview",))),
        ("Everybody: all of us", Territory(notes=("Everybody: all of us",))),
        ("Lakeview; Uptown", Territory(notes=("Lakeview", "Uptown"))),
        ("codes:60614", Territory(codes=frozenset({"60614"}))),
        ("CODE: 60614", Territory(codes=frozenset({"60614"}))),
        ("codes: 60-614,60-615 ,", Territory(codes=frozenset({"60614", "60615"}))),
        ("codes: 60614; codes: 60615", Territory(codes=frozenset({"60614", "60615"}))),
        ("codes: sw1*", Territory(beginnings=("SW1",))),
        ("codes: ６０６１４", Territory(codes=frozenset({"60614"}))),
        ("within: 40km", Territory(reach=Distance(40))),
        ("within: 2,5 km", Territory(reach=Distance(2.5))),
        ("region: Île-de-France", Territory(regions=("ile de france",), region_names=("Île-de-France",))),
    ],
)
def test_a_service_area_is_read_as_people_write_it(text: str, found: Territory) -> None:
    assert territory(text) == found


def test_geojson_alone_is_an_area_and_several_areas_add_up() -> None:
    assert len(territory(geojson(SQUARE)).shapes) == 1
    two = territory(f"area: {geojson(SQUARE)}; area: {geojson(FIJI)}; codes: 28004")
    assert len(two.shapes) == 2
    assert two.codes == {"28004"}


def test_semicolons_and_words_within_geojson_are_its_own() -> None:
    feature = {
        "type": "Feature",
        "properties": {"name": "codes: 1; within: 5 mi; } {"},
        "geometry": json.loads(geojson(SQUARE)),
    }
    found = territory(f"area: {json.dumps(feature)}; codes: 28004")
    assert found.codes == {"28004"}
    assert found.reach is None
    assert not found.notes


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("codes:", "Name the postal codes"),
        ("codes: , ,", "Name the postal codes"),
        ("codes: 60614, *", "“\\*” is neither a postal code nor the beginning of one"),
        ("codes: 606**", "neither a postal code"),
        ("codes: 6*6", "neither a postal code"),
        ("codes: Lincoln Park", "neither a postal code"),
        ("codes: 6", "neither a postal code"),
        ("codes: 🙂", "neither a postal code"),
        ("codes: 12345678901", "neither a postal code"),
        (
            "codes: " + ", ".join(str(number) for number in range(10_000, 12_001)),
            "More than 2000 postal codes",
        ),
        ("within:", "is not a distance"),
        ("within: far", "is not a distance"),
        ("within: 0 km", "is not a distance"),
        ("within: -5 km", "is not a distance"),
        ("within: nan", "is not a distance"),
        ("within: 501 km", "up to 500 km. For more, use “regions:”"),
        ("regions:", "Name the regions"),
        ("regions: ,", "Name the regions"),
        ("regions: Illinois, !", "Name the regions"),
        ("regions: " + "x" * 101, "Name the regions"),
        ("area:", "An area is a GeoJSON"),
        ("area: Lincoln Park", "An area is a GeoJSON"),
        ("area: [1, 2]", "An area is a GeoJSON"),
        ('area: {"type": "Polygon"', "a bracket or quotation mark is missing"),
        ("area: " + '{"a":' * 5000, "a bracket or quotation mark is missing"),
        ('{"type": "Polygon"', "An area is a GeoJSON"),
        ('area: {"type": "Point", "coordinates": [1, 2]}', "An area is a GeoJSON"),
        ('area: {"type": "Polygon", "coordinates": [[[NaN, 1], [2, 2], [3, 1]]]}', "not on earth"),
        ('area: {"type": "Polygon", "coordinates": [[[true, 1], [2, 2], [3, 1]]]}', "not on earth"),
    ],
)
def test_what_is_wrong_is_a_sentence_for_the_form(text: str, sentence: str) -> None:
    with pytest.raises(Unreadable, match=sentence):
        territory(text)
    with pytest.raises(ValidationError) as caught:
        BranchDraft(name="Alder", service_area=text)
    assert str(faults(caught.value)["service_area"])


def test_a_draft_keeps_the_service_area_as_it_was_written() -> None:
    text = f"codes: 606*; area: {geojson(SQUARE)}; By appointment"
    assert BranchDraft(name="Alder", service_area=text).service_area == text
    with pytest.raises(ValidationError):
        BranchDraft(name="Alder", service_area="x" * (LONGEST + 1))


@settings(max_examples=200)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=20),
            st.sampled_from(
                [
                    "codes:",
                    "within:",
                    "area:",
                    "regions:",
                    ";",
                    ",",
                    "{",
                    "}",
                    "[",
                    "606*",
                    "5 mi",
                    '"',
                    "IL",
                    geojson(SQUARE),
                ]
            ),
        ),
        max_size=12,
    ).map(" ".join)
)
def test_any_text_is_a_territory_or_a_sentence(text: str) -> None:
    try:
        found = territory(text)
    except Unreadable as error:
        assert str(error)
    else:
        assert described(found, "") is not None


# ---------------------------------------------------------------- codes


@pytest.mark.parametrize(
    ("text", "where", "how"),
    [
        ("codes: 60614", code("60614"), ("code", True)),
        ("codes: 60614", code("60615"), None),
        ("codes: 606*", code("60614"), ("beginning", True)),
        ("codes: 606*", code("60714"), None),
        ("codes: 60614", code("606141234", "60614"), ("code", True)),
        ("codes: 60614-1234", code("606141234", "60614"), ("code", True)),
        ("codes: 60614-1234", code("60614"), ("code", False)),  # a part of what was typed
        ("codes: 60614", code("606"), ("code", False)),
        ("codes: 6061*", code("606"), ("code", False)),
        ("codes: 606*", code("606"), ("beginning", True)),
        ("codes: 60*", code("606"), ("beginning", True)),
        ("codes: 607*", code("606"), None),
        ("codes: 60614, 606*", code("60614"), ("code", True)),
        ("codes: 6*, 606*", code("60614"), ("beginning", True)),
    ],
)
def test_a_code_that_was_typed_is_in_the_territory_or_not(
    text: str, where: Where, how: tuple[str, bool] | None
) -> None:
    assert fit(text, where) == how


@pytest.mark.parametrize(
    ("text", "forms", "how"),
    [
        ("codes: SW1A", ("SW1A1AA", "SW1A"), ("code", True)),
        ("codes: SW1A 1AA", ("SW1A1AA", "SW1A"), ("code", True)),
        ("codes: SW1A 1AA", ("SW1A",), ("code", False)),
        ("codes: SW1A 2AA", ("SW1A1AA", "SW1A"), None),
        ("codes: SW1A 1AA", ("SW1A1", "SW1A"), ("code", False)),
        ("codes: SW1*", ("SW1A1AA", "SW1A"), ("beginning", True)),
        ("codes: SW1A", ("SW",), ("code", False)),
        ("codes: SW1A 1AA", ("S",), ("code", False)),
        ("codes: E1", ("E16AN", "E1"), ("code", True)),
        ("codes: E1 6AN", ("E1",), ("code", False)),
        ("codes: E1", ("E101AA", "E10"), None),
        ("codes: E10", ("E1",), None),  # another district, not a part of it
        ("codes: E10 1AA", ("E1",), None),
        ("codes: SW1A", ("SW1",), ("code", False)),
    ],
)
def test_british_districts_are_not_parts_of_each_other(
    text: str, forms: tuple[str, ...], how: tuple[str, bool] | None
) -> None:
    assert fit(text, code(*forms, country="GB"), "GB") == how


def test_a_code_is_of_the_branchs_own_country() -> None:
    assert fit("codes: 60614", code("60614", country="DE")) is None
    assert fit("codes: 60614", code("60614", country="DE"), "DE") == ("code", True)
    assert fit("codes: 00901", code("00901"), "PR") == ("code", True)  # Puerto Rico's codes are of the US
    assert fit("codes: 60614", code("60614"), "") is None


@pytest.mark.parametrize(
    ("country", "written"),
    [("DE", "D-10115"), ("DE", "DE 10115"), ("FR", "F-10115"), ("LU", "L-10115"), ("AD", "AD10115")],
)
def test_letters_of_the_country_before_a_code_are_no_part_of_it(country: str, written: str) -> None:
    assert fit(f"codes: {written}", code("10115", country=country), country) == ("code", True)
    assert fit(f"codes: {written[:-2]}*", code("10115", country=country), country) == ("beginning", True)


def test_of_the_codes_around_a_place_all_or_some_are_in_the_territory() -> None:
    both = place(CHICAGO, 5, {"US": ("60614", "60615")})
    assert fit("codes: 60614, 60615", both) == ("code", True)
    assert fit("codes: 60614", both) == ("code", False)
    assert fit("codes: 606*", both) == ("beginning", True)
    assert fit("codes: 60614, 606*", both) == ("code", True)
    assert fit("codes: 60616", both) is None
    assert fit("codes: 60614-1234", both) == ("code", False)


def test_near_another_country_no_code_is_sure() -> None:
    border = place(CHICAGO, 5, {"US": ("60614",), "CA": ("K1A",)})
    assert fit("codes: 60614", border) == ("code", False)


def test_of_a_city_of_which_only_beginnings_are_known_a_part_may_be_in_the_territory() -> None:
    city = place(CHICAGO, 20, {"US": ("606*", "607*")})
    assert fit("codes: 60614", city) == ("code", False)
    assert fit("codes: 6061*", city) == ("code", False)
    assert fit("codes: 60*", city) == ("beginning", True)
    assert fit("codes: 606*", city) == ("beginning", False)
    assert fit("codes: 60514", city) is None
    assert fit("codes: SE10", place(CHICAGO, 20, {"GB": ("SE1*",)}), "GB") == ("code", False)


def test_a_code_without_a_place_belongs_to_who_names_it() -> None:
    nowhere = Where(None, 0.0, {"GB": ("BFPO57",)}, {("GB", ""): True}, is_code=True)
    assert fit("codes: BFPO 57", nowhere, "GB") == ("code", True)
    assert fit(f"within: 500 km; area: {geojson(SQUARE)}", nowhere, "GB") is None


# ---------------------------------------------------------------- circles, areas, regions


def test_a_place_lies_within_reach_or_not_or_perhaps() -> None:
    assert fit("within: 25 km", place(EVANSTON, 0.5)) == ("reach", True)
    assert fit("within: 15 km", place(EVANSTON, 0.5)) is None
    assert fit("within: 18 km", place(EVANSTON, 2)) == ("reach", False)
    assert fit("within: 20 km", place(EVANSTON, 3)) == ("reach", False)
    assert fit("within: 25 km", place(EVANSTON, 0.5), own=None) is None


def test_reach_goes_across_the_date_line_and_over_the_pole() -> None:
    assert fit("within: 50 km", place(Point(-16.8, -179.9), 1), own=Point(-16.8, 179.9)) == ("reach", True)
    assert fit("within: 50 km", place(Point(89.9, 180), 1), own=Point(89.9, 0)) == ("reach", True)


def test_a_place_lies_in_an_area_or_in_its_hole_or_near_a_border() -> None:
    text = f"area: {geojson(SQUARE, HOLE)}"
    assert fit(text, place(Point(41.5, -87.5), 1)) == ("shape", True)
    assert fit(text, place(CHICAGO, 1)) is None  # in the hole
    assert fit(text, place(CHICAGO, 15)) == ("shape", False)
    assert fit(text, place(Point(41.99, -87.3), 5)) == ("shape", False)  # inside, near the edge
    assert fit(text, place(Point(42.02, -87.3), 5)) == ("shape", False)  # outside, near the edge
    assert fit(text, place(Point(42.5, -87.3), 5)) is None


def test_an_area_across_the_date_line_has_two_sides() -> None:
    text = f"area: {geojson(FIJI)}"
    for longitude in (178.0, 180.0, -180.0, -179.0):
        assert fit(text, place(Point(-17.5, longitude), 1), "FJ") == ("shape", True)
    assert fit(text, place(Point(-17.5, -177.9), 20), "FJ") == ("shape", False)
    assert fit(text, place(Point(-17.5, 0.0), 20), "FJ") is None


def test_a_region_is_called_by_its_name_or_its_letters() -> None:
    illinois = {("US", ""): True, ("US", "illinois"): True, ("US", "il"): True}
    for text in ("regions: Illinois", "regions: IL", "regions: wisconsin, ILLINOIS"):
        assert fit(text, place(CHICAGO, 400, regions=illinois)) == ("region", True)
    assert fit("regions: Wisconsin", place(CHICAGO, 400, regions=illinois)) is None
    assert fit("regions: Illinois", place(CHICAGO, 400, regions=illinois), "DE") is None


def test_near_the_border_of_regions_neither_is_sure() -> None:
    border = {("US", ""): True, ("US", "illinois"): False, ("US", "wisconsin"): False}
    assert fit("regions: Illinois", place(CHICAGO, 1, regions=border)) == ("region", False)
    assert fit("regions: US", place(CHICAGO, 1, regions=border)) == ("region", True)


@pytest.mark.parametrize(
    ("text", "own", "there"),
    [
        ("regions: Spain", "US", "ES"),
        ("regions: España", "US", "ES"),
        ("regions: ES", "FR", "ES"),
        ("regions: US", "US", "US"),
        ("regions: United States", "US", "US"),
        ("regions: UK", "GB", "GB"),
        ("regions: Ireland", "GB", "IE"),
        ("regions: Georgia", "GB", "GE"),
    ],
)
def test_a_whole_country_is_a_region_too(text: str, own: str, there: str) -> None:
    assert fit(text, place(MADRID, 900, regions={(there, ""): True}), own) == ("region", True)


@pytest.mark.parametrize(
    ("text", "own", "there"),
    [
        ("regions: CA", "US", "CA"),  # California, not Canada
        ("regions: IL, IN, DE", "US", "IL"),
        ("regions: IL, IN, DE", "US", "DE"),
        ("regions: Georgia", "US", "GE"),
        ("regions: BE", "CH", "BE"),  # Bern, not Belgium
        ("regions: SA", "AU", "SA"),
        ("regions: México", "MX", "MX"),  # the state
    ],
)
def test_letters_and_names_of_ones_own_regions_are_no_countries(text: str, own: str, there: str) -> None:
    assert fit(text, place(MADRID, 900, regions={(there, ""): True}), own) is None


def test_a_reading_that_is_a_region_fits_regions_only() -> None:
    text = f"within: 500 km; codes: 606*; area: {geojson(SQUARE)}"
    assert fit(text, place(CHICAGO, 150, {"US": ("60614",)})) is None


def test_a_note_serves_nobody() -> None:
    assert fit("Lincoln Park and Illinois", code("60614", regions=(("US", "illinois"),))) is None
    assert keys(territory("Lincoln Park"), "US", CHICAGO) == frozenset()


def test_of_several_reasons_a_sure_one_and_then_the_closest_is_told() -> None:
    everything = f"codes: 606*; within: 50 km; regions: IL; area: {geojson(SQUARE)}"
    where = Where(Point(41.5, -87.5), 1.0, {"US": ("60614",)}, {("US", "il"): True}, is_code=True)
    assert fit(everything, where) == ("beginning", True)
    assert fit(everything.replace("606*", "60614-1234"), where) == ("shape", True)
    assert fit(everything.replace("606*", "99*"), where) == ("shape", True)
    ranked = sorted((Fit(how, sure) for how in CLOSENESS for sure in (False, True)), key=lambda one: one.rank)
    assert [one.how for one in ranked] == [*CLOSENESS, *CLOSENESS]
    assert [one.sure for one in ranked] == [True] * 5 + [False] * 5


def test_every_fit_has_a_sentence() -> None:
    said = {str(reason(Fit(how, sure, "60614"))) for how in CLOSENESS for sure in (True, False)}
    assert len(said) >= 7
    assert not any("%(" in sentence for sentence in said)


def test_a_territory_is_described_for_people() -> None:
    text = f"codes: 606*, {', '.join(str(n) for n in range(10_000, 10_030))}; regions: Île-de-France; By appointment"
    notes, codes, regions, *area = described(territory(f"{text}; area: {geojson(SQUARE)}"), "")
    assert notes == "By appointment"
    assert str(codes).startswith("Postal codes 606…, 10000, ")
    assert str(codes).endswith(" …")
    assert str(regions) == "Regions: Île-de-France"
    assert all(isinstance(part, Message) for part in area)
    assert described(territory(""), "") == []


# ---------------------------------------------------------------- keys


def test_a_large_area_has_few_keys_and_a_small_one_fine_ones() -> None:
    small = keys(territory("within: 5 km"), "US", CHICAGO)
    assert all(key.startswith(f"cell:{CELL_SIZES[0]:g}:") for key in small)
    world = '{"type": "Polygon", "coordinates": [[[-180,-90],[180,-90],[180,90],[-180,90],[-180,-90]]]}'
    large = keys(territory(world), "US", None)
    assert all(key.startswith(f"cell:{CELL_SIZES[-1]:g}:") for key in large)
    assert len(small) <= MOST_CELLS < len(large) <= 36 * 19


def test_a_hostile_area_of_many_worlds_is_soon_numbered() -> None:
    ring = "[[[-180,-90],[180,-90],[180,90],[-180,90],[-180,-90]]]"
    text = f'{{"type": "MultiPolygon", "coordinates": [{",".join([ring] * 900)}]}}'
    served, begun = territory(text), time.perf_counter()
    assert keys(served, "US", None)
    assert time.perf_counter() - begun < 2


def test_two_thousand_codes_have_few_keys_more_than_codes() -> None:
    text = "codes: " + ", ".join(str(number) for number in range(10_000, 12_000))
    served = territory(text)
    assert len(keys(served, "US", None)) < 2100
    begun = time.perf_counter()
    many = tuple(f"{number}*" for number in range(200, 999))
    assert fits(served, "US", None, place(CHICAGO, 20, {"US": many})) is None
    assert time.perf_counter() - begun < 0.2


LATITUDES = st.one_of(st.floats(-90, 90), st.sampled_from([-90.0, -89.95, 0.0, 60.0, 89.5, 89.99, 90.0]))
LONGITUDES = st.one_of(st.floats(-180, 180), st.sampled_from([-180.0, -179.99, 0.0, 179.99, 180.0]))
POINTS = st.builds(Point, LATITUDES, LONGITUDES)
CODES = st.one_of(
    st.integers(100, 999_999_999).map(str),
    st.sampled_from(
        ["60614", "60615", "606141234", "606", "E1", "E10", "E1W", "E16AN", "E101AA", "SW1", "SW1A"]
    ),
    st.sampled_from(["SW1A1", "SW1A1AA", "SW1A2AA", "K1A", "K1A0B6", "D10115", "10115", "N1", "N19GU"]),
)
REGIONS = st.sampled_from(["illinois", "il", "ca", "georgia", "spain", "es", "us", "mexico"])
COUNTRIES = st.sampled_from(["US", "GB", "ES", "CA", "DE", "PR", ""])
KILOMETRES = st.one_of(st.sampled_from([0.0, 0.001, 0.5, 5.0, 99.9, 100.0, 150.0]), st.floats(0, 120))


@st.composite
def outlines(draw: st.DrawFn) -> Shape:
    """A box or a triangle, with a hole or none, anywhere."""
    west, south = draw(st.floats(-180, 180)), draw(st.floats(-90, 89))
    wide, tall = draw(st.floats(0.01, 170)), draw(st.floats(0.01, 40))
    north = min(south + tall, 90.0)
    ring = [[west, south], [west + wide, south], [west + wide, north], [west, north]]
    if draw(st.booleans()):
        ring = ring[:3]
    rings = [[[(x + 180) % 360 - 180 if draw(st.booleans()) else x, y] for x, y in ring]]
    if draw(st.booleans()):
        middle = (south + north) / 2
        rings.append(
            [[west + wide * 0.6, middle], [west + wide * 0.8, middle], [west + wide * 0.8, middle * 0.99]]
        )
    return Shape.all_of(json.dumps({"type": "Polygon", "coordinates": rings}))[0]


@st.composite
def near(draw: st.DrawFn, points: list[Point]) -> Point:
    """Close to one of these, or anywhere."""
    if not points or draw(st.booleans()):
        return draw(POINTS)
    at = draw(st.sampled_from(points))
    latitude = max(-90.0, min(90.0, at.latitude + draw(st.floats(-2, 2))))
    return Point(latitude, (at.longitude + draw(st.floats(-3, 3)) + 180) % 360 - 180)


@st.composite
def meetings(draw: st.DrawFn) -> tuple[Territory, str, Point | None, Where]:
    own = draw(st.none() | POINTS)
    shapes = tuple(draw(st.lists(outlines(), max_size=2)))
    served = Territory(
        codes=draw(st.frozensets(CODES, max_size=4)),
        beginnings=tuple(draw(st.lists(CODES.map(lambda code: code[:4]), max_size=3))),
        reach=draw(st.none() | st.floats(0.1, 500).map(Distance)),
        regions=tuple(draw(st.lists(REGIONS, max_size=2))),
        shapes=shapes,
    )
    corners = [Point(y, (x + 180) % 360 - 180) for shape in shapes for x, y in shape.rings[0]]
    is_code = draw(st.booleans())
    known = [*served.codes, *served.beginnings] or ["60614"]
    parts = st.sampled_from(known).flatmap(lambda code: st.integers(1, len(code)).map(lambda end: code[:end]))
    one = st.one_of(CODES, parts, st.sampled_from(known))
    if not is_code:
        one = st.one_of(one, one.map(lambda code: f"{code[:3]}*"))
    country = draw(COUNTRIES)
    codes = draw(
        st.dictionaries(
            st.just(country) | COUNTRIES, st.lists(one, min_size=1, max_size=4).map(tuple), max_size=2
        )
    )
    where = Where(
        draw(st.none() | near([*corners, *([own] if own else [])])),
        draw(KILOMETRES),
        {"US" if at == "PR" else at: forms for at, forms in codes.items()},
        draw(st.dictionaries(st.tuples(COUNTRIES, REGIONS | st.just("")), st.booleans(), max_size=3)),
        is_code,
    )
    return served, country, own, where


@settings(max_examples=300)
@given(meetings())
def test_whatever_fits_is_found_by_a_key(meeting: tuple[Territory, str, Point | None, Where]) -> None:
    served, country, own, where = meeting
    if found := fits(served, country, own, where):
        assert keys(served, country, own) & keys_asked(where), found
