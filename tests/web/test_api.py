"""The reading half of /api/v1: its shapes, its pages, what it refuses, and that docs/api.md is true."""

import json
import re
import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events.branches import paging as branch_paging
from events.branches.models import FormerSlug, Status
from events.calendars import derived, paging, store
from events.calendars.content import Publishing
from events.calendars.drafts import OverrideDraft
from events.calendars.models import Event
from events.config import Settings
from events.db import Database
from events.places.geo import Point
from tests.calendars.test_feeds import weekly
from tests.conftest import NOW, Cast, branch, counted
from tests.web.test_event_lists import ONCE, THEN, added

ROOT = Path(__file__).parents[2]
INTERPRETATION = {"kind", "label", "country", "latitude", "longitude", "precision_km", "score"}


@pytest.fixture
def tool_night(database: Database, cast: Cast, publishing: Publishing) -> int:
    """Every Tuesday at 19:00 from 24 November 2043, in Chicago: to come whenever the tests run."""
    return added(database, publishing, cast.alder)


@pytest.fixture
def gazetteer(settings: Settings, small_gazetteer: Path) -> None:
    shutil.copy(small_gazetteer, settings.gazetteer)


def answer(client: TestClient, path: str) -> Any:
    found = client.get(path)
    assert found.status_code == 200, found.text
    assert found.headers["content-type"] == "application/json"
    assert "set-cookie" not in found.headers
    return found.json()


