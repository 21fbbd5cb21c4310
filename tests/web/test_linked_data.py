"""What pages tell search engines: only what schema.org knows, in either language, and nothing that escapes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session
from starlette.testclient import TestClient

from events.branches.models import Branch, LocationType
from events.calendars import derived, store
from events.calendars.content import Publishing
from events.calendars.drafts import OverrideDraft
from events.calendars.models import Event, Picture, PictureState, Topic
from events.config import Settings
from events.news import writing
from events.places.geo import Point
from tests.conftest import Engines, branch, browser, running
from tests.linked_data import SCRIPT, fault_of, missing_in, nodes_of
from tests.news.test_notices import write
from tests.web.test_event_lists import ONCE, THEN, tuesdays

BASE = "http://localhost:8000"
HOSTILE = "</script><script>alert(1)</script><!-- &amp; \u2028 {{ 7*7 }}"
HALL: dict[str, object] = {"name": "Hall 7", "address_1": "1 Long Street", "city": "Chicago"}
MEETING = "https://meet.example.org/x"
LISTS = ("/events", "/events?topic=repair", "/topics/repair", "/calendar/2043/11", "/branches", "/news")
KINDS: dict[str, dict[str, object]] = {
    "series": {},
    "single": {**ONCE},
    "online": {**ONCE, "attendance": "online", "online_url": MEETING},
    "online, address on request": {**ONCE, "attendance": "online"},
    "hybrid": {**ONCE, "attendance": "hybrid", "online_url": MEETING, "venue": HALL},
    "all day": {**ONCE, "all_day": True, "start": datetime(2043, 11, 24), "end": datetime(2043, 11, 26)},
    "free": {**ONCE, "access": ("free", "step-free"), "description": "Bring **anything**."},
    "monthly": {"rrule": "FREQ=MONTHLY;BYDAY=4TU;COUNT=5"},
    "hostile": ONCE
    | {"title": HOSTILE, "description": HOSTILE, "venue": {"name": HOSTILE, "address_1": HOSTILE}},
}


@dataclass(frozen=True)
class Kinds:
    """A site with a page of every kind."""

    client: TestClient
    events: dict[str, str]
    others: dict[str, str]
    seen: dict[str, str] = field(default_factory=dict)

    @property
    def paths(self) -> list[str]:
        return ["/", *LISTS, *self.others.values(), *self.events.values()]

    def page(self, path: str, language: str = "en") -> str:
        """Asked for once: nothing changes any more."""
        address = path if language == "en" else f"/{language}{path}".removesuffix("/")
        if address not in self.seen:
            answer = self.client.get(address)
            assert answer.status_code == 200, path
            self.seen[address] = answer.text
        return self.seen[address]

    def nodes(self, path: str, language: str = "en") -> list[dict[str, Any]]:
        return nodes_of(self.page(path, language))


@pytest.fixture(scope="module")
def kinds(engines: Engines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kinds]:
    folder = tmp_path_factory.mktemp("kinds")
    settings = Settings(
        folder, engines.fresh_url("sqlite"), "for tests only", name="Hazel Clubs", rate_limits=False
    )
    look(folder)
    with running(settings) as app:
        state = app.state.branchline
        with state.database.writing() as session:
            events, others = Maker(session, state.publishing).all()
        yield Kinds(browser(app), events, others)


def look(folder: Path) -> None:
    (folder / "site").mkdir()
    (folder / "site" / "logo.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    (folder / "site" / "site.toml").write_text(
        'logo = "logo.svg"\n[description]\nen = "Clubs."\nes = "Clubes."\n'
    )


@dataclass(frozen=True)
class Maker:
    session: Session
    publishing: Publishing

    def all(self) -> tuple[dict[str, str], dict[str, str]]:
        alder, *more = self.branches()
        events = {kind: self.event(alder, **values) for kind, values in KINDS.items()}
        events |= self.changed(alder) | {f"of {host.slug}": self.event(host, **ONCE) for host in more}
        others = {host.slug: f"/branches/{host.slug}" for host in (alder, *more)}
        return events, others | self.news(alder)

    def branches(self) -> list[Branch]:
        top = branch(
            "top", "Hazel", None, location_type=LocationType.VIRTUAL, url="https://hazel.example.org/"
        )
        self.session.add(top)
        self.session.flush()
        here = {"city": "Chicago", "state_province": "IL", "postal_code": "60614", "country": "US",
                "timezone": "America/Chicago"}  # fmt: skip
        spot, street = Point(41.9227, -87.6533), {"address_1": "2150 N Halsted St", "parent_id": top.id}
        alder = branch("alder", "Alder Club", spot, **here, **street, opening_hours="Tu,Th 16:00-20:00; Sa 10:00-15:00",
                       languages="en,es", phone="+1 312 555 0100", description="Come **in**.")  # fmt: skip
        refuge = branch("refuge", "Refuge", spot, **here, **street, confidential=True)
        hostile = branch("hostile", HOSTILE, spot, **here, address_1=HOSTILE, description=HOSTILE)
        self.session.add_all([alder, refuge, hostile])
        self.session.flush()
        return [alder, top, refuge, hostile]

    def event(self, host: Branch, **values: object) -> str:
        event = store.add(self.session, tuesdays(**values), [host], self.publishing, THEN)
        return f"/events/{event.id}"

    def changed(self, alder: Branch) -> dict[str, str]:
        """What is not as it was to be."""
        paths = {kind: self.event(alder, **ONCE) for kind in ("cancelled", "postponed", "moved")}
        rows = {
            kind: self.session.get_one(Event, int(path.rpartition("/")[2])) for kind, path in paths.items()
        }
        rows["cancelled"].cancel("Snow.", THEN)
        rows["postponed"].postpone("Snow.", THEN)
        for row in rows.values():
            derived.save(self.session, row, self.publishing, THEN + timedelta(hours=1))
        later = tuesdays(**ONCE, start=datetime(2043, 11, 26, 19), end=datetime(2043, 11, 26, 21))
        store.revise(self.session, rows["moved"], later, [alder], self.publishing, THEN)
        series = self.event(alder)
        row = self.session.get_one(Event, int(series.rpartition("/")[2]))
        date = OverrideDraft(
            original_start=datetime(2043, 12, 1, 19), start=datetime(2043, 12, 2, 18), title=HOSTILE
        )
        store.change_date(self.session, row, date, self.publishing, THEN)
        return paths | {"changed date": f"{series}?date=2043-12-01", "series with a changed date": series}

    def news(self, alder: Branch) -> dict[str, str]:
        topic, at = Topic(slug="roofs", name=HOSTILE), datetime.now(UTC) - timedelta(hours=1)
        picture = Picture(id="a-picture", state=PictureState.READY, large=b"large", small=b"small", width=800,
                          height=400, created_at=at)  # fmt: skip
        self.session.add_all([topic, picture])
        self.session.flush()
        notice = write(self.session, title=HOSTILE, text=HOSTILE, whose=alder, at=at, topic=topic)
        writing.put_picture(notice, "a-picture", "A roof.")
        plain = write(self.session, whose=None, at=at)
        return {"news": f"/news/{notice.slug}", "plain news": f"/news/{plain.slug}"}


# ---------------------------------------------------------------- no fault anywhere


@pytest.mark.parametrize("language", ["en", "es"])
def test_every_public_page_tells_only_what_schema_org_knows(kinds: Kinds, language: str) -> None:
    faults = [
        f"{path}: {fault}" for path in kinds.paths for node in kinds.nodes(path, language)
        if (fault := fault_of(node))
    ]  # fmt: skip
    assert not faults, "\n".join(faults)


def test_every_event_has_what_a_search_engine_asks_of_one(kinds: Kinds) -> None:
    for kind, path in kinds.events.items():
        [event] = [node for node in kinds.nodes(path) if node["@type"] == "Event"]
        # A branch that has no address to be visited at has none to tell.
        allowed = {"location.address"} if kind == "of top" else set()
        assert set(missing_in(event)) <= allowed, kind


def test_every_page_says_where_it_stands_below_the_first(kinds: Kinds) -> None:
    for language, home in (("en", f"{BASE}/"), ("es", f"{BASE}/es")):
        for path in kinds.paths[1:]:
            [trail] = [node for node in kinds.nodes(path, language) if node["@type"] == "BreadcrumbList"]
            steps = [(each["position"], each["item"]["@id"]) for each in trail["itemListElement"]]
            assert steps[0] == (1, home) and [number for number, _ in steps] == list(range(1, len(steps) + 1))
            here = path if "?date=" in path or path.startswith("/events/") else path.partition("?")[0]
            assert steps[-1][1].startswith(home.rstrip("/") + here), path
            assert len(steps) >= 2


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"nmae": "Tool night"}, "Event has no nmae"),
        ({"startDate": "next Tuesday"}, "startDate cannot be"),
        ({"eventStatus": "https://schema.org/EventOff"}, "eventStatus cannot be"),
        ({"location": {"@type": "Person", "name": "Ana"}}, "Person is none of Place"),
        ({"location": {"@type": "Place", "geo": {"@type": "GeoCoordinates", "lat": 1.0}}}, "has no lat"),
        ({"url": "events/7"}, "url cannot be"),
        ({"isAccessibleForFree": "yes"}, "isAccessibleForFree cannot be"),
        ({"organizer": {"@type": "Organisation", "name": "Alder"}}, "Organisation is no type"),
        ({"name": ""}, "name cannot be"),
        ({"attendees": {"@type": "Person", "name": "Ana"}}, "Event has no attendees"),
    ],
)
def test_a_fault_would_be_found(kinds: Kinds, wrong: dict[str, object], said: str) -> None:
    event, _ = kinds.nodes(kinds.events["single"])
    assert fault_of(event) is None
    assert said in (fault_of(event | wrong) or "")


def test_what_is_missing_would_be_found(kinds: Kinds) -> None:
    event, _ = kinds.nodes(kinds.events["single"])
    for name in ("name", "startDate", "location"):
        assert list(missing_in({key: value for key, value in event.items() if key != name})) == [name]
    assert list(missing_in(event | {"location": {"@type": "VirtualLocation"}})) == ["location.url"]


def test_nothing_that_anybody_typed_ends_the_script(kinds: Kinds) -> None:
    """Wherever a hostile name stands: on its own page and on those of others."""
    met = 0
    for path in kinds.paths:
        page = kinds.page(path)
        assert "<script>alert" not in page, path
        [text] = SCRIPT.findall(page)
        assert not set("<>&\u2028\u2029") & set(text)
        met += "alert(1)" in json.dumps(json.loads(text))
    assert met >= 5


# ---------------------------------------------------------------- what is said


def test_the_first_page_tells_who_this_is_and_how_to_search_it(kinds: Kinds) -> None:
    organisation, site = kinds.nodes("/", "es")
    assert (organisation["name"], organisation["description"]) == ("Hazel Clubs", "Clubes.")
    assert organisation["url"] == f"{BASE}/" and organisation["logo"].startswith(f"{BASE}/static/site/logo.")
    assert site["publisher"] == {"@id": organisation["@id"]}
    search = site["potentialAction"]
    assert search["query-input"] == "required name=place"
    found = kinds.client.get(search["target"]["urlTemplate"].replace("{place}", "41.9,-87.6"))
    assert found.status_code == 200 and "Alder Club" in found.text and 'lang="es"' in found.text


def test_an_event_stands_below_the_branch_that_holds_it(kinds: Kinds) -> None:
    _, trail = kinds.nodes(kinds.events["single"])
    assert [step["name"] for step in trail["itemListElement"]] == ["Hazel Clubs", "Alder Club", "Repair day"]


def test_a_branch_stands_below_its_parent_and_tells_when_it_is_open(kinds: Kinds) -> None:
    about, trail = kinds.nodes("/branches/alder")
    assert [step["name"] for step in trail["itemListElement"]] == [
        "Hazel Clubs",
        "Branches",
        "Hazel",
        "Alder Club",
    ]
    assert (about["@type"], about["parentOrganization"]["name"]) == ("LocalBusiness", "Hazel")
    days = [each["dayOfWeek"] for each in about["openingHoursSpecification"]]
    assert days == [
        ["https://schema.org/Tuesday", "https://schema.org/Thursday"],
        ["https://schema.org/Saturday"],
    ]


def test_what_is_online_at_an_address_on_request_begins_at_its_page(kinds: Kinds) -> None:
    path = kinds.events["online, address on request"]
    event, _ = kinds.nodes(path)
    assert event["location"] == {"@type": "VirtualLocation", "url": BASE + path}


def test_a_month_and_a_topic_stand_below_all_events(kinds: Kinds) -> None:
    for path, names in {
        "/calendar/2043/11": ["noviembre de 2043"],
        "/topics/repair": ["Repair"],
        "/events": [],
    }.items():
        [trail] = kinds.nodes(path, "es")
        assert [step["name"] for step in trail["itemListElement"]] == ["Hazel Clubs", "Eventos", *names]
