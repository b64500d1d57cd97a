"""Our sandbox for Inspect AI: `sandbox="bubblewrap"`, or `("bubblewrap", "python-fastapi")` with a stack's packages.

No Docker and no root; no network but loopback, no secret of the host. Loaded by the entry point `inspect_ai`.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Literal, overload

from inspect_ai.util import (
    ExecResult,
    OutputLimitExceededError,
    SandboxEnvironment,
    SandboxEnvironmentLimits,
    SandboxUserUnsupportedError,
    sandboxenv,
)

from evals import plugins, workspace
from evals.environments import Environments
from evals.errors import Fault
from evals.sandboxes.bubblewrap import Bubblewrap
from evals.types import Job, Limits, Program, Session
from evals.workbench.running import CHUNK

_SECONDS = 24 * 3600.0
_PATIENCE = 3600.0
_ERRORS: dict[str, type[OSError]] = {
    "FileNotFoundError": FileNotFoundError,
    "IsADirectoryError": IsADirectoryError,
    "NotADirectoryError": NotADirectoryError,
    "PermissionError": PermissionError,
    "TimeoutError": TimeoutError,
}


def _program(stack: str | None) -> Program:
    """What runs in it: with a stack's packages, or with the system's programs alone."""
    limits = Limits(wall=_SECONDS)
    if stack is None:
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"}
        return Program(argv=(), env=env, limits=limits)
    cache = Path(os.environ.get("EVALS_CACHE") or Path.home() / ".cache" / "evals")
    made = plugins.factory("stacks", stack)(Environments(cache=cache))
    made.prepare()
    found: Program = made.tool(limits=limits)
    return found


@sandboxenv(name="bubblewrap")
class BubblewrapEnvironment(SandboxEnvironment):
    """A session of ours as Inspect's environment. Relative paths count from /workspace; there is one user."""

    def __init__(self, session: Session, stack: AsyncExitStack) -> None:
        super().__init__()
        self._session = session
        self._stack = stack
        self._numbers = itertools.count()

    @classmethod
    async def sample_init(cls, task_name: str, config: Any, metadata: dict[str, str]) -> dict[str, SandboxEnvironment]:
        """Open a session; `config` names a stack, or nothing. Inspect makes a path of a name, so its end is taken."""
        del task_name, metadata
        program = _program(None if config is None else Path(config).name)
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="evals-inspect-"))
            archive = Path(folder) / "start.tar.gz"
            archive.write_bytes(workspace.archive({}))
            session = await stack.enter_async_context(Bubblewrap().open(Job(workspace=archive, main=program)))
            return {"default": cls(session, stack.pop_all())}

    @classmethod
    async def sample_cleanup(
        cls, task_name: str, config: Any, environments: dict[str, SandboxEnvironment], interrupted: bool
    ) -> None:
        """End everything that runs in it."""
        del task_name, config, interrupted
        for found in environments.values():
            await found.as_type(BubblewrapEnvironment).close()

    async def close(self) -> None:
        """End the session."""
        await self._stack.aclose()

    async def _call(self, tool: str, given: dict[str, Any], seconds: float = _PATIENCE) -> dict[str, Any]:
        answer = await self._session.call(tool, given, seconds=seconds)
        if answer.is_error:
            raise Fault("sandbox", answer.output)
        found: dict[str, Any] = json.loads(answer.output)
        if "error" in found:
            raise _ERRORS.get(found["error"], OSError)(found.get("reason", "the command took too long"))
        return found

    async def exec(
        self,
        cmd: list[str],
        input: str | bytes | None = None,  # noqa: A002 - Inspect's name
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        user: str | None = None,
        timeout: int | None = None,  # noqa: ASYNC109 - Inspect's name
        timeout_retry: bool = True,
        concurrency: bool = True,
    ) -> ExecResult[str]:
        """Run a program."""
        del timeout_retry, concurrency
        if user is not None:
            raise SandboxUserUnsupportedError(f"there is one user in this sandbox; found user={user!r}")
        source = None
        if input:
            source = f"/tmp/input-{next(self._numbers)}"
            await self.write_file(source, input)
        given = {"argv": cmd, "input": source, "cwd": cwd, "env": env}
        found = await self._call("exec", given, float(timeout or _PATIENCE))
        texts = [base64.b64decode(output).decode() for output in found["outputs"]]
        limit = min(CHUNK, SandboxEnvironmentLimits.MAX_EXEC_OUTPUT_SIZE)
        if max(found["sizes"]) > limit:
            raise OutputLimitExceededError(f"{limit / CHUNK:g} MiB", texts[0])
        return ExecResult(found["status"] == 0, found["status"], *texts)

    async def write_file(self, file: str, contents: str | bytes) -> None:
        """Write a whole file."""
        data = contents.encode() if isinstance(contents, str) else contents
        for start in range(0, max(len(data), 1), CHUNK):
            piece = base64.b64encode(data[start : start + CHUNK]).decode()
            await self._call("write", {"path": file, "data": piece, "append": start > 0})

    @overload
    async def read_file(self, file: str, text: Literal[True] = True) -> str: ...

    @overload
    async def read_file(self, file: str, text: Literal[False]) -> bytes: ...

    async def read_file(self, file: str, text: bool = True) -> str | bytes:
        """Read a whole file."""
        data = b""
        size = 1
        while len(data) < size:
            found = await self._call("read", {"path": file, "offset": len(data)})
            size = found["size"]
            if size > SandboxEnvironmentLimits.MAX_READ_FILE_SIZE:
                raise OutputLimitExceededError(SandboxEnvironmentLimits.MAX_READ_FILE_SIZE_STR, None)
            data += base64.b64decode(found["data"])
            if not found["data"]:
                break
        # Line ends stay as they are.
        return data.decode() if text else data
