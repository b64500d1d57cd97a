"""The real Claude Code in the sandbox, with the agent file as its main session and the API as its only way out."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import yaml

from evals import workspace
from evals.catalog import tasks
from evals.errors import EnvironmentFault, Fault
from evals.messages import models, notes, proxy
from evals.messages.desk import AtDesk, Desk
from evals.messages.limits import limits_of
from evals.messages.proxy import Traffic
from evals.types import MIB, Assignment, Job, Revision, Session, Settings, Solution, SolverOptions
from evals.types import Limits as SandboxLimits

NAME = "claude-code"

_PORT = 8899
_BINARY = "/claude/claude"
_GRACE_SECONDS = 300.0
_MEMORY = 6144 * MIB
_ENV = {
    "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{_PORT}",
    "ANTHROPIC_API_KEY": "held-by-the-proxy",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_TELEMETRY": "1",
}
_RELAY = "import sys; sys.path.insert(0, '/kit'); from evals.workbench.relay import main; main()"
_ENDS = {"success": "done", "error_max_turns": "limit: turns", "error_max_budget_usd": "limit: cost"}


def binary() -> Path:
    """Claude Code's program: the one that `claude-agent-sdk` brings, else one on the PATH."""
    found = find_spec("claude_agent_sdk")
    bundled = Path(found.origin).parent / "_bundled" / "claude" if found and found.origin else None
    if bundled is not None and bundled.is_file():
        return bundled
    installed = shutil.which("claude")
    if installed is None:
        raise EnvironmentFault("--solver claude-code: Claude Code is not installed; pip install 'evals[claude-code]'")
    return Path(installed).resolve()


