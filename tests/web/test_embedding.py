"""Lists of ours in pages of others: anybody may frame them, nobody is known in them, and everything else stays shut."""

import re
from collections.abc import Mapping
from html import unescape
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from events.branches.models import Branch, FormerSlug, Status
from events.calendars import derived
from events.calendars.content import Publishing
from events.calendars.models import Event
from events.config import Settings
from events.db import Database
from events.palette import DARK_GROUNDS, IN_THE_DARK, LIGHT_GROUNDS, READABLE, contrast
from events.web.security import Guard
from tests.conftest import Cast
from tests.web.test_event_lists import THEN, added

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)

HERE = "http://localhost:8000"
FRAMES = ("/embed/events", "/embed/branches")


@pytest.fixture
def tool_night(database: Database, cast: Cast, publishing: Publishing) -> int:
    """At Alder, on the topic repair."""
    return added(database, publishing, cast.alder)


@pytest.fixture
def elsewhere(database: Database, cast: Cast, publishing: Publishing) -> int:
    """At Birch, on another topic."""
    return added(database, publishing, cast.birch, title="Noche", topics=("bikes",), rrule="", language="es")


def directives(headers: Mapping[str, str]) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in headers["content-security-policy"].split(";"))
    return {name: value for name, _, value in parts}


def link_called(page: str, words: str) -> str:
    [address] = re.findall(rf'<a[^>]* href="([^"]*)"[^>]*>{words}</a>', page)
    return unescape(address)


def oembed(client: TestClient, url: str, **more: object) -> dict[str, object]:
    answer = client.get("/oembed", params={"url": url, **{name: str(value) for name, value in more.items()}})
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def frame_of(html: object) -> dict[str, str]:
    """The attributes of the one frame, as a browser reads them."""
    [tag] = re.findall(r"<iframe ([^>]*)></iframe>", str(html))
    return {name: unescape(value) for name, value in re.findall(r'([a-z]+)="([^"]*)"', tag)}


# ---------------------------------------------------------------- frames


def test_anybody_may_frame_a_list_and_its_policy_is_strict_otherwise(
    ben: TestClient, tool_night: int
) -> None:
    for path in [*FRAMES, "/es/embed/events", "/embed/events?branch=nowhere"]:
        framed, page = ben.get(path).headers, ben.get("/events").headers
        assert "x-frame-options" not in framed
        assert directives(framed) == directives(page) | {"frame-ancestors": "*"}


def test_nothing_else_may_be_framed(ben: TestClient, cast: Cast) -> None:
    for path in ["/", "/events", "/embed", "/embed/other", "/embed/colours.css", "/sign-in"]:
        headers = ben.get(path).headers
        assert headers["x-frame-options"] == "DENY"
        assert directives(headers)["frame-ancestors"] == "'none'"


def test_a_list_is_the_same_for_everybody_and_may_be_kept(
    ana: TestClient, ben: TestClient, tool_night: int
) -> None:
    for path in (*FRAMES, f"/oembed?url={quote(HERE + '/events')}", "/embed.js", "/embed/colours.css"):
        hers, his = ana.get(path), ben.get(path)
        assert hers.text == his.text and "set-cookie" not in hers.headers
        assert re.fullmatch(r"public, max-age=\d+", hers.headers["cache-control"])


def test_no_view_behind_a_frame_ever_sees_a_cookie(settings: Settings) -> None:
    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(Request(scope).headers.get("cookie", "none"))(scope, receive, send)

    client = TestClient(Guard(told, settings), base_url="http://localhost", headers={"Cookie": "session=ana"})
    for path in (*FRAMES, "/embed/colours.css", "/embed.js", "/oembed"):
        assert client.get(path).text == "none"
    assert client.get("/embed").text == client.get("/events").text == "session=ana"


def test_the_reader_s_language_that_may_decide_on_a_country_is_told_to_caches(
    ben: TestClient, cast: Cast
) -> None:
    assert ben.get("/embed/events?near=60614").headers["vary"] == "Accept-Encoding, Accept-Language"
    assert ben.get("/embed/events").headers["vary"] == "Accept-Encoding"


def test_events_are_shown_by_day_with_their_zone_and_lead_out_of_the_frame(
    ben: TestClient, tool_night: int
) -> None:
    page = ben.get("/embed/events").text
    assert re.search(r"<h2[^>]*><time[^>]*>Tuesday, November 24, 2043</time></h2>", page)
    assert "Chicago time" in page and "Tool night" in page and "Hazel Clubs" in page
    assert '<base target="_top">' in page
    assert "<header" not in page and "<form" not in page and "sign-in" not in page


