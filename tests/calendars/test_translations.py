"""An event in two languages: who reads what, what moves for subscribers, and that nothing is lost on the way."""

import json
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from sqlmodel import select

from events.calendars import changes, content, formats, imports, json_ld, store, vevents
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft, OverrideDraft
from events.calendars.ics import vevent
from events.calendars.memory import merged, remembered
from events.calendars.models import Event, Override, Rendered, State
from events.calendars.queries import Selection, upcoming
from events.calendars.wording import Missing, Part, Words, missing, worded
from events.db import Database
from events.errors import say
from events.migrations import move
from tests.calendars.test_feeds import weekly
from tests.calendars.test_formats import ENGLISH, PUBLISHING, SPANISH, atom, data, json_feed, of, rows, told
from tests.calendars.test_formats import weekly as told_weekly
from tests.conftest import NOW, Cast, Engines

IN_SPANISH = {"es": {"title": "Noche de herramientas", "description": "Trae **lo que sea** con enchufe."}}
SECOND = datetime(2026, 12, 1, 19)
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def lines(one: content.Told, spoken: Any) -> str:
    texts = (vevent(entry) for entry in vevents.entries(one, PUBLISHING, spoken))
    return "".join(texts).replace("\r\n ", "")


# ---------------------------------------------------------------- who reads what


def test_readers_get_title_and_text_in_their_language_and_others_in_the_events_own() -> None:
    one = told_weekly(translations=IN_SPANISH)
    spanish, english = (content.said_on(one, SECOND, spoken) for spoken in (SPANISH, ENGLISH))
    assert (spanish.title, spanish.title_language) == ("Noche de herramientas", "es")
    assert (spanish.text, spanish.text_language) == ("Trae **lo que sea** con enchufe.", "es")
    assert (english.title, english.text_language) == ("Tool night", "en")
    assert content.said(one).title == "Tool night", "in its own words where nobody's language is known"


def test_what_is_translated_in_part_stays_in_its_own_language_for_the_rest() -> None:
    one = told(translations={"es": {"title": "Noche de herramientas"}})
    shown = content.said(one, spoken=SPANISH)
    assert (shown.title_language, shown.text, shown.text_language) == (
        "es",
        "Bring **anything** with a plug.",
        "en",
    )
    text = lines(one, SPANISH)
    assert "SUMMARY;LANGUAGE=es:Noche" in text and "DESCRIPTION;LANGUAGE=en:Bring anything" in text


@pytest.mark.parametrize("tag", ["es", "es-MX"])
def test_what_is_meant_for_one_country_is_read_by_all_who_have_nothing_nearer(tag: str) -> None:
    more = {"es-MX": {"title": "Noche de fierros"}, "ca": {"title": "Nit d’eines"}}
    event = told(translations=more).event
    assert worded(Words("Tool night", "en"), Part.TITLE, more, tag) == ("Noche de fierros", "es-MX")
    assert worded(Words("Tool night", "en"), Part.TITLE, more | IN_SPANISH, tag).language == tag
    assert content.title(event, None, ENGLISH) == ("Tool night", "en")


def test_a_date_that_was_changed_by_itself_says_that_in_the_language_it_was_written_in() -> None:
    party = Override(event_id=7, original_start=SECOND, title="Party")
    shown = content.said_on(told_weekly(party, translations=IN_SPANISH), SECOND, SPANISH)
    assert (shown.title, shown.title_language, shown.text_language) == ("Party", "en", "es")


def test_cancelled_and_moved_stand_in_the_language_of_the_words_behind_them() -> None:
    off = told(translations=IN_SPANISH, state=State.CANCELLED)
    headlines = [content.headline(content.said(off, spoken=one), PUBLISHING) for one in (ENGLISH, SPANISH)]
    assert headlines == ["Cancelled: Tool night", "Cancelado: Noche de herramientas"]
    goodbye = vevents.entry_of_departure(told(translations=IN_SPANISH), PUBLISHING, SPANISH, say("Gone"))
    assert goodbye.summary.endswith("Noche de herramientas") and not goodbye.summary.startswith("Moved")


