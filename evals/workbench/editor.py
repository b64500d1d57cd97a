"""The tool `str_replace_based_edit_tool`, as the API defines it (`text_editor_20250728`)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evals.workbench.answers import ToolError, cut_text

_MAX_BYTES = 4 * 1024 * 1024
_MAX_ENTRIES = 1000
_AROUND = 4
_HIDDEN = frozenset({"node_modules", "__pycache__"})


def text_of(arguments: Mapping[str, Any], name: str) -> str:
    """An argument that has to be a text."""
    value = arguments.get(name)
    if not isinstance(value, str):
        raise ToolError(f"`{name}` is missing or not a text.")
    return value


def path_of(arguments: Mapping[str, Any], name: str = "path") -> Path:
    """The path that is meant; one that is not absolute counts from /workspace."""
    value = text_of(arguments, name)
    if "\0" in value:
        raise ToolError(f"`{name}` holds a NUL character.")
    return Path("/workspace") / value


def _read(path: Path) -> str:
    try:
        if not path.is_file():
            raise ToolError(f"{path} does not exist." if not path.exists() else f"{path} is not a regular file.")
        if path.stat().st_size > _MAX_BYTES:
            raise ToolError(f"{path} has more than {_MAX_BYTES} bytes; look at parts of it with bash.")
        return path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise ToolError(f"{path} cannot be read: {error.strerror}.") from None


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("utf-8", "replace"))
    except OSError as error:
        raise ToolError(f"{path} cannot be written: {error.strerror}.") from None


def _numbered(lines: list[str], first: int) -> str:
    return "\n".join(f"{number:6}\t{line}" for number, line in enumerate(lines, first))


def _range(value: Any, count: int) -> tuple[int, int]:
    if not (isinstance(value, list) and len(value) == 2 and all(isinstance(part, int) for part in value)):
        raise ToolError("`view_range` has to be a list of two line numbers.")
    first, last = value[0], count if value[1] == -1 else value[1]
    if not 1 <= first <= max(count, 1) or last < first:
        raise ToolError(f"`view_range` {value} does not fit: the file has {count} lines.")
    return first, min(last, count)


def view(arguments: Mapping[str, Any]) -> str:
    """A file with line numbers, or what a folder holds, two levels deep."""
    path = path_of(arguments)
    if path.is_dir():
        return _folder(path)
    lines = _read(path).splitlines()
    wanted = arguments.get("view_range")
    first, last = _range(wanted, len(lines)) if wanted is not None else (1, len(lines))
    return cut_text(_numbered(lines[first - 1 : last], first)) or "[the file is empty]"


def _folder(path: Path) -> str:
    found = [str(path)]
    try:
        for folder, names, files in os.walk(path):
            depth = len(Path(folder).relative_to(path).parts)
            names[:] = sorted(n for n in names if not n.startswith(".") and n not in _HIDDEN)
            visible = [*(f"{n}/" for n in names), *sorted(n for n in files if not n.startswith("."))]
            found += [os.path.join(folder, name) for name in visible]
            if depth >= 1:
                names.clear()
            if len(found) > _MAX_ENTRIES:
                return "\n".join([*found[:_MAX_ENTRIES], "[... more ...]"])
    except OSError as error:
        raise ToolError(f"{path} cannot be listed: {error.strerror}.") from None
    return "\n".join(found)


def create(arguments: Mapping[str, Any]) -> str:
    """Write a whole file."""
    path, text = path_of(arguments), text_of(arguments, "file_text")
    existed = path.exists()
    _write(path, text)
    return f"{path} was {'overwritten' if existed else 'created'}."


def str_replace(arguments: Mapping[str, Any]) -> str:
    """Replace the one place where a text stands."""
    path, old = path_of(arguments), text_of(arguments, "old_str")
    new = text_of(arguments, "new_str") if arguments.get("new_str") is not None else ""
    text = _read(path)
    count = text.count(old) if old else 0
    if count != 1:
        what = "`old_str` is empty" if not old else f"`old_str` stands {count} times in {path}, wanted once"
        raise ToolError(f"Nothing was changed: {what}. It has to match exactly, white space included.")
    before = text.index(old)
    _write(path, text.replace(old, new, 1))
    return _shown(path, text[:before].count("\n"), new.count("\n") + 1)


def insert(arguments: Mapping[str, Any]) -> str:
    """Put text after a line; 0 is the file's beginning."""
    path = path_of(arguments)
    text = text_of(arguments, "insert_text" if "insert_text" in arguments else "new_str")
    lines = _read(path).splitlines(keepends=True)
    after = arguments.get("insert_line")
    if not isinstance(after, int) or not 0 <= after <= len(lines):
        raise ToolError(f"`insert_line` has to be a number from 0 to {len(lines)}; found {after!r}.")
    if after and not lines[after - 1].endswith("\n"):
        lines[after - 1] += "\n"
    if text and not text.endswith("\n") and after < len(lines):
        text += "\n"
    _write(path, "".join([*lines[:after], text, *lines[after:]]))
    return _shown(path, after, text.count("\n") + 1)


def _shown(path: Path, line: int, count: int) -> str:
    """The lines around a change."""
    first = max(0, line - _AROUND)
    lines = _read(path).splitlines()[first : line + count + _AROUND]
    return cut_text(f"{path} was changed:\n{_numbered(lines, first + 1)}")


COMMANDS = {"view": view, "create": create, "str_replace": str_replace, "insert": insert}


def edit(arguments: Mapping[str, Any]) -> str:
    """One call of the tool."""
    command = COMMANDS.get(str(arguments.get("command")))
    if command is None:
        raise ToolError(f"`command` is {arguments.get('command')!r}; there are: {', '.join(COMMANDS)}.")
    return command(arguments)
