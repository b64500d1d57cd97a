"""The host's end of a session: one JSON object a line, asked and answered."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from evals.arena.collection import MAX_TOTAL_BYTES, Collected
from evals.errors import Fault
from evals.sandboxes.job import GRACE_SECONDS, SHOWN, checked
from evals.types import ToolAnswer

_END_SECONDS = 5.0
_MAX_LINE = 2 * MAX_TOTAL_BYTES


@contextlib.asynccontextmanager
async def session(process: Process, spec: Mapping[str, Any]) -> AsyncIterator[Pipe]:
    """A session with a supervisor that waits for its job; it is ended when the context is left."""
    try:
        pipe = Pipe(process)
        await pipe.ask(spec, seconds=GRACE_SECONDS)
        yield pipe
    finally:
        with anyio.CancelScope(shield=True):
            await end_by_input(process, _END_SECONDS)


async def end_by_input(process: Process, seconds: float) -> bool:
    """Let a process end that ends with its input, and with it what it has started; one that does not is killed.

    Tells whether it has ended by itself.
    """
    assert process.stdin is not None
    await process.stdin.aclose()
    with anyio.move_on_after(seconds):
        await process.wait()
        return True
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    return False


class Pipe:
    """A session whose supervisor is a process of ours."""

    def __init__(self, process: Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin = process.stdin
        self._lines = BufferedByteReceiveStream(process.stdout)
        self._asked = -1

    async def ask(self, command: Mapping[str, Any], *, seconds: float) -> dict[str, Any]:
        """Send a command and wait for its answer; `Fault` where none comes."""
        self._asked += 1
        try:
            with anyio.fail_after(seconds):
                await self._stdin.send(json.dumps({"id": self._asked, **command}).encode() + b"\n")
                return await self._answer(self._asked)
        except TimeoutError:
            raise Fault("sandbox", "the supervisor of the session did not answer in time") from None
        except (anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream, anyio.IncompleteRead):
            raise Fault("sandbox", f"the supervisor of the session ended: {await self._last_words()}") from None

    async def _answer(self, wanted: int) -> dict[str, Any]:
        """The answer to a command; those to earlier ones, that nobody waited for, are passed over."""
        while True:
            answer: dict[str, Any] = json.loads(await self._lines.receive_until(b"\n", _MAX_LINE))
            if answer["id"] == wanted:
                return checked(answer)

    async def _last_words(self) -> str:
        assert self._process.stderr is not None
        said = b""
        with anyio.move_on_after(1):
            async for piece in self._process.stderr:
                said = (said + piece)[-SHOWN:]
        return said.decode("utf-8", "replace").strip() or "it said nothing"

    async def call(self, tool: str, arguments: Mapping[str, Any], *, seconds: float) -> ToolAnswer:
        """Run a tool."""
        command = {"do": "call", "tool": tool, "input": dict(arguments), "seconds": seconds}
        answer = await self.ask(command, seconds=seconds + GRACE_SECONDS)
        return ToolAnswer(output=answer["output"], is_error=answer["is_error"])

    async def collect(self) -> Collected:
        """The workspace, once all that ran in it has ended."""
        answer = await self.ask({"do": "collect"}, seconds=GRACE_SECONDS)
        files = {path: base64.b64decode(data) for path, data in answer["files"].items()}
        return Collected(files=files, dropped=tuple(answer["dropped"]))
