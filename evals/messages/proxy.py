"""The way of a sandboxed agent to the Messages API: it holds the key, counts the money, and writes down what passes.

It listens on a socket in a folder that is mounted into the sandbox. Nothing but messages and token counts goes through.
"""

from __future__ import annotations

import json
import os
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx2

from evals.errors import InputError
from evals.messages import pricing, sse
from evals.messages.ledger import Meter
from evals.messages.limits import Limits

SOCKET = "api.sock"

_DEFAULT_URL = "https://api.anthropic.com"
_PATHS = ("/v1/messages", "/v1/messages/count_tokens")
_PASSED_ON = ("anthropic-version", "anthropic-beta", "content-type", "user-agent")
_PASSED_BACK = ("content-type", "request-id", "retry-after")
_MOST_BYTES = 64 * 1024 * 1024
_SECONDS = httpx2.Timeout(300.0, connect=20.0)


def credential(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The header with the key; `InputError` where there is none that can be passed on."""
    if environ.get("ANTHROPIC_API_KEY"):
        return {"x-api-key": environ["ANTHROPIC_API_KEY"]}
    if environ.get("ANTHROPIC_AUTH_TOKEN"):
        return {"authorization": f"Bearer {environ['ANTHROPIC_AUTH_TOKEN']}"}
    raise InputError("--solver claude-code: needs ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN")


@dataclass(kw_only=True)
class Traffic:
    """What has passed of one trial, and the limits that it keeps."""

    meter: Meter
    limits: Limits
    log: Callable[[str, Mapping[str, Any]], None]
    turns: int = 0
    reached: str = ""
    last_error: str = ""
    _told: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def refusal(self) -> str:
        """Why no more is passed on, or nothing."""
        if self.turns >= self.limits.turns:
            self.reached = "limit: turns"
        elif not self.limits.answer_tokens(self.meter, 0):
            self.reached = self.limits.reached(self.meter)
        return self.reached

    def asked(self, request: Mapping[str, Any]) -> None:
        """Keep the results of tools that a request brings."""
        with self._lock:
            for message in request.get("messages", [])[-4:]:
                content = message.get("content")
                for block in content if isinstance(content, list) else []:
                    if block.get("type") == "tool_result" and block["tool_use_id"] not in self._told:
                        self._told.add(block["tool_use_id"])
                        self._keep_result(block)

    def _keep_result(self, block: Mapping[str, Any]) -> None:
        content = block.get("content", "")
        parts = [part.get("text", "") for part in content] if isinstance(content, list) else [str(content)]
        self.log(
            "tool",
            {
                "turn": self.turns,
                "id": block["tool_use_id"],
                "name": "tool",
                "output": "\n".join(parts),
                "is_error": bool(block.get("is_error")),
                "seconds": 0.0,
            },
        )

    def answered(self, request: Mapping[str, Any], message: Mapping[str, Any]) -> None:
        """Book an answer; those to requests without tools are side errands of the agent, and no turns."""
        if not message:
            self.failed("the answer cannot be read")
            return
        tokens = pricing.tokens_of(message.get("usage") or {})
        whole = message.get("stop_reason") is not None
        with self._lock:
            # Errands may go to another model, whose price is another.
            self.meter.prices = pricing.prices_of(str(message.get("model"))) or self.meter.prices
            cost = self.meter.add(tokens, lost=not whole)
            if not whole:
                self.failed("the stream ended in the middle of the message")
                return
            if request.get("tools"):
                self.turns += 1
            self.log(
                "assistant",
                {
                    "turn": self.turns,
                    "id": message.get("id"),
                    "model": message.get("model"),
                    "content": message.get("content", []),
                    "stop_reason": message.get("stop_reason"),
                    "tokens": tokens.as_dict(),
                    "cost_usd": cost,
                    "attempts": 1,
                    "seconds": 0.0,
                },
            )

    def failed(self, reason: str) -> None:
        """Keep a failure; the agent tries again by itself."""
        self.last_error = reason
        self.meter.retries += 1
        self.log("retry", {"turn": self.turns + 1, "reason": reason, "pause": 0.0})


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def __init__(self, path: str, client: httpx2.Client, traffic: Traffic) -> None:
        super().__init__(path, _Handler)
        self.client = client
        self.traffic = traffic


@contextmanager
def serve(folder: Path, traffic: Traffic) -> Iterator[None]:
    """Listen in a folder while a trial runs."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    url = os.environ.get("ANTHROPIC_BASE_URL") or _DEFAULT_URL
    try:
        with (
            httpx2.Client(base_url=url, headers=credential(), timeout=_SECONDS) as client,
            # By descriptor: the path of a socket may have 107 bytes at most.
            _Server(f"/proc/self/fd/{descriptor}/{SOCKET}", client, traffic) as server,
        ):
            os.chmod(folder / SOCKET, 0o666)  # noqa: S103 - the sandbox's user is another one
            threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
            try:
                yield
            finally:
                server.shutdown()
    finally:
        os.close(descriptor)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def address_string(self) -> str:
        return "sandbox"

    def do_GET(self) -> None:
        self._refuse(404, "not_found_error", "only messages pass")

    do_HEAD = do_GET  # noqa: N815 - the base class's name

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        path = self.path.partition("?")[0]
        if path not in _PATHS or not 0 < length <= _MOST_BYTES:
            self._refuse(404, "not_found_error", "only messages pass")
            return
        body = self.rfile.read(length)
        if self.server.traffic.refusal():
            self._refuse(403, "permission_error", self.server.traffic.reached)
            return
        try:
            self._pass(path, body)
        except (httpx2.HTTPError, OSError, ValueError) as error:
            self.server.traffic.failed(f"{type(error).__name__}: {error}")
            self.close_connection = True

    def _pass(self, path: str, body: bytes) -> None:
        request = json.loads(body)
        if path == _PATHS[0]:
            self.server.traffic.asked(request)
        headers = {name: self.headers[name] for name in _PASSED_ON if name in self.headers}
        headers["accept-encoding"] = "identity"
        with self.server.client.stream("POST", path, content=body, headers=headers) as response:
            self.send_response(response.status_code)
            for name in _PASSED_BACK:
                if name in response.headers:
                    self.send_header(name, response.headers[name])
            self.send_header("connection", "close")
            self.end_headers()
            self.close_connection = True
            pieces: list[bytes] = []
            try:
                for piece in response.iter_raw():
                    pieces.append(piece)
                    self.wfile.write(piece)
                    self.wfile.flush()
            finally:
                # However it ended, what had come by then is paid for.
                self._book(path, request, response.status_code, b"".join(pieces))

    def _book(self, path: str, request: Mapping[str, Any], status: int, answer: bytes) -> None:
        if status != 200:
            self.server.traffic.failed(f"{status}: {answer[:500].decode('utf-8', 'replace')}")
        elif path == _PATHS[0]:
            self.server.traffic.answered(request, sse.message_of(answer))

    def _refuse(self, status: int, kind: str, message: str) -> None:
        data = json.dumps({"type": "error", "error": {"type": kind, "message": message}}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
