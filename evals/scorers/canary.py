"""Whose fault is it that a tool failed? Run it on a delivery that is known to be good, and see."""

from __future__ import annotations

import tempfile
from pathlib import Path

from evals import workspace
from evals.types import Delivery, Job, Program, Sandbox

_GOOD = {"app/__init__.py": b"", "app/main.py": b'"""A module."""\n\nANSWER: int = 42\n'}


async def works(delivery: Delivery, program: Program, sandbox: Sandbox) -> bool:
    """Whether a tool does its work on a good delivery. If so, a failure elsewhere is the delivery's doing."""
    with tempfile.TemporaryDirectory(dir=delivery.scratch) as folder:
        archive = Path(folder) / "workspace.tar.gz"
        archive.write_bytes(workspace.archive(_GOOD))
        finished = await sandbox.run(Job(workspace=archive, main=program))
    return finished.reason == "exit" and finished.status == 0
