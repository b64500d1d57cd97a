"""A message put together from the bytes of its stream, as far as they came."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


def _events(body: bytes) -> Iterator[dict[str, Any]]:
    for line in body.decode("utf-8", "replace").splitlines():
        if line.startswith("data:"):
            try:
                event = json.loads(line[5:])
            except ValueError:
                return
            if isinstance(event, dict):
                yield event


def message_of(body: bytes) -> dict[str, Any]:
    """The message of a streamed answer, or of one that came whole; empty where it is neither."""
    try:
        found = json.loads(body) if body.lstrip().startswith(b"{") else _put_together(body)
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}
    return found if isinstance(found, dict) else {}


def _put_together(body: bytes) -> dict[str, Any]:
    message: dict[str, Any] = {}
    pieces: dict[int, list[str]] = {}
    for event in _events(body):
        kind = event.get("type")
        if kind == "message_start":
            message = {**event["message"], "content": []}
        elif message and kind == "content_block_start":
            message["content"].append(dict(event["content_block"]))
        elif message and kind == "content_block_delta":
            _add(message["content"][event["index"]], event["delta"], pieces.setdefault(event["index"], []))
        elif message and kind == "message_delta":
            message.update({name: value for name, value in event["delta"].items() if value is not None})
            message["usage"] = {**message.get("usage", {}), **_known(event.get("usage") or {})}
    for index, parts in pieces.items():
        message["content"][index]["input"] = _input("".join(parts)) if parts else message["content"][index].get("input")
    return {**message, "content": [_without_nothing(block) for block in message.get("content", [])]} if message else {}


def _add(block: dict[str, Any], delta: dict[str, Any], pieces: list[str]) -> None:
    if delta.get("type") == "input_json_delta":
        pieces.append(delta["partial_json"])
    for name in ("text", "thinking", "signature"):
        if name in delta:
            block[name] = block.get(name, "") + delta[name]


def _input(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"cut off": text}


def _known(usage: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in usage.items() if value is not None}


def _without_nothing(block: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in block.items() if value is not None}
