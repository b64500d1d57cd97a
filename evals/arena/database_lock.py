"""Holds every SQLite database under `/state` under an exclusive lock, as another process would."""

from __future__ import annotations

import json
import os
import sqlite3
import sys

_MAGIC = b"SQLite format 3\x00"


def databases(folder: str) -> list[str]:
    """Paths of the SQLite files below a folder, told by their first bytes."""
    found = []
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    if file.read(len(_MAGIC)) == _MAGIC:
                        found.append(path)
    return found


def lock(folder: str) -> list[sqlite3.Connection]:
    """Open and lock them all; raises `LookupError` where there is none."""
    held = []
    for path in databases(folder):
        connection = sqlite3.connect(path, timeout=10, isolation_level=None)
        connection.execute("BEGIN EXCLUSIVE")
        held.append(connection)
    if not held:
        raise LookupError("no SQLite database in the state folder: the service made none there")
    return held


def main() -> None:
    """Lock at the first request, and hold until killed."""
    held: list[sqlite3.Connection] = []
    for _ in sys.stdin:
        try:
            held += lock("/state")
            answer = {"locked": len(held)}
        except (sqlite3.Error, LookupError) as error:
            answer = {"error": str(error)}  # type: ignore[dict-item]
        print(json.dumps(answer), flush=True)
