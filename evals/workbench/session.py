"""The first process of a solver's sandbox: keeps the tools' process going, and hands back the workspace.

Reads a job, then commands, a JSON object a line each, and answers each with one line that has its `id`. When the
tools' process dies (killed by the agent, out of memory) the next call gets a new one: files stay, processes do not.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import traceback
from typing import Any

from evals.arena.collection import collect
from evals.arena.jail import Jail
from evals.arena.places import MAIN, Owner, unpack
from evals.arena.spec import Spec, parse
from evals.arena.supervisor import uncover_proc, watch_inodes, write_etc

_GRACE_SECONDS = 15.0
_WHY = {
    "memory": "it held more memory than the limit",
    "inodes": "the workspace holds more files than the limit",
    "wall": "its time is over",
    "cpu": "it used more processor time than the limit",
}


class Session:
    """The jail that the tools run in."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._owner = Owner(spec.uid)
        self._jail: Jail | None = None
        self._watch: asyncio.Task[None] | None = None
        self._binds: list[tuple[str, str]] = []

    def prepare(self) -> None:
        """Lay out the folders."""
        write_etc()
        if self._spec.uid is not None:
            uncover_proc()
        self._binds.append((self._owner.folder(MAIN / "results", "main"), "/results"))
        if self._spec.workspace:
            unpack(self._spec.workspace, MAIN / "workspace")
        self._binds.append((self._owner.folder(MAIN / "workspace", "main"), "/workspace"))

    async def _running(self) -> Jail:
        if self._jail is None:
            uid = self._owner.uid("main")
            self._jail = await Jail.start(self._spec, self._spec.main, self._binds, uid=uid, talk=True)
            self._watch = asyncio.create_task(watch_inodes(self._jail, self._spec))
        return self._jail

    async def call(self, command: dict[str, Any]) -> dict[str, Any]:
        """One call of a tool."""
        jail = await self._running()
        assert jail.process.stdin is not None
        assert jail.process.stdout is not None
        try:
            jail.process.stdin.write(json.dumps(command).encode() + b"\n")
            async with asyncio.timeout(command["seconds"] + _GRACE_SECONDS):
                answer: dict[str, Any] = json.loads(await jail.process.stdout.readline())
                return {"output": str(answer["output"]), "is_error": bool(answer["is_error"])}
        except (OSError, ValueError, KeyError, TypeError, TimeoutError):
            # Ended, silent, or speaking garbage: each time the agent's own doing, and told to it.
            return {"output": await self._broken(), "is_error": True}

    async def _broken(self) -> str:
        reason = await self.end()
        why = _WHY.get(reason, "it ended or did not answer")
        return f"The sandbox was started anew, since {why}. Files are kept; everything that ran has ended."

    async def end(self) -> str:
        """End everything in the jail; why it had ended, where it had."""
        jail, self._jail = self._jail, None
        if jail is None:
            return "exit"
        assert self._watch is not None
        self._watch.cancel()
        jail.kill()
        return (await jail.wait()).reason

    async def collect(self) -> dict[str, Any]:
        """The workspace, once nothing that could change it is left."""
        await self.end()
        found = collect(MAIN / "workspace", own=True)
        files = {path: base64.b64encode(data).decode() for path, data in found.files.items()}
        return {"files": files, "dropped": list(found.dropped)}


async def serve() -> None:
    """Answer commands until standard input ends."""
    reader = asyncio.StreamReader(limit=1 << 26)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    session = Session(parse(json.loads(await reader.readline())))
    session.prepare()
    print(json.dumps({"id": 0}), flush=True)
    under_way = set()
    while line := await reader.readline():
        # Not one after the other: the host may want the workspace while a tool still runs.
        task = asyncio.create_task(_answer(session, json.loads(line)))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await session.end()


async def _answer(session: Session, command: dict[str, Any]) -> None:
    try:
        answer = await (session.collect() if command["do"] == "collect" else session.call(command))
    except Exception:  # noqa: BLE001 (whatever it is, the host is to know, and waits)
        answer = {"error": traceback.format_exc(limit=-3)}
    print(json.dumps({"id": command["id"], **answer}), flush=True)


def main() -> None:
    """Entry point."""
    asyncio.run(serve())
