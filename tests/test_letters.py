"""Mails in blocks: as text and as HTML they say the same, and what somebody typed stays what it is."""

import re
from html.parser import HTMLParser

import pytest

from events.language import Language, language
from events.letters import (
    Block,
    Bullets,
    Heading,
    Item,
    Link,
    Paragraph,
    Prose,
    Quote,
    html_of,
    letter_of,
    text_of,
)

URL = "https://events.example.org/events/7?date=2026-12-01&x=y"
TYPED = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</blockquote></p></body>",
    "&lt;b&gt; & co",
    "<!-- -->",
    "{{ 7 * 7 }} {% raw %} %(name)s {0}",
    "مرحبا بالعالم",
    "שלום \u202eעולם\u202c",
    "https://evil.example.org/",
    "mailto:eve@example.org",
    "javascript:alert(1)",
    "- a\n- b\n\n# c",
    "",
)


class Reader(HTMLParser):
    """What a mail program makes of it: tags in order, text, and where links lead."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.hrefs: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.hrefs += [value or "" for name, value in attrs if name == "href"]

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def words(self) -> list[str]:
        return self.text.split()


def html(*blocks: Block, subject: str = "News", spoken: str = "en") -> str:
    return html_of(blocks, subject, language(spoken))


def inside(*blocks: Block) -> Reader:
    """What stands in the frame that every mail has."""
    whole = html(*blocks)
    return Reader(whole[whole.index("<div") :].split(">", 1)[1].rsplit("</div>", 1)[0])


@pytest.mark.parametrize(
    ("block", "text", "tags"),
    [
        (Paragraph("Good morning,\nAna"), "Good morning,\nAna", ["p", "br"]),
        (Paragraph("Sent to ana@example.org", small=True), "Sent to ana@example.org", ["p"]),
        (Heading("This week"), "This week\n---------", ["h2"]),
        (Bullets(["A saw", "A plane"]), "- A saw\n- A plane", ["ul", "li", "li"]),
        (
            Bullets([f"A saw\n{URL}", "A plane"]),
            f"- A saw\n  {URL}\n- A plane",
            ["ul", "li", "br", "a", "li"],
        ),
        (Link(URL), URL, ["p", "a"]),
        (Link(URL, "See the event"), f"See the event:\n{URL}", ["p", "a"]),
        (Quote("May I come?\n\nBen"), "> May I come?\n>\n> Ben", ["blockquote", "br", "br"]),
        (Prose("A **new** roof\n\n- dry"), "A new roof\n\n- dry", ["div", "p", "strong", "ul", "li"]),
        (
            Item(
                "Saw club", URL, ["Tuesday, 7 PM", "Alder"], "Moved", [Link(f"{URL}.ics", "To your calendar")]
            ),
            f"Moved: Saw club\nTuesday, 7 PM\nAlder\n{URL}\nTo your calendar: {URL}.ics",
            ["p", "strong", "strong", "a", "br", "br", "br", "a"],
        ),
        (Item("Saw club", URL), f"Saw club\n{URL}", ["p", "strong", "a"]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Block) else "",
)
def test_each_block_as_text_and_as_html(block: Block, text: str, tags: list[str]) -> None:
    assert text_of([block]) == text + "\n"
    assert inside(block).tags == tags


def test_blocks_stand_apart_in_text() -> None:
    assert text_of([Heading("A"), Paragraph("B"), Link(URL)]) == f"A\n-\n\nB\n\n{URL}\n"


def test_a_long_heading_has_a_line_of_sixty_signs_below_it() -> None:
    assert text_of([Heading("x" * 90)]).splitlines() == ["x" * 90, "-" * 60]


def test_html_and_text_say_the_same() -> None:
    """What begins a line in text, and how an address is shown, is all that differs."""
    letter: list[Block] = [
        Heading("This week"), Paragraph("Two events.\nSee you"), Bullets(["one", "two"]),
        Quote("I come & go"), Prose("It is **dry**."), Item("Saw club", URL, ["Tuesday"], "Moved"),
    ]  # fmt: skip
    text = re.sub(r"(?m)^(- |> |-+$)", "", text_of(letter)).replace(URL, "").replace("Moved:", "Moved ·")
    assert "".join(text.split()) == "".join(inside(*letter).words)


def test_the_frame_says_the_language_and_which_way_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = html(Paragraph("Hola"), subject="<Noticias> & más", spoken="es")
    assert whole.startswith('<!doctype html>\n<html lang="es" dir="ltr">')
    assert "<title>&lt;Noticias&gt; &amp; más</title>" in whole
    monkeypatch.setattr(Language, "direction", "rtl")
    assert 'dir="rtl"' in html(Paragraph("مرحبا"))


def test_what_somebody_typed_runs_its_own_way() -> None:
    for block in (Paragraph("שלום"), Heading("שלום"), Quote("שלום"), Prose("שלום"), Item("שלום", URL)):
        assert re.search(r'<(p|h2|blockquote|div) dir="auto"', html(block)), block
    assert '<li dir="auto">שלום</li>' in html(Bullets(["שלום"]))


def test_a_mail_fetches_nothing_and_runs_nothing() -> None:
    """Whoever opens a mail tells nobody so."""
    everything: list[Block] = [
        Paragraph("A"), Heading("B"), Bullets(["C"]), Link(URL, "D"), Quote("E"), Item("G", URL, ["H"]),
        Prose("![p](https://x.example/p.png) <img src=https://x.example/p.png> [f](https://x.example)"),
    ]  # fmt: skip
    whole = Reader(html(*everything))
    assert set(whole.tags).isdisjoint({"img", "script", "style", "link", "iframe", "object", "form", "input"})
    assert whole.attributes.isdisjoint({"src", "srcset", "background", "onclick", "class", "id"})
    assert "url(" not in html(*everything)


# ---------------------------------------------------------------- what somebody typed


@pytest.mark.parametrize("typed", TYPED, ids=ascii)
def test_what_was_typed_is_text_in_every_block(typed: str) -> None:
    blocks: list[Block] = [
        Paragraph(f"x{typed}"), Heading(typed), Bullets([f"x{typed}"]), Link(URL, f"x{typed}"), Quote(typed),
        Item(f"x{typed}", URL, [typed], f"x{typed}", [Link(URL, f"x{typed}")]),
    ]  # fmt: skip
    for block in blocks:
        read = inside(block)
        assert set(read.tags) <= {"p", "a", "br", "h2", "ul", "li", "blockquote", "strong"}
        assert set(read.hrefs) <= {URL}
        assert read.attributes <= {"dir", "style", "href"}
        assert "".join(typed.split()) in "".join(read.words)
        assert typed.split("\n")[0] in text_of([block])


@pytest.mark.parametrize("typed", TYPED, ids=ascii)
def test_a_subject_ends_no_title(typed: str) -> None:
    whole = Reader(html(Paragraph("x"), subject=typed))
    assert whole.tags == ["html", "head", "meta", "meta", "meta", "title", "body", "div", "p"]


@pytest.mark.parametrize("typed", TYPED, ids=ascii)
def test_markdown_brings_no_html_of_its_own_and_no_link_but_to_the_web_and_to_people(typed: str) -> None:
    read = inside(
        Prose(f"{typed} [a](javascript:alert(1)) [b](https://b.example) ![c](https://c.example/c.png)")
    )
    assert set(read.tags) <= {"div", "p", "a", "br", "ul", "li", "h2", "h3", "h4", "strong", "em", "code"}
    assert all(href.startswith(("https://b.example", "mailto:")) for href in read.hrefs)


def test_what_is_quoted_becomes_no_link_even_alone_on_a_line() -> None:
    read = inside(Quote("Look:\nhttps://evil.example.org/\nhttps://evil.example.org/ok"))
    assert (read.tags, read.hrefs) == (["blockquote", "br", "br"], [])
    assert text_of([Quote("https://evil.example.org/")]) == "> https://evil.example.org/\n"


def test_in_what_we_say_an_address_becomes_a_link_where_it_stands_alone_on_a_line() -> None:
    assert inside(Paragraph(f"Open this:\n{URL}\nIt works once.")).hrefs == [URL]
    assert inside(Bullets([f"Saw club\n{URL}"])).hrefs == [URL]
    for beside in (
        f"Ben wrote: {URL}",
        f"{URL} is mine",
        f"{URL} {URL}",
        f"<{URL}>",
        "evil.example.org",
        "//x.example",
    ):
        assert inside(Paragraph(beside), Bullets([beside])).hrefs == []
    assert inside(Heading(URL), Quote(URL)).hrefs == []


def test_an_address_cannot_leave_its_attribute() -> None:
    read = inside(Link('https://events.example.org/"onclick="alert(1)'))
    assert read.attributes <= {"href", "style"}


# ---------------------------------------------------------------- blocks of a plain text


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("Hello", [Paragraph("Hello")]),
        ("Hello\nAna\n\nGoodbye\n", [Paragraph("Hello\nAna"), Paragraph("Goodbye")]),
        ("- one\n- two", [Bullets(["one", "two"])]),
        (f"- one\n  {URL}\n- two", [Bullets([f"one\n{URL}", "two"])]),
        ("- one\nand two", [Paragraph("- one\nand two")]),
        (f"Open this:\n\n{URL}\n\nIt works once.", [Paragraph("Open this:"), Link(URL), Paragraph("It works once.")]),
        (f"Open this:\n{URL}", [Paragraph(f"Open this:\n{URL}")]),
        (f"See {URL}", [Paragraph(f"See {URL}")]),
        ("\n\n\n", []),
    ],
    ids=ascii,
)  # fmt: skip
def test_a_plain_text_is_read_as_blocks(text: str, letter: list[Block]) -> None:
    assert letter_of(text) == letter


def test_a_plain_text_that_was_read_as_blocks_says_the_same_as_before() -> None:
    text = f"Hello Ana,\n\nopen this:\n\n{URL}\n\n- one\n  {URL}\n- two\n\nOr else:\n{URL}\n\nBye\nDee\n"
    assert text_of(letter_of(text)) == text
