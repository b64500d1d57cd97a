"""Folders of a sandbox as its supervisor sees them, and whose they are.

/box/etc                 the members' /etc
/box/main/results        the main member's /results
/box/main/workspace      the main member's /workspace
/box/main/control        the control socket
/box/services/N/workspace, state    one instance of the service under test
"""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

ETC = Path("/box/etc")
MAIN = Path("/box/main")
SERVICES = Path("/box/services")

_OFFSETS = {"main": 0, "service": 1, "helper": 2}


def unpack(archive: str, target: Path) -> None:
    """Lay out a fresh copy of the workspace: regular files only, as the host has made the archive.

    By hand, since `tarfile`'s filters are missing from early releases of Python 3.11.
    """
    target.mkdir(parents=True)
    with tarfile.open(archive) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isreg() else None
            if content is None:
                raise ValueError(f"{member.name!r} is not a regular file")
            path = target / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())


class Owner:
    """Gives members users of their own where the supervisor is root; else all share the caller's."""

    def __init__(self, base: int | None) -> None:
        self._base = base

    def uid(self, role: str) -> int | None:
        """The user to become for a role, or None where it cannot be changed."""
        return None if self._base is None else self._base + _OFFSETS[role]

    def folder(self, path: Path, role: str) -> str:
        """Make a folder that belongs to a role."""
        path.mkdir(parents=True, exist_ok=True)
        return self.tree(path, role)

    def tree(self, path: Path, role: str) -> str:
        """Give a folder and everything in it to a role."""
        uid = self.uid(role)
        if uid is not None:
            os.chown(path, uid, uid)
            for folder, names, files in os.walk(path):
                for name in (*names, *files):
                    os.chown(os.path.join(folder, name), uid, uid, follow_symlinks=False)
        return str(path)
