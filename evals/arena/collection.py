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


def _entries(folder: int, prefix: str, depth: int) -> Iterator[tuple[str, int, os.stat_result]]:
    """Every entry below an open folder as (path, folder descriptor, status), links not followed."""
    for name in sorted(os.listdir(folder)):
        path = f"{prefix}{name}"
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        yield path, folder, status
        if stat.S_ISDIR(status.st_mode) and name not in JUNK and depth < MAX_DEPTH:
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            try:
                yield from _entries(below, f"{path}/", depth + 1)
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


def _read(folder: int, name: str) -> bytes:
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(MAX_FILE_BYTES)


def collect(root: Path) -> Collected:
    """Read the regular files below `root`. No link is followed, and all bounds hold."""
    files: dict[str, bytes] = {}
    dropped: list[str] = []
    total = 0
    base = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for path, folder, status in _entries(base, "", 0):
            name = path.rsplit("/", 1)[-1]
            if stat.S_ISDIR(status.st_mode) or name in JUNK:
                continue
            reason = _why_not(path, status, len(files), total)
            if reason:
                dropped.append(f"{ascii(path)[1:-1]}: {reason}")
                continue
            files[path] = _read(folder, name)
            total += len(files[path])
    finally:
        os.close(base)
    return Collected(files=files, dropped=tuple(dropped))
