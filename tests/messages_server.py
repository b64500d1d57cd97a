"""A small server that speaks the Messages API over real HTTP and server-sent events, for tests.

A script decides each answer from the request and from how often that turn was asked for before.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-ant-api03-tests-only-Zq8vXw3LkYp0"
MODEL = "claude-sonnet-5-5"


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer. With `status`, an error; `cut` ends the stream after so many events; `garbage` is sent instead."""

    blocks: tuple[dict[str, Any], ...] = ()
    stop: str = "end_turn"
    usage: dict[str, Any] = field(default_factory=lambda: {"input_tokens": 100, "output_tokens": 50})
    status: int = 200
    error: str = "api_error"
    message: str = "no"
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    garbage: str | None = None
    inner_error: str | None = None
    delay: float = 0.0


def text(said: str, **more: Any) -> Reply:
    return Reply(blocks=({"type": "text", "text": said},), **more)


def use(name: str, arguments: dict[str, Any], call: str = "toolu_1", **more: Any) -> Reply:
    return Reply(blocks=({"type": "tool_use", "id": call, "name": name, "input": arguments},), stop="tool_use", **more)


def bash(command: str, call: str = "toolu_1", **more: Any) -> Reply:
    return use("bash", {"command": command}, call, **more)


Script = Callable[[dict[str, Any], int, int], Reply]
"""Of the request, the turn from 0, and how often it was asked for before."""


def in_turn(*replies: Reply) -> Script:
    """An answer a turn; the last goes on."""
    return lambda _request, turn, _before: replies[min(turn, len(replies) - 1)]


def events(reply: Reply, model: str) -> list[tuple[str, dict[str, Any]]]:
    """The stream of an answer."""
    usage = {**reply.usage, "output_tokens": 1}
    head = {"id": f"msg_{secrets.token_hex(8)}", "type": "message", "role": "assistant", "model": model, "content": []}
    found: list[tuple[str, dict[str, Any]]] = [
        ("message_start", {"message": {**head, "stop_reason": None, "stop_sequence": None, "usage": usage}}),
        ("ping", {}),
    ]
    for index, block in enumerate(reply.blocks):
        empty, delta = _parts(block)
        found.append(("content_block_start", {"index": index, "content_block": empty}))
        found += [("content_block_delta", {"index": index, "delta": part}) for part in delta]
        found.append(("content_block_stop", {"index": index}))
    end = {"stop_reason": reply.stop, "stop_sequence": None}
    found.append(("message_delta", {"delta": end, "usage": {"output_tokens": reply.usage["output_tokens"]}}))
    found.append(("message_stop", {}))
    return found


