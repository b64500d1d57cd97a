"""Safe collection of what an agent left.

It is hostile: it may hold links out of its folder, devices, pipes, huge or countless files and names that are no
text. None of that is followed, opened or kept; what is dropped is named.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

MIB = 1024 * 1024

MAX_FILES = 5_000
MAX_FILE_BYTES = 8 * MIB
MAX_TOTAL_BYTES = 64 * MIB
MAX_DEPTH = 20

JUNK = frozenset(
    {
        "__pycache__",
        ".git",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".venv",
        "venv",
        "node_modules",
        ".coverage",
        "htmlcov",
    }
)
"""Names that tools leave behind; never part of a delivery."""


@dataclass(frozen=True, kw_only=True)
class Collected:
    """The regular files of a workspace by relative path, and what was not taken, with the reason."""

    files: Mapping[str, bytes]
    dropped: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Opening:
    """How entries are opened: no link is followed, and nothing is waited for. `own`: see `collect`."""

    own: bool

    def __call__(self, name: str, folder: int, flags: int = 0) -> int:
        """A descriptor for reading."""
        flags |= os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            return os.open(name, flags, dir_fd=folder)
        except PermissionError:
            if not self.own:
                raise
        os.chmod(name, 0o700, dir_fd=folder)
        return os.open(name, flags, dir_fd=folder)


Entry = tuple[str, int, os.stat_result]


def _entries(folder: int, prefix: str, depth: int, opening: _Opening, closed: list[str]) -> Iterator[Entry]:
    """Every entry below an open folder as (path, folder descriptor, status); folders that stay shut are in `closed`."""
    for name in sorted(os.listdir(folder)):
        path = f"{prefix}{name}"
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        yield path, folder, status
        if stat.S_ISDIR(status.st_mode) and name not in JUNK and depth < MAX_DEPTH:
            try:
                below = opening(name, folder, os.O_DIRECTORY)
            except PermissionError:
                closed.append(path)
                continue
            try:
                yield from _entries(below, f"{path}/", depth + 1, opening, closed)
            finally:
                os.close(below)


def _why_not(path: str, status: os.stat_result, count: int, total: int) -> str | None:
    """Why an entry is not taken, or None."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    if stat.S_ISLNK(status.st_mode):
        return "a symbolic link"
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    if status.st_size > MAX_FILE_BYTES:
        return f"{status.st_size} bytes, more than {MAX_FILE_BYTES}"
    if total + status.st_size > MAX_TOTAL_BYTES:
        return f"the workspace holds more than {MAX_TOTAL_BYTES} bytes"
    return f"the workspace holds more than {MAX_FILES} files" if count >= MAX_FILES else None


def _read(folder: int, name: str, opening: _Opening) -> bytes | None:
    try:
        descriptor = opening(name, folder)
    except PermissionError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read(MAX_FILE_BYTES)


def named(path: str, reason: str) -> str:
    """A line that says why something was not taken, without control characters."""
    return f"{ascii(path)[1:-1]}: {reason}"


def collect(root: Path, *, own: bool = False) -> Collected:
    """Read the regular files below `root`. No link is followed, and all bounds hold.

    With `own`, what its owner has closed to itself is opened, so that root and others find the same; else it is named.
    """
    files: dict[str, bytes] = {}
    dropped: list[str] = []
    closed: list[str] = []
    opening = _Opening(own=own)
    total = 0
    base = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for path, folder, status in _entries(base, "", 0, opening, closed):
            name = path.rsplit("/", 1)[-1]
            if stat.S_ISDIR(status.st_mode) or name in JUNK:
                continue
            reason = _why_not(path, status, len(files), total)
            data = None if reason else _read(folder, name, opening)
            if data is None:
                dropped.append(named(path, reason or "it cannot be read"))
                continue
            files[path] = data
            total += len(data)
    finally:
        os.close(base)
    return Collected(files=files, dropped=(*dropped, *(named(path, "it cannot be read") for path in closed)))
