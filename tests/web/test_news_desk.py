"""Ana writes news for Alder; Dee for the whole organisation; Cy organizes elsewhere and must be refused."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from html import unescape

import pytest
import sqlalchemy as sa
from sqlmodel import Session, col, select
from starlette.testclient import TestClient

from events.calendars.content import Publishing
from events.calendars.models import Picture, Topic
from events.config import Settings
from events.db import Database
from events.news import writing
from events.news.models import Notice
from events.people import permissions
from events.people.models import Role
from events.worker import Worker
from tests.conftest import Cast
from tests.news.test_notices import DAY, write
from tests.web.test_pictures import ALT, PHOTO, send

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

KEY = "a-key-of-the-form-itself"
ROOF = {
    "branch": "alder", "title": "A new roof", "text": "It is **dry** now.", "language": "en", "key": KEY
}  # fmt: skip


def written(who: TestClient, **more: str) -> str:
    """The address of the notice."""
    answer = who.post("/organize/news/new", data={**ROOF, **more})
    assert answer.status_code == 303, faults(answer.text)
    assert answer.headers["location"].endswith("?done=draft")
    return answer.headers["location"].partition("?")[0]


def published(who: TestClient, **more: str) -> str:
    address = written(who, **more)
    assert who.post(f"{address}/publication").status_code == 303
    return address


def changed(who: TestClient, address: str, **more: str) -> str:
    """The page that follows."""
    answer = who.post(address, data={**ROOF, "revision": revision(who, address), **more})
    assert answer.status_code == 303, faults(answer.text)
    return who.get(answer.headers["location"]).text


def revision(who: TestClient, address: str) -> str:
    found = re.search(r'name="revision" value="(\d+)"', who.get(address).text)
    assert found
    return found[1]


def faults(page: str) -> dict[str, str]:
    found = re.findall(r'<p class="error" id="(\w+)-error">.*?⚠</span>\s*(.*?)</p>', page)
    return {name: unescape(said) for name, said in found}


def all_of(database: Database) -> list[Notice]:
    with database.reading() as session:
        return list(session.exec(select(Notice).order_by(col(Notice.id))).all())


def distrust(database: Database, cast: Cast) -> None:
    """What Ana posts needs approval from now on."""
    with database.writing() as session:
        permissions.invite(session, cast.ana, cast.alder, Role.ORGANIZER, trusted=False)


# --- Writing and publishing


def test_ana_writes_a_draft_looks_at_it_and_publishes_it(
    ana: TestClient, ben: TestClient, database: Database
) -> None:
    assert "Nothing is written yet" in ana.get("/organize/news").text
    address = written(ana)
    page = ana.get(f"{address}?done=draft").text
    assert "Kept as a draft" in page and "This is how it looks" in page
    assert "It is <strong>dry</strong> now." in page
    assert ben.get("/news/a-new-roof").status_code == 404
    answer = ana.post(f"{address}/publication")
    assert answer.headers["location"] == f"{address}?done=published"
    assert 'href="/news/a-new-roof"' in ana.get(address).text
    assert "It is <strong>dry</strong> now." in ben.get("/news/a-new-roof").text
    [notice] = all_of(database)
    assert (notice.timezone, notice.shown_until, notice.is_top) == ("America/Chicago", None, False)


def test_a_form_sent_twice_makes_one_and_a_button_pressed_twice_publishes_once(
    ana: TestClient, database: Database
) -> None:
    address = published(ana)
    assert written(ana) == address
    first = all_of(database)
    assert ana.post(f"{address}/publication").status_code == 303
    assert [(one.revision, one.published_at) for one in all_of(database)] == [
        (first[0].revision, first[0].published_at)
    ]


def test_what_is_wrong_is_said_all_at_once_and_what_was_typed_is_kept(
    dee: TestClient, database: Database
) -> None:
    typed = {"branch": "", "title": " ", "text": "Half a sent", "topic": "cedar", "shown_from": "3/4",
             "shown_until": "soon", "language": "no language"}  # fmt: skip
    answer = dee.post("/organize/news/new", data={**ROOF, **typed})
    assert answer.status_code == 422 and 'role="alert"' in answer.text and "Half a sent" in answer.text
    assert faults(answer.text) == {
        "branch": "Please choose a branch.",
        "title": "Please fill this in.",
        "topic": "There is no topic called “cedar”.",
        "shown_from": "“3/4” can be read as two days. Please write it as year-month-day: 2026-12-31.",
        "shown_until": "“soon” is not a date. Please write it as year-month-day: 2026-12-31.",
        "language": "This is not a language. One looks like en or es-MX",
    }
    back = dee.post(
        "/organize/news/new", data={**ROOF, "shown_from": "2043-12-08", "shown_until": "2043-12-07"}
    )
    assert faults(back.text) == {"shown_until": "The last day is before the first."}
    assert all_of(database) == []


def test_days_are_those_of_the_branch_and_today_is_the_first_one(
    cy: TestClient, database: Database, cast: Cast
) -> None:
    written(cy, branch="birch", shown_until="December 8, 2043")
    [notice] = all_of(database)
    with database.reading() as session:
        assert notice.shown_from == writing.today(session, cast.birch, datetime.now(UTC))
    assert notice.shown_until == date(2043, 12, 8)
    published(cy, branch="birch", shown_from="2043-12-08", key="another-key-of-a-form")
    [_, coming] = all_of(database)
    assert coming.begins_at == datetime(2043, 12, 7, 23, tzinfo=UTC)
    assert "Published, but not shown yet" in cy.get(f"/organize/news/{coming.id}").text


def test_a_draft_whose_last_day_is_over_asks_for_another_one(
    ana: TestClient, ben: TestClient, database: Database
) -> None:
    address = written(ana, shown_from="2026-01-01", shown_until="2026-01-31")
    answer = ana.post(f"{address}/publication")
    assert answer.status_code == 422 and "It is <strong>dry</strong> now." in answer.text
    assert faults(answer.text) == {"shown_until": "This day is over. Choose a later one, or leave it empty."}
    changed(ana, address, shown_until="")
    assert ana.post(f"{address}/publication").status_code == 303
    assert ben.get("/news/a-new-roof").status_code == 200


def test_it_may_be_about_one_of_the_topics_of_events(
    ana: TestClient, ben: TestClient, database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        session.add(Topic(slug="repair", name="Repair"))
    published(ana, topic="repair")
    assert '<a href="/topics/repair">' in ben.get("/news/a-new-roof").text


# --- Who may


def test_only_admins_write_for_the_whole_organisation_and_choose_top_stories(
    ana: TestClient, dee: TestClient, ben: TestClient, database: Database
) -> None:
    assert 'name="is_top"' not in ana.get("/organize/news/new").text
    written(ana, whole="yes", is_top="yes")
    address = published(
        dee, whole="yes", branch="", is_top="yes", title="Of all", key="another-key-of-a-form"
    )
    hers, ours = all_of(database)
    assert (hers.branch_id is None, hers.is_top, ours.branch_id is None, ours.is_top) == (
        False, False, True, True
    )  # fmt: skip
    assert "Of all" in ben.get("/").text and "Hazel Clubs" in ben.get("/news/of-all").text
    assert ana.get(address).status_code == 404 and "Of all" not in ana.get("/organize/news").text
    assert "Of all" in dee.get("/organize/news").text and "Top story" in dee.get("/organize/news").text


def test_an_organizer_who_changes_a_top_story_leaves_it_there(
    ana: TestClient, dee: TestClient, database: Database
) -> None:
    address = published(ana)
    changed(dee, address, is_top="yes")
    changed(ana, address, title="An old roof")
    [notice] = all_of(database)
    assert (notice.title, notice.is_top) == ("An old roof", True)


def test_who_is_not_trusted_writes_drafts_that_others_publish(
    ana: TestClient, dee: TestClient, database: Database, cast: Cast
) -> None:
    distrust(database, cast)
    address = written(ana)
    sentence = "It is a draft until somebody of your branch who is trusted publishes it."
    assert sentence in ana.get(address).text and f"{address}/publication" not in ana.get(address).text
    refused = ana.post(f"{address}/publication")
    assert refused.status_code == 409 and sentence in refused.text
    changed(ana, address, text="It is very dry.")
    dee.post(f"{address}/publication")
    page = ana.get(address).text
    assert "only somebody who may publish for your branch can change it" in page
    assert "It is very dry." in page and '<textarea class="input"' not in page
    for path in ("", "/removal", "/picture/removal"):
        assert ana.post(address + path, data={**ROOF, "revision": "9"}).status_code == 409
    assert all_of(database)[0].removed_at is None


def test_a_draft_that_was_changed_after_it_was_looked_at_is_not_published_unseen(
    ana: TestClient, dee: TestClient, database: Database, cast: Cast
) -> None:
    """Otherwise who is not trusted could have anything published."""
    distrust(database, cast)
    address = written(ana)
    button = re.search(
        r'/publication"><input type="hidden" name="revision" value="(\d+)">', dee.get(address).text
    )
    assert button
    changed(ana, address, text="Buy my book.")
    answer = dee.post(f"{address}/publication", data={"revision": button[1]})
    assert answer.status_code == 409 and "Somebody has changed this draft since you saw it" in answer.text
    assert all_of(database)[0].published_at is None
    seen = str(int(button[1]) + 1)
    for _ in range(2):
        assert dee.post(f"{address}/publication", data={"revision": seen}).status_code == 303


def test_a_stranger_finds_nothing_whatever_they_try(
    ana: TestClient, cy: TestClient, ben: TestClient, database: Database
) -> None:
    address = written(ana)
    assert "A new roof" not in cy.get("/organize/news").text
    for path in ("", "/picture"):
        assert cy.get(address + path).status_code == 404
    for path in ("", "/publication", "/removal", "/return", "/picture", "/picture/removal"):
        assert cy.post(address + path, data={**ROOF, "revision": "0"}).status_code == 404
        assert ben.post(address + path, data=ROOF).status_code == 303  # to sign in
    assert cy.post("/organize/news/new", data=ROOF).status_code == 404
    elsewhere = cy.post(
        written(cy, branch="birch", key="another-key-of-a-form"), data={**ROOF, "revision": "0"}
    )
    assert elsewhere.status_code == 404  # nor may a draft be moved to where one does not belong
    assert [one.published_at for one in all_of(database)] == [None, None]


def test_a_draft_that_is_moved_away_while_somebody_waits_for_it_is_a_strangers_by_then(
    ana: TestClient, database: Database, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, hold = written(ana), writing.hold

    def moved_meanwhile(session: Session, notice: Notice) -> None:
        session.exec(sa.update(Notice).values(branch_id=cast.birch.id))
        hold(session, notice)

    monkeypatch.setattr(writing, "hold", moved_meanwhile)
    for path in ("/publication", "/removal"):
        assert ana.post(address + path).status_code == 404


# --- Changing


def test_what_was_saved_meanwhile_is_shown_beside_what_was_typed(
    ana: TestClient, dee: TestClient, database: Database
) -> None:
    address = published(ana)
    stale, first = revision(ana, address), all_of(database)[0].shown_from.isoformat()
    typed = {**ROOF, "text": "Wet again.", "shown_from": first}
    changed(dee, address, title="An old roof", shown_until="2043-12-08", is_top="yes", language="es")
    answer = ana.post(address, data={**typed, "revision": stale})
    assert answer.status_code == 409 and "Somebody was faster" in answer.text
    theirs = dict(re.findall(r"<dt>(.*?)</dt><dd><bdi>(.*?)</bdi></dd>", answer.text))
    assert theirs == {
        "Title": "An old roof", "Text": "It is **dry** now.", "Shown until": "2043-12-08",
        "Language of the text": "Spanish",
    }  # fmt: skip
    assert 'value="A new roof"' in answer.text and "Wet again." in answer.text
    assert all_of(database)[0].title == "An old roof"
    [fresh] = re.findall(r'name="revision" value="(\d+)"', answer.text)
    assert ana.post(address, data={**typed, "revision": fresh}).status_code == 303
    assert all_of(database)[0].text == "Wet again."


def test_the_page_says_who_changed_what(ana: TestClient, dee: TestClient) -> None:
    address = published(ana)
    changed(dee, address, text="It is very dry.")
    lines = re.findall(r"<li>([^<]*) <span class=\"soft\">[^<]*<bdi>(.*?)</bdi>", ana.get(address).text)
    assert lines == [
        ("Changed", "dee@example.org"), ("Published", "ana@example.org"), ("Written", "ana@example.org")
    ]  # fmt: skip


def test_what_is_removed_is_gone_for_visitors_and_can_be_brought_back_for_thirty_days(
    ana: TestClient, ben: TestClient, database: Database
) -> None:
    address = published(ana)
    assert ana.post(f"{address}/removal").headers["location"] == "/organize/news?done=removed"
    assert ana.post(f"{address}/removal").status_code == 303
    assert ben.get("/news/a-new-roof").status_code == 410 and ana.get(address).status_code == 404
    assert "Removed lately" in ana.get("/organize/news").text
    assert ana.post(f"{address}/return").headers["location"] == f"{address}?done=returned"
    assert ben.get("/news/a-new-roof").status_code == 200
    assert "Removed lately" not in ana.get("/organize/news").text
    ana.post(f"{address}/removal")
    with database.writing() as session:
        notice = session.exec(select(Notice)).one()
        notice.removed_at = datetime.now(UTC) - timedelta(days=31)
    late = ana.post(f"{address}/return")
    assert late.status_code == 404 and "more than 30 days ago" in late.text


def test_a_long_list_has_pages(ana: TestClient, database: Database, cast: Cast) -> None:
    with database.writing() as session:
        for number in range(31):
            write(session, f"Notice {number}", cast.alder, at=None)
    assert 'rel="next"' in ana.get("/organize/news").text
    assert 'rel="prev"' in ana.get("/organize/news?page=2").text
    assert ana.get("/organize/news?page=3").status_code == 404


# --- Its picture


@pytest.fixture
def worker(settings: Settings, publishing: Publishing) -> Iterator[Worker]:
    worker = Worker(settings, publishing)
    yield worker
    worker.database.dispose()


def test_ana_gives_it_a_picture_that_is_kept_as_long_as_it_is(
    ana: TestClient, ben: TestClient, worker: Worker, database: Database
) -> None:
    address = published(ana)
    assert "being prepared" in send(ana, f"{address}/picture")
    assert "/pictures/" not in ben.get("/news/a-new-roof").text
    assert worker.prepare_pictures() == 1
    assert f'alt="{ALT}"' in ana.get(f"{address}/picture").text and ALT in ana.get(address).text
    [shown] = re.findall(r'<img class="picture" src="(.*?)"', ben.get("/news/a-new-roof").text)
    assert ben.get(shown).content.startswith(b"\xff\xd8\xff")
    with database.writing() as session:
        session.exec(select(Picture)).one().created_at = datetime.now(UTC) - 40 * DAY
    worker.clean()
    assert ben.get(shown).status_code == 200
    assert ana.post(f"{address}/picture/removal").status_code == 303
    assert "<img class" not in ben.get("/news/a-new-roof").text
    worker._cleaned = float("-inf")
    worker.clean()
    assert ben.get(shown).status_code == 404


def test_a_picture_needs_words_and_a_file_that_is_one(ana: TestClient, database: Database) -> None:
    page = f"{written(ana)}/picture"
    for photo, alt, said in [
        (PHOTO, " ", {"alt": "Please fill this in."}),
        (b"", ALT, {"file": "Choose a picture."}),
    ]:
        files = {"file": ("photo.jpg", photo, "image/jpeg")}
        answer = ana.post(page, data={"alt": alt, "key": KEY}, files=files)
        assert answer.status_code == 422 and faults(answer.text) == said
    large = {"file": ("photo.jpg", PHOTO.ljust(11_000_000, b"\0"), "image/jpeg")}
    assert ana.post(page, data={"alt": ALT, "key": KEY}, files=large).status_code == 413
    assert all_of(database)[0].picture_id is None