def _parts(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    if block["type"] == "tool_use":
        said = json.dumps(block["input"])
        pieces = [said[n : n + 40] for n in range(0, len(said), 40)]
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    if block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": block["thinking"]}]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
        return {"type": "thinking", "thinking": "", "signature": ""}, deltas
    return {"type": "text", "text": ""}, [{"type": "text_delta", "text": block["text"]}]


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Clients that go away in the middle are what is tested."""


class MessagesServer:
    """Listens on loopback; `requests` are those that it has got, `headers` theirs."""

    def __init__(self, script: Script, models: tuple[str, ...] = (MODEL,)) -> None:
        self.script = script
        self.models = models
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.batches: dict[str, dict[str, Any]] = {}
        self.batch_polls = 1
        self.most_at_once = 0
        self._at_once = 0
        self._asked: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def env(self) -> dict[str, str]:
        return {"ANTHROPIC_BASE_URL": self.url, "ANTHROPIC_API_KEY": KEY}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def reply(self, request: dict[str, Any]) -> Reply:
        turn = sum(1 for message in request["messages"] if message["role"] == "assistant")
        name = json.dumps([request["system"], turn, request["messages"][0]], sort_keys=True)
        with self._lock:
            self.requests.append(request)
            before = self._asked[name]
            self._asked[name] += 1
        return self.script(request, turn, before)

    def enter(self) -> None:
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)

    def leave(self) -> None:
        with self._lock:
            self._at_once -= 1


def _handler(owner: MessagesServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def _json(self, status: int, document: Any, headers: dict[str, str] | None = None) -> None:
            data = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.send_header("request-id", "req_1")
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def _error(self, status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> None:
            self._json(status, {"type": "error", "error": {"type": kind, "message": message}}, headers)

        def _allowed(self) -> bool:
            owner.paths.append(f"{self.command} {self.path}")
            owner.headers.append({name.lower(): value for name, value in self.headers.items()})
            # The SDK sends a key as a bearer token since its version 2.14, and by a header of its own before.
            if KEY in (self.headers.get("x-api-key"), self.headers.get("authorization", "").removeprefix("Bearer ")):
                return True
            self._error(401, "authentication_error", "invalid x-api-key")
            return False

        def do_GET(self) -> None:
            if not self._allowed():
                return
            parts = self.path.partition("?")[0].strip("/").split("/")
            if parts[:2] == ["v1", "models"]:
                self._model(parts[2])
            elif parts[:3] == ["v1", "messages", "batches"]:
                self._batch(parts[3], results=parts[-1] == "results")
            else:
                self._error(404, "not_found_error", self.path)

        def _model(self, name: str) -> None:
            if name not in owner.models:
                self._error(404, "not_found_error", f"model: {name}")
                return
            found = {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"}
            self._json(200, found)

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if not self._allowed():
                return
            if self.path.endswith("/batches"):
                self._new_batch(request)
                return
            owner.enter()
            try:
                self._message(request)
            finally:
                owner.leave()

        def _message(self, request: dict[str, Any]) -> None:
            reply = owner.reply(request)
            time.sleep(reply.delay)
            if reply.status != 200:
                self._error(reply.status, reply.error, reply.message, reply.headers)
                return
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("request-id", "req_1")
            self.send_header("connection", "close")
            self.end_headers()
            self.close_connection = True
            if reply.garbage is not None:
                self.wfile.write(reply.garbage.encode())
                return
            for name, content in events(reply, request["model"])[: reply.cut]:
                data = json.dumps({"type": name, **content})
                self.wfile.write(f"event: {name}\ndata: {data}\n\n".encode())
                self.wfile.flush()
            if reply.inner_error is not None:
                found = {"type": "error", "error": {"type": reply.inner_error, "message": "busy"}}
                self.wfile.write(f"event: error\ndata: {json.dumps(found)}\n\n".encode())

        def _new_batch(self, request: dict[str, Any]) -> None:
            name = f"msgbatch_{len(owner.batches) + 1}"
            owner.batches[name] = {"requests": request["requests"], "polls": owner.batch_polls}
            self._json(200, self._state(name))

        def _state(self, name: str) -> dict[str, Any]:
            batch = owner.batches[name]
            ended = batch["polls"] <= 0
            count = len(batch["requests"])
            found = {"processing": 0 if ended else count, "succeeded": count if ended else 0}
            return {
                "id": name,
                "type": "message_batch",
                "processing_status": "ended" if ended else "in_progress",
                "request_counts": {**found, "errored": 0, "canceled": 0, "expired": 0},
                "ended_at": "2026-01-01T00:00:00Z" if ended else None,
                "created_at": "2026-01-01T00:00:00Z",
                "expires_at": "2026-01-02T00:00:00Z",
                "archived_at": None,
                "cancel_initiated_at": None,
                "results_url": f"{owner.url}/v1/messages/batches/{name}/results" if ended else None,
            }

        def _batch(self, name: str, *, results: bool) -> None:
            if name not in owner.batches:
                self._error(404, "not_found_error", f"batch {name}")
                return
            batch = owner.batches[name]
            if not results:
                self._json(200, self._state(name))
                batch["polls"] -= 1
                return
            lines = []
            for item in batch["requests"]:
                reply = owner.reply(item["params"])
                lines.append(json.dumps({"custom_id": item["custom_id"], "result": _result(reply, item["params"])}))
            self._json(200, "\n".join(lines).encode())

    return Handler


def _result(reply: Reply, request: dict[str, Any]) -> dict[str, Any]:
    if reply.status != 200:
        return {"type": "errored", "error": {"type": "error", "error": {"type": reply.error, "message": reply.message}}}
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": request["model"],
        "content": list(reply.blocks),
        "stop_reason": reply.stop,
        "stop_sequence": None,
        "usage": reply.usage,
    }
    return {"type": "succeeded", "message": message}
