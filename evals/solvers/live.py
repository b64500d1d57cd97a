"""The prompt drives Claude through the Messages API, and tools run in a sandbox of the trial."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

from evals import workspace
from evals.catalog import tasks
from evals.messages import models, notes, tools
from evals.messages.client import Answer, OutOfRoom, TooLong, Watch
from evals.messages.clock import Clock
from evals.messages.desk import AtDesk, Desk, frame_options
from evals.messages.ledger import Meter
from evals.messages.limits import ANSWER_TOKENS, Limits, limits_of
from evals.messages.tools import Offer
from evals.types import Assignment, Job, Revision, Session, Settings, Solution, SolverOptions
from evals.types import Limits as SandboxLimits

NAME = "live"
COMMAND_SECONDS = 300.0
"""How long one tool call may take."""

_ENDS = {"end_turn": "done", "stop_sequence": "done", "model_context_window_exceeded": "context window"}
_WAITED_SECONDS = 24 * 3600.0
"""How much longer than its own time a sandbox lasts: the provider may have to be waited for."""


@dataclass(kw_only=True)
class Live(AtDesk):
    """An agent loop: ask, run the tools that the model calls, and ask again."""

    name: str = NAME

    def settings(self, revision: Revision) -> Settings:
        """Model, effort, limits, and the version of the tools."""
        effort = models.check_effort(self.options.effort)
        # What the agent file says of turns is the revision's, and not asked of all alike.
        limits = limits_of(self.options, None)
        return Settings(
            solver=NAME,
            kind="agent",
            model=models.resolve(self.options.model, revision),
            options={"effort": effort, **limits.as_options(), "tools": tools.VERSION},
        )

    @asynccontextmanager
    async def ready(self, assignments: Sequence[Assignment]) -> AsyncIterator[None]:
        """Check key and model before anything is spent, and keep the connection while the assignments are solved."""
        wanted = {assignment.revision.digest: assignment.revision for assignment in assignments}
        for revision in wanted.values():
            self._report(revision)
        async with self.desk.open({str(self.settings(revision).model) for revision in wanted.values()}):
            yield

    def _report(self, revision: Revision) -> None:
        """Tell what of the front matter cannot be honoured."""
        found = tools.offer(revision)
        for name in found.missing:
            self.options.tell(f"{revision.spelled}: the tool {name} cannot be offered by --solver live")
        for name in found.widened:
            self.options.tell(f"{revision.spelled}: {name}: its limits in parentheses are not kept")
        self.tell_ignored(revision, NAME)

    async def solve(self, assignment: Assignment) -> Solution:
        """Let the model work until it is done, or a limit is reached; what is in the workspace then is the delivery."""
        settings = self.settings(assignment.revision)
        limits = limits_of(self.options, assignment.revision.max_turns)
        meter = self.desk.meter(settings)
        with self.desk.ledger.room_for(limits.cost if meter.prices else 0.0, meter), self.desk.first(assignment):
            seconds = limits.seconds or assignment.task.solve_seconds
            async with assignment.sandbox.open(_job(assignment, seconds)) as session:
                work = _Work(
                    assignment=assignment,
                    settings=settings,
                    limits=limits,
                    meter=meter,
                    desk=self.desk,
                    session=session,
                    offer=tools.offer(assignment.revision),
                )
                ended = await work.run(seconds)
                collected = await session.collect()
        return Solution(
            files=collected.files,
            ended=ended,
            provenance=work.provenance(ended),
            cost_usd=meter.cost,
            tokens=meter.tokens.as_dict(),
            dropped=collected.dropped,
        )


def _job(assignment: Assignment, seconds: float) -> Job:
    """The sandbox: the stack's packages, and what the workspace holds at the start."""
    archive = assignment.scratch / f"start-{assignment.stack.name}.tar.gz"
    archive.write_bytes(workspace.archive(assignment.stack.starting_files()))
    limits = SandboxLimits(wall=seconds + _WAITED_SECONDS)
    return Job(workspace=archive, main=assignment.stack.tool(limits=limits))


