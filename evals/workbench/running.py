"""Programs and files for harnesses that bring their own tools: `exec`, `read`, `write`, binary throughout."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CHUNK = 1 << 20
"""Bytes that travel in one answer; a line of the session holds 4 MiB."""


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _start(given: Mapping[str, Any], stdin: Any, stdout: Any, stderr: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        given["argv"],
        cwd=Path("/workspace", given.get("cwd") or ""),
        env={**os.environ, **(given.get("env") or {})},
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )


def execute(given: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Run a program to its end; what it leaves in the background goes on, and is not waited for.

    `input` is a file. Outputs go to files, whose first bytes are given; `sizes` tells how long they were.
    """
    source = given.get("input") or os.devnull
    with open(source, "rb") as stdin, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = _start(given, stdin, stdout, stderr)
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return {"error": "TimeoutError"}
        found = []
        for file in (stdout, stderr):
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            found.append((size, _encoded(file.read(CHUNK))))
    # As a shell has it: above 128 for a signal.
    status = status if status >= 0 else 128 - status
    return {"status": status, "outputs": [data for _, data in found], "sizes": [size for size, _ in found]}


def read(given: Mapping[str, Any], _seconds: float) -> dict[str, Any]:
    """Part of a file, and its whole size."""
    with open(Path("/workspace", given["path"]), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(given.get("offset", 0))
        return {"size": size, "data": _encoded(file.read(CHUNK))}


def write(given: Mapping[str, Any], _seconds: float) -> dict[str, Any]:
    """Write a file, or append to it; its folders are made."""
    path = Path("/workspace", given["path"])
    if path.is_dir():
        raise IsADirectoryError(21, "Is a directory", str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "ab" if given.get("append") else "wb") as file:
        file.write(base64.b64decode(given["data"]))
    return {}


def answered(call: Any, given: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """What a call gives; an error of the system by its kind and words."""
    try:
        found: dict[str, Any] = call(given, seconds)
    except OSError as error:
        return {"error": type(error).__name__, "reason": str(error)}
    return found
