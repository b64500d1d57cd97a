"""One answer that holds every file, by structured output: no tools, nothing run."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from evals import digests, workspace
from evals.catalog import tasks
from evals.errors import NotStarted
from evals.messages import models, notes
from evals.messages.batches import Batches, message_of, request_name
from evals.messages.client import Answer, TooLong, Watch
from evals.messages.desk import AtDesk, Desk, frame_options
from evals.messages.ledger import Meter
from evals.messages.limits import limits_of
from evals.messages.pricing import Tokens, tokens_of
from evals.types import Assignment, Revision, Settings, Solution, SolverOptions

NAME = "single-shot"

_ENDS = {"end_turn": "done", "stop_sequence": "done", "model_context_window_exceeded": "context window"}
_CHARACTERS_A_TOKEN = 3
_FORM = """

## How to answer

You have no tools: answer once, with every file of the delivery and its whole content. Paths are relative to the \
workspace's root. These files are in the workspace already, and stay unless you give them anew:
"""

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "files": {
            "type": "array",
            "description": "every file of the delivery",
            "items": {
                "type": "object",
                "properties": {
                    "path": {"type": "string", "description": "relative to the workspace's root"},
                    "content": {"type": "string", "description": "the whole file"},
                },
                "required": ["path", "content"],
                "additionalProperties": False,
            },
        },
        "notes": {"type": "string", "description": "what the reader should know, in a few sentences"},
    },
    "required": ["files", "notes"],
    "additionalProperties": False,
}


@dataclass(kw_only=True)
class SingleShot(AtDesk):
    """Asks once; with `--batch`, for all trials together."""

    name: str = NAME
    _results: dict[str, dict[str, Any]] = field(default_factory=dict)

    def settings(self, revision: Revision) -> Settings:
        """Model, effort, and what the answer may cost. Batches give the same answers as single calls."""
        limits = limits_of(self.options, None)
        effort = models.check_effort(self.options.effort)
        return Settings(
            solver=NAME,
            kind=NAME,
            model=models.resolve(self.options.model, revision),
            options={"effort": effort, "max_output_tokens": limits.output_tokens, "max_trial_cost": limits.cost},
        )

    @asynccontextmanager
    async def ready(self, assignments: Sequence[Assignment]) -> AsyncIterator[None]:
        """Check key and model, and with `--batch` wait for all answers."""
        async with self.desk.open({str(self.settings(a.revision).model) for a in assignments}):
            if self.options.batch:
                await self._submit(assignments)
            yield

    async def _submit(self, assignments: Sequence[Assignment]) -> None:
        requests: dict[str, dict[str, Any]] = {}
        left = float("inf") if self.options.max_cost is None else self.options.max_cost
        for assignment in assignments:
            settings = self.settings(assignment.revision)
            request, most = self._request(assignment, settings)
            left -= most
            if left >= 0:
                requests[self._name(assignment, settings, request)] = request
        folder = self.options.output / "batches"
        batches = Batches(caller=self.desk.caller, folder=folder, tell=self.options.tell, again=self.options.again)
        self._results = await batches.answers(requests) if requests else {}

    def _request(self, assignment: Assignment, settings: Settings) -> tuple[dict[str, Any], float]:
        """What is asked, and the most that it can cost in US dollars."""
        meter = self.desk.meter(settings, batch=self.options.batch)
        user = asked(assignment)
        prompt = (len(assignment.revision.body) + len(user)) // _CHARACTERS_A_TOKEN
        room = limits_of(self.options, None).answer_tokens(meter, prompt)
        frame = frame_options(settings)
        frame["output_config"] = {**frame.get("output_config", {}), "format": {"type": "json_schema", "schema": SCHEMA}}
        request = {
            **frame,
            "max_tokens": max(room, 1024),
            "system": [
                {
                    "type": "text",
                    "text": assignment.revision.body,
                    "cache_control": {"type": "ephemeral", "ttl": "1h"},
                }
            ],
            "messages": [{"role": "user", "content": [{"type": "text", "text": user}]}],
        }
        if meter.prices is None:
            return request, 0.0
        used = Tokens(cache_write_1h=prompt, output=request["max_tokens"])
        return request, meter.prices.cost(used, batch=self.options.batch)

    def _name(self, assignment: Assignment, settings: Settings, request: Mapping[str, Any]) -> str:
        parts = [assignment.revision.digest, assignment.task.id, assignment.stack.name, assignment.epoch]
        return request_name([*parts, digests.of_options(settings.options)], request)

    async def solve(self, assignment: Assignment) -> Solution:
        """Ask, and take the files of the answer."""
        settings = self.settings(assignment.revision)
        meter = self.desk.meter(settings, batch=self.options.batch)
        request, most = self._request(assignment, settings)
        notes.begin(assignment, settings, (), asked(assignment))
        changed: list[int] = []
        with self.desk.ledger.room_for(most, meter), self.desk.first(assignment):
            began = time.monotonic()
            try:
                answer = await self._answer(assignment, settings, request, meter, changed)
            except TooLong:
                return self._solution(assignment, settings, meter, None, "context window")
            notes.assistant(assignment, 1, answer, time.monotonic() - began)
        ended = str(answer.message.get("stop_reason"))
        return self._solution(assignment, settings, meter, answer, _ENDS.get(ended, ended))

    async def _answer(
        self,
        assignment: Assignment,
        settings: Settings,
        request: Mapping[str, Any],
        meter: Meter,
        changed: list[int],
    ) -> Answer:
        if self.options.batch:
            result = self._results.get(self._name(assignment, settings, request))
            if result is None:
                raise NotStarted(f"the budget of ${self.options.max_cost:.2f} (--max-cost) has no room for it")
            message = message_of(result)
            tokens = tokens_of(message["usage"])
            return Answer(message=message, tokens=tokens, cost=meter.add(tokens), attempts=1)
        await self.desk.turn_to_cache(assignment, 1)
        watch = Watch(
            began=lambda: self.desk.cached(assignment),
            failed=lambda reason, pause: notes.retry(assignment, 1, reason, pause),
        )
        call = self.desk.call(assignment, settings, 1, changed.append)
        return await self.desk.caller.ask(lambda: request, meter, call, watch)

    def _solution(
        self, assignment: Assignment, settings: Settings, meter: Meter, answer: Answer | None, ended: str
    ) -> Solution:
        given = parse(notes.text_of(answer.message)) if answer else {}
        found = workspace.of_texts({str(f["path"]): str(f["content"]) for f in _whole_files(given)})
        if answer is not None and not found.files and ended == "done":
            ended = "no files"
        notes.end(assignment, ended, meter)
        return Solution(
            files={**assignment.stack.starting_files(), **found.files},
            ended=ended,
            provenance={
                **notes.provenance(assignment, settings, meter, replayed=self.desk.replays),
                "batch": self.options.batch,
                "stop": ended,
                "final_message": str(given.get("notes", "")),
            },
            cost_usd=meter.cost,
            tokens=meter.tokens.as_dict(),
            dropped=found.dropped,
        )


def asked(assignment: Assignment) -> str:
    """The instruction, how to answer, and what the workspace holds, since the model cannot look."""
    files = [
        f"\n`{path}`:\n\n```\n{data.decode('utf-8', 'replace').rstrip()}\n```\n"
        for path, data in assignment.stack.starting_files().items()
    ]
    return tasks.asked(assignment.task, assignment.stack).rstrip() + _FORM + "".join(files)


def parse(text: str) -> dict[str, Any]:
    """The answer's object; of one that was cut off, what is whole. Empty where it is something else."""
    from pydantic_core import from_json

    try:
        found = json.loads(text)
    except ValueError:
        try:
            found = from_json(text, allow_partial=True)
        except ValueError:
            return {}
    return found if isinstance(found, dict) else {}


def _whole_files(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    files = given.get("files")
    return [
        item
        for item in (files if isinstance(files, list) else [])
        if isinstance(item, dict) and isinstance(item.get("path"), str) and isinstance(item.get("content"), str)
    ]


def create(options: SolverOptions) -> SingleShot:
    """The solver; the API is not called before `ready`."""
    return SingleShot(options=options, desk=Desk(options=options))
