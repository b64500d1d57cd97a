"""Defaults from `evals.toml`, or from `[tool.evals]` in `pyproject.toml`: a table a command, a key an option.

    [run]
    epochs = 3
    max-cost = 20.0

    [compare]
    fail-on = "not-noninferior"

    [ci.evaluate]
    max-epochs = 6

They are put into the command line behind the command's name, where the user has not given the option; so each is read
and refused exactly as if it had been typed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option of a command: all its spellings, and those that switch it off."""

    names: tuple[str, ...]
    off: tuple[str, ...]

    def is_given(self, arguments: Sequence[str]) -> bool:
        """Whether the user has spelled it."""
        return any(a == name or a.startswith(f"{name}=") for a in arguments for name in (*self.names, *self.off))


Commands = Mapping[tuple[str, ...], Mapping[str, Option]]
"""Options by their long names without dashes, for each command by its words."""


def read(folder: Path) -> tuple[str, dict[str, Any]]:
    """Where defaults stand, and what they are; nothing where there are none."""
    for name, inner in (("evals.toml", ()), ("pyproject.toml", ("tool", "evals"))):
        path = folder / name
        if not path.is_file():
            continue
        try:
            found: Any = tomllib.loads(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise InputError(f"{path}: is not TOML: {error}") from None
        for part in inner:
            found = found.get(part, {}) if isinstance(found, dict) else {}
        if found or name == "evals.toml":
            return name, found
    return "", {}


def commands(group: Any, words: tuple[str, ...] = ()) -> dict[tuple[str, ...], dict[str, Option]]:
    """Every command of an application, with its options."""
    found: dict[tuple[str, ...], dict[str, Option]] = {}
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "list_commands"):
            found.update(commands(command, (*words, name)))
        else:
            found[*words, name] = _options(command)
    return found


def _options(command: Any) -> dict[str, Option]:
    found = {}
    for parameter in command.params:
        names = tuple(name for name in parameter.opts if name.startswith("-"))
        option = Option(names=names, off=tuple(parameter.secondary_opts))
        found.update({name.removeprefix("--"): option for name in names if name.startswith("--")})
    return found


def _tables(tables: Mapping[str, Any], known: Commands, source: str) -> dict[tuple[str, ...], dict[str, Any]]:
    """The table of each command; `InputError` names every fault at its place."""
    problems: list[str] = []
    found: dict[tuple[str, ...], dict[str, Any]] = {}

    def walk(table: Mapping[str, Any], words: tuple[str, ...]) -> None:
        for name, inner in table.items():
            place = (*words, name)
            if not isinstance(inner, dict):
                problems.append(f"{source}: {'.'.join(place)}: found {inner!r}; wanted a table, such as [run]")
            elif place in known:
                found[place] = inner
                problems.extend(_problems(inner, known[place], f"{source}: {'.'.join(place)}"))
            elif any(words[: len(place)] == place for words in known):
                walk(inner, place)
            else:
                names = ", ".join(" ".join(words) for words in known)
                problems.append(f"{source}: {'.'.join(place)}: is no command; there are: {names}")

    walk(tables, ())
    if problems:
        raise InputError(*problems)
    return found


def _problems(table: Mapping[str, Any], options: Mapping[str, Option], where: str) -> Iterator[str]:
    for key, value in table.items():
        if key not in options or key == "help":
            yield f"{where}.{key}: is no option; there are: {', '.join(sorted(set(options) - {'help'}))}"
        elif value is False and not options[key].off:
            continue
        elif not all(
            isinstance(one, (str, int, float, bool)) for one in (value if isinstance(value, list) else [value])
        ):
            yield f"{where}.{key}: found {value!r}; wanted a text, a number, true, false, or a list of them"


def expand(arguments: Sequence[str], known: Commands, folder: Path) -> tuple[list[str], str]:
    """The command line with the defaults of its command in it, and in words which those are; nothing where none."""
    source, raw = read(folder)
    tables = _tables(raw, known, source)
    words = next((words for words in known if tuple(arguments[: len(words)]) == words), ())
    given = list(arguments[len(words) :])
    added = [
        part
        for key, value in tables.get(words, {}).items()
        if not known[words][key].is_given(given)
        for part in _spelled(key, value, known[words][key])
    ]
    said = f"from {source}: {' '.join(added)}" if added else ""
    return [*words, *added, *given], said


def _spelled(key: str, value: Any, option: Option) -> list[str]:
    """An option as it would be typed."""
    if value is True:
        return [f"--{key}"]
    if value is False:
        return list(option.off[:1])
    values = value if isinstance(value, list) else [value]
    return [part for one in values for part in (f"--{key}", str(one))]
