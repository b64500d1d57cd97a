"""Reading `/proc`: who descends from whom, and how much memory they hold."""

from __future__ import annotations

import os
from collections.abc import Iterator


def _parents() -> dict[int, int]:
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as file:
                    tail = file.read().rsplit(b")", 1)[1].split()
            except (OSError, IndexError):
                continue  # it ended while we looked
            parents[int(entry)] = int(tail[1])
    return parents


def descendants(root: int) -> Iterator[int]:
    """The living descendants of a process, parents before children, without the process itself."""
    parents = _parents()
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    waiting = list(children.get(root, ()))
    while waiting:
        pid = waiting.pop(0)
        yield pid
        waiting.extend(children.get(pid, ()))


def anonymous_memory(pid: int) -> int:
    """Bytes of anonymous memory that a process holds in RAM; 0 once it has ended.

    Anonymous pages alone: file pages are shared between processes and given back under pressure.
    """
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            for line in file:
                if line.startswith(b"RssAnon:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return 0


def resident_memory(root: int) -> int:
    """Bytes of anonymous memory of all descendants of a process together."""
    return sum(anonymous_memory(pid) for pid in descendants(root))