def test_lists_and_linked_data_say_it_in_their_language_and_which_that_is() -> None:
    shown = content.said(told(translations=IN_SPANISH), spoken=SPANISH)
    feed = atom(shown, spoken=SPANISH)
    assert of(feed, "entry/title").startswith("Noche de herramientas")
    [item] = json_feed(shown, spoken=SPANISH)["items"]
    assert item["language"] == item["_branchline"]["language"] == "es"
    assert rows(shown, spoken=SPANISH)[0]["title"] == "Noche de herramientas"
    found = data(shown, SPANISH)
    assert (found["name"], found["description"]) == ("Noche de herramientas", "Trae lo que sea con enchufe.")
    assert found["inLanguage"] == "en", "people speak English there, whatever its page is written in"
    series = json.loads(
        json_ld.script(
            content.said_on(told_weekly(translations=IN_SPANISH), SECOND, SPANISH), "", PUBLISHING, SPANISH
        )
    )
    assert series["superEvent"]["name"] == "Noche de herramientas"


def test_the_api_tells_all_languages_and_the_events_own_title() -> None:
    record = formats.event_record(told(translations=IN_SPANISH), None, 0, PUBLISHING, SPANISH)
    assert record["title"] == "Tool night" and record["language"] == "en"
    assert record["translations"] == IN_SPANISH
    assert formats.event_record(told(), None, 0, PUBLISHING, SPANISH)["translations"] == {}


# ---------------------------------------------------------------- drafts


def test_what_is_empty_and_what_is_in_the_events_own_language_is_no_translation() -> None:
    given = {"ES": {"title": " Hola "}, "en-GB": {"title": "Hello"}, "fr": {"title": " ", "description": ""}}
    assert weekly(translations=given).worded == {"es": {"title": "Hola"}}
    assert weekly(language="es-MX", translations={"es": {"title": "Hola"}}).worded == {}


def test_a_gap_is_shown_where_a_beginning_was_made_or_the_branch_works_in_that_language() -> None:
    def gaps(translations: Any, branch: list[str], *, has_text: bool = True) -> dict[str, Missing]:
        return missing("en", has_text, translations, ("en", "es"), branch)

    assert gaps(None, ["en"]) == {} == gaps(None, []), "a branch of one language hears nothing of the others"
    assert gaps(None, ["en", "es-US"]) == {"es": Missing.ALL}
    assert gaps({"es": {"title": "Hola"}}, ["en"]) == {"es": Missing.TEXT}
    assert gaps({"es": {"title": "Hola"}}, ["en"], has_text=False) == {}
    assert gaps({"es": {"description": "Hola"}}, ["en"]) == {"es": Missing.TITLE}
    assert gaps(IN_SPANISH, ["en", "es"]) == {}
    assert missing("es-MX", True, None, ("en", "es"), ["es"]) == {}


# ---------------------------------------------------------------- subscribers


