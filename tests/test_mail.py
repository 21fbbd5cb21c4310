"""Mails as bytes: whatever a visitor typed, the headers stay ours."""

import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.headerregistry import AddressHeader
from email.message import EmailMessage
from email.parser import BytesHeaderParser

import pytest

from events import mail
from events.mail import OUR_HEADERS, Mail, Refused, Undeliverable, composed

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
INJECTED = "Bcc: eve@example.org"

BREAKS = (
    "\n", "\r", "\r\n", "\n\r", "\n\n", "\r\n\r\n", "\n ", "\r\n\t", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x1f",
    "\x85", "\u2028", "\u2029", "\x00", "\x7f", "\x1b", "%0d%0a", "\\r\\n", "\x00\r\n", "\u560a", "\u560d\u560a",
    "\u200b", "\u200e", "\u202e", "\ufeff", "\u00ad", "\u2066", "\U000e000a",
)  # fmt: skip
ENCODED = (
    "=?utf-8?q?x=0d=0aBcc:_eve@example.org?=",
    "=?utf-8?q?x=0D=0ABcc:_eve@example.org=0d=0a?=",
    "=?UTF-8?Q?=0ABcc:_eve@example.org?=",
    "=?iso-8859-1?q?x=0d=0aBcc:_eve@example.org?=",
    "=?utf-8?b?eA0KQmNjOiBldmVAZXhhbXBsZS5vcmc=?=",
    "=?us-ascii?B?eA0KQmNjOiBldmVAZXhhbXBsZS5vcmc=?=",
    "=?utf-16?b?//54AA0ACgBCAGMAYwA6ACAAZQB2AGUAQABlAHgALgBvAHIAZwA=?=",
    "=?utf-7?q?x+AA0ACg-Bcc:_eve@example.org?=",
    "=?utf-8*en?q?x=0d=0aBcc:_eve@example.org?=",
    "=?unknown-8bit?q?x=0d=0aBcc:_eve@example.org?=",
    "=?utf-8?q?x?= =?utf-8?q?=0d=0aBcc:_eve@example.org?=",
    "=?utf-8?q?x?=\r\n =?utf-8?q?=0d=0aBcc:_eve@example.org?=",
    "=\n?utf-8?q?x=0d=0aBcc:_eve@example.org?=",
    "=\u200b?utf-8?q?x=0d=0aBcc:_eve@example.org?=",
    "=\x00?utf-8?q?x=0d=0aBcc:_eve@example.org?=",
    "==??utf-8?q?x=0d=0aBcc:_eve@example.org?=",
    "=?=?utf-8?q?x=0d=0aBcc:_eve@example.org?=",
    "=??q?x=0d=0aBcc:_eve@example.org?=",
    "=?utf-8?q?x=0d=0aBcc:_eve@example.org",
    "é =?utf-8?q?x=0d=0aBcc:_eve@example.org?=",
    "é" * 80 + "=?utf-8?q?x=0d=0aBcc:_eve@example.org?=",
    "=?utf-8?q?x=0d=0aContent-Type:_text/html?=",
    "=?utf-8?q?=0d=0a=0d=0a<script>?=",
    "= ?utf-8?q?x=0d=0aBcc:_eve@example.org?=",
    "＝？utf-8？q？x=0d=0aBcc:_eve@example.org？＝",
)
SHAPES = (
    INJECTED,
    "To: eve@example.org",
    "x" * 5000,
    "x" * 900 + "\r\n" + INJECTED,
    ("a " * 40 + "\n") * 20,
    "ñ" * 2000,
    "👩‍👩‍👧 " * 100,
    "\u202e" + INJECTED[::-1],
    "שלום עולם",
    "مرحبا\u200fبالعالم",
    "a@example.org, eve@example.org",
    "a@example.org>, <eve@example.org",
    '"a\\" <eve@example.org>, "b',
    "a;eve@example.org",
    "list: eve@example.org;",
    "(comment) eve@example.org",
    ":",
    ": x",
    " ",
    "",
    "\ud800",
    ".",
)
PAYLOADS = [f"Hello{end}{INJECTED}" for end in BREAKS] + list(ENCODED) + list(SHAPES)