def test_what_is_cancelled_says_so(
    ben: TestClient, database: Database, tool_night: int, publishing: Publishing
) -> None:
    with database.writing() as session:
        event = session.get_one(Event, tool_night)
        event.cancel("The room is flooded", THEN)
        derived.save(session, event, publishing, THEN)
    page = ben.get("/embed/events").text
    assert "Cancelled" in page and "The room is flooded" in page


def test_events_take_the_filters_of_the_page_and_lead_to_it_with_them(
    ben: TestClient, tool_night: int, elsewhere: int
) -> None:
    for query in ["branch=alder", "topic=repair", "near=41.92,-87.65", "q=tool", "language=en"]:
        page = ben.get(f"/embed/events?{query}&theme=dark").text
        assert "Tool night" in page and "Noche" not in page
        assert link_called(page, "See all events") == f"/events?{query}"
        assert link_called(page, "Subscribe") == f"/subscribe?{query}"


def test_a_few_at_a_time_and_the_next_of_them_in_the_frame(ben: TestClient, tool_night: int) -> None:
    page = ben.get("/es/embed/events?items=2&branch=alder&theme=dark").text
    assert page.count('<li class="event">') == 2
    later = re.findall(r'<a href="([^"]*)" rel="next" target="_self">', page)
    assert [unescape(address) for address in later] == [
        "/es/embed/events?branch=alder&items=2&theme=dark&page=2"
    ]
    assert "8 de diciembre" in ben.get(unescape(later[0])).text


def test_one_event_with_its_dates(ben: TestClient, tool_night: int, elsewhere: int) -> None:
    page = ben.get(f"/embed/events?event={tool_night}").text
    assert '<h1 dir="auto">Tool night</h1>' in page and "Noche" not in page
    assert link_called(page, "See this event") == f"/events/{tool_night}"


def test_a_branch_that_was_renamed_is_still_shown_where_its_old_address_was_copied(
    ben: TestClient, database: Database, cast: Cast, tool_night: int
) -> None:
    with database.writing() as session:
        session.add(FormerSlug(slug="aspen", branch_id=cast.alder.id or 0))
    page = ben.get("/embed/events?branch=aspen").text
    assert "Alder Club: events" in page and "Tool night" in page
    assert link_called(page, "See all events") == "/events?branch=alder"


def test_where_nothing_is_on_that_is_said(ben: TestClient, cast: Cast) -> None:
    assert "Nothing is announced at the moment." in ben.get("/embed/events").text


def test_branches_are_a_directory_or_the_nearest_with_how_far_they_are(
    ben: TestClient, tool_night: int
) -> None:
    page = ben.get("/embed/branches").text
    assert "Alder Club" in page and "Club Abedul" in page and "Tool night" in page
    near = ben.get("/embed/branches?near=41.92,-87.65&within=10mi").text
    assert "Alder Club" in near and "Club Abedul" not in near and re.search(r"0\.\d mi", near)
    assert link_called(near, "See all branches") == "/branches?near=41.92,-87.65&within=10mi"
    spanish = ben.get("/embed/branches?language=es").text
    assert "Club Abedul" in spanish and "Alder Club" not in spanish


def test_branches_of_a_name_are_found_in_a_frame_too(ben: TestClient, cast: Cast) -> None:
    assert "Calle del Pez" in ben.get("/embed/branches?near=Club+Abedul").text


