"""Reading `/proc`: who descends from whom, and how much memory they hold."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

_SMALL = 8 * 1024 * 1024  # bubblewrap itself, and whatever only waits


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


def _status(pid: int) -> dict[bytes, int]:
    """The figures of `/proc/PID/status` that are in kB, as bytes; none once the process has ended."""
    found = {}
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            for line in file:
                name, _, value = line.partition(b":")
                if value.endswith(b"kB\n"):
                    found[name] = int(value.split()[0]) * 1024
    except (OSError, ValueError):
        pass
    return found


def anonymous_memory(pid: int) -> int:
    """Bytes of anonymous memory that a process holds in RAM; 0 once it has ended.

    Anonymous pages alone: file pages are shared between processes and given back under pressure.
    """
    return _status(pid).get(b"RssAnon", 0)


def peak_anonymous_memory(pids: Iterable[int]) -> int:
    """The most that the only one of these processes held, as the kernel counted it; 0 where there are others.

    It holds what sampling misses. Peaks of several processes need not have come together, so they are not added up.
    """
    found = [_status(pid) for pid in pids]
    found = [status for status in found if status.get(b"VmHWM", 0) > _SMALL]
    if len(found) != 1:
        return 0
    status = found[0]
    return max(0, status.get(b"VmHWM", 0) - status.get(b"RssFile", 0) - status.get(b"RssShmem", 0))


def numbers_within(root: int) -> Iterator[tuple[int, int]]:
    """For the descendants of a process that have a process table of their own: their number there, and here."""
    level = len(_numbers(root))
    for pid in descendants(root):
        numbers = _numbers(pid)
        if len(numbers) > level:
            yield numbers[level], pid


def _numbers(pid: int) -> list[int]:
    """A process's number in each process table that it is in, ours first; none once it has ended."""
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            return next(([int(word) for word in line.split()[1:]] for line in file if line.startswith(b"NSpid:")), [])
    except OSError:
        return []
