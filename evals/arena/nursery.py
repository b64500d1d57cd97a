"""The supervisor's end of services that start with their packages loaded (`evals.arena.preload`)."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from evals.arena import processes
from evals.arena.jail import Jail, arguments, bounds
from evals.arena.places import ETC, SERVICES
from evals.arena.spec import Broken, Limits, Member, Spec

_LOADING_SECONDS = 20.0
_MAX_NAMES = 1 << 17
_PLENTY = 1 << 40
_OUTPUT = 64 * 1024
_ACTING = ("PYTHON", "LD_", "GLIBC", "MALLOC")
"""How names of variables begin that act when a process starts, and not later."""

_CODE = """
import sys
sys.path.insert(0, "/kit")
from evals.arena.preload import main
job = main()
if job is not None:
    sys.path[0] = job["cwd"]
    sys.argv = ["-m", *job["argv"]]
    del main
    import runpy
    runpy.run_module(job["module"], run_name="__main__", alter_sys=True)
"""


class _Process:
    """An instance's first process, with as much of asyncio's interface as a jail uses."""

    stdin = None
    stderr = None

    def __init__(
        self,
        found: dict[str, int],
        stdout: asyncio.StreamReader,
        told: asyncio.StreamReader,
        kept: asyncio.StreamWriter,
    ) -> None:
        self.pid = found["pid"]
        self.layer = (found["first"], found["layer"])
        self.stdout = stdout
        self.returncode: int | None = None
        self._end = asyncio.create_task(self._await_end(told, kept))

    async def _await_end(self, told: asyncio.StreamReader, kept: asyncio.StreamWriter) -> int:
        line = await told.readline()
        kept.close()
        # Without a word, its guardian has been killed with it.
        self.returncode = json.loads(line)["status"] if line else 128 + signal.SIGKILL
        return self.returncode

    async def wait(self) -> int:
        """Its exit status, above 128 for a signal."""
        return await asyncio.shield(self._end)


class Forked(Jail):
    """A jail whose program is a fork of one that has loaded its packages."""

    process: _Process  # type: ignore[assignment]

    def _watched(self) -> Iterator[int]:
        yield self.process.pid
        yield from processes.descendants(self.process.pid)
        yield from processes.descendants(self.process.layer[1])

    def kill(self, reason: str = "killed") -> None:
        """End the layer, and with it everything in it."""
        if self.process.returncode is not None:
            return
        self._reason = reason if self._reason == "exit" else self._reason
        for pid in (*self.process.layer, self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def pids(self) -> list[int]:
        """Its own processes, the first one first."""
        return [self.process.pid, *processes.descendants(self.process.pid)]


class Nursery:
    """Where instances of one service are forked; `fork` gives None where an instance has to be started as usual."""

    def __init__(self, spec: Spec, *, uid: int | None) -> None:
        assert spec.service is not None
        self._spec = spec
        self._service = spec.service
        self._uid = uid
        self._jail: Jail | None = None
        self._asked: socket.socket | None = None
        self._loaded: frozenset[str] | None = None
        self._forked = False

    @classmethod
    async def open(cls, spec: Spec, *, uid: int | None) -> Nursery | None:
        """Begin to load, where the service names packages to load and is started as `python -m MODULE`."""
        service = spec.service
        if service is None or not service.preload or service.argv[1:2] != ("-m",):
            return None
        nursery = cls(spec, uid=uid)
        await nursery._start()
        return nursery

    async def _start(self) -> None:
        self._asked, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._asked.setblocking(False)
        with theirs:
            member = Member(
                argv=(self._service.argv[0], "-c", _CODE, str(theirs.fileno()), *self._service.preload),
                env=self._service.env,
                read_only=(*self._service.read_only, *self._needs()),
                limits=replace(_limits(self._service.limits), wall=self._spec.main.limits.wall + 600),
                cwd="/",
            )
            binds = [(str(SERVICES), str(SERVICES))]
            self._jail = await Jail.start(self._spec, member, binds, uid=self._uid, nests=True, keep=(theirs.fileno(),))

    def _needs(self) -> Iterator[tuple[str, str]]:
        """What bubblewrap is to find in there, for layers within: at the same places as here."""
        yield from ((name, name) for name in ("/kit", str(ETC)))
        for source in dict.fromkeys(source for source, _ in self._service.read_only):
            yield source, source

    async def _ready(self) -> bool:
        """Whether it has loaded what there is; it is waited for, since that takes as long as any other start."""
        if self._loaded is None:
            assert self._asked is not None
            try:
                read = asyncio.get_running_loop().sock_recv(self._asked, _MAX_NAMES)
                names = await asyncio.wait_for(read, _LOADING_SECONDS)
                self._loaded = frozenset(json.loads(names)) if names else frozenset()
            except (OSError, ValueError, TimeoutError):
                self._loaded = frozenset()
        return bool(self._loaded)

    def _fits(self, member: Member, workspace: Path) -> bool:
        """Whether a fork would be what a usual start is: no loaded module is hidden, and no such variable is set."""
        assert self._loaded is not None
        here = {path.name.partition(".")[0] for path in workspace.iterdir()}
        changed = {name for name in {*member.env, *self._service.env} if name.startswith(_ACTING)}
        same = all(member.env.get(name) == self._service.env.get(name) for name in changed)
        return same and not here & self._loaded

    async def fork(self, member: Member, binds: list[tuple[str, str]], workspace: Path) -> Forked | None:
        """Start an instance. None where it must be started as usual."""
        if not await self._ready() or not self._fits(member, workspace):
            return None
        assert self._asked is not None
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        with theirs, os.fdopen(writing, "wb"):
            try:
                message = json.dumps(self._message(member, binds)).encode()
                socket.send_fds(self._asked, [message], [theirs.fileno(), writing])
            except OSError:
                ours.close()
                os.close(reading)
                return None
        told, kept = await asyncio.open_connection(sock=ours)
        stdout = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(stdout)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(reading, "rb"))
        found = await self._found(told)
        if found is None:
            kept.close()
            self._loaded = frozenset()  # what has failed once is not tried again
            return None
        kept.write(b"\n")  # now it goes on: its processes are known, and watched
        self._forked = True
        return Forked(_Process(found, stdout, told, kept), member.limits)  # type: ignore[arg-type]

    async def _found(self, told: asyncio.StreamReader) -> dict[str, int] | None:
        """The numbers of an instance's processes, or None where none was made."""
        try:
            line = await asyncio.wait_for(told.readline(), _LOADING_SECONDS)
            return self._translated(json.loads(line))
        except (OSError, ValueError, TimeoutError):
            return None

    def _message(self, member: Member, binds: list[tuple[str, str]]) -> dict[str, Any]:
        return {
            "layer": arguments(self._spec, member, binds, nests=True),
            "module": member.argv[2],
            "argv": member.argv[3:],
            "cwd": member.cwd,
            "env": member.env,
            "limits": bounds(member.limits),
            "seccomp": base64.b64decode(self._spec.seccomp).hex(),
        }

    def _translated(self, found: dict[str, int]) -> dict[str, int] | None:
        """Process numbers as they are here, from those in the nursery's own process table."""
        assert self._jail is not None
        here = dict(processes.numbers_within(self._jail.process.pid))
        if "pid" not in found or not set(found.values()) <= set(here):
            return None
        return {name: here[number] for name, number in found.items()}

    async def close(self) -> None:
        """End it, and all that it has forked.

        Raises `Broken` where it had ended before: its instances did with it, which was no doing of theirs.
        """
        if self._jail is not None:
            died = self._forked and self._jail.process.returncode is not None
            self._jail.kill()
            await self._jail.wait()
            if died:
                raise Broken("the process that services are forked from has died")
        if self._asked is not None:
            self._asked.close()


def _limits(limits: Limits) -> Limits:
    """Of the nursery itself: what its instances may have, each has limits for."""
    return replace(limits, memory=_PLENTY, processes=8 * limits.processes, output=_OUTPUT)