def items(client: TestClient, path: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = answer(client, path)["items"]
    return found


def names(client: TestClient, path: str) -> list[str]:
    return [item.get("slug") or item["title"] for item in items(client, path)]


# ---------------------------------------------------------------- branches


def test_branches_come_by_slug_as_they_are_told_elsewhere(ben: TestClient, cast: Cast) -> None:
    listed = answer(ben, "/api/v1/branches")
    assert listed == {"items": answer(ben, "/branches.json")["items"], "next": None}
    alder, birch = listed["items"]
    assert alder == answer(ben, "/api/v1/branches/alder") == answer(ben, "/branches/alder.json")
    assert birch["page_url"] == "http://localhost:8000/branches/birch"
    assert answer(ben, "/es/api/v1/branches/birch")["page_url"] == "http://localhost:8000/es/branches/birch"


def test_branches_can_be_narrowed_down(database: Database, ben: TestClient, cast: Cast) -> None:
    with database.writing() as session:
        oak = branch(
            "oak", "Oak", None, country="PR", languages="es-PR,en", accessibility="step-free,parking"
        )
        session.add_all([oak, branch("gone", "Gone", None, country="US", status=Status.CLOSED)])
    for query, found in {
        "": ["alder", "birch", "oak"],
        "country=us": ["alder"],
        "country=PR": ["oak"],
        "country=UK": [],
        "language=es": ["birch", "oak"],
        "language=en": ["alder", "oak"],
        "language=es-PR": ["oak"],
        "language=e": [],
        "access=parking&access=step-free": ["oak"],
        "access=parking&access=childcare": [],
        "access=free": [],
        "country=ES&language=es&from=nonsense&no_such=thing": ["birch"],
    }.items():
        assert names(ben, f"/api/v1/branches?{query}") == found, query


def test_branches_come_in_pages_until_there_is_no_next(
    database: Database, ben: TestClient, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(branch_paging, "PAGE", 2)
    with database.writing() as session:
        session.add_all(branch(f"x{number}", "X", None, country="US", languages="en") for number in range(4))
    first = answer(ben, "/es/api/v1/branches?country=us&language=en&no_such=thing")
    assert first["next"] == "http://localhost:8000/es/api/v1/branches?country=us&language=en&page=2"
    second = answer(ben, first["next"])
    third = answer(ben, second["next"])
    found = [item["slug"] for page in (first, second, third) for item in page["items"]]
    assert found == ["alder", "x0", "x1", "x2", "x3"] and third["next"] is None
    assert ben.get("/api/v1/branches?country=us&page=4").status_code == 404


def test_one_branch_answers_at_its_slug_and_from_its_former_one(
    database: Database, ben: TestClient, cast: Cast
) -> None:
    with database.writing() as session:
        session.add(FormerSlug(slug="beech", branch_id=cast.alder.id or 0))
    old = ben.get("/es/api/v1/branches/beech")
    assert (old.status_code, old.headers["location"]) == (301, "/es/api/v1/branches/alder")
    assert ben.get("/api/v1/branches/nowhere").status_code == 404


def test_a_confidential_branch_is_told_by_its_city_only(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    with database.writing() as session:
        alder = session.merge(cast.alder)
        alder.confidential, alder.updated_at = True, THEN + timedelta(days=1)
        alder.stand_at(alder.point)
        session.flush()
        derived.refresh(session, publishing, THEN + timedelta(days=1))
    for path in (
        "/api/v1/branches",
        "/api/v1/branches/alder",
        "/api/v1/branches/near?near=40,-88",
        "/api/v1/events",
        f"/api/v1/events/{tool_night}",
        "/api/v1/occurrences?to=2043-12-31",
        "/branches.geojson",
    ):
        text = ben.get(path).text
        assert "Chicago" in text, path
        secrets = ("Halsted", "60614", "41.9", "87.6", "alder@example.org")
        assert [secret for secret in secrets if secret in text] == [], path


# ---------------------------------------------------------------- places


def test_a_place_is_told_in_every_way_it_can_be_read(ben: TestClient, cast: Cast, gazetteer: None) -> None:
    found = items(ben, "/api/v1/places?q=60614")
    assert all(item.keys() == INTERPRETATION for item in found)
    assert [item["country"] for item in found] == ["US", "DE", "PL"]
    assert found == answer(ben, "/api/v1/branches/near?near=60614")["interpretations"]
    assert [item["country"] for item in items(ben, "/api/v1/places?q=60614&country=de")] == ["DE", "US", "PL"]
    assert items(ben, "/es/api/v1/places?q=60614")[0]["label"].endswith("Estados Unidos")


def test_the_name_of_a_branch_and_coordinates_are_places_too(
    ben: TestClient, cast: Cast, gazetteer: None
) -> None:
    [named] = items(ben, "/api/v1/places?q=alder")
    assert (named["kind"], named["label"], named["latitude"]) == ("branch", "Alder Club", 41.9227)
    [point] = items(ben, "/api/v1/places?q=0,0")
    assert (point["kind"], point["latitude"], point["longitude"], point["country"]) == (
        "coordinates",
        0,
        0,
        None,
    )


def test_an_unknown_place_is_an_answer_with_a_sentence(ben: TestClient, cast: Cast, gazetteer: None) -> None:
    found = answer(ben, "/api/v1/places?q=nowhere-at-all")
    assert found["items"] == [] and "nowhere-at-all" in found["detail"] and "elsewhere" not in found
    spanish = answer(ben, "/es/api/v1/places?q=nowhere-at-all")
    assert "nowhere-at-all" in spanish["detail"] and spanish["detail"] != found["detail"]
    outside = answer(ben, "/api/v1/places?q=60614&country=ES")
    assert outside["items"] == [] and {item["country"] for item in outside["elsewhere"]} == {"US", "DE", "PL"}


# ---------------------------------------------------------------- events and dates


def test_a_series_is_one_event_and_an_item_for_each_date(ben: TestClient, tool_night: int) -> None:
    [event] = items(ben, "/api/v1/events")
    assert event["rrule"] == "FREQ=WEEKLY;BYDAY=TU" and event["start"] == "2043-11-24T19:00:00-06:00"
    assert (event["state"], event["status"]) == ("published", "confirmed")
    dates = items(ben, event["occurrences_url"])
    assert event["dates_to_come"] == len(dates) == 57 and event["next_start"] == dates[0]["start"]
    assert [date["start"] for date in dates[:2]] == ["2043-11-24T19:00:00-06:00", "2043-12-01T19:00:00-06:00"]
    assert [date["original_start"] for date in dates] == [date["start"] for date in dates]
    assert {date["uid"] for date in dates} == {event["uid"]} and {date["id"] for date in dates} == {
        tool_night
    }
    assert event == answer(ben, f"/api/v1/events/{tool_night}")


def test_what_the_api_and_the_feeds_tell_of_a_date_is_the_same(ben: TestClient, tool_night: int) -> None:
    [entry] = ben.get("/events.json").json()["items"]
    date = items(ben, "/api/v1/occurrences")[0]
    assert entry["_branchline"] == date
    event = answer(ben, f"/api/v1/events/{tool_night}")
    shared = date.keys() & event.keys() - {"url"}
    assert {name: date[name] for name in shared} == {name: event[name] for name in shared}
    assert date.keys() - event.keys() == {"original_start"}


def test_a_date_that_is_moved_or_cancelled_says_so_and_its_series_goes_on(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int
) -> None:
    moved = OverrideDraft(original_start=datetime(2043, 11, 24, 19), start=datetime(2043, 11, 26, 18))
    off = OverrideDraft(
        original_start=datetime(2043, 12, 1, 19), cancelled=True, reason="The hall is flooded."
    )
    with database.writing() as session:
        for draft in (moved, off):
            store.change_date(session, session.get_one(Event, tool_night), draft, publishing, THEN)
    first, second, third = items(ben, "/api/v1/occurrences?to=2043-12-08")
    assert (first["start"], first["moved_from"]) == ("2043-11-26T18:00:00-06:00", "2043-11-24T19:00:00-06:00")
    assert first["original_start"] == first["moved_from"] and first["url"].endswith("?date=2043-11-24")
    assert (second["status"], second["reason"]) == ("cancelled", "The hall is flooded.")
    assert (third["status"], third["reason"], third["moved_from"]) == ("confirmed", "", None)
    event = answer(ben, f"/api/v1/events/{tool_night}")
    assert (event["status"], event["dates_to_come"]) == ("confirmed", 56)
    assert event["next_start"] == "2043-11-26T18:00:00-06:00"


def test_what_is_off_as_a_whole_says_so_and_has_nothing_to_come(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        event.postpone("Too few people.", THEN)
        derived.save(session, event, publishing, THEN + timedelta(hours=1))
    [found] = items(ben, "/api/v1/events")
    assert (found["state"], found["status"], found["reason"]) == ("postponed", "postponed", "Too few people.")
    assert (found["dates_to_come"], found["next_start"]) == (0, None)
    assert found["updated"] == "2043-11-23T13:00:00Z"
    assert {date["status"] for date in items(ben, "/api/v1/occurrences")} == {"postponed"}


def test_all_day_events_have_dates_and_end_on_their_last_day(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    number = added(database, publishing, cast.alder, **ONCE, all_day=True, start=datetime(2043, 12, 4),
                   end=datetime(2043, 12, 7))  # fmt: skip
    [date] = items(ben, "/api/v1/occurrences")
    assert (date["start"], date["end"], date["original_start"]) == ("2043-12-04", "2043-12-06", "2043-12-04")
    event = answer(ben, f"/api/v1/events/{number}")
    assert (event["start"], event["next_start"], event["rrule"]) == ("2043-12-04", "2043-12-04", "")


def test_a_rule_is_told_as_calendars_have_it(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    added(database, publishing, cast.alder, rrule="FREQ=WEEKLY;UNTIL=20431215T190000;BYDAY=TU",
          exdates=("2043-12-01T19:00",))  # fmt: skip
    [event] = items(ben, "/api/v1/events")
    assert event["rrule"] == "FREQ=WEEKLY;UNTIL=20431216T010000Z;BYDAY=TU"
    assert (event["exdates"], event["dates_to_come"]) == (["2043-12-01T19:00:00-06:00"], 3)


def test_the_filters_are_those_of_the_page(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    added(database, publishing, cast.birch, title="Madrid chat", timezone="Europe/Madrid", topics=("Talk",),
          language="es", access=("free",))  # fmt: skip
    for query, title in {
        "topic=talk": "Madrid chat",
        "branch=alder": "Tool night",
        "q=madrid": "Madrid chat",
        "language=es": "Madrid chat",
        "access=free": "Madrid chat",
        "near=41.92271,-87.65337&within=7mi": "Tool night",
        "near=alder+club": "Tool night",
        "topic=repair&no_such=thing": "Tool night",
    }.items():
        assert names(ben, f"/api/v1/events?{query}") == [title], query
        assert set(names(ben, f"/api/v1/occurrences?{query}")) == {title}, query
    assert names(ben, "/api/v1/events?online=yes") == []
    dates = items(ben, "/api/v1/occurrences?from=2043-12-01&to=2043-12-01")
    assert [date["start"] for date in dates] == ["2043-12-01T19:00:00+01:00", "2043-12-01T19:00:00-06:00"]


def test_what_is_over_is_told_to_those_who_ask_since_when(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    start = datetime(2021, 5, 4, 19)
    past = added(database, publishing, cast.alder, **ONCE, start=start, end=start + timedelta(hours=2))
    for path in ("/api/v1/events", "/api/v1/occurrences"):
        assert past not in [item["id"] for item in items(ben, path)]
        first = items(ben, f"{path}?from=2021-05-04")[0]
        assert (first["id"], first["start"]) == (past, "2021-05-04T19:00:00-05:00")
    event = answer(ben, f"/api/v1/events/{past}")
    assert (event["dates_to_come"], event["next_start"]) == (0, None)


def test_the_answer_near_a_place_says_how_the_place_was_read(
    ben: TestClient, tool_night: int, gazetteer: None
) -> None:
    for path in ("/api/v1/events", "/api/v1/occurrences"):
        found = answer(ben, f"{path}?near=60614")
        assert [place["country"] for place in found["interpretations"]] == ["US", "DE", "PL"] and found[
            "items"
        ]
        assert "interpretations" not in answer(ben, path)


@pytest.mark.parametrize("near", ["nowhere-at-all", "09001", "60614&country=ES"])
def test_a_place_that_is_unknown_or_not_on_earth_never_turns_into_everything(
    ben: TestClient, tool_night: int, gazetteer: None, near: str
) -> None:
    for path in ("/api/v1/events", "/api/v1/occurrences"):
        found = answer(ben, f"{path}?near={near}")
        assert (found["items"], found["next"]) == ([], None)
        assert found["detail"]


def test_events_and_dates_come_in_pages_in_a_steady_order(
    database: Database, ben: TestClient, publishing: Publishing, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "PAGE", 2)
    for day in (3, 1, 2, 1, 2):
        start = datetime(2043, 12, day, 19)
        added(database, publishing, cast.alder, **ONCE, start=start, end=start + timedelta(hours=1))
    for path in ("/api/v1/events", "/api/v1/occurrences"):
        found, address = [], f"http://localhost:8000/es{path}?topic=repair&branch=alder&page=1&no_such=thing"
        while address:
            page = answer(ben, address.removeprefix("http://localhost:8000"))
            found += [item["id"] for item in page["items"]]
            address = page["next"]
            assert address is None or address.startswith(
                f"http://localhost:8000/es{path}?branch=alder&topic=repair&page="
            )
        assert found == [2, 4, 3, 5, 1], path
        assert ben.get(f"{path}?page=4").status_code == 404


def test_a_hundred_items_take_as_many_queries_as_one(
    database: Database, app: Starlette, ben: TestClient, publishing: Publishing, cast: Cast
) -> None:
    served: Database = app.state.branchline.database
    paths = ("/api/v1/events", "/api/v1/occurrences?to=2043-11-25", "/api/v1/branches", "/sitemap.xml")
    taken: dict[int, dict[str, int]] = {1: {}, 60: {}}
    for total, counts in taken.items():
        with database.writing() as session:
            for number in range(len(counts), total):
                host = branch(f"host-{total}-{number}", "Host", Point(41.9, -87.6), parent_id=cast.alder.id)
                session.add(host)
                session.flush()
                store.add(session, weekly(start=datetime(2043, 11, 24, 19), end=datetime(2043, 11, 24, 21),
                                          topics=(f"Topic {number}",)), [host], publishing, THEN)  # fmt: skip
        for path in paths:
            with counted(served.engine) as statements:
                ben.get(path)
            counts[path] = len(statements)
    assert taken[1] == taken[60] and min(taken[1].values()) > 1, taken
    assert len(items(ben, "/api/v1/events")) > 60


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/api/v1/branches/near?near=91,0", 422, "latitude"),
        ("/api/v1/branches?page=0", 422, "page number"),
        ("/api/v1/branches?country=USA", 422, "two letters"),
        ("/api/v1/branches?language=%3F", 422, "language"),
        ("/api/v1/branches?access=wings", 422, "parking"),
        ("/api/v1/branches?page=2", 404, "page 2"),
        ("/api/v1/branches/nowhere", 404, "branch"),
        ("/api/v1/places", 422, "q="),
        ("/api/v1/places?q=+", 422, "q="),
        ("/api/v1/places?q=91,0", 422, "latitude"),
        ("/api/v1/places?q=x&country=USA", 422, "two letters"),
        ("/api/v1/places?q=%FF", 422, "UTF-8"),
        *(
            (f"/api/v1/{path}?{query}", status, sentence)
            for path in ("events", "occurrences")
            for query, status, sentence in (
                ("near=91,0", 422, "latitude"),
                ("near=nan,0", 422, "latitude"),
                ("near=0,0&within=abc", 422, "distance"),
                ("near=0,0&within=0", 422, "distance"),
                ("from=2026-12-31&to=2026-01-01", 422, "swap"),
                ("from=tomorrow", 422, "year-month-day"),
                ("online=maybe", 422, "yes or no"),
                ("access=wings", 422, "step-free"),
                ("page=0", 422, "page number"),
                ("page=x", 422, "page number"),
                ("page=2", 404, "page 2"),
                ("topic=nope", 404, "nope"),
                ("branch=nope", 404, "nope"),
                ("q=%FF", 422, "UTF-8"),
            )
        ),
        ("/api/v1/occurrences?event=x", 422, "number of an event"),
        ("/api/v1/occurrences?event=999", 404, "event"),
        ("/api/v1/events/999", 404, "event"),
        ("/api/v1/events/x", 404, "nothing at this address"),
        ("/api/v1/nothing", 404, "nothing"),
    ],
)
def test_what_is_wrong_is_a_problem_in_a_sentence(
    ben: TestClient, cast: Cast, path: str, status: int, sentence: str
) -> None:
    found = ben.get(path)
    assert found.status_code == found.json()["status"] == status, found.text
    assert found.headers["content-type"] == "application/problem+json"
    assert sentence in found.json()["detail"]


def test_what_was_removed_is_gone_and_a_draft_was_never_there(
    database: Database, ben: TestClient, publishing: Publishing, tool_night: int, cast: Cast
) -> None:
    draft = added(database, publishing, cast.alder, title="Not yet", state="draft")
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        event.delete(THEN)
        derived.save(session, event, publishing, THEN)
    for path in ("/api/v1/events/{}", "/api/v1/occurrences?event={}"):
        assert ben.get(path.format(tool_night)).status_code == 410
        assert ben.get(path.format(draft)).status_code == 404
    assert items(ben, "/api/v1/events") == items(ben, "/api/v1/occurrences") == []


# ---------------------------------------------------------------- docs/api.md


DOCS = (ROOT / "docs/api.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^    GET (\S+)\n\n```json\n(.*?)\n```$", DOCS, re.MULTILINE | re.DOTALL)
OF_THE_DAY = {"dates_to_come", "next_start"}  # depend on when one asks


IN_SPANISH = {"es": {"title": "Noche de herramientas"}}


@pytest.fixture
def documented(database: Database, cast: Cast, publishing: Publishing, gazetteer: None) -> None:
    """What the examples speak of."""
    moved = OverrideDraft(original_start=datetime(2026, 12, 1, 19), start=datetime(2026, 12, 3, 18))
    off = OverrideDraft(
        original_start=datetime(2026, 12, 8, 19), cancelled=True, reason="The hall is flooded."
    )
    with database.writing() as session:
        uid = "0f8fad5bd9cb469fa16570867728950e"
        event = store.add(session, weekly(translations=IN_SPANISH), [cast.alder], publishing, NOW, uid=uid)
        for draft in (moved, off):
            store.change_date(session, event, draft, publishing, NOW)


def untrue(said: Any, found: Any, where: str = "") -> list[str]:
    """Where the documentation says something else than the answer; it may say less."""
    match said, found:
        case dict(), dict():
            names = [name for name in said if name not in OF_THE_DAY or name not in found]
            return [
                fault for name in names for fault in untrue(said[name], found.get(name), f"{where}.{name}")
            ]
        case list(), list() if len(said) == len(found):
            pairs = enumerate(zip(said, found, strict=True))
            return [fault for at, (one, other) in pairs for fault in untrue(one, other, f"{where}[{at}]")]
    return [] if said == found else [f"{where}: {found!r}, not {said!r}"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("path", "text"), EXAMPLES, ids=[path for path, _ in EXAMPLES])
def test_the_documentation_is_true(ben: TestClient, documented: None, path: str, text: str) -> None:
    assert untrue(json.loads(text), ben.get(path).json()) == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_documentation_names_every_address_field_and_filter(
    app: Starlette, ben: TestClient, documented: None
) -> None:
    addresses = {getattr(route, "path", "") for route in app.routes}
    assert {path for path in addresses if path.startswith("/api/")} == set(
        re.findall(r"^\| `(/api/[^`]+)` \|", DOCS, re.MULTILINE)
    )
    [(_, event)] = [example for example in EXAMPLES if example[0].startswith("/api/v1/events?topic")]
    assert json.loads(event)["items"][0].keys() == items(ben, "/api/v1/events")[0].keys()
    assert len(EXAMPLES) == 6