@cache
def version() -> str:
    """What Claude Code says of itself; part of what a trial is of."""
    try:
        done = subprocess.run([str(binary()), "--version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise EnvironmentFault(f"--solver claude-code: {binary()} cannot be run: {error}") from None
    return done.stdout.split()[0]


@dataclass(kw_only=True)
class ClaudeCode(AtDesk):
    """Starts `claude --print --agent NAME` once a trial."""

    name: str = NAME

    def settings(self, revision: Revision) -> Settings:
        """Model, effort, limits, and the version of Claude Code."""
        limits = limits_of(self.options, None)
        return Settings(
            solver=NAME,
            kind="agent",
            model=models.resolve(self.options.model, revision),
            options={
                "effort": models.check_effort(self.options.effort),
                **limits.as_options(),
                "claude_code": version(),
            },
        )

    @asynccontextmanager
    async def ready(self, assignments: Sequence[Assignment]) -> AsyncIterator[None]:
        """Check key and model before anything is spent."""
        proxy.credential()
        for revision in {a.revision.digest: a.revision for a in assignments}.values():
            self.tell_ignored(revision, NAME)
        async with self.desk.open({str(self.settings(a.revision).model) for a in assignments}):
            yield

    async def solve(self, assignment: Assignment) -> Solution:
        """Run Claude Code until it ends, or a limit is reached."""
        settings = self.settings(assignment.revision)
        limits = limits_of(self.options, assignment.revision.max_turns)
        meter = self.desk.meter(settings)
        asked = tasks.asked(assignment.task, assignment.stack)
        notes.begin(assignment, settings, (), asked)
        traffic = Traffic(meter=meter, limits=limits, log=assignment.log)
        seconds = limits.seconds or assignment.task.solve_seconds
        with self.desk.ledger.room_for(limits.cost if meter.prices else 0.0, meter):
            folder = _mounted(assignment, asked)
            with proxy.serve(folder, traffic):
                async with assignment.sandbox.open(_job(assignment, folder, seconds)) as session:
                    result = await _run(session, _command(assignment.revision, settings, limits.turns), seconds)
                    collected = await session.collect()
        ended = _ended(result, traffic)
        notes.end(assignment, ended, meter)
        return Solution(
            files={path: data for path, data in collected.files.items() if not path.startswith(".claude/")},
            ended=ended,
            provenance={
                **notes.provenance(assignment, settings, meter, replayed=False),
                "sdk": f"Claude Code {version()}",
                "turns": traffic.turns,
                "stop": ended,
                "final_message": str(result.get("result", ""))[-20_000:],
            },
            cost_usd=meter.cost,
            tokens=meter.tokens.as_dict(),
            dropped=collected.dropped,
        )


def _mounted(assignment: Assignment, asked: str) -> Path:
    """A folder that the sandbox sees: what is asked, and the socket of the proxy."""
    digest = assignment.revision.short
    folder = assignment.scratch / f"claude-{digest}-{assignment.task.id}-{assignment.stack.name}-{assignment.epoch}"
    folder.mkdir(mode=0o755)
    (folder / "asked.md").write_text(asked, "utf-8")
    return folder


def agent_file(revision: Revision) -> bytes:
    """The agent as a file of Claude Code."""
    matter: dict[str, Any] = {"name": revision.agent, "description": revision.description}
    if revision.tools is not None:
        matter["tools"] = ", ".join(revision.tools)
    if revision.disallowed_tools:
        matter["disallowedTools"] = ", ".join(revision.disallowed_tools)
    return f"---\n{yaml.safe_dump(matter, allow_unicode=True, sort_keys=False)}---\n\n{revision.body}\n".encode()


def _job(assignment: Assignment, folder: Path, seconds: float) -> Job:
    revision = assignment.revision
    files = {
        **assignment.stack.starting_files(),
        f".claude/agents/{revision.agent}.md": agent_file(revision),
    }
    archive = folder.with_suffix(".tar.gz")
    archive.write_bytes(workspace.archive(files))
    tool = assignment.stack.tool(limits=SandboxLimits(wall=seconds + _GRACE_SECONDS, memory=_MEMORY))
    mounts = ((folder, "/proxy"), (binary().parent, "/claude"))
    return Job(
        workspace=archive,
        main=replace(tool, env={**tool.env, **_ENV}, read_only=(*tool.read_only, *mounts)),
    )


def _command(revision: Revision, settings: Settings, turns: int) -> str:
    effort = settings.options["effort"]
    options = ["--print", "--agent", revision.agent, "--setting-sources", "project", "--output-format", "json"]
    options += ["--model", str(settings.model), "--max-turns", str(turns), "--dangerously-skip-permissions"]
    options += ["--no-session-persistence", "--strict-mcp-config"]
    options += [] if effort == "none" else ["--effort", effort]
    relay = f'python -I -S -B -c "{_RELAY}" {_PORT} /proxy/{proxy.SOCKET} >/tmp/relay.out &'
    wait = "until grep -q ready /tmp/relay.out; do sleep 0.05; done"
    return f"{relay}\n{wait}\n{_BINARY} {' '.join(options)} </proxy/asked.md 2>/tmp/claude.err || cat /tmp/claude.err"


async def _run(session: Session, command: str, seconds: float) -> dict[str, Any]:
    """What Claude Code says at its end; `limit: time` where it did not come to one."""
    answer = None
    with anyio.move_on_after(seconds):
        answer = await session.call("bash", {"command": command}, seconds=seconds)
    if answer is None or "[no end within" in answer.output:
        return {"subtype": "limit: time"}
    for line in reversed(answer.output.splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and "subtype" in found:
            return found
    return {"subtype": "unknown", "said": answer.output[-2000:]}


def _ended(result: dict[str, Any], traffic: Traffic) -> str:
    """How it ended; `Fault` where the API never let it work."""
    if traffic.reached:
        return traffic.reached
    kind = str(result["subtype"])
    failed = kind == "unknown" or bool(result.get("is_error"))
    if failed and (traffic.last_error or not traffic.turns) and kind != "limit: time":
        said = result.get("said") or result.get("result") or ""
        raise Fault("solve", f"Claude Code could not work: {traffic.last_error or said}"[:2000])
    return _ENDS.get(kind, kind)


def create(options: SolverOptions) -> ClaudeCode:
    """The solver; nothing is started before `ready`."""
    return ClaudeCode(options=options, desk=Desk(options=options))
