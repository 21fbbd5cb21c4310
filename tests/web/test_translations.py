"""Ana writes her event in Spanish too; readers of the Spanish pages, lists, calendars and mails get it."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events.branches.models import Branch
from events.calendars.content import Publishing
from events.calendars.models import Event
from events.db import Database
from tests.calendars.test_feeds import Subscriber
from tests.conftest import Cast
from tests.subscriptions.readers import mail_to
from tests.subscriptions.test_digests import SATURDAY, Town
from tests.subscriptions.test_urgent import NEXT, Club
from tests.web.test_api_writing import Program, token_of
from tests.web.test_organize import TUESDAY, edition, posted

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
SPANISH = {"title_es": "Noche de herramientas", "description_es": "Trae **lo que sea** con enchufe."}
WORDS = {"es": {"title": "Noche de herramientas", "description": "Trae **lo que sea** con enchufe."}}
ONCE = {"repeats": ""}


def translations(database: Database, number: int) -> Any:
    with database.reading() as session:
        return session.get_one(Event, number).translations


def works_in(database: Database, cast: Cast, languages: str) -> None:
    with database.writing() as session:
        session.get_one(Branch, cast.alder.id).languages = languages


# ---------------------------------------------------------------- readers


def test_ana_posts_in_two_languages_and_each_page_speaks_its_own(ana: TestClient, ben: TestClient) -> None:
    number = posted(ana, **SPANISH)
    spanish, english = ben.get(f"/es/events/{number}").text, ben.get(f"/events/{number}").text
    assert "<title>Noche de herramientas" in spanish and "<strong>lo que sea</strong>" in spanish
    assert "<h1><bdi>Noche de herramientas</bdi></h1>" in spanish and "Tool night" not in spanish
    assert "Tool night" in english and "Noche" not in english
    for path in ("/es/", "/es/events", "/es/events?q=enchufe", "/es/branches/alder", "/es/calendar/2026/12"):
        page = ben.get(path).text
        assert "Noche de herramientas" in page and "Tool night" not in page, path
    assert "Noche" not in ben.get("/events").text


def test_what_is_not_translated_is_marked_as_being_in_another_language(
    ana: TestClient, ben: TestClient
) -> None:
    number = posted(ana, title_es=SPANISH["title_es"])
    page = ben.get(f"/es/events/{number}").text
    assert "<h1><bdi>Noche de herramientas</bdi></h1>" in page
    assert re.search(r'class="prose" lang="en">\s*<p>Bring', page)


def test_calendars_and_lists_in_spanish_carry_the_organizers_own_words(
    ana: TestClient, ben: TestClient
) -> None:
    number = posted(ana, **SPANISH)
    for path, title in (("/es/events", "Noche de herramientas"), ("/events", "Tool night")):
        [entry] = Subscriber(ben, f"{path}.ics").events()
        assert str(entry["SUMMARY"]) == title
        [item] = ben.get(f"{path}.json").json()["items"]
        assert item["title"].startswith(title)
        assert title in ben.get(f"{path}.csv").text and title in ben.get(f"{path}.atom").text
    assert "Noche de herramientas" in ben.get(f"/es/events/{number}.ics").text.split("BEGIN:VEVENT")[0]


def test_a_program_reads_and_writes_them(
    app: Starlette, ana: TestClient, ben: TestClient, database: Database, cast: Cast
) -> None:
    number = posted(ana, **SPANISH)
    path = f"/{number}"
    record = ben.get(f"/es/api/v1/events{path}").json()
    assert (record["title"], record["language"], record["translations"]) == ("Tool night", "en", WORDS)
    assert ben.get("/es/api/v1/occurrences").json()["items"][0]["title"] == "Tool night"
    program = Program(app, token_of(database, cast.ana, datetime.now(UTC)))
    assert program.changed(number, title="Saw night")["translations"] == WORDS
    assert program.changed(number, translations={"ES": {"title": "Sierra"}})["translations"] == {
        "es": {"title": "Sierra"}
    }
    many = {f"a{letter}": {"title": "x"} for letter in "abcdefghijk"}
    for wrong, field in (
        ({"x!": {"title": "x"}}, "translations.x!.[key]"),
        ({"es": {"title": "x" * 301}}, "translations.es.title"),
        ({"es": {"name": "x"}}, "translations.es.name"),
        (many, "translations"),
    ):
        assert field in program.faults("PATCH", path, {"translations": wrong}, if_match="*")
    assert program.changed(number, translations={})["translations"] == {}


def test_mails_speak_the_language_of_who_reads_them(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    town = Town(database, publishing, cast)
    number = town.event("Saw day", SATURDAY, translations={"es": {"title": "Día de la sierra"}})
    town.reader(told_until=None, language="es")
    town.reader("ana", told_until=None)
    town.send()
    spanish, english = mail_to(database, "ben"), mail_to(database, "ana")
    assert spanish and "Día de la sierra" in spanish.body and "Saw day" not in spanish.body
    assert english and "Saw day" in english.body
    town.change(number, lambda session, event: event.unpublish())
    town.reader("dee", language="es")
    gone = town.told("dee")
    assert "Día de la sierra" in gone and "ya no se anuncia" in gone


def test_who_follows_an_event_is_told_of_it_by_the_title_in_their_language(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    club = Club(database, publishing, cast)
    club.change(lambda session, event: setattr(event, "translations", WORDS))
    club.follower(language="es")
    club.follower("ana")
    club.cancel(NEXT)
    assert club.told().startswith("Cancelado: Noche de herramientas, ")
    assert club.told("ana").startswith("Cancelled: Tool night, ")


def test_the_page_to_follow_an_event_names_it_in_spanish(ana: TestClient, ben: TestClient) -> None:
    number = posted(ana, **SPANISH)
    assert "Noche de herramientas" in ben.get(f"/es/events/{number}/follow").text


# ---------------------------------------------------------------- the form


def test_the_form_offers_each_other_language_and_shows_what_there_is(
    ana: TestClient, database: Database, cast: Cast
) -> None:
    page = ana.get("/organize/events/new").text
    assert "In Spanish (español)" in page and 'name="title_en"' not in page
    assert "What you leave empty they get in English." in page
    assert re.search(r'<details class="disclosure">\s*<summary>In Spanish', page)
    number = posted(ana, **SPANISH)
    assert translations(database, number) == WORDS
    page = ana.get(f"/organize/events/{number}").text
    assert re.search(r'<details class="disclosure" open>\s*<summary>In Spanish', page)
    assert 'value="Noche de herramientas"' in page and "Trae **lo que sea** con enchufe." in page


def test_a_form_without_the_fields_leaves_them_and_empty_ones_remove_them(
    ana: TestClient, database: Database, cast: Cast
) -> None:
    number = posted(ana, **SPANISH)
    address = f"/organize/events/{number}"
    ana.post(address, data={**TUESDAY, "cost": "5 $", "revision": edition(ana, number)})
    assert translations(database, number) == WORDS
    empty = {"title_es": " ", "description_es": ""}
    ana.post(address, data={**TUESDAY, **empty, "revision": edition(ana, number)})
    assert translations(database, number) is None


def test_the_preview_shows_the_other_language_and_what_of_it_is_not_translated(ana: TestClient) -> None:
    page = ana.post("/organize/events/preview", data={**TUESDAY, "title_es": "Noche"}).text
    shown = page[page.index("<h3>In Spanish</h3>") :]
    assert '<p lang="es"><strong><bdi>Noche</bdi></strong></p>' in shown
    assert "The description stays in English." in shown and 'value="Noche"' in page
    assert "<h3>In Spanish</h3>" not in ana.post("/organize/events/preview", data=TUESDAY).text


def test_bad_input_is_said_at_its_field_and_everything_typed_stays(ana: TestClient) -> None:
    long = {**TUESDAY, "title_es": "x" * 301, "description_es": "Hola"}
    answer = ana.post("/organize/events/new", data=long)
    assert answer.status_code == 422 and 'id="title_es-error"' in answer.text
    assert "Title in Spanish: This is too long" in answer.text and "Hola</textarea>" in answer.text
    assert re.search(r'<details class="disclosure" open>\s*<summary>In Spanish', answer.text)


def test_words_in_the_events_own_language_are_not_lost_silently(
    ana: TestClient, database: Database, cast: Cast
) -> None:
    answer = ana.post("/organize/events/new", data={**TUESDAY, **SPANISH, "language": "es"})
    assert answer.status_code == 422 and 'id="title_es-error"' in answer.text
    assert "Noche de herramientas" in answer.text and "In English" in answer.text
    same = {"language": "es", "title": "Noche", "title_es": "Noche"}
    assert translations(database, posted(ana, **same)) is None


def test_whoever_is_second_sees_the_translation_that_is_saved_beside_the_own(ana: TestClient) -> None:
    number = posted(ana, **SPANISH)
    late = {**TUESDAY, "title_es": "Otra noche", "description_es": "", "revision": "0.0"}
    answer = ana.post(f"/organize/events/{number}", data=late)
    assert answer.status_code == 409
    assert "<dt>Title in Spanish</dt><dd><bdi>Noche de herramientas</bdi></dd>" in answer.text
    assert 'value="Otra noche"' in answer.text


def test_what_subscribers_will_see_and_the_history_tell_of_a_translation(ana: TestClient) -> None:
    number = posted(ana)
    address = f"/organize/events/{number}"
    changed = {**TUESDAY, **SPANISH, "revision": edition(ana, number)}
    assert "What it says in other languages changes." in ana.post(f"{address}/preview", data=changed).text
    ana.post(address, data=changed)
    assert "what it says in other languages" in ana.get(f"{address}/history").text
    assert "Spanish: Noche de herramientas" in ana.get(f"{address}/history/1").text


def test_a_copy_and_one_changed_date_keep_what_was_translated(
    ana: TestClient, ben: TestClient, database: Database, cast: Cast
) -> None:
    number = posted(ana, **SPANISH)
    answer = ana.post(f"/organize/events/{number}/copy", data={"key": "a" * 24})
    found = re.search(r"/organize/events/(\d+)", answer.headers["location"])
    assert found and translations(database, int(found[1])) == WORDS


# ---------------------------------------------------------------- gaps


def test_a_branch_of_two_languages_sees_what_is_missing_and_one_of_one_language_does_not(
    ana: TestClient, database: Database, cast: Cast
) -> None:
    number = posted(ana)
    address = f"/organize/events/{number}"
    assert "Not in Spanish yet" not in ana.get(address).text + ana.get("/organize").text
    works_in(database, cast, "en, es")
    assert "Not in Spanish yet" in ana.get(address).text and "Not in Spanish yet" in ana.get("/organize").text
    begun = {**TUESDAY, "title_es": "Noche", "revision": edition(ana, number)}
    assert ana.post(address, data=begun).status_code == 303
    page = ana.get(address).text
    assert "No text in Spanish yet" in page and "Not in Spanish yet" not in page
    whole = {**TUESDAY, **SPANISH, "revision": edition(ana, number)}
    ana.post(address, data=whole)
    assert "in Spanish yet" not in ana.get(address).text + ana.get("/organize").text


def test_nobody_is_asked_to_translate_what_is_off(ana: TestClient, database: Database, cast: Cast) -> None:
    works_in(database, cast, "en, es")
    number = posted(ana, **ONCE)
    ana.post(f"/organize/events/{number}/cancellation", data={"reason": "Ill."})
    assert "Not in Spanish yet" not in ana.get(f"/organize/events/{number}").text


def test_cy_from_another_branch_sees_no_form_of_it(ana: TestClient, cy: TestClient) -> None:
    number = posted(ana, **SPANISH)
    assert cy.post(f"/organize/events/{number}", data={**TUESDAY, **SPANISH}).status_code == 404