def short(text: str) -> str:
    return ascii(text[:40] + text[-20:])


def written(**changed: str) -> EmailMessage:
    values = {"recipient": "ana@example.org", "subject": "Hello", "body": "Hi", "reply_to": "ben@example.org"}
    values |= changed
    return composed(
        Mail(message_id="<1@branchline>", created_at=AT, **values), "events@example.org", "Hazel Clubs"
    )


def read_again(message: EmailMessage) -> EmailMessage:
    return message_from_bytes(message.as_bytes(), policy=policy.default)


def addresses(message: EmailMessage, name: str) -> list[str]:
    header = message[name]
    assert isinstance(header, AddressHeader)
    return [address.addr_spec for address in header.addresses]


def assert_is_ours(message: EmailMessage) -> EmailMessage:
    """Reads the bytes as every kind of recipient does; nothing but our headers, and one recipient."""
    content = message.as_bytes()
    again = read_again(message)
    names = [name.lower() for name in again]
    assert set(names) <= OUR_HEADERS
    assert len(names) == len(set(names))
    assert [name.lower() for name in BytesHeaderParser().parsebytes(content)] == names
    assert addresses(again, "To") == ["ana@example.org"]
    assert addresses(again, "From") == ["events@example.org"]
    assert all(not set(str(value)) & set("\r\n\x00\u2028\u2029\x85") for value in again.values())
    # What decodes to a header when the whole is written out and read once more is an attack in two steps.
    twice = [name.lower() for name in read_again(again)]
    assert twice == names
    assert max(map(len, content.split(b"\r\n\r\n")[0].split(b"\r\n"))) <= 998  # RFC 5322 2.1.1
    return again


def test_there_are_more_than_sixty_ways_to_try_it() -> None:
    assert len(PAYLOADS) == len(set(PAYLOADS)) > 60


@pytest.mark.parametrize("payload", PAYLOADS, ids=short)
def test_no_subject_makes_a_header(payload: str) -> None:
    assert_is_ours(written(subject=payload))


@pytest.mark.parametrize("payload", PAYLOADS, ids=short)
def test_no_organisation_makes_a_header(payload: str) -> None:
    message = composed(
        Mail("<1@branchline>", "ana@example.org", "Hello", "Hi", "", AT), "events@example.org", payload
    )
    assert_is_ours(message)


@pytest.mark.parametrize(
    "name",
    [
        "Friends of the Public Libraries, Museums, and Community Gardens of Greater Riverbend, Inc.",
        "a" * 40 + ", " + "b" * 40,
        'The "Hazel" Clubs; ' * 5,
        "é, Inc. <eve@example.org> (c) " * 4,
        "\\" * 50,
    ],
    ids=short,
)
def test_a_long_name_of_the_organisation_stays_one_name(name: str) -> None:
    """Python's folding drops quotes: the commas of such a name would make several senders of one."""
    message = composed(
        Mail("<1@branchline>", "ana@example.org", "Hello", "Hi", "", AT), "events@example.org", name
    )
    again = assert_is_ours(message)
    [sender] = again["From"].addresses
    assert re.findall(r"\w+", name) == re.findall(r"\w+", sender.display_name)


@pytest.mark.parametrize("payload", PAYLOADS, ids=short)
def test_no_reply_address_makes_a_header_or_a_second_address(payload: str) -> None:
    for reply_to in (payload, f"{payload}@example.org", f"ben@{payload}", f"ben@example.org{payload}"):
        message = assert_is_ours(written(reply_to=reply_to))
        if "Reply-To" in message:
            assert len(addresses(message, "Reply-To")) == 1
            assert addresses(message, "Reply-To") == [reply_to.strip()]


