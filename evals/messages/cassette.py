"""Recorded traffic: what the API answered, kept at the SDK's transport and given again without a network.

    DIR/AGENT/REVISION/TASK/STACK/SETTINGS/EPOCH/TURN.json    which request got which answer
    DIR/bodies/DIGEST                                         requests and answers, byte by byte

Only calls that were answered whole are kept. No header of a request is, and of an answer only those named here.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx2

from evals import schema
from evals.errors import Fault, InputError

Mode = Literal["record", "replay"]

_KEPT_HEADERS = ("content-type", "request-id", "anthropic-organization-id")
_FRAME = ("model", "system", "tools", "output_config")


@dataclass(frozen=True, kw_only=True)
class Call:
    """Which call a request is: its trial's folder, and the turn, from 1. `changed` is told of requests that differ."""

    place: Path
    turn: int
    changed: Callable[[int], None]


current_call: ContextVar[Call | None] = ContextVar("current_call", default=None)
"""The call that the running task makes; the transport has no other way to know."""


class Cassette(httpx2.AsyncBaseTransport):
    """A transport that keeps what passes, or stands in for the API."""

    def __init__(self, folder: Path, mode: Mode, inner: httpx2.AsyncBaseTransport | None = None) -> None:
        self._folder = folder
        self._mode = mode
        self._inner = inner

    @property
    def is_replay(self) -> bool:
        """Whether it stands in for the API."""
        return self._mode == "replay"

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer a request."""
        call = current_call.get()
        if self._mode == "replay":
            return self._replayed(request, call)
        assert self._inner is not None
        if call is None:
            return await self._inner.handle_async_request(request)
        # Bodies are kept as they came, so they had better come as text.
        request.headers["accept-encoding"] = "identity"
        response = await self._inner.handle_async_request(request)
        if response.status_code == 200:
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = _Tee(response.stream, lambda body: self._keep(call, request, response, body))
        return response

    def _keep(self, call: Call, request: httpx2.Request, response: httpx2.Response, body: bytes) -> None:
        if b"message_stop" not in body and b'"stop_reason"' not in body:
            return
        entry = {
            "schema_version": 1,
            "request": self._keep_body(request.content),
            "frame": _frame_digest(request.content),
            "response": self._keep_body(body),
            "status": response.status_code,
            "headers": {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers},
        }
        _write(self._folder / call.place / f"{call.turn:04}.json", json.dumps(entry, indent=1).encode())

    def _keep_body(self, body: bytes) -> str:
        digest = hashlib.sha256(body).hexdigest()
        path = self._folder / "bodies" / digest
        if not path.exists():
            _write(path, gzip.compress(body, mtime=0))
        return digest

    def _replayed(self, request: httpx2.Request, call: Call | None) -> httpx2.Response:
        if call is None:
            raise Fault("solve", f"{request.url.path} is not among the recorded calls")
        path = self._folder / call.place / f"{call.turn:04}.json"
        entry = read_entry(path)
        if entry["frame"] != _frame_digest(request.content):
            raise Fault("solve", f"{path}: was recorded with other instructions, tools or settings")
        if entry["request"] != hashlib.sha256(request.content).hexdigest():
            call.changed(call.turn)
        body = self._body(entry["response"], path)
        return httpx2.Response(entry["status"], headers=entry["headers"], content=body)

    def _body(self, digest: str, path: Path) -> bytes:
        source = self._folder / "bodies" / digest
        try:
            body = gzip.decompress(source.read_bytes())
        except (OSError, EOFError) as error:
            raise InputError(f"{path}: response: {source} cannot be read: {error}") from None
        if hashlib.sha256(body).hexdigest() != digest:
            raise InputError(f"{source}: its content does not match its name")
        return body

    async def aclose(self) -> None:
        """Close the transport behind."""
        if self._inner is not None:
            await self._inner.aclose()


class _Tee(httpx2.AsyncByteStream):
    """Passes a body on, and hands it over once it has come to its end."""

    def __init__(self, inner: httpx2.AsyncByteStream, done: Callable[[bytes], None]) -> None:
        self._inner = inner
        self._done = done

    async def __aiter__(self) -> AsyncIterator[bytes]:
        body = b""
        async for piece in self._inner:
            body += piece
            yield piece
        self._done(body)

    async def aclose(self) -> None:
        await self._inner.aclose()


def read_entry(path: Path) -> dict[str, Any]:
    """One recorded call; `Fault` where there is none."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise Fault("solve", f"{path}: this call was not recorded") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    entry: dict[str, Any] = schema.load_json(data, "tape", str(path))
    return entry


def _frame_digest(body: bytes) -> str:
    """Identity of a request but for the conversation, in which tools may tell of times and process numbers."""
    document = json.loads(body)
    frame = {name: document.get(name) for name in _FRAME}
    first = document["messages"][0] if document.get("messages") else None
    return hashlib.sha256(json.dumps([frame, first], sort_keys=True).encode()).hexdigest()


def _write(path: Path, data: bytes) -> None:
    """Aside, then renamed: an interruption leaves no half entry."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".")
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except OSError as error:
        raise InputError(f"--record: cannot write {path}: {error.strerror}") from None
