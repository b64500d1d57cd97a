"""The control channel: what acceptance checks may ask of the arena, over a Unix socket of theirs.

One JSON object a line each way: `{"do": NAME, ...}` is answered by `{"ok": ...}` or `{"error": TEXT}`.
Only the main member's jail has the socket, so the service under test cannot reach it.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from evals.arena.helpers import Helper
from evals.arena.instances import Instance, Instances
from evals.arena.places import MAIN, Owner
from evals.arena.spec import Spec

_FIRST_PORT = 18000
_DRAIN_SECONDS = 0.05


class ControlError(Exception):
    """A request that cannot be carried out; its text goes back to the checks."""


class Control:
    """Serves the checks' requests: instances of the service, the mail sink, the database lock."""

    def __init__(self, spec: Spec, owner: Owner) -> None:
        self._spec = spec
        self._owner = owner
        self._instances = Instances(spec, owner, first_port=_FIRST_PORT)
        self._mail: Helper | None = None
        self._locks: dict[int, Helper] = {}
        self._server: asyncio.AbstractServer | None = None

    async def listen(self) -> str:
        """Open the socket; returns the folder that holds it."""
        folder = self._owner.folder(MAIN / "control", "main")
        path = str(Path(folder) / "socket")
        self._server = await asyncio.start_unix_server(self._serve, path)
        self._owner.tree(Path(folder), "main")
        await self._instances.open()
        return folder

    async def close(self) -> list[dict[str, Any]]:
        """End everything that was started; returns what each instance of the service printed."""
        if self._server is not None:
            self._server.close()
        for helper in (self._mail, *self._locks.values()):
            if helper is not None:
                await helper.close()
        return await self._instances.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            answer = await self._answer(json.loads(line))
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        action = getattr(self, f"do_{request.pop('do')}", None)
        if action is None:
            return {"error": "no such request"}
        try:
            return {"ok": await action(**request)}
        except (ControlError, KeyError, OSError, TypeError, ValueError) as error:
            return {"error": f"{type(error).__name__}: {error}"}

    def _instance(self, number: int) -> Instance:
        return self._instances.get(number)

    async def do_start(self, env: dict[str, str | None], template: dict[str, str]) -> dict[str, int]:
        """A new instance in fresh folders. `template` values may hold `{state}`, `{port}`, `{mail_port}`."""
        instance = await self._instances.add(env, template)
        return {"instance": instance.number, "port": instance.port}

    async def do_launch(self, instance: int) -> None:
        """Start an instance that has ended again, on the same folders."""
        await self._instances.launch(instance)

    async def do_stop(self, instance: int, grace: float) -> dict[str, Any]:
        """SIGTERM, and SIGKILL after `grace` seconds."""
        return await self._instance(instance).stop(grace)

    async def do_kill(self, instance: int) -> dict[str, Any]:
        """SIGKILL to everything that the instance runs."""
        return await self._instance(instance).stop(0)

    async def do_remove(self, instance: int) -> None:
        """Stop an instance and give its folders back; its log is kept."""
        if instance in self._locks:
            await self.do_unlock(instance)
        await self._instances.remove(instance)

    async def do_state(self, instance: int) -> dict[str, Any]:
        """Does it run, how did it end, how much memory does it hold (bytes)."""
        return await self._instance(instance).state()

    async def do_log(self, instance: int) -> str:
        """What it has printed so far."""
        # What it wrote before the request may still be in the pipe: whoever reads that gets a turn first.
        await asyncio.sleep(_DRAIN_SECONDS)
        return self._instance(instance).log()

    async def do_find(self, instance: int, needles: list[str]) -> dict[str, list[str]]:
        """For each text, the files under the instance's state that hold it."""
        return self._instance(instance).find(needles)

    async def do_files(self, instance: int) -> list[str]:
        """Paths of the files under the instance's state and workspace that its start did not bring."""
        return self._instance(instance).new_files()

    async def do_lock(self, instance: int) -> None:
        """Hold the instance's database under an exclusive lock of SQLite, as another process would."""
        folder = str(self._instance(instance).state_folder)
        helper = await self._helper("database", [(folder, "/state")])
        self._locks[instance] = helper
        answer = await helper.ask({"do": "lock"})
        if "error" in answer:
            await self.do_unlock(instance)
            raise ControlError(answer["error"])

    async def do_drop_tables(self, instance: int) -> None:
        """Drop every table of the instance's database."""
        await self._of_database(instance, {"do": "drop"})

    async def do_rows(self, instance: int, text: str) -> list[dict[str, str]]:
        """The rows of the instance's database that hold a text."""
        rows: list[dict[str, str]] = (await self._of_database(instance, {"do": "rows", "text": text}))["rows"]
        return rows

    async def do_twice(self, instance: int, text: str) -> bool:
        """Whether the instance's database would take a second row like the one that holds a text."""
        return bool((await self._of_database(instance, {"do": "twice", "text": text}))["twice"])

    async def _of_database(self, instance: int, request: dict[str, Any]) -> dict[str, Any]:
        """Ask about the instance's database, in a helper of its own."""
        helper = await self._helper("database", [(str(self._instance(instance).state_folder), "/state")])
        answer = await helper.ask(request)
        await helper.close()
        if "error" in answer:
            raise ControlError(answer["error"])
        return answer

    async def do_unlock(self, instance: int) -> None:
        """Give the database back."""
        await self._locks.pop(instance).close()

    async def do_mail(self, **request: Any) -> Any:
        """Speak to the mail sink: `mode`, `list` or `clear` (see `evals.arena.mail_sink`)."""
        if self._mail is None:
            self._mail = await self._helper("mail_sink", [])
        answer = await self._mail.ask(request)
        if "error" in answer:
            raise ControlError(answer["error"])
        if "port" in answer:
            self._instances.mail_port = answer["port"]
        return answer

    async def _helper(self, module: str, binds: list[tuple[str, str]]) -> Helper:
        # The state belongs to the service's user, so what opens it must be that user too.
        role = "service" if binds else "helper"
        return await Helper.start(self._spec, module, binds, uid=self._owner.uid(role))
