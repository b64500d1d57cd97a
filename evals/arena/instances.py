"""Instances of the service under test: their folders, ports, processes and logs."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from evals.arena.jail import Ended, Jail
from evals.arena.nursery import Nursery
from evals.arena.places import SERVICES, Owner, unpack
from evals.arena.spec import Spec

_KEPT_LOG = 32 * 1024
_READ_PIECE = 1 << 20


class Instance:
    """One instance: a port, a copy of the workspace, and a state folder that outlives its processes."""

    def __init__(self, spec: Spec, owner: Owner, number: int, port: int, env: dict[str, str]) -> None:
        assert spec.service is not None
        self.number = number
        self.port = port
        self.folder = SERVICES / str(number)
        self.state_folder = self.folder / "state"
        self._spec = spec
        self._owner = owner
        place = {"port": str(port)}
        argv = tuple(part.format(**place) for part in spec.service.argv)
        self._member = replace(spec.service, argv=argv, env={**spec.service.env, **env})
        self._jail: Jail | None = None
        self._ended: Ended | None = None
        self._logs: list[str] = []
        self._brought: set[str] = set()

    def prepare(self, unpacked: Path) -> None:
        """Lay out the folders."""
        shutil.copytree(unpacked, self.folder / "workspace")
        self._owner.tree(self.folder / "workspace", "service")
        self._owner.folder(self.state_folder, "service")
        self._brought = set(self._files())

    async def launch(self, nursery: Nursery | None) -> None:
        """Start the service; its readiness is for the caller to see by asking it."""
        workspace = self.folder / "workspace"
        binds = [(str(workspace), "/workspace"), (str(self.state_folder), "/state")]
        self._ended = None
        self._jail = await nursery.fork(self._member, binds, workspace) if nursery else None
        self._jail = self._jail or await Jail.start(self._spec, self._member, binds, uid=self._owner.uid("service"))

    async def stop(self, grace: float) -> dict[str, Any]:
        """Ask it to end, wait up to `grace` seconds, then kill all of it."""
        jail = self._jail
        if jail is not None:
            if grace:
                jail.terminate()
                await jail.wait_at_most(grace)
            jail.kill()
            self._ended = await jail.wait()
            self._logs.append(jail.output.text())
            self._jail = None
        return await self.state()

    async def state(self) -> dict[str, Any]:
        """Whether it runs, its exit status once it has ended, and its memory in bytes."""
        jail = self._jail
        if jail is not None and jail.process.returncode is not None:
            await self.stop(0)
            jail = None
        ended = self._ended
        return {
            "running": jail is not None,
            "status": ended.status if ended else None,
            "reason": ended.reason if ended else None,
            "memory": jail.memory() if jail else 0,
            "peak_memory": jail.peak_memory() if jail else 0,
        }

    def log(self) -> str:
        """Everything that it has printed, over all its starts."""
        return "".join((*self._logs, self._jail.output.text() if self._jail else ""))

    def _files(self) -> list[str]:
        return [
            os.path.relpath(os.path.join(folder, name), self.folder)
            for folder, _, names in os.walk(self.folder)
            for name in names
        ]

    def new_files(self) -> list[str]:
        """Files that were not there at the start, byte code left out."""
        return sorted(f for f in set(self._files()) - self._brought if "__pycache__" not in f)

    def find(self, needles: list[str]) -> dict[str, list[str]]:
        """The new files in which each text stands, read as bytes."""
        found: dict[str, list[str]] = {needle: [] for needle in needles}
        for name in self.new_files():
            path = self.folder / name
            if path.is_symlink() or not path.is_file():
                continue
            for needle in _needles_in(path, needles):
                found[needle].append(name)
        return found


def _needles_in(path: Path, needles: list[str]) -> set[str]:
    wanted = {needle: needle.encode() for needle in needles}
    overlap = max((len(value) for value in wanted.values()), default=1) - 1
    found: set[str] = set()
    with path.open("rb") as file:
        kept = b""
        while piece := file.read(_READ_PIECE):
            window = kept + piece
            found |= {needle for needle, value in wanted.items() if value in window}
            kept = window[-overlap:] if overlap else b""
    return found


class Instances:
    """All instances of one sandbox."""

    def __init__(self, spec: Spec, owner: Owner, *, first_port: int) -> None:
        self._spec = spec
        self._owner = owner
        self._next_port = first_port
        self._all: dict[int, Instance] = {}
        self._ended: list[dict[str, Any]] = []
        self._count = 0
        self._unpacked: Path | None = None
        self._nursery: Nursery | None = None
        self.mail_port = 1

    async def open(self) -> None:
        """Get ready for the first."""
        self._nursery = await Nursery.open(self._spec, uid=self._owner.uid("service"))

    def get(self, number: int) -> Instance:
        """An instance by number; `KeyError` where it is not there (any more)."""
        return self._all[number]

    async def add(self, env: dict[str, str | None], template: dict[str, str]) -> Instance:
        """Make and start one. In `env`, None takes a variable of the template away."""
        number, port = self._count, self._next_port
        self._count, self._next_port = number + 1, port + 1
        place = {"port": str(port), "state": "/state", "mail_port": str(self.mail_port)}
        merged = {**template, **env}
        full = {name: value.format(**place) for name, value in merged.items() if value is not None}
        instance = Instance(self._spec, self._owner, number, port, full)
        instance.prepare(self._workspace())
        self._all[number] = instance
        await instance.launch(self._nursery)
        return instance

    async def launch(self, number: int) -> None:
        """Start one that has ended again."""
        await self.get(number).launch(self._nursery)

    def _workspace(self) -> Path:
        if self._unpacked is None:
            self._unpacked = SERVICES / "unpacked"
            unpack(self._spec.workspace or "", self._unpacked)
        return self._unpacked

    async def remove(self, number: int) -> None:
        """Stop one and free its folders."""
        instance = self._all.pop(number)
        await instance.stop(0)
        log = instance.log()
        self._ended.append({"instance": number, "log": log[-_KEPT_LOG:]})
        shutil.rmtree(instance.folder)

    async def close(self) -> list[dict[str, Any]]:
        """Stop all; what each printed."""
        for number in list(self._all):
            await self.remove(number)
        if self._nursery is not None:
            await self._nursery.close()
        return self._ended
