"""Helpers of the arena that touch what the service made: each in a jail of its own."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from evals.arena.jail import Jail
from evals.arena.spec import Limits, Member, Spec

_ANSWER_SECONDS = 20.0

_LIMITS = Limits(
    wall=3600,
    cpu=600,
    memory=512 * 1024 * 1024,
    processes=64,
    files=1024,
    file_size=256 * 1024 * 1024,
    output=64 * 1024,
)


class Helper:
    """A helper program that answers one JSON line with one JSON line."""

    def __init__(self, jail: Jail) -> None:
        self._jail = jail
        self._turn = asyncio.Lock()

    @classmethod
    async def start(cls, spec: Spec, module: str, binds: list[tuple[str, str]], *, uid: int | None) -> Helper:
        """Start `evals.arena.MODULE` with the checks' interpreter."""
        code = f"import sys; sys.path.insert(0, '/kit'); from evals.arena.{module} import main; main()"
        member = Member(
            argv=(spec.helper_python or "python3", "-I", "-B", "-c", code),
            env=spec.main.env,
            read_only=spec.main.read_only,
            limits=_LIMITS,
            cwd="/",
        )
        return cls(await Jail.start(spec, member, binds, uid=uid, talk=True))

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and wait for its answer; an answer that does not come is an error."""
        stdin, stdout = self._jail.process.stdin, self._jail.process.stdout
        assert stdin is not None
        assert stdout is not None
        async with self._turn:
            try:
                stdin.write(json.dumps(request).encode() + b"\n")
                await stdin.drain()
                line = await asyncio.wait_for(stdout.readline(), _ANSWER_SECONDS)
            except (ConnectionError, TimeoutError) as error:
                return {"error": f"helper: {error!r}"}
        if not line:
            return {"error": f"helper ended: {self._jail.output.text()[-2000:]}"}
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def close(self) -> None:
        """End it."""
        self._jail.kill()
        await self._jail.wait()
