"""The arena's mail server: takes mails in, or fails in the way it is told to.

Modes: `accept`; `busy` (a 4xx answer to every recipient); `refuse` (a 5xx one); `hang` (connections
are taken and never spoken to); `away` (nothing listens).
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any, Literal

from aiosmtpd.smtp import SMTP, Envelope, Session

Mode = Literal["accept", "busy", "refuse", "hang", "away"]

_MAX_MAIL_BYTES = 1 << 20
_MAX_MAILS = 2000
_MAX_KEPT_BYTES = 512 * 1024
"""Of all mails together: they travel in one line."""

_MAX_ATTEMPTS = 20_000


class Sink:
    """What came in, and what to answer."""

    def __init__(self) -> None:
        self.mode: Mode = "accept"
        self.mails: list[dict[str, Any]] = []
        self.attempts: list[float] = []
        self._kept = 0

    def attempted(self) -> None:
        """Somebody has connected."""
        if len(self.attempts) < _MAX_ATTEMPTS:
            self.attempts.append(time.time())

    def clear(self) -> None:
        """Forget all that came."""
        self.mails.clear()
        self.attempts.clear()
        self._kept = 0

    async def handle_RCPT(  # noqa: N802 (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take, put off or refuse a recipient."""
        if self.mode == "busy":
            return "451 4.3.0 Try again later"
        if self.mode == "refuse":
            return "550 5.1.1 No such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Keep a mail."""
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        self._kept += len(content)
        if len(self.mails) < _MAX_MAILS and self._kept <= _MAX_KEPT_BYTES:
            self.mails.append(
                {
                    "from": envelope.mail_from,
                    "to": list(envelope.rcpt_tos),
                    "content": content.decode("utf-8", "replace"),
                    "time": time.time(),
                }
            )
        return "250 OK"


class _Silent(asyncio.Protocol):
    """Takes a connection and says nothing."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._sink.attempted()


class MailServer:
    """The listening socket, kept at one port over all modes."""

    def __init__(self) -> None:
        self.sink = Sink()
        self.port = 0
        self._server: asyncio.Server | None = None

    def _protocol(self) -> asyncio.BaseProtocol:
        if self.sink.mode == "hang":
            return _Silent(self.sink)
        self.sink.attempted()
        protocol: asyncio.BaseProtocol = SMTP(
            self.sink, data_size_limit=_MAX_MAIL_BYTES, enable_SMTPUTF8=True, hostname="mail.example.com"
        )
        return protocol

    async def set_mode(self, mode: Mode) -> None:
        """Change the behaviour; connections that are open go on as they were."""
        self.sink.mode = mode
        if mode == "away" and self._server is not None:
            self._server.close()
            self._server = None
        elif mode != "away" and self._server is None:
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(self._protocol, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """One request of the control channel."""
        if "mode" in request:
            await self.set_mode(request["mode"])
        if request.get("clear"):
            self.sink.clear()
        return {"port": self.port, "mails": self.sink.mails, "attempts": self.sink.attempts}


async def serve() -> None:
    """Answer JSON lines from standard input until it ends."""
    server = MailServer()
    await server.set_mode("accept")
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        print(json.dumps(await server.answer(json.loads(line))), flush=True)


def main() -> None:
    """Run the mail server."""
    asyncio.run(serve())
