"""Which sandbox untrusted code runs in."""

from __future__ import annotations

import os

from evals import plugins
from evals.types import Sandbox

DEFAULT = "bubblewrap"


def chosen(name: str | None) -> str:
    """The name of the sandbox: what is asked for, or what `EVALS_SANDBOX` says."""
    return name or os.environ.get("EVALS_SANDBOX") or DEFAULT


def make(name: str | None) -> Sandbox:
    """The chosen sandbox; `InputError` where there is none of that name, `EnvironmentFault` where it cannot be had."""
    made: Sandbox = plugins.factory("sandboxes", chosen(name))()
    return made
