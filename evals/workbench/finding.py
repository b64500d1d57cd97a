"""The tools `Glob` and `Grep`: for agents that are given these, but no shell."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from evals.workbench.answers import ToolError, cut_text
from evals.workbench.editor import path_of, text_of

_MAX_BYTES = 1024 * 1024
_MOST = 500


def _files(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if name not in {".git", "node_modules", "__pycache__"})
        yield from (Path(folder, name) for name in sorted(files))


def _root(arguments: Mapping[str, Any]) -> Path:
    root = path_of(arguments) if arguments.get("path") else Path("/workspace")
    if not root.exists():
        raise ToolError(f"{root} does not exist.")
    return root


def glob(arguments: Mapping[str, Any]) -> str:
    """Paths that match a pattern such as `**/*.py`, newest first."""
    root, pattern = _root(arguments), text_of(arguments, "pattern")
    try:
        found = [path for path in root.glob(pattern.lstrip("/")) if path.is_file()]
        found.sort(key=lambda path: -path.stat().st_mtime)
    except (ValueError, NotImplementedError, OSError) as error:
        raise ToolError(f"`pattern` {pattern!r} cannot be used: {error}") from None
    return cut_text("\n".join(map(str, found[:_MOST]))) or "[no file matches]"


def grep(arguments: Mapping[str, Any]) -> str:
    """Lines that match a regular expression, as `path:line:text`."""
    try:
        pattern = re.compile(text_of(arguments, "pattern"), re.IGNORECASE if arguments.get("-i") else 0)
    except re.error as error:
        raise ToolError(f"`pattern` is no regular expression: {error}") from None
    wanted = arguments.get("glob")
    found: list[str] = []
    for path in _files(_root(arguments)):
        if not isinstance(wanted, str) or fnmatch(path.name, wanted.rpartition("/")[2]):
            found += _matches(path, pattern)
        if len(found) >= _MOST:
            return cut_text("\n".join([*found[:_MOST], "[... more ...]"]))
    return cut_text("\n".join(found)) or "[no line matches]"


def _matches(path: Path, pattern: re.Pattern[str]) -> list[str]:
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return []
        lines = path.read_bytes().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    return [f"{path}:{number}:{line[:500]}" for number, line in enumerate(lines, 1) if pattern.search(line)]
