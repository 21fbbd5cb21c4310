"""Ana gives an event a picture; everybody sees it; Cy organizes elsewhere and must be refused."""

import re
from collections.abc import Iterator
from html import unescape

import pytest
from PIL import Image
from sqlmodel import select
from starlette.testclient import TestClient

from events.calendars import changes, store
from events.calendars.content import Publishing
from events.calendars.models import Event, Picture
from events.config import Settings
from events.db import Database
from events.people import history
from events.worker import Worker
from tests.calendars.test_feeds import weekly
from tests.conftest import NOW, Cast
from tests.test_pictures import halves, png_that_says, saved

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

KEY = "a-key-of-the-form-itself"
ALT = "Three people repair a bicycle."
PHOTO = saved(halves((1000, 600)), "JPEG")


@pytest.fixture
def page(database: Database, cast: Cast, publishing: Publishing) -> str:
    """The page of the picture of an event of Alder's."""
    with database.writing() as session:
        event = store.add(session, weekly(), [cast.alder], publishing, NOW)
        changes.added(session, event, cast.ana, NOW)
        return f"/organize/events/{event.id}/picture"


@pytest.fixture
def worker(settings: Settings, publishing: Publishing) -> Iterator[Worker]:
    worker = Worker(settings, publishing)
    yield worker
    worker.database.dispose()


def send(
    who: TestClient, page: str, photo: bytes = PHOTO, name: str = "photo.jpg", alt: str = ALT, key: str = KEY
) -> str:
    """Returns the page that follows."""
    files = {"file": (name, photo, "image/jpeg")}
    answer = who.post(page, data={"alt": alt, "key": key}, files=files)
    assert answer.status_code == 303, re.findall(r'class="error"[^>]*>(.*?)</p>', answer.text)
    return who.get(answer.headers["location"]).text


def refused(who: TestClient, page: str, photo: bytes, name: str = "photo.jpg", status: int = 422) -> str:
    """What is said of the file."""
    answer = who.post(page, data={"alt": ALT, "key": KEY}, files={"file": (name, photo, "image/jpeg")})
    assert answer.status_code == status
    assert 'role="alert"' in answer.text and f'value="{ALT}"' in answer.text  # what was typed is kept
    [said] = re.findall(r'<p class="error" id="file-error">.*?⚠</span>\s*(.*?)</p>', answer.text)
    return unescape(said)


def versions(database: Database) -> list[str]:
    with database.reading() as session:
        event = session.exec(select(Event)).one()
        return [one.action for one in history.versions(session, changes.subject(event))]


# --- Giving an event a picture


def test_ana_sends_a_picture_sees_it_being_prepared_and_then_visitors_see_it(
    ana: TestClient, ben: TestClient, page: str, worker: Worker, database: Database
) -> None:
    assert 'type="file"' in ana.get(page).text
    waiting = send(ana, page)
    assert "being prepared" in waiting and 'data-again="2"' in waiting
    public = page.removeprefix("/organize").removesuffix("/picture")
    assert "/pictures/" not in ben.get(public).text
    assert worker.prepare_pictures() == 1
    ready = ana.get(page).text
    assert f'alt="{ALT}"' in ready and "refresh" not in ready
    shown = ben.get(public).text
    [tag] = re.findall(r'<img class="picture".*?>', shown)
    assert 'width="1000" height="600"' in tag and f'alt="{ALT}"' in tag and 'loading="lazy"' in tag
    large, small = (
        re.findall(r"(/pictures/[\w-]+\.jpg) ", tag.replace('"', " "))[-1],
        re.findall(r"(/pictures/[\w-]+-small\.jpg) 480w", tag)[0],
    )
    for address in (large, small):
        answer = ben.get(address)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.content.startswith(b"\xff\xd8\xff") and "set-cookie" not in answer.headers
    assert ben.head(large).status_code == 200
    assert versions(database) == ["picture", "added"]


def test_search_engines_and_those_who_share_the_page_get_the_picture(
    ana: TestClient, ben: TestClient, page: str, worker: Worker, publishing: Publishing
) -> None:
    send(ana, page)
    worker.prepare_pictures()
    shown = ben.get(page.removeprefix("/organize").removesuffix("/picture")).text
    [address] = re.findall(r'<meta property="og:image" content="([^"]+)">', shown)
    assert re.fullmatch(rf"{publishing.base_url}/pictures/[\w-]{{22}}\.jpg", address)
    assert f'"image": "{address}"' in shown.replace('":"', '": "')
    assert f'<meta property="og:image:alt" content="{ALT}">' in shown


def test_other_words_need_no_other_upload(
    ana: TestClient, ben: TestClient, page: str, worker: Worker, database: Database
) -> None:
    send(ana, page)
    worker.prepare_pictures()
    answer = ana.post(page, data={"alt": "Two people.", "key": KEY}, files={"file": ("", b"", "")})
    assert answer.status_code == 303
    assert worker.prepare_pictures() == 0
    assert 'alt="Two people."' in ben.get(page.removeprefix("/organize").removesuffix("/picture")).text
    assert versions(database) == ["picture", "picture", "added"]


