"""The mail sink, as checks see it."""

from __future__ import annotations

from dataclasses import dataclass
from email import message_from_string
from email.header import decode_header, make_header
from email.message import Message

from evals.arena.kit.channel import Channel
from evals.arena.kit.service import wait_until


@dataclass(frozen=True, kw_only=True)
class Received:
    """One mail as it came in."""

    sender: str
    recipients: tuple[str, ...]
    subject: str
    text: str
    message: Message
    time: float


def _text(message: Message) -> str:
    for part in message.walk():
        if part.get_content_maintype() == "text":
            payload = part.get_payload(decode=True)
            return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""
    return ""


class Mail:
    """Changes how the mail server behaves, and tells what it received."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.port: int = channel.ask("mail")["port"]

    def mode(self, mode: str) -> None:
        """`accept`, `busy` (4xx), `refuse` (5xx), `hang` or `away`."""
        self._channel.ask("mail", mode=mode)

    def attempts(self) -> list[float]:
        """When a client connected (Unix time)."""
        times: list[float] = self._channel.ask("mail")["attempts"]
        return times

    def received(self, *, to: str | None = None) -> list[Received]:
        """All mails so far, or those to one address."""
        mails = [_received(raw) for raw in self._channel.ask("mail")["mails"]]
        return [mail for mail in mails if to is None or to in mail.recipients]

    def wait(self, *, to: str, count: int = 1, seconds: float = 30.0) -> list[Received]:
        """Wait until `count` mails to an address are there, or time is up; what is there then."""
        wait_until(lambda: len(self.received(to=to)) >= count, seconds, every=0.1)
        return self.received(to=to)

    def reset(self) -> None:
        """Back to `accept`, with no mail."""
        self._channel.ask("mail", mode="accept", clear=True)


def _received(raw: dict[str, object]) -> Received:
    message = message_from_string(str(raw["content"]))
    recipients = raw["to"]
    assert isinstance(recipients, list)
    return Received(
        sender=str(raw["from"]),
        recipients=tuple(recipients),
        subject=str(make_header(decode_header(message.get("Subject", "")))),
        text=_text(message),
        message=message,
        time=float(str(raw["time"])),
    )
