"""Packages of npm that tests use: installed once, from a lock file with digests."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest


def lacking(name: str, reason: str) -> None:
    """Skip, but not where these tests have to run."""
    if name in os.environ.get("EVALS_TESTS_REQUIRE", ""):
        pytest.fail(reason)
    pytest.skip(reason)


def installed(source: Path) -> Path:
    """A folder with what `package-lock.json` in another names."""
    name = source.name
    if shutil.which("node") is None or shutil.which("npm") is None:
        lacking(name, "Node.js is not installed")
    digest = hashlib.sha256((source / "package-lock.json").read_bytes()).hexdigest()[:12]
    cache = Path(os.environ.get("EVALS_CACHE", Path.home() / ".cache" / "evals"))
    folder = cache / f"{name}-{digest}"
    if not (folder / ".complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(source / file, folder / file)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            lacking(name, f"npm cannot install {name}: {done.stderr[-500:]}")
        (folder / ".complete").touch()
    return folder
