"""What a solver did: events as they come, a JSON object a line, and the whole as an ATIF trajectory.

ATIF, the Agent Trajectory Interchange Format, is Harbor's (its RFC 0001); version 1.7 is written here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import evals
from evals.errors import EnvironmentFault

VERSION = "ATIF-v1.7"

Event = Mapping[str, Any]


class Transcript:
    """Events of one trial, appended to a file at once; the file is made with the first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.events: list[dict[str, Any]] = []

    def append(self, name: str, content: Event) -> None:
        """Keep an event."""
        event = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": name, **content}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "a", encoding="utf-8", errors="replace") as file:
                file.write(json.dumps(event, ensure_ascii=False) + "\n")
        except OSError as error:
            raise EnvironmentFault(f"cannot write {self.path}: {error.strerror}") from None
        self.events.append(event)

    def keep_as(self, path: Path) -> None:
        """Give the file its place beside the finished trial."""
        self.path.replace(path)


def read_events(path: Path) -> list[dict[str, Any]]:
    """The events of a file; a last line that was cut off is left out."""
    found = []
    for line in path.read_text("utf-8", "replace").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found


def of_events(events: Sequence[Event], trial: Mapping[str, Any]) -> dict[str, Any]:
    """The trajectory of a trial, from its solver's events."""
    begin = next((event for event in events if event["event"] == "begin"), {})
    steps = [step for event in events for step in _steps(event, events)]
    for number, step in enumerate(steps, 1):
        step["step_id"] = number
    return {
        "schema_version": VERSION,
        "session_id": trial["id"],
        "agent": {
            "name": begin.get("agent", "unknown"),
            "version": begin.get("revision", "unknown")[:12],
            "model_name": begin.get("model"),
            "tool_definitions": [_definition(tool) for tool in begin.get("tools", [])],
            "extra": {"evals_version": evals.__version__, "solver": begin.get("solver")},
        },
        "steps": steps,
        "final_metrics": _totals(events, len(steps)),
        "extra": {"task": begin.get("task"), "stack": begin.get("stack"), "epoch": begin.get("epoch")},
    }


def _definition(tool: Mapping[str, Any]) -> dict[str, Any]:
    """A tool as ATIF has it; the API's own tools come without a schema."""
    parameters = tool.get("input_schema") or {"type": "object"}
    described = tool.get("description") or str(tool.get("type", ""))
    return {
        "type": "function",
        "function": {"name": tool["name"], "description": described, "parameters": parameters},
    }


def _steps(event: Event, events: Iterable[Event]) -> list[dict[str, Any]]:
    at = event["at"]
    if event["event"] == "begin":
        system = {"step_id": 0, "timestamp": at, "source": "system", "message": event["system"]}
        return [system, {"step_id": 0, "timestamp": at, "source": "user", "message": event["user"]}]
    if event["event"] == "assistant":
        return [_agent_step(event, [e for e in events if e["event"] == "tool" and e["turn"] == event["turn"]])]
    return []


def _agent_step(event: Event, results: list[Event]) -> dict[str, Any]:
    blocks = event["content"]
    step: dict[str, Any] = {
        "step_id": 0,
        "timestamp": event["at"],
        "source": "agent",
        "model_name": event.get("model"),
        "message": "".join(block.get("text", "") for block in blocks if block["type"] == "text"),
        "metrics": _metrics(event),
        "llm_call_count": 1,
        "extra": {"stop_reason": event.get("stop_reason"), "attempts": event.get("attempts")},
    }
    thought = "\n".join(block["thinking"] for block in blocks if block["type"] == "thinking" and block.get("thinking"))
    if thought:
        step["reasoning_content"] = thought
    calls = [block for block in blocks if block["type"] == "tool_use"]
    if calls:
        step["tool_calls"] = [
            {"tool_call_id": call["id"], "function_name": call["name"], "arguments": _arguments(call)} for call in calls
        ]
    known = {call["id"] for call in calls}
    observed = [_result(result) for result in results if result["id"] in known]
    if observed:
        step["observation"] = {"results": observed}
    return step


def _arguments(call: Mapping[str, Any]) -> dict[str, Any]:
    found = call["input"]
    return dict(found) if isinstance(found, Mapping) else {"input": found}


def _result(result: Event) -> dict[str, Any]:
    return {
        "source_call_id": result["id"],
        "content": result["output"],
        "extra": {"is_error": result["is_error"], "seconds": result["seconds"]},
    }


def _metrics(event: Event) -> dict[str, Any]:
    tokens = event["tokens"]
    written = tokens["cache_write_5m"] + tokens["cache_write_1h"]
    found = {
        "prompt_tokens": tokens["input"] + tokens["cache_read"] + written,
        "completion_tokens": tokens["output"],
        "cached_tokens": tokens["cache_read"],
        "extra": {"cache_write_5m": tokens["cache_write_5m"], "cache_write_1h": tokens["cache_write_1h"]},
    }
    return found if event["cost_usd"] is None else {**found, "cost_usd": event["cost_usd"]}


def _totals(events: Iterable[Event], steps: int) -> dict[str, Any]:
    """All that was used, calls that broke off included; of a trial that never ended, what its answers say."""
    end = next((event for event in events if event["event"] == "end"), None)
    if end is None:
        return {"total_steps": steps}
    found = _metrics({"tokens": end["tokens"], "cost_usd": end["cost_usd"]})
    totals = {
        "total_prompt_tokens": found["prompt_tokens"],
        "total_completion_tokens": found["completion_tokens"],
        "total_cached_tokens": found["cached_tokens"],
        "total_steps": steps,
    }
    return totals if end["cost_usd"] is None else {**totals, "total_cost_usd": end["cost_usd"]}