def test_a_branch_that_has_closed_says_in_a_frame_who_took_over(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        closed = session.get_one(Branch, cast.birch.id)
        closed.status, closed.successor_id = Status.CLOSED, cast.alder.id
        closed.stand_at(None)
    page = ben.get("/embed/branches?near=Club+Abedul").text
    assert "This branch has closed." in page
    assert link_called(page, "<bdi>Alder Club</bdi>") == "/branches/alder"


def test_what_cannot_be_shown_is_said_in_the_frame(ben: TestClient, cast: Cast) -> None:
    for asked, status, sentence in [
        ("events?theme=pink", 422, "“theme” can be light, dark or auto, not “pink”."),
        ("branches?theme=pink&brand=12", 422, "“12” is not a colour."),
        ("events?accent=%3Cb%3E", 422, "“&lt;b&gt;” is not a colour."),
        ("events?items=0", 422, "“items” can be a number from 1 to 50, not “0”."),
        ("events?items=51", 422, "“items” can be a number from 1 to 50, not “51”."),
        ("events?event=x", 422, "“event” is the number of an event"),
        ("events?page=0", 422, "“0” is not a page number."),
        ("events?within=abc&near=41.9,-87.6", 422, "“abc”"),
        ("events?from=2043-02-02&to=2043-01-01", 422, "Please swap them."),
        ("events?near=91,0", 422, "91"),
        ("events?q=%ff", 422, "not UTF-8"),
        ("branches?open=later", 422, "“open” can be now or week"),
        ("events?branch=nowhere", 404, "There is no branch at this address."),
        ("events?topic=nothing", 404, "There is no topic called “nothing”."),
        ("events?event=999", 404, "There is no event at this address."),
        ("branches?page=2", 404, "There is no page 2 of this list."),
    ]:
        answer = ben.get(f"/embed/{asked}")
        assert answer.status_code == status and sentence in answer.text
        assert "<header" not in answer.text and "<form" not in answer.text
        assert "public" not in answer.headers["cache-control"]


def test_what_is_wrong_in_a_dark_frame_is_said_in_the_dark(ben: TestClient, cast: Cast) -> None:
    assert "/static/css/all-dark." in ben.get("/embed/events?branch=nowhere&theme=dark").text


def test_a_frame_that_no_view_can_answer_is_no_page_of_ours_either(ben: TestClient, cast: Cast) -> None:
    answer = ben.post("/embed/events")
    assert answer.status_code == 405 and "<header" not in answer.text and "<form" not in answer.text


# ---------------------------------------------------------------- colours and scripts


def test_a_theme_is_a_sheet(ben: TestClient, cast: Cast) -> None:
    for theme, sheet, scheme in [
        ("", "all", "light dark"),
        ("light", "all-light", "light"),
        ("dark", "all-dark", "dark"),
    ]:
        page = ben.get(f"/embed/events?theme={theme}").text
        assert re.search(rf'href="/static/css/{sheet}\.[0-9a-f]+\.css"', page)
        assert f'<meta name="color-scheme" content="{scheme}">' in page
        assert "colours.css" not in page


def test_words_in_the_colours_that_were_asked_for_can_be_read(ben: TestClient, cast: Cast) -> None:
    for written in ["FFEE88", "%23fe8"]:
        [address] = re.findall(
            r'href="(/embed/colours.css[^"]*)"', ben.get(f"/es/embed/events?brand={written}").text
        )
        answer = ben.get(unescape(address))
        assert answer.headers["content-type"].startswith("text/css")
        assert "--brand-fill:#ffee88;--on-brand:#000000" in answer.text
        light, dark = re.findall(r"--brand-ink:(#[0-9a-f]{6})", answer.text)
        assert min(contrast(light, ground) for ground in LIGHT_GROUNDS) >= READABLE
        assert min(contrast(dark, ground) for ground in DARK_GROUNDS) >= IN_THE_DARK
        assert answer.text.index("prefers-color-scheme") > answer.text.index(light)


def test_where_it_is_always_dark_the_device_is_not_asked(ben: TestClient, cast: Cast) -> None:
    sheet = ben.get("/embed/colours.css?brand=0b5d4b&theme=dark").text
    assert "@media" not in sheet and len(re.findall("--brand-ink:", sheet)) == 1


def test_nothing_else_gets_into_the_sheet(ben: TestClient, cast: Cast) -> None:
    answer = ben.get("/embed/colours.css?brand=red}body{display:none")
    assert answer.status_code == 422 and "display:none}" not in answer.text


def test_the_script_has_one_address_and_any_page_may_load_it(ben: TestClient, cast: Cast) -> None:
    answer = ben.get("/embed.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert "origin" in answer.text and "cookie" not in answer.text


# ---------------------------------------------------------------- the page that gives the line


def line_of(page: str) -> str:
    [line] = re.findall(r"<textarea[^>]*>([^<]*)</textarea>", page)
    return unescape(line)


def test_the_line_shows_what_was_chosen(ben: TestClient, tool_night: int) -> None:
    answer = ben.get(
        "/es/embed?show=events&near=41.92,-87.65&within=40km&branch=alder&topic=repair&q=saw&theme=dark"
        "&brand=%237a1f2b&accent=%23ffd166"
    )
    assert answer.status_code == 200
    line = line_of(answer.text)
    frame = frame_of(line)
    address = urlsplit(frame["src"])
    assert address.geturl().startswith(f"{HERE}/es/embed/events?")
    assert parse_qs(address.query) == {
        "near": ["41.92,-87.65"], "within": ["40km"], "branch": ["alder"], "topic": ["repair"], "q": ["saw"],
        "theme": ["dark"], "brand": ["7a1f2b"], "accent": ["ffd166"],
    }  # fmt: skip
    assert frame["width"] == "100%" and frame["title"].endswith(" – Hazel Clubs")
    assert line.endswith(f'<script src="{HERE}/embed.js" async></script>')
    assert ben.get(f"{address.path}?{address.query}").status_code == 200
    assert frame_of(answer.text)["src"] == f"{address.path}?{address.query}"


def test_the_page_shows_its_own_frame_and_no_other(ben: TestClient, cast: Cast) -> None:
    own, others = directives(ben.get("/embed").headers), directives(ben.get("/events").headers)
    assert own == others | {"frame-src": "'self'"}


def test_without_a_choice_it_shows_all_events_in_our_own_colours(ben: TestClient, cast: Cast) -> None:
    page = ben.get("/embed").text
    assert frame_of(line_of(page))["src"] == f"{HERE}/embed/events"
    assert re.search(r'id="own"[^>]* checked', page)
    with_own = "/embed?show=events&own=yes&brand=%23ff0000&accent=zz"
    assert frame_of(line_of(ben.get(with_own).text))["src"] == f"{HERE}/embed/events"


def test_branches_are_asked_for_by_what_they_know(ben: TestClient, cast: Cast) -> None:
    page = ben.get("/embed?show=branches&near=60614&country=US&topic=&access=parking&q=x").text
    assert frame_of(line_of(page))["src"] == f"{HERE}/embed/branches?near=60614&country=US&access=parking"


def test_a_branch_is_added_by_its_name_and_nothing_it_is_called_ends_the_line(
    ben: TestClient, database: Database, cast: Cast
) -> None:
    with database.writing() as session:
        branch = session.merge(cast.alder)
        branch.name = 'Alder "><script>alert(1)</script> & Ash'
        branch.derive_keys()
    page = ben.get("/embed?show=events&branch=alder&named=Club+Abedul").text
    line = line_of(page)
    assert frame_of(line)["src"] == f"{HERE}/embed/events?branch=alder&branch=birch"
    assert line.count("<script") == 1 and "alert(1)</script>" not in page
    assert 'Alder "><script>' in frame_of(line)["title"]


def test_what_cannot_be_read_is_said_and_what_was_typed_is_kept(ben: TestClient, cast: Cast) -> None:
    for query, sentence in [
        ("show=people", "This is not one of the choices."),
        ("theme=pink", "“theme” can be light, dark or auto"),
        ("brand=zz", "“zz” is not a colour."),
        ("within=abc&near=41.9,-87.6", "“abc”"),
        ("near=91,0", "91"),
        ("from=2043-02-30", "is not a date"),
        ("show=branches&open=later", "“open” can be now or week"),
    ]:
        answer = ben.get(f"/embed?{query}&language=es")
        assert answer.status_code == 422 and sentence in answer.text
        assert 'name="language" value="es"' in answer.text and "<iframe" not in answer.text
        assert "abc" not in query or 'name="within" value="abc"' in answer.text


def test_a_branch_that_is_not_there_is_not_offered(ben: TestClient, cast: Cast) -> None:
    assert ben.get("/embed?branch=nowhere").status_code == 404


def test_lists_lead_to_the_page(ben: TestClient, tool_night: int) -> None:
    for page, leads_to in [
        ("/events?branch=alder&q=tool", "/embed?branch=alder&q=tool"),
        ("/branches/alder", "/embed?branch=alder"),
        ("/es/topics/repair", "/es/embed?topic=repair"),
    ]:
        assert f'href="{leads_to}"' in unescape(ben.get(page).text)


# ---------------------------------------------------------------- oEmbed


def test_a_page_that_is_pasted_becomes_its_frame(ben: TestClient, tool_night: int) -> None:
    found = oembed(ben, f"{HERE}/branches/alder")
    html = found.pop("html")
    assert found == {
        "version": "1.0",
        "type": "rich",
        "provider_name": "Hazel Clubs",
        "provider_url": HERE,
        "title": "Alder Club",
        "width": 600,
        "height": 600,
        "cache_age": 3600,
    }
    assert frame_of(html)["src"] == f"{HERE}/embed/events?branch=alder"
    assert "script" not in str(html)


def test_each_list_has_its_frame_and_names_it_in_its_head(ben: TestClient, tool_night: int) -> None:
    for page, framed, title in [
        ("/events", "/embed/events", "Events"),
        (
            "/events?topic=repair&from=2043-11-01&utm=x",
            "/embed/events?topic=repair&from=2043-11-01",
            "Events",
        ),
        ("/es/events?near=60614", "/es/embed/events?near=60614", "Eventos"),
        ("/events/{id}?date=2043-11-24", "/embed/events?event={id}", "Tool night"),
        ("/branches?near=60614&within=10mi", "/embed/branches?near=60614&within=10mi", "Branches"),
        ("/es/branches/alder", "/es/embed/events?branch=alder", "Alder Club"),
        ("/topics/repair", "/embed/events?topic=repair", "repair"),
        (
            "/calendar/2044/2?topic=repair",
            "/embed/events?topic=repair&from=2044-02-01&to=2044-02-29",
            "Events",
        ),
    ]:
        page, framed = page.format(id=tool_night), framed.format(id=tool_night)
        found = oembed(ben, HERE + page)
        assert (frame_of(found["html"])["src"], str(found["title"]).casefold()) == (
            HERE + framed,
            title.casefold(),
        )
        assert ben.get(framed).status_code == 200
        if "branches?near" not in page:  # which search engines, and others, are asked to leave alone
            head = ben.get(page).text
            [address] = re.findall(r'type="application/json\+oembed" title="[^"]*" href="([^"]*)"', head)
            assert ben.get(unescape(address).removeprefix(HERE)).json() == found


def test_other_pages_name_none(ben: TestClient, tool_night: int) -> None:
    for path in ["/", "/events/{id}/follow", "/branches/alder/contact", "/embed", "/subscribe"]:
        assert "json+oembed" not in ben.get(path.format(id=tool_night)).text


def test_whatever_is_not_ours_or_no_list_is_not_there(ben: TestClient, cast: Cast) -> None:
    for url in [
        "",
        "/events",
        "https://evil.example/events",
        f"{HERE}.evil.example/events",
        f"{HERE}@evil.example/events",
        "javascript:alert(1)",
        "http://[half",
        f"{HERE}/sign-in",
        f"{HERE}/events/999",
        f"{HERE}/events/x",
        f"{HERE}/events/%00",
        f"{HERE}/branches/nowhere",
        f"{HERE}/topics/nothing",
        f"{HERE}/calendar/2043/13",
        f"{HERE}/calendar/1/1",
        f"{HERE}/organize/events/1",
        f"{HERE}/de/events",
        f"{HERE}/events?q=%ff",
    ]:
        answer = ben.get("/oembed", params={"url": url})
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


def test_an_event_that_is_not_public_is_not_told_of(
    ben: TestClient, database: Database, cast: Cast, publishing: Publishing
) -> None:
    number = added(database, publishing, cast.alder, state="draft")
    assert ben.get("/oembed", params={"url": f"{HERE}/events/{number}"}).status_code == 404
    assert ben.get(f"/embed/events?event={number}").status_code == 404


def test_no_title_and_no_address_gets_out_of_the_mark_up(
    ben: TestClient, database: Database, cast: Cast, publishing: Publishing
) -> None:
    number = added(database, publishing, cast.alder, title='"><script>alert(1)</script>')
    html = str(oembed(ben, f"{HERE}/events/{number}")["html"])
    assert "<script" not in html and frame_of(html)["title"].startswith('"><script>')
    html = str(oembed(ben, f'{HERE}/events?q="><script>')["html"])
    assert "<script" not in html
    assert parse_qs(urlsplit(frame_of(html)["src"]).query) == {"q": ['"><script>']}


def test_the_frame_fits_into_the_room_there_is(ben: TestClient, cast: Cast) -> None:
    found = oembed(ben, f"{HERE}/events", maxwidth=320, maxheight=5000)
    assert (found["width"], found["height"]) == (320, 600)
    frame = frame_of(found["html"])
    assert (frame["width"], frame["height"]) == ("320", "600")


def test_what_cannot_be_answered_is_said_in_json(ben: TestClient, cast: Cast) -> None:
    for more, status, sentence in [
        ("format=xml", 501, "We answer in JSON only"),
        ("maxwidth=wide", 422, "“maxwidth” can be a number of pixels, not “wide”."),
        ("maxheight=0", 422, "“maxheight” can be a number of pixels, not “0”."),
    ]:
        answer = ben.get(f"/oembed?url={quote(HERE + '/events', safe='')}&{more}")
        assert answer.status_code == status and sentence in answer.json()["detail"]
