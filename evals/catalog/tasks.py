"""Tasks: Harbor's tree under `fixtures/tasks/ID/`, read and checked as a whole.

task.toml              Harbor's settings; ours under [metadata.evals]
instruction.md         what the agent is asked for
environment/           what its workspace holds at the start, and a Dockerfile for Harbor
tests/manifest.toml    every check: its id, the sentence that asks for it, its dimension
tests/checks_*.py      the acceptance checks
tests/test.sh          Harbor's way to run them
solution/              the reference solution
"""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

from evals import digests, schema
from evals.errors import InputError
from evals.types import Check, Stack, Task

_GRADED = ("task.toml", "instruction.md", "environment/**/*", "tests/**/*")
_OF_HARBOR = "tests/test.sh"
"""Only calls `evals grade`: no part of a grade."""
_SOLVED = ("instruction.md", "environment/**/*")


def folder(root: Path) -> Path:
    """Where the tasks are."""
    return root / "fixtures" / "tasks"


def names(root: Path) -> list[str]:
    """Ids of all tasks, sorted."""
    return sorted(path.parent.name for path in folder(root).glob("*/task.toml"))


def read_toml(path: Path, name: str) -> dict[str, Any]:
    """A TOML document, checked against the schema `name`."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: is missing; a task needs it") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not TOML: {error}") from None
    schema.check(document, name, str(path))
    return document


def flat(text: str) -> str:
    """A text without the marks and line breaks of Markdown, to find words in it."""
    return re.sub(r"[\s|*`]+", " ", text).strip()


def _written(file: Path) -> set[str]:
    """The checks that a file defines, or imports from another task's."""
    try:
        tree = ast.parse(file.read_text("utf-8"))
    except (SyntaxError, UnicodeDecodeError, ValueError) as error:
        raise InputError(f"{file}: is not Python: {error}") from None
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return {name for name in names if name.startswith("test_")}


def _manifest_problems(path: Path, raw: list[dict[str, Any]], instruction: str) -> list[str]:
    said = flat(instruction)
    ids = [check["id"] for check in raw]
    written = {name for file in path.parent.glob("checks_*.py") for name in _written(file)}
    found = [f"{path}: check {name}: is listed twice" for name in sorted(set(ids)) if ids.count(name) > 1]
    found += [f"{path}: check {name}: no checks_*.py defines it" for name in sorted(set(ids) - written)]
    found += [f"{path}: check {name}: is defined, but not listed" for name in sorted(written - set(ids))]
    found += [
        f"{path}: check {check['id']}: sentence: found {check['sentence']!r}, which instruction.md does not say"
        for check in raw
        if "sentence" in check and flat(check["sentence"]) not in said
    ]
    return found


def _checks(path: Path, instruction: str) -> tuple[Check, ...]:
    raw = read_toml(path, "manifest")["checks"]
    found = _manifest_problems(path, raw, instruction)
    if found:
        raise InputError(*found)
    return tuple(
        Check(
            id=c["id"],
            sentence=c["sentence"] if "sentence" in c else c["expects"],
            dimension=c["dimension"],
            weight=float(c.get("weight", 1.0)),
            norm=c.get("norm"),
            clause=c.get("clause"),
            kept_because=c.get("kept_because"),
        )
        for c in raw
    )


def _check_weights(weights: dict[str, float], path: Path) -> None:
    total = sum(weights.values())
    if abs(total - 1) > 1e-6:
        raise InputError(f"{path}: metadata.evals.weights: found a sum of {total:g}; the weights must add up to 1")


def _shared(path: Path, names_of_others: list[str]) -> tuple[Path, ...]:
    """Where the checks of other tasks are that this one's import."""
    found = tuple(path.parent / name / "tests" for name in names_of_others)
    for folder_of_checks in found:
        if not folder_of_checks.is_dir():
            there = ", ".join(sorted(other.parent.name for other in path.parent.glob("*/tests")))
            field = f"{path / 'task.toml'}: metadata.evals.checks.shared"
            raise InputError(f"{field}: found {folder_of_checks.parent.name!r}, which is no task; there are: {there}")
    return found


def _digest(path: Path, shared: tuple[Path, ...]) -> str:
    files = digests.folder_files(path, _GRADED)
    files.pop(_OF_HARBOR, None)
    for folder_of_checks in shared:
        others = digests.folder_files(folder_of_checks, ("checks_*.py",))
        files |= {f"{folder_of_checks.parent.name}/{name}": data for name, data in others.items()}
    return digests.of_files(files)


def load(name: str, root: Path) -> Task:
    """Read a task; `InputError` names each file and field at fault."""
    path = folder(root) / name
    if not (path / "task.toml").is_file():
        raise InputError(f"there is no task {name!r} ({path}); there are: {', '.join(names(root)) or 'none'}")
    settings = read_toml(path / "task.toml", "task")
    ours = settings["metadata"]["evals"]
    _check_weights(ours["weights"], path / "task.toml")
    try:
        instruction = (path / "instruction.md").read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path / 'instruction.md'}: cannot be read: {error}") from None
    checking = ours.get("checks", {})
    shared = _shared(path, checking.get("shared", []))
    return Task(
        id=name,
        title=settings["task"]["description"],
        version=ours["version"],
        path=path,
        instruction=instruction,
        stacks=tuple(ours["stacks"]),
        checks=_checks(path / "tests" / "manifest.toml", instruction),
        weights=ours["weights"],
        service_env=ours["service"]["env"],
        shared_checks=shared,
        any_errors=checking.get("errors") == "json",
        many_clients=checking.get("clients") == "many",
        check_seconds=float(ours["limits"]["check_sec"]),
        solve_seconds=float(settings["agent"]["timeout_sec"]),
        acceptance_seconds=float(settings["verifier"]["timeout_sec"]),
        own_tests_seconds=float(ours["limits"]["own_tests_sec"]),
        digest=_digest(path, shared),
        solve_digest=digests.of_files(digests.folder_files(path, _SOLVED)),
    )


def asked(task: Task, stack: Stack) -> str:
    """What an agent is asked: the instruction, an empty line, the stack's page."""
    return f"{task.instruction}\n{stack.page}"


def load_all(wanted: list[str], root: Path) -> list[Task]:
    """The named tasks, or all of them; `InputError` collects the faults of every one."""
    problems: list[str] = []
    loaded = []
    for name in wanted or names(root):
        try:
            loaded.append(load(name, root))
        except InputError as error:
            problems.extend(error.problems)
    if problems:
        raise InputError(*problems)
    if not loaded:
        raise InputError(f"there is no task in {folder(root)}")
    return loaded
