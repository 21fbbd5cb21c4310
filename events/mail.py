"""Mails as bytes on their way out: composing them safely and handing them to a server or a directory.

What a visitor typed may stand in a mail's body, subject and Reply-To, never in another header. Two dangers:
line breaks, and encoded words (`=?utf-8?q?…?=`), which Python's own header parser decodes, so that an encoded
line break in a Subject becomes a Bcc when the message is read again. Both are taken out before composing, and
the names of the headers are checked after serialising.
"""

import asyncio
import contextlib
import re
import ssl
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit

import aiosmtplib

from .config import Settings

STEP_WITHIN_S = 30  # each word of the conversation with the server
SEND_WITHIN_S = 60  # all of it; the outbox leases a mail for longer
GOODBYE_WITHIN_S = 2
LONGEST_NAME = 200
UNFOLDED_NAME = 60
# RFC 4954 6: what these refuse is our credentials, not the mail.
SIGN_IN_CODES = {530, 534, 535, 538}
OUR_HEADERS = {
    "from", "to", "reply-to", "subject", "date", "message-id", "auto-submitted",
    "list-unsubscribe", "list-unsubscribe-post", "mime-version", "content-type", "content-transfer-encoding",
}  # fmt: skip

# RFC 5322 3.2.3 `atext` and dots, wherever they stand: some providers gave out names that end in one.
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}")
_DOMAIN = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")


@dataclass(frozen=True, slots=True)
class Mail:
    """`html` says what `body` says; `event_file` is iCalendar; `unsubscribe_url` ends what it belongs to (RFC 8058)."""

    message_id: str
    recipient: str
    subject: str
    body: str
    reply_to: str
    created_at: datetime
    html: str = ""
    event_file: str = ""
    unsubscribe_url: str = ""


class Undeliverable(Exception):
    """It cannot be written, or the server refused it for good (5xx): sending again would be refused again."""


class NotNow(Exception):
    """The server is away, slow, or said 4xx: try again later."""


def one_line(text: str) -> str:
    """Text that is safe in a header: no control characters, no encoded words."""
    flat = "".join(
        " " if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") else char for char in text
    )
    return re.sub(r"\s+", " ", flat.replace("=?", "= ?")).strip()


def composed(mail: Mail, sender: str, organisation: str) -> EmailMessage:
    """The message with our From, whatever the visitor typed. Raises Undeliverable if it cannot be written.

    A Reply-To that cannot be written is left out: the message matters more, and its text has the address.
    """
    message = EmailMessage(policy=SMTP)
    message["From"] = _address(sender, organisation)
    message["To"] = _address(mail.recipient)
    if mail.reply_to:
        with contextlib.suppress(Undeliverable):
            message["Reply-To"] = _address(mail.reply_to)
    message["Subject"] = one_line(mail.subject)
    message["Date"] = format_datetime(mail.created_at)
    message["Message-ID"] = mail.message_id
    message["Auto-Submitted"] = "auto-generated"
    if mail.unsubscribe_url:
        message["List-Unsubscribe"] = f"<{one_line(mail.unsubscribe_url)}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(mail.body)
    if mail.html:
        message.add_alternative(mail.html, subtype="html")
    if mail.event_file:
        message.add_attachment(
            mail.event_file.encode(), "text", "calendar", filename="event.ics", params={"charset": "utf-8"}
        )
    _check_headers(message)
    return message


def _address(text: str, display_name: str = "") -> Address:
    """One plain address, its domain in ASCII (IDNA). Raises Undeliverable for anything else.

    Python writes a name that is not ASCII as an encoded word, which no server takes for an address.
    """
    local, _, domain = text.strip().rpartition("@")
    try:
        domain = domain.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise Undeliverable(f"not an address that mail can be sent to: {text!r}") from error
    if not _LOCAL_PART.fullmatch(local) or "=?" in local or not _DOMAIN.fullmatch(domain):
        raise Undeliverable(f"not an address that mail can be sent to: {text!r}")
    return Address(_display_name(display_name), local, domain)


def _display_name(text: str) -> str:
    """Python loses the quotes of a name that it folds, and a comma then makes two addresses of one.

    So a long name goes without whatever needs quotes.
    """
    name = one_line(text.translate({ord('"'): "'", ord("\\"): "/"}))[:LONGEST_NAME]
    return name if len(name) <= UNFOLDED_NAME else one_line(re.sub(r"[()<>@,:;.\[\]]", " ", name))


def _check_headers(message: EmailMessage) -> None:
    head = message.as_bytes().split(b"\r\n\r\n", 1)[0].decode("ascii", "replace")
    names = [line.split(":", 1)[0].lower() for line in head.split("\r\n") if line[:1] not in (" ", "\t")]
    if len(names) != len(set(names)) or not set(names) <= OUR_HEADERS:
        raise Undeliverable(f"unexpected headers: {sorted(set(names) - OUR_HEADERS)}")


async def deliver(message: EmailMessage, settings: Settings) -> None:
    """Hands the message on. Raises Undeliverable or NotNow."""
    try:
        if settings.smtp_url is None:
            _write(message, settings.mail_dir)
        else:
            await _hand_over(message, settings.smtp_url)
    except aiosmtplib.SMTPRecipientsRefused as error:
        _raise_by_code(error.recipients[0])
    except (aiosmtplib.SMTPConnectResponseError, aiosmtplib.SMTPHeloError) as error:
        raise NotNow(f"{error.code} {error.message}") from error
    except aiosmtplib.SMTPResponseException as error:
        _raise_by_code(error)
    except (aiosmtplib.SMTPException, OSError) as error:
        raise NotNow(str(error) or type(error).__name__) from error


async def _hand_over(message: EmailMessage, smtp_url: str) -> None:
    """Returns once the server has taken the message; that it then hangs up badly does not matter."""
    url = urlsplit(smtp_url)
    client = aiosmtplib.SMTP(
        hostname=url.hostname,
        port=url.port or (465 if url.scheme == "smtps" else 25),
        username=unquote(url.username) if url.username else None,
        password=unquote(url.password) if url.password else None,
        use_tls=url.scheme == "smtps",
        tls_context=ssl.create_default_context() if url.scheme == "smtps" else None,
        timeout=STEP_WITHIN_S,
    )
    try:
        async with asyncio.timeout(SEND_WITHIN_S):
            await client.connect()
            await client.send_message(message)
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            await client.quit(timeout=GOODBYE_WITHIN_S)
    finally:
        client.close()


def _raise_by_code(error: aiosmtplib.SMTPResponseException) -> NoReturn:
    if 500 <= error.code < 600 and error.code not in SIGN_IN_CODES:
        raise Undeliverable(f"{error.code} {error.message}") from error
    raise NotNow(f"{error.code} {error.message}") from error


def _write(message: EmailMessage, directory: Path) -> None:
    """One file a mail, named so that a directory listing is in order; complete or not there at all."""
    directory.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^A-Za-z0-9]", "", str(message["Message-ID"]).split("@")[0])
    target = directory / f"{name}.eml"
    draft = target.with_suffix(".part")
    draft.write_bytes(message.as_bytes())
    draft.replace(target)
