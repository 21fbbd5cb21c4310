"""Ben asks for mails, confirms by the link that is mailed to him, changes and stops them."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pytest
from sqlmodel import select
from starlette.applications import Starlette
from starlette.testclient import TestClient

from events.calendars import store
from events.calendars.content import Publishing
from events.calendars.drafts import EventDraft
from events.calendars.models import Event, State
from events.config import Settings
from events.db import Database
from events.messages.models import OutgoingMail
from events.places.geo import Point
from events.subscriptions import choices
from events.subscriptions.choices import Choice
from events.subscriptions.links import token_of
from events.subscriptions.models import Frequency, Subscription
from tests.conftest import NOW, Cast, branch, browser, running

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
BEN = "ben@example.org"
WHOLE = {
    "email": BEN,
    "near": "60614",
    "within": "10mi",
    "branch": ["birch"],
    "topic": ["repair"],
    "frequency": "weekly",
    "urgent": "yes",
    "newsletter": "yes",
}


@pytest.fixture(autouse=True)
def gazetteer(small_gazetteer: Path, settings: Settings) -> None:
    shutil.copy(small_gazetteer, settings.gazetteer)


@pytest.fixture
def tool_night(database: Database, cast: Cast, publishing: Publishing) -> int:
    return added(database, cast, publishing)


def added(database: Database, cast: Cast, publishing: Publishing, **more: object) -> int:
    soon = datetime.now(UTC).replace(tzinfo=None, microsecond=0) + timedelta(days=7)
    values = {"title": "Tool night", "start": soon, "end": soon + timedelta(hours=2), "state": "published"}
    draft = EventDraft.model_validate(
        {"timezone": "America/Chicago", "topics": ("Repair",), **values, **more}
    )
    with database.writing() as session:
        return store.add(session, draft, [cast.alder], publishing, NOW).id or 0


def mails(database: Database) -> list[OutgoingMail]:
    with database.reading() as session:
        return list(session.exec(select(OutgoingMail).order_by("id")))


def subscriptions(database: Database) -> list[Subscription]:
    with database.reading() as session:
        return list(session.exec(select(Subscription)))


def held(database: Database) -> Choice:
    with database.reading() as session:
        return choices.choice_of(session, session.exec(select(Subscription)).one())


def link_in(mail: OutgoingMail) -> str:
    [found] = re.findall(r"http://localhost:8000(\S*/subscriptions/\S+)", mail.body)
    return str(found)


def button(page: str, action: str) -> dict[str, str]:
    """The hidden fields of the form that is sent to an address ending so."""
    [form] = re.findall(rf'<form[^>]* action="[^"]*{action}"[^>]*>(.*?)</form>', page, re.DOTALL)
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form))


def confirmed(ben: TestClient, database: Database, **more: object) -> str:
    """Ben has asked and confirmed; returns the address of his subscription."""
    assert ben.post("/subscribe", data={**WHOLE, **more}).status_code == 303
    path = link_in(mails(database)[-1])
    page = ben.get(path).text
    assert ben.post(f"{path}/confirmation", data=button(page, "/confirmation")).status_code == 303
    return path


# ---------------------------------------------------------------- asking


def test_ben_asks_opens_the_link_and_confirms(ben: TestClient, database: Database, tool_night: int) -> None:
    answer = ben.post("/subscribe", data=WHOLE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/subscribe/sent")
    assert "one a day" in ben.get("/subscribe/sent").text
    [mail] = mails(database)
    assert (mail.recipient, mail.kind, mail.unsubscribe_url) == (BEN, "confirmation", "")
    path = link_in(mail)

    page = ben.get(path)
    for words in ("Every week", "At once", "The newsletter", "within 10 mi", "Club Abedul", "Repair"):
        assert words in page.text, words
    assert held(database).is_empty, "opening it, as mail scanners do, confirms nothing"
    answer = ben.post(f"{path}/confirmation", data=button(page.text, "/confirmation"))
    assert answer.headers["location"] == f"{path}?done=confirmed"
    choice = held(database)
    assert (choice.point, choice.frequency, choice.urgent) == (Point(41.92, -87.64), Frequency.WEEKLY, True)
    assert choice.within is not None and round(choice.within.mi) == 10 and choice.newsletter
    assert choice.timezone == "America/Chicago"
    page = ben.get(answer.headers["location"])
    assert "From now on you get what stands below" in page.text and "The next e-mail comes on" in page.text
    assert "set-cookie" not in page.headers


def test_the_mail_says_nothing_that_was_typed_and_speaks_the_language_of_the_page(
    ben: TestClient, database: Database, tool_night: int
) -> None:
    ben.post("/es/subscribe", data=WHOLE)
    [mail] = mails(database)
    said = f"{mail.subject} {mail.body} {mail.html}"
    assert "Hazel Clubs" in said and "60614" not in said and "Chicago" not in said and "Birch" not in said
    assert 'lang="es"' in mail.html and link_in(mail).startswith("/es/subscriptions/")
    assert '<html lang="es"' in ben.get(link_in(mail)).text
    [subscription] = subscriptions(database)
    assert subscription.language == "es"


def test_an_address_is_kept_in_one_form(ben: TestClient, database: Database, cast: Cast) -> None:
    same = {
        " Ben@Example.ORG ": "ben@example.org",
        "ben+tools@example.org": "ben+tools@example.org",
        "ben@müller.example": "ben@xn--mller-kva.example",
        "o'brien@example.org": "o'brien@example.org",
    }
    for email in (*same, *same.values()):
        assert ben.post("/subscribe", data={"email": email, "newsletter": "on"}).status_code == 303
    assert [one.email for one in subscriptions(database)] == list(same.values())


FAULTS = [
    ("email", "", "Please fill this in."),
    ("email", '"ben smith"@example.org', "name@example.org"),
    ("email", "ben@example.org\nBcc: all@example.org", "name@example.org"),
    ("email", "=?utf-8?q?ben?=@example.org", "name@example.org"),
    ("email", "ben@-.org", "after the @"),
    ("near", "nowhere-at-all", "Look for a slip in it"),
    ("near", "91,0", "latitude"),
    ("within", "abc", "25mi"),
    ("within", "-3", "above 0"),
    ("topic", "no-such-topic", "There is no topic called"),
    ("branch", "no-such-branch", "There is no branch called"),
    ("named", "No such club", "We know no branch of that name"),
    ("frequency", "hourly", "This is not one of the choices"),
]


def test_what_is_wrong_is_said_and_what_was_typed_is_kept(
    ben: TestClient, database: Database, tool_night: int
) -> None:
    for field, value, sentence in FAULTS:
        answer = ben.post("/subscribe", data={**WHOLE, field: value})
        assert answer.status_code == 422
        page = unescape(answer.text)
        assert sentence in page and "There is a problem" in page, value
        assert field == "email" or f'value="{BEN}"' in page
        assert field == "near" or 'value="60614"' in page
    assert mails(database) == [] and subscriptions(database) == []


def test_everything_that_is_wrong_is_said_at_once(ben: TestClient, cast: Cast) -> None:
    wrong = {"email": "ben", "near": "nowhere-at-all", "within": "abc", "frequency": "hourly"}
    page = ben.post("/subscribe", data=wrong).text
    assert re.findall(r'<li><a href="#(\w+)">', page) == list(wrong)


def test_who_chooses_nothing_is_asked_what_they_want(ben: TestClient, database: Database, cast: Cast) -> None:
    answer = ben.post("/subscribe", data={"email": BEN, "near": "60614", "frequency": "never"})
    assert answer.status_code == 422 and "You have chosen nothing yet" in answer.text
    assert subscriptions(database) == []


def test_without_a_word_about_it_the_digest_is_weekly(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    ben.post("/subscribe", data={"email": BEN, "near": "41.923456,-87.641234"})
    [subscription] = subscriptions(database)
    choice = choices.pending_of(subscription)
    assert choice is not None and choice.frequency == Frequency.WEEKLY
    assert choice.place == "41.92,-87.64", "no more exactly than the grid"
    assert choice.within is not None and round(choice.within.mi) == 25


def test_a_branch_is_found_by_its_name(ben: TestClient, database: Database, cast: Cast) -> None:
    ben.post("/subscribe", data={"email": BEN, "named": "club abedul", "frequency": "daily"})
    [subscription] = subscriptions(database)
    choice = choices.pending_of(subscription)
    assert choice is not None and choice.branches == (cast.birch.id,)


def test_of_several_branches_of_that_name_each_can_be_ticked(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    answer = ben.post("/subscribe", data={"email": BEN, "named": "club", "frequency": "daily"})
    assert answer.status_code == 422 and "Several branches are called like that" in answer.text
    assert 'name="branch" value="alder">' in answer.text and 'name="branch" value="birch">' in answer.text


def test_the_first_reading_of_a_place_answers_and_the_others_are_links(ben: TestClient, cast: Cast) -> None:
    page = ben.get("/subscribe?near=Springfield&topic=").text
    assert "Did you mean another place?" in page
    assert re.search(r'href="/subscribe\?near=Springfield,\+Illinois', page)


def test_a_program_that_fills_in_everything_is_thanked_and_forgotten(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    answer = ben.post(
        "/subscribe", data={"email": BEN, "newsletter": "yes", "website": "https://spam.example"}
    )
    assert answer.headers["location"] == "/subscribe/sent"
    assert mails(database) == [] and subscriptions(database) == []


def test_where_nothing_is_near_yet_the_page_says_so_before_the_button(
    ben: TestClient, database: Database, tool_night: int
) -> None:
    for near, is_empty in (("62701", True), ("60614", False)):
        ben.post("/subscribe", data={"email": f"{near}@example.org", "near": near})
        page = ben.get(link_in(mails(database)[-1])).text
        assert ("There is nothing near that place yet" in page) == is_empty


# ---------------------------------------------------------------- how often


@pytest.fixture
def strict(settings: Settings) -> Iterator[Starlette]:
    with running(replace(settings, rate_limits=True)) as app:
        yield app


def test_one_address_gets_one_mail_a_day_however_often_it_is_typed(
    strict: Starlette, database: Database, tool_night: int
) -> None:
    answers = set()
    for number in range(40):
        client = browser_at(strict, number)
        data = {"email": BEN.title() if number % 2 else BEN, "frequency": "daily" if number else "weekly"}
        answers.add(client.post("/subscribe", data=data).headers["location"])
        client.post(f"/events/{tool_night}/follow", data={"email": BEN})
    assert answers == {"/subscribe/sent"}
    assert len(mails(database)) == 1 and len(subscriptions(database)) == 1
    page = browser(strict).get(link_in(mails(database)[0])).text
    assert "Every day" in page and "Tool night" in page, (
        "the mail of the morning shows what was asked for last"
    )


def test_an_address_that_is_subscribed_is_answered_like_any_other(
    strict: Starlette, database: Database, cast: Cast
) -> None:
    def answer(number: int, email: str) -> tuple[int, str]:
        found = browser_at(strict, number).post("/subscribe", data={"email": email, "newsletter": "yes"})
        return found.status_code, found.headers["location"]

    first = answer(1, BEN)
    with database.writing() as session:
        choices.confirm(session, session.exec(select(Subscription)).one(), NOW)
    assert answer(2, BEN) == answer(3, "nobody@example.org") == first


def test_who_stopped_the_mails_can_ask_anew_on_the_same_day(
    strict: Starlette, database: Database, cast: Cast
) -> None:
    ben = browser(strict)
    path = confirmed(ben, database, topic=[])
    ben.post(f"{path}/unsubscription")
    ben.post("/subscribe", data=WHOLE | {"topic": []})
    assert len(mails(database)) == 2 and link_in(mails(database)[1]) != path


def test_one_visitor_asks_ten_times_an_hour(strict: Starlette, cast: Cast) -> None:
    client = browser_at(strict, 1)
    statuses = [
        client.post("/subscribe", data={"email": f"{number}@example.org"}).status_code for number in range(11)
    ]
    assert statuses == [303] * 10 + [429]


def browser_at(app: Starlette, number: int) -> TestClient:
    return TestClient(
        app,
        base_url="http://localhost",
        headers={"Sec-Fetch-Site": "same-origin"},
        follow_redirects=False,
        client=(f"198.51.100.{number}", 4711),
    )


# ---------------------------------------------------------------- confirming


def test_what_is_confirmed_is_what_was_seen(ben: TestClient, database: Database, cast: Cast) -> None:
    ben.post("/subscribe", data={"email": BEN, "frequency": "monthly"})
    path = link_in(mails(database)[0])
    seen = button(ben.get(path).text, "/confirmation")
    ben.post("/subscribe", data={"email": BEN, "frequency": "daily"})
    answer = ben.post(f"{path}/confirmation", data=seen)
    assert answer.status_code == 422 and "look at it once more" in answer.text and "Every day" in answer.text
    assert held(database).is_empty
    assert ben.post(f"{path}/confirmation", data=button(answer.text, "/confirmation")).status_code == 303
    assert held(database).frequency == Frequency.DAILY


def test_pressing_the_button_twice_confirms_once(ben: TestClient, database: Database, cast: Cast) -> None:
    ben.post("/subscribe", data={"email": BEN, "newsletter": "yes"})
    path = link_in(mails(database)[0])
    seen = button(ben.get(path).text, "/confirmation")
    for _ in range(2):
        assert ben.post(f"{path}/confirmation", data=seen).headers["location"] == f"{path}?done=confirmed"


def test_a_second_choice_says_that_it_takes_the_place_of_the_first_and_can_be_refused(
    ben: TestClient, database: Database, tool_night: int
) -> None:
    path = confirmed(ben, database)
    ben.post("/subscribe", data={"email": BEN, "frequency": "daily"})
    page = ben.get(path).text
    assert "replaces what you chose before" in page and "What you get now" in page
    assert ben.post(f"{path}/refusal").headers["location"] == f"{path}?done=refused"
    assert held(database).frequency == Frequency.WEEKLY
    assert "What you get by e-mail" in ben.get(path).text


def test_what_nobody_asked_for_goes_with_its_row(ben: TestClient, database: Database, cast: Cast) -> None:
    ben.post("/subscribe", data={"email": BEN, "newsletter": "yes"})
    path = link_in(mails(database)[0])
    answer = ben.post(f"{path}/refusal")
    assert answer.status_code == 200 and "no more e-mails" in answer.text
    assert subscriptions(database) == []


def test_the_newsletter_of_the_home_page_is_added_to_what_comes_already(
    ben: TestClient, database: Database, tool_night: int
) -> None:
    path = confirmed(ben, database, newsletter="")
    fields = button(ben.get("/").text, "/subscribe")
    assert ben.post("/subscribe", data={**fields, "email": BEN}).status_code == 303
    page = ben.get(path).text
    assert "What you get already is part of it" in page
    ben.post(f"{path}/confirmation", data=button(page, "/confirmation"))
    choice = held(database)
    assert choice.newsletter and choice.frequency == Frequency.WEEKLY and choice.point is not None


# ---------------------------------------------------------------- following


def test_an_event_is_followed_by_mail(ben: TestClient, database: Database, tool_night: int) -> None:
    assert f'href="/events/{tool_night}/follow"' in ben.get(f"/events/{tool_night}").text
    assert "Tool night" in ben.get(f"/events/{tool_night}/follow").text
    assert ben.post(f"/events/{tool_night}/follow", data={"email": "ben"}).status_code == 422
    answer = ben.post(f"/events/{tool_night}/follow", data={"email": BEN})
    assert answer.headers["location"] == "/subscribe/sent"
    [mail] = mails(database)
    assert "Tool night" not in f"{mail.subject}{mail.body}{mail.html}"
    path = link_in(mail)
    ben.post(f"{path}/confirmation", data=button(ben.get(path).text, "/confirmation"))
    assert held(database).events == (tool_night,)
    page = ben.get(path).text
    assert "Tool night" in page and f'action="{path}/events/{tool_night}/removal"' in page


def test_an_event_is_followed_no_more_and_with_the_last_all_ends(
    ben: TestClient, database: Database, cast: Cast, publishing: Publishing
) -> None:
    numbers = [added(database, cast, publishing, title=title) for title in ("Tool night", "Bike night")]
    for number in numbers:
        ben.post(f"/events/{number}/follow", data={"email": BEN})
    path = link_in(mails(database)[0])
    ben.post(f"{path}/confirmation", data=button(ben.get(path).text, "/confirmation"))
    first, last = numbers
    assert ben.post(f"{path}/events/{first}/removal").headers["location"] == f"{path}?done=unfollowed"
    assert ben.post(f"{path}/events/{first}/removal").status_code == 404
    answer = ben.post(f"{path}/events/{last}/removal")
    assert answer.status_code == 200 and "no more e-mails" in answer.text
    assert subscriptions(database) == []


def test_of_an_event_that_was_withdrawn_nothing_is_told(
    ben: TestClient, database: Database, tool_night: int
) -> None:
    path = confirmed(ben, database, topic=[])
    ben.post(f"/events/{tool_night}/follow", data={"email": BEN})
    ben.post(f"{path}/confirmation", data=button(ben.get(path).text, "/confirmation"))
    with database.writing() as session:
        session.get_one(Event, tool_night).state = State.DRAFT
    page = ben.get(path).text
    assert "Tool night" not in page and "An event that is not there any more" in page


def test_what_is_over_or_cancelled_cannot_be_followed(
    ben: TestClient, database: Database, cast: Cast, publishing: Publishing
) -> None:
    over = added(database, cast, publishing, start=datetime(2025, 1, 7, 19), end=datetime(2025, 1, 7, 21))
    cancelled = added(database, cast, publishing)
    with database.writing() as session:
        session.get_one(Event, cancelled).cancel("Snow.", NOW)
    for number in (over, cancelled):
        for answer in (
            ben.get(f"/events/{number}/follow"),
            ben.post(f"/events/{number}/follow", data={"email": BEN}),
        ):
            assert answer.status_code == 409 and "nothing more to tell" in answer.text
        assert "/follow" not in ben.get(f"/events/{number}").text
    assert ben.get("/events/999/follow").status_code == 404
    assert mails(database) == []


def test_the_page_of_a_branch_leads_to_its_mails(ben: TestClient, database: Database, cast: Cast) -> None:
    assert 'href="/subscribe?branch=birch&amp;add=yes#mail"' in ben.get("/branches/birch").text
    page = ben.get("/subscribe?branch=birch&add=yes").text
    assert 'name="branch" value="birch" checked' in page and 'name="add" value="yes" checked' in page


# ---------------------------------------------------------------- changing


def test_ben_changes_what_he_gets(ben: TestClient, database: Database, tool_night: int) -> None:
    path = confirmed(ben, database)
    page = ben.get(path).text
    place = held(database).place
    assert f'value="{place}"' in page and 'name="branch" value="birch" checked' in page
    assert 'value="weekly" checked' in page and 'name="topic" value="repair" checked' in page
    data = {"near": place, "within": "10mi", "frequency": "daily", "newsletter": "yes", "language": "es"}
    answer = ben.post(path, data=data)
    assert answer.headers["location"] == f"{path}?done=changed"
    choice = held(database)
    assert (choice.frequency, choice.language, choice.urgent) == (Frequency.DAILY, "es", False)
    assert (choice.branches, choice.topics, choice.point) == ((), (), Point(41.92, -87.64))
    assert "Your choice is saved" in ben.get(answer.headers["location"]).text


def test_the_place_may_change_and_may_go(ben: TestClient, database: Database, cast: Cast) -> None:
    path = confirmed(ben, database, topic=[])
    ben.post(path, data={"near": "28004", "frequency": "weekly"})
    assert held(database).timezone == "Europe/Madrid"
    ben.post(path, data={"near": "", "within": "10mi", "frequency": "weekly"})
    choice = held(database)
    assert choice.is_everywhere and choice.within is None and choice.place == ""


def test_what_is_wrong_with_a_change_is_said_and_kept(
    ben: TestClient, database: Database, tool_night: int
) -> None:
    path = confirmed(ben, database)
    answer = ben.post(path, data={"near": "nowhere-at-all", "within": "abc", "frequency": "daily"})
    assert answer.status_code == 422 and answer.headers["cache-control"] == "no-store"
    assert 'value="nowhere-at-all"' in answer.text and 'value="abc"' in answer.text
    assert 'value="daily" checked' in answer.text and held(database).frequency == Frequency.WEEKLY
    answer = ben.post(path, data={"frequency": "never"})
    assert answer.status_code == 422 and "You have chosen nothing yet" in answer.text


def test_a_place_whose_name_is_read_differently_today_stays_where_it_was(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    path = confirmed(ben, database, topic=[])
    with database.writing() as session:
        session.exec(select(Subscription)).one().place = "Nowhere at all"
    assert ben.post(path, data={"near": "Nowhere at all", "frequency": "daily"}).status_code == 303
    assert held(database).point == Point(41.92, -87.64)


# ---------------------------------------------------------------- stopping


def test_opening_the_link_to_stop_stops_nothing_and_its_button_does(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    path = confirmed(ben, database, topic=[])
    assert "Stop all e-mails from us?" in ben.get(f"{path}/unsubscription").text
    ben.head(f"{path}/unsubscription")
    assert len(subscriptions(database)) == 1
    answer = ben.post(f"{path}/unsubscription")
    assert answer.status_code == 200 and 'href="/subscribe#mail"' in answer.text
    assert subscriptions(database) == []


@pytest.mark.parametrize("prefix", ["", "/es"])
def test_a_mail_program_stops_it_by_itself(
    app: Starlette, ben: TestClient, database: Database, cast: Cast, prefix: str
) -> None:
    """RFC 8058: without cookies, without a word where it comes from, and without following redirects."""
    path = confirmed(ben, database, topic=[])
    provider = TestClient(app, base_url="http://localhost", follow_redirects=False)
    answer = provider.post(f"{prefix}{path}/unsubscription", data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    assert subscriptions(database) == []
    assert provider.post(f"{prefix}{path}/unsubscription").status_code == 410


def test_nothing_else_is_taken_from_elsewhere(
    app: Starlette, ben: TestClient, database: Database, tool_night: int
) -> None:
    path = confirmed(ben, database)
    ben.post(f"/events/{tool_night}/follow", data={"email": BEN})
    before = held(database)
    for headers in ({}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        elsewhere = TestClient(app, base_url="http://localhost", headers=headers, follow_redirects=False)
        for address in (
            *(path, f"{path}/confirmation", f"{path}/refusal", f"{path}/events/{tool_night}/removal"),
            *("/subscribe", f"{path}/unsubscription/", f"{path}/x/unsubscription", "/unsubscription"),
            f"/events/{tool_night}/follow",
        ):
            assert elsewhere.post(address, data={"List-Unsubscribe": "One-Click"}).status_code == 403, address
        assert elsewhere.put(f"{path}/unsubscription").status_code == 403
    assert held(database) == before


def test_a_link_that_ended_or_never_was_says_so_and_leads_on(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    path = confirmed(ben, database, topic=[])
    ben.post(f"{path}/unsubscription")
    for gone in (path, "/subscriptions/1-abc", f"{path[:-1]}x"):
        for answer in (
            *(ben.get(gone), ben.get(f"{gone}/unsubscription"), ben.post(gone)),
            *(ben.post(f"{gone}/{what}") for what in ("confirmation", "refusal", "unsubscription")),
            ben.post(f"{gone}/events/1/removal"),
        ):
            assert answer.status_code == 410 and "This subscription has ended" in answer.text
            assert 'href="/subscribe"' in answer.text


def test_its_pages_are_for_its_owner_alone(ben: TestClient, database: Database, tool_night: int) -> None:
    ben.post("/subscribe", data=WHOLE)
    path = link_in(mails(database)[0])
    for page in (ben.get(path), ben.get(f"{path}/unsubscription"), ben.get("/subscriptions/1-abc")):
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["referrer-policy"] == "same-origin"
        assert '<meta name="robots" content="noindex">' in page.text and "canonical" not in page.text
        assert "set-cookie" not in page.headers


# ---------------------------------------------------------------- the page


def test_both_ways_follow_the_same_query(ben: TestClient, tool_night: int) -> None:
    page = unescape(ben.get("/subscribe?near=60614&within=10mi&topic=repair&branch=alder&access=free").text)
    assert "/events.ics?near=41.92,-87.64&within=10mi&branch=alder&topic=repair&access=free" in page
    assert page.count('name="topic" value="repair" checked') == 2
    assert page.count('name="branch" value="alder" checked') == 2
    assert page.count('name="near" value="60614"') == 2
    assert '<input type="hidden" name="access" value="free">' in page


@pytest.mark.parametrize("query", ["topic=no-such-topic", "branch=no-such-branch"])
def test_a_topic_or_branch_that_is_none_is_not_there(ben: TestClient, cast: Cast, query: str) -> None:
    for path in ("/subscribe", "/interests"):
        assert ben.get(f"{path}?{query}").status_code == 404


def test_a_place_that_is_not_known_has_no_addresses(ben: TestClient, cast: Cast) -> None:
    for query, status in (
        ("near=nowhere-at-all", 200),
        ("near=60614&within=abc", 422),
        ("online=maybe", 422),
    ):
        answer = ben.get(f"/subscribe?{query}")
        assert answer.status_code == status and "webcal:" not in answer.text, query


def test_who_follows_many_branches_loses_none_by_saving(
    ben: TestClient, database: Database, cast: Cast, settings: Settings
) -> None:
    with database.writing() as session:
        many = [branch(f"b{number}", f"B {number}", None) for number in range(choices.MOST)]
        session.add_all(many)
        session.flush()
        wanted = Choice(branches=tuple(one.id or 0 for one in many), frequency=Frequency.WEEKLY)
        found = choices.ask(session, BEN, wanted, NOW)
        choices.confirm(session, found, NOW)
        address = f"/subscriptions/{token_of(found, settings.secret_key)}"
    ticked = re.findall(r'name="branch" value="(b\d+)" checked', ben.get(address).text)
    assert ben.post(address, data={"branch": ticked, "frequency": "daily"}).status_code == 303
    with database.reading() as session:
        held = choices.choice_of(session, session.get_one(Subscription, found.id))
    assert (held.frequency, len(held.branches)) == (Frequency.DAILY, choices.MOST)
