"""Does to the SQLite databases under `/state` what another process could: locks, reads and changes them."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import sys
from typing import Any

_MAGIC = b"SQLite format 3\x00"
_STATE = "/state"
_MOST_ROWS = 10_000
_MOST_UNIQUE = 8


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
            connection.execute(f"DROP TABLE {_quoted(name)}")
            count += 1
        connection.execute("COMMIT")
        connection.close()
    return count


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _holding(connection: sqlite3.Connection, text: str) -> list[tuple[str, dict[str, Any]]]:
    """Tables and rows of which some value, as text and whatever its case, is `text` or holds it."""
    found = []
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    for (table,) in connection.execute(query).fetchall():
        for row in connection.execute(f"SELECT * FROM {_quoted(table)} LIMIT {_MOST_ROWS}"):  # noqa: S608 (a quoted name)
            values = dict(zip(row.keys(), tuple(row), strict=True))
            if any(text.lower() in _as_text(value).lower() for value in values.values()):
                found.append((str(table), values))
    return found


def _as_text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _open(folder: str) -> list[sqlite3.Connection]:
    connections = [sqlite3.connect(path, timeout=10, isolation_level=None) for path in databases(folder)]
    for connection in connections:
        connection.row_factory = sqlite3.Row
    return connections


def rows(folder: str, text: str) -> list[dict[str, str]]:
    """The rows that hold `text`, values as text."""
    found = []
    for connection in _open(folder):
        found += [{name: _as_text(v) for name, v in row.items()} for _, row in _holding(connection, text)]
        connection.close()
    return found


def twice(folder: str, text: str) -> bool:
    """Whether a second row like one that holds `text` can be written; nothing stays changed.

    Columns that say which row it is get new values: those of the primary key, and every other one that is kept unique
    and does not hold `text`. What is left to refuse the row is a rule about `text` itself.
    """
    tried = False
    for connection in _open(folder):
        for table, row in _holding(connection, text):
            tried = True
            connection.execute("BEGIN IMMEDIATE")
            try:
                refused = _refused(connection, table, row, text)
            finally:
                connection.execute("ROLLBACK")
            if refused:
                return False
        connection.close()
    if not tried:
        raise LookupError(f"no row holds {text!r}")
    return True


def _refused(connection: sqlite3.Connection, table: str, row: dict[str, Any], text: str) -> bool:
    """Whether a rule about `text` refuses a second row."""
    row, keys = dict(row), connection.execute(f"PRAGMA table_info({_quoted(table)})").fetchall()
    fresh = [key["name"] for key in keys if key["pk"] and text.lower() not in _as_text(row[key["name"]]).lower()]
    for _ in range(_MOST_UNIQUE):
        for name in fresh:
            row[name] = _other(row[name])
        names, marks = ", ".join(map(_quoted, row)), ", ".join("?" * len(row))
        try:
            query = f"INSERT INTO {_quoted(table)} ({names}) VALUES ({marks})"  # noqa: S608 (quoted names)
            connection.execute(query, tuple(row.values()))
        except sqlite3.IntegrityError as error:
            broken = [part.strip().rpartition(".")[2] for part in str(error).rpartition(":")[2].split(",")]
            fresh = [name for name in broken if name in row and text.lower() not in _as_text(row[name]).lower()]
            if not fresh:
                return True
        else:
            return False
    return True


def _other(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, int):
        return value + secrets.randbelow(10**9) + 1
    if isinstance(value, bytes):
        return secrets.token_bytes(len(value))
    text = str(value)
    return secrets.token_hex(len(text))[: len(text)]


def _answer(request: dict[str, Any], held: list[sqlite3.Connection]) -> dict[str, Any]:
    if request["do"] == "drop":
        return {"dropped": drop_tables(_STATE)}
    if request["do"] == "rows":
        return {"rows": rows(_STATE, request["text"])}
    if request["do"] == "twice":
        return {"twice": twice(_STATE, request["text"])}
    held += lock(_STATE)
    return {"locked": len(held)}


def main() -> None:
    """Answer requests; a lock is held until this process is killed."""
    held: list[sqlite3.Connection] = []
    for line in sys.stdin:
        try:
            answer = _answer(json.loads(line), held)
        except (sqlite3.Error, LookupError) as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)
