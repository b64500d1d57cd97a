"""What the host tells the supervisor, as it travels: one JSON object, read once.

The host writes these objects from its own typed values (`evals.sandboxes.bubblewrap`), so they are
trusted here and only given names and types.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class Broken(Exception):
    """Something of ours in the sandbox has failed; its text says what."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of one member; sizes in bytes, times in seconds."""

    wall: float
    cpu: int
    memory: int
    processes: int
    files: int
    file_size: int
    output: int


@dataclass(frozen=True, kw_only=True)
class Member:
    """A program with a jail of its own.

    `workspace` gives it a copy of the workspace at `/workspace`; `control` gives it the control
    socket; `home` gives it a writable folder at `/results`.
    """

    argv: tuple[str, ...]
    env: dict[str, str]
    read_only: tuple[tuple[str, str], ...]
    limits: Limits
    cwd: str
    workspace: bool = False
    control: bool = False
    preload: tuple[str, ...] = ()
    background: bool = False


@dataclass(frozen=True, kw_only=True)
class Collect:
    """A file to hand back: its path as the main member sees it, and how much of it at most."""

    name: str
    path: str
    limit: int


@dataclass(frozen=True, kw_only=True)
class Spec:
    """The whole job of one supervisor. With `held`, it ends when its input does."""

    bwrap: str
    seccomp: str
    uid: int | None
    system: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str], ...]
    workspace: str | None
    disk: int
    inodes: int
    main: Member
    service: Member | None = None
    helper_python: str | None = None
    held: bool = False
    collect: tuple[Collect, ...] = field(default=())


def _member(raw: dict[str, Any]) -> Member:
    return Member(
        argv=tuple(raw["argv"]),
        env=dict(raw["env"]),
        read_only=tuple((source, target) for source, target in raw["read_only"]),
        limits=Limits(**raw["limits"]),
        cwd=raw["cwd"],
        workspace=raw["workspace"],
        control=raw["control"],
        preload=tuple(raw["preload"]),
        background=raw["background"],
    )


def parse(raw: dict[str, Any]) -> Spec:
    """The `Spec` in a decoded JSON object."""
    return Spec(
        bwrap=raw["bwrap"],
        seccomp=raw["seccomp"],
        uid=raw["uid"],
        system=tuple((source, target) for source, target in raw["system"]),
        links=tuple((source, target) for source, target in raw["links"]),
        workspace=raw["workspace"],
        disk=raw["disk"],
        inodes=raw["inodes"],
        main=_member(raw["main"]),
        service=_member(raw["service"]) if raw["service"] else None,
        helper_python=raw["helper_python"],
        held=raw["held"],
        collect=tuple(Collect(**item) for item in raw["collect"]),
    )