@pytest.mark.parametrize("payload", PAYLOADS, ids=short)
def test_no_recipient_is_another_than_was_meant(payload: str) -> None:
    for recipient in (payload, f"{payload}@example.org", f"ana@{payload}", f"ana@example.org{payload}"):
        try:
            message = written(recipient=recipient)
        except Undeliverable:
            continue
        assert addresses(read_again(message), "To") == [recipient.strip()]


@pytest.mark.parametrize("payload", [payload for payload in PAYLOADS if payload != "\ud800"], ids=short)
def test_no_text_makes_a_header(payload: str) -> None:
    assert_is_ours(written(body=f"{payload}\r\n{INJECTED}\r\n\r\n{payload}"))


@pytest.mark.parametrize("payload", [payload for payload in PAYLOADS if payload != "\ud800"], ids=short)
def test_no_part_makes_a_header(payload: str) -> None:
    part = f"{payload}\r\n{INJECTED}\r\n\r\n{payload}"
    assert_is_ours(written(html=f"<p>{part}</p>", event_file=part))


@pytest.mark.parametrize("payload", PAYLOADS, ids=short)
def test_no_address_to_unsubscribe_makes_a_header(payload: str) -> None:
    try:
        message = written(unsubscribe_url=f"https://events.example.org/{payload}")
    except Undeliverable:  # no address of ours is like that
        return
    assert_is_ours(message)


@pytest.mark.parametrize(
    "address",
    [
        "o'brien@example.org",
        "a.b+tag@example.org",
        "!#$%&'*+-/=^_`{|}~@example.org",
        "1@example.org",
        "x" * 64 + "@example.org",
        "name.@example.org",  # some providers gave these out
        "a..b@example.org",
        "postmaster@localhost",
        "ana@xn--mnchen-3ya.example",
        "ana@" + ".".join(["a" * 60] * 3) + ".org",
        "A@EXAMPLE.org",
    ],
)
def test_unusual_addresses_are_written_as_they_are(address: str) -> None:
    for name, message in (("To", written(recipient=address)), ("Reply-To", written(reply_to=address))):
        assert addresses(message, name) == [address]
        head = message.as_bytes().split(b"\r\n\r\n")[0].replace(b"\r\n ", b" ")
        assert address.encode() in head.replace(b'"', b"")


def test_a_domain_in_another_script_is_written_in_ascii() -> None:
    assert addresses(written(recipient="ana@münchen.example"), "To") == ["ana@xn--mnchen-3ya.example"]


@pytest.mark.parametrize(
    "address",
    ["", "ana", "@example.org", "ana@", "ana@@example.org", "a b@example.org", "ñ@example.org",
     "ana@exa mple.org", "ana@example..org", "ana@-example.org", "<ana@example.org>", "ana@[192.0.2.1]",
     '"ana"@example.org', "ana@example.org, ben@example.org", "x" * 65 + "@example.org",
     "ana@" + "x" * 64 + ".org", "=?utf-8?q?ana?=@example.org", "ana@example＠org"],
)  # fmt: skip
def test_an_address_that_cannot_be_written_is_a_clear_failure(address: str) -> None:
    with pytest.raises(Undeliverable, match="not an address that mail can be sent to"):
        written(recipient=address)


def test_an_answer_address_that_cannot_be_written_does_not_hold_up_the_message() -> None:
    message = written(reply_to="ñandú@example.org")
    assert "Reply-To" not in message
    assert addresses(message, "To") == ["ana@example.org"]


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("May I bring my saw?", "May I bring my saw?"),
        ("¿Traigo mi sierra? – 30 €", "¿Traigo mi sierra? – 30 €"),
        ("  two \t words\r\nmore ", "two words more"),
        ("Price=?", "Price= ?"),
        ("日本語の件名", "日本語の件名"),
    ],
)
def test_an_honest_subject_arrives_as_it_was_typed(typed: str, shown: str) -> None:
    assert read_again(written(subject=typed))["Subject"] == shown


