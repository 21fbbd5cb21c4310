"""Every kind of mail, as the site writes it: what all of them have, and what none of them does."""

import re
import shutil
from collections.abc import Mapping
from html import unescape
from pathlib import Path

import pytest

from events.mail import OUR_HEADERS
from events.messages import outbox
from tests.conftest import Engines
from tests.mails import LANGUAGES, MAILS, SITE, WORDS, Written, all_mails, site_settings

# Whoever gets these did not just ask for them, and can end them in one click (RFC 8058).
REPEATED = {name for name in MAILS if re.match("digest|urgent|newsletter$", name)}
ADDRESS = re.compile(r"https?://[^\s<>\"]+[^\s<>\".,;:)]")
FETCHES = re.compile(
    r"\ssrc|srcset|background|url\(|@import|<(?:link|script|style|img|iframe|object|video|form|input|base)\b",
    re.IGNORECASE,
)
# Words that no Spanish sentence has.
ENGLISH = re.compile(
    r"\b(?:the|you|your|and|of|is|are|this|that|with|it|not|for|to|by|at|from)\b", re.IGNORECASE
)


@pytest.fixture(scope="module")
def mails(
    engines: Engines, small_gazetteer: Path, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[tuple[str, str], Written]:
    written: dict[tuple[str, str], Written] = {}
    for code in LANGUAGES:
        folder = tmp_path_factory.mktemp("mails")
        shutil.copy(small_gazetteer, folder)
        for mail in all_mails(site_settings(engines.fresh_url("sqlite"), folder, code), code):
            written[mail.name, code] = mail
    return written


each = pytest.mark.parametrize("name", MAILS)
spoken = pytest.mark.parametrize("code", LANGUAGES)


def parts_of(mail: Written) -> tuple[str, str]:
    text, html = mail.message.get_body(("plain",)), mail.message.get_body(("html",))
    assert text is not None and html is not None
    return text.get_content(), html.get_content()


def words_of(html: str) -> str:
    """What is read in it."""
    return unescape(re.sub(r"<[^>]*>", " ", html.partition("<body")[2].partition(">")[2]))


@spoken
@each
def test_its_text_and_its_html_lead_to_the_same_places(
    mails: Mapping[tuple[str, str], Written], name: str, code: str
) -> None:
    text, html = parts_of(mails[name, code])
    hrefs = {unescape(address) for address in re.findall(r'href="([^"]*)"', html)}
    assert hrefs | set(ADDRESS.findall(words_of(html))) == set(ADDRESS.findall(text))
    assert hrefs <= set(ADDRESS.findall(text))


@spoken
@each
def test_its_html_fetches_nothing_and_says_its_language(
    mails: Mapping[tuple[str, str], Written], name: str, code: str
) -> None:
    _, html = parts_of(mails[name, code])
    assert FETCHES.findall(html) == []
    assert f'<html lang="{code}" dir="ltr">' in html


@spoken
@each
def test_its_headers_are_ours_and_it_can_be_sent_anywhere(
    mails: Mapping[tuple[str, str], Written], name: str, code: str
) -> None:
    mail = mails[name, code]
    names = [header.lower() for header in mail.message]
    assert set(names) <= OUR_HEADERS and len(names) == len(set(names))
    assert {"from", "to", "subject", "date", "message-id", "auto-submitted"} <= set(names)
    assert mail.message["Auto-Submitted"] == "auto-generated"
    assert mail.message["From"].addresses[0].display_name == WORDS[code].organisation
    assert re.fullmatch(r"<[\w.]+@[\w.-]+>", mail.message["Message-ID"])
    assert max(map(len, mail.message.as_bytes().split(b"\r\n"))) <= 998
    assert mail.row.subject == mail.row.subject.strip() != ""
    assert len(mail.row.subject.splitlines()) == 1
    assert mail.row.kind in outbox.KINDS


@spoken
@each
def test_what_comes_again_can_be_ended_in_one_click_and_nothing_else(
    mails: Mapping[tuple[str, str], Written], name: str, code: str
) -> None:
    mail = mails[name, code]
    if name in REPEATED:
        assert mail.message["List-Unsubscribe"].startswith(
            f"<{SITE}{'' if code == 'en' else '/es'}/subscriptions/"
        )
        assert mail.message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    else:
        assert "List-Unsubscribe" not in mail.message and "List-Unsubscribe-Post" not in mail.message


@spoken
@each
def test_nothing_is_left_to_be_filled_in(
    mails: Mapping[tuple[str, str], Written], name: str, code: str
) -> None:
    for said in (mails[name, code].row.subject, *parts_of(mails[name, code])):
        assert not re.search(r"%\(|\bNone\b|Message\(|&amp;amp;|\{\w*\}", said)


@each
def test_the_spanish_one_has_no_english_in_it(mails: Mapping[tuple[str, str], Written], name: str) -> None:
    mail = mails[name, "es"]
    text, html = parts_of(mail)
    for said in (mail.row.subject, text, words_of(html)):
        assert ENGLISH.findall(ADDRESS.sub("", said)) == []
    english = {line for line in parts_of(mails[name, "en"])[0].split("\n") if len(line.split()) > 2}
    assert english.isdisjoint(text.split("\n"))


def test_no_kind_of_mail_is_missing(mails: Mapping[tuple[str, str], Written]) -> None:
    assert {mail.row.kind for mail in mails.values()} == set(outbox.KINDS)
