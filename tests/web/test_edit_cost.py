"""What saving an event asks the database: few statements, however much there is."""

import re

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events.calendars import store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft
from events.db import Database
from tests.conftest import NOW, Cast, counted

# What the statements do is asked of both engines where they are made.
pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

TO_SAVE, TO_SHOW = 24, 14


@pytest.fixture
def path(database: Database, publishing: Publishing, cast: Cast) -> str:
    draft = EventDraft.model_validate(
        {
            **{
                "title": "Repair evening",
                "language": "en",
                "state": "published",
                "topics": ("Repair", "Tools"),
            },
            **{"start": "2043-12-08T19:00", "end": "2043-12-08T21:00", "timezone": "America/Chicago"},
            "venue": {"name": "Town hall", "address_1": "1 Main Street"},
        }
    )
    with database.writing() as session:
        return f"/organize/events/{store.add(session, draft, [cast.alder], publishing, NOW).id}"


def filled(page: str, **changed: str) -> dict[str, str]:
    """The fields that an edit of the title needs, as the page shows them."""
    revision = re.search(r'name="revision" value="([^"]*)"', page)
    assert revision is not None
    kept = {"branch": "alder", "timezone": "America/Chicago", "venue_name": "Town hall"}
    when = {"start_date": "2043-12-08", "start_time": "19:00", "end_date": "2043-12-08", "end_time": "21:00"}
    more = {"venue_address": "1 Main Street", "attendance": "in-person", "language": "en", "interval": "1"}
    return {**kept, **when, **more, "revision": revision[1], **changed}


def test_an_edit_and_the_page_after_it_take_few_statements(
    app: Starlette, ana: TestClient, path: str
) -> None:
    for title in ("Repair café", "Repair workshop"):  # the first edit keeps what was found, too
        data = {**filled(ana.get(path).text, title=title), "topics": ["Repair", "Tools"]}
        with counted(app.state.branchline.database.engine) as saving:
            assert ana.post(path, data=data).status_code == 303
    assert len(saving) <= TO_SAVE, "\n".join(saving)
    with counted(app.state.branchline.database.engine) as showing:
        assert "Repair workshop" in ana.get(path).text
    assert len(showing) <= TO_SHOW, "\n".join(showing)


def test_a_place_and_topics_that_nobody_touched_are_neither_looked_up_nor_written(
    app: Starlette, ana: TestClient, path: str
) -> None:
    data = {**filled(ana.get(path).text, title="Repair café"), "topics": ["Repair", "Tools"]}
    with counted(app.state.branchline.database.engine) as saving:
        assert ana.post(path, data=data).status_code == 303
    assert not [each for each in saving if "branch.city_key IN" in each]
    assert not [each for each in saving if re.match("(INSERT INTO|DELETE FROM) event_(topic|branch)", each)]


def test_another_title_writes_the_titles_of_its_dates_and_no_date_anew(
    app: Starlette, ana: TestClient, path: str
) -> None:
    data = {**filled(ana.get(path).text, title="Repair café"), "topics": ["Repair", "Tools"]}
    with counted(app.state.branchline.database.engine) as saving:
        ana.post(path, data=data)
    [written] = [each for each in saving if re.match("(INSERT INTO|DELETE FROM|UPDATE) occurrence", each)]
    assert written.startswith("UPDATE occurrence SET title=?")
