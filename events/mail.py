"""Mails as bytes on their way out: composing them safely and handing them to a server or a directory.

What a visitor typed may stand in a mail's body, subject and Reply-To, never in another header. Two dangers:
line breaks, and encoded words (`=?utf-8?q?…?=`), which Python's own header parser decodes, so that an encoded
line break in a Subject becomes a Bcc when the message is read again. Both are taken out before composing, and
the names of the headers are checked after serialising.
"""

import asyncio
import contextlib
import re
import socket
import ssl
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import format_datetime
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from .config import Settings
from .drafts import host_in_ascii
from .later import loaded_later

if TYPE_CHECKING:
    import aiosmtplib
else:
    aiosmtplib = loaded_later("aiosmtplib")

STEP_WITHIN_S = 30  # each word of the conversation with the server
SEND_WITHIN_S = 60  # all of it; the outbox leases a mail for longer
GOODBYE_WITHIN_S = 2
LONGEST_ANSWER = 500  # of a server, for an admin to read
LONGEST_NAME = 200
UNFOLDED_NAME = 60
LONGEST_LINE = 998  # RFC 5322 2.1.1
# RFC 4954 6: what these refuse is our credentials, not the mail.
SIGN_IN_CODES = {530, 534, 535, 538}
# What a server says of a recipient may mean us: a bad sender (RFC 3463 3.2: 5.1.7, 5.1.8), or that it does not relay
# for us, which has no code of its own.
_MEANS_US = re.compile(r"5\.1\.[78]\b|.*\brelay", re.IGNORECASE | re.DOTALL)
# Or this mail, or for now (RFC 3463 3.3, 3.8): a mailbox that is full, a policy.
_MEANS_THIS_MAIL = re.compile(r"5\.(2\.[23]|7\.\d+)\b")
OUR_HEADERS = {
    "from", "to", "reply-to", "subject", "date", "message-id", "auto-submitted",
    "list-unsubscribe", "list-unsubscribe-post", "mime-version", "content-type", "content-transfer-encoding",
}  # fmt: skip

# RFC 5322 3.2.3 `atext` and dots, wherever they stand: some providers gave out names that end in one.
LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}")
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


class Refused(Enum):
    """What there is no use in trying again."""

    ADDRESS = "address"  # whatever a mail to it says
    MAIL = "mail"  # this one, and another may be taken
    OURS = "ours"  # it cannot be written, or a server does not want us as its sender: whoever it is for


class Undeliverable(Exception):
    """It cannot be written, or the server refused it for good (5xx): sending again would be refused again."""

    def __init__(self, why: str, refused: Refused = Refused.OURS) -> None:
        super().__init__(_legible(why))
        self.refused = refused


class NotNow(Exception):
    """The server is away, slow, or said 4xx: try again later."""

    def __init__(self, why: str) -> None:
        super().__init__(_legible(why))


def _legible(answer: str) -> str:
    """On one line: servers say anything, also what no database takes and no page can show."""
    return one_line(answer.encode("utf-8", "replace").decode())[:LONGEST_ANSWER]


class _Verbatim(UnstructuredHeader, BaseHeader):
    """On one line, however long: Python would write a long address as encoded words, which no mail program opens."""

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {self}{policy.linesep}"


_HEADERS = HeaderRegistry()
_HEADERS.map_to_type("list-unsubscribe", _Verbatim)
_POLICY = SMTP.clone(header_factory=_HEADERS)


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
    message = EmailMessage(policy=_POLICY)
    try:
        _put_headers(message, mail, sender, organisation)
        _put_content(message, mail)
        _check_headers(message)
    except ValueError as error:  # half a surrogate pair, say
        raise Undeliverable(f"it cannot be written: {error}") from error
    return message


def _put_headers(message: EmailMessage, mail: Mail, sender: str, organisation: str) -> None:
    message["From"] = _address(sender, organisation)
    try:
        message["To"] = _address(mail.recipient)
    except Undeliverable as error:
        raise Undeliverable(str(error), Refused.ADDRESS) from error
    if mail.reply_to:
        with contextlib.suppress(Undeliverable):
            message["Reply-To"] = _address(mail.reply_to)
    message["Subject"] = one_line(mail.subject)
    message["Date"] = format_datetime(mail.created_at)
    message["Message-ID"] = mail.message_id
    message["Auto-Submitted"] = "auto-generated"
    if mail.unsubscribe_url:  # RFC 8058 3.1
        message["List-Unsubscribe"] = f"<{one_line(mail.unsubscribe_url)}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"


def _put_content(message: EmailMessage, mail: Mail) -> None:
    """The text first: of alternatives the last is the one preferred (RFC 2046 5.1.4)."""
    message.set_content(mail.body)
    if mail.html:
        message.add_alternative(mail.html, subtype="html")
    if mail.event_file:
        # RFC 6047 2.4: the parameter says what METHOD in the file does.
        parameters = {"charset": "utf-8", "method": "PUBLISH"}
        message.add_attachment(
            mail.event_file.encode(), "text", "calendar", filename="event.ics", params=parameters
        )


def _address(text: str, display_name: str = "") -> Address:
    """One plain address, its domain in ASCII (IDNA). Raises Undeliverable for anything else.

    Python writes a name that is not ASCII as an encoded word, which no server takes for an address.
    """
    local, _, domain = text.strip().rpartition("@")
    try:
        domain = host_in_ascii(domain)
    except UnicodeError as error:
        raise Undeliverable(f"not an address that mail can be sent to: {text!r}") from error
    if not LOCAL_PART.fullmatch(local) or "=?" in local or not _DOMAIN.fullmatch(domain):
        raise Undeliverable(f"not an address that mail can be sent to: {text!r}")
    return Address(_display_name(display_name), local, domain)


