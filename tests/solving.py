"""Solving without grading: a solver on the small project's task, in the real sandbox, against a real server."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from evals.catalog import agents, tasks
from evals.plugins import factory
from evals.types import Assignment, Sandbox, Solution, SolverOptions, Stack

AGENT = "---\nname: {name}\ndescription: a test\n{more}---\n\nYou write small services.\n"


@dataclass(frozen=True, kw_only=True)
class Solved:
    """A solution, the events on the way to it, and what the user was told."""

    solution: Solution
    events: list[dict[str, Any]]
    told: list[str]

    def of(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]


class Solving:
    """Solves the task `echo`."""

    def __init__(self, project: Path, stack: Stack, sandbox: Sandbox, scratch: Path) -> None:
        self.project = project
        self._stack = stack
        self._sandbox = sandbox
        self._scratch = scratch

    def agent(self, name: str, more: str = "") -> str:
        """Write an agent file; its name."""
        (self.project / "agents" / f"{name}.md").write_text(AGENT.format(name=name, more=more))
        return name

    def __call__(self, solver: str = "live", agent: str = "free", epochs: int = 1, **options: Any) -> list[Solved]:
        """Solve so many epochs at once."""
        self.agent("free")
        told: list[str] = []
        asked = SolverOptions(root=self.project, output=self.project / "reports", tell=told.append, **options)
        made = factory("solvers", solver)(asked)
        events: list[list[dict[str, Any]]] = [[] for _ in range(epochs)]
        found: dict[int, Solution] = {}

        def assignment(number: int) -> Assignment:
            def log(name: str, content: Mapping[str, Any]) -> None:
                events[number].append({"at": "2026-01-01T00:00:00.000+00:00", "event": name, **content})

            return Assignment(
                revision=agents.load(agent, self.project),
                task=tasks.load("echo", self.project),
                stack=self._stack,
                epoch=number + 1,
                sandbox=self._sandbox,
                scratch=self._scratch,
                log=log,
            )

        async def one(number: int, given: Assignment) -> None:
            found[number] = await made.solve(given)

        async def run() -> None:
            given = [assignment(number) for number in range(epochs)]
            async with made.ready(given), anyio.create_task_group() as group:
                for number, each in enumerate(given):
                    group.start_soon(one, number, each)

        try:
            anyio.run(run)
        except ExceptionGroup as errors:
            # As the runner does: the first error is the one to tell.
            raise errors.exceptions[0] from None
        return [Solved(solution=found[n], events=events[n], told=told) for n in range(epochs)]

    def one(self, **given: Any) -> Solved:
        """Solve once."""
        return self(**given)[0]
