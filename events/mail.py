"""Mails as bytes on their way out: composing them safely and handing them to a server or a directory.

What a visitor typed may stand in a mail's body, subject and Reply-To, never in another header. Two dangers:
line breaks, and encoded words (`=?utf-8?q?…?=`), which Python's own header parser decodes, so that an encoded
line break in a Subject becomes a Bcc when the message is read again. Both are taken out before composing, and
the names of the headers are checked after serialising.
"""

import re
import ssl
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aiosmtplib

from .config import Settings

SMTP_TIMEOUT_S = 30
OUR_HEADERS = {
    "from", "to", "reply-to", "subject", "date", "message-id", "auto-submitted",
    "mime-version", "content-type", "content-transfer-encoding",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Mail:
    message_id: str
    recipient: str
    subject: str
    body: str
    reply_to: str
    created_at: datetime


class Undeliverable(Exception):
    """The server refused for good (5xx): sending again would be refused again."""


class NotNow(Exception):
    """The server is away, slow, or said 4xx: try again later."""


def one_line(text: str) -> str:
    """Text that is safe in a header: no control characters, no encoded words."""
    flat = "".join(" " if unicodedata.category(char) in ("Cc", "Cf", "Zl", "Zp") else char for char in text)
    return re.sub(r"\s+", " ", flat.replace("=?", "= ?")).strip()


def composed(mail: Mail, sender: str, organisation: str) -> EmailMessage:
    """The message with our From, whatever the visitor typed. Raises ValueError if a header slipped in."""
    message = EmailMessage(policy=SMTP)
    message["From"] = _address(sender, organisation)
    message["To"] = _address(mail.recipient)
    if mail.reply_to:
        message["Reply-To"] = _address(mail.reply_to)
    message["Subject"] = one_line(mail.subject)
    message["Date"] = format_datetime(mail.created_at)
    message["Message-ID"] = mail.message_id
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.body)
    _check_headers(message)
    return message


def _address(text: str, display_name: str = "") -> Address:
    _, address = parseaddr(one_line(text))
    local, _, domain = address.rpartition("@")
    return Address(one_line(display_name), local, domain)


def _check_headers(message: EmailMessage) -> None:
    head = message.as_bytes().split(b"\r\n\r\n", 1)[0].decode("ascii", "replace")
    names = [line.split(":", 1)[0].lower() for line in head.split("\r\n") if line[:1] not in (" ", "\t")]
    if len(names) != len(set(names)) or not set(names) <= OUR_HEADERS:
        raise ValueError(f"unexpected headers: {sorted(set(names) - OUR_HEADERS)}")


async def deliver(message: EmailMessage, settings: Settings) -> None:
    """Hands the message on. Raises Undeliverable or NotNow."""
    if settings.smtp_url is None:
        _write(message, settings.mail_dir)
        return
    url = urlsplit(settings.smtp_url)
    try:
        await aiosmtplib.send(
            message,
            hostname=url.hostname,
            port=url.port or (465 if url.scheme == "smtps" else 25),
            username=unquote(url.username) if url.username else None,
            password=unquote(url.password) if url.password else None,
            use_tls=url.scheme == "smtps",
            tls_context=ssl.create_default_context() if url.scheme == "smtps" else None,
            timeout=SMTP_TIMEOUT_S,
        )
    except aiosmtplib.SMTPRecipientsRefused as error:
        _raise_by_code(error.recipients[0].code, error.recipients[0].message)
    except aiosmtplib.SMTPResponseException as error:
        _raise_by_code(error.code, error.message)
    except (aiosmtplib.SMTPException, OSError) as error:
        raise NotNow(str(error)) from error


def _raise_by_code(code: int, text: str) -> None:
    if 500 <= code < 600:
        raise Undeliverable(f"{code} {text}")
    raise NotNow(f"{code} {text}")


def _write(message: EmailMessage, directory: Path) -> None:
    """One file a mail, named so that a directory listing is in order; complete or not there at all."""
    directory.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^A-Za-z0-9]", "", str(message["Message-ID"]).split("@")[0])
    target = directory / f"{name}.eml"
    draft = target.with_suffix(".part")
    draft.write_bytes(message.as_bytes())
    draft.replace(target)