@pytest.mark.parametrize(
    "body", ["Hello\n", "¿Traigo mi sierra?\n\n– Ben\n", "x" * 3000 + "\n", "From here\n.\n..\n", "👩‍👩‍👧\n"]
)
def test_the_text_arrives_as_it_was_typed(body: str) -> None:
    again = read_again(written(body=body))
    assert again.get_content().replace("\r\n", "\n") == body
    assert again.get_content_type() == "text/plain"


def test_a_mail_says_when_it_was_written_and_that_a_program_sent_it() -> None:
    again = read_again(written())
    assert again["Date"].datetime == AT
    assert (again["Message-ID"], again["Auto-Submitted"]) == ("<1@branchline>", "auto-generated")


def test_what_cannot_be_written_is_said_to_be_so() -> None:
    """Half a surrogate pair is no text that any encoding has."""
    with pytest.raises(Undeliverable, match="it cannot be written") as error:
        written(body="\ud800")
    assert error.value.refused is Refused.OURS


def test_an_address_that_is_none_refuses_every_mail_and_a_sender_that_is_none_is_our_fault() -> None:
    with pytest.raises(Undeliverable) as error:
        written(recipient="ana@")
    assert error.value.refused is Refused.ADDRESS
    with pytest.raises(Undeliverable) as error:
        composed(Mail("<1@branchline>", "ana@example.org", "Hello", "Hi", "", AT), "events@", "Hazel Clubs")
    assert error.value.refused is Refused.OURS


# ---------------------------------------------------------------- parts


CALENDAR = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:PUBLISH\r\nX-NAME:Leñador 🪚\r\nEND:VCALENDAR\r\n"
HTML = "<!doctype html><p>¿Traes tu sierra?</p>\n"


def parts(message: EmailMessage) -> list[str]:
    return [part.get_content_type() for part in message.walk()]


def test_the_text_comes_before_the_html_that_says_the_same() -> None:
    """Of alternatives a mail program takes the last that it can show."""
    again = read_again(written(html=HTML))
    assert parts(again) == ["multipart/alternative", "text/plain", "text/html"]
    text, html = again.get_body(("plain",)), again.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().strip() == "Hi"
    assert html.get_content().replace("\r\n", "\n") == HTML
    assert not any(again.iter_attachments())


def test_an_event_is_attached_as_a_calendar_that_is_published() -> None:
    again = read_again(written(html=HTML, event_file=CALENDAR))
    assert parts(again) == [
        "multipart/mixed", "multipart/alternative", "text/plain", "text/html", "text/calendar",
    ]  # fmt: skip
    [attached] = again.iter_attachments()
    assert attached["Content-Type"].params == {"charset": "utf-8", "method": "PUBLISH"}
    assert (attached.get_filename(), attached.get_content_disposition()) == ("event.ics", "attachment")
    assert attached.get_content() == CALENDAR  # its line ends, too: RFC 5545 3.1
    assert parts(read_again(written(event_file=CALENDAR))) == [
        "multipart/mixed", "text/plain", "text/calendar",
    ]  # fmt: skip


@pytest.mark.parametrize("length", [1, 60, 400])
def test_one_click_ends_a_subscription_by_headers_that_every_program_reads(length: int) -> None:
    """RFC 8058 3.1: an address in angle brackets, as it is; Python would write a long one as encoded words."""
    url = f"https://events.example.org/es/subscriptions/{'x' * length}/unsubscription"
    message = written(unsubscribe_url=url)
    head = message.as_bytes().split(b"\r\n\r\n")[0].decode("ascii").split("\r\n")
    assert f"List-Unsubscribe: <{url}>" in head
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in head
    assert_is_ours(message)


def test_what_is_no_subscription_has_no_way_to_end_it() -> None:
    assert not [name for name in written().keys() if name.startswith("List")]  # noqa: SIM118


def test_a_header_that_slipped_in_after_all_stops_the_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last line of defence: here the cleaning fails, and the check of the bytes does not."""
    monkeypatch.setattr(mail, "OUR_HEADERS", OUR_HEADERS - {"reply-to"})
    with pytest.raises(Undeliverable, match="reply-to"):
        written()