@dataclass(kw_only=True)
class _Work:
    """One trial while it goes on."""

    assignment: Assignment
    settings: Settings
    limits: Limits
    meter: Meter
    desk: Desk
    session: Session
    offer: Offer
    messages: list[dict[str, Any]] = field(default_factory=list)
    turn: int = 0
    room: int = 0
    prompt_tokens: int = 0
    final_message: str = ""
    changed: list[int] = field(default_factory=list)

    @property
    def asked(self) -> str:
        """The first message of the user."""
        return tasks.asked(self.assignment.task, self.assignment.stack)

    async def run(self, seconds: float) -> str:
        """Converse for so long at most; how it ended."""
        self.messages.append({"role": "user", "content": [{"type": "text", "text": self.asked}]})
        notes.begin(self.assignment, self.settings, self.offer.definitions, self.asked)
        ended = "limit: time"
        with anyio.CancelScope() as scope:
            ended = await self._converse(Clock(scope, seconds))
        notes.end(self.assignment, ended, self.meter)
        return ended

    async def _converse(self, clock: Clock) -> str:
        while self.turn < self.limits.turns:
            try:
                answer = await self._ask(clock)
            except TooLong:
                return "context window"
            except OutOfRoom:
                self.turn -= 1
                return self.limits.reached(self.meter)
            ended = await self._act(answer)
            if ended:
                return ended
        return "limit: turns"

    async def _ask(self, clock: Clock) -> Answer:
        self.turn += 1
        began = time.monotonic()
        clock.halt()
        await self.desk.turn_to_cache(self.assignment, self.turn)
        watch = Watch(
            started=clock.go,
            began=lambda: self.desk.cached(self.assignment),
            failed=lambda reason, pause: self._failed(clock, reason, pause),
        )
        call = self.desk.call(self.assignment, self.settings, self.turn, self.changed.append)
        answer = await self.desk.caller.ask(self._request, self.meter, call, watch)
        self._keep(answer, time.monotonic() - began)
        return answer

    def _request(self) -> dict[str, Any]:
        self.room = self.limits.answer_tokens(self.meter, self.prompt_tokens)
        if not self.room:
            raise OutOfRoom
        return {
            **frame_options(self.settings),
            "max_tokens": self.room,
            "system": _cached([{"type": "text", "text": self.assignment.revision.body}], "1h"),
            "tools": list(self.offer.definitions),
            "messages": _with_breakpoints(self.messages),
        }

    def _failed(self, clock: Clock, reason: str, pause: float) -> None:
        clock.halt(refund=True)
        notes.retry(self.assignment, self.turn, reason, pause)

    def _keep(self, answer: Answer, seconds: float) -> None:
        message = answer.message
        # An empty text is refused where it is given back.
        content = [block for block in message["content"] if block["type"] != "text" or block["text"]]
        self.messages.append({"role": "assistant", "content": content})
        self.prompt_tokens = answer.tokens.prompt + answer.tokens.output
        self.final_message = notes.text_of(message) or self.final_message
        notes.assistant(self.assignment, self.turn, answer, seconds)

    async def _act(self, answer: Answer) -> str:
        """Do what an answer asks for; how the trial ended, or nothing where it goes on."""
        reason = str(answer.message.get("stop_reason"))
        if reason == "max_tokens" and self.room < ANSWER_TOKENS:
            return self.limits.reached(self.meter)
        if reason == "pause_turn":
            return ""
        calls = [block for block in answer.message["content"] if block["type"] == "tool_use"]
        if reason != "tool_use" or not calls:
            return _ENDS.get(reason, reason)
        results = [await self._use(block) for block in calls]
        self.messages.append({"role": "user", "content": results})
        self.prompt_tokens += sum(len(str(result["content"])) for result in results) // 3
        return ""

    async def _use(self, block: dict[str, Any]) -> dict[str, Any]:
        """Run one tool."""
        name, arguments = block["name"], block["input"] if isinstance(block["input"], dict) else {}
        began = time.monotonic()
        answer = self.offer.refusal(name, arguments)
        if answer is None:
            answer = await self.session.call(name, arguments, seconds=COMMAND_SECONDS)
        self.assignment.log(
            "tool",
            {
                "turn": self.turn,
                "id": block["id"],
                "name": name,
                "output": answer.output,
                "is_error": answer.is_error,
                "seconds": round(time.monotonic() - began, 3),
            },
        )
        return {
            "type": "tool_result",
            "tool_use_id": block["id"],
            "content": answer.output or "[no output]",
            "is_error": answer.is_error,
        }

    def provenance(self, ended: str) -> dict[str, Any]:
        """What is known of how the delivery came to be."""
        return {
            **notes.provenance(self.assignment, self.settings, self.meter, replayed=self.desk.replays),
            "turns": self.turn,
            "stop": ended,
            "tools": [definition["name"] for definition in self.offer.definitions],
            "tools_not_offered": [*self.offer.missing, *self.offer.widened],
            "final_message": self.final_message[-20_000:],
            "requests_changed_since_recorded": sorted(set(self.changed)),
        }


def _cached(blocks: list[dict[str, Any]], ttl: str) -> list[dict[str, Any]]:
    """The same blocks, the last one a cache breakpoint."""
    return [*blocks[:-1], {**blocks[-1], "cache_control": {"type": "ephemeral", "ttl": ttl}}]


def _with_breakpoints(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The conversation with breakpoints: the instruction, that all epochs share, for an hour; the end for five minutes.

    Breakpoints for an hour have to come before those for less.
    """
    first = {**messages[0], "content": _cached(messages[0]["content"], "1h")}
    if len(messages) == 1:
        return [first]
    last = messages[-1]
    if last["role"] == "user":
        last = {**last, "content": _cached(last["content"], "5m")}
    return [first, *messages[1:-1], last]


def create(options: SolverOptions) -> Live:
    """The solver; the API is not called before `ready`."""
    return Live(options=options, desk=Desk(options=options))
