"""What this process may use of the machine."""

from __future__ import annotations

import os


def cores() -> int:
    """Processors that this process may run on, which can be fewer than there are (`taskset`, a container's cpuset)."""
    return len(os.sched_getaffinity(0))
