"""Which sandbox untrusted code runs in."""

from __future__ import annotations

import os

from evals import plugins
from evals.types import Sandbox

DEFAULT = "bubblewrap"


def make(name: str | None) -> Sandbox:
    """The sandbox of that name, or that `EVALS_SANDBOX` names; `EnvironmentFault` where this machine cannot have it."""
    made: Sandbox = plugins.factory("sandboxes", name or os.environ.get("EVALS_SANDBOX") or DEFAULT)()
    return made
