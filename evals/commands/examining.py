"""`evals doctor`: what this machine can do, and what would help."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from evals.commands import sandboxing
from evals.errors import EvalsError
from evals.messages import models

State = Literal["ok", "missing", "broken"]

_ROOM = 3 * 1024**3
_CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at. `needed`: nothing can be graded without it."""

    name: str
    state: State
    found: str
    needed: bool = False
    remedy: str = ""


def examine(cache: Path) -> list[Finding]:
    """Everything that `evals` uses here, what is needed first."""
    return [
        _python(),
        _sandbox(),
        _cache(cache),
        _git(),
        _credential(),
        _limits(),
        _program("node", "--version", "tests against aimock and axe", "install Node.js 20 or later"),
        _browser(),
        _docker(),
        _claude_code(),
    ]


def _python() -> Finding:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    fits = sys.version_info[:2] == (3, 11)
    remedy = "install evals with Python 3.11: the stack python-fastapi runs on it"
    return Finding(name="Python", state="ok" if fits else "broken", found=found, needed=True, remedy=remedy)


def _sandbox() -> Finding:
    name = sandboxing.chosen(None)
    try:
        sandboxing.make(name)
    except EvalsError as error:
        return Finding(name="sandbox", state="broken", found=f"{name} cannot work", needed=True, remedy=str(error))
    user = "root" if os.geteuid() == 0 else "an ordinary user"
    return Finding(name="sandbox", state="ok", found=f"{name} works, as {user}", needed=True)


def _cache(cache: Path) -> Finding:
    try:
        cache.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(cache).free
        writable = os.access(cache, os.W_OK)
    except OSError as error:
        free, writable = 0, False
        return _cache_finding(cache, f"{error.strerror}", fits=writable and free > 0)
    return _cache_finding(cache, f"{free / 1024**3:.0f} GiB free", fits=writable and free > _ROOM)


def _cache_finding(cache: Path, found: str, *, fits: bool) -> Finding:
    remedy = "make room (3 GiB), or choose another folder with EVALS_CACHE"
    state: State = "ok" if fits else "broken"
    return Finding(name="cache", state=state, found=f"{cache}: {found}", needed=True, remedy=remedy)


def _git() -> Finding:
    return _program("git", "--version", "NAME@GITREF, and evals ci", "install git")


def _credential() -> Finding:
    if models.has_credential():
        return Finding(name="credential", state="ok", found="there is one; whether it works shows when it is used")
    remedy = "set ANTHROPIC_API_KEY; without it recordings are graded, and no model is called"
    return Finding(name="credential", state="missing", found="none", remedy=remedy)


def _limits() -> Finding:
    if (_CGROUPS / "cgroup.controllers").is_file():
        return Finding(name="cgroups", state="ok", found="version 2 (not used; limits are set for each process)")
    return Finding(name="cgroups", state="ok", found="not version 2 (not needed)")


def _output(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if done.returncode == 0 and lines else None


def _program(name: str, option: str, use: str, remedy: str) -> Finding:
    path = shutil.which(name)
    found = _output([path, option]) if path else None
    if found is None:
        return Finding(name=name, state="missing", found=f"not found; for {use}", remedy=remedy)
    return Finding(name=name, state="ok", found=found)


def _browser() -> Finding:
    names = ("chromium", "chromium-browser", "google-chrome")
    name = next((name for name in names if shutil.which(name)), "chromium")
    return _program(name, "--version", "tests of the report's page", "install Chromium")


def _docker() -> Finding:
    path = shutil.which("docker")
    found = _output([path, "version", "--format", "{{.Server.Version}}"]) if path else None
    if found is None:
        return Finding(name="docker", state="missing", found="no daemon; for --sandbox docker")
    return Finding(name="docker", state="ok", found=f"daemon {found}, for --sandbox docker")


def _claude_code() -> Finding:
    bundled = find_spec("claude_agent_sdk") is not None
    if bundled or shutil.which("claude"):
        return Finding(name="Claude Code", state="ok", found="claude-agent-sdk" if bundled else "claude on the PATH")
    remedy = "pip install 'evals[claude-code]'"
    return Finding(name="Claude Code", state="missing", found="not found; for --solver claude-code", remedy=remedy)