def test_the_same_form_twice_is_one_picture_and_another_file_is_another(
    ana: TestClient, page: str, database: Database
) -> None:
    send(ana, page)
    send(ana, page)
    with database.reading() as session:
        assert len(session.exec(select(Picture.id)).all()) == 1
    assert versions(database) == ["picture", "added"]
    send(ana, page, saved(halves(), "PNG"))  # the browser's back button brings the old form
    with database.reading() as session:
        assert len(session.exec(select(Picture.id)).all()) == 2


def test_removing_it_takes_it_off_the_page_and_twice_is_once(
    ana: TestClient, ben: TestClient, page: str, worker: Worker, database: Database
) -> None:
    send(ana, page)
    worker.prepare_pictures()
    for _ in range(2):
        assert ana.post(f"{page}/removal").status_code == 303
    assert "/pictures/" not in ben.get(page.removeprefix("/organize").removesuffix("/picture")).text
    assert "Remove the picture" not in ana.get(page).text
    assert versions(database) == ["picture-removed", "picture", "added"]


def test_in_spanish_the_form_posts_to_its_own_address_and_takes_as_much(
    ana: TestClient, page: str, worker: Worker
) -> None:
    large = PHOTO.ljust(5_000_000, b"\0")
    assert f'action="/es{page}"' in ana.get(f"/es{page}").text
    assert send(ana, f"/es{page}", large) and worker.prepare_pictures() == 1


# --- What is refused


def test_what_is_no_picture_is_refused_whatever_it_is_called(ana: TestClient, page: str) -> None:
    for lie in (b"<script>alert(1)</script>", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"#!/bin/sh\n"):
        assert refused(ana, page, lie, "photo.jpg").startswith("This is not a picture.")


def test_too_many_pixels_are_refused_before_anything_is_kept(
    ana: TestClient, page: str, database: Database
) -> None:
    said = refused(ana, page, png_that_says(8000, 6000))
    assert said.startswith("This picture has 48 million pixels; at most 40 million are possible.")
    with database.reading() as session:
        assert session.exec(select(Picture.id)).all() == []


def test_more_than_ten_megabytes_are_too_large_and_say_so_on_the_form_while_it_can_be_read(
    ana: TestClient, page: str
) -> None:
    said = refused(ana, page, PHOTO.ljust(11_000_000, b"\0"), status=413)
    assert said.startswith("This picture has 11 MB; at most 10 MB are possible.")
    beyond = {"file": ("photo.jpg", PHOTO.ljust(12_100_000, b"\0"), "image/jpeg")}
    answer = ana.post(page, data={"alt": ALT}, files=beyond)
    assert answer.status_code == 413 and "10 MB at most" in answer.text
    elsewhere = ana.post("/organize/imports", files={"file": ("x.ics", bytes(3_000_000), "text/calendar")})
    assert elsewhere.status_code == 413 and "2 MB at most" in elsewhere.text


def test_a_picture_without_words_or_words_without_a_picture_are_sent_back(ana: TestClient, page: str) -> None:
    answer = ana.post(page, data={"alt": " "}, files={"file": ("photo.jpg", PHOTO, "image/jpeg")})
    assert answer.status_code == 422 and 'href="#alt"' in answer.text and 'href="#file"' not in answer.text
    answer = ana.post(page, data={"alt": ALT})
    assert answer.status_code == 422 and "Choose a picture." in answer.text


def test_what_turns_out_to_be_damaged_says_so_and_another_one_can_be_sent(
    ana: TestClient, ben: TestClient, page: str, worker: Worker
) -> None:
    noise = saved(Image.effect_noise((300, 300), 90), "JPEG")
    send(ana, page, noise[: len(noise) // 2])
    worker.prepare_pictures()
    said = ana.get(page).text
    assert "This picture cannot be shown" in said and "damaged or not complete" in said
    assert "/pictures/" not in ben.get(page.removeprefix("/organize").removesuffix("/picture")).text
    answer = ana.post(page, data={"alt": ALT})  # other words alone do not help it
    assert answer.status_code == 422
    send(ana, page, PHOTO)
    worker.prepare_pictures()
    assert '<img class="picture"' in ana.get(page).text


def test_a_stranger_finds_no_such_page(ana: TestClient, cy: TestClient, ben: TestClient, page: str) -> None:
    send(ana, page)
    assert cy.get(page).status_code == 404
    assert cy.post(page, data={"alt": ALT}).status_code == 404
    assert cy.post(f"{page}/removal").status_code == 404
    assert ben.get(page).status_code == 303  # to sign in


def test_a_picture_that_is_not_there_or_not_ready_is_not_found(
    ana: TestClient, ben: TestClient, page: str, database: Database
) -> None:
    send(ana, page)
    with database.reading() as session:
        name = session.exec(select(Picture.id)).one()
    for path in (f"/pictures/{name}.jpg", f"/pictures/{name}-small.jpg", "/pictures/nothing.jpg"):
        assert ben.get(path).status_code == 404
