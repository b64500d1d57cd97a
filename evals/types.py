"""The nouns of `evals`, and the seams between its parts. See `docs/design.md`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from evals.arena.collection import Collected
from evals.benchmark import Check as Check  # noqa: PLC0414 (offered here too)
from evals.benchmark import Task as Task  # noqa: PLC0414 (offered here too)

MIB = 1024 * 1024

Reason = Literal["exit", "cpu", "memory", "wall", "inodes", "killed"]
"""How a sandboxed program ended: by itself, or by the limit that it ran into."""


@dataclass(frozen=True, kw_only=True)
class Revision:
    """One state of an agent's prompt.

    `digest` (SHA-256, hex) covers the trimmed body and the fields that act on a run, so it is the same
    wherever and however the prompt is stored. `spelled` is how the user named it.
    """

    agent: str
    variant: str | None
    digest: str
    body: str
    description: str
    tools: tuple[str, ...] | None
    disallowed_tools: tuple[str, ...]
    model: str | None
    max_turns: int | None
    acting_fields: tuple[str, ...]
    unknown_fields: tuple[str, ...]
    spelled: str

    @property
    def short(self) -> str:
        """The first 12 hex digits of the digest."""
        return self.digest[:12]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of one sandboxed program: seconds, bytes and counts."""

    wall: float = 300.0
    cpu: int = 600
    memory: int = 2048 * MIB
    processes: int = 512
    files: int = 1024
    file_size: int = 512 * MIB
    output: int = 1 * MIB


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program to run in a sandbox. Paths in `read_only` map host paths to paths inside.

    Packages in `preload` may be loaded before a service is started, and once for all its instances. With `background`,
    it runs when nothing else wants to.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    read_only: tuple[tuple[Path, str], ...] = ()
    limits: Limits = field(default_factory=Limits)
    cwd: str = "/workspace"
    workspace: bool = True
    control: bool = False
    preload: tuple[str, ...] = ()
    background: bool = False


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one sandbox does: a main program, and a service that it may start and stop.

    `workspace` is an archive that programs with `workspace=True` get a fresh copy of. `collect` maps
    names to paths under `/workspace` or `/results`, read back when the main program has ended, up to
    `collect_bytes` each.
    """

    workspace: Path | None
    main: Program
    service: Program | None = None
    helper_python: str | None = None
    collect: Mapping[str, str] = field(default_factory=dict)
    collect_bytes: int = 16 * MIB
    disk: int = 1024 * MIB
    inodes: int = 100_000


@dataclass(frozen=True, kw_only=True)
class ServiceLog:
    """What one instance of the service printed, its end kept."""

    instance: int
    log: str


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a job ended. `status` is the main program's exit status, above 128 for a signal."""

    reason: Reason
    status: int
    output: str
    peak_memory: int
    files: Mapping[str, bytes]
    services: tuple[ServiceLog, ...]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class ToolAnswer:
    """What a tool call gave: text for the model, and whether it failed."""

    output: str
    is_error: bool


class Session(Protocol):
    """A solver's sandbox: tools that work on one workspace, as long as the trial takes."""

    async def call(self, tool: str, arguments: Mapping[str, Any], *, seconds: float) -> ToolAnswer:
        """Run a tool, for so long at most; what the agent does wrong is in the answer. Raises `Fault` for the rest."""
        ...

    async def collect(self) -> Collected:
        """End everything that runs, and take the workspace over."""
        ...


class Sandbox(Protocol):
    """Where untrusted code runs. Raises `Fault` where the sandbox itself failed."""

    name: str

    async def run(self, job: Job) -> Finished:
        """Run a job to its end; nothing of it is left when this returns or is cancelled."""
        ...

    def open(self, job: Job) -> AbstractAsyncContextManager[Session]:
        """A session in the workspace of a job; `job.main` says with what packages and limits its tools run.

        Nothing of it is left when the context is left.
        """
        ...


