"""Which model is meant, and whether there is a credential to call it with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from evals.errors import InputError
from evals.types import Revision

DEFAULT = "claude-sonnet-5-5"
DEFAULT_EFFORT = "high"
EFFORTS = ("low", "medium", "high", "xhigh", "max", "none")
"""`none` leaves `output_config.effort` away, for models that do not take it."""

ALIASES = {"opus": "claude-opus-5-5", "sonnet": "claude-sonnet-5-5", "haiku": "claude-haiku-5-5"}
"""What agent files call models. Spelled out here, so that what a trial is of does not change by itself."""

_VARIABLES = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_PROFILE")
_FEDERATION = ("ANTHROPIC_FEDERATION_RULE_ID", "ANTHROPIC_ORGANIZATION_ID")


def resolve(asked: str | None, revision: Revision) -> str:
    """The model's id: as asked, else as the agent file says, else the default."""
    found = asked or revision.model
    if found is None or found == "inherit":
        return DEFAULT
    return ALIASES.get(found, found)


def check_effort(effort: str | None) -> str:
    """The effort to ask for; `InputError` where there is no such."""
    if effort is None:
        return DEFAULT_EFFORT
    if effort not in EFFORTS:
        raise InputError(f"--effort: found {effort!r}; there are: {', '.join(EFFORTS)}")
    return effort


def has_credential(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the SDK would find a credential: a key, a token, federation, or a profile on disk.

    The order is the SDK's own (`anthropic.AsyncAnthropic`); asking it would cost a second at every start.
    """
    if any(environ.get(name) for name in _VARIABLES) or all(environ.get(name) for name in _FEDERATION):
        return True
    folder = environ.get("ANTHROPIC_CONFIG_DIR")
    configs = Path(folder) if folder else Path(environ.get("HOME", "/nonexistent")) / ".config" / "anthropic"
    try:
        active = (configs / "active_config").read_text("utf-8").strip() or "default"
    except (OSError, UnicodeDecodeError):
        active = "default"
    return (configs / "configs" / f"{active}.json").is_file()
