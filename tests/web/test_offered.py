"""Topics that forms offer: the most used, for one calendar may bring thousands."""

import re
from html import unescape

import pytest
from sqlmodel import col, select
from starlette.testclient import TestClient

from events.calendars import store
from events.calendars.content import Publishing
from events.calendars.models import Event, EventTopic, Topic
from events.calendars.offered import MOST_TOPICS, topics_in_use, topics_offered
from events.db import Database
from events.news.models import Notice
from tests.conftest import NOW, Cast
from tests.web.test_event_lists import tuesdays
from tests.web.test_news_desk import published

NAMES = [f"Topic {number:03}" for number in range(MOST_TOPICS + 1)]
RARE, COMMON = NAMES[0], NAMES[1:]  # by its name the rare one comes first
MORE, MÁS = "These are the topics most used.", "Estos son los temas más usados."


@pytest.fixture
def many(database: Database, cast: Cast, publishing: Publishing) -> None:
    """All but one of the topics are those of two events."""
    with database.writing() as session:
        for title, names in (("Once", [RARE]), ("First", []), ("Second", [])):
            store.add(session, tuesdays(title=title, topics=names), [cast.alder], publishing, NOW)
        found = {name: Topic(slug=name.lower().replace(" ", "-"), name=name) for name in COMMON}
        session.add_all(found.values())
        session.flush()
        for event in session.exec(select(Event).where(col(Event.title) != "Once")):
            session.add_all(
                EventTopic(event_id=event.id or 0, topic_id=topic.id or 0) for topic in found.values()
            )


def offered(page: str, name: str = "topic") -> list[str]:
    """What a form offers, in its order; a page may have two forms that offer the same."""
    slugs = re.findall(rf'<input type="checkbox" id="[\w-]+" name="{name}" value="([^"]*)"', page)
    return list(dict.fromkeys(slugs))


def test_the_most_used_are_offered_in_the_order_of_their_names(database: Database, many: None) -> None:
    with database.reading() as session:
        assert [topic.name for topic in topics_in_use(session)] == NAMES
        names, more = topics_offered(session)
    assert ([topic.name for topic in names], more) == (COMMON, True)


def test_all_are_offered_while_they_are_few(database: Database, cast: Cast, publishing: Publishing) -> None:
    with database.writing() as session:
        store.add(session, tuesdays(topics=["Repair", "Drums"]), [cast.alder], publishing, NOW)
        names, more = topics_offered(session)
    assert ([topic.name for topic in names], more) == (["Drums", "Repair"], False)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("path", ["/events", "/subscribe", "/interests", "/embed"])
def test_a_form_says_that_there_are_others_and_keeps_the_one_that_was_chosen(
    ben: TestClient, many: None, path: str
) -> None:
    page = unescape(ben.get(path).text)
    assert len(offered(page)) == MOST_TOPICS and "topic-000" not in offered(page) and MORE in page
    assert MÁS in unescape(ben.get(f"/es{path}").text)
    chosen = ben.get(f"{path}?topic=topic-000").text
    assert offered(chosen)[0] == "topic-000" and len(offered(chosen)) == MOST_TOPICS + 1
    assert re.search(r'value="topic-000" checked', chosen)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_whoever_posts_types_the_name_of_any_other(
    ana: TestClient, database: Database, cast: Cast, many: None
) -> None:
    page = ana.get("/organize/events/new").text
    assert len(offered(page, "topics")) == MOST_TOPICS and "Type any other below." in page
    assert "Escriba cualquier otro abajo." in ana.get("/es/organize/events/new").text


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_topic_that_no_public_event_has_stays_with_its_draft(
    ana: TestClient, database: Database, cast: Cast, publishing: Publishing
) -> None:
    with database.writing() as session:
        draft = store.add(
            session, tuesdays(state="draft", topics=["Beekeeping"]), [cast.alder], publishing, NOW
        )
        number = draft.id
    page = ana.get(f"/organize/events/{number}").text
    assert re.search(r'name="topics" value="Beekeeping" checked', page)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_news_of_any_topic_is_written_by_its_name(ana: TestClient, database: Database, many: None) -> None:
    page = ana.get("/organize/news/new").text
    assert '<select class="input input--m" id="topic"' not in page
    assert "The name of a topic that events have." in page
    published(ana, topic=RARE)
    with database.reading() as session:
        notice = session.exec(select(Notice)).one()
        assert session.get_one(Topic, notice.topic_id or 0).name == RARE