def _display_name(text: str) -> str:
    """Python loses the quotes of a name that it folds, and a comma then makes two addresses of one.

    So a long name goes without whatever needs quotes.
    """
    name = one_line(text.translate({ord('"'): "'", ord("\\"): "/"}))[:LONGEST_NAME]
    return name if len(name) <= UNFOLDED_NAME else one_line(re.sub(r"[()<>@,:;.\[\]]", " ", name))


def _check_headers(message: EmailMessage) -> None:
    """Those of the message itself: what stands below the first empty line is its text."""
    head = message.as_bytes().split(b"\r\n\r\n", 1)[0].decode("ascii", "replace")
    lines = head.split("\r\n")
    names = [line.split(":", 1)[0].lower() for line in lines if line[:1] not in (" ", "\t")]
    if len(names) != len(set(names)) or not set(names) <= OUR_HEADERS:
        raise Undeliverable(f"unexpected headers: {sorted(set(names) - OUR_HEADERS)}")
    if max(map(len, lines)) > LONGEST_LINE:
        raise Undeliverable("a header is too long")


async def deliver(message: EmailMessage, settings: Settings) -> None:
    """Hands the message on. Raises Undeliverable or NotNow."""
    try:
        if settings.smtp_url is None:
            _write(message, settings.mail_dir)
        else:
            await _hand_over(message, settings.smtp_url)
    except aiosmtplib.SMTPSenderRefused as error:
        raise _refusal(error, Refused.OURS) from error
    except aiosmtplib.SMTPRecipientsRefused as error:
        [refused] = error.recipients
        raise _refusal(refused, Refused.ADDRESS) from error
    except aiosmtplib.SMTPDataError as error:
        raise _refusal(error, Refused.MAIL) from error
    except aiosmtplib.SMTPResponseException as error:  # of the connection, not of the mail
        raise NotNow(f"{error.code} {error.message}") from error
    except (aiosmtplib.SMTPException, OSError) as error:
        raise NotNow(str(error) or type(error).__name__) from error
    except ValueError as error:  # an address that the client will not write into its commands
        raise Undeliverable(str(error)) from error


def _refusal(error: "aiosmtplib.SMTPResponseException", refused: Refused) -> Undeliverable | NotNow:
    why = f"{error.code} {error.message}"
    if not 500 <= error.code < 600 or error.code in SIGN_IN_CODES:
        return NotNow(why)
    if refused is Refused.ADDRESS and _MEANS_US.match(error.message):
        refused = Refused.OURS
    elif refused is Refused.ADDRESS and _MEANS_THIS_MAIL.match(error.message):
        refused = Refused.MAIL
    return Undeliverable(why, refused)


async def greet(smtp_url: str, within_s: float) -> None:
    """Connects as for a mail, signs in if the URL says so, and hangs up. Raises NotNow."""
    client = _client(smtp_url)
    try:
        async with asyncio.timeout(within_s):
            await _connect(client)
            await client.ehlo()
    except (aiosmtplib.SMTPException, OSError) as error:
        raise NotNow(str(error) or "it does not answer") from error
    finally:
        client.close()


async def _hand_over(message: EmailMessage, smtp_url: str) -> None:
    """Returns once the server has taken the message; that it then hangs up badly does not matter."""
    client = _client(smtp_url)
    try:
        async with asyncio.timeout(SEND_WITHIN_S):
            await _connect(client)
            await client.send_message(message)
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            await client.quit(timeout=GOODBYE_WITHIN_S)
    finally:
        client.close()


def _client(smtp_url: str) -> "aiosmtplib.SMTP":
    url = urlsplit(smtp_url)
    return aiosmtplib.SMTP(
        hostname=url.hostname,
        port=url.port or (465 if url.scheme == "smtps" else 25),
        username=unquote(url.username) if url.username else None,
        password=unquote(url.password) if url.password else None,
        use_tls=url.scheme == "smtps",
        tls_context=ssl.create_default_context() if url.scheme == "smtps" else None,
        timeout=STEP_WITHIN_S,
    )


async def _connect(client: "aiosmtplib.SMTP") -> None:
    await client.connect(local_hostname=await asyncio.to_thread(_own_name))


@cache
def _own_name() -> str:
    """What we call ourselves to a server. To find it out may take a name server as long as all the rest of a mail."""
    return socket.getfqdn()


def _write(message: EmailMessage, directory: Path) -> None:
    """One file a mail, named so that a directory listing is in order; complete or not there at all."""
    directory.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^A-Za-z0-9]", "", str(message["Message-ID"]).split("@")[0])
    target = directory / f"{name}.eml"
    draft = target.with_suffix(".part")
    draft.write_bytes(message.as_bytes())
    draft.replace(target)


# ---------------------------------------------------------------- mails that are files


def files_naming(directory: Path, spellings: Collection[str]) -> Iterator[Path]:
    """Those to or from an address (given in lower case), or with it in their text."""
    for path in sorted(directory.glob("*.eml")):
        message = message_from_bytes(path.read_bytes(), policy=SMTP)
        parts = (part for part in message.walk() if part.get_content_maintype() == "text")
        said = " ".join([*map(str, message.values()), *(part.get_content() for part in parts)]).lower()
        if any(spelled in said for spelled in spellings):
            yield path


def forget_files(directory: Path, before: datetime) -> None:
    """Files are kept no longer than what is in the outbox. Another worker may do the same at this moment."""
    for path in directory.glob("*.eml"):
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < before.timestamp():
                path.unlink()
