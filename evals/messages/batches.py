"""The Message Batches API: many requests at half the price, answered within a day.

OUTPUT/batches/ID.json    which requests a batch holds, so that an interrupted run takes up its answers
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from evals import schema
from evals.errors import EnvironmentFault, Fault
from evals.messages.client import Caller, Watch

_FIRST_POLL, _LONGEST_POLL, _POLL_GROWTH = 1.0, 60.0, 1.4


def request_name(parts: list[Any], request: Mapping[str, Any]) -> str:
    """A `custom_id`: the same for the same trial and request."""
    text = json.dumps([parts, request], sort_keys=True)
    return f"evals-{hashlib.sha256(text.encode()).hexdigest()[:48]}"


@dataclass(frozen=True, kw_only=True)
class Batches:
    """Submits requests, waits for all answers, and takes up what an earlier run has submitted."""

    caller: Caller
    folder: Path
    tell: Callable[[str], None]
    again: bool = False
    _names: dict[str, str] = field(default_factory=dict)

    async def answers(self, requests: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """The result of each request, by its name: a message, or `Fault` text under `fault`."""
        earlier = {} if self.again else {name: batch for name, batch in self._stored() if name in requests}
        new = {name: request for name, request in requests.items() if name not in earlier}
        batches = sorted(set(earlier.values()))
        for batch in batches:
            self.tell(f"batch {batch}, submitted earlier, is taken up")
        if new:
            batches.append(await self._submit(new))
        found: dict[str, dict[str, Any]] = {}
        for batch in batches:
            found.update(await self._collect(batch))
        return {name: found.get(name, {"fault": "the batch has no result for it"}) for name in requests}

    def _stored(self) -> Iterator[tuple[str, str]]:
        for path in sorted(self.folder.glob("*.json")):
            document = schema.load_json(path.read_bytes(), "batch", str(path))
            yield from ((name, document["id"]) for name in document["requests"])

    async def _submit(self, requests: Mapping[str, Mapping[str, Any]]) -> str:
        items: list[Any] = [{"custom_id": name, "params": dict(request)} for name, request in requests.items()]
        # Not repeated where it may have been taken: a batch that is lost sight of is paid for twice.
        batch = await self.caller.client.messages.batches.create(requests=items)
        self._keep(batch.id, sorted(requests))
        self.tell(
            f"batch {batch.id} with {len(items)} requests was submitted; it can take a day. You can interrupt, and run "
            "the same command later to take up its answers"
        )
        return batch.id

    def _keep(self, batch: str, names: list[str]) -> None:
        path = self.folder / f"{batch}.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            aside = path.with_suffix(".new")
            aside.write_text(json.dumps({"schema_version": 1, "id": batch, "requests": names}, indent=1))
            os.replace(aside, path)
        except OSError as error:
            raise EnvironmentFault(f"cannot write {path}: {error.strerror}") from None

    async def _collect(self, batch: str) -> dict[str, dict[str, Any]]:
        """Wait for a batch to end; its results. Only answers are worth being taken up again."""
        pause = _FIRST_POLL
        while True:
            state, _ = await self.caller.insist(lambda: self.caller.client.messages.batches.retrieve(batch), Watch())
            if state.processing_status == "ended":
                break
            await anyio.sleep(pause)
            pause = min(_LONGEST_POLL, pause * _POLL_GROWTH)
        found, _ = await self.caller.insist(lambda: self._results(batch), Watch())
        self._keep(batch, sorted(name for name, result in found.items() if "message" in result))
        return found

    async def _results(self, batch: str) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        async for entry in await self.caller.client.messages.batches.results(batch):
            result = entry.result.model_dump(mode="json", exclude_none=True)
            if result["type"] == "succeeded":
                found[entry.custom_id] = {"message": result["message"]}
            else:
                reason = result.get("error", {}).get("error", {}).get("message", "")
                found[entry.custom_id] = {"fault": f"{result['type']} {reason}".strip()}
        return found


def message_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """The message of a result; `Fault` where there is none."""
    if "fault" in result:
        raise Fault("solve", f"the Message Batches API: {result['fault']}")
    message: dict[str, Any] = result["message"]
    return message