@on_sqlite
def test_a_translation_moves_the_event_once_and_touches_no_other_language(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    change = OverrideDraft(original_start=SECOND, venue_name="Town hall")
    with database.writing() as session:
        event = store.add(session, weekly(overrides=(change,)), [cast.alder], publishing, NOW)
        before = {row.locale: row.ics for row in session.exec(select(Rendered))}
        revision = event.revision
        for _ in range(2):
            draft = EventDraft.model_validate({**dict(weekly()), "translations": IN_SPANISH})
            store.revise(session, event, draft, [cast.alder], publishing, NOW + timedelta(hours=1))
        assert event.revision == revision + 1
        after = {row.locale: row.ics for row in session.exec(select(Rendered))}
        assert after["es"].count("SUMMARY;LANGUAGE=es:Noche de herramientas") == 2
        assert words(after["en"]) == words(before["en"]) and "Noche" not in after["en"]
        store.revise(session, event, weekly(), [cast.alder], publishing, NOW + timedelta(hours=2))
        gone = {row.locale: words(row.ics) for row in session.exec(select(Rendered))}
        assert gone == {locale: words(text) for locale, text in before.items()}


def words(ics: str) -> list[str]:
    """Without what moves when anything does."""
    moving = ("SEQUENCE", "DTSTAMP", "LAST-MODIFIED", "CREATED")
    return [line for line in ics.split("\r\n") if not line.startswith(moving)]


def test_an_event_without_translations_is_written_as_before_in_every_language() -> None:
    plain_, with_none = told_weekly(), told_weekly(translations=None)
    assert lines(plain_, SPANISH) == lines(with_none, SPANISH)
    assert "SUMMARY;LANGUAGE=en:Tool night" in lines(plain_, SPANISH)
    assert "DESCRIPTION;LANGUAGE=en:Bring" in lines(plain_, SPANISH)


# ---------------------------------------------------------------- nothing is lost


def test_lists_find_translated_words_and_show_the_title_in_the_readers_language(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    party = OverrideDraft(original_start=SECOND, title="Party")
    long = "A text that fills all there is. " * 300
    with database.writing() as session:
        draft = weekly(description=long, translations=IN_SPANISH, overrides=(party,))
        store.add(session, draft, [cast.alder], publishing, NOW)
        found, _ = upcoming(session, Selection(text="Herramientas enchufe"), NOW, size=2)
    assert [one.titled("es") for one in found] == [("Noche de herramientas", "es"), ("Party", "en")]
    assert [one.titled("en") for one in found] == [("Tool night", "en"), ("Party", "en")]
    assert len({hash(one) for one in found}) == 2, "mails keep what they made of each"


@on_sqlite
def test_a_version_and_this_and_following_have_the_translations_too(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        event = store.add(session, weekly(translations=IN_SPANISH), [cast.alder], publishing, NOW)
        told_then = changes.snapshot(session, event)
        assert changes.draft_in(told_then).worded == IN_SPANISH
        assert store.following(session, event, SECOND).worded == IN_SPANISH
        del told_then["event"]["translations"]
        assert changes.draft_in(told_then).worded == {}, "a version from before there were any"


def test_what_was_translated_here_survives_a_calendar_that_knows_no_languages() -> None:
    local = weekly(translations=IN_SPANISH)
    for upstream in (None, remembered(weekly()), without(remembered(weekly()))):
        result = merged(local, upstream, weekly(title="Saw night"))
        assert (result.title, result.worded) == ("Saw night", IN_SPANISH)


def without(memory: dict[str, Any]) -> dict[str, Any]:
    """As it was remembered before there were translations."""
    return {name: said for name, said in memory.items() if name != "translations"}


def test_a_translation_that_came_with_a_calendar_follows_it() -> None:
    first, second = (weekly(translations={"es": {"title": title}}) for title in ("Noche", "Tarde"))
    assert merged(first, remembered(first), second).worded == {"es": {"title": "Tarde"}}
    assert merged(first, remembered(first), weekly()).worded == {}


@on_sqlite
def test_an_export_brings_them_back_and_public_calendars_do_not_have_them_twice(
    database: Database, publishing: Publishing, cast: Cast
) -> None:
    text = "Uno; dos, tres\\cuatro\n\nY **cinco**. " + "Un texto largo, con ñ. " * 20
    given = {"ca": {"title": "Nit d’eines"}, "es": {"title": "Noche; de, todo", "description": text.strip()}}
    with database.writing() as session:
        store.add(session, weekly(translations=given), [cast.alder], publishing, NOW)
    exported = export(database, publishing)
    flat = exported.replace(b"\r\n ", b"")
    assert b"X-BRANCHLINE-TITLE;LANGUAGE=ca:Nit d" in flat and b"SUMMARY;LANGUAGE=en:Tool night" in flat
    with database.writing() as session:
        for row in session.exec(select(Rendered)):
            assert "X-BRANCHLINE-TITLE" not in row.ics
        for event in session.exec(select(Event)):
            session.delete(event)
    report = imports.import_events(database, BytesIO(exported), publishing=publishing, now=NOW, branch=None)
    assert (report.added, report.refusals) == (1, [])
    with database.reading() as session:
        assert session.exec(select(Event)).one().translations == given
    again = export(database, publishing)
    assert stamped(again) == stamped(exported)


def export(database: Database, publishing: Publishing) -> bytes:
    with database.reading() as session:
        return b"".join(imports.export_events(session, publishing, "All"))


def stamped(calendar: bytes) -> list[bytes]:
    moving = (b"SEQUENCE", b"DTSTAMP", b"LAST-MODIFIED", b"CREATED")
    return [line for line in calendar.split(b"\r\n") if not line.startswith(moving)]


def test_they_move_to_the_other_engine(
    database: Database, engines: Engines, publishing: Publishing, cast: Cast
) -> None:
    with database.writing() as session:
        store.add(session, weekly(translations=IN_SPANISH), [cast.alder], publishing, NOW)
    other = "postgresql" if database.url.startswith("sqlite") else "sqlite"
    target = Database(engines.blank_url(other), size=2)
    move.move(database, target)
    with target.reading() as session:
        assert session.exec(select(Event)).one().translations == IN_SPANISH
    target.dispose()
