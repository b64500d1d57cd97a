"""Does to the SQLite databases under `/state` what another process could: locks them, or drops their tables."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from typing import Any

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


def drop_tables(folder: str) -> int:
    """Drop every table of every database; how many there were."""
    held = lock(folder)
    count = 0
    for connection in held:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        for (name,) in connection.execute(query).fetchall():
            quoted = str(name).replace('"', '""')
            connection.execute(f'DROP TABLE "{quoted}"')
            count += 1
        connection.execute("COMMIT")
        connection.close()
    return count


def main() -> None:
    """Answer requests; a lock is held until this process is killed."""
    held: list[sqlite3.Connection] = []
    for line in sys.stdin:
        answer: dict[str, Any]
        try:
            if json.loads(line)["do"] == "drop":
                answer = {"dropped": drop_tables("/state")}
            else:
                held += lock("/state")
                answer = {"locked": len(held)}
        except (sqlite3.Error, LookupError) as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)