class Stack(Protocol):
    """What a task is built with: how its services and its own tests run."""

    name: str

    @property
    def page(self) -> str:
        """The page that follows the instruction: how the delivery will be run."""
        ...

    @property
    def digest(self) -> str:
        """Identity of the stack: its page, its packages and its interpreter."""
        ...

    def prepare(self) -> None:
        """Install what the stack needs, once; raises `EnvironmentFault` where that fails."""
        ...

    def starting_files(self) -> Mapping[str, bytes]:
        """What a workspace holds before the solver begins."""
        ...

    def service(self) -> Program:
        """The program that serves; `{port}` in its arguments is filled in."""
        ...

    def tool(self, *argv: str, limits: Limits) -> Program:
        """A program that runs with the stack's packages in the workspace's root."""
        ...


@dataclass(frozen=True, kw_only=True)
class Score:
    """A named value from 0 to 1 (1 is best), and why. `details` is JSON, shown by `evals show`."""

    name: str
    value: float
    reason: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Scored:
    """What a scorer found, with logs worth keeping and attacks on the grader that it saw."""

    scores: tuple[Score, ...]
    logs: Mapping[str, str] = field(default_factory=dict)
    attacks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What a scorer looks at: a frozen workspace and what it was made for.

    `scratch` is a folder for files of the scorer's own, removed when the run ends, however it ends.
    """

    task: Task
    stack: Stack
    archive: Path
    digest: str
    files: Mapping[str, bytes]
    seed: str
    scratch: Path


class Scorer(Protocol):
    """Workspace in, scores out; the same delivery and seed give the same scores."""

    name: str
    gives: tuple[str, ...]

    async def score(self, delivery: Delivery, sandbox: Sandbox) -> Scored:
        """Score a delivery; raises `Fault` where it could not be measured."""
        ...


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a solver is run with, as far as it acts on the outcome. `options` is JSON: effort, limits, versions."""

    solver: str
    kind: str
    model: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SolverOptions:
    """What a user asks of a solver. None: the solver's own default.

    `root` holds agents and fixtures, `output` what runs leave; `record` and `replay` are folders of a model's traffic.
    `again` wants new answers even to what was asked before. `tell` shows a line to the user. Money is in US dollars.
    """

    root: Path
    output: Path
    model: str | None = None
    effort: str | None = None
    max_turns: int | None = None
    max_output_tokens: int | None = None
    max_trial_cost: float | None = None
    max_cost: float | None = None
    max_minutes: float | None = None
    record: Path | None = None
    replay: Path | None = None
    batch: bool = False
    kind: str | None = None
    again: bool = False
    tell: Callable[[str], None] = lambda _text: None


Log = Callable[[str, Mapping[str, Any]], None]
"""Keeps an event of a solver's work: its name, and JSON."""


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """What a solver is to solve, and what it may use: a sandbox, a folder of its own, a log of what it does."""

    revision: Revision
    task: Task
    stack: Stack
    epoch: int
    sandbox: Sandbox
    scratch: Path
    log: Log


@dataclass(frozen=True, kw_only=True)
class Solution:
    """What a solver left: files by path, and what is known of how they came to be.

    `ended` is `done`, or what ended it before: `refusal`, `max_tokens`, `limit: cost`, ...
    """

    files: Mapping[str, bytes]
    ended: str
    provenance: Mapping[str, Any] = field(default_factory=dict)
    cost_usd: float | None = None
    tokens: Mapping[str, int] | None = None
    dropped: tuple[str, ...] = ()


class Solver(Protocol):
    """Turns (revision, task, stack, epoch) into files.

    A solver may also have `ready(assignments)`, an asynchronous context around all that it has to solve in a run.
    """

    name: str

    def settings(self, revision: Revision) -> Settings:
        """What it is run with for a revision, whose front matter may name a model."""
        ...

    def epochs(self, revision: Revision, task: Task, stack: Stack) -> Sequence[int] | None:
        """The epochs that it can give, or None where there is no bound."""
        ...

    async def solve(self, assignment: Assignment) -> Solution:
        """Solve once; raises `Fault` where it could not be tried, and `NotStarted` where it must not be."""
        ...
