"""A mail server for the tests: a real one on the loopback, which can be away, refuse, and hang up."""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session


def free_port() -> int:
    """A port where nothing listens now.

    Of those that the system gives nobody who connects somewhere: who listens here, ends and begins anew would now and
    then find it taken.
    """
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        with socket.socket() as listening, contextlib.suppress(OSError):
            listening.bind(("127.0.0.1", port))
            return port


def plain_text(mail: EmailMessage) -> str:
    """What a program shows that does not show HTML."""
    body = mail.get_body(("plain",))
    assert body is not None
    text: str = body.get_content()
    return text.replace("\r\n", "\n")


def hang_up(server: SMTP) -> None:
    assert isinstance(server.transport, asyncio.Transport)
    server.transport.abort()


@dataclass
class Sink:
    """What it answers, and what it took. Set an answer to see how a sender bears it."""

    port: int = field(default_factory=free_port)
    on_sender: str = "250 OK"
    on_recipient: str = "250 OK"
    on_data: str = "250 OK"
    refuses: dict[str, str] = field(default_factory=dict)  # recipients, and what each is answered
    hangs_for: set[str] = field(default_factory=set)  # recipients whose mail it takes without saying so
    takes_s: float = 0.0  # for each mail
    hangs_up: str = ""  # "before" or "after" it has taken the mail
    offered: int = 0  # how often somebody named a sender
    envelopes: list[tuple[str | None, list[str], bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def recipients(self) -> list[str]:
        return [recipient for _, recipients, _ in self.envelopes for recipient in recipients]

    @property
    def mails(self) -> list[EmailMessage]:
        return [message_from_bytes(content, policy=policy.default) for _, _, content in self.envelopes]

    @property
    def bodies(self) -> list[str]:
        return [plain_text(mail) for mail in self.mails]

    @contextmanager
    def up(self) -> Iterator["Sink"]:
        # With a name given: to find its own out can take longer than all the rest of a mail.
        controller = Controller(
            _Answers(self), hostname="127.0.0.1", port=self.port, server_hostname="sink.test"
        )
        controller.start()
        try:
            yield self
        finally:
            controller.stop()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Somebody listens at the port and never says a word."""
        with socket.create_server(("127.0.0.1", self.port)):
            yield


@dataclass
class _Answers:
    """Apart from the sink, because for each connection aiosmtpd looks at all that its handler has, mails included."""

    sink: Sink

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> bytes:
        self.sink.offered += 1
        if self.sink.on_sender.startswith("2"):
            envelope.mail_from = address
        return _said(self.sink.on_sender)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> bytes:
        answer = self.sink.refuses.get(address, self.sink.on_recipient)
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return _said(answer)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> bytes:
        while self.sink.hangs_for & set(envelope.rcpt_tos):
            await asyncio.sleep(0.05)
        await asyncio.sleep(self.sink.takes_s)
        if self.sink.hangs_up == "before":
            hang_up(server)
        elif self.sink.on_data.startswith("2"):
            content = envelope.content if isinstance(envelope.content, bytes) else b""
            self.sink.envelopes.append((envelope.mail_from, list(envelope.rcpt_tos), content))
        return _said(self.sink.on_data)

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.sink.hangs_up == "after":
            hang_up(server)
        return "221 Bye"


def _said(answer: str) -> bytes:
    """Any bytes: what is no text stands in the answer as `surrogateescape` has it."""
    return answer.encode("utf-8", "surrogateescape")
